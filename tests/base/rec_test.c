/* SPDX-License-Identifier: Apache-2.0 */
/* rec_test.c - a record owns everything it shows. */
#include "cel/base/rec.h"

#include "tests/lib/test.h"

TEST(kr_rec, keeps_nothing_of_what_it_was_made_from)
{
    struct kr_arena a = {0}, check = {0};
    struct kr_fieldset_pool *pool = kr_fieldset_pool_new();
    uint64_t leaves[] = {7, 0, 9};
    struct kr_err err = KR_ERR_NONE;
    struct kr_rec init = {.leaves_n = 3,
                          .leaf = leaves,
                          .item = -1,
                          .generation = 4,
                          .version_u = 12,
                          .owned_digest = 5},
                  *r;

    init.root =
        test_json(&a, "{\"a\":[1,\"two\",{\"b\":null,\"c\":[]}],\"d\":{\"e\":1.5},\"f\":\"\"}");
    init.ref = (kr_ref){{kr_strdup(&a, KR_S("apps")), kr_strdup(&a, KR_S("v1")),
                         kr_strdup(&a, KR_S("deployments"))},
                        kr_strdup(&a, KR_S("default")),
                        kr_strdup(&a, KR_S("web"))};
    init.uid = kr_strdup(&a, KR_S("u-1"));
    init.version = kr_strdup(&a, KR_S("12"));
    init.part_of = kr_strdup(&a, KR_S("applyset-x"));
    EXPECT_OK(kr_fieldset_intern(pool, test_json(&a, "{\"f:a\":{}}"), &init.owned, &err), &err);

    r = kr_rec_freeze(&init);
    memset(leaves, 0xff, sizeof(leaves));
    kr_arena_fini(&a);

    assert_true(kr_equal(r->root, test_json(&check, "{\"a\":[1,\"two\",{\"b\":null,\"c\":[]}],"
                                                    "\"d\":{\"e\":1.5},\"f\":\"\"}")));
    assert_true(kr_str_is(r->ref.gvr.group, "apps") &&
                kr_str_is(r->ref.gvr.resource, "deployments"));
    assert_true(kr_str_is(r->ref.namespace, "default") && kr_str_is(r->ref.name, "web"));
    assert_true(kr_str_is(r->uid, "u-1") && kr_str_is(r->version, "12"));
    assert_true(kr_str_is(r->part_of, "applyset-x") && r->instance_id.n == 0 && r->node_id.n == 0);
    assert_true(r->leaf[0] == 7 && r->leaf[1] == 0 && r->leaf[2] == 9);
    assert_int_equal(r->item, -1);
    assert_int_equal(r->generation, 4);
    assert_true(kr_rec_bytes(r) > sizeof(*r) && kr_rec_bytes(r) < 1000);

    assert_ptr_equal(kr_rec_hold(r), r);
    kr_rec_drop(r);
    assert_int_equal(kr_fieldset_pool_n(pool), 1);
    kr_rec_drop(r);
    assert_int_equal(kr_fieldset_pool_n(pool), 0);
    kr_rec_drop(NULL);
    assert_null(kr_rec_hold(NULL));
    kr_fieldset_pool_free(pool);
    kr_arena_fini(&check);
}

TEST(kr_rec, an_empty_record_is_legal)
{
    struct kr_rec *r = kr_rec_freeze(&(struct kr_rec){0});

    assert_int_equal(r->root.kind, KR_NONE);
    assert_int_equal(r->ref.name.n, 0);
    kr_rec_drop(r);
}

/* A record of name with root, whose strings live in a. */
static struct kr_rec *record(struct kr_arena *a, const char *name, const char *version,
                             const char *root)
{
    struct kr_rec init = {.item = -1, .root = test_json(a, root)};

    init.ref.name = kr_at_str(init.root, "metadata.name");
    init.version = kr_strdup(a, kr_str_c(version));
    assert_true(kr_str_eq(init.ref.name, kr_str_c(name)));
    return kr_rec_freeze(&init);
}

