/* SPDX-License-Identifier: Apache-2.0 */
/* Requests: what one of them answers, and what a watch tells of it. */
#include "tests/sandbox/client.h"

#include <string.h>

#define MAPS "/api/v1/namespaces/default/configmaps"
#define A "{\"metadata\":{\"name\":\"a\",\"labels\":{\"x\":\"1\"}},\"data\":{\"k\":\"v\"}}"

TEST(sandbox, an_object_is_created_shown_and_deleted)
{
    struct client c;

    client_open(&c, NULL);
    assert_int_equal(client_do(&c, "GET", MAPS "/a", NULL), 404);
    assert_true(kr_str_is(client_at(&c, "message"), "configmaps \"a\" not found"));
    assert_int_equal(client_do(&c, "POST", MAPS, A), 201);
    assert_int_equal(client_do(&c, "POST", MAPS, A), 409);
    assert_true(kr_str_is(client_at(&c, "reason"), "AlreadyExists"));
    assert_int_equal(client_do(&c, "GET", MAPS "/a", NULL), 200);
    assert_true(kr_str_is(client_at(&c, "data.k"), "v"));
    assert_true(kr_str_is(client_at(&c, "kind"), "ConfigMap"));
    assert_int_equal(client_do(&c, "DELETE", MAPS "/a", NULL), 200);
    assert_true(kr_str_is(client_at(&c, "status"), "Success"));
    assert_int_equal(client_do(&c, "GET", MAPS "/a", NULL), 404);
    client_close(&c);
}

TEST(sandbox, a_dry_run_stores_nothing_and_a_name_is_generated)
{
    struct client c;

    client_open(&c, NULL);
    assert_int_equal(client_do(&c, "POST", MAPS "?dryRun=All", A), 201);
    assert_int_equal(client_do(&c, "GET", MAPS "/a", NULL), 404);
    assert_int_equal(client_do(&c, "POST", MAPS, "{\"metadata\":{\"generateName\":\"g-\"}}"), 201);
    assert_int_equal(client_at(&c, "metadata.name").n, strlen("g-") + 5);
    client_close(&c);
}

TEST(sandbox, an_update_of_an_old_version_is_a_conflict)
{
    struct client c;

    client_open(&c, NULL);
    client_do(&c, "POST", MAPS, A);
    assert_int_equal(client_patch(&c, "merge", MAPS "/a", "{\"data\":{\"k\":\"w\",\"n\":\"1\"}}"),
                     200);
    assert_int_equal(
        client_patch(&c, "merge", MAPS "/a",
                     "{\"metadata\":{\"resourceVersion\":\"7\"},\"data\":{\"k\":\"z\"}}"),
        409);
    assert_int_equal(
        client_patch(&c, "json", MAPS "/a", "[{\"op\":\"remove\",\"path\":\"/data/n\"}]"), 200);
    assert_true(kr_at(c.body, "data.n").kind == KR_NONE);
    assert_true(kr_str_is(client_at(&c, "data.k"), "w"));
    client_close(&c);
}

TEST(sandbox, a_patch_that_changes_nothing_gives_no_version)
{
    struct client c;
    uint64_t before;

    client_open(&c, NULL);
    client_do(&c, "POST", MAPS, A);
    before = sandbox_version(c.s);
    assert_int_equal(client_patch(&c, "merge", MAPS "/a", "{\"data\":{\"k\":\"v\"}}"), 200);
    assert_int_equal(sandbox_version(c.s), before);
    client_close(&c);
}

TEST(sandbox, two_appliers_conflict_unless_forced)
{
    static const char mine[] =
        "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"data\":{\"k\":\"1\"}}",
                      other[] =
                          "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"data\":{\"k\":\"2\"}}";
    struct client c;

    client_open(&c, NULL);
    assert_int_equal(client_patch(&c, "apply", MAPS "/a?fieldManager=me", mine), 201);
    assert_int_equal(client_patch(&c, "apply", MAPS "/a?fieldManager=you", other), 409);
    EXPECT_TEXT(kr_cstr(&c.a, client_at(&c, "message")),
                "Apply failed with 1 conflict: conflict with \"me\": .data.k");
    assert_int_equal(client_patch(&c, "apply", MAPS "/a?fieldManager=you&force=true", other), 200);
    assert_int_equal(kr_at(c.body, "metadata.managedFields").n, 1);
    assert_true(kr_str_is(kr_at_str(kr_item(kr_at(c.body, "metadata.managedFields"), 0), "manager"),
                          "you"));
    client_close(&c);
}

