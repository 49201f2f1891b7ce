/* SPDX-License-Identifier: Apache-2.0 */
/* val.c - reading, building, changing, comparing and digesting values.
 *
 * Numbers of different kinds are compared without passing through double: an integer equals a
 * double only when the double is integral and has that very value. The digest follows: integral
 * doubles are digested as the integer they equal.
 */
#include "cel/base/val.h"

#include <math.h>

#define XXH_INLINE_ALL /* inputs are mostly 16 bytes */
#include <xxhash.h>

#include "cel/base/banned.h"
#include "cel/base/internal.h"

enum { SORT_INSERT_MAX = 12, BUILDER_FIRST = 8, SMALL_MAP = 16 };

static const char *const kind_names[KR_KIND_N] = {
    [KR_NONE] = "none",     [KR_NULL] = "null",         [KR_BOOL] = "bool",
    [KR_INT] = "int",       [KR_UINT] = "uint",         [KR_DOUBLE] = "double",
    [KR_STRING] = "string", [KR_LIST] = "list",         [KR_MAP] = "map",
    [KR_BYTES] = "bytes",   [KR_DURATION] = "duration", [KR_TIMESTAMP] = "timestamp",
    [KR_TYPE] = "type",     [KR_OPTIONAL] = "optional", [KR_OPAQUE] = "opaque",
    [KR_OMIT] = "omit",
};

const char *kr_kind_name(enum kr_kind kind)
{
    return (unsigned)kind < KR_KIND_N ? kind_names[kind] : "unknown";
}

/* ---- order and equality ---- */

static bool is_number(kr_val v)
{
    return v.kind == KR_INT || v.kind == KR_UINT || v.kind == KR_DOUBLE;
}

/* The integer a number equals, as sign and magnitude; false when it has none below 2^64. */
static bool integral(kr_val v, bool *neg, uint64_t *magnitude)
{
    switch (v.kind) {
    case KR_INT:
        *neg = v.i < 0;
        *magnitude = v.i < 0 ? -(uint64_t)v.i : (uint64_t)v.i;
        return true;
    case KR_UINT:
        *neg = false;
        *magnitude = v.u;
        return true;
    default:
        if (!(fabs(v.d) < 0x1p64) || trunc(v.d) != v.d)
            return false;
        *neg = v.d < 0;
        *magnitude = (uint64_t)fabs(v.d);
        return true;
    }
}

static int cmp_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int cmp_integral(bool a_neg, uint64_t a, bool b_neg, uint64_t b)
{
    if (a_neg != b_neg)
        return a_neg ? -1 : 1;
    return a_neg ? cmp_u64(b, a) : cmp_u64(a, b);
}

/* Order of two numbers of any kind. NaN comes after all others and equals nothing. */
static int cmp_number(kr_val a, kr_val b)
{
    bool a_neg, b_neg;
    uint64_t a_mag, b_mag;
    double ad, bd;

    if (integral(a, &a_neg, &a_mag) && integral(b, &b_neg, &b_mag))
        return cmp_integral(a_neg, a_mag, b_neg, b_mag);
    ad = a.kind == KR_DOUBLE ? a.d : a.kind == KR_INT ? (double)a.i : (double)a.u;
    bd = b.kind == KR_DOUBLE ? b.d : b.kind == KR_INT ? (double)b.i : (double)b.u;
    if (isnan(ad))
        return 1;
    if (isnan(bd))
        return -1;
    if (ad != bd)
        return ad < bd ? -1 : 1;
    /* Equal only after rounding: the double has a fraction or is over 2^64, so it is not b. */
    return a.kind == KR_DOUBLE && b.kind == KR_DOUBLE ? 0 : a.kind == KR_DOUBLE ? 1 : -1;
}

static int key_rank(kr_val k)
{
    return k.kind == KR_BOOL ? 0 : is_number(k) ? 1 : k.kind == KR_STRING ? 2 : 3 + k.kind;
}

int kr_val_cmp_key(kr_val a, kr_val b)
{
    int rank;

    if (a.kind == KR_STRING && b.kind == KR_STRING)
        return kr_str_cmp(kr_text(a), kr_text(b));
    rank = key_rank(a) - key_rank(b);
    if (rank)
        return rank;
    if (a.kind == KR_BOOL)
        return a.b - b.b;
    return is_number(a) ? cmp_number(a, b) : 0;
}

