/* SPDX-License-Identifier: Apache-2.0 */
/* def_events.c - life of a definition, and what reaches it: objects, kinds, answers to its writes. An event
 * only records; the pass in def.c looks at all of it.
 */
#include "graph/def.h"

#include <stdlib.h>

#include "cel/base/banned.h"

/* --- writes ----------------------------------------------------------------------------------- */

bool def__may_write(const struct def_write *w, const struct graph_env *env, struct graph_plan *plan)
{
    if (w->token)
        return false;
    if (w->retry_ms > env->now_ms) {
        if (plan->wake_ms > w->retry_ms)
            plan->wake_ms = w->retry_ms;
        return false;
    }
    return true;
}

struct graph_action *def__write(struct graph_def *def, struct def_write *w,
                                enum graph_action_kind kind, struct graph_plan *plan)
{
    struct graph_action *action = graph_plan_add(plan, kind);

    w->token = action->token = ++def->tokens;
    return action;
}

static void write_fini(struct def_write *w)
{
    kr_free(w->error);
    *w = (struct def_write){0};
}

void def__write_failed(struct def_write *w, bool refused, kr_str message, uint64_t now_ms)
{
    uint64_t delay = GRAPH_RETRY_MIN_MS;

    for (uint8_t i = 0; i < w->tries && delay < GRAPH_RETRY_MAX_MS; i++)
        delay *= 2;
    if (delay > GRAPH_RETRY_MAX_MS || refused)
        delay = GRAPH_RETRY_MAX_MS;
    w->retry_ms = now_ms + delay;
    w->refused = refused;
    if (w->tries < UINT8_MAX)
        w->tries++;
    def__set_text(&w->error, message.n ? message : KR_S("request failed"));
}

/* The answer has the object as it is now; without one the next write waits for an event, or a
 * little. */
static void write_done(struct def_write *w, const struct graph_result *res, uint64_t now_ms)
{
    write_fini(w);
    if (res->object.kind != KR_MAP)
        w->retry_ms = now_ms + GRAPH_RETRY_MIN_MS;
}

/* --- objects ---------------------------------------------------------------------------------- */

static void object_set(struct def_object *o, kr_val v)
{
    struct kr_arena fresh = {0};

    o->v = v.kind == KR_NONE ? v : kr_copy(&fresh, v); /* v may borrow from the old copy */
    kr_arena_fini(&o->arena);
    o->arena = fresh;
    o->write.retry_ms = 0; /* something has changed: what failed may succeed now */
}

static void object_fini(struct def_object *o)
{
    kr_arena_fini(&o->arena);
    o->v = KR_V_NONE;
    write_fini(&o->write);
}

static struct def_revision **revision_slot(struct graph_def *def, kr_str name)
{
    struct def_revision **at = &def->revisions;

    while (*at && !kr_str_eq((*at)->name, name))
        at = &(*at)->next;
    return at;
}

static void revision_free(struct def_revision *r)
{
    object_fini(&r->object);
    kr_free(r);
}

/* The snapshot's hash; of the same object it is not computed twice (a snapshot is immutable). */
static void revision_set(struct def_revision *r, kr_val v)
{
    KR_AUTO(kr_arena) a = {0};
    kr_str hash = KR_S("");

    if (r->hash.n)
        hash = kr_strdup(&a, r->hash);
    else if (graph_spec_hash(kr_at(v, "spec.snapshot.spec"), &a, &hash, NULL) < 0)
        hash = KR_S("");
    object_set(&r->object, v);
    r->hash = kr_strdup(&r->object.arena, hash);
    r->name = kr_at_str(r->object.v, "metadata.name");
    r->number = def__int_at(r->object.v, "spec.revision");
    r->terminating = def__is_terminating(r->object.v);
}

static uint64_t version_of(kr_val object)
{
    uint64_t u;

    return kr_str_u64(kr_at_str(object, "metadata.resourceVersion"), &u) ? u : 0;
}

