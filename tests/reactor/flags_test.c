/* SPDX-License-Identifier: Apache-2.0 */
#include "reactor/flags.h"

#include <stdio.h>

#include "tests/lib/test.h"

static struct reactor_flags flags;
static struct kr_err err;

/* Parses words parted by blanks. */
static int parse(const char *line)
{
    static char text[4096];
    static char *argv[64];
    int argc = 0;
    char *at = text;

    reactor_flags_fini(&flags);
    err = (struct kr_err)KR_ERR_NONE;
    (void)snprintf(text, sizeof(text), "%s", line);
    while (*at) {
        argv[argc++] = at;
        at += strcspn(at, " ");
        if (*at)
            *at++ = '\0';
    }
    return reactor_flags_parse(&flags, argc, argv, &err);
}

static void expect_error(const char *line, const char *text)
{
    assert_int_equal(parse(line), KR_E_INPUT);
    EXPECT_TEXT(err.text, text);
}

TEST(flags, defaults_are_kros)
{
    EXPECT_OK(parse(""), &err);
    assert_string_equal(flags.metrics_address, ":8078");
    assert_string_equal(flags.health_address, ":8079");
    assert_false(flags.allow_crd_deletion);
    assert_int_equal(flags.shutdown_timeout_ms, 60000);
    assert_int_equal(flags.max_collection_size, 1000);
    assert_int_equal(flags.max_dimensions, 10);
    assert_int_equal(flags.max_revisions, 5);
    assert_int_equal(flags.leader_lease_ms, 15000);
    assert_int_equal(flags.leader_renew_ms, 10000);
    assert_int_equal(flags.leader_retry_ms, 2000);
    assert_false(flags.leader_elect);
    assert_string_equal(flags.kubeconfig, "");
    assert_string_equal(flags.namespace, "");
    assert_int_equal(flags.rgds.n, 0);
    assert_false(flags.gates.cel_omit_function);
}

TEST(flags, requests_are_not_limited_unless_asked_for)
{
    EXPECT_OK(parse(""), &err);
    assert_true(flags.client_qps == 0 && flags.client_burst == 0);
    EXPECT_OK(parse("--client-qps=12.5"), &err);
    assert_true(flags.client_qps == 12.5 && flags.client_burst == 13);
    EXPECT_OK(parse("--client-qps 100 --client-burst 150"), &err);
    assert_true(flags.client_qps == 100 && flags.client_burst == 150);
    EXPECT_OK(parse("--client-qps=0 --client-burst=150"), &err);
    assert_true(flags.client_qps == 0 && flags.client_burst == 0);
    expect_error("--client-qps=-1", "--client-qps: must be 0 or more; 0 means no limit of our own");
    expect_error("--client-burst=-1",
                 "--client-burst: must be 0 or more; 0 means no limit of our own");
    EXPECT_OK(parse("--client-qps=1e300"), &err);
    assert_int_equal(flags.client_burst, UINT32_MAX);
    expect_error("--client-qps=inf", "--client-qps: \"inf\" is not a number");
    expect_error("--client-burst=1.5", "--client-burst: \"1.5\" is not a whole number");
}

TEST(flags, all_forms_of_gos_syntax)
{
    EXPECT_OK(parse("--kubeconfig=/a=b -context c --allow-crd-deletion -leader-elect=T --"), &err);
    assert_string_equal(flags.kubeconfig, "/a=b");
    assert_string_equal(flags.context, "c");
    assert_true(flags.allow_crd_deletion && flags.leader_elect);
    EXPECT_OK(
        parse("--allow-crd-deletion --allow-crd-deletion=false --rgd-max-graph-revisions=0x10"),
        &err);
    assert_false(flags.allow_crd_deletion);
    assert_int_equal(flags.max_revisions, 16);
    EXPECT_OK(parse("--kubeconfig= --trace -"), &err);
    assert_string_equal(flags.kubeconfig, "");
    assert_string_equal(flags.trace, "-");
}

