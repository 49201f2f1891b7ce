/* SPDX-License-Identifier: Apache-2.0 */
/* pods.c - the rules of pods: containers, their ports, variables, mounts, probes; volumes.
 *
 * Source: kubernetes pkg/apis/core/validation.
 */
#include "cel/quantity.h"
#include "kube/sandbox/internal.h"
#include "kube/sandbox/shapes.h"

#include "cel/base/banned.h"

#define MORE_THAN_ONE "may not have more than one field specified at a time"

/* How many of the members are there; the last of them. */
static uint32_t count(kr_val v, const char *const *members, size_t n, const char **last)
{
    uint32_t found = 0;

    for (size_t i = 0; i < n; i++) {
        kr_val member = kr_get(v, kr_str_c(members[i]));

        if (member.kind == KR_NONE || member.kind == KR_NULL)
            continue;
        *last = members[i];
        found++;
    }
    return found;
}

static void one_handler(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at,
                        const char *const *members, size_t n)
{
    const char *last = NULL;
    uint32_t found = count(v, members, n, &last);

    if (found == 0)
        sandbox_required(c, at, ": must specify a handler type");
    else if (found > 1)
        sandbox_forbidden(c, SANDBOX_MEMBER(at, kr_str_c(last)),
                          "may not specify more than 1 handler type");
}

/* --- probes ----------------------------------------------------------------------------------- */

static void check_port(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    kr_val port = kr_get(v, KR_S("port"));

    if (port.kind == KR_NONE || port.kind == KR_NULL)
        sandbox_port_check(c, SANDBOX_MEMBER(at, KR_S("port")), port);
}

SANDBOX_SHAPE(exec, NULL, SANDBOX_R(REQUIRED, "command"));
SANDBOX_SHAPE(http_get, check_port, SANDBOX_R(PORT_OR_NAME, "port"),
              SANDBOX_R_SAYS(ONE_OF, "scheme", "HTTP,HTTPS"));
SANDBOX_SHAPE(tcp_socket, check_port, SANDBOX_R(PORT_OR_NAME, "port"));
SANDBOX_SHAPE(grpc, check_port, SANDBOX_R_TO("port", 1, 65535));

#define HANDLERS                                                                                   \
    SANDBOX_R_OF(OBJECT, "exec", exec), SANDBOX_R_OF(OBJECT, "httpGet", http_get),                 \
        SANDBOX_R_OF(OBJECT, "tcpSocket", tcp_socket)
#define PROBE                                                                                      \
    HANDLERS, SANDBOX_R_OF(OBJECT, "grpc", grpc), SANDBOX_R_FROM("initialDelaySeconds", 0),        \
        SANDBOX_R_FROM("timeoutSeconds", 0), SANDBOX_R_FROM("periodSeconds", 0),                   \
        SANDBOX_R_FROM("successThreshold", 0), SANDBOX_R_FROM("failureThreshold", 0)

static void check_probe(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    static const char *const handlers[] = {"exec", "httpGet", "tcpSocket", "grpc"};

    one_handler(c, v, at, handlers, KR_N(handlers));
}

/* One success says that it lives. */
static void check_life_probe(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    kr_val successes = kr_get(v, KR_S("successThreshold"));

    check_probe(c, v, at);
    if (successes.kind == KR_INT && successes.i != 0 && successes.i != 1)
        sandbox_invalid(c, SANDBOX_MEMBER(at, KR_S("successThreshold")), successes, "must be 1");
}

static void check_hook(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    static const char *const handlers[] = {"exec", "httpGet", "tcpSocket", "sleep"};

    one_handler(c, v, at, handlers, KR_N(handlers));
}

SANDBOX_SHAPE(probe, check_probe, PROBE);
SANDBOX_SHAPE(life_probe, check_life_probe, PROBE);
SANDBOX_SHAPE(hook, check_hook, HANDLERS);
SANDBOX_SHAPE(lifecycle, NULL, SANDBOX_R_OF(OBJECT, "postStart", hook),
              SANDBOX_R_OF(OBJECT, "preStop", hook));

