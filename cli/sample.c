/* SPDX-License-Identifier: Apache-2.0 */
/* sample.c - the CRD and a first instance of a definition.
 *
 * The instance is made from the schema alone: a default is taken as it is; what is required gets the
 * first of: enum value, smallest number allowed, a text that says what it stands for. Nothing is
 * random.
 */
#include "cli/generate.h"

#include "cel/cel.h"

#include "cel/base/banned.h"

enum { DEPTH_MAX = 64, ITEMS_MAX = 100, TEXT_MAX = 1000 };

kr_val cli_crd_of(struct kr_arena *a, const struct graph_rev *rev)
{
    kr_val labels = kr_at(rev->crd, "metadata.labels");

    if (labels.kind != KR_MAP)
        labels = kr_map_sorted(NULL, 0);
    labels = kr_with_key(a, labels, KR_S(GRAPH_LABEL_OWNED), KR_V_STR("true"));
    labels = kr_with_key(a, labels, KR_S(GRAPH_LABEL_RGD_NAME), kr_string(rev->rgd_name));
    return kr_with(a, rev->crd, "metadata.labels", labels);
}

/* --- sample values ---------------------------------------------------------------------------- */

struct sample {
    struct kr_arena *a;
    bool all;
    struct kr_buf gaps;
};

static kr_val sample_value(struct sample *s, kr_val schema, kr_str path, uint32_t depth);

static kr_str last_name(kr_str path)
{
    size_t from = (size_t)(kr_str_rchr(path, '.') + 1);
    kr_str name = kr_str_sub(path, from, path.n);
    ptrdiff_t bracket = kr_str_chr(name, '[');

    return bracket < 0 ? name : kr_str_sub(name, 0, (size_t)bracket);
}

static int64_t limit_of(kr_val schema, const char *key, int64_t absent)
{
    kr_val v = kr_get(schema, kr_str_c(key));

    if (v.kind == KR_INT)
        return v.i;
    return v.kind == KR_DOUBLE && v.d > -1e15 && v.d < 1e15 ? (int64_t)v.d : absent;
}

/* s brought between minLength and maxLength. */
static kr_str fit_length(struct kr_arena *a, kr_val schema, kr_str s)
{
    int64_t least = limit_of(schema, "minLength", 0),
            most = limit_of(schema, "maxLength", TEXT_MAX);

    if (least > TEXT_MAX)
        least = TEXT_MAX;
    if (most >= 0 && (int64_t)s.n > most)
        s = kr_str_sub(s, 0, (size_t)most);
    while ((int64_t)s.n < least)
        s = kr_fmt(a, KR_FMT "x", KR_ARG(s));
    return s;
}

static bool matches(kr_val schema, kr_str s)
{
    kr_val pattern = kr_get(schema, KR_S("pattern"));

    return pattern.kind != KR_STRING || cel_regex_matches(kr_text(pattern), s);
}

static kr_val sample_text(struct sample *s, kr_val schema, kr_str path)
{
    static const char *const tries[] = {
        "example",          "a",    "A",   "example.com", "https://example.com",
        "user@example.com", "1",    "v1",  "10.0.0.0/24", "1Gi",
        "10.0.0.1",         "100m", "1h",  "v1.0.0",      "1.0.0",
        "2026-01-01",       "ab",   "abc", "aa-bb-1",     "arn:aws:iam::123456789012:role/x"};
    kr_str name = fit_length(s->a, schema, last_name(path));

    if (matches(schema, name))
        return kr_string(name);
    for (size_t i = 0; i < KR_N(tries); i++) {
        kr_str text = fit_length(s->a, schema, kr_str_c(tries[i]));

        if (matches(schema, text))
            return kr_string(text);
    }
    kr_buf_fmt(&s->gaps, KR_FMT ": must match " KR_FMT "\n", KR_ARG(path),
               KR_ARG(kr_text(kr_get(schema, KR_S("pattern")))));
    return kr_string(name);
}

/* The smallest allowed that is not negative, where there is one. */
static kr_val sample_number(kr_val schema)
{
    int64_t least = limit_of(schema, "minimum", INT64_MIN);
    int64_t most = limit_of(schema, "maximum", INT64_MAX);
    int64_t multiple = limit_of(schema, "multipleOf", 1), n = 0;

    if (least > 0)
        n = least + kr_is_true(kr_get(schema, KR_S("exclusiveMinimum")));
    if (most < n)
        n = most - kr_is_true(kr_get(schema, KR_S("exclusiveMaximum")));
    if (multiple > 1 && n % multiple > 0 && n <= INT64_MAX - multiple)
        n += multiple - n % multiple;
    return kr_int(n);
}

