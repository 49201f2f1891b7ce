/* SPDX-License-Identifier: Apache-2.0 */
/* owners.c - garbage collection: who goes with whom.
 *
 *   background   the owner goes at once; each dependent whose owners are all gone is deleted
 *   foreground   the owner waits (finalizer foregroundDeletion) until no dependent blocks it
 *   orphan       the owner waits (finalizer orphan) until no dependent names it any more
 *
 * An index says which objects name an owner's uid. It is a hint where to look: what decides is the
 * object as it is when its task runs.
 *
 * Source: kubernetes pkg/controller/garbagecollector.
 */
#include "kube/sandbox/work.h"

#include "cel/base/banned.h"

struct dependent {
    struct sandbox_type *type;
    char *key;
};

struct dependents {
    struct kr_map list; /* "type|key" -> struct dependent */
};

/* --- the index -------------------------------------------------------------------------------- */

static kr_str dependent_name(struct kr_arena *a, const struct sandbox_type *t, kr_str key)
{
    return kr_fmt(a, "%s|" KR_FMT, t->key, KR_ARG(key));
}

static void dependent_free(struct dependent *d)
{
    if (d == NULL)
        return;
    kr_free(d->key);
    kr_free(d);
}

static void index_add(struct sandbox *s, struct kr_arena *a, struct sandbox_type *t, kr_str key,
                      kr_str uid)
{
    struct dependents *of = kr_map_get(&s->owners, uid);
    struct dependent *d = KR_ALLOC(struct dependent);

    if (of == NULL) {
        of = KR_ALLOC(struct dependents);
        kr_map_put(&s->owners, uid, of);
    }
    d->type = t;
    d->key = kr_cstrdup(key);
    dependent_free(kr_map_put(&of->list, dependent_name(a, t, key), d));
}

static void index_del(struct sandbox *s, struct kr_arena *a, const struct sandbox_type *t,
                      kr_str key, kr_str uid)
{
    struct dependents *of = kr_map_get(&s->owners, uid);

    if (of == NULL)
        return;
    dependent_free(kr_map_del(&of->list, dependent_name(a, t, key)));
    if (of->list.n > 0)
        return;
    kr_map_del(&s->owners, uid);
    kr_map_fini(&of->list);
    kr_free(of);
}

void sandbox__owners_free(struct sandbox *s)
{
    kr_map_each (e, &s->owners) {
        struct dependents *of = e->val;

        kr_map_each (d, &of->list)
            dependent_free(d->val);
        kr_map_fini(&of->list);
        kr_free(of);
    }
    kr_map_fini(&s->owners);
}

static kr_val owners_of(kr_val v)
{
    return kr_at(v, "metadata.ownerReferences");
}

/* --- finding ---------------------------------------------------------------------------------- */

/* The type and the object that a reference of an object in namespace ns names; NULL: it is gone. */
static struct sandbox_obj *owner_named(struct sandbox *s, kr_val ref, kr_str ns,
                                       struct sandbox_type **type)
{
    KR_AUTO(kr_arena) a = {0};
    kr_str group, version;
    struct sandbox_obj *o;

    if (!kr_api_version(kr_at_str(ref, "apiVersion"), &group, &version))
        return NULL;
    *type = sandbox__type_of_kind(s, group, kr_at_str(ref, "kind"));
    if (*type == NULL)
        return NULL;
    o = sandbox__find(*type, (*type)->namespaced ? ns : KR_S(""), kr_at_str(ref, "name"));
    if (o && !kr_str_eq(kr_at_str(sandbox__value(&a, *type, NULL, o), "metadata.uid"),
                        kr_at_str(ref, "uid")))
        return NULL;
    return o;
}

/* Names the reference of an object in namespace ns (empty: of the cluster) what nobody can look for: a kind
 * that was never served, or something in a namespace? The real collector leaves such an object alone. */
