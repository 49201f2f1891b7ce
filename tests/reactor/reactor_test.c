/* SPDX-License-Identifier: Apache-2.0 */
/* The whole controller on a cluster in memory: what a change may cost, counted in requests and in
 * evaluations, and that it ends where it should. tests/e2e asks the same of the program on a real
 * API server; here are the cases that need a hold on time, order and crashes. */
#include <stdio.h>

#include "graph/graph.h"
#include "tests/lib/world.h"

#define CORE "/api/v1/namespaces/default/"
#define APPS "/apis/apps/v1/namespaces/default/"
#define KRO "/apis/kro.run/v1alpha1/namespaces/default/"
#define DEFINITIONS "/apis/kro.run/v1alpha1/resourcegraphdefinitions/"
#define CRDS "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"

static const char shop[] = KRO "webapps/shop", page[] = CORE "configmaps/shop-page",
                  settings[] = CORE "configmaps/settings", deployment[] = APPS "deployments/shop",
                  service[] = CORE "services/shop";

enum { K = 3 }; /* children of the example */

/* --- what the tests are made of --------------------------------------------------------------- */

/* The example's definition is served, its settings are there. */
static void open_defined(struct world *w, const struct world_opts *opts)
{
    world_open(w, opts);
    world_start(w);
    world_apply_file(w, "examples/webapp/rgd.yaml");
    world_apply_file(w, "examples/webapp/settings.yaml");
    world_rest(w);
    world_mark(w);
}

/* And its instance is ACTIVE. */
static void open_shop(struct world *w, const struct world_opts *opts)
{
    open_defined(w, opts);
    world_apply_file(w, "examples/webapp/instance.yaml");
    world_rest(w);
    EXPECT_TEXT(world_text(w, shop, "status.state"), "ACTIVE");
    world_mark(w);
}

/* The writes since the mark but those of a status, as world_writes prints them. */
static const char *plain(struct world *w)
{
    KR_AUTO(kr_buf) b = KR_BUF(1024 * 1024);
    kr_str rest = kr_str_c(world_writes(w));

    while (rest.n > 0) {
        kr_str line = kr_str_cut(&rest, '\n');

        if (kr_str_find(line, KR_S("/status ")) < 0)
            kr_buf_fmt(&b, KR_FMT "\n", KR_ARG(line));
    }
    return kr_strdup(&w->a, b.n ? kr_buf_view(&b) : KR_S("")).s;
}

static void expect_cost(struct world *w, const char *writes, uint32_t statuses_max)
{
    EXPECT_TEXT(plain(w), writes);
    assert_in_range(world_statuses_n(w), 0, statuses_max);
    world_mark(w);
}

static void expect_nothing(struct world *w)
{
    EXPECT_TEXT(fakeapi_log(w->api), "");
    world_mark(w);
}

static void expect_state(struct world *w, const char *path, const char *state)
{
    EXPECT_TEXT(world_text(w, path, "status.state"), state);
}

/* Message of the instance's (or definition's) condition. */
static const char *message(struct world *w, const char *path, const char *type)
{
    KR_LIST_EACH (c, kr_at(world_get(w, path), "status.conditions"))
        if (kr_is_str(kr_get(*c, KR_S("type")), kr_str_c(type)))
            return kr_cstr(&w->a, kr_at_str(*c, "message"));
    return "";
}

static void expect_part(const char *text, const char *part)
{
    if (kr_str_find(kr_str_c(text), kr_str_c(part)) < 0)
        fail_msg("\"%s\" does not say \"%s\"", text, part);
}

static const char *print(struct world *w, const char *fmt, ...) KR_PRINTF(2, 3);
static const char *print(struct world *w, const char *fmt, ...)
{
    char text[16 * 1024];
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    assert_in_range(n, 0, sizeof text - 1);
    return kr_cstr(&w->a, kr_str_c(text));
}

static struct reactor_stats stats(struct world *w)
{
    struct reactor_stats s;

    reactor_stats(w->reactor, &s);
    return s;
}

/* --- creation --------------------------------------------------------------------------------- */

TEST(reactor, creation_of_the_example_costs_k_plus_2_writes_and_at_most_2_of_status)
{
    struct world w;

    open_defined(&w, NULL);
    world_apply_file(&w, "examples/webapp/instance.yaml");
    world_rest(&w);
    assert_int_equal(world_writes_n(&w, NULL), K + 2);
    expect_cost(&w,
                "PATCH webapps/shop kro.run/labeller\n"
                "PATCH webapps/shop kro.run/applyset-parent\n"
                "PATCH configmaps/shop-page kro.run/applyset\n"
                "PATCH services/shop kro.run/applyset\n"
                "PATCH deployments/shop kro.run/applyset\n",
                2);
    expect_state(&w, shop, "ACTIVE");
    EXPECT_TEXT(message(&w, shop, "ResourcesReady"), "all resources are created and ready");
    EXPECT_TEXT(world_text(&w, shop, "status.settingsVersion"),
                world_text(&w, settings, "metadata.resourceVersion"));
    EXPECT_TEXT(world_text(&w, shop, "status.address"), world_text(&w, service, "spec.clusterIP"));
    assert_int_equal(world_fate(&w, "deployments", "default/shop").changed, 0);
    world_close(&w);
}

/* Each answer comes in a turn of its own: the same cost. */
TEST(reactor, creation_costs_the_same_when_answers_take_their_time)
{
    struct world w;

    open_defined(&w, &(struct world_opts){.api = {.latency_ms = 40, .chunk_bytes = 100}});
    world_apply_file(&w, "examples/webapp/instance.yaml");
    world_rest(&w);
    assert_int_equal(world_writes_n(&w, NULL), K + 2);
    assert_in_range(world_statuses_n(&w), 1, 2);
    expect_state(&w, shop, "ACTIVE");
    world_close(&w);
}

/* The server takes more than a second for each answer: what waits for our own writes alone is not told,
 * for the answers tell the rest. */
TEST(reactor, a_slow_server_costs_one_status_for_a_creation_and_for_an_edit)
{
    struct world w;

    open_defined(&w, &(struct world_opts){.api = {.latency_ms = 1500}});
    world_apply_file(&w, "examples/webapp/instance.yaml");
    world_rest(&w);
    assert_int_equal(world_writes_n(&w, NULL), K + 2);
    assert_int_equal(world_statuses_n(&w), 1);
    expect_state(&w, shop, "ACTIVE");
    world_mark(&w);
    world_patch(&w, shop, "{spec: {replicas: 3}}");
    world_rest(&w);
    expect_cost(&w, "PATCH deployments/shop kro.run/applyset\n", 1);
    world_delete(&w, shop);
    world_rest(&w);
    assert_int_equal(world_writes_n(&w, NULL), K + 1);
    assert_int_equal(world_statuses_n(&w), 1);
    world_close(&w);
}

TEST(reactor, a_wait_for_our_own_write_is_told_when_it_is_long)
{
    struct world w;

    open_shop(&w, NULL);
    fakeapi_opts(w.api)->latency_ms = 2 * GRAPH_STATUS_LONG_MS;
    world_patch(&w, shop, "{spec: {replicas: 3}}");
    world_advance(&w,
                  2 * GRAPH_STATUS_LONG_MS + 1); /* events have it too; the PATCH is sent then */
    fakeapi_opts(w.api)->latency_ms = 0;
    world_advance(&w, GRAPH_STATUS_LONG_MS - 1000);
    assert_int_equal(world_statuses_n(&w), 0);
    world_advance(&w, 3000);
    assert_int_equal(world_statuses_n(&w), 1);
    expect_state(&w, shop, "IN_PROGRESS");
    expect_part(message(&w, shop, "ResourcesReady"),
                "waiting for node \"deployment\" to be applied");
    world_rest(&w);
    assert_int_equal(world_statuses_n(&w), 2);
    expect_state(&w, shop, "ACTIVE");
    world_close(&w);
}

TEST(reactor, old_servers_cost_the_same)
{
    struct world w;

    open_defined(&w,
                 &(struct world_opts){.api = {.no_streaming_list = true, .no_aggregated = true}});
    world_apply_file(&w, "examples/webapp/instance.yaml");
    world_rest(&w);
    assert_int_equal(world_writes_n(&w, NULL), K + 2);
    assert_in_range(world_statuses_n(&w), 1, 2);
    expect_state(&w, shop, "ACTIVE");
    world_close(&w);
}

