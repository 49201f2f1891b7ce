/* SPDX-License-Identifier: Apache-2.0 */
/* fakeapi_kinds.c - which kinds fakeapi serves: the built-in ones and those of established CRDs,
 * with their schemas; and what it tells about them: discovery in both forms, OpenAPI v3, the
 * version. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/fakeapi_internal.h"

static const char meta_name[] = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

#define PUT(b, key, v) kr_mapb_put((b), KR_S(key), (v))
#define STR(b, key, s) kr_mapb_put((b), KR_S(key), kr_string(s))

/* --- schemas ---------------------------------------------------------------------------------- */

kr_val fake_schema_resolve(struct fakeapi *f, kr_val node)
{
    static const kr_str prefix = {"#/components/schemas/", 21};
    kr_val ref = kr_get(node, KR_S("$ref"));
    kr_str name = kr_text(ref);

    if (ref.kind == KR_NONE)
        return node;
    if (kr_str_starts(name, prefix))
        name = kr_str_sub(name, prefix.n, name.n);
    return kr_get(f->components, name);
}

kr_val fake_schema_member(struct fakeapi *f, kr_val node, kr_str name, bool *declared)
{
    kr_val field, additional;

    node = fake_schema_resolve(f, node);
    field = kr_get(kr_get(node, KR_S("properties")), name);
    additional = kr_get(node, KR_S("additionalProperties"));
    *declared = field.kind != KR_NONE;
    if (*declared)
        return fake_schema_resolve(f, field);
    return additional.kind == KR_MAP ? fake_schema_resolve(f, additional) : KR_V_NONE;
}

kr_val fake_schema_items(struct fakeapi *f, kr_val node)
{
    return fake_schema_resolve(f, kr_get(fake_schema_resolve(f, node), KR_S("items")));
}

static kr_val normal_map(struct fakeapi *f, struct kr_arena *a, kr_val node, kr_val v,
                         bool keep_unknown)
{
    struct kr_mapb b = KR_MAPB(a);
    kr_val properties = kr_get(node, KR_S("properties"));
    bool keep = keep_unknown ||
                kr_is_true(kr_get(node, KR_S("x-kubernetes-preserve-unknown-fields"))) ||
                properties.kind == KR_NONE;
    bool declared;

    KR_MAP_EACH (p, v) {
        kr_val to = fake_schema_member(f, node, kr_text(p->key), &declared);

        if (p->val.kind == KR_NULL && !kr_is_true(kr_get(to, KR_S("nullable"))))
            continue; /* a null stands for the default, or for nothing */
        if (declared || to.kind != KR_NONE || keep)
            kr_mapb_put(&b, kr_text(p->key), fake_normal(f, a, to, p->val, keep_unknown));
    }
    KR_MAP_EACH (p, properties) {
        kr_val def = kr_get(fake_schema_resolve(f, p->val), KR_S("default"));
        kr_val was = kr_get(v, kr_text(p->key));

        if (keep_unknown &&
            kr_is_str(def, KR_S(""))) /* Go's zero value, published for built-in kinds */
            continue;
        if (def.kind != KR_NONE && (was.kind == KR_NONE || was.kind == KR_NULL))
            kr_mapb_put(&b, kr_text(p->key), fake_normal(f, a, p->val, def, keep_unknown));
    }
    return kr_mapb_done(&b);
}

kr_val fake_normal(struct fakeapi *f, struct kr_arena *a, kr_val node, kr_val v, bool keep_unknown)
{
    struct kr_listb b = KR_LISTB(a);

    node = fake_schema_resolve(f, node);
    if (node.kind == KR_NONE)
        return v;
    if (v.kind == KR_MAP)
        return normal_map(f, a, node, v, keep_unknown);
    if (v.kind != KR_LIST)
        return v;
    KR_LIST_EACH (item, v)
        kr_listb_add(&b, fake_normal(f, a, fake_schema_items(f, node), *item, keep_unknown));
    return kr_listb_done(&b);
}

/* --- built-in kinds --------------------------------------------------------------------------- */

