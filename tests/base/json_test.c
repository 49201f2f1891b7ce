/* SPDX-License-Identifier: Apache-2.0 */
#include "cel/base/json.h"

#include <math.h>

#include "tests/lib/test.h"

/* ---- a reader whose callbacks print what they get ---- */

struct feed {
    struct kr_buf out;
    int stop_at; /* callbacks until one fails; 0: never */
};

static int note(struct feed *f, const char *what, kr_val v, struct kr_err *err)
{
    kr_buf_fmt(&f->out, "%s ", what);
    EXPECT_OK(kr_json_write(&f->out, v, 0, err), err);
    kr_buf_chr(&f->out, '\n');
    if (f->stop_at && --f->stop_at == 0)
        return kr_fail(err, KR_E_CANCELED, "enough");
    return 0;
}
static int on_doc(void *arg, struct kr_arena *a, kr_val v, struct kr_err *err)
{
    kr_arena_alloc(a, 100); /* callbacks may use the arena */
    return note(arg, "doc", v, err);
}
static int on_item(void *arg, struct kr_arena *a, kr_val v, struct kr_err *err)
{
    kr_arena_alloc(a, 100);
    return note(arg, "item", v, err);
}

static const char *const skip[] = {"metadata.managedFields", "items.metadata.managedFields", "gone",
                                   NULL};

/* Feeds text cut at the two offsets (chunk > 0: into pieces of that size instead) and returns what
 * came out, with the error as its last line. Owned. */
static char *run(kr_str text, const struct kr_json_opts *base, size_t cut, size_t cut2,
                 size_t chunk)
{
    struct feed f = {.out = KR_BUF(1 << 20)};
    struct kr_json_opts opts = *base;
    struct kr_err err = KR_ERR_NONE;
    struct kr_json *j;
    int rc = 0;

    opts.on_doc = on_doc;
    opts.on_item = on_item;
    opts.arg = &f;
    j = kr_json_new(&opts);
    for (size_t at = 0; rc == 0 && at < text.n;) {
        size_t n = chunk ? chunk : at < cut ? cut - at : at < cut2 ? cut2 - at : text.n - at;
        char *piece = kr_cstrdup(kr_str_sub(text, at, at + n)); /* exact size: overruns show */

        n = at + n > text.n ? text.n - at : n;
        rc = kr_json_feed(j, piece, n, &err);
        kr_free(piece);
        at += n;
    }
    if (rc == 0)
        rc = kr_json_end(j, &err);
    kr_buf_fmt(&f.out, "%d %s\n", rc, err.text);
    kr_json_free(j);
    return f.out.s;
}

static void expect_run(const char *text, const struct kr_json_opts *opts, const char *want)
{
    char *got = run(kr_str_c(text), opts, 0, 0, 0);

    EXPECT_TEXT(got, want);
    kr_free(got);
}

/* ---- reading ---- */

TEST(kr_json, values)
{
    static const char *const same[] = {
        "null",
        "true",
        "false",
        "0",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615",
        "1.5",
        "\"\"",
        "\"a\"",
        "[]",
        "{}",
        "[1,[2,[3]]]",
        "{\"a\":{\"b\":[{\"c\":null}]}}",
        "\"\\u0001\\n\\r\\t\\b\\f\\\"\\\\/\"",
        "\"\xc3\xa9\xf0\x9f\x98\x80\"",
        "\"\\u2028\\u2029\"",
        "1e+300",
        "1e-7",
        "\"<&>\"",
    };
    static const char *const other[][2] = {
        {" [ 1 , 2 ] ", "[1,2]"},
        {"1e3", "1000"},
        {"1.0", "1"},
        {"-0", "0"},
        {"-0.0", "-0"},
        {"18446744073709551616", "18446744073709552000"},
        {"-9223372036854775809", "-9223372036854776000"},
        {"\"\\u0041\\u00e9\\/\"", "\"A\xc3\xa9/\""},
        {"\"\\ud83d\\ude00\\ud83d\\ude01\"", "\"\xf0\x9f\x98\x80\xf0\x9f\x98\x81\""},
        {"{\"b\":1,\"a\":2,\"b\":3}", "{\"a\":2,\"b\":3}"},
        {"{\"\":1,\"a\\u0000\":2,\"a\":3}", "{\"\":1,\"a\":3,\"a\\u0000\":2}"},
    };
    KR_AUTO(kr_arena) a = {0};

    for (size_t i = 0; i < KR_N(same); i++)
        EXPECT_TEXT(kr_json_str(&a, test_json(&a, same[i])).s, same[i]);
    for (size_t i = 0; i < KR_N(other); i++)
        EXPECT_TEXT(kr_json_str(&a, test_json(&a, other[i][0])).s, other[i][1]);
}

