/* SPDX-License-Identifier: Apache-2.0 */
/* model.c - a tiny cluster for one instance machine; see model.h. */
#include "tests/lib/model.h"

#include "graph/names.h"

#include <stdio.h>
#include <string.h>

enum { BY_CHILD, BY_LABELLER, BY_PARENT, MANAGERS_N };
enum { TURNS_MAX = 20000 };

enum delivery_kind { D_EVENT, D_RESULT, D_TYPES, D_EXTERNAL, D_FOUND };

struct model_delivery {
    enum delivery_kind kind;
    uint32_t object;    /* index */
    uint64_t version;   /* of the event */
    struct kr_rec *rec; /* held; NULL: deleted */
    kr_val labels;      /* of the object */
    struct graph_result result;
    enum graph_action_kind action; /* that result is of */
    bool shrinks;                  /* it took something out of the inventory */
    uint32_t rank;
};

static void fail_test(const char *what)
{
    fprintf(stderr, "model: %s\n", what);
    fail();
}

/* --- owned fields: trees of "f:name" ---------------------------------------------------------- */

static bool is_branch(kr_val v)
{
    return v.kind == KR_MAP && v.n > 0;
}

static kr_val fields_at(struct kr_arena *a, kr_val desired, int depth, bool metadata)
{
    struct kr_mapb m = KR_MAPB(a);

    KR_MAP_EACH (p, desired) {
        kr_str key = kr_text(p->key);
        bool skip = depth == 0 ? kr_str_is(key, "apiVersion") || kr_str_is(key, "kind")
                               : metadata && depth == 1 &&
                                     (kr_str_is(key, "name") || kr_str_is(key, "namespace") ||
                                      kr_str_is(key, "uid"));

        if (skip) /* the server never records these */
            continue;
        kr_mapb_put(&m, kr_fmt(a, "f:" KR_FMT, KR_ARG(key)),
                    is_branch(p->val)
                        ? fields_at(a, p->val, depth + 1, depth == 0 && kr_str_is(key, "metadata"))
                        : kr_map_sorted(NULL, 0));
    }
    return kr_mapb_done(&m);
}

static kr_str bare(kr_str field)
{
    return kr_str_sub(field, 2, field.n);
}

/* live without the leaves of `old` that are in neither `now` nor `other`. */
static kr_val without(struct kr_arena *a, kr_val live, kr_val old, kr_val now, kr_val other)
{
    KR_MAP_EACH (p, old) {
        kr_str field = kr_text(p->key);
        kr_val sub_now = kr_get(now, field), sub_other = kr_get(other, field),
               value = kr_get(live, bare(field));

        if (p->val.n == 0) {
            if (sub_now.kind == KR_NONE && sub_other.kind == KR_NONE)
                live = kr_with_key(a, live, bare(field), KR_V_NONE);
            continue;
        }
        value = without(a, value, p->val, sub_now, sub_other);
        if (value.kind == KR_MAP && value.n == 0 && sub_now.kind == KR_NONE)
            value = KR_V_NONE;
        live = kr_with_key(a, live, bare(field), value);
    }
    return live;
}

static kr_val merge(struct kr_arena *a, kr_val live, kr_val desired)
{
    if (live.kind != KR_MAP || desired.kind != KR_MAP)
        return desired;
    KR_MAP_EACH (p, desired) {
        live =
            kr_with_key(a, live, kr_text(p->key), merge(a, kr_get(live, kr_text(p->key)), p->val));
    }
    return live;
}

/* As a merge patch: null removes. */
static kr_val patch_into(struct kr_arena *a, kr_val live, kr_val patch)
{
    if (patch.kind != KR_MAP)
        return patch;
    if (live.kind != KR_MAP)
        live = kr_map_sorted(NULL, 0);
    KR_MAP_EACH (p, patch) {
        kr_str key = kr_text(p->key);

        live = kr_with_key(a, live, key,
                           p->val.kind == KR_NULL ? KR_V_NONE
                                                  : patch_into(a, kr_get(live, key), p->val));
    }
    return live;
}

/* Fields of the tree whose value differs between old and now are no longer owned. */
static kr_val disown(struct kr_arena *a, kr_val tree, kr_val old, kr_val now)
{
    struct kr_mapb m = KR_MAPB(a);

    KR_MAP_EACH (p, tree) {
        kr_str key = bare(kr_text(p->key));
        kr_val was = kr_get(old, key), is = kr_get(now, key);

        if (kr_equal(was, is)) {
            kr_mapb_put(&m, kr_text(p->key), p->val);
        } else if (p->val.n) {
            kr_val sub = disown(a, p->val, was, is);

            if (sub.n)
                kr_mapb_put(&m, kr_text(p->key), sub);
        }
    }
    return kr_mapb_done(&m);
}

/* --- objects ---------------------------------------------------------------------------------- */

static struct model_object *object_find(const struct model *m, kr_ref ref)
{
    for (uint32_t i = 0; i < m->objects_n; i++) {
        const kr_ref *r = &m->objects[i].ref;

        if (kr_str_eq(r->gvr.group, ref.gvr.group) &&
            kr_str_eq(r->gvr.resource, ref.gvr.resource) &&
            kr_str_eq(r->namespace, ref.namespace) && kr_str_eq(r->name, ref.name))
            return &m->objects[i];
    }
    return NULL;
}

static struct model_object *object_at(struct model *m, kr_ref ref, kr_gvk gvk)
{
    struct model_object *o = object_find(m, ref);

    if (o)
        return o;
    if (m->objects_n == m->objects_cap) {
        m->objects_cap = m->objects_cap ? 2 * m->objects_cap : 16;
        m->objects = kr_realloc(m->objects, sizeof(*o) * m->objects_cap);
    }
    o = &m->objects[m->objects_n++];
    *o = (struct model_object){.ref = kr_ref_copy(&m->a, ref), .gvk = kr_gvk_copy(&m->a, gvk)};
    return o;
}

static uint32_t index_of(const struct model *m, const struct model_object *o)
{
    return (uint32_t)(o - m->objects);
}

static bool is_parent(const struct model *m, const struct model_object *o)
{
    return kr_ref_eq(o->ref, m->parent);
}

