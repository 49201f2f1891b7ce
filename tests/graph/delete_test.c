/* SPDX-License-Identifier: Apache-2.0 */
/* delete_test.c - the end of an instance: nothing is lost, nothing stays. */
#include "tests/lib/scenario.h"

#include <stdio.h>
#include <string.h>

/* Compiled once: a chain one -> two -> three, a wave each. */
static struct cel_kinds *kinds;
static struct graph_rev *chain;

static const char chain_text[] =
    "metadata: {name: k}\nspec:\n  schema: {apiVersion: v1alpha1, kind: K, spec: {a: string}}\n"
    "  resources:\n"
    "    - {id: one, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: one}, "
    "data: {a: \"${schema.spec.a}\"}}}\n"
    "    - {id: two, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: two}, "
    "data: {a: \"${one.data.a}\"}}}\n"
    "    - {id: three, template: {apiVersion: v1, kind: Secret, metadata: {name: three}, "
    "stringData: {a: \"${two.data.a}\"}}}\n";

struct fixture {
    struct model *m;
};

static struct fixture setup(void)
{
    KR_AUTO(kr_arena) a = {0};

    return (struct fixture){model_new(
        kinds, chain,
        test_json(&a, "{\"apiVersion\":\"kro.run/v1alpha1\",\"kind\":\"K\",\"metadata\":{"
                      "\"name\":\"k\",\"namespace\":\"default\"},\"spec\":{\"a\":\"1\"}}"))};
}

static void teardown(struct fixture *f)
{
    model_free(f->m);
}

static void expect_gone(struct fixture *f)
{
    for (uint32_t i = 0; i < f->m->objects_n; i++)
        assert_int_equal(f->m->objects[i].live.kind, KR_NONE);
    assert_int_equal(f->m->writes[GRAPH_A_GONE], 1);
}

TEST(delete, costs_k_deletes_one_finalizer_and_one_status)
{
    struct fixture f = setup();

    model_rest(f.m);
    model_count(f.m);
    model_delete_instance(f.m);
    model_rest(f.m);
    expect_gone(&f);
    assert_int_equal(f.m->writes[GRAPH_A_DELETE], 3);
    assert_int_equal(f.m->writes[GRAPH_A_FINALIZER], 1);
    assert_int_equal(f.m->writes[GRAPH_A_STATUS], 1);
    assert_int_equal(model_writes_n(f.m), 5);
    teardown(&f);
}

TEST(delete, without_a_revision_and_after_a_restart_is_the_same)
{
    struct fixture f = setup();

    model_rest(f.m);
    model_count(f.m);
    model_set_revision(f.m, NULL, "");
    model_delete_instance(f.m);
    model_turn(f.m);
    model_restart(f.m);
    model_rest(f.m);
    expect_gone(&f);
    assert_in_range(f.m->writes[GRAPH_A_DELETE], 3,
                    4); /* one may have been on its way when the process died */
    teardown(&f);
}

TEST(delete, at_any_moment_of_a_creation_leaves_nothing)
{
    for (uint32_t turns = 0; turns < 14; turns++) {
        for (int crash = 0; crash < 2; crash++) {
            struct fixture f = setup();

            for (uint32_t i = 0; i < turns; i++)
                model_turn(f.m);
            model_delete_instance(f.m);
            if (crash) {
                model_turn(f.m);
                model_restart(f.m);
            }
            model_rest(f.m);
            for (uint32_t i = 0; i < f.m->objects_n; i++)
                assert_int_equal(f.m->objects[i].live.kind, KR_NONE);
            teardown(&f);
        }
    }
}

TEST(delete, in_random_order_of_events_leaves_nothing)
{
    for (uint64_t n = 1; n <= 300; n++) {
        struct fixture f = setup();
        uint64_t seed = n;

        f.m->seed = &seed;
        for (uint64_t i = test_rand(&seed) % 30; i > 0; i--)
            model_turn(f.m);
        if (n % 3 == 0)
            model_answer(f.m, GRAPH_A_APPLY, GRAPH_O_RETRY, "timeout", n % 2 == 0, 1);
        if (n % 5 == 0)
            model_answer(f.m, GRAPH_A_DELETE, GRAPH_O_RETRY, "timeout", n % 2 == 0, 2);
        if (n % 7 == 0)
            model_answer(f.m, GRAPH_A_FINALIZER, GRAPH_O_RETRY, "timeout", n % 2 == 0, 1);
        model_delete_instance(f.m);
        model_rest(f.m);
        for (uint32_t i = 0; i < f.m->objects_n; i++) {
            if (f.m->objects[i].live.kind != KR_NONE)
                fprintf(stderr, "history %u\n%s", (unsigned)n, f.m->trace.s);
            assert_int_equal(f.m->objects[i].live.kind, KR_NONE);
        }
        teardown(&f);
    }
}

