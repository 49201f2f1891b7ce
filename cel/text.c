/* SPDX-License-Identifier: Apache-2.0 */
/* text.c - texts that become values: dates, durations, base64, numbers, with Go's messages.
 *
 * Source: Go time.Parse, encoding/base64, strconv; go-openapi/strfmt; cel-go common/types.
 */
#include "cel/text.h"

#include "cel/internal.h"

#include "cel/base/num.h"
#include "cel/base/time.h"

#include "cel/base/banned.h"

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

/* --- numbers ---------------------------------------------------------------------------------- */

bool cel__parse_uint(kr_str s, uint64_t *out)
{
    uint64_t v = 0;

    if (!s.n)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (!digit(s.s[i]) || __builtin_mul_overflow(v, (uint64_t)10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.s[i] - '0'), &v))
            return false;
    }
    *out = v;
    return true;
}

bool cel__parse_int(kr_str s, int64_t *out)
{
    bool minus = s.n && s.s[0] == '-';
    uint64_t v;

    if (s.n && (s.s[0] == '-' || s.s[0] == '+'))
        s = kr_str_sub(s, 1, s.n);
    if (!cel__parse_uint(s, &v) || v > (uint64_t)INT64_MAX + (minus ? 1 : 0))
        return false;
    *out = minus ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

/* Is there a digit of a number (hexadecimal ones too) at s[i]? */
static bool digit_at(kr_str s, size_t i)
{
    return i < s.n && (digit(s.s[i]) || ((s.s[i] | 32) >= 'a' && (s.s[i] | 32) <= 'f'));
}

bool cel__parse_double(kr_str s, double *out)
{
    char buf[256];
    size_t n = 0;

    if (kr_str_chr(s, '_') < 0)
        return kr_num_parse_double(s, out);
    for (size_t i = 0; i < s.n; i++) {
        bool after = i > 0 && (digit_at(s, i - 1) || (i == 2 && (s.s[1] | 32) == 'x'));

        if (s.s[i] == '_' && !(after && digit_at(s, i + 1)))
            return false;
        if (n == sizeof(buf))
            return false;
        if (s.s[i] != '_')
            buf[n++] = s.s[i];
    }
    return kr_num_parse_double((kr_str){buf, n}, out);
}

/* --- dates ------------------------------------------------------------------------------------ */

/* Two digits at s[i]; -1: not there. */
static int two(kr_str s, size_t i)
{
    if (i + 2 > s.n || !digit(s.s[i]) || !digit(s.s[i + 1]))
        return -1;
    return (s.s[i] - '0') * 10 + (s.s[i + 1] - '0');
}

bool cel__parse_date_time(kr_str s, int64_t *seconds, uint32_t *nanos, int16_t *zone)
{
    char buf[80];

    if (s.n < 19 || s.s[10] != 'T')
        return false;
    if (kr_time_parse_zone(s, seconds, nanos, zone))
        return s.s[s.n - 1] != 'z';
    if (s.n + 1 > sizeof(buf))
        return false;
    memcpy(buf, s.s, s.n);
    buf[s.n] = 'Z';
    if (!digit(s.s[s.n - 1]))
        return false;
    return kr_time_parse_zone((kr_str){buf, s.n + 1}, seconds, nanos, zone);
}

static int days_in(int year, int month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return month == 2 && leap ? 29 : days[month - 1];
}

/* One step of a layout: digits or a literal. */
struct layout_step {
    const char *text; /* as the layout writes it */
    uint8_t digits;   /* 0: a literal */
    uint8_t min, max; /* range of a two-digit number */
    const char *range;
};

/* What Go's parser says when it meets s with the layout. */
kr_str cel__date_error(struct kr_arena *a, kr_str s, bool with_time)
{
    static const struct layout_step steps[] = {
        {"2006", 4, 0, 0, NULL},  {"-", 0, 0, 0, NULL},       {"01", 2, 1, 12, "month"},
        {"-", 0, 0, 0, NULL},     {"02", 2, 0, 99, NULL},     {"T", 0, 0, 0, NULL},
        {"15", 2, 0, 23, "hour"}, {":", 0, 0, 0, NULL},       {"04", 2, 0, 59, "minute"},
        {":", 0, 0, 0, NULL},     {"05", 2, 0, 59, "second"},
    };
    const char *layout = with_time ? "2006-01-02T15:04:05" : "2006-01-02";
    kr_str q = cel__quote_go(a, s);
    size_t at = 0;
    int values[4] = {0, 1, 1, 0};
    int n = 0;

    for (size_t i = 0; i < (with_time ? KR_N(steps) : 5); i++) {
        const struct layout_step *st = &steps[i];
        kr_str rest = kr_str_sub(s, at, s.n);
        bool ok = st->digits == 0   ? at < s.n && s.s[at] == st->text[0]
                  : st->digits == 2 ? two(s, at) >= 0
                                    : two(s, at) >= 0 && two(s, at + 2) >= 0;

        if (!ok)
            return kr_fmt(a, "parsing time " KR_FMT " as \"%s\": cannot parse " KR_FMT " as \"%s\"",
                          KR_ARG(q), layout, KR_ARG(cel__quote_go(a, rest)), st->text);
        if (st->digits && n < 3)
            values[n++] = st->digits == 4 ? two(s, at) * 100 + two(s, at + 2) : two(s, at);
        if (st->range && (two(s, at) < st->min || two(s, at) > st->max))
            return kr_fmt(a, "parsing time " KR_FMT ": %s out of range", KR_ARG(q), st->range);
        at += st->digits ? st->digits : 1;
    }
    if (with_time && at + 1 < s.n && (s.s[at] == '.' || s.s[at] == ',') && digit(s.s[at + 1])) {
        at++;
        while (at < s.n && digit(s.s[at]))
            at++;
    }
    if (at < s.n)
        return kr_fmt(a, "parsing time " KR_FMT ": extra text: " KR_FMT, KR_ARG(q),
                      KR_ARG(cel__quote_go(a, kr_str_sub(s, at, s.n))));
    if (values[2] < 1 || values[2] > days_in(values[0], values[1]))
        return kr_fmt(a, "parsing time " KR_FMT ": day out of range", KR_ARG(q));
    return (kr_str){0};
}

/* Does s have the shape YYYY-MM-DDTHH:MM:SS[.digits](Z|+HH:MM), in any case of T and Z? */
static bool timestamp_shape(kr_str s)
{
    size_t i = 19;

    if (s.n < 20 || two(s, 0) < 0 || two(s, 2) < 0 || s.s[4] != '-' || two(s, 5) < 1 ||
        two(s, 5) > 12 || s.s[7] != '-' || two(s, 8) < 1 || two(s, 8) > 31 ||
        (s.s[10] | 32) != 't' || two(s, 11) < 0 || two(s, 11) > 23 || s.s[13] != ':' ||
        two(s, 14) < 0 || two(s, 14) > 59 || s.s[16] != ':' || two(s, 17) < 0 || two(s, 17) > 60)
        return false;
    if (s.s[i] == '.') {
        i++;
        if (i >= s.n || !digit(s.s[i]))
            return false;
        while (i < s.n && digit(s.s[i]))
            i++;
    }
    if (i + 1 == s.n && (s.s[i] | 32) == 'z')
        return true;
    return i + 6 == s.n && (s.s[i] == '+' || s.s[i] == '-') && two(s, i + 1) >= 0 &&
           s.s[i + 3] == ':' && two(s, i + 4) >= 0 && two(s, i + 1) <= 23 && two(s, i + 4) <= 59;
}

const char *cel__parse_timestamp(struct kr_arena *a, kr_str s, int64_t *seconds, uint32_t *nanos,
                                 int16_t *zone)
{
    if (!timestamp_shape(s))
        return kr_fmt(a, "invalid RFC 3339 timestamp " KR_FMT, KR_ARG(cel__quote_go(a, s))).s;
    if (s.s[10] != 'T' || s.s[s.n - 1] == 'z' || !kr_time_parse_zone(s, seconds, nanos, zone))
        return "type conversion error from 'string' to 'google.protobuf.Timestamp'";
    if (*seconds < CEL__SECONDS_MIN || *seconds > CEL__SECONDS_MAX)
        return "timestamp overflow";
    return NULL;
}

/* --- durations -------------------------------------------------------------------------------- */

static bool has_prefix_fold(kr_str s, const char *prefix)
{
    size_t n = strlen(prefix);

    if (s.n < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = s.s[i] >= 'A' && s.s[i] <= 'Z' ? (char)(s.s[i] | 32) : s.s[i];

        if (c != prefix[i])
            return false;
    }
    return true;
}

/* Nanoseconds of the unit at the start of s; 0: no unit. *used gets its bytes. Longest first;
 * `open` units take any further letters. */
static int64_t loose_unit(kr_str s, size_t *used)
{
    static const struct {
        const char *text;
        bool open;
        int64_t ns;
    } units[] = {
        {"nano", true, 1},
        {"ns", false, 1},
        {"micro", true, 1000},
        {"us", false, 1000},
        {"\xc2\xb5s", false, 1000},
        {"milli", true, 1000000},
        {"ms", false, 1000000},
        {"sec", true, 1000000000},
        {"min", true, INT64_C(60000000000)},
        {"hour", true, INT64_C(3600000000000)},
        {"hr", false, INT64_C(3600000000000)},
        {"day", true, INT64_C(86400000000000)},
        {"week", true, INT64_C(604800000000000)},
        {"wk", false, INT64_C(604800000000000)},
        {"s", false, 1000000000},
        {"m", false, INT64_C(60000000000)},
        {"h", false, INT64_C(3600000000000)},
        {"d", false, INT64_C(86400000000000)},
        {"w", false, INT64_C(604800000000000)},
    };

    for (size_t i = 0; i < KR_N(units); i++) {
        if (!has_prefix_fold(s, units[i].text))
            continue;
        *used = strlen(units[i].text);
        while (units[i].open && *used < s.n &&
               ((s.s[*used] | 32) >= 'a' && (s.s[*used] | 32) <= 'z'))
            ++*used;
        return units[i].ns;
    }
    return 0;
}

bool cel__parse_loose_duration(kr_str s, int64_t *nanos)
{
    int64_t sum = 0;
    bool found = false;

    if (kr_duration_parse(s, nanos))
        return true;
    for (size_t i = 0; i < s.n;) {
        size_t end = i;
        size_t unit_at;
        size_t used = 0;
        int64_t n;
        int64_t unit;

        while (end < s.n && digit(s.s[end]))
            end++;
        if (end == i) {
            i++;
            continue;
        }
        unit_at = end;
        while (unit_at < s.n && s.s[unit_at] == ' ')
            unit_at++;
        unit = loose_unit(kr_str_sub(s, unit_at, s.n), &used);
        if (unit && cel__parse_int(kr_str_sub(s, i, end), &n)) {
            if (__builtin_mul_overflow(n, unit, &n) || __builtin_add_overflow(sum, n, &sum))
                return false;
            found = true;
            end = unit_at + used;
        }
        i = end;
    }
    if (found)
        *nanos = sum;
    return found;
}

/* --- base64 ----------------------------------------------------------------------------------- */

static int sextet(char c, bool url)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (digit(c))
        return c - '0' + 52;
    if (c == (url ? '-' : '+'))
        return 62;
    if (c == (url ? '_' : '/'))
        return 63;
    return -1;
}

