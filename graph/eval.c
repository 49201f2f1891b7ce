/* SPDX-License-Identifier: Apache-2.0 */
/* eval.c - the expressions of one node: their values, or in which way they failed.
 *
 * Every expression ends in one of three ways: a value; pending, when something it reads is not
 * there yet (the error texts that kro takes for it are flagged by cel); or broken. What pending
 * means depends on the place: a template waits, includeWhen waits if it reads another node and is
 * broken otherwise, readyWhen is not satisfied, a status field is left out.
 *
 * Texts are kro's where the reference has them: instance-runtime 2.5, cel 177.
 */
#include "graph/inst.h"

#include "cel/base/banned.h"

int inst__run(struct inst_step *s, const struct cel_prog *prog, const kr_val *slots,
              uint32_t slots_n, kr_val *out, enum cel_fail *fail, struct kr_err *err)
{
    uint64_t left = s->steps < GRAPH_STEP_STEPS_MAX ? GRAPH_STEP_STEPS_MAX - s->steps : 1;
    bool last = left < GRAPH_EXPR_STEPS_MAX;
    struct cel_run r = {.slots = slots,
                        .slots_n = slots_n,
                        .a = s->a,
                        .cost_max = last ? left : GRAPH_EXPR_STEPS_MAX,
                        .bytes_max = GRAPH_EXPR_BYTES_MAX};
    int rc = cel_eval(prog, &r, out, err);

    s->inst->counts.expressions++;
    s->steps += r.cost;
    *fail = r.fail;
    if (rc < 0 && r.fail == CEL_FAIL_LIMIT && last && r.cost > left)
        return kr_fail(err, KR_E_LIMIT,
                       "evaluation cost limit exceeded: the expressions of one step of the "
                       "instance take more than %d steps",
                       GRAPH_STEP_STEPS_MAX);
    return rc;
}

static int run(struct inst_step *s, const struct cel_prog *prog, const kr_val *slots,
               uint32_t slots_n, kr_val *out, struct kr_err *err)
{
    enum cel_fail fail;

    if (inst__run(s, prog, slots, slots_n, out, &fail, err) < 0)
        return fail == CEL_FAIL_PENDING ? INST_EVAL_PENDING : KR_E_EVAL;
    return 0;
}

static kr_str quote(struct inst_step *s, kr_str text)
{
    return graph__go_quote(s->a, text);
}

/* bool of a condition: null and optional.none() are false. Negative: no bool. */
static int truth(kr_val v)
{
    if (v.kind == KR_OPTIONAL)
        v = v.ref ? *v.ref : KR_V_NULL;
    if (v.kind == KR_NULL)
        return 0;
    return v.kind == KR_BOOL ? v.b : -1;
}

static bool reads_nodes(const struct kr_bits *nodes, uint32_t nodes_n)
{
    uint32_t first;

    return nodes && kr_bits_next(nodes, 0, &first) && first < nodes_n;
}

/* --- includeWhen ------------------------------------------------------------------------------ */

static int include_inputs(struct inst_step *s, const struct graph_expr *e, struct kr_err *err)
{
    struct graph_inst *inst = s->inst;

    if (!e->nodes)
        return 0;
    kr_bits_each (r, e->nodes) {
        kr_str id, why;

        if (r >= inst->nodes_n)
            break;
        if (inst->nodes[r].ready == INST_READY)
            continue;
        id = inst->rev->nodes[r].id;
        why = inst__why_not_ready(inst, s->a, r);
        if (inst->nodes[r].ready == INST_BROKEN)
            return kr_fail(err, KR_E_EVAL, "includeWhen dependency \"" KR_FMT "\": " KR_FMT,
                           KR_ARG(id), KR_ARG(why));
        kr_fail(err, KR_E_EVAL, "includeWhen dependency \"" KR_FMT "\" not ready: " KR_FMT,
                KR_ARG(id), KR_ARG(why));
        return INST_EVAL_WAITS;
    }
    return 0;
}

