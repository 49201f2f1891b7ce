/* SPDX-License-Identifier: Apache-2.0 */
/* openapi_test.c - schemas are loaded when wanted, once, and anew when their hash changes. */
#include "kube/openapi.h"

#include "tests/kube/routes.h"

struct fixture {
    struct kr_arena a;
    struct routes r;
    struct kube_discovery *d;
    struct kube_openapi *o;
};

struct loading {
    struct kube_schemas_req req;
    int done_n;
};

#define KIND(resource, kind)                                                                       \
    "{\"resource\":\"" resource "\",\"responseKind\":{\"kind\":\"" kind                            \
    "\"},\"scope\":\"Namespaced\",\"verbs\":[]}"
#define APIS                                                                                       \
    "{\"kind\":\"APIGroupDiscoveryList\",\"items\":[{\"metadata\":{\"name\":\"x.io\"},"            \
    "\"versions\":[{\"version\":"                                                                  \
    "\"v1\",\"resources\":[" KIND("as", "A") "," KIND("bs", "B") "]}]}]}"
#define API                                                                                        \
    "{\"kind\":\"APIGroupDiscoveryList\",\"items\":[{\"metadata\":{\"name\":\"\"},\"versions\":[{" \
    "\"version\":"                                                                                 \
    "\"v1\",\"resources\":[" KIND("cs", "C") "]}]}]}"
#define INDEX(hash)                                                                                \
    "{\"paths\":{\"apis/x.io/v1\":{\"serverRelativeURL\":\"/openapi/v3/apis/x.io/v1?hash=" hash    \
    "\"},"                                                                                         \
    "\"api/v1\":{\"serverRelativeURL\":\"/openapi/v3/api/v1?hash=C\"}}}"
#define GVK(g, v, k)                                                                               \
    "\"x-kubernetes-group-version-kind\":[{\"group\":\"" g "\",\"version\":\"" v                   \
    "\",\"kind\":\"" k "\"}]"
#define DOC                                                                                        \
    "{\"openapi\":\"3.0.0\",\"paths\":{\"/"                                                        \
    "x\":{\"get\":{\"description\":\"long\"}}},\"components\":{\"schemas\":{"                      \
    "\"io.x.A\":{\"type\":\"object\",\"description\":\"an "                                        \
    "A\",\"properties\":{\"description\":{\"type\":\"string\"},"                                   \
    "\"part\":{\"allOf\":[{\"$ref\":\"#/components/schemas/"                                       \
    "io.x.Part\"}],\"default\":{\"description\":\"d\"}}}," GVK(                                    \
        "x.io", "v1",                                                                              \
        "A") "},"                                                                                  \
             "\"io.x.B\":{\"type\":\"object\",\"properties\":{\"b\":{\"type\":\"integer\"}}," GVK( \
                 "x.io", "v1",                                                                     \
                 "B") "},"                                                                         \
                      "\"io.x.Part\":{\"type\":\"object\",\"properties\":{\"n\":{\"type\":"        \
                      "\"integer\",\"description\":\"count\"},"                                    \
                      "\"again\":{\"$ref\":\"#/components/schemas/"                                \
                      "io.x.Part\"},\"lost\":{\"$ref\":\"#/components/schemas/no\"}}},"            \
                      "\"io.x.Unused\":{\"type\":\"object\"}}}}"

static const kr_gvk gvk_a = {{"x.io", 4}, {"v1", 2}, {"A", 1}};
static const kr_gvk gvk_b = {{"x.io", 4}, {"v1", 2}, {"B", 1}};
static const kr_gvk gvk_c = {{"", 0}, {"v1", 2}, {"C", 1}};
static const kr_gvk gvk_none = {{"x.io", 4}, {"v1", 2}, {"None", 4}};

#define URL_A(hash) "/openapi/v3/apis/x.io/v1?hash=" hash

