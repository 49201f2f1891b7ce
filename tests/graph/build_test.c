/* SPDX-License-Identifier: Apache-2.0 */
/* build_test.c - whole definitions to revisions: the example, errors in kro's words, compatibility
 * vectors. */
#include "graph/internal.h"
#include "tests/graph/schemas.h"

#include <dirent.h>
#include <stdio.h>

/* --- a small cluster of our own --------------------------------------------------------------- */

#define META                                                                                       \
    "metadata: {type: object, properties: {name: {type: string}, namespace: {type: string},\n"     \
    "  resourceVersion: {type: string}, uid: {type: string}, generation: {type: integer},\n"       \
    "  creationTimestamp: {type: string, format: date-time},\n"                                    \
    "  labels: {type: object, additionalProperties: {type: string}},\n"                            \
    "  annotations: {type: object, additionalProperties: {type: string}}}}\n"

static void add_kind(struct kr_arena *a, struct cel_kinds *kinds, const char *group,
                     const char *kind, const char *resource, bool namespaced,
                     const char *properties)
{
    kr_val schema = test_yaml(a, kr_fmt(a,
                                        "type: object\nproperties:\n  apiVersion: {type: string}\n"
                                        "  kind: {type: string}\n  " META "%s",
                                        properties)
                                     .s);
    struct kr_err err = KR_ERR_NONE;
    kr_gvk gvk = {kr_str_c(group), KR_S("v1"), kr_str_c(kind)};

    EXPECT_OK(cel_kinds_add_schema(kinds, gvk, kr_str_c(resource), namespaced, schema, &err), &err);
}

static struct cel_kinds *cluster(struct kr_arena *a)
{
    struct cel_kinds *kinds = cel_kinds_new();

    add_kind(a, kinds, "", "ConfigMap", "configmaps", true,
             "  data: {type: object, additionalProperties: {type: string}}\n");
    add_kind(a, kinds, "", "Namespace", "namespaces", false, "");
    add_kind(a, kinds, "", "Service", "services", true,
             "  spec:\n    type: object\n    properties:\n"
             "      clusterIP: {type: string}\n"
             "      selector: {type: object, additionalProperties: {type: string}}\n"
             "      ports:\n        type: array\n"
             "        x-kubernetes-list-type: map\n        x-kubernetes-list-map-keys: [port, "
             "protocol]\n"
             "        items: {type: object, properties: {port: {type: integer},\n"
             "          targetPort: {x-kubernetes-int-or-string: true},\n"
             "          protocol: {type: string, default: TCP}}}\n");
    add_kind(
        a, kinds, "apps", "Deployment", "deployments", true,
        "  spec:\n    type: object\n    properties:\n"
        "      replicas: {type: integer}\n"
        "      selector: {type: object, properties: {matchLabels: {type: object,\n"
        "        additionalProperties: {type: string}}}}\n"
        "      template:\n        type: object\n        properties:\n"
        "          metadata: {type: object, properties: {\n"
        "            labels: {type: object, additionalProperties: {type: string}},\n"
        "            annotations: {type: object, additionalProperties: {type: string}}}}\n"
        "          spec: {type: object, properties: {containers: {type: array, items:\n"
        "            {type: object, properties: {name: {type: string}, image: {type: string}}}}}}\n"
        "  status: {type: object, properties: {availableReplicas: {type: integer},\n"
        "    conditions: {type: array, items: {type: object, properties: {type: {type: "
        "string}}}}}}\n");
    return kinds;
}

/* The error of a definition, or "ok"; lives in a. */
static const char *verdict(struct kr_arena *a, const char *yaml, struct graph_rev **out)
{
    struct cel_kinds *kinds = cluster(a);
    kr_val rgd = test_yaml(a, yaml);
    struct graph_source src = {
        .name = KR_S("test"), .uid = KR_S("u-1"), .spec = kr_at(rgd, "spec")};
    static const kr_gvk missing = {{NULL, 0}, {"v1", 2}, {"Missing", 7}};
    struct kr_err err = KR_ERR_NONE;
    struct graph_rev *rev = NULL;
    const kr_gvk *needs;
    uint32_t needs_n;
    int rc;

    src.missing = &missing;
    src.missing_n = 1;
    rc = graph_build(&src, kinds, a, &rev, &needs, &needs_n, &err);
    cel_kinds_free(kinds);
    if (rc == GRAPH_NEEDS)
        return kr_fmt(a, "needs " KR_FMT, KR_ARG(needs[0].kind)).s;
    if (out)
        *out = rev;
    else
        graph_rev_drop(rev);
    return rc < 0 ? kr_cstr(a, kr_err_str(&err)) : "ok";
}

/* --- the example ------------------------------------------------------------------------------ */

