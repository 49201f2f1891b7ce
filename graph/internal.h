/* SPDX-License-Identifier: Apache-2.0 */
/* internal.h - what the files of graph/ share: the inside of a revision, and the condition engine.
 *
 * Tasks. The unit of re-evaluation is a task: node r has task 2r (includeWhen, forEach, template) and
 * task 2r+1 (readyWhen); the last task, 2n, is the status. Task numbers are in topological order, so
 * an instance's dirty set is a bit set of tasks, and the next one to run is its lowest bit.
 */
#ifndef GRAPH_INTERNAL_H
#define GRAPH_INTERNAL_H

#include "graph/diag.h"
#include "graph/graph.h"

#define GRAPH_TASK(rank) (2 * (rank))
#define GRAPH_TASK_READY(rank) (2 * (rank) + 1)
#define GRAPH_TASK_STATUS(nodes_n) (2 * (nodes_n))
#define GRAPH_TASKS_N(nodes_n) (2 * (nodes_n) + 1)

/* A place in a document where an expression stands. */
struct graph_site {
    const struct cel_prog *prog; /* of the whole string: "a${x}b" is one program */
    kr_str text; /* as the user wrote it, for messages: 'a${x}b' or the bare expression */
    const struct graph_step *path; /* from the document's root */
    const struct kr_bits *nodes;   /* ranks whose objects it reads (bit n: the instance) */
    uint32_t path_n;
    bool standalone; /* the string is one ${...}: the value keeps its type */
};
struct graph_step { /* one step of a field path */
    kr_str name;    /* member; .s NULL: a list item */
    uint32_t index;
};

struct graph_expr { /* an entry of readyWhen, includeWhen, forEach */
    const struct cel_prog *prog;
    kr_str text;   /* without ${ } */
    kr_str name;   /* forEach: the iterator */
    uint32_t slot; /* forEach: the iterator's slot */
    const struct kr_bits *nodes;
};

struct graph_node_spec {
    kr_val template; /* or the externalRef as an object with apiVersion, kind, metadata */
    uint32_t sites_n;
    const struct graph_site *sites;
    uint32_t include_n;
    const struct graph_expr *include; /* includeWhen */
    uint32_t ready_n;
    const struct graph_expr
        *ready; /* readyWhen: slot 0 is the object (or each), 1 an external collection's list */
    uint32_t dims_n;
    const struct graph_expr *dims; /* forEach */
    uint32_t deps_n;
    const uint32_t *deps;      /* ranks, in kro's discovery order */
    struct kr_bits dependents; /* ranks whose template, includeWhen or forEach refer to this node */
    /* For each read of graph_node.reads: the tasks that read it. */
    const struct kr_bits *readers;
    struct kr_bits readers_exist; /* tasks that are dirty when the object appears or goes */
    /* Leaves whose values the server normalises: quantities; and defaults of list-map keys. Made from
     * the schema at build time, for kr_fieldset_rules. */
    uint32_t normals_n;
    const struct graph_normal *normals;
    uint32_t key_defaults_n;
    const struct graph_key_default *key_defaults;
    uint32_t granular_n; /* lists that merge by key or as a set: an empty one owns nothing */
    const struct graph_path *granular;
    bool status_dropped, builtin; /* see struct kr_fieldset_rules */
};
struct graph_path { /* as in graph_normal */
    uint32_t n;
    const kr_str *path;
};
struct graph_normal { /* path with "[]" for list items and "*" for map members */
    uint32_t n;
    const kr_str *path;
    uint8_t format; /* enum cel_schema_format */
};
struct graph_key_default {
    uint32_t n;
    const kr_str *path; /* of the list */
    kr_str key;
    kr_val value;
};

struct graph_rev_impl {
    struct kr_arena arena;  /* everything of the revision lives here */
    uint32_t slots_n;       /* slots of the main env: slot r is node r, slot nodes_n is `schema` */
    uint32_t slots_all_n;   /* with forEach iterators */
    uint32_t ready_slots_n; /* slots of readyWhen envs: 1 */
    kr_val status;          /* spec.schema.status without conditions */
    uint32_t status_sites_n;
    const struct graph_site *status_sites;
    struct kr_bits status_nodes;          /* ranks that status and conditions read */
    const struct kr_bits *parent_readers; /* for each schema read of parent_reads: tasks */
    uint32_t parent_schema_reads_n;       /* how many of parent_reads are reads of `schema` */
    kr_str kinds_all;                     /* sorted "Kind.group,..." of all managed nodes */
    uint32_t conditions_n;                /* author conditions (spec.schema.status.conditions) */
    const struct graph_expr *conditions;
    bool conditions_look_up; /* some of them read kro's own conditions of the instance */
};

/* --- diag.c: findings while they are made --- */

