/* SPDX-License-Identifier: Apache-2.0 */
/* discovery.c - which groups, versions and types there are, in both forms that clients ask for.
 *
 *   legacy       /api, /apis, /apis/GROUP, /api/v1, /apis/GROUP/VERSION: one request a group version
 *   aggregated   /api and /apis with Accept ...;as=APIGroupDiscoveryList: all at once
 *
 * Both are made of the table of types at each request.
 */
#include "kube/sandbox/internal.h"

#include "cel/base/banned.h"

#define PUT(b, key, v) kr_mapb_put((b), KR_S(key), (v))
#define STR(b, key, s) kr_mapb_put((b), KR_S(key), kr_string(s))

enum { GROUPS_MAX = 1000, VERSIONS_MAX = 100 };

struct group {
    kr_str name;
    kr_str versions[VERSIONS_MAX]; /* preferred first */
    uint32_t versions_n;
};

/* --- groups ----------------------------------------------------------------------------------- */

/* Reads "v1", "v2beta3": 3 stable, 2 beta, 1 alpha, 0 another name. */
static int version_rank(kr_str v, uint64_t *major, uint64_t *minor)
{
    size_t digits = 1;
    kr_str rest;

    *major = *minor = 0;
    while (digits < v.n && v.s[digits] >= '0' && v.s[digits] <= '9')
        digits++;
    if (v.n < 2 || v.s[0] != 'v' || !kr_str_u64(kr_str_sub(v, 1, digits), major))
        return 0;
    rest = kr_str_sub(v, digits, v.n);
    if (rest.n == 0)
        return 3;
    if (kr_str_starts(rest, KR_S("beta")) && kr_str_u64(kr_str_sub(rest, 4, rest.n), minor))
        return 2;
    if (kr_str_starts(rest, KR_S("alpha")) && kr_str_u64(kr_str_sub(rest, 5, rest.n), minor))
        return 1;
    return 0;
}

int sandbox__version_order(kr_str x, kr_str y)
{
    uint64_t x_major, y_major, x_minor, y_minor;
    int x_rank = version_rank(x, &x_major, &x_minor), y_rank = version_rank(y, &y_major, &y_minor);

    if (x_rank != y_rank)
        return x_rank > y_rank ? -1 : 1;
    if (x_rank == 0)
        return kr_str_cmp(x, y);
    if (x_major != y_major)
        return x_major > y_major ? -1 : 1;
    return x_minor > y_minor ? -1 : x_minor < y_minor;
}

static void add_version(struct group *g, kr_str version, bool builtin)
{
    uint32_t at = g->versions_n;

    for (uint32_t i = 0; i < g->versions_n; i++) {
        if (kr_str_eq(g->versions[i], version))
            return;
    }
    if (g->versions_n == VERSIONS_MAX)
        return; /* a definition has far fewer; several share a group */
    while (!builtin && at > 0 && sandbox__version_order(version, g->versions[at - 1]) < 0) {
        g->versions[at] = g->versions[at - 1];
        at--;
    }
    g->versions[at] = version;
    g->versions_n++;
}

static struct group *group_of(struct kr_arena *a, struct group **list, uint32_t *n, kr_str name)
{
    for (uint32_t i = 0; i < *n; i++) {
        if (kr_str_eq(list[i]->name, name))
            return list[i];
    }
    if (*n == GROUPS_MAX)
        return NULL;
    list[*n] = kr_new(a, struct group);
    list[*n]->name = name;
    return list[(*n)++];
}

/* All groups with what they serve. */
static struct group **groups(struct sandbox_call *c, uint32_t *n)
{
    struct group **list = kr_new_n(c->a, struct group *, GROUPS_MAX);

    *n = 0;
    kr_map_each (e, &c->s->types) {
        struct sandbox_type *t = e->val;
        struct group *g = t->gone ? NULL : group_of(c->a, list, n, t->group);

        for (uint32_t i = 0; g && i < t->versions_n; i++) {
            if (t->versions[i].served)
                add_version(g, t->versions[i].name, t->builtin);
        }
    }
    return list;
}

static const struct sandbox_version *served(const struct sandbox_type *t, kr_str group,
                                            kr_str version)
{
    const struct sandbox_version *v =
        t->gone || !kr_str_eq(t->group, group) ? NULL : sandbox__type_version(t, version);

    return v && v->served ? v : NULL;
}

