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
 * Errors come one at a time, the first in order of pass and resource, in kro's words.
 *
 * Source: kro:pkg/graph/builder.go; reference rgd-graph 4 to 6.
 */
#include "graph/internal.h"

#include <stdlib.h>

#include "cel/base/map.h"

#include "cel/base/banned.h"

/* A resource while it is compiled. */
struct unit {
    const struct graph_resource *r;
    kr_gvk gvk;
    const struct cel_kind *kind;
    const struct cel_type *type;    /* of one object */
    const struct cel_type *visible; /* as other nodes see it: the object, or a list of it */
    struct graph_finds finds;
    struct kr_bits *found_nodes; /* per find: what it refers to, by index; bit n: the instance */
    kr_str *include, *ready, *dims;
    uint32_t include_n, ready_n;
    struct kr_bits *include_nodes, *dims_nodes;
    uint32_t *edges; /* indexes of what it refers to, in order of discovery, with repeats */
    uint32_t edges_n, edges_cap;
    bool rejects_each; /* `each` stands in a template: an edge to a node that cannot exist */
    uint32_t rank;
};

struct build {
    const struct graph_source *src;
    const struct cel_kinds *kinds;
    struct kr_arena *a;  /* scratch */
    struct kr_arena *ra; /* of the revision */
    struct graph_rgd rgd;
    uint32_t n;          /* resources */
    struct unit *units;  /* by index */
    struct kr_map index; /* id -> unit + 1 */
    struct graph_dag dag;
    const uint32_t *order; /* index by rank */
    kr_val spec_schema, status_schema;
    const struct cel_schema *instance; /* schema of `schema` */
    struct cel_env *base, *env;
    struct graph_readset *reads; /* by rank; [n]: of `schema` */
    struct graph_finds status;
    struct kr_bits *status_nodes; /* per find of status */
    struct graph_rev_impl *impl;
    struct graph_rev *rev;
    uint32_t slots_all_n;
};

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

static int check_scope(struct build *b, const struct unit *u, struct kr_err *err)
{
    kr_str only = b->src->only_namespace;
    kr_val ns = kr_get(kr_get(u->r->object, KR_S("metadata")), KR_S("namespace"));

    if (only.n == 0)
        return 0;
    if (!u->kind->namespaced)
        return kr_fail(err, KR_E_INPUT,
                       "resource " KR_FMT " is of the cluster-scoped kind " KR_FMT
                       ", which cannot be served with --namespace " KR_FMT,
                       KR_ARG(graph__go_quote(b->a, u->r->id)), KR_ARG(u->gvk.kind), KR_ARG(only));
    if (ns.kind == KR_STRING && ns.n && kr_str_find(kr_text(ns), KR_S("${")) < 0 &&
        !kr_is_str(ns, only))
        return kr_fail(err, KR_E_INPUT,
                       "resource " KR_FMT " has metadata.namespace " KR_FMT
                       ", which cannot be served with --namespace " KR_FMT,
                       KR_ARG(graph__go_quote(b->a, u->r->id)),
                       KR_ARG(graph__go_quote(b->a, kr_text(ns))), KR_ARG(only));
    if (u->r->kind == GRAPH_EXTERNAL_COLLECTION && ns.n == 0)
        return kr_fail(err, KR_E_INPUT,
                       "resource " KR_FMT " selects in all namespaces, which cannot be served with "
                       "--namespace " KR_FMT ": set metadata.namespace",
                       KR_ARG(graph__go_quote(b->a, u->r->id)), KR_ARG(only));
    return 0;
}

/* --- pass 5: one resource ------------------------------------------------------------------- */

static bool is_crd(kr_gvk k)
{
    return kr_str_is(k.group, "apiextensions.k8s.io") &&
           kr_str_is(k.kind, "CustomResourceDefinition");
}

/* A CRD's own schema is recursive: expressions are found without it, and only in its metadata. */
static int find_in_crd(struct unit *u, struct kr_err *err)
{
    if (graph__find_any(&u->finds, u->r->object, err) < 0)
        return kr_wrap(err, "failed to parse schemaless resource " KR_FMT, KR_ARG(u->r->id));
    for (uint32_t i = 0; i < u->finds.n; i++) {
        if (!kr_str_starts(u->finds.items[i].path_text, KR_S("metadata.")))
            return kr_fail(
                err, KR_E_INPUT,
                "CEL expressions in CRDs are only supported for metadata fields, found in "
                "path " KR_FMT ", resource " KR_FMT,
                KR_ARG(graph__go_quote(u->finds.a, u->finds.items[i].path_text)), KR_ARG(u->r->id));
    }
    return 0;
}

static int find_expressions(struct build *b, struct unit *u, struct kr_err *err)
{
    u->finds = (struct graph_finds){.a = b->a};
    if (u->r->external.kind != KR_NONE) {
        if (graph__find_any(&u->finds, u->r->object, err) < 0)
            return kr_wrap(err, "failed to parse external ref resource " KR_FMT, KR_ARG(u->r->id));
        return 0;
    }
    if (is_crd(u->gvk))
        return find_in_crd(u, err);
    if (graph__find(&u->finds, u->r->object, u->kind->schema, err) < 0)
        return kr_wrap(err, "failed to extract CEL expressions from schema for resource " KR_FMT,
                       KR_ARG(u->r->id));
    return 0;
}

static int unwrap_list(struct build *b, kr_val list, kr_str **out, uint32_t *n, const char *what,
                       struct kr_err *err)
{
    *n = list.kind == KR_LIST ? list.n : 0;
    *out = kr_new_n(b->a, kr_str, *n);
    for (uint32_t i = 0; i < *n; i++) {
        if (graph__unwrap(b->a, kr_text(list.list[i]), &(*out)[i], err) < 0)
            return kr_wrap(err, "failed to parse %s expressions", what);
    }
    return 0;
}

static int unwrap_all(struct build *b, struct unit *u, struct kr_err *err)
{
    KR_TRY(unwrap_list(b, u->r->ready, &u->ready, &u->ready_n, "readyWhen", err));
    KR_TRY(unwrap_list(b, u->r->include, &u->include, &u->include_n, "includeWhen", err));
    u->dims = kr_new_n(b->a, kr_str, u->r->dims_n);
    for (uint32_t i = 0; i < u->r->dims_n; i++) {
        if (graph__unwrap(b->a, u->r->dims[i].text, &u->dims[i], err) < 0)
            return kr_wrap(err,
                           "failed to parse forEach dimensions: invalid forEach expression for "
                           "dimension " KR_FMT,
                           KR_ARG(graph__go_quote(b->a, u->r->dims[i].name)));
    }
    return 0;
}

