/* SPDX-License-Identifier: Apache-2.0 */
/* selector.c - selectors become requirements: a scanner, and a parser that looks one token ahead. It takes
 * what the server's takes, and refuses the rest in the same words, so it is built the same way.
 *
 *   selector     requirement ("," requirement)*
 *   requirement  ["!"] key  |  key op value  |  key ("in" | "notin") "(" values ")"
 */
#include "kube/sandbox/selector.h"

#include "cel/base/banned.h"

enum { PART_MAX = 63, PREFIX_MAX = 253 };

enum token {
    END,
    NAME,
    IN_WORD,
    NOT_IN_WORD,
    NOT,
    EQUAL,
    NOT_EQUAL,
    GREATER,
    LESS,
    OPEN,
    CLOSED,
    COMMA,
    BAD
};

struct parser {
    struct kr_arena *a;
    kr_str text;
    size_t at;
    enum token token; /* the next one */
    kr_str literal;
    struct kr_err *err;
};

/* --- tokens ----------------------------------------------------------------------------------- */

static bool is_space(char ch)
{
    return ch == ' ' || ch == '\t' || ch == '\r' || ch == '\n';
}

static enum token symbol(kr_str s)
{
    static const struct {
        const char *text;
        enum token token;
    } symbols[] = {{"!", NOT},  {"=", EQUAL}, {"==", EQUAL}, {"!=", NOT_EQUAL}, {">", GREATER},
                   {"<", LESS}, {"(", OPEN},  {")", CLOSED}, {",", COMMA}};

    for (size_t i = 0; i < KR_N(symbols); i++) {
        if (kr_str_eq(s, kr_str_c(symbols[i].text)))
            return symbols[i].token;
    }
    return BAD;
}

static bool is_symbol(char ch)
{
    return memchr("=!(),><", ch, 7) != NULL;
}

static void scan(struct parser *p)
{
    size_t from, n = 1;

    while (p->at < p->text.n && is_space(p->text.s[p->at]))
        p->at++;
    from = p->at;
    if (from == p->text.n) {
        p->token = END;
        p->literal = KR_S("");
        return;
    }
    if (is_symbol(p->text.s[from])) {
        if (symbol(kr_str_sub(p->text, from, from + 2)) != BAD && from + 1 < p->text.n)
            n = 2;
        p->literal = kr_str_sub(p->text, from, from + n);
        p->token = symbol(p->literal);
    } else {
        while (from + n < p->text.n && !is_space(p->text.s[from + n]) &&
               !is_symbol(p->text.s[from + n]))
            n++;
        p->literal = kr_str_sub(p->text, from, from + n);
        p->token = kr_str_is(p->literal, "in")      ? IN_WORD
                   : kr_str_is(p->literal, "notin") ? NOT_IN_WORD
                                                    : NAME;
    }
    p->at = from + n;
}

/* "in" and "notin" are words only where an operator stands. */
static bool at_name(const struct parser *p)
{
    return p->token == NAME || p->token == IN_WORD || p->token == NOT_IN_WORD;
}

/* Takes the token if it is a name. */
static bool take_name(struct parser *p, kr_str *out)
{
    bool is = at_name(p);

    *out = p->literal;
    scan(p);
    return is;
}

/* --- names ------------------------------------------------------------------------------------ */

static bool is_alnum(char ch)
{
    return (ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z');
}

/* [A-Za-z0-9], and -_. between */
static bool is_part(kr_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        bool edge = i == 0 || i + 1 == s.n;

        if (!is_alnum(s.s[i]) && (edge || memchr("-_.", s.s[i], 3) == NULL))
            return false;
    }
    return s.n <= PART_MAX;
}

static int refuse_name(struct parser *p, const char *where, kr_str name, const char *what,
                       const char *example)
{
    return kr_fail(p->err, KR_E_INPUT,
                   "unable to parse requirement: %s: Invalid value: \"" KR_FMT
                   "\": %s consist of alphanumeric characters, '-', '_' or '.', and must start and "
                   "end with an alphanumeric character (e.g. %s",
                   where, KR_ARG(name), what, example);
}

