/* SPDX-License-Identifier: Apache-2.0 */
/* mem.c - allocation that aborts instead of failing, and arenas.
 *
 *   arena -> head chunk [ header | used ... at | free ... end ] -> older chunks
 *
 * Small pieces are cut off the head chunk. A piece over a quarter of the largest regular chunk gets
 * a chunk of its own behind the head, so that it does not waste what is left there. In the dev
 * build every piece is such a chunk and nothing is kept by a reset: the address sanitizer sees it
 * all.
 */
#include "cel/base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cel/base/banned.h"
#include "cel/base/internal.h"

enum {
    ALIGN = 16,
    FMT_BYTES = 256, /* a formatted text up to this long is made in one go */
};

struct kr_chunk {
    struct kr_chunk *next;
    size_t bytes; /* of the data behind this header */
};

_Static_assert(sizeof(struct kr_chunk) % ALIGN == 0, "data behind the header is aligned");

static _Thread_local uint64_t alloc_n;
static _Thread_local uint64_t chunk_n;

void kr_assert_failed(const char *cond, const char *file, int line)
{
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, cond);
    abort();
}

_Noreturn static void out_of_memory(size_t bytes)
{
    fprintf(stderr, "out of memory (%zu bytes wanted)\n", bytes);
    abort();
}

void *kr_alloc(size_t bytes)
{
    void *p = calloc(1, bytes ? bytes : 1);

    if (!p)
        out_of_memory(bytes);
    alloc_n++;
    return p;
}

void *kr_realloc(void *p, size_t bytes)
{
    void *grown = realloc(p, bytes ? bytes : 1);

    if (!grown)
        out_of_memory(bytes);
    alloc_n++;
    return grown;
}

char *kr_cstrdup(kr_str s)
{
    char *copy = kr_realloc(NULL, s.n + 1);

    if (s.n)
        memcpy(copy, s.s, s.n);
    copy[s.n] = 0;
    return copy;
}

void kr_free(void *p)
{
    free(p);
}

uint64_t kr_alloc_count(void)
{
    return alloc_n;
}

uint64_t kr_arena_chunk_count(void)
{
    return chunk_n;
}

static struct kr_chunk *chunk_new(size_t bytes)
{
    struct kr_chunk *c;

    if (bytes > SIZE_MAX - sizeof(*c))
        out_of_memory(bytes);
    c = kr_realloc(NULL, sizeof(*c) + bytes);
    c->next = NULL;
    c->bytes = bytes;
    chunk_n++;
    return c;
}

static char *chunk_data(struct kr_chunk *c)
{
    return (char *)(c + 1);
}

static void chunks_free(struct kr_chunk *c)
{
    while (c) {
        struct kr_chunk *next = c->next;

        kr_free(c);
        c = next;
    }
}

struct kr_defer {
    struct kr_defer *next;
    void (*fn)(void *arg);
    void *arg;
};

void kr_arena_defer(struct kr_arena *a, void (*fn)(void *arg), void *arg)
{
    struct kr_defer *d = kr_new(a, struct kr_defer);

    *d = (struct kr_defer){.next = a->defers, .fn = fn, .arg = arg};
    a->defers = d;
}

static void run_defers(struct kr_arena *a)
{
    for (struct kr_defer *d = a->defers; d; d = d->next)
        d->fn(d->arg);
    a->defers = NULL;
}

void kr_arena_fini(struct kr_arena *a)
{
    run_defers(a);
    chunks_free(a->head);
    *a = (struct kr_arena){0};
}

/* A chunk for one piece, behind the head. */
static char *piece_alone(struct kr_arena *a, size_t bytes)
{
    struct kr_chunk *c = chunk_new(bytes);

    if (a->head) {
        c->next = a->head->next;
        a->head->next = c;
    } else {
        a->head = c;
        a->at = a->end = chunk_data(c) + bytes;
    }
    return chunk_data(c);
}

#ifdef KR_DEV

static char *arena_take(struct kr_arena *a, size_t bytes, size_t align)
{
    (void)align;
    a->used_bytes += bytes;
    return piece_alone(a, bytes);
}

void kr_arena_reset(struct kr_arena *a)
{
    kr_arena_fini(a);
}

#else

static size_t chunk_max(const struct kr_arena *a)
{
    return a->chunk_max ? a->chunk_max : KR_ARENA_CHUNK_MAX;
}

