/* SPDX-License-Identifier: Apache-2.0 */
/* store.c - the objects of one watch, and the list of what changed.
 *
 *          list items and                                          responses to our requests
 *       events while filling                   events                 |           | while filling
 *                |                               |                    |           |
 *                v                               v                    |           v
 *   begin -> [ filling ] --list_done: swap--> [ objects ] <-----------+       [ early ]
 *                ^                                                                |
 *                +------------- those that the list has not, or older ------------+
 *
 * An object that comes again without a visible difference gets no new record: the one that is here, and that
 * others hold too, takes over its version.
 *
 * An answer to a request that was sent before the list was begun waits beside `early` and counts less: where the
 * server has gone back to a former state it is dropped.
 *
 * Two memories keep the past from coming back:
 *   seen   the version the watch has reached. A response about an object that is not here and not
 *          newer than this tells of something that was deleted meanwhile.
 *   tombs  objects that a response said are gone: events still on their way that show them alive
 *          are dropped, until their DELETED arrives or a later list says what is there.
 *          None is made where DELETED was faster than the response; their number is limited.
 */
#include "kube/store.h"

#include "kube/keyset.h"

#include "cel/base/banned.h"

struct tomb {
    uint64_t run; /* the list run in which the object went away */
    kr_str uid;   /* behind the struct */
};

struct kube_store {
    kr_gvr gvr;
    kr_str kind, manager, api_version;
    struct kr_fieldset_pool *pool;
    struct kube_changes *changes;
    struct kube_projection *projection;
    void *owner;
    bool synced; /* the first list is complete */
    bool is_filling;
    bool answering; /* what is reported stems from an answer */
    uint64_t run;   /* lists begun so far */
    uint64_t done;  /* the run of the last one that was complete */
    uint64_t back;  /* the run of the last one that was older than what was known; 0: none was */
    uint64_t seen;  /* version reached by the watch; 0: unknown */
    size_t bytes;   /* of the records in objects */

    kube_keep_fn *keep; /* NULL: everything is kept */
    void *keep_arg;
    enum kube_store_key keep_by;
    struct kube_keyset dropped, dropping; /* names that the filter dropped; those of filling */

    struct kr_map objects;   /* "namespace/name" -> struct kr_rec, one reference each */
    struct kr_map filling;   /* the list being received */
    struct kr_map early;     /* from responses since that list was begun */
    struct kr_map former;    /* likewise, to requests that were sent before it was */
    struct kr_map tombs;     /* -> struct tomb */
    struct kr_link listed;   /* struct kube_change.store_link */
    struct kr_arena names;   /* of the copied options */
    struct kr_arena scratch; /* of one call */
    kr_val object;           /* of one call: what the record was made of; KR_NONE: not at hand */
};

/* Maps of records: the key of each stands in the record. */
static const struct kr_map no_recs = {.borrows = true};

/* --- life ------------------------------------------------------------------------------------- */

struct kube_store *kube_store_new(const struct kube_store_opts *opts)
{
    struct kube_store *s = KR_ALLOC(struct kube_store);

    s->gvr = kr_gvr_copy(&s->names, opts->gvr);
    s->kind = kr_strdup(&s->names, opts->kind);
    s->manager = kr_strdup(&s->names, opts->manager);
    s->api_version = kr_api_version_text(&s->names, opts->gvr.group, opts->gvr.version);
    s->pool = opts->pool;
    s->changes = opts->changes;
    s->projection = kube_projection_new();
    s->objects = s->filling = s->early = s->former = no_recs;
    kr_link_init(&s->listed);
    return s;
}

static void recs_clear(struct kr_map *m)
{
    kr_map_each (e, m)
        kr_rec_drop(e->val);
    kr_map_fini(m);
    *m = no_recs;
}

