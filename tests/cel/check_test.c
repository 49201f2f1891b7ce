/* SPDX-License-Identifier: Apache-2.0 */
/* check_test.c - inferred types and diagnostics. */
#include "cel/cel.h"

#include "tests/lib/test.h"

static const char *const schema_json =
    "{\"type\":\"object\",\"properties\":{"
    "\"name\":{\"type\":\"string\"},\"a-b\":{\"type\":\"integer\"},"
    "\"when\":{\"type\":\"string\",\"format\":\"date-time\"},"
    "\"namespace\":{\"type\":\"string\"},"
    "\"items\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"n\":{\"type\":"
    "\"integer\"}}}},"
    "\"labels\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}},"
    "\"open\":{\"type\":\"object\",\"x-kubernetes-preserve-unknown-fields\":true}}}";

/* The type of an expression over s (typed), d (dyn) and any, or the diagnostics. */
static const char *check(struct kr_arena *a, const char *text)
{
    struct kr_err err = KR_ERR_NONE;
    struct cel_env *env = cel_env_new(a, CEL_LIB_ALL);
    const struct cel_schema *s;
    const struct cel_prog *p;

    EXPECT_OK(cel_schema_read(a, test_json(a, schema_json), &s, &err), &err);
    cel_env_var(env, KR_S("s"), cel_type_of_schema(a, s, KR_S("__type_s")), s);
    cel_env_var(env, KR_S("d"), CEL_T_DYN, NULL);
    cel_env_var(env, KR_S("any"), CEL_T_ANY, NULL);
    if (cel_compile(a, env, kr_str_c(text), &p, &err) < 0)
        return kr_cstr(a, kr_err_str(&err));
    return kr_cstr(a, cel_type_print(a, cel_prog_type(p)));
}

TEST(check, infers_types)
{
    struct kr_arena a = {0};

    EXPECT_TEXT(check(&a, "[1, 2].map(x, string(x))"), "list(string)");
    EXPECT_TEXT(check(&a, "[1, 'a']"), "list(dyn)");
    EXPECT_TEXT(check(&a, "[]"), "list(dyn)");
    EXPECT_TEXT(check(&a, "{'a': 1u}"), "map(string, uint)");
    EXPECT_TEXT(check(&a, "true ? 1 : d"), "dyn");
    EXPECT_TEXT(check(&a, "optional.none()"), "optional_type(dyn)");
    EXPECT_TEXT(check(&a, "type(1)"), "type(int)");
    EXPECT_TEXT(check(&a, "d.x.y + 1"), "int");
    EXPECT_TEXT(check(&a, "{?'k': any}"), "map(string, any)");
    EXPECT_TEXT(check(&a, "[?any, ?d]"), "list(any)");
    kr_arena_fini(&a);
}

TEST(check, knows_the_fields_of_schemas)
{
    struct kr_arena a = {0};

    EXPECT_TEXT(check(&a, "s.name"), "string");
    EXPECT_TEXT(check(&a, "s.when"), "timestamp");
    EXPECT_TEXT(check(&a, "s.a__dash__b"), "int");
    EXPECT_TEXT(check(&a, "s.namespace + s.__namespace__"), "string");
    EXPECT_TEXT(check(&a, "s.items"), "list(__type_s.items.@idx)");
    EXPECT_TEXT(check(&a, "s.items[0].n"), "int");
    EXPECT_TEXT(check(&a, "s.labels.x"), "string");
    EXPECT_TEXT(check(&a, "s.open.what.ever"), "dyn");
    EXPECT_TEXT(check(&a, "s.?name"), "optional_type(string)");
    kr_arena_fini(&a);
}

