/* SPDX-License-Identifier: Apache-2.0 */
/* rgd.c - reads a ResourceGraphDefinition's spec into a struct, checking JSON types only.
 *
 * The API server has checked the document against the definition's CRD, a file has not: so each
 * member is taken by its type, and a wrong one is an error with its path. Defaults of the CRD
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

/* Member `name` of `of`, which must be of that kind; KR_NONE when it is absent or null. */
static int take(kr_val of, kr_str name, enum kr_kind kind, kr_str path, kr_val *out,
                struct kr_err *err)
{
    kr_val v = kr_get(of, name);

    *out = KR_V_NONE;
    if (v.kind == KR_NONE || v.kind == KR_NULL)
        return 0;
    if (v.kind != kind)
        return kr_fail(err, KR_E_INPUT, KR_FMT "." KR_FMT ": must be of type %s, got %s",
                       KR_ARG(path), KR_ARG(name), json_type((uint8_t)kind), json_type(v.kind));
    *out = v;
    return 0;
}

static int take_str(kr_val of, kr_str name, kr_str path, kr_str *out, struct kr_err *err)
{
    kr_val v;

    KR_TRY(take(of, name, KR_STRING, path, &v, err));
    *out = kr_text(v);
    return 0;
}

/* A list of strings. */
static int take_texts(kr_val of, kr_str name, kr_str path, kr_val *out, struct kr_err *err)
{
    KR_TRY(take(of, name, KR_LIST, path, out, err));
    for (uint32_t i = 0; i < out->n; i++) {
        if (out->list[i].kind != KR_STRING)
            return kr_fail(err, KR_E_INPUT,
                           KR_FMT "." KR_FMT "[%u]: must be of type string, got %s", KR_ARG(path),
                           KR_ARG(name), i, json_type(out->list[i].kind));
    }
    if (out->n == 0)
        *out = KR_V_NONE;
    return 0;
}

/* A map of strings. */
static int take_pairs(kr_val of, kr_str name, kr_str path, kr_val *out, struct kr_err *err)
{
    KR_TRY(take(of, name, KR_MAP, path, out, err));
    KR_MAP_EACH (it, *out) {
        if (it->val.kind != KR_STRING)
            return kr_fail(
                err, KR_E_INPUT, KR_FMT "." KR_FMT "." KR_FMT ": must be of type string, got %s",
                KR_ARG(path), KR_ARG(name), KR_ARG(kr_text(it->key)), json_type(it->val.kind));
    }
    if (out->n == 0)
        *out = KR_V_NONE;
    return 0;
}

static int read_dims(struct kr_arena *a, kr_val list, kr_str path, struct graph_resource *r,
                     struct kr_err *err)
{
    struct graph_dim *dims = kr_new_n(a, struct graph_dim, list.n);

    for (uint32_t i = 0; i < list.n; i++) {
        kr_val entry = list.list[i];

        if (entry.kind != KR_MAP || entry.n != 1 || entry.map[0].val.kind != KR_STRING)
            return kr_fail(err, KR_E_INPUT,
                           KR_FMT ".forEach[%u]: must be an object with one member of type string",
                           KR_ARG(path), i);
        dims[i] = (struct graph_dim){kr_text(entry.map[0].key), kr_text(entry.map[0].val)};
    }
    r->dims = dims;
    r->dims_n = list.n;
    return 0;
}

/* The externalRef as the object that kro makes of it: expressions are found in it like in a
 * template. */
static int external_object(struct kr_arena *a, kr_val ref, kr_str path, kr_val *out, bool *selects,
                           struct kr_err *err)
{
    static const char *const kept[] = {"name", "namespace", "selector"};
    struct kr_mapb meta = KR_MAPB(a), object = KR_MAPB(a);
    kr_str meta_path = kr_fmt(a, KR_FMT ".metadata", KR_ARG(path)), text;
    kr_val metadata, v;

    KR_TRY(take(ref, KR_S("metadata"), KR_MAP, path, &metadata, err));
    for (size_t i = 0; i < KR_N(kept); i++) {
        KR_TRY(take(metadata, kr_str_c(kept[i]), i == 2 ? KR_MAP : KR_STRING, meta_path, &v, err));
        if (v.kind == KR_MAP || v.n > 0)
            kr_mapb_put(&meta, kr_str_c(kept[i]), v);
        *selects = i == 2 && v.kind == KR_MAP;
    }
    KR_TRY(take_str(ref, KR_S("apiVersion"), path, &text, err));
    kr_mapb_put(&object, KR_S("apiVersion"), kr_string(text));
    KR_TRY(take_str(ref, KR_S("kind"), path, &text, err));
    kr_mapb_put(&object, KR_S("kind"), kr_string(text));
    kr_mapb_put(&object, KR_S("metadata"), kr_mapb_done(&meta));
    *out = kr_mapb_done(&object);
    return 0;
}

static int read_resource(struct kr_arena *a, kr_val v, uint32_t index, struct graph_resource *r,
                         struct kr_err *err)
{
    kr_str path = kr_fmt(a, "spec.resources[%u]", index);
    kr_val dims;
    bool selects = false;

