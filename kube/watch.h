/* SPDX-License-Identifier: Apache-2.0 */
/* watch.h - follows every object of one resource type (or those a selector names), for ever.
 *
 * A watch lists, then streams changes from the list's resourceVersion, and repairs itself: a broken
 * stream resumes where it stopped, 410 Gone lists again, other failures back off with jitter. It
 * writes into a store and never calls the reactor: who wants to know of a change reads the store's
 * change list at the end of the turn.
 *
 * Initial state: the streaming list (sendInitialEvents) where the server offers it, else pages of
 * KUBE_LIST_PAGE. A half-received list is never visible.
 *
 * Source: Kubernetes "API concepts": efficient detection of changes (410, bookmarks), streaming
 * lists (KEP 3157); client-go tools/cache/reflector.
 */
#ifndef KUBE_WATCH_H
#define KUBE_WATCH_H

#include "kube/client.h"
#include "kube/store.h"

enum {
    KUBE_LIST_PAGE = 500,             /* objects per page; client-go's pager default */
    KUBE_LIST_PAGES_MAX = 100 * 1000, /* a server that never ends a list is refused */
    KUBE_WATCH_TIMEOUT_S = 290, /* asked of the server; why below 295: kubernetes issue 6513 */
    KUBE_WATCH_JITTER_S = 60,   /* up to so much less, so that streams do not end together */
    KUBE_WATCH_SHORT_MS =
        1000, /* a stream that ends sooner without an event counts as failed; client-go: 1 s */
    KUBE_WATCH_HEALTHY_MS =
        10 * 1000, /* a stream that lived so long, or brought an event, resets the back-off */
    KUBE_WATCH_SILENCE_MS = 300 * 1000, /* a stream that is silent for longer is dead */
    KUBE_WATCH_MUTE_MS =
        150 *
        1000, /* a stream that brought nothing for so long says nothing; bookmarks come each minute */
    KUBE_SCHEMA_LAG_MS = 10 * 1000,   /* after a CRD's change, until streams that begin follow it */
    KUBE_SCHEMA_ENDS_MS = 150 * 1000, /* ... until the server has ended those that do not */
    KUBE_BACKOFF_MIN_MS = 800, /* client-go reflector's: 0.8 s to 30 s, doubling, with jitter */
    KUBE_BACKOFF_MAX_MS = 30 * 1000,
    KUBE_WATCH_DOC_MAX = 16 * 1024 * 1024, /* bytes of one event */
    KUBE_SELECTOR_MAX = 1024,              /* bytes of a selector that is given later */
    KUBE_INITIAL_TRIES = 3, /* streaming lists that break off before pages are used for good */
};

struct kube_watch;

struct kube_watch_opts {
    kr_str namespace;      /* empty: all namespaces; copied, as the selectors */
    kr_str label_selector; /* as in the query; empty: none */
    kr_str field_selector;
    bool no_streaming_list; /* the server is known not to have it */
    bool paused;            /* asks nothing before kube_watch_select */
};

typedef void kube_watch_closed_fn(struct kube_watch *w, void *arg);

/* Starts. Cannot fail: trouble shows in kube_watch_error. Borrows client and store, which must
 * outlive the watch. Returns an owned watch. */
struct kube_watch *kube_watch_new(struct kube_client *client, struct kube_store *store,
                                  const struct kube_watch_opts *opts);
/* Lists from scratch (the projection became wider); the stored objects stay visible meanwhile. */
void kube_watch_relist(struct kube_watch *w);
/* The type is gone (a CRD was deleted): nothing that is known stays, and no back-off asks for it again
 * before it is told to be back: then it is listed at once. Legal in every state. */
void kube_watch_type(struct kube_watch *w, bool there);
/* The schema of the type has changed (its CRD): the server reads what it keeps by the new one (defaults,
 * pruning, conversion) and sends no event for that. It notices a moment later, and then ends the streams
 * that go by the former schema: such an end is followed by a list. Legal in every state.
 * Source: apiextensions-apiserver customresource_handler.go: one second and the requests under way, at
 * most twice the time-out of a request. */
void kube_watch_schema(struct kube_watch *w);
/* Another label selector (KUBE_SELECTOR_MAX bytes at most), for lists and streams that begin from now on.
 * relist: begins one from scratch now; a paused watch begins anyway. Without, what is open goes on
 * with the selector it has: right where the new one is narrower and the caller ignores the rest. */
void kube_watch_select(struct kube_watch *w, kr_str label_selector, bool relist);
/* Stops w and frees it; `closed` (may be NULL) is the last word, on a later turn. Legal in every
 * state, once. */
void kube_watch_close(struct kube_watch *w, kube_watch_closed_fn *closed, void *arg);
/* The reason w is backing off, or NULL. Borrowed; valid until the next turn. */
const struct kr_err *kube_watch_error(const struct kube_watch *w);
/* How often it failed in a row. */
uint32_t kube_watch_failures_n(const struct kube_watch *w);
const char *kube_watch_state(const struct kube_watch *w);
/* Called from the loop when the text of kube_watch_error changes (to NULL too); fn may be NULL. */
void kube_watch_on_trouble(struct kube_watch *w, void (*fn)(struct kube_watch *w, void *arg),
                           void *arg);

#endif
