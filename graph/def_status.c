/* SPDX-License-Identifier: Apache-2.0 */
/* def_status.c - what a definition and its revision tell about themselves.
 *
 * A pass through the states leaves verdicts; they become conditions by kro's engine, and the status
 * that differs from what is on the wire becomes one merge patch. A pass that ends in serving or in
 * a failure is told at once; a wait is told only when it has lasted, so that a healthy creation
 * costs one status write. A condition without verdict keeps what it said before.
 *
 * Source: kro:pkg/controller/resourcegraphdefinition, graphrevision; reference rgd-graph 1.3
 * to 1.5, 7.4.
 */
#include "graph/def.h"

#include "cel/base/banned.h"

static const char *const rgd_types[] = {GRAPH_C_READY, GRAPH_C_REVISIONS,  GRAPH_C_ACCEPTED,
                                        GRAPH_C_KIND,  GRAPH_C_CONTROLLER, NULL};
static const char *const revision_types[] = {GRAPH_C_READY, GRAPH_C_VERIFIED, NULL};

/* The object without conditions of a type that no longer exists. */
static kr_val without_obsolete(struct kr_arena *a, kr_val object)
{
    kr_val conditions = kr_at(object, "status.conditions");
    struct kr_listb kept = KR_LISTB(a);

    KR_LIST_EACH (it, conditions) {
        if (!kr_is_str(kr_get(*it, KR_S("type")), KR_S("ResourceGraphAccepted")))
            kr_listb_add(&kept, *it);
    }
    if (kept.n == conditions.n)
        return object;
    return kr_with(a, object, "status.conditions", kr_listb_done(&kept));
}

/* Adds the member to the patch when it differs from what is there; an absent one is null. */
static void patch_member(struct kr_mapb *patch, kr_val status, const char *name, kr_val v)
{
    kr_val old = kr_get(status, kr_str_c(name));
    bool empty = v.kind == KR_NONE || (v.kind == KR_LIST && v.n == 0);

    if (empty ? old.kind == KR_NONE : kr_equal(old, v))
        return;
    kr_mapb_put(patch, kr_str_c(name), empty ? KR_V_NULL : v);
}

static bool has_dependency(kr_val list, kr_val dependency)
{
    KR_LIST_EACH (it, list) {
        if (kr_equal(*it, dependency))
            return true;
    }
    return false;
}

/* The same nodes with the same dependencies? kro lists those of a node in the order of a Go map. */
static bool same_resources(kr_val a, kr_val b)
{
    if (a.kind != KR_LIST || b.kind != KR_LIST || a.n != b.n)
        return false;
    for (uint32_t i = 0; i < a.n; i++) {
        kr_val of_a = kr_get(a.list[i], KR_S("dependencies"));
        kr_val of_b = kr_get(b.list[i], KR_S("dependencies"));

        if (!kr_equal(kr_get(a.list[i], KR_S("id")), kr_get(b.list[i], KR_S("id"))) ||
            of_a.n != of_b.n)
            return false;
        KR_LIST_EACH (it, of_a) {
            if (!has_dependency(of_b, *it))
                return false;
        }
    }
    return true;
}

static void patch_resources(struct kr_mapb *patch, kr_val status, kr_val v)
{
    if (!same_resources(kr_get(status, KR_S("resources")), v))
        patch_member(patch, status, "resources", v);
}

static kr_val status_body(struct kr_arena *a, struct kr_mapb *patch)
{
    struct kr_mapb body = KR_MAPB(a);

    kr_mapb_put(&body, KR_S("status"), kr_mapb_done(patch));
    return kr_mapb_done(&body);
}

static bool is_true(const struct graph_conds *c, const char *type)
{
    const struct graph_cond *x = graph__conds_get(c, type);

    return x && kr_str_is(x->status, "True");
}

/* The highest number ever issued, as far as is known. */
static kr_val last_issued(const struct graph_def *def)
{
    kr_val old = kr_at(def->rgd.v, "status.lastIssuedRevision");
    int64_t n = old.kind == KR_INT ? old.i : 0;

    for (const struct def_revision *r = def->revisions; r; r = r->next) {
        if (!r->terminating && r->number > n)
            n = r->number;
    }
    return n > 0 ? kr_int(n) : KR_V_NONE;
}

