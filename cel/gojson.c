/* SPDX-License-Identifier: Apache-2.0 */
/* gojson.c - JSON as Go's encoding/json reads it: json.unmarshal shows its texts to users.
 *
 * The program's own reader (cel/base/json.h) keeps integers and has its own messages; here numbers
 * are doubles and the words are Go's, down to the blank that Go's scanner sees at the end of input.
 *
 * Source: Go encoding/json scanner.go, decode.go.
 */
#include "cel/gojson.h"

#include <stdio.h>

#include "cel/internal.h"

#include "cel/base/num.h"
#include "cel/base/utf8.h"

#include "cel/base/banned.h"

struct reader {
    struct kr_arena *a;
    struct kr_err *err;
    kr_str s;
    size_t at;
    uint32_t depth;
};

/* The next byte; a blank behind the end, as Go's scanner has it. */
static char peek(const struct reader *r)
{
    return r->at < r->s.n ? r->s.s[r->at] : ' ';
}

static bool at_end(const struct reader *r)
{
    return r->at >= r->s.n;
}

static int bad(struct reader *r, const char *where)
{
    uint8_t c = (uint8_t)peek(r);
    char rune[4];
    kr_str q;

    if (c == '\'')
        return kr_fail(r->err, KR_E_EVAL, "invalid character '\\'' %s", where);
    if (c == '"')
        return kr_fail(r->err, KR_E_EVAL, "invalid character '\"' %s", where);
    q = cel__quote_go(r->a, (kr_str){rune, kr_utf8_encode(c, rune)});
    return kr_fail(r->err, KR_E_EVAL, "invalid character '" KR_FMT "' %s",
                   KR_ARG(kr_str_sub(q, 1, q.n - 1)), where);
}

static int unexpected_end(struct reader *r)
{
    return kr_fail(r->err, KR_E_EVAL, "unexpected end of JSON input");
}

static void blanks(struct reader *r)
{
    while (!at_end(r)) {
        char c = r->s.s[r->at];

        if (c != ' ' && c != '\t' && c != '\r' && c != '\n')
            return;
        r->at++;
    }
}

static int read_value(struct reader *r, kr_val *out);

static int read_word(struct reader *r, const char *word, kr_val v, kr_val *out)
{
    char where[64];

    for (size_t i = 1; word[i]; i++) {
        r->at++;
        if (peek(r) != word[i]) {
            snprintf(where, sizeof(where), "in literal %s (expecting '%c')", word, word[i]);
            return bad(r, where);
        }
    }
    r->at++;
    *out = v;
    return 0;
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static int digits(struct reader *r, const char *where)
{
    if (!digit(peek(r)))
        return bad(r, where);
    while (digit(peek(r)))
        r->at++;
    return 0;
}

enum { EXACT_DIGITS = 15 }; /* a double holds every integer of that length */

/* -?digits, no more of them than a double holds. */
static bool small_integer(kr_str s, double *out)
{
    bool minus = s.s[0] == '-';
    int64_t v = 0;

    if (s.n > EXACT_DIGITS)
        return false;
    for (size_t i = minus; i < s.n; i++) {
        if (!digit(s.s[i]))
            return false;
        v = v * 10 + (s.s[i] - '0');
    }
    *out = minus ? -(double)v : (double)v;
    return true;
}

static int read_number(struct reader *r, kr_val *out)
{
    size_t from = r->at;
    kr_str text;
    double d;

    if (peek(r) == '-')
        r->at++;
    if (peek(r) == '0')
        r->at++;
    else
        KR_TRY(digits(r, "in numeric literal"));
    if (peek(r) == '.') {
        r->at++;
        KR_TRY(digits(r, "after decimal point in numeric literal"));
    }
    if (peek(r) == 'e' || peek(r) == 'E') {
        r->at++;
        if (peek(r) == '+' || peek(r) == '-')
            r->at++;
        KR_TRY(digits(r, "in exponent of numeric literal"));
    }
    text = kr_str_sub(r->s, from, r->at);
    if (!small_integer(text, &d) && !kr_num_parse_double(text, &d))
        return kr_fail(r->err, KR_E_EVAL,
                       "json: cannot unmarshal number " KR_FMT " into Go value of type float64",
                       KR_ARG(text));
    *out = kr_double(d);
    return 0;
}

/* Four hexadecimal digits at r->at. */
static int read_hex(struct reader *r, uint32_t *out)
{
    uint32_t v = 0;

    for (int i = 0; i < 4; i++, r->at++) {
        char c = peek(r);
        uint32_t d = digit(c) ? (uint32_t)(c - '0') : (uint32_t)((c | 32) - 'a' + 10);

        if (!digit(c) && ((c | 32) < 'a' || (c | 32) > 'f'))
            return at_end(r) ? unexpected_end(r) : bad(r, "in \\u hexadecimal character escape");
        v = v << 4 | d;
    }
    *out = v;
    return 0;
}

/* \uXXXX, r->at behind the u; joins surrogates. */
static int read_unicode(struct reader *r, char *out, size_t *n)
{
    uint32_t u;
    uint32_t low;

    KR_TRY(read_hex(r, &u));
    if (u >= 0xD800 && u < 0xDC00 && r->at + 1 < r->s.n && r->s.s[r->at] == '\\' &&
        r->s.s[r->at + 1] == 'u') {
        size_t back = r->at;

        r->at += 2;
        KR_TRY(read_hex(r, &low));
        if (low >= 0xDC00 && low < 0xE000)
            u = 0x10000 + ((u - 0xD800) << 10) + (low - 0xDC00);
        else
            r->at = back;
    }
    *n += kr_utf8_encode(u, out + *n);
    return 0;
}

static int read_escape(struct reader *r, char *out, size_t *n)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    const char *p;

    r->at++;
    if (peek(r) == 'u') {
        r->at++;
        return read_unicode(r, out, n);
    }
    p = strchr(from, peek(r));
    if (!p || !*p)
        return bad(r, "in string escape code");
    out[(*n)++] = to[p - from];
    r->at++;
    return 0;
}

