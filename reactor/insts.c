/* SPDX-License-Identifier: Apache-2.0 */
/* insts.c - the table of live instances, the revisions that serve them, and the children by ApplySet.
 *
 * A revision is served from SERVE on: its parents' watch and one children's watch per type are open,
 * each node's read paths are uses. Instances are not stepped before the parents and all children
 * types are listed (or one is known to be in trouble), so that a start with 10,000 instances costs
 * lists and one step each, and nothing is written that is there already.
 *
 * Children are indexed by their ApplySet id whether or not the instance is known yet: whichever list
 * completes first, no child is missed.
 */
#include "cel/base/log.h"
#include "reactor/internal.h"

static void inst_adopt_children(struct reactor *r, struct reactor_inst *inst);

/* --- serving ---------------------------------------------------------------------------------- */

static bool node_is_external(const struct graph_node *n)
{
    return n->kind == GRAPH_EXTERNAL || n->kind == GRAPH_EXTERNAL_COLLECTION;
}

static struct reactor_served *served_new(struct reactor *r, kr_gvr gvr, kr_gvk gvk)
{
    struct reactor_served *s = KR_ALLOC(struct reactor_served);

    s->r = r;
    s->gvr = kr_gvr_copy(&s->arena, gvr);
    s->gvk = kr_gvk_copy(&s->arena, gvk);
    s->key = kr_gvr_key(&s->arena, gvr);
    kr_link_init(&s->insts);
    s->lane.flow = (uint8_t)(1 + r->lane_ids++ % (KUBE_FLOWS - 1));
    kr_map_put(&r->served, s->key, s);
    return s;
}

static struct reactor_use **uses_of(struct reactor *r, struct reactor_served *s,
                                    struct graph_rev *rev)
{
    struct reactor_use **uses = kr_alloc((rev->nodes_n + 1) * sizeof(struct reactor_use *));

    for (uint32_t i = 0; i < rev->nodes_n; i++) {
        const struct graph_node *n = &rev->nodes[i];
        struct reactor_watch *w;

        if (node_is_external(n))
            continue;
        w = reactor__watch(r, REACTOR_W_CHILDREN, n->gvr, KR_S(""), KR_S(""));
        uses[i] = reactor__use_new(w, s, i, n->reads, n->reads_n);
        reactor__watch_release(w);
    }
    return uses;
}

static void uses_free(struct reactor_use **uses, uint32_t n)
{
    for (uint32_t i = 0; uses && i < n; i++)
        reactor__use_free(uses[i]);
    kr_free(uses);
}

static void subs_drop(struct reactor_inst *inst)
{
    while (!kr_link_empty(&inst->subs))
        reactor__sub_free(KR_OWNER(inst->subs.next, struct reactor_sub, inst_link));
}

static void inst_set_revision(struct reactor_inst *inst)
{
    struct reactor_served *s = inst->served;

    graph_inst_revision(inst->core, s->rev, s->problem);
    for (uint32_t i = 0; s->rev && i < s->rev->nodes_n; i++) {
        struct kr_arena a = {0};
        struct reactor_watch *w = s->node_uses[i] ? s->node_uses[i]->watch : NULL;

        if (w)
            graph_inst_known(inst->core, i, reactor__watch_known(w), reactor__watch_why(w, &a));
        kr_arena_fini(&a);
    }
}