TEST(kr_json, numbers_get_the_narrowest_kind)
{
    static const struct {
        const char *text;
        enum kr_kind kind;
    } rows[] = {
        {"0", KR_INT},
        {"-0", KR_INT},
        {"9223372036854775807", KR_INT},
        {"-9223372036854775808", KR_INT},
        {"9223372036854775808", KR_UINT},
        {"18446744073709551615", KR_UINT},
        {"18446744073709551616", KR_DOUBLE},
        {"-9223372036854775809", KR_DOUBLE},
        {"1.0", KR_DOUBLE},
        {"1e2", KR_DOUBLE},
        {"1E2", KR_DOUBLE},
        {"1e-400", KR_DOUBLE},
    };
    KR_AUTO(kr_arena) a = {0};

    for (size_t i = 0; i < KR_N(rows); i++)
        assert_int_equal(test_json(&a, rows[i].text).kind, rows[i].kind);
    assert_true(test_json(&a, "9223372036854775808").u == 1ull << 63);
    assert_true(test_json(&a, "18446744073709551616").d == 0x1p64);
}

TEST(kr_json, strings_know_whether_they_are_ascii)
{
    KR_AUTO(kr_arena) a = {0};

    assert_int_equal(test_json(&a, "\"plain \\u007f\"").flags, KR_F_ASCII);
    assert_int_equal(test_json(&a, "\"\\u0080\"").flags, 0);
    assert_int_equal(test_json(&a, "\"\xc3\xa9\"").flags, 0);
}

/* text, beginning of the error's text */
static const char *const broken[][2] = {
    {"", "not JSON: there is no document"},
    {"  ", "not JSON: there is no document"},
    {"[1,2", "not JSON: the document that begins at byte 0 ends early"},
    {" \"abc", "not JSON: the document that begins at byte 1 ends early"},
    {"{\"a\"", "not JSON: the document that begins at byte 0 ends early"},
    {"tru", "not JSON: "},
    {"nulx", "not JSON: lexical error: invalid string in json text: found 'x' at byte 3"},
    {"x", "not JSON: lexical error: invalid char in json text: found 'x' at byte 0"},
    {"[1,]",
     "not JSON: parse error: unallowed token at this point in JSON text: found ']' at byte 3"},
    {"{\"a\" 1}", "not JSON: parse error: object key and value must be separated by a colon"},
    {"{\"a\":1 \"b\":2}",
     "not JSON: parse error: after key and value, inside map, I expect ',' or '}': found another "
     "token near byte "},
    {"{\"a\":1,}", "not JSON: "},
    {"{1:2}", "not JSON: "},
    {"]", "not JSON: "},
    {"[1 2]", "not JSON: "},
    {"[01]", "not JSON: "},
    {"[1.]", "not JSON: "},
    {"[.5]", "not JSON: "},
    {"[1e]", "not JSON: "},
    {"[-]", "not JSON: "},
    {"[+1]", "not JSON: "},
    {"[NaN]", "not JSON: "},
    {"['a']", "not JSON: "},
    {"[\"a\nb\"]",
     "not JSON: lexical error: invalid character inside string: found 0x0a at byte 3"},
    {"[\"\\x\"]", "not JSON: "},
    {"[\"\\u12g4\"]", "not JSON: "},
    {"// c\n1", "not JSON: "},
    {"\xef\xbb\xbf{}", "not JSON: "},
    {"\"\xff\"", "not JSON: invalid UTF-8 in the string that ends at byte 3"},
    {"\"\xed\xa0\x80\"", "not JSON: invalid UTF-8"},
    {"\"\xc0\x80\"", "not JSON: invalid UTF-8"},
    {"{\"\xff\":1}", "not JSON: invalid UTF-8"},
    {"\"\\ud800\"", "not JSON: lone surrogate escape at byte 7"},
    {"\"\\udc00\"", "not JSON: lone surrogate escape at byte 6"},
    {"\"\\ud800x\"", "not JSON: lone surrogate escape"},
    {"\"\\ud800\\n\"", "not JSON: lone surrogate escape"},
    {"\"\\ud800\\u0041\"", "not JSON: lone surrogate escape"},
    {"\"\\ud800\\ud800\"", "not JSON: lone surrogate escape"},
    {"1e999", "not JSON: number out of range"},
    {"-1e999", "not JSON: number out of range"},
    {"{} {}", "more than one JSON document"},
    {"1 2", "more than one JSON document"},
    {"{}{", "more than one JSON document"},
    {"{} x", "not JSON: "},
};

