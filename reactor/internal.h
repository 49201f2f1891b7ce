/* SPDX-License-Identifier: Apache-2.0 */
/* internal.h - the tables that the files of the reactor share.
 *
 *   reactor_watch   one store and the machine that fills it
 *     reactor_use   what one node of a serving revision reads of that store: leaf numbers
 *     reactor_ext   one external object that somebody wants
 *   reactor_served  a revision that drives the instances of a kind
 *     reactor_inst  one instance: the core's machine, its timer, its place in the queue
 *   reactor_kin     the children of one ApplySet, whether its instance is known yet or not
 *   reactor_def     one definition
 *   reactor_op      an action under way
 */
#ifndef REACTOR_INTERNAL_H
#define REACTOR_INTERNAL_H

#include "kube/discovery.h"
#include "kube/openapi.h"
#include "kube/watch.h"
#include "reactor/reactor.h"
#include "reactor/why.h"

/* --- queue ------------------------------------------------------------------------------------ */

/* What a step costs, in steps of expressions (some 10 ns each). */
enum {
    REACTOR_COST_STEP = 2000,    /* the least: what one turn of a lane pays for */
    REACTOR_COST_REQUEST = 5000, /* each request that it asks for, with its answer */
};
/* Lower is sooner. */
enum reactor_prio { REACTOR_P_USER, REACTOR_P_CHANGE, REACTOR_P_BACKLOG, REACTOR_P_N };

struct reactor_item {
    struct kr_link link;
    struct reactor_lane *lane; /* NULL: not queued */
    uint8_t prio;
    bool is_def;
};
/* The queued items of one owner (an RGD's kind) at each priority; lanes take turns. */
struct reactor_lane {
    struct kr_link active[REACTOR_P_N]; /* in the queue's ring while items wait */
    struct kr_link items[REACTOR_P_N];
    uint64_t owed; /* cost of its last step that its turns have not paid yet */
    uint8_t flow;  /* of its requests */
};
struct reactor_queue {
    struct kr_link ring[REACTOR_P_N];
    uint32_t n;
    uint64_t adds, cost;         /* so far */
    uint64_t spent[REACTOR_P_N]; /* cost that those of lower priority have not had their part of */
    /* Is the lane to be passed over for now? NULL: none is. */
    bool (*full)(const struct reactor_lane *lane, void *arg);
    void *full_arg;
};
void reactor__queue_init(struct reactor_queue *q);
/* Is there an item that pop would give? */
bool reactor__queue_due(const struct reactor_queue *q);
/* Adds, or moves up when it waits at a lower priority. */
void reactor__queue_add(struct reactor_queue *q, struct reactor_lane *lane,
                        struct reactor_item *item, enum reactor_prio prio);
void reactor__queue_remove(struct reactor_queue *q,
                           struct reactor_item *item); /* legal when not queued */
/* The next item, NULL: none that may run. Its lane is charged with REACTOR_COST_STEP. */
struct reactor_item *reactor__queue_pop(struct reactor_queue *q);
/* A step of an item of lane, popped at prio, has cost so much more. */
void reactor__queue_charge(struct reactor_queue *q, struct reactor_lane *lane,
                           enum reactor_prio prio, uint64_t cost);
void reactor__lane_fini(struct reactor_queue *q, struct reactor_lane *lane); /* empty by then */

/* --- watches ---------------------------------------------------------------------------------- */

enum reactor_role {
    REACTOR_W_RGDS,
    REACTOR_W_REVISIONS,
    REACTOR_W_CRDS,     /* all, a few fields */
    REACTOR_W_OWN_CRDS, /* ours, whole */
    REACTOR_W_PARENTS,
    REACTOR_W_CHILDREN, /* with the label part-of */
    REACTOR_W_ONE,      /* one external object */
    REACTOR_W_SHARED,   /* external objects of one type together */
    REACTOR_W_SELECTED, /* external objects that a label selector finds */
};

