/* SPDX-License-Identifier: Apache-2.0 */
/* http.c - connections, the little of HTTP/1.1 that is needed, and the exchange of each.
 *
 *   READING --whole request--> ANSWERING --on_end--> READING
 *      |                           |
 *      +--- end of file, error ----+--> closing: freed when the handle and the exchange have ended
 *
 * Bytes that come while an answer is on its way wait in the buffer.
 */
#include "tests/scale/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "cel/base/buf.h"

struct scale_http {
    struct kube_transport *transport;
    uv_loop_t *loop;
    uv_tcp_t server;
    uint16_t port;
    uint64_t sent_bytes, queued_bytes;
    uint32_t connections_n;
    bool closing, closed;
    struct kr_link connections;
};

struct conn {
    struct scale_http *h;
    uv_tcp_t tcp;
    struct kr_link link;
    struct kr_buf in;
    size_t request_n; /* bytes of the request being answered, at the start of `in` */
    struct kube_exchange x;
    bool answering, closing, closed;
    char *head; /* owned: the head of that request; the exchange borrows from it */
};

struct out { /* bytes on their way */
    uv_write_t req;
    struct conn *conn;
    size_t n;
    char bytes[];
};

static void conn_read(struct conn *c);

/* --- closing ---------------------------------------------------------------------------------- */

static void server_free(struct scale_http *h)
{
    if (h->closed && h->connections_n == 0)
        kr_free(h);
}

static void conn_free(struct conn *c)
{
    struct scale_http *h = c->h;

    if (!c->closed || c->answering)
        return;
    kr_link_remove(&c->link);
    kr_buf_fini(&c->in);
    kr_free(c->head);
    kr_free(c);
    h->connections_n--;
    server_free(h);
}

static void on_closed(uv_handle_t *handle)
{
    struct conn *c = KR_OWNER((uv_tcp_t *)handle, struct conn, tcp);

    c->closed = true;
    conn_free(c);
}

static void conn_close(struct conn *c)
{
    if (c->closing)
        return;
    c->closing = true;
    if (c->answering)
        c->h->transport->ops->cancel(c->h->transport, &c->x);
    uv_close((uv_handle_t *)&c->tcp, on_closed);
}

/* --- writing ---------------------------------------------------------------------------------- */

static void on_written(uv_write_t *req, int status)
{
    struct out *o = KR_OWNER(req, struct out, req);

    o->conn->h->queued_bytes -= o->n;
    if (status < 0)
        conn_close(o->conn);
    kr_free(o);
}

/* Sends up to three pieces as one. */
static void conn_write(struct conn *c, kr_str a, kr_str b, kr_str end)
{
    size_t n = a.n + b.n + end.n;
    struct out *o = kr_realloc(NULL, sizeof *o + n);
    uv_buf_t buf = uv_buf_init(o->bytes, (unsigned)n);

    o->conn = c;
    o->n = n;
    memcpy(o->bytes, a.s, a.n);
    if (b.n)
        memcpy(o->bytes + a.n, b.s, b.n);
    if (end.n)
        memcpy(o->bytes + a.n + b.n, end.s, end.n);
    c->h->sent_bytes += n;
    c->h->queued_bytes += n;
    if (uv_write(&o->req, (uv_stream_t *)&c->tcp, &buf, 1, on_written) != 0) {
        c->h->queued_bytes -= n;
        kr_free(o);
        conn_close(c);
    }
}

/* --- the exchange ----------------------------------------------------------------------------- */

static void on_head(struct kube_exchange *x, int status, int64_t retry_after_ms)
{
    struct conn *c = KR_OWNER(x, struct conn, x);
    char text[160];
    int n = snprintf(text, sizeof text,
                     "HTTP/1.1 %d X\r\nContent-Type: application/json\r\n"
                     "Transfer-Encoding: chunked\r\n",
                     status);

    if (retry_after_ms >= 0)
        n += snprintf(text + n, sizeof text - (size_t)n, "Retry-After: %d\r\n",
                      (int)(retry_after_ms / 1000));
    conn_write(c, (kr_str){text, (size_t)n}, KR_S("\r\n"), KR_S(""));
}

static bool on_bytes(struct kube_exchange *x, const char *bytes, size_t n)
{
    struct conn *c = KR_OWNER(x, struct conn, x);
    char size[24];
    int m = snprintf(size, sizeof size, "%zx\r\n", n);

    if (n && !c->closing)
        conn_write(c, (kr_str){size, (size_t)m}, (kr_str){bytes, n}, KR_S("\r\n"));
    return true;
}