static int check_key(struct parser *p, kr_str key)
{
    kr_str prefix = key, name;
    ptrdiff_t slash = kr_str_rchr(key, '/');

    name = slash < 0 ? key : kr_str_sub(key, (size_t)slash + 1, key.n);
    prefix = slash < 0 ? KR_S("x") : kr_str_sub(key, 0, (size_t)slash);
    if (prefix.n == 0 || prefix.n > PREFIX_MAX || kr_str_chr(prefix, '/') >= 0 || name.n == 0 ||
        !is_part(name))
        return refuse_name(p, "<nil>", key, "name part must",
                           "'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
                           "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')");
    return 0;
}

static int check_values(struct parser *p, const struct sandbox_requirement *r)
{
    for (uint32_t i = 0; i < r->values_n; i++) {
        KR_AUTO(kr_arena) a = {0};
        int64_t number;

        if ((r->op == SANDBOX_GREATER || r->op == SANDBOX_LESS) &&
            !kr_str_i64(r->values[i], &number))
            return kr_fail(p->err, KR_E_INPUT,
                           "unable to parse requirement: values[%u]: Invalid value: \"" KR_FMT
                           "\": for 'Gt', 'Lt' operators, the value must be an integer",
                           i, KR_ARG(r->values[i]));
        if (!is_part(r->values[i]))
            return refuse_name(
                p, kr_cstr(&a, kr_fmt(&a, "values[%u][" KR_FMT "]", i, KR_ARG(r->key))),
                r->values[i], "a valid label must be an empty string or",
                "'MyValue',  or 'my_value',  or '12345', regex used for validation is "
                "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')");
    }
    return 0;
}

/* --- values ----------------------------------------------------------------------------------- */

static int add_value(struct parser *p, struct sandbox_requirement *r, kr_str value)
{
    if (r->values_n == SANDBOX_VALUES_MAX)
        return kr_fail(p->err, KR_E_LIMIT, "a selector has at most %d values", SANDBOX_VALUES_MAX);
    if ((r->values_n & (r->values_n - 1)) == 0) { /* full: 0, 1, 2, 4 ... */
        kr_str *more = kr_new_n(p->a, kr_str, r->values_n ? r->values_n * 2 : 1);

        if (r->values_n)
            memcpy(more, r->values, r->values_n * sizeof *more);
        r->values = more;
    }
    r->values[r->values_n++] = value;
    return 0;
}

/* a, b ) with names left out being empty ones */
static int read_list(struct parser *p, struct sandbox_requirement *r)
{
    for (;;) {
        if (p->token == COMMA) { /* nothing in front of it */
            if (r->values_n == 0)
                KR_TRY(add_value(p, r, KR_S("")));
            scan(p);
            if (p->token == COMMA) {
                scan(p);
                KR_TRY(add_value(p, r, KR_S("")));
            }
            if (p->token == CLOSED)
                return add_value(p, r, KR_S(""));
            continue;
        }
        if (!at_name(p))
            return kr_fail(p->err, KR_E_INPUT,
                           "unable to parse requirement: found '" KR_FMT
                           "', expected: ',', or identifier",
                           KR_ARG(p->literal));
        KR_TRY(add_value(p, r, p->literal));
        scan(p);
        if (p->token == CLOSED)
            return 0;
        if (p->token != COMMA)
            return kr_fail(p->err, KR_E_INPUT,
                           "unable to parse requirement: found '" KR_FMT "', expected: ',' or ')'",
                           KR_ARG(p->literal));
    }
}

static int read_set(struct parser *p, struct sandbox_requirement *r)
{
    if (p->token != OPEN)
        return kr_fail(p->err, KR_E_INPUT,
                       "unable to parse requirement: found '" KR_FMT "' expected: '('",
                       KR_ARG(p->literal));
    scan(p);
    if (p->token == CLOSED)
        return kr_fail(p->err, KR_E_INPUT,
                       "unable to parse requirement: values: Invalid value: []: for 'in', 'notin' "
                       "operators, values set can't be empty");
    if (!at_name(p) && p->token != COMMA)
        return kr_fail(p->err, KR_E_INPUT,
                       "unable to parse requirement: found '" KR_FMT
                       "', expected: ',', ')' or identifier",
                       KR_ARG(p->literal));
    KR_TRY(read_list(p, r));
    scan(p);
    return 0;
}

