/* SPDX-License-Identifier: Apache-2.0 */
/* test.c - `kroc test FOLDER|FILE...`: tests of definitions, each on a fresh sandbox with the
 * controller, in one process and in virtual time.
 *
 *   files --documents of kind Test--> --run REGEX --> one by one (test_run.c) --> report
 *
 * Other documents in the files are the tests' material and are passed over. Exit code: 0 all passed
 * or skipped, 1 some failed, 2 no test could be run at all.
 */
#include "cli/test.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "cel/base/log.h"
#include "cel/base/yaml.h"
#include "cel/cel.h"

#include "cel/base/banned.h"

#define GROUP "kroc.run"
#define API_VERSION GROUP "/v1alpha1"

struct request {
    struct cli_list paths;
    const char *run, *junit;
    bool verbose;

    struct kr_arena a;
    struct cli_test_report report;
    uint32_t cap;
    uint32_t left_out_n; /* by --run */
};

/* --- input ------------------------------------------------------------------------------------ */

static bool is_test(kr_val doc)
{
    return kr_is_str(kr_get(doc, KR_S("kind")), KR_S("Test")) &&
           kr_str_starts(kr_at_str(doc, "apiVersion"), KR_S(GROUP "/"));
}

static struct cli_case *add(struct request *r)
{
    struct cli_test_report *report = &r->report;

    if (report->n == r->cap) {
        r->cap = r->cap ? 2 * r->cap : 16;
        report->cases = kr_realloc(report->cases, r->cap * sizeof report->cases[0]);
    }
    return memset(&report->cases[report->n++], 0, sizeof report->cases[0]);
}

static int take(struct request *r, const char *path, kr_str text, uint32_t document, uint32_t line,
                kr_val doc, struct kr_err *err)
{
    kr_str name = kr_at_str(doc, "metadata.name");
    struct cli_case *c;

    if (!kr_is_str(kr_get(doc, KR_S("apiVersion")), KR_S(API_VERSION)))
        return kr_fail(err, KR_E_INPUT, "%s, line %u: a Test has apiVersion " API_VERSION, path,
                       line);
    if (name.n == 0)
        return kr_fail(err, KR_E_INPUT, "%s, line %u: a Test without metadata.name", path, line);
    if (r->report.n == CLI_TESTS_MAX)
        return kr_fail(err, KR_E_LIMIT, "more than %d tests", CLI_TESTS_MAX);
    if (r->run &&
        !cel_regex_matches(kr_str_c(r->run), kr_fmt(&r->a, "%s: " KR_FMT, path, KR_ARG(name)))) {
        r->left_out_n++;
        return 0;
    }
    c = add(r);
    *c = (struct cli_case){.path = path,
                           .shown = path,
                           .text = text,
                           .document = document,
                           .line = line,
                           .name = name,
                           .v = doc};
    return 0;
}

static int read_file(void *arg, const char *path, struct kr_err *err)
{
    struct request *r = arg;
    uint32_t *lines;
    kr_str text;
    kr_val docs;

    KR_TRY(cli_read(&r->a, path, &text, err));
    if (kr_yaml_parse_lines(&r->a, text, &docs, &lines, err) < 0)
        return kr_wrap(err, "%s", path);
    for (uint32_t i = 0; i < docs.n; i++) {
        if (is_test(docs.list[i]))
            KR_TRY(take(r, path, text, i, lines[i], docs.list[i], err));
    }
    return 0;
}

static int read_input(struct request *r, struct kr_err *err)
{
    if (r->run && cel_regex_check(kr_str_c(r->run), err) < 0)
        return kr_wrap(err, "--run");
    for (uint32_t i = 0; i < r->paths.n; i++)
        KR_TRY(cli_each_file(&r->a, r->paths.at[i], read_file, r, err));
    if (r->report.n)
        return 0;
    if (r->left_out_n)
        return kr_fail(err, KR_E_INPUT, "no test matches --run %s", r->run);
    return kr_fail(err, KR_E_INPUT, "no test (kind: Test of " API_VERSION ") in %s",
                   r->paths.at[0]);
}

