/* SPDX-License-Identifier: Apache-2.0 */
/* paths.c - the paths that definitions name values with: of printer columns, selectable fields and the
 * scale subresource; and that subresource itself.
 *
 *   .spec.replicas   .metadata.labels['app']   .status.conditions[?(@.type=="Ready")].status   .a[0]
 */
#include <inttypes.h>

#include "cel/base/json.h"
#include "kube/sandbox/internal.h"

#include "cel/base/banned.h"

/* "@.type=="Ready"" of the list's items: the first one that has it. */
static kr_val filtered(struct kr_arena *a, kr_val list, kr_str condition)
{
    ptrdiff_t eq = kr_str_find(condition, KR_S("=="));
    kr_str path, wanted;

    if (eq < 0 || !kr_str_starts(condition, KR_S("@")))
        return KR_V_NONE;
    path = kr_str_trim(kr_str_sub(condition, 1, (size_t)eq));
    wanted = kr_str_trim(kr_str_sub(condition, (size_t)eq + 2, condition.n));
    if (wanted.n >= 2 && (wanted.s[0] == '"' || wanted.s[0] == '\''))
        wanted = kr_str_sub(wanted, 1, wanted.n - 1);
    KR_LIST_EACH (item, list) {
        kr_val v = sandbox__json_path(a, *item, path);

        if (kr_str_eq(sandbox__text_of(a, v), wanted))
            return *item;
    }
    return KR_V_NONE;
}

/* What stands between brackets. */
static kr_val bracket(struct kr_arena *a, kr_val v, kr_str inside)
{
    uint64_t i;

    if (kr_str_starts(inside, KR_S("?(")) && kr_str_ends(inside, KR_S(")")))
        return filtered(a, v, kr_str_trim(kr_str_sub(inside, 2, inside.n - 1)));
    if (inside.n >= 2 && (inside.s[0] == '\'' || inside.s[0] == '"'))
        return kr_get(v, kr_str_sub(inside, 1, inside.n - 1));
    if (kr_str_u64(inside, &i) && i < UINT32_MAX)
        return kr_item(v, (uint32_t)i);
    return kr_str_is(inside, "*") ? v : KR_V_NONE;
}

kr_val sandbox__json_path(struct kr_arena *a, kr_val v, kr_str path)
{
    path = kr_str_trim(path);
    while (path.n > 0 && v.kind != KR_NONE) {
        if (path.s[0] == '[') {
            ptrdiff_t end = kr_str_find(path, KR_S("]"));

            if (end < 0)
                return KR_V_NONE;
            v = bracket(a, v, kr_str_sub(path, 1, (size_t)end));
            path = kr_str_sub(path, (size_t)end + 1, path.n);
            continue;
        }
        KR_AUTO(kr_buf) name = KR_BUF(4096);
        size_t i = path.s[0] == '.';

        for (; i < path.n && path.s[i] != '.' && path.s[i] != '['; i++) {
            i += path.s[i] == '\\' && i + 1 < path.n; /* "\." is a dot of the name */
            kr_buf_chr(&name, path.s[i]);
        }
        path = kr_str_sub(path, i, path.n);
        if (name.n)
            v = kr_get(v, kr_buf_view(&name));
    }
    return v;
}

kr_str sandbox__text_of(struct kr_arena *a, kr_val v)
{
    if (v.kind == KR_STRING)
        return kr_text(v);
    return v.kind == KR_NONE ? KR_S("") : kr_json_str(a, v);
}

/* --- scale ------------------------------------------------------------------------------------ */

static kr_val int_or(kr_val v, int64_t other)
{
    return v.kind == KR_INT ? v : kr_int(other);
}

/* As labels: "a=b,c=d". */
static kr_str selector_text(struct kr_arena *a, kr_val labels)
{
    struct kr_buf b = KR_BUF_IN(a, 64 * 1024);

    KR_MAP_EACH (p, labels)
        kr_buf_fmt(&b, "%s" KR_FMT "=" KR_FMT, b.n ? "," : "", KR_ARG(kr_text(p->key)),
                   KR_ARG(kr_text(p->val)));
    return b.n ? kr_buf_view(&b) : KR_S("");
}

kr_val sandbox__scale_of(struct kr_arena *a, const struct sandbox_target *t, kr_val object)
{
    static const char *const kept[] = {"metadata.name", "metadata.namespace", "metadata.uid",
                                       "metadata.resourceVersion", "metadata.creationTimestamp"};
    const struct sandbox_version *v = t->version;
    kr_val s = kr_map_sorted(NULL, 0), selector = kr_at(object, "spec.selector.matchLabels");
    kr_val wanted = int_or(sandbox__json_path(a, object, v->scale_spec), 0);
    kr_str text = t->type->builtin
                      ? selector_text(a, selector)
                      : sandbox__text_of(a, sandbox__json_path(a, object, v->scale_selector));

    s = kr_with(a, s, "kind", KR_V_STR("Scale"));
    s = kr_with(a, s, "apiVersion", KR_V_STR("autoscaling/v1"));
    for (size_t i = 0; i < KR_N(kept); i++)
        s = kr_with(a, s, kept[i], kr_at(object, kept[i]));
    s = kr_with(a, s, "spec", kr_map_sorted(NULL, 0));
    if (wanted.i != 0) /* of the spec alone a 0 is left out */
        s = kr_with(a, s, "spec.replicas", wanted);
    s = kr_with(a, s, "status.replicas", int_or(sandbox__json_path(a, object, v->scale_status), 0));
    if (text.n && (t->type->builtin || v->scale_selector.n))
        s = kr_with(a, s, "status.selector", kr_string(text));
    return s;
}

kr_val sandbox__with_scale(struct kr_arena *a, const struct sandbox_target *t, kr_val object,
                           int64_t replicas)
{
    kr_str path = t->version->scale_spec;

    if (kr_str_starts(path, KR_S(".")))
        path = kr_str_sub(path, 1, path.n);
    return kr_with(a, object, kr_cstr(a, path), kr_int(replicas));
}
