/* SPDX-License-Identifier: Apache-2.0 */
/* typed.c - Kubernetes data read through its OpenAPI schema.
 *
 * A map or list that is read through a schema carries a handle in kr_val.aux: an entry of the
 * program's table, which holds only the schema nodes the program can reach. Conversion happens on
 * access, one level at a time: dates become timestamps, byte fields bytes, null properties are
 * absent. Data that does not fit becomes an error value at that leaf only. The data itself is never
 * copied, so an object that is passed through untouched comes out as it went in.
 *
 * Source: kro:pkg/cel/unstructured; k8s.io/apiserver pkg/cel/common; go-openapi strfmt; reference
 * section 15.4.
 */
#include "cel/internal.h"

#include <math.h>

#include "cel/base/time.h"
#include "cel/text.h"

#include "cel/base/banned.h"

/* --- the table of a program ------------------------------------------------------------------- */

static uint16_t rt_new(struct cel__rt_builder *b, const struct cel_schema *s)
{
    if (b->n == UINT16_MAX) {
        b->full = true;
        return 0;
    }
    if (b->n == b->cap) {
        uint32_t cap = b->cap ? 2 * b->cap : 8;
        struct cel__rt *types = kr_new_n(b->tmp, struct cel__rt, cap);
        const struct cel_schema **seen = kr_new_n(b->tmp, const struct cel_schema *, cap);

        if (b->n) {
            memcpy(types, b->types, b->n * sizeof(*types));
            memcpy(seen, b->seen, b->n * sizeof(*seen));
        }
        b->types = types;
        b->seen = seen;
        b->cap = cap;
    }
    b->seen[b->n] = s;
    b->types[b->n] = (struct cel__rt){
        .type = s->type,
        .format = s->format,
        .list_type = s->list_type,
        .int_or_string = s->int_or_string || s->format == CEL_F_INT_OR_STRING,
        .preserve = s->preserve_unknown || s->string_or_number || s->format == CEL_F_QUANTITY,
        .nullable = s->nullable,
        .object_like = s->type == CEL_S_OBJECT && (s->fields_n || s->embedded),
        .is_map = s->type == CEL_S_OBJECT && !s->fields_n && !s->embedded && s->additional,
    };
    return (uint16_t)++b->n;
}

static const kr_str *copy_names(struct kr_arena *a, const kr_str *names, uint32_t n)
{
    kr_str *copy = n ? kr_new_n(a, kr_str, n) : NULL;

    for (uint32_t i = 0; i < n; i++)
        copy[i] = kr_strdup(a, names[i]);
    return copy;
}

static void set_map_keys(struct cel__rt_builder *b, uint16_t h, const struct cel_schema *s)
{
    b->types[h - 1].map_keys = s->map_keys;
    b->types[h - 1].map_keys_n = (uint16_t)s->map_keys_n;
}

uint16_t cel__rt_whole(struct cel__rt_builder *b, const struct cel_schema *s)
{
    struct cel__rt_field *fields;
    uint16_t h;
    uint16_t inner;

    if (!s)
        return 0;
    for (uint32_t i = b->n; i-- > 0;) { /* shared nodes are found again soon after */
        if (b->seen[i] == s)
            return (uint16_t)(i + 1);
    }
    h = rt_new(b, s);
    if (!h)
        return 0;
    fields = s->fields_n ? kr_new_n(b->tmp, struct cel__rt_field, s->fields_n) : NULL;
    for (uint32_t i = 0; i < s->fields_n; i++) {
        fields[i].name = s->fields[i].name;
        fields[i].type = cel__rt_whole(b, s->fields[i].schema);
    }
    b->types[h - 1].fields = fields;
    b->types[h - 1].fields_n = (uint16_t)s->fields_n;
    set_map_keys(b, h, s);
    inner = cel__rt_whole(b, s->items);
    b->types[h - 1].items = inner;
    inner = cel__rt_whole(b, s->additional);
    b->types[h - 1].additional = inner;
    return h;
}

static bool same_prefix(const struct cel_read *x, const struct cel_read *y, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (!kr_str_eq(x->names[i], y->names[i]))
            return false;
    }
    return true;
}

