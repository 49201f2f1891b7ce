/* SPDX-License-Identifier: Apache-2.0 */
/* valid.c - the rules of built-in types that users break most. */
#include "kube/sandbox/valid.h"

#include "cel/base/digest.h"
#include "cel/base/json.h"
#include "cel/gojson.h"
#include "kube/sandbox/internal.h"
#include "kube/sandbox/structural.h"

#include "cel/base/banned.h"

struct valid {
    struct kr_arena *a;
    struct kr_listb causes;
};

static void refuse(struct valid *c, const char *reason, kr_str field, kr_str message)
{
    if (c->causes.n < SANDBOX_CAUSES_MAX)
        kr_listb_add(&c->causes, sandbox__cause(c->a, reason, message, field));
}

static void required(struct valid *c, kr_str field, const char *more)
{
    refuse(c, "FieldValueRequired", field, kr_fmt(c->a, "Required value%s", more));
}

static kr_str under(struct valid *c, kr_str path, const char *name)
{
    return kr_fmt(c->a, KR_FMT ".%s", KR_ARG(path), name);
}

/* --- pods ------------------------------------------------------------------------------------- */

static void check_container(struct valid *c, kr_val container, struct kr_map *seen, kr_str path)
{
    kr_val name = kr_get(container, KR_S("name"));

    if (kr_text(name).n == 0)
        required(c, under(c, path, "name"), "");
    else if (!sandbox__is_first(seen, kr_text(name)))
        refuse(c, "FieldValueDuplicate", under(c, path, "name"),
               kr_fmt(c->a, "Duplicate value: " KR_FMT, KR_ARG(kr_json_str(c->a, name))));
    if (kr_at_str(container, "image").n == 0)
        required(c, under(c, path, "image"), "");
}

static void check_pod(struct valid *c, kr_val spec, kr_str path)
{
    static const char *const lists[] = {"containers", "initContainers"};

    if (kr_get(spec, KR_S("containers")).n == 0)
        required(c, under(c, path, "containers"), "");
    for (size_t l = 0; l < KR_N(lists); l++) {
        kr_val all = kr_get(spec, kr_str_c(lists[l]));
        KR_AUTO(kr_map) seen = {0};

        for (uint32_t i = 0; all.kind == KR_LIST && i < all.n; i++)
            check_container(c, all.list[i], &seen,
                            kr_fmt(c->a, KR_FMT ".%s[%u]", KR_ARG(path), lists[l], i));
    }
}

/* --- workloads -------------------------------------------------------------------------------- */

#define STATEFUL_TEXT                                                                              \
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "       \
    "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "        \
    "'minReadySeconds' are forbidden"

static bool has_labels(kr_val labels, kr_val wanted)
{
    KR_MAP_EACH (p, wanted) {
        if (!kr_equal(kr_get(labels, kr_text(p->key)), p->val))
            return false;
    }
    return true;
}

/* What messages call the kind. */
static const char *word_of(kr_str kind)
{
    return kr_str_is(kind, "StatefulSet") ? "statefulset"
           : kr_str_is(kind, "DaemonSet") ? "daemonset"
                                          : "deployment";
}

/* Of these nothing else may change; what else its spec has is compared only where it is no list. */
static void check_stateful(struct valid *c, kr_val old, kr_val v)
{
    static const char *const fixed[] = {"selector", "serviceName", "podManagementPolicy"};

    for (size_t i = 0; i < KR_N(fixed); i++) {
        kr_val was = kr_get(kr_get(old, KR_S("spec")), kr_str_c(fixed[i])),
               is = kr_get(kr_get(v, KR_S("spec")), kr_str_c(fixed[i]));

        if (was.kind == KR_NONE || is.kind == KR_NONE || kr_equal(was, is))
            continue;
        refuse(c, "FieldValueForbidden", KR_S("spec"), KR_S("Forbidden: " STATEFUL_TEXT));
        return;
    }
}

static void check_same_selector(struct valid *c, kr_val old, kr_val v)
{
    kr_val selector = kr_at(v, "spec.selector"), was = kr_at(old, "spec.selector");

    if (was.kind == KR_MAP && !kr_equal(was, selector))
        refuse(
            c, "FieldValueInvalid", KR_S("spec.selector"),
            kr_fmt(c->a, "Invalid value: " KR_FMT ": field is immutable",
                   KR_ARG(selector.kind == KR_MAP ? kr_json_str(c->a, selector) : KR_S("null"))));
}

