/* SPDX-License-Identifier: Apache-2.0 */
/* The manners of the process on a cluster in memory: what it counts and tells (metrics, Events), and
 * how it takes what a server does in odd moments. */
#include "reactor/metrics.h"

#include <stdio.h>

#include "tests/lib/world.h"

#define CORE "/api/v1/namespaces/default/"
#define KRO "/apis/kro.run/v1alpha1/namespaces/default/"

static const char shop[] = KRO "webapps/shop", settings[] = CORE "configmaps/settings";

static void define(struct world *w, const struct world_opts *opts)
{
    world_open(w, opts);
    world_start(w);
    world_apply_file(w, "examples/webapp/rgd.yaml");
    world_apply_file(w, "examples/webapp/settings.yaml");
    world_rest(w);
}

static void open_shop(struct world *w, const struct world_opts *opts)
{
    define(w, opts);
    world_apply_file(w, "examples/webapp/instance.yaml");
    world_rest(w);
    EXPECT_TEXT(world_text(w, shop, "status.state"), "ACTIVE");
    world_mark(w);
}

/* --- metrics ---------------------------------------------------------------------------------- */

/* The value of the sample whose line begins with name; -1: there is none. */
static double value(struct reactor_metrics *m, const char *name)
{
    KR_AUTO(kr_buf) text = KR_BUF(REACTOR_METRICS_TEXT_MAX);
    kr_str rest;

    reactor_metrics_text(m, &text);
    rest = kr_buf_view(&text);
    while (rest.n > 0) {
        kr_str line = kr_str_cut(&rest, '\n');
        size_t n = strlen(name);

        if (kr_str_starts(line, kr_str_c(name)) && line.n > n && line.s[n] == ' ')
            return strtod(line.s + n + 1, NULL);
    }
    return -1;
}

#define A "gvr=\"kro.run/v1alpha1/webapps\""
#define B "gvr=\"kro.run/v1alpha1, Resource=webapps\""
#define IS(name, v) assert_true(value(m, name) == (v))

TEST(manners, kros_series_are_counted)
{
    struct world w;
    struct reactor_metrics *m = reactor_metrics_new();

    open_shop(&w, &(struct world_opts){.metrics = m});
    world_patch(&w, settings, "{data: {COLOUR: red}}");
    world_rest(&w);
    assert_true(value(m, "instance_reconcile_total{" B "}") >= 3);
    assert_true(value(m, "instance_reconcile_total{" B "}") ==
                value(m, "dynamic_controller_reconcile_total{" A "}"));
    assert_true(value(m, "instance_reconcile_duration_seconds_count{" B "}") ==
                value(m, "instance_reconcile_total{" B "}"));
    IS("instance_reconcile_errors_total{" B "}", 0);
    IS("dynamic_controller_handler_count_total{type=\"parent\"}", 1);
    IS("dynamic_controller_handler_attach_total{type=\"parent\"}", 1);
    IS("dynamic_controller_informer_events_total{" B ",event_type=\"add\"}", 1);
    IS("dynamic_controller_informer_sync_duration_seconds_count{" B "}", 1);
    IS("dynamic_controller_instance_watch_count{parent_" B "}", 1);
    IS("dynamic_controller_watch_request_count{gvr=\"apps/v1, "
       "Resource=deployments\",type=\"scalar\"}",
       1);
    IS("dynamic_controller_watch_request_count{gvr=\"/v1, Resource=configmaps\",type=\"scalar\"}",
       2);
    assert_true(
        value(m, "dynamic_controller_route_match_total{gvr=\"/v1, Resource=configmaps\"}") >= 1);
    IS("instance_state_transitions_total{gvr=\"kro.run/v1alpha1, "
       "Kind=WebApp\",from_state=\"IN_PROGRESS\","
       "to_state=\"ACTIVE\"}",
       1);
    assert_true(value(m, "cel_expr_eval_total") >= value(m, "runtime_node_eval_total"));
    assert_true(value(m, "runtime_node_not_ready_total") >= 1);
    IS("runtime_node_eval_errors_total", 0);
    IS("runtime_creation_total", 1);
    IS("rgd_graph_build_total{name=\"webapp\"}",
       value(m, "graph_revision_compile_total{result=\"success\"}"));
    IS("rgd_graph_build_errors_total{name=\"webapp\"}", 0);
    IS("rgd_graph_revision_issue_total{reason=\"no_revision\"}", 1);
    IS("graph_revision_registry_entries{state=\"Active\"}", 1);
    assert_true(value(m, "rest_client_request_duration_seconds_count{verb=\"PATCH\"}") >= 6);
    assert_true(value(m, "rest_client_request_size_bytes_sum{verb=\"PATCH\"}") > 100);
    assert_true(value(m, "rest_client_response_size_bytes_sum{verb=\"GET\"}") > 100);
    assert_true(value(m, "workqueue_adds_total{name=\"dynamic-controller-queue\"}") >= 3);
    IS("workqueue_depth{name=\"dynamic-controller-queue\"}", 0);
    assert_true(value(m, "kroc_why_bytes") > 0);
    world_close(&w);
    reactor_metrics_free(m);
}

