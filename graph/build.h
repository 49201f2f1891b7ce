/* SPDX-License-Identifier: Apache-2.0 */
/* build.h - a compile at work, shared by the files that compile a definition.
 *
 *   build.c         the passes in order; resources: kinds, shapes, expressions
 *   build_refs.c    what each expression refers to: dependencies, order, cycles
 *   build_types.c   the environment, programs and their types
 *   build_status.c  status projections
 *   build_conditions.c  author conditions
 *   build_rev.c     all of it to a revision
 *   build_diag.c    what is wrong with an expression, for people
 *
 * What is wrong goes to b->d and is marked broken; later passes leave it out, and let pass whatever
 * reads it. Only a definition without errors becomes a revision.
 */
#ifndef GRAPH_BUILD_H
#define GRAPH_BUILD_H

#include "cel/base/map.h"
#include "graph/internal.h"

struct build_expr;
struct build_edge;

/* A resource while it is compiled. */
struct build_unit {
    const struct graph_resource *r;
    kr_gvk gvk;
    const struct cel_kind *kind;    /* NULL: not known, which has been said: all reads are dyn */
    const struct cel_type *type;    /* of one object */
    const struct cel_type *visible; /* as other nodes see it: the object, or a list of it */
    kr_val object; /* the revision's copy of r->object: what is found borrows from it */
    struct graph_finds finds;
    uint32_t sites_n, include_n, ready_n, dims_n;
    struct build_expr *sites, *include, *ready, *dims; /* sites: one a find */
    struct build_edge *edges; /* what it refers to, in order of discovery, with repeats */
    uint32_t edges_n, edges_cap;
    const struct build_expr *each; /* has `each`: an edge to a node that cannot exist; NULL: none */
    bool broken;                   /* is no Kubernetes object: its expressions are not looked at */
    uint32_t rank;
};

/* An expression of the definition, where it stands and what it refers to. */
struct build_expr {
    kr_str path;          /* inside the RGD: of the expression, or of the document it is in, */
    kr_str below;         /* where it stands there; see build__path */
    kr_str cel;           /* the program's text, in the revision */
    kr_str source;        /* as the user wrote it */
    bool whole;           /* source is cel; else a string template of which cel was made */
    bool broken;          /* has been reported */
    struct kr_bits nodes; /* by index; bit n: the instance */
};

struct build_edge {
    uint32_t to; /* index */
    const struct build_expr *from;
};

struct build {
    const struct graph_source *src;
    const struct cel_kinds *kinds;
    struct graph_diags *d; /* what is wrong */
    struct kr_arena *a;    /* scratch */
    struct kr_arena *ra;   /* of the revision */
    struct kr_arena tmp;   /* of one expression */
    struct graph_rgd rgd;
    uint32_t n;               /* resources */
    struct build_unit *units; /* by index */
    struct kr_map index;      /* id -> unit + 1 */
    struct kr_map bits;       /* words of a bit set -> the one in the revision that has them */
    struct graph_dag dag;
    const uint32_t *order; /* index by rank */
    kr_val spec_schema, status_schema;
    const struct cel_schema *instance; /* schema of `schema` */
    struct cel_env *base, *env;
    struct graph_readset *reads; /* by rank; [n]: of `schema` */
    struct graph_finds status;
    struct build_expr *status_exprs; /* one a find of status */
    struct graph_rev_impl *impl;
    struct graph_rev *rev;
    uint32_t slots_all_n;
    bool broken_conditions; /* the block of author conditions cannot be read */
    uint32_t needs_n;       /* kinds that are neither given nor missing: nothing is said of them */
};
/* --- build.c ---------------------------------------------------------------------------------- */

/* The expression of a string that must be nothing else; broken when it is not, which is said. */
void build__unwrap(struct build *b, kr_str text, kr_str path, struct build_expr *out);
/* A find of the document at that path. */
struct build_expr build__found(kr_str document, const struct graph_found *f);

