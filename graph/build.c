/* SPDX-License-Identifier: Apache-2.0 */
/* build.c - a definition's spec and the schemas of its kinds to a revision. Pure.
 *
 *   spec --read, names, SimpleSchema--> units --kinds--> expressions --inspect--> edges, ranks
 *        --environment--> programs, types checked --> reads, rules, CRD --> revision
 *
 * Two arenas: what the revision keeps (programs, templates, paths) goes into its own; trees, types,
 * environments and everything else goes into the caller's and is forgotten. Schemas are borrowed
 * for the call only: what is needed of them later is kept as reads and rules.
 *
 * Slots: node of rank r has slot r, `schema` has slot nodes_n, iterators of a forEach follow. A
 * readyWhen has an environment of its own whose slot 0 is the node's object.
 *
 * Every pass goes on behind an error (diag.h): the first, in order of pass and resource, is kro's. What
 * is broken is left out of the later passes, and what reads it is let pass.
 *
 * Source: kro:pkg/graph/builder.go; reference rgd-graph 4 to 6.
 */
#include "graph/build.h"

#include "cel/base/banned.h"

enum { REV_CHUNK_MAX = 16 * 1024 }; /* what a revision leaves unused of its memory at most */

/* --- kinds ---------------------------------------------------------------------------------- */

static kr_str gvk_text(struct build *b, kr_gvk k)
{
    return kr_fmt(b->a, KR_FMT ", Kind=" KR_FMT,
                  KR_ARG(kr_api_version_text(b->a, k.group, k.version)), KR_ARG(k.kind));
}

static bool is_missing(const struct build *b, kr_gvk gvk)
{
    for (uint32_t i = 0; i < b->src->missing_n; i++) {
        if (kr_gvk_eq(b->src->missing[i], gvk))
            return true;
    }
    return false;
}

/* The kinds that are neither given nor known to be missing. */
static uint32_t find_needs(struct build *b, const kr_gvk **needs)
{
    const kr_gvk *all;
    uint32_t n, out = 0;
    kr_gvk *list;

    graph_kinds_of(b->src->spec, b->a, &all, &n);
    list = kr_new_n(b->a, kr_gvk, n);
    for (uint32_t i = 0; i < n; i++) {
        if (!cel_kinds_find(b->kinds, all[i]) && !is_missing(b, all[i]))
            list[out++] = all[i];
    }
    *needs = list;
    return out;
}

static void refuse(struct build *b, const char *member, kr_str message, kr_str text,
                   const char *suggestion)
{
    struct graph_diag *x =
        graph__diag(b->d, GRAPH_R_INVALID_RESOURCE, kr_str_c(member), KR_FMT, KR_ARG(message));

    graph__diag_text(b->d, x, KR_FMT, KR_ARG(text));
    x->suggestion = kr_str_c(suggestion);
}

/* With --namespace a child elsewhere is refused. */
static void check_scope(struct build *b, const struct build_unit *u)
{
    kr_str only = b->src->only_namespace, id = graph__go_quote(b->a, u->r->id);
    kr_val ns = kr_get(kr_get(u->r->object, KR_S("metadata")), KR_S("namespace"));

    if (only.n == 0)
        return;
    if (!u->kind->namespaced)
        refuse(b, "kind",
               kr_fmt(b->a,
                      "resource " KR_FMT " is of the cluster-scoped kind " KR_FMT
                      ", which cannot be served with --namespace " KR_FMT,
                      KR_ARG(id), KR_ARG(u->gvk.kind), KR_ARG(only)),
               KR_S("a cluster-scoped kind cannot be served with --namespace"), "");
    else if (ns.kind == KR_STRING && ns.n && kr_str_find(kr_text(ns), KR_S("${")) < 0 &&
             !kr_is_str(ns, only))
        refuse(b, "metadata.namespace",
               kr_fmt(b->a,
                      "resource " KR_FMT " has metadata.namespace " KR_FMT
                      ", which cannot be served with --namespace " KR_FMT,
                      KR_ARG(id), KR_ARG(graph__go_quote(b->a, kr_text(ns))), KR_ARG(only)),
               KR_S("another namespace cannot be served with --namespace"), "");
    else if (u->r->kind == GRAPH_EXTERNAL_COLLECTION && ns.n == 0)
        refuse(b, "metadata.namespace",
               kr_fmt(b->a,
                      "resource " KR_FMT " selects in all namespaces, which cannot be served with "
                      "--namespace " KR_FMT ": set metadata.namespace",
                      KR_ARG(id), KR_ARG(only)),
               KR_S("all namespaces cannot be served with --namespace"), "set metadata.namespace");
}

