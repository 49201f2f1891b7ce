/* SPDX-License-Identifier: Apache-2.0 */
/* crd_compat.c - what changes between two versions of a schema, and what of it breaks instances.
 *
 * The list of breaking changes decides whether an update of the CRD is let through; whether a patch
 * is needed at all is decided elsewhere, by comparing whole values (kro decides both by this list
 * and so never sees a changed map value, validation rule or printer column).
 *
 * Source: kro:pkg/graph/crd/compat; reference rgd-graph 3.4.
 */
#include "graph/internal.h"

#include "cel/base/json.h"
#include "cel/base/num.h"

#include "cel/base/banned.h"

static void add(struct graph_changes *c, bool breaking, const char *type, kr_str path,
                kr_str old_value, kr_str new_value)
{
    if (c->n == c->cap) {
        struct graph_change *grown = kr_new_n(c->a, struct graph_change, c->cap ? 2 * c->cap : 8);

        if (c->n)
            memcpy(grown, c->items, sizeof(*grown) * c->n);
        c->items = grown;
        c->cap = c->cap ? 2 * c->cap : 8;
    }
    c->items[c->n++] = (struct graph_change){path, kr_str_c(type), old_value, new_value, breaking};
    c->breaking_n += breaking;
}

static kr_str below(struct graph_changes *c, kr_str path, const char *name)
{
    return path.n ? kr_fmt(c->a, KR_FMT ".%s", KR_ARG(path), name) : kr_str_c(name);
}

static bool is_number(kr_val v)
{
    return v.kind == KR_INT || v.kind == KR_UINT || v.kind == KR_DOUBLE;
}
static double number(kr_val v)
{
    return v.kind == KR_INT ? (double)v.i : v.kind == KR_UINT ? (double)v.u : v.d;
}

/* A limit as text: the shortest decimal form, never with an exponent. */
static kr_str number_text(struct graph_changes *c, kr_val v)
{
    char text[KR_NUM_TEXT_MAX];
    size_t n;

    if (v.kind == KR_INT)
        return kr_fmt(c->a, "%lld", (long long)v.i);
    n = kr_num_json(number(v), text);
    if (memchr(text, 'e', n))
        return kr_fmt(c->a, "%.0f", number(v));
    return kr_strdup(c->a, (kr_str){text, n});
}

static kr_str raw(struct graph_changes *c, kr_val v)
{
    return v.kind == KR_NONE ? KR_S("") : kr_json_str(c->a, v);
}

static void compare_texts(struct graph_changes *c, kr_str path, kr_val old, kr_val new)
{
    kr_val od = kr_get(old, KR_S("default")), nd = kr_get(new, KR_S("default"));
    kr_str ot = kr_text(kr_get(old, KR_S("description"))),
           nt = kr_text(kr_get(new, KR_S("description")));

    if (!kr_str_eq(ot, nt))
        add(c, false, "DESCRIPTION_CHANGED", below(c, path, "description"), ot, nt);
    if (!kr_equal(od, nd))
        add(c, false, "DEFAULT_CHANGED", below(c, path, "default"), raw(c, od), raw(c, nd));
}

static void compare_pattern(struct graph_changes *c, kr_str path, kr_val old, kr_val new)
{
    kr_str o = kr_text(kr_get(old, KR_S("pattern"))), n = kr_text(kr_get(new, KR_S("pattern")));
    kr_str at = below(c, path, "pattern");

    if (kr_str_eq(o, n))
        return;
    if (o.n == 0)
        add(c, true, "PATTERN_ADDED", at, o, n);
    else if (n.n == 0)
        add(c, false, "PATTERN_REMOVED", at, o, n);
    else
        add(c, true, "PATTERN_CHANGED", at, o, n);
}

static const struct limit {
    const char *key, *added, *removed, *increased, *decreased;
    bool lower;       /* a lower bound: raising it breaks */
    const char *name; /* in the report */
} limits[] = {
#define LIMIT(key, upper, lower, name)                                                             \
    {                                                                                              \
        key, upper "_ADDED", upper "_REMOVED", upper "_INCREASED", upper "_DECREASED", lower, name \
    }
    LIMIT("minimum", "MINIMUM", true, "Minimum"),
    LIMIT("minLength", "MIN_LENGTH", true, "MinLength"),
    LIMIT("minItems", "MIN_ITEMS", true, "MinItems"),
    LIMIT("maximum", "MAXIMUM", false, "Maximum"),
    LIMIT("maxLength", "MAX_LENGTH", false, "MaxLength"),
    LIMIT("maxItems", "MAX_ITEMS", false, "MaxItems"),
#undef LIMIT
};

