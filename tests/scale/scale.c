/* SPDX-License-Identifier: Apache-2.0 */
/* scale.c - the controller alone at scale: what it sends, what it needs of CPU and memory.
 *
 *   scale --kroc PATH [--instances N] [--rounds N] [--shards N] [--last PHASE] [--check] [--keep]
 *
 *   this process: fakeapi behind a loopback port    child: the unchanged `kroc controller`
 *
 * Each phase begins with something that happens in the cluster and ends when the controller is at rest:
 * it sends nothing, reads nothing and uses no CPU. Then a line of JSON says what it cost. --check
 * judges the counts of requests (never times) and is what the test runs; without it the targets are
 * judged too, in words, and the exit code says whether all were reached.
 *
 *   start     the definition becomes active
 *   create    N instances of five children each
 *   dress     controllers write status, people annotate: every object grows to 3-4 KB, nobody reads it
 *   noop      heartbeats of Deployments and annotations of Services, by rounds
 *   config    one ConfigMap that a tenth of the instances read
 *   restart   the controller is stopped and started
 *   again     one more round of heartbeats
 *   delete    all instances
 *
 * With --shards N, in the place of delete, what one of N members costs: the other N - 1 are Leases that
 * nobody renews and that do not end.
 *
 *   shard     the controller is stopped and started as such a member: it reads everything, keeps 1/N
 *   dropped   one round of heartbeats, of which it wants 1/N
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "cel/base/json.h"
#include "cel/base/yaml.h"
#include "kube/curl_uv.h"
#include "tests/lib/fakeapi.h"
#include "tests/scale/http.h"

enum {
    TICK_MS = 50,
    QUIET_MS = 1500,       /* nothing happened for so long: the phase has ended */
    STUCK_MS = 900 * 1000, /* a phase that lasts longer fails the run */
    BATCH = 500,           /* things that happen in one tick */
    QUEUED_MAX = 64 << 20, /* bytes under way before more happens */
    BUCKETS = 10,          /* shared ConfigMaps */
    HISTORY = 20 * 1000,
    NOTE_BYTES = 1600, /* of the annotation that brings an object to its size */
    TEXT_MAX = 16 * 1024,
};

#define BENCHES "/apis/kro.run/v1alpha1/namespaces/default/benches"
#define DEPLOYMENTS "/apis/apps/v1/namespaces/default/deployments"
#define CORE "/api/v1/namespaces/default/"

struct scale;

/* What a phase may cost at most. */
struct budget {
    uint32_t writes, per; /* writes for each of so many... */
    enum { OF_NOTHING, OF_INSTANCES, OF_READERS } of;
    uint32_t gets; /* reads and lists in all; watches are counted apart */
    double cpu_s;  /* 0: no target; for 10,000 instances */
    uint32_t rss_mb;
    uint32_t events_s; /* events per second of CPU */
};

struct phase {
    const char *name;
    void (*begin)(struct scale *s);           /* may be NULL */
    void (*one)(struct scale *s, uint32_t i); /* happens n times; may be NULL */
    uint32_t (*n)(const struct scale *s);
    bool events; /* what happens is what the controller sees: rate */
    struct budget budget;
};

struct scale {
    const char *kroc;
    const char *last;                   /* phase; NULL: all */
    uint32_t instances, rounds, shards; /* shards 0: none */
    bool check, keep;
    bool member; /* the controller is started as one of the shards */

    uv_loop_t loop;
    uv_timer_t tick;
    uv_process_t child;
    bool running, ending, failed;
    struct kube_uv_clock *clock;
    struct fakeapi *api;
    struct scale_http *http;
    char folder[64], config[96], log[96];

    const struct phase *phase;
    uint32_t next;         /* of the things that happen */
    uint64_t began_ms;     /* of the phase */
    uint64_t changed_ms;   /* when something last happened */
    uint64_t began_ns;     /* CPU of the child at the begin of the phase */
    uint64_t began_bytes;  /* sent */
    uint64_t sign;         /* of the last look */
    struct kr_arena arena; /* of one thing that happens */
    kr_val status, note;   /* what `dress` writes */
    struct kr_arena bodies;
};

