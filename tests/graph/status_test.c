/* SPDX-License-Identifier: Apache-2.0 */
/* status_test.c - what the status says, and when it is written. */
#include "tests/lib/scenario.h"

#include <stdio.h>
#include <string.h>

struct fixture {
    struct cel_kinds *kinds;
    struct model *m;
};

/* One ConfigMap "x"; `more` are further lines of spec: status under schema, and resources. */
static struct fixture setup(const char *status, const char *resources)
{
    KR_AUTO(kr_arena) a = {0};
    struct fixture f = {.kinds = model_kinds(KROC_SOURCE "/tests/scenario/kinds.yaml")};
    kr_str yaml = kr_fmt(
        &a,
        "metadata: {name: k}\nspec:\n  schema:\n    apiVersion: v1alpha1\n    kind: K\n"
        "    spec: {a: string, num: integer}\n%s  resources:\n"
        "    - id: one\n      template: {apiVersion: v1, kind: ConfigMap, metadata: {name: one}, "
        "data: {a: \"${schema.spec.a}\"}}\n%s",
        status, resources);
    struct graph_rev *rev = scenario_revision(f.kinds, kr_cstr(&a, yaml));

    f.m = model_new(
        f.kinds, rev,
        test_json(
            &a, "{\"apiVersion\":\"kro.run/v1alpha1\",\"kind\":\"K\",\"metadata\":{\"name\":\"k\","
                "\"namespace\":\"default\"},\"spec\":{\"a\":\"1\",\"num\":3}}"));
    graph_rev_drop(rev);
    return f;
}

static void teardown(struct fixture *f)
{
    model_free(f->m);
    cel_kinds_free(f->kinds);
}

static void write_one(struct fixture *f, const char *patch)
{
    model_write(f->m, "v1", "ConfigMap", "default", "one",
                scenario_patch(&f->m->a, kr_str_c(patch)));
}

static void expect_status(struct fixture *f, const char *key, const char *want)
{
    kr_val v = kr_at(model_instance(f->m), kr_cstr(&f->m->a, kr_fmt(&f->m->a, "status.%s", key)));

    EXPECT_TEXT(v.kind == KR_NONE ? "" : kr_cstr(&f->m->a, kr_json_str(&f->m->a, v)), want);
}

static kr_val condition(struct fixture *f, const char *type)
{
    KR_LIST_EACH (c, kr_at(model_instance(f->m), "status.conditions")) {
        if (kr_is_str(kr_get(*c, KR_S("type")), kr_str_c(type)))
            return *c;
    }
    return KR_V_NONE;
}

static void expect_condition(struct fixture *f, const char *type, const char *want)
{
    kr_val c = condition(f, type);

    EXPECT_TEXT(
        kr_cstr(&f->m->a,
                kr_fmt(&f->m->a, KR_FMT " " KR_FMT ": " KR_FMT, KR_ARG(kr_at_str(c, "status")),
                       KR_ARG(kr_at_str(c, "reason")), KR_ARG(kr_at_str(c, "message")))),
        want);
}

TEST(status, a_ready_instance_has_the_four_conditions_in_order)
{
    struct fixture f = setup("", "");

    model_rest(f.m);
    expect_status(&f, "state", "\"ACTIVE\"");
    expect_condition(&f, "InstanceManaged",
                     "True Managed: instance is properly managed with finalizers and labels");
    expect_condition(&f, "GraphResolved",
                     "True Resolved: runtime graph created and all resources resolved");
    expect_condition(&f, "ResourcesReady",
                     "True AllResourcesReady: all resources are created and ready");
    expect_condition(&f, "Ready", "True Ready: ");
    assert_int_equal(kr_at(model_instance(f.m), "status.conditions").n, 4);
    teardown(&f);
}

TEST(status, projects_what_is_there_and_leaves_out_what_is_not)
{
    struct fixture f =
        setup("    status:\n"
              "      text: \"a-${one.data.a}-b\"\n"
              "      number: ${schema.spec.num}\n"
              "      missing: ${one.data.later}\n"
              "      deep: {there: \"${one.data.a}\", not: {at: {all: \"${one.data.later}\"}}}\n"
              "      list: [\"${one.data.a}\", \"${schema.spec.a}\"]\n",
              "");

    model_rest(f.m);
    expect_status(&f, "text", "\"a-1-b\"");
    expect_status(&f, "number", "3");
    expect_status(&f, "missing", "");
    expect_status(&f, "deep", "{\"there\":\"1\"}");
    expect_status(&f, "list", "[\"1\",\"1\"]");
    write_one(&f, "data.later=x");
    model_rest(f.m);
    expect_status(&f, "missing", "\"x\"");
    expect_status(&f, "deep", "{\"not\":{\"at\":{\"all\":\"x\"}},\"there\":\"1\"}");
    teardown(&f);
}

