/* SPDX-License-Identifier: Apache-2.0 */
/* fields_test.c - operations on sets of fields. */
#include "kube/sandbox/fields.h"

#include "tests/lib/test.h"

#include "cel/base/banned.h"

static const char *text(struct kr_arena *a, kr_val v)
{
    return kr_cstr(a, kr_json_str(a, v));
}

static void expect(struct kr_arena *a, kr_val got, const char *want)
{
    EXPECT_TEXT(text(a, got), text(a, test_json(a, want)));
}

TEST(fields, a_member_keeps_what_is_below_it)
{
    KR_AUTO(kr_arena) a = {0};
    kr_val x = test_json(&a, "{\"f:a\":{\".\":{},\"f:b\":{}}}"), y = test_json(&a, "{\"f:a\":{}}");

    expect(&a, sandbox_fields_without(&a, x, y), "{\"f:a\":{\"f:b\":{}}}");
    expect(&a, sandbox_fields_without_trees(&a, x, y), "{}");
    expect(&a, sandbox_fields_both(&a, x, y), "{\"f:a\":{}}");
    expect(&a, sandbox_fields_union(&a, test_json(&a, "{\"f:a\":{\"f:b\":{}}}"), y),
           "{\"f:a\":{\".\":{},\"f:b\":{}}}");
}

TEST(fields, what_is_empty_vanishes)
{
    KR_AUTO(kr_arena) a = {0};
    kr_val x = test_json(&a, "{\"f:a\":{\"f:b\":{\"f:c\":{}}},\"f:d\":{}}");

    expect(&a, sandbox_fields_without(&a, x, x), "{}");
    expect(&a, sandbox_fields_without(&a, x, test_json(&a, "{\"f:a\":{\"f:b\":{\"f:c\":{}}}}")),
           "{\"f:d\":{}}");
    assert_true(sandbox_fields_none(sandbox_fields_both(&a, x, test_json(&a, "{\"f:a\":{}}"))));
}

TEST(fields, a_named_field_with_members_is_one)
{
    KR_AUTO(kr_arena) a = {0};
    const struct cel_schema *s = NULL;
    struct kr_err err = KR_ERR_NONE;
    kr_val schema = test_json(&a, "{\"type\":\"object\",\"properties\":{\"m\":{\"type\":\"object\","
                                  "\"additionalProperties\":{\"type\":\"object\",\"properties\":"
                                  "{\"x\":{\"type\":\"string\"}}}}}}");

    EXPECT_OK(cel_schema_read(&a, schema, &s, &err), &err);
    expect(&a, sandbox_fields_named(&a, test_json(&a, "{\"f:m\":{\"f:k\":{\"f:x\":{}}}}"), s),
           "{\"f:m\":{\".\":{},\"f:k\":{\"f:x\":{}}}}");
}

static void collect(void *arg, kr_str path)
{
    kr_buf_fmt(arg, KR_FMT "\n", KR_ARG(path));
}

TEST(fields, paths_are_printed_as_conflicts_print_them)
{
    KR_AUTO(kr_arena) a = {0};
    KR_AUTO(kr_buf) b = KR_BUF(1000);

    sandbox_fields_each(&a,
                        test_json(&a,
                                  "{\"f:spec\":{\"f:ports\":{\"k:{\\\"port\\\":80,\\\"protocol\\\":"
                                  "\\\"TCP\\\"}\":{\".\":{},\"f:name\":{}}},\"f:tags\":"
                                  "{\"v:\\\"x\\\"\":{}},\"f:old\":{\"i:2\":{}}}}"),
                        collect, &b);
    EXPECT_TEXT(b.s, ".spec.old[2]\n"
                     ".spec.ports[port=80,protocol=\"TCP\"]\n"
                     ".spec.ports[port=80,protocol=\"TCP\"].name\n"
                     ".spec.tags[=\"x\"]\n");
}

TEST(fields, paths_come_in_the_order_of_values_not_of_texts)
{
    KR_AUTO(kr_arena) a = {0};
    KR_AUTO(kr_buf) b = KR_BUF(1000);

    sandbox_fields_each(
        &a,
        test_json(&a, "{\"k:{\\\"port\\\":443}\":{},\"k:{\\\"port\\\":81}\":{},"
                      "\"k:{\\\"name\\\":\\\"z\\\"}\":{},\"v:\\\"a\\\"\":{},\"v:10\":{},"
                      "\"v:9\":{},\"i:10\":{},\"i:9\":{},\"f:z\":{}}"),
        collect, &b);
    EXPECT_TEXT(b.s, ".z\n[name=\"z\"]\n[port=81]\n[port=443]\n[=9]\n[=10]\n[=\"a\"]\n[9]\n[10]\n");
}

TEST(fields, what_is_no_set_is_refused)
{
    static const char *const bad[] = {
        "[]",           "{\"a\":{}}",   "{\"f:a\":1}", "{\".\":{\"f:a\":{}}}",
        "{\"k:1\":{}}", "{\"i:x\":{}}", "{\"v:{\":{}}"};
    KR_AUTO(kr_arena) a = {0};
    struct kr_err err = KR_ERR_NONE;

    for (size_t i = 0; i < KR_N(bad); i++)
        assert_int_equal(sandbox_fields_check(test_json(&a, bad[i]), &err), KR_E_INPUT);
    EXPECT_OK(sandbox_fields_check(test_json(&a, "{\"f:a\":{\".\":{},\"i:1\":{}}}"), &err), &err);
}

int main(void)
{
    return RUN(T(fields, a_member_keeps_what_is_below_it), T(fields, what_is_empty_vanishes),
               T(fields, a_named_field_with_members_is_one),
               T(fields, paths_are_printed_as_conflicts_print_them),
               T(fields, paths_come_in_the_order_of_values_not_of_texts),
               T(fields, what_is_no_set_is_refused));
}
