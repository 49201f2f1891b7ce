/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP/2 connection against h2server (see there how its paths behave), without TLS. */
#include "kube/h2.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/h2server.h"
#include "tests/lib/test.h"

struct fixture {
    uv_loop_t loop;
    struct h2server *server;
    struct kube_h2 *h2;
    int fd;
    bool gone, closed;
};

struct call {
    struct kube_h2_stream s;
    struct kr_buf head, body;
    int status;
    bool stop, ended;
    enum kube_h2_end how;
};

/* --- bytes ------------------------------------------------------------------------------------ */

static ssize_t outcome(ssize_t n)
{
    if (n > 0)
        return n;
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 0 : -1;
}

static ssize_t sock_read(void *arg, char *bytes, size_t n)
{
    return outcome(recv(((struct fixture *)arg)->fd, bytes, n, 0));
}

static ssize_t sock_write(void *arg, const char *bytes, size_t n)
{
    return outcome(send(((struct fixture *)arg)->fd, bytes, n, MSG_NOSIGNAL));
}

static const struct kube_h2_io io = {sock_read, sock_write};

static void on_gone(void *arg)
{
    struct fixture *f = arg;

    assert_false(f->gone);
    f->gone = true;
}

static void on_closed(void *arg)
{
    ((struct fixture *)arg)->closed = true;
}

static void fixture_open(struct fixture *f, uint32_t streams_max)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};

    *f = (struct fixture){0};
    uv_loop_init(&f->loop);
    f->server = h2server_start(streams_max);
    at.sin_port = htons((uint16_t)h2server_port(f->server));
    f->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(f->fd, (struct sockaddr *)&at, sizeof at), 0);
    fcntl(f->fd, F_SETFL, O_NONBLOCK);
    f->h2 = kube_h2_new(&f->loop, f->fd, &io, f, on_gone);
}

static void fixture_close(struct fixture *f)
{
    kube_h2_close(f->h2, on_closed);
    while (!f->closed)
        uv_run(&f->loop, UV_RUN_ONCE);
    close(f->fd);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    h2server_stop(f->server);
}

/* --- calls ------------------------------------------------------------------------------------ */

static struct call *of(struct kube_h2_stream *s)
{
    return KR_OWNER(s, struct call, s);
}

static void on_header(struct kube_h2_stream *s, kr_str name, kr_str value)
{
    kr_buf_fmt(&of(s)->head, KR_FMT "=" KR_FMT " ", KR_ARG(name), KR_ARG(value));
}

static void on_head(struct kube_h2_stream *s, int status)
{
    assert_int_equal(of(s)->status, 0);
    of(s)->status = status;
}

static bool on_bytes(struct kube_h2_stream *s, const char *bytes, size_t n)
{
    assert_false(of(s)->ended);
    kr_buf_add(&of(s)->body, bytes, n);
    return !of(s)->stop;
}

static void on_end(struct kube_h2_stream *s, enum kube_h2_end how)
{
    assert_false(of(s)->ended);
    of(s)->ended = true;
    of(s)->how = how;
}

static const struct kube_h2_ops ops = {on_header, on_head, on_bytes, on_end};

#define NV(name, value)                                                                            \
    {                                                                                              \
        (uint8_t *)(uintptr_t)(name), (uint8_t *)(uintptr_t)(value), strlen(name), strlen(value),  \
            NGHTTP2_NV_FLAG_NONE                                                                   \
    }

static void start(struct fixture *f, struct call *c, const char *path, kr_str body)
{
    nghttp2_nv headers[] = {NV(":method", body.n ? "POST" : "GET"), NV(":scheme", "http"),
                            NV(":authority", "here"), NV(":path", path)};

    *c = (struct call){.stop = c->stop};
    kr_buf_init(&c->head, 4096);
    kr_buf_init(&c->body, 64 * 1024 * 1024);
    kube_h2_open(f->h2, &c->s, &ops, headers, KR_N(headers), body);
    assert_false(c->ended);
}

static void call_fini(struct call *c)
{
    kr_buf_fini(&c->head);
    kr_buf_fini(&c->body);
}

static void wait_for(struct fixture *f, struct call *c)
{
    kube_h2_flush(f->h2);
    while (!c->ended)
        uv_run(&f->loop, UV_RUN_ONCE);
}

/* Runs until the stream has its first bytes. */
static void wait_bytes(struct fixture *f, struct call *c)
{
    kube_h2_flush(f->h2);
    while (c->body.n == 0)
        uv_run(&f->loop, UV_RUN_ONCE);
}

