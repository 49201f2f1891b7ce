/* SPDX-License-Identifier: Apache-2.0 */
/* world.h - the whole controller (reactor, graph, kube) in this process, on fakeapi, without a
 * socket and in virtual time.
 *
 *   reactor - client - line - fault - fakeapi
 *
 * The line is the process's connection to the world outside: it counts the exchanges, and cuts the
 * process off at a chosen one. A crash drops the controller between two of its turns or at an
 * exchange; the cluster, the clock and the faults stay, and a new controller may be started.
 *
 * All the while the world looks at what happens in the cluster and keeps the safety rules: while an
 * instance still has children its finalizer stays, no child passes from one ApplySet to another,
 * none is left behind. A breach fails the test at its next rest. */
#ifndef WORLD_H
#define WORLD_H

#include "cel/base/map.h"
#include "reactor/reactor.h"
#include "tests/lib/fakeapi.h"
#include "tests/lib/fault.h"
#include "tests/lib/test.h"
#include "tests/lib/vclock.h"

enum {
    WORLD_QUIET_MS =
        90 * 1000, /* at rest: no timer is due within; over every back-off and time-out */
    WORLD_RUN_MAX_MS = 3600 * 1000, /* a run that takes longer never comes to rest */
    WORLD_TURNS_MAX = 100 * 1000,   /* turns at one time: more is a livelock, and fails */
    WORLD_RGDS_MAX = 8,
};

/* How the process ends at a chosen exchange. */
enum world_end {
    WORLD_END_UNSENT, /* before the request leaves */
    WORLD_END_SENT,   /* the request leaves and takes effect; the answer comes to nobody */
};

struct world_opts {
    struct fakeapi_opts api;
    const char *namespace; /* NULL: all */
    bool sidecar;
    const char *rgds[WORLD_RGDS_MAX]; /* sidecar: YAML texts */
    bool traced;                      /* the trace is kept: world_trace */
    uint32_t revisions_max;
    uint64_t stop_ms; /* 0: REACTOR_STOP_MS */
    bool crd_deletion;
    bool standby;                    /* starts without the right to write */
    bool sharded;                    /* serves what reactor_buckets says */
    bool events, condition_metrics;  /* gates */
    struct reactor_metrics *metrics; /* borrowed; NULL: nothing is counted */
};

struct world_line;

struct world_exchange {
    char method[8];
    bool stream;
    size_t bytes; /* of the body, so far */
};

/* What the world has seen happen to one object. */
struct world_fate {
    uint32_t created, changed, deleted;
    kr_str part_of; /* of the live object */
};

struct world {
    struct vclock clock;
    struct fakeapi *api;
    struct fault *fault;
    struct kube_client *client;
    struct reactor *reactor; /* NULL: none runs */
    struct kr_arena a;       /* of what is handed to the test */

    struct world_opts opts;
    struct world_line *line;
    struct world_exchange *exchanges; /* since world_mark */
    uint32_t exchanges_n, exchanges_cap;
    uint32_t end_at; /* exchange that is the process's last; 0: none */
    enum world_end end;
    bool ended;
    uint64_t seen;        /* version up to which the cluster's history was looked at */
    struct kr_map fates;  /* "resource namespace/name" -> struct world_fate */
    struct kr_buf wrongs; /* breaches of the safety rules */
    struct kr_buf trace;
};

/* The cluster has kro's own CRDs, unless the mode is sidecar. opts may be NULL. */
void world_open(struct world *w, const struct world_opts *opts);
void world_close(struct world *w); /* crashes what runs */

/* --- the controller --------------------------------------------------------------------------- */

void world_start(struct world *w);
/* Stops it in order; fails the test unless it ends in the time that a stop has, and some. */
void world_stop(struct world *w);
/* Drops it at once. sent: what it has asked for takes effect all the same. */
void world_crash(struct world *w, bool sent);
/* Its exchange number n, counted from now on, is its last; world_run then crashes it. */
void world_end_at(struct world *w, uint32_t n, enum world_end end);
/* Everything that can happen at this moment happens. */
void world_settle(struct world *w);
/* Runs until nothing is left to do and no timer is due soon. false: never comes to rest. Returns
 * also when the process has ended as world_end_at wished: see w->ended. */
bool world_run(struct world *w);
/* The same, and fails the test where it does not come to rest or a safety rule was broken. */
void world_rest(struct world *w);
void world_advance(struct world *w, uint64_t ms);  /* runs for so long, at rest or not */
uint32_t world_exchanges_n(const struct world *w); /* started since world_mark */
uint64_t world_evaluations(const struct world *w);
const char *world_trace(struct world *w); /* since world_mark; needs opts.traced */

/* --- the cluster ------------------------------------------------------------------------------ */

void world_apply(struct world *w, const char *yaml);      /* as kubectl would */
void world_apply_file(struct world *w, const char *path); /* below the source tree */
/* The text of a YAML file of the source tree; lives in w->a. */
const char *world_file(struct world *w, const char *path);
void world_patch(struct world *w, const char *path, const char *patch);
void world_delete(struct world *w, const char *path);
kr_val world_get(struct world *w, const char *path); /* lives in w->a; KR_NONE: absent */
const char *world_text(struct world *w, const char *path, const char *part); /* "" when absent */
/* How often the object was created, changed, deleted in all. resource and "namespace/name". */
struct world_fate world_fate(struct world *w, const char *resource, const char *name);

/* Counting starts anew: requests, exchanges, trace. */
void world_mark(struct world *w);
/* Writes since the mark: all that are no status and no Event ("PATCH", "POST", ...: only these). */
uint32_t world_writes_n(struct world *w, const char *method);
uint32_t world_statuses_n(struct world *w); /* status writes */
/* The writes as "PATCH deployments/shop manager" lines, statuses as "PUT webapps/shop/status -"; a
 * refused one ends in its code. */
const char *world_writes(struct world *w);

/* Everything in the cluster but Events as text: an object's references and fields a line each, sorted. uids
 * and versions are named by their object, times are left out. Lives in w->a. */
const char *world_dump(struct world *w);
/* The same of the children alone (what has an owner's label), and only their spec and data. */
const char *world_children(struct world *w);

#endif
