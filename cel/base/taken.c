/* SPDX-License-Identifier: Apache-2.0 */
/* taken.c - which field of ours somebody took, and who.
 *
 * A write of another manager to a field of ours takes it out of our set: what the old set has and the
 * new one has not was taken. Who has it now stands in the object's managedFields; a field that
 * nobody has was removed, and then the manager that wrote last is the one.
 *
 * Looked at only when a set has shrunk: three walks over fieldsV1, which is small.
 */
#include "cel/base/fieldset.h"

#include "cel/base/json.h"

#include "cel/base/banned.h"

/* Is key itself owned in fields (a leaf, or a "." in it), not only on the way to something? */
static bool owns(kr_val fields)
{
    return fields.kind == KR_MAP && (fields.n == 0 || kr_get(fields, KR_S(".")).kind != KR_NONE);
}

/* "f:x" -> .x, "k:{"name":"web"}" -> [name="web"], "v:x" -> [="x"], "i:0" -> [0]; as
 * structured-merge-diff prints paths. */
static kr_str path_add(struct kr_arena *a, kr_str path, kr_str key)
{
    kr_str rest = kr_str_sub(key, 2, key.n), keys = KR_S("");
    kr_val v;

    if (key.s[0] == 'f')
        return kr_fmt(a, KR_FMT "%s" KR_FMT, KR_ARG(path), path.n ? "." : "", KR_ARG(rest));
    if (key.s[0] == 'i')
        return kr_fmt(a, KR_FMT "[" KR_FMT "]", KR_ARG(path), KR_ARG(rest));
    if (key.s[0] == 'v')
        return kr_fmt(a, KR_FMT "[=" KR_FMT "]", KR_ARG(path), KR_ARG(rest));
    if (kr_json_parse(a, rest, &v, NULL) < 0)
        return path;
    KR_MAP_EACH (p, v) {
        keys = kr_fmt(a, KR_FMT "%s" KR_FMT "=" KR_FMT, KR_ARG(keys), keys.n ? "," : "",
                      KR_ARG(kr_text(p->key)), KR_ARG(kr_json_str(a, p->val)));
    }
    return kr_fmt(a, KR_FMT "[" KR_FMT "]", KR_ARG(path), KR_ARG(keys));
}

/* The first field that was has, now has not and, where `with` is given, with has. */
static bool find(struct kr_arena *a, kr_val was, kr_val now, const kr_val *with, kr_str path,
                 uint32_t depth, kr_str *out)
{
    if (depth > KR_FIELDSET_DEPTH_MAX)
        return false;
    KR_MAP_EACH (p, was) {
        kr_str key = kr_text(p->key), below;
        kr_val kept = kr_get(now, key), theirs = with ? kr_get(*with, key) : KR_V_NONE;

        if (key.n < 2 || (with && theirs.kind == KR_NONE))
            continue;
        below = path_add(a, path, key);
        if (p->val.kind == KR_MAP && p->val.n &&
            find(a, p->val, kept, with ? &theirs : NULL, below, depth + 1, out))
            return true;
        if (owns(p->val) && !owns(kept) && (!with || owns(theirs))) {
            *out = below;
            return true;
        }
    }
    return false;
}

bool kr_fieldset_taken(const struct kr_fieldset *was, const struct kr_fieldset *now, kr_val object,
                       kr_str ours, struct kr_arena *a, kr_str *manager, kr_str *field)
{
    kr_val old = kr_fieldset_fields(was), kept = now ? kr_fieldset_fields(now) : KR_V_NONE;
    kr_str last = KR_S("");

    *manager = KR_S("");
    if (kr_equal(old, kept) || !find(a, old, kept, NULL, KR_S(""), 0, field))
        return false;
    KR_LIST_EACH (entry, kr_at(object, "metadata.managedFields")) {
        kr_str name = kr_text(kr_get(*entry, KR_S("manager"))),
               time = kr_text(kr_get(*entry, KR_S("time")));
        kr_val fields = kr_get(*entry, KR_S("fieldsV1"));

        if (kr_str_eq(name, ours))
            continue;
        if (find(a, old, kept, &fields, KR_S(""), 0, field)) {
            *manager = name;
            return true;
        }
        if (kr_str_cmp(time, last) >= 0) { /* RFC 3339 in UTC sorts as text */
            *manager = name;
            last = time;
        }
    }
    return true;
}
