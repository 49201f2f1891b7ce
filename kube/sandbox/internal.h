/* SPDX-License-Identifier: Apache-2.0 */
/* internal.h - what the files of the sandbox share.
 *
 *   sandbox --- types: "resource.group" -> sandbox_type --- tree: "namespace/name" -> sandbox_obj
 *                                             |  `--------- history: the last changes
 *                                             `------------ watches, each at a place of the history
 *
 * An object is stored as the JSON text of its storage version, without apiVersion and kind: those
 * are put in front when it is shown, so showing it in another version of a type (which differ in
 * nothing else) costs nothing, and a list is copied, not written.
 */
#ifndef SANDBOX_INTERNAL_H
#define SANDBOX_INTERNAL_H

#include "cel/base/map.h"
#include "cel/base/ref.h"
#include "cel/schema.h"
#include "kube/builtin.h"
#include "kube/sandbox/sandbox.h"
#include "kube/sandbox/schema.h"

/* --- objects ---------------------------------------------------------------------------------- */

/* One state of one object; immutable, counted. */
struct sandbox_obj {
    uint32_t refs;
    uint32_t key_n, json_n; /* bytes */
    uint32_t labels_n;      /* bytes; 0: it has none */
    bool terminating;       /* metadata.deletionTimestamp is set */
    bool owned;             /* has metadata.ownerReferences */
    bool final;             /* has metadata.finalizers */
    uint32_t schema_n;      /* of its type, when it was written */
    uint64_t version;
    char bytes[]; /* key, JSON, and once more its labels, in rows: see sandbox__obj_labels */
};
static inline kr_str sandbox__obj_key(const struct sandbox_obj *o)
{
    return (kr_str){o->bytes, o->key_n};
}
static inline kr_str sandbox__obj_json(const struct sandbox_obj *o)
{
    return (kr_str){o->bytes + o->key_n, o->json_n};
}
/* metadata.labels as a map in a, without reading the JSON. Its texts borrow the object's bytes. */
kr_val sandbox__obj_labels(struct kr_arena *a, const struct sandbox_obj *o);
kr_str sandbox__obj_namespace(const struct sandbox_obj *o); /* empty: of the cluster */
kr_str sandbox__obj_name(const struct sandbox_obj *o);
struct sandbox_obj *sandbox__obj_hold(struct sandbox_obj *o); /* accepts NULL */
void sandbox__obj_drop(struct sandbox_obj *o);                /* accepts NULL */

/* A skip list by key, bytewise: "namespace/name", or "name". */
struct sandbox_node;
struct sandbox_tree {
    struct sandbox_node *head;
    uint32_t n;
    uint32_t seed; /* of the heights of its towers */
};
void sandbox__tree_fini(struct sandbox_tree *t);
struct sandbox_obj *sandbox__tree_get(const struct sandbox_tree *t, kr_str key);
/* Takes over one reference to o and drops that to what it replaces. */
void sandbox__tree_put(struct sandbox_tree *t, struct sandbox_obj *o);
void sandbox__tree_del(struct sandbox_tree *t, kr_str key);
/* The first object whose key is not before `key`; and the one after a node. */
struct sandbox_node *sandbox__tree_seek(const struct sandbox_tree *t, kr_str key);
struct sandbox_node *sandbox__node_next(const struct sandbox_node *n);
struct sandbox_obj *sandbox__node_obj(const struct sandbox_node *n);

enum sandbox_change { SANDBOX_ADDED, SANDBOX_MODIFIED, SANDBOX_DELETED };
struct sandbox_event {
    uint64_t version;
    enum sandbox_change change;
    struct sandbox_obj *old; /* before; NULL: added */
    struct sandbox_obj *now; /* after; of a deletion its last state, with the version of its end */
};

/* --- types ------------------------------------------------------------------------------------ */

struct sandbox_target;

/* One version of a type. Strings live as long as the type's versions. */
struct sandbox_version {
    kr_str name;
    bool served, status, scale;
    bool deprecated;
    kr_str warning;    /* of a deprecated one; empty: the usual text */
    kr_val openapi;    /* schema of a definition's version; KR_NONE: built-in */
    kr_val columns;    /* additionalPrinterColumns */
    kr_val selectable; /* selectableFields */
    kr_str scale_spec, scale_status, scale_selector; /* paths: ".spec.replicas" */
    const struct cel_schema *schema;                 /* NULL until asked for: sandbox__schema */
    struct kube_builtin_kind builtin;                /* of a built-in one */
};

