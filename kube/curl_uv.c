/* SPDX-License-Identifier: Apache-2.0 */
/* curl_uv.c - the transport door: exchanges and their life.
 *
 *   start -> todo --kick--> [waiting for a plug-in] --> [held for a connection] --> flying --end--> on_end
 *                                                                                                    ^
 *   cancel, time-out, failure to begin --> settle --kick---------------------------------------------+
 *
 * There is one door for streams and one for requests. An exchange flies as a stream of an HTTP/2
 * connection (curl_dial.c, h2.c), or in libcurl where the server has no HTTP/2 (curl_door.c). Neither start
 * nor cancel touches these (they may be called from one of their callbacks): they list the exchange and
 * set the kick timer, whose callback does the work from the loop.
 *
 * A connection whose peer answers TCP but nothing else would swallow request after request over
 * HTTP/2. So when an exchange is given up without having heard anything for KUBE_CURL_SUSPECT_MS,
 * its door is retired: what flies there may end there, what is new gets a new door with new
 * connections.
 *
 * When a connection that had carried others turns out to be dead before one byte of the answer came, the
 * exchange is repeated on a new one (by libcurl itself, or by resend); every write of ours can bear that.
 */
#include <signal.h>

#include "kube/curl_internal.h"

#include "cel/base/banned.h"

static void on_kick(uv_timer_t *t);
static void on_ready(void *arg, const struct kube_cred *cred, const struct kr_err *err);

static struct kube_curl *of(struct kube_transport *t)
{
    return KR_OWNER(t, struct kube_curl, transport);
}

void kube__curl_kick(struct kube_curl *c)
{
    uv_timer_start(&c->kick, on_kick, 0, 0);
}

/* --- handles ---------------------------------------------------------------------------------- */

void kube__curl_closed_one(struct kube_curl *c)
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
    kube__curl_closed_one(h->data);
}

static void on_auth_closed(void *arg)
{
    kube__curl_closed_one(arg);
}

static void timer_init(struct kube_curl *c, uv_timer_t *t)
{
    uv_timer_init(c->loop, t);
    t->data = c;
    c->open_n++;
}

/* --- doors ------------------------------------------------------------------------------------ */

static void door_retire(struct kube_door *d)
{
    struct kube_curl *c = d->curl;

    if (d->retired || c->closing)
        return;
    d->retired = true;
    if (d == c->streams)
        c->streams = kube__door_new(c);
    else
        c->requests = kube__door_new(c);
    kube__door_release(d, NULL);
}

static void close_retired(struct kube_curl *c)
{
    for (struct kr_link *l = c->doors.next, *next; l != &c->doors; l = next) {
        struct kube_door *d = KR_OWNER(l, struct kube_door, link);

        next = l->next;
        if (d->retired && d->busy_n == 0)
            kube__door_close(d);
    }
}

/* --- time-outs -------------------------------------------------------------------------------- */

static void on_alarm(uv_timer_t *t);

void kube__curl_alarm(struct kube_curl *c)
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
    kube__curl_alarm(c);
}

void kube__curl_settle(struct kube_xfer *f, int rc)
{
    f->rc = rc;
    kr_link_remove(&f->link);
    kr_link_push(&f->curl->settle, &f->link);
    kube__curl_kick(f->curl);
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
    kube__curl_settle(f, KR_E_IO);
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
    kube__curl_kick(f->curl);
}

/* The head is complete. A 401 for credentials that can be renewed is not told: the exchange goes
 * again with new ones, once. */
static void head_complete(struct kube_xfer *f, int status)
{
    opened(f);
    f->head_done = true;
    f->x->status = status;
    if (status == 401 && !f->retried && kube_auth_rejected(f->curl->auth, f->generation)) {
        f->swallow = true;
        return;
    }
    f->x->on_head(f->x, status, f->retry_after_ms);
}

/* One line of the head; the status line has no name. */
static void head_line(struct kube_xfer *f, kr_str name, kr_str value)
{
    if (name.n == 0)
        f->retry_after_ms = -1;
    else if (name.n == strlen("retry-after") && strncasecmp(name.s, "retry-after", name.n) == 0)
        f->retry_after_ms = parse_retry_after(value);
    if (f->x->on_header != NULL)
        f->x->on_header(f->x, name, value);
}

