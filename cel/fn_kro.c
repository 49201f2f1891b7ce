/* SPDX-License-Identifier: Apache-2.0 */
/* fn_kro.c - kro's own functions: hash, json, random, maps, omit, conditions.
 *
 * Source: kro:pkg/cel/library; reference section 14.
 */
#include "cel/functions.h"

#include "cel/base/digest.h"
#include "cel/base/json.h"
#include "cel/gojson.h"

#include "cel/base/banned.h"

/* --- hash ------------------------------------------------------------------------------------- */

static int give_digest(struct cel__vm *vm, enum kr_digest_kind kind, kr_val s, kr_val *out)
{
    uint8_t sum[KR_DIGEST_MAX];
    size_t n = kr_digest_bytes(kind, kr_text(s), sum);

    *out = cel__bytes(kr_strdup(vm->a, (kr_str){(const char *)sum, n}));
    return 0;
}

int fn_hash_sha256(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return give_digest(vm, KR_SHA256, args[0], out);
}

int fn_hash_md5(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return give_digest(vm, KR_MD5, args[0], out);
}

int fn_hash_fnv64a(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    uint64_t h = kr_fnv1a64(kr_text(args[0]));
    char bytes[8];

    for (int i = 0; i < 8; i++)
        bytes[i] = (char)(h >> (56 - 8 * i));
    *out = cel__bytes(kr_strdup(vm->a, (kr_str){bytes, sizeof(bytes)}));
    return 0;
}

/* --- json ------------------------------------------------------------------------------------- */

int fn_json_unmarshal(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    struct kr_err err; /* not cleared: read after a failure only */

    if (cel__gojson_parse(vm->a, kr_text(args[0]), out, &err) < 0)
        return cel__raise(vm, "json.unmarshal failed to parse JSON: %s", err.text);
    return 0;
}

int fn_json_marshal(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    KR_AUTO(kr_buf) b = KR_BUF_IN(vm->a, CEL__TEXT_MAX);
    struct kr_err err; /* not cleared: read after a failure only */
    kr_val v;
    int rc = cel__to_go(vm->a, cel__typed_finish(vm, args[0]), &v, &err);

    if (rc == KR_E_LIMIT || vm->parts > CEL__VALUE_PARTS_MAX)
        return cel__over_limit(vm);
    if (rc < 0)
        return cel__raise(vm, "json.marshal failed to convert value: %s", err.text);
    if (kr_json_write(&b, v, KR_JSON_HTML, &err) < 0)
        return cel__raise(vm,
                          "json.marshal failed to encode value: json: unsupported value: " KR_FMT,
                          KR_ARG(cel__odd_double(v)));
    if (b.full)
        return cel__over_limit(vm);
    KR_TRY(cel__charge(vm, b.n / 16));
    *out = kr_string(kr_buf_view(&b));
    return 0;
}

/* --- random ----------------------------------------------------------------------------------- */

