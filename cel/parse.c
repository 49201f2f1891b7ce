/* SPDX-License-Identifier: Apache-2.0 */
/* parse.c - tokens to the tree, by recursive descent; and the diagnostics of parser and checker.
 *
 * The grammar is cel-go's, with its two limits: how deep one rule of the grammar may nest, and how
 * deep the tree may be of the nodes that are not balanced (&& and || are). Macros are expanded as
 * soon as the call is complete (macro.c).
 *
 * The parser stops at the first syntax error; errors of another kind (a reserved word, a literal
 * out of range, a macro misused) are collected.
 *
 * Source: cel-go parser/{gen/CEL.g4,parser.go,helper.go}, common/{error,errors}.go.
 */
#include "cel/internal.h"

#include <stdarg.h>
#include <stdio.h>

#include "cel/base/num.h"
#include "cel/base/utf8.h"

#include "cel/base/banned.h"

/* --- diagnostics ------------------------------------------------------------------------------ */

void cel__diag(struct cel__diags *d, uint32_t pos, const char *fmt, ...)
{
    char text[KR_ERR_MAX];
    va_list ap;
    int n;

    if (d->n == CEL_ERRORS_MAX) {
        d->left_out++;
        return;
    }
    va_start(ap, fmt);
    n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (d->n == d->cap) {
        uint32_t cap = d->cap ? 2 * d->cap : 8;
        struct cel__diag *grown = kr_new_n(d->a, struct cel__diag, cap);

        if (d->n)
            memcpy(grown, d->list, d->n * sizeof(*grown));
        d->list = grown;
        d->cap = cap;
    }
    d->list[d->n++] = (struct cel__diag){
        .pos = pos, .text = kr_strdup(d->a, kr_str_sub(kr_str_c(text), 0, (size_t)n))};
}

void cel__diag_about(struct cel__diags *d, const struct cel_type *object, kr_str name)
{
    if (d->n == 0 || d->left_out)
        return;
    d->list[d->n - 1].object = object;
    d->list[d->n - 1].name = name;
}

static int diag_order(const struct cel__diag *x, const struct cel__diag *y)
{
    bool no_x = x->pos == CEL__POS_NONE;
    bool no_y = y->pos == CEL__POS_NONE;

    if (no_x || no_y)
        return no_x ? (no_y ? 0 : -1) : 1;
    return x->pos < y->pos ? -1 : x->pos > y->pos;
}

/* Insertion sort: at most CEL_ERRORS_MAX, and it is stable. */
void cel__diags_sort(struct cel__diags *d)
{
    for (uint32_t i = 1; i < d->n; i++) {
        struct cel__diag x = d->list[i];
        uint32_t k = i;

        for (; k > 0 && diag_order(&d->list[k - 1], &x) > 0; k--)
            d->list[k] = d->list[k - 1];
        d->list[k] = x;
    }
}

/* Line (from 1) and column (from 0, in code points) of pos, and the line's text. */
static kr_str locate(kr_str source, uint32_t pos, int *line, int *column)
{
    size_t start = 0;
    size_t end;

    *line = 1;
    for (size_t i = 0; i < pos && i < source.n; i++) {
        if (source.s[i] == '\n') {
            ++*line;
            start = i + 1;
        }
    }
    end = start;
    while (end < source.n && source.s[end] != '\n')
        end++;
    *column = (int)kr_utf8_count(kr_str_sub(source, start, pos));
    return kr_str_sub(source, start, end);
}

/* The source line with tabs as blanks, and dots up to the column under it. */
static void print_snippet(struct kr_buf *b, kr_str line, int column)
{
    uint32_t len = 1;
    size_t at = 0;

    kr_buf_str(b, KR_S("\n | "));
    for (size_t i = 0; i < line.n; i++)
        kr_buf_chr(b, line.s[i] == '\t' ? ' ' : line.s[i]);
    kr_buf_str(b, KR_S("\n | "));
    for (int i = 0; i < column && at < line.n; i++) {
        kr_utf8_decode(line.s + at, line.n - at, &len);
        kr_buf_str(b, len > 1 ? KR_S("\xef\xbc\x8e") : KR_S("."));
        at += len;
    }
    len = 1;
    if (at < line.n)
        kr_utf8_decode(line.s + at, line.n - at, &len);
    kr_buf_str(b, len > 1 ? KR_S("\xef\xbc\xbe") : KR_S("^"));
}