/* A part of the body. false: no more of it. */
static bool body_part(struct kube_xfer *f, const char *bytes, size_t n)
{
    if (f->canceled)
        return false;
    f->heard_ms = uv_now(f->curl->loop);
    if (!f->swallow && !f->x->on_bytes(f->x, bytes, n)) {
        f->stopped = true;
        return false;
    }
    return !f->canceled;
}

static size_t on_header(char *bytes, size_t size, size_t n, void *arg)
{
    struct kube_xfer *f = arg;
    kr_str line = {bytes, size * n}, rest = kr_str_trim(line), name = {0};
    long status = 0;

    if (f->canceled)
        return 0;
    f->heard_ms = uv_now(f->curl->loop);
    if (f->head_done)
        return line.n; /* a trailer */
    if (rest.n == 0) {
        curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
        if (status >= 200) /* 1xx: the real one follows */
            head_complete(f, (int)status);
        return line.n;
    }
    if (!kr_str_starts(rest, KR_S("HTTP/")))
        name = kr_str_cut(&rest, ':');
    head_line(f, name, kr_str_trim(rest));
    return line.n;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
    return body_part(arg, bytes, size * n) ? size * n : 0;
}

/* --- the life of an exchange ------------------------------------------------------------------ */

/* Takes f out of curl. The easy handle goes back to the pool. */
static void detach(struct kube_xfer *f)
{
    struct kube_curl *c = f->curl;

    if (f->door != NULL) {
        opened(f);
        kube_h2_cancel(&f->stream);
        if (f->easy != NULL)
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

static const struct kube_h2_ops stream_ops;

static void fly(struct kube_xfer *f, struct kube_door *d)
{
    f->door = d;
    d->busy_n++;
    kr_link_remove(&f->link);
    kr_link_push(&f->curl->flying, &f->link);
}

static void submit_curl(struct kube_xfer *f, const struct kube_cred *cred)
{
    struct kube_curl *c = f->curl;

    f->easy = c->idle_n > 0 ? c->idle[--c->idle_n] : curl_easy_init();
    KR_ASSERT(f->easy != NULL);
    kube__easy_setup(f, c->config, &c->target, cred);
    curl_easy_setopt(f->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(f->easy, CURLOPT_HEADERDATA, f);
    curl_easy_setopt(f->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(f->easy, CURLOPT_WRITEDATA, f);
    fly(f, door_of(f));
    if (f->door->busy_n > KUBE_H2_STREAMS_MAX) {
        f->opening = true;
        f->door->opening_n++;
        f->door->opening_ms = uv_now(c->loop);
    }
    curl_multi_add_handle(f->door->multi, f->easy);
}

static void submit(struct kube_xfer *f, const struct kube_cred *cred)
{
    struct kube_door *d = door_of(f);
    struct kube_h2 *h2;

    f->generation = cred->generation;
    if (!f->curl->target.tls || f->curl->only_curl) {
        submit_curl(f, cred);
        return;
    }
    h2 = kube__door_line(d, cred);
    if (h2) {
        fly(f, d);
        f->sent = true;
        kube__line_submit(f, h2, &stream_ops, cred);
        return;
    }
    kr_link_remove(&f->link);
    kr_link_push(&d->held, &f->link);
    kube__door_dial(d, cred);
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
        kube__curl_settle(f, KR_E_IO);
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
        kube__curl_settle(f, KR_E_IO);
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

/* The stop that its reader wished has come to pass. */
static void end_stopped(struct kube_xfer *f)
{
    f->rc = KR_E_LIMIT;
    kr_fail(&f->err, KR_E_LIMIT, "the response was refused");
    end(f);
}

void kube__curl_done(struct kube_xfer *f, CURLcode code)
{
    if (f->rc != 0 || f->canceled)
        return;       /* it is in the settle list */
    if (f->swallow) { /* also when the rest of the 401 was cut off */
        again(f);
    } else if (code == CURLE_OK && f->head_done) {
        end(f);
    } else if (f->stopped) {
        end_stopped(f);
    } else {
        kube__easy_error(f, code, f->curl->config);
        end(f);
    }
}

/* --- as a stream of HTTP/2 -------------------------------------------------------------------- */

static void on_stream_header(struct kube_h2_stream *s, kr_str name, kr_str value)
{
    struct kube_xfer *f = KR_OWNER(s, struct kube_xfer, stream);
    char line[32];

    if (f->canceled)
        return;
    f->heard_ms = uv_now(f->curl->loop);
    if (!kr_str_is(name, ":status")) {
        head_line(f, name, value);
        return;
    }
    snprintf(line, sizeof line, "HTTP/2 " KR_FMT, KR_ARG(value));
    head_line(f, KR_S(""), kr_str_c(line));
}

static void on_stream_head(struct kube_h2_stream *s, int status)
{
    struct kube_xfer *f = KR_OWNER(s, struct kube_xfer, stream);

    if (!f->canceled)
        head_complete(f, status);
}

static bool on_stream_bytes(struct kube_h2_stream *s, const char *bytes, size_t n)
{
    return body_part(KR_OWNER(s, struct kube_xfer, stream), bytes, n);
}

void kube__curl_again(struct kube_xfer *f)
{
    kr_link_push(&f->curl->todo, &f->link);
    kube__curl_kick(f->curl);
}

/* May f go again as if nothing had been? The server has not looked at it, or its connection may have been
 * dead before. */
static bool may_go_again(const struct kube_xfer *f, enum kube_h2_end how)
{
    return !f->head_done && f->resends_n < KUBE_CURL_RESENDS_MAX && !f->curl->closing &&
           (how == KUBE_H2_REFUSED || (how == KUBE_H2_BROKEN && kube_h2_is_later(&f->stream)));
}

/* Its time-out goes on. */
static void resend(struct kube_xfer *f)
{
    f->resends_n++;
    kr_link_remove(&f->link);
    detach(f);
    f->sent = false;
    if (f->x->timeout_ms > 0)
        kube_timers_start(&f->curl->timers, &f->timer, f->begun_ms + f->x->timeout_ms);
    kube__curl_again(f);
}

static void on_stream_end(struct kube_h2_stream *s, enum kube_h2_end how)
{
    struct kube_xfer *f = KR_OWNER(s, struct kube_xfer, stream);

    if (f->rc != 0 || f->canceled)
        return; /* it is in the settle list */
    if (f->swallow) {
        again(f);
    } else if (how == KUBE_H2_DONE) {
        end(f);
    } else if (f->stopped) {
        end_stopped(f);
    } else if (may_go_again(f, how)) {
        resend(f);
    } else {
        f->x->unsent = how == KUBE_H2_REFUSED;
        kube__broken(f, f->curl->config);
        end(f);
    }
}

static const struct kube_h2_ops stream_ops = {on_stream_header, on_stream_head, on_stream_bytes,
                                              on_stream_end};

/* The end of an exchange that curl has not finished. */
static void given_up(struct kube_xfer *f)
{
    long sent = f->sent;

    if (suspicious(f))
        door_retire(f->door);
    if (f->easy != NULL)
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
        kube__door_close(KR_OWNER(c->doors.next, struct kube_door, link));
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
    for (l = c->doors.next; l != &c->doors; l = l->next)
        kube__door_flush(KR_OWNER(l, struct kube_door, link));
    kube__curl_alarm(c);
    if (c->closing && kr_link_empty(&c->settle) && kr_link_empty(&c->todo))
        finish_closing(c);
}

/* --- the doors -------------------------------------------------------------------------------- */

static void transport_cancel(struct kube_transport *t, struct kube_exchange *x)
{
    struct kube_xfer *f = x->impl;

    f->canceled = true;
    kube__curl_settle(f, KR_E_CANCELED);
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
    kube__curl_kick(c);
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
    c->streams = kube__door_new(c);
    c->requests = kube__door_new(c);
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
    cancel_list(c, &c->streams->held);
    cancel_list(c, &c->requests->held);
    cancel_list(c, &c->flying);
    kube__curl_kick(c);
}
