/* SPDX-License-Identifier: Apache-2.0 */
/* fakeapi_objects.c - requests on objects. Every write goes the same way:
 *
 *   body -> next value (by verb) -> prepare (system fields, defaults) -> managers -> fake_commit
 *
 * and fake_commit is the only place where a version is given out and an event is made.
 */
#include <inttypes.h>
#include <stdio.h>

#include "cel/base/digest.h"
#include "cel/base/time.h"
#include "tests/lib/fakeapi_internal.h"

/* Answers that have no body of their own kind. */
#define REFUSE(r, ...) fake_status((r), __VA_ARGS__)

/* One write on its way. */
struct write {
    struct fakeapi *f;
    const struct fake_target *t;
    struct fake_response *r;
    struct kr_arena *a;
    struct fake_obj *old; /* NULL: creation */
    kr_str manager;
    bool apply;  /* else an update */
    bool status; /* of the subresource */
};

/* --- objects ---------------------------------------------------------------------------------- */

struct fake_obj *fake_obj_hold(struct fake_obj *o)
{
    if (o != NULL)
        o->refs++;
    return o;
}

void fake_obj_drop(struct fake_obj *o)
{
    if (o == NULL || --o->refs > 0)
        return;
    kr_arena_fini(&o->arena);
    kr_free(o);
}

static kr_str key_of(struct kr_arena *a, kr_str group, kr_str resource, kr_str ns, kr_str name)
{
    return kr_fmt(a, KR_FMT "/" KR_FMT "|" KR_FMT "|" KR_FMT, KR_ARG(group), KR_ARG(resource),
                  KR_ARG(ns), KR_ARG(name));
}

struct fake_obj *fake_find(struct fakeapi *f, const struct fake_target *t)
{
    KR_AUTO(kr_arena) a = {0};

    return kr_map_get(&f->objects,
                      key_of(&a, t->kind->gvk.group, t->kind->resource, t->namespace, t->name));
}

static struct fake_obj *obj_new(const struct fake_kind *k, kr_val v, uint64_t version)
{
    struct fake_obj *o = KR_ALLOC(struct fake_obj);

    o->refs = 1;
    o->v = kr_copy(&o->arena, v);
    o->group = kr_strdup(&o->arena, k->gvk.group);
    o->resource = kr_strdup(&o->arena, k->resource);
    o->namespace = kr_at_str(o->v, "metadata.namespace");
    o->name = kr_at_str(o->v, "metadata.name");
    o->version = version;
    return o;
}

kr_val fake_as_version(struct kr_arena *a, const struct fake_kind *k, kr_val v)
{
    return kr_with(a, v, "apiVersion",
                   kr_string(kr_api_version_text(a, k->gvk.group, k->gvk.version)));
}

/* --- history ---------------------------------------------------------------------------------- */

static void drop_events(struct fakeapi *f, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        f->compacted = f->events[i].version;
        fake_obj_drop(f->events[i].old);
        fake_obj_drop(f->events[i].now);
        fake_obj_drop(f->events[i].last);
    }
    f->events_n -= n;
    memmove(f->events, f->events + n, f->events_n * sizeof f->events[0]);
}

void fake_compact(struct fakeapi *f)
{
    drop_events(f, f->events_n);
    f->compacted = f->version;
}

static void add_event(struct fakeapi *f, struct fake_obj *old, struct fake_obj *now,
                      struct fake_obj *last)
{
    uint32_t max = f->opts.history_n ? f->opts.history_n : FAKEAPI_HISTORY;

    if (f->events_n >= max)
        drop_events(f, f->events_n - max + 1);
    if (f->events_n == f->events_cap) {
        f->events_cap = f->events_cap ? f->events_cap * 2 : 64;
        f->events = kr_realloc(f->events, f->events_cap * sizeof f->events[0]);
    }
    f->events[f->events_n++] = (struct fake_event){f->version, fake_obj_hold(old),
                                                   fake_obj_hold(now), fake_obj_hold(last)};
    for (struct kr_link *l = f->calls.next; l != &f->calls; l = l->next) {
        struct fake_call *call = KR_OWNER(l, struct fake_call, link);

        if (call->watching)
            fake_wake(call, f->opts.latency_ms);
    }
}

