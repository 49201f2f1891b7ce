/* SPDX-License-Identifier: Apache-2.0 */
/* world.c - the controller's process and its line, the run to rest, the safety rules, the cluster
 * as text. */
#include "tests/lib/world.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "cel/base/log.h"
#include "graph/names.h"
#include "tests/lib/fakeapi_internal.h"

enum { TEXT_MAX = 64 * 1024 * 1024, END_TURNS_MAX = 10 * 1000 };

/* --- the line --------------------------------------------------------------------------------- */

/* A process's connections. A dead line hears nothing of the answers that still come. */
struct world_line {
    struct kube_transport transport;
    struct world *w;
    bool dead;
    struct kr_link calls; /* struct call */
};

/* Two halves: the process's exchange (x) and ours with the fault transport (inner). */
struct call {
    struct world_line *line;
    struct kube_exchange *x; /* NULL: the process has had its last word */
    struct kube_exchange inner;
    struct kube_timer timer; /* ends x */
    struct kr_link link;
    struct kr_arena arena; /* of what inner borrows: it may outlive x */
    uint32_t at;           /* in w->exchanges */
    bool flying, canceled;
};

static void call_tidy(struct call *c)
{
    struct kube_clock *clock = &c->line->w->clock.door;

    if (c->x || c->flying)
        return;
    clock->ops->timer_stop(clock, &c->timer);
    kr_link_remove(&c->link);
    kr_arena_fini(&c->arena);
    kr_free(c);
}

static void call_end(struct call *c, int rc, const struct kr_err *err)
{
    struct kube_exchange *x = c->x;

    c->x = NULL;
    x->impl = NULL;
    call_tidy(c);
    x->on_end(x, rc, err);
}

static void on_call_timer(struct kube_timer *timer)
{
    struct call *c = KR_OWNER(timer, struct call, timer);
    struct kr_err err = KR_ERR_NONE;

    if (c->x)
        call_end(c,
                 c->canceled ? kr_fail(&err, KR_E_CANCELED, "canceled")
                             : kr_fail(&err, KR_E_IO, "the process has ended"),
                 &err);
}

static void on_call_head(struct kube_exchange *x, int status, int64_t retry_after_ms)
{
    struct call *c = KR_OWNER(x, struct call, inner);

    if (!c->x || c->line->dead)
        return;
    c->x->status = status;
    c->x->on_head(c->x, status, retry_after_ms);
}

static bool on_call_bytes(struct kube_exchange *x, const char *bytes, size_t n)
{
    struct call *c = KR_OWNER(x, struct call, inner);

    if (!c->x || c->line->dead)
        return true;
    if (c->at < c->line->w->exchanges_n)
        c->line->w->exchanges[c->at].bytes += n;
    return c->x->on_bytes(c->x, bytes, n);
}

static void on_call_end(struct kube_exchange *x, int rc, const struct kr_err *err)
{
    struct call *c = KR_OWNER(x, struct call, inner);
    struct kr_err copy = err ? *err : (struct kr_err){0};

    c->flying = false;
    if (!c->x || c->line->dead) {
        call_tidy(c); /* where x is still there its timer is set */
        return;
    }
    c->x->unsent = x->unsent;
    c->x->refused = x->refused;
    call_end(c, rc, &copy);
}

static void call_pass(struct call *c)
{
    struct kube_transport *next = fault_transport(c->line->w->fault);

    c->inner = *c->x;
    c->inner.path = kr_strdup(&c->arena, c->x->path);
    c->inner.body = kr_strdup(&c->arena, c->x->body);
    c->inner.on_head = on_call_head;
    c->inner.on_bytes = on_call_bytes;
    c->inner.on_end = on_call_end;
    c->flying = true;
    next->ops->start(next, &c->inner);
}

static void call_drop(struct call *c)
{
    struct kube_transport *next = fault_transport(c->line->w->fault);

    if (c->flying)
        next->ops->cancel(next, &c->inner);
}

/* The process is cut off. What it has sent takes effect or not; streams end. */
static void line_die(struct world_line *line, bool sent)
{
    struct kube_clock *clock = &line->w->clock.door;

    if (line->dead)
        return;
    line->dead = true;
    for (struct kr_link *l = line->calls.next; l != &line->calls; l = l->next) {
        struct call *c = KR_OWNER(l, struct call, link);

        if (!c->canceled && (c->inner.stream || !sent))
            call_drop(c);
        clock->ops->timer_start(clock, &c->timer, 0);
    }
}

