/* SPDX-License-Identifier: Apache-2.0 */
/* patch_strategic.c - the patch of `kubectl patch` and of client-side apply.
 *
 * A map merges member by member; a list replaces, unless its type says that it merges: lists of
 * objects by a merge key, lists of scalars as sets. Directives in the patch:
 *
 *   $patch: replace | delete | merge      of a map, or as an item of a list
 *   $retainKeys: [...]                    of a map: its other members go
 *   $deleteFromPrimitiveList/NAME: [...]  values that go from the list NAME
 *   $setElementOrder/NAME: [...]          the order of the list NAME, by value or by merge key
 *
 * Order of a merged list: the patch's items in the patch's order (or that of $setElementOrder); an
 * item of the document alone stands before the first of them that it stood before.
 *
 * Source: k8s.io/apimachinery/pkg/util/strategicpatch.
 */
#include "kube/sandbox/patch.h"

#include "cel/base/banned.h"

#define ORDER_PREFIX "$setElementOrder/"
#define DELETE_PREFIX "$deleteFromPrimitiveList/"

/* A walk over document, patch and schema. */
struct walk {
    struct kr_arena *a;
    kr_val schemas;
    struct kr_err *err;
};

/* --- schema ----------------------------------------------------------------------------------- */

/* The node behind its $ref, given plainly or as the only branch of allOf. */
static kr_val resolved(const struct walk *w, kr_val node)
{
    for (uint32_t hops = 0; hops < SANDBOX_PATCH_DEPTH_MAX; hops++) {
        kr_str ref = kr_at_str(node, "$ref");

        if (ref.n == 0)
            ref = kr_at_str(kr_item(kr_get(node, KR_S("allOf")), 0), "$ref");
        if (ref.n == 0)
            return node;
        node = kr_get(w->schemas, kr_str_sub(ref, (size_t)kr_str_rchr(ref, '/') + 1, ref.n));
    }
    return KR_V_NONE;
}

/* What a field's own place says of it; a $ref beside it says what it is. */
static kr_val member_node(const struct walk *w, kr_val map, kr_str name)
{
    kr_val node = resolved(w, map);
    kr_val member = kr_get(kr_get(node, KR_S("properties")), name);

    return member.kind == KR_NONE ? kr_get(node, KR_S("additionalProperties")) : member;
}

static bool strategy_has(kr_val node, const char *word)
{
    kr_str rest = kr_at_str(node, "x-kubernetes-patch-strategy");

    while (rest.n)
        if (kr_str_eq(kr_str_cut(&rest, ','), kr_str_c(word)))
            return true;
    return false;
}

static kr_str merge_key(kr_val node)
{
    return kr_at_str(node, "x-kubernetes-patch-merge-key");
}

/* --- directives ------------------------------------------------------------------------------- */

static bool is_directive(kr_str key)
{
    return kr_str_is(key, "$patch") || kr_str_is(key, "$retainKeys") ||
           kr_str_starts(key, KR_S(ORDER_PREFIX)) || kr_str_starts(key, KR_S(DELETE_PREFIX));
}

/* A part of the patch that stands for itself: without directives, nulls and items that only delete. */
static kr_val plain(const struct walk *w, kr_val v, uint32_t depth)
{
    struct kr_mapb map = KR_MAPB(w->a);
    struct kr_listb list = KR_LISTB(w->a);

    if (depth == SANDBOX_PATCH_DEPTH_MAX)
        return v;
    if (v.kind == KR_MAP) {
        KR_MAP_EACH (p, v)
            if (!is_directive(kr_text(p->key)) && p->val.kind != KR_NULL)
                kr_mapb_put(&map, kr_text(p->key), plain(w, p->val, depth + 1));
        return kr_mapb_done(&map);
    }
    if (v.kind != KR_LIST)
        return v;
    KR_LIST_EACH (item, v)
        if (!kr_is_str(kr_get(*item, KR_S("$patch")), KR_S("delete")))
            kr_listb_add(&list, plain(w, *item, depth + 1));
    return kr_listb_done(&list);
}

static kr_val directive(struct walk *w, kr_val patch, const char *prefix, kr_str name)
{
    return kr_get(patch, kr_fmt(w->a, "%s" KR_FMT, prefix, KR_ARG(name)));
}

/* --- order ------------------------------------------------------------------------------------ */

static kr_val key_of(kr_val item, kr_str key)
{
    return key.n ? kr_get(item, key) : item;
}

/* Where a list has an item of the same key; -1: nowhere. */
static int64_t place(kr_val list, kr_val item, kr_str key)
{
    kr_val wanted = key_of(item, key);

    for (uint32_t i = 0; i < list.n; i++)
        if (kr_equal(key_of(list.list[i], key), wanted))
            return i;
    return -1;
}

/* The items of v that `order` names, in its order. */
static kr_val named(struct walk *w, kr_val v, kr_val order, kr_str key)
{
    struct kr_listb b = KR_LISTB(w->a);

    KR_LIST_EACH (o, order) {
        int64_t i = place(v, *o, key);

        if (i >= 0)
            kr_listb_add(&b, v.list[i]);
    }
    return kr_listb_done(&b);
}

