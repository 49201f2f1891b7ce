/* SPDX-License-Identifier: Apache-2.0 */
/* manage.c - who manages which fields.
 *
 * metadata.managedFields is read into a list of managers, changed, and written back sorted. An
 * update compares old and next: what differs leaves all others and comes to the writer. An apply
 *
 *   merges -> cuts what was applied last and is not now (unless others have it) -> compares, for
 *   conflicts and for what others lose
 *
 * The versions of a type differ in nothing but their name here, so no set is ever converted.
 *
 * Source: structured-merge-diff merge/update.go; managedfields/internal.
 */
#include "kube/sandbox/manage.h"

#include "cel/base/json.h"

#include <stdlib.h>

#include "cel/base/banned.h"

enum { MANAGERS_MAX = 10 * 1000 };

struct manager {
    kr_val entry; /* as it stood, without fields and time */
    kr_val set;
    kr_val time;
    bool applies;
};

struct managers {
    struct kr_arena *a;
    struct manager *list;
    uint32_t n;
};

static kr_str text_of(const struct manager *m, const char *name)
{
    return kr_at_str(m->entry, name);
}

/* --- reading and writing ---------------------------------------------------------------------- */

/* One that cannot be read makes all of them none, as on the real server. */
static void read_managers(struct managers *out, struct kr_arena *a, kr_val list, uint32_t more)
{
    *out = (struct managers){.a = a};
    out->list = kr_new_n(a, struct manager, (list.kind == KR_LIST ? list.n : 0) + more);
    KR_LIST_EACH (e, list) {
        struct manager *m = &out->list[out->n];
        kr_val set = kr_get(*e, KR_S("fieldsV1"));

        m->applies = kr_is_str(kr_get(*e, KR_S("operation")), KR_S("Apply"));
        if ((!m->applies && !kr_is_str(kr_get(*e, KR_S("operation")), KR_S("Update"))) ||
            out->n == MANAGERS_MAX ||
            (set.kind != KR_NONE && sandbox_fields_check(set, NULL) < 0)) {
            out->n = 0;
            return;
        }
        m->set = set.kind == KR_MAP ? set : SANDBOX_NO_FIELDS;
        m->time = kr_get(*e, KR_S("time"));
        m->entry = kr_with_key(a, kr_with_key(a, *e, KR_S("fieldsV1"), KR_V_NONE), KR_S("time"),
                               KR_V_NONE);
        out->n++;
    }
}

static int by_order(const void *x, const void *y)
{
    const struct manager *p = x, *q = y;
    static const char *const names[] = {"manager", "apiVersion", "subresource"};
    int order;

    if (p->applies != q->applies)
        return p->applies ? -1 : 1;
    order = kr_str_cmp(kr_text(p->time), kr_text(q->time)); /* RFC 3339, one zone: as text */
    for (size_t i = 0; order == 0 && i < KR_N(names); i++)
        order = kr_str_cmp(text_of(p, names[i]), text_of(q, names[i]));
    return order;
}

static kr_val write_managers(struct managers *ms)
{
    struct kr_listb out = KR_LISTB(ms->a);

    if (ms->n)
        qsort(ms->list, ms->n, sizeof *ms->list, by_order);
    for (uint32_t i = 0; i < ms->n; i++) {
        struct manager *m = &ms->list[i];
        kr_val e = kr_with_key(ms->a, m->entry, KR_S("fieldsV1"), m->set);

        if (m->time.kind == KR_STRING)
            e = kr_with_key(ms->a, e, KR_S("time"), m->time);
        kr_listb_add(&out, e);
    }
    return ms->n ? kr_listb_done(&out) : KR_V_NONE;
}

