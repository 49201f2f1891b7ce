/* SPDX-License-Identifier: Apache-2.0 */
/* queue_test.c - priorities, fairness between lanes, first in first out, an item waits once. */
#include "reactor/internal.h"
#include "tests/lib/test.h"

enum { ITEMS = 6 };

struct fixture {
    struct reactor_queue q;
    struct reactor_lane a, b;
    struct reactor_item items[ITEMS];
};

static void fixture_init(struct fixture *f)
{
    *f = (struct fixture){0};
    reactor__queue_init(&f->q);
}

/* The order in which the items leave, as digits. */
static const char *drain(struct fixture *f)
{
    static char text[ITEMS + 1];
    int n = 0;
    struct reactor_item *item;

    while ((item = reactor__queue_pop(&f->q)) != NULL)
        text[n++] = (char)('0' + (item - f->items));
    text[n] = '\0';
    return text;
}

TEST(reactor_queue, first_in_first_out_within_a_lane)
{
    struct fixture f;

    fixture_init(&f);
    for (int i = 0; i < 3; i++)
        reactor__queue_add(&f.q, &f.a, &f.items[i], REACTOR_P_CHANGE);
    assert_int_equal(f.q.n, 3);
    EXPECT_TEXT(drain(&f), "012");
    assert_int_equal(f.q.n, 0);
}

TEST(reactor_queue, a_user_edit_overtakes_the_backlog)
{
    struct fixture f;

    fixture_init(&f);
    reactor__queue_add(&f.q, &f.a, &f.items[0], REACTOR_P_BACKLOG);
    reactor__queue_add(&f.q, &f.a, &f.items[1], REACTOR_P_CHANGE);
    reactor__queue_add(&f.q, &f.b, &f.items[2], REACTOR_P_USER);
    EXPECT_TEXT(drain(&f), "210");
}

TEST(reactor_queue, lanes_take_turns)
{
    struct fixture f;

    fixture_init(&f);
    for (int i = 0; i < 4; i++)
        reactor__queue_add(&f.q, &f.a, &f.items[i], REACTOR_P_CHANGE);
    reactor__queue_add(&f.q, &f.b, &f.items[4], REACTOR_P_CHANGE);
    reactor__queue_add(&f.q, &f.b, &f.items[5], REACTOR_P_CHANGE);
    EXPECT_TEXT(drain(&f), "041523");
}

TEST(reactor_queue, an_item_waits_once_and_only_moves_up)
{
    struct fixture f;

    fixture_init(&f);
    reactor__queue_add(&f.q, &f.a, &f.items[0], REACTOR_P_CHANGE);
    reactor__queue_add(&f.q, &f.a, &f.items[1], REACTOR_P_CHANGE);
    reactor__queue_add(&f.q, &f.a, &f.items[1], REACTOR_P_USER);
    reactor__queue_add(&f.q, &f.a, &f.items[1], REACTOR_P_BACKLOG);
    assert_int_equal(f.q.n, 2);
    EXPECT_TEXT(drain(&f), "10");
}

TEST(reactor_queue, removing_is_legal_in_every_state)
{
    struct fixture f;

    fixture_init(&f);
    reactor__queue_remove(&f.q, &f.items[0]);
    reactor__queue_add(&f.q, &f.a, &f.items[0], REACTOR_P_CHANGE);
    reactor__queue_add(&f.q, &f.a, &f.items[1], REACTOR_P_CHANGE);
    reactor__queue_remove(&f.q, &f.items[0]);
    reactor__queue_remove(&f.q, &f.items[0]);
    EXPECT_TEXT(drain(&f), "1");
    reactor__lane_fini(&f.q, &f.a);
}