static void print_diag(struct kr_buf *b, kr_str source, const struct cel__diag *d)
{
    int line;
    int column;
    kr_str text;

    if (d->pos == CEL__POS_NONE) {
        kr_buf_fmt(b, "ERROR: <input>:-1:0: " KR_FMT, KR_ARG(d->text));
        return;
    }
    text = locate(source, d->pos, &line, &column);
    kr_buf_fmt(b, "ERROR: <input>:%d:%d: " KR_FMT, line, column + 1, KR_ARG(d->text));
    print_snippet(b, text, column);
}

int cel__diags_fail(struct cel__diags *d, struct kr_err *err)
{
    KR_AUTO(kr_buf) b = KR_BUF_IN(d->a, 64 * KR_ERR_MAX);

    cel__diags_sort(d);
    for (uint32_t i = 0; i < d->n; i++) {
        if (i)
            kr_buf_chr(&b, '\n');
        print_diag(&b, d->source, &d->list[i]);
    }
    if (d->left_out)
        kr_buf_fmt(&b, "\n%u more errors were truncated", d->left_out);
    return kr_fail(err, KR_E_INPUT, KR_FMT, KR_ARG(kr_buf_view(&b)));
}

/* --- nodes ------------------------------------------------------------------------------------ */

struct nodes {
    struct cel__node **v;
    uint32_t n, cap;
};

static void nodes_add(struct cel__parser *p, struct nodes *l, struct cel__node *e)
{
    if (l->n == l->cap) {
        uint32_t cap = l->cap ? 2 * l->cap : 4;
        struct cel__node **grown = kr_new_n(p->a, struct cel__node *, cap);

        if (l->n)
            memcpy(grown, l->v, l->n * sizeof(struct cel__node *));
        l->v = grown;
        l->cap = cap;
    }
    l->v[l->n++] = e;
}

struct cel__node *cel__node_new(struct cel__parser *p, enum cel__node_kind kind, uint32_t pos)
{
    struct cel__node *e = kr_new(p->a, struct cel__node);

    e->kind = (uint8_t)kind;
    e->pos = pos;
    e->slot = CEL__SLOT_NONE;
    e->local = CEL__NO_LOCAL;
    return e;
}

static struct cel__node *error_node(struct cel__parser *p, uint32_t pos)
{
    return cel__node_new(p, NK_ERROR, pos);
}

/* Depth of the deepest of the parts, saturating far above the limit. */
static void set_depth(struct cel__node *e, bool counted)
{
    uint32_t d = e->target ? e->target->depth : 0;

    for (uint32_t i = 0; i < e->args_n; i++)
        d = e->args[i]->depth > d ? e->args[i]->depth : d;
    d += counted;
    e->depth = (uint16_t)(d > 2 * CEL_DEPTH_MAX ? 2 * CEL_DEPTH_MAX : d);
}

static struct cel__node *call_node(struct cel__parser *p, kr_str name, uint32_t pos, bool counted,
                                   uint32_t n, struct cel__node *x, struct cel__node *y,
                                   struct cel__node *z)
{
    struct cel__node *e = cel__node_new(p, NK_CALL, pos);
    struct cel__node *all[3] = {x, y, z};

    e->name = name;
    e->args = kr_new_n(p->a, struct cel__node *, n);
    memcpy(e->args, all, n * sizeof(all[0]));
    e->args_n = n;
    set_depth(e, counted);
    return e;
}

bool cel__dotted(struct kr_arena *a, const struct cel__node *e, kr_str *out)
{
    kr_str prefix;

    if (e->kind == NK_IDENT) {
        *out = e->name;
        return true;
    }
    if (e->kind != NK_SELECT || e->test_only || !cel__dotted(a, e->target, &prefix))
        return false;
    *out = kr_dotted(a, prefix, e->name);
    return true;
}

/* --- tokens ----------------------------------------------------------------------------------- */

static void advance(struct cel__parser *p)
{
    p->tok = p->next;
    p->next = cel__lex(&p->lx);
}