static struct world_line *line_of(struct kube_transport *t)
{
    return KR_OWNER(t, struct world_line, transport);
}

static void count_exchange(struct world *w, struct call *c)
{
    struct world_exchange *e;

    if (w->exchanges_n == w->exchanges_cap) {
        w->exchanges_cap = w->exchanges_cap ? 2 * w->exchanges_cap : 64;
        w->exchanges = kr_realloc(w->exchanges, w->exchanges_cap * sizeof *e);
    }
    c->at = w->exchanges_n;
    e = &w->exchanges[w->exchanges_n++];
    *e = (struct world_exchange){.stream = c->x->stream};
    snprintf(e->method, sizeof e->method, "%s", c->x->method);
}

static void line_start(struct kube_transport *t, struct kube_exchange *x)
{
    struct world_line *line = line_of(t);
    struct world *w = line->w;
    struct call *c = KR_ALLOC(struct call);
    bool last;

    c->line = line;
    c->x = x;
    c->timer.fn = on_call_timer;
    x->impl = c;
    x->status = 0;
    x->unsent = x->refused = false;
    kr_link_push(&line->calls, &c->link);
    if (line->dead) {
        w->clock.door.ops->timer_start(&w->clock.door, &c->timer, 0);
        return;
    }
    count_exchange(w, c);
    last = w->exchanges_n == w->end_at;
    if (!last || w->end == WORLD_END_SENT)
        call_pass(c);
    if (last) {
        w->ended = true;
        line_die(line, w->end == WORLD_END_SENT);
    }
}

static void line_cancel(struct kube_transport *t, struct kube_exchange *x)
{
    struct call *c = x->impl;
    struct kube_clock *clock = &line_of(t)->w->clock.door;

    c->canceled = true;
    if (line_of(t)->dead)
        clock->ops->timer_start(clock, &c->timer, 0);
    else
        call_drop(c);
}

static kr_str line_server(struct kube_transport *t)
{
    struct kube_transport *next = fault_transport(line_of(t)->w->fault);

    return next->ops->server(next);
}

static const struct kube_transport_ops line_ops = {line_start, line_cancel, line_server};

/* --- what happens in the cluster -------------------------------------------------------------- */

static struct world_fate *fate_of(struct world *w, kr_str resource, kr_str ns, kr_str name)
{
    KR_AUTO(kr_arena) a = {0};
    kr_str key =
        kr_fmt(&a, KR_FMT " " KR_FMT "/" KR_FMT, KR_ARG(resource), KR_ARG(ns), KR_ARG(name));
    struct world_fate *fate = kr_map_get(&w->fates, key);

    if (!fate) {
        fate = KR_ALLOC(struct world_fate);
        kr_map_put(&w->fates, key, fate);
    }
    return fate;
}

static kr_str label_of(const struct fake_obj *o, const char *label)
{
    return o ? kr_text(kr_get(kr_at(o->v, "metadata.labels"), kr_str_c(label))) : (kr_str){0};
}

static bool has_finalizer(const struct fake_obj *o)
{
    KR_LIST_EACH (f, kr_at(o ? o->v : KR_V_NONE, "metadata.finalizers"))
        if (kr_str_is(kr_text(*f), "kro.run/finalizer"))
            return true;
    return false;
}

/* An instance lets go of its finalizer, or goes: nothing of its set may be left. */
static void check_released(struct world *w, const struct fake_event *e)
{
    kr_str id = label_of(e->old, GRAPH_LABEL_SET_ID);

    if (id.n == 0 || !has_finalizer(e->old) || has_finalizer(e->now))
        return;
    kr_map_each (m, &w->fates) {
        const struct world_fate *fate = m->val;

        if (kr_str_eq(fate->part_of, id))
            kr_buf_fmt(&w->wrongs, "%s is left behind by " KR_FMT "/" KR_FMT "\n", m->key,
                       KR_ARG(e->old->resource), KR_ARG(e->old->name));
    }
}