/* The bare names behind $ref as OpenAPI writes them. */
static kr_val full_refs(struct kr_arena *a, kr_val v)
{
    struct kr_mapb map = KR_MAPB(a);
    struct kr_listb list = KR_LISTB(a);

    if (v.kind == KR_LIST) {
        KR_LIST_EACH (item, v)
            kr_listb_add(&list, full_refs(a, *item));
        return kr_listb_done(&list);
    }
    if (v.kind != KR_MAP)
        return v;
    KR_MAP_EACH (p, v)
        kr_mapb_put(
            &map, kr_text(p->key),
            kr_is_str(p->key, KR_S("$ref"))
                ? kr_string(kr_fmt(a, "#/components/schemas/" KR_FMT, KR_ARG(kr_text(p->val))))
                : full_refs(a, p->val));
    return kr_mapb_done(&map);
}

static void add_built_in(struct fakeapi *f, kr_val row)
{
    struct fake_kind *k = KR_ALLOC(struct fake_kind);

    k->gvk = (kr_gvk){kr_at_str(row, "group"), kr_at_str(row, "version"), kr_at_str(row, "kind")};
    k->resource = kr_at_str(row, "resource");
    k->singular = kr_str_sub(k->resource, 0, k->resource.n - 1);
    k->namespaced = kr_is_true(kr_at(row, "namespaced"));
    k->has_status = kr_is_true(kr_at(row, "status"));
    k->generation = kr_is_true(kr_at(row, "generation"));
    k->component = kr_at_str(row, "component");
    k->schema = kr_get(f->components, k->component);
    KR_ASSERT(k->schema.kind == KR_MAP);
    kr_link_push(&f->kinds, &k->link);
}

void fake_kinds_load(struct fakeapi *f)
{
    KR_AUTO(kr_buf) text = KR_BUF(4 * 1024 * 1024);
    struct kr_err err = KR_ERR_NONE;
    kr_val docs;

    kr_link_init(&f->kinds);
    if (kr_buf_read_file(&text, FAKEAPI_KINDS, &err) < 0 ||
        kr_yaml_parse(&f->arena, kr_strdup(&f->arena, kr_buf_view(&text)), &docs, &err) < 0) {
        fprintf(stderr, "fakeapi: %s\n", err.text);
        abort();
    }
    f->components = full_refs(&f->arena, kr_at(kr_item(docs, 0), "schemas"));
    KR_LIST_EACH (row, kr_at(kr_item(docs, 0), "kinds"))
        add_built_in(f, *row);
}

static void kind_free(struct fake_kind *k)
{
    kr_link_remove(&k->link);
    kr_arena_fini(&k->arena);
    kr_free(k);
}

void fake_kinds_free(struct fakeapi *f)
{
    while (!kr_link_empty(&f->kinds))
        kind_free(KR_OWNER(f->kinds.next, struct fake_kind, link));
}

/* The kind after k, or the first; NULL at the end. */
static struct fake_kind *next_kind(const struct fakeapi *f, const struct fake_kind *k)
{
    const struct kr_link *l = k != NULL ? k->link.next : f->kinds.next;

    return l == &f->kinds ? NULL : KR_OWNER((struct kr_link *)(uintptr_t)l, struct fake_kind, link);
}

struct fake_kind *fake_kind_by_resource(struct fakeapi *f, kr_str group, kr_str version,
                                        kr_str resource)
{
    for (struct fake_kind *k = next_kind(f, NULL); k != NULL; k = next_kind(f, k))
        if (kr_str_eq(k->gvk.group, group) && kr_str_eq(k->gvk.version, version) &&
            kr_str_eq(k->resource, resource))
            return k;
    return NULL;
}

struct fake_kind *fake_kind_by_gvk(struct fakeapi *f, kr_gvk gvk)
{
    for (struct fake_kind *k = next_kind(f, NULL); k != NULL; k = next_kind(f, k))
        if (kr_gvk_eq(k->gvk, gvk))
            return k;
    return NULL;
}

/* --- CRDs ------------------------------------------------------------------------------------- */

/* "kro.run", "v1alpha1", "WebApp" -> "run.kro.v1alpha1.WebApp" */
static kr_str component_name(struct kr_arena *a, kr_gvk gvk)
{
    kr_str rest = gvk.group, name = {0};

    while (rest.s != NULL) {
        kr_str part = kr_str_cut(&rest, '.');

        name = name.n ? kr_fmt(a, KR_FMT "." KR_FMT, KR_ARG(part), KR_ARG(name)) : part;
    }
    return kr_fmt(a, KR_FMT "." KR_FMT "." KR_FMT, KR_ARG(name), KR_ARG(gvk.version),
                  KR_ARG(gvk.kind));
}

