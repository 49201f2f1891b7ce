/* SPDX-License-Identifier: Apache-2.0 */
/* def.h - the inside of one definition, shared by the files of the definition machine.
 *
 *   def.c         the states in order, and the end
 *   def_events.c  life; what reaches it is recorded
 *   def_revisions.c  its GraphRevisions: finalizer, adoption, retention, the next one
 *   def_crd.c     the generated CRD: ownership, changes, establishment; its shape in a sidecar
 *   def_status.c  conditions of the definition and of its revision, when they are written
 */
#ifndef GRAPH_DEF_H
#define GRAPH_DEF_H

#include "cel/base/sm.h"
#include "graph/internal.h"

enum def_state {
    DEF_SEEN,        /* waits until the object, its revisions and its CRD are known */
    DEF_SCHEMAS,     /* waits for kinds */
    DEF_BUILD,       /* compiles */
    DEF_REVISION,    /* waits for the finalizer and for the GraphRevision */
    DEF_CRD,         /* waits for the CRD to be written */
    DEF_ESTABLISHED, /* waits for the CRD to be served, and for the reactor to serve its instances
                      */
    DEF_SERVING,
    DEF_INACTIVE, /* something is wrong: the verdicts say what; an event or a timer tries again */
    DEF_DELETING,
    DEF_GONE, /* there is no object; revisions may still go */
    DEF_STATES_N
};

/* One object's write in flight, and its back-off. */
struct def_write {
    uint64_t token;    /* 0: none in flight */
    uint64_t retry_ms; /* not before; 0: at once */
    uint8_t tries;     /* failures in a row */
    bool refused;      /* the last one was refused: a retry alone cannot help */
    char *error;       /* the server's words for the last failure, or NULL */
};

/* An object of the cluster: a copy with its own memory. */
struct def_object {
    struct kr_arena arena;
    kr_val v; /* KR_NONE: absent */
    struct def_write write;
};

struct def_revision {
    struct def_revision *next; /* by number, the highest first */
    struct def_object object;
    int64_t number;
    kr_str name, hash; /* hash: of the snapshot, computed here; empty: not computable */
    bool terminating;
};

/* What this pass has found out about one condition; status NULL: nothing. */
struct def_verdict {
    const char *status, *reason;
    kr_str message;
};
enum { V_REVISIONS, V_ACCEPTED, V_KIND, V_CONTROLLER, V_N };

struct graph_def {
    char *name;
    struct kr_sm sm;
    uint64_t tokens; /* the last one given */
    bool again;      /* an event came: the states are gone through from the start */

    struct def_object rgd, crd;
    bool revisions_known, crd_known;
    struct def_revision *revisions;
    struct def_object create; /* the GraphRevision being created: only its write is used */
    int64_t creating;         /* its number; 0: none */
    uint64_t creating_spec;   /* digest of its spec */
    int64_t issued;           /* the last one created by us, and the digest of its spec */
    uint64_t issued_spec;
    struct kr_arena id; /* of crd_name and instance */
    kr_str crd_name;
    kr_gvk instance;
    uint64_t hashed; /* digest of the spec that hash is of */
    char hash[17];

    /* kinds and compiling */
    struct cel_kinds *kinds; /* as answered, until compiled */
    struct kr_arena missing_arena;
    const kr_gvk *missing;
    uint32_t missing_n;
    struct def_write fetch;
    uint64_t fetch_key, kinds_key; /* what the kinds in flight, or at hand, were fetched for */
    uint64_t key;                  /* of what is to be compiled: spec, uid */
    struct graph_rev *built;       /* for built_key */
    uint64_t built_key, failed_key;
    char *failure; /* why failed_key does not compile */
    char *place;   /* where in the spec, when the failure does not say */
    char *shape;   /* sidecar: what is wrong with the CRD that is there; NULL: nothing */
    bool stale;    /* a kind changed since */
    bool expected; /* the CRD of a wanted kind came or changed: discovery may lag behind it */
    bool lacking;  /* the last answer lacked a kind */
    uint8_t lag_tries;
    uint64_t lag_ms; /* when the kinds are asked for again; 0: not planned */

