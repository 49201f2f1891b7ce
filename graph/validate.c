/* SPDX-License-Identifier: Apache-2.0 */
/* validate.c - what can be said of a definition without schemas and without compiling: names,
 * combinations of fields, the shape of templates, reserved labels; and the rules of the
 * definition's own CRD, for documents that come from a file and were seen by no API server.
 *
 * Same words as kro: pkg/graph/validation.go. Source: reference rgd-graph 5.2 to 5.4, 1.2.
 */
#include "graph/internal.h"

#include "cel/base/map.h"

#include "cel/base/banned.h"

/* --- words ------------------------------------------------------------------------------------ */

/* clang-format off */
static const char *const reserved[] = {
    /* kro */
    "apiVersion", "context", "dependency", "dependencies", "each", "externalRef",
    "externalReference", "externalRefs", "externalReferences", "graph", "instance", "item", "items",
    "kind", "kro", "metadata", "namespace", "object", "resource", "resourcegraphdefinition",
    "resourceGraphDefinition", "resources", "root", "runtime", "schema", "self",
    "serviceAccountName", "spec", "status", "this", "variables", "vars", "version",
    /* CEL */
    "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function",
    "if", "import", "let", "loop", "package", "namespace", "return", "var", "void", "while",
};
/* clang-format on */

bool graph__reserved(kr_str word)
{
    for (size_t i = 0; i < KR_N(reserved); i++) {
        if (kr_str_eq(word, kr_str_c(reserved[i])))
            return true;
    }
    return false;
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}
static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}
static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool alnum_from(kr_str s, size_t from)
{
    for (size_t i = from; i < s.n; i++) {
        if (!is_lower(s.s[i]) && !is_upper(s.s[i]) && !is_digit(s.s[i]))
            return false;
    }
    return true;
}

bool graph__camel_lower(kr_str id)
{
    return id.n > 0 && is_lower(id.s[0]) && alnum_from(id, 1);
}

static bool camel_upper(kr_str kind)
{
    return kind.n > 0 && is_upper(kind.s[0]) && alnum_from(kind, 1);
}

/* ^[a-z]([-a-z0-9]*[a-z0-9])?$ */
static bool dns_1035(kr_str s)
{
    if (s.n == 0 || !is_lower(s.s[0]) || s.s[s.n - 1] == '-')
        return false;
    for (size_t i = 1; i < s.n; i++) {
        if (!is_lower(s.s[i]) && !is_digit(s.s[i]) && s.s[i] != '-')
            return false;
    }
    return true;
}

/* --- pass 1: names ---------------------------------------------------------------------------- */

static int check_ids(const struct graph_rgd *rgd, struct kr_err *err)
{
    struct kr_map seen = {0};
    int rc = 0;

    for (uint32_t i = 0; i < rgd->resources_n && rc == 0; i++) {
        kr_str id = rgd->resources[i].id;

        if (graph__reserved(id))
            rc = kr_fail(err, KR_E_INPUT,
                         "naming convention violation: id " KR_FMT " is a reserved keyword in KRO",
                         KR_ARG(id));
        else if (!graph__camel_lower(id))
            rc = kr_fail(err, KR_E_INPUT,
                         "naming convention violation: id " KR_FMT
                         " is not a valid KRO resource id: must be lower camelCase",
                         KR_ARG(id));
        else if (kr_map_put(&seen, id, &seen))
            rc = kr_fail(err, KR_E_INPUT,
                         "naming convention violation: found duplicate resource IDs " KR_FMT,
                         KR_ARG(id));
    }
    kr_map_fini(&seen);
    return rc;
}

static bool is_id(const struct graph_rgd *rgd, kr_str name)
{
    for (uint32_t i = 0; i < rgd->resources_n; i++) {
        if (kr_str_eq(rgd->resources[i].id, name))
            return true;
    }
    return false;
}

static int check_dim(const struct graph_rgd *rgd, const struct graph_resource *r, uint32_t k,
                     struct kr_err *err)
{
    kr_str name = r->dims[k].name;