TEST(status, a_broken_field_is_named_and_the_rest_is_written)
{
    struct fixture f = setup(
        "    status:\n      good: ${one.data.a}\n      bad: ${10 / (schema.spec.num - 3)}\n", "");

    model_rest(f.m);
    expect_status(&f, "good", "\"1\"");
    expect_status(&f, "state", "\"ERROR\"");
    expect_condition(&f, "ResourcesReady",
                     "False NotReady: resource error: status.bad: eval \"10 / (schema.spec.num - "
                     "3)\": division by zero");
    model_edit(f.m, scenario_patch(&f.m->a, KR_S("spec.num=4")));
    model_rest(f.m);
    expect_status(&f, "state", "\"ACTIVE\"");
    expect_status(&f, "bad", "10");
    teardown(&f);
}

TEST(status, of_nodes_behind_a_broken_one_stays)
{
    struct fixture f = setup("    status:\n      two: ${two.data.b}\n",
                             "    - id: two\n      template: {apiVersion: v1, kind: ConfigMap, "
                             "metadata: {name: two}, data: "
                             "{b: \"${string(10 / (schema.spec.num - 2))}\"}}\n");

    model_rest(f.m);
    expect_status(&f, "two", "\"10\"");
    model_edit(f.m, scenario_patch(&f.m->a, KR_S("spec.num=2")));
    model_rest(f.m);
    expect_status(&f, "state", "\"ERROR\"");
    expect_status(&f, "two", "\"10\"");
    expect_condition(&f, "ResourcesReady",
                     "False NotReady: resource reconciliation failed: node \"two\": eval "
                     "\"string(10 / (schema.spec.num - 2))\": "
                     "division by zero");
    teardown(&f);
}

TEST(status, tells_a_wait_and_its_end_at_once)
{
    struct fixture f =
        setup("", "    - id: ext\n      externalRef: {apiVersion: v1, kind: ConfigMap, "
                  "metadata: {name: ext}}\n");

    model_run(f.m);
    assert_int_equal(f.m->writes[GRAPH_A_STATUS], 1);
    expect_condition(&f, "Ready",
                     "False NotReady: resource reconciliation failed: apply results contain "
                     "errors: waiting for external reference \"ext\": not found");
    model_write(f.m, "v1", "ConfigMap", "default", "ext", kr_map_sorted(NULL, 0));
    model_run(f.m);
    assert_int_equal(f.m->writes[GRAPH_A_STATUS], 2);
    expect_status(&f, "state", "\"ACTIVE\"");
    teardown(&f);
}

TEST(status, says_nothing_of_requests_that_are_answered_in_time)
{
    struct fixture f = setup("", "    - id: two\n      template: {apiVersion: v1, kind: ConfigMap, "
                                 "metadata: {name: two}, data: {b: \"${one.data.a}\"}}\n");

    model_run(f.m);
    assert_int_equal(f.m->writes[GRAPH_A_STATUS], 1);
    model_count(f.m);
    model_answer(f.m, GRAPH_A_APPLY, GRAPH_O_RETRY, "timeout", false, 1);
    model_edit(f.m, scenario_patch(&f.m->a, KR_S("spec.a=\"2\"")));
    model_run(f.m);
    assert_int_equal(f.m->writes[GRAPH_A_STATUS], 0); /* the error may pass */
    model_rest(f.m);
    assert_int_equal(f.m->writes[GRAPH_A_STATUS], 1);
    assert_int_equal(f.m->writes[GRAPH_A_APPLY], 3);
    expect_status(&f, "state", "\"ACTIVE\"");
    teardown(&f);
}

TEST(status, waits_that_change_are_told_once_a_second)
{
    struct fixture f = setup(
        "", "    - id: two\n      readyWhen: [\"${two.data.r == '1'}\", \"${two.data.s == '1'}\"]\n"
            "      template: {apiVersion: v1, kind: ConfigMap, metadata: {name: two}}\n");

    model_wait(f.m, 2000);
    model_count(f.m);
    for (int i = 0; i < 50; i++) { /* five seconds: the text changes ten times a second */
        model_write(f.m, "v1", "ConfigMap", "default", "two",
                    scenario_patch(&f.m->a, i % 2 ? KR_S("data.r=\"1\"") : KR_S("data.r=\"0\"")));
        model_wait(f.m, 100);
    }
    assert_in_range(f.m->writes[GRAPH_A_STATUS], 1, 6);
    teardown(&f);
}

