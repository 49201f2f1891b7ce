/* SPDX-License-Identifier: Apache-2.0 */
/* typed.c - objects merged, compared and cut by their schema.
 *
 * Every walk asks shape_of what a place is and then does one of three things: treat it as one thing
 * (LEAF), go through members (MAP) or through items found by their elements (LIST). Children of a
 * place that the schema does not describe have a NULL schema, by which values describe themselves.
 *
 * Source: structured-merge-diff typed/{merge,compare,remove,tofieldset,validate}.go.
 */
#include "kube/sandbox/typed.h"

#include "cel/base/buf.h"
#include "cel/base/json.h"
#include "cel/base/map.h"

#include "cel/base/banned.h"

enum shape { LEAF, MAP, LIST };

/* What a place with values x and y (either may be absent) is. */
static enum shape shape_of(const struct cel_schema *s, kr_val x, kr_val y)
{
    kr_val v = x.kind == KR_NONE || x.kind == KR_NULL ? y : x;

    if (s && s->type == CEL_S_ARRAY)
        return s->list_type == CEL_L_ATOMIC ? LEAF : LIST;
    if (s && s->type == CEL_S_OBJECT)
        return s->map_atomic ? LEAF : MAP;
    if (s && s->type != CEL_S_NONE)
        return LEAF;
    return v.kind == KR_MAP ? MAP : LEAF;
}

static bool is_empty(kr_val v)
{
    return (v.kind != KR_MAP && v.kind != KR_LIST) || v.n == 0;
}

static const struct cel_schema *member_of(const struct cel_schema *s, kr_str name)
{
    return s ? cel_schema_member(s, name) : NULL;
}

/* --- items ------------------------------------------------------------------------------------ */

/* The element of an item; empty: it has none of the keys. */
static kr_str element_of(struct kr_arena *a, const struct cel_schema *list, kr_val item)
{
    struct kr_mapb keys = KR_MAPB(a);

    if (list->list_type == CEL_L_SET)
        return sandbox_element_value(a, item);
    for (uint32_t i = 0; i < list->map_keys_n; i++) {
        kr_val v = kr_get(item, list->map_keys[i]);
        const struct cel_schema *field = member_of(list->items, list->map_keys[i]);

        if (v.kind == KR_NONE && field)
            v = field->default_value;
        if (v.kind != KR_NONE)
            kr_mapb_put(&keys, list->map_keys[i], v);
    }
    return keys.n ? sandbox_element_keys(a, kr_mapb_done(&keys)) : KR_S("");
}

/* A list by its elements. The first item of an element counts; how many there are is told. */
struct index {
    kr_str *elements;
    uint32_t n;
    struct kr_map first; /* element -> item */
};

static void index_fini(struct index *x)
{
    kr_map_fini(&x->first);
}

static void index_init(struct index *x, struct kr_arena *a, const struct cel_schema *s, kr_val list)
{
    x->n = list.kind == KR_LIST ? list.n : 0;
    x->elements = kr_new_n(a, kr_str, x->n + 1);
    x->first = (struct kr_map){0};
    for (uint32_t i = 0; i < x->n; i++) {
        x->elements[i] = element_of(a, s, list.list[i]);
        if (!kr_map_get(&x->first, x->elements[i]))
            kr_map_put(&x->first, x->elements[i], (void *)&list.list[i]);
    }
}

static kr_val index_get(const struct index *x, kr_str element)
{
    const kr_val *item = kr_map_get(&x->first, element);

    return item ? *item : KR_V_NONE;
}

/* All items of an element, as a list: more than one where it comes twice. */
static kr_val index_all(struct kr_arena *a, const struct index *x, kr_val list, kr_str element)
{
    struct kr_listb out = KR_LISTB(a);

    for (uint32_t i = 0; i < x->n; i++) {
        if (kr_str_eq(x->elements[i], element))
            kr_listb_add(&out, list.list[i]);
    }
    return kr_listb_done(&out);
}

/* --- check ------------------------------------------------------------------------------------ */