void reactor__serve(struct reactor *r, struct graph_rev *rev)
{
    struct kr_arena a = {0};
    struct reactor_served *s = kr_map_get(&r->served, kr_gvr_key(&a, rev->instance_gvr));
    struct reactor_use **old_uses, *old_parent;
    struct graph_rev *old;

    kr_arena_fini(&a);
    if (!s)
        s = served_new(r, rev->instance_gvr, rev->instance_gvk);
    if (s->rev == rev)
        return;
    old = s->rev;
    old_uses = s->node_uses;
    old_parent = s->parent_use;
    s->rev = graph_rev_hold(rev);
    kr_free((char *)(uintptr_t)s->problem.s);
    s->problem = KR_S("");
    s->problem.s = NULL;
    if (!old)
        reactor__count_served(r, true);
    if (!s->parents)
        s->parents = reactor__watch(r, REACTOR_W_PARENTS, s->gvr, KR_S(""), KR_S(""));
    s->parent_use =
        reactor__use_new(s->parents, s, REACTOR_PARENT, rev->parent_reads, rev->parent_reads_n);
    s->node_uses = uses_of(r, s, rev);
    s->ready = false;
    for (struct kr_link *l = s->insts.next; l != &s->insts; l = l->next) {
        struct reactor_inst *inst = KR_OWNER(l, struct reactor_inst, link);

        inst_set_revision(inst);
        inst_adopt_children(r, inst);
        reactor__subs_carry(inst, old);
    }
    reactor__use_free(old_parent);
    uses_free(old_uses, old ? old->nodes_n : 0);
    graph_rev_drop(old);
    reactor__served_known(s);
    kr_log(KR_INFO, "serving", KV("rgd", rev->rgd_name), KV_INT("revision", rev->number),
           KV("resource", rev->instance_gvr.resource), KV("group", rev->instance_gvr.group));
}

void reactor__unserve(struct reactor *r, kr_gvr gvr, kr_str problem)
{
    struct kr_arena a = {0};
    struct reactor_served *s = kr_map_get(&r->served, kr_gvr_key(&a, gvr));
    struct graph_rev *old;

    kr_arena_fini(&a);
    if (!s || !s->rev)
        return;
    s->problem = kr_str_c(kr_cstrdup(problem));
    for (struct kr_link *l = s->insts.next; l != &s->insts; l = l->next) {
        struct reactor_inst *inst = KR_OWNER(l, struct reactor_inst, link);

        graph_inst_revision(inst->core, NULL, s->problem);
        reactor__inst_queue(inst, REACTOR_P_CHANGE);
    }
    /* The parents' watch and its reads stay: deletions go on being served. */
    old = s->rev;
    s->rev = NULL;
    reactor__count_served(r, false);
    for (struct kr_link *l = s->insts.next; l != &s->insts; l = l->next)
        reactor__subs_carry(KR_OWNER(l, struct reactor_inst, link), old);
    uses_free(s->node_uses, old->nodes_n);
    s->node_uses = NULL;
    graph_rev_drop(old);
}

/* The version in which the server keeps the objects of a CRD. */
static kr_str stored_version(const struct kr_rec *crd)
{
    KR_LIST_EACH (v, kr_at(kr_rec_root(crd), "spec.versions")) {
        kr_val storage = kr_get(*v, KR_S("storage"));

        if (storage.kind == KR_BOOL && storage.b)
            return kr_at_str(*v, "name");
    }
    return KR_S("");
}

void reactor__serve_deletions(struct reactor *r, const struct kr_rec *crd)
{
    kr_gvr gvr = {.group = kr_at_str(kr_rec_root(crd), "spec.group"),
                  .version = stored_version(crd),
                  .resource = kr_at_str(kr_rec_root(crd), "spec.names.plural")};
    kr_gvk gvk = {.group = gvr.group,
                  .version = gvr.version,
                  .kind = kr_at_str(kr_rec_root(crd), "spec.names.kind")};
    const struct graph_read *needs;
    struct reactor_served *s;
    struct kr_arena a = {0};
    uint32_t needs_n;
    bool known = kr_map_get(&r->served, kr_gvr_key(&a, gvr)) != NULL;

    kr_arena_fini(&a);
    if (known || !gvr.group.n || !gvr.version.n || !gvr.resource.n || !gvk.kind.n)
        return;
    s = served_new(r, gvr, gvk);
    needs = graph_parent_needs(&needs_n);
    s->parents = reactor__watch(r, REACTOR_W_PARENTS, s->gvr, KR_S(""), KR_S(""));
    s->parent_use = reactor__use_new(s->parents, s, REACTOR_PARENT, needs, needs_n);
    reactor__served_known(s);
    kr_log(KR_INFO, "no definition: deletions alone are served", KV("resource", gvr.resource),
           KV("group", gvr.group));
}

