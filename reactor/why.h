/* SPDX-License-Identifier: Apache-2.0 */
/* why.h - what happened to an instance and why: the last changes, requests and answers of each,
 * always kept, as compact entries in one small block of bytes.
 *
 *   oldest                                                        newest
 *   +--------+---------+--------+---------+--------+--------------------+
 *   | change | request | change | request | answer |    free, up to cap |
 *   +--------+---------+--------+---------+--------+--------------------+
 *
 * The block is made with the first entry and grows to REACTOR_WHY_INST_BYTES; then the oldest
 * entries go. All blocks together stay below REACTOR_WHY_ALL_BYTES: over it, the instance that has
 * been silent for the longest time keeps its last REACTOR_WHY_KEPT_BYTES, and only when all have no
 * more than that, which is beyond 12,000 instances, does it forget everything. Nothing is written for
 * an instance that the program only found as it should be, so a restart costs no memory.
 *
 * Most texts of an entry are few in all: names of nodes, types, verbs, paths, reasons. These are words, kept
 * once for the process, and an entry has their numbers.
 *
 * Values are shown when they are small. A Secret's never are, nor what is called like a password:
 * instead a digest with a random key of the process, which tells only whether two are equal.
 */
#ifndef REACTOR_WHY_H
#define REACTOR_WHY_H

#include "cel/base/list.h"
#include "graph/graph.h"

enum {
    REACTOR_WHY_INST_BYTES = 2048,           /* of one instance */
    REACTOR_WHY_KEPT_BYTES = 256,            /* of one, when all together are too much */
    REACTOR_WHY_ALL_BYTES = 3 * 1024 * 1024, /* of all */
    REACTOR_WHY_VALUE_MAX = 40,              /* bytes of a value as text; else its digest */
    REACTOR_WHY_TEXT_MAX = 160,              /* bytes of a name, path or message; longer is cut */
    REACTOR_WHY_WORDS_MAX = 1024, /* texts that are kept once; those that come later are not */
    REACTOR_WHY_KEY_BYTES = 32,
    REACTOR_WHY_READERS_MAX = 4,       /* expressions named for one request */
    REACTOR_WHY_PAGE_MAX = 256 * 1024, /* bytes of one answer */
};

/* What all instances share. */
struct reactor_whys {
    size_t bytes;       /* of all blocks */
    size_t bytes_max;   /* 0: REACTOR_WHY_ALL_BYTES */
    uint64_t forgotten; /* instances that lost theirs */

    /* struct reactor_why.used, longest silent first: those that have more than what is always kept, and
     * the others */
    struct kr_link large, small;
    uint8_t key[REACTOR_WHY_KEY_BYTES];
};
/* One instance's. */
struct reactor_why {
    struct kr_link used;
    uint8_t *block;
    uint16_t n, cap;
    uint32_t seq; /* of the last request */
    bool cut;     /* older entries were dropped */
};

enum reactor_why_kind {
    REACTOR_WHY_CHANGE,  /* something that is read has changed */
    REACTOR_WHY_REQUEST, /* we asked the server */
    REACTOR_WHY_ANSWER,  /* what it said, where that was no plain success */
};
enum reactor_why_what {                       /* of a change */
                        REACTOR_WHY_VALUE,    /* the value at path */
                        REACTOR_WHY_APPEARED, /* the object */
                        REACTOR_WHY_GONE,
                        REACTOR_WHY_FIELDS, /* a field of ours, written by somebody else */
                        REACTOR_WHY_LABELS, /* the labels that say whose it is */
};

/* An entry as read. Strings are borrowed until the next write to the same instance. */
struct reactor_why_entry {
    int64_t at_ms; /* since the epoch */
    enum reactor_why_kind kind;
    enum reactor_why_what what; /* change */
    bool absent;                /* request: the object was not there */
    uint16_t times;             /* change: so often in a row */
    int32_t revision;           /* request: of the definition; 0: none */
    uint32_t seq;               /* request, answer */
    uint16_t code;              /* request: HTTP status; 0: no answer yet, or none */
    bool answered;
    uint32_t took_ms;
    uint64_t version; /* request: of the object as answered; 0: unknown */
    kr_str node;      /* its id; "schema" for the instance as it is read; empty: the instance */
    kr_str type;      /* of the object: "deployments.apps" */
    kr_str object;    /* "shop", or "namespace/shop" */
    kr_str verb;      /* request: "apply" */
    kr_str path;      /* change: what of the node; request: what was read, with the node */
    kr_str from, to;  /* change: values as shown; empty: absent */
    kr_str text;      /* answer: the server's words */
};

void reactor_whys_init(struct reactor_whys *w, const uint8_t key[REACTOR_WHY_KEY_BYTES]);
/* A value as it may be shown: JSON when it is small and no secret, else its digest; KR_NONE: empty.
 * Lives in a. */
kr_str reactor_why_value(const struct reactor_whys *w, struct kr_arena *a, kr_val v, bool secret);
/* Is what stands at this path of a type not to be shown? */
bool reactor_why_is_secret(kr_gvr gvr, const kr_str *names, uint32_t n);

/* Writes an entry (fields that its kind does not name are ignored); *log is made when it is NULL. A
 * change like the last entry is joined with it. A request gets the number that its answer names. */
uint32_t reactor_why_add(struct reactor_whys *w, struct reactor_why **log,
                         const struct reactor_why_entry *e);
/* The answer to request seq: in its entry, if it is still there; text, when not empty, in one of its
 * own with the request's node. */
void reactor_why_answer(struct reactor_whys *w, struct reactor_why *log,
                        const struct reactor_why_entry *e);
void reactor_why_free(struct reactor_whys *w, struct reactor_why *log); /* accepts NULL */

/* Steps through the entries, oldest first: start with *at = 0. log may be NULL. */
bool reactor_why_next(const struct reactor_why *log, uint32_t *at, struct reactor_why_entry *out);

/* Whom a page is about. */
struct reactor_why_page {
    kr_ref ref;
    kr_gvk gvk;
    kr_str state, waits;
    const struct graph_rev *rev;   /* names the expressions; NULL: none are named */
    const struct reactor_why *log; /* may be NULL */
    kr_str node;                   /* only what concerns it; empty: all */
};
void reactor_why_text(const struct reactor_why_page *p, struct kr_buf *out);
void reactor_why_json(const struct reactor_why_page *p, struct kr_buf *out);

#endif
