/* SPDX-License-Identifier: Apache-2.0 */
/* buf.c - the growing byte buffer; see buf.h. */
#include "cel/base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "cel/base/banned.h"
#include "cel/base/internal.h"

enum { FIRST_BYTES = 256, READ_BYTES = 64 * 1024 };

void kr_buf_init(struct kr_buf *b, size_t max_bytes)
{
    *b = (struct kr_buf)KR_BUF(max_bytes);
}

void kr_buf_fini(struct kr_buf *b)
{
    if (!b->a)
        kr_free(b->s);
    *b = (struct kr_buf)KR_BUF_IN(b->a, b->max);
}

void kr_buf_reset(struct kr_buf *b)
{
    b->n = 0;
    b->full = false;
    if (b->s)
        b->s[0] = 0;
}

/* A larger piece of the buffer's arena with the same bytes. */
static char *arena_grown(const struct kr_buf *b, size_t cap)
{
    char *s = kr_arena_bytes(b->a, cap);

    if (b->n)
        memcpy(s, b->s, b->n);
    return s;
}

/* Makes room for n more bytes and a NUL; false when that is over the maximum. */
static bool reserve(struct kr_buf *b, size_t n)
{
    size_t cap = b->cap ? b->cap : FIRST_BYTES;

    if (b->full || n > b->max || b->n > b->max - n) {
        b->full = true;
        return false;
    }
    if (b->s && b->n + n < b->cap)
        return true;
    while (cap <= b->n + n)
        cap *= 2;
    if (cap > b->max + 1)
        cap = b->max + 1;
    b->s = b->a ? arena_grown(b, cap) : kr_realloc(b->s, cap);
    b->cap = cap;
    b->s[b->n] = 0;
    return true;
}

void kr_buf_add(struct kr_buf *b, const void *bytes, size_t n)
{
    if (__builtin_expect(b->full || n >= b->cap || b->n >= b->cap - n, 0) && !reserve(b, n))
        return;
    if (n)
        memcpy(b->s + b->n, bytes, n);
    b->n += n;
    b->s[b->n] = 0;
}

void kr_buf_fmt(struct kr_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_list again;
    int n;

    va_start(ap, fmt);
    va_copy(again, ap);
    n = kr__format(NULL, 0, fmt, ap);
    va_end(ap);
    KR_ASSERT(n >= 0);
    if (reserve(b, (size_t)n)) {
        kr__format(b->s + b->n, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    }
    va_end(again);
}

char *kr_buf_room(struct kr_buf *b, size_t n)
{
    if (!reserve(b, n))
        return NULL;
    return memset(b->s + b->n, 0, n + 1);
}

static int read_all(struct kr_buf *b, int fd, const char *path, struct kr_err *err)
{
    char part[READ_BYTES];

    for (;;) {
        ssize_t got = read(fd, part, sizeof(part));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return kr_fail(err, KR_E_INPUT, "read %s: %s", path, strerror(errno));
        if (got == 0)
            return 0;
        kr_buf_add(b, part, (size_t)got);
        if (b->full)
            return kr_fail(err, KR_E_LIMIT, "read %s: the file is over %zu bytes", path, b->max);
    }
}

int kr_buf_read_file(struct kr_buf *b, const char *path, struct kr_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc;

    if (fd < 0)
        return kr_fail(err, KR_E_INPUT, "open %s: %s", path, strerror(errno));
    rc = read_all(b, fd, path, err);
    close(fd);
    return rc;
}
