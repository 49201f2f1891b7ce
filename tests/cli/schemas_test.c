/* SPDX-License-Identifier: Apache-2.0 */
/* schemas_test.c - where kinds come from, which source wins, and what is said of a kind that nobody has. */
#include "cli/schemas.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/lib/test.h"

static const kr_gvk deployment = {{"apps", 4}, {"v1", 2}, {"Deployment", 10}};
static const kr_gvk thing = {{"x.io", 4}, {"v1", 2}, {"Thing", 5}};
static const kr_gvk inner = {{"kro.run", 7}, {"v1alpha1", 8}, {"Inner", 5}};
static const kr_gvk outer = {{"kro.run", 7}, {"v1alpha1", 8}, {"Outer", 5}};

#define CRD(field)                                                                                 \
    "apiVersion: apiextensions.k8s.io/v1\n"                                                        \
    "kind: CustomResourceDefinition\n"                                                             \
    "metadata: {name: things.x.io}\n"                                                              \
    "spec: {group: x.io, scope: Cluster, names: {kind: Thing, plural: things}, versions: [{name: " \
    "v1, served: true, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: "        \
    "object, properties: {" field ": {type: string}}}}}}}]}\n"

#define RGD(name, kind, resource, status)                                                          \
    "apiVersion: kro.run/v1alpha1\n"                                                               \
    "kind: ResourceGraphDefinition\n"                                                              \
    "metadata: {name: " name "}\n"                                                                 \
    "spec:\n"                                                                                      \
    "  schema: {apiVersion: v1alpha1, kind: " kind ", spec: {name: string}, status: " status "}\n" \
    "  resources:\n"                                                                               \
    "  - {id: child, template: " resource "}\n"

#define CONFIG_MAP "{apiVersion: v1, kind: ConfigMap, metadata: {name: \"${schema.spec.name}\"}}"
#define INNER                                                                                      \
    "{apiVersion: kro.run/v1alpha1, kind: Inner, metadata: {name: x}, spec: {name: "               \
    "\"${schema.spec.name}\"}}"
#define OUTER                                                                                      \
    "{apiVersion: kro.run/v1alpha1, kind: Outer, metadata: {name: x}, spec: {name: "               \
    "\"${schema.spec.name}\"}}"

struct fixture {
    struct kr_arena a;
    struct cli_schemas *s;
    struct cli_schemas_opts opts;
};

static void open_schemas(struct fixture *f)
{
    struct kr_err err = KR_ERR_NONE;

    EXPECT_OK(cli_schemas_new(&f->opts, &f->s, &err), &err);
}

static void add(struct fixture *f, const char *yaml)
{
    struct kr_err err = KR_ERR_NONE;

    EXPECT_OK(cli_schemas_add(f->s, "input.yaml", test_yaml(&f->a, yaml), &err), &err);
}

/* The kind, or NULL when it is missing. */
static const struct cel_kind *load(struct fixture *f, kr_gvk gvk)
{
    const kr_gvk *missing;
    uint32_t n;
    struct kr_err err = KR_ERR_NONE;

    EXPECT_OK(cli_schemas_load(f->s, &gvk, 1, &f->a, &missing, &n, &err), &err);
    assert_true(n == 0 || (n == 1 && kr_gvk_eq(missing[0], gvk)));
    assert_true((n == 0) == (cel_kinds_find(cli_schemas_kinds(f->s), gvk) != NULL));
    return cel_kinds_find(cli_schemas_kinds(f->s), gvk);
}

static bool has_spec_field(const struct cel_kind *kind, const char *field)
{
    const kr_str names[] = {KR_S("spec"), kr_str_c(field)};

    return kind && cel_schema_at(kind->schema, names, 2) != NULL;
}

static void expect_hint(struct fixture *f, kr_gvk gvk, const char *want)
{
    EXPECT_TEXT(kr_cstr(&f->a, cli_schemas_hint(f->s, &f->a, gvk)), want);
}

static void fini(struct fixture *f)
{
    cli_schemas_free(f->s);
    kr_arena_fini(&f->a);
}

TEST(cli_schemas, kubernetes_own_types_are_there_without_a_cluster)
{
    struct fixture f = {0};

    open_schemas(&f);
    assert_true(has_spec_field(load(&f, deployment), "replicas"));
    assert_null(load(&f, thing));
    fini(&f);
}

TEST(cli_schemas, a_crd_of_the_input_brings_its_kind_as_a_server_publishes_it)
{
    struct fixture f = {0};
    const struct cel_kind *kind;
    const kr_str labels[] = {KR_S("metadata"), KR_S("labels")};

    open_schemas(&f);
    add(&f, CRD("size"));
    kind = load(&f, thing);
    assert_true(has_spec_field(kind, "size"));
    assert_false(kind->namespaced);
    assert_true(kr_str_is(kind->resource, "things"));
    assert_non_null(cel_schema_at(kind->schema, labels, 2));
    assert_non_null(cel_schema_field(kind->schema, KR_S("apiVersion")));
    fini(&f);
}