/* --- pass 5: one resource ------------------------------------------------------------------- */

static bool is_crd(kr_gvk k)
{
    return kr_str_is(k.group, "apiextensions.k8s.io") &&
           kr_str_is(k.kind, "CustomResourceDefinition");
}

/* A CRD's own schema is recursive: expressions are found without it, and only in its metadata. */
static void find_in_crd(struct build *b, struct build_unit *u)
{
    const struct graph_words *old =
        graph__words(b->d, "failed to parse schemaless resource %s", u->r->id, KR_S(""));

    graph__find_any(&u->finds, u->object);
    b->d->words = old;
    for (uint32_t i = 0; i < u->finds.n; i++) {
        const struct graph_found *f = &u->finds.items[i];
        struct graph_diag *x;

        if (kr_str_starts(f->path_text, KR_S("metadata.")))
            continue;
        x = graph__diag(b->d, GRAPH_R_INVALID_EXPRESSION, f->path_text,
                        "CEL expressions in CRDs are only supported for metadata fields, found in "
                        "path " KR_FMT ", resource " KR_FMT,
                        KR_ARG(graph__go_quote(b->a, f->path_text)), KR_ARG(u->r->id));
        graph__diag_text(b->d, x, "an expression can stand in the metadata of a CRD only");
        graph__diag_at(x, kr_strdup(b->d->a, f->text), 0);
    }
}

static void find_expressions(struct build *b, struct build_unit *u)
{
    bool external = u->r->external.kind != KR_NONE;
    const struct graph_words *old = b->d->words;

    if (!external && is_crd(u->gvk)) {
        find_in_crd(b, u);
        return;
    }
    if (external)
        graph__words(b->d, "failed to parse external ref resource %s", u->r->id, KR_S(""));
    else
        graph__words(b->d, "failed to extract CEL expressions from schema for resource %s",
                     u->r->id, KR_S(""));
    if (external || !u->kind)
        graph__find_any(&u->finds, u->object);
    else
        graph__find(&u->finds, u->object, u->kind->schema);
    b->d->words = old;
}

struct build_expr build__found(kr_str document, const struct graph_found *f)
{
    return (struct build_expr){.path = document,
                               .below = f->path_text,
                               .cel = f->cel,
                               .source = f->text,
                               .whole = f->standalone};
}

static void take_finds(struct build *b, struct build_unit *u, kr_str document)
{
    u->sites = kr_new_n(b->a, struct build_expr, u->finds.n);
    u->sites_n = u->finds.n;
    for (uint32_t i = 0; i < u->finds.n; i++)
        u->sites[i] = build__found(document, &u->finds.items[i]);
}

void build__unwrap(struct build *b, kr_str text, kr_str path, struct build_expr *out)
{
    struct kr_err err = KR_ERR_NONE;
    struct graph_diag *x;

    *out = (struct build_expr){.path = path, .source = text, .whole = true};
    if (graph__unwrap(b->a, text, &out->cel, &err) == 0) {
        out->source = out->cel = kr_strdup(b->ra, out->cel);
        return;
    }
    x = build__bad(b, out, GRAPH_R_SYNTAX, &err);
    graph__diag_at(x, x->source, 0);
    x->expected = KR_S("one ${...} and nothing else");
    if (kr_str_find(text, KR_S("${")) < 0)
        x->suggestion = kr_fmt(b->d->a, "write ${" KR_FMT "}", KR_ARG(text));
    else if (kr_str_trim(text).n != text.n)
        x->suggestion = KR_S("take away the blanks around it; a block scalar is to begin with |-");
}

