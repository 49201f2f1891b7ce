/* SPDX-License-Identifier: Apache-2.0 */
/* table.c - objects as rows of a table, or as their metadata alone, when the Accept header asks so.
 *
 * Columns of built-in kinds stand in a table here, those of definitions in the definition. A column
 * that is no plain field has a function. Kinds without columns of their own show name and age.
 *
 * Source: kubernetes pkg/printers/internalversion; apiextensions tableconvertor.
 */
#include <inttypes.h>
#include <stdio.h>

#include "cel/base/time.h"
#include "kube/sandbox/internal.h"

#include "cel/base/banned.h"

typedef kr_val cell_fn(struct sandbox_call *c, kr_val object);

struct column {
    const char *kind;
    const char *name;
    const char *type, *format;
    int priority;
    const char *path; /* of the value; NULL: by fn */
    cell_fn *fn;
};

/* --- cells ------------------------------------------------------------------------------------ */

/* As duration.HumanDuration prints it. */
static kr_str human(struct kr_arena *a, int64_t s)
{
    int64_t m = s / 60, h = m / 60, d = h / 24;

    if (s < 0)
        return KR_S("0s");
    if (s < 60 * 2)
        return kr_fmt(a, "%" PRId64 "s", s);
    if (m < 10)
        return s % 60 ? kr_fmt(a, "%" PRId64 "m%" PRId64 "s", m, s % 60)
                      : kr_fmt(a, "%" PRId64 "m", m);
    if (m < 60 * 3)
        return kr_fmt(a, "%" PRId64 "m", m);
    if (h < 8)
        return m % 60 ? kr_fmt(a, "%" PRId64 "h%" PRId64 "m", h, m % 60)
                      : kr_fmt(a, "%" PRId64 "h", h);
    if (h < 48)
        return kr_fmt(a, "%" PRId64 "h", h);
    if (d < 8)
        return h % 24 ? kr_fmt(a, "%" PRId64 "d%" PRId64 "h", d, h % 24)
                      : kr_fmt(a, "%" PRId64 "d", d);
    if (d < 365 * 2)
        return kr_fmt(a, "%" PRId64 "d", d);
    return kr_fmt(a, "%" PRId64 "y", d / 365);
}

static kr_val since(struct sandbox_call *c, kr_val time)
{
    int64_t at;
    uint32_t nanos;

    if (!kr_time_parse(kr_text(time), &at, &nanos))
        return KR_V_STR("<unknown>");
    return kr_string(human(c->a, c->s->clock->ops->wall_ms(c->s->clock) / 1000 - at));
}

static kr_val age(struct sandbox_call *c, kr_val o)
{
    return since(c, kr_at(o, "metadata.creationTimestamp"));
}

static int64_t int_at(kr_val o, const char *path)
{
    kr_val v = kr_at(o, path);

    return v.kind == KR_INT ? v.i : 0;
}

static kr_val count_at(kr_val o, const char *path)
{
    return kr_int(kr_at(o, path).n);
}

static kr_val data_count(struct sandbox_call *c, kr_val o)
{
    return kr_int((int64_t)kr_at(o, "data").n + kr_at(o, "binaryData").n);
}

static kr_val ready_of_replicas(struct sandbox_call *c, kr_val o)
{
    return kr_string(kr_fmt(c->a, "%" PRId64 "/%" PRId64, int_at(o, "status.readyReplicas"),
                            int_at(o, "spec.replicas")));
}

static kr_val up_to_date(struct sandbox_call *c, kr_val o)
{
    return kr_int(int_at(o, "status.updatedReplicas"));
}

static kr_val available(struct sandbox_call *c, kr_val o)
{
    return kr_int(int_at(o, "status.availableReplicas"));
}

static kr_val desired(struct sandbox_call *c, kr_val o)
{
    return kr_int(int_at(o, "spec.replicas"));
}

static kr_val current(struct sandbox_call *c, kr_val o)
{
    return kr_int(int_at(o, "status.replicas"));
}

static kr_val ready(struct sandbox_call *c, kr_val o)
{
    return kr_int(int_at(o, "status.readyReplicas"));
}

static kr_val joined(struct sandbox_call *c, kr_val list, const char *member)
{
    KR_AUTO(kr_buf) b = KR_BUF(64 * 1024);

    KR_LIST_EACH (item, list) {
        if (b.n)
            kr_buf_chr(&b, ',');
        kr_buf_str(&b, member ? kr_at_str(*item, member) : kr_text(*item));
    }
    return kr_string(kr_strdup(c->a, kr_buf_view(&b)));
}

