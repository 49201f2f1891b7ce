/* SPDX-License-Identifier: Apache-2.0 */
/* str.c - comparing, searching, cutting and hashing borrowed bytes. */
#include "cel/base/str.h"

#define XXH_INLINE_ALL /* keys are short: a call into the library would cost as much as the hash   \
                        */
#include <xxhash.h>

#include "cel/base/banned.h"

enum { FIND_SHORT = 16 }; /* bytes that kr_bytes_eq compares without a call */

int kr_str_cmp(kr_str a, kr_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c;

    if (n) {
        c = (uint8_t)a.s[0] - (uint8_t)b.s[0]; /* decides most of the time, without a call */
        if (c == 0)
            c = memcmp(a.s, b.s, n);
        if (c)
            return c;
    }
    return (a.n > b.n) - (a.n < b.n);
}

bool kr_str_starts(kr_str s, kr_str prefix)
{
    return s.n >= prefix.n && kr_bytes_eq(s.s, prefix.s, prefix.n);
}

bool kr_str_ends(kr_str s, kr_str suffix)
{
    return s.n >= suffix.n && kr_bytes_eq(s.s + (s.n - suffix.n), suffix.s, suffix.n);
}

/* memmem makes a table of the needle first, which takes longer than to look for a short one. */
static ptrdiff_t find_short(kr_str s, kr_str needle)
{
    const char *end = s.s + (s.n - needle.n) + 1;

    for (const char *p = s.s; p < end; p++) {
        p = memchr(p, needle.s[0], (size_t)(end - p));
        if (!p)
            return -1;
        if (kr_bytes_eq(p, needle.s, needle.n))
            return p - s.s;
    }
    return -1;
}

ptrdiff_t kr_str_find(kr_str s, kr_str needle)
{
    const char *p;

    if (needle.n == 0)
        return 0;
    if (s.n < needle.n)
        return -1;
    if (needle.n <= FIND_SHORT)
        return find_short(s, needle);
    p = memmem(s.s, s.n, needle.s, needle.n);
    return p ? p - s.s : -1;
}

ptrdiff_t kr_str_chr(kr_str s, char c)
{
    const char *p = s.n ? memchr(s.s, c, s.n) : NULL;

    return p ? p - s.s : -1;
}

ptrdiff_t kr_str_rchr(kr_str s, char c)
{
    const char *p = s.n ? memrchr(s.s, c, s.n) : NULL;

    return p ? p - s.s : -1;
}

kr_str kr_str_sub(kr_str s, size_t from, size_t to)
{
    if (to > s.n)
        to = s.n;
    if (from > to)
        from = to;
    return (kr_str){s.s ? s.s + from : NULL, to - from};
}

static bool blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

kr_str kr_str_trim(kr_str s)
{
    size_t from = 0, to = s.n;

    while (from < to && blank(s.s[from]))
        from++;
    while (to > from && blank(s.s[to - 1]))
        to--;
    return kr_str_sub(s, from, to);
}

kr_str kr_str_cut(kr_str *rest, char sep)
{
    ptrdiff_t at = kr_str_chr(*rest, sep);
    kr_str head = *rest;

    if (at < 0) {
        *rest = (kr_str){0};
        return head;
    }
    *rest = (kr_str){head.s + at + 1, head.n - (size_t)at - 1};
    head.n = (size_t)at;
    return head;
}

uint64_t kr_str_hash(kr_str s)
{
    return XXH3_64bits(s.n ? s.s : "", s.n);
}

bool kr_str_u64(kr_str s, uint64_t *out)
{
    uint64_t u = 0;

    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.s[i] < '0' || s.s[i] > '9')
            return false;
        if (__builtin_mul_overflow(u, 10, &u) ||
            __builtin_add_overflow(u, (uint64_t)(s.s[i] - '0'), &u))
            return false;
    }
    *out = u;
    return true;
}

bool kr_str_i64(kr_str s, int64_t *out)
{
    bool neg = s.n && s.s[0] == '-';
    uint64_t u;

    if (s.n && (s.s[0] == '-' || s.s[0] == '+'))
        s = kr_str_sub(s, 1, s.n);
    if (!kr_str_u64(s, &u) || u > (uint64_t)INT64_MAX + neg)
        return false;
    *out = neg ? (int64_t)-u : (int64_t)u;
    return true;
}
