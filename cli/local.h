/* SPDX-License-Identifier: Apache-2.0 */
/* local.h - a cluster and its controller in this process: the sandbox, and the unchanged reactor on it,
 * without a socket between them.
 *
 *   reactor - client - front - sandbox        all by one clock
 *
 * By the clock of a loop it runs as fast as it is (kroc demo: cli_local_turn in each turn of the loop);
 * in virtual time (kroc test, kroc render: cli_local_rest, cli_local_pass) an hour takes milliseconds,
 * and equal input gives equal objects, uids and versions.
 */
#ifndef CLI_LOCAL_H
#define CLI_LOCAL_H

#include "kube/sandbox/front.h"
#include "kube/vclock.h"
#include "reactor/reactor.h"

enum {
    CLI_LOCAL_REST_MS = 10 * 1000,          /* at rest: nothing has changed for so long */
    CLI_LOCAL_BUSY_MAX_MS = 30 * 60 * 1000, /* a cluster that changes for longer never rests */
    CLI_LOCAL_PASSES_MAX = 100 * 1000,      /* at one time: more is a livelock */
};

struct cli_local_opts {
    struct kube_clock *clock; /* borrowed; NULL: virtual time */
    struct sandbox_opts sandbox;
    bool omit; /* feature gate CELOmitFunction */
    /* Sees each request of the controller right after it was served; may be NULL. */
    void (*asked)(void *arg, const struct sandbox_request *q, const struct sandbox_response *r);
    void *arg;
};

struct cli_local {
    struct sandbox *sandbox; /* has kro's CRDs */
    struct reactor *reactor; /* started */

    struct kube_clock *clock;
    struct vclock own;
    struct sandbox_front *front;
    struct kube_client *client;
    struct cli_local_opts opts;
};

void cli_local_open(struct cli_local *l, const struct cli_local_opts *opts);
/* kro's CRDs, as deploy/crds has them, into a sandbox. */
void cli_local_crds(struct sandbox *s);
/* One turn of the controller. true: work is left; call again before waiting. */
bool cli_local_turn(struct cli_local *l);
/* Ends: stop, turns until stopped, close. In virtual time close alone is enough. */
void cli_local_stop(struct cli_local *l);
bool cli_local_stopped(const struct cli_local *l);
void cli_local_close(struct cli_local *l);

/* What the server answers. Body and texts live in the arena given. */
struct cli_answer {
    int status;
    kr_val body;    /* KR_NONE: no JSON */
    kr_str message; /* of a refusal; never empty then */
};
/* One request to the server. type: of the body ("merge-patch+json" behind
 * "application/"); NULL: json. */
struct cli_answer cli_local_ask(struct cli_local *l, struct kr_arena *a, const char *method,
                                kr_str path, const char *type, kr_str body);
/* The path of the object that a document is about, with a subresource (NULL: itself); empty: no such
 * kind is served. Lives in a. */
kr_str cli_local_path(const struct cli_local *l, struct kr_arena *a, kr_val doc, const char *sub);

/* What a path is about, for people: "deployments/shop/status", without group and namespace. */
kr_str cli_local_target(kr_str path);

/* Virtual time moves until nothing has changed for CLI_LOCAL_REST_MS. KR_E_LIMIT: it never rests. */
KR_MUST int cli_local_rest(struct cli_local *l, struct kr_err *err);
/* Virtual time moves so far, at rest or not. */
KR_MUST int cli_local_pass(struct cli_local *l, uint64_t ms, struct kr_err *err);
/* Milliseconds of virtual time since the start. */
uint64_t cli_local_now(const struct cli_local *l);

#endif
