/* SPDX-License-Identifier: Apache-2.0 */
/* collection_test.c - what a change costs where there are many: one item of a thousand. */
#include "tests/lib/scenario.h"

#include <stdio.h>

enum { ITEMS = 1000 };

static const char fleet[] =
    "metadata: {name: fleet}\n"
    "spec:\n"
    "  schema:\n"
    "    apiVersion: v1alpha1\n"
    "    kind: Fleet\n"
    "    types: {Item: {name: string, value: string}}\n"
    "    spec: {items: '[]Item', note: string, team: string}\n"
    "    status: {first: '${workers[0].data.value}'}\n"
    "  resources:\n"
    "    - id: workers\n"
    "      forEach: [{one: '${schema.spec.items}'}]\n"
    "      readyWhen: ['${each.data.?state.orValue(\"up\") == \"up\"}']\n"
    "      template:\n"
    "        apiVersion: v1\n"
    "        kind: ConfigMap\n"
    "        metadata: {name: 'worker-${one.name}'}\n"
    "        data: {value: '${one.value}', of: '${schema.metadata.name}'}\n"
    "    - id: logs\n"
    "      forEach: [{worker: '${workers}'}]\n"
    "      template:\n"
    "        apiVersion: v1\n"
    "        kind: Secret\n"
    "        metadata: {name: 'log-${worker.metadata.name}'}\n"
    "        stringData: {value: '${worker.data.value}', note: '${schema.spec.note}'}\n"
    "    - id: found\n"
    "      externalRef:\n"
    "        apiVersion: v1\n"
    "        kind: ConfigMap\n"
    "        metadata: {namespace: other, selector: {matchLabels: {team: '${schema.spec.team}'}}}\n"
    "    - id: copies\n"
    "      forEach: [{from: '${found}'}]\n"
    "      template:\n"
    "        apiVersion: v1\n"
    "        kind: Secret\n"
    "        metadata: {name: 'copy-${from.metadata.name}'}\n"
    "        stringData: {value: '${from.data.value}'}\n";

struct fixture {
    struct cel_kinds *kinds;
    struct model *m;
    struct graph_counts before;
};

/* spec.items with n items, and another value for one of them. */
static kr_val items(struct fixture *f, uint32_t n, uint32_t other, const char *value)
{
    struct kr_listb list = KR_LISTB(&f->m->a);

    for (uint32_t i = 0; i < n; i++) {
        struct kr_mapb item = KR_MAPB(&f->m->a);

        kr_mapb_put(&item, KR_S("name"), kr_string(kr_fmt(&f->m->a, "%04u", i)));
        kr_mapb_put(&item, KR_S("value"), kr_string(kr_str_c(i == other ? value : "same")));
        kr_listb_add(&list, kr_mapb_done(&item));
    }
    return kr_with(&f->m->a, kr_map_sorted(NULL, 0), "spec.items", kr_listb_done(&list));
}

static void external(struct fixture *f, uint32_t i, const char *patch)
{
    char name[16];

    snprintf(name, sizeof(name), "e%04u", i);
    model_write(f->m, "v1", "ConfigMap", "other", name, scenario_patch(&f->m->a, kr_str_c(patch)));
}

static void worker(struct fixture *f, uint32_t i, const char *patch)
{
    char name[16];

    snprintf(name, sizeof(name), "worker-%04u", i);
    model_write(f->m, "v1", "ConfigMap", "default", name,
                scenario_patch(&f->m->a, kr_str_c(patch)));
}

static const char instance[] =
    "{\"apiVersion\":\"kro.run/v1alpha1\",\"kind\":\"Fleet\",\"metadata\":{\"name\":\"f\","
    "\"namespace\":\"default\"},\"spec\":{\"items\":[],\"note\":\"n\",\"team\":\"red\"}}";

static struct fixture setup(uint32_t n, uint32_t externals)
{
    KR_AUTO(kr_arena) a = {0};
    struct fixture f = {.kinds = model_kinds(KROC_SOURCE "/tests/scenario/kinds.yaml")};
    struct graph_rev *rev = scenario_revision(f.kinds, fleet);

