/* SPDX-License-Identifier: Apache-2.0 */
/* discovery.h - which kinds the server has: group, version, kind <-> resource, scope.
 *
 * One aggregated request ("/api" and "/apis" with the v2 accept header) where the server offers it,
 * else the legacy documents group by group. The result is a snapshot that stays as it is until a
 * refresh replaces it; a refresh that fails leaves the old one. A group version that cannot be read
 * (its aggregated API server is down) keeps the kinds it had before and harms no other.
 *
 * Source: Kubernetes "API discovery", KEP 3352 (aggregated discovery).
 */
#ifndef KUBE_DISCOVERY_H
#define KUBE_DISCOVERY_H

#include "kube/client.h"

enum {
    KUBE_DISCOVERY_KINDS_MAX = 100 * 1000,
    KUBE_DISCOVERY_VERSIONS_MAX = 4000, /* group versions, where each needs a request */
};

struct kube_kind {
    kr_gvk gvk;
    kr_str resource;
    bool namespaced;
    bool has_status; /* a /status subresource exists */
    kr_str verbs;    /* "create,delete,get,..." */
};

struct kube_discovery;
/* Called when a refresh has ended; rc as kube_req.rc. */
typedef void kube_discovery_fn(struct kube_discovery *d, void *arg);

struct kube_discovery *kube_discovery_new(struct kube_client *client);
void kube_discovery_free(
    struct kube_discovery
        *d); /* cancels; legal when no refresh is under way or the client is drained */
/* Starts a refresh; calls while one runs share it. done may be NULL. */
void kube_discovery_refresh(struct kube_discovery *d, kube_discovery_fn *done, void *arg);
/* A refresh is under way. One that was begun earlier may not see what exists now. */
bool kube_discovery_busy(const struct kube_discovery *d);
/* Result of the last refresh. */
int kube_discovery_rc(const struct kube_discovery *d);
const struct kr_err *kube_discovery_error(const struct kube_discovery *d);
bool kube_discovery_ready(const struct kube_discovery *d); /* some snapshot is there */
/* NULL: the server does not have it. Borrowed until the next refresh ends. */
const struct kube_kind *kube_discovery_kind(const struct kube_discovery *d, kr_gvk gvk);
/* The preferred version of a group and kind; NULL: not there. */
const struct kube_kind *kube_discovery_preferred(const struct kube_discovery *d, kr_str group,
                                                 kr_str kind);
const struct kube_kind *kube_discovery_resource(const struct kube_discovery *d, kr_gvr gvr);
/* The server has this group version (version empty: some of the group) but did not tell its kinds: one
 * that is not found may exist all the same. */
bool kube_discovery_unread(const struct kube_discovery *d, kr_str group, kr_str version);
/* All kinds: start with *at = 0. */
const struct kube_kind *kube_discovery_next(const struct kube_discovery *d, uint32_t *at);

#endif
