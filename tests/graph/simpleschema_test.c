/* SPDX-License-Identifier: Apache-2.0 */
/* simpleschema_test.c - types, markers, structs, custom types. */
#include "graph/internal.h"
#include "tests/graph/schemas.h"

#include <stdio.h>

static const char *build(struct kr_arena *a, const char *spec, const char *types)
{
    struct kr_err err = KR_ERR_NONE;
    struct graph_diags d = {.a = a};
    kr_val schema =
        graph__simpleschema(test_yaml(a, spec), types ? test_yaml(a, types) : KR_V_NONE, &d);

    if (graph_diags_err(&d, &err) < 0)
        return kr_fmt(a, "error: %s", err.text).s;
    return kr_cstr(a, kr_json_str(a, schema));
}

TEST(graph_simpleschema, worked_examples)
{
    static const struct {
        const char *spec, *types, *want;
    } cases[] = {
        {"{}", NULL, "{\"type\":\"object\"}"},
        {"a: string | required=true", NULL,
         "{\"properties\":{\"a\":{\"type\":\"string\"}},\"required\":[\"a\"],\"type\":\"object\"}"},
        {"a: integer | default=18", NULL,
         "{\"default\":{},\"properties\":{\"a\":{\"default\":18,\"type\":\"integer\"}},\"type\":"
         "\"object\"}"},
        {"a: float | minimum=0.5 maximum=99", NULL,
         "{\"properties\":{\"a\":{\"maximum\":99,\"minimum\":0.5,\"type\":\"number\"}},\"type\":"
         "\"object\"}"},
        {"a: '[]map[string]integer'", NULL,
         "{\"properties\":{\"a\":{\"items\":{\"additionalProperties\":{\"type\":\"integer\"},"
         "\"type\":\"object\"},"
         "\"type\":\"array\"}},\"type\":\"object\"}"},
        {"a: {b: 'boolean | default=T', c: string}", NULL,
         "{\"default\":{},\"properties\":{\"a\":{\"default\":{},\"properties\":{\"b\":{\"default\":"
         "true,\"type\":"
         "\"boolean\"},\"c\":{\"type\":\"string\"}},\"type\":\"object\"}},\"type\":\"object\"}"},
        {"a: P | default=9", "P: integer | default=8 minimum=1",
         "{\"default\":{},\"properties\":{\"a\":{\"default\":9,\"minimum\":1,\"type\":\"integer\"}}"
         ",\"type\":"
         "\"object\"}"},
        {"a: 'string | default=\"x \\\"y\\\"\"'", NULL,
         "{\"default\":{},\"properties\":{\"a\":{\"default\":\"x "
         "\\\"y\\\"\",\"type\":\"string\"}},\"type\":"
         "\"object\"}"},
        {"a: R | required=true", "R: string | required=true",
         "{\"properties\":{\"a\":{\"type\":\"string\"}},\"required\":[\"a\"],\"type\":\"object\"}"},
        {"a: 'string required=true'", NULL, "error: field a: unknown type: string required=true"},
        {"a: 5", NULL, "error: field a: unexpected type: int64"},
        {"a: {b: nope}", NULL, "error: field a: field b: unknown type: nope"},
        {"a: A", "{A: B, B: A}",
         "error: cyclic dependency in type B: graph contains a cycle: A -> B -> A"},
        {"a: string", "{X: Odd}", "error: node Odd does not exist"},
        {"a: string", "{X: 5}", "error: parsing type X: unexpected type: int64"},
        {"a: string", "{X: {f: 5}}", "error: parsing type X: field f: unexpected type: int64"},
        {"a: 'boolean | enum=\"x\"'", NULL,
         "error: field a: enum values only supported for string and integer types, got type: "
         "boolean"},
        {"a: 'string | pattern=\"(\"'", NULL,
         "error: field a: invalid pattern regex: error parsing regexp: missing closing ): `(`"},
        {"a: 'string | default=\"'", NULL, "error: field a: unclosed quote"},
        {"a: 'integer | default=NaN'", NULL,
         "error: field a: default value must be a valid integer, got: NaN"},
        {"a: 'object | default={x'", NULL, "error: field a: unclosed bracket/brace"},
        {"a: 'object | default={x}'", NULL,
         "error: field a: default value must be valid JSON, got: {x}"},
    };

    for (size_t i = 0; i < KR_N(cases); i++) {
        KR_AUTO(kr_arena) a = {0};

        EXPECT_TEXT(build(&a, cases[i].spec, cases[i].types), cases[i].want);
    }
}

/* --- compatibility tables --------------------------------------------------------------------- */

