/* SPDX-License-Identifier: Apache-2.0 */
/* fn_strings.c - cel-go's string extension. Every index counts code points.
 *
 * Strings known to be ASCII are indexed directly; in others an index is found by walking.
 *
 * Source: cel-go ext/strings.go; reference section 12.3.
 */
#include "cel/functions.h"

#include "cel/base/utf8.h"

#include "cel/base/banned.h"

static bool ascii(kr_val s)
{
    return (s.flags & KR_F_ASCII) || kr_ascii(kr_text(s));
}

static int64_t points(kr_val s)
{
    return ascii(s) ? s.n : (int64_t)kr_utf8_count(kr_text(s));
}

static size_t byte_of(kr_val s, int64_t i)
{
    if (ascii(s))
        return i > s.n ? s.n : (size_t)i;
    return kr_utf8_offset(kr_text(s), (size_t)i);
}

static kr_val part(kr_val s, size_t from, size_t to)
{
    kr_val v = kr_string(kr_str_sub(kr_text(s), from, to));

    v.flags = s.flags & KR_F_ASCII;
    return v;
}

static int out_of_range(struct cel__vm *vm, int64_t i)
{
    return cel__raise(vm, "index out of range: %lld", (long long)i);
}

int fn_char_at(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    int64_t size = points(args[0]);
    int64_t i = args[1].i;

    if (i < 0 || i > size)
        return out_of_range(vm, i);
    *out = part(args[0], byte_of(args[0], i), i == size ? args[0].n : byte_of(args[0], i + 1));
    return 0;
}

/* Byte offset of the last needle that begins at or before `from` bytes; -1: none. */
static ptrdiff_t find_last(kr_str s, kr_str needle, size_t from)
{
    if (needle.n > s.n)
        return -1;
    if (from > s.n - needle.n)
        from = s.n - needle.n;
    for (size_t i = from + 1; i-- > 0;) {
        if (memcmp(s.s + i, needle.s, needle.n) == 0)
            return (ptrdiff_t)i;
    }
    return -1;
}

static kr_val code_point_index(kr_val s, ptrdiff_t byte)
{
    if (byte < 0)
        return kr_int(-1);
    return kr_int(ascii(s) ? byte
                           : (int64_t)kr_utf8_count(kr_str_sub(kr_text(s), 0, (size_t)byte)));
}

int fn_index_of(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    int64_t from = n > 2 ? args[2].i : 0;
    int64_t size = points(args[0]);
    size_t at;
    ptrdiff_t found;

    if (from < 0)
        return out_of_range(vm, from);
    if (!args[1].n) {
        *out = kr_int(from < size ? from : size);
        return 0;
    }
    *out = kr_int(-1);
    if (from >= size)
        return 0;
    at = byte_of(args[0], from);
    found = kr_str_find(kr_str_sub(kr_text(args[0]), at, args[0].n), kr_text(args[1]));
    if (found >= 0)
        *out = code_point_index(args[0], found + (ptrdiff_t)at);
    return 0;
}

int fn_last_index_of(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    int64_t size = points(args[0]);
    int64_t from = n > 2 ? args[2].i : size;

    if (from < 0)
        return out_of_range(vm, from);
    if (!args[1].n) {
        *out = kr_int(from < size ? from : size);
        return 0;
    }
    *out = kr_int(-1);
    if (n > 2 && from >= size)
        return 0;
    /* each place is compared with the needle */
    KR_TRY(cel__charge(vm, args[0].n / 8 + cel__look((uint64_t)args[0].n * args[1].n)));
    *out = code_point_index(args[0],
                            find_last(kr_text(args[0]), kr_text(args[1]), byte_of(args[0], from)));
    return 0;
}