static kr_val containers(struct sandbox_call *c, kr_val o)
{
    return joined(c, kr_at(o, "spec.template.spec.containers"), "name");
}

static kr_val images(struct sandbox_call *c, kr_val o)
{
    return joined(c, kr_at(o, "spec.template.spec.containers"), "image");
}

static kr_val labels_text(struct sandbox_call *c, kr_val labels)
{
    KR_AUTO(kr_buf) b = KR_BUF(64 * 1024);

    KR_MAP_EACH (p, labels)
        kr_buf_fmt(&b, "%s" KR_FMT "=" KR_FMT, b.n ? "," : "", KR_ARG(kr_text(p->key)),
                   KR_ARG(kr_text(p->val)));
    return b.n ? kr_string(kr_strdup(c->a, kr_buf_view(&b))) : KR_V_STR("<none>");
}

static kr_val selector(struct sandbox_call *c, kr_val o)
{
    kr_val s = kr_at(o, "spec.selector");

    return labels_text(
        c, kr_get(s, KR_S("matchLabels")).kind == KR_MAP ? kr_get(s, KR_S("matchLabels")) : s);
}

static kr_val external_ip(struct sandbox_call *c, kr_val o)
{
    kr_val ingress = kr_at(o, "status.loadBalancer.ingress"), v;
    kr_str type = kr_at_str(o, "spec.type");

    if (kr_str_is(type, "ExternalName"))
        return kr_at(o, "spec.externalName");
    if (kr_str_is(type, "LoadBalancer")) {
        v = kr_get(kr_item(ingress, 0), KR_S("ip"));
        if (v.kind != KR_STRING)
            v = kr_get(kr_item(ingress, 0), KR_S("hostname"));
        return v.kind == KR_STRING ? v : KR_V_STR("<pending>");
    }
    return kr_at(o, "spec.externalIPs").n ? joined(c, kr_at(o, "spec.externalIPs"), NULL)
                                          : KR_V_STR("<none>");
}

static kr_val service_ports(struct sandbox_call *c, kr_val o)
{
    KR_AUTO(kr_buf) b = KR_BUF(64 * 1024);

    KR_LIST_EACH (p, kr_at(o, "spec.ports")) {
        kr_buf_fmt(&b, "%s%" PRId64, b.n ? "," : "", int_at(*p, "port"));
        if (int_at(*p, "nodePort"))
            kr_buf_fmt(&b, ":%" PRId64, int_at(*p, "nodePort"));
        kr_buf_fmt(&b, "/" KR_FMT, KR_ARG(kr_at_str(*p, "protocol")));
    }
    return b.n ? kr_string(kr_strdup(c->a, kr_buf_view(&b))) : KR_V_STR("<none>");
}

static kr_val pod_ready(struct sandbox_call *c, kr_val o)
{
    int64_t n = 0;

    KR_LIST_EACH (s, kr_at(o, "status.containerStatuses"))
        n += kr_is_true(kr_get(*s, KR_S("ready")));
    return kr_string(kr_fmt(c->a, "%" PRId64 "/%u", n, (unsigned)kr_at(o, "spec.containers").n));
}

static kr_val pod_restarts(struct sandbox_call *c, kr_val o)
{
    int64_t n = 0;

    KR_LIST_EACH (s, kr_at(o, "status.containerStatuses"))
        n += int_at(*s, "restartCount");
    return kr_string(kr_fmt(c->a, "%" PRId64, n));
}

static kr_val pod_status(struct sandbox_call *c, kr_val o)
{
    if (kr_at(o, "metadata.deletionTimestamp").kind == KR_STRING)
        return KR_V_STR("Terminating");
    return kr_at(o, "status.phase");
}

static kr_val or_none(struct sandbox_call *c, kr_val o, const char *path)
{
    kr_val v = kr_at(o, path);

    return v.kind == KR_STRING && v.n ? v : KR_V_STR("<none>");
}

static kr_val cluster_ip(struct sandbox_call *c, kr_val o)
{
    return or_none(c, o, "spec.clusterIP");
}

static kr_val pod_ip(struct sandbox_call *c, kr_val o)
{
    return or_none(c, o, "status.podIP");
}

static kr_val pod_node(struct sandbox_call *c, kr_val o)
{
    return or_none(c, o, "spec.nodeName");
}

static kr_val none(struct sandbox_call *c, kr_val o)
{
    return KR_V_STR("<none>");
}

