/* SPDX-License-Identifier: Apache-2.0 */
/* fault.h - a transport that stands before another one and makes trouble by rule.
 *
 * Rules are asked in order; the first that applies to an exchange decides, the others do not count
 * it. Without a rule the exchange passes through. A rule counts the exchanges it fits (method,
 * path) and applies to number `nth`, and to the `times` - 1 that follow. */
#ifndef FAULT_H
#define FAULT_H

#include "kube/transport.h"

enum fault_kind {
    FAULT_REFUSE, /* nobody listens: the server never sees it */
    FAULT_BREAK,  /* the connection breaks before the answer; the server never saw it, but who can
                     know */
    FAULT_EFFECT, /* the server handles it, its answer is lost; after delay_ms the connection breaks
                   */
    FAULT_HANG,   /* the server never sees it, and no answer ever comes */
    FAULT_CUT,    /* the answer's body breaks off after `bytes` bytes */
    FAULT_SHORT,  /* the same, but it ends as if it were whole */
    FAULT_BODY,   /* the server handles it, but 200 and `message` come as its answer */
    FAULT_STATUS, /* the server never sees it: `status` with a Status body comes instead */
    FAULT_DELAY,  /* passes through, delay_ms later */
};

struct fault_rule {
    enum fault_kind kind;
    const char *method;     /* NULL: any; borrowed for the life of the rule */
    const char *part;       /* of path and query; NULL: any; borrowed */
    bool streams, requests; /* only these; neither set: both */
    uint32_t nth;           /* from 1; 0: as 1 */
    uint32_t times;         /* 0: for ever from nth on */
    size_t bytes;
    int status;
    int retry_after_s;
    const char *message; /* of the Status (NULL: "injected"), or the body; borrowed */
    uint32_t delay_ms;
};

struct fault;

/* Borrows inner and clock. */
struct fault *fault_new(struct kube_transport *inner, struct kube_clock *clock);
void fault_free(struct fault *f); /* legal when no exchange is under way */
struct kube_transport *fault_transport(struct fault *f);
void fault_add(struct fault *f, const struct fault_rule *rule);
void fault_clear(struct fault *f); /* takes all rules out; what is under way goes on as decided */
uint32_t fault_hits_n(const struct fault *f);   /* exchanges that a rule applied to */
uint32_t fault_passed_n(const struct fault *f); /* exchanges given to the inner transport */

#endif