#define EXPRESSION                                                                                 \
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, "       \
    "STRING, BYTES, IDENTIFIER}"

static struct cel__node *syntax_error(struct cel__parser *p, const char *expecting)
{
    uint32_t pos = p->tok.pos;

    if (p->stopped)
        return error_node(p, pos);
    if (p->tok.kind == TOK_BAD)
        cel__diag(p->diags, pos, "Syntax error: token recognition error at: '" KR_FMT "'",
                  KR_ARG(p->tok.text));
    else if (p->tok.kind == TOK_END)
        cel__diag(p->diags, pos, "Syntax error: mismatched input '<EOF>' expecting %s", expecting);
    else
        cel__diag(p->diags, pos, "Syntax error: mismatched input '" KR_FMT "' expecting %s",
                  KR_ARG(p->tok.text), expecting);
    p->stopped = true;
    return error_node(p, pos);
}

static bool expect(struct cel__parser *p, enum cel__token_kind kind, const char *what)
{
    if (p->stopped)
        return false;
    if (p->tok.kind != kind) {
        syntax_error(p, what);
        return false;
    }
    advance(p);
    return true;
}

static bool accept(struct cel__parser *p, enum cel__token_kind kind)
{
    if (p->stopped || p->tok.kind != kind)
        return false;
    advance(p);
    return true;
}

/* Enters a rule of the grammar; false: nested too deep. */
static bool enter(struct cel__parser *p, uint16_t *depth)
{
    ++*depth;
    if (p->stopped)
        return false;
    if (*depth <= CEL_DEPTH_MAX)
        return true;
    cel__diag(p->diags, CEL__POS_NONE, "expression recursion limit exceeded: %d", CEL_DEPTH_MAX);
    p->stopped = true;
    return false;
}

/* --- the grammar ------------------------------------------------------------------------------ */

static struct cel__node *parse_expr(struct cel__parser *p);

static struct cel__node *const_node(struct cel__parser *p, uint32_t pos, kr_val v)
{
    struct cel__node *e = cel__node_new(p, NK_CONST, pos);

    e->value = v;
    return e;
}

static bool parse_magnitude(kr_str s, uint64_t *out)
{
    uint64_t v = 0;

    if (!kr_str_starts(s, KR_S("0x")))
        return kr_str_u64(s, out);
    for (size_t i = 2; i < s.n; i++) {
        char c = s.s[i];
        unsigned digit = (unsigned)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);

        if (v >> 60)
            return false;
        v = v << 4 | digit;
    }
    *out = v;
    return true;
}

static struct cel__node *int_literal(struct cel__parser *p, uint32_t pos, kr_str text, bool minus)
{
    uint64_t v;
    uint64_t limit = (uint64_t)INT64_MAX + (minus ? 1 : 0);

    if (!parse_magnitude(text, &v) || v > limit) {
        cel__diag(p->diags, pos, "invalid int literal");
        return error_node(p, pos);
    }
    return const_node(p, pos, kr_int(minus ? (int64_t)(0 - v) : (int64_t)v));
}

static struct cel__node *uint_literal(struct cel__parser *p, uint32_t pos, kr_str text)
{
    uint64_t v;

    if (!parse_magnitude(kr_str_sub(text, 0, text.n - 1), &v)) {
        cel__diag(p->diags, pos, "invalid uint literal");
        return error_node(p, pos);
    }
    return const_node(p, pos, kr_uint(v));
}

static struct cel__node *float_literal(struct cel__parser *p, uint32_t pos, kr_str text, bool minus)
{
    double d;

    if (!kr_num_parse_double(text, &d)) {
        cel__diag(p->diags, pos, "invalid double literal");
        return error_node(p, pos);
    }
    return const_node(p, pos, kr_double(minus ? -d : d));
}

static struct cel__node *text_literal(struct cel__parser *p, const struct cel__token *t)
{
    kr_val v;
    const char *wrong = cel__unquote(p->a, t, &v);

    if (wrong) {
        cel__diag(p->diags, t->pos, "%s", wrong);
        return error_node(p, t->pos);
    }
    return const_node(p, t->pos, v);
}

