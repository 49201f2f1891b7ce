/* SPDX-License-Identifier: Apache-2.0 */
/* vm_test.c - what evaluation guarantees beyond values: error classes, laziness, limits, memory. */
#include "cel/cel.h"

#include "cel/base/time.h"
#include "tests/lib/test.h"

/* One variable v, given as JSON; its schema may be NULL. */
struct fixture {
    struct kr_arena a;
    struct cel_run run;
    struct kr_err err;
    kr_val slot;
};

static const struct cel_prog *compile(struct fixture *f, const char *schema, const char *text)
{
    struct cel_env *env = cel_env_new(&f->a, CEL_LIB_ALL);
    const struct cel_schema *s = NULL;
    const struct cel_prog *p = NULL;

    if (schema)
        EXPECT_OK(cel_schema_read(&f->a, test_json(&f->a, schema), &s, &f->err), &f->err);
    cel_env_var(env, KR_S("v"), cel_type_of_schema(&f->a, s, KR_S("__type_v")), s);
    EXPECT_OK(cel_compile(&f->a, env, kr_str_c(text), &p, &f->err), &f->err);
    return p;
}

/* The result as JSON, or "error: text". */
static const char *eval(struct fixture *f, const char *schema, const char *json, const char *text)
{
    const struct cel_prog *p = compile(f, schema, text);
    kr_val v;

    f->slot = json ? test_json(&f->a, json) : KR_V_NONE;
    f->run =
        (struct cel_run){.slots = &f->slot, .slots_n = 1, .a = &f->a, .cost_max = f->run.cost_max};
    if (cel_eval(p, &f->run, &v, &f->err) < 0 || cel_to_json(&f->a, v, &v, &f->err) < 0)
        return kr_fmt(&f->a, "error: %s", f->err.text).s;
    return kr_json_str(&f->a, v).s;
}

/* One program on one object after the other, each of another shape. */
TEST(vm, a_member_is_found_wherever_it_stands)
{
    static const struct {
        const char *json, *wanted;
    } cases[] = {
        {"{\"a\":{\"b\":1}}", "[1,1,true,1]"},
        {"{\"0\":0,\"a\":{\"a\":2,\"b\":3}}", "[3,3,true,3]"},
        {"{\"a\":{\"b\":4},\"b\":5}", "[4,4,true,4]"},
        {"{\"a\":{\"a\":6}}", "error: no such key: b"},
        {"{}", "error: no such key: a"},
        {"{\"a\":{\"b\":null}}", "[null,null,true,null]"},
        {"{\"a\":[7]}", "error: unsupported index type 'string' in list"},
        {"{\"a\":{\"b\":8}}", "[8,8,true,8]"},
    };
    struct fixture f = {0};
    const struct cel_prog *p =
        compile(&f, NULL, "[v.a.b, v.?a.?b.orValue('none'), has(v.a.b), [v.a].map(x, x.b)[0]]");

    for (size_t i = 0; i < KR_N(cases); i++) {
        kr_val v;

        f.slot = test_json(&f.a, cases[i].json);
        f.run = (struct cel_run){.slots = &f.slot, .slots_n = 1, .a = &f.a};
        if (cel_eval(p, &f.run, &v, &f.err) < 0)
            EXPECT_TEXT(kr_fmt(&f.a, "error: %s", f.err.text).s, cases[i].wanted);
        else
            EXPECT_TEXT(kr_json_str(&f.a, v).s, cases[i].wanted);
    }
    kr_arena_fini(&f.a);
}

