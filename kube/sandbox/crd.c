/* SPDX-License-Identifier: Apache-2.0 */
/* crd.c - definitions become types.
 *
 *   stored --task--> status: names accepted, established --> the type is served
 *   schema changed: what is stored is read by the new one from now on, streams end a second later
 *   deleted: finalizer customresourcecleanup... --task--> all objects deleted, waited for --> gone
 *
 * Source: apiextensions-apiserver pkg/controller/{status,establish,finalizer}.
 */
#include "kube/sandbox/work.h"

#include "cel/base/banned.h"

enum { STREAMS_END_MS = 1000 }; /* behind a change of the schema; as the real server */

#define CLEANUP KR_S("customresourcecleanup.apiextensions.k8s.io")

/* --- the type --------------------------------------------------------------------------------- */

static kr_str own(struct sandbox_type *t, kr_val v)
{
    return kr_strdup(&t->arena, kr_text(v));
}

static void read_version(struct sandbox_type *t, struct sandbox_version *v, kr_val from)
{
    kr_val scale = kr_at(from, "subresources.scale");
    const struct cel_kind *kind;

    v->name = own(t, kr_get(from, KR_S("name")));
    kind = cel_kinds_find(t->kinds, (kr_gvk){t->group, v->name, t->kind});
    v->schema = kind ? kind->schema : NULL;
    v->served = kr_is_true(kr_get(from, KR_S("served")));
    v->deprecated = kr_is_true(kr_get(from, KR_S("deprecated")));
    v->warning = own(t, kr_get(from, KR_S("deprecationWarning")));
    v->openapi = kr_copy(&t->arena, kr_at(from, "schema.openAPIV3Schema"));
    v->columns = kr_copy(&t->arena, kr_get(from, KR_S("additionalPrinterColumns")));
    v->selectable = kr_copy(&t->arena, kr_get(from, KR_S("selectableFields")));
    v->status = kr_at(from, "subresources.status").kind == KR_MAP;
    v->scale = scale.kind == KR_MAP;
    v->scale_spec = own(t, kr_get(scale, KR_S("specReplicasPath")));
    v->scale_status = own(t, kr_get(scale, KR_S("statusReplicasPath")));
    v->scale_selector = own(t, kr_get(scale, KR_S("labelSelectorPath")));
}

/* Makes t what the definition says; what it was is freed. */
static void read_type(struct sandbox *s, struct sandbox_type *t, kr_val crd)
{
    kr_val names = kr_at(crd, "spec.names"), versions = kr_at(crd, "spec.versions");
    uint32_t n = 0;

    cel_kinds_free(t->kinds);
    t->kinds = cel_kinds_new();
    if (cel_kinds_add_crd(t->kinds, crd, NULL) < 0)
        (void)0; /* a schema that cannot be read merges as one that says nothing */
    sandbox__rules_fini(&t->rules);
    t->rules = (struct sandbox_rules){0};
    kr_arena_fini(&t->arena);
    t->arena = (struct kr_arena){0};
    t->gone = false;
    t->terminating = kr_at(crd, "metadata.deletionTimestamp").kind == KR_STRING;
    t->group = own(t, kr_at(crd, "spec.group"));
    t->resource = own(t, kr_get(names, KR_S("plural")));
    t->kind = own(t, kr_get(names, KR_S("kind")));
    t->list_kind = own(t, kr_get(names, KR_S("listKind")));
    t->singular = own(t, kr_get(names, KR_S("singular")));
    t->short_names = kr_copy(&t->arena, kr_get(names, KR_S("shortNames")));
    t->categories = kr_copy(&t->arena, kr_get(names, KR_S("categories")));
    t->verbs = KR_S("cdDglpuw");
    t->namespaced = kr_is_str(kr_at(crd, "spec.scope"), KR_S("Namespaced"));
    t->versions = kr_new_n(&t->arena, struct sandbox_version, versions.n + 1);
    KR_LIST_EACH (v, versions) {
        if (kr_is_true(kr_get(*v, KR_S("storage"))))
            t->storage = n;
        read_version(t, &t->versions[n++], *v);
    }
    t->versions_n = n;
    t->schema_n = (uint32_t)kr_at(crd, "metadata.generation").i;
    s->definitions_n++;
}