TEST(flags, zero_turns_an_address_off)
{
    EXPECT_OK(parse("--metrics-bind-address=0 --health-probe-bind-address 127.0.0.1:1"), &err);
    assert_null(flags.metrics_address);
    assert_string_equal(flags.health_address, "127.0.0.1:1");
}

TEST(flags, durations_are_gos)
{
    EXPECT_OK(parse("--graceful-shutdown-timeout=1m30s --leader-election-retry-period 1500us"),
              &err);
    assert_int_equal(flags.shutdown_timeout_ms, 90000);
    assert_int_equal(flags.leader_retry_ms, 2); /* rounded up */
    EXPECT_OK(parse("--graceful-shutdown-timeout=-1s"), &err);
    assert_int_equal(flags.shutdown_timeout_ms, REACTOR_SHUTDOWN_MAX_MS);
    expect_error(
        "--graceful-shutdown-timeout=60",
        "--graceful-shutdown-timeout: \"60\" is not a duration (\"30s\", \"1m30s\", \"500ms\")");
}

TEST(flags, feature_gates)
{
    EXPECT_OK(parse("--feature-gates=InstanceConditionEvents=true,CELOmitFunction=1,"), &err);
    assert_true(flags.gates.cel_omit_function && flags.gates.instance_condition_events);
    assert_false(flags.gates.instance_condition_metrics);
    EXPECT_OK(parse("--feature-gates=AllBeta=true,CELOmitFunction=false,AllAlpha=true"), &err);
    assert_false(flags.gates.cel_omit_function);
    assert_true(flags.gates.instance_condition_events && flags.gates.instance_condition_metrics);
    expect_error("--feature-gates=Nope=true", "--feature-gates: unrecognized feature gate: Nope");
    expect_error("--feature-gates=AllAlpha", "--feature-gates: missing bool value for AllAlpha");
    expect_error("--feature-gates=AllAlpha=maybe",
                 "--feature-gates: invalid value of AllAlpha=maybe, want true or false");
}

TEST(flags, the_log_follows_zap_unless_told)
{
    EXPECT_OK(parse(""), &err);
    assert_false(flags.log_json);
    assert_int_equal(flags.log_level, KR_INFO);
    EXPECT_OK(parse("--zap-devel=false"), &err);
    assert_true(flags.log_json);
    EXPECT_OK(parse("--zap-devel=false --zap-encoder=console --zap-log-level=info"), &err);
    assert_false(flags.log_json);
    EXPECT_OK(parse("--zap-encoder=json --log-format=text"), &err);
    assert_false(flags.log_json);
    EXPECT_OK(parse("--zap-log-level=3"), &err);
    assert_int_equal(flags.log_level, KR_DBG);
    EXPECT_OK(parse("--zap-log-level=ERROR"), &err);
    assert_int_equal(flags.log_level, KR_ERROR);
    expect_error(
        "--zap-log-level=0",
        "--zap-log-level: \"0\" is not debug, info, warn, error, panic or a number above 0");
    expect_error("--zap-encoder=xml", "--zap-encoder: \"xml\" is not console or json");
    expect_error("--log-format=xml", "--log-format: \"xml\" is not text or json");
}

