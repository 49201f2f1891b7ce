/* SPDX-License-Identifier: Apache-2.0 */
/* fn_format.c - string.format: clauses %s %d %f %e %b %x %X %o, with an optional precision.
 *
 * The same reader of clauses serves the evaluation and the checker, which holds a constant format
 * against the static types of a list literal.
 *
 * Source: cel-go ext/formatting_v2.go, ext/strings.go; reference section 12.4.
 */
#include "cel/functions.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cel/base/num.h"
#include "cel/text.h"

#include "cel/base/banned.h"

enum { PRECISION_DEFAULT = 6, PRECISION_MAX = 100, NESTING_MAX = 100 };

struct clause {
    char verb;
    int precision;
};

/* What each verb takes; texts as cel-go has them. */
static const struct {
    char verb;
    const char *rule;
    uint32_t kinds; /* bits of enum kr_kind */
} verbs[] = {
#define BIT(k) (1u << KR_##k)
    {'s',
     "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, "
     "durations, and timestamps",
     BIT(STRING) | BIT(BOOL) | BIT(BYTES) | BIT(INT) | BIT(UINT) | BIT(DOUBLE) | BIT(MAP) |
         BIT(LIST) | BIT(TYPE) | BIT(DURATION) | BIT(TIMESTAMP) | BIT(NULL)},
    {'d', "decimal clause can only be used on ints, uints, and doubles",
     BIT(INT) | BIT(UINT) | BIT(DOUBLE)},
    {'f', "fixed-point clause can only be used on ints, uints, and doubles",
     BIT(INT) | BIT(UINT) | BIT(DOUBLE)},
    {'e', "scientific clause can only be used on ints, uints, and doubles",
     BIT(INT) | BIT(UINT) | BIT(DOUBLE)},
    {'b', "only ints, uints, and bools can be formatted as binary",
     BIT(INT) | BIT(UINT) | BIT(BOOL)},
    {'x', "only ints, uints, bytes, and strings can be formatted as hex",
     BIT(INT) | BIT(UINT) | BIT(BYTES) | BIT(STRING)},
    {'X', "only ints, uints, bytes, and strings can be formatted as hex",
     BIT(INT) | BIT(UINT) | BIT(BYTES) | BIT(STRING)},
    {'o', "octal clause can only be used on ints and uints", BIT(INT) | BIT(UINT)},
#undef BIT
};

static int verb_index(char verb)
{
    for (int i = 0; i < (int)KR_N(verbs); i++) {
        if (verbs[i].verb == verb)
            return i;
    }
    return -1;
}

/* --- clauses ---------------------------------------------------------------------------------- */

#define NO_CLAUSE "could not parse formatting clause: "
#define NO_PRECISION NO_CLAUSE "error while parsing precision: "

static kr_str read_precision(struct kr_arena *a, kr_str f, size_t *i, struct clause *c)
{
    size_t from = *i + 1;
    size_t end = from;
    int64_t n;

    while (end < f.n && f.s[end] >= '0' && f.s[end] <= '9')
        end++;
    if (end >= f.n)
        return KR_S(NO_PRECISION "could not find end of precision specifier");
    if (!cel__parse_int(kr_str_sub(f, from, end), &n))
        return kr_fmt(a,
                      NO_PRECISION "error while converting precision to integer: strconv.Atoi: "
                                   "parsing " KR_FMT ": %s",
                      KR_ARG(cel__quote_go(a, kr_str_sub(f, from, end))),
                      end == from ? "invalid syntax" : "value out of range");
    if (n > PRECISION_MAX)
        return kr_fmt(a, NO_PRECISION "precision %lld exceeds maximum allowed precision %d",
                      (long long)n, PRECISION_MAX);
    c->precision = (int)n;
    *i = end;
    return (kr_str){0};
}