/* Names of every length that differ in one byte only, wherever that is. */
TEST(vm, no_other_member_of_the_same_length_is_taken)
{
    enum { LONGEST = 40 };
    struct fixture f = {0};

    for (size_t n = 1; n <= LONGEST; n++) {
        char name[LONGEST + 1] = {0};
        char other[LONGEST + 1] = {0};
        const struct cel_prog *p;

        memset(name, 'a', n);
        p = compile(&f, NULL, kr_fmt(&f.a, "v.%s", name).s);
        for (size_t at = 0; at < n; at++) {
            kr_val v;

            memset(other, 'a', n);
            other[at] = 'b';
            f.slot = test_json(&f.a, kr_fmt(&f.a, "{\"%s\":1}", name).s);
            f.run = (struct cel_run){.slots = &f.slot, .slots_n = 1, .a = &f.a};
            EXPECT_OK(cel_eval(p, &f.run, &v, &f.err), &f.err);
            assert_int_equal(v.i, 1);
            f.slot = test_json(&f.a, kr_fmt(&f.a, "{\"%s\":2}", other).s);
            assert_int_equal(cel_eval(p, &f.run, &v, &f.err), KR_E_EVAL);
        }
    }
    kr_arena_fini(&f.a);
}

TEST(vm, errors_say_whether_data_is_pending)
{
    struct fixture f = {0};

    EXPECT_TEXT(eval(&f, NULL, "{}", "v.a"), "error: no such key: a");
    assert_int_equal(f.run.fail, CEL_FAIL_PENDING);
    EXPECT_TEXT(eval(&f, NULL, NULL, "v.a"), "error: no such attribute(s): v");
    assert_int_equal(f.run.fail, CEL_FAIL_PENDING);
    EXPECT_TEXT(eval(&f, NULL, "[1]", "v[3]"), "error: index out of bounds: 3");
    assert_int_equal(f.run.fail, CEL_FAIL_PENDING);
    EXPECT_TEXT(eval(&f, NULL, "0", "1 / v"), "error: division by zero");
    assert_int_equal(f.run.fail, CEL_FAIL_ERROR);
    EXPECT_TEXT(eval(&f, NULL, "[1]", "lists.setAtIndex(v, 3, 1)"),
                "error: lists.setAtIndex: index 3 out of bounds [0, 1)");
    assert_int_equal(f.run.fail, CEL_FAIL_ERROR);
    EXPECT_TEXT(eval(&f, NULL, "1", "v"), "1");
    assert_int_equal(f.run.fail, CEL_FAIL_NONE);
    kr_arena_fini(&f.a);
}

TEST(vm, logic_absorbs_errors_on_either_side)
{
    struct fixture f = {0};

    EXPECT_TEXT(eval(&f, NULL, "{}", "v.a || true"), "true");
    EXPECT_TEXT(eval(&f, NULL, "{}", "v.a && false"), "false");
    EXPECT_TEXT(eval(&f, NULL, "{}", "v.a || v.b"), "error: no such key: a");
    EXPECT_TEXT(eval(&f, NULL, "{}", "(v.a || true) && (v.b || false)"), "error: no such key: b");
    EXPECT_TEXT(eval(&f, NULL, "[0,1]", "v.all(x, 1 / x > 5)"), "false");
    EXPECT_TEXT(eval(&f, NULL, "[0,1]", "v.exists(x, 1 / x == 1)"), "true");
    EXPECT_TEXT(eval(&f, NULL, "[0,1]", "v.exists(x, 1 / x == 2)"), "error: division by zero");
    EXPECT_TEXT(eval(&f, NULL, "[0,1]", "v.exists_one(x, 1 / x == 1)"), "error: division by zero");
    EXPECT_TEXT(eval(&f, NULL, "[1,0]", "v.map(x, 1 / x)"), "error: division by zero");
    kr_arena_fini(&f.a);
}

TEST(vm, bindings_are_lazy_and_evaluated_once)
{
    struct fixture f = {0};
    uint64_t once;

    EXPECT_TEXT(eval(&f, NULL, "{}", "cel.bind(x, v.a, 2)"), "2");
    EXPECT_TEXT(eval(&f, NULL, "{}", "cel.bind(x, v.a, x || true)"), "true");
    EXPECT_TEXT(eval(&f, NULL, "{}", "cel.bind(x, v.a, x) == 1"), "error: no such key: a");
    EXPECT_TEXT(eval(&f, NULL, "[1,2,3]", "cel.bind(x, v.map(i, i * i), x)"), "[1,4,9]");
    once = f.run.cost;
    EXPECT_TEXT(eval(&f, NULL, "[1,2,3]", "cel.bind(x, v.map(i, i * i), x + x)"), "[1,4,9,1,4,9]");
    assert_true(f.run.cost < once + once / 2);
    EXPECT_TEXT(eval(&f, NULL, "[1,2]", "v.map(i, cel.bind(x, i + 1, cel.bind(y, x * x, x + y)))"),
                "[6,12]");
    EXPECT_TEXT(eval(&f, NULL, "{\"a\":1}", "v.?a.optMap(x, x + 1).orValue(0)"), "2");
    kr_arena_fini(&f.a);
}