static kr_val job_status(struct sandbox_call *c, kr_val o)
{
    KR_LIST_EACH (k, kr_at(o, "status.conditions")) {
        if (kr_is_str(kr_get(*k, KR_S("status")), KR_S("True")) &&
            (kr_is_str(kr_get(*k, KR_S("type")), KR_S("Complete")) ||
             kr_is_str(kr_get(*k, KR_S("type")), KR_S("Failed"))))
            return kr_get(*k, KR_S("type"));
    }
    return kr_is_true(kr_at(o, "spec.suspend")) ? KR_V_STR("Suspended") : KR_V_STR("Running");
}

static kr_val job_completions(struct sandbox_call *c, kr_val o)
{
    return kr_string(kr_fmt(c->a, "%" PRId64 "/%" PRId64, int_at(o, "status.succeeded"),
                            int_at(o, "spec.completions")));
}

static kr_val job_duration(struct sandbox_call *c, kr_val o)
{
    int64_t from, to;
    uint32_t nanos;

    if (!kr_time_parse(kr_at_str(o, "status.startTime"), &from, &nanos))
        return KR_V_STR("");
    if (!kr_time_parse(kr_at_str(o, "status.completionTime"), &to, &nanos))
        return since(c, kr_at(o, "status.startTime"));
    return kr_string(human(c->a, to - from));
}

static kr_val secrets_count(struct sandbox_call *c, kr_val o)
{
    return count_at(o, "secrets");
}

static kr_val secret_data(struct sandbox_call *c, kr_val o)
{
    return count_at(o, "data");
}

static kr_val crd_created(struct sandbox_call *c, kr_val o)
{
    return kr_at(o, "metadata.creationTimestamp");
}

static kr_val role_text(struct sandbox_call *c, kr_val o)
{
    return kr_string(kr_fmt(c->a, KR_FMT "/" KR_FMT, KR_ARG(kr_at_str(o, "roleRef.kind")),
                            KR_ARG(kr_at_str(o, "roleRef.name"))));
}

static kr_val ingress_class(struct sandbox_call *c, kr_val o)
{
    return or_none(c, o, "spec.ingressClassName");
}

static kr_val ingress_hosts(struct sandbox_call *c, kr_val o)
{
    kr_val v = joined(c, kr_at(o, "spec.rules"), "host");

    return v.n ? v : KR_V_STR("*");
}

static kr_val ingress_ports(struct sandbox_call *c, kr_val o)
{
    return kr_at(o, "spec.tls").n ? KR_V_STR("80, 443") : KR_V_STR("80");
}

static kr_val empty_text(struct sandbox_call *c, kr_val o)
{
    return KR_V_STR("");
}

static kr_val claim_modes(struct sandbox_call *c, kr_val o)
{
    static const char *const names[][2] = {{"ReadWriteOnce", "RWO"},
                                           {"ReadOnlyMany", "ROX"},
                                           {"ReadWriteMany", "RWX"},
                                           {"ReadWriteOncePod", "RWOP"}};
    KR_AUTO(kr_buf) b = KR_BUF(1024);

    KR_LIST_EACH (m, kr_at(o, "status.accessModes")) {
        for (size_t i = 0; i < KR_N(names); i++) {
            if (kr_is_str(*m, kr_str_c(names[i][0])))
                kr_buf_fmt(&b, "%s%s", b.n ? "," : "", names[i][1]);
        }
    }
    return kr_string(kr_strdup(c->a, kr_buf_view(&b)));
}

static kr_val claim_class(struct sandbox_call *c, kr_val o)
{
    kr_val v = kr_at(o, "spec.storageClassName");

    return v.kind == KR_STRING ? v : KR_V_STR("");
}

static kr_val event_last(struct sandbox_call *c, kr_val o)
{
    kr_val t = kr_at(o, "lastTimestamp");

    return since(c, t.kind == KR_STRING ? t : kr_at(o, "metadata.creationTimestamp"));
}

static kr_val event_object(struct sandbox_call *c, kr_val o)
{
    kr_str kind = kr_at_str(o, "involvedObject.kind");
    char *lower = kr_arena_bytes(c->a, kind.n + 1);

    for (size_t i = 0; i < kind.n; i++)
        lower[i] = (char)(kind.s[i] >= 'A' && kind.s[i] <= 'Z' ? kind.s[i] + 32 : kind.s[i]);
    return kr_string(kr_fmt(c->a, KR_FMT "/" KR_FMT, (int)kind.n, lower,
                            KR_ARG(kr_at_str(o, "involvedObject.name"))));
}