struct sandbox_type {
    kr_str group, resource, kind, list_kind, singular;
    kr_val short_names, categories; /* lists of strings */
    kr_str verbs;                   /* letters, as kube_builtin_verbs takes them */
    bool namespaced, builtin;
    bool terminating;                 /* its definition is being deleted: nothing new */
    bool gone;                        /* its definition is not there any more */
    struct sandbox_version *versions; /* by preference */
    uint32_t versions_n, storage;     /* index of the version that is stored */
    uint32_t schema_n;                /* generation of its definition; 0: a built-in one */

    struct sandbox_tree objects;
    struct sandbox_event *events; /* a ring: event number i stands at i % cap */
    uint64_t events_from, events_to;
    uint32_t events_cap;
    uint64_t compacted; /* the latest version that was forgotten */
    struct kr_link watches;
    uint32_t watches_n;
    struct kr_arena arena;   /* names and versions */
    char *key;               /* "resource.group" */
    struct cel_kinds *kinds; /* schemas of a definition's versions; NULL: built-in */
    struct sandbox_rules rules;
};

struct sandbox {
    struct sandbox_opts opts;
    struct kube_clock *clock;
    uint64_t version;
    struct kr_map types;     /* "resource.group" -> struct sandbox_type */
    struct cel_kinds *kinds; /* schemas of built-in types, as they are asked for */
    uint32_t watches_n;
    uint64_t definitions_n; /* counts changes of definitions */

    struct kr_map owners;      /* uid -> who names it as an owner; owners.c */
    struct sandbox_work *work; /* what is to be done beside requests; sandbox.c */
    uint32_t address_n;        /* given to Services so far */
    sandbox_seen_fn *seen;     /* sees changes; may be NULL */
    void *seen_arg;
};

/* Reads the built-in types; called once. */
void sandbox__types_init(struct sandbox *s);
void sandbox__type_free(struct sandbox_type *t);
struct sandbox_type *sandbox__type(const struct sandbox *s, kr_str group, kr_str resource);
struct sandbox_type *sandbox__type_of_kind(const struct sandbox *s, kr_str group, kr_str kind);
/* A type with names of its own, entered into the table. */
struct sandbox_type *sandbox__type_new(struct sandbox *s, kr_str group, kr_str resource);
const struct sandbox_version *sandbox__type_version(const struct sandbox_type *t, kr_str name);
/* NULL: it has none. */
const struct cel_schema *sandbox__schema(struct sandbox *s, const struct sandbox_type *t,
                                         const struct sandbox_version *v);
kr_str sandbox__api_version(struct kr_arena *a, const struct sandbox_type *t, kr_str version);

/* --- store ------------------------------------------------------------------------------------ */

kr_str sandbox__key(struct kr_arena *a, kr_str ns, kr_str name);
struct sandbox_obj *sandbox__find(const struct sandbox_type *t, kr_str ns, kr_str name);
/* The object as a value in that version (NULL: as it is stored); lives in a. */
kr_val sandbox__value(struct kr_arena *a, const struct sandbox_type *t,
                      const struct sandbox_version *v, const struct sandbox_obj *o);
/* The same as text. */
void sandbox__show(struct kr_buf *out, const struct sandbox_type *t,
                   const struct sandbox_version *v, const struct sandbox_obj *o);
/* Stores next in place of old (NULL: new) under the next version, tells the watches and whoever
 * acts on changes. Where next has a deletionTimestamp and no finalizers, or `remove`, it is the last
 * state of what is removed. Returns what was stored, held for the caller. KR_E_LIMIT: too large. */
KR_MUST int sandbox__commit(struct sandbox *s, struct sandbox_type *t, struct sandbox_obj *old,
                            kr_val next, bool remove, struct sandbox_obj **out, struct kr_err *err);
/* The number of the first event behind that version. */
uint64_t sandbox__event_after(const struct sandbox_type *t, uint64_t version);
const struct sandbox_event *sandbox__event(const struct sandbox_type *t, uint64_t number);
/* Tells the type's watches that its history has grown. */
void sandbox__watches_wake(struct sandbox_type *t);
/* Forgets all but the last n events of a type. */
void sandbox__forget(struct sandbox_type *t, uint64_t keep_n);

