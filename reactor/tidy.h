/* SPDX-License-Identifier: Apache-2.0 */
/* tidy.h - gives memory back to the system when a burst of work is over.
 *
 * A burst (a start, a thousand instances at once) leaves two things behind that nobody needs at rest:
 * free heap between what stays, and the pages of code and constants that only the burst ran through.
 * Those pages are the files' own: touched again, they are mapped again.
 */
#ifndef REACTOR_TIDY_H
#define REACTOR_TIDY_H

#include <stdbool.h>
#include <stdint.h>

enum {
    REACTOR_TIDY_WORK = 256, /* steps and changes that make a burst */
    REACTOR_TIDY_MMAP_BYTES =
        128 * 1024, /* pieces of this size are given back when they are freed */
};

/* Once, before anything large is allocated. */
void reactor_tidy_init(void);
/* At rest: work is the number of things done so far. Tidies up if there were enough of them since the last
 * time; returns whether it did. */
bool reactor_tidy(uint64_t work, uint64_t *last);

#endif
