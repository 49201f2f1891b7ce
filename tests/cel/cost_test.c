/* SPDX-License-Identifier: Apache-2.0 */
/* cost_test.c - the static estimate: known sizes give known limits, unknown ones none. That every
 * evaluation stays within its estimate is checked with each conformance case (cel/cases.c) and by the
 * fuzzer cel_tree.
 */
#include "cel/cel.h"

#include "tests/lib/test.h"

static const char schema[] =
    "{\"type\":\"object\",\"properties\":{\"s\":{\"type\":\"string\",\"maxLength\":16},"
    "\"u\":{\"type\":\"string\"},\"i\":{\"type\":\"integer\"},"
    "\"l\":{\"type\":\"array\",\"maxItems\":10,\"items\":{\"type\":\"string\",\"maxLength\":16}},"
    "\"m\":{\"type\":\"object\",\"maxProperties\":4,\"additionalProperties\":{\"type\":\"integer\"}"
    "},"
    "\"w\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}}}";

struct fixture {
    struct kr_arena a;
    struct cel_env *env;
};

static void init(struct fixture *f)
{
    struct kr_err err = KR_ERR_NONE;
    const struct cel_schema *s;

    *f = (struct fixture){0};
    EXPECT_OK(cel_schema_read(&f->a, test_json(&f->a, schema), &s, &err), &err);
    f->env = cel_env_new(&f->a, CEL_LIB_FULL);
    cel_env_var(f->env, KR_S("v"), cel_type_of_schema(&f->a, s, KR_S("__type_v")), s);
}

static struct cel_cost estimate(struct fixture *f, const char *text)
{
    struct kr_err err = KR_ERR_NONE;
    struct cel_cost c = {0, 0};

    EXPECT_OK(cel_cost_estimate(&f->a, f->env, kr_str_c(text), &c, &err), &err);
    assert_true(c.min <= c.max);
    return c;
}

TEST(cost, sizes_come_from_schemas_and_literals)
{
    static const char *const limited[] = {
        "v.s + 'abc'",
        "v.l.map(x, x + v.s).join(',')",
        "v.l.all(x, v.l.exists(y, x == y))",
        "v.m.transformMap(k, n, n * 2)",
        "v.m == v.m",
        "v.l.sort()",
        "v.l.distinct()",
        "lists.range(100).map(i, i * i).sum()",
        "v.s.split(',').size()",
        "v.s.matches('a+')",
        "[v.i, v.i + 1].filter(x, x > 2)",
        "cel.bind(x, v.s + v.s, x + x)",
        "v.s.replace('a', v.s)",
        "v.i > 0 ? v.l : []",
        "v.l == ['a', 'b']",
    };
    struct fixture f;

    init(&f);
    for (size_t i = 0; i < KR_N(limited); i++) {
        if (estimate(&f, limited[i]).max == CEL_COST_UNKNOWN)
            EXPECT_TEXT(limited[i], "limited");
    }
    kr_arena_fini(&f.a);
}

TEST(cost, what_is_not_limited_has_no_limit)
{
    static const char *const unlimited[] = {
        "v.w.map(x, x + 1)", "v.u + v.s",
        "v.w.all(x, x > 0)", "lists.range(v.i).all(i, v.w[i] in v.w)",
        "json.marshal(v)",   "v.w == v.w",
    };
    struct fixture f;

    init(&f);
    for (size_t i = 0; i < KR_N(unlimited); i++) {
        if (estimate(&f, unlimited[i]).max != CEL_COST_UNKNOWN)
            EXPECT_TEXT(unlimited[i], "unlimited");
    }
    kr_arena_fini(&f.a);
}

TEST(cost, a_loop_multiplies)
{
    struct fixture f;
    uint64_t one, two;

    init(&f);
    one = estimate(&f, "v.l.all(x, x != v.s)").max;
    two = estimate(&f, "v.l.all(x, v.l.all(y, x != y))").max;
    assert_true(two > 5 * one && two < 30 * one);
    assert_true(estimate(&f, "lists.range(1000).all(i, i >= 0)").max >
                50 * estimate(&f, "lists.range(10).all(i, i >= 0)").max);
    kr_arena_fini(&f.a);
}

TEST(cost, the_least_is_what_always_runs)
{
    struct fixture f;

    init(&f);
    assert_int_equal(estimate(&f, "v.i == 1").min, 0);
    assert_int_equal(estimate(&f, "size(v.s) == 1").min, 1);
    assert_int_equal(estimate(&f, "v.i == 1 ? size(v.s) : size(v.s) + size(v.u)").min, 1);
    assert_int_equal(estimate(&f, "v.i == 1 || size(v.s) == 1").min, 0);
    assert_int_equal(estimate(&f, "[v.i, v.i, v.i].map(x, string(x))").min, 3);
    assert_int_equal(estimate(&f, "size('abc')").min, 0); /* computed while compiling */
    kr_arena_fini(&f.a);
}

TEST(cost, evaluations_are_within_their_estimate)
{
    static const char *const exprs[] = {"v.l.map(x, x + v.s).join(',')",
                                        "v.m.transformMap(k, n, n * 2)",
                                        "v.l.all(x, v.l.exists(y, x == y))",
                                        "v.s.replace('a', v.s) + v.s", "v.l.sort().reverse()[0]"};
    struct fixture f;

    init(&f);
    for (size_t i = 0; i < KR_N(exprs); i++) {
        struct kr_err err = KR_ERR_NONE;
        kr_val slot =
            test_json(&f.a, "{\"s\":\"banana\",\"l\":[\"a\",\"b\",\"a\"],\"m\":{\"x\":1}}");
        struct cel_run run = {.slots = &slot, .slots_n = 1, .a = &f.a};
        struct cel_cost c = estimate(&f, exprs[i]);
        const struct cel_prog *p;
        kr_val v;

        EXPECT_OK(cel_compile(&f.a, f.env, kr_str_c(exprs[i]), &p, &err), &err);
        EXPECT_OK(cel_eval(p, &run, &v, &err), &err);
        assert_true(c.min <= run.cost && run.cost <= c.max);
    }
    kr_arena_fini(&f.a);
}

TEST(cost, what_does_not_compile_has_none)
{
    struct fixture f;
    struct kr_err err = KR_ERR_NONE;
    struct cel_cost c;

    init(&f);
    assert_int_equal(cel_cost_estimate(&f.a, f.env, KR_S("v.nope + 1"), &c, &err), KR_E_INPUT);
    assert_true(
        kr_str_starts(kr_err_str(&err), KR_S("ERROR: <input>:1:2: undefined field 'nope'")));
    kr_arena_fini(&f.a);
}

int main(void)
{
    return RUN(
        T(cost, sizes_come_from_schemas_and_literals), T(cost, what_is_not_limited_has_no_limit),
        T(cost, a_loop_multiplies), T(cost, the_least_is_what_always_runs),
        T(cost, evaluations_are_within_their_estimate), T(cost, what_does_not_compile_has_none));
}
