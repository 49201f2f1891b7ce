/* SPDX-License-Identifier: Apache-2.0 */
/* val.h - kr_val, the one value from wire to expression to patch.
 *
 * A value is 16 bytes and immutable; strings, lists and maps point to memory of an arena (or of a
 * frozen record) that outlives them. A change builds a new spine and shares the rest.
 *
 *   list   n items at .list
 *   map    n pairs at .map, sorted by key: strings by bytes; no key twice. JSON objects have string
 *          keys only; CEL maps may have bool, int, uint and string keys (order: kr_val_cmp_key).
 *
 * Reading is total: a missing key, a wrong kind or KR_NONE in the middle of a path gives KR_NONE.
 * Integers stay integers: no value passes through double on its way.
 */
#ifndef KR_VAL_H
#define KR_VAL_H

#include "cel/base/mem.h"

KR_C_BEGIN

enum kr_kind {
    KR_NONE = 0, /* no value: absent */
    KR_NULL,
    KR_BOOL,
    KR_INT,
    KR_UINT,   /* JSON: an integer over INT64_MAX */
    KR_DOUBLE, /* JSON: a number with fraction or exponent, or out of integer range */
    KR_STRING,
    KR_LIST,
    KR_MAP, /* kinds up to here exist in JSON */
    KR_BYTES,
    KR_DURATION, /* .i: nanoseconds */
    KR_TIMESTAMP, /* .i: seconds since the epoch, .n: nanoseconds, .aux: int16_t minutes east of UTC, for printing */
    KR_TYPE,     /* .s, .n: the type's name as CEL prints it */
    KR_OPTIONAL, /* .ref: the value inside, or NULL for optional.none() */
    KR_OPAQUE,   /* .obj: a library type (quantity, url, ip, ...): see cel/internal.h */
    KR_OMIT,     /* the result of omit(): removes the field it stands in */
    KR_KIND_N
};

struct kr_pair;
struct kr_opaque;

typedef struct kr_val {
    uint8_t kind;  /* enum kr_kind */
    uint8_t flags; /* KR_F_* */
    uint16_t aux;
    uint32_t n; /* bytes, items or pairs; nanoseconds of a timestamp */
    union {
        bool b;
        int64_t i;
        uint64_t u;
        double d;
        const char *s;
        const struct kr_val *list;
        const struct kr_pair *map;
        const struct kr_val *ref;
        const struct kr_opaque *obj;
    };
} kr_val;

#ifndef __cplusplus
_Static_assert(sizeof(kr_val) == 16, "kr_val is passed in two registers");
#endif

struct kr_pair {
    kr_val key;
    kr_val val;
};

/* Heads every library type's object. */
struct kr_opaque {
    const struct kr_opaque_type *type; /* cel/internal.h */
};

enum { KR_F_ASCII = 1 }; /* string: known to hold bytes below 0x80 only */

#define KR_V_NONE ((kr_val){.kind = KR_NONE})
#define KR_V_NULL ((kr_val){.kind = KR_NULL})
#define KR_V_OMIT ((kr_val){.kind = KR_OMIT})

static inline kr_val kr_bool(bool b)
{
    return (kr_val){.kind = KR_BOOL, .u = b};
}
static inline kr_val kr_int(int64_t i)
{
    return (kr_val){.kind = KR_INT, .i = i};
}
static inline kr_val kr_uint(uint64_t u)
{
    return (kr_val){.kind = KR_UINT, .u = u};
}
static inline kr_val kr_double(double d)
{
    return (kr_val){.kind = KR_DOUBLE, .d = d};
}
static inline kr_val kr_string(kr_str s) /* borrows the bytes */
{
    return (kr_val){.kind = KR_STRING, .n = (uint32_t)s.n, .s = s.s ? s.s : ""};
}
#define KR_V_STR(literal) kr_string(KR_S(literal))
static inline kr_val kr_list(const kr_val *items, uint32_t n) /* borrows items */
{
    return (kr_val){.kind = KR_LIST, .n = n, .list = items};
}
/* Borrows pairs, which are sorted and unique already (else use a map builder). */
static inline kr_val kr_map_sorted(const struct kr_pair *pairs, uint32_t n)
{
    return (kr_val){.kind = KR_MAP, .n = n, .map = pairs};
}

