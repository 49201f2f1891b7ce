/* SPDX-License-Identifier: Apache-2.0 */
/* doctor_test.c - the checks against answers from a table, over a transport, a clock and a machine of
 * our own. What a real API server does to them is in tests/e2e, group doctor. */
#include "reactor/doctor.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "cel/base/time.h"
#include "cel/base/yaml.h"
#include "reactor/crds.h"
#include "tests/lib/test.h"

enum { ROUTES_MAX = 48, TOOLS_MAX = 16, CHECKS_N = 30, SILENT = -1, REFUSED = -2 };
#define NOW_S INT64_C(1760000000)

struct route {
    const char *path; /* its head */
    int status;       /* or SILENT, REFUSED */
    const char *body;
};

struct tool {
    const char *name; /* argv[0] and argv[1]: "docker info" */
    int exit_code;    /* -1: there is no such tool */
    const char *text;
};

struct world {
    struct kube_transport transport;
    struct kube_clock clock;
    struct kube_timers timers;
    uint64_t now_ms;
    struct kr_link open;             /* exchanges under way */
    struct route routes[ROUTES_MAX]; /* the first that fits answers */
    uint32_t routes_n;
    const char *denied; /* "verb resource/sub,..." that access reviews refuse */
    uint32_t asked_n, ended_n, deletes_n;
    kr_str deleted[8];   /* paths, in w.arena; from then on they are 404 */
    const char *lingers; /* but what begins so, for a while: */
    uint32_t lingers_n;  /* questions */
    bool done;
    struct kr_arena arena;

    struct reactor_doctor_opts opts;
    struct reactor_host host;
    const char *addresses; /* what every name resolves to; NULL: nothing */
    struct tool tools[TOOLS_MAX];
    uint32_t tools_n;
    struct reactor_host_ask *told[TOOLS_MAX]; /* questions to the machine under way */
    uint32_t told_n;
    const char *version, *level, *via; /* of each head */
    const char *server;
    const char *broken; /* what REFUSED says instead; the request was sent then */
    int64_t date_off_s;
    bool own_crds; /* CRDs are answered as this version has them */
};

static struct world w;

#define CRD_STATUS                                                                                 \
    "{\"conditions\":[{\"type\":\"NamesAccepted\",\"status\":\"True\"},"                           \
    "{\"type\":\"Established\",\"status\":\"True\"}],\"storedVersions\":[\"v1alpha1\"]}"
#define DEPLOYMENT(ns, name, app, replicas)                                                        \
    "{\"metadata\":{\"namespace\":\"" ns "\",\"name\":\"" name                                     \
    "\",\"labels\":{\"app.kubernetes.io/name\":\"" app "\"}},\"spec\":{\"replicas\":" replicas     \
    "}}"
#define LEASE(ns, holder, renewed)                                                                 \
    "{\"metadata\":{\"namespace\":\"" ns "\",\"name\":\"controller.kro.run\"},"                    \
    "\"spec\":{\"holderIdentity\":\"" holder                                                       \
    "\",\"leaseDurationSeconds\":15,\"renewTime\":\"" renewed "\"}}"
#define ITEMS(list) "{\"items\":[" list "]}"

static const struct route healthy[] = {
    {"/readyz", 200, "[+]ping ok\nreadyz check passed\n"},
    {"/version", 200, "{\"major\":\"1\",\"minor\":\"36\",\"gitVersion\":\"v1.36.3\"}"},
    {"/apis/apps/v1/deployments", 200, ITEMS(DEPLOYMENT("kro-system", "kroc", "kroc", "1"))},
    {"/apis/coordination.k8s.io/v1/leases", 200, ITEMS("")},
    {"/api/v1/namespaces?watch", 200, "{\"type\":\"ADDED\"}\n"},
    {"/apis/flowcontrol", 200,
     ITEMS("{\"metadata\":{\"name\":\"workload-low\",\"uid\":\"low\"}},"
           "{\"metadata\":{\"name\":\"catch-all\",\"uid\":\"all\"}}")},
    {"/openapi/v3", 200, "{\"paths\":{}}"},
    {"/apis/kro.run/v1alpha1/resourcegraphdefinitions", 200, ITEMS("")},
    {"/apis/apiextensions.k8s.io/v1/customresourcedefinitions?", 200, ITEMS("")},
    {"/api/v1/", 200, ITEMS("")},
    {"/apis/apiregistration", 200, ITEMS("")},
    {"/apis/admissionregistration", 200, ITEMS("")},
    {"/apis/networking", 200, ITEMS("")},
    {"/apis", 200,
     "{\"kind\":\"APIGroupDiscoveryList\",\"apiVersion\":\"apidiscovery.k8s.io/v2\",\"items\":[]}"},
    {"/api", 200,
     "{\"kind\":\"APIGroupDiscoveryList\",\"apiVersion\":\"apidiscovery.k8s.io/v2\",\"items\":[]}"},
};

static const struct route not_there = {
    "", 404, "{\"kind\":\"Status\",\"reason\":\"NotFound\",\"message\":\"not there\"}"};

/* --- transport and clock ---------------------------------------------------------------------- */

static void start(struct kube_transport *t, struct kube_exchange *x)
{
    w.asked_n++;
    if (strcmp(x->method, "DELETE") == 0) {
        assert_true(w.deletes_n < KR_N(w.deleted));
        w.deleted[w.deletes_n++] = kr_strdup(&w.arena, x->path);
    }
    kr_link_push(&w.open, &x->link);
}

static void end(struct kube_exchange *x, int rc, const char *text)
{
    struct kr_err err = KR_ERR_NONE;

    kr_link_remove(&x->link);
    w.ended_n++;
    if (rc < 0)
        kr_fail(&err, rc, "%s", text);
    x->on_end(x, rc, &err);
}

static void cancel(struct kube_transport *t, struct kube_exchange *x)
{
    x->impl = &w; /* ended by the next round, never inside the call */
}

static kr_str server(struct kube_transport *t)
{
    return kr_str_c(w.server);
}

static uint64_t now_ms(struct kube_clock *c)
{
    return w.now_ms;
}

static int64_t wall_ms(struct kube_clock *c)
{
    return NOW_S * 1000 + (int64_t)w.now_ms;
}

static void timer_start(struct kube_clock *c, struct kube_timer *timer, uint64_t delay_ms)
{
    kube_timers_start(&w.timers, timer, w.now_ms + delay_ms);
}

static void timer_stop(struct kube_clock *c, struct kube_timer *timer)
{
    kube_timers_stop(&w.timers, timer);
}

static uint64_t random_zero(struct kube_clock *c)
{
    return 0;
}

static const struct kube_transport_ops transport_ops = {start, cancel, server};
static const struct kube_clock_ops clock_ops = {now_ms, wall_ms, timer_start, timer_stop,
                                                random_zero};

