/* SPDX-License-Identifier: Apache-2.0 */
/* prepare.c - what the server fills into an object: names, times, generation, and the defaults of
 * built-in kinds that are written in Go and stand in no schema.
 *
 * The defaults are a table: kind, where, what. In a place, "[]" stands for each item of a list, and
 * POD for the places of pod specs. A default whose parent is not there is none.
 *
 * Source: kubernetes pkg/apis/{core,apps,batch,...}/v1/defaults.go, pkg/registry/.../strategy.go.
 */
#include <inttypes.h>

#include "cel/base/digest.h"
#include "cel/base/json.h"
#include "kube/sandbox/internal.h"
#include "kube/sandbox/shapes.h"

#include "cel/base/banned.h"

enum { PLACE_MAX = 16 };

struct row {
    const char *kind;  /* of a built-in type; "Pod*": every pod spec; "New X": not the writer's */
    const char *place; /* of the parent, "" the object itself */
    const char *name;
    const char *value; /* JSON */
};

/* clang-format off */
static const struct row rows[] = {
    {"Deployment", "spec", "progressDeadlineSeconds", "600"},
    {"Deployment", "spec", "replicas", "1"},
    {"Deployment", "spec", "revisionHistoryLimit", "10"},
    {"Deployment", "spec", "strategy", "{\"type\":\"RollingUpdate\"}"},
    {"Deployment", "spec.strategy", "type", "\"RollingUpdate\""},
    {"StatefulSet", "spec", "replicas", "1"},
    {"StatefulSet", "spec", "revisionHistoryLimit", "10"},
    {"StatefulSet", "spec", "podManagementPolicy", "\"OrderedReady\""},
    {"StatefulSet", "spec", "serviceName", "\"\""},
    {"StatefulSet", "spec", "updateStrategy", "{\"rollingUpdate\":{\"partition\":0},\"type\":\"RollingUpdate\"}"},
    {"StatefulSet", "spec", "persistentVolumeClaimRetentionPolicy", "{\"whenDeleted\":\"Retain\",\"whenScaled\":\"Retain\"}"},
    {"StatefulSet", "spec.volumeClaimTemplates.[].spec", "volumeMode", "\"Filesystem\""},
    {"DaemonSet", "spec", "revisionHistoryLimit", "10"},
    {"DaemonSet", "spec", "updateStrategy", "{\"rollingUpdate\":{\"maxSurge\":0,\"maxUnavailable\":1},\"type\":\"RollingUpdate\"}"},
    {"ReplicaSet", "spec", "replicas", "1"},
    {"Job", "spec", "backoffLimit", "6"},
    {"Job", "spec", "completionMode", "\"NonIndexed\""},
    {"Job", "spec", "completions", "1"},
    {"Job", "spec", "manualSelector", "false"},
    {"Job", "spec", "parallelism", "1"},
    {"Job", "spec", "podReplacementPolicy", "\"TerminatingOrFailed\""},
    {"Job", "spec", "suspend", "false"},
    {"CronJob", "spec", "concurrencyPolicy", "\"Allow\""},
    {"CronJob", "spec", "failedJobsHistoryLimit", "1"},
    {"CronJob", "spec", "successfulJobsHistoryLimit", "3"},
    {"CronJob", "spec", "suspend", "false"},
    {"Service", "spec", "type", "\"ClusterIP\""},
    {"Service", "spec", "sessionAffinity", "\"None\""},
    {"Service", "spec.ports.[]", "protocol", "\"TCP\""},
    {"Secret", "", "type", "\"Opaque\""},
    {"PersistentVolumeClaim", "spec", "volumeMode", "\"Filesystem\""},
    {"New PersistentVolumeClaim", "", "status", "{\"phase\":\"Pending\"}"},
    {"PersistentVolume", "spec", "persistentVolumeReclaimPolicy", "\"Retain\""},
    {"PersistentVolume", "spec", "volumeMode", "\"Filesystem\""},
    {"New PersistentVolume", "", "status", "{\"phase\":\"Pending\"}"},
    {"New Namespace", "", "spec", "{}"},
    {"New Namespace", "spec", "finalizers", "[\"kubernetes\"]"},
    {"New Namespace", "", "status", "{\"phase\":\"Active\"}"},
    {"HorizontalPodAutoscaler", "spec", "minReplicas", "1"},
    {"NetworkPolicy", "spec", "policyTypes", "[\"Ingress\"]"},
    {"NetworkPolicy", "spec", "podSelector", "{}"},
    {"NetworkPolicy", "spec.ingress.[].ports.[]", "protocol", "\"TCP\""},
    {"RoleBinding", "roleRef", "apiGroup", "\"rbac.authorization.k8s.io\""},
    {"ClusterRoleBinding", "roleRef", "apiGroup", "\"rbac.authorization.k8s.io\""},
    {"Endpoints", "subsets.[].ports.[]", "protocol", "\"TCP\""},
    {"StorageClass", "", "reclaimPolicy", "\"Delete\""},
    {"StorageClass", "", "volumeBindingMode", "\"Immediate\""},
    {"CustomResourceDefinition", "spec", "conversion", "{\"strategy\":\"None\"}"},
    {"ValidatingAdmissionPolicy", "spec", "failurePolicy", "\"Fail\""},
    {"ValidatingAdmissionPolicy", "spec.matchConstraints", "matchPolicy", "\"Equivalent\""},
    {"ValidatingAdmissionPolicy", "spec.matchConstraints", "namespaceSelector", "{}"},
    {"ValidatingAdmissionPolicy", "spec.matchConstraints", "objectSelector", "{}"},
    {"ValidatingAdmissionPolicy", "spec.matchConstraints.resourceRules.[]", "scope", "\"*\""},
    {"Pod", "spec", "enableServiceLinks", "true"},
    {"New Pod", "", "status", "{\"phase\":\"Pending\"}"},
    {"Pod*", "", "dnsPolicy", "\"ClusterFirst\""},
    {"Pod*", "", "restartPolicy", "\"Always\""},
    {"Pod*", "", "schedulerName", "\"default-scheduler\""},
    {"Pod*", "", "securityContext", "{}"},
    {"Pod*", "", "terminationGracePeriodSeconds", "30"},
    {"Pod*", "volumes.[].configMap", "defaultMode", "420"},
    {"Pod*", "volumes.[].secret", "defaultMode", "420"},
    {"Pod*", "volumes.[].downwardAPI", "defaultMode", "420"},
    {"Pod*", "volumes.[].projected", "defaultMode", "420"},
    {"Pod*", "volumes.[].hostPath", "type", "\"\""},
    {"Container*", "", "resources", "{}"},
    {"Container*", "", "terminationMessagePath", "\"/dev/termination-log\""},
    {"Container*", "", "terminationMessagePolicy", "\"File\""},
    {"Container*", "ports.[]", "protocol", "\"TCP\""},
    {"Container*", "env.[].valueFrom.fieldRef", "apiVersion", "\"v1\""},
    {"Probe*", "", "failureThreshold", "3"},
    {"Probe*", "", "periodSeconds", "10"},
    {"Probe*", "", "successThreshold", "1"},
    {"Probe*", "", "timeoutSeconds", "1"},
    {"Probe*", "httpGet", "path", "\"/\""},
    {"Probe*", "httpGet", "scheme", "\"HTTP\""},
};

