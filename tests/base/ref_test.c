/* SPDX-License-Identifier: Apache-2.0 */
#include "cel/base/ref.h"

#include "tests/lib/test.h"

static const kr_ref web = {
    {{"apps", 4}, {"v1", 2}, {"deployments", 11}}, {"default", 7}, {"web", 3}};
static const kr_ref node = {{{"", 0}, {"v1", 2}, {"nodes", 5}}, {"", 0}, {"n1", 2}};

TEST(kr_ref, api_versions_split_and_join)
{
    static const char *const bad[] = {"", "/", "/v1", "apps/", "a/b/c", "a//b"};
    KR_AUTO(kr_arena) a = {0};
    kr_str group = KR_S("old"), version = KR_S("old");

    for (size_t i = 0; i < KR_N(bad); i++)
        assert_false(kr_api_version(kr_str_c(bad[i]), &group, &version));
    assert_true(kr_str_is(group, "old") && kr_str_is(version, "old"));
    assert_true(kr_api_version(KR_S("apps/v1"), &group, &version));
    assert_true(kr_str_is(group, "apps") && kr_str_is(version, "v1"));
    EXPECT_TEXT(kr_api_version_text(&a, group, version).s, "apps/v1");
    assert_true(kr_api_version(KR_S("v1"), &group, &version));
    assert_true(kr_str_is(group, "") && kr_str_is(version, "v1"));
    EXPECT_TEXT(kr_api_version_text(&a, group, version).s, "v1");
}

TEST(kr_ref, keys_are_unambiguous)
{
    KR_AUTO(kr_arena) a = {0};

    EXPECT_TEXT(kr_gvr_key(&a, web.gvr).s, "apps/v1/deployments");
    EXPECT_TEXT(kr_gvr_key(&a, node.gvr).s, "/v1/nodes");
    EXPECT_TEXT(kr_ref_key(&a, web).s, "apps/v1/deployments|default|web");
    EXPECT_TEXT(kr_ref_key(&a, node).s, "/v1/nodes||n1");
}

TEST(kr_ref, is_printed_for_people)
{
    KR_AUTO(kr_buf) b = KR_BUF(1000);

    kr_ref_print(&b, web);
    kr_buf_chr(&b, ',');
    kr_ref_print(&b, node);
    EXPECT_TEXT(b.s, "deployments.v1.apps default/web,nodes.v1 n1");
}

TEST(kr_ref, equality_looks_at_every_part)
{
    kr_ref r = web;
    kr_gvk k = {KR_S("g"), KR_S("v"), KR_S("K")}, l = k;

    assert_true(kr_ref_eq(r, web));
    r.name = KR_S("web2");
    assert_false(kr_ref_eq(r, web));
    r = web;
    r.namespace = KR_S("");
    assert_false(kr_ref_eq(r, web));
    r = web;
    r.gvr.version = KR_S("v2");
    assert_false(kr_ref_eq(r, web));
    assert_false(kr_gvr_eq(r.gvr, web.gvr));
    assert_true(kr_gvk_eq(k, l));
    l.kind = KR_S("L");
    assert_false(kr_gvk_eq(k, l));
    l = k;
    l.group = KR_S("h");
    assert_false(kr_gvk_eq(k, l));
}

TEST(kr_ref, copies_stand_alone)
{
    KR_AUTO(kr_arena) a = {0};
    char name[] = "web", kind[] = "Kind";
    kr_ref r = web, copy;
    kr_gvk k = {KR_S("g"), KR_S("v"), kr_str_c(kind)}, k_copy = kr_gvk_copy(&a, k);

    r.name = kr_str_c(name);
    copy = kr_ref_copy(&a, r);
    name[0] = 'X';
    kind[0] = 'X';
    assert_true(kr_ref_eq(copy, web));
    assert_true(kr_str_is(k_copy.kind, "Kind"));
}

int main(void)
{
    return RUN(T(kr_ref, api_versions_split_and_join), T(kr_ref, keys_are_unambiguous),
               T(kr_ref, is_printed_for_people), T(kr_ref, equality_looks_at_every_part),
               T(kr_ref, copies_stand_alone));
}
