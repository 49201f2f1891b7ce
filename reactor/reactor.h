/* SPDX-License-Identifier: Apache-2.0 */
/* reactor.h - when does it happen: carries changes to the core and the core's plans to the cluster.
 *
 * libuv callbacks only append to lists. The turn takes each list as a whole, always in this order:
 *
 *   1 completions     answers to our requests          -> graph_*_result, store
 *   2 changes         what the stores saw              -> route -> graph_*_event, dirty, queue
 *   3 steps           due queue entries, in a budget   -> graph_*_step -> plan -> exec
 *   4 watches         opened and closed as 1-3 asked
 *
 * No step runs inside another, no completion inside the call that started it; with equal input in
 * equal order the trace is equal. Time and randomness come from the clock door only, the network
 * from the transport door only: the whole reactor also runs in one process with virtual time.
 *
 *   turn.c      the phases, the budget
 *   watches.c   which types and objects are followed for whom
 *   route.c     a change -> instances and definitions
 *   insts.c     table of live instances; revisions that serve them
 *   defs.c      table of definitions
 *   roll.c      how many instances of a definition roll at once
 *   queue.c     who is stepped next
 *   exec.c      plan -> requests -> results
 *   pages.c     what is held: instances, queue, watches, as tables
 *   why.c causes.c   what happened to each instance and why, for `kroc why`
 *   events.c    Events about conditions and about objects that instances follow
 *   lead.c      a standby, and how it takes over
 *   shards.c buckets.c   which instances are this process's, where several share them
 *   trace.c     the trace's line format
 *   run.c       the real loop: curl, clock, signals, health and metrics
 *   tidy.c      memory given back when a burst of work is over
 *   flags.def flags.c main.c http.c metrics.c doctor.c   the program's edges
 */
#ifndef REACTOR_H
#define REACTOR_H

#include "graph/graph.h"
#include "kube/client.h"

enum {
    REACTOR_TURN_STEPS = 256, /* steps in one turn, then back to the sockets */
    REACTOR_TURN_MS = 5,
    REACTOR_TURN_COST = 500 * 1000, /* the same as the queue counts it: see reactor__queue_charge */
    REACTOR_WAITING_MAX = 16,       /* requests that wait to be sent: above, nothing is stepped */
    REACTOR_EXTERNAL_SINGLES =
        16, /* external objects of one type followed one by one; more share a watch */
    REACTOR_STOP_MS = 60 * 1000,    /* how long a stop waits for requests under way, if not told */
    REACTOR_UNHEARD_MS = 15 * 1000, /* so long after a take-over no finalizer goes: see lead.c */
    REACTOR_DISCOVERY_RETRY_MS = 5 * 1000,   /* after a refresh of discovery that failed */
    REACTOR_RGD_FILE_MAX = 16 * 1024 * 1024, /* bytes of a definition file */
    REACTOR_PAGE_ROWS_MAX = 10 * 1000,       /* of one page below /debug/ */
};

struct reactor;
struct reactor_flags;
struct reactor_metrics;

/* Sees each line of the trace, without newline. */
typedef void reactor_trace_fn(void *arg, kr_str line);

struct reactor_opts {
    struct kube_client *client; /* borrowed */
    struct kube_clock *clock;   /* borrowed */
    kr_str version;             /* borrowed: written into labels */
    kr_str namespace;           /* borrowed: only this one; empty: all */
    bool standby;               /* begins without the right to write: see reactor_lead */
    bool sharded;               /* serves no instance before reactor_buckets */
    bool sidecar;               /* definitions come by reactor_add_rgd, RGD objects are not read */
    bool crd_deletion;
    uint32_t revisions_max;
    uint32_t dimensions_max; /* 0: GRAPH_DIMENSIONS_MAX */
    uint32_t collection_max; /* 0: GRAPH_COLLECTION_MAX */
    bool omit;               /* gate CELOmitFunction */
    bool events;             /* gate InstanceConditionEvents */
    bool condition_metrics;  /* gate InstanceConditionMetrics */
    uint64_t stop_ms;        /* how long a stop waits for requests under way; 0: REACTOR_STOP_MS */
    struct reactor_metrics *metrics; /* borrowed; NULL: nothing is counted */
    const uint8_t *why_key;  /* borrowed by reactor_new: REACTOR_WHY_KEY_BYTES random bytes, which
                               nobody else knows; NULL: from the clock door (tests) */
    reactor_trace_fn *trace; /* NULL: no trace */
    void *trace_arg;
};