enum { GRAPH_DIAG_TEXT_MAX = 64 * 1024 }; /* bytes of one text of a finding */

/* Adds an error at d->base + below; its message is d->words + the text. Returns it, to be filled in
 * (what is over the limit is filled in for nothing). */
struct graph_diag *graph__diag(struct graph_diags *d, enum graph_rule rule, kr_str below,
                               const char *fmt, ...) KR_PRINTF(4, 5);
struct graph_diag *graph__diag_err(struct graph_diags *d, enum graph_rule rule, kr_str below,
                                   const struct kr_err *err);
void graph__diag_warn(struct graph_diags *d, struct graph_diag *x); /* the last one is a warning */
/* Says it in other words, for people; the message stays. */
void graph__diag_text(struct graph_diags *d, struct graph_diag *x, const char *fmt, ...)
    KR_PRINTF(3, 4);
void graph__diag_at(struct graph_diag *x, kr_str source, size_t offset); /* the caret */
void graph__diag_nearest(struct graph_diags *d, struct graph_diag *x, kr_str nearest);
/* expected: "one of a, b, c" */
void graph__diag_names(struct graph_diags *d, struct graph_diag *x, const char *what,
                       const kr_str *names, uint32_t n);
/* Words in front of messages: 'failed to build resource "a"'. They are made into text when something is
 * wrong, which is seldom. */
struct graph_words {
    const struct graph_words *outer; /* in front of these */
    const char *text;                /* "%s" stands for the next name, "%q" for it in quotes */
    kr_str names[2];                 /* borrowed until the words are put back */
};
/* Adds words in front of the messages to come; returns those before, to be put back. */
const struct graph_words *graph__words(struct graph_diags *d, const char *text, kr_str name,
                                       kr_str other);
kr_str graph__diag_path(const struct graph_diags *d, kr_str below);

/* --- template.c, fieldpath.c --- */

enum { GRAPH_SCAN_BYTES_MAX = 64 * 1024 * 1024 }; /* looked at in one string, re-scans counted */

/* One piece of a string: literal text or an expression. */
struct graph_piece {
    kr_str text; /* literal, or expression without ${ } */
    bool expr;
};
/* Splits a string at ${...}. Nested strings, braces and comments inside as kro's scanner has them
 * (reference rgd-graph 4.2). n == 0: no expression in it. KR_E_INPUT with kro's words. */
KR_MUST int graph__scan(struct kr_arena *a, kr_str s, const struct graph_piece **pieces,
                        uint32_t *n, struct kr_err *err);
kr_str graph__path_print(struct kr_arena *a, const struct graph_step *path, uint32_t n);
/* The document with the value at path replaced; KR_OMIT removes the member or list item. */
kr_val graph__path_set(struct kr_arena *a, kr_val root, const struct graph_step *path, uint32_t n,
                       kr_val v);

/* --- conditions.c: kro's condition engine, for instances and definitions --- */

struct graph_cond {
    kr_str type, status, reason, message;
    int64_t observed_generation;
    int64_t transition_s; /* lastTransitionTime; INT64_MIN: none */
};
enum { GRAPH_CONDS_MAX = 64 };
struct graph_conds {
    struct kr_arena *a;       /* texts and items live here */
    const char *const *types; /* root first, then the dependents; NULL-terminated */
    int64_t generation, created_s;
    bool deleting;
    int64_t now_s;
    struct graph_cond items[GRAPH_CONDS_MAX];
    uint32_t n;
};
/* Reads status.conditions from the wire and adds missing built-ins as AwaitingReconciliation. */
void graph__conds_load(struct graph_conds *c, struct kr_arena *a, const char *const *types,
                       kr_val object, int64_t now_s);
/* Sets a condition by kro's algorithm (reference rgd-graph 1.5); returns whether anything changed. */
bool graph__conds_set(struct graph_conds *c, const char *type, const char *status,
                      const char *reason, kr_str message);
const struct graph_cond *graph__conds_get(const struct graph_conds *c, const char *type);
kr_val graph__conds_value(const struct graph_conds *c); /* list for status.conditions */

/* --- rgd.c: a definition's spec as read; all of it borrows from spec or lives in the arena --- */

