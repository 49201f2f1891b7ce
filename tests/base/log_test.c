/* SPDX-License-Identifier: Apache-2.0 */
#include "cel/base/log.h"

#include <unistd.h>

#include "tests/lib/test.h"

enum { STAMP = sizeof("2026-01-02T03:04:05.678Z") - 1 };

static int pipe_fd[2];

/* What was logged since the last call; lives in a. */
static kr_str logged(struct kr_arena *a)
{
    char text[64 * 1024];
    ssize_t n = read(pipe_fd[0], text, sizeof(text));

    assert_true(n > 0);
    return kr_strdup(a, (kr_str){text, (size_t)n});
}

static void setup(bool json)
{
    if (!pipe_fd[1])
        assert_int_equal(pipe(pipe_fd), 0);
    kr_log_config(KR_INFO, json, pipe_fd[1]);
}

TEST(kr_log, a_line_of_text)
{
    KR_AUTO(kr_arena) a = {0};
    kr_str line;

    setup(false);
    kr_log(KR_WARN, "watch broken", KV("gvr", KR_S("v1/pods")), KV_INT("code", -410),
           KV_C("why", "a \"b\"\n=c"), KV_C("none", NULL));
    line = logged(&a);
    assert_int_equal(line.s[10], 'T');
    assert_int_equal(line.s[STAMP - 1], 'Z');
    EXPECT_TEXT(line.s + STAMP,
                " WARN watch broken gvr=v1/pods code=-410 why=\"a \\\"b\\\"\\n=c\" none=\"\"\n");
}

TEST(kr_log, a_line_of_json)
{
    KR_AUTO(kr_arena) a = {0};
    kr_val v;

    setup(true);
    kr_log(KR_ERROR, "it \"broke\"", KV_C("k", "\x01\xff"), KV_INT("n", 5));
    v = test_json(&a, logged(&a).s);
    assert_true(kr_str_is(kr_at_str(v, "level"), "error"));
    assert_true(kr_str_is(kr_at_str(v, "msg"), "it \"broke\""));
    assert_true(kr_str_is(kr_at_str(v, "k"), "\x01\xef\xbf\xbd"));
    assert_int_equal(kr_at(v, "n").i, 5);
    assert_int_equal(kr_at_str(v, "ts").n, STAMP);
}

TEST(kr_log, levels_above_the_limit_are_not_evaluated)
{
    KR_AUTO(kr_arena) a = {0};
    int calls = 0;

    setup(false);
    kr_log(KR_DBG, "hidden", KV_INT("n", ++calls));
    kr_log(KR_INFO, "shown");
    EXPECT_TEXT(logged(&a).s + STAMP, " INFO shown\n");
    assert_int_equal(calls, 0);
    kr_log_config(KR_DBG, false, pipe_fd[1]);
    kr_log(KR_DBG, "seen", KV_INT("n", ++calls));
    EXPECT_TEXT(logged(&a).s + STAMP, " DEBUG seen n=1\n");
}

TEST(kr_log, long_lines_stay_well_formed)
{
    KR_AUTO(kr_arena) a = {0};
    char big[8000];
    kr_str s = {big, sizeof(big)}, line;

    memset(big, 1, sizeof(big)); /* six bytes each when escaped */
    setup(true);
    kr_log(KR_INFO, "m", KV("a", s), KV("b", s), KV("c", s), KV_INT("d", 1));
    line = logged(&a);
    assert_true(line.n < 17000);
    assert_int_equal(kr_at(test_json(&a, line.s), "d").i, 1);
    setup(false);
    memset(big, 'x', sizeof(big));
    kr_log(KR_INFO, "m", KV("a", s), KV_INT("d", 1));
    line = logged(&a);
    assert_true(kr_str_ends(line, KR_S("... d=1\n")));
}

int main(void)
{
    return RUN(T(kr_log, a_line_of_text), T(kr_log, a_line_of_json),
               T(kr_log, levels_above_the_limit_are_not_evaluated),
               T(kr_log, long_lines_stay_well_formed));
}
