/* SPDX-License-Identifier: Apache-2.0 */
/* diag.c - see diag.h: the list of findings, and how one is filled in.
 *
 * A pass sets `words` and `base` (what stands in front of the messages and paths of a resource), and
 * adds findings with what it knows: the rule, the path below, the words. What helps people (source,
 * caret, expected, suggestion) is put into the finding that was returned; of an expression it comes
 * from the expression's own diagnostics.
 */
#include "graph/internal.h"

#include <stdarg.h>
#include <stdio.h>

#include "cel/base/buf.h"
#include "cel/base/utf8.h"

#include "cel/base/banned.h"

enum { WORDS_MAX = 4 * GRAPH_DIAG_TEXT_MAX }; /* bytes of a message with all words in front */

static const struct {
    const char *id, *help;
} rules[] = {
#define GRAPH_RULE_ROW(name, id, help) [GRAPH_R_##name] = {id, help},
    GRAPH_RULES(GRAPH_RULE_ROW)
#undef GRAPH_RULE_ROW
};

const char *graph_rule_id(enum graph_rule rule)
{
    return rules[rule].id;
}

const char *graph_rule_help(enum graph_rule rule)
{
    return rules[rule].help;
}

/* --- adding ----------------------------------------------------------------------------------- */

kr_str graph__diag_path(const struct graph_diags *d, kr_str below)
{
    if (d->base.n == 0)
        return below.n ? below : KR_S("spec");
    if (below.n == 0)
        return d->base;
    return kr_fmt(d->a, KR_FMT "%s" KR_FMT, KR_ARG(d->base), below.s[0] == '[' ? "" : ".",
                  KR_ARG(below));
}

static struct graph_diag *add(struct graph_diags *d)
{
    if (d->n == GRAPH_DIAGS_MAX) {
        uint32_t at = d->n;

        d->left_out++;
        while (at > 0 && !d->items[at - 1].warning)
            at--;
        if (at == 0)
            return &d->spare;
        memmove(&d->items[at - 1], &d->items[at], sizeof(*d->items) * (d->n - at));
        return &d->items[d->n - 1]; /* a warning gives way */
    }
    if (d->n == d->cap) {
        uint32_t cap = d->cap ? 2 * d->cap : 4;
        struct graph_diag *grown = kr_new_n(d->a, struct graph_diag, cap);

        if (d->n)
            memcpy(grown, d->items, sizeof(*grown) * d->n);
        d->items = grown;
        d->cap = cap;
    }
    return &d->items[d->n++];
}

/* --- words in front ---------------------------------------------------------------------------- */

static void print_words(struct kr_arena *a, const struct graph_words *w, struct kr_buf *out)
{
    const kr_str *name = w->names;
    kr_str cut;

    if (w->outer)
        print_words(a, w->outer, out);
    for (const char *s = w->text; *s; s++) {
        if (*s != '%') {
            kr_buf_chr(out, *s);
            continue;
        }
        s++;
        cut = kr_str_sub(*name++, 0, KR_ERR_MAX);
        kr_buf_str(out, *s == 'q' ? graph__go_quote(a, cut) : cut);
    }
    kr_buf_add(out, ": ", 2);
}

static kr_str said_behind(const struct graph_diags *d, kr_str text)
{
    KR_AUTO(kr_buf) b = KR_BUF(WORDS_MAX);

    print_words(d->a, d->words, &b);
    kr_buf_str(&b, text);
    return kr_strdup(d->a, kr_buf_view(&b));
}

const struct graph_words *graph__words(struct graph_diags *d, const char *text, kr_str name,
                                       kr_str other)
{
    const struct graph_words *outer = d->words;
    struct graph_words *w = kr_new(d->a, struct graph_words);

    *w = (struct graph_words){.outer = outer, .text = text, .names = {name, other}};
    d->words = w;
    return outer;
}

/* --- a finding ---------------------------------------------------------------------------------- */

struct graph_diag *graph__diag(struct graph_diags *d, enum graph_rule rule, kr_str below,
                               const char *fmt, ...)
{
    KR_AUTO(kr_buf) b = KR_BUF(GRAPH_DIAG_TEXT_MAX);
    struct graph_diag *x = add(d);
    va_list ap;
    int n;

    d->errors_n++;
    *x = (struct graph_diag){.rule = rule, .path = kr_strdup(d->a, graph__diag_path(d, below))};
    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    KR_ASSERT(n >= 0);
    if (n >= GRAPH_DIAG_TEXT_MAX)
        n = GRAPH_DIAG_TEXT_MAX - 1;
    va_start(ap, fmt);
    vsnprintf(kr_buf_room(&b, (size_t)n + 1), (size_t)n + 1, fmt, ap);
    va_end(ap);
    x->text = kr_strdup(d->a, (kr_str){b.s, (size_t)n});
    x->message = d->words ? said_behind(d, x->text) : x->text;
    return x;
}

