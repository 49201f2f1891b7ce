/* SPDX-License-Identifier: Apache-2.0 */
/* discovery_test.c - kinds from aggregated and legacy documents. data/api.json and apis.json are
 * what a real API server (1.36) answered. */
#include "kube/discovery.h"

#include "tests/kube/routes.h"

struct fixture {
    struct kr_arena a;
    struct routes r;
    struct kube_discovery *d;
    int done_n;
};

static void fixture_init(struct fixture *f)
{
    *f = (struct fixture){0};
    routes_init(&f->r);
    f->d = kube_discovery_new(f->r.client);
}

static void fixture_fini(struct fixture *f)
{
    kube_discovery_free(f->d);
    routes_fini(&f->r);
    kr_arena_fini(&f->a);
}

static void on_done(struct kube_discovery *d, void *arg)
{
    ((struct fixture *)arg)->done_n++;
}

static void refresh(struct fixture *f)
{
    int before = f->done_n;

    kube_discovery_refresh(f->d, on_done, f);
    assert_int_equal(f->done_n, before);
    routes_run(&f->r);
    assert_int_equal(f->done_n, before + 1);
}

static const struct kube_kind *kind(struct fixture *f, const char *group, const char *version,
                                    const char *name)
{
    return kube_discovery_kind(f->d, (kr_gvk){kr_str_c(group), kr_str_c(version), kr_str_c(name)});
}

/* "group/version kind resource scope status", one kind a line. */
static const char *all(struct fixture *f)
{
    struct kr_buf b = KR_BUF(1000000);
    const struct kube_kind *k;
    const char *out;
    uint32_t at = 0;

    while ((k = kube_discovery_next(f->d, &at)) != NULL)
        kr_buf_fmt(&b, "%.*s/%.*s %.*s %.*s%s%s [%.*s]\n", KR_ARG(k->gvk.group),
                   KR_ARG(k->gvk.version), KR_ARG(k->gvk.kind), KR_ARG(k->resource),
                   k->namespaced ? " namespaced" : "", k->has_status ? " status" : "",
                   KR_ARG(k->verbs));
    out = kr_cstr(&f->a, kr_buf_view(&b));
    kr_buf_fini(&b);
    return out;
}

static kr_str data(struct fixture *f, const char *name)
{
    kr_str text;

    assert_true(test_file(&f->a, kr_fmt(&f->a, "%s/data/%s", TEST_DATA, name).s, &text));
    return text;
}

TEST(kube_discovery, reads_what_a_real_server_has_in_two_requests)
{
    struct fixture f;
    const struct kube_kind *k;

    fixture_init(&f);
    routes_set(&f.r, "/api", 200, data(&f, "api.json"));
    routes_set(&f.r, "/apis", 200, data(&f, "apis.json"));
    assert_false(kube_discovery_ready(f.d));
    refresh(&f);
    assert_int_equal(kube_discovery_rc(f.d), 0);
    assert_true(kube_discovery_ready(f.d));
    EXPECT_TEXT(routes_asked(&f.r, &f.a), "/api\n/apis\n");
    assert_non_null(strstr(f.r.accept, "v=v2;as=APIGroupDiscoveryList"));

    k = kind(&f, "apps", "v1", "Deployment");
    assert_true(k && kr_str_is(k->resource, "deployments") && k->namespaced && k->has_status);
    assert_true(kr_str_is(k->verbs, "create,delete,deletecollection,get,list,patch,update,watch"));
    k = kind(&f, "", "v1", "Namespace");
    assert_true(k && !k->namespaced && kr_str_is(k->resource, "namespaces"));
    k = kind(&f, "", "v1", "ConfigMap");
    assert_true(k && k->namespaced && !k->has_status);
    assert_ptr_equal(
        k, kube_discovery_resource(f.d, (kr_gvr){KR_S(""), KR_S("v1"), KR_S("configmaps")}));
    assert_ptr_equal(
        kube_discovery_preferred(f.d, KR_S("autoscaling"), KR_S("HorizontalPodAutoscaler")),
        kind(&f, "autoscaling", "v2", "HorizontalPodAutoscaler"));
    assert_non_null(kind(&f, "autoscaling", "v1", "HorizontalPodAutoscaler"));
    assert_null(kind(&f, "apps", "v2", "Deployment"));
    assert_null(kind(&f, "", "v1", "Scale"));
    assert_null(kube_discovery_preferred(f.d, KR_S("apps"), KR_S("Nothing")));
    fixture_fini(&f);
}

#define ITEM(group, versions) "{\"metadata\":{\"name\":\"" group "\"},\"versions\":[" versions "]}"
#define LIST(items) "{\"kind\":\"APIGroupDiscoveryList\",\"items\":[" items "]}"
#define WIDGETS                                                                                    \
    "{\"version\":\"v1\",\"freshness\":\"Current\",\"resources\":[{\"resource\":\"widgets\","      \
    "\"responseKind\":{\"kind\":\"Widget\"},\"scope\":\"Namespaced\",\"verbs\":[\"get\"]}]}"

