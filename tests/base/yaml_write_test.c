/* SPDX-License-Identifier: Apache-2.0 */
#include "cel/base/yaml_write.h"

#include "tests/lib/test.h"

static void expect_text(const char *json, const char *want)
{
    KR_AUTO(kr_arena) a = {0};
    KR_AUTO(kr_buf) out = KR_BUF(1 << 20);
    struct kr_err err = KR_ERR_NONE;

    EXPECT_OK(kr_yaml_write(&out, test_json(&a, json), &err), &err);
    EXPECT_TEXT(out.s ? out.s : "", want);
}

TEST(kr_yaml_write, maps_and_lists_are_laid_out_as_kubectl_does)
{
    expect_text("{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"spec\":{\"containers\":[{\"name\":\"a\","
                "\"args\":[\"x\",\"-y\"],\"ports\":[]},{\"name\":\"b\",\"env\":{}}]}}",
                "apiVersion: v1\n"
                "kind: Pod\n"
                "spec:\n"
                "  containers:\n"
                "  - args:\n"
                "    - x\n"
                "    - -y\n"
                "    name: a\n"
                "    ports: []\n"
                "  - env: {}\n"
                "    name: b\n");
}

TEST(kr_yaml_write, a_text_keeps_its_kind)
{
    expect_text(
        "{\"a\":\"true\",\"b\":\"1\",\"c\":\"null\",\"d\":\"\",\"e\":\"yes\",\"f\":\"1:30\","
        "\"g\":\"2026-01-02\",\"h\":\"0x1f\",\"i\":\"1e3\",\"j\":\"~\",\"k\":\"10.0.0.1\","
        "\"l\":\"a: b\",\"m\":\"#x\",\"n\":\" x\",\"o\":\"it's\",\"p\":\"${a.b}\",\"q\":\"*x\"}",
        "a: \"true\"\n"
        "b: \"1\"\n"
        "c: \"null\"\n"
        "d: \"\"\n"
        "e: \"yes\"\n"
        "f: \"1:30\"\n"
        "g: \"2026-01-02\"\n"
        "h: \"0x1f\"\n"
        "i: \"1e3\"\n"
        "j: \"~\"\n"
        "k: 10.0.0.1\n"
        "l: 'a: b'\n"
        "m: '#x'\n"
        "\"n\": ' x'\n"
        "o: it's\n"
        "p: ${a.b}\n"
        "q: '*x'\n");
}

TEST(kr_yaml_write, several_lines_become_a_block)
{
    expect_text(
        "{\"a\":\"x\\ny\\n\",\"b\":\"x\\ny\",\"c\":\"x\\n\\n\",\"d\":\" x\\ny\",\"e\":\"x\\r\\ny\","
        "\"f\":\"\\n\"}",
        "a: |\n"
        "  x\n"
        "  y\n"
        "b: |-\n"
        "  x\n"
        "  y\n"
        "c: |+\n"
        "  x\n"
        "\n"
        "d: \" x\\ny\"\n"
        "e: \"x\\r\\ny\"\n"
        "f: \"\\n\"\n");
}

TEST(kr_yaml_write, numbers_and_words)
{
    expect_text("[1,-1,18446744073709551615,0.5,1e300,true,false,null]",
                "- 1\n- -1\n- 18446744073709551615\n- 0.5\n- 1e+300\n- true\n- false\n- null\n");
}

TEST(kr_yaml_write, a_long_line_is_not_folded)
{
    KR_AUTO(kr_buf) out = KR_BUF(1 << 20), text = KR_BUF(1 << 16);
    struct kr_err err = KR_ERR_NONE;

    for (int i = 0; i < 200; i++)
        kr_buf_fmt(&text, "%sword", i ? " " : "");
    EXPECT_OK(kr_yaml_write(&out, kr_string(kr_buf_view(&text)), &err), &err);
    assert_int_equal(kr_str_chr(kr_buf_view(&out), '\n'), text.n);
}

TEST(kr_yaml_write, what_json_does_not_have_is_refused)
{
    KR_AUTO(kr_buf) out = KR_BUF(1 << 20);
    struct kr_err err = KR_ERR_NONE;

    assert_int_equal(kr_yaml_write(&out, kr_double(1.0 / 0.0), &err), KR_E_INPUT);
    assert_int_equal(kr_yaml_write(&out, (kr_val){.kind = KR_BYTES, .s = ""}, &err), KR_E_INPUT);
    assert_int_equal(kr_yaml_write(&out, kr_string(KR_S("\xff")), &err), KR_E_INPUT);
    EXPECT_TEXT(err.text, "cannot be written as YAML: a text is not UTF-8");
}

