/* SPDX-License-Identifier: Apache-2.0 */
/* rgd_fuzz.c - whole definitions against a small set of kinds: compile, hash, compare. */
#include "graph/internal.h"

#include "cel/base/json.h"
#include "cel/base/yaml.h"

#include "cel/base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define META                                                                                       \
    "apiVersion: {type: string}, kind: {type: string}, metadata: {type: object, properties: {\n"   \
    "  name: {type: string}, namespace: {type: string}, resourceVersion: {type: string},\n"        \
    "  labels: {type: object, additionalProperties: {type: string}},\n"                            \
    "  annotations: {type: object, additionalProperties: {type: string}}}}"

static void add(struct cel_kinds *kinds, struct kr_arena *a, const char *group, const char *kind,
                bool namespaced, const char *schema)
{
    kr_val docs;

    KR_ASSERT(kr_yaml_parse(a, kr_str_c(schema), &docs, NULL) == 0);
    KR_ASSERT(cel_kinds_add_schema(kinds, (kr_gvk){kr_str_c(group), KR_S("v1"), kr_str_c(kind)},
                                   KR_S("things"), namespaced, kr_item(docs, 0), NULL) == 0);
}

static const struct cel_kinds *kinds_all(void)
{
    static struct cel_kinds *kinds;
    KR_AUTO(kr_arena) a = {0};

    if (kinds)
        return kinds;
    kinds = cel_kinds_new();
    add(kinds, &a, "", "ConfigMap", true,
        "{type: object, properties: {" META
        ", data: {type: object, additionalProperties: {type: string}}}}");
    add(kinds, &a, "", "Namespace", false, "{type: object, properties: {" META "}}");
    add(kinds, &a, "apps", "Deployment", true,
        "{type: object, properties: {" META
        ", spec: {type: object, properties: {replicas: {type: integer},\n"
        "ports: {type: array, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [port, "
        "protocol], items:\n"
        "{type: object, properties: {port: {x-kubernetes-int-or-string: true}, protocol: {type: "
        "string, default: TCP}}}},\n"
        "any: {type: object, x-kubernetes-preserve-unknown-fields: true}}},\n"
        "status: {type: object, properties: {ready: {type: boolean}, at: {type: string, format: "
        "date-time}}}}}");
    return kinds;
}

static void build(struct kr_arena *a, kr_val rgd, bool defer)
{
    struct graph_diags d = {.a = a};
    struct graph_source src = {.name = KR_S("fuzz"),
                               .uid = KR_S("u"),
                               .spec = kr_get(rgd, KR_S("spec")),
                               .omit = true,
                               .defer = defer,
                               .diags = &d};
    struct kr_err err = KR_ERR_NONE;
    struct graph_changes changes;
    struct graph_rev *rev = NULL;
    const kr_gvk *needs;
    uint32_t n;
    int rc = graph_build(&src, kinds_all(), a, &rev, &needs, &n, &err);

    if (rc == GRAPH_NEEDS) {
        src.missing = needs;
        src.missing_n = n;
        d = (struct graph_diags){.a = a};
        rc = graph_build(&src, kinds_all(), a, &rev, &needs, &n, &err);
        KR_ASSERT(rc < 0 || (defer && d.n > 0)); /* it names a kind that does not exist */
    }
    KR_ASSERT(rc == 0 || (err.n > 0 && err.at[0]));
    KR_ASSERT((rc < 0) == (d.errors_n > 0));
    for (uint32_t i = 0; i < d.n; i++)
        KR_ASSERT(d.items[i].path.n > 0 && d.items[i].message.n > 0);
    if (rc == 0) {
        kr_val versions = kr_at(rev->crd, "spec.versions");

        KR_ASSERT(graph__crd_compare(a, versions, versions, &changes, &err) == 0 && changes.n == 0);
        graph_rev_drop(rev);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    KR_AUTO(kr_arena) a = {0};
    kr_val docs;

    if (size > 16 * 1024 || kr_yaml_parse(&a, (kr_str){(const char *)data, size}, &docs, NULL) < 0)
        return 0;
    KR_LIST_EACH (doc, docs) {
        build(&a, *doc, false);
        build(&a, *doc, true);
    }
    return 0;
}
