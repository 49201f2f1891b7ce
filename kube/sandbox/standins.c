/* SPDX-License-Identifier: Apache-2.0 */
/* standins.c - workloads become ready, as if a cluster with nodes ran them.
 *
 * Each kind has one function that says what its status will be; it is written once some time has
 * passed since the last change of the object. No pods are made: a Deployment of the sandbox is a
 * wish that comes true. What somebody else writes into a status stays until the object changes.
 */
#include "kube/sandbox/work.h"

#include "cel/base/banned.h"

struct standin {
    const char *group, *resource;
    /* The object with the status it will have. */
    kr_val (*ready)(struct sandbox *s, struct kr_arena *a, kr_val v);
};

/* --- parts ------------------------------------------------------------------------------------ */

static kr_val condition(struct sandbox *s, struct kr_arena *a, const char *type, const char *reason,
                        const char *message)
{
    struct kr_mapb b = KR_MAPB(a);

    kr_mapb_put(&b, KR_S("type"), kr_string(kr_str_c(type)));
    kr_mapb_put(&b, KR_S("status"), KR_V_STR("True"));
    kr_mapb_put(&b, KR_S("lastTransitionTime"), sandbox__now(s, a));
    if (reason) {
        kr_mapb_put(&b, KR_S("reason"), kr_string(kr_str_c(reason)));
        kr_mapb_put(&b, KR_S("message"), kr_string(kr_str_c(message)));
    }
    return kr_mapb_done(&b);
}

/* Adds the condition if there is none of its type that holds. */
static kr_val with_condition(struct kr_arena *a, kr_val v, kr_val add)
{
    struct kr_listb list = KR_LISTB(a);

    KR_LIST_EACH (c, kr_at(v, "status.conditions")) {
        if (!kr_equal(kr_get(*c, KR_S("type")), kr_get(add, KR_S("type"))))
            kr_listb_add(&list, *c);
        else if (kr_is_str(kr_get(*c, KR_S("status")), KR_S("True")))
            return v;
    }
    kr_listb_add(&list, add);
    return kr_with(a, v, "status.conditions", kr_listb_done(&list));
}

static kr_val replicas(kr_val v)
{
    kr_val n = kr_at(v, "spec.replicas");

    return n.kind == KR_INT ? n : kr_int(1);
}

/* Sets the counts to n, where a count of none is left out. */
static kr_val with_counts(struct kr_arena *a, kr_val v, const char *const *names, size_t names_n,
                          kr_val n)
{
    for (size_t i = 0; i < names_n; i++)
        v = kr_with(a, v, names[i], n.i ? n : KR_V_NONE);
    return kr_with(a, v, "status.observedGeneration", kr_at(v, "metadata.generation"));
}

/* --- kinds ------------------------------------------------------------------------------------ */

/* The annotation that a Deployment's controller writes with the first status. */
static kr_val with_revision(struct kr_arena *a, kr_val v)
{
    static const kr_str names[] = {
        {"metadata", 8}, {"annotations", 11}, {"deployment.kubernetes.io/revision", 33}};

    if (kr_at_path(v, names, KR_N(names)).kind != KR_NONE)
        return v;
    return kr_with_path(a, v, names, KR_N(names), KR_V_STR("1"));
}

static kr_val deployment(struct sandbox *s, struct kr_arena *a, kr_val v)
{
    static const char *const counts[] = {"status.replicas", "status.updatedReplicas",
                                         "status.readyReplicas", "status.availableReplicas"};

    v = with_revision(a, v);
    v = with_counts(a, v, counts, KR_N(counts), replicas(v));
    v = kr_with(a, v, "status.unavailableReplicas", KR_V_NONE);
    v = with_condition(a, v,
                       condition(s, a, "Available", "MinimumReplicasAvailable",
                                 "Deployment has minimum availability."));
    return with_condition(a, v,
                          condition(s, a, "Progressing", "NewReplicaSetAvailable",
                                    "ReplicaSet has successfully progressed."));
}

static kr_val replica_set(struct sandbox *s, struct kr_arena *a, kr_val v)
{
    static const char *const counts[] = {"status.fullyLabeledReplicas", "status.readyReplicas",
                                         "status.availableReplicas"};

    v = with_counts(a, v, counts, KR_N(counts), replicas(v));
    return kr_with(a, v, "status.replicas", replicas(v));
}

