/* SPDX-License-Identifier: Apache-2.0 */
/* fn_std.c - the standard library but time: size, conversions, string tests, matches; optionals.
 *
 * A function gets arguments of the kinds its row in functions.def names if the row is guarded;
 * otherwise it looks itself and answers "no such overload".
 *
 * Source: cel-go common/stdlib, common/types, cel/library.go (optional types); reference 10, 12.
 */
#include "cel/functions.h"

#include <math.h>

#include "cel/base/num.h"
#include "cel/base/time.h"
#include "cel/base/utf8.h"
#include "cel/regex.h"
#include "cel/text.h"

#include "cel/base/banned.h"

#define STRINGS(n)                                                                                 \
    do {                                                                                           \
        for (uint32_t i_ = 0; i_ < (n); i_++) {                                                    \
            if (args[i_].kind != KR_STRING)                                                        \
                return cel__no_overload(vm);                                                       \
        }                                                                                          \
    } while (0)

static int give_string(kr_val *out, kr_str s)
{
    *out = kr_string(s);
    return 0;
}

static int give_int(kr_val *out, int64_t i)
{
    *out = kr_int(i);
    return 0;
}

static int give_bool(kr_val *out, bool b)
{
    *out = kr_bool(b);
    return 0;
}

static int conversion_error(struct cel__vm *vm, const char *from, const char *to)
{
    return cel__raise(vm, "type conversion error from '%s' to '%s'", from, to);
}

/* --- size, dyn, type -------------------------------------------------------------------------- */

int fn_size(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    switch (args[0].kind) {
    case KR_STRING:
        if (args[0].flags & KR_F_ASCII)
            return give_int(out, args[0].n);
        KR_TRY(cel__charge(vm, cel__look(args[0].n)));
        return give_int(out, (int64_t)kr_utf8_count(kr_text(args[0])));
    case KR_BYTES:
    case KR_LIST:
    case KR_MAP:
        return give_int(out, args[0].n);
    case KR_TIMESTAMP:
    case KR_DURATION:
        return cel__no_overload(vm);
    }
    return cel__raise(vm, "no such overload: size");
}

int fn_same(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    *out = args[0];
    return 0;
}

int fn_type(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    kr_str name = cel__type_name(args[0]);

    *out = (kr_val){.kind = KR_TYPE, .n = (uint32_t)name.n, .s = name.s};
    return 0;
}

/* --- strings ---------------------------------------------------------------------------------- */

int fn_contains(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    STRINGS(2);
    return give_bool(out, kr_str_find(kr_text(args[0]), kr_text(args[1])) >= 0);
}

int fn_starts_with(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    STRINGS(2);
    KR_TRY(cel__charge(vm, cel__look(args[1].n)));
    return give_bool(out, kr_str_starts(kr_text(args[0]), kr_text(args[1])));
}

int fn_ends_with(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    STRINGS(2);
    KR_TRY(cel__charge(vm, cel__look(args[1].n)));
    return give_bool(out, kr_str_ends(kr_text(args[0]), kr_text(args[1])));
}

void cel__regex_use_fini(struct cel__regex_use *u)
{
    if (u->owned)
        cel__regex_free(u->owned);
}

/* A pattern that turns out too large has cost as much as the largest, for its length. */
int cel__regex_get(struct cel__vm *vm, kr_val pattern, const char *prefix,
                   struct cel__regex_use *out)
{
    char wrong[CEL__REGEX_ERR_MAX];

    *out = (struct cel__regex_use){0};
    if (vm->call && vm->call->regex) {
        out->re = vm->call->regex;
        return 0;
    }
    KR_TRY(cel__charge(vm, 100 + pattern.n));
    out->re = out->owned = cel__regex_new(pattern.s, pattern.n, wrong);
    KR_TRY(cel__charge(vm, out->re ? cel__regex_size(out->re) : (uint64_t)pattern.n * 64));
    return out->re ? 0 : cel__raise(vm, "%s%s", prefix, wrong);
}

int cel__regex_pay(struct cel__vm *vm, const struct cel__regex *re, uint64_t n)
{
    return cel__charge(vm, n * cel__regex_size(re) / 64);
}

int fn_matches(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    KR_AUTO(cel__regex_use) u = {0};

    if (args[0].kind != KR_STRING && args[0].kind != KR_TIMESTAMP && args[0].kind != KR_DURATION)
        return cel__raise(vm, "no such overload: matches");
    STRINGS(2);
    KR_TRY(cel__regex_get(vm, args[1], "", &u));
    KR_TRY(cel__regex_pay(vm, u.re, args[0].n));
    return give_bool(out, cel__regex_find(u.re, args[0].s, args[0].n, 0, NULL, NULL));
}

/* --- conversions ------------------------------------------------------------------------------ */

int fn_bool_string(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};

    for (size_t i = 0; i < KR_N(yes); i++) {
        if (kr_is_str(args[0], kr_str_c(yes[i])))
            return give_bool(out, true);
        if (kr_is_str(args[0], kr_str_c(no[i])))
            return give_bool(out, false);
    }
    return conversion_error(vm, "string", "bool");
}

int fn_bytes_string(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    *out = cel__bytes(kr_text(args[0]));
    return 0;
}

int fn_double_int(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    *out = kr_double((double)args[0].i);
    return 0;
}

