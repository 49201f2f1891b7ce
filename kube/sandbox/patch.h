/* SPDX-License-Identifier: Apache-2.0 */
/* patch.h - the three patches that are not server-side apply: what a document becomes by one.
 *
 *   merge      members replace, null removes                              RFC 7386
 *   json       a list of operations at pointers                           RFC 6902
 *   strategic  as merge, but lists merge by a key where their type says   kubectl patch
 *
 * Values to values: no request, no object, no clock. Results live in the arena that is given and
 * share what did not change. An error is KR_E_INPUT with the text that the API server would give, or
 * KR_E_LIMIT.
 *
 * Source: k8s.io/apimachinery/pkg/util/strategicpatch, k8s.io/apiserver/.../handlers/patch.go,
 * github.com/evanphx/json-patch (its answers; it is not in the program).
 */
#ifndef SANDBOX_PATCH_H
#define SANDBOX_PATCH_H

#include "cel/base/err.h"
#include "cel/base/val.h"

enum {
    SANDBOX_PATCH_OPS_MAX = 10 * 1000, /* operations of a JSON patch; the API server's limit */
    SANDBOX_PATCH_COPY_MAX = 3 * 1024 * 1024, /* bytes that a JSON patch copies; likewise */
    SANDBOX_PATCH_DEPTH_MAX =
        128, /* of a strategic or merge patch, and of what a JSON patch makes */
};

KR_MUST int sandbox_patch_merge(struct kr_arena *a, kr_val doc, kr_val patch, kr_val *out,
                                struct kr_err *err);

/* How a JSON patch ended: the API server answers a malformed one with 400, one that does not fit the
 * document with 422 and without the reason. */
enum sandbox_json_patch { SANDBOX_PATCH_DONE, SANDBOX_PATCH_MALFORMED, SANDBOX_PATCH_MISFIT };
enum sandbox_json_patch sandbox_patch_json(struct kr_arena *a, kr_val doc, kr_val ops, kr_val *out,
                                           struct kr_err *err);

/* schemas: {"name": schema}, as in an OpenAPI document's components (kube_builtin_openapi); kind: the
 * name of the document's own. They say x-kubernetes-patch-strategy and x-kubernetes-patch-merge-key. */
KR_MUST int sandbox_patch_strategic(struct kr_arena *a, kr_val schemas, kr_str kind, kr_val doc,
                                    kr_val patch, kr_val *out, struct kr_err *err);

#endif
