/* SPDX-License-Identifier: Apache-2.0 */
/* fmt.c - `kroc fmt [-w] [-l|--check] FILE...`: definitions in one layout (cli/layout.h).
 *
 * Without a flag the result goes to stdout; -w writes it into the files, by a new file that takes the
 * place of the old one; -l names the files that are not laid out, and --check does so with exit code
 * 1 when there is one.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/layout.h"

#include "cel/base/banned.h"

struct request {
    bool write, list, check;
    struct cli_list files;

    uint32_t differ_n;
};

static int replace_file(const char *path, kr_str text, struct kr_err *err)
{
    char name[PATH_MAX];
    struct stat st;
    bool fits = snprintf(name, sizeof(name), "%s.XXXXXX", path) < (int)sizeof(name);
    int fd = fits && stat(path, &st) == 0 ? mkstemp(name) : -1;
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    bool ok;

    if (!f) {
        if (fd >= 0)
            close(fd);
        return kr_fail(err, KR_E_INPUT, "%s: cannot write beside it: %s", path, strerror(errno));
    }
    ok = fwrite(text.s, 1, text.n, f) == text.n && fchmod(fd, st.st_mode & 07777) == 0;
    ok = fclose(f) == 0 && ok;
    if (ok && rename(name, path) == 0)
        return 0;
    unlink(name);
    return kr_fail(err, KR_E_INPUT, "%s: cannot be written: %s", path, strerror(errno));
}

/* Puts text into the place of the file path, whole or not at all. Of a link, into the file it leads to;
 * a file that must not be written stays. */
static int replace(const char *link, kr_str text, struct kr_err *err)
{
    char path[PATH_MAX];

    if (!realpath(link, path) || access(path, W_OK) != 0)
        return kr_fail(err, KR_E_INPUT, "%s: cannot be written: %s", link, strerror(errno));
    return replace_file(path, text, err);
}
static int format_file(struct request *r, const char *path, struct kr_err *err)
{
    KR_AUTO(kr_arena) a = {0};
    kr_str text, out;

    KR_TRY(cli_read(&a, path, &text, err));
    if (kr_str_starts(text, KR_S("\xff\xfe")) || kr_str_starts(text, KR_S("\xfe\xff")))
        return kr_fail(err, KR_E_INPUT, "%s: it is UTF-16, only UTF-8 is laid out", path);
    if (cli_layout(&a, text, &out, err) < 0)
        return kr_wrap(err, "%s", path);
    if (!kr_str_eq(text, out)) {
        r->differ_n++;
        if (r->list || r->check)
            printf("%s\n", path);
        if (r->write)
            return replace(path, out, err);
    }
    if (!r->write && !r->list && !r->check && out.n)
        fwrite(out.s, 1, out.n, stdout);
    return 0;
}

static int run(struct request *r)
{
    int code = CLI_OK;

    for (uint32_t i = 0; i < r->files.n; i++) {
        struct kr_err err = KR_ERR_NONE;

        if (format_file(r, r->files.at[i], &err) < 0)
            code = cli_fail_err(CLI_FAILED, &err); /* the others all the same */
    }
    if (cli_flush() != CLI_OK)
        return CLI_FAILED;
    return code == CLI_OK && r->check && r->differ_n ? CLI_FAILED : code;
}

int cli_fmt(int argc, char *const *argv)
{
    struct request *r = KR_ALLOC(struct request);
    struct kr_err err = KR_ERR_NONE;
    const struct cli_option options[] = {
        {.name = "write",
         .letter = 'w',
         .flag = &r->write,
         .help = "write the result into the files"},
        {.name = "list",
         .letter = 'l',
         .flag = &r->list,
         .help = "name the files that are laid out otherwise"},
        {.name = "check", .flag = &r->check, .help = "the same, and exit code 1 when there is one"},
        {0},
    };
    int rc = cli_parse(options, argc, argv, &r->files,
                       "kroc fmt [-w] [-l|--check] FILE...; - is stdin", &err);
    int code = CLI_OK;

    for (uint32_t i = 0; rc == 0 && r->write && i < r->files.n; i++) {
        if (strcmp(r->files.at[i], "-") == 0)
            rc = kr_fail(&err, KR_E_INPUT, "-w cannot write stdin");
    }
    if (rc == 0 && r->files.n == 0)
        rc = kr_fail(&err, KR_E_INPUT, "no file is given: kroc fmt FILE..., - is stdin");
    if (rc != CLI_HELP)
        code = rc < 0 ? cli_fail_err(CLI_USAGE, &err) : run(r);
    kr_free(r);
    return code;
}
