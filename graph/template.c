/* SPDX-License-Identifier: Apache-2.0 */
/* template.c - the expressions of a document: where they stand, and what text they are to CEL.
 *
 *   "a-${x}-b"   --scan-->   'a-' {x} '-b'   --as CEL-->   "a-" + (x) + "-b"
 *   "${x}"       standalone: the value keeps its type
 *
 * graph__find walks a document beside its schema and tells all that does not fit, in kro's words;
 * where a schema ends (or there is none) the rest is walked without. Map keys are never scanned.
 *
 * The scanner knows double quotes only, and an unclosed `${` is literal text: both are kro's, and
 * changing either would change which text is literal.
 *
 * Source: kro:pkg/graph/parser; reference rgd-graph 4.2, 4.3.
 */
#include "graph/internal.h"

#include "cel/base/buf.h"
#include "cel/base/near.h"
#include "cel/base/utf8.h"

#include "cel/base/banned.h"

/* --- scanner ---------------------------------------------------------------------------------- */

struct pieces {
    struct kr_arena *a;
    struct graph_piece *items;
    uint32_t n, cap;
};

static void pieces_add(struct pieces *p, kr_str text, bool expr)
{
    if (!expr && text.n == 0)
        return;
    if (p->n == p->cap) {
        struct graph_piece *grown = kr_new_n(p->a, struct graph_piece, p->cap ? 2 * p->cap : 4);

        if (p->n)
            memcpy(grown, p->items, sizeof(*grown) * p->n);
        p->items = grown;
        p->cap = p->cap ? 2 * p->cap : 4;
    }
    p->items[p->n++] = (struct graph_piece){.text = text, .expr = expr};
}

static bool opens(kr_str s, size_t at)
{
    return s.s[at] == '$' && at + 1 < s.n && s.s[at + 1] == '{';
}

/* The end of the expression whose text begins at from: *end is its closing brace, or s.n when it
 * has none, or where another expression begins in it (an error). */
static int scan_end(kr_str s, size_t from, size_t *end, struct kr_err *err)
{
    uint32_t depth = 1;
    bool quoted = false, escaped = false;

    for (size_t j = from; j < s.n; j++) {
        char c = s.s[j];

        if (escaped) {
            escaped = false;
        } else if (quoted && c == '\\') {
            escaped = true;
        } else if (c == '"') {
            quoted = !quoted;
        } else if (quoted) {
            continue;
        } else if (c == '{') {
            depth++;
        } else if (c == '}' && --depth == 0) {
            *end = j;
            return 0;
        } else if (opens(s, j) && s.s[j - 1] != '"') {
            *end = j;
            return kr_fail(err, KR_E_INPUT,
                           "nested expressions are not allowed unless inside string literals");
        }
    }
    *end = s.n;
    return 0;
}

int graph__scan(struct kr_arena *a, kr_str s, const struct graph_piece **pieces, uint32_t *n,
                struct kr_err *err)
{
    struct pieces p = {.a = a};
    size_t literal = 0, looked = 0;

    for (size_t at = 0; at + 1 < s.n;) {
        size_t end = s.n;

        if (!opens(s, at)) {
            at++;
            continue;
        }
        KR_TRY(scan_end(s, at + 2, &end, err));
        looked += end - at;
        if (looked > GRAPH_SCAN_BYTES_MAX)
            return kr_fail(err, KR_E_LIMIT, "string with too many unclosed \"${\"");
        if (end == s.n) { /* never closed: literal, the next one is tried */
            at++;
            continue;
        }
        pieces_add(&p, kr_str_sub(s, literal, at), false);
        pieces_add(&p, kr_str_sub(s, at + 2, end), true);
        at = literal = end + 1;
    }
    if (p.n)
        pieces_add(&p, kr_str_sub(s, literal, s.n), false);
    *pieces = p.items;
    *n = p.n;
    return 0;
}

/* Where an expression begins inside another: what made graph__scan fail, for the caret. */
static size_t scan_fault(kr_str s)
{
    size_t end = 0;

    for (size_t at = 0; at + 1 < s.n; at++) {
        if (!opens(s, at))
            continue;
        if (scan_end(s, at + 2, &end, NULL) < 0)
            return end;
        if (end < s.n)
            at = end;
    }
    return 0;
}