TEST(manners, errors_deletions_and_repeats_are_counted)
{
    struct world w;
    struct reactor_metrics *m = reactor_metrics_new();

    define(&w, &(struct world_opts){.metrics = m});
    fault_add(w.fault, &(struct fault_rule){.kind = FAULT_STATUS,
                                            .method = "PATCH",
                                            .part = "/services/",
                                            .status = 403,
                                            .times = 1});
    fault_add(w.fault, &(struct fault_rule){.kind = FAULT_STATUS,
                                            .method = "PATCH",
                                            .part = "/deployments/",
                                            .status = 429,
                                            .retry_after_s = 1,
                                            .times = 1});
    world_apply_file(&w, "examples/webapp/instance.yaml");
    world_rest(&w);
    assert_true(value(m, "instance_reconcile_errors_total{" B "}") >= 1);
    IS("rest_client_request_retries_total{code=\"429\",method=\"PATCH\"}", 1);
    world_delete(&w, shop);
    world_rest(&w);
    world_delete(&w, "/apis/kro.run/v1alpha1/resourcegraphdefinitions/webapp");
    world_rest(&w);
    IS("rgd_deletions_total{name=\"webapp\"}", 1);
    IS("rgd_deletion_duration_seconds_count{name=\"webapp\"}", 1);
    IS("dynamic_controller_handler_detach_total{type=\"parent\"}", 1);
    IS("dynamic_controller_informer_events_total{" B ",event_type=\"delete\"}", 1);
    world_close(&w);
    reactor_metrics_free(m);
}

#define CONDITION                                                                                  \
    "instance_condition_current_status_seconds{" B ",namespace=\"default\",name=\"shop\","         \
    "condition_type=\"Ready\",condition_status=\"True\",reason=\"Ready\"}"

TEST(manners, ages_of_conditions_are_shown_with_their_gate_only)
{
    struct world w;
    struct reactor_metrics *m = reactor_metrics_new();
    double age;

    open_shop(&w, &(struct world_opts){.metrics = m});
    IS(CONDITION, -1);
    w.opts.condition_metrics = true;
    world_crash(&w, false);
    world_start(&w);
    world_rest(&w);
    age = value(m, CONDITION);
    assert_true(age >= 0);
    world_advance(&w, 5000);
    assert_true(value(m, CONDITION) == age + 5);
    world_delete(&w, shop);
    world_rest(&w);
    IS(CONDITION, -1);
    world_close(&w);
    reactor_metrics_free(m);
}

/* --- events ----------------------------------------------------------------------------------- */

/* Events as "on KIND NAME TYPE REASON: MESSAGE (COMPONENT)" lines, oldest first; lives in w->a. */
static const char *events(struct world *w)
{
    KR_AUTO(kr_buf) b = KR_BUF(1024 * 1024);
    kr_val list = fakeapi_get(w->api, &w->a, "/api/v1/namespaces/default/events");

    KR_LIST_EACH (e, kr_get(list, KR_S("items")))
        kr_buf_fmt(&b, "on " KR_FMT " " KR_FMT " " KR_FMT " " KR_FMT ": " KR_FMT " (" KR_FMT ")\n",
                   KR_ARG(kr_at_str(*e, "involvedObject.kind")),
                   KR_ARG(kr_at_str(*e, "involvedObject.name")), KR_ARG(kr_at_str(*e, "type")),
                   KR_ARG(kr_at_str(*e, "reason")), KR_ARG(kr_at_str(*e, "message")),
                   KR_ARG(kr_at_str(*e, "source.component")));
    return kr_strdup(&w->a, b.n ? kr_buf_view(&b) : KR_S("")).s;
}

