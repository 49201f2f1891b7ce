/* SPDX-License-Identifier: Apache-2.0 */
/* layout.c - see layout.h.
 *
 *   text --events--> tree of nodes, each with the place of its text
 *        --gaps between texts--> comments --attach--> entry: above, behind; block: below
 *        --emit--> new text --read again--> compared with the old
 *
 * An atom is a node whose text is copied: a scalar, an alias, a flow collection. Between atoms stand
 * only marks (- : and the like), anchors, blanks and comments, so a "#" behind a blank begins a comment there.
 * libyaml's marks count characters; places here are bytes.
 */
#include "cli/layout.h"

#include <yaml.h>

#include "cel/base/buf.h"
#include "cel/base/val.h"
#include "cel/base/yaml.h"

#include "cel/base/banned.h"

enum { INDENT = 2, OUT_FACTOR = 8, OUT_MORE = 4096 };

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

#define GROW(a, at, n, cap)                                                                        \
    do {                                                                                           \
        if ((n) == (cap)) {                                                                        \
            uint32_t cap_ = (cap) ? 2 * (cap) : 8;                                                 \
            __typeof__(at) grown_ = kr_arena_alloc((a), sizeof(*(at)) * cap_);                     \
            if (n)                                                                                 \
                memcpy(grown_, (at), sizeof(*(at)) * (n));                                         \
            (at) = grown_;                                                                         \
            (cap) = cap_;                                                                          \
        }                                                                                          \
    } while (0)

/* --- lines ------------------------------------------------------------------------------------ */

static kr_str line_text(const struct layout *l, uint32_t line)
{
    kr_str s = kr_str_sub(l->text, l->starts[line], l->starts[line + 1]);

    return kr_str_ends(s, KR_S("\n")) ? kr_str_sub(s, 0, s.n - 1) : s;
}

static bool is_blank(const struct layout *l, uint32_t line)
{
    return kr_str_trim(line_text(l, line)).n == 0;
}

static void find_lines(struct layout *l)
{
    uint32_t n = 1;

    for (size_t i = 0; i < l->text.n; i++)
        n += l->text.s[i] == '\n';
    l->starts = kr_new_n(l->a, size_t, n + 2);
    l->owned = kr_new_n(l->a, uint8_t, n + 2);
    l->lines_n = n;
    n = 0;
    l->starts[n++] = 0;
    for (size_t i = 0; i < l->text.n; i++) {
        if (l->text.s[i] == '\n')
            l->starts[n++] = i + 1;
    }
    l->starts[n] = l->text.n;
}

/* The byte of a mark: columns count characters. */
static size_t byte_of(const struct layout *l, yaml_mark_t mark)
{
    size_t at = mark.line < l->lines_n ? l->starts[mark.line] : l->text.n;

    for (size_t i = 0; i < mark.column && at < l->text.n; i++) {
        at++;
        while (at < l->text.n && ((unsigned char)l->text.s[at] & 0xc0) == 0x80)
            at++;
    }
    return at;
}

/* --- comments --------------------------------------------------------------------------------- */

static uint32_t line_of(const struct layout *l, size_t at, uint32_t line)
{
    while (line + 1 < l->lines_n && l->starts[line + 1] <= at)
        line++;
    return line;
}

/* Comments in the bytes [l->seen, to), which are no part of an atom. */
static void find_comments(struct layout *l, size_t to)
{
    uint32_t line = l->comments_n ? l->comments[l->comments_n - 1].line : 0;

    for (size_t i = l->seen; i < to; i++) {
        struct comment *c;
        kr_str rest;
        ptrdiff_t end;

        if (l->text.s[i] != '#' || (i > 0 && !strchr(" \t\n", l->text.s[i - 1])))
            continue;
        line = line_of(l, i, line);
        rest = kr_str_sub(l->text, i, l->text.n);
        end = kr_str_chr(rest, '\n');
        GROW(l->a, l->comments, l->comments_n, l->comments_cap);
        c = &l->comments[l->comments_n++];
        *c = (struct comment){.line = line, .col = (uint32_t)(i - l->starts[line])};
        c->text = kr_str_trim(end < 0 ? rest : kr_str_sub(rest, 0, (size_t)end));
        c->alone = kr_str_trim(kr_str_sub(l->text, l->starts[line], i)).n == 0;
        i += (end < 0 ? rest.n : (size_t)end) - 1;
    }
    if (to > l->seen)
        l->seen = to;
}

