/* SPDX-License-Identifier: Apache-2.0 */
/* cases.h - conformance cases: expressions with the outcome that they must have.
 *
 * A text of cases is JSON lines, one object each: an expression, declarations and bindings, the
 * outcome `expect`, and `kro` where kro's environment gives something else. Kinds: parse, check and
 * evaluate (the rule), `typed` (documents read through schemas), `inspect`, `escape`.
 *
 * A library of its own beside libkrcel: `kroc cel --cases` and the tests use it.
 */
#ifndef CEL_CASES_H
#define CEL_CASES_H

#include "cel/cel.h"

enum cel_case {
    CEL_CASE_PASSED,
    CEL_CASE_FAILED,
    CEL_CASE_SKIPPED, /* the environment lacks a function that the case is about */
    CEL_CASE_N
};

struct cel_cases {
    unsigned libs;    /* enum cel_libs */
    bool kro;         /* the case's `kro` outcome counts where it has one */
    bool any_wording; /* the text of an error is not compared (suites with words of their own) */
    /* Called for each case; values and texts live until it returns. NULL: not called. */
    void (*on_case)(void *arg, enum cel_case outcome, kr_val the_case, kr_val want, kr_str why);
    void *arg;
};

/* Runs every case of text and adds the outcomes to count. A line that is no case has failed. */
void cel_cases_run(const struct cel_cases *opts, kr_str text, uint32_t count[CEL_CASE_N]);

#endif
