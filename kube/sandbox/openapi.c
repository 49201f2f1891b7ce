/* SPDX-License-Identifier: Apache-2.0 */
/* openapi.c - the schemas of what is served, as OpenAPI v3: an index, and a document for each group
 * version; and as OpenAPI v2 (Swagger): one document, in JSON alone.
 *
 * A document has the components, and of the paths only what clients look for in them: which kind a
 * PATCH takes and with which parameters. A definition's kind is published with apiVersion, kind and
 * metadata added, as the real server does.
 */
#include <stdio.h>

#include "cel/base/json.h"
#include "kube/sandbox/internal.h"

#include "cel/base/banned.h"

#define PUT(b, key, v) kr_mapb_put((b), KR_S(key), (v))
#define STR(b, key, s) kr_mapb_put((b), KR_S(key), kr_string(s))
#define META_REF "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"

static bool serves(const struct sandbox_type *t, kr_str group, kr_str version)
{
    const struct sandbox_version *v =
        t->gone || !kr_str_eq(t->group, group) ? NULL : sandbox__type_version(t, version);

    return v && v->served;
}

/* --- components of definitions ---------------------------------------------------------------- */

/* "io.example.v1.Shop" of group example.io */
static kr_str component_name(struct kr_arena *a, const struct sandbox_type *t, kr_str version)
{
    KR_AUTO(kr_buf) b = KR_BUF(4096);
    kr_str rest = t->group;

    while (rest.n > 0) {
        ptrdiff_t dot = kr_str_rchr(rest, '.');

        kr_buf_str(&b, kr_str_sub(rest, (size_t)(dot + 1), rest.n));
        kr_buf_chr(&b, '.');
        rest = kr_str_sub(rest, 0, dot < 0 ? 0 : (size_t)dot);
    }
    kr_buf_fmt(&b, KR_FMT "." KR_FMT, KR_ARG(version), KR_ARG(t->kind));
    return kr_strdup(a, kr_buf_view(&b));
}

static kr_val string_type(struct kr_arena *a)
{
    return kr_with_key(a, kr_map_sorted(NULL, 0), KR_S("type"), KR_V_STR("string"));
}

static kr_val gvk_val(struct kr_arena *a, kr_gvk gvk)
{
    struct kr_mapb b = KR_MAPB(a);

    STR(&b, "group", gvk.group);
    STR(&b, "version", gvk.version);
    STR(&b, "kind", gvk.kind);
    return kr_mapb_done(&b);
}

static kr_val one_item(struct kr_arena *a, kr_val v)
{
    struct kr_listb list = KR_LISTB(a);

    kr_listb_add(&list, v);
    return kr_listb_done(&list);
}

static kr_val published(struct kr_arena *a, const struct sandbox_type *t,
                        const struct sandbox_version *v)
{
    kr_val schema = v->openapi,
           ref = kr_with_key(a, kr_map_sorted(NULL, 0), KR_S("$ref"), KR_V_STR(META_REF));

    if (schema.kind != KR_MAP)
        schema = kr_with_key(a, kr_map_sorted(NULL, 0), KR_S("type"), KR_V_STR("object"));
    schema = kr_with(a, schema, "properties.apiVersion", string_type(a));
    schema = kr_with(a, schema, "properties.kind", string_type(a));
    schema = kr_with(a, schema, "properties.metadata", ref);
    return kr_with_key(a, schema, KR_S("x-kubernetes-group-version-kind"),
                       one_item(a, gvk_val(a, (kr_gvk){t->group, v->name, t->kind})));
}

/* ObjectMeta and what it refers to: taken from the simplest kind that has it. */
static kr_val meta_components(struct kr_arena *a)
{
    kr_gvk lease = {KR_S("coordination.k8s.io"), KR_S("v1"), KR_S("Lease")};
    struct kr_mapb b = KR_MAPB(a);

    KR_MAP_EACH (p, kr_at(kube_builtin_openapi(a, lease), "components.schemas")) {
        if (kr_str_find(kr_text(p->key), KR_S(".meta.v1.")) >= 0)
            kr_mapb_put(&b, kr_text(p->key), p->val);
    }
    return kr_mapb_done(&b);
}