void kube_store_free(struct kube_store *s)
{
    if (!s)
        return;
    for (struct kr_link *l; (l = kr_link_pop(&s->listed)) != NULL;)
        KR_OWNER(l, struct kube_change, store_link)->store = NULL;
    recs_clear(&s->objects);
    recs_clear(&s->filling);
    recs_clear(&s->early);
    recs_clear(&s->former);
    kr_map_each (e, &s->tombs)
        kr_free(e->val);
    kr_map_fini(&s->tombs);
    kube_keyset_fini(&s->dropped);
    kube_keyset_fini(&s->dropping);
    kube_projection_free(s->projection);
    kr_arena_fini(&s->names);
    kr_arena_fini(&s->scratch);
    kr_free(s);
}

struct kube_projection *kube_store_projection(struct kube_store *s)
{
    return s->projection;
}

kr_gvr kube_store_gvr(const struct kube_store *s)
{
    return s->gvr;
}

bool kube_store_wants_managed_fields(const struct kube_store *s)
{
    return s->manager.n > 0 || kube_projection_names_managed_fields(s->projection);
}

bool kube_store_synced(const struct kube_store *s)
{
    return s->synced;
}

uint32_t kube_store_n(const struct kube_store *s)
{
    return s->objects.n;
}

void kube_store_set_owner(struct kube_store *s, void *owner)
{
    s->owner = owner;
}

void *kube_store_owner(const struct kube_store *s)
{
    return s->owner;
}

size_t kube_store_bytes(const struct kube_store *s)
{
    return s->bytes;
}

uint64_t kube_store_run(const struct kube_store *s)
{
    return s->run;
}

uint64_t kube_store_version(const struct kube_store *s)
{
    return s->seen;
}

/* --- looking up ------------------------------------------------------------------------------- */

enum { KEY_MAX = 1024 }; /* bytes on the stack; a longer key (none is legal) goes to the heap */

static struct kr_rec *find(const struct kube_store *s, kr_str namespace, kr_str name)
{
    char small[KEY_MAX], *key = small;
    size_t n = namespace.n + 1 + name.n;
    struct kr_rec *r;

    if (n > KEY_MAX)
        key = kr_alloc(n);
    memcpy(key, namespace.n ? namespace.s : "", namespace.n);
    key[namespace.n] = '/';
    memcpy(key + namespace.n + 1, name.n ? name.s : "", name.n);
    r = kr_map_get(&s->objects, (kr_str){key, n});
    if (key != small)
        kr_free(key);
    return r;
}

struct kr_rec *kube_store_get(const struct kube_store *s, kr_str namespace, kr_str name)
{
    return find(s, namespace, name);
}

struct kr_rec *kube_store_next(const struct kube_store *s, uint64_t *at)
{
    struct kr_map_entry *e = kr_map_next(&s->objects, at);

    return e ? e->val : NULL;
}

static kr_str key_of(struct kube_store *s, kr_str namespace, kr_str name)
{
    return kr_fmt(&s->scratch, KR_FMT "/" KR_FMT, KR_ARG(namespace), KR_ARG(name));
}

static kr_str view_key(struct kube_store *s, const struct kr_view *v)
{
    return key_of(s, v->ref.namespace, v->ref.name);
}

/* --- reporting -------------------------------------------------------------------------------- */

void kube_change_free(struct kube_change *c)
{
    if (!c)
        return;
    kr_link_remove(&c->link);
    kr_link_remove(&c->store_link);
    kr_rec_drop(c->old);
    kr_rec_drop(c->now);
    kr_arena_fini(&c->arena);
    kr_free(c);
}

static void list_change(struct kube_store *s, struct kube_change *c)
{
    bool first = kr_link_empty(&s->changes->head);

    c->store = s;
    kr_link_push(&s->changes->head, &c->link);
    kr_link_push(&s->listed, &c->store_link);
    if (first && s->changes->wake)
        s->changes->wake(s->changes->arg);
}

/* Who took a field of ours, where the set has shrunk and the object is still at hand. */
static void find_taken(struct kube_store *s, struct kube_change *c)
{
    if (!c->old || !c->now || !c->old->owned || c->old->owned == c->now->owned || s->answering ||
        s->object.kind != KR_MAP || !kr_str_eq(kr_rec_uid(c->old), kr_rec_uid(c->now)))
        return;
    if (!kr_fieldset_taken(c->old->owned, c->now->owned, s->object, s->manager, &c->arena,
                           &c->taken_by, &c->taken))
        return;
    c->taken = kr_strdup(&c->arena, c->taken);
    c->taken_by = kr_strdup(&c->arena, c->taken_by);
}