static enum kube_h2_end end_of(struct fixture *f, const char *path)
{
    struct call c = {0};

    start(f, &c, path, (kr_str){0});
    wait_for(f, &c);
    call_fini(&c);
    return c.how;
}

static void expect_echo(struct fixture *f, const char *path, const char *head)
{
    struct call c = {0};

    start(f, &c, path, KR_S("four"));
    wait_for(f, &c);
    assert_int_equal(c.how, KUBE_H2_DONE);
    assert_int_equal(c.status, 200);
    EXPECT_TEXT(c.head.s, head);
    assert_true(kr_str_starts(kr_buf_view(&c.body), KR_S("POST 4 here/")));
    call_fini(&c);
}

/* --- tests ------------------------------------------------------------------------------------ */

TEST(kube_h2, a_request_and_its_answer)
{
    struct fixture f;

    fixture_open(&f, 0);
    expect_echo(&f, "/echo", ":status=200 ");
    expect_echo(&f, "/early", ":status=103 retry-after=5 :status=200 ");
    expect_echo(&f, "/trailer", ":status=200 ");
    fixture_close(&f);
    assert_false(f.gone);
}

TEST(kube_h2, long_bodies_pass_the_windows_both_ways)
{
    enum { N = 8 * 1024 * 1024 };
    struct call up = {0}, down = {0};
    char *body = kr_alloc(N);
    struct fixture f;

    fixture_open(&f, 0);
    start(&f, &up, "/echo", (kr_str){body, N});
    start(&f, &down, "/big?8388608", (kr_str){0});
    wait_for(&f, &up);
    wait_for(&f, &down);
    EXPECT_TEXT(up.body.s, "POST 8388608 here/echo");
    assert_int_equal(down.body.n, N);
    assert_true(up.how == KUBE_H2_DONE && down.how == KUBE_H2_DONE);
    call_fini(&up);
    call_fini(&down);
    kr_free(body);
    fixture_close(&f);
}

TEST(kube_h2, takes_as_many_streams_as_the_server_allows)
{
    struct call held[3] = {0};
    struct fixture f;

    fixture_open(&f, 3);
    assert_int_equal(end_of(&f, "/echo"), KUBE_H2_DONE); /* the settings have come by then */
    for (int i = 0; i < 3; i++) {
        assert_true(kube_h2_has_room(f.h2));
        start(&f, &held[i], "/hold", (kr_str){0});
        assert_true(kube_h2_is_later(&held[i].s));
    }
    assert_false(kube_h2_has_room(f.h2));
    wait_bytes(&f, &held[2]);
    kube_h2_cancel(&held[0].s);
    assert_true(kube_h2_has_room(f.h2));
    assert_int_equal(end_of(&f, "/echo"), KUBE_H2_DONE);
    fixture_close(&f);
    assert_false(held[0].ended);
    for (int i = 1; i < 3; i++)
        assert_true(held[i].ended && held[i].how == KUBE_H2_BROKEN);
    for (int i = 0; i < 3; i++)
        call_fini(&held[i]);
}

TEST(kube_h2, says_how_a_stream_ended)
{
    static const struct {
        const char *path;
        enum kube_h2_end how;
        bool gone;
    } rows[] = {
        {"/reset", KUBE_H2_RESET, false}, {"/refuse", KUBE_H2_REFUSED, false},
        {"/cut", KUBE_H2_BROKEN, true},   {"/drop", KUBE_H2_BROKEN, true},
        {"/junk", KUBE_H2_BROKEN, true},  {"/leave", KUBE_H2_REFUSED, true},
        {"/goaway", KUBE_H2_DONE, true},
    };

    for (size_t i = 0; i < KR_N(rows); i++) {
        struct fixture f;

        fixture_open(&f, 0);
        assert_int_equal(end_of(&f, rows[i].path), rows[i].how);
        while (rows[i].gone && !f.gone)
            uv_run(&f.loop, UV_RUN_ONCE);
        assert_int_equal(f.gone, rows[i].gone);
        assert_int_equal(kube_h2_has_room(f.h2), !rows[i].gone);
        fixture_close(&f);
    }
}

