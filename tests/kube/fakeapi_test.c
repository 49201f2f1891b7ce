/* SPDX-License-Identifier: Apache-2.0 */
/* fakeapi is what other tests stand on: here it is held to what kube-apiserver does. */
#include "tests/kube/virtual.h"

static const char cm_path[] = "/api/v1/namespaces/default/configmaps/a";
static const char deploy_path[] = "/apis/apps/v1/namespaces/default/deployments/web";

/* "manager operation [subresource] fieldsV1" lines */
static const char *owners(struct virt *v, const char *path)
{
    KR_AUTO(kr_buf) b = KR_BUF(64 * 1024);

    KR_LIST_EACH (e, kr_at(fakeapi_get(v->api, &v->a, path), "metadata.managedFields"))
        kr_buf_fmt(&b, KR_FMT " " KR_FMT " " KR_FMT KR_FMT "\n", KR_ARG(kr_at_str(*e, "manager")),
                   KR_ARG(kr_at_str(*e, "operation")), KR_ARG(kr_at_str(*e, "subresource")),
                   KR_ARG(kr_json_str(&v->a, kr_at(*e, "fieldsV1"))));
    return kr_strdup(&v->a, kr_buf_view(&b)).s;
}

static const char *text(struct virt *v, const char *path, const char *part)
{
    return kr_strdup(&v->a, kr_json_str(&v->a, kr_at(fakeapi_get(v->api, &v->a, path), part))).s;
}

TEST(fakeapi, apply_owns_what_it_gives_and_takes_away_what_it_no_longer_gives)
{
    struct virt v;

    virt_open(&v, NULL);
    fakeapi_apply(v.api, "one",
                  "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, labels: {x: y}}, data: "
                  "{k: '1', l: '2'}}");
    EXPECT_TEXT(
        owners(&v, cm_path),
        "one Apply "
        "{\"f:data\":{\"f:k\":{},\"f:l\":{}},\"f:metadata\":{\"f:labels\":{\"f:x\":{}}}}\n");
    fakeapi_apply(v.api, "two",
                  "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {l: '2', m: '3'}}");
    fakeapi_apply(v.api, "one", "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {}}");
    EXPECT_TEXT(text(&v, cm_path, "data"), "{\"l\":\"2\",\"m\":\"3\"}");
    EXPECT_TEXT(text(&v, cm_path, "metadata.labels"), "null");
    virt_close(&v);
}

TEST(fakeapi, an_apply_that_changes_nothing_makes_no_new_version)
{
    static const char yaml[] =
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {k: '1'}}";
    struct virt v;
    const char *before;

    virt_open(&v, NULL);
    fakeapi_apply(v.api, "one", yaml);
    before = text(&v, cm_path, "metadata");
    vclock_advance(&v.clock, 5000);
    fakeapi_apply(v.api, "one", yaml);
    EXPECT_TEXT(text(&v, cm_path, "metadata"), before);
    virt_close(&v);
}

TEST(fakeapi, an_apply_with_a_uid_is_for_that_object_alone)
{
    static const char other[] = "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{"
                                "\"name\":\"a\",\"uid\":\"other\"},\"data\":{\"k\":\"2\"}}";
    struct virt v;
    kr_val body, answer;

    virt_open(&v, NULL);
    body = test_json(&v.a, other);
    assert_int_equal(fakeapi_do(v.api, &v.a, "PATCH", cm_path, "one",
                                "application/apply-patch+yaml", body, &answer),
                     409);
    EXPECT_TEXT(kr_strdup(&v.a, kr_at_str(answer, "message")).s,
                "Operation cannot be fulfilled on configmaps \"a\": uid mismatch: the provided "
                "object specified uid other, and no existing object was found");
    fakeapi_apply(v.api, "one",
                  "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {k: '1'}}");
    assert_int_equal(fakeapi_do(v.api, &v.a, "PATCH", cm_path, "one",
                                "application/apply-patch+yaml", body, &answer),
                     422);
    body = kr_with(&v.a, body, "metadata.uid",
                   kr_at(fakeapi_get(v.api, &v.a, cm_path), "metadata.uid"));
    assert_int_equal(fakeapi_do(v.api, &v.a, "PATCH", cm_path, "one",
                                "application/apply-patch+yaml", body, &answer),
                     200);
    EXPECT_TEXT(owners(&v, cm_path), "one Apply {\"f:data\":{\"f:k\":{}}}\n");
    virt_close(&v);
}