static struct cel__node *parse_literal(struct cel__parser *p)
{
    uint32_t pos = p->tok.pos;
    bool minus = accept(p, TOK_MINUS);
    struct cel__token t = p->tok;

    advance(p);
    switch (t.kind) {
    case TOK_INT:
        return int_literal(p, pos, t.text, minus);
    case TOK_UINT:
        return uint_literal(p, pos, t.text);
    case TOK_FLOAT:
        return float_literal(p, pos, t.text, minus);
    case TOK_TRUE:
    case TOK_FALSE:
        return const_node(p, pos, kr_bool(t.kind == TOK_TRUE));
    case TOK_NULL:
        return const_node(p, pos, KR_V_NULL);
    }
    return text_literal(p, &t);
}

/* args = expr { "," expr }, up to the closing parenthesis. */
static struct nodes parse_args(struct cel__parser *p)
{
    struct nodes args = {0};

    if (accept(p, TOK_RPAREN))
        return args;
    do {
        nodes_add(p, &args, parse_expr(p));
    } while (accept(p, TOK_COMMA));
    expect(p, TOK_RPAREN, "{')', ','}");
    return args;
}

static struct cel__node *make_call(struct cel__parser *p, kr_str name, struct cel__node *target,
                                   struct nodes args, uint32_t pos)
{
    struct cel__node *e = cel__node_new(p, NK_CALL, pos);
    struct cel__node *expanded;

    e->name = name;
    e->target = target;
    e->member = target != NULL;
    e->args = args.v;
    e->args_n = args.n;
    set_depth(e, e->member);
    if (p->stopped)
        return e;
    expanded = cel__macro(p, name, target, args.v, args.n, pos);
    if (!expanded)
        return e;
    expanded->depth = e->depth;
    return expanded;
}

/* Flags of optional elements, made when the first one comes. */
struct flags {
    bool *v;
    uint32_t cap;
};

static void flag_set(struct cel__parser *p, struct flags *f, uint32_t i, bool on)
{
    if (i >= f->cap && (on || f->v)) {
        uint32_t cap = 2 * i + 8;
        bool *grown = kr_new_n(p->a, bool, cap);

        if (f->v)
            memcpy(grown, f->v, f->cap);
        f->v = grown;
        f->cap = cap;
    }
    if (f->v)
        f->v[i] = on;
}

static struct cel__node *parse_list(struct cel__parser *p)
{
    struct cel__node *e = cel__node_new(p, NK_LIST, p->tok.pos);
    struct nodes elems = {0};
    struct flags optional = {0};

    advance(p);
    while (!p->stopped && p->tok.kind != TOK_RBRACKET && p->tok.kind != TOK_COMMA) {
        flag_set(p, &optional, elems.n, accept(p, TOK_QUESTION));
        nodes_add(p, &elems, parse_expr(p));
        if (p->tok.kind == TOK_RBRACKET || !accept(p, TOK_COMMA))
            break;
        if (p->tok.kind == TOK_COMMA)
            syntax_error(p, EXPRESSION);
    }
    if (!elems.n)
        accept(p, TOK_COMMA); /* [,] */
    expect(p, TOK_RBRACKET, "{']', ','}");
    e->args = elems.v;
    e->args_n = elems.n;
    e->optional = optional.v;
    set_depth(e, false);
    return e;
}

static struct cel__node *parse_map(struct cel__parser *p)
{
    struct cel__node *e = cel__node_new(p, NK_MAP, p->tok.pos);
    struct nodes entries = {0};
    struct flags optional = {0};

    advance(p);
    while (!p->stopped && p->tok.kind != TOK_RBRACE && p->tok.kind != TOK_COMMA) {
        flag_set(p, &optional, entries.n / 2, accept(p, TOK_QUESTION));
        nodes_add(p, &entries, parse_expr(p));
        expect(p, TOK_COLON, "':'");
        nodes_add(p, &entries, parse_expr(p));
        if (p->tok.kind == TOK_RBRACE || !accept(p, TOK_COMMA))
            break;
        if (p->tok.kind == TOK_COMMA)
            syntax_error(p, EXPRESSION);
    }
    if (!entries.n)
        accept(p, TOK_COMMA); /* {,} */
    expect(p, TOK_RBRACE, "{'}', ','}");
    e->args = entries.v;
    e->args_n = entries.n;
    e->optional = optional.v;
    set_depth(e, false);
    return e;
}

