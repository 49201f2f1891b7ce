/* SPDX-License-Identifier: Apache-2.0 */
/* diag_test.c - all that is wrong with a definition: each thing once, with its place and what was
 * meant; the first in kro's words. */
#include "graph/internal.h"
#include "tests/graph/schemas.h"

#include <stdio.h>

/* --- a small cluster -------------------------------------------------------------------------- */

static struct cel_kinds *cluster(struct kr_arena *a)
{
    static const char schema[] =
        "type: object\nproperties:\n"
        "  apiVersion: {type: string}\n  kind: {type: string}\n"
        "  metadata: {type: object, properties: {name: {type: string}, namespace: {type: "
        "string}}}\n"
        "  data: {type: object, additionalProperties: {type: string}}\n"
        "  spec: {type: object, properties: {replicas: {type: integer}, ratio: {type: number},\n"
        "    items: {type: array, items: {type: object, properties: {name: {type: string}}}}}}\n"
        "  status: {type: object, properties: {ready: {type: boolean}, count: {type: integer}}}\n";
    struct cel_kinds *kinds = cel_kinds_new();
    struct kr_err err = KR_ERR_NONE;
    kr_gvk gvk = {KR_S(""), KR_S("v1"), KR_S("Thing")};

    EXPECT_OK(cel_kinds_add_schema(kinds, gvk, KR_S("things"), true, test_yaml(a, schema), &err),
              &err);
    return kinds;
}

static const kr_gvk missing = {{NULL, 0}, {"v1", 2}, {"Missing", 7}};

static int build(struct kr_arena *a, const char *yaml, bool defer, struct graph_diags *d,
                 struct kr_err *err)
{
    struct cel_kinds *kinds = cluster(a);
    struct graph_source src = {.name = KR_S("test"),
                               .spec = kr_at(test_yaml(a, yaml), "spec"),
                               .missing = &missing,
                               .missing_n = 1,
                               .defer = defer,
                               .diags = d};
    struct graph_rev *rev = NULL;
    const kr_gvk *needs;
    uint32_t n;
    int rc = graph_build(&src, kinds, a, &rev, &needs, &n, err);

    cel_kinds_free(kinds);
    graph_rev_drop(rev);
    return rc;
}

/* All findings as text, which lives in a. */
static const char *findings(struct kr_arena *a, const struct graph_diags *d)
{
    kr_str out = KR_S("");

    for (uint32_t i = 0; i < d->n; i++) {
        const struct graph_diag *x = &d->items[i];

        out = kr_fmt(a, KR_FMT "%s" KR_FMT ": " KR_FMT "\n" KR_FMT, KR_ARG(out),
                     x->warning ? "warning " : "", KR_ARG(x->path), KR_ARG(x->text),
                     KR_ARG(graph_diag_snippet(a, x, "    ")));
        if (x->expected.n)
            out = kr_fmt(a, KR_FMT "  expected: " KR_FMT "\n", KR_ARG(out), KR_ARG(x->expected));
        if (x->suggestion.n)
            out = kr_fmt(a, KR_FMT "  " KR_FMT "\n", KR_ARG(out), KR_ARG(x->suggestion));
    }
    return kr_cstr(a, out);
}

static void expect(const char *yaml, const char *want)
{
    KR_AUTO(kr_arena) a = {0};
    struct graph_diags d = {.a = &a};
    struct kr_err err = KR_ERR_NONE;
    int rc = build(&a, yaml, false, &d, &err);

    assert_int_equal(rc<0, d.errors_n> 0);
    EXPECT_TEXT(findings(&a, &d), want);
    if (rc == 0)
        return;
    assert_true(kr_str_eq(kr_err_str(&err), d.items[0].message)); /* kro's words, whole */
    assert_true(kr_str_eq(kr_str_c(err.at), d.items[0].path));
}

#define SCHEMA "schema: {apiVersion: v1, kind: App, spec: {name: string, count: integer}}"
#define THING "apiVersion: v1, kind: Thing, metadata: {name: x}"

