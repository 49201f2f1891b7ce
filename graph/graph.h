/* SPDX-License-Identifier: Apache-2.0 */
/* graph.h - what should happen: definition to revision, events to plan. Pure: no socket, clock, log
 * or random source; time arrives as an argument, effects leave as a plan.
 *
 *   RGD --graph_build--> revision (immutable, counted)
 *                            |
 *   events ----------> graph_inst (one instance) --graph_inst_step--> plan
 *   events ----------> graph_def  (one RGD)      --graph_def_step---> plan
 *
 * An event only records and marks dirty; the step evaluates what is dirty, in topological order, and
 * says what to do. At rest the result equals a computation from scratch.
 *
 *   names.h               every label, annotation, manager, condition type
 *   rgd.c simpleschema.c markers.c template.c fieldpath.c validate.c dag.c  what an RGD says
 *   build.c build_refs.c build_types.c build_status.c build_conditions.c build_rev.c    to revision
 *   diag.h diag.c build_diag.c                          what is wrong with it: all, with places
 *   crd.c plural.c revision.c                           the generated CRD; hash, name, numbering
 *   inst.c inst_events.c inst_items.c inst_results.c    the instance machine: what comes to it
 *   step.c sweep.c eval.c applyset.c status.c author.c step_delete.c             and what follows
 *   collection.c selector.c                             its forEach and its label selectors
 *   def.c def_events.c def_revisions.c def_crd.c def_status.c                    the definition machine
 *   conditions.c plan.c                                 condition engine; actions and their print
 *   readers.c                                           which expression reads a path, for people
 */
#ifndef GRAPH_H
#define GRAPH_H

#include "cel/base/bits.h"
#include "cel/base/rec.h"
#include "cel/cel.h"
#include "graph/names.h"

enum {
    GRAPH_NODES_MAX = 1000,            /* resources of one RGD */
    GRAPH_DEPTH_MAX = 100,             /* nesting of a template */
    GRAPH_EXPRESSIONS_MAX = 20 * 1000, /* of one RGD */
    GRAPH_COLLECTION_MAX = 1000, /* items of one collection; kro's --rgd-max-collection-size */
    GRAPH_DIMENSIONS_MAX = 10,   /* of one forEach; kro's default */
    /* What expressions may take, so that one instance cannot hold up the others: steps as
     * cel_run.cost counts them (some 10 ns each) and bytes made. */
    GRAPH_EXPR_STEPS_MAX = 10 * 1000 * 1000, /* of one expression */
    GRAPH_STEP_STEPS_MAX = 20 * 1000 * 1000, /* of all that one step of an instance evaluates */
    GRAPH_EXPR_BYTES_MAX = 64 * 1024 * 1024, /* of one expression */
    GRAPH_AUTHOR_CONDS_MAX = 256,            /* author conditions of one instance */
    GRAPH_STATUS_MIN_MS = 1000, /* between two status writes of an instance that only tell a wait */
    GRAPH_STATUS_LONG_MS = 10 * 1000,   /* a wait for answers to our own writes is told then */
    GRAPH_WAVE_STATUS_MS = 5000,        /* a deletion wave that lasts longer gets a status write */
    GRAPH_ROLL_MAX_MS = 10 * 60 * 1000, /* then a roll counts as done */
    GRAPH_DEBOUNCE_MAX_MS = 24 * 60 * 60 * 1000,
    GRAPH_FIGHTS_MAX = 10, /* writes of one object that come back to us, a minute; then one */
    GRAPH_FIGHT_MS = 60 * 1000,
    GRAPH_TRY_MS = 1000,      /* first hold of a write that may be an answer to our last; doubles */
    GRAPH_MOVES_MAX = 10,     /* moves of an input while its reader is held: not our doing */
    GRAPH_RETRY_MIN_MS = 200, /* back-off after a failed write, doubling */
    GRAPH_RETRY_MAX_MS = 60 * 1000,
    GRAPH_LAG_TRIES = 8, /* how often a kind is asked for that a CRD says is there: 50 s in all */
    GRAPH_POLL_MIN_MS = 1000, /* sidecar: between two looks for a kind that is missing, doubling */
    GRAPH_POLL_MAX_MS = 30 * 1000,
};

/* --- rolls ------------------------------------------------------------------------------------ */