    if (!graph__camel_lower(name))
        return kr_fail(err, KR_E_INPUT,
                       "resource \"" KR_FMT "\": forEach iterator name \"" KR_FMT
                       "\" is not valid: must be lowerCamelCase",
                       KR_ARG(r->id), KR_ARG(name));
    if (graph__reserved(name))
        return kr_fail(err, KR_E_INPUT,
                       "resource \"" KR_FMT "\": forEach iterator name \"" KR_FMT
                       "\" is a reserved keyword",
                       KR_ARG(r->id), KR_ARG(name));
    if (is_id(rgd, name))
        return kr_fail(err, KR_E_INPUT,
                       "resource \"" KR_FMT "\": forEach iterator name \"" KR_FMT
                       "\" conflicts with resource ID",
                       KR_ARG(r->id), KR_ARG(name));
    for (uint32_t i = 0; i < k; i++) {
        if (kr_str_eq(r->dims[i].name, name))
            return kr_fail(err, KR_E_INPUT,
                           "resource \"" KR_FMT "\": duplicate forEach iterator name \"" KR_FMT
                           "\"",
                           KR_ARG(r->id), KR_ARG(name));
    }
    return 0;
}

int graph__check_names(const struct graph_rgd *rgd, uint32_t dimensions_max, struct kr_err *err)
{
    if (!camel_upper(rgd->kind))
        return kr_fail(err, KR_E_INPUT,
                       "naming convention violation: kind '" KR_FMT
                       "' is not a valid KRO kind name: must be UpperCamelCase",
                       KR_ARG(rgd->kind));
    KR_TRY(check_ids(rgd, err));
    for (uint32_t i = 0; i < rgd->resources_n; i++) {
        const struct graph_resource *r = &rgd->resources[i];

        if (r->dims_n > dimensions_max)
            return kr_fail(err, KR_E_INPUT,
                           "resource \"" KR_FMT
                           "\": forEach cannot have more than %u dimensions, got %u",
                           KR_ARG(r->id), dimensions_max, r->dims_n);
        for (uint32_t k = 0; k < r->dims_n; k++)
            KR_TRY(check_dim(rgd, r, k, err));
    }
    return 0;
}

/* --- pass 4: combinations --------------------------------------------------------------------- */

int graph__check_combination(const struct graph_resource *r, struct kr_err *err)
{
    const char *why = NULL;

    if (r->template.kind == KR_NONE && r->external.kind == KR_NONE)
        why = "exactly one of template or externalRef must be provided";
    else if (r->template.kind != KR_NONE && r->external.kind != KR_NONE)
        why = "cannot use externalRef with template";
    else if (r->external.kind != KR_NONE && r->dims_n)
        why = "cannot use externalRef with forEach";
    if (!why)
        return 0;
    return kr_fail(err, KR_E_INPUT,
                   "invalid combination of resource fields: resource \"" KR_FMT "\": %s",
                   KR_ARG(r->id), why);
}

/* --- pass 5: one object ----------------------------------------------------------------------- */

static int fail_object(kr_str id, const char *why, struct kr_err *err)
{
    return kr_fail(err, KR_E_INPUT, "resource " KR_FMT " is not a valid Kubernetes object: %s",
                   KR_ARG(id), why);
}

static int check_gvk(kr_str id, kr_str version, kr_str kind, kr_gvk *gvk, struct kr_err *err)
{
    KR_AUTO(kr_buf) lower = KR_BUF(kind.n + 1);
    ptrdiff_t first = kr_str_chr(version, '/');
    kr_str label;

    if (first >= 0 && kr_str_rchr(version, '/') != first)
        return kr_fail(err, KR_E_INPUT,
                       "failed to extract GVK from resource " KR_FMT
                       ": invalid apiVersion format \"" KR_FMT
                       "\": unexpected GroupVersion string: " KR_FMT,
                       KR_ARG(id), KR_ARG(version), KR_ARG(version));
    for (size_t i = 0; i < kind.n; i++)
        kr_buf_chr(&lower, is_upper(kind.s[i]) ? (char)(kind.s[i] - 'A' + 'a') : kind.s[i]);
    label = kr_buf_view(&lower);
    if (!dns_1035(label) || label.n > 63)
        return kr_fail(
            err, KR_E_INPUT,
            "failed to extract GVK from resource " KR_FMT ": invalid kind \"" KR_FMT
            "\": %s (must be a valid DNS-1035 label when lowercased)",
            KR_ARG(id), KR_ARG(kind),
            label.n > 63 ? "must be no more than 63 bytes"
                         : "a DNS-1035 label must consist of lower case alphanumeric characters or "
                           "'-', start with an alphabetic character, and end with an alphanumeric "
                           "character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
                           "'[a-z]([-a-z0-9]*[a-z0-9])?')");
    gvk->group = first >= 0 ? kr_str_sub(version, 0, (size_t)first) : KR_S("");
    gvk->version = first >= 0 ? kr_str_sub(version, (size_t)first + 1, version.n) : version;
    gvk->kind = kind;
    return 0;
}