/* --- variables -------------------------------------------------------------------------------- */

static void check_variable(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    static const char *const sources[] = {"fieldRef", "resourceFieldRef", "configMapKeyRef",
                                          "secretKeyRef", "fileKeyRef"};
    kr_val from = kr_get(v, KR_S("valueFrom"));
    const char *text = NULL, *last;
    uint32_t n;

    if (from.kind != KR_MAP)
        return;
    n = count(from, sources, KR_N(sources), &last);
    if (n == 0)
        text = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, "
               "`secretKeyRef` or `fileKeyRef`";
    else if (kr_at_str(v, "value").n)
        text = "may not be specified when `value` is not empty";
    else if (n > 1)
        text = MORE_THAN_ONE;
    if (text)
        sandbox_invalid(c, SANDBOX_MEMBER(at, KR_S("valueFrom")), KR_V_STR(""), text);
}

/* The server names the list alone. */
static void check_variables(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    static const char *const sources[] = {"configMapRef", "secretRef"};
    const char *last;
    uint32_t n = count(v, sources, KR_N(sources), &last);

    if (n != 1)
        sandbox_invalid(c, at->up, KR_V_STR(""),
                        n ? MORE_THAN_ONE : "must specify one of: `configMapRef` or `secretRef`");
}

static void check_key_name(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    sandbox_word_check(c, SANDBOX_MEMBER(at, KR_S("name")), SANDBOX_SUBDOMAIN,
                       kr_at_str(v, "name"));
}

SANDBOX_SHAPE(key_ref, check_key_name, SANDBOX_R(REQUIRED, "key"),
              SANDBOX_R_WORD("key", SANDBOX_CONFIG_KEY));
SANDBOX_SHAPE(field_ref, NULL, SANDBOX_R(REQUIRED, "fieldPath"));
static void check_resource_ref(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    kr_val resource = kr_get(v, KR_S("resource"));

    if (kr_text(resource).n && kr_str_find(kr_text(resource), KR_S("hugepages-")) < 0)
        sandbox_one_of(c, SANDBOX_MEMBER(at, KR_S("resource")), resource,
                       "limits.cpu,limits.ephemeral-storage,limits.memory,requests.cpu,"
                       "requests.ephemeral-storage,requests.memory");
}

SANDBOX_SHAPE(resource_ref, check_resource_ref, SANDBOX_R(REQUIRED, "resource"));
SANDBOX_SHAPE(value_from, NULL, SANDBOX_R_OF(OBJECT, "configMapKeyRef", key_ref),
              SANDBOX_R_OF(OBJECT, "secretKeyRef", key_ref),
              SANDBOX_R_OF(OBJECT, "fieldRef", field_ref),
              SANDBOX_R_OF(OBJECT, "resourceFieldRef", resource_ref));
SANDBOX_SHAPE(variable, check_variable, SANDBOX_R(REQUIRED, "name"),
              SANDBOX_R_WORD("name", SANDBOX_ENV_NAME),
              SANDBOX_R_OF(OBJECT, "valueFrom", value_from));
SANDBOX_SHAPE(map_ref, NULL, SANDBOX_R(REQUIRED, "name"),
              SANDBOX_R_WORD("name", SANDBOX_SUBDOMAIN));
SANDBOX_SHAPE(variables, check_variables, SANDBOX_R_WORD("prefix", SANDBOX_ENV_NAME),
              SANDBOX_R_OF(OBJECT, "configMapRef", map_ref),
              SANDBOX_R_OF(OBJECT, "secretRef", map_ref));

/* --- resources -------------------------------------------------------------------------------- */

static bool is_listed(const char *const *names, size_t n, kr_str name)
{
    for (size_t i = 0; i < n; i++) {
        if (kr_str_eq(kr_str_c(names[i]), name))
            return true;
    }
    return false;
}

