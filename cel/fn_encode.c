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
            return cel__raise(vm, "unsupported type conversion from '" KR_FMT "' to string",
                              KR_ARG(cel__type_name(key)));
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
        v.aux = 0;
        *out = kr_string(cel__timestamp_text(vm->a, v));
        return 0;
    case KR_LIST:
    case KR_MAP:
    case KR_OPTIONAL:
        return proto_nested(vm, v, out);
    case KR_ERROR:
        return cel__raise_val(vm, v);
    }
    return cel__raise(vm, "unsupported type conversion from '" KR_FMT "' to google.protobuf.Value",
                      KR_ARG(cel__type_name(v)));
}

int fn_json_encode(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    KR_AUTO(kr_buf) b = KR_BUF_IN(vm->a, CEL__TEXT_MAX);
    struct kr_err err = KR_ERR_NONE;
    kr_val v;

    KR_TRY(proto_json(vm, args[0], &v));
    if (kr_json_write(&b, v, KR_JSON_HTML, &err) < 0)
        return cel__raise(vm, "json: unsupported value: " KR_FMT, KR_ARG(cel__odd_double(v)));
    if (b.full)
        return cel__over_limit(vm);
    *out = kr_string(kr_buf_view(&b));
    return 0;
}
