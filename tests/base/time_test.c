/* SPDX-License-Identifier: Apache-2.0 */
/* Expected results come from Go's time package. */
#include "cel/base/time.h"

#include "tests/lib/test.h"

TEST(kr_civil, every_day_of_the_calendar_survives)
{
    int year = 1, month = 1, day = 1, yearday = 0, weekday = 1; /* 0001-01-01 was a Monday */
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    for (int64_t s = -62135596800; s <= 253402300799; s += 86400) {
        struct kr_civil c;
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

        kr_civil_of(s + 86399, 5, &c);
        if (c.year != year || c.month != month || c.day != day || c.yearday != yearday ||
            c.weekday != weekday || c.hour != 23 || c.minute != 59 || c.second != 59 ||
            c.nanos != 5)
            fail_msg("day %lld", (long long)s);
        assert_int_equal(kr_civil_seconds(&c), s + 86399);
        weekday = (weekday + 1) % 7;
        yearday++;
        if (++day > lengths[month - 1] + (month == 2 && leap)) {
            day = 1;
            if (++month > 12) {
                month = 1;
                year++;
                yearday = 0;
            }
        }
    }
    assert_int_equal(year, 10000);
}

/* text, seconds, nanos, zone, UTC text; a NULL at the end: refused */
static const struct {
    const char *text;
    int64_t seconds;
    uint32_t nanos;
    int zone;
    const char *utc;
} times[] = {
    {"2006-01-02T15:04:05Z", 1136214245, 0, 0, "2006-01-02T15:04:05Z"},
    {"2006-01-02T5:04:05Z", 1136178245, 0, 0, "2006-01-02T05:04:05Z"},
    {"2006-01-02T15:04:05.5Z", 1136214245, 500000000, 0, "2006-01-02T15:04:05.5Z"},
    {"2006-01-02T15:04:05,5Z", 1136214245, 500000000, 0, "2006-01-02T15:04:05.5Z"},
    {"2006-01-02T15:04:05.123456789012Z", 1136214245, 123456789, 0,
     "2006-01-02T15:04:05.123456789Z"},
    {"2006-01-02T15:04:05+05:30", 1136194445, 0, 330, "2006-01-02T09:34:05Z"},
    {"2006-01-02T15:04:05-24:60", 1136304245, 0, -1500, "2006-01-03T16:04:05Z"},
    {"2006-01-02T15:04:05-00:00", 1136214245, 0, 0, "2006-01-02T15:04:05Z"},
    {"0000-01-01T00:00:00Z", -62167219200, 0, 0, "0000-01-01T00:00:00Z"},
    {"0001-01-01T00:00:00Z", -62135596800, 0, 0, "0001-01-01T00:00:00Z"},
    {"9999-12-31T23:59:59.999999999Z", 253402300799, 999999999, 0,
     "9999-12-31T23:59:59.999999999Z"},
    {"2004-02-29T00:00:00Z", 1078012800, 0, 0, "2004-02-29T00:00:00Z"},
    {"0000-01-01T00:00:00+01:00", -62167222800, 0, 60, "-0001-12-31T23:00:00Z"},
    {"2006-01-02T15:04:05.Z", 0, 0, 0, NULL},
    {"2006-01-02T15:04:05+25:00", 0, 0, 0, NULL},
    {"2006-01-02T15:04:05+24:61", 0, 0, 0, NULL},
    {"2006-01-02T15:04:05+0530", 0, 0, 0, NULL},
    {"2006-01-02t15:04:05Z", 0, 0, 0, NULL},
    {"2006-01-02T15:04:05z", 0, 0, 0, NULL},
    {"2006-01-02T15:04:05", 0, 0, 0, NULL},
    {"2006-01-02", 0, 0, 0, NULL},
    {"2005-02-29T00:00:00Z", 0, 0, 0, NULL},
    {"1900-02-29T00:00:00Z", 0, 0, 0, NULL},
    {"2006-00-02T15:04:05Z", 0, 0, 0, NULL},
    {"2006-13-02T15:04:05Z", 0, 0, 0, NULL},
    {"2006-01-00T15:04:05Z", 0, 0, 0, NULL},
    {"2006-01-02T24:00:00Z", 0, 0, 0, NULL},
    {"2006-01-02T15:60:05Z", 0, 0, 0, NULL},
    {"2006-01-02T15:04:60Z", 0, 0, 0, NULL},
    {"2006-1-02T15:04:05Z", 0, 0, 0, NULL},
    {"2006-01-02T15:4:05Z", 0, 0, 0, NULL},
    {"2006-01-02T15:04:05Z ", 0, 0, 0, NULL},
    {"", 0, 0, 0, NULL},
};