kr_val sandbox__now(struct sandbox *s, struct kr_arena *a); /* "2006-01-02T15:04:05Z" */
kr_str sandbox__uid(struct sandbox *s, struct kr_arena *a);

/* Is text the first of its kind? Long lists are looked through once. */
static inline bool sandbox__is_first(struct kr_map *seen, kr_str text)
{
    return kr_map_get(seen, text) == NULL && kr_map_put(seen, text, seen) == NULL;
}

static inline bool sandbox__is(const struct sandbox_type *t, const char *group,
                               const char *resource)
{
    return t->builtin && kr_str_eq(t->resource, kr_str_c(resource)) &&
           kr_str_eq(t->group, kr_str_c(group));
}
/* With the defaults of built-in kinds: they belong to whoever writes the object. */
kr_val sandbox__defaulted(struct sandbox *s, struct kr_arena *a, const struct sandbox_type *t,
                          kr_val v);
/* A changed object without what the server had filled in and has no meaning any more: it is not held against
 * the client. Source: kubernetes pkg/registry/core/service. */
kr_val sandbox__without_filled(struct sandbox *s, struct kr_arena *a, const struct sandbox_type *t,
                               kr_val old, kr_val v);
/* A new object (old is KR_NONE) or a changed one, with what the server fills in: names, uid, times,
 * generation, addresses. The value is right already. Lives in a. */
kr_val sandbox__filled(struct sandbox *s, struct kr_arena *a, const struct sandbox_target *t,
                       kr_val old, kr_val v);
kr_val sandbox__without_finalizer(struct kr_arena *a, kr_val v, kr_str name);
/* A definition that is being deleted: with the finalizer that keeps it until its objects are gone. */
kr_val sandbox__definition_ending(struct sandbox *s, struct kr_arena *a, kr_val crd);

/* --- a request on its way --------------------------------------------------------------------- */

/* What a path names. */
struct sandbox_target {
    struct sandbox_type *type;
    const struct sandbox_version *version;
    kr_str ns, name, sub; /* empty: not given */
};

struct sandbox_call {
    struct sandbox *s;
    const struct sandbox_request *q;
    struct sandbox_response *r;
    struct kr_arena *a; /* of the response */
    kr_str path;        /* without the query */
    kr_val query;       /* parameters: a map of strings */
    struct sandbox_target t;
};
kr_str sandbox__arg(const struct sandbox_call *c, const char *name); /* empty: absent */
/* As the real server reads it: there, and neither "0" nor "false" (of any case): some clients send "True".
 * Source: apimachinery pkg/runtime/conversion.go. */
bool sandbox__arg_true(const struct sandbox_call *c, const char *name);

/* Answers. All return c->r->status. */
int sandbox__answer(struct sandbox_call *c, int status, kr_val body);
int sandbox__answer_obj(struct sandbox_call *c, int status, const struct sandbox_target *t,
                        const struct sandbox_obj *o);
int sandbox__answer_val(struct sandbox_call *c, int status,
                        kr_val object);                     /* as a table if asked */
int sandbox__refuse(struct sandbox_call *c, kr_val status); /* a metav1.Status with its code */
void sandbox__warn(struct sandbox_call *c, kr_str text);    /* each text once */

int sandbox__answer_text(struct sandbox_call *c, int status, const char *text);
/* A metav1.Status of failure about the call's type and name; BadRequest and NotAcceptable
 * are about the request alone. */
int sandbox__fail(struct sandbox_call *c, int code, const char *reason, const char *fmt, ...)
    KR_PRINTF(4, 5);
/* The same, whose details name the kind instead of the resource. */
int sandbox__fail_kind(struct sandbox_call *c, int code, const char *reason, const char *fmt, ...)
    KR_PRINTF(4, 5);
/* A failure without reason or details: an error that the real server has no kind of. */
int sandbox__fail_bare(struct sandbox_call *c, int code, const char *text);
/* The same about another thing. */
int sandbox__fail_at(struct sandbox_call *c, int code, const char *reason, const char *resource,
                     kr_str name, const char *fmt, ...) KR_PRINTF(6, 7);