struct reactor *reactor_new(const struct reactor_opts *opts); /* returns owned */
/* Adds a definition from a file (sidecar); copies. KR_E_INPUT: not an RGD. Before reactor_start. */
KR_MUST int reactor_add_rgd(struct reactor *r, kr_val rgd, struct kr_err *err);
void reactor_start(struct reactor *r);
/* Runs one turn. true: work is left; call again before waiting for input. */
bool reactor_turn(struct reactor *r);
/* A standby follows and evaluates everything and writes nothing. lead: it may write from now on, and
 * goes on without a list; not: it may no longer, writes under way are cancelled. */
void reactor_lead(struct reactor *r, bool lead);
/* With opts.sharded: these buckets are served from now on, and no others (a bit each, see shards.h);
 * reactor_lead then says who looks after the definitions. A lost bucket's instances are forgotten;
 * their writes under way go on until at_once, which cancels all that are not for a bucket served.
 * Between turns. */
void reactor_buckets(struct reactor *r, uint64_t serving, bool at_once);
/* The buckets, lost ones too, whose instances have writes under way. */
uint64_t reactor_buckets_busy(const struct reactor *r);
/* Nothing new is started; requests under way are awaited (REACTOR_STOP_MS at most), watches close. */
void reactor_stop(struct reactor *r);
bool reactor_stopped(const struct reactor *r);
void reactor_free(struct reactor *r); /* only when stopped */
/* Definitions, revisions and CRDs have been listed once. why (may be NULL) gets a line a part. */
bool reactor_ready(const struct reactor *r, struct kr_buf *why);

/* What happened to an instance and why, for people or as JSON. Appends. Returns an HTTP status: 200;
 * 404 no such instance or node, 409 several instances (out says which there are). */
struct reactor_why_query {
    kr_str kind;      /* kind, resource or definition; empty: any */
    kr_str namespace; /* empty: any */
    kr_str name, node;
    bool json;
};
unsigned reactor_why(const struct reactor *r, const struct reactor_why_query *q,
                     struct kr_buf *out);

/* What the process holds, as a table for people or as JSON: {"items": [...], "more": N}. Appends. At most
 * REACTOR_PAGE_ROWS_MAX rows; the others are counted. */
enum reactor_page_kind {
    REACTOR_PAGE_INSTANCES, /* state, revision, what each waits for */
    REACTOR_PAGE_QUEUE,     /* a lane each definition: what is due, what it owes, its requests */
    REACTOR_PAGE_WATCHES,   /* each type that is followed: whether it works, what is kept of it */
};
struct reactor_page_query {
    enum reactor_page_kind page;
    kr_str kind, namespace, state; /* of instances: these only (kind or resource); empty: any */
    bool json;
};
void reactor_page(const struct reactor *r, const struct reactor_page_query *q, struct kr_buf *out);

/* Totals for metrics and tests. */
struct reactor_stats {
    uint64_t turns, steps, changes, changes_routed;
    uint64_t requests[16]; /* by enum kube_verb, sent by plans */
    uint64_t evaluations;  /* tasks evaluated in all instances */
    uint32_t instances, definitions, watches, queue;
    uint64_t record_bytes;
};
void reactor_stats(const struct reactor *r, struct reactor_stats *out);

/* The program: builds everything from flags, runs until SIGTERM or SIGINT. Returns the exit code. */
int reactor_run(const struct reactor_flags *flags);

#endif
