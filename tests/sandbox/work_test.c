/* SPDX-License-Identifier: Apache-2.0 */
/* What the sandbox does beside requests: definitions, owners, namespaces, stand-ins; and its file. */
#include "tests/sandbox/client.h"

#include <stdio.h>
#include <unistd.h>

#define MAPS "/api/v1/namespaces/default/configmaps"
#define CRDS "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
#define SHOPS "/apis/example.io/v1/namespaces/default/shops"

static const char crd[] =
    "apiVersion: apiextensions.k8s.io/v1\n"
    "kind: CustomResourceDefinition\n"
    "metadata: {name: shops.example.io}\n"
    "spec:\n"
    "  group: example.io\n"
    "  scope: Namespaced\n"
    "  names: {plural: shops, kind: Shop}\n"
    "  versions:\n"
    "  - name: v1\n"
    "    served: true\n"
    "    storage: true\n"
    "    subresources: {status: {}}\n"
    "    schema:\n"
    "      openAPIV3Schema:\n"
    "        type: object\n"
    "        properties:\n"
    "          spec:\n"
    "            type: object\n"
    "            required: [size]\n"
    "            properties:\n"
    "              size: {type: integer, minimum: 1}\n"
    "              name: {type: string, default: corner}\n"
    "          status: {type: object, x-kubernetes-preserve-unknown-fields: true}\n";

static void define(struct client *c)
{
    assert_int_equal(client_do(c, "POST", CRDS, crd), 201);
    assert_int_equal(client_do(c, "GET", SHOPS, NULL), 404);
    vclock_run(&c->clock);
    assert_int_equal(client_do(c, "GET", SHOPS, NULL), 200);
}

static int shop(struct client *c, const char *spec)
{
    return client_do(c, "POST", SHOPS,
                     kr_cstr(&c->a, kr_fmt(&c->a,
                                           "apiVersion: example.io/v1\nkind: Shop\n"
                                           "metadata: {name: s}\nspec: %s\nstatus: {x: 1}\n",
                                           spec)));
}

/* What is stored is read by the new schema, without an event; what is not written stays as it was stored. */
TEST(work, a_new_schema_is_read_by_and_ends_the_streams)
{
    static const char patch[] = "[{\"op\":\"add\",\"path\":\"/spec/versions/0/schema/"
                                "openAPIV3Schema/properties/spec/properties/%s\",\"value\":"
                                "{\"type\":\"string\",\"default\":\"%s\"}}]";
    struct client c;
    struct sandbox_watch *w;
    const char *text;
    KR_AUTO(kr_buf) events = KR_BUF(4096);

    client_open(&c, NULL);
    define(&c);
    assert_int_equal(shop(&c, "{size: 1}"), 201);
    text = kr_cstr(&c.a, client_at(&c, "metadata.resourceVersion"));
    w = client_watch(&c, SHOPS "?watch=1");
    EXPECT_TEXT(client_events(&c, w), "ADDED s");
    for (int i = 0; i < 2; i++) {
        static const char *const colours[] = {"red", "blue"};
        char body[512];

        snprintf(body, sizeof body, patch, "colour", colours[i]);
        assert_int_equal(client_patch(&c, "json", CRDS "/shops.example.io", body), 200);
        assert_int_equal(client_do(&c, "GET", SHOPS "/s", NULL), 200);
        EXPECT_TEXT(kr_cstr(&c.a, client_at(&c, "spec.colour")), colours[i]);
        EXPECT_TEXT(kr_cstr(&c.a, client_at(&c, "metadata.resourceVersion")), text);
        assert_int_equal(client_do(&c, "GET", SHOPS, NULL), 200);
        EXPECT_TEXT(kr_cstr(&c.a, kr_at_str(kr_item(kr_at(c.body, "items"), 0), "spec.colour")),
                    colours[i]);
    }
    assert_true(sandbox_watch_read(w, &events, 1));
    vclock_advance(&c.clock, 1000);
    assert_false(sandbox_watch_read(w, &events, 1));
    assert_int_equal(events.n, 0);
    sandbox_watch_close(w);
    client_close(&c);
}

