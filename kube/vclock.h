/* SPDX-License-Identifier: Apache-2.0 */
/* vclock.h - the clock door with virtual time: it stands still until somebody moves it. For tests, the
 * simulation and commands that try something out (kroc test, kroc render).
 *
 * Time starts at VCLOCK_START_MS; the wall clock then shows 2026-01-01T00:00:00Z. Random numbers
 * are the same in every run.
 */
#ifndef KUBE_VCLOCK_H
#define KUBE_VCLOCK_H

#include "kube/transport.h"

enum {
    VCLOCK_START_MS = 1000 * 1000,
    VCLOCK_RUNS_MAX =
        1000 * 1000, /* passes over timers at one time: more is a livelock, and aborts */
};

struct vclock {
    struct kube_clock door;
    struct kube_timers timers;
    uint64_t now_ms;
    uint64_t seed;
};

void vclock_init(struct vclock *v);
void vclock_fini(struct vclock *v);
/* Runs what is due now, and what that makes due now. Returns whether anything ran. */
bool vclock_run(struct vclock *v);
/* Moves to the earliest timer and runs what is due then; false: there is none. */
bool vclock_step(struct vclock *v);
/* Moves ms ahead, running every timer at its time. */
void vclock_advance(struct vclock *v, uint64_t ms);

#endif
