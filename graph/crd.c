/* SPDX-License-Identifier: Apache-2.0 */
/* crd.c - the CustomResourceDefinition of a definition.
 *
 * One version, status as subresource; the author's printer columns replace the default ones as a
 * whole. `status.state` and `status.conditions` are added where the author has no field of that
 * name. kro's four labels are put on by the definition machine, which knows the version.
 *
 * Source: kro:pkg/graph/crd; reference rgd-graph 3.1.
 */
#include "graph/internal.h"

#include "cel/base/banned.h"

static kr_val typed(struct kr_arena *a, const char *type)
{
    struct kr_mapb b = KR_MAPB(a);

    kr_mapb_put(&b, KR_S("type"), kr_string(kr_str_c(type)));
    return kr_mapb_done(&b);
}

static kr_val object_of(struct kr_arena *a, kr_val properties)
{
    struct kr_mapb b = KR_MAPB(a);

    kr_mapb_put(&b, KR_S("type"), KR_V_STR("object"));
    kr_mapb_put(&b, KR_S("properties"), properties);
    return kr_mapb_done(&b);
}

static kr_val conditions_schema(struct kr_arena *a)
{
    static const struct {
        const char *name, *type;
    } fields[] = {{"lastTransitionTime", "string"},
                  {"message", "string"},
                  {"observedGeneration", "integer"},
                  {"reason", "string"},
                  {"status", "string"},
                  {"type", "string"}};
    struct kr_mapb props = KR_MAPB(a), list = KR_MAPB(a);

    for (size_t i = 0; i < KR_N(fields); i++)
        kr_mapb_put(&props, kr_str_c(fields[i].name), typed(a, fields[i].type));
    kr_mapb_put(&list, KR_S("type"), KR_V_STR("array"));
    kr_mapb_put(&list, KR_S("items"), object_of(a, kr_mapb_done(&props)));
    return kr_mapb_done(&list);
}

static kr_val status_of(struct kr_arena *a, kr_val inferred)
{
    kr_val props = kr_get(inferred, KR_S("properties"));

    if (props.kind != KR_MAP)
        props = kr_map_sorted(NULL, 0);
    if (kr_get(props, KR_S("state")).kind == KR_NONE)
        props = kr_with_key(a, props, KR_S("state"), typed(a, "string"));
    if (kr_get(props, KR_S("conditions")).kind == KR_NONE)
        props = kr_with_key(a, props, KR_S("conditions"), conditions_schema(a));
    return object_of(a, props);
}

static kr_val root_schema(struct kr_arena *a, kr_val spec_schema, kr_val status_schema)
{
    struct kr_mapb props = KR_MAPB(a), version = KR_MAPB(a);

    kr_mapb_put(&props, KR_S("apiVersion"), typed(a, "string"));
    kr_mapb_put(&props, KR_S("kind"), typed(a, "string"));
    kr_mapb_put(&props, KR_S("metadata"), typed(a, "object"));
    kr_mapb_put(&props, KR_S("spec"), spec_schema);
    kr_mapb_put(&props, KR_S("status"), status_of(a, status_schema));
    kr_mapb_put(&version, KR_S("openAPIV3Schema"), object_of(a, kr_mapb_done(&props)));
    return kr_mapb_done(&version);
}

/* --- printer columns -------------------------------------------------------------------------- */

static kr_val column(struct kr_arena *a, const char *name, const char *type, const char *path,
                     const char *description)
{
    struct kr_mapb b = KR_MAPB(a);

    kr_mapb_put(&b, KR_S("name"), kr_string(kr_str_c(name)));
    kr_mapb_put(&b, KR_S("type"), kr_string(kr_str_c(type)));
    kr_mapb_put(&b, KR_S("jsonPath"), kr_string(kr_str_c(path)));
    kr_mapb_put(&b, KR_S("description"), kr_string(kr_str_c(description)));
    return kr_mapb_done(&b);
}

/* A column with the members that the type has, empty optional ones left out. */
static kr_val column_copy(struct kr_arena *a, kr_val v)
{
    static const char *const texts[] = {"description", "format", "jsonPath", "name", "type"};
    kr_val priority = kr_get(v, KR_S("priority"));
    struct kr_mapb b = KR_MAPB(a);

    for (size_t i = 0; i < KR_N(texts); i++) {
        kr_val text = kr_get(v, kr_str_c(texts[i]));

        if (text.kind == KR_STRING && (text.n || i >= 2))
            kr_mapb_put(&b, kr_str_c(texts[i]), text);
    }
    if (priority.kind == KR_INT && priority.i != 0)
        kr_mapb_put(&b, KR_S("priority"), priority);
    return kr_mapb_done(&b);
}

