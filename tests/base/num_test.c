/* SPDX-License-Identifier: Apache-2.0 */
/* Expected texts come from Go's strconv and encoding/json. */
#include "cel/base/num.h"

#include <math.h>

#include "tests/lib/test.h"

static const struct {
    double d;
    const char *g, *json;
} doubles[] = {
    {0, "0", "0"},
    {-0.0, "-0", "-0"},
    {1, "1", "1"},
    {-1.5, "-1.5", "-1.5"},
    {0.1, "0.1", "0.1"},
    {1.0 / 3, "0.3333333333333333", "0.3333333333333333"},
    {100000, "100000", "100000"},
    {999999, "999999", "999999"},
    {1e6, "1e+06", "1000000"},
    {-1e6, "-1e+06", "-1000000"},
    {1048576, "1.048576e+06", "1048576"},
    {1234567.5, "1.2345675e+06", "1234567.5"},
    {123456.75, "123456.75", "123456.75"},
    {1e20, "1e+20", "100000000000000000000"},
    {1e21, "1e+21", "1e+21"},
    {123456789012345680000.0, "1.2345678901234568e+20", "123456789012345680000"},
    {0.0001, "0.0001", "0.0001"},
    {0.00001, "1e-05", "0.00001"},
    {0.000001, "1e-06", "0.000001"},
    {0.00000099, "9.9e-07", "9.9e-7"},
    {1e-10, "1e-10", "1e-10"},
    {9007199254740993.0, "9.007199254740992e+15", "9007199254740992"},
    {0x1p-44, "5.684341886080802e-14", "5.684341886080802e-14"},
    {0x1p-1074, "5e-324", "5e-324"},
    {0x1p-1022, "2.2250738585072014e-308", "2.2250738585072014e-308"},
    {1.7976931348623157e308, "1.7976931348623157e+308", "1.7976931348623157e+308"},
    {9.5, "9.5", "9.5"},
    {0.3, "0.3", "0.3"},
    {0.1 + 0.2, "0.30000000000000004", "0.30000000000000004"},
    {5e-7, "5e-07", "5e-7"},
};

TEST(kr_num, doubles_are_printed_as_go_does)
{
    char text[KR_NUM_TEXT_MAX];

    for (size_t i = 0; i < KR_N(doubles); i++) {
        assert_int_equal(kr_num_g(doubles[i].d, text), strlen(doubles[i].g));
        EXPECT_TEXT(text, doubles[i].g);
        assert_int_equal(kr_num_json(doubles[i].d, text), strlen(doubles[i].json));
        EXPECT_TEXT(text, doubles[i].json);
    }
    kr_num_g(NAN, text);
    EXPECT_TEXT(text, "NaN");
    kr_num_g(INFINITY, text);
    EXPECT_TEXT(text, "+Inf");
    kr_num_g(-INFINITY, text);
    EXPECT_TEXT(text, "-Inf");
}

TEST(kr_num, every_double_reads_back_equal)
{
    uint64_t seed = 11;
    char text[KR_NUM_TEXT_MAX];

    for (int i = 0; i < 20000; i++) {
        uint64_t bits = i < 2046 ? (uint64_t)i << 52 : test_rand(&seed); /* powers of two first */
        double d, back;

        memcpy(&d, &bits, sizeof(d));
        if (!isfinite(d))
            continue;
        assert_true(kr_num_g(d, text) < sizeof(text));
        assert_true(kr_num_parse_double(kr_str_c(text), &back));
        assert_memory_equal(&d, &back, sizeof(d));
        assert_true(kr_num_json(d, text) < sizeof(text));
        assert_true(kr_num_parse_double(kr_str_c(text), &back));
        assert_memory_equal(&d, &back, sizeof(d));
    }
}

TEST(kr_num, integers_at_their_limits)
{
    char text[KR_NUM_TEXT_MAX];

    kr_num_i64(INT64_MIN, text);
    EXPECT_TEXT(text, "-9223372036854775808");
    kr_num_i64(0, text);
    EXPECT_TEXT(text, "0");
    assert_int_equal(kr_num_u64(UINT64_MAX, text), 20);
    EXPECT_TEXT(text, "18446744073709551615");
}

static const struct {
    const char *text;
    double d;
} readable[] = {
    {"1", 1},
    {"-1", -1},
    {"+1", 1},
    {"1.", 1},
    {".5", 0.5},
    {"-.5e1", -5},
    {"1e5", 1e5},
    {"1E-5", 1e-5},
    {"1e-400", 0},
    {"0x1p4", 16},
    {"0x1.8p0", 1.5},
    {"0X.8P+1", 1},
    {"1_0", 10},
    {"0x_1p4", 16},
    {"1e1_0", 1e10},
    {"00", 0},
    {"inf", INFINITY},
    {"-INF", -INFINITY},
    {"+Infinity", INFINITY},
    {"1e00000000000000000000001", 10},
};
static const char *const unreadable[] = {
    "",      ".",      "-",         "+",    "1e", "1e+",  "e5",   "1.5.5", "1e5.5", "1_",     "_1",
    "1__0",  "1_.5",   " 1",        "1 ",   "1f", "0x1",  "0x",   "0xp1",  "0x1p",  "0b1",    "0o7",
    "1e400", "-1e400", "0x1p99999", "infi", "i",  "+nan", "-nan", "1_e5",  "--1",   "0x1p_4",
};

TEST(kr_num, texts_are_read_as_go_does)
{
    KR_AUTO(kr_arena) a = {0};
    double d;

    for (size_t i = 0; i < KR_N(readable); i++) {
        d = -42;
        assert_true(kr_num_parse_double(kr_str_c(readable[i].text), &d));
        assert_true(d == readable[i].d);
    }
    for (size_t i = 0; i < KR_N(unreadable); i++) {
        d = -42;
        assert_false(kr_num_parse_double(kr_str_c(unreadable[i]), &d));
        assert_true(d == -42);
    }
    assert_true(kr_num_parse_double(KR_S("NaN"), &d));
    assert_true(isnan(d));
    assert_true(
        kr_num_parse_double(kr_fmt(&a, "0.%0500d1", 0), &d)); /* longer than the stack buffer */
    assert_true(d == 0);
    assert_true(kr_num_parse_double(kr_fmt(&a, "%0500d7", 0), &d));
    assert_true(d == 7);
}

int main(void)
{
    return RUN(T(kr_num, doubles_are_printed_as_go_does), T(kr_num, every_double_reads_back_equal),
               T(kr_num, integers_at_their_limits), T(kr_num, texts_are_read_as_go_does));
}
