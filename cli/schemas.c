/* SPDX-License-Identifier: Apache-2.0 */
/* schemas.c - see schemas.h.
 *
 *   made      the kinds that definitions of the input generate, once compiled
 *   crds      kinds of CRDs, as an API server would publish them
 *   documents OpenAPI documents of --schemas; `offers` has resource and scope of their kinds
 *   cluster   one table a load; or else `builtin`
 *
 * A kind that is found is shared into `found`, the one table that users see.
 */
#include "cli/schemas.h"

#include "cel/base/json.h"
#include "cel/base/map.h"
#include "cel/base/yaml.h"
#include "cli/cluster.h"
#include "kube/builtin.h"

#include "cel/base/banned.h"

/* A definition and the kind that it generates. */
struct maker {
    struct maker *next;
    const char *file;
    kr_str name;
    kr_val spec;
    kr_gvk gvk;
    enum { M_NEW, M_BUSY, M_DONE, M_FAILED, M_CIRCLE } state;
    const char *error; /* of M_FAILED */
};

/* What is known of a kind besides its schema. */
struct offer {
    kr_gvk gvk;
    kr_str resource;
    bool namespaced;
};

struct cluster_load {
    struct cluster_load *next;
    struct cel_kinds *kinds;
};

struct cli_schemas {
    struct cli_schemas_opts opts;
    struct kr_arena a;
    struct maker *makers, **makers_end;
    struct kr_map offers; /* gvk -> struct offer */
    struct cel_kinds *found, *made, *crds, *documents, *builtin;
    struct cli_cluster *cluster;
    struct cluster_load *loads;
    uint32_t depth;   /* definitions that are being compiled for their kind */
    uint32_t taken_n; /* documents of them that were of use */
};

static kr_str gvk_text(struct kr_arena *a, kr_gvk gvk)
{
    kr_str version = kr_api_version_text(a, gvk.group, gvk.version);

    return kr_fmt(a, KR_FMT " " KR_FMT, KR_ARG(version), KR_ARG(gvk.kind));
}

/* --- documents -------------------------------------------------------------------------------- */

static void add_maker(struct cli_schemas *s, const char *file, kr_val rgd)
{
    struct maker *m = kr_new(&s->a, struct maker);
    kr_val schema = kr_at(rgd, "spec.schema");

    m->file = kr_cstr(&s->a, kr_str_c(file));
    m->name = kr_at_str(rgd, "metadata.name");
    m->spec = kr_get(rgd, KR_S("spec"));
    m->gvk.group = kr_at_str(schema, "group");
    m->gvk.version = kr_at_str(schema, "apiVersion");
    m->gvk.kind = kr_at_str(schema, "kind");
    if (m->gvk.group.n == 0)
        m->gvk.group = KR_S(GRAPH_GROUP);
    *s->makers_end = m;
    s->makers_end = &m->next;
}

static bool of_group(kr_val document, kr_str group)
{
    kr_str version = kr_at_str(document, "apiVersion");

    return kr_str_eq(kr_str_cut(&version, '/'), group);
}

/* 1: it was of use. */
static int add_document(struct cli_schemas *s, const char *file, kr_val document,
                        struct kr_err *err)
{
    kr_str kind = kr_at_str(document, "kind");
    int used = 0;

    if (kr_str_is(kind, "CustomResourceDefinition") &&
        of_group(document, KR_S("apiextensions.k8s.io"))) {
        if (cel_kinds_add_crd(s->crds, document, err) < 0)
            return kr_wrap(err, "%s", file);
        return 1;
    }
    if (kr_str_is(kind, "ResourceGraphDefinition") && of_group(document, KR_S(GRAPH_GROUP))) {
        add_maker(s, file, document);
        return 1;
    }
    if (!kr_str_is(kind, "List") && !kr_str_is(kind, "CustomResourceDefinitionList") &&
        !kr_str_is(kind, "ResourceGraphDefinitionList"))
        return 0;
    KR_LIST_EACH (item, kr_get(document, KR_S("items"))) {
        int rc = add_document(s, file, *item, err);

        KR_TRY(rc);
        used |= rc;
    }
    return used;
}

int cli_schemas_add(struct cli_schemas *s, const char *file, kr_val document, struct kr_err *err)
{
    KR_TRY(add_document(s, file, document, err));
    return 0;
}

/* --- OpenAPI and discovery documents ---------------------------------------------------------- */

static kr_str offer_key(struct kr_arena *a, kr_gvk gvk)
{
    return kr_fmt(a, KR_FMT "/" KR_FMT "/" KR_FMT, KR_ARG(gvk.group), KR_ARG(gvk.version),
                  KR_ARG(gvk.kind));
}

