/* SPDX-License-Identifier: Apache-2.0 */
/* serve.c - requests from libmicrohttpd to sandbox_serve and back.
 *
 *   on_uri ---> on_request (headers) ---> on_request (body ...) ---> on_request (all there)
 *   exchange                                                          |delay: suspended, timer
 *                                                                     v
 *   on_completed <--- read_watch (a watch, until it ends) <------- answer
 *   exchange freed       | nothing to read: suspended until the watch says more,
 *                        | or the peer has gone (uv_poll for UV_DISCONNECT: libmicrohttpd does
 *                        | not look at suspended connections)
 */
#include "kube/sandbox/serve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "kube/sandbox/cert.h"

#include "cel/base/banned.h"

enum { BACKLOG = 512, CONNECTION_MEMORY = 48 * 1024 };

struct sandbox_server {
    struct sandbox_server_opts opts;
    char *token; /* "Bearer ..." */
    char *key, *cert;
    struct MHD_Daemon *daemon;
    struct kr_link exchanges;
    uint16_t port;
    uint64_t requests_n; /* for faults */
    bool running;        /* inside MHD_run */
    bool resumed;        /* a connection, meanwhile: it waits for the next run */
    uv_poll_t poll;
    uv_timer_t timer;
    uint32_t handles_n; /* not closed yet */
    void (*closed)(void *arg);
    void *closed_arg;
    bool closing;
};

/* One request, from its first line until its answer is sent. */
struct exchange {
    struct sandbox_server *server;
    struct MHD_Connection *c;
    char *uri;
    struct kr_buf body;
    bool begun, too_large, too_long, delayed, suspended, gone;
    size_t dropped_n; /* bytes of a body that is too large, read so that the client hears why */
    struct sandbox_watch *watch;
    struct kr_buf out; /* of the watch: made and not yet sent */
    size_t sent;
    uint64_t total; /* bytes of the answer's body so far */
    struct wait *wait;
    struct kr_link link; /* of the server */
};

/* A handle of libuv that outlives its exchange by a turn. */
struct wait {
    union {
        uv_handle_t handle;
        uv_poll_t poll;
        uv_timer_t timer;
    };
    struct exchange *x; /* NULL: it ended */
    struct sandbox_server *server;
};

static void on_timer(uv_timer_t *timer);

/* --- waiting ---------------------------------------------------------------------------------- */

static void part_closed(struct sandbox_server *server)
{
    if (--server->handles_n > 0)
        return;
    if (server->closed)
        server->closed(server->closed_arg);
    kr_free(server->token);
    kr_free(server->key);
    kr_free(server->cert);
    kr_free(server);
}

static void on_wait_closed(uv_handle_t *handle)
{
    struct wait *w = KR_OWNER(handle, struct wait, handle);

    part_closed(w->server);
    kr_free(w);
}

static struct wait *wait_new(struct exchange *x)
{
    struct wait *w = KR_ALLOC(struct wait);

    w->x = x;
    w->server = x->server;
    x->wait = w;
    x->server->handles_n++;
    return w;
}

static void wait_end(struct exchange *x)
{
    if (x->wait == NULL)
        return;
    x->wait->x = NULL;
    uv_close(&x->wait->handle, on_wait_closed);
    x->wait = NULL;
}

static void suspend(struct exchange *x)
{
    x->suspended = true;
    MHD_suspend_connection(x->c);
}

static void resume(struct exchange *x)
{
    if (!x->suspended)
        return;
    x->suspended = false;
    MHD_resume_connection(x->c);
    x->server->resumed = true;
    if (!x->server->running && !x->server->closing)
        uv_timer_start(&x->server->timer, on_timer, 0, 0);
}

static void on_disconnect(uv_poll_t *poll, int status, int events)
{
    struct wait *w = KR_OWNER(poll, struct wait, poll);

    uv_poll_stop(poll);
    if (w->x == NULL)
        return;
    w->x->gone = true;
    resume(w->x);
}

static void on_delay_over(uv_timer_t *timer)
{
    struct wait *w = KR_OWNER(timer, struct wait, timer);

    if (w->x)
        resume(w->x);
}

/* --- watches ---------------------------------------------------------------------------------- */