/* --- changes ---------------------------------------------------------------------------------- */

TEST(reactor, edit_of_the_configmap_is_one_patch)
{
    struct world w;
    uint64_t before;

    open_shop(&w, NULL);
    before = world_evaluations(&w);
    world_patch(&w, settings, "{data: {COLOUR: green}}");
    world_rest(&w);
    expect_cost(&w, "PATCH deployments/shop kro.run/applyset\n", 1);
    EXPECT_TEXT(world_text(&w, deployment, "spec.template.metadata.annotations.config-version"),
                world_text(&w, settings, "metadata.resourceVersion"));
    EXPECT_TEXT(world_text(&w, shop, "status.settingsVersion"),
                world_text(&w, settings, "metadata.resourceVersion"));
    /* The Deployment's template and the status; neither page nor service. */
    assert_in_range(world_evaluations(&w) - before, 1, 3);
    world_close(&w);
}

TEST(reactor, many_edits_at_one_moment_are_one_patch)
{
    struct world w;

    open_shop(&w, NULL);
    for (int i = 0; i < 10; i++)
        world_patch(&w, settings, print(&w, "{data: {COUNT: '%d'}}", i));
    world_rest(&w);
    assert_in_range(world_writes_n(&w, "PATCH"), 1, 2);
    EXPECT_TEXT(world_text(&w, deployment, "spec.template.metadata.annotations.config-version"),
                world_text(&w, settings, "metadata.resourceVersion"));
    world_close(&w);
}

TEST(reactor, what_nobody_reads_costs_nothing)
{
    struct world w;
    uint64_t before;

    open_shop(&w, NULL);
    before = world_evaluations(&w);
    world_patch(&w, settings, "{data: {COLOUR: blue}}"); /* changes nothing */
    world_patch(&w, service, "{metadata: {annotations: {example.com/seen: 'yes'}}}");
    world_patch(&w, page, "{metadata: {labels: {mine: 'yes'}}}");
    for (int i = 0; i < 3; i++) {
        const char *beat =
            print(&w,
                  "{status: {observedGeneration: 1, conditions: [{type: Progressing, status: "
                  "'True', reason: Beat, lastUpdateTime: '2026-01-01T00:00:0%dZ'}]}}",
                  i);

        world_patch(&w, APPS "deployments/shop/status", beat);
        world_rest(&w);
    }
    world_patch(&w, shop, "{metadata: {annotations: {example.com/seen: 'yes'}}}");
    world_rest(&w);
    expect_nothing(&w);
    assert_int_equal(world_evaluations(&w) - before, 0);
    world_close(&w);
}

TEST(reactor, drift_is_restored_by_one_patch)
{
    static const struct {
        const char *path, *change, *write, *part, *value;
    } cases[] = {
        {deployment, "{spec: {replicas: 7}}", "PATCH deployments/shop kro.run/applyset\n",
         "spec.replicas", "2"},
        {page, "{data: {index.html: hacked}}", "PATCH configmaps/shop-page kro.run/applyset\n",
         "data", "{\"index.html\":\"<h1>Welcome to the shop</h1>\"}"},
        {service, "{spec: {selector: {app: other}}}", "PATCH services/shop kro.run/applyset\n",
         "spec.selector.app", "shop"},
        {page, "{metadata: {labels: {kro.run/node-id: other}}}",
         "PATCH configmaps/shop-page kro.run/applyset\n", "data",
         "{\"index.html\":\"<h1>Welcome to the shop</h1>\"}"},
    };
    struct world w;

    open_shop(&w, NULL);
    for (size_t i = 0; i < KR_N(cases); i++) {
        uint64_t before = world_evaluations(&w);

        world_patch(&w, cases[i].path, cases[i].change);
        world_rest(&w);
        expect_cost(&w, cases[i].write, 1);
        EXPECT_TEXT(world_text(&w, cases[i].path, cases[i].part), cases[i].value);
        assert_in_range(world_evaluations(&w) - before, 1, 4);
    }
    world_close(&w);
}

/* A slow server is our own wait: nothing that a status must tell, wave after wave. */
TEST(reactor, a_deletion_whose_waves_are_answered_late_costs_one_status)
{
    struct world w;

    open_shop(&w, &(struct world_opts){.api = {.latency_ms = 8000}});
    world_delete(&w, shop);
    world_rest(&w);
    assert_int_equal(world_get(&w, shop).kind, KR_NONE);
    assert_int_equal(world_writes_n(&w, "DELETE"), K);
    assert_int_equal(world_writes_n(&w, NULL), K + 1); /* and the finalizer */
    assert_int_equal(world_statuses_n(&w), 1);
    world_close(&w);
}

TEST(reactor, deleted_child_is_made_again_by_one_patch)
{
    struct world w;
    const char *uid;

    open_shop(&w, NULL);
    uid = world_text(&w, page, "metadata.uid");
    world_delete(&w, page);
    world_rest(&w);
    expect_cost(&w, "PATCH configmaps/shop-page kro.run/applyset\n", 2);
    assert_string_not_equal(world_text(&w, page, "metadata.uid"), uid);
    expect_state(&w, shop, "ACTIVE");
    world_close(&w);
}

TEST(reactor, edit_of_the_spec_touches_only_its_readers)
{
    struct world w;

    open_shop(&w, NULL);
    world_patch(&w, shop, "{spec: {replicas: 3}}");
    world_rest(&w);
    expect_cost(&w, "PATCH deployments/shop kro.run/applyset\n", 1);
    EXPECT_TEXT(world_text(&w, deployment, "spec.replicas"), "3");
    world_patch(&w, shop, "{spec: {greeting: hello}}");
    world_rest(&w);
    expect_cost(&w, "PATCH configmaps/shop-page kro.run/applyset\n", 1);
    world_close(&w);
}

/* --- restart ---------------------------------------------------------------------------------- */

TEST(reactor, restart_writes_nothing)
{
    struct world w;
    const char *dump;

    open_shop(&w, NULL);
    dump = world_dump(&w);
    world_crash(&w, false);
    world_start(&w);
    world_rest(&w);
    expect_cost(&w, "", 0);
    world_stop(&w);
    world_start(&w);
    world_rest(&w);
    expect_cost(&w, "", 0);
    EXPECT_TEXT(world_dump(&w), dump);
    world_patch(&w, settings, "{data: {COLOUR: after}}");
    world_rest(&w);
    expect_cost(&w, "PATCH deployments/shop kro.run/applyset\n", 1);
    world_close(&w);
}

TEST(reactor, what_changed_while_it_was_down_is_put_right)
{
    struct world w;

    open_shop(&w, NULL);
    world_stop(&w);
    world_mark(&w);
    world_patch(&w, settings, "{data: {COLOUR: meanwhile}}");
    world_patch(&w, page, "{data: {index.html: hacked}}");
    world_delete(&w, service);
    world_start(&w);
    world_rest(&w);
    assert_int_equal(world_writes_n(&w, "PATCH"), 3);
    assert_int_equal(world_writes_n(&w, NULL), 3);
    assert_in_range(world_statuses_n(&w), 1, 2);
    expect_state(&w, shop, "ACTIVE");
    world_close(&w);
}

TEST(reactor, deletion_while_it_was_down_is_done_after)
{
    struct world w;

    open_shop(&w, NULL);
    world_crash(&w, false);
    world_delete(&w, shop);
    world_start(&w);
    world_rest(&w);
    assert_int_equal(world_writes_n(&w, "DELETE"), K);
    assert_int_equal(world_get(&w, shop).kind, KR_NONE);
    assert_int_equal(fakeapi_objects_n(w.api, "configmaps", ""), 1); /* settings */
    world_close(&w);
}

/* --- deletion --------------------------------------------------------------------------------- */