static const struct {
    const char *kind, *place;
} pod_specs[] = {
    {"Pod", "spec"}, {"PodTemplate", "template.spec"}, {"ReplicationController", "spec.template.spec"},
    {"Deployment", "spec.template.spec"}, {"StatefulSet", "spec.template.spec"},
    {"DaemonSet", "spec.template.spec"}, {"ReplicaSet", "spec.template.spec"},
    {"Job", "spec.template.spec"}, {"CronJob", "spec.jobTemplate.spec.template.spec"},
};

/* Kinds whose objects count their specs. */
static const char *const counted[] = {
    "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Ingress",
    "NetworkPolicy", "PodDisruptionBudget", "CustomResourceDefinition", "Pod",
    "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "PriorityClass", "FlowSchema",
    "PriorityLevelConfiguration", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration",
    "ReplicationController", "EndpointSlice",
};
/* clang-format on */

/* --- defaults --------------------------------------------------------------------------------- */

typedef kr_val change_fn(struct sandbox *s, struct kr_arena *a, kr_val v, const void *arg);

/* Changes each value at the place, where it is a map; the rest is shared. */
static kr_val at_place(struct sandbox *s, struct kr_arena *a, kr_val v, kr_str place, change_fn *fn,
                       const void *arg)
{
    kr_str name;

    if (place.n == 0)
        return v.kind == KR_MAP ? fn(s, a, v, arg) : v;
    name = kr_str_cut(&place, '.');
    if (kr_str_is(name, "[]")) {
        struct kr_listb list = KR_LISTB(a);

        if (v.kind != KR_LIST)
            return v;
        KR_LIST_EACH (item, v)
            kr_listb_add(&list, at_place(s, a, *item, place, fn, arg));
        return kr_listb_done(&list);
    }
    if (kr_get(v, name).kind == KR_NONE)
        return v;
    return kr_with_key(a, v, name, at_place(s, a, kr_get(v, name), place, fn, arg));
}