static void check_resource_name(struct sandbox_valid *c, kr_str name,
                                const struct sandbox_place *at)
{
    static const char *const ours[] = {"cpu", "memory", "ephemeral-storage"};
    static const char *const standard[] = {"storage",
                                           "pods",
                                           "services",
                                           "secrets",
                                           "configmaps",
                                           "resourcequotas",
                                           "replicationcontrollers",
                                           "persistentvolumeclaims",
                                           "requests.cpu",
                                           "requests.memory",
                                           "requests.storage",
                                           "limits.cpu",
                                           "limits.memory"};

    if (kr_str_chr(name, '/') >= 0 || is_listed(ours, KR_N(ours), name) ||
        kr_str_starts(name, KR_S("hugepages-")))
        return;
    if (!is_listed(standard, KR_N(standard), name))
        sandbox_invalid(c, at, kr_string(name),
                        "must be a standard resource type or fully qualified");
    sandbox_invalid(c, at, kr_string(name), "must be a standard resource for containers");
}

static kr_val canonical(struct sandbox_valid *c, const struct cel__quantity *q)
{
    return kr_string(cel__quantity_text(c->a, q));
}

/* Of those that others add, a node has whole ones, and as many are had as are asked for. */
static bool is_extended(kr_str name)
{
    return kr_str_chr(name, '/') >= 0 && kr_str_find(name, KR_S("kubernetes.io/")) < 0;
}

/* "requests[cpu]" */
static void check_amount(struct sandbox_valid *c, kr_str list, kr_str name, kr_val amount,
                         const struct sandbox_place *at)
{
    kr_str member = kr_fmt(c->a, KR_FMT "[" KR_FMT "]", KR_ARG(list), KR_ARG(name));
    const struct sandbox_place *there = SANDBOX_MEMBER(at, member);
    struct cel__quantity q;
    int64_t whole;

    check_resource_name(c, name, there);
    if (!sandbox_quantity(c, amount, &q))
        return;
    if (cel__quantity_sign(&q) < 0)
        sandbox_invalid(c, there, canonical(c, &q), "must be greater than or equal to 0");
    if (is_extended(name) && !cel__quantity_int(&q, &whole))
        sandbox_invalid(c, there, canonical(c, &q), "must be an integer");
}

static void check_request(struct sandbox_valid *c, kr_str name, kr_val amount, kr_val limit,
                          const struct sandbox_place *at)
{
    struct cel__quantity want, most;
    int order;

    if (is_extended(name) && limit.kind == KR_NONE)
        sandbox_required(c, SANDBOX_MEMBER(at, KR_S("limits")),
                         ": Limit must be set for non overcommitable resources");
    if (!sandbox_quantity(c, amount, &want) || !sandbox_quantity(c, limit, &most))
        return;
    order = cel__quantity_compare(&want, &most);
    if (is_extended(name) ? order == 0 : order <= 0)
        return;
    sandbox_invalid(c, SANDBOX_MEMBER(at, KR_S("requests")), canonical(c, &want),
                    kr_fmt(c->a, "must be %s " KR_FMT " limit of " KR_FMT,
                           is_extended(name) ? "equal to" : "less than or equal to", KR_ARG(name),
                           KR_ARG(cel__quantity_text(c->a, &most)))
                        .s);
}

/* What is limited and not requested is requested as it is limited. */
static void check_resources(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    kr_val limits = kr_get(v, KR_S("limits")), requests = kr_get(v, KR_S("requests"));

    KR_MAP_EACH (p, limits) {
        check_amount(c, KR_S("limits"), kr_text(p->key), p->val, at);
        if (kr_get(requests, kr_text(p->key)).kind == KR_NONE)
            check_amount(c, KR_S("requests"), kr_text(p->key), p->val, at);
    }
    KR_MAP_EACH (p, requests) {
        check_amount(c, KR_S("requests"), kr_text(p->key), p->val, at);
        check_request(c, kr_text(p->key), p->val, kr_get(limits, kr_text(p->key)), at);
    }
}