TEST(reactor, deletion_costs_k_plus_1_writes_and_1_of_status_in_reverse_order)
{
    struct world w;

    open_shop(&w, NULL);
    world_delete(&w, shop);
    world_rest(&w);
    EXPECT_TEXT(world_writes(&w), "PUT webapps/shop/status -\n"
                                  "DELETE deployments/shop -\n"
                                  "DELETE services/shop -\n"
                                  "DELETE configmaps/shop-page -\n"
                                  "PATCH webapps/shop -\n");
    assert_int_equal(world_get(&w, shop).kind, KR_NONE);
    assert_int_equal(world_get(&w, page).kind, KR_NONE);
    assert_int_equal(world_get(&w, deployment).kind, KR_NONE);
    assert_int_equal(world_get(&w, service).kind, KR_NONE);
    assert_int_equal(stats(&w).instances, 0);
    world_close(&w);
}

TEST(reactor, the_same_instance_made_again_is_a_new_one)
{
    struct world w;

    open_shop(&w, NULL);
    for (int i = 0; i < 3; i++) {
        world_delete(&w, shop);
        world_rest(&w);
        world_mark(&w);
        world_apply_file(&w, "examples/webapp/instance.yaml");
        world_rest(&w);
        assert_int_equal(world_writes_n(&w, NULL), K + 2);
        expect_state(&w, shop, "ACTIVE");
    }
    assert_int_equal(stats(&w).instances, 1);
    world_close(&w);
}

/* A child's finalizer, held by somebody else, keeps the rest and the instance. */
TEST(reactor, deletion_waits_for_a_child_that_is_held)
{
    struct world w;

    open_shop(&w, NULL);
    world_patch(&w, deployment, "{metadata: {finalizers: [example.com/hold]}}");
    world_rest(&w);
    expect_nothing(&w);
    world_delete(&w, shop);
    world_rest(&w);
    /* The first wave is tried, the next one and the finalizer wait. */
    assert_int_equal(world_writes_n(&w, "DELETE"), 2);
    assert_int_equal(world_writes_n(&w, NULL), 2);
    assert_int_equal(world_get(&w, page).kind, KR_MAP);
    expect_state(&w, shop, "DELETING");
    expect_part(message(&w, shop, "ResourcesReady"), "Deployment default/shop");
    world_mark(&w);
    world_patch(&w, deployment, "{metadata: {finalizers: []}}");
    world_rest(&w);
    expect_cost(&w,
                "DELETE configmaps/shop-page -\n"
                "PATCH webapps/shop -\n",
                1);
    assert_int_equal(world_get(&w, shop).kind, KR_NONE);
    world_close(&w);
}

/* The instance is deleted at every moment of its creation. */
TEST(reactor, deletion_while_creation_is_in_flight_leaves_nothing)
{
    for (uint32_t ms = 0; ms < 300; ms += 15) {
        struct world w;

        open_defined(&w, &(struct world_opts){.api = {.latency_ms = 30}});
        world_apply_file(&w, "examples/webapp/instance.yaml");
        world_advance(&w, ms);
        world_delete(&w, shop);
        world_rest(&w);
        assert_int_equal(world_get(&w, shop).kind, KR_NONE);
        assert_int_equal(fakeapi_objects_n(w.api, "configmaps", ""), 1);
        assert_int_equal(fakeapi_objects_n(w.api, "deployments", "apps"), 0);
        assert_int_equal(fakeapi_objects_n(w.api, "services", ""), 0);
        assert_in_range(world_writes_n(&w, NULL), 0, 2 * K + 3);
        assert_int_equal(stats(&w).instances, 0);
        world_close(&w);
    }
}

/* --- shapes of graphs ------------------------------------------------------------------------- */

static const char chain_rgd[] =
    "apiVersion: kro.run/v1alpha1\n"
    "kind: ResourceGraphDefinition\n"
    "metadata: {name: chains}\n"
    "spec:\n"
    "  schema:\n"
    "    apiVersion: v1alpha1\n"
    "    kind: Chain\n"
    "    spec: {value: string | default=x}\n"
    "    status: {last: '${e.data.value}'}\n"
    "  resources:\n"
    "    - {id: e, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "
    "'${schema.metadata.name}-e'}, data: {value: '${d.data.value + \"e\"}'}}}\n"
    "    - {id: d, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "
    "'${schema.metadata.name}-d'}, data: {value: '${c.data.value + \"d\"}'}}}\n"
    "    - {id: c, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "
    "'${schema.metadata.name}-c'}, data: {value: '${b.data.value + \"c\"}'}}}\n"
    "    - {id: b, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "
    "'${schema.metadata.name}-b'}, data: {value: '${a.data.value + \"b\"}'}}}\n"
    "    - {id: a, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "
    "'${schema.metadata.name}-a'}, data: {value: '${schema.spec.value}'}}}\n";

static const char chain[] = "apiVersion: kro.run/v1alpha1\n"
                            "kind: Chain\n"
                            "metadata: {name: one}\n"
                            "spec: {value: '-'}\n";

TEST(reactor, a_chain_is_made_one_by_one_and_costs_the_same)
{
    struct world w;

    world_open(&w, NULL);
    world_start(&w);
    world_apply(&w, chain_rgd);
    world_rest(&w);
    world_mark(&w);
    world_apply(&w, chain);
    world_rest(&w);
    expect_cost(&w,
                "PATCH chains/one kro.run/labeller\n"
                "PATCH chains/one kro.run/applyset-parent\n"
                "PATCH configmaps/one-a kro.run/applyset\n"
                "PATCH configmaps/one-b kro.run/applyset\n"
                "PATCH configmaps/one-c kro.run/applyset\n"
                "PATCH configmaps/one-d kro.run/applyset\n"
                "PATCH configmaps/one-e kro.run/applyset\n",
                2);
    EXPECT_TEXT(world_text(&w, KRO "chains/one", "status.last"), "-bcde");
    /* A change in the middle runs down from there. */
    world_patch(&w, CORE "configmaps/one-c", "{data: {value: hacked}}");
    world_rest(&w);
    assert_in_range(world_writes_n(&w, NULL), 1, 5);
    EXPECT_TEXT(world_text(&w, KRO "chains/one", "status.last"), "-bcde");
    world_mark(&w);
    world_delete(&w, KRO "chains/one");
    world_rest(&w);
    expect_cost(&w,
                "DELETE configmaps/one-e -\n"
                "DELETE configmaps/one-d -\n"
                "DELETE configmaps/one-c -\n"
                "DELETE configmaps/one-b -\n"
                "DELETE configmaps/one-a -\n"
                "PATCH chains/one -\n",
                1);
    world_close(&w);
}

TEST(reactor, a_long_chain_with_slow_answers_tells_what_it_waits_for)
{
    struct world w;

    world_open(&w, &(struct world_opts){.api = {.latency_ms = 700}});
    world_start(&w);
    world_apply(&w, chain_rgd);
    world_rest(&w);
    world_mark(&w);
    world_apply(&w, chain);
    world_rest(&w);
    assert_int_equal(world_writes_n(&w, NULL), 5 + 2);
    /* One for each change of what is waited for, not more than one a second. */
    assert_in_range(world_statuses_n(&w), 1, 6);
    EXPECT_TEXT(world_text(&w, KRO "chains/one", "status.last"), "-bcde");
    world_close(&w);
}

static const char toggle_rgd[] =
    "apiVersion: kro.run/v1alpha1\n"
    "kind: ResourceGraphDefinition\n"
    "metadata: {name: toggles}\n"
    "spec:\n"
    "  schema:\n"
    "    apiVersion: v1alpha1\n"
    "    kind: Toggle\n"
    "    spec: {more: boolean | default=false, value: string | default=x}\n"
    "  resources:\n"
    "    - id: base\n"
    "      template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "
    "'${schema.metadata.name}-base'}, data: {v: '${schema.spec.value}'}}\n"
    "    - id: extra\n"
    "      includeWhen: ['${schema.spec.more}']\n"
    "      template: {apiVersion: v1, kind: Secret, metadata: {name: "
    "'${schema.metadata.name}-extra'}, stringData: {v: '${schema.spec.value}'}}\n"
    "    - id: leaf\n"
    "      template: {apiVersion: v1, kind: Service, metadata: {name: "
    "'${schema.metadata.name}-leaf'}, spec: {selector: {app: '${extra.metadata.name}'}, ports: "
    "[{port: 80}]}}\n";