static void check_selector(struct valid *c, kr_str kind, kr_val v)
{
    kr_val selector = kr_at(v, "spec.selector"), labels = kr_at(v, "spec.template.metadata.labels");

    if (selector.kind != KR_MAP)
        required(c, KR_S("spec.selector"), "");
    else if (selector.n == 0)
        refuse(c, "FieldValueInvalid", KR_S("spec.selector"),
               kr_fmt(c->a, "Invalid value: {}: empty selector is invalid for %s", word_of(kind)));
    if (selector.kind != KR_MAP || !has_labels(labels, kr_get(selector, KR_S("matchLabels")))) {
        refuse(c, "FieldValueInvalid", KR_S("spec.template.metadata.labels"),
               kr_fmt(c->a,
                      "Invalid value: " KR_FMT ": `selector` does not match template `labels`",
                      KR_ARG(labels.kind == KR_MAP ? kr_json_str(c->a, labels) : KR_S("null"))));
    }
}

/* In the server's order, which is not the same for all. */
static void check_workload(struct valid *c, kr_str kind, kr_val old, kr_val v)
{
    bool daemons = kr_str_is(kind, "DaemonSet"), stateful = kr_str_is(kind, "StatefulSet");

    if (daemons)
        check_same_selector(c, old, v);
    check_selector(c, kind, v);
    if (stateful)
        check_stateful(c, old, v);
    else if (!daemons)
        check_same_selector(c, old, v);
    check_pod(c, kr_at(v, "spec.template.spec"), KR_S("spec.template.spec"));
}

/* Jobs end: their pods must not be started again for ever. */
static void check_job(struct valid *c, kr_val pod, kr_str path)
{
    kr_str policy = kr_at_str(pod, "restartPolicy");

    check_pod(c, pod, path);
    if (!kr_str_is(policy, "OnFailure") && !kr_str_is(policy, "Never"))
        required(c, under(c, path, "restartPolicy"), ": valid values: \"OnFailure\", \"Never\"");
}

/* --- what can be closed ----------------------------------------------------------------------- */

static void check_immutable(struct valid *c, kr_val old, kr_val v)
{
    static const char *const names[] = {"data", "binaryData"};
    const kr_str text = KR_S("Forbidden: field is immutable when `immutable` is set");

    if (!kr_is_true(kr_get(old, KR_S("immutable"))))
        return;
    if (!kr_is_true(kr_get(v, KR_S("immutable"))))
        refuse(c, "FieldValueForbidden", KR_S("immutable"), text);
    for (size_t i = 0; i < KR_N(names); i++) {
        kr_val was = kr_get(old, kr_str_c(names[i])), is = kr_get(v, kr_str_c(names[i]));

        if ((was.n || is.n) && !kr_equal(was, is) && kr_get(v, KR_S("stringData")).n == 0)
            refuse(c, "FieldValueForbidden", kr_str_c(names[i]), text);
    }
}

/* --- what is in it ---------------------------------------------------------------------------- */

enum { KEY_MAX = 253, CONTENT_MAX = 1024 * 1024 };

