/* SPDX-License-Identifier: Apache-2.0 */
/* heap_test.c - evaluations of the benchmark's expressions take memory from their arena only. */
#include "cel/cel.h"

#include "cel/base/json.h"
#include "tests/lib/heap.h"
#include "tests/lib/test.h"

#define EXPRS KROC_SHARED "/conformance/bench-exprs.jsonl"

enum { SLOTS_MAX = 8, WARM = 3, ROUNDS = 5 };

struct expr {
    struct kr_arena a, work;
    kr_val slots[SLOTS_MAX];
    uint32_t slots_n;
    const struct cel_prog *prog;
    struct kr_err err;
};

static void expr_init(struct expr *e, kr_val line)
{
    struct cel_env *env = cel_env_new(&e->a, CEL_LIB_ALL);

    KR_MAP_EACH (var, kr_at(line, "vars")) {
        assert_true(e->slots_n < SLOTS_MAX);
        cel_env_var(env, kr_text(var->key), CEL_T_DYN, NULL);
        e->slots[e->slots_n++] = var->val;
    }
    EXPECT_OK(cel_compile(&e->a, env, kr_at_str(line, "expr"), &e->prog, &e->err), &e->err);
}

static void evaluate(struct expr *e)
{
    struct cel_run run = {.slots = e->slots, .slots_n = e->slots_n, .a = &e->work};
    kr_val v;

    EXPECT_OK(cel_eval(e->prog, &run, &v, &e->err), &e->err);
    kr_arena_reset(&e->work);
}

/* RE2 keeps what it learns of a text in memory of its own. */
static bool by_re2(kr_val line)
{
    return kr_str_starts(kr_at_str(line, "name"), KR_S("regex-"));
}

TEST(heap, an_evaluation_takes_memory_from_its_arena_only)
{
    struct kr_arena a = {0};
    uint32_t n = 0;
    kr_str rest;

    if (!test_file(&a, EXPRS, &rest))
        test_skip_all("no conformance cases beside the project");
    while (rest.n) {
        kr_val line = test_json(&a, kr_cstr(&a, kr_str_cut(&rest, '\n')));
        struct expr *e = kr_new(&a, struct expr);
        uint64_t heap;
        uint64_t chunks;

        expr_init(e, line);
        for (int i = 0; i < WARM; i++)
            evaluate(e);
        heap = test_heap_n();
        chunks = kr_arena_chunk_count();
        for (int i = 0; i < ROUNDS; i++)
            evaluate(e);
        if (!by_re2(line))
            assert_int_equal(test_heap_n() - heap, kr_arena_chunk_count() - chunks);
#ifndef KR_DEV /* the dev build makes each piece of an arena a chunk of its own */
        assert_int_equal(kr_arena_chunk_count(), chunks);
#endif
        kr_arena_fini(&e->work);
        kr_arena_fini(&e->a);
        n++;
    }
    assert_int_equal(n, 40);
    kr_arena_fini(&a);
}

TEST(heap, an_environment_is_one_piece)
{
    struct kr_arena a = {0};

    cel_env_new(&a, CEL_LIB_ALL);
    assert_true(a.used_bytes <= 256);
    kr_arena_fini(&a);
}

int main(void)
{
    return RUN(T(heap, an_evaluation_takes_memory_from_its_arena_only),
               T(heap, an_environment_is_one_piece));
}