/* --- the child -------------------------------------------------------------------------------- */

static uint64_t child_ns(const struct scale *s)
{
    char path[64];
    uint64_t ns = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/schedstat", s->child.pid);
    f = s->running ? fopen(path, "re") : NULL;
    if (f && fscanf(f, "%" SCNu64, &ns) != 1)
        ns = 0;
    if (f)
        fclose(f);
    return ns;
}

/* A line of /proc/PID/status in KB. */
static uint64_t child_kb(const struct scale *s, const char *name)
{
    char path[64], line[256];
    uint64_t kb = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/status", s->child.pid);
    f = s->running ? fopen(path, "re") : NULL;
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
            kb = strtoull(line + strlen(name) + 1, NULL, 10);
    }
    if (f)
        fclose(f);
    return kb;
}

static void on_child_exit(uv_process_t *p, int64_t status, int signum)
{
    struct scale *s = KR_OWNER(p, struct scale, child);

    s->running = false;
    if (status != 0 || signum != 0) {
        fprintf(stderr, "scale: the controller ended with %" PRId64 ", signal %d; see %s\n", status,
                signum, s->log);
        s->failed = s->ending = true;
        s->keep = true;
    }
    uv_close((uv_handle_t *)p, NULL);
}

static void child_start(struct scale *s)
{
    char shards[32];
    const char *args[] = {s->kroc,
                          "controller",
                          "--kubeconfig",
                          s->config,
                          "--metrics-bind-address=0",
                          "--health-probe-bind-address=0",
                          "--debug-bind-address=0",
                          "--leader-election-namespace=default",
                          "--leader-election-retry-period=4s", /* more than a phase's quiet */
                          "--leader-election-renew-deadline=200s",
                          "--leader-election-lease-duration=300s",
                          s->member ? shards : NULL,
                          NULL};
    FILE *log = fopen(s->log, "ae");
    uv_stdio_container_t io[] = {{.flags = UV_IGNORE},
                                 {.flags = UV_INHERIT_FD, .data.fd = fileno(log)},
                                 {.flags = UV_INHERIT_FD, .data.fd = fileno(log)}};
    uv_process_options_t o = {.file = s->kroc,
                              .args = (char **)(uintptr_t)args,
                              .stdio = io,
                              .stdio_count = 3,
                              .exit_cb = on_child_exit};
    int rc;

    snprintf(shards, sizeof shards, "--shards=%u", s->shards);
    rc = uv_spawn(&s->loop, &s->child, &o);
    fclose(log);
    if (rc != 0) {
        fprintf(stderr, "scale: %s: %s\n", s->kroc, uv_strerror(rc));
        exit(1);
    }
    s->running = true;
}

/* --- things that happen ----------------------------------------------------------------------- */

static kr_val parse(struct kr_arena *a, kr_str json)
{
    kr_val v = KR_V_NONE;
    struct kr_err err = KR_ERR_NONE;

    if (kr_json_parse(a, json, &v, &err) < 0) {
        fprintf(stderr, "scale: %s: " KR_FMT "\n", err.text, KR_ARG(json));
        abort();
    }
    return v;
}

/* As somebody else; a refusal is a mistake of the run. */
static void happen(struct scale *s, const char *method, const char *path, const char *manager,
                   kr_val body)
{
    kr_val out = KR_V_NONE;
    int status = fakeapi_do(s->api, &s->arena, method, path, manager, NULL, body, &out);

    if (status >= 300) {
        fprintf(stderr, "scale: %s %s: %d " KR_FMT "\n", method, path, status,
                KR_ARG(kr_at_str(out, "message")));
        s->failed = s->ending = true;
    }
    kr_arena_reset(&s->arena);
}

static const char *path_of(struct scale *s, const char *type, uint32_t i, const char *suffix)
{
    return kr_fmt(&s->arena, "%s/i%05u%s", type, i, suffix).s;
}