static kr_val with_version(struct kr_arena *a, kr_val v, uint64_t version)
{
    return kr_with(a, v, "metadata.resourceVersion", kr_string(kr_fmt(a, "%" PRIu64, version)));
}

/* Takes the stored object away; `final` is its state as the deletion tells it. */
static struct fake_obj *take_away(struct fakeapi *f, const struct fake_kind *k, struct fake_obj *o,
                                  kr_val final)
{
    KR_AUTO(kr_arena) a = {0};
    struct fake_obj *last;

    f->version++;
    last = obj_new(k, with_version(&a, final, f->version), f->version);
    add_event(f, o, NULL, last);
    kr_map_del(&f->objects, key_of(&a, o->group, o->resource, o->namespace, o->name));
    if (kr_str_is(k->gvk.kind, "CustomResourceDefinition"))
        fake_crd_gone(f, o->v);
    fake_obj_drop(o);
    return last;
}

void fake_remove_object(struct fakeapi *f, struct fake_obj *o)
{
    struct fake_kind k = {.gvk.group = o->group, .resource = o->resource};

    fake_obj_drop(take_away(f, &k, o, o->v));
}

static bool finalized(kr_val v)
{
    return kr_at(v, "metadata.deletionTimestamp").kind == KR_STRING &&
           kr_at(v, "metadata.finalizers").n == 0;
}

struct fake_obj *fake_commit(struct fakeapi *f, struct kr_arena *a, struct fake_kind *k,
                             struct fake_obj *old, kr_val next)
{
    struct fake_obj *o;

    if (old != NULL && kr_equal(old->v, next))
        return old;
    if (old != NULL && finalized(next)) {
        o = take_away(f, k, old, next);
        next = kr_copy(a, o->v);
        fake_obj_drop(o);
        o = kr_new(a, struct fake_obj); /* no longer stored: lives as long as the answer */
        o->v = next;
        return o;
    }
    f->version++;
    o = obj_new(k, with_version(a, next, f->version), f->version);
    add_event(f, old, o, NULL);
    kr_map_put(&f->objects, key_of(a, o->group, o->resource, o->namespace, o->name), o);
    fake_obj_drop(old);
    if (kr_str_is(k->gvk.kind, "CustomResourceDefinition")) {
        fake_crd_changed(f, o->v);
        if (kr_at(o->v, "status.conditions").n == 0)
            f->clock->ops->timer_start(f->clock, &f->crds, f->opts.crd_delay_ms);
    }
    return o;
}

static void undo(struct fakeapi *f, const struct fake_event *e)
{
    const struct fake_obj *o = e->now ? e->now : e->old;
    KR_AUTO(kr_arena) a = {0};
    kr_str key = key_of(&a, o->group, o->resource, o->namespace, o->name);
    struct fake_obj *there = kr_map_get(&f->objects, key);

    if (e->old)
        kr_map_put(&f->objects, key, fake_obj_hold(e->old));
    else
        kr_map_del(&f->objects, key);
    fake_obj_drop(there);
}

void fakeapi_rewind(struct fakeapi *f, uint64_t version)
{
    KR_ASSERT(version >= f->compacted && version <= f->version);
    for (uint32_t i = f->events_n; i > 0 && f->events[i - 1].version > version; i--)
        undo(f, &f->events[i - 1]);
    f->version = version;
    fake_compact(f);
}

uint64_t fakeapi_version(const struct fakeapi *f)
{
    return f->version;
}

/* --- what the server itself decides ----------------------------------------------------------- */

static kr_val now_text(struct fakeapi *f, struct kr_arena *a)
{
    char text[KR_TIME_TEXT_MAX];
    size_t n = kr_time_text(f->clock->ops->wall_ms(f->clock) / 1000, 0, text);

    return kr_string(kr_strdup(a, (kr_str){text, n}));
}