/* Reads the clause whose '%' stands at f.s[*i] and moves *i behind it. Returns what is wrong. */
static kr_str read_clause(struct kr_arena *a, kr_str f, size_t *i, struct clause *c)
{
    kr_str bad = {0};

    c->precision = PRECISION_DEFAULT;
    ++*i;
    if (*i >= f.n)
        return KR_S("unexpected end of string");
    if (f.s[*i] == '.')
        bad = read_precision(a, f, i, c);
    if (bad.n)
        return bad;
    c->verb = f.s[*i];
    if (verb_index(c->verb) < 0) { /* one byte, shown as a code point */
        unsigned char v = (unsigned char)c->verb;

        return v < 0x80 ? kr_fmt(a, NO_CLAUSE "unrecognized formatting clause \"%c\"", v)
                        : kr_fmt(a, NO_CLAUSE "unrecognized formatting clause \"%c%c\"",
                                 0xc0 | v >> 6, 0x80 | (v & 0x3f));
    }
    ++*i;
    return (kr_str){0};
}

static kr_str wrong_type(struct kr_arena *a, char verb, kr_str type)
{
    return kr_fmt(a, "error during formatting: %s, was given " KR_FMT, verbs[verb_index(verb)].rule,
                  KR_ARG(type));
}

/* --- the checker's side ----------------------------------------------------------------------- */

static bool type_fits(const struct cel_type *t, char verb)
{
    static const uint8_t kinds[] = {
        [TK_NULL] = KR_NULL,     [TK_BOOL] = KR_BOOL,         [TK_INT] = KR_INT,
        [TK_UINT] = KR_UINT,     [TK_DOUBLE] = KR_DOUBLE,     [TK_STRING] = KR_STRING,
        [TK_BYTES] = KR_BYTES,   [TK_DURATION] = KR_DURATION, [TK_TIMESTAMP] = KR_TIMESTAMP,
        [TK_LIST] = KR_LIST,     [TK_MAP] = KR_MAP,           [TK_TYPE] = KR_TYPE,
        [TK_OPAQUE] = KR_OPAQUE, [TK_OBJECT] = KR_OPAQUE,     [TK_VAR] = 0,
    };

    if (t->kind == TK_DYN || t->kind == TK_ERROR || t->kind == TK_VAR)
        return true;
    if (t->kind == TK_ANY)
        return false;
    return verbs[verb_index(verb)].kinds >> kinds[t->kind] & 1;
}

static kr_str run_time_name(const struct cel_type *t)
{
    return t->kind == TK_ANY ? KR_S("google.protobuf.Any") : t->name;
}

/* The node of e that the clause does not take, or NULL: e itself or, for %s, one in a literal. */
static const struct cel__node *misfit(const struct cel__node *e, char verb)
{
    const struct cel__node *bad = type_fits(e->type, verb) ? NULL : e;

    if (verb != 's' || (e->kind != NK_LIST && e->kind != NK_MAP))
        return bad;
    for (uint32_t i = 0; i < e->args_n && !bad; i++)
        bad = misfit(e->args[i], verb);
    return bad;
}

kr_str cel__format_check(struct kr_arena *a, kr_str format, const struct cel__node *list,
                         const struct cel__node **at)
{
    uint32_t used = 0;

    for (size_t i = 0; i < format.n;) {
        struct clause c;
        kr_str bad;

        if (format.s[i] != '%') {
            i++;
            continue;
        }
        if (i + 1 < format.n && format.s[i + 1] == '%') {
            i += 2;
            continue;
        }
        if (i + 1 < format.n && used >= list->args_n)
            return kr_fmt(a, "index %u out of range", used);
        bad = read_clause(a, format, &i, &c);
        if (bad.n)
            return bad;
        *at = misfit(list->args[used], c.verb);
        if (*at)
            return wrong_type(a, c.verb, run_time_name((*at)->type));
        used++;
    }
    if (used < list->args_n)
        return kr_fmt(a, "too many arguments supplied to string.format (expected %u, got %u)", used,
                      list->args_n);
    return (kr_str){0};
}