/* The reads that begin with the same names as `like`, up to and with depth. */
static uint32_t matching(const struct cel_read *reads, uint32_t n, const struct cel_read *like,
                         uint32_t depth, struct cel_read *out)
{
    uint32_t m = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (reads[i].names_n > depth && same_prefix(&reads[i], like, depth + 1))
            out[m++] = reads[i];
    }
    return m;
}

uint16_t cel__rt_paths(struct cel__rt_builder *b, const struct cel_schema *s,
                       const struct cel_read *reads, uint32_t n, uint32_t depth)
{
    struct cel__rt_field *fields;
    struct cel_read *some;
    uint16_t h;
    uint32_t fields_n = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (reads[i].names_n <= depth)
            return cel__rt_whole(b, s);
    }
    if (s->type != CEL_S_OBJECT || s->int_or_string || !s->fields_n)
        return cel__rt_whole(b, s);
    h = rt_new(b, s);
    if (!h)
        return 0;
    b->seen[h - 1] = NULL; /* not the whole of s */
    fields = kr_new_n(b->tmp, struct cel__rt_field, s->fields_n);
    some = kr_new_n(b->tmp, struct cel_read, n);
    for (uint32_t f = 0; f < s->fields_n; f++) {
        for (uint32_t i = 0; i < n; i++) {
            uint32_t m;

            if (!kr_str_eq(reads[i].names[depth], s->fields[f].name))
                continue;
            m = matching(reads, n, &reads[i], depth, some);
            fields[fields_n].name = s->fields[f].name;
            fields[fields_n++].type = cel__rt_paths(b, s->fields[f].schema, some, m, depth + 1);
            break;
        }
    }
    b->types[h - 1].fields = fields;
    b->types[h - 1].fields_n = (uint16_t)fields_n;
    return h;
}

/* --- the finished table ----------------------------------------------------------------------- */

static uint32_t hash_table(const struct cel__rt *types, uint32_t n)
{
    uint64_t h = n;

    for (uint32_t i = 0; i < n; i++) {
        h = h * 31 + types[i].type + types[i].items + types[i].additional;
        for (uint32_t k = 0; k < types[i].fields_n; k++)
            h = h * 31 + kr_str_hash(types[i].fields[k].name);
    }
    return (uint32_t)(h ^ h >> 32);
}

static bool same_type(const struct cel__rt *x, const struct cel__rt *y)
{
    if (x->type != y->type || x->format != y->format || x->list_type != y->list_type ||
        x->int_or_string != y->int_or_string || x->preserve != y->preserve ||
        x->nullable != y->nullable || x->object_like != y->object_like || x->is_map != y->is_map ||
        x->items != y->items || x->additional != y->additional || x->fields_n != y->fields_n ||
        x->map_keys_n != y->map_keys_n)
        return false;
    for (uint32_t i = 0; i < x->fields_n; i++) {
        if (x->fields[i].type != y->fields[i].type ||
            !kr_str_eq(x->fields[i].name, y->fields[i].name))
            return false;
    }
    for (uint32_t i = 0; i < x->map_keys_n; i++) {
        if (!kr_str_eq(x->map_keys[i], y->map_keys[i]))
            return false;
    }
    return true;
}

static bool same_table(const struct cel__tables *x, const struct cel__rt_builder *b, uint32_t hash)
{
    if (x->hash != hash || x->n != b->n)
        return false;
    for (uint32_t i = 0; i < x->n; i++) {
        if (!same_type(&x->types[i], &b->types[i]))
            return false;
    }
    return true;
}

static const struct cel__rt *copy_table(const struct cel__rt_builder *b)
{
    struct cel__rt *own = kr_new_n(b->a, struct cel__rt, b->n);

    for (uint32_t i = 0; i < b->n; i++) {
        const struct cel__rt *t = &b->types[i];
        struct cel__rt_field *fields =
            t->fields_n ? kr_new_n(b->a, struct cel__rt_field, t->fields_n) : NULL;

        for (uint32_t k = 0; k < t->fields_n; k++)
            fields[k] = (struct cel__rt_field){.name = kr_strdup(b->a, t->fields[k].name),
                                               .type = t->fields[k].type};
        own[i] = *t;
        own[i].fields = fields;
        own[i].map_keys = copy_names(b->a, t->map_keys, t->map_keys_n);
    }
    return own;
}