TEST(kr_json, what_is_not_json_is_refused_with_its_place)
{
    KR_AUTO(kr_arena) a = {0};

    for (size_t i = 0; i < KR_N(broken); i++) {
        struct kr_err err = KR_ERR_NONE;
        kr_val v = kr_int(42);

        if (kr_json_parse(&a, kr_str_c(broken[i][0]), &v, &err) != KR_E_INPUT)
            fail_msg("accepted: %s", broken[i][0]);
        if (!kr_str_starts(kr_err_str(&err), kr_str_c(broken[i][1])))
            EXPECT_TEXT(err.text, broken[i][1]);
        assert_int_equal(v.i, 42); /* written on success only */
    }
}

TEST(kr_json, errors_do_not_quote_the_document)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_err err = KR_ERR_NONE;
    kr_val v;

    assert_int_equal(kr_json_parse(&a, KR_S("{\"password\":\"hunter2\" \"x\":1}"), &v, &err),
                     KR_E_INPUT);
    assert_null(strstr(err.text, "hunter"));
    assert_null(strstr(err.text, "password"));
}

/* Documents of every shape, and broken ones, cut at every place. */
TEST(kr_json, any_chunking_gives_the_same)
{
    static const char *const texts[] = {
        "{\"kind\":\"List\",\"items\":[{\"b\":1,\"a\":-2.5e3,\"metadata\":{\"managedFields\":[{"
        "\"x\":{}}],"
        "\"name\":\"n\"}},7,\"x\",[1,{}],{}],\"metadata\":{\"managedFields\":3,\"rv\":\"1\"},"
        "\"gone\":[[]]}\n"
        "{\"items\":null} 12 -3 \"s\" true null [] {\"\":0}\n\n{\"items\":[]}{\"items\":{\"a\":1}}",
        "\"\\ud83d\\ude00 \xf0\x9f\x98\x80 \\\\ud800 \\u00e9\" 1.5e10 18446744073709551616 ",
        "{\"a\":1}{\"b\":[true,false,null]}x",
        "[1,2]]",
        "{\"a\":1,\"b\":tru}",
        "[\"abc\xffz\"]",
        "[\"\\ud83d\\u0041\"]",
        "[1,2] \"never ends",
        "[\"a\nb\"]",
        "[1, 2.x]",
        "1 2 3",
        "{\"a\":1}  nul",
        "[{\"items\":[1]}]",
    };
    const struct kr_json_opts opts = {.skip = skip, .split = "items"};

    for (size_t t = 0; t < KR_N(texts); t++) {
        kr_str text = kr_str_c(texts[t]);
        char *want = run(text, &opts, 0, 0, 0);

        for (size_t chunk = 1; chunk < 9; chunk++) {
            char *got = run(text, &opts, 0, 0, chunk);

            EXPECT_TEXT(got, want);
            kr_free(got);
        }
        for (size_t cut = 1; cut < text.n; cut++) {
            for (size_t cut2 = cut; cut2 < text.n; cut2 += text.n < 100 ? 1 : 37) {
                char *got = run(text, &opts, cut, cut2, 0);

                EXPECT_TEXT(got, want);
                kr_free(got);
            }
        }
        kr_free(want);
    }
}