TEST(sandbox, what_an_applier_no_longer_says_goes)
{
    struct client c;

    client_open(&c, NULL);
    client_patch(
        &c, "apply", MAPS "/a?fieldManager=me",
        "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"data\":{\"k\":\"1\",\"l\":\"2\"}}");
    client_patch(&c, "apply", MAPS "/a?fieldManager=me",
                 "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"data\":{\"l\":\"2\"}}");
    assert_true(kr_at(c.body, "data.k").kind == KR_NONE);
    assert_true(kr_str_is(client_at(&c, "data.l"), "2"));
    client_close(&c);
}

TEST(sandbox, a_watch_tells_what_happens_to_what_it_selects)
{
    struct client c;
    struct sandbox_watch *all, *some;

    client_open(&c, NULL);
    all = client_watch(&c, MAPS "?watch=true&fieldSelector=metadata.name%3Da");
    some = client_watch(&c, MAPS "?watch=1&labelSelector=x%3D1");
    client_do(&c, "POST", MAPS, A);
    client_do(&c, "POST", MAPS, "{\"metadata\":{\"name\":\"b\"}}");
    assert_string_equal(client_events(&c, all), "ADDED a");
    client_patch(&c, "merge", MAPS "/a", "{\"metadata\":{\"labels\":{\"x\":\"2\"}}}");
    client_do(&c, "DELETE", MAPS "/a", NULL);
    assert_string_equal(client_events(&c, all), "MODIFIED a, DELETED a");
    assert_string_equal(client_events(&c, some), "ADDED a, DELETED a");
    assert_string_equal(client_events(&c, some), "");
    sandbox_watch_close(all);
    sandbox_watch_close(some);
    client_close(&c);
}

TEST(sandbox, a_streaming_list_ends_in_a_bookmark)
{
    struct client c;
    struct sandbox_watch *w;

    client_open(&c, &(struct sandbox_opts){.bare = true});
    client_do(&c, "POST", MAPS, A);
    w = client_watch(&c, MAPS "?watch=1&sendInitialEvents=true&allowWatchBookmarks=true"
                              "&resourceVersionMatch=NotOlderThan");
    assert_string_equal(client_events(&c, w), "ADDED a, BOOKMARK ");
    sandbox_watch_close(w);
    client_close(&c);
}

TEST(sandbox, a_watch_ends_at_its_time)
{
    struct client c;
    struct sandbox_watch *w;
    KR_AUTO(kr_buf) out = KR_BUF(1024);

    client_open(&c, NULL);
    w = client_watch(&c, "/api/v1/secrets?watch=1&timeoutSeconds=5");
    assert_true(sandbox_watch_read(w, &out, 100));
    vclock_advance(&c.clock, 5000);
    assert_false(sandbox_watch_read(w, &out, 100));
    sandbox_watch_close(w);
    client_close(&c);
}

TEST(sandbox, a_version_that_was_forgotten_is_gone)
{
    struct client c;
    struct sandbox_watch *w;

    client_open(&c, NULL);
    w = client_watch(&c, MAPS "?watch=1&labelSelector=x");
    client_do(&c, "POST", MAPS, A);
    sandbox_compact(c.s);
    assert_string_equal(client_events(&c, w), "ERROR Expired");
    sandbox_watch_close(w);
    assert_int_equal(client_do(&c, "GET", MAPS "?watch=1&resourceVersion=3", NULL), 410);
    assert_int_equal(client_do(&c, "GET", MAPS "?resourceVersion=99999999", NULL), 504);
    client_close(&c);
}

TEST(sandbox, pages_show_the_state_of_the_first)
{
    struct client c;
    const char *path;

    client_open(&c, &(struct sandbox_opts){.bare = true});
    for (char name = 'a'; name <= 'd'; name++)
        client_do(&c, "POST", MAPS,
                  kr_cstr(&c.a, kr_fmt(&c.a, "{\"metadata\":{\"name\":\"%c\"}}", name)));
    client_do(&c, "GET", MAPS "?limit=2", NULL);
    assert_int_equal(kr_at(c.body, "items").n, 2);
    assert_int_equal(kr_at(c.body, "metadata.remainingItemCount").i, 2);
    path = kr_cstr(&c.a, kr_fmt(&c.a, MAPS "?limit=9&continue=" KR_FMT,
                                KR_ARG(client_at(&c, "metadata.continue"))));
    client_do(&c, "DELETE", MAPS "/c", NULL);
    client_do(&c, "POST", MAPS, "{\"metadata\":{\"name\":\"e\"}}");
    assert_int_equal(client_do(&c, "GET", path, NULL), 200);
    assert_int_equal(kr_at(c.body, "items").n, 2);
    assert_true(kr_str_is(kr_at_str(kr_item(kr_at(c.body, "items"), 0), "metadata.name"), "c"));
    sandbox_compact(c.s);
    assert_int_equal(client_do(&c, "GET", path, NULL), 410);
    client_close(&c);
}

