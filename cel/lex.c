/* SPDX-License-Identifier: Apache-2.0 */
/* lex.c - CEL text to tokens, and literals to their values.
 *
 * Tokens are cut on demand, longest match first; blanks and // comments vanish. Positions are byte
 * offsets; diagnostics turn them into lines and columns of code points.
 *
 * Source: cel-spec doc/langdef.md, cel-go parser/gen/CEL.g4 and parser/unescape.go.
 */
#include "cel/internal.h"

#include "cel/base/utf8.h"

#include "cel/base/banned.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The byte i places ahead; NUL behind the end. */
static char ahead(const struct cel__lexer *lx, size_t i)
{
    return lx->at + i < lx->text.n ? lx->text.s[lx->at + i] : 0;
}

static void skip_blanks(struct cel__lexer *lx)
{
    while (lx->at < lx->text.n) {
        char c = lx->text.s[lx->at];

        if (c == '/' && ahead(lx, 1) == '/') {
            while (lx->at < lx->text.n && lx->text.s[lx->at] != '\n')
                lx->at++;
        } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f') {
            lx->at++;
        } else {
            return;
        }
    }
}

static struct cel__token cut(struct cel__lexer *lx, enum cel__token_kind kind, size_t n)
{
    struct cel__token t = {.kind = (uint8_t)kind, .pos = lx->at, .text = {lx->text.s + lx->at, n}};

    lx->at += (uint32_t)n;
    return t;
}

static size_t digits_at(const struct cel__lexer *lx, size_t i)
{
    size_t n = 0;

    while (is_digit(ahead(lx, i + n)))
        n++;
    return n;
}

/* Bytes of an exponent at i, or 0. */
static size_t exponent_at(const struct cel__lexer *lx, size_t i)
{
    size_t sign;
    size_t n;

    if (ahead(lx, i) != 'e' && ahead(lx, i) != 'E')
        return 0;
    sign = ahead(lx, i + 1) == '+' || ahead(lx, i + 1) == '-';
    n = digits_at(lx, i + 1 + sign);
    return n ? 1 + sign + n : 0;
}

static struct cel__token lex_number(struct cel__lexer *lx)
{
    size_t n = digits_at(lx, 0);
    size_t fraction;
    size_t exponent;

    if (n == 1 && ahead(lx, 0) == '0' && ahead(lx, 1) == 'x' && hex_digit(ahead(lx, 2)) >= 0) {
        n = 3;
        while (hex_digit(ahead(lx, n)) >= 0)
            n++;
    } else {
        fraction = ahead(lx, n) == '.' ? digits_at(lx, n + 1) : 0;
        if (fraction)
            n += 1 + fraction;
        exponent = exponent_at(lx, n);
        if (fraction || exponent)
            return cut(lx, TOK_FLOAT, n + exponent);
    }
    if (ahead(lx, n) == 'u' || ahead(lx, n) == 'U')
        return cut(lx, TOK_UINT, n + 1);
    return cut(lx, TOK_INT, n);
}

/* Is there an escape of legal shape at i (behind the backslash)? Returns its bytes, 0: no. */
static size_t escape_at(const struct cel__lexer *lx, size_t i)
{
    char c = ahead(lx, i);
    size_t want = c == 'x' || c == 'X' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;

    if (c && strchr("abfnrtv\\'\"`?", c))
        return 1;
    if (c >= '0' && c <= '3') {
        for (size_t k = 1; k <= 2; k++) {
            if (ahead(lx, i + k) < '0' || ahead(lx, i + k) > '7')
                return 0;
        }
        return 3;
    }
    if (!want)
        return 0;
    for (size_t k = 1; k <= want; k++) {
        if (hex_digit(ahead(lx, i + k)) < 0)
            return 0;
    }
    return 1 + want;
}

