/* SPDX-License-Identifier: Apache-2.0 */
/* turn.c - the life of the reactor and its phases. See reactor.h for the order and why. */
#include "cel/base/digest.h"
#include "reactor/internal.h"

static kr_gvr core_gvr(const char *group, const char *version, const char *resource)
{
    return (kr_gvr){kr_str_c(group), kr_str_c(version), kr_str_c(resource)};
}

/* So many of its requests wait that more would only fill the memory; the others go on. */
static bool lane_is_full(const struct reactor_lane *lane, void *arg)
{
    const struct reactor *r = arg;

    return lane->flow && kube_client_flow_waiting_n(r->client, lane->flow) >= REACTOR_WAITING_MAX;
}

struct reactor *reactor_new(const struct reactor_opts *opts)
{
    struct reactor *r = KR_ALLOC(struct reactor);

    r->opts = *opts;
    r->client = opts->client;
    r->clock = opts->clock;
    r->discovery = kube_discovery_new(r->client);
    r->openapi = kube_openapi_new(r->client, r->discovery);
    r->pool = kr_fieldset_pool_new();
    kr_link_init(&r->changes.head);
    kr_link_init(&r->watch_todo);
    kr_link_init(&r->ops);
    kr_link_init(&r->ops_done);
    kr_link_init(&r->types_waiting);
    kr_link_init(&r->held);
    r->leading = !opts->standby;
    r->buckets.on = opts->sharded;
    reactor__queue_init(&r->queue);
    r->queue.full = lane_is_full;
    r->queue.full_arg = r;
    reactor__count_init(r);
    reactor__why_init(r);
    return r;
}

/* --- definitions from files ------------------------------------------------------------------- */

/* An RGD from a file gets what the API server would have given it: a uid that every start agrees on,
 * a generation, the defaults of the schema. */
static kr_val sidecar_complete(struct kr_arena *a, kr_val rgd)
{
    kr_val out = kr_copy(a, rgd);
    kr_str name = kr_at_str(out, "metadata.name");

    out = kr_with(a, out, "metadata.uid", kr_string(kr_uuid5(a, name)));
    out = kr_with(a, out, "metadata.generation", kr_int(1));
    out = kr_with(a, out, "metadata.resourceVersion", KR_V_STR("1"));
    if (kr_at(out, "spec.schema.group").kind == KR_NONE)
        out = kr_with(a, out, "spec.schema.group", KR_V_STR(GRAPH_GROUP));
    if (kr_at(out, "spec.schema.scope").kind == KR_NONE)
        out = kr_with(a, out, "spec.schema.scope", KR_V_STR("Namespaced"));
    return out;
}

int reactor_add_rgd(struct reactor *r, kr_val rgd, struct kr_err *err)
{
    kr_str kind = kr_at_str(rgd, "kind"), api = kr_at_str(rgd, "apiVersion");
    kr_val *grown;

    if (!kr_str_is(kind, "ResourceGraphDefinition") ||
        !kr_str_is(api, GRAPH_GROUP "/" GRAPH_VERSION))
        return kr_fail(err, KR_E_INPUT,
                       "kind: is \"" KR_FMT " " KR_FMT "\", expected \"" GRAPH_GROUP
                       "/" GRAPH_VERSION " ResourceGraphDefinition\"",
                       KR_ARG(api), KR_ARG(kind));
    if (kr_at_str(rgd, "metadata.name").n == 0)
        return kr_fail(err, KR_E_INPUT, "metadata.name: is missing");
    for (uint32_t i = 0; i < r->rgd_vals_n; i++) {
        if (kr_str_eq(kr_at_str(r->rgd_vals[i], "metadata.name"), kr_at_str(rgd, "metadata.name")))
            return kr_fail(err, KR_E_INPUT, "metadata.name: \"" KR_FMT "\" is given twice",
                           KR_ARG(kr_at_str(rgd, "metadata.name")));
    }
    grown = kr_realloc(r->rgd_vals, (r->rgd_vals_n + 1) * sizeof(kr_val));
    grown[r->rgd_vals_n++] = sidecar_complete(&r->rgd_arena, rgd);
    r->rgd_vals = grown;
    return 0;
}