static void on_more(void *arg)
{
    resume(arg);
}

static void watch_peer(struct exchange *x)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->c, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct wait *w = wait_new(x);

    if (info && uv_poll_init(x->server->opts.loop, &w->poll, info->connect_fd) == 0) {
        uv_poll_start(&w->poll, UV_DISCONNECT, on_disconnect);
        return;
    }
    uv_timer_init(x->server->opts.loop, &w->timer); /* so that there is a handle to close */
}

/* libmicrohttpd asks for the next bytes of a watch. */
static ssize_t read_watch(void *arg, uint64_t at, char *out, size_t max)
{
    struct exchange *x = arg;
    uint64_t cut = x->server->opts.fault.cut_bytes;
    bool more = true;

    if (x->gone || (cut && x->total >= cut))
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (x->sent == x->out.n) {
        kr_buf_reset(&x->out);
        x->sent = 0;
        more = sandbox_watch_read(x->watch, &x->out, SANDBOX_CHUNK_BYTES);
    }
    if (x->out.full)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (x->sent == x->out.n) {
        if (!more)
            return MHD_CONTENT_READER_END_OF_STREAM;
        suspend(x);
        return 0;
    }
    max = max < x->out.n - x->sent ? max : x->out.n - x->sent;
    if (cut && max > cut - x->total)
        max = cut - x->total;
    memcpy(out, x->out.s + x->sent, max);
    x->sent += max;
    x->total += max;
    return (ssize_t)max;
}

/* The bytes of an answer that breaks off. */
static ssize_t read_cut(void *arg, uint64_t at, char *out, size_t max)
{
    struct exchange *x = arg;
    size_t left =
        x->server->opts.fault.cut_bytes > at ? (size_t)(x->server->opts.fault.cut_bytes - at) : 0;

    if (left == 0)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    max = max < left ? max : left;
    memcpy(out, x->out.s + at, max);
    return (ssize_t)max;
}

/* --- answers ---------------------------------------------------------------------------------- */

static struct MHD_Response *response_of(struct exchange *x, struct sandbox_response *r)
{
    uint64_t cut = x->server->opts.fault.cut_bytes;
    size_t n = r->body.n;
    char *bytes = r->body.s;

    if (r->watch) {
        x->watch = r->watch;
        kr_buf_init(&x->out, SANDBOX_RESPONSE_MAX);
        watch_peer(x);
        sandbox_watch_on_more(x->watch, on_more, x);
        return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, SANDBOX_CHUNK_BYTES, read_watch,
                                                 x, NULL);
    }
    if (cut && n > cut) {
        x->out = r->body;
        r->body = (struct kr_buf)KR_BUF(0);
        return MHD_create_response_from_callback(n, SANDBOX_CHUNK_BYTES, read_cut, x, NULL);
    }
    if (n == 0)
        return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    r->body = (struct kr_buf)KR_BUF(0); /* handed over */
    return MHD_create_response_from_buffer_with_free_callback(n, bytes, kr_free);
}

static void add_headers(struct MHD_Response *m, const struct sandbox_response *r)
{
    char text[32];

    MHD_add_response_header(m, MHD_HTTP_HEADER_CONTENT_TYPE,
                            r->content_type ? r->content_type : "application/json");
    if (r->retry_after_s) {
        snprintf(text, sizeof text, "%u", r->retry_after_s);
        MHD_add_response_header(m, MHD_HTTP_HEADER_RETRY_AFTER, text);
    }
    for (uint32_t i = 0; i < r->warnings_n; i++) {
        KR_AUTO(kr_buf) line = KR_BUF(16 * 1024);

        kr_buf_fmt(&line, "299 - \"");
        for (size_t k = 0; k < r->warnings[i].n; k++) {
            char ch = r->warnings[i].s[k];

            if (ch == '"' || ch == '\\')
                kr_buf_chr(&line, '\\');
            kr_buf_chr(&line, (unsigned char)ch < ' ' ? ' ' : ch);
        }
        kr_buf_chr(&line, '"');
        MHD_add_response_header(m, MHD_HTTP_HEADER_WARNING, line.s);
    }
}

static enum MHD_Result queue(struct exchange *x, struct sandbox_response *r)
{
    struct MHD_Response *m;
    unsigned status = (unsigned)r->status;
    enum MHD_Result rc;

