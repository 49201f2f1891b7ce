/* SPDX-License-Identifier: Apache-2.0 */
/* fieldset_test.c - the ownership digest, on objects that a real server (1.36) recorded.
 *
 * data/applied.jsonl has one case a line: what was applied as kro.run/applyset, and the object as
 * it then was (some after a foreign write). KROC_OBJECTS may name a folder with further lists of
 * objects (a cluster that kro wrote): every child in them must be in sync with itself.
 */
#include "cel/base/fieldset.h"

#include <dirent.h>

#include "cel/base/digest.h"
#include "tests/lib/test.h"

#define MANAGER KR_S("kro.run/applyset")

struct fixture {
    struct kr_arena a;
    struct kr_fieldset_pool *pool;
    struct kr_err err;
    kr_val cases; /* of applied.jsonl */
};

static int on_case(void *arg, struct kr_arena *a, kr_val v, struct kr_err *err)
{
    struct {
        struct kr_arena *a;
        struct kr_listb list;
    } *to = arg;

    kr_listb_add(&to->list, kr_copy(to->a, v));
    return 0;
}

static kr_val read_documents(struct kr_arena *a, const char *path)
{
    struct {
        struct kr_arena *a;
        struct kr_listb list;
    } to = {a, KR_LISTB(a)};
    struct kr_json_opts opts = {.on_doc = on_case, .arg = &to};
    KR_AUTO_PTR(kr_json) j = kr_json_new(&opts);
    struct kr_err err = KR_ERR_NONE;
    kr_str text;

    if (!test_file(a, path, &text))
        return KR_V_NONE;
    EXPECT_OK(kr_json_feed(j, text.s, text.n, &err), &err);
    EXPECT_OK(kr_json_end(j, &err), &err);
    return kr_listb_done(&to.list);
}

static void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.pool = kr_fieldset_pool_new()};
    f->cases = read_documents(&f->a, TEST_DATA "/data/applied.jsonl");
    assert_true(f->cases.n > 20);
}

static void fixture_fini(struct fixture *f)
{
    assert_int_equal(kr_fieldset_pool_n(f->pool), 0);
    kr_fieldset_pool_free(f->pool);
    kr_arena_fini(&f->a);
}

static kr_val find_case(struct fixture *f, const char *name)
{
    KR_LIST_EACH (c, f->cases) {
        if (kr_is_str(kr_get(*c, KR_S("name")), kr_str_c(name)))
            return *c;
    }
    fail_msg("no case \"%s\"", name);
    return KR_V_NONE;
}

/* --- what a schema would say ------------------------------------------------------------------ */

static kr_val normal(void *arg, struct kr_arena *a, const kr_str *path, uint32_t n, kr_val v)
{
    static const char *const forms[][2] = {{"\"1000m\"", "\"1\""},
                                           {"\"2048Mi\"", "\"2Gi\""},
                                           {"\"1024Mi\"", "\"1Gi\""},
                                           {"0.5", "\"500m\""},
                                           {"3", "\"3\""}};
    kr_str above = n >= 2 ? path[n - 2] : KR_S("");

    if (!kr_str_is(above, "limits") && !kr_str_is(above, "requests") && !kr_str_is(above, "hard"))
        return v;
    for (size_t i = 0; i < KR_N(forms); i++) {
        if (kr_equal(v, test_json(a, forms[i][0])))
            return test_json(a, forms[i][1]);
    }
    return v;
}

static kr_val key_default(void *arg, const kr_str *path, uint32_t n, kr_str key)
{
    return kr_str_is(path[n - 1], "parts") && kr_str_is(key, "zone") ? KR_V_STR("z1") : KR_V_NONE;
}

static bool granular(void *arg, const kr_str *path, uint32_t n)
{
    return kr_str_is(path[n - 1], "env") || kr_str_is(path[n - 1], "tags") ||
           kr_str_is(path[n - 1], "parts");
}

static const struct kr_fieldset_rules schema = {.normal = normal,
                                                .key_default = key_default,
                                                .granular = granular,
                                                .builtin = true,
                                                .status_dropped = true};

/* --- in sync or not --------------------------------------------------------------------------- */

static bool in_sync(struct fixture *f, kr_val live, kr_val desired,
                    const struct kr_fieldset_rules *rules)
{
    const struct kr_fieldset *set;
    uint64_t is, want;
    bool same;

    EXPECT_OK(kr_fieldset_observe(f->pool, kr_fieldset_of_manager(live, MANAGER), live, &set, &is,
                                  &f->err),
              &f->err);
    assert_true(kr_fieldset_digest_live(set, live) == is);
    same = kr_fieldset_digest_desired(set, desired, rules, &f->a, &want);
    assert_true(same || want == 0);
    kr_fieldset_drop(set);
    return same && is == want;
}