    /* serving */
    struct graph_rev *serving;
    struct graph_rev *offered; /* given to the reactor by SERVE; its answer is awaited or was bad */
    uint32_t asked;            /* answers awaited, the one about `offered` last */
    char *refusal;             /* why the reactor cannot serve; NULL */

    /* this pass */
    struct kr_arena texts;
    struct def_verdict verdicts[V_N];
    struct def_verdict verified; /* of the target revision */
    struct def_revision *target; /* live revision whose snapshot is compiled; NULL: a new one */
    enum { ORDER_KEEP, ORDER_NONE, ORDER_BUILT } order;
    uint64_t waiting_ms; /* since when a wait lasts; 0: none */
    uint64_t builds_n, build_errors_n;
    char *problem;
    bool active;  /* state as last computed */
    bool sidecar; /* of the last step */
};

kr_str def__text(struct graph_def *def, const char *fmt, ...) KR_PRINTF(2, 3); /* for this pass */
void def__verdict(struct graph_def *def, int which, const char *status, const char *reason,
                  kr_str message);
/* May a write of this object be started now? Else sets the plan's timer where one is needed. */
bool def__may_write(const struct def_write *w, const struct graph_env *env,
                    struct graph_plan *plan);
struct graph_action *def__write(struct graph_def *def, struct def_write *w,
                                enum graph_action_kind kind, struct graph_plan *plan);
kr_ref def__ref(const char *group, const char *resource, kr_str name);
kr_str def__label(kr_val object, kr_str key);

extern const struct kr_sm_state def__states[DEF_STATES_N];
void def__set_text(char **to, kr_str text); /* an owned text is replaced; text may be the old one */
int64_t def__int_at(kr_val v, const char *path); /* 0: none */
bool def__has_finalizer(kr_val object);
bool def__is_terminating(kr_val object);
void def__reject(struct graph_def *def, kr_str text); /* the definition is wrong: text says why */

/* --- def_events.c ----------------------------------------------------------------------------- */

/* The next try waits; refused: for an event, as a retry alone cannot help. */
void def__write_failed(struct def_write *w, bool refused, kr_str message, uint64_t now_ms);
/* The newest revision that is not going; NULL: none. */
struct def_revision *def__highest_live(struct graph_def *def);

/* --- def_revisions.c -------------------------------------------------------------------------- */

/* Puts our finalizer on an object, or takes it off. */
void def__put_finalizer(struct graph_def *def, struct def_object *o, kr_ref ref, bool on,
                        const struct graph_env *env, struct graph_plan *plan);
/* Finalizers and owners of all revisions. */
void def__tend_revisions(struct graph_def *def, const struct graph_env *env,
                         struct graph_plan *plan);
/* Deletes the oldest of too many. */
void def__retain(struct graph_def *def, const struct graph_env *env, struct graph_plan *plan);
/* Creates the next revision, or waits for the answer. */
bool def__issue(struct graph_def *def, const struct graph_env *env, struct graph_plan *plan);

/* --- def_crd.c -------------------------------------------------------------------------------- */

enum def_crd { DEF_CRD_OK, DEF_CRD_WAIT, DEF_CRD_BAD };
/* Brings the CRD to what the built revision needs; sets the verdict of KindReady. */
enum def_crd def__crd_step(struct graph_def *def, const struct graph_env *env,
                           struct graph_plan *plan);
/* Does the CRD at hand carry our name and kro's ownership? */
bool def__crd_ours(const struct graph_def *def);
/* Sidecar: what the served kind lacks for rev, as a text that lives in a; empty: nothing. */
kr_str def__crd_shape(struct kr_arena *a, const struct graph_rev *rev,
                      const struct cel_kinds *kinds);

/* --- def_status.c ----------------------------------------------------------------------------- */

void def__status(struct graph_def *def, const struct graph_env *env, struct graph_plan *plan);
void def__revision_status(struct graph_def *def, const struct graph_env *env,
                          struct graph_plan *plan);

#endif