static void fixture_init(struct fixture *f)
{
    *f = (struct fixture){0};
    routes_init(&f->r);
    f->d = kube_discovery_new(f->r.client);
    f->o = kube_openapi_new(f->r.client, f->d);
    routes_set(&f->r, "/api", 200, KR_S(API));
    routes_set(&f->r, "/apis", 200, KR_S(APIS));
    routes_set(&f->r, "/openapi/v3", 200, KR_S(INDEX("1")));
    routes_set(&f->r, URL_A("1"), 200, KR_S(DOC));
    routes_set(&f->r, URL_A("2"), 200, KR_S(DOC));
    routes_set(&f->r, "/openapi/v3/api/v1?hash=C", 200, KR_S("{\"components\":{\"schemas\":{}}}"));
}

static void fixture_fini(struct fixture *f)
{
    kube_openapi_free(f->o);
    kube_discovery_free(f->d);
    routes_fini(&f->r);
    kr_arena_fini(&f->a);
}

static void on_done(struct kube_schemas_req *req)
{
    KR_OWNER(req, struct loading, req)->done_n++;
}

static void start(struct fixture *f, struct loading *l, const kr_gvk *gvks, uint32_t n)
{
    l->req.gvks = gvks;
    l->req.gvks_n = n;
    l->req.on_done = on_done;
    kube_schemas_start(f->o, &l->req);
    assert_int_equal(l->done_n, 0);
}

static void finish(struct loading *l)
{
    cel_kinds_free(l->req.kinds);
    kube_schemas_fini(&l->req);
    *l = (struct loading){0};
}

/* A whole load; the kinds are in l->req. */
static void load(struct fixture *f, struct loading *l, const kr_gvk *gvks, uint32_t n)
{
    start(f, l, gvks, n);
    routes_run(&f->r);
    assert_int_equal(l->done_n, 1);
}

TEST(kube_openapi, loads_the_wanted_kinds_and_what_they_reach)
{
    struct fixture f;
    struct loading l = {0};
    const struct cel_kind *k;
    kr_str path[] = {KR_S("part"), KR_S("n")};

    fixture_init(&f);
    load(&f, &l, &gvk_a, 1);
    EXPECT_OK(l.req.rc, &l.req.err);
    EXPECT_TEXT(routes_asked(&f.r, &f.a), "/api\n/apis\n/openapi/v3\n" URL_A("1") "\n");
    k = cel_kinds_find(l.req.kinds, gvk_a);
    assert_true(k && k->schema && k->namespaced && kr_str_is(k->resource, "as"));
    assert_int_equal(cel_schema_at(k->schema, path, 2)->type, CEL_S_INTEGER);
    assert_non_null(cel_schema_field(k->schema, KR_S("description")));
    assert_null(cel_kinds_find(l.req.kinds, gvk_b));
    assert_in_range(kube_openapi_bytes(f.o), 300, 4000);
    finish(&l);
    fixture_fini(&f);
}

TEST(kube_openapi, an_unchanged_document_is_fetched_once)
{
    struct fixture f;
    struct loading l = {0};
    kr_gvk both[] = {gvk_a, gvk_b};

    fixture_init(&f);
    load(&f, &l, &gvk_a, 1);
    finish(&l);
    routes_asked(&f.r, &f.a);
    load(&f, &l, &gvk_a, 1);
    finish(&l);
    EXPECT_TEXT(routes_asked(&f.r, &f.a), "/openapi/v3\n");
    load(&f, &l, &gvk_b, 1); /* the cache was reduced to A */
    finish(&l);
    EXPECT_TEXT(routes_asked(&f.r, &f.a), "/openapi/v3\n" URL_A("1") "\n");
    load(&f, &l, both, 2); /* now it has both */
    assert_non_null(cel_kinds_find(l.req.kinds, gvk_a)->schema);
    assert_non_null(cel_kinds_find(l.req.kinds, gvk_b)->schema);
    finish(&l);
    EXPECT_TEXT(routes_asked(&f.r, &f.a), "/openapi/v3\n");
    routes_set(&f.r, "/openapi/v3", 200, KR_S(INDEX("2")));
    load(&f, &l, &gvk_a, 1);
    finish(&l);
    EXPECT_TEXT(routes_asked(&f.r, &f.a), "/openapi/v3\n" URL_A("2") "\n");
    fixture_fini(&f);
}

