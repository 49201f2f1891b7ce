/* SPDX-License-Identifier: Apache-2.0 */
#include "reactor/metrics.h"

#include <dirent.h>
#include <stdio.h>
#include <time.h>

#include "tests/lib/test.h"

/* The lines about one metric, without the comments. Lives in a. */
static const char *lines_of(struct reactor_metrics *m, struct kr_arena *a, const char *name)
{
    KR_AUTO(kr_buf) text = KR_BUF(REACTOR_METRICS_TEXT_MAX);
    KR_AUTO(kr_buf) out = KR_BUF(REACTOR_METRICS_TEXT_MAX);
    kr_str rest;

    reactor_metrics_text(m, &text);
    rest = kr_buf_view(&text);
    while (rest.s) {
        kr_str line = kr_str_cut(&rest, '\n');

        if (kr_str_starts(line, kr_str_c(name)))
            kr_buf_fmt(&out, KR_FMT "\n", KR_ARG(line));
    }
    return kr_cstr(a, kr_buf_view(&out));
}

TEST(metrics, a_counter_counts_by_its_labels)
{
    struct reactor_metrics *m = reactor_metrics_new();
    struct kr_arena a = {0};
    struct reactor_series *kept = REACTOR_METRIC(m, REQUESTS, KR_S("apply"), KR_S("200"));

    reactor_metric_add(kept, 1);
    reactor_metric_add(REACTOR_METRIC(m, REQUESTS, KR_S("get"), KR_S("404")), 2);
    reactor_metric_add(kept, 1.5);
    assert_ptr_equal(kept, REACTOR_METRIC(m, REQUESTS, KR_S("apply"), KR_S("200")));
    EXPECT_TEXT(lines_of(m, &a, "kroc_requests_total"),
                "kroc_requests_total{verb=\"apply\",code=\"200\"} 2.5\n"
                "kroc_requests_total{verb=\"get\",code=\"404\"} 2\n");
    kr_arena_fini(&a);
    reactor_metrics_free(m);
}

TEST(metrics, what_nobody_counted_is_not_shown)
{
    struct reactor_metrics *m = reactor_metrics_new();
    KR_AUTO(kr_buf) text = KR_BUF(REACTOR_METRICS_TEXT_MAX);

    (void)REACTOR_METRIC(m, DYN_QUEUE);
    reactor_metrics_text(m, &text);
    assert_non_null(strstr(
        text.s, "# HELP dynamic_controller_queue_length Instances that wait for their step.\n"
                "# TYPE dynamic_controller_queue_length gauge\n"
                "dynamic_controller_queue_length 0\n"));
    assert_null(strstr(text.s, "kroc_requests_total"));
    reactor_metrics_free(m);
}

TEST(metrics, label_values_are_escaped)
{
    struct reactor_metrics *m = reactor_metrics_new();
    struct kr_arena a = {0};

    reactor_metric_add(REACTOR_METRIC(m, APPLIES, KR_S("a\"b\\c\nd")), 1);
    EXPECT_TEXT(lines_of(m, &a, "kroc_applies_total"),
                "kroc_applies_total{gvr=\"a\\\"b\\\\c\\nd\"} 1\n");
    kr_arena_fini(&a);
    reactor_metrics_free(m);
}

TEST(metrics, a_histogram_cumulates)
{
    struct reactor_metrics *m = reactor_metrics_new();
    struct kr_arena a = {0};
    struct reactor_series *s = REACTOR_METRIC(m, REST_S, KR_S("get"));
    const char *text;

    reactor_metric_observe(s, 0.256); /* a bound belongs to its bucket */
    reactor_metric_observe(s, 0.3);
    reactor_metric_observe(s, 5e-6);
    reactor_metric_observe(s, 1000000);
    text = lines_of(m, &a, "rest_client_request_duration_seconds");
#define LINE(le, n)                                                                                \
    "rest_client_request_duration_seconds_bucket{verb=\"get\",le=\"" le "\"} " n "\n"
    assert_int_equal(strncmp(text, LINE("0.001", "1") LINE("0.002", "1"), 60), 0);
    assert_non_null(
        strstr(text, LINE("0.128", "1") LINE("0.256", "2") LINE("0.512", "3") LINE("1.024", "3")));
    assert_non_null(strstr(
        text, LINE("32.768", "3")
                  LINE("+Inf",
                       "4") "rest_client_request_duration_seconds_sum{verb=\"get\"} 1.0000005560"));
    assert_non_null(strstr(text, "\nrest_client_request_duration_seconds_count{verb=\"get\"} 4\n"));
#undef LINE
    kr_arena_fini(&a);
    reactor_metrics_free(m);
}