struct reactor_watch {
    struct reactor *r;
    enum reactor_role role;
    kr_str key; /* in r->watches; lives in arena */
    kr_gvr gvr;
    kr_str namespace, name; /* REACTOR_W_ONE; REACTOR_W_SELECTED: name is the selector */
    kr_str kind;
    struct kr_arena arena;
    struct kube_store *store;
    struct kube_watch *watch;
    uint32_t users_n; /* closes at 0 */
    bool lacking;     /* its CRD was deleted: there are no objects until it is there again */
    bool stale;       /* the projection became wider: not known until the next list */
    bool known;       /* as last told to the users */
    bool synced_once;
    uint64_t opened_ms;
    uint64_t loads_run;  /* buckets wait for the list of this run, or a later one; 0: none does */
    uint64_t told_error; /* hash of the reason last told to the users; 0: none */
    struct kr_link uses; /* struct reactor_use.link */
    struct kr_map exts;  /* "namespace/name" -> struct reactor_ext */
    struct kr_link todo; /* in r->watch_todo: known, error or users changed */
};

struct reactor_use {
    struct kr_link link; /* in watch->uses */
    struct reactor_watch *watch;
    struct reactor_served *served;
    struct graph_rev *rev; /* whose rank node is; counted. NULL: only deletions are served */
    uint32_t node;         /* rank; REACTOR_PARENT: the instances themselves */
    uint32_t subs_n;       /* external roles: subscriptions that share this use */
    uint32_t reads_n;
    uint32_t leaf[];
};
#define REACTOR_PARENT UINT32_MAX

struct reactor_ext {
    kr_str key; /* "namespace/name", owned; REACTOR_W_SELECTED: one entry, "namespace/selector" */
    struct reactor_watch *watch;
    struct kr_link subs; /* struct reactor_sub.link */
};
struct reactor_sub {          /* an instance's node wants an external object, or those selected */
    struct kr_link link;      /* in ext->subs */
    struct kr_link inst_link; /* in inst->subs */
    struct reactor_inst *inst;
    struct reactor_ext *ext;
    struct reactor_use *use; /* NULL: of a former revision, until the core lets go of it */
    uint32_t node;           /* rank in the revision of use */
    uint32_t was;            /* its rank before revisions moved it, under which the core lets go of
                                it and asks for it anew; UINT32_MAX: it was not moved */
};

struct reactor_watch *reactor__watch(struct reactor *r, enum reactor_role role, kr_gvr gvr,
                                     kr_str namespace, kr_str name); /* finds or opens; +1 user */
void reactor__watch_release(struct reactor_watch *w);                /* -1 user */
/* w's list (NULL: an answer) shows that the server went back to a former state (an etcd was restored): what
 * the others have seen may never have been. Nothing of it is known until they were listed too. */
void reactor__watches_back(struct reactor *r, struct reactor_watch *w);
/* This process leads now. Another one wrote until now, and where a stream is broken its last deeds are not
 * known: an instance may be gone for good whose child's deletion is heard first. Such are listed before. */
void reactor__watches_behind(struct reactor *r);
/* A CRD of this name ("plural.group") has changed: whoever follows its objects lists them once the server goes by it. */
void reactor__watches_schema(struct reactor *r, kr_str crd);
/* A CRD is served, or has gone: whoever waits for objects of its type hears of it, and nothing asks
 * for them meanwhile. */
void reactor__watches_type(struct reactor *r, kr_str crd, bool there);
struct reactor_use *reactor__use_new(struct reactor_watch *w, struct reactor_served *served,
                                     uint32_t node, const struct graph_read *reads, uint32_t n);
void reactor__use_free(struct reactor_use *u);  /* accepts NULL */
void reactor__use_leave(struct reactor_use *u); /* one subscription less; accepts NULL */
/* Bits of a change in the numbering of a use; lives in a. */
void reactor__use_bits(const struct reactor_use *u, const struct kr_bits *store_bits,
                       struct kr_arena *a, struct kr_bits *out);
bool reactor__watch_known(const struct reactor_watch *w);
/* Why w is not known; lives in a; empty when it is just not listed yet. */
kr_str reactor__watch_why(const struct reactor_watch *w, struct kr_arena *a);
void reactor__watch_touch(struct reactor_watch *w); /* looks at it again in phase 4 */
void reactor__watches_turn(struct reactor *r);      /* phase 4 */
void reactor__ext_subscribe(struct reactor *r, struct reactor_inst *inst,
                            const struct graph_action *act);