void reactor_start(struct reactor *r)
{
    KR_ASSERT(!r->started);
    r->started = true;
    if (r->opts.sidecar) {
        for (uint32_t i = 0; i < r->rgd_vals_n; i++)
            reactor__def_object(r, kr_at_str(r->rgd_vals[i], "metadata.name"), r->rgd_vals[i]);
        return;
    }
    r->rgds = reactor__watch(r, REACTOR_W_RGDS,
                             core_gvr(GRAPH_GROUP, GRAPH_VERSION, "resourcegraphdefinitions"),
                             KR_S(""), KR_S(""));
    r->revisions = reactor__watch(r, REACTOR_W_REVISIONS,
                                  core_gvr(GRAPH_GROUP_INTERNAL, GRAPH_VERSION, "graphrevisions"),
                                  KR_S(""), KR_S(""));
    r->crds = reactor__watch(r, REACTOR_W_CRDS,
                             core_gvr("apiextensions.k8s.io", "v1", "customresourcedefinitions"),
                             KR_S(""), KR_S(""));
    r->own_crds = reactor__watch(
        r, REACTOR_W_OWN_CRDS, core_gvr("apiextensions.k8s.io", "v1", "customresourcedefinitions"),
        KR_S(""), KR_S(""));
}

void reactor__env(struct reactor *r, struct graph_env *env)
{
    *env = (struct graph_env){.now_ms = kube_now_ms(r->clock),
                              .wall_s = r->clock->ops->wall_ms(r->clock) / 1000,
                              .version = r->opts.version,
                              .sidecar = r->opts.sidecar,
                              .crd_deletion = r->opts.crd_deletion,
                              .only_namespace = r->opts.namespace,
                              .revisions_max = r->opts.revisions_max,
                              .dimensions_max = r->opts.dimensions_max,
                              .collection_max = r->opts.collection_max,
                              .omit = r->opts.omit,
                              .unheard_until_ms = r->unheard_until_ms};
}

/* --- the turn --------------------------------------------------------------------------------- */

/* So many requests wait for their turn that more of them would only fill the memory; and what is more
 * urgent than they, and comes meanwhile, goes first. Each answer makes room. */
static bool is_full(const struct reactor *r)
{
    return kube_client_waiting_n(r->client) >= REACTOR_WAITING_MAX;
}

/* Phase 3. */
static void steps_turn(struct reactor *r)
{
    int64_t begin_ms = r->clock->ops->wall_ms(r->clock), spent_ms;
    uint64_t cost_max = r->queue.cost + REACTOR_TURN_COST;

    for (int i = 0; i < REACTOR_TURN_STEPS && !is_full(r); i++) {
        struct reactor_item *item = reactor__queue_pop(&r->queue);

        if (!item)
            return;
        r->stats.steps++;
        if (item->is_def)
            reactor__def_step(KR_OWNER(item, struct reactor_def, item));
        else
            reactor__inst_step(KR_OWNER(item, struct reactor_inst, item));
        spent_ms = r->clock->ops->wall_ms(r->clock) - begin_ms;
        if (spent_ms < 0 || spent_ms >= REACTOR_TURN_MS) /* below 0: the wall clock was set back */
            return;
        if (r->queue.cost >= cost_max)
            return;
    }
}

static void stop_watches(struct reactor *r)
{
    reactor__insts_fini(r);
    reactor__defs_fini(r);
    if (r->rgds) {
        reactor__watch_release(r->rgds);
        reactor__watch_release(r->revisions);
        reactor__watch_release(r->crds);
        reactor__watch_release(r->own_crds);
        r->rgds = r->revisions = r->crds = r->own_crds = NULL;
    }
    r->watches_stopped = true;
}

/* A stop waits for writes under way, no longer than told; what only reads is cancelled. */
static void stop_turn(struct reactor *r)
{
    bool writing = !kr_link_empty(&r->ops);

    if (writing && kube_now_ms(r->clock) < r->stop_by_ms)
        return;
    if (!writing && !r->watches_stopped)
        stop_watches(r);
    if (!r->cancelled && kube_client_busy_n(r->client)) {
        r->cancelled = true;
        kube_client_cancel_all(r->client);
    }
}

