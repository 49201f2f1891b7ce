/* SPDX-License-Identifier: Apache-2.0 */
/* The client against a real kube-apiserver: HTTP/2, many requests over one connection, a watch, and
 * the way back after the server was gone. Skipped where its binaries are not. */
#include <fcntl.h>

#include "tests/kube/live.h"
#include "tests/lib/fakeapi.h"
#include "tests/lib/vclock.h"

static char kubeconfig[1024];
static struct child cluster;

TEST(curl_h2, get_and_many_at_once)
{
    enum { N = 200 };
    struct live l;
    struct kube_req *reqs = kr_alloc(N * sizeof *reqs);

    live_open_file(&l, kubeconfig, NULL);
    live_get(&l, &reqs[0], "/version");
    EXPECT_OK(reqs[0].rc, &reqs[0].err);
    assert_true(kr_at_str(reqs[0].object, "gitVersion").n > 0);
    for (int i = 0; i < N; i++) {
        reqs[i].verb = KUBE_GET;
        reqs[i].path = (kr_str){0};
        reqs[i].ref = (kr_ref){{{0}, KR_S("v1"), KR_S("namespaces")}, {0}, KR_S("default")};
        reqs[i].on_done = live_on_done;
        kube_req_start(l.client, &reqs[i]);
    }
    live_wait(&l, N);
    for (int i = 0; i < N; i++) {
        EXPECT_OK(reqs[i].rc, &reqs[i].err);
        assert_true(kr_str_is(kr_at_str(reqs[i].object, "metadata.name"), "default"));
        kube_req_fini(&reqs[i]);
    }
    kr_free(reqs);
    live_close(&l);
}

TEST(curl_h2, writes_and_their_refusals)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_err err = KR_ERR_NONE;
    struct kube_req req = {
        .verb = KUBE_APPLY, .manager = "kro.run/applyset", .force = true, .on_done = live_on_done};
    struct live l;

    live_open_file(&l, kubeconfig, NULL);
    req.ref = (kr_ref){{{0}, KR_S("v1"), KR_S("configmaps")}, KR_S("default"), KR_S("h2")};
    EXPECT_OK(
        kube_req_set_body(
            &req,
            test_json(&a, "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":"
                          "\"h2\"},\"data\":{\"a\":\"1\"}}"),
            &err),
        &err);
    kube_req_start(l.client, &req);
    live_wait(&l, 1);
    EXPECT_OK(req.rc, &req.err);
    assert_true(req.status == 201 || req.status == 200);
    assert_true(
        kr_str_is(kr_at_str(kr_item(kr_at(req.object, "metadata.managedFields"), 0), "manager"),
                  "kro.run/applyset"));
    req.verb = KUBE_DELETE;
    kube_req_fini(&req);
    req.ref.name = KR_S("none");
    kube_req_start(l.client, &req);
    live_wait(&l, 1);
    assert_int_equal(req.rc, KR_E_API);
    assert_int_equal(req.reason, KUBE_R_NOT_FOUND);
    EXPECT_TEXT(req.err.text,
                "delete configmaps.v1 default/none: 404 NotFound: configmaps \"none\" not found");
    assert_true(kr_str_is(req.message, "configmaps \"none\" not found"));
    kube_req_fini(&req);
    live_close(&l);
}

/* --- a watch, over the transport itself ------------------------------------------------------- */

struct stream {
    struct kube_exchange x;
    int status, rc;
    size_t bytes_n;
    bool ended;
};

static void on_head(struct kube_exchange *x, int status, int64_t retry_after_ms)
{
    KR_OWNER(x, struct stream, x)->status = status;
}

static bool on_bytes(struct kube_exchange *x, const char *bytes, size_t n)
{
    KR_OWNER(x, struct stream, x)->bytes_n += n;
    return true;
}

static void on_end(struct kube_exchange *x, int rc, const struct kr_err *err)
{
    struct stream *s = KR_OWNER(x, struct stream, x);

    s->rc = rc;
    s->ended = true;
}