/* "patch resourcegraphdefinitions/status"; of another path "delete (path)". */
static const char *review(kr_str body)
{
    kr_val v = test_json(&w.arena, kr_cstr(&w.arena, body));
    kr_val of = kr_at(v, "spec.resourceAttributes");
    kr_str sub = kr_at_str(of, "subresource"), denied = kr_str_c(w.denied), what;

    if (of.kind == KR_NONE)
        what = kr_fmt(&w.arena, KR_FMT " (path)",
                      KR_ARG(kr_at_str(v, "spec.nonResourceAttributes.verb")));
    else
        what = kr_fmt(&w.arena, KR_FMT " " KR_FMT "%s" KR_FMT, KR_ARG(kr_at_str(of, "verb")),
                      KR_ARG(kr_at_str(of, "resource")), sub.n ? "/" : "", KR_ARG(sub));
    if (kr_is_str(kr_at(v, "kind"), KR_S("SubjectAccessReview")))
        assert_true(
            kr_str_starts(kr_at_str(v, "spec.user"), KR_S("system:serviceaccount:kro-system:")));
    if (kr_str_is(kr_at_str(of, "resource"), "leases"))
        assert_true(kr_is_str(kr_at(of, "namespace"), KR_S("kro-system")));
    else
        assert_int_equal(kr_at(of, "namespace").kind, KR_NONE);
    while (denied.s) {
        if (kr_str_eq(kr_str_cut(&denied, ','), what))
            return "{\"status\":{\"allowed\":false}}";
    }
    return "{\"status\":{\"allowed\":true}}";
}

/* A CRD as this version has it, established. */
static const char *own_crd(kr_str path)
{
    bool revisions = kr_str_find(path, KR_S("graphrevisions")) >= 0;
    struct kr_buf out = KR_BUF_IN(&w.arena, 1024 * 1024);
    kr_val docs;

    EXPECT_OK(kr_yaml_parse(&w.arena,
                            kr_str_c(revisions ? reactor_crd_revisions : reactor_crd_definitions),
                            &docs, NULL),
              NULL);
    EXPECT_OK(kr_json_write(
                  &out,
                  kr_with(&w.arena, kr_item(docs, 0), "status", test_json(&w.arena, CRD_STATUS)), 0,
                  NULL),
              NULL);
    return out.s;
}

static bool is_gone(const struct kube_exchange *x)
{
    bool gone = false;

    for (uint32_t i = 0; i < w.deletes_n; i++)
        gone |= strcmp(x->method, "GET") == 0 && kr_str_eq(w.deleted[i], x->path);
    if (!gone || w.lingers_n == 0 || !kr_str_starts(x->path, kr_str_c(w.lingers)))
        return gone;
    w.lingers_n--;
    return false;
}

static struct route route_of(const struct kube_exchange *x)
{
    if (is_gone(x))
        return not_there;
    for (uint32_t i = 0; i < w.routes_n; i++) {
        if (kr_str_starts(x->path, kr_str_c(w.routes[i].path)))
            return w.routes[i];
    }
    if (w.own_crds &&
        kr_str_starts(x->path, KR_S("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/")))
        return (struct route){"", 200, own_crd(x->path)};
    if (kr_str_find(x->path, KR_S("subjectaccessreviews")) >= 0)
        return (struct route){"", 201, review(x->body)};
    for (size_t i = 0; i < KR_N(healthy); i++) {
        if (kr_str_starts(x->path, kr_str_c(healthy[i].path)))
            return healthy[i];
    }
    return not_there;
}

static void tell_headers(struct kube_exchange *x)
{
    time_t at = (time_t)(NOW_S + w.date_off_s);
    char date[64];
    struct tm tm;

    if (x->on_header == NULL)
        return;
    gmtime_r(&at, &tm);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    x->on_header(x, KR_S(""), kr_str_c(w.version));
    x->on_header(x, KR_S("Date"), kr_str_c(date));
    if (w.level)
        x->on_header(x, KR_S("X-Kubernetes-PF-PriorityLevel-UID"), kr_str_c(w.level));
    if (w.via)
        x->on_header(x, KR_S("Via"), kr_str_c(w.via));
}

static bool answer(struct kube_exchange *x) /* false: nothing to be said yet */
{
    struct route r = route_of(x);

    if (x->impl) {
        end(x, KR_E_CANCELED, "canceled");
        return true;
    }
    if (r.status == SILENT)
        return false;
    if (r.status == REFUSED) {
        x->unsent = x->refused = w.broken == NULL;
        end(x, KR_E_IO, w.broken ? w.broken : "https://api.test:6443: connection refused");
        return true;
    }
    tell_headers(x);
    x->on_head(x, r.status, -1);
    if (x->on_bytes(x, r.body, strlen(r.body)))
        end(x, 0, "");
    else
        end(x, KR_E_LIMIT, "stopped");
    return true;
}

/* --- the machine ------------------------------------------------------------------------------ */

static void told_later(struct reactor_host_ask *ask, int rc, int exit_code, const char *text)
{
    kr_buf_init(&ask->text, REACTOR_HOST_TEXT_MAX);
    kr_buf_fmt(&ask->text, "%s", text);
    ask->rc = rc;
    ask->exit_code = exit_code;
    w.told[w.told_n++] = ask;
}

static void fake_resolve(void *arg, const char *name, struct reactor_host_ask *ask)
{
    told_later(ask, w.addresses ? 0 : KR_E_IO, -1, w.addresses ? w.addresses : "no such name");
}

static void fake_run(void *arg, const char *const *argv, struct reactor_host_ask *ask)
{
    char name[64];

    (void)snprintf(name, sizeof name, "%s %s", argv[0], argv[1]);
    for (uint32_t i = 0; i < w.tools_n; i++) {
        if (strcmp(w.tools[i].name, name) == 0) {
            told_later(ask, w.tools[i].exit_code ? KR_E_IO : 0, w.tools[i].exit_code,
                       w.tools[i].text);
            return;
        }
    }
    told_later(ask, KR_E_IO, -1, "");
}

static void fake_cancel(void *arg, struct reactor_host_ask *ask)
{
}

static bool tell(void)
{
    uint32_t n = w.told_n;

    w.told_n = 0;
    for (uint32_t i = 0; i < n; i++)
        w.told[i]->on_done(w.told[i]);
    return n > 0;
}

static const struct reactor_host_ops host_ops = {fake_resolve, fake_run, fake_cancel};

/* Answers what can be answered; else lets the time pass until the next timer. */
static void play(struct kube_client *client)
{
    for (int i = 0; i < 10000 && !(w.done && kube_client_busy_n(client) == 0); i++) {
        bool moved = tell();

        for (struct kr_link *l = w.open.next; l != &w.open;) {
            struct kube_exchange *x = KR_OWNER(l, struct kube_exchange, link);

            l = l->next;
            moved = answer(x) || moved;
        }
        kube_client_turn(client);
        if (moved || kube_timers_due(&w.timers) == UINT64_MAX)
            continue;
        w.now_ms = kube_timers_due(&w.timers) > w.now_ms ? kube_timers_due(&w.timers) : w.now_ms;
        kube_timers_run(&w.timers, w.now_ms);
    }
    assert_true(w.done);
}

static void on_done(void *arg)
{
    assert_false(w.done);
    w.done = true;
}

/* --- fixture ---------------------------------------------------------------------------------- */

static void setup(void)
{
    w = (struct world){.transport = {&transport_ops},
                       .clock = {&clock_ops},
                       .denied = "delete (path)",
                       .host = {.ops = &host_ops,
                                .files_max = 65536,
                                .watches_max = -1,
                                .instances_max = -1,
                                .memory_max_bytes = -1,
                                .disk_free_bytes = -1},
                       .opts = {.namespace = "kro-system", .version = "v1.2.3"},
                       .addresses = "10.0.0.1\n",
                       .version = "HTTP/2 200",
                       .server = "https://api.test:6443",
                       .level = "low",
                       .own_crds = true};
    kr_link_init(&w.open);
}

static void route(const char *path, int status, const char *body)
{
    w.routes[w.routes_n++] = (struct route){path, status, body};
}

/* Runs all checks with the routes so far and the healthy ones behind them. The report lives until
 * the next call. */