/* Lists the step from old to now, unless nothing visible changed. */
static void report(struct kube_store *s, struct kr_rec *old, struct kr_rec *now)
{
    struct kube_change *c = KR_ALLOC(struct kube_change);

    if (!kube_diff(old, now, &c->arena, &c->bits)) {
        kr_arena_fini(&c->arena);
        kr_free(c);
        return;
    }
    c->old = kr_rec_hold(old);
    c->now = kr_rec_hold(now);
    c->own = s->answering;
    find_taken(s, c);
    list_change(s, c);
}

/* --- one object ------------------------------------------------------------------------------- */

/* Whether now shall replace old: between lists the older one never wins, nor an echo. */
static bool is_newer(const struct kr_view *now, const struct kr_rec *old)
{
    if (!old)
        return true;
    if (now->version_u > 0 && old->version_u > 0)
        return now->version_u > old->version_u;
    return !kr_str_eq(now->version, kr_rec_version(old)) || !kr_str_eq(now->uid, kr_rec_uid(old));
}

/* Puts r (takes the reference) into m in the place of an older one. */
static void rec_put(struct kr_map *m, struct kr_rec *r)
{
    kr_rec_drop(kr_map_put(m, kr_rec_key(r), r));
}

static void visible_put(struct kube_store *s, struct kr_rec *r)
{
    struct kr_rec *old = kr_map_put(&s->objects, kr_rec_key(r), kr_rec_hold(r));

    s->bytes += kr_rec_bytes(r);
    s->bytes -= old ? kr_rec_bytes(old) : 0;
    report(s, old, r);
    kr_rec_drop(old);
}

static void visible_delete(struct kube_store *s, kr_str key)
{
    struct kr_rec *old = kr_map_del(&s->objects, key);

    if (!old)
        return;
    s->bytes -= kr_rec_bytes(old);
    report(s, old, NULL);
    kr_rec_drop(old);
}

/* Items of a list say neither kind nor apiVersion. */
static kr_val complete(struct kube_store *s, kr_val object)
{
    if (object.kind != KR_MAP)
        return object;
    if (s->kind.n > 0 && kr_get(object, KR_S("kind")).kind == KR_NONE)
        object = kr_with_key(&s->scratch, object, KR_S("kind"), kr_string(s->kind));
    if (kr_get(object, KR_S("apiVersion")).kind == KR_NONE)
        object = kr_with_key(&s->scratch, object, KR_S("apiVersion"), kr_string(s->api_version));
    return object;
}

/* Begins a call: reads object. The view's owned set is the caller's to drop. */
static int make_view(struct kube_store *s, kr_val object, struct kr_view *view, struct kr_err *err)
{
    kr_arena_reset(&s->scratch);
    return kube_view(s->projection, s->gvr, complete(s, object), s->manager, s->pool, &s->scratch,
                     view, err);
}

/* Nothing of old that anybody can see has changed: then old is the record of the newer version too, for all
 * who hold it, and there are never two of one object. */
static bool renewed(struct kube_store *s, struct kr_rec *old, const struct kr_view *now)
{
    struct kr_bits bits;

    return old && !kube_diff_view(old, now, &s->scratch, &bits) && kr_rec_renew(old, now);
}

/* --- objects that a response said are gone ---------------------------------------------------- */

static void tomb_del(struct kube_store *s, kr_str key)
{
    kr_free(kr_map_del(&s->tombs, key));
}

static void tomb_put(struct kube_store *s, kr_str key, kr_str uid)
{
    struct tomb *t;

    if (uid.n == 0)
        return;
    t = kr_alloc(sizeof(*t) + uid.n);
    memcpy(t + 1, uid.s, uid.n);
    *t = (struct tomb){.run = s->run, .uid = {(char *)(t + 1), uid.n}};
    kr_free(kr_map_put(&s->tombs, key, t));
    if (s->tombs.n > KUBE_STORE_TOMBS_MAX)
        tomb_del(s, kr_map_key(kr_map_next(&s->tombs, &(uint64_t){0})));
}