/* Type{field: value, ...}: no message type exists here, so only the name is kept for the message.
 */
static struct cel__node *parse_struct(struct cel__parser *p, kr_str type)
{
    struct cel__node *e = cel__node_new(p, NK_STRUCT, p->tok.pos);
    struct nodes values = {0};

    e->name = type;
    advance(p);
    while (!p->stopped && p->tok.kind != TOK_RBRACE && p->tok.kind != TOK_COMMA) {
        bool optional = p->tok.kind == TOK_QUESTION;
        uint32_t pos = p->tok.pos;

        accept(p, TOK_QUESTION);
        if (optional && p->tok.kind != TOK_IDENT && p->tok.kind != TOK_ESC_IDENT)
            cel__diag(p->diags, pos, "unsupported ident kind");
        if (p->tok.kind != TOK_IDENT && p->tok.kind != TOK_ESC_IDENT)
            return syntax_error(p, "{IDENTIFIER, ESC_IDENTIFIER}");
        advance(p);
        expect(p, TOK_COLON, "':'");
        nodes_add(p, &values, parse_expr(p));
        if (!accept(p, TOK_COMMA))
            break;
    }
    if (!values.n)
        accept(p, TOK_COMMA);
    expect(p, TOK_RBRACE, "{'}', ','}");
    e->args = values.v;
    e->args_n = values.n;
    set_depth(e, false);
    return e;
}

static struct cel__node *parse_name(struct cel__parser *p)
{
    bool rooted = accept(p, TOK_DOT);
    struct cel__token t = p->tok;
    kr_str name = t.text;
    struct cel__node *e;

    if (t.kind != TOK_IDENT)
        return syntax_error(p, "IDENTIFIER");
    advance(p);
    if (rooted)
        name = kr_fmt(p->a, "." KR_FMT, KR_ARG(t.text));
    if (cel__reserved_word(t.text)) {
        cel__diag(p->diags, t.pos, "reserved identifier: " KR_FMT, KR_ARG(t.text));
        if (p->tok.kind == TOK_LPAREN) {
            advance(p);
            parse_args(p);
        }
        return error_node(p, t.pos);
    }
    if (p->tok.kind == TOK_LPAREN) {
        uint32_t pos = p->tok.pos;

        advance(p);
        return make_call(p, name, NULL, parse_args(p), pos);
    }
    e = cel__node_new(p, NK_IDENT, t.pos);
    e->name = name;
    return e;
}

static bool is_number(const struct cel__token *t)
{
    return t->kind == TOK_INT || t->kind == TOK_FLOAT;
}

static struct cel__node *parse_primary(struct cel__parser *p)
{
    struct cel__node *e;

    if (p->stopped)
        return error_node(p, p->tok.pos);
    switch (p->tok.kind) {
    case TOK_DOT:
    case TOK_IDENT:
        return parse_name(p);
    case TOK_LPAREN:
        advance(p);
        e = parse_expr(p);
        expect(p, TOK_RPAREN, "')'");
        return e;
    case TOK_LBRACKET:
        return parse_list(p);
    case TOK_LBRACE:
        return parse_map(p);
    case TOK_INT:
    case TOK_UINT:
    case TOK_FLOAT:
    case TOK_STRING:
    case TOK_BYTES:
    case TOK_TRUE:
    case TOK_FALSE:
    case TOK_NULL:
        return parse_literal(p);
    case TOK_MINUS:
        if (is_number(&p->next))
            return parse_literal(p);
        break;
    }
    return syntax_error(p, EXPRESSION);
}

/* e.f, e.?f, e.f(args): the current token is the dot. */
static struct cel__node *parse_dot(struct cel__parser *p, struct cel__node *target)
{
    uint32_t pos = p->tok.pos;
    bool optional;
    struct cel__token t;
    struct cel__node *e;

