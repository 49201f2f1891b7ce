/* SPDX-License-Identifier: Apache-2.0 */
/* validate_test.c - names, combinations, shapes: single rules against the compatibility table. */
#include "graph/internal.h"
#include "tests/graph/schemas.h"

#include <stdio.h>

TEST(graph_validate, admission_rules_name_their_path)
{
    static const struct {
        const char *schema, *want;
    } cases[] = {
        {"{kind: App, apiVersion: v1alpha1}", ""},
        {"{kind: App, apiVersion: v1beta}", "spec.schema.apiVersion: Invalid value: \"v1beta\": "
                                            "spec.schema.apiVersion in body should match "
                                            "'^v[0-9]+(alpha[0-9]+|beta[0-9]+)?$'"},
        {"{kind: App, apiVersion: v1, shortNames: [wa, wa]}",
         "spec.schema.shortNames[1]: Duplicate value: \"wa\""},
        {"{kind: App, apiVersion: v1, shortNames: [WA]}",
         "spec.schema.shortNames[0]: Invalid value: \"WA\": spec.schema.shortNames[0] in body "
         "should match "
         "'^[a-z]([-a-z0-9]*[a-z0-9])?$'"},
        {"{kind: App, apiVersion: v1, additionalPrinterColumns: [{name: x, type: string}]}",
         "spec.schema.additionalPrinterColumns[0].jsonPath: Required value"},
        {"{kind: App, apiVersion: v1, scope: Planet}",
         "spec.schema.scope: Unsupported value: \"Planet\": supported values: \"Namespaced\", "
         "\"Cluster\""},
        {"{kind: App, apiVersion: v1, shortNames: x}",
         "spec.schema.shortNames: must be of type array, got string"},
        {"{kind: App, apiVersion: v1, metadata: {labels: {a: 1}}}",
         "spec.schema.metadata.labels.a: must be of type string, got number"},
    };

    for (size_t i = 0; i < KR_N(cases); i++) {
        KR_AUTO(kr_arena) a = {0};
        struct kr_err err = KR_ERR_NONE;
        struct graph_rgd rgd;
        kr_val spec = test_yaml(&a, kr_fmt(&a, "schema: %s", cases[i].schema).s);
        struct graph_diags d = {.a = &a};

        graph__rgd_read(spec, &rgd, &d);
        graph__check_admission(&rgd, &d);
        EXPECT_TEXT(graph_diags_err(&d, &err) < 0 ? err.text : "", cases[i].want);
    }
}

/* --- compatibility table ---------------------------------------------------------------------- */

/* The outcome of a line that may want texts in the error. */
static int outcome(kr_val line, const struct graph_diags *d)
{
    bool wants = kr_is_str(kr_at(line, "expect"), KR_S("error"));
    struct kr_err err = KR_ERR_NONE;
    int rc = graph_diags_err(d, &err);

    if ((rc < 0) != wants) {
        fprintf(stderr, "  got %s\n", rc < 0 ? err.text : "ok");
        return 0;
    }
    KR_LIST_EACH (it, kr_at(line, "error_contains")) {
        if (kr_str_find(kr_err_str(&err), kr_text(*it)) < 0) {
            fprintf(stderr, "  got %s\n", err.text);
            return 0;
        }
    }
    return 1;
}

static int names_case(struct kr_arena *a, kr_val line, kr_val spec)
{
    struct graph_diags d = {.a = a};
    kr_val max = kr_at(line, "max_dimensions");
    struct graph_rgd rgd;

    graph__rgd_read(spec, &rgd, &d);
    if (rgd.kind.n == 0)
        rgd.kind = KR_S("App"); /* the table looks at one rule only */
    graph__check_names(&rgd, max.kind == KR_INT ? (uint32_t)max.i : GRAPH_DIMENSIONS_MAX, &d);
    return outcome(line, &d);
}