static const char webapp[] =
    "spec:\n"
    "  schema:\n"
    "    apiVersion: v1alpha1\n"
    "    kind: WebApp\n"
    "    spec: {image: 'string | default=\"nginx\"', replicas: 'integer | default=1', enabled: "
    "'boolean | default=true'}\n"
    "    status: {ip: '${service.spec.clusterIP}', at: 'v${settings.metadata.resourceVersion}'}\n"
    "  resources:\n"
    "  - id: service\n"
    "    template: {apiVersion: v1, kind: Service, metadata: {name: '${schema.metadata.name}'},\n"
    "      spec: {ports: [{port: 80}], selector: {app: '${deployment.metadata.name}'}}}\n"
    "  - id: deployment\n"
    "    includeWhen: ['${schema.spec.enabled}']\n"
    "    readyWhen: ['${deployment.status.availableReplicas == deployment.spec.replicas}']\n"
    "    template: {apiVersion: apps/v1, kind: Deployment, metadata: {name: "
    "'${schema.metadata.name}'},\n"
    "      spec: {replicas: '${schema.spec.replicas}', template: {metadata: {annotations: {\n"
    "        config-version: '${settings.metadata.resourceVersion}'}}, spec: {containers: [\n"
    "          {name: web, image: '${schema.spec.image}'}]}}}}\n"
    "  - id: settings\n"
    "    externalRef: {apiVersion: v1, kind: ConfigMap, metadata: {name: settings}}\n";

static const char *bits_text(struct kr_arena *a, const struct kr_bits *bits)
{
    kr_str out = KR_S("");

    kr_bits_each (i, bits)
        out = kr_fmt(a, KR_FMT "%s%u", KR_ARG(out), out.n ? "," : "", i);
    return kr_cstr(a, out);
}

static kr_str reads_text(struct kr_arena *a, kr_str out, const struct graph_read *reads,
                         const struct kr_bits *tasks, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        out = kr_fmt(a, KR_FMT "  ", KR_ARG(out));
        for (uint32_t k = 0; k < reads[i].n; k++)
            out =
                kr_fmt(a, KR_FMT "%s" KR_FMT, KR_ARG(out), k ? "." : "", KR_ARG(reads[i].names[k]));
        out = kr_fmt(a, KR_FMT " -> %s\n", KR_ARG(out), bits_text(a, &tasks[i]));
    }
    return out;
}

TEST(graph_build, the_example_has_ranks_orders_reads_and_readers)
{
    KR_AUTO(kr_arena) a = {0};
    struct graph_rev *rev = NULL;
    kr_str out = KR_S("");

    EXPECT_TEXT(verdict(&a, webapp, &rev), "ok");
    for (uint32_t r = 0; r < rev->nodes_n; r++) {
        const struct graph_node *n = &rev->nodes[r];

        out =
            kr_fmt(&a, KR_FMT "%u " KR_FMT " " KR_FMT " order %u index %u sites %u dependents %s\n",
                   KR_ARG(out), r, KR_ARG(n->id), KR_ARG(n->gvr.resource), n->order, n->index,
                   n->spec->sites_n, bits_text(&a, &n->spec->dependents));
        out = reads_text(&a, out, n->reads, n->spec->readers, n->reads_n);
    }
    out = kr_fmt(&a, KR_FMT "schema\n", KR_ARG(out));
    out = reads_text(&a, out, rev->parent_reads, rev->impl->parent_readers,
                     rev->impl->parent_schema_reads_n);
    EXPECT_TEXT(kr_cstr(&a, out), "0 settings configmaps order 1 index 2 sites 0 dependents 1\n"
                                  "  metadata.resourceVersion -> 2,6\n"
                                  "1 deployment deployments order 2 index 1 sites 4 dependents 2\n"
                                  "  metadata.name -> 4\n"
                                  "  status.availableReplicas -> 3\n"
                                  "  spec.replicas -> 3\n"
                                  "2 service services order 3 index 0 sites 2 dependents \n"
                                  "  spec.clusterIP -> 6\n"
                                  "schema\n"
                                  "  metadata.name -> 2,4\n"
                                  "  spec.replicas -> 2\n"
                                  "  spec.image -> 2\n"
                                  "  spec.enabled -> 2\n");
    assert_string_equal(kr_cstr(&a, rev->impl->kinds_all), "Deployment.apps,Service");
    EXPECT_TEXT(kr_cstr(&a, kr_json_str(&a, rev->order_status)),
                "[\"settings\",\"deployment\",\"service\"]");
    EXPECT_TEXT(kr_cstr(&a, kr_json_str(&a, rev->resources_status)),
                "[{\"dependencies\":[{\"id\":\"settings\"}],\"id\":\"deployment\"},"
                "{\"dependencies\":[{\"id\":\"deployment\"}],\"id\":\"service\"}]");
    assert_int_equal(rev->nodes[2].spec->key_defaults_n, 1);
    assert_true(kr_str_is(rev->nodes[2].spec->key_defaults[0].key, "protocol"));
    assert_true(kr_str_is(rev->instance_gvr.resource, "webapps"));
    assert_true(rev->namespaced);
    assert_int_equal(graph_rev_rank(rev, KR_S("service")), 2);
    assert_int_equal(graph_rev_rank(rev, KR_S("nobody")), -1);
    graph_rev_drop(rev);
}

