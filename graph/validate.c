/* SPDX-License-Identifier: Apache-2.0 */
/* validate.c - what can be said of a definition without schemas and without compiling: names,
 * combinations of fields, the shape of templates, reserved labels; and the rules of the
 * definition's own CRD, for documents that come from a file and were seen by no API server.
 *
 * Same words as kro: pkg/graph/validation.go. Source: reference rgd-graph 5.2 to 5.4, 1.2.
 */
#include "graph/internal.h"

#include <stdarg.h>
#include <stdio.h>

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

/* "my-app" -> "myApp": what a lower camelCase name would be; empty when nothing is left. */
static kr_str camel_of(struct kr_arena *a, kr_str name)
{
    char *out = kr_arena_bytes(a, name.n + 1);
    size_t n = 0;
    bool up = false;

    for (size_t i = 0; i < name.n; i++) {
        char c = name.s[i];

        if (!is_lower(c) && !is_upper(c) && !is_digit(c)) {
            up = n > 0;
            continue;
        }
        if (n == 0 && is_digit(c))
            continue;
        if (n == 0 && is_upper(c))
            c = (char)(c - 'A' + 'a');
        else if (up && is_lower(c))
            c = (char)(c - 'a' + 'A');
        out[n++] = c;
        up = false;
    }
    return (kr_str){out, n};
}

static void suggest_name(struct graph_diags *d, struct graph_diag *x, kr_str name)
{
    kr_str better = camel_of(d->a, name);

    graph__diag_at(x, name, 0);
    x->expected = KR_S("lower camelCase: a lower-case letter, then letters and digits");
    if (better.n && !graph__reserved(better))
        graph__diag_nearest(d, x, better);
}

static void suggest_other(struct graph_diags *d, struct graph_diag *x, kr_str name,
                          const char *what)
{
    graph__diag_at(x, name, 0);
    x->expected = KR_S("a name that kro and CEL do not use themselves");
    x->suggestion =
        kr_fmt(d->a, "choose another name, for example \"" KR_FMT "%s\"", KR_ARG(name), what);
}

static void check_id(struct graph_diags *d, const struct graph_resource *r,
                     const struct graph_resource *first)
{
    kr_str path = kr_fmt(d->a, "spec.resources[%u].id", r->index);
    struct graph_diag *x;

    if (graph__reserved(r->id)) {
        x = graph__diag(d, GRAPH_R_INVALID_NAME, path,
                        "naming convention violation: id " KR_FMT " is a reserved keyword in KRO",
                        KR_ARG(r->id));
        graph__diag_text(d, x, "id " KR_FMT " is a reserved word", KR_ARG(r->id));
        suggest_other(d, x, r->id, "Resource");
    } else if (!graph__camel_lower(r->id)) {
        x = graph__diag(d, GRAPH_R_INVALID_NAME, path,
                        "naming convention violation: id " KR_FMT
                        " is not a valid KRO resource id: must be lower camelCase",
                        KR_ARG(r->id));
        graph__diag_text(d, x, "id \"" KR_FMT "\" is not lower camelCase", KR_ARG(r->id));
        suggest_name(d, x, r->id);
    } else if (first) {
        x = graph__diag(d, GRAPH_R_INVALID_NAME, path,
                        "naming convention violation: found duplicate resource IDs " KR_FMT,
                        KR_ARG(r->id));
        graph__diag_text(d, x, "id " KR_FMT " is that of spec.resources[%u] too", KR_ARG(r->id),
                         first->index);
        graph__diag_at(x, r->id, 0);
    }
}

static void check_ids(const struct graph_rgd *rgd, struct graph_diags *d)
{
    struct kr_map seen = {0};

    for (uint32_t i = 0; i < rgd->resources_n; i++) {
        const struct graph_resource *r = &rgd->resources[i];
        void *first = kr_map_get(&seen, r->id);

        if (r->broken && r->id.n == 0)
            continue;
        check_id(d, r, first);
        if (!first)
            kr_map_put(&seen, r->id, (void *)(uintptr_t)r);
    }
    kr_map_fini(&seen);
}

static bool is_id(const struct graph_rgd *rgd, kr_str name)
{
    for (uint32_t i = 0; i < rgd->resources_n; i++) {
        if (kr_str_eq(rgd->resources[i].id, name))
            return true;
    }
    return false;
}

