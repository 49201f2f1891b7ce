/* SPDX-License-Identifier: Apache-2.0 */
/* fn_lists.c - list functions of cel-go's extension, of Kubernetes' library and of kro's.
 *
 * Source: cel-go ext/lists.go; k8s.io/apiserver pkg/cel/library/lists.go;
 * kro:pkg/cel/library/lists.go.
 */
#include "cel/functions.h"

#include "cel/base/banned.h"

enum { RANGE_MAX = 1000000, FLATTEN_DEPTH_MAX = 250 };

/* --- parts ------------------------------------------------------------------------------------ */

/* The items of a list as plain values; an error among them is raised. */
static int plain_items(struct cel__vm *vm, kr_val list, kr_val **out)
{
    kr_val *items = kr_new_n(vm->a, kr_val, list.n);

    for (uint32_t i = 0; i < list.n; i++) {
        items[i] = cel__item(vm, list, i);
        if (items[i].kind == KR_ERROR)
            return cel__raise_val(vm, items[i]);
    }
    *out = items;
    return 0;
}

int fn_slice(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    int64_t from = args[1].i;
    int64_t to = args[2].i;
    kr_val *items;

    if (from < 0 || to < 0)
        return cel__raise(vm, "cannot slice(%lld, %lld), negative indexes not supported",
                          (long long)from, (long long)to);
    if (from > to)
        return cel__raise(vm,
                          "cannot slice(%lld, %lld), start index must be less than or equal to end "
                          "index",
                          (long long)from, (long long)to);
    if (to > args[0].n)
        return cel__raise(vm, "cannot slice(%lld, %lld), list is length %u", (long long)from,
                          (long long)to, args[0].n);
    KR_TRY(plain_items(vm, args[0], &items));
    *out = kr_list(items + from, (uint32_t)(to - from));
    return 0;
}

int fn_reverse_list(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    uint32_t len = args[0].n;
    kr_val *items;

    KR_TRY(plain_items(vm, args[0], &items));
    for (uint32_t i = 0; i < len / 2; i++) {
        kr_val x = items[i];

        items[i] = items[len - 1 - i];
        items[len - 1 - i] = x;
    }
    *out = kr_list(items, len);
    return 0;
}

static int flatten_into(struct cel__vm *vm, struct kr_listb *b, kr_val list, int64_t levels,
                        uint32_t depth)
{
    if (depth > FLATTEN_DEPTH_MAX)
        return cel__over_limit(vm);
    KR_TRY(cel__charge(vm, list.n));
    for (uint32_t i = 0; i < list.n; i++) {
        kr_val v = cel__item(vm, list, i);

        if (v.kind == KR_ERROR)
            return cel__raise_val(vm, v);
        if (v.kind == KR_LIST && levels > 0)
            KR_TRY(flatten_into(vm, b, v, levels - 1, depth + 1));
        else
            kr_listb_add(b, v);
    }
    return 0;
}

/* A run-time type with its parameters. */
static const char *container_type(kr_val v)
{
    if (v.kind == KR_LIST)
        return "list(dyn)";
    if (v.kind == KR_OPTIONAL)
        return "optional_type(dyn)";
    return v.kind == KR_MAP ? "map(dyn, dyn)" : cel__type_name(v).s;
}

int fn_flatten(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    struct kr_listb b = KR_LISTB(vm->a);
    int64_t levels = 1;

    if (args[0].kind != KR_LIST || (n > 1 && args[1].kind != KR_INT))
        return cel__raise(vm, "no such overload: %s.flatten(%s)", container_type(args[0]),
                          n > 1 ? container_type(args[1]) : "");
    if (n > 1)
        levels = args[1].i;
    if (levels < 0)
        return cel__raise(vm, "level must be non-negative");
    KR_TRY(flatten_into(vm, &b, args[0], levels, 0));
    *out = kr_listb_done(&b);
    return 0;
}

int fn_distinct(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    kr_val *items;
    uint32_t kept = 0;

    KR_TRY(plain_items(vm, args[0], &items));
    for (uint32_t i = 0; i < args[0].n; i++) {
        bool seen = false;

        KR_TRY(cel__charge(vm, kept));
        for (uint32_t k = 0; k < kept && !seen; k++)
            seen = kr_is_true(cel__equal(vm, items[i], items[k]));
        if (!seen)
            items[kept++] = items[i];
    }
    *out = kr_list(items, kept);
    return 0;
}