void reactor__ext_unsubscribe(struct reactor *r, struct reactor_inst *inst,
                              const struct graph_action *act);
void reactor__sub_free(struct reactor_sub *sub);
/* The subscriptions of inst pass from revision old to its kind's present one: by node id. */
void reactor__subs_carry(struct reactor_inst *inst, const struct graph_rev *old);

/* --- instances -------------------------------------------------------------------------------- */

struct reactor_series;
enum { REACTOR_SERVED_COUNTS = 12 };

struct reactor_served {
    struct reactor *r;
    kr_str key;            /* of instance_gvr, owned by the map entry of r->served */
    struct graph_rev *rev; /* counted; NULL: only deletions are served */
    kr_gvr gvr;
    kr_gvk gvk;
    struct kr_arena arena; /* of gvr, gvk */
    struct reactor_watch *parents;
    struct reactor_use *parent_use;
    struct reactor_use **node_uses; /* by rank; NULL for external nodes */
    struct kr_link insts;           /* struct reactor_inst.link */
    uint32_t insts_n, rolling_n;
    uint32_t unknown_n;       /* insts of which it is not known yet whether they roll */
    struct kr_link roll_line; /* struct reactor_inst.roll_link: wait for a roll to end */
    struct reactor_lane lane;
    kr_str problem;                                       /* owned text: why rev is NULL */
    struct reactor_series *counts[REACTOR_SERVED_COUNTS]; /* count.c's; borrowed */
    bool ready; /* parents and all children types are listed, or known to be in trouble */
};

/* What an instance's inventory names that its revision does not. */
struct reactor_types {
    struct reactor_inst *inst;
    struct reactor_watch **watches; /* NULL: not resolved yet */
    uint32_t n;
    kr_val wanted; /* list of "Kind.group"; lives in arena */
    uint64_t seq;  /* discovery_seq when they were asked for */
    struct kr_arena arena;
    struct kr_link link; /* in r->types_waiting */
};

struct reactor_inst {
    struct kr_link link; /* in served->insts */
    struct reactor_served *served;
    struct graph_inst *core;
    uint64_t id;
    struct reactor_item item;
    struct kube_timer timer;
    struct kr_link subs;         /* struct reactor_sub.inst_link */
    struct kr_link ops;          /* struct reactor_op.owner_link */
    struct reactor_types *types; /* asked for by TYPES; NULL: none, as with most */
    struct reactor_why *why;     /* NULL: nothing happened yet */
    struct kr_link roll_link;    /* in served->roll_line */
    bool rolls;                  /* counted in served->rolling_n */
    bool known;                  /* no longer counted in served->unknown_n */
    bool due;                    /* its time came while nothing could be stepped */
    struct kr_link held;         /* lead.c's */
    uint8_t bucket;              /* with --shards */
    uint64_t there_ms; /* r->unheard_until_ms of the take-over since which a GET has shown it */
};

/* Children by ApplySet id. */
struct reactor_kin {
    struct reactor_inst *inst; /* NULL: not known */
    struct kr_rec **recs;      /* counted */
    uint32_t n, cap;
};

/* roll.c: the places of a definition's rolls. Before and after each step of an instance. */
void reactor__roll_new(struct reactor_inst *inst);
void reactor__roll_before(struct reactor_inst *inst, struct graph_env *env);
void reactor__roll_after(struct reactor_inst *inst);
void reactor__roll_forget(struct reactor_inst *inst);
struct reactor_def;
void reactor__roll_policy(struct reactor *r, struct reactor_def *def, kr_val rgd);
/* The object of an instance has changed: what its roll annotations say that cannot be read is told
 * once. */
void reactor__roll_parent(struct reactor_inst *inst, const struct kr_rec *old,
                          const struct kr_rec *now);