/* --- what is found ---------------------------------------------------------------------------- */

TEST(graph_diag, all_errors_of_a_definition_are_found_at_once)
{
    expect("spec:\n"
           "  schema:\n"
           "    apiVersion: v1\n"
           "    kind: app\n"
           "    spec: {name: strng, count: 'integer | minimun=1'}\n"
           "    status: {a: x, b: '${thng.status.ready}'}\n"
           "  resources:\n"
           "  - id: my-thing\n"
           "    includeWhen: ['${schema.spec.nme}']\n"
           "    template: {" THING ", dat: {}}\n"
           "  - id: thing\n"
           "    template: {" THING ", spec: {replicas: many}, data: {k: 'a-${schema.metadta}'}}\n",
           "spec.schema.kind: kind \"app\" is not UpperCamelCase\n"
           "    app\n"
           "    ^\n"
           "  expected: UpperCamelCase: an upper-case letter, then letters and digits\n"
           "  did you mean \"App\"?\n"
           "spec.resources[0].id: id \"my-thing\" is not lower camelCase\n"
           "    my-thing\n"
           "    ^\n"
           "  expected: lower camelCase: a lower-case letter, then letters and digits\n"
           "  did you mean \"myThing\"?\n"
           "spec.schema.spec.count: invalid marker key \"minimun\": unknown marker: minimun\n"
           "    integer | minimun=1\n"
           "              ^\n"
           "  expected: a marker: required, default, description, minimum, maximum, validation, "
           "enum, immutable, pattern, minLength, maxLength, uniqueItems, minItems, maxItems, "
           "listType, listMapKey\n"
           "  did you mean \"minimum\"?\n"
           "spec.schema.spec.name: unknown type: strng\n"
           "    strng\n"
           "    ^\n"
           "  expected: a type: string, integer, boolean, float, object\n"
           "  did you mean \"string\"?\n"
           "spec.resources[0].template.dat: unknown field \"dat\"\n"
           "    dat\n"
           "    ^\n"
           "  expected: one of apiVersion, data, kind, metadata, spec, status\n"
           "  did you mean \"data\"?\n"
           "spec.resources[1].template.spec.replicas: a value of type string does not fit\n"
           "    many\n"
           "    ^\n"
           "  expected: integer\n"
           "spec.resources[0].includeWhen[0]: undefined field 'nme'\n"
           "    schema.spec.nme\n"
           "               ^\n"
           "  expected: one of count, name\n"
           "  did you mean \"name\"?\n"
           "spec.resources[1].template.data.k: undefined field 'metadta'\n"
           "    a-${schema.metadta}\n"
           "              ^\n"
           "  expected: one of apiVersion, kind, metadata, spec\n"
           "  did you mean \"metadata\"?\n"
           "spec.schema.status.a: a status field needs an expression\n"
           "  expected: ${...} that refers to a resource or to schema\n"
           "spec.schema.status.b: unknown name \"thng\"\n"
           "    thng.status.ready\n"
           "    ^\n"
           "  expected: one of schema, my-thing, thing\n"
           "  did you mean \"thing\"?\n");
}

