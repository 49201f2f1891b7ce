/* SPDX-License-Identifier: Apache-2.0 */
/* rec.c - frozen records: one allocation each.
 *
 *   [ struct frozen | leaf digests | items and pairs of root | bytes of all strings ]
 *
 * Thousands of them are kept for as long as the program runs, so there is no slack and nothing
 * beside it but the interned field set, and the names that all of them have: keys, type, namespace, kind.
 * A text that stands in the record and in root (name, uid, version) stands there once.
 *
 * Objects of one type are alike: a map or list that was met before (conditions, labels, ports) is shared by
 * all records that have it, counted, and goes with the last of them. Met before means that its digest is
 * still in a small table of those met lately, so what only one object has costs no share. The names of the
 * ApplySet and of the instance, which all children of an instance have, are shared from the first on.
 */
#include "cel/base/rec.h"

#include "cel/base/names.h"
#include "cel/base/pack.h"

#include "cel/base/banned.h"

struct frozen {
    uint32_t bytes;    /* of the allocation */
    uint16_t shares_n; /* at its end */
    uint16_t version_room;
    struct kr_rec rec;
};

/* A value that several records have; its memory stands behind it. */
struct share {
    struct share *next; /* in its bucket */
    uint32_t refs, bytes;
    uint64_t digest;
    kr_val v;
};

enum {
    SHARE_BUCKETS = 1024, /* at first; as many as there are shares */
    SHARE_LATELY = 4096,  /* digests */
    SHARE_DEPTH = 2,      /* below the root and its members */
    SHARE_CHOICES = 64,   /* maps and lists of one record that may be shared; the others are not */
    OWNER_MAX = 256, /* bytes of the names of ApplySet and instance; longer ones are not shared */
};

/* One for the process, as the names are; not for threads. */
static struct {
    struct share **buckets;
    uint32_t buckets_n, n; /* a power of two; shares */
    uint64_t lately[SHARE_LATELY];
} shares;

_Static_assert(sizeof(struct frozen) % 8 == 0, "what follows is aligned");

/* --- shares ----------------------------------------------------------------------------------- */

static struct share **bucket_of(uint64_t digest)
{
    return &shares.buckets[digest & (shares.buckets_n - 1)];
}

static void buckets_grow(void)
{
    struct share **old = shares.buckets, *next;
    uint32_t old_n = shares.buckets_n;

    shares.buckets_n = old_n ? 2 * old_n : SHARE_BUCKETS;
    shares.buckets = kr_alloc(sizeof(*old) * shares.buckets_n);
    for (uint32_t i = 0; i < old_n; i++) {
        for (struct share *sh = old[i]; sh; sh = next) {
            struct share **at = bucket_of(sh->digest);

            next = sh->next;
            sh->next = *at;
            *at = sh;
        }
    }
    kr_free(old);
}

static void share_drop(struct share *sh)
{
    struct share **at = bucket_of(sh->digest);

    if (--sh->refs > 0)
        return;
    while (*at != sh)
        at = &(*at)->next;
    *at = sh->next;
    shares.n--;
    kr_free(sh);
}

/* The shares of a record stand at the end of its memory. */
static struct share **shares_of(struct frozen *f)
{
    return (struct share **)(void *)((char *)f + f->bytes) - f->shares_n;
}

static void shares_drop(struct frozen *f)
{
    for (uint32_t i = 0; i < f->shares_n; i++)
        share_drop(shares_of(f)[i]);
}

/* The same to the last bit: kr_equal takes 1 for 1.0. */
static bool same(kr_val x, kr_val y)
{
    if (x.kind != y.kind || x.n != y.n)
        return false;
    if (x.kind == KR_STRING)
        return kr_str_eq(kr_text(x), kr_text(y));
    for (uint32_t i = 0; x.kind == KR_LIST && i < x.n; i++) {
        if (!same(x.list[i], y.list[i]))
            return false;
    }
    for (uint32_t i = 0; x.kind == KR_MAP && i < x.n; i++) {
        if (!same(x.map[i].key, y.map[i].key) || !same(x.map[i].val, y.map[i].val))
            return false;
    }
    return x.kind == KR_LIST || x.kind == KR_MAP || x.u == y.u;
}