/* The version's schema with what every object has. */
static kr_val crd_schema(struct kr_arena *a, kr_val version)
{
    kr_val schema = kr_copy(a, kr_at(version, "schema.openAPIV3Schema"));
    struct kr_mapb string = KR_MAPB(a), meta = KR_MAPB(a);
    kr_val s;

    kr_mapb_put(&string, KR_S("type"), KR_V_STR("string"));
    s = kr_mapb_done(&string);
    kr_mapb_put(&meta, KR_S("$ref"), kr_string(kr_fmt(a, "#/components/schemas/%s", meta_name)));
    schema = kr_with(a, schema, "properties.apiVersion", s);
    schema = kr_with(a, schema, "properties.kind", s);
    return kr_with(a, schema, "properties.metadata", kr_mapb_done(&meta));
}

static void add_custom(struct fakeapi *f, kr_val crd, kr_val version)
{
    kr_val spec = kr_get(crd, KR_S("spec"));
    kr_gvk gvk = {kr_at_str(spec, "group"), kr_at_str(version, "name"),
                  kr_at_str(spec, "names.kind")};
    struct fake_kind *k = fake_kind_by_gvk(f, gvk);
    bool fresh = k == NULL;

    if (fresh)
        k = KR_ALLOC(struct fake_kind);
    kr_arena_fini(&k->arena);
    k->gvk = kr_gvk_copy(&k->arena, gvk);
    k->resource = kr_strdup(&k->arena, kr_at_str(spec, "names.plural"));
    k->singular = kr_strdup(&k->arena, kr_at_str(spec, "names.singular"));
    k->crd = kr_strdup(&k->arena, kr_at_str(crd, "metadata.name"));
    k->namespaced = kr_is_str(kr_at(spec, "scope"), KR_S("Namespaced"));
    k->has_status = kr_at(version, "subresources.status").kind == KR_MAP;
    k->generation = true;
    k->schema = crd_schema(&k->arena, version);
    k->component = component_name(&k->arena, k->gvk);
    if (fresh)
        kr_link_push(&f->kinds, &k->link);
}

void fake_crd_changed(struct fakeapi *f, kr_val crd)
{
    KR_LIST_EACH (c, kr_at(crd, "status.conditions"))
        if (kr_is_str(kr_at(*c, "type"), KR_S("Established")) &&
            kr_is_str(kr_at(*c, "status"), KR_S("True")))
            KR_LIST_EACH (version, kr_at(crd, "spec.versions"))
                if (kr_is_true(kr_at(*version, "served")))
                    add_custom(f, crd, *version);
}

/* Whoever watches a kind that goes is told what it missed, and then the end. */
static void end_watches(struct fakeapi *f, const struct fake_kind *k)
{
    for (struct kr_link *l = f->calls.next; l != &f->calls; l = l->next) {
        struct fake_call *call = KR_OWNER(l, struct fake_call, link);

        if (!call->watching || call->target.kind != k)
            continue;
        fake_watch_fill(call);
        call->target.kind = NULL;
        call->ending = true;
        fake_wake(call, f->opts.latency_ms);
    }
}

void fake_crd_gone(struct fakeapi *f, kr_val crd)
{
    kr_str name = kr_at_str(crd, "metadata.name");

    for (struct kr_link *l = f->kinds.next, *next; l != &f->kinds; l = next) {
        struct fake_kind *k = KR_OWNER(l, struct fake_kind, link);

        next = l->next;
        if (name.n == 0 || !kr_str_eq(k->crd, name))
            continue;
        kr_map_each (e, &f->objects) {
            struct fake_obj *o = e->val;

            if (kr_str_eq(o->group, k->gvk.group) && kr_str_eq(o->resource, k->resource))
                fake_remove_object(f, o);
        }
        end_watches(f, k);
        kind_free(k);
    }
}

/* --- discovery -------------------------------------------------------------------------------- */