/* 422 Invalid with one cause. */
int sandbox__fail_field(struct sandbox_call *c, const char *field, const char *reason,
                        const char *message);
/* 422 Invalid with these causes (sandbox__cause). */
int sandbox__invalid(struct sandbox_call *c, kr_val causes);
/* The same about another thing; name may be empty. */
int sandbox__invalid_of(struct sandbox_call *c, kr_str group, kr_str kind, kr_str name,
                        kr_val causes);
kr_val sandbox__cause(struct kr_arena *a, const char *reason, kr_str message, kr_str field);
/* "deployments.apps" */
kr_str sandbox__qualified(struct kr_arena *a, const struct sandbox_type *t);
int sandbox__body(struct sandbox_call *c, kr_val *out); /* parses it; 0 or a refusal's status */
/* The value that a path of a definition names: ".status.conditions[?(@.type=="Ready")].status". */
kr_val sandbox__json_path(struct kr_arena *a, kr_val v, kr_str path);
kr_str sandbox__text_of(struct kr_arena *a, kr_val v); /* a string as it is, all else as JSON */
kr_val sandbox__with_scale(struct kr_arena *a, const struct sandbox_target *t, kr_val object,
                           int64_t replicas);
bool sandbox__dry_run(const struct sandbox_call *c);
bool sandbox__has_sub(const struct sandbox_version *v, kr_str name); /* of a built-in version */

/* Which objects of a type a list or a watch is about: a namespace, and selectors. */
struct sandbox_filter {
    kr_str ns, name; /* empty: any; name comes from the field selector metadata.name */
    const struct sandbox_selector *labels; /* NULL: all */
    const struct sandbox_selector *fields; /* NULL: all */
};
/* Reads it from the query into a (which may outlive the call). 0, or the status of the refusal. */
int sandbox__filter_read(struct sandbox_call *c, struct kr_arena *a, struct sandbox_filter *out);
/* The same for one of several questions about o: *v is its value once it was needed; lives in a. */
bool sandbox__filter_takes(const struct sandbox_filter *f, const struct sandbox_type *t,
                           const struct sandbox_obj *o, kr_val *v, struct kr_arena *a);
bool sandbox__filter_match(const struct sandbox_filter *f, const struct sandbox_type *t,
                           const struct sandbox_obj *o);

/* In which form the Accept header wants objects; table.c. */
enum sandbox_form { SANDBOX_FORM_FULL, SANDBOX_FORM_TABLE, SANDBOX_FORM_META };
enum sandbox_form sandbox__wants(const struct sandbox_call *c);
/* Is the form one for a list, or for an object? 0, or the status of the refusal. */
int sandbox__form_fits(struct sandbox_call *c, bool list);
/* The form's value of an object of the call's target. */
kr_val sandbox__formed(struct sandbox_call *c, kr_val object);

/* Order of version names, preferred first: v2, v1, v1beta1, v1alpha1, others. */
int sandbox__version_order(kr_str x, kr_str y);
int sandbox__not_found(struct sandbox_call *c);
int sandbox__expired(struct sandbox_call *c, uint64_t version, uint64_t oldest);
int sandbox__too_new(struct sandbox_call *c, uint64_t version);
/* A list in the form that the Accept header wants. */
kr_val sandbox__formed_list(struct sandbox_call *c, kr_val items, kr_val meta);
/* autoscaling/v1 Scale of an object. */
kr_val sandbox__scale_of(struct kr_arena *a, const struct sandbox_target *t, kr_val object);
/* Ends all watches of the type. */
void sandbox__watches_end(struct sandbox_type *t);

int sandbox__get(struct sandbox_call *c);
int sandbox__list(struct sandbox_call *c);
int sandbox__watch(struct sandbox_call *c);
int sandbox__create(struct sandbox_call *c);
int sandbox__update(struct sandbox_call *c);
int sandbox__patch(struct sandbox_call *c);
int sandbox__delete(struct sandbox_call *c);
int sandbox__delete_all(struct sandbox_call *c);
int sandbox__review(struct sandbox_call *c);    /* 0: the type is none of these */
int sandbox__discovery(struct sandbox_call *c); /* 0: not its path */
int sandbox__openapi(struct sandbox_call *c);   /* 0: not its path */

#endif
