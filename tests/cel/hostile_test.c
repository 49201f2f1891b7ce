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
        EXPECT_TEXT(b.err.text, "evaluation memory limit exceeded: more than 16777216 bytes");
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

/* --- every function pays for what it touches -------------------------------------------------- */

enum {
    BIG = 64 * 1024, /* bytes of a text, elements of a list or map */
    CALLS = 8,       /* of each function */
    BYTES_PER_STEP = 64,
};

struct row {
    const char *name, *style, *id, *signature;
};

static const struct row rows[] = {
#define CEL_FUNCTION(library, name, style, id, signature, impl, flags, help)                       \
    {name, #style, id, signature},
#include "cel/functions.def"
#undef CEL_FUNCTION
};

/* Calls that look at no more than a fixed part of their operands. */
static const char *const constant_rows[] = {
    "size_bytes",
    "bytes_size",
    "size_list",
    "list_size",
    "size_map",
    "map_size",
    "string_to_bool",
    "bytes_to_bytes",
    "string_to_bytes",
    "to_dyn",
    "string_to_string",
    "type",
    "optional_of",
    "optional_ofNonZeroValue",
    "optional_value",
    "optional_hasValue",
    "optional_or_optional",
    "optional_orValue_value",
    "list_first",
    "list_last",
    "runtime_newCondition_map", /* its operand is a literal of the text */
};

static bool is_constant_row(const char *id)
{
    for (size_t i = 0; i < KR_N(constant_rows); i++) {
        if (strcmp(constant_rows[i], id) == 0)
            return true;
    }
    return false;
}

/* A large operand of each type; the first that the type's name begins with. x: see big_operands. */
static const struct {
    const char *type, *text;
    bool large;
} operands[] = {
    {"string", "x.s", true},
    {"bytes", "bytes(x.s)", true},
    {"int", "1", false},
    {"uint", "1u", false},
    {"double", "1.5", false},
    {"bool", "true", false},
    {"duration", "duration('1s')", false},
    {"timestamp", "timestamp(1)", false},
    {"list(string)", "x.strings", true},
    {"list(int)", "x.ints", true},
    {"list(uint)", "x.ints", true},
    {"list(list(", "[x.ints]", true},
    {"list(optional_type", "x.optionals", true},
    {"list(", "x.ints", true},
    {"map(", "x.map", true},
    {"optional_type", "optional.of(x.ints)", true},
    {"kubernetes.URL", "url(x.url)", true},
    {"kubernetes.Semver", "semver(x.semver)", true},
    {"kubernetes.Quantity", "quantity('1')", false},
    {"kubernetes.NamedFormat", "format.uri()", false},
    {"net.IP", "ip('::1')", false},
    {"net.CIDR", "cidr('::/8')", false},
    {"kro.run.Runtime", "runtime", false},
    {"dyn", "x.ints", true},
    {"", "x.s", true}, /* a type parameter */
};

static void operand(struct kr_buf *b, kr_str type, bool *large)
{
    size_t i = 0;

    while (!kr_str_starts(type, kr_str_c(operands[i].type)))
        i++;
    *large = *large || operands[i].large;
    kr_buf_str(b, kr_str_c(operands[i].text));
}

/* The type that *rest begins with; commas in brackets belong to it. */
static kr_str next_type(kr_str *rest)
{
    size_t n = 0;
    int depth = 0;
    kr_str type;

    while (n < rest->n && (rest->s[n] != ',' || depth > 0)) {
        depth += rest->s[n] == '(' ? 1 : rest->s[n] == ')' ? -1 : 0;
        n++;
    }
    type = kr_str_trim(kr_str_sub(*rest, 0, n));
    *rest = kr_str_sub(*rest, n < rest->n ? n + 1 : n, rest->n);
    return type;
}

/* Appends a call of the row; false when none of its operands can be large. */
static bool write_call(struct kr_buf *b, const struct row *row)
{
    kr_str rest = kr_str_c(row->signature);
    bool large = false;
    uint32_t n = 0;

    rest = kr_str_trim(kr_str_sub(rest, 0, (size_t)kr_str_find(rest, KR_S("->"))));
    if (strcmp(row->style, "MEMBER") == 0) {
        operand(b, next_type(&rest), &large);
        kr_buf_fmt(b, ".");
    }
    kr_buf_fmt(b, "%s(", row->name);
    for (; rest.n; n++) {
        kr_buf_fmt(b, "%s", n ? ", " : "");
        operand(b, next_type(&rest), &large);
    }
    kr_buf_fmt(b, ")");
    return large;
}

static kr_val repeated(struct kr_arena *a, const char *before, const char *s, uint32_t n)
{
    KR_AUTO(kr_buf) b = KR_BUF(4 * BIG);

    kr_buf_str(&b, kr_str_c(before));
    for (uint32_t i = 0; i < n; i++)
        kr_buf_str(&b, kr_str_c(s));
    return kr_string(kr_strdup(a, kr_buf_view(&b)));
}

static kr_val big_list(struct kr_arena *a, kr_val item)
{
    kr_val *items = kr_new_n(a, kr_val, BIG);

    for (uint32_t i = 0; i < BIG; i++)
        items[i] = item.kind == KR_NONE ? kr_int(i) : item;
    return kr_list(items, BIG);
}

static kr_val big_map(struct kr_arena *a)
{
    struct kr_mapb b = KR_MAPB(a);

    for (uint32_t i = 0; i < BIG; i++)
        kr_mapb_put(&b, kr_fmt(a, "%08u", i), KR_V_NULL);
    return kr_mapb_done(&b);
}

/* x: what the operands above name. same: a text of its own that equals s. */
static kr_val big_operands(struct kr_arena *a)
{
    struct kr_mapb b = KR_MAPB(a);

    kr_mapb_put(&b, KR_S("s"), repeated(a, "", "\xc3\xa9", BIG / 2));
    kr_mapb_put(&b, KR_S("same"), repeated(a, "", "\xc3\xa9", BIG / 2));
    kr_mapb_put(&b, KR_S("strings"), big_list(a, KR_V_STR("\xc3\xa9")));
    kr_mapb_put(&b, KR_S("ints"), big_list(a, KR_V_NONE));
    kr_mapb_put(&b, KR_S("optionals"), big_list(a, (kr_val){.kind = KR_OPTIONAL}));
    kr_mapb_put(&b, KR_S("map"), big_map(a));
    kr_mapb_put(&b, KR_S("url"), repeated(a, "https://a/", "\xc3\xa9", BIG / 2));
    kr_mapb_put(&b, KR_S("semver"), repeated(a, "1.2.3-", "a", BIG));
    return kr_mapb_done(&b);
}

/* Do CALLS evaluations of call take a step per BYTES_PER_STEP at least, whatever they give? */
static bool pays(struct bomb *b, kr_val x, kr_str call)
{
    const struct cel_prog *p;
    struct kr_arena each = {0};
    uint64_t enough = CALLS * (uint64_t)BIG / BYTES_PER_STEP;
    kr_val v;

    kr_buf_reset(&b->text);
    kr_buf_fmt(&b->text, "lists.range(%d).all(i, type(" KR_FMT ") == int || true)", CALLS,
               KR_ARG(call));
    EXPECT_OK(cel_compile(&b->a, b->env, kr_buf_view(&b->text), &p, &b->err), &b->err);
    b->slot = x;
    b->run.a = &each;
    b->run.cost_max = enough - 1; /* then it need not go on */
    b->run.bytes_max = 0;
    if (cel_eval(p, &b->run, &v, &b->err) < 0 && b->run.fail != CEL_FAIL_LIMIT)
        EXPECT_TEXT(b->err.text, "a limit");
    kr_arena_fini(&each);
    return b->run.cost >= enough;
}

static void unpaid(const char *what, uint32_t *failed)
{
    test_diff(what, "charged by the size of its operands");
    (*failed)++;
}

TEST(hostile, every_function_pays_for_its_operands)
{
    struct bomb b;
    KR_AUTO(kr_buf) call = KR_BUF(KR_ERR_MAX);
    uint32_t failed = 0;
    kr_val x;

    bomb_init(&b);
    x = big_operands(&b.a);
    for (size_t i = 0; i < KR_N(rows); i++) {
        bool hidden = strpbrk(rows[i].name, "@_!-") != NULL; /* operators: below */

        kr_buf_reset(&call);
        if (hidden || !write_call(&call, &rows[i]) || is_constant_row(rows[i].id))
            continue;
        if (!pays(&b, x, kr_buf_view(&call)))
            unpaid(rows[i].id, &failed);
    }
    bomb_fini(&b);
    assert_int_equal(failed, 0);
}

TEST(hostile, operators_pay_for_the_texts_they_compare)
{
    static const char *const calls[] = {
        "x.s == x.same",
        "x.s != x.same",
        "x.s < x.same",
        "x.s >= x.same",
        "bytes(x.s) == bytes(x.same)",
        "bytes(x.s) < bytes(x.same)",
        "[x.s] == [x.same]",
        "{'k': x.s} == {'k': x.same}",
        "x.s in [x.same]",
        "x.s in {x.same: 1}",
        "{x.s: 1}[x.same]",
        "{x.s: 1}[?x.same]",
        "{x.s: 1}.exists(k, k == x.same)",
        "{'a': 1}.transformMapEntry(k, v, {x.s: 1})",
        "optional.of(x.s) == optional.of(x.same)",
        "url(x.url) == url(x.url)",
        "x.s + x.same",
        "x.ints == x.ints",
        "x.map == x.map",
        "65535 in x.ints",
        "string(bytes(x.s)).size()",
        "x.s.startsWith(x.same)",
        "x.s.endsWith(x.same)",
        "[x.s, x.same].sort()",
        "[x.s, x.same].isSorted()",
        "[x.s, x.same].min()",
        "[x.s, x.same].max()",
        "[x.s, x.same].distinct()",
        "[x.s, x.same].sortBy(k, k)",
        "[x.s].indexOf(x.same)",
        "[x.s].lastIndexOf(x.same)",
        "sets.contains([x.s], [x.same])",
        "{x.s: 1}.merge({x.same: 1})",
    };
    struct bomb b;
    uint32_t failed = 0;
    kr_val x;

    bomb_init(&b);
    x = big_operands(&b.a);
    for (size_t i = 0; i < KR_N(calls); i++) {
        if (!pays(&b, x, kr_str_c(calls[i])))
            unpaid(calls[i], &failed);
    }
    bomb_fini(&b);
    assert_int_equal(failed, 0);
}

TEST(hostile, patterns_pay_for_their_size)
{
    stopped("cel.bind(s, lists.range(100000).map(b, 'a').join(''), lists.range(10).all(i, "
            "!s.matches('(a?){100}a{300}b' + string(i))))");
    stopped("cel.bind(s, lists.range(100000).map(b, 'a').join(''), "
            "lists.range(10).all(i, !s.matches('(a?){100}a{300}b')))");
    stopped("lists.range(2000).all(i, 'a'.find('(a{1000}){1}' + string(i)) == '')");
    stopped("lists.range(1000).all(i, 'a'.matches('a{1000}' + lists.range(200).map(b, "
            "'a{1000}').join('') + string(i)) || true)");
}

TEST(hostile, the_error_names_the_limit_of_steps)
{
    struct bomb b;
    kr_val v;

    bomb_init(&b);
    add(&b, "lists.range(1000000).all(i, i >= 0)");
    b.run.cost_max = 12345;
    assert_int_equal(explode(&b, &v), KR_E_LIMIT);
    EXPECT_TEXT(b.err.text, "evaluation cost limit exceeded: more than 12345 steps");
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
        T(hostile, a_result_that_grows_a_level_each_turn), T(hostile, errors_are_short),
        T(hostile, every_function_pays_for_its_operands),
        T(hostile, operators_pay_for_the_texts_they_compare),
        T(hostile, patterns_pay_for_their_size), T(hostile, the_error_names_the_limit_of_steps));
}
