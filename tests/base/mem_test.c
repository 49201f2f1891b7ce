/* SPDX-License-Identifier: Apache-2.0 */
#include "cel/base/mem.h"

#include <stdalign.h>

#include "tests/lib/test.h"

TEST(kr_arena, pieces_are_zeroed_aligned_and_apart)
{
    KR_AUTO(kr_arena) a = {0};
    uint64_t seed = 1;
    char *piece[400];
    size_t n[400];

    for (size_t i = 0; i < KR_N(piece); i++) {
        n[i] = test_rand(&seed) % (i % 50 == 0 ? 600000 : 300);
        kr_arena_bytes(&a, i % 3); /* puts the next piece out of alignment */
        piece[i] = kr_arena_alloc(&a, n[i]);
        assert_int_equal((uintptr_t)piece[i] % alignof(max_align_t), 0);
        for (size_t k = 0; k < n[i]; k++)
            assert_int_equal(piece[i][k], 0);
        memset(piece[i], (int)(i & 0x7F), n[i]);
    }
    for (size_t i = 0; i < KR_N(piece); i++) {
        for (size_t k = 0; k < n[i]; k++)
            assert_int_equal(piece[i][k], (char)(i & 0x7F));
    }
}

TEST(kr_arena, memory_after_a_reset_is_zeroed_again)
{
    KR_AUTO(kr_arena) a = {0};

    for (int round = 0; round < 5; round++) {
        char *p = kr_arena_alloc(&a, 5000);

        for (int i = 0; i < 5000; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xFF, 5000);
        assert_int_equal(a.used_bytes, 5000);
        kr_arena_reset(&a);
        assert_int_equal(a.used_bytes, 0);
    }
}

TEST(kr_arena, a_reset_keeps_a_chunk_and_gives_large_ones_back)
{
#ifndef KR_DEV
    KR_AUTO(kr_arena) a = {0};
    uint64_t before;

    kr_arena_alloc(&a, 3 * KR_ARENA_CHUNK_MAX);
    for (int i = 0; i < 100; i++)
        kr_arena_alloc(&a, 1000);
    kr_arena_reset(&a);
    before = kr_alloc_count();
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 50; i++)
            kr_arena_alloc(&a, 1000);
        kr_arena_reset(&a);
    }
    assert_int_equal(kr_alloc_count(), before);
#endif
}

TEST(kr_arena, nothing_is_a_valid_piece)
{
    KR_AUTO(kr_arena) a = {0};

    assert_non_null(kr_arena_alloc(&a, 0));
    assert_non_null(kr_arena_bytes(&a, 0));
    kr_arena_reset(&a);
    kr_arena_fini(&a);
    kr_arena_fini(&a);
}

TEST(kr_arena, text_is_copied_and_terminated)
{
    KR_AUTO(kr_arena) a = {0};
    kr_str s = kr_strdup(&a, kr_str_sub(KR_S("hello"), 1, 3));

    assert_int_equal(s.n, 2);
    EXPECT_TEXT(s.s, "el");
    EXPECT_TEXT(kr_cstr(&a, (kr_str){0}), "");
    EXPECT_TEXT(kr_fmt(&a, "%d-%s", 7, "x").s, "7-x");
    assert_int_equal(kr_fmt(&a, "%5000d", 1).n, 5000);
}

TEST(kr_alloc, is_zeroed_and_counted)
{
    uint64_t before = kr_alloc_count();
    uint64_t *p = kr_alloc(64);
    char *s;

    for (int i = 0; i < 8; i++)
        assert_int_equal(p[i], 0);
    p = kr_realloc(p, 128);
    s = kr_cstrdup(KR_S("abc"));
    EXPECT_TEXT(s, "abc");
    assert_int_equal(kr_alloc_count() - before, 3);
    kr_free(p);
    kr_free(s);
    kr_free(NULL);
}

struct part {
    int x;
};
static int part_frees;
static void part_free(struct part *p)
{
    part_frees += p != NULL;
    kr_free(p);
}
KR_DEFINE_FREEP(part)

static struct part *part_made(bool moved)
{
    KR_AUTO_PTR(part) p = KR_ALLOC(struct part);

    return moved ? KR_MOVE(p) : NULL;
}

TEST(kr_auto, frees_unless_moved)
{
    struct part *p = part_made(true);

    assert_int_equal(part_frees, 0);
    assert_non_null(p);
    part_free(p);
    part_frees = 0;
    assert_null(part_made(false));
    assert_int_equal(part_frees, 1);
}

TEST(kr_owner, finds_the_struct_around_a_member)
{
    struct {
        int before;
        struct part part;
    } whole = {1, {2}};
    struct part *p = &whole.part;

    assert_ptr_equal(KR_OWNER(p, __typeof__(whole), part), &whole);
}

int main(void)
{
    return RUN(T(kr_arena, pieces_are_zeroed_aligned_and_apart),
               T(kr_arena, memory_after_a_reset_is_zeroed_again),
               T(kr_arena, a_reset_keeps_a_chunk_and_gives_large_ones_back),
               T(kr_arena, nothing_is_a_valid_piece), T(kr_arena, text_is_copied_and_terminated),
               T(kr_alloc, is_zeroed_and_counted), T(kr_auto, frees_unless_moved),
               T(kr_owner, finds_the_struct_around_a_member));
}