void reactor__serve(struct reactor *r, struct graph_rev *rev);
void reactor__unserve(struct reactor *r, kr_gvr gvr, kr_str problem);
void reactor__served_known(struct reactor_served *s); /* some watch of it became known or broke */
/* A kind of ours that no definition serves: its instances are followed, so that their deletion ends. */
void reactor__serve_deletions(struct reactor *r, const struct kr_rec *crd);
/* A CRD is gone, and with it all its objects: nothing is left to follow, unless a revision serves. */
void reactor__served_crd_gone(struct reactor *r, kr_str crd_name);
struct reactor_inst *reactor__inst_of(struct reactor *r, struct reactor_served *s,
                                      const struct kr_rec *rec, bool create);
void reactor__inst_queue(struct reactor_inst *inst, enum reactor_prio prio);
void reactor__inst_step(struct reactor_inst *inst);
void reactor__inst_free(struct reactor_inst *inst);
void reactor__inst_types(struct reactor_inst *inst, kr_val wanted); /* a TYPES action */
void reactor__types_check(struct reactor *r);                       /* those that wait */
void reactor__kin_change(struct reactor *r, const struct kube_change *c);
void reactor__kin_forget(struct reactor *r, struct kube_store *store); /* the store goes away */
void reactor__kin_drop(struct reactor *r, struct kr_rec *rec); /* its store has dropped it */
void reactor__insts_fini(struct reactor *r);

/* --- definitions ------------------------------------------------------------------------------ */

struct reactor_def {
    struct reactor *r;
    struct graph_def *core;
    struct graph_roll roll; /* what the object's annotations say */
    uint64_t roll_ignored;  /* digest of what was told of those that cannot be read; 0: nothing */
    kr_str key;
    struct reactor_item item;
    struct kube_timer timer;
    struct kube_schemas_req schemas;
    bool fetching;
    uint64_t fetch_ms;           /* when that was begun */
    uint64_t deleting_ms;        /* since when its object is being deleted; 0: it is not */
    bool doomed;                 /* forgotten; freed once the load under way has ended */
    struct kr_arena fetch_arena; /* of the kinds being loaded */
    struct kr_arena next_arena;  /* of the kinds wanted next */
    kr_gvk *next_gvks;           /* NULL: nothing more is wanted */
    uint32_t next_n;
    char *problem;  /* owned: as last logged */
    kr_gvr serving; /* strings live in serving_arena; resource empty: nothing is served */
    struct kr_arena serving_arena;
    struct kr_link ops;
    struct kr_link held; /* lead.c's */
};

struct reactor_def *reactor__def(struct reactor *r, kr_str name); /* finds or creates */
void reactor__def_queue(struct reactor_def *def, enum reactor_prio prio);
void reactor__def_step(struct reactor_def *def);
void reactor__def_free(struct reactor_def *def);
void reactor__def_object(struct reactor *r, kr_str name, kr_val rgd); /* KR_NONE: gone */
void reactor__defs_revision(struct reactor *r, const struct kube_change *c);
void reactor__defs_crd(struct reactor *r, const struct kube_change *c);
void reactor__defs_known(struct reactor *r); /* definition lists became complete */
void reactor__defs_fini(struct reactor *r);

/* --- actions under way ------------------------------------------------------------------------ */

struct reactor_op {
    struct kube_req req;
    struct kr_link link;       /* in r->ops, then r->ops_done */
    struct kr_link owner_link; /* in inst->ops or def->ops */
    struct reactor *r;
    struct reactor_inst *inst; /* or */
    struct reactor_def *def;   /* NULL both: the owner is gone */
    enum graph_action_kind kind;
    uint64_t token;
    struct kr_arena arena; /* of ref, query and messages */
    kr_str key;            /* of ref, in r->flying for applies */
    kr_str part_of;
    kr_gvk gvk;               /* of an apply; lives in arena */
    kr_str uid;               /* of what a delete is for; may be empty; lives in arena */
    struct kube_store *store; /* where the answer goes; NULL: nowhere; looked up again by key */
    kr_str watch_key;
    uint64_t run;
    uint64_t known; /* version of the object that the store had when it was sent; 0: none */
    uint64_t heard; /* version up to which the store had heard of everything then; 0: unknown */
    enum graph_outcome outcome; /* of an op that was not sent */
    kr_str message;
    uint32_t why_seq; /* its entry in inst->why */
    bool sent;
    bool
        probe; /* only asks whose the object is: an object that the store has dropped has the name */
    bool confirm; /* asks first for the instance; then .target is sent .body */
    kr_ref target;
    const char *manager; /* a constant of names.h */
    kr_val body;
    bool of_inst; /* and bucket is that instance's, with --shards; stays when inst is gone */
    uint8_t bucket;
};