static bool is_same_version(kr_val a, kr_val b)
{
    return version_of(a) && version_of(a) == version_of(b) &&
           kr_str_eq(kr_at_str(a, "metadata.uid"), kr_at_str(b, "metadata.uid"));
}

/* Has an event overtaken this answer? What the events say is not compared with what is known: that no
 * older state comes after a newer one is the store's work, and a server that goes back to a backup does
 * show one. */
static bool is_overtaken(const struct graph_result *res, kr_val known)
{
    return kr_str_eq(kr_at_str(res->object, "metadata.uid"), kr_at_str(known, "metadata.uid")) &&
           version_of(res->object) < version_of(known);
}

static void revision_put(struct graph_def *def, kr_val v)
{
    struct def_revision **at = revision_slot(def, kr_at_str(v, "metadata.name")), *r = *at;

    if (r && !kr_str_eq(kr_at_str(r->object.v, "metadata.uid"), kr_at_str(v, "metadata.uid")))
        r->hash = KR_S(""); /* another object of the same name */
    if (r)
        *at = r->next;
    else
        r = KR_ALLOC(struct def_revision);
    revision_set(r, v);
    for (at = &def->revisions; *at && (*at)->number > r->number;)
        at = &(*at)->next;
    r->next = *at;
    *at = r;
}

struct def_revision *def__highest_live(struct graph_def *def)
{
    struct def_revision *r = def->revisions;

    while (r && r->terminating)
        r = r->next;
    return r;
}

/* --- life ------------------------------------------------------------------------------------- */

struct graph_def *graph_def_new(kr_str name)
{
    struct graph_def *def = KR_ALLOC(struct graph_def);

    def->name = kr_cstrdup(name);
    def->sm = (struct kr_sm){.states = def__states, .cur = DEF_SEEN, .name = "definition"};
    def->again = true;
    return def;
}

void graph_def_free(struct graph_def *def)
{
    struct def_revision *next;

    if (!def)
        return;
    for (struct def_revision *r = def->revisions; r; r = next) {
        next = r->next;
        revision_free(r);
    }
    object_fini(&def->rgd);
    object_fini(&def->crd);
    object_fini(&def->create);
    cel_kinds_free(def->kinds);
    write_fini(&def->fetch);
    kr_arena_fini(&def->missing_arena);
    kr_arena_fini(&def->texts);
    kr_arena_fini(&def->id);
    graph_rev_drop(def->built);
    graph_rev_drop(def->serving);
    graph_rev_drop(def->offered);
    kr_free(def->failure);
    kr_free(def->place);
    kr_free(def->shape);
    kr_free(def->refusal);
    kr_free(def->problem);
    kr_free(def->name);
    kr_free(def);
}

kr_str graph_def_name(const struct graph_def *def)
{
    return kr_str_c(def->name);
}
kr_str graph_def_crd_name(const struct graph_def *def)
{
    return def->crd_name;
}
struct graph_rev *graph_def_serving(const struct graph_def *def)
{
    return def->serving;
}
const char *graph_def_state(const struct graph_def *def)
{
    return def->active ? "Active" : "Inactive";
}
kr_str graph_def_place(const struct graph_def *def)
{
    return kr_str_c(def->place);
}

bool graph_def_waiting(const struct graph_def *def)
{
    return def->sm.cur != DEF_SERVING && def->sm.cur != DEF_INACTIVE;
}

bool graph_def_ending(const struct graph_def *def)
{
    return def->sm.cur == DEF_DELETING || def->sm.cur == DEF_GONE;
}

void graph_def_builds(const struct graph_def *def, uint64_t *n, uint64_t *failed_n)
{
    *n = def->builds_n;
    *failed_n = def->build_errors_n;
}

kr_str graph_def_problem(const struct graph_def *def)
{
    return kr_str_c(def->problem);
}