TEST(reactor_queue, a_lane_pays_for_what_its_step_cost_before_its_next)
{
    struct fixture f;

    fixture_init(&f);
    for (int i = 0; i < 2; i++)
        reactor__queue_add(&f.q, &f.a, &f.items[i], REACTOR_P_CHANGE);
    for (int i = 2; i < ITEMS; i++)
        reactor__queue_add(&f.q, &f.b, &f.items[i], REACTOR_P_CHANGE);
    assert_ptr_equal(reactor__queue_pop(&f.q), &f.items[0]);
    reactor__queue_charge(&f.q, &f.a, REACTOR_P_CHANGE, 2 * REACTOR_COST_STEP);
    EXPECT_TEXT(drain(&f), "23415"); /* its debt of three is paid in three turns */
}

TEST(reactor_queue, a_debt_keeps_nobody_who_is_alone)
{
    struct fixture f;

    fixture_init(&f);
    for (int i = 0; i < 2; i++)
        reactor__queue_add(&f.q, &f.a, &f.items[i], REACTOR_P_CHANGE);
    assert_ptr_equal(reactor__queue_pop(&f.q), &f.items[0]);
    reactor__queue_charge(&f.q, &f.a, REACTOR_P_CHANGE, GRAPH_STEP_STEPS_MAX);
    EXPECT_TEXT(drain(&f), "1");
}

TEST(reactor_queue, costly_edits_leave_their_part_to_what_is_less_urgent)
{
    struct fixture f;

    fixture_init(&f);
    for (int i = 0; i < 2; i++)
        reactor__queue_add(&f.q, &f.a, &f.items[i], REACTOR_P_USER);
    for (int i = 2; i < ITEMS; i++)
        reactor__queue_add(&f.q, &f.b, &f.items[i], REACTOR_P_BACKLOG);
    assert_ptr_equal(reactor__queue_pop(&f.q), &f.items[0]);
    reactor__queue_charge(&f.q, &f.a, REACTOR_P_USER, 20 * REACTOR_COST_STEP);
    EXPECT_TEXT(drain(&f), "23415"); /* one part in eight of 21 */
}

static bool is_a(const struct reactor_lane *lane, void *arg)
{
    const struct fixture *f = arg;

    return lane == &f->a;
}

TEST(reactor_queue, a_full_lane_is_passed_over_and_pays_nothing)
{
    struct fixture f;

    fixture_init(&f);
    reactor__queue_add(&f.q, &f.a, &f.items[0], REACTOR_P_CHANGE);
    for (int i = 1; i < 4; i++)
        reactor__queue_add(&f.q, &f.b, &f.items[i], REACTOR_P_CHANGE);
    reactor__queue_charge(&f.q, &f.a, REACTOR_P_CHANGE, 2 * REACTOR_COST_STEP);
    f.q.full = is_a;
    f.q.full_arg = &f;
    assert_ptr_equal(reactor__queue_pop(&f.q), &f.items[1]);
    assert_ptr_equal(reactor__queue_pop(&f.q), &f.items[2]);
    assert_int_equal(f.a.owed, 2 * REACTOR_COST_STEP);
    assert_ptr_equal(reactor__queue_pop(&f.q), &f.items[3]);
    assert_null(reactor__queue_pop(&f.q));
    assert_false(reactor__queue_due(&f.q));
    f.q.full = NULL;
    EXPECT_TEXT(drain(&f), "0");
}

int main(void)
{
    return RUN(T(reactor_queue, first_in_first_out_within_a_lane),
               T(reactor_queue, a_user_edit_overtakes_the_backlog),
               T(reactor_queue, lanes_take_turns),
               T(reactor_queue, an_item_waits_once_and_only_moves_up),
               T(reactor_queue, removing_is_legal_in_every_state),
               T(reactor_queue, a_lane_pays_for_what_its_step_cost_before_its_next),
               T(reactor_queue, a_debt_keeps_nobody_who_is_alone),
               T(reactor_queue, costly_edits_leave_their_part_to_what_is_less_urgent),
               T(reactor_queue, a_full_lane_is_passed_over_and_pays_nothing));
}
