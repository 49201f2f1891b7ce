/* SPDX-License-Identifier: Apache-2.0 */
/* curl_door.c - a door: one multi handle of libcurl with its sockets and its timer on libuv.
 *
 * libcurl opens connections here, and carries exchanges with servers that have no HTTP/2.
 */
#include "kube/curl_internal.h"

#include "cel/base/banned.h"

struct sock {
    struct kube_door *door;
    curl_socket_t fd;
    uv_poll_t poll;
};

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
        if (f->line)
            kube__line_dialled(f->line, code);
        else
            kube__curl_done(f, code);
    }
    if (d->retired && d->busy_n == 0)
        kube__curl_kick(c);
    kube__curl_alarm(c);
}

/* --- sockets ---------------------------------------------------------------------------------- */

static void on_sock_closed(uv_handle_t *h)
{
    struct sock *s = KR_OWNER((uv_poll_t *)h, struct sock, poll);
    struct kube_curl *c = h->data;

    kr_free(s);
    kube__curl_closed_one(c);
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

/* --- life ------------------------------------------------------------------------------------- */

struct kube_door *kube__door_new(struct kube_curl *c)
{
    struct kube_door *d = KR_ALLOC(struct kube_door);

    d->curl = c;
    kr_link_init(&d->lines);
    kr_link_init(&d->held);
    uv_timer_init(c->loop, &d->timer);
    d->timer.data = c;
    c->open_n++;
    d->multi = curl_multi_init();
    KR_ASSERT(d->multi != NULL);
    curl_multi_setopt(d->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(d->multi, CURLMOPT_SOCKETDATA, d);
    curl_multi_setopt(d->multi, CURLMOPT_TIMERFUNCTION, on_timeout_change);
    curl_multi_setopt(d->multi, CURLMOPT_TIMERDATA, d);
    curl_multi_setopt(d->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
    curl_multi_setopt(d->multi, CURLMOPT_MAX_CONCURRENT_STREAMS, (long)KUBE_H2_STREAMS_MAX);
    kr_link_push(&c->doors, &d->link);
    return d;
}

static void on_door_closed(uv_handle_t *h)
{
    struct kube_curl *c = h->data;

    kr_free(KR_OWNER((uv_timer_t *)h, struct kube_door, timer));
    kube__curl_closed_one(c);
}

void kube__door_close(struct kube_door *d)
{
    KR_ASSERT(d->busy_n == 0 && kr_link_empty(&d->held));
    kube__door_hang_up(d);
    kr_link_remove(&d->link);
    curl_multi_cleanup(d->multi); /* closes its connections, so also their polls */
    uv_close((uv_handle_t *)&d->timer, on_door_closed);
}