static int include_one(struct inst_step *s, const struct graph_expr *e, struct kr_err *err)
{
    kr_val v = KR_V_NONE;
    int rc = include_inputs(s, e, err);

    if (rc != 0)
        return rc;
    rc = run(s, e->prog, s->slots, s->slots_n, &v, err);
    if (rc == INST_EVAL_PENDING && !reads_nodes(e->nodes, s->inst->nodes_n))
        rc = KR_E_EVAL; /* a missing field of the instance never comes by waiting */
    if (rc != 0) {
        kr_wrap(err, "includeWhen " KR_FMT, KR_ARG(quote(s, e->text)));
        return rc;
    }
    switch (truth(v)) {
    case 0:
        return INST_EVAL_FALSE;
    case 1:
        return 0;
    default:
        return kr_fail(err, KR_E_EVAL, "expression " KR_FMT " did not return bool",
                       KR_ARG(quote(s, e->text)));
    }
}

static bool reads_one_of(const struct graph_expr *e, const struct kr_bits *nodes)
{
    if (!e->nodes || !nodes)
        return false;
    kr_bits_each (r, nodes) {
        if (kr_bits_has(e->nodes, r))
            return true;
    }
    return false;
}

int inst__eval_include(struct inst_step *s, uint32_t rank, const struct kr_bits *unsettled,
                       struct kr_err *err)
{
    const struct graph_node_spec *spec = s->inst->rev->nodes[rank].spec;

    if (spec->include_n)
        s->inst->counts.conditions++;
    for (uint32_t i = 0; i < spec->include_n; i++) {
        int rc = reads_one_of(&spec->include[i], unsettled)
                     ? INST_EVAL_WAITS
                     : include_one(s, &spec->include[i], err);

        if (rc != 0)
            return rc;
    }
    return 0;
}

/* --- template --------------------------------------------------------------------------------- */

static int site_value(struct inst_step *s, const struct graph_site *site, kr_val *out,
                      struct kr_err *err)
{
    kr_val v = KR_V_NONE;
    int rc = run(s, site->prog, s->slots, s->slots_n, &v, err);

    if (rc != 0) {
        kr_wrap(err, "eval " KR_FMT, KR_ARG(quote(s, site->text)));
        return rc;
    }
    if (cel_to_json(s->a, v, out, err) < 0)
        return kr_wrap(err, "convert " KR_FMT, KR_ARG(quote(s, site->text)));
    return 0;
}

/* From the last to the first, so that an omitted list item does not move those before it. */
static kr_val put_in(struct inst_step *s, const struct graph_node_spec *spec, const kr_val *values)
{
    kr_val desired = spec->template;

    for (uint32_t i = spec->sites_n; i-- > 0;)
        desired =
            graph__path_set(s->a, desired, spec->sites[i].path, spec->sites[i].path_n, values[i]);
    return desired;
}

/* All are evaluated before any is put in. */
int inst__eval_template(struct inst_step *s, uint32_t rank, kr_val *out, struct kr_err *err)
{
    const struct graph_node_spec *spec = s->inst->rev->nodes[rank].spec;
    kr_val *values = kr_new_n(s->a, kr_val, spec->sites_n);

    s->inst->counts.templates++;
    for (uint32_t i = 0; i < spec->sites_n; i++) {
        int rc = site_value(s, &spec->sites[i], &values[i], err);

        if (rc != 0)
            return rc;
    }
    *out = put_in(s, spec, values);
    return 0;
}

/* --- forEach ---------------------------------------------------------------------------------- */

static int dim_list(struct inst_step *s, const struct graph_expr *dim, kr_val *out,
                    struct kr_err *err)
{
    kr_val v = KR_V_NONE;
    int rc = run(s, dim->prog, s->slots, s->slots_n, &v, err);

    if (rc != 0)
        return rc;
    if (v.kind == KR_OPTIONAL)
        v = v.ref ? *v.ref : KR_V_NULL;
    if (v.kind == KR_NULL) /* Same words as kro: pkg/runtime/eval.go. */
        return kr_fail(err, KR_E_EVAL, "expression " KR_FMT " returned null, expected list",
                       KR_ARG(quote(s, dim->text)));
    if (v.kind != KR_LIST)
        return kr_fail(err, KR_E_EVAL, "expression " KR_FMT " did not return a list",
                       KR_ARG(quote(s, dim->text)));
    *out = v;
    return 0;
}