static int read_value(struct parser *p, struct sandbox_requirement *r)
{
    kr_str value;

    if (p->token == END || p->token == COMMA)
        return add_value(p, r, KR_S(""));
    if (!take_name(p, &value))
        return kr_fail(p->err, KR_E_INPUT,
                       "unable to parse requirement: found '" KR_FMT "', expected: identifier",
                       KR_ARG(value));
    return add_value(p, r, value);
}

/* --- requirements ----------------------------------------------------------------------------- */

static int read_operator(struct parser *p, struct sandbox_requirement *r)
{
    static const struct {
        enum token token;
        enum sandbox_selector_op op;
    } operators[] = {{IN_WORD, SANDBOX_IN},      {NOT_IN_WORD, SANDBOX_NOT_IN},
                     {EQUAL, SANDBOX_IN},        {NOT_EQUAL, SANDBOX_NOT_IN},
                     {GREATER, SANDBOX_GREATER}, {LESS, SANDBOX_LESS}};

    for (size_t i = 0; i < KR_N(operators); i++) {
        if (p->token != operators[i].token)
            continue;
        r->op = operators[i].op;
        scan(p);
        return 0;
    }
    return kr_fail(p->err, KR_E_INPUT,
                   "unable to parse requirement: found '" KR_FMT
                   "', expected: in, notin, =, ==, !=, gt, lt",
                   KR_ARG(p->literal));
}

static int read_requirement(struct parser *p, struct sandbox_requirement *r)
{
    bool set, not = p->token == NOT;

    if (not )
        scan(p);
    if (!take_name(p, &r->key))
        return kr_fail(p->err, KR_E_INPUT,
                       "unable to parse requirement: found '" KR_FMT "', expected: identifier",
                       KR_ARG(r->key));
    KR_TRY(check_key(p, r->key));
    r->op = not ? SANDBOX_HAS_NOT : SANDBOX_HAS;
    if (not || p->token == END || p->token == COMMA)
        return 0;
    set = p->token == IN_WORD || p->token == NOT_IN_WORD;
    KR_TRY(read_operator(p, r));
    KR_TRY(set ? read_set(p, r) : read_value(p, r));
    return check_values(p, r);
}

static int add_requirement(struct parser *p, struct sandbox_selector *s)
{
    if (s->n == SANDBOX_REQUIREMENTS_MAX)
        return kr_fail(p->err, KR_E_LIMIT, "a selector has at most %d requirements",
                       SANDBOX_REQUIREMENTS_MAX);
    return read_requirement(p, &s->list[s->n++]);
}

/* As many requirements as there are commas at most, and one. */
static struct sandbox_selector *selector_new(struct kr_arena *a, kr_str text)
{
    struct sandbox_selector *s = kr_new(a, struct sandbox_selector);
    uint32_t max = 1;

    for (size_t i = 0; i < text.n && max < SANDBOX_REQUIREMENTS_MAX; i++)
        max += text.s[i] == ',';
    s->list = kr_new_n(a, struct sandbox_requirement, max);
    return s;
}

static int read_labels(struct parser *p, struct sandbox_selector *s)
{
    scan(p);
    while (p->token != END) {
        if (!at_name(p) && p->token != NOT)
            return kr_fail(p->err, KR_E_INPUT,
                           "found '" KR_FMT "', expected: !, identifier, or 'end of string'",
                           KR_ARG(p->literal));
        KR_TRY(add_requirement(p, s));
        if (p->token == END)
            return 0;
        if (p->token != COMMA)
            return kr_fail(p->err, KR_E_INPUT,
                           "found '" KR_FMT "', expected: ',' or 'end of string'",
                           KR_ARG(p->literal));
        scan(p);
        if (!at_name(p) && p->token != NOT)
            return kr_fail(p->err, KR_E_INPUT, "found '" KR_FMT "', expected: identifier after ','",
                           KR_ARG(p->literal));
    }
    return 0;
}