TEST(reactor, include_when_toggled_makes_and_prunes)
{
    static const char path[] = KRO "toggles/t";
    struct world w;
    const char *off;

    world_open(&w, NULL);
    world_start(&w);
    world_apply(&w, toggle_rgd);
    world_rest(&w);
    world_mark(&w);
    world_apply(
        &w, "{apiVersion: kro.run/v1alpha1, kind: Toggle, metadata: {name: t}, spec: {value: a}}");
    world_rest(&w);
    expect_cost(&w,
                "PATCH toggles/t kro.run/labeller\n"
                "PATCH toggles/t kro.run/applyset-parent\n"
                "PATCH configmaps/t-base kro.run/applyset\n",
                2);
    expect_state(&w, path, "ACTIVE");
    off = world_text(&w, path, "metadata.annotations");
    for (int i = 0; i < 3; i++) {
        world_patch(&w, path, "{spec: {more: true}}");
        world_rest(&w);
        expect_cost(&w,
                    "PATCH toggles/t kro.run/labeller\n"
                    "PATCH toggles/t kro.run/applyset-parent\n"
                    "PATCH secrets/t-extra kro.run/applyset\n"
                    "PATCH services/t-leaf kro.run/applyset\n",
                    2);
        world_patch(&w, path, "{spec: {more: false}}");
        world_rest(&w);
        assert_int_equal(world_writes_n(&w, "DELETE"), 2);
        assert_int_equal(world_writes_n(&w, "PATCH"), 2);
        assert_in_range(world_statuses_n(&w), 0, 2);
        EXPECT_TEXT(world_text(&w, path, "metadata.annotations"), off);
        world_mark(&w);
    }
    assert_int_equal(world_fate(&w, "configmaps", "default/t-base").changed, 0);
    world_close(&w);
}

/* --- external objects ------------------------------------------------------------------------- */

TEST(reactor, an_external_object_that_comes_late_is_waited_for)
{
    struct world w;

    open_defined(&w, NULL);
    world_delete(&w, settings);
    world_rest(&w);
    world_mark(&w);
    world_apply_file(&w, "examples/webapp/instance.yaml");
    world_rest(&w);
    assert_int_equal(world_writes_n(&w, NULL), 2 + 2); /* page and service need nothing */
    expect_state(&w, shop, "IN_PROGRESS");
    expect_part(message(&w, shop, "ResourcesReady"), "settings");
    world_mark(&w);
    world_apply_file(&w, "examples/webapp/settings.yaml");
    world_rest(&w);
    expect_cost(&w, "PATCH deployments/shop kro.run/applyset\n", 2);
    expect_state(&w, shop, "ACTIVE");
    /* It goes and comes again: what was made stays. */
    world_delete(&w, settings);
    world_rest(&w);
    expect_cost(&w, "", 1);
    expect_state(&w, shop, "IN_PROGRESS");
    world_apply_file(&w, "examples/webapp/settings.yaml");
    world_rest(&w);
    expect_cost(&w, "PATCH deployments/shop kro.run/applyset\n", 2);
    expect_state(&w, shop, "ACTIVE");
    world_close(&w);
}

static const char reader_rgd[] =
    "apiVersion: kro.run/v1alpha1\n"
    "kind: ResourceGraphDefinition\n"
    "metadata: {name: readers}\n"
    "spec:\n"
    "  schema:\n"
    "    apiVersion: v1alpha1\n"
    "    kind: Reader\n"
    "    spec: {from: string}\n"
    "  resources:\n"
    "    - id: source\n"
    "      externalRef: {apiVersion: v1, kind: ConfigMap, metadata: {name: "
    "'${schema.spec.from}'}}\n"
    "    - id: copy\n"
    "      template: {apiVersion: v1, kind: Secret, metadata: {name: "
    "'${schema.metadata.name}-copy'}, stringData: {v: '${source.data.v}'}}\n";

static void make_reader(struct world *w, int i)
{
    world_apply(w, print(w,
                         "{apiVersion: v1, kind: ConfigMap, metadata: {name: source-%d}, data: {v: "
                         "first}}\n---\n"
                         "{apiVersion: kro.run/v1alpha1, kind: Reader, metadata: {name: r%d}, "
                         "spec: {from: source-%d}}\n",
                         i, i, i));
}

/* Sources beyond REACTOR_EXTERNAL_SINGLES share one watch; each edit still reaches its reader
 * alone. */
TEST(reactor, many_external_objects_share_a_watch)
{
    enum { N = REACTOR_EXTERNAL_SINGLES + 9 };
    struct world w;
    uint32_t before;

    world_open(&w, NULL);
    world_start(&w);
    world_apply(&w, reader_rgd);
    world_rest(&w);
    before = stats(&w).watches;
    for (int i = 0; i < N; i++)
        make_reader(&w, i);
    world_rest(&w);
    assert_int_equal(world_writes_n(&w, "PATCH"), 3 * N + 1); /* and the definition's finalizer */
    assert_in_range(stats(&w).watches - before, 1, REACTOR_EXTERNAL_SINGLES + 1);
    world_mark(&w);
    for (int i = 0; i < N; i++) {
        uint64_t evaluations = world_evaluations(&w);

        world_patch(&w, print(&w, CORE "configmaps/source-%d", i), "{data: {v: second}}");
        world_rest(&w);
        expect_cost(&w, print(&w, "PATCH secrets/r%d-copy kro.run/applyset\n", i), 0);
        assert_in_range(world_evaluations(&w) - evaluations, 1, 2);
    }
    for (int i = 0; i < N; i += 2)
        world_delete(&w, print(&w, KRO "readers/r%d", i));
    world_rest(&w);
    for (int i = 0; i < N; i += 2)
        make_reader(&w, i);
    world_rest(&w);
    world_mark(&w);
    for (int i = 0; i < N; i++) {
        world_patch(&w, print(&w, CORE "configmaps/source-%d", i), "{data: {v: third}}");
        world_rest(&w);
        expect_cost(&w, print(&w, "PATCH secrets/r%d-copy kro.run/applyset\n", i), 0);
    }
    for (int i = 0; i < N; i++)
        world_delete(&w, print(&w, KRO "readers/r%d", i));
    world_rest(&w);
    assert_int_equal(stats(&w).watches, before);
    world_close(&w);
}

/* The object that is followed is named by the spec: another name is another object. */
TEST(reactor, the_name_of_an_external_object_may_change)
{
    struct world w;

    world_open(&w, NULL);
    world_start(&w);
    world_apply(&w, reader_rgd);
    world_rest(&w);
    make_reader(&w, 1);
    make_reader(&w, 2);
    world_rest(&w);
    world_patch(&w, CORE "configmaps/source-2", "{data: {v: other}}");
    world_rest(&w);
    world_mark(&w);
    world_patch(&w, KRO "readers/r1", "{spec: {from: source-2}}");
    world_rest(&w);
    expect_cost(&w, "PATCH secrets/r1-copy kro.run/applyset\n", 2);
    EXPECT_TEXT(world_text(&w, CORE "secrets/r1-copy", "data.v"), "b3RoZXI=");
    world_patch(&w, CORE "configmaps/source-1", "{data: {v: unread}}");
    world_rest(&w);
    expect_nothing(&w);
    world_close(&w);
}

/* --- definitions ------------------------------------------------------------------------------ */

/* Two nodes follow one object. In a new revision one of them changes its place: each goes on with what is
 * its own, and lets go of that alone. */
static const char pair_head[] =
    "apiVersion: kro.run/v1alpha1\n"
    "kind: ResourceGraphDefinition\n"
    "metadata: {name: pairs}\n"
    "spec:\n"
    "  schema: {apiVersion: v1alpha1, kind: Pair, spec: {a: string, b: string}}\n"
    "  resources:\n";
static const char pair_n[] =
    "    - {id: nn, externalRef: {apiVersion: v1, kind: ConfigMap, metadata: "
    "{name: '${schema.spec.a}'}}}\n";
static const char pair_b[] =
    "    - {id: bb, externalRef: {apiVersion: v1, kind: ConfigMap, metadata: "
    "{name: '${schema.spec.b}'}}}\n";
static const char pair_tail[] =
    "    - {id: one, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: one}, data: {v: "
    "'${nn.data.v}'}}}\n"
    "    - {id: two, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: two}, data: {v: "
    "'${bb.data.v}'}}}\n";