int fn_range(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    kr_val *items;

    if (args[0].i < 0)
        return cel__raise(vm, "lists.range: size must be non-negative, got %lld",
                          (long long)args[0].i);
    if (args[0].i > RANGE_MAX)
        return cel__raise(vm, "lists.range: size %lld exceeds maximum allowed (%d)",
                          (long long)args[0].i, RANGE_MAX);
    KR_TRY(cel__charge(vm, (uint64_t)args[0].i));
    items = kr_new_n(vm->a, kr_val, args[0].i);
    for (int64_t i = 0; i < args[0].i; i++)
        items[i] = kr_int(i);
    *out = kr_list(items, (uint32_t)args[0].i);
    return 0;
}

/* --- sorting ---------------------------------------------------------------------------------- */

enum { SORT_LOOKS = 20 }; /* at each element, at most for a million */

struct keyed {
    kr_val key, item;
};

static int key_order(const struct keyed *x, const struct keyed *y)
{
    int c = cel__compare(x->key, y->key);

    return c == 2 ? 0 : c;
}

/* Stable merge sort; t is scratch of the same size. */
static void sort_keyed(struct keyed *v, struct keyed *t, uint32_t n)
{
    for (uint32_t width = 1; width < n; width *= 2) {
        for (uint32_t at = 0; at < n; at += 2 * width) {
            uint32_t mid = at + width < n ? at + width : n;
            uint32_t end = at + 2 * width < n ? at + 2 * width : n;
            uint32_t i = at;
            uint32_t k = mid;

            for (uint32_t o = at; o < end; o++)
                t[o] = k == end || (i < mid && key_order(&v[i], &v[k]) <= 0) ? v[i++] : v[k++];
        }
        memcpy(v, t, n * sizeof(*v));
    }
}

/* Pays for comparing the texts among the items. */
static int charge_texts(struct cel__vm *vm, const kr_val *items, uint32_t n, uint32_t times)
{
    uint64_t steps = 0;

    for (uint32_t i = 0; i < n; i++)
        steps += cel__look_at(items[i]);
    return cel__charge(vm, times * steps);
}

static int sort_by(struct cel__vm *vm, kr_val list, kr_val keys, kr_val *out)
{
    struct keyed *v = kr_new_n(vm->a, struct keyed, list.n);
    kr_val *items;
    kr_val *key_items;

    KR_TRY(plain_items(vm, list, &items));
    KR_TRY(plain_items(vm, keys, &key_items));
    KR_TRY(cel__charge(vm, SORT_LOOKS * (uint64_t)list.n));
    KR_TRY(charge_texts(vm, key_items, keys.n, SORT_LOOKS));
    if (list.n != keys.n)
        return cel__raise(vm,
                          "@sortByAssociatedKeys() expected a list of the same size as the "
                          "associated keys list, but got %u and %u elements respectively",
                          list.n, keys.n);
    for (uint32_t i = 0; i < list.n; i++) {
        if (key_items[i].kind != key_items[0].kind)
            return cel__raise(vm, "list elements must have the same type");
        if (cel__compare(key_items[i], key_items[0]) == 3)
            return cel__raise(vm, "list elements must be comparable");
        v[i] = (struct keyed){.key = key_items[i], .item = items[i]};
    }
    sort_keyed(v, kr_new_n(vm->a, struct keyed, list.n), list.n);
    for (uint32_t i = 0; i < list.n; i++)
        items[i] = v[i].item;
    *out = kr_list(items, list.n);
    return 0;
}

int fn_sort(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    if (args[0].kind == KR_STRING || args[0].kind == KR_TIMESTAMP || args[0].kind == KR_DURATION)
        return cel__no_overload(vm); /* in cel-go types with methods of their own */
    if (args[0].kind != KR_LIST)
        return cel__raise(vm, "no such overload: sort");
    return sort_by(vm, args[0], args[0], out);
}

int fn_sort_by_keys(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    if (args[0].kind != KR_LIST || args[1].kind != KR_LIST)
        return cel__raise(vm, "no such overload: @sortByAssociatedKeys");
    return sort_by(vm, args[0], args[1], out);
}

/* --- Kubernetes' lists ------------------------------------------------------------------------ */

/* Is v of a type that has an order? */
static bool ordered(kr_val v)
{
    return cel__compare(v, v) != 3;
}