static void compare_limit(struct graph_changes *c, kr_str path, kr_val old, kr_val new,
                          const struct limit *l)
{
    kr_val o = kr_get(old, kr_str_c(l->key)), n = kr_get(new, kr_str_c(l->key));
    kr_str at = below(c, path, l->key);

    if (!is_number(o) && !is_number(n))
        return;
    if (!is_number(o))
        add(c, true, l->added, at, KR_S(""), number_text(c, n));
    else if (!is_number(n))
        add(c, false, l->removed, at, number_text(c, o), KR_S(""));
    else if (number(n) > number(o))
        add(c, l->lower, l->increased, at, number_text(c, o), number_text(c, n));
    else if (number(n) < number(o))
        add(c, !l->lower, l->decreased, at, number_text(c, o), number_text(c, n));
}

static bool lists(kr_val list, kr_val v)
{
    KR_LIST_EACH (it, list) {
        if (kr_equal(*it, v))
            return true;
    }
    return false;
}

static void compare_properties(struct graph_changes *c, kr_str path, kr_val old, kr_val new)
{
    kr_val op = kr_get(old, KR_S("properties")), np = kr_get(new, KR_S("properties"));
    kr_val required = kr_get(new, KR_S("required"));
    kr_str at = below(c, path, "properties");

    KR_MAP_EACH (it, op) {
        kr_str name = kr_text(it->key);
        kr_val now = kr_get(np, name);
        kr_str here = kr_fmt(c->a, KR_FMT "." KR_FMT, KR_ARG(at), KR_ARG(name));

        if (now.kind == KR_NONE)
            add(c, true, "PROPERTY_REMOVED", here, KR_S(""), KR_S(""));
        else
            graph__schema_compare(c, here, it->val, now);
    }
    KR_MAP_EACH (it, np) {
        kr_str name = kr_text(it->key);
        kr_str here = kr_fmt(c->a, KR_FMT "." KR_FMT, KR_ARG(at), KR_ARG(name));
        bool breaks = lists(required, it->key) && kr_get(it->val, KR_S("default")).kind == KR_NONE;

        if (kr_get(op, name).kind != KR_NONE)
            continue;
        if (breaks)
            add(c, true, "PROPERTY_ADDED", here, KR_S("required=false"), KR_S("required=true"));
        else
            add(c, false, "PROPERTY_ADDED", here, KR_S(""), KR_S(""));
    }
}

static void compare_required(struct graph_changes *c, kr_str path, kr_val old, kr_val new)
{
    kr_val op = kr_get(old, KR_S("properties")), np = kr_get(new, KR_S("properties"));
    kr_val was = kr_get(old, KR_S("required")), is = kr_get(new, KR_S("required"));
    kr_str at = below(c, path, "required");

    KR_LIST_EACH (it, is) {
        kr_val before = kr_get(op, kr_text(*it)), after = kr_get(np, kr_text(*it));

        if (!lists(was, *it)) {
            if (before.kind != KR_NONE || op.kind == KR_NONE)
                add(c, true, "REQUIRED_ADDED", at, KR_S(""), kr_text(*it));
        } else if (kr_get(before, KR_S("default")).kind != KR_NONE && after.kind != KR_NONE &&
                   kr_get(after, KR_S("default")).kind == KR_NONE) {
            add(c, true, "REQUIRED_DEFAULT_REMOVED", at, kr_text(*it), KR_S(""));
        }
    }
    KR_LIST_EACH (it, was) {
        if (!lists(is, *it))
            add(c, false, "REQUIRED_REMOVED", at, kr_text(*it), KR_S(""));
    }
}

