/* SPDX-License-Identifier: Apache-2.0 */
/* rec.c - frozen records: one allocation each.
 *
 *   [ struct kr_rec | leaf digests | shares | root | version and room | uid | namespace / name ]
 *
 * Thousands of them are kept for as long as the program runs, so there is no slack and nothing
 * beside it but the interned field set, and what many of them have. A text that stands in the record and in
 * root (name, uid, version) stands there once.
 *
 * Objects of one type are alike: a map, list or longer text that was met before in another object (conditions,
 * labels, ports) is shared by all records that have it, counted, and goes with the last of them. Met before
 * means that its digest is still in a small table of those met lately, so what only one object has costs no
 * share. The names of the type, and of the ApplySet and the instance, which all children of an instance
 * have, are shared from the first on.
 *
 * Roots that were unfolded stand in one arena until the next rest; a small table finds them again.
 */
#include "cel/base/rec.h"

#include "cel/base/flat.h"
#include "cel/base/names.h"
#include "cel/base/pack.h"

#include "cel/base/banned.h"

/* A value that several records have; its memory stands behind it. */
struct share {
    struct share *next; /* in its bucket */
    uint32_t refs;
    uint64_t digest;
    kr_val v;
};

enum {
    SHARE_BUCKETS = 1024, /* at first; as many as there are shares */
    SHARE_LATELY = 4096,  /* digests */
    SHARE_DEPTH = 2,      /* below the root and its members */
    SHARE_TEXT_MIN = 24,  /* bytes of a text that is worth a share */
    SHARE_CHOICES = 64,   /* values of one record that may be shared; the others are not */
    SEEN_ROOTS = 1024,    /* unfolded ones that are found again; a power of two */
    ROW_MAX = 1 << 30,    /* no object is as large: the API server takes 3 MB */
    ROW_KEPT = 64 * 1024, /* of the buffer, from one record to the next */
};

/* One for the process, as the names are; not for threads. */
static struct {
    struct share **buckets;
    uint32_t buckets_n, n;         /* a power of two; shares */
    uint64_t lately[SHARE_LATELY]; /* a digest, but for its highest bits: whose */
} shares;
static struct {
    struct kr_arena arena;
    uint64_t rests; /* so far */
    struct {
        const struct kr_rec *of;
        uint64_t rests; /* when it was unfolded */
        kr_val root;
    } seen[SEEN_ROOTS];
} roots;
static struct kr_buf row = KR_BUF(ROW_MAX);

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

/* The values of a shared list stand behind its share. */
static struct share *share_of_items(const kr_val *items)
{
    return (struct share *)(uintptr_t)items - 1;
}

static struct share **shares_of(const struct kr_rec *r)
{
    return (struct share **)(uintptr_t)(r->leaf + r->leaves_n);
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

/* --- copies of values ------------------------------------------------------------------------- */

/* As kr_pack_count_val and kr_pack_val, but keys are names. */
static void count_copy(struct kr_pack *p, kr_val v)
{
    if (v.kind != KR_MAP && v.kind != KR_LIST) {
        kr_pack_count_val(p, v);
        return;
    }
    kr_pack_count_structs(p, (v.kind == KR_MAP ? sizeof(struct kr_pair) : sizeof(kr_val)) * v.n);
    KR_LIST_EACH (item, v)
        count_copy(p, *item);
    KR_MAP_EACH (pair, v) {
        if (!kr_name(kr_text(pair->key)).s)
            kr_pack_count_val(p, pair->key);
        count_copy(p, pair->val);
    }
}

static kr_val copy(struct kr_pack *p, kr_val v);

static kr_val copy_map(struct kr_pack *p, kr_val v)
{
    struct kr_pair *pairs = kr_pack_structs(p, sizeof(struct kr_pair) * v.n);

    for (uint32_t i = 0; i < v.n; i++) {
        kr_str name = kr_name(kr_text(v.map[i].key));

        pairs[i].key = name.s ? v.map[i].key : kr_pack_val(p, v.map[i].key);
        if (name.s)
            pairs[i].key.s = name.s;
        pairs[i].val = copy(p, v.map[i].val);
    }
    return kr_map_sorted(pairs, v.n);
}

static kr_val copy(struct kr_pack *p, kr_val v)
{
    kr_val *items;

    if (v.kind == KR_MAP)
        return copy_map(p, v);
    if (v.kind != KR_LIST)
        return kr_pack_val(p, v);
    items = kr_pack_structs(p, sizeof(kr_val) * v.n);
    for (uint32_t i = 0; i < v.n; i++)
        items[i] = copy(p, v.list[i]);
    return kr_list(items, v.n);
}

/* --- shares of values ------------------------------------------------------------------------- */

/* Makes a share of v, with one reference; nothing in it is shared again. */
static struct share *share_new(kr_val v, uint64_t digest)
{
    struct kr_pack p = {0};
    struct share *sh;

