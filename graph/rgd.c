/* SPDX-License-Identifier: Apache-2.0 */
/* rgd.c - reads a ResourceGraphDefinition's spec into a struct, checking JSON types only.
 *
 * The API server has checked the document against the definition's CRD, a file has not: so each
 * member is taken by its type; a wrong one is an error with its path, and then as if it were absent. Defaults of the CRD
 * (group, scope) are filled in here too. Nothing is copied: strings borrow from the spec.
 *
 * Source: kro:api/v1alpha1/resourcegraphdefinition_types.go; reference rgd-graph 1.2, 4.1.
 */
#include "graph/internal.h"

#include "cel/base/banned.h"

static const char *json_type(uint8_t kind)
{
    switch (kind) {
    case KR_NONE:
    case KR_NULL:
        return "null";
    case KR_BOOL:
        return "boolean";
    case KR_STRING:
        return "string";
    case KR_LIST:
        return "array";
    case KR_MAP:
        return "object";
    default:
        return "number";
    }
}

/* v, which stands at path, is not of that kind. */
static void wrong(struct graph_diags *d, kr_str path, enum kr_kind kind, kr_val v)
{
    struct graph_diag *x =
        graph__diag(d, GRAPH_R_INVALID_FIELD, path, KR_FMT ": must be of type %s, got %s",
                    KR_ARG(path), json_type((uint8_t)kind), json_type(v.kind));

    graph__diag_text(d, x, "must be of type %s, got %s", json_type((uint8_t)kind),
                     json_type(v.kind));
    x->expected = kr_str_c(json_type((uint8_t)kind));
}

/* Member `name` of `of`, which must be of that kind; KR_NONE when it is absent, null, or wrong
 * (false). */
static bool take(struct graph_diags *d, kr_val of, const char *name, enum kr_kind kind, kr_str path,
                 kr_val *out)
{
    kr_val v = kr_get(of, kr_str_c(name));

    *out = KR_V_NONE;
    if (v.kind == KR_NONE || v.kind == KR_NULL)
        return true;
    if (v.kind != kind) {
        wrong(d, kr_fmt(d->a, KR_FMT ".%s", KR_ARG(path), name), kind, v);
        return false;
    }
    *out = v;
    return true;
}

static bool take_str(struct graph_diags *d, kr_val of, const char *name, kr_str path, kr_str *out)
{
    kr_val v;
    bool ok = take(d, of, name, KR_STRING, path, &v);

    *out = kr_text(v);
    return ok;
}

/* A list of strings; KR_NONE when one of them is wrong. */
static void take_texts(struct graph_diags *d, kr_val of, const char *name, kr_str path, kr_val *out)
{
    bool fit = take(d, of, name, KR_LIST, path, out) && out->n > 0;

    for (uint32_t i = 0; i < out->n; i++) {
        if (out->list[i].kind == KR_STRING)
            continue;
        wrong(d, kr_fmt(d->a, KR_FMT ".%s[%u]", KR_ARG(path), name, i), KR_STRING, out->list[i]);
        fit = false;
    }
    if (!fit)
        *out = KR_V_NONE;
}

/* A map of strings; KR_NONE when one of them is wrong. */
static void take_pairs(struct graph_diags *d, kr_val of, const char *name, kr_str path, kr_val *out)
{
    bool fit = take(d, of, name, KR_MAP, path, out) && out->n > 0;

    path = kr_fmt(d->a, KR_FMT ".%s", KR_ARG(path), name);
    KR_MAP_EACH (it, *out) {
        if (it->val.kind == KR_STRING)
            continue;
        wrong(d, graph__path_join(d->a, path, kr_text(it->key)), KR_STRING, it->val);
        fit = false;
    }
    if (!fit)
        *out = KR_V_NONE;
}

static void read_dims(struct graph_diags *d, kr_val list, kr_str path, struct graph_resource *r)
{
    struct graph_dim *dims = kr_new_n(d->a, struct graph_dim, list.n);

    r->dims = dims;
    for (uint32_t i = 0; i < list.n; i++) {
        kr_val entry = list.list[i];
        struct graph_diag *x;

        if (entry.kind == KR_MAP && entry.n == 1 && entry.map[0].val.kind == KR_STRING) {
            dims[r->dims_n++] =
                (struct graph_dim){kr_text(entry.map[0].key), kr_text(entry.map[0].val)};
            continue;
        }
        x = graph__diag(d, GRAPH_R_INVALID_FIELD,
                        kr_fmt(d->a, KR_FMT ".forEach[%u]", KR_ARG(path), i),
                        KR_FMT ".forEach[%u]: must be an object with one member of type string",
                        KR_ARG(path), i);
        graph__diag_text(d, x, "must be an object with one member of type string");
        x->expected = KR_S("iteratorName: ${list}");
        r->broken_dims = true;
    }
}

