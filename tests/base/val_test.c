/* SPDX-License-Identifier: Apache-2.0 */
#include "cel/base/val.h"

#include <math.h>

#include "cel/base/json.h"
#include "tests/lib/test.h"

static void expect_json(kr_val v, const char *want)
{
    KR_AUTO(kr_arena) a = {0};

    EXPECT_TEXT(kr_json_str(&a, v).s, want);
}

TEST(kr_val, reading_is_total)
{
    KR_AUTO(kr_arena) a = {0};
    kr_val v = test_json(&a, "{\"a\":{\"b\":[1,2],\"c\":null},\"s\":\"x\"}");

    expect_json(kr_at(v, "a.b"), "[1,2]");
    assert_int_equal(kr_at(v, "a.c").kind, KR_NULL);
    assert_int_equal(kr_at(v, "a.x.y").kind, KR_NONE);
    assert_int_equal(kr_at(v, "s.y").kind, KR_NONE);
    assert_int_equal(kr_at(v, "a.b.0").kind, KR_NONE);
    assert_int_equal(kr_at(v, "").kind, KR_MAP);
    assert_int_equal(kr_at(KR_V_NONE, "a").kind, KR_NONE);
    assert_int_equal(kr_item(kr_at(v, "a.b"), 1).i, 2);
    assert_int_equal(kr_item(kr_at(v, "a.b"), 2).kind, KR_NONE);
    assert_int_equal(kr_item(v, 0).kind, KR_NONE);
    assert_true(kr_str_is(kr_at_str(v, "s"), "x"));
    assert_int_equal(kr_at_str(v, "a").n, 0);
    expect_json(kr_at_path(v, (kr_str[]){KR_S("a"), KR_S("b")}, 2), "[1,2]");
    assert_true(kr_is_str(kr_get(v, KR_S("s")), KR_S("x")));
    assert_false(kr_is_true(kr_get(v, KR_S("s"))));
    KR_LIST_EACH (it, v)
        fail_msg("a map has no items %p", (const void *)it);
    KR_MAP_EACH (p, kr_at(v, "a.b"))
        fail_msg("a list has no pairs %p", (const void *)p);
}

TEST(kr_mapb, sorts_and_keeps_the_last_of_equal_keys)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_mapb b = KR_MAPB(&a);
    kr_val empty = kr_mapb_done(&b);

    expect_json(empty, "{}");
    kr_mapb_put(&b, KR_S("b"), kr_int(1));
    kr_mapb_put(&b, KR_S("b"), kr_int(2));
    kr_mapb_put(&b, KR_S("a"), kr_int(3));
    kr_mapb_put(&b, KR_S("b"), kr_int(4));
    kr_mapb_put(&b, KR_S(""), kr_int(5));
    expect_json(kr_mapb_done(&b), "{\"\":5,\"a\":3,\"b\":4}");
    expect_json(kr_mapb_done(&b), "{}");
}

TEST(kr_mapb, many_keys_in_any_order)
{
    KR_AUTO(kr_arena) a = {0};
    uint64_t seed = 2;

    for (uint64_t n = 0; n < 300; n += 7) {
        struct kr_mapb b = KR_MAPB(&a);
        int64_t last[128];
        kr_val v;

        memset(last, -1, sizeof(last));
        for (uint64_t i = 0; i < n; i++) {
            uint64_t k = test_rand(&seed) % 128;

            kr_mapb_put(&b, kr_fmt(&a, "%llu", (unsigned long long)k), kr_int((int64_t)i));
            last[k] = (int64_t)i;
        }
        v = kr_mapb_done(&b);
        for (uint32_t i = 1; i < v.n; i++)
            assert_true(kr_val_cmp_key(v.map[i - 1].key, v.map[i].key) < 0);
        for (int k = 0; k < 128; k++) {
            kr_val got = kr_get(v, kr_fmt(&a, "%d", k));

            assert_int_equal(got.kind, last[k] < 0 ? KR_NONE : KR_INT);
            assert_int_equal(got.i, last[k] < 0 ? 0 : last[k]);
        }
    }
}