static kr_val text_or(struct sandbox_call *c, kr_val v, const char *other)
{
    if (v.kind == KR_STRING)
        return v;
    return v.kind == KR_INT ? kr_string(kr_fmt(c->a, "%" PRId64, v.i)) : kr_string(kr_str_c(other));
}

static kr_val cron_zone(struct sandbox_call *c, kr_val o)
{
    return text_or(c, kr_at(o, "spec.timeZone"), "<none>");
}

static kr_val truth(kr_val v)
{
    return kr_string(kr_str_c(kr_is_true(v) ? "True" : "False"));
}

static kr_val cron_suspended(struct sandbox_call *c, kr_val o)
{
    return truth(kr_at(o, "spec.suspend"));
}

static kr_val cron_active(struct sandbox_call *c, kr_val o)
{
    return kr_int(kr_at(o, "status.active").n);
}

static kr_val cron_last(struct sandbox_call *c, kr_val o)
{
    kr_val t = kr_at(o, "status.lastScheduleTime");

    return t.kind == KR_STRING ? since(c, t) : KR_V_STR("<none>");
}

static kr_val class_default(struct sandbox_call *c, kr_val o)
{
    return kr_bool(kr_is_true(kr_at(o, "globalDefault")));
}

static kr_val class_value(struct sandbox_call *c, kr_val o)
{
    return kr_int(int_at(o, "value"));
}

static kr_val pdb_min(struct sandbox_call *c, kr_val o)
{
    return text_or(c, kr_at(o, "spec.minAvailable"), "N/A");
}

static kr_val pdb_max(struct sandbox_call *c, kr_val o)
{
    return text_or(c, kr_at(o, "spec.maxUnavailable"), "N/A");
}

static kr_val pdb_allowed(struct sandbox_call *c, kr_val o)
{
    return kr_int(int_at(o, "status.disruptionsAllowed"));
}

static kr_val daemon_number(kr_val o, const char *name)
{
    return kr_int(int_at(kr_at(o, "status"), name));
}

static kr_val daemon_desired(struct sandbox_call *c, kr_val o)
{
    return daemon_number(o, "desiredNumberScheduled");
}

static kr_val daemon_current(struct sandbox_call *c, kr_val o)
{
    return daemon_number(o, "currentNumberScheduled");
}

static kr_val daemon_ready(struct sandbox_call *c, kr_val o)
{
    return daemon_number(o, "numberReady");
}

static kr_val daemon_updated(struct sandbox_call *c, kr_val o)
{
    return daemon_number(o, "updatedNumberScheduled");
}

static kr_val daemon_available(struct sandbox_call *c, kr_val o)
{
    return daemon_number(o, "numberAvailable");
}

/* "a=b,c=d" of a map, "<none>" of none. */
static kr_val pairs(struct sandbox_call *c, kr_val map)
{
    KR_AUTO(kr_buf) b = KR_BUF(64 * 1024);

    KR_MAP_EACH (p, map)
        kr_buf_fmt(&b, "%s" KR_FMT "=" KR_FMT, b.n ? "," : "", KR_ARG(kr_text(p->key)),
                   KR_ARG(kr_text(p->val)));
    return b.n ? kr_string(kr_strdup(c->a, kr_buf_view(&b))) : KR_V_STR("<none>");
}

static kr_val daemon_nodes(struct sandbox_call *c, kr_val o)
{
    return pairs(c, kr_at(o, "spec.template.spec.nodeSelector"));
}

static kr_val policy_pods(struct sandbox_call *c, kr_val o)
{
    return pairs(c, kr_at(o, "spec.podSelector.matchLabels"));
}

static kr_val storage_mode(struct sandbox_call *c, kr_val o)
{
    return text_or(c, kr_at(o, "volumeBindingMode"), "<unset>");
}

static kr_val storage_reclaim(struct sandbox_call *c, kr_val o)
{
    return text_or(c, kr_at(o, "reclaimPolicy"), "Delete");
}

static kr_val storage_grows(struct sandbox_call *c, kr_val o)
{
    return kr_bool(kr_is_true(kr_at(o, "allowVolumeExpansion")));
}

