/* SPDX-License-Identifier: Apache-2.0 */
/* queue.c - who is stepped next: three priorities, and within each the lanes (one per kind) take
 * turns, first in first out within a lane. An item waits once, however often it is added.
 *
 * Deficit round robin, paid afterwards, for what a step costs is known when it is done: what its
 * item's lane owes for it is paid with REACTOR_COST_STEP a turn, and a lane that owes more passes its
 * turn. The cheapest step costs one turn; a kind whose expressions take a thousand times as long gets
 * one step while each of the others gets a thousand. A lane that is alone pays at once: nothing is
 * ever idle for a debt, and none is larger than one step's.
 *
 * A priority shares in the same way with those below it: of LOWER_EVERY parts of the cost one is
 * theirs, so that a kind whose instances are edited without end does not stop what is less urgent. A
 * lane with enough requests under way is passed over.
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

/* Its turn: does it owe more than that pays? */
static bool pays(struct reactor_lane *lane)
{
    lane->owed -= lane->owed < REACTOR_COST_STEP ? lane->owed : REACTOR_COST_STEP;
    return lane->owed > 0;
}

/* The lane whose turn it is at priority p, taken out of the ring; NULL: none, or all are full. Goes
 * round until one has paid: as many turns as were charged. */
static struct reactor_lane *next_lane(struct reactor_queue *q, int p)
{
    struct kr_link *ring = &q->ring[p], *l = ring->next;

    while (l != ring) {
        struct reactor_lane *lane = KR_OWNER(l, struct reactor_lane, active[p]);

        if (is_full(q, lane)) {
            l = l->next;
            continue;
        }
        l = l->next;
        kr_link_remove(&lane->active[p]);
        if (!pays(lane))
            return lane;
        kr_link_push(ring, &lane->active[p]);
        if (l == ring) /* it was the last: its next turn comes at once */
            l = &lane->active[p];
    }
    return NULL;
}

void reactor__queue_charge(struct reactor_queue *q, struct reactor_lane *lane,
                           enum reactor_prio prio, uint64_t cost)
{
    q->cost += cost;
    lane->owed += cost;
    q->spent[prio] += cost;
    for (int p = 0; p < (int)prio; p++) {
        uint64_t back = (LOWER_EVERY - 1) * cost;

        q->spent[p] -= q->spent[p] < back ? q->spent[p] : back;
    }
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
    reactor__queue_charge(q, lane, (enum reactor_prio)p, REACTOR_COST_STEP);
    return item;
}

/* The priority that is asked first. */
static int first_of(const struct reactor_queue *q)
{
    int p = 0;

    while (p < REACTOR_P_N - 1 && q->spent[p] >= (uint64_t)(LOWER_EVERY - 1) * REACTOR_COST_STEP)
        p++;
    return p;
}

struct reactor_item *reactor__queue_pop(struct reactor_queue *q)
{
    int first = first_of(q);
    struct reactor_item *item = NULL;

    for (int p = first; p < REACTOR_P_N && !item; p++)
        item = pop_at(q, p);
    if (item)
        return item;
    for (int p = 0; p < first; p++)
        q->spent[p] = 0; /* nothing below wants a part of it */
    for (int p = 0; p < first && !item; p++)
        item = pop_at(q, p);
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
