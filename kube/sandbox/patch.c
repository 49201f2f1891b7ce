/* SPDX-License-Identifier: Apache-2.0 */
/* patch.c - JSON merge patch and JSON patch.
 *
 * A JSON patch is a list of small path copies: each operation makes a new document out of the last,
 * sharing all that is not on its path. Pointers are cut into names once; an operation goes down by
 * recursion and comes back with the new parent.
 */
#include "kube/sandbox/patch.h"

#include "cel/base/json.h"

#include "cel/base/banned.h"

enum { POINTER_MAX = 2 * KR_JSON_DEPTH_MAX };

/* --- merge patch ------------------------------------------------------------------------------ */

static int merge(struct kr_arena *a, kr_val doc, kr_val patch, uint32_t depth, kr_val *out,
                 struct kr_err *err)
{
    struct kr_mapb b = KR_MAPB(a);

    if (depth > SANDBOX_PATCH_DEPTH_MAX)
        return kr_fail(err, KR_E_LIMIT, "the patch is nested too deep");
    *out = patch;
    if (patch.kind != KR_MAP)
        return 0;
    KR_MAP_EACH (p, doc) {
        if (kr_get(patch, kr_text(p->key)).kind == KR_NONE)
            kr_mapb_put(&b, kr_text(p->key), p->val);
    }
    KR_MAP_EACH (p, patch) {
        kr_val next;

        if (p->val.kind == KR_NULL)
            continue;
        KR_TRY(merge(a, kr_get(doc, kr_text(p->key)), p->val, depth + 1, &next, err));
        kr_mapb_put(&b, kr_text(p->key), next);
    }
    *out = kr_mapb_done(&b);
    return 0;
}

int sandbox_patch_merge(struct kr_arena *a, kr_val doc, kr_val patch, kr_val *out,
                        struct kr_err *err)
{
    return merge(a, doc, patch, 0, out, err);
}

/* --- pointers --------------------------------------------------------------------------------- */

struct pointer {
    kr_str names[POINTER_MAX];
    uint32_t n;
};

/* "~1" is "/", "~0" is "~". */
static kr_str unescaped(struct kr_arena *a, kr_str name)
{
    char *s = kr_arena_bytes(a, name.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < name.n; i++) {
        bool escape =
            name.s[i] == '~' && i + 1 < name.n && (name.s[i + 1] == '0' || name.s[i + 1] == '1');

        s[n++] = escape ? (name.s[++i] == '0' ? '~' : '/') : name.s[i];
    }
    return (kr_str){s, n};
}

static bool read_pointer(struct kr_arena *a, kr_val v, struct pointer *out)
{
    kr_str rest = kr_text(v);

    out->n = 0;
    if (v.kind != KR_STRING || (rest.n && rest.s[0] != '/'))
        return false;
    if (rest.n == 0)
        return true;
    rest = kr_str_sub(rest, 1, rest.n);
    if (rest.n == 0)
        rest.s = "";
    do {
        if (out->n == POINTER_MAX)
            return false;
        out->names[out->n++] = unescaped(a, kr_str_cut(&rest, '/'));
    } while (rest.s != NULL);
    return true;
}

/* The place of an item; "-" and the length stand for the end where an item may be added. */
static bool index_of(kr_val list, kr_str name, bool add, uint32_t *out)
{
    int64_t i;

    if (kr_str_is(name, "-") && add) {
        *out = list.n;
        return true;
    }
    if (!kr_str_i64(name, &i))
        return false;
    if (i < 0) /* counted from the end, as evanphx/json-patch does */
        i += list.n + (add ? 1 : 0);
    if (i < 0 || i > (int64_t)list.n || (!add && i == (int64_t)list.n))
        return false;
    *out = (uint32_t)i;
    return true;
}

static kr_val child_of(kr_val v, kr_str name)
{
    uint32_t i;

    if (v.kind == KR_LIST)
        return index_of(v, name, false, &i) ? v.list[i] : KR_V_NONE;
    return kr_get(v, name);
}

static kr_val at_pointer(kr_val doc, const struct pointer *p)
{
    for (uint32_t i = 0; i < p->n; i++)
        doc = child_of(doc, p->names[i]);
    return doc;
}

/* Is the last name one that an object could have? */
static bool has_parent(kr_val doc, const struct pointer *p)
{
    struct pointer parent = *p;

    parent.n -= parent.n > 0;
    return p->n > 0 && at_pointer(doc, &parent).kind == KR_MAP;
}

/* --- operations ------------------------------------------------------------------------------- */

enum change { ADD, REPLACE, REMOVE };

static kr_val with_item(struct kr_arena *a, kr_val list, uint32_t at, enum change change, kr_val v)
{
    struct kr_listb b = KR_LISTB(a);

    for (uint32_t i = 0; i < list.n; i++) {
        if (i == at && change != REMOVE)
            kr_listb_add(&b, v);
        if (i != at || change == ADD)
            kr_listb_add(&b, list.list[i]);
    }
    if (at == list.n && change == ADD)
        kr_listb_add(&b, v);
    return kr_listb_done(&b);
}

/* The last step of a pointer; KR_NONE: there is no such place. */
static kr_val changed_here(struct kr_arena *a, kr_val v, kr_str name, enum change change,
                           kr_val value)
{
    uint32_t i;

    if (v.kind == KR_LIST)
        return index_of(v, name, change == ADD, &i) ? with_item(a, v, i, change, value) : KR_V_NONE;
    if (v.kind != KR_MAP || (change == REMOVE && kr_get(v, name).kind == KR_NONE))
        return KR_V_NONE;
    return kr_with_key(a, v, name, change == REMOVE ? KR_V_NONE : value);
}