static bool watch_settled(const struct reactor_watch *w)
{
    return reactor__watch_known(w) || w->lacking || kube_watch_error(w->watch) != NULL;
}

static bool served_settled(const struct reactor_served *s)
{
    if (!s->parents || !reactor__watch_known(s->parents))
        return false;
    for (uint32_t i = 0; s->rev && s->node_uses && i < s->rev->nodes_n; i++) {
        if (s->node_uses[i] && !watch_settled(s->node_uses[i]->watch))
            return false;
    }
    return true;
}

void reactor__served_known(struct reactor_served *s)
{
    bool ready = served_settled(s);

    if (!ready) {
        /* Once ready it stays so, unless the parents are being listed again. */
        s->ready = s->ready && s->parents && reactor__watch_known(s->parents);
        return;
    }
    s->ready = true;
    for (struct kr_link *l = s->insts.next; l != &s->insts; l = l->next)
        reactor__inst_queue(KR_OWNER(l, struct reactor_inst, link), REACTOR_P_BACKLOG);
}

/* --- instances -------------------------------------------------------------------------------- */

static bool is_steppable(const struct reactor_inst *inst)
{
    return inst->served->ready && reactor__bucket_loaded(inst);
}

static void inst_enqueue(struct reactor_inst *inst, enum reactor_prio prio)
{
    struct reactor_served *s = inst->served;

    if (!s->r->stopping && is_steppable(inst))
        reactor__queue_add(&s->r->queue, &s->lane, &inst->item, prio);
}

/* A retry whose time comes while everything is listed again is due still when that is done. */
static void on_timer(struct kube_timer *timer)
{
    struct reactor_inst *inst = KR_OWNER(timer, struct reactor_inst, timer);

    inst->due = true;
    inst_enqueue(inst, REACTOR_P_CHANGE);
}

static struct reactor_kin *kin_of(struct reactor *r, kr_str part_of)
{
    struct reactor_kin *kin = kr_map_get(&r->kins, part_of);

    if (!kin) {
        kin = KR_ALLOC(struct reactor_kin);
        kr_map_put(&r->kins, part_of, kin);
    }
    return kin;
}

static void kin_tidy(struct reactor *r, kr_str part_of, struct reactor_kin *kin)
{
    if (kin->inst || kin->n)
        return;
    kr_map_del(&r->kins, part_of);
    kr_free(kin->recs);
    kr_free(kin);
}

/* One object may be followed in two versions of its type, each with the paths of other readers: a node
 * hears only of its own version. What belongs to no node of the revision is heard of in any. */
static bool other_version(const struct reactor_inst *inst, const struct kr_rec *rec)
{
    const struct graph_rev *rev = inst->served->rev;
    int32_t rank = rev ? graph_rev_rank_of_label(rev, kr_rec_node_id(rec)) : -1;
    const kr_gvr *gvr = rank >= 0 ? &rev->nodes[rank].gvr : NULL;

    return gvr && kr_str_eq(gvr->group, kr_rec_gvr(rec).group) &&
           kr_str_eq(gvr->resource, kr_rec_gvr(rec).resource) &&
           !kr_str_eq(gvr->version, kr_rec_gvr(rec).version);
}

/* Children that came before the instance, or before its revision. */
static void inst_adopt_children(struct reactor *r, struct reactor_inst *inst)
{
    struct reactor_kin *kin = kin_of(r, graph_inst_part_of(inst->core));

    kin->inst = inst;
    for (uint32_t i = 0; i < kin->n; i++) {
        if (other_version(inst, kin->recs[i]))
            graph_inst_child(inst->core, kin->recs[i], NULL, NULL);
    }
    for (uint32_t i = 0; i < kin->n; i++) {
        if (!other_version(inst, kin->recs[i]))
            graph_inst_child(inst->core, NULL, kin->recs[i], NULL);
    }
}

