/* SPDX-License-Identifier: Apache-2.0 */
/* expressions_test.c - the compatibility tables of expressions, in kro's environment: values, types,
 * errors, and what an expression refers to. */
#include "graph/internal.h"
#include "tests/graph/schemas.h"

#include <stdio.h>

static bool wants_error(kr_val line)
{
    return kr_is_str(kr_at(line, "expect"), KR_S("error"));
}

static int error_fits(kr_val line, const struct kr_err *err)
{
    KR_LIST_EACH (it, kr_at(line, "error_contains")) {
        if (kr_str_find(kr_err_str(err), kr_text(*it)) < 0) {
            fprintf(stderr, "  got %s\n", err->text);
            return 0;
        }
    }
    return wants_error(line);
}

/* Are the lists equal but for the order of their items? */
static bool same_items(kr_val x, kr_val y)
{
    uint32_t hits = 0;

    KR_LIST_EACH (it, x) {
        KR_LIST_EACH (other, y) {
            if (kr_equal(*it, *other)) {
                hits++;
                break;
            }
        }
    }
    return x.n == y.n && hits == x.n;
}

/* As the table writes values: bytes as base64, map keys as text. */
static kr_val as_written(struct kr_arena *a, kr_val v)
{
    struct kr_mapb b = KR_MAPB(a);

    if (v.kind == KR_BYTES)
        return test_json(a, kr_json_str(a, v).s);
    if (v.kind != KR_MAP)
        return v;
    KR_MAP_EACH (it, v)
        kr_mapb_put(&b, it->key.kind == KR_STRING ? kr_text(it->key) : kr_json_str(a, it->key),
                    it->val);
    return kr_mapb_done(&b);
}

static int value_fits(struct kr_arena *a, kr_val line, kr_val got)
{
    kr_val want = kr_at(line, "value"), json;
    struct kr_err err = KR_ERR_NONE;

    if (kr_is_true(kr_at(line, "omitted")))
        return got.kind == KR_OMIT;
    if (want.kind == KR_NONE)
        want = kr_at(line, "value_base64");
    if (cel_to_json(a, as_written(a, got), &json, &err) < 0)
        return error_fits(line, &err);
    if (wants_error(line))
        return 0;
    if (kr_is_true(kr_at(line, "unordered")) ? same_items(json, want) : kr_equal(json, want))
        return 1;
    fprintf(stderr, "  got " KR_FMT "\n", KR_ARG(kr_json_str(a, json)));
    return 0;
}

static int value_case(struct kr_arena *a, kr_val line)
{
    struct cel_env *env = cel_env_extend(a, cel_env_new(a, CEL_LIB_ALL));
    kr_val vars = kr_at(line, "vars"), function = kr_at(line, "function_known"), got;
    kr_val *slots = kr_new_n(a, kr_val, vars.n);
    struct cel_run run = {.slots = slots, .slots_n = vars.n, .a = a};
    struct kr_err err = KR_ERR_NONE;
    const struct cel_prog *p;

    if (function.kind == KR_STRING)
        return cel_env_has_function(env, kr_text(function));
    KR_MAP_EACH (it, vars)
        slots[cel_env_var(env, kr_text(it->key), CEL_T_DYN, NULL)] = it->val;
    if (cel_compile(a, env, kr_at_str(line, "expr"), &p, &err) < 0)
        return error_fits(line, &err);
    if (kr_at(line, "type").kind == KR_STRING)
        return kr_is_str(kr_at(line, "type"), cel_type_print(a, cel_prog_type(p)));
    if (kr_is_true(kr_at(line, "compiles")))
        return 1;
    if (cel_eval(p, &run, &got, &err) < 0)
        return error_fits(line, &err);
    return value_fits(a, line, got);
}

static bool names(kr_val list, kr_str id)
{
    KR_LIST_EACH (it, list) {
        if (kr_is_str(it->kind == KR_MAP ? kr_get(*it, KR_S("id")) : *it, id))
            return true;
    }
    return false;
}

static uint32_t distinct(kr_val list)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < list.n; i++) {
        bool again = false;

        for (uint32_t k = 0; k < i; k++)
            again = again || kr_equal(kr_at(list.list[k], "id"), kr_at(list.list[i], "id"));
        n += !again;
    }
    return n;
}

/* The identifiers of known resources are those that the case lists; so are the unknown ones, where it
 * says anything of them. */
static int inspect_case(struct kr_arena *a, kr_val line)
{
    kr_val ids = kr_at(line, "resource_ids"), known = kr_at(line, "resource_references");
    kr_val unknown = kr_at(line, "unknown_references");
    struct kr_err err = KR_ERR_NONE;
    struct cel_inspection in;
    uint32_t known_n = 0, unknown_n = 0;
    bool ok = true;

    if (cel_inspect(a, cel_env_new(a, CEL_LIB_ALL), kr_at_str(line, "expr"), &in, &err) < 0)
        return 0;
    for (uint32_t i = 0; i < in.idents_n; i++) {
        bool is_known = names(ids, in.idents[i]);

        known_n += is_known;
        unknown_n += !is_known;
        ok = ok && (names(is_known ? known : unknown, in.idents[i]) ||
                    (!is_known && unknown.kind == KR_NONE));
    }
    ok = ok && known_n == distinct(known) &&
         (unknown.kind == KR_NONE || unknown_n == distinct(unknown));
    for (uint32_t i = 0; !ok && i < in.idents_n; i++)
        fprintf(stderr, "  got " KR_FMT "\n", KR_ARG(in.idents[i]));
    return ok;
}

TEST(graph_expressions, compatibility_tables)
{
    uint32_t failed;

    if (!cases_present())
        skip();
    assert_int_equal(cases_each("validation/cel.jsonl", value_case, &failed), 131);
    assert_int_equal(cases_each("validation/cel-inspect.jsonl", inspect_case, &failed), 51);
}

int main(void)
{
    return RUN(T(graph_expressions, compatibility_tables));
}
