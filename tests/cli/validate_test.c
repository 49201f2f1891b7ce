/* SPDX-License-Identifier: Apache-2.0 */
/* validate_test.c - `kroc validate`: verdicts, places in files, forms of output, exit codes; and the
 * stated verdict of every definition of the compatibility cases. */
#include "cli/cli.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/test.h"

#define CASES KROC_SHARED "/cases/"

/* --- running it ------------------------------------------------------------------------------- */

static char folder[] = "/tmp/kroc-validate-XXXXXX";
static int returned_to; /* the folder we came from */

static int begin(void **state)
{
    int here = open(".", O_RDONLY | O_CLOEXEC);

    (void)state;
    returned_to = here;
    return mkdtemp(folder) && here >= 0 && chdir(folder) == 0 ? 0 : -1;
}

static void clear(const char *path)
{
    struct dirent *entry;
    DIR *dir = opendir(path);

    for (entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
        KR_AUTO(kr_arena) a = {0};
        const char *full = kr_fmt(&a, "%s/%s", path, entry->d_name).s;

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (entry->d_type == DT_DIR)
            clear(full);
        else
            unlink(full);
    }
    if (dir)
        closedir(dir);
    rmdir(path);
}

static int end(void **state)
{
    int rc = fchdir(returned_to);

    (void)state;
    close(returned_to);
    clear(folder);
    return rc;
}

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(name, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* Runs the command with its output in *out; what stands on stdin is text. */
static int run(struct kr_arena *a, const char *text, const char **out, char **argv)
{
    int argc = 0, code, saved_out = dup(STDOUT_FILENO), saved_in = dup(STDIN_FILENO);
    FILE *to = tmpfile(), *in = tmpfile();
    kr_str got;

    while (argv[argc])
        argc++;
    assert_true(to && in);
    fputs(text, in);
    rewind(in);
    fflush(stdout);
    clearerr(stdin);
    dup2(fileno(to), STDOUT_FILENO);
    dup2(fileno(in), STDIN_FILENO);
    code = cli_validate(argc, argv);
    fflush(stdout);
    dup2(saved_out, STDOUT_FILENO);
    dup2(saved_in, STDIN_FILENO);
    close(saved_out);
    close(saved_in);
    assert_true(test_file(a, kr_fmt(a, "/proc/self/fd/%d", fileno(to)).s, &got));
    *out = kr_cstr(a, got);
    fclose(to);
    fclose(in);
    return code;
}

#define ARGS(...) ((char *[]){__VA_ARGS__, NULL})
#define ARG(text) (char *)(uintptr_t)(text)

/* --- text ------------------------------------------------------------------------------------- */

#define HEAD(name, kind)                                                                           \
    "apiVersion: kro.run/v1alpha1\nkind: ResourceGraphDefinition\nmetadata: {name: " name "}\n"    \
    "spec:\n  schema:\n    apiVersion: v1\n    kind: " kind "\n"

static const char good[] = HEAD("good", "Good") "    spec: {name: string}\n  resources: []\n";

TEST(cli_validate, an_error_has_its_line_its_caret_and_what_was_meant)
{
    KR_AUTO(kr_arena) a = {0};
    const char *out;

    write_file("app.yaml", "# two documents\n---\napiVersion: v1\nkind: Secret\n---\n" HEAD(
                               "app", "App") "    spec: {name: string, count: integer}\n"
                                             "  resources:\n"
                                             "  - id: settings\n"
                                             "    template:\n"
                                             "      apiVersion: v1\n"
                                             "      kind: ConfigMap\n"
                                             "      metadata: {name: \"${schema.spec.nmae}\"}\n"
                                             "      dta: {}\n"
                                             "      data:\n"
                                             "        a: |\n"
                                             "          one\n"
                                             "          ${schema.spec.cuont}\n"
                                             "        b: 7\n");
    assert_int_equal(run(&a, "", &out, ARGS(ARG("app.yaml"))), CLI_FAILED);
    EXPECT_TEXT(out,
                "app.yaml:25: spec.resources[0].template.data.b: a value of type integer does not "
                "fit\n"
                "    b: 7\n"
                "       ^\n"
                "  expected: string\n"
                "  put it in quotes: \"7\"\n"
                "app.yaml:20: spec.resources[0].template.dta: unknown field \"dta\"\n"
                "    dta: {}\n"
                "    ^\n"
                "  expected: one of apiVersion, binaryData, data, immutable, kind, metadata\n"
                "  did you mean \"data\"?\n"
                "app.yaml:24: spec.resources[0].template.data.a: undefined field 'cuont'\n"
                "    ${schema.spec.cuont}\n"
                "                 ^\n"
                "  expected: one of count, name\n"
                "  did you mean \"count\"?\n"
                "app.yaml:19: spec.resources[0].template.metadata.name: undefined field 'nmae'\n"
                "    metadata: {name: \"${schema.spec.nmae}\"}\n"
                "                                   ^\n"
                "  expected: one of count, name\n"
                "  did you mean \"name\"?\n"
                "1 definition, 0 valid: 4 errors, 0 warnings\n");
}

TEST(cli_validate, what_is_no_yaml_is_said_with_its_line)
{
    KR_AUTO(kr_arena) a = {0};
    const char *out;

    write_file("broken.yaml", "kind: x\n  b: [\n");
    assert_int_equal(run(&a, "", &out, ARGS(ARG("broken.yaml"))), CLI_FAILED);
    EXPECT_TEXT(out, "broken.yaml:2: document: YAML line 2, column 4: mapping values are not "
                     "allowed in this context\n"
                     "    b: [\n"
                     "     ^\n"
                     "1 definition, 0 valid: 1 error, 0 warnings\n");
}

/* --- exit codes ------------------------------------------------------------------------------- */

TEST(cli_validate, the_exit_code_tells_valid_invalid_and_misuse)
{
    KR_AUTO(kr_arena) a = {0};
    const char *out;

    write_file("good.yaml", good);
    write_file("none.yaml", "kind: Secret\n");
    assert_int_equal(run(&a, "", &out, ARGS(ARG("good.yaml"))), CLI_OK);
    EXPECT_TEXT(out, "1 definition, 1 valid: 0 errors, 0 warnings\n");
    assert_int_equal(run(&a, good, &out, ARGS(ARG("-"))), CLI_OK);
    assert_int_equal(run(&a, "", &out, ARGS(ARG("absent.yaml"))), CLI_USAGE);
    assert_int_equal(run(&a, "", &out, ARGS(ARG("none.yaml"))), CLI_USAGE);
    assert_int_equal(run(&a, "", &out, ARGS(ARG("--nope"), ARG("good.yaml"))), CLI_USAGE);
    assert_int_equal(run(&a, "", &out, (char *[]){NULL}), CLI_USAGE);
}

/* --- the document itself ---------------------------------------------------------------------- */

TEST(cli_validate, a_member_that_the_kind_does_not_have_is_an_error)
{
    KR_AUTO(kr_arena) a = {0};
    const char *out;

    write_file("typo.yaml", HEAD("a", "A") "    shortName: [a]\n"
                                           "  resuorces:\n"
                                           "  - id: b\n"
                                           "extra: {}\n");
    assert_int_equal(run(&a, "", &out, ARGS(ARG("typo.yaml"))), CLI_FAILED);
    EXPECT_TEXT(out, "typo.yaml:11: extra: unknown field \"extra\"\n"
                     "    extra: {}\n"
                     "    ^\n"
                     "  expected: one of apiVersion, kind, metadata, spec, status\n"
                     "typo.yaml:9: spec.resuorces: unknown field \"resuorces\"\n"
                     "    resuorces:\n"
                     "    ^\n"
                     "  expected: one of resources, schema\n"
                     "  did you mean \"resources\"?\n"
                     "typo.yaml:8: spec.schema.shortName: unknown field \"shortName\"\n"
                     "    shortName: [a]\n"
                     "    ^\n"
                     "  expected: one of additionalPrinterColumns, apiVersion, categories, group, "
                     "kind, metadata, scope, shortNames, spec, status, types\n"
                     "  did you mean \"shortNames\"?\n"
                     "1 definition, 0 valid: 3 errors, 0 warnings\n");
}

TEST(cli_validate, another_version_or_a_mistyped_kind_is_no_definition)
{
    KR_AUTO(kr_arena) a = {0};
    const char *out;

    write_file("version.yaml", "apiVersion: kro.run/v1\nkind: ResourceGraphDefinition\n"
                               "metadata: {name: a}\nspec:\n  schema: {apiVersion: v1, kind: A}\n");
    assert_int_equal(run(&a, "", &out, ARGS(ARG("version.yaml"))), CLI_FAILED);
    EXPECT_TEXT(out, "version.yaml:1: apiVersion: there is no version kro.run/v1 of this kind\n"
                     "    apiVersion: kro.run/v1\n"
                     "                ^\n"
                     "  expected: kro.run/v1alpha1\n"
                     "1 definition, 0 valid: 1 error, 0 warnings\n");
    write_file("kind.yaml", "apiVersion: kro.run/v1alpha1\nkind: ResourceGraphDefintion\n");
    assert_int_equal(run(&a, "", &out, ARGS(ARG("kind.yaml"))), CLI_USAGE);
}

TEST(cli_validate, a_field_name_that_yaml_reads_as_a_boolean_is_a_warning)
{
    KR_AUTO(kr_arena) a = {0};
    const char *out;

    write_file("n.yaml", HEAD("a", "A") "    spec:\n      size:\n        n: integer\n");
    assert_int_equal(run(&a, "", &out, ARGS(ARG("n.yaml"))), CLI_OK);
    EXPECT_TEXT(out, "n.yaml:9: warning: spec.schema.spec.size.false: the field is named "
                     "\"false\"\n"
                     "    size:\n"
                     "    ^\n"
                     "  YAML reads y, yes, on, n, no and off as true and false: put the name in "
                     "quotes\n"
                     "1 definition, 1 valid: 0 errors, 1 warning\n");
}

/* kro accepts these, and cannot write the CRD then. */
TEST(cli_validate, what_the_api_server_would_refuse_of_the_crd_is_a_warning)
{
    KR_AUTO(kr_arena) a = {0};
    const char *out;

    write_file("crd.yaml",
               HEAD("a", "A") "    group: Bad Group\n"
                              "    additionalPrinterColumns:\n"
                              "    - {name: X, type: text, jsonPath: spec.x}\n"
                              "    types: {Port: {number: integer}}\n"
                              "    spec:\n"
                              "      size: string | enum=\"s,m\" default=\"xl\"\n"
                              "      count: integer | minimum=2 default=1\n"
                              "      port: 'Port | default={\"nmber\":1}'\n"
                              "      r: integer | validation=\"self.x > 1\"\n"
                              "      b: integer | validation=\"self + 1\"\n"
                              "      fine: integer | validation=\"self > 1\" default=3\n");
    assert_int_equal(run(&a, "", &out, ARGS(ARG("crd.yaml"))), CLI_OK);
    EXPECT_TEXT(out, "crd.yaml:8: warning: spec.schema.group: the API server refuses the group "
                     "\"Bad Group\" of the CRD\n"
                     "    group: Bad Group\n"
                     "           ^\n"
                     "  expected: a domain with at least one dot: a-z, 0-9 and '-' in each part\n"
                     "crd.yaml:10: warning: spec.schema.additionalPrinterColumns[0].type: the API "
                     "server refuses the type \"text\" of a printer column\n"
                     "    - {name: X, type: text, jsonPath: spec.x}\n"
                     "                      ^\n"
                     "  expected: one of integer, number, string, boolean, date\n"
                     "crd.yaml:10: warning: spec.schema.additionalPrinterColumns[0].jsonPath: the "
                     "API server refuses the path \"spec.x\" of a printer column\n"
                     "    - {name: X, type: text, jsonPath: spec.x}\n"
                     "                                      ^\n"
                     "  expected: a path that begins with a dot, such as .spec.name\n"
                     "crd.yaml:17: warning: spec.schema.spec.b: the API server refuses the "
                     "validation rule \"self + 1\": cel expression must evaluate to a bool\n"
                     "    b: integer | validation=\"self + 1\"\n"
                     "       ^\n"
                     "crd.yaml:14: warning: spec.schema.spec.count: the API server refuses the "
                     "default 1: Invalid value: 1:  in body should be greater than or equal to 2\n"
                     "    count: integer | minimum=2 default=1\n"
                     "           ^\n"
                     "crd.yaml:15: warning: spec.schema.spec.port: the API server refuses the "
                     "default {\"nmber\":1}: the type has no field \"nmber\"\n"
                     "    port: 'Port | default={\"nmber\":1}'\n"
                     "          ^\n"
                     "crd.yaml:16: warning: spec.schema.spec.r: the API server refuses the "
                     "validation rule \"self.x > 1\": type 'int' does not support field selection\n"
                     "    r: integer | validation=\"self.x > 1\"\n"
                     "       ^\n"
                     "crd.yaml:13: warning: spec.schema.spec.size: the API server refuses the "
                     "default \"xl\": Unsupported value: \"xl\": supported values: \"s\", \"m\"\n"
                     "    size: string | enum=\"s,m\" default=\"xl\"\n"
                     "          ^\n"
                     "1 definition, 1 valid: 0 errors, 8 warnings\n");
    assert_int_equal(run(&a, "", &out, ARGS(ARG("--strict"), ARG("crd.yaml"))), CLI_FAILED);
}

TEST(cli_validate, a_kind_and_a_group_that_give_no_crd_are_warnings)
{
    KR_AUTO(kr_arena) a = {0};
    const char *out;

    write_file("long.yaml", HEAD("a", "Abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghi"
                                      "j") "    group: x.k8s.io\n");
    assert_int_equal(run(&a, "", &out, ARGS(ARG("long.yaml"))), CLI_OK);
    EXPECT_TEXT(out,
                "long.yaml:8: warning: spec.schema.group: the API server refuses a CRD of the "
                "protected group \"x.k8s.io\"\n"
                "    group: x.k8s.io\n"
                "           ^\n"
                "  spec.schema.metadata.annotations needs api-approved.kubernetes.io\n"
                "long.yaml:7: warning: spec.schema.kind: the API server refuses the CRD: its "
                "listKind \"AbcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijList\" "
                "has more than 63 characters\n"
                "    kind: Abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghij\n"
                "          ^\n"
                "1 definition, 1 valid: 0 errors, 2 warnings\n");
}

TEST(cli_validate, a_caret_stands_below_tabs_and_wide_characters)
{
    KR_AUTO(kr_arena) a = {0};
    const char *out;

    write_file("wide.yaml",
               HEAD("a", "A") "    spec: {name: string}\n  resources:\n  - id: config\n"
                              "    template:\n      apiVersion: v1\n      kind: ConfigMap\n"
                              "      metadata: {name: x}\n      data:\n"
                              "        a: \"\xe6\x97\xa5\xe6\x9c\xac e\xcc\x81 ${nope}\"\n"
                              "        b: |\n          one\n"
                              "          \ttwo\t${nope +\n            nope}\n");
    assert_int_equal(run(&a, "", &out, ARGS(ARG("wide.yaml"))), CLI_FAILED);
    EXPECT_TEXT(out, "wide.yaml:16: spec.resources[0].template.data.a: unknown name \"nope\"\n"
                     "    a: \"\xe6\x97\xa5\xe6\x9c\xac e\xcc\x81 ${nope}\"\n"
                     "                 ^\n"
                     "  expected: one of schema, config\n"
                     "wide.yaml:19: spec.resources[0].template.data.b: unknown name \"nope\"\n"
                     "    two ${nope +\n"
                     "          ^\n"
                     "  expected: one of schema, config\n"
                     "1 definition, 0 valid: 2 errors, 0 warnings\n");
}

TEST(cli_validate, a_link_to_a_folder_is_not_followed)
{
    KR_AUTO(kr_arena) a = {0};
    const char *out;

    assert_int_equal(mkdir("links", 0777), 0);
    write_file("links/good.yaml", good);
    assert_int_equal(symlink("..", "links/up"), 0);
    assert_int_equal(run(&a, "", &out, ARGS(ARG("links"))), CLI_OK);
    EXPECT_TEXT(out, "1 definition, 1 valid: 0 errors, 0 warnings\n");
}

TEST(cli_validate, a_spec_that_is_no_object_is_said_as_such)
{
    KR_AUTO(kr_arena) a = {0};
    const char *out;

    write_file("three.yaml", "apiVersion: kro.run/v1alpha1\nkind: ResourceGraphDefinition\n"
                             "metadata: {name: a}\nspec: 3\n");
    assert_int_equal(run(&a, "", &out, ARGS(ARG("three.yaml"))), CLI_FAILED);
    EXPECT_TEXT(out, "three.yaml:4: spec: must be of type object, got number\n"
                     "    spec: 3\n"
                     "          ^\n"
                     "  expected: object\n"
                     "1 definition, 0 valid: 1 error, 0 warnings\n");
}

static const char odd[] = HEAD("odd", "Odd") "    spec: {name: string}\n"
                                             "  resources:\n"
                                             "  - {id: w, template: {apiVersion: example.com/v1, "
                                             "kind: Widget, metadata: {name: x}}}\n";

TEST(cli_validate, a_kind_that_nobody_has_is_a_warning_unless_strict)
{
    KR_AUTO(kr_arena) a = {0};
    const char *out;

    write_file("odd.yaml", odd);
    assert_int_equal(run(&a, "", &out, ARGS(ARG("odd.yaml"))), CLI_OK);
    assert_non_null(strstr(out, "odd.yaml:10: warning: spec.resources[0].template.kind: unknown "
                                "kind example.com/v1, Kind=Widget\n"));
    assert_non_null(strstr(out, "1 definition, 1 valid: 0 errors, 1 warning\n"));
    assert_int_equal(run(&a, "", &out, ARGS(ARG("--strict"), ARG("odd.yaml"))), CLI_FAILED);
}

TEST(cli_validate, a_crd_of_the_input_or_of_schemas_gives_the_kind)
{
    static const char crd[] =
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"
        "metadata: {name: widgets.example.com}\n"
        "spec: {group: example.com, scope: Namespaced, names: {kind: Widget, plural: widgets},\n"
        "  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: "
        "object}}}]}\n";
    KR_AUTO(kr_arena) a = {0};
    const char *out;

    write_file("crd.yaml", crd);
    write_file("odd.yaml", odd);
    assert_int_equal(run(&a, "", &out, ARGS(ARG("--strict"), ARG("odd.yaml"), ARG("crd.yaml"))),
                     CLI_OK);
    assert_int_equal(run(&a, "", &out,
                         ARGS(ARG("--strict"), ARG("--schemas"), ARG("crd.yaml"), ARG("odd.yaml"))),
                     CLI_OK);
}

/* --- several definitions ---------------------------------------------------------------------- */

static const char outer[] =
    HEAD("outer", "Outer") "    spec: {name: string}\n"
                           "  resources:\n"
                           "  - {id: inner, template: {apiVersion: kro.run/v1, kind: Good,\n"
                           "      metadata: {name: x}, spec: {name: '${schema.spec.name}'}}}\n";

TEST(cli_validate, definitions_that_build_on_each_other_are_looked_at_together)
{
    KR_AUTO(kr_arena) a = {0};
    const char *out;

    mkdir("set", 0777);
    write_file("set/1.yaml", outer);
    write_file("set/2.yaml", good);
    write_file("set/.hidden.yaml", "kind: [\n");
    write_file("set/readme.txt", "kind: [\n");
    assert_int_equal(run(&a, "", &out, ARGS(ARG("--strict"), ARG("set"))), CLI_OK);
    EXPECT_TEXT(out, "2 definitions, 2 valid: 0 errors, 0 warnings\n");
    assert_int_equal(run(&a, "", &out, ARGS(ARG("--strict"), ARG("set/2.yaml"), ARG("set/1.yaml"))),
                     CLI_OK);
    assert_int_equal(run(&a, "", &out, ARGS(ARG("--strict"), ARG("set/1.yaml"))), CLI_FAILED);
}

TEST(cli_validate, the_order_of_files_does_not_change_the_verdicts)
{
    KR_AUTO(kr_arena) a = {0};
    const char *one, *other;

    write_file("1.yaml", outer);
    write_file("2.yaml", good);
    write_file("3.yaml", odd);
    assert_int_equal(run(&a, "", &one, ARGS(ARG("1.yaml"), ARG("2.yaml"), ARG("3.yaml"))), CLI_OK);
    assert_int_equal(run(&a, "", &other, ARGS(ARG("3.yaml"), ARG("2.yaml"), ARG("1.yaml"))),
                     CLI_OK);
    EXPECT_TEXT(one, other); /* the one warning, and the counts */
}

TEST(cli_validate, one_name_or_one_kind_twice_is_a_conflict)
{
    KR_AUTO(kr_arena) a = {0};
    const char *out;

    write_file("one.yaml", good);
    write_file("two.yaml", HEAD("two", "Good") "    spec: {}\n  resources: []\n");
    assert_int_equal(run(&a, "", &out, ARGS(ARG("one.yaml"), ARG("two.yaml"))), CLI_FAILED);
    EXPECT_TEXT(out, "two.yaml:7: spec.schema.kind: kind Good is generated by \"good\" "
                     "(one.yaml:1) too\n"
                     "    kind: Good\n"
                     "          ^\n"
                     "2 definitions, 1 valid: 1 error, 0 warnings\n");
    assert_int_equal(run(&a, "", &out, ARGS(ARG("one.yaml"), ARG("one.yaml"))), CLI_FAILED);
    assert_non_null(strstr(out, "one.yaml:3: metadata.name: one.yaml:1 is named \"good\" too\n"));
}

TEST(cli_validate, items_of_a_list_are_definitions)
{
    KR_AUTO(kr_arena) a = {0};
    const char *out;

    write_file("list.json",
               "{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [\n"
               " {\"apiVersion\": \"v1\", \"kind\": \"Secret\"},\n"
               " {\"apiVersion\": \"kro.run/v1alpha1\", \"kind\": \"ResourceGraphDefinition\",\n"
               "  \"metadata\": {\"name\": \"x\"},\n"
               "  \"spec\": {\"schema\": {\"apiVersion\": \"v1\", \"kind\": \"X\",\n"
               "    \"spec\": {\"a\": \"sting\"}}, \"resources\": []}}]}\n");
    assert_int_equal(run(&a, "", &out, ARGS(ARG("list.json"))), CLI_FAILED);
    EXPECT_TEXT(out, "list.json:6: spec.schema.spec.a: unknown type: sting\n"
                     "    \"spec\": {\"a\": \"sting\"}}, \"resources\": []}}]}\n"
                     "                   ^\n"
                     "  expected: a type: string, integer, boolean, float, object\n"
                     "  did you mean \"string\"?\n"
                     "1 definition, 0 valid: 1 error, 0 warnings\n");
}

/* --- for tools -------------------------------------------------------------------------------- */

TEST(cli_validate, json_yaml_and_sarif_have_what_the_text_has)
{
    KR_AUTO(kr_arena) a = {0};
    const char *json, *yaml, *sarif;
    kr_val v, finding, result;

    write_file("bad.yaml", HEAD("bad", "Bad") "    spec: {a: sting}\n  resources: []\n");
    assert_int_equal(run(&a, "", &json, ARGS(ARG("-ojson"), ARG("bad.yaml"))), CLI_FAILED);
    assert_int_equal(run(&a, "", &yaml, ARGS(ARG("-oyaml"), ARG("bad.yaml"))), CLI_FAILED);
    assert_int_equal(run(&a, "", &sarif, ARGS(ARG("-osarif"), ARG("bad.yaml"))), CLI_FAILED);
    v = test_json(&a, json);
    assert_true(kr_equal(v, test_yaml(&a, yaml)));
    finding = kr_item(kr_at(kr_item(kr_at(v, "definitions"), 0), "findings"), 0);
    assert_int_equal(kr_at(finding, "line").i, 8);
    assert_int_equal(kr_at(finding, "column").i, 15);
    assert_true(kr_is_str(kr_at(finding, "rule"), KR_S("invalid-schema")));
    assert_true(kr_is_str(kr_at(finding, "message"),
                          KR_S("failed to build resourcegraphdefinition \"bad\": failed to build "
                               "OpenAPI schema for instance: field a: unknown type: sting")));
    result = kr_item(kr_at(kr_item(kr_at(test_json(&a, sarif), "runs"), 0), "results"), 0);
    assert_true(kr_is_str(kr_at(result, "ruleId"), KR_S("invalid-schema")));
    assert_int_equal(
        kr_at(kr_item(kr_at(result, "locations"), 0), "physicalLocation.region.startLine").i, 8);
}

/* --- the compatibility cases ------------------------------------------------------------------ */

struct args {
    char *at[256];
    uint32_t n;
};

static void add_arg(struct args *args, const char *text)
{
    for (uint32_t i = 0; i < args->n; i++) {
        if (strcmp(args->at[i], text) == 0 && strncmp(text, "--", 2) != 0)
            return; /* a file once */
    }
    assert_true(args->n + 2 < KR_N(args->at));
    args->at[args->n++] = ARG(text);
    args->at[args->n] = NULL;
}

static kr_val case_info(struct kr_arena *a, const char *name)
{
    kr_str text;

    if (!test_file(a, kr_fmt(a, CASES "rgds/%s/case.json", name).s, &text))
        return KR_V_NONE;
    return test_json(a, kr_cstr(a, text));
}

/* --schemas for what the case needs: CRDs, and the definitions it builds on. */
static void add_needs(struct kr_arena *a, struct args *files, const char *name, uint32_t depth)
{
    kr_val info = case_info(a, name);

    assert_true(depth < 8);
    KR_LIST_EACH (it, kr_at(info, "gvks_needed")) {
        kr_str from = kr_at_str(*it, "from");

        if (kr_str_starts(from, KR_S("crds/")))
            add_arg(files, kr_fmt(a, CASES KR_FMT, KR_ARG(from)).s);
    }
    KR_LIST_EACH (it, kr_at(info, "depends_on_rgds")) {
        const char *other = kr_cstr(a, kr_text(*it));

        add_arg(files, kr_fmt(a, CASES "rgds/%s/rgd.yaml", other).s);
        add_needs(a, files, other, depth + 1);
    }
}

/* 1: the verdict is the stated one; 0: it is not; -1: none is stated. */
static int verdict_fits(struct kr_arena *a, const char *name)
{
    kr_val want = kr_at(case_info(a, name), "expect");
    struct args files = {0}, args = {0};
    const char *out;
    int code;

    if (want.kind != KR_STRING || kr_is_str(want, KR_S("unknown")))
        return -1;
    add_needs(a, &files, name, 0);
    for (uint32_t i = 0; i < files.n; i++)
        add_arg(&args, kr_fmt(a, "--schemas=%s", files.at[i]).s);
    add_arg(&args, "--strict");
    add_arg(&args, kr_fmt(a, CASES "rgds/%s/rgd.yaml", name).s);
    code = run(a, "", &out, args.at);
    if (code == (kr_is_str(want, KR_S("valid")) ? CLI_OK : CLI_FAILED))
        return 1;
    fprintf(stderr, "FAILED %s, exit code %d\n%s", name, code, out);
    return 0;
}

TEST(cli_validate, every_definition_of_the_cases_gets_its_stated_verdict)
{
    uint32_t passed = 0, failed = 0;
    struct dirent *entry;
    DIR *dir = opendir(CASES "rgds");

    if (!dir)
        skip();
    for (entry = readdir(dir); entry; entry = readdir(dir)) {
        KR_AUTO(kr_arena) a = {0};
        int rc = entry->d_name[0] == '.' ? -1 : verdict_fits(&a, entry->d_name);

        passed += rc == 1;
        failed += rc == 0;
    }
    closedir(dir);
    fprintf(stderr, "rgds: %u passed, %u failed\n", passed, failed);
    assert_int_equal(failed, 0);
    assert_true(passed >= 79);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(cli_validate, an_error_has_its_line_its_caret_and_what_was_meant),
        T(cli_validate, what_is_no_yaml_is_said_with_its_line),
        T(cli_validate, the_exit_code_tells_valid_invalid_and_misuse),
        T(cli_validate, a_member_that_the_kind_does_not_have_is_an_error),
        T(cli_validate, another_version_or_a_mistyped_kind_is_no_definition),
        T(cli_validate, a_field_name_that_yaml_reads_as_a_boolean_is_a_warning),
        T(cli_validate, what_the_api_server_would_refuse_of_the_crd_is_a_warning),
        T(cli_validate, a_kind_and_a_group_that_give_no_crd_are_warnings),
        T(cli_validate, a_caret_stands_below_tabs_and_wide_characters),
        T(cli_validate, a_link_to_a_folder_is_not_followed),
        T(cli_validate, a_spec_that_is_no_object_is_said_as_such),
        T(cli_validate, a_kind_that_nobody_has_is_a_warning_unless_strict),
        T(cli_validate, a_crd_of_the_input_or_of_schemas_gives_the_kind),
        T(cli_validate, definitions_that_build_on_each_other_are_looked_at_together),
        T(cli_validate, the_order_of_files_does_not_change_the_verdicts),
        T(cli_validate, one_name_or_one_kind_twice_is_a_conflict),
        T(cli_validate, items_of_a_list_are_definitions),
        T(cli_validate, json_yaml_and_sarif_have_what_the_text_has),
        T(cli_validate, every_definition_of_the_cases_gets_its_stated_verdict),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