void reactor__exec(struct reactor *r, struct reactor_inst *inst, struct reactor_def *def,
                   const struct graph_plan *plan);
void reactor__exec_turn(struct reactor *r);    /* phase 1: hands out what has ended */
void reactor__ops_orphan(struct kr_link *ops); /* the owner goes away */

bool reactor__route_turn(struct reactor *r); /* phase 2; whether there was anything */

/* --- leading ---------------------------------------------------------------------------------- */

/* A standby does not send this write. */
void reactor__hold(struct reactor *r, struct reactor_inst *inst, struct reactor_def *def,
                   uint64_t token);
void reactor__held_drop(struct kr_link *held); /* the owner goes away */
void reactor__held_look_again(struct reactor_def *def);
void reactor__kept_release(struct reactor *r);

/* --- buckets: with --shards alone; without, every object is ours and no label is written ------ */

struct reactor_buckets {
    bool on;
    uint64_t served;  /* that this process may serve: their objects are kept */
    uint64_t loaded;  /* of these: all their objects are listed, instances are stepped */
    uint32_t liars_n; /* corrections of labels under way */
};
/* A watch is about to be opened: its selector, its filter. */
void reactor__buckets_watch(struct reactor_watch *w, struct kube_watch_opts *o);
void reactor__buckets_synced(struct reactor_watch *w, uint64_t run); /* a list is complete */
void reactor__buckets_look(
    struct reactor *r); /* a watch has trouble, or is gone: who waits for it? */
bool reactor__bucket_served(const struct reactor *r, kr_str uid);
void reactor__bucket_set(struct reactor_inst *inst, kr_str uid);
bool reactor__bucket_loaded(const struct reactor_inst *inst);
/* The value of the label; lives in a; empty: none is written. */
kr_str reactor__bucket_label(const struct reactor_inst *inst, struct kr_arena *a);

/* --- trace ------------------------------------------------------------------------------------ */

void reactor__trace(struct reactor *r, const char *fmt, ...) KR_PRINTF(2, 3);

/* --- why -------------------------------------------------------------------------------------- */

void reactor__why_init(struct reactor *r);
/* A change of what u stands for reached inst; bits in the numbering of u, NULL: all. */
void reactor__why_change(struct reactor_inst *inst, const struct reactor_use *u,
                         const struct kube_change *c, const struct kr_bits *bits);
/* A request is about to be sent; rec: the object as it is known, or NULL. Returns its number. */
uint32_t reactor__why_request(struct reactor_inst *inst, const struct graph_action *act,
                              const struct kr_rec *rec);
void reactor__why_answer(const struct reactor_op *op, const struct graph_result *res);

/* --- events ----------------------------------------------------------------------------------- */

/* A status is about to be written. */
void reactor__events_status(struct reactor_inst *inst, kr_val old, kr_val now);
/* An external object that inst reads by u has changed. */
void reactor__events_source(struct reactor_inst *inst, const struct reactor_use *u,
                            const struct kr_rec *rec);
/* Roll annotations of an object cannot be read: text says which. */
void reactor__events_ignored(struct reactor *r, kr_ref ref, kr_gvk gvk, kr_str uid, kr_str text);
void reactor__events_turn(struct reactor *r);
void reactor__events_fini(struct reactor *r);

/* --- metrics ---------------------------------------------------------------------------------- */

