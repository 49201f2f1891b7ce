/* SPDX-License-Identifier: Apache-2.0 */
/* h2server.c - see the header. Sessions are nghttp2's; the thread has a loop of its own. */
#include "tests/lib/h2server.h"

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

struct h2server {
    uv_thread_t thread;
    uv_loop_t loop;
    uv_tcp_t listener;
    uv_async_t stop;
    int port;
    uint32_t streams_max, connections_n, requests_n, misbehaved_n,
        pings_n; /* the last four: atomic */
};

struct connection {
    uv_tcp_t tcp;
    struct h2server *server;
    nghttp2_session *session;
    struct request *all; /* until its end: streams may be left open */
    bool frozen;         /* acknowledges bytes, and reads none */
};

struct request {
    struct request *next; /* of its connection */
    char method[16], path[64], authority[64], text[256];
    size_t body_n, left; /* of the answer */
    const char *from;    /* NULL: the answer is x's */
    bool held, trailer;
};

static void on_closed(uv_handle_t *h)
{
    struct connection *c = h->data;

    nghttp2_session_del(c->session);
    for (struct request *r = c->all, *next; r; r = next) {
        next = r->next;
        free(r);
    }
    free(c);
}

static void hang_up(struct connection *c)
{
    if (!uv_is_closing((uv_handle_t *)&c->tcp))
        uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static void on_written(uv_write_t *w, int status)
{
    free(w->data);
    free(w);
}

static void put(struct connection *c, const void *bytes, size_t n)
{
    uv_write_t *w = calloc(1, sizeof *w);
    uv_buf_t buf;

    w->data = memcpy(malloc(n), bytes, n);
    buf = uv_buf_init(w->data, (unsigned)n);
    uv_write(w, (uv_stream_t *)&c->tcp, &buf, 1, on_written);
}

static void put_all(struct connection *c)
{
    const uint8_t *bytes;
    ssize_t n;

    while (!uv_is_closing((uv_handle_t *)&c->tcp) &&
           (n = nghttp2_session_mem_send(c->session, &bytes)) > 0)
        put(c, bytes, (size_t)n);
}

/* --- answers ---------------------------------------------------------------------------------- */

#define NV(name, value)                                                                            \
    {                                                                                              \
        (uint8_t *)(uintptr_t)(name), (uint8_t *)(uintptr_t)(value), strlen(name), strlen(value),  \
            NGHTTP2_NV_FLAG_NONE                                                                   \
    }

static ssize_t on_wanted(nghttp2_session *session, int32_t id, uint8_t *buf, size_t n,
                         uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct request *r = source->ptr;
    nghttp2_nv trailer[] = {NV("x-trailer", "1")};

    if (n > r->left)
        n = r->left;
    if (n == 0 && r->held)
        return NGHTTP2_ERR_DEFERRED;
    if (r->from)
        memcpy(buf, r->from, n);
    else
        memset(buf, 'x', n);
    r->from = r->from ? r->from + n : NULL;
    r->left -= n;
    if (r->left > 0 || r->held)
        return (ssize_t)n;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (r->trailer) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_submit_trailer(session, id, trailer, 1);
    }
    return (ssize_t)n;
}

static void answer(struct connection *c, int32_t id, struct request *r, const char *status)
{
    nghttp2_nv head[] = {NV(":status", status), NV("retry-after", "7")};
    nghttp2_data_provider body = {.source = {.ptr = r}, .read_callback = on_wanted};

    nghttp2_submit_response(c->session, id, head, strcmp(status, "429") == 0 ? 2 : 1, &body);
}

static void echo(struct connection *c, int32_t id, struct request *r)
{
    snprintf(r->text, sizeof r->text, "%s %zu %s%s", r->method, r->body_n, r->authority, r->path);
    r->from = r->text;
    r->left = strlen(r->text);
    answer(c, id, r, "200");
}

static bool is(const struct request *r, const char *name)
{
    size_t n = strlen(name);

    return strncmp(r->path, name, n) == 0 && (r->path[n] == '\0' || r->path[n] == '?');
}

/* Shall it misbehave this time? Without a number: always. */
static bool misbehaves(struct connection *c, const struct request *r)
{
    const char *n = strchr(r->path, '?');

    if (!n)
        return true;
    return __atomic_add_fetch(&c->server->misbehaved_n, 1, __ATOMIC_SEQ_CST) <=
           (uint32_t)atoi(n + 1);
}

static void part(struct connection *c, int32_t id, struct request *r)
{
    r->from = "01234567";
    r->left = 8;
    r->held = true;
    answer(c, id, r, "200");
}

static void early(struct connection *c, int32_t id)
{
    nghttp2_nv head[] = {NV(":status", "103"), NV("retry-after", "5")};

    nghttp2_submit_headers(c->session, NGHTTP2_FLAG_NONE, id, NULL, head, 2, NULL);
}

static void end_connection(struct connection *c, int32_t id, struct request *r)
{
    if (is(r, "/cut"))
        part(c, id, r);
    put_all(c);
    hang_up(c);
}

