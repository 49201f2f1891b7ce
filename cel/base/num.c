/* SPDX-License-Identifier: Apache-2.0 */
/* num.c - doubles as Go prints and reads them.
 *
 * The C library converts correctly rounded in both directions, so the shortest text that reads back
 * equal is found by asking: 15, 16, then 17 digits; whatever 15 digits can hold comes out of it
 * with trailing zeros, which are cut. Two cases need care. Subnormals have fewer significant
 * digits: the search starts at 1. Above a power of two the gap is twice that below it: when the
 * nearest text of n digits does not read back, the next one up may.
 */
#include "cel/base/num.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cel/base/banned.h"
#include "cel/base/mem.h"

enum {
    DIGITS_MAX = 17,
    G_FIXED_MAX = 6, /* strconv's 'g', -1 takes an exponent from 1e6 on, whatever the digits */
    PARSE_STACK = 128,
};

/* value = 0.d1d2d3... * 10^point */
struct decimal {
    char digits[DIGITS_MAX + 1];
    int n;
    int point;
};

/* d > 0 with n significant digits. */
static void round_to(double d, int n, struct decimal *out)
{
    char text[40];
    char *e;

    snprintf(text, sizeof(text), "%.*e", n - 1, d);
    e = strchr(text, 'e');
    out->digits[0] = text[0];
    memcpy(out->digits + 1, text + 2, (size_t)n - 1);
    out->digits[n] = 0;
    out->n = n;
    out->point = (int)strtol(e + 1, NULL, 10) + 1;
}

static bool reads_back(const struct decimal *dec, double d)
{
    char text[40];

    snprintf(text, sizeof(text), "0.%se%d", dec->digits, dec->point);
    return strtod(text, NULL) == d;
}

/* Adds one in the last place. */
static void next_up(struct decimal *dec)
{
    int i = dec->n - 1;

    for (; i >= 0 && dec->digits[i] == '9'; i--)
        dec->digits[i] = '0';
    if (i >= 0) {
        dec->digits[i]++;
        return;
    }
    dec->digits[0] = '1'; /* 99.. became 100..: the zeros are there already */
    dec->point++;
}

static void shortest(double d, struct decimal *out)
{
    int exp;
    bool power_of_two = frexp(d, &exp) == 0.5;

    for (int n = d < 0x1p-1022 ? 1 : 15; n <= DIGITS_MAX; n++) {
        round_to(d, n, out);
        if (reads_back(out, d))
            break;
        if (power_of_two && n < DIGITS_MAX) {
            struct decimal up = *out;

            next_up(&up);
            if (reads_back(&up, d)) {
                *out = up;
                break;
            }
        }
    }
    while (out->n > 1 && out->digits[out->n - 1] == '0')
        out->n--;
    out->digits[out->n] = 0;
}

/* d.ddde+XX */
static size_t put_exponent(const struct decimal *dec, bool neg, int exponent_digits,
                           char out[KR_NUM_TEXT_MAX])
{
    int exp = dec->point - 1;

    return (size_t)snprintf(out, KR_NUM_TEXT_MAX, "%s%c%s%se%c%0*d", neg ? "-" : "", dec->digits[0],
                            dec->n > 1 ? "." : "", dec->digits + 1, exp < 0 ? '-' : '+',
                            exponent_digits, exp < 0 ? -exp : exp);
}

static size_t put_fixed(const struct decimal *dec, bool neg, char out[KR_NUM_TEXT_MAX])
{
    char *p = out;

    if (neg)
        *p++ = '-';
    if (dec->point <= 0) {
        *p++ = '0';
        *p++ = '.';
        for (int i = dec->point; i < 0; i++)
            *p++ = '0';
    }
    for (int i = 0; i < dec->n || i < dec->point; i++) {
        if (i == dec->point && i > 0)
            *p++ = '.';
        *p++ = i < dec->n ? dec->digits[i] : '0';
    }
    *p = 0;
    return (size_t)(p - out);
}

/* Small integers are most of what is printed. */
static bool put_integer(double d, double limit, char out[KR_NUM_TEXT_MAX], size_t *n)
{
    if (!(fabs(d) < limit) || d != trunc(d) || (d == 0 && signbit(d)))
        return false;
    *n = kr_num_i64((int64_t)d, out);
    return true;
}

size_t kr_num_json(double d, char out[KR_NUM_TEXT_MAX])
{
    struct decimal dec;
    double a = fabs(d);
    size_t n;

    KR_ASSERT(isfinite(d));
    if (put_integer(d, 0x1p53, out, &n))
        return n;
    if (a == 0)
        return (size_t)snprintf(out, KR_NUM_TEXT_MAX, "-0");
    shortest(a, &dec);
    if (a < 1e-6 || a >= 1e21)
        return put_exponent(&dec, d < 0, 1, out);
    return put_fixed(&dec, d < 0, out);
}

