/* SPDX-License-Identifier: Apache-2.0 */
/* glue.h - a request meets the rules of values: patches, server-side apply, schemas, policies.
 *
 * The rules themselves know no request; these functions give them what they need of it and make an
 * answer of what they refuse. All return 0, or the status of the answer.
 */
#ifndef SANDBOX_GLUE_H
#define SANDBOX_GLUE_H

#include "kube/sandbox/internal.h"

/* Is the patch of a kind that the type takes? */
int sandbox__patch_type(struct sandbox_call *c);
/* The body, as a patch of the three other kinds, applied to old. */
int sandbox__patched(struct sandbox_call *c, kr_val old, kr_val *out);
/* Server-side apply of `applied` to old (KR_NONE: creation), managed fields included. */
int sandbox__applied(struct sandbox_call *c, kr_val old, kr_val applied, kr_val *out);
/* next with the managed fields of an update by the request's manager. */
kr_val sandbox__managed(struct sandbox_call *c, kr_val old, kr_val next);
/* Equal but for their times? */
bool sandbox__same_managed(kr_val x, kr_val y);
/* Is every value of v of the type of its Go field? decode.c */
int sandbox__typed(struct sandbox_call *c, kr_val v);
/* KR_E_INPUT: bytes that are no base64 in what an apply made. decode.c */
KR_MUST int sandbox__convertible(struct sandbox_call *c, kr_val v, struct kr_err *err);
/* The refusal of an object that cannot be decoded, or of a patch that made such a one. decode.c */
int sandbox__undecodable(struct sandbox_call *c, kr_val v, kr_str why);
/* The component of OpenAPI that is the kind; empty: none. decode.c */
kr_str sandbox__component(kr_val components, kr_gvk gvk);
/* Unknown fields dropped (warned of or refused, as fieldValidation says), defaults by schema. */
int sandbox__decoded(struct sandbox_call *c, kr_val *next, bool apply);
/* The same, and validation. */
int sandbox__checked(struct sandbox_call *c, kr_val old, kr_val *next, bool apply);
/* v with each owner once; a Warning says which came twice. names.c */
kr_val sandbox__owners_once(struct sandbox_call *c, kr_val v);
/* What v's metadata is refused for as a change of old (KR_NONE: a creation), and then the others. names.c */
kr_val sandbox__meta_causes(struct sandbox_call *c, kr_val old, kr_val v, kr_val others);
/* Warns of what is odd in the spec of a pod, which stands at that path. warn.c */
void sandbox__warn_pod(struct sandbox_call *c, kr_val spec, const char *path);
/* Does a metav1.LabelSelector take what has these labels? An empty one, or none, takes all. policy.c */
bool sandbox__selector_takes(kr_val selector, kr_val labels);
/* Policies of the cluster; next KR_NONE: a deletion. policy.c */
int sandbox__admitted(struct sandbox_call *c, kr_val old, kr_val next);

#endif