static kr_val sample_list(struct sample *s, kr_val schema, kr_str path, uint32_t depth)
{
    struct kr_listb list = KR_LISTB(s->a);
    int64_t n = limit_of(schema, "minItems", s->all ? 1 : 0);

    for (int64_t i = 0; i < n && i < ITEMS_MAX; i++)
        kr_listb_add(&list,
                     sample_value(s, kr_get(schema, KR_S("items")),
                                  kr_fmt(s->a, KR_FMT "[%d]", KR_ARG(path), (int)i), depth + 1));
    return kr_listb_done(&list);
}

static bool is_required(kr_val schema, kr_val name)
{
    KR_LIST_EACH (it, kr_get(schema, KR_S("required"))) {
        if (kr_is_str(*it, kr_text(name)))
            return true;
    }
    return false;
}

/* Fields that are required or have a default; given holds the object's own default. */
static kr_val sample_object(struct sample *s, kr_val schema, kr_val given, kr_str path,
                            uint32_t depth)
{
    kr_val out = given.kind == KR_MAP ? given : kr_map_sorted(NULL, 0);

    KR_MAP_EACH (p, kr_get(schema, KR_S("properties"))) {
        bool defaulted = kr_get(p->val, KR_S("default")).kind != KR_NONE;

        if (kr_get(out, kr_text(p->key)).kind != KR_NONE ||
            !(defaulted || s->all || is_required(schema, p->key)))
            continue;
        out = kr_with_key(
            s->a, out, kr_text(p->key),
            sample_value(s, p->val,
                         kr_fmt(s->a, KR_FMT ".%.*s", KR_ARG(path), KR_ARG(kr_text(p->key))),
                         depth + 1));
    }
    return out;
}

static kr_val sample_value(struct sample *s, kr_val schema, kr_str path, uint32_t depth)
{
    kr_str type = kr_at_str(schema, "type");
    kr_val given = kr_get(schema, KR_S("default")), choices = kr_get(schema, KR_S("enum"));

    if (depth == DEPTH_MAX)
        return KR_V_NULL;
    if (kr_str_is(type, "object"))
        return sample_object(s, schema, given, path, depth);
    if (given.kind != KR_NONE)
        return given;
    if (choices.kind == KR_LIST && choices.n)
        return kr_item(choices, 0);
    if (kr_is_true(kr_get(schema, KR_S("x-kubernetes-int-or-string"))))
        return kr_int(0);
    if (kr_str_is(type, "string"))
        return sample_text(s, schema, path);
    if (kr_str_is(type, "integer") || kr_str_is(type, "number"))
        return sample_number(schema);
    if (kr_str_is(type, "boolean"))
        return kr_bool(false);
    if (kr_str_is(type, "array"))
        return sample_list(s, schema, path, depth);
    return kr_map_sorted(NULL, 0); /* of any kind */
}

/* "webapp-sample" */
static kr_str sample_name(struct kr_arena *a, const struct graph_rev *rev)
{
    return kr_fmt(a, KR_FMT "-sample", KR_ARG(kr_at_str(rev->crd, "spec.names.singular")));
}

kr_val cli_sample_of(struct kr_arena *a, const struct graph_rev *rev, bool all, kr_str *gaps)
{
    kr_val version = kr_item(kr_at(rev->crd, "spec.versions"), 0);
    kr_val spec = kr_at(version, "schema.openAPIV3Schema.properties.spec");
    struct sample s = {.a = a, .all = all, .gaps = KR_BUF_IN(a, 64 * 1024)};
    struct kr_mapb meta = KR_MAPB(a), root = KR_MAPB(a);
    kr_gvk gvk = rev->instance_gvk;

    kr_mapb_put(&meta, KR_S("name"), kr_string(sample_name(a, rev)));
    if (rev->namespaced)
        kr_mapb_put(&meta, KR_S("namespace"), KR_V_STR("default"));
    kr_mapb_put(&root, KR_S("apiVersion"),
                kr_string(kr_api_version_text(a, gvk.group, gvk.version)));
    kr_mapb_put(&root, KR_S("kind"), kr_string(gvk.kind));
    kr_mapb_put(&root, KR_S("metadata"), kr_mapb_done(&meta));
    kr_mapb_put(&root, KR_S("spec"), sample_value(&s, spec, KR_S("spec"), 0));
    *gaps = s.gaps.n ? kr_buf_view(&s.gaps) : KR_S("");
    return kr_mapb_done(&root);
}
