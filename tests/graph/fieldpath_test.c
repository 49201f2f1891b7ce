/* SPDX-License-Identifier: Apache-2.0 */
/* fieldpath_test.c - paths: print, read, join, set. */
#include "graph/internal.h"
#include "tests/graph/schemas.h"

static const char *parse(struct kr_arena *a, const char *text)
{
    const struct graph_step *path;
    struct kr_err err = KR_ERR_NONE;
    uint32_t n;

    if (graph__path_parse(a, kr_str_c(text), &path, &n, &err) < 0)
        return kr_fmt(a, "error: %s", err.text).s;
    return kr_cstr(a, graph__path_print(a, path, n));
}

TEST(graph_path, reads_what_it_prints)
{
    static const char *const same[] = {"spec",
                                       "spec.containers[0].image",
                                       "a[0][1].b",
                                       "[\"a.b\"].c",
                                       "spec[\"my.field\"].items[0][\"other.field\"]",
                                       "p[\"\"]"};
    KR_AUTO(kr_arena) a = {0};

    for (size_t i = 0; i < KR_N(same); i++)
        EXPECT_TEXT(parse(&a, same[i]), same[i]);
    EXPECT_TEXT(parse(&a, "spec."), "spec");
    EXPECT_TEXT(parse(&a, ""), "");
}

TEST(graph_path, names_the_position_of_an_error)
{
    KR_AUTO(kr_arena) a = {0};

    EXPECT_TEXT(parse(&a, "spec[\"abc"),
                "error: unterminated quoted string starting at position 6");
    EXPECT_TEXT(parse(&a, "spec[abc]"), "error: invalid array index 'abc' at position 5");
    EXPECT_TEXT(parse(&a, "spec[1"), "error: unterminated array index at position 5");
    EXPECT_TEXT(parse(&a, "spec[\"abc\""),
                "error: expected closing bracket after quote at position 10");
    EXPECT_TEXT(parse(&a, ".spec"), "error: empty field name at position 0");
    EXPECT_TEXT(parse(&a, "a[99999999999]"),
                "error: invalid array index '99999999999' at position 2");
}

static const char *set(struct kr_arena *a, const char *root, const char *path, kr_val v)
{
    const struct graph_step *steps;
    uint32_t n;

    assert_int_equal(graph__path_parse(a, kr_str_c(path), &steps, &n, NULL), 0);
    return kr_cstr(a, kr_json_str(a, graph__path_set(a, test_json(a, root), steps, n, v)));
}

TEST(graph_path, set_replaces_adds_and_removes)
{
    KR_AUTO(kr_arena) a = {0};
    const char *root = "{\"a\":{\"b\":[1,{\"c\":2},3]},\"x\":1}";

    EXPECT_TEXT(set(&a, root, "a.b[1].c", kr_int(9)), "{\"a\":{\"b\":[1,{\"c\":9},3]},\"x\":1}");
    EXPECT_TEXT(set(&a, root, "a.b[1].c", KR_V_OMIT), "{\"a\":{\"b\":[1,{},3]},\"x\":1}");
    EXPECT_TEXT(set(&a, root, "a.b[1]", KR_V_OMIT), "{\"a\":{\"b\":[1,3]},\"x\":1}");
    EXPECT_TEXT(set(&a, root, "x", KR_V_OMIT), "{\"a\":{\"b\":[1,{\"c\":2},3]}}");
    EXPECT_TEXT(set(&a, "{}", "n.m[0]", kr_bool(true)), "{\"n\":{\"m\":[true]}}");
    EXPECT_TEXT(set(&a, "{}", "n[2]", kr_bool(true)), "{\"n\":[null,null,true]}");
}

static int path_case(struct kr_arena *a, kr_val line)
{
    kr_str function = kr_at_str(line, "function"), path = kr_at_str(line, "path");
    kr_val segments = kr_at(line, "segments"), errors = kr_at(line, "errors");
    bool fails = kr_is_str(kr_at(line, "expect"), KR_S("error"));
    struct graph_step *steps = kr_new_n(a, struct graph_step, segments.n);
    const struct graph_step *got;
    struct kr_err err = KR_ERR_NONE;
    uint32_t n, i = 0;

    if (kr_str_is(function, "join"))
        return kr_is_str(kr_at(line, "result"),
                         graph__path_join(a, path, kr_at_str(line, "field")));
    KR_LIST_EACH (it, segments) {
        steps[i].name = it->kind == KR_STRING ? kr_text(*it) : (kr_str){0};
        steps[i++].index = it->kind == KR_INT ? (uint32_t)it->i : 0;
    }
    if (kr_str_is(function, "build"))
        return kr_str_eq(path, graph__path_print(a, steps, segments.n));
    if (graph__path_parse(a, path, &got, &n, &err) < 0)
        return fails && (errors.n == 0 || kr_is_str(kr_item(errors, 0), kr_err_str(&err)));
    if (fails || n != segments.n)
        return 0;
    for (i = 0; i < n; i++) {
        if (!kr_str_eq(got[i].name, steps[i].name) || got[i].index != steps[i].index)
            return 0;
    }
    return 1;
}

TEST(graph_path, compatibility_table)
{
    uint32_t failed;

    if (!cases_present())
        skip();
    assert_int_equal(cases_each("validation/fieldpath.jsonl", path_case, &failed), 25);
}

int main(void)
{
    return RUN(T(graph_path, reads_what_it_prints), T(graph_path, names_the_position_of_an_error),
               T(graph_path, set_replaces_adds_and_removes), T(graph_path, compatibility_table));
}
