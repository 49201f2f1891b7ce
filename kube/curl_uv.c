/* SPDX-License-Identifier: Apache-2.0 */
/* curl_uv.c - the transport door: libcurl's multi interface on libuv.
 *
 *   start -> todo --kick--> [waiting for a plug-in] --> flying --end--> on_end
 *                                                                         ^
 *   cancel, time-out, failure to begin --> settle --kick------------------+
 *
 * A door is one multi handle with its sockets and its timer; there is one for streams and one for
 * requests. Neither start nor cancel touches curl (they may be called from one of its callbacks):
 * they list the exchange and set the kick timer, whose callback does the work from the loop.
 *
 * A connection whose peer answers TCP but nothing else would swallow request after request over
 * HTTP/2. So when an exchange is given up without having heard anything for KUBE_CURL_SUSPECT_MS,
 * its door is retired: what flies there may end there, what is new gets a new door with new
 * connections.
 *
 * When a connection that was idle turns out to be dead before one byte of the answer came, libcurl
 * repeats the exchange on a new one by itself; every write of ours can bear that.
 */
#include <signal.h>

#include "kube/curl_internal.h"

#include "cel/base/banned.h"

struct kube_door {
    struct kube_curl *curl;
    CURLM *multi;
    uv_timer_t timer;
    uint32_t busy_n;     /* exchanges in it */
    uint32_t opening_n;  /* those of them that may be opening one more connection */
    uint64_t opening_ms; /* since when the last of these does */
    bool retired;
    struct kr_link link;
};

struct sock {
    struct kube_door *door;
    curl_socket_t fd;
    uv_poll_t poll;
};

struct kube_curl {
    struct kube_transport transport;
    uv_loop_t *loop;
    const struct kube_config *config;
    struct kube_target target;
    struct kube_auth *auth;

    struct kube_door *streams, *requests;
    struct kr_link doors;                         /* all, also retired ones */
    struct kr_link todo, waiting, flying, settle; /* struct kube_xfer.link */
    CURL *idle[KUBE_CURL_IDLE_MAX];
    uint32_t idle_n;
    uv_timer_t kick, alarm;    /* alarm: earliest of timers */
    struct kube_timers timers; /* time-outs of exchanges */

    uint32_t open_n; /* uv handles, and the auth */
    bool closing, finishing;
    void (*closed)(void *arg);
    void *closed_arg;
};

static void on_kick(uv_timer_t *t);
static void on_ready(void *arg, const struct kube_cred *cred, const struct kr_err *err);

static struct kube_curl *of(struct kube_transport *t)
{
    return KR_OWNER(t, struct kube_curl, transport);
}

static void kick(struct kube_curl *c)
{
    uv_timer_start(&c->kick, on_kick, 0, 0);
}

/* --- handles ---------------------------------------------------------------------------------- */

static void closed_one(struct kube_curl *c)
{
    void (*closed)(void *arg) = c->closed;
    void *arg = c->closed_arg;

    if (--c->open_n > 0 || !c->finishing)
        return;
    kube__target_fini(&c->target);
    kube_timers_fini(&c->timers);
    kr_free(c);
    if (closed != NULL)
        closed(arg);
}

static void on_timer_closed(uv_handle_t *h)
{
    closed_one(h->data);
}

static void on_auth_closed(void *arg)
{
    closed_one(arg);
}

static void timer_init(struct kube_curl *c, uv_timer_t *t)
{
    uv_timer_init(c->loop, t);
    t->data = c;
    c->open_n++;
}

/* --- sockets ---------------------------------------------------------------------------------- */

static void check_done(struct kube_door *d);

static void on_sock_closed(uv_handle_t *h)
{
    struct sock *s = KR_OWNER((uv_poll_t *)h, struct sock, poll);
    struct kube_curl *c = h->data;

    kr_free(s);
    closed_one(c);
}

static void on_poll(uv_poll_t *p, int status, int events)
{
    struct sock *s = KR_OWNER(p, struct sock, poll);
    struct kube_door *d = s->door;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    int running;

    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    curl_multi_socket_action(d->multi, s->fd, flags, &running); /* may close s */
    check_done(d);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *sock)
{
    struct kube_door *d = arg;
    struct sock *s = sock;
    int events = 0;

    if (what == CURL_POLL_REMOVE) {
        if (s != NULL)
            uv_close((uv_handle_t *)&s->poll, on_sock_closed);
        curl_multi_assign(d->multi, fd, NULL);
        return 0;
    }
    if (s == NULL) {
        s = KR_ALLOC(struct sock);
        s->door = d;
        s->fd = fd;
        if (uv_poll_init_socket(d->curl->loop, &s->poll, fd) < 0) {
            kr_free(s); /* curl's connect time-out will end the exchange */
            return 0;
        }
        s->poll.data = d->curl;
        d->curl->open_n++;
        curl_multi_assign(d->multi, fd, s);
    }
    if (what & CURL_POLL_IN)
        events |= UV_READABLE;
    if (what & CURL_POLL_OUT)
        events |= UV_WRITABLE;
    uv_poll_start(&s->poll, events, on_poll);
    return 0;
}

