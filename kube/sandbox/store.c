/* SPDX-License-Identifier: Apache-2.0 */
/* store.c - objects in a skip list by key, and the history of their changes.
 *
 * Everything that changes an object goes through sandbox__commit: it alone gives out versions and
 * makes events, so the order of versions is the order of events in every type.
 *
 * Keys are "namespace/name" compared bytewise, as etcd's are: a list comes in the order of a real
 * server, and a page continues behind a key.
 */
#include <inttypes.h>

#include "cel/base/json.h"
#include "cel/base/time.h"
#include "kube/sandbox/schema.h"
#include "kube/sandbox/work.h"

#include "cel/base/banned.h"

enum { LEVELS = 12 };

struct sandbox_node {
    struct sandbox_obj *obj;
    struct sandbox_node *next[]; /* as many as the node is high */
};

/* --- objects ---------------------------------------------------------------------------------- */

struct sandbox_obj *sandbox__obj_hold(struct sandbox_obj *o)
{
    if (o)
        o->refs++;
    return o;
}

void sandbox__obj_drop(struct sandbox_obj *o)
{
    if (o && --o->refs == 0)
        kr_free(o);
}

kr_str sandbox__obj_namespace(const struct sandbox_obj *o)
{
    kr_str key = sandbox__obj_key(o);
    ptrdiff_t slash = kr_str_chr(key, '/');

    return slash < 0 ? KR_S("") : kr_str_sub(key, 0, (size_t)slash);
}

kr_str sandbox__obj_name(const struct sandbox_obj *o)
{
    kr_str key = sandbox__obj_key(o);

    return kr_str_sub(key, (size_t)(kr_str_chr(key, '/') + 1), key.n);
}

kr_str sandbox__key(struct kr_arena *a, kr_str ns, kr_str name)
{
    return ns.n ? kr_fmt(a, KR_FMT "/" KR_FMT, KR_ARG(ns), KR_ARG(name)) : name;
}

/* --- the skip list ---------------------------------------------------------------------------- */

static struct sandbox_node *node_new(uint32_t height, struct sandbox_obj *o)
{
    struct sandbox_node *n = kr_alloc(sizeof *n + height * sizeof n->next[0]);

    n->obj = o;
    return n;
}

void sandbox__tree_fini(struct sandbox_tree *t)
{
    for (struct sandbox_node *n = t->head, *next; n; n = next) {
        next = n->next[0];
        sandbox__obj_drop(n->obj);
        kr_free(n);
    }
    *t = (struct sandbox_tree){0};
}

/* The node before `key` on each level. */
static void path_to(const struct sandbox_tree *t, kr_str key, struct sandbox_node *path[LEVELS])
{
    struct sandbox_node *n = t->head;

    for (int level = LEVELS - 1; level >= 0; level--) {
        while (n->next[level] && kr_str_cmp(sandbox__obj_key(n->next[level]->obj), key) < 0)
            n = n->next[level];
        path[level] = n;
    }
}

struct sandbox_node *sandbox__tree_seek(const struct sandbox_tree *t, kr_str key)
{
    struct sandbox_node *path[LEVELS];

    if (t->head == NULL)
        return NULL;
    path_to(t, key, path);
    return path[0]->next[0];
}

struct sandbox_obj *sandbox__tree_get(const struct sandbox_tree *t, kr_str key)
{
    struct sandbox_node *n = sandbox__tree_seek(t, key);

    return n && kr_str_eq(sandbox__obj_key(n->obj), key) ? n->obj : NULL;
}

/* One in four is a level higher; xorshift, so that equal input gives equal lists. */
static uint32_t height(struct sandbox_tree *t)
{
    uint32_t h = 1;

    t->seed ^= t->seed << 13;
    t->seed ^= t->seed >> 17;
    t->seed ^= t->seed << 5;
    for (uint32_t bits = t->seed; h < LEVELS && (bits & 3) == 0; bits >>= 2)
        h++;
    return h;
}