static const struct sandbox_shape resources = {NULL, 0, check_resources};

/* --- containers ------------------------------------------------------------------------------- */

enum { ID_MAX = 2147483647 };

SANDBOX_SHAPE(port, NULL, SANDBOX_R(REQUIRED, "containerPort"), SANDBOX_R(PORT, "containerPort"),
              SANDBOX_R(PORT, "hostPort"), SANDBOX_R_WORD("name", SANDBOX_PORT_NAME),
              SANDBOX_R_SAYS(ONE_OF, "protocol", "SCTP,TCP,UDP"));
SANDBOX_SHAPE(mount, NULL, SANDBOX_R(REQUIRED, "name"), SANDBOX_R(REQUIRED, "mountPath"));
SANDBOX_SHAPE(container_security, NULL, SANDBOX_R_TO("runAsUser", 0, ID_MAX),
              SANDBOX_R_TO("runAsGroup", 0, ID_MAX));

static void check_no_steps_up(struct sandbox_valid *c, kr_str path, const struct sandbox_place *at)
{
    kr_str rest = path;

    while (rest.s) {
        if (!kr_str_is(kr_str_cut(&rest, '/'), ".."))
            continue;
        sandbox_invalid(c, at, kr_string(path), "must not contain '..'");
        return;
    }
}

/* Text that is a path below another. */
static void check_path_below(struct sandbox_valid *c, kr_str path, const struct sandbox_place *at)
{
    if (path.n && path.s[0] == '/')
        sandbox_invalid(c, at, kr_string(path), "must be a relative path");
    check_no_steps_up(c, path, at);
}

static void check_ports(struct sandbox_valid *c, kr_val ports, const struct sandbox_place *at)
{
    KR_AUTO(kr_map) seen = {0};

    for (uint32_t i = 0; ports.kind == KR_LIST && i < ports.n; i++) {
        kr_val name = kr_get(ports.list[i], KR_S("name"));

        if (kr_text(name).n && !sandbox__is_first(&seen, kr_text(name)))
            sandbox_duplicate(c, SANDBOX_MEMBER(SANDBOX_ITEM(at, i), KR_S("name")), name);
    }
}

static void check_container(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    kr_val image = kr_get(v, KR_S("image"));

    if (kr_str_trim(kr_text(image)).n != kr_text(image).n)
        sandbox_invalid(c, SANDBOX_MEMBER(at, KR_S("image")), image,
                        "must not have leading or trailing whitespace");
    check_ports(c, kr_get(v, KR_S("ports")), SANDBOX_MEMBER(at, KR_S("ports")));
}

/* One that ends before the pod begins has no life to look at. */
static void check_init_container(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    static const char *const never[] = {"lifecycle", "livenessProbe", "readinessProbe",
                                        "startupProbe"};

    check_container(c, v, at);
    if (kr_is_str(kr_get(v, KR_S("restartPolicy")), KR_S("Always")))
        return;
    for (size_t i = 0; i < KR_N(never); i++) {
        if (kr_get(v, kr_str_c(never[i])).kind == KR_MAP)
            sandbox_forbidden(c, SANDBOX_MEMBER(at, kr_str_c(never[i])),
                              "may not be set for init containers without restartPolicy=Always");
    }
}