static kr_val ordered(struct walk *w, kr_val merged, kr_val order, kr_val server, kr_str key)
{
    kr_val right = named(w, merged, order, key);
    struct kr_listb b = KR_LISTB(w->a);
    uint32_t j = 0;

    KR_LIST_EACH (left, merged) {
        int64_t l = place(server, *left, key);

        if (place(order, *left, key) >= 0)
            continue;
        while (j < right.n) {
            int64_t r = place(server, right.list[j], key);

            if (l >= 0 && r >= 0 && l < r)
                break;
            kr_listb_add(&b, right.list[j++]);
        }
        kr_listb_add(&b, *left);
    }
    while (j < right.n)
        kr_listb_add(&b, right.list[j++]);
    return kr_listb_done(&b);
}

/* --- lists ------------------------------------------------------------------------------------ */

static int merge_map(struct walk *w, kr_val node, kr_val doc, kr_val patch, uint32_t depth,
                     kr_val *out);

static kr_val merge_scalars(struct walk *w, kr_val doc, kr_val patch, kr_val gone)
{
    struct kr_listb b = KR_LISTB(w->a);
    kr_val both[] = {doc, patch};

    for (int side = 0; side < 2; side++)
        KR_LIST_EACH (item, both[side])
            if (place(gone, *item, KR_S("")) < 0 &&
                place(kr_list(b.items, b.n), *item, KR_S("")) < 0)
                kr_listb_add(&b, *item);
    return kr_listb_done(&b);
}

/* What an item of the patch does: 1 it merges, 0 it was a directive, which doc now follows. */
static int item_directive(struct walk *w, kr_val item, kr_str key, kr_val *doc, bool *replace)
{
    kr_val word = kr_get(item, KR_S("$patch"));
    struct kr_listb b = KR_LISTB(w->a);

    if (word.kind == KR_NONE || kr_is_str(word, KR_S("merge")))
        return 1;
    if (kr_is_str(word, KR_S("replace"))) {
        *replace = true;
        return item.n > 1;
    }
    if (!kr_is_str(word, KR_S("delete")))
        return kr_fail(w->err, KR_E_INPUT, "invalid patch type: unknown $patch of an item");
    if (kr_get(item, key).kind == KR_NONE)
        return kr_fail(w->err, KR_E_INPUT, "delete patch type with no merge key defined");
    KR_LIST_EACH (d, *doc)
        if (!kr_equal(kr_get(*d, key), kr_get(item, key)))
            kr_listb_add(&b, *d);
    *doc = kr_listb_done(&b);
    return 0;
}

static int merge_items(struct walk *w, kr_val node, kr_val doc, kr_val patch, uint32_t depth,
                       kr_val *out)
{
    kr_str key = merge_key(node);
    kr_val items = kr_get(resolved(w, node), KR_S("items"));
    struct kr_listb b = KR_LISTB(w->a), todo = KR_LISTB(w->a);
    bool replace = false;

    KR_LIST_EACH (item, patch) {
        int rc = item_directive(w, *item, key, &doc, &replace);

        if (rc < 0)
            return rc;
        if (rc > 0)
            kr_listb_add(&todo, *item);
    }
    patch = kr_listb_done(&todo);
    if (replace) {
        *out = plain(w, patch, depth);
        return 0;
    }
    KR_LIST_EACH (d, doc) {
        int64_t i = place(patch, *d, key);
        kr_val v = *d;

        if (i >= 0)
            KR_TRY(merge_map(w, items, *d, patch.list[i], depth + 1, &v));
        kr_listb_add(&b, v);
    }
    KR_LIST_EACH (item, patch) {
        if (kr_get(*item, key).kind == KR_NONE)
            return kr_fail(w->err, KR_E_INPUT,
                           "map: %s does not contain declared merge key: " KR_FMT, "map[]",
                           KR_ARG(key));
        if (place(doc, *item, key) < 0)
            kr_listb_add(&b, plain(w, *item, depth));
    }
    *out = kr_listb_done(&b);
    return 0;
}

/* One list member: doc's and the patch's; either may be absent. */
static int merge_list(struct walk *w, kr_val node, kr_str name, kr_val doc, kr_val whole_patch,
                      uint32_t depth, kr_val *out)
{
    kr_val patch = kr_get(whole_patch, name), gone = directive(w, whole_patch, DELETE_PREFIX, name),
           order = directive(w, whole_patch, ORDER_PREFIX, name);
    kr_str key = merge_key(node);
    bool scalars = (kr_item(patch, 0).kind != KR_MAP && kr_item(doc, 0).kind != KR_MAP) ||
                   gone.kind == KR_LIST;

    if (scalars)
        *out = merge_scalars(w, doc, patch, gone), key = KR_S("");
    else if (key.n == 0)
        return kr_fail(w->err, KR_E_INPUT, "cannot merge lists without merge key for type " KR_FMT,
                       KR_ARG(name));
    else
        KR_TRY(merge_items(w, node, doc, patch, depth, out));
    *out = ordered(w, *out, order.kind == KR_LIST ? order : patch, doc, key);
    return 0;
}

