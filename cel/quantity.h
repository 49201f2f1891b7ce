/* SPDX-License-Identifier: Apache-2.0 */
/* quantity.h - Kubernetes' resource quantities: exact decimals with SI or binary suffixes.
 *
 * A quantity is a decimal of any size. Kubernetes holds small ones as (int64 value, decimal scale)
 * and others as big decimals, and lets that show: only the former can be integers. Both are kept.
 *
 * Source: k8s.io/apimachinery pkg/api/resource.
 */
#ifndef CEL_QUANTITY_H
#define CEL_QUANTITY_H

#include "cel/internal.h"

enum {
    CEL__BIG_LIMBS = 96,            /* nine digits each */
    CEL__QUANTITY_DIGITS_MAX = 400, /* digits of one quantity */
};

struct cel__big {
    uint32_t n; /* limbs in use, base 10^9, least first; 0: zero */
    uint32_t v[CEL__BIG_LIMBS];
};

enum cel__quantity_format { CEL__Q_DECIMAL, CEL__Q_BINARY, CEL__Q_EXPONENT };

struct cel__quantity {
    struct kr_opaque head;
    uint8_t format;
    bool negative;
    bool small;    /* held as (value, small_scale) */
    bool sum;      /* made by add or sub */
    int32_t scale; /* value = +-digits * 10^scale */
    int32_t small_scale;
    int64_t value;
    struct cel__big digits;
};

extern const struct kr_opaque_type cel__quantity_type;

/* Returns NULL, or what is wrong: static text. */
const char *cel__quantity_parse(kr_str s, struct cel__quantity *out);
void cel__quantity_of_int(int64_t i, struct cel__quantity *out);
int cel__quantity_sign(const struct cel__quantity *q);
int cel__quantity_compare(const struct cel__quantity *x, const struct cel__quantity *y);
/* *out = x + y, or x - y. False: more digits than the limit. */
bool cel__quantity_add(const struct cel__quantity *x, const struct cel__quantity *y, bool minus,
                       struct cel__quantity *out);
bool cel__quantity_int(const struct cel__quantity *q, int64_t *out);
double cel__quantity_double(const struct cel__quantity *q);
kr_str cel__quantity_text(struct kr_arena *a, const struct cel__quantity *q); /* canonical form */

#endif