/* clang-format off */
static const struct column columns[] = {
    {"ConfigMap", "Data", "string", "", 0, NULL, data_count},
    {"Secret", "Type", "string", "", 0, "type", NULL},
    {"Secret", "Data", "string", "", 0, NULL, secret_data},
    {"Namespace", "Status", "string", "", 0, "status.phase", NULL},
    {"ServiceAccount", "Secrets", "string", "", 0, NULL, secrets_count},
    {"Deployment", "Ready", "string", "", 0, NULL, ready_of_replicas},
    {"Deployment", "Up-to-date", "string", "", 0, NULL, up_to_date},
    {"Deployment", "Available", "string", "", 0, NULL, available},
    {"Deployment", "Age", "string", "", 0, NULL, age},
    {"Deployment", "Containers", "string", "", 1, NULL, containers},
    {"Deployment", "Images", "string", "", 1, NULL, images},
    {"Deployment", "Selector", "string", "", 1, NULL, selector},
    {"ReplicaSet", "Desired", "integer", "", 0, NULL, desired},
    {"ReplicaSet", "Current", "integer", "", 0, NULL, current},
    {"ReplicaSet", "Ready", "integer", "", 0, NULL, ready},
    {"ReplicaSet", "Age", "string", "", 0, NULL, age},
    {"ReplicaSet", "Containers", "string", "", 1, NULL, containers},
    {"ReplicaSet", "Images", "string", "", 1, NULL, images},
    {"ReplicaSet", "Selector", "string", "", 1, NULL, selector},
    {"StatefulSet", "Ready", "string", "", 0, NULL, ready_of_replicas},
    {"StatefulSet", "Age", "string", "", 0, NULL, age},
    {"StatefulSet", "Containers", "string", "", 1, NULL, containers},
    {"StatefulSet", "Images", "string", "", 1, NULL, images},
    {"Service", "Type", "string", "", 0, "spec.type", NULL},
    {"Service", "Cluster-IP", "string", "", 0, NULL, cluster_ip},
    {"Service", "External-IP", "string", "", 0, NULL, external_ip},
    {"Service", "Port(s)", "string", "", 0, NULL, service_ports},
    {"Service", "Age", "string", "", 0, NULL, age},
    {"Service", "Selector", "string", "", 1, NULL, selector},
    {"Pod", "Ready", "string", "", 0, NULL, pod_ready},
    {"Pod", "Status", "string", "", 0, NULL, pod_status},
    {"Pod", "Restarts", "string", "", 0, NULL, pod_restarts},
    {"Pod", "Age", "string", "", 0, NULL, age},
    {"Pod", "IP", "string", "", 1, NULL, pod_ip},
    {"Pod", "Node", "string", "", 1, NULL, pod_node},
    {"Pod", "Nominated Node", "string", "", 1, NULL, none},
    {"Pod", "Readiness Gates", "string", "", 1, NULL, none},
    {"Job", "Status", "string", "", 0, NULL, job_status},
    {"Job", "Completions", "string", "", 0, NULL, job_completions},
    {"Job", "Duration", "string", "", 0, NULL, job_duration},
    {"Job", "Age", "string", "", 0, NULL, age},
    {"Job", "Containers", "string", "", 1, NULL, containers},
    {"Job", "Images", "string", "", 1, NULL, images},
    {"Job", "Selector", "string", "", 1, NULL, selector},
    {"CronJob", "Schedule", "string", "", 0, "spec.schedule", NULL},
    {"CronJob", "Timezone", "string", "", 0, NULL, cron_zone},
    {"CronJob", "Suspend", "boolean", "", 0, NULL, cron_suspended},
    {"CronJob", "Active", "integer", "", 0, NULL, cron_active},
    {"CronJob", "Last Schedule", "string", "", 0, NULL, cron_last},
    {"CronJob", "Age", "string", "", 0, NULL, age},
    {"DaemonSet", "Desired", "integer", "", 0, NULL, daemon_desired},
    {"DaemonSet", "Current", "integer", "", 0, NULL, daemon_current},
    {"DaemonSet", "Ready", "integer", "", 0, NULL, daemon_ready},
    {"DaemonSet", "Up-to-date", "integer", "", 0, NULL, daemon_updated},
    {"DaemonSet", "Available", "integer", "", 0, NULL, daemon_available},
    {"DaemonSet", "Node Selector", "string", "", 0, NULL, daemon_nodes},
    {"DaemonSet", "Age", "string", "", 0, NULL, age},
    {"DaemonSet", "Containers", "string", "", 1, NULL, containers},
    {"DaemonSet", "Images", "string", "", 1, NULL, images},
    {"DaemonSet", "Selector", "string", "", 1, NULL, selector},
    {"PodDisruptionBudget", "Min Available", "string", "", 0, NULL, pdb_min},
    {"PodDisruptionBudget", "Max Unavailable", "string", "", 0, NULL, pdb_max},
    {"PodDisruptionBudget", "Allowed Disruptions", "integer", "", 0, NULL, pdb_allowed},
    {"PodDisruptionBudget", "Age", "string", "", 0, NULL, age},
    {"PriorityClass", "Value", "integer", "", 0, NULL, class_value},
    {"PriorityClass", "Global-Default", "boolean", "", 0, NULL, class_default},
    {"PriorityClass", "Age", "string", "", 0, NULL, age},
    {"PriorityClass", "PreemptionPolicy", "string", "", 0, "preemptionPolicy", NULL},
    {"NetworkPolicy", "Pod-Selector", "string", "", 0, NULL, policy_pods},
    {"NetworkPolicy", "Age", "string", "", 0, NULL, age},
    {"StorageClass", "Provisioner", "string", "", 0, "provisioner", NULL},
    {"StorageClass", "ReclaimPolicy", "string", "", 0, NULL, storage_reclaim},
    {"StorageClass", "VolumeBindingMode", "string", "", 0, NULL, storage_mode},
    {"StorageClass", "AllowVolumeExpansion", "string", "", 0, NULL, storage_grows},
    {"StorageClass", "Age", "string", "", 0, NULL, age},
    {"CustomResourceDefinition", "Created At", "date", "", 0, NULL, crd_created},
    {"Role", "Created At", "date", "", 0, NULL, crd_created},
    {"ClusterRole", "Created At", "date", "", 0, NULL, crd_created},
    {"RoleBinding", "Role", "string", "", 0, NULL, role_text},
    {"RoleBinding", "Age", "string", "", 0, NULL, age},
    {"ClusterRoleBinding", "Role", "string", "", 0, NULL, role_text},
    {"ClusterRoleBinding", "Age", "string", "", 0, NULL, age},
    {"Lease", "Holder", "string", "", 0, "spec.holderIdentity", NULL},
    {"Ingress", "Class", "string", "", 0, NULL, ingress_class},
    {"Ingress", "Hosts", "string", "", 0, NULL, ingress_hosts},
    {"Ingress", "Address", "string", "", 0, NULL, empty_text},
    {"Ingress", "Ports", "string", "", 0, NULL, ingress_ports},
    {"PersistentVolumeClaim", "Status", "string", "", 0, "status.phase", NULL},
    {"PersistentVolumeClaim", "Volume", "string", "", 0, "spec.volumeName", NULL},
    {"PersistentVolumeClaim", "Capacity", "string", "", 0, "status.capacity.storage", NULL},
    {"PersistentVolumeClaim", "Access Modes", "string", "", 0, NULL, claim_modes},
    {"PersistentVolumeClaim", "StorageClass", "string", "", 0, NULL, claim_class},
    {"Event", "Last Seen", "string", "", 0, NULL, event_last},
    {"Event", "Type", "string", "", 0, "type", NULL},
    {"Event", "Reason", "string", "", 0, "reason", NULL},
    {"Event", "Object", "string", "", 0, NULL, event_object},
    {"Event", "Message", "string", "", 0, "message", NULL},
};
/* clang-format on */

