/* SPDX-License-Identifier: Apache-2.0 */
/* rec.c - frozen records: one allocation each.
 *
 *   [ struct frozen | leaf digests | items and pairs of root | bytes of all strings ]
 *
 * Thousands of them are kept for as long as the program runs, so there is no slack and nothing
 * beside it but the interned field set.
 */
#include "cel/base/rec.h"

#include "cel/base/pack.h"

#include "cel/base/banned.h"

struct frozen {
    struct kr_rec rec;
    size_t bytes; /* of the allocation */
};

_Static_assert(sizeof(struct frozen) % 8 == 0, "what follows is aligned");

struct kr_rec *kr_rec_hold(struct kr_rec *r)
{
    if (r)
        r->refs++;
    return r;
}

void kr_rec_drop(struct kr_rec *r)
{
    if (!r)
        return;
    KR_ASSERT(r->refs > 0);
    if (--r->refs > 0)
        return;
    kr_fieldset_drop(r->owned);
    kr_free(KR_OWNER(r, struct frozen, rec));
}

/* The strings that stand in the record itself. */
static void strings_of(struct kr_rec *r, kr_str *out[])
{
    kr_str *strings[] = {&r->ref.gvr.group, &r->ref.gvr.version, &r->ref.gvr.resource,
                         &r->ref.namespace, &r->ref.name,        &r->uid,
                         &r->version,       &r->part_of,         &r->instance_id,
                         &r->node_id};

    memcpy(out, strings, sizeof(strings));
}
enum { STRINGS_N = 10 };

struct kr_rec *kr_rec_freeze(const struct kr_rec *init)
{
    struct kr_rec work = *init;
    struct kr_pack p = {0};
    kr_str *strings[STRINGS_N];
    size_t leaves_bytes = sizeof(uint64_t) * init->leaves_n;
    struct frozen *f;
    uint64_t *leaf;

    strings_of(&work, strings);
    kr_pack_count_structs(&p, leaves_bytes);
    kr_pack_count_val(&p, work.root);
    for (uint32_t i = 0; i < STRINGS_N; i++)
        kr_pack_count_str(&p, *strings[i]);

    f = kr_alloc(sizeof(*f) + kr_pack_bytes(&p));
    f->bytes = sizeof(*f) + kr_pack_bytes(&p);
    kr_pack_begin(&p, f + 1);
    leaf = kr_pack_structs(&p, leaves_bytes);
    if (leaves_bytes > 0)
        memcpy(leaf, init->leaf, leaves_bytes);
    for (uint32_t i = 0; i < STRINGS_N; i++)
        *strings[i] = kr_pack_str(&p, *strings[i]);
    work.root = kr_pack_val(&p, work.root);
    work.leaf = leaf;
    work.refs = 1;
    f->rec = work;
    return &f->rec;
}

size_t kr_rec_bytes(const struct kr_rec *r)
{
    return KR_OWNER(r, const struct frozen, rec)->bytes;
}