static bool is_untraceable(struct sandbox *s, kr_val ref, kr_str ns)
{
    kr_str group, version, kind = kr_at_str(ref, "kind");

    if (!kr_api_version(kr_at_str(ref, "apiVersion"), &group, &version))
        return true;
    kr_map_each (e, &s->types) { /* those that are gone, too: their objects went with them */
        const struct sandbox_type *t = e->val;

        if (kr_str_eq(t->kind, kind) && kr_str_eq(t->group, group) &&
            sandbox__type_version(t, version))
            return t->namespaced && ns.n == 0;
    }
    return true;
}

static bool has_finalizer(kr_val v, kr_str name)
{
    KR_LIST_EACH (f, kr_at(v, "metadata.finalizers")) {
        if (kr_is_str(*f, name))
            return true;
    }
    return false;
}

static bool is_foreground(struct sandbox *s, struct sandbox_type *t, struct sandbox_obj *o)
{
    KR_AUTO(kr_arena) a = {0};

    return o->terminating && o->final &&
           has_finalizer(sandbox__value(&a, t, NULL, o), KR_S("foregroundDeletion"));
}

/* --- what a change means ---------------------------------------------------------------------- */

/* Those that name the uid look after their owners. */
static void wake_dependents(struct sandbox *s, kr_str uid)
{
    struct dependents *of = kr_map_get(&s->owners, uid);

    if (of == NULL)
        return;
    kr_map_each (e, &of->list) {
        struct dependent *d = e->val;

        sandbox__later(s, SANDBOX_TASK_DEPENDENT, d->type, kr_str_c(d->key), 0);
    }
}

/* An owner that waits for this one looks again. */
static void wake_owners(struct sandbox *s, kr_val refs, kr_str ns)
{
    KR_LIST_EACH (ref, refs) {
        struct sandbox_type *type;
        struct sandbox_obj *owner = owner_named(s, *ref, ns, &type);

        if (owner && owner->terminating)
            sandbox__later(s, SANDBOX_TASK_OWNER, type, sandbox__obj_key(owner), 0);
    }
}

void sandbox__owners_changed(struct sandbox *s, struct sandbox_type *t, enum sandbox_change change,
                             struct sandbox_obj *old, struct sandbox_obj *now, kr_val next)
{
    KR_AUTO(kr_arena) a = {0};
    kr_str key = sandbox__obj_key(now);
    kr_val was = old && old->owned ? owners_of(sandbox__value(&a, t, NULL, old)) : KR_V_NONE,
           is = change == SANDBOX_DELETED ? KR_V_NONE : owners_of(next);

    if (!kr_equal(was, is) || change == SANDBOX_DELETED) {
        KR_LIST_EACH (ref, was)
            index_del(s, &a, t, key, kr_at_str(*ref, "uid"));
        KR_LIST_EACH (ref, is)
            index_add(s, &a, t, key, kr_at_str(*ref, "uid"));
        wake_owners(s, was, sandbox__obj_namespace(now));
        if (is.n)
            sandbox__later(s, SANDBOX_TASK_DEPENDENT, t, key, 0);
    }
    if (change == SANDBOX_DELETED)
        wake_dependents(s, kr_at_str(next, "metadata.uid"));
    else if (now->terminating && now->final)
        sandbox__later(s, SANDBOX_TASK_OWNER, t, key, 0);
}

/* --- tasks ------------------------------------------------------------------------------------ */

static void drop_references(struct sandbox *s, struct kr_arena *a, struct sandbox_type *t,
                            struct sandbox_obj *o, kr_val v, kr_val keep)
{
    sandbox__put(s, t, o, kr_with(a, v, "metadata.ownerReferences", keep.n ? keep : KR_V_NONE));
}

/* An object with owners: if none is left it is deleted; references to those that are gone beside one
 * that is there are dropped. */