/* The externalRef as the object that kro makes of it: expressions are found in it like in a
 * template. */
static kr_val external_object(struct graph_diags *d, kr_val ref, kr_str path, bool *selects)
{
    static const char *const kept[] = {"name", "namespace", "selector"};
    struct kr_mapb meta = KR_MAPB(d->a), object = KR_MAPB(d->a);
    kr_str meta_path = kr_fmt(d->a, KR_FMT ".metadata", KR_ARG(path)), text;
    kr_val metadata, v;

    take(d, ref, "metadata", KR_MAP, path, &metadata);
    for (size_t i = 0; i < KR_N(kept); i++) {
        take(d, metadata, kept[i], i == 2 ? KR_MAP : KR_STRING, meta_path, &v);
        if (v.kind == KR_MAP || v.n > 0)
            kr_mapb_put(&meta, kr_str_c(kept[i]), v);
        *selects = i == 2 && v.kind == KR_MAP;
    }
    take_str(d, ref, "apiVersion", path, &text);
    kr_mapb_put(&object, KR_S("apiVersion"), kr_string(text));
    take_str(d, ref, "kind", path, &text);
    kr_mapb_put(&object, KR_S("kind"), kr_string(text));
    kr_mapb_put(&object, KR_S("metadata"), kr_mapb_done(&meta));
    return kr_mapb_done(&object);
}

static void read_resource(struct graph_diags *d, kr_val v, uint32_t index, struct graph_resource *r)
{
    kr_str path = kr_fmt(d->a, "spec.resources[%u]", index);
    uint32_t before = d->errors_n;
    kr_val dims;
    bool selects = false;

    r->index = index;
    if (v.kind != KR_MAP) {
        wrong(d, path, KR_MAP, v);
        r->broken = true;
        return;
    }
    take_str(d, v, "id", path, &r->id);
    take(d, v, "template", KR_MAP, path, &r->template);
    take(d, v, "externalRef", KR_MAP, path, &r->external);
    r->object = r->template;
    if (r->external.kind != KR_NONE && r->template.kind == KR_NONE)
        r->object = external_object(d, r->external,
                                    kr_fmt(d->a, KR_FMT ".externalRef", KR_ARG(path)), &selects);
    r->broken = d->errors_n != before;
    take_texts(d, v, "includeWhen", path, &r->include);
    take_texts(d, v, "readyWhen", path, &r->ready);
    take(d, v, "forEach", KR_LIST, path, &dims);
    read_dims(d, dims, path, r);
    r->kind = r->dims_n ? GRAPH_COLLECTION : GRAPH_RESOURCE;
    if (r->external.kind != KR_NONE)
        r->kind = selects ? GRAPH_EXTERNAL_COLLECTION : GRAPH_EXTERNAL;
}

/* status.conditions is a list of expressions of its own; what is left is the projections. */
static void read_status(struct graph_diags *d, kr_val schema, struct graph_rgd *out)
{
    take(d, schema, "status", KR_MAP, KR_S("spec.schema"), &out->status);
    out->conditions = kr_get(out->status, KR_S("conditions"));
    if (out->conditions.kind != KR_NONE)
        out->status = kr_with_key(d->a, out->status, KR_S("conditions"), KR_V_NONE);
}

static void read_scope(struct graph_diags *d, kr_val schema, struct graph_rgd *out)
{
    kr_str scope;
    struct graph_diag *x;

    take_str(d, schema, "scope", KR_S("spec.schema"), &scope);
    out->cluster = kr_str_is(scope, "Cluster");
    if (scope.n == 0 || out->cluster || kr_str_is(scope, "Namespaced"))
        return;
    x = graph__diag(d, GRAPH_R_INVALID_FIELD, KR_S("spec.schema.scope"),
                    "spec.schema.scope: Unsupported value: \"" KR_FMT
                    "\": supported values: \"Namespaced\", \"Cluster\"",
                    KR_ARG(scope));
    graph__diag_text(d, x, "unsupported value \"" KR_FMT "\"", KR_ARG(scope));
    x->expected = KR_S("Namespaced or Cluster");
    graph__diag_at(x, scope, 0);
}

