/* SPDX-License-Identifier: Apache-2.0 */
/* schema.h - what a definition's schema asks of its objects: fields, defaults, values.
 *
 * Works on the schema as the definition has it (OpenAPI v3 values): it has all that the reduced model
 * of cel/schema.h leaves out. metadata is not looked into; the server checks that itself.
 *
 * Source: apiextensions-apiserver pkg/apiserver/{schema,validation}, kube-openapi validate.
 */
#ifndef SANDBOX_SCHEMA_H
#define SANDBOX_SCHEMA_H

#include "cel/base/buf.h"
#include "cel/base/map.h"
#include "cel/base/val.h"

enum { SANDBOX_CAUSES_MAX = 100 };

/* A field that the schema does not know, ".spec.x". */
typedef void sandbox_unknown_fn(void *arg, kr_str path);

/* v without unknown fields (each is told to fn, which may be NULL), with the defaults of those that
 * are missing; nulls that the schema does not allow give way to the default, or go (but in what an
 * apply has made: there they stay, and are refused). */
kr_val sandbox__schema_normal(struct kr_arena *a, kr_val schema, kr_val v, bool applied,
                              sandbox_unknown_fn *fn, void *arg);

/* Rules in CEL and patterns, each compiled when it is first needed. Zero is none yet. */
struct sandbox_rules {
    struct kr_map rules, patterns; /* by text */
};
void sandbox__rules_fini(struct sandbox_rules *r);

/* The causes (sandbox__cause) for which v is refused: an empty list when it is right. old (KR_NONE: a
 * creation) is for rules on transitions. What is compiled comes to rules. */
kr_val sandbox__schema_causes(struct kr_arena *a, struct sandbox_rules *rules, kr_val schema,
                              kr_val old, kr_val v);

#endif