TEST(graph_build, programs_of_a_revision_run_with_slots_by_rank)
{
    KR_AUTO(kr_arena) a = {0};
    struct graph_rev *rev = NULL;
    kr_val slots[4] = {{0}}, got;
    struct kr_err err = KR_ERR_NONE;
    const struct graph_node_spec *spec;
    struct cel_run run = {.slots = slots, .slots_n = 4, .a = &a};

    EXPECT_TEXT(verdict(&a, webapp, &rev), "ok");
    slots[0] = test_json(&a, "{\"metadata\":{\"resourceVersion\":\"17\"}}");
    slots[3] = test_json(
        &a, "{\"metadata\":{\"name\":\"shop\"},\"spec\":{\"replicas\":2,\"enabled\":true}}");
    spec = rev->nodes[1].spec;
    for (uint32_t i = 0; i < spec->sites_n; i++) {
        const struct graph_site *s = &spec->sites[i];
        kr_str path = graph__path_print(&a, s->path, s->path_n);

        if (kr_str_is(path, "spec.template.metadata.annotations.config-version")) {
            EXPECT_OK(cel_eval(s->prog, &run, &got, &err), &err);
            assert_true(kr_is_str(got, KR_S("17")));
            assert_true(kr_bits_has(s->nodes, 0) && !kr_bits_has(s->nodes, 3));
        }
        if (kr_str_is(path, "spec.replicas")) {
            EXPECT_OK(cel_eval(s->prog, &run, &got, &err), &err);
            assert_true(got.kind == KR_INT && got.i == 2);
            assert_true(kr_bits_has(s->nodes, 3));
        }
    }
    graph_rev_drop(rev);
}

TEST(graph_build, names_the_kinds_it_lacks)
{
    KR_AUTO(kr_arena) a = {0};

    EXPECT_TEXT(
        verdict(
            &a,
            "spec: {schema: {apiVersion: v1alpha1, kind: App}, resources: [{id: x, template: {\n"
            "apiVersion: v9, kind: Odd, metadata: {name: x}}}]}",
            NULL),
        "needs Odd");
}

/* --- errors ----------------------------------------------------------------------------------- */

#define APP "schema: {apiVersion: v1alpha1, kind: App, spec: {name: string, count: integer}"
#define CM "apiVersion: v1, kind: ConfigMap, metadata: {name: x}"
#define DEFINITION(schema, resources) "spec: {" schema "}, resources: [" resources "]}"