static struct reactor_inst *inst_new(struct reactor *r, struct reactor_served *s, kr_ref ref,
                                     kr_str key)
{
    struct reactor_inst *inst = KR_ALLOC(struct reactor_inst);
    uint64_t began_ns = reactor__count_clock_ns(r);

    inst->served = s;
    inst->id = ++r->inst_ids;
    inst->core = graph_inst_new(ref, s->gvk);
    inst->timer.fn = on_timer;
    kr_link_init(&inst->subs);
    kr_link_init(&inst->ops);
    kr_link_init(&inst->held);
    kr_link_push(&s->insts, &inst->link);
    s->insts_n++;
    reactor__roll_new(inst);
    kr_map_put(&r->insts, key, inst);
    r->stats.instances++;
    inst_set_revision(inst);
    inst_adopt_children(r, inst);
    reactor__count_created(r, began_ns);
    return inst;
}

struct reactor_inst *reactor__inst_of(struct reactor *r, struct reactor_served *s,
                                      const struct kr_rec *rec, bool create)
{
    struct kr_arena a = {0};
    kr_str key = kr_ref_key(&a, kr_rec_ref(rec));
    struct reactor_inst *inst = kr_map_get(&r->insts, key);

    if (!inst && create) {
        inst = inst_new(r, s, kr_rec_ref(rec), key);
        reactor__bucket_set(inst, kr_rec_uid(rec));
    }
    kr_arena_fini(&a);
    return inst;
}

static void types_free(struct reactor_types *t)
{
    if (!t)
        return;
    for (uint32_t i = 0; i < t->n; i++)
        reactor__watch_release(t->watches[i]);
    kr_free(t->watches);
    kr_link_remove(&t->link);
    kr_arena_fini(&t->arena);
    kr_free(t);
}

void reactor__inst_free(struct reactor_inst *inst)
{
    struct reactor *r = inst->served->r;
    struct kr_arena a = {0};
    kr_str part_of = kr_strdup(&a, graph_inst_part_of(inst->core));
    struct reactor_kin *kin = kr_map_get(&r->kins, part_of);

    reactor__queue_remove(&r->queue, &inst->item);
    r->clock->ops->timer_stop(r->clock, &inst->timer);
    subs_drop(inst);
    reactor__ops_orphan(&inst->ops);
    reactor__held_drop(&inst->held);
    types_free(inst->types);
    reactor__roll_forget(inst);
    if (kin && kin->inst == inst) {
        kin->inst = NULL;
        kin_tidy(r, part_of, kin);
    }
    kr_map_del(&r->insts, kr_ref_key(&a, graph_inst_ref(inst->core)));
    kr_link_remove(&inst->link);
    inst->served->insts_n--;
    r->stats.instances--;
    graph_inst_free(inst->core);
    reactor_why_free(&r->whys, inst->why);
    kr_arena_fini(&a);
    kr_free(inst);
}

/* An event that marked nothing dirty ends here. */
void reactor__inst_queue(struct reactor_inst *inst, enum reactor_prio prio)
{
    if (inst->due || graph_inst_dirty(inst->core))
        inst_enqueue(inst, prio);
}

static uint32_t evaluations(const struct graph_counts *c)
{
    return c->templates + c->conditions + c->ready + c->status + c->dims;
}

void reactor__inst_step(struct reactor_inst *inst)
{
    struct reactor *r = inst->served->r;
    struct graph_env env;
    struct graph_plan plan;
    uint64_t now = kube_now_ms(r->clock);
    struct reactor_count_step count = {.began_ns = reactor__count_clock_ns(r),
                                       .was = *graph_inst_counts(inst->core),
                                       .state_was = graph_inst_state(inst->core)};

    if (!is_steppable(inst))
        return; /* queued again once it is */
    inst->due = false;
    reactor__env(r, &env);
    env.bucket = reactor__bucket_label(inst, &r->step_arena);
    reactor__roll_before(inst, &env);
    graph_plan_init(&plan, &r->step_arena);
    graph_inst_step(inst->core, &env, &plan);
    reactor__roll_after(inst);
    r->stats.evaluations += evaluations(graph_inst_counts(inst->core)) - evaluations(&count.was);
    count.timer = plan.wake_ms != UINT64_MAX;
    reactor__count_step(inst, &count);
    r->clock->ops->timer_stop(r->clock, &inst->timer);
    if (plan.wake_ms != UINT64_MAX)
        r->clock->ops->timer_start(r->clock, &inst->timer,
                                   plan.wake_ms > now ? plan.wake_ms - now : 0);
    reactor__queue_charge(&r->queue, &inst->served->lane, (enum reactor_prio)inst->item.prio,
                          plan.cost + (uint64_t)plan.n * REACTOR_COST_REQUEST);
    reactor__exec(r, inst, NULL, &plan); /* may free inst */
    kr_arena_reset(&r->step_arena);
    kr_rec_rest();
}