static void look_at(struct world *w, const struct fake_event *e)
{
    const struct fake_obj *o = e->now ? e->now : e->old;
    struct world_fate *fate = fate_of(w, o->resource, o->namespace, o->name);
    kr_str part_of = label_of(e->now, GRAPH_LABEL_PART_OF);

    fate->created += e->old == NULL;
    fate->changed += e->old && e->now;
    fate->deleted += e->now == NULL;
    if (e->old && fate->part_of.n && part_of.n && !kr_str_eq(fate->part_of, part_of))
        kr_buf_fmt(&w->wrongs, KR_FMT "/" KR_FMT " passes from one ApplySet to another\n",
                   KR_ARG(o->resource), KR_ARG(o->name));
    if (!kr_str_eq(fate->part_of, part_of))
        fate->part_of = kr_strdup(&w->a, part_of);
    check_released(w, e);
}

static void look(struct world *w)
{
    for (uint32_t i = 0; i < w->api->events_n; i++)
        if (w->api->events[i].version > w->seen)
            look_at(w, &w->api->events[i]);
    w->seen = w->api->version;
}

/* --- life ------------------------------------------------------------------------------------- */

static void quiet_log(void)
{
    static int fd = -1;

    if (fd < 0 && !getenv("KROC_TEST_LOG"))
        fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (fd >= 0)
        kr_log_config(KR_ERROR, false, fd);
}

void world_open(struct world *w, const struct world_opts *opts)
{
    *w = (struct world){0};
    if (opts)
        w->opts = *opts;
    quiet_log();
    vclock_init(&w->clock);
    kr_buf_init(&w->wrongs, TEXT_MAX);
    kr_buf_init(&w->trace, TEXT_MAX);
    w->api = fakeapi_new(&w->clock.door, &w->opts.api);
    w->fault = fault_new(fakeapi_transport(w->api), &w->clock.door);
    if (!w->opts.sidecar) {
        world_apply_file(w, "deploy/crds/resourcegraphdefinitions.yaml");
        world_apply_file(w, "deploy/crds/graphrevisions.yaml");
    }
    world_rest(w);
}

void world_close(struct world *w)
{
    world_crash(w, false);
    fault_clear(w->fault);
    while (!fakeapi_idle(w->api) && vclock_step(&w->clock)) {
    }
    fault_free(w->fault);
    fakeapi_free(w->api);
    vclock_fini(&w->clock);
    kr_map_each (e, &w->fates)
        kr_free(e->val);
    kr_map_fini(&w->fates);
    kr_free(w->exchanges);
    kr_buf_fini(&w->wrongs);
    kr_buf_fini(&w->trace);
    kr_arena_fini(&w->a);
}

static void on_trace(void *arg, kr_str line)
{
    struct world *w = arg;

    kr_buf_str(&w->trace, line);
    kr_buf_chr(&w->trace, '\n');
}

static void add_rgd(struct world *w, const char *yaml)
{
    struct kr_err err = KR_ERR_NONE;

    EXPECT_OK(reactor_add_rgd(w->reactor, test_yaml(&w->a, yaml), &err), &err);
}

void world_start(struct world *w)
{
    struct reactor_opts o = {.clock = &w->clock.door,
                             .version = KR_S("v0.9.3"),
                             .namespace = kr_str_c(w->opts.namespace),
                             .sidecar = w->opts.sidecar,
                             .crd_deletion = w->opts.crd_deletion,
                             .revisions_max = w->opts.revisions_max,
                             .standby = w->opts.standby,
                             .sharded = w->opts.sharded,
                             .events = w->opts.events,
                             .condition_metrics = w->opts.condition_metrics,
                             .metrics = w->opts.metrics,
                             .stop_ms = w->opts.stop_ms,
                             .trace = w->opts.traced ? on_trace : NULL,
                             .trace_arg = w};

    KR_ASSERT(!w->reactor);
    w->ended = false;
    w->line = KR_ALLOC(struct world_line);
    w->line->transport.ops = &line_ops;
    w->line->w = w;
    kr_link_init(&w->line->calls);
    w->client = kube_client_new(&w->line->transport, &w->clock.door,
                                &(struct kube_client_opts){.user_agent = "kro/v0.9.3"});
    o.client = w->client;
    w->reactor = reactor_new(&o);
    for (size_t i = 0; i < WORLD_RGDS_MAX && w->opts.rgds[i]; i++)
        add_rgd(w, w->opts.rgds[i]);
    reactor_start(w->reactor);
}

