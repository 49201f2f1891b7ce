/* SPDX-License-Identifier: Apache-2.0 */
/* breaker_test.c - writes that come back to us are slowed, and no others. Time is virtual. */
#include "tests/lib/scenario.h"

#include <stdio.h>
#include <string.h>

enum { MINUTE_MS = 60 * 1000, TICK_MS = 100, TICKS_A_MINUTE = MINUTE_MS / TICK_MS };

struct fixture {
    struct cel_kinds *kinds;
    struct model *m;
};

/* base <- follower: two ConfigMaps; the second copies the first one's data.moves, an external one's
 * data.input, and the instance's spec.a. */
static struct fixture setup(void)
{
    struct fixture f = {.kinds = model_kinds(KROC_SOURCE "/tests/scenario/kinds.yaml")};
    KR_AUTO(kr_arena) a = {0};
    struct graph_rev *rev = scenario_revision(
        f.kinds,
        "metadata: {name: k}\nspec:\n  schema:\n    apiVersion: v1alpha1\n    kind: K\n"
        "    spec: {a: string}\n  resources:\n"
        "    - id: ext\n      externalRef: {apiVersion: v1, kind: ConfigMap, metadata: {name: "
        "ext}}\n"
        "    - id: base\n      template: {apiVersion: v1, kind: ConfigMap, metadata: {name: base}, "
        "data: {a: \"${schema.spec.a}\"}}\n"
        "    - id: follower\n      template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "
        "follower}, data: {a: \"${schema.spec.a}\", input: \"${ext.data.input}\", moves: "
        "\"${base.data.?moves.orValue('')}\"}}\n");

    f.m = model_new(f.kinds, rev,
                    test_json(&a, "{\"apiVersion\":\"kro.run/v1alpha1\",\"kind\":\"K\","
                                  "\"metadata\":{\"name\":\"k\",\"namespace\":\"default\"},"
                                  "\"spec\":{\"a\":\"1\"}}"));
    graph_rev_drop(rev);
    model_write(f.m, "v1", "ConfigMap", "default", "ext",
                scenario_patch(&f.m->a, KR_S("data.input=\"0\"")));
    model_rest(f.m);
    model_count(f.m);
    return f;
}

static void teardown(struct fixture *f)
{
    model_free(f->m);
    cel_kinds_free(f->kinds);
}

static void put(struct fixture *f, const char *name, const char *key, uint32_t value)
{
    struct model *m = f->m;

    model_write(m, "v1", "ConfigMap", "default", name,
                scenario_patch(&m->a, kr_fmt(&m->a, "data.%s=\"%u\"", key, value)));
}

static kr_str datum(struct fixture *f, const char *name, const char *key)
{
    return kr_at_str(model_get(f->m, "ConfigMap", name),
                     kr_cstr(&f->m->a, kr_fmt(&f->m->a, "data.%s", key)));
}

static uint32_t applies(struct fixture *f)
{
    return f->m->writes[GRAPH_A_APPLY];
}

static kr_str resources_ready(struct fixture *f)
{
    KR_LIST_EACH (c, kr_at(model_instance(f->m), "status.conditions")) {
        if (kr_is_str(kr_get(*c, KR_S("type")), KR_S("ResourcesReady")))
            return kr_at_str(*c, "message");
    }
    return KR_S("");
}

/* A peer that takes data.a of base whenever it is ours. */
static void peer(struct fixture *f, uint32_t ticks)
{
    kr_ref ref = {.gvr = {KR_S(""), KR_S("v1"), KR_S("configmaps")},
                  .namespace = KR_S("default"),
                  .name = KR_S("base")};

    for (uint32_t i = 0; i < ticks; i++) {
        if (!kr_str_is(datum(f, "base", "a"), "9")) {
            graph_inst_taken(f->m->inst, ref, KR_S("data.a"), KR_S("peer"));
            put(f, "base", "a", 9);
        }
        model_wait(f->m, TICK_MS);
    }
}

