/* SPDX-License-Identifier: Apache-2.0 */
/* parse_test.c - the tree of an expression, and the limits of the parser. */
#include "cel/internal.h"

#include "tests/lib/test.h"

static void print(struct kr_buf *b, const struct cel__node *e)
{
    switch (e->kind) {
    case NK_CONST:
        kr_buf_fmt(b, "%d", (int)e->value.kind);
        return;
    case NK_IDENT:
        kr_buf_str(b, e->name);
        return;
    case NK_SELECT:
        kr_buf_fmt(b, e->test_only ? "has(" : "(");
        print(b, e->target);
        kr_buf_fmt(b, " ." KR_FMT ")", KR_ARG(e->name));
        return;
    case NK_FOLD:
        kr_buf_fmt(b, "(fold%d " KR_FMT " ", e->fold->kind, KR_ARG(e->fold->var1));
        print(b, e->fold->range);
        kr_buf_chr(b, ' ');
        print(b, e->fold->body ? e->fold->body : e->fold->pred);
        kr_buf_chr(b, ')');
        return;
    }
    kr_buf_fmt(b, "(" KR_FMT,
               KR_ARG(e->kind == NK_CALL   ? e->name
                      : e->kind == NK_LIST ? KR_S("list")
                                           : KR_S("map")));
    if (e->target) {
        kr_buf_chr(b, ' ');
        print(b, e->target);
    }
    for (uint32_t i = 0; i < e->args_n; i++) {
        kr_buf_chr(b, ' ');
        print(b, e->args[i]);
    }
    kr_buf_chr(b, ')');
}

static kr_str tree(struct kr_arena *a, const char *text)
{
    KR_AUTO(kr_buf) b = KR_BUF(4096);
    struct cel_env *env = cel_env_new(a, CEL_LIB_ALL);
    struct cel__diags d = {.a = a, .source = kr_str_c(text)};
    struct cel__node *e = cel__parse(a, env, &d, kr_str_c(text));

    if (e)
        print(&b, e);
    else
        kr_buf_str(&b, d.list[0].text);
    return kr_strdup(a, kr_buf_view(&b));
}

TEST(parse, follows_precedence)
{
    struct kr_arena a = {0};

    EXPECT_TEXT(tree(&a, "a + b * c - d").s, "(_-_ (_+_ a (_*_ b c)) d)");
    EXPECT_TEXT(tree(&a, "a || b && c == d").s, "(_||_ a (_&&_ b (_==_ c d)))");
    EXPECT_TEXT(tree(&a, "a ? b : c ? d : e").s, "(_?_:_ a b (_?_:_ c d e))");
    EXPECT_TEXT(tree(&a, "-a.b[c].d(e)").s, "(-_ (d (_[_] (a .b) c) e))");
    EXPECT_TEXT(tree(&a, "!!a").s, "a");
    EXPECT_TEXT(tree(&a, "---a").s, "(-_ a)");
    kr_arena_fini(&a);
}

TEST(parse, knows_optionals_and_quoted_names)
{
    struct kr_arena a = {0};

    EXPECT_TEXT(tree(&a, "a.?b[?c].`d-e`").s, "((_[?_] (_?._ a 6) c) .d-e)");
    EXPECT_TEXT(tree(&a, "[?a, b]").s, "(list a b)");
    EXPECT_TEXT(tree(&a, "{?a: b, c: d,}").s, "(map a b c d)");
    EXPECT_TEXT(tree(&a, "[,]").s, "(list)");
    kr_arena_fini(&a);
}

TEST(parse, expands_macros)
{
    struct kr_arena a = {0};

    EXPECT_TEXT(tree(&a, "has(a.b)").s, "has(a .b)");
    EXPECT_TEXT(tree(&a, "l.map(x, x + 1)").s, "(fold3 x l (_+_ x 3))");
    EXPECT_TEXT(tree(&a, "l.all(x, x)").s, "(fold0 x l x)");
    EXPECT_TEXT(tree(&a, "cel.bind(x, y, x)").s, "(fold6 #unused (list) x)");
    EXPECT_TEXT(tree(&a, "l.all(x)").s, "(all l x)");
    kr_arena_fini(&a);
}

TEST(parse, reports_other_errors_than_syntax_and_goes_on)
{
    struct kr_arena a = {0};
    struct cel_env *env = cel_env_new(&a, CEL_LIB_ALL);
    struct cel__diags d = {.a = &a, .source = KR_S("if + 9223372036854775808")};
    struct kr_err err = KR_ERR_NONE;

    assert_null(cel__parse(&a, env, &d, d.source));
    assert_int_equal(cel__diags_fail(&d, &err), KR_E_INPUT);
    EXPECT_TEXT(err.text, "ERROR: <input>:1:1: reserved identifier: if\n"
                          " | if + 9223372036854775808\n"
                          " | ^\n"
                          "ERROR: <input>:1:6: invalid int literal\n"
                          " | if + 9223372036854775808\n"
                          " | .....^");
    kr_arena_fini(&a);
}

/* n times `open`, `middle`, n times `close`. */
static const char *nested(struct kr_arena *a, int n, const char *open, const char *middle,
                          const char *close)
{
    KR_AUTO(kr_buf) b = KR_BUF(1024 * 1024);

    for (int i = 0; i < n; i++)
        kr_buf_str(&b, kr_str_c(open));
    kr_buf_str(&b, kr_str_c(middle));
    for (int i = 0; i < n; i++)
        kr_buf_str(&b, kr_str_c(close));
    return kr_strdup(a, kr_buf_view(&b)).s;
}

TEST(parse, limits_depth_and_size)
{
    struct kr_arena a = {0};

    EXPECT_TEXT(tree(&a, nested(&a, 249, "(", "a", ")")).s, "a");
    EXPECT_TEXT(tree(&a, nested(&a, 250, "(", "a", ")")).s,
                "expression recursion limit exceeded: 250");
    EXPECT_TEXT(tree(&a, nested(&a, 10000, "(", "a", ")")).s,
                "expression recursion limit exceeded: 250");
    EXPECT_TEXT(tree(&a, nested(&a, 251, "a.", "a", "")).s, "max recursion depth exceeded");
    EXPECT_TEXT(tree(&a, nested(&a, 10001, "1 || 2 ", "", "")).s,
                "Syntax error: mismatched input '1' expecting <EOF>");
    EXPECT_TEXT(tree(&a, nested(&a, 100001, "1", "", "")).s,
                "expression code point size exceeds limit: size: 100001, limit 100000");
    kr_arena_fini(&a);
}

int main(void)
{
    return RUN(T(parse, follows_precedence), T(parse, knows_optionals_and_quoted_names),
               T(parse, expands_macros), T(parse, reports_other_errors_than_syntax_and_goes_on),
               T(parse, limits_depth_and_size));
}