/* The string at r->at as it stands in the text, which lives as long; false: it must be read. */
static bool plain_string(struct reader *r, kr_str *out)
{
    for (size_t i = r->at + 1; i < r->s.n; i++) {
        uint8_t c = (uint8_t)r->s.s[i];

        if (c == '"') {
            *out = kr_str_sub(r->s, r->at + 1, i);
            r->at = i + 1;
            return true;
        }
        if (c == '\\' || c < 0x20 || c >= 0x80)
            return false;
    }
    return false;
}

static int read_string(struct reader *r, kr_str *out)
{
    size_t n = 0;
    char *buf;

    if (plain_string(r, out))
        return 0;
    buf = kr_arena_bytes(r->a, 3 * (r->s.n - r->at) + 4);
    r->at++;
    for (;;) {
        uint32_t len;
        uint32_t rune;

        if (at_end(r))
            return unexpected_end(r);
        if (peek(r) == '"')
            break;
        if (peek(r) == '\\') {
            KR_TRY(read_escape(r, buf, &n));
            continue;
        }
        if ((uint8_t)peek(r) < 0x20)
            return bad(r, "in string literal");
        rune = kr_utf8_decode(r->s.s + r->at, r->s.n - r->at, &len);
        n += kr_utf8_encode(rune, buf + n);
        r->at += len;
    }
    r->at++;
    *out = (kr_str){buf, n};
    return 0;
}

static int read_array(struct reader *r, kr_val *out)
{
    struct kr_listb b = KR_LISTB(r->a);
    kr_val v;

    r->at++;
    blanks(r);
    if (peek(r) == ']') {
        r->at++;
        *out = kr_list(NULL, 0);
        return 0;
    }
    for (;;) {
        KR_TRY(read_value(r, &v));
        kr_listb_add(&b, v);
        blanks(r);
        if (at_end(r))
            return unexpected_end(r);
        if (peek(r) != ',' && peek(r) != ']')
            return bad(r, "after array element");
        if (r->s.s[r->at++] == ']')
            break;
    }
    *out = kr_listb_done(&b);
    return 0;
}

static int read_member(struct reader *r, struct kr_mapb *b)
{
    kr_str key;
    kr_val v;

    blanks(r);
    if (at_end(r))
        return unexpected_end(r);
    if (peek(r) != '"')
        return bad(r, "looking for beginning of object key string");
    KR_TRY(read_string(r, &key));
    blanks(r);
    if (at_end(r))
        return unexpected_end(r);
    if (peek(r) != ':')
        return bad(r, "after object key");
    r->at++;
    KR_TRY(read_value(r, &v));
    kr_mapb_put(b, key, v);
    return 0;
}

static int read_object(struct reader *r, kr_val *out)
{
    struct kr_mapb b = KR_MAPB(r->a);

    r->at++;
    blanks(r);
    if (peek(r) == '}') {
        r->at++;
        *out = kr_mapb_done(&b);
        return 0;
    }
    for (;;) {
        KR_TRY(read_member(r, &b));
        blanks(r);
        if (at_end(r))
            return unexpected_end(r);
        if (peek(r) != ',' && peek(r) != '}')
            return bad(r, "after object key:value pair");
        if (r->s.s[r->at++] == '}')
            break;
    }
    *out = kr_mapb_done(&b);
    return 0;
}

static int read_nested(struct reader *r, kr_val *out)
{
    int rc;

    if (r->depth >= CEL__GOJSON_DEPTH_MAX)
        return kr_fail(r->err, KR_E_EVAL, "exceeded max depth");
    r->depth++;
    rc = peek(r) == '[' ? read_array(r, out) : read_object(r, out);
    r->depth--;
    return rc;
}

static int read_value(struct reader *r, kr_val *out)
{
    kr_str s;

    blanks(r);
    if (at_end(r))
        return unexpected_end(r);
    switch (peek(r)) {
    case '{':
    case '[':
        return read_nested(r, out);
    case '"':
        KR_TRY(read_string(r, &s));
        *out = cel__str(r->a, s);
        return 0;
    case 't':
        return read_word(r, "true", kr_bool(true), out);
    case 'f':
        return read_word(r, "false", kr_bool(false), out);
    case 'n':
        return read_word(r, "null", KR_V_NULL, out);
    }
    if (peek(r) == '-' || digit(peek(r)))
        return read_number(r, out);
    return bad(r, "looking for beginning of value");
}

int cel__gojson_parse(struct kr_arena *a, kr_str text, kr_val *out, struct kr_err *err)
{
    struct reader r = {.a = a, .err = err, .s = text};
    kr_val v;

    KR_TRY(read_value(&r, &v));
    blanks(&r);
    if (!at_end(&r))
        return bad(&r, "after top-level value");
    *out = v;
    return 0;
}
