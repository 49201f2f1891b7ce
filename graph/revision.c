/* SPDX-License-Identifier: Apache-2.0 */
/* revision.c - what a revision is to others: its life, its hash, its name.
 *
 * The hash is over the definition's spec in a canonical form that does not see the order of
 * resources, of readyWhen and of includeWhen, nor explicit defaults. It is compared with hashes
 * that this process computed from the stored snapshots, never with the label.
 *
 * Source: kro:pkg/graph/hash, pkg/controller/resourcegraphdefinition; reference rgd-graph 7.3, 7.7,
 * Appendix B.
 */
#include "graph/internal.h"

#include <stdlib.h>

#include "cel/base/digest.h"
#include "cel/base/json.h"
#include "cel/base/num.h"

#include "cel/base/banned.h"

/* --- life ------------------------------------------------------------------------------------- */

struct graph_rev *graph_rev_hold(struct graph_rev *r)
{
    r->refs++;
    return r;
}

void graph_rev_drop(struct graph_rev *r)
{
    if (!r || --r->refs > 0)
        return;
    kr_arena_fini(&r->impl->arena); /* but for these two, all of it lives there */
    kr_free(r->impl);
    kr_free(r);
}

int32_t graph_rev_rank(const struct graph_rev *r, kr_str id)
{
    for (uint32_t i = 0; i < r->nodes_n; i++) {
        if (kr_str_eq(r->nodes[i].id, id))
            return (int32_t)i;
    }
    return -1;
}

int32_t graph_rev_rank_of_label(const struct graph_rev *r, kr_str label)
{
    for (uint32_t i = 0; i < r->nodes_n; i++) {
        if (kr_str_eq(r->nodes[i].label, label))
            return (int32_t)i;
    }
    return -1;
}

/* --- names ------------------------------------------------------------------------------------ */

kr_str graph_revision_name(struct kr_arena *a, kr_str rgd, int64_t number)
{
    enum { NAME_MAX_BYTES = 253 };
    kr_str suffix = kr_fmt(a, "-r%05lld", (long long)number), base;

    if (rgd.n + suffix.n <= NAME_MAX_BYTES)
        return kr_fmt(a, KR_FMT KR_FMT, KR_ARG(rgd), KR_ARG(suffix));
    suffix = kr_fmt(a, KR_FMT "-%08x", KR_ARG(suffix), kr_fnv1a32(rgd));
    base = kr_str_sub(rgd, 0, NAME_MAX_BYTES - suffix.n);
    while (base.n && (base.s[base.n - 1] == '.' || base.s[base.n - 1] == '-'))
        base.n--;
    if (base.n == 0)
        base = KR_S("gr");
    return kr_fmt(a, KR_FMT KR_FMT, KR_ARG(base), KR_ARG(suffix));
}

kr_str graph_label_value(struct kr_arena *a, kr_str name)
{
    enum { KEPT = 20 };
    uint8_t sum[KR_DIGEST_MAX];

    if (name.n <= GRAPH_LABEL_MAX)
        return name;
    kr_digest_bytes(KR_SHA256, name, sum);
    return kr_fmt(a, "h-" KR_FMT, KR_ARG(kr_hex(a, sum, KEPT)));
}

static bool label_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool graph__is_label_value(kr_str s)
{
    if (s.n == 0)
        return true;
    if (s.n > GRAPH_LABEL_MAX || !label_char(s.s[0]) || !label_char(s.s[s.n - 1]))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (!label_char(s.s[i]) && s.s[i] != '-' && s.s[i] != '_' && s.s[i] != '.')
            return false;
    }
    return true;
}

kr_str graph_version_label(struct kr_arena *a, kr_str version)
{
    char *out;

    if (graph__is_label_value(version))
        return version;
    out = kr_arena_bytes(a, version.n + 1);
    for (size_t i = 0; i < version.n; i++)
        out[i] = version.s[i] == '+' ? '-' : version.s[i];
    out[version.n] = 0;
    return (kr_str){out, version.n};
}

/* --- hash ------------------------------------------------------------------------------------- */

enum { HASH_TEXT_MAX = 64 * 1024 * 1024 };

struct hasher {
    struct kr_arena *a;
    struct kr_buf text;
    bool first; /* nothing stands in the current object yet */
};

static void open_object(struct hasher *h)
{
    kr_buf_chr(&h->text, '{');
    h->first = true;
}
static void close_object(struct hasher *h)
{
    kr_buf_chr(&h->text, '}');
    h->first = false;
}

static void key(struct hasher *h, const char *name)
{
    if (!h->first)
        kr_buf_chr(&h->text, ',');
    h->first = false;
    kr_buf_fmt(&h->text, "\"%s\":", name);
}

