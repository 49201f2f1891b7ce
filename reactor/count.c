/* SPDX-License-Identifier: Apache-2.0 */
/* count.c - what the reactor tells the metrics (metrics.def): counted where it happens for counters,
 * read when asked for lengths and sizes. Without metrics nothing here does anything.
 */
#include <stdio.h>

#include "reactor/internal.h"
#include "reactor/metrics.h"
#include "reactor/version.h"

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

static void count_evaluations(struct reactor_metrics *m, const struct graph_counts *was,
                              const struct graph_counts *now)
{
    count(REACTOR_METRIC(m, NODE_EVAL), now->templates - was->templates);
    count(REACTOR_METRIC(m, NODE_READY_CHECK), now->ready - was->ready);
    count(REACTOR_METRIC(m, NODE_IGNORED_CHECK), now->conditions - was->conditions);
}

void reactor__count_step(struct reactor_inst *inst, const struct graph_counts *was,
                         const char *state_was)
{
    struct reactor_served *s = inst->served;
    struct reactor_metrics *m = s->r->opts.metrics;
    const char *state = graph_inst_state(inst->core);
    struct kr_arena a = {0};
    kr_str fa, fb;

    if (!m)
        return;
    fa = form_a(&a, s->gvr);
    fb = form_b(&a, s->gvr);
    count(REACTOR_METRIC(m, DYN_RECONCILE, fa), 1);
    count(REACTOR_METRIC(m, INST_RECONCILE, fb), 1);
    if (strcmp(state, "ERROR") == 0) {
        count(REACTOR_METRIC(m, DYN_ERRORS, fa), 1);
        count(REACTOR_METRIC(m, INST_ERRORS, fb), 1);
    }
    if (strcmp(state, state_was) != 0)
        count(REACTOR_METRIC(m, INST_STATES, form_c(&a, s->gvk), kr_str_c(state_was),
                             kr_str_c(state)),
              1);
    if (s->rev)
        count(REACTOR_METRIC(m, INST_RESOLVED, fb), 1);
    else
        count(REACTOR_METRIC(m, INST_UNRESOLVED, fb, KR_S("not_available")), 1);
    count_evaluations(m, was, graph_inst_counts(inst->core));
    kr_arena_fini(&a);
}

void reactor__count_def(struct reactor_def *def, const char *state_was)
{
    struct reactor_metrics *m = def->r->opts.metrics;
    const char *state = graph_def_state(def->core);

    if (m && strcmp(state, state_was) != 0)
        count(REACTOR_METRIC(m, RGD_STATES, def->key, kr_str_c(state_was), kr_str_c(state)), 1);
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

void reactor__count_answer(struct reactor_op *op, bool unchanged)
{
    struct reactor_metrics *m = op->r->opts.metrics;
    const struct kube_req *req = &op->req;
    char code[16];
    int n = snprintf(code, sizeof code, "%d", req->status);

    if (!m || !op->sent)
        return;
    count(REACTOR_METRIC(m, REQUESTS, verb_name(req->verb), ((kr_str){code, (size_t)n})), 1);
    reactor_metric_observe(REACTOR_METRIC(m, REST_S, verb_name(req->verb)),
                           (double)(req->done_ms - req->started_ms) / 1000.0);
    if (req->rc == 0)
        count_action(m, op, unchanged);
}

/* --- changes ---------------------------------------------------------------------------------- */

void reactor__count_change(struct reactor *r, const struct reactor_watch *w)
{
    struct kr_arena a = {0};

    if (r->opts.metrics)
        count(REACTOR_METRIC(r->opts.metrics, STORE_CHANGES, form_a(&a, w->gvr)), 1);
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

static void on_read(void *arg)
{
    struct reactor *r = arg;
    struct reactor_metrics *m = r->opts.metrics;
    struct kr_arena a = {0};

    kr_map_each (e, &r->watches)
        reset_watch(m, e->val, &a);
    kr_map_each (e, &r->watches)
        read_watch(m, e->val, &a);
    read_instances(r, m, &a);
    reactor_metric_set(REACTOR_METRIC(m, DYN_QUEUE), r->queue.n);
    reactor_metric_set(REACTOR_METRIC(m, DYN_WATCHES), r->watches.n);
    reactor_metric_set(REACTOR_METRIC(m, REQUESTS_BUSY), kube_client_busy_n(r->client));
    reactor_metric_set(
        REACTOR_METRIC(m, BUILD_INFO, kr_str_c(reactor_version), kr_str_c(reactor_commit)), 1);
    kr_arena_fini(&a);
}

void reactor__count_init(struct reactor *r)
{
    if (r->opts.metrics)
        reactor_metrics_on_read(r->opts.metrics, on_read, r);
}

void reactor__count_fini(struct reactor *r)
{
    if (r->opts.metrics)
        reactor_metrics_on_read(r->opts.metrics, NULL, NULL);
}