/* Secret: stringData is written into data. */
static kr_val secret_normal(struct kr_arena *a, kr_val v)
{
    KR_MAP_EACH (p, kr_get(v, KR_S("stringData"))) {
        kr_val data = kr_with_key(a,
                                  kr_get(v, KR_S("data")).kind == KR_MAP ? kr_get(v, KR_S("data"))
                                                                         : kr_map_sorted(NULL, 0),
                                  kr_text(p->key),
                                  kr_string(kr_base64_encode(a, kr_text(p->val), KR_BASE64_STD)));

        v = kr_with(a, v, "data", data);
    }
    v = kr_with(a, v, "stringData", KR_V_NONE);
    return kr_at(v, "type").kind == KR_NONE ? kr_with(a, v, "type", KR_V_STR("Opaque")) : v;
}

static kr_val service_normal(struct fakeapi *f, struct kr_arena *a, kr_val old, kr_val v)
{
    kr_val ip = kr_at(old, "spec.clusterIP");

    if (kr_at(v, "spec.clusterIP").kind != KR_NONE ||
        kr_is_str(kr_at(v, "spec.type"), KR_S("ExternalName")))
        return v;
    if (ip.kind == KR_NONE)
        ip = kr_string(
            kr_fmt(a, "10.96.%u.%u", (unsigned)(f->uid / 250 % 250), (unsigned)(f->uid % 250) + 1));
    v = kr_with(a, v, "spec.clusterIP", ip);
    return kr_with(a, v, "spec.clusterIPs", kr_copy(a, kr_list(&ip, 1)));
}

static kr_val crd_normal(struct kr_arena *a, kr_val v)
{
    kr_str kind = kr_at_str(v, "spec.names.kind");
    char *lower = kr_arena_bytes(a, kind.n + 1);

    for (size_t i = 0; i < kind.n; i++)
        lower[i] = (char)(kind.s[i] >= 'A' && kind.s[i] <= 'Z' ? kind.s[i] + 32 : kind.s[i]);
    if (kr_at(v, "spec.names.singular").kind == KR_NONE)
        v = kr_with(a, v, "spec.names.singular", kr_string((kr_str){lower, kind.n}));
    if (kr_at(v, "spec.names.listKind").kind == KR_NONE)
        v = kr_with(a, v, "spec.names.listKind", kr_string(kr_fmt(a, KR_FMT "List", KR_ARG(kind))));
    return v;
}

static kr_val special(struct fakeapi *f, struct kr_arena *a, const struct fake_kind *k, kr_val old,
                      kr_val v)
{
    if (kr_str_is(k->gvk.kind, "Secret") && k->gvk.group.n == 0)
        return secret_normal(a, v);
    if (kr_str_is(k->gvk.kind, "Service") && k->gvk.group.n == 0)
        return service_normal(f, a, old, v);
    if (kr_str_is(k->gvk.kind, "Namespace"))
        return kr_with(a, v, "status.phase", KR_V_STR("Active"));
    if (kr_str_is(k->gvk.kind, "CustomResourceDefinition"))
        return crd_normal(a, v);
    return v;
}

/* Does anything but metadata and status differ? */
static bool spec_differs(struct kr_arena *a, const struct fake_kind *k, kr_val x, kr_val y)
{
    const char * not [] = {"metadata", "apiVersion", "kind", k->has_status ? "status" : "metadata"};

    for (size_t i = 0; i < KR_N(not ); i++) {
        x = kr_with(a, x, not [i], KR_V_NONE);
        y = kr_with(a, y, not [i], KR_V_NONE);
    }
    return !kr_equal(x, y);
}

static kr_val with_generation(struct kr_arena *a, const struct fake_kind *k, kr_val old, kr_val v)
{
    kr_val was = kr_at(old, "metadata.generation");
    bool deleted = kr_at(v, "metadata.deletionTimestamp").kind != KR_NONE &&
                   kr_at(old, "metadata.deletionTimestamp").kind == KR_NONE;
    bool bump = old.kind != KR_NONE && (deleted || spec_differs(a, k, old, v));

    if (!k->generation)
        return kr_with(a, v, "metadata.generation", KR_V_NONE);
    return kr_with(a, v, "metadata.generation", kr_int(was.kind == KR_INT ? was.i + bump : 1));
}