/* The last of the process: its memory. */
static void process_free(struct world *w)
{
    reactor_free(w->reactor);
    kube_client_free(w->client);
    w->reactor = NULL;
    w->client = NULL;
    for (struct kr_link *l = w->line->calls.next, *next; l != &w->line->calls; l = next) {
        next = l->next;
        call_drop(KR_OWNER(l, struct call, link)); /* hangs: nobody waits for it any more */
    }
    vclock_run(&w->clock);
    if (!kr_link_empty(&w->line->calls))
        fail_msg("the process has ended, but not its exchanges");
    kr_free(w->line);
    w->line = NULL;
}

void world_crash(struct world *w, bool sent)
{
    uint64_t now = w->clock.now_ms;
    uint32_t turns = 0;

    if (!w->reactor)
        return;
    w->end_at = 0;
    line_die(w->line, sent);
    reactor_stop(w->reactor);
    while (!reactor_stopped(w->reactor)) {
        kube_client_cancel_all(w->client);
        vclock_run(&w->clock);
        reactor_turn(w->reactor);
        if (++turns > END_TURNS_MAX)
            fail_msg("the dropped controller does not end");
    }
    assert_int_equal(w->clock.now_ms, now);
    process_free(w);
    look(w);
}

void world_stop(struct world *w)
{
    uint64_t end = w->clock.now_ms + (w->opts.stop_ms ? w->opts.stop_ms : REACTOR_STOP_MS) + 1000;

    reactor_stop(w->reactor);
    world_settle(w);
    while (!reactor_stopped(w->reactor)) {
        if (w->clock.now_ms > end || !vclock_step(&w->clock))
            fail_msg("the controller does not stop");
        world_settle(w);
    }
    w->end_at = 0;
    process_free(w);
    look(w);
}

void world_end_at(struct world *w, uint32_t n, enum world_end end)
{
    w->end_at = w->exchanges_n + n;
    w->end = end;
}

/* --- the run to rest -------------------------------------------------------------------------- */

void world_settle(struct world *w)
{
    uint32_t turns = 0;

    look(w);
    do {
        look(w);
        while (w->reactor && reactor_turn(w->reactor))
            if (++turns > WORLD_TURNS_MAX)
                fail_msg("the controller does not come to an end of its work");
    } while (vclock_run(&w->clock));
    look(w);
}

bool world_run(struct world *w)
{
    uint64_t end = w->clock.now_ms + WORLD_RUN_MAX_MS, due;

    for (;;) {
        world_settle(w);
        if (w->ended && w->reactor) {
            world_crash(w, w->end == WORLD_END_SENT);
            return true;
        }
        due = kube_timers_due(&w->clock.timers);
        if (due == UINT64_MAX || due - w->clock.now_ms > WORLD_QUIET_MS)
            return true;
        if (due > end)
            return false;
        vclock_step(&w->clock);
    }
}

void world_rest(struct world *w)
{
    if (!world_run(w))
        fail_msg("never comes to rest; requests since the mark:\n%.4000s", fakeapi_log(w->api));
    if (w->wrongs.n)
        fail_msg("safety: %s", w->wrongs.s);
}

void world_advance(struct world *w, uint64_t ms)
{
    uint64_t end = w->clock.now_ms + ms;

    world_settle(w);
    while (kube_timers_due(&w->clock.timers) <= end) {
        vclock_step(&w->clock);
        world_settle(w);
    }
    w->clock.now_ms = end;
    world_settle(w);
}

uint32_t world_exchanges_n(const struct world *w)
{
    return w->exchanges_n;
}

uint64_t world_evaluations(const struct world *w)
{
    struct reactor_stats s;

    reactor_stats(w->reactor, &s);
    return s.evaluations;
}

const char *world_trace(struct world *w)
{
    return kr_cstr(&w->a, kr_buf_view(&w->trace));
}

/* --- the cluster ------------------------------------------------------------------------------ */

void world_apply(struct world *w, const char *yaml)
{
    fakeapi_apply(w->api, "test", yaml);
    look(w);
}