/* How changes of what instances read reach them: docs/roll.md. Zero: at once. */
struct graph_roll {
    uint64_t debounce_ms;
    uint32_t max_concurrent; /* instances of the definition that roll at once; 0: all */
    bool pause;
    bool asked; /* some annotation is there, readable or not: Events are wanted */
};
/* Reads the annotations kroc.run/roll-*: what is not there, or not readable, stays as it is. */
void graph_roll_read(kr_val annotations, struct graph_roll *roll);
/* Those of them that cannot be read and count as absent, or are cut, and why; lives in a; empty: none. */
kr_str graph_roll_ignored(kr_val annotations, struct kr_arena *a);
bool graph_roll_eq(const struct graph_roll *x, const struct graph_roll *y);

/* --- time and identity given to every step ---------------------------------------------------- */

struct graph_env {
    uint64_t now_ms; /* monotonic */
    int64_t wall_s;  /* for lastTransitionTime */
    kr_str
        version;  /* git version of the program, "v0.9.3": label kro-version, tooling annotation */
    bool sidecar; /* definitions come from files: RGD and GraphRevision objects are not written */
    bool crd_deletion;         /* --allow-crd-deletion */
    kr_str only_namespace;     /* --namespace; empty: all */
    uint32_t revisions_max;    /* --rgd-max-graph-revisions; 0: keep all */
    uint32_t dimensions_max;   /* --rgd-max-collection-dimension-size; 0: GRAPH_DIMENSIONS_MAX */
    uint32_t collection_max;   /* --rgd-max-collection-size; 0: GRAPH_COLLECTION_MAX */
    bool omit;                 /* feature gate CELOmitFunction */
    kr_str bucket;             /* --shards: the instance's, for its label; empty: it gets none */
    struct graph_roll roll;    /* of the instance's definition */
    uint32_t rolling;          /* other instances of it that roll now, or GRAPH_ROLLING_UNKNOWN */
    uint64_t unheard_until_ms; /* until then, what another process has made may not be heard of */
};
/* Not all of them have made their first step yet: no place is given. */
#define GRAPH_ROLLING_UNKNOWN UINT32_MAX

/* --- revision --------------------------------------------------------------------------------- */

enum graph_node_kind {
    GRAPH_RESOURCE,
    GRAPH_COLLECTION,
    GRAPH_EXTERNAL,
    GRAPH_EXTERNAL_COLLECTION
};

/* A path of an object that some expression reads. */
struct graph_read {
    uint32_t n;
    const kr_str *names;
};

/* A node as others may see it. Nodes stand in topological order: the index is the rank. */
struct graph_node {
    kr_str id;
    kr_str label; /* its value of kro.run/node-id: the id, if that is not too long */
    enum graph_node_kind kind;
    kr_gvk gvk;
    kr_gvr gvr;
    bool namespaced;
    uint32_t order;   /* apply order: 1 is applied first, the highest is deleted first */
    uint32_t index;   /* position in spec.resources */
    uint32_t reads_n; /* what the whole graph reads of this node's object, no path twice */
    const struct graph_read *reads;
    const struct graph_node_spec *spec; /* internal.h */
};

struct graph_rev {
    uint32_t refs;
    kr_str rgd_name, rgd_uid;
    int64_t number; /* spec.revision; 0: not issued yet */
    kr_str hash;    /* 16 hex digits of the definition's spec */
    kr_gvk instance_gvk;
    kr_gvr instance_gvr;
    bool namespaced; /* the instances' scope */
    uint32_t nodes_n;
    const struct graph_node *nodes; /* by rank */
    uint32_t parent_reads_n;        /* what is read of the instance (`schema`), then what the */
    const struct graph_read
        *parent_reads;       /* machine itself needs (finalizers, labels, status, ...) */
    kr_val crd;              /* the CustomResourceDefinition without kro's four labels */
    kr_val order_status;     /* status.topologicalOrder: list of ids */
    kr_val resources_status; /* status.resources */
    bool author_conditions;
    struct graph_rev_impl *impl; /* internal.h */
};

struct graph_rev *graph_rev_hold(struct graph_rev *r);
void graph_rev_drop(struct graph_rev *r); /* accepts NULL */
/* What the instance machine itself reads of every instance, with or without a revision: the tail of
 * parent_reads. Constant. The records of instances are made with manager GRAPH_MANAGER_PARENT. */
