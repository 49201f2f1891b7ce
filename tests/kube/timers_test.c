/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/transport.h"
#include "tests/lib/test.h"
#include "tests/lib/vclock.h"

struct mark {
    struct kube_timer timer;
    int id;
};

static int order[64], order_n;

static void note(struct kube_timer *t)
{
    order[order_n++] = KR_OWNER(t, struct mark, timer)->id;
}

TEST(kube_timers, run_in_order_of_due_time_then_of_starting)
{
    static const uint64_t due[] = {30, 10, 20, 10, 40, 10};
    struct kube_timers t = {0};
    struct mark marks[6] = {0};
    static const int want[] = {1, 3, 5, 2, 0};

    order_n = 0;
    for (int i = 0; i < 6; i++) {
        marks[i] = (struct mark){.timer.fn = note, .id = i};
        kube_timers_start(&t, &marks[i].timer, due[i]);
    }
    assert_int_equal(kube_timers_due(&t), 10);
    kube_timers_run(&t, 35);
    assert_int_equal(order_n, 5);
    assert_memory_equal(order, want, sizeof want);
    assert_int_equal(kube_timers_due(&t), 40);
    kube_timers_stop(&t, &marks[4].timer);
    kube_timers_stop(&t, &marks[4].timer);
    assert_true(kube_timers_due(&t) == UINT64_MAX);
    kube_timers_fini(&t);
}

/* Against the plain way: an array searched for its least element. */
TEST(kube_timers, random_starts_and_stops_agree_with_a_plain_list)
{
    enum { N = 50 };
    struct kube_timers t = {0};
    struct mark marks[N] = {0};
    bool set[N] = {0};
    uint64_t seed = 7;

    for (int round = 0; round < 5000; round++) {
        int i = (int)(test_rand(&seed) % N);
        uint64_t least = UINT64_MAX;

        if (test_rand(&seed) % 3 == 0) {
            kube_timers_stop(&t, &marks[i].timer);
            set[i] = false;
        } else {
            kube_timers_start(&t, &marks[i].timer, test_rand(&seed) % 1000);
            set[i] = true;
        }
        for (int k = 0; k < N; k++)
            if (set[k] && marks[k].timer.due_ms < least)
                least = marks[k].timer.due_ms;
        assert_true(kube_timers_due(&t) == least);
    }
    kube_timers_fini(&t);
}

struct again {
    struct kube_timer timer;
    struct vclock *v;
    int n;
};

static void restart(struct kube_timer *t)
{
    struct again *a = KR_OWNER(t, struct again, timer);

    if (++a->n < 5)
        a->v->door.ops->timer_start(&a->v->door, t, 0);
}

TEST(kube_timers, one_started_in_a_callback_waits_for_the_next_run)
{
    struct vclock v;
    struct again a = {.timer.fn = restart, .v = &v};

    vclock_init(&v);
    v.door.ops->timer_start(&v.door, &a.timer, 0);
    kube_timers_run(&v.timers, v.now_ms);
    assert_int_equal(a.n, 1);
    assert_true(vclock_run(&v));
    assert_int_equal(a.n, 5);
    assert_false(vclock_run(&v));
    vclock_fini(&v);
}

TEST(vclock, moves_from_timer_to_timer)
{
    struct vclock v;
    struct mark a = {.timer.fn = note, .id = 1}, b = {.timer.fn = note, .id = 2};

    order_n = 0;
    vclock_init(&v);
    v.door.ops->timer_start(&v.door, &a.timer, 500);
    v.door.ops->timer_start(&v.door, &b.timer, 100);
    assert_true(vclock_step(&v));
    assert_int_equal(kube_now_ms(&v.door), VCLOCK_START_MS + 100);
    vclock_advance(&v, 399);
    assert_int_equal(order_n, 1);
    vclock_advance(&v, 1);
    assert_int_equal(order_n, 2);
    assert_false(vclock_step(&v));
    vclock_fini(&v);
}

int main(void)
{
    return RUN(T(kube_timers, run_in_order_of_due_time_then_of_starting),
               T(kube_timers, random_starts_and_stops_agree_with_a_plain_list),
               T(kube_timers, one_started_in_a_callback_waits_for_the_next_run),
               T(vclock, moves_from_timer_to_timer));
}
