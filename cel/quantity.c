/* SPDX-License-Identifier: Apache-2.0 */
/* quantity.c - reading, adding, comparing and printing quantities.
 *
 * Numbers are unsigned integers of base 10^9 limbs times a power of ten, so that decimal shifts are
 * cheap and nothing is rounded but what Kubernetes rounds: values finer than 10^-9 go away from
 * zero. Every size has its limit; what would exceed it is refused. The usual ones fit an int64 and
 * are read and compared as such.
 *
 * Source: k8s.io/apimachinery pkg/api/resource/{quantity,suffix,amount}.go.
 */
#include "cel/quantity.h"

#include <math.h>

#include "cel/base/num.h"
#include "cel/text.h"

#include "cel/base/banned.h"

enum { LIMB = 1000000000 };

/* --- big integers ----------------------------------------------------------------------------- */

/* b = b * m + add; false: too large. */
static bool big_muladd(struct cel__big *b, uint32_t m, uint32_t add)
{
    uint64_t carry = add;

    for (uint32_t i = 0; i < b->n; i++) {
        carry += (uint64_t)b->v[i] * m;
        b->v[i] = (uint32_t)(carry % LIMB);
        carry /= LIMB;
    }
    while (carry) {
        if (b->n == CEL__BIG_LIMBS)
            return false;
        b->v[b->n++] = (uint32_t)(carry % LIMB);
        carry /= LIMB;
    }
    return true;
}

/* b = b / d; returns the remainder. */
static uint32_t big_divide(struct cel__big *b, uint32_t d)
{
    uint64_t rest = 0;

    for (uint32_t i = b->n; i-- > 0;) {
        rest = rest * LIMB + b->v[i];
        b->v[i] = (uint32_t)(rest / d);
        rest %= d;
    }
    while (b->n && !b->v[b->n - 1])
        b->n--;
    return (uint32_t)rest;
}

static bool big_shift10(struct cel__big *b, uint32_t places)
{
    if (!b->n)
        return true;
    if (places > CEL__BIG_LIMBS * 9)
        return false;
    for (; places >= 9; places -= 9) {
        if (!big_muladd(b, LIMB, 0))
            return false;
    }
    for (; places > 0; places--) {
        if (!big_muladd(b, 10, 0))
            return false;
    }
    return true;
}

static int big_compare(const struct cel__big *x, const struct cel__big *y)
{
    if (x->n != y->n)
        return x->n < y->n ? -1 : 1;
    for (uint32_t i = x->n; i-- > 0;) {
        if (x->v[i] != y->v[i])
            return x->v[i] < y->v[i] ? -1 : 1;
    }
    return 0;
}

static bool big_add(struct cel__big *x, const struct cel__big *y)
{
    uint64_t carry = 0;
    uint32_t n = x->n > y->n ? x->n : y->n;

    for (uint32_t i = 0; i < n || carry; i++) {
        if (i == CEL__BIG_LIMBS)
            return false;
        carry += (i < x->n ? x->v[i] : 0) + (uint64_t)(i < y->n ? y->v[i] : 0);
        x->v[i] = (uint32_t)(carry % LIMB);
        carry /= LIMB;
        if (i >= x->n)
            x->n = i + 1;
    }
    return true;
}

/* x = x - y, where y is not the larger. */
static void big_subtract(struct cel__big *x, const struct cel__big *y)
{
    int64_t borrow = 0;

    for (uint32_t i = 0; i < x->n; i++) {
        int64_t d = (int64_t)x->v[i] - (i < y->n ? y->v[i] : 0) - borrow;

        borrow = d < 0;
        x->v[i] = (uint32_t)(d < 0 ? d + LIMB : d);
    }
    while (x->n && !x->v[x->n - 1])
        x->n--;
}

static uint32_t big_digits(const struct cel__big *b)
{
    uint32_t n = b->n ? (b->n - 1) * 9 : 0;

    for (uint32_t top = b->n ? b->v[b->n - 1] : 0; top; top /= 10)
        n++;
    return n;
}

static void big_of(uint64_t u, struct cel__big *b)
{
    b->n = 0;
    for (; u; u /= LIMB)
        b->v[b->n++] = (uint32_t)(u % LIMB);
}