static kr_val ids_spec(struct kr_arena *a, kr_val ids)
{
    struct kr_listb b = KR_LISTB(a);

    KR_LIST_EACH (it, ids)
        kr_listb_add(&b, kr_with_key(a, kr_map_sorted(NULL, 0), KR_S("id"), *it));
    return kr_with_key(a, kr_map_sorted(NULL, 0), KR_S("resources"), kr_listb_done(&b));
}

static int constraints_case(struct kr_arena *a, kr_val line)
{
    kr_val object = kr_at(line, "object"), annotations = kr_at(line, "annotations");
    struct graph_resource r = {.id = kr_at_str(line, "resource_id"), .object = object};
    kr_val namespaced = kr_at(line, "resource_namespaced"),
           instance = kr_at(line, "instance_namespaced");
    struct graph_diags d = {.a = a};

    if (annotations.kind == KR_MAP)
        r.object = kr_with(a, kr_map_sorted(NULL, 0), "metadata.annotations", annotations);
    if (kr_at(line, "resource.externalRef.metadata.selector").kind == KR_MAP)
        r.kind = GRAPH_EXTERNAL_COLLECTION;
    graph__check_constraints(&r, namespaced.kind != KR_BOOL || kr_is_true(namespaced),
                             instance.kind == KR_BOOL && !kr_is_true(instance), &d);
    return outcome(line, &d);
}

static int fields_case(struct kr_arena *a, kr_val line)
{
    kr_val resource = kr_at(line, "resource");
    struct graph_resource r = {.id = kr_at_str(resource, "id"),
                               .template = kr_at(resource, "template"),
                               .external = kr_at(resource, "externalRef"),
                               .dims_n = kr_at(resource, "forEach").n};
    struct graph_diags d = {.a = a};

    return graph__check_combination(&r, &d) == (d.n == 0) ? outcome(line, &d) : 0;
}

static int version_case(struct kr_arena *a, kr_val line)
{
    struct graph_diags d = {.a = a};
    struct graph_rgd rgd = {.kind = KR_S("App"), .version = kr_at_str(line, "version")};

    graph__check_admission(&rgd, &d);
    return (d.n == 0) == kr_is_true(kr_at(line, "valid"));
}

/* A definition of one resource whose kind takes any field. */
static int build_one(struct kr_arena *a, kr_val spec, bool namespaced, struct graph_diags *d)
{
    static const char schema[] =
        "{\"type\":\"object\",\"properties\":{\"apiVersion\":{\"type\":\"string\"},"
        "\"kind\":{\"type\":\"string\"},\"metadata\":{\"type\":\"object\",\"properties\":{"
        "\"name\":{\"type\":\"string\"},\"namespace\":{\"type\":\"string\"}}},"
        "\"spec\":{\"type\":\"object\",\"properties\":{\"replicas\":{\"type\":\"integer\"},"
        "\"someField\":{\"type\":\"string\"}}}}}";
    struct graph_source src = {.name = KR_S("t"), .spec = spec, .omit = true, .diags = d};
    struct cel_kinds *kinds = cel_kinds_new();
    kr_gvk gvk = {KR_S(""), KR_S("v1"), KR_S("Thing")};
    struct kr_err err = KR_ERR_NONE;
    struct graph_rev *rev = NULL;
    const kr_gvk *needs;
    uint32_t n;
    int rc;

    EXPECT_OK(
        cel_kinds_add_schema(kinds, gvk, KR_S("things"), namespaced, test_json(a, schema), &err),
        &err);
    rc = graph_build(&src, kinds, a, &rev, &needs, &n, &err);
    graph_rev_drop(rev);
    cel_kinds_free(kinds);
    return rc;
}

static kr_val definition(struct kr_arena *a, bool instance_namespaced, kr_val status, kr_str id,
                         kr_val template)
{
    kr_val spec = test_yaml(a, kr_fmt(a, "schema: {apiVersion: v1, kind: App, scope: %s}",
                                      instance_namespaced ? "Namespaced" : "Cluster")
                                   .s);
    kr_val *resource = kr_new(a, kr_val);

    *resource = kr_with_key(a, kr_map_sorted(NULL, 0), KR_S("id"), kr_string(id));
    *resource = kr_with_key(a, *resource, KR_S("template"), template);
    spec = kr_with(a, spec, "schema.status", status);
    return kr_with_key(a, spec, KR_S("resources"), kr_list(resource, 1));
}