/* --- events ----------------------------------------------------------------------------------- */

/* Name and kind of what is generated, as far as the spec says. */
static void read_identity(struct graph_def *def)
{
    kr_val schema = kr_at(def->rgd.v, "spec.schema"), named = kr_get(schema, KR_S("group"));
    kr_str group = named.kind == KR_STRING ? kr_text(named) : KR_S(GRAPH_GROUP);
    kr_str kind = kr_text(kr_get(schema, KR_S("kind"))), plural;
    kr_gvk gvk = {group, kr_text(kr_get(schema, KR_S("apiVersion"))), kind};
    char *lower;

    if (def->crd_name.n && kr_gvk_eq(def->instance, gvk))
        return; /* as ever; a plural takes a walk over many words */
    kr_arena_fini(&def->id);
    def->crd_name = KR_S("");
    def->instance = kr_gvk_copy(&def->id, gvk);
    if (kind.n == 0)
        return;
    lower = kr_arena_bytes(&def->id, kind.n + 1);
    for (size_t i = 0; i < kind.n; i++)
        lower[i] = kind.s[i] >= 'A' && kind.s[i] <= 'Z' ? (char)(kind.s[i] - 'A' + 'a') : kind.s[i];
    plural = graph_plural(&def->id, (kr_str){lower, kind.n});
    def->crd_name =
        kr_fmt(&def->id, KR_FMT "." KR_FMT, KR_ARG(plural), KR_ARG(def->instance.group));
}

static void rgd_set(struct graph_def *def, kr_val rgd)
{
    bool another =
        !kr_str_eq(kr_at_str(def->rgd.v, "metadata.uid"), kr_at_str(rgd, "metadata.uid"));

    if (another ||
        def__int_at(def->rgd.v, "metadata.generation") != def__int_at(rgd, "metadata.generation"))
        def->create.write.retry_ms = def->crd.write.retry_ms = def->fetch.retry_ms = 0;
    object_set(&def->rgd, rgd);
    if (another)
        write_fini(&def->rgd.write);
    if (rgd.kind != KR_NONE) /* of one that is gone, the last name is remembered */
        read_identity(def);
}

void graph_def_object(struct graph_def *def, kr_val rgd)
{
    kr_str old = kr_at_str(def->rgd.v, "metadata.resourceVersion");

    if (rgd.kind == KR_MAP) {
        bool same =
            kr_str_eq(kr_at_str(def->rgd.v, "metadata.uid"), kr_at_str(rgd, "metadata.uid"));

        if (same && old.n && kr_str_eq(old, kr_at_str(rgd, "metadata.resourceVersion")))
            return; /* the echo of our own write */
    }
    rgd_set(def, rgd.kind == KR_MAP ? rgd : KR_V_NONE);
    def->again = true;
}

void graph_def_revision(struct graph_def *def, kr_val revision, bool deleted)
{
    struct def_revision **at = revision_slot(def, kr_at_str(revision, "metadata.name")), *r = *at;

    if (deleted && r) {
        if (def->target == r)
            def->target = NULL;
        *at = r->next;
        revision_free(r);
    } else if (!deleted) {
        if (r && is_same_version(revision, r->object.v))
            return; /* the echo of our own write */
        revision_put(def, revision);
    }
    def->create.write.retry_ms = 0;
    def->again = true;
}

void graph_def_revisions_known(struct graph_def *def, bool known)
{
    def->again = def->again || def->revisions_known != known;
    def->revisions_known = known;
}

void graph_def_crd(struct graph_def *def, kr_val crd, bool known)
{
    def->again = def->again || def->crd_known != known;
    def->crd_known = known;
    if (is_same_version(crd, def->crd.v))
        return;
    object_set(&def->crd, crd.kind == KR_MAP ? crd : KR_V_NONE);
    def->again = true;
}

