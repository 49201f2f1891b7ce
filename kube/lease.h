/* SPDX-License-Identifier: Apache-2.0 */
/* lease.h - leader election by a Lease: at most one of several processes leads.
 *
 *   FOLLOW --free, ours or expired--> TAKE --taken--> LEAD <--renewed--> RENEW
 *     ^  ^----- somebody was faster ---'                |                  |
 *     '-------- another holder, or not renewed in time (LOST) ------------'
 *
 * A candidate follows the Lease by a watch and asks nothing while another holds it. Whether it has
 * expired is judged by the own monotonic clock, from the moment when its last change was seen, never
 * by the times written in it: clocks of machines differ. A holder renews every retry_ms, and gives
 * up when it could not for renew_ms, which ends before anybody else may take the Lease. Every
 * write carries the resourceVersion that was seen, so of two candidates one gets 409. Where no change
 * follows such a refusal, what was seen is of no use (an etcd that was restored to an older state sends
 * nothing on a stream of the future): the Lease is read, and what is read holds, however old it is.
 *
 * A Lease that is gone is free when it would have expired: its holder may not have noticed.
 *
 * On close the holder lets go: it writes an empty holder, and a candidate takes over at once.
 *
 * Give it a client of its own: renewals must not queue behind other requests.
 *
 * Source: client-go tools/leaderelection (rules, record); coordination.k8s.io/v1 Lease.
 */
#ifndef KUBE_LEASE_H
#define KUBE_LEASE_H

#include "kube/client.h"

enum {
    KUBE_LEASE_REQUEST_MIN_MS = 1000,   /* a renewal gets so long, also close to the deadline */
    KUBE_LEASE_TAKE_MAX_MS = 10 * 1000, /* longest request that tries to take it */
};

struct kube_lease;

/* How long a Lease with this spec lasts that is not renewed: as long as it says, however long that is; for
 * one that says nothing sensible `otherwise`. Bounded by the type of the field: an int32 of seconds. */
uint64_t kube_lease_lasts_ms(kr_val spec, uint64_t otherwise_ms);

struct kube_lease_opts {
    struct kube_client *client;            /* borrowed */
    kr_str namespace, name, identity;      /* copied */
    uint64_t lease_ms, renew_ms, retry_ms; /* lease > renew > retry */
    /* Leadership came or went; from kube_lease_turn. */
    void (*changed)(void *arg, bool leading);
    void *arg;
};

/* Begins to follow. Cannot fail: trouble shows in kube_lease_error. Returns owned. */
struct kube_lease *kube_lease_new(const struct kube_lease_opts *opts);
/* Part of the turn, before anything that only a leader may do. */
void kube_lease_turn(struct kube_lease *l);
bool kube_lease_leading(const struct kube_lease *l);
/* Who holds it, as far as is seen; empty: nobody. Borrowed until the next turn. */
kr_str kube_lease_holder(const struct kube_lease *l);
/* Why the Lease cannot be read or written, or NULL. Borrowed until the next turn. */
const struct kr_err *kube_lease_error(const struct kube_lease *l);
/* Lets go of it (waits for the answer), ends the watch, frees, then calls closed from a turn. */
void kube_lease_close(struct kube_lease *l, void (*closed)(void *arg), void *arg);

#endif