TEST(kube_discovery, a_group_version_that_is_stale_keeps_what_was_known)
{
    struct fixture f;

    fixture_init(&f);
    routes_set(&f.r, "/api", 200, KR_S(LIST("")));
    routes_set(&f.r, "/apis", 200, KR_S(LIST(ITEM("a.io", WIDGETS) "," ITEM("b.io", WIDGETS))));
    refresh(&f);
    EXPECT_TEXT(
        all(&f),
        "a.io/v1 Widget widgets namespaced [get]\nb.io/v1 Widget widgets namespaced [get]\n");
    routes_set(&f.r, "/apis", 200,
               KR_S(LIST(ITEM("a.io", "{\"version\":\"v1\",\"freshness\":\"Stale\"}") "," ITEM(
                   "c.io", WIDGETS))));
    refresh(&f);
    EXPECT_TEXT(
        all(&f),
        "a.io/v1 Widget widgets namespaced [get]\nc.io/v1 Widget widgets namespaced [get]\n");
    routes_set(&f.r, "/apis", 200,
               KR_S(LIST(ITEM("a.io",
                              "{\"version\":\"v1\",\"freshness\":\"Current\",\"resources\":[]}"))));
    refresh(&f);
    EXPECT_TEXT(all(&f), "");
    fixture_fini(&f);
}

#define LEGACY_GROUPS                                                                              \
    "{\"kind\":\"APIGroupList\",\"groups\":[{\"name\":\"x.io\",\"versions\":[{\"version\":\"v1\"}" \
    ","                                                                                            \
    "{\"version\":\"v2\"}],\"preferredVersion\":{\"version\":\"v2\"}}]}"
#define RESOURCES(list) "{\"kind\":\"APIResourceList\",\"resources\":[" list "]}"
#define RESOURCE(name, kind)                                                                       \
    "{\"name\":\"" name "\",\"kind\":\"" kind "\",\"namespaced\":true,\"verbs\":[\"get\","         \
    "\"list\"]}"

static void legacy_routes(struct fixture *f)
{
    routes_set(&f->r, "/api", 200, KR_S("{\"kind\":\"APIVersions\",\"versions\":[\"v1\"]}"));
    routes_set(&f->r, "/apis", 200, KR_S(LEGACY_GROUPS));
    routes_set(&f->r, "/api/v1", 200,
               KR_S(RESOURCES("{\"name\":\"nodes\",\"kind\":\"Node\",\"verbs\":[]}," RESOURCE(
                   "nodes/status", "Node") "," RESOURCE("pods/binding", "Binding"))));
    routes_set(&f->r, "/apis/x.io/v1", 200, KR_S(RESOURCES(RESOURCE("things", "Thing"))));
    routes_set(&f->r, "/apis/x.io/v2", 200, KR_S(RESOURCES(RESOURCE("things", "Thing"))));
}

TEST(kube_discovery, a_server_without_aggregation_is_asked_group_by_group)
{
    struct fixture f;

    fixture_init(&f);
    legacy_routes(&f);
    refresh(&f);
    EXPECT_TEXT(routes_asked(&f.r, &f.a), "/api\n/apis\n/api/v1\n/apis/x.io/v2\n/apis/x.io/v1\n");
    EXPECT_TEXT(all(&f), "/v1 Node nodes status []\nx.io/v2 Thing things namespaced [get,list]\n"
                         "x.io/v1 Thing things namespaced [get,list]\n");
    assert_true(
        kr_str_is(kube_discovery_preferred(f.d, KR_S("x.io"), KR_S("Thing"))->gvk.version, "v2"));
    fixture_fini(&f);
}

TEST(kube_discovery, one_legacy_group_that_fails_leaves_the_others)
{
    struct fixture f;

    fixture_init(&f);
    legacy_routes(&f);
    refresh(&f);
    routes_set(&f.r, "/apis/x.io/v2", 503, KR_S("down"));
    routes_set(&f.r, "/apis/x.io/v1", 200, KR_S(RESOURCES(RESOURCE("others", "Other"))));
    refresh(&f);
    assert_int_equal(kube_discovery_rc(f.d), 0);
    EXPECT_TEXT(all(&f), "/v1 Node nodes status []\nx.io/v2 Thing things namespaced [get,list]\n"
                         "x.io/v1 Other others namespaced [get,list]\n");
    assert_true(kube_discovery_unread(f.d, KR_S("x.io"), KR_S("v2")));
    assert_true(kube_discovery_unread(f.d, KR_S("x.io"), KR_S("")));
    assert_false(kube_discovery_unread(f.d, KR_S("x.io"), KR_S("v1")));
    assert_false(kube_discovery_unread(f.d, KR_S(""), KR_S("")));
    fixture_fini(&f);
}

