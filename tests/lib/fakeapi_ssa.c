/* SPDX-License-Identifier: Apache-2.0 */
/* fakeapi_ssa.c - field sets and merging, as structured-merge-diff does it.
 *
 * A set is a fieldsV1 value itself: a map whose keys are path elements (f:name, k:{keys}, v:value).
 * A member without children is {}; one with children has "." beside them. The empty set is KR_NONE.
 *
 * Everything walks value and schema side by side; where the schema ends, maps are granular and
 * lists atomic.
 */
#include "tests/lib/fakeapi_internal.h"

enum list_type { ATOMIC, SET, MAP };

static enum list_type list_type(kr_val node)
{
    kr_str type = kr_at_str(node, "x-kubernetes-list-type");

    return kr_str_is(type, "map") ? MAP : kr_str_is(type, "set") ? SET : ATOMIC;
}

static bool map_atomic(kr_val node)
{
    return kr_str_is(kr_at_str(node, "x-kubernetes-map-type"), "atomic");
}

/* --- path elements ---------------------------------------------------------------------------- */

static kr_str element_field(struct kr_arena *a, kr_str name)
{
    return kr_fmt(a, "f:" KR_FMT, KR_ARG(name));
}

/* Of an item of the list at node: "v:1" or "k:{...}", missing keys with the schema's default. */
static kr_str element_item(struct fakeapi *f, struct kr_arena *a, kr_val node, kr_val item)
{
    struct kr_mapb keys = KR_MAPB(a);
    kr_str text;

    if (list_type(node) == SET) {
        text = kr_json_str(a, item);
        return kr_fmt(a, "v:" KR_FMT, KR_ARG(text));
    }
    KR_LIST_EACH (key, kr_get(node, KR_S("x-kubernetes-list-map-keys"))) {
        bool declared;
        kr_val v = kr_get(item, kr_text(*key));
        kr_val key_node =
            fake_schema_member(f, fake_schema_items(f, node), kr_text(*key), &declared);

        if (v.kind == KR_NONE)
            v = kr_get(key_node, KR_S("default"));
        if (v.kind != KR_NONE)
            kr_mapb_put(&keys, kr_text(*key), v);
    }
    text = kr_json_str(a, kr_mapb_done(&keys));
    return kr_fmt(a, "k:" KR_FMT, KR_ARG(text));
}

static kr_val find_item(struct fakeapi *f, struct kr_arena *a, kr_val node, kr_val list,
                        kr_str element)
{
    KR_LIST_EACH (item, list)
        if (kr_str_eq(element_item(f, a, node, *item), element))
            return *item;
    return KR_V_NONE;
}

/* The value and schema that a path element leads to. */
static kr_val step(struct fakeapi *f, struct kr_arena *a, kr_val node, kr_val v, kr_str element,
                   kr_val *to)
{
    bool declared;

    if (kr_str_starts(element, KR_S("f:"))) {
        kr_str name = kr_str_sub(element, 2, element.n);

        *to = fake_schema_member(f, node, name, &declared);
        return kr_get(v, name);
    }
    *to = fake_schema_items(f, node);
    return find_item(f, a, node, v, element);
}

/* --- sets ------------------------------------------------------------------------------------- */

static bool is_member(kr_val c)
{
    return c.kind == KR_MAP && (c.n == 0 || kr_get(c, KR_S(".")).kind != KR_NONE);
}

/* A set node from its parts; KR_NONE when nothing is in it. */
static kr_val set_node(struct kr_arena *a, bool member, struct kr_mapb *children)
{
    if (children->n == 0)
        return member ? kr_map_sorted(NULL, 0) : KR_V_NONE;
    if (member)
        kr_mapb_put(children, KR_S("."), kr_map_sorted(NULL, 0));
    return kr_mapb_done(children);
}

enum op { OR, AND, MINUS };

static bool op_bit(enum op op, bool x, bool y)
{
    return op == OR ? x || y : op == AND ? x && y : x && !y;
}