    count_copy(&p, v);
    sh = kr_alloc(sizeof(*sh) + kr_pack_bytes(&p));
    kr_pack_begin(&p, sh + 1);
    *sh = (struct share){.next = *bucket_of(digest), .refs = 1, .digest = digest, .v = copy(&p, v)};
    *bucket_of(digest) = sh;
    shares.n++;
    return sh;
}

static struct share *share_find(kr_val v, uint64_t digest)
{
    if (shares.n >= shares.buckets_n)
        buckets_grow();
    for (struct share *sh = *bucket_of(digest); sh; sh = sh->next) {
        if (sh->digest == digest && same(sh->v, v)) {
            sh->refs++;
            return sh;
        }
    }
    return NULL;
}

/* A reference to the share of v; whose: a hash of the object. NULL: no other object was seen to have v. */
static struct share *share_if_common(kr_val v, uint64_t whose)
{
    uint64_t digest = kr_digest(v), *lately = &shares.lately[digest % SHARE_LATELY];
    uint64_t met = (digest << 16) | (whose & 0xffff), was = *lately;
    struct share *sh = share_find(v, digest);

    if (sh)
        return sh;
    *lately = met;
    return was >> 16 == met >> 16 && was != met ? share_new(v, digest) : NULL;
}

/* The items of a share of these texts, which is made if there is none. */
static const kr_val *share_texts(const kr_str *texts, uint32_t n)
{
    kr_val items[4] = {0}, v = kr_list(items, n);
    struct share *sh;
    uint64_t digest;

    KR_ASSERT(n <= KR_N(items));
    for (uint32_t i = 0; i < n; i++)
        items[i] = kr_string(texts[i]);
    digest = kr_digest(v);
    sh = share_find(v, digest);
    return (sh ? sh : share_new(v, digest))->v.list;
}

/* --- life ------------------------------------------------------------------------------------- */

struct kr_rec *kr_rec_hold(struct kr_rec *r)
{
    if (r)
        r->refs++;
    return r;
}

static uint32_t seen_at(const struct kr_rec *r)
{
    return (uint32_t)((uintptr_t)r / 16 * 0x9e3779b1u >> 8) & (SEEN_ROOTS - 1);
}

static void seen_forget(const struct kr_rec *r)
{
    uint32_t at = seen_at(r);

    if (roots.seen[at].of == r)
        roots.seen[at].of = NULL;
}

void kr_rec_drop(struct kr_rec *r)
{
    if (!r)
        return;
    KR_ASSERT(r->refs > 0);
    if (--r->refs > 0)
        return;
    seen_forget(r);
    kr_fieldset_drop(r->owned);
    for (uint32_t i = 0; i < r->shares_n; i++)
        share_drop(shares_of(r)[i]);
    share_drop(share_of_items(r->type));
    if (r->owner)
        share_drop(share_of_items(r->owner));
    kr_free(r);
}

/* --- freezing --------------------------------------------------------------------------------- */

/* On the way from view to record. */
struct freeze {
    uint64_t whose;
    struct share *choice[SHARE_CHOICES];
    uint32_t n;
};

/* For kr_flat_write. */
static int32_t choose(void *arg, kr_val v, uint32_t depth)
{
    struct freeze *f = arg;
    bool is_text = v.kind == KR_STRING && v.n >= SHARE_TEXT_MIN;
    bool may =
        depth >= SHARE_DEPTH && (v.kind == KR_LIST || v.kind == KR_MAP || is_text) && v.n > 0;
    struct share *sh = may && f->n < SHARE_CHOICES ? share_if_common(v, f->whose) : NULL;

    if (!sh)
        return -1;
    f->choice[f->n] = sh;
    return (int32_t)f->n++;
}

/* The texts that root may have too. */
static void own_texts(struct kr_flat *flat, kr_str name, kr_str namespace, kr_str uid,
                      kr_str version)
{
    const kr_str own[] = {name, namespace, uid, version};

    memcpy(flat->own, own, sizeof own);
    flat->own_n = KR_N(own);
}

/* Leaves the row of the root in `row`, and what it leans on in f. */
static void write_row(struct freeze *f, const struct kr_view *view)
{
    struct kr_flat flat = {.share = choose, .arg = f};

    own_texts(&flat, view->ref.name, view->ref.namespace, view->uid, view->version);
    kr_buf_reset(&row);
    kr_flat_write(&flat, view->root, &row);
    KR_ASSERT(!row.full);
}

static void put_text(char **at, kr_str s)
{
    if (s.n)
        memcpy(*at, s.s, s.n);
    *at += s.n;
}

static void put_texts(struct kr_rec *r, const struct kr_view *view)
{
    char *at = (char *)(uintptr_t)kr_rec__texts(r);

    put_text(&at, view->version);
    at += r->version_room - view->version.n;
    put_text(&at, view->uid);
    put_text(&at, view->ref.namespace);
    put_text(&at, KR_S("/"));
    put_text(&at, view->ref.name);
}

/* The record with all but its root, for which there are root_n bytes. */
static struct kr_rec *rec_new(const struct kr_view *view, const struct freeze *f, size_t root_n)
{
    const kr_str type[] = {view->ref.gvr.group, view->ref.gvr.version, view->ref.gvr.resource,
                           view->node_id};
    const kr_str owner[] = {view->part_of, view->instance_id};
    struct kr_rec head = {.refs = 1,
                          .terminating = view->terminating,
                          .plain = view->plain,
                          .leaves_n = view->leaves_n,
                          .item = view->item,
                          .order = view->order,
                          .version_u = view->version_u,
                          .generation = view->generation,
                          .owned = view->owned,
                          .owned_digest = view->owned_digest,
                          .root_n = (uint32_t)root_n,
                          .shares_n = (uint16_t)f->n,
                          .namespace_n = (uint16_t)view->ref.namespace.n,
                          .name_n = (uint16_t)view->ref.name.n,
                          .uid_n = (uint16_t)view->uid.n,
                          .version_n = (uint16_t)view->version.n};
    struct kr_rec *r;