#define CONTAINER                                                                                  \
    SANDBOX_R(REQUIRED, "name"), SANDBOX_R_WORD("name", SANDBOX_LABEL),                            \
        SANDBOX_R(REQUIRED, "image"),                                                              \
        SANDBOX_R_SAYS(ONE_OF, "imagePullPolicy", "Always,IfNotPresent,Never"),                    \
        SANDBOX_R_SAYS(ONE_OF, "restartPolicy", "Always,Never,OnFailure"),                         \
        SANDBOX_R_SAYS(ONE_OF, "terminationMessagePolicy", "File,FallbackToLogsOnError"),          \
        SANDBOX_R_OF(EACH, "ports", port), SANDBOX_R_OF(EACH, "env", variable),                    \
        SANDBOX_R_OF(EACH, "envFrom", variables), SANDBOX_R_OF(EACH, "volumeMounts", mount),       \
        SANDBOX_R_OF(OBJECT, "resources", resources),                                              \
        SANDBOX_R_OF(OBJECT, "livenessProbe", life_probe),                                         \
        SANDBOX_R_OF(OBJECT, "startupProbe", life_probe),                                          \
        SANDBOX_R_OF(OBJECT, "readinessProbe", probe),                                             \
        SANDBOX_R_OF(OBJECT, "lifecycle", lifecycle),                                              \
        SANDBOX_R_OF(OBJECT, "securityContext", container_security)

SANDBOX_SHAPE(container, check_container, CONTAINER);
SANDBOX_SHAPE(init_container, check_init_container, CONTAINER);

/* --- volumes ---------------------------------------------------------------------------------- */

static void check_file(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    check_path_below(c, kr_at_str(v, "path"), SANDBOX_MEMBER(at, KR_S("path")));
}

static void check_host_path(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    check_no_steps_up(c, kr_at_str(v, "path"), SANDBOX_MEMBER(at, KR_S("path")));
    sandbox_one_of(c, SANDBOX_MEMBER(at, KR_S("type")), kr_get(v, KR_S("type")),
                   ",BlockDevice,CharDevice,Directory,DirectoryOrCreate,File,FileOrCreate,Socket");
}

static void check_volume(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    static const char *const sources[] = {
        "emptyDir",  "hostPath",    "secret", "nfs", "iscsi",     "persistentVolumeClaim",
        "cephfs",    "downwardAPI", "fc",     "csi", "configMap", "projected",
        "ephemeral", "image"};
    const char *last = NULL;

    if (count(v, sources, KR_N(sources), &last) > 1)
        sandbox_forbidden(c, SANDBOX_MEMBER(at, kr_str_c(last)),
                          "may not specify more than 1 volume type");
}

SANDBOX_SHAPE(file, check_file, SANDBOX_R(REQUIRED, "key"), SANDBOX_R(REQUIRED, "path"),
              SANDBOX_R(MODE, "mode"));
SANDBOX_SHAPE(config_files, NULL, SANDBOX_R(REQUIRED, "name"), SANDBOX_R(MODE, "defaultMode"),
              SANDBOX_R_OF(EACH, "items", file));
SANDBOX_SHAPE(secret_files, NULL, SANDBOX_R(REQUIRED, "secretName"), SANDBOX_R(MODE, "defaultMode"),
              SANDBOX_R_OF(EACH, "items", file));
SANDBOX_SHAPE(claim, NULL, SANDBOX_R(REQUIRED, "claimName"));
SANDBOX_SHAPE(host_path, check_host_path, SANDBOX_R(REQUIRED, "path"));
SANDBOX_SHAPE(volume, check_volume, SANDBOX_R(REQUIRED, "name"),
              SANDBOX_R_WORD("name", SANDBOX_LABEL),
              SANDBOX_R_OF(OBJECT, "configMap", config_files),
              SANDBOX_R_OF(OBJECT, "secret", secret_files),
              SANDBOX_R_OF(OBJECT, "persistentVolumeClaim", claim),
              SANDBOX_R_OF(OBJECT, "hostPath", host_path));

/* Puts the names of the volumes into seen. A claim of a StatefulSet takes the place of volumes of its name. */
static void check_volumes(struct sandbox_valid *c, kr_val all, struct kr_map *seen,
                          const struct sandbox_place *at)
{
    KR_AUTO(kr_map) claims = {0};

    KR_LIST_EACH (one, c->claims)
        (void)sandbox__is_first(&claims, kr_at_str(*one, "metadata.name"));
    for (uint32_t i = 0; all.kind == KR_LIST && i < all.n; i++) {
        kr_val name = kr_get(all.list[i], KR_S("name"));

        if (kr_text(name).n && kr_map_get(&claims, kr_text(name)) == NULL &&
            !sandbox__is_first(seen, kr_text(name)))
            sandbox_duplicate(c, SANDBOX_MEMBER(SANDBOX_ITEM(at, i), KR_S("name")), name);
    }
    KR_LIST_EACH (one, c->claims)
        (void)sandbox__is_first(seen, kr_at_str(*one, "metadata.name"));
}

