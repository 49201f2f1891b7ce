/* SPDX-License-Identifier: Apache-2.0 */
/* http.h - /metrics, /healthz, /readyz and the pages below /debug/, on the loop of the program.
 *
 *   metrics address  /metrics
 *   health address   /healthz   200 as long as the loop turns: whoever gets an answer knows it does
 *                    /readyz    200 once `ready` has said so, or REACTOR_READY_MAX_MS after the
 *                               start; from then on always. Before: 503 and what is waited for
 *
 *   debug address    /debug/...  what `kroc why` and people with a browser ask for; on a loopback
 *                               address, because it tells what is in the cluster
 *
 * GET and HEAD only, and PUT where a debug page takes it. ?verbose adds what is waited for, also to a 200. A pod that cannot list some
 * type still serves the others, so it never stays unready, and a later outage does not turn it off.
 *
 * Source: kro:cmd/controller (addresses), controller-runtime pkg/healthz (texts).
 */
#ifndef REACTOR_HTTP_H
#define REACTOR_HTTP_H

#include <uv.h>

#include "reactor/metrics.h"

enum {
    REACTOR_READY_MAX_MS = 30 * 1000,
    REACTOR_HTTP_CONNECTIONS_MAX = 128,       /* of one address */
    REACTOR_HTTP_IDLE_S = 5,                  /* a silent connection is closed */
    REACTOR_HTTP_WHY_MAX = 64 * 1024,         /* bytes of the reasons of /readyz */
    REACTOR_HTTP_DEBUG_MAX = 4 * 1024 * 1024, /* bytes of a debug page */
};

/* The arguments behind the "?" of a request. */
struct reactor_http_query;
kr_str reactor_http_arg(const struct reactor_http_query *q, const char *name); /* empty: absent */
bool reactor_http_is_put(const struct reactor_http_query *q);

struct reactor_http_opts {
    uv_loop_t *loop;                 /* borrowed */
    const char *metrics_address;     /* as --metrics-bind-address; NULL: off */
    const char *health_address;      /* as --health-probe-bind-address; NULL: off */
    struct reactor_metrics *metrics; /* borrowed */
    /* Has everything been listed? Appends a line for each thing that is waited for. */
    bool (*ready)(void *arg, struct kr_buf *why);
    void *arg;
    uint32_t ready_max_ms; /* 0: REACTOR_READY_MAX_MS */

    const char *debug_address; /* as --debug-bind-address; NULL: off */
    bool debug_may_fail; /* when it cannot be listened on, all else is; reactor_http_debug_why */
    /* A page: path is "/debug/why", say. Appends to out; returns the HTTP status, and sets *json when
     * what it wrote is JSON. Whoever takes no PUT returns 405 to it. */
    unsigned (*debug)(void *arg, const char *path, const struct reactor_http_query *q,
                      struct kr_buf *out, bool *json);
};

struct reactor_http;

/* Listens. Returns owned in *out; KR_E_INPUT names flag and address: not an address, occupied, not
 * allowed (what was opened by then closes with the loop's next turn). */
KR_MUST int reactor_http_open(const struct reactor_http_opts *opts, struct reactor_http **out,
                              struct kr_err *err);
/* Ports that are listened on (the address may say 0: any); 0 when off. */
uint16_t reactor_http_metrics_port(const struct reactor_http *h);
uint16_t reactor_http_health_port(const struct reactor_http *h);
uint16_t reactor_http_debug_port(const struct reactor_http *h);
/* Why the debug address is not listened on although it should be; empty: it is, or is off. */
kr_str reactor_http_debug_why(const struct reactor_http *h);
/* Ends all connections at once; frees, then calls closed (may be NULL) from the loop. */
void reactor_http_close(struct reactor_http *h, void (*closed)(void *arg), void *arg);

#endif
