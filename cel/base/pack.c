/* SPDX-License-Identifier: Apache-2.0 */
/* pack.c - values and strings copied into one exact allocation.
 *
 *   mem: [ items and pairs, 16 bytes each, and the caller's structs | bytes of all strings ]
 *
 * Structures and bytes have a cursor each, so no string needs padding. Counting and packing walk
 * alike; a difference between the two is a bug and asserts.
 */
#include "cel/base/pack.h"

#include "cel/base/banned.h"

void kr_pack_count_str(struct kr_pack *p, kr_str s)
{
    p->text_bytes += s.n;
}

void kr_pack_count_val(struct kr_pack *p, kr_val v)
{
    KR_ASSERT(v.kind <= KR_MAP);
    if (v.kind == KR_STRING)
        p->text_bytes += v.n;
    if (v.kind == KR_LIST)
        kr_pack_count_structs(p, sizeof(kr_val) * v.n);
    if (v.kind == KR_MAP)
        kr_pack_count_structs(p, sizeof(struct kr_pair) * v.n);
    KR_LIST_EACH (item, v)
        kr_pack_count_val(p, *item);
    KR_MAP_EACH (pair, v) {
        kr_pack_count_val(p, pair->key);
        kr_pack_count_val(p, pair->val);
    }
}

void kr_pack_begin(struct kr_pack *p, void *mem)
{
    p->structs = mem;
    p->structs_end = p->structs + p->structs_bytes;
    p->text = p->structs_end;
    p->text_end = p->text + p->text_bytes;
}

char *kr_pack_room(struct kr_pack *p, size_t n)
{
    char *at = p->text;

    KR_ASSERT(n <= (size_t)(p->text_end - p->text));
    p->text += n;
    return at;
}

kr_str kr_pack_str(struct kr_pack *p, kr_str s)
{
    kr_str out = {p->text, s.n};

    KR_ASSERT(s.n <= (size_t)(p->text_end - p->text));
    if (s.n == 0)
        return (kr_str){"", 0};
    memcpy(p->text, s.s, s.n);
    p->text += s.n;
    return out;
}

void *kr_pack_structs(struct kr_pack *p, size_t bytes)
{
    void *out = p->structs;

    bytes = (bytes + 7) & ~(size_t)7;
    KR_ASSERT(bytes <= (size_t)(p->structs_end - p->structs));
    p->structs += bytes;
    return out;
}

static kr_val pack_list(struct kr_pack *p, kr_val v)
{
    kr_val *items = kr_pack_structs(p, sizeof(kr_val) * v.n);

    for (uint32_t i = 0; i < v.n; i++)
        items[i] = kr_pack_val(p, v.list[i]);
    return kr_list(items, v.n);
}

static kr_val pack_map(struct kr_pack *p, kr_val v)
{
    struct kr_pair *pairs = kr_pack_structs(p, sizeof(struct kr_pair) * v.n);

    for (uint32_t i = 0; i < v.n; i++) {
        pairs[i].key = kr_pack_val(p, v.map[i].key);
        pairs[i].val = kr_pack_val(p, v.map[i].val);
    }
    return kr_map_sorted(pairs, v.n);
}

kr_val kr_pack_val(struct kr_pack *p, kr_val v)
{
    kr_str s;

    switch (v.kind) {
    case KR_STRING:
        s = kr_pack_str(p, kr_text(v));
        v.s = s.s;
        return v;
    case KR_LIST:
        return pack_list(p, v);
    case KR_MAP:
        return pack_map(p, v);
    default:
        return v;
    }
}