static int build_unit(struct build *b, struct unit *u, struct kr_err *err)
{
    KR_TRY(graph__check_structure(u->r->id, u->r->object, &u->gvk, err));
    u->kind = cel_kinds_find(b->kinds, u->gvk);
    if (!u->kind || !u->kind->schema)
        return kr_fail(err, KR_E_INPUT,
                       "failed to get schema for resource " KR_FMT
                       ": cannot resolve group version kind " KR_FMT ": schema not found",
                       KR_ARG(u->r->id), KR_ARG(graph__go_quote(b->a, gvk_text(b, u->gvk))));
    KR_TRY(graph__check_constraints(u->r, u->kind->namespaced, b->rgd.cluster, err));
    KR_TRY(check_scope(b, u, err));
    KR_TRY(find_expressions(b, u, err));
    return unwrap_all(b, u, err);
}

static int build_units(struct build *b, struct kr_err *err)
{
    for (uint32_t i = 0; i < b->n; i++) {
        if (build_unit(b, &b->units[i], err) < 0)
            return kr_wrap(err, "failed to build resource " KR_FMT,
                           KR_ARG(graph__go_quote(b->a, b->units[i].r->id)));
    }
    return 0;
}

/* --- pass 6: references --------------------------------------------------------------------- */

enum ident { ID_NODE, ID_SCHEMA, ID_EACH, ID_RUNTIME, ID_ITERATOR, ID_UNKNOWN };

static enum ident ident_of(struct build *b, const struct graph_resource *iterators, kr_str name,
                           uint32_t *index)
{
    uintptr_t at = (uintptr_t)kr_map_get(&b->index, name);

    if (at) {
        *index = (uint32_t)(at - 1);
        return ID_NODE;
    }
    if (kr_str_is(name, "schema"))
        return ID_SCHEMA;
    if (kr_str_is(name, "each"))
        return ID_EACH;
    if (kr_str_is(name, "runtime"))
        return ID_RUNTIME;
    for (uint32_t i = 0; iterators && i < iterators->dims_n; i++) {
        if (kr_str_eq(iterators->dims[i].name, name)) {
            *index = i;
            return ID_ITERATOR;
        }
    }
    return ID_UNKNOWN;
}

static int fail_functions(const struct cel_inspection *in, struct kr_err *err)
{
    KR_AUTO(kr_buf) list = KR_BUF(KR_ERR_MAX);

    for (uint32_t i = 0; i < in->functions_n; i++)
        kr_buf_fmt(&list, "%s{" KR_FMT "}", i ? " " : "", KR_ARG(in->functions[i]));
    return kr_fail(err, KR_E_INPUT, "uses unknown functions: [" KR_FMT "]",
                   KR_ARG(kr_buf_view(&list)));
}

/* What one expression refers to: nodes (bits by index, bit n: the instance) and iterators of `with`
 * (bits, or NULL when none is admitted). */
struct refs {
    struct kr_bits nodes;
    struct kr_bits iterators;
    uint32_t *list; /* the nodes in order of appearance */
    uint32_t list_n;
    bool each;
};

static int refs_of(struct build *b, kr_str text, const struct graph_resource *with,
                   struct refs *out, struct kr_err *err)
{
    struct cel_inspection in;
    bool runtime = false;
    uint32_t at = 0;

    out->each = false;
    kr_bits_init(&out->nodes, b->a, b->n + 1);
    kr_bits_init(&out->iterators, b->a, with ? with->dims_n : 0);
    if (cel_inspect(b->a, b->base, text, &in, err) < 0)
        return kr_wrap(err, "failed to inspect expression");
    out->list = kr_new_n(b->a, uint32_t, in.idents_n);
    out->list_n = 0;
    for (uint32_t i = 0; i < in.idents_n; i++) {
        switch (ident_of(b, with, in.idents[i], &at)) {
        case ID_NODE:
            kr_bits_set(&out->nodes, at);
            out->list[out->list_n++] = at;
            break;
        case ID_SCHEMA:
            kr_bits_set(&out->nodes, b->n);
            break;
        case ID_EACH:
            out->each = true;
            break;
        case ID_RUNTIME:
            runtime = true;
            break;
        case ID_ITERATOR:
            kr_bits_set(&out->iterators, at);
            break;
        case ID_UNKNOWN:
            return kr_fail(err, KR_E_INPUT, "references unknown identifiers: [" KR_FMT "]",
                           KR_ARG(in.idents[i]));
        }
    }
    if (runtime)
        return kr_fail(err, KR_E_INPUT,
                       "runtime is only available in status.conditions expressions");
    if (in.uses_omit && !b->src->omit)
        return kr_fail(err, KR_E_INPUT,
                       "omit() requires the CELOmitFunction feature gate to be enabled");
    if (in.functions_n)
        return fail_functions(&in, err);
    return 0;
}

/* The same for an expression that makes edges of the graph: what it names is remembered. */
static int refs_of_unit(struct build *b, struct unit *u, kr_str text,
                        const struct graph_resource *with, struct refs *out, struct kr_err *err)
{
    KR_TRY(refs_of(b, text, with, out, err));
    u->rejects_each = u->rejects_each || out->each;
    for (uint32_t i = 0; i < out->list_n; i++) {
        if (u->edges_n == u->edges_cap) {
            uint32_t cap = u->edges_cap ? 2 * u->edges_cap : 8;
            uint32_t *grown = kr_new_n(b->a, uint32_t, cap);

            if (u->edges_n)
                memcpy(grown, u->edges, sizeof(*grown) * u->edges_n);
            u->edges = grown;
            u->edges_cap = cap;
        }
        u->edges[u->edges_n++] = out->list[i];
    }
    return 0;
}

static bool at_identity(const struct unit *u, const struct graph_found *f)
{
    if (f->path_n != 2 || !f->path[0].name.s || !f->path[1].name.s ||
        !kr_str_is(f->path[0].name, "metadata"))
        return false;
    return kr_str_is(f->path[1].name, "name") ||
           (u->kind->namespaced && kr_str_is(f->path[1].name, "namespace"));
}

static int check_identity(const struct unit *u, const struct kr_bits *used, struct kr_err *err)
{
    KR_AUTO(kr_buf) missing = KR_BUF(KR_ERR_MAX);

    for (uint32_t i = 0; i < u->r->dims_n; i++) {
        if (!kr_bits_has(used, i))
            kr_buf_fmt(&missing, "%s" KR_FMT, missing.n ? " " : "", KR_ARG(u->r->dims[i].name));
    }
    if (missing.n == 0)
        return 0;
    return kr_fail(err, KR_E_INPUT,
                   "node " KR_FMT ": all forEach dimensions must be used to produce a unique "
                   "resource identity, missing: [" KR_FMT "]",
                   KR_ARG(graph__go_quote(u->finds.a, u->r->id)), KR_ARG(kr_buf_view(&missing)));
}

