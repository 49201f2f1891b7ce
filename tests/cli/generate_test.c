/* SPDX-License-Identifier: Apache-2.0 */
/* generate_test.c - what `kroc generate` makes: CRDs equal to kro's, instances that fit their CRD, diagrams. */
#include "cli/generate.h"

#include <dirent.h>
#include <stdio.h>

#include "cel/base/yaml_write.h"
#include "cli/schemas.h"
#include "tests/lib/test.h"

#define CASES KROC_SHARED "/cases/"

/* Compiles rgd with the kinds of s. */
static struct graph_rev *build(struct kr_arena *a, struct cli_schemas *s, kr_val rgd)
{
    struct graph_source src = {.name = kr_at_str(rgd, "metadata.name"),
                               .spec = kr_get(rgd, KR_S("spec"))};
    struct graph_rev *rev = NULL;
    struct kr_err err = KR_ERR_NONE;

    EXPECT_OK(cli_schemas_build(s, &src, a, &rev, &err), &err);
    return rev;
}

static struct graph_rev *build_text(struct kr_arena *a, const char *text)
{
    struct cli_schemas_opts opts = {0};
    KR_AUTO_PTR(cli_schemas) s = NULL;
    struct kr_err err = KR_ERR_NONE;

    EXPECT_OK(cli_schemas_new(&opts, &s, &err), &err);
    return build(a, s, test_yaml(a, text));
}

static kr_val file_value(struct kr_arena *a, const char *path)
{
    kr_str text;
    kr_val docs;
    struct kr_err err = KR_ERR_NONE;

    if (!test_file(a, path, &text))
        return KR_V_NONE;
    EXPECT_OK(kr_yaml_parse(a, text, &docs, &err), &err);
    return kr_item(docs, 0);
}

TEST(cli_generate, the_crd_is_the_one_that_the_sidecar_is_deployed_with)
{
    KR_AUTO(kr_arena) a = {0};
    kr_str text;
    struct graph_rev *rev;

    assert_true(test_file(&a, KROC_SOURCE "/examples/webapp/rgd.yaml", &text));
    rev = build_text(&a, kr_cstr(&a, text));
    EXPECT_TEXT(
        kr_json_str(&a, cli_crd_of(&a, rev)).s,
        kr_json_str(&a, file_value(&a, KROC_SOURCE "/deploy/kustomize/sidecar/crd.yaml")).s);
    graph_rev_drop(rev);
}

static const char sample_rgd[] =
    "metadata: {name: s}\n"
    "spec:\n"
    "  schema:\n"
    "    apiVersion: v1alpha1\n"
    "    kind: Shop\n"
    "    spec:\n"
    "      title: string | required=true\n"
    "      size: string | enum=\"small,large\" required=true\n"
    "      count: integer | required=true minimum=3\n"
    "      code: string | required=true pattern=\"^[0-9]{3}x$\"\n"
    "      domain: string | required=true pattern=\"^[a-z]+\\\\.com$\"\n"
    "      enabled: boolean | default=true\n"
    "      note: string\n"
    "      nested:\n"
    "        deep: integer | default=7\n"
    "        must: string | required=true\n"
    "      tags: \"[]string | required=true minItems=2\"\n"
    "      labels: map[string]string\n";

static void expect_sample(bool all, const char *want, const char *want_gaps)
{
    KR_AUTO(kr_arena) a = {0};
    KR_AUTO(kr_buf) out = KR_BUF(1 << 16);
    struct kr_err err = KR_ERR_NONE;
    struct graph_rev *rev = build_text(&a, sample_rgd);
    kr_str gaps;

    EXPECT_OK(kr_yaml_write(&out, cli_sample_of(&a, rev, all, &gaps), &err), &err);
    EXPECT_TEXT(out.s, want);
    EXPECT_TEXT(kr_cstr(&a, gaps), want_gaps);
    graph_rev_drop(rev);
}

TEST(cli_generate, an_instance_has_what_is_required_and_what_has_a_default)
{
    expect_sample(false,
                  "apiVersion: kro.run/v1alpha1\n"
                  "kind: Shop\n"
                  "metadata:\n"
                  "  name: shop-sample\n"
                  "  namespace: default\n"
                  "spec:\n"
                  "  code: code\n"
                  "  count: 3\n"
                  "  domain: example.com\n"
                  "  enabled: true\n"
                  "  size: small\n"
                  "  tags:\n"
                  "  - tags\n"
                  "  - tags\n"
                  "  title: title\n",
                  "spec.code: must match ^[0-9]{3}x$\n");
}