int graph__unwrap(struct kr_arena *a, kr_str s, kr_str *out, struct kr_err *err)
{
    const struct graph_piece *pieces;
    uint32_t n;

    KR_TRY(graph__scan(a, s, &pieces, &n, err));
    if (n != 1 || !pieces[0].expr)
        return kr_fail(err, KR_E_INPUT, "only standalone expressions are allowed");
    *out = pieces[0].text;
    return 0;
}

/* --- as CEL ----------------------------------------------------------------------------------- */

static void quote_rune(struct kr_buf *b, const char *s, uint32_t len, uint32_t rune)
{
    static const char names[] = "abtnvfr"; /* from 0x07 on: \a \b \t \n \v \f \r */

    if (rune == '"' || rune == '\\')
        kr_buf_fmt(b, "\\%c", (char)rune);
    else if (rune == KR_RUNE_BAD && len == 1)
        kr_buf_fmt(b, "\\x%02x", (unsigned char)*s);
    else if (rune >= 7 && rune <= 13)
        kr_buf_fmt(b, "\\%c", names[rune - 7]);
    else if (rune < ' ' || rune == 0x7f)
        kr_buf_fmt(b, "\\x%02x", rune);
    else if ((rune >= 0x80 && rune <= 0xa0) || rune == 0xad || rune == 0x2028 || rune == 0x2029 ||
             rune == 0xfeff)
        kr_buf_fmt(b, "\\u%04x", rune);
    else
        kr_buf_add(b, s, len);
}

/* Is it the same inside quotes? */
static bool plain(kr_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.s[i];

        if (c < ' ' || c >= 0x7f || c == '"' || c == '\\')
            return false;
    }
    return true;
}

static void quote_into(struct kr_buf *b, kr_str s)
{
    bool as_is = plain(s);

    kr_buf_chr(b, '"');
    if (as_is)
        kr_buf_str(b, s);
    for (size_t at = 0; !as_is && at < s.n;) {
        uint32_t len, rune = kr_utf8_decode(s.s + at, s.n - at, &len);

        quote_rune(b, s.s + at, len, rune);
        at += len;
    }
    kr_buf_chr(b, '"');
}

kr_str graph__go_quote(struct kr_arena *a, kr_str s)
{
    KR_AUTO(kr_buf) b = KR_BUF(6 * s.n + 3);

    quote_into(&b, s);
    return kr_strdup(a, kr_buf_view(&b));
}

kr_str graph__template_cel(struct kr_arena *a, const struct graph_piece *pieces, uint32_t n)
{
    size_t room = 16;

    for (uint32_t i = 0; i < n; i++)
        room += 6 * pieces[i].text.n + 8;
    KR_AUTO(kr_buf) b = KR_BUF(room);
    for (uint32_t i = 0; i < n; i++) {
        if (i)
            kr_buf_add(&b, " + ", 3);
        if (!pieces[i].expr) {
            quote_into(&b, pieces[i].text);
            continue;
        }
        kr_buf_chr(&b, '(');
        kr_buf_str(&b, pieces[i].text);
        kr_buf_chr(&b, ')');
    }
    return kr_strdup(a, kr_buf_view(&b));
}

size_t graph__template_origin(struct kr_arena *a, kr_str template, size_t offset)
{
    const struct graph_piece *pieces;
    size_t at = 0;
    uint32_t n;

    if (graph__scan(a, template, &pieces, &n, NULL) < 0)
        return 0;
    for (uint32_t i = 0; i < n; i++) { /* as graph__template_cel prints them */
        size_t here = (size_t)(pieces[i].text.s - template.s);

        at += i ? 3 : 0;
        if (!pieces[i].expr) {
            at += graph__go_quote(a, pieces[i].text).n;
            if (offset < at)
                return here;
            continue;
        }
        at += pieces[i].text.n + 2;
        if (offset < at) {
            size_t begin = at - pieces[i].text.n - 1;

            return here + (offset > begin ? offset - begin : 0);
        }
    }
    return template.n;
}

/* --- finding ---------------------------------------------------------------------------------- */

struct finder {
    struct graph_finds *f;
    struct graph_step steps[GRAPH_DEPTH_MAX];
    uint32_t depth;
};

