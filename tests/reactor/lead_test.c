/* SPDX-License-Identifier: Apache-2.0 */
/* A standby on a cluster in memory: it writes nothing, knows everything, and takes over without a
 * list. The Lease itself is tested in tests/kube/lease_test.c. */
#include "tests/lib/world.h"

#define CORE "/api/v1/namespaces/default/"
#define KRO "/apis/kro.run/v1alpha1/namespaces/default/"

static const char shop[] = KRO "webapps/shop", settings[] = CORE "configmaps/settings";

/* The example is there and at rest, made by a leader that is gone; a standby runs. */
static void open_standby(struct world *w)
{
    world_open(w, NULL);
    world_start(w);
    world_apply_file(w, "examples/webapp/rgd.yaml");
    world_apply_file(w, "examples/webapp/settings.yaml");
    world_rest(w);
    world_apply_file(w, "examples/webapp/instance.yaml");
    world_rest(w);
    world_crash(w, false);
    world_mark(w);
    w->opts.standby = true;
    world_start(w);
    world_rest(w);
    assert_int_equal(world_writes_n(w, NULL) + world_statuses_n(w), 0);
    world_mark(w);
}

static void expect_no_reads(struct world *w)
{
    if (fakeapi_log_n(w->api, "GET", NULL))
        fail_msg("read:\n%s", fakeapi_log(w->api));
}

static void take_over(struct world *w)
{
    world_mark(w);
    reactor_lead(w->reactor, true);
    world_rest(w);
}

TEST(lead, a_standby_writes_nothing_and_takes_over_without_a_request)
{
    struct world w;

    open_standby(&w);
    take_over(&w);
    EXPECT_TEXT(fakeapi_log(w.api), "");
    world_patch(&w, settings, "{data: {COLOUR: red}}");
    world_rest(&w);
    assert_int_equal(world_writes_n(&w, "PATCH"), 1);
    assert_int_equal(fakeapi_log_n(w.api, "GET", NULL), 1); /* is the instance there still? */
    world_mark(&w);
    world_patch(&w, settings, "{data: {COLOUR: green}}");
    world_rest(&w);
    assert_int_equal(world_writes_n(&w, "PATCH"), 1);
    expect_no_reads(&w);
    world_close(&w);
}

TEST(lead, what_changed_while_nobody_led_is_done_after_without_a_list)
{
    struct world w;

    open_standby(&w);
    world_patch(&w, settings, "{data: {COLOUR: red}}");
    world_patch(&w, CORE "services/shop", "{spec: {selector: {app: other}}}");
    world_delete(&w, CORE "configmaps/shop-page");
    world_apply(
        &w,
        "{apiVersion: kro.run/v1alpha1, kind: WebApp, metadata: {name: late, namespace: default}, "
        "spec: {greeting: hi}}");
    world_rest(&w);
    assert_int_equal(world_writes_n(&w, NULL) + world_statuses_n(&w), 0);
    take_over(&w);
    assert_int_equal(fakeapi_log_n(w.api, "GET", "?"), 0); /* no list, no stream */
    assert_in_range(fakeapi_log_n(w.api, "GET", NULL), 1, 6);
    EXPECT_TEXT(world_text(&w, KRO "webapps/late", "status.state"), "ACTIVE");
    EXPECT_TEXT(world_text(&w, shop, "status.state"), "ACTIVE");
    EXPECT_TEXT(world_text(&w, CORE "services/shop", "spec.selector.app"), "shop");
    assert_int_equal(world_fate(&w, "configmaps", "default/shop-page").created, 2);
    /* Deployment, Service and ConfigMap of the one; all of the other. */
    assert_int_equal(world_writes_n(&w, NULL), 3 + 5);
    world_close(&w);
}

TEST(lead, a_definition_that_came_while_it_stood_by_is_served_after)
{
    struct world w;

    world_open(&w, &(struct world_opts){.standby = true});
    world_start(&w);
    world_apply_file(&w, "examples/webapp/rgd.yaml");
    world_apply_file(&w, "examples/webapp/settings.yaml");
    world_rest(&w);
    assert_int_equal(world_writes_n(&w, NULL) + world_statuses_n(&w), 0);
    take_over(&w);
    world_apply_file(&w, "examples/webapp/instance.yaml");
    world_rest(&w);
    EXPECT_TEXT(world_text(&w, shop, "status.state"), "ACTIVE");
    world_close(&w);
}