/* A Go struct without members, which is there though nobody has set it. */
static bool is_blank_status(const struct row *row, kr_val v)
{
    return strcmp(row->name, "status") == 0 && v.kind == KR_MAP && v.n == 0;
}

static kr_val set_default(struct sandbox *s, struct kr_arena *a, kr_val v, const void *arg)
{
    const struct row *row = arg;
    struct kr_err err = KR_ERR_NONE;
    kr_val value, was = kr_get(v, kr_str_c(row->name));
    int rc;

    if (was.kind != KR_NONE && was.kind != KR_NULL && !is_blank_status(row, was))
        return v;
    rc = kr_json_parse(a, kr_str_c(row->value), &value, &err);
    KR_ASSERT(rc == 0);
    return kr_with_key(a, v, kr_str_c(row->name), value);
}

static kr_val apply_rows(struct sandbox *s, struct kr_arena *a, const char *kind, kr_val v)
{
    for (size_t i = 0; i < KR_N(rows); i++) {
        if (strcmp(rows[i].kind, kind) == 0)
            v = at_place(s, a, v, kr_str_c(rows[i].place), set_default, &rows[i]);
    }
    return v;
}

static kr_val probe_defaults(struct sandbox *s, struct kr_arena *a, kr_val v, const void *arg)
{
    return apply_rows(s, a, "Probe*", v);
}

/* An image without a tag, or with the tag latest, is pulled always. */
static kr_val pull_policy(kr_str image)
{
    kr_str rest = kr_str_sub(image, (size_t)(kr_str_rchr(image, '/') + 1), image.n);
    ptrdiff_t tag = kr_str_chr(rest, ':');

    if (kr_str_chr(rest, '@') >= 0)
        return KR_V_STR("IfNotPresent");
    if (tag < 0 || kr_str_is(kr_str_sub(rest, (size_t)tag + 1, rest.n), "latest"))
        return KR_V_STR("Always");
    return KR_V_STR("IfNotPresent");
}

