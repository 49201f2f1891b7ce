/* SPDX-License-Identifier: Apache-2.0 */
/* def.c - the definition machine: one ResourceGraphDefinition from first sight to serving.
 *
 *   SEEN -> SCHEMAS -> BUILD -> REVISION -> CRD -> ESTABLISHED -> SERVING
 *     \________\________\________\__________\___________\______-> INACTIVE   a verdict says why
 *                       deletionTimestamp -> DELETING     no object -> GONE
 *
 * Level-triggered: events only record and ask for another pass. A pass goes through the states from
 * SEEN; each finds its work done (and costs next to nothing), starts a write, or waits. So the
 * order of events does not matter, and after a restart with everything in place nothing is written.
 * Every wait is for an event; timers exist for back-off, and to tell a wait that lasts. A sidecar
 * alone polls, for kinds that are missing: it may watch no CRDs.
 *
 * What is compiled is the snapshot of the highest live GraphRevision when its hash is that of the
 * spec, else the spec itself, which then is issued as a new revision. The revision that serves
 * stays until the next one has passed all states: a definition that does not compile, or whose CRD
 * would break, never stops the instances.
 *
 * One write at a time is in flight per object; its answer is taken as the newest version.
 *
 * Source: kro:pkg/controller/resourcegraphdefinition, graphrevision; reference rgd-graph 7, 8.
 * Departures (reference 11): no fixed delays, no wait for terminating revisions, one compile a
 * change.
 */
#include "graph/def.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cel/base/banned.h"

#define TO(s) (1u << DEF_##s)
#define ENDS (TO(SEEN) | TO(INACTIVE) | TO(DELETING) | TO(GONE))
static const struct kr_sm_state states[DEF_STATES_N] = {
    [DEF_SEEN] = {"seen", TO(SCHEMAS) | TO(REVISION) | ENDS},
    [DEF_SCHEMAS] = {"schemas", TO(BUILD) | TO(REVISION) | ENDS},
    [DEF_BUILD] = {"build", TO(SCHEMAS) | TO(REVISION) | ENDS},
    [DEF_REVISION] = {"revision", TO(CRD) | ENDS},
    [DEF_CRD] = {"crd", TO(ESTABLISHED) | ENDS},
    [DEF_ESTABLISHED] = {"established", TO(SERVING) | ENDS},
    [DEF_SERVING] = {"serving", ENDS},
    [DEF_INACTIVE] = {"inactive", TO(SEEN) | TO(DELETING) | TO(GONE)},
    [DEF_DELETING] = {"deleting", TO(SEEN) | TO(GONE)},
    [DEF_GONE] = {"gone", TO(SEEN) | TO(DELETING)},
};
#undef TO
#undef ENDS

/* --- small helpers ---------------------------------------------------------------------------- */

kr_str def__text(struct graph_def *def, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    kr_str out;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&text, fmt, ap);
    va_end(ap);
    KR_ASSERT(n >= 0);
    out = kr_strdup(&def->texts, (kr_str){text, (size_t)n});
    free(text);
    return out;
}

void def__verdict(struct graph_def *def, int which, const char *status, const char *reason,
                  kr_str message)
{
    def->verdicts[which] = (struct def_verdict){status, reason, message};
}

kr_ref def__ref(const char *group, const char *resource, kr_str name)
{
    return (kr_ref){.gvr = {kr_str_c(group), KR_S(GRAPH_VERSION), kr_str_c(resource)},
                    .name = name};
}

static void set_text(char **to, kr_str text) /* text may be the old one */
{
    char *copy = text.n ? kr_cstrdup(text) : NULL;

    kr_free(*to);
    *to = copy;
}

static int64_t int_at(kr_val v, const char *path)
{
    kr_val at = kr_at(v, path);

    return at.kind == KR_INT ? at.i : 0;
}

static bool has_finalizer(kr_val object)
{
    kr_val list = kr_at(object, "metadata.finalizers");

    KR_LIST_EACH (it, list) {
        if (kr_is_str(*it, KR_S(GRAPH_FINALIZER)))
            return true;
    }
    return false;
}

static bool is_terminating(kr_val object)
{
    return kr_at(object, "metadata.deletionTimestamp").kind == KR_STRING;
}

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

static void write_failed(struct def_write *w, bool refused, kr_str message, uint64_t now_ms)
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
    set_text(&w->error, message.n ? message : KR_S("request failed"));
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
    r->number = int_at(r->object.v, "spec.revision");
    r->terminating = is_terminating(r->object.v);
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

static struct def_revision *highest_live(struct graph_def *def)
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
    def->sm = (struct kr_sm){.states = states, .cur = DEF_SEEN, .name = "definition"};
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

static uint64_t version_of(kr_val object)
{
    uint64_t u;

    return kr_str_u64(kr_at_str(object, "metadata.resourceVersion"), &u) ? u : 0;
}