int fn_double_uint(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    *out = kr_double((double)args[0].u);
    return 0;
}

int fn_double_string(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    double d;

    if (!cel__parse_double(kr_text(args[0]), &d))
        return conversion_error(vm, "string", "double");
    *out = kr_double(d);
    return 0;
}

int fn_int_double(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    if (!(args[0].d > -0x1p63 && args[0].d < 0x1p63))
        return cel__raise(vm, "integer overflow");
    return give_int(out, (int64_t)args[0].d);
}

int fn_int_duration(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return give_int(out, args[0].i);
}

int fn_int_timestamp(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return give_int(out, args[0].i);
}

int fn_int_uint(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    if (args[0].u > INT64_MAX)
        return cel__raise(vm, "integer overflow");
    return give_int(out, args[0].i);
}

int fn_int_string(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    int64_t i;

    if (!cel__parse_int(kr_text(args[0]), &i))
        return conversion_error(vm, "string", "int");
    return give_int(out, i);
}

int fn_uint_double(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    if (!(args[0].d >= 0 && args[0].d < 0x1p64))
        return cel__raise(vm, "unsigned integer overflow");
    *out = kr_uint((uint64_t)args[0].d);
    return 0;
}

int fn_uint_int(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    if (args[0].i < 0)
        return cel__raise(vm, "unsigned integer overflow");
    *out = kr_uint(args[0].u);
    return 0;
}

int fn_uint_string(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    uint64_t u;

    if (!cel__parse_uint(kr_text(args[0]), &u))
        return conversion_error(vm, "string", "uint");
    *out = kr_uint(u);
    return 0;
}

int fn_string_bool(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return give_string(out, args[0].b ? KR_S("true") : KR_S("false"));
}

int fn_string_bytes(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    if (!kr_utf8_valid(kr_text(args[0])))
        return cel__raise(vm, "invalid UTF-8 in bytes, cannot convert to string");
    return give_string(out, kr_text(args[0]));
}

int fn_string_double(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return give_string(out, cel__double_text(vm->a, args[0].d));
}

int fn_string_duration(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return give_string(out, cel__duration_text(vm->a, args[0].i));
}

int fn_string_int(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    char text[KR_NUM_TEXT_MAX];

    return give_string(out, kr_strdup(vm->a, (kr_str){text, kr_num_i64(args[0].i, text)}));
}

int fn_string_uint(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    char text[KR_NUM_TEXT_MAX];

    return give_string(out, kr_strdup(vm->a, (kr_str){text, kr_num_u64(args[0].u, text)}));
}

int fn_string_timestamp(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return give_string(out, cel__timestamp_text(vm->a, args[0]));
}

int fn_duration_string(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    int64_t nanos;

    if (!kr_duration_parse(kr_text(args[0]), &nanos))
        return conversion_error(vm, "string", "google.protobuf.Duration");
    *out = cel__duration(nanos);
    return 0;
}

int fn_timestamp_int(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    if (args[0].i < CEL__SECONDS_MIN || args[0].i > CEL__SECONDS_MAX)
        return cel__raise(vm, "timestamp overflow");
    *out = cel__timestamp(args[0].i, 0, 0);
    return 0;
}

int fn_timestamp_string(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    int64_t seconds;
    uint32_t nanos;
    int16_t zone;
    const char *wrong = cel__parse_timestamp(vm->a, kr_text(args[0]), &seconds, &nanos, &zone);

    if (wrong)
        return cel__raise(vm, "%s", wrong);
    *out = cel__timestamp(seconds, nanos, zone);
    return 0;
}

/* --- optionals -------------------------------------------------------------------------------- */

int fn_optional_of(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    *out = cel__opt_of(vm->a, args[0]);
    return 0;
}

int fn_optional_non_zero(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    *out = cel__is_zero(args[0]) ? CEL__OPT_NONE : cel__opt_of(vm->a, args[0]);
    return 0;
}

int fn_optional_none(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    *out = CEL__OPT_NONE;
    return 0;
}

int fn_optional_value(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    if (!args[0].ref)
        return cel__raise(vm, "optional.none() dereference");
    *out = *args[0].ref;
    return 0;
}

int fn_optional_has_value(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return give_bool(out, args[0].ref != NULL);
}

static int edge_item(struct cel__vm *vm, kr_val list, uint32_t i, kr_val *out)
{
    kr_val v;

    if (!list.n) {
        *out = CEL__OPT_NONE;
        return 0;
    }
    v = cel__item(vm, list, i);
    if (v.kind == KR_ERROR)
        return cel__raise_val(vm, v);
    *out = cel__opt_of(vm->a, v);
    return 0;
}

int fn_first(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return edge_item(vm, args[0], 0, out);
}

int fn_last(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return edge_item(vm, args[0], args[0].n - 1, out);
}

int fn_unwrap(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    kr_val *items = kr_new_n(vm->a, kr_val, args[0].n);
    uint32_t kept = 0;

    for (uint32_t i = 0; i < args[0].n; i++) {
        kr_val v = cel__item(vm, args[0], i);

        if (v.kind != KR_OPTIONAL)
            return cel__raise(vm, "value " KR_FMT " is not optional", KR_ARG(cel__print(vm->a, v)));
        if (v.ref)
            items[kept++] = *v.ref;
    }
    *out = kr_list(items, kept);
    return 0;
}