static kr_val changed(struct kr_arena *a, kr_val v, const kr_str *names, uint32_t n,
                      enum change change, kr_val value)
{
    kr_val next;
    uint32_t i;

    if (n == 0)
        return change == REMOVE ? KR_V_NULL : value;
    if (n == 1)
        return changed_here(a, v, names[0], change, value);
    next = child_of(v, names[0]);
    if (next.kind == KR_NONE)
        return next;
    next = changed(a, next, names + 1, n - 1, change, value);
    if (next.kind == KR_NONE)
        return next;
    if (v.kind == KR_LIST)
        return index_of(v, names[0], false, &i) ? with_item(a, v, i, REPLACE, next) : KR_V_NONE;
    return kr_with_key(a, v, names[0], next);
}

/* Takes the size of v, about that of its JSON, from *left, and not more time than that: what was
 * copied into itself shares its parts, and is far greater to walk than to keep. */
static bool fits(kr_val v, uint32_t depth, size_t *left)
{
    size_t n = v.kind == KR_STRING ? kr_text(v).n + 2 : 1;

    if (depth > SANDBOX_PATCH_DEPTH_MAX || n > *left)
        return false;
    *left -= n;
    KR_LIST_EACH (item, v) {
        if (!fits(*item, depth + 1, left))
            return false;
    }
    KR_MAP_EACH (p, v) {
        if (!fits(p->key, depth, left) || !fits(p->val, depth + 1, left))
            return false;
    }
    return true;
}

/* One operation; KR_NONE: it cannot be done. */
static kr_val operate(struct kr_arena *a, kr_val doc, kr_val op, const struct pointer *path,
                      const struct pointer *from)
{
    kr_str name = kr_at_str(op, "op");
    kr_val value = kr_get(op, KR_S("value")), moved = at_pointer(doc, from);

    if (value.kind == KR_NONE)
        value = KR_V_NULL;
    if (kr_str_is(name, "add"))
        return changed(a, doc, path->names, path->n, ADD, value);
    if (kr_str_is(name, "replace"))
        return changed(a, doc, path->names, path->n, REPLACE, value);
    if (kr_str_is(name, "remove"))
        return changed(a, doc, path->names, path->n, REMOVE, value);
    if (kr_str_is(name, "test")) {
        kr_val is = at_pointer(doc, path);

        return kr_equal(is.kind == KR_NONE ? KR_V_NULL : is, value) ? doc : KR_V_NONE;
    }
    if (moved.kind == KR_NONE && kr_str_is(name, "copy") && has_parent(doc, from))
        moved = KR_V_NULL; /* as evanphx/json-patch has it: a missing member reads as null */
    if (moved.kind == KR_NONE)
        return moved;
    if (kr_str_is(name, "move"))
        doc = changed(a, doc, from->names, from->n, REMOVE, KR_V_NULL);
    return changed(a, doc, path->names, path->n, ADD, moved);
}

static bool is_op(kr_str name)
{
    static const char *const names[] = {"add", "copy", "move", "remove", "replace", "test"};

    for (size_t i = 0; i < KR_N(names); i++) {
        if (kr_str_eq(name, kr_str_c(names[i])))
            return true;
    }
    return false;
}

enum sandbox_json_patch sandbox_patch_json(struct kr_arena *a, kr_val doc, kr_val ops, kr_val *out,
                                           struct kr_err *err)
{
    size_t budget = 2 * (size_t)KR_JSON_DOC_MAX + a->used_bytes; /* for all operations */
    size_t copies = SANDBOX_PATCH_COPY_MAX, whole = KR_JSON_DOC_MAX;

    if (ops.kind != KR_LIST) {
        kr_fail(err, KR_E_INPUT,
                "error decoding patch: json: cannot unmarshal object into Go value of type "
                "[]handlers.jsonPatchOp");
        return SANDBOX_PATCH_MALFORMED;
    }
    if (ops.n > SANDBOX_PATCH_OPS_MAX) {
        kr_fail(err, KR_E_LIMIT, "The allowed maximum operations in a JSON patch is %d, got %u",
                SANDBOX_PATCH_OPS_MAX, ops.n);
        return SANDBOX_PATCH_MALFORMED;
    }
    KR_LIST_EACH (op, ops) {
        kr_str name = kr_at_str(*op, "op");
        struct pointer path, from = {.n = 0};
        bool two = kr_str_is(name, "move") || kr_str_is(name, "copy");

        if (!is_op(name) || !read_pointer(a, kr_get(*op, KR_S("path")), &path) ||
            (two && !read_pointer(a, kr_get(*op, KR_S("from")), &from)) || a->used_bytes > budget)
            return SANDBOX_PATCH_MISFIT;
        if (kr_str_is(name, "copy") && !fits(at_pointer(doc, &from), 0, &copies))
            return SANDBOX_PATCH_MISFIT;
        doc = operate(a, doc, *op, &path, &from);
        if (doc.kind == KR_NONE)
            return SANDBOX_PATCH_MISFIT;
    }
    if (!fits(doc, 0, &whole))
        return SANDBOX_PATCH_MISFIT;
    *out = doc;
    return SANDBOX_PATCH_DONE;
}