static kr_val container_defaults(struct sandbox *s, struct kr_arena *a, kr_val v, const void *arg)
{
    static const char *const probes[] = {"livenessProbe", "readinessProbe", "startupProbe"};

    if (kr_get(v, KR_S("imagePullPolicy")).kind == KR_NONE)
        v = kr_with_key(a, v, KR_S("imagePullPolicy"),
                        pull_policy(kr_text(kr_get(v, KR_S("image")))));
    for (size_t i = 0; i < KR_N(probes); i++)
        v = at_place(s, a, v, kr_str_c(probes[i]), probe_defaults, NULL);
    return apply_rows(s, a, "Container*", v);
}

static kr_val pod_defaults(struct sandbox *s, struct kr_arena *a, kr_val v, const void *arg)
{
    v = at_place(s, a, v, KR_S("containers.[]"), container_defaults, NULL);
    v = at_place(s, a, v, KR_S("initContainers.[]"), container_defaults, NULL);
    if (kr_get(v, KR_S("serviceAccountName")).kind == KR_STRING)
        v = kr_with_key(a, v, KR_S("serviceAccount"), kr_get(v, KR_S("serviceAccountName")));
    return apply_rows(s, a, "Pod*", v);
}

static kr_val deployment_defaults(struct kr_arena *a, kr_val v)
{
    if (kr_is_str(kr_at(v, "spec.strategy.type"), KR_S("RollingUpdate"))) {
        if (kr_at(v, "spec.strategy.rollingUpdate.maxSurge").kind == KR_NONE)
            v = kr_with(a, v, "spec.strategy.rollingUpdate.maxSurge", KR_V_STR("25%"));
        if (kr_at(v, "spec.strategy.rollingUpdate.maxUnavailable").kind == KR_NONE)
            v = kr_with(a, v, "spec.strategy.rollingUpdate.maxUnavailable", KR_V_STR("25%"));
    }
    return v;
}

/* --- kinds with rules of their own ------------------------------------------------------------ */

static kr_val secret_filled(struct kr_arena *a, kr_val v)
{
    kr_val data = kr_get(v, KR_S("data"));

    if (data.kind != KR_MAP)
        data = kr_map_sorted(NULL, 0);
    KR_MAP_EACH (p, kr_get(v, KR_S("stringData")))
        data = kr_with_key(a, data, kr_text(p->key),
                           kr_string(kr_base64_encode(a, kr_text(p->val), KR_BASE64_STD)));
    v = kr_with_key(a, v, KR_S("stringData"), KR_V_NONE);
    return data.n ? kr_with_key(a, v, KR_S("data"), data) : v;
}

static kr_val port_defaults(struct sandbox *s, struct kr_arena *a, kr_val v, const void *arg)
{
    kr_val target = kr_get(v, KR_S("targetPort"));

    if (target.kind == KR_NONE || (target.kind == KR_INT && target.i == 0))
        v = kr_with_key(a, v, KR_S("targetPort"), kr_get(v, KR_S("port")));
    return v;
}

static kr_val one(struct kr_arena *a, kr_val v)
{
    struct kr_listb list = KR_LISTB(a);

    kr_listb_add(&list, v);
    return kr_listb_done(&list);
}

static kr_val or_else(struct kr_arena *a, kr_val v, const char *place, kr_val value)
{
    return kr_at(v, place).kind == KR_NONE ? kr_with(a, v, place, value) : v;
}

static kr_val node_port(struct sandbox *s, struct kr_arena *a, kr_val v, const void *arg)
{
    kr_val has = kr_get(v, KR_S("nodePort"));

    if (has.kind == KR_INT && has.i != 0)
        return v;
    return kr_with_key(a, v, KR_S("nodePort"), kr_int(30000 + s->address_n++ % 2768));
}

static bool outside(kr_str type) /* a Service that is reached from outside */
{
    return kr_str_is(type, "NodePort") || kr_str_is(type, "LoadBalancer");
}

