/* SPDX-License-Identifier: Apache-2.0 */
/* doctor_check.h - what the files of the doctor share, and nobody else: a check, its questions, the facts.
 *
 *   start --> questions --all answered, or the limit--> judge --asks more--> questions ...
 *                                                         '--asks nothing--> over
 *
 * Facts are what several checks want to know; they are asked for once, at the beginning, and a check
 * starts when those of its row are there.
 */
#ifndef REACTOR_DOCTOR_CHECK_H
#define REACTOR_DOCTOR_CHECK_H

#include "kube/discovery.h"
#include "reactor/doctor.h"

enum {
    DOCTOR_ASKS_MAX = 600,       /* questions of one check: R02 has 6 for each kind */
    DOCTOR_TEXT_MAX = 16 * 1024, /* bytes of a finding, of a fix */
    DOCTOR_LIST_MAX = 500,       /* objects of one list that are looked at */
    DOCTOR_NAMED_MAX = 8,        /* things of one sort that a finding names; the rest is counted */
    DOCTOR_WORDS_MAX = 1024,     /* bytes of one remark */
    DOCTOR_CLOCK_MAX_S = 5,      /* clocks may differ by so much */
    DOCTOR_ENDING_S = 5 * 60,    /* a deletion may take so long */
};

/*    fact         what is asked */
#define DOCTOR_FACTS(F)                                                                            \
    F(DEPLOYMENTS, "Deployments of controllers")                                                   \
    F(RGDS, "ResourceGraphDefinitions")                                                            \
    F(CRDS, "CRDs, their metadata")                                                                \
    F(KINDS, "discovery")                                                                          \
    F(HEADERS, "the headers of an answer")

enum {
#define F(name, about) DOCTOR_F_##name,
    DOCTOR_FACTS(F)
#undef F
        DOCTOR_FACTS_N
};
enum {
#define F(name, about) DOCTOR_NEED_##name = 1 << DOCTOR_F_##name,
    DOCTOR_FACTS(F)
#undef F
};

struct doctor_check;

/* A question of a check. */
struct doctor_ask {
    struct kube_req req;
    struct doctor_check *check;
    struct kr_link link;
    bool sent;
    uint32_t tag;      /* the check's own */
    const void *about; /* the check's own */
    kr_str verb, what; /* the same; live in the check's arena */
};

struct doctor_row {
    const char *id;
    uint32_t limit_ms;
    uint32_t needs; /* DOCTOR_NEED_* */
    void (*start)(struct doctor_check *c);
    void (*judge)(struct doctor_check *c);
    const char *about;
};

struct doctor_check {
    const struct doctor_row *row;
    struct reactor_doctor *d;
    enum reactor_verdict verdict;
    struct kr_buf finding, fix;
    struct kr_arena arena;

    struct kr_link asks; /* struct doctor_ask.link, in the order of asking */
    uint32_t asks_n;
    uint32_t open_n;  /* questions of any sort that are not answered */
    uint32_t named_n; /* doctor_name: how many were named */
    kr_str cut;   /* a fact that is longer than what was asked for; lives for ever. Empty: none */
    bool dropped; /* a question beyond DOCTOR_ASKS_MAX was not asked */
    bool off;     /* not among those wanted */
    bool started, over;
    bool late;    /* the limit has come */
    bool unheard; /* nothing came back: no connection, or late */
    int stage;    /* the check's own: which judge is this? */
    void *state;  /* the check's own; lives in arena */
    /* Called at the limit besides cancelling the requests; NULL: nothing more to cancel. A check that
     * has to clean up gets REACTOR_CLEAN_MS for it, once. */
    void (*cancel)(struct doctor_check *c);
    bool cleans, cleaning; /* it does that now: nothing is cancelled */
    struct kube_timer limit, pause;
};

struct doctor_fact {
    struct reactor_doctor *d;
    struct kube_req req;
    bool over;
};

/* What the head of an answer said. */
struct doctor_headers {
    struct kube_exchange x;
    struct reactor_doctor *d;
    bool open;
    int rc;
    char version[32], encoding[32], via[128], level[64], date[64];
    int64_t wall_ms; /* when it came */
    struct kube_timer limit;
};