TEST(fakeapi, a_foreign_write_takes_a_field_out_of_our_set)
{
    struct virt v;
    kr_val body, answer;

    virt_open(&v, NULL);
    fakeapi_apply(v.api, "one",
                  "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {k: '1', l: '2'}}");
    assert_int_equal(fakeapi_patch(v.api, "edit", cm_path, "{data: {k: '9'}}"), 200);
    EXPECT_TEXT(owners(&v, cm_path),
                "one Apply {\"f:data\":{\"f:l\":{}}}\nedit Update {\"f:data\":{\"f:k\":{}}}\n");
    body = test_json(&v.a, "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":"
                           "\"a\"},\"data\":{\"k\":\"1\"}}");
    assert_int_equal(fakeapi_do(v.api, &v.a, "PATCH", cm_path, "one",
                                "application/apply-patch+yaml", body, &answer),
                     409);
    EXPECT_TEXT(kr_strdup(&v.a, kr_at_str(answer, "message")).s,
                "Apply failed with 1 conflict: conflict with \"edit\": .data.k");
    virt_close(&v);
}

TEST(fakeapi, lists_merge_by_the_keys_of_the_schema)
{
    struct virt v;

    virt_open(&v, NULL);
    fakeapi_apply(v.api, "one",
                  "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {selector: "
                  "{matchLabels: {a: b}}, template: "
                  "{metadata: {labels: {a: b}}, spec: {containers: [{name: web, image: i, ports: "
                  "[{containerPort: 80}]}]}}}}");
    EXPECT_TEXT(owners(&v, deploy_path), "one Apply "
                                         "{\"f:spec\":{\"f:selector\":{},\"f:template\":{\"f:"
                                         "metadata\":{\"f:labels\":{\"f:a\":{}}},\"f:spec\":{"
                                         "\"f:containers\":{\"k:{\\\"name\\\":\\\"web\\\"}\":{\"."
                                         "\":{},\"f:image\":{},\"f:name\":{},\"f:ports\":{\"k:{"
                                         "\\\"containerPort\\\":80,\\\"protocol\\\":\\\"TCP\\\"}\":"
                                         "{\".\":{},\"f:containerPort\":{}}}}}}}}}\n");
    fakeapi_apply(v.api, "two",
                  "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {template: "
                  "{spec: {containers: [{name: side, "
                  "image: s}, {name: web, env: [{name: A, value: b}]}]}}}}");
    EXPECT_TEXT(text(&v, deploy_path, "spec.replicas"), "1");
    EXPECT_TEXT(text(&v, deploy_path, "metadata.generation"), "2");
    fakeapi_apply(
        v.api, "two",
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {paused: true}}");
    EXPECT_TEXT(text(&v, deploy_path, "spec.template.spec.containers"),
                "[{\"image\":\"i\",\"name\":\"web\",\"ports\":[{\"containerPort\":80,\"protocol\":"
                "\"TCP\"}],"
                "\"terminationMessagePath\":\"/dev/"
                "termination-log\",\"terminationMessagePolicy\":\"File\"}]");
    virt_close(&v);
}

TEST(fakeapi, secrets_keep_string_data_in_the_set_and_base64_in_data)
{
    struct virt v;
    static const char path[] = "/api/v1/namespaces/default/secrets/s";

    virt_open(&v, NULL);
    fakeapi_apply(v.api, "one",
                  "{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {p: geheim}}");
    fakeapi_apply(v.api, "two",
                  "{apiVersion: v1, kind: Secret, metadata: {name: s, labels: {a: b}}}");
    EXPECT_TEXT(text(&v, path, "data"), "{\"p\":\"Z2VoZWlt\"}");
    EXPECT_TEXT(text(&v, path, "stringData"), "null");
    assert_non_null(strstr(owners(&v, path), "one Apply {\"f:stringData\":{\"f:p\":{}}}"));
    virt_close(&v);
}

