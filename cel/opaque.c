/* SPDX-License-Identifier: Apache-2.0 */
/* opaque.c - kro's own types: conditions, and the receiver of the functions that make them. */
#include "cel/internal.h"

#include "cel/base/banned.h"

static bool condition_equal(const struct kr_opaque *x, const struct kr_opaque *y)
{
    const struct cel__condition *a = (const struct cel__condition *)(const void *)x;
    const struct cel__condition *b = (const struct cel__condition *)(const void *)y;

    return kr_str_eq(a->type, b->type) && kr_str_eq(a->status, b->status) &&
           kr_str_eq(a->reason, b->reason) && kr_str_eq(a->message, b->message);
}

static bool runtime_equal(const struct kr_opaque *x, const struct kr_opaque *y)
{
    return x == y;
}

const struct kr_opaque_type cel__condition_type = {.name = "kro.run.Condition",
                                                   .equal = condition_equal};
const struct kr_opaque_type cel__runtime_type = {.name = "kro.run.Runtime", .equal = runtime_equal};
const struct kr_opaque cel__runtime = {.type = &cel__runtime_type};