struct graph_dim { /* an entry of forEach */
    kr_str name, text;
};
struct graph_resource {
    kr_str id;
    uint32_t index; /* position in spec.resources */
    enum graph_node_kind kind;
    kr_val template, external; /* as stored; KR_NONE when absent */
    kr_val object;             /* the template, or the externalRef as an object with metadata */
    kr_val include, ready;     /* lists of strings, or KR_NONE */
    uint32_t dims_n;
    const struct graph_dim *dims;
    bool broken;      /* object is not what the user wrote: nothing more is said of it */
    bool broken_dims; /* there are more dimensions than could be read */
};
struct graph_rgd {
    kr_str kind, version, group; /* group and scope with their defaults */
    bool cluster;                /* scope Cluster */
    kr_val spec, types,
        status;        /* SimpleSchema, custom types, status projections; KR_NONE: absent */
    kr_val conditions; /* status.conditions, which is taken out of status */
    kr_val columns, short_names, categories, labels, annotations; /* KR_NONE: absent or empty */
    uint32_t resources_n;
    const struct graph_resource *resources;
    bool broken_kind, broken_version,
        broken_spec; /* have been reported: nothing follows from them */
};
/* Reads spec. A member of the wrong JSON type is an error (its words begin with the path) and taken
 * as absent. All lives in d->a. */
void graph__rgd_read(kr_val spec, struct graph_rgd *out, struct graph_diags *d);
/* apiVersion and kind of an object; false when they are not there or not readable. */
bool graph__gvk_of(kr_val object, kr_gvk *out);

/* --- validate.c: what can be said without schemas (reference, passes 1, 4, 5) --- */

bool graph__reserved(kr_str word);  /* a reserved word of kro or CEL */
bool graph__camel_lower(kr_str id); /* ^[a-z][a-zA-Z0-9]*$ */
void graph__check_names(const struct graph_rgd *rgd, uint32_t dimensions_max,
                        struct graph_diags *d);
/* False: it was an error, nothing more is to be said of this resource. */
bool graph__check_combination(const struct graph_resource *r, struct graph_diags *d);
/* An object with apiVersion, kind and metadata? Paths are below d->base. *gvk is written as far as
 * it can be read. */
bool graph__check_structure(kr_str id, kr_val object, kr_gvk *gvk, struct graph_diags *d);
void graph__check_constraints(const struct graph_resource *r, bool namespaced,
                              bool instance_cluster, struct graph_diags *d);
/* The rules of the definition's own CRD (patterns, lengths, sets), for documents that no API server
 * has seen. The words begin with the field's path. */
void graph__check_admission(const struct graph_rgd *rgd, struct graph_diags *d);

/* --- simpleschema.c, markers.c --- */

/* OpenAPI v3 schema of the instances' spec. Reference, section 2. A field that is wrong is an error
 * and accepts any value. */
kr_val graph__simpleschema(kr_val spec, kr_val types, struct graph_diags *d);
struct graph_marker {
    kr_str key, value;
};
const char *const *graph__marker_keys(uint32_t *n);
kr_str graph__trim(kr_str s); /* strings.TrimSpace */
/* The marker text behind the first "|" of a field. */
KR_MUST int graph__markers(struct kr_arena *a, kr_str text, const struct graph_marker **markers,
                           uint32_t *n, struct kr_err *err);
/* Applies markers to a property schema; appends to *required when it becomes so. */
KR_MUST int graph__markers_apply(struct kr_arena *a, const struct graph_marker *markers, uint32_t n,
                                 kr_val *schema, bool *required, struct kr_err *err);
/* Canonical text of a type ("[]map[string]integer"), for tests of the parser. */
KR_MUST int graph__type_text(struct kr_arena *a, kr_str field, kr_str *out, struct kr_err *err);

/* --- template.c: expressions of a document --- */

struct graph_found {
    kr_str cel;  /* the program: the bare expression, or a template as a sum of strings */
    kr_str text; /* for messages: the bare expression, or the template as written */
    const struct graph_step *path;
    uint32_t path_n;
    kr_str path_text;
    bool standalone;
};
struct graph_finds {
    struct kr_arena *a;    /* scratch */
    struct kr_arena *keep; /* paths, and programs of string templates go here; NULL: a */
    struct graph_diags *d; /* what does not fit goes here */
    struct graph_found *items;
    uint32_t n, cap;
    kr_str *plain; /* paths of leaves without expression (schemaless documents only) */
    uint32_t plain_n, plain_cap;
    bool full; /* there are more than GRAPH_EXPRESSIONS_MAX, which has been said */
};
/* Collects the expressions of a document that schema describes; where the document does not fit, is
 * an error in kro's words, and the rest is walked all the same. Reference 4.3. */
void graph__find(struct graph_finds *f, kr_val document, const struct cel_schema *schema);
/* The same without a schema. */
void graph__find_any(struct graph_finds *f, kr_val document);
/* The place in a string template that an offset in its CEL text stands for. */
size_t graph__template_origin(struct kr_arena *a, kr_str template, size_t offset);
/* The text between ${ and } of a string that is one expression; else kro's "only standalone
 * expressions are allowed". */
KR_MUST int graph__unwrap(struct kr_arena *a, kr_str s, kr_str *out, struct kr_err *err);
/* A string template as one CEL text: "a-" + (x) + "-b". */
kr_str graph__template_cel(struct kr_arena *a, const struct graph_piece *pieces, uint32_t n);
/* s as Go's strconv.Quote prints it. */
kr_str graph__go_quote(struct kr_arena *a, kr_str s);