/* The first comment at or behind a line. */
static struct comment *comment_from(const struct layout *l, uint32_t line)
{
    uint32_t lo = 0, hi = l->comments_n;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (l->comments[mid].line < line)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < l->comments_n ? &l->comments[lo] : NULL;
}

static struct comment *comment_on(const struct layout *l, uint32_t line)
{
    struct comment *c = comment_from(l, line);

    return c && c->line == line ? c : NULL;
}

static void take(struct layout *l, struct lines *to, struct comment *c)
{
    c->taken = true;
    GROW(l->a, to->at, to->n, to->cap);
    to->at[to->n++] = c;
}

/* --- reading ---------------------------------------------------------------------------------- */

static int fail_at(struct layout *l, uint32_t line, const char *why)
{
    return kr_fail(l->err, KR_E_INPUT, "line %u: %s", line + 1, why);
}

static int next(struct layout *l)
{
    yaml_event_delete(&l->event);
    if (yaml_parser_parse(&l->parser, &l->event))
        return 0;
    memset(&l->event, 0, sizeof(l->event));
    return fail_at(l, (uint32_t)l->parser.problem_mark.line,
                   l->parser.problem ? l->parser.problem : "cannot be read");
}

static struct node *node_new(struct layout *l, enum node_kind kind)
{
    struct node *n = kr_new(l->a, struct node);

    n->kind = kind;
    n->line = (uint32_t)l->event.start_mark.line;
    n->from = byte_of(l, l->event.start_mark);
    n->col = (uint32_t)(n->from - (n->line < l->lines_n ? l->starts[n->line] : l->text.n));
    return n;
}

/* "|+", ">+": the empty lines at the end of the text are part of it. */
static bool keeps_lines(const struct layout *l, const struct node *n)
{
    kr_str header = line_text(l, n->line);
    ptrdiff_t comment;

    header = kr_str_sub(header, n->col, header.n);
    comment = kr_str_chr(header, '#');
    if (comment >= 0)
        header = kr_str_sub(header, 0, (size_t)comment);
    return kr_str_chr(header, '+') >= 0;
}

/* Leaves out empty lines at the end that mean nothing. */
static void block_end(struct layout *l, struct node *n)
{
    if (keeps_lines(l, n))
        return;
    while (n->end_line > n->line && is_blank(l, n->end_line))
        n->end_line--;
    n->to = l->starts[n->end_line + 1];
    if (n->to > n->from && l->text.s[n->to - 1] == '\n')
        n->to--;
}

/* Ends an atom at mark; a block scalar takes whole lines. */
static void atom_end(struct layout *l, struct node *n, yaml_mark_t mark)
{
    find_comments(l, n->from);
    n->to = byte_of(l, mark);
    if (n->block && n->to > n->from && l->text.s[n->to - 1] == '\n')
        n->to--;
    n->end_line = line_of(l, n->to > n->from ? n->to - 1 : n->from, n->line);
    if (n->block)
        block_end(l, n);
    n->empty = n->to == n->from;
    if (n->empty)
        return;
    for (uint32_t i = n->line; i <= n->end_line; i++)
        l->owned[i] = 1;
    if (n->to > l->seen)
        l->seen = n->to;
}

static int read_node(struct layout *l, struct node **out);

static int read_flow(struct layout *l, struct node **out)
{
    struct node *n = node_new(l, N_FLOW);
    uint32_t open = 1;

    while (open > 0) {
        KR_TRY(next(l));
        open +=
            l->event.type == YAML_SEQUENCE_START_EVENT || l->event.type == YAML_MAPPING_START_EVENT;
        open -= l->event.type == YAML_SEQUENCE_END_EVENT || l->event.type == YAML_MAPPING_END_EVENT;
    }
    atom_end(l, n, l->event.end_mark);
    *out = n;
    return 0;
}