int fn_join(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    kr_str sep = n > 1 ? kr_text(args[1]) : (kr_str){0};
    uint64_t size = 0;
    char *s;
    size_t at = 0;

    for (uint32_t i = 0; i < args[0].n; i++) {
        kr_val v = cel__item(vm, args[0], i);

        if (v.kind == KR_ERROR)
            return cel__raise_val(vm, v);
        if (v.kind != KR_STRING)
            return cel__raise(vm, "join: invalid input: " KR_FMT, KR_ARG(cel__print(vm->a, v)));
        size += v.n + (i ? sep.n : 0);
    }
    KR_TRY(cel__charge(vm, size / 16));
    if (size > CEL__TEXT_MAX)
        return cel__over_limit(vm);
    s = kr_arena_bytes(vm->a, size);
    for (uint32_t i = 0; i < args[0].n; i++) {
        kr_val v = cel__item(vm, args[0], i);

        if (i && sep.n) {
            memcpy(s + at, sep.s, sep.n);
            at += sep.n;
        }
        memcpy(s + at, v.s, v.n);
        at += v.n;
    }
    *out = kr_string((kr_str){s, at});
    return 0;
}

static int map_ascii(struct cel__vm *vm, kr_val v, char from, char to, kr_val *out)
{
    char *s = kr_arena_bytes(vm->a, v.n);

    for (uint32_t i = 0; i < v.n; i++)
        s[i] = v.s[i] >= from && v.s[i] <= to ? (char)(v.s[i] ^ 32) : v.s[i];
    v.s = s;
    *out = v;
    return 0;
}

int fn_lower_ascii(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return map_ascii(vm, args[0], 'A', 'Z', out);
}

int fn_upper_ascii(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return map_ascii(vm, args[0], 'a', 'z', out);
}

/* Bytes of the code point at s[i]. */
static uint32_t rune_len(kr_str s, size_t i)
{
    uint32_t len;

    kr_utf8_decode(s.s + i, s.n - i, &len);
    return len;
}

/* As kr_str_find; most of what is looked for is a single byte. */
static ptrdiff_t find_text(kr_str s, kr_str what)
{
    return what.n == 1 ? kr_str_chr(s, what.s[0]) : kr_str_find(s, what);
}

/* Where the next replacement goes at or behind `at`; -1: nowhere. An empty `old` stands before
 * every code point and at the end. */
static ptrdiff_t next_old(kr_str s, kr_str old, size_t at)
{
    ptrdiff_t found;

    if (!old.n)
        return (ptrdiff_t)at;
    found = find_text(kr_str_sub(s, at, s.n), old);
    return found < 0 ? -1 : found + (ptrdiff_t)at;
}

int fn_replace(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    KR_AUTO(kr_buf) b = KR_BUF_IN(vm->a, CEL__TEXT_MAX);
    kr_str s = kr_text(args[0]);
    kr_str old = kr_text(args[1]);
    kr_str with = kr_text(args[2]);
    int64_t left = n > 3 && args[3].i >= 0 ? args[3].i : INT64_MAX;
    size_t at = 0;

    for (; left > 0 && at <= s.n; left--) {
        ptrdiff_t found = next_old(s, old, at);

        if (found < 0)
            break;
        KR_TRY(cel__charge(vm, 1 + with.n / 16));
        kr_buf_str(&b, kr_str_sub(s, at, (size_t)found));
        kr_buf_str(&b, with);
        at = (size_t)found + old.n;
        if (!old.n) {
            uint32_t len = at < s.n ? rune_len(s, at) : 1;

            kr_buf_str(&b, kr_str_sub(s, at, at + len));
            at += len;
        }
    }
    kr_buf_str(&b, kr_str_sub(s, at, s.n));
    if (b.full)
        return cel__over_limit(vm);
    *out = kr_string(kr_buf_view(&b));
    return 0;
}

int fn_reverse_string(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    kr_str s = kr_text(args[0]);
    char *r = kr_arena_bytes(vm->a, s.n);
    size_t end = s.n;

    for (size_t i = 0; i < s.n;) {
        uint32_t len = rune_len(s, i);

        end -= len;
        memcpy(r + end, s.s + i, len);
        i += len;
    }
    *out = args[0];
    out->s = r;
    return 0;
}