/* --- fieldpath.c --- */

/* Reads "spec.containers[0].image". KR_E_INPUT with kro's words. */
KR_MUST int graph__path_parse(struct kr_arena *a, kr_str text, const struct graph_step **path,
                              uint32_t *n, struct kr_err *err);
/* Appends one member to a printed path: p.k, or p["k"] where k is empty or has a dot. */
kr_str graph__path_join(struct kr_arena *a, kr_str path, kr_str name);

/* --- dag.c --- */

struct graph_dag {
    struct kr_arena *a;
    uint32_t n;
    const kr_str *ids; /* in declaration order */
    uint32_t **deps;   /* deps[i]: what i depends on, in order of addition */
    uint32_t *deps_n;
    uint32_t *deps_cap;
    struct kr_bits used; /* what others depend on, or did */
    uint32_t *stack;     /* of a search */
};
void graph__dag_init(struct graph_dag *d, struct kr_arena *a, const kr_str *ids, uint32_t n);
/* i depends on j. Returns 0 or KR_E_INPUT: self reference. A second time is passed over. */
KR_MUST int graph__dag_add(struct graph_dag *d, uint32_t i, uint32_t j, struct kr_err *err);
/* KR_E_INPUT with the cycle's path when i is on one. */
KR_MUST int graph__dag_cycle(struct graph_dag *d, uint32_t i, struct kr_err *err);
/* Indexes in topological order; of the ready ones the smallest index first. No cycle left. */
const uint32_t *graph__dag_order(struct graph_dag *d);
/* Apply order of each index: number of layers minus layer, sinks highest. */
const uint32_t *graph__dag_layers(struct graph_dag *d, uint32_t *layers_n);

/* --- reads.c: what a revision reads of its objects, and what the server does to its leaves --- */

/* Paths of one object with the tasks that read each. */
struct graph_readset {
    struct kr_arena *a;
    uint32_t tasks_n;
    uint32_t n, cap;
    uint32_t *slots; /* 2 * cap, by hash of the path: number of the read + 1; 0: free */
    struct graph_read *reads;
    struct kr_bits *tasks; /* one a read */
    struct kr_bits any;    /* all of them together */
};
void graph__reads_init(struct graph_readset *s, struct kr_arena *a, uint32_t tasks_n);
/* task reads names, which are borrowed; what lies below a list (schema tells) is cut at the list.
 * schema may be NULL. */
void graph__reads_add(struct graph_readset *s, const struct cel_schema *schema, const kr_str *names,
                      uint32_t n, uint32_t task);
/* names (borrowed) are kept in the records, for no task. */
void graph__reads_keep(struct graph_readset *s, const kr_str *names, uint32_t n);
/* Normals and key defaults of the leaves that a template sets; they live in a. */
void graph__rules_of(struct kr_arena *a, kr_val template, const struct cel_schema *schema,
                     struct graph_node_spec *out);

/* --- roll.c --- */

bool graph__is_workload(kr_gvk gvk); /* Deployment, StatefulSet, DaemonSet: kstatus has rules */

/* --- revision.c --- */

enum { GRAPH_LABEL_MAX = 63 }; /* bytes of a label's value, or of its name behind the prefix */
bool graph__is_label_value(kr_str s); /* the empty one too */
/* The canonical text of a spec that is hashed; lives in a. {NULL, 0}: too long. */
kr_str graph__hash_text(kr_val spec, struct kr_arena *a);

/* --- crd.c, crd_compat.c --- */

/* The CustomResourceDefinition without kro's labels. status: properties inferred from the
 * projections (KR_NONE: none). */
kr_val graph__crd(struct kr_arena *a, const struct graph_rgd *rgd, kr_val spec_schema,
                  kr_val status_schema);

struct graph_change {
    kr_str path, type; /* "spec.properties.x", "PROPERTY_REMOVED" */
    kr_str old_value, new_value;
    bool breaking;
};
struct graph_changes {
    struct kr_arena *a;
    struct graph_change *items;
    uint32_t n, cap, breaking_n;
};
/* Compares two lists of CRD versions. Reference 3.4. */
KR_MUST int graph__crd_compare(struct kr_arena *a, kr_val old_versions, kr_val new_versions,
                               struct graph_changes *out, struct kr_err *err);
void graph__schema_compare(struct graph_changes *c, kr_str path, kr_val old, kr_val new);
kr_str graph__change_text(struct kr_arena *a, const struct graph_change *c);
/* "a; b; c; and 2 more changes" of the breaking ones. */
kr_str graph__changes_text(struct kr_arena *a, const struct graph_changes *c);

#endif