/* Replaces the rule and the pattern of the definition. Returns the status. */
static int rule(struct client *c, const char *text, const char *pattern)
{
    int status;
    const char *patch = kr_cstr(
        &c->a,
        kr_fmt(
            &c->a,
            "[{\"op\":\"add\",\"path\":\"/spec/versions/0/schema/openAPIV3Schema/properties/spec/"
            "x-kubernetes-validations\",\"value\":[{\"rule\":\"%s\"}]},"
            "{\"op\":\"add\",\"path\":\"/spec/versions/0/schema/openAPIV3Schema/properties/spec/"
            "properties/name/pattern\",\"value\":\"%s\"}]",
            text, pattern));

    status = client_patch(c, "json", CRDS "/shops.example.io", patch);
    vclock_run(&c->clock);
    return status;
}

TEST(work, the_rules_of_a_definition_hold_and_change_with_it)
{
    struct client c;

    client_open(&c, &(struct sandbox_opts){.bare = true});
    define(&c);
    assert_int_equal(rule(&c, "self.size < 5", "^c"), 200);
    for (int i = 0; i < 2; i++) { /* the second time it is compiled already */
        assert_int_equal(shop(&c, "{size: 7}"), 422);
        assert_true(kr_str_find(client_at(&c, "message"), KR_S("failed rule: self.size < 5")) > 0);
        assert_int_equal(shop(&c, "{size: 2, name: d}"), 422);
    }
    assert_int_equal(rule(&c, "self.size < 10", "^d|r$"), 200);
    assert_int_equal(shop(&c, "{size: 11, name: d}"), 422);
    assert_int_equal(shop(&c, "{size: 7, name: c}"), 422);
    assert_int_equal(rule(&c, "no rule(", "^d|r$"), 422);    /* does not compile */
    assert_int_equal(rule(&c, "self.size < 20", "^d"), 422); /* the default would be wrong */
    assert_int_equal(shop(&c, "{size: 11, name: d}"), 422);  /* as before */
    client_close(&c);
}

TEST(work, a_definition_is_established_and_its_schema_holds)
{
    struct client c;

    client_open(&c, &(struct sandbox_opts){.bare = true});
    define(&c);
    assert_int_equal(shop(&c, "{size: 0}"), 422);
    assert_true(kr_str_is(client_at(&c, "reason"), "Invalid"));
    assert_int_equal(shop(&c, "{}"), 422);
    assert_int_equal(shop(&c, "{size: 2, unknown: 1}"), 201);
    assert_true(kr_str_is(client_at(&c, "spec.name"), "corner"));
    assert_true(kr_at(c.body, "spec.unknown").kind == KR_NONE);
    assert_true(kr_at(c.body, "status").kind == KR_NONE); /* has a path of its own */
    assert_int_equal(client_patch(&c, "merge", SHOPS "/s/status",
                                  "{\"status\":{\"x\":1},\"spec\":{\"size\":9}}"),
                     200);
    assert_int_equal(kr_at(c.body, "status.x").i, 1);
    assert_int_equal(kr_at(c.body, "spec.size").i, 2);
    assert_int_equal(kr_at(c.body, "metadata.generation").i, 1);
    client_close(&c);
}

TEST(work, a_definition_takes_its_objects_along)
{
    struct client c;
    struct sandbox_watch *w;

    client_open(&c, &(struct sandbox_opts){.bare = true});
    define(&c);
    shop(&c, "{size: 1}");
    w = client_watch(&c, SHOPS "?watch=1&resourceVersion=0");
    assert_int_equal(client_do(&c, "DELETE", CRDS "/shops.example.io", NULL), 200);
    assert_int_equal(shop(&c, "{size: 1}"), 403);
    EXPECT_TEXT(kr_cstr(&c.a, client_at(&c, "message")),
                "shops.example.io \"s\" is forbidden: create not allowed while custom resource "
                "definition is terminating");
    vclock_run(&c.clock);
    assert_int_equal(client_do(&c, "GET", CRDS "/shops.example.io", NULL), 404);
    assert_int_equal(client_do(&c, "GET", SHOPS, NULL), 404);
    sandbox_watch_close(w);
    define(&c); /* and it may come again */
    client_close(&c);
}

