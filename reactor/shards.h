/* SPDX-License-Identifier: Apache-2.0 */
/* shards.h - which of several processes handles which instances: 64 buckets, held by Leases.
 *
 * An instance belongs to the bucket that its uid hashes to. Members are the processes that hold one of
 * the N Leases "shard-<slot>.controller.kro.run" (N: --shards); a process more than that waits for a
 * slot to become free. Rendezvous hashing over the slots gives each bucket to one of the members: who
 * comes takes only what is its own from the others, and what a member leaves is shared out among those
 * who stay.
 *
 * A Lease has its holder, and in the annotation kroc.run/buckets the buckets that the holder claims. A
 * member renews it every retry_ms, which is all that is asked at rest: N members cost N / retry_ms
 * writes (3 members, 2 s: 1.5 a second) and N times as many watch events. One Lease per bucket would
 * cost 32 writes a second.
 *
 *   FOLLOW --a slot is free--> TAKE --taken--> MEMBER <--answered--> WRITE (renew, claim, give back)
 *     ^  ^--somebody was faster--'               |  ^-----answered-----> BURY (another's ended Lease)
 *     '---- not renewed in time, or buried ------'
 *
 * When may a bucket be served? When this member's Lease claims it and no other Lease does, in one and
 * the same state of the cluster. Such a state is what the watch of the Leases shows: it is one stream
 * in the server's order of versions. From then on until this member has asked to give the bucket back,
 * or until its deadline: renew_ms after it *sent* the last renewal that succeeded.
 *
 * Never do two serve one bucket. Let M and O claim it, M by the earlier write. O looks at a state that
 * has O's write, so it has M's as well, unless M's Lease has been written again in between:
 *   - by M, who gave the bucket back and had ceased to serve it before it sent that write;
 *   - by a third, who buried it. A Lease may be buried when no change of it was seen for its lease_ms,
 *     by the own monotonic clock of who buries, counted from when the last change came here; and the
 *     write carries the version that was seen. So M's last renewal was stored before that change came
 *     here; M's deadline, renew_ms after it was sent, has passed when lease_ms have; and any renewal of
 *     M that is still on its way is refused with 409, for the Lease has a newer version.
 * Clocks are never compared: times in the Lease are for people. Two clocks must only not differ in rate
 * by lease_ms / renew_ms (1.5 by default). A process that was suspended looks at its deadline before it
 * does anything else. What it had handed to the network before may still arrive: for that there is the
 * time between renew_ms and lease_ms, as in all leader election.
 * An answer that did not come leaves open whether the write was stored: then nothing is concluded from
 * the claims until a later write was answered. A Lease that somebody deletes by hand counts as held
 * until its lease_ms are over.
 *
 * Before a bucket is given back, writes under way for its instances are awaited (busy), but nothing new
 * is begun. At the end a member gives back what is idle at once, marks itself as leaving, so that the
 * others claim those, and lets go of its Lease with the last.
 *
 * Versions must be decimal integers, as the API promises (KEP 5504); with others nothing is claimed.
 *
 * Source: client-go tools/leaderelection (lease, renew, retry); Thaler and Ravishankar, "Using
 * name-based mappings to increase hit rates" (rendezvous hashing).
 */
#ifndef REACTOR_SHARDS_H
#define REACTOR_SHARDS_H

#include "kube/client.h"

enum {
    REACTOR_BUCKETS = 64,
    REACTOR_SHARDS_MAX = 64, /* slots; more members than buckets would have nothing to do */
};

/* The bucket of an instance: XXH3 of its uid. Never to be changed: it stands in labels. */
uint32_t reactor_bucket(kr_str uid);
/* The slot that each bucket belongs to, of those in the bit set (at least one). */
void reactor_shards_assign(uint64_t slots, uint8_t owner[REACTOR_BUCKETS]);

struct reactor_shards;

struct reactor_shards_opts {
    struct kube_client *client;            /* borrowed; one of its own */
    kr_str namespace, identity;            /* copied */
    uint32_t slots_n;                      /* 1 to REACTOR_SHARDS_MAX */
    uint64_t lease_ms, renew_ms, retry_ms; /* lease > renew > retry */
    /* These buckets may be served from now on, and no others; from reactor_shards_turn. at_once: what
     * is not served is lost for good, and writes under way for it must not go on; else they may end, and
     * busy is asked. */
    void (*changed)(void *arg, uint64_t serving, bool at_once);
    uint64_t (*busy)(void *arg); /* buckets with writes under way */
    void *arg;
};

/* Begins to follow. Cannot fail: trouble shows in reactor_shards_error. Returns owned. */
struct reactor_shards *reactor_shards_new(const struct reactor_shards_opts *opts);
/* Part of the turn, before anything that only the holder of a bucket may do. */
void reactor_shards_turn(struct reactor_shards *s);
uint64_t reactor_shards_serving(const struct reactor_shards *s); /* buckets, a bit each */
int reactor_shards_slot(const struct reactor_shards *s);         /* -1: no member */
uint32_t reactor_shards_members_n(const struct reactor_shards *s);
/* Why the Leases cannot be read or written, or NULL. Borrowed until the next turn. */
const struct kr_err *reactor_shards_error(const struct reactor_shards *s);
/* Gives back what it has as soon as that is idle, and claims no more. */
void reactor_shards_leave(struct reactor_shards *s);
/* The same; then lets go of the Lease (waits for the answer), ends the watch, frees, and calls closed
 * from a turn. */
void reactor_shards_close(struct reactor_shards *s, void (*closed)(void *arg), void *arg);

#endif
