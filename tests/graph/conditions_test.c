/* SPDX-License-Identifier: Apache-2.0 */
/* conditions_test.c - kro's condition engine. */
#include "graph/internal.h"
#include "tests/lib/test.h"

static const char *const types[] = {"Ready", "A", "B", NULL};

enum { CREATED = 1767225600, NOW = CREATED + 3600 }; /* 2026-01-01T00:00:00Z */

static void load(struct graph_conds *c, struct kr_arena *a, const char *object)
{
    graph__conds_load(c, a, types, test_json(a, object), NOW);
}

static const char new_object[] =
    "{\"metadata\":{\"generation\":2,\"creationTimestamp\":\"2026-01-01T00:00:00Z\"}}";

static const char *print(struct graph_conds *c)
{
    kr_str out = KR_S("");

    for (uint32_t i = 0; i < c->n; i++) {
        const struct graph_cond *x = &c->items[i];

        out = kr_fmt(c->a, KR_FMT KR_FMT " " KR_FMT " " KR_FMT " gen=%d t=%d: " KR_FMT "\n",
                     KR_ARG(out), KR_ARG(x->type), KR_ARG(x->status), KR_ARG(x->reason),
                     (int)x->observed_generation, (int)(x->transition_s - CREATED),
                     KR_ARG(x->message));
    }
    return kr_cstr(c->a, out);
}

TEST(conditions, missing_ones_await_since_creation)
{
    KR_AUTO(kr_arena) a = {0};
    struct graph_conds c;

    load(&c, &a, new_object);
    EXPECT_TEXT(
        print(&c),
        "A Unknown AwaitingReconciliation gen=2 t=0: condition \"A\" is awaiting reconciliation\n"
        "B Unknown AwaitingReconciliation gen=2 t=0: condition \"B\" is awaiting reconciliation\n"
        "Ready Unknown AwaitingReconciliation gen=2 t=0: condition \"A\" is awaiting "
        "reconciliation\n");
}

TEST(conditions, all_true_makes_the_root_true)
{
    KR_AUTO(kr_arena) a = {0};
    struct graph_conds c;

    load(&c, &a, new_object);
    assert_true(graph__conds_set(&c, "A", "True", "Fine", KR_S("a")));
    assert_true(graph__conds_set(&c, "B", "True", "Good", KR_S("b")));
    EXPECT_TEXT(print(&c), "A True Fine gen=2 t=3600: a\n"
                           "B True Good gen=2 t=3600: b\n"
                           "Ready True Ready gen=2 t=3600: \n");
}

TEST(conditions, false_beats_unknown_and_the_latest_beats_the_older)
{
    KR_AUTO(kr_arena) a = {0};
    struct graph_conds c;

    load(&c, &a, new_object);
    graph__conds_set(&c, "A", "False", "Broken", KR_S("first"));
    assert_string_equal(kr_cstr(&a, graph__conds_get(&c, "Ready")->message), "first");
    c.now_s = NOW + 60;
    graph__conds_set(&c, "B", "False", "Broken", KR_S("second"));
    assert_string_equal(kr_cstr(&a, graph__conds_get(&c, "Ready")->message), "second");
    graph__conds_set(&c, "B", "Unknown", "Waits", KR_S("third"));
    assert_string_equal(kr_cstr(&a, graph__conds_get(&c, "Ready")->message), "first");
}

TEST(conditions, an_equal_one_changes_nothing_and_time_stays_with_the_status)
{
    KR_AUTO(kr_arena) a = {0};
    struct graph_conds c;

    load(&c, &a, new_object);
    graph__conds_set(&c, "A", "False", "Broken", KR_S("x"));
    c.now_s = NOW + 60;
    assert_false(graph__conds_set(&c, "A", "False", "Broken", KR_S("x")));
    assert_true(graph__conds_set(&c, "A", "False", "Broken", KR_S("y")));
    assert_int_equal(graph__conds_get(&c, "A")->transition_s, NOW);
    assert_true(graph__conds_set(&c, "A", "True", "Fine", KR_S("y")));
    assert_int_equal(graph__conds_get(&c, "A")->transition_s, NOW + 60);
}

