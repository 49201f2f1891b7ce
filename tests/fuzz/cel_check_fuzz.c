/* SPDX-License-Identifier: Apache-2.0 */
/* cel_check_fuzz.c - an expression, a new line, an OpenAPI schema: the expression is checked with a
 * variable `a` of that schema; its type is printed, compared with itself and turned into a schema,
 * its cost estimated. */
#include "cel/cel.h"

#include "cel/base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct kr_arena once;
static struct cel_env *root;

static void check(struct kr_arena *a, const struct cel_env *env, kr_str expr)
{
    struct kr_err err = KR_ERR_NONE;
    const struct cel_prog *p;
    const struct cel_type *t;
    struct cel_cost cost;
    uint32_t reads_n;

    if (cel_compile(a, env, expr, &p, &err) < 0) {
        KR_ASSERT(err.n > 0);
        KR_ASSERT(cel_cost_estimate(a, env, expr, &cost, NULL) < 0 || err.code != KR_E_INPUT ||
                  kr_str_starts(kr_err_str(&err), KR_S("error parsing regexp")));
        return;
    }
    t = cel_prog_type(p);
    KR_ASSERT(cel_type_print(a, t).n > 0);
    KR_ASSERT(cel_type_same(t, t) && cel_type_assignable(t, t));
    (void)cel_type_to_openapi(a, t, &err);
    KR_ASSERT(cel_cost_estimate(a, env, expr, &cost, &err) == 0 && cost.min <= cost.max);
    (void)cel_prog_reads(p, &reads_n);
    KR_ASSERT(!cel_prog_is_constant(p) || reads_n == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct kr_arena a = {0};
    struct kr_err err = KR_ERR_NONE;
    kr_str rest = {(const char *)data, n};
    kr_str expr = kr_str_cut(&rest, '\n');
    const struct cel_schema *s;
    struct cel_env *env;
    kr_val schema;

    if (!root)
        root = cel_env_new(&once, CEL_LIB_FULL);
    if (kr_json_parse(&a, rest, &schema, &err) == 0 && cel_schema_read(&a, schema, &s, &err) == 0) {
        env = cel_env_extend(&a, root);
        cel_env_var(env, KR_S("a"), cel_type_of_schema(&a, s, KR_S("__type_a")), s);
        check(&a, env, expr);
    }
    kr_arena_fini(&a);
    return 0;
}
