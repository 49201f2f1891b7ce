/* SPDX-License-Identifier: Apache-2.0 */
/* valid.c - the rules of built-in types, as far as they are no tables. */
#include "kube/sandbox/valid.h"

#include "cel/base/digest.h"
#include "cel/base/json.h"
#include "cel/gojson.h"
#include "kube/sandbox/glue.h"
#include "kube/sandbox/shapes.h"
#include "kube/sandbox/structural.h"

#include "cel/base/banned.h"

/* The field as it is written, dots and all. */
static void refuse(struct sandbox_valid *c, const char *reason, kr_str field, kr_str message)
{
    sandbox_refuse(c, reason, SANDBOX_MEMBER(SANDBOX_ROOT, field), message);
}

static void required(struct sandbox_valid *c, kr_str field)
{
    sandbox_required(c, SANDBOX_MEMBER(SANDBOX_ROOT, field), "");
}

/* --- workloads -------------------------------------------------------------------------------- */

#define STATEFUL_TEXT                                                                              \
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "       \
    "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "        \
    "'minReadySeconds' are forbidden"

static void check_expression(struct sandbox_valid *c, kr_val e, const struct sandbox_place *at)
{
    kr_str op = kr_at_str(e, "operator");
    const struct sandbox_place *values = SANDBOX_MEMBER(at, KR_S("values"));
    kr_val list = kr_get(e, KR_S("values"));
    bool some = list.n > 0;
    uint32_t i = 0;

    if (kr_str_is(op, "In") || kr_str_is(op, "NotIn")) {
        if (!some)
            sandbox_required(c, values, ": must be specified when `operator` is 'In' or 'NotIn'");
    } else if (kr_str_is(op, "Exists") || kr_str_is(op, "DoesNotExist")) {
        if (some)
            sandbox_forbidden(c, values,
                              "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    } else {
        sandbox_invalid(c, SANDBOX_MEMBER(at, KR_S("operator")), kr_string(op),
                        "not a valid selector operator");
    }
    sandbox_word_check(c, SANDBOX_MEMBER(at, KR_S("key")), SANDBOX_KEY, kr_at_str(e, "key"));
    KR_LIST_EACH (value, list)
        sandbox_word_check(c, SANDBOX_ITEM(values, i++), SANDBOX_LABEL_VALUE, kr_text(*value));
}

/* Is it a selector at all? */
static bool check_terms(struct sandbox_valid *c, kr_val selector)
{
    const struct sandbox_place *at = SANDBOX_MEMBER(SANDBOX_ROOT, KR_S("spec.selector")),
                               *list = SANDBOX_MEMBER(at, KR_S("matchExpressions"));
    kr_val all = kr_get(selector, KR_S("matchExpressions"));
    uint32_t before = c->causes.n;

    sandbox_labels_check(c, SANDBOX_MEMBER(at, KR_S("matchLabels")),
                         kr_get(selector, KR_S("matchLabels")));
    for (uint32_t i = 0; all.kind == KR_LIST && i < all.n; i++)
        check_expression(c, all.list[i], SANDBOX_ITEM(list, i));
    if (c->causes.n == before)
        return true;
    sandbox_invalid(c, at, selector, "invalid label selector");
    return false;
}

/* What messages call the kind. */
static const char *word_of(kr_str kind)
{
    return kr_str_is(kind, "StatefulSet") ? "statefulset"
           : kr_str_is(kind, "DaemonSet") ? "daemonset"
                                          : "deployment";
}

/* Of these nothing else may change; what else its spec has is compared only where it is no list. */
static void check_stateful(struct sandbox_valid *c, kr_val old, kr_val v)
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

static void check_same_selector(struct sandbox_valid *c, kr_val old, kr_val v)
{
    kr_val selector = kr_at(v, "spec.selector"), was = kr_at(old, "spec.selector");

    if (was.kind == KR_MAP && !kr_equal(was, selector))
        refuse(
            c, "FieldValueInvalid", KR_S("spec.selector"),
            kr_fmt(c->a, "Invalid value: " KR_FMT ": field is immutable",
                   KR_ARG(selector.kind == KR_MAP ? kr_json_str(c->a, selector) : KR_S("null"))));
}

static void check_selector(struct sandbox_valid *c, kr_str kind, kr_val v)
{
    kr_val selector = kr_at(v, "spec.selector"), labels = kr_at(v, "spec.template.metadata.labels");

    if (selector.kind != KR_MAP)
        required(c, KR_S("spec.selector"));
    else if (selector.n == 0)
        refuse(c, "FieldValueInvalid", KR_S("spec.selector"),
               kr_fmt(c->a, "Invalid value: {}: empty selector is invalid for %s", word_of(kind)));
    if (selector.kind == KR_MAP && !check_terms(c, selector))
        return;
    if (selector.kind != KR_MAP || !sandbox__selector_takes(selector, labels)) {
        refuse(c, "FieldValueInvalid", KR_S("spec.template.metadata.labels"),
               kr_fmt(c->a,
                      "Invalid value: " KR_FMT ": `selector` does not match template `labels`",
                      KR_ARG(labels.kind == KR_MAP ? kr_json_str(c->a, labels) : KR_S("null"))));
    }
}

/* In the server's order, which is not the same for all. */
static void check_workload(struct sandbox_valid *c, kr_str kind, kr_val old, kr_val v)
{
    bool daemons = kr_str_is(kind, "DaemonSet"), stateful = kr_str_is(kind, "StatefulSet");

    if (daemons)
        check_same_selector(c, old, v);
    check_selector(c, kind, v);
    if (stateful)
        check_stateful(c, old, v);
    else if (!daemons)
        check_same_selector(c, old, v);
}

/* --- what can be closed ----------------------------------------------------------------------- */

static void check_immutable(struct sandbox_valid *c, kr_val old, kr_val v)
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

enum { CONTENT_MAX = 1024 * 1024 };

/* What base64 is for: blanks and padding apart, four characters for three bytes. */
static size_t decoded_bytes(kr_str text)
{
    size_t n = 0;

    for (size_t i = 0; i < text.n; i++)
        n += text.s[i] != '\n' && text.s[i] != '\r' && text.s[i] != '=';
    return n * 3 / 4;
}

/* The keys of the map `from` of v, which messages call `as`; returns the bytes of its values. */
static size_t check_keys(struct sandbox_valid *c, kr_val v, const char *from, const char *as)
{
    bool coded = kr_str_is(kr_at_str(v, "kind"), "Secret") ? strcmp(from, "data") == 0
                                                           : strcmp(from, "binaryData") == 0;
    size_t bytes = 0;

    KR_MAP_EACH (p, kr_get(v, kr_str_c(from))) {
        kr_str key = kr_text(p->key), value = kr_text(p->val);
        const char *fault = sandbox_word_fault(SANDBOX_CONFIG_KEY, key);

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

static void check_bytes(struct sandbox_valid *c, size_t bytes, const char *field)
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

static void check_json(struct sandbox_valid *c, kr_val v, const char *key)
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

static void check_secret_keys(struct sandbox_valid *c, kr_val v, const struct secret_type *t)
{
    bool enough = t->any && (has_key(v, t->keys[0]) || has_key(v, t->keys[1]));

    for (size_t i = 0; i < KR_N(t->keys) && t->keys[i]; i++) {
        if (!enough && !has_key(v, t->keys[i]))
            required(c, kr_fmt(c->a, "data[%s]", t->keys[i]));
        else if (t->json)
            check_json(c, v, t->keys[i]);
    }
}

static void check_secret(struct sandbox_valid *c, kr_val old, kr_val v)
{
    kr_str type = kr_at_str(v, "type"), was = kr_at_str(old, "type");

    type = type.n ? type : KR_S("Opaque");
    check_bytes(c, check_keys(c, v, "data", "data") + check_keys(c, v, "stringData", "data"),
                "data");
    if (kr_str_is(type, "kubernetes.io/service-account-token") &&
        kr_text(
            kr_get(kr_at(v, "metadata.annotations"), KR_S("kubernetes.io/service-account.name")))
                .n == 0)
        required(c, KR_S("metadata.annotations[kubernetes.io/service-account.name]"));
    for (size_t i = 0; i < KR_N(secret_types); i++) {
        if (kr_str_eq(type, kr_str_c(secret_types[i].type)))
            check_secret_keys(c, v, &secret_types[i]);
    }
    if (was.n && !kr_str_eq(was, type))
        refuse(c, "FieldValueInvalid", KR_S("type"),
               kr_fmt(c->a, "Invalid value: \"" KR_FMT "\": field is immutable", KR_ARG(type)));
}

static void check_config_map(struct sandbox_valid *c, kr_val v)
{
    size_t bytes = check_keys(c, v, "data", "data");

    bytes += check_keys(c, v, "binaryData", "binaryData");
    check_bytes(c, bytes, "[]");
}

static void check_content(struct sandbox_valid *c, kr_str kind, kr_val old, kr_val v)
{
    if (kr_str_is(kind, "Secret"))
        check_secret(c, old, v);
    else
        check_config_map(c, v);
    check_immutable(c, old, v);
}

kr_val sandbox_valid_causes(struct kr_arena *a, kr_str kind, kr_val old, kr_val next)
{
    static const char *const workloads[] = {"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"};
    const struct sandbox_shape *shape = sandbox_shape_of(kind);
    struct sandbox_valid c = {.a = a,
                              .causes = KR_LISTB(a),
                              .kind = kind,
                              .old = old,
                              .claims = kr_at(next, "spec.volumeClaimTemplates")};

    if (kr_str_is(kind, "CustomResourceDefinition"))
        return kr_equal(kr_get(old, KR_S("spec")), kr_get(next, KR_S("spec")))
                   ? kr_listb_done(&c.causes)
                   : sandbox_structural_causes(a, next);
    for (size_t i = 0; i < KR_N(workloads); i++) {
        if (!kr_str_eq(kind, kr_str_c(workloads[i])))
            continue;
        check_workload(&c, kind, old, next);
    }
    if (kr_str_is(kind, "ConfigMap") || kr_str_is(kind, "Secret"))
        check_content(&c, kind, old, next);
    if (shape)
        sandbox_shape_check(&c, shape, next, SANDBOX_ROOT);
    return kr_listb_done(&c.causes);
}