/* Only the paths given, and what every record has. */
static kr_val sparse(struct kr_arena *a, kr_val live, const struct graph_read *const *reads,
                     uint32_t n)
{
    static const char *const always[] = {"apiVersion",          "kind",
                                         "metadata.name",       "metadata.namespace",
                                         "metadata.uid",        "metadata.resourceVersion",
                                         "metadata.generation", "metadata.deletionTimestamp"};
    kr_val root = kr_map_sorted(NULL, 0);

    for (uint32_t i = 0; i < KR_N(always); i++) {
        kr_val v = kr_at(live, always[i]);

        if (v.kind != KR_NONE)
            root = kr_with(a, root, always[i], v);
    }
    for (uint32_t i = 0; i < n; i++) {
        kr_val v = live;
        uint32_t depth =
            0; /* where the path ends: maps on the way are kept, without their members */

        while (depth < reads[i]->n && v.kind == KR_MAP)
            v = kr_get(v, reads[i]->names[depth++]);
        if (v.kind == KR_NONE && depth)
            v = kr_at_path(live, reads[i]->names, --depth).kind == KR_MAP ? kr_map_sorted(NULL, 0)
                                                                          : KR_V_NONE;
        if (reads[i]->n == 0)
            return live;
        if (depth && v.kind != KR_NONE &&
            (v.n || v.kind != KR_MAP || kr_at_path(root, reads[i]->names, depth).kind == KR_NONE))
            root = kr_with_path(a, root, reads[i]->names, depth, v);
    }
    return root;
}

static uint32_t reads_of(const struct model *m, const struct model_object *o, struct kr_arena *a,
                         const struct graph_read ***out)
{
    uint32_t n = 0, needs_n, nodes_n = m->rev ? m->rev->nodes_n : 0;
    const struct graph_read *needs = graph_parent_needs(&needs_n);
    uint32_t parent_n = m->rev ? m->rev->parent_reads_n : 0, max = parent_n + needs_n;
    const struct graph_read **reads;

    for (uint32_t r = 0; r < nodes_n; r++)
        max += m->rev->nodes[r].reads_n;
    reads = kr_new_n(a, const struct graph_read *, max);
    for (uint32_t i = 0; is_parent(m, o) && i < parent_n; i++)
        reads[n++] = &m->rev->parent_reads[i];
    for (uint32_t i = 0; is_parent(m, o) && i < needs_n; i++)
        reads[n++] = &needs[i];
    for (uint32_t r = 0; r < nodes_n; r++) {
        const struct graph_node *node = &m->rev->nodes[r];

        for (uint32_t i = 0; kr_gvr_eq(node->gvr, o->ref.gvr) && i < node->reads_n; i++)
            reads[n++] = &node->reads[i];
    }
    *out = reads;
    return n;
}

static int32_t int_of(kr_str s, int32_t none)
{
    int64_t i;

    return kr_str_i64(s, &i) && i > 0 && i < INT32_MAX ? (int32_t)i : none;
}

static struct kr_rec *record(struct model *m, struct model_object *o)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_err err = KR_ERR_NONE;
    const struct graph_read **reads;
    kr_val labels = kr_at(o->live, "metadata.labels"),
           owned = o->owned[is_parent(m, o) ? BY_PARENT : BY_CHILD];
    kr_val generation = kr_at(o->live, "metadata.generation");
    uint32_t n = reads_of(m, o, &a, &reads);
    struct kr_view init = {
        .ref = o->ref,
        .terminating = kr_at(o->live, "metadata.deletionTimestamp").kind != KR_NONE,
        .uid = kr_at_str(o->live, "metadata.uid"),
        .version = kr_at_str(o->live, "metadata.resourceVersion"),
        .version_u = o->version,
        .generation = generation.kind == KR_INT ? generation.i : 0,
        .part_of = kr_text(kr_get(labels, KR_S(GRAPH_LABEL_PART_OF))),
        .instance_id = kr_text(kr_get(labels, KR_S(GRAPH_LABEL_INSTANCE_ID))),
        .node_id = kr_text(kr_get(labels, KR_S(GRAPH_LABEL_NODE))),
        .item = -1,
        .order = int_of(
            kr_text(kr_get(kr_at(o->live, "metadata.annotations"), KR_S(GRAPH_ANNO_ORDER))), 0),
        .root = sparse(&a, o->live, reads, n),
    };

    if (is_branch(owned) && !m->unowned &&
        kr_fieldset_observe(m->pool, owned, o->live, &init.owned, &init.owned_digest, &err) < 0)
        fail_test(err.text);
    return kr_rec_freeze(&init);
}

/* --- the queue -------------------------------------------------------------------------------- */

static struct model_delivery *queue_add(struct model *m, enum delivery_kind kind)
{
    struct model_delivery *d;

    if (m->queue_n == m->queue_cap) {
        m->queue_cap = m->queue_cap ? 2 * m->queue_cap : 16;
        m->queue = kr_realloc(m->queue, sizeof(*d) * m->queue_cap);
    }
    d = &m->queue[m->queue_n++];
    *d = (struct model_delivery){.kind = kind};
    return d;
}

static void delivery_fini(struct model_delivery *d)
{
    kr_rec_drop(d->rec);
}

static void stamp(struct model *m, struct model_object *o)
{
    o->version = ++m->version;
    o->live = kr_with(&m->a, o->live, "metadata.resourceVersion",
                      kr_string(kr_fmt(&m->a, "%llu", (unsigned long long)o->version)));
}

/* A new version: what the watch will tell. */
static void changed(struct model *m, struct model_object *o)
{
    struct model_delivery *d;

    if (o->live.kind == KR_NONE)
        o->version = ++m->version;
    else
        stamp(m, o);
    d = queue_add(m, D_EVENT);
    d->object = index_of(m, o);
    d->version = o->version;
    d->rec = o->live.kind == KR_NONE ? NULL : record(m, o);
    d->labels = kr_at(o->live, "metadata.labels");
}

static kr_str new_uid(struct model *m)
{
    return kr_fmt(&m->a, "uid-%u", ++m->uids);
}

static void set_live(struct model *m, struct model_object *o, kr_val now)
{
    kr_val old = o->live;
    kr_val spec = kr_get(old, KR_S("spec")), generation = kr_at(old, "metadata.generation");

    if (old.kind == KR_NONE) {
        now = kr_with(&m->a, now, "metadata.uid", kr_string(new_uid(m)));
        now = kr_with(&m->a, now, "metadata.creationTimestamp", KR_V_STR("2026-01-01T00:00:00Z"));
        now = kr_with(&m->a, now, "metadata.generation", kr_int(1));
    } else if (!kr_equal(spec, kr_get(now, KR_S("spec")))) {
        now = kr_with(&m->a, now, "metadata.generation", kr_int(generation.i + 1));
    }
    o->live = now;
}

static bool has_finalizers(kr_val live)
{
    kr_val f = kr_at(live, "metadata.finalizers");

    return f.kind == KR_LIST && f.n > 0;
}