static kr_str here(const struct finder *w)
{
    return graph__path_print(w->f->a, w->steps, w->depth);
}

/* One level down; false: too deep, which has been said. */
static bool enter(struct finder *w, struct graph_step step)
{
    if (w->depth == GRAPH_DEPTH_MAX) {
        graph__diag(w->f->d, GRAPH_R_LIMIT, here(w), "nested deeper than %d levels at path " KR_FMT,
                    GRAPH_DEPTH_MAX, KR_ARG(here(w)));
        return false;
    }
    w->steps[w->depth++] = step;
    return true;
}

/* The pieces of a string; false: it cannot be read, which has been said. */
static bool scan(struct finder *w, kr_str text, const struct graph_piece **pieces, uint32_t *n)
{
    struct kr_err err = KR_ERR_NONE;
    struct graph_diag *x;

    if (graph__scan(w->f->a, text, pieces, n, &err) == 0)
        return true;
    x = graph__diag_err(w->f->d, GRAPH_R_SYNTAX, here(w), &err);
    if (x->rule != GRAPH_R_SYNTAX)
        return false;
    graph__diag_at(x, kr_strdup(w->f->d->a, text), scan_fault(text));
    x->expected = KR_S("\"}\" that ends the expression, before another one begins");
    return false;
}

static void found_add(struct finder *w, const struct graph_piece *pieces, uint32_t n, kr_str text)
{
    struct graph_finds *f = w->f;
    struct graph_step *path;
    struct graph_found *it;

    if (f->n == GRAPH_EXPRESSIONS_MAX) {
        if (!f->full)
            graph__diag(f->d, GRAPH_R_LIMIT, here(w), "more than %d expressions",
                        GRAPH_EXPRESSIONS_MAX);
        f->full = true;
        return;
    }
    if (f->n == f->cap) {
        struct graph_found *grown = kr_new_n(f->a, struct graph_found, f->cap ? 2 * f->cap : 8);

        if (f->n)
            memcpy(grown, f->items, sizeof(*grown) * f->n);
        f->items = grown;
        f->cap = f->cap ? 2 * f->cap : 8;
    }
    path = kr_new_n(f->keep ? f->keep : f->a, struct graph_step, w->depth);
    if (w->depth)
        memcpy(path, w->steps, sizeof(*path) * w->depth);
    it = &f->items[f->n++];
    it->standalone = n == 1;
    it->cel = n == 1 ? pieces[0].text : graph__template_cel(f->keep ? f->keep : f->a, pieces, n);
    it->text = n == 1 ? pieces[0].text : text;
    it->path = path;
    it->path_n = w->depth;
    it->path_text = here(w);
}

static void plain_add(struct finder *w)
{
    struct graph_finds *f = w->f;

    if (f->plain_n == f->plain_cap) {
        kr_str *grown = kr_new_n(f->a, kr_str, f->plain_cap ? 2 * f->plain_cap : 8);

        if (f->plain_n)
            memcpy(grown, f->plain, sizeof(*grown) * f->plain_n);
        f->plain = grown;
        f->plain_cap = f->plain_cap ? 2 * f->plain_cap : 8;
    }
    f->plain[f->plain_n++] = here(w);
}

/* The subtree without a schema. */
static void find_any(struct finder *w, kr_val v)
{
    const struct graph_piece *pieces;
    uint32_t n = 0;

    if (v.kind == KR_MAP) {
        KR_MAP_EACH (it, v) {
            if (!enter(w, (struct graph_step){.name = kr_text(it->key)}))
                return;
            find_any(w, it->val);
            w->depth--;
        }
        return;
    }
    if (v.kind == KR_LIST) {
        for (uint32_t i = 0; i < v.n; i++) {
            if (!enter(w, (struct graph_step){.index = i}))
                return;
            find_any(w, v.list[i]);
            w->depth--;
        }
        return;
    }
    if (v.kind == KR_STRING && !scan(w, kr_text(v), &pieces, &n))
        return;
    if (n)
        found_add(w, pieces, n, kr_text(v));
    else
        plain_add(w);
}

/* --- finding along a schema ------------------------------------------------------------------- */

