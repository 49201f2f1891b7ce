/* SPDX-License-Identifier: Apache-2.0 */
/* projection_test.c - what is kept of an object, and which bits a change sets. */
#include "kube/projection.h"

#include "tests/lib/test.h"

struct fixture {
    struct kr_arena a;
    struct kube_projection *p;
    struct kr_fieldset_pool *pool;
    struct kr_err err;
};

static void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.p = kube_projection_new(), .pool = kr_fieldset_pool_new()};
}

static void fixture_fini(struct fixture *f)
{
    kube_projection_free(f->p);
    kr_fieldset_pool_free(f->pool);
    kr_arena_fini(&f->a);
}

/* Adds "a.b.c"; returns what kube_projection_add does. */
static int add(struct fixture *f, const char *path, uint32_t *leaf)
{
    kr_str names[16], rest = kr_str_c(path);
    uint32_t n = 0;

    while (rest.s && rest.n > 0)
        names[n++] = kr_str_cut(&rest, '.');
    return kube_projection_add(f->p, names, n, leaf, &f->err);
}

static struct kr_rec *project(struct fixture *f, const char *json)
{
    kr_gvr gvr = {KR_S("apps"), KR_S("v1"), KR_S("deployments")};
    struct kr_rec *r = NULL;

    EXPECT_OK(kube_project(f->p, gvr, test_json(&f->a, json), KR_S("kro.run/applyset"), f->pool,
                           &f->a, &r, &f->err),
              &f->err);
    return r;
}

static const char *text(struct fixture *f, kr_val v)
{
    return kr_cstr(&f->a, kr_json_str(&f->a, v));
}

#define HEAD                                                                                       \
    "\"metadata\":{\"name\":\"web\",\"namespace\":\"default\",\"uid\":\"u1\",\"resourceVersion\":" \
    "\"7\""

TEST(kube_project, keeps_the_leaves_and_drops_the_rest)
{
    struct fixture f;
    uint32_t replicas, labels;
    struct kr_rec *r;

    fixture_init(&f);
    assert_int_equal(add(&f, "status.replicas", &replicas), 1);
    assert_int_equal(add(&f, "metadata.labels.app", &labels), 1);
    r = project(
        &f,
        "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\"," HEAD
        ",\"generation\":3,\"labels\":{\"app\":\"x\",\"b\":\"y\"},\"annotations\":{\"z\":\"1\"}},"
        "\"spec\":{\"replicas\":1},\"status\":{\"replicas\":2,\"observed\":1}}");
    EXPECT_TEXT(text(&f, kr_rec_root(r)),
                "{\"apiVersion\":\"apps/"
                "v1\",\"kind\":\"Deployment\",\"metadata\":{\"labels\":{\"app\":\"x\"}},"
                "\"status\":{\"replicas\":2}}");
    assert_true(kr_str_is(kr_rec_name(r), "web") && kr_str_is(kr_rec_namespace(r), "default"));
    assert_true(kr_str_is(kr_rec_uid(r), "u1") && kr_str_is(kr_rec_version(r), "7"));
    assert_int_equal(r->leaves_n, 2);
    assert_true(r->leaf[replicas] == kr_digest(kr_int(2)));
    assert_true(r->leaf[labels] == kr_digest(KR_V_STR("x")));
    assert_int_equal(r->generation, 3);
    assert_true(r->version_u == 7 && !r->terminating);
    kr_rec_drop(r);
    fixture_fini(&f);
}

TEST(kube_project, a_leaf_below_a_leaf_has_a_digest_of_its_own)
{
    struct fixture f;
    uint32_t all, spec, n;
    struct kr_rec *r;

    fixture_init(&f);
    assert_int_equal(add(&f, "spec", &spec), 1);
    assert_int_equal(add(&f, "spec.n", &n), 1);
    assert_int_equal(add(&f, "", &all), 1);
    r = project(&f,
                "{" HEAD
                ",\"managedFields\":[{\"manager\":\"x\"}]},\"spec\":{\"n\":1,\"m\":2},\"x\":[]}");
    EXPECT_TEXT(text(&f, kr_rec_root(r)),
                "{\"metadata\":{\"name\":\"web\",\"namespace\":\"default\","
                "\"resourceVersion\":\"7\",\"uid\":\"u1\"},\"spec\":{\"m\":2,\"n\":1},\"x\":[]}");
    assert_true(r->leaf[spec] == kr_digest(test_json(&f.a, "{\"m\":2,\"n\":1}")));
    assert_true(r->leaf[n] == kr_digest(kr_int(1)));
    assert_true(r->leaf[all] == kr_digest(kr_rec_root(r)));
    kr_rec_drop(r);
    fixture_fini(&f);
}

