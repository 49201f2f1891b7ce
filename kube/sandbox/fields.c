/* SPDX-License-Identifier: Apache-2.0 */
/* fields.c - operations on sets of fields: merges of two sorted maps, level by level.
 *
 * An entry is taken apart into "a member itself?" and "the set below", the two are combined each by
 * its own rule, and put together again; entries that are neither vanish.
 */
#include "kube/sandbox/fields.h"

#include <stdlib.h>

#include "cel/base/json.h"

#include "cel/base/banned.h"

#define DOT KR_S(".")

bool sandbox_fields_is_member(kr_val entry)
{
    return entry.kind == KR_MAP && (entry.n == 0 || kr_get(entry, DOT).kind != KR_NONE);
}

void sandbox_fields_put(struct kr_mapb *b, kr_str element, bool member, kr_val below)
{
    if (below.kind != KR_MAP)
        below = SANDBOX_NO_FIELDS;
    if (member && below.n)
        below = kr_with_key(b->a, below, DOT, SANDBOX_NO_FIELDS);
    if (member || below.n)
        kr_mapb_put(b, element, below);
}

/* --- operations ------------------------------------------------------------------------------- */

enum op { UNION, BOTH, WITHOUT, WITHOUT_TREES };

static kr_val combine(struct kr_arena *a, kr_val x, kr_val y, enum op op);

/* One element; mx and my are entries, KR_NONE where a side has none. */
static void combine_entry(struct kr_mapb *b, kr_str element, kr_val x, kr_val y, enum op op)
{
    bool mx = sandbox_fields_is_member(x), my = sandbox_fields_is_member(y);

    if (op == WITHOUT_TREES && my)
        return;
    sandbox_fields_put(b, element,
                       op == UNION  ? mx || my
                       : op == BOTH ? mx && my
                                    : mx && !my,
                       combine(b->a, x, y, op));
}

/* Both as maps of entries; "." is no element. */
static kr_val combine(struct kr_arena *a, kr_val x, kr_val y, enum op op)
{
    struct kr_mapb b = KR_MAPB(a);
    uint32_t i = 0, k = 0, xn = x.kind == KR_MAP ? x.n : 0, yn = y.kind == KR_MAP ? y.n : 0;

    while (i < xn || k < yn) {
        int order = i == xn   ? 1
                    : k == yn ? -1
                              : kr_str_cmp(kr_text(x.map[i].key), kr_text(y.map[k].key));
        kr_str element = kr_text(order <= 0 ? x.map[i].key : y.map[k].key);
        kr_val ex = order <= 0 ? x.map[i++].val : KR_V_NONE;
        kr_val ey = order >= 0 ? y.map[k++].val : KR_V_NONE;

        if (kr_str_eq(element, DOT))
            continue;
        if (order < 0 && op != BOTH)
            kr_mapb_put(&b, element, ex);
        else if (order > 0 && op == UNION)
            kr_mapb_put(&b, element, ey);
        else if (order == 0)
            combine_entry(&b, element, ex, ey, op);
    }
    return kr_mapb_done(&b);
}

kr_val sandbox_fields_union(struct kr_arena *a, kr_val x, kr_val y)
{
    return combine(a, x, y, UNION);
}

kr_val sandbox_fields_both(struct kr_arena *a, kr_val x, kr_val y)
{
    return combine(a, x, y, BOTH);
}

kr_val sandbox_fields_without(struct kr_arena *a, kr_val x, kr_val y)
{
    return combine(a, x, y, WITHOUT);
}

kr_val sandbox_fields_without_trees(struct kr_arena *a, kr_val x, kr_val y)
{
    return combine(a, x, y, WITHOUT_TREES);
}

static kr_val below_of(struct kr_arena *a, kr_val entry)
{
    return kr_get(entry, DOT).kind == KR_NONE ? entry : kr_with_key(a, entry, DOT, KR_V_NONE);
}

