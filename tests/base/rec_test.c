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
    struct kr_view init = {.leaves_n = 3,
                           .leaf = leaves,
                           .item = -1,
                           .generation = 4,
                           .version_u = 12,
                           .owned_digest = 5};
    struct kr_rec *r;

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

    assert_true(
        kr_equal(kr_rec_root(r), test_json(&check, "{\"a\":[1,\"two\",{\"b\":null,\"c\":[]}],"
                                                   "\"d\":{\"e\":1.5},\"f\":\"\"}")));
    assert_true(kr_str_is(kr_rec_gvr(r).group, "apps") &&
                kr_str_is(kr_rec_gvr(r).resource, "deployments"));
    assert_true(kr_str_is(kr_rec_namespace(r), "default") && kr_str_is(kr_rec_name(r), "web"));
    assert_true(kr_str_is(kr_rec_uid(r), "u-1") && kr_str_is(kr_rec_version(r), "12"));
    assert_true(kr_str_is(kr_rec_part_of(r), "applyset-x") && kr_rec_instance_id(r).n == 0 &&
                kr_rec_node_id(r).n == 0);
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
    struct kr_rec *r = kr_rec_freeze(&(struct kr_view){0});

    assert_int_equal(kr_rec_root(r).kind, KR_NONE);
    assert_int_equal(kr_rec_name(r).n, 0);
    kr_rec_drop(r);
}

/* A record of name with root, whose strings live in a. */
static struct kr_rec *record(struct kr_arena *a, const char *name, const char *version,
                             const char *root)
{
    struct kr_view init = {.item = -1, .root = test_json(a, root)};

    init.ref.name = kr_at_str(init.root, "metadata.name");
    init.version = kr_strdup(a, kr_str_c(version));
    assert_true(kr_str_eq(init.ref.name, kr_str_c(name)));
    return kr_rec_freeze(&init);
}

/* What is unfolded goes with the rest, and comes again. */
TEST(kr_rec, a_root_is_unfolded_once_between_two_rests)
{
    static const char *const text =
        "{\"kind\":\"X\",\"metadata\":{\"name\":\"a\"},\"spec\":{\"n\":1}}";
    struct kr_arena a = {0};
    struct kr_rec *r = record(&a, "a", "1", text);
    kr_val first = kr_rec_root(r);

    assert_ptr_equal(kr_rec_root(r).map, first.map);
    assert_ptr_equal(kr_at(first, "metadata.name").s, kr_rec_name(r).s);
    kr_rec_rest();
    EXPECT_TEXT(kr_cstr(&a, kr_json_str(&a, kr_rec_root(r))), text);
    kr_rec_rest();
    kr_rec_drop(r);
    kr_arena_fini(&a);
}

/* A record that stands where another one stood does not show its root. */
TEST(kr_rec, what_was_unfolded_goes_with_the_record)
{
    for (int i = 0; i < 8; i++) {
        struct kr_arena a = {0};
        char name[2] = {(char)('a' + i), 0};
        struct kr_rec *r =
            record(&a, name, "1", kr_fmt(&a, "{\"metadata\":{\"name\":\"%s\"}}", name).s);

        assert_true(kr_str_eq(kr_at_str(kr_rec_root(r), "metadata.name"), kr_str_c(name)));
        kr_rec_drop(r);
        kr_arena_fini(&a);
    }
    kr_rec_rest();
}

TEST(kr_rec, a_plain_root_outlives_the_rest)
{
    struct kr_arena a = {0};
    struct kr_view init = {.plain = true,
                           .root = test_json(&a, "{\"a\":[{\"b\":\"c\"}],\"d\":1.5}")};
    struct kr_rec *r = kr_rec_freeze(&init);
    kr_val root = kr_rec_root(r);

    kr_rec_rest();
    EXPECT_TEXT(kr_cstr(&a, kr_json_str(&a, root)), "{\"a\":[{\"b\":\"c\"}],\"d\":1.5}");
    kr_rec_drop(r);
    kr_arena_fini(&a);
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
    assert_true(kr_rec_bytes(r[2]) + 20 < first && kr_rec_bytes(r[3]) == kr_rec_bytes(r[2]));
    assert_ptr_equal(kr_at(kr_rec_root(r[2]), "metadata.labels").map,
                     kr_at(kr_rec_root(r[3]), "metadata.labels").map);
    kr_rec_drop(r[0]);
    kr_rec_drop(r[2]);
    assert_true(
        kr_str_is(kr_at_str(kr_rec_root(r[3]), "metadata.labels.one"), "a value of some length"));
    assert_int_equal(
        kr_get(kr_item(kr_at(kr_rec_root(r[3]), "status.conditions"), 0), KR_S("n")).kind,
        KR_DOUBLE);
    kr_rec_drop(r[1]);
    kr_rec_drop(r[3]);
    kr_rec_rest();
}