static void read_schema(struct graph_diags *d, kr_val schema, struct graph_rgd *out)
{
    kr_str path = KR_S("spec.schema");
    kr_val metadata;

    out->broken_kind = !take_str(d, schema, "kind", path, &out->kind);
    out->broken_version = !take_str(d, schema, "apiVersion", path, &out->version);
    take_str(d, schema, "group", path, &out->group);
    if (kr_get(schema, KR_S("group")).kind != KR_STRING)
        out->group = KR_S(GRAPH_GROUP);
    read_scope(d, schema, out);
    out->broken_spec = !take(d, schema, "spec", KR_MAP, path, &out->spec);
    out->broken_spec = !take(d, schema, "types", KR_MAP, path, &out->types) || out->broken_spec;
    take(d, schema, "additionalPrinterColumns", KR_LIST, path, &out->columns);
    take_texts(d, schema, "shortNames", path, &out->short_names);
    take_texts(d, schema, "categories", path, &out->categories);
    take(d, schema, "metadata", KR_MAP, path, &metadata);
    path = KR_S("spec.schema.metadata");
    take_pairs(d, metadata, "labels", path, &out->labels);
    take_pairs(d, metadata, "annotations", path, &out->annotations);
    read_status(d, schema, out);
}

void graph__rgd_read(kr_val spec, struct graph_rgd *out, struct graph_diags *d)
{
    struct graph_resource *resources;
    kr_val schema, list;
    bool readable;

    *out = (struct graph_rgd){.group = KR_S(GRAPH_GROUP)};
    readable = spec.kind == KR_MAP || spec.kind == KR_NONE || spec.kind == KR_NULL;
    if (!readable)
        wrong(d, KR_S("spec"), KR_MAP, spec);
    readable = take(d, spec, "schema", KR_MAP, KR_S("spec"), &schema) && readable;
    take(d, spec, "resources", KR_LIST, KR_S("spec"), &list);
    read_schema(d, schema, out);
    if (!readable)
        out->broken_kind = out->broken_version = out->broken_spec = true;
    if (list.n > GRAPH_NODES_MAX) {
        graph__diag(d, GRAPH_R_LIMIT, KR_S("spec.resources"),
                    "spec.resources: %u resources are more than the limit of %d", list.n,
                    GRAPH_NODES_MAX);
        return;
    }
    resources = kr_new_n(d->a, struct graph_resource, list.n);
    for (uint32_t i = 0; i < list.n; i++)
        read_resource(d, list.list[i], i, &resources[i]);
    out->resources = resources;
    out->resources_n = list.n;
}

bool graph__gvk_of(kr_val object, kr_gvk *out)
{
    kr_val version = kr_get(object, KR_S("apiVersion")), kind = kr_get(object, KR_S("kind"));

    if (version.kind != KR_STRING || kind.kind != KR_STRING || kind.n == 0)
        return false;
    out->kind = kr_text(kind);
    return kr_api_version(kr_text(version), &out->group, &out->version);
}

/* Every kind of the resources; not readable ones are left out. */
void graph_kinds_of(kr_val spec, struct kr_arena *a, const kr_gvk **gvks, uint32_t *n)
{
    kr_val resources = kr_get(spec, KR_S("resources"));
    uint32_t len = resources.kind == KR_LIST ? resources.n : 0;
    kr_gvk *out;

    if (len > GRAPH_NODES_MAX)
        len = 0; /* graph_build refuses it */
    out = kr_new_n(a, kr_gvk, len);
    *n = 0;
    for (uint32_t i = 0; i < len; i++) {
        kr_val object = kr_get(resources.list[i], KR_S("template"));
        kr_gvk gvk;
        uint32_t k = 0;

        if (object.kind != KR_MAP)
            object = kr_get(resources.list[i], KR_S("externalRef"));
        if (!graph__gvk_of(object, &gvk))
            continue;
        while (k < *n && !kr_gvk_eq(out[k], gvk))
            k++;
        if (k == *n)
            out[(*n)++] = kr_gvk_copy(a, gvk);
    }
    *gvks = out;
}
