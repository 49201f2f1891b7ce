/* SPDX-License-Identifier: Apache-2.0 */
/* inst.h - the inside of one instance, shared by the files of the instance machine.
 *
 *   inst.c         life, revision, what readers see of a node
 *   inst_items.c   what is held of each object: items, strays, limbo
 *   inst_events.c  objects that come: recorded, tasks marked dirty
 *   inst_results.c answers to requests
 *   step.c         one step: the states in order, dispatch of applies, prune
 *   sweep.c        dirty tasks in topological order, early cut-off
 *   collection.c   forEach: which items there are, and which of them must be evaluated again
 *   eval.c         includeWhen, forEach, template, readyWhen: expression to value or why not
 *   selector.c     the label selector of an external collection as text
 *   applyset.c     membership, decoration, inventory, the parent's two applies
 *   status.c       conditions, state, projections, when to write
 *   roll.c         changes of what is read: joined, counted, paused
 *   breaker.c      writes that come back to us are counted and slowed
 *   author.c       conditions that the definition's author writes
 *   step_delete.c  waves, finalizer
 *
 * A node has items: one for a resource or an external reference, one a combination for a collection,
 * in its order. An item knows the digest of the reference it wishes for, the live object there, and
 * which pair of wish and ownership is known to be in sync; that of a collection also the digest of
 * what its template read (its key), so that a change costs the evaluation of the items it concerns.
 * An external collection has no items, but the records that its selector finds. Objects of ours that
 * no item claims are strays: they are pruned, or deleted with the instance.
 *
 * Nothing of a step's arena is kept: only bytes, numbers and digests.
 */
#ifndef GRAPH_INST_H
#define GRAPH_INST_H

#include "graph/internal.h"

enum {
    GRAPH_RETRY_SLOW_MS = 3000, /* first delay after a refusal that a retry alone cannot help */
    GRAPH_UNSURE_MS = 5000, /* how long an apply without an answer may still show up in a watch */
    GRAPH_WAITS_MAX = 20,   /* names in a message; more are counted */
};

/* Repeats a failed write: when, and how often it has failed in a row. */
struct inst_retry {
    uint64_t at_ms : 56; /* two million years */
    uint64_t tries : 8;
};
_Static_assert(sizeof(struct inst_retry) == 8, "each node and write of each instance has one");

enum inst_state {
    INST_NEW,     /* never evaluated */
    INST_SKIPPED, /* includeWhen is false here or upstream */
    INST_PENDING, /* an input is not there yet: text says which */
    INST_FAILED,  /* an expression is broken: text */
    INST_RESOLVED /* the desired reference and value are known */
};

enum inst_ready { INST_WAITING, INST_READY, INST_BROKEN };

/* Why a node that differs is not applied now. */
enum inst_hold {
    HOLD_NONE,
    HOLD_FLIGHT,      /* its own apply or delete is not answered */
    HOLD_INPUT,       /* an input is being applied */
    HOLD_TYPE,        /* its type is not listed */
    HOLD_TERMINATING, /* a child is being deleted */
    HOLD_PARENT,      /* the inventory does not cover it yet */
    HOLD_RETRY,       /* failed; the same wish is sent again later */
    HOLD_FIGHT,       /* its writes come back to us: once a minute */
    HOLD_ROLL         /* the roll's turn has not come: roll.c */
};
/* Is it held for a reason that is told as a wait for the apply? The others are told apart. */
static inline bool inst__is_kept(uint8_t hold)
{
    return hold != HOLD_NONE && hold != HOLD_FIGHT && hold != HOLD_ROLL;
}

struct inst_item {
    uint64_t ref;        /* digest of the reference wished for; 0: none */
    uint64_t desired;    /* digest of the value wished for */
    struct kr_rec *seen; /* the live object there, held */
    const struct kr_fieldset
        *ok_set; /* in sync: this wish with these owned fields and values; held */
    uint64_t ok_owned, ok_desired;
    uint64_t token;  /* of the request in flight; 0: none */
    uint64_t sent;   /* digest of the value last sent */
    uint64_t gone_u; /* version of the record that went while an apply was in flight */
    struct inst_retry retry;
    char *error;     /* why the last apply failed; NULL: it did not */
    char *namespace; /* where the wish lives, if not with the parent; NULL */
    bool retrying;   /* the error may pass by itself */
    bool deleting;   /* we sent a DELETE that is not seen yet */
    uint8_t blind;   /* answers in a row that came without a record */
    uint8_t hold;    /* enum inst_hold: why the difference is not applied now */
    uint8_t checked; /* collection: readyWhen of this object, enum inst_checked */
    bool fought;     /* somebody changed a field of ours, or deleted it, since the last write */
    uint16_t root;   /* inst->root at the last write; 0: none */
};

