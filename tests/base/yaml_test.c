/* SPDX-License-Identifier: Apache-2.0 */
#include "cel/base/yaml.h"

#include "cel/base/json.h"
#include "tests/lib/test.h"

/* All documents as JSON, one a line; after a failure the error. */
static void expect_yaml(const char *text, const char *want)
{
    KR_AUTO(kr_arena) a = {0};
    KR_AUTO(kr_buf) out = KR_BUF(1 << 20);
    struct kr_err err = KR_ERR_NONE;
    kr_val docs;

    if (kr_yaml_parse(&a, kr_str_c(text), &docs, &err) < 0) {
        EXPECT_TEXT(err.text, want);
        return;
    }
    KR_LIST_EACH (doc, docs) {
        EXPECT_OK(kr_json_write(&out, *doc, KR_JSON_HTML, &err), &err);
        kr_buf_chr(&out, '\n');
    }
    EXPECT_TEXT(out.s ? out.s : "", want);
}

/* What sigs.k8s.io/yaml 1.6.0 makes of a scalar as a value and as a key; NULL: it refuses. */
/* clang-format off */
static const struct {
    const char *scalar, *value, *key;
} scalars[] = {
    {"y", "true", "\"true\""},
    {"Y", "true", "\"true\""},
    {"yes", "true", "\"true\""},
    {"Yes", "true", "\"true\""},
    {"YES", "true", "\"true\""},
    {"yEs", "\"yEs\"", "\"yEs\""},
    {"true", "true", "\"true\""},
    {"True", "true", "\"true\""},
    {"TRUE", "true", "\"true\""},
    {"tRue", "\"tRue\"", "\"tRue\""},
    {"on", "true", "\"true\""},
    {"On", "true", "\"true\""},
    {"ON", "true", "\"true\""},
    {"oN", "\"oN\"", "\"oN\""},
    {"n", "false", "\"false\""},
    {"N", "false", "\"false\""},
    {"no", "false", "\"false\""},
    {"No", "false", "\"false\""},
    {"NO", "false", "\"false\""},
    {"nO", "\"nO\"", "\"nO\""},
    {"false", "false", "\"false\""},
    {"False", "false", "\"false\""},
    {"FALSE", "false", "\"false\""},
    {"off", "false", "\"false\""},
    {"Off", "false", "\"false\""},
    {"OFF", "false", "\"false\""},
    {"", "null", NULL},
    {"~", "null", NULL},
    {"null", "null", NULL},
    {"Null", "null", NULL},
    {"NULL", "null", NULL},
    {"nUll", "\"nUll\"", "\"nUll\""},
    {".nan", NULL, "\".nan\""},
    {".NaN", NULL, "\".nan\""},
    {".NAN", NULL, "\".nan\""},
    {".Nan", "\".Nan\"", "\".Nan\""},
    {".inf", NULL, "\".inf\""},
    {".Inf", NULL, "\".inf\""},
    {".INF", NULL, "\".inf\""},
    {"+.inf", NULL, "\".inf\""},
    {"-.inf", NULL, "\"-.inf\""},
    {"-.INF", NULL, "\"-.inf\""},
    {"+.Inf", NULL, "\".inf\""},
    {"<<", "\"\\u003c\\u003c\"", NULL},
    {"0", "0", "\"0\""},
    {"-0", "0", "\"0\""},
    {"+0", "0", "\"0\""},
    {"00", "0", "\"0\""},
    {"007", "7", "\"7\""},
    {"08", "8", "\"8\""},
    {"09", "9", "\"9\""},
    {"010", "8", "\"8\""},
    {"0o7", "7", "\"7\""},
    {"0o8", "\"0o8\"", "\"0o8\""},
    {"0O7", "7", "\"7\""},
    {"0x1F", "31", "\"31\""},
    {"0XfF", "255", "\"255\""},
    {"0x", "\"0x\"", "\"0x\""},
    {"0xG", "\"0xG\"", "\"0xG\""},
    {"-0x1F", "-31", "\"-31\""},
    {"+0x1F", "31", "\"31\""},
    {"0b101", "5", "\"5\""},
    {"0B11", "3", "\"3\""},
    {"-0b101", "-5", "\"-5\""},
    {"+0b101", "5", "\"5\""},
    {"0b2", "\"0b2\"", "\"0b2\""},
    {"0b", "\"0b\"", "\"0b\""},
    {"0b-101", "-5", "\"-5\""},
    {"0b+11", "3", "\"3\""},
    {"-0b-1", "\"-0b-1\"", "\"-0b-1\""},
    {"1_000", "1000", "\"1000\""},
    {"1__0", "10", "\"10\""},
    {"_1", "\"_1\"", "\"_1\""},
    {"1_", "1", "\"1\""},
    {"0x_1", "1", "\"1\""},
    {"0b1_0", "2", "\"2\""},
    {"9223372036854775807", "9223372036854775807", "\"9223372036854775807\""},
    {"9223372036854775808", "9223372036854775808", NULL},
    {"-9223372036854775808", "-9223372036854775808", "\"-9223372036854775808\""},
    {"-9223372036854775809", "-9223372036854776000", "\"-9.223372e+18\""},
    {"18446744073709551615", "18446744073709551615", NULL},
    {"18446744073709551616", "18446744073709552000", "\"1.8446744e+19\""},
    {"+18446744073709551615", "18446744073709552000", "\"1.8446744e+19\""},
    {"0xFFFFFFFFFFFFFFFF", "18446744073709551615", NULL},
    {"0x10000000000000000", "\"0x10000000000000000\"", "\"0x10000000000000000\""},
    {"-0xFFFFFFFFFFFFFFFF", "\"-0xFFFFFFFFFFFFFFFF\"", "\"-0xFFFFFFFFFFFFFFFF\""},
    {"1.", "1", "\"1\""},
    {".5", "0.5", "\"0.5\""},
    {"-.5", "-0.5", "\"-0.5\""},
    {"+.5", "0.5", "\"0.5\""},
    {"1.5", "1.5", "\"1.5\""},
    {"1e3", "1000", "\"1000\""},
    {"1E3", "1000", "\"1000\""},
    {"1e+3", "1000", "\"1000\""},
    {"1e-3", "0.001", "\"0.001\""},
    {"1.5e300", "1.5e+300", "\".inf\""},
    {"1e400", "\"1e400\"", "\"1e400\""},
    {"1e21", "1e+21", "\"1e+21\""},
    {"1e20", "100000000000000000000", "\"1e+20\""},
    {"1e19", "10000000000000000000", "\"1e+19\""},
    {"1.0", "1", "\"1\""},
    {"100.0", "100", "\"100\""},
    {"-1.0", "-1", "\"-1\""},
    {"0.1", "0.1", "\"0.1\""},
    {"1e-7", "1e-7", "\"1e-07\""},
    {".", "\".\"", "\".\""},
    {"..", "\"..\"", "\"..\""},
    {"-", NULL, "\"-\""},
    {"+", "\"+\"", "\"+\""},
    {"--", "\"--\"", "\"--\""},
    {"1.2.3", "\"1.2.3\"", "\"1.2.3\""},
    {"1:30", "\"1:30\"", "\"1:30\""},
    {"190:20:30", "\"190:20:30\"", "\"190:20:30\""},
    {"2001-01-01", "\"2001-01-01\"", "\"2001-01-01\""},
    {"2001-1-1", "\"2001-1-1\"", "\"2001-1-1\""},
    {"2001-12-14T21:59:43.1Z", "\"2001-12-14T21:59:43.1Z\"", "\"2001-12-14T21:59:43.1Z\""},
    {"2001-12-14t21:59:43.10-05:00", "\"2001-12-14t21:59:43.10-05:00\"", "\"2001-12-14t21:59:43.10-05:00\""},
    {"2001-12-14 21:59:43", "\"2001-12-14 21:59:43\"", "\"2001-12-14 21:59:43\""},
    {"20010101", "20010101", "\"20010101\""},
    {"2001-", "\"2001-\"", "\"2001-\""},
    {"inf", "\"inf\"", "\"inf\""},
    {"nan", "\"nan\"", "\"nan\""},
    {"Infinity", "\"Infinity\"", "\"Infinity\""},
    {"+inf", "\"+inf\"", "\"+inf\""},
    {".5_0", "0.5", "\"0.5\""},
    {"._5", "\"._5\"", "\"._5\""},
    {".e3", "\".e3\"", "\".e3\""},
    {"1e", "\"1e\"", "\"1e\""},
    {"1e+", "\"1e+\"", "\"1e+\""},
    {"0.0", "0", "\"0\""},
    {"0e0", "0", "\"0\""},
    {".0", "0", "\"0\""},
    {"5.", "5", "\"5\""},
    {"1_0.5", "10.5", "\"10.5\""},
    {"12e03", "12000", "\"12000\""},
    {"0x1p4", "\"0x1p4\"", "\"0x1p4\""},
    {"0.1e", "\"0.1e\"", "\"0.1e\""},
    {"1,000", "\"1,000\"", "\"1,000\""},
    {"1 2", "\"1 2\"", "\"1 2\""},
    {"a b", "\"a b\"", "\"a b\""},
    {"a#b", "\"a#b\"", "\"a#b\""},
    {"=", "\"=\"", "\"=\""},
    {"*", NULL, NULL},
    {"&a", "null", NULL},
    {"@a", NULL, NULL},
    {"%a", NULL, NULL},
    {"`a`", NULL, NULL},
    {"? a", NULL, NULL},
    {"[", NULL, NULL},
    {"{", NULL, NULL},
    {"a:b", "\"a:b\"", "\"a:b\""},
    {"\"q\"", "\"q\"", "\"q\""},
    {"'q'", "\"q\"", "\"q\""},
    {"\"1\"", "\"1\"", "\"1\""},
    {"'true'", "\"true\"", "\"true\""},
    {"!!str 1", "\"1\"", "\"1\""},
    {"!!int 1", "1", "\"1\""},
    {"!!int 1.5", NULL, NULL},
    {"!!int \"1\"", "1", "\"1\""},
    {"!!float 1", "1", "\"1\""},
    {"!!float 1.5", "1.5", "\"1.5\""},
    {"!!float x", NULL, NULL},
    {"!!bool yes", "true", "\"true\""},
    {"!!bool 1", NULL, NULL},
    {"!!null x", NULL, NULL},
    {"!!null ~", "null", NULL},
    {"!!null \"\"", "null", NULL},
    {"!!timestamp 2001-01-01", "\"2001-01-01\"", "\"2001-01-01\""},
    {"!!timestamp x", NULL, NULL},
    {"!!binary aGk=", "\"hi\"", "\"hi\""},
    {"!!binary \"%%%\"", NULL, NULL},
    {"!foo 1", "\"1\"", "\"1\""},
    {"!foo yes", "\"yes\"", "\"yes\""},
    {"! 1", "\"1\"", "\"1\""},
    {"! yes", "\"yes\"", "\"yes\""},
    {"!!map x", "\"x\"", "\"x\""},
    {"!!seq x", "\"x\"", "\"x\""},
    {"!!set x", "\"x\"", "\"x\""},
    {"!<tag:yaml.org,2002:int> 5", "5", "\"5\""},
    {"!!float 0x10", "16", "\"16\""},
    {"!!bool \"true\"", "true", "\"true\""},
    {"!!int \"010\"", "8", "\"8\""},
    {"\"a\\u0041\\n\"", "\"aA\\n\"", "\"aA\\n\""},
    {"\"\\x41\"", "\"A\"", "\"A\""},
    {"\"\\ud800\"", NULL, NULL},
    {"it''s", "\"it''s\"", "\"it''s\""},
    {"'it''s'", "\"it's\"", "\"it's\""},
    {"\xc3\xa9", "\"\xc3\xa9\"", "\"\xc3\xa9\""},
    {"\xe2\x80\xa8x", NULL, "\"x\""},
    {"2147483648", "2147483648", "\"2147483648\""},
    {"3.14159265358979", "3.14159265358979", "\"3.1415927\""},
    {"16777217.5", "16777217.5", "\"1.6777218e+07\""},
    {"1e39", "1e+39", "\".inf\""},
    {"123456789.125", "123456789.125", "\"1.2345679e+08\""},
    {"1.1754943508222875e-38", "1.1754943508222875e-38", "\"1.1754944e-38\""},
    {"5e-324", "5e-324", "\"0\""},
    {"33554433.0", "33554433", "\"3.3554432e+07\""},
    {"0.000001", "0.000001", "\"1e-06\""},
    {"0.0000001", "1e-7", "\"1e-07\""},
};
/* clang-format on */

