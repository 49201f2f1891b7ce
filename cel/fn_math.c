/* SPDX-License-Identifier: Apache-2.0 */
/* fn_math.c - cel-go's math and sets, which kro does not enable.
 *
 * Rows are guarded: arguments have the kinds that functions.def names, but for elements of lists
 * behind the first.
 *
 * Source: cel-go ext/{math,sets}.go.
 */
#include "cel/functions.h"

#include <math.h>

#include "cel/base/banned.h"

/* --- least and greatest ----------------------------------------------------------------------- */

/* wanted: the order of x and y in which y is taken. */
static int pick(struct cel__vm *vm, const char *name, int wanted, kr_val x, kr_val y, kr_val *out)
{
    int c = cel__compare(x, y);

    if (c == 2)
        return cel__raise(vm, "NaN values cannot be ordered: %s", name);
    if (c == 3)
        return cel__raise(vm, "no such overload: %s", name);
    *out = c == wanted ? y : x;
    return 0;
}

static int pick_of_list(struct cel__vm *vm, const char *name, int wanted, kr_val list, kr_val *out)
{
    kr_val best;

    if (!list.n)
        return cel__raise(vm, "%s(list) argument must not be empty", name);
    best = cel__item(vm, list, 0);
    for (uint32_t i = 1; i < list.n; i++) {
        if (pick(vm, name, wanted, best, cel__item(vm, list, i), &best) < 0)
            return cel__raise(vm, "no such overload: %s", name);
    }
    *out = best;
    return 0;
}

static int extreme(struct cel__vm *vm, const char *name, int wanted, const kr_val *args, uint32_t n,
                   kr_val *out)
{
    if (n == 2)
        return pick(vm, name, wanted, args[0], args[1], out);
    if (args[0].kind == KR_LIST)
        return pick_of_list(vm, name, wanted, args[0], out);
    *out = args[0];
    return 0;
}

int fn_math_min(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return extreme(vm, "math.@min", 1, args, n, out);
}

int fn_math_max(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return extreme(vm, "math.@max", -1, args, n, out);
}

/* --- one double ------------------------------------------------------------------------------- */

int fn_math_ceil(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    *out = kr_double(ceil(args[0].d));
    return 0;
}

int fn_math_floor(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    *out = kr_double(floor(args[0].d));
    return 0;
}

int fn_math_round(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    *out = kr_double(round(args[0].d));
    return 0;
}

int fn_math_trunc(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    *out = kr_double(trunc(args[0].d));
    return 0;
}

int fn_math_is_inf(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    *out = kr_bool(isinf(args[0].d));
    return 0;
}

int fn_math_is_nan(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    *out = kr_bool(isnan(args[0].d));
    return 0;
}

int fn_math_is_finite(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    *out = kr_bool(isfinite(args[0].d));
    return 0;
}

/* --- any number ------------------------------------------------------------------------------- */

int fn_math_abs(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    *out = args[0];
    if (out->kind == KR_DOUBLE)
        out->d = fabs(out->d);
    if (out->kind != KR_INT || out->i >= 0)
        return 0;
    if (out->i == INT64_MIN)
        return cel__raise(vm, "integer overflow");
    out->i = -out->i;
    return 0;
}

int fn_math_sign(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    kr_val v = args[0];

    if (v.kind == KR_DOUBLE)
        *out = isnan(v.d) ? v : kr_double((double)((v.d > 0) - (v.d < 0)));
    else
        *out = v.kind == KR_INT ? kr_int((v.i > 0) - (v.i < 0)) : kr_uint(v.u > 0);
    return 0;
}

int fn_math_sqrt(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    kr_val v = args[0];

    *out = kr_double(sqrt(v.kind == KR_DOUBLE ? v.d
                          : v.kind == KR_INT  ? (double)v.i
                                              : (double)v.u));
    return 0;
}

/* --- bits: int and uint share their bytes ----------------------------------------------------- */

static int give_bits(kr_val *out, kr_val like, uint64_t bits)
{
    *out = like.kind == KR_INT ? kr_int((int64_t)bits) : kr_uint(bits);
    return 0;
}

int fn_math_bit_and(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return give_bits(out, args[0], args[0].u & args[1].u);
}

int fn_math_bit_or(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return give_bits(out, args[0], args[0].u | args[1].u);
}

int fn_math_bit_xor(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return give_bits(out, args[0], args[0].u ^ args[1].u);
}

int fn_math_bit_not(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return give_bits(out, args[0], ~args[0].u);
}

int fn_math_shift_left(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    if (args[1].i < 0)
        return cel__raise(vm, "math.bitShiftLeft() negative offset: %lld", (long long)args[1].i);
    return give_bits(out, args[0], args[1].i > 63 ? 0 : args[0].u << args[1].i);
}

int fn_math_shift_right(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    if (args[1].i < 0)
        return cel__raise(vm, "math.bitShiftRight() negative offset: %lld", (long long)args[1].i);
    return give_bits(out, args[0], args[1].i > 63 ? 0 : args[0].u >> args[1].i);
}

/* --- sets ------------------------------------------------------------------------------------- */

/* Is every element of sub in list? *out: true, false, or the first that cannot be told fails. */
static int contains_all(struct cel__vm *vm, kr_val list, kr_val sub, kr_val *out)
{
    *out = kr_bool(true);
    for (uint32_t i = 0; i < sub.n && kr_is_true(*out); i++)
        KR_TRY(cel__in(vm, cel__item(vm, sub, i), list, out));
    return 0;
}

int fn_sets_contains(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return contains_all(vm, args[0], args[1], out);
}

int fn_sets_equivalent(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    KR_TRY(contains_all(vm, args[0], args[1], out));
    return kr_is_true(*out) ? contains_all(vm, args[1], args[0], out) : 0;
}

int fn_sets_intersects(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    *out = kr_bool(false);
    for (uint32_t i = 0; i < args[0].n && !kr_is_true(*out); i++) {
        int rc = cel__in(vm, cel__item(vm, args[0], i), args[1], out);

        if (rc == KR_E_LIMIT)
            return rc;
        if (rc < 0) /* elements that cannot be compared are not in common */
            *out = kr_bool(false);
    }
    return 0;
}
