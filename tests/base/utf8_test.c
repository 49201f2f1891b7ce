/* SPDX-License-Identifier: Apache-2.0 */
#include "cel/base/utf8.h"

#include "tests/lib/test.h"

TEST(kr_utf8, every_code_point_survives)
{
    for (uint32_t rune = 0; rune <= 0x10FFFF; rune++) {
        char text[4];
        uint32_t n, len;

        if (rune >= 0xD800 && rune <= 0xDFFF)
            continue;
        n = kr_utf8_encode(rune, text);
        assert_int_equal(kr_utf8_decode(text, n, &len), rune);
        assert_int_equal(len, n);
        if (n > 1) { /* cut short: one bad byte */
            assert_int_equal(kr_utf8_decode(text, n - 1, &len), KR_RUNE_BAD);
            assert_int_equal(len, 1);
        }
    }
}

TEST(kr_utf8, bad_sequences_are_refused)
{
    static const kr_str bad[] = {
        {"\x80", 1},
        {"\xbf", 1},
        {"\xc0\x80", 2},
        {"\xc1\xbf", 2},
        {"\xe0\x80\x80", 3},
        {"\xe0\x9f\xbf", 3},
        {"\xed\xa0\x80", 3},
        {"\xed\xbf\xbf", 3},
        {"\xf0\x8f\xbf\xbf", 4},
        {"\xf4\x90\x80\x80", 4},
        {"\xf5\x80\x80\x80", 4},
        {"\xff", 1},
        {"\xc3(", 2},
        {"\xe2\x82(", 3},
        {"\xf0\x9f\x98(", 4},
    };
    uint32_t len;

    for (size_t i = 0; i < KR_N(bad); i++) {
        assert_int_equal(kr_utf8_decode(bad[i].s, bad[i].n, &len), KR_RUNE_BAD);
        assert_int_equal(len, 1);
        assert_false(kr_utf8_valid(bad[i]));
    }
    assert_true(kr_utf8_valid(KR_S("")));
    assert_true(kr_utf8_valid((kr_str){0}));
    assert_true(kr_utf8_valid(KR_S("\xef\xbf\xbd"))); /* U+FFFD itself is fine */
}

TEST(kr_utf8, what_is_no_code_point_becomes_the_replacement)
{
    char text[4];

    assert_int_equal(kr_utf8_encode(0xD800, text), 3);
    assert_memory_equal(text, "\xef\xbf\xbd", 3);
    assert_int_equal(kr_utf8_encode(0x110000, text), 3);
    assert_memory_equal(text, "\xef\xbf\xbd", 3);
}

TEST(kr_utf8, counts_and_offsets_agree)
{
    kr_str s = KR_S("a\xc3\xa9\xe2\x82\xac\xff\xf0\x9f\x98\x80z");

    assert_int_equal(kr_utf8_count(s), 6);
    assert_int_equal(kr_utf8_offset(s, 0), 0);
    assert_int_equal(kr_utf8_offset(s, 2), 3);
    assert_int_equal(kr_utf8_offset(s, 4), 7);
    assert_int_equal(kr_utf8_offset(s, 5), 11);
    assert_int_equal(kr_utf8_offset(s, 6), s.n);
    assert_int_equal(kr_utf8_offset(s, 99), s.n);
}

TEST(kr_utf8, ascii_is_seen_at_every_position)
{
    char text[40];

    for (size_t n = 0; n < sizeof(text); n++) {
        memset(text, 0x7F, sizeof(text));
        assert_true(kr_ascii((kr_str){text, n}));
        for (size_t i = 0; i < n; i++) {
            text[i] = (char)0x80;
            assert_false(kr_ascii((kr_str){text, n}));
            text[i] = 'a';
        }
    }
}

TEST(kr_utf8, wide_characters_take_two_columns_and_marks_none)
{
    assert_int_equal(kr_utf8_columns(KR_S("")), 0);
    assert_int_equal(kr_utf8_columns(KR_S("abc")), 3);
    assert_int_equal(kr_utf8_columns(KR_S("\xc3\xa9")), 1);
    assert_int_equal(kr_utf8_columns(KR_S("e\xcc\x81")), 1);
    assert_int_equal(kr_utf8_columns(KR_S("\xe6\x97\xa5\xe6\x9c\xac")), 4);
    assert_int_equal(kr_utf8_columns(KR_S("\xf0\x9f\x98\x80!")), 3);
    assert_int_equal(kr_utf8_columns(KR_S("\xff")), 1);
}

int main(void)
{
    return RUN(T(kr_utf8, every_code_point_survives), T(kr_utf8, bad_sequences_are_refused),
               T(kr_utf8, what_is_no_code_point_becomes_the_replacement),
               T(kr_utf8, counts_and_offsets_agree), T(kr_utf8, ascii_is_seen_at_every_position),
               T(kr_utf8, wide_characters_take_two_columns_and_marks_none));
}