static struct build_expr *unwrap_list(struct build *b, const struct build_unit *u, kr_val list,
                                      const char *what, uint32_t *n)
{
    const struct graph_words *old =
        graph__words(b->d, "failed to parse %s expressions", kr_str_c(what), KR_S(""));
    struct build_expr *out;

    *n = list.kind == KR_LIST ? list.n : 0;
    out = kr_new_n(b->a, struct build_expr, *n);
    for (uint32_t i = 0; i < *n; i++)
        build__unwrap(b, kr_text(list.list[i]),
                      kr_fmt(b->a, "spec.resources[%u].%s[%u]", u->r->index, what, i), &out[i]);
    b->d->words = old;
    return out;
}

static void unwrap_all(struct build *b, struct build_unit *u)
{
    const struct graph_words *old = b->d->words;

    u->ready = unwrap_list(b, u, u->r->ready, "readyWhen", &u->ready_n);
    u->include = unwrap_list(b, u, u->r->include, "includeWhen", &u->include_n);
    u->dims = kr_new_n(b->a, struct build_expr, u->r->dims_n);
    u->dims_n = u->r->dims_n;
    for (uint32_t i = 0; i < u->r->dims_n; i++) {
        graph__words(b->d,
                     "failed to parse forEach dimensions: invalid forEach expression for "
                     "dimension %q",
                     u->r->dims[i].name, KR_S(""));
        build__unwrap(b, u->r->dims[i].text,
                      kr_fmt(b->a, "spec.resources[%u].forEach[%u]." KR_FMT, u->r->index, i,
                             KR_ARG(u->r->dims[i].name)),
                      &u->dims[i]);
        b->d->words = old;
    }
}

static void fail_kind(struct build *b, const struct build_unit *u)
{
    kr_str text = gvk_text(b, u->gvk);
    struct graph_diag *x =
        graph__diag(b->d, GRAPH_R_UNKNOWN_KIND, KR_S("kind"),
                    "failed to get schema for resource " KR_FMT
                    ": cannot resolve group version kind " KR_FMT ": schema not found",
                    KR_ARG(u->r->id), KR_ARG(graph__go_quote(b->a, text)));

    graph__diag_text(b->d, x, "unknown kind " KR_FMT, KR_ARG(text));
    graph__diag_at(x, kr_strdup(b->d->a, u->gvk.kind), 0);
    x->gvk = kr_gvk_copy(b->d->a, u->gvk);
    if (b->src->defer)
        graph__diag_warn(b->d, x);
}

static void build_object(struct build *b, struct build_unit *u)
{
    if (!graph__check_structure(u->r->id, u->r->object, &u->gvk, b->d)) {
        u->broken = u->r->object.kind != KR_MAP;
    } else {
        u->kind = cel_kinds_find(b->kinds, u->gvk);
        if (u->kind && !u->kind->schema)
            u->kind = NULL;
        if (!u->kind && (is_missing(b, u->gvk) || b->needs_n == 0))
            fail_kind(b, u);
    }
    if (u->kind) {
        graph__check_constraints(u->r, u->kind->namespaced, b->rgd.cluster, b->d);
        check_scope(b, u);
    }
    find_expressions(b, u);
}

static void build_unit(struct build *b, struct build_unit *u)
{
    kr_str document = kr_fmt(b->a, "spec.resources[%u].%s", u->r->index,
                             u->r->external.kind != KR_NONE ? "externalRef" : "template");

    u->finds = (struct graph_finds){.a = b->a, .keep = b->ra, .d = b->d};
    u->object = kr_copy(b->ra, u->r->object);
    b->d->base = document;
    if (!u->broken && !u->r->broken)
        build_object(b, u);
    b->d->base = KR_S("");
    take_finds(b, u, document);
    unwrap_all(b, u);
}

