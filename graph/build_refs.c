/* SPDX-License-Identifier: Apache-2.0 */
/* build_refs.c - what each expression of a definition refers to, found in its syntax alone: other
 * resources (the edges of the graph), the instance, iterators. From the edges come the order of the
 * resources and the cycles.
 *
 * Source: kro:pkg/graph/builder.go, pkg/cel/ast; reference rgd-graph 5.5 to 5.7, 6.
 */
#include "graph/build.h"

#include "cel/base/banned.h"

/* --- pass 6: references --------------------------------------------------------------------- */

enum build_ident build__ident_of(struct build *b, const struct graph_resource *iterators,
                                 kr_str name, uint32_t *index)
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

/* What one expression refers to beside nodes. */
struct refs {
    struct kr_bits iterators; /* of `with` */
    uint32_t *list;           /* nodes in order of appearance */
    uint32_t list_n;
    bool each;
};

static void bad_inspect(struct build *b, struct build_expr *e)
{
    struct kr_err err = KR_ERR_NONE;
    struct cel_inspection in;

    if (cel_inspect(b->a, b->base, e->cel, &in, &err) < 0)
        kr_wrap(&err, "failed to inspect expression");
    build__bad_syntax(b, e, &err);
}

static void bad_ident(struct build *b, struct build_expr *e, const struct graph_resource *with,
                      kr_str name)
{
    struct kr_err err = KR_ERR_NONE;

    kr_fail(&err, KR_E_INPUT, "references unknown identifiers: [" KR_FMT "]", KR_ARG(name));
    build__bad_name(b, e, with, name, &err);
}

static void refuse_use(struct build *b, struct build_expr *e, const char *why)
{
    struct kr_err err = KR_ERR_NONE;

    kr_fail(&err, KR_E_INPUT, "%s", why);
    build__bad(b, e, GRAPH_R_INVALID_EXPRESSION, &err);
}

/* Finds what e refers to (e->nodes, out). with: the resource whose iterators are admitted, or NULL.
 * False: e is broken, which has been said behind b->d->words. */
static bool refs_of(struct build *b, struct build_expr *e, const struct graph_resource *with,
                    struct refs *out)
{
    struct cel_inspection in;
    bool runtime = false;
    uint32_t at = 0;

    *out = (struct refs){0};
    kr_arena_reset(&b->tmp);
    kr_bits_init(&e->nodes, b->a, b->n + 1);
    kr_bits_init(&out->iterators, b->a, with ? with->dims_n : 0);
    if (cel_inspect(&b->tmp, b->base, e->cel, &in, NULL) < 0) {
        bad_inspect(b, e);
        return false;
    }
    out->list = kr_new_n(b->a, uint32_t, in.idents_n);
    for (uint32_t i = 0; i < in.idents_n; i++) {
        switch (build__ident_of(b, with, in.idents[i], &at)) {
        case ID_NODE:
            kr_bits_set(&e->nodes, at);
            out->list[out->list_n++] = at;
            break;
        case ID_SCHEMA:
            kr_bits_set(&e->nodes, b->n);
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
            bad_ident(b, e, with, in.idents[i]);
            return false;
        }
    }
    if (runtime)
        refuse_use(b, e, "runtime is only available in status.conditions expressions");
    else if (in.uses_omit && !b->src->omit)
        refuse_use(b, e, "omit() requires the CELOmitFunction feature gate to be enabled");
    else if (in.functions_n)
        build__bad_function(b, e, &in);
    return !e->broken;
}

/* The same for an expression that makes edges of the graph: what it names is remembered. */
static bool refs_of_unit(struct build *b, struct build_unit *u, struct build_expr *e,
                         const struct graph_resource *with, struct refs *out)
{
    if (!refs_of(b, e, with, out))
        return false;
    if (out->each && !u->each)
        u->each = e;
    for (uint32_t i = 0; i < out->list_n; i++) {
        if (u->edges_n == u->edges_cap) {
            uint32_t cap = u->edges_cap ? 2 * u->edges_cap : 8;
            struct build_edge *grown = kr_new_n(b->a, struct build_edge, cap);

            if (u->edges_n)
                memcpy(grown, u->edges, sizeof(*grown) * u->edges_n);
            u->edges = grown;
            u->edges_cap = cap;
        }
        u->edges[u->edges_n++] = (struct build_edge){out->list[i], e};
    }
    return true;
}

bool build__at_identity(const struct build_unit *u, const struct graph_found *f)
{
    if (f->path_n != 2 || !f->path[0].name.s || !f->path[1].name.s ||
        !kr_str_is(f->path[0].name, "metadata"))
        return false;
    return kr_str_is(f->path[1].name, "name") ||
           (u->kind && u->kind->namespaced && kr_str_is(f->path[1].name, "namespace"));
}