struct checker {
    struct kr_arena *a;
    kr_str errors[SANDBOX_TYPED_ERRORS_MAX];
    uint32_t n;
};

static void complain(struct checker *c, kr_str text)
{
    if (c->n < SANDBOX_TYPED_ERRORS_MAX)
        c->errors[c->n++] = text;
}

/* A value as Go prints it: with %v, or with %#v. */
static void go_print(struct kr_buf *b, kr_val v, bool sharp)
{
    const char *sep = sharp ? ", " : " ", *end = sharp ? "}" : "]", *next = "";

    if (v.kind == KR_STRING && !sharp) {
        kr_buf_str(b, kr_text(v));
    } else if (v.kind == KR_LIST) {
        kr_buf_fmt(b, sharp ? "[]interface {}{" : "[");
        KR_LIST_EACH (it, v) {
            kr_buf_fmt(b, "%s", next);
            go_print(b, *it, sharp);
            next = sep;
        }
        kr_buf_fmt(b, "%s", end);
    } else if (v.kind == KR_MAP) {
        kr_buf_fmt(b, sharp ? "map[string]interface {}{" : "map[");
        KR_MAP_EACH (p, v) {
            kr_buf_fmt(b, "%s", next);
            go_print(b, p->key, sharp);
            kr_buf_chr(b, ':');
            go_print(b, p->val, sharp);
            next = sep;
        }
        kr_buf_fmt(b, "%s", end);
    } else if (v.kind == KR_NULL) {
        kr_buf_fmt(b, sharp ? "interface {}(nil)" : "<nil>");
    } else if (kr_json_write(b, v, 0, NULL) < 0) {
        kr_buf_chr(b, '?');
    }
}

static kr_str go_text(struct kr_arena *a, kr_val v, bool sharp)
{
    struct kr_buf b = KR_BUF_IN(a, KR_ERR_MAX);

    kr_buf_fmt(&b, sharp ? "&value.valueUnstructured{Value:" : "&{");
    go_print(&b, v, sharp);
    kr_buf_chr(&b, '}');
    return kr_buf_view(&b);
}

static const char *go_type(kr_val v)
{
    switch (v.kind) {
    case KR_BOOL:
        return "bool";
    case KR_STRING:
        return "string";
    case KR_MAP:
        return "map[string]interface {}";
    default:
        return "[]interface {}";
    }
}

/* "expected string, got ..."; empty: it is what is expected. Each as the server words it. */
static kr_str unexpected(struct kr_arena *a, const struct cel_schema *s, kr_val v)
{
    bool number = v.kind == KR_INT || v.kind == KR_UINT || v.kind == KR_DOUBLE;

    switch (s->int_or_string || s->string_or_number ? CEL_S_NONE : s->type) {
    case CEL_S_STRING:
        if (v.kind == KR_STRING || s->format == CEL_F_QUANTITY)
            return KR_S("");
        return kr_fmt(a, "expected string, got " KR_FMT, KR_ARG(go_text(a, v, true)));
    case CEL_S_BOOLEAN:
        if (v.kind == KR_BOOL)
            return KR_S("");
        return kr_fmt(a, "expected boolean, got " KR_FMT, KR_ARG(go_text(a, v, false)));
    case CEL_S_INTEGER:
    case CEL_S_NUMBER:
        return number ? KR_S("") : kr_fmt(a, "expected numeric (int or float), got %s", go_type(v));
    case CEL_S_OBJECT:
        if (v.kind == KR_MAP)
            return KR_S("");
        return kr_fmt(a, "expected map, got " KR_FMT, KR_ARG(go_text(a, v, false)));
    case CEL_S_ARRAY:
        if (v.kind == KR_LIST)
            return KR_S("");
        return kr_fmt(a, "expected list, got " KR_FMT, KR_ARG(go_text(a, v, false)));
    default:
        return KR_S("");
    }
}

static void check(struct checker *c, const struct cel_schema *s, kr_val v, kr_str path);