/* A ConfigMap "owner", and "child" that names it. */
static void own(struct client *c)
{
    client_do(c, "POST", MAPS, "{\"metadata\":{\"name\":\"owner\"}}");
    client_do(
        c, "POST", MAPS,
        kr_cstr(&c->a, kr_fmt(&c->a,
                              "{\"metadata\":{\"name\":\"child\",\"ownerReferences\":[{"
                              "\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"name\":\"owner\","
                              "\"uid\":\"" KR_FMT "\",\"blockOwnerDeletion\":true}]}}",
                              KR_ARG(client_at(c, "metadata.uid")))));
    vclock_run(&c->clock);
    assert_int_equal(client_do(c, "GET", MAPS "/child", NULL), 200);
}

TEST(work, dependents_go_with_their_owner)
{
    struct client c;

    client_open(&c, NULL);
    own(&c);
    client_do(&c, "DELETE", MAPS "/owner", NULL);
    assert_int_equal(client_do(&c, "GET", MAPS "/owner", NULL), 404);
    vclock_run(&c.clock);
    assert_int_equal(client_do(&c, "GET", MAPS "/child", NULL), 404);
    client_close(&c);
}

/* An object at that path, with one owner that is not there; is it left alone? */
static bool stays(struct client *c, const char *path, const char *api, const char *kind)
{
    client_do(
        c, "POST", path,
        kr_cstr(&c->a, kr_fmt(&c->a,
                              "{\"metadata\":{\"name\":\"x\",\"ownerReferences\":[{\"apiVersion\":"
                              "\"%s\",\"kind\":\"%s\",\"name\":\"o\",\"uid\":\"1\"}]}}",
                              api, kind)));
    assert_int_equal(c->status, 201);
    vclock_run(&c->clock);
    return client_do(c, "DELETE", kr_cstr(&c->a, kr_fmt(&c->a, "%s/x", path)), NULL) == 200;
}

TEST(work, an_owner_that_nobody_can_look_for_is_not_taken_for_gone)
{
    const char *roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    struct client c;

    client_open(&c, NULL);
    assert_false(stays(&c, MAPS, "v1", "Secret"));
    assert_true(stays(&c, MAPS, "v7", "Secret"));
    assert_true(stays(&c, MAPS, "example.io/v1", "Shop"));
    assert_false(stays(&c, roles, "v1", "Namespace"));
    assert_true(stays(&c, roles, "v1", "Secret"));
    define(&c);
    assert_false(stays(&c, MAPS, "example.io/v1", "Shop"));
    client_do(&c, "DELETE", CRDS "/shops.example.io", NULL);
    vclock_run(&c.clock);
    assert_false(stays(&c, MAPS, "example.io/v1", "Shop"));
    client_close(&c);
}

TEST(work, in_the_foreground_the_owner_waits)
{
    struct client c;

    client_open(&c, NULL);
    own(&c);
    client_patch(&c, "merge", MAPS "/child", "{\"metadata\":{\"finalizers\":[\"a.b/c\"]}}");
    client_do(&c, "DELETE", MAPS "/owner?propagationPolicy=Foreground", NULL);
    vclock_run(&c.clock);
    assert_int_equal(client_do(&c, "GET", MAPS "/owner", NULL), 200);
    client_patch(&c, "merge", MAPS "/child", "{\"metadata\":{\"finalizers\":null}}");
    vclock_run(&c.clock);
    assert_int_equal(client_do(&c, "GET", MAPS "/child", NULL), 404);
    assert_int_equal(client_do(&c, "GET", MAPS "/owner", NULL), 404);
    client_close(&c);
}

TEST(work, orphans_stay_without_reference)
{
    struct client c;

    client_open(&c, NULL);
    own(&c);
    client_do(&c, "DELETE", MAPS "/owner", "{\"propagationPolicy\":\"Orphan\"}");
    vclock_run(&c.clock);
    assert_int_equal(client_do(&c, "GET", MAPS "/owner", NULL), 404);
    assert_int_equal(client_do(&c, "GET", MAPS "/child", NULL), 200);
    assert_int_equal(kr_at(c.body, "metadata.ownerReferences").n, 0);
    client_close(&c);
}

