/* SPDX-License-Identifier: Apache-2.0 */
/* rules.c - the walk over an object by its shape, and the tests. */
#include "kube/sandbox/rules.h"

#include <arpa/inet.h>

#include "cel/base/json.h"
#include "cel/quantity.h"
#include "kube/sandbox/internal.h"
#include "kube/sandbox/structural.h"

#include "cel/base/banned.h"

enum { PORT_MAX = 65535, MODE_MAX = 0777, LIST_TEXT_MAX = 1024 };

#define IP_TEXT "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
#define PERCENT_TEXT                                                                               \
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or "   \
    "'93%', regex used for validation is '[0-9]+%')"

/* --- what is said ----------------------------------------------------------------------------- */

void sandbox_refuse(struct sandbox_valid *c, const char *reason, const struct sandbox_place *at,
                    kr_str message)
{
    if (c->causes.n < SANDBOX_CAUSES_MAX)
        kr_listb_add(&c->causes,
                     sandbox__cause(c->a, reason, message, sandbox_place_text(c->a, at)));
}

void sandbox_required(struct sandbox_valid *c, const struct sandbox_place *at, const char *more)
{
    sandbox_refuse(c, "FieldValueRequired", at, kr_fmt(c->a, "Required value%s", more));
}

void sandbox_invalid(struct sandbox_valid *c, const struct sandbox_place *at, kr_val v,
                     const char *text)
{
    if (c->causes.n < SANDBOX_CAUSES_MAX)
        sandbox_refuse(
            c, "FieldValueInvalid", at,
            kr_fmt(c->a, "Invalid value: " KR_FMT ": %s", KR_ARG(kr_json_str(c->a, v)), text));
}

void sandbox_forbidden(struct sandbox_valid *c, const struct sandbox_place *at, const char *text)
{
    sandbox_refuse(c, "FieldValueForbidden", at, kr_fmt(c->a, "Forbidden: %s", text));
}

void sandbox_duplicate(struct sandbox_valid *c, const struct sandbox_place *at, kr_val v)
{
    sandbox_refuse(c, "FieldValueDuplicate", at,
                   kr_fmt(c->a, "Duplicate value: " KR_FMT, KR_ARG(kr_json_str(c->a, v))));
}

void sandbox_unsupported(struct sandbox_valid *c, const struct sandbox_place *at, kr_val v,
                         const char *list)
{
    struct kr_buf b = KR_BUF_IN(c->a, LIST_TEXT_MAX);
    kr_str rest = kr_str_c(list);

    if (c->causes.n >= SANDBOX_CAUSES_MAX)
        return;
    while (rest.s) {
        kr_str one = kr_str_cut(&rest, ',');

        kr_buf_fmt(&b, "%s\"" KR_FMT "\"", b.n ? ", " : "", KR_ARG(one));
    }
    sandbox_refuse(c, "FieldValueNotSupported", at,
                   kr_fmt(c->a, "Unsupported value: " KR_FMT ": supported values: " KR_FMT,
                          KR_ARG(kr_json_str(c->a, v)), KR_ARG(kr_buf_view(&b))));
}

void sandbox_one_of(struct sandbox_valid *c, const struct sandbox_place *at, kr_val v,
                    const char *list)
{
    kr_str rest = kr_str_c(list);

    if (v.kind != KR_STRING)
        return;
    while (rest.s) {
        if (kr_str_eq(kr_str_cut(&rest, ','), kr_text(v)))
            return;
    }
    sandbox_unsupported(c, at, v, list);
}

void sandbox_word_check(struct sandbox_valid *c, const struct sandbox_place *at,
                        enum sandbox_word word, kr_str text)
{
    const char *faults[SANDBOX_FAULTS_MAX];
    uint32_t n = sandbox_word_faults(word, text, faults);

    for (uint32_t i = 0; i < n; i++)
        sandbox_invalid(c, at, kr_string(text), faults[i]);
}

void sandbox_labels_check(struct sandbox_valid *c, const struct sandbox_place *at, kr_val labels)
{
    KR_MAP_EACH (p, labels) {
        sandbox_word_check(c, at, SANDBOX_KEY, kr_text(p->key));
        sandbox_word_check(c, at, SANDBOX_LABEL_VALUE, kr_text(p->val));
    }
}

static void between(struct sandbox_valid *c, kr_val v, int64_t low, int64_t high,
                    const struct sandbox_place *at)
{
    if (v.kind == KR_INT && (v.i < low || v.i > high))
        sandbox_invalid(c, at, v,
                        kr_fmt(c->a, "must be between %lld and %lld, inclusive", (long long)low,
                               (long long)high)
                            .s);
}

void sandbox_port_check(struct sandbox_valid *c, const struct sandbox_place *at, kr_val v)
{
    between(c, v.kind == KR_INT ? v : kr_int(0), 1, PORT_MAX, at);
}