/* Is it time to tell? A wait is told when it has lasted. */
static bool due(struct graph_def *def, const struct graph_env *env, struct graph_plan *plan)
{
    uint64_t at;

    if (def->sm.cur == DEF_SERVING || def->sm.cur == DEF_INACTIVE) {
        def->waiting_ms = 0;
        return true;
    }
    if (!def->waiting_ms)
        def->waiting_ms = env->now_ms ? env->now_ms : 1;
    at = def->waiting_ms + GRAPH_STATUS_MIN_MS;
    if (env->now_ms >= at)
        return true;
    if (plan->wake_ms > at)
        plan->wake_ms = at;
    return false;
}

void def__status(struct graph_def *def, const struct graph_env *env, struct graph_plan *plan)
{
    static const char *const of_verdict[V_N] = {GRAPH_C_REVISIONS, GRAPH_C_ACCEPTED, GRAPH_C_KIND,
                                                GRAPH_C_CONTROLLER};
    kr_val status = kr_at(def->rgd.v, "status");
    struct kr_mapb patch = KR_MAPB(plan->a);
    struct graph_conds c;
    struct graph_action *action;

    graph__conds_load(&c, plan->a, rgd_types, without_obsolete(plan->a, def->rgd.v), env->wall_s);
    for (int i = 0; i < V_N; i++) {
        if (def->verdicts[i].status)
            graph__conds_set(&c, of_verdict[i], def->verdicts[i].status, def->verdicts[i].reason,
                             def->verdicts[i].message);
    }
    def->active = is_true(&c, GRAPH_C_ACCEPTED) && is_true(&c, GRAPH_C_KIND) &&
                  is_true(&c, GRAPH_C_CONTROLLER);
    if (env->sidecar)
        def->active = def->sm.cur == DEF_SERVING;
    if (env->sidecar || !due(def, env, plan))
        return;
    patch_member(&patch, status, "conditions", graph__conds_value(&c));
    patch_member(&patch, status, "state", kr_string(kr_str_c(graph_def_state(def))));
    patch_member(&patch, status, "lastIssuedRevision", last_issued(def));
    if (def->order != ORDER_KEEP) {
        bool built = def->order == ORDER_BUILT;

        patch_member(&patch, status, "topologicalOrder",
                     built ? def->built->order_status : KR_V_NONE);
        patch_resources(&patch, status, built ? def->built->resources_status : KR_V_NONE);
    }
    if (patch.n == 0 || !def__may_write(&def->rgd.write, env, plan))
        return;
    action = def__write(def, &def->rgd.write, GRAPH_A_STATUS_PATCH, plan);
    action->ref = def__ref(GRAPH_GROUP, "resourcegraphdefinitions", kr_str_c(def->name));
    action->body = status_body(plan->a, &patch);
}

void def__revision_status(struct graph_def *def, const struct graph_env *env,
                          struct graph_plan *plan)
{
    struct def_revision *r = def->target;
    kr_val status = r ? kr_at(r->object.v, "status") : KR_V_NONE;
    bool good;
    struct kr_mapb patch = KR_MAPB(plan->a);
    struct graph_conds c;
    struct graph_action *action;

    if (!r || !def->verified.status)
        return;
    good = strcmp(def->verified.status, "True") == 0;
    graph__conds_load(&c, plan->a, revision_types, r->object.v, env->wall_s);
    graph__conds_set(&c, GRAPH_C_VERIFIED, def->verified.status, def->verified.reason,
                     def->verified.message);
    patch_member(&patch, status, "conditions", graph__conds_value(&c));
    patch_member(&patch, status, "topologicalOrder", good ? def->built->order_status : KR_V_NONE);
    patch_resources(&patch, status, good ? def->built->resources_status : KR_V_NONE);
    if (patch.n == 0 || !def__may_write(&r->object.write, env, plan))
        return;
    action = def__write(def, &r->object.write, GRAPH_A_STATUS_PATCH, plan);
    action->ref = def__ref(GRAPH_GROUP_INTERNAL, "graphrevisions", r->name);
    action->body = status_body(plan->a, &patch);
}
