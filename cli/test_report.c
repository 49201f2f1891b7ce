/* SPDX-License-Identifier: Apache-2.0 */
/* test_report.c - what came of the tests: lines for people, JUnit's XML for tools. */
#include "cel/base/utf8.h"
#include "cli/test.h"

#include "cel/base/banned.h"

void cli_test_print_case(const struct cli_case *c, bool verbose, struct kr_buf *out)
{
    static const char *const words[] = {"ok  ", "FAIL", "skip"};

    if (c->outcome == CLI_PASSED && !verbose)
        return;
    kr_buf_fmt(out, "%s  %s: " KR_FMT, words[c->outcome], c->shown, KR_ARG(c->name));
    if (c->outcome == CLI_SKIPPED)
        kr_buf_fmt(out, ": " KR_FMT "\n", KR_ARG(c->told));
    else
        kr_buf_fmt(out, " (%.0f ms)\n", (double)c->took_ns / 1e6);
    if (verbose)
        kr_buf_str(out, c->log);
    if (c->outcome == CLI_TEST_FAILED)
        kr_buf_str(out, c->told);
}

/* XML has no way to write most control characters; they become "?". */
static void put_xml(struct kr_buf *out, kr_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.s[i];

        if (c == '<')
            kr_buf_str(out, KR_S("&lt;"));
        else if (c == '>')
            kr_buf_str(out, KR_S("&gt;"));
        else if (c == '&')
            kr_buf_str(out, KR_S("&amp;"));
        else if (c == '"')
            kr_buf_str(out, KR_S("&quot;"));
        else if (c == '\n')
            kr_buf_str(out, KR_S("&#10;"));
        else
            kr_buf_chr(out, c < ' ' && c != '\t' ? '?' : (char)c);
    }
}

static void put_case(const struct cli_case *c, struct kr_buf *out)
{
    kr_buf_str(out, KR_S("  <testcase classname=\""));
    put_xml(out, kr_str_c(c->shown));
    kr_buf_str(out, KR_S("\" name=\""));
    put_xml(out, c->name);
    kr_buf_fmt(out, "\" time=\"%.3f\"", (double)c->took_ns / 1e9);
    if (c->outcome == CLI_PASSED) {
        kr_buf_str(out, KR_S("/>\n"));
        return;
    }
    kr_buf_fmt(out, "><%s message=\"", c->outcome == CLI_SKIPPED ? "skipped" : "failure");
    put_xml(out, kr_str_trim(c->told));
    kr_buf_str(out, KR_S("\"/></testcase>\n"));
}

void cli_test_print_junit(const struct cli_test_report *r, struct kr_buf *out)
{
    kr_buf_fmt(out,
               "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
               "<testsuite name=\"kroc test\" tests=\"%u\" failures=\"%u\" errors=\"0\" "
               "skipped=\"%u\" time=\"%.3f\">\n",
               r->passed_n + r->failed_n + r->skipped_n, r->failed_n, r->skipped_n,
               (double)r->took_ns / 1e9);
    for (uint32_t i = 0; i < r->n; i++)
        put_case(&r->cases[i], out);
    kr_buf_str(out, KR_S("</testsuite>\n"));
}
