/* SPDX-License-Identifier: Apache-2.0 */
/* hostile_test.c - expressions made to hurt: each ends with a value or a clear error, within its
 * limits of steps and bytes. Counts only; that each ends at all is ctest's time limit.
 */
#include "cel/cel.h"

#include "cel/base/buf.h"
#include "cel/base/json.h"
#include "tests/lib/test.h"

enum {
    BYTES_MAX = 16 * 1024 * 1024, /* of one evaluation here */
    SLACK = 80 * 1024 * 1024,     /* one value may be made before the limit is looked at */
    COMPILE_BYTES_MAX = 400 * 1024 * 1024,
};
#define STEPS_MAX 2000000

struct bomb {
    struct kr_arena a;
    struct kr_buf text;
    struct cel_env *env;
    struct cel_run run;
    struct kr_err err;
    kr_val slot;
};

static void bomb_init(struct bomb *b)
{
    *b = (struct bomb){.text = KR_BUF(4 * 1024 * 1024)};
    b->slot = kr_map_sorted(NULL, 0);
    b->env = cel_env_new(&b->a, CEL_LIB_FULL);
    cel_env_var(b->env, KR_S("x"), CEL_T_DYN, NULL);
    b->run = (struct cel_run){
        .slots = &b->slot, .slots_n = 1, .a = &b->a, .cost_max = STEPS_MAX, .bytes_max = BYTES_MAX};
}

static void bomb_fini(struct bomb *b)
{
    kr_buf_fini(&b->text);
    kr_arena_fini(&b->a);
}

static void repeat(struct bomb *b, const char *s, int n)
{
    for (int i = 0; i < n; i++)
        kr_buf_str(&b->text, kr_str_c(s));
}

static void add(struct bomb *b, const char *s)
{
    repeat(b, s, 1);
}

/* Compiles and evaluates; 0 or the code of the failure, whose text is in err. */
static int explode(struct bomb *b, kr_val *v)
{
    const struct cel_prog *p;
    size_t before = b->a.used_bytes;
    int rc = cel_compile(&b->a, b->env, kr_buf_view(&b->text), &p, &b->err);

    assert_true(b->a.used_bytes - before < COMPILE_BYTES_MAX);
    if (rc < 0)
        return rc;
    before = b->a.used_bytes;
    rc = cel_eval(p, &b->run, v, &b->err);
    assert_true(b->a.used_bytes - before <= (size_t)BYTES_MAX + SLACK);
    assert_true(b->run.cost <= STEPS_MAX + STEPS_MAX / 10 || b->run.fail == CEL_FAIL_LIMIT);
    return rc;
}

/* The text fails to compile with these words, which may be the beginning of a line. */
static void refused(struct bomb *b, const char *words)
{
    kr_val v;

    assert_true(explode(b, &v) < 0);
    assert_true(b->err.n > 0 && b->err.n < KR_ERR_MAX);
    if (kr_str_find(kr_err_str(&b->err), kr_str_c(words)) < 0)
        EXPECT_TEXT(b->err.text, words);
}

/* The expression is stopped by the limit of steps, bytes or sizes. */
static void stopped(const char *expr)
{
    struct bomb b;
    kr_val v;

    bomb_init(&b);
    add(&b, expr);
    (void)!explode(&b, &v);
    if (b.run.fail != CEL_FAIL_LIMIT)
        EXPECT_TEXT(expr, "stopped by a limit");
    assert_true(kr_str_find(kr_err_str(&b.err), KR_S("limit")) >= 0);
    bomb_fini(&b);
}

TEST(hostile, a_megabyte_of_text_is_refused_by_its_size)
{
    struct bomb b;

    bomb_init(&b);
    add(&b, "1");
    repeat(&b, " + 1", 256 * 1024);
    refused(&b, "expression code point size exceeds limit: size: 1048577, limit 100000");
    bomb_fini(&b);
}

TEST(hostile, the_longest_text_that_is_taken)
{
    struct bomb b;
    kr_val v;

    bomb_init(&b);
    add(&b, "[1");
    repeat(&b, ",1", 49998);
    add(&b, "].size()");
    refused(&b, "expression code point size exceeds limit");
    kr_buf_reset(&b.text);
    add(&b, "[1");
    repeat(&b, ",1", 49990);
    add(&b, "].size()");
    assert_int_equal(explode(&b, &v), 0);
    assert_int_equal(v.i, 49991);
    bomb_fini(&b);
}