/* --- status ----------------------------------------------------------------------------------- */

static kr_val condition_of(kr_val crd, kr_str type)
{
    KR_LIST_EACH (c, kr_at(crd, "status.conditions")) {
        if (kr_is_str(kr_get(*c, KR_S("type")), type))
            return *c;
    }
    return KR_V_NONE;
}

static bool is_established(kr_val crd)
{
    return kr_is_str(kr_get(condition_of(crd, KR_S("Established")), KR_S("status")), KR_S("True"));
}

static kr_val with_condition(struct sandbox *s, struct kr_arena *a, kr_val crd, const char *type,
                             const char *status, const char *reason, const char *message)
{
    struct kr_listb list = KR_LISTB(a);
    struct kr_mapb b = KR_MAPB(a);
    kr_val old = condition_of(crd, kr_str_c(type)), since = kr_get(old, KR_S("lastTransitionTime"));
    bool same = kr_is_str(kr_get(old, KR_S("status")), kr_str_c(status));
    kr_val now;

    kr_mapb_put(&b, KR_S("type"), kr_string(kr_str_c(type)));
    kr_mapb_put(&b, KR_S("status"), kr_string(kr_str_c(status)));
    kr_mapb_put(&b, KR_S("reason"), kr_string(kr_str_c(reason)));
    kr_mapb_put(&b, KR_S("message"), kr_string(kr_str_c(message)));
    kr_mapb_put(&b, KR_S("lastTransitionTime"), same ? since : sandbox__now(s, a));
    now = kr_mapb_done(&b);
    KR_LIST_EACH (c, kr_at(crd, "status.conditions"))
        kr_listb_add(&list, kr_is_str(kr_get(*c, KR_S("type")), kr_str_c(type)) ? now : *c);
    if (old.kind == KR_NONE)
        kr_listb_add(&list, now);
    return kr_with(a, crd, "status.conditions", kr_listb_done(&list));
}

static kr_val with_stored_version(struct kr_arena *a, kr_val crd)
{
    struct kr_listb list = KR_LISTB(a);
    kr_val stored = KR_V_NONE;

    KR_LIST_EACH (v, kr_at(crd, "spec.versions")) {
        if (kr_is_true(kr_get(*v, KR_S("storage"))))
            stored = kr_get(*v, KR_S("name"));
    }
    KR_LIST_EACH (v, kr_at(crd, "status.storedVersions")) {
        if (kr_equal(*v, stored))
            return crd;
        kr_listb_add(&list, *v);
    }
    kr_listb_add(&list, stored);
    return kr_with(a, crd, "status.storedVersions", kr_listb_done(&list));
}

/* Another type of the group with the same kind? */
static bool conflicts(struct sandbox *s, kr_val crd)
{
    struct sandbox_type *t =
        sandbox__type_of_kind(s, kr_at_str(crd, "spec.group"), kr_at_str(crd, "spec.names.kind"));

    return t && !kr_str_eq(t->resource, kr_at_str(crd, "spec.names.plural"));
}

static kr_val with_status(struct sandbox *s, struct kr_arena *a, kr_val crd)
{
    if (conflicts(s, crd))
        return with_condition(s, a, crd, "NamesAccepted", "False", "KindConflict",
                              "the kind is already in use");
    crd = with_stored_version(a, crd);
    crd = kr_with(a, crd, "status.acceptedNames", kr_at(crd, "spec.names"));
    crd = with_condition(s, a, crd, "NamesAccepted", "True", "NoConflicts", "no conflicts found");
    if (is_established(crd))
        return crd;
    return with_condition(s, a, crd, "Established", "True", "InitialNamesAccepted",
                          "the initial names have been accepted");
}

/* --- changes ---------------------------------------------------------------------------------- */

static struct sandbox_type *type_of(struct sandbox *s, kr_val crd)
{
    return sandbox__type(s, kr_at_str(crd, "spec.group"), kr_at_str(crd, "spec.names.plural"));
}