const struct graph_read *graph_parent_needs(uint32_t *n);
/* The rank of a node id, or -1. */
int32_t graph_rev_rank(const struct graph_rev *r, kr_str id);
/* The same of a value of the label kro.run/node-id. */
int32_t graph_rev_rank_of_label(const struct graph_rev *r, kr_str label);

/* Where in the definition `node` (an id; empty: the status) reads "other.spec.x", for people: found in
 * the texts of the expressions. Of the status, path may also be "status.x": what makes it. Writes at most max; returns how many. Places live
 * in a, texts are borrowed from r. */
struct graph_reader {
    kr_str place; /* "spec.replicas", "includeWhen" */
    kr_str text;  /* the expression as written */
};
uint32_t graph_rev_readers(const struct graph_rev *r, struct kr_arena *a, kr_str node, kr_str path,
                           struct graph_reader *out, uint32_t max);

enum { GRAPH_NEEDS = 1 }; /* graph_build: kinds are missing */

/* Compiles a definition. spec is the RGD's `.spec` as stored. kinds must have every kind that the
 * resources name, or the outcome is GRAPH_NEEDS and needs (a list of kr_gvk in a, order of first
 * use) says which. Returns a reference in *out. KR_E_INPUT: the first error in kro's words, err->at has
 * its place; src->diags has all of them (none with GRAPH_NEEDS).
 * A pure function of its arguments. `missing`: kinds that the server is known not to have: naming
 * one of them is an error. */
struct graph_diags; /* diag.h */
struct graph_source {
    kr_str name;
    kr_str uid;
    kr_val spec;
    kr_str
        only_namespace; /* sidecar: a child elsewhere or cluster-scoped is an error that names the node */
    const kr_gvk *missing;
    uint32_t missing_n;
    uint32_t dimensions_max; /* of one forEach; 0: GRAPH_DIMENSIONS_MAX */
    bool omit;               /* feature gate CELOmitFunction */
    bool
        defer; /* a missing kind is a warning: what it would tell is not checked, and the revision is
                 * for looking at, not for serving */
    struct graph_diags
        *diags; /* in, out: everything that is wrong; NULL: the first in err is enough */
};
KR_MUST int graph_build(const struct graph_source *src, const struct cel_kinds *kinds,
                        struct kr_arena *a, struct graph_rev **out, const kr_gvk **needs,
                        uint32_t *needs_n, struct kr_err *err);

/* Every kind a spec names, without building: what must be fetched first. Lives in a. Never fails:
 * what is not readable is left out (graph_build reports it). */
void graph_kinds_of(kr_val spec, struct kr_arena *a, const kr_gvk **gvks, uint32_t *n);

/* Hash of a spec (16 hex digits, lives in a). Source: kro:pkg/graph/hash; reference, Appendix B. */
KR_MUST int graph_spec_hash(kr_val spec, struct kr_arena *a, kr_str *out, struct kr_err *err);
/* flect.Pluralize of a lower-case word; lives in a. Reference, Appendix A. */
kr_str graph_plural(struct kr_arena *a, kr_str word);
/* Name of revision `number` of an RGD. Reference 7.3. */
kr_str graph_revision_name(struct kr_arena *a, kr_str rgd, int64_t number);
/* The version as a label value ("+" becomes "-" where needed). */
kr_str graph_version_label(struct kr_arena *a, kr_str version);
/* A name as a label value: itself, or "h-" and 40 hex digits of its SHA-256 where it is longer than the
 * 63 bytes that a label value may have; lives in a. Source: kro:pkg/metadata/labelvalue.go. */
kr_str graph_label_value(struct kr_arena *a, kr_str name);
/* ApplySet id of an instance: 55 characters; lives in a. Reference, instance-runtime 1.5. */
kr_str graph_applyset_id(struct kr_arena *a, kr_str name, kr_str namespace, kr_str kind,
                         kr_str group);

/* --- plan ------------------------------------------------------------------------------------- */

