/* SPDX-License-Identifier: Apache-2.0 */
/* buckets.c - what this process does with the buckets that it may serve (who may is shards.c's matter).
 *
 *   foreign --gained--> loading --parents and children are listed--> loaded: its instances are stepped
 *      ^                   |                                            |
 *      '-------------------+--------------------lost--------------------'
 *
 * The server filters the parents: the selector leaves out the labels of all buckets that are not ours,
 * so what comes is ours, or has no label yet ("notin" lets that pass). Of the rest, and of the children,
 * which carry no bucket, what is not ours is dropped at parse by the uid that its bucket follows from.
 *
 * What was dropped is not there when a bucket is gained, so each type is listed once more; what is served
 * already goes on meanwhile, the new instances wait until all lists are complete, and then are stepped
 * as at a start: nothing is written that is there. Gains that come while lists are under way begin them
 * anew. When a bucket is lost its instances are forgotten in the same turn.
 *
 * A label that names a bucket which the uid does not hash to would hide the instance from its holder.
 * Who sees it (the holder of the bucket that it names) takes it off; then the right one sees it again.
 */
#include "cel/base/log.h"
#include "reactor/internal.h"
#include "reactor/shards.h"

#include "cel/base/banned.h"

enum { LIARS_MAX = 64 }; /* corrections under way; more come when they are seen again */

struct liar {
    struct kube_req req;
    struct kr_arena arena;
    struct reactor *r;
};

static uint64_t bit(uint32_t bucket)
{
    return (uint64_t)1 << bucket;
}

/* --- which objects are ours ------------------------------------------------------------------- */

static void on_corrected(struct kube_req *req)
{
    struct liar *l = KR_OWNER(req, struct liar, req);

    l->r->buckets.liars_n--;
    kube_req_fini(&l->req);
    kr_arena_fini(&l->arena);
    kr_free(l);
}

static void correct(struct reactor_watch *w, kr_val object)
{
    struct liar *l = KR_ALLOC(struct liar);
    kr_ref ref = {w->gvr, kr_at_str(object, "metadata.namespace"),
                  kr_at_str(object, "metadata.name")};
    kr_val body;

    l->r = w->r;
    l->r->buckets.liars_n++;
    body = kr_with(&l->arena, kr_map_sorted(NULL, 0), "metadata.resourceVersion",
                   kr_at(object, "metadata.resourceVersion"));
    body = kr_with(
        &l->arena, body, "metadata.labels",
        kr_with_key(&l->arena, kr_map_sorted(NULL, 0), KR_S(GRAPH_LABEL_BUCKET), KR_V_NULL));
    l->req.ref = kr_ref_copy(&l->arena, ref);
    l->req.verb = KUBE_MERGE_PATCH;
    l->req.manager = GRAPH_MANAGER_LABELLER;
    l->req.on_done = on_corrected;
    if (kube_req_set_body(&l->req, body, NULL) == 0) {
        l->r->stats.requests[KUBE_MERGE_PATCH]++;
        kube_req_start(l->r->client, &l->req);
    } else {
        on_corrected(&l->req);
    }
}

static bool keep_parent(void *arg, kr_str uid, kr_val object)
{
    struct reactor_watch *w = arg;
    const struct reactor_buckets *b = &w->r->buckets;
    uint32_t bucket = reactor_bucket(uid);
    uint64_t said;

    if (b->served & bit(bucket))
        return true;
    if (kr_str_u64(kr_text(kr_get(kr_at(object, "metadata.labels"), KR_S(GRAPH_LABEL_BUCKET))),
                   &said) &&
        said < REACTOR_BUCKETS && said != bucket && (b->served & bit((uint32_t)said)) &&
        b->liars_n < LIARS_MAX && !w->r->stopping)
        correct(w, object);
    return false;
}

static bool keep_child(void *arg, kr_str instance_id, kr_val object)
{
    const struct reactor_watch *w = arg;

    (void)object;
    return (w->r->buckets.served & bit(reactor_bucket(instance_id))) != 0;
}

static bool is_shared_out(const struct reactor_watch *w)
{
    return w->role == REACTOR_W_PARENTS || w->role == REACTOR_W_CHILDREN;
}

/* Of the parents: those of our buckets and those without a label. */
static kr_str selector(const struct reactor *r, struct kr_arena *a)
{
    struct kr_buf b = KR_BUF(KUBE_SELECTOR_MAX);
    kr_str text;

    for (uint32_t i = 0; i < REACTOR_BUCKETS; i++) {
        if (!(r->buckets.served & bit(i)))
            kr_buf_fmt(&b, "%s%u", b.n ? "," : GRAPH_LABEL_BUCKET " notin (", (unsigned)i);
    }
    if (b.n)
        kr_buf_str(&b, KR_S(")"));
    text = kr_strdup(a, kr_buf_view(&b));
    kr_buf_fini(&b);
    return text;
}

void reactor__buckets_watch(struct reactor_watch *w, struct kube_watch_opts *o)
{
    struct reactor *r = w->r;

    if (!r->buckets.on || !is_shared_out(w))
        return;
    o->paused = r->buckets.served == 0; /* nothing of it would be kept */
    if (w->role == REACTOR_W_PARENTS) {
        o->label_selector = selector(r, &w->arena);
        kube_store_filter(w->store, KUBE_KEY_UID, keep_parent, w);
    } else {
        kube_store_filter(w->store, KUBE_KEY_INSTANCE, keep_child, w);
    }
}

/* --- instances -------------------------------------------------------------------------------- */