static int read_scalar(struct layout *l, struct node **out)
{
    struct node *n = node_new(l, N_SCALAR);

    n->block = l->event.type == YAML_SCALAR_EVENT &&
               (l->event.data.scalar.style == YAML_LITERAL_SCALAR_STYLE ||
                l->event.data.scalar.style == YAML_FOLDED_SCALAR_STYLE);
    atom_end(l, n, l->event.end_mark);
    *out = n;
    return 0;
}

/* The line of the dash of an item whose value begins at v: at or above it, in the list's column. */
static uint32_t dash_line(struct layout *l, const struct node *list, const struct node *v)
{
    for (uint32_t line = v->line;; line--) {
        kr_str s = line_text(l, line);
        struct comment *c = comment_on(l, line);

        if (s.n > list->col && s.s[list->col] == '-' && !(c && c->alone))
            return line;
        if (line <= list->line)
            return v->line;
    }
}

static uint32_t leading(kr_str line)
{
    uint32_t n = 0;

    while (n < line.n && line.s[n] == ' ')
        n++;
    return n;
}

/* A block with an anchor has its mark there: its place is that of its first entry. */
static void place_block(const struct layout *l, struct node *n, uint32_t first_line)
{
    if (n->anchor.n == 0)
        return;
    n->line = first_line;
    n->col = leading(line_text(l, first_line));
}

static int read_list(struct layout *l, struct node *n)
{
    for (;;) {
        struct entry e = {0};

        KR_TRY(next(l));
        if (l->event.type == YAML_SEQUENCE_END_EVENT)
            return 0;
        KR_TRY(read_node(l, &e.value));
        if (n->n == 0)
            place_block(l, n, e.value->line);
        e.line = dash_line(l, n, e.value);
        e.col = n->col;
        GROW(l->a, n->entries, n->n, n->cap);
        n->entries[n->n++] = e;
    }
}

static int read_map(struct layout *l, struct node *n)
{
    for (;;) {
        struct entry e = {0};

        KR_TRY(next(l));
        if (l->event.type == YAML_MAPPING_END_EVENT)
            return 0;
        KR_TRY(read_node(l, &e.key));
        if (n->n == 0)
            place_block(l, n, e.key->line);
        if (e.key->kind != N_SCALAR || e.key->block || e.key->line != e.key->end_line ||
            e.key->col != n->col)
            return fail_at(l, e.key->line, "a key of this form cannot be laid out");
        KR_TRY(next(l));
        KR_TRY(read_node(l, &e.value));
        e.line = e.key->line;
        e.col = e.key->col;
        GROW(l->a, n->entries, n->n, n->cap);
        n->entries[n->n++] = e;
    }
}

/* A map or list in block style. */
static int read_block(struct layout *l, struct node **out)
{
    bool map = l->event.type == YAML_MAPPING_START_EVENT;
    struct node *n = node_new(l, map ? N_MAP : N_LIST);
    const yaml_char_t *anchor =
        map ? l->event.data.mapping_start.anchor : l->event.data.sequence_start.anchor;
    const yaml_char_t *tag =
        map ? l->event.data.mapping_start.tag : l->event.data.sequence_start.tag;
    int rc;

    if (tag)
        return fail_at(l, n->line, "a tag in front of a block cannot be laid out");
    if (anchor)
        n->anchor = kr_strdup(l->a, kr_str_c((const char *)anchor));
    if (++l->depth > KR_YAML_DEPTH_MAX)
        return fail_at(l, n->line, "nested too deep");
    rc = map ? read_map(l, n) : read_list(l, n);
    l->depth--;
    *out = n;
    return rc;
}

static int read_node(struct layout *l, struct node **out)
{
    const yaml_event_t *e = &l->event;

    if (e->type == YAML_SCALAR_EVENT || e->type == YAML_ALIAS_EVENT)
        return read_scalar(l, out);
    if ((e->type == YAML_MAPPING_START_EVENT &&
         e->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE) ||
        (e->type == YAML_SEQUENCE_START_EVENT &&
         e->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE))
        return read_flow(l, out);
    return read_block(l, out);
}