static kr_str verbs_of(const struct sandbox_type *t, const struct sandbox_version *v)
{
    return t->builtin ? v->builtin.verbs : t->verbs;
}

/* --- subresources ----------------------------------------------------------------------------- */

struct sub {
    kr_str name, verbs;
    kr_gvk gvk;
};

/* The subresources of a version; returns how many. */
static uint32_t subs_of(const struct sandbox_type *t, const struct sandbox_version *v,
                        struct sub out[16])
{
    struct kube_builtin_sub sub;
    uint32_t n = 0;

    if (t->builtin) {
        for (kr_str rest = v->builtin.subresources;
             n < 16 && kube_builtin_sub(&v->builtin, &rest, &sub);)
            out[n++] = (struct sub){sub.name, sub.verbs, sub.gvk};
        return n;
    }
    if (v->status)
        out[n++] = (struct sub){KR_S("status"), KR_S("gpu"), {t->group, v->name, t->kind}};
    if (v->scale)
        out[n++] = (struct sub){
            KR_S("scale"), KR_S("gpu"), {KR_S("autoscaling"), KR_S("v1"), KR_S("Scale")}};
    return n;
}

bool sandbox__has_sub(const struct sandbox_version *v, kr_str name)
{
    struct kube_builtin_sub sub;

    for (kr_str rest = v->builtin.subresources; kube_builtin_sub(&v->builtin, &rest, &sub);) {
        if (kr_str_eq(sub.name, name))
            return true;
    }
    return false;
}

/* --- the legacy form -------------------------------------------------------------------------- */

static kr_val resource(struct kr_arena *a, const struct sandbox_type *t, kr_str name, kr_gvk gvk,
                       kr_str verbs, bool main)
{
    struct kr_mapb b = KR_MAPB(a);

    STR(&b, "name", name);
    STR(&b, "singularName", main ? t->singular : KR_S(""));
    PUT(&b, "namespaced", kr_bool(t->namespaced));
    STR(&b, "kind", gvk.kind);
    PUT(&b, "verbs", kube_builtin_verbs(a, verbs));
    if (main && t->short_names.n)
        PUT(&b, "shortNames", t->short_names);
    if (main && t->categories.n)
        PUT(&b, "categories", t->categories);
    if (!kr_str_eq(gvk.group, t->group)) {
        STR(&b, "group", gvk.group);
        STR(&b, "version", gvk.version);
    }
    return kr_mapb_done(&b);
}

static int resource_list(struct sandbox_call *c, kr_str group, kr_str version)
{
    struct kr_listb list = KR_LISTB(c->a);
    struct kr_mapb b = KR_MAPB(c->a);
    bool found = false;

    kr_map_each (e, &c->s->types) {
        const struct sandbox_type *t = e->val;
        const struct sandbox_version *v = served(t, group, version);
        struct sub subs[16];
        uint32_t n = v ? subs_of(t, v, subs) : 0;

        if (v == NULL)
            continue;
        found = true;
        kr_listb_add(&list, resource(c->a, t, t->resource, (kr_gvk){group, version, t->kind},
                                     verbs_of(t, v), true));
        for (uint32_t i = 0; i < n; i++)
            kr_listb_add(&list, resource(c->a, t,
                                         kr_fmt(c->a, KR_FMT "/" KR_FMT, KR_ARG(t->resource),
                                                KR_ARG(subs[i].name)),
                                         subs[i].gvk, subs[i].verbs, false));
    }
    if (!found)
        return sandbox__answer_text(c, 404, "404 page not found\n");
    PUT(&b, "kind", KR_V_STR("APIResourceList"));
    PUT(&b, "apiVersion", KR_V_STR("v1"));
    STR(&b, "groupVersion", kr_api_version_text(c->a, group, version));
    PUT(&b, "resources", kr_listb_done(&list));
    return sandbox__answer(c, 200, kr_mapb_done(&b));
}

static kr_val group_version(struct kr_arena *a, const struct group *g, uint32_t i)
{
    struct kr_mapb b = KR_MAPB(a);

    STR(&b, "groupVersion", kr_api_version_text(a, g->name, g->versions[i]));
    STR(&b, "version", g->versions[i]);
    return kr_mapb_done(&b);
}