TEST(sandbox, a_body_too_large_or_too_deep_is_refused)
{
    struct client c;
    char *large = kr_alloc(SANDBOX_BODY_MAX + 2), deep[2 * 200 + 1];

    client_open(&c, NULL);
    memset(large, ' ', SANDBOX_BODY_MAX + 1);
    assert_int_equal(client_do(&c, "POST", MAPS, large), 413);
    memset(deep, '[', 200);
    memset(deep + 200, ']', 200);
    deep[400] = 0;
    assert_int_equal(client_do(&c, "POST", MAPS, deep), 400);
    kr_free(large);
    client_close(&c);
}

TEST(sandbox, a_flag_is_on_unless_it_says_no)
{
    static const char *const on[] = {"watch=true", "watch=True", "watch=1", "watch=", "watch"},
                             *const off[] = {"watch=false", "watch=False", "watch=0", "limit=0"};
    struct client c;

    client_open(&c, NULL);
    for (size_t i = 0; i < KR_N(on); i++)
        sandbox_watch_close(client_watch(&c, kr_cstr(&c.a, kr_fmt(&c.a, MAPS "?%s", on[i]))));
    for (size_t i = 0; i < KR_N(off); i++) {
        client_do(&c, "GET", kr_cstr(&c.a, kr_fmt(&c.a, MAPS "?%s", off[i])), NULL);
        assert_true(kr_str_is(client_at(&c, "kind"), "ConfigMapList"));
    }
    client_close(&c);
}

/* A policy that lets nothing of these resources pass, and its binding. */
static void forbid(struct client *c, const char *resource, const char *operation)
{
#define ADMISSION "/apis/admissionregistration.k8s.io/v1/validatingadmissionpol"
    client_do(c, "DELETE", ADMISSION "icies/p", NULL);
    client_do(
        c, "POST", ADMISSION "icies",
        kr_cstr(&c->a, kr_fmt(&c->a,
                              "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"matchConstraints\":"
                              "{\"resourceRules\":[{\"apiGroups\":[\"*\"],\"apiVersions\":[\"*\"],"
                              "\"operations\":[\"%s\"],\"resources\":[\"%s\"]}]},"
                              "\"validations\":[{\"expression\":\"false\"}]}}",
                              operation, resource)));
    assert_int_equal(c->status, 201);
    client_do(c, "POST", ADMISSION "icybindings",
              "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"policyName\":\"p\","
              "\"validationActions\":[\"Deny\"]}}");
}

TEST(sandbox, a_policy_for_all_resources_is_for_no_subresource)
{
    static const char *const taking[] = {"namespaces/status", "namespaces/*", "*/status", "*/*"},
                             *const passing[] = {"namespaces", "*", "*/scale", "pods/*"};
    const char *path = "/api/v1/namespaces/default/status";
    const char *body = "{\"status\":{\"phase\":\"Active\"}}";
    struct client c;

    client_open(&c, NULL);
    for (size_t i = 0; i < KR_N(taking); i++) {
        forbid(&c, taking[i], "UPDATE");
        assert_int_equal(client_patch(&c, "merge", path, body), 422);
        forbid(&c, passing[i], "UPDATE");
        assert_int_equal(client_patch(&c, "merge", path, body), 200);
    }
    client_close(&c);
}

TEST(sandbox, a_collection_goes_only_by_namespace_and_by_policy)
{
    struct client c;

    client_open(&c, NULL);
    client_do(&c, "POST", MAPS, A);
    assert_int_equal(client_do(&c, "DELETE", "/api/v1/configmaps", NULL), 405);
    forbid(&c, "configmaps", "DELETE");
    assert_int_equal(client_do(&c, "DELETE", MAPS, NULL), 422);
    assert_int_equal(client_do(&c, "GET", MAPS "/a", NULL), 200);
    forbid(&c, "configmaps", "CREATE");
    assert_int_equal(client_do(&c, "DELETE", MAPS, "{\"preconditions\":{\"uid\":\"other\"}}"), 409);
    assert_int_equal(client_do(&c, "GET", MAPS "/a", NULL), 200);
    assert_int_equal(client_do(&c, "DELETE", MAPS, NULL), 200);
    assert_int_equal(client_do(&c, "GET", MAPS "/a", NULL), 404);
    client_close(&c);
}

TEST(sandbox, a_token_lasts_from_ten_minutes_on)
{
    static const struct {
        const char *seconds;
        int status;
    } cases[] = {{"600", 201},        {"4294967296", 201}, {"599", 422},
                 {"4294967297", 422}, {"-1", 422},         {"9223372036854775807", 422}};
    struct client c;

    client_open(&c, NULL);
    for (size_t i = 0; i < KR_N(cases); i++) {
        kr_str body = kr_fmt(&c.a, "{\"spec\":{\"expirationSeconds\":%s}}", cases[i].seconds);

        assert_int_equal(client_do(&c, "POST",
                                   "/api/v1/namespaces/default/serviceaccounts/default/token",
                                   kr_cstr(&c.a, body)),
                         cases[i].status);
    }
    client_close(&c);
}

