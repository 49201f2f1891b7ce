/* SPDX-License-Identifier: Apache-2.0 */
/* queue.c - who is stepped next: three priorities, and within each the lanes (one per kind) take
 * turns of one item, so that a kind with thousands of due instances delays another's by one step at
 * most. Within a lane first in, first out. An item waits once, however often it is added.
 */
#include "reactor/internal.h"

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

struct reactor_item *reactor__queue_pop(struct reactor_queue *q)
{
    for (int p = 0; p < REACTOR_P_N; p++) {
        struct kr_link *turn = kr_link_pop(&q->ring[p]);
        struct reactor_lane *lane;
        struct reactor_item *item;

        if (!turn)
            continue;
        lane = KR_OWNER(turn, struct reactor_lane, active[p]);
        item = KR_OWNER(kr_link_pop(&lane->items[p]), struct reactor_item, link);
        item->lane = NULL;
        q->n--;
        if (!kr_link_empty(&lane->items[p]))
            kr_link_push(&q->ring[p], turn);
        return item;
    }
    return NULL;
}

void reactor__lane_fini(struct reactor_queue *q, struct reactor_lane *lane)
{
    (void)q;
    for (int p = 0; p < REACTOR_P_N; p++) {
        KR_ASSERT(kr_link_empty(&lane->items[p]));
        kr_link_remove(&lane->active[p]);
    }
}
