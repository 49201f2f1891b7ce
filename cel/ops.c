/* SPDX-License-Identifier: Apache-2.0 */
/* ops.c - operators on every kind of value: equality, order, arithmetic, members, indexes.
 *
 * Numbers of different kinds compare by value: int and uint exactly, either with a double as
 * doubles, unless the double lies outside the integer's range. Arithmetic is checked.
 *
 * Maps made here are sorted: bools, numbers by value and then by kind, strings by bytes, the rest.
 * So 1 and 1u may stand side by side, and a lookup finds the exact kind first.
 *
 * Source: cel-go common/types; reference sections 8 to 11.
 */
#include "cel/internal.h"

#include <math.h>
#include <stdio.h>

#include "cel/base/banned.h"

/* --- numbers ---------------------------------------------------------------------------------- */

static int sign_of(bool less, bool more)
{
    return less ? -1 : more;
}

static int cmp_int_double(int64_t i, double d)
{
    if (isnan(d))
        return 2;
    if (d < -0x1p63)
        return 1;
    if (d > 0x1p63 - 1)
        return -1;
    return sign_of((double)i<d, (double)i> d);
}

static int cmp_uint_double(uint64_t u, double d)
{
    if (isnan(d))
        return 2;
    if (d < 0)
        return 1;
    if (d > 0x1p64 - 1)
        return -1;
    return sign_of((double)u<d, (double)u> d);
}

static int cmp_int_uint(int64_t i, uint64_t u)
{
    if (i < 0)
        return -1;
    return sign_of((uint64_t)i<u, (uint64_t)i> u);
}

static int flip(int c)
{
    return c == 2 ? 2 : -c;
}

static bool is_number(kr_val v)
{
    return v.kind == KR_INT || v.kind == KR_UINT || v.kind == KR_DOUBLE;
}

/* -1, 0, 1; 2 for NaN. */
static int cmp_numbers(kr_val x, kr_val y)
{
    if (x.kind == KR_INT && y.kind == KR_INT)
        return sign_of(x.i<y.i, x.i> y.i);
    if (x.kind == KR_UINT && y.kind == KR_UINT)
        return sign_of(x.u<y.u, x.u> y.u);
    if (x.kind == KR_DOUBLE && y.kind == KR_DOUBLE)
        return isnan(x.d) || isnan(y.d) ? 2 : sign_of(x.d<y.d, x.d> y.d);
    if (x.kind == KR_INT)
        return y.kind == KR_UINT ? cmp_int_uint(x.i, y.u) : cmp_int_double(x.i, y.d);
    if (x.kind == KR_UINT)
        return y.kind == KR_INT ? flip(cmp_int_uint(y.i, x.u)) : cmp_uint_double(x.u, y.d);
    return flip(y.kind == KR_INT ? cmp_int_double(y.i, x.d) : cmp_uint_double(y.u, x.d));
}

static int cmp_bytes(kr_val x, kr_val y)
{
    return kr_str_cmp((kr_str){x.s, x.n}, (kr_str){y.s, y.n});
}

static int cmp_times(kr_val x, kr_val y)
{
    if (x.i != y.i)
        return sign_of(x.i < y.i, true);
    return sign_of(x.n<y.n, x.n> y.n);
}

int cel__compare(kr_val x, kr_val y)
{
    int c;

    if (is_number(x) && is_number(y))
        return cmp_numbers(x, y);
    if (x.kind != y.kind)
        return 3;
    switch (x.kind) {
    case KR_STRING:
    case KR_BYTES:
        c = cmp_bytes(x, y);
        return sign_of(c<0, c> 0);
    case KR_BOOL:
        return (int)x.b - (int)y.b;
    case KR_DURATION:
        return sign_of(x.i<y.i, x.i> y.i);
    case KR_TIMESTAMP:
        return cmp_times(x, y);
    }
    return 3;
}

/* --- maps ------------------------------------------------------------------------------------- */

static int key_rank(kr_val k)
{
    switch (k.kind) {
    case KR_BOOL:
        return 0;
    case KR_INT:
    case KR_UINT:
    case KR_DOUBLE:
        return 1;
    case KR_STRING:
        return 2;
    }
    return 3;
}

static int cmp_other_keys(kr_val x, kr_val y)
{
    int rx = key_rank(x);
    int ry = key_rank(y);
    int c;

    if (rx != ry)
        return rx - ry;
    switch (rx) {
    case 0:
        return (int)x.b - (int)y.b;
    case 1:
        c = cmp_numbers(x, y);
        if (c == 2) /* NaN after all numbers */
            c = (int)(x.kind == KR_DOUBLE && isnan(x.d)) - (int)(y.kind == KR_DOUBLE && isnan(y.d));
        return c ? c : (int)x.kind - (int)y.kind;
    case 2:
        return cmp_bytes(x, y);
    }
    if (x.kind != y.kind)
        return (int)x.kind - (int)y.kind;
    if (x.kind == KR_TIMESTAMP)
        return cmp_times(x, y);
    return x.kind == KR_NULL ? 0 : sign_of(x.i<y.i, x.i> y.i);
}

int cel__key_cmp(kr_val x, kr_val y)
{
    if (x.kind == KR_STRING && y.kind == KR_STRING)
        return cmp_bytes(x, y);
    return cmp_other_keys(x, y);
}