static int template_refs(struct build *b, struct unit *u, struct kr_err *err)
{
    struct kr_bits used;

    kr_bits_init(&used, b->a, u->r->dims_n);
    u->found_nodes = kr_new_n(b->a, struct kr_bits, u->finds.n);
    for (uint32_t i = 0; i < u->finds.n; i++) {
        struct refs refs;

        if (refs_of_unit(b, u, u->finds.items[i].cel, u->r, &refs, err) < 0) {
            kr_err_at(err, "resource " KR_FMT ", " KR_FMT, KR_ARG(u->r->id),
                      KR_ARG(u->finds.items[i].path_text));
            return kr_wrap(err, "failed to extract dependencies");
        }
        u->found_nodes[i] = refs.nodes;
        if (at_identity(u, &u->finds.items[i]))
            kr_bits_or(&used, &refs.iterators);
    }
    return check_identity(u, &used, err);
}

static int dim_refs(struct build *b, struct unit *u, struct kr_err *err)
{
    u->dims_nodes = kr_new_n(b->a, struct kr_bits, u->r->dims_n);
    for (uint32_t i = 0; i < u->r->dims_n; i++) {
        KR_AUTO(kr_buf) names = KR_BUF(KR_ERR_MAX);
        struct refs refs;

        if (refs_of_unit(b, u, u->dims[i], u->r, &refs, err) < 0) {
            kr_err_at(err, "resource " KR_FMT ", forEach[%u]", KR_ARG(u->r->id), i);
            return kr_wrap(err, "failed to extract dependencies from forEach iterator " KR_FMT,
                           KR_ARG(graph__go_quote(b->a, u->r->dims[i].name)));
        }
        kr_bits_each (k, &refs.iterators)
            kr_buf_fmt(&names, "%s" KR_FMT, names.n ? " " : "", KR_ARG(u->r->dims[k].name));
        if (names.n)
            return kr_fail(err, KR_E_INPUT,
                           "node " KR_FMT ": forEach iterator " KR_FMT
                           " cannot reference other iterators [" KR_FMT
                           "] - forEach iterators are independent (cartesian product)",
                           KR_ARG(graph__go_quote(b->a, u->r->id)),
                           KR_ARG(graph__go_quote(b->a, u->r->dims[i].name)),
                           KR_ARG(kr_buf_view(&names)));
        u->dims_nodes[i] = refs.nodes;
    }
    return 0;
}

static int include_refs(struct build *b, struct unit *u, struct kr_err *err)
{
    u->include_nodes = kr_new_n(b->a, struct kr_bits, u->include_n);
    for (uint32_t i = 0; i < u->include_n; i++) {
        struct refs refs;

        if (refs_of_unit(b, u, u->include[i], NULL, &refs, err) < 0) {
            kr_err_at(err, "resource " KR_FMT ", includeWhen[%u]", KR_ARG(u->r->id), i);
            return kr_wrap(err, "failed to extract dependencies from includeWhen");
        }
        u->include_nodes[i] = refs.nodes;
    }
    return 0;
}

static int unit_edges(struct build *b, struct unit *u, struct kr_err *err)
{
    KR_TRY(template_refs(b, u, err));
    KR_TRY(dim_refs(b, u, err));
    KR_TRY(include_refs(b, u, err));
    if (u->rejects_each)
        return kr_fail(err, KR_E_INPUT, "node each does not exist");
    for (uint32_t i = 0; i < u->edges_n; i++)
        KR_TRY(graph__dag_add(&b->dag, u->r->index, u->edges[i], err));
    return graph__dag_cycle(&b->dag, u->r->index, err);
}

static int build_edges(struct build *b, struct kr_err *err)
{
    kr_str *ids = kr_new_n(b->a, kr_str, b->n);

    for (uint32_t i = 0; i < b->n; i++)
        ids[i] = b->units[i].r->id;
    graph__dag_init(&b->dag, b->a, ids, b->n);
    for (uint32_t i = 0; i < b->n; i++) {
        if (unit_edges(b, &b->units[i], err) < 0)
            return kr_wrap(err, "failed to build dependency graph");
    }
    b->order = graph__dag_order(&b->dag);
    for (uint32_t r = 0; r < b->n; r++)
        b->units[b->order[r]].rank = r;
    return 0;
}

/* --- pass 7: omit() in an identity ------------------------------------------------------------ */

static int check_omit(struct build *b, const struct unit *u, struct kr_err *err)
{
    for (uint32_t i = 0; i < u->finds.n; i++) {
        const struct graph_found *f = &u->finds.items[i];
        struct cel_inspection in;

        if (!at_identity(u, f) || (kr_str_is(f->path[1].name, "namespace") && !b->rgd.cluster))
            continue;
        KR_TRY(cel_inspect(b->a, b->base, f->cel, &in, err));
        if (in.uses_omit)
            return kr_fail(
                err, KR_E_INPUT,
                "resource " KR_FMT ": omit() cannot be used at path " KR_FMT
                " \xe2\x80\x94 the field is required and must resolve to a concrete value",
                KR_ARG(graph__go_quote(b->a, u->r->id)),
                KR_ARG(graph__go_quote(b->a, f->path_text)));
    }
    return 0;
}

/* --- pass 8: the environment ---------------------------------------------------------------- */

static int by_name(const void *x, const void *y)
{
    return kr_str_cmp(((const struct cel_field *)x)->name, ((const struct cel_field *)y)->name);
}

/* What `schema` is to expressions: the instance without status, with full metadata. */
static int instance_schema(struct build *b, struct kr_err *err)
{
    struct cel_schema *root = kr_new(b->a, struct cel_schema),
                      *text = kr_new(b->a, struct cel_schema);
    struct cel_schema *meta = kr_new(b->a, struct cel_schema);
    struct cel_field *fields = kr_new_n(b->a, struct cel_field, 4), *kept;
    const struct cel_schema *spec;

    KR_TRY(cel_schema_read(b->a, b->spec_schema, &spec, err));
    *meta = *cel_schema_object_meta();
    if (b->rgd.cluster) {
        kept = kr_new_n(b->a, struct cel_field, meta->fields_n);
        root->fields_n = 0;
        for (uint32_t i = 0; i < meta->fields_n; i++) {
            if (!kr_str_is(meta->fields[i].name, "namespace"))
                kept[root->fields_n++] = meta->fields[i];
        }
        meta->fields = kept;
        meta->fields_n = root->fields_n;
    }
    text->type = CEL_S_STRING;
    fields[0] = (struct cel_field){.name = KR_S("apiVersion"), .schema = text};
    fields[1] = (struct cel_field){.name = KR_S("kind"), .schema = text};
    fields[2] = (struct cel_field){.name = KR_S("metadata"), .schema = meta};
    fields[3] = (struct cel_field){.name = KR_S("spec"), .schema = spec};
    qsort(fields, 4, sizeof(*fields), by_name);
    root->type = CEL_S_OBJECT;
    root->fields = fields;
    root->fields_n = 4;
    b->instance = root;
    return 0;
}