static const char pair_c[] =
    "    - {id: cc, externalRef: {apiVersion: v1, kind: ConfigMap, metadata: "
    "{name: other}}}\n";

static void define_pair(struct world *w, const char *first, const char *second, const char *third)
{
    KR_AUTO(kr_buf) b = KR_BUF(8192);

    kr_buf_fmt(&b, "%s%s%s%s%s", pair_head, first, second, third, pair_tail);
    world_apply(w, kr_cstr(&w->a, kr_buf_view(&b)));
    world_rest(w);
}

static void expect_pair(struct world *w, const char *object, const char *patch, const char *writes)
{
    world_mark(w);
    world_patch(w, object, patch);
    world_rest(w);
    EXPECT_TEXT(plain(w), writes);
}

TEST(reactor, nodes_that_change_places_keep_what_they_follow)
{
    struct world w;
    static const char same[] = CORE "configmaps/same", other[] = CORE "configmaps/other";
    static const char one[] = "PATCH configmaps/one kro.run/applyset\n",
                      two[] = "PATCH configmaps/two kro.run/applyset\n",
                      both[] = "PATCH configmaps/one kro.run/applyset\n"
                               "PATCH configmaps/two kro.run/applyset\n";

    world_open(&w, NULL);
    world_start(&w);
    world_apply(&w, "{apiVersion: v1, kind: ConfigMap, metadata: {name: same}, data: {v: s}}\n---\n"
                    "{apiVersion: v1, kind: ConfigMap, metadata: {name: other}, data: {v: o}}\n");
    define_pair(&w, pair_b, pair_n, "");
    world_apply(&w, "{apiVersion: kro.run/v1alpha1, kind: Pair, metadata: {name: p}, spec: {a: "
                    "same, b: same}}");
    world_rest(&w);
    expect_state(&w, KRO "pairs/p", "ACTIVE");
    expect_pair(&w, same, "{data: {v: s1}}", both);
    define_pair(&w, pair_b, pair_c, pair_n); /* bb keeps its rank, nn gets another */
    expect_pair(&w, same, "{data: {v: s2}}", both);
    expect_pair(&w, KRO "pairs/p", "{spec: {a: other}}", one);
    expect_pair(&w, same, "{data: {v: s3}}", two);
    expect_pair(&w, other, "{data: {v: o1}}", one);
    define_pair(&w, pair_b, pair_n, "");
    expect_pair(&w, same, "{data: {v: s4}}", two);
    expect_pair(&w, other, "{data: {v: o2}}", one);
    world_close(&w);
}

TEST(reactor, two_definitions_do_not_disturb_each_other)
{
    struct world w;

    open_shop(&w, NULL);
    world_apply(&w, chain_rgd);
    world_rest(&w);
    /* The second uses a type of the first: lists are read again, nothing is written. */
    assert_int_equal(fakeapi_log_n(w.api, NULL, "webapps/"), 0);
    assert_int_equal(fakeapi_log_n(w.api, NULL, "/shop"), 0);
    world_mark(&w);
    world_apply(&w, chain);
    world_rest(&w);
    assert_int_equal(world_writes_n(&w, NULL), 5 + 2);
    world_mark(&w);
    world_patch(&w, settings, "{data: {COLOUR: green}}");
    world_rest(&w);
    expect_cost(&w, "PATCH deployments/shop kro.run/applyset\n", 1);
    world_patch(&w, CORE "configmaps/one-e", "{data: {value: hacked}}");
    world_rest(&w);
    expect_cost(&w, "PATCH configmaps/one-e kro.run/applyset\n", 2);
    world_close(&w);
}

static void write_definition(struct world *w, const char *old, const char *new)
{
    kr_str text = kr_str_c(world_file(w, "examples/webapp/rgd.yaml"));
    ptrdiff_t at = kr_str_find(text, kr_str_c(old));

    assert_true(at >= 0);
    world_apply(w, print(w, KR_FMT "%s%s", KR_ARG(kr_str_sub(text, 0, (size_t)at)), new,
                         text.s + at + strlen(old)));
}

TEST(reactor, a_new_revision_touches_only_what_it_changes)
{
    struct world w;

    open_shop(&w, NULL);
    write_definition(&w, "<h1>${schema.spec.greeting}</h1>", "<h2>${schema.spec.greeting}</h2>");
    world_rest(&w);
    assert_int_equal(fakeapi_log_n(w.api, NULL, "/deployments/shop"), 0);
    assert_int_equal(fakeapi_log_n(w.api, NULL, "/services/shop"), 0);
    assert_int_equal(fakeapi_log_n(w.api, NULL, "/configmaps/shop-page"), 1);
    assert_int_equal(fakeapi_log_n(w.api, NULL, "/webapps/shop "), 0);
    EXPECT_TEXT(world_text(&w, page, "data"), "{\"index.html\":\"<h2>Welcome to the shop</h2>\"}");
    EXPECT_TEXT(world_text(&w, DEFINITIONS "webapp", "status.state"), "Active");
    world_mark(&w);
    world_crash(&w, false);
    world_start(&w);
    world_rest(&w);
    expect_cost(&w, "", 0);
    world_close(&w);
}

/* The definition goes bad: the instances are served on as before, and by the mended one after. */
TEST(reactor, a_broken_update_of_a_definition_keeps_the_last_good_one)
{
    struct world w;

    open_shop(&w, NULL);
    write_definition(&w, "${schema.spec.greeting}", "${schema.spec.absent}");
    world_rest(&w);
    EXPECT_TEXT(world_text(&w, DEFINITIONS "webapp", "status.state"), "Inactive");
    assert_int_equal(fakeapi_log_n(w.api, NULL, "/namespaces/default/"), 0);
    world_mark(&w);
    world_patch(&w, settings, "{data: {COLOUR: green}}");
    world_rest(&w);
    expect_cost(&w, "PATCH deployments/shop kro.run/applyset\n", 1);
    world_apply_file(&w, "examples/webapp/rgd.yaml");
    world_rest(&w);
    EXPECT_TEXT(world_text(&w, DEFINITIONS "webapp", "status.state"), "Active");
    assert_int_equal(fakeapi_log_n(w.api, NULL, "/namespaces/default/"), 0);
    world_close(&w);
}

TEST(reactor, a_bad_definition_is_told_and_the_good_one_is_served)
{
    static const char bad[] = "apiVersion: kro.run/v1alpha1\n"
                              "kind: ResourceGraphDefinition\n"
                              "metadata: {name: bad}\n"
                              "spec:\n"
                              "  schema: {apiVersion: v1alpha1, kind: Bad, spec: {v: string}}\n"
                              "  resources:\n"
                              "    - {id: one, template: {apiVersion: v1, kind: ConfigMap, "
                              "metadata: {name: '${two.metadata.name}'}}}\n"
                              "    - {id: two, template: {apiVersion: v1, kind: ConfigMap, "
                              "metadata: {name: '${one.metadata.name}'}}}\n";
    struct world w;

    open_defined(&w, NULL);
    world_apply(&w, bad);
    world_rest(&w);
    EXPECT_TEXT(world_text(&w, DEFINITIONS "bad", "status.state"), "Inactive");
    expect_part(message(&w, DEFINITIONS "bad", "GraphAccepted"), "cycle");
    world_mark(&w);
    world_apply_file(&w, "examples/webapp/instance.yaml");
    world_rest(&w);
    assert_int_equal(world_writes_n(&w, NULL), K + 2);
    expect_state(&w, shop, "ACTIVE");
    world_mark(&w);
    world_crash(&w, false);
    world_start(&w);
    world_rest(&w);
    expect_cost(&w, "", 0);
    world_close(&w);
}

static const char gizmo_crd[] = "apiVersion: apiextensions.k8s.io/v1\n"
                                "kind: CustomResourceDefinition\n"
                                "metadata: {name: gizmos.late.example.com}\n"
                                "spec:\n"
                                "  group: late.example.com\n"
                                "  scope: Namespaced\n"
                                "  names: {kind: Gizmo, plural: gizmos, singular: gizmo}\n"
                                "  versions:\n"
                                "    - name: v1\n"
                                "      served: true\n"
                                "      storage: true\n"
                                "      schema: {openAPIV3Schema: {type: object, properties: {spec: "
                                "{type: object, properties: {size: {type: integer}}}}}}\n";