static kr_val combine(struct kr_arena *a, enum op op, kr_val x, kr_val y)
{
    struct kr_mapb children = KR_MAPB(a);
    kr_val both[] = {x, y};

    if (x.kind == KR_NONE && (op != OR || y.kind == KR_NONE))
        return KR_V_NONE;
    if (y.kind == KR_NONE)
        return op == AND ? KR_V_NONE : x;
    for (int side = 0; side < 2; side++)
        KR_MAP_EACH (p, both[side]) {
            kr_str key = kr_text(p->key);
            kr_val c;

            if (kr_str_is(key, ".") || (side == 1 && kr_get(x, key).kind != KR_NONE))
                continue;
            c = combine(a, op, kr_get(x, key), kr_get(y, key));
            if (c.kind != KR_NONE)
                kr_mapb_put(&children, key, c);
        }
    return set_node(a, op_bit(op, is_member(x), is_member(y)), &children);
}

kr_val fake_set_or(struct kr_arena *a, kr_val x, kr_val y)
{
    return combine(a, OR, x, y);
}

kr_val fake_set_and(struct kr_arena *a, kr_val x, kr_val y)
{
    return combine(a, AND, x, y);
}

kr_val fake_set_minus(struct kr_arena *a, kr_val x, kr_val y)
{
    return combine(a, MINUS, x, y);
}

/* One walk gives both: all fields of now (all), or those that old lacks or has otherwise. */
static kr_val walk(struct fakeapi *f, struct kr_arena *a, kr_val node, kr_val old, kr_val now,
                   bool all, bool member)
{
    struct kr_mapb children = KR_MAPB(a);
    bool declared;

    node = fake_schema_resolve(f, node);
    if (now.kind == KR_MAP && now.n > 0 && !map_atomic(node)) {
        KR_MAP_EACH (p, now) {
            kr_val to = fake_schema_member(f, node, kr_text(p->key), &declared);
            kr_val was = kr_get(old, kr_text(p->key));
            kr_val c = walk(f, a, to, was, p->val, all || was.kind == KR_NONE,
                            !declared && (all || was.kind == KR_NONE));

            if (c.kind != KR_NONE)
                kr_mapb_put(&children, element_field(a, kr_text(p->key)), c);
        }
        return set_node(a, member, &children);
    }
    if (now.kind == KR_LIST && now.n > 0 && list_type(node) != ATOMIC) {
        KR_LIST_EACH (item, now) {
            kr_str element = element_item(f, a, node, *item);
            kr_val was = find_item(f, a, node, old, element);
            bool fresh = all || was.kind == KR_NONE;
            kr_val c = list_type(node) == SET
                           ? (fresh ? kr_map_sorted(NULL, 0) : KR_V_NONE)
                           : walk(f, a, fake_schema_items(f, node), was, *item, fresh, fresh);

            if (c.kind != KR_NONE)
                kr_mapb_put(&children, element, c);
        }
        return set_node(a, member, &children);
    }
    return all || !kr_equal(old, now) ? kr_map_sorted(NULL, 0) : KR_V_NONE;
}

/* The top is a container and never a member itself. */
static kr_val top(kr_val v, kr_val set)
{
    return v.kind != KR_MAP || v.n == 0 ? KR_V_NONE : set;
}

kr_val fake_set_of(struct fakeapi *f, struct kr_arena *a, kr_val node, kr_val v)
{
    return top(v, walk(f, a, node, KR_V_NONE, v, true, false));
}

kr_val fake_set_changed(struct fakeapi *f, struct kr_arena *a, kr_val node, kr_val old, kr_val now)
{
    return top(now, walk(f, a, node, old, now, false, false));
}

kr_val fake_set_existing(struct fakeapi *f, struct kr_arena *a, kr_val node, kr_val set, kr_val v)
{
    struct kr_mapb children = KR_MAPB(a);

    node = fake_schema_resolve(f, node);
    KR_MAP_EACH (p, set) {
        kr_str key = kr_text(p->key);
        kr_val to, child, c;

        if (kr_str_is(key, "."))
            continue;
        child = step(f, a, node, v, key, &to);
        if (child.kind == KR_NONE)
            continue;
        c = p->val.n == 0 ? p->val : fake_set_existing(f, a, to, p->val, child);
        if (c.kind != KR_NONE)
            kr_mapb_put(&children, key, c);
    }
    return set_node(a, set.kind == KR_MAP && set.n > 0 && is_member(set), &children);
}

