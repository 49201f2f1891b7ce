/* SPDX-License-Identifier: Apache-2.0 */
/* layout_read.c - a YAML text as a tree whose nodes know their places, and which comment belongs to what.
 *
 * An atom is a node whose text is copied: a scalar, an alias, a flow collection. Between atoms stand
 * only marks (- : and the like), anchors, blanks and comments, so a "#" behind a blank begins a comment there.
 * libyaml's marks count characters; places here are bytes.
 */
#include "cli/layout_tree.h"

#include "cel/base/val.h"
#include "cel/base/yaml.h"

#include "cel/base/banned.h"

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

kr_str cli__layout_line_text(const struct layout *l, uint32_t line)
{
    kr_str s = kr_str_sub(l->text, l->starts[line], l->starts[line + 1]);

    return kr_str_ends(s, KR_S("\n")) ? kr_str_sub(s, 0, s.n - 1) : s;
}

bool cli__layout_is_blank(const struct layout *l, uint32_t line)
{
    return kr_str_trim(cli__layout_line_text(l, line)).n == 0;
}

void cli__layout_lines(struct layout *l)
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
    kr_str header = cli__layout_line_text(l, n->line);
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
    while (n->end_line > n->line && cli__layout_is_blank(l, n->end_line))
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
        kr_str s = cli__layout_line_text(l, line);
        struct comment *c = comment_on(l, line);

        if (s.n > list->col && s.s[list->col] == '-' && !(c && c->alone))
            return line;
        if (line <= list->line)
            return v->line;
    }
}

uint32_t cli__layout_leading(kr_str line)
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
    n->col = cli__layout_leading(cli__layout_line_text(l, first_line));
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

        if (l->owned[line - 1] ||
            !(cli__layout_is_blank(l, line - 1) || (c && c->alone && !c->taken)))
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

int cli__layout_attach(struct layout *l, struct lines *end)
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

/* --- all of it --------------------------------------------------------------------------------- */

int cli__layout_read(struct layout *l)
{
    int rc;

    yaml_parser_initialize(&l->parser);
    rc = read_all(l);
    yaml_event_delete(&l->event);
    yaml_parser_delete(&l->parser);
    return rc;
}