TEST(kr_json, split_and_skip)
{
    const struct kr_json_opts opts = {.skip = skip, .split = "items"};

    expect_run("{\"items\":[{\"metadata\":{\"managedFields\":[1,{\"a\":[]}],\"name\":\"a\"}},5],"
               "\"metadata\":{\"managedFields\":{},\"rv\":\"7\"},\"gone\":1,\"kept\":{\"gone\":2}}",
               &opts,
               "item {\"metadata\":{\"name\":\"a\"}}\n"
               "item 5\n"
               "doc {\"items\":[],\"kept\":{\"gone\":2},\"metadata\":{\"rv\":\"7\"}}\n"
               "0 \n");
    expect_run("{\"items\":null}", &opts, "doc {\"items\":null}\n0 \n");
    expect_run("{\"items\":{\"items\":[1]}}", &opts, "doc {\"items\":{\"items\":[1]}}\n0 \n");
    expect_run("{\"a\":{\"items\":[1]}}", &opts, "doc {\"a\":{\"items\":[1]}}\n0 \n");
    expect_run("[{\"items\":[1],\"gone\":2}]", &opts, "doc [{\"items\":[1]}]\n0 \n");
    expect_run("{\"gone\":\"\",\"metadata\":[{\"managedFields\":1,\"x\":2}]}", &opts,
               "doc {\"metadata\":[{\"x\":2}]}\n0 \n");
    expect_run("{\"items\":[1],\"items\":[2]}", &opts, "item 1\nitem 2\ndoc {\"items\":[]}\n0 \n");
}

TEST(kr_json, a_document_is_delivered_with_its_last_byte)
{
    struct feed f = {.out = KR_BUF(1000)};
    struct kr_json_opts opts = {.on_doc = on_doc, .arg = &f};
    KR_AUTO_PTR(kr_json) j = kr_json_new(&opts);
    struct kr_err err = KR_ERR_NONE;

    EXPECT_OK(kr_json_feed(j, "\n {\"a\":", 7, &err), &err);
    assert_int_equal(kr_json_pending(j), 5);
    EXPECT_OK(kr_json_feed(j, "1", 1, &err), &err);
    assert_int_equal(kr_json_pending(j), 6);
    EXPECT_OK(kr_json_feed(j, "}", 1, &err), &err);
    EXPECT_TEXT(f.out.s, "doc {\"a\":1}\n");
    assert_int_equal(kr_json_pending(j), 0);
    EXPECT_OK(kr_json_feed(j, "\n\n ", 3, &err), &err);
    assert_int_equal(kr_json_pending(j), 0);
    EXPECT_OK(kr_json_feed(j, "12", 2, &err), &err); /* may go on */
    assert_int_equal(kr_json_pending(j), 2);
    EXPECT_OK(kr_json_feed(j, NULL, 0, &err), &err);
    EXPECT_OK(kr_json_feed(j, "3\n\"", 3, &err), &err);
    EXPECT_TEXT(f.out.s, "doc {\"a\":1}\ndoc 123\n");
    assert_int_equal(kr_json_pending(j), 1);
    EXPECT_OK(kr_json_feed(j, "x\" 4", 4, &err), &err);
    EXPECT_OK(kr_json_end(j, &err), &err);
    EXPECT_TEXT(f.out.s, "doc {\"a\":1}\ndoc 123\ndoc \"x\"\ndoc 4\n");
    kr_buf_fini(&f.out);
}

