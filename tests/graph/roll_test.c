/* SPDX-License-Identifier: Apache-2.0 */
/* roll_test.c - changes of what instances read: joined, paused, counted over a fleet. Time is
 * virtual. */
#include "tests/lib/scenario.h"

#include <stdio.h>
#include <string.h>

enum { FLEET = 50, CAP = 3, MINUTE_MS = 60 * 1000 };

static const char definition[] =
    "metadata: {name: k}\nspec:\n  schema:\n    apiVersion: v1alpha1\n    kind: K\n"
    "    spec: {num: integer}\n  resources:\n"
    "    - id: cfg\n      externalRef: {apiVersion: v1, kind: ConfigMap, metadata: {name: cfg}}\n"
    "    - id: app\n      template:\n        apiVersion: apps/v1\n        kind: Deployment\n"
    "        metadata: {name: app}\n"
    "        spec: {replicas: \"${schema.spec.num}\", template: {metadata: {annotations: {v: "
    "\"${cfg.data.a + cfg.data.b}\"}}}}\n"
    "    - id: note\n      template: {apiVersion: v1, kind: ConfigMap, metadata: {name: note}, "
    "data: {v: \"${cfg.data.a}\"}}\n";

struct fixture {
    struct cel_kinds *kinds;
    struct model *m;
};

static struct model *new_model(struct fixture *f, const char *yaml)
{
    KR_AUTO(kr_arena) a = {0};
    struct graph_rev *rev = scenario_revision(f->kinds, yaml);
    struct model *m =
        model_new(f->kinds, rev,
                  test_json(&a, "{\"apiVersion\":\"kro.run/v1alpha1\",\"kind\":\"K\","
                                "\"metadata\":{\"name\":\"k\",\"namespace\":\"default\"},"
                                "\"spec\":{\"num\":1}}"));

    graph_rev_drop(rev);
    model_write(m, "v1", "ConfigMap", "default", "cfg",
                scenario_patch(&m->a, KR_S("data.a=\"0\" data.b=\"0\"")));
    return m;
}

static void set_config(struct model *m, const char *words)
{
    model_write(m, "v1", "ConfigMap", "default", "cfg", scenario_patch(&m->a, kr_str_c(words)));
}

/* The Deployment's controller: has done what it was given. */
static void finish(struct model *m)
{
    kr_val generation = kr_at(model_get(m, "Deployment", "app"), "metadata.generation");

    model_write(m, "apps/v1", "Deployment", "default", "app",
                scenario_patch(&m->a, kr_fmt(&m->a,
                                             "status.observedGeneration=%d status.replicas=1 "
                                             "status.updatedReplicas=1 status.availableReplicas=1",
                                             (int)generation.i)));
    model_run(m);
}

static struct fixture setup(const char *annotations)
{
    struct fixture f = {.kinds = model_kinds(KROC_SOURCE "/tests/scenario/kinds.yaml")};

    f.m = new_model(&f, definition);
    if (*annotations)
        model_edit(f.m, scenario_patch(&f.m->a, kr_str_c(annotations)));
    model_rest(f.m);
    finish(f.m);
    model_rest(f.m);
    model_count(f.m);
    return f;
}

static void teardown(struct fixture *f)
{
    model_free(f->m);
    cel_kinds_free(f->kinds);
}

static uint32_t applies(struct fixture *f)
{
    return f->m->writes[GRAPH_A_APPLY];
}

static const char *message(struct fixture *f)
{
    KR_LIST_EACH (c, kr_at(model_instance(f->m), "status.conditions")) {
        if (kr_is_str(kr_get(*c, KR_S("type")), KR_S("ResourcesReady")))
            return kr_cstr(&f->m->a, kr_at_str(*c, "message"));
    }
    return "";
}

TEST(roll, annotations_are_read_and_the_instances_win)
{
    KR_AUTO(kr_arena) a = {0};
    struct graph_roll roll = {0};

    graph_roll_read(test_json(&a, "{\"kroc.run/roll-debounce\":\"1m30s\",\"kroc.run/"
                                  "roll-max-concurrent\":\"7\",\"kroc.run/roll-pause\":\"True\"}"),
                    &roll);
    assert_true(roll.debounce_ms == 90 * 1000 && roll.max_concurrent == 7 && roll.pause);
    graph_roll_read(test_json(&a, "{\"kroc.run/roll-debounce\":\"soon\",\"kroc.run/"
                                  "roll-max-concurrent\":\"-1\",\"kroc.run/roll-pause\":\"\"}"),
                    &roll);
    assert_true(roll.debounce_ms == 90 * 1000 && roll.max_concurrent == 7 && roll.pause);
    graph_roll_read(test_json(&a, "{\"kroc.run/roll-debounce\":\"0s\",\"kroc.run/"
                                  "roll-max-concurrent\":\"2\",\"kroc.run/roll-pause\":"
                                  "\"false\"}"),
                    &roll);
    assert_true(roll.debounce_ms == 0 && roll.max_concurrent == 2 && !roll.pause);
    graph_roll_read(KR_V_NONE, &roll);
    assert_int_equal(roll.max_concurrent, 2);
}