TEST(fakeapi, status_is_a_world_of_its_own_and_versions_are_checked)
{
    struct virt v;
    struct kube_req req = {.verb = KUBE_UPDATE, .ref = DEPLOYMENT("web"), .subresource = "status"};
    KR_AUTO(kr_buf) body = KR_BUF(4096);

    virt_open(&v, NULL);
    fakeapi_apply(v.api, "one",
                  "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: "
                  "2}, status: {replicas: 9}}");
    EXPECT_TEXT(text(&v, deploy_path, "status"), "null");
    kr_buf_fmt(
        &body,
        "{\"metadata\":{\"name\":\"web\",\"resourceVersion\":%s},\"status\":{\"replicas\":2}}",
        text(&v, deploy_path, "metadata.resourceVersion"));
    virt_send(&v, &req, body.s);
    EXPECT_OK(req.rc, &req.err);
    EXPECT_TEXT(text(&v, deploy_path, "status"), "{\"replicas\":2}");
    EXPECT_TEXT(text(&v, deploy_path, "metadata.generation"), "1");
    assert_non_null(
        strstr(owners(&v, deploy_path), "kro Update status{\"f:status\":{\"f:replicas\":{}}}"));
    virt_send(&v, &req, body.s);
    assert_int_equal(req.rc, KR_E_API);
    assert_int_equal(req.reason, KUBE_R_CONFLICT);
    EXPECT_TEXT(req.err.text, "update deployments.v1.apps default/web status: 409 Conflict: "
                              "Operation cannot be fulfilled on "
                              "deployments.apps \"web\": the object has been modified; please "
                              "apply your changes to the latest "
                              "version and try again");
    kube_req_fini(&req);
    virt_close(&v);
}

TEST(fakeapi, finalizers_hold_a_deleted_object)
{
    struct virt v;

    virt_open(&v, NULL);
    fakeapi_apply(v.api, "one",
                  "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, finalizers: [x/y]}}");
    assert_int_equal(fakeapi_delete(v.api, cm_path), 200);
    assert_string_not_equal(text(&v, cm_path, "metadata.deletionTimestamp"), "null");
    assert_int_equal(fakeapi_patch(v.api, "one", cm_path, "{metadata: {finalizers: null}}"), 200);
    assert_int_equal(fakeapi_get(v.api, &v.a, cm_path).kind, KR_NONE);
    assert_int_equal(fakeapi_delete(v.api, cm_path), 404);
    virt_close(&v);
}

TEST(fakeapi, delete_keeps_to_preconditions)
{
    struct virt v;
    struct kube_req req = {.verb = KUBE_DELETE, .ref = CONFIGMAP("a")};

    virt_open(&v, NULL);
    fakeapi_apply(v.api, "one", "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}");
    virt_send(&v, &req, "{\"preconditions\":{\"uid\":\"other\"}}");
    assert_int_equal(req.reason, KUBE_R_CONFLICT);
    virt_send(&v, &req, NULL);
    assert_int_equal(req.rc, KR_E_API); /* the body is still there */
    assert_int_equal(kube_req_set_body(&req, KR_V_NONE, NULL), 0);
    virt_send(&v, &req, NULL);
    EXPECT_OK(req.rc, &req.err);
    EXPECT_TEXT(fakeapi_log(v.api), "DELETE /api/v1/namespaces/default/configmaps/a - 409\n"
                                    "DELETE /api/v1/namespaces/default/configmaps/a - 409\n"
                                    "DELETE /api/v1/namespaces/default/configmaps/a - 200\n");
    assert_int_equal(fakeapi_log_n(v.api, NULL, NULL), 3);
    assert_int_equal(fakeapi_log_n(v.api, "GET", NULL), 0);
    kube_req_fini(&req);
    virt_close(&v);
}

TEST(fakeapi, lists_come_in_pages_and_by_selector)
{
    struct virt v;
    struct kube_req req = {
        .verb = KUBE_LIST, .ref = CONFIGMAP(""), .query = KR_S("limit=2&labelSelector=app%3Dx")};
    KR_AUTO(kr_buf) next = KR_BUF(4096);

    virt_open(&v, NULL);
    for (char c = 'a'; c <= 'f'; c++)
        fakeapi_apply(
            v.api, "one",
            kr_fmt(&v.a,
                   "{apiVersion: v1, kind: ConfigMap, metadata: {name: %c, labels: {app: %s}}}", c,
                   c == 'c' ? "y" : "x")
                .s);
    req.ref.name = (kr_str){0};
    virt_send(&v, &req, NULL);
    EXPECT_OK(req.rc, &req.err);
    assert_int_equal(kr_at(req.object, "items").n, 2);
    kr_buf_str(&next, KR_S("limit=9&labelSelector=app%3Dx&continue="));
    kube_query_escape(&next, kr_at_str(req.object, "metadata.continue"));
    req.query = kr_buf_view(&next);
    virt_send(&v, &req, NULL);
    EXPECT_TEXT(kr_json_str(&v.a, kr_at(kr_item(kr_at(req.object, "items"), 0), "metadata.name")).s,
                "\"d\"");
    assert_int_equal(kr_at(req.object, "items").n, 3);
    fakeapi_patch(v.api, "x", cm_path, "{data: {a: b}}");
    fakeapi_compact(v.api);
    virt_send(&v, &req, NULL);
    assert_int_equal(req.reason, KUBE_R_EXPIRED);
    kube_req_fini(&req);
    virt_close(&v);
}