static const char *report(bool json, enum reactor_verdict verdict)
{
    static struct kr_buf out = KR_BUF(REACTOR_CHECKS_TEXT_MAX);
    struct kube_client_opts client_opts = {.user_agent = "kro-doctor/test"};
    struct kube_client *client = kube_client_new(&w.transport, &w.clock, &client_opts);
    struct reactor_doctor *d;
    static char text[64 * 1024];

    w.opts.client = client;
    w.opts.host = &w.host;
    w.opts.done = on_done;
    d = reactor_doctor_new(&w.opts);
    play(client);
    assert_int_equal(w.asked_n, w.ended_n);
    assert_true(w.now_ms <= REACTOR_CHECK_MAX_MS + REACTOR_CLEAN_MS);
    assert_int_equal(reactor_doctor_verdict(d), verdict);
    kr_buf_reset(&out);
    reactor_doctor_print(d, json, &out);
    (void)snprintf(text, sizeof(text), "%s", out.s);
    kr_buf_fini(&out);
    reactor_doctor_free(d);
    kube_client_free(client);
    kube_timers_fini(&w.timers);
    kr_arena_fini(&w.arena);
    return text;
}

/* The line of one check, without newline. */
static const char *line_of(const char *text, const char *id)
{
    static char line[8192];
    kr_str rest = kr_str_c(text);

    while (rest.s) {
        kr_str one = kr_str_cut(&rest, '\n');

        if (one.n > 9 && memcmp(one.s + 6, id, 3) == 0) {
            (void)snprintf(line, sizeof(line), KR_FMT, KR_ARG(one));
            return line;
        }
    }
    return "";
}

/* That check, and K01. */
static void expect_line(const char *id, enum reactor_verdict verdict, const char *line)
{
    char only[16];

    (void)snprintf(only, sizeof only, "K01,%s", id);
    w.opts.only = only;
    EXPECT_TEXT(line_of(report(false, verdict), id), line);
}

/* --- tests ------------------------------------------------------------------------------------ */

TEST(doctor, a_healthy_cluster_passes)
{
    kr_str rest;
    uint32_t n = 0;

    setup();
    rest = kr_str_c(report(false, REACTOR_PASS));
    while (rest.s) {
        kr_str line = kr_str_cut(&rest, '\n');

        assert_true(line.n == 0 || kr_str_starts(line, KR_S("PASS  ")));
        assert_true(kr_str_find(line, KR_S(" -> ")) < 0);
        n += line.n > 0;
    }
    assert_int_equal(n, CHECKS_N);
}

TEST(doctor, json_says_the_same)
{
    struct kr_arena a = {0};
    kr_val v;

    setup();
    route("/version", 200,
          "{\"major\":\"1\",\"minor\":\"28+\",\"gitVersion\":\"v1.28.0-\\\"x\\\"\"}");
    v = test_json(&a, report(true, REACTOR_FAIL));
    assert_true(kr_is_str(kr_at(v, "verdict"), KR_S("FAIL")));
    assert_int_equal(kr_at(v, "checks").n, CHECKS_N);
    v = kr_item(kr_at(v, "checks"), 1);
    assert_true(kr_is_str(kr_at(v, "id"), KR_S("K02")));
    assert_true(kr_is_str(kr_at(v, "finding"), KR_S("v1.28.0-\"x\" is older than 1.29")));
    assert_true(kr_is_str(kr_at(v, "fix"), KR_S("upgrade the cluster to 1.32 or newer")));
    kr_arena_fini(&a);
}

TEST(doctor, a_refused_connection_is_said_once)
{
    const char *text;

    setup();
    route("/", REFUSED, NULL);
    w.host.proxy = "proxy.test:3128";
    text = report(false, REACTOR_FAIL);
    EXPECT_TEXT(
        line_of(text, "K01"),
        "FAIL  K01  https://api.test:6443: connection refused; the environment names the proxy "
        "proxy.test:3128 -> check address, network and proxy: kubectl config view --minify; "
        "kubectl get "
        "--raw /readyz");
    assert_null(strstr(strstr(text, "FAIL") + 4, "FAIL"));
    EXPECT_TEXT(line_of(text, "K02"),
                "WARN  K02  not checked: no API server (K01) -> mend K01 first");
    EXPECT_TEXT(line_of(text, "R02"),
                "WARN  R02  not checked: no API server (K01) -> mend K01 first");
    EXPECT_TEXT(line_of(text, "S01"), "PASS  S01  65536 open files");
}

#define SCHEME_CURE                                                                                \
    " kubectl config set-cluster \"$(kubectl config view --minify -o "                             \
    "jsonpath='{.contexts[0].context.cluster}')\" --server="

TEST(doctor, http_and_https_are_not_mixed_up)
{
    setup();
    w.server = "http://api.test:6443";
    route("/", 400, "Client sent an HTTP request to an HTTPS server.\n");
    expect_line("K01", REACTOR_FAIL,
                "FAIL  K01  http://api.test:6443 speaks TLS, and the address says http:// -> if it "
                "speaks TLS:" SCHEME_CURE "https://api.test:6443");
    setup();
    w.server = "http://api.test:6443";
    w.broken = "the connection broke before the response";
    route("/", REFUSED, NULL);
    expect_line("K01", REACTOR_FAIL,
                "FAIL  K01  the connection broke before the response -> if it speaks "
                "TLS:" SCHEME_CURE "https://api.test:6443");
    setup();
    w.broken = "connect to https://api.test:6443: the server does not speak TLS there";
    route("/", REFUSED, NULL);
    expect_line("K01", REACTOR_FAIL,
                "FAIL  K01  connect to https://api.test:6443: the server does not speak TLS there "
                "-> if it speaks none:" SCHEME_CURE "http://api.test:6443");
    setup();
    w.server = "http://api.test:6443";
    route("/", REFUSED, NULL);
    assert_null(strstr(line_of(report(false, REACTOR_FAIL), "K01"), "set-cluster"));
}

TEST(doctor, what_does_not_connect_has_the_fix_of_its_cause)
{
    static const struct {
        const char *broken, *fix;
    } cases[] = {
        {"SSL certificate problem: self-signed certificate",
         " -> take this cluster's kubeconfig anew"},
        {"connect to https://x: connection refused", " -> start the cluster"},
        {"connect to https://x: the host's name does not resolve", " -> look at K03"},
        {"the connection broke before the response", " -> check address, network and proxy"},
    };

    for (size_t i = 0; i < KR_N(cases); i++) {
        setup();
        w.broken = cases[i].broken;
        route("/", REFUSED, NULL);
        assert_non_null(strstr(line_of(report(false, REACTOR_FAIL), "K01"), cases[i].fix));
    }
}

TEST(doctor, silence_ends_at_the_limit)
{
    setup();
    route("/", SILENT, NULL);
    expect_line("K01", REACTOR_FAIL,
                "FAIL  K01  no answer from https://api.test:6443 within 2 s -> check address, "
                "network and proxy: "
                "kubectl config view --minify; kubectl get --raw /readyz");
    assert_int_equal(w.now_ms, REACTOR_CHECK_MS);
}

TEST(doctor, one_silent_request_does_not_hold_the_others)
{
    const char *text;

    setup();
    route("/apis/apps/v1/deployments", SILENT, NULL);
    text = report(false, REACTOR_FAIL);
    EXPECT_TEXT(line_of(text, "K02"), "PASS  K02  v1.36.3");
    EXPECT_TEXT(line_of(text, "I03"),
                "FAIL  I03  no answer within 2 s -> kubectl get --raw /readyz?verbose");
    assert_int_equal(w.now_ms, REACTOR_CHECK_MS);
}

