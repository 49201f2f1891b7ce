/* SPDX-License-Identifier: Apache-2.0 */
#include "cel/base/map.h"

#include <stdio.h>

#include "tests/lib/test.h"

static int value[4096];

static kr_str key_of(uint64_t i)
{
    static char text[32];

    return (kr_str){text, (size_t)snprintf(text, sizeof(text), "key-%llu", (unsigned long long)i)};
}

static void expect_order(const struct kr_map *m, const char *want)
{
    KR_AUTO(kr_buf) b = KR_BUF(1000);

    kr_map_each (e, m)
        kr_buf_fmt(&b, KR_FMT " ", KR_ARG(kr_map_key(e)));
    EXPECT_TEXT(b.s ? b.s : "", want);
}

TEST(kr_map, keeps_the_order_of_insertion)
{
    KR_AUTO(kr_map) m = {0};

    expect_order(&m, "");
    assert_null(kr_map_get(&m, KR_S("a")));
    assert_null(kr_map_del(&m, KR_S("a")));
    assert_null(kr_map_put(&m, KR_S("b"), &value[1]));
    assert_null(kr_map_put(&m, KR_S("a"), &value[2]));
    assert_null(kr_map_put(&m, KR_S(""), &value[3]));
    assert_ptr_equal(kr_map_put(&m, KR_S("b"), &value[4]), &value[1]);
    expect_order(&m, "b a  ");
    assert_int_equal(m.n, 3);
    assert_ptr_equal(kr_map_get(&m, KR_S("b")), &value[4]);
    assert_ptr_equal(kr_map_get(&m, KR_S("")), &value[3]);
    assert_ptr_equal(kr_map_del(&m, KR_S("a")), &value[2]);
    assert_null(kr_map_put(&m, KR_S("a"), &value[2]));
    expect_order(&m, "b  a ");
    kr_map_fini(&m);
    expect_order(&m, "");
}

/* Every operation is done on the map and on an array of keys in order. */
TEST(kr_map, agrees_with_a_plain_list)
{
    KR_AUTO(kr_map) m = {0};
    uint64_t seed = 3, model[512], key;
    uint32_t n = 0, at;

    for (int step = 0; step < 60000; step++) {
        uint32_t room = step / 20000 == 1 ? 20 : 512; /* shrinks in the middle */

        key = test_rand(&seed) % 600;
        for (at = 0; at < n && model[at] != key;)
            at++;
        if (n < room && test_rand(&seed) % 2) {
            void *old = kr_map_put(&m, key_of(key), &value[key]);

            assert_ptr_equal(old, at < n ? &value[key] : NULL);
            if (at == n)
                model[n++] = key;
        } else {
            assert_ptr_equal(kr_map_del(&m, key_of(key)), at < n ? &value[key] : NULL);
            if (at < n)
                memmove(model + at, model + at + 1, sizeof(*model) * (--n - at));
        }
        assert_int_equal(m.n, n);
        at = 0;
        if (step % 97 == 0) {
            kr_map_each (e, &m) {
                assert_true(at < n);
                assert_true(kr_str_eq(kr_map_key(e), key_of(model[at])));
                assert_ptr_equal(e->val, &value[model[at]]);
                at++;
            }
            assert_int_equal(at, n);
        }
    }
    assert_true(m.cap <= 2048); /* holes were closed, not piled up */
}

TEST(kr_map, can_change_while_it_is_stepped_through)
{
    KR_AUTO(kr_map) m = {0};
    uint64_t next = 100, seen = 0;

    for (uint64_t i = 0; i < 100; i++)
        kr_map_put(&m, key_of(i), &value[i]);
    kr_map_each (e, &m) { /* each step removes its entry and, at first, adds two */
        assert_ptr_equal(e->val, &value[seen]);
        assert_non_null(kr_map_del(&m, key_of(seen)));
        seen++;
        for (int k = 0; k < 2 && next < 1000; k++, next++)
            kr_map_put(&m, key_of(next), &value[next]);
    }
    assert_int_equal(seen, 1000);
    assert_int_equal(m.n, 0);
}

/* No copy of a key is made: not when it is put, and not when it is put again from elsewhere. */
TEST(kr_map, borrows_its_keys_where_it_is_told_to)
{
    char first[] = "a/one", second[] = "a/one";
    KR_AUTO(kr_map) m = {.borrows = true};
    uint64_t allocs;

    kr_map_put(&m, KR_S("a/two"), &value[2]);
    allocs = kr_alloc_count();
    assert_null(kr_map_put(&m, kr_str_c(first), &value[1]));
    assert_ptr_equal(kr_map_put(&m, kr_str_c(second), &value[3]), &value[1]);
    assert_true(kr_alloc_count() == allocs);
    memset(first, 'x', sizeof first - 1); /* not looked at any more */
    assert_ptr_equal(kr_map_get(&m, KR_S("a/one")), &value[3]);
    assert_ptr_equal(kr_map_del(&m, KR_S("a/one")), &value[3]);
    expect_order(&m, "a/two ");
}

int main(void)
{
    return RUN(T(kr_map, keeps_the_order_of_insertion), T(kr_map, agrees_with_a_plain_list),
               T(kr_map, can_change_while_it_is_stepped_through),
               T(kr_map, borrows_its_keys_where_it_is_told_to));
}