bool reactor_turn(struct reactor *r)
{
    r->stats.turns++;
    kube_client_turn(r->client);
    reactor__exec_turn(r);
    reactor__route_turn(r);
    if (r->stopping)
        stop_turn(r);
    else
        steps_turn(r);
    if (r->kept_n && (r->queue.n == 0 || r->stopping))
        reactor__kept_release(r);
    reactor__watches_turn(r);
    reactor__events_turn(r);
    kr_rec_rest();
    return (!r->stopping && !is_full(r) && reactor__queue_due(&r->queue)) ||
           !kr_link_empty(&r->changes.head) || !kr_link_empty(&r->ops_done) ||
           !kr_link_empty(&r->watch_todo);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void on_stop_timer(struct kube_timer *timer)
{
    (void)timer; /* the turn that follows looks at the time */
}

void reactor_stop(struct reactor *r)
{
    uint64_t wait_ms = r->opts.stop_ms ? r->opts.stop_ms : REACTOR_STOP_MS;

    if (r->stopping)
        return;
    r->stopping = true;
    r->stop_by_ms = kube_now_ms(r->clock) + wait_ms;
    r->stop_timer.fn = on_stop_timer;
    r->clock->ops->timer_start(r->clock, &r->stop_timer, wait_ms);
}

bool reactor_stopped(const struct reactor *r)
{
    return r->stopping && r->watches_stopped && r->closing_n == 0 && r->fetching_n == 0 &&
           r->watches.n == 0 && kr_link_empty(&r->ops) && kr_link_empty(&r->ops_done) &&
           kube_client_busy_n(r->client) == 0;
}

static void kin_free(struct reactor_kin *kin)
{
    for (uint32_t i = 0; i < kin->n; i++)
        kr_rec_drop(kin->recs[i]);
    kr_free(kin->recs);
    kr_free(kin);
}

void reactor_free(struct reactor *r)
{
    if (!r)
        return;
    KR_ASSERT(!r->started || reactor_stopped(r));
    reactor__count_fini(r);
    reactor__events_fini(r);
    r->clock->ops->timer_stop(r->clock, &r->stop_timer);
    r->clock->ops->timer_stop(r->clock, &r->discovery_timer);
    reactor__route_turn(r);
    kr_map_each (e, &r->kins)
        kin_free(e->val);
    kr_map_fini(&r->kins);
    kr_map_fini(&r->watches);
    kr_map_fini(&r->defs);
    kr_map_fini(&r->flying);
    kr_map_fini(&r->ext_modes);
    kube_openapi_free(r->openapi);
    kube_discovery_free(r->discovery);
    kr_fieldset_pool_free(r->pool);
    kr_arena_fini(&r->step_arena);
    kr_arena_fini(&r->rgd_arena);
    kr_free(r->rgd_vals);
    kr_free(r->trouble);
    kr_free(r);
}

/* --- how it is -------------------------------------------------------------------------------- */

static bool part_ready(const struct reactor_watch *w, const char *name, struct kr_buf *why)
{
    bool ok = w && kube_store_synced(w->store);

    if (why)
        kr_buf_fmt(why, "[%c] %s\n", ok ? '+' : '-', name);
    return ok;
}

bool reactor_ready(const struct reactor *r, struct kr_buf *why)
{
    bool ok = true;

    if (r->opts.sidecar)
        return r->started;
    ok = part_ready(r->rgds, "resourcegraphdefinitions", why) && ok;
    ok = part_ready(r->revisions, "graphrevisions", why) && ok;
    ok = part_ready(r->own_crds, "customresourcedefinitions", why) && ok;
    return ok;
}

void reactor_stats(const struct reactor *r, struct reactor_stats *out)
{
    *out = r->stats;
    out->watches = r->watches.n;
    out->queue = r->queue.n;
    kr_map_each (e, &r->watches)
        out->record_bytes += kube_store_bytes(((struct reactor_watch *)e->val)->store);
}