int graph__check_structure(kr_str id, kr_val object, kr_gvk *gvk, struct kr_err *err)
{
    kr_val version = kr_get(object, KR_S("apiVersion")), kind = kr_get(object, KR_S("kind"));
    kr_val meta = kr_get(object, KR_S("metadata"));

    if (version.kind == KR_NONE)
        return fail_object(id, "apiVersion field not found", err);
    if (version.kind != KR_STRING)
        return fail_object(id, "apiVersion field is not a string", err);
    if (kind.kind == KR_NONE)
        return fail_object(id, "kind field not found", err);
    if (kind.kind != KR_STRING)
        return fail_object(id, "kind field is not a string", err);
    if (meta.kind == KR_NONE)
        return fail_object(id, "metadata field not found", err);
    if (meta.kind != KR_MAP)
        return fail_object(id, "metadata field is not a map", err);
    return check_gvk(id, kr_text(version), kr_text(kind), gvk, err);
}

static int check_reserved_keys(kr_str id, kr_val map, const char *what, struct kr_err *err)
{
    static const char *const prefixes[] = {GRAPH_GROUP "/", GRAPH_GROUP_INTERNAL "/"};

    KR_MAP_EACH (it, map) {
        for (size_t i = 0; i < KR_N(prefixes); i++) {
            if (kr_str_starts(kr_text(it->key), kr_str_c(prefixes[i])))
                return kr_fail(err, KR_E_INPUT,
                               "invalid %s for resource \"" KR_FMT
                               "\". %ss with prefix \"%s\" are reserved for internal use",
                               what, KR_ARG(id), what, prefixes[i]);
        }
    }
    return 0;
}

int graph__check_constraints(const struct graph_resource *r, bool namespaced, bool instance_cluster,
                             struct kr_err *err)
{
    kr_val meta = kr_get(r->object, KR_S("metadata")), ns = kr_get(meta, KR_S("namespace"));

    if (meta.kind != KR_MAP && meta.kind != KR_NONE)
        return kr_fail(err, KR_E_INPUT,
                       "resource \"" KR_FMT
                       "\" has invalid metadata.namespace: metadata is not a map",
                       KR_ARG(r->id));
    if (ns.kind != KR_STRING && ns.kind != KR_NONE)
        return kr_fail(err, KR_E_INPUT,
                       "resource \"" KR_FMT "\" has invalid metadata.namespace: it is not a string",
                       KR_ARG(r->id));
    if (!namespaced && ns.kind != KR_NONE)
        return kr_fail(err, KR_E_INPUT,
                       "resource \"" KR_FMT
                       "\" is cluster-scoped and must not set metadata.namespace",
                       KR_ARG(r->id));
    if (namespaced && instance_cluster && r->kind != GRAPH_EXTERNAL_COLLECTION &&
        kr_str_trim(kr_text(ns)).n == 0)
        return kr_fail(err, KR_E_INPUT,
                       "resource \"" KR_FMT "\" is namespaced and must set metadata.namespace when "
                       "the instance CRD is cluster-scoped",
                       KR_ARG(r->id));
    KR_TRY(check_reserved_keys(r->id, kr_get(meta, KR_S("labels")), "label", err));
    return check_reserved_keys(r->id, kr_get(meta, KR_S("annotations")), "annotation", err);
}

/* --- the rules of the definition's own CRD ---------------------------------------------------- */

/* ^v[0-9]+(alpha[0-9]+|beta[0-9]+)?$ */
static bool is_version(kr_str s)
{
    size_t i = 1, from;

    if (s.n < 2 || s.s[0] != 'v')
        return false;
    while (i < s.n && is_digit(s.s[i]))
        i++;
    if (i == 1)
        return false;
    if (i == s.n)
        return true;
    if (kr_str_starts(kr_str_sub(s, i, s.n), KR_S("alpha")))
        i += 5;
    else if (kr_str_starts(kr_str_sub(s, i, s.n), KR_S("beta")))
        i += 4;
    else
        return false;
    for (from = i; i < s.n; i++) {
        if (!is_digit(s.s[i]))
            return false;
    }
    return i > from;
}