static void remove_object(struct model *m, struct model_object *o)
{
    o->live = KR_V_NONE;
    for (int i = 0; i < MANAGERS_N; i++)
        o->owned[i] = KR_V_NONE;
    changed(m, o);
}

static void delete_object(struct model *m, struct model_object *o)
{
    if (!has_finalizers(o->live)) {
        remove_object(m, o);
    } else if (kr_at(o->live, "metadata.deletionTimestamp").kind == KR_NONE) {
        o->live =
            kr_with(&m->a, o->live, "metadata.deletionTimestamp", KR_V_STR("2026-01-01T00:00:01Z"));
        changed(m, o);
    }
}

/* --- server-side apply ------------------------------------------------------------------------ */

static kr_val webhook(struct model *m, kr_val live)
{
    kr_str norm = kr_at_str(live, "data.norm");

    if (!m->webhook || norm.n == 0 || kr_str_starts(norm, KR_S("n-")))
        return live;
    return kr_with(&m->a, live, "data.norm", kr_string(kr_fmt(&m->a, "n-" KR_FMT, KR_ARG(norm))));
}

static kr_val other_fields(struct model *m, const struct model_object *o, int by)
{
    if (by == BY_CHILD)
        return KR_V_NONE;
    return o->owned[by == BY_LABELLER ? BY_PARENT : BY_LABELLER];
}

/* What is applied to a kind with a status subresource has no status. */
static kr_val without_status(struct model *m, const struct model_object *o, kr_val desired)
{
    const struct cel_kind *kind = cel_kinds_find(m->kinds, o->gvk);

    return kind && kind->has_status ? kr_with_key(&m->a, desired, KR_S("status"), KR_V_NONE)
                                    : desired;
}

static void apply(struct model *m, struct model_object *o, kr_val desired, int by)
{
    kr_val fields;
    kr_val live = o->live, old = o->live, was = o->owned[by];

    desired = without_status(m, o, desired);
    fields = kr_copy(&m->a, fields_at(&m->a, desired, 0, false));
    desired = kr_copy(&m->a, desired);
    if (live.kind == KR_NONE)
        live = desired;
    else
        live = merge(&m->a, without(&m->a, live, was, fields, other_fields(m, o, by)), desired);
    live = webhook(m, live);
    if (old.kind != KR_NONE && kr_equal(live, old) && kr_equal(fields, was))
        return;
    for (int i = 0; i < MANAGERS_N; i++) {
        if (i != by && is_branch(o->owned[i]))
            o->owned[i] = disown(&m->a, o->owned[i], old, live);
    }
    o->owned[by] = fields;
    set_live(m, o, live);
    changed(m, o);
}

/* --- as somebody else ------------------------------------------------------------------------- */

static kr_gvk gvk_of(struct model *m, const char *api_version, const char *kind)
{
    kr_gvk gvk = {.kind = kr_str_c(kind)};

    if (!kr_api_version(kr_str_c(api_version), &gvk.group, &gvk.version))
        fail_test("bad apiVersion");
    return kr_gvk_copy(&m->a, gvk);
}

static struct model_object *object_named(struct model *m, const char *api_version, const char *kind,
                                         const char *namespace, const char *name)
{
    kr_gvk gvk = gvk_of(m, api_version, kind);
    const struct cel_kind *k = cel_kinds_find(m->kinds, gvk);
    kr_ref ref = {.gvr = {gvk.group, gvk.version, KR_S("")}, .name = kr_str_c(name)};

    if (!k) {
        fail_test("unknown kind");
        return NULL;
    }
    ref.gvr.resource = k->resource;
    if (k->namespaced)
        ref.namespace = kr_str_c(namespace);
    return object_at(m, ref, gvk);
}

static void write_object(struct model *m, struct model_object *o, kr_val patch)
{
    kr_val old = o->live, now = old;

    if (now.kind == KR_NONE) {
        now = kr_map_sorted(NULL, 0);
        now = kr_with(&m->a, now, "apiVersion",
                      kr_string(kr_api_version_text(&m->a, o->gvk.group, o->gvk.version)));
        now = kr_with(&m->a, now, "kind", kr_string(o->gvk.kind));
        now = kr_with(&m->a, now, "metadata.name", kr_string(o->ref.name));
        if (o->ref.namespace.n)
            now = kr_with(&m->a, now, "metadata.namespace", kr_string(o->ref.namespace));
    }
    now = patch_into(&m->a, now, kr_copy(&m->a, patch));
    if (old.kind != KR_NONE && kr_equal(now, old))
        return;
    for (int i = 0; i < MANAGERS_N; i++) {
        if (is_branch(o->owned[i]))
            o->owned[i] = disown(&m->a, o->owned[i], old, now);
    }
    set_live(m, o, now);
    if (kr_at(now, "metadata.deletionTimestamp").kind != KR_NONE && !has_finalizers(now))
        remove_object(m, o);
    else
        changed(m, o);
}

void model_write(struct model *m, const char *api_version, const char *kind, const char *namespace,
                 const char *name, kr_val patch)
{
    write_object(m, object_named(m, api_version, kind, namespace, name), patch);
}

void model_edit(struct model *m, kr_val patch)
{
    struct model_object *o = object_find(m, m->parent);

    if (o->live.kind != KR_NONE)
        write_object(m, o, patch);
}

void model_delete(struct model *m, const char *api_version, const char *kind, const char *namespace,
                  const char *name)
{
    struct model_object *o = object_named(m, api_version, kind, namespace, name);

    if (o->live.kind != KR_NONE)
        delete_object(m, o);
}

void model_delete_instance(struct model *m)
{
    struct model_object *o = object_find(m, m->parent);

    if (o->live.kind != KR_NONE)
        delete_object(m, o);
}

kr_val model_get(const struct model *m, const char *kind, const char *name)
{
    for (uint32_t i = 0; i < m->objects_n; i++) {
        if (kr_str_eq(m->objects[i].gvk.kind, kr_str_c(kind)) &&
            kr_str_eq(m->objects[i].ref.name, kr_str_c(name)))
            return m->objects[i].live;
    }
    return KR_V_NONE;
}

kr_val model_instance(const struct model *m)
{
    return object_find(m, m->parent)->live;
}

void model_answer(struct model *m, enum graph_action_kind kind, enum graph_outcome outcome,
                  const char *message, bool effect, uint32_t times)
{
    if (m->answers_n == KR_N(m->answers)) {
        fail_test("too many answers");
        return;
    }
    m->answers[m->answers_n++] = (struct model_answer){
        .kind = kind, .outcome = outcome, .message = message, .effect = effect, .times = times};
}