TEST(check, tells_mistakes_in_cel_gos_words)
{
    struct kr_arena a = {0};

    EXPECT_TEXT(
        check(&a, "1 == 1.0"),
        "ERROR: <input>:1:3: found no matching overload for '_==_' applied to '(int, double)'\n"
        " | 1 == 1.0\n"
        " | ..^");
    EXPECT_TEXT(check(&a, "s.nope"), "ERROR: <input>:1:2: undefined field 'nope'\n"
                                     " | s.nope\n"
                                     " | .^");
    EXPECT_TEXT(check(&a, "x +\n y"),
                "ERROR: <input>:1:1: undeclared reference to 'x' (in container '')\n"
                " | x +\n"
                " | ^\n"
                "ERROR: <input>:2:2: undeclared reference to 'y' (in container '')\n"
                " |  y\n"
                " | .^");
    EXPECT_TEXT(
        check(&a, "'\xc3\xa9' + 1"),
        "ERROR: <input>:1:5: found no matching overload for '_+_' applied to '(string, int)'\n"
        " | '\xc3\xa9' + 1\n"
        " | .\xef\xbc\x8e..^");
    EXPECT_TEXT(
        check(&a, "1.map(x, x)"),
        "ERROR: <input>:1:1: expression of type 'int' cannot be range of a comprehension (must "
        "be list, map, or dynamic)\n"
        " | 1.map(x, x)\n"
        " | ^");
    /* A variable is no type, and its fields are not looked at. */
    EXPECT_TEXT(check(&a, "d{x: nope}"),
                "ERROR: <input>:1:2: undeclared reference to 'd' (in container '')\n"
                " | d{x: nope}\n"
                " | .^");
    EXPECT_TEXT(check(&a, "true && 1"), "ERROR: <input>:1:9: expected type 'bool' but found 'int'\n"
                                        " | true && 1\n"
                                        " | ........^");
    EXPECT_TEXT(check(&a, "'%d'.format(['a'])"),
                "ERROR: <input>:1:14: error during formatting: decimal clause can only be used on "
                "ints, uints, and doubles, was given string\n"
                " | '%d'.format(['a'])\n"
                " | .............^");
    kr_arena_fini(&a);
}

TEST(check, finds_namespaced_functions_before_variables)
{
    struct kr_arena a = {0};
    struct kr_err err = KR_ERR_NONE;
    struct cel_env *env = cel_env_new(&a, CEL_LIB_ALL);
    const struct cel_prog *p;

    cel_env_var(env, KR_S("json"), CEL_T_DYN, NULL);
    EXPECT_OK(cel_compile(&a, env, KR_S("json.marshal(json.a)"), &p, &err), &err);
    EXPECT_TEXT(cel_type_print(&a, cel_prog_type(p)).s, "string");
    kr_arena_fini(&a);
}

TEST(check, variables_of_every_public_type)
{
    const struct {
        const struct cel_type *type;
        const char *use, *gives;
    } rows[] = {
        {CEL_T_UINT, "v + 1u", "uint"},
        {CEL_T_DOUBLE, "v * 2.0", "double"},
        {CEL_T_BYTES, "v + b'x'", "bytes"},
        {CEL_T_NULL, "v", "null"},
        {CEL_T_DURATION, "v + duration('1s')", "duration"},
        {CEL_T_TIMESTAMP, "v.getFullYear()", "int"},
    };

    for (size_t i = 0; i < KR_N(rows); i++) {
        struct kr_arena a = {0};
        struct kr_err err = KR_ERR_NONE;
        struct cel_env *env = cel_env_new(&a, CEL_LIB_ALL);
        const struct cel_prog *p;

        cel_env_var(env, KR_S("v"), rows[i].type, NULL);
        EXPECT_OK(cel_compile(&a, env, kr_str_c(rows[i].use), &p, &err), &err);
        EXPECT_TEXT(kr_cstr(&a, cel_type_print(&a, cel_prog_type(p))), rows[i].gives);
        assert_true(cel_compile(&a, env, KR_S("v + 'text'"), &p, NULL) < 0);
        kr_arena_fini(&a);
    }
}

TEST(check, stops_deep_nests_of_macros)
{
    struct kr_arena a = {0};
    KR_AUTO(kr_buf) b = KR_BUF(64 * 1024);

    for (int i = 0; i < 240; i++)
        kr_buf_fmt(&b, "[1].map(x%d, ", i);
    kr_buf_str(&b, KR_S("d"));
    for (int i = 0; i < 240; i++)
        kr_buf_chr(&b, ')');
    assert_true(strncmp(check(&a, b.s), "list(list(", 10) == 0 ||
                strncmp(check(&a, b.s), "ERROR", 5) == 0);
    kr_arena_fini(&a);
}

int main(void)
{
    return RUN(T(check, infers_types), T(check, knows_the_fields_of_schemas),
               T(check, tells_mistakes_in_cel_gos_words),
               T(check, finds_namespaced_functions_before_variables),
               T(check, variables_of_every_public_type), T(check, stops_deep_nests_of_macros));
}