/* --- life ------------------------------------------------------------------------------------- */

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
    shares_drop(KR_OWNER(r, struct frozen, rec));
    kr_free(KR_OWNER(r, struct frozen, rec));
}

/* --- freezing --------------------------------------------------------------------------------- */

/* The strings that stand in the record itself, but namespace and name: first those that are names, last
 * those that the owner share has. */
enum { NAMES_N = 4, VERSION_AT = 5, OWNER_AT = 6, STRINGS_N = 8 };

static void strings_of(struct kr_rec *r, kr_str *out[])
{
    kr_str *strings[STRINGS_N] = {
        &r->ref.gvr.group, &r->ref.gvr.version, &r->ref.gvr.resource, &r->node_id,
        &r->uid,           &r->version,         &r->part_of,          &r->instance_id};

    memcpy(out, strings, sizeof(strings));
}

/* On the way from init to the record. */
struct freeze {
    struct kr_pack pack;
    const struct kr_rec *init;
    struct kr_rec *out;  /* NULL while counting */
    struct share *owner; /* "part_of" and behind it "instance_id"; NULL: own copies */
    struct share *choice[SHARE_CHOICES]; /* made while counting; NULL: a copy of its own */
    uint32_t at;                         /* choices so far */
};

/* The text of the record that v's is too: the same bytes, not only equal ones. */
static const kr_str *shared_text(const struct freeze *f, kr_val v)
{
    const struct kr_rec *from = f->init, *to = f->out ? f->out : f->init;

    if (v.s == from->ref.name.s && v.n == from->ref.name.n)
        return &to->ref.name;
    if (v.n && v.s == from->ref.namespace.s && v.n == from->ref.namespace.n)
        return &to->ref.namespace;
    if (v.s == from->uid.s && v.n == from->uid.n)
        return &to->uid;
    return v.s == from->version.s && v.n == from->version.n ? &to->version : NULL;
}

/* name: the text is one that many records have. */
static kr_val freeze_text(struct freeze *f, kr_val v, bool name)
{
    const kr_str *shared = shared_text(f, v);
    kr_str s = shared ? *shared : name ? kr_name(kr_text(v)) : (kr_str){0};

    if (!s.s && f->out)
        s = kr_pack_str(&f->pack, kr_text(v));
    else if (!s.s)
        kr_pack_count_str(&f->pack, kr_text(v));
    v.s = s.s;
    return v;
}

static kr_val freeze_val(struct freeze *f, kr_val v, uint32_t depth);

static kr_val freeze_list(struct freeze *f, kr_val v, uint32_t depth)
{
    kr_val *items = f->out ? kr_pack_structs(&f->pack, sizeof(kr_val) * v.n) : NULL;

    if (!f->out)
        kr_pack_count_structs(&f->pack, sizeof(kr_val) * v.n);
    for (uint32_t i = 0; i < v.n; i++) {
        kr_val item = freeze_val(f, v.list[i], depth + 1);

        if (items)
            items[i] = item;
    }
    return kr_list(items, v.n);
}

static kr_val freeze_map(struct freeze *f, kr_val v, uint32_t depth)
{
    struct kr_pair *pairs = f->out ? kr_pack_structs(&f->pack, sizeof(struct kr_pair) * v.n) : NULL;

    if (!f->out)
        kr_pack_count_structs(&f->pack, sizeof(struct kr_pair) * v.n);
    for (uint32_t i = 0; i < v.n; i++) {
        kr_val key =
            v.map[i].key.kind == KR_STRING ? freeze_text(f, v.map[i].key, true) : v.map[i].key;
        kr_val val = freeze_val(f, v.map[i].val, depth + 1);

        if (pairs)
            pairs[i] = (struct kr_pair){key, val};
    }
    return kr_map_sorted(pairs, v.n);
}

