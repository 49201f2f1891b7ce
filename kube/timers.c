/* SPDX-License-Identifier: Apache-2.0 */
/* timers.c - a binary heap of embedded timers, earliest first, equal ones in order of starting.
 *
 * Every clock shares it: the one on libuv and the virtual one of the tests. A timer knows its place
 * in the heap, so stopping costs no search.
 */
#include "kube/transport.h"

static bool before(const struct kube_timer *a, const struct kube_timer *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->seq < b->seq;
}

static void put_at(struct kube_timers *t, uint32_t at, struct kube_timer *timer)
{
    t->heap[at] = timer;
    timer->heap_at = at;
}

static void sift_up(struct kube_timers *t, uint32_t at, struct kube_timer *timer)
{
    while (at > 1 && before(timer, t->heap[at / 2])) {
        put_at(t, at, t->heap[at / 2]);
        at /= 2;
    }
    put_at(t, at, timer);
}

static void sift_down(struct kube_timers *t, uint32_t at, struct kube_timer *timer)
{
    uint32_t child;

    for (; at * 2 <= t->n; at = child) {
        child = at * 2;
        if (child < t->n && before(t->heap[child + 1], t->heap[child]))
            child++;
        if (!before(t->heap[child], timer))
            break;
        put_at(t, at, t->heap[child]);
    }
    put_at(t, at, timer);
}

void kube_timers_fini(struct kube_timers *t)
{
    kr_free(t->heap);
    *t = (struct kube_timers){.seq = t->seq};
}

void kube_timers_start(struct kube_timers *t, struct kube_timer *timer, uint64_t due_ms)
{
    kube_timers_stop(t, timer);
    if (t->n + 1 >= t->cap) {
        t->cap = t->cap ? t->cap * 2 : 16;
        t->heap = kr_realloc(t->heap, t->cap * sizeof(t->heap[0]));
    }
    timer->due_ms = due_ms;
    timer->seq = ++t->seq;
    sift_up(t, ++t->n, timer);
}

void kube_timers_stop(struct kube_timers *t, struct kube_timer *timer)
{
    uint32_t at = timer->heap_at;
    struct kube_timer *last;

    if (at == 0)
        return;
    KR_ASSERT(at <= t->n && t->heap[at] == timer);
    timer->heap_at = 0;
    last = t->heap[t->n--];
    if (last == timer)
        return;
    if (at > 1 && before(last, t->heap[at / 2]))
        sift_up(t, at, last);
    else
        sift_down(t, at, last);
}

uint64_t kube_timers_due(const struct kube_timers *t)
{
    return t->n == 0 ? UINT64_MAX : t->heap[1]->due_ms;
}

void kube_timers_run(struct kube_timers *t, uint64_t now_ms)
{
    uint64_t last_seq = t->seq; /* what is started from now on has to wait */

    while (t->n > 0 && t->heap[1]->due_ms <= now_ms && t->heap[1]->seq <= last_seq) {
        struct kube_timer *timer = t->heap[1];

        kube_timers_stop(t, timer);
        timer->fn(timer);
    }
}