TEST(kr_yaml_write, depth_is_limited)
{
    KR_AUTO(kr_buf) out = KR_BUF(1 << 20);
    struct kr_err err = KR_ERR_NONE;
    kr_val v[200];

    v[0] = kr_int(1);
    for (int i = 1; i < 200; i++)
        v[i] = kr_list(&v[i - 1], 1);
    assert_int_equal(kr_yaml_write(&out, v[101], &err), KR_E_LIMIT);
    kr_buf_reset(&out);
    assert_int_equal(kr_yaml_write(&out, v[100], &err), 0);
}

/* --- what is written reads back ----------------------------------------------------------------- */

static kr_str random_text(struct kr_arena *a, uint64_t *seed)
{
    static const char *const parts[] = {"a",
                                        "b",
                                        " ",
                                        "  ",
                                        "\n",
                                        "\n\n",
                                        ":",
                                        ": ",
                                        " #",
                                        "#",
                                        "-",
                                        "- ",
                                        "'",
                                        "\"",
                                        "\\",
                                        "|",
                                        ">",
                                        "\t",
                                        "\r",
                                        "\xc2\x85",
                                        "\xe2\x80\xa8",
                                        "?",
                                        "? ",
                                        "1",
                                        "0",
                                        ".",
                                        "e",
                                        "+",
                                        "_",
                                        "yes",
                                        "~",
                                        "null",
                                        "true",
                                        "{",
                                        "}",
                                        "[",
                                        "]",
                                        ",",
                                        "&",
                                        "*",
                                        "!",
                                        "%",
                                        "@",
                                        "`",
                                        "<<",
                                        "=",
                                        "\x01",
                                        "\xc3\xa4",
                                        "${",
                                        "---",
                                        "...",
                                        "\xf0\x9f\x98\x80",
                                        "\xef\xbb\xbf",
                                        "0x",
                                        "0b",
                                        "12:30:45",
                                        "2026-01-02"};
    uint64_t n = test_rand(seed) % 7;
    kr_str s = KR_S("");

    while (n-- > 0)
        s = kr_fmt(a, KR_FMT "%s", KR_ARG(s), parts[test_rand(seed) % KR_N(parts)]);
    return s;
}

static kr_val random_value(struct kr_arena *a, uint64_t *seed, int depth)
{
    struct kr_mapb map = KR_MAPB(a);
    struct kr_listb list = KR_LISTB(a);
    uint64_t n = test_rand(seed) % 4;

    switch (test_rand(seed) % (depth > 3 ? 5 : 8)) {
    case 0:
        return kr_int((int64_t)test_rand(seed));
    case 1:
        return test_rand(seed) % 2 ? kr_bool(test_rand(seed) % 2) : KR_V_NULL;
    case 2:
        return kr_double((double)(int64_t)test_rand(seed) / 1000.0);
    case 5:
        while (n-- > 0)
            kr_listb_add(&list, random_value(a, seed, depth + 1));
        return kr_listb_done(&list);
    case 6:
    case 7:
        while (n-- > 0)
            kr_mapb_put(&map, random_text(a, seed), random_value(a, seed, depth + 1));
        return kr_mapb_done(&map);
    default:
        return kr_string(random_text(a, seed));
    }
}

TEST(kr_yaml_write, what_is_written_reads_back)
{
    uint64_t seed = 7;

    for (int i = 0; i < 20000; i++) {
        KR_AUTO(kr_arena) a = {0};
        KR_AUTO(kr_buf) out = KR_BUF(1 << 20);
        struct kr_err err = KR_ERR_NONE;
        kr_val v = random_value(&a, &seed, 0), docs;

        EXPECT_OK(kr_yaml_write(&out, v, &err), &err);
        EXPECT_OK(kr_yaml_parse(&a, kr_buf_view(&out), &docs, &err), &err);
        if (docs.n != 1 || !kr_equal(kr_item(docs, 0), v))
            EXPECT_TEXT(kr_json_str(&a, kr_item(docs, 0)).s, kr_json_str(&a, v).s);
    }
}

int main(void)
{
    return RUN(T(kr_yaml_write, maps_and_lists_are_laid_out_as_kubectl_does),
               T(kr_yaml_write, a_text_keeps_its_kind),
               T(kr_yaml_write, several_lines_become_a_block), T(kr_yaml_write, numbers_and_words),
               T(kr_yaml_write, a_long_line_is_not_folded),
               T(kr_yaml_write, what_json_does_not_have_is_refused),
               T(kr_yaml_write, depth_is_limited), T(kr_yaml_write, what_is_written_reads_back));
}