kr_val sandbox_fields_named(struct kr_arena *a, kr_val x, const struct cel_schema *s)
{
    struct kr_mapb b = KR_MAPB(a);

    KR_MAP_EACH (p, x) {
        kr_str element = kr_text(p->key), name = kr_str_sub(element, 2, element.n);
        bool field = kr_str_starts(element, KR_S("f:")), member = sandbox_fields_is_member(p->val);
        const struct cel_schema *child = NULL;

        if (kr_str_eq(element, DOT))
            continue;
        if (s)
            child = field ? cel_schema_member(s, name) : s->items;
        if (s && field && cel_schema_field(s, name))
            member = true;
        sandbox_fields_put(&b, element, member,
                           sandbox_fields_named(a, below_of(a, p->val), child));
    }
    return kr_mapb_done(&b);
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool element_ok(kr_str e)
{
    KR_AUTO(kr_arena) a = {0};
    kr_str rest = kr_str_sub(e, 2, e.n);
    uint64_t index;
    kr_val v;

    if (kr_str_starts(e, KR_S("f:")))
        return true;
    if (kr_str_starts(e, KR_S("i:")))
        return kr_str_u64(rest, &index);
    if (!kr_str_starts(e, KR_S("k:")) && !kr_str_starts(e, KR_S("v:")))
        return false;
    return kr_json_parse(&a, rest, &v, NULL) == 0 && (e.s[0] == 'v' || v.kind == KR_MAP);
}

static int check(kr_val v, uint32_t depth, struct kr_err *err)
{
    if (v.kind != KR_MAP || depth > SANDBOX_FIELDS_DEPTH_MAX)
        return kr_fail(err, KR_E_INPUT, "a set of fields is an object of objects");
    KR_MAP_EACH (p, v) {
        kr_str element = kr_text(p->key);

        if (kr_str_eq(element, DOT)) {
            if (p->val.kind != KR_MAP || p->val.n)
                return kr_fail(err, KR_E_INPUT, "\".\" has no members");
            continue;
        }
        if (!element_ok(element))
            return kr_fail(err, KR_E_INPUT, "\"" KR_FMT "\" names no field", KR_ARG(element));
        KR_TRY(check(p->val, depth + 1, err));
    }
    return 0;
}

int sandbox_fields_check(kr_val v, struct kr_err *err)
{
    return check(v, 0, err);
}

/* --- names ------------------------------------------------------------------------------------ */

kr_str sandbox_element_field(struct kr_arena *a, kr_str name)
{
    char *s = kr_arena_bytes(a, 2 + name.n);

    memcpy(s, "f:", 2);
    if (name.n)
        memcpy(s + 2, name.s, name.n);
    return (kr_str){s, 2 + name.n};
}

kr_str sandbox_element_value(struct kr_arena *a, kr_val v)
{
    return kr_fmt(a, "v:" KR_FMT, KR_ARG(kr_json_str(a, v)));
}

kr_str sandbox_element_keys(struct kr_arena *a, kr_val keys)
{
    return kr_fmt(a, "k:" KR_FMT, KR_ARG(kr_json_str(a, keys)));
}

/* "[port=80,protocol="TCP"]" */
static kr_str keys_text(struct kr_arena *a, kr_str json)
{
    struct kr_buf text = KR_BUF_IN(a, KR_JSON_STRING_MAX);
    kr_val keys = KR_V_NONE;
    bool first = true;

    if (kr_json_parse(a, json, &keys, NULL) < 0)
        return json;
    KR_MAP_EACH (p, keys) {
        kr_buf_fmt(&text, "%s" KR_FMT "=" KR_FMT, first ? "[" : ",", KR_ARG(kr_text(p->key)),
                   KR_ARG(kr_json_str(a, p->val)));
        first = false;
    }
    kr_buf_chr(&text, ']');
    return kr_buf_view(&text);
}

kr_str sandbox_element_text(struct kr_arena *a, kr_str element)
{
    kr_str rest = kr_str_sub(element, 2, element.n);

    switch (element.n ? element.s[0] : 0) {
    case 'f':
        return kr_fmt(a, "." KR_FMT, KR_ARG(rest));
    case 'k':
        return keys_text(a, rest);
    case 'v':
        return kr_fmt(a, "[=" KR_FMT "]", KR_ARG(rest));
    default:
        return kr_fmt(a, "[" KR_FMT "]", KR_ARG(rest));
    }
}

static kr_str path_of(struct kr_arena *a, kr_str prefix, kr_str element)
{
    return kr_fmt(a, KR_FMT KR_FMT, KR_ARG(prefix), KR_ARG(sandbox_element_text(a, element)));
}

/* --- the order of paths ----------------------------------------------------------------------- */

struct element {
    kr_str name;
    kr_val what;  /* of k and v: what the name says, read */
    kr_val below; /* its entry */
};

/* Numbers, texts, booleans, lists, maps, null. */
static int rank(kr_val v)
{
    static const uint8_t ranks[] = {
        [KR_STRING] = 1, [KR_BOOL] = 2, [KR_LIST] = 3, [KR_MAP] = 4, [KR_NULL] = 5};

    return v.kind < KR_N(ranks) ? ranks[v.kind] : 0;
}

static int value_order(kr_val x, kr_val y)
{
    int order = rank(x) - rank(y);

    if (order)
        return order;
    if (x.kind == KR_MAP || x.kind == KR_LIST) {
        for (uint32_t i = 0; i < x.n && i < y.n && order == 0; i++) {
            if (x.kind == KR_MAP)
                order = kr_str_cmp(kr_text(x.map[i].key), kr_text(y.map[i].key));
            if (order == 0)
                order = value_order(x.kind == KR_MAP ? x.map[i].val : x.list[i],
                                    x.kind == KR_MAP ? y.map[i].val : y.list[i]);
        }
        return order ? order : (x.n > y.n) - (x.n < y.n);
    }
    return x.kind == KR_NULL ? 0 : kr_val_cmp_key(x, y);
}

static int by_element(const void *p, const void *q)
{
    const struct element *x = p, *y = q;
    uint64_t i = 0, k = 0;

    if (x->name.s[0] != y->name.s[0]) /* places come last */
        return x->name.s[0] == 'i' || (y->name.s[0] != 'i' && x->name.s[0] > y->name.s[0]) ? 1 : -1;
    if (x->name.s[0] == 'f')
        return kr_str_cmp(x->name, y->name);
    if (x->name.s[0] != 'i')
        return value_order(x->what, y->what);
    if (!kr_str_u64(kr_str_sub(x->name, 2, x->name.n), &i) ||
        !kr_str_u64(kr_str_sub(y->name, 2, y->name.n), &k))
        return kr_str_cmp(x->name, y->name);
    return (i > k) - (i < k);
}

/* The elements of a level as the server orders them: by what they say, where the set has them by text. */
static uint32_t ordered(struct kr_arena *a, kr_val set, struct element **out)
{
    struct element *list = kr_new_n(a, struct element, set.n);
    uint32_t n = 0;

    KR_MAP_EACH (p, set) {
        struct element e = {kr_text(p->key), KR_V_NULL, p->val};

        if (kr_str_eq(e.name, DOT))
            continue;
        if ((e.name.s[0] == 'k' || e.name.s[0] == 'v') &&
            kr_json_parse(a, kr_str_sub(e.name, 2, e.name.n), &e.what, NULL) < 0)
            e.what = KR_V_NULL;
        list[n++] = e;
    }
    qsort(list, n, sizeof *list, by_element);
    *out = list;
    return n;
}

/* Members of a level come before what is below them, as the server lists them. */
static void each(struct kr_arena *a, kr_val set, kr_str prefix, sandbox_fields_fn *fn, void *arg)
{
    struct element *list;
    uint32_t n = ordered(a, set, &list);

    for (uint32_t i = 0; i < n; i++)
        if (sandbox_fields_is_member(list[i].below))
            fn(arg, path_of(a, prefix, list[i].name));
    for (uint32_t i = 0; i < n; i++)
        if (list[i].below.n)
            each(a, list[i].below, path_of(a, prefix, list[i].name), fn, arg);
}

void sandbox_fields_each(struct kr_arena *a, kr_val set, sandbox_fields_fn *fn, void *arg)
{
    each(a, set, KR_S(""), fn, arg);
}