TEST(doctor, everything_silent_ends_within_the_limits)
{
    setup();
    w.opts.round_trip = true;
    w.host.service_host = "10.0.0.1";
    route("/", SILENT, NULL);
    report(false, REACTOR_FAIL);
    assert_true(w.now_ms <= REACTOR_CHECK_MAX_MS + REACTOR_CLEAN_MS);
}

TEST(doctor, a_server_that_is_not_ready_names_its_parts)
{
    setup();
    route("/readyz", 500,
          "[+]ping ok\n[-]etcd failed: reason withheld\n[+]log ok\nreadyz check failed\n");
    expect_line("K01", REACTOR_FAIL,
                "FAIL  K01  https://api.test:6443 is not ready (500); etcd failed: reason "
                "withheld -> kubectl get --raw /readyz?verbose");
}

TEST(doctor, bad_credentials)
{
    setup();
    route("/readyz", 401, "{}");
    expect_line("K01", REACTOR_FAIL,
                "FAIL  K01  https://api.test:6443 does not accept our credentials (401) -> "
                "renew them: kubectl auth whoami");
}

TEST(doctor, an_old_version_a_new_one_and_none)
{
    setup();
    route("/version", 200, "{\"major\":\"1\",\"minor\":\"30\",\"gitVersion\":\"v1.30.2\"}");
    expect_line("K02", REACTOR_WARN,
                "WARN  K02  v1.30.2 has no selectable fields of CRDs by default (1.32 has) -> "
                "upgrade the cluster to 1.32 or newer");
    setup();
    route("/version", 200, "{\"major\":\"1\",\"minor\":\"99\",\"gitVersion\":\"v1.99.0\"}");
    expect_line("K02", REACTOR_WARN,
                "WARN  K02  v1.99.0 is newer than what this version was tested with (1.36) -> "
                "look for a newer kroc");
    setup();
    route("/version", 200, "[1,2]");
    expect_line("K02", REACTOR_FAIL,
                "FAIL  K02  /version of https://api.test:6443 names no version: is it a "
                "Kubernetes API server? -> kubectl version");
    setup();
    route("/version", 200, "<html>");
    w.opts.only = "K02";
    assert_non_null(strstr(report(false, REACTOR_FAIL), "FAIL  K02  get /version: "));
}

#define CRD "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"

TEST(doctor, crds_that_are_missing_or_refused)
{
    setup();
    route(CRD "graphrevisions", 404,
          "{\"kind\":\"Status\",\"reason\":\"NotFound\",\"code\":404,\"message\":\"not found\"}");
    expect_line(
        "C01", REACTOR_FAIL,
        "FAIL  C01  graphrevisions.internal.kro.run is not installed -> kroc crds | kubectl "
        "apply --server-side --force-conflicts -f -");
    setup();
    route(CRD "resource", 200,
          "{\"status\":{\"conditions\":[{\"type\":\"NamesAccepted\",\"status\":\"False\","
          "\"message\":\"\\\"rgd\\\" "
          "is\\nin use\"}]}}");
    expect_line("C01", REACTOR_FAIL,
                "FAIL  C01  resourcegraphdefinitions.kro.run is not NamesAccepted: \"rgd\" is in "
                "use -> kubectl describe crd resourcegraphdefinitions.kro.run");
    setup();
    route(CRD "resource", 200, "{\"status\":null}");
    expect_line("C01", REACTOR_FAIL,
                "FAIL  C01  resourcegraphdefinitions.kro.run is not NamesAccepted -> kubectl "
                "describe crd resourcegraphdefinitions.kro.run");
    setup();
    route(CRD "resource", 200, "{\"metadata\":{\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"}}");
    expect_line("C01", REACTOR_FAIL,
                "FAIL  C01  resourcegraphdefinitions.kro.run is being deleted -> kubectl get crd "
                "resourcegraphdefinitions.kro.run -o jsonpath='{.status.conditions}'");
}

TEST(doctor, crds_that_may_not_be_read)
{
    setup();
    route(CRD, 403, "{\"kind\":\"Status\",\"reason\":\"Forbidden\",\"message\":\"no\"}");
    expect_line(
        "C01", REACTOR_WARN,
        "WARN  C01  not allowed to get customresourcedefinitions; not allowed to get "
        "customresourcedefinitions -> ask as somebody who may get customresourcedefinitions");
}

TEST(doctor, missing_rights_are_named)
{
    setup();
    w.denied = "patch resourcegraphdefinitions,update resourcegraphdefinitions,patch "
               "graphrevisions/status";
    expect_line(
        "R01", REACTOR_FAIL,
        "FAIL  R01  missing: patch,update resourcegraphdefinitions of kro.run; missing: patch "
        "graphrevisions/status of internal.kro.run -> kubectl apply -f "
        "deploy/kustomize/standalone/rbac.yaml, or helm upgrade");
    setup();
    w.denied = "list leases,watch leases,create leases,patch leases,create events";
    expect_line("R01", REACTOR_WARN,
                "WARN  R01  missing: create events, needed for Events; missing: "
                "list,watch,create,patch leases of coordination.k8s.io, needed for leader election "
                "-> kubectl apply -f "
                "deploy/kustomize/standalone/rbac.yaml, or helm upgrade");
    setup();
    route("/apis/authorization.k8s.io", 403,
          "{\"kind\":\"Status\",\"reason\":\"Forbidden\",\"message\":\"no\"}");
    expect_line("R01", REACTOR_WARN,
                "WARN  R01  not allowed to ask which rights the controller has -> ask as somebody "
                "who may ask "
                "which rights the controller has");
    setup();
    route("/apis/apps", 403, "{\"kind\":\"Status\",\"reason\":\"Forbidden\",\"message\":\"no\"}");
    expect_line(
        "I03", REACTOR_WARN,
        "WARN  I03  not allowed to list deployments -> ask as somebody who may list deployments");
}

TEST(doctor, two_controllers)
{
    setup();
    route("/apis/apps/v1/deployments", 200,
          ITEMS(DEPLOYMENT("kro-system", "kroc", "kroc", "1") "," DEPLOYMENT(
              "old", "kro", "kro", "1") "," DEPLOYMENT("older", "kro", "kro", "0")));
    expect_line("I03", REACTOR_FAIL,
                "FAIL  I03  2 controllers work on the same definitions; kro-system/kroc; old/kro "
                "-> kubectl -n old scale deployment kro --replicas=0");
    setup();
    route("/apis/apps/v1/deployments", 200, ITEMS(DEPLOYMENT("kro-system", "kroc", "kroc", "2")));
    expect_line("I03", REACTOR_FAIL,
                "FAIL  I03  kro-system/kroc has 2 replicas and no --leader-elect -> kubectl -n "
                "kro-system scale "
                "deployment kroc --replicas=1, or use deploy/kustomize/ha");
    setup();
    route("/apis/apps/v1/deployments", 200, ITEMS(DEPLOYMENT("kro-system", "kro", "kro", "2")));
    expect_line("I03", REACTOR_WARN,
                "WARN  I03  kro-system/kro (kro) runs; kroc must not start beside it -> kubectl "
                "-n kro-system scale deployment kro --replicas=0");
    setup();
    route("/apis/apps/v1/deployments", 200, ITEMS(""));
    expect_line("I03", REACTOR_PASS, "PASS  I03  no other is seen");
}

