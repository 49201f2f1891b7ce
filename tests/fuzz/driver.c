/* SPDX-License-Identifier: Apache-2.0 */
/* driver.c - runs a corpus without libFuzzer, so that every build tests every fuzz target.
 *
 * Each file of the given folder is fed as it is, cut at up to CUTS places, and with a few bytes
 * changed: always the same ones, so that a failure comes again. The input is a copy of exact size,
 * so that the address sanitizer sees a read behind its end.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cel/base/buf.h"

enum { FILE_MAX = 1024 * 1024, CUTS = 200, CHANGES = 200, CHANGED_BYTES = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void feed(kr_str s)
{
    char *copy = kr_realloc(NULL, s.n);

    if (s.n)
        memcpy(copy, s.s, s.n);
    LLVMFuzzerTestOneInput((const uint8_t *)copy, s.n);
    kr_free(copy);
}

/* splitmix64 */
static uint64_t next_rand(uint64_t *seed)
{
    uint64_t z = *seed += 0x9E3779B97F4A7C15ull;

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return z ^ z >> 31;
}

static void feed_changed(kr_str s, uint64_t *seed)
{
    KR_AUTO(kr_buf) b = KR_BUF(FILE_MAX);

    kr_buf_str(&b, s);
    for (int i = 0; i < CHANGED_BYTES && b.n; i++) {
        uint64_t r = next_rand(seed);

        /* half of them a byte from elsewhere: it has more chances to mean something */
        b.s[r % b.n] = r >> 63 ? s.s[(r >> 32) % s.n] : (char)(r >> 40);
    }
    feed(kr_buf_view(&b));
}

static int run_file(const char *path)
{
    KR_AUTO(kr_buf) b = KR_BUF(FILE_MAX);
    struct kr_err err = KR_ERR_NONE;
    uint64_t seed = 1;

    if (kr_buf_read_file(&b, path, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return -1;
    }
    feed(kr_buf_view(&b));
    for (size_t i = 0; i < CUTS && i < b.n; i++)
        feed((kr_str){b.s, b.n <= CUTS ? i : b.n / CUTS * i});
    for (int i = 0; i < CHANGES; i++)
        feed_changed(kr_buf_view(&b), &seed);
    return 0;
}

int main(int argc, char **argv)
{
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    struct dirent *e;
    int files = 0;

    if (!dir) {
        fprintf(stderr, "usage: %s CORPUS-FOLDER\n", argv[0]);
        return 2;
    }
    while ((e = readdir(dir)) != NULL) {
        char path[4096];

        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", argv[1], e->d_name);
        if (run_file(path) < 0)
            return 1;
        files++;
    }
    closedir(dir);
    printf("%d files\n", files);
    return files > 0 ? 0 : 1; /* an empty corpus tests nothing */
}