static void merge_pairs(struct kr_pair *to, const struct kr_pair *x, uint32_t xn,
                        const struct kr_pair *y, uint32_t yn)
{
    uint32_t i = 0;
    uint32_t k = 0;

    while (i < xn || k < yn) {
        if (k == yn || (i < xn && cel__key_cmp(x[i].key, y[k].key) <= 0))
            *to++ = x[i++];
        else
            *to++ = y[k++];
    }
}

enum { SORT_SMALL = 16 };

/* Stable: insertion sort of runs, then merges through a scratch copy. */
static void sort_pairs(struct kr_arena *a, struct kr_pair *pairs, uint32_t n)
{
    struct kr_pair *scratch;

    for (uint32_t start = 0; start < n; start += SORT_SMALL) {
        uint32_t end = start + SORT_SMALL < n ? start + SORT_SMALL : n;

        for (uint32_t i = start + 1; i < end; i++) {
            struct kr_pair x = pairs[i];
            uint32_t k = i;

            for (; k > start && cel__key_cmp(pairs[k - 1].key, x.key) > 0; k--)
                pairs[k] = pairs[k - 1];
            pairs[k] = x;
        }
    }
    if (n <= SORT_SMALL)
        return;
    scratch = kr_new_n(a, struct kr_pair, n);
    for (uint32_t width = SORT_SMALL; width < n; width *= 2) {
        for (uint32_t at = 0; at < n; at += 2 * width) {
            uint32_t mid = at + width < n ? at + width : n;
            uint32_t end = at + 2 * width < n ? at + 2 * width : n;

            merge_pairs(scratch + at, pairs + at, mid - at, pairs + mid, end - mid);
        }
        memcpy(pairs, scratch, n * sizeof(*pairs));
    }
}

kr_val cel__map_make(struct kr_arena *a, struct kr_pair *pairs, uint32_t n)
{
    uint32_t kept = 0;
    bool sorted = true;

    for (uint32_t i = 1; sorted && i < n; i++)
        sorted = cel__key_cmp(pairs[i - 1].key, pairs[i].key) < 0;
    if (sorted)
        return kr_map_sorted(pairs, n);
    sort_pairs(a, pairs, n);
    for (uint32_t i = 0; i < n; i++) {
        if (kept && cel__key_cmp(pairs[kept - 1].key, pairs[i].key) == 0)
            kept--;
        pairs[kept++] = pairs[i];
    }
    return kr_map_sorted(pairs, kept);
}