enum inst_checked { INST_UNCHECKED, INST_CHECKED_NO, INST_CHECKED_YES };

/* What an external collection finds, ordered as the server lists: by "namespace/name". */
struct inst_found {
    struct kr_rec **recs; /* held */
    uint32_t n, cap;
};

/* What is told of a node. */
enum inst_text {
    TEXT_WHY,     /* why pending or failed */
    TEXT_READY,   /* why not ready */
    TEXT_UNKNOWN, /* why the type is not listed */
    TEXT_WATCHED, /* external: "namespace/name" or "namespace/selector" followed */
    TEXTS_N
};

struct inst_node {
    uint8_t state;  /* enum inst_state */
    uint8_t ready;  /* enum inst_ready */
    uint8_t hold;   /* enum inst_hold: of the node, or what keeps back one of its items */
    bool known;     /* the type is listed */
    bool answered;  /* external: the first answer has come */
    bool evaluated; /* at least once in this revision */
    bool duplicate; /* failed because another node has the same reference */
    bool by_dep;    /* pending because of another node, which is named itself */
    uint32_t items_n;
    bool rolling;            /* patched by the roll under way, and not done yet */
    struct inst_item *items; /* &one for a single object; owned for a collection */
    union {
        struct inst_item one;
        uint64_t *keys; /* collection: by item; 0: none. Behind the items, in one allocation */
        struct inst_found found; /* external collection: items_n is 0 */
    };
    char **texts; /* by enum inst_text, owned; NULL: most nodes have none of them */
    uint32_t cause_rank, cause_read; /* whose leaf made it dirty last; UINT32_MAX: something else */
};

struct inst_stray { /* an object of ours that no item claims */
    struct kr_rec *rec;
    uint64_t ref;
    uint64_t token;
    struct inst_retry retry;
    char *error;
    bool sent; /* the DELETE was taken */
};

struct inst_limbo { /* an apply in flight whose item is no more: it may still make a stray */
    uint64_t token, ref, sent;
};

struct inst_unwatch {      /* an external reference of a former revision, still followed */
    struct graph_rev *rev; /* held */
    uint32_t rank;
    char *watched;
};

/* A write on the instance itself. */
struct inst_write {
    uint64_t token;
    uint64_t sent; /* digest of what was sent */
    uint64_t seen; /* digest of what the answer showed: with sent, a pair that is accepted */
    struct inst_retry retry;
    char *error;
    bool retrying; /* the error may pass by itself */
    bool fresh;    /* answered; what the answer showed is not looked at yet */
    bool accepted; /* what is there differs from what we sent, but that is what the server made of
                      it */
};

/* Changes of what is read, on their way to the children. */
struct inst_roll {
    uint64_t first_ms, last_ms; /* of the changes that the debounce joins; 0: none */
    uint64_t since_ms;          /* a roll is under way since; 0: none is */
    bool waits;                 /* for the end of another instance's */
    bool look;                  /* something of a rolling node has changed */
    bool known;                 /* what a former process has begun was looked for */
    bool asked;                 /* as graph_inst_roll_asked */
    uint8_t told;               /* why changes are held, as it was told */
};

/* An object whose writes come back to us: see breaker.c. */
struct inst_fight {
    uint64_t ref;
    uint64_t since_ms, last_ms; /* of the counted writes */
    int64_t next_wall_s;        /* when the next one may be */
    uint32_t n;                 /* counted since since_ms */
    uint32_t pause_ms;          /* from one write to the next, while open */
    uint8_t moves;              /* of its wish while it is held */
    bool open;                  /* writes are slowed */
    bool alone;                 /* its inputs move without our writes: echoes are none */
    char *text;                 /* who, which field: "\"x\" keeps changing spec.a of" */
};