/* What is in sync without a schema, what with one. */
static const struct {
    const char *name;
    bool alone, with_schema;
} expected[] = {
    {"plain deployment", true, true},
    {"zero values", true, true},
    {"nulls", true, true},
    {"quantities and ports", false, true},
    {"ordered lists", false, true},            /* a fieldRef is atomic and gets an apiVersion */
    {"atomic list with defaults", true, true}, /* the server adds none to this one */
    {"granular empty list", false, true},
    {"service without protocol", true, true},
    {"two ports", true, true},
    {"secret with stringData", true, true},
    {"quota", false, true},
    {"empty data", true, true},
    {"finalizers", true, true},
    {"claim templates", false, true},
    {"defaults inside atomic values", false, true},
    {"network policy", false, true},
    {"foreign annotation", true, true},
    {"foreign replicas", false, false},
    {"foreign replicas same value", true, true},
    {"foreign removal", false, false},
    {"foreign container", true, true},
    {"foreign env in our container", true, true},
    {"foreign selector is atomic", false, false},
    {"status in the template", false, true},
    {"custom: all kinds", false, true},
    {"custom: null and empty", false, true},
    {"custom: default inside atomic", false, false}, /* one apply that changes nothing */
};

TEST(kr_fieldset, what_was_applied_is_in_sync)
{
    struct fixture f;

    fixture_init(&f);
    assert_int_equal(f.cases.n, KR_N(expected));
    for (size_t i = 0; i < KR_N(expected); i++) {
        kr_val c = find_case(&f, expected[i].name);
        kr_val live = kr_get(c, KR_S("live")), applied = kr_get(c, KR_S("applied"));

        if (in_sync(&f, live, applied, NULL) != expected[i].alone)
            fail_msg("%s: without schema", expected[i].name);
        if (in_sync(&f, live, applied, &schema) != expected[i].with_schema)
            fail_msg("%s: with schema", expected[i].name);
    }
    fixture_fini(&f);
}

/* --- live restricted to what we own is in sync; every change of it is not --------------------- */

static kr_val restrict_to(struct fixture *f, kr_val live, kr_val fields);

static bool has_key(kr_val item, kr_val key)
{
    KR_MAP_EACH (pair, key) {
        if (!kr_equal(kr_get(item, kr_text(pair->key)), pair->val))
            return false;
    }
    return true;
}

/* The fieldsV1 of a list item, or KR_NONE. */
static kr_val fields_of_item(struct fixture *f, kr_val fields, kr_val item)
{
    KR_MAP_EACH (pair, fields) {
        kr_str key = kr_text(pair->key);
        kr_val what;

        if (key.n < 3)
            continue;
        what = test_json(&f->a, kr_cstr(&f->a, kr_str_sub(key, 2, key.n)));
        if (key.s[0] == 'k' ? has_key(item, what) : kr_equal(item, what))
            return pair->val;
    }
    return KR_V_NONE;
}

static kr_val restrict_list(struct fixture *f, kr_val live, kr_val fields)
{
    struct kr_listb out = KR_LISTB(&f->a);

    KR_LIST_EACH (item, live) {
        kr_val below = fields_of_item(f, fields, *item);

        if (below.kind != KR_NONE)
            kr_listb_add(&out, restrict_to(f, *item, below));
    }
    return kr_listb_done(&out);
}

static kr_val restrict_to(struct fixture *f, kr_val live, kr_val fields)
{
    struct kr_mapb out = KR_MAPB(&f->a);

    if (fields.n == 0)
        return live;
    if (live.kind == KR_LIST)
        return restrict_list(f, live, fields);
    KR_MAP_EACH (pair, fields) {
        kr_str name = kr_str_sub(kr_text(pair->key), 2, kr_text(pair->key).n);
        kr_val v = kr_get(live, name);

        if (kr_str_is(kr_text(pair->key), "."))
            continue;
        if (kr_str_is(name, "stringData"))
            v = KR_V_STR("decoded by the caller");
        if (v.kind == KR_NONE) /* written as a zero value and left out by the server */
            kr_mapb_put(&out, name, KR_V_NULL);
        else
            kr_mapb_put(&out, name, restrict_to(f, v, pair->val));
    }
    return kr_mapb_done(&out);
}