/* subPath and its like; the server leaves the number of the mount out. */
static void check_sub_path(struct sandbox_valid *c, kr_val one, const struct sandbox_place *all,
                           const struct sandbox_place *at)
{
    kr_val path = kr_get(one, KR_S("subPath")), expr = kr_get(one, KR_S("subPathExpr"));

    check_path_below(c, kr_text(path), SANDBOX_MEMBER(all, KR_S("subPath")));
    if (kr_text(path).n && kr_text(expr).n)
        sandbox_invalid(c, SANDBOX_MEMBER(at, KR_S("subPathExpr")), expr,
                        "subPathExpr and subPath are mutually exclusive");
    sandbox_one_of(c, SANDBOX_MEMBER(all, KR_S("mountPropagation")),
                   kr_get(one, KR_S("mountPropagation")), "Bidirectional,HostToContainer,None");
}

static void check_mounts(struct sandbox_valid *c, kr_val all, const struct kr_map *volumes,
                         const struct sandbox_place *at)
{
    KR_AUTO(kr_map) paths = {0};

    for (uint32_t i = 0; all.kind == KR_LIST && i < all.n; i++) {
        const struct sandbox_place *item = SANDBOX_ITEM(at, i);
        kr_val name = kr_get(all.list[i], KR_S("name")),
               path = kr_get(all.list[i], KR_S("mountPath"));

        if (kr_map_get(volumes, kr_text(name)) == NULL)
            sandbox_refuse(c, "FieldValueNotFound", SANDBOX_MEMBER(item, KR_S("name")),
                           kr_fmt(c->a, "Not found: \"" KR_FMT "\"", KR_ARG(kr_text(name))));
        if (kr_text(path).n && !sandbox__is_first(&paths, kr_text(path)))
            sandbox_invalid(c, SANDBOX_MEMBER(item, KR_S("mountPath")), path, "must be unique");
        check_sub_path(c, all.list[i], at, item);
    }
}

/* --- pods ------------------------------------------------------------------------------------- */

static void check_toleration(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    kr_val op = kr_get(v, KR_S("operator")), value = kr_get(v, KR_S("value")),
           effect = kr_get(v, KR_S("effect"));
    bool exists = kr_is_str(op, KR_S("Exists")), has_key = kr_at_str(v, "key").n > 0;
    const struct sandbox_place *there = SANDBOX_MEMBER(at, KR_S("operator"));

    if (!has_key && !exists)
        sandbox_invalid(c, there, kr_string(kr_text(op)),
                        "operator must be Exists when `key` is empty, which means \"match all "
                        "values and all keys\"");
    if (kr_get(v, KR_S("tolerationSeconds")).kind == KR_INT &&
        !kr_is_str(effect, KR_S("NoExecute")))
        sandbox_invalid(c, SANDBOX_MEMBER(at, KR_S("effect")), kr_string(kr_text(effect)),
                        "effect must be 'NoExecute' when `tolerationSeconds` is set");
    if (exists && kr_text(value).n)
        sandbox_invalid(c, there, value, "value must be empty when `operator` is 'Exists'");
    if (kr_is_str(op, KR_S("Lt")) || kr_is_str(op, KR_S("Gt"))) /* behind a gate that is closed */
        sandbox_unsupported(c, there, op, "Equal,Exists,Lt,Gt");
    else if (kr_text(op).n)
        sandbox_one_of(c, there, op, "Equal,Exists");
}