/* Author conditions, as they were made last. */
struct inst_author {
    uint64_t in, out; /* digests: of what they depend on besides reads; of the list made */
    char *error;      /* what is broken in them; NULL: nothing */
    bool dirty;       /* something that they read has changed since */
};

enum inst_phase { INST_IN_PROGRESS, INST_ACTIVE, INST_ERROR, INST_DELETING };

struct graph_inst {
    kr_ref ref; /* this and the next two: bytes in strings */
    kr_gvk gvk;
    kr_str part_of;
    char *strings;
    struct graph_rev *rev; /* held */
    char *problem;         /* why there is no revision */
    struct kr_rec *parent; /* held; NULL: it does not exist */
    bool existed;          /* GONE is owed when it goes */
    uint8_t phase;         /* enum inst_phase, as last computed */

    struct inst_node *nodes; /* one allocation with the words of the sets */
    uint32_t nodes_n;
    struct kr_bits dirty; /* tasks */

    struct inst_stray *strays;
    uint32_t strays_n, strays_cap;
    struct inst_unwatch *unwatch;
    struct inst_limbo *limbo;
    uint32_t unwatch_n, limbo_n;

    struct inst_roll roll;
    bool edited; /* what came in last from outside was an edit of the instance */
    struct inst_fight *fights;
    uint32_t fights_n;
    uint32_t roots;           /* made so far */
    uint16_t root, root_next; /* what came in last from outside; of the next external event */
    bool moved,
        moved_next; /* since then somebody else moved what is read of a child; as the root */

    uint64_t seq; /* last token */
    struct inst_write labeller, applyset, status, finalizer;

    bool manage_dirty; /* the parent's metadata or what it should be has changed */
    bool status_dirty; /* the status may differ from what was last computed */
    bool status_owed;  /* it was, but could not be written yet: looked at again with the next answer
                        */
    bool pruned;       /* something was pruned since the inventory last shrank */
    bool shrinking;    /* an apply of a smaller inventory may still take effect */
    bool
        unsettled_own; /* a version came while our status write was in flight: whose is not known */
    bool conflicted;  /* a status or finalizer write lost against a version that we have not seen */
    bool types_known; /* the types of `types_asked` are listed */
    char *types_why;
    uint64_t types_asked; /* digest of the list; 0: none */
    struct inst_author author;
    char *managed_error;                /* the inventory found is invalid */
    char *projection_error;             /* the inventory found cannot be read */
    uint64_t status_value, status_wire; /* status sent, and as it was answered: accepted as equal */
    uint64_t own_version;               /* digest of the version that our last status write made */
    uint64_t apply_version; /* the same of one that came while a parent's apply flew; 0: none */
    uint64_t status_due_ms; /* when an owed status is looked at again at the latest; 0: no timer */
    uint64_t diff_since_ms, flight_since_ms, status_last_ms; /* 0: not */
    uint64_t wave_since_ms, unsure_until_ms;
    int32_t wave;   /* apply order that is being deleted; -1: none */
    bool wave_told; /* the status names what this wave waits for */
    bool wave_sent; /* its DELETEs are answered: since wave_since_ms it waits for others */
    struct graph_counts counts;
};

/* --- one step: what the files hand each other, gone when it ends --- */

struct inst_intent { /* a node whose object differs from the wish */
    uint32_t rank, item;
    kr_val desired;
    kr_ref ref;
};
struct inst_inventory {
    uint32_t kinds_n, namespaces_n;
    const kr_str *kinds, *namespaces; /* sorted, no duplicates */
};
struct inst_step {
    struct graph_inst *inst;
    const struct graph_env *env;
    struct graph_plan *plan;
    struct kr_arena *a;
    kr_val *slots; /* of the main environment: by rank; slot nodes_n is the instance */
    uint32_t slots_n;
    struct inst_intent *intents;
    uint32_t intents_n, intents_cap;
    struct inst_inventory wire; /* what the parent's annotations list */
    bool wire_read;
    kr_val labels;  /* of children, but node-id; made once a step */
    uint64_t steps; /* that its expressions took so far: GRAPH_STEP_STEPS_MAX */
    struct graph_roll roll;
};