/* The bytes of a string (or bytes, or type name); empty for every other kind. */
static inline kr_str kr_text(kr_val v)
{
    if (v.kind == KR_STRING || v.kind == KR_BYTES || v.kind == KR_TYPE)
        return (kr_str){v.s, v.n};
    return (kr_str){0};
}
static inline bool kr_is_str(kr_val v, kr_str s)
{
    return v.kind == KR_STRING && kr_str_eq(kr_text(v), s);
}
static inline bool kr_is_true(kr_val v)
{
    return v.kind == KR_BOOL && v.b;
}

/* Reading. */
kr_val kr_get(kr_val map, kr_str key);       /* member of a map */
kr_val kr_item(kr_val list, uint32_t index); /* item of a list */
kr_val kr_at(kr_val root, const char *path); /* "metadata.labels.app": dots part members */
kr_val kr_at_path(kr_val root, const kr_str *names, uint32_t n);
kr_val kr_map_find(kr_val map,
                   kr_val key); /* any key kind; int, uint and double keys compare by number */
static inline kr_str kr_at_str(kr_val root, const char *path)
{
    return kr_text(kr_at(root, path));
}

#define KR_LIST_EACH(it, listv)                                                                    \
    for (const kr_val *it = (listv).kind == KR_LIST ? (listv).list : NULL,                         \
                      *it##_end_ = it ? it + (listv).n : NULL;                                     \
         it != it##_end_; it++)
#define KR_MAP_EACH(it, mapv)                                                                      \
    for (const struct kr_pair *it = (mapv).kind == KR_MAP ? (mapv).map : NULL,                     \
                              *it##_end_ = it ? it + (mapv).n : NULL;                              \
         it != it##_end_; it++)

/* Building. The builder's memory is the arena's. A key set twice keeps the last value. */
struct kr_mapb {
    struct kr_arena *a;
    struct kr_pair *pairs;
    uint32_t n, cap;
    bool sorted;
};
struct kr_listb {
    struct kr_arena *a;
    kr_val *items;
    uint32_t n, cap;
};
#define KR_MAPB(arena)                                                                             \
    {                                                                                              \
        .a = (arena), .sorted = true                                                               \
    }
#define KR_LISTB(arena)                                                                            \
    {                                                                                              \
        .a = (arena)                                                                               \
    }
void kr_mapb_put(struct kr_mapb *b, kr_str key, kr_val v); /* borrows key's bytes */
void kr_mapb_put_val(struct kr_mapb *b, kr_val key, kr_val v);
kr_val kr_mapb_done(struct kr_mapb *b); /* sorts; the builder is empty after it */
void kr_listb_add(struct kr_listb *b, kr_val v);
kr_val kr_listb_done(struct kr_listb *b);

/* Changing by path copying: the result shares all that is not on the path. Missing maps on the way
 * are made; v of kind KR_NONE removes the member. */
kr_val kr_with(struct kr_arena *a, kr_val root, const char *path, kr_val v);
kr_val kr_with_key(struct kr_arena *a, kr_val map, kr_str key, kr_val v);
kr_val kr_with_path(struct kr_arena *a, kr_val root, const kr_str *names, uint32_t n, kr_val v);

/* Deep copy into a; nothing of v is borrowed afterwards (but a KR_OPAQUE's object, which stays
 * shared: only cel/ knows how to copy it). */
kr_val kr_copy(struct kr_arena *a, kr_val v);
/* Structural equality as JSON: 1 and 1.0 differ in kind but compare equal by number, as in Go's
 * equality.Semantic after a round trip through JSON they would. Maps by key set. Opaque objects
 * are equal when they are the same one. */
bool kr_equal(kr_val a, kr_val b);
/* Order of map keys: numbers by value before strings by bytes; bools first. */
int kr_val_cmp_key(kr_val a, kr_val b);
/* 64-bit digest of the whole value: equal values give equal digests (xxHash3); not for storage.
 * 0 for KR_NONE and for nothing else. */
uint64_t kr_digest(kr_val v);
const char *kr_kind_name(enum kr_kind kind);

KR_C_END

#endif