static bool parses(struct kr_arena *a, kr_str text, kr_val *doc)
{
    kr_val docs;

    if (kr_yaml_parse(a, text, &docs, NULL) < 0)
        return false;
    *doc = kr_item(docs, 0);
    return true;
}

static kr_str html_json(struct kr_arena *a, kr_val v)
{
    KR_AUTO(kr_buf) b = KR_BUF(1000);

    EXPECT_OK(kr_json_write(&b, v, KR_JSON_HTML, NULL), NULL);
    return kr_strdup(a, kr_buf_view(&b));
}

TEST(kr_yaml, scalars_resolve_as_kubernetes_reads_them)
{
    for (size_t i = 0; i < KR_N(scalars); i++) {
        KR_AUTO(kr_arena) a = {0};
        kr_val v = KR_V_NONE;
        bool ok = parses(&a, kr_fmt(&a, "a: %s\n", scalars[i].scalar), &v);

        if (ok != (scalars[i].value != NULL))
            fail_msg("as a value: %s", scalars[i].scalar);
        if (ok)
            EXPECT_TEXT(html_json(&a, kr_at(v, "a")).s, scalars[i].value);
        ok = parses(&a, kr_fmt(&a, "%s: 1\n", scalars[i].scalar), &v);
        if (ok != (scalars[i].key != NULL))
            fail_msg("as a key: %s", scalars[i].scalar);
        if (ok)
            EXPECT_TEXT(html_json(&a, v).s, kr_fmt(&a, "{%s:1}", scalars[i].key).s);
    }
}