static const struct {
    const char *yaml, *want;
} errors[] = {
    {"spec: {}",
     "failed to validate resourcegraphdefinition: naming convention violation: kind '' is not a "
     "valid KRO kind name: must be UpperCamelCase"},
    {"spec: {schema: 1}",
     "failed to validate resourcegraphdefinition: spec.schema: must be of type object, "
     "got number"},
    {"spec: {schema: {kind: App, apiVersion: v1x}}",
     "spec.schema.apiVersion: Invalid value: \"v1x\": spec.schema.apiVersion in body should match "
     "'^v[0-9]+(alpha[0-9]+|beta[0-9]+)?$'"},
    {DEFINITION(APP, "{id: spec, template: {" CM "}}"),
     "failed to validate resourcegraphdefinition: naming convention violation: id spec is a "
     "reserved keyword "
     "in KRO"},
    {DEFINITION(APP, "{id: a, template: {" CM "}}, {id: a, template: {" CM "}}"),
     "failed to validate resourcegraphdefinition: naming convention violation: found duplicate "
     "resource IDs a"},
    {DEFINITION("schema: {apiVersion: v1, kind: App, spec: {a: nope}", ""),
     "failed to build resourcegraphdefinition \"test\": failed to build OpenAPI schema for "
     "instance: field a: "
     "unknown type: nope"},
    {DEFINITION(APP, "{id: a}"), "failed to build resource \"a\": invalid combination of resource "
                                 "fields: resource \"a\": exactly one of "
                                 "template or externalRef must be provided"},
    {DEFINITION(APP, "{id: a, template: {kind: X, metadata: {}}}"),
     "failed to build resource \"a\": resource a is not a valid Kubernetes object: apiVersion "
     "field not found"},
    {DEFINITION(APP, "{id: a, template: {apiVersion: v1, kind: Missing, metadata: {}}}"),
     "failed to build resource \"a\": failed to get schema for resource a: cannot resolve group "
     "version kind "
     "\"v1, Kind=Missing\": schema not found"},
    {DEFINITION(APP,
                "{id: a, template: {apiVersion: v1, kind: Namespace, metadata: {namespace: x}}}"),
     "failed to build resource \"a\": resource \"a\" is cluster-scoped and must not set "
     "metadata.namespace"},
    {DEFINITION(APP, "{id: a, template: {apiVersion: v1, kind: ConfigMap, metadata: {labels: "
                     "{kro.run/x: y}}}}"),
     "failed to build resource \"a\": invalid label for resource \"a\". labels with prefix "
     "\"kro.run/\" are "
     "reserved for internal use"},
    {DEFINITION(APP, "{id: a, template: {" CM ", dat: {}}}"),
     "failed to build resource \"a\": failed to extract CEL expressions from schema for resource "
     "a: error "
     "getting field schema for path .dat: schema not found for field dat"},
    {DEFINITION(APP, "{id: a, readyWhen: ['x'], template: {" CM "}}"),
     "failed to build resource \"a\": failed to parse readyWhen expressions: only standalone "
     "expressions are "
     "allowed"},
    {DEFINITION(APP, "{id: a, template: {" CM ", data: {k: '${nope.x}'}}}"),
     "failed to build dependency graph: failed to extract dependencies: references unknown "
     "identifiers: [nope]"},
    {DEFINITION(APP, "{id: a, template: {" CM ", data: {k: '${a.data.x}'}}}"),
     "failed to build dependency graph: self references are not allowed"},
    {DEFINITION(APP, "{id: a, template: {" CM ", data: {k: '${b.data.x}'}}}, {id: b, includeWhen: "
                     "['${a.data.x == \"\"}'], template: {" CM "}}"),
     "failed to build dependency graph: graph contains a cycle: a -> b -> a"},
    {DEFINITION(APP, "{id: a, template: {" CM ", data: {k: '${each.x}'}}}"),
     "failed to build dependency graph: node each does not exist"},
    {DEFINITION(APP, "{id: string, template: {" CM "}}"),
     "failed to create typed CEL environment: overlapping identifier for name 'string'"},
    {DEFINITION(APP, "{id: a, template: {" CM ", data: {k: '${schema.spec.nope}'}}}"),
     "failed to validate resource \"a\": failed to compile template expression "
     "\"schema.spec.nope\" at path "
     "\"data.k\": ERROR: <input>:1:12: undefined field 'nope'\n | schema.spec.nope\n | "
     "...........^"},
    {DEFINITION(APP, "{id: a, template: {" CM ", data: {k: '${schema.spec.count}'}}}"),
     "failed to validate resource \"a\": type mismatch in resource \"a\" at path \"data.k\": "
     "expression "
     "\"schema.spec.count\" returns type \"int\" but expected \"string\": type kind mismatch: got "
     "\"int\", expected "
     "\"string\""},
    {DEFINITION(APP, "{id: a, includeWhen: ['${schema.spec.count}'], template: {" CM "}}"),
     "failed to validate resource \"a\": includeWhen expression \"schema.spec.count\" in resource "
     "\"a\" must return "
     "bool or optional_type(bool), but returns \"int\""},
    {DEFINITION(APP, "{id: a, readyWhen: ['${schema.spec.count == 1}'], template: {" CM "}}"),
     "failed to validate resource \"a\": resource \"a\" readyWhen: references unknown identifiers: "
     "[schema]"},
    {DEFINITION(APP ", status: {s: x}", "{id: a, template: {" CM "}}"),
     "failed to build instance status schema: status fields without expressions are not supported: "
     "[s]"},
    {DEFINITION(APP ", status: {s: '${nope}'}", "{id: a, template: {" CM "}}"),
     "failed to build instance status schema: status field \"s\" expression \"nope\": references "
     "unknown "
     "identifiers: [nope]"},
    {DEFINITION(APP ", status: {s: '${1 + 1}'}", "{id: a, template: {" CM "}}"),
     "failed to create instance node: instance status field must refer to a resource or schema: "
     "status.s"},
    {DEFINITION(APP ", scope: Cluster", "{id: a, template: {" CM "}}"),
     "failed to build resource \"a\": resource \"a\" is namespaced and must set metadata.namespace "
     "when the "
     "instance CRD is cluster-scoped"},
    {DEFINITION(APP, "{id: a, externalRef: {apiVersion: v1, kind: ConfigMap, metadata: {name: x, "
                     "selector: {}}}}"),
     "spec.resources[0].externalRef.metadata: Invalid value: exactly one of name or selector must "
     "be provided"},
    {DEFINITION(APP, ""), "ok"},
};

TEST(graph_build, says_what_is_wrong_in_kros_words)
{
    for (size_t i = 0; i < KR_N(errors); i++) {
        KR_AUTO(kr_arena) a = {0};

        EXPECT_TEXT(verdict(&a, errors[i].yaml, NULL), errors[i].want);
    }
}