void sandbox__tree_put(struct sandbox_tree *t, struct sandbox_obj *o)
{
    struct sandbox_node *path[LEVELS], *n;
    uint32_t h;

    if (t->head == NULL) {
        t->head = node_new(LEVELS, NULL);
        t->seed = 0x9e3779b9;
    }
    path_to(t, sandbox__obj_key(o), path);
    n = path[0]->next[0];
    if (n && kr_str_eq(sandbox__obj_key(n->obj), sandbox__obj_key(o))) {
        sandbox__obj_drop(n->obj);
        n->obj = o;
        return;
    }
    h = height(t);
    n = node_new(h, o);
    for (uint32_t i = 0; i < h; i++) {
        n->next[i] = path[i]->next[i];
        path[i]->next[i] = n;
    }
    t->n++;
}

void sandbox__tree_del(struct sandbox_tree *t, kr_str key)
{
    struct sandbox_node *path[LEVELS], *n = sandbox__tree_seek(t, key);

    if (n == NULL || !kr_str_eq(sandbox__obj_key(n->obj), key))
        return;
    path_to(t, key, path);
    for (uint32_t i = 0; i < LEVELS && path[i]->next[i] == n; i++)
        path[i]->next[i] = n->next[i];
    sandbox__obj_drop(n->obj);
    kr_free(n);
    t->n--;
}

struct sandbox_node *sandbox__node_next(const struct sandbox_node *n)
{
    return n->next[0];
}

struct sandbox_obj *sandbox__node_obj(const struct sandbox_node *n)
{
    return n->obj;
}

struct sandbox_obj *sandbox__find(const struct sandbox_type *t, kr_str ns, kr_str name)
{
    KR_AUTO(kr_arena) a = {0};

    return sandbox__tree_get(&t->objects, sandbox__key(&a, ns, name));
}

/* --- showing ---------------------------------------------------------------------------------- */

/* Written by another schema than the type has now: it is read by this one. */
static void show_anew(struct kr_buf *out, const struct sandbox_type *t,
                      const struct sandbox_version *v, const struct sandbox_obj *o)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_err err = KR_ERR_NONE;
    int rc = kr_json_write(out, sandbox__value(&a, t, v, o), 0, &err);

    KR_ASSERT(rc == 0); /* it was read from what we wrote */
}

void sandbox__show(struct kr_buf *out, const struct sandbox_type *t,
                   const struct sandbox_version *v, const struct sandbox_obj *o)
{
    kr_str json = sandbox__obj_json(o), group = t->group;

    if (o->schema_n != t->schema_n) {
        show_anew(out, t, v, o);
        return;
    }
    kr_buf_fmt(out, "{\"kind\":\"" KR_FMT "\",\"apiVersion\":\"" KR_FMT "%s" KR_FMT "\"",
               KR_ARG(t->kind), KR_ARG(group), group.n ? "/" : "", KR_ARG(v->name));
    if (json.n > 2)
        kr_buf_chr(out, ',');
    kr_buf_str(out, kr_str_sub(json, 1, json.n));
}

kr_val sandbox__value(struct kr_arena *a, const struct sandbox_type *t,
                      const struct sandbox_version *v, const struct sandbox_obj *o)
{
    struct kr_err err = KR_ERR_NONE;
    kr_val value = KR_V_NONE;
    int rc = kr_json_parse(a, sandbox__obj_json(o), &value, &err);

    KR_ASSERT(rc == 0); /* we wrote it */
    v = v ? v : &t->versions[t->storage];
    if (o->schema_n != t->schema_n) /* what it lacks is defaulted, what is no more goes */
        value = sandbox__schema_normal(a, v->openapi, value, false, NULL, NULL);
    value =
        kr_with_key(a, value, KR_S("apiVersion"), kr_string(sandbox__api_version(a, t, v->name)));
    return kr_with_key(a, value, KR_S("kind"), kr_string(t->kind));
}

/* --- history ---------------------------------------------------------------------------------- */

static struct sandbox_event *event_at(const struct sandbox_type *t, uint64_t i)
{
    return &t->events[i % t->events_cap];
}

const struct sandbox_event *sandbox__event(const struct sandbox_type *t, uint64_t number)
{
    return event_at(t, number);
}

uint64_t sandbox__event_after(const struct sandbox_type *t, uint64_t version)
{
    uint64_t from = t->events_from, to = t->events_to;

    while (from < to) {
        uint64_t middle = from + (to - from) / 2;

        if (event_at(t, middle)->version > version)
            to = middle;
        else
            from = middle + 1;
    }
    return from;
}