TEST(cli_schemas, a_list_brings_what_is_in_it)
{
    struct fixture f = {0};
    kr_val item, list;
    struct kr_err err = KR_ERR_NONE;

    open_schemas(&f);
    item = test_yaml(&f.a, CRD("size"));
    list =
        kr_with(&f.a, test_yaml(&f.a, "{apiVersion: v1, kind: List}"), "items", kr_list(&item, 1));
    EXPECT_OK(cli_schemas_add(f.s, "list.yaml", list, &err), &err);
    assert_true(has_spec_field(load(&f, thing), "size"));
    fini(&f);
}

TEST(cli_schemas, a_crd_that_cannot_be_read_is_an_error_that_names_file_and_crd)
{
    struct fixture f = {0};
    struct kr_err err = KR_ERR_NONE;
    kr_val crd;

    open_schemas(&f);
    crd = test_yaml(&f.a, "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, "
                          "metadata: {name: things.x.io}}");
    assert_int_equal(cli_schemas_add(f.s, "crd.yaml", crd, &err), KR_E_INPUT);
    EXPECT_TEXT(err.text,
                "crd.yaml: CustomResourceDefinition \"things.x.io\": group, names or versions are "
                "not there (is it apiextensions.k8s.io/v1?)");
    fini(&f);
}

TEST(cli_schemas, a_definition_finds_the_kind_that_another_generates)
{
    struct fixture f = {0};

    open_schemas(&f);
    add(&f, RGD("outer", "Outer", INNER, "{v: \"${child.status.v}\"}"));
    add(&f, RGD("inner", "Inner", CONFIG_MAP, "{v: \"${child.metadata.uid}\"}"));
    assert_true(has_spec_field(load(&f, outer), "name"));
    assert_true(has_spec_field(load(&f, inner), "name"));
    fini(&f);
}

TEST(cli_schemas, a_definition_comes_before_the_crd_it_would_change)
{
    struct fixture f = {0};

    open_schemas(&f);
    add(&f,
        "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: "
        "inners.kro.run}, spec: {group: kro.run, names: {kind: Inner, plural: inners}, versions: "
        "[{name: v1alpha1, served: true, schema: {openAPIV3Schema: {type: object}}}]}}");
    add(&f, RGD("inner", "Inner", CONFIG_MAP, "{}"));
    assert_true(has_spec_field(load(&f, inner), "name"));
    fini(&f);
}

TEST(cli_schemas, definitions_that_need_each_other_have_no_kind)
{
    struct fixture f = {0};

    open_schemas(&f);
    add(&f, RGD("outer", "Outer", INNER, "{}"));
    add(&f, RGD("inner", "Inner", OUTER, "{}"));
    assert_null(load(&f, outer));
    assert_null(load(&f, inner));
    fini(&f);
}

TEST(cli_schemas, the_hint_says_why_or_what_would_be_right)
{
    struct fixture f = {0};
    kr_gvk typo = deployment, old = deployment, strange = thing;

    typo.kind = KR_S("Deploymnet");
    old.group = KR_S("extensions");
    old.version = KR_S("v1beta1");
    strange.kind = KR_S("Zyxwvut");
    open_schemas(&f);
    add(&f,
        RGD("inner", "Inner",
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: \"${schema.spec.nmae}\"}}", "{}"));
    add(&f, CRD("size"));
    expect_hint(&f, typo, "did you mean apps/v1 Deployment?");
    expect_hint(&f, old, "did you mean apps/v1 Deployment?");
    assert_null(load(&f, inner));
    assert_true(kr_str_starts(cli_schemas_hint(f.s, &f.a, inner),
                              KR_S("it is generated by \"inner\" (input.yaml), which does not "
                                   "compile: ")));
    expect_hint(
        &f, strange,
        "built in are the types of Kubernetes v1.36.3: name the CRD with --schemas, or take "
        "the kinds from the cluster with --cluster");
    strange.kind = KR_S("Thong");
    expect_hint(&f, strange, "did you mean x.io/v1 Thing?");
    fini(&f);
}

/* --- --schemas ---------------------------------------------------------------------------------- */