/* Is there a kind that discovery has but OpenAPI has not (yet)? */
static bool lacks_schema(const struct cel_kinds *kinds)
{
    uint32_t at = 0;
    const struct cel_kind *k;

    while ((k = cel_kinds_next(kinds, &at)) != NULL) {
        if (!k->schema)
            return true;
    }
    return false;
}

void graph_def_kinds(struct graph_def *def, struct cel_kinds *kinds, const kr_gvk *missing,
                     uint32_t missing_n, const struct kr_err *err)
{
    kr_gvk *copy;

    cel_kinds_free(def->kinds);
    def->kinds = NULL;
    def->fetch.token = 0;
    def->lag_ms = 0;
    def->again = true;
    if (!kinds) { /* tried again by the next pass that may */
        def__set_text(&def->fetch.error, err ? kr_err_str(err) : KR_S("no answer"));
        def->fetch.refused = true;
        def->stale = true;
        return;
    }
    def__set_text(&def->fetch.error, KR_S(""));
    def->fetch.tries = 0;
    def->kinds = kinds;
    def->kinds_key = def->fetch_key;
    kr_arena_fini(&def->missing_arena);
    copy = kr_new_n(&def->missing_arena, kr_gvk, missing_n);
    for (uint32_t i = 0; i < missing_n; i++)
        copy[i] = kr_gvk_copy(&def->missing_arena, missing[i]);
    def->missing = copy;
    def->missing_n = missing_n;
    def->lacking = missing_n > 0 || lacks_schema(kinds);
}

static bool names_kind(kr_val spec, kr_str group, kr_str kind)
{
    KR_AUTO(kr_arena) a = {0};
    const kr_gvk *gvks;
    uint32_t n;

    graph_kinds_of(spec, &a, &gvks, &n);
    for (uint32_t i = 0; i < n; i++) {
        if (kr_str_eq(gvks[i].group, group) && kr_str_eq(gvks[i].kind, kind))
            return true;
    }
    return false;
}

void graph_def_kind_changed(struct graph_def *def, kr_str group, kr_str kind)
{
    struct def_revision *r = def__highest_live(def);
    bool own = kr_str_eq(def->instance.group, group) && kr_str_eq(def->instance.kind, kind);

    if (!names_kind(kr_at(def->rgd.v, "spec"), group, kind) &&
        !(r && names_kind(kr_at(r->object.v, "spec.snapshot.spec"), group, kind)) &&
        !(own && def->sidecar))
        return;
    def->stale = true;
    def->expected = true;
    def->lag_tries = 0;
    def->lag_ms = 0;
    def->fetch.retry_ms = 0;
    def->again = true;
}

void graph_def_expect(struct graph_def *def)
{
    def->expected = def->lag_tries < GRAPH_LAG_TRIES;
}

void graph_def_controller(struct graph_def *def, int rc, kr_str why)
{
    if (def->asked)
        def->asked--;
    if (!def->offered || def->asked)
        return; /* about a revision that was offered before */
    def->again = true;
    def__set_text(&def->refusal, rc ? (why.n ? why : KR_S("cannot serve")) : KR_S(""));
    if (rc)
        return;
    graph_rev_drop(def->serving);
    def->serving = def->offered;
    def->offered = NULL;
}

/* --- results ---------------------------------------------------------------------------------- */

static bool answered(const struct graph_result *res)
{
    return res->outcome == GRAPH_O_OK && res->object.kind == KR_MAP;
}

static void fail_write(struct def_write *w, const struct graph_result *res, uint64_t now_ms)
{
    bool refused = res->outcome == GRAPH_O_INVALID || res->outcome == GRAPH_O_FOREIGN ||
                   res->outcome == GRAPH_O_EXISTS;

    def__write_failed(w, refused, res->message, now_ms);
}