    if (r->body.full)
        return MHD_NO; /* over any limit: the connection breaks */
    m = response_of(x, r);
    if (m == NULL)
        return MHD_NO;
    add_headers(m, r);
    rc = MHD_queue_response(x->c, status, m);
    MHD_destroy_response(m);
    return rc;
}

static void status_body(struct sandbox_response *r, int code, const char *reason,
                        const char *message)
{
    r->status = code;
    kr_buf_init(&r->body, SANDBOX_BODY_MAX);
    kr_buf_fmt(&r->body,
               "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\","
               "\"message\":\"%s\",\"reason\":\"%s\",\"code\":%d}\n",
               message, reason, code);
}

static kr_str header(struct exchange *x, const char *name)
{
    return kr_str_c(MHD_lookup_connection_value(x->c, MHD_HEADER_KIND, name));
}

/* Equal, in a time that does not tell where they differ. */
static bool same_secret(kr_str x, const char *secret)
{
    unsigned char differ = x.n != strlen(secret);

    for (size_t i = 0; i < x.n && secret[i]; i++)
        differ |= (unsigned char)(x.s[i] ^ secret[i]);
    return !differ;
}

static bool is_faulty(const struct sandbox_fault *fault, const char *method)
{
    return !fault->of[0] || strcmp(fault->of, method) == 0;
}

_Static_assert(SANDBOX_PATH_MAX == 16 * 1024, "as the text says");

static enum MHD_Result answer(struct exchange *x, const char *method)
{
    struct sandbox_server *server = x->server;
    const struct sandbox_fault *fault = &server->opts.fault;
    struct sandbox_response r = {0};
    struct sandbox_request q = {
        .method = method,
        .path = kr_str_c(x->uri),
        .body = kr_buf_view(&x->body),
        .content_type = header(x, MHD_HTTP_HEADER_CONTENT_TYPE),
        .accept = header(x, MHD_HTTP_HEADER_ACCEPT),
        .user_agent = header(x, MHD_HTTP_HEADER_USER_AGENT),
    };
    enum MHD_Result rc;

    server->requests_n += is_faulty(fault, method);
    if (server->token && !same_secret(header(x, MHD_HTTP_HEADER_AUTHORIZATION), server->token))
        status_body(&r, 401, "Unauthorized", "Unauthorized");
    else if (x->too_long)
        status_body(&r, 414, "RequestURITooLong", "the path and its query are over 16 KiB");
    else if (x->too_large)
        status_body(&r, 413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728");
    else if (fault->every && is_faulty(fault, method) && server->requests_n % fault->every == 0)
        status_body(&r, fault->status, "InternalError", "a fault on purpose");
    else
        sandbox_serve(server->opts.sandbox, &q, &r);
    rc = queue(x, &r);
    sandbox_response_fini(&r);
    return rc;
}

/* --- requests --------------------------------------------------------------------------------- */

static void *on_uri(void *arg, const char *uri, struct MHD_Connection *c)
{
    struct exchange *x = KR_ALLOC(struct exchange);

    x->server = arg;
    x->c = c;
    x->uri = kr_cstrdup(kr_str_c(uri));
    kr_buf_init(&x->body, SANDBOX_BODY_MAX);
    kr_link_push(&x->server->exchanges, &x->link);
    return x;
}

static void on_completed(void *arg, struct MHD_Connection *c, void **state,
                         enum MHD_RequestTerminationCode code)
{
    struct exchange *x = *state;

    if (x == NULL)
        return;
    wait_end(x);
    kr_link_remove(&x->link);
    sandbox_watch_close(x->watch);
    kr_buf_fini(&x->out);
    kr_buf_fini(&x->body);
    kr_free(x->uri);
    kr_free(x);
    *state = NULL;
}

static enum MHD_Result begin(struct exchange *x, const char *method)
{
    uint64_t n;