/* inst.c */
static inline const struct graph_node *inst__node(const struct graph_inst *inst, uint32_t rank)
{
    return &inst->rev->nodes[rank];
}
bool inst__text(char **text, kr_str s); /* replaces the owned text (empty: NULL); did it change? */
kr_str inst__str(const char *text);
static inline const char *inst__told(const struct inst_node *node, enum inst_text which)
{
    return node->texts ? node->texts[which] : NULL; /* NULL: none */
}
/* As inst__text, of a node. */
bool inst__tell(struct inst_node *node, enum inst_text which, kr_str s);
uint64_t inst__ref_digest(kr_ref ref);
uint64_t inst__str_digest(kr_str s);
uint64_t inst__token(struct graph_inst *inst);
void inst__retry_fail(struct inst_retry *r, bool slow, uint64_t now_ms);
void inst__dirty(struct graph_inst *inst, uint32_t task);
void inst__dirty_all(struct graph_inst *inst);
bool inst__is_external(const struct graph_inst *inst, uint32_t rank);
bool inst__visible(const struct graph_inst *inst, uint32_t rank); /* do readers see its object? */
/* What readers see: the object, or the list of a collection (in a); KR_NONE: nothing. */
kr_val inst__value(const struct graph_inst *inst, uint32_t rank, struct kr_arena *a);
/* Is the first answer about an external object still to come? */
bool inst__unanswered(const struct graph_inst *inst, uint32_t rank);
bool inst__in_flight(const struct graph_inst *inst); /* any request for a child */
/* What is known of this incarnation of the object, but not the revision and what was observed. */
void inst__forget_writes(struct graph_inst *inst);

/* inst_items.c */
struct inst_stray *inst__stray_add(struct graph_inst *inst, struct kr_rec *rec);
void inst__stray_del(struct graph_inst *inst, uint32_t at);
bool inst__stray_ours(const struct kr_rec *rec);
struct inst_item *inst__item_find(struct graph_inst *inst, uint64_t ref, uint32_t *rank);
void inst__item_release(struct graph_inst *inst, uint32_t rank, struct inst_item *item);
void inst__item_ok(struct inst_item *item, const struct kr_rec *rec, uint64_t desired);
void inst__item_fini(struct inst_item *item);
/* The item goes away, with an apply that may be in flight. */
void inst__item_drop(struct graph_inst *inst, uint32_t rank, struct inst_item *item);
/* Does the item wish for what is there, as far as is known? The first asks it of a record. */
bool inst__pair_is_ok(const struct inst_item *item, const struct kr_rec *rec);
bool inst__item_is_ok(const struct inst_item *item);
void inst__found_clear(struct inst_found *found);

/* inst_events.c */

/* Whose doing a new version of the instance is. */
enum inst_own { INST_FOREIGN, INST_OUR_STATUS, INST_OUR_APPLY };
/* The instance is now rec (NULL: gone); changed as graph_inst_parent. */
void inst__set_parent(struct graph_inst *inst, struct kr_rec *rec, const struct kr_bits *changed,
                      enum inst_own own);
/* Marks all that a version of unknown origin may have changed. */
void inst__settle_own(struct graph_inst *inst);
/* The object of an item is now `rec` (NULL: gone). Returns whether something that is read of it has
 * another value. */
bool inst__item_seen(struct graph_inst *inst, uint32_t rank, struct inst_item *item,
                     struct kr_rec *rec, const struct kr_bits *changed);
/* Its object came or went for readers. */
void inst__appeared(struct graph_inst *inst, uint32_t rank);

/* eval.c */
/* Evaluates within the limits of an expression and of the step. As cel_eval; *fail: why it failed. */
KR_MUST int inst__run(struct inst_step *s, const struct cel_prog *prog, const kr_val *slots,
                      uint32_t slots_n, kr_val *out, enum cel_fail *fail, struct kr_err *err);
/* unsettled: nodes whose value may not be looked at now (NULL: none): WAITS at the first expression
 * that reads one. */
KR_MUST int inst__eval_include(struct inst_step *s, uint32_t rank, const struct kr_bits *unsettled,
                               struct kr_err *err);
KR_MUST int inst__eval_template(struct inst_step *s, uint32_t rank, kr_val *out,
                                struct kr_err *err);