struct graph_diag *graph__diag_err(struct graph_diags *d, enum graph_rule rule, kr_str below,
                                   const struct kr_err *err)
{
    return graph__diag(d, err->code == KR_E_LIMIT ? GRAPH_R_LIMIT : rule, below, KR_FMT,
                       KR_ARG(kr_err_str(err)));
}

struct graph_diag *graph_diags_add(struct graph_diags *d, enum graph_rule rule, kr_str path,
                                   kr_str text)
{
    return graph__diag(d, rule, path, KR_FMT, KR_ARG(text));
}

void graph__diag_warn(struct graph_diags *d, struct graph_diag *x)
{
    x->warning = true;
    d->errors_n--;
}

struct graph_diag *graph_diags_warn(struct graph_diags *d, enum graph_rule rule, kr_str path,
                                    kr_str text)
{
    struct graph_diag *x = graph_diags_add(d, rule, path, text);

    graph__diag_warn(d, x);
    return x;
}

void graph__diag_text(struct graph_diags *d, struct graph_diag *x, const char *fmt, ...)
{
    char text[KR_ERR_MAX];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    x->text = kr_strdup(d->a, kr_str_c(text));
}

/* --- what helps ------------------------------------------------------------------------------- */

void graph__diag_at(struct graph_diag *x, kr_str source, size_t offset)
{
    size_t start = 0;

    x->source = source;
    x->line = 1;
    if (offset > source.n)
        offset = source.n;
    for (size_t i = 0; i < offset; i++) {
        if (source.s[i] == '\n') {
            x->line++;
            start = i + 1;
        }
    }
    x->column = (uint32_t)kr_utf8_count(kr_str_sub(source, start, offset)) + 1;
}

void graph__diag_nearest(struct graph_diags *d, struct graph_diag *x, kr_str nearest)
{
    if (nearest.n)
        x->suggestion =
            kr_fmt(d->a, "did you mean " KR_FMT "?", KR_ARG(graph__go_quote(d->a, nearest)));
}

void graph__diag_names(struct graph_diags *d, struct graph_diag *x, const char *what,
                       const kr_str *names, uint32_t n)
{
    KR_AUTO(kr_buf) b = KR_BUF(GRAPH_DIAG_TEXT_MAX);

    if (n == 0)
        return;
    kr_buf_fmt(&b, "%s", what);
    for (uint32_t i = 0; i < n && i < GRAPH_DIAG_NAMES_MAX; i++)
        kr_buf_fmt(&b, "%s" KR_FMT, i ? ", " : " ", KR_ARG(names[i]));
    if (n > GRAPH_DIAG_NAMES_MAX)
        kr_buf_fmt(&b, " and %u more", n - GRAPH_DIAG_NAMES_MAX);
    x->expected = kr_strdup(d->a, kr_buf_view(&b));
}

/* --- reading ---------------------------------------------------------------------------------- */

int graph_diags_err(const struct graph_diags *d, struct kr_err *err)
{
    for (uint32_t i = 0; i < d->n; i++) {
        const struct graph_diag *x = &d->items[i];
        int code = x->rule == GRAPH_R_LIMIT ? KR_E_LIMIT : KR_E_INPUT;

        if (x->warning)
            continue;
        kr_fail(err, code, KR_FMT, KR_ARG(x->message));
        return kr_err_at(err, KR_FMT, KR_ARG(x->path));
    }
    KR_ASSERT(d->errors_n == 0);
    return 0;
}

kr_str graph_diag_snippet(struct kr_arena *a, const struct graph_diag *x, const char *indent)
{
    KR_AUTO(kr_buf) b = KR_BUF(8 * GRAPH_DIAG_TEXT_MAX);
    kr_str rest = x->source, line = {0};

    if (x->source.n == 0)
        return KR_S("");
    for (uint32_t i = 0; i < (x->line ? x->line : 1); i++)
        line = kr_str_cut(&rest, '\n');
    line = kr_str_sub(line, 0, GRAPH_DIAG_TEXT_MAX);
    kr_buf_fmt(&b, "%s", indent);
    for (size_t i = 0; i < line.n; i++)
        kr_buf_chr(&b, line.s[i] == '\t' || line.s[i] == '\r' ? ' ' : line.s[i]);
    kr_buf_chr(&b, '\n');
    if (x->line == 0)
        return kr_strdup(a, kr_buf_view(&b));
    line = kr_str_sub(line, 0, kr_utf8_offset(line, x->column - 1));
    kr_buf_fmt(&b, "%s%*s^\n", indent, (int)kr_utf8_columns(line), "");
    return kr_strdup(a, kr_buf_view(&b));
}

const kr_str *graph_diag_names(struct kr_arena *a, kr_str path, uint32_t *n)
{
    const struct graph_step *steps;
    kr_str *names;

    *n = 0;
    if (graph__path_parse(a, path, &steps, n, NULL) < 0)
        *n = 0;
    names = kr_new_n(a, kr_str, *n);
    for (uint32_t i = 0; i < *n; i++)
        names[i] = steps[i].name.s ? steps[i].name : kr_fmt(a, "%u", steps[i].index);
    return names;
}