void fake_set_paths(struct kr_buf *b, kr_val set, kr_str prefix)
{
    KR_AUTO(kr_buf) path = KR_BUF(4096);

    KR_MAP_EACH (p, set) {
        kr_str key = kr_text(p->key);

        if (kr_str_is(key, "."))
            continue;
        kr_buf_reset(&path);
        if (kr_str_starts(key, KR_S("f:")))
            kr_buf_fmt(&path, KR_FMT "." KR_FMT, KR_ARG(prefix), KR_ARG(kr_str_sub(key, 2, key.n)));
        else
            kr_buf_fmt(&path, KR_FMT "[" KR_FMT "]", KR_ARG(prefix),
                       KR_ARG(kr_str_sub(key, 2, key.n)));
        if (is_member(p->val))
            kr_buf_fmt(b, "%s" KR_FMT, b->n ? " " : "", KR_ARG(kr_buf_view(&path)));
        fake_set_paths(b, p->val, kr_buf_view(&path));
    }
}

/* --- values ----------------------------------------------------------------------------------- */

static kr_val merge_map(struct fakeapi *f, struct kr_arena *a, kr_val node, kr_val live,
                        kr_val applied)
{
    struct kr_mapb b = KR_MAPB(a);
    bool declared;

    KR_MAP_EACH (p, live)
        kr_mapb_put(&b, kr_text(p->key), p->val);
    KR_MAP_EACH (p, applied)
        kr_mapb_put(&b, kr_text(p->key),
                    fake_merge(f, a, fake_schema_member(f, node, kr_text(p->key), &declared),
                               kr_get(live, kr_text(p->key)), p->val));
    return kr_mapb_done(&b);
}

static kr_val merge_list(struct fakeapi *f, struct kr_arena *a, kr_val node, kr_val live,
                         kr_val applied)
{
    struct kr_listb b = KR_LISTB(a);

    KR_LIST_EACH (item, live) {
        kr_val mine = find_item(f, a, node, applied, element_item(f, a, node, *item));

        kr_listb_add(&b, mine.kind == KR_NONE
                             ? *item
                             : fake_merge(f, a, fake_schema_items(f, node), *item, mine));
    }
    KR_LIST_EACH (item, applied)
        if (find_item(f, a, node, live, element_item(f, a, node, *item)).kind == KR_NONE)
            kr_listb_add(&b, *item);
    return kr_listb_done(&b);
}

kr_val fake_merge(struct fakeapi *f, struct kr_arena *a, kr_val node, kr_val live, kr_val applied)
{
    node = fake_schema_resolve(f, node);
    if (live.kind == KR_MAP && applied.kind == KR_MAP && !map_atomic(node))
        return merge_map(f, a, node, live, applied);
    if (live.kind == KR_LIST && applied.kind == KR_LIST && list_type(node) != ATOMIC)
        return merge_list(f, a, node, live, applied);
    return applied;
}

/* Of what is left of a container, nothing: then it goes too. */
static kr_val or_none(kr_val v)
{
    return v.n == 0 ? KR_V_NONE : v;
}

kr_val fake_remove(struct fakeapi *f, struct kr_arena *a, kr_val node, kr_val v, kr_val set)
{
    struct kr_listb list = KR_LISTB(a);
    struct kr_mapb map = KR_MAPB(a);
    bool declared;

    node = fake_schema_resolve(f, node);
    if (set.kind != KR_MAP || set.n == 0)
        return v;
    if (v.kind == KR_MAP) {
        KR_MAP_EACH (p, v) {
            kr_val c = kr_get(set, element_field(a, kr_text(p->key)));
            kr_val left =
                c.kind == KR_NONE ? p->val
                : is_member(c)
                    ? KR_V_NONE
                    : fake_remove(f, a, fake_schema_member(f, node, kr_text(p->key), &declared),
                                  p->val, c);

            if (left.kind != KR_NONE)
                kr_mapb_put(&map, kr_text(p->key), left);
        }
        return or_none(kr_mapb_done(&map));
    }
    if (v.kind != KR_LIST || list_type(node) == ATOMIC)
        return v;
    KR_LIST_EACH (item, v) {
        kr_val c = kr_get(set, element_item(f, a, node, *item));
        kr_val left = c.kind == KR_NONE ? *item
                      : is_member(c)    ? KR_V_NONE
                                        : fake_remove(f, a, fake_schema_items(f, node), *item, c);

        if (left.kind != KR_NONE)
            kr_listb_add(&list, left);
    }
    return or_none(kr_listb_done(&list));
}