    KR_ASSERT(view->ref.namespace.n <= KR_REC_TEXT_MAX && view->ref.name.n <= KR_REC_TEXT_MAX &&
              view->uid.n <= KR_REC_TEXT_MAX && view->version.n <= KR_REC_TEXT_MAX);
    head.version_room = view->version.n ? (uint16_t)(view->version.n + KR_REC_VERSION_ROOM) : 0;
    r = kr_alloc(kr_rec_bytes(&head));
    *r = head;
    r->type = share_texts(type, KR_N(type));
    if (view->part_of.n || view->instance_id.n)
        r->owner = share_texts(owner, KR_N(owner));
    if (view->leaves_n)
        memcpy(r->leaf, view->leaf, sizeof(r->leaf[0]) * view->leaves_n);
    if (f->n)
        memcpy(shares_of(r), f->choice, sizeof(f->choice[0]) * f->n);
    put_texts(r, view);
    return r;
}

static char *root_at(const struct kr_rec *r)
{
    return (char *)(shares_of(r) + r->shares_n);
}

/* A root of values: itself, and behind it what it consists of. */
static struct kr_rec *freeze_plain(const struct kr_view *view)
{
    const struct freeze none = {0};
    struct kr_pack p = {0};
    struct kr_rec *r;

    count_copy(&p, view->root);
    r = rec_new(view, &none, sizeof(kr_val) + kr_pack_bytes(&p));
    kr_pack_begin(&p, root_at(r) + sizeof(kr_val));
    *(kr_val *)(void *)root_at(r) = copy(&p, view->root);
    return r;
}

struct kr_rec *kr_rec_freeze(const struct kr_view *view)
{
    struct freeze f = {.whose = kr_str_hash(view->ref.name)};
    struct kr_rec *r;

