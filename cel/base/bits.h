/* SPDX-License-Identifier: Apache-2.0 */
/* bits.h - bit sets: dirty ranks, changed leaves, readers.
 *
 * The words stand where the owner put them (arena or owned memory); a set has a fixed size given at
 * creation. Up to 64 bits need no memory of their own.
 */
#ifndef KR_BITS_H
#define KR_BITS_H

#include "cel/base/mem.h"

struct kr_bits {
    uint32_t n; /* size in bits */
    union {
        uint64_t one;    /* n <= 64 */
        uint64_t *words; /* n > 64 */
    };
};

static inline uint32_t kr_bits_words_n(uint32_t n)
{
    return (n + 63) / 64;
}
static inline uint64_t *kr_bits_data(struct kr_bits *b)
{
    return b->n <= 64 ? &b->one : b->words;
}
static inline const uint64_t *kr_bits_cdata(const struct kr_bits *b)
{
    return b->n <= 64 ? &b->one : b->words;
}
static inline void kr_bits_init(struct kr_bits *b, struct kr_arena *a,
                                uint32_t n) /* all clear; lives in a */
{
    b->n = n;
    b->one = 0;
    if (n > 64)
        b->words = kr_new_n(a, uint64_t, kr_bits_words_n(n));
}
static inline void kr_bits_set(struct kr_bits *b, uint32_t i)
{
    KR_DEBUG(i < b->n);
    kr_bits_data(b)[i / 64] |= 1ull << (i % 64);
}
static inline void kr_bits_clear(struct kr_bits *b, uint32_t i)
{
    KR_DEBUG(i < b->n);
    kr_bits_data(b)[i / 64] &= ~(1ull << (i % 64));
}
static inline bool kr_bits_has(const struct kr_bits *b, uint32_t i)
{
    return i < b->n && (kr_bits_cdata(b)[i / 64] >> (i % 64) & 1);
}
static inline bool kr_bits_any(const struct kr_bits *b)
{
    const uint64_t *w = kr_bits_cdata(b);

    for (uint32_t i = 0; i < kr_bits_words_n(b->n); i++) {
        if (w[i])
            return true;
    }
    return false;
}
static inline void kr_bits_or(struct kr_bits *b, const struct kr_bits *from) /* equal sizes */
{
    uint64_t *w = kr_bits_data(b);
    const uint64_t *f = kr_bits_cdata(from);

    KR_DEBUG(b->n == from->n);
    for (uint32_t i = 0; i < kr_bits_words_n(b->n); i++)
        w[i] |= f[i];
}
static inline bool kr_bits_meet(const struct kr_bits *a,
                                const struct kr_bits *b) /* any bit in both */
{
    const uint64_t *x = kr_bits_cdata(a), *y = kr_bits_cdata(b);
    uint32_t n = a->n < b->n ? a->n : b->n;

    for (uint32_t i = 0; i < kr_bits_words_n(n); i++) {
        if (x[i] & y[i])
            return true;
    }
    return false;
}
static inline void kr_bits_fill(struct kr_bits *b) /* sets all */
{
    for (uint32_t i = 0; i < b->n; i++)
        kr_bits_set(b, i);
}
static inline void kr_bits_zero(struct kr_bits *b)
{
    memset(kr_bits_data(b), 0, sizeof(uint64_t) * kr_bits_words_n(b->n));
}
/* The lowest set bit at or above from; false when there is none. */
static inline bool kr_bits_next(const struct kr_bits *b, uint32_t from, uint32_t *out)
{
    const uint64_t *w = kr_bits_cdata(b);

    for (uint32_t i = from / 64; i < kr_bits_words_n(b->n); i++) {
        uint64_t x = w[i];

        if (i == from / 64)
            x &= ~0ull << (from % 64);
        if (x) {
            *out = i * 64 + (uint32_t)__builtin_ctzll(x);
            return true;
        }
    }
    return false;
}
/* Takes the lowest bit out; false when empty. */
static inline bool kr_bits_pop(struct kr_bits *b, uint32_t *out)
{
    if (!kr_bits_next(b, 0, out))
        return false;
    kr_bits_clear(b, *out);
    return true;
}
#define kr_bits_each(i, b) for (uint32_t i = 0; kr_bits_next((b), i, &i); i++)

#endif