TEST(work, a_bare_server_collects_nothing)
{
    struct client c;

    client_open(&c, &(struct sandbox_opts){.bare = true});
    own(&c);
    client_do(&c, "DELETE", MAPS "/owner", NULL);
    vclock_advance(&c.clock, 60000);
    assert_int_equal(client_do(&c, "GET", MAPS "/child", NULL), 200);
    client_close(&c);
}

TEST(work, a_namespace_ends_when_it_is_empty)
{
    struct client c;

    client_open(&c, NULL);
    client_do(&c, "POST", "/api/v1/namespaces", "{\"metadata\":{\"name\":\"n\"}}");
    client_do(&c, "POST", "/api/v1/namespaces/n/configmaps",
              "{\"metadata\":{\"name\":\"a\",\"finalizers\":[\"a.b/c\"]}}");
    client_do(&c, "DELETE", "/api/v1/namespaces/n", NULL);
    assert_true(kr_str_is(client_at(&c, "status.phase"), "Terminating"));
    vclock_run(&c.clock);
    assert_int_equal(
        client_do(&c, "POST", "/api/v1/namespaces/n/configmaps", "{\"metadata\":{\"name\":\"b\"}}"),
        403);
    assert_int_equal(client_do(&c, "GET", "/api/v1/namespaces/n", NULL), 200);
    client_patch(&c, "merge", "/api/v1/namespaces/n/configmaps/a",
                 "{\"metadata\":{\"finalizers\":null}}");
    vclock_run(&c.clock);
    assert_int_equal(client_do(&c, "GET", "/api/v1/namespaces/n", NULL), 404);
    client_close(&c);
}

TEST(work, a_workload_becomes_ready_after_a_while)
{
#define WEB "/apis/apps/v1/namespaces/default/deployments"
    static const char web[] =
        "{\"metadata\":{\"name\":\"web\"},\"spec\":{\"replicas\":2,\"selector\":{"
        "\"matchLabels\":{\"a\":\"b\"}},\"template\":{\"metadata\":{\"labels\":{"
        "\"a\":\"b\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}}}";
    struct client c;

    client_open(&c, &(struct sandbox_opts){.ready_after_ms = 1000});
    assert_int_equal(client_do(&c, "POST", WEB, web), 201);
    vclock_advance(&c.clock, 999);
    client_do(&c, "GET", WEB "/web", NULL);
    assert_true(kr_at(c.body, "status.readyReplicas").kind == KR_NONE);
    vclock_advance(&c.clock, 1);
    client_do(&c, "GET", WEB "/web", NULL);
    assert_int_equal(kr_at(c.body, "status.readyReplicas").i, 2);
    client_close(&c);
}

TEST(work, what_was_saved_comes_back)
{
    const char *path = "sandbox_work_test.save";
    struct kr_err err = KR_ERR_NONE;
    struct client c, d;
    uint64_t version;

    client_open(&c, &(struct sandbox_opts){.bare = true});
    define(&c);
    shop(&c, "{size: 3}");
    version = sandbox_version(c.s);
    EXPECT_OK(sandbox_save(c.s, path, &err), &err);
    client_open(&d, &(struct sandbox_opts){.bare = true});
    EXPECT_OK(sandbox_load(d.s, path, &err), &err);
    vclock_run(&d.clock);
    assert_int_equal(sandbox_version(d.s), version + SANDBOX_VERSION_GAP);
    assert_int_equal(client_do(&d, "GET", SHOPS "/s", NULL), 200);
    assert_int_equal(kr_at(d.body, "spec.size").i, 3);
    assert_int_equal(sandbox_objects_n(d.s), sandbox_objects_n(c.s));
    client_close(&c);
    client_close(&d);
    unlink(path);
}

