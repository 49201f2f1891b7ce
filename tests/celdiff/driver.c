/* SPDX-License-Identifier: Apache-2.0 */
//go:build ignore
/* driver.c - answers expressions for the differential test (see main.go).
 *
 *   driver [kro|full]     which functions there are; default kro's, without kro's own library
 *
 * One request a line, fields parted by tabs, one answer a line. Within a field \\ \t \n \r stand
 * for backslash, tab and line ends.
 *
 *   N                     new: forgets all variables
 *   W type expression     how a library value is shown: the expression sees it as the variable self
 *   V name type expr      declares a variable whose value is that of the expression; answered
 *   X expression          evaluates; answered
 *   F                     sends the answers that still stand in the buffer
 *
 * Answers, in which a value is written so that other values are written otherwise (write_value):
 *
 *   value TYPE VALUE
 *   compile TEXT          diagnostics of parser, checker, or of the making of a program
 *   error TYPE TEXT       the evaluation failed
 *   limit TYPE TEXT       a limit that cel-go does not have
 */
#include "cel/internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cel/base/num.h"

enum {
    VARS_MAX = 256,
    VIEWS_MAX = 16,
    ANSWER_MAX = 64 * 1024 * 1024,
};

struct view {
    kr_str type;
    const struct cel_prog *prog;
};

struct driver {
    struct kr_arena base; /* environment of all, views */
    struct kr_arena vars; /* since the last N */
    struct kr_arena tmp;  /* of one request */
    struct cel_env *root, *env;
    kr_val slots[VARS_MAX];
    struct view views[VIEWS_MAX];
    uint32_t views_n;
    struct kr_buf out;
};

/* --- framing ---------------------------------------------------------------------------------- */

/* The next field of the line, unescaped in place. */
static kr_str next_field(char **line)
{
    char *from = *line;
    char *to = from;
    kr_str field = {from, 0};

    for (; *from && *from != '\t'; from++) {
        char c = *from;

        if (c == '\\' && from[1]) {
            c = *++from;
            c = c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c;
        }
        *to++ = c;
    }
    *line = *from ? from + 1 : from;
    field.n = (size_t)(to - field.s);
    return field;
}

static char escaped(char c)
{
    switch (c) {
    case '\\':
        return '\\';
    case '\t':
        return 't';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    }
    return 0;
}

static void put_field(struct driver *d, kr_str s)
{
    if (d->out.n)
        kr_buf_chr(&d->out, '\t');
    for (size_t i = 0; i < s.n; i++) {
        char e = escaped(s.s[i]);

        if (e)
            kr_buf_chr(&d->out, '\\');
        kr_buf_chr(&d->out, e ? e : s.s[i]);
    }
}

static void answer(struct driver *d, const char *kind, const struct cel_type *type, kr_str text)
{
    put_field(d, kr_str_c(kind));
    if (type)
        put_field(d, cel_type_print(&d->tmp, type));
    put_field(d, text);
}

/* --- values as text --------------------------------------------------------------------------- */

static void write_value(struct driver *d, struct kr_buf *b, kr_val v);

static void write_quoted(struct kr_buf *b, kr_str s)
{
    kr_buf_chr(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.s[i];

        if (c == '"' || c == '\\' || c < 0x20 || c == 0x7f)
            kr_buf_fmt(b, "\\x%02x", c);
        else
            kr_buf_chr(b, (char)c);
    }
    kr_buf_chr(b, '"');
}

static int by_text(const void *x, const void *y)
{
    return kr_str_cmp(*(const kr_str *)x, *(const kr_str *)y);
}