    if (view->plain)
        return freeze_plain(view);
    write_row(&f, view);
    r = rec_new(view, &f, row.n);
    memcpy(root_at(r), row.s, row.n);
    if (row.cap > ROW_KEPT)
        kr_buf_fini(&row);
    return r;
}

bool kr_rec_renew(struct kr_rec *r, const struct kr_view *now)
{
    if (now->version.n > r->version_room)
        return false;
    memcpy((char *)(uintptr_t)kr_rec__texts(r), now->version.s, now->version.n);
    r->version_n = (uint16_t)now->version.n;
    r->version_u = now->version_u;
    r->generation = now->generation;
    return true;
}

/* --- looking ---------------------------------------------------------------------------------- */

void kr_rec_view(const struct kr_rec *r, struct kr_view *out)
{
    *out = (struct kr_view){.terminating = r->terminating,
                            .plain = r->plain,
                            .leaves_n = r->leaves_n,
                            .ref = kr_rec_ref(r),
                            .uid = kr_rec_uid(r),
                            .version = kr_rec_version(r),
                            .version_u = r->version_u,
                            .generation = r->generation,
                            .part_of = kr_rec_part_of(r),
                            .instance_id = kr_rec_instance_id(r),
                            .node_id = kr_rec_node_id(r),
                            .item = r->item,
                            .order = r->order,
                            .owned = r->owned,
                            .owned_digest = r->owned_digest,
                            .leaf = r->leaf};
}

static kr_val shared(void *arg, uint32_t number)
{
    const struct kr_rec *r = arg;

    KR_ASSERT(number < r->shares_n);
    return shares_of(r)[number]->v;
}

static kr_val unfold(const struct kr_rec *r)
{
    struct kr_flat flat = {.shared = shared, .arg = (void *)(uintptr_t)r};

    own_texts(&flat, kr_rec_name(r), kr_rec_namespace(r), kr_rec_uid(r), kr_rec_version(r));
    return kr_flat_read(&flat, (kr_str){root_at(r), r->root_n}, &roots.arena);
}

kr_val kr_rec_root(const struct kr_rec *r)
{
    uint32_t at = seen_at(r);

    if (r->plain)
        return *(const kr_val *)(const void *)root_at(r);
    if (roots.seen[at].of != r || roots.seen[at].rests != roots.rests) {
        roots.seen[at].root = unfold(r);
        roots.seen[at].of = r;
        roots.seen[at].rests = roots.rests;
    }
    return roots.seen[at].root;
}

void kr_rec_rest(void)
{
    if (!roots.arena.used_bytes)
        return;
    kr_arena_reset(&roots.arena);
    roots.rests++;
}

size_t kr_rec_bytes(const struct kr_rec *r)
{
    return sizeof(*r) + sizeof(r->leaf[0]) * r->leaves_n + sizeof(struct share *) * r->shares_n +
           r->root_n + r->version_room + r->uid_n + r->namespace_n + 1 + r->name_n;
}
