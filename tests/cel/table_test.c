/* SPDX-License-Identifier: Apache-2.0 */
/* table_test.c - runs tests/cel/(name).cel: three lines a case.
 *
 *   expression
 *   bindings as JSON ({} for none); every member is a variable of type dyn
 *   the result as JSON, or "error: text", or "check: first diagnostic"
 *
 * Blank lines and lines that begin with # part the cases.
 */
#include "cel/cel.h"

#include <stdio.h>

#include "tests/lib/test.h"

struct table {
    struct kr_arena a;
    kr_str rest;
    uint32_t line, cases, failed;
};

/* The next line that is not blank and no comment; false at the end. */
static bool next_line(struct table *t, kr_str *out)
{
    while (t->rest.s && t->rest.n) {
        *out = kr_str_cut(&t->rest, '\n');
        t->line++;
        if (kr_str_trim(*out).n && out->s[0] != '#')
            return true;
    }
    return false;
}

static kr_str first_diagnostic(struct kr_arena *a, const struct kr_err *err)
{
    kr_str text = kr_err_str(err);
    kr_str line = kr_str_cut(&text, '\n');

    return kr_fmt(a, "check: " KR_FMT, KR_ARG(kr_str_sub(line, strlen("ERROR: <input>:"), line.n)));
}

static kr_str outcome(struct kr_arena *a, kr_str expr, kr_val bindings)
{
    struct kr_err err = KR_ERR_NONE;
    struct cel_env *env = cel_env_new(a, CEL_LIB_ALL);
    kr_val *slots = kr_new_n(a, kr_val, bindings.n);
    struct cel_run run = {.slots = slots, .a = a};
    const struct cel_prog *p;
    kr_val v;

    KR_MAP_EACH (it, bindings) {
        cel_env_var(env, kr_text(it->key), CEL_T_DYN, NULL);
        slots[run.slots_n++] = it->val;
    }
    if (cel_compile(a, env, expr, &p, &err) < 0)
        return first_diagnostic(a, &err);
    if (cel_eval(p, &run, &v, &err) < 0 || cel_to_json(a, v, &v, &err) < 0)
        return kr_fmt(a, "error: %s", err.text);
    return kr_json_str(a, v);
}

static void run_table(const char *name)
{
    struct table t = {.line = 0};
    kr_str expr;
    kr_str bindings;
    kr_str want;

    assert_true(test_file(&t.a, kr_fmt(&t.a, "%s/%s.cel", TEST_DATA, name).s, &t.rest));
    while (next_line(&t, &expr)) {
        struct kr_arena a = {0};
        kr_str got;

        assert_true(next_line(&t, &bindings) && next_line(&t, &want));
        got = outcome(&a, expr, test_json(&a, kr_cstr(&a, bindings)));
        t.cases++;
        if (!kr_str_eq(got, want)) {
            t.failed++;
            fprintf(stderr, "%s.cel:%u: " KR_FMT "\n  want " KR_FMT "\n  got  " KR_FMT "\n", name,
                    t.line, KR_ARG(expr), KR_ARG(want), KR_ARG(got));
        }
        kr_arena_fini(&a);
    }
    kr_arena_fini(&t.a);
    assert_int_equal(t.failed, 0);
    assert_true(t.cases > 0);
}

#define TABLE(name)                                                                                \
    TEST(table, name)                                                                              \
    {                                                                                              \
        run_table(#name);                                                                          \
    }

TABLE(operators)
TABLE(members)
TABLE(macros)
TABLE(optionals)
TABLE(conversions)
TABLE(time)
TABLE(strings)
TABLE(lists)
TABLE(kubernetes)
TABLE(kro)

int main(void)
{
    return RUN(T(table, operators), T(table, members), T(table, macros), T(table, optionals),
               T(table, conversions), T(table, time), T(table, strings), T(table, lists),
               T(table, kubernetes), T(table, kro));
}