/* The value as it will be stored: what a client may not set comes from old or is made here. */
static kr_val prepare(struct write *w, kr_val v)
{
    static const char *const kept[] = {"uid",
                                       "creationTimestamp",
                                       "deletionTimestamp",
                                       "deletionGracePeriodSeconds",
                                       "resourceVersion",
                                       "managedFields"};
    const struct fake_kind *k = w->t->kind;
    struct kr_arena *a = w->a;
    kr_val old = w->old ? w->old->v : KR_V_NONE;

    if (w->status) {
        v = kr_with(a, old, "status", kr_get(v, KR_S("status")));
        return fake_normal(w->f, a, k->schema, v, k->crd.n == 0);
    }
    for (size_t i = 0; i < KR_N(kept); i++) {
        char path[64];

        snprintf(path, sizeof path, "metadata.%s", kept[i]);
        v = kr_with(a, v, path, kr_at(old, path));
    }
    v = fake_as_version(a, k, v);
    v = kr_with(a, v, "kind", kr_string(k->gvk.kind));
    v = kr_with(a, v, "metadata.name", kr_string(w->t->name));
    v = kr_with(a, v, "metadata.namespace", k->namespaced ? kr_string(w->t->namespace) : KR_V_NONE);
    if (w->old == NULL) {
        v = kr_with(a, v, "metadata.uid",
                    kr_string(kr_fmt(a, "00000000-0000-4000-8000-%012" PRIu64, ++w->f->uid)));
        v = kr_with(a, v, "metadata.creationTimestamp", now_text(w->f, a));
    }
    if (k->has_status)
        v = kr_with(a, v, "status", kr_get(old, KR_S("status")));
    v = fake_normal(w->f, a, k->schema, v, k->crd.n == 0);
    v = special(w->f, a, k, old, v);
    return with_generation(a, k, old, v);
}

/* --- managers --------------------------------------------------------------------------------- */

/* What takes part in ownership: without the system's fields, and only the status or all but it. */
static kr_val owned_part(struct write *w, kr_val v)
{
    static const char *const never[] = {
        "apiVersion",
        "kind",
        "metadata.name",
        "metadata.namespace",
        "metadata.generateName",
        "metadata.uid",
        "metadata.resourceVersion",
        "metadata.generation",
        "metadata.creationTimestamp",
        "metadata.deletionTimestamp",
        "metadata.deletionGracePeriodSeconds",
        "metadata.managedFields",
        "metadata.selfLink",
    };
    struct kr_arena *a = w->a;

    if (w->status)
        return kr_with(a, kr_map_sorted(NULL, 0), "status", kr_get(v, KR_S("status")));
    for (size_t i = 0; i < KR_N(never); i++)
        if (kr_at(v, never[i]).kind != KR_NONE)
            v = kr_with(a, v, never[i], KR_V_NONE);
    if (w->t->kind->has_status)
        v = kr_with(a, v, "status", KR_V_NONE);
    if (kr_get(v, KR_S("metadata")).n == 0)
        v = kr_with(a, v, "metadata", KR_V_NONE);
    return v;
}

static bool is_entry(struct write *w, kr_val entry)
{
    return kr_str_eq(kr_at_str(entry, "manager"), w->manager) &&
           kr_is_str(kr_at(entry, "operation"), w->apply ? KR_S("Apply") : KR_S("Update")) &&
           kr_str_is(kr_at_str(entry, "subresource"), "status") == w->status;
}

static kr_val entry_set(kr_val entry)
{
    kr_val set = kr_get(entry, KR_S("fieldsV1"));

    return set.n == 0 ? KR_V_NONE : set;
}