static bool lists_equal(kr_val a, kr_val b)
{
    if (a.n != b.n)
        return false;
    for (uint32_t i = 0; i < a.n; i++) {
        if (!kr_equal(a.list[i], b.list[i]))
            return false;
    }
    return true;
}

static bool maps_equal(kr_val a, kr_val b)
{
    if (a.n != b.n)
        return false;
    for (uint32_t i = 0; i < a.n; i++) { /* both are sorted */
        if (kr_val_cmp_key(a.map[i].key, b.map[i].key) != 0 ||
            !kr_equal(a.map[i].val, b.map[i].val))
            return false;
    }
    return true;
}

bool kr_equal(kr_val a, kr_val b)
{
    if (is_number(a) && is_number(b))
        return cmp_number(a, b) == 0;
    if (a.kind != b.kind)
        return false;
    switch (a.kind) {
    case KR_BOOL:
        return a.b == b.b;
    case KR_STRING:
    case KR_BYTES:
    case KR_TYPE:
        return kr_str_eq(kr_text(a), kr_text(b));
    case KR_LIST:
        return a.list == b.list && a.n == b.n ? true : lists_equal(a, b);
    case KR_MAP:
        return a.map == b.map && a.n == b.n ? true : maps_equal(a, b);
    case KR_DURATION:
        return a.i == b.i;
    case KR_TIMESTAMP:
        return a.i == b.i && a.n == b.n;
    case KR_OPTIONAL:
        return a.ref && b.ref ? kr_equal(*a.ref, *b.ref) : a.ref == b.ref;
    case KR_OPAQUE:
        return a.obj == b.obj;
    default:
        return true; /* none, null, omit */
    }
}

/* ---- digest ---- */

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t both[2] = {a, b};

    return XXH3_64bits(both, sizeof(both));
}

static uint64_t digest_number(kr_val v)
{
    bool neg;
    uint64_t magnitude, bits;

    if (integral(v, &neg, &magnitude))
        return mix(KR_INT + (neg ? 0x100u : 0), magnitude);
    memcpy(&bits, &v.d, sizeof(bits));
    return mix(KR_DOUBLE, isnan(v.d) ? 0 : bits);
}

static uint64_t digest_list(kr_val v)
{
    uint64_t h = mix(KR_LIST, v.n);

    for (uint32_t i = 0; i < v.n; i++)
        h = mix(h, kr_digest(v.list[i]));
    return h;
}

static uint64_t digest_map(kr_val v)
{
    uint64_t h = mix(KR_MAP, v.n);

    for (uint32_t i = 0; i < v.n; i++) {
        uint64_t item[3] = {h, kr_digest(v.map[i].key), kr_digest(v.map[i].val)};

        h = XXH3_64bits(item, sizeof(item));
    }
    return h;
}

static uint64_t digest_any(kr_val v)
{
    switch (v.kind) {
    case KR_BOOL:
        return mix(KR_BOOL, v.b);
    case KR_INT:
    case KR_UINT:
    case KR_DOUBLE:
        return digest_number(v);
    case KR_STRING:
        return XXH3_64bits(v.s, v.n);
    case KR_BYTES:
    case KR_TYPE:
        return mix(v.kind, kr_str_hash(kr_text(v)));
    case KR_LIST:
        return digest_list(v);
    case KR_MAP:
        return digest_map(v);
    case KR_DURATION:
        return mix(KR_DURATION, (uint64_t)v.i);
    case KR_TIMESTAMP:
        return mix(mix(KR_TIMESTAMP, v.n), (uint64_t)v.i);
    case KR_OPTIONAL:
        return mix(KR_OPTIONAL, v.ref ? kr_digest(*v.ref) : 0);
    case KR_OPAQUE:
        return mix(KR_OPAQUE, (uint64_t)(uintptr_t)v.obj);
    default:
        return mix(v.kind, 0); /* null, omit */
    }
}

uint64_t kr_digest(kr_val v)
{
    uint64_t h = v.kind == KR_NONE ? 0 : digest_any(v);

    return h == 0 && v.kind != KR_NONE ? 1 : h;
}

/* ---- reading ---- */

/* Maps of objects are small: to look for an equal length and equal bytes costs less than the order. */
static kr_val get_small(kr_val map, kr_str key)
{
    for (uint32_t i = 0; i < map.n; i++) {
        const struct kr_pair *p = &map.map[i];

        if (p->key.kind == KR_STRING && p->key.n == key.n &&
            (key.n == 0 || (p->key.s[0] == key.s[0] && memcmp(p->key.s, key.s, key.n) == 0)))
            return p->val;
    }
    return KR_V_NONE;
}