TEST(doctor, replicas_elect_a_leader_by_either_flag)
{
    static const struct {
        const char *args;
        bool elects;
    } cases[] = {{"\"--leader-elect\"", true},
                 {"\"-leader-elect=true\"", true},
                 {"\"--leader-elect=false\"", false},
                 {"\"--leader-elect=false\",\"--shards=2\"", true},
                 {"\"--shards\",\"3\"", true},
                 {"\"--shards=0\"", false},
                 {"\"--leader-election-namespace=x\"", false}};
    char body[1024];

    for (size_t i = 0; i < KR_N(cases); i++) {
        (void)snprintf(
            body, sizeof body,
            ITEMS("{\"metadata\":{\"namespace\":\"kro-system\",\"name\":\"kroc\","
                  "\"labels\":{\"app.kubernetes.io/name\":\"kroc\"}},\"spec\":{"
                  "\"replicas\":2,\"template\":{\"spec\":{\"containers\":[{\"args\":[%s]}"
                  "]}}}}"),
            cases[i].args);
        setup();
        w.opts.only = "I03";
        route("/apis/apps/v1/deployments", 200, body);
        (void)report(false, cases[i].elects ? REACTOR_PASS : REACTOR_FAIL);
    }
}

/* nameOverride, kept from kro's chart: the container has the chart's name all the same. */
TEST(doctor, kroc_is_known_under_another_name)
{
    setup();
    route("/apis/apps/v1/deployments", 200,
          ITEMS("{\"metadata\":{\"namespace\":\"kro-system\",\"name\":\"platform\",\"labels\":{"
                "\"app.kubernetes.io/name\":\"platform\"}},\"spec\":{\"replicas\":1,\"template\":{"
                "\"spec\":{\"containers\":[{\"name\":\"kroc\"}]}}}}"));
    expect_line("I03", REACTOR_PASS, "PASS  I03  one: kro-system/platform");
}

#define QUOTA(hard, used)                                                                          \
    ITEMS("{\"metadata\":{\"name\":\"q\"},\"status\":{\"hard\":{" hard "},\"used\":{" used "}}}")

TEST(doctor, a_quota_that_leaves_too_little)
{
    static const struct {
        const char *quota, *line;
    } cases[] = {
        {QUOTA("\"pods\":\"3\"", "\"pods\":\"3\""),
         "FAIL  W02  the quota q lets no further pod into kro-system"},
        {QUOTA("\"requests.memory\":\"1Gi\"", "\"requests.memory\":\"1000Mi\""),
         "FAIL  W02  the quota q leaves 24 MiB for requests.memory, and the shipped pod asks for "
         "32"},
        {QUOTA("\"limits.memory\":\"1Gi\"", "\"limits.memory\":\"600Mi\""),
         "FAIL  W02  the quota q leaves 424 MiB for limits.memory, and the shipped pod asks for "
         "512"},
        {QUOTA("\"memory\":\"16Mi\"", ""),
         "FAIL  W02  the quota q leaves 16 MiB for memory, and the shipped pod asks for 32 MiB"},
        {QUOTA("\"requests.memory\":\"1Gi\"", "\"requests.memory\":\"256Mi\""), NULL},
    };

    for (size_t i = 0; i < KR_N(cases); i++) {
        const char *text;

        setup();
        w.opts.only = "W02";
        route("/api/v1/namespaces/kro-system/resourcequotas", 200, cases[i].quota);
        text = report(false, cases[i].line ? REACTOR_FAIL : REACTOR_PASS);
        if (cases[i].line)
            assert_int_equal(strncmp(text, cases[i].line, strlen(cases[i].line)), 0);
    }
}

TEST(doctor, a_lease_shows_a_controller_that_no_deployment_does)
{
    char now[KR_TIME_TEXT_MAX], old[KR_TIME_TEXT_MAX], body[2048];

    now[kr_time_text(NOW_S - 3, 0, now)] = '\0';
    old[kr_time_text(NOW_S - 16, 0, old)] = '\0';
    (void)snprintf(body, sizeof(body),
                   ITEMS("{\"metadata\":{\"namespace\":\"%s\"},\"spec\":{\"holderIdentity\":\"%s\","
                         "\"leaseDurationSeconds\":15,\"renewTime\":\"%s\"}}"),
                   "other", "laptop_1", now);
    setup();
    route("/apis/coordination.k8s.io", 200, body);
    expect_line("I03", REACTOR_FAIL,
                "FAIL  I03  \"laptop_1\" holds the lease other/controller.kro.run; 2 controllers "
                "work on the same "
                "definitions; kro-system/kroc -> end that controller: kubectl -n other get lease "
                "controller.kro.run -o yaml");
    (void)snprintf(body, sizeof(body), ITEMS(LEASE("kro-system", "kroc-7c9f-x2x_uuid", "%s")), now);
    setup();
    route("/apis/coordination.k8s.io", 200, body);
    expect_line("I03", REACTOR_PASS, "PASS  I03  one: kro-system/kroc");
    setup();
    route(
        "/apis/coordination.k8s.io/v1/leases?limit=500&labelSelector", 200,
        ITEMS(
            "{\"metadata\":{\"namespace\":\"kro-system\",\"name\":\"shard-0.controller.kro.run\"},"
            "\"spec\":{\"holderIdentity\":\"x\",\"leaseDurationSeconds\":86400}}"));
    expect_line("I03", REACTOR_WARN,
                "WARN  I03  the lease kro-system/shard-0.controller.kro.run lasts 86400 s: without "
                "its holder nobody works for so long -> once its holder is gone: kubectl -n "
                "kro-system patch lease shard-0.controller.kro.run --type merge -p "
                "'{\"spec\":{\"holderIdentity\":\"\"}}'");
    (void)snprintf(body, sizeof(body), ITEMS(LEASE("other", "gone_1", "%s")), old);
    setup();
    route("/apis/coordination.k8s.io", 200, body);
    expect_line("I03", REACTOR_PASS, "PASS  I03  one: kro-system/kroc");
}

#define RGD_OF(name, kind)                                                                         \
    "{\"metadata\":{\"name\":\"" name "\"},\"spec\":{\"schema\":{\"apiVersion\":\"v1alpha1\","     \
    "\"kind\":\"" kind "\"},\"resources\":[{\"id\":\"map\",\"template\":{\"apiVersion\":\"v1\","   \
    "\"kind\":\"ConfigMap\"}}]}}"
#define CRD_OF(name, rgd)                                                                          \
    "{\"metadata\":{\"name\":\"" name "\",\"labels\":{\"kro.run/owned\":\"true\","                 \
    "\"kro.run/resource-graph-definition-name\":\"" rgd "\"}}}"
#define RESOURCE(group, version, resource, kind)                                                   \
    "{\"resource\":\"" resource "\",\"responseKind\":{\"group\":\"" group                          \
    "\",\"version\":\"" version "\",\"kind\":\"" kind                                              \
    "\"},\"scope\":\"Namespaced\",\"verbs\":[\"list\"]}"
#define GROUP(group, version, resources)                                                           \
    "{\"kind\":\"APIGroupDiscoveryList\",\"apiVersion\":\"apidiscovery.k8s.io/v2\",\"items\":[{"   \
    "\"metadata\":{\"name\":\"" group "\"},\"versions\":[{\"version\":\"" version                  \
    "\",\"resources\":[" resources "]}]}]}"
#define OF_SET(name, key, id)                                                                      \
    "{\"metadata\":{\"namespace\":\"default\",\"name\":\"" name                                    \
    "\",\"labels\":{\"applyset.kubernetes.io/" key "\":\"" id "\"}}}"