static kr_val entry_make(struct write *w, kr_val set)
{
    struct kr_mapb b = KR_MAPB(w->a);

    kr_mapb_put(&b, KR_S("manager"), kr_string(w->manager));
    kr_mapb_put(&b, KR_S("operation"), w->apply ? KR_V_STR("Apply") : KR_V_STR("Update"));
    kr_mapb_put(
        &b, KR_S("apiVersion"),
        kr_string(kr_api_version_text(w->a, w->t->kind->gvk.group, w->t->kind->gvk.version)));
    kr_mapb_put(&b, KR_S("time"), now_text(w->f, w->a));
    kr_mapb_put(&b, KR_S("fieldsType"), KR_V_STR("FieldsV1"));
    kr_mapb_put(&b, KR_S("fieldsV1"), set);
    if (w->status)
        kr_mapb_put(&b, KR_S("subresource"), KR_V_STR("status"));
    return kr_mapb_done(&b);
}

/* stringData is in sets though never stored: where data is, it is too. */
static kr_val for_sets(struct write *w, kr_val v)
{
    return kr_str_is(w->t->kind->gvk.kind, "Secret")
               ? kr_with(w->a, v, "stringData", kr_get(v, KR_S("data")))
               : v;
}

/* The value with its managers: ours own `mine`; the others lose `taken` and what is no longer
 * there. */
static kr_val with_managers(struct write *w, kr_val v, kr_val mine, kr_val taken)
{
    struct kr_listb list = KR_LISTB(w->a);
    kr_val there = for_sets(w, v);
    bool found = false;

    KR_LIST_EACH (e, kr_at(v, "metadata.managedFields")) {
        kr_val set = entry_set(*e);
        bool ours = is_entry(w, *e);

        found = found || ours;
        set = ours ? mine : fake_set_minus(w->a, set, taken);
        if (!ours)
            set = fake_set_existing(w->f, w->a, w->t->kind->schema, set, there);
        if (set.kind != KR_NONE && set.n > 0)
            kr_listb_add(&list, kr_equal(set, entry_set(*e)) ? *e
                                : ours                       ? entry_make(w, set)
                                                             : kr_with(w->a, *e, "fieldsV1", set));
    }
    if (!found && mine.kind != KR_NONE)
        kr_listb_add(&list, entry_make(w, mine));
    return kr_with(w->a, v, "metadata.managedFields", kr_listb_done(&list));
}

/* The set of this manager so far, and that of all the others. */
static void split_managers(struct write *w, kr_val *mine, kr_val *others)
{
    *mine = *others = KR_V_NONE;
    KR_LIST_EACH (e, kr_at(w->old ? w->old->v : KR_V_NONE, "metadata.managedFields")) {
        kr_val *into = is_entry(w, *e) ? mine : others;

        *into = fake_set_or(w->a, *into, entry_set(*e));
    }
}

/* --- the verbs -------------------------------------------------------------------------------- */

static kr_str qualified(struct kr_arena *a, const struct fake_kind *k)
{
    return k->gvk.group.n ? kr_fmt(a, KR_FMT "." KR_FMT, KR_ARG(k->resource), KR_ARG(k->gvk.group))
                          : k->resource;
}

static void not_found(struct fakeapi *f, const struct fake_target *t, struct fake_response *r)
{
    REFUSE(r, 404, "NotFound", KR_FMT " \"" KR_FMT "\" not found", KR_ARG(qualified(r->a, t->kind)),
           KR_ARG(t->name));
}

static void answer(struct write *w, int status, const struct fake_obj *o)
{
    w->r->status = status;
    w->r->body = fake_as_version(w->a, w->t->kind, o->v);
}

static void update_to(struct write *w, kr_val next)
{
    kr_val v = prepare(w, next);
    kr_val was = w->old ? owned_part(w, w->old->v) : KR_V_NONE;
    kr_val changed = fake_set_changed(w->f, w->a, w->t->kind->schema, was, owned_part(w, v));
    kr_val mine, others;

    split_managers(w, &mine, &others);
    mine = fake_set_existing(w->f, w->a, w->t->kind->schema, fake_set_or(w->a, mine, changed),
                             for_sets(w, v));
    v = with_managers(w, v, mine, changed);
    answer(w, w->old ? 200 : 201, fake_commit(w->f, w->a, w->t->kind, w->old, v));
}

