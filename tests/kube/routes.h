/* SPDX-License-Identifier: Apache-2.0 */
/* routes.h - a transport that answers by path, for tests of one-shot requests.
 *
 * Answers are given out in the order of the requests by routes_run; a path without an answer is 404.
 */
#ifndef ROUTES_H
#define ROUTES_H

#include "kube/client.h"

#include "tests/lib/test.h"
#include "tests/lib/vclock.h"

enum { ROUTES_MAX = 64 };

struct routes {
    struct kube_transport t;
    struct vclock clock;
    struct kube_client *client;
    struct {
        const char *path;
        int status; /* 0: the connection breaks */
        kr_str body;
    } route[ROUTES_MAX];
    uint32_t route_n;
    struct kr_link started;
    struct kr_buf asked; /* the paths, one a line */
    const char *accept;  /* of the last request */
};

static void routes_start(struct kube_transport *t, struct kube_exchange *x)
{
    struct routes *r = KR_OWNER(t, struct routes, t);

    kr_buf_str(&r->asked, x->path);
    kr_buf_chr(&r->asked, '\n');
    r->accept = x->accept;
    kr_link_push(&r->started, &x->link);
}

static void routes_cancel(struct kube_transport *t, struct kube_exchange *x)
{
    x->impl = x; /* its turn comes in routes_run */
}

static kr_str routes_server(struct kube_transport *t)
{
    return KR_S("https://test");
}

static const struct kube_transport_ops routes_ops = {routes_start, routes_cancel, routes_server};

static inline void routes_init(struct routes *r)
{
    *r = (struct routes){.t = {&routes_ops}, .asked = KR_BUF(100000)};
    vclock_init(&r->clock);
    r->client =
        kube_client_new(&r->t, &r->clock.door, &(struct kube_client_opts){.user_agent = "test"});
    kr_link_init(&r->started);
}

static inline void routes_fini(struct routes *r)
{
    kube_client_free(r->client);
    vclock_fini(&r->clock);
    kr_buf_fini(&r->asked);
}

/* Sets (or replaces) the answer to a path. */
static inline void routes_set(struct routes *r, const char *path, int status, kr_str body)
{
    uint32_t i = 0;

    while (i < r->route_n && strcmp(r->route[i].path, path) != 0)
        i++;
    assert_true(i < ROUTES_MAX);
    r->route[i].path = path;
    r->route[i].status = status;
    r->route[i].body = body;
    if (i == r->route_n)
        r->route_n++;
}

static inline void routes_answer(struct routes *r, struct kube_exchange *x)
{
    struct kr_err err = KR_ERR_NONE;
    uint32_t i = 0;

    if (x->impl) {
        x->on_end(x, kr_fail(&err, KR_E_CANCELED, "canceled"), &err);
        return;
    }
    while (i < r->route_n && !kr_str_eq(x->path, kr_str_c(r->route[i].path)))
        i++;
    if (i < r->route_n && r->route[i].status == 0) {
        x->on_end(x, kr_fail(&err, KR_E_IO, "connection lost"), &err);
        return;
    }
    x->on_head(x, i < r->route_n ? r->route[i].status : 404, -1);
    if (i < r->route_n && !x->on_bytes(x, r->route[i].body.s, r->route[i].body.n))
        x->on_end(x, kr_fail(&err, KR_E_LIMIT, "stopped"), &err);
    else
        x->on_end(x, 0, &err);
}

/* Answers one request, the oldest. false: there is none. */
static inline bool routes_step(struct routes *r)
{
    struct kr_link *l;

    vclock_run(&r->clock);
    kube_client_turn(r->client);
    l = kr_link_pop(&r->started);
    if (l)
        routes_answer(r, KR_OWNER(l, struct kube_exchange, link));
    kube_client_turn(r->client);
    return l != NULL;
}

/* Answers until nothing is asked any more. */
static inline void routes_run(struct routes *r)
{
    while (routes_step(r)) {
    }
}

/* The paths asked for since the last call, one a line; lives in a. */
static inline const char *routes_asked(struct routes *r, struct kr_arena *a)
{
    const char *out = kr_cstr(a, kr_buf_view(&r->asked));

    kr_buf_reset(&r->asked);
    return out;
}

#endif
