/* SPDX-License-Identifier: Apache-2.0 */
/* world.c - processes, time, and the way to rest.
 *
 * Each process has a clock of its own, so that its timers end with it; all clocks show the same time.
 * At one moment everything that can happen happens: what is due in the net and the sandbox, then
 * turns of the controllers, and again, until nothing is left; then time goes on to what is due next. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "cel/base/json.h"
#include "cel/base/log.h"
#include "cel/base/yaml.h"
#include "reactor/crds.h"
#include "tests/sim/sim.h"

enum { TEXT_MAX = 64 * 1024 * 1024, END_TURNS_MAX = 1000, LINE_MAX = 4096, BACK_GAP = 40 };

/* --- telling ---------------------------------------------------------------------------------- */

void sim_trace(struct sim *s, const char *fmt, ...)
{
    char line[LINE_MAX];
    va_list args;
    int n;

    if (s->tell == SIM_VERDICT)
        return;
    va_start(args, fmt);
    n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    n = n < (int)sizeof line ? n : (int)sizeof line - 1;
    s->digest = XXH3_64bits_withSeed(line, (size_t)n, s->digest + s->clock.now_ms);
    if (s->tell == SIM_TRACE)
        printf("%9.3f  %s\n", (double)(s->clock.now_ms - VCLOCK_START_MS) / 1000, line);
}

void sim_fail(struct sim *s, const char *fmt, ...)
{
    va_list args;

    if (s->why[0])
        return;
    va_start(args, fmt);
    vsnprintf(s->why, sizeof s->why, fmt, args);
    va_end(args);
    sim_trace(s, "WRONG: %s", s->why);
}

bool sim_failed(const struct sim *s)
{
    return s->why[0] != 0;
}

uint32_t sim_pick(struct sim *s, uint32_t n)
{
    return n > 1 ? (uint32_t)(sim_rand(&s->rand) % n) : 0;
}

static void on_reactor_trace(void *arg, kr_str line)
{
    struct sim_proc *p = arg;

    sim_trace(p->sim, "p%u " KR_FMT, p->number, KR_ARG(line));
}

/* --- as somebody else ------------------------------------------------------------------------- */

static int request(struct sim *s, const char *method, const char *path, kr_str body,
                   struct sandbox_response *r)
{
    bool patch = strcmp(method, "PATCH") == 0;
    struct sandbox_request q = {
        .method = method,
        .path = kr_str_c(path),
        .body = body,
        .content_type = kr_str_c(patch ? "application/merge-patch+json" : "application/yaml"),
        .user_agent = KR_S("somebody/1")};

    sandbox_serve(s->sandbox, &q, r);
    sim_trace(s, "somebody: %s %s %d", method, path, r->status);
    s->busy_at = s->clock.now_ms;
    return r->status;
}

int sim_do(struct sim *s, const char *method, const char *path, const char *body)
{
    struct sandbox_response r = {0};
    int status = request(s, method, path, kr_str_c(body), &r);

    sandbox_response_fini(&r);
    return status;
}

/* One document; what is written as JSON is read as such, in a fifth of the time. */
static kr_val parsed(struct kr_arena *a, const char *text)
{
    struct kr_err err = KR_ERR_NONE;
    kr_val docs = KR_V_NONE;
    bool json = text[0] == '{';
    int rc = json ? kr_json_parse(a, kr_str_c(text), &docs, &err)
                  : kr_yaml_parse(a, kr_str_c(text), &docs, &err);

    if (rc < 0)
        fprintf(stderr, "%s\n%s\n", text, err.text);
    KR_ASSERT(rc == 0); /* texts of ours */
    return json ? docs : kr_item(docs, 0);
}

static int apply(struct sim *s, kr_val v)
{
    struct sandbox_response r = {0};
    int status = sandbox_apply(s->sandbox, v, "somebody", &r);

    sim_trace(s, "somebody: apply " KR_FMT " %d", KR_ARG(kr_at_str(v, "metadata.name")), status);
    if (status == 422 || status >= 500)
        sim_fail(s, "the workload itself is refused: " KR_FMT, KR_ARG(kr_buf_view(&r.body)));
    sandbox_response_fini(&r);
    s->busy_at = s->clock.now_ms;
    return status;
}

int sim_apply(struct sim *s, const char *text)
{
    KR_AUTO(kr_arena) a = {0};

    return apply(s, parsed(&a, text));
}

kr_val sim_get(struct sim *s, struct kr_arena *a, const char *path)
{
    struct sandbox_request q = {.method = "GET", .path = kr_str_c(path)};
    struct sandbox_response r = {0};
    struct kr_err err = KR_ERR_NONE;
    kr_val v = KR_V_NONE;

    sandbox_serve(s->sandbox, &q, &r);
    if (r.status != 200 || kr_json_parse(a, kr_buf_view(&r.body), &v, &err) < 0)
        v = KR_V_NONE;
    sandbox_response_fini(&r);
    return v;
}

