/* SPDX-License-Identifier: Apache-2.0 */
/* scenario_test.c - every file of tests/scenario, on graph/ alone. */
#include "tests/lib/scenario.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

enum { FILES_MAX = 256 };

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

TEST(scenario, every_file_gives_its_trace)
{
    KR_AUTO(kr_arena) a = {0};
    const char *folder = KROC_SOURCE "/tests/scenario", *files[FILES_MAX];
    DIR *dir = opendir(folder);
    uint32_t n = 0;

    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e && n < FILES_MAX; e = readdir(dir)) {
        if (kr_str_ends(kr_str_c(e->d_name), KR_S(".scn")))
            files[n++] = kr_cstr(&a, kr_fmt(&a, "%s/%s", folder, e->d_name));
    }
    closedir(dir);
    assert_true(n > 0);
    qsort(files, n, sizeof(files[0]), by_text);
    for (uint32_t i = 0; i < n; i++)
        scenario_run(files[i], false);
}

int main(int argc, char **argv)
{
    if (argc > 1) { /* one file with its trace, for whoever writes it */
        scenario_run(argv[1], true);
        return 0;
    }
    return RUN(T(scenario, every_file_gives_its_trace));
}
