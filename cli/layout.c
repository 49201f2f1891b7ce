/* SPDX-License-Identifier: Apache-2.0 */
/* layout.c - see layout.h.
 *
 *   text --events--> tree of nodes, each with the place of its text
 *        --gaps between texts--> comments --attach--> entry: above, behind; block: below
 *        --emit--> new text --read again--> compared with the old
 *
 * The first line is layout_read.c's, the second too; what is written stands here.
 */
#include "cli/layout.h"

#include "cel/base/val.h"
#include "cel/base/yaml.h"
#include "cli/layout_tree.h"

#include "cel/base/banned.h"

enum { INDENT = 2, OUT_FACTOR = 8, OUT_MORE = 4096 };

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
    return line > 0 && cli__layout_is_blank(l, line - 1) && !l->owned[line - 1];
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
        uint32_t had = cli__layout_leading(line), want = had > old ? had - old + now : now;

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
    kr_str line = cli__layout_line_text(l, n->line), s = kr_str_sub(line, n->col, line.n);
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
        was = cli__layout_is_blank(l, i) ? 0 : cli__layout_leading(cli__layout_line_text(l, i));
    for (uint32_t i = n->line + 1; i <= n->end_line; i++) {
        kr_str line = cli__layout_line_text(l, i);

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

/* Lays text out; keys change places only with reorder. */
static int lay_out(struct kr_arena *a, kr_str text, bool reorder, kr_str *out, struct kr_err *err)
{
    struct layout l = {.a = a, .text = text, .reorder = reorder, .err = err};
    struct lines end = {0};

    cli__layout_lines(&l);
    KR_TRY(cli__layout_read(&l));
    KR_TRY(cli__layout_attach(&l, &end));
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

    cli__layout_lines(&l);
    KR_TRY(cli__layout_read(&l));
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
