/* SPDX-License-Identifier: Apache-2.0 */
/* digest.c - digests by libcrypto; FNV, hex, base64 and UUIDs by hand. */
#include "cel/base/digest.h"

#include <openssl/evp.h>

#include "cel/base/banned.h"

#define FNV64_START 0xcbf29ce484222325ull
#define FNV64_PRIME 0x100000001b3ull
#define FNV32_START 0x811c9dc5u
#define FNV32_PRIME 0x01000193u

_Static_assert(KR_DIGEST_MAX == EVP_MAX_MD_SIZE, "room for the largest digest");

/* Looked up among libcrypto's providers once: for a short text that costs more than the digest. */
static const EVP_MD *algorithm(enum kr_digest_kind kind)
{
    static const char *const names[] = {
        [KR_MD5] = "MD5", [KR_SHA1] = "SHA1", [KR_SHA256] = "SHA256", [KR_SHA512] = "SHA512"};
    static EVP_MD *known[KR_N(names)];
    EVP_MD *md = __atomic_load_n(&known[kind], __ATOMIC_ACQUIRE), *first = NULL;

    if (md)
        return md;
    md = EVP_MD_fetch(NULL, names[kind], NULL);
    KR_ASSERT(md != NULL);
    if (__atomic_compare_exchange_n(&known[kind], &first, md, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE))
        return md;
    EVP_MD_free(md); /* another thread was first */
    return first;
}

size_t kr_digest_bytes(enum kr_digest_kind kind, kr_str s, uint8_t out[KR_DIGEST_MAX])
{
    unsigned n = 0;
    int done = EVP_Digest(s.n ? s.s : "", s.n, out, &n, algorithm(kind), NULL);

    KR_ASSERT(done == 1);
    return n;
}

uint64_t kr_fnv1a64(kr_str s)
{
    uint64_t h = FNV64_START;

    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (uint8_t)s.s[i]) * FNV64_PRIME;
    return h;
}

uint32_t kr_fnv1a32(kr_str s)
{
    uint32_t h = FNV32_START;

    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (uint8_t)s.s[i]) * FNV32_PRIME;
    return h;
}

uint64_t kr_fnv64(kr_str s)
{
    uint64_t h = FNV64_START;

    for (size_t i = 0; i < s.n; i++)
        h = (h * FNV64_PRIME) ^ (uint8_t)s.s[i];
    return h;
}

kr_str kr_hex(struct kr_arena *a, const uint8_t *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    char *s = kr_arena_bytes(a, n * 2 + 1);

    for (size_t i = 0; i < n; i++) {
        s[i * 2] = digits[bytes[i] >> 4];
        s[i * 2 + 1] = digits[bytes[i] & 15];
    }
    s[n * 2] = 0;
    return (kr_str){s, n * 2};
}

static const char base64_std[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

kr_str kr_base64_encode(struct kr_arena *a, kr_str bytes, enum kr_base64 kind)
{
    const char *alphabet = kind == KR_BASE64_STD ? base64_std : base64_url;
    const uint8_t *p = (const uint8_t *)bytes.s;
    char *out = kr_arena_bytes(a, (bytes.n + 2) / 3 * 4 + 1);
    size_t n = 0;

    for (size_t i = 0; i < bytes.n; i += 3) {
        size_t left = bytes.n - i;
        uint32_t w = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
                     (left > 2 ? p[i + 2] : 0);

        out[n++] = alphabet[w >> 18];
        out[n++] = alphabet[w >> 12 & 63];
        if (left > 1)
            out[n++] = alphabet[w >> 6 & 63];
        else if (kind == KR_BASE64_STD)
            out[n++] = '=';
        if (left > 2)
            out[n++] = alphabet[w & 63];
        else if (kind == KR_BASE64_STD)
            out[n++] = '=';
    }
    out[n] = 0;
    return (kr_str){out, n};
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* The next character that is no line end; false at the end. */
static bool base64_next(kr_str *text, char *c)
{
    while (text->n) {
        *c = text->s[0];
        *text = kr_str_sub(*text, 1, text->n);
        if (*c != '\n' && *c != '\r')
            return true;
    }
    return false;
}

/* Four characters to three bytes. Returns the bytes written, 0 at the end, -1 on a bad quantum. */
static int base64_quantum(kr_str *text, char *out, bool *last)
{
    uint32_t w = 0;
    int digits = 0, pads = 0;
    char c;

    while (digits + pads < 4) {
        int d;

        if (!base64_next(text, &c))
            return digits + pads == 0 ? 0 : -1;
        d = base64_digit(c);
        if (c == '=' && digits >= 2)
            pads++;
        else if (d >= 0 && pads == 0)
            w |= (uint32_t)d << (18 - 6 * digits++);
        else
            return -1;
    }
    for (int i = 0; i < digits - 1; i++)
        out[i] = (char)(w >> (16 - 8 * i));
    *last = pads > 0;
    return digits - 1;
}

bool kr_base64_decode(struct kr_arena *a, kr_str text, kr_str *out)
{
    char *bytes = kr_arena_bytes(a, text.n / 4 * 3 + 3);
    size_t n = 0;
    bool last = false;
    char c;
    int got;

    while (!last) {
        got = base64_quantum(&text, bytes + n, &last);
        if (got < 0)
            return false;
        if (got == 0)
            break;
        n += (size_t)got;
    }
    if (base64_next(&text, &c))
        return false; /* something behind the padding */
    *out = (kr_str){bytes, n};
    return true;
}

kr_str kr_uuid5(struct kr_arena *a, kr_str name)
{
    static const uint8_t url_space[16] = {0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1,
                                          0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8};
    char *text = kr_arena_bytes(a, sizeof(url_space) + name.n);
    uint8_t d[KR_DIGEST_MAX];
    kr_str hex;

    memcpy(text, url_space, sizeof(url_space));
    if (name.n)
        memcpy(text + sizeof(url_space), name.s, name.n);
    kr_digest_bytes(KR_SHA1, (kr_str){text, sizeof(url_space) + name.n}, d);
    d[6] = (uint8_t)((d[6] & 0x0F) | 0x50);
    d[8] = (uint8_t)((d[8] & 0x3F) | 0x80);
    hex = kr_hex(a, d, 16);
    return kr_fmt(a, "%.8s-%.4s-%.4s-%.4s-%.12s", hex.s, hex.s + 8, hex.s + 12, hex.s + 16,
                  hex.s + 20);
}
