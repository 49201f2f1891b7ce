/* SPDX-License-Identifier: Apache-2.0 */
/* internal.h - what the files of cel/base share with each other and with nobody else. */
#ifndef KR_BASE_INTERNAL_H
#define KR_BASE_INTERNAL_H

#include <stdarg.h>

#include "cel/base/val.h"

/* Sorts pairs by key and drops all but the last of equal keys. Returns how many are left. */
uint32_t kr__pairs_sort(struct kr_pair *pairs, uint32_t n);

/* Does s, written in YAML without quotes, read as the text s and not as a bool, number or null? */
bool kr__yaml_is_text(kr_str s);

/* vsnprintf, quick where fmt has no conversions but %s and %.*s. */
int kr__format(char *out, size_t cap, const char *fmt, va_list ap) KR_PRINTF(3, 0);

#endif