static void check_items(struct checker *c, const struct cel_schema *s, kr_val v, kr_str path)
{
    struct kr_map seen __attribute__((cleanup(kr_map_fini))) = {0};

    for (uint32_t i = 0; i < v.n; i++) {
        kr_str element = s->list_type == CEL_L_ATOMIC ? KR_S("") : element_of(c->a, s, v.list[i]);
        kr_str at = kr_fmt(c->a, KR_FMT "[%u]", KR_ARG(path), i);

        if (s->list_type != CEL_L_ATOMIC && element.n == 0) {
            complain(c,
                     kr_fmt(c->a,
                            KR_FMT ": element %u: associative list with keys has an element that "
                                   "omits key field " KR_FMT " (and doesn't have default value)",
                            KR_ARG(path), i,
                            KR_ARG(kr_json_str(
                                c->a, kr_string(s->map_keys_n ? s->map_keys[0] : KR_S(""))))));
            return;
        }
        if (element.n)
            at = kr_fmt(c->a, KR_FMT KR_FMT, KR_ARG(path),
                        KR_ARG(sandbox_element_text(c->a, element)));
        if (element.n && kr_map_put(&seen, element, (void *)s))
            complain(c, kr_fmt(c->a, KR_FMT ": duplicate entries for key " KR_FMT, KR_ARG(path),
                               KR_ARG(sandbox_element_text(c->a, element))));
        check(c, s->items, v.list[i], at);
    }
}

static void check_members(struct checker *c, const struct cel_schema *s, kr_val v, kr_str path)
{
    bool open = s->preserve_unknown || s->additional || s->additional_any || s->fields_n == 0;

    KR_MAP_EACH (p, v) {
        kr_str name = kr_text(p->key);
        kr_str at = kr_fmt(c->a, KR_FMT "." KR_FMT, KR_ARG(path), KR_ARG(name));

        if (!open && !cel_schema_field(s, name))
            complain(c, kr_fmt(c->a, KR_FMT ": field not declared in schema", KR_ARG(at)));
        else
            check(c, cel_schema_member(s, name), p->val, at);
    }
}

static void check(struct checker *c, const struct cel_schema *s, kr_val v, kr_str path)
{
    kr_str wrong = s && v.kind != KR_NULL ? unexpected(c->a, s, v) : KR_S("");

    if (s == NULL || v.kind == KR_NULL)
        return;
    if (wrong.n)
        complain(c, kr_fmt(c->a, KR_FMT ": " KR_FMT, KR_ARG(path), KR_ARG(wrong)));
    else if (s->type == CEL_S_ARRAY)
        check_items(c, s, v, path);
    else if (s->type == CEL_S_OBJECT)
        check_members(c, s, v, path);
}

int sandbox_typed_check(struct kr_arena *a, const struct cel_schema *s, kr_val v,
                        struct kr_err *err)
{
    struct checker c = {.a = a};
    struct kr_buf all = KR_BUF_IN(a, KR_ERR_MAX);

    check(&c, s, v, KR_S(""));
    if (c.n == 0)
        return 0;
    kr_buf_fmt(&all, "%s", c.n > 1 ? "errors:" : "");
    for (uint32_t i = 0; i < c.n; i++)
        kr_buf_fmt(&all, "%s" KR_FMT, c.n > 1 ? "\n  " : "", KR_ARG(c.errors[i]));
    return kr_fail(err, KR_E_INPUT, KR_FMT, KR_ARG(kr_buf_view(&all)));
}

/* --- fields of a value ------------------------------------------------------------------------ */

static bool fields_of(struct kr_arena *a, const struct cel_schema *s, kr_val v, kr_val *below);

static kr_val item_fields(struct kr_arena *a, const struct cel_schema *s, kr_val v)
{
    struct kr_mapb b = KR_MAPB(a);
    kr_val below;

    KR_LIST_EACH (item, v) {
        kr_str element = element_of(a, s, *item);

        fields_of(a, s->items, *item, &below);
        if (element.n)
            sandbox_fields_put(&b, element, true, below);
    }
    return kr_mapb_done(&b);
}