/* The value as uint64, if it fits. */
static bool big_u64(const struct cel__big *b, uint64_t *out)
{
    uint64_t v = 0;

    for (uint32_t i = b->n; i-- > 0;) {
        if (__builtin_mul_overflow(v, (uint64_t)LIMB, &v) ||
            __builtin_add_overflow(v, (uint64_t)b->v[i], &v))
            return false;
    }
    *out = v;
    return true;
}

/* --- reading ---------------------------------------------------------------------------------- */

static const char wrong_format[] = "quantities must match the regular expression "
                                   "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
static const char wrong_suffix[] = "unable to parse quantity's suffix";
static const char wrong_number[] = "unable to parse numeric part of quantity";

struct parts {
    bool negative;
    kr_str num, denom, suffix; /* digits left and right of the point */
};

static size_t digits_at(kr_str s, size_t i)
{
    size_t n = 0;

    while (i + n < s.n && s.s[i + n] >= '0' && s.s[i + n] <= '9')
        n++;
    return n;
}

static bool in_suffix(char c)
{
    switch (c) {
    case 'e':
    case 'E':
    case 'i':
    case 'n':
    case 'u':
    case 'm':
    case 'k':
    case 'K':
    case 'M':
    case 'G':
    case 'T':
    case 'P':
        return true;
    }
    return false;
}

static bool split(kr_str s, struct parts *p)
{
    size_t at = 0;
    size_t n;

    *p = (struct parts){.negative = s.s[0] == '-'};
    at = s.s[0] == '-' || s.s[0] == '+';
    while (at < s.n && s.s[at] == '0')
        at++;
    n = digits_at(s, at);
    p->num = n ? kr_str_sub(s, at, at + n) : KR_S("0");
    at += n;
    if (at < s.n && s.s[at] == '.') {
        n = digits_at(s, at + 1);
        p->denom = kr_str_sub(s, at + 1, at + 1 + n);
        at += 1 + n;
    }
    n = at;
    while (at < s.n && in_suffix(s.s[at]))
        at++;
    if (at < s.n && (s.s[at] == '-' || s.s[at] == '+'))
        at++;
    at += digits_at(s, at);
    p->suffix = kr_str_sub(s, n, at);
    return at == s.n;
}

static const struct {
    char text[3];
    uint8_t format;
    int8_t exponent; /* of ten, or of two */
} suffixes[] = {
    {"", CEL__Q_DECIMAL, 0},   {"n", CEL__Q_DECIMAL, -9}, {"u", CEL__Q_DECIMAL, -6},
    {"m", CEL__Q_DECIMAL, -3}, {"k", CEL__Q_DECIMAL, 3},  {"M", CEL__Q_DECIMAL, 6},
    {"G", CEL__Q_DECIMAL, 9},  {"T", CEL__Q_DECIMAL, 12}, {"P", CEL__Q_DECIMAL, 15},
    {"E", CEL__Q_DECIMAL, 18}, {"Ki", CEL__Q_BINARY, 10}, {"Mi", CEL__Q_BINARY, 20},
    {"Gi", CEL__Q_BINARY, 30}, {"Ti", CEL__Q_BINARY, 40}, {"Pi", CEL__Q_BINARY, 50},
    {"Ei", CEL__Q_BINARY, 60},
};

static bool read_suffix(kr_str s, uint8_t *format, int32_t *exponent)
{
    int64_t e;

    for (size_t i = 0; s.n <= 2 && i < KR_N(suffixes); i++) {
        const char *t = suffixes[i].text;

        if ((s.n < 1 ? 0 : s.s[0]) == t[0] && (s.n < 2 ? 0 : s.s[1]) == t[1]) {
            *format = suffixes[i].format;
            *exponent = suffixes[i].exponent;
            return true;
        }
    }
    if (s.n < 2 || (s.s[0] != 'e' && s.s[0] != 'E') || !cel__parse_int(kr_str_sub(s, 1, s.n), &e))
        return false;
    *format = CEL__Q_EXPONENT;
    *exponent = (int32_t)(uint32_t)(uint64_t)e;
    return true;
}

/* Is the quantity one of those that Kubernetes holds as an int64 with a decimal scale? */
static void hold_small(struct cel__quantity *q, const struct parts *p, int32_t exponent)
{
    int64_t precision = 18 - (int64_t)(p->num.n + p->denom.n);
    int64_t scale = exponent;
    uint64_t v;

    if (q->format == CEL__Q_BINARY) {
        precision = p->denom.n ? -1 : 14 - (int64_t)p->num.n - exponent * 3 / 10;
        scale = 0;
    } else {
        scale -= (int64_t)p->denom.n;
    }
    if (precision < 0 || scale < -9 || scale > INT32_MAX)
        return;
    if (!big_u64(&q->digits, &v) || v > INT64_MAX)
        return;
    q->small = true;
    q->value = p->negative ? -(int64_t)v : (int64_t)v;
    q->small_scale = (int32_t)scale;
}