TEST(kr_yaml, numbers_get_the_kind_json_would_give)
{
    KR_AUTO(kr_arena) a = {0};
    kr_val v = test_yaml(&a, "[1, 1.0, 1e3, 1.5, 9223372036854775808, 1e30, -0.0]");

    assert_int_equal(kr_item(v, 0).kind, KR_INT);
    assert_int_equal(kr_item(v, 1).kind, KR_INT);
    assert_int_equal(kr_item(v, 2).i, 1000);
    assert_int_equal(kr_item(v, 3).kind, KR_DOUBLE);
    assert_int_equal(kr_item(v, 4).kind, KR_UINT);
    assert_int_equal(kr_item(v, 5).kind, KR_DOUBLE);
    assert_int_equal(kr_item(v, 6).kind, KR_INT);
}

TEST(kr_yaml, collections)
{
    expect_yaml("a:\n- 1\n- b: {c: [x, 'y']}\n  d: \"e\\tf\"\nz: |\n  l1\n  l2\n",
                "{\"a\":[1,{\"b\":{\"c\":[\"x\",\"y\"]},\"d\":\"e\\tf\"}],\"z\":\"l1\\nl2\\n\"}\n");
    expect_yaml("{}", "{}\n");
    expect_yaml("[]", "[]\n");
    expect_yaml("a: >-\n  folded\n  text\n\n  more", "{\"a\":\"folded text\\nmore\"}\n");
    expect_yaml("{\"json\": [1, 2.5, null, true, \"x\"]}", "{\"json\":[1,2.5,null,true,\"x\"]}\n");
    expect_yaml("? k\n: v", "{\"k\":\"v\"}\n");
}