TEST(work, a_file_that_was_cut_is_refused)
{
    const char *path = "sandbox_work_test.cut";
    struct kr_err err = KR_ERR_NONE;
    struct client c;

    client_open(&c, NULL);
    assert_int_equal(sandbox_load(c.s, path, &err), 1);
    EXPECT_OK(sandbox_save(c.s, path, &err), &err);
    assert_int_equal(truncate(path, 200), 0);
    assert_true(sandbox_load(c.s, path, &err) < 0);
    client_close(&c);
    unlink(path);
}

static void show_as(struct client *c, const char *path, const char *form)
{
    struct sandbox_request q = {
        .method = "GET",
        .path = kr_str_c(path),
        .accept = kr_fmt(&c->a, "application/json;as=%s;v=v1;g=meta.k8s.io", form)};
    struct sandbox_response r = {0};
    KR_AUTO(kr_buf) line = KR_BUF(SANDBOX_OBJECT_MAX);

    sandbox_serve(c->s, &q, &r);
    assert_int_equal(r.status, 200);
    if (r.watch) {
        assert_true(sandbox_watch_read(r.watch, &line, SANDBOX_OBJECT_MAX));
        assert_true(line.n > 0);
    }
    sandbox_watch_close(r.watch);
    sandbox_response_fini(&r);
}

/* A status of so many maps, one in the other. */
static const char *nested(struct client *c, uint32_t levels)
{
    struct kr_buf b = KR_BUF(4096);
    const char *text;

    kr_buf_fmt(&b, "{\"status\":");
    for (uint32_t i = 0; i < levels; i++)
        kr_buf_fmt(&b, "{\"a\":");
    kr_buf_chr(&b, '1');
    for (uint32_t i = 0; i <= levels; i++)
        kr_buf_chr(&b, '}');
    text = kr_cstr(&c->a, kr_buf_view(&b));
    kr_buf_fini(&b);
    return text;
}

TEST(work, what_is_stored_can_be_shown_and_saved_however_deep)
{
    struct client c, other;
    struct kr_err err = KR_ERR_NONE;
    KR_AUTO(kr_buf) text = KR_BUF(SANDBOX_RESPONSE_MAX);
    uint32_t taken_n = 0;

    client_open(&c, NULL);
    client_open(&other, NULL);
    define(&c);
    assert_int_equal(shop(&c, "{\"size\":1}"), 201);
    for (uint32_t levels = 60; levels < 100; levels++) {
        const char *body = nested(&c, levels);
        int dry = client_patch(&c, "merge", SHOPS "/s/status?dryRun=All", body),
            status = client_patch(&c, "merge", SHOPS "/s/status", body);

        assert_int_equal(dry, status);
        assert_true(status == 400 || (status == 200 && taken_n == levels - 60));
        taken_n += status == 200;
        show_as(&c, SHOPS "?includeObject=Object", "Table");
        show_as(&c, SHOPS "?includeObject=Object&watch=true", "Table");
        show_as(&c, SHOPS, "PartialObjectMetadataList");
        kr_buf_reset(&text);
        sandbox_text(c.s, &text);
    }
    assert_in_range(taken_n, 20, 35);
    sandbox_free(other.s);
    other.s = sandbox_new(&other.clock.door, &(struct sandbox_opts){0});
    EXPECT_OK(sandbox_fill(other.s, kr_buf_view(&text), &err), &err);
    client_close(&other);
    client_close(&c);
}

int main(void)
{
    return RUN(T(work, what_is_stored_can_be_shown_and_saved_however_deep),
               T(work, a_definition_is_established_and_its_schema_holds),
               T(work, a_new_schema_is_read_by_and_ends_the_streams),
               T(work, a_definition_takes_its_objects_along),
               T(work, an_owner_that_nobody_can_look_for_is_not_taken_for_gone),
               T(work, dependents_go_with_their_owner), T(work, in_the_foreground_the_owner_waits),
               T(work, the_rules_of_a_definition_hold_and_change_with_it),
               T(work, orphans_stay_without_reference), T(work, a_bare_server_collects_nothing),
               T(work, a_namespace_ends_when_it_is_empty),
               T(work, a_workload_becomes_ready_after_a_while), T(work, what_was_saved_comes_back),
               T(work, a_file_that_was_cut_is_refused));
}