const struct cel__rt *cel__rt_table(const struct cel__rt_builder *b, struct cel__shared *shared)
{
    uint32_t hash = b->n && shared ? hash_table(b->types, b->n) : 0;
    struct cel__tables **list = shared ? &shared->tables[hash % KR_N(shared->tables)] : NULL;
    struct cel__tables *t;

    if (b->n == 0)
        return NULL;
    if (!shared)
        return copy_table(b);
    for (const struct cel__tables *it = *list; it; it = it->next) {
        if (same_table(it, b, hash))
            return it->types;
    }
    t = kr_new(b->a, struct cel__tables);
    *t = (struct cel__tables){.next = *list, .hash = hash, .n = b->n, .types = copy_table(b)};
    *list = t;
    return t->types;
}

/* --- scalars ---------------------------------------------------------------------------------- */

static const struct cel__rt *type_at(struct cel__vm *vm, uint16_t h)
{
    KR_DEBUG(h > 0 && h <= vm->p->types_n);
    return &vm->p->types[h - 1];
}

static kr_val typed_date_time(struct cel__vm *vm, kr_str s)
{
    int64_t seconds;
    uint32_t nanos;
    int16_t zone;
    kr_str wrong;

    if (!s.n)
        return cel__timestamp(0, 0, 0);
    if (cel__parse_date_time(s, &seconds, &nanos, &zone))
        return cel__timestamp(seconds, nanos, zone);
    wrong = cel__date_error(vm->a, s, true);
    return cel__error(vm, "Invalid date-time formatted string " KR_FMT ": " KR_FMT, KR_ARG(s),
                      KR_ARG(wrong));
}

static kr_val typed_date(struct cel__vm *vm, kr_str s)
{
    struct kr_civil c = {0};
    kr_str wrong = cel__date_error(vm->a, s, false);

    if (wrong.n)
        return cel__error(vm, "Invalid date formatted string " KR_FMT ": " KR_FMT, KR_ARG(s),
                          KR_ARG(wrong));
    c.year = (s.s[0] - '0') * 1000 + (s.s[1] - '0') * 100 + (s.s[2] - '0') * 10 + (s.s[3] - '0');
    c.month = (uint8_t)((s.s[5] - '0') * 10 + (s.s[6] - '0'));
    c.day = (uint8_t)((s.s[8] - '0') * 10 + (s.s[9] - '0'));
    return cel__timestamp(kr_civil_seconds(&c), 0, 0);
}

static kr_val typed_string(struct cel__vm *vm, const struct cel__rt *t, kr_val raw)
{
    kr_str s = kr_text(raw);
    kr_str bytes;
    size_t bad;
    int64_t nanos;

    if (raw.kind != KR_STRING)
        return cel__error(vm, "invalid data, expected string, got %s", cel__go_type(raw));
    switch (t->format) {
    case CEL_F_BYTE:
        if (!cel__base64_decode(vm->a, s, true, true, &bytes, &bad))
            return cel__error(vm,
                              "Invalid byte formatted string " KR_FMT
                              ": illegal base64 data at input byte %zu",
                              KR_ARG(s), bad);
        return cel__bytes(bytes);
    case CEL_F_DATE:
        return typed_date(vm, s);
    case CEL_F_DATE_TIME:
        return typed_date_time(vm, s);
    case CEL_F_DURATION:
        if (!cel__parse_loose_duration(s, &nanos))
            return cel__error(vm,
                              "Invalid duration " KR_FMT ": unable to parse " KR_FMT " as duration",
                              KR_ARG(s), KR_ARG(s));
        return cel__duration(nanos);
    }
    return raw;
}