void sandbox__definition_changed(struct sandbox *s, struct sandbox_type *t,
                                 enum sandbox_change change, struct sandbox_obj *now, kr_val next)
{
    struct sandbox_type *type;
    uint32_t was;

    if (t->terminating && change == SANDBOX_DELETED) { /* a definition waits for this object */
        kr_str name = kr_str_c(t->key);

        sandbox__later(
            s, SANDBOX_TASK_DEFINITION,
            sandbox__type(s, KR_S("apiextensions.k8s.io"), KR_S("customresourcedefinitions")), name,
            0);
    }
    if (!sandbox__is(t, "apiextensions.k8s.io", "customresourcedefinitions"))
        return;
    type = type_of(s, next);
    if (type && type->builtin)
        return;
    if (change == SANDBOX_DELETED) {
        if (type) {
            type->gone = true;
            type->terminating = false;
            sandbox__watches_end(type);
            s->definitions_n++;
        }
        return;
    }
    if (is_established(next)) {
        if (type == NULL)
            type = sandbox__type_new(s, kr_at_str(next, "spec.group"),
                                     kr_at_str(next, "spec.names.plural"));
        was = type->schema_n;
        read_type(s, type, next);
        if (was && was != type->schema_n)
            sandbox__later(s, SANDBOX_TASK_SCHEMA, t, sandbox__obj_key(now), STREAMS_END_MS);
    }
    sandbox__later(s, SANDBOX_TASK_DEFINITION, t, sandbox__obj_key(now), 0);
}

/* Streams go by the schema that was there when they began: the server ends them. */
void sandbox__schema_task(struct sandbox *s, struct sandbox_type *t, struct sandbox_obj *o)
{
    KR_AUTO(kr_arena) a = {0};
    struct sandbox_type *type = type_of(s, sandbox__value(&a, t, NULL, o));

    if (type)
        sandbox__watches_end(type);
}

kr_val sandbox__definition_ending(struct sandbox *s, struct kr_arena *a, kr_val crd)
{
    struct kr_listb list = KR_LISTB(a);

    crd = sandbox__without_finalizer(a, crd, CLEANUP);
    KR_LIST_EACH (f, kr_at(crd, "metadata.finalizers"))
        kr_listb_add(&list, *f);
    kr_listb_add(&list, kr_string(CLEANUP));
    crd = kr_with(a, crd, "metadata.finalizers", kr_listb_done(&list));
    return with_condition(s, a, crd, "Terminating", "True", "InstanceDeletionPending",
                          "CustomResourceDefinition marked for deletion; CustomResource deletion "
                          "will begin soon");
}

/* Deletes all objects of the type; returns how many are left. */
static uint32_t empty_type(struct sandbox *s, struct sandbox_type *t)
{
    KR_AUTO(kr_arena) a = {0};
    kr_str from = KR_S("");
    struct sandbox_node *n;

    while ((n = sandbox__tree_seek(&t->objects, from)) != NULL) {
        struct sandbox_obj *o = sandbox__obj_hold(sandbox__node_obj(n));
        bool removed;

        sandbox__obj_drop(sandbox__delete_obj(s, t, o, SANDBOX_BACKGROUND, &removed));
        from = kr_fmt(&a, KR_FMT "%c", KR_ARG(sandbox__obj_key(o)), '\1'); /* right behind it */
        sandbox__obj_drop(o);
    }
    return t->objects.n;
}

void sandbox__definition_task(struct sandbox *s, struct sandbox_type *t, struct sandbox_obj *o)
{
    KR_AUTO(kr_arena) a = {0};
    kr_val crd = sandbox__value(&a, t, NULL, o), next;
    struct sandbox_type *type = type_of(s, crd);

    if (!o->terminating) {
        next = with_status(s, &a, crd);
        if (!kr_equal(next, crd))
            sandbox__put(s, t, o, next);
        return;
    }
    if (type && !type->builtin && !type->gone && empty_type(s, type) > 0)
        return; /* the last one to go lists this task again */
    next = sandbox__without_finalizer(&a, crd, CLEANUP);
    if (!kr_equal(next, crd))
        sandbox__put(s, t, o, next);
}
