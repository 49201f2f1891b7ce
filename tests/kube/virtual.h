/* SPDX-License-Identifier: Apache-2.0 */
/* virtual.h - a client on fakeapi in virtual time, for tests of kube/. */
#ifndef TESTS_KUBE_VIRTUAL_H
#define TESTS_KUBE_VIRTUAL_H

#include "kube/client.h"
#include "tests/lib/fakeapi.h"
#include "tests/lib/test.h"
#include "tests/lib/vclock.h"

struct virt {
    struct vclock clock;
    struct fakeapi *api;
    struct kube_client *client;
    struct kr_arena a;
};

static inline void virt_open_on(struct virt *v, struct kube_transport *t)
{
    v->client =
        kube_client_new(t, &v->clock.door, &(struct kube_client_opts){.user_agent = "kro/test"});
}

static inline void virt_open(struct virt *v, const struct fakeapi_opts *opts)
{
    *v = (struct virt){0};
    vclock_init(&v->clock);
    v->api = fakeapi_new(&v->clock.door, opts);
    virt_open_on(v, fakeapi_transport(v->api));
}

/* Time stands still; everything that can happen now happens. */
static inline void virt_settle(struct virt *v)
{
    do {
        kube_client_turn(v->client);
    } while (vclock_run(&v->clock));
}

/* Time moves from timer to timer until no request is under way. */
static inline void virt_finish(struct virt *v)
{
    virt_settle(v);
    while (kube_client_busy_n(v->client) > 0 && vclock_step(&v->clock))
        virt_settle(v);
}

static inline void virt_close(struct virt *v)
{
    kube_client_cancel_all(v->client);
    virt_finish(v);
    kube_client_free(v->client);
    fakeapi_free(v->api);
    vclock_fini(&v->clock);
    kr_arena_fini(&v->a);
    *v = (struct virt){0};
}

static inline void virt_on_done(struct kube_req *req)
{
}

/* Sends req with a body in JSON (NULL: none) and waits for its end. */
static inline void virt_send(struct virt *v, struct kube_req *req, const char *json)
{
    struct kr_err err = KR_ERR_NONE;

    if (json != NULL)
        EXPECT_OK(kube_req_set_body(req, test_json(&v->a, json), &err), &err);
    req->on_done = virt_on_done;
    kube_req_start(v->client, req);
    virt_finish(v);
    assert_false(kube_req_busy(req));
}

#define CONFIGMAP(name_)                                                                           \
    ((kr_ref){{{0}, KR_S("v1"), KR_S("configmaps")}, KR_S("default"), KR_S(name_)})
#define DEPLOYMENT(name_)                                                                          \
    ((kr_ref){{KR_S("apps"), KR_S("v1"), KR_S("deployments")}, KR_S("default"), KR_S(name_)})

#endif
