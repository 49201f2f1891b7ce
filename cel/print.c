/* SPDX-License-Identifier: Apache-2.0 */
/* print.c - values as text: what string() gives, what error messages show, Go's quoting.
 *
 * Source: cel-go common/types, Go strconv and fmt.
 */
#include "cel/internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cel/base/num.h"
#include "cel/base/time.h"
#include "cel/base/utf8.h"

#include "cel/base/banned.h"

kr_val cel__str(struct kr_arena *a, kr_str s)
{
    kr_val v = kr_string(s);

    (void)a;
    if (kr_ascii(s))
        v.flags = KR_F_ASCII;
    return v;
}

kr_str cel__double_text(struct kr_arena *a, double d)
{
    char text[KR_NUM_TEXT_MAX];
    size_t n = kr_num_g(d, text);

    return kr_strdup(a, (kr_str){text, n});
}

/* Digits and decimal point of a text like "-1.25e+07". */
struct digits {
    char text[KR_NUM_TEXT_MAX];
    size_t n;
    long point; /* digits before the decimal point */
    bool minus;
};

static void split_digits(double d, struct digits *out)
{
    char text[KR_NUM_TEXT_MAX];
    size_t n = kr_num_g(d, text);
    size_t i = 0;
    bool dot = false;

    *out = (struct digits){.minus = text[0] == '-'};
    for (i = out->minus; i < n && text[i] != 'e'; i++) {
        if (text[i] == '.')
            dot = true;
        else {
            out->text[out->n++] = text[i];
            out->point += !dot;
        }
    }
    if (i < n) {
        text[n] = 0;
        out->point += strtol(text + i + 1, NULL, 10);
    }
}

kr_str cel__double_fixed(struct kr_arena *a, double d)
{
    struct digits g;
    long first;
    long last;
    char *s;
    size_t n = 0;

    if (isnan(d) || isinf(d))
        return cel__double_text(a, d);
    split_digits(d, &g);
    first = g.point > 0 ? 0 : g.point - 1; /* a zero before the point */
    last = g.point > (long)g.n ? g.point : (long)g.n;
    s = kr_arena_bytes(a, (size_t)(last - first) + 3);
    if (g.minus)
        s[n++] = '-';
    for (long i = first; i < last; i++) {
        if (i == g.point)
            s[n++] = '.';
        s[n++] = i >= 0 && i < (long)g.n ? g.text[i] : '0';
    }
    return (kr_str){s, n};
}

kr_str cel__duration_text(struct kr_arena *a, int64_t nanos)
{
    double seconds = (double)(nanos / 1000000000) + (double)(nanos % 1000000000) / 1e9;

    return kr_fmt(a, KR_FMT "s", KR_ARG(cel__double_fixed(a, seconds)));
}

kr_str cel__timestamp_text(struct kr_arena *a, kr_val ts)
{
    char text[KR_TIME_TEXT_MAX];
    size_t n = kr_time_text_zone(ts.i, ts.n, (int16_t)ts.aux, text);

    return kr_strdup(a, (kr_str){text, n});
}

/* --- Go's quoting ----------------------------------------------------------------------------- */

/* As unicode.IsPrint, near enough for messages: no controls, no exotic blanks, no private use. */
static bool printable(uint32_t r)
{
    if (r < 0x20 || (r >= 0x7f && r < 0xa1) || r == 0xad)
        return false;
    if ((r >= 0x2000 && r <= 0x200f) || (r >= 0x2028 && r <= 0x202f) ||
        (r >= 0x205f && r <= 0x206f))
        return false;
    if (r == 0x1680 || r == 0x3000 || r == 0xfeff || (r >= 0xe000 && r <= 0xf8ff))
        return false;
    return r < 0xe0000 && (r & 0xfffe) != 0xfffe;
}

static void quote_rune(struct kr_buf *b, uint32_t r, kr_str raw)
{
    static const char from[] = "\a\b\f\n\r\t\v\\\"";
    static const char to[] = "abfnrtv\\\"";
    const char *p = r && r < 0x80 ? strchr(from, (int)r) : NULL;

    if (p) {
        kr_buf_chr(b, '\\');
        kr_buf_chr(b, to[p - from]);
    } else if (printable(r)) {
        kr_buf_str(b, raw);
    } else if (r < 0x80) {
        kr_buf_fmt(b, "\\x%02x", r);
    } else {
        kr_buf_fmt(b, r > 0xffff ? "\\U%08x" : "\\u%04x", r);
    }
}