static const char gizmo_rgd[] =
    "apiVersion: kro.run/v1alpha1\n"
    "kind: ResourceGraphDefinition\n"
    "metadata: {name: waits}\n"
    "spec:\n"
    "  schema: {apiVersion: v1alpha1, kind: Waits, spec: {size: integer | default=1}}\n"
    "  resources:\n"
    "    - {id: gizmo, template: {apiVersion: late.example.com/v1, kind: Gizmo, metadata: {name: "
    "'${schema.metadata.name}'}, spec: {size: '${schema.spec.size}'}}}\n";

TEST(reactor, a_definition_waits_for_a_kind_that_comes_late)
{
    struct world w;

    open_defined(&w, &(struct world_opts){.api = {.crd_delay_ms = 300}});
    world_apply(&w, gizmo_rgd);
    world_rest(&w);
    EXPECT_TEXT(world_text(&w, DEFINITIONS "waits", "status.state"), "Inactive");
    expect_part(message(&w, DEFINITIONS "waits", "GraphAccepted"), "late.example.com/v1");
    world_apply(&w, gizmo_crd);
    world_rest(&w);
    EXPECT_TEXT(world_text(&w, DEFINITIONS "waits", "status.state"), "Active");
    world_apply(
        &w, "{apiVersion: kro.run/v1alpha1, kind: Waits, metadata: {name: w}, spec: {size: 3}}");
    world_rest(&w);
    EXPECT_TEXT(
        world_text(&w, "/apis/late.example.com/v1/namespaces/default/gizmos/w", "spec.size"), "3");
    world_close(&w);
}

TEST(reactor, a_deleted_definition_leaves_nothing_of_its_own)
{
    struct world w;

    open_defined(&w, &(struct world_opts){.crd_deletion = true});
    world_delete(&w, DEFINITIONS "webapp");
    world_rest(&w);
    assert_int_equal(world_get(&w, DEFINITIONS "webapp").kind, KR_NONE);
    /* The garbage collector's part. */
    world_delete(&w, "/apis/internal.kro.run/v1alpha1/graphrevisions/webapp-r00001");
    world_rest(&w);
    assert_int_equal(fakeapi_objects_n(w.api, "graphrevisions", "internal.kro.run"), 0);
    assert_int_equal(stats(&w).definitions, 0);
    world_apply_file(&w, "examples/webapp/rgd.yaml");
    world_rest(&w);
    world_apply_file(&w, "examples/webapp/instance.yaml");
    world_rest(&w);
    expect_state(&w, shop, "ACTIVE");
    world_close(&w);
}

static const char leaf_rgd[] =
    "apiVersion: kro.run/v1alpha1\n"
    "kind: ResourceGraphDefinition\n"
    "metadata: {name: leaves}\n"
    "spec:\n"
    "  schema: {apiVersion: v1alpha1, kind: Leaf, spec: {v: string}}\n"
    "  resources:\n"
    "    - {id: it, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "
    "'${schema.metadata.name}'}, data: {v: '${schema.spec.v}'}}}\n";
static const char leaf[] =
    "{apiVersion: kro.run/v1alpha1, kind: Leaf, metadata: {name: leaf}, spec: {v: one}}";
static const char leaf_path[] = KRO "leaves/leaf";

/* An instance is ACTIVE, and its RGD gone; so is, as the garbage collector would have it, the revision. */
static void open_orphan(struct world *w)
{
    open_defined(w, NULL);
    world_apply(w, leaf_rgd);
    world_rest(w);
    world_apply(w, leaf);
    world_rest(w);
    expect_state(w, leaf_path, "ACTIVE");
    world_delete(w, DEFINITIONS "leaves");
    world_rest(w);
    assert_int_equal(world_get(w, DEFINITIONS "leaves").kind, KR_NONE);
    world_delete(w, "/apis/internal.kro.run/v1alpha1/graphrevisions/leaves-r00001");
    world_rest(w);
    assert_int_equal(stats(w).definitions, 1);
    world_mark(w);
}

static void expect_deletion_and_return(struct world *w)
{
    world_patch(w, leaf_path, "{spec: {v: nobody listens}}");
    world_rest(w);
    EXPECT_TEXT(world_writes(w), "");
    world_delete(w, leaf_path);
    world_rest(w);
    assert_int_equal(world_get(w, leaf_path).kind, KR_NONE);
    EXPECT_TEXT(world_children(w), "");
    world_apply(w, leaf_rgd);
    world_apply(w, leaf);
    world_rest(w);
    expect_state(w, leaf_path, "ACTIVE");
}

TEST(reactor, deletions_are_served_after_their_definition_has_gone)
{
    struct world w;

    open_orphan(&w);
    expect_deletion_and_return(&w);
    world_close(&w);
}

TEST(reactor, deletions_are_served_by_a_process_that_never_saw_their_definition)
{
    struct world w;

    open_orphan(&w);
    world_crash(&w, true);
    world_start(&w);
    world_rest(&w);
    EXPECT_TEXT(world_writes(&w), "");
    expect_deletion_and_return(&w);
    world_close(&w);
}

/* An instance whose definition lacks a kind since, and a process that never had it. */
static void open_lacking(struct world *w)
{
    open_defined(w, NULL);
    world_apply(w, gizmo_crd);
    world_apply(w, gizmo_rgd);
    world_rest(w);
    world_apply(
        w, "{apiVersion: kro.run/v1alpha1, kind: Waits, metadata: {name: w}, spec: {size: 3}}");
    world_rest(w);
    expect_state(w, KRO "waits/w", "ACTIVE");
    world_delete(w, CRDS "gizmos.late.example.com");
    world_rest(w); /* nothing asks for it again */
    expect_part(message(w, KRO "waits/w", "ResourcesReady"),
                "no matches for kind \"Gizmo\" in version \"late.example.com/v1\"");
    world_crash(w, true);
    world_start(w);
    world_rest(w);
    EXPECT_TEXT(world_text(w, DEFINITIONS "waits", "status.state"), "Inactive");
}

/* The CRD of a child's type goes, and comes back: its return is an event. */
TEST(reactor, a_child_crd_that_returns_wakes_those_who_wait_for_it)
{
    struct world w;
    uint64_t evaluations;

    open_shop(&w, NULL);
    world_apply(&w, gizmo_crd);
    world_apply(&w, gizmo_rgd);
    world_rest(&w);
    world_apply(
        &w, "{apiVersion: kro.run/v1alpha1, kind: Waits, metadata: {name: w}, spec: {size: 3}}");
    world_rest(&w);
    world_mark(&w);
    world_delete(&w, CRDS "gizmos.late.example.com");
    world_rest(&w);
    expect_part(message(&w, KRO "waits/w", "ResourcesReady"),
                "no matches for kind \"Gizmo\" in version \"late.example.com/v1\"");
    world_mark(&w);
    world_advance(&w, 3600 * 1000);
    assert_int_equal(fakeapi_log_n(w.api, "GET", "/gizmos"), 0); /* nothing asks for it meanwhile */
    EXPECT_TEXT(world_writes(&w), "");
    world_mark(&w);
    evaluations = world_evaluations(&w);
    world_apply(&w, gizmo_crd);
    world_advance(&w, 2000);
    expect_state(&w, KRO "waits/w", "ACTIVE");
    EXPECT_TEXT(world_writes(&w), "PATCH gizmos/w kro.run/applyset\n"
                                  "PUT waits/w/status -\n");
    assert_int_equal(world_evaluations(&w) - evaluations, 1);
    world_rest(&w);
    world_close(&w);
}

TEST(reactor, a_deletion_does_not_wait_for_a_crd_that_is_gone)
{
    struct world w;

    open_defined(&w, NULL);
    world_apply(&w, gizmo_crd);
    world_apply(&w, gizmo_rgd);
    world_rest(&w);
    world_apply(
        &w, "{apiVersion: kro.run/v1alpha1, kind: Waits, metadata: {name: w}, spec: {size: 3}}");
    world_rest(&w);
    world_delete(&w, CRDS "gizmos.late.example.com");
    world_rest(&w);
    world_delete(&w, KRO "waits/w");
    world_rest(&w);
    assert_int_equal(world_get(&w, KRO "waits/w").kind, KR_NONE);
    world_close(&w);
}