static void arena_grow(struct kr_arena *a, size_t bytes)
{
    size_t size = a->head ? 2 * a->head->bytes : KR_ARENA_CHUNK;
    struct kr_chunk *c;

    if (size > chunk_max(a))
        size = chunk_max(a);
    while (size < bytes)
        size *= 2;
    c = chunk_new(size);
    c->next = a->head;
    a->head = c;
    a->at = chunk_data(c);
    a->end = a->at + size;
}

static char *arena_take_slow(struct kr_arena *a, size_t bytes)
{
    char *p;

    if (bytes > chunk_max(a) / 4)
        return piece_alone(a, bytes);
    arena_grow(a, bytes);
    p = a->at;
    a->at += bytes;
    return p;
}

/* Inlined, so that the alignment is a constant. */
__attribute__((always_inline)) static inline char *arena_take(struct kr_arena *a, size_t bytes,
                                                              size_t align)
{
    size_t pad = -(uintptr_t)a->at & (align - 1);
    size_t left = (size_t)(a->end - a->at);
    char *p;

    a->used_bytes += bytes;
    if (__builtin_expect(left < pad || left - pad < bytes, 0))
        return arena_take_slow(a, bytes);
    p = a->at + pad;
    a->at = p + bytes;
    return p;
}

static void reset_slow(struct kr_arena *a)
{
    struct kr_chunk *keep = NULL;

    run_defers(a);
    for (struct kr_chunk *c = a->head; c; c = c->next) {
        if (c->bytes <= KR_ARENA_CHUNK_MAX && (!keep || c->bytes > keep->bytes))
            keep = c;
    }
    for (struct kr_chunk *c = a->head, *next; c; c = next) {
        next = c->next;
        if (c != keep)
            kr_free(c);
    }
    *a = (struct kr_arena){.head = keep, .chunk_max = a->chunk_max};
    if (keep) {
        keep->next = NULL;
        a->at = chunk_data(keep);
        a->end = a->at + keep->bytes;
    }
}

void kr_arena_reset(struct kr_arena *a)
{
    struct kr_chunk *c = a->head;

    if (!a->used_bytes)
        return; /* nothing was taken since the last time */
    if (!c || c->next || a->defers || c->bytes > KR_ARENA_CHUNK_MAX) {
        reset_slow(a);
        return;
    }
    a->used_bytes = 0;
    a->at = chunk_data(c);
    a->end = a->at + c->bytes;
}

#endif

void *kr_arena_raw(struct kr_arena *a, size_t bytes)
{
    return arena_take(a, bytes ? bytes : 1, ALIGN);
}

void *kr_arena_alloc(struct kr_arena *a, size_t bytes)
{
    return memset(kr_arena_raw(a, bytes), 0, bytes);
}

char *kr_arena_bytes(struct kr_arena *a, size_t bytes)
{
    return arena_take(a, bytes ? bytes : 1, 1);
}

kr_str kr_strdup(struct kr_arena *a, kr_str s)
{
    char *copy = kr_arena_bytes(a, s.n + 1);

    if (s.n)
        memcpy(copy, s.s, s.n);
    copy[s.n] = 0;
    return (kr_str){copy, s.n};
}

const char *kr_cstr(struct kr_arena *a, kr_str s)
{
    return kr_strdup(a, s).s;
}

kr_str kr_dotted(struct kr_arena *a, kr_str x, kr_str y)
{
    char *s = kr_arena_bytes(a, x.n + 1 + y.n);

    if (x.n)
        memcpy(s, x.s, x.n);
    s[x.n] = '.';
    if (y.n)
        memcpy(s + x.n + 1, y.s, y.n);
    return (kr_str){s, x.n + 1 + y.n};
}

kr_str kr_fmt(struct kr_arena *a, const char *fmt, ...)
{
    char small[FMT_BYTES];
    va_list ap;
    va_list again;
    int n;
    char *s;

    va_start(ap, fmt);
    va_copy(again, ap);
    n = kr__format(small, sizeof(small), fmt, ap);
    va_end(ap);
    KR_ASSERT(n >= 0);
    s = kr_arena_bytes(a, (size_t)n + 1);
    if ((size_t)n < sizeof(small))
        memcpy(s, small, (size_t)n + 1);
    else
        kr__format(s, (size_t)n + 1, fmt, again);
    va_end(again);
    return (kr_str){s, (size_t)n};
}
