/* SPDX-License-Identifier: Apache-2.0 */
/* scenario.h - reads .scn files and runs them on graph/ alone.
 *
 *   # comment
 *   rgd FILE                            the definition, relative to the scenario
 *   instance FILE                       creates the instance
 *   edit PATH=VALUE...                  somebody edits it
 *   object APIVERSION/KIND NS/NAME PATH=VALUE...
 *                                       somebody creates or edits an object; null removes
 *   delete APIVERSION/KIND NS/NAME | delete instance
 *   answer ACTION OUTCOME TIMES MESSAGE
 *                                       how the next requests end: ok, retry, lost (took effect,
 *                                       nobody told), invalid, conflict, foreign, not-found
 *   revision FILE | problem TEXT        the revision that drives the instance; or none, and why
 *   restart                             the process dies and starts again
 *   wait MS                             time passes
 *   expect                              the indented lines that follow are the trace since the last
 *       LINE                            expect; no line: nothing happened
 *
 * A path's members are parted by dots; one with dots stands in brackets: metadata.labels["a.b/c"].
 * A value is JSON, else a string. A file named *.yaml is YAML.
 */
#ifndef TESTS_SCENARIO_H
#define TESTS_SCENARIO_H

#include "tests/lib/model.h"

/* Runs one file; a difference or a broken line fails the test, with the place. record: prints the
 * file with the trace as it is instead: to be read, judged and then kept. */
void scenario_run(const char *path, bool record);
/* Builds a definition from YAML (the whole object). Fails the test on error. Returns a reference.
 */
struct graph_rev *scenario_revision(const struct cel_kinds *kinds, const char *yaml);
/* One object as a patch from "a.b=1 c=x"; lives in a. */
kr_val scenario_patch(struct kr_arena *a, kr_str words);

#endif