/* --- the run ---------------------------------------------------------------------------------- */

static int run_all(struct request *r)
{
    struct cli_test_report *report = &r->report;
    int code = CLI_OK;

    kr_log_config(KR_ERROR, false, -1); /* what it would say is in the conditions */
    for (uint32_t i = 0; i < report->n && code == CLI_OK; i++) {
        KR_AUTO(kr_buf) out = KR_BUF(CLI_TEXT_MAX);
        struct cli_case *c = &report->cases[i];

        cli_case_run(c, &r->a);
        report->passed_n += c->outcome == CLI_PASSED;
        report->failed_n += c->outcome == CLI_TEST_FAILED;
        report->skipped_n += c->outcome == CLI_SKIPPED;
        report->took_ns += c->took_ns;
        cli_test_print_case(c, r->verbose, &out);
        code = cli_print(&out);
    }
    return code;
}

static int write_file(const char *path, kr_str text, struct kr_err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

    if (fd < 0)
        return kr_fail(err, KR_E_IO, "cannot write %s: %s", path, strerror(errno));
    while (text.n > 0) {
        ssize_t n = write(fd, text.s, text.n);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            close(fd);
            return kr_fail(err, KR_E_IO, "cannot write %s: %s", path, strerror(errno));
        }
        text = kr_str_sub(text, (size_t)n, text.n);
    }
    if (close(fd) < 0)
        return kr_fail(err, KR_E_IO, "cannot write %s: %s", path, strerror(errno));
    return 0;
}

static int report(struct request *r)
{
    const struct cli_test_report *t = &r->report;
    KR_AUTO(kr_buf) out = KR_BUF(CLI_TEXT_MAX);
    struct kr_err err = KR_ERR_NONE;
    int code = CLI_OK;

    if (r->junit) {
        cli_test_print_junit(t, &out);
        if (out.full)
            code = cli_fail(CLI_FAILED,
                            kr_fmt(&r->a, "%s is not written: the report has more than %d bytes",
                                   r->junit, CLI_TEXT_MAX)
                                .s);
        else if (write_file(r->junit, kr_buf_view(&out), &err) < 0)
            code = cli_fail_err(CLI_FAILED, &err);
        kr_buf_reset(&out);
    }
    kr_buf_fmt(&out, "%u passed, %u failed, %u skipped\n", t->passed_n, t->failed_n, t->skipped_n);
    if (cli_print(&out) != CLI_OK || t->failed_n)
        code = CLI_FAILED;
    return code;
}

/* --- the command ------------------------------------------------------------------------------ */

static int parse(struct request *r, int argc, char *const *argv, struct kr_err *err)
{
    const struct cli_option options[] = {
        {.name = "run",
         .value = &r->run,
         .arg = "REGEX",
         .help = "only tests whose \"FILE: NAME\" it matches"},
        {.name = "junit",
         .value = &r->junit,
         .arg = "FILE",
         .help = "write the results there, too"},
        {.name = "verbose",
         .letter = 'v',
         .flag = &r->verbose,
         .help = "each test and step, and what the controller wrote"},
        {0}};
    int rc = cli_parse(options, argc, argv, &r->paths, "kroc test [options] FOLDER|FILE...", err);

    if (rc == 0 && r->paths.n == 0)
        return kr_fail(err, KR_E_INPUT, "kroc test needs folders or files");
    return rc;
}

int cli_test(int argc, char *const *argv)
{
    struct request *r = KR_ALLOC(struct request);
    struct kr_err err = KR_ERR_NONE;
    int rc = parse(r, argc, argv, &err), code = CLI_OK;

    if (rc == 0)
        rc = read_input(r, &err);
    if (rc < 0) {
        code = cli_fail_err(CLI_USAGE, &err);
    } else if (rc == 0) {
        int printed = run_all(r);

        code = printed == CLI_OK ? report(r) : printed;
    }
    kr_free(r->report.cases);
    kr_arena_fini(&r->a);
    kr_free(r);
    return code;
}
