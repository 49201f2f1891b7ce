/* SPDX-License-Identifier: Apache-2.0 */
/* doctor_test.c - the checks against answers from a table, over a transport and a clock of our own.
 */
#include "reactor/doctor.h"

#include <stdio.h>

#include "cel/base/time.h"
#include "tests/lib/test.h"

enum { ROUTES_MAX = 16, SILENT = -1, REFUSED = -2 };
#define NOW_S INT64_C(1760000000)

struct route {
    const char *path; /* its head */
    int status;       /* or SILENT, REFUSED */
    const char *body;
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
    uint32_t asked_n, ended_n;
    bool done;
    struct kr_arena arena;
};

static struct world w;

#define CRD_GOOD                                                                                   \
    "{\"status\":{\"conditions\":[{\"type\":\"NamesAccepted\",\"status\":\"True\"},"               \
    "{\"type\":\"Established\",\"status\":\"True\"}]}}"
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
    {"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/", 200, CRD_GOOD},
    {"/apis/apps/v1/deployments", 200, ITEMS(DEPLOYMENT("kro-system", "kroc", "kroc", "1"))},
    {"/apis/coordination.k8s.io/v1/leases", 200, ITEMS("")},
};

/* --- transport and clock ---------------------------------------------------------------------- */

static void start(struct kube_transport *t, struct kube_exchange *x)
{
    w.asked_n++;
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
    return KR_S("https://api.test:6443");
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

static const char *review(kr_str body)
{
    kr_val v = test_json(&w.arena, kr_cstr(&w.arena, body));
    kr_str sub = kr_at_str(v, "spec.resourceAttributes.subresource");
    kr_str what = kr_fmt(&w.arena, KR_FMT " " KR_FMT "%s" KR_FMT,
                         KR_ARG(kr_at_str(v, "spec.resourceAttributes.verb")),
                         KR_ARG(kr_at_str(v, "spec.resourceAttributes.resource")), sub.n ? "/" : "",
                         KR_ARG(sub));
    kr_str denied = kr_str_c(w.denied);

    if (kr_str_is(kr_at_str(v, "spec.resourceAttributes.resource"), "leases"))
        assert_true(kr_is_str(kr_at(v, "spec.resourceAttributes.namespace"), KR_S("kro-system")));
    else
        assert_int_equal(kr_at(v, "spec.resourceAttributes.namespace").kind, KR_NONE);
    while (denied.s) {
        if (kr_str_eq(kr_str_cut(&denied, ','), what))
            return "{\"status\":{\"allowed\":false}}";
    }
    return "{\"status\":{\"allowed\":true}}";
}

static struct route route_of(const struct kube_exchange *x)
{
    for (uint32_t i = 0; i < w.routes_n; i++) {
        if (kr_str_starts(x->path, kr_str_c(w.routes[i].path)))
            return w.routes[i];
    }
    if (kr_str_starts(x->path, KR_S("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")))
        return (struct route){"", 201, review(x->body)};
    return (struct route){
        "", 404, "{\"kind\":\"Status\",\"reason\":\"NotFound\",\"message\":\"not there\"}"};
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
        x->unsent = true;
        x->refused = true;
        end(x, KR_E_IO, "https://api.test:6443: connection refused");
        return true;
    }
    x->on_head(x, r.status, -1);
    if (x->on_bytes(x, r.body, strlen(r.body)))
        end(x, 0, "");
    else
        end(x, KR_E_LIMIT, "stopped");
    return true;
}

