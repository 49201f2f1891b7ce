/* SPDX-License-Identifier: Apache-2.0 */
/* openapi.h - OpenAPI v3 of group versions, fetched when a definition needs it.
 *
 * "/openapi/v3" lists the documents by group version with a content hash; a document is fetched,
 * read into a cel_kinds (descriptions are skipped while parsing) and dropped. The index is fetched
 * again for each load, so a changed hash is seen; documents of an unchanged hash are served from a
 * small cache of reduced kinds. A load that fails leaves there what it has read, also beyond the
 * cache's size, so that the next attempt goes on from it. Loads run one after the other, so that
 * many definitions that start together fetch each document once.
 *
 * Source: Kubernetes "The OpenAPI v3 specification", KEP 2896.
 */
#ifndef KUBE_OPENAPI_H
#define KUBE_OPENAPI_H

#include "cel/schema.h"
#include "kube/discovery.h"

enum {
    KUBE_OPENAPI_CACHE_MAX = 4 * 1024 * 1024, /* bytes of reduced documents kept between loads */
    KUBE_OPENAPI_UNFINISHED_MAX = 64 * 1024 * 1024, /* the same after a load that failed */
    KUBE_OPENAPI_GVKS_MAX = 10 * 1000,              /* kinds in one load */
};

struct kube_openapi;
struct kube_schemas_req;
typedef void kube_schemas_fn(struct kube_schemas_req *req);

/* A load: the kinds of some GVKs with their schemas. Embedded in its owner. */
struct kube_schemas_req {
    const kr_gvk *gvks; /* borrowed until on_done */
    uint32_t gvks_n;
    kube_schemas_fn *on_done;

    int rc; /* 0 also when some kinds do not exist: see missing */
    struct kr_err err;
    struct cel_kinds *kinds; /* owned by the owner of the request after on_done; NULL on failure */
    kr_gvk *missing;         /* kinds the server does not have; lives in arena */
    uint32_t missing_n;
    struct kr_arena arena;

    struct kube_openapi *openapi; /* private from here */
    void *impl;
};

struct kube_openapi *kube_openapi_new(struct kube_client *client, struct kube_discovery *discovery);
void kube_openapi_free(struct kube_openapi *o); /* legal when no load is under way; accepts NULL */
/* Refreshes discovery when a kind is not known, fetches the documents, reads them, then on_done. */
void kube_schemas_start(struct kube_openapi *o, struct kube_schemas_req *req);
void kube_schemas_cancel(struct kube_schemas_req *req); /* on_done comes later with KR_E_CANCELED */
/* Frees what an idle request holds, except for kinds, which its owner frees; zeroes results. */
void kube_schemas_fini(struct kube_schemas_req *req);
/* Bytes in the cache, for metrics. */
size_t kube_openapi_bytes(const struct kube_openapi *o);

#endif