/* "conflict with "x": .data.a" for each manager that has what we would change. */
static bool conflicts(struct write *w, kr_val wanted)
{
    KR_AUTO(kr_buf) all = KR_BUF(4096);
    uint32_t n = 0;

    KR_LIST_EACH (e, kr_at(w->old ? w->old->v : KR_V_NONE, "metadata.managedFields")) {
        KR_AUTO(kr_buf) paths = KR_BUF(4096);

        if (is_entry(w, *e))
            continue;
        fake_set_paths(&paths, fake_set_and(w->a, entry_set(*e), wanted), (kr_str){0});
        if (paths.n == 0)
            continue;
        kr_buf_fmt(&all, "%sconflict with \"" KR_FMT "\": " KR_FMT, n++ ? ", " : "",
                   KR_ARG(kr_at_str(*e, "manager")), KR_ARG(kr_buf_view(&paths)));
    }
    if (n > 0)
        REFUSE(w->r, 409, "Conflict", "Apply failed with %u conflict%s: " KR_FMT, n,
               n == 1 ? "" : "s", KR_ARG(kr_buf_view(&all)));
    return n > 0;
}

static void apply(struct write *w, kr_val config, bool force)
{
    struct fakeapi *f = w->f;
    struct kr_arena *a = w->a;
    kr_val schema = w->t->kind->schema, live = w->old ? w->old->v : kr_map_sorted(NULL, 0);
    kr_val mine, others, wanted, next, gone, changed, v;

    config = owned_part(w, config);
    wanted = fake_set_of(f, a, schema, config);
    split_managers(w, &mine, &others);
    gone = fake_set_minus(a, fake_set_minus(a, mine, wanted), others);
    next = fake_remove(f, a, schema, fake_merge(f, a, schema, live, config), gone);
    v = prepare(w, next);
    changed =
        w->old ? fake_set_and(a, wanted,
                              fake_set_changed(f, a, schema, owned_part(w, live), owned_part(w, v)))
               : KR_V_NONE;
    if (!force && conflicts(w, changed))
        return;
    v = with_managers(w, v, wanted, changed);
    answer(w, w->old ? 200 : 201, fake_commit(f, a, w->t->kind, w->old, v));
}

static kr_val merge_patch(struct kr_arena *a, kr_val v, kr_val patch)
{
    if (patch.kind != KR_MAP)
        return patch;
    if (v.kind != KR_MAP)
        v = kr_map_sorted(NULL, 0);
    KR_MAP_EACH (p, patch)
        v = kr_with_key(a, v, kr_text(p->key),
                        p->val.kind == KR_NULL
                            ? KR_V_NONE
                            : merge_patch(a, kr_get(v, kr_text(p->key)), p->val));
    return v;
}

/* uid and resourceVersion that the client expects; false: refused. */
static bool as_expected(struct write *w, kr_val body)
{
    kr_str uid = kr_at_str(body, "metadata.uid"),
           version = kr_at_str(body, "metadata.resourceVersion");
    kr_str name = qualified(w->a, w->t->kind);

    if (w->old == NULL)
        return true;
    if (uid.n > 0 && !kr_str_eq(uid, kr_at_str(w->old->v, "metadata.uid"))) {
        REFUSE(w->r, 409, "Conflict",
               "Operation cannot be fulfilled on " KR_FMT " \"" KR_FMT
               "\": Precondition failed: UID in precondition: " KR_FMT
               ", UID in object meta: " KR_FMT,
               KR_ARG(name), KR_ARG(w->t->name), KR_ARG(uid),
               KR_ARG(kr_at_str(w->old->v, "metadata.uid")));
        return false;
    }
    if (version.n > 0 && !kr_str_eq(version, kr_at_str(w->old->v, "metadata.resourceVersion"))) {
        REFUSE(w->r, 409, "Conflict",
               "Operation cannot be fulfilled on " KR_FMT " \"" KR_FMT
               "\": the object has been modified; please apply your changes to the latest version "
               "and try again",
               KR_ARG(name), KR_ARG(w->t->name));
        return false;
    }
    return true;
}