static kr_val service_defaults(struct sandbox *s, struct kr_arena *a, kr_val v)
{
    kr_str type = kr_at_str(v, "spec.type");

    if (kr_get(v, KR_S("spec")).kind != KR_MAP)
        return v;
    v = at_place(s, a, v, KR_S("spec.ports.[]"), port_defaults, NULL);
    if (kr_str_is(type, "ExternalName"))
        return v;
    if (outside(type))
        v = or_else(a, v, "spec.externalTrafficPolicy", KR_V_STR("Cluster"));
    if (kr_str_is(type, "LoadBalancer"))
        v = or_else(a, v, "spec.allocateLoadBalancerNodePorts", kr_bool(true));
    return or_else(a, v, "spec.internalTrafficPolicy", KR_V_STR("Cluster"));
}

static kr_val service_filled(struct sandbox *s, struct kr_arena *a, kr_val old, kr_val v)
{
    kr_str type = kr_at_str(v, "spec.type");
    kr_val ip = kr_at(old, "spec.clusterIP");

    if (kr_get(v, KR_S("spec")).kind != KR_MAP)
        return v;
    v = or_else(a, v, "status.loadBalancer", kr_map_sorted(NULL, 0));
    if (kr_str_is(type, "ExternalName"))
        return v;
    if (outside(type))
        v = at_place(s, a, v, KR_S("spec.ports.[]"), node_port, NULL);
    if (ip.kind == KR_NONE && kr_at_str(v, "spec.clusterIP").n == 0) {
        s->address_n++;
        ip = kr_string(kr_fmt(a, "10.0.%u.%u", s->address_n / 250 % 250, s->address_n % 250 + 2));
    }
    if (kr_at_str(v, "spec.clusterIP").n == 0)
        v = kr_with(a, v, "spec.clusterIP", ip);
    if (kr_at(v, "spec.clusterIPs").n == 0)
        v = kr_with(a, v, "spec.clusterIPs", one(a, kr_at(v, "spec.clusterIP")));
    v = or_else(a, v, "spec.ipFamilies", one(a, KR_V_STR("IPv4")));
    return or_else(a, v, "spec.ipFamilyPolicy", KR_V_STR("SingleStack"));
}

static void drop_same(struct kr_arena *a, kr_val was, kr_val *is, const char *const *names,
                      size_t n)
{
    for (size_t i = 0; i < n; i++) {
        kr_str name = kr_str_c(names[i]);

        if (kr_equal(kr_get(was, name), kr_get(*is, name)))
            *is = kr_with_key(a, *is, name, KR_V_NONE);
    }
}

/* Has it a port of the nodes that was not there? Then the client asks for it. */
static bool asks_for_node_port(struct kr_arena *a, kr_val was, kr_val is)
{
    KR_AUTO(kr_map) seen = {0};

    KR_LIST_EACH (port, kr_get(was, KR_S("ports"))) {
        kr_val number = kr_get(*port, KR_S("nodePort"));

        if (number.kind == KR_INT)
            (void)sandbox__is_first(&seen, kr_json_str(a, number));
    }
    KR_LIST_EACH (port, kr_get(is, KR_S("ports"))) {
        kr_val number = kr_get(*port, KR_S("nodePort"));

        if (number.kind == KR_INT && number.i != 0 &&
            sandbox__is_first(&seen, kr_json_str(a, number)))
            return true;
    }
    return false;
}

static kr_val without_node_port(struct sandbox *s, struct kr_arena *a, kr_val v, const void *arg)
{
    return kr_with_key(a, v, KR_S("nodePort"), KR_V_NONE);
}