static kr_val strings(struct kr_arena *a, const char *list)
{
    struct kr_listb b = KR_LISTB(a);
    kr_str rest = kr_str_c(list);

    while (rest.s != NULL)
        kr_listb_add(&b, kr_string(kr_str_cut(&rest, ' ')));
    return kr_listb_done(&b);
}

static const char verbs[] = "create delete deletecollection get list patch update watch";
static const char status_verbs[] = "get patch update";

/* Is this the first kind of its group (of its group and version)? Groups are told in that order. */
static bool first_of(struct fakeapi *f, const struct fake_kind *k, bool by_version)
{
    for (struct fake_kind *other = next_kind(f, NULL); other != NULL; other = next_kind(f, other))
        if (kr_str_eq(other->gvk.group, k->gvk.group) &&
            (!by_version || kr_str_eq(other->gvk.version, k->gvk.version)))
            return other == k;
    return false;
}

static kr_val response_kind(struct kr_arena *a, const struct fake_kind *k)
{
    struct kr_mapb b = KR_MAPB(a);

    STR(&b, "group", k->gvk.group);
    STR(&b, "version", k->gvk.version);
    STR(&b, "kind", k->gvk.kind);
    return kr_mapb_done(&b);
}

static kr_val aggregated_resource(struct kr_arena *a, const struct fake_kind *k)
{
    struct kr_mapb b = KR_MAPB(a), sub = KR_MAPB(a);
    struct kr_listb subs = KR_LISTB(a);

    STR(&b, "resource", k->resource);
    PUT(&b, "responseKind", response_kind(a, k));
    PUT(&b, "scope", k->namespaced ? KR_V_STR("Namespaced") : KR_V_STR("Cluster"));
    STR(&b, "singularResource", k->singular);
    PUT(&b, "verbs", strings(a, verbs));
    if (k->has_status) {
        PUT(&sub, "subresource", KR_V_STR("status"));
        PUT(&sub, "responseKind", response_kind(a, k));
        PUT(&sub, "verbs", strings(a, status_verbs));
        kr_listb_add(&subs, kr_mapb_done(&sub));
        PUT(&b, "subresources", kr_listb_done(&subs));
    }
    return kr_mapb_done(&b);
}

static kr_val aggregated_version(struct fakeapi *f, struct kr_arena *a, const struct fake_kind *of)
{
    struct kr_mapb b = KR_MAPB(a);
    struct kr_listb list = KR_LISTB(a);

    for (struct fake_kind *k = next_kind(f, NULL); k != NULL; k = next_kind(f, k))
        if (kr_str_eq(k->gvk.group, of->gvk.group) && kr_str_eq(k->gvk.version, of->gvk.version))
            kr_listb_add(&list, aggregated_resource(a, k));
    STR(&b, "version", of->gvk.version);
    PUT(&b, "freshness", KR_V_STR("Current"));
    PUT(&b, "resources", kr_listb_done(&list));
    return kr_mapb_done(&b);
}

static kr_val aggregated(struct fakeapi *f, struct kr_arena *a, bool core)
{
    struct kr_mapb b = KR_MAPB(a);
    struct kr_listb items = KR_LISTB(a);

    for (struct fake_kind *k = next_kind(f, NULL); k != NULL; k = next_kind(f, k)) {
        struct kr_mapb item = KR_MAPB(a), meta = KR_MAPB(a);
        struct kr_listb versions = KR_LISTB(a);

        if ((k->gvk.group.n == 0) != core || !first_of(f, k, false))
            continue;
        for (struct fake_kind *v = next_kind(f, NULL); v != NULL; v = next_kind(f, v))
            if (kr_str_eq(v->gvk.group, k->gvk.group) && first_of(f, v, true))
                kr_listb_add(&versions, aggregated_version(f, a, v));
        if (!core)
            STR(&meta, "name", k->gvk.group);
        PUT(&item, "metadata", kr_mapb_done(&meta));
        PUT(&item, "versions", kr_listb_done(&versions));
        kr_listb_add(&items, kr_mapb_done(&item));
    }
    PUT(&b, "kind", KR_V_STR("APIGroupDiscoveryList"));
    PUT(&b, "apiVersion", KR_V_STR("apidiscovery.k8s.io/v2"));
    PUT(&b, "metadata", kr_map_sorted(NULL, 0));
    PUT(&b, "items", kr_listb_done(&items));
    return kr_mapb_done(&b);
}