static kr_val new_entry(struct kr_arena *a, const struct sandbox_writer *w, kr_str manager,
                        bool applies)
{
    struct kr_mapb b = KR_MAPB(a);

    kr_mapb_put(&b, KR_S("manager"), manager.n ? kr_string(manager) : KR_V_STR("unknown"));
    kr_mapb_put(&b, KR_S("operation"), applies ? KR_V_STR("Apply") : KR_V_STR("Update"));
    kr_mapb_put(&b, KR_S("apiVersion"), kr_string(w->api_version));
    kr_mapb_put(&b, KR_S("fieldsType"), KR_V_STR("FieldsV1"));
    if (w->subresource.n)
        kr_mapb_put(&b, KR_S("subresource"), kr_string(w->subresource));
    return kr_mapb_done(&b);
}

/* An applier is the same one whatever version it applies in. */
static bool same_manager(const struct manager *m, kr_val entry)
{
    kr_str op = kr_at_str(entry, "operation");

    return kr_str_eq(text_of(m, "manager"), kr_at_str(entry, "manager")) &&
           kr_str_eq(text_of(m, "operation"), op) &&
           kr_str_eq(text_of(m, "subresource"), kr_at_str(entry, "subresource")) &&
           (kr_str_is(op, "Apply") ||
            kr_str_eq(text_of(m, "apiVersion"), kr_at_str(entry, "apiVersion")));
}

static struct manager *find(struct managers *ms, kr_val entry)
{
    for (uint32_t i = 0; i < ms->n; i++) {
        if (same_manager(&ms->list[i], entry))
            return &ms->list[i];
    }
    return NULL;
}

static void drop_empty(struct managers *ms)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < ms->n; i++) {
        if (!sandbox_fields_none(ms->list[i].set))
            ms->list[n++] = ms->list[i];
    }
    ms->n = n;
}

/* --- both kinds of write ---------------------------------------------------------------------- */

#define NAME(text)                                                                                 \
    {                                                                                              \
        .kind = KR_STRING, .flags = KR_F_ASCII, .n = sizeof(text) - 1, .s = (text)                 \
    }
#define FIELD(text)                                                                                \
    {                                                                                              \
        NAME(text),                                                                                \
        {                                                                                          \
            .kind = KR_MAP                                                                         \
        }                                                                                          \
    }
static const struct kr_pair unmanaged_metadata[] = {
    FIELD("."),
    FIELD("f:clusterName"),
    FIELD("f:creationTimestamp"),
    FIELD("f:generation"),
    FIELD("f:managedFields"),
    FIELD("f:name"),
    FIELD("f:namespace"),
    FIELD("f:resourceVersion"),
    FIELD("f:selfLink"),
    FIELD("f:uid"),
};
static const struct kr_pair unmanaged[] = {
    FIELD("f:apiVersion"),
    FIELD("f:kind"),
    {NAME("f:metadata"),
     {.kind = KR_MAP, .n = KR_N(unmanaged_metadata), .map = unmanaged_metadata}},
};
#undef FIELD
#undef NAME

/* What nobody manages: identity, and what only the server writes. */
static kr_val stripped(struct kr_arena *a, kr_val set)
{
    return sandbox_fields_without(a, set, kr_map_sorted(unmanaged, KR_N(unmanaged)));
}

static kr_val without_managed(struct kr_arena *a, kr_val v)
{
    return v.kind == KR_MAP && kr_at(v, "metadata.managedFields").kind != KR_NONE
               ? kr_with(a, v, "metadata.managedFields", KR_V_NONE)
               : v;
}

/* What the server compares a creation with. */
static kr_val nothing(struct kr_arena *a, const struct sandbox_writer *w)
{
    kr_val v = w->builtin ? sandbox_typed_empty(a, w->schema) : kr_map_sorted(NULL, 0);

    v = kr_with_key(a, v, KR_S("apiVersion"), kr_string(w->api_version));
    return v;
}

static struct sandbox_diff differences(struct kr_arena *a, const struct sandbox_writer *w,
                                       kr_val old, kr_val next)
{
    struct sandbox_diff d;

    sandbox_typed_compare(a, w->schema, old, next, &d);
    if (!sandbox_fields_none(w->reset)) {
        d.removed = sandbox_fields_without_trees(a, d.removed, w->reset);
        d.modified = sandbox_fields_without_trees(a, d.modified, w->reset);
        d.added = sandbox_fields_without_trees(a, d.added, w->reset);
    }
    return d;
}

