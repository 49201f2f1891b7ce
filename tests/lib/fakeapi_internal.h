/* SPDX-License-Identifier: Apache-2.0 */
/* fakeapi_internal.h - shared by the files of fakeapi:
 *
 *   fakeapi.c          the transport: life of an exchange, log, what tests call
 *   fakeapi_kinds.c    kinds, CRDs, discovery, OpenAPI
 *   fakeapi_objects.c  requests on objects: verbs, conflicts, defaults, finalizers, history
 *   fakeapi_watch.c    lists, selectors, watches
 *   fakeapi_ssa.c      field sets and merging
 */
#ifndef FAKEAPI_INTERNAL_H
#define FAKEAPI_INTERNAL_H

#include "cel/base/json.h"
#include "cel/base/map.h"
#include "cel/base/ref.h"
#include "cel/base/yaml.h"
#include "tests/lib/fakeapi.h"

/* A kind in one version. */
struct fake_kind {
    kr_gvk gvk;
    kr_str resource, singular;
    kr_str crd; /* name of the CRD that made it; empty: built in */
    bool namespaced, has_status, generation;
    kr_val schema;         /* OpenAPI, may have $refs */
    kr_str component;      /* its name among the schemas */
    struct kr_arena arena; /* of all this, when from a CRD */
    struct kr_link link;
};

/* One version of an object: immutable, counted. */
struct fake_obj {
    uint32_t refs;
    struct kr_arena arena;
    kr_val v;
    kr_str group, resource, namespace, name; /* live in arena */
    uint64_t version;
};
struct fake_obj *fake_obj_hold(struct fake_obj *o); /* accepts NULL */
void fake_obj_drop(struct fake_obj *o);             /* accepts NULL */

struct fake_event {
    uint64_t version;
    struct fake_obj *old, *now; /* one reference each; old NULL: added, now NULL: deleted */
    struct fake_obj *last;      /* of a deletion: the final state, with the deletion's version */
};

struct fakeapi {
    struct kube_transport transport;
    struct kube_clock *clock;
    struct fakeapi_opts opts;
    bool down;

    struct kr_arena arena;       /* built-in kinds and schemas */
    kr_val components;           /* OpenAPI schemas by name */
    struct kr_link kinds;        /* struct fake_kind */
    struct kr_map objects;       /* "group/resource|namespace|name" -> struct fake_obj */
    uint64_t version, compacted; /* of the last write; up to which history is gone */
    uint64_t uid;
    struct fake_event *events; /* oldest first */
    uint32_t events_n, events_cap;
    struct kr_link calls; /* struct fake_call */
    struct kr_buf log;
    struct kube_timer crds; /* to establish what was created */
};

struct fake_request {
    const char *method;
    kr_str path, query;
    const char *content_type, *accept, *agent;
    kr_str body;
};

struct fake_response {
    struct kr_arena *a;
    int status;
    kr_val body;
    int32_t retry_after_s; /* 0: no such header */
};

/* A path taken apart. */
struct fake_target {
    struct fake_kind *kind;
    kr_str namespace, name, sub;
};

/* An exchange under way. */
struct fake_call {
    struct fakeapi *f;
    struct kube_exchange *x;
    struct kube_timer timer; /* next thing to do */
    struct kube_timer silence;
    struct kr_link link;
    struct kr_arena arena; /* of the watch's selectors */
    bool canceled, broken, handled, head_sent;
    int end_rc;            /* with broken: how it ends */
    bool watching, ending; /* ending: after the bytes, the end */
    struct fake_target target;
    kr_str labels, fields;
    bool bookmarks;
    uint64_t sent_version; /* everything up to here has been sent */
    struct kr_buf out;
};

/* fakeapi.c */
kr_str fake_query(struct kr_arena *a, kr_str query,
                  const char *name); /* decoded; .s NULL: not there */
void fake_status(struct fake_response *r, int code, const char *reason, const char *fmt, ...)
    KR_PRINTF(4, 5);
void fake_wake(struct fake_call *call, uint64_t delay_ms);

/* fakeapi_kinds.c */
void fake_kinds_load(struct fakeapi *f);
void fake_kinds_free(struct fakeapi *f);
struct fake_kind *fake_kind_by_resource(struct fakeapi *f, kr_str group, kr_str version,
                                        kr_str resource);
struct fake_kind *fake_kind_by_gvk(struct fakeapi *f, kr_gvk gvk);
void fake_crd_changed(struct fakeapi *f,
                      kr_val crd); /* written: takes the schema of an established one */
void fake_crd_gone(struct fakeapi *f, kr_val crd);
bool fake_meta_request(struct fakeapi *f, const struct fake_request *q,
                       struct fake_response *r); /* false: not one */

/* Schemas: a node with its $ref resolved; KR_NONE where nothing is known. */
kr_val fake_schema_resolve(struct fakeapi *f, kr_val node);
kr_val fake_schema_member(struct fakeapi *f, kr_val node, kr_str name, bool *declared);
kr_val fake_schema_items(struct fakeapi *f, kr_val node);
/* Defaults, and without `keep_unknown` drops what the schema does not know. */
kr_val fake_normal(struct fakeapi *f, struct kr_arena *a, kr_val node, kr_val v, bool keep_unknown);

/* fakeapi_ssa.c: sets are fieldsV1 values; KR_NONE is the empty set. */
kr_val fake_set_of(struct fakeapi *f, struct kr_arena *a, kr_val node, kr_val v);
kr_val fake_set_or(struct kr_arena *a, kr_val x, kr_val y);
kr_val fake_set_and(struct kr_arena *a, kr_val x, kr_val y);
kr_val fake_set_minus(struct kr_arena *a, kr_val x, kr_val y);
kr_val fake_set_changed(struct fakeapi *f, struct kr_arena *a, kr_val node, kr_val old, kr_val now);
kr_val fake_set_existing(struct fakeapi *f, struct kr_arena *a, kr_val node, kr_val set, kr_val v);
kr_val fake_merge(struct fakeapi *f, struct kr_arena *a, kr_val node, kr_val live, kr_val applied);
kr_val fake_remove(struct fakeapi *f, struct kr_arena *a, kr_val node, kr_val v, kr_val set);
void fake_set_paths(struct kr_buf *b, kr_val set,
                    kr_str prefix); /* ".data.a" lines, for conflicts */

/* fakeapi_objects.c */
void fake_object_request(struct fakeapi *f, const struct fake_request *q,
                         const struct fake_target *t, struct fake_response *r);
struct fake_obj *fake_find(struct fakeapi *f, const struct fake_target *t);
kr_val fake_as_version(struct kr_arena *a, const struct fake_kind *k, kr_val v);
/* Writes next in place of old (NULL: creates); returns what is stored now. Unchanged: no event. */
struct fake_obj *fake_commit(struct fakeapi *f, struct kr_arena *a, struct fake_kind *k,
                             struct fake_obj *old, kr_val next);
void fake_remove_object(struct fakeapi *f, struct fake_obj *o);
void fake_compact(struct fakeapi *f);

/* fakeapi_watch.c */
void fake_list(struct fakeapi *f, const struct fake_request *q, const struct fake_target *t,
               struct fake_response *r);
/* Starts the watch of call (fills its out); false: r has the refusal. */
bool fake_watch_start(struct fake_call *call, const struct fake_request *q,
                      struct fake_response *r);
void fake_watch_fill(struct fake_call *call); /* adds the events that came since */
void fake_watch_bookmark(struct fake_call *call);
bool fake_matches(const struct fake_obj *o, const struct fake_target *t, kr_str labels,
                  kr_str fields);

#endif