    x->begun = true;
    x->too_long = strlen(x->uri) > SANDBOX_PATH_MAX;
    if (kr_str_u64(header(x, MHD_HTTP_HEADER_CONTENT_LENGTH), &n) && n > SANDBOX_BODY_MAX) {
        x->too_large = true;
        if (n > SANDBOX_DRAIN_MAX || header(x, MHD_HTTP_HEADER_EXPECT).n)
            return answer(x, method); /* who asks first sends nothing */
    }
    return MHD_YES;
}

/* Who closes with bytes unread resets the connection, and a client that is still writing loses the answer
 * with it: what is too large is read to its end, within bounds. */
static enum MHD_Result take_body(struct exchange *x, const char *bytes, size_t n)
{
    if (!x->too_large)
        kr_buf_add(&x->body, bytes, n);
    else
        x->dropped_n += n;
    x->too_large |= x->body.full;
    return x->dropped_n > SANDBOX_DRAIN_MAX ? MHD_NO : MHD_YES;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *path,
                                  const char *method, const char *version, const char *bytes,
                                  size_t *n, void **state)
{
    struct sandbox_server *server = arg;
    struct exchange *x = *state;
    struct wait *w;

    if (!x->begun)
        return begin(x, method);
    if (*n > 0) {
        size_t body_n = *n;

        *n = 0;
        return take_body(x, bytes, body_n);
    }
    if (server->opts.fault.delay_ms && !x->delayed && is_faulty(&server->opts.fault, method)) {
        x->delayed = true;
        w = wait_new(x);
        uv_timer_init(server->opts.loop, &w->timer);
        uv_timer_start(&w->timer, on_delay_over, server->opts.fault.delay_ms, 0);
        suspend(x);
        return MHD_YES;
    }
    wait_end(x);
    return answer(x, method);
}

/* --- the loop --------------------------------------------------------------------------------- */

static void run(struct sandbox_server *server)
{
    MHD_UNSIGNED_LONG_LONG timeout_ms;

    if (server->closing)
        return;
    server->running = true;
    server->resumed = false;
    MHD_run(server->daemon);
    server->running = false;
    if (server->resumed) /* nothing else would wake it: MHD_get_timeout does not tell */
        uv_timer_start(&server->timer, on_timer, 0, 0);
    else if (MHD_get_timeout(server->daemon, &timeout_ms) == MHD_YES)
        uv_timer_start(&server->timer, on_timer, timeout_ms, 0);
    else
        uv_timer_stop(&server->timer);
}

static void on_timer(uv_timer_t *timer)
{
    run(KR_OWNER(timer, struct sandbox_server, timer));
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    run(KR_OWNER(poll, struct sandbox_server, poll));
}

static int listen_on(struct sandbox_server *server, int *out, struct kr_err *err)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons(server->opts.port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

    if (fd < 0)
        return kr_fail(err, KR_E_IO, "no socket: %s", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0 || listen(fd, BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &n) < 0) {
        kr_fail(err, KR_E_IO, "cannot listen on 127.0.0.1:%u: %s", server->opts.port,
                strerror(errno));
        close(fd);
        return err ? err->code : KR_E_IO;
    }
    server->port = ntohs(addr.sin_port);
    *out = fd;
    return 0;
}

static int start(struct sandbox_server *server, int fd, struct kr_err *err)
{
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME;
    struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_MEM_KEY, 0, server->key},
                                   {MHD_OPTION_HTTPS_MEM_CERT, 0, server->cert},
                                   {MHD_OPTION_END, 0, NULL}};
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};

    if (!server->opts.plain)
        flags |= MHD_USE_TLS;
    server->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, server, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_URI_LOG_CALLBACK, on_uri, server, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
        server, MHD_OPTION_CONNECTION_LIMIT, (unsigned)SANDBOX_CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_ARRAY,
        server->opts.plain ? none : tls, MHD_OPTION_END);
    if (server->daemon == NULL)
        return kr_fail(err, KR_E_IO, "libmicrohttpd does not start");
    return 0;
}

int sandbox_server_open(const struct sandbox_server_opts *opts, struct sandbox_server **out,
                        struct kr_err *err)
{
    struct sandbox_server *server = KR_ALLOC(struct sandbox_server);
    struct timeval now;
    int fd = -1, rc = 0;