static bool namespace_there(struct fakeapi *f, const struct fake_target *t, struct fake_response *r)
{
    struct fake_target ns = {.kind =
                                 fake_kind_by_resource(f, KR_S(""), KR_S("v1"), KR_S("namespaces")),
                             .name = t->namespace};

    if (!t->kind->namespaced || fake_find(f, &ns) != NULL)
        return true;
    REFUSE(r, 404, "NotFound", "namespaces \"" KR_FMT "\" not found", KR_ARG(t->namespace));
    return false;
}

static void create(struct write *w, kr_val body)
{
    struct fake_target t = *w->t;
    kr_str prefix = kr_at_str(body, "metadata.generateName");

    t.name = kr_at_str(body, "metadata.name");
    if (t.name.n == 0 && prefix.n > 0)
        t.name = kr_fmt(w->a, KR_FMT "%05" PRIu64, KR_ARG(prefix), w->f->uid + 1);
    w->t = &t;
    if (t.name.n == 0)
        REFUSE(w->r, 422, "Invalid",
               KR_FMT
               " \"\" is invalid: metadata.name: Required value: name or generateName is required",
               KR_ARG(t.kind->gvk.kind));
    else if (fake_find(w->f, &t) != NULL)
        REFUSE(w->r, 409, "AlreadyExists", KR_FMT " \"" KR_FMT "\" already exists",
               KR_ARG(qualified(w->a, t.kind)), KR_ARG(t.name));
    else if (namespace_there(w->f, &t, w->r))
        update_to(w, body);
}

/* A uid in a patch: false: refused. */
static bool same_uid(struct write *w, kr_val body)
{
    kr_str uid = kr_at_str(body, "metadata.uid"), name = w->t->name;
    kr_str kind = qualified(w->a, w->t->kind);

    if (uid.n == 0 || (w->old != NULL && kr_str_eq(uid, kr_at_str(w->old->v, "metadata.uid"))))
        return true;
    if (w->old != NULL)
        REFUSE(w->r, 422, "Invalid",
               KR_FMT " \"" KR_FMT "\" is invalid: metadata.uid: Invalid value: \"" KR_FMT
                      "\": field is immutable",
               KR_ARG(w->t->kind->gvk.kind), KR_ARG(name), KR_ARG(uid));
    else
        REFUSE(w->r, 409, "Conflict",
               "Operation cannot be fulfilled on " KR_FMT " \"" KR_FMT
               "\": uid mismatch: the provided object specified uid " KR_FMT
               ", and no existing object was found",
               KR_ARG(kind), KR_ARG(name), KR_ARG(uid));
    return false;
}

static void patch(struct write *w, const struct fake_request *q, kr_val body)
{
    bool is_apply =
        q->content_type != NULL && strcmp(q->content_type, "application/apply-patch+yaml") == 0;

    if (is_apply && w->manager.n == 0) {
        REFUSE(w->r, 400, "BadRequest",
               "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is "
               "required for apply patch");
        return;
    }
    if (w->old == NULL && (!is_apply || w->status)) {
        not_found(w->f, w->t, w->r);
        return;
    }
    if (!same_uid(w, body) || !as_expected(w, body) ||
        (w->old == NULL && !namespace_there(w->f, w->t, w->r)))
        return;
    w->apply = is_apply;
    if (is_apply)
        apply(w, body, kr_str_is(fake_query(w->a, q->query, "force"), "true"));
    else if (q->content_type != NULL &&
             strcmp(q->content_type, "application/merge-patch+json") != 0)
        REFUSE(w->r, 415, "UnsupportedMediaType",
               "the body of the request was in an unknown format");
    else
        update_to(w, merge_patch(w->a, w->old->v, body));
}