static bool is_repeated(const struct graph_resource *r, uint32_t k)
{
    for (uint32_t i = 0; i < k; i++) {
        if (kr_str_eq(r->dims[i].name, r->dims[k].name))
            return true;
    }
    return false;
}

static void check_dim(const struct graph_rgd *rgd, const struct graph_resource *r, uint32_t k,
                      struct graph_diags *d)
{
    kr_str name = r->dims[k].name;
    kr_str path = kr_fmt(d->a, "spec.resources[%u].forEach[%u]", r->index, k);
    struct graph_diag *x;

    if (!graph__camel_lower(name)) {
        x = graph__diag(d, GRAPH_R_INVALID_NAME, path,
                        "resource \"" KR_FMT "\": forEach iterator name \"" KR_FMT
                        "\" is not valid: must be lowerCamelCase",
                        KR_ARG(r->id), KR_ARG(name));
        suggest_name(d, x, name);
    } else if (graph__reserved(name)) {
        x = graph__diag(d, GRAPH_R_INVALID_NAME, path,
                        "resource \"" KR_FMT "\": forEach iterator name \"" KR_FMT
                        "\" is a reserved keyword",
                        KR_ARG(r->id), KR_ARG(name));
        suggest_other(d, x, name, "Item");
    } else if (is_id(rgd, name)) {
        x = graph__diag(d, GRAPH_R_INVALID_NAME, path,
                        "resource \"" KR_FMT "\": forEach iterator name \"" KR_FMT
                        "\" conflicts with resource ID",
                        KR_ARG(r->id), KR_ARG(name));
        graph__diag_at(x, name, 0);
    } else if (is_repeated(r, k)) {
        x = graph__diag(d, GRAPH_R_INVALID_NAME, path,
                        "resource \"" KR_FMT "\": duplicate forEach iterator name \"" KR_FMT "\"",
                        KR_ARG(r->id), KR_ARG(name));
        graph__diag_at(x, name, 0);
    }
}

static void check_kind(const struct graph_rgd *rgd, struct graph_diags *d)
{
    struct graph_diag *x;
    kr_str better;

    if (camel_upper(rgd->kind) || rgd->broken_kind)
        return;
    x = graph__diag(d, GRAPH_R_INVALID_NAME, KR_S("spec.schema.kind"),
                    "naming convention violation: kind '" KR_FMT
                    "' is not a valid KRO kind name: must be UpperCamelCase",
                    KR_ARG(rgd->kind));
    graph__diag_text(d, x, "kind \"" KR_FMT "\" is not UpperCamelCase", KR_ARG(rgd->kind));
    x->expected = KR_S("UpperCamelCase: an upper-case letter, then letters and digits");
    graph__diag_at(x, rgd->kind, 0);
    better = camel_of(d->a, rgd->kind);
    if (better.n) {
        char *first = kr_arena_bytes(d->a, better.n);

        memcpy(first, better.s, better.n);
        first[0] = (char)(first[0] - 'a' + 'A');
        graph__diag_nearest(d, x, (kr_str){first, better.n});
    }
}

void graph__check_names(const struct graph_rgd *rgd, uint32_t dimensions_max, struct graph_diags *d)
{
    check_kind(rgd, d);
    check_ids(rgd, d);
    for (uint32_t i = 0; i < rgd->resources_n; i++) {
        const struct graph_resource *r = &rgd->resources[i];

        if (r->dims_n > dimensions_max)
            graph__diag(d, GRAPH_R_LIMIT, kr_fmt(d->a, "spec.resources[%u].forEach", i),
                        "resource \"" KR_FMT
                        "\": forEach cannot have more than %u dimensions, got %u",
                        KR_ARG(r->id), dimensions_max, r->dims_n);
        for (uint32_t k = 0; k < r->dims_n; k++)
            check_dim(rgd, r, k, d);
    }
}

/* --- pass 4: combinations --------------------------------------------------------------------- */

bool graph__check_combination(const struct graph_resource *r, struct graph_diags *d)
{
    const char *why = NULL;

    if (r->template.kind == KR_NONE && r->external.kind == KR_NONE)
        why = "exactly one of template or externalRef must be provided";
    else if (r->template.kind != KR_NONE && r->external.kind != KR_NONE)
        why = "cannot use externalRef with template";
    else if (r->external.kind != KR_NONE && r->dims_n)
        why = "cannot use externalRef with forEach";
    if (!why)
        return true;
    graph__diag_text(
        d,
        graph__diag(d, GRAPH_R_INVALID_RESOURCE, kr_fmt(d->a, "spec.resources[%u]", r->index),
                    "invalid combination of resource fields: resource \"" KR_FMT "\": %s",
                    KR_ARG(r->id), why),
        "%s", why);
    return false;
}