/* --- values ----------------------------------------------------------------------------------- */

struct printer {
    struct cel__vm *vm;
    struct kr_buf b;
    uint32_t depth;
};

static int print_string(struct printer *p, kr_val v);

static void print_double(struct printer *p, double d)
{
    if (isnan(d))
        kr_buf_str(&p->b, KR_S("NaN"));
    else if (isinf(d))
        kr_buf_str(&p->b, d > 0 ? KR_S("Infinity") : KR_S("-Infinity"));
    else
        kr_buf_str(&p->b, cel__double_fixed(p->vm->a, d));
}

static int print_list(struct printer *p, kr_val v)
{
    kr_buf_chr(&p->b, '[');
    for (uint32_t i = 0; i < v.n; i++) {
        if (i)
            kr_buf_str(&p->b, KR_S(", "));
        KR_TRY(print_string(p, cel__item(p->vm, v, i)));
    }
    kr_buf_chr(&p->b, ']');
    return 0;
}

struct entry {
    kr_str key;
    kr_val val;
};

static int by_key(const void *x, const void *y)
{
    return kr_str_cmp(((const struct entry *)x)->key, ((const struct entry *)y)->key);
}

/* Entries sorted by the text of the key. */
static int print_map(struct printer *p, kr_val v)
{
    struct entry *entries = kr_new_n(p->vm->a, struct entry, v.n);
    size_t from = p->b.n;

    for (uint32_t i = 0; i < v.n; i++) {
        KR_TRY(print_string(p, cel__typed_key(p->vm, v, v.map[i].key)));
        entries[i].key = kr_strdup(p->vm->a, kr_str_sub(kr_buf_view(&p->b), from, p->b.n));
        entries[i].val = cel__typed_entry(p->vm, v, i);
        p->b.n = from;
    }
    qsort(entries, v.n, sizeof(*entries), by_key);
    kr_buf_chr(&p->b, '{');
    for (uint32_t i = 0; i < v.n; i++) {
        kr_buf_fmt(&p->b, "%s" KR_FMT ": ", i ? ", " : "", KR_ARG(entries[i].key));
        KR_TRY(print_string(p, entries[i].val));
    }
    kr_buf_chr(&p->b, '}');
    return 0;
}

static int print_nested(struct printer *p, kr_val v)
{
    int rc;

    if (p->depth >= NESTING_MAX || p->b.full)
        return cel__over_limit(p->vm);
    KR_TRY(cel__charge(p->vm, v.n));
    p->depth++;
    rc = v.kind == KR_LIST ? print_list(p, v) : print_map(p, v);
    p->depth--;
    return rc;
}

/* %s */
static int print_string(struct printer *p, kr_val v)
{
    char text[KR_NUM_TEXT_MAX];

    switch (v.kind) {
    case KR_STRING:
    case KR_BYTES:
    case KR_TYPE:
        kr_buf_str(&p->b, kr_text(v));
        return 0;
    case KR_BOOL:
        kr_buf_str(&p->b, v.b ? KR_S("true") : KR_S("false"));
        return 0;
    case KR_INT:
        kr_buf_add(&p->b, text, kr_num_i64(v.i, text));
        return 0;
    case KR_UINT:
        kr_buf_add(&p->b, text, kr_num_u64(v.u, text));
        return 0;
    case KR_DOUBLE:
        print_double(p, v.d);
        return 0;
    case KR_NULL:
        kr_buf_str(&p->b, KR_S("null"));
        return 0;
    case KR_DURATION:
        kr_buf_str(&p->b, cel__duration_text(p->vm->a, v.i));
        return 0;
    case KR_TIMESTAMP:
        v.aux = 0;
        kr_buf_str(&p->b, cel__timestamp_text(p->vm->a, v));
        return 0;
    case KR_LIST:
    case KR_MAP:
        return print_nested(p, v);
    case KR_ERROR:
        return cel__raise_val(p->vm, v);
    }
    return cel__raise(p->vm, KR_FMT, KR_ARG(wrong_type(p->vm->a, 's', cel__type_name(v))));
}

