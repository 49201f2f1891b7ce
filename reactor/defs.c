/* SPDX-License-Identifier: Apache-2.0 */
/* defs.c - the table of definitions: carries RGDs, revisions, CRDs and kinds to the definition
 * machine, and its plans to the cluster. A definition is there as long as its RGD or one of its
 * revisions is; in a sidecar it comes from a file and stays.
 */
#include "cel/base/log.h"
#include "reactor/internal.h"

static void on_timer(struct kube_timer *timer)
{
    reactor__def_queue(KR_OWNER(timer, struct reactor_def, timer), REACTOR_P_CHANGE);
}

static void def_tell_known(struct reactor_def *def)
{
    struct reactor *r = def->r;

    if (r->opts.sidecar)
        graph_def_revisions_known(def->core, true);
    else
        graph_def_revisions_known(def->core, reactor__watch_known(r->revisions));
}

struct reactor_def *reactor__def(struct reactor *r, kr_str name)
{
    struct reactor_def *def = kr_map_get(&r->defs, name);

    if (def)
        return def;
    def = KR_ALLOC(struct reactor_def);
    def->r = r;
    def->item.is_def = true;
    def->core = graph_def_new(name);
    def->key = graph_def_name(def->core);
    def->timer.fn = on_timer;
    kr_link_init(&def->ops);
    kr_link_init(&def->held);
    kr_map_put(&r->defs, name, def);
    r->stats.definitions++;
    def_tell_known(def);
    return def;
}

void reactor__def_queue(struct reactor_def *def, enum reactor_prio prio)
{
    if (!def->r->stopping)
        reactor__queue_add(&def->r->queue, &def->r->def_lane, &def->item, prio);
}

/* --- what it sees ----------------------------------------------------------------------------- */

static bool crd_is_ours(const struct kr_rec *rec)
{
    kr_val labels = kr_at(rec ? kr_rec_root(rec) : KR_V_NONE, "metadata.labels");

    return kr_is_str(kr_get(labels, KR_S(GRAPH_LABEL_OWNED)), KR_S("true"));
}

/* The CRD of the generated kind: whole when it is ours, else what the watch of all CRDs keeps (its
 * labels tell whose it is). */
static void def_tell_crd(struct reactor_def *def)
{
    struct reactor *r = def->r;
    kr_str name = graph_def_crd_name(def->core);
    struct kr_rec *rec;
    bool known, partial = true;

    if (r->opts.sidecar || name.n == 0)
        return;
    known = reactor__watch_known(r->crds) && reactor__watch_known(r->own_crds);
    rec = kube_store_get(r->own_crds->store, KR_S(""), name);
    if (!rec)
        rec = kube_store_get(r->crds->store, KR_S(""), name);
    else
        partial = false;
    if (partial && crd_is_ours(rec))
        return; /* the whole of it is on its way */
    reactor__held_look_again(def);
    graph_def_crd(def->core, rec ? kr_rec_root(rec) : KR_V_NONE, known);
    reactor__def_queue(def, REACTOR_P_CHANGE);
}

void reactor__def_object(struct reactor *r, kr_str name, kr_val rgd)
{
    struct reactor_def *def = reactor__def(r, name);

    reactor__held_look_again(def);
    graph_def_object(def->core, rgd);
    reactor__roll_policy(r, def, rgd);
    if (!def->deleting_ms && kr_at(rgd, "metadata.deletionTimestamp").kind != KR_NONE)
        def->deleting_ms = kube_now_ms(r->clock);
    if (rgd.kind == KR_NONE && graph_def_crd_name(def->core).n)
        reactor__count_def_gone(def);
    if (rgd.kind != KR_NONE)
        def_tell_crd(def);
    reactor__def_queue(def, REACTOR_P_USER);
}

void reactor__defs_revision(struct reactor *r, const struct kube_change *c)
{
    const struct kr_rec *rec = c->now ? c->now : c->old;
    kr_str name = kr_at_str(kr_rec_root(rec), "spec.snapshot.name");
    struct reactor_def *def;

    if (name.n == 0)
        return;
    def = reactor__def(r, name);
    reactor__held_look_again(def);
    graph_def_revision(def->core, kr_rec_root(rec), c->now == NULL);
    reactor__def_queue(def, REACTOR_P_CHANGE);
}

static void kind_changed(struct reactor *r, const struct kr_rec *rec)
{
    kr_str group, kind;

    if (!rec)
        return;
    group = kr_at_str(kr_rec_root(rec), "spec.group");
    kind = kr_at_str(kr_rec_root(rec), "spec.names.kind");
    kr_map_each (e, &r->defs) {
        struct reactor_def *def = e->val;

        graph_def_kind_changed(def->core, group, kind);
        reactor__def_queue(def, REACTOR_P_CHANGE);
    }
}

