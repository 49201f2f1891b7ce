/* SPDX-License-Identifier: Apache-2.0 */
#include "reactor/http.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/test.h"

struct fixture {
    uv_loop_t loop;
    struct reactor_metrics *metrics;
    struct reactor_http *http;
    bool is_ready;
    uint32_t closed_n;
};

static bool ready(void *arg, struct kr_buf *why)
{
    struct fixture *f = arg;

    if (!f->is_ready)
        kr_buf_fmt(why, "[-]definitions not listed yet\n");
    return f->is_ready;
}

static void on_closed(void *arg)
{
    ((struct fixture *)arg)->closed_n++;
}

static void setup(struct fixture *f, uint32_t ready_max_ms)
{
    struct kr_err err = KR_ERR_NONE;
    struct reactor_http_opts opts = {
        .loop = &f->loop,
        .metrics_address = "127.0.0.1:0",
        .health_address = "localhost:0",
        .ready = ready,
        .arg = f,
        .ready_max_ms = ready_max_ms,
    };

    *f = (struct fixture){0};
    uv_loop_init(&f->loop);
    f->metrics = opts.metrics = reactor_metrics_new();
    EXPECT_OK(reactor_http_open(&opts, &f->http, &err), &err);
    assert_true(reactor_http_metrics_port(f->http) > 0 && reactor_http_health_port(f->http) > 0);
}

static void teardown(struct fixture *f)
{
    reactor_http_close(f->http, on_closed, f);
    assert_int_equal(f->closed_n, 0); /* never inside the call */
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->closed_n, 1);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    reactor_metrics_free(f->metrics);
}

static int dial(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

/* Turns the loop until the other side has closed fd, or 2000 turns of 1 ms passed; appends what it
 * said. */
static bool hear(struct fixture *f, int fd, struct kr_buf *out)
{
    char bytes[4096];

    for (int i = 0; i < 2000; i++) {
        ssize_t n;

        uv_run(&f->loop, UV_RUN_NOWAIT);
        n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (n == 0)
            return true;
        if (n > 0)
            kr_buf_add(out, bytes, (size_t)n);
        else
            (void)poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 1);
    }
    return false;
}

