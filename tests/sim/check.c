/* SPDX-License-Identifier: Apache-2.0 */
/* check.c - the rules of safety, kept at every change that the sandbox stores, and the end checks.
 *
 *   foreign     a controller writes and deletes only what is its own: definitions' objects, instances,
 *               and objects that belong to no ApplySet or to the one that it writes for
 *   owner       no object passes from one ApplySet to another (what a controller cannot know yet, it
 *               may still take: a forced apply has no precondition)
 *   inventory   a child is made only when its instance has the finalizer and names the child's group,
 *               kind and namespace in its inventory
 *   finalizer   an instance lets go of its finalizer only when nothing is left of its set
 *   maker       a controller makes no instance
 *   active      an instance is called ACTIVE and Ready, for a generation, only if each object that its spec
 *               demands was there with the value demanded at some time since that generation came
 *               (less NEWS_MS), and workloads that must be ready were ready
 *   budget      where nothing goes wrong, no write leaves everything as it was, a child is written once
 *               for each thing that happened, and nothing is listed twice
 *
 * All that is known of an object is one record a name; it outlives the object, for a later one of the
 * same name. */
#include <inttypes.h>

#include "graph/names.h"
#include "tests/sim/sim.h"

enum {
    VALUES_KEPT = 8,
    NEWS_MS = 120 * 1000, /* so long may news be on its way: streams that wait to be opened again, a
                             server that is down, slow lists */
    PAUSE_MS = 5 * 1000,  /* after so long all that follows from what happened has been written */
};

struct value {
    uint64_t hash, until_ms; /* when it was last there; UINT64_MAX: it is */
};

struct record {
    bool live, terminating, finalizer, ready;
    bool instance;
    bool excused;                     /* made for an instance that the server had just taken back */
    kr_str group, resource, ns, name; /* live in the check's arena */
    kr_str part_of, set_id;
    uint64_t part_of_ms;      /* since when */
    kr_str kinds, namespaces; /* of the inventory */
    int64_t generation;
    uint64_t generation_ms;
    uint64_t ready_ms; /* last seen ready */
    struct value values[VALUES_KEPT];
    uint32_t values_at;
    uint32_t spent, spent_pause; /* writes of a controller; since that pause */
};

struct sim_check {
    struct sim *s;
    /* What happened that was no controller's work, since the last pause; the pauses so far. */
    uint32_t causes, pauses;
    uint64_t cause_ms;
    struct kr_map lists;   /* paths that were listed since the start -> c */
    struct kr_map records; /* "resource.group ns/name" -> struct record */
    struct kr_map sets;    /* set id -> struct record of its instance */
    bool filling;
    uint64_t back_ms; /* when the server last went back; 0: never */
    struct kr_arena a;
};

/* --- records ---------------------------------------------------------------------------------- */

static struct record *record_of(struct sim_check *c, kr_str group, kr_str resource, kr_str ns,
                                kr_str name)
{
    KR_AUTO(kr_arena) a = {0};
    kr_str key = kr_fmt(&a, KR_FMT "." KR_FMT " " KR_FMT "/" KR_FMT, KR_ARG(resource),
                        KR_ARG(group), KR_ARG(ns), KR_ARG(name));
    struct record *r = kr_map_get(&c->records, key);

    if (r)
        return r;
    r = KR_ALLOC(struct record);
    r->group = kr_strdup(&c->a, group);
    r->resource = kr_strdup(&c->a, resource);
    r->ns = kr_strdup(&c->a, ns);
    r->name = kr_strdup(&c->a, name);
    r->instance = kr_str_is(group, "kro.run") && kr_str_starts(resource, KR_S("thing"));
    kr_map_put(&c->records, key, r);
    return r;
}

static void keep_text(struct sim_check *c, kr_str *at, kr_str now)
{
    if (!kr_str_eq(*at, now))
        *at = kr_strdup(&c->a, now);
}

static bool has_finalizer(kr_val v)
{
    KR_LIST_EACH (f, kr_at(v, "metadata.finalizers"))
        if (kr_is_str(*f, KR_S(GRAPH_FINALIZER)))
            return true;
    return false;
}

static kr_str label(kr_val v, const char *name)
{
    return kr_text(kr_get(kr_at(v, "metadata.labels"), kr_str_c(name)));
}

static kr_str annotation(kr_val v, const char *name)
{
    return kr_text(kr_get(kr_at(v, "metadata.annotations"), kr_str_c(name)));
}

