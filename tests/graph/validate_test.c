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
        int rc = graph__rgd_read(&a, spec, &rgd, &err);

        if (rc == 0)
            rc = graph__check_admission(&rgd, &err);
        EXPECT_TEXT(rc ? err.text : "", cases[i].want);
    }
}

/* --- compatibility table ---------------------------------------------------------------------- */

/* The outcome of a line that may want texts in the error. */
static int outcome(kr_val line, int rc, const struct kr_err *err)
{
    bool wants = kr_is_str(kr_at(line, "expect"), KR_S("error"));

    if ((rc < 0) != wants) {
        fprintf(stderr, "  got %s\n", rc < 0 ? err->text : "ok");
        return 0;
    }
    KR_LIST_EACH (it, kr_at(line, "error_contains")) {
        if (kr_str_find(kr_err_str(err), kr_text(*it)) < 0) {
            fprintf(stderr, "  got %s\n", err->text);
            return 0;
        }
    }
    return 1;
}

static int names_case(struct kr_arena *a, kr_val line, kr_val spec)
{
    struct kr_err err = KR_ERR_NONE;
    kr_val max = kr_at(line, "max_dimensions");
    struct graph_rgd rgd;
    int rc = graph__rgd_read(a, spec, &rgd, &err);

    if (rc == 0 && rgd.kind.n == 0)
        rgd.kind = KR_S("App"); /* the table looks at one rule only */
    if (rc == 0)
        rc = graph__check_names(&rgd, max.kind == KR_INT ? (uint32_t)max.i : GRAPH_DIMENSIONS_MAX,
                                &err);
    return outcome(line, rc, &err);
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
    struct kr_err err = KR_ERR_NONE;
    int rc;

    if (annotations.kind == KR_MAP)
        r.object = kr_with(a, kr_map_sorted(NULL, 0), "metadata.annotations", annotations);
    if (kr_at(line, "resource.externalRef.metadata.selector").kind == KR_MAP)
        r.kind = GRAPH_EXTERNAL_COLLECTION;
    rc = graph__check_constraints(&r, namespaced.kind != KR_BOOL || kr_is_true(namespaced),
                                  instance.kind == KR_BOOL && !kr_is_true(instance), &err);
    return outcome(line, rc, &err);
}

static int fields_case(struct kr_arena *a, kr_val line)
{
    kr_val resource = kr_at(line, "resource");
    struct graph_resource r = {.id = kr_at_str(resource, "id"),
                               .template = kr_at(resource, "template"),
                               .external = kr_at(resource, "externalRef"),
                               .dims_n = kr_at(resource, "forEach").n};
    struct kr_err err = KR_ERR_NONE;

    (void)a;
    return outcome(line, graph__check_combination(&r, &err), &err);
}

static int rule_case(struct kr_arena *a, kr_val line)
{
    kr_str rule = kr_at_str(line, "rule");
    struct kr_err err = KR_ERR_NONE;
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
        return outcome(line, graph__check_structure(KR_S("x"), kr_at(line, "object"), &gvk, &err),
                       &err);
    if (kr_str_is(rule, "resource-fields"))
        return fields_case(a, line);
    if (kr_str_is(rule, "template-constraints") || kr_str_starts(rule, KR_S("no-kro-")))
        return constraints_case(a, line);
    return -1; /* rules that stand in other files, or that kro itself does not use */
}

TEST(graph_validate, compatibility_table)
{
    uint32_t failed;

    if (!cases_present())
        skip();
    assert_true(cases_each("validation/rgd-rules.jsonl", rule_case, &failed) >= 43);
}

int main(void)
{
    return RUN(T(graph_validate, admission_rules_name_their_path),
               T(graph_validate, compatibility_table));
}
