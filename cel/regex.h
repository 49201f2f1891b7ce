/* SPDX-License-Identifier: Apache-2.0 */
/* regex.h - RE2 behind a C face, with Go's error texts. */
#ifndef CEL_REGEX_H
#define CEL_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct cel__regex;

enum { CEL__REGEX_ERR_MAX = 512 };

/* Compiles a pattern. Returns owned, or NULL with "error parsing regexp: ..." in err. */
struct cel__regex *cel__regex_new(const char *pattern, size_t n, char err[CEL__REGEX_ERR_MAX]);
void cel__regex_free(void *re); /* accepts NULL; fits kr_arena_defer */
/* The first match at or behind `from`: its bytes are [*start, *end). Pass NULL for a mere test. */
bool cel__regex_find(const struct cel__regex *re, const char *text, size_t n, size_t from,
                     size_t *start, size_t *end);

enum { CEL__REGEX_GROUPS_MAX = 10 }; /* the whole match and \1 to \9 */

struct cel__span {
    size_t from, to; /* from > to: the group took no part */
};
/* The same with groups: span 0 is the whole match. n: spans wanted. */
bool cel__regex_groups(const struct cel__regex *re, const char *text, size_t len, size_t from,
                       struct cel__span *spans, int n);
int cel__regex_groups_n(const struct cel__regex *re); /* capturing groups of the pattern */
/* Instructions of the compiled pattern: a match takes a time of no more than its text times this. */
size_t cel__regex_size(const struct cel__regex *re);
enum {
    CEL__REGEX_SIZE_MAX = 100 * 1000, /* RE2's limit of memory takes no larger pattern */
    CEL__REGEX_AGAIN = 16, /* a walk over all matches: instructions that make each one dearer */
};

#ifdef __cplusplus
}
#endif

#endif