/* --- executing plans -------------------------------------------------------------------------- */

struct outcome {
    enum graph_outcome code;
    kr_str message;
};

static struct outcome ok(void)
{
    return (struct outcome){GRAPH_O_OK, KR_S("")};
}

static struct outcome do_apply(struct model *m, const struct graph_action *x)
{
    struct model_object *o = object_at(m, x->ref, x->gvk);
    kr_str owner = kr_text(kr_get(kr_at(o->live, "metadata.labels"), KR_S(GRAPH_LABEL_PART_OF)));

    if (owner.n && !kr_str_eq(owner, x->part_of))
        return (struct outcome){
            GRAPH_O_FOREIGN,
            kr_fmt(&m->a, "resource belongs to a different ApplySet: " KR_FMT "/" KR_FMT,
                   KR_ARG(x->ref.namespace), KR_ARG(x->ref.name))};
    apply(m, o, x->body, BY_CHILD);
    return ok();
}

static struct outcome do_status(struct model *m, const struct graph_action *x)
{
    struct model_object *o = object_find(m, m->parent);
    kr_val status = kr_get(x->body, KR_S("status"));

    if (o->live.kind == KR_NONE)
        return (struct outcome){GRAPH_O_NOT_FOUND, KR_S("not found")};
    if (!kr_equal(kr_at(x->body, "metadata.resourceVersion"),
                  kr_at(o->live, "metadata.resourceVersion")))
        return (struct outcome){GRAPH_O_CONFLICT, KR_S("the object has been modified")};
    if (!kr_equal(status, kr_get(o->live, KR_S("status")))) {
        o->live = kr_with_key(&m->a, o->live, KR_S("status"), kr_copy(&m->a, status));
        changed(m, o);
    }
    return ok();
}

static struct outcome do_finalizer(struct model *m, const struct graph_action *x)
{
    struct model_object *o = object_find(m, m->parent);

    if (o->live.kind == KR_NONE)
        return (struct outcome){GRAPH_O_NOT_FOUND, KR_S("not found")};
    if (!kr_equal(kr_at(x->body, "metadata.resourceVersion"),
                  kr_at(o->live, "metadata.resourceVersion")))
        return (struct outcome){GRAPH_O_CONFLICT, KR_S("the object has been modified")};
    o->live = kr_with(&m->a, o->live, "metadata.finalizers",
                      kr_copy(&m->a, kr_at(x->body, "metadata.finalizers")));
    if (kr_at(o->live, "metadata.deletionTimestamp").kind != KR_NONE && !has_finalizers(o->live))
        remove_object(m, o);
    else
        changed(m, o);
    return ok();
}

static struct outcome do_delete(struct model *m, const struct graph_action *x)
{
    struct model_object *o = object_find(m, x->ref);

    if (!o || o->live.kind == KR_NONE)
        return (struct outcome){GRAPH_O_NOT_FOUND, KR_S("not found")};
    if (!kr_str_eq(kr_at_str(o->live, "metadata.uid"), x->uid))
        return (struct outcome){GRAPH_O_CONFLICT,
                                KR_S("the UID in the precondition does not match")};
    delete_object(m, o);
    return ok();
}

static struct outcome effect(struct model *m, const struct graph_action *x)
{
    struct model_object *parent = object_find(m, m->parent);

    switch (x->kind) {
    case GRAPH_A_APPLY:
        return do_apply(m, x);
    case GRAPH_A_APPLY_PARENT:
        if (parent->live.kind == KR_NONE)
            return (struct outcome){GRAPH_O_NOT_FOUND, KR_S("not found")};
        apply(m, parent, x->body,
              strcmp(x->manager, GRAPH_MANAGER_LABELLER) == 0 ? BY_LABELLER : BY_PARENT);
        return ok();
    case GRAPH_A_STATUS:
        return do_status(m, x);
    case GRAPH_A_FINALIZER:
        return do_finalizer(m, x);
    default:
        return do_delete(m, x);
    }
}

static bool is_request(enum graph_action_kind kind)
{
    return kind == GRAPH_A_APPLY || kind == GRAPH_A_APPLY_PARENT || kind == GRAPH_A_DELETE ||
           kind == GRAPH_A_FINALIZER || kind == GRAPH_A_STATUS;
}

static struct model_answer *forced(struct model *m, enum graph_action_kind kind)
{
    for (uint32_t i = 0; i < m->answers_n; i++) {
        if (m->answers[i].kind == kind && m->answers[i].times)
            return &m->answers[i];
    }
    return NULL;
}

static size_t inventory_n(struct model *m)
{
    kr_val notes = kr_at(object_find(m, m->parent)->live, "metadata.annotations");

    return kr_text(kr_get(notes, KR_S(GRAPH_ANNO_KINDS))).n +
           kr_text(kr_get(notes, KR_S(GRAPH_ANNO_NAMESPACES))).n;
}

/* Requests on different streams of a connection may pass each other: while one is not answered, none
 * may be sent that must come after it. */
static void check_order(struct model *m, const struct graph_action *x)
{
    const struct model_object *o = object_at(m, x->ref, x->gvk);

    for (uint32_t i = 0; i < m->queue_n; i++) {
        const struct model_delivery *d = &m->queue[i];

        if (d->kind != D_RESULT)
            continue;
        if (x->kind == GRAPH_A_DELETE && d->action == GRAPH_A_APPLY && d->object == index_of(m, o))
            fail_test("a DELETE may overtake an apply of the same object");
        if (x->kind == GRAPH_A_APPLY && d->shrinks && o->live.kind == KR_NONE)
            fail_test("an object is made while the inventory may shrink");
    }
}

static void request(struct model *m, const struct graph_action *x)
{
    struct model_answer *answer = forced(m, x->kind);
    struct outcome out = ok();
    uint32_t events = m->queue_n;
    struct model_delivery d = {.kind = D_RESULT, .action = x->kind};
    size_t inventory = inventory_n(m);
    struct model_object *o;

    check_order(m, x);
    if (!answer || answer->effect)
        out = effect(m, x);
    if (answer) {
        answer->times--;
        out = (struct outcome){answer->outcome, kr_str_c(answer->message)};
    }
    o = object_at(m, x->ref, x->gvk);
    o->applies += x->kind == GRAPH_A_APPLY;
    d.object = index_of(m, o);
    d.result =
        (struct graph_result){.token = x->token, .outcome = out.code, .message = out.message};
    if (out.code == GRAPH_O_OK && o->live.kind != KR_NONE && !m->blind)
        d.rec = record(m, o);
    d.labels = kr_at(o->live, "metadata.labels");
    d.version = o->version;
    d.shrinks = x->kind == GRAPH_A_APPLY_PARENT && inventory_n(m) < inventory;
    *queue_add(m, D_RESULT) = d; /* the response, then what the watch tells */
    for (uint32_t i = m->queue_n - 1; i > events; i--) {
        struct model_delivery swap = m->queue[i];

        m->queue[i] = m->queue[i - 1];
        m->queue[i - 1] = swap;
    }
}

