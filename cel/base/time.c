/* SPDX-License-Identifier: Apache-2.0 */
/* time.c - civil dates and Go's time texts.
 *
 * Days are counted in eras of 400 years that begin on 1 March, so that the leap day is the last day
 * of a year and all months but the last are regular (the well-known "days from civil" arithmetic).
 */
#include "cel/base/time.h"

#include <stdio.h>

#include "cel/base/banned.h"

enum { DAY_SECONDS = 86400, ERA_DAYS = 146097, ERA_TO_1970 = 719468 };

#define NS_SECOND 1000000000ull

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static bool leap(int64_t y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static int days_in(int64_t year, int month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return days[month - 1] + (month == 2 && leap(year));
}

static int64_t days_of(int64_t year, int month, int day)
{
    int64_t y = year - (month <= 2), era = floor_div(y, 400);
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;

    return era * ERA_DAYS + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           ERA_TO_1970;
}

void kr_civil_of(int64_t seconds, uint32_t nanos, struct kr_civil *out)
{
    int64_t days = floor_div(seconds, DAY_SECONDS);
    int64_t left = seconds - days * DAY_SECONDS;
    int64_t z = days + ERA_TO_1970, era = floor_div(z, ERA_DAYS), doe = z - era * ERA_DAYS;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t march = (5 * doy + 2) / 153; /* months since March */
    int64_t year = yoe + era * 400 + (march >= 10);

    out->year = (int32_t)year;
    out->month = (uint8_t)(march < 10 ? march + 3 : march - 9);
    out->day = (uint8_t)(doy - (153 * march + 2) / 5 + 1);
    out->hour = (uint8_t)(left / 3600);
    out->minute = (uint8_t)(left / 60 % 60);
    out->second = (uint8_t)(left % 60);
    out->nanos = nanos;
    out->weekday = (uint8_t)(((days + 4) % 7 + 7) % 7); /* 1 January 1970 was a Thursday */
    out->yearday = (uint16_t)(days - days_of(year, 1, 1));
}

int64_t kr_civil_seconds(const struct kr_civil *c)
{
    return days_of(c->year, c->month, c->day) * DAY_SECONDS + c->hour * 3600 + c->minute * 60 +
           c->second;
}

/* ---- RFC 3339 ---- */

/* Takes exactly n digits off the front. */
static bool take_digits(kr_str *s, size_t n, int *out)
{
    int v = 0;

    if (s->n < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (s->s[i] < '0' || s->s[i] > '9')
            return false;
        v = v * 10 + (s->s[i] - '0');
    }
    *s = kr_str_sub(*s, n, s->n);
    *out = v;
    return true;
}

static bool take_chr(kr_str *s, char c)
{
    if (s->n == 0 || s->s[0] != c)
        return false;
    *s = kr_str_sub(*s, 1, s->n);
    return true;
}

static bool take_date(kr_str *s, int *year, int *month, int *day)
{
    return take_digits(s, 4, year) && take_chr(s, '-') && take_digits(s, 2, month) &&
           take_chr(s, '-') && take_digits(s, 2, day) && *month >= 1 && *month <= 12 && *day >= 1 &&
           *day <= days_in(*year, *month);
}

/* Go's "15" takes one digit as well as two. */
static bool take_clock(kr_str *s, int *hour, int *minute, int *second)
{
    bool two = s->n > 1 && s->s[1] >= '0' && s->s[1] <= '9';

    return take_digits(s, two ? 2 : 1, hour) && take_chr(s, ':') && take_digits(s, 2, minute) &&
           take_chr(s, ':') && take_digits(s, 2, second) && *hour < 24 && *minute < 60 &&
           *second < 60;
}

/* ".5" or ",5": any number of digits, those beyond nanoseconds are dropped; none at all is legal.
 */
static bool take_fraction(kr_str *s, uint32_t *nanos)
{
    uint32_t scale = (uint32_t)NS_SECOND / 10;
    int digit;

    *nanos = 0;
    if (s->n < 2 || (s->s[0] != '.' && s->s[0] != ',') || s->s[1] < '0' || s->s[1] > '9')
        return true;
    *s = kr_str_sub(*s, 1, s->n);
    for (; take_digits(s, 1, &digit); scale /= 10)
        *nanos += (uint32_t)digit * scale;
    return true;
}

/* Z or +hh:mm. Go lets 24 hours and 60 minutes pass. */
static bool take_zone(kr_str *s, int *minutes)
{
    int sign, h, m;

    *minutes = 0;
    if (take_chr(s, 'Z'))
        return true;
    sign = take_chr(s, '+') ? 1 : take_chr(s, '-') ? -1 : 0;
    if (!sign || !take_digits(s, 2, &h) || !take_chr(s, ':') || !take_digits(s, 2, &m) || h > 24 ||
        m > 60)
        return false;
    *minutes = sign * (h * 60 + m);
    return true;
}

bool kr_time_parse_zone(kr_str s, int64_t *seconds, uint32_t *nanos, int16_t *zone_minutes)
{
    int year, month, day, hour, minute, second, zone;
    uint32_t fraction;

    if (!take_date(&s, &year, &month, &day) || !take_chr(&s, 'T') ||
        !take_clock(&s, &hour, &minute, &second) || !take_fraction(&s, &fraction) ||
        !take_zone(&s, &zone) || s.n != 0)
        return false;
    *seconds =
        days_of(year, month, day) * DAY_SECONDS + hour * 3600 + minute * 60 + second - zone * 60;
    *nanos = fraction;
    *zone_minutes = (int16_t)zone;
    return true;
}

bool kr_time_parse(kr_str s, int64_t *seconds, uint32_t *nanos)
{
    int16_t zone;

    return kr_time_parse_zone(s, seconds, nanos, &zone);
}

/* Appends .123456789 without trailing zeros; nothing for 0. */
static size_t put_fraction(char *out, size_t room, uint32_t value, int digits)
{
    size_t n;

    if (value == 0)
        return 0;
    n = (size_t)snprintf(out, room, ".%0*u", digits, value);
    while (out[n - 1] == '0')
        n--;
    out[n] = 0;
    return n;
}

static char *put_digits(char *out, uint32_t v, uint32_t n)
{
    for (uint32_t i = n; i-- > 0; v /= 10)
        out[i] = (char)('0' + v % 10);
    return out + n;
}

/* Times of objects are written by the thousand, and years of four digits need no printf. */
static size_t put_civil(char out[KR_TIME_TEXT_MAX], const struct kr_civil *c)
{
    char *at;

    if (c->year < 0 || c->year > 9999)
        return (size_t)snprintf(out, KR_TIME_TEXT_MAX, "%s%04d-%02u-%02uT%02u:%02u:%02u",
                                c->year < 0 ? "-" : "", c->year < 0 ? -c->year : c->year, c->month,
                                c->day, c->hour, c->minute, c->second);
    at = put_digits(out, (uint32_t)c->year, 4);
    *at++ = '-';
    at = put_digits(at, c->month, 2);
    *at++ = '-';
    at = put_digits(at, c->day, 2);
    *at++ = 'T';
    at = put_digits(at, c->hour, 2);
    *at++ = ':';
    at = put_digits(at, c->minute, 2);
    *at++ = ':';
    at = put_digits(at, c->second, 2);
    *at = 0;
    return (size_t)(at - out);
}

size_t kr_time_text_zone(int64_t seconds, uint32_t nanos, int16_t zone_minutes,
                         char out[KR_TIME_TEXT_MAX])
{
    struct kr_civil c;
    int zone = zone_minutes < 0 ? -zone_minutes : zone_minutes;
    size_t n;

    kr_civil_of(seconds + zone_minutes * 60, nanos, &c);
    n = put_civil(out, &c);
    n += put_fraction(out + n, KR_TIME_TEXT_MAX - n, nanos, 9);
    if (zone == 0) {
        out[n] = 'Z';
        out[n + 1] = 0;
        return n + 1;
    }
    return n + (size_t)snprintf(out + n, KR_TIME_TEXT_MAX - n, "%c%02d:%02d",
                                zone_minutes < 0 ? '-' : '+', zone / 60, zone % 60);
}

size_t kr_time_text(int64_t seconds, uint32_t nanos, char out[KR_TIME_TEXT_MAX])
{
    return kr_time_text_zone(seconds, nanos, 0, out);
}

/* ---- durations ---- */

/* Takes leading digits; false on overflow over 2^63. */
static bool take_whole(kr_str *s, uint64_t *out)
{
    int digit;

    *out = 0;
    while (take_digits(s, 1, &digit)) {
        if (*out > (1ull << 63) / 10)
            return false;
        *out = *out * 10 + (uint64_t)digit;
        if (*out > 1ull << 63)
            return false;
    }
    return true;
}

/* Digits behind the dot as value/scale; what does not fit is dropped. */
static void take_part(kr_str *s, uint64_t *value, double *scale)
{
    bool full = false;
    int digit;

    *value = 0;
    *scale = 1;
    while (take_digits(s, 1, &digit)) {
        uint64_t next = *value * 10 + (uint64_t)digit;

        if (full || *value > ((1ull << 63) - 1) / 10 || next > 1ull << 63) {
            full = true;
            continue;
        }
        *value = next;
        *scale *= 10;
    }
}

static bool take_unit(kr_str *s, uint64_t *ns)
{
    static const struct {
        kr_str name;
        uint64_t ns;
    } units[] = {
        {{"ns", 2}, 1},
        {{"us", 2}, 1000},
        {{"\xc2\xb5s", 3}, 1000}, /* U+00B5 micro sign */
        {{"\xce\xbcs", 3}, 1000}, /* U+03BC Greek mu */
        {{"ms", 2}, 1000000},
        {{"s", 1}, NS_SECOND},
        {{"m", 1}, 60 * NS_SECOND},
        {{"h", 1}, 3600 * NS_SECOND},
    };
    size_t n = 0;

    while (n < s->n && s->s[n] != '.' && (s->s[n] < '0' || s->s[n] > '9'))
        n++;
    for (size_t i = 0; i < KR_N(units); i++) {
        if (kr_str_eq(kr_str_sub(*s, 0, n), units[i].name)) {
            *s = kr_str_sub(*s, n, s->n);
            *ns = units[i].ns;
            return true;
        }
    }
    return false;
}

/* One number with its unit, in nanoseconds. */
static bool take_term(kr_str *s, uint64_t *ns)
{
    size_t before = s->n;
    uint64_t whole, part = 0, unit;
    double scale = 1;
    bool digits;

    if (!take_whole(s, &whole))
        return false;
    digits = s->n != before;
    if (take_chr(s, '.')) {
        before = s->n;
        take_part(s, &part, &scale);
        digits = digits || s->n != before;
    }
    if (!digits || !take_unit(s, &unit) || whole > (1ull << 63) / unit)
        return false;
    *ns = whole * unit;
    if (part > 0) /* the same rounding as Go's: through double */
        *ns += (uint64_t)((double)part * ((double)unit / scale));
    return *ns <= 1ull << 63;
}

bool kr_duration_parse(kr_str s, int64_t *nanos)
{
    bool neg = take_chr(&s, '-');
    uint64_t sum = 0;

    if (!neg)
        take_chr(&s, '+');
    if (kr_str_is(s, "0")) {
        *nanos = 0;
        return true;
    }
    if (s.n == 0)
        return false;
    while (s.n) {
        uint64_t term;

        if (!take_term(&s, &term))
            return false;
        sum += term;
        if (sum > 1ull << 63)
            return false;
    }
    if (!neg && sum > INT64_MAX)
        return false;
    *nanos = neg ? (int64_t)-sum : (int64_t)sum;
    return true;
}

/* Below one second: the largest unit that gives at least 1. */
static size_t put_small(uint64_t ns, char *out, size_t room)
{
    size_t n;

    if (ns < 1000)
        return (size_t)snprintf(out, room, "%uns", (unsigned)ns);
    if (ns < 1000000) {
        n = (size_t)snprintf(out, room, "%u", (unsigned)(ns / 1000));
        n += put_fraction(out + n, room - n, (uint32_t)(ns % 1000), 3);
        return n + (size_t)snprintf(out + n, room - n, "\xc2\xb5s");
    }
    n = (size_t)snprintf(out, room, "%u", (unsigned)(ns / 1000000));
    n += put_fraction(out + n, room - n, (uint32_t)(ns % 1000000), 6);
    return n + (size_t)snprintf(out + n, room - n, "ms");
}

size_t kr_duration_text(int64_t nanos, char out[KR_TIME_TEXT_MAX])
{
    uint64_t ns = nanos < 0 ? -(uint64_t)nanos : (uint64_t)nanos;
    uint64_t seconds = ns / NS_SECOND;
    size_t n = 0;

    if (ns == 0)
        return (size_t)snprintf(out, KR_TIME_TEXT_MAX, "0s");
    if (nanos < 0)
        out[n++] = '-';
    if (ns < NS_SECOND)
        return n + put_small(ns, out + n, KR_TIME_TEXT_MAX - n);
    if (seconds >= 3600)
        n += (size_t)snprintf(out + n, KR_TIME_TEXT_MAX - n, "%lluh",
                              (unsigned long long)(seconds / 3600));
    if (seconds >= 60)
        n += (size_t)snprintf(out + n, KR_TIME_TEXT_MAX - n, "%um", (unsigned)(seconds / 60 % 60));
    n += (size_t)snprintf(out + n, KR_TIME_TEXT_MAX - n, "%u", (unsigned)(seconds % 60));
    n += put_fraction(out + n, KR_TIME_TEXT_MAX - n, (uint32_t)(ns % NS_SECOND), 9);
    return n + (size_t)snprintf(out + n, KR_TIME_TEXT_MAX - n, "s");
}
