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

int main(void)
{
    return RUN(T(kr_rec, keeps_nothing_of_what_it_was_made_from),
               T(kr_rec, an_empty_record_is_legal));
}
