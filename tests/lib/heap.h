/* SPDX-License-Identifier: Apache-2.0 */
/* heap.h - counts what the whole process takes from the C library's heap. */
#ifndef TEST_HEAP_H
#define TEST_HEAP_H

#include <stdint.h>

/* malloc, calloc, realloc and C++ new so far, by whomever; link the library `testheap`. */
uint64_t test_heap_n(void);

#endif