static int read_document(struct layout *l)
{
    struct document *d;

    GROW(l->a, l->docs, l->docs_n, l->docs_cap);
    d = &l->docs[l->docs_n++];
    *d = (struct document){.line = (uint32_t)l->event.start_mark.line,
                           .marked = !l->event.data.document_start.implicit};
    if (l->event.data.document_start.version_directive ||
        l->event.data.document_start.tag_directives.start !=
            l->event.data.document_start.tag_directives.end)
        return fail_at(l, d->line, "a %directive cannot be laid out");
    KR_TRY(next(l));
    KR_TRY(read_node(l, &d->root));
    KR_TRY(next(l)); /* the end */
    return 0;
}

static int read_all(struct layout *l)
{
    yaml_parser_set_input_string(&l->parser, (const unsigned char *)l->text.s, l->text.n);
    for (;;) {
        KR_TRY(next(l));
        if (l->event.type == YAML_STREAM_END_EVENT)
            break;
        if (l->event.type == YAML_DOCUMENT_START_EVENT)
            KR_TRY(read_document(l));
    }
    find_comments(l, l->text.n);
    return 0;
}

/* --- which comment belongs to what ------------------------------------------------------------ */

/* The innermost block at the end of n that a comment in column col can be part of; NULL: none. */
static struct node *block_at_end(struct node *n, uint32_t col)
{
    struct node *found = NULL;

    while (n && (n->kind == N_MAP || n->kind == N_LIST) && n->n > 0 && n->col <= col) {
        found = n;
        n = n->entries[n->n - 1].value;
    }
    return found;
}

/* The free lines above `line`: the first of them. */
static uint32_t first_free(const struct layout *l, uint32_t line)
{
    while (line > 0) {
        struct comment *c = comment_on(l, line - 1);

        if (l->owned[line - 1] || !(is_blank(l, line - 1) || (c && c->alone && !c->taken)))
            break;
        line--;
    }
    return line;
}

/* Own-line comments above `line`: those further right than col below what ended there (`before`, may
 * be NULL), the others into head. */
static void attach_above(struct layout *l, uint32_t line, uint32_t col, struct node *before,
                         struct lines *head)
{
    for (uint32_t i = first_free(l, line); i < line; i++) {
        struct comment *c = comment_on(l, i);
        struct node *block = c && before && c->col > col ? block_at_end(before, c->col) : NULL;

        if (!c)
            continue;
        if (!block)
            before = NULL; /* what follows stands above too */
        take(l, block ? &block->foot : head, c);
    }
}

static void attach_node(struct layout *l, struct node *n);

/* The comment behind something that ends on `line`. */
static struct comment *take_tail(struct layout *l, uint32_t line)
{
    struct comment *c = comment_on(l, line);

    if (!c || c->alone || c->taken)
        return NULL;
    c->taken = true;
    return c;
}

static void attach_entry(struct layout *l, struct entry *e, struct node *before)
{
    bool atom = e->value->kind == N_SCALAR || e->value->kind == N_FLOW;

    attach_above(l, e->line, e->col, before, &e->head);
    if (atom && !e->value->empty && e->value->line > e->line) { /* the value is below its key */
        struct comment *c = take_tail(l, e->line);

        if (c)
            take(l, &e->head, c);
        attach_above(l, e->value->line, UINT32_MAX, NULL, &e->head);
    }
    if (atom)
        e->tail = take_tail(l, e->value->empty ? e->line : e->value->end_line);
    else if (e->value->line > e->line)
        e->tail = take_tail(l, e->line);
    attach_node(l, e->value);
}

static void attach_node(struct layout *l, struct node *n)
{
    for (uint32_t i = 0; i < n->n; i++)
        attach_entry(l, &n->entries[i], i > 0 ? n->entries[i - 1].value : NULL);
}

/* All own-line comments that are left and stand above `line`. */
static void attach_rest(struct layout *l, uint32_t line, struct node *before, struct lines *to)
{
    for (uint32_t i = 0; i < l->comments_n && l->comments[i].line < line; i++) {
        struct comment *c = &l->comments[i];
        struct node *block = before && c->col > 0 ? block_at_end(before, c->col) : NULL;

        if (!c->taken && c->alone)
            take(l, block ? &block->foot : to, c);
    }
}

