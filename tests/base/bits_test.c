/* SPDX-License-Identifier: Apache-2.0 */
#include "cel/base/bits.h"

#include "tests/lib/test.h"

TEST(kr_bits, agree_with_a_plain_array)
{
    static const uint32_t sizes[] = {1, 63, 64, 65, 128, 200};
    uint64_t seed = 9;

    for (size_t s = 0; s < KR_N(sizes); s++) {
        KR_AUTO(kr_arena) a = {0};
        uint32_t size = sizes[s], at = 0;
        struct kr_bits b, c;
        bool model[200] = {0};

        kr_bits_init(&b, &a, size);
        kr_bits_init(&c, &a, size);
        assert_false(kr_bits_any(&b));
        for (int i = 0; i < 100; i++) {
            uint32_t k = (uint32_t)(test_rand(&seed) % size);

            model[k] = test_rand(&seed) % 3 != 0;
            if (model[k])
                kr_bits_set(&b, k);
            else
                kr_bits_clear(&b, k);
        }
        assert_false(kr_bits_has(&b, size));
        kr_bits_each (i, &b) {
            for (; at < i; at++)
                assert_false(model[at]);
            assert_true(model[at++]);
        }
        for (; at < size; at++)
            assert_false(model[at]);
        assert_int_equal(kr_bits_meet(&b, &c), false);
        kr_bits_or(&c, &b);
        assert_int_equal(kr_bits_meet(&b, &c), kr_bits_any(&b));
        for (uint32_t i = 0; i < size; i++) {
            assert_int_equal(kr_bits_has(&c, i), model[i]);
            if (model[i]) {
                assert_true(kr_bits_pop(&c, &at));
                assert_int_equal(at, i);
            }
        }
        assert_false(kr_bits_pop(&c, &at));
        kr_bits_fill(&c);
        for (uint32_t i = 0; i < size; i++)
            assert_true(kr_bits_has(&c, i));
        kr_bits_zero(&c);
        assert_false(kr_bits_any(&c));
    }
}

int main(void)
{
    return RUN(T(kr_bits, agree_with_a_plain_array));
}
