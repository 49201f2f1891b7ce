/* SPDX-License-Identifier: Apache-2.0 */
/* names.c - an open hash table over an arena that only grows. One for the process; not for threads. */
#include "cel/base/names.h"

#include "cel/base/banned.h"

enum { SLOTS = 2 * KR_NAMES_MAX };

_Static_assert((SLOTS & (SLOTS - 1)) == 0, "a hash is cut to a slot by a mask");

static struct {
    struct kr_arena arena;
    kr_str *slots; /* SLOTS of them, made with the first name */
    uint32_t n;
} names;

bool kr_name_number(kr_str s, uint32_t *number)
{
    uint32_t at = (uint32_t)kr_str_hash(s) & (SLOTS - 1);

    if (s.n == 0 || s.n > KR_NAME_MAX)
        return false;
    if (!names.slots)
        names.slots = kr_alloc(sizeof(kr_str) * SLOTS);
    while (names.slots[at].s && !kr_str_eq(names.slots[at], s))
        at = (at + 1) & (SLOTS - 1);
    *number = at;
    if (names.slots[at].s)
        return true;
    if (names.n == KR_NAMES_MAX)
        return false;
    names.n++;
    names.slots[at] = kr_strdup(&names.arena, s);
    return true;
}

kr_str kr_name_of(uint32_t number)
{
    KR_ASSERT(number < SLOTS && names.slots);
    return names.slots[number];
}

kr_str kr_name(kr_str s)
{
    uint32_t number;

    return kr_name_number(s, &number) ? kr_name_of(number) : (kr_str){0};
}