TEST(graph_build, with_one_namespace_refuses_what_lies_outside)
{
    static const struct {
        const char *resources, *want;
    } cases[] = {
        {"{id: a, template: {apiVersion: v1, kind: Namespace, metadata: {name: x}}}",
         "failed to build resource \"a\": resource \"a\" is of the cluster-scoped kind Namespace, "
         "which cannot be "
         "served with --namespace here"},
        {"{id: a, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: "
         "there}}}",
         "failed to build resource \"a\": resource \"a\" has metadata.namespace \"there\", which "
         "cannot be served "
         "with --namespace here"},
        {"{id: a, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: "
         "here}}}",
         "ok"},
    };

    for (size_t i = 0; i < KR_N(cases); i++) {
        KR_AUTO(kr_arena) a = {0};
        struct cel_kinds *kinds = cluster(&a);
        kr_val rgd =
            test_yaml(&a, kr_fmt(&a, "spec: {" APP "}, resources: [%s]}", cases[i].resources).s);
        struct graph_source src = {
            .name = KR_S("t"), .spec = kr_at(rgd, "spec"), .only_namespace = KR_S("here")};
        struct kr_err err = KR_ERR_NONE;
        struct graph_rev *rev = NULL;
        const kr_gvk *needs;
        uint32_t n;
        int rc = graph_build(&src, kinds, &a, &rev, &needs, &n, &err);

        EXPECT_TEXT(rc ? err.text : "ok", cases[i].want);
        graph_rev_drop(rev);
        cel_kinds_free(kinds);
    }
}

TEST(graph_build, the_shipped_example_compiles_against_kubernetes_types)
{
    KR_AUTO(kr_arena) a = {0};
    struct cel_kinds *kinds;
    struct graph_rev *rev = NULL;
    struct kr_err err = KR_ERR_NONE;
    kr_str text;
    bool tcp = false;

    if (!cases_present())
        skip();
    assert_true(test_file(&a, KROC_SOURCE "/examples/webapp/rgd.yaml", &text));
    kinds = cel_kinds_new();
    EXPECT_OK(cases_build(&a, test_yaml(&a, kr_cstr(&a, text)), kinds, false, 0, &rev, &err), &err);
    cel_kinds_free(kinds); /* what the revision needs of them, it has */
    EXPECT_TEXT(kr_cstr(&a, kr_json_str(&a, rev->order_status)),
                "[\"settings\",\"page\",\"deployment\",\"service\"]");
    for (uint32_t i = 0; i < rev->nodes[2].spec->key_defaults_n; i++)
        tcp = tcp || kr_is_str(rev->nodes[2].spec->key_defaults[i].value, KR_S("TCP"));
    assert_true(tcp);
    graph_rev_drop(rev);
}

/* --- compatibility vectors -------------------------------------------------------------------- */

static bool same_bytes(struct kr_arena *a, const char *what, kr_val got, kr_val want)
{
    kr_str g = kr_json_str(a, got), w = kr_json_str(a, want);

    if (kr_str_eq(g, w))
        return true;
    fprintf(stderr, "%s differs\n  got  " KR_FMT "\n  want " KR_FMT "\n", what, KR_ARG(g),
            KR_ARG(w));
    return false;
}

/* The vectors list names sorted, one by one. */
static kr_val sorted_names(struct kr_arena *a, const kr_str *names, uint32_t n)
{
    struct kr_mapb set = KR_MAPB(a);
    struct kr_listb out = KR_LISTB(a);
    kr_val map;

    for (uint32_t i = 0; i < n; i++)
        kr_mapb_put(&set, names[i], KR_V_NULL);
    map = kr_mapb_done(&set);
    KR_MAP_EACH (it, map)
        kr_listb_add(&out, it->key);
    return kr_listb_done(&out);
}

static kr_val deps_of(struct kr_arena *a, const struct graph_rev *rev, const struct graph_node *n)
{
    kr_str *ids = kr_new_n(a, kr_str, n->spec->deps_n);

    for (uint32_t i = 0; i < n->spec->deps_n; i++)
        ids[i] = rev->nodes[n->spec->deps[i]].id;
    return sorted_names(a, ids, n->spec->deps_n);
}

/* Each variable of the vector is one of our sites, and there are no others. */
static bool same_sites(kr_val variables, const struct graph_site *sites, uint32_t n,
                       const char *prefix)
{
    KR_AUTO(kr_arena) a = {0};
    uint32_t hits = 0;

    KR_LIST_EACH (v, variables) {
        for (uint32_t i = 0; i < n; i++) {
            kr_str path = kr_at_str(*v, "path");
            kr_val template = kr_at(*v, "template");
            bool text_fits = template.kind == KR_STRING
                                 ? kr_is_str(template, sites[i].text)
                                 : kr_is_str(kr_at(*v, "expr"), sites[i].text);

            path = kr_str_sub(path, strlen(prefix), path.n);
            hits +=
                kr_str_eq(path, graph__path_print(&a, sites[i].path, sites[i].path_n)) && text_fits;
        }
    }
    return hits == n && variables.n == n;
}