static bool error_fits(kr_val line, const struct kr_err *err)
{
    kr_val any = kr_at(line, "errors"), text = kr_at(line, "error");
    bool wanted = kr_is_true(text) || text.kind == KR_STRING || any.n;

    if (!wanted || (text.kind == KR_STRING && kr_str_find(kr_err_str(err), kr_text(text)) < 0))
        return false;
    KR_LIST_EACH (it, any) {
        if (kr_is_str(*it, kr_err_str(err)) || kr_str_ends(kr_text(*it), kr_err_str(err)))
            return true;
    }
    if (any.n)
        fprintf(stderr, "  got  %s\n  want " KR_FMT "\n", err->text, KR_ARG(kr_text(any.list[0])));
    return any.n == 0;
}

static bool wants_error(kr_val line)
{
    return kr_is_true(kr_at(line, "error")) || kr_at(line, "error").kind == KR_STRING ||
           kr_is_str(kr_at(line, "expect"), KR_S("error"));
}

static bool holds(kr_val have, kr_val part)
{
    KR_MAP_EACH (it, part) {
        if (!kr_equal(kr_get(have, kr_text(it->key)), it->val))
            return false;
    }
    return true;
}

static int schema_case(struct kr_arena *a, kr_val line)
{
    struct kr_err err = KR_ERR_NONE;
    struct graph_diags d = {.a = a};
    kr_val want = kr_at(line, "schema");
    kr_val got = graph__simpleschema(kr_at(line, "input"), kr_at(line, "types"), &d);

    if (graph_diags_err(&d, &err) < 0)
        return error_fits(line, &err);
    if (wants_error(line))
        return 0;
    if (want.kind != KR_NONE && !kr_equal(got, want)) {
        fprintf(stderr, "  got  " KR_FMT "\n  want " KR_FMT "\n", KR_ARG(kr_json_str(a, got)),
                KR_ARG(kr_json_str(a, want)));
        return 0;
    }
    return holds(got, kr_at(line, "schema_partial"));
}

static int marker_parse_case(struct kr_arena *a, kr_val line)
{
    kr_val want = kr_at(line, "markers");
    const struct graph_marker *got;
    struct kr_err err = KR_ERR_NONE;
    uint32_t n;

    if (graph__markers(a, kr_at_str(line, "input"), &got, &n, &err) < 0)
        return error_fits(line, &err);
    for (uint32_t i = 0; i < n; i++) {
        if (!kr_is_str(kr_at(kr_item(want, i), "key"), got[i].key) ||
            !kr_is_str(kr_at(kr_item(want, i), "value"), got[i].value))
            return 0;
    }
    return !wants_error(line) && n == want.n;
}

static int marker_apply_case(struct kr_arena *a, kr_val line)
{
    kr_val schema =
        kr_with_key(a, kr_map_sorted(NULL, 0), KR_S("type"), kr_at(line, "schema_type"));
    kr_val want = kr_at(line, "schema");
    const struct graph_marker *markers;
    struct kr_err err = KR_ERR_NONE;
    bool required = false;
    uint32_t n;

    if (graph__markers(a, kr_at_str(line, "markers"), &markers, &n, &err) < 0 ||
        graph__markers_apply(a, markers, n, &schema, &required, &err) < 0)
        return error_fits(line, &err);
    return !wants_error(line) && (want.kind == KR_NONE || kr_equal(schema, want)) &&
           required == (kr_at(line, "parent.required").n > 0);
}

static int marker_case(struct kr_arena *a, kr_val line)
{
    return kr_is_str(kr_at(line, "function"), KR_S("parse")) ? marker_parse_case(a, line)
                                                             : marker_apply_case(a, line);
}

static int parse_case(struct kr_arena *a, kr_val line)
{
    struct kr_err err = KR_ERR_NONE;
    kr_str function = kr_at_str(line, "function"), input = kr_at_str(line, "input"), out;
    struct graph_diags d = {.a = a};

    if (kr_str_is(function, "spec")) {
        graph__simpleschema(kr_at(line, "input"), KR_V_NONE, &d);
        return wants_error(line) == (d.errors_n > 0);
    }
    if (graph__type_text(a, input, &out, &err) < 0)
        return error_fits(line, &err);
    if (wants_error(line))
        return 0;
    if (kr_str_is(function, "map-value"))
        return kr_str_eq(out, kr_fmt(a, "map[string]" KR_FMT, KR_ARG(kr_at_str(line, "value")))) ||
               kr_at_str(line, "value").n == 0;
    return kr_is_str(kr_at(line, "type"), out);
}

TEST(graph_simpleschema, compatibility_tables)
{
    uint32_t failed;

    if (!cases_present())
        skip();
    assert_true(cases_each("validation/simpleschema-markers.jsonl", marker_case, &failed) >= 71);
    assert_true(cases_each("validation/simpleschema.jsonl", schema_case, &failed) >= 43);
    assert_true(cases_each("validation/simpleschema-parse.jsonl", parse_case, &failed) >= 29);
}

int main(void)
{
    return RUN(T(graph_simpleschema, worked_examples), T(graph_simpleschema, compatibility_tables));
}