static int open_files(void)
{
    int n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

TEST(curl_h2, a_hundred_and_fifty_watches_beside_requests)
{
    enum { N = 150 }; /* more than one connection carries */
    static struct stream streams[N];
    struct kube_req req = {0};
    struct kube_transport *t;
    struct live l;

    live_open_file(&l, kubeconfig, NULL);
    t = kube_curl_transport(l.curl);
    for (int i = 0; i < N; i++) {
        streams[i] = (struct stream){.x = {.method = "GET",
                                           .path = KR_S("/api/v1/configmaps?watch=true"),
                                           .stream = true,
                                           .timeout_ms = 60000,
                                           .on_head = on_head,
                                           .on_bytes = on_bytes,
                                           .on_end = on_end}};
        t->ops->start(t, &streams[i].x);
    }
    for (int i = 0; i < N; i++)
        while (streams[i].bytes_n == 0 && !streams[i].ended)
            uv_run(&l.loop, UV_RUN_ONCE);
    assert_true(open_files() < 20); /* HTTP/2: a few connections carry them all */
    live_get(&l, &req, "/readyz");
    assert_int_equal(req.status, 200);
    for (int i = 0; i < N; i++) {
        assert_int_equal(streams[i].status, 200);
        assert_false(streams[i].ended);
        if (i % 2 == 0)
            t->ops->cancel(t, &streams[i].x);
    }
    live_run_ms(&l, 50);
    for (int i = 0; i < N; i++)
        assert_int_equal(streams[i].ended, i % 2 == 0);
    kube_req_fini(&req);
    live_close(&l); /* ends the others */
    for (int i = 0; i < N; i++)
        assert_int_equal(streams[i].rc, KR_E_CANCELED);
}

/* --- fakeapi beside the real one -------------------------------------------------------------- */

/* "manager operation fieldsV1" lines of one manager after another */
static const char *owners(struct kr_arena *a, kr_val object)
{
    KR_AUTO(kr_buf) b = KR_BUF(64 * 1024);

    KR_LIST_EACH (e, kr_at(object, "metadata.managedFields"))
        kr_buf_fmt(&b, KR_FMT " " KR_FMT " " KR_FMT "\n", KR_ARG(kr_at_str(*e, "manager")),
                   KR_ARG(kr_at_str(*e, "operation")),
                   KR_ARG(kr_json_str(a, kr_at(*e, "fieldsV1"))));
    return b.n ? kr_strdup(a, kr_buf_view(&b)).s : "";
}

/* One write to both; they have to agree on the status and on who owns what. */
static void both(struct live *l, struct fakeapi *f, kr_ref ref, const char *manager, bool merge,
                 const char *body)
{
    KR_AUTO(kr_arena) a = {0};
    KR_AUTO(kr_buf) path = KR_BUF(4096);
    struct kube_req req = {.verb = merge ? KUBE_MERGE_PATCH : KUBE_APPLY,
                           .ref = ref,
                           .manager = manager,
                           .force = !merge,
                           .on_done = live_on_done};
    struct kr_err err = KR_ERR_NONE;
    kr_val v = test_yaml(&a, body), fake;
    int status;

    EXPECT_OK(kube_req_set_body(&req, v, &err), &err);
    kube_req_start(l->client, &req);
    live_wait(l, 1);
    EXPECT_OK(req.rc, &req.err);
    kube_path(&path, ref, NULL);
    kr_buf_str(&path, KR_S("?force=true"));
    status = fakeapi_do(f, &a, "PATCH", path.s, manager,
                        merge ? NULL : "application/apply-patch+yaml", v, &fake);
    assert_int_equal(status, req.status);
    EXPECT_TEXT(owners(&a, fake), owners(&a, req.object));
    EXPECT_TEXT(kr_json_str(&a, kr_at(fake, "metadata.labels")).s,
                kr_json_str(&a, kr_at(req.object, "metadata.labels")).s);
    EXPECT_TEXT(kr_json_str(&a, kr_at(fake, "data")).s,
                kr_json_str(&a, kr_at(req.object, "data")).s);
    EXPECT_TEXT(kr_json_str(&a, kr_at(fake, "metadata.generation")).s,
                kr_json_str(&a, kr_at(req.object, "metadata.generation")).s);
    kube_req_fini(&req);
}

#define CORE(resource, name)                                                                       \
    ((kr_ref){{{0}, KR_S("v1"), KR_S(resource)}, KR_S("default"), KR_S(name)})
#define APPS(resource, name)                                                                       \
    ((kr_ref){{KR_S("apps"), KR_S("v1"), KR_S(resource)}, KR_S("default"), KR_S(name)})

TEST(curl_h2, fakeapi_agrees_on_ownership)
{
    struct vclock clock;
    struct fakeapi *f;
    struct live l;
    kr_ref cm = CORE("configmaps", "both"), secret = CORE("secrets", "both"),
           svc = CORE("services", "both"), web = APPS("deployments", "both");

    vclock_init(&clock);
    f = fakeapi_new(&clock.door, NULL);
    live_open_file(&l, kubeconfig, NULL);
    both(&l, f, cm, "one", false,
         "{apiVersion: v1, kind: ConfigMap, metadata: {name: both, labels: {a: b, c: d}, "
         "finalizers: [x.io/y]}, data: {k: '1', l: '2'}}");
    both(&l, f, cm, "two", false,
         "{apiVersion: v1, kind: ConfigMap, metadata: {name: both, labels: {c: d}}, data: {l: '2', "
         "m: '3'}}");
    both(&l, f, cm, "edit", true, "{data: {k: '9', z: '1'}, metadata: {labels: {new: label}}}");
    both(&l, f, cm, "one", false,
         "{apiVersion: v1, kind: ConfigMap, metadata: {name: both, labels: {a: b}}, data: {k: "
         "'1'}}");
    both(&l, f, cm, "edit", true, "{data: {m: null}, metadata: {finalizers: null}}");
    both(&l, f, secret, "one", false,
         "{apiVersion: v1, kind: Secret, metadata: {name: both}, stringData: {p: geheim}, data: "
         "{q: cQ==}}");
    both(&l, f, secret, "two", false,
         "{apiVersion: v1, kind: Secret, metadata: {name: both, labels: {a: b}}}");
    both(&l, f, svc, "one", false,
         "{apiVersion: v1, kind: Service, metadata: {name: both}, spec: {selector: {a: b}, ports: "
         "[{name: h, port: 80, targetPort: 8080}, {name: s, port: 443, protocol: TCP}]}}");
    both(&l, f, web, "one", false,
         "{apiVersion: apps/v1, kind: Deployment, metadata: {name: both}, spec: {replicas: 0, "
         "selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: "
         "{containers: ["
         "{name: web, image: i, command: [x, z], env: [{name: E, value: v}], ports: "
         "[{containerPort: 80}], volumeMounts: [{name: v, mountPath: /v}], envFrom: "
         "[{configMapRef: {name: both}}]}], volumes: [{name: v, configMap: {name: both}}]}}}}");
    both(&l, f, web, "two", false,
         "{apiVersion: apps/v1, kind: Deployment, metadata: {name: both}, spec: {template: {spec: "
         "{containers: [{name: web, env: [{name: F, value: w}]}, {name: side, image: s}]}}}}");
    both(&l, f, web, "two", false,
         "{apiVersion: apps/v1, kind: Deployment, metadata: {name: both}, spec: {template: {spec: "
         "{containers: [{name: web, image: j}]}}}}");
    both(&l, f, web, "edit", true, "{spec: {replicas: 1}}");
    live_close(&l);
    fakeapi_free(f);
    vclock_fini(&clock);
}

TEST(curl_h2, the_server_dies_and_comes_back)
{
    struct stream s = {.x = {.method = "GET",
                             .path = KR_S("/api/v1/configmaps?watch=true"),
                             .stream = true,
                             .on_head = on_head,
                             .on_bytes = on_bytes,
                             .on_end = on_end}};
    struct kube_req req = {0};
    struct kube_transport *t;
    struct live l;
    char line[64];

    live_open_file(&l, kubeconfig, NULL);
    t = kube_curl_transport(l.curl);
    t->ops->start(t, &s.x);
    live_get(&l, &req, "/readyz");
    while (s.bytes_n == 0)
        uv_run(&l.loop, UV_RUN_ONCE);
    kill(cluster.pid, SIGUSR1);
    assert_true(child_line(&cluster, "KILLED", line, sizeof line));
    while (!s.ended)
        uv_run(&l.loop, UV_RUN_ONCE);
    assert_int_equal(s.rc, KR_E_IO);
    live_get(&l, &req, "/readyz");
    assert_int_equal(req.rc, KR_E_IO);
    assert_true(req.unsent);
    kill(cluster.pid, SIGUSR2);
    assert_true(child_line(&cluster, "STARTED", line, sizeof line));
    req.raw = true;
    live_get(&l, &req, "/readyz");
    EXPECT_OK(req.rc, &req.err);
    s.ended = false;
    s.bytes_n = 0;
    t->ops->start(t, &s.x);
    while (s.bytes_n == 0 && !s.ended)
        uv_run(&l.loop, UV_RUN_ONCE);
    assert_false(s.ended);
    kube_req_fini(&req);
    live_close(&l);
}

/* The harness of tests/cluster, with signals for the death and the return of the API server. */
static const char driver[] =
    "import signal, sys\n"
    "sys.path.insert(0, sys.argv[1])\n"
    "from cluster import Cluster\n"
    "def say(do, word):\n"
    "    do()\n"
    "    print(word, flush=True)\n"
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
    "with Cluster(sys.argv[2]) as c:\n"
    "    signal.signal(signal.SIGUSR1, lambda *_: say(c.kill_apiserver, 'KILLED'))\n"
    "    signal.signal(signal.SIGUSR2, lambda *_: say(c.start_apiserver, 'STARTED'))\n"
    "    print('KUBECONFIG=' + str(c.kubeconfig('admin')), flush=True)\n"
    "    while True:\n"
    "        signal.pause()\n";

int main(void)
{
    char bin[1024], *args[] = {(char *)"python3",
                               (char *)"-c",
                               (char *)(uintptr_t)driver,
                               (char *)KROC_SOURCE "/tests/cluster",
                               bin,
                               NULL};
    int failed;

    snprintf(bin, sizeof bin, "%s", KROC_CLUSTER_BIN);
    if (bin[0] == '\0')
        test_skip_all("KROC_CLUSTER_BIN is not set");
    child_start(&cluster, args);
    if (!child_line(&cluster, "KUBECONFIG=", kubeconfig, sizeof kubeconfig)) {
        fprintf(stderr, "the cluster did not start\n");
        return 1;
    }
    failed =
        RUN(T(curl_h2, get_and_many_at_once), T(curl_h2, writes_and_their_refusals),
            T(curl_h2, a_hundred_and_fifty_watches_beside_requests),
            T(curl_h2, fakeapi_agrees_on_ownership), T(curl_h2, the_server_dies_and_comes_back));
    child_stop(&cluster);
    return failed;
}
