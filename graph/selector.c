/* SPDX-License-Identifier: Apache-2.0 */
/* selector.c - the label selector of an external collection as the text of a query.
 *
 *   matchLabels {app: web}, matchExpressions [{key: tier, operator: In, values: [b, a]}]
 *       -> "app=web,tier in (a,b)"
 *
 * Requirements are sorted by key, values within them too, so that equal selectors have equal texts
 * and share a watch. Keys and values come from expressions: what is no label key or value is refused,
 * so that none of them can become another requirement.
 *
 * Source: k8s.io/apimachinery: apis/meta/v1 LabelSelectorAsSelector, labels/selector.go,
 * util/validation.
 */
#include "graph/inst.h"

#include "cel/base/banned.h"

enum {
    REQUIREMENTS_MAX = 1000,
    VALUES_MAX = 1000, /* of one requirement */
    PREFIX_MAX = 253,
};

struct requirement {
    kr_str key;
    kr_str text;
};

struct requirements {
    struct kr_arena *a;
    struct requirement *items;
    uint32_t n;
};

/* --- what a label may be ---------------------------------------------------------------------- */

static bool is_name(kr_str s)
{
    return s.n && graph__is_label_value(s);
}

static bool is_key(kr_str s)
{
    kr_str rest = s, prefix = kr_str_cut(&rest, '/');

    if (!rest.s)
        return is_name(s);
    if (prefix.n == 0 || prefix.n > PREFIX_MAX)
        return false;
    for (size_t i = 0; i < prefix.n; i++) {
        char c = prefix.s[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '.')
            return false;
    }
    return is_name(rest);
}

static int check_key(struct kr_arena *a, kr_str key, struct kr_err *err)
{
    if (is_key(key))
        return 0;
    return kr_fail(err, KR_E_INPUT, "key: Invalid value: " KR_FMT ": not a label key",
                   KR_ARG(graph__go_quote(a, key)));
}

static int check_value(struct kr_arena *a, kr_str key, kr_str value, struct kr_err *err)
{
    if (graph__is_label_value(value))
        return 0;
    return kr_fail(err, KR_E_INPUT,
                   "values[" KR_FMT "]: Invalid value: " KR_FMT ": not a label value", KR_ARG(key),
                   KR_ARG(graph__go_quote(a, value)));
}

/* --- requirements ----------------------------------------------------------------------------- */

static int add(struct requirements *r, kr_str key, kr_str text, struct kr_err *err)
{
    uint32_t at = r->n;

    if (r->n == REQUIREMENTS_MAX)
        return kr_fail(err, KR_E_LIMIT, "more than %u requirements", REQUIREMENTS_MAX);
    while (at > 0 && kr_str_cmp(r->items[at - 1].key, key) > 0)
        at--;
    memmove(&r->items[at + 1], &r->items[at], sizeof(r->items[0]) * (r->n - at));
    r->items[at] = (struct requirement){key, text};
    r->n++;
    return 0;
}

static int read_labels(struct requirements *r, kr_val labels, struct kr_err *err)
{
    KR_MAP_EACH (p, labels) {
        kr_str key = kr_text(p->key);

        if (p->val.kind != KR_STRING)
            return kr_fail(err, KR_E_INPUT, "matchLabels[" KR_FMT "] is not a string",
                           KR_ARG(graph__go_quote(r->a, key)));
        KR_TRY(check_key(r->a, key, err));
        KR_TRY(check_value(r->a, key, kr_text(p->val), err));
        KR_TRY(add(r, key, kr_fmt(r->a, KR_FMT "=" KR_FMT, KR_ARG(key), KR_ARG(kr_text(p->val))),
                   err));
    }
    return 0;
}

/* The values sorted, without repeats, as "(a,b)". */
static int read_values(struct requirements *r, kr_str key, kr_val values, kr_str *out,
                       struct kr_err *err)
{
    kr_str *sorted = kr_new_n(r->a, kr_str, values.kind == KR_LIST ? values.n : 0);
    KR_AUTO(kr_buf) b = KR_BUF(VALUES_MAX * (GRAPH_LABEL_MAX + 1) + 2);
    uint32_t n = 0;