static void add_offer(struct cli_schemas *s, kr_gvk gvk, kr_str resource, bool namespaced)
{
    KR_AUTO(kr_arena) a = {0};
    struct offer *o;

    if (gvk.kind.n == 0 || gvk.version.n == 0 || resource.n == 0)
        return;
    o = kr_new(&s->a, struct offer);
    o->gvk = kr_gvk_copy(&s->a, gvk);
    o->resource = kr_strdup(&s->a, resource);
    o->namespaced = namespaced;
    kr_map_put(&s->offers, offer_key(&a, gvk), o);
}

static kr_gvk gvk_of(kr_val v)
{
    return (kr_gvk){kr_at_str(v, "group"), kr_at_str(v, "version"), kr_at_str(v, "kind")};
}

/* "/apis/apps/v1/namespaces/{namespace}/deployments": the collection of a resource type, which is
 * told by the kind of its POST or GET. */
static void offer_of_path(struct cli_schemas *s, kr_str path, kr_val operations)
{
    KR_AUTO(kr_arena) a = {0};
    kr_val about = kr_at(operations, "post.x-kubernetes-group-version-kind");
    bool namespaced = kr_str_find(path, KR_S("/namespaces/{namespace}/")) >= 0;
    size_t from = (size_t)(kr_str_rchr(path, '/') + 1);
    kr_str last = kr_str_sub(path, from, path.n);

    if (about.kind != KR_MAP)
        about = kr_at(operations, "get.x-kubernetes-group-version-kind");
    if (about.kind != KR_MAP || kr_str_starts(last, KR_S("{")) ||
        kr_str_find(path, KR_S("/{name}/")) >= 0 || kr_str_find(path, KR_S("/watch/")) >= 0)
        return; /* one object, a subresource, or the old form of a watch */
    if (namespaced || !kr_map_get(&s->offers, offer_key(&a, gvk_of(about))))
        add_offer(s, gvk_of(about), last, namespaced); /* all namespaces have a path too */
}

static kr_str lower_case(struct kr_arena *a, kr_str s)
{
    char *out = kr_arena_bytes(a, s.n + 1);

    for (size_t i = 0; i < s.n; i++)
        out[i] = s.s[i] >= 'A' && s.s[i] <= 'Z' ? (char)(s.s[i] | 0x20) : s.s[i];
    return (kr_str){out, s.n};
}

/* A document without paths does not tell plural and scope: the built-in kinds' are known, of others
 * they are taken to be as usual. */
static void offer_of_component(struct cli_schemas *s, kr_val schema)
{
    KR_LIST_EACH (it, kr_get(schema, KR_S("x-kubernetes-group-version-kind"))) {
        KR_AUTO(kr_arena) a = {0};
        kr_gvk gvk = gvk_of(*it);
        struct kube_builtin_kind builtin;

        if (kr_at(schema, "properties.metadata").kind != KR_MAP ||
            kr_str_ends(gvk.kind, KR_S("List")) || kr_map_get(&s->offers, offer_key(&a, gvk)))
            continue;
        if (kube_builtin_find(gvk, &builtin))
            add_offer(s, gvk, builtin.resource, builtin.namespaced);
        else
            add_offer(s, gvk, graph_plural(&a, lower_case(&a, gvk.kind)), true);
    }
}

static int add_openapi(struct cli_schemas *s, kr_val document, struct kr_err *err)
{
    KR_TRY(cel_kinds_read_openapi(s->documents, document, err));
    KR_MAP_EACH (path, kr_get(document, KR_S("paths")))
        offer_of_path(s, kr_text(path->key), path->val);
    KR_MAP_EACH (component, kr_at(document, "components.schemas"))
        offer_of_component(s, component->val);
    return 0;
}

static void add_resource_list(struct cli_schemas *s, kr_val document)
{
    kr_gvk gvk;

    if (!kr_api_version(kr_at_str(document, "groupVersion"), &gvk.group, &gvk.version))
        return;
    KR_LIST_EACH (r, kr_get(document, KR_S("resources"))) {
        gvk.kind = kr_at_str(*r, "kind");
        if (kr_str_chr(kr_at_str(*r, "name"), '/') < 0)
            add_offer(s, gvk, kr_at_str(*r, "name"), kr_is_true(kr_at(*r, "namespaced")));
    }
}

