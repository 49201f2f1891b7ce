/* SPDX-License-Identifier: Apache-2.0 */
/* flat.h - a value as a row of bytes: a tenth of what it takes as items and pairs.
 *
 * For what is kept by the thousand and looked at rarely. What is read back stands in an arena and borrows
 * the bytes of its strings from the row. Keys, and texts directly below the root, are names of names.h;
 * texts that stand beside the row, and values that are shared with others, are written as numbers.
 */
#ifndef KR_FLAT_H
#define KR_FLAT_H

#include "cel/base/buf.h"
#include "cel/base/val.h"

enum { KR_FLAT_OWN_MAX = 8 };

/* What a row leans on. */
struct kr_flat {
    /* Texts beside the row. In write those of the same bytes (not only equal ones) are meant. */
    kr_str own[KR_FLAT_OWN_MAX];
    uint32_t own_n;
    /* The number of v among the shared values; negative: it is none. NULL: nothing is shared. */
    int32_t (*share)(void *arg, kr_val v, uint32_t depth);
    kr_val (*shared)(void *arg, uint32_t number);
    void *arg;
};

/* Appends v, of JSON's kinds; the root is at depth 0. */
void kr_flat_write(const struct kr_flat *f, kr_val v, struct kr_buf *out);
/* What write has made, in a. Bytes that it has not made are asserted on. */
kr_val kr_flat_read(const struct kr_flat *f, kr_str row, struct kr_arena *a);

#endif
