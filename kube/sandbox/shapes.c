/* SPDX-License-Identifier: Apache-2.0 */
/* shapes.c - the rules of workloads, Services, claims, Ingresses, and what goes with them.
 *
 * Source: kubernetes pkg/apis/{apps,autoscaling,batch,core,networking,policy,rbac}/validation.
 */
#include "kube/sandbox/shapes.h"

#include "cel/base/json.h"
#include "cel/quantity.h"
#include "kube/sandbox/internal.h"

#include "cel/base/banned.h"

/* --- claims ----------------------------------------------------------------------------------- */

static void check_claim(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    const struct sandbox_place *modes_at = SANDBOX_MEMBER(at, KR_S("accessModes")),
                               *size_at = SANDBOX_MEMBER(at, KR_S("resources[storage]"));
    kr_val modes = kr_get(v, KR_S("accessModes")), size = kr_at(v, "resources.requests.storage");
    struct cel__quantity q;
    bool alone = false;

    KR_LIST_EACH (mode, modes) {
        sandbox_one_of(c, modes_at, *mode,
                       "ReadOnlyMany,ReadWriteMany,ReadWriteOnce,ReadWriteOncePod");
        alone |= kr_is_str(*mode, KR_S("ReadWriteOncePod"));
    }
    if (alone && modes.n > 1)
        sandbox_forbidden(c, modes_at, "may not use ReadWriteOncePod with other access modes");
    if (size.kind == KR_NONE)
        sandbox_required(c, size_at, "");
    else if (sandbox_quantity(c, size, &q) && cel__quantity_sign(&q) <= 0)
        sandbox_invalid(c, size_at, kr_string(cel__quantity_text(c->a, &q)),
                        "must be greater than zero");
}

SANDBOX_SHAPE(claim_spec, check_claim,
              SANDBOX_R_SAYS(REQUIRED, "accessModes", ": at least 1 access mode is required"),
              SANDBOX_R_WORD("storageClassName", SANDBOX_SUBDOMAIN),
              SANDBOX_R_SAYS(ONE_OF, "volumeMode", "Block,Filesystem"));

/* --- workloads -------------------------------------------------------------------------------- */

static bool is_zero(kr_val v)
{
    return (v.kind == KR_INT && v.i == 0) || kr_is_str(v, KR_S("0%"));
}

/* At most all of them. */
static void check_percent(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    kr_str text = kr_text(v);
    int64_t percent;

    if (sandbox_is_percent(text) && kr_str_i64(kr_str_sub(text, 0, text.n - 1), &percent) &&
        percent > 100)
        sandbox_invalid(c, at, v, "must not be greater than 100%");
}

static void check_rolling(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    kr_val less = kr_get(v, KR_S("maxUnavailable")), more = kr_get(v, KR_S("maxSurge"));

    if (is_zero(less) && is_zero(more))
        sandbox_invalid(c, SANDBOX_MEMBER(at, KR_S("maxUnavailable")), less,
                        "may not be 0 when `maxSurge` is 0");
    check_percent(c, less, SANDBOX_MEMBER(at, KR_S("maxUnavailable")));
}

SANDBOX_SHAPE(rolling, check_rolling, SANDBOX_R(AMOUNT, "maxSurge"),
              SANDBOX_R(AMOUNT, "maxUnavailable"));

/* The server shows its own struct of a type that is neither this nor that. */
static void check_type(struct sandbox_valid *c, kr_val type, const char *this, const char *that,
                       const struct sandbox_place *at)
{
    if (kr_text(type).n && !kr_is_str(type, kr_str_c(this)) && !kr_is_str(type, kr_str_c(that)))
        sandbox_refuse(c, "FieldValueNotSupported", at,
                       kr_fmt(c->a,
                              "Unsupported value: {\"Type\":" KR_FMT ",\"RollingUpdate\":null}: "
                              "supported values: \"%s\", \"%s\"",
                              KR_ARG(kr_json_str(c->a, type)), this, that));
}

static void check_strategy(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    kr_val type = kr_get(v, KR_S("type"));

    if (kr_is_str(type, KR_S("Recreate")) && kr_get(v, KR_S("rollingUpdate")).kind == KR_MAP)
        sandbox_forbidden(c, SANDBOX_MEMBER(at, KR_S("rollingUpdate")),
                          "may not be specified when strategy `type` is 'Recreate'");
    check_type(c, type, "Recreate", "RollingUpdate", at);
}