TEST(breaker, a_fight_is_slowed_to_one_write_a_minute_and_told)
{
    struct fixture f = setup();

    peer(&f, 10 * TICKS_A_MINUTE);
    assert_in_range(applies(&f), 15, 22); /* without the breaker: six thousand */
    assert_true(f.m->writes[GRAPH_A_STATUS] <= 25);
    assert_true(kr_str_starts(
        resources_ready(&f),
        KR_S("awaiting resource readiness: node \"base\": \"peer\" keeps changing data.a of "
             "ConfigMap default/base: it is written once a minute, next at 2026-")));
    teardown(&f);
}

TEST(breaker, the_end_of_a_fight_is_noticed_and_forgotten)
{
    struct fixture f = setup();

    peer(&f, 3 * TICKS_A_MINUTE);
    model_rest(f.m); /* the peer is gone: our write stays */
    assert_true(kr_str_is(datum(&f, "base", "a"), "1"));
    EXPECT_TEXT(kr_cstr(&f.m->a, resources_ready(&f)), "all resources are created and ready");
    model_wait(f.m, 2 * MINUTE_MS);
    model_count(f.m);
    put(&f, "base", "a", 9);
    model_run(f.m);
    assert_int_equal(applies(&f), 1); /* at once again */
    assert_true(kr_str_is(datum(&f, "base", "a"), "1"));
    teardown(&f);
}

TEST(breaker, drift_now_and_then_is_repaired_at_once)
{
    struct fixture f = setup();

    for (uint32_t i = 0; i < 60; i++) {
        put(&f, "base", "a", 100 + i);
        model_run(f.m);
        assert_true(kr_str_is(datum(&f, "base", "a"), "1"));
        model_wait(f.m, MINUTE_MS / 8);
    }
    assert_int_equal(applies(&f), 60);
    teardown(&f);
}

TEST(breaker, an_object_that_is_deleted_again_and_again_counts)
{
    struct fixture f = setup();

    for (uint32_t i = 0; i < 3 * TICKS_A_MINUTE; i++) {
        model_delete(f.m, "v1", "ConfigMap", "default", "base");
        model_wait(f.m, TICK_MS);
    }
    assert_in_range(applies(&f), 10, 30);
    teardown(&f);
}

/* Somebody answers each write of follower by moving what it reads of base. */
static void echo(struct fixture *f, uint32_t ticks)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < ticks; i++) {
        if (kr_str_eq(datum(f, "follower", "moves"), datum(f, "base", "moves")))
            put(f, "base", "moves", ++n);
        model_wait(f->m, TICK_MS);
    }
}

TEST(breaker, a_loop_through_a_read_is_slowed)
{
    struct fixture f = setup();

    echo(&f, 2 * TICKS_A_MINUTE);
    assert_in_range(applies(&f), 15, 18); /* ten, then after 1, 2, 4, ... seconds */
    model_count(f.m);
    echo(&f, 10 * TICKS_A_MINUTE);
    assert_in_range(applies(&f), 9, 11);
    assert_true(kr_str_find(resources_ready(&f), KR_S("node \"follower\": base.data.moves keeps "
                                                      "moving after each write of ConfigMap "
                                                      "default/follower")) >= 0);
    teardown(&f);
}

TEST(breaker, edits_of_inputs_are_never_slowed)
{
    struct fixture f = setup();

    for (uint32_t i = 1; i <= 600; i++) { /* ten a second */
        put(&f, "ext", "input", i);
        model_wait(f.m, TICK_MS);
    }
    assert_int_equal(applies(&f), 600);
    for (uint32_t i = 1; i <= 600; i++) {
        model_edit(f.m, scenario_patch(&f.m->a, kr_fmt(&f.m->a, "spec.a=v%u", i)));
        model_wait(f.m, TICK_MS);
    }
    assert_int_equal(applies(&f), 600 + 2 * 600);
    assert_int_equal(model_applies_max(f.m), 1200);
    teardown(&f);
}