/* --- build_refs.c ----------------------------------------------------------------------------- */

enum build_ident { ID_NODE, ID_SCHEMA, ID_EACH, ID_RUNTIME, ID_ITERATOR, ID_UNKNOWN };
/* What a name means in an expression; *index: of the resource, or of the iterator. iterators may be
 * NULL: none is admitted. */
enum build_ident build__ident_of(struct build *b, const struct graph_resource *iterators,
                                 kr_str name, uint32_t *index);
/* Pass 6: dependencies, ranks. */
void build__edges(struct build *b);
/* Names in an expression about the instance (a status field, a condition): the nodes and schema; and
 * `runtime`, where that is allowed. syntax: words in front of a syntax error, or NULL. */
void build__instance_refs(struct build *b, struct build_expr *e, const char *syntax, bool runtime);
/* Is it the expression of the object's name, or of its namespace? */
bool build__at_identity(const struct build_unit *u, const struct graph_found *f);
/* Pass 7: no omit() there. */
void build__check_omit(struct build *b, const struct build_unit *u);

/* --- build_types.c ---------------------------------------------------------------------------- */

/* Pass 8: variables and their types. */
void build__env(struct build *b);
/* Pass 9: programs of all resources; specs are by rank. */
void build__compile(struct build *b, struct graph_node_spec *specs);
/* Compiles e. False: it is broken, which has been said behind the words, in which name and other
 * stand as in graph__words. */
bool build__program(struct build *b, struct build_expr *e, const struct cel_env *env,
                    const struct cel_prog **out, const char *words, kr_str name, kr_str other);
/* Records what a program of the main environment reads, for one task. */
void build__record_reads(struct build *b, const struct cel_prog *p, uint32_t task);
/* The revision's copy of a bit set: equal ones are one. */
const struct kr_bits *build__bits(struct build *b, const struct kr_bits *bits);
/* Bits by index to bits by rank, in the revision. */
const struct kr_bits *build__nodes_by_rank(struct build *b, const struct kr_bits *by_index);
/* A find becomes a site of the revision, in which its texts are already. */
void build__site_of(struct build *b, const struct graph_found *f, const struct kr_bits *nodes,
                    const struct cel_prog *p, struct graph_site *out);

/* --- build_diag.c ----------------------------------------------------------------------------- */

/* Where e is in the RGD; lives in the arena of the findings. */
kr_str build__path(const struct build *b, const struct build_expr *e);
/* An error in e, which is broken now. err has kro's words. Returns the finding. */
struct graph_diag *build__bad(struct build *b, struct build_expr *e, enum graph_rule rule,
                              const struct kr_err *err);
/* The caret under an offset of the CEL text. */
void build__point(struct build *b, const struct build_expr *e, struct graph_diag *x, size_t offset);
/* e does not parse: err has the words. */
void build__bad_syntax(struct build *b, struct build_expr *e, const struct kr_err *err);
/* e names what does not exist, a variable or a function. Iterators of `with` count as names. */
void build__bad_name(struct build *b, struct build_expr *e, const struct graph_resource *with,
                     kr_str name, const struct kr_err *err);
void build__bad_function(struct build *b, struct build_expr *e, const struct cel_inspection *in);
/* e does not type-check in env: one finding for each of its mistakes. */
void build__bad_types(struct build *b, struct build_expr *e, const struct cel_env *env,
                      const struct kr_err *err);

/* --- build_status.c, build_conditions.c, build_rev.c ------------------------------------------ */

/* Pass 10: status projections, and the schema inferred from them. */
void build__status(struct build *b);
/* The shape of the block of author conditions, which is told before pass 10. */
void build__conditions_extract(struct build *b);
/* Pass 11: author conditions. */
void build__conditions(struct build *b);
KR_MUST int build__finish(struct build *b, struct graph_node_spec *specs, struct kr_err *err);

#endif