    if (v.kind != KR_MAP)
        return kr_fail(err, KR_E_INPUT, KR_FMT ": must be of type object, got %s", KR_ARG(path),
                       json_type(v.kind));
    r->index = index;
    KR_TRY(take_str(v, KR_S("id"), path, &r->id, err));
    KR_TRY(take(v, KR_S("template"), KR_MAP, path, &r->template, err));
    KR_TRY(take(v, KR_S("externalRef"), KR_MAP, path, &r->external, err));
    KR_TRY(take_texts(v, KR_S("includeWhen"), path, &r->include, err));
    KR_TRY(take_texts(v, KR_S("readyWhen"), path, &r->ready, err));
    KR_TRY(take(v, KR_S("forEach"), KR_LIST, path, &dims, err));
    KR_TRY(read_dims(a, dims, path, r, err));
    r->object = r->template;
    r->kind = r->dims_n ? GRAPH_COLLECTION : GRAPH_RESOURCE;
    if (r->external.kind == KR_NONE)
        return 0;
    path = kr_fmt(a, KR_FMT ".externalRef", KR_ARG(path));
    if (r->template.kind == KR_NONE)
        KR_TRY(external_object(a, r->external, path, &r->object, &selects, err));
    r->kind = selects ? GRAPH_EXTERNAL_COLLECTION : GRAPH_EXTERNAL;
    return 0;
}

/* status.conditions is a list of expressions of its own; what is left is the projections. */
static int read_status(struct kr_arena *a, kr_val schema, struct graph_rgd *out, struct kr_err *err)
{
    KR_TRY(take(schema, KR_S("status"), KR_MAP, KR_S("spec.schema"), &out->status, err));
    out->conditions = kr_get(out->status, KR_S("conditions"));
    if (out->conditions.kind != KR_NONE)
        out->status = kr_with_key(a, out->status, KR_S("conditions"), KR_V_NONE);
    return 0;
}

static int read_schema(struct kr_arena *a, kr_val schema, struct graph_rgd *out, struct kr_err *err)
{
    kr_str path = KR_S("spec.schema"), scope;
    kr_val metadata;

    KR_TRY(take_str(schema, KR_S("kind"), path, &out->kind, err));
    KR_TRY(take_str(schema, KR_S("apiVersion"), path, &out->version, err));
    KR_TRY(take_str(schema, KR_S("group"), path, &out->group, err));
    KR_TRY(take_str(schema, KR_S("scope"), path, &scope, err));
    if (scope.n && !kr_str_is(scope, "Cluster") && !kr_str_is(scope, "Namespaced"))
        return kr_fail(err, KR_E_INPUT,
                       "spec.schema.scope: Unsupported value: \"" KR_FMT
                       "\": supported values: \"Namespaced\", \"Cluster\"",
                       KR_ARG(scope));
    if (kr_get(schema, KR_S("group")).kind != KR_STRING)
        out->group = KR_S(GRAPH_GROUP);
    out->cluster = kr_str_is(scope, "Cluster");
    KR_TRY(take(schema, KR_S("spec"), KR_MAP, path, &out->spec, err));
    KR_TRY(take(schema, KR_S("types"), KR_MAP, path, &out->types, err));
    KR_TRY(take(schema, KR_S("additionalPrinterColumns"), KR_LIST, path, &out->columns, err));
    KR_TRY(take_texts(schema, KR_S("shortNames"), path, &out->short_names, err));
    KR_TRY(take_texts(schema, KR_S("categories"), path, &out->categories, err));
    KR_TRY(take(schema, KR_S("metadata"), KR_MAP, path, &metadata, err));
    path = KR_S("spec.schema.metadata");
    KR_TRY(take_pairs(metadata, KR_S("labels"), path, &out->labels, err));
    KR_TRY(take_pairs(metadata, KR_S("annotations"), path, &out->annotations, err));
    return read_status(a, schema, out, err);
}

int graph__rgd_read(struct kr_arena *a, kr_val spec, struct graph_rgd *out, struct kr_err *err)
{
    struct graph_resource *resources;
    kr_val schema, list;

    *out = (struct graph_rgd){.group = KR_S(GRAPH_GROUP)};
    KR_TRY(take(spec, KR_S("schema"), KR_MAP, KR_S("spec"), &schema, err));
    KR_TRY(take(spec, KR_S("resources"), KR_LIST, KR_S("spec"), &list, err));
    KR_TRY(read_schema(a, schema, out, err));
    if (list.n > GRAPH_NODES_MAX)
        return kr_fail(err, KR_E_LIMIT,
                       "spec.resources: %u resources are more than the limit of %d", list.n,
                       GRAPH_NODES_MAX);
    resources = kr_new_n(a, struct graph_resource, list.n);
    for (uint32_t i = 0; i < list.n; i++)
        KR_TRY(read_resource(a, list.list[i], i, &resources[i], err));
    out->resources = resources;
    out->resources_n = list.n;
    return 0;
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