struct kept {
    kr_val docs[2];
    int n;
};

static int keep(void *arg, struct kr_arena *a, kr_val v, struct kr_err *err)
{
    struct kept *kept = arg;

    kept->docs[kept->n++] = v;
    return 0;
}

TEST(kr_json, a_document_can_be_built_where_it_stays)
{
    KR_AUTO(kr_arena) a = {0};
    struct kept kept = {.n = 0};
    struct kr_json_opts opts = {.into = &a, .on_doc = keep, .arg = &kept};
    struct kr_err err = KR_ERR_NONE;
    struct kr_json *j = kr_json_new(&opts);
    kr_str text = KR_S("{\"a\":[1,\"two\"]} {\"b\":{}}");

    EXPECT_OK(kr_json_feed(j, text.s, text.n, &err), &err);
    EXPECT_OK(kr_json_end(j, &err), &err);
    kr_json_free(j); /* the values outlive their reader */
    EXPECT_TEXT(kr_json_str(&a, kept.docs[0]).s, "{\"a\":[1,\"two\"]}");
    EXPECT_TEXT(kr_json_str(&a, kept.docs[1]).s, "{\"b\":{}}");
}

TEST(kr_json, a_callback_can_stop_the_reader)
{
    for (int stop_at = 1; stop_at <= 3; stop_at++) {
        struct feed f = {.out = KR_BUF(1000), .stop_at = stop_at};
        struct kr_json_opts opts = {
            .on_doc = on_doc, .on_item = on_item, .split = "items", .arg = &f};
        KR_AUTO_PTR(kr_json) j = kr_json_new(&opts);
        struct kr_err err = KR_ERR_NONE;
        kr_str text = KR_S("{\"items\":[1,2]}{}");

        assert_int_equal(kr_json_feed(j, text.s, text.n, &err), KR_E_CANCELED);
        EXPECT_TEXT(err.text, "enough");
        EXPECT_TEXT(f.out.s, stop_at == 1   ? "item 1\n"
                             : stop_at == 2 ? "item 1\nitem 2\n"
                                            : "item 1\nitem 2\ndoc {\"items\":[]}\n");
        kr_buf_fini(&f.out);
    }
}

static int parse_nested(int levels, bool map, struct kr_err *err)
{
    KR_AUTO(kr_arena) a = {0};
    KR_AUTO(kr_buf) b = KR_BUF(1 << 20);
    kr_val v;

    for (int i = 0; i < levels; i++)
        kr_buf_str(&b, map ? KR_S("{\"a\":") : KR_S("["));
    kr_buf_chr(&b, '1');
    for (int i = 0; i < levels; i++)
        kr_buf_chr(&b, map ? '}' : ']');
    return kr_json_parse(&a, kr_buf_view(&b), &v, err);
}

TEST(kr_json, depth_is_limited_skipped_or_not)
{
    const struct kr_json_opts opts = {.skip = skip};
    struct kr_err err = KR_ERR_NONE;
    char text[KR_JSON_DEPTH_MAX + 20] = "{\"gone\":";
    char *got;

    EXPECT_OK(parse_nested(KR_JSON_DEPTH_MAX, true, &err), &err);
    EXPECT_OK(parse_nested(KR_JSON_DEPTH_MAX, false, &err), &err);
    assert_int_equal(parse_nested(KR_JSON_DEPTH_MAX + 1, true, &err), KR_E_LIMIT);
    assert_int_equal(parse_nested(KR_JSON_DEPTH_MAX + 1, false, &err), KR_E_LIMIT);
    assert_int_equal(parse_nested(100000, false, &err), KR_E_LIMIT);
    memset(text + strlen(text), '[', KR_JSON_DEPTH_MAX);
    got = run(kr_str_c(text), &opts, 0, 0, 0);
    assert_true(kr_str_starts(kr_str_c(got), KR_S("-4 JSON nested over 100 levels")));
    kr_free(got);
}

