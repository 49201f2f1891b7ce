/* SPDX-License-Identifier: Apache-2.0 */
/* http.c - three small listeners: libmicrohttpd on its epoll descriptor, polled by the one loop.
 *
 *   uv_poll(epoll descriptor of a daemon) --readable--> MHD_run --> on_request, in the same call
 *   uv_timer <-- MHD_get_timeout, set anew after each run: idle connections end
 *
 * No thread is started. We bind the socket ourselves, so that a refusal can name flag and address.
 * What a page shows is made inside the request: nothing waits, so nothing has to be kept.
 */
#include "reactor/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cel/base/banned.h"

enum {
    BACKLOG = 64,
    HOST_MAX = 256,                /* bytes of an address's host */
    CONNECTION_MEMORY = 16 * 1024, /* of libmicrohttpd, for request line and headers */
};

struct listener {
    struct reactor_http *owner;
    const char *flag; /* for messages */
    bool takes_put;
    enum MHD_Result (*page)(struct reactor_http *h, struct MHD_Connection *c, const char *path,
                            bool put);

    struct MHD_Daemon *daemon; /* NULL: off */
    uint16_t port;
    uv_poll_t poll;
    uv_timer_t timer;
    uint8_t open_n; /* handles that are not closed yet */
};

struct reactor_http {
    struct reactor_http_opts opts;
    uint64_t opened_ms;
    bool was_ready; /* once ready, always ready */

    struct listener metrics, health, debug;
    struct kr_err debug_err; /* why debug is not open */
    uv_timer_t life;         /* never runs: its close is the last word, also when nothing listens */
    uint8_t parts_n;         /* of these, not closed yet */
    void (*closed)(void *arg);
    void *closed_arg;
};

/* --- pages ------------------------------------------------------------------------------------ */

static enum MHD_Result answer(struct MHD_Connection *c, unsigned status, const char *type,
                              kr_str body)
{
    /* The body is copied: what it lives in ends with this call. */
    struct MHD_Response *r = MHD_create_response_from_buffer(body.n, (void *)(body.n ? body.s : ""),
                                                             MHD_RESPMEM_MUST_COPY);
    enum MHD_Result rc;

    if (r == NULL)
        return MHD_NO; /* closes the connection */
    MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    rc = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return rc;
}

static enum MHD_Result answer_text(struct MHD_Connection *c, unsigned status, kr_str body)
{
    return answer(c, status, "text/plain; charset=utf-8", body);
}

static enum MHD_Result not_found(struct MHD_Connection *c)
{
    return answer_text(c, MHD_HTTP_NOT_FOUND, KR_S("404 page not found\n"));
}