static void compare_enum(struct graph_changes *c, kr_str path, kr_val old, kr_val new)
{
    kr_val o = kr_get(old, KR_S("enum")), n = kr_get(new, KR_S("enum"));
    kr_str at = below(c, path, "enum");

    if (o.n == 0 || n.n == 0)
        return;
    KR_LIST_EACH (it, o) {
        if (!lists(n, *it))
            add(c, true, "ENUM_RESTRICTED", at, raw(c, *it), KR_S(""));
    }
    KR_LIST_EACH (it, n) {
        if (!lists(o, *it))
            add(c, false, "ENUM_EXPANDED", at, KR_S(""), raw(c, *it));
    }
}

static void compare_items(struct graph_changes *c, kr_str path, kr_val old, kr_val new)
{
    kr_val o = kr_get(old, KR_S("items")), n = kr_get(new, KR_S("items"));
    kr_str at = below(c, path, "items");

    if (!kr_is_str(kr_get(old, KR_S("type")), KR_S("array")))
        return;
    if (o.kind != KR_NONE && n.kind == KR_NONE)
        add(c, true, "PROPERTY_REMOVED", at, KR_S(""), KR_S(""));
    else if (o.kind == KR_NONE && n.kind != KR_NONE)
        add(c, false, "PROPERTY_ADDED", at, KR_S(""), KR_S(""));
    else if (o.kind != KR_NONE)
        graph__schema_compare(c, at, o, n);
}

/* Recursion is bounded by the nesting of a value. */
void graph__schema_compare(struct graph_changes *c, kr_str path, kr_val old, kr_val new)
{
    kr_str ot = kr_text(kr_get(old, KR_S("type"))), nt = kr_text(kr_get(new, KR_S("type")));

    if (old.kind != KR_MAP || new.kind != KR_MAP) {
        if (old.kind == KR_MAP)
            add(c, true, "PROPERTY_REMOVED", path, KR_S(""), KR_S(""));
        else if (new.kind == KR_MAP)
            add(c, false, "PROPERTY_ADDED", path, KR_S(""), KR_S(""));
        return;
    }
    compare_texts(c, path, old, new);
    if (!kr_str_eq(ot, nt)) {
        add(c, true, "TYPE_CHANGED", below(c, path, "type"), ot, nt);
        return;
    }
    compare_pattern(c, path, old, new);
    for (size_t i = 0; i < KR_N(limits); i++)
        compare_limit(c, path, old, new, &limits[i]);
    compare_properties(c, path, old, new);
    compare_required(c, path, old, new);
    compare_enum(c, path, old, new);
    compare_items(c, path, old, new);
}

static bool has_status(kr_val version)
{
    return kr_at(version, "subresources.status").kind == KR_MAP;
}

int graph__crd_compare(struct kr_arena *a, kr_val old_versions, kr_val new_versions,
                       struct graph_changes *out, struct kr_err *err)
{
    kr_val old = kr_item(old_versions, 0), new = kr_item(new_versions, 0);
    kr_val os = kr_at(old, "schema.openAPIV3Schema"), ns = kr_at(new, "schema.openAPIV3Schema");
    kr_str on = kr_text(kr_get(old, KR_S("name"))), nn = kr_text(kr_get(new, KR_S("name")));

    *out = (struct graph_changes){.a = a};
    if (old_versions.n != 1 || new_versions.n != 1)
        return kr_fail(err, KR_E_INPUT,
                       "expected exactly one version in each CRD, got %u old and %u new versions",
                       old_versions.n, new_versions.n);
    if (!kr_str_eq(on, nn)) {
        add(out, true, "TYPE_CHANGED", KR_S("version"), on, nn);
        return 0;
    }
    if (os.kind == KR_NONE)
        return kr_fail(err, KR_E_INPUT, "old version " KR_FMT " has no schema", KR_ARG(on));
    if (ns.kind == KR_NONE)
        return kr_fail(err, KR_E_INPUT, "new version " KR_FMT " has no schema", KR_ARG(nn));
    graph__schema_compare(out, KR_S(""), os, ns);
    if (kr_is_true(kr_get(old, KR_S("served"))) && !kr_is_true(kr_get(new, KR_S("served"))))
        add(out, true, "TYPE_CHANGED", KR_S("version.served"), KR_S("true"), KR_S("false"));
    if (has_status(old) && !has_status(new))
        add(out, true, "PROPERTY_REMOVED", KR_S("version.subresources.status"), KR_S(""), KR_S(""));
    return 0;
}

/* --- report ----------------------------------------------------------------------------------- */