/* Words that are types to CEL and so cannot be variables. */
static bool is_type_word(kr_str id)
{
    static const char *const words[] = {"bool", "bytes",  "double", "int", "list",
                                        "map",  "string", "type",   "uint"};

    for (size_t i = 0; i < KR_N(words); i++) {
        if (kr_str_eq(id, kr_str_c(words[i])))
            return true;
    }
    return false;
}

static int build_env(struct build *b, struct kr_err *err)
{
    b->env = cel_env_extend(b->a, b->base);
    for (uint32_t r = 0; r < b->n; r++) {
        struct unit *u = &b->units[b->order[r]];
        bool many = u->r->kind == GRAPH_COLLECTION || u->r->kind == GRAPH_EXTERNAL_COLLECTION;
        struct cel_schema *list = many ? kr_new(b->a, struct cel_schema) : NULL;

        if (is_type_word(u->r->id))
            return kr_fail(
                err, KR_E_INPUT,
                "failed to create typed CEL environment: overlapping identifier for name '" KR_FMT
                "'",
                KR_ARG(u->r->id));
        u->type = cel_type_of_schema(b->a, u->kind->schema,
                                     kr_fmt(b->a, "__type_" KR_FMT, KR_ARG(u->r->id)));
        u->visible = many ? cel_type_list(b->a, u->type) : u->type;
        if (many)
            *list = (struct cel_schema){.type = CEL_S_ARRAY, .items = u->kind->schema};
        cel_env_var(b->env, u->r->id, u->visible, many ? list : u->kind->schema);
    }
    KR_TRY(instance_schema(b, err));
    cel_env_var(b->env, KR_S("schema"),
                cel_type_of_schema(b->a, b->instance, KR_S("__type_schema")), b->instance);
    b->slots_all_n = cel_env_slots_n(b->env);
    KR_ASSERT(b->slots_all_n == b->n + 1);
    return 0;
}

/* --- pass 9: compiling ---------------------------------------------------------------------- */

/* Records what a program of the main environment reads, for one task. */
static void record_reads(struct build *b, const struct cel_prog *p, uint32_t task)
{
    uint32_t n;
    const struct cel_read *reads = cel_prog_reads(p, &n);

    for (uint32_t i = 0; i < n; i++) {
        uint32_t slot = reads[i].slot;
        const struct cel_schema *s;

        if (slot > b->n)
            continue; /* an iterator: its list is read by the dimension's own program */
        s = slot == b->n ? b->instance : b->units[b->order[slot]].kind->schema;
        graph__reads_add(&b->reads[slot], s, reads[i].names, reads[i].names_n, task);
    }
}

/* Bits by index to bits by rank, in the revision. */
static const struct kr_bits *nodes_by_rank(struct build *b, const struct kr_bits *by_index)
{
    struct kr_bits *out = kr_new(b->ra, struct kr_bits);

    kr_bits_init(out, b->ra, b->n + 1);
    kr_bits_each (i, by_index)
        kr_bits_set(out, i < b->n ? b->units[i].rank : b->n);
    return out;
}

/* Where the schema of a template's field is, and what its type is called. */
static const struct cel_type *expected_type(struct build *b, const struct unit *u,
                                            const struct graph_found *f)
{
    const struct cel_schema *s = u->kind->schema, *next;
    kr_str name = kr_fmt(b->a, "__type_" KR_FMT, KR_ARG(u->r->id));

    for (uint32_t i = 0; i < f->path_n; i++) {
        bool item = !f->path[i].name.s;

        if (!item && f->path[i].name.n == 0)
            continue; /* kro passes over empty names */
        if (!item && !cel_schema_member(s, f->path[i].name) && s->type == CEL_S_ARRAY) {
            s = cel_schema_at(s, &KR_S("[]"), 1);
            name = kr_fmt(b->a, KR_FMT ".@idx", KR_ARG(name));
            if (!s)
                return CEL_T_DYN;
        }
        next = item ? cel_schema_at(s, &KR_S("[]"), 1) : cel_schema_member(s, f->path[i].name);
        if (!next)
            return CEL_T_DYN;
        if (item)
            name = kr_fmt(b->a, KR_FMT ".@idx", KR_ARG(name));
        else if (cel_schema_field(s, f->path[i].name))
            name = kr_fmt(b->a, KR_FMT "." KR_FMT, KR_ARG(name), KR_ARG(f->path[i].name));
        else
            name = kr_fmt(b->a, KR_FMT ".@elem", KR_ARG(name));
        s = next;
    }
    return cel_type_of_schema(b->a, s, name);
}

static int check_type(struct build *b, const struct unit *u, const struct graph_found *f,
                      const struct cel_prog *p, struct kr_err *err)
{
    const struct cel_type *got = cel_prog_type(p), *want = expected_type(b, u, f);

    if (cel_type_assignable(got, want) || cel_type_compatible(got, want, err) >= 0)
        return 0;
    return kr_wrap(err,
                   "type mismatch in resource " KR_FMT " at path " KR_FMT ": expression " KR_FMT
                   " returns type " KR_FMT " but expected " KR_FMT,
                   KR_ARG(graph__go_quote(b->a, u->r->id)),
                   KR_ARG(graph__go_quote(b->a, f->path_text)),
                   KR_ARG(graph__go_quote(b->a, f->text)),
                   KR_ARG(graph__go_quote(b->a, cel_type_print(b->a, got))),
                   KR_ARG(graph__go_quote(b->a, cel_type_print(b->a, want))));
}

/* A find becomes a site of the revision. */
static void site_of(struct build *b, const struct graph_found *f, const struct kr_bits *nodes,
                    const struct cel_prog *p, struct graph_site *out)
{
    struct graph_step *path = kr_new_n(b->ra, struct graph_step, f->path_n);

    for (uint32_t i = 0; i < f->path_n; i++) {
        path[i] = f->path[i];
        if (path[i].name.s)
            path[i].name = kr_strdup(b->ra, path[i].name);
    }
    *out = (struct graph_site){.prog = p,
                               .text = kr_strdup(b->ra, f->text),
                               .path_n = f->path_n,
                               .path = path,
                               .path_text = kr_strdup(b->ra, f->path_text),
                               .standalone = f->standalone,
                               .nodes = nodes_by_rank(b, nodes)};
}

static int compile_sites(struct build *b, struct unit *u, const struct cel_env *env,
                         struct graph_node_spec *spec, struct kr_err *err)
{
    struct graph_site *sites = kr_new_n(b->ra, struct graph_site, u->finds.n);