static enum MHD_Result metrics_page(struct reactor_http *h, struct MHD_Connection *c,
                                    const char *path, bool put)
{
    KR_AUTO(kr_buf) text = KR_BUF(REACTOR_METRICS_TEXT_MAX);

    if (strcmp(path, "/metrics") != 0)
        return not_found(c);
    reactor_metrics_text(h->opts.metrics, &text);
    if (text.full)
        return answer_text(c, MHD_HTTP_INTERNAL_SERVER_ERROR,
                           KR_S("the metrics are over their limit\n"));
    return answer(c, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", kr_buf_view(&text));
}

static enum MHD_Result ready_page(struct reactor_http *h, struct MHD_Connection *c)
{
    KR_AUTO(kr_buf) why = KR_BUF(REACTOR_HTTP_WHY_MAX);
    bool verbose = MHD_lookup_connection_value_n(c, MHD_GET_ARGUMENT_KIND, "verbose",
                                                 strlen("verbose"), NULL, NULL) == MHD_YES;

    if (h->opts.ready == NULL || h->opts.ready(h->opts.arg, &why))
        h->was_ready = true;
    else if (uv_now(h->opts.loop) - h->opened_ms >= h->opts.ready_max_ms)
        h->was_ready = true;
    if (!h->was_ready) {
        kr_buf_fmt(&why, "%sreadyz check failed\n", why.n && why.s[why.n - 1] != '\n' ? "\n" : "");
        return answer_text(c, MHD_HTTP_SERVICE_UNAVAILABLE, kr_buf_view(&why));
    }
    if (!verbose)
        return answer_text(c, MHD_HTTP_OK, KR_S("ok"));
    kr_buf_fmt(&why, "%sreadyz check passed\n", why.n && why.s[why.n - 1] != '\n' ? "\n" : "");
    return answer_text(c, MHD_HTTP_OK, kr_buf_view(&why));
}

static enum MHD_Result health_page(struct reactor_http *h, struct MHD_Connection *c,
                                   const char *path, bool put)
{
    if (strcmp(path, "/healthz") == 0)
        return answer_text(c, MHD_HTTP_OK, KR_S("ok"));
    if (strcmp(path, "/readyz") == 0)
        return ready_page(h, c);
    return not_found(c);
}

/* --- debug pages ------------------------------------------------------------------------------ */

struct reactor_http_query {
    struct MHD_Connection *c;
    bool put;
};

kr_str reactor_http_arg(const struct reactor_http_query *q, const char *name)
{
    return kr_str_c(MHD_lookup_connection_value(q->c, MHD_GET_ARGUMENT_KIND, name));
}

bool reactor_http_is_put(const struct reactor_http_query *q)
{
    return q->put;
}

static enum MHD_Result debug_page(struct reactor_http *h, struct MHD_Connection *c,
                                  const char *path, bool put)
{
    KR_AUTO(kr_buf) text = KR_BUF(REACTOR_HTTP_DEBUG_MAX);
    struct reactor_http_query q = {c, put};
    bool json = false;
    unsigned status;

    if (h->opts.debug == NULL)
        return not_found(c);
    status = h->opts.debug(h->opts.arg, path, &q, &text, &json);
    if (text.full)
        return answer_text(c, MHD_HTTP_INTERNAL_SERVER_ERROR, KR_S("the page is over its limit\n"));
    return answer(c, status, json ? "application/json" : "text/plain; charset=utf-8",
                  kr_buf_view(&text));
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *path,
                                  const char *method, const char *version, const char *body,
                                  size_t *body_n, void **seen)
{
    static int headers_seen;
    struct listener *l = arg;
    bool put = l->takes_put && strcmp(method, MHD_HTTP_METHOD_PUT) == 0;

    /* The first call comes when the headers are in, before a body; a body is refused unread, that of a PUT
     * dropped: its arguments say all. */
    if (!put && strcmp(method, MHD_HTTP_METHOD_GET) != 0 &&
        strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return answer_text(c, MHD_HTTP_METHOD_NOT_ALLOWED, KR_S("405 method not allowed\n"));
    if (*seen == NULL) {
        *seen = &headers_seen;
        return MHD_YES;
    }
    if (put && *body_n > 0) {
        *body_n = 0;
        return MHD_YES;
    }
    *body_n = 0;
    return l->page(l->owner, c, path, put);
}

/* --- the loop --------------------------------------------------------------------------------- */

static void on_timeout(uv_timer_t *timer);

static unsigned connections_n(struct listener *l)
{
    return MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections;
}

static void run(struct listener *l)
{
    unsigned before = connections_n(l);
    MHD_UNSIGNED_LONG_LONG timeout_ms;

    MHD_run(l->daemon);
    /* At its limit the daemon does not listen, and takes that up again only at the head of a run.
     */
    if (connections_n(l) < before)
        uv_timer_start(&l->timer, on_timeout, 0, 0);
    else if (MHD_get_timeout(l->daemon, &timeout_ms) == MHD_YES)
        uv_timer_start(&l->timer, on_timeout, timeout_ms, 0);
    else
        uv_timer_stop(&l->timer);
}

static void on_timeout(uv_timer_t *timer)
{
    run(KR_OWNER(timer, struct listener, timer));
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    run(KR_OWNER(poll, struct listener, poll));
}

/* --- listening -------------------------------------------------------------------------------- */

/* "host:port", ":port", "[::1]:port" */
static int split_address(const char *flag, const char *address, char host[HOST_MAX],
                         const char **port, struct kr_err *err)
{
    kr_str text = kr_str_c(address);
    ptrdiff_t colon = kr_str_rchr(text, ':');
    kr_str name = kr_str_sub(text, 0, colon < 0 ? 0 : (size_t)colon);
    uint64_t number;

    if (colon < 0 || !kr_str_u64(kr_str_sub(text, (size_t)colon + 1, text.n), &number) ||
        number > UINT16_MAX)
        return kr_fail(err, KR_E_INPUT,
                       "--%s: \"%s\" is not an address (\"host:port\" or \":port\")", flag,
                       address);
    if (name.n >= 2 && name.s[0] == '[' && name.s[name.n - 1] == ']')
        name = kr_str_sub(name, 1, name.n - 1);
    if (name.n >= HOST_MAX)
        return kr_fail(err, KR_E_INPUT, "--%s: the host is longer than %d bytes", flag,
                       HOST_MAX - 1);
    memcpy(host, name.s, name.n);
    host[name.n] = '\0';
    *port = address + colon + 1;
    return 0;
}

/* A socket that listens, or -1 with errno. Without a host: all addresses, IPv4 and IPv6 alike. */
static int listen_on(const struct addrinfo *ai, bool any)
{
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    int dual = !any;

    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (ai->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &dual, sizeof(dual));
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    on = errno;
    close(fd);
    errno = on;
    return -1;
}

static int refused(const char *flag, const char *address, int error, struct kr_err *err)
{
    if (error == EADDRINUSE)
        return kr_fail(
            err, KR_E_INPUT,
            "--%s: %s is occupied by another program; end it, give another address, or 0 to "
            "turn this one off",
            flag, address);
    return kr_fail(err, KR_E_INPUT, "--%s: cannot listen on %s: %s", flag, address,
                   strerror(error));
}

static int open_socket(const char *flag, const char *address, int *out, struct kr_err *err)
{
    char host[HOST_MAX] = "";
    const char *port = NULL;
    struct addrinfo *list = NULL;
    int fd = -1;
    int error = 0;
    int rc;

    KR_TRY(split_address(flag, address, host, &port, err));
    if (strcmp(host, "localhost") == 0) /* loopback by RFC 6761, also where no /etc/hosts says so */
        snprintf(host, sizeof(host), "127.0.0.1");
    /* Two tries without a host: a machine without IPv6 refuses the first. */
    for (int i = 0; i < 2 && fd < 0 && error != EADDRINUSE; i++) {
        struct addrinfo want = {.ai_socktype = SOCK_STREAM,
                                .ai_flags = AI_PASSIVE | AI_NUMERICSERV};

        if (*host == '\0')
            want.ai_family = i == 0 ? AF_INET6 : AF_INET;
        else if (i == 1)
            break;
        rc = getaddrinfo(*host ? host : NULL, port, &want, &list);
        if (rc != 0 && *host)
            return kr_fail(err, KR_E_INPUT, "--%s: %s: %s", flag, address, gai_strerror(rc));
        if (rc != 0)
            continue;
        fd = listen_on(list, *host == '\0');
        error = fd < 0 ? errno : 0;
        freeaddrinfo(list);
    }
    if (fd < 0)
        return refused(flag, address, error, err);
    *out = fd;
    return 0;
}

static uint16_t port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } a = {.v6 = {0}};
    socklen_t n = sizeof(a);

    if (getsockname(fd, &a.any, &n) != 0)
        return 0;
    return ntohs(a.any.sa_family == AF_INET6 ? a.v6.sin6_port : a.v4.sin_port);
}

