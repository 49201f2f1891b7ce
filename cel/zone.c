/* SPDX-License-Identifier: Apache-2.0 */
/* zone.c - reads TZif files: transitions, and the POSIX rule for the time behind the last one.
 *
 *   header | v1 data | header | v2 data                                         | "\n" rule "\n"
 *                               times, type of each, types (offset, dst, name)
 *
 * The C library's own reader needs a process-wide setting, which an evaluation must not touch.
 *
 * Source: RFC 8536; POSIX, environment variable TZ.
 */
#include "cel/zone.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "cel/base/time.h"

#include "cel/base/banned.h"

struct reader {
    const uint8_t *s;
    size_t n;
};

struct header {
    uint32_t utc_n, std_n, leap_n, time_n, type_n, char_n;
};

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t be64(const uint8_t *p)
{
    return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

static bool read_header(const struct reader *r, size_t at, struct header *h)
{
    const uint8_t *p = r->s + at;

    if (at + 44 > r->n || memcmp(p, "TZif", 4) != 0)
        return false;
    *h = (struct header){be32(p + 20), be32(p + 24), be32(p + 28),
                         be32(p + 32), be32(p + 36), be32(p + 40)};
    return h->time_n < 100000 && h->type_n && h->type_n <= 256 && h->char_n < 10000 &&
           h->leap_n < 1000 && h->utc_n <= 256 && h->std_n <= 256;
}

static size_t data_bytes(const struct header *h, size_t time_size)
{
    return h->time_n * (time_size + 1) + h->type_n * 6 + h->char_n + h->leap_n * (time_size + 4) +
           h->std_n + h->utc_n;
}

/* --- the rule behind the last transition ------------------------------------------------------ */

struct rule_date {
    char kind; /* 'M', 'J' or '0' */
    int month, week, day;
    int32_t time;
};

static bool rule_number(kr_str *s, int *out)
{
    int v = 0;
    size_t i = 0;

    while (i < s->n && i < 6 && s->s[i] >= '0' && s->s[i] <= '9')
        v = v * 10 + (s->s[i++] - '0');
    *s = kr_str_sub(*s, i, s->n);
    *out = v;
    return i > 0;
}

static bool rule_skip(kr_str *s, char c)
{
    if (!s->n || s->s[0] != c)
        return false;
    *s = kr_str_sub(*s, 1, s->n);
    return true;
}

/* [+-]hh[:mm[:ss]] in seconds. */
static bool rule_time(kr_str *s, int32_t *out)
{
    bool minus = rule_skip(s, '-');
    int h;
    int m = 0;
    int sec = 0;

    if (!minus)
        rule_skip(s, '+');
    if (!rule_number(s, &h))
        return false;
    if (rule_skip(s, ':') && !rule_number(s, &m))
        return false;
    if (rule_skip(s, ':') && !rule_number(s, &sec))
        return false;
    *out = (h * 60 + m) * 60 + sec;
    if (minus)
        *out = -*out;
    return true;
}

static bool rule_name(kr_str *s)
{
    size_t i = 0;

    if (rule_skip(s, '<')) {
        while (i < s->n && s->s[i] != '>')
            i++;
        if (i == s->n)
            return false;
        *s = kr_str_sub(*s, i + 1, s->n);
        return true;
    }
    while (i < s->n && (s->s[i] | 32) >= 'a' && (s->s[i] | 32) <= 'z')
        i++;
    *s = kr_str_sub(*s, i, s->n);
    return i > 0;
}

static bool rule_read_date(kr_str *s, struct rule_date *d)
{
    *d = (struct rule_date){.kind = '0', .time = 2 * 3600};
    if (rule_skip(s, 'M')) {
        d->kind = 'M';
        if (!rule_number(s, &d->month) || !rule_skip(s, '.') || !rule_number(s, &d->week) ||
            !rule_skip(s, '.') || !rule_number(s, &d->day) || d->month < 1 || d->month > 12)
            return false;
    } else {
        if (rule_skip(s, 'J'))
            d->kind = 'J';
        if (!rule_number(s, &d->day))
            return false;
    }
    return !rule_skip(s, '/') || rule_time(s, &d->time);
}

static int64_t days_of(int year, int month, int day)
{
    struct kr_civil c = {.year = year, .month = (uint8_t)month, .day = (uint8_t)day};

    return kr_civil_seconds(&c) / 86400;
}

static bool leap_year(int y)
{
    return y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
}

/* Local seconds since the epoch at which the date falls in a year. */
static int64_t rule_moment(const struct rule_date *d, int year)
{
    int64_t first = days_of(year, 1, 1);
    int64_t day;

    if (d->kind == 'J') {
        day = first + d->day - 1 + (leap_year(year) && d->day >= 60);
    } else if (d->kind == '0') {
        day = first + d->day;
    } else {
        int64_t month = days_of(year, d->month, 1);
        int64_t next = d->month == 12 ? days_of(year + 1, 1, 1) : days_of(year, d->month + 1, 1);
        int64_t weekday = ((month + 4) % 7 + 7) % 7; /* 1 January 1970 was a Thursday */

        day = month + ((d->day - weekday) % 7 + 7) % 7 + 7 * (d->week - 1);
        while (day >= next)
            day -= 7;
    }
    return day * 86400 + d->time;
}

static bool rule_offset(kr_str rule, int64_t seconds, int32_t *offset)
{
    struct kr_civil c;
    struct rule_date from;
    struct rule_date to;
    int32_t std;
    int32_t dst;
    int64_t start;
    int64_t end;
    bool in;

    if (!rule_name(&rule) || !rule_time(&rule, &std))
        return false;
    *offset = -std; /* POSIX counts westwards */
    if (!rule.n)
        return true;
    dst = std - 3600;
    if (!rule_name(&rule) || (rule.n && rule.s[0] != ',' && !rule_time(&rule, &dst)) ||
        !rule_skip(&rule, ',') || !rule_read_date(&rule, &from) || !rule_skip(&rule, ',') ||
        !rule_read_date(&rule, &to))
        return false;
    kr_civil_of(seconds - std, 0, &c);
    start = rule_moment(&from, c.year) + std;
    end = rule_moment(&to, c.year) + dst;
    in = start < end ? seconds >= start && seconds < end : seconds >= start || seconds < end;
    if (in)
        *offset = -dst;
    return true;
}

/* --- transitions ------------------------------------------------------------------------------ */

static bool offset_of_type(const struct reader *r, size_t types_at, const struct header *h,
                           uint32_t type, int32_t *offset)
{
    if (type >= h->type_n)
        return false;
    *offset = (int32_t)be32(r->s + types_at + 6 * type);
    return true;
}

static bool find_offset(const struct reader *r, size_t at, const struct header *h, int64_t seconds,
                        int32_t *offset)
{
    const uint8_t *times = r->s + at;
    const uint8_t *types = times + 8 * h->time_n;
    size_t types_at = at + 9 * (size_t)h->time_n;
    size_t rule_at = at + data_bytes(h, 8) + 1;
    uint32_t lo = 0;
    uint32_t hi = h->time_n;

    if (at + data_bytes(h, 8) > r->n)
        return false;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (be64(times + 8 * mid) <= seconds)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == 0) /* before the first: the first type, which is standard time */
        return offset_of_type(r, types_at, h, 0, offset);
    if (lo == h->time_n && rule_at < r->n) {
        kr_str rule = {(const char *)r->s + rule_at, r->n - rule_at};
        ptrdiff_t end = kr_str_chr(rule, '\n');

        if (end > 0 && rule_offset(kr_str_sub(rule, 0, (size_t)end), seconds, offset))
            return true;
    }
    return offset_of_type(r, types_at, h, types[lo - 1], offset);
}