static kr_val typed_integer(struct cel__vm *vm, kr_val raw)
{
    double d = raw.kind == KR_UINT ? (double)raw.u : raw.d;

    if (raw.kind == KR_INT)
        return raw;
    if (raw.kind != KR_DOUBLE && raw.kind != KR_UINT)
        return cel__error(vm, "invalid data, expected int, got %s", cel__go_type(raw));
    if (d != trunc(d) || d < -0x1p63 || d >= 0x1p63)
        return cel__error(vm, "invalid data, expected int, got non-integer float " KR_FMT,
                          KR_ARG(cel__double_text(vm->a, d)));
    return kr_int((int64_t)d);
}

static kr_val typed_number(struct cel__vm *vm, kr_val raw)
{
    switch (raw.kind) {
    case KR_INT:
        return kr_double((double)raw.i);
    case KR_UINT:
        return kr_double((double)raw.u);
    case KR_DOUBLE:
        return raw;
    }
    return cel__error(vm, "invalid data, expected float, got %s", cel__go_type(raw));
}

/* --- any value -------------------------------------------------------------------------------- */

static kr_val typed_object(struct cel__vm *vm, const struct cel__rt *t, kr_val raw, uint16_t h)
{
    if (raw.kind != KR_MAP)
        return cel__error(vm,
                          "invalid data, expected a map for the provided schema with type=object");
    raw.aux = t->object_like || t->is_map ? h : 0;
    return raw;
}

static kr_val typed_array(struct cel__vm *vm, const struct cel__rt *t, kr_val raw, uint16_t h)
{
    if (raw.kind != KR_LIST)
        return cel__error(
            vm, "invalid data, expected an array for the provided schema with type=array");
    if (!t->items)
        return cel__error(vm, "invalid array type, expected Items with a non-empty Schema");
    raw.aux = h;
    return raw;
}

kr_val cel__typed(struct cel__vm *vm, kr_val raw, uint16_t h)
{
    const struct cel__rt *t;

    if (!h || raw.kind == KR_NONE)
        return raw;
    t = type_at(vm, h);
    if (raw.kind == KR_NULL && !t->nullable)
        return cel__error(vm, "invalid data, got null for schema with nullable=false");
    if (raw.kind == KR_NULL)
        return raw;
    if (t->int_or_string) {
        if (raw.kind == KR_STRING || raw.kind == KR_INT)
            return raw;
        return cel__error(vm, "invalid data, expected XIntOrString value to be either a string or "
                              "integer");
    }
    switch (t->type) {
    case CEL_S_OBJECT:
        return typed_object(vm, t, raw, h);
    case CEL_S_ARRAY:
        return typed_array(vm, t, raw, h);
    case CEL_S_STRING:
        return typed_string(vm, t, raw);
    case CEL_S_NUMBER:
        return typed_number(vm, raw);
    case CEL_S_INTEGER:
        return typed_integer(vm, raw);
    case CEL_S_BOOLEAN:
        if (raw.kind != KR_BOOL)
            return cel__error(vm, "invalid data, expected bool, got %s", cel__go_type(raw));
        return raw;
    }
    if (t->preserve)
        return raw;
    return cel__error(vm,
                      "invalid type, expected object, array, number, integer, boolean or string, "
                      "or no type with x-kubernetes-int-or-string or "
                      "x-kubernetes-preserve-unknown-fields is true, got ");
}

uint16_t cel__rt_field(const struct cel__rt *t, kr_str raw)
{
    uint32_t lo = 0;
    uint32_t hi = t->fields_n;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        int c = kr_str_cmp(t->fields[mid].name, raw);

        if (c == 0)
            return t->fields[mid].type;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return 0;
}

/* The property raw of a typed object. */
static kr_val object_member(struct cel__vm *vm, const struct cel__rt *t, kr_val map, kr_str raw)
{
    const kr_val *v = cel__find(map.map, map.n, raw.s, (uint32_t)raw.n);

    if (!v || v->kind == KR_NONE || v->kind == KR_NULL)
        return KR_V_NONE;
    return cel__typed(vm, *v, cel__rt_field(t, raw));
}

kr_val cel__typed_member(struct cel__vm *vm, kr_val map, kr_str key)
{
    const struct cel__rt *t = type_at(vm, map.aux);
    kr_str raw;

    if (!t->object_like)
        return cel__typed(vm, kr_get(map, key), t->additional);
    return cel__unescape(vm->a, key, &raw) ? object_member(vm, t, map, raw) : KR_V_NONE;
}