static kr_val components(struct sandbox_call *c, kr_str group, kr_str version)
{
    struct kr_mapb b = KR_MAPB(c->a);
    bool builtin = false, custom = false;

    kr_map_each (e, &c->s->types) {
        struct sandbox_type *t = e->val;

        if (!serves(t, group, version))
            continue;
        builtin |= t->builtin;
        custom |= !t->builtin;
        if (!t->builtin)
            kr_mapb_put(&b, component_name(c->a, t, version),
                        published(c->a, t, sandbox__type_version(t, version)));
    }
    if (builtin) {
        KR_MAP_EACH (p, kr_at(kube_builtin_openapi(c->a, (kr_gvk){group, version, KR_S("")}),
                              "components.schemas"))
            kr_mapb_put(&b, kr_text(p->key), p->val);
    }
    if (custom) {
        KR_MAP_EACH (p, meta_components(c->a))
            kr_mapb_put(&b, kr_text(p->key), p->val);
    }
    return kr_mapb_done(&b);
}

/* --- paths ------------------------------------------------------------------------------------ */

static kr_val parameters(struct kr_arena *a, bool v2)
{
    static const char *const names[] = {"dryRun", "fieldManager", "fieldValidation", "force"};
    struct kr_listb list = KR_LISTB(a);

    for (size_t i = 0; i < KR_N(names); i++) {
        struct kr_mapb b = KR_MAPB(a);

        PUT(&b, "name", kr_string(kr_str_c(names[i])));
        PUT(&b, "in", KR_V_STR("query"));
        if (v2)
            PUT(&b, "type", KR_V_STR("string"));
        else
            PUT(&b, "schema", string_type(a));
        kr_listb_add(&list, kr_mapb_done(&b));
    }
    return kr_listb_done(&list);
}

static void add_paths(struct sandbox_call *c, kr_str group, kr_str version, bool v2,
                      struct kr_mapb *b)
{
    kr_map_each (e, &c->s->types) {
        struct sandbox_type *t = e->val;
        struct kr_mapb patch = KR_MAPB(c->a);

        if (!serves(t, group, version) || kr_str_chr(t->verbs, 'p') < 0)
            continue;
        PUT(&patch, "parameters", parameters(c->a, v2));
        PUT(&patch, "responses", kr_map_sorted(NULL, 0));
        PUT(&patch, "x-kubernetes-action", KR_V_STR("patch"));
        PUT(&patch, "x-kubernetes-group-version-kind",
            gvk_val(c->a, (kr_gvk){group, version, t->kind}));
        kr_mapb_put(b,
                    kr_fmt(c->a, "%s" KR_FMT "%s" KR_FMT "/%s" KR_FMT "/{name}",
                           group.n ? "/apis/" : "/api", KR_ARG(group), "/", KR_ARG(version),
                           t->namespaced ? "namespaces/{namespace}/" : "", KR_ARG(t->resource)),
                    kr_with_key(c->a, kr_map_sorted(NULL, 0), KR_S("patch"), kr_mapb_done(&patch)));
    }
}

/* --- documents -------------------------------------------------------------------------------- */

static kr_val info(struct kr_arena *a)
{
    struct kr_mapb b = KR_MAPB(a);

    PUT(&b, "title", KR_V_STR("Kubernetes"));
    PUT(&b, "version", kr_string(kr_str_c(kube_builtin_release())));
    return kr_mapb_done(&b);
}

static int document(struct sandbox_call *c, kr_str group, kr_str version)
{
    struct kr_mapb b = KR_MAPB(c->a), paths = KR_MAPB(c->a);
    kr_val schemas = components(c, group, version);

    if (schemas.n == 0)
        return sandbox__answer_text(c, 404, "404 page not found\n");
    PUT(&b, "openapi", KR_V_STR("3.0.0"));
    PUT(&b, "info", info(c->a));
    add_paths(c, group, version, false, &paths);
    PUT(&b, "paths", kr_mapb_done(&paths));
    PUT(&b, "components", kr_with_key(c->a, kr_map_sorted(NULL, 0), KR_S("schemas"), schemas));
    return sandbox__answer(c, 200, kr_mapb_done(&b));
}