TEST(delete, waits_for_an_apply_whose_outcome_nobody_told)
{
    struct fixture f = setup();

    model_answer(f.m, GRAPH_A_APPLY, GRAPH_O_RETRY, "timeout", false, 1);
    while (!f.m->writes[GRAPH_A_APPLY])
        model_turn(f.m);
    model_delete_instance(f.m);
    model_run(f.m);
    assert_int_equal(f.m->writes[GRAPH_A_FINALIZER], 0);
    model_wait(f.m, 6000);
    assert_int_equal(f.m->writes[GRAPH_A_FINALIZER], 1);
    teardown(&f);
}

TEST(delete, of_an_instance_that_was_never_managed_does_nothing)
{
    KR_AUTO(kr_arena) a = {0};
    struct fixture f;

    f.m = model_new(
        kinds, NULL,
        test_json(
            &a, "{\"apiVersion\":\"kro.run/v1alpha1\",\"kind\":\"K\",\"metadata\":{\"name\":\"k\","
                "\"namespace\":\"default\",\"finalizers\":[\"x/y\"]},\"spec\":{}}"));
    model_delete_instance(f.m);
    model_rest(f.m);
    assert_int_equal(model_writes_n(f.m), 0);
    teardown(&f);
}

TEST(delete, waits_for_the_types_of_the_inventory)
{
    struct fixture f = setup();

    model_rest(f.m);
    model_count(f.m);
    f.m->types_hang = true;
    model_delete_instance(f.m);
    model_rest(f.m);
    assert_int_equal(model_writes_n(f.m), 0);
    graph_inst_types_known(f.m->inst, false, KR_S("cannot list secrets: forbidden"));
    model_rest(f.m);
    assert_int_equal(f.m->writes[GRAPH_A_DELETE], 0);
    assert_non_null(strstr(
        f.m->trace.s, "deletion blocked: list deletion inventory: cannot list secrets: forbidden"));
    graph_inst_types_known(f.m->inst, true, KR_S(""));
    model_rest(f.m);
    expect_gone(&f);
    teardown(&f);
}

TEST(delete, that_a_backup_takes_back_is_as_if_it_had_not_begun)
{
    KR_AUTO(kr_arena) a = {0};
    struct fixture f = setup();

    model_rest(f.m);
    f.m->types_hang = true; /* so that it lasts */
    model_delete_instance(f.m);
    model_restart(f.m); /* nothing was evaluated since */
    model_rest(f.m);
    model_edit(f.m, test_json(&a, "{\"metadata\":{\"deletionTimestamp\":null}}"));
    model_rest(f.m);
    EXPECT_TEXT(kr_cstr(&a, kr_at_str(model_instance(f.m), "status.state")), "ACTIVE");
    teardown(&f);
}

TEST(delete, when_the_finalizer_was_taken_away_orphans_the_children)
{
    struct fixture f = setup();

    model_rest(f.m);
    model_count(f.m);
    model_edit(f.m, scenario_patch(&f.m->a, KR_S("metadata.finalizers=null")));
    model_delete_instance(f.m);
    model_rest(f.m);
    assert_int_equal(f.m->writes[GRAPH_A_DELETE], 0);
    assert_int_equal(f.m->writes[GRAPH_A_GONE], 1);
    assert_int_equal(model_get(f.m, "ConfigMap", "one").kind, KR_MAP);
    teardown(&f);
}

int main(void)
{
    int failed;

    kinds = model_kinds(KROC_SOURCE "/tests/scenario/kinds.yaml");
    chain = scenario_revision(kinds, chain_text);
    failed = RUN(T(delete, costs_k_deletes_one_finalizer_and_one_status),
                 T(delete, without_a_revision_and_after_a_restart_is_the_same),
                 T(delete, at_any_moment_of_a_creation_leaves_nothing),
                 T(delete, in_random_order_of_events_leaves_nothing),
                 T(delete, waits_for_an_apply_whose_outcome_nobody_told),
                 T(delete, of_an_instance_that_was_never_managed_does_nothing),
                 T(delete, waits_for_the_types_of_the_inventory),
                 T(delete, that_a_backup_takes_back_is_as_if_it_had_not_begun),
                 T(delete, when_the_finalizer_was_taken_away_orphans_the_children));
    graph_rev_drop(chain);
    cel_kinds_free(kinds);
    return failed;
}
