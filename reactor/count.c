/* SPDX-License-Identifier: Apache-2.0 */
/* count.c - what the reactor tells the metrics (metrics.def): counted where it happens for counters,
 * read when asked for lengths and sizes. Without metrics nothing here does anything.
 */
#include <stdio.h>
#include <time.h>

#include "cel/base/time.h"
#include "reactor/internal.h"
#include "reactor/metrics.h"
#include "reactor/version.h"

#define QUEUE_NAME KR_S("dynamic-controller-queue")

/* The label forms of kro: see metrics.def. */
static kr_str form_a(struct kr_arena *a, kr_gvr g)
{
    return kr_fmt(a, KR_FMT "/" KR_FMT "/" KR_FMT, KR_ARG(g.group), KR_ARG(g.version),
                  KR_ARG(g.resource));
}

static kr_str form_b(struct kr_arena *a, kr_gvr g)
{
    return kr_fmt(a, KR_FMT "/" KR_FMT ", Resource=" KR_FMT, KR_ARG(g.group), KR_ARG(g.version),
                  KR_ARG(g.resource));
}

static kr_str form_c(struct kr_arena *a, kr_gvk k)
{
    return kr_fmt(a, KR_FMT "/" KR_FMT ", Kind=" KR_FMT, KR_ARG(k.group), KR_ARG(k.version),
                  KR_ARG(k.kind));
}

static void count(struct reactor_series *s, uint64_t by)
{
    if (by)
        reactor_metric_add(s, (double)by);
}

/* --- steps ------------------------------------------------------------------------------------ */