/* stringData as it was before the server encoded it. */
static kr_val decode_data(struct fixture *f, kr_val live, kr_val fields)
{
    struct kr_mapb out = KR_MAPB(&f->a);

    KR_MAP_EACH (pair, fields) {
        kr_str name = kr_str_sub(kr_text(pair->key), 2, kr_text(pair->key).n), plain;

        assert_true(
            kr_base64_decode(&f->a, kr_text(kr_get(kr_get(live, KR_S("data")), name)), &plain));
        kr_mapb_put(&out, name, kr_string(plain));
    }
    return kr_mapb_done(&out);
}

static kr_val wish_of(struct fixture *f, kr_val live, kr_val fields)
{
    kr_val secret = kr_get(fields, KR_S("f:stringData"));
    kr_val wish = restrict_to(f, live,
                              secret.kind == KR_NONE
                                  ? fields
                                  : kr_with_key(&f->a, fields, KR_S("f:stringData"), KR_V_NONE));

    if (secret.kind != KR_NONE)
        wish = kr_with_key(&f->a, wish, KR_S("stringData"), decode_data(f, live, secret));
    return wish;
}

/* Change number *at of v, counted depth first; *at is -1 once it is done. */
static kr_val change(struct fixture *f, kr_val v, int *at)
{
    struct kr_mapb map = KR_MAPB(&f->a);
    struct kr_listb list = KR_LISTB(&f->a);

    if (v.kind != KR_MAP && v.kind != KR_LIST)
        return (*at)-- == 0 ? KR_V_STR("changed") : v;
    if (v.kind == KR_LIST) {
        KR_LIST_EACH (item, v) {
            if ((*at)-- != 0) /* else: removed */
                kr_listb_add(&list, change(f, *item, at));
        }
        if ((*at)-- == 0) /* appended */
            kr_listb_add(&list, KR_V_STR("added"));
        return kr_listb_done(&list);
    }
    KR_MAP_EACH (pair, v) {
        if (kr_is_str(pair->key, KR_S("kro.run/kro-version")))
            kr_mapb_put(&map, kr_text(pair->key), pair->val);
        else if ((*at)-- != 0)
            kr_mapb_put(&map, kr_text(pair->key), change(f, pair->val, at));
    }
    if ((*at)-- == 0)
        kr_mapb_put(&map, KR_S("added"), KR_V_STR("x"));
    return kr_mapb_done(&map);
}

static void check_object(struct fixture *f, kr_val live)
{
    /* the wish has all defaults already: leaving one out is a change like every other */
    const struct kr_fieldset_rules keys = {.key_default = key_default};
    kr_val fields = kr_fieldset_of_manager(live, MANAGER);
    kr_val wish = wish_of(f, live, fields);

    if (!in_sync(f, live, wish, &keys))
        fail_msg("%.*s", KR_ARG(kr_json_str(&f->a, wish)));
    for (int i = 0;; i++) {
        int at = i;
        kr_val changed = change(f, wish, &at);

        if (at >= 0)
            break; /* no further place to change */
        if (in_sync(f, live, changed, &keys))
            fail_msg("change %d is not seen: %.*s", i, KR_ARG(kr_json_str(&f->a, changed)));
    }
}

TEST(kr_fieldset, live_restricted_to_the_set_is_in_sync_and_no_change_of_it_is)
{
    struct fixture f;

    fixture_init(&f);
    KR_LIST_EACH (c, f.cases)
        check_object(&f, kr_get(*c, KR_S("live")));
    fixture_fini(&f);
}

TEST(kr_fieldset, every_child_in_a_given_cluster_is_in_sync)
{
    const char *folder = getenv("KROC_OBJECTS");
    DIR *dir = folder ? opendir(folder) : NULL;
    struct fixture f;
    uint32_t n = 0;

    if (!dir)
        skip();
    fixture_init(&f);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        kr_val docs = read_documents(&f.a, kr_cstr(&f.a, kr_fmt(&f.a, "%s/%s", folder, e->d_name)));

        KR_LIST_EACH (doc, docs) {
            KR_LIST_EACH (live, kr_get(*doc, KR_S("items"))) {
                if (kr_fieldset_of_manager(*live, MANAGER).kind == KR_NONE)
                    continue;
                check_object(&f, *live);
                n++;
            }
        }
    }
    closedir(dir);
    print_message("%u children\n", n);
    assert_true(n > 0);
    fixture_fini(&f);
}

/* --- single facts ----------------------------------------------------------------------------- */