TEST(lead, who_leads_no_longer_writes_no_longer)
{
    struct world w;

    open_standby(&w);
    take_over(&w);
    fakeapi_opts(w.api)->latency_ms = 1000;
    world_patch(&w, settings, "{data: {COLOUR: red}}");
    world_advance(&w, 1500); /* the PATCH is on its way */
    reactor_lead(w.reactor, false);
    world_rest(&w);
    world_mark(&w);
    fakeapi_opts(w.api)->latency_ms = 0;
    world_patch(&w, settings, "{data: {COLOUR: green}}");
    world_patch(&w, CORE "services/shop", "{spec: {selector: {app: other}}}");
    world_rest(&w);
    assert_int_equal(world_writes_n(&w, NULL) + world_statuses_n(&w), 0);
    take_over(&w);
    EXPECT_TEXT(world_text(&w, "/apis/apps/v1/namespaces/default/deployments/shop",
                           "spec.template.metadata.annotations.config-version"),
                world_text(&w, settings, "metadata.resourceVersion"));
    EXPECT_TEXT(world_text(&w, CORE "services/shop", "spec.selector.app"), "shop");
    world_close(&w);
}

TEST(lead, a_deletion_while_it_stood_by_is_done_after)
{
    struct world w;

    open_standby(&w);
    world_delete(&w, shop);
    world_rest(&w);
    assert_int_equal(world_writes_n(&w, NULL) + world_statuses_n(&w), 0);
    take_over(&w);
    assert_int_equal(world_get(&w, shop).kind, KR_NONE);
    assert_int_equal(fakeapi_objects_n(w.api, "configmaps", ""), 1); /* settings */
    world_close(&w);
}

TEST(lead, a_finalizer_waits_until_all_that_the_former_leader_made_is_heard_of)
{
    struct world w;

    open_standby(&w);
    world_delete(&w, shop);
    world_rest(&w);
    reactor_lead(w.reactor, true);
    world_advance(&w, REACTOR_UNHEARD_MS - 1000);
    assert_true(world_writes_n(&w, "DELETE") > 0);
    EXPECT_TEXT(world_text(&w, CORE "configmaps/shop-page", "metadata.name"), "");
    EXPECT_TEXT(world_text(&w, shop, "metadata.name"), "shop");
    world_advance(&w, 2000);
    EXPECT_TEXT(world_text(&w, shop, "metadata.name"), "");
    world_close(&w);
}

/* Else what the former leader sent last would make a child that the inventory does not name. */
TEST(lead, what_the_former_leader_listed_stays_listed_though_it_was_not_heard_of)
{
    static const char late[] = KRO "webapps/late";
    struct world w;

    open_standby(&w);
    world_apply(
        &w,
        "{apiVersion: kro.run/v1alpha1, kind: WebApp, metadata: {name: late, namespace: default}, "
        "spec: {greeting: hi}}");
    world_rest(&w);
    fakeapi_break_watches(w.api, KR_E_IO);
    world_patch(&w, late, "{metadata: {annotations: {" GRAPH_ANNO_NAMESPACES ": other}}}");
    take_over(&w);
    assert_true(kr_is_str(
        kr_get(kr_at(world_get(&w, late), "metadata.annotations"), KR_S(GRAPH_ANNO_NAMESPACES)),
        KR_S("other")));
    EXPECT_TEXT(world_text(&w, late, "status.state"), "ACTIVE");
    world_close(&w);
}

TEST(lead, a_standby_stops_in_order)
{
    struct world w;

    open_standby(&w);
    world_delete(&w, shop); /* something is held */
    world_rest(&w);
    world_stop(&w);
    assert_int_equal(world_writes_n(&w, NULL), 0);
    world_close(&w);
}

int main(void)
{
    return RUN(T(lead, a_standby_writes_nothing_and_takes_over_without_a_request),
               T(lead, what_changed_while_nobody_led_is_done_after_without_a_list),
               T(lead, a_definition_that_came_while_it_stood_by_is_served_after),
               T(lead, who_leads_no_longer_writes_no_longer),
               T(lead, a_deletion_while_it_stood_by_is_done_after),
               T(lead, a_finalizer_waits_until_all_that_the_former_leader_made_is_heard_of),
               T(lead, what_the_former_leader_listed_stays_listed_though_it_was_not_heard_of),
               T(lead, a_standby_stops_in_order));
}
