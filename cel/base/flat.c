/* SPDX-License-Identifier: Apache-2.0 */
/* flat.c - a tag, then what belongs to it; numbers have seven bits a byte, lowest first.
 *
 *   map 2 | name 17 | own 0 | name 31 | text 3 "web"          {"metadata..": <a text beside>, "app": "web"}
 *
 * The row is made and read by this file alone, in one process; so it has no version, and what is wrong in
 * it is a bug.
 */
#include "cel/base/flat.h"

#include "cel/base/names.h"

#include "cel/base/banned.h"

enum tag {
    T_NONE,
    T_NULL,
    T_FALSE,
    T_TRUE,
    T_INT,         /* number, the sign in its lowest bit */
    T_UINT,        /* number */
    T_DOUBLE,      /* eight bytes */
    T_TEXT,        /* length, bytes */
    T_NAME,        /* number */
    T_OWN,         /* number */
    T_SHARE,       /* number */
    T_LIST,        /* number of items, items */
    T_MAP,         /* number of pairs, keys and values */
    T_ASCII = 0x80 /* on T_TEXT, T_NAME and T_OWN: the value's flag */
};

/* --- writing ---------------------------------------------------------------------------------- */

static void put(struct kr_buf *out, uint8_t tag)
{
    kr_buf_chr(out, (char)tag);
}

static void put_number(struct kr_buf *out, uint64_t n)
{
    for (; n >= 0x80; n >>= 7)
        kr_buf_chr(out, (char)(n | 0x80));
    kr_buf_chr(out, (char)n);
}

static void put_tagged(struct kr_buf *out, uint8_t tag, uint64_t n)
{
    put(out, tag);
    put_number(out, n);
}

static int32_t own_number(const struct kr_flat *f, kr_val v)
{
    for (uint32_t i = 0; i < f->own_n && v.n; i++) {
        if (v.s == f->own[i].s && v.n == f->own[i].n)
            return (int32_t)i;
    }
    return -1;
}

static void write_text(kr_val v, bool name, struct kr_buf *out)
{
    uint8_t ascii = v.flags & KR_F_ASCII ? T_ASCII : 0;
    uint32_t number;

    if (name && kr_name_number(kr_text(v), &number)) {
        put_tagged(out, T_NAME | ascii, number);
        return;
    }
    put_tagged(out, T_TEXT | ascii, v.n);
    if (v.n)
        kr_buf_str(out, kr_text(v));
}

static void write_scalar(kr_val v, struct kr_buf *out)
{
    switch (v.kind) {
    case KR_NONE:
        put(out, T_NONE);
        return;
    case KR_NULL:
        put(out, T_NULL);
        return;
    case KR_BOOL:
        put(out, v.b ? T_TRUE : T_FALSE);
        return;
    case KR_INT:
        put_tagged(out, T_INT, v.u << 1 ^ (v.i < 0 ? UINT64_MAX : 0));
        return;
    case KR_UINT:
        put_tagged(out, T_UINT, v.u);
        return;
    default:
        KR_ASSERT(v.kind == KR_DOUBLE);
        put(out, T_DOUBLE);
        kr_buf_add(out, &v.d, sizeof v.d);
    }
}

static void write_at(const struct kr_flat *f, kr_val v, uint32_t depth, struct kr_buf *out)
{
    int32_t number = v.kind == KR_STRING ? own_number(f, v) : -1;

    if (number >= 0) {
        put_tagged(out, T_OWN | (v.flags & KR_F_ASCII ? T_ASCII : 0), (uint64_t)number);
        return;
    }
    number = f->share ? f->share(f->arg, v, depth) : -1;
    if (number >= 0) {
        put_tagged(out, T_SHARE, (uint64_t)number);
        return;
    }
    switch (v.kind) {
    case KR_STRING:
        write_text(v, depth == 1, out);
        return;
    case KR_LIST:
        put_tagged(out, T_LIST, v.n);
        for (uint32_t i = 0; i < v.n; i++)
            write_at(f, v.list[i], depth + 1, out);
        return;
    case KR_MAP:
        put_tagged(out, T_MAP, v.n);
        for (uint32_t i = 0; i < v.n; i++) {
            if (v.map[i].key.kind == KR_STRING)
                write_text(v.map[i].key, true, out);
            else
                write_scalar(v.map[i].key, out);
            write_at(f, v.map[i].val, depth + 1, out);
        }
        return;
    default:
        write_scalar(v, out);
    }
}

