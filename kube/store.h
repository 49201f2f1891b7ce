/* SPDX-License-Identifier: Apache-2.0 */
/* store.h - the objects of one watch, as frozen records, and the list of what changed.
 *
 * A list fills a shadow that becomes visible when it is complete (swap on sync): objects that were
 * not in it are reported as deleted. Between lists, an event or a response older than the stored
 * record is dropped (versions of one type compare as integers; if either is not a decimal integer,
 * later arrival wins), and so is the echo of our own write. Responses to requests sent before the
 * current list was started are ignored.
 *
 * A filter drops objects at parse, before anything of them is read but the key that it looks at. Of
 * those only a hash of the name is remembered (kube_store_dropped).
 *
 * Changes go to a list that the turn takes as a whole. A change whose bits are empty is never
 * listed: the event ends here.
 */
#ifndef KUBE_STORE_H
#define KUBE_STORE_H

#include "cel/base/list.h"
#include "cel/base/map.h"
#include "kube/projection.h"

struct kube_store;

enum {
    KUBE_STORE_TOMBS_MAX = 4096, /* objects remembered as gone; above, the oldest is forgotten */
};

/* One visible change. Owned by the list it is in until kube_change_free. */
struct kube_change {
    struct kube_store *store; /* borrowed; NULL when the store went away meanwhile */
    struct kr_rec *old;       /* a reference, or NULL: was absent */
    struct kr_rec *now;       /* a reference, or NULL: is gone */
    bool synced;              /* no object: the store's first list, or a later one, is complete */
    uint64_t run;             /* of synced: that list's run */
    bool back; /* of synced: the list is older than what was known: the server went back to
                                 a former state */
    bool own;  /* shows what the answer to a request of ours shows */
    struct kr_arena arena;  /* of bits */
    struct kr_bits bits;    /* see kube_diff */
    kr_str taken, taken_by; /* a field of our manager that somebody took ("spec.replicas"), and who
                                 (may be empty); in arena; empty: none */

    struct kr_link link, store_link;
};
void kube_change_free(struct kube_change *c);

/* Where stores report. Zero-initialise head with kr_link_init. */
struct kube_changes {
    struct kr_link head;     /* struct kube_change.link, in order of arrival */
    void (*wake)(void *arg); /* called when the list becomes non-empty; may be NULL */
    void *arg;
};

struct kube_store_opts {
    kr_gvr gvr;                    /* copied */
    kr_str kind;                   /* copied: what items of a list lack; empty: they stay without */
    kr_str manager;                /* copied: whose ownership is kept; empty: nobody's */
    struct kr_fieldset_pool *pool; /* borrowed */
    struct kube_changes *changes;  /* borrowed */
};

struct kube_store *kube_store_new(const struct kube_store_opts *opts);
/* Frees; nothing is reported. Changes already listed stay valid but lose their store pointer. */
void kube_store_free(struct kube_store *s);
struct kube_projection *kube_store_projection(struct kube_store *s);
kr_gvr kube_store_gvr(const struct kube_store *s);
/* Does anything look at managedFields: the manager's ownership, or a path that names them? */
bool kube_store_wants_managed_fields(const struct kube_store *s);
bool kube_store_synced(const struct kube_store *s);
uint32_t kube_store_n(const struct kube_store *s);
/* The version up to which everything was heard; 0: unknown. What is made later has a higher one. */
uint64_t kube_store_version(const struct kube_store *s);
/* Free slot for the owner of the store (the reactor's watch entry). */
void kube_store_set_owner(struct kube_store *s, void *owner);
void *kube_store_owner(const struct kube_store *s);

/* The record of an object, or NULL. Borrowed until the next put, delete or swap. */
struct kr_rec *kube_store_get(const struct kube_store *s, kr_str namespace, kr_str name);
/* All records in order of first arrival: start with *at = 0. */
struct kr_rec *kube_store_next(const struct kube_store *s, uint64_t *at);

/* From the watch. While a shadow is filled, put and delete act on the shadow (a streaming list has
 * changes among its items). */
void kube_store_list_begin(struct kube_store *s); /* a shadow is filled from now on */
KR_MUST int kube_store_list_item(struct kube_store *s, kr_val object, struct kr_err *err);
/* Swap, report, synced. version: the list's resourceVersion; an object that is only known from a
 * response to one of our requests is kept if it is newer than that. */
void kube_store_list_done_at(struct kube_store *s, kr_str version);
void kube_store_list_abort(struct kube_store *s); /* the shadow is dropped; legal without one */
KR_MUST int kube_store_put(struct kube_store *s, kr_val object, struct kr_err *err);
KR_MUST int kube_store_delete(struct kube_store *s, kr_val object, struct kr_err *err);

/* From our own writes: the response to a request that was sent in list run `run`
 * (kube_store_run when it was sent). The change enters the list at once. *out (may be NULL) gets a
 * reference to the record of the response, also when the store already holds a newer one; NULL where the server
 * has gone back to a former state since the request was sent: what the response shows is no more. */
uint64_t kube_store_run(const struct kube_store *s);
KR_MUST int kube_store_response(struct kube_store *s, uint64_t run, kr_val object,
                                struct kr_rec **out, struct kr_err *err);
/* A DELETE was answered with 404, or with the final object: gone, unless a newer one is there.
 * version: of that final object; 0: unknown. */
void kube_store_response_gone(struct kube_store *s, uint64_t run, kr_str namespace, kr_str name,
                              kr_str uid, uint64_t version);

/* --- the filter ------------------------------------------------------------------------------- */

/* What a filter looks at. */
enum kube_store_key {
    KUBE_KEY_UID,      /* metadata.uid */
    KUBE_KEY_INSTANCE, /* the label kro.run/instance-id; an object without it is always kept */
};
/* Whether an object with that key is kept. object: as it came, KR_NONE when the store is sifted. */
typedef bool kube_keep_fn(void *arg, kr_str key, kr_val object);
/* For what comes from now on; what is there already stays until kube_store_sift. */
void kube_store_filter(struct kube_store *s, enum kube_store_key by, kube_keep_fn *keep, void *arg);
/* Drops all that the filter no longer keeps, without a report; gone (may be NULL) gets each. */
void kube_store_sift(struct kube_store *s, void (*gone)(void *arg, struct kr_rec *rec), void *arg);
/* Is an object of that name there (or one with the same hash) that the filter, by KUBE_KEY_INSTANCE, has
 * dropped? */
bool kube_store_dropped(const struct kube_store *s, kr_str namespace, kr_str name);
/* It is known not to be: forgets it. */
void kube_store_undrop(struct kube_store *s, kr_str namespace, kr_str name);
uint32_t kube_store_dropped_n(const struct kube_store *s);

/* Bytes held in records, for metrics. */
size_t kube_store_bytes(const struct kube_store *s);

#endif
