/* SPDX-License-Identifier: Apache-2.0 */
/* ref.h - the names of things in a cluster: a kind, a resource type, an object.
 *
 * Strings are borrowed; kr_ref_copy and kr_gvr_copy put them into an arena.
 */
#ifndef KR_REF_H
#define KR_REF_H

#include "cel/base/buf.h"

KR_C_BEGIN

typedef struct {
    kr_str group; /* "" for the core group */
    kr_str version;
    kr_str kind;
} kr_gvk;

typedef struct {
    kr_str group;
    kr_str version;
    kr_str resource; /* plural, lower case */
} kr_gvr;

#ifdef __cplusplus
#define KR_NAMESPACE namespace_ /* the member's name is a word of C++ */
#else
#define KR_NAMESPACE namespace
#endif

typedef struct {
    kr_gvr gvr;
    kr_str KR_NAMESPACE; /* "" for cluster-scoped objects */
    kr_str name;
} kr_ref;

bool kr_gvk_eq(kr_gvk a, kr_gvk b);
bool kr_gvr_eq(kr_gvr a, kr_gvr b);
bool kr_ref_eq(kr_ref a, kr_ref b);
kr_gvk kr_gvk_copy(struct kr_arena *a, kr_gvk k);
kr_gvr kr_gvr_copy(struct kr_arena *a, kr_gvr r);
kr_ref kr_ref_copy(struct kr_arena *a, kr_ref r);
/* Splits "apps/v1" or "v1"; false when there is more than one slash or an empty part. */
bool kr_api_version(kr_str api_version, kr_str *group, kr_str *version);
/* "apps/v1" or "v1"; lives in a. */
kr_str kr_api_version_text(struct kr_arena *a, kr_str group, kr_str version);
/* Unambiguous keys for maps: "group/version/resource", and with "|namespace|name". Live in a. */
kr_str kr_gvr_key(struct kr_arena *a, kr_gvr r);
kr_str kr_ref_key(struct kr_arena *a, kr_ref r);
/* "deployments.v1.apps default/web" for logs and errors. Appends. */
void kr_ref_print(struct kr_buf *b, kr_ref r);

KR_C_END

#endif