const char *world_file(struct world *w, const char *path)
{
    kr_str text, full = kr_fmt(&w->a, "%s/%s", KROC_SOURCE, path);

    if (!test_file(&w->a, full.s, &text))
        fail_msg("%s: cannot be read", full.s);
    return text.s;
}

void world_apply_file(struct world *w, const char *path)
{
    world_apply(w, world_file(w, path));
}

void world_patch(struct world *w, const char *path, const char *patch)
{
    assert_int_equal(fakeapi_patch(w->api, "rival", path, patch), 200);
    look(w);
}

void world_delete(struct world *w, const char *path)
{
    assert_int_equal(fakeapi_delete(w->api, path), 200);
    look(w);
}

kr_val world_get(struct world *w, const char *path)
{
    return fakeapi_get(w->api, &w->a, path);
}

const char *world_text(struct world *w, const char *path, const char *part)
{
    kr_val v = kr_at(world_get(w, path), part);

    if (v.kind == KR_NONE)
        return "";
    return v.kind == KR_STRING ? kr_cstr(&w->a, kr_text(v)) : kr_cstr(&w->a, kr_json_str(&w->a, v));
}

struct world_fate world_fate(struct world *w, const char *resource, const char *name)
{
    kr_str full = kr_str_c(name), ns = kr_str_cut(&full, '/');

    return *fate_of(w, kr_str_c(resource), ns, full);
}

/* --- requests --------------------------------------------------------------------------------- */

void world_mark(struct world *w)
{
    fakeapi_log_reset(w->api);
    kr_buf_reset(&w->trace);
    w->exchanges_n = 0;
    w->end_at = 0;
}

uint32_t world_statuses_n(struct world *w)
{
    return fakeapi_log_n(w->api, NULL, "/status ");
}

uint32_t world_writes_n(struct world *w, const char *method)
{
    kr_str rest = kr_str_c(fakeapi_log(w->api));
    uint32_t n = 0;

    while (rest.n > 0) {
        kr_str line = kr_str_cut(&rest, '\n');
        bool status = kr_str_find(line, KR_S("/status ")) >= 0;
        bool event = kr_str_find(line, KR_S("/events ")) >= 0;

        n += !kr_str_starts(line, KR_S("GET ")) && !status && !event &&
             (!method || kr_str_starts(line, kr_str_c(method)));
    }
    return n;
}

/* "/apis/apps/v1/namespaces/default/deployments/web" -> "deployments/web" */
static kr_str short_path(kr_str path)
{
    uint32_t cuts = kr_str_starts(path, KR_S("/apis/")) ? 4 : 3;

    for (uint32_t i = 0; i < cuts; i++)
        kr_str_cut(&path, '/');
    if (kr_str_starts(path, KR_S("namespaces/"))) {
        kr_str rest = path;

        kr_str_cut(&rest, '/');
        kr_str_cut(&rest, '/');
        if (rest.n)
            path = rest;
    }
    return path;
}

const char *world_writes(struct world *w)
{
    KR_AUTO(kr_buf) b = KR_BUF(TEXT_MAX);
    kr_str rest = kr_str_c(fakeapi_log(w->api));

    while (rest.n > 0) {
        kr_str line = kr_str_cut(&rest, '\n'), method = kr_str_cut(&line, ' ');
        kr_str path = kr_str_cut(&line, ' '), manager = kr_str_cut(&line, ' ');

        if (kr_str_is(method, "GET"))
            continue;
        kr_buf_fmt(&b, KR_FMT " " KR_FMT " " KR_FMT, KR_ARG(method), KR_ARG(short_path(path)),
                   KR_ARG(manager));
        if (line.n && line.s[0] != '2')
            kr_buf_fmt(&b, " " KR_FMT, KR_ARG(line));
        kr_buf_chr(&b, '\n');
    }
    return kr_cstr(&w->a, kr_buf_view(&b));
}

/* --- the cluster as text ---------------------------------------------------------------------- */

struct dump {
    struct kr_arena a;
    struct kr_buf b, path;
    struct fake_obj **list;
    uint32_t n;
    struct kr_map uids, versions; /* -> struct fake_obj */
};

