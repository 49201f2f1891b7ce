/* SPDX-License-Identifier: Apache-2.0 */
/* rules.h - what the values of built-in types may be, as tables.
 *
 *   shape   the members of an object that are looked at, a rule each, and what a table cannot say
 *   rule    member, test, what the test needs: a list, limits, a word, or the shape of what is below
 *
 * A walk follows the rules, not the object; what no rule is about is not looked at.
 * Source: kubernetes pkg/apis/.../validation.
 */
#ifndef SANDBOX_RULES_H
#define SANDBOX_RULES_H

#include "cel/base/val.h"
#include "kube/sandbox/place.h"
#include "kube/sandbox/words.h"

struct cel__quantity;

/* What is found. The causes are {reason, message, field}, SANDBOX_CAUSES_MAX at most. */
struct sandbox_valid {
    struct kr_arena *a; /* the causes live here */
    struct kr_listb causes;
    kr_str kind;
    kr_val old;    /* what is replaced; KR_NONE: nothing */
    kr_val claims; /* of a StatefulSet: volumes besides those of its pods */
};

enum sandbox_test {
    SANDBOX_REQUIRED, /* there, and not empty; else "Required value" and arg */
    SANDBOX_ONE_OF,   /* arg: "A,B"; empty is none: the server fills it in */
    SANDBOX_BETWEEN,  /* low and high */
    SANDBOX_AT_LEAST, /* low */
    SANDBOX_PORT,     /* 1 to 65535; 0 is none */
    SANDBOX_PORT_OR_NAME,
    SANDBOX_AMOUNT, /* a number from 0 on, or "50%" */
    SANDBOX_MODE,   /* of a file */
    SANDBOX_WORD,   /* low: enum sandbox_word; empty is none */
    SANDBOX_LABELS, /* a map */
    SANDBOX_OBJECT, /* of a shape */
    SANDBOX_EACH,   /* a list of such objects */
    SANDBOX_EACH_ONE_OF,
    SANDBOX_EACH_IP,
};

struct sandbox_shape;

struct sandbox_rule {
    const char *member;
    enum sandbox_test test;
    const char *arg;
    int64_t low, high;
    const struct sandbox_shape *of;
};

struct sandbox_shape {
    const struct sandbox_rule *rules;
    size_t n;
    /* After the rules; NULL: nothing more. v is an object. */
    void (*check)(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at);
};

/* SANDBOX_SHAPE(port, NULL, SANDBOX_R(PORT, "containerPort")) */
#define SANDBOX_SHAPE(name, more, ...)                                                             \
    static const struct sandbox_rule name##_rules[] = {__VA_ARGS__};                               \
    static const struct sandbox_shape name = {name##_rules, KR_N(name##_rules), more}
#define SANDBOX_R(what, name)                                                                      \
    {                                                                                              \
        .member = (name), .test = SANDBOX_##what, .arg = ""                                        \
    }
#define SANDBOX_R_SAYS(what, name, text)                                                           \
    {                                                                                              \
        .member = (name), .test = SANDBOX_##what, .arg = (text)                                    \
    }
#define SANDBOX_R_WORD(name, word)                                                                 \
    {                                                                                              \
        .member = (name), .test = SANDBOX_WORD, .low = (word)                                      \
    }
#define SANDBOX_R_FROM(name, from)                                                                 \
    {                                                                                              \
        .member = (name), .test = SANDBOX_AT_LEAST, .low = (from)                                  \
    }
#define SANDBOX_R_TO(name, from, to)                                                               \
    {                                                                                              \
        .member = (name), .test = SANDBOX_BETWEEN, .low = (from), .high = (to)                     \
    }
#define SANDBOX_R_OF(what, name, shape)                                                            \
    {                                                                                              \
        .member = (name), .test = SANDBOX_##what, .of = &(shape)                                   \
    }

/* Looks at v, which may be anything. */
void sandbox_shape_check(struct sandbox_valid *c, const struct sandbox_shape *shape, kr_val v,
                         const struct sandbox_place *at);

/* --- what is said ----------------------------------------------------------------------------- */

void sandbox_refuse(struct sandbox_valid *c, const char *reason, const struct sandbox_place *at,
                    kr_str message);
void sandbox_required(struct sandbox_valid *c, const struct sandbox_place *at, const char *more);
/* "Invalid value: V: TEXT" */
void sandbox_invalid(struct sandbox_valid *c, const struct sandbox_place *at, kr_val v,
                     const char *text);
void sandbox_forbidden(struct sandbox_valid *c, const struct sandbox_place *at, const char *text);
void sandbox_duplicate(struct sandbox_valid *c, const struct sandbox_place *at, kr_val v);
/* "Unsupported value: V: supported values: "A", "B"" */
void sandbox_unsupported(struct sandbox_valid *c, const struct sandbox_place *at, kr_val v,
                         const char *list);
/* If v is a text and none of those in "A,B". */
void sandbox_one_of(struct sandbox_valid *c, const struct sandbox_place *at, kr_val v,
                    const char *list);
void sandbox_word_check(struct sandbox_valid *c, const struct sandbox_place *at,
                        enum sandbox_word word, kr_str text);
/* Keys and values of labels, all told at one place. */
void sandbox_labels_check(struct sandbox_valid *c, const struct sandbox_place *at, kr_val labels);
/* Refuses what is no number of a port; no number at all is 0. */
void sandbox_port_check(struct sandbox_valid *c, const struct sandbox_place *at, kr_val v);
/* If v is a text that is there. */
void sandbox_ip_check(struct sandbox_valid *c, const struct sandbox_place *at, kr_val v);
bool sandbox_is_ip(kr_str s);
/* "50%"? */
bool sandbox_is_percent(kr_str s);
/* An amount: a text or a number; null is 0, as in Go. False: it is none. */
bool sandbox_quantity(struct sandbox_valid *c, kr_val v, struct cel__quantity *out);
/* Nothing, "", 0, an empty list or map? */
bool sandbox_is_empty(kr_val v);

#endif