static void check_identity(struct build *b, const struct build_unit *u, const struct kr_bits *used)
{
    KR_AUTO(kr_buf) missing = KR_BUF(KR_ERR_MAX);
    struct graph_diag *x;

    for (uint32_t i = 0; i < u->r->dims_n; i++) {
        if (!kr_bits_has(used, i))
            kr_buf_fmt(&missing, "%s" KR_FMT, missing.n ? " " : "", KR_ARG(u->r->dims[i].name));
    }
    if (missing.n == 0)
        return;
    x = graph__diag(b->d, GRAPH_R_INVALID_RESOURCE,
                    kr_fmt(b->a, "spec.resources[%u].template.metadata.name", u->r->index),
                    "node " KR_FMT ": all forEach dimensions must be used to produce a unique "
                    "resource identity, missing: [" KR_FMT "]",
                    KR_ARG(graph__go_quote(b->a, u->r->id)), KR_ARG(kr_buf_view(&missing)));
    graph__diag_text(b->d, x, "the name does not tell the objects of the collection apart");
    x->expected = kr_fmt(b->d->a, "a name that uses " KR_FMT, KR_ARG(kr_buf_view(&missing)));
}

static void template_refs(struct build *b, struct build_unit *u)
{
    const struct graph_words *old =
        graph__words(b->d, "failed to extract dependencies", KR_S(""), KR_S(""));
    bool whole = true; /* is the identity readable? */
    struct kr_bits used;

    kr_bits_init(&used, b->a, u->r->dims_n);
    for (uint32_t i = 0; i < u->sites_n; i++) {
        struct refs refs;
        bool ok = refs_of_unit(b, u, &u->sites[i], u->r, &refs);

        if (!build__at_identity(u, &u->finds.items[i]))
            continue;
        whole = whole && ok;
        kr_bits_or(&used, &refs.iterators);
    }
    b->d->words = old;
    if (whole && u->kind && !u->r->broken_dims && u->dims_n == u->r->dims_n)
        check_identity(b, u, &used);
}

static void dim_refs(struct build *b, struct build_unit *u)
{
    for (uint32_t i = 0; i < u->dims_n; i++) {
        const struct graph_words *old = b->d->words;
        KR_AUTO(kr_buf) names = KR_BUF(KR_ERR_MAX);
        struct kr_err err = KR_ERR_NONE;
        struct refs refs;

        if (u->dims[i].broken)
            continue;
        graph__words(b->d, "failed to extract dependencies from forEach iterator %q",
                     u->r->dims[i].name, KR_S(""));
        refs_of_unit(b, u, &u->dims[i], u->r, &refs);
        b->d->words = old;
        kr_bits_each (k, &refs.iterators)
            kr_buf_fmt(&names, "%s" KR_FMT, names.n ? " " : "", KR_ARG(u->r->dims[k].name));
        if (names.n == 0 || u->dims[i].broken)
            continue;
        kr_fail(&err, KR_E_INPUT,
                "node " KR_FMT ": forEach iterator " KR_FMT
                " cannot reference other iterators [" KR_FMT
                "] - forEach iterators are independent (cartesian product)",
                KR_ARG(graph__go_quote(b->a, u->r->id)),
                KR_ARG(graph__go_quote(b->a, u->r->dims[i].name)), KR_ARG(kr_buf_view(&names)));
        build__bad(b, &u->dims[i], GRAPH_R_INVALID_EXPRESSION, &err);
    }
}

static void include_refs(struct build *b, struct build_unit *u)
{
    const struct graph_words *old =
        graph__words(b->d, "failed to extract dependencies from includeWhen", KR_S(""), KR_S(""));

    for (uint32_t i = 0; i < u->include_n; i++) {
        struct refs refs;

        if (!u->include[i].broken)
            refs_of_unit(b, u, &u->include[i], NULL, &refs);
    }
    b->d->words = old;
}

/* An edge that cannot be: at the expression that makes it. */
static void bad_edge(struct build *b, const struct build_edge *edge, const struct kr_err *err,
                     const char *text)
{
    struct graph_diag *x = graph__diag_err(b->d, GRAPH_R_CYCLE, build__path(b, edge->from), err);
    int64_t at = cel_find_name(edge->from->cel, b->units[edge->to].r->id);

    x->source = kr_strdup(b->d->a, edge->from->source);
    if (text)
        graph__diag_text(b->d, x, "%s", text);
    if (at >= 0)
        build__point(b, edge->from, x, (size_t)at);
}

/* There is a cycle through u: its edges are added one by one, without those that close one. */
static void add_acyclic(struct build *b, struct build_unit *u)
{
    uint32_t i = u->r->index;
    struct kr_bits told;

    kr_bits_init(&told, b->a, b->n);
    b->dag.deps_n[i] = 0;
    for (uint32_t k = 0; k < u->edges_n; k++) {
        uint32_t before = b->dag.deps_n[i];
        struct kr_err err = KR_ERR_NONE;

        if (kr_bits_has(&told, u->edges[k].to) ||
            graph__dag_add(&b->dag, i, u->edges[k].to, NULL) < 0)
            continue; /* has been reported */
        if (b->dag.deps_n[i] == before || graph__dag_cycle(&b->dag, i, &err) == 0)
            continue;
        bad_edge(b, &u->edges[k], &err, NULL);
        kr_bits_set(&told, u->edges[k].to);
        b->dag.deps_n[i] = before;
    }
}