static int start_daemon(struct listener *l, int fd, struct kr_err *err)
{
    const union MHD_DaemonInfo *info;

    l->daemon = MHD_start_daemon(
        MHD_USE_EPOLL, 0, NULL, NULL, on_request, l, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)REACTOR_HTTP_CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)REACTOR_HTTP_IDLE_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_END);
    if (l->daemon == NULL) {
        close(fd);
        return kr_fail(err, KR_E_IO, "--%s: the HTTP server does not start", l->flag);
    }
    info = MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == NULL || uv_poll_init(l->owner->opts.loop, &l->poll, info->epoll_fd) != 0) {
        MHD_stop_daemon(l->daemon);
        l->daemon = NULL;
        return kr_fail(err, KR_E_IO, "--%s: the HTTP server cannot be polled", l->flag);
    }
    uv_timer_init(l->owner->opts.loop, &l->timer);
    l->open_n = 2;
    uv_poll_start(&l->poll, UV_READABLE, on_readable);
    return 0;
}

static int open_listener(struct listener *l, const char *address, struct kr_err *err)
{
    int fd = -1;

    if (address == NULL)
        return 0;
    KR_TRY(open_socket(l->flag, address, &fd, err));
    l->port = port_of(fd);
    return start_daemon(l, fd, err);
}

