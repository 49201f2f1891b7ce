/* SPDX-License-Identifier: Apache-2.0 */
/* opaque.c - the list of library types, and kro's own: conditions, and the receiver of the functions
 * that make them. */
#include "cel/quantity.h"

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

static uint64_t condition_bytes(const struct kr_opaque *x)
{
    const struct cel__condition *c = (const struct cel__condition *)(const void *)x;

    return c->type.n + c->status.n + c->reason.n + c->message.n;
}

const struct kr_opaque_type cel__condition_type = {
    .name = "kro.run.Condition", .equal = condition_equal, .bytes = condition_bytes};
const struct kr_opaque_type cel__runtime_type = {.name = "kro.run.Runtime", .equal = runtime_equal};
const struct kr_opaque cel__runtime = {.type = &cel__runtime_type};

const struct kr_opaque_type *cel__opaque_type(kr_str name)
{
    static const struct kr_opaque_type *const types[] = {
        &cel__quantity_type, &cel__ip_type,    &cel__cidr_type,      &cel__url_type,
        &cel__semver_type,   &cel__named_type, &cel__condition_type, &cel__runtime_type,
    };

    for (size_t i = 0; i < KR_N(types); i++) {
        if (kr_str_eq(name, kr_str_c(types[i]->name)))
            return types[i];
    }
    return NULL;
}