static bool tomb_of(const struct kube_store *s, kr_str key, kr_str uid)
{
    const struct tomb *t = kr_map_get(&s->tombs, key);

    return t && kr_str_eq(t->uid, uid);
}

/* A list that was begun after an object went away has the last word on it. */
static void tombs_expire(struct kube_store *s)
{
    kr_map_each (e, &s->tombs) {
        const struct tomb *t = e->val;

        if (t->run < s->run)
            tomb_del(s, kr_map_key(e));
    }
}

/* --- the filter ------------------------------------------------------------------------------- */

void kube_store_filter(struct kube_store *s, enum kube_store_key by, kube_keep_fn *keep, void *arg)
{
    s->keep = keep;
    s->keep_arg = arg;
    s->keep_by = by;
}

static bool is_kept(const struct kube_store *s, kr_val object)
{
    kr_val meta = kr_get(object, KR_S("metadata"));
    kr_str key;

    if (!s->keep)
        return true;
    if (s->keep_by == KUBE_KEY_UID)
        key = kr_text(kr_get(meta, KR_S("uid")));
    else
        key = kr_text(kr_get(kr_get(meta, KR_S("labels")), KR_S("kro.run/instance-id")));
    return (key.n == 0 && s->keep_by == KUBE_KEY_INSTANCE) || s->keep(s->keep_arg, key, object);
}

static bool rec_is_kept(const struct kube_store *s, const struct kr_rec *r)
{
    kr_str key = s->keep_by == KUBE_KEY_UID ? kr_rec_uid(r) : kr_rec_instance_id(r);

    return (key.n == 0 && s->keep_by == KUBE_KEY_INSTANCE) || s->keep(s->keep_arg, key, KR_V_NONE);
}

static struct kube_keyset *drops(struct kube_store *s)
{
    return s->is_filling ? &s->dropping : &s->dropped;
}

/* An object that the filter does not keep: only its name is remembered; where an earlier state of it was
 * kept, that is gone. key lives in the scratch arena. */
static void drop(struct kube_store *s, kr_val object, kr_str key)
{
    struct kr_map *m = s->is_filling ? &s->filling : &s->objects;
    kr_str version = kr_at_str(object, "metadata.resourceVersion");
    struct kr_rec *old = kr_map_get(m, key);
    uint64_t version_u;

    if (!kr_str_u64(version, &version_u))
        version_u = 0;
    if (old && version_u && version_u < old->version_u)
        return; /* the past of an object that is kept by now */
    if (s->keep_by == KUBE_KEY_INSTANCE)
        kube_keyset_add(drops(s), kr_str_hash(key));
    if (old && s->is_filling)
        kr_rec_drop(kr_map_del(m, key));
    else if (old)
        visible_delete(s, key);
}

static void see_object(struct kube_store *s, kr_val object)
{
    uint64_t version_u;

    if (!s->is_filling && kr_str_u64(kr_at_str(object, "metadata.resourceVersion"), &version_u) &&
        version_u > s->seen)
        s->seen = version_u;
}

/* Whether the object, which comes from the watch, is not kept; then it has been dealt with. */
static bool filtered(struct kube_store *s, kr_val object)
{
    kr_str key;

    if (!s->keep)
        return false;
    kr_arena_reset(&s->scratch);
    key = key_of(s, kr_at_str(object, "metadata.namespace"), kr_at_str(object, "metadata.name"));
    if (is_kept(s, object)) {
        kube_keyset_del(drops(s), kr_str_hash(key));
        return false;
    }
    see_object(s, object);
    drop(s, object, key);
    return true;
}

