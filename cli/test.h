/* SPDX-License-Identifier: Apache-2.0 */
/* test.h - the inside of `kroc test` (docs/test.md has the format).
 *
 *   test.c         files, which tests to run, exit code
 *   test_run.c     one test: its steps on a fresh sandbox with a controller
 *   test_match.c   does an object have what is expected, and where not?
 *   test_report.c  text for people; JUnit for tools
 */
#ifndef CLI_TEST_H
#define CLI_TEST_H

#include "cli/cli.h"

enum {
    CLI_TESTS_MAX = 10 * 1000,
    CLI_TEST_STEPS_MAX = 1000,               /* of one test */
    CLI_TEST_WAIT_MAX_MS = 24 * 3600 * 1000, /* of one step */
    CLI_TEST_DIFF_MAX = 50,                  /* lines of one object; the rest is counted */
    CLI_TEST_TEXT_MAX = 1024 * 1024,         /* bytes told of one test */
};

enum cli_outcome { CLI_PASSED, CLI_TEST_FAILED, CLI_SKIPPED };

/* A test: one document of a file. */
struct cli_case {
    const char *path, *shown; /* the file, and the file as it is told */
    kr_str text;              /* of the file */
    uint32_t document, line;
    kr_str name;
    kr_val v;

    enum cli_outcome outcome; /* from here on: what came of it */
    kr_str told;              /* failures, or why it was skipped; lives in the arena of the run */
    kr_str log;               /* with -v: step by step */
    uint64_t took_ns;
};

/* Runs it; told and log live in a. */
void cli_case_run(struct cli_case *c, struct kr_arena *a);

/* Tells where `have` lacks what `want` asks for, a line each ("spec.replicas: expected 3, is 2"),
 * indented; returns how far they are apart, 0 for a match. Maps: what is wanted must be there, more may be; null
 * wants a member to be absent. Lists: as many items, each as wanted; conditions (a list below
 * "conditions" whose items have a type): those wanted, found by type. */
uint32_t cli_test_differ(kr_val want, kr_val have, struct kr_buf *out);

struct cli_test_report {
    struct cli_case *cases;
    uint32_t n, passed_n, failed_n, skipped_n;
    uint64_t took_ns;
};
void cli_test_print_case(const struct cli_case *c, bool verbose, struct kr_buf *out);
void cli_test_print_junit(const struct cli_test_report *r, struct kr_buf *out);

#endif
