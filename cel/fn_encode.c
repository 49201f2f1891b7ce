/* SPDX-License-Identifier: Apache-2.0 */
/* fn_encode.c - base64 and protobuf's JSON.
 *
 * json.encode follows protobuf's rules, not kro's: integers that a double cannot hold become
 * strings, bytes base64, durations "1s".
 *
 * Source: cel-go ext/encoders.go, common/types; protobuf JSON mapping.
 */
#include "cel/functions.h"

#include "cel/base/digest.h"
#include "cel/base/json.h"
#include "cel/text.h"

#include "cel/base/banned.h"

int fn_base64_encode(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    kr_str s = {args[0].s, args[0].n};

    *out = cel__str(vm->a, kr_base64_encode(vm->a, s, KR_BASE64_STD));
    return 0;
}

int fn_base64_decode(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    kr_str bytes;
    size_t bad;

    if (!cel__base64_decode(vm->a, kr_text(args[0]), false, true, &bytes, &bad) &&
        !cel__base64_decode(vm->a, kr_text(args[0]), false, false, &bytes, &bad))
        return cel__raise(vm, "illegal base64 data at input byte %zu", bad);
    *out = cel__bytes(bytes);
    return 0;
}

/* --- json.encode ------------------------------------------------------------------------------ */

#define EXACT_MAX ((INT64_C(1) << 53) - 1)

static int proto_json(struct cel__vm *vm, kr_val v, kr_val *out);

/* Raises what cel-go says of a value that has no form as the Go type. */
static int unconvertible(struct cel__vm *vm, kr_val v, const char *to)
{
    static const char *const from[KR_KIND_N] = {
        [KR_NULL] = "from 'null_type'",    [KR_BOOL] = "from bool",
        [KR_DOUBLE] = "from Double",       [KR_BYTES] = "from Bytes",
        [KR_LIST] = "from list",           [KR_MAP] = "from map",
        [KR_DURATION] = "from 'Duration'", [KR_TIMESTAMP] = "from 'Timestamp'",
    };
    kr_str type = cel__type_name(v);

    if (v.kind == KR_INT || v.kind == KR_UINT)
        return cel__raise(vm, "unsupported type conversion from '" KR_FMT "' to %s", KR_ARG(type),
                          to);
    if (v.kind == KR_TYPE)
        return cel__raise(vm, "type conversion not supported for 'type'");
    if (v.kind < KR_KIND_N && from[v.kind])
        return cel__raise(vm, "type conversion error %s to '%s'", from[v.kind], to);
    if (kr_str_is(type, "kubernetes.NamedFormat"))
        type = KR_S("Format");
    type = kr_str_sub(type, (size_t)(kr_str_rchr(type, '.') + 1), type.n);
    return cel__raise(vm, "type conversion error from '" KR_FMT "' to '%s'", KR_ARG(type), to);
}

static int proto_list(struct cel__vm *vm, kr_val v, kr_val *out)
{
    kr_val *items = kr_new_n(vm->a, kr_val, v.n);

    for (uint32_t i = 0; i < v.n; i++)
        KR_TRY(proto_json(vm, cel__item(vm, v, i), &items[i]));
    *out = kr_list(items, v.n);
    return 0;
}

static int proto_map(struct cel__vm *vm, kr_val v, kr_val *out)
{
    struct kr_pair *pairs = kr_new_n(vm->a, struct kr_pair, v.n);

    for (uint32_t i = 0; i < v.n; i++) {
        kr_val key = cel__typed_key(vm, v, v.map[i].key);

        if (key.kind != KR_STRING)
            return unconvertible(vm, key, "string");
        pairs[i].key = key;
        KR_TRY(proto_json(vm, cel__typed_entry(vm, v, i), &pairs[i].val));
    }
    *out = cel__map_make(vm->a, pairs, v.n);
    return 0;
}

static int proto_nested(struct cel__vm *vm, kr_val v, kr_val *out)
{
    int rc;

    if (vm->depth >= CEL__VALUE_DEPTH_MAX)
        return cel__over_limit(vm);
    KR_TRY(cel__charge(vm, 1 + (v.kind == KR_OPTIONAL ? 0 : v.n)));
    vm->depth++;
    rc = v.kind == KR_LIST  ? proto_list(vm, v, out)
         : v.kind == KR_MAP ? proto_map(vm, v, out)
                            : proto_json(vm, v.ref ? *v.ref : KR_V_NULL, out);
    vm->depth--;
    return rc;
}

static int proto_json(struct cel__vm *vm, kr_val v, kr_val *out)
{
    *out = v;
    switch (v.kind) {
    case KR_NULL:
    case KR_BOOL:
    case KR_STRING:
    case KR_DOUBLE:
        return 0;
    case KR_INT:
        if (v.i > EXACT_MAX || v.i < -EXACT_MAX)
            *out = kr_string(kr_fmt(vm->a, "%lld", (long long)v.i));
        return 0;
    case KR_UINT:
        if (v.u > (uint64_t)EXACT_MAX)
            *out = kr_string(kr_fmt(vm->a, "%llu", (unsigned long long)v.u));
        return 0;
    case KR_BYTES:
        *out = kr_string(kr_base64_encode(vm->a, kr_text(v), KR_BASE64_STD));
        return 0;
    case KR_DURATION:
        *out = kr_string(cel__duration_text(vm->a, v.i));
        return 0;
    case KR_TIMESTAMP:
        *out = kr_string(cel__timestamp_text(vm->a, v));
        return 0;
    case KR_OPTIONAL:
        if (!v.ref)
            return cel__raise(vm, "optional.none() dereference");
        return proto_nested(vm, v, out);
    case KR_LIST:
    case KR_MAP:
        return proto_nested(vm, v, out);
    case KR_ERROR:
        return cel__raise_val(vm, v);
    }
    return unconvertible(vm, v, "*structpb.Value");
}

int fn_json_encode(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    KR_AUTO(kr_buf) b = KR_BUF_IN(vm->a, CEL__TEXT_MAX);
    struct kr_err err = KR_ERR_NONE;
    kr_val v;

    KR_TRY(proto_json(vm, args[0], &v));
    if (kr_json_write(&b, v, KR_JSON_HTML, &err) < 0)
        return cel__raise(vm, "proto: google.protobuf.Value.number_value: invalid " KR_FMT " value",
                          KR_ARG(cel__odd_double(v)));
    if (b.full)
        return cel__over_limit(vm);
    *out = kr_string(kr_buf_view(&b));
    return 0;
}