/* --- pass 5: one object ----------------------------------------------------------------------- */

static void fail_object(kr_str id, const char *member, const char *why, struct graph_diags *d)
{
    struct graph_diag *x =
        graph__diag(d, GRAPH_R_INVALID_RESOURCE, kr_str_c(member),
                    "resource " KR_FMT " is not a valid Kubernetes object: %s field %s", KR_ARG(id),
                    member, why);

    graph__diag_text(d, x, "not a Kubernetes object: %s field %s", member, why);
    x->expected = strcmp(member, "metadata") == 0 ? KR_S("an object") : KR_S("a string");
}

static bool check_version(kr_str id, kr_str version, kr_gvk *gvk, struct graph_diags *d)
{
    ptrdiff_t first = kr_str_chr(version, '/');
    struct graph_diag *x;

    gvk->group = first >= 0 ? kr_str_sub(version, 0, (size_t)first) : KR_S("");
    gvk->version = first >= 0 ? kr_str_sub(version, (size_t)first + 1, version.n) : version;
    if (first < 0 || kr_str_rchr(version, '/') == first)
        return true;
    x = graph__diag(d, GRAPH_R_INVALID_RESOURCE, KR_S("apiVersion"),
                    "failed to extract GVK from resource " KR_FMT
                    ": invalid apiVersion format \"" KR_FMT
                    "\": unexpected GroupVersion string: " KR_FMT,
                    KR_ARG(id), KR_ARG(version), KR_ARG(version));
    graph__diag_text(d, x, "unexpected GroupVersion string: " KR_FMT, KR_ARG(version));
    graph__diag_at(x, version, (size_t)kr_str_rchr(version, '/'));
    x->expected = KR_S("VERSION or GROUP/VERSION, without expressions");
    return false;
}

static bool check_object_kind(kr_str id, kr_str kind, struct graph_diags *d)
{
    KR_AUTO(kr_buf) lower = KR_BUF(kind.n + 1);
    struct graph_diag *x;
    kr_str label;

    for (size_t i = 0; i < kind.n; i++)
        kr_buf_chr(&lower, is_upper(kind.s[i]) ? (char)(kind.s[i] - 'A' + 'a') : kind.s[i]);
    label = kr_buf_view(&lower);
    if (dns_1035(label) && label.n <= 63)
        return true;
    x = graph__diag(d, GRAPH_R_INVALID_RESOURCE, KR_S("kind"),
                    "failed to extract GVK from resource " KR_FMT ": invalid kind \"" KR_FMT
                    "\": %s (must be a valid DNS-1035 label when lowercased)",
                    KR_ARG(id), KR_ARG(kind),
                    label.n > 63
                        ? "must be no more than 63 bytes"
                        : "a DNS-1035 label must consist of lower case alphanumeric characters or "
                          "'-', start with an alphabetic character, and end with an alphanumeric "
                          "character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
                          "'[a-z]([-a-z0-9]*[a-z0-9])?')");
    graph__diag_text(d, x, "invalid kind \"" KR_FMT "\"", KR_ARG(kind));
    graph__diag_at(x, kind, 0);
    x->expected = KR_S("letters, digits and '-', at most 63, without expressions");
    return false;
}

bool graph__check_structure(kr_str id, kr_val object, kr_gvk *gvk, struct graph_diags *d)
{
    kr_val version = kr_get(object, KR_S("apiVersion")), kind = kr_get(object, KR_S("kind"));
    kr_val meta = kr_get(object, KR_S("metadata"));
    bool ok = version.kind == KR_STRING && kind.kind == KR_STRING && meta.kind == KR_MAP;

    if (version.kind != KR_STRING)
        fail_object(id, "apiVersion", version.kind == KR_NONE ? "not found" : "is not a string", d);
    if (kind.kind != KR_STRING)
        fail_object(id, "kind", kind.kind == KR_NONE ? "not found" : "is not a string", d);
    if (meta.kind != KR_MAP)
        fail_object(id, "metadata", meta.kind == KR_NONE ? "not found" : "is not a map", d);
    gvk->kind = kr_text(kind);
    if (version.kind == KR_STRING)
        ok = check_version(id, kr_text(version), gvk, d) && ok;
    if (kind.kind == KR_STRING)
        ok = check_object_kind(id, kr_text(kind), d) && ok;
    return ok;
}

