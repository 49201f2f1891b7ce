/* SPDX-License-Identifier: Apache-2.0 */
/* transport.h - the two narrow doors through which the program meets the world: a transport that
 * carries HTTP exchanges, and a clock.
 *
 * One implementation is libcurl on libuv (curl_uv.h); tests and the simulation put others behind the
 * same doors, in the same process and with virtual time. Nothing in kube/ or reactor/ reads a
 * clock, a socket or a random source in any other way.
 *
 * Rules for every implementation:
 *   - callbacks never run inside the call that caused them (start, cancel), only from the loop;
 *   - on_end is the last word for an exchange and comes exactly once, also after cancel (then with
 *     KR_E_CANCELED); the exchange's memory belongs to its owner and may be freed inside on_end;
 *   - bytes arrive in order; on_head comes before the first of them.
 */
#ifndef KUBE_TRANSPORT_H
#define KUBE_TRANSPORT_H

#include "cel/base/err.h"
#include "cel/base/list.h"

struct kube_exchange;

struct kube_header {
    kr_str name; /* any case */
    kr_str value;
};

/* Status line and headers have arrived. retry_after_ms: from Retry-After (seconds or date), -1
 * without. */
typedef void kube_head_fn(struct kube_exchange *x, int status, int64_t retry_after_ms);
/* One line of the head, before on_head; the status line has no name: "HTTP/2 200". Borrowed for the call. */
typedef void kube_header_fn(struct kube_exchange *x, kr_str name, kr_str value);
/* Bytes of the body. Returns false to stop the exchange (then on_end comes with KR_E_LIMIT). */
typedef bool kube_bytes_fn(struct kube_exchange *x, const char *bytes, size_t n);
/* The end. rc: 0 (whole response received), KR_E_IO, KR_E_CANCELED or KR_E_LIMIT; err has the text,
 * never a header value. */
typedef void kube_end_fn(struct kube_exchange *x, int rc, const struct kr_err *err);

/* One HTTP request and its response. Embedded in its owner, found with KR_OWNER. Everything
 * borrowed here must live until on_end. */
struct kube_exchange {
    const char *method;
    kr_str path; /* path and query, "/api/v1/pods?limit=500"; the transport knows the server */
    kr_str body; /* may be empty */
    const char *content_type; /* of the body; NULL: none */
    const char *accept;       /* NULL: application/json */
    const char *user_agent; /* NULL: "kro"; the server derives the default field manager from it */
    bool stream;         /* a watch: goes over the stream handle, without a time-out on the whole */
    uint32_t timeout_ms; /* whole exchange; of a stream: the longest silence; 0: none */
    kube_header_fn *on_header; /* NULL: nobody looks at headers */
    kube_head_fn *on_head;
    kube_bytes_fn *on_bytes;
    kube_end_fn *on_end;

    int status;   /* HTTP status once known, else 0 */
    bool unsent;  /* set before on_end of a failure: the server cannot have seen the request */
    bool refused; /* with unsent: nobody listens there at the moment; worth a quick repeat */
    void *impl;   /* private to the transport */
    struct kr_link link; /* private to the transport */
};

struct kube_transport {
    const struct kube_transport_ops *ops;
};

struct kube_transport_ops {
    void (*start)(struct kube_transport *t, struct kube_exchange *x);
    void (*cancel)(struct kube_transport *t,
                   struct kube_exchange *x); /* legal once, before on_end */
    /* "https://host:port" of the server, for messages; never has credentials. */
    kr_str (*server)(struct kube_transport *t);
};

/* --- clock ------------------------------------------------------------------------------------ */

struct kube_timer;
typedef void kube_timer_fn(struct kube_timer *timer);

/* A one-shot timer, embedded in its owner. Zero is a valid stopped timer. */
struct kube_timer {
    kube_timer_fn *fn;

    uint64_t due_ms;
    uint64_t seq;     /* private: order among equals */
    uint32_t heap_at; /* private: position in the clock's heap, 0: not set */
};

struct kube_clock {
    const struct kube_clock_ops *ops;
};

struct kube_clock_ops {
    uint64_t (*now_ms)(struct kube_clock *c); /* monotonic; equal within one turn */
    int64_t (*wall_ms)(struct kube_clock *c); /* since the epoch */
    /* (Re)starts the timer; fn runs from the loop, never inside the call. */
    void (*timer_start)(struct kube_clock *c, struct kube_timer *timer, uint64_t delay_ms);
    void (*timer_stop)(struct kube_clock *c, struct kube_timer *timer); /* legal when stopped */
    uint64_t (*random)(struct kube_clock *c); /* seeded pseudo random numbers (jitter) */
};

static inline uint64_t kube_now_ms(struct kube_clock *c)
{
    return c->ops->now_ms(c);
}

/* Timers of any clock: a binary heap that implementations share. */
struct kube_timers {
    struct kube_timer **heap; /* from 1 */
    uint32_t n, cap;
    uint64_t seq;
};
void kube_timers_fini(struct kube_timers *t);
void kube_timers_start(struct kube_timers *t, struct kube_timer *timer, uint64_t due_ms);
void kube_timers_stop(struct kube_timers *t, struct kube_timer *timer);
/* The earliest due time, or UINT64_MAX. */
uint64_t kube_timers_due(const struct kube_timers *t);
/* Runs everything due at now_ms, in order of due time, then of starting. Timers that these start
 * wait for the next call, so a callback that restarts its own timer with no delay cannot loop. */
void kube_timers_run(struct kube_timers *t, uint64_t now_ms);

#endif