static void add_aggregated(struct cli_schemas *s, kr_val document)
{
    KR_LIST_EACH (group, kr_get(document, KR_S("items"))) {
        KR_LIST_EACH (version, kr_get(*group, KR_S("versions"))) {
            KR_LIST_EACH (r, kr_get(*version, KR_S("resources"))) {
                kr_gvk gvk = {kr_at_str(*group, "metadata.name"), kr_at_str(*version, "version"),
                              kr_at_str(*r, "responseKind.kind")};

                add_offer(s, gvk, kr_at_str(*r, "resource"),
                          kr_is_str(kr_at(*r, "scope"), KR_S("Namespaced")));
            }
        }
    }
}

/* --- files ------------------------------------------------------------------------------------ */

/* One document of a file of --schemas; what is none of ours is passed over. */
static int read_document(struct cli_schemas *s, const char *file, kr_val document,
                         struct kr_err *err)
{
    kr_str kind = kr_at_str(document, "kind");
    int rc;

    if (kr_at(document, "components.schemas").kind == KR_MAP) {
        if (add_openapi(s, document, err) < 0)
            return kr_wrap(err, "%s", file);
        s->taken_n++;
        return 0;
    }
    if (kr_str_is(kind, "APIResourceList")) {
        add_resource_list(s, document);
        s->taken_n++;
        return 0;
    }
    if (kr_str_is(kind, "APIGroupDiscoveryList")) {
        add_aggregated(s, document);
        s->taken_n++;
        return 0;
    }
    rc = add_document(s, file, kr_copy(&s->a, document), err);
    s->taken_n += rc > 0;
    return rc < 0 ? rc : 0;
}

static bool has_suffix(const char *path, const char *suffix)
{
    return kr_str_ends(kr_str_c(path), kr_str_c(suffix));
}

static int read_file(void *arg, const char *path, struct kr_err *err)
{
    struct cli_schemas *s = arg;
    KR_AUTO(kr_arena) a = {0};
    kr_str text;
    kr_val docs, one;
    int rc;

    KR_TRY(cli_read(&a, path, &text, err));
    if (has_suffix(path, ".json")) {
        rc = kr_json_parse(&a, text, &one, err);
        docs = kr_list(&one, 1);
    } else {
        rc = kr_yaml_parse(&a, text, &docs, err);
    }
    if (rc < 0)
        return kr_wrap(err, "%s", path);
    KR_LIST_EACH (document, docs)
        KR_TRY(read_document(s, path, *document, err));
    return 0;
}

static int read_paths(struct cli_schemas *s, struct kr_err *err)
{
    for (uint32_t i = 0; i < s->opts.paths.n; i++) {
        KR_AUTO(kr_arena) a = {0};
        uint32_t before = s->taken_n;

        if (cli_each_file(&a, s->opts.paths.at[i], read_file, s, err) < 0)
            return kr_wrap(err, "--schemas");
        if (s->taken_n == before)
            return kr_fail(err, KR_E_INPUT, "--schemas: no OpenAPI document and no CRD in %s",
                           s->opts.paths.at[i]);
    }
    return 0;
}

int cli_schemas_new(const struct cli_schemas_opts *opts, struct cli_schemas **out,
                    struct kr_err *err)
{
    KR_AUTO_PTR(cli_schemas) s = KR_ALLOC(struct cli_schemas);

    s->opts = *opts;
    s->makers_end = &s->makers;
    s->found = cel_kinds_new();
    s->made = cel_kinds_new();
    s->crds = cel_kinds_new();
    s->documents = cel_kinds_new();
    s->builtin = cel_kinds_new();
    KR_TRY(read_paths(s, err));
    *out = KR_MOVE(s);
    return 0;
}

void cli_schemas_free(struct cli_schemas *s)
{
    if (!s)
        return;
    cel_kinds_free(s->found); /* shares what the others have */
    cel_kinds_free(s->made);
    cel_kinds_free(s->crds);
    cel_kinds_free(s->documents);
    cel_kinds_free(s->builtin);
    for (struct cluster_load *l = s->loads; l; l = l->next)
        cel_kinds_free(l->kinds);
    cli_cluster_free(s->cluster);
    kr_map_fini(&s->offers);
    kr_arena_fini(&s->a);
    kr_free(s);
}

/* --- definitions that generate kinds ---------------------------------------------------------- */

static struct maker *maker_of(const struct cli_schemas *s, kr_gvk gvk)
{
    for (struct maker *m = s->makers; m; m = m->next) {
        if (kr_gvk_eq(m->gvk, gvk))
            return m;
    }
    return NULL;
}