static void watch(struct model *m, const struct graph_action *x)
{
    struct model_delivery *d;
    struct model_object *o;

    if (m->watches_n == KR_N(m->watches)) {
        fail_test("too many watches");
        return;
    }
    m->watches[m->watches_n].rank = x->node;
    m->watches[m->watches_n].selector = kr_strdup(&m->a, x->selector);
    m->watches[m->watches_n++].ref = kr_ref_copy(&m->a, x->ref);
    o = x->ref.name.n ? object_at(m, x->ref, x->gvk) : m->objects;
    d = queue_add(m, x->ref.name.n ? D_EXTERNAL : D_FOUND);
    d->object = index_of(m, o);
    d->rank = x->node;
}

static void unwatch(struct model *m, const struct graph_action *x)
{
    for (uint32_t i = 0; i < m->watches_n; i++) {
        if (m->watches[i].rank == x->node && kr_ref_eq(m->watches[i].ref, x->ref) &&
            kr_str_eq(m->watches[i].selector, x->selector)) {
            m->watches[i] = m->watches[--m->watches_n];
            return;
        }
    }
    fail_test("UNWATCH of what is not watched");
}

static void execute(struct model *m, const struct graph_plan *plan)
{
    for (uint32_t i = 0; i < plan->n; i++) {
        const struct graph_action *x = &plan->actions[i];

        m->writes[x->kind]++;
        if (is_request(x->kind))
            request(m, x);
        else if (x->kind == GRAPH_A_WATCH)
            watch(m, x);
        else if (x->kind == GRAPH_A_UNWATCH)
            unwatch(m, x);
        else if (x->kind == GRAPH_A_TYPES && !m->types_hang)
            queue_add(m, D_TYPES);
    }
}

/* --- delivering ------------------------------------------------------------------------------- */

static void set_bit_if(struct kr_bits *bits, uint32_t bit, bool on)
{
    if (on)
        kr_bits_set(bits, bit);
}

static bool same_read(const struct kr_rec *old, const struct kr_rec *now,
                      const struct graph_read *read)
{
    kr_val x = old ? kr_rec_root(old) : KR_V_NONE, y = now ? kr_rec_root(now) : KR_V_NONE;

    for (uint32_t i = 0; i < read->n && x.kind == KR_MAP && y.kind == KR_MAP; i++) {
        x = kr_get(x, read->names[i]);
        y = kr_get(y, read->names[i]);
    }
    return x.kind == y.kind && kr_equal(x, y);
}

/* As a store does it: the three fixed bits, then the reads. */
static bool diff(struct kr_arena *a, const struct kr_rec *old, const struct kr_rec *now,
                 const struct graph_read *reads, uint32_t n, struct kr_bits *bits)
{
    kr_bits_init(bits, a, GRAPH_BITS_FIXED + n);
    set_bit_if(bits, GRAPH_BIT_EXISTS,
               !old != !now || (old && (old->terminating != now->terminating ||
                                        !kr_str_eq(kr_rec_uid(old), kr_rec_uid(now)))));
    set_bit_if(bits, GRAPH_BIT_IDENTITY,
               !old || !now || !kr_str_eq(kr_rec_part_of(old), kr_rec_part_of(now)) ||
                   old->order != now->order);
    set_bit_if(bits, GRAPH_BIT_OWNED,
               !old || !now || old->owned != now->owned || old->owned_digest != now->owned_digest);
    for (uint32_t i = 0; i < n; i++)
        set_bit_if(bits, GRAPH_BITS_FIXED + i, !same_read(old, now, &reads[i]));
    return kr_bits_any(bits);
}

static bool is_ours(const struct model *m, const struct kr_rec *rec)
{
    return rec && kr_str_eq(kr_rec_part_of(rec), graph_inst_part_of(m->inst));
}

static void tell_child(struct model *m, struct kr_rec *old, struct kr_rec *now)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_bits bits;
    int32_t rank = m->rev ? graph_rev_rank_of_label(m->rev, kr_rec_node_id((now ? now : old))) : -1;

    if (rank < 0) {
        graph_inst_child(m->inst, old, now, NULL);
    } else if (diff(&a, old, now, m->rev->nodes[rank].reads, m->rev->nodes[rank].reads_n, &bits)) {
        graph_inst_child(m->inst, old, now, &bits);
    }
}

static void tell_external(struct model *m, struct kr_rec *old, struct kr_rec *now, kr_ref ref)
{
    for (uint32_t i = 0; i < m->watches_n; i++) {
        const struct model_watch *w = &m->watches[i];
        KR_AUTO(kr_arena) a = {0};
        struct kr_bits bits;

        if (!kr_ref_eq(w->ref, ref) || w->rank >= m->rev->nodes_n)
            continue; /* a rank of a former revision: the next step unwatches it */
        if (diff(&a, old, now, m->rev->nodes[w->rank].reads, m->rev->nodes[w->rank].reads_n, &bits))
            graph_inst_external(m->inst, w->rank, now, &bits);
    }
}

/* --- selectors -------------------------------------------------------------------------------- */

static bool in_set(kr_str set, kr_str value)
{
    while (set.s) {
        if (kr_str_eq(kr_str_trim(kr_str_cut(&set, ',')), value))
            return true;
    }
    return false;
}

/* One requirement: k=v, k in (a,b), k notin (a,b), k, !k. */
static bool meets(kr_val labels, kr_str req)
{
    bool no = kr_str_starts(req, KR_S("!"));
    int64_t in = kr_str_find(req, KR_S(" in (")), not_in = kr_str_find(req, KR_S(" notin (")),
            eq = kr_str_find(req, KR_S("="));
    int64_t key_n = in > 0 ? in : not_in > 0 ? not_in : eq > 0 ? eq : (int64_t)req.n;
    kr_val v = kr_get(labels, kr_str_sub(req, no, (size_t)key_n));

    if (in > 0)
        return v.kind == KR_STRING &&
               in_set(kr_str_sub(req, (size_t)in + 5, req.n - 1), kr_text(v));
    if (not_in > 0)
        return v.kind != KR_STRING ||
               !in_set(kr_str_sub(req, (size_t)not_in + 8, req.n - 1), kr_text(v));
    if (eq > 0)
        return kr_is_str(v, kr_str_sub(req, (size_t)eq + 1, req.n));
    return (v.kind == KR_STRING) != no;
}