static int check_aliases(kr_val names, const char *field, struct kr_err *err)
{
    enum { ALIASES_MAX = 32, ALIAS_MAX = 63 };

    if (names.n > ALIASES_MAX)
        return kr_fail(err, KR_E_INPUT, "spec.schema.%s: Too many: %u: must have at most %d items",
                       field, names.n, ALIASES_MAX);
    for (uint32_t i = 0; i < names.n; i++) {
        kr_str name = kr_text(names.list[i]);

        if (name.n > ALIAS_MAX)
            return kr_fail(err, KR_E_INPUT,
                           "spec.schema.%s[%u]: Too long: may not be more than %d bytes", field, i,
                           ALIAS_MAX);
        if (!dns_1035(name))
            return kr_fail(
                err, KR_E_INPUT,
                "spec.schema.%s[%u]: Invalid value: \"" KR_FMT
                "\": spec.schema.%s[%u] in body should match '^[a-z]([-a-z0-9]*[a-z0-9])?$'",
                field, i, KR_ARG(name), field, i);
        for (uint32_t k = 0; k < i; k++) {
            if (kr_is_str(names.list[k], name))
                return kr_fail(err, KR_E_INPUT,
                               "spec.schema.%s[%u]: Duplicate value: \"" KR_FMT "\"", field, i,
                               KR_ARG(name));
        }
    }
    return 0;
}

static int check_columns(kr_val columns, struct kr_err *err)
{
    static const char *const needed[] = {"jsonPath", "name", "type"};

    for (uint32_t i = 0; i < columns.n; i++) {
        for (size_t k = 0; k < KR_N(needed); k++) {
            if (kr_get(columns.list[i], kr_str_c(needed[k])).kind != KR_STRING)
                return kr_fail(err, KR_E_INPUT,
                               "spec.schema.additionalPrinterColumns[%u].%s: Required value", i,
                               needed[k]);
        }
    }
    return 0;
}

static int check_external(const struct graph_resource *r, struct kr_err *err)
{
    kr_val meta = kr_get(r->external, KR_S("metadata"));
    bool name = kr_get(meta, KR_S("name")).kind == KR_STRING;
    bool selector = kr_get(meta, KR_S("selector")).kind == KR_MAP;

    if (r->external.kind == KR_NONE)
        return 0;
    if (meta.kind != KR_MAP)
        return kr_fail(err, KR_E_INPUT, "spec.resources[%u].externalRef.metadata: Required value",
                       r->index);
    if (name == selector)
        return kr_fail(
            err, KR_E_INPUT,
            "spec.resources[%u].externalRef.metadata: Invalid value: exactly one of name or "
            "selector must be provided",
            r->index);
    if (name && kr_text(kr_get(meta, KR_S("name"))).n == 0)
        return kr_fail(
            err, KR_E_INPUT,
            "spec.resources[%u].externalRef.metadata.name: Invalid value: \"\": should be at "
            "least 1 chars long",
            r->index);
    return 0;
}

int graph__check_admission(const struct graph_rgd *rgd, struct kr_err *err)
{
    enum { KIND_MAX = 63 };

    if (!camel_upper(rgd->kind) || rgd->kind.n > KIND_MAX)
        return kr_fail(err, KR_E_INPUT,
                       "spec.schema.kind: Invalid value: \"" KR_FMT
                       "\": spec.schema.kind in body should match '^[A-Z][a-zA-Z0-9]{0,62}$'",
                       KR_ARG(rgd->kind));
    if (!is_version(rgd->version))
        return kr_fail(err, KR_E_INPUT,
                       "spec.schema.apiVersion: Invalid value: \"" KR_FMT
                       "\": spec.schema.apiVersion in body should match "
                       "'^v[0-9]+(alpha[0-9]+|beta[0-9]+)?$'",
                       KR_ARG(rgd->version));
    KR_TRY(check_aliases(rgd->short_names, "shortNames", err));
    KR_TRY(check_aliases(rgd->categories, "categories", err));
    KR_TRY(check_columns(rgd->columns, err));
    for (uint32_t i = 0; i < rgd->resources_n; i++)
        KR_TRY(check_external(&rgd->resources[i], err));
    return 0;
}