/* The versions of one object have much in common too, but the former one goes. */
TEST(kr_rec, what_one_object_alone_has_is_not_shared)
{
    struct kr_rec *r[3];

    for (int i = 0; i < 3; i++) {
        struct kr_arena a = {0};

        r[i] = record(
            &a, "a", "1",
            "{\"metadata\":{\"name\":\"a\",\"labels\":{\"one\":\"a value that only it has\"}}}");
        kr_arena_fini(&a);
    }
    assert_int_equal(r[0]->shares_n + r[1]->shares_n + r[2]->shares_n, 0);
    for (int i = 0; i < 3; i++)
        kr_rec_drop(r[i]);
}

TEST(kr_rec, a_share_is_the_same_to_the_last_bit)
{
    struct kr_arena a = {0};
    struct kr_rec *r[6];

    for (int i = 0; i < 6; i++) {
        char name[2] = {(char)('a' + i), 0};

        r[i] = record(&a, name, "1",
                      kr_fmt(&a, "{\"metadata\":{\"name\":\"%s\"},\"s\":{\"l\":[%s,\"1\",true]}}",
                             name, i % 2 ? "1.0" : "1")
                          .s);
    }
    for (int i = 0; i < 6; i++) {
        assert_int_equal(kr_item(kr_at(kr_rec_root(r[i]), "s.l"), 0).kind,
                         i % 2 ? KR_DOUBLE : KR_INT);
        kr_rec_drop(r[i]);
    }
    kr_rec_rest();
    kr_arena_fini(&a);
}

/* The names of the ApplySet and of the instance stand once for all children, from the first child on. */
TEST(kr_rec, children_of_an_instance_share_what_says_whose_they_are)
{
    struct kr_arena a = {0};
    struct kr_view init = {.item = -1, .ref.namespace = KR_S("ns"), .ref.name = KR_S("web")};
    struct kr_rec *r[3];

    init.part_of = KR_S("applyset-0123456789-0123456789-0123456789-0123456789-v1");
    init.instance_id = KR_S("11111111-2222-3333-4444-555555555555");
    r[0] = kr_rec_freeze(&init);
    init.part_of = kr_strdup(&a, init.part_of);
    init.ref.namespace = KR_S("");
    r[1] = kr_rec_freeze(&init);
    init.instance_id = KR_S("");
    r[2] = kr_rec_freeze(&init);
    kr_arena_fini(&a);
    assert_ptr_equal(kr_rec_part_of(r[0]).s, kr_rec_part_of(r[1]).s);
    assert_ptr_equal(kr_rec_instance_id(r[0]).s, kr_rec_instance_id(r[1]).s);
    assert_ptr_not_equal(kr_rec_part_of(r[0]).s, kr_rec_part_of(r[2]).s);
    assert_true(kr_str_eq(kr_rec_instance_id(r[1]), KR_S("11111111-2222-3333-4444-555555555555")));
    assert_true(kr_str_eq(kr_rec_part_of(r[0]), kr_rec_part_of(r[2])) &&
                kr_rec_instance_id(r[2]).n == 0);
    assert_in_range(kr_rec_bytes(r[0]), sizeof(struct kr_rec), sizeof(struct kr_rec) + 40);
    assert_true(kr_str_is(kr_rec_key(r[0]), "ns/web") && kr_str_is(kr_rec_key(r[1]), "/web"));
    kr_rec_drop(r[0]);
    kr_rec_drop(r[1]);
    assert_true(kr_str_starts(kr_rec_part_of(r[2]), KR_S("applyset-")));
    kr_rec_drop(r[2]);
}

TEST(kr_rec, a_newer_version_is_written_where_it_fits)
{
    struct kr_arena a = {0};
    struct kr_rec *r = record(&a, "a", "98", "{\"metadata\":{\"name\":\"a\"}}");
    struct kr_view now = {.version = KR_S("99"), .version_u = 99, .generation = 3};

    assert_true(kr_rec_renew(r, &now));
    assert_true(kr_str_is(kr_rec_version(r), "99") && r->version_u == 99 && r->generation == 3);
    now.version = KR_S("9999");
    assert_true(kr_rec_renew(r, &now));
    assert_true(kr_str_is(kr_rec_version(r), "9999"));
    now.version = KR_S("10000");
    assert_false(kr_rec_renew(r, &now));
    assert_true(kr_str_is(kr_rec_version(r), "9999"));
    kr_rec_drop(r);
    kr_arena_fini(&a);
}

int main(void)
{
    return RUN(T(kr_rec, keeps_nothing_of_what_it_was_made_from),
               T(kr_rec, an_empty_record_is_legal),
               T(kr_rec, a_root_is_unfolded_once_between_two_rests),
               T(kr_rec, what_was_unfolded_goes_with_the_record),
               T(kr_rec, a_plain_root_outlives_the_rest),
               T(kr_rec, what_many_have_is_shared_and_goes_with_the_last),
               T(kr_rec, what_one_object_alone_has_is_not_shared),
               T(kr_rec, a_share_is_the_same_to_the_last_bit),
               T(kr_rec, children_of_an_instance_share_what_says_whose_they_are),
               T(kr_rec, a_newer_version_is_written_where_it_fits));
}
