/* SPDX-License-Identifier: Apache-2.0 */
/* route.c - a change of a store -> the instances and definitions it concerns, with the bits in the
 * numbering of the node that reads. A change that no read path covers never comes this far: the
 * store lists only records with changed bits, and an instance whose node reads none of them is not
 * queued.
 */
#include "reactor/internal.h"

static void route_parent(struct reactor *r, struct reactor_watch *w, const struct kube_change *c)
{
    struct kr_link *l = w->uses.next;
    struct reactor_use *u;
    struct reactor_inst *inst;
    struct kr_bits bits;
    struct kr_arena a = {0};
    bool fresh;

    if (l == &w->uses)
        return;
    u = KR_OWNER(l, struct reactor_use, link);
    inst = reactor__inst_of(r, u->served, c->now ? c->now : c->old,
                            c->now && reactor__bucket_served(r, kr_rec_uid(c->now)));
    if (!inst)
        return;
    if (c->now)
        reactor__bucket_set(inst, kr_rec_uid(c->now));
    fresh = c->old == NULL;
    reactor__count_parent(u->served, fresh    ? REACTOR_C_ADD
                                     : c->now ? REACTOR_C_UPDATE
                                              : REACTOR_C_DELETE);
    reactor__use_bits(u, &c->bits, &a, &bits);
    reactor__why_change(inst, u, c, fresh ? NULL : &bits);
    reactor__roll_parent(inst, c->old, c->now);
    graph_inst_parent(inst->core, c->now, fresh ? NULL : &bits);
    reactor__inst_queue(inst, fresh ? REACTOR_P_BACKLOG : REACTOR_P_USER);
    kr_arena_fini(&a);
}

/* The object is a child of an instance of ours: a change of it may stem from our own write. */
static void tell_writer(struct reactor *r, struct reactor_inst *reader, const struct kr_rec *rec)
{
    const struct reactor_kin *kin =
        kr_rec_part_of(rec).n ? kr_map_get(&r->kins, kr_rec_part_of(rec)) : NULL;

    if (kin && kin->inst)
        graph_inst_echo(reader->core, kin->inst->core);
}

static void route_external(struct reactor *r, struct reactor_watch *w, const struct kube_change *c)
{
    const struct kr_rec *rec = c->now ? c->now : c->old;
    struct kr_arena a = {0};
    kr_str key =
        kr_fmt(&a, KR_FMT "/" KR_FMT, KR_ARG(kr_rec_namespace(rec)), KR_ARG(kr_rec_name(rec)));
    struct reactor_ext *ext = kr_map_get(&w->exts, key);

    if (ext && w->known) {
        for (struct kr_link *l = ext->subs.next; l != &ext->subs; l = l->next) {
            struct reactor_sub *sub = KR_OWNER(l, struct reactor_sub, link);
            struct kr_bits bits;

            if (!sub->use)
                continue;
            reactor__use_bits(sub->use, &c->bits, &a, &bits);
            if (!kr_bits_any(&bits))
                continue;
            reactor__why_change(sub->inst, sub->use, c, &bits);
            reactor__events_source(sub->inst, sub->use, c->now ? c->now : c->old);
            tell_writer(r, sub->inst, rec);
            graph_inst_external(sub->inst->core, sub->node, c->now, &bits);
            reactor__inst_queue(sub->inst, REACTOR_P_CHANGE);
            r->stats.changes_routed++;
        }
    }
    kr_arena_fini(&a);
}

/* Whoever has the selector hears of it, if its node reads what changed. */
static void tell_selected(struct reactor *r, struct reactor_sub *sub, const struct kube_change *c)
{
    const struct kr_rec *rec = c->now ? c->now : c->old;
    KR_AUTO(kr_arena) a = {0};
    struct kr_bits bits;

    if (!sub->use)
        return;
    reactor__use_bits(sub->use, &c->bits, &a, &bits);
    if (!kr_bits_any(&bits))
        return;
    reactor__why_change(sub->inst, sub->use, c, &bits);
    reactor__events_source(sub->inst, sub->use, rec);
    tell_writer(r, sub->inst, rec);
    graph_inst_external_item(sub->inst->core, sub->node, c->old, c->now, &bits);
    reactor__inst_queue(sub->inst, REACTOR_P_CHANGE);
    r->stats.changes_routed++;
}

static void route_selected(struct reactor *r, struct reactor_watch *w, const struct kube_change *c)
{
    if (!w->known)
        return; /* the whole list is told */
    kr_map_each (e, &w->exts) {
        const struct reactor_ext *ext = e->val;

        for (struct kr_link *l = ext->subs.next; l != &ext->subs; l = l->next)
            tell_selected(r, KR_OWNER(l, struct reactor_sub, link), c);
    }
}

static void route_rgd(struct reactor *r, const struct kube_change *c)
{
    const struct kr_rec *rec = c->now ? c->now : c->old;

    reactor__def_object(r, kr_rec_name(rec), c->now ? kr_rec_root(c->now) : KR_V_NONE);
}

static void route_change(struct reactor *r, struct kube_change *c)
{
    struct reactor_watch *w = c->store ? kube_store_owner(c->store) : NULL;
    uint64_t matched;

    if (!w)
        return;
    if (c->synced) {
        bool expected = w->stale;

        w->stale = false;
        reactor__count_synced(w);
        reactor__buckets_synced(w, c->run);
        reactor__watch_touch(w);
        if (c->back && !expected)
            reactor__watches_back(r, w);
        return;
    }
    r->stats.changes++;
    matched = r->stats.changes_routed;
    reactor__count_change(r, w);
    switch (w->role) {
    case REACTOR_W_RGDS:
        route_rgd(r, c);
        return;
    case REACTOR_W_REVISIONS:
        reactor__defs_revision(r, c);
        return;
    case REACTOR_W_CRDS:
    case REACTOR_W_OWN_CRDS:
        reactor__defs_crd(r, c);
        return;
    case REACTOR_W_PARENTS:
        route_parent(r, w, c);
        return;
    case REACTOR_W_CHILDREN:
        reactor__kin_change(r, c);
        break;
    case REACTOR_W_ONE:
    case REACTOR_W_SHARED:
        route_external(r, w, c);
        break;
    case REACTOR_W_SELECTED:
        route_selected(r, w, c);
        break;
    }
    reactor__count_route(w, r->stats.changes_routed - matched);
}

/* Phase 2. */
bool reactor__route_turn(struct reactor *r)
{
    struct kr_link list, *l;
    bool any = false;

    kr_link_take(&list, &r->changes.head);
    while ((l = kr_link_pop(&list)) != NULL) {
        struct kube_change *c = KR_OWNER(l, struct kube_change, link);

        route_change(r, c);
        kube_change_free(c);
        kr_rec_rest();
        any = true;
    }
    return any;
}