TEST(status, of_a_new_generation_is_one_write)
{
    struct fixture f = setup("", "");

    model_rest(f.m);
    model_count(f.m);
    model_edit(f.m, scenario_patch(&f.m->a, KR_S("spec.num=4")));
    model_rest(f.m);
    assert_int_equal(model_writes_n(f.m), 1);
    assert_int_equal(kr_at(condition(&f, "Ready"), "observedGeneration").i, 2);
    teardown(&f);
}

TEST(status, keeps_the_time_of_a_transition)
{
    struct fixture f = setup("", "");
    kr_str before;

    model_rest(f.m);
    before = kr_strdup(&f.m->a, kr_at_str(condition(&f, "ResourcesReady"), "lastTransitionTime"));
    model_wait(f.m, 100 * 1000);
    model_edit(f.m, scenario_patch(&f.m->a, KR_S("spec.num=4")));
    model_rest(f.m);
    assert_true(
        kr_str_eq(kr_at_str(condition(&f, "ResourcesReady"), "lastTransitionTime"), before));
    teardown(&f);
}

TEST(status, that_somebody_else_changed_is_restored)
{
    struct fixture f = setup("    status:\n      a: ${one.data.a}\n", "");

    model_rest(f.m);
    model_count(f.m);
    model_edit(f.m, scenario_patch(&f.m->a, KR_S("status.a=x status.state=FOO")));
    model_rest(f.m);
    assert_int_equal(f.m->writes[GRAPH_A_STATUS], 1);
    expect_status(&f, "a", "\"1\"");
    expect_status(&f, "state", "\"ACTIVE\"");
    teardown(&f);
}

TEST(status, foreign_conditions_are_dropped_and_numbers_compare_by_value)
{
    struct fixture f = setup("    status:\n      nn: ${schema.spec.num}\n", "");

    model_rest(f.m);
    model_count(f.m);
    model_edit(f.m, scenario_patch(&f.m->a, KR_S("status.nn=3.0")));
    model_rest(f.m);
    assert_int_equal(f.m->writes[GRAPH_A_STATUS], 0);
    model_edit(
        f.m, scenario_patch(&f.m->a,
                            KR_S("status.conditions=[{\"type\":\"Other\",\"status\":\"True\"}]")));
    model_rest(f.m);
    assert_int_equal(kr_at(model_instance(f.m), "status.conditions").n, 4);
    teardown(&f);
}

TEST(status, retries_after_errors_with_growing_delays)
{
    struct fixture f = setup("", "");

    model_answer(f.m, GRAPH_A_STATUS, GRAPH_O_RETRY, "timeout", false, 5);
    model_run(f.m);
    model_wait(f.m, 10 * 1000);
    assert_int_equal(f.m->writes[GRAPH_A_STATUS], 6);
    expect_status(&f, "state", "\"ACTIVE\"");
    teardown(&f);
}

TEST(status, every_node_that_waits_is_named_up_to_a_limit)
{
    KR_AUTO(kr_buf) nodes = KR_BUF(64 * 1024);
    struct fixture f;
    kr_val ready;

    for (int i = 0; i < 30; i++)
        kr_buf_fmt(&nodes,
                   "    - id: w%d\n      externalRef: {apiVersion: v1, kind: ConfigMap, metadata: "
                   "{name: w%d}}\n",
                   i, i);
    f = setup("", nodes.s);
    model_rest(f.m);
    ready = condition(&f, "Ready");
    assert_non_null(
        strstr(kr_cstr(&f.m->a, kr_at_str(ready, "message")), "\"w19\": not found\nand 10 more"));
    teardown(&f);
}

int main(void)
{
    return RUN(
        T(status, a_ready_instance_has_the_four_conditions_in_order),
        T(status, projects_what_is_there_and_leaves_out_what_is_not),
        T(status, a_broken_field_is_named_and_the_rest_is_written),
        T(status, of_nodes_behind_a_broken_one_stays), T(status, tells_a_wait_and_its_end_at_once),
        T(status, says_nothing_of_requests_that_are_answered_in_time),
        T(status, waits_that_change_are_told_once_a_second),
        T(status, of_a_new_generation_is_one_write), T(status, keeps_the_time_of_a_transition),
        T(status, that_somebody_else_changed_is_restored),
        T(status, foreign_conditions_are_dropped_and_numbers_compare_by_value),
        T(status, retries_after_errors_with_growing_delays),
        T(status, every_node_that_waits_is_named_up_to_a_limit));
}