static const char *key_fault(kr_str key)
{
    bool plain = key.n > 0;

    for (size_t i = 0; i < key.n; i++) {
        char ch = key.s[i];

        plain &= (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
                 ch == '-' || ch == '_' || ch == '.';
    }
    if (key.n > KEY_MAX)
        return "must be no more than 253 characters";
    if (!plain)
        return "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. "
               "'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is "
               "'[-._a-zA-Z0-9]+')";
    if (kr_str_is(key, "."))
        return "must not be '.'";
    if (kr_str_is(key, ".."))
        return "must not be '..'";
    return kr_str_starts(key, KR_S("..")) ? "must not start with '..'" : NULL;
}

/* What base64 is for: blanks and padding apart, four characters for three bytes. */
static size_t decoded_bytes(kr_str text)
{
    size_t n = 0;

    for (size_t i = 0; i < text.n; i++)
        n += text.s[i] != '\n' && text.s[i] != '\r' && text.s[i] != '=';
    return n * 3 / 4;
}

/* The keys of the map `from` of v, which messages call `as`; returns the bytes of its values. */
static size_t check_keys(struct valid *c, kr_val v, const char *from, const char *as)
{
    bool coded = kr_str_is(kr_at_str(v, "kind"), "Secret") ? strcmp(from, "data") == 0
                                                           : strcmp(from, "binaryData") == 0;
    size_t bytes = 0;

    KR_MAP_EACH (p, kr_get(v, kr_str_c(from))) {
        kr_str key = kr_text(p->key), value = kr_text(p->val);
        const char *fault = key_fault(key);

        bytes += coded ? decoded_bytes(value) : value.n;
        if (!fault && strcmp(from, "data") == 0 && kr_at(v, "binaryData").kind == KR_MAP &&
            kr_get(kr_get(v, KR_S("binaryData")), key).kind != KR_NONE)
            fault = "duplicate of key present in binaryData";
        if (fault)
            refuse(c, "FieldValueInvalid", kr_fmt(c->a, "%s[" KR_FMT "]", as, KR_ARG(key)),
                   kr_fmt(c->a, "Invalid value: \"" KR_FMT "\": %s", KR_ARG(key), fault));
    }
    return bytes;
}

static void check_bytes(struct valid *c, size_t bytes, const char *field)
{
    if (bytes > CONTENT_MAX)
        refuse(c, "FieldValueTooLong", kr_str_c(field),
               KR_S("Too long: may not be more than 1048576 bytes"));
}

/* What secrets of a type must have. */
static const struct secret_type {
    const char *type, *keys[2];
    bool any;  /* one of them will do */
    bool json; /* it is JSON */
} secret_types[] = {
    {"kubernetes.io/tls", {"tls.crt", "tls.key"}, false, false},
    {"kubernetes.io/basic-auth", {"username", "password"}, true, false},
    {"kubernetes.io/ssh-auth", {"ssh-privatekey", NULL}, false, false},
    {"kubernetes.io/dockercfg", {".dockercfg", NULL}, false, true},
    {"kubernetes.io/dockerconfigjson", {".dockerconfigjson", NULL}, false, true},
};

static bool has_key(kr_val v, const char *key)
{
    return kr_get(kr_get(v, KR_S("data")), kr_str_c(key)).kind != KR_NONE ||
           kr_get(kr_get(v, KR_S("stringData")), kr_str_c(key)).kind != KR_NONE;
}

static void check_json(struct valid *c, kr_val v, const char *key)
{
    kr_str text = kr_text(kr_get(kr_get(v, KR_S("stringData")), kr_str_c(key)));
    struct kr_err err = KR_ERR_NONE;
    kr_val out;

    if (text.n == 0 &&
        !kr_base64_decode(c->a, kr_text(kr_get(kr_get(v, KR_S("data")), kr_str_c(key))), &text))
        return;
    if (cel__gojson_parse(c->a, text, &out, &err) < 0)
        refuse(c, "FieldValueInvalid", kr_fmt(c->a, "data[%s]", key),
               kr_fmt(c->a, "Invalid value: \"<secret contents redacted>\": %s", err.text));
}

static void check_secret_keys(struct valid *c, kr_val v, const struct secret_type *t)
{
    bool enough = t->any && (has_key(v, t->keys[0]) || has_key(v, t->keys[1]));

    for (size_t i = 0; i < KR_N(t->keys) && t->keys[i]; i++) {
        if (!enough && !has_key(v, t->keys[i]))
            required(c, kr_fmt(c->a, "data[%s]", t->keys[i]), "");
        else if (t->json)
            check_json(c, v, t->keys[i]);
    }
}

static void check_secret(struct valid *c, kr_val old, kr_val v)
{
    kr_str type = kr_at_str(v, "type"), was = kr_at_str(old, "type");

    type = type.n ? type : KR_S("Opaque");
    check_bytes(c, check_keys(c, v, "data", "data") + check_keys(c, v, "stringData", "data"),
                "data");
    if (kr_str_is(type, "kubernetes.io/service-account-token") &&
        kr_text(
            kr_get(kr_at(v, "metadata.annotations"), KR_S("kubernetes.io/service-account.name")))
                .n == 0)
        required(c, KR_S("metadata.annotations[kubernetes.io/service-account.name]"), "");
    for (size_t i = 0; i < KR_N(secret_types); i++) {
        if (kr_str_eq(type, kr_str_c(secret_types[i].type)))
            check_secret_keys(c, v, &secret_types[i]);
    }
    if (was.n && !kr_str_eq(was, type))
        refuse(c, "FieldValueInvalid", KR_S("type"),
               kr_fmt(c->a, "Invalid value: \"" KR_FMT "\": field is immutable", KR_ARG(type)));
}

static void check_config_map(struct valid *c, kr_val v)
{
    size_t bytes = check_keys(c, v, "data", "data");

    bytes += check_keys(c, v, "binaryData", "binaryData");
    check_bytes(c, bytes, "[]");
}

static void check_content(struct valid *c, kr_str kind, kr_val old, kr_val v)
{
    if (kr_str_is(kind, "Secret"))
        check_secret(c, old, v);
    else
        check_config_map(c, v);
    check_immutable(c, old, v);
}

/* --- services --------------------------------------------------------------------------------- */

static void check_port(struct valid *c, kr_val ports, uint32_t i, struct kr_map *seen, kr_str path)
{
    kr_val name = kr_get(ports.list[i], KR_S("name")), port = kr_get(ports.list[i], KR_S("port"));

    if (ports.n > 1 && kr_text(name).n == 0)
        required(c, under(c, path, "name"), "");
    if (port.kind != KR_INT || port.i < 1 || port.i > 65535)
        refuse(c, "FieldValueInvalid", under(c, path, "port"),
               kr_fmt(c->a, "Invalid value: " KR_FMT ": must be between 1 and 65535, inclusive",
                      KR_ARG(port.kind == KR_INT ? kr_json_str(c->a, port) : KR_S("0"))));
    if (kr_text(name).n && !sandbox__is_first(seen, kr_text(name)))
        refuse(c, "FieldValueDuplicate", under(c, path, "name"),
               kr_fmt(c->a, "Duplicate value: " KR_FMT, KR_ARG(kr_json_str(c->a, name))));
}

static void check_service(struct valid *c, kr_val v)
{
    kr_val ports = kr_at(v, "spec.ports");
    KR_AUTO(kr_map) seen = {0};
    bool headless = kr_is_str(kr_at(v, "spec.clusterIP"), KR_S("None")) ||
                    kr_is_str(kr_at(v, "spec.type"), KR_S("ExternalName"));

    if (ports.n == 0 && !headless)
        required(c, KR_S("spec.ports"), "");
    for (uint32_t i = 0; ports.kind == KR_LIST && i < ports.n; i++)
        check_port(c, ports, i, &seen, kr_fmt(c->a, "spec.ports[%u]", i));
}

kr_val sandbox_valid_causes(struct kr_arena *a, kr_str kind, kr_val old, kr_val next)
{
    static const char *const workloads[] = {"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"};
    struct valid c = {a, KR_LISTB(a)};

    if (kr_str_is(kind, "CustomResourceDefinition"))
        return kr_equal(kr_get(old, KR_S("spec")), kr_get(next, KR_S("spec")))
                   ? kr_listb_done(&c.causes)
                   : sandbox_structural_causes(a, next);
    for (size_t i = 0; i < KR_N(workloads); i++) {
        if (!kr_str_eq(kind, kr_str_c(workloads[i])))
            continue;
        check_workload(&c, kind, old, next);
    }
    if (kr_str_is(kind, "Job"))
        check_job(&c, kr_at(next, "spec.template.spec"), KR_S("spec.template.spec"));
    else if (kr_str_is(kind, "CronJob"))
        check_job(&c, kr_at(next, "spec.jobTemplate.spec.template.spec"),
                  KR_S("spec.jobTemplate.spec.template.spec"));
    else if (kr_str_is(kind, "ConfigMap") || kr_str_is(kind, "Secret"))
        check_content(&c, kind, old, next);
    else if (kr_str_is(kind, "Pod"))
        check_pod(&c, kr_get(next, KR_S("spec")), KR_S("spec"));
    else if (kr_str_is(kind, "Service"))
        check_service(&c, next);
    return kr_listb_done(&c.causes);
}