TEST(kube_openapi, loads_that_start_together_fetch_each_document_once)
{
    struct fixture f;
    struct loading l[5] = {0};
    kr_gvk gvks[] = {gvk_a, gvk_b, gvk_c};

    fixture_init(&f);
    for (size_t i = 0; i < KR_N(l); i++)
        start(&f, &l[i], gvks, 3);
    routes_run(&f.r);
    EXPECT_TEXT(routes_asked(&f.r, &f.a),
                "/api\n/apis\n/openapi/v3\n" URL_A(
                    "1") "\n/openapi/v3/api/v1?hash=C\n"
                         "/openapi/v3\n/openapi/v3\n/openapi/v3\n/openapi/v3\n");
    for (size_t i = 0; i < KR_N(l); i++) {
        assert_int_equal(l[i].done_n, 1);
        assert_non_null(cel_kinds_find(l[i].req.kinds, gvk_a)->schema);
        assert_null(cel_kinds_find(l[i].req.kinds, gvk_c)->schema); /* the server publishes none */
        finish(&l[i]);
    }
    fixture_fini(&f);
}

TEST(kube_openapi, kinds_that_do_not_exist_are_named_after_a_refresh)
{
    struct fixture f;
    struct loading l = {0};
    kr_gvk gvks[] = {gvk_none, gvk_a};

    fixture_init(&f);
    load(&f, &l, &gvk_a, 1);
    finish(&l);
    routes_asked(&f.r, &f.a);
    load(&f, &l, gvks, 2);
    EXPECT_OK(l.req.rc, &l.req.err);
    EXPECT_TEXT(routes_asked(&f.r, &f.a), "/api\n/apis\n/openapi/v3\n");
    assert_int_equal(l.req.missing_n, 1);
    assert_true(kr_gvk_eq(l.req.missing[0], gvk_none));
    assert_non_null(cel_kinds_find(l.req.kinds, gvk_a)->schema);
    finish(&l);
    fixture_fini(&f);
}

static void on_refresh(struct kube_discovery *d, void *arg)
{
    routes_set(arg, "/apis", 200, KR_S(APIS)); /* the kind comes into being after it was read */
}

TEST(kube_openapi, a_refresh_that_began_before_is_not_believed)
{
    struct fixture f;
    struct loading l = {0};

    fixture_init(&f);
    routes_set(&f.r, "/apis", 200, KR_S("{\"kind\":\"APIGroupDiscoveryList\",\"items\":[]}"));
    kube_discovery_refresh(f.d, on_refresh, &f.r);
    load(&f, &l, &gvk_a, 1);
    assert_int_equal(l.req.missing_n, 0);
    EXPECT_TEXT(routes_asked(&f.r, &f.a),
                "/api\n/apis\n/api\n/apis\n/openapi/v3\n" URL_A("1") "\n");
    finish(&l);
    fixture_fini(&f);
}

TEST(kube_openapi, a_document_that_moved_is_looked_up_again_once)
{
    struct fixture f;
    struct loading l = {0};

    fixture_init(&f);
    routes_set(&f.r, URL_A("1"), 301, KR_S(""));
    start(&f, &l, &gvk_a, 1);
    while (kr_str_find(kr_buf_view(&f.r.asked), KR_S("hash=1")) < 0)
        routes_step(&f.r);
    routes_set(&f.r, "/openapi/v3", 200, KR_S(INDEX("2")));
    routes_run(&f.r);
    EXPECT_OK(l.req.rc, &l.req.err);
    assert_non_null(cel_kinds_find(l.req.kinds, gvk_a)->schema);
    finish(&l);
    routes_set(&f.r, "/openapi/v3", 200, KR_S(INDEX("1")));
    load(&f, &l, &gvk_a, 1);
    assert_int_equal(l.req.rc, KR_E_API);
    assert_null(l.req.kinds);
    finish(&l);
    fixture_fini(&f);
}