/* Names are relative paths of plain characters; nothing leads out of the folder. */
static bool good_name(kr_str name)
{
    if (!name.n || name.n > 64 || name.s[0] == '/' || kr_str_find(name, KR_S("..")) >= 0)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.s[i];

        if (!((c | 32) >= 'a' && (c | 32) <= 'z') && !(c >= '0' && c <= '9') && !strchr("/_+-", c))
            return false;
    }
    return true;
}

static bool read_file(struct kr_arena *a, kr_str name, struct reader *r)
{
    kr_str path = kr_fmt(a, "/usr/share/zoneinfo/" KR_FMT, KR_ARG(name));
    int fd = open(path.s, O_RDONLY | O_CLOEXEC);
    uint8_t *buf;
    size_t n = 0;
    ssize_t got = 1;

    if (fd < 0)
        return false;
    buf = (uint8_t *)kr_arena_bytes(a, CEL__ZONE_FILE_MAX);
    while (n < CEL__ZONE_FILE_MAX && got > 0) {
        got = read(fd, buf + n, CEL__ZONE_FILE_MAX - n);
        n += got > 0 ? (size_t)got : 0;
    }
    close(fd);
    *r = (struct reader){buf, n};
    return got == 0;
}

bool cel__zone_offset(struct kr_arena *a, kr_str name, int64_t seconds, int32_t *offset)
{
    struct reader r;
    struct header h;
    size_t second;

    if (!good_name(name) || !read_file(a, name, &r) || !read_header(&r, 0, &h))
        return false;
    second = 44 + data_bytes(&h, 4);
    if (!read_header(&r, second, &h))
        return false;
    return find_offset(&r, second + 44, &h, seconds, offset);
}