/* --- watches ---------------------------------------------------------------------------------- */

struct watcher {
    struct kube_exchange x;
    struct kr_buf got;
    int status, rc;
    bool ended;
};

static void on_head(struct kube_exchange *x, int status, int64_t retry_after_ms)
{
    KR_OWNER(x, struct watcher, x)->status = status;
}

static bool on_bytes(struct kube_exchange *x, const char *bytes, size_t n)
{
    kr_buf_add(&KR_OWNER(x, struct watcher, x)->got, bytes, n);
    return true;
}

static void on_end(struct kube_exchange *x, int rc, const struct kr_err *err)
{
    struct watcher *w = KR_OWNER(x, struct watcher, x);

    w->ended = true;
    w->rc = rc;
}

static void watch(struct virt *v, struct watcher *w, const char *path)
{
    struct kube_transport *t = fakeapi_transport(v->api);

    kr_buf_fini(&w->got);
    *w = (struct watcher){.got = KR_BUF(1024 * 1024)};
    w->x = (struct kube_exchange){.method = "GET",
                                  .path = kr_str_c(path),
                                  .stream = true,
                                  .on_head = on_head,
                                  .on_bytes = on_bytes,
                                  .on_end = on_end};
    t->ops->start(t, &w->x);
    virt_settle(v);
}

/* "ADDED a\n..." and forgets them */
static const char *events(struct virt *v, struct watcher *w)
{
    KR_AUTO(kr_buf) b = KR_BUF(64 * 1024);
    kr_str rest = kr_buf_view(&w->got);

    while (rest.n > 0) {
        kr_val e = test_json(&v->a, kr_strdup(&v->a, kr_str_cut(&rest, '\n')).s);

        kr_buf_fmt(&b, KR_FMT " " KR_FMT "%s\n", KR_ARG(kr_at_str(e, "type")),
                   KR_ARG(kr_at_str(e, "object.metadata.name")),
                   kr_at(e, "object.metadata.annotations").n ? " initial-events-end" : "");
    }
    kr_buf_reset(&w->got);
    return b.n ? kr_strdup(&v->a, kr_buf_view(&b)).s : "";
}

TEST(fakeapi, a_watch_tells_what_enters_and_leaves_its_selection)
{
    struct virt v;
    struct watcher w = {0};

    virt_open(&v, NULL);
    fakeapi_apply(v.api, "one",
                  "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, labels: {p: q}}}");
    watch(&v, &w,
          "/api/v1/"
          "configmaps?watch=true&resourceVersion=1000&allowWatchBookmarks=true&labelSelector=p");
    EXPECT_TEXT(events(&v, &w), "ADDED a\n");
    fakeapi_apply(v.api, "one", "{apiVersion: v1, kind: ConfigMap, metadata: {name: b}}");
    fakeapi_patch(v.api, "x", cm_path, "{data: {a: b}}");
    virt_settle(&v);
    EXPECT_TEXT(events(&v, &w), "MODIFIED a\n");
    fakeapi_patch(v.api, "x", cm_path, "{metadata: {labels: null}}");
    fakeapi_patch(v.api, "x", "/api/v1/namespaces/default/configmaps/b",
                  "{metadata: {labels: {p: ''}}}");
    fakeapi_delete(v.api, "/api/v1/namespaces/default/configmaps/b");
    virt_settle(&v);
    EXPECT_TEXT(events(&v, &w), "DELETED a\nADDED b\nDELETED b\n");
    fakeapi_bookmark(v.api);
    virt_settle(&v);
    EXPECT_TEXT(events(&v, &w), "BOOKMARK \n");
    fakeapi_break_watches(v.api, KR_E_IO);
    virt_settle(&v);
    assert_true(w.ended && w.rc == KR_E_IO);
    kr_buf_fini(&w.got);
    virt_close(&v);
}

