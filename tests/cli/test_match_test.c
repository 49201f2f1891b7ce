/* SPDX-License-Identifier: Apache-2.0 */
/* What `kroc test` counts as a match, and how it tells what is not. */
#include "cli/test.h"

#include "tests/lib/test.h"

static const char *differ(struct kr_arena *a, const char *want, const char *have)
{
    struct kr_buf out = KR_BUF_IN(a, CLI_TEST_TEXT_MAX);
    uint32_t n = cli_test_differ(test_yaml(a, want), test_yaml(a, have), &out);

    assert_int_equal(n == 0, out.n == 0);
    return out.n ? out.s : "";
}

#define EXPECT(want, have, text)                                                                   \
    do {                                                                                           \
        struct kr_arena a_ = {0};                                                                  \
        EXPECT_TEXT(differ(&a_, (want), (have)), (text));                                          \
        kr_arena_fini(&a_);                                                                        \
    } while (0)

TEST(cli_test_match, what_is_wanted_must_be_there_and_more_may_be)
{
    EXPECT("{spec: {a: 1}}", "{spec: {a: 1, b: 2}, status: {}}", "");
    EXPECT("{spec: {a: 1, b: {c: x}}}", "{spec: {a: 2}}",
           "        spec.a: expected 1, is 2\n"
           "        spec.b: expected {\"c\":\"x\"}, is absent\n");
    EXPECT("{spec: {}}", "{spec: x}", "        spec: expected {}, is \"x\"\n");
}

TEST(cli_test_match, values_are_equal_by_kind_and_number)
{
    EXPECT("{a: 1, b: '1', c: true, d: 1.0}", "{a: 1.0, b: '1', c: true, d: 1}", "");
    EXPECT("{a: 1}", "{a: '1'}", "        a: expected 1, is \"1\"\n");
    EXPECT("{a: 'true'}", "{a: true}", "        a: expected \"true\", is true\n");
}

TEST(cli_test_match, null_wants_a_member_to_be_absent)
{
    EXPECT("{a: null, b: null}", "{b: null}", "");
    EXPECT("{a: null}", "{a: {b: 1}}", "        a: expected absent, is {\"b\":1}\n");
}

TEST(cli_test_match, a_list_has_as_many_items_and_each_matches)
{
    EXPECT("{l: [{a: 1}, x]}", "{l: [{a: 1, b: 2}, x]}", "");
    EXPECT("{l: [1, 2]}", "{l: [1, 3, 4]}",
           "        l: expected 2 items, are 3: [1,3,4]\n        l[1]: expected 2, is 3\n");
    EXPECT("{l: []}", "{l: [1]}", "        l: expected 0 items, are 1: [1]\n");
    EXPECT("{l: [1]}", "{l: {a: 1}}", "        l: expected [1], is {\"a\":1}\n");
    EXPECT("{l: [1]}", "{}", "        l: expected [1], is absent\n");
}

TEST(cli_test_match, conditions_are_found_by_type)
{
    const char *have = "{status: {conditions: [{type: A, status: 'True'}, {type: B, status: "
                       "'False', reason: R}]}}";

    EXPECT("{status: {conditions: [{type: B, status: 'False'}]}}", have, "");
    EXPECT("{status: {conditions: [{type: B, status: 'True'}, {type: C}]}}", have,
           "        status.conditions[B].status: expected \"True\", is \"False\"\n"
           "        status.conditions[C]: expected {\"type\":\"C\"}, is absent\n");
}

TEST(cli_test_match, keys_with_dots_stand_in_brackets)
{
    EXPECT("{metadata: {labels: {app.kubernetes.io/name: x}}}", "{metadata: {labels: {}}}",
           "        metadata.labels[app.kubernetes.io/name]: expected \"x\", is absent\n");
}

TEST(cli_test_match, long_values_and_long_differences_are_cut)
{
    struct kr_arena a = {0};
    struct kr_buf want = KR_BUF_IN(&a, 1 << 20), out = KR_BUF_IN(&a, 1 << 20);

    kr_buf_fmt(&want, "{");
    for (int i = 0; i < CLI_TEST_DIFF_MAX + 7; i++)
        kr_buf_fmt(&want, "k%d: %d,", i, i);
    kr_buf_fmt(&want, "}");
    assert_int_equal(cli_test_differ(test_yaml(&a, want.s), test_yaml(&a, "{}"), &out),
                     2 * (CLI_TEST_DIFF_MAX + 7));
    assert_non_null(strstr(out.s, "        ... and 7 more\n"));
    kr_buf_reset(&want);
    kr_buf_fmt(&want, "{a: '");
    for (int i = 0; i < 1000; i++)
        kr_buf_fmt(&want, "\xc3\xa9");
    kr_buf_fmt(&want, "'}");
    kr_buf_reset(&out);
    cli_test_differ(test_yaml(&a, want.s), test_yaml(&a, "{}"), &out);
    assert_true(out.n < 300);
    assert_non_null(strstr(out.s, "\xc3\xa9..., is absent"));
    kr_arena_fini(&a);
}

int main(void)
{
    return RUN(T(cli_test_match, what_is_wanted_must_be_there_and_more_may_be),
               T(cli_test_match, values_are_equal_by_kind_and_number),
               T(cli_test_match, null_wants_a_member_to_be_absent),
               T(cli_test_match, a_list_has_as_many_items_and_each_matches),
               T(cli_test_match, conditions_are_found_by_type),
               T(cli_test_match, keys_with_dots_stand_in_brackets),
               T(cli_test_match, long_values_and_long_differences_are_cut));
}