/* Is the CRD established, and stays so? */
static bool is_served(const struct kr_rec *crd)
{
    KR_LIST_EACH (c, kr_at(kr_rec_root(crd), "status.conditions")) {
        if (kr_is_str(kr_get(*c, KR_S("type")), KR_S("Established")))
            return !crd->terminating && kr_is_str(kr_get(*c, KR_S("status")), KR_S("True"));
    }
    return false;
}

void reactor__defs_crd(struct reactor *r, const struct kube_change *c)
{
    const struct kr_rec *rec = c->now ? c->now : c->old;

    kr_map_each (e, &r->defs) {
        struct reactor_def *def = e->val;

        if (kr_str_eq(graph_def_crd_name(def->core), kr_rec_name(rec)))
            def_tell_crd(def);
    }
    if (c->store == r->crds->store && (!c->now || is_served(c->now)))
        reactor__watches_type(r, kr_rec_name(rec), c->now != NULL);
    if (c->store == r->crds->store && c->old && c->now && c->old->generation != c->now->generation)
        reactor__watches_schema(r, kr_rec_name(rec));
    if (c->store == r->crds->store && r->crds->known)
        kind_changed(r, rec);
    if (c->store == r->crds->store && !c->now)
        reactor__served_crd_gone(r, kr_rec_name(rec));
}

/* Does a definition still decide how the instances of its kind are served? */
static bool def_decides(const struct reactor_def *def)
{
    return def && !graph_def_ending(def->core) &&
           (def->serving.resource.n || graph_def_waiting(def->core));
}

/* Kinds of ours that no definition serves, be it that it has gone or that it does not compile: who
 * deletes an instance of them shall not wait for it. */
static void serve_orphans(struct reactor *r)
{
    uint64_t at = 0;
    struct kr_rec *rec;

    if (r->opts.sidecar || !reactor__watch_known(r->rgds) || !reactor__watch_known(r->revisions) ||
        !reactor__watch_known(r->own_crds))
        return;
    while ((rec = kube_store_next(r->own_crds->store, &at)) != NULL) {
        kr_val rgd = kr_get(kr_at(kr_rec_root(rec), "metadata.labels"), KR_S(GRAPH_LABEL_RGD_NAME));

        if (rgd.kind == KR_STRING && !def_decides(kr_map_get(&r->defs, kr_text(rgd))))
            reactor__serve_deletions(r, rec);
    }
}

void reactor__defs_known(struct reactor *r)
{
    kr_map_each (e, &r->defs) {
        struct reactor_def *def = e->val;

        def_tell_known(def);
        def_tell_crd(def);
        reactor__def_queue(def, REACTOR_P_CHANGE);
    }
    serve_orphans(r);
}

/* --- kinds ------------------------------------------------------------------------------------ */

static void fetch_start(struct reactor_def *def);

/* Does a CRD say that one of these kinds is there? */
static bool has_crd(struct reactor *r, const kr_gvk *gvks, uint32_t n)
{
    uint64_t at = 0;
    struct kr_rec *rec;

    while (r->crds && (rec = kube_store_next(r->crds->store, &at)) != NULL) {
        kr_str group = kr_at_str(kr_rec_root(rec), "spec.group");
        kr_str kind = kr_at_str(kr_rec_root(rec), "spec.names.kind");

        for (uint32_t i = 0; i < n; i++) {
            if (kr_str_eq(gvks[i].group, group) && kr_str_eq(gvks[i].kind, kind))
                return true;
        }
    }
    return false;
}

static void on_schemas(struct kube_schemas_req *req)
{
    struct reactor_def *def = KR_OWNER(req, struct reactor_def, schemas);
    bool again = def->next_gvks != NULL;

    def->r->fetching_n--;
    def->fetching = false;
    if (req->rc != KR_E_CANCELED)
        reactor__count_fetch(def, req->rc < 0);
    if (!def->doomed && !again && req->rc != KR_E_CANCELED) {
        if (has_crd(def->r, req->gvks, req->gvks_n))
            graph_def_expect(def->core);
        graph_def_kinds(def->core, KR_MOVE(req->kinds), req->missing, req->missing_n,
                        req->rc < 0 ? &req->err : NULL);
        reactor__def_queue(def, REACTOR_P_CHANGE);
    }
    kube_schemas_fini(req);
    if (def->doomed)
        reactor__def_free(def);
    else if (again && !def->r->stopping)
        fetch_start(def);
}

static void fetch_start(struct reactor_def *def)
{
    struct kr_arena done = def->fetch_arena;

    def->fetch_arena = def->next_arena;
    def->next_arena = (struct kr_arena){0};
    kr_arena_fini(&done);
    def->schemas = (struct kube_schemas_req){
        .gvks = def->next_gvks, .gvks_n = def->next_n, .on_done = on_schemas};
    def->next_gvks = NULL;
    def->fetching = true;
    def->fetch_ms = kube_now_ms(def->r->clock);
    def->r->fetching_n++;
    kube_schemas_start(def->r->openapi, &def->schemas);
}

