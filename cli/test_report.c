/* SPDX-License-Identifier: Apache-2.0 */
/* test_report.c - what came of the tests: lines for people, JUnit's XML for tools. */
#include "cel/base/utf8.h"
#include "cli/test.h"

#include "cel/base/banned.h"

/* Neither a terminal nor XML shall meet other characters: those become "?". */
static bool is_shown(uint32_t rune)
{
    if (rune == '\n' || rune == '\t')
        return true;
    return rune >= ' ' && !(rune >= 0x7f && rune < 0xa0) && rune != 0xfffe && rune != 0xffff;
}

/* Each character of s by put. */
static void put_all(struct kr_buf *out, kr_str s, void (*put)(struct kr_buf *out, uint32_t rune))
{
    uint32_t n;

    for (size_t i = 0; i < s.n; i += n) {
        uint32_t rune = kr_utf8_decode(s.s + i, s.n - i, &n);

        put(out, is_shown(rune) ? rune : '?');
    }
}

static void put_plain(struct kr_buf *out, uint32_t rune)
{
    char bytes[4];

    kr_buf_add(out, bytes, kr_utf8_encode(rune, bytes));
}

static void put_text(struct kr_buf *out, kr_str s)
{
    put_all(out, s, put_plain);
}

void cli_test_print_case(const struct cli_case *c, bool verbose, struct kr_buf *out)
{
    static const char *const words[] = {"ok  ", "FAIL", "skip"};

    if (c->outcome == CLI_PASSED && !verbose)
        return;
    kr_buf_fmt(out, "%s  ", words[c->outcome]);
    put_text(out, kr_str_c(c->shown));
    kr_buf_str(out, KR_S(": "));
    put_text(out, c->name);
    if (c->outcome == CLI_SKIPPED) {
        kr_buf_str(out, KR_S(": "));
        put_text(out, c->told);
        kr_buf_chr(out, '\n');
    } else {
        kr_buf_fmt(out, " (%.0f ms)\n", (double)c->took_ns / 1e6);
    }
    if (verbose)
        put_text(out, c->log);
    if (c->outcome == CLI_TEST_FAILED)
        put_text(out, c->told);
}

static void put_escaped(struct kr_buf *out, uint32_t rune)
{
    if (rune == '<')
        kr_buf_str(out, KR_S("&lt;"));
    else if (rune == '>')
        kr_buf_str(out, KR_S("&gt;"));
    else if (rune == '&')
        kr_buf_str(out, KR_S("&amp;"));
    else if (rune == '"')
        kr_buf_str(out, KR_S("&quot;"));
    else if (rune == '\n')
        kr_buf_str(out, KR_S("&#10;"));
    else
        put_plain(out, rune);
}

static void put_xml(struct kr_buf *out, kr_str s)
{
    put_all(out, s, put_escaped);
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