static void two_kinds(const char *rgds, const char *parents, const char *children)
{
    setup();
    w.opts.only = "G03";
    route("/apis/kro.run/v1alpha1/resourcegraphdefinitions", 200, rgds);
    route("/apis/apiextensions.k8s.io/v1/customresourcedefinitions?", 200,
          ITEMS(CRD_OF("olds.kro.run", "old") "," CRD_OF("news.kro.run", "new")));
    route("/apis/kro.run/v1alpha1/olds", 200, parents);
    route("/apis/kro.run/v1alpha1/news", 200, ITEMS(""));
    route("/api/v1/configmaps", 200, children);
    route("/apis", 200,
          GROUP("kro.run", "v1alpha1",
                RESOURCE("kro.run", "v1alpha1", "olds", "Old") "," RESOURCE("kro.run", "v1alpha1",
                                                                            "news", "New")));
    route("/api", 200, GROUP("", "v1", RESOURCE("", "v1", "configmaps", "ConfigMap")));
}

/* A fix that says "delete" must not be wrong. */
TEST(doctor, children_of_an_instance_without_definition_are_no_orphans)
{
    two_kinds(ITEMS(RGD_OF("new", "New")), ITEMS(OF_SET("i", "id", "applyset-1")),
              ITEMS(OF_SET("kept", "part-of", "applyset-1")));
    EXPECT_TEXT(report(false, REACTOR_PASS),
                "PASS  G03  no object belongs to an instance that is gone\n");
    two_kinds(ITEMS(RGD_OF("new", "New")), ITEMS(""),
              ITEMS(OF_SET("left", "part-of", "applyset-1")));
    EXPECT_TEXT(report(false, REACTOR_WARN),
                "WARN  G03  configmaps default/left belongs to no instance that is there -> if "
                "nobody needs it: kubectl -n default delete configmaps left\n");
}

TEST(doctor, where_not_all_is_known_that_is_said)
{
    static const char more[] =
        "{\"metadata\":{\"continue\":\"x\"},\"items\":[" RGD_OF("new", "New") "]}";

    two_kinds(more, ITEMS(""), ITEMS(OF_SET("kept", "part-of", "applyset-1")));
    EXPECT_TEXT(report(false, REACTOR_PASS),
                "PASS  G03  not looked at: not all kinds of instances are known; there are more "
                "resourcegraphdefinitions: only the first were looked at\n");
    two_kinds(more, ITEMS(""), ITEMS(""));
    w.opts.only = "C03,G02";
    EXPECT_TEXT(report(false, REACTOR_PASS),
                "PASS  C03  1 definitions, each with a kind of its own; there are more "
                "resourcegraphdefinitions: only the first were looked at\n"
                "PASS  G02  not looked at: not all definitions are known; there are more "
                "resourcegraphdefinitions: only the first were looked at\n");
    two_kinds(ITEMS(RGD_OF("new", "New")), ITEMS(""),
              "{\"metadata\":{\"continue\":\"x\"},\"items\":[]}");
    EXPECT_TEXT(report(false, REACTOR_PASS), "PASS  G03  no object belongs to an instance that is "
                                             "gone; 1 lists are longer: only their beginning was "
                                             "looked at\n");
}

TEST(doctor, a_crd_of_a_definition_that_is_gone_can_be_given_to_another)
{
    two_kinds(ITEMS(RGD_OF("mine", "New")), ITEMS(""), ITEMS(""));
    w.opts.only = "C03";
    EXPECT_TEXT(report(false, REACTOR_FAIL),
                "FAIL  C03  news.kro.run belongs to the definition new, which is gone, not to mine "
                "-> give it to the new one: kubectl label crd news.kro.run --overwrite "
                "kro.run/resource-graph-definition-name=mine\n");
    two_kinds(ITEMS(RGD_OF("mine", "New") "," RGD_OF("new", "Other")), ITEMS(""), ITEMS(""));
    w.opts.only = "C03";
    EXPECT_TEXT(report(false, REACTOR_FAIL),
                "FAIL  C03  news.kro.run belongs to the definition new, not to mine -> kubectl get "
                "rgd; kubectl get crd news.kro.run --show-labels\n");
}

TEST(doctor, names_do_not_get_into_the_shell)
{
    setup();
    route("/apis/apps/v1/deployments", 200, ITEMS(DEPLOYMENT("a;reboot", "$(x)", "kroc", "2")));
    expect_line("I03", REACTOR_FAIL,
                "FAIL  I03  a;reboot/$(x) has 2 replicas and no --leader-elect -> kubectl -n ? "
                "scale deployment ? "
                "--replicas=1, or use deploy/kustomize/ha");
}

TEST(doctor, answers_of_other_shapes_do_no_harm)
{
    static const char *const bodies[] = {
        "null",
        "[]",
        "\"x\"",
        "{\"items\":{}}",
        "{\"items\":[null,1,[],{\"metadata\":3,\"spec\":\"x\"}]}",
        "{\"status\":{\"conditions\":{\"a\":1},\"allowed\":\"yes\"},\"major\":7,\"minor\":[]}",
        "",
        "{",
        "\xff\xfe"};

    for (size_t i = 0; i < KR_N(bodies); i++) {
        setup();
        route("/", 200, bodies[i]);
        assert_non_null(strstr(report(false, REACTOR_FAIL), "PASS  K01"));
    }
}

/* --- the way and the machine ------------------------------------------------------------------- */

TEST(doctor, names_are_resolved)
{
    setup();
    expect_line("K03", REACTOR_PASS, "PASS  K03  api.test is 10.0.0.1");
    setup();
    w.host.service_host = "10.0.0.1";
    w.addresses = NULL;
    expect_line("K03", REACTOR_FAIL,
                "FAIL  K03  kubernetes.default.svc is not resolved: no such name -> kubectl -n "
                "kube-system get pods "
                "-l k8s-app=kube-dns; look at /etc/resolv.conf of the pod (search, ndots) and at "
                "NetworkPolicies that "
                "stop port 53");
}

TEST(doctor, a_pod_has_an_account)
{
    setup();
    w.host.service_host = "10.0.0.1";
    w.host.service_port = "443";
    expect_line("K04", REACTOR_PASS, "PASS  K04  address, token and CA are there");
    setup();
    w.host.service_host = "10.0.0.1";
    w.host.token_rc = w.host.ca_rc = KR_E_INPUT;
    expect_line("K04", REACTOR_FAIL,
                "FAIL  K04  KUBERNETES_SERVICE_PORT is not set; there is no token of a service "
                "account; there is no CA "
                "certificate of the service account -> set automountServiceAccountToken: true in "
                "the pod and its "
                "ServiceAccount, and leave enableServiceLinks on");
    setup();
    w.host.service_host = "10.0.0.1";
    w.host.service_port = "443";
    w.host.token_ends_s = NOW_S - 60;
    expect_line("K04", REACTOR_FAIL,
                "FAIL  K04  the token has expired 60 s ago -> delete the pod, so that it gets a "
                "new one; check the "
                "clock of the node (S02)");
}

TEST(doctor, a_watch_that_is_held_back)
{
    setup();
    route("/api/v1/namespaces?watch", SILENT, NULL);
    w.opts.only = "K01,K07";
    assert_non_null(strstr(report(false, REACTOR_FAIL), "FAIL  K07  "));
}

