/* SPDX-License-Identifier: Apache-2.0 */
/* build_conditions.c - the conditions that the author of a definition writes instead of kro's own.
 *
 * What can be said from the literals is said first (a type once in the whole block, statuses that
 * exist, lookups of kro's own types only), then what each expression refers to, then its type.
 * The instance machine runs them with the node's slots and with an instance whose status holds kro's
 * four conditions; so what they read of `schema`'s status is not a read of the object.
 *
 * Source: kro:pkg/graph/conditions.go, builder.go; reference rgd-graph 5.12.
 */
#include "graph/build.h"

#include "cel/base/near.h"

#include "cel/base/banned.h"

static const char *const built_in[] = {GRAPH_C_MANAGED, GRAPH_C_RESOLVED, GRAPH_C_RESOURCES,
                                       GRAPH_C_READY};

struct entry {
    struct build_expr e;
    const struct cel_runtime_call *calls;
    uint32_t calls_n;
};

static kr_str entry_path(struct build *b, uint32_t i)
{
    return kr_fmt(b->a, "spec.schema.status.conditions[%u]", i);
}

/* --- literals --------------------------------------------------------------------------------- */

/* The entry that declares type; UINT32_MAX: none. */
static uint32_t declared_by(const struct entry *entries, uint32_t n, kr_str type)
{
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < entries[i].calls_n; k++) {
            const struct cel_runtime_call *call = &entries[i].calls[k];

            if (!call->lookup && call->type.s && kr_str_eq(call->type, type))
                return i;
        }
    }
    return UINT32_MAX;
}

/* A literal of e is wrong: at its first place in the text. */
static struct graph_diag *bad_literal(struct build *b, struct entry *e, kr_str literal,
                                      const struct kr_err *err)
{
    struct graph_diag *x = build__bad(b, &e->e, GRAPH_R_INVALID_EXPRESSION, err);
    ptrdiff_t at = kr_str_find(e->e.cel, literal);

    graph__diag_at(x, x->source, at > 0 ? (size_t)at : 0);
    return x;
}

static void check_once(struct build *b, struct entry *entries, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < entries[i].calls_n; k++) {
            const struct cel_runtime_call *call = &entries[i].calls[k];
            struct kr_err err = KR_ERR_NONE;
            uint32_t first;

            if (call->lookup || call->type.n == 0)
                continue;
            first = declared_by(entries, i, call->type);
            if (first == UINT32_MAX)
                continue;
            kr_fail(&err, KR_E_INPUT,
                    "condition type " KR_FMT " is declared by more than one conditions entry",
                    KR_ARG(graph__go_quote(b->a, call->type)));
            bad_literal(b, &entries[i], call->type, &err)->expected =
                kr_fmt(b->d->a, "another type: entry %u has this one", first);
            break; /* once an entry is enough */
        }
    }
}

static bool is_status(kr_str s)
{
    return kr_str_is(s, "True") || kr_str_is(s, "False") || kr_str_is(s, "Unknown");
}

static void check_new(struct build *b, struct entry *e, const struct cel_runtime_call *call)
{
    struct kr_err err = KR_ERR_NONE;

    if (call->status.s && !is_status(call->status)) {
        kr_fail(&err, KR_E_INPUT,
                "runtime.newCondition: status must be one of True, False, Unknown (got " KR_FMT
                ") in expression " KR_FMT,
                KR_ARG(graph__go_quote(b->a, call->status)),
                KR_ARG(graph__go_quote(b->a, e->e.cel)));
        bad_literal(b, e, call->status, &err)->expected = KR_S("True, False or Unknown");
    }
    if (call->type.s && call->type.n == 0) {
        kr_fail(&err, KR_E_INPUT,
                "runtime.newCondition: type must not be empty in expression " KR_FMT,
                KR_ARG(graph__go_quote(b->a, e->e.cel)));
        bad_literal(b, e, KR_S("type"), &err);
    }
}

static void check_lookup(struct build *b, struct entry *entries, uint32_t n, struct entry *e,
                         kr_str type)
{
    kr_str quoted = graph__go_quote(b->a, type), text = graph__go_quote(b->a, e->e.cel);
    struct kr_near near = {.word = type};
    struct kr_err err = KR_ERR_NONE;
    struct graph_diag *x;

    for (size_t i = 0; i < KR_N(built_in); i++) {
        if (kr_str_eq(type, kr_str_c(built_in[i])))
            return;
        kr_near_try(&near, kr_str_c(built_in[i]));
    }
    if (declared_by(entries, n, type) != UINT32_MAX)
        kr_fail(&err, KR_E_INPUT,
                "runtime.condition(schema, " KR_FMT
                "): custom conditions cannot reference each other in expression " KR_FMT,
                KR_ARG(quoted), KR_ARG(text));
    else
        kr_fail(&err, KR_E_INPUT,
                "runtime.condition(schema, " KR_FMT
                "): unknown condition type; only kro's built-in types (InstanceManaged, "
                "GraphResolved, ResourcesReady, Ready) can be read from schema in "
                "expression " KR_FMT,
                KR_ARG(quoted), KR_ARG(text));
    x = bad_literal(b, e, type, &err);
    x->expected = KR_S("one of InstanceManaged, GraphResolved, ResourcesReady, Ready");
    graph__diag_nearest(b->d, x, near.best);
}