void kr_flat_write(const struct kr_flat *f, kr_val v, struct kr_buf *out)
{
    write_at(f, v, 0, out);
}

/* --- reading ---------------------------------------------------------------------------------- */

struct reader {
    const struct kr_flat *f;
    struct kr_arena *a;
    const char *at, *end;
};

static const char *take(struct reader *r, size_t n)
{
    const char *at = r->at;

    KR_ASSERT(n <= (size_t)(r->end - at));
    r->at += n;
    return at;
}

static uint64_t take_number(struct reader *r)
{
    uint64_t n = 0;

    for (unsigned shift = 0;; shift += 7) {
        uint8_t byte = (uint8_t)*take(r, 1);

        n |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return n;
    }
}

static kr_val text_of(kr_str s, uint8_t tag)
{
    kr_val v = kr_string(s);

    v.flags = tag & T_ASCII ? KR_F_ASCII : 0;
    return v;
}

static kr_val read_at(struct reader *r);

static kr_val read_list(struct reader *r)
{
    uint32_t n = (uint32_t)take_number(r);
    kr_val *items = kr_raw_n(r->a, kr_val, n);

    for (uint32_t i = 0; i < n; i++)
        items[i] = read_at(r);
    return kr_list(items, n);
}

static kr_val read_map(struct reader *r)
{
    uint32_t n = (uint32_t)take_number(r);
    struct kr_pair *pairs = kr_raw_n(r->a, struct kr_pair, n);

    for (uint32_t i = 0; i < n; i++) {
        pairs[i].key = read_at(r);
        pairs[i].val = read_at(r);
    }
    return kr_map_sorted(pairs, n);
}

static kr_val read_text(struct reader *r, uint8_t tag)
{
    uint64_t n = take_number(r);

    switch (tag & ~T_ASCII) {
    case T_NAME:
        return text_of(kr_name_of((uint32_t)n), tag);
    case T_OWN:
        KR_ASSERT(n < r->f->own_n);
        return text_of(r->f->own[n], tag);
    default:
        return text_of((kr_str){take(r, n), n}, tag);
    }
}

static kr_val read_double(struct reader *r)
{
    double d;

    memcpy(&d, take(r, sizeof d), sizeof d);
    return kr_double(d);
}

static kr_val read_int(struct reader *r)
{
    uint64_t n = take_number(r);

    return (kr_val){.kind = KR_INT, .u = n >> 1 ^ (n & 1 ? UINT64_MAX : 0)};
}

static kr_val read_at(struct reader *r)
{
    uint8_t tag = (uint8_t)*take(r, 1);

    switch (tag & ~T_ASCII) {
    case T_NONE:
        return KR_V_NONE;
    case T_NULL:
        return KR_V_NULL;
    case T_FALSE:
    case T_TRUE:
        return kr_bool(tag == T_TRUE);
    case T_INT:
        return read_int(r);
    case T_UINT:
        return kr_uint(take_number(r));
    case T_DOUBLE:
        return read_double(r);
    case T_SHARE:
        return r->f->shared(r->f->arg, (uint32_t)take_number(r));
    case T_LIST:
        return read_list(r);
    case T_MAP:
        return read_map(r);
    default:
        return read_text(r, tag);
    }
}

kr_val kr_flat_read(const struct kr_flat *f, kr_str row, struct kr_arena *a)
{
    struct reader r = {.f = f, .a = a, .at = row.s, .end = row.s + row.n};

    return read_at(&r);
}