static bool newline(char c)
{
    return c == '\n' || c == '\r';
}

struct base64 {
    kr_str s;
    size_t at;
    bool url, padded;
    size_t bad; /* set on failure */
};

/* The padding behind j sextets; the first '=' is consumed. */
static bool decode_padding(struct base64 *d, int j)
{
    if (j < 2) {
        d->bad = d->at - 1;
        return false;
    }
    if (j == 2) {
        while (d->at < d->s.n && newline(d->s.s[d->at]))
            d->at++;
        if (d->at == d->s.n) {
            d->bad = d->s.n;
            return false;
        }
        if (d->s.s[d->at] != '=') {
            d->bad = d->at - 1;
            return false;
        }
        d->at++;
    }
    while (d->at < d->s.n && newline(d->s.s[d->at]))
        d->at++;
    d->bad = d->at;
    return d->at == d->s.n;
}

/* Up to four sextets into q; *n of them. False: corrupt. */
static bool decode_quantum(struct base64 *d, uint8_t q[4], int *n)
{
    int j = 0;

    while (j < 4) {
        int v;
        char c;

        if (d->at == d->s.n) {
            if (j == 0 || (j > 1 && !d->padded))
                break;
            d->bad = d->at - (size_t)j;
            return false;
        }
        c = d->s.s[d->at++];
        v = sextet(c, d->url);
        if (v >= 0) {
            q[j++] = (uint8_t)v;
        } else if (c == '=' && d->padded) {
            *n = j;
            return decode_padding(d, j);
        } else if (!newline(c)) {
            d->bad = d->at - 1;
            return false;
        }
    }
    *n = j;
    return true;
}

bool cel__base64_decode(struct kr_arena *a, kr_str s, bool url, bool padded, kr_str *out,
                        size_t *bad)
{
    struct base64 d = {.s = s, .url = url, .padded = padded};
    char *buf = kr_arena_bytes(a, s.n / 4 * 3 + 4);
    size_t len = 0;

    while (d.at < s.n) {
        uint8_t q[4] = {0};
        int n = 0;

        if (!decode_quantum(&d, q, &n)) {
            *bad = d.bad;
            return false;
        }
        if (n > 1)
            buf[len++] = (char)(q[0] << 2 | q[1] >> 4);
        if (n > 2)
            buf[len++] = (char)(q[1] << 4 | q[2] >> 2);
        if (n > 3)
            buf[len++] = (char)(q[2] << 6 | q[3]);
    }
    *out = (kr_str){buf, len};
    return true;
}