static bool no_name_first(const struct sandbox_type *t) /* events print no name in front */
{
    return sandbox__is(t, "", "events") || sandbox__is(t, "events.k8s.io", "events");
}

/* --- rows ------------------------------------------------------------------------------------- */

static kr_val definition(struct kr_arena *a, kr_str name, kr_str type, kr_str format, kr_str about,
                         int64_t priority)
{
    struct kr_mapb b = KR_MAPB(a);

    kr_mapb_put(&b, KR_S("name"), kr_string(name));
    kr_mapb_put(&b, KR_S("type"), kr_string(type));
    kr_mapb_put(&b, KR_S("format"), kr_string(format));
    kr_mapb_put(&b, KR_S("description"), kr_string(about));
    kr_mapb_put(&b, KR_S("priority"), kr_int(priority));
    return kr_mapb_done(&b);
}

static bool of_kind(const struct sandbox_type *t, const struct column *column)
{
    return t->builtin && kr_str_eq(t->kind, kr_str_c(column->kind));
}

/* Do the kind's columns say where the age stands, or need none? */
static bool adds_age(const struct sandbox_type *t)
{
    for (size_t i = 0; i < KR_N(columns); i++) {
        if (of_kind(t, &columns[i]) && (columns[i].fn == age || columns[i].fn == crd_created))
            return false;
    }
    if (!t->builtin)
        return false;
    return !no_name_first(t);
}