static struct share *share_of(kr_val v, bool first);

/* Is v shared? The choices are made while counting, and come again in the same order. */
static struct share *choose(struct freeze *f, kr_val v, uint32_t depth)
{
    bool may = depth >= SHARE_DEPTH && (v.kind == KR_LIST || v.kind == KR_MAP) && v.n > 0;

    if (!may || f->at == SHARE_CHOICES)
        return NULL;
    if (!f->out)
        f->choice[f->at] = share_of(v, false);
    return f->choice[f->at++];
}

/* Counts v (f->out is NULL) or copies it. Texts directly below the root are apiVersion and kind. */
static kr_val freeze_val(struct freeze *f, kr_val v, uint32_t depth)
{
    struct share *sh = choose(f, v, depth);

    KR_ASSERT(v.kind <= KR_MAP);
    if (sh)
        return sh->v;
    switch (v.kind) {
    case KR_STRING:
        return freeze_text(f, v, depth == 1);
    case KR_LIST:
        return freeze_list(f, v, depth);
    case KR_MAP:
        return freeze_map(f, v, depth);
    default:
        return v;
    }
}

/* Makes a share of v, with one reference; nothing in it is shared again. */
static struct share *share_new(kr_val v, uint64_t digest)
{
    static const struct kr_rec none;
    struct kr_rec out = {0};
    struct freeze f = {.init = &none, .at = SHARE_CHOICES};
    struct share *sh;

    freeze_val(&f, v, SHARE_DEPTH);
    sh = kr_alloc(sizeof(*sh) + kr_pack_bytes(&f.pack));
    kr_pack_begin(&f.pack, sh + 1);
    f.out = &out;
    *sh = (struct share){.next = *bucket_of(digest),
                         .refs = 1,
                         .bytes = (uint32_t)(sizeof(*sh) + kr_pack_bytes(&f.pack)),
                         .digest = digest,
                         .v = freeze_val(&f, v, SHARE_DEPTH)};
    *bucket_of(digest) = sh;
    shares.n++;
    return sh;
}

/* A reference to the share of v, if there is one or v was met before, or it shall be one from the first time
 * on; else NULL. */
static struct share *share_of(kr_val v, bool first)
{
    uint64_t digest = kr_digest(v), *lately = &shares.lately[digest % SHARE_LATELY];

    if (shares.n >= shares.buckets_n)
        buckets_grow();
    for (struct share *sh = *bucket_of(digest); sh; sh = sh->next) {
        if (sh->digest == digest && same(sh->v, v)) {
            sh->refs++;
            return sh;
        }
    }
    if (first || *lately == digest)
        return share_new(v, digest);
    *lately = digest;
    return NULL;
}

static struct share *owner_of(const struct kr_rec *r)
{
    char text[OWNER_MAX];

    if (r->part_of.n == 0 || r->part_of.n + r->instance_id.n > OWNER_MAX)
        return NULL;
    memcpy(text, r->part_of.s, r->part_of.n);
    if (r->instance_id.n)
        memcpy(text + r->part_of.n, r->instance_id.s, r->instance_id.n);
    return share_of(kr_string((kr_str){text, r->part_of.n + r->instance_id.n}), true);
}

/* Puts the chosen shares where shares_of finds them. */
static void shares_keep(struct frozen *to, const struct freeze *f)
{
    uint32_t n = 0;

    if (f->owner)
        shares_of(to)[n++] = f->owner;
    for (uint32_t i = 0; i < f->at; i++) {
        if (f->choice[i])
            shares_of(to)[n++] = f->choice[i];
    }
}

static uint32_t chosen_n(const struct freeze *f)
{
    uint32_t n = f->owner != NULL;

    for (uint32_t i = 0; i < f->at; i++)
        n += f->choice[i] != NULL;
    return n;
}