SANDBOX_SHAPE(toleration, check_toleration, SANDBOX_R_WORD("key", SANDBOX_KEY),
              SANDBOX_R_SAYS(ONE_OF, "effect", "NoSchedule,PreferNoSchedule,NoExecute"));
static void check_spread(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    kr_val skew = kr_get(v, KR_S("maxSkew")), when = kr_get(v, KR_S("whenUnsatisfiable"));

    if (skew.kind != KR_INT || skew.i <= 0)
        sandbox_invalid(c, SANDBOX_MEMBER(at, KR_S("maxSkew")),
                        skew.kind == KR_INT ? skew : kr_int(0), "must be greater than zero");
    sandbox_one_of(c, SANDBOX_MEMBER(at, KR_S("whenUnsatisfiable")), kr_string(kr_text(when)),
                   "DoNotSchedule,ScheduleAnyway");
}

SANDBOX_SHAPE(spread, check_spread, SANDBOX_R_SAYS(REQUIRED, "topologyKey", ": can not be empty"));
SANDBOX_SHAPE(node_terms, NULL,
              SANDBOX_R_SAYS(REQUIRED, "nodeSelectorTerms",
                             ": must have at least one node selector term"));
SANDBOX_SHAPE(node_affinity, NULL,
              SANDBOX_R_OF(OBJECT, "requiredDuringSchedulingIgnoredDuringExecution", node_terms));
SANDBOX_SHAPE(affinity, NULL, SANDBOX_R_OF(OBJECT, "nodeAffinity", node_affinity));
SANDBOX_SHAPE(pod_security, NULL, SANDBOX_R_TO("runAsUser", 0, ID_MAX),
              SANDBOX_R_TO("runAsGroup", 0, ID_MAX), SANDBOX_R_TO("fsGroup", 0, ID_MAX));

static void check_pod(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    static const char *const lists[] = {"containers", "initContainers"};
    KR_AUTO(kr_map) names = {0};
    KR_AUTO(kr_map) volumes = {0};

    check_volumes(c, kr_get(v, KR_S("volumes")), &volumes, SANDBOX_MEMBER(at, KR_S("volumes")));
    for (size_t l = 0; l < KR_N(lists); l++) {
        kr_val all = kr_get(v, kr_str_c(lists[l]));

        for (uint32_t i = 0; all.kind == KR_LIST && i < all.n; i++) {
            const struct sandbox_place *list = SANDBOX_MEMBER(at, kr_str_c(lists[l])),
                                       *item = SANDBOX_ITEM(list, i);
            kr_val name = kr_get(all.list[i], KR_S("name"));

            if (kr_text(name).n && !sandbox__is_first(&names, kr_text(name)))
                sandbox_duplicate(c, SANDBOX_MEMBER(item, KR_S("name")), name);
            check_mounts(c, kr_get(all.list[i], KR_S("volumeMounts")), &volumes,
                         SANDBOX_MEMBER(item, KR_S("volumeMounts")));
        }
    }
    if (kr_is_str(kr_get(v, KR_S("dnsPolicy")), KR_S("None")) &&
        kr_at(v, "dnsConfig").kind != KR_MAP)
        sandbox_required(c, SANDBOX_MEMBER(at, KR_S("dnsConfig")),
                         ": must provide `dnsConfig` when `dnsPolicy` is None");
}

#define POD                                                                                        \
    SANDBOX_R_OF(EACH, "volumes", volume), SANDBOX_R(REQUIRED, "containers"),                      \
        SANDBOX_R_OF(EACH, "containers", container),                                               \
        SANDBOX_R_OF(EACH, "initContainers", init_container),                                      \
        SANDBOX_R_SAYS(ONE_OF, "dnsPolicy", "ClusterFirstWithHostNet,ClusterFirst,Default,None"),  \
        SANDBOX_R(LABELS, "nodeSelector"), SANDBOX_R_OF(OBJECT, "securityContext", pod_security),  \
        SANDBOX_R_WORD("serviceAccountName", SANDBOX_SUBDOMAIN),                                   \
        SANDBOX_R_WORD("nodeName", SANDBOX_SUBDOMAIN),                                             \
        SANDBOX_R_OF(EACH, "tolerations", toleration),                                             \
        SANDBOX_R_OF(EACH, "topologySpreadConstraints", spread),                                   \
        SANDBOX_R_OF(OBJECT, "affinity", affinity)
