/* SPDX-License-Identifier: Apache-2.0 */
/* schemas.h - shared by the graph tests: compatibility tables line by line, and the schemas of the
 * built-in types and of the CRDs that the cases use. */
#ifndef GRAPH_SCHEMAS_H
#define GRAPH_SCHEMAS_H

#include "cel/schema.h"
#include "graph/graph.h"
#include "tests/lib/test.h"

/* Is the folder of compatibility cases there? */
bool cases_present(void);
/* A file under the cases folder, parsed as JSON; KR_NONE when it is not there. Lives in a. */
kr_val cases_json(struct kr_arena *a, const char *path);

/* Calls fn with each line of a table. Prints the name of each case that fails and the counts; a case
 * that failed fails the test. fn: 1 passed, 0 failed, -1 not for us. Returns how many passed. */
typedef int cases_fn(struct kr_arena *a, kr_val line);
uint32_t cases_each(const char *path, cases_fn *fn, uint32_t *failed);

/* Adds the kinds of gvks that the cases have schemas for; a kind without is left out. */
void cases_kinds(struct cel_kinds *kinds, const kr_gvk *gvks, uint32_t n);
/* Adds every kind of a CRD document. */
void cases_kinds_crd(struct cel_kinds *kinds, kr_val crd);

/* Builds the definition rgd (the whole object) with what the cases have. Returns what graph_build
 * returns; kinds that are nowhere to be found are declared missing. */
int cases_build(struct kr_arena *a, kr_val rgd, struct cel_kinds *kinds, bool omit,
                uint32_t dims_max, struct graph_rev **out, struct kr_err *err);

#endif