static void count_strings(struct freeze *f, kr_str *strings[], kr_ref ref)
{
    for (uint32_t i = 0; i < (f->owner ? OWNER_AT : STRINGS_N); i++) {
        kr_str name = i < NAMES_N ? kr_name(*strings[i]) : (kr_str){0};

        if (name.s)
            *strings[i] = name;
        else
            kr_pack_count_str(&f->pack, *strings[i]);
    }
    kr_pack_count_bytes(&f->pack, KR_REC_VERSION_ROOM + ref.namespace.n + 1 + ref.name.n);
}

/* One text, of which kr_rec_key is the whole. */
static void pack_key(struct freeze *f, kr_ref *ref)
{
    char *at = kr_pack_room(&f->pack, ref->namespace.n + 1 + ref->name.n);

    if (ref->namespace.n)
        memcpy(at, ref->namespace.s, ref->namespace.n);
    ref->namespace.s = at;
    at += ref->namespace.n;
    *at++ = '/';
    if (ref->name.n)
        memcpy(at, ref->name.s, ref->name.n);
    ref->name.s = at;
}

static void pack_strings(struct freeze *f, kr_str *strings[], struct kr_rec *r)
{
    pack_key(f, &r->ref);
    for (uint32_t i = 0; i < (f->owner ? OWNER_AT : STRINGS_N); i++) {
        if (i >= NAMES_N || !kr_name(*strings[i]).s)
            *strings[i] = kr_pack_str(&f->pack, *strings[i]);
        if (i == VERSION_AT)
            kr_pack_room(&f->pack, KR_REC_VERSION_ROOM);
    }
    if (!f->owner)
        return;
    r->part_of.s = f->owner->v.s;
    r->instance_id.s = f->owner->v.s + r->part_of.n;
}

struct kr_rec *kr_rec_freeze(const struct kr_rec *init)
{
    struct kr_rec work = *init;
    struct freeze f = {.init = init, .owner = owner_of(init)};
    kr_str *strings[STRINGS_N];
    size_t leaves_bytes = sizeof(uint64_t) * init->leaves_n, bytes;
    struct frozen *frozen;
    uint64_t *leaf;

    strings_of(&work, strings);
    kr_pack_count_structs(&f.pack, leaves_bytes);
    freeze_val(&f, init->root, 0);
    count_strings(&f, strings, init->ref);

    bytes = (sizeof(*frozen) + kr_pack_bytes(&f.pack) + 7) & ~(size_t)7;
    bytes += sizeof(struct share *) * chosen_n(&f);
    frozen = kr_alloc(bytes);
    frozen->bytes = (uint32_t)bytes;
    frozen->shares_n = (uint16_t)chosen_n(&f);
    frozen->version_room = init->version.n ? (uint16_t)(init->version.n + KR_REC_VERSION_ROOM) : 0;
    shares_keep(frozen, &f);
    kr_pack_begin(&f.pack, frozen + 1);
    leaf = kr_pack_structs(&f.pack, leaves_bytes);
    if (leaves_bytes > 0)
        memcpy(leaf, init->leaf, leaves_bytes);
    pack_strings(&f, strings, &work);
    f.out = &work;
    f.at = 0;
    work.root = freeze_val(&f, init->root, 0);
    work.leaf = leaf;
    work.refs = 1;
    frozen->rec = work;
    return &frozen->rec;
}

bool kr_rec_renew(struct kr_rec *r, const struct kr_rec *now)
{
    if (now->version.n > KR_OWNER(r, struct frozen, rec)->version_room)
        return false;
    memcpy((char *)(uintptr_t)r->version.s, now->version.s, now->version.n);
    r->version.n = now->version.n;
    r->version_u = now->version_u;
    r->generation = now->generation;
    return true;
}

size_t kr_rec_bytes(const struct kr_rec *r)
{
    return KR_OWNER(r, const struct frozen, rec)->bytes;
}