/* The JSON types that a schema admits, in kro's order; n == 0: none given. */
struct admits {
    const char *types[6];
    uint32_t n;
};

static void admit(struct admits *x, const char *type)
{
    x->types[x->n++] = type;
}

static struct admits admits_of(const struct cel_schema *s)
{
    static const char *const names[] = {
        [CEL_S_NONE] = NULL,         [CEL_S_OBJECT] = "object",   [CEL_S_ARRAY] = "array",
        [CEL_S_STRING] = "string",   [CEL_S_INTEGER] = "integer", [CEL_S_NUMBER] = "number",
        [CEL_S_BOOLEAN] = "boolean",
    };
    struct admits x = {.n = 0};

    if (s->preserve_unknown) {
        admit(&x, "any");
    } else if (s->int_or_string) {
        admit(&x, "string");
        admit(&x, "integer");
    } else if (s->format == CEL_F_INT_OR_STRING) {
        admit(&x, "integer");
        admit(&x, "string");
    } else if (s->union_n) {
        for (uint32_t i = 0; i < s->union_n; i++)
            admit(&x, names[s->union_types[i]]);
    } else if (s->string_or_number) {
        admit(&x, "string");
        admit(&x, "number");
    } else if (s->type != CEL_S_NONE) {
        admit(&x, names[s->type]);
    } else if (s->additional_any || s->additional) {
        admit(&x, "any");
    }
    return x;
}

static bool admits(const struct admits *x, const char *type)
{
    for (uint32_t i = 0; i < x->n; i++) {
        if (strcmp(x->types[i], type) == 0)
            return true;
    }
    return false;
}

static const char *type_name(kr_val v)
{
    switch (v.kind) {
    case KR_BOOL:
        return "boolean";
    case KR_INT:
        return "integer";
    case KR_UINT:
    case KR_DOUBLE:
        return "float64";
    case KR_STRING:
        return "string";
    case KR_LIST:
        return "array";
    default:
        return "object";
    }
}

static void fail_type(const struct finder *w, const struct admits *x, kr_val v)
{
    KR_AUTO(kr_buf) wanted = KR_BUF(128);
    struct graph_diag *d;

    for (uint32_t i = 0; i < x->n; i++)
        kr_buf_fmt(&wanted, "%s%s", i ? " or " : "", x->types[i]);
    d = graph__diag(w->f->d, GRAPH_R_WRONG_TYPE, here(w),
                    "expected " KR_FMT " type for path " KR_FMT ", got %s",
                    KR_ARG(kr_buf_view(&wanted)), KR_ARG(here(w)), type_name(v));
    graph__diag_text(w->f->d, d, "a value of type %s does not fit", type_name(v));
    d->expected = kr_strdup(w->f->d->a, kr_buf_view(&wanted));
    if (v.kind == KR_STRING)
        graph__diag_at(d, kr_strdup(w->f->d->a, kr_text(v)), 0);
    if (v.kind == KR_INT && admits(x, "string"))
        d->suggestion = kr_fmt(w->f->d->a, "put it in quotes: \"%lld\"", (long long)v.i);
    else if (v.kind == KR_BOOL && admits(x, "string"))
        d->suggestion = kr_fmt(w->f->d->a, "put it in quotes: \"%s\"", v.b ? "true" : "false");
}

static void fail_field(const struct finder *w, kr_str key, const struct cel_schema *s)
{
    struct graph_diags *d = w->f->d;
    struct graph_diag *x;
    struct kr_near near = {.word = key};
    kr_str *names = kr_new_n(d->a, kr_str, s->fields_n);

    x = graph__diag(d, GRAPH_R_UNKNOWN_FIELD, graph__path_join(d->a, here(w), key),
                    "error getting field schema for path " KR_FMT "." KR_FMT
                    ": schema not found for field " KR_FMT,
                    KR_ARG(here(w)), KR_ARG(key), KR_ARG(key));
    for (uint32_t i = 0; i < s->fields_n; i++) {
        names[i] = kr_strdup(d->a, s->fields[i].name);
        kr_near_try(&near, names[i]);
    }
    graph__diag_text(d, x, "unknown field \"" KR_FMT "\"", KR_ARG(key));
    graph__diag_at(x, kr_strdup(d->a, key), 0);
    graph__diag_names(d, x, "one of", names, s->fields_n);
    graph__diag_nearest(d, x, near.best);
}

