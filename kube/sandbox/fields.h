/* SPDX-License-Identifier: Apache-2.0 */
/* fields.h - sets of fields, as managedFields has them.
 *
 * A set is its own fieldsV1 value: nothing is converted.
 *
 *   {"f:spec":{"f:replicas":{},"f:ports":{".":{},"k:{\"port\":80}":{".":{},"f:port":{}}}}}
 *
 *   {}      a member without members below       "."  this one is a member too
 *   f:name  field    k:{...} item by its keys    v:x  item of a set    i:n  item by its place
 *
 * Names of items are canonical JSON (keys sorted), so equal elements are equal strings and the
 * operations are merges of sorted maps. The empty set is {} too: the root is never a member.
 *
 * Pure: values in, values out, all in the arena given, sharing what they can with their inputs.
 *
 * Source: sigs.k8s.io/structured-merge-diff fieldpath.
 */
#ifndef SANDBOX_FIELDS_H
#define SANDBOX_FIELDS_H

#include "cel/base/err.h"
#include "cel/base/val.h"
#include "cel/schema.h"

enum { SANDBOX_FIELDS_DEPTH_MAX = 110 }; /* a little over the depth of a document */

#define SANDBOX_NO_FIELDS kr_map_sorted(NULL, 0)

/* Is v a set, well-formed, with canonical keys? KR_E_INPUT says where it is not. */
KR_MUST int sandbox_fields_check(kr_val v, struct kr_err *err);

kr_val sandbox_fields_union(struct kr_arena *a, kr_val x, kr_val y);
kr_val sandbox_fields_both(struct kr_arena *a, kr_val x, kr_val y); /* intersection */
/* x without the members of y; what is below a member of y stays. */
kr_val sandbox_fields_without(struct kr_arena *a, kr_val x, kr_val y);
/* x without the members of y and all below them. */
kr_val sandbox_fields_without_trees(struct kr_arena *a, kr_val x, kr_val y);
/* x with every field that a schema names and that has members below as a member itself. */
kr_val sandbox_fields_named(struct kr_arena *a, kr_val x, const struct cel_schema *s);

/* Of the entry of an element: is it a member itself, and the set below it. KR_NONE: neither. */
bool sandbox_fields_is_member(kr_val entry);
static inline bool sandbox_fields_none(kr_val set)
{
    return set.kind != KR_MAP || set.n == 0;
}

/* Adds the entry of an element to a set that is being built: member or not, with the set below it;
 * nothing when it is neither. */
void sandbox_fields_put(struct kr_mapb *b, kr_str element, bool member, kr_val below);

/* Element names; live in a. */
kr_str sandbox_element_field(struct kr_arena *a, kr_str name);
kr_str sandbox_element_value(struct kr_arena *a, kr_val v);
kr_str sandbox_element_keys(struct kr_arena *a, kr_val keys);
/* As paths print it: .name, [port=80], [="x"], [3]. */
kr_str sandbox_element_text(struct kr_arena *a, kr_str element);

/* Called for each member with its path as conflicts print it: .spec.ports[port=80].name */
typedef void sandbox_fields_fn(void *arg, kr_str path);
void sandbox_fields_each(struct kr_arena *a, kr_val set, sandbox_fields_fn *fn, void *arg);

#endif
