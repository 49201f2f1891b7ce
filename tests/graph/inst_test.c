/* SPDX-License-Identifier: Apache-2.0 */
/* inst_test.c - what a change costs: which events mark what, which expressions are evaluated. */
#include "tests/lib/scenario.h"

#include <stdio.h>
#include <string.h>

static const char web[] =
    "metadata: {name: web}\n"
    "spec:\n"
    "  schema:\n"
    "    apiVersion: v1alpha1\n"
    "    kind: Web\n"
    "    spec: {image: string, replicas: integer, note: string}\n"
    "    status:\n"
    "      available: ${deployment.status.availableReplicas}\n"
    "  resources:\n"
    "    - id: settings\n"
    "      externalRef: {apiVersion: v1, kind: ConfigMap, metadata: {name: settings}}\n"
    "    - id: config\n"
    "      template:\n"
    "        apiVersion: v1\n"
    "        kind: ConfigMap\n"
    "        metadata: {name: \"${schema.metadata.name}-config\"}\n"
    "        data: {image: \"${schema.spec.image}\", level: \"${settings.data.level}\"}\n"
    "    - id: deployment\n"
    "      readyWhen: [\"${deployment.status.availableReplicas == deployment.spec.replicas}\"]\n"
    "      template:\n"
    "        apiVersion: apps/v1\n"
    "        kind: Deployment\n"
    "        metadata:\n"
    "          name: ${schema.metadata.name}\n"
    "          annotations: {config-version: \"${config.metadata.resourceVersion}\"}\n"
    "        spec: {replicas: \"${schema.spec.replicas}\"}\n"
    "    - id: service\n"
    "      template:\n"
    "        apiVersion: v1\n"
    "        kind: Service\n"
    "        metadata: {name: \"${schema.metadata.name}\"}\n"
    "        spec: {selector: {app: \"${schema.metadata.name}\"}}\n";

static const char demo[] =
    "{\"apiVersion\":\"kro.run/"
    "v1alpha1\",\"kind\":\"Web\",\"metadata\":{\"name\":\"demo\",\"namespace\":\"default\"},"
    "\"spec\":{\"image\":\"a\",\"replicas\":1,\"note\":\"n\"}}";

struct fixture {
    struct cel_kinds *kinds;
    struct model *m;
    struct graph_counts before;
};

static void write_as_other(struct fixture *f, const char *api, const char *kind, const char *name,
                           const char *patch)
{
    model_write(f->m, api, kind, "default", name, scenario_patch(&f->m->a, kr_str_c(patch)));
}

/* Ready and at rest; what comes from here on is counted. */
static struct fixture setup(void)
{
    KR_AUTO(kr_arena) a = {0};
    struct fixture f = {.kinds = model_kinds(KROC_SOURCE "/tests/scenario/kinds.yaml")};
    struct graph_rev *rev = scenario_revision(f.kinds, web);

    f.m = model_new(f.kinds, rev, test_json(&a, demo));
    graph_rev_drop(rev);
    write_as_other(&f, "v1", "ConfigMap", "settings", "data.level=\"1\" data.other=x");
    model_rest(f.m);
    write_as_other(&f, "apps/v1", "Deployment", "demo", "status.availableReplicas=1");
    model_rest(f.m);
    model_wait(f.m, 2000);
    assert_string_equal(graph_inst_state(f.m->inst), "ACTIVE");
    model_count(f.m);
    f.before = *graph_inst_counts(f.m->inst);
    return f;
}

static void teardown(struct fixture *f)
{
    model_free(f->m);
    cel_kinds_free(f->kinds);
}

/* templates, conditions, readyWhen, status groups evaluated since setup; then requests by kind. */
static void expect_cost(struct fixture *f, const char *want)
{
    const struct graph_counts *now = graph_inst_counts(f->m->inst);
    KR_AUTO(kr_arena) a = {0};

    model_rest(f->m);
    EXPECT_TEXT(
        kr_cstr(
            &a,
            kr_fmt(
                &a,
                "templates %d, readyWhen %d, status %d; apply %u, parent %u, status %u, delete %u",
                (int)(now->templates - f->before.templates), (int)(now->ready - f->before.ready),
                (int)(now->status - f->before.status), f->m->writes[GRAPH_A_APPLY],
                f->m->writes[GRAPH_A_APPLY_PARENT], f->m->writes[GRAPH_A_STATUS],
                f->m->writes[GRAPH_A_DELETE])),
        want);
    model_count(f->m);
    f->before = *now;
}