static void check_reserved_keys(kr_str id, kr_val map, const char *what, struct graph_diags *d)
{
    static const char *const prefixes[] = {GRAPH_GROUP "/", GRAPH_GROUP_INTERNAL "/"};
    kr_str path = kr_fmt(d->a, "metadata.%ss", what);

    KR_MAP_EACH (it, map) {
        for (size_t i = 0; i < KR_N(prefixes); i++) {
            struct graph_diag *x;

            if (!kr_str_starts(kr_text(it->key), kr_str_c(prefixes[i])))
                continue;
            x = graph__diag(d, GRAPH_R_INVALID_RESOURCE,
                            graph__path_join(d->a, path, kr_text(it->key)),
                            "invalid %s for resource \"" KR_FMT
                            "\". %ss with prefix \"%s\" are reserved for internal use",
                            what, KR_ARG(id), what, prefixes[i]);
            graph__diag_text(d, x, "%ss with prefix \"%s\" are reserved for internal use", what,
                             prefixes[i]);
            graph__diag_at(x, kr_text(it->key), 0);
        }
    }
}

static void check_namespace(const struct graph_resource *r, kr_val ns, bool namespaced,
                            bool instance_cluster, struct graph_diags *d)
{
    kr_str path = KR_S("metadata.namespace");

    if (ns.kind != KR_STRING && ns.kind != KR_NONE) {
        graph__diag(d, GRAPH_R_INVALID_RESOURCE, path,
                    "resource \"" KR_FMT "\" has invalid metadata.namespace: it is not a string",
                    KR_ARG(r->id));
    } else if (!namespaced && ns.kind != KR_NONE) {
        graph__diag_at(graph__diag(d, GRAPH_R_INVALID_RESOURCE, path,
                                   "resource \"" KR_FMT
                                   "\" is cluster-scoped and must not set metadata.namespace",
                                   KR_ARG(r->id)),
                       kr_text(ns), 0);
    } else if (namespaced && instance_cluster && r->kind != GRAPH_EXTERNAL_COLLECTION &&
               kr_str_trim(kr_text(ns)).n == 0) {
        graph__diag(d, GRAPH_R_INVALID_RESOURCE, path,
                    "resource \"" KR_FMT "\" is namespaced and must set metadata.namespace when "
                    "the instance CRD is cluster-scoped",
                    KR_ARG(r->id));
    }
}