static kr_val member_fields(struct kr_arena *a, const struct cel_schema *s, kr_val v)
{
    struct kr_mapb b = KR_MAPB(a);

    KR_MAP_EACH (p, v) {
        kr_str name = kr_text(p->key);
        kr_val below;
        bool member = fields_of(a, member_of(s, name), p->val, &below);

        member |= p->val.kind == KR_NULL || (p->val.kind == KR_MAP && p->val.n == 0) || s == NULL ||
                  !cel_schema_field(s, name);
        sandbox_fields_put(&b, sandbox_element_field(a, name), member, below);
    }
    return kr_mapb_done(&b);
}

/* The set below v; true: v itself is one field. */
static bool fields_of(struct kr_arena *a, const struct cel_schema *s, kr_val v, kr_val *below)
{
    enum shape shape = shape_of(s, v, KR_V_NONE);

    *below = SANDBOX_NO_FIELDS;
    if (shape == LEAF)
        return true;
    *below = shape == MAP ? member_fields(a, s, v) : item_fields(a, s, v);
    return false;
}

kr_val sandbox_typed_fields(struct kr_arena *a, const struct cel_schema *s, kr_val v)
{
    kr_val out;

    fields_of(a, s, v, &out);
    return out;
}

/* --- comparing -------------------------------------------------------------------------------- */

enum { REMOVED, MODIFIED, ADDED, DIFFS };

/* What differs at a place: whether itself, and the sets below. */
struct place {
    bool self[DIFFS];
    kr_val below[DIFFS];
};

static struct place compare(struct kr_arena *a, const struct cel_schema *s, kr_val x, kr_val y);

static void put_places(struct kr_mapb b[DIFFS], kr_str element, const struct place *p)
{
    for (int i = 0; i < DIFFS; i++)
        sandbox_fields_put(&b[i], element, p->self[i], p->below[i]);
}

static void compare_members(struct kr_arena *a, const struct cel_schema *s, kr_val x, kr_val y,
                            struct kr_mapb b[DIFFS])
{
    KR_MAP_EACH (p, x) {
        kr_str name = kr_text(p->key);
        struct place at = compare(a, member_of(s, name), p->val, kr_get(y, name));

        put_places(b, sandbox_element_field(a, name), &at);
    }
    KR_MAP_EACH (p, y) {
        kr_str name = kr_text(p->key);
        struct place at;

        if (kr_get(x, name).kind != KR_NONE)
            continue;
        at = compare(a, member_of(s, name), KR_V_NONE, p->val);
        put_places(b, sandbox_element_field(a, name), &at);
    }
}

/* Items of one element: where it comes twice on a side, they are compared as one thing. */
static struct place compare_element(struct kr_arena *a, const struct cel_schema *s, kr_val xs,
                                    kr_val ys)
{
    struct place at = {0};

    if (xs.n <= 1 && ys.n <= 1)
        return compare(a, s->items, kr_item(xs, 0), kr_item(ys, 0));
    if (kr_equal(xs, ys))
        return at;
    at.self[xs.n == 0 ? ADDED : ys.n == 0 ? REMOVED : MODIFIED] = true;
    return at;
}

static void compare_items(struct kr_arena *a, const struct cel_schema *s, kr_val x, kr_val y,
                          struct kr_mapb b[DIFFS])
{
    struct index ix __attribute__((cleanup(index_fini))), iy __attribute__((cleanup(index_fini)));
    struct kr_map done __attribute__((cleanup(kr_map_fini))) = {0};

    index_init(&ix, a, s, x);
    index_init(&iy, a, s, y);
    for (uint32_t i = 0; i < ix.n + iy.n; i++) {
        kr_str element = i < ix.n ? ix.elements[i] : iy.elements[i - ix.n];
        struct place at;

        if (element.n == 0 || kr_map_put(&done, element, (void *)s))
            continue;
        if (ix.first.n == ix.n && iy.first.n == iy.n)
            at = compare(a, s->items, index_get(&ix, element), index_get(&iy, element));
        else
            at =
                compare_element(a, s, index_all(a, &ix, x, element), index_all(a, &iy, y, element));
        put_places(b, element, &at);
    }
}