TEST(kube_project, a_path_that_meets_a_scalar_sees_the_scalar_change)
{
    struct fixture f;
    uint32_t leaf;
    struct kr_rec *a, *b, *c;

    fixture_init(&f);
    assert_int_equal(add(&f, "a.b.c", &leaf), 1);
    a = project(&f, "{" HEAD "},\"a\":{\"b\":1}}");
    b = project(&f, "{" HEAD "},\"a\":{\"b\":[2]}}");
    c = project(&f, "{" HEAD "},\"a\":{}}");
    EXPECT_TEXT(text(&f, kr_get(kr_rec_root(a), KR_S("a"))), "{\"b\":1}");
    EXPECT_TEXT(text(&f, kr_get(kr_rec_root(b), KR_S("a"))), "{\"b\":[2]}");
    assert_true(a->leaf[leaf] != 0 && a->leaf[leaf] != b->leaf[leaf] && c->leaf[leaf] == 0);
    assert_true(a->leaf[leaf] != kr_digest(kr_int(1)));
    kr_rec_drop(a);
    kr_rec_drop(b);
    kr_rec_drop(c);
    fixture_fini(&f);
}

TEST(kube_projection, numbers_are_stable_and_only_new_paths_widen)
{
    struct fixture f;
    uint32_t a, b, again, n;

    fixture_init(&f);
    assert_int_equal(add(&f, "spec.a", &a), 1);
    assert_int_equal(add(&f, "spec.b", &b), 1);
    assert_int_equal(add(&f, "spec.a", &again), 0);
    assert_int_equal(a, again);
    kube_projection_drop(f.p, a);
    assert_int_equal(add(&f, "spec.a", &again), 0); /* was still held once */
    kube_projection_drop(f.p, a);
    kube_projection_drop(f.p, a);
    assert_int_equal(add(&f, "spec.a", &again), 1); /* records made meanwhile lack it */
    assert_int_equal(a, again);
    assert_int_equal(kube_projection_leaves_n(f.p), 2);
    assert_true(kr_str_is(kube_projection_path(f.p, b, &n)[1], "b") && n == 2);
    fixture_fini(&f);
}

TEST(kube_projection, a_dropped_path_is_kept_no_longer)
{
    struct fixture f;
    uint32_t a, b;
    struct kr_rec *r;

    fixture_init(&f);
    assert_int_equal(add(&f, "spec.a", &a), 1);
    assert_int_equal(add(&f, "spec.b", &b), 1);
    kube_projection_drop(f.p, a);
    r = project(&f, "{" HEAD "},\"spec\":{\"a\":1,\"b\":2}}");
    EXPECT_TEXT(text(&f, kr_get(kr_rec_root(r), KR_S("spec"))), "{\"b\":2}");
    assert_true(r->leaf[a] == 0 && r->leaf[b] != 0);
    kr_rec_drop(r);
    fixture_fini(&f);
}

TEST(kube_projection, says_whether_managed_fields_are_named)
{
    struct fixture f;
    uint32_t a, b;

    fixture_init(&f);
    assert_int_equal(add(&f, "metadata.name", &a), 1);
    assert_false(kube_projection_names_managed_fields(f.p));
    assert_int_equal(add(&f, "metadata.managedFields.x", &b), 1);
    assert_true(kube_projection_names_managed_fields(f.p));
    kube_projection_drop(f.p, b);
    assert_false(kube_projection_names_managed_fields(f.p));
    fixture_fini(&f);
}

TEST(kube_projection, leaves_are_limited)
{
    struct fixture f;
    uint32_t leaf;

    fixture_init(&f);
    for (int i = 0; i < KUBE_PROJECTION_LEAVES_MAX; i++)
        assert_int_equal(add(&f, kr_fmt(&f.a, "x%d", i).s, &leaf), 1);
    assert_int_equal(add(&f, "one.more", &leaf), KR_E_LIMIT);
    assert_int_equal(add(&f, "x7", &leaf), 0);
    fixture_fini(&f);
}

TEST(kube_project, an_object_without_name_or_version_is_refused)
{
    struct fixture f;
    kr_gvr gvr = {KR_S(""), KR_S("v1"), KR_S("pods")};
    static const char *const bad[] = {"{}",
                                      "1",
                                      "{\"metadata\":[]}",
                                      "{\"metadata\":{\"resourceVersion\":\"1\"}}",
                                      "{\"metadata\":{\"name\":\"x\"}}",
                                      "{\"metadata\":{\"name\":3,\"resourceVersion\":\"1\"}}"};
    struct kr_rec *r = NULL;

    fixture_init(&f);
    for (size_t i = 0; i < KR_N(bad); i++) {
        assert_int_equal(
            kube_project(f.p, gvr, test_json(&f.a, bad[i]), KR_S(""), f.pool, &f.a, &r, &f.err),
            KR_E_INPUT);
        assert_null(r);
    }
    fixture_fini(&f);
}