TEST(metrics, series_of_what_went_are_removed)
{
    struct reactor_metrics *m = reactor_metrics_new();
    struct kr_arena a = {0};

    reactor_metric_add(REACTOR_METRIC(m, RGD_STATES, KR_S("one"), KR_S(""), KR_S("Active")), 1);
    reactor_metric_add(REACTOR_METRIC(m, RGD_STATES, KR_S("two"), KR_S(""), KR_S("Active")), 1);
    reactor_metric_add(REACTOR_METRIC(m, RGD_STATES, KR_S("one"), KR_S("Active"), KR_S("Inactive")),
                       1);
    reactor_metrics_remove(m, REACTOR_M_RGD_STATES, 0, KR_S("one"));
    EXPECT_TEXT(lines_of(m, &a, "rgd_state_transitions_total"),
                "rgd_state_transitions_total{name=\"two\",from=\"\",to=\"Active\"} 1\n");
    kr_arena_fini(&a);
    reactor_metrics_free(m);
}

TEST(metrics, too_many_series_are_counted_and_not_kept)
{
    struct reactor_metrics *m = reactor_metrics_new();
    struct kr_arena a = {0};
    static char huge[20000];
    char name[16];

    for (int i = 0; i < REACTOR_SERIES_MAX + 3; i++) {
        (void)snprintf(name, sizeof(name), "n%d", i);
        reactor_metric_add(REACTOR_METRIC(m, APPLIES, kr_str_c(name)), 1);
    }
    memset(huge, 'x', sizeof(huge) - 1);
    reactor_metric_observe(REACTOR_METRIC(m, REST_S, kr_str_c(huge)), 1);
    assert_null(strstr(lines_of(m, &a, "kroc_applies_total"), "\"n4096\""));
    assert_non_null(strstr(lines_of(m, &a, "kroc_applies_total"), "\"n4095\""));
    EXPECT_TEXT(
        lines_of(m, &a, "kroc_metric_series_refused_total"),
        "kroc_metric_series_refused_total{metric=\"kroc_applies_total\"} 3\n"
        "kroc_metric_series_refused_total{metric=\"rest_client_request_duration_seconds\"} 1\n");
    kr_arena_fini(&a);
    reactor_metrics_free(m);
}

static void on_read(void *arg)
{
    reactor_metric_set(REACTOR_METRIC((struct reactor_metrics *)arg, DYN_QUEUE), 7);
}

TEST(metrics, what_is_read_is_set_before_the_text_is_made)
{
    struct reactor_metrics *m = reactor_metrics_new();
    struct kr_arena a = {0};

    reactor_metrics_on_read(m, on_read, m);
    EXPECT_TEXT(lines_of(m, &a, "dynamic_controller_queue_length"),
                "dynamic_controller_queue_length 7\n");
    kr_arena_fini(&a);
    reactor_metrics_free(m);
}

static double value_of(struct reactor_metrics *m, const char *name)
{
    struct kr_arena a = {0};
    const char *line = lines_of(m, &a, name);
    double v = strtod(line + strlen(name), NULL);

    kr_arena_fini(&a);
    return v;
}

TEST(metrics, the_process_is_shown)
{
    struct reactor_metrics *m = reactor_metrics_new();
    double start = value_of(m, "process_start_time_seconds");

    assert_true(value_of(m, "process_resident_memory_bytes") > 100000);
    assert_true(value_of(m, "process_open_fds") >= 3);
    assert_true(value_of(m, "process_max_fds") >= value_of(m, "process_open_fds"));
    assert_true(start > (double)time(NULL) - 600 && start < (double)time(NULL) + 5);
    reactor_metrics_free(m);
}

