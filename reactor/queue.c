/* SPDX-License-Identifier: Apache-2.0 */
/* queue.c - who is stepped next: three priorities, and within each the lanes (one per kind) take
 * turns of one item, so that a kind with thousands of due instances delays another's by one step at
 * most. Each LOWER_EVERY-th step is one of a lower priority first, so that a kind whose instances are
 * edited without end does not stop what is less urgent; a lane with enough requests under way is
 * passed over. Within a lane first in, first out. An item waits once, however often it is added.
 */
#include "reactor/internal.h"

enum { LOWER_EVERY = 8 };

void reactor__queue_init(struct reactor_queue *q)
{
    for (int p = 0; p < REACTOR_P_N; p++)
        kr_link_init(&q->ring[p]);
    q->n = 0;
}

void reactor__queue_add(struct reactor_queue *q, struct reactor_lane *lane,
                        struct reactor_item *item, enum reactor_prio prio)
{
    if (item->lane && item->prio <= prio)
        return;
    reactor__queue_remove(q, item);
    item->lane = lane;
    item->prio = (uint8_t)prio;
    kr_link_push(&lane->items[prio], &item->link);
    if (kr_link_empty(&lane->active[prio]))
        kr_link_push(&q->ring[prio], &lane->active[prio]);
    q->n++;
    q->adds++;
}

void reactor__queue_remove(struct reactor_queue *q, struct reactor_item *item)
{
    struct reactor_lane *lane = item->lane;

    if (!lane)
        return;
    kr_link_remove(&item->link);
    if (kr_link_empty(&lane->items[item->prio]))
        kr_link_remove(&lane->active[item->prio]);
    item->lane = NULL;
    q->n--;
}

static bool is_full(const struct reactor_queue *q, const struct reactor_lane *lane)
{
    return q->full && q->full(lane, q->full_arg);
}

/* The lane whose turn it is at priority p, taken out of the ring; NULL: none, or all are full. */
static struct reactor_lane *next_lane(struct reactor_queue *q, int p)
{
    for (struct kr_link *l = q->ring[p].next; l != &q->ring[p]; l = l->next) {
        struct reactor_lane *lane = KR_OWNER(l, struct reactor_lane, active[p]);

        if (is_full(q, lane))
            continue;
        kr_link_remove(l);
        return lane;
    }
    return NULL;
}

static struct reactor_item *pop_at(struct reactor_queue *q, int p)
{
    struct reactor_lane *lane = next_lane(q, p);
    struct reactor_item *item;

    if (!lane)
        return NULL;
    item = KR_OWNER(kr_link_pop(&lane->items[p]), struct reactor_item, link);
    item->lane = NULL;
    q->n--;
    if (!kr_link_empty(&lane->items[p]))
        kr_link_push(&q->ring[p], &lane->active[p]);
    return item;
}

/* The priority that is asked first. */
static int first_of(struct reactor_queue *q)
{
    int first = 0;

    for (uint64_t n = ++q->pops; n % LOWER_EVERY == 0 && first < REACTOR_P_N - 1; n /= LOWER_EVERY)
        first++;
    return first;
}

struct reactor_item *reactor__queue_pop(struct reactor_queue *q)
{
    int first = first_of(q);
    struct reactor_item *item = pop_at(q, first);

    for (int p = 0; p < REACTOR_P_N && !item; p++)
        item = p == first ? NULL : pop_at(q, p);
    return item;
}

bool reactor__queue_due(const struct reactor_queue *q)
{
    for (int p = 0; p < REACTOR_P_N; p++) {
        for (struct kr_link *l = q->ring[p].next; l != &q->ring[p]; l = l->next) {
            if (!is_full(q, KR_OWNER(l, struct reactor_lane, active[p])))
                return true;
        }
    }
    return false;
}

void reactor__lane_fini(struct reactor_queue *q, struct reactor_lane *lane)
{
    (void)q;
    for (int p = 0; p < REACTOR_P_N; p++) {
        KR_ASSERT(kr_link_empty(&lane->items[p]));
        kr_link_remove(&lane->active[p]);
    }
}
