/* SPDX-License-Identifier: Apache-2.0 */
/* typed.h - objects merged, compared and cut by their schema: the ground of server-side apply.
 *
 * The schema says what is one thing (scalars, atomic lists and maps) and what has parts (objects,
 * maps, list maps by keys, sets by value). A NULL schema is one that says nothing: maps have parts
 * there, lists are atomic.
 *
 * Pure; results live in the arena given and share what they can with their inputs.
 *
 * Source: sigs.k8s.io/structured-merge-diff typed; kube-openapi pkg/schemaconv.
 */
#ifndef SANDBOX_TYPED_H
#define SANDBOX_TYPED_H

#include "kube/sandbox/fields.h"

enum { SANDBOX_TYPED_ERRORS_MAX = 20 }; /* told of one value */

/* Is v of that schema: known fields, right kinds, list items that have keys and come once? err: the
 * server's words, ".spec.foo: field not declared in schema". */
KR_MUST int sandbox_typed_check(struct kr_arena *a, const struct cel_schema *s, kr_val v,
                                struct kr_err *err);
/* The fields that v has. */
kr_val sandbox_typed_fields(struct kr_arena *a, const struct cel_schema *s, kr_val v);

struct sandbox_diff {
    kr_val removed, modified, added; /* sets of fields */
};
/* KR_NONE stands for nothing. */
void sandbox_typed_compare(struct kr_arena *a, const struct cel_schema *s, kr_val old, kr_val next,
                           struct sandbox_diff *out);
/* Both, where next has the last word. */
kr_val sandbox_typed_merge(struct kr_arena *a, const struct cel_schema *s, kr_val old, kr_val next);
/* v without the set's members; KR_NULL when nothing is left. */
kr_val sandbox_typed_cut(struct kr_arena *a, const struct cel_schema *s, kr_val v, kr_val set);
/* What a Go struct of a built-in type's schema has when nothing is set: members that are structs, and
 * those that are written though they are empty. */
kr_val sandbox_typed_empty(struct kr_arena *a, const struct cel_schema *s);

#endif
