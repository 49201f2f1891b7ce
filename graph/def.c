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
const struct kr_sm_state def__states[DEF_STATES_N] = {
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

void def__set_text(char **to, kr_str text) /* text may be the old one */
{
    char *copy = text.n ? kr_cstrdup(text) : NULL;

    kr_free(*to);
    *to = copy;
}

int64_t def__int_at(kr_val v, const char *path)
{
    kr_val at = kr_at(v, path);

    return at.kind == KR_INT ? at.i : 0;
}

bool def__has_finalizer(kr_val object)
{
    kr_val list = kr_at(object, "metadata.finalizers");

    KR_LIST_EACH (it, list) {
        if (kr_is_str(*it, KR_S(GRAPH_FINALIZER)))
            return true;
    }
    return false;
}

bool def__is_terminating(kr_val object)
{
    return kr_at(object, "metadata.deletionTimestamp").kind == KR_STRING;
}

/* --- the states ------------------------------------------------------------------------------- */

/* Ends the pass: something is wrong, and it has been said. */
static void inactive(struct graph_def *def, kr_str text)
{
    def__set_text(&def->problem, text);
    kr_sm_to(&def->sm, DEF_INACTIVE);
}

void def__reject(struct graph_def *def, kr_str text)
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
        def__reject(def, why);
        return;
    }
    text = def__text(def, "latest graph revision %lld failed compilation", (long long)r->number);
    def->verified = (struct def_verdict){
        "False", "InvalidGraph",
        def__text(def, "failed to compile graph revision \"" KR_FMT "\": " KR_FMT, KR_ARG(r->name),
                  KR_ARG(why))};
    def__verdict(def, V_REVISIONS, "False", "Failed", text);
    def__reject(def, def__text(def, KR_FMT ": " KR_FMT, KR_ARG(text), KR_ARG(why)));
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
    struct def_revision *r = def__highest_live(def);
    uint64_t digest = kr_digest(spec);
    KR_AUTO(kr_arena) a = {0};
    struct kr_err err = KR_ERR_NONE;
    kr_str hash;

    if (!def->hash[0] || def->hashed != digest) {
        if (graph_spec_hash(spec, &a, &hash, &err) < 0) {
            def__reject(def, def__text(def, "%s", err.text));
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
        def__put_finalizer(def, &def->rgd,
                           def__ref(GRAPH_GROUP, "resourcegraphdefinitions", kr_str_c(def->name)),
                           true, env, plan);
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
        def__write_failed(&def->fetch, false, kr_str_c(def->fetch.error), env->now_ms);
    }
    if (!def__may_write(&def->fetch, env, plan)) {
        if (known_outcome(def))
            return true;
        def__reject(def, def__text(def, "failed to fetch schemas: %s",
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
    def__set_text(&def->failure, KR_S(""));
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
    def__set_text(&def->failure, text.full ? kr_err_str(err) : kr_buf_view(&text));
    def__set_text(&def->place, kr_str_c(err->at));
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
            def__set_text(&def->shape, def__crd_shape(&a, rev, def->kinds));
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

static bool in_revision(struct graph_def *def, const struct graph_env *env, struct graph_plan *plan)
{
    struct def_revision *r = def->target;

    def__verdict(def, V_ACCEPTED, "True", "Valid", KR_S("resource graph and schema are valid"));
    if (env->sidecar) {
        kr_sm_to(&def->sm, DEF_CRD);
        return true;
    }
    if (!r)
        return def__issue(def, env, plan);
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
    def__set_text(&def->refusal, KR_S(""));
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
        if (def__is_terminating(def->crd.v) && def__crd_ours(def))
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
    def__set_text(&def->problem, KR_S(""));
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
        def__retain(def, env, plan);
    else if (def->sm.cur != DEF_INACTIVE)
        def__set_text(&def->problem, kr_str_c(waits[def->sm.cur]));
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

/* Is the CRD out of the way? Deletes it where that is wanted and ours to do; says what it waits for. */
static bool crd_cleared(struct graph_def *def, const struct graph_env *env, struct graph_plan *plan)
{
    struct graph_action *action;

    if (!env->crd_deletion || (def->crd_known && !def__crd_ours(def)))
        return true;
    def__verdict(def, V_KIND, "Unknown", "WaitingForKind",
                 def__text(def, "waiting for CRD " KR_FMT " and its instances to be deleted",
                           KR_ARG(def->crd_name)));
    if (!def->crd_known)
        return false;
    if (!def__is_terminating(def->crd.v) && def__may_write(&def->crd.write, env, plan)) {
        action = def__write(def, &def->crd.write, GRAPH_A_DELETE, plan);
        action->ref = def__ref("apiextensions.k8s.io", "customresourcedefinitions", def->crd_name);
        action->ref.gvr.version = KR_S("v1");
        action->uid = kr_at_str(def->crd.v, "metadata.uid");
    }
    if (def->crd.write.error)
        def__verdict(def, V_KIND, "False", "Failed",
                     def__text(def,
                               "failed to cleanup CRD " KR_FMT
                               ": error deleting CRD: failed to delete CRD: %s",
                               KR_ARG(def->crd_name), def->crd.write.error));
    def__set_text(&def->problem, def->verdicts[V_KIND].message);
    return false;
}

static void deleting(struct graph_def *def, const struct graph_env *env, struct graph_plan *plan)
{
    kr_arena_reset(&def->texts);
    if (def->sm.cur != DEF_DELETING)
        kr_sm_to(&def->sm, DEF_DELETING);
    def->target = NULL;
    def->active = false;
    def__set_text(&def->problem, KR_S("is being deleted"));
    memset(def->verdicts, 0, sizeof(def->verdicts));
    unserve(def, plan);
    def__tend_revisions(def, env, plan);
    if (crd_cleared(def, env, plan))
        def__put_finalizer(def, &def->rgd,
                           def__ref(GRAPH_GROUP, "resourcegraphdefinitions", kr_str_c(def->name)),
                           false, env, plan);
    else
        def__status(def, env, plan);
}

/* There is no object. Revisions that go still hold our finalizer. */
static void gone(struct graph_def *def, const struct graph_env *env, struct graph_plan *plan)
{
    if (def->sm.cur != DEF_GONE)
        kr_sm_to(&def->sm, DEF_GONE);
    def->target = NULL;
    def->active = false;
    def__set_text(&def->problem, KR_S("does not exist"));
    unserve(def, plan);
    graph_rev_drop(def->built);
    def->built = NULL;
    if (!env->sidecar)
        def__tend_revisions(def, env, plan);
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
    if (def__is_terminating(def->rgd.v)) {
        deleting(def, env, plan);
        return;
    }
    pass(def, env, plan);
    if (!env->sidecar) {
        def__revision_status(def, env, plan);
        if (def->revisions_known)
            def__tend_revisions(def, env, plan);
    }
    def__status(def, env, plan);
}
