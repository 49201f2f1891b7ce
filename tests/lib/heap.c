/* SPDX-License-Identifier: Apache-2.0 */
/* heap.c - a counter in front of the C library's allocator.
 *
 * With the address sanitizer, which has its own allocator, its hook counts; else the three functions
 * are defined here and pass on to glibc's own names for them.
 */
#include "tests/lib/heap.h"

#include <stddef.h>
#include <stdlib.h>

static _Thread_local uint64_t heap_n;

uint64_t test_heap_n(void)
{
    return heap_n;
}

#ifdef __SANITIZE_ADDRESS__

/* As <sanitizer/allocator_interface.h> declares it, which not every compiler package brings. */
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
                                              void (*on_free)(const volatile void *));

static void on_malloc(const volatile void *p, size_t bytes)
{
    heap_n++;
}

static void on_free(const volatile void *p)
{
}

__attribute__((constructor)) static void install(void)
{
    __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
}

#else

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t n, size_t bytes);
extern void *__libc_realloc(void *p, size_t bytes);

__attribute__((visibility("default"))) void *malloc(size_t bytes)
{
    heap_n++;
    return __libc_malloc(bytes);
}

__attribute__((visibility("default"))) void *calloc(size_t n, size_t bytes)
{
    heap_n++;
    return __libc_calloc(n, bytes);
}

__attribute__((visibility("default"))) void *realloc(void *p, size_t bytes)
{
    heap_n++;
    return __libc_realloc(p, bytes);
}

#endif
