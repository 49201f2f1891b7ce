/* SPDX-License-Identifier: Apache-2.0 */
/* template_test.c - the ${} scanner, and finding expressions along a schema and without one. */
#include "graph/internal.h"
#include "tests/graph/schemas.h"

static struct kr_arena A; /* of the running test */

static int finish(void **state)
{
    kr_arena_fini(&A);
    return 0;
}

/* "lit|{expr}|lit", "-" without expression, "error: text". */
static const char *scan(const char *text)
{
    const struct graph_piece *pieces;
    struct kr_err err = KR_ERR_NONE;
    kr_str out = KR_S("");
    uint32_t n;

    if (graph__scan(&A, kr_str_c(text), &pieces, &n, &err) < 0)
        return kr_fmt(&A, "error: %s", err.text).s;
    for (uint32_t i = 0; i < n; i++)
        out = kr_fmt(&A, pieces[i].expr ? KR_FMT "%s{" KR_FMT "}" : KR_FMT "%s" KR_FMT, KR_ARG(out),
                     i ? "|" : "", KR_ARG(pieces[i].text));
    return n ? out.s : "-";
}

TEST(graph_scan, finds_expressions_where_kro_does)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"", "-"},
        {"plain", "-"},
        {"${a.b}", "{a.b}"},
        {"prefix-${a.b}", "prefix-|{a.b}"},
        {"${a}${b}", "{a}|{b}"},
        {"  ${a}  ${b}  ", "  |{a}|  |{b}|  "},
        {"${r.map['key']}", "{r.map['key']}"},
        {"${incomplete", "-"},
        {"incomplete}", "-"},
        {"$not", "-"},
        {"$${x}", "$|{x}"},
        {"${a ${b", "error: nested expressions are not allowed unless inside string literals"},
        {"${outer(\"${inner}\")}", "{outer(\"${inner}\")}"},
        {"${\"}} {\"}", "{\"}} {\"}"},
        {"${a == \"x\\\"y\"}", "{a == \"x\\\"y\"}"},
        {"${c ? {'k': {}} : {}}", "{c ? {'k': {}} : {}}"},
        {"${}", "{}"},
        {"${    }", "{    }"},
        {"${'}'}", "{'}|'}"},
        {"${x.contains('\"')}", "-"},
        {"${a \" ${b}", "${a \" |{b}"},
        {"$", "-"},
        {"${", "-"},
    };

    for (size_t i = 0; i < KR_N(cases); i++)
        EXPECT_TEXT(scan(cases[i].text), cases[i].want);
}

TEST(graph_scan, many_unclosed_openings_end_in_an_error_not_in_a_hang)
{
    enum { N = 40000 };
    KR_AUTO(kr_buf) b = KR_BUF(8 * N);

    for (int i = 0; i < N; i++)
        kr_buf_fmt(&b, i % 2 ? "${" : "${\"");
    kr_buf_chr(&b, 0);
    assert_non_null(strstr(scan(b.s), "error: "));
}

static const char *cel(const char *text)
{
    const struct graph_piece *pieces;
    uint32_t n;

    assert_int_equal(graph__scan(&A, kr_str_c(text), &pieces, &n, NULL), 0);
    return kr_cstr(&A, graph__template_cel(&A, pieces, n));
}

TEST(graph_template, becomes_a_sum_of_strings)
{
    EXPECT_TEXT(cel("a-${e1}-b-${e2}-c"), "\"a-\" + (e1) + \"-b-\" + (e2) + \"-c\"");
    EXPECT_TEXT(cel("${a}${b}"), "(a) + (b)");
    EXPECT_TEXT(cel("say \"hello\" ${x}"), "\"say \\\"hello\\\" \" + (x)");
    EXPECT_TEXT(cel("a\n\t\\\x01${x}\xc3\xa9\xff"),
                "\"a\\n\\t\\\\\\x01\" + (x) + \"\xc3\xa9\\xff\"");
}

static const char *finds(const struct graph_finds *f)
{
    kr_str out = KR_S("");

    for (uint32_t i = 0; i < f->n; i++)
        out = kr_fmt(&A, KR_FMT KR_FMT " = " KR_FMT "\n", KR_ARG(out),
                     KR_ARG(f->items[i].path_text), KR_ARG(f->items[i].cel));
    for (uint32_t i = 0; i < f->plain_n; i++)
        out = kr_fmt(&A, KR_FMT "plain " KR_FMT "\n", KR_ARG(out), KR_ARG(f->plain[i]));
    return kr_cstr(&A, out);
}

static const char *find(const char *document, const char *schema)
{
    struct graph_diags d = {.a = &A};
    struct graph_finds f = {.a = &A, .d = &d};
    struct kr_err err = KR_ERR_NONE;
    const struct cel_schema *s = NULL;

    if (schema)
        EXPECT_OK(cel_schema_read(&A, test_json(&A, schema), &s, &err), &err);
    if (schema)
        graph__find(&f, test_json(&A, document), s);
    else
        graph__find_any(&f, test_json(&A, document));
    return graph_diags_err(&d, &err) < 0 ? kr_fmt(&A, "error: %s", err.text).s : finds(&f);
}

