/* SPDX-License-Identifier: Apache-2.0 */
/* What long work says of itself; tests/cli/look_test.py sees it on a terminal and elsewhere. */
#include "cli/progress.h"

#include <stdio.h>

#include "tests/lib/test.h"

static const char *text(uint64_t done, uint64_t total, uint64_t passed_ms)
{
    static char out[256];
    KR_AUTO(kr_buf) b = KR_BUF(sizeof out);

    cli_progress_text(&b, KR_S("webapps"), done, total, passed_ms);
    (void)snprintf(out, sizeof out, "%s", b.s);
    return out;
}

TEST(progress, count_rate_and_time_left)
{
    EXPECT_TEXT(text(12000, 40000, 2400), "webapps: 12000 of 40000, 5000/s, 6 s left");
    EXPECT_TEXT(text(1, 3, 10000), "webapps: 1 of 3, 20 s left"); /* less than one a second */
    EXPECT_TEXT(text(500, 0, 1000), "webapps: 500, 500/s");       /* of nobody knows how much */
}

TEST(progress, the_edges)
{
    EXPECT_TEXT(text(0, 40000, 1000), "webapps: 0 of 40000");
    EXPECT_TEXT(text(40000, 40000, 8000), "webapps: 40000 of 40000, 5000/s");
    EXPECT_TEXT(text(41000, 40000, 8000), "webapps: 41000 of 41000, 5125/s"); /* it has grown */
    EXPECT_TEXT(text(5, 10, 0), "webapps: 5 of 10");
}

int main(void)
{
    return RUN(T(progress, count_rate_and_time_left), T(progress, the_edges));
}
