/* SPDX-License-Identifier: Apache-2.0 */
/* sim.h - the deterministic simulation: the whole controller and the sandbox in one process, without
 * a socket, in virtual time. One seed decides everything.
 *
 *   plan.c    seed -> definitions out of a grammar, steps (what users, foreign writers and fate do)
 *   model.c   what a cluster should hold that has these inputs: computed without the controller
 *   net.c     the controllers' connections: delays, losses, cuts, repeats, wrong answers
 *   world.c   processes (start, crash, fail over), time, the way to rest
 *   steps.c   carries a step out
 *   check.c   sees every change that the sandbox stores and keeps the rules of safety
 *   run.c     one seed from its first step to its end checks
 *   shrink.c  fewer steps of a failing seed that still fail
 *   mutant.c  planted bugs, to test the test
 *   main.c    the program
 *
 *   reactor - client - net - sandbox_front - sandbox
 *
 * A run is a function of (plan, mutant): it reads no clock, no address, no environment. Its trace has a
 * digest, and equal digests mean equal runs.
 */
#ifndef SIM_H
#define SIM_H

#include "cel/base/buf.h"
#include "cel/base/map.h"
#include "kube/sandbox/front.h"
#include "reactor/reactor.h"
#include "tests/lib/vclock.h"

enum {
    SIM_DEFS_MAX = 2,
    SIM_NODES_MAX = 6,
    SIM_INSTANCES = 3, /* names of instances of a definition */
    SIM_SOURCES = 3,   /* ConfigMaps that somebody else owns */
    SIM_STEPS_MAX = 48,
    SIM_PROCS = 2,
    SIM_RULES_MAX = 8,
    SIM_WANT_MAX = 64,             /* objects of one instance */
    SIM_WHY_MAX = 4096,            /* bytes of a verdict */
    SIM_QUIET_MS = 95 * 1000,      /* at rest: over every back-off and time-out of the controller */
    SIM_REST_MAX_MS = 3600 * 1000, /* a run that takes longer never comes to rest */
    SIM_ROUNDS_MAX = 2000,         /* of requests and answers at one moment */
    SIM_TURNS_MAX = 20 * 1000,     /* turns at one time: more is a livelock */
};

#define SIM_NS "default"
#define SIM_NS_OTHER "other" /* of children that stand elsewhere */

/* --- plan ------------------------------------------------------------------------------------- */

enum sim_kind { SIM_CONFIG, SIM_SECRET, SIM_WORKLOAD, SIM_MANY, SIM_EXTERNAL, SIM_PICKED };

/* A node of a definition. Every object made of it has an annotation `v`: "n3" and what it reads. */
struct sim_node {
    enum sim_kind kind;
    uint8_t variants; /* bits: the variants of the definition that have it */
    uint8_t spec;     /* bits: spec.a, spec.b, that it reads */
    uint8_t from;     /* bits: nodes that it reads */
    uint8_t source;   /* EXTERNAL: its number; PICKED: the pick of its selector */
    int8_t over;      /* MANY: the PICKED node it is made for each object of; -1: spec.names */
    int8_t gate;      /* includeWhen: the EXTERNAL node that must not say "off"; -1: none */
    bool flag;        /* includeWhen: spec.flag */
    bool ready;       /* has readyWhen */
    bool told;        /* stands in the status */
    bool elsewhere;   /* its objects stand in SIM_NS_OTHER */
};

struct sim_def {
    struct sim_node nodes[SIM_NODES_MAX];
    uint32_t n;
    bool conditions; /* has conditions of its author */
};