TEST(fakeapi, a_watch_from_a_forgotten_version_is_told_410_and_the_streaming_list_begins_with_all)
{
    struct virt v;
    struct watcher w = {0};

    virt_open(&v, NULL);
    fakeapi_apply(v.api, "one", "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}");
    fakeapi_compact(v.api);
    watch(&v, &w, "/api/v1/configmaps?watch=1&resourceVersion=1001");
    EXPECT_TEXT(kr_strdup(&v.a, kr_str_sub(kr_buf_view(&w.got), 0, 39)).s,
                "{\"object\":{\"apiVersion\":\"v1\",\"code\":410");
    assert_true(w.ended && w.rc == 0);
    watch(&v, &w,
          "/api/v1/"
          "configmaps?watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch="
          "NotOlderThan");
    EXPECT_TEXT(events(&v, &w), "ADDED a\nBOOKMARK  initial-events-end\n");
    fakeapi_break_watches(v.api, 0);
    virt_settle(&v);
    assert_true(w.ended && w.rc == 0);
    fakeapi_opts(v.api)->no_streaming_list = true;
    watch(&v, &w, "/api/v1/configmaps?watch=1&sendInitialEvents=true&allowWatchBookmarks=true");
    assert_int_equal(w.status, 422);
    kr_buf_fini(&w.got);
    virt_close(&v);
}

/* --- CRDs and what is told about kinds -------------------------------------------------------- */

static const char crd[] =
    "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: "
    "apps.x.io}, spec: {group: x.io, scope: "
    "Namespaced, names: {kind: App, plural: apps}, versions: [{name: v1, served: true, storage: "
    "true, subresources: {status: {}}, "
    "schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {num: "
    "{type: integer, default: 3}}}, "
    "status: {type: object, x-kubernetes-preserve-unknown-fields: true}}}}}]}}";