static kr_val stateful_set(struct sandbox *s, struct kr_arena *a, kr_val v)
{
    static const char *const counts[] = {"status.currentReplicas", "status.readyReplicas",
                                         "status.updatedReplicas"};

    v = with_counts(a, v, counts, KR_N(counts), replicas(v));
    v = kr_with(a, v, "status.availableReplicas", replicas(v));
    return kr_with(a, v, "status.replicas", replicas(v));
}

static kr_val daemon_set(struct sandbox *s, struct kr_arena *a, kr_val v)
{
    static const char *const counts[] = {"status.updatedNumberScheduled", "status.numberAvailable"};

    v = with_counts(a, v, counts, KR_N(counts), kr_int(1)); /* a cluster of one node */
    v = kr_with(a, v, "status.currentNumberScheduled", kr_int(1));
    v = kr_with(a, v, "status.desiredNumberScheduled", kr_int(1));
    v = kr_with(a, v, "status.numberMisscheduled", kr_int(0));
    return kr_with(a, v, "status.numberReady", kr_int(1));
}

static kr_val job(struct sandbox *s, struct kr_arena *a, kr_val v)
{
    kr_val n = kr_at(v, "spec.completions");

    if (kr_is_true(kr_at(v, "spec.suspend")))
        return v;
    if (kr_at(v, "status.startTime").kind == KR_NONE)
        v = kr_with(a, v, "status.startTime", sandbox__now(s, a));
    if (kr_at(v, "status.completionTime").kind == KR_NONE)
        v = kr_with(a, v, "status.completionTime", sandbox__now(s, a));
    v = kr_with(a, v, "status.succeeded", n.kind == KR_INT ? n : kr_int(1));
    v = with_condition(a, v,
                       condition(s, a, "SuccessCriteriaMet", "CompletionsReached",
                                 "Reached expected number of succeeded pods"));
    return with_condition(a, v,
                          condition(s, a, "Complete", "CompletionsReached",
                                    "Reached expected number of succeeded pods"));
}

static kr_val pod(struct sandbox *s, struct kr_arena *a, kr_val v)
{
    static const char *const conditions[] = {"PodScheduled", "Initialized", "ContainersReady",
                                             "Ready"};
    struct kr_listb statuses = KR_LISTB(a);

    if (kr_at_str(v, "spec.nodeName").n == 0)
        v = kr_with(a, v, "spec.nodeName", KR_V_STR("sandbox"));
    KR_LIST_EACH (c, kr_at(v, "spec.containers")) {
        kr_val one = kr_map_sorted(NULL, 0);

        one = kr_with(a, one, "name", kr_get(*c, KR_S("name")));
        one = kr_with(a, one, "image", kr_get(*c, KR_S("image")));
        one = kr_with(a, one, "imageID", KR_V_STR(""));
        one = kr_with(a, one, "ready", kr_bool(true));
        one = kr_with(a, one, "started", kr_bool(true));
        one = kr_with(a, one, "restartCount", kr_int(0));
        one = kr_with(a, one, "state.running.startedAt", kr_at(v, "metadata.creationTimestamp"));
        kr_listb_add(&statuses, one);
    }
    for (size_t i = 0; i < KR_N(conditions); i++)
        v = with_condition(a, v, condition(s, a, conditions[i], NULL, NULL));
    v = kr_with(a, v, "status.containerStatuses", kr_listb_done(&statuses));
    if (kr_at(v, "status.startTime").kind == KR_NONE)
        v = kr_with(a, v, "status.startTime", sandbox__now(s, a));
    v = kr_with(a, v, "status.podIP", KR_V_STR("10.244.0.1"));
    return kr_with(a, v, "status.phase", KR_V_STR("Running"));
}

static kr_val service(struct sandbox *s, struct kr_arena *a, kr_val v)
{
    struct kr_listb list = KR_LISTB(a);

    if (!kr_is_str(kr_at(v, "spec.type"), KR_S("LoadBalancer")) ||
        kr_at(v, "status.loadBalancer.ingress").n > 0)
        return v;
    kr_listb_add(&list, kr_with(a, kr_map_sorted(NULL, 0), "ip", KR_V_STR("127.0.0.1")));
    return kr_with(a, v, "status.loadBalancer.ingress", kr_listb_done(&list));
}

static kr_val claim(struct sandbox *s, struct kr_arena *a, kr_val v)
{
    if (kr_at_str(v, "spec.volumeName").n == 0)
        v = kr_with(a, v, "spec.volumeName",
                    kr_string(kr_fmt(a, "pvc-" KR_FMT, KR_ARG(kr_at_str(v, "metadata.uid")))));
    v = kr_with(a, v, "status.phase", KR_V_STR("Bound"));
    v = kr_with(a, v, "status.accessModes", kr_at(v, "spec.accessModes"));
    return kr_with(a, v, "status.capacity.storage", kr_at(v, "spec.resources.requests.storage"));
}

