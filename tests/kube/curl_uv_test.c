/* SPDX-License-Identifier: Apache-2.0 */
/* The transport on real sockets, against curl_server.py (see there what listens where). */
#include <fcntl.h>
#include <sys/stat.h>

#include "cel/base/digest.h"
#include "tests/kube/live.h"
#include "tests/lib/h2server.h"

static struct child server;
static char dir[256];
static int http, https, other, mute, proxy, h2;
static struct h2server *h2server; /* behind the port h2 */
static struct live l;             /* of the running test */

/* --- kubeconfigs ------------------------------------------------------------------------------ */

static const char *text(const char *fmt, ...) KR_PRINTF(1, 2);
static const char *text(const char *fmt, ...)
{
    static char pool[8][8192];
    static int at;
    va_list args;

    at = (at + 1) % 8;
    va_start(args, fmt);
    vsnprintf(pool[at], sizeof pool[at], fmt, args);
    va_end(args);
    return pool[at];
}

static void put(const char *name, const char *content)
{
    FILE *f = fopen(text("%s/%s", dir, name), "w");

    assert_non_null(f);
    fputs(content, f);
    fclose(f);
}

/* Opens l with these members of cluster and user (in YAML, both may be empty). */
static void open_with(const char *url, const char *cluster, const char *user)
{
    put("config",
        text("current-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n"
             "clusters: [{name: c, cluster: {server: '%s'%s%s}}]\nusers: [{name: u, user: {%s}}]\n",
             url, *cluster ? ", " : "", cluster, user));
    live_open_file(&l, text("%s/config", dir), NULL);
}

static const char *secure(int port)
{
    return text("https://127.0.0.1:%d", port);
}

static const char *plain(int port)
{
    return text("http://127.0.0.1:%d", port);
}

#define CA "certificate-authority: ca.pem"

static struct kube_req req;

/* Gets path and expects the echo's member to be want. */
static void expect_echo(const char *path, const char *member, const char *want)
{
    KR_AUTO(kr_arena) a = {0};
    kr_str names[] = {KR_S("headers"), kr_str_c(member)};
    kr_val v;

    live_get(&l, &req, path);
    EXPECT_OK(req.rc, &req.err);
    v = strchr(member, '-') || strcmp(member, "host") == 0 || strcmp(member, "authorization") == 0
            ? kr_at_path(req.object, names, 2)
            : kr_get(req.object, kr_str_c(member));
    EXPECT_TEXT(kr_cstr(&a, v.kind == KR_STRING ? kr_text(v) : kr_json_str(&a, v)), want);
}

static void expect_failure(const char *path, const char *want)
{
    live_get(&l, &req, path);
    assert_int_equal(req.rc, KR_E_IO);
    EXPECT_TEXT(req.err.text, text("get %s: %s", path, want));
}

static void done(void)
{
    kube_req_fini(&req);
    live_close(&l);
}

/* --- requests --------------------------------------------------------------------------------- */