TEST(kr_json, bytes_are_limited_by_document_and_by_item)
{
    const struct kr_json_opts opts = {.doc_max = 20, .split = "items"};

    expect_run("\"123456789012345678\"", &opts, "doc \"123456789012345678\"\n0 \n");
    expect_run("\"1234567890123456789\"", &opts,
               "-4 JSON document that begins at byte 0 is over 20 bytes\n");
    expect_run(" \n\n                              {\"a\":1}                            {}", &opts,
               "doc {\"a\":1}\ndoc {}\n0 \n");
    expect_run("{\"items\":[1234567890,1234567890,1234567890,1234567890]}", &opts,
               "item 1234567890\nitem 1234567890\nitem 1234567890\nitem 1234567890\n"
               "doc {\"items\":[]}\n0 \n");
    expect_run("{\"items\":[1,\"1234567890123456789\"]}", &opts,
               "item 1\n-4 JSON list item that begins at byte 11 is over 20 bytes\n");
    expect_run("{\"items\":[1],\"a\":12345}", &opts,
               "item 1\n-4 JSON document that begins at byte 0 is over 20 bytes\n");
    expect_run("{\"a\":1}\n\"unfinished string of many bytes", &opts,
               "doc {\"a\":1}\n-4 JSON document that begins at byte 8 is over 20 bytes\n");
}

TEST(kr_json, numbers_are_limited)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_err err = KR_ERR_NONE;
    kr_val v;

    assert_int_equal(kr_json_parse(&a, kr_fmt(&a, "0.%0400d1", 0), &v, &err), 0);
    assert_int_equal(kr_json_parse(&a, kr_fmt(&a, "0.%0600d1", 0), &v, &err), KR_E_LIMIT);
}

TEST(kr_json, a_string_is_limited_in_one_piece_or_in_many)
{
    enum { PIECE = 1024 * 1024 };
    KR_AUTO(kr_arena) a = {0};
    KR_AUTO(kr_buf) b = KR_BUF(2 * KR_JSON_STRING_MAX);
    const struct kr_json_opts opts = {.doc_max = 0};
    KR_AUTO_PTR(kr_json) j = kr_json_new(&opts);
    struct kr_err err = KR_ERR_NONE;
    kr_val v;
    int rc = 0;

    kr_buf_chr(&b, '"');
    memset(kr_buf_room(&b, KR_JSON_STRING_MAX), 'x', KR_JSON_STRING_MAX);
    b.n += KR_JSON_STRING_MAX;
    kr_buf_chr(&b, '"');
    EXPECT_OK(kr_json_parse(&a, kr_buf_view(&b), &v, &err), &err);
    for (size_t at = 0; at < b.n; at += PIECE)
        EXPECT_OK(kr_json_feed(j, b.s + at, b.n - at < PIECE ? b.n - at : PIECE, &err), &err);
    b.s[b.n - 1] = 'x';
    kr_buf_chr(&b, '"');
    assert_int_equal(kr_json_parse(&a, kr_buf_view(&b), &v, &err), KR_E_LIMIT);
    EXPECT_OK(kr_json_feed(j, b.s, 1, &err), &err); /* the quote, then never another */
    for (int i = 0; rc == 0 && i < 20; i++)
        rc = kr_json_feed(j, b.s + 1, PIECE, &err);
    assert_int_equal(rc, KR_E_LIMIT);
}

TEST(kr_json, the_number_of_values_is_limited)
{
    KR_AUTO(kr_buf) b = KR_BUF(3 * KR_JSON_NODES_MAX);
    const struct kr_json_opts opts = {.split = "items"};
    KR_AUTO_PTR(kr_json) j = kr_json_new(&opts);
    KR_AUTO_PTR(kr_json) k = kr_json_new(&opts);
    struct kr_err err = KR_ERR_NONE;

    kr_buf_chr(&b, '[');
    for (int i = 0; i < KR_JSON_NODES_MAX - 2; i++)
        kr_buf_str(&b, KR_S("1,"));
    kr_buf_str(&b, KR_S("1]"));
    EXPECT_OK(kr_json_feed(j, b.s, b.n, &err), &err); /* the list and its items: just the limit */
    EXPECT_OK(kr_json_feed(j, b.s, b.n - 1, &err), &err);
    assert_int_equal(kr_json_feed(j, ",2]", 3, &err), KR_E_LIMIT);
    EXPECT_OK(kr_json_feed(k, "{\"items\":", 9, &err), &err); /* items are counted one by one */
    EXPECT_OK(kr_json_feed(k, b.s, b.n - 1, &err), &err);
    EXPECT_OK(kr_json_feed(k, ",2]}", 4, &err), &err);
}