/* --- processes -------------------------------------------------------------------------------- */

static void quiet_log(void)
{
    static int fd = -1;

    if (fd < 0)
        fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (fd >= 0)
        kr_log_config(KR_ERROR, false, fd);
}

int sim_leader(const struct sim *s)
{
    for (uint32_t i = 0; i < SIM_PROCS; i++)
        if (s->procs[i].reactor && s->procs[i].leads)
            return (int)i;
    return -1;
}

void sim_start(struct sim *s, uint32_t proc, bool standby)
{
    struct sim_proc *p = &s->procs[proc];
    struct reactor_opts o = {.clock = &p->clock.door,
                             .version = KR_S("v0.9.3"),
                             .standby = standby,
                             .trace = s->tell == SIM_VERDICT ? NULL : on_reactor_trace,
                             .trace_arg = p};

    KR_ASSERT(!p->reactor);
    sim_trace(s, "p%u starts%s", proc, standby ? ", standing by" : "");
    sim_check_start(s->check);
    vclock_init(&p->clock);
    p->clock.now_ms = s->clock.now_ms;
    p->clock.seed = sim_rand(&s->rand);
    p->line = sim_line_new(p);
    p->client = kube_client_new(sim_line_transport(p->line), &p->clock.door,
                                &(struct kube_client_opts){.user_agent = "kro/v0.9.3"});
    o.client = p->client;
    p->leads = !standby;
    p->crash_in = 0;
    p->crash_due = false;
    p->reactor = reactor_new(&o);
    reactor_start(p->reactor);
}

/* What is due at this moment, in the net and the sandbox. */
static bool run_net(struct sim *s)
{
    return vclock_run(&s->clock);
}

static void process_free(struct sim *s, struct sim_proc *p)
{
    reactor_free(p->reactor);
    kube_client_free(p->client);
    p->reactor = NULL;
    p->client = NULL;
    run_net(s);
    KR_ASSERT(sim_line_idle(p->line));
    sim_line_free(p->line);
    p->line = NULL;
    vclock_fini(&p->clock);
}

void sim_crash(struct sim *s, uint32_t proc, bool sent)
{
    struct sim_proc *p = &s->procs[proc];
    uint32_t turns = 0;

    if (!p->reactor)
        return;
    sim_trace(s, "p%u is dropped", proc);
    s->crashes_n++;
    sim_line_die(p->line, sent);
    reactor_stop(p->reactor);
    while (!reactor_stopped(p->reactor)) {
        kube_client_cancel_all(p->client);
        run_net(s);
        vclock_run(&p->clock);
        reactor_turn(p->reactor);
        if (++turns > END_TURNS_MAX) {
            fprintf(stderr, "seed %" PRIu64 ": the dropped controller does not end\n",
                    s->plan->seed);
            abort();
        }
    }
    process_free(s, p);
}

static bool settle_proc(struct sim *s, struct sim_proc *p)
{
    bool any = false;
    uint32_t turns = 0;

    if (!p->reactor)
        return false;
    any = vclock_run(&p->clock);
    while (!p->crash_due && reactor_turn(p->reactor)) {
        any = true;
        if (++turns > SIM_TURNS_MAX) {
            sim_fail(s, "the controller does not come to an end of its work");
            break;
        }
    }
    if (p->crash_due)
        sim_crash(s, p->number, p->crash_sent);
    return any;
}

/* Everything that can happen at this moment. */
static void settle(struct sim *s)
{
    uint32_t rounds = 0;
    bool any;

    do {
        if (++rounds > SIM_ROUNDS_MAX)
            sim_fail(s, "hot: requests and answers without end at one moment");
        any = run_net(s);
        for (uint32_t i = 0; i < SIM_PROCS; i++)
            any |= settle_proc(s, &s->procs[i]);
    } while (any && !sim_failed(s));
}

static uint64_t due(const struct sim *s)
{
    uint64_t at = kube_timers_due(&s->clock.timers);

    for (uint32_t i = 0; i < SIM_PROCS; i++) {
        uint64_t t = s->procs[i].reactor ? kube_timers_due(&s->procs[i].clock.timers) : UINT64_MAX;

        at = t < at ? t : at;
    }
    if (s->up_at && s->up_at < at)
        at = s->up_at;
    return at;
}

static void go_to(struct sim *s, uint64_t at)
{
    s->clock.now_ms = at;
    for (uint32_t i = 0; i < SIM_PROCS; i++)
        s->procs[i].clock.now_ms = at;
    if (s->up_at && s->up_at <= at) {
        sim_trace(s, "the server is up");
        s->up_at = 0;
        sandbox_front_swap(s->front, s->sandbox);
    }
}