TEST(kr_map_find, keys_of_every_kind)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_mapb b = KR_MAPB(&a);
    kr_val v;

    kr_mapb_put_val(&b, KR_V_STR("x"), kr_int(1));
    kr_mapb_put_val(&b, kr_uint(UINT64_MAX), kr_int(2));
    kr_mapb_put_val(&b, kr_int(-1), kr_int(3));
    kr_mapb_put_val(&b, kr_bool(true), kr_int(4));
    kr_mapb_put_val(&b, kr_int(7), kr_int(5));
    kr_mapb_put_val(&b, kr_uint(7), kr_int(6)); /* the same key */
    kr_mapb_put_val(&b, kr_bool(false), kr_int(7));
    v = kr_mapb_done(&b);
    assert_int_equal(v.n, 6);
    expect_json(v, "{\"false\":7,\"true\":4,\"-1\":3,\"7\":6,\"18446744073709551615\":2,\"x\":1}");
    assert_int_equal(kr_map_find(v, kr_double(7)).i, 6);
    assert_int_equal(kr_map_find(v, kr_int(7)).i, 6);
    assert_int_equal(kr_map_find(v, kr_double(7.5)).kind, KR_NONE);
    assert_int_equal(kr_map_find(v, kr_double(NAN)).kind, KR_NONE);
    assert_int_equal(kr_map_find(v, kr_double(-1)).i, 3);
    assert_int_equal(kr_map_find(v, kr_bool(true)).i, 4);
    assert_int_equal(kr_map_find(v, KR_V_STR("x")).i, 1);
    assert_int_equal(kr_map_find(v, KR_V_STR("7")).kind, KR_NONE);
    assert_int_equal(kr_map_find(v, KR_V_NULL).kind, KR_NONE);
    assert_int_equal(kr_get(v, KR_S("x")).i, 1);
    assert_int_equal(kr_get(v, KR_S("true")).kind, KR_NONE);
}

TEST(kr_equal, numbers_compare_by_value_without_rounding)
{
    static const kr_val order[] = {
        {.kind = KR_DOUBLE, .d = -INFINITY},
        {.kind = KR_DOUBLE, .d = -0x1p63 - 4096},
        {.kind = KR_INT, .i = INT64_MIN},
        {.kind = KR_INT, .i = INT64_MIN + 1},
        {.kind = KR_DOUBLE, .d = -1.5},
        {.kind = KR_INT, .i = -1},
        {.kind = KR_DOUBLE, .d = -0.0},
        {.kind = KR_DOUBLE, .d = 0x1p-1074},
        {.kind = KR_DOUBLE, .d = 1},
        {.kind = KR_DOUBLE, .d = 0x1p53},
        {.kind = KR_INT, .i = (1ll << 53) + 1},
        {.kind = KR_DOUBLE, .d = 0x1p53 + 2},
        {.kind = KR_INT, .i = INT64_MAX},
        {.kind = KR_DOUBLE, .d = 0x1p63},
        {.kind = KR_UINT, .u = (1ull << 63) + 1},
        {.kind = KR_UINT, .u = UINT64_MAX},
        {.kind = KR_DOUBLE, .d = 0x1p64},
        {.kind = KR_DOUBLE, .d = INFINITY},
    };

    for (size_t i = 0; i < KR_N(order); i++) {
        for (size_t k = 0; k < KR_N(order); k++) {
            int c = kr_val_cmp_key(order[i], order[k]);

            assert_int_equal((c > 0) - (c < 0), (i > k) - (i < k));
            assert_int_equal(kr_equal(order[i], order[k]), i == k);
            assert_int_equal(kr_digest(order[i]) == kr_digest(order[k]), i == k);
        }
    }
    assert_true(kr_equal(kr_int(1), kr_double(1)) && kr_equal(kr_uint(1), kr_int(1)));
    assert_true(kr_digest(kr_int(1)) == kr_digest(kr_double(1)));
    assert_true(kr_digest(kr_uint(1)) == kr_digest(kr_int(1)));
    assert_true(kr_digest(kr_double(0)) == kr_digest(kr_double(-0.0)));
    assert_false(kr_equal(kr_double(NAN), kr_double(NAN)));
    assert_false(kr_equal(kr_int(1), KR_V_STR("1")));
}