/* --- types that an inventory names ------------------------------------------------------------ */

/* A version of the kind that is followed already, else the one the server prefers. */
static kr_gvr version_of_kind(struct reactor *r, const struct kube_kind *k)
{
    kr_map_each (e, &r->watches) {
        const struct reactor_watch *w = e->val;

        if (w->role == REACTOR_W_CHILDREN && kr_str_eq(w->gvr.group, k->gvk.group) &&
            kr_str_eq(w->gvr.resource, k->resource))
            return w->gvr;
    }
    return (kr_gvr){k->gvk.group, k->gvk.version, k->resource};
}

static const struct kube_kind *find_kind(struct reactor *r, kr_str group_kind)
{
    kr_str group = group_kind;
    kr_str kind = kr_str_cut(&group, '.');

    return kube_discovery_preferred(r->discovery, group, kind);
}

/* A "Kind.group" that may be there, although it was not found. */
static bool kind_is_unread(struct reactor *r, kr_str text)
{
    kr_str_cut(&text, '.');
    return kube_discovery_unread(r->discovery, text, KR_S(""));
}

/* Why kinds are not known yet; empty: no reason but that discovery was not asked. */
static kr_str discovery_trouble(struct reactor *r, const struct reactor_types *t,
                                struct kr_arena *a)
{
    if (kube_discovery_rc(r->discovery) < 0)
        return kr_err_str(kube_discovery_error(r->discovery));
    KR_LIST_EACH (v, t->wanted) {
        if (r->discovery_seq > t->seq && !find_kind(r, kr_text(*v)) &&
            kind_is_unread(r, kr_text(*v)))
            return kr_fmt(a, "the server does not tell whether it has " KR_FMT,
                          KR_ARG(kr_text(*v)));
    }
    return KR_S("");
}

/* The kinds of a "Kind.group" list as watches. false: discovery must be refreshed first, for a kind that
 * the server does not have can have no live objects, but one that we only do not know of can. */
static bool types_resolve(struct reactor *r, struct reactor_types *t)
{
    bool fresh = kube_discovery_ready(r->discovery) && r->discovery_seq > t->seq;

    KR_LIST_EACH (v, t->wanted) {
        if (kube_discovery_ready(r->discovery) && find_kind(r, kr_text(*v)))
            continue;
        if (!fresh || kind_is_unread(r, kr_text(*v)))
            return false;
    }
    t->watches = kr_alloc((t->wanted.n + 1) * sizeof(struct reactor_watch *));
    KR_LIST_EACH (v, t->wanted) {
        const struct kube_kind *k = find_kind(r, kr_text(*v));

        if (k)
            t->watches[t->n++] =
                reactor__watch(r, REACTOR_W_CHILDREN, version_of_kind(r, k), KR_S(""), KR_S(""));
    }
    return true;
}

static void types_tell(struct reactor_types *t)
{
    struct reactor_inst *inst = t->inst;
    struct kr_arena a = {0};

    for (uint32_t i = 0; i < t->n; i++) {
        if (!reactor__watch_known(t->watches[i]) && !t->watches[i]->lacking) {
            kr_str why = reactor__watch_why(t->watches[i], &a);

            if (why.n) {
                graph_inst_types_known(inst->core, false, why);
                reactor__inst_queue(inst, REACTOR_P_CHANGE);
            }
            kr_arena_fini(&a);
            return;
        }
    }
    kr_link_remove(&t->link);
    t->wanted = KR_V_NONE; /* followed: their names are needed no more */
    kr_arena_fini(&t->arena);
    graph_inst_types_known(inst->core, true, KR_S(""));
    reactor__inst_queue(inst, REACTOR_P_USER);
    kr_arena_fini(&a);
}