/*        name      what                                                */
#define SIM_STEPS(S)                                                                               \
    S(MAKE)     /* an instance is made, or its spec written */                                     \
    S(DELETE)   /* an instance is deleted */                                                       \
    S(SOURCE)   /* a source is made or written */                                                  \
    S(UNSOURCE) /* a source is deleted */                                                          \
    S(DRIFT)    /* a foreign writer changes a field of ours */                                     \
    S(NOISE)    /* a foreign writer changes a field that is not ours */                            \
    S(STEAL)    /* a foreign writer takes a label of ours off */                                   \
    S(KILL)     /* a child is deleted */                                                           \
    S(HOLD)     /* a child gets a foreign finalizer, and loses it */                               \
    S(SQUAT)    /* an object of another ApplySet stands where a child would */                     \
    S(UNSQUAT)                                                                                     \
    S(DEFINE)   /* the definition's variant changes */                                             \
    S(SUSPEND)  /* an instance is suspended, or goes on */                                         \
    S(FAULT)    /* exchanges will go wrong */                                                      \
    S(BREAK)    /* all streams break */                                                            \
    S(COMPACT)  /* the server forgets its history: 410 */                                          \
    S(DOWN)     /* the server goes away for a while */                                             \
    S(CRASH)    /* a controller ends at once */                                                    \
    S(CRASH_AT) /* ... at a later exchange */                                                      \
    S(STOP)     /* ... in order */                                                                 \
    S(START)    /* a controller starts, or a standby */                                            \
    S(FAILOVER) /* the standby takes over */                                                       \
    S(RECORD)   /* lists that may be stale will show this moment; and a backup is taken */         \
    S(BACK)     /* the server goes back to the backup */                                           \
    S(SLOW)     /* streams and answers become slow, or fast */

enum sim_step_kind {
#define S(name) SIM_STEP_##name,
    SIM_STEPS(S)
#undef S
        SIM_STEP_N
};

struct sim_step {
    enum sim_step_kind kind;
    uint32_t wait_ms; /* after it */
    uint32_t x[6];    /* what it needs to know: random numbers, used as remainders */
    bool left_out;    /* by shrinking */
};

struct sim_plan {
    uint64_t seed;
    struct sim_def defs[SIM_DEFS_MAX];
    uint32_t defs_n;
    struct sim_step steps[SIM_STEPS_MAX];
    uint32_t steps_n;
    bool calm; /* without trouble: the budget of requests is exact */
    bool no_streaming_list;
    uint32_t latency_ms; /* each way, at most, in quiet times */
    size_t chunk_bytes;
};

/* wide: with more definitions, nodes and steps. */
void sim_plan_make(struct sim_plan *p, uint64_t seed, bool wide);
const char *sim_step_name(enum sim_step_kind kind);
bool sim_is_external(const struct sim_node *n); /* refers to objects that are not its own */
/* splitmix64. */
uint64_t sim_rand(uint64_t *state);

/* What a run tells of itself: only its verdict; also a digest of its trace; also the trace. */
enum sim_tell { SIM_VERDICT, SIM_DIGEST, SIM_TRACE };

/* --- a run ------------------------------------------------------------------------------------ */

/*          name            what becomes of the exchange                                */
#define SIM_FAULTS(F)                                                                              \
    F(REFUSE, "refused")         /* nobody listens */                                              \
    F(BREAK, "broken before")    /* the connection breaks; never served */                         \
    F(EFFECT, "broken after")    /* served, then the connection breaks */                          \
    F(MUTE, "served, no answer") /* served, and no answer ever comes */                            \
    F(HANG, "no answer")         /* never served, and no answer ever comes */                      \
    F(CUT, "cut")                /* the answer breaks off */                                       \
    F(SHORT, "cut short")        /* the answer breaks off and seems to be whole */                 \
    F(S409, "409")                                                                                 \
    F(S410, "410")                                                                                 \
    F(S429, "429")                                                                                 \
    F(S500, "500")                                                                                 \
    F(LATE, "late")   /* served at once, the answer takes seconds */                               \
    F(TWICE, "twice") /* a stream: every event comes twice */                                      \
    F(CRAWL, "slow")  /* a stream: every event takes seconds */

enum sim_fault {
#define F(name, text) SIM_FAULT_##name,
    SIM_FAULTS(F)
#undef F
        SIM_FAULT_N
};

enum sim_on { SIM_ON_ALL, SIM_ON_READS, SIM_ON_WRITES, SIM_ON_STREAMS };

struct sim_rule {
    enum sim_fault fault;
    enum sim_on on;
    uint32_t skip, times; /* passes over so many, then hits so many */
    uint32_t size;        /* bytes of a cut; ms of a delay */
};

struct sim;