static int attach_all(struct layout *l, struct lines *end)
{
    struct node *before = NULL;

    for (uint32_t i = 0; i < l->docs_n; i++) {
        struct document *d = &l->docs[i];

        if (d->marked) {
            attach_rest(l, d->line, before, &d->before);
            d->tail = take_tail(l, d->line);
        }
        if (d->root)
            attach_node(l, d->root);
        before = d->root;
    }
    attach_rest(l, l->lines_n, before, end);
    for (uint32_t i = 0; i < l->comments_n; i++) {
        if (!l->comments[i].taken)
            return fail_at(l, l->comments[i].line, "a comment at this place cannot be laid out");
    }
    return 0;
}

/* --- the order of keys ------------------------------------------------------------------------ */

enum place { P_OTHER, P_ROOT, P_RGD, P_META, P_SPEC, P_SCHEMA, P_LIST, P_RESOURCE, P_OBJECT, P_N };

static const char *const orders[P_N][12] = {
    [P_ROOT] = {"apiVersion", "kind", "metadata"},
    [P_RGD] = {"apiVersion", "kind", "metadata", "spec", "status"},
    [P_META] = {"name", "generateName", "namespace", "labels", "annotations"},
    [P_SPEC] = {"schema", "resources"},
    [P_SCHEMA] = {"apiVersion", "kind", "group", "scope", "shortNames", "categories", "metadata",
                  "types", "spec", "status", "additionalPrinterColumns"},
    [P_RESOURCE] = {"id", "forEach", "includeWhen", "readyWhen", "externalRef", "template"},
    [P_OBJECT] = {"apiVersion", "kind", "metadata"},
};

static const struct {
    enum place at;
    const char *key;
    enum place below;
} places[] = {
    {P_ROOT, "metadata", P_META},
    {P_RGD, "metadata", P_META},
    {P_RGD, "spec", P_SPEC},
    {P_SPEC, "schema", P_SCHEMA},
    {P_SPEC, "resources", P_LIST},
    {P_RESOURCE, "externalRef", P_OBJECT},
    {P_RESOURCE, "template", P_OBJECT},
    {P_OBJECT, "metadata", P_META},
};

static kr_str key_text(const struct layout *l, const struct entry *e)
{
    return kr_str_sub(l->text, e->key->from, e->key->to);
}

static enum place place_below(const struct layout *l, enum place at, const struct entry *e)
{
    if (at == P_LIST)
        return P_RESOURCE;
    for (size_t i = 0; e->key && i < KR_N(places); i++) {
        if (places[i].at == at && kr_str_eq(key_text(l, e), kr_str_c(places[i].key)))
            return places[i].below;
    }
    return P_OTHER;
}

static uint32_t rank_of(const struct layout *l, enum place at, const struct entry *e)
{
    uint32_t i = 0;

    while (i < KR_N(orders[0]) && orders[at][i] &&
           !kr_str_eq(key_text(l, e), kr_str_c(orders[at][i])))
        i++;
    return i;
}

/* A stable sort by rank: blocks have few known keys. */
static void sort_entries(const struct layout *l, struct node *map, enum place at)
{
    if (!l->reorder || !orders[at][0])
        return;
    for (uint32_t i = 1; i < map->n; i++) {
        struct entry e = map->entries[i];
        uint32_t k = i, rank = rank_of(l, at, &e);

        if (rank == rank_of(l, at, &map->entries[i - 1]) && rank == KR_N(orders[0]))
            continue;
        while (k > 0 && rank_of(l, at, &map->entries[k - 1]) > rank) {
            map->entries[k] = map->entries[k - 1];
            k--;
        }
        map->entries[k] = e;
    }
}

static enum place place_of_root(const struct layout *l, const struct node *root)
{
    for (uint32_t i = 0; root->kind == N_MAP && i < root->n; i++) {
        const struct entry *e = &root->entries[i];

        if (kr_str_is(key_text(l, e), "kind") && e->value->kind == N_SCALAR)
            return kr_str_is(kr_str_sub(l->text, e->value->from, e->value->to),
                             "ResourceGraphDefinition")
                       ? P_RGD
                       : P_ROOT;
    }
    return P_OTHER;
}

