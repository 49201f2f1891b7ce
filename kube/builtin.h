/* SPDX-License-Identifier: Apache-2.0 */
/* builtin.h - Kubernetes' own types, in the program: what a definition is checked against where there
 * is no cluster, and what the sandbox serves.
 *
 * A table of text (builtin.inc, made by tests/k8stypes/generate.py from the documents of one release)
 * is searched and read when a kind is asked for; the program's start does nothing for it. It has every
 * group version of that release, those that a server serves only on demand included.
 *
 * The table says of a type what OpenAPI says: fields, types, formats, defaults, which lists merge by
 * which keys, what is atomic, how a strategic merge patch treats it. Descriptions are left out.
 */
#ifndef KUBE_BUILTIN_H
#define KUBE_BUILTIN_H

#include "cel/schema.h"

/* "v1.36.3" */
const char *kube_builtin_release(void);

/* A resource type. Strings are the table's own and live for ever. */
struct kube_builtin_kind {
    kr_gvk gvk;
    kr_str resource, singular;
    bool namespaced;
    kr_str verbs;       /* letters: kube_builtin_verbs */
    kr_str short_names; /* "deploy", "a,b", or empty */
    kr_str categories;  /* "all", or empty */
    kr_str subresources;
};

/* All resource types, in the order in which a server lists them: groups by priority, of a group the
 * preferred version first. Start with *at = 0; false at the end. */
bool kube_builtin_next(uint32_t *at, struct kube_builtin_kind *out);
bool kube_builtin_find(kr_gvk gvk, struct kube_builtin_kind *out);

/* "status", "scale". */
struct kube_builtin_sub {
    kr_str name;
    kr_gvk gvk; /* of what it takes and gives: of "scale" autoscaling/v1 Scale */
    kr_str verbs;
};
/* The subresources of kind: start with *rest = kind->subresources; false at the end. */
bool kube_builtin_sub(const struct kube_builtin_kind *kind, kr_str *rest,
                      struct kube_builtin_sub *out);

/* The letters as a list of "create", "delete", ...; lives in a. */
kr_val kube_builtin_verbs(struct kr_arena *a, kr_str letters);

/* Adds the kind with its schema; false: it is no built-in one. What kinds has already of what the
 * schema refers to is shared. */
bool kube_builtin_add(struct cel_kinds *kinds, kr_gvk gvk);

/* The OpenAPI v3 components that the kind refers to, or those of all kinds of the group version when
 * gvk.kind is empty: {"components":{"schemas":{...}}}. Lives in a. */
kr_val kube_builtin_openapi(struct kr_arena *a, kr_gvk gvk);

#endif