TEST(hostile, ten_thousand_levels_of_nesting)
{
    static const struct {
        const char *open, *middle, *close, *words;
    } nests[] = {
        {"(", "1", ")", "expression recursion limit exceeded: 250"},
        {"[", "1", "]", "expression recursion limit exceeded: 250"},
        {"{1:", "1", "}", "expression recursion limit exceeded: 250"},
        {"size(", "x", ")", "expression recursion limit exceeded: 250"},
        {"x[", "1", "]", "expression recursion limit exceeded: 250"},
        {"true?1:", "1", "", "recursion"},
        {"", "x", ".a", "max recursion depth exceeded"},
        {"", "x", "[0]", "max recursion depth exceeded"},
        {"", "x", ".size()", "max recursion depth exceeded"},
        {"1+", "1", "", "max recursion depth exceeded"},
        {"", "1", "==1", "max recursion depth exceeded"},
        {"[", "1", "", "expression recursion limit exceeded: 250"},
    };

    for (size_t i = 0; i < KR_N(nests); i++) {
        struct bomb b;

        bomb_init(&b);
        repeat(&b, nests[i].open, 10000);
        add(&b, nests[i].middle);
        repeat(&b, nests[i].close, 10000);
        refused(&b, nests[i].words);
        bomb_fini(&b);
    }
}

TEST(hostile, long_flat_chains_are_taken)
{
    static const char *const units[] = {"!", "-", "true&&", "false||"};

    for (size_t i = 0; i < KR_N(units); i++) {
        struct bomb b;
        kr_val v;

        bomb_init(&b);
        repeat(&b, units[i], 10000);
        add(&b, i == 1 ? "1" : "true");
        assert_int_equal(explode(&b, &v), 0);
        bomb_fini(&b);
    }
}

TEST(hostile, as_many_macros_as_a_text_can_hold)
{
    struct bomb b;
    kr_val v;

    bomb_init(&b);
    add(&b, "[[0]");
    repeat(&b, ",x.sortBy(a,a)", 7140);
    add(&b, "]");
    b.slot = kr_list(&b.slot, 0);
    assert_int_equal(explode(&b, &v), 0);
    assert_int_equal(v.n, 7141);
    bomb_fini(&b);
}

TEST(hostile, loops_in_loops_end_at_the_cost_limit)
{
    stopped("lists.range(1000).all(a, lists.range(1000).all(b, lists.range(1000).all(c, true)))");
    stopped("lists.range(1000).exists(a, lists.range(1000).exists(b, lists.range(1000).exists(c, "
            "a + b + c < 0)))");
    stopped("lists.range(3000).map(a, lists.range(3000)).flatten().size()");
    stopped("lists.range(1000000).sortBy(a, -a).sortBy(a, -a)");
    stopped("lists.range(5000).distinct()");
    stopped("lists.range(3000).filter(a, a in lists.range(3000)).size()");
    stopped("lists.range(1000).transformMap(a, b, lists.range(1000).transformMap(c, d, lists.range("
            "10))).size()");
    stopped("sets.contains(lists.range(2000), lists.range(2000))");
    stopped("lists.range(3000).all(a, lists.range(1000 + a) == lists.range(1000 + a))");
}

/* n doublings of a text or list, by bindings: 2^n of it. */
static void doubling(const char *seed, int n, const char *last)
{
    struct bomb b;
    kr_val v;

    bomb_init(&b);
    kr_buf_fmt(&b.text, "cel.bind(v0, %s, ", seed);
    for (int i = 1; i <= n; i++)
        kr_buf_fmt(&b.text, "cel.bind(v%d, v%d + v%d, ", i, i - 1, i - 1);
    kr_buf_fmt(&b.text, "v%d%s", n, last);
    for (int i = 0; i <= n; i++)
        add(&b, ")");
    if (explode(&b, &v) != KR_E_LIMIT)
        EXPECT_TEXT(b.err.text, "a limit");
    assert_int_equal(b.run.fail, CEL_FAIL_LIMIT);
    bomb_fini(&b);
}