TEST(curl_uv, a_request_arrives_as_it_was_meant)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_err err = KR_ERR_NONE;

    open_with(text("%s/prefix/", plain(http)), "", "");
    req.verb = KUBE_APPLY;
    req.ref = (kr_ref){{KR_S("g"), KR_S("v1"), KR_S("things")}, KR_S("n s"), KR_S("x")};
    req.manager = "me";
    req.on_done = live_on_done;
    EXPECT_OK(kube_req_set_body(&req, test_json(&a, "{\"b\":1}"), &err), &err);
    kube_req_start(l.client, &req);
    live_wait(&l, 1);
    EXPECT_OK(req.rc, &req.err);
    EXPECT_TEXT(kr_json_str(&a, kr_at(req.object, "method")).s, "\"PATCH\"");
    EXPECT_TEXT(kr_json_str(&a, kr_at(req.object, "path")).s,
                "\"/prefix/apis/g/v1/namespaces/n%20s/things/x?fieldManager=me\"");
    EXPECT_TEXT(kr_json_str(&a, kr_at(req.object, "body")).s, "\"{\\\"b\\\":1}\"");
    EXPECT_TEXT(kr_json_str(&a, kr_at(req.object, "headers.content-type")).s,
                "\"application/apply-patch+yaml\"");
    EXPECT_TEXT(kr_json_str(&a, kr_at(req.object, "headers.user-agent")).s, "\"kro/test\"");
    EXPECT_TEXT(kr_json_str(&a, kr_at(req.object, "headers.accept")).s, "\"application/json\"");
    assert_int_equal(kr_at(req.object, "headers.expect").kind, KR_NONE);
    assert_int_equal(kr_at(req.object, "headers.authorization").kind, KR_NONE);
    kube_req_fini(&req);
    req = (struct kube_req){.verb = KUBE_DELETE,
                            .ref = {{{0}, KR_S("v1"), KR_S("pods")}, KR_S("d"), KR_S("p")},
                            .on_done = live_on_done};
    kube_req_start(l.client, &req);
    live_wait(&l, 1);
    EXPECT_TEXT(kr_json_str(&a, kr_at(req.object, "method")).s, "\"DELETE\"");
    kube_req_fini(&req);
    req = (struct kube_req){0};
    done();
}

TEST(curl_uv, a_big_body_comes_whole)
{
    open_with(secure(https), CA, "");
    req.raw = true;
    live_get(&l, &req, "/big?5000000");
    EXPECT_OK(req.rc, &req.err);
    assert_int_equal(kube_req_body(&req).n, 5000000);
    req.raw = false;
    done();
}

/* --- TLS -------------------------------------------------------------------------------------- */

static const char *pem(struct kr_arena *a, const char *name)
{
    kr_str file;

    assert_true(test_file(a, text("%s/%s", dir, name), &file));
    return kr_cstr(a, kr_base64_encode(a, file, KR_BASE64_STD));
}

TEST(curl_uv, the_ca_by_file_or_by_data)
{
    KR_AUTO(kr_arena) a = {0};

    open_with(secure(https), CA, "");
    expect_echo("/x", "method", "GET");
    done();
    open_with(secure(https), text("certificate-authority-data: %s", pem(&a, "ca.pem")), "");
    expect_echo("/x", "method", "GET");
    done();
    open_with(secure(https), "insecure-skip-tls-verify: true", "");
    expect_echo("/x", "client", "");
    done();
}

/* The middle of the text is OpenSSL's and differs between its versions. */
static void expect_tls_failure(const char *hint)
{
    live_get(&l, &req, "/x");
    assert_int_equal(req.rc, KR_E_IO);
    assert_true(req.unsent);
    assert_true(kr_str_starts(
        kr_err_str(&req.err),
        kr_str_c(
            text("get /x: connect to https://127.0.0.1:%d: SSL certificate problem: ", https))));
    EXPECT_TEXT(req.err.text + strcspn(req.err.text, ";"), hint);
}

TEST(curl_uv, a_wrong_or_missing_ca_is_told)
{
    open_with(secure(https), "certificate-authority: stranger.pem", "");
    expect_tls_failure(
        "; the certificate-authority of the kubeconfig is not the one that signed it");
    done();
    open_with(secure(https), "", "");
    expect_tls_failure("; certificate-authority-data of the kubeconfig names the cluster's CA");
    done();
}

TEST(curl_uv, the_name_in_the_certificate_counts_and_can_be_given)
{
    open_with(secure(other), CA, "");
    expect_failure("/x",
                   text("connect to https://127.0.0.1:%d: no alternative certificate subject name "
                        "matches target host name "
                        "'127.0.0.1'; tls-server-name can give a name that the certificate has",
                        other));
    done();
    open_with(secure(other), CA ", tls-server-name: other.test", "");
    expect_echo("/x", "name", "other.test");
    expect_echo("/x", "host", text("127.0.0.1:%d", other));
    done();
}