/* In sync with a live object given as JSON, by a set given as JSON? */
static bool sync_json(struct fixture *f, const char *fields, const char *live, const char *desired)
{
    const struct kr_fieldset *set;
    uint64_t is, want;
    bool same;

    EXPECT_OK(kr_fieldset_observe(f->pool, test_json(&f->a, fields), test_json(&f->a, live), &set,
                                  &is, &f->err),
              &f->err);
    same = kr_fieldset_digest_desired(set, test_json(&f->a, desired), &schema, &f->a, &want) &&
           is == want;
    kr_fieldset_drop(set);
    return same;
}

TEST(kr_fieldset, the_version_label_is_passed_over)
{
    struct fixture f;
    const char *with = "{\"f:metadata\":{\"f:labels\":{\"f:kro.run/kro-version\":{}}},\"f:a\":{}}";
    const char *without = "{\"f:a\":{}}";
    const char *live = "{\"a\":1,\"metadata\":{\"labels\":{\"kro.run/kro-version\":\"1\"}}}";
    const char *other =
        "{\"a\":1,\"metadata\":{\"name\":\"n\",\"labels\":{\"kro.run/kro-version\":\"2\"}}}";

    fixture_init(&f);
    assert_true(sync_json(&f, with, live, live));
    assert_true(sync_json(&f, with, live, other));
    assert_true(sync_json(&f, with, live, "{\"a\":1}"));
    assert_true(sync_json(&f, without, "{\"a\":1}", other));
    assert_false(sync_json(&f, with, live, "{\"a\":2}"));
    assert_false(
        sync_json(&f, without, "{\"a\":1}", "{\"a\":1,\"metadata\":{\"labels\":{\"x\":\"2\"}}}"));
    fixture_fini(&f);
}

TEST(kr_fieldset, an_absent_field_is_in_sync_with_zero_values_only)
{
    struct fixture f;
    static const char *const zero[] = {"null", "false", "0", "0.0", "\"\"", "[]", "{}"};
    static const char *const other[] = {"true", "1", "\"x\"", "[0]", "{\"b\":null}"};

    fixture_init(&f);
    for (size_t i = 0; i < KR_N(zero); i++)
        assert_true(sync_json(&f, "{\"f:a\":{}}", "{}", kr_fmt(&f.a, "{\"a\":%s}", zero[i]).s));
    for (size_t i = 0; i < KR_N(other); i++)
        assert_false(sync_json(&f, "{\"f:a\":{}}", "{}", kr_fmt(&f.a, "{\"a\":%s}", other[i]).s));
    /* a zero value that is there differs from null, and from other zero values */
    assert_true(sync_json(&f, "{\"f:a\":{}}", "{\"a\":false}", "{\"a\":false}"));
    assert_false(sync_json(&f, "{\"f:a\":{}}", "{\"a\":false}", "{\"a\":null}"));
    assert_false(sync_json(&f, "{\"f:a\":{}}", "{\"a\":0}", "{\"a\":\"\"}"));
    fixture_fini(&f);
}

TEST(kr_fieldset, order_of_our_items_is_part_of_the_wish)
{
    struct fixture f;
    const char *set = "{\"f:l\":{\"k:{\\\"n\\\":1}\":{\".\":{},\"f:n\":{}},"
                      "\"k:{\\\"n\\\":2}\":{\".\":{},\"f:n\":{}}}}";

    fixture_init(&f);
    assert_true(sync_json(&f, set, "{\"l\":[{\"n\":2},{\"n\":7},{\"n\":1,\"x\":1}]}",
                          "{\"l\":[{\"n\":2},{\"n\":1.0}]}"));
    assert_false(
        sync_json(&f, set, "{\"l\":[{\"n\":2},{\"n\":1}]}", "{\"l\":[{\"n\":1},{\"n\":2}]}"));
    assert_false(sync_json(&f, set, "{\"l\":[{\"n\":2},{\"n\":1}]}",
                           "{\"l\":[{\"n\":2},{\"n\":1},{\"n\":2}]}"));
    assert_false(sync_json(&f, set, "{\"l\":[{\"n\":2}]}", "{\"l\":[{\"n\":2},{\"n\":1}]}"));
    assert_false(sync_json(&f, set, "{\"l\":{\"n\":2}}", "{\"l\":{\"n\":2}}"));
    fixture_fini(&f);
}