TEST(graph_diag, expressions_are_explained)
{
    static const struct {
        const char *resource, *want;
    } cases[] = {
        {"{id: a, template: {" THING ", data: {k: '${schema.spec.name +}'}}}",
         "spec.resources[0].template.data.k: Syntax error: mismatched input '<EOF>' expecting "
         "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, "
         "STRING, BYTES, IDENTIFIER}\n"
         "    schema.spec.name +\n"
         "                      ^\n"},
        {"{id: a, template: {" THING ", data: {k: '${schema.spec.name.lowerAscij()}'}}}",
         "spec.resources[0].template.data.k: undeclared reference to 'lowerAscij' (in container "
         "'')\n"
         "    schema.spec.name.lowerAscij()\n"
         "                               ^\n"
         "  did you mean \"lowerAscii\"?\n"},
        {"{id: a, template: {" THING ", data: {k: '${strin(schema.spec.name)}'}}}",
         "spec.resources[0].template.data.k: unknown function \"strin\"\n"
         "    strin(schema.spec.name)\n"
         "    ^\n"
         "  did you mean \"string\"?\n"},
        {"{id: a, template: {" THING ", data: {k: '${schema.spec.count}'}}}",
         "spec.resources[0].template.data.k: the expression has type int, the field string\n"
         "    schema.spec.count\n"
         "    ^\n"
         "  expected: string\n"
         "  convert it: string(schema.spec.count)\n"},
        {"{id: a, template: {" THING
         ", data: {k: \"x\\n ${schema.spec.name}\\n ${schema.spec.nme}\"}}}",
         "spec.resources[0].template.data.k: undefined field 'nme'\n"
         "     ${schema.spec.nme}\n"
         "                  ^\n"
         "  expected: one of count, name\n"
         "  did you mean \"name\"?\n"},
        {"{id: a, template: {" THING ", data: {k: '${a.data.x}'}}}",
         "spec.resources[0].template.data.k: a resource cannot refer to itself here\n"
         "    a.data.x\n"
         "    ^\n"},
        {"{id: a, readyWhen: ['${a.status.cont == 1}', '${b.x}'], template: {" THING "}}",
         "spec.resources[0].readyWhen[0]: undefined field 'cont'\n"
         "    a.status.cont == 1\n"
         "            ^\n"
         "  expected: one of count, ready\n"
         "  did you mean \"count\"?\n"
         "spec.resources[0].readyWhen[1]: readyWhen cannot use \"b\"\n"
         "    b.x\n"
         "    ^\n"
         "  expected: only a\n"},
        {"{id: a, includeWhen: ['schema.spec.name == \"\"'], template: {" THING "}}",
         "spec.resources[0].includeWhen[0]: only standalone expressions are allowed\n"
         "    schema.spec.name == \"\"\n"
         "    ^\n"
         "  expected: one ${...} and nothing else\n"
         "  write ${schema.spec.name == \"\"}\n"},
        {"{id: a, template: {" THING ", data: {k: '${a ${b}}'}}}",
         "spec.resources[0].template.data.k: nested expressions are not allowed unless inside "
         "string literals\n"
         "    ${a ${b}}\n"
         "        ^\n"
         "  expected: \"}\" that ends the expression, before another one begins\n"},
        {"{id: a, forEach: [{i: '${schema.spec.name}'}], template: {apiVersion: v1, kind: Thing, "
         "metadata: {name: '${i}'}}}",
         "spec.resources[0].forEach[0].i: the expression has type \"string\"\n"
         "    schema.spec.name\n"
         "    ^\n"
         "  expected: a list\n"},
    };

    for (size_t i = 0; i < KR_N(cases); i++) {
        KR_AUTO(kr_arena) a = {0};

        expect(kr_fmt(&a, "spec: {" SCHEMA ", resources: [%s]}", cases[i].resource).s,
               cases[i].want);
    }
}

TEST(graph_diag, two_mistakes_of_one_expression_are_two_findings)
{
    expect("spec: {" SCHEMA ", resources: [{id: a, template: {" THING
           ", data: {k: '${schema.spec.nme + schema.spec.cunt}'}}}]}",
           "spec.resources[0].template.data.k: undefined field 'nme'\n"
           "    schema.spec.nme + schema.spec.cunt\n"
           "               ^\n"
           "  expected: one of count, name\n"
           "  did you mean \"name\"?\n"
           "spec.resources[0].template.data.k: undefined field 'cunt'\n"
           "    schema.spec.nme + schema.spec.cunt\n"
           "                                 ^\n"
           "  expected: one of count, name\n"
           "  did you mean \"count\"?\n");
}

/* --- what is not ------------------------------------------------------------------------------ */