/* --- writing ---------------------------------------------------------------------------------- */

static void put_indent(struct layout *l, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        kr_buf_chr(&l->out, ' ');
}

static void put_tail(struct layout *l, const struct comment *c)
{
    if (c)
        kr_buf_fmt(&l->out, " " KR_FMT, KR_ARG(c->text));
    kr_buf_chr(&l->out, '\n');
}

static void put_tail_alone(struct layout *l, const struct comment *c)
{
    kr_buf_str(&l->out, c->text);
    kr_buf_chr(&l->out, '\n');
}

/* Is an empty line above line, which is no part of a text? */
static bool blank_above(const struct layout *l, uint32_t line)
{
    return line > 0 && is_blank(l, line - 1) && !l->owned[line - 1];
}

/* Comments of their own lines; first: the block begins here, no empty line. */
static void put_lines(struct layout *l, const struct lines *lines, uint32_t indent, bool first)
{
    for (uint32_t i = 0; i < lines->n; i++) {
        const struct comment *c = lines->at[i];

        if (blank_above(l, c->line) && !(first && i == 0) && c->alone)
            kr_buf_chr(&l->out, '\n');
        put_indent(l, indent);
        put_tail_alone(l, c);
    }
}

/* The line above an entry: its comments, and one empty line where there was some. */
static void put_head(struct layout *l, const struct entry *e, uint32_t indent, bool first)
{
    if (e->headed)
        return;
    put_lines(l, &e->head, indent, first);
    if (blank_above(l, e->line) && !(first && e->head.n == 0))
        kr_buf_chr(&l->out, '\n');
}

/* Later lines of an atom that began in the block of column old: moved with it, at least to least. */
static void put_more_lines(struct layout *l, const struct node *n, uint32_t old, uint32_t now,
                           uint32_t least)
{
    for (uint32_t i = n->line + 1; i <= n->end_line; i++) {
        kr_str line =
            kr_str_sub(l->text, l->starts[i], n->to < l->starts[i + 1] ? n->to : l->starts[i + 1]);
        uint32_t had = leading(line), want = had > old ? had - old + now : now;

        if (kr_str_ends(line, KR_S("\n")))
            line = kr_str_sub(line, 0, line.n - 1);
        kr_buf_chr(&l->out, '\n');
        if (had == line.n)
            continue;
        put_indent(l, want < least ? least : want);
        kr_buf_str(&l->out, kr_str_sub(line, had, line.n));
    }
}

/* The header of a block scalar ("|-", ">2 # text") with an indentation of our own; returns the one it
 * had, relative to its block, or 0. */
static uint32_t put_block_header(struct layout *l, const struct node *n)
{
    kr_str line = line_text(l, n->line), s = kr_str_sub(line, n->col, line.n);
    ptrdiff_t mark = kr_str_chr(s, '|');
    uint32_t given = 0;
    size_t i;

    if (mark < 0 || (kr_str_chr(s, '>') >= 0 && kr_str_chr(s, '>') < mark))
        mark = kr_str_chr(s, '>');
    for (i = 0; i < s.n; i++) {
        bool header = mark >= 0 && i > (size_t)mark && i <= (size_t)mark + 2;

        if (header && s.s[i] >= '1' && s.s[i] <= '9') {
            given = (uint32_t)(s.s[i] - '0');
            kr_buf_chr(&l->out, '0' + INDENT);
        } else {
            kr_buf_chr(&l->out, s.s[i]);
        }
    }
    while (l->out.n > 0 && l->out.s[l->out.n - 1] == ' ')
        l->out.n--;
    return given;
}

/* A literal or folded scalar: its lines keep their place relative to the first. */
static void put_block_scalar(struct layout *l, const struct node *n, uint32_t old, uint32_t now)
{
    uint32_t given = put_block_header(l, n), was = given ? old + given : 0;

    for (uint32_t i = n->line + 1; i <= n->end_line && !was; i++)
        was = is_blank(l, i) ? 0 : leading(line_text(l, i));
    for (uint32_t i = n->line + 1; i <= n->end_line; i++) {
        kr_str line = line_text(l, i);

        kr_buf_chr(&l->out, '\n');
        if (line.n <= was)
            continue;
        put_indent(l, now + INDENT);
        kr_buf_str(&l->out, kr_str_sub(line, was, line.n));
    }
}