TEST(hostile, doubled_texts_and_lists_end_at_the_byte_limit)
{
    doubling("string(size(x)) + 'aaaaaaaa'", 60, ".size()");
    doubling("bytes(string(size(x)) + 'aaaaaaaa')", 60, ".size()");
    doubling("[x, x]", 60, ".size()");
    doubling("['aaaaaaaa', string(size(x))]", 24, ".join('bbbbbbbb').size()");
}

TEST(hostile, texts_that_grow_by_concatenation)
{
    /* 'a' * n, a loop at a time: 100 to the power of the nesting */
    stopped("lists.range(100).map(a, lists.range(100).map(b, lists.range(100).map(c, "
            "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' + string(c)).join('')).join('')).join('')"
            ".size()");
    stopped("lists.range(2000).map(a, random.seededString(100000, string(a))).size()");
}

TEST(hostile, functions_that_make_much_of_little)
{
    stopped("random.seededString(1000000, 'a').replace('', random.seededString(1000, 'b'))");
    stopped("lists.range(100000).map(a, '').join(random.seededString(10000, 'b'))");
    stopped("'%s%s%s%s%s%s%s%s%s%s'.format(lists.range(10).map(a, lists.range(500000)))");
    stopped("random.seededString(1000000, 'a').split('').map(a, random.seededString(1000, a))");
    stopped("lists.range(1000).map(a, strings.quote(random.seededString(100000, 'b')))");
    stopped("lists.range(1000).map(a, json.marshal(lists.range(100000)))");
    stopped("lists.range(1000).map(a, base64.encode(bytes(random.seededString(100000, 'b'))))");
    stopped("regex.replace(random.seededString(100000, 'a'), '', random.seededString(1000, 'b'))");
    stopped("random.seededString(1000000, 'a').findAll('')");
    stopped("random.seededString(1000000, 'a').reverse().reverse().reverse().upperAscii()"
            ".lowerAscii().split('').reverse().join('-').split('-').size()");
}

TEST(hostile, values_that_a_loop_throws_away_count_too)
{
    stopped("lists.range(1000000).all(a, optional.of(a).hasValue())");
    stopped("lists.range(1000000).all(a, {'k': a}.?k.hasValue())");
    stopped("lists.range(1000000).all(a, [][a] == 1 || true)");
    stopped("lists.range(1000000).all(a, {}.k == 1 || true)");
}

TEST(hostile, bytes_are_limited_where_steps_are_not)
{
    static const char *const exprs[] = {
        "lists.range(1000000).all(a, {'k': a}.?k.hasValue())",
        "lists.range(1000000).all(a, x.k == 1 || true)",
        "lists.range(1000000).map(a, string(a)).map(a, a + a).map(a, a + a).map(a, a + a).size()",
    };

    for (size_t i = 0; i < KR_N(exprs); i++) {
        struct bomb b;
        kr_val v;

        bomb_init(&b);
        b.run.cost_max = 0; /* the default */
        add(&b, exprs[i]);
        assert_int_equal(explode(&b, &v), KR_E_LIMIT);
        EXPECT_TEXT(b.err.text, "evaluation memory limit exceeded");
        bomb_fini(&b);
    }
}

TEST(hostile, patterns_that_ruin_backtracking_matchers)
{
    static const char *const patterns[] = {"(a*)*b",   "(a+)+$", "(a|a)*b",
                                           "(a|aa)+$", "(.*)*x", "(?:a?){30}a{30}b"};

    for (size_t i = 0; i < KR_N(patterns); i++) {
        struct bomb b;
        kr_val v;

        bomb_init(&b);
        kr_buf_fmt(&b.text, "'");
        repeat(&b, "a", 50000);
        kr_buf_fmt(&b.text, "!'.matches('%s')", patterns[i]);
        assert_int_equal(explode(&b, &v), 0);
        assert_false(v.b);
        bomb_fini(&b);
    }
}

TEST(hostile, patterns_that_grow_are_refused)
{
    static const struct {
        const char *pattern, *words;
    } patterns[] = {
        {"((a{100}){100}){100}", "error parsing regexp: "},
        {"a{1001}", "error parsing regexp: invalid repeat count: `{1001}`"},
        {"(((((((((a{9}){9}){9}){9}){9}){9}){9}){9}){9}){9}", "error parsing regexp: "},
    };

    for (size_t i = 0; i < KR_N(patterns); i++) {
        struct bomb b;

        bomb_init(&b);
        kr_buf_fmt(&b.text, "'a'.matches('%s')", patterns[i].pattern);
        refused(&b, patterns[i].words);
        bomb_fini(&b);
    }
}