TEST(kr_equal, every_kind)
{
    static const char bytes[] = "x";
    kr_val one = kr_int(1);
    const kr_val all[] = {
        KR_V_NONE,
        KR_V_NULL,
        KR_V_OMIT,
        kr_bool(false),
        kr_bool(true),
        kr_int(0),
        KR_V_STR(""),
        KR_V_STR("x"),
        {.kind = KR_BYTES, .n = 1, .s = bytes},
        {.kind = KR_TYPE, .n = 1, .s = bytes},
        kr_list(NULL, 0),
        kr_list(&one, 1),
        kr_map_sorted(NULL, 0),
        {.kind = KR_DURATION, .i = 0},
        {.kind = KR_DURATION, .i = 1},
        {.kind = KR_TIMESTAMP, .i = 0},
        {.kind = KR_TIMESTAMP, .i = 0, .n = 1},
        {.kind = KR_OPTIONAL},
        {.kind = KR_OPTIONAL, .ref = &one},
        {.kind = KR_OPAQUE, .obj = (const void *)bytes},
    };

    for (size_t i = 0; i < KR_N(all); i++) {
        for (size_t k = 0; k < KR_N(all); k++) {
            assert_int_equal(kr_equal(all[i], all[k]), i == k);
            assert_int_equal(kr_digest(all[i]) == kr_digest(all[k]), i == k);
        }
        assert_int_equal(kr_digest(all[i]) == 0, all[i].kind == KR_NONE);
        assert_true(strlen(kr_kind_name(all[i].kind)) > 0);
    }
    EXPECT_TEXT(kr_kind_name(KR_KIND_N), "unknown");
    assert_true(kr_equal((kr_val){.kind = KR_TIMESTAMP, .i = 5, .aux = 60},
                         (kr_val){.kind = KR_TIMESTAMP, .i = 5})); /* one instant, two zones */
}

TEST(kr_equal, structure)
{
    KR_AUTO(kr_arena) a = {0};
    kr_val v = test_json(&a, "{\"a\":[1,{\"b\":null}],\"c\":\"x\"}");
    static const char *const others[] = {
        "{\"a\":[1,{\"b\":null}],\"c\":\"y\"}",
        "{\"a\":[1,{\"b\":null}],\"d\":\"x\"}",
        "{\"a\":[1,{\"b\":0}],\"c\":\"x\"}",
        "{\"a\":[1],\"c\":\"x\"}",
        "{\"a\":[1,{\"b\":null}]}",
        "[]",
    };

    assert_true(kr_equal(v, test_json(&a, "{\"c\":\"x\",\"a\":[1.0,{\"b\":null}]}")));
    assert_true(kr_digest(v) == kr_digest(test_json(&a, "{\"c\":\"x\",\"a\":[1.0,{\"b\":null}]}")));
    for (size_t i = 0; i < KR_N(others); i++) {
        assert_false(kr_equal(v, test_json(&a, others[i])));
        assert_true(kr_digest(v) != kr_digest(test_json(&a, others[i])));
    }
}