static void on_discovery(struct kube_discovery *d, void *arg)
{
    struct reactor *r = arg;

    r->discovering = false;
    r->types_dirty = true;
    if (kube_discovery_rc(d) == 0)
        r->discovery_seq++;
    else if (!r->stopping)
        r->clock->ops->timer_start(r->clock, &r->discovery_timer, REACTOR_DISCOVERY_RETRY_MS);
}

static void discover(struct reactor *r)
{
    if (r->discovering || r->stopping)
        return;
    r->discovering = true;
    kube_discovery_refresh(r->discovery, on_discovery, r);
}

static void on_discovery_timer(struct kube_timer *timer)
{
    discover(KR_OWNER(timer, struct reactor, discovery_timer));
}

void reactor__inst_types(struct reactor_inst *inst, kr_val wanted)
{
    struct reactor *r = inst->served->r;
    struct reactor_types *old = inst->types, *t = KR_ALLOC(struct reactor_types);

    t->inst = inst;
    t->wanted = kr_copy(&t->arena, wanted);
    t->seq = r->discovery_seq;
    inst->types = t;
    r->discovery_timer.fn = on_discovery_timer;
    kr_link_push(&r->types_waiting, &t->link);
    if (!types_resolve(r, t))
        discover(r);
    types_free(old); /* after the new ones came: what is followed stays so */
    r->types_dirty = true;
}

/* Tells why, and asks again later; or asks for the first time. */
static void types_trouble(struct reactor *r, const struct reactor_types *t)
{
    struct kr_arena a = {0};
    kr_str why = discovery_trouble(r, t, &a);

    if (why.n == 0) {
        discover(r);
    } else {
        graph_inst_types_known(t->inst->core, false, why);
        reactor__inst_queue(t->inst, REACTOR_P_CHANGE);
        if (r->discovery_timer.heap_at == 0 && !r->stopping)
            r->clock->ops->timer_start(r->clock, &r->discovery_timer, REACTOR_DISCOVERY_RETRY_MS);
    }
    kr_arena_fini(&a);
}

void reactor__types_check(struct reactor *r)
{
    struct kr_link list, *l;

    kr_link_take(&list, &r->types_waiting);
    while ((l = kr_link_pop(&list)) != NULL) {
        struct reactor_types *t = KR_OWNER(l, struct reactor_types, link);

        kr_link_push(&r->types_waiting, l);
        if (t->watches || types_resolve(r, t)) {
            types_tell(t);
        } else if (!r->discovering) {
            types_trouble(r, t);
        }
    }
}

/* --- children --------------------------------------------------------------------------------- */

/* By name, not by address: a list that brings nothing new replaces the store's records silently. */
static void kin_replace(struct reactor_kin *kin, const struct kr_rec *old, struct kr_rec *now)
{
    const struct kr_rec *rec = now ? now : old;

    for (uint32_t i = 0; i < kin->n; i++) {
        if (!kr_ref_eq(kr_rec_ref(kin->recs[i]), kr_rec_ref(rec)))
            continue;
        kr_rec_drop(kin->recs[i]);
        if (now)
            kin->recs[i] = kr_rec_hold(now);
        else
            kin->recs[i] = kin->recs[--kin->n];
        return;
    }
    if (!now)
        return;
    if (kin->n == kin->cap) {
        kin->cap = kin->cap ? kin->cap * 2 : 4;
        kin->recs = kr_realloc(kin->recs, kin->cap * sizeof(struct kr_rec *));
    }
    kin->recs[kin->n++] = kr_rec_hold(now);
}

static void kin_tell(struct reactor *r, struct reactor_inst *inst, const struct kube_change *c,
                     struct kr_rec *old, struct kr_rec *now)
{
    struct reactor_served *s = inst->served;
    const struct kr_rec *rec = now ? now : old;
    int32_t rank = s->rev ? graph_rev_rank_of_label(s->rev, kr_rec_node_id(rec)) : -1;
    struct kr_arena a = {0};
    struct kr_bits bits;
    bool all = !old || !now || rank < 0 || !s->node_uses[rank] ||
               kr_bits_has(&c->bits, KUBE_BIT_IDENTITY) ||
               s->node_uses[rank]->watch->store != c->store;