TEST(graph_diag, what_follows_from_an_error_is_not_told)
{
    /* a type that is not known, a kind that is not known, a broken dimension, a bad custom type */
    expect(
        "spec: {schema: {apiVersion: v1, kind: App, spec: {p: Prt, q: 'Port | minimum=1'},\n"
        "  types: {Port: intger}, status: {s: '${gone.status.x.y}'}},\n"
        "  resources: [\n"
        "  {id: gone, readyWhen: ['${gone.status.ok}'], template: {apiVersion: v1, kind: Missing,\n"
        "    metadata: {name: x}, spec: {anything: '${schema.spec.p}'}}},\n"
        "  {id: a, includeWhen: ['${gone.status.ok}'], template: {" THING
        ", spec: {replicas: '${schema.spec.p}'},\n"
        "    data: {k: '${gone.spec.nope}', l: '${schema.spec.q}'}}},\n"
        "  {id: b, forEach: [{i: '${gone.list}'}, {j: '${nothing}'}], template: {apiVersion: v1,\n"
        "    kind: Thing, metadata: {name: '${i.x + j.y}'}}}]}",
        "spec.schema.types.Port: unknown type: intger\n"
        "    intger\n"
        "    ^\n"
        "  expected: a type: string, integer, boolean, float, object, Port\n"
        "  did you mean \"integer\"?\n"
        "spec.schema.spec.p: unknown type: Prt\n"
        "    Prt\n"
        "    ^\n"
        "  expected: a type: string, integer, boolean, float, object, Port\n"
        "  did you mean \"Port\"?\n"
        "spec.resources[0].template.kind: unknown kind v1, Kind=Missing\n"
        "    Missing\n"
        "    ^\n"
        "spec.resources[2].forEach[1].j: unknown name \"nothing\"\n"
        "    nothing\n"
        "    ^\n"
        "  expected: one of schema, gone, a, b, i, j\n");
}

TEST(graph_diag, a_cycle_is_told_once_where_it_closes)
{
    expect("spec: {" SCHEMA ", resources: [\n"
           "  {id: a, template: {" THING ", data: {k: '${b.data.x}'}}},\n"
           "  {id: b, template: {" THING ", data: {k: '${c.data.x}'}}},\n"
           "  {id: c, template: {" THING ", data: {j: '${a.data.x}', k: '${a.dat}'}}}]}",
           "spec.resources[2].template.data.j: graph contains a cycle: a -> b -> c -> a\n"
           "    a.data.x\n"
           "    ^\n"
           "spec.resources[2].template.data.k: undefined field 'dat'\n"
           "    a.dat\n"
           "     ^\n"
           "  expected: one of apiVersion, data, kind, metadata, spec, status\n"
           "  did you mean \"data\"?\n");
}

TEST(graph_diag, a_deferred_kind_is_a_warning_and_the_rest_is_checked)
{
    static const char gone[] =
        "{id: gone, template: {apiVersion: v1, kind: Missing, metadata: {}}}";
    KR_AUTO(kr_arena) a = {0};
    struct graph_diags d = {.a = &a}, e = {.a = &a};
    struct kr_err err = KR_ERR_NONE;

    assert_int_equal(
        build(&a, kr_fmt(&a, "spec: {" SCHEMA ", resources: [%s]}", gone).s, true, &d, &err), 0);
    assert_int_equal(d.n, 1);
    assert_int_equal(d.errors_n, 0);
    assert_true(d.items[0].warning && kr_gvk_eq(d.items[0].gvk, missing));
    assert_true(
        build(&a,
              kr_fmt(&a,
                     "spec: {" SCHEMA ", resources: [%s, {id: a, template: {" THING ", dta: {}}}]}",
                     gone)
                  .s,
              true, &e, &err) < 0);
    assert_int_equal(e.n, 2);
    assert_int_equal(e.errors_n, 1);
    assert_true(kr_str_eq(kr_str_c(err.at), e.items[1].path)); /* not the warning */
}