TEST(inst, what_nobody_reads_makes_no_step)
{
    struct fixture f = setup();
    uint64_t steps = f.before.steps;

    write_as_other(&f, "apps/v1", "Deployment", "demo", "status.observedGeneration=9");
    write_as_other(&f, "v1", "Service", "demo", "metadata.annotations.foreign=1");
    write_as_other(&f, "v1", "ConfigMap", "settings", "data.other=y");
    while (model_turn(f.m))
        ;
    assert_int_equal(graph_inst_counts(f.m->inst)->steps, steps);
    expect_cost(&f, "templates 0, readyWhen 0, status 0; apply 0, parent 0, status 0, delete 0");
    teardown(&f);
}

TEST(inst, a_key_costs_its_readers)
{
    struct fixture f = setup();

    f.m->why = true;
    kr_buf_reset(&f.m->trace);
    /* config reads the key; deployment reads config's version; two applies, each node once */
    write_as_other(&f, "v1", "ConfigMap", "settings", "data.level=\"2\"");
    expect_cost(&f, "templates 2, readyWhen 0, status 1; apply 2, parent 0, status 0, delete 0");
    EXPECT_TEXT(f.m->trace.s, "apply   v1/ConfigMap default/demo-config\n"
                              "  because of settings.data.level\n"
                              "apply   apps/v1/Deployment default/demo\n"
                              "  because of config.metadata.resourceVersion\n");
    teardown(&f);
}

TEST(inst, a_leaf_of_readyWhen_evaluates_that_alone)
{
    struct fixture f = setup();

    write_as_other(&f, "apps/v1", "Deployment", "demo", "status.availableReplicas=0");
    expect_cost(&f, "templates 0, readyWhen 1, status 1; apply 0, parent 0, status 1, delete 0");
    write_as_other(&f, "apps/v1", "Deployment", "demo", "status.availableReplicas=1");
    expect_cost(&f, "templates 0, readyWhen 1, status 1; apply 0, parent 0, status 1, delete 0");
    teardown(&f);
}

TEST(inst, drift_costs_one_apply_and_its_echo_nothing)
{
    struct fixture f = setup();

    write_as_other(&f, "v1", "Service", "demo", "spec.selector.app=wrong");
    expect_cost(&f, "templates 1, readyWhen 0, status 1; apply 1, parent 0, status 0, delete 0");
    assert_string_equal(
        kr_cstr(&f.m->a, kr_at_str(model_get(f.m, "Service", "demo"), "spec.selector.app")),
        "demo");
    teardown(&f);
}

TEST(inst, a_deleted_child_is_made_again)
{
    struct fixture f = setup();

    model_delete(f.m, "v1", "Service", "default", "demo");
    expect_cost(&f, "templates 1, readyWhen 0, status 1; apply 1, parent 0, status 0, delete 0");
    teardown(&f);
}

TEST(inst, an_edit_costs_what_follows_from_it)
{
    struct fixture f = setup();

    model_edit(f.m, scenario_patch(&f.m->a, KR_S("spec.image=b")));
    expect_cost(&f, "templates 2, readyWhen 0, status 1; apply 2, parent 0, status 1, delete 0");
    /* a field that nobody reads: the generation in the conditions, and nothing else */
    model_edit(f.m, scenario_patch(&f.m->a, KR_S("spec.note=m")));
    expect_cost(&f, "templates 0, readyWhen 0, status 1; apply 0, parent 0, status 1, delete 0");
    model_edit(f.m, scenario_patch(&f.m->a, KR_S("metadata.annotations.foreign=1")));
    expect_cost(&f, "templates 0, readyWhen 0, status 0; apply 0, parent 0, status 0, delete 0");
    teardown(&f);
}