void kube_store_sift(struct kube_store *s, void (*gone)(void *arg, struct kr_rec *rec), void *arg)
{
    KR_ASSERT(s->keep);
    kr_map_each (e, &s->objects) {
        struct kr_rec *r = e->val;

        if (rec_is_kept(s, r))
            continue;
        if (s->keep_by == KUBE_KEY_INSTANCE)
            kube_keyset_add(&s->dropped, kr_str_hash(kr_map_key(e)));
        s->bytes -= kr_rec_bytes(r);
        kr_map_del(&s->objects, kr_map_key(e));
        if (gone)
            gone(arg, r);
        kr_rec_drop(r);
    }
}

bool kube_store_dropped(const struct kube_store *s, kr_str namespace, kr_str name)
{
    struct kr_arena a = {0};
    kr_str key = kr_fmt(&a, KR_FMT "/" KR_FMT, KR_ARG(namespace), KR_ARG(name));
    bool has = kube_keyset_has(&s->dropped, kr_str_hash(key));

    kr_arena_fini(&a);
    return has;
}

void kube_store_undrop(struct kube_store *s, kr_str namespace, kr_str name)
{
    kr_arena_reset(&s->scratch);
    kube_keyset_del(&s->dropped, kr_str_hash(key_of(s, namespace, name)));
}

uint32_t kube_store_dropped_n(const struct kube_store *s)
{
    return s->dropped.n;
}

/* --- from the watch --------------------------------------------------------------------------- */

void kube_store_list_begin(struct kube_store *s)
{
    kube_store_list_abort(s);
    s->is_filling = true;
    s->run++;
}

void kube_store_list_abort(struct kube_store *s)
{
    recs_clear(&s->filling);
    recs_clear(&s->early);
    recs_clear(&s->former);
    kube_keyset_fini(&s->dropping);
    s->is_filling = false;
}

int kube_store_list_item(struct kube_store *s, kr_val object, struct kr_err *err)
{
    KR_ASSERT(s->is_filling);
    return kube_store_put(s, object, err);
}

/* Adds to the list what only responses have told: unless the list is newer and does not have it. */
static void merge_early(struct kube_store *s, uint64_t version)
{
    kr_map_each (e, &s->early) {
        struct kr_rec *r = e->val, *listed = kr_map_get(&s->filling, kr_map_key(e));
        bool deleted = version > 0 && r->version_u > 0 && r->version_u <= version;

        /* without numbers to compare, the list is trusted: what is newer comes with the stream */
        if (listed ? r->version_u > 0 && r->version_u > listed->version_u : !deleted)
            rec_put(&s->filling, kr_rec_hold(r));
    }
    recs_clear(&s->early);
}

/* Likewise, but only what the list cannot have yet. back: the server has gone back to a former state, so what it
 * said before is no more. */
static void merge_former(struct kube_store *s, uint64_t version, bool back)
{
    kr_map_each (e, &s->former) {
        struct kr_rec *r = e->val;

        if (!back && version > 0 && r->version_u > version)
            rec_put(&s->filling, kr_rec_hold(r));
    }
    recs_clear(&s->former);
}

/* What a response said is gone although the list, which was begun before, still shows it. */
static void bury(struct kube_store *s)
{
    kr_map_each (e, &s->filling) {
        struct kr_rec *r = e->val;

        if (tomb_of(s, kr_map_key(e), kr_rec_uid(r))) {
            kr_map_del(&s->filling, kr_map_key(e));
            kr_rec_drop(r);
        }
    }
}

static uint64_t highest_version(const struct kr_map *m)
{
    uint64_t v = 0;

    kr_map_each (e, m) {
        const struct kr_rec *r = e->val;

        v = r->version_u > v ? r->version_u : v;
    }
    return v;
}