/* All but `self` lose what changed and what went. */
static void take(struct managers *ms, const struct manager *self, const struct sandbox_diff *d)
{
    kr_val gone =
        sandbox_fields_union(ms->a, d->removed, sandbox_fields_union(ms->a, d->modified, d->added));

    for (uint32_t i = 0; i < ms->n; i++) {
        if (&ms->list[i] != self)
            ms->list[i].set = sandbox_fields_without(ms->a, ms->list[i].set, gone);
    }
}

/* --- updates ---------------------------------------------------------------------------------- */

/* What the request says of managed fields: nothing, new ones, or (one empty entry) none. */
static kr_val given(const struct sandbox_writer *w, kr_val old, kr_val next, bool *reset)
{
    kr_val mine = kr_at(next, "metadata.managedFields");

    *reset = false;
    if (w->subresource.n || mine.kind != KR_LIST || mine.n == 0)
        return kr_at(old, "metadata.managedFields");
    *reset = mine.n == 1 && kr_item(mine, 0).kind == KR_MAP && kr_item(mine, 0).n == 0;
    return *reset ? KR_V_NONE : mine;
}

/* Over SANDBOX_UPDATERS_MAX the oldest entries of updates become one of their version. */
static void cap(struct managers *ms)
{
    uint32_t updates = 0, first = 0;

    for (uint32_t i = 0; i < ms->n; i++)
        updates += !ms->list[i].applies;
    if (updates <= SANDBOX_UPDATERS_MAX)
        return;
    qsort(ms->list, ms->n, sizeof *ms->list, by_order);
    first = ms->n - updates;
    while (updates-- > SANDBOX_UPDATERS_MAX && first + 1 < ms->n) {
        struct manager *m = &ms->list[first], *n = m + 1;

        m->entry = kr_with(ms->a, m->entry, "manager", KR_V_STR("ancient-changes"));
        if (!kr_str_eq(text_of(m, "apiVersion"), text_of(n, "apiVersion"))) {
            first++;
            continue;
        }
        n->entry = m->entry;
        n->set = sandbox_fields_union(ms->a, m->set, n->set);
        memmove(m, n, (ms->n - first - 1) * sizeof *m);
        ms->n--;
    }
}

kr_val sandbox_manage_update(struct kr_arena *a, const struct sandbox_writer *w, kr_val old,
                             kr_val next)
{
    kr_val entry = new_entry(a, w, w->manager, false), took;
    kr_val was = old.kind == KR_MAP ? without_managed(a, old) : nothing(a, w);
    struct sandbox_diff d;
    struct managers ms;
    struct manager *self;
    bool reset;

    read_managers(&ms, a, given(w, old, next, &reset), 1);
    next = without_managed(a, next);
    if (old.kind == KR_MAP && ms.n == 0) /* one that is not tracked, or not any more */
        return next;
    d = differences(a, w, was, next);
    take(&ms, NULL, &d);
    took = stripped(a, sandbox_fields_union(a, d.modified, d.added));
    self = find(&ms, entry);
    if (!sandbox_fields_none(took)) {
        if (self == NULL) {
            self = &ms.list[ms.n++];
            *self = (struct manager){.entry = entry, .set = SANDBOX_NO_FIELDS};
        }
        self->set = sandbox_fields_union(a, self->set, took);
        self->time = w->time;
    }
    drop_empty(&ms);
    cap(&ms);
    return kr_with(a, next, "metadata.managedFields", write_managers(&ms));
}

/* --- apply ------------------------------------------------------------------------------------ */