TEST(inst, a_restart_writes_nothing)
{
    struct fixture f = setup();

    model_restart(f.m);
    f.before = *graph_inst_counts(f.m->inst);
    expect_cost(&f, "templates 4, readyWhen 1, status 1; apply 0, parent 0, status 0, delete 0");
    teardown(&f);
}

TEST(inst, the_same_revision_compiled_again_writes_nothing)
{
    struct fixture f = setup();
    struct graph_rev *rev = scenario_revision(f.kinds, web);

    model_set_revision(f.m, rev, "");
    graph_rev_drop(rev);
    model_rest(f.m);
    assert_int_equal(model_writes_n(f.m), 0);
    teardown(&f);
}

TEST(inst, a_creation_is_k_applies_two_on_the_parent_and_one_status)
{
    KR_AUTO(kr_arena) a = {0};
    struct cel_kinds *kinds = model_kinds(KROC_SOURCE "/tests/scenario/kinds.yaml");
    struct graph_rev *rev =
        scenario_revision(kinds, "metadata: {name: k}\nspec:\n  schema: {apiVersion: v1alpha1, "
                                 "kind: K, spec: {a: string}}\n  resources:\n"
                                 "    - {id: one, template: {apiVersion: v1, kind: ConfigMap, "
                                 "metadata: {name: one}, data: {a: \"${schema.spec.a}\"}}}\n"
                                 "    - {id: two, template: {apiVersion: v1, kind: ConfigMap, "
                                 "metadata: {name: two}, data: {a: \"${one.data.a}\"}}}\n"
                                 "    - {id: three, template: {apiVersion: v1, kind: Secret, "
                                 "metadata: {name: three}, stringData: {a: \"${two.data.a}\"}}}\n");
    struct model *m = model_new(
        kinds, rev,
        test_json(&a, "{\"apiVersion\":\"kro.run/v1alpha1\",\"kind\":\"K\",\"metadata\":"
                      "{\"name\":\"k\",\"namespace\":\"default\"},\"spec\":{\"a\":\"1\"}}"));

    model_rest(m);
    assert_int_equal(m->writes[GRAPH_A_APPLY], 3); /* a chain: each when its last input arrives */
    assert_int_equal(m->writes[GRAPH_A_APPLY_PARENT], 2);
    assert_int_equal(m->writes[GRAPH_A_STATUS], 1);
    assert_string_equal(graph_inst_state(m->inst), "ACTIVE");
    model_free(m);
    graph_rev_drop(rev);
    cel_kinds_free(kinds);
}

/* x reads nobody: its value is refreshed with the next other cause. */
TEST(inst, our_own_status_write_wakes_no_reader_of_the_version)
{
    KR_AUTO(kr_arena) a = {0};
    struct cel_kinds *kinds = model_kinds(KROC_SOURCE "/tests/scenario/kinds.yaml");
    struct graph_rev *rev = scenario_revision(
        kinds, "metadata: {name: k}\nspec:\n  schema: {apiVersion: v1alpha1, kind: K, spec: {a: "
               "string}, status: {s: \"${x.metadata.resourceVersion}\"}}\n"
               "  resources:\n    - {id: x, template: {apiVersion: v1, kind: ConfigMap, metadata: "
               "{name: x}, data: {a: \"${schema.metadata.resourceVersion}\"}}}\n");
    struct model *m = model_new(
        kinds, rev,
        test_json(&a, "{\"apiVersion\":\"kro.run/v1alpha1\",\"kind\":\"K\",\"metadata\":"
                      "{\"name\":\"k\",\"namespace\":\"default\"},\"spec\":{\"a\":\"1\"}}"));

    model_rest(m);
    assert_int_equal(m->writes[GRAPH_A_APPLY], 1);
    assert_int_equal(m->writes[GRAPH_A_STATUS], 1);
    model_edit(m, scenario_patch(&m->a, KR_S("metadata.annotations.by=other")));
    model_rest(m);
    assert_int_equal(m->writes[GRAPH_A_APPLY], 2); /* a foreign version is one to react to */
    model_free(m);
    graph_rev_drop(rev);
    cel_kinds_free(kinds);
}

