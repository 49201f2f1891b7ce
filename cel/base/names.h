/* SPDX-License-Identifier: Apache-2.0 */
/* names.h - one copy of each name that thousands of objects have: keys of maps, kinds, groups.
 *
 * Names are kept for ever; so there is a limit to their length and number, and whoever asks for one more
 * keeps a copy of their own.
 */
#ifndef KR_NAMES_H
#define KR_NAMES_H

#include "cel/base/mem.h"

enum {
    KR_NAME_MAX = 80,        /* bytes of a name */
    KR_NAMES_MAX = 2 * 1024, /* names in all */
};

/* The one copy of s, which stays valid for ever; .s is NULL where s is too long or there are too many. */
kr_str kr_name(kr_str s);
/* The same, as a number that kr_name_of knows for ever; false where there is no such copy. */
bool kr_name_number(kr_str s, uint32_t *number);
kr_str kr_name_of(uint32_t number);

#endif