static uint32_t n_instances(const struct scale *s)
{
    return s->instances;
}

static uint32_t n_heartbeats(const struct scale *s)
{
    return 2 * s->instances * s->rounds;
}

static uint32_t n_round(const struct scale *s)
{
    return 2 * s->instances;
}

static uint32_t n_dressed(const struct scale *s)
{
    return 6 * s->instances;
}

static uint32_t n_config(const struct scale *s)
{
    return 1;
}

static void one_instance(struct scale *s, uint32_t i)
{
    kr_str body = kr_fmt(&s->arena,
                         "{\"apiVersion\":\"kro.run/v1alpha1\",\"kind\":\"Bench\",\"metadata\":"
                         "{\"name\":\"i%05u\"},\"spec\":{\"config\":\"shared-%u\"}}",
                         i, i % BUCKETS);

    happen(s, "POST", BENCHES, "kubectl-create", parse(&s->arena, body));
}

/* By six: the status of the Deployment, then a note on each object, but for the one whose version the
 * definition reads. */
static void one_dressing(struct scale *s, uint32_t k)
{
    static const struct {
        const char *type, *suffix;
    } of[] = {{DEPLOYMENTS, "/status"},      {DEPLOYMENTS, ""},
              {CORE "services", ""},         {CORE "serviceaccounts", ""},
              {CORE "configmaps", "-extra"}, {BENCHES, ""}};
    uint32_t i = k / 6, what = k % 6;

    happen(s, "PATCH", path_of(s, of[what].type, i, of[what].suffix),
           what ? "kubectl-annotate" : "kube-controller-manager", what ? s->note : s->status);
}

/* A heartbeat of the Deployment and a foreign annotation of the Service in turn. */
static void one_heartbeat(struct scale *s, uint32_t k)
{
    uint32_t i = k / 2 % s->instances;
    static uint64_t beat;
    kr_str body;

    beat++;
    if (k % 2) {
        body =
            kr_fmt(&s->arena, "{\"metadata\":{\"annotations\":{\"seen\":\"%" PRIu64 "\"}}}", beat);
        happen(s, "PATCH", path_of(s, CORE "services", i, ""), "probe", parse(&s->arena, body));
        return;
    }
    body = kr_fmt(&s->arena, "{\"status\":{\"observedGeneration\":%" PRIu64 "}}", beat);
    happen(s, "PATCH", path_of(s, DEPLOYMENTS, i, "/status"), "kube-controller-manager",
           parse(&s->arena, body));
}

static void one_config(struct scale *s, uint32_t i)
{
    happen(s, "PATCH", CORE "configmaps/shared-0", "kubectl-edit",
           parse(&s->arena, KR_S("{\"data\":{\"version\":\"2\"}}")));
}

static void one_deletion(struct scale *s, uint32_t i)
{
    happen(s, "DELETE", path_of(s, BENCHES, i, ""), "kubectl", KR_V_NONE);
}

static void begin_start(struct scale *s)
{
    child_start(s);
}

static void begin_restart(struct scale *s)
{
    fakeapi_bookmark(s->api);
    uv_process_kill(&s->child, SIGTERM);
    while (s->running)
        uv_run(&s->loop, UV_RUN_ONCE);
    fakeapi_log_reset(s->api);
    if (s->ending)
        return;
    child_start(s);
    s->began_ns = 0;
}

static void begin_shard(struct scale *s)
{
    for (uint32_t i = 1; i < s->shards; i++) {
        KR_AUTO(kr_buf) text = KR_BUF(1024);

        kr_buf_fmt(&text,
                   "{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: "
                   "shard-%u.controller.kro.run, namespace: default, labels: {kroc.run/shard: "
                   "'%u'}}, spec: {holderIdentity: other-%u, leaseDurationSeconds: 3600}}",
                   i, i, i);
        fakeapi_apply(s->api, "other", text.s);
    }
    s->member = true;
    begin_restart(s);
}