/*            name            trace word     what the executor does */
#define GRAPH_ACTIONS(A)                                                                           \
    A(APPLY, "apply", /* server-side apply of a child; force */)                                   \
    A(APPLY_PARENT, "parent", /* server-side apply on the instance by .manager; force */)          \
    A(DELETE, "delete", /* DELETE with uid precondition */)                                        \
    A(FINALIZER, "finalizer", /* merge patch .body on metadata.finalizers */)                      \
    A(STATUS, "status", /* PUT .body on /status */)                                                \
    A(STATUS_PATCH, "statuspatch", /* merge patch .body on /status */)                             \
    A(CREATE, "create", /* POST .body */)                                                          \
    A(UPDATE, "update", /* PUT .body */)                                                           \
    A(PATCH, "patch", /* merge patch .body */)                                                     \
    A(WATCH, "watch",                                                                              \
      /* follow one object, or, without a name, those .selector finds: external node .node */)     \
    A(UNWATCH, "unwatch", /* no longer */)                                                         \
    A(TYPES, "types",                                                                              \
      /* children of the group-kinds in .body (list of "Kind.group") are needed */)                \
    A(FETCH, "fetch", /* kinds .gvks with their schemas: answer by graph_def_kinds */)             \
    A(SERVE, "serve", /* .rev drives the instances of .ref.gvr from now on */)                     \
    A(UNSERVE, "unserve", /* only deletions are served for .ref.gvr */)                            \
    A(GONE, "gone", /* forget this instance or definition */)

enum graph_action_kind {
#define GRAPH_ACTION_ENUM(name, word, comment) GRAPH_A_##name,
    GRAPH_ACTIONS(GRAPH_ACTION_ENUM)
#undef GRAPH_ACTION_ENUM
        GRAPH_ACTIONS_N
};

struct graph_action {
    enum graph_action_kind kind;
    uint64_t token; /* given back with the result; 0: no result is wanted */
    kr_ref ref;     /* the object */
    kr_gvk gvk;     /* its kind, where a message needs it */
    kr_val body;
    const char *manager; /* field manager; NULL: none */
    kr_str selector; /* WATCH, UNWATCH without a name: a label selector as in a query; empty: all;
                      * no namespace: all namespaces */
    kr_str uid;      /* precondition of a DELETE */
    kr_str part_of;  /* APPLY: our ApplySet id: an object that belongs to another is not sent */
    uint32_t node;   /* rank; UINT32_MAX: none */
    const kr_gvk *gvks; /* FETCH */
    uint32_t gvks_n;
    struct graph_rev *rev; /* SERVE: borrowed; hold it */
    kr_str why;            /* what caused it, for the trace: "settings.metadata.resourceVersion" */
};

/* What to do, in order: an action may be started when those before it were started; where one must
 * wait for the answer of another, the step gives it only after that answer. Lives in the arena. */
struct graph_plan {
    struct kr_arena *a;
    struct graph_action *actions;
    uint32_t n, cap;
    uint64_t
        wake_ms; /* step again at this time at the latest (env.now_ms scale); UINT64_MAX: no timer */
    uint64_t cost; /* steps that the expressions took: see GRAPH_STEP_STEPS_MAX */
};
void graph_plan_init(struct graph_plan *p, struct kr_arena *a);
struct graph_action *graph_plan_add(struct graph_plan *p, enum graph_action_kind kind);
const char *graph_action_word(enum graph_action_kind kind);
/* One line an action, as the trace and golden tests print it: "apply   v1/ConfigMap default/demo-db". */
void graph_plan_print(const struct graph_plan *p, struct kr_buf *out);

/* The answer to an action. */
enum graph_outcome {
    GRAPH_O_OK,
    GRAPH_O_NOT_FOUND,
    GRAPH_O_EXISTS,
    GRAPH_O_CONFLICT, /* 409: newer version, uid precondition */
    GRAPH_O_FOREIGN, /* not sent: the object belongs to another ApplySet (message has kro's words) */
    GRAPH_O_INVALID, /* 400, 403, 405, 413, 415, 422: a retry alone cannot help */
    GRAPH_O_RETRY,   /* connection, time-out, 429, 5xx: may or may not have taken effect */
};
struct graph_result {
    uint64_t token;
    enum graph_outcome outcome;
    kr_str message;     /* the server's words, for conditions */
    struct kr_rec *rec; /* APPLY, APPLY_PARENT, ...: the object as answered (borrowed), or NULL */
    kr_val object;      /* the parsed response, for the definition machine; valid during the call */
};

