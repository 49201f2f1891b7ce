/* SPDX-License-Identifier: Apache-2.0 */
/* io.c - files and stdin in, stdout and stderr out. */
#include "cli/cli.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "cel/base/banned.h"

enum { CHUNK = 64 * 1024 };

static int read_stdin(struct kr_buf *b, struct kr_err *err)
{
    char chunk[CHUNK];
    size_t n;

    while ((n = fread(chunk, 1, sizeof(chunk), stdin)) > 0) {
        kr_buf_add(b, chunk, n);
        if (b->full)
            return kr_fail(err, KR_E_LIMIT, "stdin has more than %d bytes", CLI_FILE_MAX);
    }
    if (ferror(stdin))
        return kr_fail(err, KR_E_INPUT, "cannot read stdin");
    return 0;
}

int cli_read(struct kr_arena *a, const char *path, kr_str *text, struct kr_err *err)
{
    struct kr_buf b = KR_BUF_IN(a, CLI_FILE_MAX);

    if (strcmp(path, "-") == 0)
        KR_TRY(read_stdin(&b, err));
    else
        KR_TRY(kr_buf_read_file(&b, path, err));
    *text = b.n ? kr_buf_view(&b) : KR_S("");
    return 0;
}

/* --- folders ---------------------------------------------------------------------------------- */

struct walk {
    struct kr_arena *a;
    cli_file_fn *fn;
    void *arg;
    uint32_t files_n;
};

static bool is_document(kr_str name)
{
    return kr_str_ends(name, KR_S(".json")) || kr_str_ends(name, KR_S(".yaml")) ||
           kr_str_ends(name, KR_S(".yml"));
}

static int not_hidden(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static int walk(struct walk *w, const char *path, uint32_t depth, struct kr_err *err);

static int walk_folder(struct walk *w, const char *path, uint32_t depth, struct kr_err *err)
{
    struct dirent **names;
    int n = scandir(path, &names, not_hidden, alphasort), rc = 0;

    if (n < 0)
        return kr_fail(err, KR_E_INPUT, "cannot read folder %s", path);
    for (int i = 0; i < n; i++) {
        if (rc == 0)
            rc = walk(w, kr_fmt(w->a, "%s/%s", path, names[i]->d_name).s, depth + 1, err);
        free(names[i]);
    }
    free(names);
    return rc;
}

static bool is_link(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

static int walk(struct walk *w, const char *path, uint32_t depth, struct kr_err *err)
{
    bool pipe = strcmp(path, "-") == 0;
    struct stat st = {0};

    if (!pipe && stat(path, &st) != 0)
        return depth ? 0 : kr_fail(err, KR_E_INPUT, "no file or folder %s", path);
    if (S_ISDIR(st.st_mode) && depth && is_link(path))
        return 0; /* it may lead back up */
    if (S_ISDIR(st.st_mode)) {
        if (depth > CLI_FOLDERS_MAX)
            return kr_fail(err, KR_E_LIMIT, "%s: more than %d folders deep", path, CLI_FOLDERS_MAX);
        return walk_folder(w, path, depth, err);
    }
    if (depth > 0 && !is_document(kr_str_c(path)))
        return 0;
    if (++w->files_n > CLI_FILES_MAX)
        return kr_fail(err, KR_E_LIMIT, "more than %d files", CLI_FILES_MAX);
    return w->fn(w->arg, path, err);
}

int cli_each_file(struct kr_arena *a, const char *path, cli_file_fn *fn, void *arg,
                  struct kr_err *err)
{
    struct walk w = {.a = a, .fn = fn, .arg = arg};

    return walk(&w, path, 0, err);
}

/* --- output ----------------------------------------------------------------------------------- */

int cli_print(const struct kr_buf *text)
{
    if (text->full)
        return cli_fail(CLI_FAILED, "the output is larger than its limit");
    if (text->n)
        fwrite(text->s, 1, text->n, stdout);
    return cli_flush();
}

int cli_flush(void)
{
    KR_AUTO(kr_arena) a = {0};

    if (fflush(stdout) == 0 && !ferror(stdout))
        return CLI_OK;
    if (errno == EPIPE) /* whoever reads has enough */
        return CLI_FAILED;
    return cli_fail(CLI_FAILED, kr_fmt(&a, "stdout cannot be written: %s", strerror(errno)).s);
}

int cli_fail(int code, const char *text)
{
    fprintf(stderr, "kroc: %s\n", text);
    return code;
}

void cli_look_failed(const struct kr_err *err, uint32_t again_s)
{
    time_t now = time(NULL);
    char at[16] = "";
    struct tm tm;

    if (localtime_r(&now, &tm))
        (void)strftime(at, sizeof at, "%H:%M:%S", &tm);
    fprintf(stderr, "kroc: %s: %s; next look in %u s\n", at, err->text, again_s);
}

int cli_fail_err(int code, const struct kr_err *err)
{
    return cli_fail(code, err->text);
}
