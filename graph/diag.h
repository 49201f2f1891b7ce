/* SPDX-License-Identifier: Apache-2.0 */
/* diag.h - what is wrong with a definition: all of it, each with its place.
 *
 * A compile does not end at its first error: every pass goes on as far as it makes sense. What is
 * wrong is told once; what only follows from it is not (a field that reads a resource whose kind is
 * unknown is not wrong too). The first error has kro's words, whole; so have the others where kro
 * has any.
 *
 *   spec.resources[1].template.data.k: undefined field 'nmae'      path, text
 *     schema.spec.nmae                                             source
 *                ^                                                 column
 *     expected: count, name                                        expected
 *     did you mean "name"?                                         suggestion
 *
 * A pure function of definition and schemas: equal input, equal findings, in the same order.
 */
#ifndef GRAPH_DIAG_H
#define GRAPH_DIAG_H

#include "cel/base/err.h"
#include "cel/base/ref.h"
#include "cel/base/val.h"

enum {
    GRAPH_DIAGS_MAX = 100,     /* findings kept of one definition; the rest is counted */
    GRAPH_DIAG_NAMES_MAX = 24, /* names listed in `expected` */
};

/*    rule               what it says (SARIF, docs) */
#define GRAPH_RULES(R)                                                                             \
    R(INVALID_FIELD, "invalid-field", "a member of the definition has a wrong type or value")      \
    R(INVALID_NAME, "invalid-name", "a name breaks the naming rules, is reserved or comes twice")  \
    R(INVALID_SCHEMA, "invalid-schema", "the short form of the instance's schema is wrong")        \
    R(INVALID_RESOURCE, "invalid-resource",                                                        \
      "a resource is not a Kubernetes object, or is not "                                          \
      "allowed to be as it is")                                                                    \
    R(UNKNOWN_KIND, "unknown-kind", "a resource has a kind that is not known")                     \
    R(UNKNOWN_FIELD, "unknown-field", "a template has a field that its kind does not have")        \
    R(WRONG_TYPE, "wrong-type", "a value or an expression has another type than its field")        \
    R(SYNTAX, "syntax", "an expression cannot be read")                                            \
    R(UNKNOWN_NAME, "unknown-name", "an expression names what does not exist")                     \
    R(INVALID_EXPRESSION, "invalid-expression",                                                    \
      "an expression does not type-check, or is not "                                              \
      "allowed where it stands")                                                                   \
    R(CYCLE, "cycle", "resources depend on each other")                                            \
    R(LIMIT, "limit", "a limit is passed")                                                         \
    R(CONFLICT, "conflict", "two definitions have one name, or generate one kind")                 \
    R(UNREADABLE, "unreadable", "the file is no YAML")                                             \
    R(REFUSED_CRD, "refused-crd", "an API server would refuse the generated CRD")

enum graph_rule {
#define GRAPH_RULE_ENUM(name, id, help) GRAPH_R_##name,
    GRAPH_RULES(GRAPH_RULE_ENUM)
#undef GRAPH_RULE_ENUM
        GRAPH_RULES_N
};
const char *graph_rule_id(enum graph_rule rule);
const char *graph_rule_help(enum graph_rule rule);

struct graph_diag {
    enum graph_rule rule;
    bool warning;    /* the definition compiles all the same */
    kr_str path;     /* inside the RGD, "spec.resources[2].template.spec.replicas"; never empty */
    kr_str message;  /* kro's words, with all that kro puts in front of them */
    kr_str text;     /* the same for people: one line without what path says already */
    kr_str source;   /* the offending text: an expression, a string of the template; may be empty */
    uint32_t line;   /* in source, from 1; 0: the whole source is meant */
    uint32_t column; /* in code points, from 1 */
    kr_str expected, suggestion; /* what may stand there; what would be right. May be empty */
    kr_gvk gvk;                  /* UNKNOWN_KIND */
};

struct graph_words; /* internal.h */

/* Findings of one definition in the order of kro's passes. Zero with an arena is a valid start. Texts
 * live in the arena, or in the spec that was compiled. */
struct graph_diags {
    struct kr_arena *a;
    uint32_t n;        /* at most GRAPH_DIAGS_MAX */
    uint32_t left_out; /* how many more there are */
    uint32_t errors_n; /* those that are no warnings, left out ones too */
    struct graph_diag *items;

    const struct graph_words *words; /* in front of each message */
    kr_str base;                     /* in front of each path */
    uint32_t cap;
    struct graph_diag spare; /* what is left out is written here */
};

/* The first error as kr_err (its place in err->at), or 0 when there is none. */
int graph_diags_err(const struct graph_diags *d, struct kr_err *err);

/* Adds an error that the compiler does not know of (files, several definitions). */
struct graph_diag *graph_diags_add(struct graph_diags *d, enum graph_rule rule, kr_str path,
                                   kr_str text);

/* The same as a warning. */
struct graph_diag *graph_diags_warn(struct graph_diags *d, enum graph_rule rule, kr_str path,
                                    kr_str text);

/* "line of source\n   ^\n", each line behind indent; nothing when there is no source. Lives in a. */
kr_str graph_diag_snippet(struct kr_arena *a, const struct graph_diag *x, const char *indent);

/* A printed path as names: list indexes as digits. Lives in a; n == 0: not readable. */
const kr_str *graph_diag_names(struct kr_arena *a, kr_str path, uint32_t *n);

#endif