    server->opts = *opts;
    kr_link_init(&server->exchanges);
    gettimeofday(&now, NULL);
    if (!opts->plain && MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES)
        rc = kr_fail(err, KR_E_INPUT, "this libmicrohttpd has no TLS: use plain HTTP");
    if (rc == 0 && !opts->plain)
        rc = sandbox_cert_make(now.tv_sec, &server->key, &server->cert, err);
    if (rc == 0)
        rc = listen_on(server, &fd, err);
    if (rc == 0)
        rc = start(server, fd, err);
    if (rc < 0) {
        if (fd >= 0)
            close(fd);
        kr_free(server->key);
        kr_free(server->cert);
        kr_free(server);
        return rc;
    }
    if (opts->token) {
        server->token = kr_alloc(strlen(opts->token) + sizeof "Bearer ");
        snprintf(server->token, strlen(opts->token) + sizeof "Bearer ", "Bearer %s", opts->token);
    }
    server->handles_n = 2;
    uv_timer_init(opts->loop, &server->timer);
    uv_poll_init(opts->loop, &server->poll,
                 MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
    uv_poll_start(&server->poll, UV_READABLE, on_poll);
    *out = server;
    return 0;
}

uint16_t sandbox_server_port(const struct sandbox_server *server)
{
    return server->port;
}

const char *sandbox_server_certificate(const struct sandbox_server *server)
{
    return server->cert;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct sandbox_server *server;

    if (handle->type == UV_POLL)
        server = KR_OWNER((uv_poll_t *)handle, struct sandbox_server, poll);
    else
        server = KR_OWNER((uv_timer_t *)handle, struct sandbox_server, timer);
    part_closed(server);
}

void sandbox_server_close(struct sandbox_server *server, void (*closed)(void *arg), void *arg)
{
    server->closing = true;
    server->closed = closed;
    server->closed_arg = arg;
    uv_poll_stop(&server->poll);
    for (struct kr_link *l = server->exchanges.next; l != &server->exchanges; l = l->next)
        resume(KR_OWNER(l, struct exchange, link)); /* none may be suspended at the end */
    MHD_stop_daemon(server->daemon);                /* completes every exchange */
    uv_close((uv_handle_t *)&server->poll, on_handle_closed);
    uv_close((uv_handle_t *)&server->timer, on_handle_closed);
}

/* --- faults ----------------------------------------------------------------------------------- */

static bool is_method(kr_str s)
{
    static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};

    for (size_t i = 0; i < KR_N(methods); i++)
        if (kr_str_eq(s, kr_str_c(methods[i])))
            return true;
    return false;
}

static bool fault_part(kr_str name, kr_str value, struct sandbox_fault *out)
{
    uint64_t n;

    if (kr_str_is(name, "of") && is_method(value) && value.n < sizeof out->of) {
        memcpy(out->of, value.s, value.n);
        out->of[value.n] = '\0';
        return true;
    }
    if (kr_str_is(name, "delay")) {
        if (!kr_str_ends(value, KR_S("ms")))
            return false; /* 50 what? */
        value.n -= 2;
    }
    if (!kr_str_u64(value, &n) || n == 0 || n > UINT32_MAX)
        return false;
    if (kr_str_is(name, "every"))
        out->every = (uint32_t)n;
    else if (kr_str_is(name, "status") && n >= 400 && n < 600)
        out->status = (int)n;
    else if (kr_str_is(name, "cut"))
        out->cut_bytes = n;
    else if (kr_str_is(name, "delay") && n <= SANDBOX_DELAY_MAX_MS)
        out->delay_ms = (uint32_t)n;
    else
        return false;
    return true;
}

int sandbox_fault_read(const char *text, struct sandbox_fault *out, struct kr_err *err)
{
    kr_str rest = kr_str_c(text);
    bool fits;

    do {
        kr_str value = kr_str_cut(&rest, ','), name = kr_str_cut(&value, '=');

        fits = fault_part(kr_str_trim(name), kr_str_trim(value), out);
    } while (fits && rest.n > 0);
    if (!fits || (out->status && !out->every) || (out->of[0] && !out->every && !out->delay_ms))
        return kr_fail(err, KR_E_INPUT,
                       "fault \"%s\": every=N,status=CODE or cut=BYTES or delay=MSms, and "
                       "of=METHOD beside the first or the last",
                       text);
    if (out->every && !out->status)
        out->status = 500;
    return 0;
}