static kr_val group_val(struct kr_arena *a, const struct group *g)
{
    struct kr_listb versions = KR_LISTB(a);
    struct kr_mapb b = KR_MAPB(a);

    for (uint32_t i = 0; i < g->versions_n; i++)
        kr_listb_add(&versions, group_version(a, g, i));
    STR(&b, "name", g->name);
    PUT(&b, "versions", kr_listb_done(&versions));
    PUT(&b, "preferredVersion", group_version(a, g, 0));
    return kr_mapb_done(&b);
}

static kr_val with_kind(struct kr_arena *a, kr_val v, const char *kind)
{
    v = kr_with_key(a, v, KR_S("kind"), kr_string(kr_str_c(kind)));
    return kr_with_key(a, v, KR_S("apiVersion"), KR_V_STR("v1"));
}

static int legacy_groups(struct sandbox_call *c, kr_str only)
{
    struct kr_listb list = KR_LISTB(c->a);
    uint32_t n;
    struct group **all = groups(c, &n);
    kr_val v;

    for (uint32_t i = 0; i < n; i++) {
        if (all[i]->name.n == 0)
            continue; /* the core group has its own path */
        v = group_val(c->a, all[i]);
        if (only.n && kr_str_eq(all[i]->name, only))
            return sandbox__answer(c, 200, with_kind(c->a, v, "APIGroup"));
        kr_listb_add(&list, v);
    }
    if (only.n)
        return sandbox__answer_text(c, 404, "404 page not found\n");
    v = kr_with_key(c->a, kr_map_sorted(NULL, 0), KR_S("groups"), kr_listb_done(&list));
    return sandbox__answer(c, 200, with_kind(c->a, v, "APIGroupList"));
}

static int legacy_core(struct sandbox_call *c)
{
    static const kr_val v1 = {.kind = KR_STRING, .n = 2, .s = "v1"};
    struct kr_mapb b = KR_MAPB(c->a);

    PUT(&b, "kind", KR_V_STR("APIVersions"));
    PUT(&b, "versions", kr_list(&v1, 1));
    PUT(&b, "serverAddressByClientCIDRs", kr_list(NULL, 0));
    return sandbox__answer(c, 200, kr_mapb_done(&b));
}

/* --- the aggregated form ---------------------------------------------------------------------- */

static kr_val response_kind(struct kr_arena *a, kr_gvk gvk)
{
    struct kr_mapb b = KR_MAPB(a);

    STR(&b, "group", gvk.group);
    STR(&b, "version", gvk.version);
    STR(&b, "kind", gvk.kind);
    return kr_mapb_done(&b);
}

static kr_val aggregated_resource(struct kr_arena *a, const struct sandbox_type *t,
                                  const struct sandbox_version *v)
{
    struct kr_listb list = KR_LISTB(a);
    struct kr_mapb b = KR_MAPB(a);
    struct sub subs[16];
    uint32_t n = subs_of(t, v, subs);

    for (uint32_t i = 0; i < n; i++) {
        struct kr_mapb s = KR_MAPB(a);

        STR(&s, "subresource", subs[i].name);
        PUT(&s, "responseKind", response_kind(a, subs[i].gvk));
        PUT(&s, "verbs", kube_builtin_verbs(a, subs[i].verbs));
        kr_listb_add(&list, kr_mapb_done(&s));
    }
    STR(&b, "resource", t->resource);
    PUT(&b, "responseKind", response_kind(a, (kr_gvk){t->group, v->name, t->kind}));
    PUT(&b, "scope", t->namespaced ? KR_V_STR("Namespaced") : KR_V_STR("Cluster"));
    STR(&b, "singularResource", t->singular);
    PUT(&b, "verbs", kube_builtin_verbs(a, verbs_of(t, v)));
    if (t->short_names.n)
        PUT(&b, "shortNames", t->short_names);
    if (t->categories.n)
        PUT(&b, "categories", t->categories);
    if (n)
        PUT(&b, "subresources", kr_listb_done(&list));
    return kr_mapb_done(&b);
}

static kr_val aggregated_version(struct sandbox_call *c, const struct group *g, kr_str version)
{
    struct kr_listb list = KR_LISTB(c->a);
    struct kr_mapb b = KR_MAPB(c->a);

    kr_map_each (e, &c->s->types) {
        const struct sandbox_version *v = served(e->val, g->name, version);

        if (v)
            kr_listb_add(&list, aggregated_resource(c->a, e->val, v));
    }
    STR(&b, "version", version);
    PUT(&b, "resources", kr_listb_done(&list));
    PUT(&b, "freshness", KR_V_STR("Current"));
    return kr_mapb_done(&b);
}

