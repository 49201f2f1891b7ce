/* SPDX-License-Identifier: Apache-2.0 */
/* digest.h - digests over libcrypto, base64, hex, FNV, UUIDv5. */
#ifndef KR_DIGEST_H
#define KR_DIGEST_H

#include "cel/base/mem.h"

enum kr_digest_kind { KR_MD5, KR_SHA1, KR_SHA256, KR_SHA512 };
enum { KR_DIGEST_MAX = 64 };

size_t kr_digest_bytes(enum kr_digest_kind kind, kr_str s, uint8_t out[KR_DIGEST_MAX]);
uint64_t kr_fnv1a64(kr_str s);
uint32_t kr_fnv1a32(kr_str s);
uint64_t kr_fnv64(kr_str s); /* FNV-1 */

kr_str kr_hex(struct kr_arena *a, const uint8_t *bytes, size_t n);
enum kr_base64 { KR_BASE64_STD, KR_BASE64_URL_NOPAD };
kr_str kr_base64_encode(struct kr_arena *a, kr_str bytes, enum kr_base64 kind);
/* Standard alphabet with padding as Go's StdEncoding (newlines passed over). false: not base64. */
bool kr_base64_decode(struct kr_arena *a, kr_str text, kr_str *out);
/* RFC 4122 version 5 within the URL name space; 36 characters that live in a. */
kr_str kr_uuid5(struct kr_arena *a, kr_str name);

#endif