static bool same_node(struct kr_arena *a, kr_val graph, const struct graph_rev *rev,
                      const struct graph_node *n)
{
    kr_val want = kr_get(kr_at(graph, "resources"), n->id);
    static const char *const kinds[] = {"Resource", "Collection", "External", "ExternalCollection"};

    return kr_at(want, "index").i == n->index &&
           kr_is_str(kr_at(want, "gvr.resource"), n->gvr.resource) &&
           kr_is_str(kr_at(want, "type"), kr_str_c(kinds[n->kind])) &&
           kr_is_true(kr_at(want, "namespaced")) == n->namespaced &&
           kr_get(kr_at(graph, "apply_orders"), n->id).i == n->order &&
           kr_at(want, "ready_when").n == n->spec->ready_n &&
           kr_at(want, "include_when").n == n->spec->include_n &&
           same_bytes(a, "dependencies", deps_of(a, rev, n), kr_at(want, "dependencies")) &&
           same_sites(kr_at(want, "variables"), n->spec->sites, n->spec->sites_n, "");
}

static bool same_graph(struct kr_arena *a, kr_val want, const struct graph_rev *rev)
{
    bool same =
        same_bytes(a, "topological order", rev->order_status, kr_at(want, "topological_order"));

    for (uint32_t r = 0; r < rev->nodes_n; r++) {
        if (!same_node(a, want, rev, &rev->nodes[r])) {
            fprintf(stderr, "node " KR_FMT " differs\n", KR_ARG(rev->nodes[r].id));
            same = false;
        }
    }
    if (!same_sites(kr_at(want, "instance.variables"), rev->impl->status_sites,
                    rev->impl->status_sites_n, "status."))
        same = false;
    return same && rev->nodes_n == kr_at(want, "resources").n;
}

static uint32_t count(const char *what, bool ok, const char *name, uint32_t *passed,
                      uint32_t *failed)
{
    *(ok ? passed : failed) += 1;
    if (!ok)
        fprintf(stderr, "FAILED %s %s\n", what, name);
    return *passed;
}

static kr_val rgd_of(struct kr_arena *a, const char *name)
{
    kr_str text, path = kr_fmt(a, KROC_SHARED "/cases/rgds/%s/rgd.yaml", name);

    return test_file(a, path.s, &text) ? test_yaml(a, kr_cstr(a, text)) : KR_V_NONE;
}

/* Kinds that other cases generate, and the CRD files that this one names. */
static void add_generated(struct kr_arena *a, struct cel_kinds *kinds, const char *name)
{
    kr_val info = cases_json(a, kr_fmt(a, "rgds/%s/case.json", name).s);

    KR_LIST_EACH (it, kr_at(info, "gvks_needed")) {
        kr_str from = kr_at_str(*it, "from"), text;

        if (kr_str_starts(from, KR_S("crds/")) &&
            test_file(a, kr_fmt(a, KROC_SHARED "/cases/" KR_FMT, KR_ARG(from)).s, &text))
            cases_kinds_crd(kinds, test_yaml(a, kr_cstr(a, text)));
    }
    KR_LIST_EACH (it, kr_at(info, "depends_on_rgds")) {
        const char *other = kr_cstr(a, kr_text(*it));
        kr_val crd = cases_json(a, kr_fmt(a, "vectors/crd/%s.json", other).s);

        add_generated(a, kinds, other);
        if (crd.kind == KR_MAP)
            cases_kinds_crd(kinds, crd);
    }
}

static bool vector_passes(struct kr_arena *a, const char *name)
{
    struct cel_kinds *kinds = cel_kinds_new();
    struct graph_rev *rev = NULL;
    struct kr_err err = KR_ERR_NONE;
    bool ok = false;

    add_generated(a, kinds, name);
    if (cases_build(a, rgd_of(a, name), kinds, false, 0, &rev, &err) == 0)
        ok = same_bytes(a, "crd", rev->crd,
                        cases_json(a, kr_fmt(a, "vectors/crd/%s.json", name).s)) &&
             same_graph(a, cases_json(a, kr_fmt(a, "vectors/graph/%s.json", name).s), rev);
    else
        fprintf(stderr, "%s: %s\n", name, err.text);
    graph_rev_drop(rev);
    cel_kinds_free(kinds);
    return ok;
}

TEST(graph_build, crds_and_graphs_equal_the_vectors)
{
    uint32_t passed = 0, failed = 0;
    struct dirent *entry;
    DIR *dir;

    if (!cases_present())
        skip();
    dir = opendir(KROC_SHARED "/cases/vectors/crd");
    assert_non_null(dir);
    for (entry = readdir(dir); entry; entry = readdir(dir)) {
        KR_AUTO(kr_arena) a = {0};
        kr_str name = kr_str_c(entry->d_name);

        if (!kr_str_ends(name, KR_S(".json")))
            continue;
        name = kr_str_sub(name, 0, name.n - 5);
        count("vector", vector_passes(&a, kr_cstr(&a, name)), kr_cstr(&a, name), &passed, &failed);
    }
    closedir(dir);
    fprintf(stderr, "vectors/crd and vectors/graph: %u passed, %u failed\n", passed, failed);
    assert_true(passed >= 60);
}