/* Bytes of a quoted literal whose opening quote stands at `start`; 0: not closed or malformed. */
static size_t quoted_len(const struct cel__lexer *lx, size_t start, bool raw)
{
    char q = ahead(lx, start);
    bool triple = ahead(lx, start + 1) == q && ahead(lx, start + 2) == q;
    size_t i = start + (triple ? 3 : 1);

    while (lx->at + i < lx->text.n) {
        char c = ahead(lx, i);

        if (c == q && !triple)
            return i + 1;
        if (c == q && ahead(lx, i + 1) == q && ahead(lx, i + 2) == q)
            return i + 3;
        if (!triple && (c == '\n' || c == '\r'))
            return 0;
        if (c == '\\' && !raw) {
            size_t n = escape_at(lx, i + 1);

            if (!n)
                return 0;
            i += n;
        }
        i++;
    }
    /* an empty literal before the end reads as an unfinished triple one: 'x' + '' */
    return 0;
}

/* A literal with its prefix, or a token of kind TOK_BAD; n of prefix bytes stand before the quote.
 */
static struct cel__token lex_quoted(struct cel__lexer *lx, size_t prefix)
{
    bool bytes = prefix && (ahead(lx, 0) == 'b' || ahead(lx, 0) == 'B');
    bool raw = prefix && (ahead(lx, prefix - 1) == 'r' || ahead(lx, prefix - 1) == 'R');
    size_t n = quoted_len(lx, prefix, raw);
    char q = ahead(lx, prefix);

    if (!n && ahead(lx, prefix + 1) == q)
        n = prefix + 2; /* a triple quote that is never closed is an empty literal first */
    return cut(lx, n ? (bytes ? TOK_BYTES : TOK_STRING) : TOK_BAD, n ? n : 1);
}

static size_t quote_prefix(const struct cel__lexer *lx)
{
    size_t i = 0;

    if (ahead(lx, i) == 'b' || ahead(lx, i) == 'B')
        i++;
    if (ahead(lx, i) == 'r' || ahead(lx, i) == 'R')
        i++;
    return ahead(lx, i) == '\'' || ahead(lx, i) == '"' ? i : SIZE_MAX;
}

static struct cel__token lex_word(struct cel__lexer *lx)
{
    size_t n = 1;
    struct cel__token t;

    while (is_letter(ahead(lx, n)) || is_digit(ahead(lx, n)))
        n++;
    t = cut(lx, TOK_IDENT, n);
    if (kr_str_is(t.text, "true"))
        t.kind = TOK_TRUE;
    else if (kr_str_is(t.text, "false"))
        t.kind = TOK_FALSE;
    else if (kr_str_is(t.text, "null"))
        t.kind = TOK_NULL;
    else if (kr_str_is(t.text, "in"))
        t.kind = TOK_IN;
    return t;
}

static struct cel__token lex_backticks(struct cel__lexer *lx)
{
    size_t n = 1;
    struct cel__token t;

    while (is_letter(ahead(lx, n)) || is_digit(ahead(lx, n)) ||
           (ahead(lx, n) && strchr(".-/ ", ahead(lx, n))))
        n++;
    if (n == 1 || ahead(lx, n) != '`')
        return cut(lx, TOK_BAD, 1);
    t = cut(lx, TOK_ESC_IDENT, n + 1);
    t.text = kr_str_sub(t.text, 1, n);
    return t;
}

static struct cel__token lex_operator(struct cel__lexer *lx)
{
    static const struct {
        char text[3];
        uint8_t kind;
    } ops[] = {
        {"==", TOK_EQ},      {"!=", TOK_NE},      {"<=", TOK_LE},      {">=", TOK_GE},
        {"&&", TOK_AND},     {"||", TOK_OR},      {"<", TOK_LT},       {">", TOK_GT},
        {"[", TOK_LBRACKET}, {"]", TOK_RBRACKET}, {"{", TOK_LBRACE},   {"}", TOK_RBRACE},
        {"(", TOK_LPAREN},   {")", TOK_RPAREN},   {".", TOK_DOT},      {",", TOK_COMMA},
        {"-", TOK_MINUS},    {"!", TOK_NOT},      {"?", TOK_QUESTION}, {":", TOK_COLON},
        {"+", TOK_PLUS},     {"*", TOK_STAR},     {"/", TOK_SLASH},    {"%", TOK_PERCENT},
    };

    for (size_t i = 0; i < KR_N(ops); i++) {
        size_t n = ops[i].text[1] ? 2 : 1;

        if (ahead(lx, 0) == ops[i].text[0] && (n == 1 || ahead(lx, 1) == ops[i].text[1]))
            return cut(lx, ops[i].kind, n);
    }
    return cut(lx, TOK_BAD, 1);
}