    for (uint32_t i = 0; i < u->finds.n; i++) {
        const struct graph_found *f = &u->finds.items[i];
        const struct cel_prog *p;

        if (cel_compile(b->ra, env, f->cel, &p, err) < 0)
            return kr_wrap(err, "failed to compile template expression " KR_FMT " at path " KR_FMT,
                           KR_ARG(graph__go_quote(b->a, f->text)),
                           KR_ARG(graph__go_quote(b->a, f->path_text)));
        if (u->r->external.kind == KR_NONE)
            KR_TRY(check_type(b, u, f, p, err));
        record_reads(b, p, GRAPH_TASK(u->rank));
        site_of(b, f, &u->found_nodes[i], p, &sites[i]);
    }
    spec->sites = sites;
    spec->sites_n = u->finds.n;
    return 0;
}

static bool is_condition_type(const struct cel_type *t)
{
    const struct cel_type *inner;

    if (cel_type_is_optional(t, &inner))
        t = inner;
    return cel_type_same(t, CEL_T_BOOL);
}

static int compile_condition(struct build *b, const struct unit *u, const struct cel_env *env,
                             kr_str text, const char *what, const struct cel_prog **out,
                             struct kr_err *err)
{
    if (cel_compile(b->ra, env, text, out, err) < 0)
        return kr_wrap(err, "failed to type-check %s expression " KR_FMT " in resource " KR_FMT,
                       what, KR_ARG(graph__go_quote(b->a, text)),
                       KR_ARG(graph__go_quote(b->a, u->r->id)));
    if (!is_condition_type(cel_prog_type(*out)))
        return kr_fail(err, KR_E_INPUT,
                       "%s expression " KR_FMT " in resource " KR_FMT
                       " must return bool or optional_type(bool), but returns " KR_FMT,
                       what, KR_ARG(graph__go_quote(b->a, text)),
                       KR_ARG(graph__go_quote(b->a, u->r->id)),
                       KR_ARG(graph__go_quote(b->a, cel_type_print(b->a, cel_prog_type(*out)))));
    return 0;
}

static int compile_include(struct build *b, struct unit *u, struct graph_node_spec *spec,
                           struct kr_err *err)
{
    struct graph_expr *exprs = kr_new_n(b->ra, struct graph_expr, u->include_n);

    for (uint32_t i = 0; i < u->include_n; i++) {
        KR_TRY(compile_condition(b, u, b->env, u->include[i], "includeWhen", &exprs[i].prog, err));
        record_reads(b, exprs[i].prog, GRAPH_TASK(u->rank));
        exprs[i].text = kr_strdup(b->ra, u->include[i]);
        exprs[i].nodes = nodes_by_rank(b, &u->include_nodes[i]);
    }
    spec->include = exprs;
    spec->include_n = u->include_n;
    return 0;
}

/* The names that a readyWhen uses beside its own variable. */
static int check_ready_refs(struct build *b, const struct unit *u, kr_str var, kr_str text,
                            struct kr_err *err)
{
    KR_AUTO(kr_buf) unknown = KR_BUF(KR_ERR_MAX);
    struct cel_inspection in;

    if (cel_inspect(b->a, b->base, text, &in, err) < 0)
        return kr_wrap(err, "resource " KR_FMT " readyWhen: failed to inspect expression",
                       KR_ARG(graph__go_quote(b->a, u->r->id)));
    for (uint32_t i = 0; i < in.idents_n; i++) {
        if (!kr_str_eq(in.idents[i], var))
            kr_buf_fmt(&unknown, "%s" KR_FMT, unknown.n ? " " : "", KR_ARG(in.idents[i]));
    }
    if (unknown.n)
        return kr_fail(err, KR_E_INPUT,
                       "resource " KR_FMT " readyWhen: references unknown identifiers: [" KR_FMT
                       "]",
                       KR_ARG(graph__go_quote(b->a, u->r->id)), KR_ARG(kr_buf_view(&unknown)));
    if (in.uses_omit)
        return kr_fail(err, KR_E_INPUT,
                       "resource " KR_FMT
                       " readyWhen: omit() can only be used in resource template expressions",
                       KR_ARG(graph__go_quote(b->a, u->r->id)));
    return 0;
}

static int compile_ready(struct build *b, struct unit *u, struct graph_node_spec *spec,
                         struct kr_err *err)
{
    struct graph_expr *exprs = kr_new_n(b->ra, struct graph_expr, u->ready_n);
    struct cel_env *env = cel_env_extend(b->a, b->base);
    kr_str var = u->r->kind == GRAPH_COLLECTION ? KR_S("each") : u->r->id;
    uint32_t slot =
        cel_env_var(env, var, u->r->kind == GRAPH_COLLECTION ? u->type : u->visible, NULL);

    KR_ASSERT(slot == 0);
    for (uint32_t i = 0; i < u->ready_n; i++) {
        const struct cel_read *reads;
        uint32_t n;

        KR_TRY(check_ready_refs(b, u, var, u->ready[i], err));
        KR_TRY(compile_condition(b, u, env, u->ready[i], "readyWhen", &exprs[i].prog, err));
        reads = cel_prog_reads(exprs[i].prog, &n);
        for (uint32_t k = 0; k < n; k++)
            graph__reads_add(&b->reads[u->rank], u->kind->schema, reads[k].names, reads[k].names_n,
                             GRAPH_TASK_READY(u->rank));
        exprs[i].text = kr_strdup(b->ra, u->ready[i]);
    }
    spec->ready = exprs;
    spec->ready_n = u->ready_n;
    return 0;
}

/* One dimension: its program, and the iterator as a variable of the node's environment. */
static int compile_dim(struct build *b, struct unit *u, uint32_t i, struct cel_env *env,
                       struct graph_expr *out, struct kr_err *err)
{
    kr_str name = u->r->dims[i].name, type;
    const struct cel_type *item;

    if (cel_compile(b->ra, b->env, u->dims[i], &out->prog, err) < 0)
        return kr_wrap(err, "node " KR_FMT ": forEach iterator " KR_FMT,
                       KR_ARG(graph__go_quote(b->a, u->r->id)),
                       KR_ARG(graph__go_quote(b->a, name)));
    if (!cel_type_is_list(cel_prog_type(out->prog), &item)) {
        type = graph__go_quote(b->a, cel_type_print(b->a, cel_prog_type(out->prog)));
        return kr_fail(err, KR_E_INPUT,
                       "node " KR_FMT ": forEach iterator " KR_FMT
                       " must return a list, got " KR_FMT ": type " KR_FMT " is not a list type",
                       KR_ARG(graph__go_quote(b->a, u->r->id)), KR_ARG(graph__go_quote(b->a, name)),
                       KR_ARG(type), KR_ARG(type));
    }
    record_reads(b, out->prog, GRAPH_TASK(u->rank));
    out->text = kr_strdup(b->ra, u->dims[i]);
    out->name = kr_strdup(b->ra, name);
    out->slot = cel_env_var(env, name, item, NULL);
    out->nodes = nodes_by_rank(b, &u->dims_nodes[i]);
    return 0;
}