TEST(doctor, what_the_way_is_like)
{
    setup();
    expect_line("K08", REACTOR_PASS, "PASS  K08  HTTP/2");
    setup();
    w.version = "HTTP/1.1 200 OK";
    w.via = "1.1 squid";
    expect_line("K08", REACTOR_WARN,
                "WARN  K08  HTTP/1.1, through the proxy 1.1 squid; each watch needs a connection "
                "of its own -> let the "
                "load balancer before the API server pass TCP, or speak HTTP/2");
}

TEST(doctor, the_last_priority_level)
{
    setup();
    expect_line("K09", REACTOR_PASS,
                "PASS  K09  our requests have the priority level workload-low");
    setup();
    w.level = "all";
    expect_line("K09", REACTOR_WARN,
                "WARN  K09  our requests have the priority level catch-all -> kubectl get "
                "flowschemas: add one for the "
                "controller's service account, with the priority level workload-high");
    setup();
    w.level = NULL;
    expect_line("K09", REACTOR_PASS, "PASS  K09  the server has no priorities");
}

TEST(doctor, a_clock_that_is_off)
{
    setup();
    w.date_off_s = 90;
    expect_line("S02", REACTOR_WARN,
                "WARN  S02  our clock is 90 s behind the server's: tokens and leases suffer -> "
                "sudo timedatectl "
                "set-ntp true (on both machines)");
    setup();
    w.date_off_s = -5;
    expect_line("S02", REACTOR_PASS, "PASS  S02  within 5 s of the server's");
}

TEST(doctor, limits_of_the_machine)
{
    setup();
    w.host.files_max = 256;
    w.host.memory_max_bytes = 16 << 20;
    expect_line("S01", REACTOR_FAIL,
                "FAIL  S01  256 open files are allowed, 1024 are needed; the memory limit is 16 "
                "MiB, 32 are needed -> "
                "ulimit -n 65536");
    setup();
    w.opts.kind = "kroc";
    w.host.watches_max = 8192;
    w.host.instances_max = 128;
    expect_line("S01", REACTOR_WARN,
                "WARN  S01  inotify has 8192 watches and 128 instances a user: nodes of kind run "
                "out -> sudo sysctl "
                "fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512");
}