/* clang-format off */
static const struct phase phases[] = {
/*   name       begin          what happens   how often      events
                budget: writes per          of             gets  cpu_s rss_mb events_s */
    {"start",   begin_start,   NULL,          NULL,          false,
               {20,     1,      OF_NOTHING,    60,   0,    0,     0}},
    {"create",  NULL,          one_instance,  n_instances,   false,
               {9,      1,      OF_INSTANCES,  40,   0,    60,    0}},
    {"dress",   NULL,          one_dressing,  n_dressed,     true,
               {0,      1,      OF_NOTHING,    0,    0,    60,    0}},
    {"noop",    NULL,          one_heartbeat, n_heartbeats,  true,
               {0,      1,      OF_NOTHING,    0,    0,    60,    30000}},
    {"config",  NULL,          one_config,    n_config,      false,
               {1,      1,      OF_READERS,    0,    0,    60,    0}},
    {"restart", begin_restart, NULL,          NULL,          false,
               {0,      1,      OF_NOTHING,    120,  10,   60,    0}},
    {"again",   NULL,          one_heartbeat, n_round,       true,
               {0,      1,      OF_NOTHING,    0,    0,    60,    30000}},
    {"shard",   begin_shard,   NULL,          NULL,          false,
               {1,      1,      OF_INSTANCES,  200,  0,    0,     0}},
    {"dropped", NULL,          one_heartbeat, n_round,       true,
               {5,      1,      OF_NOTHING,    0,    0,    0,     0}},
    {"delete",  NULL,          one_deletion,  n_instances,   false,
               {7,      1,      OF_INSTANCES,  0,    0,    0,     0}},
};
/* clang-format on */

/* --- judging ---------------------------------------------------------------------------------- */

struct counts {
    uint32_t gets, watches, patches, puts, posts, deletes, reviews;
};

static struct counts count(struct scale *s)
{
    struct counts c = {.watches = fakeapi_log_n(s->api, "GET", "?watch"),
                       .patches = fakeapi_log_n(s->api, "PATCH", NULL),
                       .puts = fakeapi_log_n(s->api, "PUT", NULL),
                       .posts = fakeapi_log_n(s->api, "POST", NULL),
                       .deletes = fakeapi_log_n(s->api, "DELETE", NULL)};

    c.gets = fakeapi_log_n(s->api, "GET", NULL) - c.watches;
    c.reviews = fakeapi_log_n(s->api, "POST", "/apis/authorization.k8s.io/"); /* a question */
    c.posts -= c.reviews;
    return c;
}

static void judge(struct scale *s, bool ok, const char *what, double is, double may)
{
    if (ok)
        return;
    fprintf(stderr, "scale: %s: %s is %.2f, may be %.2f\n", s->phase->name, what, is, may);
    s->failed = true;
}

static uint32_t budget_units(const struct scale *s, const struct budget *b)
{
    return b->of == OF_INSTANCES ? s->instances
           : b->of == OF_READERS ? (s->instances + BUCKETS - 1) / BUCKETS
                                 : 1;
}

static uint32_t active_n(struct scale *s)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->instances; i++) {
        kr_val v = fakeapi_get(s->api, &s->arena, path_of(s, BENCHES, i, ""));

        n += kr_str_is(kr_at_str(v, "status.state"), "ACTIVE");
        kr_arena_reset(&s->arena);
    }
    return n;
}

