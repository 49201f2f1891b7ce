/* SPDX-License-Identifier: Apache-2.0 */
/* top.c - `kroc top`: what a running controller does right now, from its /metrics: what there is, and what
 * happened a second since the last look. From afar: kubectl -n kro-system port-forward deploy/kroc 8078
 * A look that fails is told, and -w goes on: a controller that is rolled comes back.
 */
#include <curl/curl.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "reactor/metrics.h"

#include "cel/base/banned.h"

enum { TIMEOUT_S = 10, INTERVAL_S = 2 };

enum unit { COUNT, RATE, BYTES, SECONDS };

/* One line each: the sum over all label values of a metric. */
static const struct line {
    const char *name, *metric;
    enum unit unit;
} lines[] = {
    {"definitions served", "dynamic_controller_gvr_count", COUNT},
    {"instances", "dynamic_controller_instance_watch_count", COUNT},
    {"instances that wait", "dynamic_controller_queue_length", COUNT},
    {"watches", "dynamic_controller_watch_count", COUNT},
    {"watches that fail", "kroc_watch_failures", COUNT},
    {"objects kept", "kroc_store_objects", COUNT},
    {"bytes for them", "kroc_store_bytes", BYTES},
    {"memory", "process_resident_memory_bytes", BYTES},
    {"leads", "leader_election_master_status", COUNT},
    {"steps", "instance_reconcile_total", RATE},
    {"steps in ERROR", "instance_reconcile_errors_total", RATE},
    {"changes seen", "kroc_store_changes_total", RATE},
    {"requests", "kroc_requests_total", RATE},
    {"requests under way", "kroc_requests_in_flight", COUNT},
    {"applies", "kroc_applies_total", RATE},
    {"applies that changed nothing", "kroc_applies_unchanged_total", RATE},
    {"status writes", "kroc_status_writes_total", RATE},
    {"processor", "process_cpu_seconds_total", SECONDS},
};

struct sample {
    double at_s; /* when it was taken; of no clock */
    double value[KR_N(lines)];
    bool there[KR_N(lines)];
};

static const char usage[] = "kroc top";

static size_t on_bytes(char *bytes, size_t size, size_t n, void *arg)
{
    struct kr_buf *body = arg;

    kr_buf_add(body, bytes, size * n);
    return body->full ? 0 : size * n;
}

static int fetch(CURL *curl, const char *address, struct kr_buf *body, struct kr_err *err)
{
    KR_AUTO(kr_buf) url = KR_BUF(4096);
    long status = 0;
    CURLcode rc;

    kr_buf_fmt(&url, "http://%s%s/metrics", address[0] == ':' ? "127.0.0.1" : "", address);
    curl_easy_setopt(curl, CURLOPT_URL, url.s);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
    rc = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (rc == CURLE_OK && status == 200)
        return 0;
    return kr_fail(err, KR_E_IO,
                   "no controller answers on %s: %s\n"
                   "  in a cluster: kubectl -n kro-system port-forward deploy/kroc 8078\n"
                   "  elsewhere: give the controller's --metrics-bind-address as --address",
                   address, rc == CURLE_OK ? "it is no page of metrics" : curl_easy_strerror(rc));
}

/* "name{labels} value": adds value to its line. */
static void read_line(kr_str line, struct sample *s)
{
    ptrdiff_t space = kr_str_rchr(line, ' ');
    kr_str name = line;
    char number[64];

    if (line.n == 0 || line.s[0] == '#' || space < 0)
        return;
    name = kr_str_sub(line, 0, (size_t)space);
    name = kr_str_cut(&name, '{');
    (void)snprintf(number, sizeof number, KR_FMT,
                   KR_ARG(kr_str_sub(line, (size_t)space + 1, (size_t)space + sizeof number)));
    for (size_t i = 0; i < KR_N(lines); i++) {
        if (!kr_str_eq(name, kr_str_c(lines[i].metric)))
            continue;
        s->there[i] = true;
        s->value[i] += strtod(number, NULL);
    }
}