static void rgd_result(struct graph_def *def, const struct graph_result *res, uint64_t now_ms)
{
    if (res->outcome == GRAPH_O_OK)
        write_done(&def->rgd.write, res, now_ms);
    else /* not found: the watch will say so */
        fail_write(&def->rgd.write, res, now_ms);
    if (answered(res) && is_overtaken(res, def->rgd.v))
        def->rgd.write.retry_ms = now_ms + GRAPH_RETRY_MIN_MS; /* an event will tell */
    else if (answered(res) && kr_str_eq(kr_at_str(def->rgd.v, "metadata.uid"),
                                        kr_at_str(res->object, "metadata.uid")))
        rgd_set(def, res->object);
}

static void crd_result(struct graph_def *def, const struct graph_result *res, uint64_t now_ms)
{
    if (res->outcome == GRAPH_O_OK)
        write_done(&def->crd.write, res, now_ms);
    else if (res->outcome == GRAPH_O_NOT_FOUND)
        object_set(&def->crd, KR_V_NONE);
    else
        fail_write(&def->crd.write, res, now_ms);
    if (answered(res) && is_overtaken(res, def->crd.v))
        def->crd.write.retry_ms = now_ms + GRAPH_RETRY_MIN_MS;
    else if (answered(res) &&
             kr_is_str(kr_get(res->object, KR_S("kind")), KR_S("CustomResourceDefinition")))
        object_set(&def->crd, res->object);
}

static void create_result(struct graph_def *def, const struct graph_result *res, uint64_t now_ms)
{
    KR_AUTO(kr_arena) a = {0};
    const struct def_revision *r;
    kr_str hash;

    if (res->outcome == GRAPH_O_OK)
        write_done(&def->create.write, res, now_ms);
    else
        fail_write(&def->create.write, res, now_ms);
    if (!answered(res)) {
        def->creating = 0;
        return;
    }
    def->issued = def->creating;
    def->issued_spec = def->creating_spec;
    def->creating = 0;
    r = *revision_slot(def, kr_at_str(res->object, "metadata.name"));
    if (!r || !is_overtaken(res, r->object.v))
        revision_put(def, res->object);
    if (def->built &&
        graph_spec_hash(kr_at(res->object, "spec.snapshot.spec"), &a, &hash, NULL) == 0 &&
        kr_str_eq(hash, def->built->hash)) /* what was compiled is what was issued */
        def->built_key = kr_digest(kr_at(res->object, "spec.snapshot.spec")) ^
                         kr_str_hash(kr_at_str(def->rgd.v, "metadata.uid"));
}

static void revision_result(struct def_revision *r, const struct graph_result *res, uint64_t now_ms)
{
    if (res->outcome == GRAPH_O_OK)
        write_done(&r->object.write, res, now_ms);
    else
        fail_write(&r->object.write, res, now_ms);
    if (answered(res) && is_overtaken(res, r->object.v))
        r->object.write.retry_ms = now_ms + GRAPH_RETRY_MIN_MS;
    else if (answered(res) && kr_is_str(kr_get(res->object, KR_S("kind")), KR_S("GraphRevision")) &&
             kr_str_eq(kr_at_str(res->object, "metadata.uid"),
                       kr_at_str(r->object.v, "metadata.uid")))
        revision_set(r, res->object);
}

void graph_def_result(struct graph_def *def, const struct graph_result *res, uint64_t now_ms)
{
    if (res->token == 0)
        return;
    def->again = true;
    if (res->token == def->rgd.write.token) {
        def->rgd.write.token = 0;
        rgd_result(def, res, now_ms);
    } else if (res->token == def->crd.write.token) {
        def->crd.write.token = 0;
        crd_result(def, res, now_ms);
    } else if (res->token == def->create.write.token) {
        def->create.write.token = 0;
        create_result(def, res, now_ms);
    } else {
        for (struct def_revision *r = def->revisions; r; r = r->next) {
            if (res->token == r->object.write.token) {
                r->object.write.token = 0;
                revision_result(r, res, now_ms);
                return;
            }
        }
    }
}
