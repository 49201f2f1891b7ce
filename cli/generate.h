/* SPDX-License-Identifier: Apache-2.0 */
/* generate.h - what `kroc generate` makes of a compiled definition: values and texts, nothing else. */
#ifndef CLI_GENERATE_H
#define CLI_GENERATE_H

#include "graph/graph.h"

/* The CRD as the controller would create it, but for the labels that only a cluster can give (version,
 * id): a controller adopts it, a sidecar finds what it needs. Lives in a. */
kr_val cli_crd_of(struct kr_arena *a, const struct graph_rev *rev);

/* An instance to begin with: required fields with a value that their schema allows, fields with a
 * default with that, and with all every field. Equal definitions give equal instances. Lives in a.
 * *gaps (in a) names the fields, one a line, whose pattern no try of ours fits: they are to be
 * written by hand. */
kr_val cli_sample_of(struct kr_arena *a, const struct graph_rev *rev, bool all, kr_str *gaps);

/* The graph: an arrow from a resource to what reads it. Numbers are the topological order. */
void cli_diagram_mermaid(const struct graph_rev *rev, struct kr_buf *out);
void cli_diagram_dot(const struct graph_rev *rev, struct kr_buf *out);

#endif