static void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

TEST(manners, there_are_no_events_without_the_gate)
{
    struct world w;

    open_shop(&w, NULL);
    EXPECT_TEXT(events(&w), "");
    world_close(&w);
}

TEST(manners, a_condition_that_changes_is_an_event_in_kros_form)
{
    struct world w;

    open_shop(&w, &(struct world_opts){.events = true});
    has(events(&w),
        "on WebApp shop Normal Ready: none -> True: Ready (kro/webapps.kro.run-controller)\n");
    has(events(&w), "on WebApp shop Normal InstanceManaged: none -> True: Managed "
                    "(kro/webapps.kro.run-controller)\n");
    world_delete(&w, settings);
    world_rest(&w);
    has(events(&w), "on WebApp shop Warning Ready: True -> ");
    world_close(&w);
}

TEST(manners, a_source_that_many_follow_is_one_event_a_second)
{
    struct world w;
    uint32_t before;

    open_shop(&w, &(struct world_opts){.events = true});
    for (int i = 0; i < 9; i++) {
        KR_AUTO(kr_buf) yaml = KR_BUF(4096);

        kr_buf_fmt(&yaml,
                   "{apiVersion: kro.run/v1alpha1, kind: WebApp, metadata: {name: shop%d, "
                   "namespace: default}, spec: "
                   "{greeting: hi}}",
                   i);
        world_apply(&w, yaml.s);
    }
    world_rest(&w);
    before = fakeapi_objects_n(w.api, "events", "");
    world_patch(&w, settings, "{data: {COLOUR: red}}");
    world_rest(&w);
    assert_int_equal(fakeapi_objects_n(w.api, "events", ""), before + 1);
    has(events(&w),
        "on ConfigMap settings Normal ChangeFollowed: webapp: 10 instances read what has changed "
        "(kro/webapps.kro.run-controller)\n");
    for (int i = 0; i < 20; i++) { /* 2 s of edits */
        KR_AUTO(kr_buf) patch = KR_BUF(128);

        kr_buf_fmt(&patch, "{data: {COLOUR: c%d}}", i);
        world_patch(&w, settings, patch.s);
        world_advance(&w, 100);
    }
    world_rest(&w);
    assert_in_range(fakeapi_objects_n(w.api, "events", ""), before + 2, before + 5);
    for (const char *at = events(&w); (at = strstr(at, "ChangeFollowed: webapp: ")) != NULL; at++)
        assert_non_null(strstr(at, "ChangeFollowed: webapp: 10 instances ") == at ? at : NULL);
    world_close(&w);
}

TEST(manners, events_that_are_refused_hold_nothing_up)
{
    struct world w;
    struct reactor_metrics *m = reactor_metrics_new();

    world_open(&w, &(struct world_opts){.events = true, .metrics = m});
    fault_add(w.fault,
              &(struct fault_rule){
                  .kind = FAULT_STATUS, .method = "POST", .part = "/events", .status = 403});
    world_start(&w);
    world_apply_file(&w, "examples/webapp/rgd.yaml");
    world_apply_file(&w, "examples/webapp/settings.yaml");
    world_rest(&w);
    world_apply_file(&w, "examples/webapp/instance.yaml");
    world_rest(&w);
    EXPECT_TEXT(world_text(&w, shop, "status.state"), "ACTIVE");
    assert_true(value(m, "kroc_events_total{result=\"failed\"}") >= 4);
    world_stop(&w);
    world_close(&w);
    reactor_metrics_free(m);
}

/* --- odd moments ------------------------------------------------------------------------------ */

