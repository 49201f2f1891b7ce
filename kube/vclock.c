/* SPDX-License-Identifier: Apache-2.0 */
/* vclock.c - virtual time over the heap that every clock shares. */
#include "kube/vclock.h"

static struct vclock *of(struct kube_clock *c)
{
    return KR_OWNER(c, struct vclock, door);
}

static uint64_t now_ms(struct kube_clock *c)
{
    return of(c)->now_ms;
}

static int64_t wall_ms(struct kube_clock *c)
{
    return 1767225600000 + (int64_t)(of(c)->now_ms - VCLOCK_START_MS);
}

static void timer_start(struct kube_clock *c, struct kube_timer *timer, uint64_t delay_ms)
{
    kube_timers_start(&of(c)->timers, timer, of(c)->now_ms + delay_ms);
}

static void timer_stop(struct kube_clock *c, struct kube_timer *timer)
{
    kube_timers_stop(&of(c)->timers, timer);
}

static uint64_t random_next(struct kube_clock *c) /* splitmix64 */
{
    uint64_t z = (of(c)->seed += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static const struct kube_clock_ops ops = {now_ms, wall_ms, timer_start, timer_stop, random_next};

void vclock_init(struct vclock *v)
{
    *v = (struct vclock){.door = {&ops}, .now_ms = VCLOCK_START_MS};
}

void vclock_fini(struct vclock *v)
{
    kube_timers_fini(&v->timers);
}

bool vclock_run(struct vclock *v)
{
    uint32_t runs = 0;

    while (kube_timers_due(&v->timers) <= v->now_ms) {
        kube_timers_run(&v->timers, v->now_ms);
        KR_ASSERT(++runs < VCLOCK_RUNS_MAX);
    }
    return runs > 0;
}

bool vclock_step(struct vclock *v)
{
    uint64_t due = kube_timers_due(&v->timers);

    if (due == UINT64_MAX)
        return false;
    if (due > v->now_ms)
        v->now_ms = due;
    return vclock_run(v);
}

void vclock_advance(struct vclock *v, uint64_t ms)
{
    uint64_t end = v->now_ms + ms;

    vclock_run(v);
    while (kube_timers_due(&v->timers) <= end)
        vclock_step(v);
    v->now_ms = end;
}