static void keep_value(struct record *r, kr_str v, bool live, uint64_t now)
{
    struct value *last = &r->values[r->values_at];
    uint64_t hash = kr_str_hash(v);

    if (last->until_ms == UINT64_MAX && (!live || last->hash != hash))
        last->until_ms = now;
    if (!live || (last->until_ms == UINT64_MAX && last->hash == hash))
        return;
    r->values_at = (r->values_at + 1) % VALUES_KEPT;
    r->values[r->values_at] = (struct value){hash, UINT64_MAX};
}

static bool had_value(const struct record *r, kr_str v, uint64_t since)
{
    uint64_t hash = kr_str_hash(v);

    for (uint32_t i = 0; i < VALUES_KEPT; i++)
        if (r->values[i].until_ms >= since && r->values[i].hash == hash)
            return true;
    return false;
}

static bool had_any(const struct record *r, uint64_t since)
{
    for (uint32_t i = 0; i < VALUES_KEPT; i++)
        if (r->values[i].until_ms && r->values[i].until_ms >= since)
            return true;
    return false;
}

static void keep_instance(struct sim_check *c, struct record *r, kr_val v, uint64_t now)
{
    kr_val generation = kr_at(v, "metadata.generation");

    if (!r->live || generation.i != r->generation)
        r->generation_ms = now;
    r->generation = generation.i;
    keep_text(c, &r->set_id, label(v, GRAPH_LABEL_SET_ID));
    keep_text(c, &r->kinds, annotation(v, GRAPH_ANNO_KINDS));
    keep_text(c, &r->namespaces, annotation(v, GRAPH_ANNO_NAMESPACES));
    if (r->set_id.n)
        kr_map_put(&c->sets, r->set_id, r);
}

static void keep(struct sim_check *c, struct record *r, const struct sandbox_seen *seen)
{
    kr_val v = seen->object, ready = kr_at(v, "status.availableReplicas");
    uint64_t now = c->s->clock.now_ms;

    if (r->instance)
        keep_instance(c, r, v, now);
    r->live = !seen->deleted;
    r->terminating = kr_at(v, "metadata.deletionTimestamp").kind == KR_STRING;
    r->finalizer = r->live && has_finalizer(v);
    if (!kr_str_eq(r->part_of, r->live ? label(v, GRAPH_LABEL_PART_OF) : KR_S("")))
        r->part_of_ms = now;
    keep_text(c, &r->part_of, r->live ? label(v, GRAPH_LABEL_PART_OF) : KR_S(""));
    keep_value(r, annotation(v, "v"), r->live, now);
    if (r->ready)
        r->ready_ms = now;
    r->ready = r->live && ready.kind == KR_INT && ready.i > 0;
    if (r->ready)
        r->ready_ms = now;
}

/* --- the rules -------------------------------------------------------------------------------- */

#define WHERE KR_FMT " " KR_FMT "/" KR_FMT
#define WHERE_ARG(r) KR_ARG((r)->resource), KR_ARG((r)->ns), KR_ARG((r)->name)

/* Objects that no instance makes, and that are the controller's all the same. */
static bool is_machinery(const struct record *r)
{
    return r->instance || kr_str_is(r->group, "kro.run") ||
           kr_str_is(r->group, "internal.kro.run") || kr_str_is(r->group, "apiextensions.k8s.io") ||
           kr_str_is(r->resource, "events");
}

static void check_foreign(struct sim_check *c, const struct record *r,
                          const struct sandbox_seen *seen)
{
    kr_str now = label(seen->object, GRAPH_LABEL_PART_OF);

    if (is_machinery(r))
        return;
    if (now.n == 0 || (seen->deleted && r->part_of.n == 0))
        sim_fail(c->s, "foreign: " WHERE " is %s", WHERE_ARG(r),
                 seen->deleted ? "deleted" : "written");
    else if (r->live && r->part_of.n && !kr_str_eq(r->part_of, now) &&
             r->part_of_ms + NEWS_MS < c->s->clock.now_ms)
        sim_fail(c->s, "owner: " WHERE " passes from one ApplySet to another", WHERE_ARG(r));
    else if (!kr_map_get(&c->sets, now))
        sim_fail(c->s, "foreign: " WHERE " belongs to no instance that ever was", WHERE_ARG(r));
}

static bool in_list(kr_str list, kr_str what)
{
    while (list.n > 0)
        if (kr_str_eq(kr_str_cut(&list, ','), what))
            return true;
    return false;
}

static const char *group_kind(const struct record *r)
{
    if (kr_str_is(r->resource, "configmaps"))
        return "ConfigMap";
    return kr_str_is(r->resource, "secrets") ? "Secret" : "Deployment.apps";
}

