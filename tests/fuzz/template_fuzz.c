/* SPDX-License-Identifier: Apache-2.0 */
/* template_fuzz.c - the ${} scanner, field paths, and finding expressions in any document. */
#include "graph/internal.h"

#include "cel/base/json.h"

#include "cel/base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void scan(struct kr_arena *a, kr_str s)
{
    const struct graph_piece *pieces;
    const struct graph_step *path;
    size_t total = 0;
    uint32_t n;
    kr_str out;

    if (graph__scan(a, s, &pieces, &n, NULL) == 0 && n) {
        for (uint32_t i = 0; i < n; i++)
            total += pieces[i].text.n + (pieces[i].expr ? 3 : 0);
        KR_ASSERT(total == s.n); /* nothing is lost and nothing is made up */
        KR_ASSERT(graph__template_cel(a, pieces, n).n > 0);
        KR_ASSERT(graph__unwrap(a, s, &out, NULL) < 0 || out.n + 3 == s.n);
    }
    if (graph__path_parse(a, s, &path, &n, NULL) == 0) {
        kr_str printed = graph__path_print(a, path, n);

        graph__path_set(a, KR_V_NONE, path, n, KR_V_OMIT);
        KR_ASSERT(printed.n <= s.n + 4 * (size_t)n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    KR_AUTO(kr_arena) a = {0};
    kr_str s = {(const char *)data, size};
    struct graph_diags d = {.a = &a};
    struct graph_finds finds = {.a = &a, .d = &d};
    kr_val v;

    if (size > 4096)
        return 0;
    scan(&a, s);
    if (kr_json_parse(&a, s, &v, NULL) == 0)
        graph__find_any(&finds, v);
    for (uint32_t i = 0; i < finds.n; i++)
        KR_ASSERT(kr_str_eq(graph__path_print(&a, finds.items[i].path, finds.items[i].path_n),
                            finds.items[i].path_text));
    return 0;
}