void sandbox__forget(struct sandbox_type *t, uint64_t keep_n)
{
    while (t->events_to - t->events_from > keep_n) {
        struct sandbox_event *e = event_at(t, t->events_from++);

        t->compacted = e->version;
        sandbox__obj_drop(e->old);
        sandbox__obj_drop(e->now);
    }
}

static void grow_history(struct sandbox_type *t, uint32_t max)
{
    uint32_t cap = t->events_cap ? t->events_cap * 2 : 16;
    struct sandbox_event *events;

    cap = cap < max ? cap : max;
    events = kr_alloc(cap * sizeof *events);
    for (uint64_t i = t->events_from; i < t->events_to; i++)
        events[i % cap] = *event_at(t, i);
    kr_free(t->events);
    t->events = events;
    t->events_cap = cap;
}

static void add_event(struct sandbox *s, struct sandbox_type *t, enum sandbox_change change,
                      struct sandbox_obj *old, struct sandbox_obj *now)
{
    uint32_t max = s->opts.history_n ? s->opts.history_n : SANDBOX_HISTORY_MAX;

    if (t->events_to - t->events_from == t->events_cap && t->events_cap < max)
        grow_history(t, max);
    sandbox__forget(t, t->events_cap - 1);
    *event_at(t, t->events_to++) = (struct sandbox_event){
        now->version, change, sandbox__obj_hold(old), sandbox__obj_hold(now)};
    sandbox__watches_wake(t);
}

/* --- writing ---------------------------------------------------------------------------------- */

kr_val sandbox__now(struct sandbox *s, struct kr_arena *a)
{
    char text[KR_TIME_TEXT_MAX];
    size_t n = kr_time_text(s->clock->ops->wall_ms(s->clock) / 1000, 0, text);

    return kr_string(kr_strdup(a, (kr_str){text, n}));
}

kr_str sandbox__uid(struct sandbox *s, struct kr_arena *a)
{
    uint64_t x = s->clock->ops->random(s->clock), y = s->clock->ops->random(s->clock);

    return kr_fmt(a, "%08x-%04x-4%03x-%04x-%012" PRIx64, (unsigned)(x >> 32),
                  (unsigned)(x >> 16 & 0xffff), (unsigned)(x & 0xfff),
                  (unsigned)(0x8000 | (y >> 48 & 0x3fff)), y & 0xffffffffffff);
}

/* A selector is asked for each object of a list: the labels stand beside the JSON, key and value in
 * turn, each behind its length. */
static void put_text(struct kr_buf *out, kr_str s)
{
    uint32_t n = (uint32_t)s.n;

    kr_buf_add(out, (const char *)&n, sizeof n);
    kr_buf_str(out, s);
}

static void write_labels(struct kr_buf *out, kr_val labels)
{
    KR_MAP_EACH (p, labels) {
        if (p->val.kind != KR_STRING)
            continue; /* not a label, and no selector finds it */
        put_text(out, kr_text(p->key));
        put_text(out, kr_text(p->val));
    }
}

static kr_val take_text(kr_str *rest)
{
    uint32_t n;
    kr_str s;

    memcpy(&n, rest->s, sizeof n);
    s = kr_str_sub(*rest, sizeof n, sizeof n + n);
    *rest = kr_str_sub(*rest, sizeof n + n, rest->n);
    return kr_string(s);
}

kr_val sandbox__obj_labels(struct kr_arena *a, const struct sandbox_obj *o)
{
    kr_str rest = {o->bytes + o->key_n + o->json_n, o->labels_n};
    struct kr_pair *pairs = kr_new_n(a, struct kr_pair, rest.n / (2 * sizeof(uint32_t)) + 1);
    uint32_t n = 0;

    for (; rest.n > 0; n++) {
        pairs[n].key = take_text(&rest);
        pairs[n].val = take_text(&rest);
    }
    return kr_map_sorted(pairs, n);
}