static void report(struct scale *s)
{
    const struct phase *p = s->phase;
    const struct budget *b = &p->budget;
    struct counts c = count(s);
    uint64_t now_ns = child_ns(s), rss = child_kb(s, "VmRSS"), anon = child_kb(s, "RssAnon");
    double cpu_s = (double)(now_ns > s->began_ns ? now_ns - s->began_ns : 0) / 1e9;
    double rate = p->events && cpu_s > 0 ? p->n(s) / cpu_s : 0;
    uint32_t writes = c.patches + c.puts + c.posts + c.deletes, units = budget_units(s, b);
    uint32_t active = strcmp(p->name, "delete") == 0 ? 0 : active_n(s);

    printf("{\"phase\": \"%s\", \"instances\": %u, \"active\": %u, \"seconds\": %.2f, \"get\": %u, "
           "\"watch\": %u, \"patch\": %u, \"status\": %u, \"post\": %u, \"delete\": %u, "
           "\"cpu_s\": %.2f, \"rss_mb\": %.1f, \"anon_mb\": %.1f, \"sent_mb\": %.1f",
           p->name, s->instances, active, (double)(s->changed_ms - s->began_ms) / 1e3, c.gets,
           c.watches, c.patches, c.puts, c.posts, c.deletes, cpu_s, (double)rss / 1024,
           (double)anon / 1024, (double)(scale_http_sent_bytes(s->http) - s->began_bytes) / 1e6);
    if (p->events)
        printf(", \"events\": %u, \"events_per_cpu_s\": %.0f", p->n(s), rate);
    printf("}\n");
    fflush(stdout);

    judge(s, writes <= (uint64_t)b->writes * units, "number of writes", writes,
          (double)b->writes * units);
    judge(s, c.gets <= b->gets, "number of reads", c.gets, b->gets);
    if (strcmp(p->name, "start") != 0 && strcmp(p->name, "delete") != 0)
        judge(s, active == s->instances, "number of active instances", active, s->instances);
    if (strcmp(p->name, "delete") == 0)
        judge(s, fakeapi_objects_n(s->api, "benches", "kro.run") == 0, "number of instances left",
              fakeapi_objects_n(s->api, "benches", "kro.run"), 0);
    if (strcmp(p->name, "config") == 0)
        judge(s, writes == units, "number of writes", writes, units);
    if (s->check)
        return;
    judge(s, !b->cpu_s || cpu_s <= b->cpu_s, "CPU in seconds", cpu_s, b->cpu_s);
    judge(s, !b->rss_mb || rss <= (uint64_t)b->rss_mb * 1024, "resident memory in MB",
          (double)rss / 1024, b->rss_mb);
    judge(s, !b->events_s || rate >= b->events_s, "events per second of CPU", rate, b->events_s);
}

/* --- the run ---------------------------------------------------------------------------------- */

static void phase_begin(struct scale *s, const struct phase *p)
{
    s->phase = p;
    s->next = 0;
    s->sign = 0;
    fakeapi_log_reset(s->api);
    s->began_ms = s->changed_ms = uv_hrtime() / 1000000;
    s->began_ns = child_ns(s);
    s->began_bytes = scale_http_sent_bytes(s->http);
    if (p->begin)
        p->begin(s);
}

static void end(struct scale *s)
{
    uv_timer_stop(&s->tick);
    s->ending = true;
    if (s->running)
        uv_process_kill(&s->child, SIGTERM);
    uv_stop(&s->loop);
}

/* Something of what the phase is made of; whether all of it has happened. */
static bool go_on(struct scale *s)
{
    uint32_t n = s->phase->one ? s->phase->n(s) : 0;

    for (int k = 0; k < BATCH && s->next < n && !s->ending; k++) {
        if (scale_http_queued_bytes(s->http) > QUEUED_MAX)
            return false;
        s->phase->one(s, s->next++);
    }
    return s->next >= n;
}

static bool ready(struct scale *s)
{
    KR_AUTO(kr_arena) a = {0};
    kr_val v = fakeapi_get(s->api, &a, "/apis/kro.run/v1alpha1/resourcegraphdefinitions/bench");

    return kr_str_is(kr_at_str(v, "status.state"), "Active");
}

/* Shards in the place of the deletion, or none of them; NULL: that was all. */
static const struct phase *next_phase(const struct scale *s)
{
    const struct phase *end = phases + KR_N(phases);

    for (const struct phase *p = s->phase + 1; p < end; p++) {
        bool of_shards = strcmp(p->name, "shard") == 0 || strcmp(p->name, "dropped") == 0;

        if (s->shards ? strcmp(p->name, "delete") != 0 : !of_shards)
            return p;
    }
    return NULL;
}