static void on_end(struct kube_exchange *x, int rc, const struct kr_err *err)
{
    struct conn *c = KR_OWNER(x, struct conn, x);

    c->answering = false;
    if (c->closing) {
        conn_free(c);
        return;
    }
    if (rc < 0) {
        conn_close(c);
        return;
    }
    conn_write(c, KR_S("0\r\n\r\n"), KR_S(""), KR_S(""));
    memmove(c->in.s, c->in.s + c->request_n, c->in.n - c->request_n);
    c->in.n -= c->request_n;
    c->request_n = 0;
    conn_read(c);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Takes the next line of a head, and ends it with a NUL in place. */
static char *next_line(char **rest)
{
    char *line = *rest, *end = strstr(line, "\r\n");

    if (!end || end == line)
        return NULL;
    *end = '\0';
    *rest = end + 2;
    return line;
}

/* The value of a line "Name: value", if it has that name. */
static const char *header(const char *line, const char *name)
{
    size_t n = strlen(name);

    if (strncasecmp(line, name, n) != 0 || line[n] != ':')
        return NULL;
    return line + n + 1 + strspn(line + n + 1, " ");
}

/* Reads the head (owned, NUL-terminated) into the exchange. Returns the length of the body, or -1. */
static int64_t read_head(struct conn *c)
{
    char *rest = c->head, *line = next_line(&rest), *path, *version;
    int64_t body_n = 0;

    path = line ? strchr(line, ' ') : NULL;
    version = path ? strchr(path + 1, ' ') : NULL;
    if (!version)
        return -1;
    *path = *version = '\0';
    c->x = (struct kube_exchange){.method = line,
                                  .path = kr_str_c(path + 1),
                                  .on_head = on_head,
                                  .on_bytes = on_bytes,
                                  .on_end = on_end};
    while ((line = next_line(&rest)) != NULL) {
        const char *v;

        if ((v = header(line, "content-length")) != NULL)
            body_n = strtoll(v, NULL, 10);
        else if ((v = header(line, "content-type")) != NULL)
            c->x.content_type = v;
        else if ((v = header(line, "accept")) != NULL)
            c->x.accept = v;
        else if ((v = header(line, "user-agent")) != NULL)
            c->x.user_agent = v;
    }
    return body_n >= 0 && body_n < SCALE_HTTP_REQUEST_MAX ? body_n : -1;
}

/* Starts the request at the front of the buffer, if it is there as a whole. */
static void conn_read(struct conn *c)
{
    ptrdiff_t end = kr_str_find(kr_buf_view(&c->in), KR_S("\r\n\r\n"));
    size_t head_n = (size_t)end + 4;
    int64_t body_n;

    if (end < 0 || c->answering || c->closing)
        return;
    kr_free(c->head);
    c->head = kr_cstrdup(kr_str_sub(kr_buf_view(&c->in), 0, head_n));
    body_n = read_head(c);
    if (body_n < 0) {
        conn_close(c);
        return;
    }
    if (c->in.n < head_n + (size_t)body_n)
        return;
    c->request_n = head_n + (size_t)body_n;
    c->x.body = (kr_str){c->in.s + head_n, (size_t)body_n};
    c->answering = true;
    c->h->transport->ops->start(c->h->transport, &c->x);
}

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
    static char bytes[64 * 1024];

    *buf = uv_buf_init(bytes, sizeof bytes);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct conn *c = KR_OWNER((uv_tcp_t *)stream, struct conn, tcp);

    if (n > 0 && c->answering) { /* the body being answered may not move: a client that pipelines */
        conn_close(c);
        return;
    }
    if (n > 0)
        kr_buf_add(&c->in, buf->base, (size_t)n);
    if (n < 0 || c->in.full) {
        conn_close(c);
        return;
    }
    conn_read(c);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct scale_http *h = KR_OWNER((uv_tcp_t *)server, struct scale_http, server);
    struct conn *c;

    if (status < 0 || h->closing)
        return;
    c = KR_ALLOC(struct conn);
    c->h = h;
    kr_buf_init(&c->in, SCALE_HTTP_REQUEST_MAX);
    uv_tcp_init(h->loop, &c->tcp);
    uv_tcp_nodelay(&c->tcp, 1);
    kr_link_push(&h->connections, &c->link);
    h->connections_n++;
    if (uv_accept(server, (uv_stream_t *)&c->tcp) != 0 ||
        uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0)
        conn_close(c);
}

/* --- the server ------------------------------------------------------------------------------- */

struct scale_http *scale_http_new(uv_loop_t *loop, struct kube_transport *transport)
{
    struct scale_http *h = KR_ALLOC(struct scale_http);
    struct sockaddr_in at;
    struct sockaddr_storage bound;
    int n = sizeof bound;

    h->transport = transport;
    h->loop = loop;
    kr_link_init(&h->connections);
    uv_tcp_init(loop, &h->server);
    uv_ip4_addr("127.0.0.1", 0, &at);
    if (uv_tcp_bind(&h->server, (struct sockaddr *)&at, 0) != 0 ||
        uv_listen((uv_stream_t *)&h->server, SCALE_HTTP_BACKLOG, on_connection) != 0 ||
        uv_tcp_getsockname(&h->server, (struct sockaddr *)&bound, &n) != 0) {
        scale_http_close(h);
        return NULL;
    }
    h->port = ntohs(((struct sockaddr_in *)&bound)->sin_port);
    return h;
}

uint16_t scale_http_port(const struct scale_http *h)
{
    return h->port;
}

uint64_t scale_http_sent_bytes(const struct scale_http *h)
{
    return h->sent_bytes;
}

uint64_t scale_http_queued_bytes(const struct scale_http *h)
{
    return h->queued_bytes;
}

uint32_t scale_http_connections_n(const struct scale_http *h)
{
    return h->connections_n;
}

static void on_server_closed(uv_handle_t *handle)
{
    struct scale_http *h = KR_OWNER((uv_tcp_t *)handle, struct scale_http, server);

    h->closed = true;
    server_free(h);
}

void scale_http_close(struct scale_http *h)
{
    h->closing = true;
    for (struct kr_link *l = h->connections.next; l != &h->connections; l = l->next)
        conn_close(KR_OWNER(l, struct conn, link));
    uv_close((uv_handle_t *)&h->server, on_server_closed);
}