    advance(p);
    optional = accept(p, TOK_QUESTION);
    t = p->tok;
    if (t.kind != TOK_IDENT && t.kind != TOK_ESC_IDENT)
        return syntax_error(p, "{IDENTIFIER, ESC_IDENTIFIER}");
    advance(p);
    if (optional)
        return call_node(p, KR_S("_?._"), pos, true, 2, target,
                         const_node(p, t.pos, cel__str(p->a, t.text)), NULL);
    if (p->tok.kind == TOK_LPAREN && t.kind == TOK_IDENT) {
        pos = p->tok.pos;
        advance(p);
        return make_call(p, t.text, target, parse_args(p), pos);
    }
    e = cel__node_new(p, NK_SELECT, pos);
    e->name = t.text;
    e->target = target;
    set_depth(e, true);
    return e;
}

static struct cel__node *parse_index(struct cel__parser *p, struct cel__node *target)
{
    uint32_t pos = p->tok.pos;
    bool optional;
    struct cel__node *key;

    advance(p);
    optional = accept(p, TOK_QUESTION);
    key = parse_expr(p);
    expect(p, TOK_RBRACKET, "']'");
    return call_node(p, optional ? KR_S("_[?_]") : KR_S("_[_]"), pos, true, 2, target, key, NULL);
}

static struct cel__node *parse_member(struct cel__parser *p)
{
    struct cel__node *e = parse_primary(p);
    kr_str name;

    while (!p->stopped) {
        if (p->tok.kind == TOK_DOT)
            e = parse_dot(p, e);
        else if (p->tok.kind == TOK_LBRACKET)
            e = parse_index(p, e);
        else if (p->tok.kind == TOK_LBRACE && cel__dotted(p->a, e, &name))
            e = parse_struct(p, name);
        else
            break;
    }
    return e;
}

static struct cel__node *parse_unary(struct cel__parser *p)
{
    uint32_t pos = p->tok.pos;
    enum cel__token_kind op = p->tok.kind;
    uint32_t n = 0;
    struct cel__node *e;

    if (op == TOK_MINUS && is_number(&p->next))
        return parse_member(p);
    if (op == TOK_NOT || op == TOK_MINUS) {
        while (accept(p, op))
            n++;
    }
    e = parse_member(p);
    if (n % 2 == 0)
        return e;
    return call_node(p, op == TOK_NOT ? KR_S("!_") : KR_S("-_"), pos, false, 1, e, NULL, NULL);
}

static kr_str calc_op(enum cel__token_kind kind, int *prec)
{
    *prec = 2;
    switch (kind) {
    case TOK_STAR:
        return KR_S("_*_");
    case TOK_SLASH:
        return KR_S("_/_");
    case TOK_PERCENT:
        return KR_S("_%_");
    case TOK_PLUS:
        *prec = 1;
        return KR_S("_+_");
    case TOK_MINUS:
        *prec = 1;
        return KR_S("_-_");
    default:
        return (kr_str){0};
    }
}

static struct cel__node *parse_calc(struct cel__parser *p, int min_prec)
{
    struct cel__node *e;
    int prec;

    if (!enter(p, &p->calc_depth)) {
        p->calc_depth--;
        return error_node(p, p->tok.pos);
    }
    e = parse_unary(p);
    while (!p->stopped) {
        kr_str op = calc_op(p->tok.kind, &prec);
        uint32_t pos = p->tok.pos;

        if (!op.n || prec < min_prec)
            break;
        advance(p);
        e = call_node(p, op, pos, true, 2, e, parse_calc(p, prec + 1), NULL);
    }
    p->calc_depth--;
    return e;
}

static kr_str relation_op(enum cel__token_kind kind)
{
    switch (kind) {
    case TOK_EQ:
        return KR_S("_==_");
    case TOK_NE:
        return KR_S("_!=_");
    case TOK_LT:
        return KR_S("_<_");
    case TOK_LE:
        return KR_S("_<=_");
    case TOK_GT:
        return KR_S("_>_");
    case TOK_GE:
        return KR_S("_>=_");
    case TOK_IN:
        return KR_S("@in");
    default:
        return (kr_str){0};
    }
}

/* The operand of a relation: a relation of its own in the grammar, as to depth. */
static struct cel__node *parse_relation_operand(struct cel__parser *p)
{
    struct cel__node *e = NULL;

