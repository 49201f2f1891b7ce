/* SPDX-License-Identifier: Apache-2.0 */
/* flat_test.c - what was written is read, to the last bit and flag. */
#include "cel/base/flat.h"

#include "cel/base/json.h"
#include "tests/lib/test.h"

enum { ROW_MAX = 1 << 20 };

static kr_val there_and_back(struct kr_arena *a, const struct kr_flat *f, kr_val v, size_t *row_n)
{
    struct kr_buf row = KR_BUF_IN(a, ROW_MAX);

    kr_flat_write(f, v, &row);
    *row_n = row.n;
    return kr_flat_read(f, kr_buf_view(&row), a);
}

TEST(flat, every_kind_comes_back)
{
    static const char *const texts[] = {
        "null",
        "true",
        "false",
        "0",
        "-1",
        "63",
        "64",
        "-64",
        "-65",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615",
        "1.5",
        "1.0",
        "-0.0",
        "1e300",
        "\"\"",
        "\"text\"",
        "\"\\u00e4\"",
        "[]",
        "{}",
        "[[],{},[1,[2,[3]]]]",
        "{\"\":1,\"a\":{\"b\":[null,{\"c\":\"d\"}]},\"kind\":\"X\"}"};
    struct kr_flat f = {0};

    for (size_t i = 0; i < KR_N(texts); i++) {
        KR_AUTO(kr_arena) a = {0};
        size_t n;
        kr_val v = test_json(&a, texts[i]), back = there_and_back(&a, &f, v, &n);

        assert_int_equal(back.kind, v.kind);
        EXPECT_TEXT(kr_cstr(&a, kr_json_str(&a, back)), kr_cstr(&a, kr_json_str(&a, v)));
    }
}

TEST(flat, absent_is_absent_and_flags_stay)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_flat f = {0};
    kr_val ascii = kr_string(KR_S("x"));
    size_t n;

    assert_int_equal(there_and_back(&a, &f, KR_V_NONE, &n).kind, KR_NONE);
    assert_int_equal(n, 1);
    assert_int_equal(there_and_back(&a, &f, ascii, &n).flags, 0);
    ascii.flags = KR_F_ASCII;
    assert_int_equal(there_and_back(&a, &f, ascii, &n).flags, KR_F_ASCII);
}

TEST(flat, long_texts_and_many_members)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_flat f = {0};
    struct kr_mapb m = KR_MAPB(&a);
    kr_val v, back;
    size_t n;

    for (int i = 0; i < 300; i++)
        kr_mapb_put(&m, kr_fmt(&a, "member-%d-%0100d", i, i), kr_string(kr_fmt(&a, "%0200d", i)));
    v = kr_mapb_done(&m);
    back = there_and_back(&a, &f, v, &n);
    assert_int_equal(back.n, 300);
    assert_true(kr_equal(back, v));
}

/* By their place, not by what they say. */
TEST(flat, texts_beside_the_row_are_not_written_again)
{
    KR_AUTO(kr_arena) a = {0};
    kr_val v = test_json(
        &a,
        "{\"metadata\":{\"name\":\"a-name-of-some-length\",\"uid\":\"a-name-of-some-length\"}}");
    struct kr_flat none = {0}, f = {.own = {kr_at_str(v, "metadata.name")}, .own_n = 1}, other = f;
    struct kr_buf row = KR_BUF_IN(&a, ROW_MAX);
    size_t all_n;

    there_and_back(&a, &none, v, &all_n);
    kr_flat_write(&f, v, &row);
    assert_int_equal(row.n, all_n - 21);
    other.own[0] = KR_S("moved");
    v = kr_flat_read(&other, kr_buf_view(&row), &a);
    assert_true(kr_str_is(kr_at_str(v, "metadata.name"), "moved"));
    assert_true(kr_str_is(kr_at_str(v, "metadata.uid"), "a-name-of-some-length"));
}

static int32_t share_lists(void *arg, kr_val v, uint32_t depth)
{
    kr_val *held = arg;

    if (v.kind != KR_LIST || depth < 1)
        return -1;
    *held = v;
    return 0;
}

static kr_val shared(void *arg, uint32_t number)
{
    assert_int_equal(number, 0);
    return *(kr_val *)arg;
}

TEST(flat, shared_values_are_asked_for)
{
    KR_AUTO(kr_arena) a = {0};
    kr_val held, v = test_json(&a, "{\"a\":{\"b\":[1,2,3]}}"), back;
    struct kr_flat f = {.share = share_lists, .shared = shared, .arg = &held};
    size_t n;

    back = there_and_back(&a, &f, v, &n);
    assert_ptr_equal(kr_at(back, "a.b").list, held.list);
    assert_true(kr_equal(back, v));
}

int main(void)
{
    return RUN(T(flat, every_kind_comes_back), T(flat, absent_is_absent_and_flags_stay),
               T(flat, long_texts_and_many_members),
               T(flat, texts_beside_the_row_are_not_written_again),
               T(flat, shared_values_are_asked_for));
}