/* What kro's chart passes, with its default values. */
TEST(flags, kros_chart_starts_us)
{
    EXPECT_OK(
        parse(
            "--allow-crd-deletion=false --metrics-bind-address=:8078 "
            "--health-probe-bind-address=:8079 "
            "--leader-elect=true --leader-election-namespace= --leader-election-lease-duration=15s "
            "--leader-election-renew-deadline=10s --leader-election-retry-period=2s "
            "--client-qps=100 --client-burst=150 "
            "--resource-graph-definition-concurrent-reconciles=1 "
            "--graph-revision-concurrent-reconciles=1 --graceful-shutdown-timeout=60s "
            "--dynamic-controller-concurrent-reconciles=1 "
            "--dynamic-controller-rate-limiter-min-delay=200ms "
            "--dynamic-controller-rate-limiter-max-delay=1000s "
            "--dynamic-controller-rate-limiter-rate-limit=10 "
            "--dynamic-controller-rate-limiter-burst-limit=100 "
            "--dynamic-controller-default-resync-period=36000 "
            "--dynamic-controller-default-queue-max-retries=20 --instance-requeue-interval=3s "
            "--rgd-max-collection-size=1000 --rgd-max-collection-dimension-size=10 "
            "--rgd-max-graph-revisions=5 --rgd-progress-requeue-delay=3s --feature-gates= "
            "--zap-devel=false --zap-encoder=console --zap-log-level=info "
            "--zap-stacktrace-level=error "
            "--zap-time-encoding=rfc3339 --enable-controller-warmup --pprof-bind-address=:6060"),
        &err);
    assert_true(flags.client_qps == 100 && flags.client_burst == 150 && flags.leader_elect);
    assert_false(flags.log_json);
}

TEST(flags, flags_without_effect_are_checked_too)
{
    expect_error(
        "--instance-requeue-interval=soon",
        "--instance-requeue-interval: \"soon\" is not a duration (\"30s\", \"1m30s\", \"500ms\")");
    expect_error("--dynamic-controller-concurrent-reconciles=many",
                 "--dynamic-controller-concurrent-reconciles: \"many\" is not a whole number");
    expect_error("--zap-time-encoding=never",
                 "--zap-time-encoding: \"never\" is not epoch, millis, nano, "
                 "iso8601, rfc3339 or rfc3339nano");
}

TEST(flags, rgd_is_repeatable)
{
    EXPECT_OK(parse("--namespace=apps --rgd a.yaml --rgd=dir"), &err);
    assert_string_equal(flags.namespace, "apps");
    assert_int_equal(flags.rgds.n, 2);
    assert_string_equal(flags.rgds.items[0], "a.yaml");
    assert_string_equal(flags.rgds.items[1], "dir");
    expect_error("--rgd=", "--rgd: an empty path");
    expect_error("--namespace=Not_A_Name",
                 "--namespace: \"Not_A_Name\" is not a name of a namespace");
}

TEST(flags, a_repeatable_flag_has_its_limit)
{
    static char *argv[REACTOR_FLAG_LIST_MAX + 1];
    static char word[] = "--rgd=x";

    for (size_t i = 0; i < KR_N(argv); i++)
        argv[i] = word;
    reactor_flags_fini(&flags);
    assert_int_equal(reactor_flags_parse(&flags, REACTOR_FLAG_LIST_MAX, argv, &err), 0);
    reactor_flags_fini(&flags);
    assert_int_equal(reactor_flags_parse(&flags, REACTOR_FLAG_LIST_MAX + 1, argv, &err),
                     KR_E_LIMIT);
    EXPECT_TEXT(err.text, "--rgd: given more than 1024 times");
}

TEST(flags, limits_are_positive)
{
    expect_error("--rgd-max-collection-size=0", "--rgd-max-collection-size: must be 1 or more");
    expect_error("--rgd-max-collection-dimension-size=-3",
                 "--rgd-max-collection-dimension-size: must be 1 or more");
    EXPECT_OK(parse("--rgd-max-collection-size=9223372036854775807 --rgd-max-graph-revisions=-1"),
              &err);
    assert_int_equal(flags.max_collection_size, UINT32_MAX);
    assert_int_equal(flags.max_revisions, -1);
    expect_error("--rgd-max-graph-revisions=9223372036854775808",
                 "--rgd-max-graph-revisions: \"9223372036854775808\" is not a whole number");
}