TEST(curl_uv, client_certificates_by_file_and_by_data)
{
    KR_AUTO(kr_arena) a = {0};

    open_with(secure(https), CA, "client-certificate: client.pem, client-key: client.key");
    expect_echo("/x", "client", "client");
    done();
    open_with(secure(https), CA,
              text("client-certificate-data: %s, client-key-data: %s", pem(&a, "client.pem"),
                   pem(&a, "client.key")));
    expect_echo("/x", "client", "client");
    done();
    open_with(secure(https), CA, "client-certificate: client.pem, client-key: server.key");
    live_get(&l, &req, "/x");
    assert_int_equal(req.rc, KR_E_IO);
    assert_non_null(strstr(req.err.text, ": client certificate: "));
    done();
}

TEST(curl_uv, a_server_without_tls_is_told_apart)
{
    open_with(text("https://127.0.0.1:%d", http), CA, "");
    live_get(&l, &req, "/x");
    assert_int_equal(req.rc, KR_E_IO);
    assert_non_null(strstr(
        req.err.text, "; the server does not speak TLS there: is it http:// instead of https://?"));
    done();
}

/* --- who we are ------------------------------------------------------------------------------- */

TEST(curl_uv, tokens_passwords_and_impersonation)
{
    open_with(plain(http), "", "token: abc");
    expect_echo("/x", "authorization", "Bearer abc");
    done();
    open_with(plain(http), "", "username: Aladdin, password: open sesame");
    expect_echo("/x", "authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    done();
    open_with(plain(http), "", "token: abc, as: someone, as-groups: [g]");
    expect_echo("/x", "impersonate-user", "someone");
    expect_echo("/x", "impersonate-group", "g");
    done();
}

static void plug_in(const char *first, const char *then)
{
    put("plug", text("#!/bin/sh\ncd $(dirname $0)\nT=%s\n[ -f ran ] && T=%s\ntouch ran\necho "
                     "'{\"apiVersion\":\"client.authentication.k8s.io/v1\","
                     "\"kind\":\"ExecCredential\",\"status\":{\"token\":\"'$T'\"}}'\n",
                     first, then));
    chmod(text("%s/plug", dir), 0700);
    unlink(text("%s/ran", dir));
}

TEST(curl_uv, a_refused_token_is_renewed_once_and_nobody_notices)
{
    enum { N = 20 };
    struct kube_req *reqs = kr_alloc(N * sizeof *reqs);

    plug_in("bad", "good");
    open_with(plain(http), "",
              "exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plug}");
    for (int i = 0; i < N; i++) {
        reqs[i] =
            (struct kube_req){.verb = KUBE_GET, .path = KR_S("/token"), .on_done = live_on_done};
        kube_req_start(l.client, &reqs[i]);
    }
    live_wait(&l, N);
    for (int i = 0; i < N; i++) {
        EXPECT_OK(reqs[i].rc, &reqs[i].err);
        kube_req_fini(&reqs[i]);
    }
    kr_free(reqs);
    done();
    plug_in("bad", "worse");
    open_with(plain(http), "",
              "exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plug}");
    live_get(&l, &req, "/token");
    assert_int_equal(req.rc, KR_E_API);
    assert_int_equal(req.reason, KUBE_R_UNAUTHORIZED);
    done();
}

TEST(curl_uv, a_broken_plug_in_fails_the_requests_that_need_it)
{
    put("plug", "#!/bin/sh\nexit 7\n");
    open_with(plain(http), "",
              "exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plug}");
    expect_failure("/x", "exec plug-in \"./plug\": exit code 7");
    assert_true(req.unsent);
    done();
}

TEST(curl_uv, by_way_of_a_proxy)
{
    open_with(secure(https), text(CA ", proxy-url: 'http://127.0.0.1:%d'", proxy), "");
    expect_echo("/x", "proxied", "2"); /* the first connection found that there is no HTTP/2 */
    done();
    open_with(secure(https), text(CA ", proxy-url: 'http://127.0.0.1:%d'", 1), "");
    expect_failure(
        "/x",
        text("connect to https://127.0.0.1:%d: connection refused (by way of a proxy)", https));
    done();
}

/* --- trouble ---------------------------------------------------------------------------------- */

TEST(curl_uv, no_server)
{
    open_with("https://127.0.0.1:1", CA, "");
    expect_failure("/x", "connect to https://127.0.0.1:1: connection refused");
    assert_true(req.unsent);
    done();
    open_with("https://kroc.invalid", CA, "");
    expect_failure("/x", "connect to https://kroc.invalid: the host's name does not resolve");
    done();
}

TEST(curl_uv, answers_that_break_off)
{
    open_with(plain(http), "", "");
    req.raw = true;
    expect_failure("/cut",
                   text("http://127.0.0.1:%d: the connection broke within the response", http));
    assert_false(req.unsent);
    expect_failure("/drop",
                   text("http://127.0.0.1:%d: the connection broke before the response", http));
    assert_false(req.unsent);
    req.raw = false;
    expect_echo("/x", "method", "GET");
    done();
}

TEST(curl_uv, a_mute_server_costs_the_time_out)
{
    open_with(secure(mute), CA, "");
    req.timeout_ms = 200;
    expect_failure("/x", text("no answer from https://127.0.0.1:%d within 0.2 s", mute));
    assert_true(req.unsent);
    done();
    open_with(plain(mute), "", "");
    expect_failure("/x", text("no answer from http://127.0.0.1:%d within 0.2 s", mute));
    assert_false(req.unsent);
    req.timeout_ms = 0;
    done();
}

TEST(curl_uv, cancel_while_it_flies)
{
    open_with(plain(http), "", "");
    req.verb = KUBE_GET;
    req.path = KR_S("/slow?5");
    req.on_done = live_on_done;
    kube_req_start(l.client, &req);
    live_run_ms(&l, 100);
    kube_req_cancel(&req);
    assert_true(kube_req_busy(&req));
    live_wait(&l, 1);
    assert_int_equal(req.rc, KR_E_CANCELED);
    assert_false(req.unsent);
    done();
}

/* --- exchanges of the transport itself -------------------------------------------------------- */

struct stream {
    struct kube_exchange x;
    int64_t retry_after_ms;
    size_t bytes_n;
    bool stop, ended;
    int rc;
    char error[KR_ERR_MAX];
};

static void on_head(struct kube_exchange *x, int status, int64_t retry_after_ms)
{
    KR_OWNER(x, struct stream, x)->retry_after_ms = retry_after_ms;
}

static bool on_bytes(struct kube_exchange *x, const char *bytes, size_t n)
{
    struct stream *s = KR_OWNER(x, struct stream, x);

    s->bytes_n += n;
    return !s->stop;
}

static void on_end(struct kube_exchange *x, int rc, const struct kr_err *err)
{
    struct stream *s = KR_OWNER(x, struct stream, x);

    assert_false(s->ended);
    s->ended = true;
    s->rc = rc;
    snprintf(s->error, sizeof s->error, "%s", rc < 0 ? err->text : "");
}

static void stream_start(struct stream *s, const char *path, bool stream, uint32_t timeout_ms)
{
    struct kube_transport *t = kube_curl_transport(l.curl);

    *s = (struct stream){.stop = s->stop};
    s->x = (struct kube_exchange){.method = "GET",
                                  .path = kr_str_c(path),
                                  .stream = stream,
                                  .timeout_ms = timeout_ms,
                                  .on_head = on_head,
                                  .on_bytes = on_bytes,
                                  .on_end = on_end};
    t->ops->start(t, &s->x);
    assert_false(s->ended);
}

static void stream_wait(struct stream *s)
{
    while (!s->ended)
        uv_run(&l.loop, UV_RUN_ONCE);
}

TEST(curl_uv, a_stream_may_last_but_not_be_silent)
{
    struct stream s = {0};
    uint64_t begun = uv_hrtime();

    open_with(plain(http), "", "");
    stream_start(&s, "/stream?30", true, 300); /* 30 lines in 600 ms, then silence */
    stream_wait(&s);
    assert_int_equal(s.rc, KR_E_IO);
    EXPECT_TEXT(s.error, text("http://127.0.0.1:%d: silent for 0.3 s", http));
    assert_int_equal(s.bytes_n, 10 * 8 + 20 * 9);
    assert_true(uv_hrtime() - begun >= 850 * 1000000u);
    stream_start(&s, "/slow?5", false, 150);
    stream_wait(&s);
    EXPECT_TEXT(s.error, text("http://127.0.0.1:%d: no answer within 0.15 s", http));
    live_close(&l);
}

TEST(curl_uv, its_reader_may_stop_it)
{
    struct stream s = {.stop = true};

    open_with(plain(http), "", "");
    stream_start(&s, "/stream?30", true, 0);
    stream_wait(&s);
    assert_int_equal(s.rc, KR_E_LIMIT);
    live_close(&l);
}

TEST(curl_uv, retry_after_in_seconds_and_as_a_date)
{
    struct stream s = {0};
    char path[128];
    time_t then = time(NULL) + 20;
    struct tm tm;

    open_with(plain(http), "", "");
    stream_start(&s, "/busy?7", false, 0);
    stream_wait(&s);
    assert_int_equal(s.x.status, 429);
    assert_int_equal(s.retry_after_ms, 7000);
    strftime(path, sizeof path, "/busy?%a,%%20%d%%20%b%%20%Y%%20%H:%M:%S%%20GMT",
             gmtime_r(&then, &tm));
    stream_start(&s, path, false, 0); /* the server gives it back escaped: no date, so no header */
    stream_wait(&s);
    assert_int_equal(s.retry_after_ms, -1);
    strftime(path, sizeof path, "/busy?%a,_%d_%b_%Y_%H:%M:%S_GMT", &tm);
    stream_start(&s, path, false, 0);
    stream_wait(&s);
    assert_in_range(s.retry_after_ms, 15000, 20000);
    stream_start(&s, "/x", false, 0);
    stream_wait(&s);
    assert_int_equal(s.retry_after_ms, -1);
    live_close(&l);
}

TEST(curl_uv, a_hundred_streams_do_not_hold_up_a_request)
{
    enum { N = 100 };
    static struct stream streams[N];

    open_with(secure(https), CA, "");
    for (int i = 0; i < N; i++)
        stream_start(&streams[i], "/stream?1", true, 0);
    for (int i = 0; i < N; i++)
        while (streams[i].bytes_n == 0 && !streams[i].ended)
            uv_run(&l.loop, UV_RUN_ONCE);
    expect_echo("/x", "method", "GET");
    done(); /* with all of them open */
    for (int i = 0; i < N; i++)
        assert_int_equal(streams[i].rc, KR_E_CANCELED);
}

static int open_files(void)
{
    int n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

TEST(curl_uv, descriptors_stay_flat_over_many_reconnects)
{
    enum { N = 300 };
    struct stream s = {0};
    struct kube_transport *t;
    int before = 0;

    open_with(plain(http), "", "");
    t = kube_curl_transport(l.curl);
    for (int i = 0; i < N; i++) {
        stream_start(&s, i % 3 == 0 ? "/cut" : "/stream?1", true, 0);
        while (s.bytes_n == 0 && !s.ended)
            uv_run(&l.loop, UV_RUN_ONCE);
        if (!s.ended)
            t->ops->cancel(t, &s.x);
        stream_wait(&s);
        if (i == 20)
            before = open_files();
    }
    assert_in_range(open_files(), before - 4, before + 4);
    live_close(&l);
}

TEST(curl_uv, a_connection_that_swallowed_a_request_is_not_used_again)
{
    open_with(secure(https), CA, "");
    expect_echo("/x", "method", "GET");
    req.timeout_ms = 5100;
    expect_failure("/slow?20", text("no answer from https://127.0.0.1:%d within 5.1 s", https));
    req.timeout_ms = 0;
    expect_echo("/x", "method", "GET");
    done();
}

/* --- HTTP/2 ----------------------------------------------------------------------------------- */

static void open_h2(void)
{
    h2server_calm(h2server);
    open_with(secure(h2), CA, "");
    req.raw = true;
}

/* Gets path, and expects the answer of a server that did as if nothing had been. */
static void expect_answer(const char *path)
{
    KR_AUTO(kr_arena) a = {0};

    live_get(&l, &req, path);
    EXPECT_OK(req.rc, &req.err);
    assert_int_equal(req.status, 200);
    EXPECT_TEXT(kr_cstr(&a, kube_req_body(&req)), text("GET 0 127.0.0.1:%d%s", h2, path));
}

static void done_h2(void)
{
    req.raw = false;
    done();
}

TEST(curl_uv, http2_with_a_prefix_on_one_connection)
{
    enum { N = 90 };
    KR_AUTO(kr_arena) a = {0};
    uint32_t before = h2server_connections_n(h2server);
    struct kube_req *many = kr_alloc(N * sizeof *many);

    open_with(text("%s/prefix/", secure(h2)), CA, "");
    for (int i = 0; i < N; i++) {
        many[i] = (struct kube_req){
            .verb = KUBE_GET, .path = KR_S("/x"), .raw = true, .on_done = live_on_done};
        kube_req_start(l.client, &many[i]);
    }
    live_wait(&l, N);
    for (int i = 0; i < N; i++) {
        EXPECT_OK(many[i].rc, &many[i].err);
        EXPECT_TEXT(kr_cstr(&a, kube_req_body(&many[i])), text("GET 0 127.0.0.1:%d/prefix/x", h2));
        kube_req_fini(&many[i]);
    }
    kr_free(many);
    assert_int_equal(h2server_connections_n(h2server) - before, 1);
    live_close(&l);
}

TEST(curl_uv, what_a_server_has_not_looked_at_goes_again_unnoticed)
{
    static const struct {
        const char *path;
        uint32_t requests, connections;
    } rows[] = {{"/refuse?2", 3, 1}, {"/leave?2", 3, 3}, {"/drop?1", 2, 2}};

    for (size_t i = 0; i < KR_N(rows); i++) {
        uint32_t requests, connections;

        open_h2();
        connections = h2server_connections_n(h2server);
        expect_answer("/echo"); /* a connection's first stream does not go again when that drops */
        requests = h2server_requests_n(h2server);
        expect_answer(rows[i].path);
        assert_int_equal(h2server_requests_n(h2server) - requests, rows[i].requests);
        assert_int_equal(h2server_connections_n(h2server) - connections, rows[i].connections);
        done_h2();
    }
}

TEST(curl_uv, a_server_that_always_refuses_is_told_in_the_end)
{
    uint32_t before;

    open_h2();
    before = h2server_requests_n(h2server);
    expect_failure("/refuse",
                   text("https://127.0.0.1:%d: the connection broke before the response", h2));
    assert_true(req.unsent);
    assert_int_equal(h2server_requests_n(h2server) - before, 6);
    expect_failure("/reset",
                   text("https://127.0.0.1:%d: the connection broke before the response", h2));
    assert_false(req.unsent);
    expect_failure("/cut",
                   text("https://127.0.0.1:%d: the connection broke within the response", h2));
    expect_failure("/drop",
                   text("https://127.0.0.1:%d: the connection broke before the response", h2));
    expect_answer("/goaway");
    expect_answer("/echo");
    done_h2();
}

TEST(curl_uv, a_mute_http2_connection_is_not_used_again)
{
    uint32_t before;

    open_h2();
    before = h2server_connections_n(h2server);
    req.timeout_ms = 100;
    expect_failure("/mute", text("no answer from https://127.0.0.1:%d within 0.1 s", h2));
    expect_answer("/echo");
    assert_int_equal(h2server_connections_n(h2server) - before, 1);
    req.timeout_ms = 5100;
    expect_failure("/mute", text("no answer from https://127.0.0.1:%d within 5.1 s", h2));
    req.timeout_ms = 0;
    expect_answer("/echo");
    assert_int_equal(h2server_connections_n(h2server) - before, 2);
    done_h2();
}

TEST(curl_uv, http2_streams_end_in_every_way)
{
    struct stream held = {0}, cut = {0}, stopped = {.stop = true};

    open_h2();
    stream_start(&held, "/hold", true, 300);
    stream_start(&stopped, "/big?10000000", true, 0);
    stream_wait(&stopped);
    assert_int_equal(stopped.rc, KR_E_LIMIT);
    stream_wait(&held);
    assert_int_equal(held.rc, KR_E_IO);
    assert_int_equal(held.bytes_n, 8);
    EXPECT_TEXT(held.error, text("https://127.0.0.1:%d: silent for 0.3 s", h2));
    stream_start(&cut, "/cut", true, 0);
    stream_wait(&cut);
    assert_int_equal(cut.bytes_n, 8);
    EXPECT_TEXT(cut.error,
                text("https://127.0.0.1:%d: the connection broke within the response", h2));
    stream_start(&cut, "/busy", false, 0);
    stream_wait(&cut);
    assert_int_equal(cut.retry_after_ms, 7000);
    stream_start(&held, "/hold", true, 0);
    live_run_ms(&l, 50);
    kube_curl_transport(l.curl)->ops->cancel(kube_curl_transport(l.curl), &held.x);
    stream_wait(&held);
    assert_int_equal(held.rc, KR_E_CANCELED);
    stream_start(&held, "/hold", true, 0);
    live_run_ms(&l, 50);
    done_h2(); /* ends it */
    assert_int_equal(held.rc, KR_E_CANCELED);
}

int main(void)
{
    char *args[] = {(char *)"python3", (char *)TEST_DATA "/curl_server.py", NULL, NULL}, line[512];
    int failed;

    h2server = h2server_start(0);
    args[2] = (char *)(uintptr_t)text("%d", h2server_port(h2server));
    child_start(&server, args);
    if (!child_line(&server, "READY ", line, sizeof line) ||
        sscanf(line, "%255s %d %d %d %d %d %d", dir, &http, &https, &other, &mute, &proxy, &h2) !=
            7)
        test_skip_all("needs python3 and openssl");
    failed =
        RUN(T(curl_uv, a_request_arrives_as_it_was_meant), T(curl_uv, a_big_body_comes_whole),
            T(curl_uv, the_ca_by_file_or_by_data), T(curl_uv, a_wrong_or_missing_ca_is_told),
            T(curl_uv, the_name_in_the_certificate_counts_and_can_be_given),
            T(curl_uv, client_certificates_by_file_and_by_data),
            T(curl_uv, a_server_without_tls_is_told_apart),
            T(curl_uv, tokens_passwords_and_impersonation),
            T(curl_uv, a_refused_token_is_renewed_once_and_nobody_notices),
            T(curl_uv, a_broken_plug_in_fails_the_requests_that_need_it),
            T(curl_uv, by_way_of_a_proxy), T(curl_uv, no_server),
            T(curl_uv, answers_that_break_off), T(curl_uv, a_mute_server_costs_the_time_out),
            T(curl_uv, cancel_while_it_flies), T(curl_uv, a_stream_may_last_but_not_be_silent),
            T(curl_uv, its_reader_may_stop_it), T(curl_uv, retry_after_in_seconds_and_as_a_date),
            T(curl_uv, a_hundred_streams_do_not_hold_up_a_request),
            T(curl_uv, descriptors_stay_flat_over_many_reconnects),
            T(curl_uv, a_connection_that_swallowed_a_request_is_not_used_again),
            T(curl_uv, http2_with_a_prefix_on_one_connection),
            T(curl_uv, what_a_server_has_not_looked_at_goes_again_unnoticed),
            T(curl_uv, a_server_that_always_refuses_is_told_in_the_end),
            T(curl_uv, a_mute_http2_connection_is_not_used_again),
            T(curl_uv, http2_streams_end_in_every_way));
    child_stop(&server);
    h2server_stop(h2server);
    return failed;
}