void kube_store_list_done_at(struct kube_store *s, kr_str version)
{
    struct kr_map old = s->objects;
    struct kube_change *synced = KR_ALLOC(struct kube_change);
    uint64_t v;

    KR_ASSERT(s->is_filling);
    if (!kr_str_u64(version, &v))
        v = 0;
    tombs_expire(s);
    bury(s);
    synced->back = v > 0 && v < s->seen;
    s->seen = v > 0 ? v : highest_version(&s->filling);
    merge_early(s, v);
    merge_former(s, v, synced->back);
    s->objects = s->filling;
    s->filling = no_recs;
    s->is_filling = false;
    s->synced = true;
    s->done = s->run;
    s->back = synced->back ? s->run : s->back;
    kube_keyset_fini(&s->dropped);
    s->dropped = s->dropping;
    s->dropping = (struct kube_keyset){0};
    s->bytes = 0;
    kr_map_each (e, &s->objects) {
        struct kr_rec *was = kr_map_get(&old, kr_map_key(e)), *came = e->val;
        struct kr_view now;

        kr_rec_view(came, &now);
        if (renewed(s, was, &now)) {
            kr_map_put(&s->objects, kr_rec_key(was), kr_rec_hold(was));
            kr_rec_drop(came);
        } else {
            report(s, was, came);
        }
        s->bytes += kr_rec_bytes(e->val);
    }
    kr_map_each (e, &old) {
        if (!kr_map_get(&s->objects, kr_map_key(e)))
            report(s, e->val, NULL);
    }
    recs_clear(&old);
    synced->synced = true;
    synced->run = s->run;
    list_change(s, synced);
}

static void see_version(struct kube_store *s, uint64_t version)
{
    if (!s->is_filling && version > s->seen)
        s->seen = version;
}

int kube_store_put(struct kube_store *s, kr_val object, struct kr_err *err)
{
    struct kr_map *m = s->is_filling ? &s->filling : &s->objects;
    struct kr_view view;
    struct kr_rec *old, *r;
    kr_str key;

    if (filtered(s, object))
        return 0;
    KR_TRY(make_view(s, object, &view, err));
    key = view_key(s, &view);
    see_version(s, view.version_u);
    old = kr_map_get(m, key);
    if (!is_newer(&view, old) || (!s->is_filling && renewed(s, old, &view))) {
        kr_fieldset_drop(view.owned);
        return 0;
    }
    r = kube_freeze(s->projection, &view, &s->scratch);
    s->object = object;
    if (s->is_filling)
        rec_put(m, kr_rec_hold(r));
    else if (!tomb_of(s, key, kr_rec_uid(r)))
        visible_put(s, r);
    s->object = KR_V_NONE;
    kr_rec_drop(r);
    return 0;
}

/* The end of an object of which only the name was remembered, if that. */
static bool forgotten(struct kube_store *s, kr_val object)
{
    kr_str key;

    kr_arena_reset(&s->scratch);
    see_object(s, object);
    key = key_of(s, kr_at_str(object, "metadata.namespace"), kr_at_str(object, "metadata.name"));
    kube_keyset_del(drops(s), kr_str_hash(key));
    return !is_kept(s, object) && !kr_map_get(s->is_filling ? &s->filling : &s->objects, key);
}

int kube_store_delete(struct kube_store *s, kr_val object, struct kr_err *err)
{
    struct kr_map *m = s->is_filling ? &s->filling : &s->objects;
    struct kr_view view;
    struct kr_rec *old;
    kr_str key;

    if (s->keep && forgotten(s, object))
        return 0;
    KR_TRY(make_view(s, object, &view, err));
    key = view_key(s, &view);
    see_version(s, view.version_u);
    if (tomb_of(s, key, view.uid))
        tomb_del(s, key);
    old = kr_map_get(m, key);
    if (old && (view.version_u == 0 || view.version_u >= old->version_u)) {
        if (s->is_filling)
            kr_rec_drop(kr_map_del(m, key));
        else
            visible_delete(s, key);
    }
    kr_fieldset_drop(view.owned);
    return 0;
}

/* --- from our own writes ---------------------------------------------------------------------- */

/* Whether what a response shows may have been deleted before it came. */
static bool is_past(const struct kube_store *s, kr_str key, const struct kr_rec *r)
{
    if (tomb_of(s, key, kr_rec_uid(r)))
        return true;
    return !kr_map_get(&s->objects, key) && r->version_u > 0 && r->version_u <= s->seen;
}

enum { ECHO_LOOK = 64 }; /* changes that wait to be taken, newest first */