TEST(manners, storage_that_initializes_is_asked_again)
{
    static const char *const parts[] = {"/webapps", "/deployments", "/resourcegraphdefinitions"};

    for (size_t i = 0; i < KR_N(parts); i++) {
        for (int after_s = 0; after_s < 2; after_s++) {
            struct world w;

            world_open(&w, NULL);
            fault_add(w.fault, &(struct fault_rule){.kind = FAULT_STATUS,
                                                    .part = parts[i],
                                                    .status = 429,
                                                    .retry_after_s = after_s,
                                                    .message = "storage is (re)initializing",
                                                    .times = 5});
            world_start(&w);
            world_apply_file(&w, "examples/webapp/rgd.yaml");
            world_apply_file(&w, "examples/webapp/settings.yaml");
            world_rest(&w);
            world_apply_file(&w, "examples/webapp/instance.yaml");
            world_rest(&w);
            EXPECT_TEXT(world_text(&w, shop, "status.state"), "ACTIVE");
            assert_int_equal(fault_hits_n(w.fault), 5);
            world_close(&w);
        }
    }
}

TEST(manners, a_finalizer_whose_namespace_is_gone_ends_the_deletion)
{
    struct world w;
    struct reactor_stats stats;

    open_shop(&w, NULL);
    fault_add(w.fault, &(struct fault_rule){.kind = FAULT_STATUS,
                                            .method = "PATCH",
                                            .part = "/webapps/shop",
                                            .status = 404,
                                            .message = "namespaces \"default\" not found"});
    world_delete(&w, shop);
    world_rest(&w);
    assert_int_equal(fault_hits_n(w.fault), 1);
    reactor_stats(w.reactor, &stats);
    assert_int_equal(stats.instances, 0);
    fault_clear(w.fault);
    world_patch(&w, shop, "{metadata: {finalizers: []}}"); /* as the namespace's end would */
    world_rest(&w);
    world_close(&w);
}

/* kro lists a node's dependencies in the order of a Go map. */
TEST(manners, the_order_of_dependencies_in_a_status_is_nobodys)
{
    static const char *const paths[] = {
        "/apis/kro.run/v1alpha1/resourcegraphdefinitions/webapp",
        "/apis/internal.kro.run/v1alpha1/graphrevisions/webapp-r00001"};
    struct world w;

    open_shop(&w, NULL);
    world_crash(&w, false);
    for (size_t i = 0; i < KR_N(paths); i++) {
        kr_val list = kr_at(world_get(&w, paths[i]), "status.resources");
        struct kr_listb out = KR_LISTB(&w.a);
        KR_AUTO(kr_buf) patch = KR_BUF(64 * 1024);
        uint32_t swapped = 0;
        kr_str text;

        KR_LIST_EACH (r, list) {
            kr_val d = kr_get(*r, KR_S("dependencies"));
            struct kr_listb reversed = KR_LISTB(&w.a);

            for (uint32_t k = d.n; k > 0; k--)
                kr_listb_add(&reversed, d.list[k - 1]);
            swapped += d.n > 1;
            kr_listb_add(&out, kr_with(&w.a, *r, "dependencies", kr_listb_done(&reversed)));
        }
        assert_true(swapped > 0);
        text = kr_json_str(&w.a, kr_listb_done(&out));
        kr_buf_fmt(&patch, "{\"status\": {\"resources\": " KR_FMT "}}", KR_ARG(text));
        world_patch(&w, kr_cstr(&w.a, kr_fmt(&w.a, "%s/status", paths[i])), patch.s);
    }
    world_mark(&w);
    world_start(&w);
    world_rest(&w);
    EXPECT_TEXT(world_writes(&w), "");
    world_close(&w);
}

int main(void)
{
    return RUN(T(manners, kros_series_are_counted),
               T(manners, errors_deletions_and_repeats_are_counted),
               T(manners, ages_of_conditions_are_shown_with_their_gate_only),
               T(manners, there_are_no_events_without_the_gate),
               T(manners, a_condition_that_changes_is_an_event_in_kros_form),
               T(manners, a_source_that_many_follow_is_one_event_a_second),
               T(manners, events_that_are_refused_hold_nothing_up),
               T(manners, storage_that_initializes_is_asked_again),
               T(manners, a_finalizer_whose_namespace_is_gone_ends_the_deletion),
               T(manners, the_order_of_dependencies_in_a_status_is_nobodys));
}