static void write_file(const char *folder, const char *name, const char *text)
{
    char path[512];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void remove_folder(const char *folder, const char *const *names)
{
    char path[512];

    for (; *names; names++) {
        snprintf(path, sizeof(path), "%s/%s", folder, *names);
        unlink(path);
    }
    rmdir(folder);
}

#define OPENAPI                                                                                    \
    "{\"openapi\":\"3.0.0\",\"paths\":{\"/apis/y.io/v1/mice\":{\"post\":{\"x-kubernetes-group-"    \
    "version-kind\":{\"group\":\"y.io\",\"version\":\"v1\",\"kind\":\"Mouse\"}}}},\"components\":" \
    "{\"schemas\":{\"io.y.v1.Mouse\":{\"type\":\"object\",\"properties\":{\"spec\":{\"type\":"     \
    "\"object\",\"properties\":{\"tail\":{\"type\":\"string\"}}}},\"x-kubernetes-group-version-"   \
    "kind\":[{\"group\":\"y.io\",\"version\":\"v1\",\"kind\":\"Mouse\"}]}}}}"

TEST(cli_schemas, a_folder_gives_openapi_documents_and_crds)
{
    static const char *const names[] = {"a.json", "b.yaml", "c.txt", NULL};
    char folder[] = "/tmp/kroc-schemas-XXXXXX";
    struct fixture f = {0};
    const kr_gvk mouse = {KR_S("y.io"), KR_S("v1"), KR_S("Mouse")};
    const struct cel_kind *kind;

    assert_non_null(mkdtemp(folder));
    write_file(folder, "a.json", OPENAPI);
    write_file(folder, "b.yaml", "a: not ours\n---\n" CRD("size"));
    write_file(folder, "c.txt", "{ not read");
    f.opts.paths = (struct cli_list){.n = 1, .at = {folder}};
    open_schemas(&f);
    kind = load(&f, mouse);
    assert_true(has_spec_field(kind, "tail"));
    assert_true(kr_str_is(kind->resource, "mice") && !kind->namespaced);
    assert_true(has_spec_field(load(&f, thing), "size"));
    assert_true(has_spec_field(load(&f, deployment), "replicas")); /* the built-in ones too */
    fini(&f);
    remove_folder(folder, names);
}

TEST(cli_schemas, a_path_without_schemas_is_an_error)
{
    static const char *const names[] = {"a.yaml", NULL};
    char folder[] = "/tmp/kroc-schemas-XXXXXX", want[256];
    struct cli_schemas_opts opts = {.paths = {.n = 1, .at = {folder}}};
    struct cli_schemas *s;
    struct kr_err err = KR_ERR_NONE;

    assert_non_null(mkdtemp(folder));
    write_file(folder, "a.yaml", "kind: Kustomization\n");
    assert_int_equal(cli_schemas_new(&opts, &s, &err), KR_E_INPUT);
    snprintf(want, sizeof(want), "--schemas: no OpenAPI document and no CRD in %s", folder);
    EXPECT_TEXT(err.text, want);
    write_file(folder, "a.yaml", "a: [\n");
    assert_int_equal(cli_schemas_new(&opts, &s, &err), KR_E_INPUT);
    assert_non_null(strstr(err.text, "/a.yaml: YAML line"));
    remove_folder(folder, names);
    assert_int_equal(cli_schemas_new(&opts, &s, &err), KR_E_INPUT);
    assert_true(strncmp(err.text, "--schemas: no file or folder", 28) == 0);
}

TEST(cli_schemas, a_cluster_that_does_not_answer_is_an_error_and_not_an_absent_kind)
{
    static const char *const names[] = {"config", NULL};
    char folder[] = "/tmp/kroc-schemas-XXXXXX", path[512];
    struct fixture f = {0};
    struct kr_err err = KR_ERR_NONE;
    const kr_gvk *missing;
    uint32_t n;

    assert_non_null(mkdtemp(folder));
    write_file(
        folder, "config",
        "apiVersion: v1\nkind: Config\ncurrent-context: x\n"
        "clusters: [{name: x, cluster: {server: \"http://127.0.0.1:1\"}}]\n"
        "contexts: [{name: x, context: {cluster: x, user: x}}]\nusers: [{name: x, user: {}}]\n");
    snprintf(path, sizeof(path), "%s/config", folder);
    f.opts.kubeconfig = path;
    open_schemas(&f);
    assert_int_equal(cli_schemas_load(f.s, &deployment, 1, &f.a, &missing, &n, &err), KR_E_IO);
    assert_non_null(strstr(err.text, "schemas of the cluster: "));
    add(&f, CRD("size")); /* what the input has needs no cluster */
    assert_true(has_spec_field(load(&f, thing), "size"));
    fini(&f);
    remove_folder(folder, names);
}

int main(void)
{
    return RUN(T(cli_schemas, kubernetes_own_types_are_there_without_a_cluster),
               T(cli_schemas, a_crd_of_the_input_brings_its_kind_as_a_server_publishes_it),
               T(cli_schemas, a_list_brings_what_is_in_it),
               T(cli_schemas, a_crd_that_cannot_be_read_is_an_error_that_names_file_and_crd),
               T(cli_schemas, a_definition_finds_the_kind_that_another_generates),
               T(cli_schemas, a_definition_comes_before_the_crd_it_would_change),
               T(cli_schemas, definitions_that_need_each_other_have_no_kind),
               T(cli_schemas, the_hint_says_why_or_what_would_be_right),
               T(cli_schemas, a_folder_gives_openapi_documents_and_crds),
               T(cli_schemas, a_path_without_schemas_is_an_error),
               T(cli_schemas, a_cluster_that_does_not_answer_is_an_error_and_not_an_absent_kind));
}
