/* SPDX-License-Identifier: Apache-2.0 */
/* replay.c - recorded answers behind the transport door. */
#include "tests/lib/replay.h"

#include <fnmatch.h>

#include "cel/base/buf.h"

struct answer {
    struct replay_answer a;
    struct kr_arena arena; /* of its strings */
    struct kr_link link;
};

struct replay {
    struct kube_transport transport;
    struct kube_clock *clock;
    struct kr_link answers;
    struct kr_buf log;
    uint32_t open_n, most_n;
};

struct play {
    struct replay *r;
    struct kube_exchange *x;
    struct kube_timer timer;
    struct replay_answer a;
    struct kr_arena arena;
    bool canceled;
};

static struct replay *of(struct kube_transport *t)
{
    return KR_OWNER(t, struct replay, transport);
}

static void play_end(struct play *p, int rc, const char *why, bool unsent)
{
    struct kube_clock *c = p->r->clock;
    struct kube_exchange *x = p->x;
    struct kr_err err = KR_ERR_NONE;

    c->ops->timer_stop(c, &p->timer);
    p->r->open_n--;
    x->impl = NULL;
    x->unsent = x->refused = unsent;
    if (rc < 0)
        kr_fail(&err, rc, "%s", why);
    kr_arena_fini(&p->arena);
    kr_free(p);
    x->on_end(x, rc, &err);
}

static bool play_body(struct play *p)
{
    size_t n = p->a.body_n, chunk = p->a.chunk_bytes ? p->a.chunk_bytes : n;
    bool on = true;

    for (size_t at = 0; at < n && on && !p->canceled; at += chunk)
        on = p->x->on_bytes(p->x, p->a.body + at, n - at < chunk ? n - at : chunk);
    return on;
}

static void on_timer(struct kube_timer *timer)
{
    struct play *p = KR_OWNER(timer, struct play, timer);
    struct kube_exchange *x = p->x;

    if (p->canceled) {
        play_end(p, KR_E_CANCELED, "canceled", false);
        return;
    }
    if (p->a.end == REPLAY_REFUSE) {
        play_end(p, KR_E_IO, "connect to https://replay: connection refused", true);
        return;
    }
    if (p->a.status >= 0) {
        x->status = p->a.status ? p->a.status : 200;
        x->on_head(x, x->status, p->a.retry_after_s ? p->a.retry_after_s * 1000 : -1);
        if (!play_body(p)) {
            play_end(p, p->canceled ? KR_E_CANCELED : KR_E_LIMIT, "the response was refused",
                     false);
            return;
        }
    }
    if (p->canceled)
        play_end(p, KR_E_CANCELED, "canceled", false);
    else if (p->a.end == REPLAY_CUT)
        play_end(p, KR_E_IO, "https://replay: the connection broke within the response", false);
    else if (p->a.end == REPLAY_DONE)
        play_end(p, 0, NULL, false);
}

static void copy_answer(struct kr_arena *a, struct replay_answer *to,
                        const struct replay_answer *from)
{
    *to = *from;
    to->body_n = from->body == NULL ? 0 : from->body_n ? from->body_n : strlen(from->body);
    to->body = kr_strdup(a, (kr_str){from->body, to->body_n}).s;
    to->method = from->method ? kr_cstr(a, kr_str_c(from->method)) : NULL;
    to->path = kr_cstr(a, kr_str_c(from->path));
}

/* Takes the answer for x out of the list (or a copy of a sticky one); false: there is none. */
static bool find(struct replay *r, const struct kube_exchange *x, const char *path, struct play *p)
{
    for (struct kr_link *l = r->answers.next; l != &r->answers; l = l->next) {
        struct answer *w = KR_OWNER(l, struct answer, link);

        if ((w->a.method != NULL && strcmp(w->a.method, x->method) != 0) ||
            fnmatch(w->a.path, path, 0) != 0)
            continue;
        copy_answer(&p->arena, &p->a, &w->a);
        if (!w->a.sticky) {
            kr_link_remove(&w->link);
            kr_arena_fini(&w->arena);
            kr_free(w);
        }
        return true;
    }
    return false;
}

static void transport_start(struct kube_transport *t, struct kube_exchange *x)
{
    static const struct replay_answer none = {
        .path = "",
        .status = 404,
        .body = "{\"kind\":\"Status\",\"code\":404,\"reason\":\"NotFound\",\"message\":\"no answer "
                "is recorded\"}"};
    struct replay *r = of(t);
    struct play *p = KR_ALLOC(struct play);
    bool found;

    p->r = r;
    p->x = x;
    p->timer.fn = on_timer;
    x->impl = p;
    x->status = 0;
    x->unsent = x->refused = false;
    found = find(r, x, kr_cstr(&p->arena, x->path), p);
    if (!found)
        copy_answer(&p->arena, &p->a, &none);
    kr_buf_fmt(&r->log, "%s " KR_FMT " %s", x->method, KR_ARG(x->path),
               x->user_agent ? x->user_agent : "-");
    kr_buf_fmt(&r->log, found ? " %d\n" : " none\n", p->a.status ? p->a.status : 200);
    if (x->body.n > 0)
        kr_buf_fmt(&r->log, "  " KR_FMT "\n", KR_ARG(x->body));
    if (++r->open_n > r->most_n)
        r->most_n = r->open_n;
    r->clock->ops->timer_start(r->clock, &p->timer, p->a.delay_ms);
}

static void transport_cancel(struct kube_transport *t, struct kube_exchange *x)
{
    struct play *p = x->impl;

    p->canceled = true;
    p->r->clock->ops->timer_start(p->r->clock, &p->timer, 0);
}

static kr_str transport_server(struct kube_transport *t)
{
    return KR_S("https://replay");
}

static const struct kube_transport_ops ops = {transport_start, transport_cancel, transport_server};

struct replay *replay_new(struct kube_clock *clock)
{
    struct replay *r = KR_ALLOC(struct replay);

    r->transport.ops = &ops;
    r->clock = clock;
    kr_buf_init(&r->log, 64 * 1024 * 1024);
    kr_link_init(&r->answers);
    return r;
}

void replay_free(struct replay *r)
{
    struct kr_link *l;

    if (r == NULL)
        return;
    KR_ASSERT(r->open_n == 0);
    while ((l = kr_link_pop(&r->answers)) != NULL) {
        struct answer *w = KR_OWNER(l, struct answer, link);

        kr_arena_fini(&w->arena);
        kr_free(w);
    }
    kr_buf_fini(&r->log);
    kr_free(r);
}

struct kube_transport *replay_transport(struct replay *r)
{
    return &r->transport;
}

void replay_add(struct replay *r, const struct replay_answer *answer)
{
    struct answer *w = KR_ALLOC(struct answer);

    copy_answer(&w->arena, &w->a, answer);
    kr_link_init(&w->link);
    kr_link_push(&r->answers, &w->link);
}

const char *replay_log(struct replay *r)
{
    return r->log.n > 0 ? r->log.s : "";
}

void replay_log_reset(struct replay *r)
{
    kr_buf_reset(&r->log);
}

uint32_t replay_open_n(const struct replay *r)
{
    return r->open_n;
}

uint32_t replay_most_n(const struct replay *r)
{
    return r->most_n;
}