TEST(kr_time, is_read_as_go_does)
{
    for (size_t i = 0; i < KR_N(times); i++) {
        int64_t s = 7;
        uint32_t n;
        int16_t zone;
        char text[KR_TIME_TEXT_MAX];

        assert_int_equal(kr_time_parse_zone(kr_str_c(times[i].text), &s, &n, &zone),
                         times[i].utc != NULL);
        assert_int_equal(kr_time_parse(kr_str_c(times[i].text), &s, &n), times[i].utc != NULL);
        if (!times[i].utc) {
            assert_int_equal(s, 7);
            continue;
        }
        assert_int_equal(s, times[i].seconds);
        assert_int_equal(n, times[i].nanos);
        assert_int_equal(zone, times[i].zone);
        assert_int_equal(kr_time_text(s, n, text), strlen(times[i].utc));
        EXPECT_TEXT(text, times[i].utc);
    }
}

TEST(kr_time, prints_the_zone_it_is_given)
{
    char text[KR_TIME_TEXT_MAX];

    kr_time_text_zone(1136194445, 100000000, 330, text);
    EXPECT_TEXT(text, "2006-01-02T15:04:05.1+05:30");
    kr_time_text_zone(1136194445, 0, -90, text);
    EXPECT_TEXT(text, "2006-01-02T08:04:05-01:30");
}

/* text, nanoseconds, printed; a NULL at the end: refused */
static const struct {
    const char *text;
    int64_t ns;
    const char *printed;
} durations[] = {
    {"0", 0, "0s"},
    {"-0", 0, "0s"},
    {"1h30m", 5400000000000, "1h30m0s"},
    {"-1.5s", -1500000000, "-1.5s"},
    {"1.s", 1000000000, "1s"},
    {".5s", 500000000, "500ms"},
    {"1h1h", 7200000000000, "2h0m0s"},
    {"+5m", 300000000000, "5m0s"},
    {"1us", 1000, "1\xc2\xb5s"},
    {"1\xc2\xb5s", 1000, "1\xc2\xb5s"},
    {"1\xce\xbcs", 1000, "1\xc2\xb5s"},
    {"1.5us", 1500, "1.5\xc2\xb5s"},
    {"999ns", 999, "999ns"},
    {"1234567ns", 1234567, "1.234567ms"},
    {"61.000000001s", 61000000001, "1m1.000000001s"},
    {"2562047h47m16.854775807s", INT64_MAX, "2562047h47m16.854775807s"},
    {"-2562047h47m16.854775808s", INT64_MIN, "-2562047h47m16.854775808s"},
    {"9223372036854775807ns", INT64_MAX, "2562047h47m16.854775807s"},
    {"0.3333333333333333333h", 1200000000000, "20m0s"},
    {"0.100000000000000000000h", 360000000000, "6m0s"},
    {"0.830103483285477580700h", 2988372539827, "49m48.372539827s"},
    {"1.1ns", 1, "1ns"},
    {"9223372036854775808ns", 0, NULL},
    {"-9223372036854775809ns", 0, NULL},
    {"3000000h", 0, NULL},
    {"18446744073709551616ns", 0, NULL},
    {"", 0, NULL},
    {"-", 0, NULL},
    {"1", 0, NULL},
    {"00", 0, NULL},
    {".s", 0, NULL},
    {"1d", 0, NULL},
    {"1 s", 0, NULL},
    {"1s ", 0, NULL},
    {"1m30", 0, NULL},
    {"1e3s", 0, NULL},
    {"--1s", 0, NULL},
};

TEST(kr_duration, is_read_and_printed_as_go_does)
{
    for (size_t i = 0; i < KR_N(durations); i++) {
        int64_t ns = 7;
        char text[KR_TIME_TEXT_MAX];

        assert_int_equal(kr_duration_parse(kr_str_c(durations[i].text), &ns),
                         durations[i].printed != NULL);
        if (!durations[i].printed) {
            assert_int_equal(ns, 7);
            continue;
        }
        assert_int_equal(ns, durations[i].ns);
        assert_int_equal(kr_duration_text(ns, text), strlen(durations[i].printed));
        EXPECT_TEXT(text, durations[i].printed);
    }
}

TEST(kr_duration, what_is_printed_reads_back)
{
    uint64_t seed = 5;

    for (int i = 0; i < 20000; i++) {
        int64_t ns = (int64_t)(test_rand(&seed) >> (test_rand(&seed) % 64)) * (i % 2 ? 1 : -1),
                back;
        char text[KR_TIME_TEXT_MAX];

        kr_duration_text(ns, text);
        assert_true(kr_duration_parse(kr_str_c(text), &back));
        assert_int_equal(back, ns);
    }
}

int main(void)
{
    return RUN(T(kr_civil, every_day_of_the_calendar_survives), T(kr_time, is_read_as_go_does),
               T(kr_time, prints_the_zone_it_is_given),
               T(kr_duration, is_read_and_printed_as_go_does),
               T(kr_duration, what_is_printed_reads_back));
}