/* Success is told by a Status, or by the object when finalizers hold it. */
static void delete_object(struct write *w, kr_val options)
{
    struct kr_mapb b = KR_MAPB(w->a), meta = KR_MAPB(w->a);
    kr_val v, expected;

    kr_mapb_put(&meta, KR_S("metadata"), kr_get(options, KR_S("preconditions")));
    expected = kr_mapb_done(&meta);
    if (w->old == NULL) {
        not_found(w->f, w->t, w->r);
        return;
    }
    if (!as_expected(w, expected))
        return;
    if (kr_at(w->old->v, "metadata.finalizers").n > 0) {
        v = w->old->v;
        if (kr_at(v, "metadata.deletionTimestamp").kind == KR_NONE) {
            v = kr_with(w->a, v, "metadata.deletionTimestamp", now_text(w->f, w->a));
            v = kr_with(w->a, v, "metadata.deletionGracePeriodSeconds", kr_int(0));
            v = with_generation(w->a, w->t->kind, w->old->v, v);
        }
        answer(w, 200, fake_commit(w->f, w->a, w->t->kind, w->old, v));
        return;
    }
    fake_obj_drop(take_away(w->f, w->t->kind, w->old, w->old->v));
    kr_mapb_put(&b, KR_S("kind"), KR_V_STR("Status"));
    kr_mapb_put(&b, KR_S("apiVersion"), KR_V_STR("v1"));
    kr_mapb_put(&b, KR_S("status"), KR_V_STR("Success"));
    w->r->status = 200;
    w->r->body = kr_mapb_done(&b);
}

static void get(struct write *w)
{
    if (w->old == NULL)
        not_found(w->f, w->t, w->r);
    else
        answer(w, 200, w->old);
}

/* The body; false: refused. */
static bool read_body(struct write *w, const struct fake_request *q, kr_val *out)
{
    kr_val docs = KR_V_NONE;

    *out = KR_V_NONE;
    if (q->body.n == 0)
        return true;
    if (kr_json_parse(w->a, q->body, out, NULL) == 0 && out->kind == KR_MAP)
        return true;
    if (kr_yaml_parse(w->a, q->body, &docs, NULL) == 0 && kr_item(docs, 0).kind == KR_MAP) {
        *out = kr_item(docs, 0);
        return true;
    }
    REFUSE(w->r, 400, "BadRequest",
           "the body of the request is neither JSON nor YAML of an object");
    return false;
}

/* The name in the body has to be that of the path. */
static bool same_name(struct write *w, kr_val body)
{
    kr_str name = kr_at_str(body, "metadata.name"), ns = kr_at_str(body, "metadata.namespace");

    if ((name.n == 0 || kr_str_eq(name, w->t->name)) &&
        (ns.n == 0 || kr_str_eq(ns, w->t->namespace)))
        return true;
    REFUSE(w->r, 400, "BadRequest",
           "the name of the object (" KR_FMT ") does not match the name on the URL (" KR_FMT ")",
           KR_ARG(name), KR_ARG(w->t->name));
    return false;
}

static kr_str manager_of(struct kr_arena *a, const struct fake_request *q)
{
    kr_str manager = fake_query(a, q->query, "fieldManager"), agent = kr_str_c(q->agent);

    return manager.n > 0 ? manager : kr_str_cut(&agent, '/');
}

void fake_object_request(struct fakeapi *f, const struct fake_request *q,
                         const struct fake_target *t, struct fake_response *r)
{
    struct write w = {.f = f,
                      .t = t,
                      .r = r,
                      .a = r->a,
                      .manager = manager_of(r->a, q),
                      .status = kr_str_is(t->sub, "status")};
    bool named = t->name.n > 0;
    kr_val body;

    w.old = named ? fake_find(f, t) : NULL;
    if (!read_body(&w, q, &body) ||
        (named && strcmp(q->method, "DELETE") != 0 && !same_name(&w, body)))
        return;
    if (strcmp(q->method, "GET") == 0 && named)
        get(&w);
    else if (strcmp(q->method, "GET") == 0)
        fake_list(f, q, t, r);
    else if (strcmp(q->method, "POST") == 0 && !named)
        create(&w, body);
    else if (strcmp(q->method, "PUT") == 0 && named && w.old == NULL)
        not_found(f, t, r);
    else if (strcmp(q->method, "PUT") == 0 && named) {
        if (as_expected(&w, body))
            update_to(&w, body);
    } else if (strcmp(q->method, "PATCH") == 0 && named)
        patch(&w, q, body);
    else if (strcmp(q->method, "DELETE") == 0 && named && !w.status)
        delete_object(&w, body);
    else
        REFUSE(r, 405, "MethodNotAllowed",
               "the server does not allow this method on the requested resource");
}