/* Answers what can be answered; else lets the time pass until the next timer. */
static void play(struct kube_client *client)
{
    for (int i = 0; i < 10000 && !(w.done && kube_client_busy_n(client) == 0); i++) {
        bool moved = false;

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
    w = (struct world){.transport = {&transport_ops}, .clock = {&clock_ops}, .denied = ""};
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
    struct reactor_doctor_opts opts = {
        .client = client, .namespace = "kro-system", .done = on_done};
    struct reactor_doctor *d;
    static char text[64 * 1024];

    for (size_t i = 0; i < KR_N(healthy); i++)
        w.routes[w.routes_n++] = healthy[i];
    d = reactor_doctor_new(&opts);
    play(client);
    assert_int_equal(w.asked_n, w.ended_n);
    assert_true(w.now_ms <= REACTOR_CHECK_MS);
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

static void expect_line(const char *id, enum reactor_verdict verdict, const char *line)
{
    EXPECT_TEXT(line_of(report(false, verdict), id), line);
}

/* --- tests ------------------------------------------------------------------------------------ */

TEST(doctor, a_healthy_cluster_passes)
{
    setup();
    EXPECT_TEXT(report(false, REACTOR_PASS),
                "PASS  K01  https://api.test:6443 is ready (0 ms)\n"
                "PASS  K02  v1.36.3\n"
                "PASS  C01  resourcegraphdefinitions.kro.run and graphrevisions.internal.kro.run "
                "are established\n"
                "PASS  R01  all rights for definitions, revisions and CRDs\n"
                "PASS  I03  one: kro-system/kroc\n");
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
    assert_int_equal(kr_at(v, "checks").n, 5);
    v = kr_item(kr_at(v, "checks"), 1);
    assert_true(kr_is_str(kr_at(v, "id"), KR_S("K02")));
    assert_true(kr_is_str(kr_at(v, "finding"), KR_S("v1.28.0-\"x\" is older than 1.29")));
    assert_true(kr_is_str(kr_at(v, "fix"), KR_S("upgrade the cluster to 1.32 or newer")));
    kr_arena_fini(&a);
}

TEST(doctor, a_refused_connection_is_said_once)
{
    setup();
    route("/", REFUSED, NULL);
    EXPECT_TEXT(
        report(false, REACTOR_FAIL),
        "FAIL  K01  https://api.test:6443: connection refused -> check address, network and proxy: "
        "kubectl config view --minify; kubectl get --raw /readyz\n"
        "WARN  K02  not checked: no API server (K01)\n"
        "WARN  C01  not checked: no API server (K01)\n"
        "WARN  R01  not checked: no API server (K01)\n"
        "WARN  I03  not checked: no API server (K01)\n");
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
    setup();
    route("/apis/apps/v1/deployments", SILENT, NULL);
    EXPECT_TEXT(report(false, REACTOR_FAIL),
                "PASS  K01  https://api.test:6443 is ready (0 ms)\n"
                "PASS  K02  v1.36.3\n"
                "PASS  C01  resourcegraphdefinitions.kro.run and graphrevisions.internal.kro.run "
                "are established\n"
                "PASS  R01  all rights for definitions, revisions and CRDs\n"
                "FAIL  I03  no answer within 2 s -> kubectl get --raw /readyz?verbose\n");
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
    assert_non_null(strstr(report(false, REACTOR_FAIL), "FAIL  K02  get /version: "));
}

#define CRD "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"

TEST(doctor, crds_that_are_missing_or_refused)
{
    setup();
    route(CRD "graphrevisions", 404,
          "{\"kind\":\"Status\",\"reason\":\"NotFound\",\"code\":404,\"message\":\"not found\"}");
    expect_line("C01", REACTOR_FAIL,
                "FAIL  C01  graphrevisions.internal.kro.run is not installed -> kubectl apply -k "
                "deploy/crds");
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
    expect_line("C01", REACTOR_WARN,
                "WARN  C01  not allowed to read the CRD resourcegraphdefinitions.kro.run; not "
                "allowed to read the "
                "CRD graphrevisions.internal.kro.run -> ask with the rights of the controller, or "
                "grant: get "
                "customresourcedefinitions");
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
        "deploy/kustomize/standalone/rbac.yaml");
    setup();
    w.denied = "create leases,create events";
    expect_line("R01", REACTOR_WARN,
                "WARN  R01  missing: create events, needed for Events; missing: create leases of "
                "coordination.k8s.io, needed for leader election -> kubectl apply -f "
                "deploy/kustomize/standalone/rbac.yaml");
    setup();
    route("/apis/authorization.k8s.io", 403,
          "{\"kind\":\"Status\",\"reason\":\"Forbidden\",\"message\":\"no\"}");
    expect_line("R01", REACTOR_WARN,
                "WARN  R01  not allowed to ask which rights we have -> kubectl auth can-i --list");
    setup();
    route("/apis/apps", 403, "{\"kind\":\"Status\",\"reason\":\"Forbidden\",\"message\":\"no\"}");
    expect_line("I03", REACTOR_WARN,
                "WARN  I03  not allowed to list deployments -> ask as somebody who may list "
                "deployments and leases");
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
                "FAIL  I03  kro-system/kroc has 2 replicas -> kubectl -n kro-system scale "
                "deployment kroc --replicas=1");
    setup();
    route("/apis/apps/v1/deployments", 200, ITEMS(DEPLOYMENT("kro-system", "kro", "kro", "2")));
    expect_line("I03", REACTOR_WARN,
                "WARN  I03  kro-system/kro (kro) runs; kroc must not start beside it -> kubectl "
                "-n kro-system scale deployment kro --replicas=0");
    setup();
    route("/apis/apps/v1/deployments", 200, ITEMS(""));
    expect_line("I03", REACTOR_PASS, "PASS  I03  none is running");
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
    (void)snprintf(body, sizeof(body), ITEMS(LEASE("other", "gone_1", "%s")), old);
    setup();
    route("/apis/coordination.k8s.io", 200, body);
    expect_line("I03", REACTOR_PASS, "PASS  I03  one: kro-system/kroc");
}