static int by_key(const void *x, const void *y)
{
    const struct fake_obj *a = *(struct fake_obj *const *)x, *b = *(struct fake_obj *const *)y;
    int r = kr_str_cmp(a->resource, b->resource);

    if (r == 0)
        r = kr_str_cmp(a->group, b->group);
    if (r == 0)
        r = kr_str_cmp(a->namespace, b->namespace);
    return r ? r : kr_str_cmp(a->name, b->name);
}

static void put_named(struct dump *d, const char *what, const struct fake_obj *o)
{
    if (o)
        kr_buf_fmt(&d->b, "<%s of " KR_FMT "/" KR_FMT ">", what, KR_ARG(o->resource),
                   KR_ARG(o->name));
    else
        kr_buf_fmt(&d->b, "<%s of what is gone>", what);
}

/* uids are found wherever they stand; an address that the server gives out likewise. */
static void put_text(struct dump *d, kr_str s)
{
    static const char uid_head[] = "00000000-0000-4000-8000-", ip_head[] = "10.96.";
    size_t uid_n = sizeof uid_head - 1 + 12;

    for (size_t i = 0; i < s.n;) {
        kr_str rest = kr_str_sub(s, i, s.n);

        if (rest.n >= uid_n && kr_str_starts(rest, kr_str_c(uid_head))) {
            put_named(d, "uid", kr_map_get(&d->uids, kr_str_sub(rest, 0, uid_n)));
            i += uid_n;
        } else if (kr_str_starts(rest, kr_str_c(ip_head))) {
            kr_buf_str(&d->b, KR_S("<address>"));
            i += sizeof ip_head - 1;
            while (i < s.n && (s.s[i] == '.' || (s.s[i] >= '0' && s.s[i] <= '9')))
                i++;
        } else {
            kr_buf_chr(&d->b, s.s[i++]);
        }
    }
}

static void put_leaf(struct dump *d, kr_val v)
{
    struct fake_obj *o = v.kind == KR_STRING ? kr_map_get(&d->versions, kr_text(v)) : NULL;

    kr_buf_str(&d->b, KR_S("  "));
    put_text(d, kr_buf_view(&d->path));
    kr_buf_str(&d->b, KR_S(": "));
    if (o)
        put_named(d, "version", o);
    else
        put_text(d, kr_json_str(&d->a, v));
    kr_buf_chr(&d->b, '\n');
}

static bool is_time(kr_str key)
{
    return kr_str_is(key, "lastTransitionTime") || kr_str_is(key, "creationTimestamp") ||
           kr_str_is(key, "deletionTimestamp");
}

static void put_value(struct dump *d, kr_val v)
{
    size_t n = d->path.n;
    uint32_t i = 0;

    if ((v.kind != KR_MAP && v.kind != KR_LIST) || v.n == 0) {
        put_leaf(d, v);
        return;
    }
    KR_LIST_EACH (item, v) {
        kr_buf_fmt(&d->path, "[%u]", i++);
        put_value(d, *item);
        d->path.n = n;
    }
    KR_MAP_EACH (p, v) {
        if (is_time(kr_text(p->key)))
            continue;
        kr_buf_fmt(&d->path, "%s" KR_FMT, n ? "." : "", KR_ARG(kr_text(p->key)));
        put_value(d, p->val);
        d->path.n = n;
    }
}

static kr_val sorted(struct dump *d, kr_val list, int (*order)(const void *x, const void *y))
{
    kr_val *items = kr_new_n(&d->a, kr_val, list.n + 1);

    if (list.kind != KR_LIST || list.n == 0)
        return list;
    memcpy(items, list.list, list.n * sizeof list);
    qsort(items, list.n, sizeof list, order);
    return kr_list(items, list.n);
}

static int by_manager(const void *x, const void *y)
{
    static const char *const keys[] = {"manager", "operation", "subresource"};
    int r = 0;

    for (size_t i = 0; i < KR_N(keys) && r == 0; i++)
        r = kr_str_cmp(kr_at_str(*(const kr_val *)x, keys[i]),
                       kr_at_str(*(const kr_val *)y, keys[i]));
    return r;
}