#define POD_NAMES                                                                                  \
    SANDBOX_R_WORD("hostname", SANDBOX_LABEL), SANDBOX_R_WORD("subdomain", SANDBOX_LABEL)
#define POD_THAT_ENDS                                                                              \
    POD, POD_NAMES, SANDBOX_R_TO("activeDeadlineSeconds", 1, ID_MAX),                              \
        SANDBOX_R_SAYS(ONE_OF, "restartPolicy", "Always,OnFailure,Never")

static void check_lasting_pod(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    check_pod(c, v, at);
    sandbox_one_of(c, SANDBOX_MEMBER(at, KR_S("restartPolicy")), kr_get(v, KR_S("restartPolicy")),
                   "Always");
    if (kr_get(v, KR_S("activeDeadlineSeconds")).kind == KR_INT)
        sandbox_forbidden(c, SANDBOX_MEMBER(at, KR_S("activeDeadlineSeconds")),
                          kr_str_is(c->kind, "StatefulSet")
                              ? "activeDeadlineSeconds in StatefulSet is not Supported"
                          : kr_str_is(c->kind, "DaemonSet")
                              ? "activeDeadlineSeconds in DaemonSet is not Supported"
                              : "activeDeadlineSeconds in ReplicaSet is not Supported");
}

/* Jobs end: their pods must not be started again for ever. */
static void check_ending_pod(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    const struct sandbox_place *there = SANDBOX_MEMBER(at, KR_S("restartPolicy"));
    kr_val policy = kr_get(v, KR_S("restartPolicy"));

    check_pod(c, v, at);
    if (kr_text(policy).n == 0 || kr_is_str(policy, KR_S("Always")))
        sandbox_required(c, there, ": valid values: \"OnFailure\", \"Never\"");
    else
        sandbox_one_of(c, there, policy, "OnFailure,Never");
}

/* The server leaves "metadata" out. */
static void check_template(struct sandbox_valid *c, kr_val v, const struct sandbox_place *at)
{
    sandbox_labels_check(c, SANDBOX_MEMBER(at, KR_S("labels")), kr_at(v, "metadata.labels"));
    KR_MAP_EACH (p, kr_at(v, "metadata.annotations"))
        sandbox_word_check(c, SANDBOX_MEMBER(at, KR_S("annotations")), SANDBOX_ANNOTATION_KEY,
                           kr_text(p->key));
}

static const struct sandbox_rule pod_rules[] = {POD_THAT_ENDS};
SANDBOX_SHAPE(lasting_pod, check_lasting_pod, POD, POD_NAMES);
SANDBOX_SHAPE(named_pod, check_lasting_pod, POD);
SANDBOX_SHAPE(ending_pod, check_ending_pod, POD_THAT_ENDS);

static const struct sandbox_rule lasting_rules[] = {SANDBOX_R_OF(OBJECT, "spec", lasting_pod)};
static const struct sandbox_rule named_rules[] = {SANDBOX_R_OF(OBJECT, "spec", named_pod)};
static const struct sandbox_rule ending_rules[] = {SANDBOX_R_OF(OBJECT, "spec", ending_pod)};

const struct sandbox_shape sandbox_pod_spec = {pod_rules, KR_N(pod_rules), check_pod};
const struct sandbox_shape sandbox_pod_template = {lasting_rules, 1, check_template};
const struct sandbox_shape sandbox_pod_named_template = {named_rules, 1, check_template};
const struct sandbox_shape sandbox_pod_job_template = {ending_rules, 1, check_template};
