/* SPDX-License-Identifier: Apache-2.0 */
/* structural.h - what a server refuses of a definition's schemas: types that are none, lists without
 * items, keys that are no members, patterns, defaults and rules that cannot hold.
 *
 * Not looked at is what a rule in CEL may cost.
 *
 * Source: apiextensions-apiserver pkg/apis/apiextensions/validation, pkg/apiserver/schema.
 */
#ifndef SANDBOX_STRUCTURAL_H
#define SANDBOX_STRUCTURAL_H

#include "cel/base/err.h"
#include "cel/base/val.h"
#include "cel/cel.h"

/* What is wrong with the schemas of a CustomResourceDefinition, as {reason, message, field} with the
 * server's words; at most SANDBOX_CAUSES_MAX of them. Lives in a. Empty: nothing is. */
kr_val sandbox_structural_causes(struct kr_arena *a, kr_val crd);

/* Compiles an expression of x-kubernetes-validations, whose `self` has the type that the schema says.
 * *type is that of its value; *env (may be used for cel_diagnose) and what it needs live in a.
 * KR_E_INPUT: it does not compile. */
KR_MUST int sandbox_rule_compile(struct kr_arena *a, kr_val schema, kr_str text,
                                 struct cel_env **env, const struct cel_type **type,
                                 struct kr_err *err);

#endif