static void compile_maker(struct cli_schemas *s, struct maker *m)
{
    KR_AUTO(kr_arena) a = {0};
    struct graph_source src = {.name = m->name, .spec = m->spec, .omit = s->opts.omit};
    struct graph_rev *rev = NULL;
    struct kr_err err = KR_ERR_NONE;
    int rc;

    m->state = M_BUSY;
    rc = cli_schemas_build(s, &src, &a, &rev, &err);
    if (rc == 0) {
        rc = cel_kinds_add_crd(s->made, rev->crd, &err);
        graph_rev_drop(rev);
    }
    if (m->state == M_BUSY)
        m->state = rc < 0 ? M_FAILED : M_DONE;
    if (rc < 0)
        m->error = kr_cstr(&s->a, kr_err_str(&err));
}

/* The kind as a definition generates it, or NULL. */
static const struct cel_kind *make(struct cli_schemas *s, kr_gvk gvk)
{
    struct maker *m = maker_of(s, gvk);

    if (!m)
        return NULL;
    if (m->state == M_BUSY) {
        m->state = M_CIRCLE;
        return NULL;
    }
    if (m->state == M_NEW && s->depth < CLI_SCHEMAS_DEPTH_MAX) {
        s->depth++;
        compile_maker(s, m);
        s->depth--;
    }
    return cel_kinds_find(s->made, gvk);
}

/* --- loading ---------------------------------------------------------------------------------- */

static const struct cel_kind *from_documents(struct cli_schemas *s, kr_gvk gvk)
{
    KR_AUTO(kr_arena) a = {0};
    const struct offer *o = kr_map_get(&s->offers, offer_key(&a, gvk));
    const struct cel_kind *kind;

    if (!o)
        return NULL;
    cel_kinds_add(s->documents, o->gvk, o->resource, o->namespaced);
    kind = cel_kinds_find(s->documents, gvk);
    return kind->schema ? kind : NULL; /* discovery tells of it, but there is no schema */
}

static bool by_cluster(const struct cli_schemas *s)
{
    return s->opts.cluster || s->opts.kubeconfig || s->opts.context;
}

static bool load_local(struct cli_schemas *s, kr_gvk gvk)
{
    const struct cel_kind *kind = cel_kinds_find(s->found, gvk);

    if (kind)
        return true;
    kind = make(s, gvk);
    if (!kind)
        kind = cel_kinds_find(s->crds, gvk);
    if (!kind)
        kind = from_documents(s, gvk);
    if (!kind && !by_cluster(s) && kube_builtin_add(s->builtin, gvk))
        kind = cel_kinds_find(s->builtin, gvk);
    if (kind)
        cel_kinds_share(s->found, kind);
    return kind != NULL;
}

/* Asks the cluster for gvks; shares what it has. */
static int load_remote(struct cli_schemas *s, const kr_gvk *gvks, uint32_t n, struct kr_err *err)
{
    struct cluster_load *l;
    const struct cel_kind *kind;
    struct cel_kinds *kinds;

    if (!s->cluster)
        KR_TRY(cli_cluster_open(s->opts.kubeconfig, s->opts.context, &s->cluster, err));
    if (cli_cluster_kinds(s->cluster, gvks, n, &kinds, err) < 0)
        return kr_wrap(err, "schemas of the cluster");
    l = kr_new(&s->a, struct cluster_load);
    l->kinds = kinds;
    l->next = s->loads;
    s->loads = l;
    for (uint32_t at = 0; (kind = cel_kinds_next(kinds, &at)) != NULL;)
        cel_kinds_share(s->found, kind);
    return 0;
}

int cli_schemas_load(struct cli_schemas *s, const kr_gvk *gvks, uint32_t n, struct kr_arena *a,
                     const kr_gvk **missing, uint32_t *missing_n, struct kr_err *err)
{
    kr_gvk *lack = kr_new_n(a, kr_gvk, n + 1);
    uint32_t lack_n = 0, still_n = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (!load_local(s, gvks[i]))
            lack[lack_n++] = gvks[i];
    }
    if (lack_n && by_cluster(s))
        KR_TRY(load_remote(s, lack, lack_n, err));
    for (uint32_t i = 0; i < lack_n; i++) {
        if (!cel_kinds_find(s->found, lack[i]))
            lack[still_n++] = lack[i];
    }
    *missing = lack;
    *missing_n = still_n;
    return 0;
}

const struct cel_kinds *cli_schemas_kinds(const struct cli_schemas *s)
{
    return s->found;
}

int cli_schemas_build(struct cli_schemas *s, const struct graph_source *src, struct kr_arena *a,
                      struct graph_rev **out, struct kr_err *err)
{
    struct graph_source with_missing = *src;
    const kr_gvk *gvks, *needs;
    uint32_t n, needs_n;
    int rc;