static int check_dim_omit(struct build *b, const struct unit *u, uint32_t i, struct kr_err *err)
{
    struct cel_inspection in;

    KR_TRY(cel_inspect(b->a, b->base, u->dims[i], &in, err));
    if (!in.uses_omit)
        return 0;
    return kr_fail(err, KR_E_INPUT,
                   "node " KR_FMT ": forEach iterator " KR_FMT
                   ": omit() can only be used in resource template expressions",
                   KR_ARG(graph__go_quote(b->a, u->r->id)),
                   KR_ARG(graph__go_quote(b->a, u->r->dims[i].name)));
}

static int compile_dims(struct build *b, struct unit *u, struct cel_env *env,
                        struct graph_node_spec *spec, struct kr_err *err)
{
    struct graph_expr *dims = kr_new_n(b->ra, struct graph_expr, u->r->dims_n);

    for (uint32_t i = 0; i < u->r->dims_n; i++) {
        KR_TRY(check_dim_omit(b, u, i, err));
        KR_TRY(compile_dim(b, u, i, env, &dims[i], err));
    }
    spec->dims = dims;
    spec->dims_n = u->r->dims_n;
    if (cel_env_slots_n(env) > b->slots_all_n)
        b->slots_all_n = cel_env_slots_n(env);
    return 0;
}

static int compile_unit(struct build *b, struct unit *u, struct graph_node_spec *spec,
                        struct kr_err *err)
{
    struct cel_env *env = u->r->dims_n ? cel_env_extend(b->a, b->env) : b->env;

    KR_TRY(check_omit(b, u, err));
    if (u->r->dims_n)
        KR_TRY(compile_dims(b, u, env, spec, err));
    KR_TRY(compile_sites(b, u, env, spec, err));
    KR_TRY(compile_include(b, u, spec, err));
    return compile_ready(b, u, spec, err);
}

static int compile_units(struct build *b, struct graph_node_spec *specs, struct kr_err *err)
{
    for (uint32_t i = 0; i < b->n; i++) {
        struct unit *u = &b->units[i];

        if (compile_unit(b, u, &specs[u->rank], err) < 0)
            return kr_wrap(err, "failed to validate resource " KR_FMT,
                           KR_ARG(graph__go_quote(b->a, u->r->id)));
    }
    return 0;
}

/* --- pass 10: status ------------------------------------------------------------------------ */

/* Puts the schema of one field at its path: objects and arrays are made on the way. */
static kr_val schema_set(struct build *b, kr_val at, const struct graph_step *path, uint32_t n,
                         kr_val v)
{
    kr_val props;

    if (n == 0)
        return v;
    if (at.kind != KR_MAP)
        at = kr_map_sorted(NULL, 0);
    if (!path[0].name.s) {
        at = kr_with_key(b->a, at, KR_S("type"), KR_V_STR("array"));
        return kr_with_key(b->a, at, KR_S("items"),
                           schema_set(b, kr_get(at, KR_S("items")), path + 1, n - 1, v));
    }
    props = kr_get(at, KR_S("properties"));
    if (props.kind != KR_MAP)
        props = kr_map_sorted(NULL, 0);
    props = kr_with_key(b->a, props, path[0].name,
                        schema_set(b, kr_get(props, path[0].name), path + 1, n - 1, v));
    at = kr_with_key(b->a, at, KR_S("type"), KR_V_STR("object"));
    return kr_with_key(b->a, at, KR_S("properties"), props);
}

static int fail_plain(const struct build *b, struct kr_err *err)
{
    KR_AUTO(kr_buf) list = KR_BUF(KR_ERR_MAX);

    for (uint32_t i = 0; i < b->status.plain_n; i++)
        kr_buf_fmt(&list, "%s" KR_FMT, i ? " " : "", KR_ARG(b->status.plain[i]));
    return kr_fail(err, KR_E_INPUT,
                   "status fields without expressions are not supported: [" KR_FMT "]",
                   KR_ARG(kr_buf_view(&list)));
}

static int check_status_refs(struct build *b, const struct graph_found *f, struct kr_bits *nodes,
                             struct kr_err *err)
{
    KR_AUTO(kr_buf) unknown = KR_BUF(KR_ERR_MAX);
    struct cel_inspection in;
    uint32_t at = 0;

    kr_bits_init(nodes, b->a, b->n + 1);
    KR_TRY(cel_inspect(b->a, b->base, f->cel, &in, err));
    for (uint32_t i = 0; i < in.idents_n; i++) {
        enum ident what = ident_of(b, NULL, in.idents[i], &at);

        if (what == ID_NODE || what == ID_SCHEMA)
            kr_bits_set(nodes, what == ID_NODE ? at : b->n);
        else
            kr_buf_fmt(&unknown, "%s" KR_FMT, unknown.n ? " " : "", KR_ARG(in.idents[i]));
    }
    if (unknown.n)
        return kr_fail(err, KR_E_INPUT, "references unknown identifiers: [" KR_FMT "]",
                       KR_ARG(kr_buf_view(&unknown)));
    if (in.functions_n)
        return fail_functions(&in, err);
    if (in.uses_omit)
        return kr_fail(err, KR_E_INPUT, "omit() can only be used in resource template expressions");
    return 0;
}

static int compile_status(struct build *b, const struct graph_found *f, const struct cel_prog **out,
                          struct kr_err *err)
{
    kr_val schema;

    if (cel_compile(b->ra, b->env, f->cel, out, err) < 0)
        return kr_wrap(err, "failed to type-check status expression " KR_FMT " at path " KR_FMT,
                       KR_ARG(graph__go_quote(b->a, f->text)),
                       KR_ARG(graph__go_quote(b->a, f->path_text)));
    schema = cel_type_to_openapi(b->a, cel_prog_type(*out), err);
    if (schema.kind == KR_NONE) {
        kr_wrap(err, "failed to infer schema from type at " KR_FMT, KR_ARG(f->path_text));
        return kr_wrap(err, "failed to generate status schema from CEL types");
    }
    b->status_schema = schema_set(b, b->status_schema, f->path, f->path_n, schema);
    record_reads(b, *out, GRAPH_TASK_STATUS(b->n));
    return 0;
}

static int find_status(struct build *b, struct kr_err *err)
{
    b->status = (struct graph_finds){.a = b->a};
    if (b->rgd.status.kind != KR_MAP)
        return 0;
    if (graph__find_any(&b->status, b->rgd.status, err) < 0)
        return kr_wrap(err, "failed to extract CEL expressions from status");
    if (b->status.plain_n)
        return fail_plain(b, err);
    b->status_nodes = kr_new_n(b->a, struct kr_bits, b->status.n);
    for (uint32_t i = 0; i < b->status.n; i++) {
        const struct graph_found *f = &b->status.items[i];

        if (check_status_refs(b, f, &b->status_nodes[i], err) < 0)
            return kr_wrap(err, "status field " KR_FMT " expression " KR_FMT,
                           KR_ARG(graph__go_quote(b->a, f->path_text)),
                           KR_ARG(graph__go_quote(b->a, f->text)));
    }
    return 0;
}

