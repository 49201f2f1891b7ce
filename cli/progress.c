/* SPDX-License-Identifier: Apache-2.0 */
/* progress.c - see progress.h. */
#include "cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "cel/base/banned.h"

enum { LINE_MAX_BYTES = 512 };

static uint64_t now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void cli_progress_begin(struct cli_progress *p, kr_str what)
{
    *p = (struct cli_progress){.what = what, .terminal = isatty(STDERR_FILENO)};
    p->began_ms = now_ms();
}

void cli_progress_text(struct kr_buf *out, kr_str what, uint64_t done, uint64_t total,
                       uint64_t passed_ms)
{
    uint64_t rate = passed_ms ? done * 1000 / passed_ms : 0; /* a second */

    kr_buf_fmt(out, KR_FMT ": %" PRIu64, KR_ARG(kr_str_sub(what, 0, 64)), done);
    if (total > 0)
        kr_buf_fmt(out, " of %" PRIu64, total > done ? total : done);
    if (rate > 0)
        kr_buf_fmt(out, ", %" PRIu64 "/s", rate);
    if (done > 0 && total > done && passed_ms > 0)
        kr_buf_fmt(out, ", %" PRIu64 " s left", ((total - done) * passed_ms / done + 999) / 1000);
}

void cli_progress(struct cli_progress *p, uint64_t done, uint64_t total)
{
    KR_AUTO(kr_buf) line = KR_BUF(LINE_MAX_BYTES);
    uint64_t now = now_ms(), first_ms = p->terminal ? CLI_PROGRESS_AFTER_MS : CLI_PROGRESS_PLAIN_MS;
    uint64_t each_ms = p->terminal ? CLI_PROGRESS_EACH_MS : CLI_PROGRESS_PLAIN_MS;

    if (now - p->began_ms < first_ms || (p->told_ms && now - p->told_ms < each_ms))
        return;
    p->told_ms = now;
    p->shown = p->terminal;
    cli_progress_text(&line, p->what, done, total, now - p->began_ms);
    fprintf(stderr, p->terminal ? "\r\033[Kkroc: %s" : "kroc: %s\n", line.s);
    fflush(stderr);
}

void cli_progress_end(struct cli_progress *p)
{
    if (p->shown)
        fprintf(stderr, "\r\033[K");
    p->shown = false;
}