static void find_typed(struct finder *w, kr_val v, const struct cel_schema *s);

static void find_map(struct finder *w, kr_val v, const struct cel_schema *s, const struct admits *x)
{
    if (!admits(x, "object") && !s->additional && !s->additional_any) {
        fail_type(w, x, v);
        return;
    }
    KR_MAP_EACH (it, v) {
        kr_str key = kr_text(it->key);
        const struct cel_schema *member = cel_schema_member(s, key);

        if (!member && !s->additional_any) {
            fail_field(w, key, s);
            continue;
        }
        if (!enter(w, (struct graph_step){.name = key}))
            return;
        if (member)
            find_typed(w, it->val, member);
        else /* kro's empty schema, which describes nothing: taken as it is */
            find_any(w, it->val);
        w->depth--;
    }
}

static void find_list(struct finder *w, kr_val v, const struct cel_schema *s,
                      const struct admits *x)
{
    const struct cel_schema *items = cel_schema_at(s, &KR_S("[]"), 1);

    if (!admits(x, "array")) {
        fail_type(w, x, v);
        return;
    }
    if (!items || admits_of(items).n == 0) { /* none, or one that describes nothing */
        graph__diag(w->f->d, GRAPH_R_INVALID_RESOURCE, here(w),
                    "invalid array schema for path " KR_FMT
                    ": neither Items.Schema nor Properties are defined",
                    KR_ARG(here(w)));
        return;
    }
    for (uint32_t i = 0; i < v.n; i++) {
        if (!enter(w, (struct graph_step){.index = i}))
            return;
        find_typed(w, v.list[i], items);
        w->depth--;
    }
}

static void find_string(struct finder *w, kr_val v, const struct admits *x)
{
    const struct graph_piece *pieces = NULL;
    uint32_t n = 0;

    if (!scan(w, kr_text(v), &pieces, &n))
        return;
    if (!(n == 1 && pieces[0].expr) && !admits(x, "string") && !admits(x, "any"))
        fail_type(w, x, v);
    else if (n)
        found_add(w, pieces, n, kr_text(v));
}

static void find_scalar(struct finder *w, kr_val v, const struct admits *x)
{
    bool fits = admits(x, "any");

    if (v.kind == KR_BOOL)
        fits = fits || admits(x, "boolean");
    else
        fits = fits || admits(x, "number") || (v.kind == KR_INT && admits(x, "integer"));
    if (!fits)
        fail_type(w, x, v);
}

static void find_value(struct finder *w, kr_val v, const struct cel_schema *s,
                       const struct admits *x)
{
    switch (v.kind) {
    case KR_MAP:
        find_map(w, v, s, x);
        return;
    case KR_LIST:
        find_list(w, v, s, x);
        return;
    case KR_STRING:
        find_string(w, v, x);
        return;
    case KR_BOOL:
    case KR_INT:
    case KR_UINT:
    case KR_DOUBLE:
        find_scalar(w, v, x);
        return;
    default:
        return; /* null fits everywhere */
    }
}

static void find_typed(struct finder *w, kr_val v, const struct cel_schema *s)
{
    struct admits x;

    if (!s) {
        graph__diag(w->f->d, GRAPH_R_INVALID_RESOURCE, here(w), "schema is nil for path " KR_FMT,
                    KR_ARG(here(w)));
        return;
    }
    x = admits_of(s);
    if (x.n == 0)
        graph__diag(w->f->d, GRAPH_R_INVALID_RESOURCE, here(w),
                    "schema at path " KR_FMT
                    " has no valid type, OneOf, AnyOf, or AdditionalProperties",
                    KR_ARG(here(w)));
    else if ((v.kind == KR_MAP || v.kind == KR_LIST) && s->preserve_unknown)
        find_any(w, v);
    else
        find_value(w, v, s, &x);
}

void graph__find(struct graph_finds *f, kr_val document, const struct cel_schema *schema)
{
    struct finder w = {.f = f};

    find_typed(&w, document, schema);
}

void graph__find_any(struct graph_finds *f, kr_val document)
{
    struct finder w = {.f = f};

    find_any(&w, document);
}