static void check_inventory(struct sim_check *c, struct record *r, const struct sandbox_seen *seen)
{
    const struct record *owner = kr_map_get(&c->sets, label(seen->object, GRAPH_LABEL_PART_OF));

    if (!seen->added || is_machinery(r) || !owner)
        return;
    r->excused = c->back_ms && c->s->clock.now_ms < c->back_ms + NEWS_MS;
    if (r->excused)
        return;
    if (!owner->live || !owner->finalizer)
        sim_fail(c->s,
                 "inventory: " WHERE " is made for an instance that is gone or has no finalizer",
                 WHERE_ARG(r));
    else if (!in_list(owner->kinds, kr_str_c(group_kind(r))))
        sim_fail(c->s, "inventory: " WHERE " is made, but the set says " KR_FMT, WHERE_ARG(r),
                 KR_ARG(owner->kinds));
    else if (!kr_str_eq(r->ns, owner->ns) && !in_list(owner->namespaces, r->ns))
        sim_fail(c->s, "inventory: " WHERE " is made in a namespace that the set does not name",
                 WHERE_ARG(r));
}

static void check_released(struct sim_check *c, const struct record *r,
                           const struct sandbox_seen *seen)
{
    if (!r->instance || !r->finalizer || r->set_id.n == 0 ||
        (!seen->deleted && has_finalizer(seen->object)))
        return;
    kr_map_each (e, &c->records) {
        const struct record *child = e->val;

        if (child->live && kr_str_eq(child->part_of, r->set_id))
            sim_fail(c->s, "finalizer: " WHERE " is left behind by " WHERE, WHERE_ARG(child),
                     WHERE_ARG(r));
    }
}

static uint32_t def_of(const struct record *r)
{
    return (uint32_t)(r->resource.s[5] - '0');
}

static const char *lacking(struct sim_check *c, const struct sim_want *w, uint64_t since)
{
    kr_str group = kr_str_c(kr_str_is(kr_str_c(w->resource), "deployments") ? "apps" : "");
    const struct record *r = record_of(c, group, kr_str_c(w->resource), kr_str_c(w->ns), w->name);

    if (!had_any(r, since))
        return "was not there";
    if (w->certain && !had_value(r, w->v, since))
        return "had another value";
    if (w->ready && r->ready_ms < since && !r->ready)
        return "was not ready";
    return NULL;
}

/* Nodes that one variant lacks are not asked for: the status may tell of the other. */
static void check_active(struct sim_check *c, const struct record *r,
                         const struct sandbox_seen *seen)
{
    KR_AUTO(kr_arena) a = {0};
    const kr_val none[SIM_SOURCES] = {{0}};
    struct sim_wants wants;
    int64_t observed = -1;
    uint64_t since;
    const struct sim_def *d = &c->s->plan->defs[def_of(r)];

    if (!kr_str_is(kr_at_str(seen->object, "status.state"), "ACTIVE"))
        return;
    KR_LIST_EACH (condition, kr_at(seen->object, "status.conditions"))
        if (kr_str_is(kr_at_str(*condition, "type"), GRAPH_C_READY) &&
            kr_str_is(kr_at_str(*condition, "status"), "True"))
            observed = kr_at(*condition, "observedGeneration").i;
    if (observed != r->generation)
        return;
    since = r->generation_ms > NEWS_MS ? r->generation_ms - NEWS_MS : 0;
    sim_model(&a, c->s->plan, def_of(r), 0, r->name, kr_at(seen->object, "spec"), none, &wants);
    for (uint32_t i = 0; i < wants.n; i++) {
        const struct sim_want *w = &wants.list[i];
        const char *what = lacking(c, w, since);

        if (d->nodes[w->node].variants == 3 && !w->unsure && what)
            sim_fail(c->s, "active: " WHERE " is called ACTIVE, but %s %s/" KR_FMT " %s",
                     WHERE_ARG(r), w->resource, w->ns, KR_ARG(w->name), what);
    }
}

static void check_status(struct sim_check *c, const struct record *r,
                         const struct sandbox_seen *seen)
{
    if (r->instance && !seen->deleted && c->s->serving_status)
        check_active(c, r, seen);
}

/* --- the budget ------------------------------------------------------------------------------- */

/* What follows from a source may come through several streams, one for each reference to it. */
static uint32_t streams_of(const struct sim_check *c, const struct record *r)
{
    uint32_t n = 0;

    for (uint32_t d = 0; d < c->s->plan->defs_n; d++)
        for (uint32_t i = 0; i < c->s->plan->defs[d].n; i++)
            n += sim_is_external(&c->s->plan->defs[d].nodes[i]);
    return n > 0 && kr_str_starts(r->name, KR_S("source-")) ? n : 1;
}