static bool selects(const struct model_watch *w, kr_ref ref, kr_val labels)
{
    size_t from = 0, depth = 0;

    if (!kr_gvr_eq(w->ref.gvr, ref.gvr) ||
        (w->ref.namespace.n && !kr_str_eq(w->ref.namespace, ref.namespace)))
        return false;
    for (size_t i = 0; i <= w->selector.n; i++) {
        char c = i < w->selector.n ? w->selector.s[i] : ',';

        depth += (c == '(') - (c == ')');
        if (c != ',' || depth)
            continue;
        if (i > from && !meets(labels, kr_str_sub(w->selector, from, i)))
            return false;
        from = i + 1;
    }
    return true;
}

static void tell_found(struct model *m, struct model_object *o, struct kr_rec *old,
                       struct kr_rec *now, kr_val labels)
{
    for (uint32_t i = 0; i < m->watches_n; i++) {
        const struct model_watch *w = &m->watches[i];
        KR_AUTO(kr_arena) a = {0};
        struct kr_rec *was = old && selects(w, o->ref, o->seen_labels) ? old : NULL;
        struct kr_rec *is = now && selects(w, o->ref, labels) ? now : NULL;
        struct kr_bits bits;

        if (w->ref.name.n || w->rank >= m->rev->nodes_n || (!was && !is))
            continue;
        if (diff(&a, was, is, m->rev->nodes[w->rank].reads, m->rev->nodes[w->rank].reads_n, &bits))
            graph_inst_external_item(m->inst, w->rank, was, is, &bits);
    }
}

static void tell_list(struct model *m, const struct model_watch *w)
{
    struct kr_rec **recs = kr_alloc(sizeof(struct kr_rec *) * (m->objects_n + 1));
    uint32_t n = 0;

    for (uint32_t i = 0; i < m->objects_n; i++) {
        if (m->objects[i].seen && selects(w, m->objects[i].ref, m->objects[i].seen_labels))
            recs[n++] = m->objects[i].seen;
    }
    graph_inst_external_list(m->inst, w->rank, recs, n);
    kr_free(recs);
}

static void tell(struct model *m, struct model_object *o, struct kr_rec *old, struct kr_rec *now,
                 kr_val labels)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_bits bits;
    uint32_t needs_n;
    const struct graph_read *needs = graph_parent_needs(&needs_n);

    if (is_parent(m, o)) {
        if (diff(&a, old, now, m->rev ? m->rev->parent_reads : needs,
                 m->rev ? m->rev->parent_reads_n : needs_n, &bits))
            graph_inst_parent(m->inst, now, &bits);
        return;
    }
    if (is_ours(m, old) || is_ours(m, now))
        tell_child(m, is_ours(m, old) ? old : NULL, is_ours(m, now) ? now : NULL);
    tell_external(m, old, now, o->ref);
    tell_found(m, o, old, now, labels);
}

/* The store takes a version if it is newer than what it has. */
static void store(struct model *m, struct model_object *o, uint64_t version, struct kr_rec *rec,
                  kr_val labels)
{
    struct kr_rec *old = o->seen;

    if (version <= o->store_version)
        return;
    o->store_version = version;
    o->seen = kr_rec_hold(rec);
    tell(m, o, old, rec, labels);
    o->seen_labels = labels;
    kr_rec_drop(old);
}

static void deliver(struct model *m, struct model_delivery *d)
{
    struct model_object *o = &m->objects[d->object];

    switch (d->kind) {
    case D_EVENT:
        store(m, o, d->version, d->rec, d->labels);
        return;
    case D_RESULT:
        d->result.rec = d->rec;
        graph_inst_result(m->inst, &d->result, m->env.now_ms);
        if (d->rec)
            store(m, o, d->version, d->rec, d->labels);
        return;
    case D_TYPES:
        graph_inst_types_known(m->inst, true, KR_S(""));
        return;
    case D_EXTERNAL:
        for (uint32_t i = 0; i < m->watches_n; i++) {
            if (m->watches[i].rank == d->rank && kr_ref_eq(m->watches[i].ref, o->ref)) {
                graph_inst_external(m->inst, d->rank, o->seen, NULL);
                return;
            }
        }
        return;
    case D_FOUND:
        for (uint32_t i = 0; i < m->watches_n; i++) {
            if (m->watches[i].rank == d->rank && !m->watches[i].ref.name.n)
                tell_list(m, &m->watches[i]);
        }
        return;
    }
}

/* Events of one object come in order. */
static bool is_first_of_object(const struct model *m, uint32_t at)
{
    for (uint32_t i = 0; i < at; i++) {
        if (m->queue[i].kind == D_EVENT && m->queue[i].object == m->queue[at].object)
            return m->queue[at].kind != D_EVENT;
    }
    return true;
}

static void deliver_random(struct model *m)
{
    uint32_t at = (uint32_t)(test_rand(m->seed) % m->queue_n);
    struct model_delivery d;

    while (!is_first_of_object(m, at))
        at--;
    d = m->queue[at];
    memmove(&m->queue[at], &m->queue[at + 1], sizeof(d) * (m->queue_n - at - 1));
    m->queue_n--;
    deliver(m, &d);
    delivery_fini(&d);
}

static void deliver_all(struct model *m)
{
    uint32_t n = m->queue_n;
    struct model_delivery *taken = KR_MOVE(m->queue);

    m->queue_n = m->queue_cap = 0;
    for (uint32_t i = 0; i < n; i++) {
        deliver(m, &taken[i]);
        delivery_fini(&taken[i]);
    }
    kr_free(taken);
}

/* --- the trace -------------------------------------------------------------------------------- */

static void print_text(struct kr_buf *b, kr_str message)
{
    for (size_t i = 0; i < message.n; i++) {
        if (message.s[i] == '\n')
            kr_buf_fmt(b, " | ");
        else
            kr_buf_chr(b, message.s[i]);
    }
}

