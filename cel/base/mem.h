/* SPDX-License-Identifier: Apache-2.0 */
/* mem.h - the three lifetimes of memory: arena, owned, counted.
 *
 * Allocation does not fail: it aborts with a message, so callers never check. What grows is
 * created with its maximum instead (buf.h, json.h, ...).
 *
 * An arena hands out memory that is freed all at once. In the dev build (KR_DEV) every piece is a
 * malloc of its own, so that the address sanitizer sees each overrun and each use after reset.
 */
#ifndef KR_MEM_H
#define KR_MEM_H

#include <stddef.h>
#include <stdint.h>

#include "cel/base/str.h"

KR_C_BEGIN

#define KR_MUST __attribute__((warn_unused_result))
#define KR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define KR_API __attribute__((visibility("default")))

/* States what the code itself guarantees; on in every build. Never about foreign input. */
#define KR_ASSERT(cond) ((cond) ? (void)0 : kr_assert_failed(#cond, __FILE__, __LINE__))
#ifdef KR_DEV
#define KR_DEBUG(cond) KR_ASSERT(cond)
#else
#define KR_DEBUG(cond) ((void)0)
#endif
__attribute__((noreturn)) void kr_assert_failed(const char *cond, const char *file, int line);

/* The struct that embeds a member (container_of). */
#define KR_OWNER(ptr, type, member)                                                                \
    ((type *)(void *)((char *)(1 ? (ptr) : &((type *)0)->member) - offsetof(type, member)))
#define KR_N(array) (sizeof(array) / sizeof((array)[0]))

/* Scope ends: a local with KR_AUTO(kr_buf) is finished by kr_buf_fini(&local), one with
 * KR_AUTO_PTR(kube_config) is freed by kube_config_free(local). KR_MOVE takes a pointer out. */
#define KR_AUTO(type) __attribute__((cleanup(type##_fini))) struct type
#define KR_AUTO_PTR(type) __attribute__((cleanup(type##_freep))) struct type *
#define KR_MOVE(ptr)                                                                               \
    __extension__({                                                                                \
        __typeof__(ptr) moved_ = (ptr);                                                            \
        (ptr) = NULL;                                                                              \
        moved_;                                                                                    \
    })
/* Defines x_freep for KR_AUTO_PTR(x), given x_free. */
#define KR_DEFINE_FREEP(type)                                                                      \
    __attribute__((unused)) static inline void type##_freep(struct type **p)                       \
    {                                                                                              \
        type##_free(*p);                                                                           \
    }

/* Owned memory: zeroed, aborts instead of failing; freed with kr_free (accepts NULL). */
void *kr_alloc(size_t bytes);
void *kr_realloc(void *p, size_t bytes); /* the grown part is not zeroed */
char *kr_cstrdup(kr_str s);              /* returns owned, NUL-terminated */
void kr_free(void *p);
#define KR_ALLOC(type) ((type *)kr_alloc(sizeof(type)))

/* Number of kr_alloc/kr_realloc and arena chunk allocations so far in this thread: tests assert
 * on differences of it. */
uint64_t kr_alloc_count(void);
uint64_t kr_arena_chunk_count(void); /* those of them that were arena chunks */

enum {
    KR_ARENA_CHUNK = 1024 - 16, /* first chunk; the next ones double. With its header it is what
                                       * malloc hands out fastest */
    KR_ARENA_CHUNK_MAX = 1024 * 1024, /* largest regular chunk */
};

/* An arena. Zero is a valid empty arena. */
struct kr_arena {
    size_t used_bytes; /* handed out since the last reset */
    size_t chunk_max; /* largest regular chunk; 0: KR_ARENA_CHUNK_MAX. Small: less is left unused in
                        * what lives long */

    struct kr_chunk *head; /* current chunk first */
    char *at, *end;
    struct kr_defer *defers; /* newest first */
};

void kr_arena_fini(struct kr_arena *a);
/* Forgets everything; keeps the largest regular chunk for the next use. */
void kr_arena_reset(struct kr_arena *a);
/* Calls fn(arg) when a is reset or finished, newest first: for objects of other libraries that live
 * as long as the arena's memory. */
void kr_arena_defer(struct kr_arena *a, void (*fn)(void *arg), void *arg);
/* Zeroed memory, aligned for any type; lives in a. bytes == 0 gives a valid pointer. */
void *kr_arena_alloc(struct kr_arena *a, size_t bytes);
/* The same without zeroing: for what is overwritten at once. */
void *kr_arena_raw(struct kr_arena *a, size_t bytes);
/* The same without zeroing and with alignment 1: for bytes of strings. */
char *kr_arena_bytes(struct kr_arena *a, size_t bytes);

#define kr_new(a, type) ((type *)kr_arena_alloc((a), sizeof(type)))
#define kr_new_n(a, type, n) ((type *)kr_arena_alloc((a), sizeof(type) * (size_t)(n)))
#define kr_raw_n(a, type, n) ((type *)kr_arena_raw((a), sizeof(type) * (size_t)(n)))

kr_str kr_strdup(struct kr_arena *a, kr_str s);    /* copy that lives in a; also NUL-terminated */
const char *kr_cstr(struct kr_arena *a, kr_str s); /* NUL-terminated copy that lives in a */
kr_str kr_dotted(struct kr_arena *a, kr_str x, kr_str y); /* "x.y" that lives in a */
kr_str kr_fmt(struct kr_arena *a, const char *fmt, ...)
    KR_PRINTF(2, 3); /* printf that lives in a */

KR_C_END

#endif