    if (enter(p, &p->relation_depth))
        e = parse_calc(p, 1);
    p->relation_depth--;
    return e ? e : error_node(p, p->tok.pos);
}

static struct cel__node *parse_relation(struct cel__parser *p)
{
    struct cel__node *e = NULL;

    if (enter(p, &p->relation_depth))
        e = parse_calc(p, 1);
    while (e && !p->stopped) {
        kr_str op = relation_op(p->tok.kind);
        uint32_t pos = p->tok.pos;

        if (!op.n)
            break;
        advance(p);
        e = call_node(p, op, pos, true, 2, e, parse_relation_operand(p), NULL);
    }
    p->relation_depth--;
    return e ? e : error_node(p, p->tok.pos);
}

/* Balanced tree over operators lo..hi: a chain of any length stays shallow. */
static struct cel__node *balance(struct cel__parser *p, kr_str op, struct cel__node **terms,
                                 const uint32_t *pos, uint32_t lo, uint32_t hi)
{
    uint32_t mid = (lo + hi + 1) / 2;
    struct cel__node *left = mid == lo ? terms[mid] : balance(p, op, terms, pos, lo, mid - 1);
    struct cel__node *right = mid == hi ? terms[mid + 1] : balance(p, op, terms, pos, mid + 1, hi);

    return call_node(p, op, pos[mid], false, 2, left, right, NULL);
}

static struct cel__node *parse_chain(struct cel__parser *p, enum cel__token_kind kind, kr_str op,
                                     struct cel__node *(*operand)(struct cel__parser *))
{
    struct nodes terms = {0};
    uint32_t *pos = NULL;
    uint32_t cap = 0;
    uint32_t n = 0;
    struct cel__node *first = operand(p);

    if (p->tok.kind != kind || p->stopped)
        return first;
    nodes_add(p, &terms, first);
    while (!p->stopped && p->tok.kind == kind) {
        if (n == cap) {
            uint32_t *grown = kr_new_n(p->a, uint32_t, cap ? 2 * cap : 8);

            if (n)
                memcpy(grown, pos, n * sizeof(*pos));
            pos = grown;
            cap = cap ? 2 * cap : 8;
        }
        pos[n++] = p->tok.pos;
        advance(p);
        nodes_add(p, &terms, operand(p));
    }
    return balance(p, op, terms.v, pos, 0, n - 1);
}

static struct cel__node *parse_and(struct cel__parser *p)
{
    return parse_chain(p, TOK_AND, KR_S("_&&_"), parse_relation);
}

static struct cel__node *parse_or(struct cel__parser *p)
{
    return parse_chain(p, TOK_OR, KR_S("_||_"), parse_and);
}

static struct cel__node *parse_expr(struct cel__parser *p)
{
    struct cel__node *e = NULL;

    if (enter(p, &p->expr_depth)) {
        e = parse_or(p);
        if (!p->stopped && p->tok.kind == TOK_QUESTION) {
            uint32_t pos = p->tok.pos;
            struct cel__node *then;

            advance(p);
            then = parse_or(p);
            expect(p, TOK_COLON, "':'");
            e = call_node(p, KR_S("_?_:_"), pos, true, 3, e, then, parse_expr(p));
        }
    }
    p->expr_depth--;
    return e ? e : error_node(p, p->tok.pos);
}

struct cel__node *cel__parse(struct kr_arena *a, const struct cel_env *env,
                             struct cel__diags *diags, kr_str text)
{
    struct cel__parser p = {.a = a, .diags = diags, .env = env, .lx = {.text = text}};
    size_t points = kr_utf8_count(text);
    struct cel__node *e;

    if (points > CEL_SOURCE_MAX) {
        cel__diag(diags, CEL__POS_NONE,
                  "expression code point size exceeds limit: size: %zu, limit %d", points,
                  CEL_SOURCE_MAX);
        return NULL;
    }
    advance(&p);
    advance(&p);
    e = parse_expr(&p);
    if (!p.stopped && p.tok.kind != TOK_END)
        syntax_error(&p, "<EOF>");
    if (!p.stopped && e->depth > CEL_DEPTH_MAX)
        cel__diag(diags, CEL__POS_NONE, "max recursion depth exceeded");
    return diags->n ? NULL : e;
}