bool reactor__bucket_served(const struct reactor *r, kr_str uid)
{
    return !r->buckets.on || (r->buckets.served & bit(reactor_bucket(uid)));
}

void reactor__bucket_set(struct reactor_inst *inst, kr_str uid)
{
    if (inst->served->r->buckets.on)
        inst->bucket = (uint8_t)reactor_bucket(uid);
}

bool reactor__bucket_loaded(const struct reactor_inst *inst)
{
    const struct reactor *r = inst->served->r;

    return !r->buckets.on || (r->buckets.loaded & bit(inst->bucket));
}

kr_str reactor__bucket_label(const struct reactor_inst *inst, struct kr_arena *a)
{
    if (!inst->served->r->buckets.on)
        return KR_S("");
    return kr_fmt(a, "%u", (unsigned)inst->bucket);
}

/* --- losing ----------------------------------------------------------------------------------- */

static void forget_instances(struct reactor *r, uint64_t lost)
{
    kr_map_each (e, &r->served) {
        struct reactor_served *s = e->val;

        for (struct kr_link *l = s->insts.next, *next = l->next; l != &s->insts;
             l = next, next = l->next) {
            struct reactor_inst *inst = KR_OWNER(l, struct reactor_inst, link);

            if (lost & bit(inst->bucket))
                reactor__inst_free(inst);
        }
    }
}

static void on_sifted(void *arg, struct kr_rec *rec)
{
    reactor__kin_drop(arg, rec);
}

/* Of all that is not served any more, also since longer ago. */
static void cancel_writes(struct reactor *r)
{
    for (struct kr_link *l = r->ops.next; l != &r->ops; l = l->next) {
        struct reactor_op *op = KR_OWNER(l, struct reactor_op, link);

        if (op->of_inst && !(r->buckets.served & bit(op->bucket)))
            kube_req_cancel(&op->req);
    }
}

static void lose(struct reactor *r, uint64_t lost)
{
    forget_instances(r, lost);
    kr_map_each (e, &r->watches) {
        struct reactor_watch *w = e->val;

        if (is_shared_out(w))
            kube_store_sift(w->store, w->role == REACTOR_W_CHILDREN ? on_sifted : NULL, r);
    }
}

/* --- gaining ---------------------------------------------------------------------------------- */

static void select_anew(struct reactor *r, bool relist)
{
    struct kr_arena a = {0};
    kr_str parents = selector(r, &a);

    kr_map_each (e, &r->watches) {
        struct reactor_watch *w = e->val;

        if (!is_shared_out(w) || (!relist && w->role == REACTOR_W_CHILDREN))
            continue;
        if (relist)
            w->loads_run = kube_store_run(w->store) + 1;
        kube_watch_select(
            w->watch, w->role == REACTOR_W_PARENTS ? parents : KR_S(GRAPH_LABEL_PART_OF), relist);
    }
    kr_arena_fini(&a);
}

void reactor__buckets_synced(struct reactor_watch *w, uint64_t run)
{
    if (w->loads_run && run >= w->loads_run) {
        w->loads_run = 0;
        reactor__buckets_look(w->r);
    }
}

/* A type that cannot be listed keeps nobody waiting: whoever has a node of it is told why. */
static bool has_loaded(struct reactor_watch *w)
{
    if (!w->loads_run)
        return true;
    if (w->role != REACTOR_W_CHILDREN || !kube_watch_error(w->watch))
        return false;
    if (!w->stale) {
        w->stale = true; /* until the next list: the new instances' children are not known */
        reactor__watch_touch(w);
    }
    return true;
}

static void step_loaded(struct reactor *r, uint64_t fresh)
{
    kr_map_each (e, &r->served) {
        struct reactor_served *s = e->val;

        for (struct kr_link *l = s->insts.next; l != &s->insts; l = l->next) {
            struct reactor_inst *inst = KR_OWNER(l, struct reactor_inst, link);

            if (fresh & bit(inst->bucket))
                reactor__inst_queue(inst, REACTOR_P_BACKLOG);
        }
    }
}

void reactor__buckets_look(struct reactor *r)
{
    struct reactor_buckets *b = &r->buckets;
    uint64_t fresh = b->served & ~b->loaded;
    bool all = true;

    if (!b->on || !fresh)
        return;
    kr_map_each (e, &r->watches)
        all = has_loaded(e->val) && all;
    if (!all)
        return;
    b->loaded = b->served;
    kr_log(KR_INFO, "buckets loaded", KV_INT("buckets", __builtin_popcountll(b->loaded)));
    step_loaded(r, fresh);
}

void reactor_buckets(struct reactor *r, uint64_t serving, bool at_once)
{
    struct reactor_buckets *b = &r->buckets;
    uint64_t lost = b->served & ~serving, gained = serving & ~b->served;

    KR_ASSERT(b->on);
    if (r->stopping)
        gained = 0;
    reactor__route_turn(r); /* what waits there was let in by what was served so far */
    b->served = (b->served & ~lost) | gained;
    b->loaded &= b->served;
    if (lost)
        lose(r, lost);
    if (at_once)
        cancel_writes(r);
    if (gained || lost)
        select_anew(r, gained != 0);
    if (gained)
        reactor__buckets_look(r);
}

uint64_t reactor_buckets_busy(const struct reactor *r)
{
    uint64_t busy = 0;

    for (const struct kr_link *l = r->ops.next; l != &r->ops; l = l->next) {
        const struct reactor_op *op = KR_OWNER(l, struct reactor_op, link);

        busy |= op->of_inst ? bit(op->bucket) : 0;
    }
    return busy;
}