static void happened(struct sim_check *c, const struct record *r)
{
    uint64_t now = c->s->clock.now_ms;

    if (now > c->cause_ms + PAUSE_MS) {
        c->causes = 0;
        c->pauses++;
    }
    c->cause_ms = now;
    c->causes += streams_of(c, r);
}

static void check_spent(struct sim_check *c, struct record *r)
{
    if (!c->s->plan->calm || is_machinery(r))
        return;
    if (r->spent_pause != c->pauses)
        r->spent = 0;
    r->spent_pause = c->pauses;
    if (++r->spent > c->causes)
        sim_fail(c->s, "budget: " WHERE " is written %u times, and %u things happened",
                 WHERE_ARG(r), r->spent, c->causes);
}

void sim_check_write(struct sim_check *c, const struct sandbox_request *q, uint64_t version)
{
    if (c->s->plan->calm && strcmp(q->method, "DELETE") != 0 && /* somebody may have been faster */
        sandbox_version(c->s->sandbox) == version)
        sim_fail(c->s, "budget: %s " KR_FMT " changes nothing", q->method, KR_ARG(q->path));
}

/* The path and the selector of a list or stream. */
static kr_str listed(struct kr_arena *a, kr_str query)
{
    kr_str base = kr_str_cut(&query, '?'), selector = KR_S("");

    while (query.n > 0) {
        kr_str part = kr_str_cut(&query, '&');

        if (kr_str_find(part, KR_S("Selector=")) >= 0)
            selector = part;
    }
    return kr_fmt(a, KR_FMT " " KR_FMT, KR_ARG(base), KR_ARG(selector));
}

/* Of what is read of each object a changed or a second definition may need more than the store has. */
static bool reads_stay(const struct sim_plan *p)
{
    for (uint32_t i = 0; i < p->steps_n; i++)
        if (p->steps[i].kind == SIM_STEP_DEFINE)
            return false;
    return p->defs_n == 1;
}

void sim_check_list(struct sim_check *c, kr_str path)
{
    KR_AUTO(kr_arena) a = {0};
    kr_str key = listed(&a, path);

    if (!c->s->plan->calm || !reads_stay(c->s->plan))
        return;
    if (kr_map_get(&c->lists, key))
        sim_fail(c->s, "budget: " KR_FMT " is listed again", KR_ARG(path));
    kr_map_put(&c->lists, key, c);
}

void sim_check_closed(struct sim_check *c, kr_str path)
{
    KR_AUTO(kr_arena) a = {0};

    kr_map_del(&c->lists, listed(&a, path));
}

void sim_check_start(struct sim_check *c)
{
    kr_map_fini(&c->lists);
}