void sim_advance(struct sim *s, uint32_t ms)
{
    uint64_t end = s->clock.now_ms + ms, at;

    settle(s);
    while (!sim_failed(s) && (at = due(s)) <= end) {
        go_to(s, at > s->clock.now_ms ? at : s->clock.now_ms);
        settle(s);
    }
    go_to(s, end);
    settle(s);
}

void sim_rest(struct sim *s)
{
    uint64_t end = s->clock.now_ms + SIM_REST_MAX_MS, at;

    s->busy_at = s->clock.now_ms;
    settle(s);
    while (!sim_failed(s)) {
        at = due(s);
        if (at > s->busy_at + SIM_QUIET_MS)
            return;
        if (at > end) {
            sim_fail(s, "it does not come to rest");
            return;
        }
        go_to(s, at > s->clock.now_ms ? at : s->clock.now_ms);
        settle(s);
    }
}

void sim_stop(struct sim *s, uint32_t proc)
{
    struct sim_proc *p = &s->procs[proc];
    uint64_t end = s->clock.now_ms + REACTOR_STOP_MS + 1000;

    if (!p->reactor)
        return;
    sim_trace(s, "p%u stops", proc);
    reactor_stop(p->reactor);
    settle(s);
    while (p->reactor && !reactor_stopped(p->reactor) && !sim_failed(s)) {
        if (s->clock.now_ms > end) {
            sim_fail(s, "the controller does not stop");
            break;
        }
        go_to(s, due(s));
        settle(s);
    }
    if (p->reactor && reactor_stopped(p->reactor))
        process_free(s, p);
    else
        sim_crash(s, proc, false);
}

void sim_lead(struct sim *s, uint32_t proc, bool lead)
{
    struct sim_proc *p = &s->procs[proc];

    if (!p->reactor)
        return;
    sim_trace(s, "p%u %s", proc, lead ? "leads" : "leads no more");
    p->leads = lead;
    reactor_lead(p->reactor, lead);
    settle(s);
}

/* --- the server ------------------------------------------------------------------------------- */

/* Discovery of all that a cluster has would be most of what a seed reads. */
static const char *const server_types[] = {"secrets.", "events.", "deployments.apps",
                                           "leases.coordination.k8s.io", NULL};

static struct sandbox *server_new(struct kube_clock *clock)
{
    static struct cel_kinds *kinds; /* for the life of the process */

    if (kinds == NULL)
        kinds = cel_kinds_new();
    return sandbox_new(clock, &(struct sandbox_opts){.types = server_types, .kinds = kinds});
}

/* A controller's request. */
static void serve(void *arg, struct sandbox *sandbox, const struct sandbox_request *q,
                  struct sandbox_response *r)
{
    struct sim *s = arg;
    kr_str path = q->path, base = kr_str_cut(&path, '?');
    bool status = kr_str_ends(base, KR_S("/status"));
    uint64_t version = sandbox_version(sandbox);

    s->serving = true;
    s->serving_status = status;
    if (!sim_openapi(sandbox, base, r))
        sandbox_serve(sandbox, q, r);
    if (sim_mutate_again(s, q)) {
        version = sandbox_version(sandbox);
        sandbox_response_fini(r);
        *r = (struct sandbox_response){0};
        sandbox_serve(sandbox, q, r);
    }
    sim_mutate_done(s, q);
    s->serving = false;
    sim_trace(s, "%s " KR_FMT "%s %d", q->method, KR_ARG(base), r->watch ? " watch" : "",
              r->status);
    if (strcmp(q->method, "GET") == 0 || r->status >= 300)
        return;
    s->writes_n += !status;
    s->statuses_n += status;
    sim_check_write(s->check, q, version);
}

bool sim_back(struct sim *s)
{
    struct kr_err err = KR_ERR_NONE;
    struct sandbox *next;

    if (s->backup.n == 0 || sandbox_version(s->sandbox) < s->backup_version + BACK_GAP)
        return false; /* who resumes must see that its version is of the future */
    sim_trace(s, "the server goes back from %" PRIu64 " to %" PRIu64, sandbox_version(s->sandbox),
              s->backup_version);
    sandbox_front_swap(s->front, NULL);
    run_net(s);
    next = server_new(&s->clock.door);
    sim_check_follow(s->check, next);
    sim_check_back(s->check, true);
    if (sandbox_fill(next, kr_buf_view(&s->backup), &err) < 0)
        sim_fail(s, "the backup is broken: %s", err.text);
    sim_check_back(s->check, false);
    sandbox_free(s->sandbox);
    s->sandbox = next;
    sandbox_front_swap(s->front, s->up_at ? NULL : next);
    memcpy(s->variant, s->backup_variant, sizeof s->variant);
    s->busy_at = s->clock.now_ms;
    return true;
}

