/* SPDX-License-Identifier: Apache-2.0 */
/* hash.h - the hash of function names, which the build and the program compute alike. */
#ifndef CEL_HASH_H
#define CEL_HASH_H

#include <stddef.h>
#include <stdint.h>

/* FNV-1a. */
static inline uint32_t cel__name_hash(const char *s, size_t n)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < n; i++)
        h = (h ^ (uint8_t)s[i]) * 16777619u;
    return h;
}

#endif
