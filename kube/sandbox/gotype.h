/* SPDX-License-Identifier: Apache-2.0 */
/* gotype.h - an object of a built-in type as it comes back from Go: read into a struct, written again.
 *
 *   unknown members and nulls go       quantities in normal form
 *   empty optional members go          (omitempty: "", {}, [], and 0 and false where Go has no pointer)
 *   structs by value are always there  (a default {} in OpenAPI: status of a Deployment)
 *
 * Pure; results live in the arena given.
 *
 * Source: encoding/json, k8s.io/api struct tags.
 */
#ifndef SANDBOX_GOTYPE_H
#define SANDBOX_GOTYPE_H

#include "cel/base/val.h"
#include "cel/schema.h"

/* A member that the schema does not have: "spec.x". */
typedef void sandbox_go_unknown_fn(void *arg, kr_str path);

/* fn may be NULL. */
kr_val sandbox_go_value(struct kr_arena *a, const struct cel_schema *s, kr_val v,
                        sandbox_go_unknown_fn *fn, void *arg);

#endif