void reactor__count_init(struct reactor *r);
void reactor__count_fini(struct reactor *r);
/* Times what follows; 0 without metrics. For metrics only: nothing depends on it. */
uint64_t reactor__count_clock_ns(const struct reactor *r);
/* What was before a step, and how it was after it. */
struct reactor_count_step {
    uint64_t began_ns;
    struct graph_counts was;
    const char *state_was;
    bool timer; /* the plan has one */
};
void reactor__count_step(struct reactor_inst *inst, const struct reactor_count_step *c);
struct reactor_count_def {
    uint64_t began_ns, builds, build_errors;
    const char *state_was;
};
void reactor__count_def_begin(struct reactor_def *def, struct reactor_count_def *c);
void reactor__count_def(struct reactor_def *def, const struct reactor_count_def *c);
void reactor__count_def_gone(struct reactor_def *def); /* its object is */
void reactor__count_fetch(struct reactor_def *def, bool failed);
void reactor__count_created(struct reactor *r, uint64_t began_ns);
void reactor__count_served(struct reactor *r, bool attached);
void reactor__count_synced(struct reactor_watch *w);
enum reactor_count_event { REACTOR_C_ADD, REACTOR_C_UPDATE, REACTOR_C_DELETE };
void reactor__count_parent(struct reactor_served *s, enum reactor_count_event event);
/* A change of w's was looked up and concerned so many instances. */
void reactor__count_route(struct reactor_watch *w, uint64_t matches);
/* unchanged: the object has the version that it had before. */
void reactor__count_answer(struct reactor_op *op, bool unchanged);
void reactor__count_change(struct reactor *r, const struct reactor_watch *w);

/* --- the whole -------------------------------------------------------------------------------- */

struct reactor {
    struct reactor_opts opts;
    struct kube_client *client;
    struct kube_clock *clock;
    struct kube_discovery *discovery;
    struct kube_openapi *openapi;
    struct kr_fieldset_pool *pool;
    struct kube_changes changes;
    struct reactor_queue queue;
    struct reactor_lane def_lane;

    struct kr_map watches; /* key -> reactor_watch */
    struct kr_link watch_todo;
    struct kr_map served;    /* gvr key -> reactor_served */
    struct kr_map insts;     /* ref key -> reactor_inst */
    struct kr_map kins;      /* part-of -> reactor_kin */
    struct kr_map defs;      /* name -> reactor_def */
    struct kr_map flying;    /* ref key -> reactor_op of an apply under way */
    struct kr_map ext_modes; /* type key -> wanted objects (uintptr), to choose ONE or SHARED */
    struct kr_link ops, ops_done;
    struct kr_link types_waiting;
    struct reactor_watch *rgds, *revisions, *crds, *own_crds;
    struct kr_arena step_arena; /* of one step */
    struct kr_arena rgd_arena;  /* sidecar definitions */
    kr_val *rgd_vals;
    uint32_t rgd_vals_n;
    uint64_t inst_ids, lane_ids;
    uint32_t closing_n;  /* watches that are closing */
    uint32_t fetching_n; /* loads of kinds under way */
    bool started, stopping, watches_stopped, cancelled, discovering, types_dirty;
    uint64_t discovery_seq; /* refreshes of discovery that succeeded */
    struct kube_timer discovery_timer;
    struct kube_timer stop_timer;
    uint64_t stop_by_ms;
    char *trouble; /* owned: the last reason logged for a watch */
    struct reactor_whys whys;
    bool leading;              /* may write; with --shards: definitions */
    uint64_t unheard_until_ms; /* what the former leader made may not be heard of before then */
    struct reactor_buckets buckets;
    struct kr_link held;       /* writes that a standby does not send: lead.c */
    struct reactor_use **kept; /* in use until those who took over have asked again */
    uint32_t kept_n;

    struct kr_map events; /* events.c's: what an Event is about -> struct event */
    struct kube_timer events_timer;
    uint32_t events_busy_n, events_seq;
    bool events_due, events_refused;
    struct reactor_stats stats;
};

/* May this process write for the instances that it steps? */
static inline bool reactor__acts(const struct reactor *r)
{
    return r->leading || r->buckets.on;
}

/* The identity and time that a step gets. */
void reactor__env(struct reactor *r, struct graph_env *env);

#endif