static double as_double(kr_val v)
{
    return v.kind == KR_INT ? (double)v.i : v.kind == KR_UINT ? (double)v.u : v.d;
}

/* %f and %e */
static void print_float(struct printer *p, const struct clause *c, double d)
{
    if (isnan(d) || isinf(d))
        print_double(p, d);
    else if (c->verb == 'f')
        kr_buf_fmt(&p->b, "%.*f", c->precision, d);
    else
        kr_buf_fmt(&p->b, "%.*e", c->precision, d);
}

/* A whole number in a base that is a power of two; `shift` bits a digit. */
static void print_bits(struct printer *p, kr_val v, uint32_t shift, bool upper)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    uint64_t u = v.kind == KR_INT && v.i < 0 ? 0 - v.u : v.u;
    char buf[65];
    size_t at = sizeof(buf);

    do {
        buf[--at] = digits[u & ((1u << shift) - 1)];
        u >>= shift;
    } while (u);
    if (v.kind == KR_INT && v.i < 0)
        kr_buf_chr(&p->b, '-');
    kr_buf_add(&p->b, buf + at, sizeof(buf) - at);
}

static void print_hex(struct printer *p, kr_val v, bool upper)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";

    if (v.kind == KR_INT || v.kind == KR_UINT) {
        print_bits(p, v, 4, upper);
        return;
    }
    for (uint32_t i = 0; i < v.n; i++) {
        kr_buf_chr(&p->b, digits[(uint8_t)v.s[i] >> 4]);
        kr_buf_chr(&p->b, digits[(uint8_t)v.s[i] & 15]);
    }
}

static int print_clause(struct printer *p, const struct clause *c, kr_val v)
{
    if (v.kind == KR_ERROR)
        return cel__raise_val(p->vm, v);
    if (!(verbs[verb_index(c->verb)].kinds >> v.kind & 1))
        return cel__raise(p->vm, KR_FMT, KR_ARG(wrong_type(p->vm->a, c->verb, cel__type_name(v))));
    switch (c->verb) {
    case 'f':
    case 'e':
        print_float(p, c, as_double(v));
        return 0;
    case 'b':
        if (v.kind == KR_BOOL)
            kr_buf_chr(&p->b, v.b ? '1' : '0');
        else
            print_bits(p, v, 1, false);
        return 0;
    case 'x':
    case 'X':
        print_hex(p, v, c->verb == 'X');
        return 0;
    case 'o':
        print_bits(p, v, 3, false);
        return 0;
    }
    return print_string(p, v);
}

static int print_format(struct printer *p, kr_str f, kr_val list)
{
    uint32_t used = 0;

    for (size_t i = 0; i < f.n;) {
        struct clause c;
        kr_str bad;

        if (f.s[i] != '%') {
            kr_buf_chr(&p->b, f.s[i++]);
            continue;
        }
        if (i + 1 < f.n && f.s[i + 1] == '%') {
            kr_buf_chr(&p->b, '%');
            i += 2;
            continue;
        }
        if (used >= list.n)
            return cel__raise(p->vm, "index %u out of range", used);
        bad = read_clause(p->vm->a, f, &i, &c);
        if (bad.n)
            return cel__raise(p->vm, KR_FMT, KR_ARG(bad));
        KR_TRY(cel__charge(p->vm, 1));
        KR_TRY(print_clause(p, &c, cel__item(p->vm, list, used++)));
    }
    return p->b.full ? cel__over_limit(p->vm) : 0;
}

int fn_format(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    struct printer p = {.vm = vm, .b = KR_BUF_IN(vm->a, CEL__TEXT_MAX)};
    int rc = print_format(&p, kr_text(args[0]), args[1]);

    if (rc == 0)
        *out = kr_string(kr_buf_view(&p.b));
    return rc;
}
