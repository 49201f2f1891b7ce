/* SPDX-License-Identifier: Apache-2.0 */
/* internal.h - what the files of cel/base share with each other and with nobody else. */
#ifndef KR_BASE_INTERNAL_H
#define KR_BASE_INTERNAL_H

#include "cel/base/val.h"

/* Sorts pairs by key and drops all but the last of equal keys. Returns how many are left. */
uint32_t kr__pairs_sort(struct kr_pair *pairs, uint32_t n);

/* Does s, written in YAML without quotes, read as the text s and not as a bool, number or null? */
bool kr__yaml_is_text(kr_str s);

#endif