static void build_units(struct build *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        const struct graph_words *old =
            graph__words(b->d, "failed to build resource %q", b->units[i].r->id, KR_S(""));

        build_unit(b, &b->units[i]);
        b->d->words = old;
    }
}

/* --- the passes ------------------------------------------------------------------------------- */

static void check_combinations(struct build *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        struct build_unit *u = &b->units[i];
        const struct graph_words *old =
            graph__words(b->d, "failed to build resource %q", b->rgd.resources[i].id, KR_S(""));

        u->r = &b->rgd.resources[i];
        if (!kr_map_get(&b->index, u->r->id))
            kr_map_put(&b->index, u->r->id, (void *)(uintptr_t)(i + 1));
        u->broken = u->r->broken || !graph__check_combination(u->r, b->d);
        b->d->words = old;
    }
}

/* Everything but what needs kinds. */
static void build_first(struct build *b)
{
    uint32_t dims_max = b->src->dimensions_max ? b->src->dimensions_max : GRAPH_DIMENSIONS_MAX;
    const struct graph_words *old =
        graph__words(b->d, "failed to validate resourcegraphdefinition", KR_S(""), KR_S(""));

    graph__rgd_read(b->src->spec, &b->rgd, b->d);
    graph__check_names(&b->rgd, dims_max, b->d);
    b->d->words = old;
    graph__check_admission(&b->rgd, b->d);
    graph__words(b->d,
                 "failed to build resourcegraphdefinition %q: failed to build OpenAPI schema for "
                 "instance",
                 b->src->name, KR_S(""));
    b->spec_schema = graph__simpleschema(b->rgd.spec, b->rgd.types, b->d);
    b->d->words = old;
    if (b->src->only_namespace.n && b->rgd.cluster)
        graph__diag(b->d, GRAPH_R_INVALID_FIELD, KR_S("spec.schema.scope"),
                    "spec.schema.scope: cluster-scoped instances cannot be served with "
                    "--namespace");
    b->n = b->rgd.resources_n;
    b->units = kr_new_n(b->a, struct build_unit, b->n);
    check_combinations(b);
}

static int build_rest(struct build *b, struct kr_err *err)
{
    struct graph_node_spec *specs;

    build_units(b);
    b->base = cel_env_new(b->a, CEL_LIB_ALL);
    cel_env_share(b->base, b->ra);
    build__edges(b);
    build__env(b);
    b->reads = kr_new_n(b->a, struct graph_readset, b->n + 1);
    for (uint32_t r = 0; r <= b->n; r++)
        graph__reads_init(&b->reads[r], b->a, GRAPH_TASKS_N(b->n));
    specs = kr_new_n(b->ra, struct graph_node_spec, b->n);
    build__compile(b, specs);
    build__conditions_extract(b);
    build__status(b);
    build__conditions(b);
    if (b->d->errors_n)
        return graph_diags_err(b->d, err);
    return build__finish(b, specs, err);
}

int graph_build(const struct graph_source *src, const struct cel_kinds *kinds, struct kr_arena *a,
                struct graph_rev **out, const kr_gvk **needs, uint32_t *needs_n, struct kr_err *err)
{
    struct graph_diags own = {.a = a};
    struct build b = {.src = src, .kinds = kinds, .a = a, .d = src->diags ? src->diags : &own};
    int rc = 0;

    b.rev = KR_ALLOC(struct graph_rev);
    b.rev->refs = 1;
    b.rev->impl = b.impl = KR_ALLOC(struct graph_rev_impl);
    b.ra = &b.impl->arena;
    b.ra->chunk_max = REV_CHUNK_MAX;
    build_first(&b);
    *needs_n = b.needs_n = find_needs(&b, needs);
    if (b.needs_n && b.d->errors_n == 0)
        rc = GRAPH_NEEDS;
    else
        rc = build_rest(&b, err);
    kr_map_fini(&b.index);
    kr_map_fini(&b.bits);
    kr_arena_fini(&b.tmp);
    if (rc != 0) {
        graph_rev_drop(b.rev);
        return rc;
    }
    *out = b.rev;
    return 0;
}