TEST(graph_find, walks_any_document)
{
    EXPECT_TEXT(
        find("{\"a\":{\"b\":[\"${x}\",1,null]},\"c.d\":\"p-${y}\",\"e\":{},\"f\":[]}", NULL),
        "a.b[0] = x\n[\"c.d\"] = \"p-\" + (y)\nplain a.b[1]\nplain a.b[2]\n");
}

#define INT_FIELD "{\"type\":\"object\",\"properties\":{\"f\":{\"type\":\"integer\"}}}"

TEST(graph_find, refuses_what_a_schema_does_not_admit)
{
    static const struct {
        const char *document, *schema, *want;
    } cases[] = {
        {"{\"f\":\"text\"}", INT_FIELD, "error: expected integer type for path f, got string"},
        {"{\"f\":1.5}", INT_FIELD, "error: expected integer type for path f, got float64"},
        {"{\"f\":[]}", INT_FIELD, "error: expected integer type for path f, got array"},
        {"{\"f\":{}}", INT_FIELD, "error: expected integer type for path f, got object"},
        {"{\"f\":true}", INT_FIELD, "error: expected integer type for path f, got boolean"},
        {"{\"f\":\"${x}\"}", INT_FIELD, "f = x\n"},
        {"{\"f\":\"a${x}\"}", INT_FIELD, "error: expected integer type for path f, got string"},
        {"{\"f\":null}", INT_FIELD, ""},
        {"{\"g\":1}", INT_FIELD,
         "error: error getting field schema for path .g: schema not found for field g"},
        {"{\"f\":1}", "{}",
         "error: schema at path  has no valid type, OneOf, AnyOf, or AdditionalProperties"},
        {"[1]", "{\"type\":\"array\"}",
         "error: invalid array schema for path : neither Items.Schema nor Properties are defined"},
        {"true", "{\"x-kubernetes-int-or-string\":true}",
         "error: expected string or integer type for path , got boolean"},
        {"{\"a\":{\"b\":[\"${x}\"]}}", "{\"x-kubernetes-preserve-unknown-fields\":true}",
         "a.b[0] = x\n"},
        {"{\"k\":\"${x}\"}", "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}",
         "k = x\n"},
    };

    for (size_t i = 0; i < KR_N(cases); i++)
        EXPECT_TEXT(find(cases[i].document, cases[i].schema), cases[i].want);
}

TEST(graph_find, stops_at_its_depth)
{
    struct graph_diags d = {.a = &A};
    struct graph_finds f = {.a = &A, .d = &d};
    struct kr_err err = KR_ERR_NONE;
    kr_val v = KR_V_STR("x");

    for (int i = 0; i <= GRAPH_DEPTH_MAX; i++) {
        kr_val *list = kr_new(&A, kr_val);

        *list = v;
        v = kr_list(list, 1);
    }
    graph__find_any(&f, v);
    assert_int_equal(graph_diags_err(&d, &err), KR_E_LIMIT);
}

/* --- compatibility tables --------------------------------------------------------------------- */

static bool wants_error(kr_val line)
{
    return kr_is_str(kr_at(line, "expect"), KR_S("error"));
}

/* Is text what the line says (`error` whole, `errors` one of them, else any)? */
static bool error_fits(kr_val line, const struct kr_err *err)
{
    kr_val whole = kr_at(line, "error"), any = kr_at(line, "errors");

    if (whole.kind == KR_STRING && !kr_is_str(whole, kr_err_str(err)))
        return false;
    KR_LIST_EACH (it, any) {
        if (kr_is_str(*it, kr_err_str(err)))
            return true;
    }
    return any.n == 0;
}

static int expression_case(struct kr_arena *a, kr_val line)
{
    kr_val input = kr_at(line, "input"), matches = kr_at(line, "matches");
    kr_str function = kr_at_str(line, "function"), text = kr_text(input);
    const struct graph_piece *pieces;
    struct kr_err err = KR_ERR_NONE;
    uint32_t n = 0, k = 0, rc = 0;

    if (kr_str_is(function, "unwrap")) {
        KR_LIST_EACH (it, input)
            rc |= graph__unwrap(a, kr_text(*it), &text, &err) < 0;
        return (bool)rc == wants_error(line) && (!rc || error_fits(line, &err));
    }
    if (kr_str_is(function, "standalone")) {
        int code = graph__unwrap(a, text, &text, &err);

        if (wants_error(line))
            return code < 0;
        return (code == 0) == kr_is_true(kr_at(line, "standalone"));
    }
    if (graph__scan(a, text, &pieces, &n, &err) < 0)
        return wants_error(line) && error_fits(line, &err);
    if (wants_error(line))
        return 0;
    if (kr_str_is(function, "template-to-cel"))
        return kr_is_str(kr_at(line, "cel"), graph__template_cel(a, pieces, n));
    for (uint32_t i = 0; i < n; i++) {
        if (!pieces[i].expr)
            continue;
        if (!kr_is_str(kr_at(kr_item(matches, k), "expr"), pieces[i].text) ||
            kr_at(kr_item(matches, k), "start").i != pieces[i].text.s - 2 - text.s)
            return 0;
        k++;
    }
    return k == matches.n;
}