/* Sends a request, returns status and body: "200 ok". Static. */
static const char *get(struct fixture *f, uint16_t port, const char *method, const char *path)
{
    static char text[64 * 1024];
    KR_AUTO(kr_buf) said = KR_BUF(1024 * 1024);
    KR_AUTO(kr_buf) line = KR_BUF(64 * 1024);
    int fd = dial(port);
    const char *body;

    kr_buf_fmt(&line, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", method, path);
    assert_int_equal(send(fd, line.s, line.n, 0), line.n);
    assert_true(hear(f, fd, &said));
    close(fd);
    assert_true(said.n > 12);
    body = strstr(said.s, "\r\n\r\n");
    assert_non_null(body);
    (void)snprintf(text, sizeof(text), "%.3s %s", said.s + strlen("HTTP/1.1 "), body + 4);
    return text;
}

TEST(http, health_and_metrics_answer)
{
    struct fixture f;

    setup(&f, 0);
    f.is_ready = true;
    reactor_metric_add(REACTOR_METRIC(f.metrics, DYN_QUEUE), 3);
    EXPECT_TEXT(get(&f, reactor_http_health_port(f.http), "GET", "/healthz"), "200 ok");
    EXPECT_TEXT(get(&f, reactor_http_health_port(f.http), "GET", "/readyz"), "200 ok");
    EXPECT_TEXT(get(&f, reactor_http_health_port(f.http), "HEAD", "/readyz"), "200 ");
    assert_non_null(strstr(get(&f, reactor_http_metrics_port(f.http), "GET", "/metrics"),
                           "\ndynamic_controller_queue_length 3\n"));
    assert_non_null(
        strstr(get(&f, reactor_http_metrics_port(f.http), "GET", "/metrics?x=1"), "200 # HELP"));
    teardown(&f);
}

TEST(http, other_paths_and_methods_are_refused)
{
    struct fixture f;

    setup(&f, 0);
    EXPECT_TEXT(get(&f, reactor_http_health_port(f.http), "GET", "/metrics"),
                "404 404 page not found\n");
    EXPECT_TEXT(get(&f, reactor_http_metrics_port(f.http), "GET", "/"), "404 404 page not found\n");
    EXPECT_TEXT(get(&f, reactor_http_metrics_port(f.http), "POST", "/metrics"),
                "405 405 method not allowed\n");
    EXPECT_TEXT(get(&f, reactor_http_health_port(f.http), "DELETE", "/healthz"),
                "405 405 method not allowed\n");
    teardown(&f);
}

TEST(http, ready_stays_ready)
{
    struct fixture f;
    uint16_t port;

    setup(&f, 0);
    port = reactor_http_health_port(f.http);
    EXPECT_TEXT(get(&f, port, "GET", "/readyz"),
                "503 [-]definitions not listed yet\nreadyz check failed\n");
    f.is_ready = true;
    EXPECT_TEXT(get(&f, port, "GET", "/readyz"), "200 ok");
    f.is_ready = false;
    EXPECT_TEXT(get(&f, port, "GET", "/readyz"), "200 ok");
    EXPECT_TEXT(get(&f, port, "GET", "/readyz?verbose"),
                "200 [-]definitions not listed yet\nreadyz check passed\n");
    EXPECT_TEXT(get(&f, port, "GET", "/readyz?verbose=1"),
                "200 [-]definitions not listed yet\nreadyz check passed\n");
    teardown(&f);
}

TEST(http, ready_at_the_latest_after_the_limit)
{
    struct fixture f;
    const char *text = "";

    setup(&f, 5);
    for (int i = 0; i < 1000 && strncmp(text, "200", 3) != 0; i++)
        text = get(&f, reactor_http_health_port(f.http), "GET", "/readyz");
    EXPECT_TEXT(text, "200 ok");
    teardown(&f);
}

static int open_only(const char *metrics, const char *health, struct kr_err *err)
{
    uv_loop_t loop;
    struct reactor_metrics *m = reactor_metrics_new();
    struct reactor_http_opts opts = {
        .loop = &loop, .metrics_address = metrics, .health_address = health, .metrics = m};
    struct reactor_http *http = NULL;
    int rc;

    *err = (struct kr_err)KR_ERR_NONE;
    uv_loop_init(&loop);
    rc = reactor_http_open(&opts, &http, err);
    if (rc == 0)
        reactor_http_close(http, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    reactor_metrics_free(m);
    return rc;
}

TEST(http, an_occupied_port_names_flag_and_address)
{
    struct fixture f;
    struct kr_err err;
    char address[64], want[256];

    setup(&f, 0);
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", reactor_http_metrics_port(f.http));
    assert_int_equal(open_only("127.0.0.1:0", address, &err), KR_E_INPUT);
    (void)snprintf(
        want, sizeof(want),
        "--health-probe-bind-address: %s is occupied by another program; end it, give another "
        "address, or 0 to turn this one off",
        address);
    EXPECT_TEXT(err.text, want);
    (void)snprintf(address, sizeof(address), ":%u", reactor_http_metrics_port(f.http));
    assert_int_equal(open_only(address, NULL, &err), KR_E_INPUT);
    assert_non_null(strstr(err.text, "--metrics-bind-address: :"));
    assert_non_null(strstr(err.text, "occupied"));
    teardown(&f);
}

TEST(http, bad_addresses_are_refused)
{
    struct kr_err err;

    assert_int_equal(open_only("8078", NULL, &err), KR_E_INPUT);
    EXPECT_TEXT(err.text,
                "--metrics-bind-address: \"8078\" is not an address (\"host:port\" or \":port\")");
    assert_int_equal(open_only(NULL, ":70000", &err), KR_E_INPUT);
    EXPECT_TEXT(
        err.text,
        "--health-probe-bind-address: \":70000\" is not an address (\"host:port\" or \":port\")");
    assert_int_equal(open_only("192.0.2.1:0", NULL, &err), KR_E_INPUT);
    EXPECT_TEXT(
        err.text,
        "--metrics-bind-address: cannot listen on 192.0.2.1:0: Cannot assign requested address");
    assert_int_equal(open_only("a.host.that.is.not.there.invalid:1", NULL, &err), KR_E_INPUT);
    assert_non_null(
        strstr(err.text, "--metrics-bind-address: a.host.that.is.not.there.invalid:1: "));
}

TEST(http, any_address_and_none)
{
    struct kr_err err;

    EXPECT_OK(open_only(":0", ":0", &err), &err);
    EXPECT_OK(open_only(NULL, NULL, &err), &err);
}

static uint32_t fds_n(void)
{
    DIR *d = opendir("/proc/self/fd");
    uint32_t n = 0;

    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

TEST(http, foreign_bytes_do_no_harm)
{
    static const char *const requests[] = {
        "\r\n\r\n\r\n",
        "GET",
        "GET /healthz",
        "BLAH\r\n\r\n",
        "GET /healthz HTTP/9.9\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\nConnection: close\r\n\r\n",
        "POST /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffff\r\n",
    };
    static char junk[40000];
    struct fixture f;
    uint64_t seed = 1;
    uint32_t before = fds_n();

    setup(&f, 0);
    f.is_ready = true;
    for (int i = 0; i < 200; i++) {
        int fd = dial(reactor_http_health_port(f.http));
        const char *text = requests[(size_t)i % KR_N(requests)];
        size_t n = strlen(text);

        if (i % 2) {
            n = test_rand(&seed) % sizeof(junk);
            for (size_t k = 0; k < n; k++)
                junk[k] = (char)test_rand(&seed);
            text = junk;
        }
        (void)send(fd, text, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        uv_run(&f.loop, UV_RUN_NOWAIT);
        close(fd);
    }
    EXPECT_TEXT(get(&f, reactor_http_health_port(f.http), "GET", "/healthz"), "200 ok");
    assert_true(fds_n() <= before + REACTOR_HTTP_CONNECTIONS_MAX + 20);
    teardown(&f);
    assert_int_equal(fds_n(), before);
}

TEST(http, too_many_connections_leave_no_trace)
{
    struct fixture f;
    int fds[REACTOR_HTTP_CONNECTIONS_MAX + 32]; /* further ones wait in the kernel */

    setup(&f, 0);
    f.is_ready = true;
    for (size_t i = 0; i < KR_N(fds); i++) {
        fds[i] = dial(reactor_http_health_port(f.http));
        uv_run(&f.loop, UV_RUN_NOWAIT);
    }
    for (size_t i = 0; i < KR_N(fds); i++)
        close(fds[i]);
    for (int i = 0; i < 100; i++)
        uv_run(&f.loop, UV_RUN_NOWAIT);
    EXPECT_TEXT(get(&f, reactor_http_health_port(f.http), "GET", "/healthz"), "200 ok");
    teardown(&f);
}

TEST(http, closing_ends_open_connections)
{
    struct fixture f;
    int fd;

    setup(&f, 0);
    fd = dial(reactor_http_health_port(f.http));
    assert_int_equal(send(fd, "GET /hea", 8, 0), 8);
    uv_run(&f.loop, UV_RUN_NOWAIT);
    teardown(&f);
    assert_true(recv(fd, &(char){0}, 1, 0) <= 0);
    close(fd);
}

static unsigned debug(void *arg, const char *path, const struct reactor_http_query *q,
                      struct kr_buf *out, bool *json)
{
    *json = kr_str_is(reactor_http_arg(q, "o"), "json");
    kr_buf_fmt(out, "%s%s name=" KR_FMT " none=" KR_FMT, reactor_http_is_put(q) ? "put " : "", path,
               KR_ARG(reactor_http_arg(q, "name")), KR_ARG(reactor_http_arg(q, "none")));
    return kr_str_is(reactor_http_arg(q, "name"), "absent") ? 404 : 200;
}

TEST(http, debug_pages_get_their_arguments_and_stand_on_their_own_address)
{
    struct fixture f = {0};
    struct kr_err err = KR_ERR_NONE;
    struct reactor_http_opts opts = {
        .loop = &f.loop, .debug_address = "127.0.0.1:0", .debug = debug, .arg = &f};
    char taken[32];

    uv_loop_init(&f.loop);
    EXPECT_OK(reactor_http_open(&opts, &f.http, &err), &err);
    EXPECT_TEXT(get(&f, reactor_http_debug_port(f.http), "GET", "/debug/why?name=a%20b&o=json"),
                "200 /debug/why name=a b none=");
    EXPECT_TEXT(get(&f, reactor_http_debug_port(f.http), "GET", "/debug/why?name=absent"),
                "404 /debug/why name=absent none=");
    EXPECT_TEXT(get(&f, reactor_http_debug_port(f.http), "PUT", "/debug/log?name=a"),
                "200 put /debug/log name=a none=");
    EXPECT_TEXT(get(&f, reactor_http_debug_port(f.http), "DELETE", "/debug/log?name=a"),
                "405 405 method not allowed\n");
    /* Another that wants the same address goes on without, if it may. */
    (void)snprintf(taken, sizeof taken, "127.0.0.1:%u", reactor_http_debug_port(f.http));
    {
        struct reactor_http *second = NULL;

        opts.debug_address = taken;
        opts.debug_may_fail = true;
        EXPECT_OK(reactor_http_open(&opts, &second, &err), &err);
        assert_int_equal(reactor_http_debug_port(second), 0);
        assert_true(reactor_http_debug_why(second).n > 0);
        reactor_http_close(second, NULL, NULL);
        opts.debug_may_fail = false;
        assert_int_equal(reactor_http_open(&opts, &second, &err), KR_E_INPUT);
        assert_non_null(strstr(err.text, "--debug-bind-address"));
    }
    teardown(&f);
}

int main(void)
{
    return RUN(T(http, debug_pages_get_their_arguments_and_stand_on_their_own_address),
               T(http, health_and_metrics_answer), T(http, other_paths_and_methods_are_refused),
               T(http, ready_stays_ready), T(http, ready_at_the_latest_after_the_limit),
               T(http, an_occupied_port_names_flag_and_address), T(http, bad_addresses_are_refused),
               T(http, any_address_and_none), T(http, foreign_bytes_do_no_harm),
               T(http, too_many_connections_leave_no_trace),
               T(http, closing_ends_open_connections));
}
