/* SPDX-License-Identifier: Apache-2.0 */
/* model.h - one instance machine against a tiny model of a cluster, without kube/ and reactor/.
 *
 * The model keeps objects and who owns their fields as an API server does for server-side apply
 * (maps merge, lists are atomic), answers the actions of plans, and delivers answers and watch
 * events as records made of what the revision reads, with the changed bits that a store would give.
 * Time is virtual.
 *
 *   plan --execute--> objects --queue--> deliver --> events of graph_inst --> step --> plan
 *
 * With a seed the queue is delivered in random order (events of one object stay in order), as
 * responses and watches race in a real cluster.
 */
#ifndef TESTS_MODEL_H
#define TESTS_MODEL_H

#include "graph/graph.h"
#include "tests/lib/test.h"

struct model_object {
    kr_ref ref;
    kr_gvk gvk;
    kr_val live;            /* KR_NONE: absent */
    kr_val owned[3];        /* fields of the three managers, in the form of fieldsV1 */
    uint64_t version;       /* of live, or of the deletion */
    uint64_t store_version; /* the newest the store has seen */
    struct kr_rec *seen;    /* the store's record */
    kr_val seen_labels;     /* of that */
    uint32_t applies;       /* APPLYs of it since model_count */
};

struct model_answer { /* how the next writes of a kind end */
    enum graph_action_kind kind;
    enum graph_outcome outcome;
    const char *message;
    bool effect; /* for RETRY: it took effect all the same */
    uint32_t times;
};

struct model_delivery;

struct model {
    struct kr_arena a;             /* all values of the model */
    struct kr_buf trace;           /* printed plans and statuses */
    const struct cel_kinds *kinds; /* borrowed */
    struct graph_rev *rev;         /* held */
    struct graph_inst *inst;       /* owned */
    struct graph_env env;
    kr_ref parent;
    uint64_t wake_ms;
    uint64_t *seed;                   /* NULL: in order */
    uint32_t writes[GRAPH_ACTIONS_N]; /* actions executed, by kind */
    struct model_answer answers[8];
    uint32_t answers_n;
    bool webhook;    /* data.norm of every object becomes "n-" + what was written */
    bool why;        /* the trace says what caused an apply */
    bool blind;      /* answers come without records */
    bool unowned;    /* the server tells no managedFields */
    bool types_hang; /* TYPES is not answered */

    struct kr_fieldset_pool *pool;
    struct model_object *objects;
    uint32_t objects_n, objects_cap;
    uint64_t version;
    uint32_t uids;
    struct model_delivery *queue;
    uint32_t queue_n, queue_cap;
    struct model_watch {
        uint32_t rank;
        kr_ref ref;      /* without a name: what selector finds */
        kr_str selector; /* as in a query */
    } watches[64];
    uint32_t watches_n;
};

/* A cluster with the instance in it (apiVersion, kind, metadata, spec) and nothing else. rev may be
 * NULL. Nothing has been delivered or stepped yet. */
struct model *model_new(const struct cel_kinds *kinds, struct graph_rev *rev, kr_val instance);
void model_free(struct model *m);

/* As somebody else: creates the object or merges patch into it (null removes). */
void model_write(struct model *m, const char *api_version, const char *kind, const char *namespace,
                 const char *name, kr_val patch);
void model_edit(struct model *m, kr_val patch); /* the instance */
void model_delete(struct model *m, const char *api_version, const char *kind, const char *namespace,
                  const char *name);
void model_delete_instance(struct model *m);
/* The live object, or KR_NONE. */
kr_val model_get(const struct model *m, const char *kind, const char *name);
kr_val model_instance(const struct model *m);
/* The next `times` actions of a kind end so. */
void model_answer(struct model *m, enum graph_action_kind kind, enum graph_outcome outcome,
                  const char *message, bool effect, uint32_t times);

/* Delivers one turn (all that is queued; with a seed: one), steps if due, executes the plan.
 * Returns whether anything is left to deliver. */
bool model_turn(struct model *m);
/* Turns until nothing is queued and nothing due now. Fails the test when it does not come to rest.
 */
void model_run(struct model *m);
/* Lets time pass, stepping when timers are due. */
void model_wait(struct model *m, uint64_t ms);
/* Runs and waits until no timer is left, an hour at most. */
void model_rest(struct model *m);
/* The process dies and starts again: what was in flight has happened, its answers are lost. */
void model_restart(struct model *m);
void model_set_revision(struct model *m, struct graph_rev *rev, const char *problem);
/* All objects but the instance, then the instance's status, without versions and times: what must
 * be equal after different histories. Lives in a. */
kr_str model_state(const struct model *m, struct kr_arena *a);
uint32_t model_writes_n(const struct model *m);    /* all requests so far */
void model_count(struct model *m);                 /* begins to count anew */
uint32_t model_applies_max(const struct model *m); /* of one object */
/* The kinds of a file like tests/scenario/kinds.yaml. Returns owned. */
struct cel_kinds *model_kinds(const char *path);

#endif