static kr_val definitions(struct sandbox_call *c)
{
    struct kr_listb list = KR_LISTB(c->a);
    const struct sandbox_type *t = c->t.type;

    if (!no_name_first(t))
        kr_listb_add(&list,
                     definition(c->a, KR_S("Name"), KR_S("string"), KR_S("name"), KR_S(""), 0));
    for (size_t i = 0; i < KR_N(columns); i++) {
        if (of_kind(t, &columns[i]))
            kr_listb_add(&list,
                         definition(c->a, kr_str_c(columns[i].name), kr_str_c(columns[i].type),
                                    kr_str_c(columns[i].format), KR_S(""), columns[i].priority));
    }
    KR_LIST_EACH (p, c->t.version->columns)
        kr_listb_add(&list, definition(c->a, kr_at_str(*p, "name"), kr_at_str(*p, "type"),
                                       kr_at_str(*p, "format"), kr_at_str(*p, "description"),
                                       int_at(*p, "priority")));
    if (adds_age(t) || (!t->builtin && c->t.version->columns.n == 0))
        kr_listb_add(&list,
                     definition(c->a, KR_S("Age"), t->builtin ? KR_S("string") : KR_S("date"),
                                KR_S(""), KR_S(""), 0));
    return kr_listb_done(&list);
}

/* A cell of a definition's column: what its path finds, in the column's type. */
static kr_val custom_cell(struct sandbox_call *c, kr_val column, kr_val object)
{
    kr_str type = kr_at_str(column, "type");
    kr_val v = sandbox__json_path(c->a, object, kr_at_str(column, "jsonPath"));

    if (v.kind == KR_NONE || v.kind == KR_NULL)
        return KR_V_NULL;
    if (kr_str_is(type, "date"))
        return v.kind == KR_STRING ? since(c, v) : KR_V_NULL;
    if (kr_str_is(type, "string") && v.kind != KR_STRING)
        return kr_string(sandbox__text_of(c->a, v));
    return v;
}

static kr_val row_object(struct sandbox_call *c, kr_val object)
{
    kr_val v = kr_map_sorted(NULL, 0);

    if (kr_str_is(sandbox__arg(c, "includeObject"), "None"))
        return KR_V_NONE;
    if (kr_str_is(sandbox__arg(c, "includeObject"), "Object"))
        return object;
    v = kr_with(c->a, v, "kind", KR_V_STR("PartialObjectMetadata"));
    v = kr_with(c->a, v, "apiVersion", KR_V_STR("meta.k8s.io/v1"));
    return kr_with(c->a, v, "metadata", kr_get(object, KR_S("metadata")));
}

static kr_val row(struct sandbox_call *c, kr_val object)
{
    struct kr_listb cells = KR_LISTB(c->a);
    const struct sandbox_type *t = c->t.type;
    kr_val v = kr_map_sorted(NULL, 0);

    if (!no_name_first(t))
        kr_listb_add(&cells, kr_at(object, "metadata.name"));
    for (size_t i = 0; i < KR_N(columns); i++) {
        kr_val cell;

        if (!of_kind(t, &columns[i]))
            continue;
        cell = columns[i].fn ? columns[i].fn(c, object) : kr_at(object, columns[i].path);
        kr_listb_add(&cells, cell.kind == KR_NONE ? KR_V_STR("") : cell);
    }
    KR_LIST_EACH (p, c->t.version->columns)
        kr_listb_add(&cells, custom_cell(c, *p, object));
    if (adds_age(t) || (!t->builtin && c->t.version->columns.n == 0))
        kr_listb_add(&cells, age(c, object));
    v = kr_with(c->a, v, "cells", kr_listb_done(&cells));
    return kr_with(c->a, v, "object", row_object(c, object));
}

static kr_val table_of(struct sandbox_call *c, kr_val rows, kr_val meta)
{
    kr_val v = kr_map_sorted(NULL, 0);

    v = kr_with(c->a, v, "kind", KR_V_STR("Table"));
    v = kr_with(c->a, v, "apiVersion", KR_V_STR("meta.k8s.io/v1"));
    v = kr_with(c->a, v, "metadata", meta.kind == KR_MAP ? meta : kr_map_sorted(NULL, 0));
    v = kr_with(c->a, v, "columnDefinitions", definitions(c));
    return kr_with(c->a, v, "rows", rows);
}

/* --- forms ------------------------------------------------------------------------------------ */

enum sandbox_form sandbox__wants(const struct sandbox_call *c)
{
    kr_str rest = c->q->accept;