static void on_tick(uv_timer_t *timer)
{
    struct scale *s = KR_OWNER(timer, struct scale, tick);
    uint64_t now = uv_hrtime() / 1000000;
    bool all = go_on(s);
    uint64_t sign =
        child_ns(s) / 2000000 + scale_http_sent_bytes(s->http) + scale_http_queued_bytes(s->http);

    if (!all || sign != s->sign || (s->phase == phases && !ready(s)))
        s->changed_ms = now;
    s->sign = sign;
    if (s->ending || now - s->began_ms > STUCK_MS) {
        fprintf(stderr, "scale: %s: %s\n", s->phase->name, s->ending ? "failed" : "does not end");
        s->failed = true;
        end(s);
        return;
    }
    if (now - s->changed_ms < QUIET_MS)
        return;
    report(s);
    if (s->last && strcmp(s->last, s->phase->name) == 0)
        end(s);
    else if (next_phase(s))
        phase_begin(s, next_phase(s));
    else
        end(s);
}

static void make_bodies(struct scale *s)
{
    char note[NOTE_BYTES + 1];

    for (int i = 0; i < NOTE_BYTES; i++)
        note[i] = (char)('a' + (i * 7 + i / 26) % 26);
    note[NOTE_BYTES] = '\0';
    s->note = parse(&s->bodies, kr_fmt(&s->bodies,
                                       "{\"metadata\":{\"annotations\":{\"team.example.com/notes\":"
                                       "\"%s\",\"team.example.com/owner\":\"platform\"}}}",
                                       note));
    s->status = parse(
        &s->bodies,
        KR_S("{\"status\":{\"observedGeneration\":1,\"replicas\":1,\"updatedReplicas\":1,"
             "\"readyReplicas\":1,\"availableReplicas\":1,\"conditions\":[{\"type\":\"Available\","
             "\"status\":\"True\",\"reason\":\"MinimumReplicasAvailable\",\"message\":"
             "\"Deployment has minimum availability.\",\"lastUpdateTime\":\"2026-01-01T00:00:00Z\","
             "\"lastTransitionTime\":\"2026-01-01T00:00:00Z\"},{\"type\":\"Progressing\","
             "\"status\":\"True\",\"reason\":\"NewReplicaSetAvailable\",\"message\":"
             "\"ReplicaSet \\\"web-6d4cf56db6\\\" has successfully progressed.\","
             "\"lastUpdateTime\":\"2026-01-01T00:00:00Z\",\"lastTransitionTime\":"
             "\"2026-01-01T00:00:00Z\"}]}}"));
}

static void apply_file(struct scale *s, const char *path)
{
    KR_AUTO(kr_buf) text = KR_BUF(1 << 20);
    struct kr_err err = KR_ERR_NONE;

    if (kr_buf_read_file(&text, path, &err) < 0) {
        fprintf(stderr, "scale: %s\n", err.text);
        exit(1);
    }
    fakeapi_apply(s->api, "kubectl", text.s);
}

static void write_config(struct scale *s)
{
    FILE *f;

    snprintf(s->folder, sizeof s->folder, "/tmp/kroc-scale-XXXXXX");
    if (!mkdtemp(s->folder)) {
        perror("scale: mkdtemp");
        exit(1);
    }
    snprintf(s->config, sizeof s->config, "%s/kubeconfig", s->folder);
    snprintf(s->log, sizeof s->log, "%s/log", s->folder);
    f = fopen(s->config, "we");
    if (!f) {
        perror("scale: kubeconfig");
        exit(1);
    }
    fprintf(f,
            "apiVersion: v1\nkind: Config\ncurrent-context: scale\n"
            "clusters: [{name: scale, cluster: {server: \"http://127.0.0.1:%u\"}}]\n"
            "contexts: [{name: scale, context: {cluster: scale, user: scale}}]\n"
            "users: [{name: scale, user: {}}]\n",
            scale_http_port(s->http));
    fclose(f);
}