static void print_status(struct model *m, kr_val status)
{
    kr_val user = kr_with_key(&m->a, kr_with_key(&m->a, status, KR_S("conditions"), KR_V_NONE),
                              KR_S("state"), KR_V_NONE);

    KR_LIST_EACH (c, kr_get(status, KR_S("conditions"))) {
        if (kr_is_str(kr_get(*c, KR_S("status")), KR_S("True")) ||
            kr_is_str(kr_get(*c, KR_S("type")), KR_S("Ready")))
            continue;
        kr_buf_fmt(&m->trace, "  " KR_FMT " " KR_FMT " " KR_FMT ": ",
                   KR_ARG(kr_text(kr_get(*c, KR_S("type")))),
                   KR_ARG(kr_text(kr_get(*c, KR_S("status")))),
                   KR_ARG(kr_text(kr_get(*c, KR_S("reason")))));
        print_text(&m->trace, kr_text(kr_get(*c, KR_S("message"))));
        kr_buf_chr(&m->trace, '\n');
    }
    if (user.n)
        kr_buf_fmt(&m->trace, "  " KR_FMT "\n", KR_ARG(kr_json_str(&m->a, user)));
}

static void print_plan(struct model *m, const struct graph_plan *plan)
{
    for (uint32_t i = 0; i < plan->n; i++) {
        struct graph_plan one = {.actions = &plan->actions[i], .n = 1};

        graph_plan_print(&one, &m->trace);
        if (m->why && plan->actions[i].why.n)
            kr_buf_fmt(&m->trace, "  because of " KR_FMT "\n", KR_ARG(plan->actions[i].why));
        if (plan->actions[i].kind == GRAPH_A_STATUS)
            print_status(m, kr_get(plan->actions[i].body, KR_S("status")));
    }
}

/* --- turns ------------------------------------------------------------------------------------ */

static void step(struct model *m)
{
    KR_AUTO(kr_arena) a = {0};
    struct graph_plan plan;

    graph_plan_init(&plan, &a);
    graph_inst_step(m->inst, &m->env, &plan);
    m->wake_ms = plan.wake_ms;
    print_plan(m, &plan);
    execute(m, &plan);
    kr_rec_rest();
}

bool model_turn(struct model *m)
{
    bool had = m->queue_n > 0;

    if (had && m->seed)
        deliver_random(m);
    else if (had)
        deliver_all(m);
    if (graph_inst_dirty(m->inst) || m->wake_ms <= m->env.now_ms)
        step(m);
    return m->queue_n > 0;
}

void model_run(struct model *m)
{
    uint32_t turns = 0;

    while (model_turn(m)) {
        if (++turns > TURNS_MAX) {
            fprintf(stderr, "%.2000s\n", m->trace.s ? m->trace.s : "");
            fail_test("does not come to rest");
            return;
        }
    }
}

void model_wait(struct model *m, uint64_t ms)
{
    uint64_t end = m->env.now_ms + ms;
    uint32_t steps = 0;

    model_run(m);
    while (m->wake_ms <= end) {
        if (m->wake_ms > m->env.now_ms) {
            m->env.wall_s += (int64_t)((m->wake_ms - m->env.now_ms + 999) / 1000);
            m->env.now_ms = m->wake_ms;
        }
        model_run(m);
        if (++steps > TURNS_MAX) {
            fail_test("timers do not come to rest");
            return;
        }
    }
    m->env.wall_s += (int64_t)((end - m->env.now_ms) / 1000);
    m->env.now_ms = end;
}

void model_rest(struct model *m)
{
    uint64_t end = m->env.now_ms + 3600 * 1000;

    model_run(m);
    while (m->wake_ms != UINT64_MAX && m->env.now_ms < end)
        model_wait(m, m->wake_ms > m->env.now_ms ? m->wake_ms - m->env.now_ms : 1);
}

/* --- life ------------------------------------------------------------------------------------- */

static void known(struct model *m)
{
    for (uint32_t i = 0; m->rev && i < m->rev->nodes_n; i++)
        graph_inst_known(m->inst, i, true, KR_S(""));
}

struct model *model_new(const struct cel_kinds *kinds, struct graph_rev *rev, kr_val instance)
{
    struct model *m = KR_ALLOC(struct model);
    struct model_object *o;
    kr_gvk gvk;

    m->kinds = kinds;
    m->rev = rev ? graph_rev_hold(rev) : NULL;
    m->pool = kr_fieldset_pool_new();
    kr_buf_init(&m->trace, 64 * 1024 * 1024);
    m->env = (struct graph_env){.now_ms = 1000000, .wall_s = 1780000000, .version = KR_S("v0.9.3")};
    m->wake_ms = UINT64_MAX;
    m->version = 100;
    gvk = gvk_of(m, kr_cstr(&m->a, kr_at_str(instance, "apiVersion")),
                 kr_cstr(&m->a, kr_at_str(instance, "kind")));
    m->parent = (kr_ref){.gvr = {gvk.group, gvk.version, KR_S("instances")},
                         .namespace = kr_at_str(instance, "metadata.namespace"),
                         .name = kr_at_str(instance, "metadata.name")};
    if (rev)
        m->parent.gvr = rev->instance_gvr;
    m->parent = kr_ref_copy(&m->a, m->parent);
    m->inst = graph_inst_new(m->parent, gvk);
    graph_inst_revision(m->inst, rev, KR_S(""));
    known(m);
    o = object_at(m, m->parent, gvk);
    set_live(m, o, kr_copy(&m->a, instance));
    changed(m, o);
    return m;
}

static void queue_clear(struct model *m)
{
    for (uint32_t i = 0; i < m->queue_n; i++)
        delivery_fini(&m->queue[i]);
    m->queue_n = 0;
}

void model_free(struct model *m)
{
    graph_inst_free(m->inst);
    queue_clear(m);
    kr_free(m->queue);
    for (uint32_t i = 0; i < m->objects_n; i++)
        kr_rec_drop(m->objects[i].seen);
    kr_free(m->objects);
    kr_fieldset_pool_free(m->pool);
    graph_rev_drop(m->rev);
    kr_buf_fini(&m->trace);
    kr_arena_fini(&m->a);
    kr_free(m);
}

/* Every record is made anew: the revision's reads may have changed. */
static void relist(struct model *m)
{
    for (uint32_t i = 0; i < m->objects_n; i++) {
        struct model_object *o = &m->objects[i];

        kr_rec_drop(o->seen);
        o->seen = o->live.kind == KR_NONE ? NULL : record(m, o);
        o->seen_labels = kr_at(o->live, "metadata.labels");
        o->store_version = o->version;
    }
}

static void tell_all(struct model *m)
{
    for (uint32_t i = 0; i < m->objects_n; i++) {
        struct model_object *o = &m->objects[i];

        if (is_parent(m, o) && o->seen)
            graph_inst_parent(m->inst, o->seen, NULL);
        else if (is_ours(m, o->seen))
            graph_inst_child(m->inst, NULL, o->seen, NULL);
    }
}