    graph_kinds_of(src->spec, a, &gvks, &n);
    KR_TRY(cli_schemas_load(s, gvks, n, a, &with_missing.missing, &with_missing.missing_n, err));
    rc = graph_build(&with_missing, s->found, a, out, &needs, &needs_n, err);
    if (rc == GRAPH_NEEDS) /* a kind that graph_kinds_of did not see */
        rc = kr_fail(err, KR_E_INPUT, "no schema of " KR_FMT, KR_ARG(gvk_text(a, needs[0])));
    return rc;
}

/* --- what would be right ---------------------------------------------------------------------- */

/* Every kind that some source has. */
struct known_list {
    struct kr_arena *a;
    kr_gvk *at;
    uint32_t n, cap;
};

static void know(struct known_list *l, kr_gvk gvk)
{
    if (l->n == l->cap) {
        uint32_t cap = l->cap ? 2 * l->cap : 256;
        kr_gvk *grown = kr_new_n(l->a, kr_gvk, cap);

        if (l->n)
            memcpy(grown, l->at, l->n * sizeof(*grown));
        l->at = grown;
        l->cap = cap;
    }
    l->at[l->n++] = gvk;
}

static void know_all(const struct cli_schemas *s, struct known_list *l)
{
    const struct cel_kind *kind;
    const struct kube_kind *served;
    struct kube_builtin_kind builtin;

    for (const struct maker *m = s->makers; m; m = m->next)
        know(l, m->gvk);
    for (uint32_t at = 0; (kind = cel_kinds_next(s->crds, &at)) != NULL;)
        know(l, kind->gvk);
    kr_map_each (e, &s->offers)
        know(l, ((const struct offer *)e->val)->gvk);
    if (s->cluster) {
        for (uint32_t at = 0;
             (served = kube_discovery_next(cli_cluster_discovery(s->cluster), &at)) != NULL;)
            know(l, served->gvk);
    } else if (!by_cluster(s)) {
        for (uint32_t at = 0; kube_builtin_next(&at, &builtin);)
            know(l, builtin.gvk);
    }
}

/* The same kind in another group or version, the same group first; else the kind with the nearest
 * name, of the same group version first. NULL: nothing is near. */
static const kr_gvk *nearest(const struct known_list *l, kr_gvk gvk)
{
    const char **names = kr_new_n(l->a, const char *, l->n + 1), *name;
    const char *word = kr_cstr(l->a, gvk.kind);
    const kr_gvk *found = NULL;
    uint32_t n = 0;

    for (uint32_t i = 0; i < l->n; i++) {
        const kr_gvk *k = &l->at[i];

        if (kr_str_eq(k->kind, gvk.kind) &&
            (!found || (kr_str_eq(k->group, gvk.group) && !kr_str_eq(found->group, gvk.group))))
            found = k;
    }
    if (found)
        return found;
    for (int pass = 0; pass < 2; pass++) {
        n = 0;
        for (uint32_t i = 0; i < l->n; i++) {
            bool same =
                kr_str_eq(l->at[i].group, gvk.group) && kr_str_eq(l->at[i].version, gvk.version);

            if (same || pass == 1)
                names[n++] = kr_cstr(l->a, l->at[i].kind);
        }
        name = cli_nearest(word, names, n);
        for (uint32_t i = 0; name && i < l->n; i++) {
            bool same =
                kr_str_eq(l->at[i].group, gvk.group) && kr_str_eq(l->at[i].version, gvk.version);

            if ((same || pass == 1) && kr_str_eq(l->at[i].kind, kr_str_c(name)))
                return &l->at[i];
        }
    }
    return NULL;
}

kr_str cli_schemas_hint(const struct cli_schemas *s, struct kr_arena *a, kr_gvk gvk)
{
    const struct maker *m = maker_of(s, gvk);
    struct known_list known = {.a = a};
    const kr_gvk *near;

    if (m && m->state == M_FAILED)
        return kr_fmt(a, "it is generated by \"" KR_FMT "\" (%s), which does not compile: %s",
                      KR_ARG(m->name), m->file, m->error);
    if (m)
        return kr_fmt(a, "it is generated by \"" KR_FMT "\" (%s), which itself needs this one",
                      KR_ARG(m->name), m->file);
    know_all(s, &known);
    near = nearest(&known, gvk);
    if (near)
        return kr_fmt(a, "did you mean " KR_FMT "?", KR_ARG(gvk_text(a, *near)));
    if (by_cluster(s))
        return KR_S(
            "the cluster does not have it: install its CRD, or name the CRD with --schemas");
    return kr_fmt(a,
                  "built in are the types of Kubernetes %s: name the CRD with --schemas, or take "
                  "the kinds from the cluster with --cluster",
                  kube_builtin_release());
}
