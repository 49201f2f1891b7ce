/* SPDX-License-Identifier: Apache-2.0 */
/* lead.c - a standby: it follows everything and evaluates everything, and sends nothing.
 *
 * A write that a plan asks for is held: the machine that asked believes it to be under way. So a
 * standby's caches, revisions and watches are those of the leader, external objects included, and
 * where all is as it should be nothing is held at all. When the standby comes to lead, the machines
 * with a held write are made anew from the caches (what they asked for may have been done by the
 * former leader long ago) and stepped: no list, no read.
 *
 *   standby --reactor_lead(true)--> leader          held machines are made anew
 *   leader --reactor_lead(false)--> standby         writes under way are cancelled
 *
 * With --shards this concerns the definitions alone: the instances' writes are never held, for only the
 * holder of their bucket has them (buckets.c).
 */
#include "cel/base/log.h"
#include "reactor/internal.h"

#include "cel/base/banned.h"

struct reactor_held {
    struct kr_link link;       /* in r->held */
    struct kr_link owner_link; /* in inst->held or def->held */
    struct reactor_inst *inst; /* or */
    struct reactor_def *def;
    uint64_t token;
};

/* --- holding ---------------------------------------------------------------------------------- */

void reactor__hold(struct reactor *r, struct reactor_inst *inst, struct reactor_def *def,
                   uint64_t token)
{
    struct reactor_held *h = KR_ALLOC(struct reactor_held);

    h->inst = inst;
    h->def = def;
    h->token = token;
    kr_link_push(&r->held, &h->link);
    kr_link_push(inst ? &inst->held : &def->held, &h->owner_link);
}

static void held_free(struct reactor_held *h)
{
    kr_link_remove(&h->link);
    kr_link_remove(&h->owner_link);
    kr_free(h);
}

void reactor__held_drop(struct kr_link *held)
{
    struct kr_link *l;

    while ((l = kr_link_pop(held)) != NULL)
        held_free(KR_OWNER(l, struct reactor_held, owner_link));
}

/* Something new is known of def's objects: the leader may have done what was held. */
void reactor__held_look_again(struct reactor_def *def)
{
    struct kr_link *l;

    while ((l = kr_link_pop(&def->held)) != NULL) {
        struct reactor_held *h = KR_OWNER(l, struct reactor_held, owner_link);
        struct graph_result res = {
            .token = h->token, .outcome = GRAPH_O_RETRY, .message = KR_S("another process leads")};

        graph_def_result(def->core, &res, kube_now_ms(def->r->clock));
        held_free(h);
    }
}

/* --- taking over ------------------------------------------------------------------------------ */

static void keep_use(struct reactor *r, struct reactor_use *u)
{
    if (!u)
        return;
    r->kept = kr_realloc(r->kept, (r->kept_n + 1) * sizeof(struct reactor_use *));
    r->kept[r->kept_n++] = u;
    u->subs_n++;
}

void reactor__kept_release(struct reactor *r)
{
    for (uint32_t i = 0; i < r->kept_n; i++)
        reactor__use_leave(r->kept[i]);
    kr_free(r->kept);
    r->kept = NULL;
    r->kept_n = 0;
}

/* What it reads of external objects stays followed until it asks for that again. */
static void inst_renew(struct reactor_inst *inst)
{
    struct reactor_served *s = inst->served;
    struct reactor *r = s->r;
    struct reactor_why *why = KR_MOVE(inst->why);
    struct kr_arena a = {0};
    kr_ref ref = kr_ref_copy(&a, graph_inst_ref(inst->core));
    struct kr_rec *rec =
        s->parents ? kube_store_get(s->parents->store, ref.namespace, ref.name) : NULL;

    for (struct kr_link *l = inst->subs.next; l != &inst->subs; l = l->next)
        keep_use(r, KR_OWNER(l, struct reactor_sub, inst_link)->use);
    reactor__inst_free(inst);
    if (rec) {
        inst = reactor__inst_of(r, s, rec, true);
        inst->why = why;
        graph_inst_parent(inst->core, rec, NULL);
        reactor__inst_queue(inst, REACTOR_P_USER);
    } else {
        reactor_why_free(&r->whys, why);
    }
    kr_arena_fini(&a);
}

static kr_val file_definition(const struct reactor *r, kr_str name)
{
    for (uint32_t i = 0; i < r->rgd_vals_n; i++) {
        if (kr_str_eq(kr_at_str(r->rgd_vals[i], "metadata.name"), name))
            return r->rgd_vals[i];
    }
    return KR_V_NONE;
}

static void tell_revisions(struct reactor *r, struct reactor_def *def)
{
    uint64_t at = 0;
    struct kr_rec *rec;

    while ((rec = kube_store_next(r->revisions->store, &at)) != NULL) {
        if (kr_str_eq(kr_at_str(kr_rec_root(rec), "spec.snapshot.name"), def->key))
            graph_def_revision(def->core, kr_rec_root(rec), false);
    }
}

static void def_renew(struct reactor_def *def)
{
    struct reactor *r = def->r;
    struct kr_arena a = {0};
    kr_str name = kr_strdup(&a, def->key);
    struct kr_rec *rec = r->rgds ? kube_store_get(r->rgds->store, KR_S(""), name) : NULL;

    reactor__def_free(def);
    def = reactor__def(r, name);
    if (r->revisions)
        tell_revisions(r, def);
    reactor__def_object(r, name,
                        r->opts.sidecar ? file_definition(r, name)
                        : rec           ? kr_rec_root(rec)
                                        : KR_V_NONE);
    kr_arena_fini(&a);
}

/* The streams of a standby may lag behind what the former leader wrote last. A finalizer that goes too
 * early leaves a child behind for good, so that waits. */
static void take_over(struct reactor *r)
{
    r->unheard_until_ms = kube_now_ms(r->clock) + REACTOR_UNHEARD_MS;
    reactor__watches_behind(r);
    while (!kr_link_empty(&r->held)) {
        struct reactor_held *h = KR_OWNER(r->held.next, struct reactor_held, link);

        if (h->inst)
            inst_renew(h->inst);
        else
            def_renew(h->def);
    }
}

static void step_down(struct reactor *r)
{
    for (struct kr_link *l = r->ops.next; l != &r->ops; l = l->next) {
        struct reactor_op *op = KR_OWNER(l, struct reactor_op, link);

        if (!op->of_inst || !r->buckets.on)
            kube_req_cancel(&op->req);
    }
}

void reactor_lead(struct reactor *r, bool lead)
{
    if (r->leading == lead || (lead && r->stopping))
        return;
    r->leading = lead;
    if (lead)
        take_over(r);
    else
        step_down(r);
}