int inst__eval_dims(struct inst_step *s, uint32_t rank, kr_val *lists, struct kr_err *err)
{
    const struct graph_node_spec *spec = s->inst->rev->nodes[rank].spec;

    s->inst->counts.dims++;
    for (uint32_t i = 0; i < spec->dims_n; i++) {
        int rc = dim_list(s, &spec->dims[i], &lists[i], err);

        if (rc != 0) {
            kr_wrap(err, "forEach " KR_FMT, KR_ARG(quote(s, spec->dims[i].name)));
            return rc;
        }
        if (lists[i].n == 0)
            return 0; /* no items, whatever the others are */
    }
    return 0;
}

/* Does an iterator have a part in it? */
static bool iterates(const struct inst_step *s, const struct graph_site *site)
{
    uint32_t n;
    const struct cel_read *reads = cel_prog_reads(site->prog, &n);

    for (uint32_t i = 0; i < n; i++) {
        if (reads[i].slot > s->inst->nodes_n)
            return true;
    }
    return false;
}

static int eval_sites(struct inst_step *s, uint32_t rank, bool iterating, kr_val *values,
                      struct kr_err *err)
{
    const struct graph_node_spec *spec = s->inst->rev->nodes[rank].spec;

    for (uint32_t i = 0; i < spec->sites_n; i++) {
        int rc = 0;

        if (iterates(s, &spec->sites[i]) == iterating)
            rc = site_value(s, &spec->sites[i], &values[i], err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int inst__eval_shared(struct inst_step *s, uint32_t rank, kr_val *values, struct kr_err *err)
{
    return eval_sites(s, rank, false, values, err);
}

int inst__eval_item(struct inst_step *s, uint32_t rank, kr_val *values, kr_val *out,
                    struct kr_err *err)
{
    int rc;

    s->inst->counts.templates++;
    rc = eval_sites(s, rank, true, values, err);
    if (rc == 0)
        *out = put_in(s, s->inst->rev->nodes[rank].spec, values);
    return rc;
}

/* --- place ------------------------------------------------------------------------------------ */

int inst__check_namespace(struct inst_step *s, uint32_t rank, kr_str namespace, struct kr_err *err)
{
    kr_str only = s->env->only_namespace;

    if (only.n == 0 || namespace.n == 0 || kr_str_eq(only, namespace))
        return 0;
    return kr_fail(err, KR_E_INPUT,
                   "node \"" KR_FMT "\": namespace \"" KR_FMT
                   "\" is not served: this controller works in namespace \"" KR_FMT "\" only",
                   KR_ARG(s->inst->rev->nodes[rank].id), KR_ARG(namespace), KR_ARG(only));
}

static int place_namespace(struct inst_step *s, uint32_t rank, kr_val *desired, kr_str *namespace,
                           struct kr_err *err)
{
    const struct graph_node *node = &s->inst->rev->nodes[rank];
    kr_str given = kr_at_str(*desired, "metadata.namespace");

    *namespace = KR_S("");
    if (!node->namespaced)
        return 0;
    if (given.n == 0) {
        given = s->inst->ref.namespace;
        if (given.n == 0) /* Same words as kro: pkg/runtime/node.go. */
            return kr_fail(err, KR_E_INPUT,
                           "node \"" KR_FMT "\" is namespaced and must resolve metadata.namespace "
                           "when the instance is cluster-scoped",
                           KR_ARG(node->id));
        *desired = kr_with(s->a, *desired, "metadata.namespace", kr_string(given));
    }
    KR_TRY(inst__check_namespace(s, rank, given, err));
    *namespace = given;
    return 0;
}

int inst__place(struct inst_step *s, uint32_t rank, kr_val *desired, kr_ref *ref,
                struct kr_err *err)
{
    const struct graph_node *node = &s->inst->rev->nodes[rank];
    kr_val name = kr_at(*desired, "metadata.name");

    ref->gvr = node->gvr;
    KR_TRY(place_namespace(s, rank, desired, &ref->namespace, err));
    if (name.kind != KR_STRING || name.n == 0)
        return kr_fail(err, KR_E_INPUT,
                       "node \"" KR_FMT "\": metadata.name must be a string that is not empty",
                       KR_ARG(node->id));
    ref->name = kr_text(name);
    return 0;
}

/* --- readyWhen -------------------------------------------------------------------------------- */

static int ready_one(struct inst_step *s, const struct graph_expr *e, kr_val object,
                     struct kr_err *err)
{
    kr_val v = KR_V_NONE;
    int rc = run(s, e->prog, &object, 1, &v, err);

    if (rc == INST_EVAL_PENDING) {
        kr_str text = kr_strdup(s->a, kr_err_str(err));

        kr_fail(err, KR_E_EVAL, "eval " KR_FMT ": " KR_FMT " (waiting for readiness)",
                KR_ARG(quote(s, e->text)), KR_ARG(text));
        return rc;
    }
    if (rc < 0)
        return kr_wrap(err, "readyWhen " KR_FMT, KR_ARG(quote(s, e->text)));
    switch (truth(v)) {
    case 0: /* Same words as kro: pkg/runtime/node.go. */
        kr_fail(err, KR_E_EVAL,
                "readyWhen condition evaluated to false: " KR_FMT " (waiting for readiness)",
                KR_ARG(quote(s, e->text)));
        return INST_EVAL_FALSE;
    case 1:
        return 0;
    default:
        return kr_fail(err, KR_E_EVAL, "expression " KR_FMT " did not return bool",
                       KR_ARG(quote(s, e->text)));
    }
}

int inst__eval_ready(struct inst_step *s, uint32_t rank, kr_val object, struct kr_err *err)
{
    const struct graph_node_spec *spec = s->inst->rev->nodes[rank].spec;

    if (spec->ready_n)
        s->inst->counts.ready++;
    for (uint32_t i = 0; i < spec->ready_n; i++) {
        int rc = ready_one(s, &spec->ready[i], object, err);

        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Same words as kro: pkg/runtime/node_readiness.go. */
static int ready_each(struct inst_step *s, uint32_t rank, const struct graph_expr *e,
                      const kr_val *slots, uint32_t index, struct kr_err *err)
{
    kr_str id = s->inst->rev->nodes[rank].id, expr = quote(s, e->text), text;
    kr_val v = KR_V_NONE;
    int rc = run(s, e->prog, slots, 2, &v, err);

    if (rc == INST_EVAL_PENDING) {
        kr_fail(err, KR_E_EVAL,
                "node \"" KR_FMT "\": failed to evaluate readyWhen " KR_FMT
                " (item %u) (waiting for readiness)",
                KR_ARG(id), KR_ARG(expr), index);
        return rc;
    }
    if (rc < 0) {
        text = kr_strdup(s->a, kr_err_str(err));
        return kr_fail(err, rc,
                       "node \"" KR_FMT "\": failed to evaluate readyWhen " KR_FMT
                       " (item %u): " KR_FMT,
                       KR_ARG(id), KR_ARG(expr), index, KR_ARG(text));
    }
    if (v.kind != KR_BOOL)
        return kr_fail(err, KR_E_EVAL, "readyWhen " KR_FMT " did not return bool", KR_ARG(expr));
    if (v.b)
        return 0;
    kr_fail(err, KR_E_EVAL,
            "readyWhen condition evaluated to false: " KR_FMT " (waiting for readiness)",
            KR_ARG(expr));
    return INST_EVAL_FALSE;
}

/* Does it read the list, and not one of its elements? */
static bool of_list(const struct graph_expr *e)
{
    uint32_t n;
    const struct cel_read *reads = cel_prog_reads(e->prog, &n);
    bool list = false;

    for (uint32_t i = 0; i < n; i++) {
        if (reads[i].slot == 0)
            return false;
        list = true;
    }
    return list;
}

int inst__eval_ready_each(struct inst_step *s, uint32_t rank, kr_val object, uint32_t index,
                          struct kr_err *err)
{
    const struct graph_node_spec *spec = s->inst->rev->nodes[rank].spec;
    const kr_val slots[2] = {object, s->slots[rank]};

    s->inst->counts.ready++;
    for (uint32_t i = 0; i < spec->ready_n; i++) {
        int rc = 0;

        if (!of_list(&spec->ready[i]))
            rc = ready_each(s, rank, &spec->ready[i], slots, index, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int inst__eval_ready_list(struct inst_step *s, uint32_t rank, struct kr_err *err)
{
    const struct graph_node_spec *spec = s->inst->rev->nodes[rank].spec;
    const kr_val slots[2] = {KR_V_NONE, s->slots[rank]};

    for (uint32_t i = 0; i < spec->ready_n; i++) {
        int rc = 0;

        if (of_list(&spec->ready[i]))
            rc = ready_each(s, rank, &spec->ready[i], slots, 0, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* --- status projections ----------------------------------------------------------------------- */

static kr_val path_get(kr_val root, const struct graph_step *path, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        root = path[i].name.s ? kr_get(root, path[i].name) : kr_item(root, path[i].index);
    return root;
}

static bool is_empty(kr_val v)
{
    return (v.kind == KR_MAP || v.kind == KR_LIST) && v.n == 0;
}

static kr_val strip(struct inst_step *s, kr_val template, kr_val v);

static kr_val strip_map(struct inst_step *s, kr_val template, kr_val v)
{
    struct kr_mapb out = KR_MAPB(s->a);

    KR_MAP_EACH (p, v) {
        kr_val from = kr_get(template, kr_text(p->key));
        kr_val kept = strip(s, from, p->val);

        if (from.kind == KR_STRING || !is_empty(kept))
            kr_mapb_put(&out, kr_text(p->key), kept);
    }
    return kr_mapb_done(&out);
}

/* Containers of the template whose expressions are all unresolved are not there either. Depth is
 * that of the template, which the definition's reader limits. */
static kr_val strip(struct inst_step *s, kr_val template, kr_val v)
{
    struct kr_listb out = KR_LISTB(s->a);

    if (template.kind == KR_MAP && v.kind == KR_MAP)
        return strip_map(s, template, v);
    if (template.kind != KR_LIST || v.kind != KR_LIST || template.n != v.n)
        return v;
    for (uint32_t i = 0; i < v.n; i++) {
        kr_val kept = strip(s, template.list[i], v.list[i]);

        if (template.list[i].kind == KR_STRING || !is_empty(kept))
            kr_listb_add(&out, kept);
    }
    return kr_listb_done(&out);
}

kr_val inst__eval_status(struct inst_step *s, kr_val wire, bool keep, kr_str *error)
{
    const struct graph_rev_impl *impl = s->inst->rev->impl;
    kr_val status = impl->status;
    struct kr_err err;

    *error = KR_S("");
    if (impl->status_sites_n == 0)
        return KR_V_NONE;
    s->inst->counts.status++;
    for (uint32_t i = impl->status_sites_n; i-- > 0;) {
        const struct graph_site *site = &impl->status_sites[i];
        kr_val v = KR_V_NONE;
        int rc = site_value(s, site, &v, &err);

        if (rc != 0 || v.kind == KR_NONE) {
            v = keep ? path_get(wire, site->path, site->path_n) : KR_V_NONE;
            if (v.kind == KR_NONE)
                v = KR_V_OMIT;
        }
        if (rc < 0)
            *error = kr_fmt(s->a, "status." KR_FMT ": " KR_FMT,
                            KR_ARG(graph__path_print(s->a, site->path, site->path_n)),
                            KR_ARG(kr_err_str(&err)));
        status = graph__path_set(s->a, status, site->path, site->path_n, v);
    }
    return strip(s, impl->status, status);
}