uint64_t reactor__count_clock_ns(const struct reactor *r)
{
    struct timespec ts;

    if (!r->opts.metrics)
        return 0;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static double seconds_since(const struct reactor *r, uint64_t began_ns)
{
    return (double)(reactor__count_clock_ns(r) - began_ns) / 1e9;
}

/* The series that each step of a kind counts in, looked up once. */
enum {
    S_RECONCILE_A,
    S_RECONCILE_B,
    S_RECONCILE_S_A,
    S_RECONCILE_S_B,
    S_ERRORS_A,
    S_ERRORS_B,
    S_REQUEUE,
    S_RESOLVED,
    S_ADD,
    S_UPDATE,
    S_DELETE,
    S_N
};

_Static_assert((int)S_N <= (int)REACTOR_SERVED_COUNTS, "they have room");

static struct reactor_series **served_series(struct reactor_served *s)
{
    struct reactor_metrics *m = s->r->opts.metrics;
    struct kr_arena a = {0};
    kr_str fa, fb;

    if (s->counts[S_RECONCILE_A])
        return s->counts;
    fa = form_a(&a, s->gvr);
    fb = form_b(&a, s->gvr);
    s->counts[S_RECONCILE_A] = REACTOR_METRIC(m, DYN_RECONCILE, fa);
    s->counts[S_RECONCILE_B] = REACTOR_METRIC(m, INST_RECONCILE, fb);
    s->counts[S_RECONCILE_S_A] = REACTOR_METRIC(m, DYN_RECONCILE_S, fa);
    s->counts[S_RECONCILE_S_B] = REACTOR_METRIC(m, INST_RECONCILE_S, fb);
    s->counts[S_ERRORS_A] = REACTOR_METRIC(m, DYN_ERRORS, fa);
    s->counts[S_ERRORS_B] = REACTOR_METRIC(m, INST_ERRORS, fb);
    s->counts[S_REQUEUE] = REACTOR_METRIC(m, DYN_REQUEUE, fa, KR_S("requeue_after"));
    s->counts[S_RESOLVED] = REACTOR_METRIC(m, INST_RESOLVED, fb);
    s->counts[S_ADD] = REACTOR_METRIC(m, DYN_EVENTS, fb, KR_S("add"));
    s->counts[S_UPDATE] = REACTOR_METRIC(m, DYN_EVENTS, fb, KR_S("update"));
    s->counts[S_DELETE] = REACTOR_METRIC(m, DYN_EVENTS, fb, KR_S("delete"));
    kr_arena_fini(&a);
    return s->counts;
}

static void count_evaluations(struct reactor_metrics *m, const struct graph_counts *was,
                              const struct graph_counts *now)
{
    count(REACTOR_METRIC(m, NODE_EVAL), now->templates - was->templates);
    count(REACTOR_METRIC(m, NODE_READY_CHECK), now->ready - was->ready);
    count(REACTOR_METRIC(m, NODE_IGNORED_CHECK), now->conditions - was->conditions);
    count(REACTOR_METRIC(m, NODE_ERRORS), now->failed - was->failed);
    count(REACTOR_METRIC(m, NODE_IGNORED), now->skipped - was->skipped);
    count(REACTOR_METRIC(m, NODE_NOT_READY), now->not_ready - was->not_ready);
    count(REACTOR_METRIC(m, CEL_EVAL), now->expressions - was->expressions);
    for (uint64_t n = now->dims - was->dims, i = 0; i < n; i++) /* nearly always one */
        reactor_metric_observe(REACTOR_METRIC(m, COLLECTION_SIZE),
                               (double)(now->items - was->items) / (double)n);
}

static void count_state(struct reactor_inst *inst, const char *state_was)
{
    struct reactor_served *s = inst->served;
    const char *state = graph_inst_state(inst->core);
    struct kr_arena a = {0};

    if (strcmp(state, state_was) != 0)
        count(REACTOR_METRIC(s->r->opts.metrics, INST_STATES, form_c(&a, s->gvk),
                             kr_str_c(state_was), kr_str_c(state)),
              1);
    kr_arena_fini(&a);
}

static void count_resolution(struct reactor_served *s)
{
    struct reactor_metrics *m = s->r->opts.metrics;
    struct kr_arena a = {0};

    if (s->rev)
        count(served_series(s)[S_RESOLVED], 1);
    else if (s->problem.n)
        count(REACTOR_METRIC(m, INST_UNRESOLVED, form_b(&a, s->gvr), KR_S("not_available")), 1);
    else
        count(REACTOR_METRIC(m, INST_PENDING, form_b(&a, s->gvr)), 1);
    kr_arena_fini(&a);
}

void reactor__count_step(struct reactor_inst *inst, const struct reactor_count_step *c)
{
    struct reactor_served *s = inst->served;
    struct reactor_metrics *m = s->r->opts.metrics;
    bool error = strcmp(graph_inst_state(inst->core), "ERROR") == 0;
    struct reactor_series **series;
    double took_s;

    if (!m)
        return;
    series = served_series(s);
    took_s = seconds_since(s->r, c->began_ns);
    count(series[S_RECONCILE_A], 1);
    count(series[S_RECONCILE_B], 1);
    count(series[S_ERRORS_A], error);
    count(series[S_ERRORS_B], error);
    count(series[S_REQUEUE], c->timer);
    reactor_metric_observe(series[S_RECONCILE_S_A], took_s);
    reactor_metric_observe(series[S_RECONCILE_S_B], took_s);
    reactor_metric_observe(REACTOR_METRIC(m, WORK_S, QUEUE_NAME), took_s);
    count_state(inst, c->state_was);
    count_resolution(s);
    count_evaluations(m, &c->was, graph_inst_counts(inst->core));
}

void reactor__count_created(struct reactor *r, uint64_t began_ns)
{
    if (!r->opts.metrics)
        return;
    count(REACTOR_METRIC(r->opts.metrics, RUN_CREATED), 1);
    reactor_metric_observe(REACTOR_METRIC(r->opts.metrics, RUN_CREATED_S),
                           seconds_since(r, began_ns));
}

void reactor__count_served(struct reactor *r, bool attached)
{
    struct reactor_metrics *m = r->opts.metrics;

    if (m && attached)
        count(REACTOR_METRIC(m, DYN_ATTACH, KR_S("parent")), 1);
    else if (m)
        count(REACTOR_METRIC(m, DYN_DETACH, KR_S("parent")), 1);
}

/* --- definitions ------------------------------------------------------------------------------ */

void reactor__count_def_begin(struct reactor_def *def, struct reactor_count_def *c)
{
    c->began_ns = reactor__count_clock_ns(def->r);
    c->state_was = graph_def_state(def->core);
    graph_def_builds(def->core, &c->builds, &c->build_errors);
}

static void count_builds(struct reactor_def *def, const struct reactor_count_def *c)
{
    struct reactor_metrics *m = def->r->opts.metrics;
    uint64_t n, failed_n;
    double took_s;
    kr_str result;

    graph_def_builds(def->core, &n, &failed_n);
    if (n == c->builds)
        return;
    took_s = seconds_since(def->r, c->began_ns);
    result = failed_n > c->build_errors ? KR_S("failed") : KR_S("success");
    count(REACTOR_METRIC(m, RGD_BUILDS, def->key), n - c->builds);
    count(REACTOR_METRIC(m, RGD_BUILD_ERRORS, def->key), failed_n - c->build_errors);
    count(REACTOR_METRIC(m, REV_COMPILES, result), n - c->builds);
    reactor_metric_observe(REACTOR_METRIC(m, RGD_BUILD_S, def->key), took_s);
    reactor_metric_observe(REACTOR_METRIC(m, REV_COMPILE_S, result), took_s);
}

/* Where a definition stands: as the metrics call it. */
static kr_str standing(const struct reactor_def *def, const char *serves, const char *waits,
                       const char *failed)
{
    if (graph_def_problem(def->core).n == 0)
        return kr_str_c(serves);
    return kr_str_c(graph_def_waiting(def->core) ? waits : failed);
}

void reactor__count_def(struct reactor_def *def, const struct reactor_count_def *c)
{
    struct reactor_metrics *m = def->r->opts.metrics;
    const char *state = graph_def_state(def->core);

    if (!m)
        return;
    if (strcmp(state, c->state_was) != 0)
        count(REACTOR_METRIC(m, RGD_STATES, def->key, kr_str_c(c->state_was), kr_str_c(state)), 1);
    count(REACTOR_METRIC(m, REV_RESOLUTIONS, standing(def, "serve", "wait", "failed")), 1);
    count_builds(def, c);
}

void reactor__count_def_gone(struct reactor_def *def)
{
    struct reactor_metrics *m = def->r->opts.metrics;
    uint64_t now = kube_now_ms(def->r->clock), since = def->deleting_ms ? def->deleting_ms : now;

    def->deleting_ms = 0;
    if (!m)
        return;
    count(REACTOR_METRIC(m, RGD_DELETIONS, def->key), 1);
    reactor_metric_observe(REACTOR_METRIC(m, RGD_DELETION_S, def->key),
                           (double)(now - since) / 1000.0);
}

void reactor__count_fetch(struct reactor_def *def, bool failed)
{
    struct reactor_metrics *m = def->r->opts.metrics;

    if (!m)
        return;
    count(REACTOR_METRIC(m, SCHEMA_ERRORS), failed);
    reactor_metric_observe(REACTOR_METRIC(m, SCHEMA_CALL_S),
                           (double)(kube_now_ms(def->r->clock) - def->fetch_ms) / 1000.0);
}

/* --- requests --------------------------------------------------------------------------------- */

static kr_str verb_name(enum kube_verb verb)
{
    static const char *const names[] = {
        [KUBE_GET] = "get",       [KUBE_LIST] = "list",   [KUBE_CREATE] = "create",
        [KUBE_UPDATE] = "update", [KUBE_APPLY] = "apply", [KUBE_MERGE_PATCH] = "patch",
        [KUBE_DELETE] = "delete",
    };

    return kr_str_c(names[verb]);
}

static void count_action(struct reactor_metrics *m, const struct reactor_op *op, bool unchanged)
{
    struct kr_arena a = {0};
    kr_str fa = form_a(&a, op->req.ref.gvr);

    if (op->kind == GRAPH_A_APPLY) {
        count(REACTOR_METRIC(m, APPLIES, fa), 1);
        if (unchanged)
            count(REACTOR_METRIC(m, APPLIES_IDLE, fa), 1);
    } else if (op->kind == GRAPH_A_DELETE) {
        count(REACTOR_METRIC(m, DELETES, fa), 1);
    } else if (op->kind == GRAPH_A_STATUS || op->kind == GRAPH_A_STATUS_PATCH) {
        count(REACTOR_METRIC(m, STATUS_WRITES, fa), 1);
    }
    kr_arena_fini(&a);
}

/* What a definition did to its revisions. */
static void count_revision(struct reactor_metrics *m, const struct reactor_op *op)
{
    bool failed = op->req.rc != 0;

    if (op->kind == GRAPH_A_CREATE && !failed)
        count(REACTOR_METRIC(m, REV_ISSUES,
                             kr_at(op->req.object, "spec.revision").i > 1 ? KR_S("spec_changed")
                                                                          : KR_S("no_revision")),
              1);
    else if (op->kind == GRAPH_A_DELETE && failed)
        count(REACTOR_METRIC(m, REV_GC_ERRORS), 1);
    else if (op->kind == GRAPH_A_DELETE)
        count(REACTOR_METRIC(m, REV_GC), 1);
    else if (op->kind == GRAPH_A_STATUS_PATCH && failed)
        count(REACTOR_METRIC(m, REV_STATUS_ERRORS), 1);
}

void reactor__count_answer(struct reactor_op *op, bool unchanged)
{
    struct reactor_metrics *m = op->r->opts.metrics;
    const struct kube_req *req = &op->req;
    char code[16];
    int n = snprintf(code, sizeof code, "%d", req->status);

    if (!m || !op->sent)
        return;
    count(REACTOR_METRIC(m, REQUESTS, verb_name(req->verb), ((kr_str){code, (size_t)n})), 1);
    if (kr_str_is(req->ref.gvr.resource, "graphrevisions"))
        count_revision(m, op);
    if (req->rc == 0 && !op->probe)
        count_action(m, op, unchanged);
}

/* Every request of the client, not only the plans'. */
static void on_seen(void *arg, const struct kube_req *req, bool repeated, int code)
{
    struct reactor *r = arg;
    struct reactor_metrics *m = r->opts.metrics;
    kr_str method = kr_str_c(kube_req_method(req));
    char text[16];
    int n = snprintf(text, sizeof text, "%d", code);

    if (repeated) {
        count(REACTOR_METRIC(m, REST_RETRIES, ((kr_str){text, (size_t)n}), method), 1);
        return;
    }
    reactor_metric_observe(REACTOR_METRIC(m, REST_S, method),
                           (double)(req->done_ms - req->started_ms) / 1000.0);
    reactor_metric_observe(REACTOR_METRIC(m, REST_SENT, method), (double)req->body.n);
    reactor_metric_observe(REACTOR_METRIC(m, REST_GOT, method), (double)req->got_bytes);
}

/* --- changes ---------------------------------------------------------------------------------- */

void reactor__count_change(struct reactor *r, const struct reactor_watch *w)
{
    struct kr_arena a = {0};

    if (r->opts.metrics)
        count(REACTOR_METRIC(r->opts.metrics, STORE_CHANGES, form_a(&a, w->gvr)), 1);
    kr_arena_fini(&a);
}

void reactor__count_parent(struct reactor_served *s, enum reactor_count_event event)
{
    if (s->r->opts.metrics)
        count(served_series(s)[S_ADD + (int)event], 1);
}

void reactor__count_route(struct reactor_watch *w, uint64_t matches)
{
    struct reactor_metrics *m = w->r->opts.metrics;
    struct kr_arena a = {0};
    kr_str fb;

    if (!m)
        return;
    fb = form_b(&a, w->gvr);
    count(REACTOR_METRIC(m, DYN_ROUTES, fb), 1);
    count(REACTOR_METRIC(m, DYN_MATCHES, fb), matches);
    kr_arena_fini(&a);
}

void reactor__count_synced(struct reactor_watch *w)
{
    struct reactor_metrics *m = w->r->opts.metrics;
    struct kr_arena a = {0};

    if (w->synced_once)
        return;
    w->synced_once = true;
    if (m)
        reactor_metric_observe(REACTOR_METRIC(m, DYN_SYNC_S, form_b(&a, w->gvr)),
                               (double)(kube_now_ms(w->r->clock) - w->opened_ms) / 1000.0);
    kr_arena_fini(&a);
}

/* --- read when asked for ---------------------------------------------------------------------- */

static void read_watch(struct reactor_metrics *m, const struct reactor_watch *w, struct kr_arena *a)
{
    kr_str fa = form_a(a, w->gvr);
    struct reactor_series *objects = REACTOR_METRIC(m, STORE_OBJECTS, fa);
    struct reactor_series *bytes = REACTOR_METRIC(m, STORE_BYTES, fa);
    struct reactor_series *failures = REACTOR_METRIC(m, WATCH_FAILURES, fa);

    /* Several watches of one type add up. */
    reactor_metric_add(objects, kube_store_n(w->store));
    reactor_metric_add(bytes, (double)kube_store_bytes(w->store));
    reactor_metric_add(failures, kube_watch_failures_n(w->watch));
    if (w->r->buckets.on && w->role == REACTOR_W_CHILDREN)
        reactor_metric_set(REACTOR_METRIC(m, STORE_DROPPED, fa), kube_store_dropped_n(w->store));
}

static void reset_watch(struct reactor_metrics *m, const struct reactor_watch *w,
                        struct kr_arena *a)
{
    kr_str fa = form_a(a, w->gvr);

    reactor_metric_set(REACTOR_METRIC(m, STORE_OBJECTS, fa), 0);
    reactor_metric_set(REACTOR_METRIC(m, STORE_BYTES, fa), 0);
    reactor_metric_set(REACTOR_METRIC(m, WATCH_FAILURES, fa), 0);
}

static void read_instances(struct reactor *r, struct reactor_metrics *m, struct kr_arena *a)
{
    uint32_t serving = 0;

    kr_map_each (e, &r->served) {
        struct reactor_served *s = e->val;

        reactor_metric_set(REACTOR_METRIC(m, DYN_INSTANCES, form_b(a, s->gvr)), s->insts_n);
        serving += s->rev != NULL;
    }
    reactor_metric_set(REACTOR_METRIC(m, DYN_GVRS), serving);
    reactor_metric_set(REACTOR_METRIC(m, DYN_HANDLERS, KR_S("parent")), serving);
}

/* How many nodes of instances follow the type of w. */
static void read_requests(struct reactor_metrics *m, const struct reactor_watch *w,
                          struct kr_arena *a)
{
    for (const struct kr_link *l = w->uses.next; l && l != &w->uses; l = l->next) {
        const struct reactor_use *u =
            KR_OWNER((struct kr_link *)(uintptr_t)l, struct reactor_use, link);
        enum graph_node_kind kind;
        kr_str type;

        if (u->node == REACTOR_PARENT || !u->rev)
            continue;
        kind = u->rev->nodes[u->node].kind;
        type = kind == GRAPH_COLLECTION || kind == GRAPH_EXTERNAL_COLLECTION ? KR_S("collection")
                                                                             : KR_S("scalar");
        reactor_metric_add(REACTOR_METRIC(m, DYN_REQUESTS, form_b(a, w->gvr), type),
                           w->role == REACTOR_W_CHILDREN ? u->served->insts_n : u->subs_n);
    }
}

static void read_conditions(struct reactor_metrics *m, struct reactor_inst *inst, double now_s,
                            struct kr_arena *a)
{
    kr_ref ref = graph_inst_ref(inst->core);
    struct reactor_watch *parents = inst->served->parents;
    struct kr_rec *rec = parents ? kube_store_get(parents->store, ref.namespace, ref.name) : NULL;
    kr_str fb = form_b(a, inst->served->gvr);

    if (!rec)
        return;
    KR_LIST_EACH (c, kr_at(kr_rec_root(rec), "status.conditions")) {
        int64_t since_s;
        uint32_t nanos;

        if (!kr_time_parse(kr_at_str(*c, "lastTransitionTime"), &since_s, &nanos))
            continue;
        reactor_metric_set(REACTOR_METRIC(m, INST_CONDITIONS, fb, ref.namespace, ref.name,
                                          kr_at_str(*c, "type"), kr_at_str(*c, "status"),
                                          kr_at_str(*c, "reason")),
                           now_s > (double)since_s ? now_s - (double)since_s : 0);
    }
}

static void read_all_conditions(struct reactor *r)
{
    double now_s = (double)r->clock->ops->wall_ms(r->clock) / 1000.0;

    reactor_metrics_clear(r->opts.metrics, REACTOR_M_INST_CONDITIONS);
    if (!r->opts.condition_metrics)
        return;
    kr_map_each (e, &r->insts) {
        struct kr_arena a = {0};

        read_conditions(r->opts.metrics, e->val, now_s, &a);
        kr_arena_fini(&a);
    }
}

static void read_definitions(struct reactor *r)
{
    struct reactor_metrics *m = r->opts.metrics;

    reactor_metrics_clear(m, REACTOR_M_REV_ENTRIES);
    kr_map_each (e, &r->defs)
        reactor_metric_add(
            REACTOR_METRIC(m, REV_ENTRIES, standing(e->val, "Active", "Pending", "Failed")), 1);
}

static void on_read(void *arg)
{
    struct reactor *r = arg;
    struct reactor_metrics *m = r->opts.metrics;
    struct kr_arena a = {0};

    kr_map_each (e, &r->watches)
        reset_watch(m, e->val, &a);
    reactor_metrics_clear(m, REACTOR_M_DYN_REQUESTS);
    kr_map_each (e, &r->watches) {
        read_watch(m, e->val, &a);
        read_requests(m, e->val, &a);
    }
    read_instances(r, m, &a);
    read_definitions(r);
    read_all_conditions(r);
    reactor_metric_set(REACTOR_METRIC(m, WORK_DEPTH, QUEUE_NAME), r->queue.n);
    reactor_metric_set(REACTOR_METRIC(m, WORK_ADDS, QUEUE_NAME), (double)r->queue.adds);
    reactor_metric_set(REACTOR_METRIC(m, WHY_BYTES), (double)r->whys.bytes);
    reactor_metric_set(REACTOR_METRIC(m, DYN_QUEUE), r->queue.n);
    reactor_metric_set(REACTOR_METRIC(m, DYN_WATCHES), r->watches.n);
    reactor_metric_set(REACTOR_METRIC(m, REQUESTS_BUSY), kube_client_busy_n(r->client));
    reactor_metric_set(
        REACTOR_METRIC(m, BUILD_INFO, kr_str_c(reactor_version), kr_str_c(reactor_commit)), 1);
    kr_arena_fini(&a);
}

void reactor__count_init(struct reactor *r)
{
    if (!r->opts.metrics)
        return;
    reactor_metrics_on_read(r->opts.metrics, on_read, r);
    kube_client_on_answer(r->client, on_seen, r);
}

void reactor__count_fini(struct reactor *r)
{
    if (!r->opts.metrics)
        return;
    reactor_metrics_on_read(r->opts.metrics, NULL, NULL);
    kube_client_on_answer(r->client, NULL, NULL);
}