static int aggregated(struct sandbox_call *c, bool core, const char *version)
{
    struct kr_listb items = KR_LISTB(c->a);
    kr_val v = kr_map_sorted(NULL, 0);
    uint32_t n;
    struct group **all = groups(c, &n);
    int status;

    for (uint32_t i = 0; i < n; i++) {
        struct kr_listb versions = KR_LISTB(c->a);
        kr_val item = kr_map_sorted(NULL, 0);

        if ((all[i]->name.n == 0) != core)
            continue;
        for (uint32_t j = 0; j < all[i]->versions_n; j++)
            kr_listb_add(&versions, aggregated_version(c, all[i], all[i]->versions[j]));
        if (!core)
            item = kr_with(c->a, item, "metadata.name", kr_string(all[i]->name));
        item = kr_with(c->a, item, "versions", kr_listb_done(&versions));
        kr_listb_add(&items, item);
    }
    v = kr_with(c->a, v, "kind", KR_V_STR("APIGroupDiscoveryList"));
    v = kr_with(c->a, v, "apiVersion", kr_string(kr_fmt(c->a, "apidiscovery.k8s.io/%s", version)));
    v = kr_with(c->a, v, "metadata", kr_map_sorted(NULL, 0));
    v = kr_with(c->a, v, "items", kr_listb_done(&items));
    status = sandbox__answer(c, 200, v);
    c->r->content_type =
        strcmp(version, "v2") == 0
            ? "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
            : "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
    return status;
}

/* --- paths ------------------------------------------------------------------------------------ */

/* "v2", "v2beta1", or NULL: the legacy form. */
static const char *aggregated_wanted(const struct sandbox_call *c)
{
    kr_str rest = c->q->accept;

    while (rest.n > 0) {
        kr_str one = kr_str_cut(&rest, ',');

        if (kr_str_find(one, KR_S("as=APIGroupDiscoveryList")) < 0)
            continue;
        return kr_str_find(one, KR_S("v=v2beta1")) >= 0 ? "v2beta1" : "v2";
    }
    return NULL;
}

static int version_page(struct sandbox_call *c)
{
    struct kr_mapb b = KR_MAPB(c->a);
    kr_str release = kr_str_c(kube_builtin_release()), rest = kr_str_sub(release, 1, release.n);

    STR(&b, "major", kr_str_cut(&rest, '.'));
    STR(&b, "minor", kr_str_cut(&rest, '.'));
    STR(&b, "gitVersion", release);
    PUT(&b, "gitCommit", KR_V_STR(""));
    PUT(&b, "gitTreeState", KR_V_STR("clean"));
    PUT(&b, "buildDate", KR_V_STR("1970-01-01T00:00:00Z"));
    PUT(&b, "goVersion", KR_V_STR(""));
    PUT(&b, "compiler", KR_V_STR("gc"));
    PUT(&b, "platform", KR_V_STR("linux/amd64"));
    return sandbox__answer(c, 200, kr_mapb_done(&b));
}

int sandbox__discovery(struct sandbox_call *c)
{
    kr_str path = c->path;
    const char *version = aggregated_wanted(c);
    bool core;

    if (kr_str_ends(path, KR_S("/")))
        path.n--;
    core = kr_str_is(path, "/api");
    if (kr_str_is(path, "/version"))
        return version_page(c);
    if (core || kr_str_is(path, "/apis"))
        return version ? aggregated(c, core, version)
               : core  ? legacy_core(c)
                       : legacy_groups(c, KR_S(""));
    if (kr_str_is(path, "/api/v1"))
        return resource_list(c, KR_S(""), KR_S("v1"));
    if (!kr_str_starts(path, KR_S("/apis/")))
        return 0;
    path = kr_str_sub(path, 6, path.n);
    if (kr_str_chr(path, '/') < 0)
        return legacy_groups(c, path);
    if (kr_str_chr(path, '/') == kr_str_rchr(path, '/')) {
        kr_str group = kr_str_cut(&path, '/');

        return resource_list(c, group, path);
    }
    return 0;
}