TEST(fakeapi, a_crd_serves_its_kind_once_it_is_established)
{
    static const char path[] = "/apis/x.io/v1/namespaces/default/apps/i";
    struct virt v;
    struct watcher w = {0};

    virt_open(&v, &(struct fakeapi_opts){.crd_delay_ms = 300});
    fakeapi_apply(v.api, "one", crd);
    assert_int_equal(fakeapi_get(v.api, &v.a, "/apis/x.io/v1/apps").kind, KR_NONE);
    vclock_advance(&v.clock, 300);
    watch(&v, &w, "/apis/x.io/v1/apps?watch=1");
    fakeapi_apply(v.api, "one",
                  "{apiVersion: x.io/v1, kind: App, metadata: {name: i}, spec: {unknown: 1}, "
                  "status: {a: b}}");
    EXPECT_TEXT(text(&v, path, "spec"), "{\"num\":3}");
    EXPECT_TEXT(text(&v, path, "status"), "null");
    EXPECT_TEXT(text(&v, path, "metadata.generation"), "1");
    assert_int_equal(fakeapi_patch(v.api, "s", "/apis/x.io/v1/namespaces/default/apps/i/status",
                                   "{status: {a: [1]}}"),
                     200);
    EXPECT_TEXT(text(&v, path, "status"), "{\"a\":[1]}");
    fakeapi_delete(v.api, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/apps.x.io");
    virt_settle(&v);
    EXPECT_TEXT(events(&v, &w), "ADDED i\nMODIFIED i\nDELETED i\n");
    assert_true(w.ended);
    assert_int_equal(fakeapi_objects_n(v.api, "apps", "x.io"), 0);
    kr_buf_fini(&w.got);
    virt_close(&v);
}

TEST(fakeapi, it_takes_our_own_definitions)
{
    struct virt v;
    kr_str file;

    virt_open(&v, NULL);
    assert_true(test_file(&v.a, KROC_SOURCE "/deploy/crds/resourcegraphdefinitions.yaml", &file));
    fakeapi_apply(v.api, "kubectl", kr_cstr(&v.a, file));
    assert_true(test_file(&v.a, KROC_SOURCE "/deploy/crds/graphrevisions.yaml", &file));
    fakeapi_apply(v.api, "kubectl", kr_cstr(&v.a, file));
    virt_settle(&v);
    assert_true(test_file(&v.a, KROC_SOURCE "/examples/webapp/rgd.yaml", &file));
    fakeapi_apply(v.api, "kubectl", kr_cstr(&v.a, file));
    EXPECT_TEXT(
        text(&v, "/apis/kro.run/v1alpha1/resourcegraphdefinitions/webapp", "spec.schema.kind"),
        "\"WebApp\"");
    assert_int_equal(
        kr_at(fakeapi_get(v.api, &v.a, "/apis/kro.run/v1alpha1/resourcegraphdefinitions/webapp"),
              "spec.resources")
            .n,
        4);
    virt_close(&v);
}

TEST(fakeapi, kinds_are_told_in_both_forms_and_with_their_schemas)
{
    struct virt v;
    kr_val doc, index;
    struct kube_req req = {
        .verb = KUBE_GET,
        .path = KR_S("/apis"),
        .accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"};

    virt_open(&v, NULL);
    fakeapi_apply(v.api, "one", crd);
    virt_settle(&v);
    virt_send(&v, &req, NULL);
    assert_true(kr_str_is(kr_at_str(req.object, "kind"), "APIGroupDiscoveryList"));
    assert_int_equal(kr_at(req.object, "items").n, 5);
    kube_req_fini(&req);
    assert_int_equal(kr_at(fakeapi_get(v.api, &v.a, "/apis"), "groups").n, 5);
    assert_int_equal(kr_at(fakeapi_get(v.api, &v.a, "/apis/x.io/v1"), "resources").n, 2);
    index = fakeapi_get(v.api, &v.a, "/openapi/v3");
    assert_true(
        kr_at_path(index,
                   (kr_str[]){KR_S("paths"), KR_S("apis/x.io/v1"), KR_S("serverRelativeURL")}, 3)
            .kind == KR_STRING);
    doc = fakeapi_get(v.api, &v.a, "/openapi/v3/apis/x.io/v1");
    doc = kr_at_path(doc, (kr_str[]){KR_S("components"), KR_S("schemas"), KR_S("io.x.v1.App")}, 3);
    EXPECT_TEXT(kr_json_str(&v.a, kr_at(doc, "x-kubernetes-group-version-kind")).s,
                "[{\"group\":\"x.io\",\"kind\":\"App\",\"version\":\"v1\"}]");
    assert_true(kr_str_is(kr_at_str(doc, "properties.spec.type"), "object"));
    virt_close(&v);
}

TEST(fakeapi, when_it_is_down_everything_breaks_and_objects_stay)
{
    struct virt v;
    struct kube_req req = {.verb = KUBE_GET, .ref = CONFIGMAP("a")};

    virt_open(&v, NULL);
    fakeapi_apply(v.api, "one", "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}");
    fakeapi_set_down(v.api, true);
    virt_send(&v, &req, NULL);
    assert_int_equal(req.rc, KR_E_IO);
    assert_true(req.unsent);
    fakeapi_set_down(v.api, false);
    virt_send(&v, &req, NULL);
    EXPECT_OK(req.rc, &req.err);
    kube_req_fini(&req);
    virt_close(&v);
}

int main(void)
{
    return RUN(
        T(fakeapi, apply_owns_what_it_gives_and_takes_away_what_it_no_longer_gives),
        T(fakeapi, an_apply_that_changes_nothing_makes_no_new_version),
        T(fakeapi, an_apply_with_a_uid_is_for_that_object_alone),
        T(fakeapi, a_foreign_write_takes_a_field_out_of_our_set),
        T(fakeapi, lists_merge_by_the_keys_of_the_schema),
        T(fakeapi, secrets_keep_string_data_in_the_set_and_base64_in_data),
        T(fakeapi, status_is_a_world_of_its_own_and_versions_are_checked),
        T(fakeapi, finalizers_hold_a_deleted_object), T(fakeapi, delete_keeps_to_preconditions),
        T(fakeapi, lists_come_in_pages_and_by_selector),
        T(fakeapi, a_watch_tells_what_enters_and_leaves_its_selection),
        T(fakeapi,
          a_watch_from_a_forgotten_version_is_told_410_and_the_streaming_list_begins_with_all),
        T(fakeapi, a_crd_serves_its_kind_once_it_is_established),
        T(fakeapi, it_takes_our_own_definitions),
        T(fakeapi, kinds_are_told_in_both_forms_and_with_their_schemas),
        T(fakeapi, when_it_is_down_everything_breaks_and_objects_stay));
}