TEST(kr_yaml, anchors_and_merge_keys)
{
    expect_yaml("- &a [1]\n- *a\n- &a 2\n- *a", "[[1],[1],2,2]\n");
    expect_yaml("x: &x {a: 1, b: 2}\ny_: {<<: *x, b: 3}",
                "{\"x\":{\"a\":1,\"b\":2},\"y_\":{\"a\":1,\"b\":3}}\n");
    expect_yaml(
        "x: &x {a: 1, b: 2}\ny_: {b: 3, <<: *x}", /* so does go-yaml v2: the last one wins */
        "{\"x\":{\"a\":1,\"b\":2},\"y_\":{\"a\":1,\"b\":2}}\n");
    expect_yaml("x: &x {a: 1}\nz: &z {a: 2, c: 3}\nm: {<<: [*x, *z], d: 4}",
                "{\"m\":{\"a\":1,\"c\":3,\"d\":4},\"x\":{\"a\":1},\"z\":{\"a\":2,\"c\":3}}\n");
    expect_yaml("m: {\"<<\": {a: 1}}", "{\"m\":{\"\\u003c\\u003c\":{\"a\":1}}}\n");
    expect_yaml("m: {!!merge <<: {a: 1}}", "{\"m\":{\"a\":1}}\n");
    expect_yaml("a: &k v\n*k : 2", "{\"a\":\"v\",\"v\":2}\n");
    expect_yaml("&k a: 1\nb: *k", "{\"a\":1,\"b\":\"a\"}\n");
    expect_yaml("m: {<<: 3}",
                "YAML line 1, column 9: map merge requires map or sequence of maps as the value");
    expect_yaml("x: &x {a: *x}", "YAML line 1, column 11: anchor contains itself");
    expect_yaml("x: *u", "YAML line 1, column 4: alias of an unknown anchor");
    expect_yaml("x: &x 1\n---\ny_: *x", "YAML line 3, column 5: alias of an unknown anchor");
}

