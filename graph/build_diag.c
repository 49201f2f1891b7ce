/* SPDX-License-Identifier: Apache-2.0 */
/* build_diag.c - what is wrong with an expression, for people: where in the text as it was written,
 * and what was probably meant. The words are kro's and come from the pass that found it.
 */
#include "graph/build.h"

#include "cel/base/near.h"

#include "cel/base/banned.h"

kr_str build__path(const struct build *b, const struct build_expr *e)
{
    if (e->below.n == 0)
        return e->path;
    return kr_fmt(b->d->a, KR_FMT "%s" KR_FMT, KR_ARG(e->path), e->below.s[0] == '[' ? "" : ".",
                  KR_ARG(e->below));
}

struct graph_diag *build__bad(struct build *b, struct build_expr *e, enum graph_rule rule,
                              const struct kr_err *err)
{
    struct graph_diag *x = graph__diag_err(b->d, rule, build__path(b, e), err);

    e->broken = true;
    x->source = kr_strdup(b->d->a, e->source);
    return x;
}

void build__point(struct build *b, const struct build_expr *e, struct graph_diag *x, size_t offset)
{
    if (!e->whole)
        offset = graph__template_origin(b->a, e->source, offset);
    graph__diag_at(x, x->source, offset);
}

void build__bad_syntax(struct build *b, struct build_expr *e, const struct kr_err *err)
{
    struct graph_diag *x = build__bad(b, e, GRAPH_R_SYNTAX, err);
    uint32_t n;
    const struct cel_diag *diags = cel_diagnose(b->a, b->base, e->cel, &n);

    if (n == 0)
        return;
    graph__diag_text(b->d, x, KR_FMT, KR_ARG(diags[0].message));
    if (diags[0].pos != UINT32_MAX)
        build__point(b, e, x, diags[0].pos);
}

void build__bad_name(struct build *b, struct build_expr *e, const struct graph_resource *with,
                     kr_str name, const struct kr_err *err)
{
    struct graph_diag *x = build__bad(b, e, GRAPH_R_UNKNOWN_NAME, err);
    struct kr_near near = {.word = name};
    kr_str *names = kr_new_n(b->d->a, kr_str, b->n + 1 + (with ? with->dims_n : 0));
    int64_t at = cel_find_name(e->cel, name);
    uint32_t n = 0;

    names[n++] = KR_S("schema");
    for (uint32_t i = 0; i < b->n; i++) {
        if (b->units[i].r->id.n)
            names[n++] = kr_strdup(b->d->a, b->units[i].r->id);
    }
    for (uint32_t i = 0; with && i < with->dims_n; i++)
        names[n++] = kr_strdup(b->d->a, with->dims[i].name);
    for (uint32_t i = 0; i < n; i++)
        kr_near_try(&near, names[i]);
    graph__diag_text(b->d, x, "unknown name \"" KR_FMT "\"", KR_ARG(name));
    if (at >= 0)
        build__point(b, e, x, (size_t)at);
    graph__diag_names(b->d, x, "one of", names, n);
    graph__diag_nearest(b->d, x, near.best);
}

void build__bad_function(struct build *b, struct build_expr *e, const struct cel_inspection *in)
{
    KR_AUTO(kr_buf) list = KR_BUF(KR_ERR_MAX);
    struct kr_err err = KR_ERR_NONE;
    struct graph_diag *x;
    int64_t at = cel_find_name(e->cel, in->functions[0]);

    for (uint32_t i = 0; i < in->functions_n; i++)
        kr_buf_fmt(&list, "%s{" KR_FMT "}", i ? " " : "", KR_ARG(in->functions[i]));
    kr_fail(&err, KR_E_INPUT, "uses unknown functions: [" KR_FMT "]", KR_ARG(kr_buf_view(&list)));
    x = build__bad(b, e, GRAPH_R_UNKNOWN_NAME, &err);
    graph__diag_text(b->d, x, "unknown function \"" KR_FMT "\"", KR_ARG(in->functions[0]));
    if (at >= 0)
        build__point(b, e, x, (size_t)at);
    graph__diag_nearest(b->d, x, cel_env_nearest_function(b->base, in->functions[0]));
}

static void fill_types(struct build *b, const struct build_expr *e, const struct cel_diag *from,
                       struct graph_diag *x)
{
    graph__diag_text(b->d, x, KR_FMT, KR_ARG(from->message));
    if (from->pos != UINT32_MAX)
        build__point(b, e, x, from->pos);
    graph__diag_names(b->d, x, "one of", from->fields, from->fields_n);
    graph__diag_nearest(b->d, x, from->nearest);
}

void build__bad_types(struct build *b, struct build_expr *e, const struct cel_env *env,
                      const struct kr_err *err)
{
    struct graph_diag *x = build__bad(b, e, GRAPH_R_INVALID_EXPRESSION, err);
    uint32_t n;
    const struct cel_diag *diags = cel_diagnose(b->a, env, e->cel, &n);

    for (uint32_t i = 0; i < n; i++) {
        struct kr_err one = KR_ERR_NONE;

        if (i > 0) { /* the first has the words of all */
            kr_fail(&one, KR_E_INPUT, KR_FMT, KR_ARG(diags[i].message));
            x = build__bad(b, e, GRAPH_R_INVALID_EXPRESSION, &one);
        }
        if (diags[i].fields_n)
            x->rule = GRAPH_R_UNKNOWN_NAME;
        fill_types(b, e, &diags[i], x);
    }
}
