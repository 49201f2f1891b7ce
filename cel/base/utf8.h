/* SPDX-License-Identifier: Apache-2.0 */
/* utf8.h - UTF-8: decode, encode, validate, count. Surrogates and overlong forms are invalid. */
#ifndef KR_UTF8_H
#define KR_UTF8_H

#include "cel/base/str.h"

enum { KR_RUNE_BAD = 0xFFFD };

/* Decodes the code point at s[0..n), n > 0; *len gets its bytes. Invalid: KR_RUNE_BAD and *len 1,
 * as Go's utf8.DecodeRune. */
uint32_t kr_utf8_decode(const char *s, size_t n, uint32_t *len);
uint32_t kr_utf8_encode(uint32_t rune, char out[4]); /* bytes written; invalid runes as U+FFFD */
bool kr_utf8_valid(kr_str s);
size_t kr_utf8_count(kr_str s); /* code points; each invalid byte counts one */
/* Byte offset of code point number i; s.n when there are fewer. */
size_t kr_utf8_offset(kr_str s, size_t i);
bool kr_ascii(kr_str s);
/* Columns that s takes on a terminal: wide characters (CJK, emoji) two, combining ones none. */
size_t kr_utf8_columns(kr_str s);

#endif