/* What a split list needs depends on its largest item, not on how many there are. */
TEST(kr_json, memory_of_items_is_reused)
{
#ifndef KR_DEV
    const struct kr_json_opts opts = {.split = "items"};
    KR_AUTO_PTR(kr_json) j = kr_json_new(&opts);
    struct kr_err err = KR_ERR_NONE;
    kr_str item = KR_S("{\"metadata\":{\"name\":\"web\",\"labels\":{\"a\":\"b\"}},\"n\":[1,2,3]},");
    uint64_t before = 0;

    EXPECT_OK(kr_json_feed(j, "{\"items\":[", 10, &err), &err);
    for (int i = 0; i < 10000; i++) {
        if (i == 100)
            before = kr_alloc_count();
        EXPECT_OK(kr_json_feed(j, item.s, item.n, &err), &err);
    }
    assert_int_equal(kr_alloc_count(), before);
#endif
}

/* ---- writing ---- */

TEST(kr_json, is_escaped_as_go_does)
{
    KR_AUTO(kr_buf) b = KR_BUF(1000);
    kr_str s = KR_S("a\"\\/"
                    "\x01\x1f\x7f\b\f\n\r\t<>&"
                    "\xe2\x80\xa8\xe2\x80\xa9\xc3\xa9\xff\xed\xa0\x80\xf0\x9f\x98\x80");

    kr_json_quote(&b, s, 0);
    EXPECT_TEXT(b.s,
                "\"a\\\"\\\\/"
                "\\u0001\\u001f\x7f\\b\\f\\n\\r\\t<>&\\u2028\\u2029\xc3\xa9\\ufffd\\ufffd\\ufffd"
                "\\ufffd\xf0\x9f\x98\x80\"");
    kr_buf_reset(&b);
    kr_json_quote(&b, KR_S("<a&b>"), KR_JSON_HTML);
    EXPECT_TEXT(b.s, "\"\\u003ca\\u0026b\\u003e\"");
}

TEST(kr_json, indents_as_go_does)
{
    KR_AUTO(kr_arena) a = {0};
    KR_AUTO(kr_buf) b = KR_BUF(1000);
    kr_val v = test_json(&a, "{\"a\":[],\"b\":{},\"c\":[1,{\"d\":2}]}");

    EXPECT_OK(kr_json_write(&b, v, KR_JSON_INDENT, NULL), NULL);
    EXPECT_TEXT(
        b.s,
        "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1,\n    {\n      \"d\": 2\n    }\n  ]\n}");
}