static struct sandbox_obj *obj_new(struct kr_arena *a, kr_val v, uint64_t version,
                                   struct kr_buf *json, struct kr_err *err)
{
    kr_str key = sandbox__key(a, kr_at_str(v, "metadata.namespace"), kr_at_str(v, "metadata.name"));
    KR_AUTO(kr_buf) labels = KR_BUF(SANDBOX_OBJECT_MAX * 2);
    struct sandbox_obj *o;

    v = kr_with_key(a, v, KR_S("apiVersion"), KR_V_NONE);
    v = kr_with_key(a, v, KR_S("kind"), KR_V_NONE);
    v = kr_with(a, v, "metadata.resourceVersion", kr_string(kr_fmt(a, "%" PRIu64, version)));
    if (kr_json_write(json, v, 0, err) < 0)
        return NULL;
    if (json->full) {
        kr_fail(err, KR_E_LIMIT, "etcdserver: request is too large");
        return NULL;
    }
    write_labels(&labels, kr_at(v, "metadata.labels"));
    o = kr_alloc(sizeof *o + key.n + json->n + labels.n);
    o->refs = 1;
    o->version = version;
    o->key_n = (uint32_t)key.n;
    o->json_n = (uint32_t)json->n;
    o->labels_n = (uint32_t)labels.n;
    o->terminating = kr_at(v, "metadata.deletionTimestamp").kind == KR_STRING;
    o->owned = kr_at(v, "metadata.ownerReferences").n > 0;
    o->final = kr_at(v, "metadata.finalizers").n > 0;
    memcpy(o->bytes, key.s, key.n);
    memcpy(o->bytes + key.n, json->s, json->n);
    if (labels.n)
        memcpy(o->bytes + key.n + json->n, labels.s, labels.n);
    return o;
}

/* Is nothing left that keeps an object which is being deleted? */
static bool ended(const struct sandbox_type *t, const struct sandbox_obj *o, kr_val v)
{
    return o->terminating && !o->final &&
           !(sandbox__is(t, "", "namespaces") && kr_at(v, "spec.finalizers").n > 0);
}

/* A deletion is told with the state that was stored before it, under the version of the end. */
static void add_deletion(struct sandbox *s, struct sandbox_type *t, struct sandbox_obj *was)
{
    KR_AUTO(kr_arena) a = {0};
    KR_AUTO(kr_buf) json = KR_BUF(SANDBOX_OBJECT_MAX * 2);
    struct sandbox_obj *last =
        obj_new(&a, sandbox__value(&a, t, NULL, was), s->version, &json, NULL);

    KR_ASSERT(last != NULL); /* it was stored */
    last->schema_n = t->schema_n;
    add_event(s, t, SANDBOX_DELETED, was, last);
    sandbox__obj_drop(last);
}

int sandbox__commit(struct sandbox *s, struct sandbox_type *t, struct sandbox_obj *old, kr_val next,
                    bool remove, struct sandbox_obj **out, struct kr_err *err)
{
    KR_AUTO(kr_arena) a = {0};
    KR_AUTO(kr_buf) json = KR_BUF(SANDBOX_OBJECT_MAX);
    enum sandbox_change change = old ? SANDBOX_MODIFIED : SANDBOX_ADDED;
    struct sandbox_obj *now, *was = sandbox__obj_hold(old);

    if (old == NULL && t->objects.n >= SANDBOX_OBJECTS_MAX)
        return kr_fail(err, KR_E_LIMIT, "more than %d objects of one type", SANDBOX_OBJECTS_MAX);
    now = obj_new(&a, next, s->version + 1, &json, err);
    if (now == NULL) {
        sandbox__obj_drop(was);
        return KR_E_LIMIT;
    }
    now->schema_n = t->schema_n;
    s->version++;
    if (old && (remove || (old->terminating && ended(t, now, next)))) {
        change = SANDBOX_DELETED;
        sandbox__tree_del(&t->objects, sandbox__obj_key(now));
    } else {
        sandbox__tree_put(&t->objects, sandbox__obj_hold(now));
    }
    *out = sandbox__obj_hold(now); /* what follows may change the object again */
    if (change == SANDBOX_DELETED)
        add_deletion(s, t, was);
    else
        add_event(s, t, change, was, now);
    sandbox__changed(s, t, change, was, now, next);
    sandbox__obj_drop(was);
    sandbox__obj_drop(now);
    return 0;
}