static void text(struct hasher *h, kr_str s)
{
    kr_json_quote(&h->text, s, KR_JSON_HTML);
}

/* A member that is left out when it is empty. */
static void text_member(struct hasher *h, const char *name, kr_val v)
{
    if (v.kind != KR_STRING || v.n == 0)
        return;
    key(h, name);
    text(h, kr_text(v));
}

/* Any value: numbers as Go's float64. */
static void any(struct hasher *h, kr_val v)
{
    char number[KR_NUM_TEXT_MAX];
    double d;

    switch (v.kind) {
    case KR_BOOL:
        kr_buf_fmt(&h->text, "%s", v.b ? "true" : "false");
        return;
    case KR_INT:
    case KR_UINT:
    case KR_DOUBLE:
        d = v.kind == KR_INT ? (double)v.i : v.kind == KR_UINT ? (double)v.u : v.d;
        kr_buf_add(&h->text, number, kr_num_json(d, number));
        return;
    case KR_STRING:
        text(h, kr_text(v));
        return;
    case KR_LIST:
        kr_buf_chr(&h->text, '[');
        for (uint32_t i = 0; i < v.n; i++) {
            if (i)
                kr_buf_chr(&h->text, ',');
            any(h, v.list[i]);
        }
        kr_buf_chr(&h->text, ']');
        return;
    case KR_MAP:
        kr_buf_chr(&h->text, '{');
        for (uint32_t i = 0; i < v.n; i++) {
            if (i)
                kr_buf_chr(&h->text, ',');
            text(h, kr_text(v.map[i].key));
            kr_buf_chr(&h->text, ':');
            any(h, v.map[i].val);
        }
        kr_buf_chr(&h->text, '}');
        return;
    default:
        kr_buf_fmt(&h->text, "null");
    }
}

static void any_member(struct hasher *h, const char *name, kr_val v)
{
    key(h, name);
    any(h, v);
}

static void filled_member(struct hasher *h, const char *name, kr_val v)
{
    if ((v.kind == KR_LIST || v.kind == KR_MAP) && v.n)
        any_member(h, name, v);
}

static int by_text(const void *x, const void *y)
{
    return kr_str_cmp(kr_text(*(const kr_val *)x), kr_text(*(const kr_val *)y));
}

/* A list of strings, sorted. */
static void sorted_member(struct hasher *h, const char *name, kr_val v)
{
    kr_val *items;

    if (v.kind != KR_LIST || v.n == 0)
        return;
    items = kr_new_n(h->a, kr_val, v.n);
    memcpy(items, v.list, sizeof(*items) * v.n);
    qsort(items, v.n, sizeof(*items), by_text);
    any_member(h, name, kr_list(items, v.n));
}

static void columns(struct hasher *h, kr_val list)
{
    if (list.kind != KR_LIST || list.n == 0)
        return;
    key(h, "additionalPrinterColumns");
    kr_buf_chr(&h->text, '[');
    for (uint32_t i = 0; i < list.n; i++) {
        kr_val v = list.list[i], priority = kr_get(v, KR_S("priority"));

        if (i)
            kr_buf_chr(&h->text, ',');
        open_object(h);
        key(h, "name");
        text(h, kr_text(kr_get(v, KR_S("name"))));
        key(h, "type");
        text(h, kr_text(kr_get(v, KR_S("type"))));
        text_member(h, "format", kr_get(v, KR_S("format")));
        text_member(h, "description", kr_get(v, KR_S("description")));
        if (priority.kind == KR_INT && priority.i)
            any_member(h, "priority", priority);
        key(h, "jsonPath");
        text(h, kr_text(kr_get(v, KR_S("jsonPath"))));
        close_object(h);
    }
    kr_buf_chr(&h->text, ']');
}

static void schema(struct hasher *h, kr_val v)
{
    kr_val group = kr_get(v, KR_S("group")), scope = kr_get(v, KR_S("scope"));
    kr_val meta = kr_get(v, KR_S("metadata"));

    if (v.kind != KR_MAP)
        return;
    key(h, "schema");
    open_object(h);
    text_member(h, "kind", kr_get(v, KR_S("kind")));
    text_member(h, "apiVersion", kr_get(v, KR_S("apiVersion")));
    text_member(h, "group", kr_text(group).n ? group : KR_V_STR(GRAPH_GROUP));
    any_member(h, "spec", kr_get(v, KR_S("spec")));
    any_member(h, "types", kr_get(v, KR_S("types")));
    any_member(h, "status", kr_get(v, KR_S("status")));
    text_member(h, "scope", kr_text(scope).n ? scope : KR_V_STR("Namespaced"));
    columns(h, kr_get(v, KR_S("additionalPrinterColumns")));
    filled_member(h, "shortNames", kr_get(v, KR_S("shortNames")));
    filled_member(h, "categories", kr_get(v, KR_S("categories")));
    if (meta.kind == KR_MAP) {
        key(h, "metadata");
        open_object(h);
        filled_member(h, "labels", kr_get(meta, KR_S("labels")));
        filled_member(h, "annotations", kr_get(meta, KR_S("annotations")));
        close_object(h);
    }
    close_object(h);
}