/* The finalizer goes, ours puts it back, and while that is in flight somebody else writes too. */
static void write_beside_our_apply(struct model *m)
{
    uint32_t applies = m->writes[GRAPH_A_APPLY_PARENT];

    model_edit(m, scenario_patch(&m->a, KR_S("metadata.finalizers=null")));
    while (m->writes[GRAPH_A_APPLY_PARENT] == applies)
        assert_true(model_turn(m));
    model_edit(m, scenario_patch(&m->a, KR_S("metadata.annotations.by=other")));
}

TEST(inst, a_foreign_version_beside_our_apply_is_not_taken_for_ours)
{
    struct cel_kinds *kinds = model_kinds(KROC_SOURCE "/tests/scenario/kinds.yaml");
    struct graph_rev *rev = scenario_revision(
        kinds, "metadata: {name: k}\nspec:\n  schema: {apiVersion: v1alpha1, kind: K, spec: {a: "
               "string}}\n"
               "  resources:\n    - {id: x, template: {apiVersion: v1, kind: ConfigMap, metadata: "
               "{name: x}, data: {a: \"${schema.metadata.resourceVersion}\"}}}\n");

    for (uint64_t n = 0; n < 50; n++) {
        KR_AUTO(kr_arena) a = {0};
        uint64_t seed = n, foreign, read;
        struct model *m = model_new(
            kinds, rev,
            test_json(&a, "{\"apiVersion\":\"kro.run/v1alpha1\",\"kind\":\"K\",\"metadata\":"
                          "{\"name\":\"k\",\"namespace\":\"default\"},\"spec\":{\"a\":\"1\"}}"));

        model_rest(m);
        m->seed = &seed;
        write_beside_our_apply(m);
        assert_true(kr_str_u64(kr_at_str(model_instance(m), "metadata.resourceVersion"), &foreign));
        model_rest(m);
        assert_true(kr_str_u64(kr_at_str(model_get(m, "ConfigMap", "x"), "data.a"), &read));
        assert_true(read >= foreign);
        model_free(m);
    }
    graph_rev_drop(rev);
    cel_kinds_free(kinds);
}

TEST(inst, what_the_server_makes_of_a_wish_is_accepted)
{
    KR_AUTO(kr_arena) a = {0};
    struct cel_kinds *kinds = model_kinds(KROC_SOURCE "/tests/scenario/kinds.yaml");
    struct graph_rev *rev = scenario_revision(
        kinds,
        "metadata: {name: k}\nspec:\n  schema: {apiVersion: v1alpha1, kind: K, spec: {a: string}}\n"
        "  resources:\n    - {id: x, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "
        "x}, data: {norm: \"${schema.spec.a}\"}}}\n");
    struct model *m = model_new(
        kinds, rev,
        test_json(&a, "{\"apiVersion\":\"kro.run/v1alpha1\",\"kind\":\"K\",\"metadata\":"
                      "{\"name\":\"k\",\"namespace\":\"default\"},\"spec\":{\"a\":\"1\"}}"));

    m->webhook = true;
    model_rest(m);
    assert_int_equal(m->writes[GRAPH_A_APPLY], 1);
    model_write(m, "v1", "ConfigMap", "default", "x",
                scenario_patch(&m->a, KR_S("metadata.annotations.z=1")));
    model_rest(m);
    assert_int_equal(m->writes[GRAPH_A_APPLY], 1);
    model_write(m, "v1", "ConfigMap", "default", "x",
                scenario_patch(&m->a, KR_S("data.norm=drift")));
    model_rest(m);
    assert_int_equal(m->writes[GRAPH_A_APPLY], 2); /* drift is drift all the same */
    model_edit(m, scenario_patch(&m->a, KR_S("spec.a=\"2\"")));
    model_rest(m);
    assert_int_equal(m->writes[GRAPH_A_APPLY], 3);
    model_free(m);
    graph_rev_drop(rev);
    cel_kinds_free(kinds);
}

