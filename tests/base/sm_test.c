/* SPDX-License-Identifier: Apache-2.0 */
#include "cel/base/sm.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/test.h"

enum { A, B, C };

static const struct kr_sm_state states[] = {
    [A] = {"a", 1u << B}, [B] = {"b", 1u << A | 1u << C}, [C] = {"c", 0}};

static uint32_t seen_from, seen_to;

static void see(const struct kr_sm *sm, uint32_t from, uint32_t to)
{
    assert_int_equal(sm->cur, to);
    seen_from = from;
    seen_to = to;
}

TEST(kr_sm, moves_along_the_table_and_is_traced)
{
    struct kr_sm sm = {states, A, "test"};

    kr_sm_trace(see);
    kr_sm_to(&sm, B);
    EXPECT_TEXT(kr_sm_name(&sm), "b");
    assert_int_equal(seen_from, A);
    assert_int_equal(seen_to, B);
    kr_sm_trace(NULL);
    kr_sm_to(&sm, A);
    assert_int_equal(seen_to, B);
    assert_int_equal(sm.cur, A);
}

/* In a child, as it must abort. */
static bool refused(uint32_t from, uint32_t to)
{
    pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        struct kr_sm sm = {states, from, "test"};

        signal(SIGABRT, SIG_DFL);
        close(2);
        kr_sm_to(&sm, to);
        _exit(0);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

TEST(kr_sm, refuses_other_moves)
{
    assert_true(refused(A, C));
    assert_true(refused(A, A));
    assert_true(refused(C, A));
    assert_true(refused(A, 40));
    assert_false(refused(A, B));
}

int main(void)
{
    return RUN(T(kr_sm, moves_along_the_table_and_is_traced), T(kr_sm, refuses_other_moves));
}