/* One controller. */
struct sim_proc {
    struct sim *sim;
    uint32_t number;
    struct vclock clock; /* its timers end with it */
    struct kube_client *client;
    struct reactor *reactor; /* NULL: it does not run */
    struct sim_line *line;
    bool leads;
    uint32_t crash_in; /* exchanges; 0: none is planned */
    bool crash_sent;   /* the last one takes effect */
    bool crash_due;
};

struct sim {
    const struct sim_plan *plan;
    uint32_t mutant; /* 0: none */
    enum sim_tell tell;
    uint64_t rand;       /* of the schedule */
    struct vclock clock; /* of the sandbox and the net */
    struct sandbox *sandbox;
    struct sandbox_front *front;
    struct sim_proc procs[SIM_PROCS];
    bool serving;        /* a controller's request is being served: what changes is its work */
    bool serving_status; /* ... and it is a status */
    uint32_t variant[SIM_DEFS_MAX];
    struct sim_rule rules[SIM_RULES_MAX];
    uint32_t rules_n;
    uint32_t slow_ms;  /* added to delays, at most */
    uint64_t up_at;    /* the server is down until then; 0: it is up */
    uint64_t busy_at;  /* when something last happened */
    uint32_t writes_n; /* of controllers, answered with 2xx, that are no status */
    uint32_t statuses_n;
    struct kr_map lists; /* path -> char *: the answer as it was recorded */
    struct kr_buf backup;
    uint64_t backup_version;
    uint32_t backup_variant[SIM_DEFS_MAX];
    struct sim_check *check;
    uint64_t digest; /* of the trace */
    uint32_t faults_n, crashes_n;
    char why[SIM_WHY_MAX]; /* the first breach; empty: none */
    struct kr_arena a;
};

/* The first breach counts: what comes later follows from it, perhaps. */
void sim_fail(struct sim *s, const char *fmt, ...) KR_PRINTF(2, 3);
bool sim_failed(const struct sim *s);
void sim_trace(struct sim *s, const char *fmt, ...) KR_PRINTF(2, 3);
uint32_t sim_pick(struct sim *s, uint32_t n); /* of the schedule: 0..n-1 */

/* world.c */
void sim_open(struct sim *s, const struct sim_plan *plan, uint32_t mutant, enum sim_tell tell);
void sim_close(struct sim *s);
void sim_start(struct sim *s, uint32_t proc, bool standby);
void sim_crash(struct sim *s, uint32_t proc, bool sent);
void sim_stop(struct sim *s, uint32_t proc);
void sim_lead(struct sim *s, uint32_t proc, bool lead);
int sim_leader(const struct sim *s); /* -1: none */
void sim_advance(struct sim *s, uint32_t ms);
void sim_rest(struct sim *s); /* fails where it never comes to rest */
/* The server goes back to the backup; false: there is none that is old enough. */
bool sim_back(struct sim *s);
/* As somebody else, at once. body: YAML or JSON; NULL: none. Returns the status. */
int sim_do(struct sim *s, const char *method, const char *path, const char *body);
int sim_apply(struct sim *s, const char *text); /* one JSON or YAML document; returns the status */
kr_val sim_get(struct sim *s, struct kr_arena *a, const char *path);
/* A schema, or what has some in it, without descriptions; lives in a. */
kr_val sim_undescribed(struct kr_arena *a, kr_val v);

/* net.c */
struct sim_line;
struct sim_line *sim_line_new(struct sim_proc *proc);
void sim_line_free(struct sim_line *line); /* when nothing is under way */
struct kube_transport *sim_line_transport(struct sim_line *line);
void sim_line_die(struct sim_line *line, bool sent); /* nothing is heard any more */
bool sim_line_idle(const struct sim_line *line);     /* no exchange is under way */
void sim_add_rule(struct sim *s, const struct sim_rule *rule);
void sim_record(struct sim *s);

/* openapi.c: answers for the documents of built-in kinds; false: another path. */
bool sim_openapi(struct sandbox *s, kr_str path, struct sandbox_response *r);

/* steps.c */
void sim_step(struct sim *s, const struct sim_step *step);
void sim_begin(struct sim *s);
void sim_define(struct sim *s, uint32_t def);
void sim_calm(struct sim *s); /* faults end, inputs become whole */