static kr_val group_version(struct kr_arena *a, const struct fake_kind *k)
{
    struct kr_mapb b = KR_MAPB(a);

    STR(&b, "groupVersion", kr_api_version_text(a, k->gvk.group, k->gvk.version));
    STR(&b, "version", k->gvk.version);
    return kr_mapb_done(&b);
}

static kr_val legacy_groups(struct fakeapi *f, struct kr_arena *a)
{
    struct kr_mapb b = KR_MAPB(a);
    struct kr_listb groups = KR_LISTB(a);

    for (struct fake_kind *k = next_kind(f, NULL); k != NULL; k = next_kind(f, k)) {
        struct kr_mapb g = KR_MAPB(a);
        struct kr_listb versions = KR_LISTB(a);

        if (k->gvk.group.n == 0 || !first_of(f, k, false))
            continue;
        for (struct fake_kind *v = next_kind(f, NULL); v != NULL; v = next_kind(f, v))
            if (kr_str_eq(v->gvk.group, k->gvk.group) && first_of(f, v, true))
                kr_listb_add(&versions, group_version(a, v));
        STR(&g, "name", k->gvk.group);
        PUT(&g, "versions", kr_listb_done(&versions));
        PUT(&g, "preferredVersion", group_version(a, k));
        kr_listb_add(&groups, kr_mapb_done(&g));
    }
    PUT(&b, "kind", KR_V_STR("APIGroupList"));
    PUT(&b, "apiVersion", KR_V_STR("v1"));
    PUT(&b, "groups", kr_listb_done(&groups));
    return kr_mapb_done(&b);
}

static kr_val legacy_resource(struct kr_arena *a, const struct fake_kind *k, bool status)
{
    struct kr_mapb b = KR_MAPB(a);

    STR(&b, "name", status ? kr_fmt(a, KR_FMT "/status", KR_ARG(k->resource)) : k->resource);
    STR(&b, "singularName", status ? KR_S("") : k->singular);
    PUT(&b, "namespaced", kr_bool(k->namespaced));
    STR(&b, "kind", k->gvk.kind);
    PUT(&b, "verbs", strings(a, status ? status_verbs : verbs));
    return kr_mapb_done(&b);
}

/* false: no such group and version. */
static bool legacy_resources(struct fakeapi *f, struct kr_arena *a, kr_str group, kr_str version,
                             kr_val *out)
{
    struct kr_mapb b = KR_MAPB(a);
    struct kr_listb list = KR_LISTB(a);

    for (struct fake_kind *k = next_kind(f, NULL); k != NULL; k = next_kind(f, k)) {
        if (!kr_str_eq(k->gvk.group, group) || !kr_str_eq(k->gvk.version, version))
            continue;
        kr_listb_add(&list, legacy_resource(a, k, false));
        if (k->has_status)
            kr_listb_add(&list, legacy_resource(a, k, true));
    }
    if (list.n == 0)
        return false;
    PUT(&b, "kind", KR_V_STR("APIResourceList"));
    PUT(&b, "apiVersion", KR_V_STR("v1"));
    STR(&b, "groupVersion", kr_api_version_text(a, group, version));
    PUT(&b, "resources", kr_listb_done(&list));
    *out = kr_mapb_done(&b);
    return true;
}

static kr_val legacy_core(struct kr_arena *a)
{
    struct kr_mapb b = KR_MAPB(a);

    PUT(&b, "kind", KR_V_STR("APIVersions"));
    PUT(&b, "versions", strings(a, "v1"));
    return kr_mapb_done(&b);
}

/* --- OpenAPI ---------------------------------------------------------------------------------- */

static kr_str openapi_path(struct kr_arena *a, const struct fake_kind *k)
{
    return k->gvk.group.n == 0
               ? kr_fmt(a, "api/" KR_FMT, KR_ARG(k->gvk.version))
               : kr_fmt(a, "apis/" KR_FMT "/" KR_FMT, KR_ARG(k->gvk.group), KR_ARG(k->gvk.version));
}