/* What the big form does to a value: rounds up to 10^-9, caps binary ones at 2^63 - 1. */
static void adjust_big(struct cel__quantity *q)
{
    struct cel__big max;
    bool rest = false;

    for (; q->scale < -9 && q->digits.n; q->scale++)
        rest = big_divide(&q->digits, 10) != 0 || rest;
    if (q->scale < -9)
        q->scale = -9;
    if (rest) {
        struct cel__big one;

        big_of(1, &one);
        big_add(&q->digits, &one);
    }
    big_of(INT64_MAX, &max);
    if (q->format == CEL__Q_BINARY && q->scale >= 0 && big_compare(&q->digits, &max) > 0) {
        q->digits = max;
        q->scale = 0;
    }
    if (q->format == CEL__Q_BINARY && q->scale < 0 && q->digits.n &&
        (int64_t)big_digits(&q->digits) + q->scale <= 0)
        q->format = CEL__Q_DECIMAL; /* below one */
}

static bool read_digits(struct cel__quantity *q, const struct parts *p)
{
    if (p->num.n + p->denom.n <= 18) {
        uint64_t u = 0;

        for (size_t i = 0; i < p->num.n; i++)
            u = u * 10 + (uint64_t)(p->num.s[i] - '0');
        for (size_t i = 0; i < p->denom.n; i++)
            u = u * 10 + (uint64_t)(p->denom.s[i] - '0');
        big_of(u, &q->digits);
        return true;
    }
    for (size_t i = 0; i < p->num.n + p->denom.n; i++) {
        char c = i < p->num.n ? p->num.s[i] : p->denom.s[i - p->num.n];

        if (!big_muladd(&q->digits, 10, (uint32_t)(c - '0')))
            return false;
    }
    return true;
}

/* Zero. Limbs that are not in use are nobody's business. */
static void clear(struct cel__quantity *q)
{
    memset(q, 0, offsetof(struct cel__quantity, digits));
    q->head.type = &cel__quantity_type;
    q->digits.n = 0;
}

const char *cel__quantity_parse(kr_str s, struct cel__quantity *q)
{
    struct parts p;
    int32_t exponent;

    clear(q);
    if (!s.n || !split(s, &p))
        return wrong_format;
    if (!read_suffix(p.suffix, &q->format, &exponent))
        return wrong_suffix;
    if (p.num.n + p.denom.n > CEL__QUANTITY_DIGITS_MAX || !read_digits(q, &p))
        return wrong_number;
    q->negative = p.negative && q->digits.n;
    q->scale = -(int32_t)p.denom.n;
    if (q->format == CEL__Q_BINARY) {
        for (int32_t e = exponent; e > 0; e -= 30)
            big_muladd(&q->digits, 1u << (e < 30 ? e : 30), 0); /* fits: the digits are limited */
    } else if (__builtin_add_overflow(q->scale, exponent, &q->scale)) {
        return wrong_number;
    }
    hold_small(q, &p, exponent);
    if (!q->small)
        adjust_big(q);
    return NULL;
}

void cel__quantity_of_int(int64_t i, struct cel__quantity *q)
{
    clear(q);
    q->negative = i < 0;
    big_of(i < 0 ? 0 - (uint64_t)i : (uint64_t)i, &q->digits);
    q->small = true;
    q->value = i;
}

/* --- questions -------------------------------------------------------------------------------- */

int cel__quantity_sign(const struct cel__quantity *q)
{
    return !q->digits.n ? 0 : q->negative ? -1 : 1;
}

/* Magnitudes of x and y: the exponent of the first digit decides unless they are of one size. */
static int compare_magnitude(const struct cel__quantity *x, const struct cel__quantity *y)
{
    int64_t ex = (int64_t)big_digits(&x->digits) + x->scale;
    int64_t ey = (int64_t)big_digits(&y->digits) + y->scale;
    struct cel__big bx = x->digits;
    struct cel__big by = y->digits;

    if (!bx.n || !by.n)
        return (int)(bx.n > 0) - (int)(by.n > 0);
    if (ex != ey)
        return ex < ey ? -1 : 1;
    if (x->scale > y->scale)
        big_shift10(&bx, (uint32_t)(x->scale - y->scale));
    else
        big_shift10(&by, (uint32_t)(y->scale - x->scale));
    return big_compare(&bx, &by);
}