/* model.c */
struct sim_want {
    const char *resource; /* "configmaps" */
    const char *ns;
    kr_str name, v;
    bool certain; /* v follows from the spec alone */
    bool unsure;  /* that it is wanted does not */
    bool ready;   /* has to be ready */
    uint8_t node;
};
struct sim_wants {
    struct sim_want list[SIM_WANT_MAX];
    uint32_t n;
    bool skipped[SIM_NODES_MAX]; /* nodes without objects */
    kr_str v[SIM_NODES_MAX];     /* what readers of the node see */
};
/* The RGD as text. */
void sim_def_yaml(struct kr_buf *b, const struct sim_plan *p, uint32_t def, uint32_t variant);
/* The objects of an instance, given its spec and the sources (KR_NONE: unknown; its readers are
 * not certain then). All lives in a. */
void sim_model(struct kr_arena *a, const struct sim_plan *p, uint32_t def, uint32_t variant,
               kr_str instance, kr_val spec, const kr_val *sources, struct sim_wants *out);

/* check.c */
struct sim_check *sim_check_new(struct sim *s);
void sim_check_free(struct sim_check *c);
void sim_check_follow(struct sim_check *c, struct sandbox *sandbox);
/* The server goes back: what comes until `false` is its former state. */
void sim_check_back(struct sim_check *c, bool filling);
/* Of the budget. A write of a controller was answered with 2xx; version: of the server before it. */
void sim_check_write(struct sim_check *c, const struct sandbox_request *q, uint64_t version);
/* ... a list is asked for: path has the query. */
void sim_check_list(struct sim_check *c, kr_str path);
/* ... a list or a stream is given up by who asked for it. */
void sim_check_closed(struct sim_check *c, kr_str path);
void sim_check_start(struct sim_check *c); /* a controller starts: it knows nothing */
void sim_check_end(struct sim_check *c);   /* at rest: the cluster is what the model says */

/* run.c */
struct sim_result {
    char why[SIM_WHY_MAX]; /* empty: passed */
    uint64_t digest;
    uint32_t writes_n, statuses_n, faults_n, crashes_n;
};
void sim_run(const struct sim_plan *plan, uint32_t mutant, enum sim_tell tell,
             struct sim_result *out);
/* Leaves out steps as long as it fails in the same way. */
void sim_shrink(struct sim_plan *plan, uint32_t mutant, struct sim_result *out);

/* mutant.c: bugs at the door of the controllers. */
/*    name           what the controller seems to do                                     */
#define SIM_MUTANTS_LIST(M)                                                                        \
    M(EARLY, "removes the finalizer before the children are gone")                                 \
    M(GONE, "keeps its resourceVersion over a 410")                                                \
    M(INVENTORY, "makes children before the inventory is written")                                 \
    M(NO_FINALIZER, "makes children of an instance without a finalizer")                           \
    M(RESUME, "resumes a stream at the present, not where it stopped")                             \
    M(LOST_APPLY, "takes an apply as done that was not")                                           \
    M(LOST_DELETE, "takes a deletion as done that was not")                                        \
    M(STALE, "takes lists that may be old")                                                        \
    M(ACTIVE, "calls an instance ACTIVE before it is")                                             \
    M(FOREIGN, "does not look whose an object is")                                                 \
    M(DELETED, "misses that a child was deleted")                                                  \
    M(AGAIN, "writes again what it has just written")
const char *sim_mutant_text(uint32_t mutant); /* from 1; NULL: there is none of that number */
/* Alters a request on its way; what it makes lives in a. */
void sim_mutate_request(struct sim *s, struct kr_arena *a, struct kube_exchange *x);
/* Is the request sent once more? */
bool sim_mutate_again(const struct sim *s, const struct sandbox_request *q);
void sim_mutate_done(struct sim *s, const struct sandbox_request *q);
bool sim_mutate_event(struct sim *s, kr_str line); /* false: it is not heard */
/* Is the answer to be heard as the end of a stream without events? */
bool sim_mutate_status(const struct sim *s, const struct kube_exchange *x, int status);

#endif