static struct place compare(struct kr_arena *a, const struct cel_schema *s, kr_val x, kr_val y)
{
    struct kr_mapb b[DIFFS] = {KR_MAPB(a), KR_MAPB(a), KR_MAPB(a)};
    enum shape shape = shape_of(s, x, y);
    struct place at = {0};

    at.self[REMOVED] = y.kind == KR_NONE;
    at.self[ADDED] = x.kind == KR_NONE;
    if (kr_equal(x, y))
        return at;
    if (shape == LEAF || (is_empty(x) && is_empty(y))) {
        at.self[MODIFIED] = x.kind != KR_NONE && y.kind != KR_NONE;
        return at;
    }
    if (s == NULL || s->type == CEL_S_NONE) /* a value of another kind: both as they are */
        at.self[MODIFIED] = x.kind != KR_NONE && y.kind != KR_NONE && x.kind != y.kind &&
                            x.kind != KR_NULL && y.kind != KR_NULL;
    if (shape == MAP)
        compare_members(a, s, x, y, b);
    else
        compare_items(a, s, x, y, b);
    for (int i = 0; i < DIFFS; i++)
        at.below[i] = kr_mapb_done(&b[i]);
    return at;
}

void sandbox_typed_compare(struct kr_arena *a, const struct cel_schema *s, kr_val old, kr_val next,
                           struct sandbox_diff *out)
{
    struct place at = compare(a, s, old, next);

    for (int i = 0; i < DIFFS; i++) {
        if (at.below[i].kind != KR_MAP)
            at.below[i] = SANDBOX_NO_FIELDS;
    }
    *out = (struct sandbox_diff){at.below[REMOVED], at.below[MODIFIED], at.below[ADDED]};
}

/* --- merging ---------------------------------------------------------------------------------- */

static kr_val merge(struct kr_arena *a, const struct cel_schema *s, kr_val x, kr_val y);

static kr_val merge_members(struct kr_arena *a, const struct cel_schema *s, kr_val x, kr_val y)
{
    struct kr_mapb b = KR_MAPB(a);

    KR_MAP_EACH (p, x)
        kr_mapb_put(&b, kr_text(p->key),
                    merge(a, member_of(s, kr_text(p->key)), p->val, kr_get(y, kr_text(p->key))));
    KR_MAP_EACH (p, y) {
        if (kr_get(x, kr_text(p->key)).kind == KR_NONE)
            kr_mapb_put(&b, kr_text(p->key),
                        merge(a, member_of(s, kr_text(p->key)), KR_V_NONE, p->val));
    }
    return kr_mapb_done(&b);
}

/* The order of merged items: ours (y) among themselves, the others where they stood. */
struct weave {
    struct kr_arena *a;
    const struct cel_schema *s;
    struct index x, y;
    kr_val list_x;
    struct kr_map merged; /* elements of y that are out already */
    uint32_t shared;      /* the next element of y that x has too; y.n: none */
    struct kr_listb out;
};

static void next_shared(struct weave *w, uint32_t from)
{
    w->shared = from;
    while (w->shared < w->y.n && !kr_map_get(&w->x.first, w->y.elements[w->shared]))
        w->shared++;
}

static void take_y(struct weave *w, uint32_t i)
{
    kr_str element = w->y.elements[i];

    kr_map_put(&w->merged, element, w);
    kr_listb_add(&w->out,
                 merge(w->a, w->s->items, index_get(&w->x, element), index_get(&w->y, element)));
    if (w->shared == i)
        next_shared(w, i + 1);
}