/* The watch was faster than the answer: its change is our own all the same. */
static void claim_echo(struct kube_store *s, const struct kr_rec *r)
{
    struct kr_link *l = s->listed.prev;

    for (int i = 0; i < ECHO_LOOK && l && l != &s->listed; i++, l = l->prev) {
        struct kube_change *c = KR_OWNER(l, struct kube_change, store_link);

        if (c->now && kr_str_eq(kr_rec_version(c->now), kr_rec_version(r)) &&
            kr_str_eq(kr_rec_uid(c->now), kr_rec_uid(r)))
            c->own = true;
    }
}

/* The record of an answer. Where the watch was faster it is the one that is here, so that nobody holds a
 * second one of the same. Takes over the view's owned set. Returns a reference. */
static struct kr_rec *answered(struct kube_store *s, uint64_t run, kr_str key,
                               const struct kr_view *view)
{
    struct kr_rec *here = run == s->run ? kr_map_get(&s->objects, key) : NULL;
    struct kr_bits bits;

    if (!here || !kr_str_eq(kr_rec_version(here), view->version) ||
        kube_diff_view(here, view, &s->scratch, &bits))
        return kube_freeze(s->projection, view, &s->scratch);
    kr_fieldset_drop(view->owned);
    return kr_rec_hold(here);
}

/* The server took the request, and has gone back to a former state since: what the answer shows is no more. */
static bool is_void(const struct kube_store *s, uint64_t run)
{
    return run < s->back;
}

/* What an answer shows, in the store. An answer to a request of a former run enters it only as long as no list
 * of this run is complete: that list decides, and whatever it does not have is reported as gone. */
static void enter(struct kube_store *s, bool current, kr_str key, const struct kr_view *view,
                  struct kr_rec *r)
{
    struct kr_map *early = current ? &s->early : &s->former;

    if (current && s->keep)
        kube_keyset_del(drops(s), kr_str_hash(key));
    if (!is_past(s, key, r) && is_newer(view, kr_map_get(&s->objects, key)))
        visible_put(s, r);
    else
        claim_echo(s, r);
    if (s->is_filling && is_newer(view, kr_map_get(early, key)))
        rec_put(early, kr_rec_hold(r));
}

int kube_store_response(struct kube_store *s, uint64_t run, kr_val object, struct kr_rec **out,
                        struct kr_err *err)
{
    bool current = run == s->run;
    struct kr_view view;
    struct kr_rec *r;
    kr_str key;

    KR_TRY(make_view(s, object, &view, err));
    key = view_key(s, &view);
    r = answered(s, run, key, &view);
    s->answering = true;
    if (!is_kept(s, object)) {
        if (current)
            drop(s, object, key); /* whoever asked no longer has the instance */
    } else if (current || s->done != s->run) {
        enter(s, current, key, &view, r);
    }
    s->answering = false;
    if (out)
        *out = is_void(s, run) ? NULL : kr_rec_hold(r);
    kr_rec_drop(r);
    return 0;
}

void kube_store_response_gone(struct kube_store *s, uint64_t run, kr_str namespace, kr_str name,
                              kr_str uid, uint64_t version)
{
    struct kr_rec *r;
    kr_str key;
    bool told; /* the watch has passed the deletion: no event of the object is on its way */

    if (run != s->run)
        return;
    kr_arena_reset(&s->scratch);
    key = key_of(s, namespace, name);
    r = kr_map_get(&s->objects, key);
    if (r && uid.n > 0 && !kr_str_eq(kr_rec_uid(r), uid))
        return; /* another object has the name by now */
    if (uid.n == 0 && r)
        uid = kr_strdup(&s->scratch, kr_rec_uid(r));
    told = !r && !s->is_filling && version > 0 && version <= s->seen;
    if (!told)
        tomb_put(s, key, uid);
    s->answering = true;
    visible_delete(s, key);
    s->answering = false;
    r = kr_map_get(&s->early, key);
    if (r && (uid.n == 0 || kr_str_eq(kr_rec_uid(r), uid)))
        kr_rec_drop(kr_map_del(&s->early, key));
}