/* Name and kind of what is generated, as far as the spec says. */
static void read_identity(struct graph_def *def)
{
    kr_val schema = kr_at(def->rgd.v, "spec.schema"), group = kr_get(schema, KR_S("group"));
    kr_str kind = kr_text(kr_get(schema, KR_S("kind"))), plural;
    char *lower;

    kr_arena_fini(&def->id);
    def->crd_name = KR_S("");
    def->instance = (kr_gvk){.kind = kr_strdup(&def->id, kind)};
    def->instance.version = kr_strdup(&def->id, kr_text(kr_get(schema, KR_S("apiVersion"))));
    def->instance.group =
        group.kind == KR_STRING ? kr_strdup(&def->id, kr_text(group)) : KR_S(GRAPH_GROUP);
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

    if (another || int_at(def->rgd.v, "metadata.generation") != int_at(rgd, "metadata.generation"))
        def->create.write.retry_ms = def->crd.write.retry_ms = def->fetch.retry_ms = 0;
    object_set(&def->rgd, rgd);
    if (another) {
        write_fini(&def->rgd.write);
        def->written_u = 0;
    }
    if (rgd.kind != KR_NONE) /* of one that is gone, the last name is remembered */
        read_identity(def);
}

void graph_def_object(struct graph_def *def, kr_val rgd)
{
    kr_str old = kr_at_str(def->rgd.v, "metadata.resourceVersion");

    if (rgd.kind == KR_MAP) {
        bool same =
            kr_str_eq(kr_at_str(def->rgd.v, "metadata.uid"), kr_at_str(rgd, "metadata.uid"));
        uint64_t u = version_of(rgd);

        if (same && old.n && kr_str_eq(old, kr_at_str(rgd, "metadata.resourceVersion")))
            return; /* the echo of our own write */
        if (same && u && u < def->written_u)
            return; /* older than the answer to our own write */
        def->written_u = 0;
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
        if (r && version_of(revision) && version_of(revision) <= version_of(r->object.v) &&
            kr_str_eq(kr_at_str(revision, "metadata.uid"), kr_at_str(r->object.v, "metadata.uid")))
            return; /* the echo of our own write, or older */
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
    uint64_t u = version_of(crd), mine = version_of(def->crd.v);

    def->again = def->again || def->crd_known != known;
    def->crd_known = known;
    if (u && u <= mine &&
        kr_str_eq(kr_at_str(crd, "metadata.uid"), kr_at_str(def->crd.v, "metadata.uid")))
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
        set_text(&def->fetch.error, err ? kr_err_str(err) : KR_S("no answer"));
        def->fetch.refused = true;
        def->stale = true;
        return;
    }
    set_text(&def->fetch.error, KR_S(""));
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
    struct def_revision *r = highest_live(def);
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
    set_text(&def->refusal, rc ? (why.n ? why : KR_S("cannot serve")) : KR_S(""));
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

    write_failed(w, refused, res->message, now_ms);
}

static void rgd_result(struct graph_def *def, const struct graph_result *res, uint64_t now_ms)
{
    if (res->outcome == GRAPH_O_OK)
        write_done(&def->rgd.write, res, now_ms);
    else /* not found: the watch will say so */
        fail_write(&def->rgd.write, res, now_ms);
    if (!answered(res) ||
        !kr_str_eq(kr_at_str(def->rgd.v, "metadata.uid"), kr_at_str(res->object, "metadata.uid")) ||
        version_of(res->object) < version_of(def->rgd.v))
        return;
    rgd_set(def, res->object);
    def->written_u = version_of(res->object);
}

static void crd_result(struct graph_def *def, const struct graph_result *res, uint64_t now_ms)
{
    if (res->outcome == GRAPH_O_OK)
        write_done(&def->crd.write, res, now_ms);
    else if (res->outcome == GRAPH_O_NOT_FOUND)
        object_set(&def->crd, KR_V_NONE);
    else
        fail_write(&def->crd.write, res, now_ms);
    if (answered(res) &&
        kr_is_str(kr_get(res->object, KR_S("kind")), KR_S("CustomResourceDefinition")) &&
        version_of(res->object) >= version_of(def->crd.v))
        object_set(&def->crd, res->object);
}