static int identity_case(struct kr_arena *a, kr_val line)
{
    kr_val node = kr_at(line, "nodes").map[0].val;
    bool namespaced = kr_is_true(kr_at(node, "namespaced"));
    bool of_instance = kr_is_true(kr_at(line, "instance_namespaced"));
    kr_val object = test_yaml(a, "{apiVersion: v1, kind: Thing, metadata: {name: x}}");
    struct graph_diags d = {.a = a};

    if (namespaced && !of_instance)
        object = kr_with(a, object, "metadata.namespace", KR_V_STR("y"));
    KR_LIST_EACH (it, kr_at(node, "variables")) {
        kr_str expr = kr_fmt(a, "${" KR_FMT "}", KR_ARG(kr_at_str(*it, "expression")));

        object = kr_with(a, object, kr_cstr(a, kr_at_str(*it, "path")), kr_string(expr));
    }
    if (!namespaced && kr_at(object, "metadata.namespace").kind != KR_NONE)
        return -1; /* refused for another reason before: cluster-scoped with a namespace */
    build_one(a, definition(a, of_instance, KR_V_NONE, kr_at_str(node, "id"), object), namespaced,
              &d);
    return outcome(line, &d);
}

static int status_case(struct kr_arena *a, kr_val line)
{
    kr_val object = test_yaml(a, "{apiVersion: v1, kind: Thing, metadata: {name: x}}");
    struct graph_diags d = {.a = a};
    kr_val status = test_yaml(a, kr_cstr(a, kr_at_str(line, "status_raw")));

    build_one(a, definition(a, true, status, KR_S("resource"), object), true, &d);
    for (uint32_t i = 0; i < d.n;
         i++) { /* the id of the table is a reserved word, which comes first */
        if (kr_str_find(d.items[i].message, kr_text(kr_item(kr_at(line, "error_contains"), 0))) >=
            0)
            return 1;
    }
    return 0;
}

static int rule_case(struct kr_arena *a, kr_val line)
{
    kr_str rule = kr_at_str(line, "rule");
    struct graph_diags d = {.a = a};
    kr_gvk gvk;

    if (kr_str_is(rule, "reserved-word"))
        return graph__reserved(kr_at_str(line, "word")) == kr_is_true(kr_at(line, "reserved"));
    if (kr_str_is(rule, "resource-id-syntax"))
        return graph__camel_lower(kr_at_str(line, "id")) == kr_is_true(kr_at(line, "valid"));
    if (kr_str_is(rule, "resource-ids"))
        return names_case(a, line, ids_spec(a, kr_at(line, "ids")));
    if (kr_str_is(rule, "naming") || kr_str_is(rule, "for-each"))
        return names_case(a, line, kr_at(line, "rgd.spec"));
    if (kr_str_is(rule, "object-structure"))
        return graph__check_structure(KR_S("x"), kr_at(line, "object"), &gvk, &d) == (d.n == 0)
                   ? outcome(line, &d)
                   : 0;
    if (kr_str_is(rule, "resource-fields"))
        return fields_case(a, line);
    if (kr_str_is(rule, "template-constraints") || kr_str_starts(rule, KR_S("no-kro-")))
        return constraints_case(a, line);
    if (kr_str_is(rule, "kubernetes-version"))
        return version_case(a, line);
    if (kr_str_is(rule, "identity-fields"))
        return identity_case(a, line);
    if (kr_str_is(rule, "status-schema"))
        return status_case(a, line);
    return -1; /* schema-lookup: a step of kro's own that has no counterpart */
}

TEST(graph_validate, compatibility_table)
{
    uint32_t failed;

    if (!cases_present())
        skip();
    assert_true(cases_each("validation/rgd-rules.jsonl", rule_case, &failed) >= 62);
}

int main(void)
{
    return RUN(T(graph_validate, admission_rules_name_their_path),
               T(graph_validate, compatibility_table));
}