/* --- maps ------------------------------------------------------------------------------------- */

/* Members outside of $retainKeys go. */
static int retained(struct walk *w, kr_val patch, kr_val *doc)
{
    kr_val keep = kr_get(patch, KR_S("$retainKeys"));
    struct kr_mapb b = KR_MAPB(w->a);

    if (keep.kind == KR_NONE)
        return 0;
    if (keep.kind != KR_LIST)
        return kr_fail(w->err, KR_E_INPUT, "invalid patch format of retainKeys");
    KR_MAP_EACH (p, patch)
        if (!is_directive(kr_text(p->key)) && p->val.kind != KR_NULL &&
            place(keep, p->key, KR_S("")) < 0)
            return kr_fail(w->err, KR_E_INPUT,
                           "retainKeys list is missing \"" KR_FMT "\", which the patch has",
                           KR_ARG(kr_text(p->key)));
    KR_MAP_EACH (p, *doc)
        if (place(keep, p->key, KR_S("")) >= 0)
            kr_mapb_put(&b, kr_text(p->key), p->val);
    *doc = kr_mapb_done(&b);
    return 0;
}

static int merge_member(struct walk *w, kr_val map_node, kr_str name, kr_val doc, kr_val patch,
                        uint32_t depth, kr_val *out)
{
    kr_val node = member_node(w, map_node, name), v = kr_get(patch, name), was = kr_get(doc, name);
    bool list = (v.kind == KR_LIST || v.kind == KR_NONE) &&
                (was.kind == KR_LIST || was.kind == KR_NONE) && strategy_has(node, "merge");

    *out = was;
    if (v.kind == KR_NULL)
        *out = KR_V_NONE;
    else if (list && (was.kind == KR_LIST || v.kind == KR_LIST))
        return merge_list(w, node, name, was, patch, depth, out);
    else if (v.kind == KR_MAP && was.kind == KR_MAP && !strategy_has(node, "replace"))
        return merge_map(w, node, was, v, depth + 1, out);
    else if (v.kind != KR_NONE)
        *out = plain(w, v, depth);
    return 0;
}

/* The member that a key of the patch is about; empty: it is about the map itself. */
static kr_str member_name(kr_str key)
{
    if (kr_str_starts(key, KR_S(ORDER_PREFIX)))
        return kr_str_sub(key, sizeof ORDER_PREFIX - 1, key.n);
    if (kr_str_starts(key, KR_S(DELETE_PREFIX)))
        return kr_str_sub(key, sizeof DELETE_PREFIX - 1, key.n);
    return is_directive(key) ? KR_S("") : key;
}

static int merge_map(struct walk *w, kr_val node, kr_val doc, kr_val patch, uint32_t depth,
                     kr_val *out)
{
    kr_val word = kr_get(patch, KR_S("$patch"));
    kr_str last = {0};

    if (depth == SANDBOX_PATCH_DEPTH_MAX)
        return kr_fail(w->err, KR_E_LIMIT, "a patch is deeper than %d levels",
                       SANDBOX_PATCH_DEPTH_MAX);
    if (kr_is_str(word, KR_S("replace")) || kr_is_str(word, KR_S("delete"))) {
        *out = kr_is_str(word, KR_S("replace")) ? plain(w, patch, depth) : kr_map_sorted(NULL, 0);
        return 0;
    }
    if (word.kind != KR_NONE && !kr_is_str(word, KR_S("merge")))
        return kr_fail(w->err, KR_E_INPUT, "unknown patch type found in map");
    KR_TRY(retained(w, patch, &doc));
    *out = doc.kind == KR_MAP ? doc : kr_map_sorted(NULL, 0);
    KR_MAP_EACH (p, patch) {
        kr_str name = member_name(kr_text(p->key));
        kr_val v;

        /* A directive about a member that the patch has too is followed there. */
        if (name.n == 0 || kr_str_eq(name, last) ||
            (!kr_str_eq(name, kr_text(p->key)) && kr_get(patch, name).kind != KR_NONE))
            continue;
        last = name;
        KR_TRY(merge_member(w, node, name, doc, patch, depth, &v));
        *out = kr_with_key(w->a, *out, name, v);
    }
    return 0;
}

int sandbox_patch_strategic(struct kr_arena *a, kr_val schemas, kr_str kind, kr_val doc,
                            kr_val patch, kr_val *out, struct kr_err *err)
{
    struct walk w = {.a = a, .schemas = schemas, .err = err};

    if (patch.kind != KR_MAP)
        return kr_fail(err, KR_E_INPUT, "a strategic merge patch is a map");
    return merge_map(&w, kr_get(schemas, kind), doc, patch, 0, out);
}