static void selector(struct hasher *h, kr_val v)
{
    kr_val exprs = kr_get(v, KR_S("matchExpressions"));

    key(h, "selector");
    open_object(h);
    filled_member(h, "matchLabels", kr_get(v, KR_S("matchLabels")));
    if (exprs.kind == KR_LIST && exprs.n) {
        key(h, "matchExpressions");
        kr_buf_chr(&h->text, '[');
        for (uint32_t i = 0; i < exprs.n; i++) {
            kr_val e = exprs.list[i];

            if (i)
                kr_buf_chr(&h->text, ',');
            open_object(h);
            key(h, "key");
            text(h, kr_text(kr_get(e, KR_S("key"))));
            key(h, "operator");
            text(h, kr_text(kr_get(e, KR_S("operator"))));
            filled_member(h, "values", kr_get(e, KR_S("values")));
            close_object(h);
        }
        kr_buf_chr(&h->text, ']');
    }
    close_object(h);
}

static void external(struct hasher *h, kr_val v)
{
    kr_val meta = kr_get(v, KR_S("metadata"));

    if (v.kind != KR_MAP)
        return;
    key(h, "externalRef");
    open_object(h);
    key(h, "apiVersion");
    text(h, kr_text(kr_get(v, KR_S("apiVersion"))));
    key(h, "kind");
    text(h, kr_text(kr_get(v, KR_S("kind"))));
    key(h, "metadata");
    open_object(h);
    text_member(h, "name", kr_get(meta, KR_S("name")));
    text_member(h, "namespace", kr_get(meta, KR_S("namespace")));
    if (kr_get(meta, KR_S("selector")).kind == KR_MAP)
        selector(h, kr_get(meta, KR_S("selector")));
    close_object(h);
    close_object(h);
}

static int by_id(const void *x, const void *y)
{
    return kr_str_cmp(kr_text(kr_get(*(const kr_val *)x, KR_S("id"))),
                      kr_text(kr_get(*(const kr_val *)y, KR_S("id"))));
}

static void resources(struct hasher *h, kr_val list)
{
    kr_val *items;

    if (list.kind != KR_LIST || list.n == 0)
        return;
    items = kr_new_n(h->a, kr_val, list.n);
    memcpy(items, list.list, sizeof(*items) * list.n);
    qsort(items, list.n, sizeof(*items), by_id);
    key(h, "resources");
    kr_buf_chr(&h->text, '[');
    for (uint32_t i = 0; i < list.n; i++) {
        if (i)
            kr_buf_chr(&h->text, ',');
        open_object(h);
        text_member(h, "id", kr_get(items[i], KR_S("id")));
        any_member(h, "template", kr_get(items[i], KR_S("template")));
        external(h, kr_get(items[i], KR_S("externalRef")));
        sorted_member(h, "readyWhen", kr_get(items[i], KR_S("readyWhen")));
        sorted_member(h, "includeWhen", kr_get(items[i], KR_S("includeWhen")));
        filled_member(h, "forEach", kr_get(items[i], KR_S("forEach")));
        close_object(h);
    }
    kr_buf_chr(&h->text, ']');
}

/* The text that is hashed; lives in a. */
kr_str graph__hash_text(kr_val spec, struct kr_arena *a)
{
    struct hasher h = {.a = a, .text = KR_BUF(HASH_TEXT_MAX)};
    kr_str out;

    open_object(&h);
    schema(&h, kr_get(spec, KR_S("schema")));
    resources(&h, kr_get(spec, KR_S("resources")));
    close_object(&h);
    out = h.text.full ? (kr_str){0} : kr_strdup(a, kr_buf_view(&h.text));
    kr_buf_fini(&h.text);
    return out;
}

int graph_spec_hash(kr_val spec, struct kr_arena *a, kr_str *out, struct kr_err *err)
{
    kr_str t = graph__hash_text(spec, a);

    if (!t.s)
        return kr_fail(err, KR_E_LIMIT, "marshal normalized spec: over %d bytes", HASH_TEXT_MAX);
    *out = kr_fmt(a, "%016llx", (unsigned long long)kr_fnv1a64(t));
    return 0;
}