static int build_status(struct build *b, struct kr_err *err)
{
    struct graph_site *sites;

    if (find_status(b, err) < 0)
        return kr_wrap(err, "failed to build instance status schema");
    sites = kr_new_n(b->ra, struct graph_site, b->status.n);
    for (uint32_t i = 0; i < b->status.n; i++) {
        const struct cel_prog *p;

        if (compile_status(b, &b->status.items[i], &p, err) < 0)
            return kr_wrap(err, "failed to build instance status schema");
        site_of(b, &b->status.items[i], &b->status_nodes[i], p, &sites[i]);
    }
    for (uint32_t i = 0; i < b->status.n; i++) {
        if (!kr_bits_any(&b->status_nodes[i]))
            return kr_fail(err, KR_E_INPUT,
                           "failed to create instance node: instance status field must refer to a "
                           "resource or schema: status." KR_FMT,
                           KR_ARG(b->status.items[i].path_text));
    }
    b->impl->status_sites = sites;
    b->impl->status_sites_n = b->status.n;
    return 0;
}

/* --- what cannot be run yet ------------------------------------------------------------------- */

static int check_supported(const struct build *b, struct kr_err *err)
{
    if (b->src->validate_only)
        return 0;
    for (uint32_t i = 0; i < b->n; i++) {
        const struct graph_resource *r = b->units[i].r;

        if (r->kind == GRAPH_COLLECTION)
            return kr_fail(err, KR_E_INPUT,
                           "resource " KR_FMT ": spec.resources[%u].forEach: collections are not "
                           "supported by this version of kroc",
                           KR_ARG(graph__go_quote(b->a, r->id)), i);
        if (r->kind == GRAPH_EXTERNAL_COLLECTION)
            return kr_fail(err, KR_E_INPUT,
                           "resource " KR_FMT ": spec.resources[%u].externalRef.metadata.selector: "
                           "external collections are not supported by this version of kroc",
                           KR_ARG(graph__go_quote(b->a, r->id)), i);
    }
    return 0;
}

static int check_conditions(struct build *b, struct kr_err *err)
{
    kr_str text;

    if (b->rgd.conditions.kind == KR_NONE)
        return 0;
    if (b->rgd.conditions.kind != KR_LIST)
        return kr_fail(
            err, KR_E_INPUT,
            "failed to build instance status schema: failed to extract conditions block: "
            "status.conditions must be a list");
    KR_LIST_EACH (it, b->rgd.conditions) {
        uint32_t i = (uint32_t)(it - b->rgd.conditions.list);

        if (it->kind != KR_STRING)
            return kr_fail(
                err, KR_E_INPUT,
                "failed to build instance status schema: failed to extract conditions block: "
                "status.conditions[%u] must be a CEL expression string",
                i);
        if (graph__unwrap(b->a, kr_text(*it), &text, err) < 0) {
            kr_wrap(err, "invalid conditions block");
            return kr_wrap(err, "failed to build instance conditions");
        }
        if (!b->src->validate_only)
            return kr_fail(
                err, KR_E_INPUT,
                "failed to build instance conditions: spec.schema.status.conditions[%u]: author "
                "conditions are not supported by this version of kroc",
                i);
    }
    b->rev->author_conditions = b->rgd.conditions.n > 0;
    return 0;
}

/* --- the revision --------------------------------------------------------------------------- */

static kr_str kinds_text(struct build *b)
{
    kr_str *texts = kr_new_n(b->a, kr_str, b->n);
    KR_AUTO(kr_buf) out = KR_BUF(64 * 1024 * 1024);
    uint32_t n = 0;

    for (uint32_t i = 0; i < b->n; i++) {
        const struct unit *u = &b->units[i];
        kr_str text = u->gvk.group.n ? kr_fmt(b->a, KR_FMT "." KR_FMT, KR_ARG(u->gvk.kind),
                                              KR_ARG(u->gvk.group))
                                     : u->gvk.kind;
        uint32_t k = 0;

        if (u->r->external.kind != KR_NONE)
            continue;
        while (k < n && kr_str_cmp(texts[k], text) < 0)
            k++;
        if (k < n && kr_str_eq(texts[k], text))
            continue;
        memmove(&texts[k + 1], &texts[k], sizeof(*texts) * (n - k));
        texts[k] = text;
        n++;
    }
    for (uint32_t k = 0; k < n; k++)
        kr_buf_fmt(&out, "%s" KR_FMT, k ? "," : "", KR_ARG(texts[k]));
    return kr_strdup(b->ra, kr_buf_view(&out));
}

static void finish_spec(struct build *b, struct unit *u, struct graph_node_spec *spec)
{
    uint32_t *deps = kr_new_n(b->ra, uint32_t, b->dag.deps_n[u->r->index]);

    spec->template = kr_copy(b->ra, u->r->object);
    spec->deps = deps;
    spec->deps_n = b->dag.deps_n[u->r->index];
    for (uint32_t i = 0; i < spec->deps_n; i++)
        deps[i] = b->units[b->dag.deps[u->r->index][i]].rank;
    spec->readers = b->reads[u->rank].tasks;
    spec->readers_exist = b->reads[u->rank].any;
    kr_bits_set(&spec->readers_exist, GRAPH_TASK_READY(u->rank));
    if (u->r->external.kind == KR_NONE)
        graph__rules_of(b->ra, u->r->object, u->kind->schema, spec);
}

static void finish_nodes(struct build *b, struct graph_node_spec *specs)
{
    struct graph_node *nodes = kr_new_n(b->ra, struct graph_node, b->n);
    uint32_t layers;
    const uint32_t *orders = graph__dag_layers(&b->dag, &layers);

    for (uint32_t r = 0; r < b->n; r++)
        kr_bits_init(&specs[r].dependents, b->ra, b->n);
    for (uint32_t r = 0; r < b->n; r++) {
        struct unit *u = &b->units[b->order[r]];

        finish_spec(b, u, &specs[r]);
        for (uint32_t i = 0; i < specs[r].deps_n; i++)
            kr_bits_set(&specs[specs[r].deps[i]].dependents, r);
        nodes[r] = (struct graph_node){
            .id = kr_strdup(b->ra, u->r->id),
            .kind = u->r->kind,
            .gvk = kr_gvk_copy(b->ra, u->gvk),
            .gvr = kr_gvr_copy(b->ra, (kr_gvr){u->gvk.group, u->gvk.version, u->kind->resource}),
            .namespaced = u->kind->namespaced,
            .order = orders[u->r->index],
            .index = u->r->index,
            .reads_n = b->reads[r].n,
            .reads = b->reads[r].reads,
            .spec = &specs[r],
        };
    }
    b->rev->nodes = nodes;
    b->rev->nodes_n = b->n;
}