static uint64_t be(const uint8_t *p, int n)
{
    uint64_t v = 0;

    for (int i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

int fn_seeded_string(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    static const char alphabet[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    uint8_t sum[KR_DIGEST_MAX];
    char *s;

    if (args[0].i <= 0)
        return cel__raise(vm, "random.seededString length must be positive");
    if (args[0].i > CEL__TEXT_MAX)
        return cel__over_limit(vm);
    KR_TRY(cel__charge(vm, (uint64_t)args[0].i));
    kr_digest_bytes(KR_SHA256, kr_text(args[1]), sum);
    s = kr_arena_bytes(vm->a, (size_t)args[0].i);
    for (int64_t i = 0; i < args[0].i; i++) /* repeats every 8 characters, as kro's does */
        s[i] = alphabet[be(sum + (4 * i) % 32, 4) % 36];
    *out = cel__str(vm->a, (kr_str){s, (size_t)args[0].i});
    return 0;
}

int fn_seeded_int(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    uint8_t sum[KR_DIGEST_MAX];
    uint64_t span = args[1].u - args[0].u;

    if (args[0].i >= args[1].i)
        return cel__raise(vm, "random.seededInt min must be less than max");
    kr_digest_bytes(KR_SHA256, kr_text(args[2]), sum);
    *out = kr_int((int64_t)(args[0].u + be(sum, 8) % span));
    return 0;
}

/* --- maps ------------------------------------------------------------------------------------- */

enum { MERGE_DEPTH_MAX = 250 };

static int deep_merge(struct cel__vm *vm, kr_val x, kr_val y, uint32_t depth, kr_val *out);

/* No handle, and every key is a string: strings stand between numbers and all other kinds. */
static bool plain_keys(kr_val m)
{
    return !m.aux &&
           (!m.n || (m.map[0].key.kind == KR_STRING && m.map[m.n - 1].key.kind == KR_STRING));
}

/* The same as merge_maps for maps with plain keys: both are sorted. */
static int merge_sorted(struct cel__vm *vm, kr_val x, kr_val y, bool deep, uint32_t depth,
                        kr_val *out)
{
    struct kr_pair *pairs = kr_raw_n(vm->a, struct kr_pair, x.n + y.n);
    uint32_t i = 0;
    uint32_t k = 0;
    uint32_t n = 0;

    while (i < x.n || k < y.n) {
        int c = k == y.n   ? -1
                : i == x.n ? 1
                           : kr_str_cmp(kr_text(x.map[i].key), kr_text(y.map[k].key));
        struct kr_pair *to = &pairs[n++];

        *to = c < 0 ? x.map[i] : y.map[k];
        if (c == 0 && deep && x.map[i].val.kind == KR_MAP && to->val.kind == KR_MAP)
            KR_TRY(deep_merge(vm, x.map[i].val, y.map[k].val, depth + 1, &to->val));
        i += c <= 0;
        k += c >= 0;
    }
    *out = kr_map_sorted(pairs, n);
    return 0;
}

/* All entries of x, then those of y over them; `deep` merges maps that meet. */
static int merge_maps(struct cel__vm *vm, kr_val x, kr_val y, bool deep, uint32_t depth,
                      kr_val *out)
{
    struct kr_pair *pairs;
    uint32_t n = 0;

    KR_TRY(cel__charge(vm, (uint64_t)x.n + y.n));
    if (plain_keys(x) && plain_keys(y))
        return merge_sorted(vm, x, y, deep, depth, out);
    pairs = kr_raw_n(vm->a, struct kr_pair, x.n + y.n);
    for (uint32_t i = 0; i < x.n + y.n; i++) {
        kr_val m = i < x.n ? x : y;
        uint32_t at = i < x.n ? i : i - x.n;
        kr_val key = cel__typed_key(vm, m, m.map[at].key);
        kr_val val = cel__typed_entry(vm, m, at);

        if (deep && i >= x.n) {
            kr_val old = cel__map_get(vm, x, key);

            if (old.kind == KR_MAP && val.kind == KR_MAP)
                KR_TRY(deep_merge(vm, old, val, depth + 1, &val));
        }
        pairs[n++] = (struct kr_pair){.key = key, .val = val};
    }
    *out = cel__map_make(vm->a, pairs, n);
    return 0;
}

static int deep_merge(struct cel__vm *vm, kr_val x, kr_val y, uint32_t depth, kr_val *out)
{
    if (depth > MERGE_DEPTH_MAX)
        return cel__over_limit(vm);
    if (!x.n || !y.n) {
        *out = x.n ? x : y;
        return 0;
    }
    return merge_maps(vm, x, y, true, depth, out);
}

int fn_merge(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return merge_maps(vm, args[0], args[1], false, 0, out);
}

int fn_deep_merge(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    if (args[0].kind != KR_MAP || args[1].kind != KR_MAP)
        return cel__no_overload(vm);
    return deep_merge(vm, args[0], args[1], 0, out);
}

int fn_omit(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    *out = KR_V_OMIT;
    return 0;
}

/* --- conditions ------------------------------------------------------------------------------- */

static int condition_text(struct cel__vm *vm, kr_val map, kr_str name, kr_str *out)
{
    kr_val v = cel__map_get(vm, map, kr_string(name));

    if (v.kind != KR_NONE && v.kind != KR_STRING)
        return cel__raise(vm, "runtime.newCondition: " KR_FMT " must be a string, got " KR_FMT,
                          KR_ARG(name), KR_ARG(cel__type_name(v)));
    *out = kr_text(v);
    return 0;
}

static int give_condition(kr_val *out, struct cel__condition *c)
{
    c->head.type = &cel__condition_type;
    *out = (kr_val){.kind = KR_OPAQUE, .obj = &c->head};
    return 0;
}

int fn_new_condition(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    struct cel__condition *c = kr_new(vm->a, struct cel__condition);

    KR_TRY(condition_text(vm, args[1], KR_S("type"), &c->type));
    KR_TRY(condition_text(vm, args[1], KR_S("status"), &c->status));
    KR_TRY(condition_text(vm, args[1], KR_S("reason"), &c->reason));
    KR_TRY(condition_text(vm, args[1], KR_S("message"), &c->message));
    if (!c->type.n)
        return cel__raise(vm, "runtime.newCondition: type must not be empty");
    if (!kr_str_is(c->status, "True") && !kr_str_is(c->status, "False") &&
        !kr_str_is(c->status, "Unknown"))
        return cel__raise(
            vm, "runtime.newCondition: status must be one of True, False, Unknown (got " KR_FMT ")",
            KR_ARG(cel__quote_go(vm->a, c->status)));
    return give_condition(out, c);
}

static kr_str text_member(struct cel__vm *vm, kr_val map, kr_str name)
{
    return kr_text(cel__map_get(vm, map, kr_string(name)));
}

/* The conditions of obj; KR_NONE when the path ends early. */
static int conditions_of(struct cel__vm *vm, kr_val obj, kr_val *out)
{
    kr_val status;
    kr_val list;

    *out = KR_V_NONE;
    if (obj.kind != KR_MAP)
        return cel__raise(vm, "runtime.condition: obj must be an object, got " KR_FMT,
                          KR_ARG(cel__type_name(obj)));
    status = cel__map_get(vm, obj, KR_V_STR("status"));
    if (status.kind == KR_NONE || status.kind == KR_NULL)
        return 0;
    if (status.kind != KR_MAP)
        return cel__raise(vm, "runtime.condition: obj.status must be an object");
    list = cel__map_get(vm, status, KR_V_STR("conditions"));
    if (list.kind == KR_NONE || list.kind == KR_NULL)
        return 0;
    if (list.kind != KR_LIST)
        return cel__raise(vm, "runtime.condition: obj.status.conditions must be a list");
    *out = list;
    return 0;
}

int fn_condition(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    struct cel__condition *c = kr_new(vm->a, struct cel__condition);
    kr_val list;

    KR_TRY(conditions_of(vm, args[1], &list));
    for (uint32_t i = 0; list.kind == KR_LIST && i < list.n; i++) {
        kr_val v = cel__item(vm, list, i);

        if (v.kind == KR_OPAQUE && v.obj->type == &cel__condition_type) {
            const struct cel__condition *given = (const struct cel__condition *)(const void *)v.obj;

            if (kr_str_eq(given->type, kr_text(args[2]))) {
                *out = v;
                return 0;
            }
            continue;
        }
        if (v.kind != KR_MAP)
            return cel__raise(vm, "runtime.condition: unexpected condition element type " KR_FMT,
                              KR_ARG(cel__type_name(v)));
        if (!kr_is_str(cel__map_get(vm, v, KR_V_STR("type")), kr_text(args[2])))
            continue;
        c->type = text_member(vm, v, KR_S("type"));
        c->status = text_member(vm, v, KR_S("status"));
        c->reason = text_member(vm, v, KR_S("reason"));
        c->message = text_member(vm, v, KR_S("message"));
        break;
    }
    return give_condition(out, c);
}