static int compare_any(const struct cel__quantity *x, const struct cel__quantity *y)
{
    int sx = cel__quantity_sign(x);
    int sy = cel__quantity_sign(y);

    if (sx != sy)
        return sx < sy ? -1 : 1;
    return sx < 0 ? compare_magnitude(y, x) : compare_magnitude(x, y);
}

int cel__quantity_compare(const struct cel__quantity *x, const struct cel__quantity *y)
{
    if (x->small && y->small && x->small_scale == y->small_scale)
        return x->value < y->value ? -1 : x->value > y->value;
    return compare_any(x, y);
}

static bool quantity_equal(const struct kr_opaque *x, const struct kr_opaque *y)
{
    return cel__quantity_compare((const struct cel__quantity *)(const void *)x,
                                 (const struct cel__quantity *)(const void *)y) == 0;
}

/* kro's sums cannot stand on the right of ==; an accident of its representation that shows. */
static bool quantity_comparable(const struct kr_opaque *y)
{
    return !((const struct cel__quantity *)(const void *)y)->sum;
}

const struct kr_opaque_type cel__quantity_type = {
    .name = "kubernetes.Quantity", .equal = quantity_equal, .comparable = quantity_comparable};

bool cel__quantity_int(const struct cel__quantity *q, int64_t *out)
{
    int64_t v = q->value;

    if (!q->small || (q->small_scale < 0 && v != 0))
        return false;
    for (int32_t i = 0; i < q->small_scale && v; i++) {
        if (__builtin_mul_overflow(v, (int64_t)10, &v))
            return false;
    }
    *out = v;
    return true;
}

/* --- adding ----------------------------------------------------------------------------------- */

/* Adds as Kubernetes' int64 amounts do: the smaller scale is kept. False: overflow. */
static bool add_small(const struct cel__quantity *x, int64_t y, int32_t y_scale, int64_t *value,
                      int32_t *scale)
{
    int64_t v = x->value;

    *scale = x->small_scale;
    *value = v;
    if (y == 0)
        return true;
    if (v == 0) {
        *value = y;
        *scale = y_scale;
        return true;
    }
    for (; *scale > y_scale; --*scale) {
        if (__builtin_mul_overflow(v, (int64_t)10, &v))
            return false;
    }
    for (; y_scale > *scale; y_scale--) {
        if (__builtin_mul_overflow(y, (int64_t)10, &y))
            return false;
    }
    return !__builtin_add_overflow(v, y, value);
}

static bool align(struct cel__quantity *x, int32_t scale)
{
    if (!x->digits.n) {
        x->scale = scale;
        return true;
    }
    if ((int64_t)x->scale - scale > CEL__BIG_LIMBS * 9 ||
        !big_shift10(&x->digits, (uint32_t)(x->scale - scale)))
        return false;
    x->scale = scale;
    return true;
}

static bool add_big(const struct cel__quantity *x, const struct cel__quantity *y, bool y_negative,
                    struct cel__quantity *out)
{
    struct cel__quantity a = *x;
    struct cel__quantity b = *y;
    int32_t scale = a.scale < b.scale ? a.scale : b.scale;

    if (!align(&a, scale) || !align(&b, scale))
        return false;
    *out = a;
    if (a.negative == y_negative || !a.digits.n) {
        out->negative = y_negative;
        return big_add(&out->digits, &b.digits);
    }
    if (big_compare(&a.digits, &b.digits) >= 0) {
        big_subtract(&out->digits, &b.digits);
    } else {
        out->digits = b.digits;
        big_subtract(&out->digits, &a.digits);
        out->negative = y_negative;
    }
    if (!out->digits.n)
        out->negative = false;
    return true;
}

bool cel__quantity_add(const struct cel__quantity *x, const struct cel__quantity *y, bool minus,
                       struct cel__quantity *out)
{
    struct cel__quantity sum;
    int64_t value = 0;
    int32_t scale = 0;
    bool small = x->small && y->small && !(minus && y->value == INT64_MIN) &&
                 add_small(x, minus ? -y->value : y->value, y->small_scale, &value, &scale);