/* --- instance --------------------------------------------------------------------------------- */

struct graph_inst;

/* ref: of the instance; gvk: its kind. Copies. Returns owned. */
struct graph_inst *graph_inst_new(kr_ref ref, kr_gvk gvk);
void graph_inst_free(struct graph_inst *inst);
kr_str graph_inst_part_of(const struct graph_inst *inst); /* its ApplySet id */
kr_ref graph_inst_ref(const struct graph_inst *inst);
kr_str graph_inst_uid(const struct graph_inst *inst);
const char *graph_inst_state(const struct graph_inst *inst); /* "ACTIVE", ... as last computed */

/* Events: record and mark dirty, nothing else. Bits: KUBE_BIT-like, EXISTS, IDENTITY, OWNED at 0, 1,
 * 2 (GRAPH_BIT_*), then the reads of the node (of the parent) from GRAPH_BITS_FIXED on, in the order
 * of graph_node.reads (graph_rev.parent_reads). NULL bits: everything may have changed. Records
 * are held by the instance as long as it needs them. */
enum { GRAPH_BIT_EXISTS, GRAPH_BIT_IDENTITY, GRAPH_BIT_OWNED, GRAPH_BITS_FIXED };

/* The revision that drives it (held), or NULL and why there is none (kro's words for GraphResolved).
 * A new revision marks all nodes dirty and forgets which types are known and which external objects
 * were answered: both are told again once the records hold what the new revision reads, and so is
 * the instance, before the next step. */
void graph_inst_revision(struct graph_inst *inst, struct graph_rev *rev, kr_str problem);
/* The instance object itself; NULL: it is gone. A version that stems from our own write sets no
 * dirty bit for readers of schema.metadata.resourceVersion. */
void graph_inst_parent(struct graph_inst *inst, struct kr_rec *rec, const struct kr_bits *changed);
/* An object with our part-of label appeared, changed or went (now NULL). */
void graph_inst_child(struct graph_inst *inst, struct kr_rec *old, struct kr_rec *now,
                      const struct kr_bits *changed);
/* The object of external reference `node` (by name); NULL: it does not exist. */
void graph_inst_external(struct graph_inst *inst, uint32_t node, struct kr_rec *rec,
                         const struct kr_bits *changed);
/* All objects that external collection `node` finds, in any order: the first answer to its WATCH, and
 * again after a new revision. Without that answer single objects are not listened to. */
void graph_inst_external_list(struct graph_inst *inst, uint32_t node, struct kr_rec *const *recs,
                              uint32_t n);
/* One of them appeared, changed or went (now NULL): deleted, or no longer selected. */
void graph_inst_external_item(struct graph_inst *inst, uint32_t node, struct kr_rec *old,
                              struct kr_rec *now, const struct kr_bits *changed);
/* Somebody (`by`: manager; may be empty) took a field of ours of a child: told before its
 * graph_inst_child. */
void graph_inst_taken(struct graph_inst *inst, kr_ref ref, kr_str field, kr_str by);
/* The next external event shows an object that `writer`, an instance of ours, applies: what follows
 * from it has the cause of that write. */
void graph_inst_echo(struct graph_inst *inst, const struct graph_inst *writer);
/* Is the type of `node` listed (its children are all known)? Not: why ("cannot list ..."). As long as
 * it is not known, nothing of that node is applied and nothing is deleted. */
void graph_inst_known(struct graph_inst *inst, uint32_t node, bool known, kr_str why);
/* All types asked for by TYPES are listed (the members are all known), or why not. */
void graph_inst_types_known(struct graph_inst *inst, bool known, kr_str why);
void graph_inst_result(struct graph_inst *inst, const struct graph_result *res, uint64_t now_ms);

/* Is there anything for a step to do now? (Timers apart: see plan.wake_ms.) */
bool graph_inst_dirty(const struct graph_inst *inst);
/* Evaluates what is dirty and plans. Never fails: what goes wrong becomes status. Nothing of plan
 * outlives plan->a. */
void graph_inst_step(struct graph_inst *inst, const struct graph_env *env, struct graph_plan *plan);
/* Is a roll of it under way; and does it wait for one of others to end (env.rolling)? As of the last
 * step: whoever counts looks before and after. */