/* One load at a time: a newer wish cancels the one under way and begins when that has ended. */
static void def_fetch(struct reactor_def *def, const struct graph_action *act)
{
    kr_arena_reset(&def->next_arena);
    def->next_n = act->gvks_n;
    def->next_gvks = kr_new_n(&def->next_arena, kr_gvk, act->gvks_n + 1);
    for (uint32_t i = 0; i < act->gvks_n; i++)
        def->next_gvks[i] = kr_gvk_copy(&def->next_arena, act->gvks[i]);
    if (def->fetching)
        kube_schemas_cancel(&def->schemas);
    else
        fetch_start(def);
}

/* --- step ------------------------------------------------------------------------------------- */

static void def_serve(struct reactor_def *def, struct graph_rev *rev)
{
    struct reactor *r = def->r;

    kr_arena_reset(&def->serving_arena);
    def->serving = kr_gvr_copy(&def->serving_arena, rev->instance_gvr);
    reactor__serve(r, rev);
    graph_def_controller(def->core, 0, KR_S(""));
    reactor__def_queue(def, REACTOR_P_CHANGE);
}

/* The actions that concern the reactor itself; the others go to the cluster. Returns whether the
 * definition is gone. */
static bool def_act(struct reactor_def *def, const struct graph_plan *plan)
{
    bool gone = false;

    for (uint32_t i = 0; i < plan->n; i++) {
        const struct graph_action *act = &plan->actions[i];

        switch (act->kind) {
        case GRAPH_A_FETCH:
            def_fetch(def, act);
            break;
        case GRAPH_A_SERVE:
            def_serve(def, act->rev);
            break;
        case GRAPH_A_UNSERVE:
            reactor__unserve(def->r, act->ref.gvr, act->why);
            break;
        case GRAPH_A_GONE:
            gone = true;
            break;
        default:
            break;
        }
    }
    return gone;
}

/* One line when a definition ceases to be served or the reason changes. */
static void log_problem(struct reactor_def *def)
{
    kr_str now = graph_def_problem(def->core);

    if (kr_str_eq(now, kr_str_c(def->problem)))
        return;
    if (now.n && graph_def_waiting(def->core))
        kr_log(KR_DBG, "definition waits", KV("rgd", def->key), KV("reason", now));
    else if (now.n)
        kr_log(KR_ERROR, "definition refused", KV("rgd", def->key),
               KV("at", graph_def_place(def->core)), KV("reason", now));
    kr_free(def->problem);
    def->problem = kr_cstrdup(now);
}

void reactor__def_step(struct reactor_def *def)
{
    struct reactor *r = def->r;
    struct graph_env env;
    struct graph_plan plan;
    uint64_t now = kube_now_ms(r->clock);
    struct reactor_count_def count;
    bool looks;

    reactor__count_def_begin(def, &count);
    reactor__env(r, &env);
    graph_plan_init(&plan, &r->step_arena);
    graph_def_step(def->core, &env, &plan);
    reactor__count_def(def, &count);
    r->clock->ops->timer_stop(r->clock, &def->timer);
    if (plan.wake_ms != UINT64_MAX)
        r->clock->ops->timer_start(r->clock, &def->timer,
                                   plan.wake_ms > now ? plan.wake_ms - now : 0);
    log_problem(def);
    reactor__exec(r, NULL, def, &plan);
    looks = !def_decides(def);
    if (def_act(def, &plan))
        reactor__def_free(def);
    if (looks)
        serve_orphans(r);
    kr_arena_reset(&r->step_arena);
}

void reactor__def_free(struct reactor_def *def)
{
    struct reactor *r = def->r;

    if (!def->doomed) {
        def->doomed = true;
        reactor__queue_remove(&r->queue, &def->item);
        r->clock->ops->timer_stop(r->clock, &def->timer);
        reactor__ops_orphan(&def->ops);
        reactor__held_drop(&def->held);
        kr_map_del(&r->defs, def->key);
        r->stats.definitions--;
        if (def->fetching)
            kube_schemas_cancel(&def->schemas);
    }
    if (def->fetching)
        return; /* on_schemas comes back */
    graph_def_free(def->core);
    kr_free(def->problem);
    kr_arena_fini(&def->fetch_arena);
    kr_arena_fini(&def->next_arena);
    kr_arena_fini(&def->serving_arena);
    kr_free(def);
}

void reactor__defs_fini(struct reactor *r)
{
    kr_map_each (e, &r->defs)
        reactor__def_free(e->val);
}