static const char *const typed =
    "{\"type\":\"object\",\"properties\":{"
    "\"when\":{\"type\":\"string\",\"format\":\"date-time\"},"
    "\"data\":{\"type\":\"string\",\"format\":\"byte\"},"
    "\"n\":{\"type\":\"number\"},\"opt\":{\"type\":\"string\",\"nullable\":true},"
    "\"port\":{\"x-kubernetes-int-or-string\":true},"
    "\"set\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"x-kubernetes-list-type\":"
    "\"set\"},"
    "\"times\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"format\":\"date-time\"}},"
    "\"open\":{\"type\":\"object\",\"x-kubernetes-preserve-unknown-fields\":true}}}";

static const char *const data =
    "{\"when\":\"2024-05-01T10:00:00.5+02:00\",\"data\":\"aGk=\",\"n\":2,\"opt\":null,"
    "\"port\":\"http\",\"set\":[\"a\",\"b\"],\"times\":[\"2024-01-01T00:00:00.9Z\"],"
    "\"open\":{\"x\":{\"y\":null}}}";

TEST(vm, data_is_read_through_its_schema)
{
    struct fixture f = {0};

    EXPECT_TEXT(eval(&f, typed, data, "v.when.getHours()"), "8");
    EXPECT_TEXT(eval(&f, typed, data, "string(v.when)"), "\"2024-05-01T10:00:00.5+02:00\"");
    EXPECT_TEXT(eval(&f, typed, data, "v.when"), "\"2024-05-01T08:00:00Z\"");
    EXPECT_TEXT(eval(&f, typed, data, "string(v.data)"), "\"hi\"");
    EXPECT_TEXT(eval(&f, typed, data, "v.n / 4.0"), "0.5");
    EXPECT_TEXT(eval(&f, typed, data, "has(v.opt)"), "false");
    EXPECT_TEXT(eval(&f, typed, data, "v.?opt.orValue('none')"), "\"none\"");
    EXPECT_TEXT(eval(&f, typed, data, "v.port"), "\"http\"");
    EXPECT_TEXT(eval(&f, typed, data, "v.set == ['b', 'a']"), "true");
    EXPECT_TEXT(eval(&f, typed, data, "v.set + ['b', 'c']"), "[\"a\",\"b\",\"c\"]");
    EXPECT_TEXT(eval(&f, typed, data, "v.open.x.y == null"), "true");
    EXPECT_TEXT(eval(&f, typed, data, "v.times"), "[\"2024-01-01T00:00:00Z\"]");
    kr_arena_fini(&f.a);
}

TEST(vm, untouched_objects_come_out_as_they_went_in)
{
    struct fixture f = {0};
    const char *want = kr_json_str(&f.a, test_json(&f.a, data)).s;

    EXPECT_TEXT(eval(&f, typed, data, "v"), want);
    EXPECT_TEXT(eval(&f, typed, data, "[v][0]"), want);
    EXPECT_TEXT(eval(&f, typed, data, "{'a': v.open}"), "{\"a\":{\"x\":{\"y\":null}}}");
    EXPECT_TEXT(eval(&f, typed, "{\"when\":\"bad\"}", "v"), "{\"when\":\"bad\"}");
    kr_arena_fini(&f.a);
}