/* End of the piece that begins at `at`, and where the next begins. */
static size_t piece_end(kr_str s, kr_str sep, size_t at, size_t *next)
{
    ptrdiff_t found;

    if (!sep.n) {
        *next = at + (at < s.n ? rune_len(s, at) : 1);
        return *next;
    }
    found = find_text(kr_str_sub(s, at, s.n), sep);
    if (found < 0) {
        *next = s.n + 1;
        return s.n;
    }
    *next = at + (size_t)found + sep.n;
    return at + (size_t)found;
}

int fn_split(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    struct kr_listb b = KR_LISTB(vm->a);
    kr_str s = kr_text(args[0]);
    kr_str sep = kr_text(args[1]);
    int64_t left = n > 2 && args[2].i >= 0 ? args[2].i : INT64_MAX;
    size_t at = 0;

    if (left == 0 || (!s.n && !sep.n)) {
        *out = kr_list(NULL, 0);
        return 0;
    }
    while (left > 1 && at <= s.n && !(at == s.n && !sep.n)) {
        size_t next;
        size_t end = piece_end(s, sep, at, &next);

        if (next > s.n || (!sep.n && next == s.n))
            break;
        KR_TRY(cel__charge(vm, 1));
        kr_listb_add(&b, part(args[0], at, end));
        at = next;
        left--;
    }
    kr_listb_add(&b, part(args[0], at, s.n));
    *out = kr_listb_done(&b);
    return 0;
}

int fn_substring(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    int64_t size = points(args[0]);
    int64_t from = args[1].i;
    int64_t to = n > 2 ? args[2].i : size;

    if (n > 2 && from > to)
        return cel__raise(vm, "invalid substring range. start: %lld, end: %lld", (long long)from,
                          (long long)to);
    if (from < 0 || from > size)
        return out_of_range(vm, from);
    if (to < 0 || to > size)
        return out_of_range(vm, to);
    *out = part(args[0], byte_of(args[0], from), byte_of(args[0], to));
    return 0;
}

/* Unicode White_Space. */
static bool is_space(uint32_t r)
{
    return (r >= 9 && r <= 13) || r == 0x20 || r == 0x85 || r == 0xa0 || r == 0x1680 ||
           (r >= 0x2000 && r <= 0x200a) || r == 0x2028 || r == 0x2029 || r == 0x202f ||
           r == 0x205f || r == 0x3000;
}

int fn_trim(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    kr_str s = kr_text(args[0]);
    size_t from = 0;
    size_t to = 0;

    while (from < s.n) {
        uint32_t len;

        if (!is_space(kr_utf8_decode(s.s + from, s.n - from, &len)))
            break;
        from += len;
    }
    to = from;
    for (size_t i = from; i < s.n;) {
        uint32_t len;
        uint32_t r = kr_utf8_decode(s.s + i, s.n - i, &len);

        i += len;
        if (!is_space(r))
            to = i;
    }
    *out = part(args[0], from, to);
    return 0;
}

int fn_quote(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    static const char from[] = "\a\b\f\n\r\t\v\\\"";
    static const char to[] = "abfnrtv\\\"";
    KR_AUTO(kr_buf) b = KR_BUF_IN(vm->a, CEL__TEXT_MAX);
    kr_str s = kr_text(args[0]);

    kr_buf_chr(&b, '"');
    for (size_t i = 0; i < s.n;) {
        uint32_t len;
        uint32_t r = kr_utf8_decode(s.s + i, s.n - i, &len);
        const char *p = r && r < 0x80 ? strchr(from, (int)r) : NULL;

        if (p) {
            kr_buf_chr(&b, '\\');
            kr_buf_chr(&b, to[p - from]);
        } else if (r == KR_RUNE_BAD && len == 1) {
            kr_buf_str(&b, KR_S("\xef\xbf\xbd"));
        } else {
            kr_buf_str(&b, kr_str_sub(s, i, i + len));
        }
        i += len;
    }
    kr_buf_chr(&b, '"');
    if (b.full)
        return cel__over_limit(vm);
    *out = kr_string(kr_buf_view(&b));
    return 0;
}