TEST(sandbox, what_is_not_served_is_not_found)
{
    struct client c;

    client_open(&c, NULL);
    assert_int_equal(client_do(&c, "GET", "/apis/no.such/v1/things", NULL), 404);
    assert_int_equal(client_do(&c, "GET", "/api/v1/nothing", NULL), 404);
    assert_int_equal(client_do(&c, "PUT", MAPS, A), 405);
    assert_int_equal(client_do(&c, "POST", "/api/v1/namespaces/no/configmaps", A), 404);
    assert_int_equal(client_do(&c, "GET", "/healthz", NULL), 200);
    assert_int_equal(client_do(&c, "GET", "/openapi/v3/apis/apps/v1", NULL), 200);
    client_close(&c);
}

/* As a kube-apiserver 1.36 publishes the same definition. */
TEST(sandbox, openapi_of_version_2)
{
    static const char crd[] =
        "{\"apiVersion\":\"apiextensions.k8s.io/v1\",\"kind\":\"CustomResourceDefinition\","
        "\"metadata\":{\"name\":\"shops.x.io\"},\"spec\":{\"group\":\"x.io\",\"scope\":"
        "\"Namespaced\",\"names\":{\"kind\":\"Shop\",\"plural\":\"shops\",\"singular\":\"shop\"},"
        "\"versions\":[{\"name\":\"v1\",\"served\":true,\"storage\":true,\"schema\":"
        "{\"openAPIV3Schema\":{\"type\":\"object\",\"properties\":{\"spec\":{\"type\":\"object\","
        "\"description\":\"d\",\"required\":[\"a\"],\"properties\":{"
        "\"a\":{\"type\":\"string\",\"default\":\"x\",\"enum\":[\"x\",\"y\"]},"
        "\"n\":{\"type\":\"integer\",\"nullable\":true,\"minimum\":1},"
        "\"m\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\",\"default\":"
        "\"q\"}},"
        "\"i\":{\"x-kubernetes-int-or-string\":true,\"anyOf\":[{\"type\":\"integer\"},{\"type\":"
        "\"string\"}]},"
        "\"p\":{\"type\":\"object\",\"x-kubernetes-preserve-unknown-fields\":true,\"properties\":"
        "{\"q\":{\"type\":\"string\"}}},"
        "\"l\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"k\":{\"type\":"
        "\"string\",\"default\":\"z\"}}}}"
        "}}}}}}]}}";
    kr_str shop[] = {KR_S("definitions"), KR_S("io.x.v1.Shop"), KR_S("properties")};
    kr_str metadata[] = {KR_S("definitions"), KR_S("io.k8s.api.core.v1.ConfigMap"),
                         KR_S("properties"), KR_S("metadata"), KR_S("$ref")};
    struct client c;
    kr_val properties;

    client_open(&c, NULL);
    assert_int_equal(
        client_do(&c, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd), 201);
    vclock_advance(&c.clock, 1000);
    assert_int_equal(client_do(&c, "GET", "/openapi/v2", NULL), 200);
    assert_true(kr_str_is(kr_at_str(c.body, "swagger"), "2.0"));
    properties = kr_at_path(c.body, shop, KR_N(shop));
    EXPECT_TEXT(kr_json_str(&c.a, kr_get(properties, KR_S("spec"))).s,
                "{\"description\":\"d\",\"properties\":{\"a\":{\"enum\":[\"x\",\"y\"],\"type\":"
                "\"string\"},\"i\":{\"x-kubernetes-int-or-string\":true},\"l\":{\"items\":"
                "{\"properties\":{\"k\":{\"type\":\"string\"}},\"type\":\"object\"},\"type\":"
                "\"array\"},\"m\":{\"additionalProperties\":{\"type\":\"string\"},\"type\":"
                "\"object\"},\"n\":{\"minimum\":1},\"p\":{\"x-kubernetes-preserve-unknown-fields\":"
                "true}},\"required\":[\"a\"],\"type\":\"object\"}");
    EXPECT_TEXT(kr_json_str(&c.a, kr_get(properties, KR_S("metadata"))).s,
                "{\"$ref\":\"#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta\"}");
    EXPECT_TEXT(kr_cstr(&c.a, kr_text(kr_at_path(c.body, metadata, KR_N(metadata)))),
                "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    client_close(&c);
}

TEST(sandbox, scale_changes_the_replicas)
{
#define WEB "/apis/apps/v1/namespaces/default/deployments"
    static const char web[] =
        "{\"metadata\":{\"name\":\"web\"},\"spec\":{\"selector\":{\"matchLabels\":"
        "{\"a\":\"b\"}},\"template\":{\"metadata\":{\"labels\":{\"a\":\"b\"}},"
        "\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}}}}";
    struct client c;

    client_open(&c, NULL);
    assert_int_equal(client_do(&c, "POST", WEB, web), 201);
    assert_int_equal(kr_at(c.body, "spec.replicas").i, 1);
    assert_int_equal(client_patch(&c, "merge", WEB "/web/scale", "{\"spec\":{\"replicas\":3}}"),
                     200);
    assert_true(kr_str_is(client_at(&c, "kind"), "Scale"));
    client_do(&c, "GET", WEB "/web", NULL);
    assert_int_equal(kr_at(c.body, "spec.replicas").i, 3);
    assert_int_equal(kr_at(c.body, "metadata.generation").i, 2);
    client_close(&c);
}

TEST(sandbox, options_are_checked_before_the_object_is_looked_at)
{
    struct client c;

    client_open(&c, NULL);
    assert_int_equal(client_do(&c, "DELETE", MAPS "/none?dryRun=Some", NULL), 422);
    assert_true(kr_str_is(client_at(&c, "details.kind"), "DeleteOptions"));
    assert_int_equal(client_do(&c, "POST", MAPS "?fieldValidation=Loud", A), 422);
    assert_true(kr_str_is(client_at(&c, "details.kind"), "CreateOptions"));
    assert_int_equal(client_patch(&c, "merge", MAPS "/none?force=true", "{}"), 422);
    assert_int_equal(kr_at(c.body, "details.causes").n, 1);
    client_do(&c, "POST", MAPS, A);
    assert_int_equal(client_do(&c, "DELETE", MAPS "/a?dryRun=All",
                               "{\"preconditions\":{\"resourceVersion\":\"1\"}}"),
                     409);
    assert_int_equal(client_do(&c, "DELETE", MAPS "/a?dryRun=All", "{\"gracePeriodSeconds\":0}"),
                     200);
    assert_int_equal(client_do(&c, "GET", MAPS "/a", NULL), 404); /* the body alone counts */
    client_close(&c);
}

TEST(sandbox, a_deletion_that_says_how_undoes_what_another_said)
{
    struct client c;

    client_open(&c, NULL);
    client_do(&c, "POST", MAPS, "{\"metadata\":{\"name\":\"a\",\"finalizers\":[\"x.y/z\"]}}");
    client_do(&c, "DELETE", MAPS "/a", "{\"propagationPolicy\":\"Orphan\"}");
    client_do(&c, "DELETE", MAPS "/a", NULL);
    client_do(&c, "GET", MAPS "/a", NULL);
    assert_int_equal(kr_at(c.body, "metadata.finalizers").n, 2);
    client_do(&c, "DELETE", MAPS "/a", "{\"propagationPolicy\":\"Background\"}");
    client_do(&c, "GET", MAPS "/a", NULL);
    assert_int_equal(kr_at(c.body, "metadata.finalizers").n, 1);
    client_close(&c);
}

TEST(sandbox, a_deletion_that_ends_another_shows_the_object_as_that_one_left_it)
{
    static const char *const path = "/api/v1/namespaces/default/services";
    struct client c;

    client_open(&c, NULL);
    client_do(&c, "POST", path,
              "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"ports\":[{\"port\":80}]}}");
    client_do(&c, "DELETE", "/api/v1/namespaces/default/services/a",
              "{\"propagationPolicy\":\"Orphan\"}");
    assert_int_equal(client_do(&c, "DELETE", "/api/v1/namespaces/default/services/a",
                               "{\"propagationPolicy\":\"Background\"}"),
                     200);
    assert_int_equal(kr_at(c.body, "metadata.finalizers").n, 1);
    assert_int_equal(client_do(&c, "GET", "/api/v1/namespaces/default/services/a", NULL), 404);
    client_close(&c);
}

TEST(sandbox, a_dry_run_of_a_deletion_shows_what_finalizers_would_keep)
{
    const char *kept = "{\"metadata\":{\"name\":\"a\",\"finalizers\":[\"x.test/a\"]}}";
    struct client c;

    client_open(&c, NULL);
    client_do(&c, "POST", MAPS, kept);
    assert_int_equal(client_do(&c, "DELETE", MAPS "/a?dryRun=All", NULL), 200);
    assert_true(kr_str_is(client_at(&c, "kind"), "ConfigMap"));
    assert_int_equal(kr_at(c.body, "metadata.deletionGracePeriodSeconds").kind, KR_INT);
    client_do(&c, "GET", MAPS "/a", NULL);
    assert_int_equal(kr_at(c.body, "metadata.deletionTimestamp").kind, KR_NONE);
    client_do(&c, "POST", MAPS, "{\"metadata\":{\"name\":\"b\"}}");
    assert_int_equal(client_do(&c, "DELETE", MAPS "/b?dryRun=All", NULL), 200);
    assert_true(kr_str_is(client_at(&c, "kind"), "Status"));
    assert_int_equal(client_do(&c, "GET", MAPS "/b", NULL), 200);
    client_close(&c);
}

TEST(sandbox, an_object_being_deleted_takes_no_new_finalizers)
{
    const char *a = "{\"metadata\":{\"name\":\"a\",\"finalizers\":[\"x.test/a\",\"x.test/b\"]}}";
    struct client c;

    client_open(&c, NULL);
    client_do(&c, "POST", MAPS, a);
    client_do(&c, "DELETE", MAPS "/a", NULL);
    assert_int_equal(client_patch(&c, "merge", MAPS "/a",
                                  "{\"metadata\":{\"finalizers\":[\"x.test/c\",\"x.test/a\"]}}"),
                     422);
    EXPECT_TEXT(
        kr_cstr(&c.a, client_at(&c, "message")),
        "ConfigMap \"a\" is invalid: metadata.finalizers: Forbidden: no new finalizers can be "
        "added if the object is being deleted, found new finalizers []string{\"x.test/c\"}");
    assert_int_equal(
        client_patch(&c, "merge", MAPS "/a", "{\"metadata\":{\"finalizers\":[\"x.test/a\"]}}"),
        200);
    client_close(&c);
}

TEST(sandbox, a_deletion_shows_what_was_stored_last)
{
    const char *a =
        "{\"metadata\":{\"name\":\"a\",\"finalizers\":[\"x.test/a\"]},\"data\":{\"k\":\"v\"}}";
    KR_AUTO(kr_buf) out = KR_BUF(1 << 20);
    struct sandbox_watch *w;
    struct client c;

    client_open(&c, NULL);
    client_do(&c, "POST", MAPS, a);
    client_do(&c, "DELETE", MAPS "/a", NULL);
    w = client_watch(&c,
                     MAPS "?watch=1&resourceVersion=0&sendInitialEvents=false&resourceVersionMatch="
                          "NotOlderThan");
    assert_int_equal(client_patch(&c, "merge", MAPS "/a",
                                  "{\"metadata\":{\"finalizers\":null},\"data\":{\"k\":\"w\"}}"),
                     200);
    assert_true(kr_str_is(client_at(&c, "data.k"), "w")); /* the writer is told what it wrote */
    sandbox_watch_read(w, &out, 1 << 20);
    assert_true(kr_str_starts(kr_buf_view(&out), KR_S("{\"type\":\"DELETED\"")));
    assert_true(kr_str_find(kr_buf_view(&out), KR_S("\"k\":\"v\"")) > 0);
    assert_true(kr_str_find(kr_buf_view(&out), KR_S("\"finalizers\":[\"x.test/a\"]")) > 0);
    sandbox_watch_close(w);
    client_close(&c);
}

TEST(sandbox, serves_the_types_that_it_is_told_and_those_it_needs)
{
    static const char *const types[] = {"deployments.apps", NULL};
    struct client c;

    client_open(&c, &(struct sandbox_opts){.types = types});
    assert_int_equal(client_do(&c, "GET", "/apis/apps/v1/deployments", NULL), 200);
    assert_int_equal(client_do(&c, "GET", MAPS "/kube-root-ca.crt", NULL), 200);
    assert_int_equal(client_do(&c, "GET", "/api/v1/pods", NULL), 404);
    assert_int_equal(client_do(&c, "GET", "/apis/apps/v1/daemonsets", NULL), 404);
    client_close(&c);
}

TEST(sandbox, what_is_new_has_the_status_that_the_server_gives_it)
{
    static const struct {
        const char *path, *body, *phase;
    } rows[] = {
        {"/api/v1/namespaces", "{\"metadata\":{\"name\":\"n1\"}}", "Active"},
        {"/api/v1/namespaces", "{\"metadata\":{\"name\":\"n2\"},\"status\":{}}", "Active"},
        {"/api/v1/namespaces",
         "{\"metadata\":{\"name\":\"n3\"},\"status\":{\"phase\":\"Terminating\"}}", "Active"},
        {"/api/v1/namespaces/default/persistentvolumeclaims",
         "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"accessModes\":[\"ReadWriteOnce\"],"
         "\"resources\":{"
         "\"requests\":{\"storage\":\"1\"}}}}",
         "Pending"},
        {"/api/v1/persistentvolumes", "{\"metadata\":{\"name\":\"p\"},\"spec\":{}}", "Pending"},
        {"/api/v1/namespaces/default/pods?dryRun=All",
         "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"containers\":[{\"name\":\"a\",\"image\":\"b\"}"
         "]}}",
         "Pending"},
    };
    struct client c;

    client_open(&c, NULL);
    for (size_t i = 0; i < KR_N(rows); i++) {
        assert_int_equal(client_do(&c, "POST", rows[i].path, rows[i].body), 201);
        EXPECT_TEXT(kr_cstr(&c.a, client_at(&c, "status.phase")), rows[i].phase);
    }
    client_close(&c);
}

TEST(sandbox, a_cluster_cannot_be_without_its_first_namespaces)
{
    struct client c;

    client_open(&c, NULL);
    assert_int_equal(client_do(&c, "DELETE", "/api/v1/namespaces/default", NULL), 403);
    EXPECT_TEXT(kr_cstr(&c.a, client_at(&c, "message")),
                "namespaces \"default\" is forbidden: this namespace may not be deleted");
    assert_int_equal(
        client_do(&c, "POST", "/api/v1/namespaces", "{\"metadata\":{\"name\":\"a.b\"}}"), 422);
    EXPECT_TEXT(kr_cstr(&c.a, client_at(&c, "message")),
                "Namespace \"a.b\" is invalid: metadata.name: Invalid value: \"a.b\": must not "
                "contain dots");
    client_close(&c);
}

/* A client that reads logs must not take the Pod for one. */
TEST(sandbox, what_needs_containers_is_refused)
{
    struct client c;

    client_open(&c, NULL);
    assert_int_equal(client_do(&c, "GET", "/api/v1/namespaces/default/pods/p/log", NULL), 404);
    client_do(&c, "POST", "/api/v1/namespaces/default/pods",
              "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"containers\":[{\"name\":\"a\",\"image\":"
              "\"b\"}]}}");
    assert_int_equal(client_do(&c, "GET", "/api/v1/namespaces/default/pods/p/log", NULL), 501);
    assert_int_equal(
        client_do(&c, "POST", "/api/v1/namespaces/default/pods/p/exec?command=ls", NULL), 501);
    client_close(&c);
}

/* What the path says may be left out of the body; its types are looked at all the same. */
TEST(sandbox, a_body_without_kind_is_read_by_its_type)
{
    struct client c;

    client_open(&c, NULL);
    assert_int_equal(
        client_do(&c, "POST", MAPS, "{\"metadata\":{\"name\":\"a\"},\"data\":{\"k\":1}}"), 400);
    client_close(&c);
}

TEST(sandbox, what_is_immutable_stays)
{
    struct client c;

    client_open(&c, NULL);
    client_do(&c, "POST", MAPS,
              "{\"metadata\":{\"name\":\"a\"},\"data\":{\"k\":\"v\"},\"immutable\":true}");
    assert_int_equal(client_patch(&c, "merge", MAPS "/a", "{\"data\":{\"k\":\"w\"}}"), 422);
    EXPECT_TEXT(
        kr_cstr(&c.a, client_at(&c, "message")),
        "ConfigMap \"a\" is invalid: data: Forbidden: field is immutable when `immutable` is set");
    assert_int_equal(client_patch(&c, "merge", MAPS "/a", "{\"immutable\":null}"), 422);
    assert_int_equal(
        client_patch(&c, "merge", MAPS "/a", "{\"metadata\":{\"labels\":{\"x\":\"y\"}}}"), 200);
    client_close(&c);
}

TEST(sandbox, a_job_must_come_to_an_end)
{
    const char *job =
        "{\"metadata\":{\"name\":\"j\"},\"spec\":{\"template\":{\"spec\":{\"containers\":"
        "[{\"name\":\"a\",\"image\":\"b\"}]}}}}";
    struct client c;

    client_open(&c, NULL);
    assert_int_equal(client_do(&c, "POST", "/apis/batch/v1/namespaces/default/jobs", job), 422);
    EXPECT_TEXT(kr_cstr(&c.a, client_at(&c, "message")),
                "Job.batch \"j\" is invalid: spec.template.spec.restartPolicy: Required value: "
                "valid values: \"OnFailure\", \"Never\"");
    client_close(&c);
}

TEST(sandbox, keys_of_labels_are_looked_at)
{
    static const char *const bad[] = {"a b", "-a", "/a", "a/", "A_b/c", "a/b/c"};
    struct client c;

    client_open(&c, NULL);
    for (size_t i = 0; i < KR_N(bad); i++) {
        kr_str body =
            kr_fmt(&c.a, "{\"metadata\":{\"name\":\"a\",\"labels\":{\"%s\":\"\"}}}", bad[i]);

        assert_int_equal(client_do(&c, "POST", MAPS, kr_cstr(&c.a, body)), 422);
    }
    assert_int_equal(
        client_do(&c, "POST", MAPS,
                  "{\"metadata\":{\"name\":\"a\",\"labels\":{\"x.io/A_b.c\":\"\",\"k\":\"v\"}}}"),
        201);
    client_close(&c);
}

TEST(sandbox, how_a_version_is_meant_must_fit_it)
{
    struct client c;

    client_open(&c, NULL);
    assert_int_equal(client_do(&c, "GET", MAPS "?resourceVersionMatch=Exact", NULL), 422);
    EXPECT_TEXT(kr_cstr(&c.a, client_at(&c, "message")),
                "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: "
                "resourceVersionMatch is forbidden unless resourceVersion is provided");
    assert_int_equal(client_do(&c, "GET", MAPS "?resourceVersionMatch=Foo&resourceVersion=1", NULL),
                     422);
    assert_int_equal(
        client_do(&c, "GET", MAPS "?resourceVersionMatch=Exact&resourceVersion=0", NULL), 422);
    assert_int_equal(
        client_do(&c, "GET", MAPS "?resourceVersionMatch=NotOlderThan&resourceVersion=0", NULL),
        200);
    client_close(&c);
}

TEST(sandbox, documents_are_only_read)
{
    struct client c;

    client_open(&c, NULL);
    assert_int_equal(client_do(&c, "GET", "/version", NULL), 200);
    assert_int_equal(client_do(&c, "POST", "/version", "{}"), 405);
    assert_int_equal(client_do(&c, "FROB", "/api", NULL), 405);
    assert_int_equal(client_do(&c, "FROB", MAPS, NULL), 405);
    client_close(&c);
}

TEST(sandbox, a_body_of_an_unknown_type_is_refused)
{
    static const struct {
        const char *type;
        int status;
    } rows[] = {{"text/xml", 415},
                {"nonsense", 415},
                {"application/json; charset=utf-8", 201},
                {"application/yaml", 201},
                {"", 201}};
    struct client c;

    client_open(&c, NULL);
    for (size_t i = 0; i < KR_N(rows); i++) {
        struct sandbox_request q = {.method = "POST",
                                    .path = KR_S(MAPS),
                                    .body = KR_S("{\"metadata\":{\"generateName\":\"a-\"}}"),
                                    .content_type = kr_str_c(rows[i].type)};
        struct sandbox_response r = {0};

        sandbox_serve(c.s, &q, &r);
        assert_int_equal(r.status, rows[i].status);
        sandbox_response_fini(&r);
    }
    client_close(&c);
}

int main(void)
{
    return RUN(
        T(sandbox, an_object_is_created_shown_and_deleted),
        T(sandbox, a_dry_run_stores_nothing_and_a_name_is_generated),
        T(sandbox, an_update_of_an_old_version_is_a_conflict),
        T(sandbox, a_patch_that_changes_nothing_gives_no_version),
        T(sandbox, two_appliers_conflict_unless_forced),
        T(sandbox, what_an_applier_no_longer_says_goes),
        T(sandbox, a_watch_tells_what_happens_to_what_it_selects),
        T(sandbox, a_streaming_list_ends_in_a_bookmark), T(sandbox, a_watch_ends_at_its_time),
        T(sandbox, a_version_that_was_forgotten_is_gone),
        T(sandbox, pages_show_the_state_of_the_first),
        T(sandbox, a_body_too_large_or_too_deep_is_refused),
        T(sandbox, a_flag_is_on_unless_it_says_no),
        T(sandbox, a_policy_for_all_resources_is_for_no_subresource),
        T(sandbox, a_collection_goes_only_by_namespace_and_by_policy),
        T(sandbox, a_token_lasts_from_ten_minutes_on), T(sandbox, what_is_not_served_is_not_found),
        T(sandbox, openapi_of_version_2), T(sandbox, scale_changes_the_replicas),
        T(sandbox, options_are_checked_before_the_object_is_looked_at),
        T(sandbox, a_deletion_that_says_how_undoes_what_another_said),
        T(sandbox, a_deletion_that_ends_another_shows_the_object_as_that_one_left_it),
        T(sandbox, a_dry_run_of_a_deletion_shows_what_finalizers_would_keep),
        T(sandbox, an_object_being_deleted_takes_no_new_finalizers),
        T(sandbox, a_deletion_shows_what_was_stored_last),
        T(sandbox, serves_the_types_that_it_is_told_and_those_it_needs),
        T(sandbox, what_is_new_has_the_status_that_the_server_gives_it),
        T(sandbox, a_cluster_cannot_be_without_its_first_namespaces),
        T(sandbox, what_needs_containers_is_refused),
        T(sandbox, a_body_without_kind_is_read_by_its_type), T(sandbox, what_is_immutable_stays),
        T(sandbox, a_job_must_come_to_an_end), T(sandbox, keys_of_labels_are_looked_at),
        T(sandbox, how_a_version_is_meant_must_fit_it), T(sandbox, documents_are_only_read),
        T(sandbox, a_body_of_an_unknown_type_is_refused));
}