TEST(kube_openapi, every_failure_ends_the_load_and_the_next_one_works)
{
    static const char *const paths[] = {"/api", "/apis", "/openapi/v3", URL_A("1")};
    static const kr_str good[] = {{API, sizeof(API) - 1},
                                  {APIS, sizeof(APIS) - 1},
                                  {INDEX("1"), sizeof(INDEX("1")) - 1},
                                  {DOC, sizeof(DOC) - 1}};
    struct fixture f;
    struct loading l = {0};

    for (size_t i = 0; i < KR_N(paths); i++) {
        fixture_init(&f);
        routes_set(&f.r, paths[i], 0, KR_S(""));
        load(&f, &l, &gvk_a, 1);
        assert_int_equal(l.req.rc, KR_E_IO);
        assert_true(l.req.err.n > 0 && !l.req.kinds);
        finish(&l);
        routes_set(&f.r, paths[i], 200, KR_S("{"));
        load(&f, &l, &gvk_a, 1);
        assert_int_equal(l.req.rc, KR_E_INPUT);
        finish(&l);
        routes_set(&f.r, paths[i], 200, KR_S("")); /* else it would say that nothing is there */
        load(&f, &l, &gvk_a, 1);
        assert_int_equal(l.req.rc, KR_E_INPUT);
        finish(&l);
        routes_set(&f.r, paths[i], 200, good[i]);
        load(&f, &l, &gvk_a, 1);
        EXPECT_OK(l.req.rc, &l.req.err);
        finish(&l);
        fixture_fini(&f);
    }
}

/* A failed load keeps the documents that it has read, however many: the next one asks for the rest. With
 * less, a load that is larger than the cache would never end on a server that is busy now and then. */
TEST(kube_openapi, a_load_that_is_refused_goes_on_where_it_was)
{
    static const char *const url_c = "/openapi/v3/api/v1?hash=C";
    kr_gvk both[] = {gvk_a, gvk_c};
    struct kr_buf doc = KR_BUF(2 * KUBE_OPENAPI_CACHE_MAX);
    struct fixture f;
    struct loading l = {0};

    fixture_init(&f);
    kr_buf_str(&doc, KR_S("{\"components\":{\"schemas\":{\"io.x.A\":{\"type\":\"object\"," GVK(
                         "x.io", "v1", "A") ",\"enum\":[\""));
    for (uint32_t i = 0; i < KUBE_OPENAPI_CACHE_MAX; i++)
        kr_buf_chr(&doc, 'x');
    kr_buf_str(&doc, KR_S("\"]}}}}"));
    routes_set(&f.r, URL_A("1"), 200, kr_buf_view(&doc));
    routes_set(&f.r, url_c, 429, KR_S("{}"));
    load(&f, &l, both, 2);
    assert_int_equal(l.req.rc, KR_E_API);
    finish(&l);
    routes_asked(&f.r, &f.a);
    load(&f, &l, both, 2);
    assert_int_equal(l.req.rc, KR_E_API);
    finish(&l);
    EXPECT_TEXT(routes_asked(&f.r, &f.a), "/openapi/v3\n/openapi/v3/api/v1?hash=C\n");
    routes_set(&f.r, url_c, 200, KR_S("{\"components\":{\"schemas\":{}}}"));
    load(&f, &l, both, 2);
    EXPECT_OK(l.req.rc, &l.req.err);
    finish(&l);
    EXPECT_TEXT(routes_asked(&f.r, &f.a), "/openapi/v3\n/openapi/v3/api/v1?hash=C\n");
    assert_true(kube_openapi_bytes(f.o) <= KUBE_OPENAPI_CACHE_MAX); /* now it is trimmed */
    kr_buf_fini(&doc);
    fixture_fini(&f);
}

