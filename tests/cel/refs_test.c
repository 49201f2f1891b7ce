/* SPDX-License-Identifier: Apache-2.0 */
/* refs_test.c - read-sets and inspections. */
#include "cel/cel.h"

#include "tests/lib/test.h"

/* "a.b.c d" : the reads of an expression over the dyn variables a, b and the typed variable s. */
static const char *reads(struct kr_arena *a, const char *text)
{
    KR_AUTO(kr_buf) b = KR_BUF(4096);
    struct kr_err err = KR_ERR_NONE;
    struct cel_env *env = cel_env_new(a, CEL_LIB_ALL);
    const struct cel_schema *s;
    const struct cel_prog *p;
    const struct cel_read *r;
    uint32_t n;

    EXPECT_OK(cel_schema_read(a,
                              test_json(a, "{\"type\":\"object\",\"properties\":{\"x-y\":{\"type\":"
                                           "\"string\"},\"z\":{\"type\":\"string\"}}}"),
                              &s, &err),
              &err);
    cel_env_var(env, KR_S("a"), CEL_T_DYN, NULL);
    cel_env_var(env, KR_S("b"), CEL_T_DYN, NULL);
    cel_env_var(env, KR_S("s"), cel_type_of_schema(a, s, KR_S("__type_s")), s);
    EXPECT_OK(cel_compile(a, env, kr_str_c(text), &p, &err), &err);
    r = cel_prog_reads(p, &n);
    for (uint32_t i = 0; i < n; i++) {
        kr_buf_fmt(&b, "%s%c", i ? " " : "", "abs"[r[i].slot]);
        for (uint32_t k = 0; k < r[i].names_n; k++)
            kr_buf_fmt(&b, "." KR_FMT, KR_ARG(r[i].names[k]));
    }
    return kr_cstr(a, kr_buf_view(&b));
}

TEST(refs, a_chain_of_constant_selections_is_one_read)
{
    struct kr_arena a = {0};

    EXPECT_TEXT(reads(&a, "a.b.c + 1"), "a.b.c");
    EXPECT_TEXT(reads(&a, "a.data['k'] + b.?x.?y.orValue('')"), "a.data.k b.x.y");
    EXPECT_TEXT(reads(&a, "has(a.b.c)"), "a.b.c");
    EXPECT_TEXT(reads(&a, "s.x__dash__y"), "s.x-y");
    kr_arena_fini(&a);
}

TEST(refs, a_chain_ends_at_what_is_not_constant)
{
    struct kr_arena a = {0};

    EXPECT_TEXT(reads(&a, "a.data[b.k]"), "a.data b.k");
    EXPECT_TEXT(reads(&a, "a.list[0].x"), "a.list");
    EXPECT_TEXT(reads(&a, "a.list.map(x, x.y)"), "a.list");
    EXPECT_TEXT(reads(&a, "json.marshal(a)"), "a");
    EXPECT_TEXT(reads(&a, "dyn(s).z"), "s");
    kr_arena_fini(&a);
}

TEST(refs, a_condition_is_looked_up_in_the_status_alone)
{
    struct kr_arena a = {0};

    EXPECT_TEXT(reads(&a, "runtime.condition(a, b.type).status"), "a.status.conditions b.type");
    EXPECT_TEXT(reads(&a, "runtime.condition(a.b, 'Ready').status + a.b.c"),
                "a.b.status.conditions a.b.c");
    EXPECT_TEXT(reads(&a, "runtime.condition(a.list[0], 'Ready').status"), "a.list");
    kr_arena_fini(&a);
}

TEST(refs, literals_of_conditions_are_found_in_the_syntax)
{
    struct kr_arena a = {0};
    struct kr_err err = KR_ERR_NONE;
    struct cel_env *env = cel_env_new(&a, CEL_LIB_ALL);
    const struct cel_runtime_call *call;
    uint32_t n;

    EXPECT_OK(cel_runtime_calls(&a, env,
                                KR_S("a.map(x, runtime.newCondition({type: 'A', status: x, reason: "
                                     "runtime.condition(schema, 'B').reason})) + "
                                     "[runtime.condition(b, 'C')]"),
                                &call, &n, &err),
              &err);
    assert_int_equal(n, 2); /* of other objects any type may be looked up */
    assert_true(!call[0].lookup && kr_str_is(call[0].type, "A") && !call[0].status.s);
    assert_true(call[1].lookup && kr_str_is(call[1].type, "B"));
    assert_true(cel_runtime_calls(&a, env, KR_S("runtime.newCondition(1)"), &call, &n, &err) < 0);
    kr_arena_fini(&a);
}

TEST(refs, no_read_lies_below_another)
{
    struct kr_arena a = {0};

    EXPECT_TEXT(reads(&a, "a.b.c == a.b.d && a.b.c != 1"), "a.b.c a.b.d");
    EXPECT_TEXT(reads(&a, "a.b.c == 1 ? a.b : a.b.d"), "a.b");
    kr_arena_fini(&a);
}

TEST(refs, a_bound_name_stands_for_its_path)
{
    struct kr_arena a = {0};

    EXPECT_TEXT(reads(&a, "cel.bind(x, a.b, x.c + x.d)"), "a.b.c a.b.d");
    EXPECT_TEXT(reads(&a, "a.?b.optMap(x, x.c)"), "a.b");
    EXPECT_TEXT(reads(&a, "[1].map(a, a)"), "");
    kr_arena_fini(&a);
}

static const char *inspect(struct kr_arena *a, const char *text)
{
    KR_AUTO(kr_buf) b = KR_BUF(4096);
    struct kr_err err = KR_ERR_NONE;
    struct cel_env *env = cel_env_new(a, CEL_LIB_ALL);
    struct cel_inspection in;

    EXPECT_OK(cel_inspect(a, env, kr_str_c(text), &in, &err), &err);
    for (uint32_t i = 0; i < in.idents_n; i++)
        kr_buf_fmt(&b, KR_FMT " ", KR_ARG(in.idents[i]));
    for (uint32_t i = 0; i < in.functions_n; i++)
        kr_buf_fmt(&b, KR_FMT "() ", KR_ARG(in.functions[i]));
    if (in.uses_omit)
        kr_buf_str(&b, KR_S("omit"));
    return kr_cstr(a, kr_buf_view(&b));
}

TEST(refs, inspection_names_free_identifiers_and_unknown_functions)
{
    struct kr_arena a = {0};

    EXPECT_TEXT(inspect(&a, "b.x + a.y.map(i, i + c)"), "b a c ");
    EXPECT_TEXT(inspect(&a, "json.marshal(a) + nope(b)"), "a b nope() ");
    EXPECT_TEXT(inspect(&a, "a ? omit() : 1"), "a omit");
    EXPECT_TEXT(inspect(&a, "a.list.map(a, a)"), "a "); /* the range is outside of the loop */
    EXPECT_TEXT(inspect(&a, "[1].map(a, a.map(b, b) + c.map(c, c))"), "c ");
    kr_arena_fini(&a);
}

int main(void)
{
    return RUN(T(refs, a_chain_of_constant_selections_is_one_read),
               T(refs, a_chain_ends_at_what_is_not_constant),
               T(refs, a_condition_is_looked_up_in_the_status_alone),
               T(refs, literals_of_conditions_are_found_in_the_syntax),
               T(refs, no_read_lies_below_another), T(refs, a_bound_name_stands_for_its_path),
               T(refs, inspection_names_free_identifiers_and_unknown_functions));
}