void model_restart(struct model *m)
{
    kr_gvk gvk = object_find(m, m->parent)->gvk;

    graph_inst_free(m->inst);
    queue_clear(m);
    m->watches_n = 0;
    m->wake_ms = UINT64_MAX;
    m->inst = graph_inst_new(m->parent, gvk);
    graph_inst_revision(m->inst, m->rev, KR_S(""));
    known(m);
    relist(m);
    tell_all(m);
}

/* Objects in the stores are listed again with the new projection, and told as the store tells them.
 */
void model_set_revision(struct model *m, struct graph_rev *rev, const char *problem)
{
    if (rev)
        graph_rev_hold(rev);
    graph_rev_drop(m->rev);
    m->rev = rev;
    for (uint32_t i = 0; i < m->queue_n;
         i++) { /* events under way hold what the new projection keeps */
        struct model_delivery *d = &m->queue[i];
        struct model_object *o = &m->objects[d->object];

        if (d->kind == D_EVENT && d->rec && o->live.kind != KR_NONE) {
            kr_rec_drop(d->rec);
            d->rec = record(m, o);
            d->labels = kr_at(o->live, "metadata.labels");
            d->version = o->version;
        } else if (d->kind == D_RESULT) { /* the answer comes without its record */
            kr_rec_drop(d->rec);
            d->rec = NULL;
        }
    }
    graph_inst_revision(m->inst, rev, kr_str_c(problem));
    for (uint32_t i = 0; i < m->objects_n; i++) {
        struct model_object *o = &m->objects[i];
        struct kr_rec *old = o->seen;

        if (!old || o->live.kind == KR_NONE)
            continue;
        o->seen = record(m, o);
        o->seen_labels = kr_at(o->live, "metadata.labels");
        o->store_version = o->version;
        if (is_parent(m, o))
            graph_inst_parent(m->inst, o->seen, NULL);
        else if (is_ours(m, old) || is_ours(m, o->seen))
            graph_inst_child(m->inst, is_ours(m, old) ? old : NULL,
                             is_ours(m, o->seen) ? o->seen : NULL, NULL);
        kr_rec_drop(old);
    }
    for (uint32_t w = 0; w < m->watches_n; w++) {
        if (m->watches[w].ref.name.n)
            graph_inst_external(m->inst, m->watches[w].rank,
                                object_find(m, m->watches[w].ref)->seen, NULL);
        else
            tell_list(m, &m->watches[w]);
    }
    known(m);
}

/* --- comparing -------------------------------------------------------------------------------- */

static int by_name(const void *x, const void *y)
{
    const struct model_object *const *a = x, *const *b = y;
    int rc = kr_str_cmp((*a)->gvk.kind, (*b)->gvk.kind);

    return rc ? rc : kr_str_cmp((*a)->ref.name, (*b)->ref.name);
}

static kr_val timeless(struct kr_arena *a, kr_val status)
{
    struct kr_listb list = KR_LISTB(a);

    KR_LIST_EACH (c, kr_get(status, KR_S("conditions"))) {
        kr_listb_add(&list, kr_with_key(a, *c, KR_S("lastTransitionTime"), KR_V_NONE));
    }
    return kr_with_key(a, status, KR_S("conditions"), kr_listb_done(&list));
}

kr_str model_state(const struct model *m, struct kr_arena *a)
{
    KR_AUTO(kr_buf) b = KR_BUF(16 * 1024 * 1024);
    const struct model_object **sorted = kr_new_n(a, const struct model_object *, m->objects_n);

    for (uint32_t i = 0; i < m->objects_n; i++)
        sorted[i] = &m->objects[i];
    qsort(sorted, m->objects_n, sizeof(*sorted), by_name);
    for (uint32_t i = 0; i < m->objects_n; i++) {
        kr_val v = sorted[i]->live;

        if (v.kind == KR_NONE || is_parent(m, sorted[i]))
            continue;
        v = kr_with(a, v, "metadata.resourceVersion", KR_V_NONE);
        v = kr_with(a, v, "metadata.generation", KR_V_NONE);
        v = kr_with(a, v, "metadata.uid", KR_V_NONE);
        kr_buf_str(&b, kr_json_str(a, v));
        kr_buf_chr(&b, '\n');
    }
    kr_buf_str(&b, kr_json_str(a, timeless(a, kr_get(model_instance(m), KR_S("status")))));
    kr_buf_chr(&b, '\n');
    return kr_strdup(a, kr_buf_view(&b));
}

uint32_t model_writes_n(const struct model *m)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < GRAPH_ACTIONS_N; i++)
        n += is_request((enum graph_action_kind)i) ? m->writes[i] : 0;
    return n;
}

void model_count(struct model *m)
{
    memset(m->writes, 0, sizeof(m->writes));
    for (uint32_t i = 0; i < m->objects_n; i++)
        m->objects[i].applies = 0;
}

uint32_t model_applies_max(const struct model *m)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < m->objects_n; i++) {
        if (m->objects[i].applies > n)
            n = m->objects[i].applies;
    }
    return n;
}

/* ObjectMeta as far as the definitions here use it. */
static const char metadata_schema[] =
    "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},\"namespace\":{\"type\":"
    "\"string\"},"
    "\"uid\":{\"type\":\"string\"},\"resourceVersion\":{\"type\":\"string\"},\"generation\":{"
    "\"type\":\"integer\"},"
    "\"labels\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}},"
    "\"annotations\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}},"
    "\"finalizers\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}}}";

struct cel_kinds *model_kinds(const char *path)
{
    KR_AUTO(kr_arena) a = {0};
    struct cel_kinds *kinds = cel_kinds_new();
    struct kr_err err = KR_ERR_NONE;
    kr_str text;
    kr_val docs = KR_V_NONE;

    if (!test_file(&a, path, &text))
        fail_test("no file of kinds");
    EXPECT_OK(kr_yaml_parse(&a, text, &docs, &err), &err);
    KR_LIST_EACH (d, docs) {
        kr_gvk gvk = {.kind = kr_at_str(*d, "kind")};

        if (!kr_api_version(kr_at_str(*d, "apiVersion"), &gvk.group, &gvk.version))
            fail_test("kinds: bad apiVersion");
        EXPECT_OK(cel_kinds_add_schema(kinds, gvk, kr_at_str(*d, "resource"),
                                       !kr_is_true(kr_at(*d, "cluster")),
                                       kr_with(&a, kr_at(*d, "schema"), "properties.metadata",
                                               test_json(&a, metadata_schema)),
                                       &err),
                  &err);
        if (kr_is_true(kr_at(*d, "hasStatus")))
            cel_kinds_set_status(kinds, gvk);
    }
    return kinds;
}