    if (values.kind == KR_LIST && values.n > VALUES_MAX)
        return kr_fail(err, KR_E_LIMIT, "more than %u values", VALUES_MAX);
    KR_LIST_EACH (v, values) {
        uint32_t at = n;

        if (v->kind != KR_STRING)
            return kr_fail(err, KR_E_INPUT, "a value of key " KR_FMT " is not a string",
                           KR_ARG(graph__go_quote(r->a, key)));
        KR_TRY(check_value(r->a, key, kr_text(*v), err));
        while (at > 0 && kr_str_cmp(sorted[at - 1], kr_text(*v)) > 0)
            at--;
        if (at > 0 && kr_str_eq(sorted[at - 1], kr_text(*v)))
            continue;
        memmove(&sorted[at + 1], &sorted[at], sizeof(*sorted) * (n - at));
        sorted[at] = kr_text(*v);
        n++;
    }
    for (uint32_t i = 0; i < n; i++)
        kr_buf_fmt(&b, "%s" KR_FMT, i ? "," : "(", KR_ARG(sorted[i]));
    if (n)
        kr_buf_chr(&b, ')');
    *out = kr_strdup(r->a, kr_buf_view(&b));
    return 0;
}

static int read_expression(struct requirements *r, kr_val e, struct kr_err *err)
{
    kr_str key = kr_at_str(e, "key"), op = kr_at_str(e, "operator"), values;
    bool in = kr_str_is(op, "In"), not_in = kr_str_is(op, "NotIn");

    if (!in && !not_in && !kr_str_is(op, "Exists") && !kr_str_is(op, "DoesNotExist"))
        return kr_fail(err, KR_E_INPUT, KR_FMT " is not a valid label selector operator",
                       KR_ARG(graph__go_quote(r->a, op)));
    KR_TRY(check_key(r->a, key, err));
    KR_TRY(read_values(r, key, kr_get(e, KR_S("values")), &values, err));
    if (in || not_in) {
        if (values.n == 0)
            return kr_fail(err, KR_E_INPUT,
                           "values: Invalid value: []: for 'in', 'notin' operators, values set "
                           "can't be empty");
        return add(
            r, key,
            kr_fmt(r->a, KR_FMT " %s " KR_FMT, KR_ARG(key), in ? "in" : "notin", KR_ARG(values)),
            err);
    }
    if (values.n)
        return kr_fail(err, KR_E_INPUT,
                       "values: Invalid value: " KR_FMT
                       ": values set must be empty for exists and does not exist",
                       KR_ARG(values));
    return add(r, key, kr_fmt(r->a, "%s" KR_FMT, kr_str_is(op, "Exists") ? "" : "!", KR_ARG(key)),
               err);
}

static int read_selector(struct requirements *r, kr_val selector, struct kr_err *err)
{
    KR_TRY(read_labels(r, kr_get(selector, KR_S("matchLabels")), err));
    KR_LIST_EACH (e, kr_get(selector, KR_S("matchExpressions"))) {
        KR_TRY(read_expression(r, *e, err));
    }
    return 0;
}

static uint32_t length(kr_val v)
{
    return v.kind == KR_MAP || v.kind == KR_LIST ? v.n : 0;
}

int graph__selector(struct kr_arena *a, kr_str id, kr_val selector, kr_str *out, struct kr_err *err)
{
    uint32_t n = length(kr_get(selector, KR_S("matchLabels"))) +
                 length(kr_get(selector, KR_S("matchExpressions")));
    struct requirements r = {.a = a, .items = kr_new_n(a, struct requirement, n)};
    kr_str text = KR_S("");

    if (read_selector(&r, selector, err) < 0)
        return kr_wrap(err, "invalid label selector for " KR_FMT, KR_ARG(id));
    for (uint32_t i = 0; i < r.n; i++)
        text = kr_fmt(a, KR_FMT "%s" KR_FMT, KR_ARG(text), i ? "," : "", KR_ARG(r.items[i].text));
    *out = text;
    return 0;
}
