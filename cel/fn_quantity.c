/* SPDX-License-Identifier: Apache-2.0 */
/* fn_quantity.c - Kubernetes' quantity functions.
 *
 * Source: k8s.io/apiserver pkg/cel/library/quantity.go; reference section 13.4.
 */
#include "cel/functions.h"
#include "cel/quantity.h"

#include "cel/base/banned.h"

static const struct cel__quantity *of(kr_val v)
{
    return (const struct cel__quantity *)(const void *)v.obj;
}

static int give(kr_val *out, const struct cel__quantity *q)
{
    *out = (kr_val){.kind = KR_OPAQUE, .obj = &q->head};
    return 0;
}

int fn_quantity(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    struct cel__quantity *q = kr_raw_n(vm->a, struct cel__quantity, 1);
    const char *wrong = cel__quantity_parse(kr_text(args[0]), q);

    return wrong ? cel__raise(vm, "%s", wrong) : give(out, q);
}

int fn_is_quantity(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    struct cel__quantity q;

    *out = kr_bool(cel__quantity_parse(kr_text(args[0]), &q) == NULL);
    return 0;
}

int fn_quantity_is_integer(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    int64_t i;

    *out = kr_bool(cel__quantity_int(of(args[0]), &i));
    return 0;
}

int fn_quantity_as_integer(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    int64_t i;

    if (!cel__quantity_int(of(args[0]), &i))
        return cel__raise(vm, "cannot convert value to integer");
    *out = kr_int(i);
    return 0;
}

int fn_quantity_as_float(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    *out = kr_double(cel__quantity_double(of(args[0])));
    return 0;
}

int fn_quantity_sign(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    *out = kr_int(cel__quantity_sign(of(args[0])));
    return 0;
}

static int add(struct cel__vm *vm, const kr_val *args, bool minus, kr_val *out)
{
    struct cel__quantity *sum = kr_new(vm->a, struct cel__quantity);
    struct cel__quantity i;
    const struct cel__quantity *y = &i;

    if (args[1].kind == KR_INT)
        cel__quantity_of_int(args[1].i, &i);
    else
        y = of(args[1]);
    if (!cel__quantity_add(of(args[0]), y, minus, sum))
        return cel__raise(vm, "quantity has more than %d digits", CEL__QUANTITY_DIGITS_MAX);
    return give(out, sum);
}

int fn_quantity_add(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return add(vm, args, false, out);
}

int fn_quantity_sub(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return add(vm, args, true, out);
}

int fn_quantity_compare(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    *out = kr_int(cel__quantity_compare(of(args[0]), of(args[1])));
    return 0;
}

int fn_quantity_greater(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    *out = kr_bool(cel__quantity_compare(of(args[0]), of(args[1])) > 0);
    return 0;
}

int fn_quantity_less(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    *out = kr_bool(cel__quantity_compare(of(args[0]), of(args[1])) < 0);
    return 0;
}