static void put_atom(struct layout *l, const struct node *n, uint32_t old, uint32_t now)
{
    kr_str first = kr_str_sub(l->text, n->from, n->to);

    if (n->block) {
        put_block_scalar(l, n, old, now);
        return;
    }
    if (n->end_line > n->line)
        first = kr_str_sub(first, 0, (size_t)kr_str_chr(first, '\n'));
    kr_buf_str(&l->out, first);
    put_more_lines(l, n, old, now, n->kind == N_FLOW ? now : now + INDENT);
}

static void put_block(struct layout *l, struct node *n, uint32_t indent, enum place at,
                      bool behind_dash);

static bool is_nested(const struct node *n)
{
    return n->kind == N_MAP || n->kind == N_LIST;
}

/* What stands behind "key:" or "-". */
static void put_value(struct layout *l, const struct entry *e, uint32_t indent, enum place at)
{
    struct node *v = e->value;

    if (is_nested(v)) {
        if (v->anchor.n)
            kr_buf_fmt(&l->out, " &" KR_FMT, KR_ARG(v->anchor));
        put_tail(l, e->tail);
        put_block(l, v, indent + INDENT, at, false);
        return;
    }
    if (!v->empty) {
        kr_buf_chr(&l->out, ' ');
        put_atom(l, v, e->col, indent);
    }
    put_tail(l, e->tail);
}

/* "- " and a map that begins behind the dash; comments of its first entry stand before the dash. */
static void put_item_map(struct layout *l, struct entry *e, uint32_t indent, enum place at)
{
    sort_entries(l, e->value, at);
    if (e->tail) { /* behind the dash alone */
        put_indent(l, indent);
        put_tail_alone(l, e->tail);
    }
    if (e->value->n > 0)
        put_lines(l, &e->value->entries[0].head, indent, true);
    put_indent(l, indent);
    kr_buf_str(&l->out, KR_S("- "));
    put_block(l, e->value, indent + INDENT, at, true);
}

static void put_item(struct layout *l, struct entry *e, uint32_t indent, enum place at, bool first)
{
    put_head(l, e, indent, first);
    if (e->value->kind == N_MAP && e->value->anchor.n == 0) {
        put_item_map(l, e, indent, at);
        return;
    }
    put_indent(l, indent);
    kr_buf_chr(&l->out, '-');
    put_value(l, e, indent, at);
}

static void put_map_entry(struct layout *l, const struct entry *e, uint32_t indent, enum place at)
{
    kr_buf_str(&l->out, key_text(l, e));
    kr_buf_chr(&l->out, ':');
    put_value(l, e, indent, place_below(l, at, e));
}

static void put_block(struct layout *l, struct node *n, uint32_t indent, enum place at,
                      bool behind_dash)
{
    if (n->kind == N_MAP)
        sort_entries(l, n, at);
    for (uint32_t i = 0; i < n->n; i++) {
        struct entry *e = &n->entries[i];

        if (n->kind == N_LIST) {
            put_item(l, e, indent, place_below(l, at, e), i == 0);
            continue;
        }
        if (!behind_dash || i > 0) {
            put_head(l, e, indent, i == 0);
            put_indent(l, indent);
        }
        put_map_entry(l, e, indent, at);
    }
    put_lines(l, &n->foot, indent, false);
}

static void put_document(struct layout *l, struct document *d, bool first)
{
    put_lines(l, &d->before, 0, first);
    if (d->marked) {
        kr_buf_str(&l->out, KR_S("---"));
        put_tail(l, d->tail);
    }
    if (is_nested(d->root)) {
        if (d->root->kind == N_MAP &&
            d->root->n > 0) { /* what stands above it all is about it all */
            put_head(l, &d->root->entries[0], 0, true);
            d->root->entries[0].headed = true;
        }
        put_block(l, d->root, 0, place_of_root(l, d->root), false);
    } else if (!d->root->empty) {
        put_atom(l, d->root, 0, 0);
        kr_buf_chr(&l->out, '\n');
    }
}