TEST(reactor, deletions_are_served_where_the_definition_does_not_compile_any_more)
{
    struct world w;

    open_lacking(&w);
    world_delete(&w, KRO "waits/w");
    world_rest(&w);
    assert_int_equal(world_get(&w, KRO "waits/w").kind, KR_NONE);
    world_close(&w);
}

TEST(reactor, a_crd_that_somebody_deletes_is_made_again)
{
    struct world w;

    open_defined(&w, NULL);
    world_delete(&w, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/webapps.kro.run");
    world_rest(&w);
    assert_int_equal(world_writes_n(&w, "POST"), 1);
    EXPECT_TEXT(world_text(&w, DEFINITIONS "webapp", "status.state"), "Active");
    world_apply_file(&w, "examples/webapp/instance.yaml");
    world_rest(&w);
    expect_state(&w, shop, "ACTIVE");
    world_close(&w);
}

/* The server goes by the new schema only a moment after it has taken it, and reads what it has stored with
 * the new defaults then, without an event. */
TEST(reactor, instances_are_listed_once_the_server_goes_by_the_new_schema)
{
    struct world w;

    open_defined(&w, &(struct world_opts){.api = {.no_streaming_list = true}});
    world_patch(&w, DEFINITIONS "webapp",
                "{spec: {schema: {spec: {note: 'string | default=\"new\"'}}}}");
    world_rest(&w);
    world_advance(&w, 1000);
    fakeapi_log_reset(w.api);
    fakeapi_break_watches(w.api, 0);
    world_rest(&w);
    assert_int_equal(fakeapi_log_n(w.api, "GET", "/webapps "), 1);
    assert_int_equal(fakeapi_log_n(w.api, "GET", "/configmaps "), 0);
    world_close(&w);
}

/* --- owners ----------------------------------------------------------------------------------- */

static const char claim_rgd[] =
    "apiVersion: kro.run/v1alpha1\n"
    "kind: ResourceGraphDefinition\n"
    "metadata: {name: claims}\n"
    "spec:\n"
    "  schema: {apiVersion: v1alpha1, kind: Claim, spec: {target: string}}\n"
    "  resources:\n"
    "    - {id: it, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "
    "'${schema.spec.target}'}, data: {by: '${schema.metadata.name}'}}}\n";

TEST(reactor, of_two_instances_that_claim_a_child_one_gets_it)
{
    static const char one[] =
        "{apiVersion: kro.run/v1alpha1, kind: Claim, metadata: {name: one}, spec: {target: x}}";
    static const char two[] =
        "{apiVersion: kro.run/v1alpha1, kind: Claim, metadata: {name: two}, spec: {target: x}}";

    for (int together = 0; together < 2; together++) {
        struct world w;
        const char *winner, *loser, *by;

        world_open(&w, &(struct world_opts){.api = {.latency_ms = 20}});
        world_start(&w);
        world_apply(&w, claim_rgd);
        world_rest(&w);
        world_mark(&w);
        world_apply(&w, one);
        if (!together)
            world_rest(&w);
        world_apply(&w, two);
        world_advance(&w, 200 * 1000);
        by = world_text(&w, CORE "configmaps/x", "data.by");
        winner = print(&w, KRO "claims/%s", by);
        loser = print(&w, KRO "claims/%s", strcmp(by, "one") == 0 ? "two" : "one");
        if (!together)
            EXPECT_TEXT(by, "one");
        expect_state(&w, winner, "ACTIVE");
        expect_state(&w, loser, "ERROR");
        expect_part(message(&w, loser, "ResourcesReady"), "belongs to a different ApplySet");
        assert_int_equal(fakeapi_log_n(w.api, "PATCH", "/configmaps/x "), 1);
        /* The loser goes and takes nothing with it. */
        world_delete(&w, loser);
        world_rest(&w);
        assert_int_equal(world_get(&w, loser).kind, KR_NONE);
        EXPECT_TEXT(world_text(&w, CORE "configmaps/x", "data.by"), by);
        world_close(&w);
    }
}

TEST(reactor, a_claim_is_taken_over_when_the_owner_goes)
{
    struct world w;

    world_open(&w, NULL);
    world_start(&w);
    world_apply(&w, claim_rgd);
    world_rest(&w);
    world_apply(
        &w,
        "{apiVersion: kro.run/v1alpha1, kind: Claim, metadata: {name: one}, spec: {target: x}}");
    world_rest(&w);
    world_apply(
        &w,
        "{apiVersion: kro.run/v1alpha1, kind: Claim, metadata: {name: two}, spec: {target: x}}");
    world_advance(&w, 1000);
    expect_state(&w, KRO "claims/two", "ERROR");
    world_delete(&w, KRO "claims/one");
    world_rest(&w);
    EXPECT_TEXT(world_text(&w, CORE "configmaps/x", "data.by"), "two");
    expect_state(&w, KRO "claims/two", "ACTIVE");
    world_close(&w);
}

/* --- modes ------------------------------------------------------------------------------------ */

static const char elsewhere[] = "{apiVersion: v1, kind: Namespace, metadata: {name: other}}\n---\n"
                                "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings, "
                                "namespace: other}, data: {COLOUR: red}}\n---\n";
static const char far_shop[] = "{apiVersion: kro.run/v1alpha1, kind: WebApp, metadata: {name: "
                               "shop, namespace: other}, spec: {greeting: hi}}";

/* Every line that concerns namespaced objects is in the namespace. */
static void expect_only_default(struct world *w)
{
    static const char *const all[] = {"/api/v1/configmaps", "/api/v1/services",
                                      "/apis/apps/v1/deployments", "/apis/kro.run/v1alpha1/webapps",
                                      "/namespaces/other/"};

    for (size_t i = 0; i < KR_N(all); i++)
        if (kr_str_find(kr_str_c(fakeapi_log(w->api)), kr_str_c(all[i])) >= 0)
            fail_msg("%s was asked for:\n%s", all[i], fakeapi_log(w->api));
}

TEST(reactor, one_namespace_is_all_it_sees)
{
    struct world w;

    open_shop(&w, &(struct world_opts){.namespace = "default"});
    world_apply(&w, elsewhere);
    world_apply(&w, far_shop);
    world_rest(&w);
    expect_nothing(&w);
    world_patch(&w, settings, "{data: {COLOUR: green}}");
    world_rest(&w);
    expect_cost(&w, "PATCH deployments/shop kro.run/applyset\n", 1);
    world_crash(&w, false);
    world_start(&w);
    world_rest(&w);
    expect_only_default(&w);
    expect_cost(&w, "", 0);
    world_close(&w);
}

static void open_sidecar(struct world *w, struct world_opts *opts, const char *rgd)
{
    opts->sidecar = true;
    opts->namespace = "default";
    opts->rgds[0] = rgd;
    world_open(w, opts);
    world_apply_file(w, "deploy/kustomize/sidecar/crd.yaml");
    world_apply(w, elsewhere);
    world_rest(w);
    world_apply_file(w, "examples/webapp/settings.yaml");
    world_mark(w);
    world_start(w);
    world_rest(w);
}

TEST(reactor, sidecar)
{
    static const char *const never[] = {"resourcegraphdefinitions", "graphrevisions",
                                        "customresourcedefinitions"};
    struct world w;
    struct world_opts opts = {0};
    struct kr_arena a = {0};
    kr_str rgd;

    assert_true(test_file(&a, KROC_SOURCE "/examples/webapp/rgd.yaml", &rgd));
    open_sidecar(&w, &opts, rgd.s);
    EXPECT_TEXT(world_writes(&w), "");
    world_apply_file(&w, "examples/webapp/instance.yaml");
    world_apply(&w, far_shop);
    world_rest(&w);
    assert_int_equal(world_writes_n(&w, NULL), K + 2);
    expect_state(&w, shop, "ACTIVE");
    expect_only_default(&w);
    for (size_t i = 0; i < KR_N(never); i++)
        assert_true(kr_str_find(kr_str_c(fakeapi_log(w.api)), kr_str_c(never[i])) < 0);
    world_mark(&w);
    world_crash(&w, false);
    world_start(&w);
    world_rest(&w);
    expect_cost(&w, "", 0);
    world_patch(&w, settings, "{data: {COLOUR: green}}");
    world_rest(&w);
    expect_cost(&w, "PATCH deployments/shop kro.run/applyset\n", 1);
    world_delete(&w, shop);
    world_rest(&w);
    assert_int_equal(world_writes_n(&w, NULL), K + 1);
    assert_int_equal(world_statuses_n(&w), 1);
    world_close(&w);
    kr_arena_fini(&a);
}

/* The order in which a CRD and a Pod come is nobody's choice. */
TEST(reactor, sidecar_before_its_crd)
{
    struct world w;
    struct world_opts opts = {.sidecar = true, .namespace = "default"};
    struct kr_arena a = {0};
    kr_str rgd;

    assert_true(test_file(&a, KROC_SOURCE "/examples/webapp/rgd.yaml", &rgd));
    opts.rgds[0] = rgd.s;
    world_open(&w, &opts);
    world_apply_file(&w, "examples/webapp/settings.yaml");
    world_start(&w);
    world_advance(&w, 10 * 60 * 1000);
    world_apply_file(&w, "deploy/kustomize/sidecar/crd.yaml");
    world_advance(&w, 31 * 1000);
    world_apply_file(&w, "examples/webapp/instance.yaml");
    world_rest(&w); /* nothing is polled any more */
    expect_state(&w, shop, "ACTIVE");
    world_close(&w);
    kr_arena_fini(&a);
}

/* --- the end ---------------------------------------------------------------------------------- */

/* Stopped at every moment of a creation; the next one ends it and makes nothing twice. */
TEST(reactor, stop_with_work_in_flight_loses_nothing)
{
    for (uint32_t ms = 0; ms < 300; ms += 25) {
        struct world w;

        open_defined(&w, &(struct world_opts){.api = {.latency_ms = 30}});
        world_apply_file(&w, "examples/webapp/instance.yaml");
        world_advance(&w, ms);
        world_stop(&w);
        world_start(&w);
        world_rest(&w);
        expect_state(&w, shop, "ACTIVE");
        /* A stop waits for its answers: no write is repeated. */
        assert_int_equal(world_writes_n(&w, NULL), K + 2);
        assert_int_equal(world_fate(&w, "deployments", "default/shop").changed, 0);
        world_close(&w);
    }
}

TEST(reactor, stop_during_the_start)
{
    for (uint32_t ms = 0; ms < 600; ms += 50) {
        struct world w;

        world_open(&w, &(struct world_opts){.api = {.latency_ms = 30, .crd_delay_ms = 50}});
        world_apply_file(&w, "examples/webapp/rgd.yaml");
        world_apply_file(&w, "examples/webapp/settings.yaml");
        world_start(&w);
        world_advance(&w, ms);
        world_stop(&w);
        world_start(&w);
        world_apply_file(&w, "examples/webapp/rgd.yaml");
        world_rest(&w);
        assert_int_equal(fakeapi_objects_n(w.api, "graphrevisions", "internal.kro.run"), 1);
        EXPECT_TEXT(world_text(&w, DEFINITIONS "webapp", "status.state"), "Active");
        world_close(&w);
    }
}

/* A server that never answers holds a stop until the time-out of a request, or of the stop. */
TEST(reactor, stop_does_not_wait_for_ever)
{
    for (int i = 0; i < 2; i++) {
        struct world w;
        uint64_t before, limit = i ? 5000 : KUBE_REQUEST_TIMEOUT_MS;

        open_defined(&w, &(struct world_opts){.stop_ms = i ? limit : 0});
        fault_add(w.fault, &(struct fault_rule){.kind = FAULT_HANG, .method = "PATCH"});
        world_apply_file(&w, "examples/webapp/instance.yaml");
        world_settle(&w);
        before = w.clock.now_ms;
        world_stop(&w);
        assert_in_range(w.clock.now_ms - before, limit, limit + 100);
        fault_clear(w.fault);
        world_start(&w);
        world_rest(&w);
        expect_state(&w, shop, "ACTIVE");
        world_close(&w);
    }
}

TEST(reactor, equal_input_gives_an_equal_trace)
{
    struct kr_arena a = {0};
    const char *first = NULL;

    for (int i = 0; i < 2; i++) {
        struct world w;

        world_open(&w, &(struct world_opts){.traced = true});
        world_start(&w);
        world_apply_file(&w, "examples/webapp/rgd.yaml");
        world_apply_file(&w, "examples/webapp/settings.yaml");
        world_rest(&w);
        world_apply_file(&w, "examples/webapp/instance.yaml");
        world_rest(&w);
        world_delete(&w, shop);
        world_rest(&w);
        if (first)
            EXPECT_TEXT(world_trace(&w), first);
        else
            first = kr_cstr(&a, kr_str_c(world_trace(&w)));
        assert_true(strlen(first) > 100);
        world_close(&w);
    }
    kr_arena_fini(&a);
}

int main(int argc, char **argv)
{
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return RUN(
        T(reactor, creation_of_the_example_costs_k_plus_2_writes_and_at_most_2_of_status),
        T(reactor, creation_costs_the_same_when_answers_take_their_time),
        T(reactor, a_slow_server_costs_one_status_for_a_creation_and_for_an_edit),
        T(reactor, a_wait_for_our_own_write_is_told_when_it_is_long),
        T(reactor, old_servers_cost_the_same), T(reactor, edit_of_the_configmap_is_one_patch),
        T(reactor, many_edits_at_one_moment_are_one_patch),
        T(reactor, what_nobody_reads_costs_nothing), T(reactor, drift_is_restored_by_one_patch),
        T(reactor, a_deletion_whose_waves_are_answered_late_costs_one_status),
        T(reactor, deleted_child_is_made_again_by_one_patch),
        T(reactor, edit_of_the_spec_touches_only_its_readers), T(reactor, restart_writes_nothing),
        T(reactor, what_changed_while_it_was_down_is_put_right),
        T(reactor, deletion_while_it_was_down_is_done_after),
        T(reactor, deletion_costs_k_plus_1_writes_and_1_of_status_in_reverse_order),
        T(reactor, the_same_instance_made_again_is_a_new_one),
        T(reactor, deletion_waits_for_a_child_that_is_held),
        T(reactor, deletion_while_creation_is_in_flight_leaves_nothing),
        T(reactor, a_chain_is_made_one_by_one_and_costs_the_same),
        T(reactor, a_long_chain_with_slow_answers_tells_what_it_waits_for),
        T(reactor, include_when_toggled_makes_and_prunes),
        T(reactor, an_external_object_that_comes_late_is_waited_for),
        T(reactor, many_external_objects_share_a_watch),
        T(reactor, the_name_of_an_external_object_may_change),
        T(reactor, nodes_that_change_places_keep_what_they_follow),
        T(reactor, two_definitions_do_not_disturb_each_other),
        T(reactor, a_new_revision_touches_only_what_it_changes),
        T(reactor, a_broken_update_of_a_definition_keeps_the_last_good_one),
        T(reactor, a_bad_definition_is_told_and_the_good_one_is_served),
        T(reactor, a_definition_waits_for_a_kind_that_comes_late),
        T(reactor, a_deleted_definition_leaves_nothing_of_its_own),
        T(reactor, deletions_are_served_after_their_definition_has_gone),
        T(reactor, deletions_are_served_by_a_process_that_never_saw_their_definition),
        T(reactor, a_child_crd_that_returns_wakes_those_who_wait_for_it),
        T(reactor, a_deletion_does_not_wait_for_a_crd_that_is_gone),
        T(reactor, deletions_are_served_where_the_definition_does_not_compile_any_more),
        T(reactor, a_crd_that_somebody_deletes_is_made_again),
        T(reactor, instances_are_listed_once_the_server_goes_by_the_new_schema),
        T(reactor, of_two_instances_that_claim_a_child_one_gets_it),
        T(reactor, a_claim_is_taken_over_when_the_owner_goes),
        T(reactor, one_namespace_is_all_it_sees), T(reactor, sidecar),
        T(reactor, sidecar_before_its_crd), T(reactor, stop_with_work_in_flight_loses_nothing),
        T(reactor, stop_during_the_start), T(reactor, stop_does_not_wait_for_ever),
        T(reactor, equal_input_gives_an_equal_trace));
}
