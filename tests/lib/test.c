/* SPDX-License-Identifier: Apache-2.0 */
/* test.c - text comparison with a diff, values from text, files, random numbers; see test.h.
 *
 * The diff keeps the lines that both texts begin and end with (a few of them are shown) and prints
 * what differs between; of very long texts first all lines wanted, then all lines got.
 */
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONTEXT_LINES = 3, LCS_LINES_MAX = 2000, FILE_MAX = 64 * 1024 * 1024 };

static kr_str cut_line(kr_str *rest)
{
    return kr_str_cut(rest, '\n');
}

static uint32_t split_lines(struct kr_arena *a, const char *text, kr_str **out)
{
    kr_str rest = kr_str_c(text);
    uint32_t n = 0;

    for (kr_str r = rest; r.s;) {
        cut_line(&r);
        n++;
    }
    *out = kr_new_n(a, kr_str, n);
    for (uint32_t i = 0; i < n; i++)
        (*out)[i] = cut_line(&rest);
    return n;
}

static void print_lines(char mark, const kr_str *line, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++)
        fprintf(stderr, "%c " KR_FMT "\n", mark, KR_ARG(line[i]));
}

/* What lies between, by the longest common subsequence: rows are lines wanted. */
static void print_middle(struct kr_arena *a, const kr_str *w, uint32_t w_n, const kr_str *g,
                         uint32_t g_n)
{
    uint16_t *common = kr_new_n(a, uint16_t, (w_n + 1) * (g_n + 1)); /* of what is left */
    uint32_t row = g_n + 1, i, k;

    for (i = w_n; i-- > 0;)
        for (k = g_n; k-- > 0;) {
            uint16_t down = common[(i + 1) * row + k], right = common[i * row + k + 1];

            common[i * row + k] = kr_str_eq(w[i], g[k])
                                      ? (uint16_t)(common[(i + 1) * row + k + 1] + 1)
                                      : (down > right ? down : right);
        }
    for (i = k = 0; i < w_n || k < g_n;) {
        if (i < w_n && k < g_n && kr_str_eq(w[i], g[k])) {
            i++;
            k++;
        } else if (k == g_n || (i < w_n && common[(i + 1) * row + k] >= common[i * row + k + 1])) {
            print_lines('-', w, i, i + 1);
            i++;
        } else {
            print_lines('+', g, k, k + 1);
            k++;
        }
    }
}

void test_diff(const char *got, const char *want)
{
    KR_AUTO(kr_arena) a = {0};
    kr_str *g, *w;
    uint32_t g_n = split_lines(&a, got, &g), w_n = split_lines(&a, want, &w);
    uint32_t least = g_n < w_n ? g_n : w_n, head = 0, tail = 0;

    while (head < least && kr_str_eq(g[head], w[head]))
        head++;
    while (tail < least - head && kr_str_eq(g[g_n - 1 - tail], w[w_n - 1 - tail]))
        tail++;
    fprintf(stderr, "texts differ from line %u on (- wanted, + got):\n", head + 1);
    print_lines(' ', w, head > CONTEXT_LINES ? head - CONTEXT_LINES : 0, head);
    if (w_n - head - tail <= LCS_LINES_MAX && g_n - head - tail <= LCS_LINES_MAX) {
        print_middle(&a, w + head, w_n - head - tail, g + head, g_n - head - tail);
    } else {
        print_lines('-', w, head, w_n - tail);
        print_lines('+', g, head, g_n - tail);
    }
    print_lines(' ', w, w_n - tail, w_n - (tail > CONTEXT_LINES ? tail - CONTEXT_LINES : 0));
}

void test_text(const char *got, const char *want, const char *file, int line)
{
    if (got && want && strcmp(got, want) == 0)
        return;
    test_diff(got ? got : "(NULL)", want ? want : "(NULL)");
    _fail(file, line);
}

void test_ok(int rc, const struct kr_err *err, const char *file, int line)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "failed with %d: %s\n", rc, err && err->code ? err->text : "(no text)");
    _fail(file, line);
}

kr_val test_json(struct kr_arena *a, const char *text)
{
    struct kr_err err = KR_ERR_NONE;
    kr_val v = KR_V_NONE;

    if (kr_json_parse(a, kr_str_c(text), &v, &err) < 0)
        fail_msg("%s in %.200s", err.text, text);
    return v;
}

kr_val test_yaml(struct kr_arena *a, const char *text)
{
    struct kr_err err = KR_ERR_NONE;
    kr_val docs = KR_V_NONE;

    if (kr_yaml_parse(a, kr_str_c(text), &docs, &err) < 0)
        fail_msg("%s", err.text);
    return kr_item(docs, 0);
}

bool test_file(struct kr_arena *a, const char *path, kr_str *out)
{
    KR_AUTO(kr_buf) b = KR_BUF(FILE_MAX);

    if (access(path, R_OK) != 0)
        return false;
    if (kr_buf_read_file(&b, path, NULL) < 0)
        return false;
    *out = kr_strdup(a, kr_buf_view(&b));
    return true;
}

void test_skip_all(const char *why)
{
    printf("skipped: %s\n", why);
    exit(77);
}

uint64_t test_rand(uint64_t *seed)
{
    uint64_t z = *seed += 0x9E3779B97F4A7C15ull;

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return z ^ z >> 31;
}