TEST(kr_yaml, documents_and_their_lines)
{
    KR_AUTO(kr_arena) a = {0};
    kr_val docs;
    uint32_t *lines;
    struct kr_err err = KR_ERR_NONE;
    const char *text =
        "# comment\na: 1\n---\n# only a comment\n---\n\nb: 2\n...\n---\nnull\n--- c\n---\n";

    EXPECT_OK(kr_yaml_parse_lines(&a, kr_str_c(text), &docs, &lines, &err), &err);
    EXPECT_TEXT(kr_json_str(&a, docs).s, "[{\"a\":1},{\"b\":2},null,\"c\"]");
    assert_int_equal(lines[0], 2);
    assert_int_equal(lines[1], 7);
    assert_int_equal(lines[2], 10);
    assert_int_equal(lines[3], 11);
    expect_yaml("", "");
    expect_yaml("# nothing\n", "");
    expect_yaml("\xef\xbb\xbf"
                "a: 1",
                "{\"a\":1}\n");
}

TEST(kr_yaml, errors_name_the_place)
{
    expect_yaml("a: 1\nb: [1", "YAML line 3, column 1: did not find expected ',' or ']'");
    expect_yaml("a:\n\tb: 1", "YAML line 2, column 1: found character that cannot start any token");
    expect_yaml("a: b: c", "YAML line 1, column 5: mapping values are not allowed in this context");
    expect_yaml("\n? [a]\n: b", "YAML line 2, column 3: a map or list cannot be a map key");
    expect_yaml("a: 1\n~: 2", "YAML line 2, column 1: this cannot be a map key");
    expect_yaml("a: .nan", "YAML line 1, column 4: not a number that JSON can hold");
    expect_yaml("a: !!int x",
                "YAML line 1, column 4: a value of type !!str cannot be read as !!int");
    expect_yaml("a: !!binary '%'",
                "YAML line 1, column 4: !!binary value contains invalid base64 data");
}

TEST(kr_yaml, a_key_twice_in_one_map_is_refused)
{
    expect_yaml("a: 1\nb: 2\na: 3", "YAML line 3: key \"a\" already set in map, in line 1");
    expect_yaml("m: {x: 1, x: 2}", "YAML line 1: key \"x\" already set in map, in line 1");
    expect_yaml("- a: 1\n- a: 2", "[{\"a\":1},{\"a\":2}]\n");
    expect_yaml("b: &b {a: 1}\nc:\n  <<: *b\n  a: 2", "{\"b\":{\"a\":1},\"c\":{\"a\":2}}\n");
}

static int parse_built(struct kr_arena *a, struct kr_buf *b, struct kr_err *err)
{
    kr_val docs;

    assert_false(b->full);
    return kr_yaml_parse(a, kr_buf_view(b), &docs, err);
}

static int parse_nested(int levels, struct kr_err *err)
{
    KR_AUTO(kr_arena) a = {0};
    KR_AUTO(kr_buf) b = KR_BUF(1 << 20);

    for (int i = 0; i < levels; i++)
        kr_buf_chr(&b, '[');
    for (int i = 0; i < levels; i++)
        kr_buf_chr(&b, ']');
    return parse_built(&a, &b, err);
}

TEST(kr_yaml, depth_is_limited_aliases_included)
{
    KR_AUTO(kr_arena) a = {0};
    KR_AUTO(kr_buf) b = KR_BUF(1 << 20);
    struct kr_err err = KR_ERR_NONE;

    EXPECT_OK(parse_nested(KR_YAML_DEPTH_MAX, &err), &err);
    assert_int_equal(parse_nested(KR_YAML_DEPTH_MAX + 1, &err), KR_E_LIMIT);
    assert_int_equal(parse_nested(50000, &err), KR_E_LIMIT);
    kr_buf_str(&b, KR_S("- &a0 x\n"));
    for (int i = 0; i < KR_YAML_DEPTH_MAX - 1;
         i++) /* each is one level deeper than the one before */
        kr_buf_fmt(&b, "- &a%d [*a%d]\n", i + 1, i);
    EXPECT_OK(parse_built(&a, &b, &err), &err);
    kr_buf_fmt(&b, "- [*a%d]\n", KR_YAML_DEPTH_MAX - 1);
    assert_int_equal(parse_built(&a, &b, &err), KR_E_LIMIT);
}