/* Removes what `last` has and nobody has now. */
static kr_val pruned(struct managers *ms, const struct sandbox_writer *w, kr_val merged,
                     kr_val last)
{
    struct kr_arena *a = ms->a;
    const struct cel_schema *s = w->schema;
    kr_val owned = SANDBOX_NO_FIELDS, all, left, cut;

    if (sandbox_fields_none(last))
        return merged;
    last = sandbox_fields_named(a, last, s);
    for (uint32_t i = 0; i < ms->n; i++)
        owned = sandbox_fields_union(a, owned, ms->list[i].set);
    owned = sandbox_fields_named(a, owned, s);
    all = sandbox_fields_named(a, sandbox_typed_fields(a, s, merged), s);
    cut = sandbox_typed_cut(a, s, merged, last);
    /* what others have comes back */
    left = sandbox_fields_named(a, sandbox_typed_fields(a, s, cut), s);
    cut = sandbox_typed_cut(a, s, merged,
                            sandbox_fields_without(a, all, sandbox_fields_union(a, left, owned)));
    /* and what nobody has but was not applied either */
    left = sandbox_fields_named(a, sandbox_typed_fields(a, s, cut), s);
    return sandbox_typed_cut(a, s, merged,
                             sandbox_fields_both(a, sandbox_fields_without(a, all, left), last));
}

/* manager "m" with subresource "status" using apps/v1 */
static kr_str manager_text(struct kr_arena *a, const struct manager *m)
{
    kr_str text = kr_json_str(a, kr_string(text_of(m, "manager"))), sub = text_of(m, "subresource");

    if (sub.n)
        text = kr_fmt(a, KR_FMT " with subresource \"" KR_FMT "\"", KR_ARG(text), KR_ARG(sub));
    if (!m->applies)
        text = kr_fmt(a, KR_FMT " using " KR_FMT, KR_ARG(text), KR_ARG(text_of(m, "apiVersion")));
    return text;
}

struct conflicts {
    struct kr_arena *a;
    kr_str manager;
    struct kr_listb causes;
    struct kr_buf lines;
    bool named; /* the manager stands in lines already */
};

static void add_conflict(void *arg, kr_str path)
{
    struct conflicts *c = arg;
    struct kr_mapb b = KR_MAPB(c->a);

    kr_mapb_put(&b, KR_S("reason"), KR_V_STR("FieldManagerConflict"));
    kr_mapb_put(&b, KR_S("message"),
                kr_string(kr_fmt(c->a, "conflict with " KR_FMT, KR_ARG(c->manager))));
    kr_mapb_put(&b, KR_S("field"), kr_string(path));
    kr_listb_add(&c->causes, kr_mapb_done(&b));
    if (!c->named)
        kr_buf_fmt(&c->lines, "%sconflicts with " KR_FMT ":", c->lines.n ? "\n" : "",
                   KR_ARG(c->manager));
    c->named = true;
    kr_buf_fmt(&c->lines, "\n- " KR_FMT, KR_ARG(path));
}

/* By what identifies a manager, as JSON: the order in which conflicts are told. Whoever has a subresource
 * comes first, for its text goes on with a comma where the other's ends. */
static int by_identity(const void *x, const void *y)
{
    static const char *const names[] = {"manager", "operation", "apiVersion"};
    const struct manager *p = *(const struct manager *const *)x,
                         *q = *(const struct manager *const *)y;
    int order = 0;

    for (size_t i = 0; order == 0 && i < KR_N(names); i++)
        order = kr_str_cmp(text_of(p, names[i]), text_of(q, names[i]));
    if (order == 0 && (text_of(p, "subresource").n > 0) != (text_of(q, "subresource").n > 0))
        return text_of(p, "subresource").n ? -1 : 1;
    return order ? order : kr_str_cmp(text_of(p, "subresource"), text_of(q, "subresource"));
}

#define LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"

static kr_val last_applied(kr_val object)
{
    kr_str path[] = {KR_S("metadata"), KR_S("annotations"), KR_S(LAST_APPLIED)};

    return kr_at_path(object, path, KR_N(path));
}