size_t kr_num_g(double d, char out[KR_NUM_TEXT_MAX])
{
    struct decimal dec;
    int exp;
    size_t n;

    if (isnan(d))
        return (size_t)snprintf(out, KR_NUM_TEXT_MAX, "NaN");
    if (isinf(d))
        return (size_t)snprintf(out, KR_NUM_TEXT_MAX, "%sInf", d < 0 ? "-" : "+");
    if (put_integer(d, 1e6, out, &n))
        return n;
    if (d == 0)
        return (size_t)snprintf(out, KR_NUM_TEXT_MAX, "-0");
    shortest(fabs(d), &dec);
    exp = dec.point - 1;
    if (exp < -4 || exp >= G_FIXED_MAX)
        return put_exponent(&dec, d < 0, 2, out);
    return put_fixed(&dec, d < 0, out);
}

/* Writes the digits of u, without a NUL. */
static size_t put_digits(uint64_t u, char *out)
{
    char text[20];
    size_t n = 0;

    do {
        text[sizeof(text) - ++n] = (char)('0' + u % 10);
        u /= 10;
    } while (u);
    memcpy(out, text + sizeof(text) - n, n);
    return n;
}

size_t kr_num_u64(uint64_t u, char out[KR_NUM_TEXT_MAX])
{
    size_t n = put_digits(u, out);

    out[n] = 0;
    return n;
}

size_t kr_num_i64(int64_t i, char out[KR_NUM_TEXT_MAX])
{
    size_t n = i < 0;

    out[0] = '-';
    n += put_digits(i < 0 ? -(uint64_t)i : (uint64_t)i, out + n);
    out[n] = 0;
    return n;
}

/* ---- reading ---- */

static bool same_word(kr_str s, const char *word)
{
    for (size_t i = 0; i < s.n; i++) {
        if (word[i] == 0 || (s.s[i] | 0x20) != word[i])
            return false;
    }
    return word[s.n] == 0;
}

static bool is_digit(char c, bool hex)
{
    return (c >= '0' && c <= '9') || (hex && (c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* [digits][.digits][e[+-]digits] with at least one digit; hex needs its p exponent. s has neither
 * sign nor 0x. */
static bool number_shape(kr_str s, bool hex)
{
    size_t i = 0, digits = 0;

    for (bool dot = false; i < s.n && (is_digit(s.s[i], hex) || (s.s[i] == '.' && !dot)); i++) {
        if (s.s[i] == '.')
            dot = true;
        else
            digits++;
    }
    if (digits == 0)
        return false;
    if (i == s.n)
        return !hex;
    if ((s.s[i++] | 0x20) != (hex ? 'p' : 'e'))
        return false;
    if (i < s.n && (s.s[i] == '+' || s.s[i] == '-'))
        i++;
    digits = i;
    while (i < s.n && is_digit(s.s[i], false))
        i++;
    return i == s.n && i > digits;
}

/* Each underscore stands between two digits, or between 0x and a digit. */
static bool underscores_fit(kr_str s, bool hex)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.s[i] != '_')
            continue;
        if (i + 1 >= s.n || !is_digit(s.s[i + 1], hex))
            return false;
        if (!(i == 0 && hex) && !(i > 0 && is_digit(s.s[i - 1], hex)))
            return false;
    }
    return true;
}

/* The number without sign and prefix, and what it needs to become one for strtod. */
static bool parse_body(kr_str body, bool neg, bool hex, char *text, double *out)
{
    const char *start = text;
    size_t n = 0;

    if (!underscores_fit(body, hex))
        return false;
    if (neg)
        text[n++] = '-';
    if (hex) {
        text[n++] = '0';
        text[n++] = 'x';
    }
    start += n;
    for (size_t i = 0; i < body.n; i++) {
        if (body.s[i] != '_')
            text[n++] = body.s[i];
    }
    text[n] = 0;
    if (!number_shape((kr_str){start, (size_t)(text + n - start)}, hex))
        return false;
    *out = strtod(text, NULL);
    return !isinf(*out);
}

bool kr_num_parse_double(kr_str s, double *out)
{
    char small[PARSE_STACK];
    char *text = small;
    kr_str body = s;
    bool neg = s.n && s.s[0] == '-';
    bool hex, good;
    double d;

    if (body.n && (body.s[0] == '-' || body.s[0] == '+'))
        body = kr_str_sub(body, 1, body.n);
    if (same_word(body, "inf") || same_word(body, "infinity")) {
        *out = neg ? -INFINITY : INFINITY;
        return true;
    }
    if (same_word(s, "nan")) {
        *out = NAN;
        return true;
    }
    hex = body.n > 2 && body.s[0] == '0' && (body.s[1] | 0x20) == 'x';
    if (s.n + 1 > sizeof(small))
        text = kr_alloc(s.n + 1);
    good = parse_body(hex ? kr_str_sub(body, 2, body.n) : body, neg, hex, text, &d);
    if (text != small)
        kr_free(text);
    if (good)
        *out = d;
    return good;
}
