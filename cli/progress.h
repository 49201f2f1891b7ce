/* SPDX-License-Identifier: Apache-2.0 */
/* progress.h - long work says how far it is, on stderr: count, rate, time left.
 *
 *   kroc: webapps: 12000 of 40000, 5000/s, 6 s left
 *
 * On a terminal one line, written over as it goes and gone at the end; elsewhere a plain line now and then.
 * Work that is soon done says nothing.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "cel/base/buf.h"

enum {
    CLI_PROGRESS_AFTER_MS = 1000, /* on a terminal; sooner there is nothing to say */
    CLI_PROGRESS_EACH_MS = 200,   /* on a terminal, from one to the next */
    CLI_PROGRESS_PLAIN_MS = 5000, /* both, elsewhere */
};

/* One piece of work. Begun and ended once each. */
struct cli_progress {
    kr_str what; /* borrowed */
    bool terminal;
    bool shown; /* a line stands on the terminal */
    uint64_t began_ms, told_ms;
};

void cli_progress_begin(struct cli_progress *p, kr_str what);
/* So much is done, of so much; total 0: nobody knows of how much. */
void cli_progress(struct cli_progress *p, uint64_t done, uint64_t total);
/* Takes the line off the terminal. */
void cli_progress_end(struct cli_progress *p);

/* What cli_progress says after passed_ms, without a newline. */
void cli_progress_text(struct kr_buf *out, kr_str what, uint64_t done, uint64_t total,
                       uint64_t passed_ms);

#endif
