/* SPDX-License-Identifier: Apache-2.0 */
/* json.c - CEL values to JSON values, as every result of kro goes into a manifest.
 *
 * Kubernetes data that went through untouched stays as it is: a map with a type handle is copied
 * out without a look at its leaves. Dates and durations become their texts; what has no JSON form
 * is refused in kro's words.
 *
 * Source: kro:pkg/cel/conversion; reference section 16.
 */
#include "cel/internal.h"

#include <math.h>

#include "cel/base/digest.h"
#include "cel/base/time.h"

#include "cel/base/banned.h"

struct converter {
    struct kr_arena *a;
    struct kr_err *err;
    uint32_t depth;
    uint32_t parts; /* values gone through */
    bool lenient;   /* as json.marshal: bytes and large uints have a form */
};

static int convert(struct converter *c, kr_val v, kr_val *out);

static int convert_list(struct converter *c, kr_val v, kr_val *out)
{
    kr_val *items = NULL;

    for (uint32_t i = 0; i < v.n; i++) {
        kr_val item;

        KR_TRY(convert(c, v.list[i], &item));
        if (!items && memcmp(&item, &v.list[i], sizeof(item)) != 0) {
            items = kr_new_n(c->a, kr_val, v.n);
            memcpy(items, v.list, i * sizeof(*items));
        }
        if (items)
            items[i] = item;
    }
    v.aux = 0;
    if (items)
        v.list = items;
    *out = v;
    return 0;
}

/* Go's type of a map key, as the message prints it. */
static const char *key_type(kr_val k)
{
    return k.kind == KR_NULL ? "<nil>" : cel__go_type(k);
}

static int convert_map(struct converter *c, kr_val v, kr_val *out)
{
    struct kr_pair *pairs = NULL;

    for (uint32_t i = 0; i < v.n; i++) {
        kr_val val;

        if (v.map[i].key.kind != KR_STRING)
            return kr_fail(c->err, KR_E_EVAL, "map key must be string, got %s",
                           key_type(v.map[i].key));
        KR_TRY(convert(c, v.map[i].val, &val));
        if (!pairs && memcmp(&val, &v.map[i].val, sizeof(val)) != 0) {
            pairs = kr_new_n(c->a, struct kr_pair, v.n);
            memcpy(pairs, v.map, v.n * sizeof(*pairs));
        }
        if (pairs)
            pairs[i].val = val;
    }
    if (pairs)
        v.map = pairs;
    *out = v;
    return 0;
}

static int convert_nested(struct converter *c, kr_val v, kr_val *out)
{
    int rc;

    if (c->depth >= CEL__VALUE_DEPTH_MAX)
        return kr_fail(c->err, KR_E_LIMIT, "value nests deeper than %d levels",
                       CEL__VALUE_DEPTH_MAX);
    c->parts += 1 + (v.kind == KR_OPTIONAL ? 0 : v.n);
    if (c->parts > CEL__VALUE_PARTS_MAX)
        return kr_fail(c->err, KR_E_LIMIT, "value has more than %d parts", CEL__VALUE_PARTS_MAX);
    c->depth++;
    rc = v.kind == KR_LIST  ? convert_list(c, v, out)
         : v.kind == KR_MAP ? convert_map(c, v, out)
                            : convert(c, v.ref ? *v.ref : KR_V_NULL, out);
    c->depth--;
    return rc;
}

static kr_val time_json(struct kr_arena *a, kr_val v)
{
    char text[KR_TIME_TEXT_MAX];

    if (v.i == CEL__SECONDS_MIN && v.n == 0)
        return KR_V_NULL;
    return kr_string(kr_strdup(a, (kr_str){text, kr_time_text(v.i, 0, text)}));
}

static int convert(struct converter *c, kr_val v, kr_val *out)
{
    char text[KR_TIME_TEXT_MAX];

    switch (v.kind) {
    case KR_NULL:
    case KR_BOOL:
    case KR_INT:
    case KR_DOUBLE:
    case KR_STRING:
        *out = v;
        return 0;
    case KR_OMIT:
        *out = c->lenient ? kr_map_sorted(NULL, 0) : v;
        return 0;
    case KR_UINT:
        if (v.u > INT64_MAX && !c->lenient)
            return kr_fail(c->err, KR_E_EVAL,
                           "unsupported type: uint value %llu overflows int64; convert it "
                           "explicitly, e.g. string(...)",
                           (unsigned long long)v.u);
        *out = v.u > INT64_MAX ? v : kr_int(v.i);
        return 0;
    case KR_BYTES:
        if (c->lenient) {
            *out = kr_string(kr_base64_encode(c->a, kr_text(v), KR_BASE64_STD));
            return 0;
        }
        return kr_fail(c->err, KR_E_EVAL,
                       "unsupported type: bytes value cannot be used directly in a resource "
                       "template or status field; encode it explicitly, e.g. base64.encode(...)");
    case KR_DURATION:
        *out = kr_string(kr_strdup(c->a, (kr_str){text, kr_duration_text(v.i, text)}));
        return 0;
    case KR_TIMESTAMP:
        *out = time_json(c->a, v);
        return 0;
    case KR_MAP:
        if (v.aux) { /* Kubernetes data, untouched */
            v.aux = 0;
            *out = v;
            return 0;
        }
        return convert_nested(c, v, out);
    case KR_LIST:
    case KR_OPTIONAL:
        return convert_nested(c, v, out);
    }
    return kr_fail(c->err, KR_E_EVAL, "unsupported type: " KR_FMT, KR_ARG(cel__type_name(v)));
}

int cel__to_go(struct kr_arena *a, kr_val v, kr_val *out, struct kr_err *err)
{
    struct converter c = {.a = a, .err = err, .lenient = true};
    kr_val result;

    KR_TRY(convert(&c, v, &result));
    *out = result;
    return 0;
}

kr_str cel__odd_double(kr_val v)
{
    kr_str found;

    if (v.kind == KR_DOUBLE && isnan(v.d))
        return KR_S("NaN");
    if (v.kind == KR_DOUBLE && isinf(v.d))
        return v.d > 0 ? KR_S("+Inf") : KR_S("-Inf");
    for (uint32_t i = 0; (v.kind == KR_LIST || v.kind == KR_MAP) && i < v.n; i++) {
        found = cel__odd_double(v.kind == KR_LIST ? v.list[i] : v.map[i].val);
        if (found.n)
            return found;
    }
    return (kr_str){0};
}

int cel_to_json(struct kr_arena *a, kr_val v, kr_val *out, struct kr_err *err)
{
    struct converter c = {.a = a, .err = err};
    kr_val result;

    KR_TRY(convert(&c, v, &result));
    *out = result;
    return 0;
}