TEST(cli_generate, an_instance_with_all_has_every_field)
{
    expect_sample(true,
                  "apiVersion: kro.run/v1alpha1\n"
                  "kind: Shop\n"
                  "metadata:\n"
                  "  name: shop-sample\n"
                  "  namespace: default\n"
                  "spec:\n"
                  "  code: code\n"
                  "  count: 3\n"
                  "  domain: example.com\n"
                  "  enabled: true\n"
                  "  labels: {}\n"
                  "  nested:\n"
                  "    deep: 7\n"
                  "    must: must\n"
                  "  note: note\n"
                  "  size: small\n"
                  "  tags:\n"
                  "  - tags\n"
                  "  - tags\n"
                  "  title: title\n",
                  "spec.code: must match ^[0-9]{3}x$\n");
}

static const char graph_rgd_text[] =
    "metadata: {name: \"a \\\"b\\\"\"}\n"
    "spec:\n"
    "  schema: {apiVersion: v1alpha1, kind: Shop, spec: {name: string, names: \"[]string\"}}\n"
    "  resources:\n"
    "  - id: end\n"
    "    template: {apiVersion: v1, kind: Secret, metadata: {name: \"${given.metadata.name}\"}}\n"
    "  - id: given\n"
    "    externalRef: {apiVersion: v1, kind: ConfigMap, metadata: {name: x}}\n"
    "  - id: many\n"
    "    forEach: [{which: \"${schema.spec.names}\"}]\n"
    "    template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "
    "\"${end.metadata.name}-${which}\"}}\n";

TEST(cli_generate, a_diagram_has_an_arrow_from_a_resource_to_its_readers)
{
    KR_AUTO(kr_arena) a = {0};
    KR_AUTO(kr_buf) mermaid = KR_BUF(1 << 16), dot = KR_BUF(1 << 16);
    struct graph_rev *rev = build_text(&a, graph_rgd_text);

    cli_diagram_mermaid(rev, &mermaid);
    EXPECT_TEXT(mermaid.s, "---\n"
                           "title: \"a \\\"b\\\"\"\n"
                           "---\n"
                           "flowchart TD\n"
                           "  n1([\"1. given<br/>ConfigMap\"])\n"
                           "  n2[\"2. end<br/>Secret\"]\n"
                           "  n3[[\"3. many<br/>ConfigMap\"]]\n"
                           "  n1 --> n2\n"
                           "  n2 --> n3\n");
    cli_diagram_dot(rev, &dot);
    EXPECT_TEXT(dot.s, "digraph \"a \\\"b\\\"\" {\n"
                       "  label=\"a \\\"b\\\"\";\n"
                       "  labelloc=t;\n"
                       "  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n"
                       "  n1 [label=\"1. given\\nConfigMap\", style=\"rounded,dashed\"];\n"
                       "  n2 [label=\"2. end\\nSecret\"];\n"
                       "  n3 [label=\"3. many\\nConfigMap\", peripheries=2];\n"
                       "  n1 -> n2;\n"
                       "  n2 -> n3;\n"
                       "}\n");
    graph_rev_drop(rev);
}

/* --- the definitions of the compatibility cases ------------------------------------------------- */

/* Does v fit the schema, as far as types, required fields, enums and minima go? */
static bool fits(kr_val schema, kr_val v)
{
    kr_str type = kr_at_str(schema, "type");
    kr_val choices = kr_get(schema, KR_S("enum")), least = kr_get(schema, KR_S("minimum"));
    bool ok = kr_str_is(type, "object")    ? v.kind == KR_MAP
              : kr_str_is(type, "array")   ? v.kind == KR_LIST
              : kr_str_is(type, "string")  ? v.kind == KR_STRING
              : kr_str_is(type, "integer") ? v.kind == KR_INT
              : kr_str_is(type, "boolean") ? v.kind == KR_BOOL
                                           : true;
    bool chosen = choices.kind != KR_LIST;

    KR_LIST_EACH (choice, choices)
        chosen = chosen || kr_equal(*choice, v);
    KR_LIST_EACH (name, kr_get(schema, KR_S("required")))
        ok = ok && kr_get(v, kr_text(*name)).kind != KR_NONE;
    KR_MAP_EACH (p, kr_get(schema, KR_S("properties"))) {
        kr_val member = kr_get(v, kr_text(p->key));

        ok = ok && (member.kind == KR_NONE || fits(p->val, member));
    }
    KR_LIST_EACH (item, v)
        ok = ok && fits(kr_get(schema, KR_S("items")), *item);
    return ok && chosen && !(least.kind == KR_INT && v.kind == KR_INT && v.i < least.i);
}