TEST(kr_fieldset, sets_are_shared)
{
    struct fixture f;
    const struct kr_fieldset *a, *b, *c;
    kr_val fields;

    fixture_init(&f);
    fields = test_json(&f.a, "{\"f:a\":{},\"f:b\":{\"f:c\":{}}}");
    EXPECT_OK(kr_fieldset_intern(f.pool, fields, &a, &f.err), &f.err);
    EXPECT_OK(kr_fieldset_intern(f.pool, kr_copy(&f.a, fields), &b, &f.err), &f.err);
    EXPECT_OK(kr_fieldset_intern(f.pool, test_json(&f.a, "{\"f:a\":{}}"), &c, &f.err), &f.err);
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, c);
    assert_int_equal(kr_fieldset_pool_n(f.pool), 2);
    kr_fieldset_drop(a);
    assert_int_equal(kr_fieldset_pool_n(f.pool), 2);
    kr_fieldset_drop(b);
    kr_fieldset_drop(c);
    kr_fieldset_drop(NULL);
    fixture_fini(&f);
}

TEST(kr_fieldset, thousands_of_different_sets_are_found_again)
{
    struct fixture f;
    const struct kr_fieldset *sets[1000], *again;

    fixture_init(&f);
    for (int i = 0; i < 1000; i++) {
        kr_val v = test_json(&f.a, kr_fmt(&f.a, "{\"f:x%d\":{}}", i).s);

        EXPECT_OK(kr_fieldset_intern(f.pool, v, &sets[i], &f.err), &f.err);
    }
    assert_int_equal(kr_fieldset_pool_n(f.pool), 1000);
    for (int i = 0; i < 1000; i++) {
        kr_val v = test_json(&f.a, kr_fmt(&f.a, "{\"f:x%d\":{}}", i).s);

        EXPECT_OK(kr_fieldset_intern(f.pool, v, &again, &f.err), &f.err);
        assert_ptr_equal(again, sets[i]);
        kr_fieldset_drop(again);
        kr_fieldset_drop(sets[i]);
    }
    fixture_fini(&f);
}

TEST(kr_fieldset, what_is_no_field_set_is_refused)
{
    static const char *const bad[] = {
        "[]",           "{\"x\":{}}",   "{\"f:a\":1}",    "{\"z:a\":{}}",
        "{\"f\":{}}",   "{\"k:{\":{}}", "{\"k:[1]\":{}}", "{\"k:{}\":{}}",
        "{\"i:x\":{}}", "{\"v:\":{}}",  "{\"\":{}}"};
    struct fixture f;
    const struct kr_fieldset *set = NULL;

    fixture_init(&f);
    for (size_t i = 0; i < KR_N(bad); i++) {
        if (kr_fieldset_intern(f.pool, test_json(&f.a, bad[i]), &set, &f.err) != KR_E_INPUT)
            fail_msg("%s", bad[i]);
        assert_null(set);
    }
    fixture_fini(&f);
}

TEST(kr_fieldset, depth_and_keys_are_limited)
{
    struct fixture f;
    const struct kr_fieldset *set = NULL;
    kr_val v;

    fixture_init(&f);
    v = test_json(&f.a, "{}");
    for (int i = 0; i < KR_FIELDSET_DEPTH_MAX + 1; i++) {
        struct kr_mapb b = KR_MAPB(&f.a);

        kr_mapb_put(&b, KR_S("f:a"), v);
        v = kr_mapb_done(&b);
    }
    assert_int_equal(kr_fieldset_intern(f.pool, v, &set, &f.err), KR_E_LIMIT);
    v = test_json(&f.a, "{\"k:{\\\"a\\\":1,\\\"b\\\":1,\\\"c\\\":1,\\\"d\\\":1,\\\"e\\\":1,"
                        "\\\"f\\\":1,\\\"g\\\":1,\\\"h\\\":1,\\\"i\\\":1}\":{}}");
    assert_int_equal(kr_fieldset_intern(f.pool, v, &set, &f.err), KR_E_LIMIT);
    fixture_fini(&f);
}

int main(void)
{
    return RUN(T(kr_fieldset, what_was_applied_is_in_sync),
               T(kr_fieldset, live_restricted_to_the_set_is_in_sync_and_no_change_of_it_is),
               T(kr_fieldset, every_child_in_a_given_cluster_is_in_sync),
               T(kr_fieldset, the_version_label_is_passed_over),
               T(kr_fieldset, an_absent_field_is_in_sync_with_zero_values_only),
               T(kr_fieldset, order_of_our_items_is_part_of_the_wish),
               T(kr_fieldset, sets_are_shared),
               T(kr_fieldset, thousands_of_different_sets_are_found_again),
               T(kr_fieldset, what_is_no_field_set_is_refused),
               T(kr_fieldset, depth_and_keys_are_limited));
}