TEST(kr_with, builds_a_new_spine_and_shares_the_rest)
{
    KR_AUTO(kr_arena) a = {0};
    kr_val v = test_json(&a, "{\"a\":{\"b\":{\"c\":1},\"d\":[1,2]},\"z\":\"s\"}");
    kr_val w = kr_with(&a, v, "a.b.c", kr_int(9));

    expect_json(w, "{\"a\":{\"b\":{\"c\":9},\"d\":[1,2]},\"z\":\"s\"}");
    expect_json(v, "{\"a\":{\"b\":{\"c\":1},\"d\":[1,2]},\"z\":\"s\"}");
    assert_ptr_equal(kr_at(v, "a.d").list, kr_at(w, "a.d").list);
    expect_json(kr_with(&a, v, "a.x.y", kr_int(1)),
                "{\"a\":{\"b\":{\"c\":1},\"d\":[1,2],\"x\":{\"y\":1}},\"z\":\"s\"}");
    expect_json(kr_with(&a, KR_V_NONE, "m.n", kr_int(1)), "{\"m\":{\"n\":1}}");
    expect_json(kr_with(&a, v, "z.n", kr_int(1)),
                "{\"a\":{\"b\":{\"c\":1},\"d\":[1,2]},\"z\":{\"n\":1}}");
    expect_json(kr_with(&a, v, "", kr_int(1)), "1");
    expect_json(kr_with(&a, v, "0", kr_int(1)),
                "{\"0\":1,\"a\":{\"b\":{\"c\":1},\"d\":[1,2]},\"z\":\"s\"}");
    expect_json(kr_with_path(&a, v, (kr_str[]){KR_S("a"), KR_S("b.c")}, 2, kr_int(1)),
                "{\"a\":{\"b\":{\"c\":1},\"b.c\":1,\"d\":[1,2]},\"z\":\"s\"}");
    expect_json(kr_with_path(&a, v, NULL, 0, kr_int(1)), "1");
}

TEST(kr_with, none_removes)
{
    KR_AUTO(kr_arena) a = {0};
    kr_val v = test_json(&a, "{\"a\":{\"b\":1,\"c\":2},\"z\":3}");

    expect_json(kr_with(&a, v, "a.b", KR_V_NONE), "{\"a\":{\"c\":2},\"z\":3}");
    expect_json(kr_with(&a, v, "a", KR_V_NONE), "{\"z\":3}");
    expect_json(kr_with(&a, v, "z", KR_V_NONE), "{\"a\":{\"b\":1,\"c\":2}}");
    expect_json(kr_with(&a, v, "x.y.z", KR_V_NONE), "{\"a\":{\"b\":1,\"c\":2},\"z\":3}");
    expect_json(kr_with(&a, v, "z.y", KR_V_NONE), "{\"a\":{\"b\":1,\"c\":2},\"z\":3}");
    expect_json(kr_with_path(&a, v, (kr_str[]){KR_S("a"), KR_S("b")}, 2, KR_V_NONE),
                "{\"a\":{\"c\":2},\"z\":3}");
    expect_json(kr_with_path(&a, v, (kr_str[]){KR_S("q"), KR_S("b")}, 2, KR_V_NONE),
                "{\"a\":{\"b\":1,\"c\":2},\"z\":3}");
}

TEST(kr_copy, borrows_nothing)
{
    KR_AUTO(kr_arena) a = {0};
    kr_val copy;
    {
        KR_AUTO(kr_arena) short_lived = {0};
        kr_val inner = KR_V_STR("in");
        kr_val v = test_json(&short_lived, "{\"k\":[\"text\",{\"n\":[]},1.5,true,null]}");

        v = kr_with_key(&short_lived, v, KR_S("o"), (kr_val){.kind = KR_OPTIONAL, .ref = &inner});
        copy = kr_copy(&a, v);
        inner = KR_V_NULL;
    }
    expect_json(copy, "{\"k\":[\"text\",{\"n\":[]},1.5,true,null],\"o\":\"in\"}");
}

TEST(kr_listb, keeps_the_order)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_listb b = KR_LISTB(&a);
    kr_val v;

    for (int i = 0; i < 1000; i++)
        kr_listb_add(&b, kr_int(i));
    v = kr_listb_done(&b);
    assert_int_equal(v.n, 1000);
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(kr_item(v, i).i, i);
    assert_int_equal(kr_listb_done(&b).n, 0);
}

int main(void)
{
    return RUN(T(kr_val, reading_is_total), T(kr_mapb, sorts_and_keeps_the_last_of_equal_keys),
               T(kr_mapb, many_keys_in_any_order), T(kr_map_find, keys_of_every_kind),
               T(kr_equal, numbers_compare_by_value_without_rounding), T(kr_equal, every_kind),
               T(kr_equal, structure), T(kr_with, builds_a_new_spine_and_shares_the_rest),
               T(kr_with, none_removes), T(kr_copy, borrows_nothing), T(kr_listb, keeps_the_order));
}
