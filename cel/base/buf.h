/* SPDX-License-Identifier: Apache-2.0 */
/* buf.h - a growing byte buffer that is created with its maximum.
 *
 * Appending beyond the maximum sets `full` and drops the bytes and all that follow; the caller
 * checks once at the end.
 */
#ifndef KR_BUF_H
#define KR_BUF_H

#include "cel/base/err.h"
#include "cel/base/mem.h"

KR_C_BEGIN

struct kr_buf {
    char *s;
    size_t n;   /* bytes in use; s[n] is NUL whenever s is not NULL */
    size_t max; /* limit in bytes */
    bool full;  /* something did not fit */

    size_t cap;
    struct kr_arena *a; /* where the memory lives; NULL: it is owned */
};

#define KR_BUF(max_bytes)                                                                          \
    {                                                                                              \
        .max = (max_bytes)                                                                         \
    }
#define KR_BUF_IN(arena, max_bytes)                                                                \
    {                                                                                              \
        .max = (max_bytes), .a = (arena)                                                           \
    }
void kr_buf_init(struct kr_buf *b, size_t max_bytes);
void kr_buf_fini(struct kr_buf *b);
void kr_buf_reset(struct kr_buf *b); /* n = 0, keeps the memory */
void kr_buf_add(struct kr_buf *b, const void *bytes, size_t n);
static inline void kr_buf_str(struct kr_buf *b, kr_str s)
{
    kr_buf_add(b, s.s, s.n);
}
static inline void kr_buf_chr(struct kr_buf *b, char c)
{
    if (__builtin_expect(b->n + 1 >= b->cap || b->full, 0)) {
        kr_buf_add(b, &c, 1);
        return;
    }
    b->s[b->n++] = c;
    b->s[b->n] = 0;
}
void kr_buf_fmt(struct kr_buf *b, const char *fmt, ...) KR_PRINTF(2, 3);
/* Makes room for n bytes behind the used ones and returns where (zeroed); NULL when over max. The
 * caller adds what it wrote to b->n. */
char *kr_buf_room(struct kr_buf *b, size_t n);
static inline kr_str kr_buf_view(const struct kr_buf *b) /* borrowed until the next append */
{
    return (kr_str){b->s, b->n};
}

/* Reads a whole file. KR_E_INPUT when absent or unreadable, KR_E_LIMIT when over max; the text
 * names the path. */
KR_MUST int kr_buf_read_file(struct kr_buf *b, const char *path, struct kr_err *err);

KR_C_END

#endif
