/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox.h - a Kubernetes API server in the process.
 *
 * One function takes a request and gives a response, over objects in memory: no socket, and the
 * clock is the caller's, so tests serve requests in virtual time. serve.h puts HTTP/1.1 on loopback
 * in front of it, with or without TLS: `kroc sandbox`.
 *
 * What stands where:
 *
 *   request.c    path and query -> who serves it            types.c    which types there are
 *   read.c       get, list, pages                            crd.c      types that definitions bring
 *   write.c      create, update, patch, apply, delete        store.c    objects, versions, history
 *   watch.c      the stream of changes                       prepare.c  what the server fills in
 *   table.c      tables and metadata alone                   review.c   reviews, tokens
 *   discovery.c  which types, openapi.c their schemas        save.c     a file that outlives it
 *   owners.c     garbage collection   namespaces.c  their life and end   standins.c  ready workloads
 *
 * and of values alone, without a request:
 *
 *   fields.c     sets of managed fields                      patch.c    JSON and merge patches
 *   typed.c      merge and compare by schema                 patch_strategic.c
 *   manage.c     server-side apply, who manages what         gotype.c   built-in types as Go writes them
 *   schema.c     objects of definitions: defaults, checks    valid.c    rules of built-in types
 *   rules.c      rules of values as tables, words.c names    pods.c, shapes.c   the tables
 *   glue.c       where requests meet them                    names.c, policy.c
 *
 * Rules beyond single requests (owners, namespaces, stand-ins) run on timers of the clock, as the
 * controllers of a cluster do beside its API server.
 *
 * Source: Kubernetes "API concepts", kube-apiserver 1.36.
 */
#ifndef SANDBOX_H
#define SANDBOX_H

#include "cel/base/buf.h"
#include "cel/base/ref.h"
#include "cel/base/val.h"
#include "kube/transport.h"

enum {
    SANDBOX_BODY_MAX = 3 * 1024 * 1024,       /* bytes of a request's body, as the real server */
    SANDBOX_OBJECT_MAX = 3 * 1024 * 1024 / 2, /* bytes of a stored object, as etcd */
    SANDBOX_OBJECT_DEPTH_MAX = 95, /* nesting of an object with its managed fields: what it is shown
                                      in (event, table, rows, row, object) nests 4 more, and JSON
                                      ends at KR_JSON_DEPTH_MAX */
    SANDBOX_RESPONSE_MAX = 1024 * 1024 * 1024, /* bytes of a response */
    SANDBOX_HISTORY_MAX = 2000,            /* changes of one type that a watch can resume over */
    SANDBOX_WATCHES_MAX = 10 * 1000,       /* open at a time */
    SANDBOX_TYPES_MAX = 10 * 1000,         /* resource types */
    SANDBOX_OBJECTS_MAX = 4 * 1000 * 1000, /* objects of one type */
    SANDBOX_FIRST_VERSION = 1000,          /* resource versions begin here */
    SANDBOX_READY_AFTER_MS = 300,          /* how long workloads take to become ready */
};

struct sandbox;
struct sandbox_watch;

struct sandbox_opts {
    bool bare;               /* the API server alone: no garbage collection, namespace controller or
                                stand-ins */
    uint32_t ready_after_ms; /* of the stand-ins; 0: SANDBOX_READY_AFTER_MS */
    uint32_t history_n;      /* 0: SANDBOX_HISTORY_MAX */
    /* Built-in types that are served, beside those that the sandbox itself cannot do without:
     * "deployments.apps", "configmaps."; ends with NULL. NULL: all. */
    const char *const *types;
    /* Where schemas of built-in types are kept once they were read; several sandboxes may share it, one
     * after the other or in turn. Borrowed, outlives the sandbox. NULL: a place of its own. */
    struct cel_kinds *kinds;
};

/* Borrows the clock, which gives times and random numbers. Has the namespaces of a new cluster.
 * Returns owned. */
struct sandbox *sandbox_new(struct kube_clock *clock, const struct sandbox_opts *opts);
/* Legal when no watch is open. */
void sandbox_free(struct sandbox *s); /* accepts NULL */
KR_DEFINE_FREEP(sandbox)

/* Borrowed for the call. */
struct sandbox_request {
    const char *method; /* "GET", ... */
    kr_str path;        /* with the query: "/api/v1/pods?limit=500" */
    kr_str body;
    kr_str content_type, accept, user_agent; /* headers; may be empty */
};