static void on_change(void *arg, const struct sandbox_seen *seen)
{
    struct sim_check *c = arg;
    struct record *r = record_of(c, seen->group, seen->resource, seen->ns, seen->name);

    c->s->busy_at = c->s->clock.now_ms;
    if (!c->filling) {
        if (c->s->serving) {
            check_foreign(c, r, seen);
            check_inventory(c, r, seen);
            if (r->instance && seen->added)
                sim_fail(c->s, "maker: " WHERE " is made by the controller", WHERE_ARG(r));
            check_status(c, r, seen);
            check_spent(c, r);
        } else {
            happened(c, r);
        }
        check_released(c, r, seen);
    }
    keep(c, r, seen);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void check_child(struct sim_check *c, const struct record *owner, const struct sim_want *w)
{
    bool workload = kr_str_is(kr_str_c(w->resource), "deployments");
    const struct record *r = record_of(c, workload ? KR_S("apps") : KR_S(""), kr_str_c(w->resource),
                                       kr_str_c(w->ns), w->name);

    if (!r->live)
        sim_fail(c->s, "end: " WHERE " of " WHERE " is not there", WHERE_ARG(r), WHERE_ARG(owner));
    else if (!kr_str_eq(r->part_of, owner->set_id))
        sim_fail(c->s, "end: " WHERE " is not that of " WHERE, WHERE_ARG(r), WHERE_ARG(owner));
    else if (!had_value(r, w->v, UINT64_MAX))
        sim_fail(c->s, "end: " WHERE " has not the value " KR_FMT, WHERE_ARG(r), KR_ARG(w->v));
}

static uint32_t children_n(const struct sim_check *c, kr_str set)
{
    uint32_t n = 0;

    kr_map_each (e, &c->records) {
        const struct record *r = e->val;

        n += r->live && kr_str_eq(r->part_of, set);
    }
    return n;
}

static void check_told(struct sim_check *c, const struct record *r, kr_val v,
                       const struct sim_wants *wants)
{
    KR_AUTO(kr_arena) a = {0};
    const struct sim_def *d = &c->s->plan->defs[def_of(r)];

    if (!kr_str_is(kr_at_str(v, "status.state"), "ACTIVE"))
        sim_fail(c->s, "end: " WHERE " is " KR_FMT ": " KR_FMT, WHERE_ARG(r),
                 KR_ARG(kr_at_str(v, "status.state")), KR_ARG(kr_json_str(&a, kr_at(v, "status"))));
    else if (!kr_str_eq(kr_at_str(v, "status.first"), kr_at_str(v, "spec.a")))
        sim_fail(c->s, "end: the status of " WHERE " is not of its spec", WHERE_ARG(r));
    for (uint32_t i = 0; i < d->n; i++) {
        kr_str told = kr_at_str(v, kr_fmt(&a, "status.s%u", i).s);

        if (d->nodes[i].told && !wants->skipped[i] && !kr_str_eq(told, wants->v[i]))
            sim_fail(c->s, "end: the status of " WHERE " says s%u: " KR_FMT ", not " KR_FMT,
                     WHERE_ARG(r), i, KR_ARG(told), KR_ARG(wants->v[i]));
    }
}

static void check_instance(struct sim_check *c, const struct record *r, const kr_val *sources)
{
    KR_AUTO(kr_arena) a = {0};
    struct sim_wants wants;
    kr_val v = sim_get(c->s, &a,
                       kr_fmt(&a, "/apis/kro.run/v1alpha1/namespaces/" KR_FMT "/" KR_FMT "/" KR_FMT,
                              KR_ARG(r->ns), KR_ARG(r->resource), KR_ARG(r->name))
                           .s);
    uint32_t def = def_of(r);

    if (r->terminating) {
        sim_fail(c->s, "end: " WHERE " does not end: " KR_FMT, WHERE_ARG(r),
                 KR_ARG(kr_json_str(&a, kr_at(v, "status"))));
        return;
    }
    sim_model(&a, c->s->plan, def, c->s->variant[def], r->name, kr_at(v, "spec"), sources, &wants);
    check_told(c, r, v, &wants);
    for (uint32_t i = 0; i < wants.n; i++)
        check_child(c, r, &wants.list[i]);
    if (!sim_failed(c->s) && children_n(c, r->set_id) != wants.n)
        sim_fail(c->s, "end: " WHERE " has %u children, not %u", WHERE_ARG(r),
                 children_n(c, r->set_id), wants.n);
}

void sim_check_end(struct sim_check *c)
{
    KR_AUTO(kr_arena) a = {0};
    kr_val sources[SIM_SOURCES];

    for (uint32_t j = 0; j < SIM_SOURCES; j++)
        sources[j] = sim_get(c->s, &a,
                             kr_fmt(&a, "/api/v1/namespaces/" SIM_NS "/configmaps/source-%u", j).s);
    kr_map_each (e, &c->records) {
        const struct record *r = e->val, *owner;

        if (!r->live || sim_failed(c->s))
            continue;
        if (r->instance)
            check_instance(c, r, sources);
        owner = r->part_of.n ? kr_map_get(&c->sets, r->part_of) : NULL;
        if (r->part_of.n && (!owner || !owner->live) && !r->excused)
            sim_fail(c->s, "end: " WHERE " is an orphan", WHERE_ARG(r));
    }
}

/* --- life ------------------------------------------------------------------------------------- */

struct sim_check *sim_check_new(struct sim *s)
{
    struct sim_check *c = KR_ALLOC(struct sim_check);

    c->s = s;
    return c;
}

void sim_check_free(struct sim_check *c)
{
    kr_map_each (e, &c->records)
        kr_free(e->val);
    kr_map_fini(&c->records);
    kr_map_fini(&c->sets);
    kr_map_fini(&c->lists);
    kr_arena_fini(&c->a);
    kr_free(c);
}

/* Everything that was known is gone: only what is there now counts. */
void sim_check_back(struct sim_check *c, bool filling)
{
    c->filling = filling;
    if (!filling)
        return;
    if (c->records.n)
        c->back_ms = c->s->clock.now_ms;
    kr_map_each (e, &c->records) {
        struct record *r = e->val;

        r->live = r->finalizer = r->ready = false;
        r->part_of = KR_S("");
        keep_value(r, KR_S(""), false, c->s->clock.now_ms);
    }
}

void sim_check_follow(struct sim_check *c, struct sandbox *sandbox)
{
    sandbox_on_change(sandbox, on_change, c);
}
