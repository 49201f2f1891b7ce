/* SPDX-License-Identifier: Apache-2.0 */
/* layout_tree.h - what layout_read.c makes of a text and layout.c writes anew: documents of nodes, each with
 * the place of its text, and the comments between them.
 *
 * All lives in the arena of the layout.
 */
#ifndef CLI_LAYOUT_TREE_H
#define CLI_LAYOUT_TREE_H

#include <yaml.h>

#include "cel/base/buf.h"
#include "cel/base/err.h"

struct comment {
    kr_str text; /* from "#", without blanks at its end */
    uint32_t line, col;
    bool alone; /* on a line of its own */
    bool taken;
};

struct lines { /* comments that stand on lines of their own, in order */
    struct comment **at;
    uint32_t n, cap;
};

enum node_kind { N_SCALAR, N_FLOW, N_MAP, N_LIST };

struct node {
    enum node_kind kind;
    bool block;            /* scalar: literal or folded */
    bool empty;            /* scalar without text */
    uint32_t line, col;    /* of its beginning */
    uint32_t end_line;     /* atoms: the last line that has some of it */
    size_t from, to;       /* atoms: bytes of the text; of a block scalar whole lines */
    kr_str anchor;         /* of a map or list */
    struct entry *entries; /* of a map or list */
    uint32_t n, cap;
    struct lines foot;
};

struct entry {
    struct node *key; /* NULL in a list */
    struct node *value;
    uint32_t line, col; /* of the key, or of the dash */
    struct lines head;
    struct comment *tail;
    bool headed; /* its head has been written */
};

struct document {
    struct node *root; /* NULL: none */
    bool marked;       /* begins with "---" */
    uint32_t line, end_line;
    struct lines before; /* above the mark */
    struct comment *tail;
};

struct layout {
    struct kr_arena *a;
    kr_str text;
    size_t *starts; /* byte at which each line begins; one more for the end */
    uint32_t lines_n;
    uint8_t *owned; /* of each line: some of an atom stands there */
    struct comment *comments;
    uint32_t comments_n, comments_cap;
    struct document *docs;
    uint32_t docs_n, docs_cap;
    bool reorder;
    struct kr_buf out;
    struct kr_err *err;

    yaml_parser_t parser;
    yaml_event_t event;
    uint32_t depth;
    size_t seen; /* bytes searched for comments so far */
};

/* Where lines begin: before all else. */
void cli__layout_lines(struct layout *l);
/* Text to documents and comments. */
KR_MUST int cli__layout_read(struct layout *l);
/* Gives each comment to an entry, a block or a document; *end: those behind everything. Negative: one has
 * no place. */
KR_MUST int cli__layout_attach(struct layout *l, struct lines *end);
/* A line without its end. */
kr_str cli__layout_line_text(const struct layout *l, uint32_t line);
/* Nothing but blanks? */
bool cli__layout_is_blank(const struct layout *l, uint32_t line);
/* Blanks at the beginning of a line. */
uint32_t cli__layout_leading(kr_str line);

#endif