void sandbox__dependent_task(struct sandbox *s, struct sandbox_type *t, struct sandbox_obj *o)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_listb solid = KR_LISTB(&a);
    kr_val v = sandbox__value(&a, t, NULL, o), refs = owners_of(v);
    bool waiting = false, removed, has_dependents;
    uint32_t gone_n = 0;

    if (o->terminating)
        return;
    KR_LIST_EACH (ref, refs) {
        struct sandbox_type *type;
        struct sandbox_obj *owner = owner_named(s, *ref, sandbox__obj_namespace(o), &type);

        if (owner == NULL && is_untraceable(s, *ref, sandbox__obj_namespace(o)))
            return;
        if (owner == NULL)
            gone_n++;
        else if (is_foreground(s, type, owner) &&
                 kr_is_true(kr_get(*ref, KR_S("blockOwnerDeletion"))))
            waiting = true;
        else
            kr_listb_add(&solid, *ref);
    }
    if (refs.n == 0 || (gone_n == 0 && !waiting))
        return;
    if (solid.n > 0) {
        drop_references(s, &a, t, o, v, kr_listb_done(&solid));
        return;
    }
    has_dependents = kr_map_get(&s->owners, kr_at_str(v, "metadata.uid")) != NULL;
    sandbox__obj_drop(sandbox__delete_obj(
        s, t, o, waiting && has_dependents ? SANDBOX_FOREGROUND : SANDBOX_BACKGROUND, &removed));
}

/* Does the dependent name the uid, and with blockOwnerDeletion? */
static bool blocks(struct kr_arena *a, const struct dependent *d, kr_str uid)
{
    struct sandbox_obj *o = sandbox__tree_get(&d->type->objects, kr_str_c(d->key));

    if (o == NULL)
        return false;
    KR_LIST_EACH (ref, owners_of(sandbox__value(a, d->type, NULL, o))) {
        if (kr_is_str(kr_get(*ref, KR_S("uid")), uid) &&
            kr_is_true(kr_get(*ref, KR_S("blockOwnerDeletion"))))
            return true;
    }
    return false;
}

static void orphan_all(struct sandbox *s, struct kr_arena *a, struct dependents *of, kr_str uid)
{
    uint32_t n = 0;
    struct dependent **list = kr_new_n(a, struct dependent *, of->list.n);

    kr_map_each (e, &of->list) { /* the writes below change the index */
        list[n] = kr_new(a, struct dependent);
        list[n]->type = ((struct dependent *)e->val)->type;
        list[n++]->key = (char *)kr_strdup(a, kr_str_c(((struct dependent *)e->val)->key)).s;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct sandbox_obj *o =
            sandbox__obj_hold(sandbox__tree_get(&list[i]->type->objects, kr_str_c(list[i]->key)));
        struct kr_listb keep = KR_LISTB(a);
        kr_val v = o ? sandbox__value(a, list[i]->type, NULL, o) : KR_V_NONE;

        KR_LIST_EACH (ref, owners_of(v)) {
            if (!kr_is_str(kr_get(*ref, KR_S("uid")), uid))
                kr_listb_add(&keep, *ref);
        }
        if (o)
            drop_references(s, a, list[i]->type, o, v, kr_listb_done(&keep));
        sandbox__obj_drop(o);
    }
}

/* An owner that is being deleted and waits for its dependents. */
void sandbox__owner_task(struct sandbox *s, struct sandbox_type *t, struct sandbox_obj *o)
{
    KR_AUTO(kr_arena) a = {0};
    kr_val v = sandbox__value(&a, t, NULL, o);
    kr_str uid = kr_at_str(v, "metadata.uid");
    struct dependents *of = kr_map_get(&s->owners, uid);
    bool blocked = false;

    if (!o->terminating)
        return;
    if (has_finalizer(v, KR_S("orphan"))) {
        if (of)
            orphan_all(s, &a, of, uid);
        sandbox__put(s, t, o, sandbox__without_finalizer(&a, v, KR_S("orphan")));
        return;
    }
    if (!has_finalizer(v, KR_S("foregroundDeletion")))
        return;
    wake_dependents(s, uid);
    if (of) {
        kr_map_each (e, &of->list)
            blocked |= blocks(&a, e->val, uid);
    }
    if (!blocked)
        sandbox__put(s, t, o, sandbox__without_finalizer(&a, v, KR_S("foregroundDeletion")));
}