static void put_managers(struct dump *d, kr_val managers)
{
    KR_LIST_EACH (m, sorted(d, managers, by_manager)) {
        kr_buf_fmt(&d->b, "  owner " KR_FMT " " KR_FMT " " KR_FMT ": ",
                   KR_ARG(kr_at_str(*m, "manager")), KR_ARG(kr_at_str(*m, "operation")),
                   KR_ARG(kr_at_str(*m, "subresource")));
        put_text(d, kr_json_str(&d->a, kr_get(*m, KR_S("fieldsV1"))));
        kr_buf_chr(&d->b, '\n');
    }
}

static int by_type(const void *x, const void *y)
{
    return kr_str_cmp(kr_at_str(*(const kr_val *)x, "type"), kr_at_str(*(const kr_val *)y, "type"));
}

/* Conditions are a set by type: their order says when they were first known. */
static kr_val with_sorted_conditions(struct dump *d, kr_val v)
{
    kr_val list = kr_at(v, "status.conditions");

    if (list.kind != KR_LIST || list.n == 0)
        return v;
    return kr_with(&d->a, v, "status.conditions", sorted(d, list, by_type));
}

static void put_object(struct dump *d, const struct fake_obj *o)
{
    static const char *const dropped[] = {"metadata.uid", "metadata.resourceVersion",
                                          "metadata.managedFields"};
    kr_val v = o->v;

    if (kr_at(v, "metadata.deletionTimestamp").kind != KR_NONE)
        kr_buf_str(&d->b, KR_S("terminating "));
    kr_buf_fmt(&d->b, KR_FMT " " KR_FMT "/" KR_FMT "\n", KR_ARG(o->resource), KR_ARG(o->namespace),
               KR_ARG(o->name));
    for (size_t i = 0; i < KR_N(dropped); i++)
        v = kr_with(&d->a, v, dropped[i], KR_V_NONE);
    put_value(d, with_sorted_conditions(d, v));
    put_managers(d, kr_at(o->v, "metadata.managedFields"));
}

/* kro's own CRDs are the same in every world. */
static bool is_scenery(const struct fake_obj *o)
{
    return kr_str_is(o->name, "resourcegraphdefinitions.kro.run") ||
           kr_str_is(o->name, "graphrevisions.internal.kro.run") ||
           kr_str_is(o->resource, "events");
}

static void put_child(struct dump *d, const struct fake_obj *o)
{
    static const char *const parts[] = {"spec", "data"};
    kr_val v = kr_map_sorted(NULL, 0);

    if (label_of(o, GRAPH_LABEL_PART_OF).n == 0)
        return;
    for (size_t i = 0; i < KR_N(parts); i++)
        if (kr_at(o->v, parts[i]).kind != KR_NONE)
            v = kr_with(&d->a, v, parts[i], kr_at(o->v, parts[i]));
    kr_buf_fmt(&d->b, KR_FMT " " KR_FMT "/" KR_FMT "\n", KR_ARG(o->resource), KR_ARG(o->namespace),
               KR_ARG(o->name));
    put_value(d, v);
}

static const char *dump(struct world *w, void (*put)(struct dump *d, const struct fake_obj *o))
{
    struct dump d = {.b = KR_BUF(TEXT_MAX), .path = KR_BUF(TEXT_MAX)};
    const char *out;

    d.list = kr_new_n(&d.a, struct fake_obj *, w->api->objects.n + 1);
    kr_map_each (e, &w->api->objects) {
        struct fake_obj *o = e->val;

        kr_map_put(&d.uids, kr_at_str(o->v, "metadata.uid"), o);
        kr_map_put(&d.versions, kr_at_str(o->v, "metadata.resourceVersion"), o);
        if (!is_scenery(o))
            d.list[d.n++] = o;
    }
    qsort(d.list, d.n, sizeof d.list[0], by_key);
    for (uint32_t i = 0; i < d.n; i++)
        put(&d, d.list[i]);
    out = kr_strdup(&w->a, d.b.n ? kr_buf_view(&d.b) : KR_S("")).s;
    KR_ASSERT(!d.b.full);
    kr_buf_fini(&d.b);
    kr_buf_fini(&d.path);
    kr_map_fini(&d.uids);
    kr_map_fini(&d.versions);
    kr_arena_fini(&d.a);
    return out;
}

const char *world_dump(struct world *w)
{
    return dump(w, put_object);
}

const char *world_children(struct world *w)
{
    return dump(w, put_child);
}
