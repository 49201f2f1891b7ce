/* SPDX-License-Identifier: Apache-2.0 */
/* internal.h - what the files of cel/base share with each other and with nobody else. */
#ifndef KR_BASE_INTERNAL_H
#define KR_BASE_INTERNAL_H

#include "cel/base/val.h"

/* kr_arena_alloc without the zeroing: for arrays that are overwritten at once. */
void *kr__arena_raw(struct kr_arena *a, size_t bytes);

/* Sorts pairs by key and drops all but the last of equal keys. Returns how many are left. */
uint32_t kr__pairs_sort(struct kr_pair *pairs, uint32_t n);

#endif