static double seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int take(CURL *curl, const char *address, struct sample *s, struct kr_err *err)
{
    KR_AUTO(kr_buf) body = KR_BUF(REACTOR_METRICS_TEXT_MAX);
    kr_str rest;

    *s = (struct sample){0};
    KR_TRY(fetch(curl, address, &body, err));
    s->at_s = seconds();
    rest = kr_buf_view(&body);
    while (rest.s)
        read_line(kr_str_cut(&rest, '\n'), s);
    return 0;
}

/* How much more a second since the last look. What is less than it was began anew, with the process. */
static double rate_of(const struct sample *now, const struct sample *before, size_t i)
{
    double more = now->value[i] - (now->value[i] < before->value[i] ? 0 : before->value[i]);
    double passed_s = now->at_s - before->at_s;

    return passed_s > 0 ? more / passed_s : 0;
}

static void print_value(struct kr_buf *out, enum unit unit, double now, bool first, double rate)
{
    if (unit == BYTES)
        kr_buf_fmt(out, "%12.1f MiB", now / (1024.0 * 1024.0));
    else
        kr_buf_fmt(out, "%12.*f    ", unit == SECONDS ? 2 : 0, now);
    if (!first && unit == RATE)
        kr_buf_fmt(out, "%10.1f /s", rate);
    if (!first && unit == SECONDS)
        kr_buf_fmt(out, "%10.1f %%", rate * 100);
    kr_buf_chr(out, '\n');
}

static int print_sample(const struct sample *now, const struct sample *before)
{
    KR_AUTO(kr_buf) out = KR_BUF(64 * 1024);

    for (size_t i = 0; i < KR_N(lines); i++) {
        if (!now->there[i])
            continue;
        kr_buf_fmt(&out, "%-30s", lines[i].name);
        print_value(&out, lines[i].unit, now->value[i], before == NULL,
                    before ? rate_of(now, before, i) : 0);
    }
    return cli_print(&out);
}

static int look(CURL *curl, const char *address, bool watch, struct kr_err *err)
{
    struct sample now, before;
    bool screen = watch && isatty(STDOUT_FILENO);

    KR_TRY(take(curl, address, &before, err));
    if (print_sample(&before, NULL) != CLI_OK)
        return kr_fail(err, KR_E_IO, "cannot write to stdout");
    for (; watch; before = now) {
        struct kr_err trouble = KR_ERR_NONE;

        sleep(INTERVAL_S);
        if (take(curl, address, &now, &trouble) < 0) {
            cli_look_failed(&trouble, INTERVAL_S);
            now = before;
            continue;
        }
        printf("%s", screen ? "\033[H\033[2J" : "\n");
        if (print_sample(&now, &before) != CLI_OK)
            return kr_fail(err, KR_E_IO, "cannot write to stdout");
    }
    return 0;
}

int cli_top(int argc, char *const *argv)
{
    const char *address = ":8078";
    bool watch = false;
    const struct cli_option options[] = {
        {.name = "address",
         .value = &address,
         .arg = "HOST:PORT",
         .help = "the controller's --metrics-bind-address (default :8078)"},
        {.name = "watch",
         .letter = 'w',
         .flag = &watch,
         .help = "again every two seconds, with rates"},
        {0}};
    struct kr_err err = KR_ERR_NONE;
    CURL *curl;
    int rc = cli_parse(options, argc, argv, NULL, usage, &err);

    if (rc == CLI_HELP)
        return CLI_OK;
    if (rc < 0)
        return cli_fail_err(CLI_USAGE, &err);
    curl = curl_easy_init();
    if (!curl)
        return cli_fail(CLI_FAILED, "libcurl does not start");
    rc = look(curl, address, watch, &err);
    curl_easy_cleanup(curl);
    return rc < 0 ? cli_fail_err(CLI_FAILED, &err) : CLI_OK;
}