static kr_val merge_items(struct kr_arena *a, const struct cel_schema *s, kr_val x, kr_val y)
{
    struct weave w = {.a = a, .s = s, .list_x = x, .out = KR_LISTB(a)};
    uint32_t i = 0, k = 0;

    index_init(&w.x, a, s, x);
    index_init(&w.y, a, s, y);
    next_shared(&w, 0);
    while (i < w.x.n || k < w.y.n) {
        kr_str element = i < w.x.n ? w.x.elements[i] : KR_S("");
        bool ours = i < w.x.n && kr_map_get(&w.y.first, element) != NULL;

        if (i < w.x.n && k < w.y.n) {
            if (kr_str_eq(element, w.y.elements[k])) {
                take_y(&w, k++);
                i++;
                continue;
            }
            if (ours && w.shared < w.y.n && !kr_str_eq(w.y.elements[w.shared], element)) {
                i++; /* its place comes later */
                continue;
            }
        }
        if (i < w.x.n && !ours) {
            kr_listb_add(&w.out, merge(a, s->items, x.list[i++], KR_V_NONE));
            continue;
        }
        if (i < w.x.n && kr_map_get(&w.merged, element))
            i++;
        if (k < w.y.n)
            take_y(&w, k++);
    }
    index_fini(&w.x);
    index_fini(&w.y);
    kr_map_fini(&w.merged);
    return kr_listb_done(&w.out);
}

static kr_val merge(struct kr_arena *a, const struct cel_schema *s, kr_val x, kr_val y)
{
    enum shape shape = shape_of(s, y, x);

    if (y.kind == KR_NONE)
        return x;
    if (shape == LEAF || (is_empty(x) && is_empty(y)))
        return y;
    if (shape == MAP)
        return merge_members(a, s, x.kind == KR_MAP ? x : KR_V_NONE, y);
    return merge_items(a, s, x, y);
}

kr_val sandbox_typed_merge(struct kr_arena *a, const struct cel_schema *s, kr_val old, kr_val next)
{
    return merge(a, s, old, next);
}

/* --- cutting ---------------------------------------------------------------------------------- */

static kr_val cut_members(struct kr_arena *a, const struct cel_schema *s, kr_val v, kr_val set)
{
    struct kr_mapb b = KR_MAPB(a);

    KR_MAP_EACH (p, v) {
        kr_str name = kr_text(p->key);
        kr_val entry = kr_get(set, sandbox_element_field(a, name));

        if (sandbox_fields_is_member(entry))
            continue;
        kr_mapb_put(&b, name,
                    entry.kind == KR_NONE
                        ? p->val
                        : sandbox_typed_cut(a, member_of(s, name), p->val, entry));
    }
    return b.n ? kr_mapb_done(&b) : KR_V_NULL;
}

static kr_val cut_items(struct kr_arena *a, const struct cel_schema *s, kr_val v, kr_val set)
{
    struct kr_listb b = KR_LISTB(a);

    KR_LIST_EACH (item, v) {
        kr_val entry = kr_get(set, element_of(a, s, *item));

        if (sandbox_fields_is_member(entry))
            continue;
        kr_listb_add(&b,
                     entry.kind == KR_NONE ? *item : sandbox_typed_cut(a, s->items, *item, entry));
    }
    return b.n ? kr_listb_done(&b) : KR_V_NULL;
}

kr_val sandbox_typed_cut(struct kr_arena *a, const struct cel_schema *s, kr_val v, kr_val set)
{
    enum shape shape = shape_of(s, v, KR_V_NONE);

    if (sandbox_fields_none(set))
        return v;
    if (shape == MAP && v.kind == KR_MAP && v.n)
        return cut_members(a, s, v, set);
    if (shape == LIST && v.kind == KR_LIST && v.n)
        return cut_items(a, s, v, set);
    return shape == LEAF && v.kind != KR_MAP && v.kind != KR_LIST ? v : KR_V_NULL;
}

/* --- empty structs ---------------------------------------------------------------------------- */

kr_val sandbox_typed_empty(struct kr_arena *a, const struct cel_schema *s)
{
    struct kr_mapb b = KR_MAPB(a);

    for (uint32_t i = 0; s && i < s->fields_n; i++) {
        const struct cel_field *f = &s->fields[i];

        if (f->schema->default_value.kind == KR_MAP)
            kr_mapb_put(&b, f->name, sandbox_typed_empty(a, f->schema));
        else if (f->schema->default_value.kind != KR_NONE && f->required)
            kr_mapb_put(&b, f->name, f->schema->default_value);
        else if (f->required)
            kr_mapb_put(&b, f->name, KR_V_NULL);
    }
    return kr_mapb_done(&b);
}