bool graph_inst_rolls(const struct graph_inst *inst);
/* Has it made its first step, so that graph_inst_rolls also tells of what a former process began? */
bool graph_inst_roll_known(const struct graph_inst *inst);
bool graph_inst_roll_waits(const struct graph_inst *inst);
/* Does its annotation or its definition's say anything of rolls? */
bool graph_inst_roll_asked(const struct graph_inst *inst);
/* env.roll or env.rolling is another now: a step looks whether that changes something. */
void graph_inst_roll_look(struct graph_inst *inst);
/* Counts of evaluations so far, by kind, for tests and metrics; their differences count, for they begin anew
 * at 2^32. */
struct graph_counts {
    /* groups of expressions evaluated: of a collection one an item, forEach apart */
    uint32_t steps, templates, conditions, ready, status, dims, authors;
    uint32_t expressions;                       /* one by one */
    uint32_t failed, skipped, not_ready, items; /* outcomes; items: of collections */
};
const struct graph_counts *graph_inst_counts(const struct graph_inst *inst);
/* Bytes held by the instance, records not counted. */
size_t graph_inst_bytes(const struct graph_inst *inst);
/* Names of what it waits for, for humans; lives in a. */
kr_str graph_inst_waits(const struct graph_inst *inst, struct kr_arena *a);

/* --- definition ------------------------------------------------------------------------------- */

struct graph_def;

struct graph_def *graph_def_new(kr_str name); /* returns owned */
void graph_def_free(struct graph_def *def);
kr_str graph_def_name(const struct graph_def *def);
/* Name of the CRD it generates ("webapps.kro.run"): what graph_def_crd is to be told about. Empty as
 * long as the object is not readable. Borrowed until the next event. */
kr_str graph_def_crd_name(const struct graph_def *def);
/* The last revision that compiled and serves, or NULL. Borrowed. */
struct graph_rev *graph_def_serving(const struct graph_def *def);

/* The RGD object (copied); KR_NONE: it is gone. */
void graph_def_object(struct graph_def *def, kr_val rgd);
/* A GraphRevision of this RGD appeared or changed (copied), or went (deleted). */
void graph_def_revision(struct graph_def *def, kr_val revision, bool deleted);
/* All revisions have been listed. */
void graph_def_revisions_known(struct graph_def *def, bool known);
/* The CRD of the generated kind as the server has it (copied); KR_NONE: absent. known false: not
 * listed yet. In a sidecar it is made from discovery and OpenAPI. */
void graph_def_crd(struct graph_def *def, kr_val crd, bool known);
/* Kinds for FETCH: takes kinds (may be NULL with err). missing is borrowed for the call. */
void graph_def_kinds(struct graph_def *def, struct cel_kinds *kinds, const kr_gvk *missing,
                     uint32_t missing_n, const struct kr_err *err);
/* Some kind of the cluster changed (a CRD came, went or has a new schema): fetch again if the
 * definition uses it or waits for it. */
void graph_def_kind_changed(struct graph_def *def, kr_str group, kr_str kind);
/* Some kind of the next graph_def_kinds has a CRD: if it is missing there, discovery lags behind. */
void graph_def_expect(struct graph_def *def);
/* The reactor serves the instances (rc 0), or why it cannot. */
void graph_def_controller(struct graph_def *def, int rc, kr_str why);
void graph_def_result(struct graph_def *def, const struct graph_result *res, uint64_t now_ms);
void graph_def_step(struct graph_def *def, const struct graph_env *env, struct graph_plan *plan);
/* "Active", "Inactive"; and why it does not serve (for logs), empty when it does. Borrowed. */
const char *graph_def_state(const struct graph_def *def);
kr_str graph_def_problem(const struct graph_def *def);
/* Where in the spec the problem is, when its text (kro's words) does not say; may be empty. */
kr_str graph_def_place(const struct graph_def *def);
/* How often it was compiled, and how often that failed. */
void graph_def_builds(const struct graph_def *def, uint64_t *n, uint64_t *failed_n);
/* The problem is only that something has not come yet. */
bool graph_def_waiting(const struct graph_def *def);
/* Is its object being deleted, or gone? */
bool graph_def_ending(const struct graph_def *def);

#endif