/* Entries in the order of their texts. */
static void write_map(struct driver *d, struct kr_buf *b, kr_val v)
{
    kr_str *entries = kr_new_n(&d->tmp, kr_str, v.n);

    for (uint32_t i = 0; i < v.n; i++) {
        KR_AUTO(kr_buf) one = KR_BUF_IN(&d->tmp, ANSWER_MAX);

        write_value(d, &one, v.map[i].key);
        kr_buf_str(&one, KR_S(": "));
        if (v.map[i].key.kind == KR_DOUBLE && isnan(v.map[i].key.d))
            kr_buf_str(&one, KR_S("\"unfindable\"")); /* in cel-go */
        else
            write_value(d, &one, v.map[i].val);
        entries[i] = kr_buf_view(&one);
    }
    qsort(entries, v.n, sizeof(*entries), by_text);
    kr_buf_chr(b, '{');
    for (uint32_t i = 0; i < v.n; i++) {
        kr_buf_str(b, i ? KR_S(", ") : KR_S(""));
        kr_buf_str(b, entries[i]);
    }
    kr_buf_chr(b, '}');
}

static void write_list(struct driver *d, struct kr_buf *b, kr_val v)
{
    kr_buf_chr(b, '[');
    for (uint32_t i = 0; i < v.n; i++) {
        kr_buf_str(b, i ? KR_S(", ") : KR_S(""));
        write_value(d, b, v.list[i]);
    }
    kr_buf_chr(b, ']');
}

static void write_opaque(struct driver *d, struct kr_buf *b, kr_val v)
{
    kr_str name = kr_str_c(v.obj->type->name);
    struct kr_err err = KR_ERR_NONE;
    struct cel_run run = {.slots = &v, .slots_n = 1, .a = &d->tmp};
    kr_val shown = KR_V_NULL;

    kr_buf_str(b, name);
    for (uint32_t i = 0; i < d->views_n; i++) {
        if (!kr_str_eq(d->views[i].type, name))
            continue;
        if (cel_eval(d->views[i].prog, &run, &shown, &err) < 0)
            kr_buf_str(b, kr_err_str(&err));
        else
            write_value(d, b, shown);
    }
}

static void write_value(struct driver *d, struct kr_buf *b, kr_val v)
{
    char num[KR_NUM_TEXT_MAX];

    switch (v.kind) {
    case KR_NULL:
        kr_buf_str(b, KR_S("null"));
        return;
    case KR_BOOL:
        kr_buf_str(b, v.b ? KR_S("true") : KR_S("false"));
        return;
    case KR_INT:
        kr_buf_fmt(b, "%lld", (long long)v.i);
        return;
    case KR_UINT:
        kr_buf_fmt(b, "%lluu", (unsigned long long)v.u);
        return;
    case KR_DOUBLE:
        kr_buf_fmt(b, "%.*sd", (int)kr_num_g(v.d, num), num);
        return;
    case KR_STRING:
        write_quoted(b, kr_text(v));
        return;
    case KR_BYTES:
        kr_buf_chr(b, 'b');
        write_quoted(b, kr_text(v));
        return;
    case KR_LIST:
        write_list(d, b, v);
        return;
    case KR_MAP:
        write_map(d, b, v);
        return;
    case KR_DURATION:
        kr_buf_fmt(b, "duration(%lld)", (long long)v.i);
        return;
    case KR_TIMESTAMP:
        kr_buf_fmt(b, "timestamp(%lld, %u, %d)", (long long)v.i, v.n, (int16_t)v.aux);
        return;
    case KR_TYPE:
        kr_buf_fmt(b, "type(" KR_FMT ")", KR_ARG(kr_text(v)));
        return;
    case KR_OPTIONAL:
        kr_buf_str(b, KR_S("optional("));
        if (v.ref)
            write_value(d, b, *v.ref);
        kr_buf_chr(b, ')');
        return;
    case KR_OPAQUE:
        write_opaque(d, b, v);
        return;
    }
    kr_buf_fmt(b, "kind %u", v.kind);
}

/* --- requests --------------------------------------------------------------------------------- */

static void forget(struct driver *d)
{
    kr_arena_reset(&d->vars);
    d->env = cel_env_extend(&d->vars, d->root);
}

