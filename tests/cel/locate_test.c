/* SPDX-License-Identifier: Apache-2.0 */
/* locate_test.c - where an evaluation failed, as it is shown at a prompt. */
#include "cel/cel.h"

#include "tests/lib/test.h"

static const char *located(struct kr_arena *a, const char *text)
{
    struct cel_env *env = cel_env_new(a, CEL_LIB_ALL);
    kr_val slot = test_json(a, "{\"a\":{\"b\":1},\"l\":[1,0]}");
    struct cel_run run = {.slots = &slot, .slots_n = 1, .a = a};
    struct kr_err *err = kr_new(a, struct kr_err);
    const struct cel_prog *p;
    kr_val v;

    cel_env_var(env, KR_S("v"), CEL_T_DYN, NULL);
    EXPECT_OK(cel_compile(a, env, kr_str_c(text), &p, err), err);
    assert_true(cel_eval(p, &run, &v, err) < 0);
    cel_locate(a, env, kr_str_c(text), &run, err);
    assert_int_equal(err->code, KR_E_EVAL);
    return err->text;
}

TEST(locate, the_innermost_part_that_fails)
{
    struct kr_arena a = {0};

    EXPECT_TEXT(located(&a, "v.a.b + v.a.c.d"), "ERROR: <input>:1:12: no such key: c\n"
                                                " | v.a.b + v.a.c.d\n"
                                                " | ...........^");
    EXPECT_TEXT(located(&a, "1 +\n  v.l[7]"), "ERROR: <input>:2:6: index out of bounds: 7\n"
                                              " |   v.l[7]\n"
                                              " | .....^");
    EXPECT_TEXT(located(&a, "size(string(v.a.b / v.l[1]))"),
                "ERROR: <input>:1:19: division by zero\n"
                " | size(string(v.a.b / v.l[1]))\n"
                " | ..................^");
    kr_arena_fini(&a);
}

TEST(locate, only_the_branch_that_is_taken)
{
    struct kr_arena a = {0};

    EXPECT_TEXT(located(&a, "v.a.b == 1 ? v.a.x : v.a.x"), "ERROR: <input>:1:17: no such key: x\n"
                                                           " | v.a.b == 1 ? v.a.x : v.a.x\n"
                                                           " | ................^");
    EXPECT_TEXT(located(&a, "v.a.b == 2 ? v.a.x : v.a.x"), "ERROR: <input>:1:25: no such key: x\n"
                                                           " | v.a.b == 2 ? v.a.x : v.a.x\n"
                                                           " | ........................^");
    kr_arena_fini(&a);
}

TEST(locate, a_loop_stands_for_what_is_in_it)
{
    struct kr_arena a = {0};

    EXPECT_TEXT(located(&a, "[1] + v.l.map(x, 1 / x)"), "ERROR: <input>:1:14: division by zero\n"
                                                        " | [1] + v.l.map(x, 1 / x)\n"
                                                        " | .............^");
    EXPECT_TEXT(located(&a, "v.nope.map(x, 1 / x)"), "ERROR: <input>:1:2: no such key: nope\n"
                                                     " | v.nope.map(x, 1 / x)\n"
                                                     " | .^");
    kr_arena_fini(&a);
}

int main(void)
{
    return RUN(T(locate, the_innermost_part_that_fails), T(locate, only_the_branch_that_is_taken),
               T(locate, a_loop_stands_for_what_is_in_it));
}