TEST(metrics, a_kept_series_costs_no_allocation)
{
    struct reactor_metrics *m = reactor_metrics_new();
    struct reactor_series *count = REACTOR_METRIC(m, DYN_QUEUE);
    struct reactor_series *spread = REACTOR_METRIC(m, REST_S, KR_S("get"));
    uint64_t before = kr_alloc_count();

    for (int i = 0; i < 1000; i++) {
        reactor_metric_add(count, 1);
        reactor_metric_observe(spread, i * 1e-4);
    }
    assert_int_equal(kr_alloc_count(), before);
    reactor_metrics_free(m);
}

static bool good_name(kr_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.s[i];

        if (!(c >= 'a' && c <= 'z') && c != '_' && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return s.n > 0;
}

TEST(metrics, the_table_is_sound)
{
    static const char *const rows[][3] = {
#define M(kind, id, name, labels, buckets, help) {name, labels, help},
#include "reactor/metrics.def"
    };

    for (size_t i = 0; i < KR_N(rows); i++) {
        kr_str labels = kr_str_c(rows[i][1]);
        uint32_t n = 0;

        assert_true(good_name(kr_str_c(rows[i][0])));
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(rows[i][0], rows[k][0]);
        for (; labels.n > 0; n++)
            assert_true(good_name(kr_str_cut(&labels, ',')));
        assert_true(n <= REACTOR_LABELS_MAX);
        assert_null(strpbrk(rows[i][2], "\\\n|"));
    }
}

/* Is there "REACTOR_METRIC(m, ID" or the like in one of the reactor's sources? */
static bool counted(const char *sources, const char *id)
{
    size_t n = strlen(id);

    for (const char *at = strstr(sources, id); at; at = strstr(at + 1, id)) {
        if (at[-1] == ' ' && at[-2] == ',' && (at[n] == ',' || at[n] == ')'))
            return true;
    }
    return false;
}

TEST(metrics, every_metric_is_counted_somewhere)
{
    static const char *const ids[] = {
#define M(kind, id, name, labels, buckets, help) #id,
#include "reactor/metrics.def"
    };
    KR_AUTO(kr_buf) sources = KR_BUF(16 * 1024 * 1024);
    DIR *folder = opendir(KROC_SOURCE "/reactor");
    struct dirent *e;

    assert_non_null(folder);
    while ((e = readdir(folder)) != NULL) {
        struct kr_arena a = {0};
        kr_str text;

        if (kr_str_ends(kr_str_c(e->d_name), KR_S(".c"))) {
            assert_true(
                test_file(&a, kr_fmt(&a, "%s/reactor/%s", KROC_SOURCE, e->d_name).s, &text));
            kr_buf_str(&sources, text);
        }
        kr_arena_fini(&a);
    }
    closedir(folder);
    for (size_t i = 0; i < KR_N(ids); i++) {
        if (!counted(sources.s, ids[i]))
            fail_msg("nothing counts %s of reactor/metrics.def", ids[i]);
    }
}

TEST(metrics, the_page_in_docs_is_current)
{
    KR_AUTO(kr_buf) page = KR_BUF(REACTOR_METRICS_TEXT_MAX);
    struct kr_arena a = {0};
    kr_str stored;

    reactor_metrics_page(&page);
    assert_true(test_file(&a, KROC_SOURCE "/docs/metrics.md", &stored));
    EXPECT_TEXT(kr_cstr(&a, stored), page.s);
    kr_arena_fini(&a);
}

int main(void)
{
    return RUN(T(metrics, a_counter_counts_by_its_labels),
               T(metrics, what_nobody_counted_is_not_shown), T(metrics, label_values_are_escaped),
               T(metrics, a_histogram_cumulates), T(metrics, series_of_what_went_are_removed),
               T(metrics, too_many_series_are_counted_and_not_kept),
               T(metrics, what_is_read_is_set_before_the_text_is_made),
               T(metrics, the_process_is_shown), T(metrics, a_kept_series_costs_no_allocation),
               T(metrics, the_table_is_sound), T(metrics, every_metric_is_counted_somewhere),
               T(metrics, the_page_in_docs_is_current));
}