static const char old_generation[] =
    "{\"metadata\":{\"generation\":3,\"creationTimestamp\":\"2026-01-01T00:00:00Z\"},\"status\":{"
    "\"conditions\":["
    "{\"type\":\"A\",\"status\":\"True\",\"reason\":\"Fine\",\"message\":\"\","
    "\"observedGeneration\":2,\"lastTransitionTime\":\"2026-01-01T00:00:01Z\"},"
    "{\"type\":\"B\",\"status\":\"True\",\"reason\":\"Fine\",\"message\":\"\","
    "\"observedGeneration\":2,\"lastTransitionTime\":\"2026-01-01T00:00:02Z\"},"
    "{\"type\":\"Ready\",\"status\":\"True\",\"reason\":\"Ready\",\"message\":\"\","
    "\"observedGeneration\":2,\"lastTransitionTime\":\"2026-01-01T00:00:02Z\"}]}}";

TEST(conditions, the_root_keeps_its_value_until_all_are_of_this_generation)
{
    KR_AUTO(kr_arena) a = {0};
    struct graph_conds c;

    load(&c, &a, old_generation);
    graph__conds_set(&c, "A", "True", "Fine", KR_S(""));
    assert_int_equal(graph__conds_get(&c, "Ready")->observed_generation, 2);
    graph__conds_set(&c, "B", "True", "Fine", KR_S(""));
    EXPECT_TEXT(print(&c), "A True Fine gen=3 t=1: \n"
                           "B True Fine gen=3 t=2: \n"
                           "Ready True Ready gen=3 t=2: \n");
}

TEST(conditions, of_an_object_that_goes_all_get_the_generation)
{
    KR_AUTO(kr_arena) a = {0};
    struct graph_conds c;
    kr_val object = kr_with(&a, test_json(&a, old_generation), "metadata.deletionTimestamp",
                            KR_V_STR("2026-01-02T00:00:00Z"));

    graph__conds_load(&c, &a, types, object, NOW);
    graph__conds_set(&c, "B", "Unknown", "UnderDeletion", KR_S("deleting"));
    EXPECT_TEXT(print(&c), "A True Fine gen=3 t=1: \n"
                           "B Unknown UnderDeletion gen=3 t=3600: deleting\n"
                           "Ready Unknown UnderDeletion gen=3 t=3600: deleting\n");
}

TEST(conditions, go_to_the_wire_and_come_back_equal)
{
    KR_AUTO(kr_arena) a = {0};
    struct graph_conds c;
    kr_val object = test_json(&a, old_generation);

    graph__conds_load(&c, &a, types, object, NOW);
    assert_true(kr_equal(graph__conds_value(&c), kr_at(object, "status.conditions")));
}

TEST(conditions, foreign_types_take_no_part_in_the_root_and_never_overflow)
{
    KR_AUTO(kr_arena) a = {0};
    struct graph_conds c;
    struct kr_listb list = KR_LISTB(&a);
    kr_val object = test_json(&a, new_object);

    for (int i = 0; i < 100; i++) {
        kr_val item =
            kr_with_key(&a, kr_map_sorted(NULL, 0), KR_S("type"), kr_string(kr_fmt(&a, "x%d", i)));

        kr_listb_add(&list, kr_with_key(&a, item, KR_S("status"), KR_V_STR("False")));
    }
    object = kr_with(&a, object, "status.conditions", kr_listb_done(&list));
    graph__conds_load(&c, &a, types, object, NOW);
    graph__conds_set(&c, "A", "True", "Fine", KR_S(""));
    graph__conds_set(&c, "B", "True", "Fine", KR_S(""));
    assert_true(c.n <= GRAPH_CONDS_MAX);
    assert_string_equal(kr_cstr(&a, graph__conds_get(&c, "Ready")->status), "True");
}

int main(void)
{
    return RUN(T(conditions, missing_ones_await_since_creation),
               T(conditions, all_true_makes_the_root_true),
               T(conditions, false_beats_unknown_and_the_latest_beats_the_older),
               T(conditions, an_equal_one_changes_nothing_and_time_stays_with_the_status),
               T(conditions, the_root_keeps_its_value_until_all_are_of_this_generation),
               T(conditions, of_an_object_that_goes_all_get_the_generation),
               T(conditions, go_to_the_wire_and_come_back_equal),
               T(conditions, foreign_types_take_no_part_in_the_root_and_never_overflow));
}