TEST(kube_openapi, can_be_cancelled_at_every_step)
{
    for (int steps = 0; steps < 5; steps++) {
        struct fixture f;
        struct loading l = {0}, queued = {0}, next = {0};

        fixture_init(&f);
        start(&f, &l, &gvk_a, 1);
        start(&f, &queued, &gvk_a, 1);
        start(&f, &next, &gvk_b, 1);
        for (int i = 0; i < steps; i++)
            routes_step(&f.r);
        kube_schemas_cancel(&queued.req);
        kube_schemas_cancel(&l.req);
        kube_schemas_cancel(&l.req);
        routes_run(&f.r);
        assert_true(l.done_n == 1 && queued.done_n == 1 && next.done_n == 1);
        assert_int_equal(queued.req.rc, KR_E_CANCELED);
        assert_int_equal(l.req.rc, steps < 4 ? KR_E_CANCELED : 0);
        EXPECT_OK(next.req.rc, &next.req.err);
        assert_non_null(cel_kinds_find(next.req.kinds, gvk_b)->schema);
        finish(&l);
        finish(&queued);
        finish(&next);
        fixture_fini(&f);
    }
}

/* The documents of Kubernetes itself, where they are at hand. */
TEST(kube_openapi, reduces_a_real_document_to_a_fraction)
{
    struct fixture f;
    struct loading l = {0};
    kr_gvk gvk = {KR_S("apps"), KR_S("v1"), KR_S("Deployment")};
    kr_str replicas[] = {KR_S("spec"), KR_S("replicas")}, doc;
    kr_str ports[] = {KR_S("spec"),       KR_S("template"), KR_S("spec"),
                      KR_S("containers"), KR_S("[]"),       KR_S("ports")};
    const struct cel_kind *k;

    fixture_init(&f);
    if (!test_file(&f.a, KROC_SHARED "/cases/k8s-openapi/v3/apis__apps__v1_openapi.json", &doc)) {
        fixture_fini(&f);
        skip();
    }
    routes_set(
        &f.r, "/apis", 200,
        KR_S("{\"kind\":\"APIGroupDiscoveryList\",\"items\":[{\"metadata\":{\"name\":\"apps\"},"
             "\"versions\":["
             "{\"version\":\"v1\",\"resources\":[" KIND("deployments", "Deployment") "]}]}]}"));
    routes_set(&f.r, "/openapi/v3", 200,
               KR_S("{\"paths\":{\"apis/apps/v1\":{\"serverRelativeURL\":\"/openapi/v3/apis/apps/"
                    "v1?hash=1\"}}}"));
    routes_set(&f.r, "/openapi/v3/apis/apps/v1?hash=1", 200, doc);
    load(&f, &l, &gvk, 1);
    EXPECT_OK(l.req.rc, &l.req.err);
    k = cel_kinds_find(l.req.kinds, gvk);
    assert_int_equal(cel_schema_at(k->schema, replicas, 2)->type, CEL_S_INTEGER);
    assert_int_equal(cel_schema_at(k->schema, ports, 6)->list_type, CEL_L_MAP);
    print_message("%zu bytes of %zu\n", kube_openapi_bytes(f.o), doc.n);
    assert_true(kube_openapi_bytes(f.o) < 600 * 1000);
    finish(&l);
    fixture_fini(&f);
}

int main(void)
{
    return RUN(T(kube_openapi, loads_the_wanted_kinds_and_what_they_reach),
               T(kube_openapi, an_unchanged_document_is_fetched_once),
               T(kube_openapi, loads_that_start_together_fetch_each_document_once),
               T(kube_openapi, kinds_that_do_not_exist_are_named_after_a_refresh),
               T(kube_openapi, a_refresh_that_began_before_is_not_believed),
               T(kube_openapi, a_document_that_moved_is_looked_up_again_once),
               T(kube_openapi, every_failure_ends_the_load_and_the_next_one_works),
               T(kube_openapi, a_load_that_is_refused_goes_on_where_it_was),
               T(kube_openapi, can_be_cancelled_at_every_step),
               T(kube_openapi, reduces_a_real_document_to_a_fraction));
}
