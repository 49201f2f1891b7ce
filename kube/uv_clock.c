/* SPDX-License-Identifier: Apache-2.0 */
/* uv_clock.c - the clock door on libuv: one uv timer, set for the earliest of the heap. */
#include <time.h>

#include "kube/curl_uv.h"

struct kube_uv_clock {
    struct kube_clock door;
    uv_loop_t *loop;
    uv_timer_t timer;
    struct kube_timers timers;
    uint64_t seed;
};

static struct kube_uv_clock *of(struct kube_clock *c)
{
    return KR_OWNER(c, struct kube_uv_clock, door);
}

static void on_due(uv_timer_t *t);

/* Sets the uv timer for the earliest due time. */
static void arm(struct kube_uv_clock *c)
{
    uint64_t due = kube_timers_due(&c->timers), now = uv_now(c->loop);

    if (due == UINT64_MAX)
        uv_timer_stop(&c->timer);
    else
        uv_timer_start(&c->timer, on_due, due > now ? due - now : 0, 0);
}

static void on_due(uv_timer_t *t)
{
    struct kube_uv_clock *c = KR_OWNER(t, struct kube_uv_clock, timer);

    kube_timers_run(&c->timers, uv_now(c->loop));
    arm(c);
}

static uint64_t now_ms(struct kube_clock *c)
{
    return uv_now(of(c)->loop);
}

static int64_t wall_ms(struct kube_clock *c)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void timer_start(struct kube_clock *c, struct kube_timer *timer, uint64_t delay_ms)
{
    kube_timers_start(&of(c)->timers, timer, uv_now(of(c)->loop) + delay_ms);
    arm(of(c));
}

static void timer_stop(struct kube_clock *c, struct kube_timer *timer)
{
    kube_timers_stop(&of(c)->timers, timer);
    arm(of(c));
}

/* splitmix64 */
static uint64_t random_next(struct kube_clock *c)
{
    uint64_t z = (of(c)->seed += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static const struct kube_clock_ops ops = {now_ms, wall_ms, timer_start, timer_stop, random_next};

struct kube_uv_clock *kube_uv_clock_new(uv_loop_t *loop)
{
    struct kube_uv_clock *c = KR_ALLOC(struct kube_uv_clock);

    c->door.ops = &ops;
    c->loop = loop;
    uv_timer_init(loop, &c->timer);
    if (uv_random(NULL, NULL, &c->seed, sizeof c->seed, 0, NULL) != 0)
        c->seed = uv_hrtime(); /* jitter only: any start will do */
    return c;
}

struct kube_clock *kube_uv_clock_door(struct kube_uv_clock *c)
{
    return &c->door;
}

static void on_closed(uv_handle_t *h)
{
    struct kube_uv_clock *c = KR_OWNER((uv_timer_t *)h, struct kube_uv_clock, timer);

    kube_timers_fini(&c->timers);
    kr_free(c);
}

void kube_uv_clock_close(struct kube_uv_clock *c)
{
    uv_close((uv_handle_t *)&c->timer, on_closed);
}