struct reactor_doctor {
    struct reactor_doctor_opts opts;
    struct doctor_check *checks; /* by row */
    uint32_t open_n;             /* checks and facts that are not over */
    uint32_t checks_n;           /* checks alone */
    struct doctor_fact facts[DOCTOR_FACTS_N];
    uint32_t known; /* DOCTOR_NEED_* */
    struct kube_discovery *discovery;
    struct doctor_headers headers;
    bool told, canceled;
};

extern const struct doctor_row doctor_rows[];
extern const uint32_t doctor_rows_n;

/* --- what a check says ------------------------------------------------------------------------ */

/* Adds to the finding and makes the verdict at least v. */
void doctor_say(struct doctor_check *c, enum reactor_verdict v, const char *fmt, ...)
    KR_PRINTF(3, 4);
/* The first fix that is given stays. */
void doctor_cure(struct doctor_check *c, const char *fmt, ...) KR_PRINTF(2, 3);
/* As doctor_say, but from the DOCTOR_NAMED_MAXth on it is counted only; doctor_named ends that with
 * "and 3 more". */
void doctor_name(struct doctor_check *c, enum reactor_verdict v, const char *fmt, ...)
    KR_PRINTF(3, 4);
void doctor_named(struct doctor_check *c);
/* A name from the cluster that goes into a command for a shell; "?" when it is none. */
kr_str doctor_plain(kr_str name);
/* The server, as "https://host:port". */
kr_str doctor_server(struct doctor_check *c);
struct kube_clock *doctor_clock(struct doctor_check *c);
int64_t doctor_wall_s(struct doctor_check *c);

/* --- questions -------------------------------------------------------------------------------- */

/* A further question, to be filled in; it is sent when start or judge returns. NULL: too many, which is
 * said at the end. */
struct doctor_ask *doctor_ask(struct doctor_check *c);
struct doctor_ask *doctor_get(struct doctor_check *c, kr_str path);
/* The metadata alone, of a list or an object: no secret comes along. */
struct doctor_ask *doctor_meta(struct doctor_check *c, kr_str path);
struct doctor_ask *doctor_first(struct doctor_check *c); /* NULL: none */
struct doctor_ask *doctor_next(struct doctor_check *c, struct doctor_ask *a);
#define DOCTOR_EACH(a, c)                                                                          \
    for (struct doctor_ask *a = doctor_first(c); a != NULL; a = doctor_next((c), a))
/* Something else is asked (host, exchange, load): open_n counts it. When it is answered: */
void doctor_answered(struct doctor_check *c);
/* Judge again after so long. */
void doctor_pause(struct doctor_check *c, uint32_t ms);

/* Did nothing come back? Then says so, once for a check. */
bool doctor_unheard(struct doctor_check *c, struct doctor_ask *a);
/* The server said no: a WARN with what it is that we may not, or cannot, do. */
void doctor_refused(struct doctor_check *c, const struct kube_req *req, const char *what);
/* Is what was asked there? Else says why not (404 is said by the caller: status). */
bool doctor_ok(struct doctor_check *c, struct doctor_ask *a, const char *what);
/* Has a list an end that did not come with it? */
bool doctor_is_cut(const struct kube_req *req);

/* --- facts ------------------------------------------------------------------------------------ */

/* The items of a fact; an empty list where the type does not exist. False: not known, which is said.
 * Where there are more (c->cut), that is said at the end. */
bool doctor_items(struct doctor_check *c, int fact, kr_val *items);
bool doctor_kinds(struct doctor_check *c); /* discovery is there; else that is said */
/* The kind that a definition generates. */
kr_gvk doctor_generated(kr_val rgd);
kr_str doctor_crd_name(struct kr_arena *a, kr_val rgd);
kr_val doctor_label(kr_val object, const char *key); /* a key with dots */
/* The controller's Deployment in the namespace that is meant, or KR_NONE. */
kr_val doctor_controller(struct doctor_check *c);
/* Exchange of headers: started by doctor.c with the facts. */
void doctor_headers_start(struct reactor_doctor *d);
void doctor_fact_over(struct reactor_doctor *d, int fact);

/* --- the checks ------------------------------------------------------------------------------- */

#define C(id, limit, needs, start, judge, about)                                                   \
    void doctor_##start(struct doctor_check *c);                                                   \
    void doctor_##judge(struct doctor_check *c);
#include "reactor/doctor.def"
#undef C

#endif