TEST(doctor, names_do_not_get_into_the_shell)
{
    setup();
    route("/apis/apps/v1/deployments", 200, ITEMS(DEPLOYMENT("a;reboot", "$(x)", "kroc", "2")));
    expect_line(
        "I03", REACTOR_FAIL,
        "FAIL  I03  a;reboot/$(x) has 2 replicas -> kubectl -n ? scale deployment ? --replicas=1");
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

/* --- the shipped role ------------------------------------------------------------------------- */

static bool list_has(kr_val list, kr_str text)
{
    KR_LIST_EACH (it, list) {
        if (kr_is_str(*it, text))
            return true;
    }
    return false;
}

static bool granted(kr_val role, const struct reactor_right *right, kr_str verb)
{
    KR_LIST_EACH (rule, kr_at(role, "rules")) {
        if (list_has(kr_at(*rule, "apiGroups"), kr_str_c(right->group)) &&
            list_has(kr_at(*rule, "resources"), kr_str_c(right->resource)) &&
            list_has(kr_at(*rule, "verbs"), verb))
            return true;
    }
    return false;
}

TEST(doctor, the_shipped_roles_grant_what_is_asked)
{
    struct kr_arena a = {0};
    struct kr_err err = KR_ERR_NONE;
    uint32_t n;
    const struct reactor_right *rights = reactor_doctor_rights(&n);
    kr_str text;
    kr_val docs;

    assert_true(test_file(&a, KROC_SOURCE "/deploy/kustomize/standalone/rbac.yaml", &text));
    EXPECT_OK(kr_yaml_parse(&a, text, &docs, &err), &err);
    for (uint32_t i = 0; i < n; i++) {
        kr_str verbs = kr_str_c(rights[i].verbs);

        while (verbs.s) {
            kr_str verb = kr_str_cut(&verbs, ',');
            bool found = false;

            KR_LIST_EACH (doc, docs) {
                found = found || granted(*doc, &rights[i], verb);
            }
            if (!found)
                fail_msg("rbac.yaml does not grant " KR_FMT " %s", KR_ARG(verb),
                         rights[i].resource);
        }
    }
    kr_arena_fini(&a);
}

int main(void)
{
    return RUN(
        T(doctor, a_healthy_cluster_passes), T(doctor, json_says_the_same),
        T(doctor, a_refused_connection_is_said_once), T(doctor, silence_ends_at_the_limit),
        T(doctor, one_silent_request_does_not_hold_the_others),
        T(doctor, a_server_that_is_not_ready_names_its_parts), T(doctor, bad_credentials),
        T(doctor, an_old_version_a_new_one_and_none), T(doctor, crds_that_are_missing_or_refused),
        T(doctor, crds_that_may_not_be_read), T(doctor, missing_rights_are_named),
        T(doctor, two_controllers), T(doctor, a_lease_shows_a_controller_that_no_deployment_does),
        T(doctor, names_do_not_get_into_the_shell), T(doctor, answers_of_other_shapes_do_no_harm),
        T(doctor, the_shipped_roles_grant_what_is_asked));
}