static int has_finds(const struct graph_finds *f, kr_val wanted, bool exactly)
{
    uint32_t hit = 0;

    KR_LIST_EACH (it, wanted) {
        bool found = false;

        for (uint32_t i = 0; i < f->n; i++)
            found = found || (kr_is_str(kr_at(*it, "path"), f->items[i].path_text) &&
                              kr_is_str(kr_at(*it, "expression"), f->items[i].cel));
        hit += found;
    }
    return hit == wanted.n && (!exactly || wanted.n == f->n);
}

/* The types that the branches of a union admit, in kro's order. */
static int union_case(struct kr_arena *a, kr_val line)
{
    static const char *const names[] = {"",        "object", "array",  "string",
                                        "integer", "number", "boolean"};
    kr_val want = kr_at(line, "types"), v = kr_map_sorted(NULL, 0);
    const struct cel_schema *s;

    v = kr_with_key(a, v, KR_S("anyOf"), kr_at(line, "sub_schemas"));
    if (cel_schema_read(a, v, &s, NULL) < 0 || s->union_n != want.n)
        return 0;
    for (uint32_t i = 0; i < want.n; i++) {
        if (!kr_is_str(want.list[i], kr_str_c(names[s->union_types[i]])))
            return 0;
    }
    return 1;
}

static int parser_case(struct kr_arena *a, kr_val line)
{
    struct graph_diags d = {.a = a};
    struct graph_finds f = {.a = a, .d = &d};
    struct kr_err err = KR_ERR_NONE;
    const struct cel_schema *schema = NULL;
    kr_val wanted = kr_at(line, "expressions"), some = kr_at(line, "expressions_include");

    if (kr_is_str(kr_at(line, "function"), KR_S("subschema-types")))
        return union_case(a, line);
    if (kr_at(line, "function").kind == KR_STRING)
        return -1; /* a type "int", which no schema of an API server has */
    if (kr_at(line, "schema").kind == KR_MAP &&
        cel_schema_read(a, kr_at(line, "schema"), &schema, &err) < 0)
        return 0;
    graph__find(&f, kr_at(line, "resource"), schema);
    if (graph_diags_err(&d, &err) < 0)
        return wants_error(line) && error_fits(line, &err);
    if (wants_error(line))
        return 0;
    return (wanted.kind != KR_LIST || has_finds(&f, wanted, true)) &&
           (some.kind != KR_LIST || has_finds(&f, some, false));
}

static int schemaless_case(struct kr_arena *a, kr_val line)
{
    struct graph_diags d = {.a = a};
    struct graph_finds f = {.a = a, .d = &d};
    struct kr_err err = KR_ERR_NONE;
    kr_val plain = kr_at(line, "plain_paths");
    uint32_t hit = 0;

    graph__find_any(&f, kr_at(line, "resource"));
    if (graph_diags_err(&d, &err) < 0)
        return wants_error(line) && error_fits(line, &err);
    KR_LIST_EACH (it, plain) {
        for (uint32_t i = 0; i < f.plain_n; i++)
            hit += kr_is_str(*it, f.plain[i]);
    }
    return !wants_error(line) && hit == plain.n && has_finds(&f, kr_at(line, "expressions"), true);
}

TEST(graph_template, compatibility_tables)
{
    uint32_t failed;

    if (!cases_present())
        skip();
    assert_true(cases_each("validation/expressions.jsonl", expression_case, &failed) >= 42);
    assert_true(cases_each("validation/parser-schemaless.jsonl", schemaless_case, &failed) >= 9);
    assert_true(cases_each("validation/parser.jsonl", parser_case, &failed) >= 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_graph_scan_finds_expressions_where_kro_does, finish),
        cmocka_unit_test_teardown(
            test_graph_scan_many_unclosed_openings_end_in_an_error_not_in_a_hang, finish),
        cmocka_unit_test_teardown(test_graph_template_becomes_a_sum_of_strings, finish),
        cmocka_unit_test_teardown(test_graph_find_walks_any_document, finish),
        cmocka_unit_test_teardown(test_graph_find_refuses_what_a_schema_does_not_admit, finish),
        cmocka_unit_test_teardown(test_graph_find_stops_at_its_depth, finish),
        cmocka_unit_test_teardown(test_graph_template_compatibility_tables, finish),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