/* The lists of forEach, one a dimension, in the step's arena. */
KR_MUST int inst__eval_dims(struct inst_step *s, uint32_t rank, kr_val *lists, struct kr_err *err);
/* The template in two parts. values: one a site; the first call fills those that no iterator has a
 * part in, the second the others, for the combination that the slots hold, and puts all in. */
KR_MUST int inst__eval_shared(struct inst_step *s, uint32_t rank, kr_val *values,
                              struct kr_err *err);
KR_MUST int inst__eval_item(struct inst_step *s, uint32_t rank, kr_val *values, kr_val *out,
                            struct kr_err *err);
KR_MUST int inst__eval_ready(struct inst_step *s, uint32_t rank, kr_val object, struct kr_err *err);
/* The same of item `index` of a collection. */
KR_MUST int inst__eval_ready_each(struct inst_step *s, uint32_t rank, kr_val object, uint32_t index,
                                  struct kr_err *err);
/* What readyWhen says of an external collection as a whole. */
KR_MUST int inst__eval_ready_list(struct inst_step *s, uint32_t rank, struct kr_err *err);
/* Outcomes; err has the text. WAITS: pending because another node is not ready. */
enum { INST_EVAL_PENDING = 1, INST_EVAL_FALSE = 2, INST_EVAL_WAITS = 3 };
/* The user's part of status. keep: what cannot be resolved stays as it is on the wire. *error: the
 * first broken expression, or empty. */
kr_val inst__eval_status(struct inst_step *s, kr_val wire, bool keep, kr_str *error);
/* May objects of this namespace be used? (--namespace) Empty: it may. */
KR_MUST int inst__check_namespace(struct inst_step *s, uint32_t rank, kr_str namespace,
                                  struct kr_err *err);
/* Inherits the namespace, checks name and namespace; the reference wished for. */
KR_MUST int inst__place(struct inst_step *s, uint32_t rank, kr_val *desired, kr_ref *ref,
                        struct kr_err *err);

/* sweep.c */
void inst__sweep(struct inst_step *s);
kr_str inst__why_not_ready(const struct graph_inst *inst, struct kr_arena *a, uint32_t rank);
/* What keeps back a whole node; an item of it, given that. */
enum inst_hold inst__hold_node(struct inst_step *s, uint32_t rank);
enum inst_hold inst__hold_item(struct inst_step *s, uint32_t rank, const struct inst_item *item,
                               enum inst_hold node);
/* node->hold from those of the items. */
void inst__hold_sum(struct inst_node *node);
/* The readers of the node see something else from now on. */
void inst__set_slot(struct inst_step *s, uint32_t rank);
/* May item have the reference with digest ref? A later node that has it loses it. KR_E_INPUT: an
 * earlier node has it. */
KR_MUST int inst__claim_check(struct inst_step *s, uint32_t rank, uint32_t item, uint64_t ref,
                              struct kr_err *err);
kr_str inst__item_id(struct inst_step *s, uint32_t rank, uint32_t item); /* kro's resource id */
/* The item wishes for ref from now on. */
void inst__claim(struct inst_step *s, uint32_t rank, struct inst_item *item, kr_ref ref);
/* What it wishes for, decorated: in sync, on its way, or an intent. */
void inst__compare(struct inst_step *s, uint32_t rank, uint32_t item, kr_val desired, kr_ref ref,
                   enum inst_hold node_hold);

/* collection.c */

/* Expands the node and evaluates the items that need it. Returns 0, INST_EVAL_PENDING or negative,
 * and then its items are as they were. *changed: readers see another list. */
KR_MUST int inst__expand(struct inst_step *s, uint32_t rank, bool *changed, struct kr_err *err);
/* enum inst_ready of a collection or external collection; err says why it is not ready. */
enum inst_ready inst__many_ready(struct inst_step *s, uint32_t rank, struct kr_err *err);
void inst__collection_clear(struct graph_inst *inst, uint32_t rank); /* no items; else nothing */

/* selector.c */

/* A label selector (matchLabels, matchExpressions) as the text of a query, requirements sorted by
 * key; empty: everything. Lives in a. KR_E_INPUT: apimachinery's words. */
KR_MUST int graph__selector(struct kr_arena *a, kr_str id, kr_val selector, kr_str *out,
                            struct kr_err *err);