/* The hash changes with the definitions, so that caches do. */
static int index_page(struct sandbox_call *c)
{
    struct kr_mapb b = KR_MAPB(c->a);

    kr_map_each (e, &c->s->types) {
        struct sandbox_type *t = e->val;

        for (uint32_t i = 0; i < t->versions_n; i++) {
            kr_str name = t->versions[i].name,
                   path = kr_fmt(c->a, "%s" KR_FMT "%s" KR_FMT, t->group.n ? "apis/" : "api",
                                 KR_ARG(t->group), "/", KR_ARG(name));
            unsigned long long hash = t->builtin ? 1 : (unsigned long long)c->s->definitions_n + 1;

            if (!serves(t, t->group, name))
                continue;
            kr_mapb_put(&b, path,
                        kr_with_key(c->a, kr_map_sorted(NULL, 0), KR_S("serverRelativeURL"),
                                    kr_string(kr_fmt(c->a, "/openapi/v3/" KR_FMT "?hash=%llX",
                                                     KR_ARG(path), hash))));
        }
    }
    return sandbox__answer(
        c, 200, kr_with_key(c->a, kr_map_sorted(NULL, 0), KR_S("paths"), kr_mapb_done(&b)));
}

/* --- version 2 -------------------------------------------------------------------------------- */

static kr_val to_v2(struct kr_arena *a, kr_val v);

static bool is_true(kr_val v)
{
    return v.kind == KR_BOOL && v.b;
}

/* Has version 2 a word for the key? What is nullable, or keeps unknown fields, has neither type nor
 * fields there: the old clients would refuse it. */
static bool has_v2(kr_str key, bool untyped)
{
    static const char *const never[] = {"default", "nullable", "allOf", "anyOf", "oneOf", "not"};
    static const char *const typed[] = {"type", "properties", "items", "additionalProperties",
                                        "required"};

    for (size_t i = 0; i < KR_N(never); i++)
        if (kr_str_eq(key, kr_str_c(never[i])))
            return false;
    for (size_t i = 0; untyped && i < KR_N(typed); i++)
        if (kr_str_eq(key, kr_str_c(typed[i])))
            return false;
    return true;
}

static kr_val each_to_v2(struct kr_arena *a, kr_val map)
{
    struct kr_mapb b = KR_MAPB(a);

    KR_MAP_EACH (p, map)
        kr_mapb_put(&b, kr_text(p->key), to_v2(a, p->val));
    return kr_mapb_done(&b);
}

static kr_val member_to_v2(struct kr_arena *a, kr_str key, kr_val v)
{
    static const char from[] = "#/components/schemas/";

    if (kr_str_is(key, "properties"))
        return each_to_v2(a, v);
    if ((kr_str_is(key, "items") || kr_str_is(key, "additionalProperties")) && v.kind == KR_MAP)
        return to_v2(a, v);
    if (kr_str_is(key, "$ref") && kr_str_starts(kr_text(v), kr_str_c(from)))
        return kr_string(kr_fmt(a, "#/definitions/" KR_FMT,
                                KR_ARG(kr_str_sub(kr_text(v), sizeof from - 1, kr_text(v).n))));
    return v;
}

/* A schema of version 3 in the words of version 2.
 * Source: kube-openapi pkg/openapiconv; apiextensions-apiserver pkg/controller/openapi/v2. */