enum { SANDBOX_WARNINGS_MAX = 16 };

/* Zero it before; sandbox_response_fini after. */
struct sandbox_response {
    int status;
    const char *content_type;
    struct kr_buf body;
    uint32_t retry_after_s;                /* 0: none */
    kr_str warnings[SANDBOX_WARNINGS_MAX]; /* texts of Warning headers; live in arena */
    uint32_t warnings_n;
    struct sandbox_watch *watch; /* the body comes from it; close it with sandbox_watch_close */

    struct kr_arena arena;
};
void sandbox_response_fini(struct sandbox_response *r);

/* Serves one request, wholly. Never fails: what is wrong becomes a status. */
void sandbox_serve(struct sandbox *s, const struct sandbox_request *q, struct sandbox_response *r);

/* Which object a document is about: its resource by its kind; namespaced ones without a namespace are
 * of default. Texts are borrowed from s and object. false: no such kind is served. */
bool sandbox_ref(const struct sandbox *s, kr_val object, kr_ref *ref);
/* Applies an object server-side, by force, as that manager; namespaced ones without a namespace go
 * to default. Returns the status; 404: its kind or namespace is not there. */
int sandbox_apply(struct sandbox *s, kr_val object, const char *manager,
                  struct sandbox_response *r);

/* --- streams ---------------------------------------------------------------------------------- */

/* Calls fn(arg) when there is more to read, or the end; may run inside sandbox_serve. NULL: stop. */
void sandbox_watch_on_more(struct sandbox_watch *w, void (*fn)(void *arg), void *arg);
/* Appends what there is, one event a line, and stops behind the event that exceeds `enough` bytes.
 * false: nothing will come any more. */
bool sandbox_watch_read(struct sandbox_watch *w, struct kr_buf *out, size_t enough);
void sandbox_watch_close(struct sandbox_watch *w); /* accepts NULL */
uint32_t sandbox_watches_n(const struct sandbox *s);

/* --- for those who steer it ------------------------------------------------------------------- */

uint64_t sandbox_version(const struct sandbox *s); /* the latest resourceVersion */
/* Forgets the history: who resumes or continues an older list gets 410. */
void sandbox_compact(struct sandbox *s);
/* Sends a bookmark to all watches that take them. */
void sandbox_bookmark(struct sandbox *s);
uint32_t sandbox_objects_n(const struct sandbox *s);
/* Is nothing due that the sandbox itself will do at once (owners, namespaces, definitions)? */
bool sandbox_idle(const struct sandbox *s);

/* A change that was stored, just now. Values and texts are borrowed for the call. */
struct sandbox_seen {
    kr_str group, resource, ns, name;
    bool added, deleted; /* neither: changed */
    kr_val object;       /* as it is now; of a deletion its last state */
};
typedef void sandbox_seen_fn(void *arg, const struct sandbox_seen *seen);
/* fn sees all changes, whoever makes them, and must not call the sandbox. NULL: stop. */
void sandbox_on_change(struct sandbox *s, sandbox_seen_fn *fn, void *arg);
/* All objects as text, and into an empty sandbox: the same state under the same versions, without
 * history. sandbox_fill: KR_E_INPUT: no such text. */
void sandbox_text(struct sandbox *s, struct kr_buf *out);
KR_MUST int sandbox_fill(struct sandbox *s, kr_str text, struct kr_err *err);

/* --- a file that outlives it ------------------------------------------------------------------ */

/* Writes all objects to a new file beside path and renames it: a crash leaves the old or the new. */
KR_MUST int sandbox_save(struct sandbox *s, const char *path, struct kr_err *err);
/* Reads what sandbox_save wrote, into an empty sandbox. 1: there is no such file. What was given
 * out behind the last save and lost in a crash is not given out again: versions go on
 * SANDBOX_VERSION_GAP higher. */
KR_MUST int sandbox_load(struct sandbox *s, const char *path, struct kr_err *err);
enum { SANDBOX_VERSION_GAP = 1000 * 1000 };
/* Keeps other sandboxes from path by a lock on a file beside it, until *claim is given to
 * sandbox_unclaim. KR_E_IO: another one has it. */
KR_MUST int sandbox_claim(const char *path, int *claim, struct kr_err *err);
void sandbox_unclaim(const char *path, int claim);

#endif