TEST(roll, changes_of_one_write_or_one_turn_are_one_patch_a_reader)
{
    struct fixture f = setup("");

    set_config(f.m, "data.a=\"1\" data.b=\"1\"");
    model_run(f.m);
    assert_int_equal(applies(&f), 2); /* app and note */
    model_count(f.m);
    set_config(f.m, "data.a=\"2\"");
    set_config(f.m, "data.b=\"2\"");
    model_run(f.m);
    assert_int_equal(applies(&f), 2);
    model_count(f.m);
    set_config(f.m, "data.a=\"3\"");
    model_run(f.m);
    set_config(f.m, "data.b=\"3\"");
    model_run(f.m); /* across turns nothing joins them */
    assert_int_equal(applies(&f), 3);
    teardown(&f);
}

TEST(roll, a_debounce_joins_changes_across_turns)
{
    struct fixture f = setup("metadata.annotations[\"kroc.run/roll-debounce\"]=\"5s\"");

    for (int i = 1; i <= 4; i++) {
        set_config(f.m, kr_cstr(&f.m->a, kr_fmt(&f.m->a, "data.a=\"%d\"", i)));
        model_wait(f.m, 3000);
    }
    assert_int_equal(applies(&f), 0);
    EXPECT_TEXT(message(&f), "awaiting resource readiness: changes of nodes \"app\", \"note\" wait "
                             "for more to come (kroc.run/roll-debounce)");
    model_wait(f.m, 2500);
    assert_int_equal(applies(&f), 2);
    assert_true(kr_is_str(kr_at(model_get(f.m, "ConfigMap", "note"), "data.v"), KR_S("4")));
    model_rest(f.m);
    EXPECT_TEXT(message(&f), "all resources are created and ready");
    teardown(&f);
}

TEST(roll, a_debounce_ends_although_changes_go_on)
{
    struct fixture f = setup("metadata.annotations[\"kroc.run/roll-debounce\"]=\"5s\"");

    for (int i = 1; i <= 60; i++) {
        set_config(f.m, kr_cstr(&f.m->a, kr_fmt(&f.m->a, "data.a=\"%d\"", i)));
        model_wait(f.m, 2000);
    }
    assert_in_range(applies(&f), 4, 6); /* two every fifty seconds */
    teardown(&f);
}

TEST(roll, a_pause_holds_and_its_end_lets_go_at_once)
{
    struct fixture f = setup("metadata.annotations[\"kroc.run/roll-pause\"]=\"true\"");

    set_config(f.m, "data.a=\"1\"");
    model_wait(f.m, 60 * MINUTE_MS);
    set_config(f.m, "data.b=\"1\"");
    model_rest(f.m);
    assert_int_equal(applies(&f), 0);
    EXPECT_TEXT(message(&f), "awaiting resource readiness: changes of nodes \"app\", \"note\" "
                             "wait: kroc.run/roll-pause is set");
    model_edit(f.m,
               scenario_patch(&f.m->a, KR_S("metadata.annotations[\"kroc.run/roll-pause\"]=null")));
    model_run(f.m);
    assert_int_equal(applies(&f), 2);
    model_rest(f.m);
    EXPECT_TEXT(message(&f), "all resources are created and ready");
    teardown(&f);
}

TEST(roll, creation_repair_and_edits_of_the_instance_do_not_wait)
{
    struct fixture f = setup("metadata.annotations[\"kroc.run/roll-pause\"]=\"true\"");

    assert_true(model_get(f.m, "Deployment", "app").kind == KR_MAP); /* it was created */
    model_write(f.m, "v1", "ConfigMap", "default", "note",
                scenario_patch(&f.m->a, KR_S("data.v=\"x\"")));
    model_run(f.m);
    assert_int_equal(applies(&f), 1);
    model_delete(f.m, "v1", "ConfigMap", "default", "note");
    model_run(f.m);
    assert_int_equal(applies(&f), 2);
    model_edit(f.m, scenario_patch(&f.m->a, KR_S("spec.num=2")));
    model_run(f.m);
    assert_int_equal(applies(&f), 3);
    teardown(&f);
}