/* --- the whole -------------------------------------------------------------------------------- */

static int read_text(struct layout *l)
{
    int rc;

    yaml_parser_initialize(&l->parser);
    rc = read_all(l);
    yaml_event_delete(&l->event);
    yaml_parser_delete(&l->parser);
    return rc;
}

/* Lays text out; keys change places only with reorder. */
static int lay_out(struct kr_arena *a, kr_str text, bool reorder, kr_str *out, struct kr_err *err)
{
    struct layout l = {.a = a, .text = text, .reorder = reorder, .err = err};
    struct lines end = {0};

    find_lines(&l);
    KR_TRY(read_text(&l));
    KR_TRY(attach_all(&l, &end));
    l.out = (struct kr_buf)KR_BUF_IN(a, OUT_FACTOR * text.n + OUT_MORE);
    for (uint32_t i = 0; i < l.docs_n; i++)
        put_document(&l, &l.docs[i], i == 0);
    put_lines(&l, &end, 0, l.docs_n == 0);
    if (l.out.full)
        return kr_fail(err, KR_E_LIMIT, "the laid out text is too long");
    *out = l.out.n ? kr_buf_view(&l.out) : KR_S("");
    return 0;
}

/* Digest of all comments outside of atoms, in any order. */
static int comments_digest(struct kr_arena *a, kr_str text, uint64_t *digest, struct kr_err *err)
{
    struct layout l = {.a = a, .text = text, .err = err};

    find_lines(&l);
    KR_TRY(read_text(&l));
    *digest = l.comments_n;
    for (uint32_t i = 0; i < l.comments_n; i++)
        *digest += kr_str_hash(l.comments[i].text);
    return 0;
}

/* Same values, same comments? */
static bool same_meaning(kr_str before, kr_str after)
{
    KR_AUTO(kr_arena) a = {0};
    uint64_t x, y;
    kr_val was, is;

    return kr_yaml_parse(&a, before, &was, NULL) == 0 && kr_yaml_parse(&a, after, &is, NULL) == 0 &&
           kr_equal(was, is) && comments_digest(&a, before, &x, NULL) == 0 &&
           comments_digest(&a, after, &y, NULL) == 0 && x == y;
}

/* One kind of line end, no byte order mark. */
static int plain_text(struct kr_arena *a, kr_str text, kr_str *out, struct kr_err *err)
{
    static const kr_str odd[] = {
        {"\r", 1}, {"\xc2\x85", 2}, {"\xe2\x80\xa8", 3}, {"\xe2\x80\xa9", 3}};
    char *s = kr_arena_bytes(a, text.n + 1);
    size_t n = 0;

    if (kr_str_starts(text, KR_S("\xef\xbb\xbf")))
        text = kr_str_sub(text, 3, text.n);
    for (size_t i = 0; i < text.n; i++) {
        if (text.s[i] != '\r' || i + 1 == text.n || text.s[i + 1] != '\n')
            s[n++] = text.s[i];
    }
    *out = (kr_str){s, n};
    for (size_t i = 0; i < KR_N(odd); i++) {
        if (kr_str_find(*out, odd[i]) >= 0)
            return kr_fail(err, KR_E_INPUT, "it has a line break that is neither LF nor CR LF");
    }
    return 0;
}

int cli_layout(struct kr_arena *a, kr_str text, kr_str *out, struct kr_err *err)
{
    kr_str plain, made;
    kr_val docs;

    KR_TRY(kr_yaml_parse(a, text, &docs, err));
    KR_TRY(plain_text(a, text, &plain, err));
    KR_TRY(lay_out(a, plain, true, &made, err));
    if (!same_meaning(plain, made)) { /* an alias would come before its anchor, or the like */
        KR_TRY(lay_out(a, plain, false, &made, err));
        if (!same_meaning(plain, made))
            return kr_fail(err, KR_E_INPUT, "it cannot be laid out without changing what it means");
    }
    *out = made;
    return 0;
}