int reactor_http_open(const struct reactor_http_opts *opts, struct reactor_http **out,
                      struct kr_err *err)
{
    struct reactor_http *h = KR_ALLOC(struct reactor_http);
    int rc;

    h->opts = *opts;
    if (h->opts.ready_max_ms == 0)
        h->opts.ready_max_ms = REACTOR_READY_MAX_MS;
    h->opened_ms = uv_now(opts->loop);
    uv_timer_init(opts->loop, &h->life);
    h->metrics =
        (struct listener){.owner = h, .flag = "metrics-bind-address", .page = metrics_page};
    h->health =
        (struct listener){.owner = h, .flag = "health-probe-bind-address", .page = health_page};
    h->debug = (struct listener){
        .owner = h, .flag = "debug-bind-address", .takes_put = true, .page = debug_page};
    rc = open_listener(&h->metrics, opts->metrics_address, err);
    if (rc == 0)
        rc = open_listener(&h->health, opts->health_address, err);
    if (rc == 0 && open_listener(&h->debug, opts->debug_address, &h->debug_err) < 0 &&
        !opts->debug_may_fail) {
        *err = h->debug_err;
        rc = KR_E_INPUT;
    }
    if (rc < 0) {
        reactor_http_close(h, NULL, NULL);
        return rc;
    }
    *out = h;
    return 0;
}

uint16_t reactor_http_metrics_port(const struct reactor_http *h)
{
    return h->metrics.port;
}

uint16_t reactor_http_health_port(const struct reactor_http *h)
{
    return h->health.port;
}

uint16_t reactor_http_debug_port(const struct reactor_http *h)
{
    return h->debug.port;
}

kr_str reactor_http_debug_why(const struct reactor_http *h)
{
    return kr_err_str(&h->debug_err);
}

/* --- closing ---------------------------------------------------------------------------------- */

static void part_closed(struct reactor_http *h)
{
    if (--h->parts_n > 0)
        return;
    if (h->closed)
        h->closed(h->closed_arg);
    kr_free(h);
}

static void on_life_closed(uv_handle_t *handle)
{
    part_closed(KR_OWNER((uv_timer_t *)handle, struct reactor_http, life));
}

/* The descriptor is polled until its handle is closed: the daemon ends after that. */
static void handle_closed(struct listener *l)
{
    if (--l->open_n > 0)
        return;
    MHD_stop_daemon(l->daemon);
    part_closed(l->owner);
}

static void on_poll_closed(uv_handle_t *handle)
{
    handle_closed(KR_OWNER((uv_poll_t *)handle, struct listener, poll));
}

static void on_timer_closed(uv_handle_t *handle)
{
    handle_closed(KR_OWNER((uv_timer_t *)handle, struct listener, timer));
}

static void close_listener(struct listener *l)
{
    if (l->daemon == NULL)
        return;
    l->owner->parts_n++;
    uv_close((uv_handle_t *)&l->poll, on_poll_closed);
    uv_close((uv_handle_t *)&l->timer, on_timer_closed);
}

void reactor_http_close(struct reactor_http *h, void (*closed)(void *arg), void *arg)
{
    h->closed = closed;
    h->closed_arg = arg;
    h->parts_n = 1;
    close_listener(&h->metrics);
    close_listener(&h->health);
    close_listener(&h->debug);
    uv_close((uv_handle_t *)&h->life, on_life_closed);
}