/* A file below a folder of our own that stands for "/", with the folders on the way to it. */
static void host_file(const char *root, const char *path, const char *text)
{
    char at[512];
    FILE *f;

    (void)snprintf(at, sizeof at, "%s%s", root, path);
    for (char *slash = at + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        assert_true(mkdir(at, 0700) == 0 || errno == EEXIST);
        *slash = '/';
    }
    assert_non_null(f = fopen(at, "w"));
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

struct cgroup_file {
    const char *path, *text;
};

/* files[0] is /proc/self/cgroup, the others are below /sys/fs/cgroup. */
static void expect_memory_max(int64_t bytes, const char *rows, const struct cgroup_file *files)
{
    char root[] = "/tmp/kroc-doctor-XXXXXX", path[256];

    assert_non_null(mkdtemp(root));
    if (rows != NULL)
        host_file(root, "/proc/self/cgroup", rows);
    for (; files->path != NULL; files++) {
        (void)snprintf(path, sizeof path, "/sys/fs/cgroup%s", files->path);
        host_file(root, path, files->text);
    }
    assert_int_equal(reactor_host_memory_max(root), bytes);
    assert_int_equal(nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

#define FILES(...) ((const struct cgroup_file[]){__VA_ARGS__, {NULL, NULL}})
#define V1 "/memory.limit_in_bytes"
#define V1_NONE "9223372036854771712\n"

TEST(doctor, memory_limit_of_cgroup_version_2)
{
    /* In a pod: a namespace of its own, whose root has the limit. */
    expect_memory_max(32 << 20, "0::/\n", FILES({"/memory.max", "33554432\n"}));
    expect_memory_max(-1, "0::/\n", FILES({"/memory.max", "max\n"}));
    /* A unit of systemd: the root has no such file; the nearest and those above count, siblings do not. */
    expect_memory_max(16 << 20, "0::/system.slice/kroc.service\n",
                      FILES({"/system.slice/kroc.service/memory.max", "max\n"},
                            {"/system.slice/memory.max", "16777216\n"},
                            {"/system.slice/other.service/memory.max", "1024\n"}));
    expect_memory_max(8 << 20, "0::/a/b\n",
                      FILES({"/a/b/memory.max", "8388608\n"}, {"/a/memory.max", "16777216\n"}));
    /* Without a namespace our path is the host's, and what is mounted is ours. */
    expect_memory_max(64 << 20, "0::/kubepods/pod1/c1\n", FILES({"/memory.max", "67108864\n"}));
    expect_memory_max(64 << 20, "0::/../outside\n", FILES({"/memory.max", "67108864\n"}));
}

TEST(doctor, memory_limit_of_cgroup_version_1)
{
    expect_memory_max(
        32 << 20, "4:cpu,memory:/a\n1:name=systemd:/b\n0::/b\n",
        FILES({"/memory/a" V1, "33554432\n"}, {"/memory" V1, V1_NONE}, {"/memory/b" V1, "1024\n"}));
    expect_memory_max(-1, "4:memory:/a\n", FILES({"/memory/a" V1, V1_NONE}));
    expect_memory_max(16 << 20, "4:memory:/docker/x\n", FILES({"/memory" V1, "16777216\n"}));
    /* Controllers whose names only look alike. */
    expect_memory_max(-1, "4:memory2,hugememory:/a\n", FILES({"/memory/a" V1, "1024\n"}));
}

TEST(doctor, memory_limit_that_nobody_tells)
{
    char deep[600] = "0::";
    size_t n = strlen(deep);

    expect_memory_max(-1, NULL, FILES({"/memory.max", "1024\n"}));
    expect_memory_max(-1, "", FILES({"/memory.max", "1024\n"}));
    expect_memory_max(-1, "4\n:\n::::\n0:\n\n", FILES({"/memory/a" V1, "1024\n"}));
    expect_memory_max(-1, "0::/\n", FILES({"/memory.max", "-5\n"}));
    expect_memory_max(-1, "0::/\n", FILES({"/memory.max", "99999999999999999999999\n"}));
    for (; n < 400; n += 2) /* deeper than is looked */
        memcpy(deep + n, "/a", 3);
    expect_memory_max(-1, deep, FILES({"/memory.max", "1024\n"}));
}

TEST(doctor, a_version_that_nobody_knows)
{
    setup();
    w.opts.version = "0.1.0-gabc-dirty";
    expect_line("I02", REACTOR_WARN,
                "WARN  I02  this is 0.1.0-gabc-dirty: built from sources that no commit has -> "
                "build from a commit: "
                "git status; make");
    setup();
    w.opts.version = "";
    expect_line("I02", REACTOR_WARN,
                "WARN  I02  this is unknown: nobody can say what it was built from -> build from a "
                "commit: git status; "
                "make");
}

static void tool(const char *name, int exit_code, const char *text)
{
    w.tools[w.tools_n++] = (struct tool){name, exit_code, text};
}

static void kind_world(void)
{
    setup();
    w.opts.kind = "kroc";
    w.opts.context = "kind-kroc";
    w.host.disk_free_bytes = INT64_C(100) << 30;
}

TEST(doctor, kind_and_its_engine)
{
    kind_world();
    tool("kind get", 0, "other\nkroc\n");
    tool("docker info", 0, "Server\n");
    expect_line("D01", REACTOR_PASS, "PASS  D01  engine and cluster kroc are there");
    kind_world();
    tool("kind get", 0, "No kind clusters found.\n");
    tool("docker info", 1, "ERROR\nCannot connect to the Docker daemon\n");
    w.opts.context = "production";
    w.host.disk_free_bytes = 1 << 30;
    expect_line("D01", REACTOR_FAIL,
                "FAIL  D01  docker does not run: Cannot connect to the Docker daemon; kind has no "
                "cluster kroc; the "
                "context is \"production\", not kind-kroc; 1024 MiB of disk are free, 5 GiB are "
                "wanted -> sudo systemctl "
                "start docker");
    kind_world();
    tool("podman info", 0, "host\n");
    route("/api/v1/nodes", 200,
          ITEMS("{\"metadata\":{\"name\":\"n1\"},\"status\":{\"conditions\":[{\"type\":\"Ready\","
                "\"status\":\"False\","
                "\"message\":\"no CNI\"}]}}"));
    expect_line("D01", REACTOR_FAIL,
                "FAIL  D01  kind is not installed; node n1 is not ready: no CNI -> install kind: "
                "https://kind.sigs.k8s.io/docs/user/quick-start/#installation");
}

TEST(doctor, versions_of_the_tools)
{
    kind_world();
    tool("kubectl version", 0, "{\"clientVersion\":{\"major\":\"1\",\"minor\":\"35\"}}");
    tool("kind version", 0, "kind v0.29.0 go1.24 linux/amd64\n");
    tool("helm version", 0, "v3.18.0+g1\n");
    expect_line("D02", REACTOR_PASS, "PASS  D02  their versions fit");
    kind_world();
    tool("kubectl version", 0, "{\"clientVersion\":{\"major\":\"1\",\"minor\":\"29+\"}}");
    tool("kind version", 0, "kind v0.11.1 go1.16 linux/amd64\n");
    tool("helm version", 0, "v2.17.0\n");
    expect_line("D02", REACTOR_WARN,
                "WARN  D02  kubectl is 1.29, the server 1.36; kind is 0.11, older than 0.14; helm "
                "is v2.17.0, the chart "
                "needs v3 -> install a kubectl of 1.36: https://kubernetes.io/docs/tasks/tools/");
}

TEST(doctor, a_broken_round_trip_cleans_up)
{
    setup();
    w.opts.round_trip = true;
    route("/api/v1/namespaces", 201, "{}");
    route("/apis/kro.run/v1alpha1/resourcegraphdefinitions", 403,
          "{\"kind\":\"Status\",\"reason\":\"Forbidden\",\"message\":\"no\"}");
    w.opts.only = "D03";
    assert_non_null(
        strstr(report(false, REACTOR_FAIL), "FAIL  D03  a definition cannot be made: "));
    assert_int_equal(w.asked_n, w.ended_n);
    assert_int_equal(w.deletes_n, 4); /* instance, definition, CRD, namespace */
}

#define KRO "/apis/kro.run/v1alpha1"

/* A controller does its part; the API server takes a while to end the CRD. */
static void round_trip_world(void)
{
    setup();
    w.opts.round_trip = true;
    w.opts.only = "D03";
    route(KRO "/resourcegraphdefinitions/", 200, "{\"status\":{\"state\":\"Active\"}}");
    route(KRO "/resourcegraphdefinitions", 201, "{}");
    route(KRO "/namespaces/", 200, "{\"status\":{\"state\":\"ACTIVE\"}}");
    route(CRD "krocdoctor", 200, "{}");
    route("/api/v1/namespaces", 201, "{}");
    w.lingers = CRD "krocdoctor";
}

TEST(doctor, a_round_trip_ends_when_its_crd_is_gone)
{
    round_trip_world();
    w.lingers_n = 3;
    EXPECT_TEXT(report(false, REACTOR_PASS),
                "PASS  D03  definition and instance were ready after 0 ms, and are gone again\n");
    assert_int_equal(w.lingers_n, 0);
    assert_int_equal(w.asked_n, w.ended_n);
}

TEST(doctor, a_round_trip_tells_of_a_crd_that_stays)
{
    round_trip_world();
    w.lingers_n = UINT32_MAX;
    assert_non_null(strstr(report(false, REACTOR_FAIL), "FAIL  D03  its CRD is not deleted: "));
    assert_true(w.now_ms <= REACTOR_CHECK_MAX_MS + REACTOR_CLEAN_MS);
}

TEST(doctor, what_nobody_wants_is_not_asked)
{
    setup();
    w.opts.only = "I02";
    EXPECT_TEXT(report(false, REACTOR_PASS), "PASS  I02  v1.2.3\n");
    assert_int_equal(w.asked_n, 0);
    setup();
    w.opts.only = "K02";
    EXPECT_TEXT(report(false, REACTOR_PASS), "PASS  K02  v1.36.3\n");
    assert_int_equal(w.asked_n, 1);
}

TEST(doctor, the_page_lists_every_check)
{
    struct kr_arena a = {0};
    struct kr_buf table = KR_BUF_IN(&a, 64 * 1024);
    kr_str page;

    reactor_doctor_page(&table);
    assert_true(test_file(&a, KROC_SOURCE "/docs/doctor.md", &page));
    assert_true(kr_str_find(page, kr_buf_view(&table)) >= 0);
    kr_arena_fini(&a);
}

int main(void)
{
    return RUN(
        T(doctor, what_nobody_wants_is_not_asked), T(doctor, the_page_lists_every_check),
        T(doctor, a_healthy_cluster_passes), T(doctor, json_says_the_same),
        T(doctor, a_refused_connection_is_said_once), T(doctor, silence_ends_at_the_limit),
        T(doctor, one_silent_request_does_not_hold_the_others),
        T(doctor, a_server_that_is_not_ready_names_its_parts), T(doctor, bad_credentials),
        T(doctor, an_old_version_a_new_one_and_none), T(doctor, crds_that_are_missing_or_refused),
        T(doctor, crds_that_may_not_be_read), T(doctor, missing_rights_are_named),
        T(doctor, kroc_is_known_under_another_name), T(doctor, a_quota_that_leaves_too_little),
        T(doctor, what_does_not_connect_has_the_fix_of_its_cause),
        T(doctor, http_and_https_are_not_mixed_up),
        T(doctor, replicas_elect_a_leader_by_either_flag),
        T(doctor, children_of_an_instance_without_definition_are_no_orphans),
        T(doctor, where_not_all_is_known_that_is_said),
        T(doctor, a_crd_of_a_definition_that_is_gone_can_be_given_to_another),
        T(doctor, two_controllers), T(doctor, a_lease_shows_a_controller_that_no_deployment_does),
        T(doctor, names_do_not_get_into_the_shell), T(doctor, answers_of_other_shapes_do_no_harm),
        T(doctor, everything_silent_ends_within_the_limits), T(doctor, names_are_resolved),
        T(doctor, a_pod_has_an_account), T(doctor, a_watch_that_is_held_back),
        T(doctor, what_the_way_is_like), T(doctor, the_last_priority_level),
        T(doctor, a_clock_that_is_off), T(doctor, limits_of_the_machine),
        T(doctor, memory_limit_of_cgroup_version_2), T(doctor, memory_limit_of_cgroup_version_1),
        T(doctor, memory_limit_that_nobody_tells), T(doctor, a_version_that_nobody_knows),
        T(doctor, kind_and_its_engine), T(doctor, versions_of_the_tools),
        T(doctor, a_broken_round_trip_cleans_up), T(doctor, a_round_trip_ends_when_its_crd_is_gone),
        T(doctor, a_round_trip_tells_of_a_crd_that_stays));
}
