/* SPDX-License-Identifier: Apache-2.0 */
/* namespaces.c - what a namespace brings with it, and how it ends: it stays until everything in it
 * is gone, then its own finalizer `kubernetes` is taken off.
 *
 * Source: kubernetes pkg/controller/namespace, serviceaccount, certificates/rootcacertpublisher.
 */
#include "kube/sandbox/work.h"

#include "cel/base/banned.h"

static void make_inside(struct sandbox *s, const char *resource, const char *name, kr_str ns,
                        kr_val base)
{
    KR_AUTO(kr_arena) a = {0};

    base = kr_with(&a, base, "metadata.name", kr_string(kr_str_c(name)));
    base = kr_with(&a, base, "metadata.namespace", kr_string(ns));
    sandbox__make(s, sandbox__type(s, KR_S(""), kr_str_c(resource)), base);
}

static void make_contents(struct sandbox *s, kr_str ns)
{
    KR_AUTO(kr_arena) a = {0};
    kr_val empty = kr_map_sorted(NULL, 0);

    make_inside(s, "serviceaccounts", "default", ns, empty);
    make_inside(s, "configmaps", "kube-root-ca.crt", ns,
                kr_with(&a, empty, "data", kr_with_key(&a, empty, KR_S("ca.crt"), KR_V_STR(""))));
}

void sandbox__namespaces_changed(struct sandbox *s, struct sandbox_type *t,
                                 enum sandbox_change change, struct sandbox_obj *now, kr_val next)
{
    kr_str ns = sandbox__obj_namespace(now);
    struct sandbox_type *namespaces = sandbox__type(s, KR_S(""), KR_S("namespaces"));
    struct sandbox_obj *owner;

    if (t == namespaces && (change == SANDBOX_ADDED || now->terminating))
        sandbox__later(s, SANDBOX_TASK_NAMESPACE, t, sandbox__obj_key(now), 0);
    if (!t->namespaced || change != SANDBOX_DELETED)
        return;
    owner = sandbox__find(namespaces, KR_S(""), ns);
    if (owner && owner->terminating)
        sandbox__later(s, SANDBOX_TASK_NAMESPACE, namespaces, ns, 0);
}

/* Deletes all of one type in the namespace; returns how many are left. */
static uint32_t empty_type(struct sandbox *s, struct sandbox_type *t, kr_str ns)
{
    KR_AUTO(kr_arena) a = {0};
    uint32_t left = 0;
    kr_str from = kr_fmt(&a, KR_FMT "/", KR_ARG(ns));

    for (;;) {
        struct sandbox_node *n = sandbox__tree_seek(&t->objects, from);
        struct sandbox_obj *o = n ? sandbox__obj_hold(sandbox__node_obj(n)) : NULL;
        bool removed = false;

        if (o == NULL || !kr_str_eq(sandbox__obj_namespace(o), ns)) {
            sandbox__obj_drop(o);
            return left;
        }
        sandbox__obj_drop(sandbox__delete_obj(s, t, o, SANDBOX_BACKGROUND, &removed));
        left += !removed;
        from = kr_fmt(&a, KR_FMT "%c", KR_ARG(sandbox__obj_key(o)), '\1'); /* right behind it */
        sandbox__obj_drop(o);
    }
}

void sandbox__namespace_task(struct sandbox *s, struct sandbox_type *t, struct sandbox_obj *o)
{
    KR_AUTO(kr_arena) a = {0};
    kr_val v = sandbox__value(&a, t, NULL, o);
    kr_str ns = sandbox__obj_name(o);
    uint32_t left = 0;

    if (!o->terminating) {
        make_contents(s, ns);
        return;
    }
    kr_map_each (e, &s->types) {
        struct sandbox_type *type = e->val;

        if (type->namespaced && !type->gone)
            left += empty_type(s, type, ns);
    }
    if (left == 0 && kr_at(v, "spec.finalizers").n > 0)
        sandbox__put(s, t, o, kr_with(&a, v, "spec.finalizers", KR_V_NONE));
}