    while (rest.n > 0) {
        kr_str one = kr_str_cut(&rest, ',');

        if (kr_str_find(one, KR_S("as=Table")) >= 0)
            return SANDBOX_FORM_TABLE;
        if (kr_str_find(one, KR_S("as=PartialObjectMetadata")) >= 0)
            return SANDBOX_FORM_META;
        if (kr_str_find(one, KR_S("application/json")) >= 0 || kr_str_find(one, KR_S("*/*")) >= 0)
            return SANDBOX_FORM_FULL;
    }
    return SANDBOX_FORM_FULL;
}

/* As Go names it: "core.ConfigMap", of definitions "unstructured.Unstructured". */
static kr_str go_type(struct sandbox_call *c)
{
    kr_str package = c->t.type->group, group = kr_str_cut(&package, '.');

    if (!c->t.type->builtin)
        return KR_S("unstructured.Unstructured");
    return kr_fmt(c->a, KR_FMT "." KR_FMT, KR_ARG(group.n ? group : KR_S("core")),
                  KR_ARG(c->t.type->kind));
}

int sandbox__form_fits(struct sandbox_call *c, bool list)
{
    static const char for_list[] = "as=PartialObjectMetadataList";
    kr_str rest = c->q->accept, first = kr_str_cut(&rest, ',');
    bool meta = kr_str_find(first, KR_S("as=PartialObjectMetadata")) >= 0,
         meta_list = kr_str_find(first, kr_str_c(for_list)) >= 0;

    if (!meta || meta_list == list)
        return 0;
    if (!list && !c->t.type->builtin)
        return sandbox__fail_bare(c, 500, "content is not a list");
    return sandbox__fail(c, 406, "NotAcceptable",
                         "you requested PartialObjectMetadata%s, but the requested object is %sa "
                         "list (*" KR_FMT "%s)",
                         list ? "" : "List", list ? "" : "not ", KR_ARG(go_type(c)),
                         list ? "List" : "");
}

static kr_val meta_only(struct sandbox_call *c, kr_val object)
{
    kr_val v = kr_map_sorted(NULL, 0);

    v = kr_with(c->a, v, "kind", KR_V_STR("PartialObjectMetadata"));
    v = kr_with(c->a, v, "apiVersion", KR_V_STR("meta.k8s.io/v1"));
    return kr_with(c->a, v, "metadata", kr_get(object, KR_S("metadata")));
}

kr_val sandbox__formed(struct sandbox_call *c, kr_val object)
{
    struct kr_listb rows = KR_LISTB(c->a);
    struct kr_mapb meta = KR_MAPB(c->a);

    if (sandbox__wants(c) == SANDBOX_FORM_META)
        return meta_only(c, object);
    if (sandbox__wants(c) == SANDBOX_FORM_FULL || c->t.type == NULL)
        return object;
    kr_listb_add(&rows, row(c, object));
    kr_mapb_put(&meta, KR_S("resourceVersion"), kr_at(object, "metadata.resourceVersion"));
    return table_of(c, kr_listb_done(&rows), kr_mapb_done(&meta));
}

kr_val sandbox__formed_list(struct sandbox_call *c, kr_val items, kr_val meta)
{
    struct kr_listb list = KR_LISTB(c->a);
    enum sandbox_form form = sandbox__wants(c);
    kr_val v = kr_map_sorted(NULL, 0);

    KR_LIST_EACH (item, items)
        kr_listb_add(&list, form == SANDBOX_FORM_TABLE  ? row(c, *item)
                            : form == SANDBOX_FORM_META ? meta_only(c, *item)
                                                        : *item);
    if (form == SANDBOX_FORM_TABLE)
        return table_of(c, kr_listb_done(&list), meta);
    v = kr_with(c->a, v, "kind",
                form == SANDBOX_FORM_META ? KR_V_STR("PartialObjectMetadataList")
                                          : kr_string(c->t.type->list_kind));
    v = kr_with(c->a, v, "apiVersion",
                form == SANDBOX_FORM_META
                    ? KR_V_STR("meta.k8s.io/v1")
                    : kr_string(sandbox__api_version(c->a, c->t.type, c->t.version->name)));
    v = kr_with(c->a, v, "metadata", meta);
    if (form == SANDBOX_FORM_META && list.n == 0)
        return kr_with(c->a, v, "items",
                       KR_V_NULL); /* as a slice of Go that nothing was added to */
    return kr_with(c->a, v, "items", kr_listb_done(&list));
}