static kr_val columns_of(struct kr_arena *a, kr_val authors)
{
    struct kr_listb b = KR_LISTB(a);

    KR_LIST_EACH (it, authors)
        kr_listb_add(&b, column_copy(a, *it));
    if (b.n)
        return kr_listb_done(&b);
    kr_listb_add(&b, column(a, "State", "string", ".status.state",
                            "The state of a ResourceGraphDefinition instance"));
    kr_listb_add(&b, column(a, "Ready", "string", ".status.conditions[?(@.type==\"Ready\")].status",
                            "Whether a ResourceGraphDefinition instance is ready"));
    kr_listb_add(&b,
                 column(a, "Age", "date", ".metadata.creationTimestamp", "Age of the resource"));
    return kr_listb_done(&b);
}

/* --- the object ------------------------------------------------------------------------------- */

static kr_str lower(struct kr_arena *a, kr_str s)
{
    char *out = kr_arena_bytes(a, s.n + 1);

    for (size_t i = 0; i < s.n; i++)
        out[i] = s.s[i] >= 'A' && s.s[i] <= 'Z' ? (char)(s.s[i] - 'A' + 'a') : s.s[i];
    out[s.n] = 0;
    return (kr_str){out, s.n};
}

static kr_val names_of(struct kr_arena *a, const struct graph_rgd *rgd, kr_str plural)
{
    struct kr_mapb b = KR_MAPB(a);

    kr_mapb_put(&b, KR_S("kind"), kr_string(rgd->kind));
    kr_mapb_put(&b, KR_S("listKind"), kr_string(kr_fmt(a, KR_FMT "List", KR_ARG(rgd->kind))));
    kr_mapb_put(&b, KR_S("plural"), kr_string(plural));
    kr_mapb_put(&b, KR_S("singular"), kr_string(lower(a, rgd->kind)));
    if (rgd->short_names.kind == KR_LIST)
        kr_mapb_put(&b, KR_S("shortNames"), rgd->short_names);
    if (rgd->categories.kind == KR_LIST)
        kr_mapb_put(&b, KR_S("categories"), rgd->categories);
    return kr_mapb_done(&b);
}

static kr_val version_of(struct kr_arena *a, const struct graph_rgd *rgd, kr_val spec_schema,
                         kr_val status_schema)
{
    struct kr_mapb b = KR_MAPB(a);

    kr_mapb_put(&b, KR_S("name"), kr_string(rgd->version));
    kr_mapb_put(&b, KR_S("served"), kr_bool(true));
    kr_mapb_put(&b, KR_S("storage"), kr_bool(true));
    kr_mapb_put(&b, KR_S("schema"), root_schema(a, spec_schema, status_schema));
    kr_mapb_put(&b, KR_S("subresources"),
                kr_with_key(a, kr_map_sorted(NULL, 0), KR_S("status"), kr_map_sorted(NULL, 0)));
    kr_mapb_put(&b, KR_S("additionalPrinterColumns"), columns_of(a, rgd->columns));
    return kr_mapb_done(&b);
}

kr_val graph__crd(struct kr_arena *a, const struct graph_rgd *rgd, kr_val spec_schema,
                  kr_val status_schema)
{
    kr_str plural = graph_plural(a, lower(a, rgd->kind));
    struct kr_mapb crd = KR_MAPB(a), meta = KR_MAPB(a), spec = KR_MAPB(a);
    kr_val *version = kr_new(a, kr_val);

    kr_mapb_put(&meta, KR_S("name"),
                kr_string(kr_fmt(a, KR_FMT "." KR_FMT, KR_ARG(plural), KR_ARG(rgd->group))));
    if (rgd->labels.kind == KR_MAP)
        kr_mapb_put(&meta, KR_S("labels"), rgd->labels);
    if (rgd->annotations.kind == KR_MAP)
        kr_mapb_put(&meta, KR_S("annotations"), rgd->annotations);
    *version = version_of(a, rgd, spec_schema, status_schema);
    kr_mapb_put(&spec, KR_S("group"), kr_string(rgd->group));
    kr_mapb_put(&spec, KR_S("scope"),
                kr_string(rgd->cluster ? KR_S("Cluster") : KR_S("Namespaced")));
    kr_mapb_put(&spec, KR_S("names"), names_of(a, rgd, plural));
    kr_mapb_put(&spec, KR_S("versions"), kr_list(version, 1));
    kr_mapb_put(&crd, KR_S("apiVersion"), KR_V_STR("apiextensions.k8s.io/v1"));
    kr_mapb_put(&crd, KR_S("kind"), KR_V_STR("CustomResourceDefinition"));
    kr_mapb_put(&crd, KR_S("metadata"), kr_mapb_done(&meta));
    kr_mapb_put(&crd, KR_S("spec"), kr_mapb_done(&spec));
    return kr_mapb_done(&crd);
}