TEST(roll, lasts_until_the_workload_is_done_or_ten_minutes)
{
    struct fixture f = setup("");

    f.m->env.roll.max_concurrent = 1;
    set_config(f.m, "data.a=\"1\"");
    model_run(f.m);
    assert_true(graph_inst_rolls(f.m->inst)); /* the status is that of the former generation */
    model_wait(f.m, MINUTE_MS);
    finish(f.m);
    assert_false(graph_inst_rolls(f.m->inst));
    set_config(f.m, "data.a=\"2\"");
    model_wait(f.m, 9 * MINUTE_MS);
    assert_true(graph_inst_rolls(f.m->inst));
    model_wait(f.m, 2 * MINUTE_MS);
    assert_false(graph_inst_rolls(f.m->inst));
    teardown(&f);
}

TEST(roll, an_instance_that_is_suspended_or_goes_leaves_its_place)
{
    struct fixture f = setup("");

    f.m->env.roll.max_concurrent = 1;
    set_config(f.m, "data.a=\"1\"");
    model_run(f.m);
    assert_true(graph_inst_rolls(f.m->inst));
    model_edit(f.m, scenario_patch(&f.m->a,
                                   KR_S("metadata.annotations[\"kro.run/reconcile\"]=suspended")));
    model_run(f.m);
    assert_false(graph_inst_rolls(f.m->inst));
    model_edit(f.m,
               scenario_patch(&f.m->a, KR_S("metadata.annotations[\"kro.run/reconcile\"]=null")));
    f.m->env.rolling = 1;
    set_config(f.m, "data.a=\"2\"");
    model_wait(f.m, 2000);
    assert_true(graph_inst_roll_waits(f.m->inst));
    EXPECT_TEXT(message(&f), "awaiting resource readiness: changes of nodes \"app\", \"note\" "
                             "wait: 1 instances of \"k\" are rolling, which is the most "
                             "(kroc.run/roll-max-concurrent)");
    model_delete_instance(f.m);
    model_run(f.m);
    assert_false(graph_inst_roll_waits(f.m->inst));
    teardown(&f);
}

/* After a restart what is not done yet counts, for ten minutes at most; what is done does not. */
TEST(roll, of_a_former_process_is_found)
{
    struct fixture f = setup("");

    model_restart(f.m);
    model_run(f.m);
    assert_true(graph_inst_roll_known(f.m->inst));
    assert_false(graph_inst_rolls(f.m->inst));
    set_config(f.m, "data.b=\"1\"");
    model_run(f.m);
    assert_true(graph_inst_rolls(f.m->inst));
    model_restart(f.m);
    assert_false(graph_inst_roll_known(f.m->inst));
    model_run(f.m);
    assert_true(graph_inst_rolls(f.m->inst));
    finish(f.m);
    assert_false(graph_inst_rolls(f.m->inst));
    set_config(f.m, "data.b=\"2\"");
    model_run(f.m);
    model_restart(f.m);
    model_wait(f.m, 9 * MINUTE_MS);
    assert_true(graph_inst_rolls(f.m->inst));
    model_wait(f.m, 2 * MINUTE_MS);
    assert_false(graph_inst_rolls(f.m->inst));
    teardown(&f);
}

/* Nobody begins before all have said whether they roll; who rolls already goes on. */
TEST(roll, no_place_is_given_while_it_is_unknown_who_rolls)
{
    struct fixture f = setup("metadata.annotations[\"kroc.run/roll-max-concurrent\"]=\"1\"");

    f.m->env.rolling = GRAPH_ROLLING_UNKNOWN;
    set_config(f.m, "data.b=\"1\"");
    model_run(f.m);
    assert_int_equal(f.m->writes[GRAPH_A_APPLY], 0);
    assert_true(graph_inst_roll_waits(f.m->inst));
    f.m->env.rolling = 0;
    graph_inst_roll_look(f.m->inst);
    model_run(f.m);
    assert_int_equal(f.m->writes[GRAPH_A_APPLY], 1);
    model_restart(f.m);
    f.m->env.rolling = GRAPH_ROLLING_UNKNOWN;
    set_config(f.m, "data.b=\"2\"");
    model_wait(f.m, 1);
    assert_int_equal(f.m->writes[GRAPH_A_APPLY], 2); /* it has its place */
    teardown(&f);
}