/* Index of the first pair whose key is not below k. */
static uint32_t lower_bound(kr_val map, kr_val k)
{
    uint32_t lo = 0;
    uint32_t hi = map.n;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (cel__key_cmp(map.map[mid].key, k) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

int64_t cel__map_index(kr_val map, kr_val k)
{
    uint32_t i = lower_bound(map, k);

    return i < map.n && cel__key_cmp(map.map[i].key, k) == 0 ? (int64_t)i : -1;
}

/* The same number as another kind; false: there is none. */
static bool as_int(kr_val k, kr_val *out)
{
    if (k.kind == KR_UINT && k.u <= INT64_MAX)
        *out = kr_int((int64_t)k.u);
    else if (k.kind == KR_DOUBLE && k.d == trunc(k.d) && k.d >= -0x1p63 && k.d < 0x1p63)
        *out = kr_int((int64_t)k.d);
    else
        return false;
    return true;
}

static bool as_uint(kr_val k, kr_val *out)
{
    if (k.kind == KR_INT && k.i >= 0)
        *out = kr_uint((uint64_t)k.i);
    else if (k.kind == KR_DOUBLE && k.d == trunc(k.d) && k.d >= 0 && k.d < 0x1p64)
        *out = kr_uint((uint64_t)k.d);
    else
        return false;
    return true;
}

static int64_t find_key(kr_val map, kr_val k)
{
    int64_t at;
    kr_val other;

    if (k.kind == KR_LIST || k.kind == KR_MAP)
        return -1; /* stored by identity */
    at = cel__map_index(map, k);
    if (at < 0 && is_number(k) && as_int(k, &other))
        at = cel__map_index(map, other);
    if (at < 0 && is_number(k) && as_uint(k, &other))
        at = cel__map_index(map, other);
    return at;
}

/* The order of a key to a name, by the first byte; 0 where that does not tell. */
static int first_byte_cmp(kr_val k, kr_str name)
{
    if (k.kind != KR_STRING || !k.n || !name.n)
        return 0;
    return (uint8_t)k.s[0] - (uint8_t)name.s[0];
}

const kr_val *cel__find_halving(const struct kr_pair *pairs, uint32_t n, kr_str name)
{
    const struct kr_pair *p = pairs;
    const struct kr_pair *end = pairs + n;

    while (end - p > CEL__FIND_EACH_MAX) {
        const struct kr_pair *mid = p + (end - p) / 2;
        int c = first_byte_cmp(mid->key, name);

        if (!c)
            c = mid->key.kind == KR_STRING ? kr_str_cmp((kr_str){mid->key.s, mid->key.n}, name)
                                           : key_rank(mid->key) - 2;
        if (!c)
            return &mid->val;
        p = c < 0 ? mid + 1 : p;
        end = c < 0 ? end : mid;
    }
    for (; p < end; p++) {
        if (p->key.n == name.n && p->key.kind == KR_STRING && kr_bytes_eq(p->key.s, name.s, name.n))
            return &p->val;
    }
    return NULL;
}

const kr_val *cel__find_anew(const struct kr_pair *pairs, uint32_t n, struct cel__name *name)
{
    const kr_val *v = cel__find(pairs, n, name->text.s, (uint32_t)name->text.n);

    if (v)
        __atomic_store_n(&name->hint, (uint32_t)(KR_OWNER(v, const struct kr_pair, val) - pairs),
                         __ATOMIC_RELAXED);
    return v;
}

/* Member of an untyped map by name. */
static kr_val find_name(kr_val map, kr_str name)
{
    const kr_val *v = cel__find(map.map, map.n, name.s, (uint32_t)name.n);

    return v ? *v : KR_V_NONE;
}

kr_val cel__map_get(struct cel__vm *vm, kr_val map, kr_val key)
{
    int64_t at;

    vm->cost += CEL__KEY_LOOKS * cel__look_at(key);
    if (map.aux)
        return key.kind == KR_STRING ? cel__typed_member(vm, map, kr_text(key)) : KR_V_NONE;
    if (key.kind == KR_STRING)
        return find_name(map, kr_text(key));
    at = find_key(map, key);
    return at < 0 ? KR_V_NONE : map.map[at].val;
}

/* --- members ---------------------------------------------------------------------------------- */

kr_val cel__opt_of(struct kr_arena *a, kr_val v)
{
    kr_val *inner = kr_new(a, kr_val);

    *inner = v;
    return (kr_val){.kind = KR_OPTIONAL, .ref = inner};
}

static kr_val condition_member(const struct kr_opaque *obj, kr_str name)
{
    const struct cel__condition *c = (const struct cel__condition *)(const void *)obj;

    if (kr_str_is(name, "type"))
        return kr_string(c->type);
    if (kr_str_is(name, "status"))
        return kr_string(c->status);
    if (kr_str_is(name, "reason"))
        return kr_string(c->reason);
    if (kr_str_is(name, "message"))
        return kr_string(c->message);
    return KR_V_NONE;
}

/* x.key: KR_NONE when it is not there; an error value where x has no members of that kind. */
static kr_val member(struct cel__vm *vm, kr_val x, const struct cel__key *key)
{
    switch (x.kind) {
    case KR_MAP:
        return x.aux ? cel__typed_select(vm, x, key) : find_name(x, key->name.text);
    case KR_LIST:
        return cel__error(vm, "unsupported index type 'string' in list");
    case KR_OPAQUE:
        if (x.obj->type == &cel__condition_type)
            return condition_member(x.obj, key->name.text);
        return KR_V_NONE;
    case KR_ERROR:
        return x;
    }
    return KR_V_NONE;
}

/* By the specification only maps and objects have fields: an error, where cel-go sees none. */
static kr_val member_or_none(struct cel__vm *vm, kr_val x, const struct cel__key *key)
{
    kr_val v = member(vm, x, key);

    if (vm->p->strict && v.kind == KR_NONE && x.kind != KR_MAP)
        return cel__error(vm, "no such key: " KR_FMT, KR_ARG(key->name.text));
    return v;
}

static int give(struct cel__vm *vm, kr_val v, kr_val *out)
{
    if (v.kind == KR_ERROR)
        return cel__raise_val(vm, v);
    *out = v;
    return 0;
}

int cel__select(struct cel__vm *vm, kr_val x, const struct cel__key *key, kr_val *out)
{
    kr_val v;

    if (x.kind == KR_OPTIONAL)
        return cel__opt_select(vm, x, key, out);
    v = member(vm, x, key);
    if (v.kind == KR_NONE)
        return cel__raise(vm, "no such key: " KR_FMT, KR_ARG(key->name.text));
    return give(vm, v, out);
}

int cel__opt_select(struct cel__vm *vm, kr_val x, const struct cel__key *key, kr_val *out)
{
    kr_val v;

    if (x.kind == KR_OPTIONAL) {
        if (!x.ref)
            return give(vm, x, out);
        x = *x.ref;
    }
    v = member_or_none(vm, x, key);
    if (v.kind == KR_ERROR)
        return cel__raise_val(vm, v);
    *out = v.kind == KR_NONE ? CEL__OPT_NONE : cel__opt_of(vm->a, v);
    return 0;
}

int cel__has(struct cel__vm *vm, kr_val x, const struct cel__key *key, kr_val *out)
{
    kr_val v;

    if (x.kind == KR_OPTIONAL && !x.ref) {
        *out = kr_bool(false);
        return 0;
    }
    if (x.kind == KR_OPTIONAL)
        x = *x.ref;
    v = member_or_none(vm, x, key);
    if (v.kind == KR_ERROR &&
        (vm->p->strict || x.kind == KR_LIST || x.kind == KR_ERROR || x.kind == KR_OPAQUE))
        return cel__raise_val(vm, v);
    *out = kr_bool(v.kind != KR_NONE);
    return 0;
}

/* --- indexes ---------------------------------------------------------------------------------- */

/* The index that key stands for; an error value when it is none. */
static kr_val list_index(struct cel__vm *vm, kr_val key)
{
    kr_val i;

    if (key.kind == KR_INT)
        return key;
    if (as_int(key, &i))
        return i;
    if (key.kind == KR_DOUBLE || key.kind == KR_UINT)
        return cel__error(vm, "unsupported index value " KR_FMT " in list",
                          KR_ARG(cel__print(vm->a, key)));
    return cel__error(vm, "unsupported index type '" KR_FMT "' in list",
                      KR_ARG(cel__type_name(key)));
}

/* May a value be indexed with one of this kind? */
static bool qualifies(kr_val key)
{
    enum { KINDS = 1 << KR_STRING | 1 << KR_INT | 1 << KR_UINT | 1 << KR_BOOL | 1 << KR_DOUBLE };

    return KINDS >> key.kind & 1;
}

static kr_val not_qualified(struct cel__vm *vm, kr_val key)
{
    return cel__error(vm, "invalid qualifier type: %s", cel__go_val_type(key));
}

/* x[key]: KR_NONE when it is not there. */
static kr_val element(struct cel__vm *vm, kr_val x, kr_val key)
{
    kr_val i;

    if (key.kind == KR_ERROR && x.kind != KR_ERROR)
        return key;
    switch (x.kind) {
    case KR_MAP:
        if (!qualifies(key)) /* may be stored, but not asked for */
            return not_qualified(vm, key);
        return cel__map_get(vm, x, key);
    case KR_LIST:
        if (key.kind != KR_INT && !qualifies(key))
            return not_qualified(vm, key);
        i = list_index(vm, key);
        if (i.kind == KR_ERROR)
            return i;
        if (i.i < 0 || i.i >= (int64_t)x.n)
            return KR_V_NONE;
        return cel__item(vm, x, (uint32_t)i.i);
    case KR_ERROR:
        return x;
    }
    return qualifies(key) ? KR_V_NONE : not_qualified(vm, key);
}

int cel__index(struct cel__vm *vm, kr_val x, kr_val key, kr_val *out)
{
    kr_val v;

    if (x.kind == KR_OPTIONAL)
        return cel__opt_index(vm, x, key, out);
    v = element(vm, x, key);
    if (v.kind != KR_NONE)
        return give(vm, v, out);
    if (x.kind == KR_LIST)
        return cel__raise(vm, "index out of bounds: " KR_FMT, KR_ARG(cel__print(vm->a, key)));
    return cel__raise(vm, "no such key: " KR_FMT, KR_ARG(cel__print(vm->a, key)));
}

int cel__opt_index(struct cel__vm *vm, kr_val x, kr_val key, kr_val *out)
{
    kr_val v;

    if (x.kind == KR_OPTIONAL) {
        if (!x.ref)
            return give(vm, x, out);
        x = *x.ref;
    }
    v = element(vm, x, key);
    if (v.kind == KR_ERROR)
        return cel__raise_val(vm, v);
    *out = v.kind == KR_NONE ? CEL__OPT_NONE : cel__opt_of(vm->a, v);
    return 0;
}

/* cel-go's plain lists and maps look for elements that are equal or differ; a comparison that fails
 * (a quantity with a number) is neither and counts as no difference. */
static bool overlooked(kr_val container, kr_val eq)
{
    return !container.aux && eq.kind == KR_ERROR && cel__error_of(eq)->fail != CEL_FAIL_LIMIT;
}

int cel__in(struct cel__vm *vm, kr_val x, kr_val container, kr_val *out)
{
    kr_val bad = KR_V_NONE;

    if (x.kind == KR_ERROR || container.kind == KR_ERROR)
        return cel__raise_val(vm, x.kind == KR_ERROR ? x : container);
    if (container.kind == KR_MAP) {
        kr_val v = cel__map_get(vm, container, x);

        *out = kr_bool(v.kind != KR_NONE);
        return 0;
    }
    if (container.kind != KR_LIST)
        return cel__no_overload(vm);
    KR_TRY(cel__charge(vm, container.n));
    for (uint32_t i = 0; i < container.n; i++) {
        kr_val item = cel__item(vm, container, i);
        kr_val eq = cel__equal(vm, x, item);

        if (kr_is_true(eq)) {
            *out = eq;
            return 0;
        }
        if (eq.kind == KR_ERROR && bad.kind == KR_NONE &&
            (item.kind == KR_ERROR || !overlooked(container, eq)))
            bad = eq;
    }
    if (bad.kind == KR_ERROR)
        return cel__raise_val(vm, bad);
    *out = kr_bool(false);
    return 0;
}

/* --- equality --------------------------------------------------------------------------------- */

static kr_val no_overload_value(struct cel__vm *vm)
{
    cel__no_overload(vm);
    return vm->raised;
}

static kr_val equal_lists(struct cel__vm *vm, kr_val x, kr_val y)
{
    kr_val eq;

    if (x.aux && cel__typed_equal(vm, x, y, &eq) == 0)
        return eq;
    if (x.n != y.n)
        return kr_bool(false);
    vm->cost += x.n;
    for (uint32_t i = 0; i < x.n; i++) {
        eq = cel__equal(vm, cel__item(vm, x, i), cel__item(vm, y, i));
        if (!kr_is_true(eq) && !overlooked(x, eq))
            return eq;
    }
    return kr_bool(true);
}

static kr_val equal_maps(struct cel__vm *vm, kr_val x, kr_val y)
{
    if (x.n != y.n)
        return kr_bool(false);
    vm->cost += x.n;
    for (uint32_t i = 0; i < x.n; i++) {
        kr_val other = cel__map_get(vm, y, cel__typed_key(vm, x, x.map[i].key));
        kr_val eq;

        if (other.kind == KR_NONE)
            return kr_bool(false);
        eq = cel__equal(vm, cel__typed_entry(vm, x, i), other);
        if (!kr_is_true(eq) && !overlooked(x, eq))
            return eq;
    }
    return kr_bool(true);
}

/* Looks at bytes of a value; false: that is over the limit, and raised. */
static bool look(struct cel__vm *vm, uint64_t bytes)
{
    if (bytes < CEL__LOOK_BYTES)
        return true;
    return cel__charge(vm, cel__look(bytes)) == 0;
}

static kr_val equal_opaque(struct cel__vm *vm, kr_val x, kr_val y)
{
    if (y.kind == KR_NULL)
        return kr_bool(false);
    if (y.kind != KR_OPAQUE || x.obj->type != y.obj->type ||
        (x.obj->type->comparable && !x.obj->type->comparable(y.obj)))
        return no_overload_value(vm);
    if (x.obj->type->bytes && !look(vm, x.obj->type->bytes(x.obj) + x.obj->type->bytes(y.obj)))
        return vm->raised;
    return kr_bool(x.obj->type->equal(x.obj, y.obj));
}

static kr_val equal_nested(struct cel__vm *vm, kr_val x, kr_val y)
{
    kr_val eq;

    if (vm->depth >= CEL__VALUE_DEPTH_MAX || vm->cost > vm->cost_max) {
        cel__over_limit(vm);
        return vm->raised;
    }
    vm->depth++;
    eq = x.kind == KR_LIST  ? equal_lists(vm, x, y)
         : x.kind == KR_MAP ? equal_maps(vm, x, y)
         : x.ref && y.ref   ? cel__equal(vm, *x.ref, *y.ref)
                            : kr_bool(!x.ref && !y.ref);
    vm->depth--;
    return eq;
}

static kr_val equal_texts(struct cel__vm *vm, kr_val x, kr_val y)
{
    if (x.n != y.n)
        return kr_bool(false);
    return look(vm, x.n) ? kr_bool(kr_bytes_eq(x.s, y.s, x.n)) : vm->raised;
}

kr_val cel__equal(struct cel__vm *vm, kr_val x, kr_val y)
{
    if (x.kind == KR_ERROR)
        return x;
    if (y.kind == KR_ERROR)
        return y;
    if (is_number(x) && is_number(y))
        return kr_bool(cmp_numbers(x, y) == 0);
    if (x.kind == KR_OPAQUE)
        return equal_opaque(vm, x, y);
    if (x.kind == KR_OMIT)
        return cel__error(vm, "omit() is a field-removal sentinel and cannot be compared");
    if (x.kind != y.kind)
        return x.aux && (x.kind == KR_LIST || x.kind == KR_MAP) ? no_overload_value(vm)
                                                                : kr_bool(false);
    switch (x.kind) {
    case KR_STRING:
    case KR_BYTES:
    case KR_TYPE:
        return equal_texts(vm, x, y);
    case KR_BOOL:
        return kr_bool(x.b == y.b);
    case KR_NULL:
        return kr_bool(true);
    case KR_DURATION:
        return kr_bool(x.i == y.i);
    case KR_TIMESTAMP:
        return kr_bool(x.i == y.i && x.n == y.n);
    }
    return equal_nested(vm, x, y);
}

kr_val cel__differ(struct cel__vm *vm, kr_val x, kr_val y)
{
    kr_val eq = cel__equal(vm, x, y);

    if (eq.kind == KR_ERROR &&
        (x.kind == KR_ERROR || y.kind == KR_ERROR || cel__error_of(eq)->fail == CEL_FAIL_LIMIT))
        return eq;
    return kr_bool(!kr_is_true(eq));
}

/* --- arithmetic ------------------------------------------------------------------------------- */

static const char overflow[] = "integer overflow";

/* x op y for + - *, in the type of *r; true when it does not fit. */
#define OVERFLOWS(op, x, y, r)                                                                     \
    ((op) == OP_ADD   ? __builtin_add_overflow(x, y, r)                                            \
     : (op) == OP_SUB ? __builtin_sub_overflow(x, y, r)                                            \
                      : __builtin_mul_overflow(x, y, r))

static int by_zero(struct cel__vm *vm, enum cel__op op)
{
    return cel__raise(vm, op == OP_DIV ? "division by zero" : "modulus by zero");
}

static int arith_int(struct cel__vm *vm, enum cel__op op, int64_t x, int64_t y, kr_val *out)
{
    bool divides = op == OP_DIV || op == OP_MOD;
    int64_t r = 0;

    if (divides && y == 0)
        return by_zero(vm, op);
    if (divides ? x == INT64_MIN && y == -1 : OVERFLOWS(op, x, y, &r))
        return cel__raise(vm, overflow);
    *out = kr_int(op == OP_DIV ? x / y : op == OP_MOD ? x % y : r);
    return 0;
}

static int arith_uint(struct cel__vm *vm, enum cel__op op, uint64_t x, uint64_t y, kr_val *out)
{
    bool divides = op == OP_DIV || op == OP_MOD;
    uint64_t r = 0;

    if (divides && y == 0)
        return by_zero(vm, op);
    if (!divides && OVERFLOWS(op, x, y, &r))
        return cel__raise(vm, "unsigned integer overflow");
    *out = kr_uint(op == OP_DIV ? x / y : op == OP_MOD ? x % y : r);
    return 0;
}

static int arith_double(struct cel__vm *vm, enum cel__op op, double x, double y, kr_val *out)
{
    switch (op) {
    case OP_ADD:
        *out = kr_double(x + y);
        return 0;
    case OP_SUB:
        *out = kr_double(x - y);
        return 0;
    case OP_MUL:
        *out = kr_double(x * y);
        return 0;
    case OP_DIV:
        *out = kr_double(x / y);
        return 0;
    default:
        return cel__raise(vm, "no such overload: _%%_");
    }
}

/* ts + ns, keeping the offset of ts. */
static int shift_time(struct cel__vm *vm, kr_val ts, int64_t ns, bool minus, kr_val *out)
{
    int64_t s = ns / 1000000000;
    int64_t rest = ns % 1000000000;
    int64_t seconds = minus ? ts.i - s : ts.i + s;
    int64_t nanos = minus ? (int64_t)ts.n - rest : (int64_t)ts.n + rest;

    if (nanos < 0) {
        nanos += 1000000000;
        seconds--;
    } else if (nanos >= 1000000000) {
        nanos -= 1000000000;
        seconds++;
    }
    if (minus && ns == INT64_MIN) /* cel-go adds the negative */
        return cel__raise(vm, overflow);
    if (seconds < CEL__SECONDS_MIN || seconds > CEL__SECONDS_MAX)
        return cel__raise(vm, "timestamp overflow");
    *out = cel__timestamp(seconds, (uint32_t)nanos, (int16_t)ts.aux);
    return 0;
}

static int time_difference(struct cel__vm *vm, kr_val x, kr_val y, kr_val *out)
{
    int64_t ns;

    if (__builtin_mul_overflow(x.i - y.i, INT64_C(1000000000), &ns) ||
        __builtin_add_overflow(ns, (int64_t)x.n - (int64_t)y.n, &ns))
        return cel__raise(vm, overflow);
    *out = cel__duration(ns);
    return 0;
}

static int concat_text(struct cel__vm *vm, kr_val x, kr_val y, kr_val *out)
{
    uint64_t n = (uint64_t)x.n + y.n;
    char *s;

    KR_TRY(cel__charge(vm, n / 16));
    if (n > CEL__TEXT_MAX)
        return cel__over_limit(vm);
    s = kr_arena_bytes(vm->a, n);
    memcpy(s, x.s, x.n);
    memcpy(s + x.n, y.s, y.n);
    *out = (kr_val){.kind = x.kind, .flags = x.flags & y.flags, .n = (uint32_t)n, .s = s};
    return 0;
}

static int concat_lists(struct cel__vm *vm, kr_val x, kr_val y, kr_val *out)
{
    uint64_t n = (uint64_t)x.n + y.n;
    kr_val *items;

    KR_TRY(cel__charge(vm, n));
    if (n > UINT32_MAX / 2)
        return cel__over_limit(vm);
    if (x.aux) {
        *out = cel__typed_concat(vm, x, y);
        return 0;
    }
    if (!y.n || !x.n) {
        *out = x.n ? x : y;
        return 0;
    }
    items = kr_new_n(vm->a, kr_val, n);
    memcpy(items, x.list, x.n * sizeof(*items));
    for (uint32_t i = 0; i < y.n; i++)
        items[x.n + i] = cel__item(vm, y, i);
    *out = kr_list(items, (uint32_t)n);
    return 0;
}

int cel__concat(struct cel__vm *vm, kr_val x, kr_val y, kr_val *out)
{
    return x.kind == KR_LIST ? concat_lists(vm, x, y, out) : concat_text(vm, x, y, out);
}

/* + and - on time, text and lists. */
static int arith_other(struct cel__vm *vm, enum cel__op op, kr_val x, kr_val y, kr_val *out)
{
    if (x.kind == KR_DURATION && y.kind == KR_DURATION)
        return arith_int(vm, op, x.i, y.i, out) < 0 ? KR_E_EVAL : (*out = cel__duration(out->i), 0);
    if (x.kind == KR_TIMESTAMP && y.kind == KR_DURATION)
        return shift_time(vm, x, y.i, op == OP_SUB, out);
    if (op == OP_SUB && x.kind == KR_TIMESTAMP && y.kind == KR_TIMESTAMP)
        return time_difference(vm, x, y, out);
    if (op == OP_ADD && x.kind == KR_DURATION && y.kind == KR_TIMESTAMP)
        return shift_time(vm, y, x.i, false, out);
    if (op == OP_ADD && x.kind == y.kind &&
        (x.kind == KR_STRING || x.kind == KR_BYTES || x.kind == KR_LIST))
        return cel__concat(vm, x, y, out);
    return 1;
}

static const char *op_name(enum cel__op op)
{
    switch (op) {
    case OP_ADD:
        return "_+_";
    case OP_SUB:
        return "_-_";
    case OP_MUL:
        return "_*_";
    case OP_DIV:
        return "_/_";
    case OP_MOD:
        return "_%_";
    case OP_LT:
        return "_<_";
    case OP_LE:
        return "_<=_";
    case OP_GT:
        return "_>_";
    case OP_GE:
        return "_>=_";
    case OP_NEGATE:
        return "-_";
    default:
        return "";
    }
}

/* Does the left operand know the operator at all? */
static bool capable(enum cel__op op, kr_val x)
{
    if (is_number(x))
        return !(op == OP_MOD && x.kind == KR_DOUBLE);
    switch (op) {
    case OP_ADD:
        return x.kind == KR_STRING || x.kind == KR_BYTES || x.kind == KR_LIST ||
               x.kind == KR_DURATION || x.kind == KR_TIMESTAMP;
    case OP_SUB:
        return x.kind == KR_DURATION || x.kind == KR_TIMESTAMP;
    case OP_LT:
    case OP_LE:
    case OP_GT:
    case OP_GE:
        return x.kind == KR_STRING || x.kind == KR_BYTES || x.kind == KR_BOOL ||
               x.kind == KR_DURATION || x.kind == KR_TIMESTAMP;
    default:
        return false;
    }
}

static int refuse(struct cel__vm *vm, enum cel__op op, kr_val x, kr_val y)
{
    if (x.kind == KR_ERROR || y.kind == KR_ERROR)
        return cel__raise_val(vm, x.kind == KR_ERROR ? x : y);
    if (capable(op, x) || x.kind == KR_STRING || x.kind == KR_TIMESTAMP || x.kind == KR_DURATION)
        return cel__no_overload(vm); /* cel-go asks these types themselves, with other words */
    return cel__raise(vm, "no such overload: %s", op_name(op));
}

static int order(struct cel__vm *vm, enum cel__op op, kr_val x, kr_val y, kr_val *out)
{
    int c;

    KR_TRY(cel__charge(vm, cel__look_at(x)));
    c = cel__compare(x, y);
    if (c == 3)
        return refuse(vm, op, x, y);
    *out = kr_bool(c != 2 && (op == OP_LT   ? c < 0
                              : op == OP_LE ? c <= 0
                              : op == OP_GT ? c > 0
                                            : c >= 0));
    return 0;
}

int cel__arith(struct cel__vm *vm, enum cel__op op, kr_val x, kr_val y, kr_val *out)
{
    int rc;

    if (op >= OP_LT && op <= OP_GE)
        return order(vm, op, x, y, out);
    if (x.kind == y.kind) {
        switch (x.kind) {
        case KR_INT:
            return arith_int(vm, op, x.i, y.i, out);
        case KR_UINT:
            return arith_uint(vm, op, x.u, y.u, out);
        case KR_DOUBLE:
            return arith_double(vm, op, x.d, y.d, out);
        }
    }
    if (op == OP_ADD || op == OP_SUB) {
        rc = arith_other(vm, op, x, y, out);
        if (rc <= 0)
            return rc;
    }
    return refuse(vm, op, x, y);
}

int cel__negate(struct cel__vm *vm, kr_val x, kr_val *out)
{
    switch (x.kind) {
    case KR_INT:
        if (x.i == INT64_MIN)
            return cel__raise(vm, overflow);
        *out = kr_int(-x.i);
        return 0;
    case KR_DOUBLE:
        *out = kr_double(-x.d);
        return 0;
    case KR_DURATION:
        if (x.i == INT64_MIN)
            return cel__raise(vm, overflow);
        *out = cel__duration(-x.i);
        return 0;
    case KR_ERROR:
        return cel__raise_val(vm, x);
    case KR_BOOL: /* in cel-go types that have a negation, or methods */
    case KR_STRING:
    case KR_TIMESTAMP:
        return cel__no_overload(vm);
    }
    return cel__raise(vm, "no such overload: -_");
}

bool cel__is_zero(kr_val v)
{
    switch (v.kind) {
    case KR_NULL:
        return true;
    case KR_BOOL:
        return !v.b;
    case KR_INT:
    case KR_UINT:
    case KR_DURATION:
        return v.i == 0;
    case KR_DOUBLE:
        return v.d == 0;
    case KR_STRING:
    case KR_BYTES:
    case KR_LIST:
    case KR_MAP:
        return v.n == 0;
    case KR_TIMESTAMP:
        return v.i == CEL__SECONDS_MIN && v.n == 0;
    }
    return false;
}

/* --- types of values -------------------------------------------------------------------------- */

kr_str cel__type_name(kr_val v)
{
    static const char *const names[] = {
        [KR_NONE] = "none",
        [KR_NULL] = "null_type",
        [KR_BOOL] = "bool",
        [KR_INT] = "int",
        [KR_UINT] = "uint",
        [KR_DOUBLE] = "double",
        [KR_STRING] = "string",
        [KR_LIST] = "list",
        [KR_MAP] = "map",
        [KR_BYTES] = "bytes",
        [KR_DURATION] = "google.protobuf.Duration",
        [KR_TIMESTAMP] = "google.protobuf.Timestamp",
        [KR_TYPE] = "type",
        [KR_OPTIONAL] = "optional_type",
        [KR_OPAQUE] = "",
        [KR_OMIT] = "kro.omit",
        [KR_ERROR] = "error",
    };

    return kr_str_c(v.kind == KR_OPAQUE ? v.obj->type->name : names[v.kind]);
}

const char *cel__go_type(kr_val v)
{
    switch (v.kind) {
    case KR_BOOL:
        return "bool";
    case KR_INT:
        return "int64";
    case KR_UINT:
        return "uint64";
    case KR_DOUBLE:
        return "float64";
    case KR_STRING:
        return "string";
    case KR_LIST:
        return "[]interface {}";
    case KR_MAP:
        return "map[string]interface {}";
    }
    return "<nil>";
}

static const char *go_opaque_type(const char *name)
{
    static const struct {
        const char *name, *go;
    } types[] = {
        {"net.IP", "cel.IP"},
        {"net.CIDR", "cel.CIDR"},
        {"kubernetes.URL", "cel.URL"},
        {"kubernetes.Quantity", "cel.Quantity"},
        {"kubernetes.Semver", "cel.Semver"},
        {"kubernetes.NamedFormat", "*cel.Format"},
    };

    for (size_t i = 0; i < KR_N(types); i++) {
        if (strcmp(name, types[i].name) == 0)
            return types[i].go;
    }
    return name;
}

const char *cel__go_val_type(kr_val v)
{
    switch (v.kind) {
    case KR_NULL:
        return "types.Null";
    case KR_BOOL:
        return "types.Bool";
    case KR_INT:
        return "types.Int";
    case KR_UINT:
        return "types.Uint";
    case KR_DOUBLE:
        return "types.Double";
    case KR_STRING:
        return "types.String";
    case KR_BYTES:
        return "types.Bytes";
    case KR_DURATION:
        return "types.Duration";
    case KR_TIMESTAMP:
        return "types.Timestamp";
    case KR_TYPE:
        return "*types.Type";
    case KR_OPTIONAL:
        return "*types.Optional";
    case KR_LIST:
        return "*types.baseList";
    case KR_MAP:
        return "*types.baseMap";
    case KR_OPAQUE:
        return go_opaque_type(v.obj->type->name);
    }
    return cel__type_name(v).s;
}

static uint32_t kinds_of(const struct cel_type *t)
{
    static const uint8_t kinds[] = {
        [TK_NULL] = KR_NULL,   [TK_BOOL] = KR_BOOL,         [TK_INT] = KR_INT,
        [TK_UINT] = KR_UINT,   [TK_DOUBLE] = KR_DOUBLE,     [TK_STRING] = KR_STRING,
        [TK_BYTES] = KR_BYTES, [TK_DURATION] = KR_DURATION, [TK_TIMESTAMP] = KR_TIMESTAMP,
        [TK_TYPE] = KR_TYPE,
    };

    if (t->kind == TK_DYN || t->kind == TK_ANY || t->kind == TK_VAR)
        return CEL__ANY_KIND;
    return t->kind < KR_N(kinds) && kinds[t->kind] ? 1u << kinds[t->kind] : 0;
}

bool cel__guard_kinds(const struct cel_type *t, uint32_t i, struct cel__option *out)
{
    const struct kr_opaque_type *opaque;

    out->items[i] = CEL__ANY_ITEM;
    out->kinds[i] = kinds_of(t);
    switch (t->kind) {
    case TK_LIST:
        out->kinds[i] = 1u << KR_LIST;
        out->items[i] = t->params[0]->kind == TK_VAR ? CEL__ANY_ITEM : kinds_of(t->params[0]);
        return out->items[i] != 0;
    case TK_MAP:
        out->kinds[i] = 1u << KR_MAP;
        return t->params[0]->kind == TK_VAR;
    case TK_OPAQUE:
    case TK_OBJECT:
        if (t->kind == TK_OPAQUE && kr_str_is(t->name, "optional_type")) {
            out->kinds[i] = 1u << KR_OPTIONAL;
            return true;
        }
        out->kinds[i] = 1u << KR_OPAQUE;
        opaque = cel__opaque_type(t->name);
        if (!opaque || (out->opaque && out->opaque != opaque))
            return false;
        out->opaque = opaque;
        return true;
    }
    return out->kinds[i] != 0;
}

bool cel__guard(struct cel__vm *vm, const struct cel_type *t, kr_val v)
{
    static const uint8_t kinds[] = {
        [TK_NULL] = KR_NULL,   [TK_BOOL] = KR_BOOL,         [TK_INT] = KR_INT,
        [TK_UINT] = KR_UINT,   [TK_DOUBLE] = KR_DOUBLE,     [TK_STRING] = KR_STRING,
        [TK_BYTES] = KR_BYTES, [TK_DURATION] = KR_DURATION, [TK_TIMESTAMP] = KR_TIMESTAMP,
        [TK_LIST] = KR_LIST,   [TK_MAP] = KR_MAP,           [TK_TYPE] = KR_TYPE,
    };

    switch (t->kind) {
    case TK_DYN:
    case TK_ANY:
    case TK_VAR:
    case TK_ERROR:
        return v.kind != KR_ERROR;
    case TK_LIST:
        return v.kind == KR_LIST && (!v.n || t->params[0]->kind == TK_VAR ||
                                     cel__guard(vm, t->params[0], cel__item(vm, v, 0)));
    case TK_MAP:
        return v.kind == KR_MAP && (!v.n || t->params[0]->kind == TK_VAR ||
                                    (cel__guard(vm, t->params[0], v.map[0].key) &&
                                     cel__guard(vm, t->params[1], cel__typed_entry(vm, v, 0))));
    case TK_OPAQUE:
        if (kr_str_is(t->name, "optional_type"))
            return v.kind == KR_OPTIONAL;
        return v.kind == KR_OPAQUE && kr_str_eq(kr_str_c(v.obj->type->name), t->name);
    case TK_OBJECT:
        return v.kind == KR_OPAQUE && kr_str_eq(kr_str_c(v.obj->type->name), t->name);
    }
    return v.kind == kinds[t->kind];
}
