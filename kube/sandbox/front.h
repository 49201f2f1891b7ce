/* SPDX-License-Identifier: Apache-2.0 */
/* front.h - the sandbox behind kube's transport door: clients in the same process, without a socket,
 * in the time of the clock that is given (so also in virtual time).
 *
 * A request is served when its timer fires, latency_ms after its start: one that is cancelled before
 * has had no effect. A watch is read when the sandbox has news for it, in the same way. The rules of
 * kube/transport.h hold; a stream's timeout_ms is not kept, for in a process nothing goes silent.
 */
#ifndef SANDBOX_FRONT_H
#define SANDBOX_FRONT_H

#include "kube/sandbox/sandbox.h"

struct sandbox_front;

struct sandbox_front_opts {
    uint32_t latency_ms;    /* from the start of a request to its answer, and of news of a watch */
    size_t chunk_bytes;     /* bytes of one on_bytes; 0: as they come */
    bool no_streaming_list; /* sendInitialEvents is refused, as by old servers */
    /* In place of sandbox_serve, which it calls: who watches and alters. NULL: that itself. */
    void (*serve)(void *arg, struct sandbox *s, const struct sandbox_request *q,
                  struct sandbox_response *r);
    void *arg;
};

/* Borrows both. opts may be NULL. Returns owned. */
struct sandbox_front *sandbox_front_new(struct sandbox *s, struct kube_clock *clock,
                                        const struct sandbox_front_opts *opts);
void sandbox_front_free(struct sandbox_front *f); /* legal when no exchange is under way */
KR_DEFINE_FREEP(sandbox_front)
struct kube_transport *sandbox_front_transport(struct sandbox_front *f);
/* No request waits for its answer, and no open watch for its news. */
bool sandbox_front_idle(const struct sandbox_front *f);
uint32_t sandbox_front_exchanges_n(const struct sandbox_front *f); /* under way, watches too */
/* Ends all watches: rc 0 cleanly, KR_E_IO as a broken connection. */
void sandbox_front_break(struct sandbox_front *f, int rc);
/* Another server answers from now on (NULL: none, connections are refused). Everything under way
 * breaks, served or not. The former sandbox is let go of: no watch is left open on it. */
void sandbox_front_swap(struct sandbox_front *f, struct sandbox *s);

#endif