static void unit_edges(struct build *b, struct build_unit *u)
{
    struct kr_err err = KR_ERR_NONE;
    bool self = false;

    template_refs(b, u);
    dim_refs(b, u);
    include_refs(b, u);
    if (u->each) {
        struct graph_diag *x = graph__diag(b->d, GRAPH_R_UNKNOWN_NAME, build__path(b, u->each),
                                           "node each does not exist");
        int64_t at = cel_find_name(u->each->cel, KR_S("each"));

        graph__diag_text(b->d, x, "`each` stands in readyWhen of a collection only");
        x->source = kr_strdup(b->d->a, u->each->source);
        if (at >= 0)
            build__point(b, u->each, x, (size_t)at);
    }
    for (uint32_t i = 0; i < u->edges_n; i++) {
        if (graph__dag_add(&b->dag, u->r->index, u->edges[i].to, &err) < 0 && !self) {
            bad_edge(b, &u->edges[i], &err, "a resource cannot refer to itself here");
            self = true;
        }
    }
    if (graph__dag_cycle(&b->dag, u->r->index, &err) < 0)
        add_acyclic(b, u);
}

void build__edges(struct build *b)
{
    kr_str *ids = kr_new_n(b->a, kr_str, b->n);
    const struct graph_words *old =
        graph__words(b->d, "failed to build dependency graph", KR_S(""), KR_S(""));

    for (uint32_t i = 0; i < b->n; i++)
        ids[i] = b->units[i].r->id;
    graph__dag_init(&b->dag, b->a, ids, b->n);
    for (uint32_t i = 0; i < b->n; i++)
        unit_edges(b, &b->units[i]);
    b->d->words = old;
    b->order = graph__dag_order(&b->dag);
    for (uint32_t r = 0; r < b->n; r++)
        b->units[b->order[r]].rank = r;
}

/* --- pass 7: omit() in an identity ------------------------------------------------------------ */

static void bad_omit(struct build *b, const struct build_unit *u, const struct graph_found *f,
                     struct build_expr *e)
{
    struct kr_err err = KR_ERR_NONE;

    kr_fail(&err, KR_E_INPUT,
            "resource " KR_FMT ": omit() cannot be used at path " KR_FMT
            " \xe2\x80\x94 the field is required and must resolve to a concrete value",
            KR_ARG(graph__go_quote(b->a, u->r->id)), KR_ARG(graph__go_quote(b->a, f->path_text)));
    build__bad(b, e, GRAPH_R_INVALID_EXPRESSION, &err);
}

void build__check_omit(struct build *b, const struct build_unit *u)
{
    for (uint32_t i = 0; i < u->sites_n; i++) {
        const struct graph_found *f = &u->finds.items[i];
        struct cel_inspection in;

        if (u->sites[i].broken || !build__at_identity(u, f) ||
            (kr_str_is(f->path[1].name, "namespace") && !b->rgd.cluster))
            continue;
        /* Without the word there is no call: an expression is not parsed for nothing. */
        if (kr_str_find(f->cel, KR_S("omit")) >= 0 &&
            cel_inspect(b->a, b->base, f->cel, &in, NULL) == 0 && in.uses_omit)
            bad_omit(b, u, f, &u->sites[i]);
    }
}

/* --- about the instance ----------------------------------------------------------------------- */

void build__instance_refs(struct build *b, struct build_expr *e, const char *syntax, bool runtime)
{
    KR_AUTO(kr_buf) unknown = KR_BUF(KR_ERR_MAX);
    struct kr_err err = KR_ERR_NONE;
    struct cel_inspection in;
    kr_str first = {0};
    uint32_t at = 0;

    kr_bits_init(&e->nodes, b->a, b->n + 1);
    if (cel_inspect(b->a, b->base, e->cel, &in, &err) < 0) {
        if (syntax)
            kr_wrap(&err, "%s", syntax);
        build__bad_syntax(b, e, &err);
        return;
    }
    for (uint32_t i = 0; i < in.idents_n; i++) {
        enum build_ident what = build__ident_of(b, NULL, in.idents[i], &at);

        if (what == ID_NODE || what == ID_SCHEMA) {
            kr_bits_set(&e->nodes, what == ID_NODE ? at : b->n);
        } else if (what != ID_RUNTIME || !runtime) {
            kr_buf_fmt(&unknown, "%s" KR_FMT, unknown.n ? " " : "", KR_ARG(in.idents[i]));
            first = first.s ? first : in.idents[i];
        }
    }
    if (unknown.n) {
        kr_fail(&err, KR_E_INPUT, "references unknown identifiers: [" KR_FMT "]",
                KR_ARG(kr_buf_view(&unknown)));
        build__bad_name(b, e, NULL, first, &err);
    } else if (in.functions_n) {
        build__bad_function(b, e, &in);
    } else if (in.uses_omit) {
        kr_fail(&err, KR_E_INPUT, "omit() can only be used in resource template expressions");
        build__bad(b, e, GRAPH_R_INVALID_EXPRESSION, &err);
    }
}