struct cel__token cel__lex(struct cel__lexer *lx)
{
    char c;
    size_t prefix;

    skip_blanks(lx);
    if (lx->at >= lx->text.n)
        return (struct cel__token){.kind = TOK_END, .pos = (uint32_t)lx->text.n};
    c = ahead(lx, 0);
    prefix = quote_prefix(lx);
    if (prefix != SIZE_MAX)
        return lex_quoted(lx, prefix);
    if (is_letter(c))
        return lex_word(lx);
    if (is_digit(c))
        return lex_number(lx);
    if (c == '.' && is_digit(ahead(lx, 1))) {
        size_t n = 1 + digits_at(lx, 1);

        return cut(lx, TOK_FLOAT, n + exponent_at(lx, n));
    }
    if (c == '`')
        return lex_backticks(lx);
    return lex_operator(lx);
}

/* --- literals --------------------------------------------------------------------------------- */

static uint32_t hex_value(const char *s, size_t n)
{
    uint32_t v = 0;

    for (size_t i = 0; i < n; i++)
        v = v << 4 | (uint32_t)hex_digit(s[i]);
    return v;
}

static char simple_escape(char c)
{
    static const char from[] = "abfnrtv";
    static const char to[] = "\a\b\f\n\r\t\v";
    const char *p = strchr(from, c);

    return p ? to[p - from] : c; /* \\ \' \" \` \? stand for themselves */
}

/* Appends a code point to a string or a byte to bytes; returns what is wrong, or NULL. */
static const char *add_code(char *out, size_t *n, uint32_t code, bool bytes)
{
    if (bytes) {
        out[(*n)++] = (char)code;
        return NULL;
    }
    if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
        return "invalid unicode code point";
    *n += kr_utf8_encode(code, out + *n);
    return NULL;
}

/* One escape behind the backslash at s[*i]; moves *i behind it. */
static const char *unescape_one(kr_str s, size_t *i, bool bytes, char *out, size_t *n)
{
    char c = s.s[*i];
    size_t len = c == 'x' || c == 'X' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    uint32_t code;

    if (len == 0 && (c < '0' || c > '3')) {
        out[(*n)++] = simple_escape(c);
        (*i)++;
        return NULL;
    }
    if (len > 2 && bytes)
        return "unable to unescape string";
    if (len) {
        code = hex_value(s.s + *i + 1, len);
        *i += 1 + len;
    } else {
        code = (uint32_t)((c - '0') * 64 + (s.s[*i + 1] - '0') * 8 + (s.s[*i + 2] - '0'));
        *i += 3;
    }
    return add_code(out, n, code, bytes);
}

const char *cel__unquote(struct kr_arena *a, const struct cel__token *tok, kr_val *out)
{
    kr_str s = tok->text;
    bool bytes = tok->kind == TOK_BYTES;
    bool raw = false;
    size_t n = 0;
    char *buf;

    while (s.s[0] != '\'' && s.s[0] != '"') {
        raw = raw || s.s[0] == 'r' || s.s[0] == 'R';
        s = kr_str_sub(s, 1, s.n);
    }
    if (s.n >= 6 && s.s[1] == s.s[0] && s.s[2] == s.s[0])
        s = kr_str_sub(s, 3, s.n - 3);
    else
        s = kr_str_sub(s, 1, s.n - 1);
    buf = kr_arena_bytes(a, s.n + 4);
    for (size_t i = 0; i < s.n;) {
        const char *wrong;

        if (s.s[i] == '\r') { /* CRLF and CR read as LF */
            buf[n++] = '\n';
            i += i + 1 < s.n && s.s[i + 1] == '\n' ? 2 : 1;
        } else if (s.s[i] != '\\' || raw) {
            buf[n++] = s.s[i++];
        } else {
            i++;
            wrong = unescape_one(s, &i, bytes, buf, &n);
            if (wrong)
                return wrong;
        }
    }
    *out = bytes ? (kr_val){.kind = KR_BYTES, .n = (uint32_t)n, .s = buf}
                 : cel__str(a, (kr_str){buf, n});
    return NULL;
}
