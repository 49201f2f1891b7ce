/* SPDX-License-Identifier: Apache-2.0 */
/* still_clock.h - a clock that stands still and throws no dice, so that an input always does the same. */
#ifndef FUZZ_STILL_CLOCK_H
#define FUZZ_STILL_CLOCK_H

#include "kube/transport.h"

static uint64_t still_now_ms(struct kube_clock *c)
{
    return 1000;
}

static int64_t still_wall_ms(struct kube_clock *c)
{
    return 1767225600000;
}

static void still_timer_start(struct kube_clock *c, struct kube_timer *t, uint64_t delay_ms)
{
}

static void still_timer_stop(struct kube_clock *c, struct kube_timer *t)
{
}

static uint64_t still_random(struct kube_clock *c)
{
    return 42;
}

static const struct kube_clock_ops still_clock_ops = {
    still_now_ms, still_wall_ms, still_timer_start, still_timer_stop, still_random};

#endif