/* All components beside this group version's kinds, which also say so. */
static kr_val openapi_document(struct fakeapi *f, struct kr_arena *a, const struct fake_kind *of)
{
    struct kr_mapb b = KR_MAPB(a), schemas = KR_MAPB(a), components = KR_MAPB(a);

    KR_MAP_EACH (p, f->components)
        kr_mapb_put(&schemas, kr_text(p->key), p->val);
    for (struct fake_kind *k = next_kind(f, NULL); k != NULL; k = next_kind(f, k)) {
        kr_val gvk = response_kind(a, k);

        if (kr_str_eq(k->gvk.group, of->gvk.group) && kr_str_eq(k->gvk.version, of->gvk.version))
            kr_mapb_put(&schemas, k->component,
                        kr_with_key(a, k->schema, KR_S("x-kubernetes-group-version-kind"),
                                    kr_copy(a, kr_list(&gvk, 1))));
    }
    PUT(&components, "schemas", kr_mapb_done(&schemas));
    PUT(&b, "openapi", KR_V_STR("3.0.0"));
    PUT(&b, "components", kr_mapb_done(&components));
    return kr_mapb_done(&b);
}

/* The index: each document with a hash of its content. */
static kr_val openapi_index(struct fakeapi *f, struct kr_arena *a)
{
    struct kr_mapb b = KR_MAPB(a), paths = KR_MAPB(a);

    for (struct fake_kind *k = next_kind(f, NULL); k != NULL; k = next_kind(f, k)) {
        struct kr_mapb row = KR_MAPB(a);
        kr_str path = openapi_path(a, k);

        if (!first_of(f, k, true))
            continue;
        STR(&row, "serverRelativeURL",
            kr_fmt(a, "/openapi/v3/" KR_FMT "?hash=%016llX", KR_ARG(path),
                   (unsigned long long)kr_digest(openapi_document(f, a, k))));
        kr_mapb_put(&paths, path, kr_mapb_done(&row));
    }
    PUT(&b, "paths", kr_mapb_done(&paths));
    return kr_mapb_done(&b);
}

static bool openapi_request(struct fakeapi *f, kr_str path, struct fake_response *r)
{
    for (struct fake_kind *k = next_kind(f, NULL); k != NULL; k = next_kind(f, k))
        if (kr_str_eq(openapi_path(r->a, k), path)) {
            r->body = openapi_document(f, r->a, k);
            return true;
        }
    return false;
}

static kr_val version_info(struct kr_arena *a)
{
    struct kr_mapb b = KR_MAPB(a);

    PUT(&b, "major", KR_V_STR("1"));
    PUT(&b, "minor", KR_V_STR("36"));
    PUT(&b, "gitVersion", KR_V_STR("v1.36.3"));
    return kr_mapb_done(&b);
}

bool fake_meta_request(struct fakeapi *f, const struct fake_request *q, struct fake_response *r)
{
    bool v2 = !f->opts.no_aggregated && q->accept != NULL &&
              strstr(q->accept, "as=APIGroupDiscoveryList") != NULL;
    kr_str path = q->path, group, version;

    r->status = 200;
    if (kr_str_is(path, "/version"))
        r->body = version_info(r->a);
    else if (kr_str_is(path, "/api"))
        r->body = v2 ? aggregated(f, r->a, true) : legacy_core(r->a);
    else if (kr_str_is(path, "/apis"))
        r->body = v2 ? aggregated(f, r->a, false) : legacy_groups(f, r->a);
    else if (kr_str_is(path, "/openapi/v3"))
        r->body = openapi_index(f, r->a);
    else if (kr_str_starts(path, KR_S("/openapi/v3/")))
        return openapi_request(f, kr_str_sub(path, 12, path.n), r);
    else if (kr_str_is(path, "/readyz") || kr_str_is(path, "/livez") || kr_str_is(path, "/healthz"))
        r->body = KR_V_STR("ok");
    else if (kr_str_is(path, "/api/v1"))
        return legacy_resources(f, r->a, KR_S(""), KR_S("v1"), &r->body);
    else if (kr_str_starts(path, KR_S("/apis/")) &&
             kr_api_version(kr_str_sub(path, 6, path.n), &group, &version) && group.n > 0)
        return legacy_resources(f, r->a, group, version, &r->body);
    else
        return false;
    return true;
}
