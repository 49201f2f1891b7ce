/* SPDX-License-Identifier: Apache-2.0 */
#include "cel/base/str.h"

#include "tests/lib/test.h"

TEST(kr_str, compares_by_bytes_then_length)
{
    assert_true(kr_str_cmp(KR_S("a"), KR_S("b")) < 0);
    assert_true(kr_str_cmp(KR_S("a"), KR_S("aa")) < 0);
    assert_true(kr_str_cmp(KR_S("\xff"), KR_S("a")) > 0);
    assert_true(kr_str_cmp((kr_str){0}, KR_S("")) == 0);
    assert_true(kr_str_cmp((kr_str){0}, KR_S("a")) < 0);
    assert_true(kr_str_eq((kr_str){0}, KR_S("")));
    assert_false(kr_str_eq(KR_S("a"), KR_S("b")));
    assert_true(kr_str_is(KR_S("spec"), "spec"));
}

TEST(kr_str, finds)
{
    kr_str s = KR_S("metadata.name.x");

    assert_int_equal(kr_str_find(s, KR_S("name")), 9);
    assert_int_equal(kr_str_find(s, KR_S("")), 0);
    assert_int_equal(kr_str_find(s, KR_S("zz")), -1);
    assert_int_equal(kr_str_find(KR_S(""), KR_S("z")), -1);
    assert_int_equal(kr_str_chr(s, '.'), 8);
    assert_int_equal(kr_str_rchr(s, '.'), 13);
    assert_int_equal(kr_str_chr((kr_str){0}, '.'), -1);
    assert_true(kr_str_starts(s, KR_S("meta")));
    assert_true(kr_str_starts((kr_str){0}, KR_S("")));
    assert_false(kr_str_starts(KR_S("m"), KR_S("meta")));
    assert_true(kr_str_ends(s, KR_S(".x")));
    assert_false(kr_str_ends(KR_S("x"), KR_S(".x")));
}

TEST(kr_str, sub_is_clipped)
{
    assert_true(kr_str_is(kr_str_sub(KR_S("hello"), 1, 3), "el"));
    assert_true(kr_str_is(kr_str_sub(KR_S("hello"), 3, 99), "lo"));
    assert_true(kr_str_is(kr_str_sub(KR_S("hello"), 9, 99), ""));
    assert_true(kr_str_is(kr_str_sub(KR_S("hello"), 4, 2), ""));
    assert_int_equal(kr_str_sub((kr_str){0}, 0, 5).n, 0);
}

TEST(kr_str, trim_takes_blanks_off_both_ends)
{
    assert_true(kr_str_is(kr_str_trim(KR_S(" \t\r\na b\v\f ")), "a b"));
    assert_true(kr_str_is(kr_str_trim(KR_S("  ")), ""));
    assert_int_equal(kr_str_trim((kr_str){0}).n, 0);
}

TEST(kr_str, cut_gives_every_part)
{
    kr_str rest = KR_S("a..b");
    kr_str part[4];
    int n = 0;

    while (rest.s)
        part[n++] = kr_str_cut(&rest, '.');
    assert_int_equal(n, 3);
    assert_true(kr_str_is(part[0], "a") && kr_str_is(part[1], "") && kr_str_is(part[2], "b"));
    rest = KR_S("");
    assert_int_equal(kr_str_cut(&rest, '.').n, 0);
    assert_null(rest.s);
}

TEST(kr_str, hash_depends_on_bytes_alone)
{
    char other[] = "spec";

    assert_int_equal(kr_str_hash(KR_S("spec")), kr_str_hash(kr_str_c(other)));
    assert_int_not_equal(kr_str_hash(KR_S("spec")), kr_str_hash(KR_S("speb")));
    assert_int_equal(kr_str_hash((kr_str){0}), kr_str_hash(KR_S("")));
}

static void expect_i64(const char *s, bool good, int64_t want)
{
    int64_t got = 42;

    assert_int_equal(kr_str_i64(kr_str_c(s), &got), good);
    assert_int_equal(got, good ? want : 42);
}

TEST(kr_str, integers_are_whole_and_in_range)
{
    uint64_t u = 42;

    expect_i64("0", true, 0);
    expect_i64("-9223372036854775808", true, INT64_MIN);
    expect_i64("9223372036854775807", true, INT64_MAX);
    expect_i64("+7", true, 7);
    expect_i64("007", true, 7);
    expect_i64("9223372036854775808", false, 0);
    expect_i64("-9223372036854775809", false, 0);
    expect_i64("99999999999999999999", false, 0);
    expect_i64("", false, 0);
    expect_i64("-", false, 0);
    expect_i64("1 ", false, 0);
    expect_i64("--1", false, 0);
    expect_i64("1.0", false, 0);
    assert_true(kr_str_u64(KR_S("18446744073709551615"), &u));
    assert_true(u == UINT64_MAX);
    assert_false(kr_str_u64(KR_S("18446744073709551616"), &u));
    assert_false(kr_str_u64(KR_S("+1"), &u));
    assert_false(kr_str_u64(KR_S(""), &u));
    assert_true(u == UINT64_MAX);
}

int main(void)
{
    return RUN(T(kr_str, compares_by_bytes_then_length), T(kr_str, finds),
               T(kr_str, sub_is_clipped), T(kr_str, trim_takes_blanks_off_both_ends),
               T(kr_str, cut_gives_every_part), T(kr_str, hash_depends_on_bytes_alone),
               T(kr_str, integers_are_whole_and_in_range));
}
