/* SPDX-License-Identifier: Apache-2.0 */
/* str.h - borrowed bytes with a length, the string type of the program. */
#ifndef KR_STR_H
#define KR_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Headers of libkrcel are C, for programs in C++ too. */
#ifdef __cplusplus
#define KR_C_BEGIN extern "C" {
#define KR_C_END }
#else
#define KR_C_BEGIN
#define KR_C_END
#endif

KR_C_BEGIN

typedef struct {
    const char *s; /* not NUL-terminated in general; may be NULL when n is 0 */
    size_t n;      /* bytes */
} kr_str;

#define KR_S(literal) ((kr_str){"" literal, sizeof(literal) - 1})
#define KR_FMT "%.*s"
#define KR_ARG(str) (int)(str).n, (str).s ? (str).s : ""

static inline kr_str kr_str_c(const char *s) /* NULL gives the empty string */
{
    return (kr_str){s, s ? strlen(s) : 0};
}

/* n equal bytes? Names are short: two overlapping words decide up to 16, without a call. */
static inline bool kr_bytes_eq(const char *x, const char *y, size_t n)
{
    if (n - 8 <= 8) {
        uint64_t a[2];
        uint64_t b[2];

        memcpy(&a[0], x, 8);
        memcpy(&a[1], x + n - 8, 8);
        memcpy(&b[0], y, 8);
        memcpy(&b[1], y + n - 8, 8);
        return ((a[0] ^ b[0]) | (a[1] ^ b[1])) == 0;
    }
    if (n - 4 < 4) {
        uint32_t a[2];
        uint32_t b[2];

        memcpy(&a[0], x, 4);
        memcpy(&a[1], x + n - 4, 4);
        memcpy(&b[0], y, 4);
        memcpy(&b[1], y + n - 4, 4);
        return ((a[0] ^ b[0]) | (a[1] ^ b[1])) == 0;
    }
    if (n < 4)
        return n == 0 || (x[0] == y[0] && x[n / 2] == y[n / 2] && x[n - 1] == y[n - 1]);
    return memcmp(x, y, n) == 0;
}

static inline bool kr_str_eq(kr_str a, kr_str b)
{
    return a.n == b.n && kr_bytes_eq(a.s, b.s, a.n);
}

#define kr_str_is(str, literal) kr_str_eq((str), KR_S(literal))

int kr_str_cmp(kr_str a, kr_str b); /* byte order: <0, 0, >0 */
bool kr_str_starts(kr_str s, kr_str prefix);
bool kr_str_ends(kr_str s, kr_str suffix);
ptrdiff_t kr_str_find(kr_str s, kr_str needle);      /* offset or -1 */
ptrdiff_t kr_str_chr(kr_str s, char c);              /* offset or -1 */
ptrdiff_t kr_str_rchr(kr_str s, char c);             /* last offset or -1 */
kr_str kr_str_sub(kr_str s, size_t from, size_t to); /* clipped to s */
kr_str kr_str_trim(kr_str s);                        /* ASCII blanks off both ends */
/* Cuts *rest at the first sep: returns the part before it and moves *rest behind it; without sep
 * returns all of it and leaves {NULL, 0}. Loop while rest.s is not NULL. */
kr_str kr_str_cut(kr_str *rest, char sep);
uint64_t kr_str_hash(kr_str s); /* in-memory hash (xxHash3); not for storage */

/* Whole-string decimal integers as strconv.ParseInt and ParseUint with base 10: a sign is legal for
 * i64 only. Return false (and write nothing) on anything else or overflow. */
bool kr_str_i64(kr_str s, int64_t *out);
bool kr_str_u64(kr_str s, uint64_t *out);

KR_C_END

#endif