bool sandbox_is_ip(kr_str s)
{
    char text[INET6_ADDRSTRLEN], bytes[sizeof(struct in6_addr)];

    if (s.n >= sizeof text)
        return false;
    memcpy(text, s.s, s.n);
    text[s.n] = '\0';
    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

void sandbox_ip_check(struct sandbox_valid *c, const struct sandbox_place *at, kr_val v)
{
    if (kr_text(v).n && !sandbox_is_ip(kr_text(v)))
        sandbox_invalid(c, at, v, IP_TEXT);
}

bool sandbox_quantity(struct sandbox_valid *c, kr_val v, struct cel__quantity *out)
{
    if (v.kind == KR_INT || v.kind == KR_NULL) {
        cel__quantity_of_int(v.kind == KR_INT ? v.i : 0, out);
        return true;
    }
    if (v.kind == KR_DOUBLE)
        v = kr_string(kr_json_str(c->a, v));
    return v.kind == KR_STRING && !cel__quantity_parse(kr_text(v), out);
}

bool sandbox_is_empty(kr_val v)
{
    switch (v.kind) {
    case KR_NONE:
    case KR_NULL:
        return true;
    case KR_INT:
        return v.i == 0;
    case KR_STRING:
        return kr_text(v).n == 0;
    case KR_LIST:
    case KR_MAP:
        return v.n == 0;
    default:
        return false;
    }
}

/* --- tests ------------------------------------------------------------------------------------ */

static void at_least(struct sandbox_valid *c, kr_val v, int64_t low, const struct sandbox_place *at)
{
    if (v.kind == KR_INT && v.i < low)
        sandbox_invalid(c, at, v,
                        kr_fmt(c->a, "must be greater than or equal to %lld", (long long)low).s);
}

bool sandbox_is_percent(kr_str s)
{
    for (size_t i = 0; i + 1 < s.n; i++) {
        if (s.s[i] < '0' || s.s[i] > '9')
            return false;
    }
    return s.n > 1 && s.s[s.n - 1] == '%';
}

static void amount(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    at_least(c, v, 0, at);
    if (v.kind == KR_STRING && !sandbox_is_percent(kr_text(v)))
        sandbox_invalid(c, at, v, PERCENT_TEXT);
}

static void each(struct sandbox_valid *c, const struct sandbox_rule *r, kr_val list,
                 const struct sandbox_place *at)
{
    for (uint32_t i = 0; list.kind == KR_LIST && i < list.n; i++) {
        if (c->causes.n >= SANDBOX_CAUSES_MAX)
            return;
        if (r->test == SANDBOX_EACH)
            sandbox_shape_check(c, r->of, list.list[i], SANDBOX_ITEM(at, i));
        else if (r->test == SANDBOX_EACH_IP)
            sandbox_ip_check(c, SANDBOX_ITEM(at, i), list.list[i]);
        else
            sandbox_one_of(c, SANDBOX_ITEM(at, i), list.list[i], r->arg);
    }
}

static void test(struct sandbox_valid *c, const struct sandbox_rule *r, kr_val v,
                 const struct sandbox_place *at)
{
    switch (r->test) {
    case SANDBOX_REQUIRED:
        if (sandbox_is_empty(v))
            sandbox_required(c, at, r->arg);
        return;
    case SANDBOX_ONE_OF:
        if (kr_text(v).n)
            sandbox_one_of(c, at, v, r->arg);
        return;
    case SANDBOX_BETWEEN:
        between(c, v, r->low, r->high, at);
        return;
    case SANDBOX_AT_LEAST:
        at_least(c, v, r->low, at);
        return;
    case SANDBOX_PORT:
        if (!sandbox_is_empty(v))
            between(c, v, 1, PORT_MAX, at);
        return;
    case SANDBOX_PORT_OR_NAME:
        between(c, v, 1, PORT_MAX, at);
        if (v.kind == KR_STRING)
            sandbox_word_check(c, at, SANDBOX_PORT_NAME, kr_text(v));
        return;
    case SANDBOX_AMOUNT:
        amount(c, v, at);
        return;
    case SANDBOX_MODE:
        if (v.kind == KR_INT && (v.i < 0 || v.i > MODE_MAX))
            sandbox_invalid(c, at, v,
                            "must be a number between 0 and 0777 (octal), both inclusive");
        return;
    case SANDBOX_WORD:
        if (kr_text(v).n)
            sandbox_word_check(c, at, (enum sandbox_word)r->low, kr_text(v));
        return;
    case SANDBOX_LABELS:
        sandbox_labels_check(c, at, v);
        return;
    case SANDBOX_OBJECT:
        sandbox_shape_check(c, r->of, v, at);
        return;
    case SANDBOX_EACH:
    case SANDBOX_EACH_ONE_OF:
    case SANDBOX_EACH_IP:
        each(c, r, v, at);
        return;
    }
}

void sandbox_shape_check(struct sandbox_valid *c, const struct sandbox_shape *shape, kr_val v,
                         const struct sandbox_place *at)
{
    if (v.kind != KR_MAP || c->causes.n >= SANDBOX_CAUSES_MAX)
        return;
    for (size_t i = 0; i < shape->n; i++) {
        const struct sandbox_rule *r = &shape->rules[i];
        kr_str member = kr_str_c(r->member);

        test(c, r, kr_get(v, member), SANDBOX_MEMBER(at, member));
    }
    if (shape->check)
        shape->check(c, v, at);
}