kr_val cel__typed_select(struct cel__vm *vm, kr_val map, const struct cel__key *key)
{
    const struct cel__rt *t = type_at(vm, map.aux);

    if (!t->object_like)
        return cel__typed_member(vm, map, key->name.text);
    return key->accessible ? object_member(vm, t, map, key->unescaped) : KR_V_NONE;
}

bool cel__typed_is_object(struct cel__vm *vm, kr_val map)
{
    return map.aux && type_at(vm, map.aux)->object_like;
}

kr_val cel__typed_key(struct cel__vm *vm, kr_val map, kr_val key)
{
    kr_str escaped;

    if (key.kind == KR_STRING && cel__typed_is_object(vm, map) &&
        cel__escape(vm->a, kr_text(key), &escaped))
        return cel__str(vm->a, escaped);
    return key;
}

kr_val cel__typed_entry(struct cel__vm *vm, kr_val map, uint32_t i)
{
    const struct kr_pair *p = &map.map[i];
    const struct cel__rt *t;

    if (!map.aux)
        return p->val;
    t = type_at(vm, map.aux);
    if (!t->object_like)
        return cel__typed(vm, p->val, t->additional);
    if (p->val.kind == KR_NULL)
        return cel__error(vm, "no such key: " KR_FMT, KR_ARG(kr_text(p->key)));
    return cel__typed(vm, p->val, cel__rt_field(t, kr_text(p->key)));
}

/* --- lists that are sets or maps -------------------------------------------------------------- */

static enum cel_list_type list_type(struct cel__vm *vm, kr_val list)
{
    return list.aux ? type_at(vm, list.aux)->list_type : CEL_L_ATOMIC;
}

static bool list_has(struct cel__vm *vm, kr_val list, uint32_t n, kr_val v)
{
    for (uint32_t i = 0; i < n; i++) {
        if (kr_is_true(cel__equal(vm, cel__item(vm, list, i), v)))
            return true;
    }
    return false;
}

/* Are the key members of two items of a map list equal? */
static bool same_item_key(struct cel__vm *vm, const struct cel__rt *t, kr_val x, kr_val y)
{
    for (uint32_t k = 0; k < t->map_keys_n; k++) {
        if (!kr_equal(kr_get(x, t->map_keys[k]), kr_get(y, t->map_keys[k])))
            return false;
    }
    return true;
}

/* Index of the item of list with the key of v, or -1. */
static int64_t item_with_key(struct cel__vm *vm, const struct cel__rt *t, const kr_val *items,
                             uint32_t n, kr_val v)
{
    for (uint32_t i = 0; i < n; i++) {
        if (same_item_key(vm, t, items[i], v))
            return i;
    }
    return -1;
}

int cel__typed_equal(struct cel__vm *vm, kr_val a, kr_val b, kr_val *out)
{
    enum cel_list_type kind = list_type(vm, a);
    bool equal = a.n == b.n;

    if (kind == CEL_L_ATOMIC)
        return 1;
    KR_TRY(cel__charge(vm, (uint64_t)a.n * b.n));
    for (uint32_t i = 0; equal && i < b.n; i++) {
        kr_val v = cel__item(vm, b, i);

        if (kind == CEL_L_SET) {
            equal = list_has(vm, a, a.n, v);
        } else {
            int64_t at = item_with_key(vm, type_at(vm, a.aux), a.list, a.n, b.list[i]);

            equal = at >= 0 && kr_is_true(cel__equal(vm, cel__item(vm, a, (uint32_t)at), v));
        }
    }
    *out = kr_bool(equal);
    return 0;
}