TEST(roll, stateful_and_daemon_sets_have_rules_of_their_own)
{
    static const char sets[] =
        "metadata: {name: k}\nspec:\n  schema:\n    apiVersion: v1alpha1\n    kind: K\n"
        "    spec: {num: integer}\n  resources:\n"
        "    - id: cfg\n      externalRef: {apiVersion: v1, kind: ConfigMap, metadata: {name: "
        "cfg}}\n"
        "    - id: s\n      template: {apiVersion: apps/v1, kind: StatefulSet, metadata: {name: "
        "s}, spec: {replicas: 2, serviceName: \"${cfg.data.a}\"}}\n"
        "    - id: d\n      template: {apiVersion: apps/v1, kind: DaemonSet, metadata: {name: d}, "
        "spec: {minReadySeconds: \"${int(cfg.data.b)}\"}}\n";
    struct fixture f = {.kinds = model_kinds(KROC_SOURCE "/tests/scenario/kinds.yaml")};

    f.m = new_model(&f, sets);
    model_rest(f.m);
    set_config(f.m, "data.a=\"1\"");
    model_run(f.m);
    assert_true(graph_inst_rolls(f.m->inst));
    model_write(f.m, "apps/v1", "StatefulSet", "default", "s",
                scenario_patch(&f.m->a, KR_S("status.observedGeneration=2 status.readyReplicas=2 "
                                             "status.currentRevision=a status.updateRevision=b")));
    model_run(f.m);
    assert_true(graph_inst_rolls(f.m->inst));
    model_write(f.m, "apps/v1", "StatefulSet", "default", "s",
                scenario_patch(&f.m->a, KR_S("status.currentRevision=b")));
    model_run(f.m);
    assert_false(graph_inst_rolls(f.m->inst));
    set_config(f.m, "data.b=\"1\"");
    model_run(f.m);
    assert_true(graph_inst_rolls(f.m->inst));
    model_write(
        f.m, "apps/v1", "DaemonSet", "default", "d",
        scenario_patch(&f.m->a, KR_S("status.observedGeneration=2 status.desiredNumberScheduled=3 "
                                     "status.updatedNumberScheduled=3 status.numberAvailable=2")));
    model_run(f.m);
    assert_true(graph_inst_rolls(f.m->inst));
    model_write(f.m, "apps/v1", "DaemonSet", "default", "d",
                scenario_patch(&f.m->a, KR_S("status.numberAvailable=3")));
    model_run(f.m);
    assert_false(graph_inst_rolls(f.m->inst));
    teardown(&f);
}

/* --- a fleet ---------------------------------------------------------------------------------- */

static uint32_t rolling(struct model *const *fleet)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < FLEET; i++)
        n += graph_inst_rolls(fleet[i]->inst);
    return n;
}

/* As the reactor does it: each is told how many others roll. Those that wait are stepped. */
static uint32_t fleet_turn(struct model *const *fleet)
{
    uint32_t most = 0;

    for (uint32_t i = 0; i < FLEET; i++) {
        struct model *m = fleet[i];

        m->env.rolling = rolling(fleet) - graph_inst_rolls(m->inst);
        if (graph_inst_roll_waits(m->inst))
            graph_inst_roll_look(m->inst);
        model_run(m);
        if (rolling(fleet) > most)
            most = rolling(fleet);
    }
    return most;
}

TEST(roll, of_a_fleet_never_more_than_the_cap_at_once)
{
    struct fixture f = {.kinds = model_kinds(KROC_SOURCE "/tests/scenario/kinds.yaml")};
    struct model *fleet[FLEET];
    uint32_t most = 0, turns = 0, done = 0;

    for (uint32_t i = 0; i < FLEET; i++) {
        fleet[i] = new_model(&f, definition);
        fleet[i]->env.roll.max_concurrent = CAP;
        model_rest(fleet[i]);
        finish(fleet[i]);
        model_rest(fleet[i]);
        model_count(fleet[i]);
        set_config(fleet[i], "data.b=\"1\"");
    }
    for (; done < FLEET && turns < 100; turns++) {
        uint32_t now = fleet_turn(fleet);

        most = now > most ? now : most;
        for (uint32_t i = 0; i < FLEET; i++) { /* one of them is done */
            if (!graph_inst_rolls(fleet[i]->inst))
                continue;
            finish(fleet[i]);
            done++;
            break;
        }
    }
    assert_int_equal(most, CAP);
    assert_int_equal(done, FLEET);
    for (uint32_t i = 0; i < FLEET; i++) {
        assert_int_equal(fleet[i]->writes[GRAPH_A_APPLY], 1);
        model_free(fleet[i]);
    }
    cel_kinds_free(f.kinds);
}

int main(void)
{
    return RUN(T(roll, annotations_are_read_and_the_instances_win),
               T(roll, changes_of_one_write_or_one_turn_are_one_patch_a_reader),
               T(roll, a_debounce_joins_changes_across_turns),
               T(roll, a_debounce_ends_although_changes_go_on),
               T(roll, a_pause_holds_and_its_end_lets_go_at_once),
               T(roll, creation_repair_and_edits_of_the_instance_do_not_wait),
               T(roll, lasts_until_the_workload_is_done_or_ten_minutes),
               T(roll, an_instance_that_is_suspended_or_goes_leaves_its_place),
               T(roll, of_a_former_process_is_found),
               T(roll, no_place_is_given_while_it_is_unknown_who_rolls),
               T(roll, stateful_and_daemon_sets_have_rules_of_their_own),
               T(roll, of_a_fleet_never_more_than_the_cap_at_once));
}