/* What kubectl had applied on the client's side, and says so in an annotation, it may take over when it
 * applies on the server's.
 * Source: apimachinery pkg/util/managedfields/internal/lastappliedmanager.go. */
static kr_val without_own(struct kr_arena *a, const struct sandbox_writer *w, kr_val old,
                          kr_val changed)
{
    kr_val text = last_applied(old), object;
    struct kr_err err = KR_ERR_NONE;

    if (!kr_str_is(w->manager, "kubectl") || text.kind != KR_STRING ||
        kr_json_parse(a, kr_text(text), &object, &err) < 0)
        return changed;
    return sandbox_fields_without(a, changed, sandbox_typed_fields(a, w->schema, object));
}

/* And the annotation follows.
 * Source: .../lastappliedupdater.go. */
static kr_val with_last_applied(struct kr_arena *a, const struct sandbox_writer *w, kr_val old,
                                kr_val applied, kr_val next)
{
    kr_str path[] = {KR_S("metadata"), KR_S("annotations")};
    kr_val notes = kr_at_path(applied, path, KR_N(path));

    if (!kr_str_is(w->manager, "kubectl") || last_applied(old).kind != KR_STRING)
        return next;
    if (kr_get(notes, KR_S(LAST_APPLIED)).kind != KR_NONE)
        applied = kr_with(a, applied, "metadata.annotations",
                          kr_with_key(a, notes, KR_S(LAST_APPLIED), KR_V_NONE));
    notes = kr_with_key(a, kr_at_path(next, path, KR_N(path)), KR_S(LAST_APPLIED),
                        kr_string(kr_fmt(a, KR_FMT "\n", KR_ARG(kr_json_str(a, applied)))));
    return kr_with(a, next, "metadata.annotations", notes);
}

/* 0: nobody else has what changed. */
static int find_conflicts(struct managers *ms, const struct manager *self, kr_val changed,
                          kr_val *causes, struct kr_err *err)
{
    struct conflicts c = {
        .a = ms->a, .causes = KR_LISTB(ms->a), .lines = KR_BUF_IN(ms->a, KR_ERR_MAX)};
    kr_val first;
    const struct manager **sorted = kr_new_n(ms->a, const struct manager *, ms->n + 1);

    for (uint32_t i = 0; i < ms->n; i++)
        sorted[i] = &ms->list[i];
    qsort(sorted, ms->n, sizeof(struct manager *), by_identity);
    for (uint32_t i = 0; i < ms->n; i++) {
        if (sorted[i] == self)
            continue;
        c.manager = manager_text(ms->a, sorted[i]);
        c.named = false;
        sandbox_fields_each(ms->a, sandbox_fields_both(ms->a, sorted[i]->set, changed),
                            add_conflict, &c);
    }
    if (c.causes.n == 0)
        return 0;
    *causes = kr_listb_done(&c.causes);
    first = kr_item(*causes, 0);
    if (causes->n == 1)
        return kr_fail(err, KR_E_INPUT, "Apply failed with 1 conflict: " KR_FMT ": " KR_FMT,
                       KR_ARG(kr_at_str(first, "message")), KR_ARG(kr_at_str(first, "field")));
    return kr_fail(err, KR_E_INPUT, "Apply failed with %u conflicts: " KR_FMT, causes->n,
                   KR_ARG(kr_buf_view(&c.lines)));
}

/* An object that was written before anybody applied and is not tracked: its fields so far. */
static void track(struct managers *ms, const struct sandbox_writer *w, kr_val old)
{
    struct sandbox_diff d = differences(ms->a, w, nothing(ms->a, w), old);
    kr_val set = stripped(ms->a, sandbox_fields_union(ms->a, d.added, d.modified));

    if (!sandbox_fields_none(set))
        ms->list[ms->n++] =
            (struct manager){.entry = new_entry(ms->a, w, KR_S("before-first-apply"), false),
                             .set = set,
                             .time = w->time};
}