int fn_is_sorted(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    kr_val *items;
    bool sorted = true;

    KR_TRY(plain_items(vm, args[0], &items));
    KR_TRY(charge_texts(vm, items, args[0].n, 1));
    for (uint32_t i = 0; i < args[0].n && sorted; i++) {
        if (!ordered(items[i]))
            return cel__no_overload(vm);
        sorted = i == 0 || cel__compare(items[i - 1], items[i]) != 1;
    }
    *out = kr_bool(sorted);
    return 0;
}

static int sum(struct cel__vm *vm, kr_val list, kr_val zero, kr_val *out)
{
    kr_val *items;
    kr_val total = zero;

    KR_TRY(plain_items(vm, list, &items));
    for (uint32_t i = 0; i < list.n; i++)
        KR_TRY(cel__arith(vm, OP_ADD, total, items[i], &total));
    *out = total;
    return 0;
}

int fn_sum_int(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return sum(vm, args[0], kr_int(0), out);
}

int fn_sum_uint(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return sum(vm, args[0], kr_uint(0), out);
}

int fn_sum_double(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return sum(vm, args[0], kr_double(0), out);
}

int fn_sum_duration(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return sum(vm, args[0], cel__duration(0), out);
}

static int extreme(struct cel__vm *vm, kr_val list, const char *name, int want, kr_val *out)
{
    kr_val *items;

    KR_TRY(plain_items(vm, list, &items));
    if (!list.n)
        return cel__raise(vm, "%s called on empty list", name);
    KR_TRY(charge_texts(vm, items, list.n, 1));
    for (uint32_t i = 0; i < list.n; i++) {
        if (!ordered(items[i]))
            return cel__no_overload(vm);
        if (cel__compare(items[i], items[0]) == want)
            items[0] = items[i];
    }
    *out = items[0];
    return 0;
}

int fn_min(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return extreme(vm, args[0], "min", -1, out);
}

int fn_max(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return extreme(vm, args[0], "max", 1, out);
}

static int find_item(struct cel__vm *vm, const kr_val *args, bool last, kr_val *out)
{
    uint32_t n = args[0].n;

    for (uint32_t k = 0; k < n; k++) {
        uint32_t i = last ? n - 1 - k : k;

        if (kr_is_true(cel__equal(vm, cel__item(vm, args[0], i), args[1]))) {
            *out = kr_int(i);
            return 0;
        }
    }
    *out = kr_int(-1);
    return 0;
}

int fn_list_index_of(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return find_item(vm, args, false, out);
}

int fn_list_last_index_of(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return find_item(vm, args, true, out);
}

/* --- kro's lists ------------------------------------------------------------------------------ */

static int bad_index(struct cel__vm *vm, const char *name, int64_t i, uint32_t n, char close)
{
    return cel__raise(vm, "lists.%s: index %lld out of bounds [0, %u%c", name, (long long)i, n,
                      close);
}

int fn_set_at_index(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    kr_val *items;

    if (args[1].i < 0 || args[1].i >= args[0].n)
        return bad_index(vm, "setAtIndex", args[1].i, args[0].n, ')');
    KR_TRY(plain_items(vm, args[0], &items));
    items[args[1].i] = args[2];
    *out = kr_list(items, args[0].n);
    return 0;
}

int fn_insert_at_index(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    uint32_t len = args[0].n;
    kr_val *items;
    kr_val *more;

    if (args[1].i < 0 || args[1].i > len)
        return bad_index(vm, "insertAtIndex", args[1].i, len, ']');
    KR_TRY(plain_items(vm, args[0], &items));
    more = kr_new_n(vm->a, kr_val, len + 1);
    memcpy(more, items, (size_t)args[1].i * sizeof(*more));
    more[args[1].i] = args[2];
    memcpy(more + args[1].i + 1, items + args[1].i, (len - (size_t)args[1].i) * sizeof(*more));
    *out = kr_list(more, len + 1);
    return 0;
}

int fn_remove_at_index(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    uint32_t len = args[0].n;
    kr_val *items;

    if (args[1].i < 0 || args[1].i >= len)
        return bad_index(vm, "removeAtIndex", args[1].i, len, ')');
    KR_TRY(plain_items(vm, args[0], &items));
    memmove(items + args[1].i, items + args[1].i + 1,
            (len - 1 - (size_t)args[1].i) * sizeof(*items));
    *out = kr_list(items, len - 1);
    return 0;
}