kr_val kr_get(kr_val map, kr_str key)
{
    uint32_t low = 0, high = map.n;

    if (map.kind != KR_MAP)
        return KR_V_NONE;
    if (map.n <= SMALL_MAP)
        return get_small(map, key);
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        const struct kr_pair *p = &map.map[mid];
        int c = p->key.kind == KR_STRING ? kr_str_cmp(key, kr_text(p->key))
                                         : kr_val_cmp_key(kr_string(key), p->key);

        if (c == 0)
            return p->val;
        if (c < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return KR_V_NONE;
}

kr_val kr_map_find(kr_val map, kr_val key)
{
    uint32_t low = 0, high = map.n;

    if (map.kind != KR_MAP)
        return KR_V_NONE;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        int c = kr_val_cmp_key(key, map.map[mid].key);

        if (c == 0)
            return map.map[mid].val;
        if (c < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return KR_V_NONE;
}

kr_val kr_item(kr_val list, uint32_t index)
{
    return list.kind == KR_LIST && index < list.n ? list.list[index] : KR_V_NONE;
}

kr_val kr_at(kr_val root, const char *path)
{
    kr_str rest = kr_str_c(path);

    while (rest.n && root.kind != KR_NONE)
        root = kr_get(root, kr_str_cut(&rest, '.'));
    return root;
}

kr_val kr_at_path(kr_val root, const kr_str *names, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        root = kr_get(root, names[i]);
    return root;
}

/* ---- building ---- */

static void insertion_sort(struct kr_pair *p, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        struct kr_pair x = p[i];
        uint32_t j = i;

        for (; j > 0 && kr_val_cmp_key(p[j - 1].key, x.key) > 0; j--)
            p[j] = p[j - 1];
        p[j] = x;
    }
}

/* Stable merge sort of p with room for n pairs at tmp. */
static void merge_sort(struct kr_pair *p, struct kr_pair *tmp, uint32_t n)
{
    uint32_t half = n / 2, i = 0, j = half, at = 0;

    if (n <= SORT_INSERT_MAX) {
        insertion_sort(p, n);
        return;
    }
    merge_sort(p, tmp, half);
    merge_sort(p + half, tmp, n - half);
    memcpy(tmp, p, sizeof(*p) * half);
    while (i < half && j < n)
        p[at++] = kr_val_cmp_key(tmp[i].key, p[j].key) <= 0 ? tmp[i++] : p[j++];
    while (i < half)
        p[at++] = tmp[i++];
}

uint32_t kr__pairs_sort(struct kr_pair *p, uint32_t n)
{
    uint32_t out = 0;

    if (n <= SORT_INSERT_MAX) {
        insertion_sort(p, n);
    } else {
        struct kr_pair *tmp = kr_realloc(NULL, sizeof(*p) * (n / 2));

        merge_sort(p, tmp, n);
        kr_free(tmp);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (i + 1 < n && kr_val_cmp_key(p[i].key, p[i + 1].key) == 0)
            continue; /* the sort is stable: the last of equals was put last */
        p[out++] = p[i];
    }
    return out;
}

/* A copy of n items with double the capacity; grows in place only by luck of the arena. */
static void *grow(struct kr_arena *a, const void *items, uint32_t n, uint32_t *cap, size_t size)
{
    void *grown;

    KR_ASSERT(*cap <= UINT32_MAX / 2);
    *cap = *cap ? *cap * 2 : BUILDER_FIRST;
    grown = kr_arena_raw(a, size * *cap);
    if (n)
        memcpy(grown, items, size * n);
    return grown;
}

void kr_mapb_put_val(struct kr_mapb *b, kr_val key, kr_val v)
{
    if (b->n && b->sorted) {
        int c = kr_val_cmp_key(b->pairs[b->n - 1].key, key);

        if (c == 0) {
            b->pairs[b->n - 1].val = v;
            return;
        }
        b->sorted = c < 0;
    }
    if (b->n == b->cap)
        b->pairs = grow(b->a, b->pairs, b->n, &b->cap, sizeof(*b->pairs));
    b->pairs[b->n++] = (struct kr_pair){key, v};
}

void kr_mapb_put(struct kr_mapb *b, kr_str key, kr_val v)
{
    kr_mapb_put_val(b, kr_string(key), v);
}

kr_val kr_mapb_done(struct kr_mapb *b)
{
    uint32_t n = b->sorted ? b->n : kr__pairs_sort(b->pairs, b->n);
    kr_val v = kr_map_sorted(b->pairs, n);

    *b = (struct kr_mapb)KR_MAPB(b->a);
    return v;
}

void kr_listb_add(struct kr_listb *b, kr_val v)
{
    if (b->n == b->cap)
        b->items = grow(b->a, b->items, b->n, &b->cap, sizeof(*b->items));
    b->items[b->n++] = v;
}

kr_val kr_listb_done(struct kr_listb *b)
{
    kr_val v = kr_list(b->items, b->n);

    *b = (struct kr_listb)KR_LISTB(b->a);
    return v;
}

/* ---- changing ---- */

kr_val kr_with_key(struct kr_arena *a, kr_val map, kr_str key, kr_val v)
{
    kr_val k = kr_string(key);
    uint32_t n = map.kind == KR_MAP ? map.n : 0, at = 0, tail;
    struct kr_pair *pairs;
    bool found;

    while (at < n && kr_val_cmp_key(map.map[at].key, k) < 0)
        at++;
    found = at < n && kr_val_cmp_key(map.map[at].key, k) == 0;
    if (v.kind == KR_NONE && !found)
        return map;
    tail = n - at - found;
    pairs = kr_arena_raw(a, sizeof(*pairs) * ((size_t)n + 1));
    if (at)
        memcpy(pairs, map.map, sizeof(*pairs) * at);
    if (v.kind != KR_NONE)
        pairs[at] = (struct kr_pair){found ? map.map[at].key : k, v};
    n = at + (v.kind != KR_NONE);
    if (tail)
        memcpy(pairs + n, map.map + at + found, sizeof(*pairs) * tail);
    return kr_map_sorted(pairs, n + tail);
}

kr_val kr_with_path(struct kr_arena *a, kr_val root, const kr_str *names, uint32_t n, kr_val v)
{
    kr_val child;

    if (n == 0)
        return v;
    child = kr_get(root, names[0]);
    if (v.kind == KR_NONE && child.kind == KR_NONE)
        return root;
    if (n > 1) {
        v = kr_with_path(a, child, names + 1, n - 1, v);
        if (v.kind == KR_NONE) /* cannot happen for a child that is there */
            return root;
    }
    return kr_with_key(a, root, names[0], v);
}

static kr_val with_rest(struct kr_arena *a, kr_val root, kr_str rest, kr_val v)
{
    kr_str name = kr_str_cut(&rest, '.');

    if (rest.n) {
        kr_val child = kr_get(root, name);

        if (v.kind == KR_NONE && child.kind == KR_NONE)
            return root;
        v = with_rest(a, child, rest, v);
    }
    return kr_with_key(a, root, name, v);
}

kr_val kr_with(struct kr_arena *a, kr_val root, const char *path, kr_val v)
{
    kr_str rest = kr_str_c(path);

    return rest.n ? with_rest(a, root, rest, v) : v;
}

static kr_val copy_list(struct kr_arena *a, kr_val v)
{
    kr_val *items = kr_arena_raw(a, sizeof(*items) * v.n);

    for (uint32_t i = 0; i < v.n; i++)
        items[i] = kr_copy(a, v.list[i]);
    v.list = items;
    return v;
}

static kr_val copy_map(struct kr_arena *a, kr_val v)
{
    struct kr_pair *pairs = kr_arena_raw(a, sizeof(*pairs) * v.n);

    for (uint32_t i = 0; i < v.n; i++)
        pairs[i] = (struct kr_pair){kr_copy(a, v.map[i].key), kr_copy(a, v.map[i].val)};
    v.map = pairs;
    return v;
}

kr_val kr_copy(struct kr_arena *a, kr_val v)
{
    switch (v.kind) {
    case KR_STRING:
    case KR_BYTES:
    case KR_TYPE:
        v.s = kr_strdup(a, (kr_str){v.s, v.n}).s;
        return v;
    case KR_LIST:
        return copy_list(a, v);
    case KR_MAP:
        return copy_map(a, v);
    case KR_OPTIONAL:
        if (v.ref) {
            kr_val *inner = kr_new(a, kr_val);

            *inner = kr_copy(a, *v.ref);
            v.ref = inner;
        }
        return v;
    default:
        return v;
    }
}