    f.m = model_new(f.kinds, rev, test_json(&a, instance));
    graph_rev_drop(rev);
    for (uint32_t i = 0; i < externals; i++)
        external(&f, i, "metadata.labels.team=red data.value=same");
    model_edit(f.m, items(&f, n, UINT32_MAX, ""));
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

static void expect_cost(struct fixture *f, const char *want)
{
    const struct graph_counts *now = graph_inst_counts(f->m->inst);
    KR_AUTO(kr_arena) a = {0};

    model_rest(f->m);
    EXPECT_TEXT(
        kr_cstr(&a,
                kr_fmt(&a, "templates %d, readyWhen %d; apply %u, parent %u, status %u, delete %u",
                       (int)(now->templates - f->before.templates),
                       (int)(now->ready - f->before.ready), f->m->writes[GRAPH_A_APPLY],
                       f->m->writes[GRAPH_A_APPLY_PARENT], f->m->writes[GRAPH_A_STATUS],
                       f->m->writes[GRAPH_A_DELETE])),
        want);
    model_count(f->m);
    f->before = *now;
}

TEST(collection, one_changed_element_of_a_thousand_costs_one_evaluation_and_one_apply)
{
    struct fixture f = setup(ITEMS, 0);

    /* workers, and the item of logs that reads the worker: one each, of `found` nothing */
    model_edit(f.m, items(&f, ITEMS, 500, "other"));
    expect_cost(&f, "templates 2, readyWhen 0; apply 2, parent 0, status 1, delete 0");
    assert_true(
        kr_is_str(kr_at(model_get(f.m, "ConfigMap", "worker-0500"), "data.value"), KR_S("other")));
    assert_true(kr_is_str(kr_at(model_get(f.m, "Secret", "log-worker-0500"), "stringData.value"),
                          KR_S("other")));
    teardown(&f);
}

TEST(collection, drift_of_one_item_costs_one_evaluation_and_one_apply)
{
    struct fixture f = setup(ITEMS, 0);

    worker(&f, 7, "data.value=wrong");
    expect_cost(&f, "templates 1, readyWhen 0; apply 1, parent 0, status 0, delete 0");
    teardown(&f);
}

TEST(collection, what_nobody_reads_of_an_item_makes_no_evaluation)
{
    struct fixture f = setup(20, 0);

    /* the objects are read as a whole here: the status' `workers[0]`; but no item's template is */
    worker(&f, 7, "metadata.annotations.foreign=1");
    expect_cost(&f, "templates 0, readyWhen 0; apply 0, parent 0, status 0, delete 0");
    teardown(&f);
}

TEST(collection, readiness_is_asked_of_the_item_that_changed)
{
    struct fixture f = setup(200, 0);

    worker(&f, 100, "data.state=down");
    expect_cost(&f, "templates 0, readyWhen 1; apply 0, parent 0, status 1, delete 0");
    model_wait(f.m, 2000);
    worker(&f, 100, "data.state=up");
    expect_cost(&f, "templates 0, readyWhen 1; apply 0, parent 0, status 1, delete 0");
    teardown(&f);
}

TEST(collection, an_input_of_all_items_costs_all)
{
    struct fixture f = setup(50, 0);

    model_edit(f.m, scenario_patch(&f.m->a, KR_S("spec.note=m")));
    expect_cost(&f, "templates 50, readyWhen 0; apply 50, parent 0, status 1, delete 0");
    teardown(&f);
}

TEST(collection, one_selected_object_of_a_thousand_costs_one_evaluation_and_one_apply)
{
    struct fixture f = setup(1, ITEMS);

    external(&f, 123, "data.value=other");
    expect_cost(&f, "templates 1, readyWhen 0; apply 1, parent 0, status 0, delete 0");
    external(&f, 123, "data.foreign=x");
    expect_cost(&f, "templates 0, readyWhen 0; apply 0, parent 0, status 0, delete 0");
    teardown(&f);
}

TEST(collection, a_start_with_many_items_writes_nothing)
{
    struct fixture f = setup(200, 10);

    model_restart(f.m);
    f.before = (struct graph_counts){0};
    /* each once, and the selector */
    expect_cost(&f, "templates 411, readyWhen 200; apply 0, parent 0, status 0, delete 0");
    teardown(&f);
}

TEST(collection, items_carry_their_place_and_the_size)
{
    struct fixture f = setup(3, 0);
    kr_val labels = kr_at(model_get(f.m, "ConfigMap", "worker-0002"), "metadata.labels");

    assert_true(kr_is_str(kr_get(labels, KR_S(GRAPH_LABEL_ITEM)), KR_S("2")));
    assert_true(kr_is_str(kr_get(labels, KR_S(GRAPH_LABEL_SIZE)), KR_S("3")));
    assert_true(kr_is_str(kr_get(labels, KR_S(GRAPH_LABEL_NODE)), KR_S("workers")));
    model_edit(f.m, items(&f, 4, UINT32_MAX, ""));
    expect_cost(&f, "templates 8, readyWhen 1; apply 8, parent 0, status 1, delete 0");
    labels = kr_at(model_get(f.m, "ConfigMap", "worker-0002"), "metadata.labels");
    assert_true(kr_is_str(kr_get(labels, KR_S(GRAPH_LABEL_SIZE)), KR_S("4")));
    teardown(&f);
}

TEST(collection, the_size_is_limited)
{
    struct fixture f = setup(3, 0);

    f.m->env.collection_max = 5;
    kr_buf_reset(&f.m->trace);
    model_edit(f.m, items(&f, 6, UINT32_MAX, ""));
    model_rest(f.m);
    EXPECT_TEXT(
        f.m->trace.s,
        "status  kro.run/v1alpha1/Fleet default/f ERROR\n"
        "  ResourcesReady False NotReady: resource reconciliation failed: node \"workers\": "
        "collection size of 6 is over the maximum collection size of 5\n"
        "  {\"first\":\"same\"}\n");
    teardown(&f);
}

/* Its bytes: an instance with many items holds no more than these and their digests. */
TEST(collection, an_item_is_small)
{
    struct fixture f = setup(0, 0);
    size_t none = graph_inst_bytes(f.m->inst);

    teardown(&f);
    f = setup(100, 0);
    assert_in_range(graph_inst_bytes(f.m->inst) - none, 1, 2 * 100 * 128);
    teardown(&f);
}

int main(void)
{
    return RUN(T(collection, one_changed_element_of_a_thousand_costs_one_evaluation_and_one_apply),
               T(collection, drift_of_one_item_costs_one_evaluation_and_one_apply),
               T(collection, what_nobody_reads_of_an_item_makes_no_evaluation),
               T(collection, readiness_is_asked_of_the_item_that_changed),
               T(collection, an_input_of_all_items_costs_all),
               T(collection, one_selected_object_of_a_thousand_costs_one_evaluation_and_one_apply),
               T(collection, a_start_with_many_items_writes_nothing),
               T(collection, items_carry_their_place_and_the_size),
               T(collection, the_size_is_limited), T(collection, an_item_is_small));
}