kr_str cel__quote_go(struct kr_arena *a, kr_str s)
{
    KR_AUTO(kr_buf) b = KR_BUF_IN(a, s.n * 10 + 2);

    kr_buf_chr(&b, '"');
    for (size_t i = 0; i < s.n;) {
        uint32_t len;
        uint32_t r = kr_utf8_decode(s.s + i, s.n - i, &len);

        if (r == KR_RUNE_BAD && len == 1)
            kr_buf_fmt(&b, "\\x%02x", (unsigned char)s.s[i]);
        else
            quote_rune(&b, r, kr_str_sub(s, i, i + len));
        i += len;
    }
    kr_buf_chr(&b, '"');
    return kr_buf_view(&b);
}

/* --- values in messages ----------------------------------------------------------------------- */

enum { PRINT_DEPTH_MAX = 4, PRINT_MAX = 1024 };

static void print_bytes(struct kr_buf *b, kr_str s)
{
    kr_buf_chr(b, '[');
    for (size_t i = 0; i < s.n && b->n < PRINT_MAX; i++)
        kr_buf_fmt(b, i ? " %u" : "%u", (unsigned char)s.s[i]);
    kr_buf_chr(b, ']');
}

/* "2009-02-13 23:31:30.5 +0530 +0530", as time.Time's String. */
static void print_time(struct kr_buf *b, kr_val v)
{
    int zone = (int16_t)v.aux;
    int east = zone < 0 ? -zone : zone;
    char text[KR_TIME_TEXT_MAX];
    char offset[16];
    size_t n = kr_time_text_zone(v.i, v.n, (int16_t)zone, text);
    const char *t = memchr(text, 'T', n);
    size_t day = (size_t)(t - text);

    n -= zone ? strlen("+05:30") : strlen("Z");
    snprintf(offset, sizeof(offset), "%c%02d%02d", zone < 0 ? '-' : '+', east / 60 % 100,
             east % 60);
    kr_buf_fmt(b, "%.*s %.*s %s %s", (int)day, text, (int)(n - day - 1), t + 1, offset,
               zone ? offset : "UTC");
}

static void print_value(struct kr_arena *a, struct kr_buf *b, kr_val v, int depth)
{
    char text[KR_TIME_TEXT_MAX];

    switch (v.kind) {
    case KR_NULL:
        kr_buf_chr(b, '0');
        return;
    case KR_BOOL:
        kr_buf_str(b, v.b ? KR_S("true") : KR_S("false"));
        return;
    case KR_INT:
        kr_buf_fmt(b, "%lld", (long long)v.i);
        return;
    case KR_UINT:
        kr_buf_fmt(b, "%llu", (unsigned long long)v.u);
        return;
    case KR_DOUBLE:
        kr_buf_str(b, cel__double_text(a, v.d));
        return;
    case KR_STRING:
    case KR_TYPE:
        kr_buf_str(b, kr_text(v));
        return;
    case KR_BYTES:
        print_bytes(b, kr_text(v));
        return;
    case KR_DURATION:
        kr_buf_add(b, text, kr_duration_text(v.i, text));
        return;
    case KR_TIMESTAMP:
        print_time(b, v);
        return;
    case KR_LIST:
        kr_buf_chr(b, '[');
        for (uint32_t i = 0; i < v.n && depth < PRINT_DEPTH_MAX && b->n < PRINT_MAX; i++) {
            if (i)
                kr_buf_str(b, KR_S(", "));
            print_value(a, b, v.list[i], depth + 1);
        }
        kr_buf_chr(b, ']');
        return;
    case KR_MAP:
        kr_buf_chr(b, '{');
        for (uint32_t i = 0; i < v.n && depth < PRINT_DEPTH_MAX && b->n < PRINT_MAX; i++) {
            if (i)
                kr_buf_str(b, KR_S(", "));
            print_value(a, b, v.map[i].key, depth + 1);
            kr_buf_str(b, KR_S(": "));
            print_value(a, b, v.map[i].val, depth + 1);
        }
        kr_buf_chr(b, '}');
        return;
    case KR_OPTIONAL:
        if (!v.ref) {
            kr_buf_str(b, KR_S("optional.none()"));
            return;
        }
        kr_buf_str(b, KR_S("optional("));
        print_value(a, b, *v.ref, depth + 1);
        kr_buf_chr(b, ')');
        return;
    }
    kr_buf_str(b, cel__type_name(v));
}

kr_str cel__print(struct kr_arena *a, kr_val v)
{
    KR_AUTO(kr_buf) b = KR_BUF_IN(a, KR_ERR_MAX);

    print_value(a, &b, v, 0);
    return kr_buf_view(&b);
}