struct sandbox_selector *sandbox_selector_labels(struct kr_arena *a, kr_str text,
                                                 struct kr_err *err)
{
    struct parser p = {.a = a, .text = kr_strdup(a, text), .err = err};
    struct sandbox_selector *s = selector_new(a, text);

    return read_labels(&p, s) < 0 ? NULL : s;
}

/* --- fields ----------------------------------------------------------------------------------- */

static kr_str unescaped(struct kr_arena *a, kr_str s)
{
    char *out = kr_arena_bytes(a, s.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        i += s.s[i] == '\\' && i + 1 < s.n;
        out[n++] = s.s[i];
    }
    return (kr_str){out, n};
}

/* Cuts off what stands in front of the next comma that no backslash does. */
static kr_str next_term(kr_str *rest)
{
    size_t i = 0;
    kr_str one;

    while (i < rest->n && rest->s[i] != ',')
        i += rest->s[i] == '\\' ? 2 : 1;
    i = i < rest->n ? i : rest->n;
    one = kr_str_sub(*rest, 0, i);
    *rest = kr_str_sub(*rest, i + 1, rest->n);
    return one;
}

static int read_term(struct parser *p, kr_str one, struct sandbox_requirement *r)
{
    ptrdiff_t eq = kr_str_chr(one, '=');
    size_t from = (size_t)eq + 1, end = (size_t)eq;

    if (eq < 0)
        return kr_fail(p->err, KR_E_INPUT,
                       "invalid selector: '" KR_FMT "'; can't understand '" KR_FMT "'",
                       KR_ARG(p->text), KR_ARG(one));
    r->op = SANDBOX_IN;
    if (end > 0 && one.s[end - 1] == '!') {
        r->op = SANDBOX_NOT_IN;
        end--;
    } else if (from < one.n && one.s[from] == '=') {
        from++;
    }
    r->key = kr_str_sub(one, 0, end);
    return add_value(p, r, unescaped(p->a, kr_str_sub(one, from, one.n)));
}

struct sandbox_selector *sandbox_selector_fields(struct kr_arena *a, kr_str text,
                                                 struct kr_err *err)
{
    struct parser p = {.a = a, .text = kr_strdup(a, text), .err = err};
    struct sandbox_selector *s = selector_new(a, text);
    kr_str rest = p.text;

    while (rest.n > 0) {
        kr_str one = next_term(&rest);

        if (one.n == 0)
            continue;
        if (s->n == SANDBOX_REQUIREMENTS_MAX) {
            kr_fail(err, KR_E_LIMIT, "a selector has at most %d requirements",
                    SANDBOX_REQUIREMENTS_MAX);
            return NULL;
        }
        if (read_term(&p, one, &s->list[s->n++]) < 0)
            return NULL;
    }
    return s;
}

/* --- matching --------------------------------------------------------------------------------- */

static bool compares(const struct sandbox_requirement *r, kr_val value)
{
    int64_t has, wanted;

    if (!kr_str_i64(kr_text(value), &has) || !kr_str_i64(r->values[0], &wanted))
        return false;
    return r->op == SANDBOX_GREATER ? has > wanted : has < wanted;
}

bool sandbox_requirement_met(const struct sandbox_requirement *r, kr_val value)
{
    bool is_there = value.kind != KR_NONE, found = false;

    if (r->op == SANDBOX_HAS || r->op == SANDBOX_HAS_NOT)
        return is_there == (r->op == SANDBOX_HAS);
    if (r->op == SANDBOX_GREATER || r->op == SANDBOX_LESS)
        return is_there && compares(r, value);
    for (uint32_t i = 0; i < r->values_n; i++)
        found |= kr_str_eq(r->values[i], kr_text(value));
    return r->op == SANDBOX_IN ? found && is_there : !found || !is_there;
}
