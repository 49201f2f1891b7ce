/* SPDX-License-Identifier: Apache-2.0 */
/* utf8.c - UTF-8 as Go's unicode/utf8 reads it. */
#include "cel/base/utf8.h"

#include "cel/base/banned.h"

#define HIGH_BITS 0x8080808080808080ull

/* Bytes of the sequence that starts with lead, and the bounds of its second byte: this is where
 * overlong forms, surrogates and runes over U+10FFFF differ from good ones. 0: no lead byte. */
static uint32_t lead_info(uint8_t lead, uint8_t *low, uint8_t *high)
{
    *low = 0x80;
    *high = 0xBF;
    if (lead < 0xC2)
        return 0;
    if (lead < 0xE0)
        return 2;
    if (lead < 0xF0) {
        if (lead == 0xE0)
            *low = 0xA0;
        if (lead == 0xED)
            *high = 0x9F;
        return 3;
    }
    if (lead == 0xF0)
        *low = 0x90;
    if (lead == 0xF4)
        *high = 0x8F;
    return lead <= 0xF4 ? 4 : 0;
}

uint32_t kr_utf8_decode(const char *s, size_t n, uint32_t *len)
{
    const uint8_t *p = (const uint8_t *)s;
    uint8_t low, high;
    uint32_t want, rune;

    *len = 1;
    if (p[0] < 0x80)
        return p[0];
    want = lead_info(p[0], &low, &high);
    if (want == 0 || want > n || p[1] < low || p[1] > high)
        return KR_RUNE_BAD;
    rune = (uint32_t)(p[0] & (0x7F >> want)) << 6 | (p[1] & 0x3F);
    for (uint32_t i = 2; i < want; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return KR_RUNE_BAD;
        rune = rune << 6 | (p[i] & 0x3F);
    }
    *len = want;
    return rune;
}

uint32_t kr_utf8_encode(uint32_t rune, char out[4])
{
    if (rune > 0x10FFFF || (rune >= 0xD800 && rune <= 0xDFFF))
        rune = KR_RUNE_BAD;
    if (rune < 0x80) {
        out[0] = (char)rune;
        return 1;
    }
    if (rune < 0x800) {
        out[0] = (char)(0xC0 | rune >> 6);
        out[1] = (char)(0x80 | (rune & 0x3F));
        return 2;
    }
    if (rune < 0x10000) {
        out[0] = (char)(0xE0 | rune >> 12);
        out[1] = (char)(0x80 | (rune >> 6 & 0x3F));
        out[2] = (char)(0x80 | (rune & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | rune >> 18);
    out[1] = (char)(0x80 | (rune >> 12 & 0x3F));
    out[2] = (char)(0x80 | (rune >> 6 & 0x3F));
    out[3] = (char)(0x80 | (rune & 0x3F));
    return 4;
}

bool kr_ascii(kr_str s)
{
    uint64_t all = 0;
    size_t i = 0;

    for (; i + 8 <= s.n; i += 8) {
        uint64_t w;

        memcpy(&w, s.s + i, 8);
        all |= w;
    }
    for (; i < s.n; i++)
        all |= (uint64_t)(uint8_t)s.s[i];
    return (all & HIGH_BITS) == 0;
}

bool kr_utf8_valid(kr_str s)
{
    uint32_t len;

    for (size_t i = 0; i < s.n; i += len) {
        if (kr_utf8_decode(s.s + i, s.n - i, &len) == KR_RUNE_BAD && len == 1)
            return false;
    }
    return true;
}

size_t kr_utf8_count(kr_str s)
{
    size_t count = 0;
    uint32_t len;

    for (size_t i = 0; i < s.n; i += len, count++)
        kr_utf8_decode(s.s + i, s.n - i, &len);
    return count;
}

size_t kr_utf8_offset(kr_str s, size_t i)
{
    size_t at = 0;
    uint32_t len;

    for (; i > 0 && at < s.n; i--, at += len)
        kr_utf8_decode(s.s + at, s.n - at, &len);
    return at;
}

/* --- on a terminal ---------------------------------------------------------------------------- */

struct range {
    uint32_t from, to;
};

static bool within(const struct range *ranges, size_t n, uint32_t rune)
{
    for (size_t i = 0; i < n; i++) {
        if (rune >= ranges[i].from && rune <= ranges[i].to)
            return true;
    }
    return false;
}

/* Source: Unicode UAX 11 (East Asian Width W and F, by block) and the marks of general category Mn
 * that ordinary texts have. */
static uint32_t columns_of(uint32_t rune)
{
    static const struct range none[] = {
        {0x0300, 0x036F}, {0x200B, 0x200F}, {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}, {0xFEFF, 0xFEFF},
    };
    static const struct range wide[] = {
        {0x1100, 0x115F},   {0x2E80, 0x303E},   {0x3041, 0x4DBF},   {0x4E00, 0xA4CF},
        {0xA960, 0xA97F},   {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},
        {0xFF01, 0xFF60},   {0xFFE0, 0xFFE6},   {0x1F300, 0x1F64F}, {0x1F680, 0x1F6FF},
        {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD},
    };

    if (rune < 0x0300)
        return 1;
    if (within(none, sizeof(none) / sizeof(*none), rune))
        return 0;
    return within(wide, sizeof(wide) / sizeof(*wide), rune) ? 2 : 1;
}

size_t kr_utf8_columns(kr_str s)
{
    size_t n = 0;
    uint32_t len;

    for (size_t i = 0; i < s.n; i += len)
        n += columns_of(kr_utf8_decode(s.s + i, s.n - i, &len));
    return n;
}