static kr_str limit_text(struct kr_arena *a, const struct graph_change *c)
{
    for (size_t i = 0; i < KR_N(limits); i++) {
        const struct limit *l = &limits[i];

        if (kr_str_eq(c->type, kr_str_c(l->added)))
            return kr_fmt(a, "%s constraint " KR_FMT " was added", l->name, KR_ARG(c->new_value));
        if (kr_str_eq(c->type, kr_str_c(l->removed)))
            return kr_fmt(a, "%s constraint " KR_FMT " was removed", l->name, KR_ARG(c->old_value));
        if (kr_str_eq(c->type, kr_str_c(l->increased)))
            return kr_fmt(a, "%s was increased from " KR_FMT " to " KR_FMT, l->name,
                          KR_ARG(c->old_value), KR_ARG(c->new_value));
        if (kr_str_eq(c->type, kr_str_c(l->decreased)))
            return kr_fmt(a, "%s was decreased from " KR_FMT " to " KR_FMT, l->name,
                          KR_ARG(c->old_value), KR_ARG(c->new_value));
    }
    return kr_fmt(a, "Unknown change to " KR_FMT, KR_ARG(c->path));
}

kr_str graph__change_text(struct kr_arena *a, const struct graph_change *c)
{
    /* %p: last part of the path, %o: old value, %n: new value */
    static const struct {
        const char *type, *text;
    } texts[] = {
        {"PROPERTY_REMOVED", "Property %p was removed"},
        {"TYPE_CHANGED", "Type changed from %o to %n"},
        {"REQUIRED_ADDED", "Field %n is newly required"},
        {"REQUIRED_REMOVED", "Field %o is no longer required"},
        {"ENUM_RESTRICTED", "Enum value %o was removed"},
        {"ENUM_EXPANDED", "Enum value %n was added"},
        {"PATTERN_CHANGED", "Validation pattern changed from %o to %n"},
        {"PATTERN_ADDED", "Validation pattern %n was added"},
        {"PATTERN_REMOVED", "Validation pattern %o was removed"},
        {"REQUIRED_DEFAULT_REMOVED", "Default value removed from required field %o"},
        {"DESCRIPTION_CHANGED", "Description field was changed from %o to %n"},
        {"DEFAULT_CHANGED", "Default value was changed from %o to %n"},
    };
    ptrdiff_t dot = kr_str_rchr(c->path, '.');
    kr_str part = kr_str_sub(c->path, (size_t)(dot + 1), c->path.n);
    KR_AUTO(kr_buf) b = KR_BUF(4 * (c->path.n + c->old_value.n + c->new_value.n) + 128);

    if (kr_str_is(c->type, "PROPERTY_ADDED")) /* kro says "Optional" of required ones too */
        return kr_fmt(a, "%s property " KR_FMT " was added",
                      c->breaking || kr_str_is(c->new_value, "required") ? "Required" : "Optional",
                      KR_ARG(part));
    for (size_t i = 0; i < KR_N(texts); i++) {
        if (!kr_str_eq(c->type, kr_str_c(texts[i].type)))
            continue;
        for (const char *t = texts[i].text; *t; t++) {
            if (*t != '%')
                kr_buf_chr(&b, *t);
            else if (*++t == 'p')
                kr_buf_str(&b, part);
            else
                kr_buf_str(&b, *t == 'o' ? c->old_value : c->new_value);
        }
        return kr_strdup(a, kr_buf_view(&b));
    }
    return limit_text(a, c);
}

kr_str graph__changes_text(struct kr_arena *a, const struct graph_changes *c)
{
    enum { SHOWN = 3 };
    KR_AUTO(kr_buf) b = KR_BUF(64 * 1024);
    uint32_t shown = 0;

    for (uint32_t i = 0; i < c->n && shown < SHOWN; i++) {
        if (!c->items[i].breaking)
            continue;
        kr_buf_fmt(&b, "%s" KR_FMT, shown ? "; " : "", KR_ARG(graph__change_text(a, &c->items[i])));
        shown++;
    }
    if (shown == 0)
        return KR_S("no breaking changes");
    if (c->breaking_n > SHOWN)
        kr_buf_fmt(&b, "; and %u more changes", c->breaking_n - SHOWN);
    return kr_strdup(a, kr_buf_view(&b));
}