static void on_door_timer(uv_timer_t *t)
{
    struct kube_door *d = KR_OWNER(t, struct kube_door, timer);
    int running;

    curl_multi_socket_action(d->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    check_done(d);
}

static int on_timeout_change(CURLM *multi, long timeout_ms, void *arg)
{
    struct kube_door *d = arg;

    if (timeout_ms < 0)
        uv_timer_stop(&d->timer);
    else
        uv_timer_start(&d->timer, on_door_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

static struct kube_door *door_new(struct kube_curl *c)
{
    struct kube_door *d = KR_ALLOC(struct kube_door);

    d->curl = c;
    timer_init(c, &d->timer);
    d->multi = curl_multi_init();
    KR_ASSERT(d->multi != NULL);
    curl_multi_setopt(d->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(d->multi, CURLMOPT_SOCKETDATA, d);
    curl_multi_setopt(d->multi, CURLMOPT_TIMERFUNCTION, on_timeout_change);
    curl_multi_setopt(d->multi, CURLMOPT_TIMERDATA, d);
    curl_multi_setopt(d->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
    curl_multi_setopt(d->multi, CURLMOPT_MAX_CONCURRENT_STREAMS, (long)KUBE_STREAMS_PER_CONNECTION);
    kr_link_push(&c->doors, &d->link);
    return d;
}

static void on_door_closed(uv_handle_t *h)
{
    struct kube_curl *c = h->data;

    kr_free(KR_OWNER((uv_timer_t *)h, struct kube_door, timer));
    closed_one(c);
}

static void door_close(struct kube_door *d)
{
    kr_link_remove(&d->link);
    curl_multi_cleanup(d->multi); /* closes its connections, so also their polls */
    uv_close((uv_handle_t *)&d->timer, on_door_closed);
}

static void door_retire(struct kube_door *d)
{
    struct kube_curl *c = d->curl;

    if (d->retired || c->closing)
        return;
    d->retired = true;
    if (d == c->streams)
        c->streams = door_new(c);
    else
        c->requests = door_new(c);
}

static void close_retired(struct kube_curl *c)
{
    for (struct kr_link *l = c->doors.next, *next; l != &c->doors; l = next) {
        struct kube_door *d = KR_OWNER(l, struct kube_door, link);

        next = l->next;
        if (d->retired && d->busy_n == 0)
            door_close(d);
    }
}

/* --- time-outs -------------------------------------------------------------------------------- */

static void on_alarm(uv_timer_t *t);

static void alarm_arm(struct kube_curl *c)
{
    uint64_t due = kube_timers_due(&c->timers), now = uv_now(c->loop);

    if (due == UINT64_MAX)
        uv_timer_stop(&c->alarm);
    else
        uv_timer_start(&c->alarm, on_alarm, due > now ? due - now : 0, 0);
}

static void on_alarm(uv_timer_t *t)
{
    struct kube_curl *c = t->data;

    kube_timers_run(&c->timers, uv_now(c->loop));
    alarm_arm(c);
}

/* The end of f is due: the next kick tells it. */
static void settle(struct kube_xfer *f, int rc)
{
    f->rc = rc;
    kr_link_remove(&f->link);
    kr_link_push(&f->curl->settle, &f->link);
    kick(f->curl);
}

static void on_time_out(struct kube_timer *timer)
{
    struct kube_xfer *f = KR_OWNER(timer, struct kube_xfer, timer);
    struct kube_curl *c = f->curl;
    uint64_t now = uv_now(c->loop);
    uint64_t since = f->x->stream ? f->heard_ms : f->begun_ms;

    if (now - since < f->x->timeout_ms) { /* it was heard meanwhile */
        kube_timers_start(&c->timers, timer, since + f->x->timeout_ms);
        return;
    }
    kr_fail(&f->err, KR_E_IO, "%s: %s %g s", c->config->server,
            f->x->stream ? "silent for" : "no answer within", f->x->timeout_ms / 1000.0);
    if (f->door != NULL && f->x->stream)
        door_retire(f->door);
    settle(f, KR_E_IO);
}

/* --- bytes ------------------------------------------------------------------------------------ */

/* Value of "Retry-After": seconds or a date. */
static int64_t parse_retry_after(kr_str v)
{
    char text[64];
    int64_t s;
    time_t date;

    v = kr_str_trim(v);
    if (kr_str_i64(v, &s))
        return s < 0 ? -1 : s > 86400 ? 86400 * 1000 : s * 1000;
    snprintf(text, sizeof text, KR_FMT, KR_ARG(kr_str_sub(v, 0, sizeof text - 1)));
    date = curl_getdate(text, NULL);
    if (date < 0)
        return -1;
    s = (int64_t)date - (int64_t)time(NULL);
    return s < 0 ? 0 : s > 86400 ? 86400 * 1000 : s * 1000;
}

/* f has a connection (or needs none any more): those who wait for it may go. */
static void opened(struct kube_xfer *f)
{
    if (!f->opening)
        return;
    f->opening = false;
    f->door->opening_n--;
    kick(f->curl);
}

/* The head is complete. A 401 for credentials that can be renewed is not told: the exchange goes
 * again with new ones, once. */
static void head_complete(struct kube_xfer *f)
{
    long status = 0;

    curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200)
        return; /* 1xx: the real one follows */
    opened(f);
    f->head_done = true;
    f->x->status = (int)status;
    if (status == 401 && !f->retried && kube_auth_rejected(f->curl->auth, f->generation)) {
        f->swallow = true;
        return;
    }
    f->x->on_head(f->x, (int)status, f->retry_after_ms);
}

/* Tells the owner one line of the head. */
static void tell_header(struct kube_xfer *f, kr_str line)
{
    kr_str name = {0}, rest = kr_str_trim(line);

    if (f->x->on_header == NULL || rest.n == 0)
        return;
    if (!kr_str_starts(rest, KR_S("HTTP/")))
        name = kr_str_cut(&rest, ':');
    f->x->on_header(f->x, name, kr_str_trim(rest));
}

static size_t on_header(char *bytes, size_t size, size_t n, void *arg)
{
    struct kube_xfer *f = arg;
    kr_str line = {bytes, size * n};
    static const char name[] = "retry-after:";

    if (f->canceled)
        return 0;
    f->heard_ms = uv_now(f->curl->loop);
    if (f->head_done)
        return line.n; /* a trailer */
    tell_header(f, line);
    if (kr_str_starts(line, KR_S("HTTP/")))
        f->retry_after_ms = -1;
    else if (line.n >= sizeof name && strncasecmp(bytes, name, sizeof name - 1) == 0)
        f->retry_after_ms = parse_retry_after(kr_str_sub(line, sizeof name - 1, line.n));
    else if (kr_str_trim(line).n == 0)
        head_complete(f);
    return line.n;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
    struct kube_xfer *f = arg;

    if (f->canceled)
        return 0;
    f->heard_ms = uv_now(f->curl->loop);
    if (f->swallow)
        return size * n;
    if (!f->x->on_bytes(f->x, bytes, size * n)) {
        f->stopped = true;
        return 0;
    }
    return f->canceled ? 0 : size * n;
}

/* --- the life of an exchange ------------------------------------------------------------------ */

/* Takes f out of curl. The easy handle goes back to the pool. */
static void detach(struct kube_xfer *f)
{
    struct kube_curl *c = f->curl;

    if (f->door != NULL) {
        opened(f);
        curl_multi_remove_handle(f->door->multi, f->easy);
        f->door->busy_n--;
        f->door = NULL;
    }
    kube__easy_clear(f);
    if (f->easy != NULL && c->idle_n < KUBE_CURL_IDLE_MAX && !c->closing)
        c->idle[c->idle_n++] = f->easy;
    else if (f->easy != NULL)
        curl_easy_cleanup(f->easy);
    f->easy = NULL;
    kube_timers_stop(&c->timers, &f->timer);
}

static void end(struct kube_xfer *f)
{
    struct kube_exchange *x = f->x;

    kr_link_remove(&f->link);
    detach(f);
    x->impl = NULL;
    if (f->canceled) {
        f->rc = KR_E_CANCELED;
        kr_fail(&f->err, KR_E_CANCELED, "canceled");
    }
    x->on_end(x, f->rc, &f->err); /* x may be gone after this */
    kr_free(f);
}

/* Has its connection been mute for too long to be trusted? */
static bool suspicious(const struct kube_xfer *f)
{
    return f->door != NULL && !f->head_done &&
           uv_now(f->curl->loop) - f->begun_ms >= KUBE_CURL_SUSPECT_MS;
}

static struct kube_door *door_of(const struct kube_xfer *f)
{
    return f->x->stream ? f->curl->streams : f->curl->requests;
}

/* When a connection is full, curl opens a new one for each exchange that comes before the first of
 * these is there; so beyond that number they go one by one (but wait for no laggard). */
static bool must_wait(const struct kube_xfer *f)
{
    const struct kube_door *d = door_of(f);

    return d->opening_n > 0 && uv_now(f->curl->loop) - d->opening_ms < KUBE_CURL_OPENING_MS;
}

static void submit(struct kube_xfer *f, const struct kube_cred *cred)
{
    struct kube_curl *c = f->curl;

    f->easy = c->idle_n > 0 ? c->idle[--c->idle_n] : curl_easy_init();
    KR_ASSERT(f->easy != NULL);
    f->generation = cred->generation;
    kube__easy_setup(f, c->config, &c->target, cred);
    curl_easy_setopt(f->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(f->easy, CURLOPT_HEADERDATA, f);
    curl_easy_setopt(f->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(f->easy, CURLOPT_WRITEDATA, f);
    f->door = door_of(f);
    if (++f->door->busy_n > KUBE_STREAMS_PER_CONNECTION) {
        f->opening = true;
        f->door->opening_n++;
        f->door->opening_ms = uv_now(c->loop);
    }
    kr_link_remove(&f->link);
    kr_link_push(&c->flying, &f->link);
    curl_multi_add_handle(f->door->multi, f->easy);
}

static void begin(struct kube_xfer *f)
{
    struct kube_curl *c = f->curl;
    struct kube_cred cred;
    int rc = kube_auth_get(c->auth, &cred, &f->err);

    if (rc == 0) {
        submit(f, &cred);
    } else if (rc == KUBE_AUTH_WAIT) {
        kr_link_remove(&f->link);
        kr_link_push(&c->waiting, &f->link);
    } else {
        f->x->unsent = true;
        settle(f, KR_E_IO);
    }
}

/* The plug-in has ended: those who waited go, or fail, together. */
static void on_ready(void *arg, const struct kube_cred *cred, const struct kr_err *err)
{
    struct kube_curl *c = arg;
    struct kr_link list, *l;

    kr_link_take(&list, &c->waiting);
    while ((l = kr_link_pop(&list)) != NULL) {
        struct kube_xfer *f = KR_OWNER(l, struct kube_xfer, link);

        if (cred != NULL) {
            submit(f, cred);
            continue;
        }
        f->x->unsent = true;
        f->err = *err;
        settle(f, KR_E_IO);
    }
}

/* The same exchange once more, with renewed credentials. */
static void again(struct kube_xfer *f)
{
    detach(f);
    f->retried = true;
    f->swallow = f->head_done = false;
    f->x->status = 0;
    f->begun_ms = f->heard_ms = uv_now(f->curl->loop);
    if (f->x->timeout_ms > 0)
        kube_timers_start(&f->curl->timers, &f->timer, f->begun_ms + f->x->timeout_ms);
    begin(f);
}

static void on_done(struct kube_xfer *f, CURLcode code)
{
    if (f->swallow) { /* also when the rest of the 401 was cut off */
        again(f);
        return;
    }
    if (code == CURLE_OK && f->head_done) {
        f->rc = 0;
    } else if (f->stopped) {
        f->rc = KR_E_LIMIT;
        kr_fail(&f->err, KR_E_LIMIT, "the response was refused");
    } else {
        kube__easy_error(f, code, f->curl->config);
    }
    end(f);
}

/* Ends what curl says is done. Runs outside of curl's callbacks. */
static void check_done(struct kube_door *d)
{
    struct kube_curl *c = d->curl;
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(d->multi, &left)) != NULL) {
        struct kube_xfer *f = NULL;
        CURLcode code = m->data.result;

        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&f);
        if (f->rc == 0 && !f->canceled) /* else it is in the settle list */
            on_done(f, code);
    }
    if (d->retired && d->busy_n == 0)
        kick(c);
    alarm_arm(c);
}

/* The end of an exchange that curl has not finished. */
static void given_up(struct kube_xfer *f)
{
    long sent = 0;

    if (suspicious(f))
        door_retire(f->door);
    if (f->door != NULL)
        curl_easy_getinfo(f->easy, CURLINFO_REQUEST_SIZE, &sent);
    f->x->unsent = sent == 0 && !f->head_done && !f->retried;
    end(f);
}

/* All exchanges have ended: closes every handle; the last one frees c. */
static void finish_closing(struct kube_curl *c)
{
    c->finishing = true;
    while (c->idle_n > 0)
        curl_easy_cleanup(c->idle[--c->idle_n]);
    while (!kr_link_empty(&c->doors))
        door_close(KR_OWNER(c->doors.next, struct kube_door, link));
    uv_close((uv_handle_t *)&c->kick, on_timer_closed);
    uv_close((uv_handle_t *)&c->alarm, on_timer_closed);
    kube_auth_close(c->auth, on_auth_closed, c);
}

/* Begins what is listed, in order, but for those that must wait. */
static void begin_all(struct kube_curl *c)
{
    struct kr_link list, *l;
    struct kr_link held;

    kr_link_init(&held);
    kr_link_take(&list, &c->todo);
    while ((l = list.next) != &list) {
        struct kube_xfer *f = KR_OWNER(l, struct kube_xfer, link);

        if (must_wait(f)) {
            kr_link_remove(l);
            kr_link_push(&held, l);
        } else {
            begin(f);
        }
    }
    kr_link_take(&c->todo, &held);
    if (!kr_link_empty(&c->todo) && !uv_is_active((uv_handle_t *)&c->kick))
        uv_timer_start(&c->kick, on_kick, KUBE_CURL_OPENING_MS, 0);
}

static void on_kick(uv_timer_t *t)
{
    struct kube_curl *c = t->data;
    struct kr_link list, *l;

    kr_link_take(&list, &c->settle);
    while ((l = list.next) != &list)
        given_up(KR_OWNER(l, struct kube_xfer, link));
    begin_all(c);
    close_retired(c);
    alarm_arm(c);
    if (c->closing && kr_link_empty(&c->settle) && kr_link_empty(&c->todo))
        finish_closing(c);
}

/* --- the doors -------------------------------------------------------------------------------- */

static void transport_cancel(struct kube_transport *t, struct kube_exchange *x)
{
    struct kube_xfer *f = x->impl;

    f->canceled = true;
    settle(f, KR_E_CANCELED);
}

static void transport_start(struct kube_transport *t, struct kube_exchange *x)
{
    struct kube_curl *c = of(t);
    struct kube_xfer *f = KR_ALLOC(struct kube_xfer);

    f->curl = c;
    f->x = x;
    f->retry_after_ms = -1;
    f->begun_ms = f->heard_ms = uv_now(c->loop);
    f->timer.fn = on_time_out;
    x->impl = f;
    x->status = 0;
    x->unsent = x->refused = false;
    kr_link_init(&f->link);
    kr_link_push(&c->todo, &f->link);
    if (x->timeout_ms > 0)
        kube_timers_start(&c->timers, &f->timer, f->begun_ms + x->timeout_ms);
    if (c->closing)
        transport_cancel(t, x);
    kick(c);
}

static kr_str transport_server(struct kube_transport *t)
{
    return kr_str_c(of(t)->config->server);
}

static const struct kube_transport_ops ops = {transport_start, transport_cancel, transport_server};

struct kube_curl *kube_curl_new(uv_loop_t *loop, const struct kube_config *config)
{
    struct kube_curl *c = KR_ALLOC(struct kube_curl);

    signal(SIGPIPE, SIG_IGN);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    c->transport.ops = &ops;
    c->loop = loop;
    c->config = config;
    kube__target_init(&c->target, config);
    kr_link_init(&c->doors);
    kr_link_init(&c->todo);
    kr_link_init(&c->waiting);
    kr_link_init(&c->flying);
    kr_link_init(&c->settle);
    timer_init(c, &c->kick);
    timer_init(c, &c->alarm);
    c->auth = kube_auth_new(loop, config, on_ready, c);
    c->open_n++;
    c->streams = door_new(c);
    c->requests = door_new(c);
    return c;
}

struct kube_transport *kube_curl_transport(struct kube_curl *c)
{
    return &c->transport;
}

static void cancel_list(struct kube_curl *c, struct kr_link *list)
{
    while (!kr_link_empty(list))
        transport_cancel(&c->transport, KR_OWNER(list->next, struct kube_xfer, link)->x);
}

void kube_curl_close(struct kube_curl *c, void (*closed)(void *arg), void *arg)
{
    KR_ASSERT(!c->closing);
    c->closing = true;
    c->closed = closed;
    c->closed_arg = arg;
    cancel_list(c, &c->todo);
    cancel_list(c, &c->waiting);
    cancel_list(c, &c->flying);
    kick(c);
}