/* What the instance machine reads of the instance besides expressions. */
static void finish_parent(struct build *b)
{
    struct graph_readset *s = &b->reads[b->n];
    uint32_t needs_n;
    const struct graph_read *needs = graph_parent_needs(&needs_n);

    b->impl->parent_schema_reads_n = s->n;
    for (uint32_t i = 0; i < needs_n; i++)
        graph__reads_add(s, NULL, needs[i].names, needs[i].n, GRAPH_TASK_STATUS(b->n));
    b->rev->parent_reads = s->reads;
    b->rev->parent_reads_n = s->n;
    b->impl->parent_readers = s->tasks;
}

static void finish_status(struct build *b)
{
    struct kr_listb order = KR_LISTB(b->ra), resources = KR_LISTB(b->ra);

    kr_bits_init(&b->impl->status_nodes, b->ra, b->n);
    for (uint32_t i = 0; i < b->status.n; i++) {
        kr_bits_each (k, &b->status_nodes[i]) {
            if (k < b->n)
                kr_bits_set(&b->impl->status_nodes, b->units[k].rank);
        }
    }
    for (uint32_t r = 0; r < b->n; r++) {
        const struct graph_node *node = &b->rev->nodes[r];
        struct kr_listb deps = KR_LISTB(b->ra);
        struct kr_mapb entry = KR_MAPB(b->ra);

        kr_listb_add(&order, kr_string(node->id));
        if (node->spec->deps_n == 0)
            continue;
        for (uint32_t i = 0; i < node->spec->deps_n; i++) {
            kr_val id = kr_string(b->rev->nodes[node->spec->deps[i]].id);

            kr_listb_add(&deps, kr_with_key(b->ra, kr_map_sorted(NULL, 0), KR_S("id"), id));
        }
        kr_mapb_put(&entry, KR_S("id"), kr_string(node->id));
        kr_mapb_put(&entry, KR_S("dependencies"), kr_listb_done(&deps));
        kr_listb_add(&resources, kr_mapb_done(&entry));
    }
    b->rev->order_status = kr_listb_done(&order);
    b->rev->resources_status = kr_listb_done(&resources);
    b->impl->status = kr_copy(b->ra, b->rgd.status);
}

static int finish(struct build *b, struct graph_node_spec *specs, struct kr_err *err)
{
    struct graph_rev *rev = b->rev;
    kr_str hash, plural;

    KR_TRY(graph_spec_hash(b->src->spec, b->a, &hash, err));
    finish_nodes(b, specs);
    finish_parent(b);
    finish_status(b);
    rev->crd = kr_copy(b->ra, graph__crd(b->a, &b->rgd, b->spec_schema, b->status_schema));
    rev->hash = kr_strdup(b->ra, hash);
    rev->rgd_name = kr_strdup(b->ra, b->src->name);
    rev->rgd_uid = kr_strdup(b->ra, b->src->uid);
    plural = kr_at_str(rev->crd, "spec.names.plural");
    rev->instance_gvk = kr_gvk_copy(b->ra, (kr_gvk){b->rgd.group, b->rgd.version, b->rgd.kind});
    rev->instance_gvr = kr_gvr_copy(b->ra, (kr_gvr){b->rgd.group, b->rgd.version, plural});
    rev->namespaced = !b->rgd.cluster;
    b->impl->slots_n = b->n + 1;
    b->impl->slots_all_n = b->slots_all_n;
    b->impl->ready_slots_n = 1;
    b->impl->kinds_all = kinds_text(b);
    return 0;
}

/* Everything but what needs kinds. */
static int build_first(struct build *b, struct kr_err *err)
{
    uint32_t dims_max = b->src->dimensions_max ? b->src->dimensions_max : GRAPH_DIMENSIONS_MAX;
    int rc = graph__rgd_read(b->a, b->src->spec, &b->rgd, err);

    if (rc < 0 || graph__check_names(&b->rgd, dims_max, err) < 0)
        return kr_wrap(err, "failed to validate resourcegraphdefinition");
    KR_TRY(graph__check_admission(&b->rgd, err));
    if (graph__simpleschema(b->a, b->rgd.spec, b->rgd.types, &b->spec_schema, err) < 0) {
        kr_wrap(err, "failed to build OpenAPI schema for instance");
        return kr_wrap(err, "failed to build resourcegraphdefinition " KR_FMT,
                       KR_ARG(graph__go_quote(b->a, b->src->name)));
    }
    if (b->src->only_namespace.n && b->rgd.cluster)
        return kr_fail(
            err, KR_E_INPUT,
            "spec.schema.scope: cluster-scoped instances cannot be served with --namespace");
    b->n = b->rgd.resources_n;
    b->units = kr_new_n(b->a, struct unit, b->n);
    for (uint32_t i = 0; i < b->n; i++) {
        b->units[i].r = &b->rgd.resources[i];
        kr_map_put(&b->index, b->units[i].r->id, (void *)(uintptr_t)(i + 1));
        if (graph__check_combination(b->units[i].r, err) < 0)
            return kr_wrap(err, "failed to build resource " KR_FMT,
                           KR_ARG(graph__go_quote(b->a, b->units[i].r->id)));
    }
    return 0;
}

static int build_rest(struct build *b, struct kr_err *err)
{
    struct graph_node_spec *specs;

    KR_TRY(build_units(b, err));
    b->base = cel_env_new(b->a, CEL_LIB_ALL);
    KR_TRY(build_edges(b, err));
    KR_TRY(build_env(b, err));
    b->reads = kr_new_n(b->a, struct graph_readset, b->n + 1);
    for (uint32_t r = 0; r <= b->n; r++)
        graph__reads_init(&b->reads[r], b->ra, GRAPH_TASKS_N(b->n));
    specs = kr_new_n(b->ra, struct graph_node_spec, b->n);
    KR_TRY(compile_units(b, specs, err));
    KR_TRY(check_conditions(b, err));
    KR_TRY(build_status(b, err));
    KR_TRY(check_supported(b, err));
    return finish(b, specs, err);
}

int graph_build(const struct graph_source *src, const struct cel_kinds *kinds, struct kr_arena *a,
                struct graph_rev **out, const kr_gvk **needs, uint32_t *needs_n, struct kr_err *err)
{
    struct build b = {.src = src, .kinds = kinds, .a = a};
    int rc;

    b.rev = KR_ALLOC(struct graph_rev);
    b.rev->refs = 1;
    b.rev->impl = b.impl = KR_ALLOC(struct graph_rev_impl);
    b.ra = &b.impl->arena;
    *needs_n = 0;
    rc = build_first(&b, err);
    if (rc == 0) {
        *needs_n = find_needs(&b, needs);
        rc = *needs_n ? GRAPH_NEEDS : build_rest(&b, err);
    }
    kr_map_fini(&b.index);
    if (rc != 0) {
        graph_rev_drop(b.rev);
        return rc;
    }
    *out = b.rev;
    return 0;
}
