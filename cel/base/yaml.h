/* SPDX-License-Identifier: Apache-2.0 */
/* yaml.h - YAML documents into the same values, as Kubernetes' YAML reads them.
 *
 * Scalars resolve as sigs.k8s.io/yaml (go-yaml v2) does on the way to JSON: yes/no/on/off are
 * bools, 0o7, 0x and 0b integers and 1_000 are numbers, dates stay strings, quoted scalars are
 * strings, ~ and null are null; keys become strings (true: -> "true"). Anchors, aliases and merge
 * keys (<<) work; a key twice in one map is an error. Limits against alias bombs: nodes after expansion and depth.
 */
#ifndef KR_YAML_H
#define KR_YAML_H

#include "cel/base/err.h"
#include "cel/base/val.h"

KR_C_BEGIN

enum {
    KR_YAML_DEPTH_MAX = 100,
    KR_YAML_NODES_MAX = 1000 * 1000, /* values after alias expansion, all documents together */
    KR_YAML_DOCS_MAX = 10 * 1000,
    KR_YAML_TEXT_MAX = 64 * 1024 * 1024, /* bytes */
};

/* All documents of text as one list, which lives in a; empty documents are left out. Errors name
 * the line and column (from 1). */
KR_MUST int kr_yaml_parse(struct kr_arena *a, kr_str text, kr_val *docs, struct kr_err *err);
/* Like kr_yaml_parse, with the line (from 1) at which each document begins, for messages. *lines
 * has docs->n entries and lives in a. */
KR_MUST int kr_yaml_parse_lines(struct kr_arena *a, kr_str text, kr_val *docs, uint32_t **lines,
                                struct kr_err *err);

/* Where a value stands in a text; lines and columns (in code points) count from 1. */
struct kr_yaml_place {
    uint32_t line, column;         /* of the value, quotes included */
    uint32_t key_line, key_column; /* of its key or item; of the value where it has none */
    bool scalar;                   /* no map, no list */
    bool block;                    /* a scalar behind | or >: its text begins a line below */
    uint32_t found;                /* how many names led somewhere */
};
/* Looks in document `doc` (counted as kr_yaml_parse lists them) for the value that names lead to:
 * members, and list items as digits. What is not there is looked for no further: *out is then the
 * deepest value on the way. Aliases and << are not followed. False: the document is not there. */
bool kr_yaml_locate(kr_str text, uint32_t doc, const kr_str *names, uint32_t n,
                    struct kr_yaml_place *out);

KR_C_END

#endif