/* applyset.c */
kr_val inst__decorate(struct inst_step *s, uint32_t rank, uint32_t item, kr_val desired);
bool inst__in_sync(struct inst_step *s, uint32_t rank, struct inst_item *item, kr_val desired);
bool inst__covers(struct inst_step *s, uint32_t rank, const struct inst_item *item);
bool inst__has_finalizer(const struct graph_inst *inst);
void inst__manage(struct inst_step *s);
KR_MUST int inst__inventory_validate(struct inst_step *s, struct kr_err *err);
kr_str inst__kind_text(struct kr_arena *a, kr_gvk gvk);
void inst__ask_types(struct inst_step *s, const kr_str *kinds, uint32_t n);
const struct inst_inventory *inst__wire(struct inst_step *s);
KR_MUST int graph__inventory_hash(struct kr_arena *a, kr_str id, kr_str kinds, kr_str namespaces,
                                  kr_str *out, struct kr_err *err);

/* status.c */
/* "namespace/name", or "name": as kro's messages have it. */
kr_str inst__object_text(struct kr_arena *a, kr_ref ref);
void inst__status(struct inst_step *s); /* the normal path */
void inst__status_suspended(struct inst_step *s);
void inst__status_unresolved(struct inst_step *s); /* no revision */
/* Deletion: message of ResourcesReady; unmanaged: of InstanceManaged, or empty. */
void inst__status_deleting(struct inst_step *s, kr_str message, kr_str unmanaged);
bool inst__suspended(const struct graph_inst *inst);

/* roll.c */

void inst__roll_begin(struct inst_step *s); /* first: what the annotations say */
/* The wish of item is `desired` from now on (item->desired is the former one). */
void inst__roll_moved(struct inst_step *s, uint32_t rank, const struct inst_item *item,
                      uint64_t desired);
bool inst__roll_holds(struct inst_step *s, uint32_t rank, const struct inst_item *item);
void inst__roll_sent(struct inst_step *s, uint32_t rank, const struct inst_item *item);
void inst__roll_step(struct inst_step *s);     /* once a step, when applies are dispatched */
void inst__roll_stop(struct graph_inst *inst); /* nothing is applied: its place is free */
kr_str inst__roll_text(struct inst_step *s);   /* what is held and why; empty: nothing */

/* breaker.c */

void inst__root_new(struct graph_inst *inst);      /* something came in from outside */
void inst__root_external(struct graph_inst *inst); /* an external object has changed */
/* Is the write of item held because it comes back? Then the timer is set. */
bool inst__fight_holds(struct inst_step *s, const struct inst_item *item);
/* The wish of item is `desired` from now on (item->desired is the former one). */
void inst__fight_moved(struct inst_step *s, const struct inst_item *item, uint64_t desired);
/* item is about to be written (item->sent is still the former wish); why: as in the trace. */
void inst__fight_sent(struct inst_step *s, struct inst_item *item, kr_str why);
void inst__fights_step(struct inst_step *s); /* once a step, when applies are dispatched */
void inst__fights_clear(struct graph_inst *inst);
/* What is told of fight `at`; empty: nothing. */
kr_str inst__fight_text(struct inst_step *s, uint32_t at);

/* author.c */

/* Does the definition have author conditions? Without a revision the wire tells. */
bool inst__author_has(const struct graph_inst *inst);
/* status.conditions as the author has them. own: kro's conditions of this pass. observed: nodes are
 * looked at (not while suspended). inst->author.error says what is broken. Needs a revision. */
kr_val inst__author_conditions(struct inst_step *s, const struct graph_conds *own, bool observed);
/* Those of the wire, and one of kro's own over them. */
kr_val inst__author_overlay(struct inst_step *s, const struct graph_cond *own);

/* step.c */
bool inst__all_applied(
    struct inst_step *s); /* every node resolved, nothing held, in flight or failed */
bool inst__prune_done(struct inst_step *s);                      /* and no stray of ours is left */
bool inst__due(struct inst_step *s, const struct inst_retry *r); /* else sets the timer */
/* DELETE of what is there, with its uid. */
void inst__delete(struct inst_step *s, struct inst_stray *stray);
void inst__wake(struct inst_step *s, uint64_t at_ms);

/* step_delete.c */
void inst__step_delete(struct inst_step *s);

#endif
