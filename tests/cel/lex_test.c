/* SPDX-License-Identifier: Apache-2.0 */
/* lex_test.c - tokens and literals. */
#include "cel/internal.h"

#include <stdio.h>

#include "tests/lib/test.h"

/* "kind:text kind:text ..." of a whole source. */
static kr_str tokens(struct kr_arena *a, const char *text)
{
    KR_AUTO(kr_buf) b = KR_BUF(4096);
    struct cel__lexer lx = {.text = kr_str_c(text)};

    for (;;) {
        struct cel__token t = cel__lex(&lx);

        kr_buf_fmt(&b, "%s%u:" KR_FMT "@%u", b.n ? " " : "", t.kind, KR_ARG(t.text), t.pos);
        if (t.kind == TOK_END || t.kind == TOK_BAD)
            return kr_strdup(a, kr_buf_view(&b));
    }
}

static kr_val literal(struct kr_arena *a, const char *text, const char **wrong)
{
    struct cel__lexer lx = {.text = kr_str_c(text)};
    struct cel__token t = cel__lex(&lx);
    kr_val v = KR_V_NONE;

    assert_true(t.kind == TOK_STRING || t.kind == TOK_BYTES);
    *wrong = cel__unquote(a, &t, &v);
    return v;
}

TEST(lex, takes_the_longest_match)
{
    struct kr_arena a = {0};
    char want[256];

    snprintf(want, sizeof(want), "%d:1@0 %d:.@1 %d:a@2 %d:@3", TOK_INT, TOK_DOT, TOK_IDENT,
             TOK_END);
    EXPECT_TEXT(tokens(&a, "1.a").s, want);
    snprintf(want, sizeof(want), "%d:1.5e-3@0 %d:0x1Fu@7 %d:.5@13 %d:@15", TOK_FLOAT, TOK_UINT,
             TOK_FLOAT, TOK_END);
    EXPECT_TEXT(tokens(&a, "1.5e-3 0x1Fu .5").s, want);
    snprintf(want, sizeof(want), "%d:a@0 %d:<=@1 %d:b@3 %d:@11", TOK_IDENT, TOK_LE, TOK_IDENT,
             TOK_END);
    EXPECT_TEXT(tokens(&a, "a<=b // x\n\t").s, want);
    snprintf(want, sizeof(want), "%d:in@0 %d:inn@3 %d:a.b/c@7 %d:@14", TOK_IN, TOK_IDENT,
             TOK_ESC_IDENT, TOK_END);
    EXPECT_TEXT(tokens(&a, "in inn `a.b/c`").s, want);
    kr_arena_fini(&a);
}

TEST(lex, refuses_what_begins_no_token)
{
    struct kr_arena a = {0};
    struct cel__lexer lx = {.text = KR_S("'open")};

    assert_int_equal(cel__lex(&lx).kind, TOK_BAD);
    lx = (struct cel__lexer){.text = KR_S("'a\\q'")};
    assert_int_equal(cel__lex(&lx).kind, TOK_BAD);
    lx = (struct cel__lexer){.text = KR_S("$")};
    assert_int_equal(cel__lex(&lx).kind, TOK_BAD);
    kr_arena_fini(&a);
}

TEST(lex, unescapes_strings_by_code_point_and_bytes_by_byte)
{
    struct kr_arena a = {0};
    const char *wrong;
    kr_val v = literal(&a, "'\\xff\\101\\u00e9\\n'", &wrong);

    assert_null(wrong);
    assert_true(kr_is_str(v, KR_S("\xc3\xbf"
                                  "A\xc3\xa9\n")));
    v = literal(&a, "b'\\xff\\101'", &wrong);
    assert_true(v.kind == KR_BYTES && v.n == 2 && (uint8_t)v.s[0] == 0xff && v.s[1] == 'A');
    v = literal(&a, "r'\\n'", &wrong);
    assert_true(kr_is_str(v, KR_S("\\n")));
    v = literal(&a, "'''a'\r\nb'''", &wrong);
    assert_true(kr_is_str(v, KR_S("a'\nb")));
    literal(&a, "'\\ud800'", &wrong);
    EXPECT_TEXT(wrong, "invalid unicode code point");
    literal(&a, "b'\\u0041'", &wrong);
    EXPECT_TEXT(wrong, "unable to unescape string");
    kr_arena_fini(&a);
}

int main(void)
{
    return RUN(T(lex, takes_the_longest_match), T(lex, refuses_what_begins_no_token),
               T(lex, unescapes_strings_by_code_point_and_bytes_by_byte));
}