TEST(kr_yaml, an_alias_bomb_is_refused)
{
    KR_AUTO(kr_arena) a = {0};
    KR_AUTO(kr_buf) b = KR_BUF(1 << 20);
    struct kr_err err = KR_ERR_NONE;

    kr_buf_str(&b, KR_S("- &a0 [x, x, x, x, x, x, x, x, x, x]\n"));
    for (int i = 0; i < 9; i++)
        kr_buf_fmt(&b, "- &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n",
                   i + 1, i, i, i, i, i, i, i, i, i, i);
    assert_int_equal(parse_built(&a, &b, &err), KR_E_LIMIT);
    assert_true(a.used_bytes < 1000000);
}

TEST(kr_yaml, documents_are_limited)
{
    KR_AUTO(kr_arena) a = {0};
    KR_AUTO(kr_buf) b = KR_BUF(1 << 20);
    struct kr_err err = KR_ERR_NONE;

    for (int i = 0; i < KR_YAML_DOCS_MAX; i++)
        kr_buf_str(&b, KR_S("--- 1\n"));
    EXPECT_OK(parse_built(&a, &b, &err), &err);
    kr_buf_str(&b, KR_S("--- 1\n"));
    assert_int_equal(parse_built(&a, &b, &err), KR_E_LIMIT);
}

/* --- places ----------------------------------------------------------------------------------- */

/* "line:column key line:column how much was found, |: a block", or "none". */
static void expect_place(const char *text, uint32_t doc, const char *path, const char *want)
{
    KR_AUTO(kr_arena) a = {0};
    kr_str names[8], rest = kr_str_c(path);
    struct kr_yaml_place at;
    uint32_t n = 0;

    while (rest.n)
        names[n++] = kr_str_cut(&rest, '/');
    if (!kr_yaml_locate(kr_str_c(text), doc, names, n, &at)) {
        EXPECT_TEXT("none", want);
        return;
    }
    EXPECT_TEXT(kr_fmt(&a, "%u:%u key %u:%u %u%s%s", at.line, at.column, at.key_line, at.key_column,
                       at.found, at.scalar ? " scalar" : "", at.block ? " |" : "")
                    .s,
                want);
}

TEST(kr_yaml, locates_a_value_by_its_path)
{
    static const char text[] = "# head\n"
                               "a: 1\n"
                               "b:\n"
                               "  - x: {y: \"q\"}\n"
                               "  - |\n"
                               "    text\n"
                               "---\n"
                               "---\n"
                               "\xc3\xa9: {z: [1, 2]}\n";

    expect_place(text, 0, "a", "2:4 key 2:1 1 scalar");
    expect_place(text, 0, "b/0/x/y", "4:12 key 4:9 4 scalar");
    expect_place(text, 0, "b/1", "5:5 key 5:5 2 scalar |");
    expect_place(text, 0, "b", "4:3 key 3:1 1");
    expect_place(text, 0, "", "2:1 key 2:1 0");
    expect_place(text, 1, "\xc3\xa9/z/1", "9:12 key 9:12 3 scalar");
}

TEST(kr_yaml, locates_the_deepest_value_on_the_way)
{
    static const char text[] = "a: {b: 1}\nc: &x {d: 1}\ne: *x\n";

    expect_place(text, 0, "a/nope/more", "1:4 key 1:1 1");
    expect_place(text, 0, "a/b/more", "1:8 key 1:5 2 scalar");
    expect_place(text, 0, "e/d", "3:4 key 3:1 1"); /* aliases are not followed */
    expect_place(text, 1, "a", "none");
    expect_place("a: [", 0, "a/0", "1:4 key 1:1 1");
    expect_place("", 0, "a", "none");
}

int main(void)
{
    return RUN(T(kr_yaml, scalars_resolve_as_kubernetes_reads_them),
               T(kr_yaml, numbers_get_the_kind_json_would_give), T(kr_yaml, collections),
               T(kr_yaml, anchors_and_merge_keys), T(kr_yaml, documents_and_their_lines),
               T(kr_yaml, a_key_twice_in_one_map_is_refused), T(kr_yaml, errors_name_the_place),
               T(kr_yaml, depth_is_limited_aliases_included), T(kr_yaml, an_alias_bomb_is_refused),
               T(kr_yaml, documents_are_limited), T(kr_yaml, locates_a_value_by_its_path),
               T(kr_yaml, locates_the_deepest_value_on_the_way));
}