TEST(inst, answers_without_records_and_objects_without_ownership_end_too)
{
    for (int i = 0; i < 3; i++) {
        struct fixture f = setup();

        f.m->blind = i != 1;
        f.m->unowned = i != 0;
        f.m->webhook = true;
        model_edit(f.m, scenario_patch(&f.m->a, KR_S("spec.image=b spec.replicas=2")));
        model_rest(f.m);
        write_as_other(&f, "v1", "Service", "demo", "spec.selector.app=wrong");
        model_rest(f.m);
        assert_in_range(model_writes_n(f.m), 2, 40);
        assert_string_equal(
            kr_cstr(&f.m->a, kr_at_str(model_get(f.m, "ConfigMap", "demo-config"), "data.image")),
            "b");
        teardown(&f);
    }
}

TEST(inst, copies_of_our_labels_are_not_our_objects)
{
    struct fixture f = setup();
    kr_val labels = kr_at(model_get(f.m, "Service", "demo"), "metadata.labels");

    /* as the endpoints controller copies a Service's labels */
    model_write(f.m, "v1", "ConfigMap", "default", "copy",
                kr_with(&f.m->a, kr_map_sorted(NULL, 0), "metadata.labels", labels));
    expect_cost(&f, "templates 0, readyWhen 0, status 1; apply 0, parent 0, status 0, delete 0");
    model_delete_instance(f.m);
    model_rest(f.m);
    assert_int_equal(model_get(f.m, "ConfigMap", "copy").kind, KR_MAP);
    assert_int_equal(model_instance(f.m).kind, KR_NONE);
    teardown(&f);
}

TEST(inst, one_of_five_nodes_is_small)
{
    struct fixture f = setup();

    assert_in_range(graph_inst_bytes(f.m->inst), 500, 2500);
    teardown(&f);
}

TEST(inst, types_that_are_not_listed_hold_everything_and_an_error_is_named)
{
    struct fixture f = setup();
    KR_AUTO(kr_arena) a = {0};

    graph_inst_known(f.m->inst, 3, false, KR_S(""));
    model_delete(f.m, "v1", "Service", "default", "demo");
    expect_cost(&f, "templates 0, readyWhen 0, status 0; apply 0, parent 0, status 0, delete 0");
    graph_inst_known(f.m->inst, 3, false, KR_S("cannot list services: forbidden"));
    model_rest(f.m);
    assert_int_equal(f.m->writes[GRAPH_A_APPLY], 0);
    assert_string_equal(graph_inst_state(f.m->inst), "ERROR");
    assert_non_null(
        strstr(kr_cstr(&a, graph_inst_waits(f.m->inst, &a)), "cannot list services: forbidden"));
    graph_inst_known(f.m->inst, 3, true, KR_S(""));
    model_rest(f.m);
    assert_int_equal(f.m->writes[GRAPH_A_APPLY], 1);
    assert_string_equal(graph_inst_state(f.m->inst), "ACTIVE");
    teardown(&f);
}

int main(void)
{
    return RUN(
        T(inst, what_nobody_reads_makes_no_step), T(inst, a_key_costs_its_readers),
        T(inst, a_leaf_of_readyWhen_evaluates_that_alone),
        T(inst, drift_costs_one_apply_and_its_echo_nothing), T(inst, a_deleted_child_is_made_again),
        T(inst, an_edit_costs_what_follows_from_it), T(inst, a_restart_writes_nothing),
        T(inst, the_same_revision_compiled_again_writes_nothing),
        T(inst, a_creation_is_k_applies_two_on_the_parent_and_one_status),
        T(inst, our_own_status_write_wakes_no_reader_of_the_version),
        T(inst, a_foreign_version_beside_our_apply_is_not_taken_for_ours),
        T(inst, what_the_server_makes_of_a_wish_is_accepted),
        T(inst, answers_without_records_and_objects_without_ownership_end_too),
        T(inst, copies_of_our_labels_are_not_our_objects), T(inst, one_of_five_nodes_is_small),
        T(inst, types_that_are_not_listed_hold_everything_and_an_error_is_named));
}