static void check_daemon_strategy(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    check_type(c, kr_get(v, KR_S("type")), "RollingUpdate", "OnDelete", at);
}

SANDBOX_SHAPE(strategy, check_strategy, SANDBOX_R_OF(OBJECT, "rollingUpdate", rolling));

enum { PROGRESS_DEADLINE_S = 600 }; /* that the server fills in */

static void check_progress(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    kr_val deadline = kr_get(v, KR_S("progressDeadlineSeconds")),
           ready = kr_get(v, KR_S("minReadySeconds"));

    if (deadline.kind != KR_INT)
        deadline = kr_int(PROGRESS_DEADLINE_S);
    if (deadline.i <= (ready.kind == KR_INT ? ready.i : 0))
        sandbox_invalid(c, SANDBOX_MEMBER(at, KR_S("progressDeadlineSeconds")), deadline,
                        "must be greater than minReadySeconds");
}

#define WORKLOAD(pods)                                                                             \
    SANDBOX_R_FROM("replicas", 0), SANDBOX_R_FROM("minReadySeconds", 0),                           \
        SANDBOX_R_OF(OBJECT, "template", pods)
#define LIMITED SANDBOX_R_FROM("revisionHistoryLimit", 0)

SANDBOX_SHAPE(deployment_spec, check_progress, WORKLOAD(sandbox_pod_template), LIMITED,
              SANDBOX_R_OF(OBJECT, "strategy", strategy),
              SANDBOX_R_FROM("progressDeadlineSeconds", 0));
SANDBOX_SHAPE(workload_spec, NULL, WORKLOAD(sandbox_pod_template));
static const struct sandbox_shape daemon_strategy = {NULL, 0, check_daemon_strategy};
SANDBOX_SHAPE(daemon_spec, NULL, WORKLOAD(sandbox_pod_template), LIMITED,
              SANDBOX_R_OF(OBJECT, "updateStrategy", daemon_strategy));

static void check_stateful(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    kr_val policy = kr_get(v, KR_S("podManagementPolicy")), type = kr_at(v, "updateStrategy.type");

    if (kr_text(policy).n && !kr_is_str(policy, KR_S("OrderedReady")) &&
        !kr_is_str(policy, KR_S("Parallel")))
        sandbox_invalid(c, SANDBOX_MEMBER(at, KR_S("podManagementPolicy")), policy,
                        "must be 'OrderedReady' or 'Parallel'");
    if (kr_text(type).n && !kr_is_str(type, KR_S("RollingUpdate")) &&
        !kr_is_str(type, KR_S("OnDelete")))
        sandbox_refuse(c, "FieldValueInvalid", SANDBOX_MEMBER(at, KR_S("updateStrategy")),
                       kr_fmt(c->a,
                              "Invalid value: {\"Type\":" KR_FMT ",\"RollingUpdate\":null}: must "
                              "be 'RollingUpdate' or 'OnDelete'",
                              KR_ARG(kr_json_str(c->a, type))));
}

SANDBOX_SHAPE(claim_template, NULL, SANDBOX_R_OF(OBJECT, "spec", claim_spec));
/* A negative revisionHistoryLimit keeps all. */
SANDBOX_SHAPE(stateful_spec, check_stateful, WORKLOAD(sandbox_pod_named_template),
              SANDBOX_R_WORD("serviceName", SANDBOX_LABEL),
              SANDBOX_R_OF(EACH, "volumeClaimTemplates", claim_template));

#define JOB                                                                                        \
    SANDBOX_R_FROM("parallelism", 0), SANDBOX_R_FROM("completions", 0),                            \
        SANDBOX_R_FROM("backoffLimit", 0), SANDBOX_R_FROM("activeDeadlineSeconds", 0),             \
        SANDBOX_R_FROM("ttlSecondsAfterFinished", 0),                                              \
        SANDBOX_R_SAYS(ONE_OF, "completionMode", "NonIndexed,Indexed"),                            \
        SANDBOX_R_OF(OBJECT, "template", sandbox_pod_job_template)

SANDBOX_SHAPE(job_spec, NULL, JOB);
SANDBOX_SHAPE(job_template, NULL, SANDBOX_R_OF(OBJECT, "spec", job_spec));

enum { CRON_FIELDS = 5 };

static bool is_blank(char ch)
{
    return ch == ' ' || (ch >= '\t' && ch <= '\r');
}