TEST(flags, an_unknown_flag_names_the_nearest)
{
    expect_error("--kubeconfg=x", "unknown flag --kubeconfg; did you mean --kubeconfig?");
    expect_error("-clientqps", "unknown flag --clientqps; did you mean --client-qps?");
    expect_error("--rgd-max-colection-sizes=1",
                 "unknown flag --rgd-max-colection-sizes; did you mean --rgd-max-collection-size?");
    expect_error("--zzzzzzzzzzzzzzzzz", "unknown flag --zzzzzzzzzzzzzzzzz; --help lists all");
    expect_error("---x", "unknown flag ---x; --help lists all");
    expect_error("--=x", "unknown flag --; --help lists all");
}

TEST(flags, a_long_unknown_flag_is_no_trouble)
{
    static char word[100001] = "--";
    static char *argv[] = {word};

    memset(word + 2, 'k', sizeof(word) - 3);
    reactor_flags_fini(&flags);
    assert_int_equal(reactor_flags_parse(&flags, 1, argv, &err), KR_E_INPUT);
}

TEST(flags, what_is_no_flag_is_refused)
{
    expect_error("stray", "unexpected argument \"stray\"; flags begin with --");
    expect_error("--leader-elect false",
                 "unexpected argument \"false\"; a boolean is given as --leader-elect=false");
    expect_error("-- x", "unexpected argument \"x\"; flags begin with --");
    expect_error("--trace", "--trace needs a value: --trace FILE");
    expect_error("--leader-elect=perhaps", "--leader-elect: \"perhaps\" is not true or false");
}

TEST(flags, help_and_version)
{
    assert_int_equal(parse("--trace x --help --nonsense"), REACTOR_FLAGS_HELP);
    assert_int_equal(parse("-h"), REACTOR_FLAGS_HELP);
    assert_int_equal(parse("--version"), REACTOR_FLAGS_VERSION);
}

TEST(flags, help_shows_every_flag_and_fits_the_screen)
{
    KR_AUTO(kr_buf) text = KR_BUF(REACTOR_FLAGS_TEXT_MAX);
    static const char *const names[] = {
#define F(section, kind, name, member, def, placeholder, help) "--" name,
#include "reactor/flags.def"
#undef F
    };
    kr_str rest;

    reactor_flags_help(&text);
    assert_false(text.full);
    for (size_t i = 0; i < KR_N(names); i++)
        assert_non_null(strstr(text.s, names[i]));
    assert_non_null(strstr(text.s, "Flags of kro that have no effect here"));
    rest = kr_buf_view(&text);
    while (rest.s)
        assert_true(kr_str_cut(&rest, '\n').n <= 100);
}

TEST(flags, the_page_in_docs_is_current)
{
    KR_AUTO(kr_buf) page = KR_BUF(REACTOR_FLAGS_TEXT_MAX);
    struct kr_arena a = {0};
    kr_str stored;

    reactor_flags_page(&page);
    assert_true(test_file(&a, KROC_SOURCE "/docs/flags.md", &stored));
    EXPECT_TEXT(kr_cstr(&a, stored), page.s);
    kr_arena_fini(&a);
}

int main(void)
{
    int rc = RUN(T(flags, defaults_are_kros), T(flags, requests_are_not_limited_unless_asked_for),
                 T(flags, all_forms_of_gos_syntax), T(flags, zero_turns_an_address_off),
                 T(flags, durations_are_gos), T(flags, feature_gates),
                 T(flags, the_log_follows_zap_unless_told), T(flags, kros_chart_starts_us),
                 T(flags, flags_without_effect_are_checked_too), T(flags, rgd_is_repeatable),
                 T(flags, a_repeatable_flag_has_its_limit), T(flags, limits_are_positive),
                 T(flags, an_unknown_flag_names_the_nearest),
                 T(flags, a_long_unknown_flag_is_no_trouble), T(flags, what_is_no_flag_is_refused),
                 T(flags, help_and_version), T(flags, help_shows_every_flag_and_fits_the_screen),
                 T(flags, the_page_in_docs_is_current));

    reactor_flags_fini(&flags);
    return rc;
}