TEST(kube_discovery, a_legacy_group_that_answers_nonsense_is_a_failure)
{
    struct fixture f;

    fixture_init(&f);
    legacy_routes(&f);
    refresh(&f);
    routes_set(&f.r, "/apis/x.io/v1", 200, KR_S("{}"));
    refresh(&f);
    assert_int_equal(kube_discovery_rc(f.d), KR_E_INPUT);
    assert_non_null(kind(&f, "x.io", "v2", "Thing"));
    fixture_fini(&f);
}

TEST(kube_discovery, a_refresh_that_fails_leaves_the_old_snapshot)
{
    static const char *const paths[] = {"/api", "/apis"};
    struct fixture f;

    for (size_t i = 0; i < KR_N(paths); i++) {
        fixture_init(&f);
        routes_set(&f.r, "/api", 200, KR_S(LIST("")));
        routes_set(&f.r, "/apis", 200, KR_S(LIST(ITEM("a.io", WIDGETS))));
        refresh(&f);
        routes_set(&f.r, paths[i], 0, KR_S(""));
        refresh(&f);
        assert_int_equal(kube_discovery_rc(f.d), KR_E_IO);
        assert_non_null(strstr(kube_discovery_error(f.d)->text, "connection lost"));
        routes_set(&f.r, paths[i], 200, KR_S("{\"kind\":\"Pod\"}"));
        refresh(&f);
        assert_int_equal(kube_discovery_rc(f.d), KR_E_INPUT);
        assert_non_null(kind(&f, "a.io", "v1", "Widget"));
        routes_set(&f.r, paths[i], 200, KR_S(LIST("")));
        refresh(&f);
        assert_null(kube_discovery_error(f.d));
        fixture_fini(&f);
    }
}

TEST(kube_discovery, all_legacy_groups_failing_is_a_failure)
{
    struct fixture f;

    fixture_init(&f);
    legacy_routes(&f);
    routes_set(&f.r, "/api/v1", 403, KR_S(""));
    routes_set(&f.r, "/apis/x.io/v1", 403, KR_S(""));
    routes_set(&f.r, "/apis/x.io/v2", 403, KR_S(""));
    refresh(&f);
    assert_int_equal(kube_discovery_rc(f.d), KR_E_API);
    assert_false(kube_discovery_ready(f.d));
    fixture_fini(&f);
}

TEST(kube_discovery, calls_share_a_refresh_and_cancelling_ends_it)
{
    struct fixture f;

    fixture_init(&f);
    kube_discovery_refresh(f.d, on_done, &f);
    kube_discovery_refresh(f.d, on_done, &f);
    kube_discovery_refresh(f.d, NULL, NULL);
    assert_true(kube_discovery_busy(f.d));
    kube_client_cancel_all(f.r.client);
    assert_int_equal(f.done_n, 0);
    routes_run(&f.r);
    assert_int_equal(f.done_n, 2);
    assert_int_equal(kube_discovery_rc(f.d), KR_E_CANCELED);
    assert_false(kube_discovery_busy(f.d));
    EXPECT_TEXT(routes_asked(&f.r, &f.a), "/api\n");
    fixture_fini(&f);
}

TEST(kube_discovery, documents_full_of_nonsense_give_no_kinds)
{
    static const char *const bad[] = {
        LIST("1,null,{},[]"),
        LIST(ITEM("a", "1,{},{\"resources\":{}},{\"resources\":[1,{},{\"resource\":3}]}")),
        "{\"kind\":\"APIGroupDiscoveryList\",\"items\":7}", "{\"kind\":\"APIGroupDiscoveryList\"}"};
    struct fixture f;

    for (size_t i = 0; i < KR_N(bad); i++) {
        fixture_init(&f);
        routes_set(&f.r, "/api", 200, kr_str_c(bad[i]));
        routes_set(&f.r, "/apis", 200, kr_str_c(bad[i]));
        refresh(&f);
        assert_int_equal(kube_discovery_rc(f.d), 0);
        EXPECT_TEXT(all(&f), "");
        fixture_fini(&f);
    }
}

int main(void)
{
    return RUN(T(kube_discovery, reads_what_a_real_server_has_in_two_requests),
               T(kube_discovery, a_group_version_that_is_stale_keeps_what_was_known),
               T(kube_discovery, a_server_without_aggregation_is_asked_group_by_group),
               T(kube_discovery, one_legacy_group_that_fails_leaves_the_others),
               T(kube_discovery, a_legacy_group_that_answers_nonsense_is_a_failure),
               T(kube_discovery, a_refresh_that_fails_leaves_the_old_snapshot),
               T(kube_discovery, all_legacy_groups_failing_is_a_failure),
               T(kube_discovery, calls_share_a_refresh_and_cancelling_ends_it),
               T(kube_discovery, documents_full_of_nonsense_give_no_kinds));
}