/* The fields of a schedule, with one blank between them; *n: how many. */
static kr_str cron_fields(struct kr_arena *a, kr_str text, uint32_t *n)
{
    struct kr_buf b = KR_BUF_IN(a, KR_ERR_MAX);

    for (size_t i = 0; i < text.n; i++) {
        if (is_blank(text.s[i]))
            continue;
        if (i == 0 || is_blank(text.s[i - 1]))
            kr_buf_fmt(&b, "%s", (*n)++ ? " " : "");
        kr_buf_chr(&b, text.s[i]);
    }
    return kr_buf_view(&b);
}

/* Five fields, or "@daily". What they say is not read. */
static void check_cron(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    const struct sandbox_place *there = SANDBOX_MEMBER(at, KR_S("schedule"));
    kr_val schedule = kr_get(v, KR_S("schedule"));
    kr_str text = kr_text(schedule), fields;
    uint32_t n = 0;

    if (text.n == 0 || text.s[0] == '@')
        return;
    if (kr_str_find(text, KR_S("TZ")) >= 0)
        sandbox_invalid(c, there, schedule,
                        "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
    if (kr_str_starts(text, KR_S("TZ=")) || kr_str_starts(text, KR_S("CRON_TZ=")))
        return;
    fields = cron_fields(c->a, text, &n);
    if (n != CRON_FIELDS)
        sandbox_invalid(
            c, there, schedule,
            kr_fmt(c->a, "expected exactly 5 fields, found %u: [" KR_FMT "]", n, KR_ARG(fields)).s);
}

SANDBOX_SHAPE(cron_spec, check_cron, SANDBOX_R(REQUIRED, "schedule"),
              SANDBOX_R_FROM("startingDeadlineSeconds", 0),
              SANDBOX_R_SAYS(ONE_OF, "concurrencyPolicy", "Allow,Forbid,Replace"),
              SANDBOX_R_FROM("successfulJobsHistoryLimit", 0),
              SANDBOX_R_FROM("failedJobsHistoryLimit", 0),
              SANDBOX_R_OF(OBJECT, "jobTemplate", job_template));

/* --- Services --------------------------------------------------------------------------------- */

static void check_service_port(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    kr_val port = kr_get(v, KR_S("port")), target = kr_get(v, KR_S("targetPort"));

    sandbox_port_check(c, SANDBOX_MEMBER(at, KR_S("port")), port);
    if (sandbox_is_empty(target)) /* it will be the port */
        sandbox_port_check(c, SANDBOX_MEMBER(at, KR_S("targetPort")), port);
    if (target.kind == KR_STRING)
        sandbox_word_check(c, SANDBOX_MEMBER(at, KR_S("targetPort")), SANDBOX_PORT_NAME,
                           kr_text(target));
}

SANDBOX_SHAPE(service_port, check_service_port, SANDBOX_R_WORD("name", SANDBOX_LABEL),
              SANDBOX_R_SAYS(ONE_OF, "protocol", "SCTP,TCP,UDP"), SANDBOX_R(PORT, "targetPort"),
              SANDBOX_R_WORD("appProtocol", SANDBOX_KEY));

static void check_service_ports(struct sandbox_valid *c, kr_val ports, bool inside,
                                const struct sandbox_place *at)
{
    KR_AUTO(kr_map) names = {0};
    KR_AUTO(kr_map) numbers = {0};

    for (uint32_t i = 0; ports.kind == KR_LIST && i < ports.n; i++) {
        const struct sandbox_place *item = SANDBOX_ITEM(at, i);
        kr_val name = kr_get(ports.list[i], KR_S("name")),
               port = kr_get(ports.list[i], KR_S("port"));
        kr_str protocol = kr_at_str(ports.list[i], "protocol");

        protocol = protocol.n ? protocol : KR_S("TCP");
        if (ports.n > 1 && kr_text(name).n == 0)
            sandbox_required(c, SANDBOX_MEMBER(item, KR_S("name")), "");
        if (kr_text(name).n && !sandbox__is_first(&names, kr_text(name)))
            sandbox_duplicate(c, SANDBOX_MEMBER(item, KR_S("name")), name);
        if (inside && !sandbox_is_empty(kr_get(ports.list[i], KR_S("nodePort"))))
            sandbox_forbidden(c, SANDBOX_MEMBER(item, KR_S("nodePort")),
                              "may not be used when `type` is 'ClusterIP'");
        if (port.kind == KR_INT &&
            !sandbox__is_first(&numbers,
                               kr_fmt(c->a, KR_FMT "/%lld", KR_ARG(protocol), (long long)port.i)))
            sandbox_refuse(c, "FieldValueDuplicate", item,
                           kr_fmt(c->a,
                                  "Duplicate value: {\"Name\":\"\",\"Protocol\":\"" KR_FMT
                                  "\",\"AppProtocol\":null,\"Port\":%lld,\"TargetPort\":0,"
                                  "\"NodePort\":0}",
                                  KR_ARG(protocol), (long long)port.i));
    }
}

#define NAME_ONLY_TEXT "may not be set for ExternalName services"

bool sandbox_service_is_open(kr_val spec)
{
    kr_str type = kr_at_str(spec, "type");

    if (type.n == 0 || kr_str_is(type, "ClusterIP"))
        return kr_get(spec, KR_S("externalIPs")).n > 0;
    return kr_str_is(type, "NodePort") || kr_str_is(type, "LoadBalancer");
}

/* A change that says nothing of the address keeps the one that was. */
static kr_val address_of(const struct sandbox_valid *c, kr_val v)
{
    kr_val address = kr_get(v, KR_S("clusterIP"));

    return kr_text(address).n ? address : kr_at(c->old, "spec.clusterIP");
}

static void check_addresses(struct sandbox_valid *c, kr_val v, kr_str type,
                            const struct sandbox_place *at)
{
    const struct sandbox_place *there = SANDBOX_MEMBER(at, KR_S("clusterIPs[0]"));
    kr_val address = address_of(c, v);

    if (kr_is_str(address, KR_S("None"))) {
        if (kr_str_is(type, "LoadBalancer") || kr_str_is(type, "NodePort"))
            sandbox_invalid(
                c, there, address,
                kr_fmt(c->a, "may not be set to 'None' for " KR_FMT " services", KR_ARG(type)).s);
    } else {
        sandbox_ip_check(c, there, address);
    }
}

/* A name elsewhere, which may end with a dot; such a Service has no addresses. */
static void check_external_name(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    static const char *const lists[] = {"clusterIPs", "ipFamilies"};
    const struct sandbox_place *there = SANDBOX_MEMBER(at, KR_S("externalName"));
    kr_str name = kr_at_str(v, "externalName");

    if (name.n && name.s[name.n - 1] == '.')
        name.n--;
    for (size_t i = 0; i < KR_N(lists); i++) {
        if (kr_get(v, kr_str_c(lists[i])).n || (i == 0 && kr_at_str(v, "clusterIP").n))
            sandbox_forbidden(c, SANDBOX_MEMBER(at, kr_str_c(lists[i])), NAME_ONLY_TEXT);
    }
    if (kr_get(v, KR_S("ipFamilyPolicy")).kind == KR_STRING)
        sandbox_forbidden(c, SANDBOX_MEMBER(at, KR_S("ipFamilyPolicy")), NAME_ONLY_TEXT);
    if (name.n == 0)
        sandbox_required(c, there, "");
    else
        sandbox_word_check(c, there, SANDBOX_SUBDOMAIN, name);
}

static void check_service(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    const struct sandbox_place *policy_at = SANDBOX_MEMBER(at, KR_S("externalTrafficPolicy"));
    kr_str type = kr_at_str(v, "type");
    kr_val ports = kr_get(v, KR_S("ports")), policy = kr_get(v, KR_S("externalTrafficPolicy"));
    bool inside = type.n == 0 || kr_str_is(type, "ClusterIP"),
         name_only = kr_str_is(type, "ExternalName");

    if (ports.n == 0 && !name_only && !kr_is_str(address_of(c, v), KR_S("None")))
        sandbox_required(c, SANDBOX_MEMBER(at, KR_S("ports")), "");
    check_service_ports(c, ports, inside, SANDBOX_MEMBER(at, KR_S("ports")));
    if (name_only)
        check_external_name(c, v, at);
    else
        check_addresses(c, v, type, at);
    if (kr_text(policy).n && !sandbox_service_is_open(v))
        sandbox_invalid(c, policy_at, policy, "may only be set for externally-accessible services");
    else if (kr_text(policy).n)
        sandbox_one_of(c, policy_at, policy, "Cluster,Local");
}

SANDBOX_SHAPE(
    service_spec, check_service, SANDBOX_R_OF(EACH, "ports", service_port),
    SANDBOX_R_SAYS(ONE_OF, "type", "ClusterIP,ExternalName,LoadBalancer,NodePort"),
    SANDBOX_R(LABELS, "selector"), SANDBOX_R_SAYS(ONE_OF, "sessionAffinity", "ClientIP,None"),
    SANDBOX_R_SAYS(ONE_OF, "internalTrafficPolicy", "Cluster,Local"),
    SANDBOX_R_SAYS(ONE_OF, "ipFamilyPolicy", "PreferDualStack,RequireDualStack,SingleStack"),
    SANDBOX_R_SAYS(EACH_ONE_OF, "ipFamilies", "IPv4,IPv6"), SANDBOX_R(EACH_IP, "externalIPs"));

/* --- Ingresses -------------------------------------------------------------------------------- */

static void check_backend(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    kr_val service = kr_get(v, KR_S("service")), port = kr_get(service, KR_S("port"));
    bool name = kr_at_str(port, "name").n > 0, number = !sandbox_is_empty(kr_at(port, "number")),
         own = service.kind == KR_MAP, other = kr_get(v, KR_S("resource")).kind == KR_MAP;

    if (own && other)
        sandbox_invalid(c, at, KR_V_STR(""), "cannot set both resource and service backends");
    else if (!own && !other)
        sandbox_invalid(c, at, KR_V_STR(""), "resource or service backend is required");
    else if (name && number)
        sandbox_invalid(c, at, KR_V_STR(""), "cannot set both port name & port number");
    else if (own && !name && !number)
        sandbox_required(c, at, ": port name or number is required");
}

SANDBOX_SHAPE(backend_port, NULL, SANDBOX_R(PORT, "number"),
              SANDBOX_R_WORD("name", SANDBOX_PORT_NAME));
SANDBOX_SHAPE(backend_service, NULL, SANDBOX_R(REQUIRED, "name"),
              SANDBOX_R_WORD("name", SANDBOX_LABEL), SANDBOX_R_OF(OBJECT, "port", backend_port));
SANDBOX_SHAPE(backend_resource, NULL, SANDBOX_R(REQUIRED, "kind"), SANDBOX_R(REQUIRED, "name"));
SANDBOX_SHAPE(backend, check_backend, SANDBOX_R_OF(OBJECT, "service", backend_service),
              SANDBOX_R_OF(OBJECT, "resource", backend_resource));

static void check_path(struct sandbox_valid *c, kr_val path, bool exact,
                       const struct sandbox_place *at)
{
    static const char *const never[] = {"//", "/./", "/../", "%2f", "%2F"};
    static const char *const never_last[] = {"/..", "/."};
    kr_str text = kr_text(path);

    if (text.n ? text.s[0] != '/' : exact)
        sandbox_invalid(c, at, kr_string(text), "must be an absolute path");
    for (size_t i = 0; exact && i < KR_N(never); i++) {
        if (kr_str_find(text, kr_str_c(never[i])) >= 0)
            sandbox_invalid(c, at, path, kr_fmt(c->a, "must not contain '%s'", never[i]).s);
    }
    for (size_t i = 0; exact && i < KR_N(never_last); i++) {
        if (kr_str_ends(text, kr_str_c(never_last[i])))
            sandbox_invalid(c, at, path, kr_fmt(c->a, "cannot end with '%s'", never_last[i]).s);
    }
}

/* Without a type the server looks no further. */
static void check_ingress_path(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    kr_str type = kr_at_str(v, "pathType");
    bool exact = kr_str_is(type, "Prefix") || kr_str_is(type, "Exact");

    if (type.n == 0)
        return;
    if (exact || kr_str_is(type, "ImplementationSpecific"))
        check_path(c, kr_get(v, KR_S("path")), exact, SANDBOX_MEMBER(at, KR_S("path")));
    sandbox_shape_check(c, &backend, kr_get(v, KR_S("backend")),
                        SANDBOX_MEMBER(at, KR_S("backend")));
}

SANDBOX_SHAPE(ingress_path, check_ingress_path,
              SANDBOX_R_SAYS(REQUIRED, "pathType", ": pathType must be specified"),
              SANDBOX_R_SAYS(ONE_OF, "pathType", "Exact,ImplementationSpecific,Prefix"));
SANDBOX_SHAPE(ingress_http, NULL, SANDBOX_R(REQUIRED, "paths"),
              SANDBOX_R_OF(EACH, "paths", ingress_path));

#define WILDCARD_TEXT                                                                              \
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, "      \
    "which must consist of lower case alphanumeric characters, '-' or '.' and end with an "        \
    "alphanumeric character (e.g. '*.example.com', regex used for validation is "                  \
    "'\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"

static void check_host(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    kr_val host = kr_get(v, KR_S("host"));
    kr_str text = kr_text(host);
    bool wild = kr_str_starts(text, KR_S("*."));

    if (text.n == 0)
        return;
    if (sandbox_is_ip(text))
        sandbox_invalid(c, SANDBOX_MEMBER(at, KR_S("host")), host,
                        "must be a DNS name, not an IP address");
    else if (kr_str_chr(text, '*') < 0)
        sandbox_word_check(c, SANDBOX_MEMBER(at, KR_S("host")), SANDBOX_SUBDOMAIN, text);
    else if (!wild || sandbox_word_fault(SANDBOX_SUBDOMAIN, kr_str_sub(text, 2, text.n)))
        sandbox_invalid(c, SANDBOX_MEMBER(at, KR_S("host")), host, WILDCARD_TEXT);
}

SANDBOX_SHAPE(ingress_rule, check_host, SANDBOX_R_OF(OBJECT, "http", ingress_http));

static void check_ingress(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    if (kr_get(v, KR_S("rules")).n == 0 && kr_get(v, KR_S("defaultBackend")).kind != KR_MAP)
        sandbox_invalid(c, at, KR_V_NULL, "either `defaultBackend` or `rules` must be specified");
}

SANDBOX_SHAPE(ingress_spec, check_ingress, SANDBOX_R_OF(EACH, "rules", ingress_rule),
              SANDBOX_R_OF(OBJECT, "defaultBackend", backend),
              SANDBOX_R_WORD("ingressClassName", SANDBOX_SUBDOMAIN));

/* --- scaling and disruption ------------------------------------------------------------------- */

static void check_scaler(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    kr_val most = kr_get(v, KR_S("maxReplicas")), least = kr_get(v, KR_S("minReplicas"));
    const struct sandbox_place *there = SANDBOX_MEMBER(at, KR_S("maxReplicas"));

    if (most.kind != KR_INT)
        most = kr_int(0);
    if (most.i == 0)
        sandbox_required(c, there, ": must be set and greater than 0");
    else if (most.i < 0)
        sandbox_invalid(c, there, most, "must be greater than or equal to 1");
    if (most.i < (least.kind == KR_INT ? least.i : 1))
        sandbox_invalid(c, there, most, "must be greater than or equal to `minReplicas`");
    if (least.kind == KR_INT && least.i == 0 && kr_get(v, KR_S("metrics")).n == 0)
        sandbox_forbidden(c, SANDBOX_MEMBER(at, KR_S("metrics")),
                          "must specify at least one Object or External metric to support scaling "
                          "to zero replicas");
}

/* Of what can be scaled, ReplicationControllers alone are in the group without a name. */
static void check_scale_target(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    kr_str version = kr_at_str(v, "apiVersion");

    if (kr_str_chr(version, '/') < 0 && !kr_str_is(kr_at_str(v, "kind"), "ReplicationController"))
        sandbox_invalid(c, SANDBOX_MEMBER(at, KR_S("apiVersion")), kr_string(version),
                        "apiVersion must specify API group");
}

SANDBOX_SHAPE(scale_target, check_scale_target, SANDBOX_R(REQUIRED, "kind"),
              SANDBOX_R(REQUIRED, "name"), SANDBOX_R_WORD("kind", SANDBOX_SEGMENT),
              SANDBOX_R_WORD("name", SANDBOX_SEGMENT));
SANDBOX_SHAPE(scaler_spec, check_scaler, SANDBOX_R_OF(OBJECT, "scaleTargetRef", scale_target),
              SANDBOX_R_FROM("minReplicas", 1));

/* The server shows its own struct. */
static void check_budget(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    kr_val least = kr_get(v, KR_S("minAvailable")), most = kr_get(v, KR_S("maxUnavailable")),
           selector = kr_get(v, KR_S("selector"));

    check_percent(c, least, SANDBOX_MEMBER(at, KR_S("minAvailable")));
    check_percent(c, most, SANDBOX_MEMBER(at, KR_S("maxUnavailable")));
    if (least.kind == KR_NONE || most.kind == KR_NONE)
        return;
    selector = selector.kind == KR_NONE ? KR_V_NULL : selector;
    sandbox_refuse(c, "FieldValueInvalid", at,
                   kr_fmt(c->a,
                          "Invalid value: {\"MinAvailable\":" KR_FMT ",\"Selector\":" KR_FMT
                          ",\"MaxUnavailable\":" KR_FMT ",\"UnhealthyPodEvictionPolicy\":null}: "
                          "minAvailable and maxUnavailable cannot be both set",
                          KR_ARG(kr_json_str(c->a, least)), KR_ARG(kr_json_str(c->a, selector)),
                          KR_ARG(kr_json_str(c->a, most))));
}

SANDBOX_SHAPE(budget_spec, check_budget, SANDBOX_R(AMOUNT, "minAvailable"),
              SANDBOX_R(AMOUNT, "maxUnavailable"));

/* --- access ----------------------------------------------------------------------------------- */

/* A rule is about resources or about other paths, which a namespace has not. */
static void check_access(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    const struct sandbox_place *urls_at = SANDBOX_MEMBER(at, KR_S("nonResourceURLs"));
    kr_val urls = kr_get(v, KR_S("nonResourceURLs"));
    bool groups = kr_get(v, KR_S("apiGroups")).n > 0,
         resources = kr_get(v, KR_S("resources")).n > 0;

    if (kr_get(v, KR_S("verbs")).n == 0)
        sandbox_required(c, SANDBOX_MEMBER(at, KR_S("verbs")),
                         ": verbs must contain at least one value");
    if (urls.n && kr_str_is(c->kind, "Role"))
        sandbox_invalid(c, urls_at, urls, "namespaced rules cannot apply to non-resource URLs");
    if (urls.n && (groups || resources || kr_get(v, KR_S("resourceNames")).n))
        sandbox_invalid(c, urls_at, urls,
                        "rules cannot apply to both regular resources and non-resource URLs");
    if (urls.n)
        return;
    if (!groups)
        sandbox_required(c, SANDBOX_MEMBER(at, KR_S("apiGroups")),
                         ": resource rules must supply at least one api group");
    if (!resources)
        sandbox_required(c, SANDBOX_MEMBER(at, KR_S("resources")),
                         ": resource rules must supply at least one resource");
}

static const struct sandbox_shape access_rule = {NULL, 0, check_access};

#define ACCESS_GROUP "rbac.authorization.k8s.io"

static void check_role_ref(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    sandbox_one_of(c, SANDBOX_MEMBER(at, KR_S("kind")), kr_string(kr_at_str(v, "kind")),
                   kr_str_is(c->kind, "ClusterRoleBinding") ? "ClusterRole" : "Role,ClusterRole");
}

SANDBOX_SHAPE(role_ref, check_role_ref, SANDBOX_R_SAYS(ONE_OF, "apiGroup", ACCESS_GROUP),
              SANDBOX_R(REQUIRED, "name"), SANDBOX_R_WORD("name", SANDBOX_SEGMENT));

static void check_subject(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    const struct sandbox_place *group_at = SANDBOX_MEMBER(at, KR_S("apiGroup"));
    kr_str kind = kr_at_str(v, "kind"), name = kr_at_str(v, "name");
    kr_val group = kr_get(v, KR_S("apiGroup"));
    bool account = kr_str_is(kind, "ServiceAccount"),
         person = kr_str_is(kind, "User") || kr_str_is(kind, "Group");

    sandbox_one_of(c, SANDBOX_MEMBER(at, KR_S("kind")), kr_string(kind),
                   "ServiceAccount,User,Group");
    if (account && name.n)
        sandbox_word_check(c, SANDBOX_MEMBER(at, KR_S("name")), SANDBOX_SUBDOMAIN, name);
    if ((account || person) && kr_text(group).n)
        sandbox_one_of(c, group_at, group, account ? "" : ACCESS_GROUP);
    if (account && kr_str_is(c->kind, "ClusterRoleBinding") && kr_at_str(v, "namespace").n == 0)
        sandbox_required(c, SANDBOX_MEMBER(at, KR_S("namespace")), "");
}

SANDBOX_SHAPE(subject, check_subject, SANDBOX_R(REQUIRED, "name"));

/* --- networks --------------------------------------------------------------------------------- */

static void check_peer(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    if (v.n == 0)
        sandbox_required(c, at, ": must specify a peer");
}

static const struct sandbox_shape peer = {NULL, 0, check_peer};
SANDBOX_SHAPE(policy_port, NULL, SANDBOX_R(PORT_OR_NAME, "port"),
              SANDBOX_R_SAYS(ONE_OF, "protocol", "TCP,UDP,SCTP"));
SANDBOX_SHAPE(policy_rule, NULL, SANDBOX_R_OF(EACH, "ports", policy_port),
              SANDBOX_R_OF(EACH, "from", peer), SANDBOX_R_OF(EACH, "to", peer));

/* There are two types; of more the server says only that. */
static void check_policy(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    const struct sandbox_place *there = SANDBOX_MEMBER(at, KR_S("policyTypes"));
    kr_val types = kr_get(v, KR_S("policyTypes"));

    if (types.kind == KR_LIST && types.n > 2)
        sandbox_invalid(c, there, types, "may not specify more than two policyTypes");
    for (uint32_t i = 0; types.kind == KR_LIST && types.n <= 2 && i < types.n; i++)
        sandbox_one_of(c, SANDBOX_ITEM(there, i), types.list[i], "Ingress,Egress");
}

SANDBOX_SHAPE(policy_spec, check_policy, SANDBOX_R_OF(EACH, "ingress", policy_rule),
              SANDBOX_R_OF(EACH, "egress", policy_rule));

/* --- kinds ------------------------------------------------------------------------------------ */

SANDBOX_SHAPE(pod, NULL, SANDBOX_R_OF(OBJECT, "spec", sandbox_pod_spec));
SANDBOX_SHAPE(deployment, NULL, SANDBOX_R_OF(OBJECT, "spec", deployment_spec));
SANDBOX_SHAPE(workload, NULL, SANDBOX_R_OF(OBJECT, "spec", workload_spec));
SANDBOX_SHAPE(stateful, NULL, SANDBOX_R_OF(OBJECT, "spec", stateful_spec));
SANDBOX_SHAPE(daemons, NULL, SANDBOX_R_OF(OBJECT, "spec", daemon_spec));
SANDBOX_SHAPE(job, NULL, SANDBOX_R_OF(OBJECT, "spec", job_spec));
SANDBOX_SHAPE(cron, NULL, SANDBOX_R_OF(OBJECT, "spec", cron_spec));
SANDBOX_SHAPE(service, NULL, SANDBOX_R_OF(OBJECT, "spec", service_spec));
SANDBOX_SHAPE(claim, NULL, SANDBOX_R_OF(OBJECT, "spec", claim_spec));
SANDBOX_SHAPE(ingress, NULL, SANDBOX_R_OF(OBJECT, "spec", ingress_spec));
SANDBOX_SHAPE(scaler, NULL, SANDBOX_R_OF(OBJECT, "spec", scaler_spec));
SANDBOX_SHAPE(budget, NULL, SANDBOX_R_OF(OBJECT, "spec", budget_spec));
SANDBOX_SHAPE(policy, NULL, SANDBOX_R_OF(OBJECT, "spec", policy_spec));
SANDBOX_SHAPE(role, NULL, SANDBOX_R_OF(EACH, "rules", access_rule));
SANDBOX_SHAPE(binding, NULL, SANDBOX_R_OF(OBJECT, "roleRef", role_ref),
              SANDBOX_R_OF(EACH, "subjects", subject));

const struct sandbox_shape *sandbox_shape_of(kr_str kind)
{
    static const struct {
        const char *kind;
        const struct sandbox_shape *shape;
    } kinds[] = {
        {"Pod", &pod},
        {"Deployment", &deployment},
        {"ReplicaSet", &workload},
        {"StatefulSet", &stateful},
        {"DaemonSet", &daemons},
        {"Job", &job},
        {"CronJob", &cron},
        {"Service", &service},
        {"PersistentVolumeClaim", &claim},
        {"Ingress", &ingress},
        {"HorizontalPodAutoscaler", &scaler},
        {"PodDisruptionBudget", &budget},
        {"NetworkPolicy", &policy},
        {"Role", &role},
        {"ClusterRole", &role},
        {"RoleBinding", &binding},
        {"ClusterRoleBinding", &binding},
    };

    for (size_t i = 0; i < KR_N(kinds); i++) {
        if (kr_str_eq(kr_str_c(kinds[i].kind), kind))
            return kinds[i].shape;
    }
    return NULL;
}
