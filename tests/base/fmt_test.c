/* SPDX-License-Identifier: Apache-2.0 */
/* What kr_fmt and kr_buf_fmt make is what the C library makes. */
#include <stdio.h>

#include "cel/base/buf.h"

#include "tests/lib/test.h"

/* Both of ours and the C library's, of the same arguments. */
#define SAME(...)                                                                                  \
    do {                                                                                           \
        KR_AUTO(kr_arena) a_ = {0};                                                                \
        KR_AUTO(kr_buf) b_ = KR_BUF(1 << 20);                                                      \
        static char want_[4096];                                                                   \
        int n_ = snprintf(want_, sizeof want_, __VA_ARGS__);                                       \
        kr_str got_ = kr_fmt(&a_, __VA_ARGS__);                                                    \
                                                                                                   \
        EXPECT_TEXT(got_.s, want_);                                                                \
        assert_int_equal(got_.n, n_);                                                              \
        kr_buf_fmt(&b_, __VA_ARGS__);                                                              \
        assert_int_equal(b_.n, n_);                                                                \
        EXPECT_TEXT(b_.s, want_);                                                                  \
    } while (0)

TEST(kr_fmt, joins_texts_as_printf_does)
{
    SAME("nothing to fill in");
    SAME("%s", "whole");
    SAME("%s%s", "", "");
    SAME("a%sb%.*sc", "1", 2, "234");
    SAME(KR_FMT "/" KR_FMT, KR_ARG(KR_S("ns")), KR_ARG(KR_S("name")));
    SAME("%.*s|%.*s|", 0, "not shown", 9, "ends at\0nul");
    SAME("[%.*s]", -1, "without a precision");
    SAME("[" KR_FMT "]", KR_ARG((kr_str){0}));
}

TEST(kr_fmt, leaves_other_conversions_to_the_c_library)
{
    SAME("%s=%d %u %zu", "n", -7, 7u, (size_t)9);
    SAME("%d%%", 50);
    SAME("%5s|%-5s|%.3s|%c", "a", "b", "abcdef", 'x');
    SAME("%s %g %llx", "text", 1.5, 255ull);
}

TEST(kr_fmt, makes_texts_of_any_length)
{
    char text[1200];

    for (size_t n = 200; n < sizeof text; n += 7) {
        memset(text, 'x', n);
        text[n] = '\0';
        SAME("<%s>", text);
        SAME("%s%d", text, 5);
    }
}

int main(void)
{
    return RUN(T(kr_fmt, joins_texts_as_printf_does),
               T(kr_fmt, leaves_other_conversions_to_the_c_library),
               T(kr_fmt, makes_texts_of_any_length));
}