static void add_view(struct driver *d, kr_str type, kr_str expr)
{
    struct cel_env *env = cel_env_extend(&d->base, d->root);
    struct kr_err err = KR_ERR_NONE;
    struct view *v = &d->views[d->views_n];
    kr_str rest = kr_strdup(&d->base, type);

    KR_ASSERT(d->views_n < VIEWS_MAX);
    v->type = rest;
    cel_env_var(env, KR_S("self"), cel__type_parse(&d->base, &rest), NULL);
    if (cel_compile(&d->base, env, kr_strdup(&d->base, expr), &v->prog, &err) < 0) {
        fprintf(stderr, "driver: %s\n", err.text);
        exit(2);
    }
    d->views_n++;
}

/* Evaluates expr, whose value lives in a, and writes the answer; false when there is no value. */
static bool evaluate(struct driver *d, struct kr_arena *a, kr_str expr, kr_val *out)
{
    KR_AUTO(kr_buf) text = KR_BUF(ANSWER_MAX);
    struct kr_err err = KR_ERR_NONE;
    struct cel_run run = {.slots = d->slots, .slots_n = cel_env_slots_n(d->env), .a = a};
    const struct cel_prog *p;

    if (cel_compile(a, d->env, expr, &p, &err) < 0) {
        answer(d, "compile", NULL, kr_err_str(&err));
        return false;
    }
    if (cel_eval(p, &run, out, &err) < 0) {
        answer(d, run.fail == CEL_FAIL_LIMIT ? "limit" : "error", cel_prog_type(p),
               kr_err_str(&err));
        return false;
    }
    write_value(d, &text, *out);
    answer(d, "value", cel_prog_type(p), kr_buf_view(&text));
    return true;
}

static void declare(struct driver *d, kr_str name, kr_str type, kr_str expr)
{
    kr_str own = kr_strdup(&d->vars, expr);
    kr_str rest = kr_strdup(&d->vars, type);
    kr_val v = KR_V_NULL;
    uint32_t slot;

    KR_ASSERT(cel_env_slots_n(d->env) < VARS_MAX);
    if (!evaluate(d, &d->vars, own, &v))
        v = KR_V_NULL;
    slot = cel_env_var(d->env, name, cel__type_parse(&d->vars, &rest), NULL);
    d->slots[slot] = v;
}

static void serve(struct driver *d, char *line)
{
    kr_str what = next_field(&line);
    kr_str first = next_field(&line);
    kr_str second = next_field(&line);
    kr_str third = next_field(&line);
    kr_val v;

    kr_buf_reset(&d->out);
    if (kr_str_is(what, "N"))
        forget(d);
    else if (kr_str_is(what, "W"))
        add_view(d, first, second);
    else if (kr_str_is(what, "V"))
        declare(d, first, second, third);
    else if (kr_str_is(what, "F"))
        fflush(stdout);
    else
        evaluate(d, &d->tmp, first, &v);
    if (d->out.n) {
        kr_buf_chr(&d->out, '\n');
        fwrite(d->out.s, 1, d->out.n, stdout);
    }
    kr_arena_reset(&d->tmp);
}

int main(int argc, char **argv)
{
    struct driver d = {.out = KR_BUF(ANSWER_MAX)};
    bool full = argc > 1 && strcmp(argv[1], "full") == 0;
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;

    d.root = cel_env_new(&d.base, full ? CEL_LIB_FULL & ~(unsigned)CEL_LIB_KRO
                                       : CEL_LIB_STD | CEL_LIB_EXT | CEL_LIB_K8S);
    forget(&d);
    while ((n = getline(&line, &cap, stdin)) > 0) {
        if (line[n - 1] == '\n')
            line[n - 1] = 0;
        serve(&d, line);
    }
    free(line);
    kr_buf_fini(&d.out);
    kr_arena_fini(&d.tmp);
    kr_arena_fini(&d.vars);
    kr_arena_fini(&d.base);
    return 0;
}