TEST(kr_json, kinds_beyond_json)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_mapb b = KR_MAPB(&a);
    kr_val inner = kr_int(1);
    kr_val items[] = {KR_V_OMIT, kr_int(1), KR_V_NONE, KR_V_NULL};

    kr_mapb_put(&b, KR_S("bytes"), (kr_val){.kind = KR_BYTES, .n = 4, .s = "\xfb\xff\xfe\xff"});
    kr_mapb_put(&b, KR_S("duration"), (kr_val){.kind = KR_DURATION, .i = 5400000000000});
    kr_mapb_put(&b, KR_S("list"), kr_list(items, 4));
    kr_mapb_put(&b, KR_S("none"), KR_V_NONE);
    kr_mapb_put(&b, KR_S("omit"), KR_V_OMIT);
    kr_mapb_put(&b, KR_S("opt"), (kr_val){.kind = KR_OPTIONAL, .ref = &inner});
    kr_mapb_put(&b, KR_S("optnone"), (kr_val){.kind = KR_OPTIONAL});
    kr_mapb_put(&b, KR_S("time"), (kr_val){.kind = KR_TIMESTAMP, .i = 0, .n = 500000000});
    kr_mapb_put(&b, KR_S("zone"), (kr_val){.kind = KR_TIMESTAMP, .aux = (uint16_t)-90});
    EXPECT_TEXT(kr_json_str(&a, kr_mapb_done(&b)).s,
                "{\"bytes\":\"+//+/w==\",\"duration\":\"1h30m0s\",\"list\":[1,null],\"opt\":1,"
                "\"optnone\":null,\"time\":\"1970-01-01T00:00:00.5Z\",\"zone\":\"1969-12-31T22:30:"
                "00-01:30\"}");
    EXPECT_TEXT(kr_json_str(&a, KR_V_NONE).s, "null");
}

static int write(kr_val v, size_t max, struct kr_err *err)
{
    KR_AUTO(kr_buf) b = KR_BUF(max);

    return kr_json_write(&b, v, 0, err);
}

TEST(kr_json, what_cannot_be_written_is_refused)
{
    struct kr_err err = KR_ERR_NONE;
    kr_val nest[KR_JSON_DEPTH_MAX + 1];
    struct kr_pair pair = {kr_double(1.5), KR_V_NULL};

    assert_int_equal(write(kr_double(NAN), 100, &err), KR_E_INPUT);
    EXPECT_TEXT(err.text, "json: unsupported value: NaN");
    assert_int_equal(write(kr_double(-INFINITY), 100, &err), KR_E_INPUT);
    EXPECT_TEXT(err.text, "json: unsupported value: -Inf");
    assert_int_equal(write((kr_val){.kind = KR_TYPE, .n = 3, .s = "int"}, 100, &err), KR_E_INPUT);
    assert_int_equal(write((kr_val){.kind = KR_OPAQUE}, 100, &err), KR_E_INPUT);
    assert_int_equal(write(kr_map_sorted(&pair, 1), 100, &err), KR_E_INPUT);
    assert_int_equal(write(KR_V_STR("12345678"), 9, &err), KR_E_LIMIT);
    EXPECT_OK(write(KR_V_STR("12345678"), 10, &err), &err);
    nest[0] = kr_list(NULL, 0);
    for (int i = 1; i <= KR_JSON_DEPTH_MAX; i++)
        nest[i] = kr_list(&nest[i - 1], 1);
    EXPECT_OK(write(nest[KR_JSON_DEPTH_MAX - 1], 1000, &err), &err);
    assert_int_equal(write(nest[KR_JSON_DEPTH_MAX], 1000, &err), KR_E_LIMIT);
}

int main(void)
{
    return RUN(
        T(kr_json, values), T(kr_json, numbers_get_the_narrowest_kind),
        T(kr_json, strings_know_whether_they_are_ascii),
        T(kr_json, what_is_not_json_is_refused_with_its_place),
        T(kr_json, errors_do_not_quote_the_document), T(kr_json, any_chunking_gives_the_same),
        T(kr_json, split_and_skip), T(kr_json, a_document_is_delivered_with_its_last_byte),
        T(kr_json, a_document_can_be_built_where_it_stays),
        T(kr_json, a_callback_can_stop_the_reader), T(kr_json, depth_is_limited_skipped_or_not),
        T(kr_json, bytes_are_limited_by_document_and_by_item), T(kr_json, numbers_are_limited),
        T(kr_json, a_string_is_limited_in_one_piece_or_in_many),
        T(kr_json, the_number_of_values_is_limited), T(kr_json, memory_of_items_is_reused),
        T(kr_json, is_escaped_as_go_does), T(kr_json, indents_as_go_does),
        T(kr_json, kinds_beyond_json), T(kr_json, what_cannot_be_written_is_refused));
}
