/* SPDX-License-Identifier: Apache-2.0 */
/* build_status.c - what a definition says of its instances' status: projections, whose types make
 * the status schema.
 *
 * Source: kro:pkg/graph/builder.go; reference rgd-graph 3.2, 5.11.
 */
#include "graph/build.h"

#include "cel/base/banned.h"

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

static kr_str status_path(struct build *b, kr_str below)
{
    return kr_fmt(b->d->a, "spec.schema.status%s" KR_FMT, below.n && below.s[0] == '[' ? "" : ".",
                  KR_ARG(below));
}

/* Fields without expressions: the first has kro's words, which name them all. */
static void fail_plain(struct build *b)
{
    KR_AUTO(kr_buf) list = KR_BUF(KR_ERR_MAX);

    for (uint32_t i = 0; i < b->status.plain_n; i++)
        kr_buf_fmt(&list, "%s" KR_FMT, i ? " " : "", KR_ARG(b->status.plain[i]));
    for (uint32_t i = 0; i < b->status.plain_n; i++) {
        struct graph_diag *x =
            graph__diag(b->d, GRAPH_R_INVALID_SCHEMA, status_path(b, b->status.plain[i]),
                        "status fields without expressions are not supported: [" KR_FMT "]",
                        KR_ARG(i == 0 ? kr_buf_view(&list) : b->status.plain[i]));

        graph__diag_text(b->d, x, "a status field needs an expression");
        x->expected = KR_S("${...} that refers to a resource or to schema");
    }
}

static void compile_status(struct build *b, const struct graph_found *f, struct build_expr *e,
                           struct graph_site *out)
{
    struct kr_err err = KR_ERR_NONE;
    const struct cel_prog *p;
    kr_val schema;

    if (!build__program(b, e, b->env, &p, "failed to type-check status expression %q at path %q",
                        f->text, f->path_text))
        return;
    schema = cel_type_to_openapi(b->a, cel_prog_type(p), &err);
    if (schema.kind == KR_NONE) {
        kr_wrap(&err, "failed to infer schema from type at " KR_FMT, KR_ARG(f->path_text));
        kr_wrap(&err, "failed to generate status schema from CEL types");
        build__bad(b, e, GRAPH_R_WRONG_TYPE, &err);
        return;
    }
    b->status_schema = schema_set(b, b->status_schema, f->path, f->path_n, schema);
    build__record_reads(b, p, GRAPH_TASK_STATUS(b->n));
    build__site_of(b, f, &e->nodes, p, out);
}

static void find_status(struct build *b)
{
    const struct graph_words *old =
        graph__words(b->d, "failed to extract CEL expressions from status", KR_S(""), KR_S(""));

    b->d->base = KR_S("spec.schema.status");
    graph__find_any(&b->status, b->impl->status);
    b->d->base = KR_S("");
    b->d->words = old;
    fail_plain(b);
    b->status_exprs = kr_new_n(b->a, struct build_expr, b->status.n);
    for (uint32_t i = 0; i < b->status.n; i++) {
        const struct graph_found *f = &b->status.items[i];

        b->status_exprs[i] = build__found(KR_S("spec.schema.status"), f);
        graph__words(b->d, "status field %q expression %q", f->path_text, f->text);
        build__instance_refs(b, &b->status_exprs[i], NULL, false);
        b->d->words = old;
    }
}

static void check_refers(struct build *b, struct build_expr *e, const struct graph_found *f)
{
    struct kr_err err = KR_ERR_NONE;
    struct graph_diag *x;

    if (e->broken || kr_bits_any(&e->nodes))
        return;
    kr_fail(&err, KR_E_INPUT,
            "failed to create instance node: instance status field must refer to a resource or "
            "schema: status." KR_FMT,
            KR_ARG(f->path_text));
    x = build__bad(b, e, GRAPH_R_INVALID_EXPRESSION, &err);
    graph__diag_text(b->d, x, "a status field must refer to a resource or to schema");
    graph__diag_at(x, x->source, 0);
}

void build__status(struct build *b)
{
    const struct graph_words *old =
        graph__words(b->d, "failed to build instance status schema", KR_S(""), KR_S(""));
    struct graph_site *sites;

    b->status = (struct graph_finds){.a = b->a, .keep = b->ra, .d = b->d};
    b->impl->status = kr_copy(b->ra, b->rgd.status);
    if (b->rgd.status.kind == KR_MAP)
        find_status(b);
    sites = kr_new_n(b->ra, struct graph_site, b->status.n);
    for (uint32_t i = 0; i < b->status.n; i++)
        compile_status(b, &b->status.items[i], &b->status_exprs[i], &sites[i]);
    b->d->words = old;
    for (uint32_t i = 0; i < b->status.n; i++)
        check_refers(b, &b->status_exprs[i], &b->status.items[i]);
    b->impl->status_sites = sites;
    b->impl->status_sites_n = b->status.n;
}