TEST(graph_diag, findings_over_the_limit_are_counted)
{
    KR_AUTO(kr_arena) a = {0};
    KR_AUTO(kr_buf) text = KR_BUF(1 << 20);
    struct graph_diags d = {.a = &a};
    struct kr_err err = KR_ERR_NONE;

    kr_buf_fmt(&text, "spec: {" SCHEMA ", resources: [{id: a, template: {" THING ", spec: {");
    for (int i = 0; i < GRAPH_DIAGS_MAX + 7; i++)
        kr_buf_fmt(&text, "x%d: 1, ", i);
    kr_buf_fmt(&text, "}}}]}");
    assert_true(build(&a, kr_cstr(&a, kr_buf_view(&text)), false, &d, &err) < 0);
    assert_int_equal(d.n, GRAPH_DIAGS_MAX);
    assert_int_equal(d.left_out, 7);
    assert_int_equal(d.errors_n, GRAPH_DIAGS_MAX + 7);
}

TEST(graph_diag, an_error_takes_the_place_of_a_warning_when_the_list_is_full)
{
    KR_AUTO(kr_arena) a = {0};
    struct graph_diags d = {.a = &a};
    struct kr_err err = KR_ERR_NONE;

    for (int i = 0; i < GRAPH_DIAGS_MAX; i++)
        graph__diag_warn(&d, graph__diag(&d, GRAPH_R_UNKNOWN_KIND, KR_S("spec.x"), "w%d", i));
    graph__diag(&d, GRAPH_R_CYCLE, KR_S("spec.y"), "error");
    assert_int_equal(d.n, GRAPH_DIAGS_MAX);
    assert_int_equal(d.left_out, 1);
    assert_int_equal(graph_diags_err(&d, &err), KR_E_INPUT);
    EXPECT_TEXT(err.text, "error");
    EXPECT_TEXT(err.at, "spec.y");
}

TEST(graph_diag, members_of_a_wrong_type_are_named)
{
    expect("spec: {schema: {apiVersion: 1, kind: App, spec: [], shortNames: [1, a]}, resources: [\n"
           "  {id: a, template: [], forEach: [{a: 1}], readyWhen: x}, 7]}",
           "spec.schema.apiVersion: must be of type string, got number\n"
           "  expected: string\n"
           "spec.schema.spec: must be of type object, got array\n"
           "  expected: object\n"
           "spec.schema.shortNames[0]: must be of type string, got number\n"
           "  expected: string\n"
           "spec.resources[0].template: must be of type object, got array\n"
           "  expected: object\n"
           "spec.resources[0].readyWhen: must be of type array, got string\n"
           "  expected: array\n"
           "spec.resources[0].forEach[0]: must be an object with one member of type string\n"
           "  expected: iteratorName: ${list}\n"
           "spec.resources[1]: must be of type object, got number\n"
           "  expected: object\n");
}

TEST(graph_diag, paths_come_apart_into_names)
{
    KR_AUTO(kr_arena) a = {0};
    uint32_t n;
    const kr_str *names =
        graph_diag_names(&a, KR_S("spec.resources[12].template.data[\"a.b\"]"), &n);

    assert_int_equal(n, 6);
    assert_true(kr_str_is(names[2], "12") && kr_str_is(names[5], "a.b"));
}

int main(void)
{
    return RUN(T(graph_diag, all_errors_of_a_definition_are_found_at_once),
               T(graph_diag, expressions_are_explained),
               T(graph_diag, two_mistakes_of_one_expression_are_two_findings),
               T(graph_diag, what_follows_from_an_error_is_not_told),
               T(graph_diag, a_cycle_is_told_once_where_it_closes),
               T(graph_diag, a_deferred_kind_is_a_warning_and_the_rest_is_checked),
               T(graph_diag, findings_over_the_limit_are_counted),
               T(graph_diag, an_error_takes_the_place_of_a_warning_when_the_list_is_full),
               T(graph_diag, members_of_a_wrong_type_are_named),
               T(graph_diag, paths_come_apart_into_names));
}