static kr_val to_v2(struct kr_arena *a, kr_val v)
{
    struct kr_mapb b = KR_MAPB(a);
    kr_val all = kr_get(v, KR_S("allOf")), ref = KR_V_NONE;
    bool untyped = is_true(kr_get(v, KR_S("nullable"))) ||
                   is_true(kr_get(v, KR_S("x-kubernetes-preserve-unknown-fields")));

    if (all.kind == KR_LIST && all.n == 1) /* so that it may have a description beside it */
        ref = kr_get(kr_item(all, 0), KR_S("$ref"));
    KR_MAP_EACH (p, v) {
        if (has_v2(kr_text(p->key), untyped))
            kr_mapb_put(&b, kr_text(p->key), member_to_v2(a, kr_text(p->key), p->val));
    }
    if (ref.kind == KR_STRING)
        PUT(&b, "$ref", member_to_v2(a, KR_S("$ref"), ref));
    return kr_mapb_done(&b);
}

static int swagger(struct sandbox_call *c)
{
    struct kr_mapb b = KR_MAPB(c->a), definitions = KR_MAPB(c->a), paths = KR_MAPB(c->a);
    struct kr_map seen = {0};

    kr_map_each (e, &c->s->types) {
        struct sandbox_type *t = e->val;

        for (uint32_t i = 0; i < t->versions_n; i++) {
            kr_str version = t->versions[i].name,
                   key = kr_fmt(c->a, KR_FMT "/" KR_FMT, KR_ARG(t->group), KR_ARG(version));

            if (!serves(t, t->group, version) || kr_map_get(&seen, key))
                continue;
            kr_map_put(&seen, key, t);
            KR_MAP_EACH (p, components(c, t->group, version))
                kr_mapb_put(&definitions, kr_text(p->key), to_v2(c->a, p->val));
            add_paths(c, t->group, version, true, &paths);
        }
    }
    kr_map_fini(&seen);
    PUT(&b, "swagger", KR_V_STR("2.0"));
    PUT(&b, "info", info(c->a));
    PUT(&b, "paths", kr_mapb_done(&paths));
    PUT(&b, "definitions", kr_mapb_done(&definitions));
    return sandbox__answer(c, 200, kr_mapb_done(&b));
}

/* May the answer be JSON? */
static bool takes_json(kr_str accept)
{
    return accept.n == 0 || kr_str_find(accept, KR_S("*/*")) >= 0 ||
           kr_str_find(accept, KR_S("application/json")) >= 0 ||
           kr_str_find(accept, KR_S("application/*")) >= 0;
}

static void put_protobuf(struct kr_buf *b, unsigned field, kr_str bytes)
{
    KR_ASSERT(bytes.n < 128); /* one byte of length */
    kr_buf_chr(b, (char)(field << 3 | 2));
    kr_buf_chr(b, (char)bytes.n);
    kr_buf_str(b, bytes);
}

/* kubectl reads version 2 in protobuf alone, and only to see that it does not know a kind. So this is the
 * head of the document: swagger (1), info (2) with title (1) and version (2). */
static int swagger_head(struct sandbox_call *c)
{
    KR_AUTO(kr_buf) b = KR_BUF(128);

    put_protobuf(&b, 1, KR_S("Kubernetes"));
    put_protobuf(&b, 2, kr_str_c(kube_builtin_release()));
    put_protobuf(&c->r->body, 1, KR_S("2.0"));
    put_protobuf(&c->r->body, 2, kr_buf_view(&b));
    c->r->content_type = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
    return c->r->status = 200;
}

int sandbox__openapi(struct sandbox_call *c)
{
    kr_str path = c->path, group;

    if (kr_str_is(path, "/openapi/v2"))
        return kr_str_find(c->q->accept, KR_S("proto-openapi.spec.v2")) >= 0 ? swagger_head(c)
               : takes_json(c->q->accept)                                    ? swagger(c)
                                          : sandbox__answer_text(c, 406, "");

    if (kr_str_is(path, "/openapi/v3") || kr_str_is(path, "/openapi/v3/"))
        return index_page(c);
    if (kr_str_is(path, "/openapi/v3/api/v1"))
        return document(c, KR_S(""), KR_S("v1"));
    if (!kr_str_starts(path, KR_S("/openapi/v3/apis/")))
        return 0;
    path = kr_str_sub(path, strlen("/openapi/v3/apis/"), path.n);
    group = kr_str_cut(&path, '/');
    return document(c, group, path);
}
