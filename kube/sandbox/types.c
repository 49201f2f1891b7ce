/* SPDX-License-Identifier: Apache-2.0 */
/* types.c - which types the sandbox serves: the built-in ones, from the table of kube/builtin.h, and
 * those that definitions bring (crd.c).
 *
 * A type is a group and a resource; its versions show the same objects. Of the built-in ones those
 * versions are served that a server serves without being asked: no alpha, no beta. A type is never
 * freed before the sandbox is: one whose definition goes is marked, and revived when it comes again.
 */
#include "kube/sandbox/internal.h"

#include "cel/base/banned.h"

static kr_str type_key(struct kr_arena *a, kr_str group, kr_str resource)
{
    return kr_fmt(a, KR_FMT "." KR_FMT, KR_ARG(resource), KR_ARG(group));
}

struct sandbox_type *sandbox__type(const struct sandbox *s, kr_str group, kr_str resource)
{
    KR_AUTO(kr_arena) a = {0};

    return kr_map_get(&s->types, type_key(&a, group, resource));
}

struct sandbox_type *sandbox__type_of_kind(const struct sandbox *s, kr_str group, kr_str kind)
{
    kr_map_each (e, &s->types) {
        struct sandbox_type *t = e->val;

        if (!t->gone && kr_str_eq(t->kind, kind) && kr_str_eq(t->group, group))
            return t;
    }
    return NULL;
}

struct sandbox_type *sandbox__type_new(struct sandbox *s, kr_str group, kr_str resource)
{
    KR_AUTO(kr_arena) a = {0};
    struct sandbox_type *t = KR_ALLOC(struct sandbox_type);

    kr_link_init(&t->watches);
    t->compacted = s->version;
    t->key = kr_cstrdup(type_key(&a, group, resource));
    kr_map_put(&s->types, kr_str_c(t->key), t);
    return t;
}

void sandbox__type_free(struct sandbox_type *t)
{
    cel_kinds_free(t->kinds);
    sandbox__rules_fini(&t->rules);
    sandbox__forget(t, 0);
    kr_free(t->events);
    sandbox__tree_fini(&t->objects);
    kr_arena_fini(&t->arena);
    kr_free(t->key);
    kr_free(t);
}

const struct sandbox_version *sandbox__type_version(const struct sandbox_type *t, kr_str name)
{
    for (uint32_t i = 0; i < t->versions_n; i++) {
        if (kr_str_eq(t->versions[i].name, name))
            return &t->versions[i];
    }
    return NULL;
}

kr_str sandbox__api_version(struct kr_arena *a, const struct sandbox_type *t, kr_str version)
{
    return kr_api_version_text(a, t->group, version);
}

/* --- built-in types --------------------------------------------------------------------------- */

static kr_val words(struct kr_arena *a, kr_str text)
{
    struct kr_listb list = KR_LISTB(a);

    while (text.n > 0)
        kr_listb_add(&list, kr_string(kr_str_cut(&text, ',')));
    return kr_listb_done(&list);
}

static bool served(kr_str version)
{
    return kr_str_find(version, KR_S("alpha")) < 0 && kr_str_find(version, KR_S("beta")) < 0;
}

static void add_version(struct sandbox_type *t, const struct kube_builtin_kind *kind)
{
    struct sandbox_version *v = kr_new_n(&t->arena, struct sandbox_version, t->versions_n + 1);
    struct kube_builtin_sub sub;

    if (t->versions_n)
        memcpy(v, t->versions, t->versions_n * sizeof *v);
    t->versions = v;
    v += t->versions_n++;
    v->name = kind->gvk.version;
    v->served = true;
    v->builtin = *kind;
    for (kr_str rest = kind->subresources; kube_builtin_sub(kind, &rest, &sub);) {
        v->status |= kr_str_is(sub.name, "status");
        v->scale |= kr_str_is(sub.name, "scale");
    }
    if (v->scale) {
        v->scale_spec = KR_S(".spec.replicas");
        v->scale_status = KR_S(".status.replicas");
    }
}

/* What the sandbox reads and writes of its own accord. */
static const char *const needed[] = {
    "namespaces.",
    "services.",
    "configmaps.",
    "serviceaccounts.",
    "horizontalpodautoscalers.autoscaling",
    "customresourcedefinitions.apiextensions.k8s.io",
    "validatingadmissionpolicies.admissionregistration.k8s.io",
    "validatingadmissionpolicybindings.admissionregistration.k8s.io",
    NULL};

static bool is_listed(const char *const *list, kr_str key)
{
    for (; *list; list++)
        if (kr_str_eq(key, kr_str_c(*list)))
            return true;
    return false;
}

static bool is_wanted(const struct sandbox *s, const struct kube_builtin_kind *kind)
{
    KR_AUTO(kr_arena) a = {0};
    kr_str key;

    if (!served(kind->gvk.version))
        return false;
    if (s->opts.types == NULL)
        return true;
    key = type_key(&a, kind->gvk.group, kind->resource);
    return is_listed(needed, key) || is_listed(s->opts.types, key);
}

void sandbox__types_init(struct sandbox *s)
{
    struct kube_builtin_kind kind;

    for (uint32_t at = 0; kube_builtin_next(&at, &kind);) {
        struct sandbox_type *t;

        if (!is_wanted(s, &kind))
            continue;
        t = sandbox__type(s, kind.gvk.group, kind.resource);
        if (t == NULL) {
            t = sandbox__type_new(s, kind.gvk.group, kind.resource);
            t->builtin = true;
            t->group = kind.gvk.group;
            t->resource = kind.resource;
            t->kind = kind.gvk.kind;
            t->list_kind = kr_fmt(&t->arena, KR_FMT "List", KR_ARG(t->kind));
            t->singular = kind.singular;
            t->verbs = kind.verbs;
            t->namespaced = kind.namespaced;
            t->short_names = words(&t->arena, kind.short_names);
            t->categories = words(&t->arena, kind.categories);
        }
        add_version(t, &kind);
    }
}

const struct cel_schema *sandbox__schema(struct sandbox *s, const struct sandbox_type *t,
                                         const struct sandbox_version *v)
{
    struct sandbox_version *known = (struct sandbox_version *)v; /* what it remembers is no state */
    kr_gvk gvk = {t->group, v->name, t->kind};
    const struct cel_kind *kind = NULL;

    if (known->schema == NULL && t->builtin)
        kind = cel_kinds_find(s->kinds, gvk);
    if (known->schema == NULL && t->builtin && kind == NULL && kube_builtin_add(s->kinds, gvk))
        kind = cel_kinds_find(s->kinds, gvk);
    if (kind)
        known->schema = kind->schema;
    return known->schema;
}