/* Names of the bits that differ between two objects; "" when nothing does. */
static const char *diff(struct fixture *f, const char *from, const char *to)
{
    static const char *const fixed[] = {"exists", "identity", "owned"};
    struct kr_rec *old = from ? project(f, from) : NULL, *now = to ? project(f, to) : NULL;
    struct kr_buf b = KR_BUF(1000);
    struct kr_bits bits;
    bool any = kube_diff(old, now, &f->a, &bits);
    const char *out;

    kr_bits_each (i, &bits) {
        if (i < KUBE_BITS_FIXED)
            kr_buf_fmt(&b, "%s ", fixed[i]);
        else
            kr_buf_fmt(&b, "%u ", i - KUBE_BITS_FIXED);
    }
    assert_int_equal(any, b.n > 0);
    out = kr_cstr(&f->a, kr_buf_view(&b));
    kr_buf_fini(&b);
    kr_rec_drop(old);
    kr_rec_drop(now);
    return out;
}

TEST(kube_diff, names_exactly_what_changed)
{
    struct fixture f;
    uint32_t leaf;
    const char *base = "{" HEAD "},\"a\":1,\"b\":2,\"c\":3}";

    fixture_init(&f);
    assert_int_equal(add(&f, "a", &leaf), 1);
    assert_int_equal(add(&f, "b", &leaf), 1);
    assert_int_equal(add(&f, "metadata.resourceVersion", &leaf), 1);
    EXPECT_TEXT(diff(&f, base, base), "");
    EXPECT_TEXT(diff(&f, base, "{" HEAD "},\"a\":1,\"b\":2,\"c\":4}"), "");
    EXPECT_TEXT(diff(&f, base, "{" HEAD "},\"a\":2,\"b\":2}"), "0 ");
    EXPECT_TEXT(diff(&f, base, "{" HEAD "},\"b\":2}"), "0 ");
    EXPECT_TEXT(diff(&f, NULL, base), "exists 0 1 2 ");
    EXPECT_TEXT(diff(&f, base, NULL), "exists 0 1 2 ");
    EXPECT_TEXT(diff(&f, base,
                     "{" HEAD ",\"deletionTimestamp\":\"2020-01-01T00:00:00Z\"},\"a\":1,\"b\":2}"),
                "exists ");
    EXPECT_TEXT(diff(&f, base,
                     "{\"metadata\":{\"name\":\"web\",\"uid\":\"u2\",\"resourceVersion\":\"8\"},"
                     "\"a\":1,\"b\":2}"),
                "exists 2 ");
    EXPECT_TEXT(
        diff(&f, base, "{" HEAD ",\"labels\":{\"kro.run/node-id\":\"n\"}},\"a\":1,\"b\":2}"),
        "identity ");
    EXPECT_TEXT(diff(&f, base,
                     "{" HEAD ",\"labels\":{\"kro.run/collection-index\":\"x\"}},\"a\":1,\"b\":2}"),
                "");
    EXPECT_TEXT(diff(&f, base,
                     "{" HEAD ",\"labels\":{\"kro.run/collection-index\":\"0\"}},\"a\":1,\"b\":2}"),
                "identity ");
    fixture_fini(&f);
}

#define OWNED(fields)                                                                              \
    ",\"managedFields\":[{\"manager\":\"kro.run/"                                                  \
    "applyset\",\"operation\":\"Apply\",\"fieldsV1\":" fields "}]"

TEST(kube_diff, ownership_changes_with_the_set_and_with_our_values)
{
    struct fixture f;
    const char *base = "{" HEAD OWNED("{\"f:a\":{}}") "},\"a\":1,\"b\":2}";

    fixture_init(&f);
    EXPECT_TEXT(diff(&f, base, "{" HEAD OWNED("{\"f:a\":{}}") "},\"a\":1,\"b\":3}"), "");
    EXPECT_TEXT(diff(&f, base, "{" HEAD OWNED("{\"f:a\":{}}") "},\"a\":2,\"b\":2}"), "owned ");
    EXPECT_TEXT(diff(&f, base, "{" HEAD OWNED("{\"f:b\":{}}") "},\"a\":1,\"b\":2}"), "owned ");
    EXPECT_TEXT(diff(&f, base, "{" HEAD "},\"a\":1,\"b\":2}"), "owned ");
    fixture_fini(&f);
}

int main(void)
{
    return RUN(T(kube_project, keeps_the_leaves_and_drops_the_rest),
               T(kube_project, a_leaf_below_a_leaf_has_a_digest_of_its_own),
               T(kube_project, a_path_that_meets_a_scalar_sees_the_scalar_change),
               T(kube_projection, numbers_are_stable_and_only_new_paths_widen),
               T(kube_projection, a_dropped_path_is_kept_no_longer),
               T(kube_projection, says_whether_managed_fields_are_named),
               T(kube_projection, leaves_are_limited),
               T(kube_project, an_object_without_name_or_version_is_refused),
               T(kube_diff, names_exactly_what_changed),
               T(kube_diff, ownership_changes_with_the_set_and_with_our_values));
}