static void check_literals(struct build *b, struct entry *entries, uint32_t n)
{
    check_once(b, entries, n);
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < entries[i].calls_n; k++) {
            const struct cel_runtime_call *call = &entries[i].calls[k];

            if (!call->lookup)
                check_new(b, &entries[i], call);
            else if (call->type.s)
                check_lookup(b, entries, n, &entries[i], call->type);
        }
    }
}

/* --- one expression --------------------------------------------------------------------------- */

static bool looks_up(const struct build *b, const struct cel_prog *p)
{
    uint32_t n;
    const struct cel_read *reads = cel_prog_reads(p, &n);

    for (uint32_t i = 0; i < n; i++) {
        if (reads[i].slot == b->n &&
            (reads[i].names_n == 0 || kr_str_is(reads[i].names[0], "status")))
            return true;
    }
    return false;
}

static bool gives_conditions(const struct cel_type *t)
{
    const struct cel_type *item;

    if (cel_type_is_list(t, &item))
        t = item;
    return cel_type_is_dyn(t) || cel_type_same(t, CEL_T_CONDITION);
}

static void bad_type(struct build *b, struct build_expr *e, const struct cel_type *t)
{
    kr_str type = graph__go_quote(b->a, cel_type_print(b->a, t));
    struct kr_err err = KR_ERR_NONE;
    struct graph_diag *x;

    kr_fail(&err, KR_E_INPUT,
            "condition " KR_FMT ": condition expressions must return runtime.newCondition(...) or "
            "a list of them, got " KR_FMT,
            KR_ARG(graph__go_quote(b->a, e->cel)), KR_ARG(type));
    x = build__bad(b, e, GRAPH_R_WRONG_TYPE, &err);
    graph__diag_text(b->d, x, "the expression has type " KR_FMT, KR_ARG(type));
    graph__diag_at(x, x->source, 0);
    x->expected = KR_S("runtime.newCondition(...), or a list of them");
}

static void compile(struct build *b, struct build_expr *e, struct graph_expr *out)
{
    const struct graph_words *old = graph__words(b->d, "condition %q", e->cel, KR_S(""));

    build__instance_refs(b, e, "parse error", true);
    b->d->words = old;
    if (!build__program(b, e, b->env, &out->prog, "failed to type-check condition %q", e->cel,
                        KR_S("")))
        return;
    if (!gives_conditions(cel_prog_type(out->prog))) {
        bad_type(b, e, cel_prog_type(out->prog));
        return;
    }
    build__record_reads(b, out->prog, GRAPH_TASK_STATUS(b->n));
    b->impl->conditions_look_up = b->impl->conditions_look_up || looks_up(b, out->prog);
    out->text = cel_prog_text(out->prog);
    out->nodes = build__nodes_by_rank(b, &e->nodes);
}

/* --- the block -------------------------------------------------------------------------------- */

static void read_entry(struct build *b, uint32_t i, struct entry *out)
{
    const struct graph_words *old =
        graph__words(b->d, "invalid conditions block", KR_S(""), KR_S(""));
    struct kr_err parse = KR_ERR_NONE;

    build__unwrap(b, kr_text(b->rgd.conditions.list[i]), entry_path(b, i), &out->e);
    b->d->words = old;
    /* What cannot be parsed is told with the other things that are wrong with it. */
    if (out->e.broken ||
        cel_runtime_calls(b->a, b->base, out->e.cel, &out->calls, &out->calls_n, &parse) < 0)
        out->calls_n = 0;
}

static void build_all(struct build *b, uint32_t n)
{
    struct entry *entries = kr_new_n(b->a, struct entry, n);
    struct graph_expr *exprs = kr_new_n(b->ra, struct graph_expr, n);

    for (uint32_t i = 0; i < n; i++)
        read_entry(b, i, &entries[i]);
    check_literals(b, entries, n);
    for (uint32_t i = 0; i < n; i++) {
        if (!entries[i].e.broken)
            compile(b, &entries[i].e, &exprs[i]);
    }
    b->impl->conditions = exprs;
    b->impl->conditions_n = n;
}

static void bad_block(struct build *b, kr_str path, const char *why, const char *expected)
{
    struct graph_diag *x = graph__diag(b->d, GRAPH_R_INVALID_FIELD, path,
                                       "failed to build instance status schema: failed to extract "
                                       "conditions block: %s",
                                       why);

    graph__diag_text(b->d, x, "%s", why);
    x->expected = kr_str_c(expected);
    b->broken_conditions = true;
}

void build__conditions_extract(struct build *b)
{
    if (b->rgd.conditions.kind == KR_NONE)
        return;
    if (b->rgd.conditions.kind != KR_LIST) {
        bad_block(b, KR_S("spec.schema.status.conditions"), "status.conditions must be a list",
                  "a list of expressions");
        return;
    }
    KR_LIST_EACH (it, b->rgd.conditions) {
        uint32_t i = (uint32_t)(it - b->rgd.conditions.list);

        if (it->kind != KR_STRING)
            bad_block(b, entry_path(b, i),
                      kr_fmt(b->a, "status.conditions[%u] must be a CEL expression string", i).s,
                      "${runtime.newCondition(...)}");
    }
}

void build__conditions(struct build *b)
{
    uint32_t n = b->rgd.conditions.kind == KR_LIST ? b->rgd.conditions.n : 0;
    const struct graph_words *old =
        graph__words(b->d, "failed to build instance conditions", KR_S(""), KR_S(""));

    if (n && !b->broken_conditions)
        build_all(b, n);
    b->d->words = old;
    b->rev->author_conditions = n > 0;
}