static void check_sample(struct kr_arena *a, const struct graph_rev *rev, const char *name)
{
    kr_val schema = kr_at(kr_item(kr_at(rev->crd, "spec.versions"), 0),
                          "schema.openAPIV3Schema.properties.spec");

    for (int all = 0; all < 2; all++) {
        kr_str gaps;
        kr_val sample = cli_sample_of(a, rev, all, &gaps);

        if (!fits(schema, kr_get(sample, KR_S("spec")))) {
            fprintf(stderr, "%s: %s\n", name, kr_json_str(a, sample).s);
            assert_true(false);
        }
    }
}

/* A case with all that it needs: CRDs as --schemas, definitions whose kinds it uses. */
struct needs {
    struct kr_arena a;
    struct cli_schemas_opts opts;
    struct cli_list rgds;
};

static void add_needs(struct needs *n, kr_val about)
{
    KR_LIST_EACH (gvk, kr_get(about, KR_S("gvks_needed"))) {
        kr_str from = kr_at_str(*gvk, "from");

        if (kr_str_starts(from, KR_S("crds/")))
            n->opts.paths.at[n->opts.paths.n++] = kr_fmt(&n->a, CASES KR_FMT, KR_ARG(from)).s;
    }
    KR_LIST_EACH (other, kr_get(about, KR_S("depends_on_rgds"))) {
        kr_str folder = kr_fmt(&n->a, CASES "rgds/" KR_FMT, KR_ARG(kr_text(*other)));

        n->rgds.at[n->rgds.n++] = kr_fmt(&n->a, KR_FMT "/rgd.yaml", KR_ARG(folder)).s;
        add_needs(n, file_value(&n->a, kr_fmt(&n->a, KR_FMT "/case.json", KR_ARG(folder)).s));
    }
}

static void check_case(struct needs *needs, kr_val about, const char *name)
{
    struct kr_arena *a = &needs->a;
    KR_AUTO_PTR(cli_schemas) s = NULL;
    kr_val want = file_value(a, kr_fmt(a, CASES "vectors/crd/%s.json", name).s);
    struct kr_err err = KR_ERR_NONE;
    struct graph_rev *rev;

    add_needs(needs, about);
    EXPECT_OK(cli_schemas_new(&needs->opts, &s, &err), &err);
    for (uint32_t i = 0; i < needs->rgds.n; i++)
        EXPECT_OK(cli_schemas_add(s, needs->rgds.at[i], file_value(a, needs->rgds.at[i]), &err),
                  &err);
    rev = build(a, s, file_value(a, kr_fmt(a, CASES "rgds/%s/rgd.yaml", name).s));
    if (want.kind == KR_MAP)
        EXPECT_TEXT(kr_json_str(a, kr_get(rev->crd, KR_S("spec"))).s,
                    kr_json_str(a, kr_get(want, KR_S("spec"))).s);
    check_sample(a, rev, name);
    graph_rev_drop(rev);
}

TEST(cli_generate, valid_definitions_compile_offline_to_kros_crds)
{
    DIR *dir = opendir(CASES "rgds");
    struct dirent *e;
    uint32_t n = 0;

    if (!dir)
        skip(); /* the compatibility cases are not there */
    while ((e = readdir(dir)) != NULL) {
        struct needs *needs = KR_ALLOC(struct needs);
        kr_val about =
            file_value(&needs->a, kr_fmt(&needs->a, CASES "rgds/%s/case.json", e->d_name).s);

        if (kr_is_str(kr_at(about, "expect"), KR_S("valid"))) {
            check_case(needs, about, e->d_name);
            n++;
        }
        kr_arena_fini(&needs->a);
        kr_free(needs);
    }
    closedir(dir);
    fprintf(stderr, "%u definitions\n", n);
    assert_int_equal(n, 60);
}

int main(void)
{
    return RUN(T(cli_generate, the_crd_is_the_one_that_the_sidecar_is_deployed_with),
               T(cli_generate, an_instance_has_what_is_required_and_what_has_a_default),
               T(cli_generate, an_instance_with_all_has_every_field),
               T(cli_generate, a_diagram_has_an_arrow_from_a_resource_to_its_readers),
               T(cli_generate, valid_definitions_compile_offline_to_kros_crds));
}