TEST(kr_rec, what_many_have_is_shared_and_goes_with_the_last)
{
    struct kr_rec *r[4];
    size_t first;

    for (int i = 0; i < 4; i++) {
        struct kr_arena a = {0};
        char name[2] = {(char)('a' + i), 0};

        r[i] = record(&a, name, "1",
                      kr_fmt(&a,
                             "{\"kind\":\"X\",\"metadata\":{\"name\":\"%s\",\"labels\":"
                             "{\"one\":\"a value of some length\",\"two\":1}},\"status\":"
                             "{\"conditions\":[{\"type\":\"Ready\",\"n\":1.0}]}}",
                             name)
                          .s);
        kr_arena_fini(&a);
    }
    first = kr_rec_bytes(r[0]);
    assert_true(kr_rec_bytes(r[2]) + 100 < first && kr_rec_bytes(r[3]) == kr_rec_bytes(r[2]));
    assert_ptr_equal(kr_at(r[2]->root, "metadata.labels").map,
                     kr_at(r[3]->root, "metadata.labels").map);
    kr_rec_drop(r[0]);
    kr_rec_drop(r[2]);
    assert_true(kr_str_is(kr_at_str(r[3]->root, "metadata.labels.one"), "a value of some length"));
    assert_int_equal(kr_get(kr_item(kr_at(r[3]->root, "status.conditions"), 0), KR_S("n")).kind,
                     KR_DOUBLE);
    kr_rec_drop(r[1]);
    kr_rec_drop(r[3]);
}

TEST(kr_rec, a_share_is_the_same_to_the_last_bit)
{
    struct kr_arena a = {0};
    struct kr_rec *r[4];

    for (int i = 0; i < 4; i++)
        r[i] = record(&a, "a", "1",
                      i % 2 ? "{\"metadata\":{\"name\":\"a\"},\"s\":{\"l\":[1.0,\"1\",true]}}"
                            : "{\"metadata\":{\"name\":\"a\"},\"s\":{\"l\":[1,\"1\",true]}}");
    for (int i = 0; i < 4; i++) {
        assert_int_equal(kr_item(kr_at(r[i]->root, "s.l"), 0).kind, i % 2 ? KR_DOUBLE : KR_INT);
        kr_rec_drop(r[i]);
    }
    kr_arena_fini(&a);
}

/* The names of the ApplySet and of the instance stand once for all children, from the first child on. */
TEST(kr_rec, children_of_an_instance_share_what_says_whose_they_are)
{
    struct kr_arena a = {0};
    struct kr_rec init = {.item = -1, .ref.namespace = KR_S("ns"), .ref.name = KR_S("web")}, *r[3];

    init.part_of = KR_S("applyset-0123456789-0123456789-0123456789-0123456789-v1");
    init.instance_id = KR_S("11111111-2222-3333-4444-555555555555");
    r[0] = kr_rec_freeze(&init);
    init.part_of = kr_strdup(&a, init.part_of);
    init.ref.namespace = KR_S("");
    r[1] = kr_rec_freeze(&init);
    init.instance_id = KR_S("");
    r[2] = kr_rec_freeze(&init);
    kr_arena_fini(&a);
    assert_ptr_equal(r[0]->part_of.s, r[1]->part_of.s);
    assert_ptr_equal(r[0]->instance_id.s, r[1]->instance_id.s);
    assert_ptr_not_equal(r[0]->part_of.s, r[2]->part_of.s);
    assert_true(kr_str_eq(r[1]->instance_id, KR_S("11111111-2222-3333-4444-555555555555")));
    assert_true(kr_str_eq(r[0]->part_of, r[2]->part_of) && r[2]->instance_id.n == 0);
    assert_in_range(kr_rec_bytes(r[0]), sizeof(struct kr_rec), sizeof(struct kr_rec) + 40);
    assert_true(kr_str_is(kr_rec_key(r[0]), "ns/web") && kr_str_is(kr_rec_key(r[1]), "/web"));
    kr_rec_drop(r[0]);
    kr_rec_drop(r[1]);
    assert_true(kr_str_starts(r[2]->part_of, KR_S("applyset-")));
    kr_rec_drop(r[2]);
}

TEST(kr_rec, a_newer_version_is_written_where_it_fits)
{
    struct kr_arena a = {0};
    struct kr_rec *r = record(&a, "a", "98", "{\"metadata\":{\"name\":\"a\"}}");
    struct kr_rec now = {.version = KR_S("99"), .version_u = 99, .generation = 3};

    assert_true(kr_rec_renew(r, &now));
    assert_true(kr_str_is(r->version, "99") && r->version_u == 99 && r->generation == 3);
    now.version = KR_S("9999");
    assert_true(kr_rec_renew(r, &now));
    assert_true(kr_str_is(r->version, "9999"));
    now.version = KR_S("10000");
    assert_false(kr_rec_renew(r, &now));
    assert_true(kr_str_is(r->version, "9999"));
    kr_rec_drop(r);
    kr_arena_fini(&a);
}

int main(void)
{
    return RUN(T(kr_rec, keeps_nothing_of_what_it_was_made_from),
               T(kr_rec, an_empty_record_is_legal),
               T(kr_rec, what_many_have_is_shared_and_goes_with_the_last),
               T(kr_rec, a_share_is_the_same_to_the_last_bit),
               T(kr_rec, children_of_an_instance_share_what_says_whose_they_are),
               T(kr_rec, a_newer_version_is_written_where_it_fits));
}
