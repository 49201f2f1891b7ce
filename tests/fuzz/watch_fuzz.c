/* SPDX-License-Identifier: Apache-2.0 */
/* watch_fuzz.c - any bytes as the answers to a watch: the first decides how each answer is cut and
 * ended, the rest is what the server says. */
#include "kube/watch.h"

#include "cel/base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

struct server {
    struct kube_transport t;
    struct kube_clock c;
    struct kube_timers timers;
    struct kube_exchange *x;
    bool cancelled;
    uint64_t now_ms;
};

static void t_start(struct kube_transport *t, struct kube_exchange *x)
{
    struct server *s = KR_OWNER(t, struct server, t);

    KR_ASSERT(s->x == NULL);
    s->x = x;
    s->cancelled = false;
}

static void t_cancel(struct kube_transport *t, struct kube_exchange *x)
{
    KR_OWNER(t, struct server, t)->cancelled = true;
}

static kr_str t_server(struct kube_transport *t)
{
    return KR_S("https://test");
}

static uint64_t c_now(struct kube_clock *c)
{
    return KR_OWNER(c, struct server, c)->now_ms;
}

static int64_t c_wall(struct kube_clock *c)
{
    return 0;
}

static void c_start(struct kube_clock *c, struct kube_timer *timer, uint64_t delay_ms)
{
    struct server *s = KR_OWNER(c, struct server, c);

    kube_timers_start(&s->timers, timer, s->now_ms + delay_ms);
}

static void c_stop(struct kube_clock *c, struct kube_timer *timer)
{
    kube_timers_stop(&KR_OWNER(c, struct server, c)->timers, timer);
}

static uint64_t c_random(struct kube_clock *c)
{
    return 4;
}

static const struct kube_transport_ops t_ops = {t_start, t_cancel, t_server};
static const struct kube_clock_ops c_ops = {c_now, c_wall, c_start, c_stop, c_random};

static void end(struct server *s, struct kube_client *client, int rc)
{
    struct kube_exchange *x = s->x;
    struct kr_err err = KR_ERR_NONE;

    s->x = NULL;
    if (rc < 0)
        kr_fail(&err, rc, "broken");
    x->on_end(x, rc, &err);
    kube_client_turn(client);
}

/* Gives one answer: a status, then up to len bytes. */
static void answer(struct server *s, struct kube_client *client, uint8_t how, const char *bytes,
                   size_t len)
{
    static const int status[] = {200, 200, 200, 410, 422, 429, 500, 200};
    bool more = true;

    s->x->status = status[how % 8];
    s->x->on_head(s->x, status[how % 8], how & 8 ? 1000 : -1);
    for (size_t at = 0; at < len && more; at++)
        more = s->cancelled || s->x->on_bytes(s->x, bytes + at, 1);
    end(s, client, s->cancelled ? KR_E_CANCELED : !more ? KR_E_LIMIT : how & 16 ? KR_E_IO : 0);
}

static void drain(struct kube_changes *changes)
{
    for (struct kr_link *l; (l = kr_link_pop(&changes->head)) != NULL;)
        kube_change_free(KR_OWNER(l, struct kube_change, link));
}

static void on_closed(struct kube_watch *w, void *arg)
{
    *(bool *)arg = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct server s = {.t = {&t_ops}, .c = {&c_ops}, .now_ms = 1000};
    struct kube_client *client =
        kube_client_new(&s.t, &s.c, &(struct kube_client_opts){.user_agent = "x"});
    struct kr_fieldset_pool *pool = kr_fieldset_pool_new();
    struct kube_changes changes = {0};
    struct kube_store *store;
    struct kube_watch *w;
    struct kr_err err = KR_ERR_NONE;
    bool closed = false;
    uint32_t leaf;

    kr_link_init(&changes.head);
    store = kube_store_new(&(struct kube_store_opts){.gvr = {KR_S(""), KR_S("v1"), KR_S("pods")},
                                                     .manager = KR_S("m"),
                                                     .pool = pool,
                                                     .changes = &changes});
    (void)!kube_projection_add(kube_store_projection(store), NULL, 0, &leaf, &err);
    w = kube_watch_new(client, store,
                       &(struct kube_watch_opts){.no_streaming_list = n > 0 && bytes[0] & 1});
    for (size_t at = 1; at + 2 <= n;) {
        size_t len = (size_t)bytes[at] << 2, left = n - at - 2;

        len = len > left ? left : len;
        if (!s.x) {
            s.now_ms = kube_timers_due(&s.timers);
            kube_timers_run(&s.timers, s.now_ms);
            kube_client_turn(client);
        }
        if (bytes[at + 1] & 32)
            kube_watch_relist(w);
        kube_client_turn(client);
        if (s.x)
            answer(&s, client, bytes[at + 1], (const char *)bytes + at + 2, len);
        at += 2 + len;
    }
    kube_watch_close(w, on_closed, &closed);
    if (s.x)
        end(&s, client, KR_E_CANCELED);
    kube_client_turn(client);
    kube_timers_run(&s.timers, UINT64_MAX - 1);
    kube_client_turn(client);
    KR_ASSERT(closed);
    drain(&changes);
    kube_store_free(store);
    kr_fieldset_pool_free(pool);
    kube_client_free(client);
    kube_timers_fini(&s.timers);
    return 0;
}