static void cluster_make(struct scale *s)
{
    struct fakeapi_opts o = {.history_n = HISTORY};

    s->clock = kube_uv_clock_new(&s->loop);
    s->api = fakeapi_new(kube_uv_clock_door(s->clock), &o);
    s->http = scale_http_new(&s->loop, fakeapi_transport(s->api));
    if (!s->http) {
        fprintf(stderr, "scale: no port is free\n");
        exit(1);
    }
    apply_file(s, KROC_SOURCE "/deploy/crds/resourcegraphdefinitions.yaml");
    apply_file(s, KROC_SOURCE "/deploy/crds/graphrevisions.yaml");
    while (!fakeapi_idle(s->api)) /* the CRDs are established */
        uv_run(&s->loop, UV_RUN_NOWAIT);
    for (uint32_t i = 0; i < BUCKETS; i++) {
        char text[160];

        snprintf(text, sizeof text,
                 "{apiVersion: v1, kind: ConfigMap, metadata: {name: shared-%u}, data: "
                 "{version: \"1\"}}",
                 i);
        fakeapi_apply(s->api, "kubectl", text);
    }
    apply_file(s, KROC_SOURCE "/tests/scale/bench.yaml");
}

static void cluster_close(struct scale *s)
{
    scale_http_close(s->http);
    while (fakeapi_watches_n(s->api) > 0 || !fakeapi_idle(s->api))
        uv_run(&s->loop, UV_RUN_NOWAIT);
    fakeapi_free(s->api);
    kube_uv_clock_close(s->clock);
    uv_close((uv_handle_t *)&s->tick, NULL);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    uv_loop_close(&s->loop);
    kr_arena_fini(&s->arena);
    kr_arena_fini(&s->bodies);
    if (s->keep)
        return;
    unlink(s->config);
    unlink(s->log);
    rmdir(s->folder);
}

static int usage(void)
{
    fprintf(stderr, "usage: scale --kroc PATH [--instances N] [--rounds N] [--shards N] "
                    "[--last PHASE] [--check] [--keep]\n");
    return 2;
}

static bool number(const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
    uint64_t v;

    if (!text || !kr_str_u64(kr_str_c(text), &v) || v < min || v > max)
        return false;
    *out = (uint32_t)v;
    return true;
}

static bool arguments(struct scale *s, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;

        if (strcmp(argv[i], "--check") == 0)
            s->check = true;
        else if (strcmp(argv[i], "--keep") == 0)
            s->keep = true;
        else if (strcmp(argv[i], "--kroc") == 0 && value)
            s->kroc = argv[++i];
        else if (strcmp(argv[i], "--last") == 0 && value)
            s->last = argv[++i];
        else if (strcmp(argv[i], "--instances") == 0 && number(value, 1, 100 * 1000, &s->instances))
            i++;
        else if (strcmp(argv[i], "--rounds") == 0 && number(value, 1, 1000, &s->rounds))
            i++;
        else if (strcmp(argv[i], "--shards") == 0 && number(value, 2, 64, &s->shards))
            i++;
        else
            return false;
    }
    return s->kroc != NULL;
}

int main(int argc, char **argv)
{
    struct scale s = {.instances = 10 * 1000, .rounds = 5};

    if (!arguments(&s, argc, argv))
        return usage();
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&s.loop);
    uv_timer_init(&s.loop, &s.tick);
    make_bodies(&s);
    cluster_make(&s);
    write_config(&s);
    phase_begin(&s, phases);
    uv_timer_start(&s.tick, on_tick, TICK_MS, TICK_MS);
    uv_run(&s.loop, UV_RUN_DEFAULT);
    while (s.running)
        uv_run(&s.loop, UV_RUN_ONCE);
    cluster_close(&s);
    return s.failed ? 1 : 0;
}