/* Keeps the replicas of its target within its limits, as an autoscaler without metrics does. */
static kr_val autoscaler(struct sandbox *s, struct kr_arena *a, kr_val v)
{
    kr_val min = kr_at(v, "spec.minReplicas"), max = kr_at(v, "spec.maxReplicas"), old, next, n;
    struct sandbox_target t = {.ns = kr_at_str(v, "metadata.namespace"),
                               .name = kr_at_str(v, "spec.scaleTargetRef.name")};
    struct sandbox_obj *o;
    kr_str group, version;

    if (!kr_api_version(kr_at_str(v, "spec.scaleTargetRef.apiVersion"), &group, &version))
        return v;
    t.type = sandbox__type_of_kind(s, group, kr_at_str(v, "spec.scaleTargetRef.kind"));
    o = t.type ? sandbox__find(t.type, t.ns, t.name) : NULL;
    if (o == NULL || !t.type->versions[t.type->storage].scale || max.kind != KR_INT)
        return v;
    t.version = &t.type->versions[t.type->storage];
    old = sandbox__value(a, t.type, t.version, o);
    n = kr_at(sandbox__scale_of(a, &t, old), "spec.replicas");
    if (min.kind == KR_INT && n.i < min.i)
        n = min;
    if (n.i > max.i)
        n = max;
    next = sandbox__with_scale(a, &t, old, n.i);
    if (!kr_equal(old, next))
        sandbox__put(s, t.type, o, sandbox__filled(s, a, &t, old, next));
    v = kr_with(a, v, "status.currentReplicas", n);
    return kr_with(a, v, "status.desiredReplicas", n);
}

static const struct standin standins[] = {
    {"apps", "deployments", deployment},
    {"apps", "replicasets", replica_set},
    {"apps", "statefulsets", stateful_set},
    {"apps", "daemonsets", daemon_set},
    {"batch", "jobs", job},
    {"", "pods", pod},
    {"", "services", service},
    {"", "persistentvolumeclaims", claim},
    {"autoscaling", "horizontalpodautoscalers", autoscaler},
};

static const struct standin *standin_of(const struct sandbox_type *t)
{
    for (size_t i = 0; i < KR_N(standins); i++) {
        if (sandbox__is(t, standins[i].group, standins[i].resource))
            return &standins[i];
    }
    return NULL;
}

/* --- when ------------------------------------------------------------------------------------- */

/* Autoscalers of a namespace look at their targets again. */
static void wake_autoscalers(struct sandbox *s, kr_str ns)
{
    struct sandbox_type *t =
        sandbox__type(s, KR_S("autoscaling"), KR_S("horizontalpodautoscalers"));

    for (struct sandbox_node *n = sandbox__tree_seek(&t->objects, ns); n;
         n = sandbox__node_next(n)) {
        struct sandbox_obj *o = sandbox__node_obj(n);

        if (kr_str_eq(sandbox__obj_namespace(o), ns))
            sandbox__later(s, SANDBOX_TASK_STANDIN, t, sandbox__obj_key(o), s->opts.ready_after_ms);
    }
}

void sandbox__standins_changed(struct sandbox *s, struct sandbox_type *t,
                               enum sandbox_change change, struct sandbox_obj *now, kr_val next)
{
    kr_val generation = kr_at(next, "metadata.generation"),
           observed = kr_at(next, "status.observedGeneration");

    if (change == SANDBOX_DELETED || now->terminating || standin_of(t) == NULL)
        return;
    if (sandbox__is(t, "apps", "deployments") || sandbox__is(t, "apps", "statefulsets"))
        wake_autoscalers(s, sandbox__obj_namespace(now));
    if (change == SANDBOX_MODIFIED && generation.kind == KR_INT && kr_equal(generation, observed))
        return; /* a write of the status alone, by whomever */
    sandbox__later(s, SANDBOX_TASK_STANDIN, t, sandbox__obj_key(now), s->opts.ready_after_ms);
}

void sandbox__standin_task(struct sandbox *s, struct sandbox_type *t, struct sandbox_obj *o)
{
    KR_AUTO(kr_arena) a = {0};
    kr_val v = sandbox__value(&a, t, NULL, o), next;

    if (o->terminating)
        return;
    next = standin_of(t)->ready(s, &a, v);
    if (!kr_equal(v, next))
        sandbox__put(s, t, o, next);
}
