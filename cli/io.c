/* SPDX-License-Identifier: Apache-2.0 */
/* io.c - files and stdin in, stdout and stderr out. */
#include "cli/cli.h"

#include <string.h>

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

int cli_print(const struct kr_buf *text)
{
    bool ok = !text->full && fwrite(text->s, 1, text->n, stdout) == text->n && fflush(stdout) == 0;

    if (text->full)
        return cli_fail(CLI_FAILED, "the output is larger than its limit");
    return ok ? CLI_OK : CLI_FAILED;
}

int cli_fail(int code, const char *text)
{
    fprintf(stderr, "kroc: %s\n", text);
    return code;
}

int cli_fail_err(int code, const struct kr_err *err)
{
    return cli_fail(code, err->text);
}