/* A list in a list in a list ..., made by json.unmarshal, which reads deeper than an expression can
 * be written. */
static void nested_json(struct bomb *b, const char *before, int n, const char *after)
{
    add(b, before);
    add(b, "json.unmarshal('");
    repeat(b, "[", n);
    repeat(b, "]", n);
    add(b, "')");
    add(b, after);
}

TEST(hostile, deep_values_are_walked_to_a_limit)
{
    static const char *const after[] = {"", " == json.unmarshal('[]')", ".flatten(100000)"};

    for (size_t i = 0; i < KR_N(after); i++) {
        struct bomb b;
        kr_val v;
        kr_val json;

        bomb_init(&b);
        nested_json(&b, "", 20000, after[i]);
        if (explode(&b, &v) == 0 && cel_to_json(&b.a, v, &json, &b.err) == 0) {
            KR_AUTO(kr_buf) out = KR_BUF(1024 * 1024);

            (void)!kr_json_write(&out, json, 0, &b.err);
        }
        bomb_fini(&b);
    }
    for (int deep = 0; deep < 2; deep++) {
        struct bomb b;
        kr_val v;

        bomb_init(&b);
        nested_json(&b, deep ? "json.marshal(" : "'%s'.format([", 9000, deep ? ")" : "])");
        assert_true(explode(&b, &v) <= 0);
        bomb_fini(&b);
    }
}

TEST(hostile, a_result_that_grows_a_level_each_turn)
{
    struct bomb b;
    kr_val v;
    kr_val json;

    bomb_init(&b);
    add(&b, "cel.bind(v0, [x], ");
    for (int i = 1; i < 240; i++)
        kr_buf_fmt(&b.text, "cel.bind(v%d, [v%d, v%d], ", i, i - 1, i - 1);
    add(&b, "v239");
    repeat(&b, ")", 240);
    assert_int_equal(explode(&b, &v), 0);                              /* shared: 240 small lists */
    assert_int_equal(cel_to_json(&b.a, v, &json, &b.err), KR_E_LIMIT); /* 2^240 written out */
    bomb_fini(&b);
}

TEST(hostile, errors_are_short)
{
    struct bomb b;
    kr_val v;

    bomb_init(&b);
    add(&b, "int(random.seededString(100000, 'a'))");
    assert_int_equal(explode(&b, &v), KR_E_EVAL);
    assert_true(b.err.n < KR_ERR_MAX);
    kr_buf_reset(&b.text);
    for (int i = 0; i < 3000; i++)
        kr_buf_fmt(&b.text, "%su%d", i ? "+" : "[", i); /* two hundred and fifty are too deep */
    add(&b, "]");
    refused(&b, "recursion");
    kr_buf_reset(&b.text);
    for (int i = 0; i < 3000; i++)
        kr_buf_fmt(&b.text, "%su%d", i ? "," : "[", i);
    add(&b, "]");
    refused(&b, "undeclared reference to 'u0'");
    bomb_fini(&b);
}

int main(void)
{
    return RUN(
        T(hostile, a_megabyte_of_text_is_refused_by_its_size),
        T(hostile, the_longest_text_that_is_taken), T(hostile, ten_thousand_levels_of_nesting),
        T(hostile, long_flat_chains_are_taken), T(hostile, as_many_macros_as_a_text_can_hold),
        T(hostile, loops_in_loops_end_at_the_cost_limit),
        T(hostile, doubled_texts_and_lists_end_at_the_byte_limit),
        T(hostile, texts_that_grow_by_concatenation),
        T(hostile, functions_that_make_much_of_little),
        T(hostile, values_that_a_loop_throws_away_count_too),
        T(hostile, bytes_are_limited_where_steps_are_not),
        T(hostile, patterns_that_ruin_backtracking_matchers),
        T(hostile, patterns_that_grow_are_refused), T(hostile, deep_values_are_walked_to_a_limit),
        T(hostile, a_result_that_grows_a_level_each_turn), T(hostile, errors_are_short));
}