/* What a Service of the old type has and one of the new has not goes where the client has left it. */
static kr_val service_retyped(struct sandbox *s, struct kr_arena *a, kr_val old, kr_val v)
{
    static const char *const inner[] = {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"};
    static const char *const balanced[] = {"allocateLoadBalancerNodePorts", "loadBalancerClass",
                                           "healthCheckNodePort"};
    static const char *const open[] = {"externalTrafficPolicy"};
    kr_val was = kr_get(old, KR_S("spec")), is = kr_get(v, KR_S("spec"));
    kr_str from = kr_at_str(was, "type"), to = kr_at_str(is, "type");

    if (is.kind != KR_MAP)
        return v;
    if (kr_str_is(to, "ExternalName") && !kr_str_eq(from, to))
        drop_same(a, was, &is, inner, KR_N(inner));
    if (kr_str_is(from, "LoadBalancer") && !kr_str_eq(from, to))
        drop_same(a, was, &is, balanced, KR_N(balanced));
    if (sandbox_service_is_open(was) && !sandbox_service_is_open(is))
        drop_same(a, was, &is, open, KR_N(open));
    if (outside(from) && !outside(to) && !asks_for_node_port(a, was, is))
        is = at_place(s, a, is, KR_S("ports.[]"), without_node_port, NULL);
    return kr_with_key(a, v, KR_S("spec"), is);
}

kr_val sandbox__without_filled(struct sandbox *s, struct kr_arena *a, const struct sandbox_type *t,
                               kr_val old, kr_val v)
{
    return sandbox__is(t, "", "services") && old.kind == KR_MAP ? service_retyped(s, a, old, v) : v;
}

static kr_val namespace_filled(struct kr_arena *a, kr_val v)
{
    kr_str names[] = {KR_S("metadata"), KR_S("labels"), KR_S("kubernetes.io/metadata.name")};

    return kr_with_path(a, v, names, KR_N(names), kr_at(v, "metadata.name"));
}

/* A Job's pods are found by a label that the server sets. */
static kr_val job_filled(struct kr_arena *a, kr_val v)
{
    kr_val uid = kr_at(v, "metadata.uid"), name = kr_at(v, "metadata.name");
    const char *const places[] = {"controller-uid", "batch.kubernetes.io/controller-uid",
                                  "job-name", "batch.kubernetes.io/job-name"};
    kr_str names[] = {KR_S("spec"), KR_S("template"), KR_S("metadata"), KR_S("labels"), {0}};

    if (kr_is_true(kr_at(v, "spec.manualSelector")) || kr_at(v, "spec.selector").kind != KR_NONE)
        return v;
    for (size_t i = 0; i < KR_N(places); i++) {
        names[4] = kr_str_c(places[i]);
        v = kr_with_path(a, v, names, KR_N(names), i < 2 ? uid : name);
    }
    names[1] = KR_S("selector");
    names[2] = KR_S("matchLabels");
    names[3] = KR_S("batch.kubernetes.io/controller-uid");
    return kr_with_path(a, v, names, 4, uid);
}

static kr_val definition_filled(struct kr_arena *a, kr_val v)
{
    kr_str kind = kr_at_str(v, "spec.names.kind");
    char *lower = kr_arena_bytes(a, kind.n + 1);

    for (size_t i = 0; i < kind.n; i++)
        lower[i] = (char)(kind.s[i] >= 'A' && kind.s[i] <= 'Z' ? kind.s[i] + 32 : kind.s[i]);
    if (kr_at_str(v, "spec.names.singular").n == 0)
        v = kr_with(a, v, "spec.names.singular", kr_string((kr_str){lower, kind.n}));
    if (kr_at_str(v, "spec.names.listKind").n == 0)
        v = kr_with(a, v, "spec.names.listKind", kr_string(kr_fmt(a, KR_FMT "List", KR_ARG(kind))));
    return v;
}

kr_val sandbox__defaulted(struct sandbox *s, struct kr_arena *a, const struct sandbox_type *t,
                          kr_val v)
{
    const char *kind = kr_cstr(a, t->kind);

    if (!t->builtin)
        return v;
    for (size_t i = 0; i < KR_N(pod_specs); i++) {
        if (strcmp(pod_specs[i].kind, kind) == 0)
            v = at_place(s, a, v, kr_str_c(pod_specs[i].place), pod_defaults, NULL);
    }
    v = apply_rows(s, a, kind, v);
    if (sandbox__is(t, "apps", "deployments"))
        return deployment_defaults(a, v);
    if (sandbox__is(t, "", "secrets"))
        return secret_filled(a, v);
    if (sandbox__is(t, "", "services"))
        return service_defaults(s, a, v);
    if (sandbox__is(t, "", "namespaces"))
        return namespace_filled(a, v);
    if (sandbox__is(t, "apiextensions.k8s.io", "customresourcedefinitions"))
        return definition_filled(a, v);
    return v;
}

/* What is given out, and what the first state of an object is: nobody's fields. */
static kr_val builtin_filled(struct sandbox *s, struct kr_arena *a, const struct sandbox_type *t,
                             kr_val old, kr_val v)
{
    v = apply_rows(s, a, kr_cstr(a, kr_fmt(a, "New " KR_FMT, KR_ARG(t->kind))), v);
    if (sandbox__is(t, "", "services"))
        return service_filled(s, a, old, v);
    if (sandbox__is(t, "batch", "jobs") && old.kind == KR_NONE)
        return job_filled(a, v);
    return v;
}

/* --- metadata --------------------------------------------------------------------------------- */

static bool counts(const struct sandbox_type *t)
{
    if (!t->builtin)
        return true;
    for (size_t i = 0; i < KR_N(counted); i++) {
        if (kr_str_eq(t->kind, kr_str_c(counted[i])))
            return true;
    }
    return false;
}

/* Does anything but metadata (and, where it is a resource of its own, status) differ? */
static bool spec_differs(struct kr_arena *a, const struct sandbox_version *version, kr_val x,
                         kr_val y)
{
    const char *const passed[] = {"metadata", "apiVersion", "kind",
                                  version->status ? "status" : "metadata"};

    for (size_t i = 0; i < KR_N(passed); i++) {
        x = kr_with(a, x, passed[i], KR_V_NONE);
        y = kr_with(a, y, passed[i], KR_V_NONE);
    }
    return !kr_equal(x, y);
}

static kr_val with_generation(struct kr_arena *a, const struct sandbox_target *t, kr_val old,
                              kr_val v)
{
    kr_val was = kr_at(old, "metadata.generation");
    bool annotations =
        sandbox__is(t->type, "apps", "deployments") &&
        !kr_equal(kr_at(old, "metadata.annotations"),
                  kr_at(v, "metadata.annotations")); /* count there, and only there */

    if (!counts(t->type))
        return kr_with(a, v, "metadata.generation", was);
    if (was.kind != KR_INT)
        return kr_with(a, v, "metadata.generation", kr_int(1));
    return kr_with(a, v, "metadata.generation",
                   kr_int(was.i + (spec_differs(a, t->version, old, v) || annotations)));
}

kr_val sandbox__filled(struct sandbox *s, struct kr_arena *a, const struct sandbox_target *t,
                       kr_val old, kr_val v)
{
    static const char *const kept[] = {"metadata.uid",
                                       "metadata.creationTimestamp",
                                       "metadata.deletionTimestamp",
                                       "metadata.deletionGracePeriodSeconds",
                                       "metadata.resourceVersion",
                                       "metadata.selfLink"};

    for (size_t i = 0; i < KR_N(kept); i++)
        v = kr_with(a, v, kept[i], kr_at(old, kept[i]));
    v = kr_with(a, v, "metadata.name", kr_string(t->name));
    if (t->type->namespaced)
        v = kr_with(a, v, "metadata.namespace", kr_string(t->ns));
    if (old.kind == KR_NONE) {
        v = kr_with(a, v, "metadata.uid", kr_string(sandbox__uid(s, a)));
        v = kr_with(a, v, "metadata.creationTimestamp", sandbox__now(s, a));
    }
    if (t->type->builtin)
        v = builtin_filled(s, a, t->type, old, v);
    return with_generation(a, t, old, v);
}