    if (!add_big(x, y, y->digits.n && y->negative != minus, &sum))
        return false;
    sum.format = x->digits.n ? x->format : y->format;
    sum.small = small;
    sum.value = value;
    sum.small_scale = scale;
    sum.sum = true;
    *out = sum;
    return true;
}

/* --- printing --------------------------------------------------------------------------------- */

enum { BIG_TEXT_MAX = CEL__BIG_LIMBS * 9 + 2 };

static kr_str big_text(struct cel__big b, bool negative, char s[BIG_TEXT_MAX])
{
    size_t at = BIG_TEXT_MAX;
    size_t end = at;

    while (b.n)
        s[--at] = (char)('0' + big_divide(&b, 10));
    if (at == end)
        s[--at] = '0';
    if (negative)
        s[--at] = '-';
    return (kr_str){s + at, end - at};
}

/* Go's math.Pow10. */
static double pow10_of(int32_t e)
{
    return e < -323 ? 0 : e > 308 ? INFINITY : pow(10, e);
}

double cel__quantity_double(const struct cel__quantity *q)
{
    struct cel__quantity nano = *q; /* big ones are held in units of 10^-9, if they fit */
    char text[BIG_TEXT_MAX];
    double d = 0;

    if (q->small)
        return q->small_scale ? (double)q->value * pow10_of(q->small_scale) : (double)q->value;
    if (!align(&nano, -9))
        nano = *q;
    kr_num_parse_double(big_text(nano.digits, nano.negative, text), &d);
    return nano.scale ? d * pow10_of(nano.scale) : d;
}

static const char *suffix_of(enum cel__quantity_format format, int64_t exponent)
{
    for (size_t i = 0; i < KR_N(suffixes); i++) {
        if (suffixes[i].format == format && suffixes[i].exponent == exponent)
            return suffixes[i].text;
    }
    return NULL;
}

/* Is q an integer of at least 1024, so that binary suffixes lose nothing? */
static bool prints_binary(const struct cel__quantity *q, struct cel__big *whole)
{
    struct cel__quantity k;

    if (q->format != CEL__Q_BINARY)
        return false;
    cel__quantity_of_int(1024, &k);
    if (compare_magnitude(q, &k) < 0)
        return false;
    *whole = q->digits;
    if (q->scale >= 0)
        return q->scale < 40 && big_shift10(whole, (uint32_t)q->scale);
    for (int32_t i = q->scale; i < 0; i++) {
        if (big_divide(whole, 10))
            return false;
    }
    return true;
}

static kr_str binary_text(struct kr_arena *a, const struct cel__quantity *q, struct cel__big b)
{
    char text[BIG_TEXT_MAX];
    int64_t exponent = 0;

    for (; exponent < 60; exponent += 10) {
        struct cel__big less = b;

        if (big_divide(&less, 1024))
            break;
        b = less;
    }
    return kr_fmt(a, KR_FMT "%s", KR_ARG(big_text(b, q->negative, text)),
                  exponent ? suffix_of(CEL__Q_BINARY, exponent) : "");
}

kr_str cel__quantity_text(struct kr_arena *a, const struct cel__quantity *q)
{
    struct cel__big b = q->digits;
    int64_t exponent = q->scale;
    const char *suffix;
    char text[BIG_TEXT_MAX];
    kr_str number;

    if (!b.n)
        return KR_S("0");
    if (prints_binary(q, &b))
        return binary_text(a, q, b);
    b = q->digits;
    for (;;) {
        struct cel__big less = b;

        if (big_divide(&less, 10))
            break;
        b = less;
        exponent++;
    }
    for (; exponent % 3 != 0; exponent--)
        big_muladd(&b, 10, 0);
    number = big_text(b, q->negative, text);
    suffix = q->format == CEL__Q_EXPONENT ? NULL : suffix_of(CEL__Q_DECIMAL, exponent);
    if (suffix || !exponent)
        return kr_fmt(a, KR_FMT "%s", KR_ARG(number), suffix ? suffix : "");
    return kr_fmt(a, KR_FMT "e%lld", KR_ARG(number), (long long)exponent);
}

bool cel_quantity_normal(struct kr_arena *a, kr_str text, kr_str *out)
{
    struct cel__quantity q;

    if (cel__quantity_parse(text, &q))
        return false;
    *out = cel__quantity_text(a, &q);
    return true;
}