/* A definition of ours without its schema: the sandbox need not check, in each seed, that a controller
 * writes definitions as their schema says (tests on the real server do), and lists are short. */
static kr_val unschooled(struct kr_arena *a, kr_val crd)
{
    struct kr_listb versions = KR_LISTB(a);
    kr_val any = kr_with(a, kr_map_sorted(NULL, 0), "type", KR_V_STR("object"));

    any = kr_with(a, any, "x-kubernetes-preserve-unknown-fields", kr_bool(true));
    KR_LIST_EACH (v, kr_at(crd, "spec.versions"))
        kr_listb_add(&versions, kr_with(a, *v, "schema.openAPIV3Schema", any));
    return kr_with(a, crd, "spec.versions", kr_listb_done(&versions));
}

kr_val sim_undescribed(struct kr_arena *a, kr_val v)
{
    struct kr_listb list = KR_LISTB(a);
    struct kr_mapb map = KR_MAPB(a);

    if (v.kind != KR_LIST && v.kind != KR_MAP)
        return v;
    KR_LIST_EACH (item, v)
        kr_listb_add(&list, sim_undescribed(a, *item));
    KR_MAP_EACH (p, v) /* a field of that name has a schema, no text */
        if (!kr_is_str(p->key, KR_S("description")) || p->val.kind != KR_STRING)
            kr_mapb_put(&map, kr_text(p->key), sim_undescribed(a, p->val));
    return v.kind == KR_LIST ? kr_listb_done(&list) : kr_mapb_done(&map);
}

/* A server with the definitions of kro and the second namespace, as text: it is the same for every
 * seed. Managed fields and descriptions, which nobody here reads, are the larger part of it. */
static void make_start(struct kr_buf *out)
{
    static const char *const crds[] = {"resourcegraphdefinitions.kro.run",
                                       "graphrevisions.internal.kro.run"};
    KR_AUTO(kr_arena) a = {0};
    struct sim s = {.tell = SIM_VERDICT};

    vclock_init(&s.clock);
    s.sandbox = server_new(&s.clock.door);
    apply(&s, unschooled(&a, parsed(&a, reactor_crd_definitions)));
    apply(&s, unschooled(&a, parsed(&a, reactor_crd_revisions)));
    sim_apply(&s,
              "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"" SIM_NS_OTHER
              "\"}}");
    run_net(&s);
    for (size_t i = 0; i < KR_N(crds); i++)
        KR_ASSERT(
            sim_do(
                &s, "PATCH",
                kr_fmt(&a, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/%s", crds[i]).s,
                "{\"metadata\":{\"managedFields\":[{}]}}") == 200);
    run_net(&s);
    KR_ASSERT(!sim_failed(&s));
    kr_buf_init(out, TEXT_MAX);
    sandbox_text(s.sandbox, out);
    sandbox_free(s.sandbox);
    vclock_fini(&s.clock);
}

static void install(struct sim *s)
{
    static struct kr_buf start; /* for the life of the process */
    struct kr_err err = KR_ERR_NONE;
    int rc;

    if (start.n == 0)
        make_start(&start);
    sim_check_back(s->check, true);
    rc = sandbox_fill(s->sandbox, kr_buf_view(&start), &err);
    KR_ASSERT(rc == 0); /* we wrote it */
    sim_check_back(s->check, false);
    run_net(s);
}

void sim_open(struct sim *s, const struct sim_plan *plan, uint32_t mutant, enum sim_tell tell)
{
    *s = (struct sim){.plan = plan, .mutant = mutant, .tell = tell, .rand = plan->seed ^ 0x5eed};
    quiet_log();
    vclock_init(&s->clock);
    s->clock.seed = plan->seed + 77;
    kr_buf_init(&s->backup, TEXT_MAX);
    s->sandbox = server_new(&s->clock.door);
    s->front = sandbox_front_new(
        s->sandbox, &s->clock.door,
        &(struct sandbox_front_opts){
            .no_streaming_list = plan->no_streaming_list, .serve = serve, .arg = s});
    for (uint32_t i = 0; i < SIM_PROCS; i++) {
        s->procs[i].sim = s;
        s->procs[i].number = i;
    }
    s->check = sim_check_new(s);
    sim_check_follow(s->check, s->sandbox);
    install(s);
}

void sim_close(struct sim *s)
{
    for (uint32_t i = 0; i < SIM_PROCS; i++)
        sim_crash(s, i, false);
    sandbox_front_swap(s->front, NULL);
    run_net(s);
    sandbox_front_free(s->front);
    sandbox_free(s->sandbox);
    sim_check_free(s->check);
    vclock_fini(&s->clock);
    kr_map_each (e, &s->lists)
        kr_free(e->val);
    kr_map_fini(&s->lists);
    kr_buf_fini(&s->backup);
    kr_arena_fini(&s->a);
}