static void create_result(struct graph_def *def, const struct graph_result *res, uint64_t now_ms)
{
    KR_AUTO(kr_arena) a = {0};
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
    if (answered(res) && kr_is_str(kr_get(res->object, KR_S("kind")), KR_S("GraphRevision")) &&
        kr_str_eq(kr_at_str(res->object, "metadata.uid"), kr_at_str(r->object.v, "metadata.uid")) &&
        version_of(res->object) >= version_of(r->object.v))
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

/* --- revisions: finalizer, adoption, retention ------------------------------------------------ */

static kr_val finalizer_body(struct kr_arena *a, kr_val object, bool on)
{
    kr_val list = kr_at(object, "metadata.finalizers");
    struct kr_listb kept = KR_LISTB(a);
    struct kr_mapb meta = KR_MAPB(a), body = KR_MAPB(a);

    KR_LIST_EACH (it, list) {
        if (!kr_is_str(*it, KR_S(GRAPH_FINALIZER)))
            kr_listb_add(&kept, *it);
    }
    if (on)
        kr_listb_add(&kept, KR_V_STR(GRAPH_FINALIZER));
    kr_mapb_put(&meta, KR_S("finalizers"), kr_listb_done(&kept));
    /* others' finalizers stand in the list too: it is replaced in the version that was read only */
    kr_mapb_put(&meta, KR_S("resourceVersion"), kr_at(object, "metadata.resourceVersion"));
    kr_mapb_put(&body, KR_S("metadata"), kr_mapb_done(&meta));
    return kr_mapb_done(&body);
}

static void put_finalizer(struct graph_def *def, struct def_object *o, kr_ref ref, bool on,
                          const struct graph_env *env, struct graph_plan *plan)
{
    struct graph_action *action;

    if (has_finalizer(o->v) == on || !def__may_write(&o->write, env, plan))
        return;
    action = def__write(def, &o->write, GRAPH_A_FINALIZER, plan);
    action->ref = ref;
    action->body = finalizer_body(plan->a, o->v, on);
}

static kr_val owner_of(struct graph_def *def, struct kr_arena *a)
{
    struct kr_mapb b = KR_MAPB(a);

    kr_mapb_put(&b, KR_S("apiVersion"), KR_V_STR(GRAPH_GROUP "/" GRAPH_VERSION));
    kr_mapb_put(&b, KR_S("kind"), KR_V_STR("ResourceGraphDefinition"));
    kr_mapb_put(&b, KR_S("name"), kr_string(kr_str_c(def->name)));
    kr_mapb_put(&b, KR_S("uid"), kr_at(def->rgd.v, "metadata.uid"));
    kr_mapb_put(&b, KR_S("controller"), kr_bool(true));
    return kr_mapb_done(&b);
}

static bool is_owner(kr_val ref)
{
    return kr_is_str(kr_get(ref, KR_S("kind")), KR_S("ResourceGraphDefinition")) &&
           kr_str_starts(kr_text(kr_get(ref, KR_S("apiVersion"))), KR_S(GRAPH_GROUP "/"));
}

/* A live revision without our controller reference is ours by name: it gets the reference. */
static void adopt(struct graph_def *def, struct def_revision *r, const struct graph_env *env,
                  struct graph_plan *plan)
{
    kr_val refs = kr_at(r->object.v, "metadata.ownerReferences");
    kr_val uid = kr_at(def->rgd.v, "metadata.uid");
    struct kr_listb out = KR_LISTB(plan->a);
    struct graph_action *action;
    bool placed = false;

    KR_LIST_EACH (it, refs) {
        if (is_owner(*it) && kr_equal(kr_get(*it, KR_S("uid")), uid) &&
            kr_is_true(kr_get(*it, KR_S("controller"))))
            return;
        kr_listb_add(&out, is_owner(*it) && !placed ? owner_of(def, plan->a) : *it);
        placed = placed || is_owner(*it);
    }
    if (!placed)
        kr_listb_add(&out, owner_of(def, plan->a));
    if (!def__may_write(&r->object.write, env, plan))
        return;
    action = def__write(def, &r->object.write, GRAPH_A_UPDATE, plan);
    action->ref = def__ref(GRAPH_GROUP_INTERNAL, "graphrevisions", r->name);
    action->body = kr_with(plan->a, r->object.v, "metadata.ownerReferences", kr_listb_done(&out));
}

/* What every revision needs whatever is compiled. */
static void tend_revisions(struct graph_def *def, const struct graph_env *env,
                           struct graph_plan *plan)
{
    for (struct def_revision *r = def->revisions; r; r = r->next) {
        put_finalizer(def, &r->object, def__ref(GRAPH_GROUP_INTERNAL, "graphrevisions", r->name),
                      !r->terminating, env, plan);
        if (!r->terminating && def->rgd.v.kind == KR_MAP)
            adopt(def, r, env, plan);
    }
}

static void retain(struct graph_def *def, const struct graph_env *env, struct graph_plan *plan)
{
    uint32_t live = 0;

    for (struct def_revision *r = def->revisions; env->revisions_max && r; r = r->next) {
        struct graph_action *action;

        if (r->terminating || ++live <= env->revisions_max ||
            !def__may_write(&r->object.write, env, plan))
            continue;
        action = def__write(def, &r->object.write, GRAPH_A_DELETE, plan);
        action->ref = def__ref(GRAPH_GROUP_INTERNAL, "graphrevisions", r->name);
        action->uid = kr_at_str(r->object.v, "metadata.uid");
    }
}

/* --- the states ------------------------------------------------------------------------------- */

/* Ends the pass: something is wrong, and it has been said. */
static void inactive(struct graph_def *def, kr_str text)
{
    set_text(&def->problem, text);
    kr_sm_to(&def->sm, DEF_INACTIVE);
}

static void reject(struct graph_def *def, kr_str text)
{
    def->order = ORDER_NONE;
    def__verdict(def, V_ACCEPTED, "False", "InvalidResourceGraph", text);
    inactive(def, text);
}

/* The compile failed: of a revision that stands, or of a spec that is to become one. */
static void reject_build(struct graph_def *def, kr_str why)
{
    struct def_revision *r = def->target;
    kr_str text;

    if (!r) {
        reject(def, why);
        return;
    }
    text = def__text(def, "latest graph revision %lld failed compilation", (long long)r->number);
    def->verified = (struct def_verdict){
        "False", "InvalidGraph",
        def__text(def, "failed to compile graph revision \"" KR_FMT "\": " KR_FMT, KR_ARG(r->name),
                  KR_ARG(why))};
    def__verdict(def, V_REVISIONS, "False", "Failed", text);
    reject(def, def__text(def, KR_FMT ": " KR_FMT, KR_ARG(text), KR_ARG(why)));
    def->order = ORDER_KEEP;
}

static void resolved(struct graph_def *def, const struct def_revision *r)
{
    def__verdict(def, V_REVISIONS, "True", "Resolved",
                 def__text(def, "revision %lld compiled and active", (long long)r->number));
}

/* Chooses what is to be compiled: the newest live snapshot when it is that of the spec. */
static bool choose(struct graph_def *def, const struct graph_env *env)
{
    kr_val spec = kr_at(def->rgd.v, "spec");
    struct def_revision *r = highest_live(def);
    uint64_t digest = kr_digest(spec);
    KR_AUTO(kr_arena) a = {0};
    struct kr_err err = KR_ERR_NONE;
    kr_str hash;

    if (!def->hash[0] || def->hashed != digest) {
        if (graph_spec_hash(spec, &a, &hash, &err) < 0) {
            reject(def, def__text(def, "%s", err.text));
            return false;
        }
        KR_ASSERT(hash.n < sizeof(def->hash));
        memcpy(def->hash, hash.s, hash.n);
        def->hashed = digest;
    }
    /* a revision that was issued for this very spec is never issued twice, whatever the server made
     * of its snapshot */
    if (r && !env->sidecar &&
        (kr_str_eq(r->hash, kr_str_c(def->hash)) ||
         (r->number == def->issued && def->issued_spec == digest))) {
        def->target = r;
        digest = kr_digest(kr_at(r->object.v, "spec.snapshot.spec"));
    } else if (r && !env->sidecar) {
        resolved(def, r);
    }
    def->key = digest ^ kr_str_hash(kr_at_str(def->rgd.v, "metadata.uid"));
    return true;
}

static kr_val spec_of(const struct graph_def *def)
{
    return def->target ? kr_at(def->target->object.v, "spec.snapshot.spec")
                       : kr_at(def->rgd.v, "spec");
}

/* Goes on with what is known of this key from before; false: nothing is. */
static bool known_outcome(struct graph_def *def)
{
    if (def->built && def->built_key == def->key)
        kr_sm_to(&def->sm, DEF_REVISION);
    else if (def->failure && def->failed_key == def->key)
        reject_build(def, kr_str_c(def->failure));
    else
        return false;
    return true;
}

static bool has_kinds(const struct graph_def *def)
{
    return def->kinds && def->kinds_key == def->key && !def->stale;
}

static bool in_seen(struct graph_def *def, const struct graph_env *env, struct graph_plan *plan)
{
    if (!env->sidecar) {
        if (!def->revisions_known || !def->crd_known)
            return false;
        put_finalizer(def, &def->rgd,
                      def__ref(GRAPH_GROUP, "resourcegraphdefinitions", kr_str_c(def->name)), true,
                      env, plan);
    }
    if (!choose(def, env))
        return true;
    /* new kinds are looked at even when there is an outcome already */
    if (def->stale || has_kinds(def) || !known_outcome(def))
        kr_sm_to(&def->sm, DEF_SCHEMAS);
    return true;
}

/* The kinds to ask for; in a sidecar the generated one too, for its shape. */
static const kr_gvk *wanted_kinds(struct graph_def *def, const struct graph_env *env,
                                  struct kr_arena *a, uint32_t *n)
{
    const kr_gvk *used;
    kr_gvk *all;

    graph_kinds_of(spec_of(def), a, &used, n);
    if (!env->sidecar || def->instance.kind.n == 0)
        return used;
    all = kr_new_n(a, kr_gvk, *n + 1);
    memcpy(all, used, sizeof(*all) * *n);
    all[(*n)++] = def->instance;
    return all;
}

static bool in_schemas(struct graph_def *def, const struct graph_env *env, struct graph_plan *plan)
{
    struct graph_action *action;
    const kr_gvk *gvks;
    uint32_t n;

    if (has_kinds(def)) {
        kr_sm_to(&def->sm, DEF_BUILD);
        return true;
    }
    gvks = wanted_kinds(def, env, plan->a, &n);
    if (n == 0 && !def->kinds) {
        def->kinds = cel_kinds_new();
        def->kinds_key = def->key;
        def->stale = false;
        kr_sm_to(&def->sm, DEF_BUILD);
        return true;
    }
    if (def->fetch.token) /* for another key, or before a change: asked again after its answer */
        return known_outcome(def);
    if (def->fetch.refused) { /* an answer without kinds, whose time was not known then */
        def->fetch.refused = false;
        write_failed(&def->fetch, false, kr_str_c(def->fetch.error), env->now_ms);
    }
    if (!def__may_write(&def->fetch, env, plan)) {
        if (known_outcome(def))
            return true;
        reject(def, def__text(def, "failed to fetch schemas: %s",
                              def->fetch.error ? def->fetch.error : ""));
        def->order = ORDER_KEEP;
        return true;
    }
    action = def__write(def, &def->fetch, GRAPH_A_FETCH, plan);
    action->token = 0; /* graph_def_kinds is the answer */
    action->gvks = gvks;
    action->gvks_n = n;
    action->why = kr_str_c(def->name);
    def->fetch_key = def->key;
    def->stale = false;
    return known_outcome(def);
}

static void drop_kinds(struct graph_def *def)
{
    cel_kinds_free(def->kinds);
    def->kinds = NULL;
    kr_arena_fini(&def->missing_arena);
    def->missing = NULL;
    def->missing_n = 0;
}

static void compiled(struct graph_def *def, struct graph_rev *rev)
{
    graph_rev_drop(def->built);
    def->built = rev;
    def->built_key = def->key;
    set_text(&def->failure, KR_S(""));
}

/* kro's words, then what helps: where, what was meant, how much more there is. */
static void remember_failure(struct graph_def *def, const struct graph_diags *d,
                             const struct kr_err *err)
{
    KR_AUTO(kr_buf) text = KR_BUF(2 * KR_ERR_MAX);
    const struct graph_diag *x = d->n ? &d->items[0] : NULL;

    kr_buf_str(&text, kr_err_str(err));
    if (x && (x->suggestion.n || d->errors_n > 1)) {
        kr_buf_fmt(&text, " [at " KR_FMT, KR_ARG(x->path));
        if (x->suggestion.n)
            kr_buf_fmt(&text, ": " KR_FMT, KR_ARG(x->suggestion));
        if (d->errors_n > 1)
            kr_buf_fmt(&text, "; and %u more error%s", d->errors_n - 1, d->errors_n > 2 ? "s" : "");
        kr_buf_chr(&text, ']');
    }
    def->failed_key = def->key;
    set_text(&def->failure, text.full ? kr_err_str(err) : kr_buf_view(&text));
    set_text(&def->place, kr_str_c(err->at));
}

static bool in_build(struct graph_def *def, const struct graph_env *env, struct graph_plan *plan)
{
    struct graph_source src = {.name = kr_str_c(def->name),
                               .uid = kr_at_str(def->rgd.v, "metadata.uid"),
                               .spec = spec_of(def),
                               .only_namespace = env->only_namespace,
                               .missing = def->missing,
                               .missing_n = def->missing_n,
                               .dimensions_max = env->dimensions_max,
                               .omit = env->omit};
    KR_AUTO(kr_arena) a = {0};
    struct graph_diags diags = {.a = &a};
    struct kr_err err = KR_ERR_NONE;
    struct graph_rev *rev = NULL;
    const kr_gvk *needs;
    uint32_t needs_n;
    int rc;

    src.diags = &diags;
    rc = graph_build(&src, def->kinds, &a, &rev, &needs, &needs_n, &err);

    def->builds_n++;
    if (rc == GRAPH_NEEDS)
        rc = kr_fail(&err, KR_E_INPUT, "no answer for kind " KR_FMT, KR_ARG(needs[0].kind));
    if (rc == 0) {
        if (env->sidecar)
            set_text(&def->shape, def__crd_shape(&a, rev, def->kinds));
        compiled(def, rev);
        kr_sm_to(&def->sm, DEF_REVISION);
    } else {
        def->build_errors_n++;
        remember_failure(def, &diags, &err);
        reject_build(def, kr_str_c(def->failure));
    }
    drop_kinds(def);
    (void)plan;
    return true;
}

static int64_t next_number(const struct graph_def *def)
{
    int64_t n = int_at(def->rgd.v, "status.lastIssuedRevision");

    for (const struct def_revision *r = def->revisions; r; r = r->next) {
        if (r->number > n)
            n = r->number;
    }
    return n + 1;
}

static kr_val revision_body(struct graph_def *def, const struct graph_env *env, struct kr_arena *a,
                            kr_str name)
{
    struct kr_mapb labels = KR_MAPB(a), meta = KR_MAPB(a), snapshot = KR_MAPB(a), spec = KR_MAPB(a);
    struct kr_mapb body = KR_MAPB(a);
    kr_val *owner = kr_new(a, kr_val), *finalizer = kr_new(a, kr_val);

    *owner = owner_of(def, a);
    *finalizer = KR_V_STR(GRAPH_FINALIZER);
    kr_mapb_put(&labels, KR_S(GRAPH_LABEL_OWNED), KR_V_STR("true"));
    kr_mapb_put(&labels, KR_S(GRAPH_LABEL_VERSION),
                kr_string(graph_version_label(a, env->version)));
    kr_mapb_put(&labels, KR_S(GRAPH_LABEL_RGD_NAME), kr_string(kr_str_c(def->name)));
    kr_mapb_put(&labels, KR_S(GRAPH_LABEL_HASH), kr_string(kr_str_c(def->hash)));
    kr_mapb_put(&meta, KR_S("name"), kr_string(name));
    kr_mapb_put(&meta, KR_S("labels"), kr_mapb_done(&labels));
    kr_mapb_put(&meta, KR_S("ownerReferences"), kr_list(owner, 1));
    kr_mapb_put(&meta, KR_S("finalizers"), kr_list(finalizer, 1));
    kr_mapb_put(&snapshot, KR_S("name"), kr_string(kr_str_c(def->name)));
    kr_mapb_put(&snapshot, KR_S("generation"), kr_int(int_at(def->rgd.v, "metadata.generation")));
    kr_mapb_put(&snapshot, KR_S("spec"), kr_at(def->rgd.v, "spec"));
    kr_mapb_put(&spec, KR_S("revision"), kr_int(def->creating));
    kr_mapb_put(&spec, KR_S("snapshot"), kr_mapb_done(&snapshot));
    kr_mapb_put(&body, KR_S("apiVersion"), KR_V_STR(GRAPH_GROUP_INTERNAL "/" GRAPH_VERSION));
    kr_mapb_put(&body, KR_S("kind"), KR_V_STR("GraphRevision"));
    kr_mapb_put(&body, KR_S("metadata"), kr_mapb_done(&meta));
    kr_mapb_put(&body, KR_S("spec"), kr_mapb_done(&spec));
    return kr_mapb_done(&body);
}

/* Issues a new revision. The pass waits for the answer, which makes it a live one. */
static bool issue(struct graph_def *def, const struct graph_env *env, struct graph_plan *plan)
{
    struct def_write *w = &def->create.write;
    int64_t number = def->creating ? def->creating : next_number(def);
    kr_str name = graph_revision_name(plan->a, kr_str_c(def->name), number);

    if (!has_finalizer(def->rgd.v))
        return false; /* being written: without it a deletion could pass unseen */
    if (def__may_write(w, env, plan)) {
        struct graph_action *action = def__write(def, w, GRAPH_A_CREATE, plan);

        def->creating = number;
        def->creating_spec = kr_digest(kr_at(def->rgd.v, "spec"));
        action->ref = def__ref(GRAPH_GROUP_INTERNAL, "graphrevisions", name);
        action->body = revision_body(def, env, plan->a, name);
    }
    def__verdict(
        def, V_REVISIONS, "Unknown", "WaitingForGraphRevisionCompilation",
        def__text(def, "graph revision %lld issued and awaiting compilation", (long long)number));
    if (w->error && !w->token) {
        kr_str text =
            def__text(def, "creating graph revision \"" KR_FMT "\": %s", KR_ARG(name), w->error);

        def->verdicts[V_REVISIONS].status = NULL;
        if (w->refused) {
            reject(def, text);
            return true;
        }
        def__verdict(def, V_ACCEPTED, "False", "InvalidResourceGraph", text);
    }
    return false;
}

static bool in_revision(struct graph_def *def, const struct graph_env *env, struct graph_plan *plan)
{
    struct def_revision *r = def->target;

    def__verdict(def, V_ACCEPTED, "True", "Valid", KR_S("resource graph and schema are valid"));
    if (env->sidecar) {
        kr_sm_to(&def->sm, DEF_CRD);
        return true;
    }
    if (!r)
        return issue(def, env, plan);
    if (def->built->number != r->number && def->built != def->serving && def->built != def->offered)
        def->built->number = r->number; /* nobody else has it yet */
    def->verified =
        (struct def_verdict){"True", "Verified", KR_S("graph revision compiled and verified")};
    resolved(def, r);
    kr_sm_to(&def->sm, DEF_CRD);
    return true;
}

static kr_ref instances_of(const struct graph_rev *rev)
{
    return (kr_ref){.gvr = rev->instance_gvr};
}

/* Gives the revision to the reactor, once. */
static void offer(struct graph_def *def, struct graph_plan *plan)
{
    struct graph_action *action;

    if (def->serving == def->built || def->offered == def->built)
        return;
    graph_rev_drop(def->offered);
    def->offered = graph_rev_hold(def->built);
    def->asked++;
    set_text(&def->refusal, KR_S(""));
    action = graph_plan_add(plan, GRAPH_A_SERVE);
    action->ref = instances_of(def->built);
    action->gvk = def->built->instance_gvk;
    action->rev = def->built;
}

static bool in_crd(struct graph_def *def, const struct graph_env *env, struct graph_plan *plan)
{
    enum def_crd outcome = DEF_CRD_OK;

    def->order = ORDER_BUILT;
    if (env->sidecar && def->shape) {
        inactive(def, kr_str_c(def->shape));
        return true;
    }
    if (!env->sidecar)
        outcome = def__crd_step(def, env, plan);
    if (outcome == DEF_CRD_WAIT)
        return false;
    if (outcome == DEF_CRD_BAD) {
        if (is_terminating(def->crd.v) && def__crd_ours(def))
            offer(def, plan); /* the CRD waits for its instances, and they for us */
        inactive(def, def->verdicts[V_KIND].message);
    } else {
        kr_sm_to(&def->sm, DEF_ESTABLISHED);
    }
    return true;
}

/* Gives the revision to the reactor and waits for its word. */
static bool in_established(struct graph_def *def, const struct graph_env *env,
                           struct graph_plan *plan)
{
    (void)env;
    offer(def, plan);
    if (def->offered == def->built && def->asked)
        return false;
    if (def->offered == def->built && def->refusal) {
        def__verdict(def, V_CONTROLLER, "False", "FailedToStart", kr_str_c(def->refusal));
        inactive(def, kr_str_c(def->refusal));
        return true;
    }
    def__verdict(def, V_CONTROLLER, "True", "Running", KR_S("controller is running"));
    set_text(&def->problem, KR_S(""));
    kr_sm_to(&def->sm, DEF_SERVING);
    return true;
}

/* The time for the wait that await_lag began is over: the kinds are asked for again. */
static void end_lag(struct graph_def *def, const struct graph_env *env)
{
    if (def->lag_ms == 0 || env->now_ms < def->lag_ms || def->stale || def->fetch.token)
        return;
    if (def->lag_tries < GRAPH_LAG_TRIES)
        def->lag_tries++;
    def->lag_ms = 0;
    def->stale = true;
}

static uint64_t lag_wait(const struct graph_def *def, bool poll)
{
    uint64_t ms = (uint64_t)(poll ? GRAPH_POLL_MIN_MS : GRAPH_RETRY_MIN_MS) << def->lag_tries;

    return poll && ms > GRAPH_POLL_MAX_MS ? GRAPH_POLL_MAX_MS : ms;
}

/* A server publishes a kind in discovery and OpenAPI a moment after its CRD's last event. So a kind
 * that is still missing then is asked for again, a few times with growing waits. A sidecar, which no
 * event tells of a CRD, asks for as long as it cannot serve. */
static void await_lag(struct graph_def *def, const struct graph_env *env, struct graph_plan *plan)
{
    bool poll = env->sidecar && def->sm.cur == DEF_INACTIVE;
    bool missed = def->lacking || (poll && def->shape);

    if (def->stale || def->fetch.token)
        return;
    if (!missed || (!poll && (!def->expected || def->lag_tries == GRAPH_LAG_TRIES))) {
        def->expected = false;
        def->lag_ms = 0;
        def->lag_tries = missed ? def->lag_tries : 0;
        return;
    }
    if (def->lag_ms == 0)
        def->lag_ms = env->now_ms + lag_wait(def, poll);
    if (plan->wake_ms > def->lag_ms)
        plan->wake_ms = def->lag_ms;
}

/* One pass from SEEN until a state waits or the pass has ended. */
static void pass(struct graph_def *def, const struct graph_env *env, struct graph_plan *plan)
{
    typedef bool state_fn(struct graph_def *, const struct graph_env *, struct graph_plan *);
    static state_fn *const fns[DEF_STATES_N] = {
        [DEF_SEEN] = in_seen,   [DEF_SCHEMAS] = in_schemas,
        [DEF_BUILD] = in_build, [DEF_REVISION] = in_revision,
        [DEF_CRD] = in_crd,     [DEF_ESTABLISHED] = in_established,
    };

    static const char *const waits[DEF_STATES_N] = {
        [DEF_SEEN] = "waits for the lists of revisions and CRDs",
        [DEF_SCHEMAS] = "waits for schemas",
        [DEF_REVISION] = "waits for its revision to be written",
        [DEF_CRD] = "waits for its CRD",
        [DEF_ESTABLISHED] = "waits for its instances to be watched",
    };

    end_lag(def, env);
    kr_arena_reset(&def->texts);
    memset(def->verdicts, 0, sizeof(def->verdicts));
    def->verified = (struct def_verdict){0};
    def->target = NULL;
    def->order = ORDER_KEEP;
    if (def->sm.cur != DEF_SEEN)
        kr_sm_to(&def->sm, DEF_SEEN);
    while (fns[def->sm.cur] && fns[def->sm.cur](def, env, plan))
        ;
    if (def->sm.cur == DEF_SERVING)
        retain(def, env, plan);
    else if (def->sm.cur != DEF_INACTIVE)
        set_text(&def->problem, kr_str_c(waits[def->sm.cur]));
    await_lag(def, env, plan);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void unserve(struct graph_def *def, struct graph_plan *plan)
{
    struct graph_rev *rev = def->serving ? def->serving : def->offered;
    struct graph_action *action;

    if (!rev)
        return;
    action = graph_plan_add(plan, GRAPH_A_UNSERVE);
    action->ref = kr_ref_copy(plan->a, instances_of(rev));
    action->gvk = kr_gvk_copy(plan->a, rev->instance_gvk);
    graph_rev_drop(def->serving);
    graph_rev_drop(def->offered);
    def->serving = def->offered = NULL;
}

/* Is the CRD out of the way? Deletes it where that is wanted and ours to do. */
static bool crd_cleared(struct graph_def *def, const struct graph_env *env, struct graph_plan *plan)
{
    struct graph_action *action;

    if (!env->crd_deletion)
        return true;
    if (!def->crd_known)
        return false;
    if (!def__crd_ours(def))
        return true;
    if (!is_terminating(def->crd.v) && def__may_write(&def->crd.write, env, plan)) {
        action = def__write(def, &def->crd.write, GRAPH_A_DELETE, plan);
        action->ref = def__ref("apiextensions.k8s.io", "customresourcedefinitions", def->crd_name);
        action->ref.gvr.version = KR_S("v1");
        action->uid = kr_at_str(def->crd.v, "metadata.uid");
    }
    if (def->crd.write.error)
        set_text(&def->problem, def__text(def,
                                          "failed to cleanup CRD " KR_FMT
                                          ": error deleting CRD: failed to delete CRD: %s",
                                          KR_ARG(def->crd_name), def->crd.write.error));
    return false;
}

static void deleting(struct graph_def *def, const struct graph_env *env, struct graph_plan *plan)
{
    kr_arena_reset(&def->texts);
    if (def->sm.cur != DEF_DELETING)
        kr_sm_to(&def->sm, DEF_DELETING);
    def->target = NULL;
    def->active = false;
    set_text(&def->problem, KR_S("is being deleted"));
    unserve(def, plan);
    tend_revisions(def, env, plan);
    if (crd_cleared(def, env, plan))
        put_finalizer(def, &def->rgd,
                      def__ref(GRAPH_GROUP, "resourcegraphdefinitions", kr_str_c(def->name)), false,
                      env, plan);
}

/* There is no object. Revisions that go still hold our finalizer. */
static void gone(struct graph_def *def, const struct graph_env *env, struct graph_plan *plan)
{
    if (def->sm.cur != DEF_GONE)
        kr_sm_to(&def->sm, DEF_GONE);
    def->target = NULL;
    def->active = false;
    set_text(&def->problem, KR_S("does not exist"));
    unserve(def, plan);
    graph_rev_drop(def->built);
    def->built = NULL;
    if (!env->sidecar)
        tend_revisions(def, env, plan);
    if (!def->revisions && (def->revisions_known || env->sidecar))
        graph_plan_add(plan, GRAPH_A_GONE)->ref =
            def__ref(GRAPH_GROUP, "resourcegraphdefinitions", kr_str_c(def->name));
}

void graph_def_step(struct graph_def *def, const struct graph_env *env, struct graph_plan *plan)
{
    def->again = false;
    def->sidecar = env->sidecar;
    if (def->rgd.v.kind == KR_NONE) {
        gone(def, env, plan);
        return;
    }
    if (is_terminating(def->rgd.v)) {
        deleting(def, env, plan);
        return;
    }
    pass(def, env, plan);
    if (!env->sidecar) {
        def__revision_status(def, env, plan);
        if (def->revisions_known)
            tend_revisions(def, env, plan);
    }
    def__status(def, env, plan);
}