    if (other_version(inst, rec))
        return;
    if (!all)
        reactor__use_bits(s->node_uses[rank], &c->bits, &a, &bits);
    if (rank >= 0 && s->node_uses && s->node_uses[rank])
        reactor__why_change(inst, s->node_uses[rank], c, all ? NULL : &bits);
    if (c->taken.n && now)
        graph_inst_taken(inst->core, kr_rec_ref(now), c->taken, c->taken_by);
    graph_inst_child(inst->core, old, now, all ? NULL : &bits);
    reactor__inst_queue(inst, REACTOR_P_CHANGE);
    r->stats.changes_routed++;
    kr_arena_fini(&a);
}

static void kin_apply(struct reactor *r, kr_str part_of, const struct kube_change *c,
                      struct kr_rec *old, struct kr_rec *now)
{
    struct reactor_kin *kin;

    if (part_of.n == 0)
        return;
    kin = kin_of(r, part_of);
    kin_replace(kin, old, now);
    if (kin->inst)
        kin_tell(r, kin->inst, c, old, now);
    kin_tidy(r, part_of, kin);
}

void reactor__kin_change(struct reactor *r, const struct kube_change *c)
{
    bool moved = c->old && c->now && !kr_str_eq(kr_rec_part_of(c->old), kr_rec_part_of(c->now));

    if (moved) {
        kin_apply(r, kr_rec_part_of(c->old), c, c->old, NULL);
        kin_apply(r, kr_rec_part_of(c->now), c, NULL, c->now);
        return;
    }
    kin_apply(r, c->now ? kr_rec_part_of(c->now) : kr_rec_part_of(c->old), c, c->old, c->now);
}

void reactor__kin_drop(struct reactor *r, struct kr_rec *rec)
{
    struct reactor_kin *kin = kr_map_get(&r->kins, kr_rec_part_of(rec));

    if (!kin)
        return;
    kin_replace(kin, rec, NULL);
    if (kin->inst && !other_version(kin->inst, rec))
        graph_inst_child(kin->inst->core, rec, NULL, NULL);
    kin_tidy(r, kr_rec_part_of(rec), kin);
}

void reactor__kin_forget(struct reactor *r, struct kube_store *store)
{
    uint64_t at = 0;
    struct kr_rec *rec;

    while ((rec = kube_store_next(store, &at)) != NULL)
        reactor__kin_drop(r, rec);
}

/* --- end -------------------------------------------------------------------------------------- */

static void served_free(struct reactor_served *s)
{
    struct reactor *r = s->r;

    while (!kr_link_empty(&s->insts))
        reactor__inst_free(KR_OWNER(s->insts.next, struct reactor_inst, link));
    uses_free(s->node_uses, s->rev ? s->rev->nodes_n : 0);
    reactor__use_free(s->parent_use);
    if (s->parents)
        reactor__watch_release(s->parents);
    reactor__lane_fini(&r->queue, &s->lane);
    graph_rev_drop(s->rev);
    kr_free((char *)(uintptr_t)s->problem.s);
    kr_arena_fini(&s->arena);
    kr_free(s);
}

void reactor__served_crd_gone(struct reactor *r, kr_str crd_name)
{
    kr_map_each (e, &r->served) {
        struct reactor_served *s = e->val;
        struct kr_arena a = {0};
        kr_str name = kr_fmt(&a, KR_FMT "." KR_FMT, KR_ARG(s->gvr.resource), KR_ARG(s->gvr.group));

        if (!s->rev && kr_str_eq(name, crd_name)) {
            kr_map_del(&r->served, s->key);
            served_free(s);
        }
        kr_arena_fini(&a);
    }
}

void reactor__insts_fini(struct reactor *r)
{
    kr_map_each (e, &r->served)
        served_free(e->val);
    kr_map_fini(&r->served);
    kr_map_fini(&r->insts);
}