/* The program copies what it needs: schema and environment may go. */
TEST(vm, programs_outlive_schemas_and_environments)
{
    struct kr_arena tmp = {0};
    struct fixture f = {0};
    const struct cel_schema *s;
    const struct cel_prog *p;
    struct cel_env *env = cel_env_new(&tmp, CEL_LIB_ALL);
    kr_val slot = test_json(&f.a, data);
    struct cel_run run = {.slots = &slot, .slots_n = 1, .a = &f.a};
    kr_val v;

    EXPECT_OK(cel_schema_read(&tmp, test_json(&tmp, typed), &s, &f.err), &f.err);
    cel_env_var(env, KR_S("v"), cel_type_of_schema(&tmp, s, KR_S("__type_v")), s);
    EXPECT_OK(cel_compile(
                  &f.a, env,
                  KR_S("v.set.map(x, x.matches('^[a-b]$')) + [dyn(v).n == 2] + [v.when.getHours() "
                       "== 8]"),
                  &p, &f.err),
              &f.err);
    kr_arena_fini(&tmp);
    EXPECT_OK(cel_eval(p, &run, &v, &f.err), &f.err);
    EXPECT_TEXT(kr_json_str(&f.a, v).s, "[true,true,true,true]");
    kr_arena_fini(&f.a);
}

TEST(vm, cost_and_memory_are_limited)
{
    struct fixture f = {.run = {.cost_max = 100000}};

    EXPECT_TEXT(
        eval(&f, NULL, "1000",
             "lists.range(v).map(a, lists.range(v).map(b, lists.range(v).map(c, a + b + c)))"),
        "error: evaluation cost limit exceeded: more than 100000 steps");
    assert_int_equal(f.run.fail, CEL_FAIL_LIMIT);
    EXPECT_TEXT(
        eval(&f, NULL, "1000", "lists.range(v).all(a, lists.range(v).all(b, a + b >= 0)) || true"),
        "error: evaluation cost limit exceeded: more than 100000 steps");
    f.run.cost_max = UINT64_MAX;
    EXPECT_TEXT(eval(&f, NULL, "\"0123456789012345678901234567890123456789\"",
                     "cel.bind(a, v+v+v+v+v+v+v+v, cel.bind(b, a+a+a+a+a+a+a+a, cel.bind(c, "
                     "b+b+b+b+b+b+b+b, cel.bind(d, c+c+c+c+c+c+c+c, cel.bind(e, d+d+d+d+d+d+d+d, "
                     "cel.bind(f, e+e+e+e+e+e+e+e, cel.bind(g, f+f+f+f+f+f+f+f, cel.bind(h, "
                     "g+g+g+g+g+g+g+g, h)))))))).size()"),
                "error: a value exceeds the limit of size or nesting");
    kr_arena_fini(&f.a);
}

#ifndef KR_DEV /* the dev build makes each piece of an arena a piece of its own */
TEST(vm, a_warm_evaluation_allocates_nothing)
{
    struct fixture f = {0};
    struct kr_arena warm = {0};
    const struct cel_prog *p = compile(&f, typed,
                                       "has(v.opt) ? v.opt : v.set.map(x, x + '!').filter(x, "
                                       "x.matches('a')).join(',') + string(v.n)");
    uint64_t before = 0;
    kr_val v;

    f.slot = test_json(&f.a, data);
    for (int i = 0; i < 10; i++) {
        f.run = (struct cel_run){.slots = &f.slot, .slots_n = 1, .a = &warm};
        if (i == 2)
            before = kr_alloc_count();
        EXPECT_OK(cel_eval(p, &f.run, &v, &f.err), &f.err);
        assert_true(kr_is_str(v, KR_S("a!2")));
        kr_arena_reset(&warm);
    }
    assert_int_equal(kr_alloc_count(), before);
    kr_arena_fini(&warm);
    kr_arena_fini(&f.a);
}
#endif

int main(void)
{
    return RUN(T(vm, a_member_is_found_wherever_it_stands),
               T(vm, no_other_member_of_the_same_length_is_taken),
               T(vm, errors_say_whether_data_is_pending),
               T(vm, logic_absorbs_errors_on_either_side),
               T(vm, bindings_are_lazy_and_evaluated_once), T(vm, data_is_read_through_its_schema),
               T(vm, untouched_objects_come_out_as_they_went_in),
               T(vm, programs_outlive_schemas_and_environments), T(vm, cost_and_memory_are_limited)
#ifndef KR_DEV
                                                                     ,
               T(vm, a_warm_evaluation_allocates_nothing)
#endif
    );
}