/* Definitions that kro's builder refuses get one of the texts that it gives. 1, 0, or -1: not such
 * a one. */
static int refused_as_kro_does(struct kr_arena *a, const char *name)
{
    kr_val info = cases_json(a, kr_fmt(a, "rgds/%s/case.json", name).s),
           texts = kr_at(info, "errors");
    struct cel_kinds *kinds;
    struct graph_rev *rev = NULL;
    struct kr_err err = KR_ERR_NONE;
    int ok = 0;

    if (!kr_is_str(kr_at(info, "expect"), KR_S("invalid")) ||
        !kr_is_str(kr_at(info, "rejected_by"), KR_S("builder")))
        return -1;
    kinds = cel_kinds_new();
    add_generated(a, kinds, name);
    cases_build(a, rgd_of(a, name), kinds, false, 0, &rev, &err);
    KR_LIST_EACH (it, texts)
        ok = ok || kr_is_str(*it, kr_err_str(&err));
    if (!ok)
        fprintf(stderr, "%s: got %s\n", name, err.code ? err.text : "ok");
    graph_rev_drop(rev);
    cel_kinds_free(kinds);
    return ok;
}

TEST(graph_build, what_kro_refuses_is_refused_in_its_words)
{
    uint32_t passed = 0, failed = 0;
    struct dirent *entry;
    DIR *dir;

    if (!cases_present())
        skip();
    dir = opendir(KROC_SHARED "/cases/rgds");
    assert_non_null(dir);
    for (entry = readdir(dir); entry; entry = readdir(dir)) {
        KR_AUTO(kr_arena) a = {0};
        int rc = entry->d_name[0] == '.' ? -1 : refused_as_kro_does(&a, entry->d_name);

        if (rc >= 0)
            count("refusal", rc == 1, entry->d_name, &passed, &failed);
    }
    closedir(dir);
    fprintf(stderr, "rgds refused by the builder: %u passed, %u failed\n", passed, failed);
    assert_true(passed >= 17);
}

/* `expect`, `errors`, `crd` and `graph` of a line whose definition is `rgd`. */
static int line_passes(struct kr_arena *a, kr_val line, struct cel_kinds *kinds, bool omit,
                       uint32_t dims)
{
    struct graph_rev *rev = NULL;
    struct kr_err err = KR_ERR_NONE;
    kr_val crd = kr_at(line, "crd"), graph = kr_at(line, "graph"), texts = kr_at(line, "errors");
    bool valid = kr_is_str(kr_at(line, "expect"), KR_S("valid")), ok;
    int rc = cases_build(a, kr_at(line, "rgd"), kinds, omit, dims, &rev, &err);

    if (rc < 0) {
        ok = !valid && texts.n == 0;
        KR_LIST_EACH (it, texts)
            ok = ok || kr_is_str(*it, kr_err_str(&err));
        if (!ok)
            fprintf(stderr, "  got error: %s\n", err.text);
        return ok;
    }
    ok = valid && (crd.kind != KR_MAP || same_bytes(a, "crd", rev->crd, crd)) &&
         (graph.kind != KR_MAP || kr_at(graph, "instance").kind == KR_NONE ||
          same_graph(a, graph, rev));
    graph_rev_drop(rev);
    return ok;
}

static int synthetic_case(struct kr_arena *a, kr_val line)
{
    struct cel_kinds *kinds = cel_kinds_new();
    int rc = line_passes(a, line, kinds, false, 0);

    cel_kinds_free(kinds);
    return rc;
}

/* Kinds of the fake cluster that a table was written against. */
static int fake_case(struct kr_arena *a, kr_val line)
{
    static struct kr_arena keep;
    static kr_val fakes;
    struct cel_kinds *kinds = cel_kinds_new();
    struct kr_err err = KR_ERR_NONE;
    bool fake = kr_is_str(kr_at(line, "schemas"), KR_S("fake"));
    int rc;

    if (fakes.kind == KR_NONE)
        fakes = kr_at(cases_json(&keep, "validation/fake-schemas.json"), "schemas");
    KR_MAP_EACH (it, fakes) {
        kr_str kind = kr_text(it->key), version = kr_str_cut(&kind, '|');
        kr_gvk gvk = {.kind = kind};

        if (!fake)
            break;
        assert_true(kr_api_version(version, &gvk.group, &gvk.version));
        EXPECT_OK(cel_kinds_add_schema(kinds, gvk,
                                       kr_str_is(kind, "Pod") ? KR_S("pods") : KR_S("things"),
                                       !kr_str_is(kind, "CustomResourceDefinition"), it->val, &err),
                  &err);
    }
    rc = line_passes(a, line, kinds, true, 5);
    cel_kinds_free(kinds);
    return rc;
}

static bool has_gate(kr_val line)
{
    kr_val gates = kr_at(line, "feature_gates");

    KR_LIST_EACH (it, gates) {
        if (kr_is_str(*it, KR_S("CELOmitFunction")))
            return true;
    }
    return kr_is_true(kr_get(gates, KR_S("CELOmitFunction")));
}