TEST(kube_h2, a_connection_that_goes_away_serves_to_the_end)
{
    struct call held = {0}, last = {0};
    struct fixture f;

    fixture_open(&f, 0);
    start(&f, &held, "/big?4000000", (kr_str){0});
    start(&f, &last, "/goaway", (kr_str){0});
    wait_for(&f, &last);
    assert_false(kube_h2_has_room(f.h2));
    wait_for(&f, &held);
    assert_int_equal(held.body.n, 4000000);
    assert_int_equal(held.how, KUBE_H2_DONE);
    call_fini(&held);
    call_fini(&last);
    fixture_close(&f);
}

TEST(kube_h2, what_is_canceled_is_not_heard_of_any_more)
{
    struct call unsent = {0}, begun = {0}, sending = {0};
    size_t n = 4 * 1024 * 1024;
    char *body = kr_alloc(n);
    struct fixture f;

    fixture_open(&f, 0);
    start(&f, &unsent, "/echo", (kr_str){0});
    kube_h2_cancel(&unsent.s);
    kube_h2_cancel(&unsent.s); /* legal */
    start(&f, &begun, "/hold", (kr_str){0});
    wait_bytes(&f, &begun);
    kube_h2_cancel(&begun.s);
    start(&f, &sending, "/echo", (kr_str){body, n});
    kube_h2_flush(f.h2);
    kube_h2_cancel(&sending.s);
    kr_free(body); /* nobody reads it any more */
    assert_int_equal(end_of(&f, "/echo"), KUBE_H2_DONE);
    assert_true(!unsent.ended && !begun.ended && !sending.ended);
    call_fini(&unsent);
    call_fini(&begun);
    call_fini(&sending);
    fixture_close(&f);
}

TEST(kube_h2, a_reader_may_stop_it)
{
    struct call c = {.stop = true};
    struct fixture f;

    fixture_open(&f, 0);
    start(&f, &c, "/big?100000000", (kr_str){0});
    wait_for(&f, &c);
    assert_int_equal(c.how, KUBE_H2_RESET);
    assert_true(c.body.n <= 16 * 1024); /* not told of what still came */
    assert_int_equal(end_of(&f, "/echo"), KUBE_H2_DONE);
    call_fini(&c);
    fixture_close(&f);
}

TEST(kube_h2, a_retired_connection_is_gone_when_its_last_stream_ends)
{
    struct call c = {0};
    struct fixture f;

    fixture_open(&f, 0);
    start(&f, &c, "/hold", (kr_str){0});
    wait_bytes(&f, &c);
    kube_h2_retire(f.h2);
    assert_false(kube_h2_has_room(f.h2));
    kube_h2_flush(f.h2);
    assert_false(f.gone);
    kube_h2_cancel(&c.s);
    kube_h2_flush(f.h2);
    assert_true(f.gone);
    call_fini(&c);
    fixture_close(&f);
}

TEST(kube_h2, a_connection_that_is_dead_behind_a_balancer_breaks)
{
    struct call c = {0};
    struct fixture f;

    fixture_open(&f, 0);
    start(&f, &c, "/freeze", (kr_str){0});
    wait_bytes(&f, &c);
    kube_h2_patience(f.h2, 20, 20);
    wait_for(&f, &c);
    assert_int_equal(c.how, KUBE_H2_BROKEN);
    assert_true(f.gone);
    call_fini(&c);
    fixture_close(&f);
}

TEST(kube_h2, a_silent_connection_that_lives_stays)
{
    struct call c = {0};
    struct fixture f;

    fixture_open(&f, 0);
    start(&f, &c, "/hold", (kr_str){0});
    wait_bytes(&f, &c);
    kube_h2_patience(f.h2, 20, 60 * 1000);
    while (h2server_pings_n(f.server) < 4) /* each is sent after the answer to the one before */
        uv_run(&f.loop, UV_RUN_ONCE);
    assert_false(c.ended);
    assert_false(f.gone);
    kube_h2_cancel(&c.s);
    call_fini(&c);
    fixture_close(&f);
}

int main(void)
{
    return RUN(
        T(kube_h2, a_request_and_its_answer), T(kube_h2, long_bodies_pass_the_windows_both_ways),
        T(kube_h2, takes_as_many_streams_as_the_server_allows), T(kube_h2, says_how_a_stream_ended),
        T(kube_h2, a_connection_that_goes_away_serves_to_the_end),
        T(kube_h2, what_is_canceled_is_not_heard_of_any_more), T(kube_h2, a_reader_may_stop_it),
        T(kube_h2, a_retired_connection_is_gone_when_its_last_stream_ends),
        T(kube_h2, a_connection_that_is_dead_behind_a_balancer_breaks),
        T(kube_h2, a_silent_connection_that_lives_stays));
}