static int check_applied(struct kr_arena *a, const struct sandbox_writer *w, kr_val applied,
                         int *status, struct kr_err *err)
{
    kr_str ns = kr_at_str(applied, "metadata.namespace"), api = kr_at_str(applied, "apiVersion");

    *status = 400;
    if (kr_at(applied, "metadata.managedFields").kind > KR_NULL)
        return kr_fail(err, KR_E_INPUT, "metadata.managedFields must be nil");
    *status = 500;
    if (sandbox_typed_check(a, w->schema, applied, err) < 0)
        return kr_wrap(err,
                       "failed to create typed patch object (" KR_FMT "/" KR_FMT "; %s" KR_FMT
                       ", Kind=" KR_FMT ")",
                       KR_ARG(ns), KR_ARG(kr_at_str(applied, "metadata.name")),
                       kr_str_chr(api, '/') < 0 ? "/" : "", KR_ARG(api),
                       KR_ARG(kr_at_str(applied, "kind")));
    return 0;
}

/* The entry of the applier, with what it applies now. *last is what it applied before. */
static struct manager *applier(struct managers *ms, const struct sandbox_writer *w, kr_val applied,
                               kr_val *last)
{
    kr_val entry = new_entry(ms->a, w, w->manager, true);
    struct manager *self = find(ms, entry);

    *last = self ? self->set : SANDBOX_NO_FIELDS;
    if (self == NULL)
        self = &ms->list[ms->n++];
    else
        entry = kr_with_key(ms->a, entry, KR_S("time"), KR_V_NONE);
    self->applies = true;
    self->entry = entry;
    self->set = sandbox_typed_fields(ms->a, w->schema, applied);
    if (!sandbox_fields_none(w->reset))
        self->set = sandbox_fields_without_trees(ms->a, self->set, w->reset);
    return self;
}

int sandbox_manage_apply(struct kr_arena *a, const struct sandbox_writer *w, kr_val old,
                         kr_val applied, kr_val *out, int *status, kr_val *causes,
                         struct kr_err *err)
{
    kr_val live = old.kind == KR_MAP ? without_managed(a, old) : nothing(a, w), next, last;
    kr_val before = kr_at(old, "metadata.managedFields");
    struct sandbox_diff d;
    struct managers ms;
    struct manager *self;

    *causes = KR_V_NONE;
    KR_TRY(check_applied(a, w, applied, status, err));
    applied = without_managed(a, applied);
    read_managers(&ms, a, before, 2);
    if (ms.n == 0 && old.kind == KR_MAP)
        track(&ms, w, live);
    self = applier(&ms, w, applied, &last);
    next = sandbox_typed_merge(a, w->schema, live, applied);
    next = pruned(&ms, w, next, last);
    d = differences(a, w, live, next);
    *status = 409;
    if (!w->force)
        KR_TRY(find_conflicts(&ms, self,
                              without_own(a, w, live, sandbox_fields_union(a, d.modified, d.added)),
                              causes, err));
    take(&ms, self, &d);
    self->set = stripped(a, self->set);
    if (!kr_equal(live, next) || !kr_equal(self->set, stripped(a, last)) ||
        self->time.kind != KR_STRING)
        self->time = w->time;
    drop_empty(&ms);
    next = with_last_applied(a, w, live, applied, next);
    *out = kr_with(a, next, "metadata.managedFields", write_managers(&ms));
    return 0;
}

/* --- comparing -------------------------------------------------------------------------------- */

bool sandbox_manage_same(kr_val x, kr_val y)
{
    static const char *const names[] = {"manager", "operation", "apiVersion", "subresource",
                                        "fieldsV1"};

    if (x.kind != y.kind || x.n != y.n)
        return false;
    for (uint32_t i = 0; x.kind == KR_LIST && i < x.n; i++) {
        for (size_t k = 0; k < KR_N(names); k++) {
            if (!kr_equal(kr_at(x.list[i], names[k]), kr_at(y.list[i], names[k])))
                return false;
        }
    }
    return true;
}