/* What is read moves by itself: the hold proves it, and then nothing is held any more. */
TEST(breaker, a_child_that_moves_by_itself_is_followed)
{
    struct fixture f = setup();

    for (uint32_t i = 1; i <= 600; i++) {
        put(&f, "base", "moves", i);
        model_wait(f.m, TICK_MS);
    }
    assert_true(applies(&f) >= 580);
    model_rest(f.m);
    assert_true(kr_str_is(datum(&f, "follower", "moves"), "600"));
    teardown(&f);
}

/* As the status of a Deployment does during a roll-out: some moves, and then the last one counts. */
TEST(breaker, the_last_of_some_moves_is_followed_in_seconds)
{
    for (uint32_t n = 1; n <= 40; n++) {
        struct fixture f = setup();

        for (uint32_t i = 1; i <= n; i++) {
            put(&f, "base", "moves", i);
            model_wait(f.m, 5 * TICK_MS);
        }
        model_wait(f.m, 8000);
        assert_int_equal(kr_str_cmp(datum(&f, "follower", "moves"), datum(&f, "base", "moves")), 0);
        teardown(&f);
    }
}

/* Slow ones are not slowed at all. */
TEST(breaker, a_child_that_moves_now_and_then_is_followed_at_once)
{
    struct fixture f = setup();

    for (uint32_t i = 1; i <= 60; i++) {
        put(&f, "base", "moves", i);
        model_run(f.m);
        assert_int_equal(applies(&f), i);
        model_wait(f.m, 7000);
    }
    teardown(&f);
}

TEST(breaker, an_input_that_changes_during_a_fight_goes_at_once)
{
    struct fixture f = setup();

    peer(&f, 2 * TICKS_A_MINUTE);
    put(&f, "ext", "input", 77);
    model_run(f.m);
    assert_true(kr_str_is(datum(&f, "follower", "input"), "77"));
    model_edit(f.m, scenario_patch(&f.m->a, KR_S("spec.a=\"2\"")));
    model_run(f.m);
    assert_true(kr_str_is(datum(&f, "base", "a"), "2"));
    teardown(&f);
}

/* Two instances of ours, each of which reads what the other writes: what one brings is no news. */
TEST(breaker, a_loop_through_another_instance_has_one_root)
{
    struct fixture f = setup();

    for (uint32_t i = 1; i <= 10 * TICKS_A_MINUTE; i++) {
        if (kr_str_eq(datum(&f, "follower", "input"), datum(&f, "ext", "input"))) {
            put(&f, "ext", "input", i);
            graph_inst_echo(f.m->inst, f.m->inst);
        }
        model_wait(f.m, TICK_MS);
    }
    assert_in_range(applies(&f), 15, 24);
    teardown(&f);
}

TEST(breaker, takes_no_memory_at_rest)
{
    struct fixture f = setup();
    size_t before = graph_inst_bytes(f.m->inst);

    peer(&f, TICKS_A_MINUTE);
    assert_true(graph_inst_bytes(f.m->inst) > before);
    model_rest(f.m);
    assert_int_equal(graph_inst_bytes(f.m->inst), before);
    teardown(&f);
}

int main(void)
{
    return RUN(T(breaker, a_fight_is_slowed_to_one_write_a_minute_and_told),
               T(breaker, the_end_of_a_fight_is_noticed_and_forgotten),
               T(breaker, drift_now_and_then_is_repaired_at_once),
               T(breaker, an_object_that_is_deleted_again_and_again_counts),
               T(breaker, a_loop_through_a_read_is_slowed),
               T(breaker, edits_of_inputs_are_never_slowed),
               T(breaker, a_child_that_moves_by_itself_is_followed),
               T(breaker, the_last_of_some_moves_is_followed_in_seconds),
               T(breaker, a_child_that_moves_now_and_then_is_followed_at_once),
               T(breaker, an_input_that_changes_during_a_fight_goes_at_once),
               T(breaker, a_loop_through_another_instance_has_one_root),
               T(breaker, takes_no_memory_at_rest));
}