kr_val cel__typed_concat(struct cel__vm *vm, kr_val a, kr_val b)
{
    enum cel_list_type kind = list_type(vm, a);
    const struct cel__rt *t = type_at(vm, a.aux);
    kr_val *items = kr_new_n(vm->a, kr_val, a.n + b.n);
    kr_val sum = {.kind = KR_LIST, .aux = a.aux, .n = a.n, .list = items};

    memcpy(items, a.list, a.n * sizeof(*items));
    for (uint32_t i = 0; i < b.n; i++) {
        int64_t at = -1;

        if (kind == CEL_L_SET && list_has(vm, sum, sum.n, cel__item(vm, b, i)))
            continue;
        if (kind == CEL_L_MAP)
            at = item_with_key(vm, t, items, sum.n, b.list[i]);
        items[at >= 0 ? (uint32_t)at : sum.n++] = b.list[i];
    }
    return sum;
}

/* --- results ---------------------------------------------------------------------------------- */

/* Items of a list converted; the list itself when nothing changes. */
static kr_val finish_list(struct cel__vm *vm, kr_val list)
{
    kr_val *items = NULL;

    for (uint32_t i = 0; i < list.n; i++) {
        kr_val was = list.list[i];
        kr_val is = cel__typed_finish(vm, cel__item(vm, list, i));

        if (!items && memcmp(&is, &was, sizeof(is)) != 0) {
            items = kr_new_n(vm->a, kr_val, list.n);
            memcpy(items, list.list, i * sizeof(*items));
        }
        if (items)
            items[i] = is;
    }
    list.aux = 0;
    if (items)
        list.list = items;
    return list;
}

static kr_val finish_map(struct cel__vm *vm, kr_val map)
{
    struct kr_pair *pairs = NULL;

    for (uint32_t i = 0; i < map.n; i++) {
        kr_val is = cel__typed_finish(vm, map.map[i].val);

        if (!pairs && memcmp(&is, &map.map[i].val, sizeof(is)) != 0) {
            pairs = kr_new_n(vm->a, struct kr_pair, map.n);
            memcpy(pairs, map.map, map.n * sizeof(*pairs));
        }
        if (pairs)
            pairs[i].val = is;
    }
    if (pairs)
        map.map = pairs;
    return map;
}

kr_val cel__typed_finish(struct cel__vm *vm, kr_val v)
{
    kr_val *inner;

    if (!vm->p->types_n)
        return v; /* nothing has a handle */
    if (v.kind != KR_LIST && v.kind != KR_MAP && !(v.kind == KR_OPTIONAL && v.ref))
        return v;
    if (v.kind == KR_MAP && v.aux) {
        v.aux = 0; /* goes out verbatim; the handle says something to this program only */
        return v;
    }
    if (vm->depth >= CEL__VALUE_DEPTH_MAX || vm->parts > CEL__VALUE_PARTS_MAX)
        return v;
    vm->parts += 1 + (v.kind == KR_OPTIONAL ? 0 : v.n);
    vm->depth++;
    if (v.kind == KR_LIST) {
        v = finish_list(vm, v);
    } else if (v.kind == KR_MAP) {
        v = finish_map(vm, v);
    } else {
        inner = kr_new(vm->a, kr_val);
        *inner = cel__typed_finish(vm, *v.ref);
        v.ref = inner;
    }
    vm->depth--;
    return v;
}

kr_val cel__typed_expand(struct cel__vm *vm, kr_val v)
{
    struct kr_pair *pairs;
    kr_val *items;

    if (v.kind == KR_OPTIONAL && v.ref) {
        items = kr_new(vm->a, kr_val);
        *items = cel__typed_expand(vm, *v.ref);
        v.ref = items;
    } else if (v.kind == KR_LIST) {
        items = kr_new_n(vm->a, kr_val, v.n);
        for (uint32_t i = 0; i < v.n; i++)
            items[i] = cel__typed_expand(vm, cel__item(vm, v, i));
        v.list = items;
    } else if (v.kind == KR_MAP) {
        pairs = kr_new_n(vm->a, struct kr_pair, v.n);
        for (uint32_t i = 0; i < v.n; i++) {
            pairs[i].key = cel__typed_key(vm, v, v.map[i].key);
            pairs[i].val = cel__typed_expand(vm, cel__typed_entry(vm, v, i));
        }
        v = cel__map_make(vm->a, pairs, v.n);
    }
    v.aux = v.kind == KR_TIMESTAMP ? v.aux : 0;
    return v;
}