static void serve(struct connection *c, int32_t id, struct request *r)
{
    bool bad = is(r, "/refuse") || is(r, "/leave") || is(r, "/drop") ? misbehaves(c, r) : false;

    r->trailer = is(r, "/trailer");
    if (is(r, "/goaway"))
        nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR, NULL, 0);
    if (is(r, "/early"))
        early(c, id);
    if (is(r, "/mute"))
        return;
    c->frozen = is(r, "/freeze");
    if (is(r, "/hold") || c->frozen) {
        part(c, id, r);
    } else if (is(r, "/big")) {
        r->left = (size_t)atol(strchr(r->path, '?') + 1);
        answer(c, id, r, "200");
    } else if (is(r, "/busy")) {
        answer(c, id, r, "429");
    } else if (is(r, "/reset") || (is(r, "/refuse") && bad)) {
        nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, id,
                                  bad ? NGHTTP2_REFUSED_STREAM : NGHTTP2_INTERNAL_ERROR);
    } else if (is(r, "/leave") && bad) {
        nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE, id > 2 ? id - 2 : 0, NGHTTP2_NO_ERROR,
                              NULL, 0);
    } else if (is(r, "/cut") || (is(r, "/drop") && bad)) {
        end_connection(c, id, r);
    } else if (is(r, "/junk")) {
        put(c, "HTTP/1.1 200 OK\r\n\r\n", 19);
    } else {
        echo(c, id, r);
    }
}

/* --- nghttp2 ---------------------------------------------------------------------------------- */

static int on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct connection *c = arg;
    struct request *r = calloc(1, sizeof *r);

    r->next = c->all;
    c->all = r;
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, r);
    __atomic_add_fetch(&c->server->requests_n, 1, __ATOMIC_SEQ_CST);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *arg)
{
    struct request *r = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    const struct {
        const char *name;
        char *to;
        size_t n;
    } kept[] = {{":method", r->method, sizeof r->method},
                {":path", r->path, sizeof r->path},
                {":authority", r->authority, sizeof r->authority}};

    for (size_t i = 0; i < 3; i++)
        if (strcmp((const char *)name, kept[i].name) == 0)
            snprintf(kept[i].to, kept[i].n, "%s", (const char *)value);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                   size_t n, void *arg)
{
    struct request *r = nghttp2_session_get_stream_user_data(session, id);

    r->body_n += n;
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct request *r = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    struct connection *c = arg;

    if (frame->hd.type == NGHTTP2_PING)
        __atomic_add_fetch(&c->server->pings_n, 1, __ATOMIC_SEQ_CST);
    if (r && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        serve(arg, frame->hd.stream_id, r);
    return 0;
}

static void session_open(struct connection *c)
{
    nghttp2_settings_entry streams = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
                                      c->server->streams_max};
    nghttp2_session_callbacks *callbacks;

    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_server_new(&c->session, callbacks, c);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, &streams, streams.value > 0);
}

/* --- sockets ---------------------------------------------------------------------------------- */

static void on_room(uv_handle_t *h, size_t n, uv_buf_t *buf)
{
    static char bytes[64 * 1024];

    *buf = uv_buf_init(bytes, sizeof bytes);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    struct connection *c = s->data;

    if (n >= 0 && c->frozen)
        return;
    if (n < 0 || nghttp2_session_mem_recv(c->session, (const uint8_t *)buf->base, (size_t)n) < 0)
        hang_up(c);
    put_all(c);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct h2server *s = listener->data;
    struct connection *c = calloc(1, sizeof *c);

    c->server = s;
    uv_tcp_init(&s->loop, &c->tcp);
    c->tcp.data = c;
    uv_accept(listener, (uv_stream_t *)&c->tcp);
    __atomic_add_fetch(&s->connections_n, 1, __ATOMIC_SEQ_CST);
    session_open(c);
    uv_read_start((uv_stream_t *)&c->tcp, on_room, on_read);
    put_all(c);
}

/* --- life ------------------------------------------------------------------------------------- */

static void close_each(uv_handle_t *h, void *arg)
{
    struct h2server *s = arg;

    if (uv_is_closing(h))
        return;
    if (h == (uv_handle_t *)&s->listener || h == (uv_handle_t *)&s->stop)
        uv_close(h, NULL);
    else
        hang_up(h->data);
}

static void on_stop(uv_async_t *a)
{
    uv_walk(a->loop, close_each, a->data);
}

static void run(void *arg)
{
    struct h2server *s = arg;

    uv_run(&s->loop, UV_RUN_DEFAULT);
    uv_loop_close(&s->loop);
}

struct h2server *h2server_start(uint32_t streams_max)
{
    struct h2server *s = calloc(1, sizeof *s);
    struct sockaddr_in at;
    int n = sizeof at;

    s->streams_max = streams_max;
    uv_loop_init(&s->loop);
    uv_tcp_init(&s->loop, &s->listener);
    s->listener.data = s;
    uv_ip4_addr("127.0.0.1", 0, &at);
    uv_tcp_bind(&s->listener, (const struct sockaddr *)&at, 0);
    uv_listen((uv_stream_t *)&s->listener, 64, on_connection);
    uv_tcp_getsockname(&s->listener, (struct sockaddr *)&at, &n);
    s->port = ntohs(at.sin_port);
    uv_async_init(&s->loop, &s->stop, on_stop);
    s->stop.data = s;
    uv_thread_create(&s->thread, run, s);
    return s;
}

void h2server_stop(struct h2server *s)
{
    uv_async_send(&s->stop);
    uv_thread_join(&s->thread);
    free(s);
}

int h2server_port(const struct h2server *s)
{
    return s->port;
}

uint32_t h2server_connections_n(struct h2server *s)
{
    return __atomic_load_n(&s->connections_n, __ATOMIC_SEQ_CST);
}

uint32_t h2server_requests_n(struct h2server *s)
{
    return __atomic_load_n(&s->requests_n, __ATOMIC_SEQ_CST);
}

uint32_t h2server_pings_n(struct h2server *s)
{
    return __atomic_load_n(&s->pings_n, __ATOMIC_SEQ_CST);
}

void h2server_calm(struct h2server *s)
{
    __atomic_store_n(&s->misbehaved_n, 0, __ATOMIC_SEQ_CST);
}