/* Kinds that the case made before: CRDs as they are, definitions by the CRD they generate. */
static void add_earlier(struct kr_arena *a, struct cel_kinds *kinds, kr_val documents)
{
    KR_LIST_EACH (it, documents) {
        struct graph_rev *rev = NULL;
        struct kr_err err = KR_ERR_NONE;

        if (kr_is_str(kr_at(*it, "kind"), KR_S("CustomResourceDefinition"))) {
            cases_kinds_crd(kinds, *it);
        } else if (cases_build(a, *it, kinds, false, 0, &rev, &err) == 0) {
            cases_kinds_crd(kinds, rev->crd);
            graph_rev_drop(rev);
        }
    }
}

static kr_val integration_vector(struct kr_arena *a, kr_val name)
{
    static struct kr_arena keep;
    static kr_val lines;
    kr_str text, rest;

    if (lines.kind == KR_NONE) {
        struct kr_listb b = KR_LISTB(&keep);

        assert_true(test_file(&keep, KROC_SHARED "/cases/vectors/integration.jsonl", &text));
        for (rest = text; rest.s;) {
            kr_str line = kr_str_trim(kr_str_cut(&rest, '\n'));

            if (line.n)
                kr_listb_add(&b, test_json(&keep, kr_cstr(&keep, line)));
        }
        lines = kr_listb_done(&b);
    }
    KR_LIST_EACH (it, lines) {
        if (kr_equal(kr_at(*it, "name"), name))
            return *it;
    }
    (void)a;
    return KR_V_NONE;
}

static int integration_case(struct kr_arena *a, kr_val line)
{
    struct cel_kinds *kinds;
    kr_val vector;
    int rc;

    if (!kr_is_str(kr_at(line, "expect"), KR_S("valid")))
        return kr_at(line, "rgd.spec.schema").kind == KR_MAP ? -1 : 0; /* see the next test */
    kinds = cel_kinds_new();
    add_earlier(a, kinds, kr_at(line, "crds"));
    KR_LIST_EACH (it, kr_at(line, "gvks_needed")) {
        kr_str from = kr_at_str(*it, "from"), text;

        if (kr_str_starts(from, KR_S("crds/")) &&
            test_file(a, kr_fmt(a, KROC_SHARED "/cases/" KR_FMT, KR_ARG(from)).s, &text))
            cases_kinds_crd(kinds, test_yaml(a, kr_cstr(a, text)));
    }
    vector = integration_vector(a, kr_at(line, "name"));
    line = kr_with_key(a, line, KR_S("crd"), kr_at(vector, "crd"));
    line = kr_with_key(a, line, KR_S("graph"), kr_at(vector, "graph"));
    rc = line_passes(a, line, kinds, has_gate(line), 0);
    cel_kinds_free(kinds);
    return rc;
}

/* What the definition's own CRD refuses, for documents that come from a file. */
static int refused_case(struct kr_arena *a, kr_val line)
{
    struct graph_source src = {.name = KR_S("t"), .spec = kr_at(line, "rgd.spec")};
    struct cel_kinds *kinds;
    struct kr_err err = KR_ERR_NONE;
    struct graph_rev *rev = NULL;
    const kr_gvk *needs;
    uint32_t n;
    int rc;

    if (!kr_is_str(kr_at(line, "expect"), KR_S("rejected-by-api-server")))
        return -1;
    kinds = cel_kinds_new();
    rc = graph_build(&src, kinds, a, &rev, &needs, &n, &err);
    cel_kinds_free(kinds);
    graph_rev_drop(rev);
    return rc < 0;
}

TEST(graph_build, definitions_of_the_tables_get_kros_verdict)
{
    uint32_t failed;

    if (!cases_present())
        skip();
    assert_true(cases_each("vectors/crd-synthetic.jsonl", synthetic_case, &failed) >= 60);
    assert_true(cases_each("validation/rgd-validate.jsonl", fake_case, &failed) >= 65);
    assert_true(cases_each("validation/rgd-from-integration.jsonl", integration_case, &failed) >=
                92);
    assert_true(cases_each("validation/rgd-from-integration.jsonl", refused_case, &failed) >= 12);
}

int main(void)
{
    return RUN(T(graph_build, the_example_has_ranks_orders_reads_and_readers),
               T(graph_build, programs_of_a_revision_run_with_slots_by_rank),
               T(graph_build, names_the_kinds_it_lacks),
               T(graph_build, says_what_is_wrong_in_kros_words),
               T(graph_build, with_one_namespace_refuses_what_lies_outside),
               T(graph_build, the_shipped_example_compiles_against_kubernetes_types),
               T(graph_build, crds_and_graphs_equal_the_vectors),
               T(graph_build, what_kro_refuses_is_refused_in_its_words),
               T(graph_build, definitions_of_the_tables_get_kros_verdict));
}