void graph__check_constraints(const struct graph_resource *r, bool namespaced,
                              bool instance_cluster, struct graph_diags *d)
{
    kr_val meta = kr_get(r->object, KR_S("metadata"));

    if (meta.kind != KR_MAP && meta.kind != KR_NONE)
        graph__diag(d, GRAPH_R_INVALID_RESOURCE, KR_S("metadata"),
                    "resource \"" KR_FMT "\" has invalid metadata.namespace: metadata is not a map",
                    KR_ARG(r->id));
    check_namespace(r, kr_get(meta, KR_S("namespace")), namespaced, instance_cluster, d);
    check_reserved_keys(r->id, kr_get(meta, KR_S("labels")), "label", d);
    check_reserved_keys(r->id, kr_get(meta, KR_S("annotations")), "annotation", d);
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

/* A rule of the CRD is broken at path: "path: why". */
static struct graph_diag *refuse(struct graph_diags *d, kr_str path, const char *fmt, ...)
    KR_PRINTF(3, 4);

static struct graph_diag *refuse(struct graph_diags *d, kr_str path, const char *fmt, ...)
{
    char why[KR_ERR_MAX];
    struct graph_diag *x;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    x = graph__diag(d, GRAPH_R_INVALID_FIELD, path, KR_FMT ": %s", KR_ARG(path), why);
    graph__diag_text(d, x, "%s", why);
    return x;
}

static void check_alias(kr_val names, uint32_t i, kr_str path, struct graph_diags *d)
{
    enum { ALIAS_MAX = 63 };
    kr_str name = kr_text(names.list[i]);
    struct graph_diag *x = NULL;

    if (name.n > ALIAS_MAX)
        x = refuse(d, path, "Too long: may not be more than %d bytes", ALIAS_MAX);
    else if (!dns_1035(name))
        x = refuse(d, path,
                   "Invalid value: \"" KR_FMT "\": " KR_FMT
                   " in body should match '^[a-z]([-a-z0-9]*[a-z0-9])?$'",
                   KR_ARG(name), KR_ARG(path));
    for (uint32_t k = 0; k < i && !x; k++) {
        if (kr_is_str(names.list[k], name))
            x = refuse(d, path, "Duplicate value: \"" KR_FMT "\"", KR_ARG(name));
    }
    if (x)
        graph__diag_at(x, name, 0);
}

static void check_aliases(kr_val names, const char *field, struct graph_diags *d)
{
    enum { ALIASES_MAX = 32 };

    if (names.n > ALIASES_MAX) {
        refuse(d, kr_fmt(d->a, "spec.schema.%s", field), "Too many: %u: must have at most %d items",
               names.n, ALIASES_MAX);
        return;
    }
    for (uint32_t i = 0; i < names.n; i++)
        check_alias(names, i, kr_fmt(d->a, "spec.schema.%s[%u]", field, i), d);
}

static void check_columns(kr_val columns, struct graph_diags *d)
{
    static const char *const needed[] = {"jsonPath", "name", "type"};

    for (uint32_t i = 0; i < columns.n; i++) {
        for (size_t k = 0; k < KR_N(needed); k++) {
            if (kr_get(columns.list[i], kr_str_c(needed[k])).kind != KR_STRING)
                refuse(d, kr_fmt(d->a, "spec.schema.additionalPrinterColumns[%u].%s", i, needed[k]),
                       "Required value");
        }
    }
}

static void check_external(const struct graph_resource *r, struct graph_diags *d)
{
    kr_str path = kr_fmt(d->a, "spec.resources[%u].externalRef.metadata", r->index);
    kr_val meta = kr_get(r->external, KR_S("metadata"));
    bool name = kr_get(meta, KR_S("name")).kind == KR_STRING;
    bool selector = kr_get(meta, KR_S("selector")).kind == KR_MAP;

    if (r->external.kind == KR_NONE || r->broken)
        return;
    if (meta.kind != KR_MAP)
        refuse(d, path, "Required value");
    else if (name == selector)
        refuse(d, path, "Invalid value: exactly one of name or selector must be provided");
    else if (name && kr_text(kr_get(meta, KR_S("name"))).n == 0)
        refuse(d, kr_fmt(d->a, KR_FMT ".name", KR_ARG(path)),
               "Invalid value: \"\": should be at least 1 chars long");
}

static void check_version_name(const struct graph_rgd *rgd, struct graph_diags *d)
{
    struct graph_diag *x;

    if (is_version(rgd->version) || rgd->broken_version)
        return;
    x = refuse(d, KR_S("spec.schema.apiVersion"),
               "Invalid value: \"" KR_FMT "\": spec.schema.apiVersion in body should match "
               "'^v[0-9]+(alpha[0-9]+|beta[0-9]+)?$'",
               KR_ARG(rgd->version));
    graph__diag_at(x, rgd->version, 0);
    x->expected = KR_S("a version such as v1alpha1, v1beta2 or v1");
    if (kr_str_chr(rgd->version, '/') >= 0)
        x->suggestion = KR_S("the group has a field of its own: spec.schema.group");
}

void graph__check_admission(const struct graph_rgd *rgd, struct graph_diags *d)
{
    enum { KIND_MAX = 63 };

    if (camel_upper(rgd->kind) && rgd->kind.n > KIND_MAX) /* else it has been said */
        graph__diag_at(refuse(d, KR_S("spec.schema.kind"),
                              "Invalid value: \"" KR_FMT
                              "\": spec.schema.kind in body should match "
                              "'^[A-Z][a-zA-Z0-9]{0,62}$'",
                              KR_ARG(rgd->kind)),
                       rgd->kind, KIND_MAX);
    check_version_name(rgd, d);
    check_aliases(rgd->short_names, "shortNames", d);
    check_aliases(rgd->categories, "categories", d);
    check_columns(rgd->columns, d);
    for (uint32_t i = 0; i < rgd->resources_n; i++)
        check_external(&rgd->resources[i], d);
}
