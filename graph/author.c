/* SPDX-License-Identifier: Apache-2.0 */
/* author.c - the conditions that the author of a definition writes, as an instance has them.
 *
 *   what each expression gives      -> outcome   value: one condition, or a list of them
 *                                               pending: nothing yet ("incomplete")
 *                                               anything else: broken ("degraded")
 *   a type that came more than once -> none of them; degraded
 *   incomplete or degraded          -> conditions on the wire of types that gave nothing stay
 *   degraded                        -> state ERROR; the rest is written all the same
 *
 * Nothing else stands in status.conditions then; kro's own four are what runtime.condition(schema,
 * ...) looks up. Times of transitions come from the wire: they stay as long as the status does.
 *
 * The expressions run only if something that they read has changed, or the wire is not what was
 * made of them last.
 *
 * Source: kro:pkg/controller/instance/conditions.go; reference instance-runtime 3.5, 3.6.
 */
#include "graph/inst.h"

#include "cel/base/time.h"

#include "cel/base/banned.h"

/* The conditions made so far. */
struct made {
    struct cel_condition *items;
    uint32_t n, cap;
    bool incomplete;
    kr_str error; /* the first thing that is broken; empty: none */
};

/* --- evaluation ------------------------------------------------------------------------------- */

static void broken(struct inst_step *s, struct made *m, const struct graph_expr *e, kr_str why)
{
    if (m->error.n == 0)
        m->error = kr_fmt(s->a, "condition " KR_FMT ": " KR_FMT,
                          KR_ARG(graph__go_quote(s->a, e->text)), KR_ARG(why));
}

static void made_add(struct inst_step *s, struct made *m, const struct graph_expr *e, kr_val v)
{
    struct cel_condition c;

    if (!cel_condition_of(v, &c)) {
        broken(s, m, e, KR_S("did not return a condition"));
        return;
    }
    if (m->n == GRAPH_AUTHOR_CONDS_MAX) {
        broken(s, m, e, kr_fmt(s->a, "more than %d conditions", GRAPH_AUTHOR_CONDS_MAX));
        return;
    }
    if (m->n == m->cap) {
        uint32_t cap = m->cap ? 2 * m->cap : 8;
        struct cel_condition *grown = kr_new_n(s->a, struct cel_condition, cap);

        if (m->n)
            memcpy(grown, m->items, sizeof(*grown) * m->n);
        m->items = grown;
        m->cap = cap;
    }
    m->items[m->n++] = c;
}

static void run_one(struct inst_step *s, const kr_val *slots, const struct graph_expr *e,
                    struct made *m)
{
    enum cel_fail fail;
    struct kr_err err = KR_ERR_NONE;
    kr_val v = KR_V_NONE;

    if (inst__run(s, e->prog, slots, s->slots_n, &v, &fail, &err) < 0) {
        if (fail == CEL_FAIL_PENDING)
            m->incomplete = true;
        else
            broken(s, m, e, kr_strdup(s->a, kr_err_str(&err)));
        return;
    }
    if (v.kind != KR_LIST) {
        made_add(s, m, e, v);
        return;
    }
    KR_LIST_EACH (item, v) {
        made_add(s, m, e, *item);
    }
}

/* What came more than once is dropped, all of it: nobody can say which one is meant. */
static void drop_repeated(struct inst_step *s, struct made *m)
{
    bool *again = kr_new_n(s->a, bool, m->n);
    uint32_t kept = 0;

    for (uint32_t i = 0; i < m->n; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (kr_str_eq(m->items[i].type, m->items[k].type))
                again[i] = again[k] = true;
        }
    }
    for (uint32_t i = 0; i < m->n; i++) {
        if (!again[i])
            m->items[kept++] = m->items[i];
        else if (m->error.n == 0)
            m->error = kr_fmt(s->a, "condition type " KR_FMT " is made more than once",
                              KR_ARG(graph__go_quote(s->a, m->items[i].type)));
    }
    m->n = kept;
}

/* --- the list --------------------------------------------------------------------------------- */

static kr_val find(kr_val conditions, kr_str type)
{
    KR_LIST_EACH (c, conditions) {
        if (kr_is_str(kr_get(*c, KR_S("type")), type))
            return *c;
    }
    return KR_V_NONE;
}

static kr_val time_of(struct inst_step *s, kr_val before, kr_str status)
{
    kr_val time = kr_get(before, KR_S("lastTransitionTime"));
    char text[KR_TIME_TEXT_MAX];
    size_t n;

    if (time.kind == KR_STRING && kr_is_str(kr_get(before, KR_S("status")), status))
        return time;
    n = kr_time_text(s->env->wall_s, 0, text);
    return kr_string(kr_strdup(s->a, (kr_str){text, n}));
}

static kr_val value_of(struct inst_step *s, kr_val wire, const struct cel_condition *c)
{
    struct kr_mapb m = KR_MAPB(s->a);

    kr_mapb_put(&m, KR_S("lastTransitionTime"), time_of(s, find(wire, c->type), c->status));
    if (c->message.n)
        kr_mapb_put(&m, KR_S("message"), kr_string(c->message));
    kr_mapb_put(&m, KR_S("observedGeneration"), kr_int(s->inst->parent->generation));
    if (c->reason.n)
        kr_mapb_put(&m, KR_S("reason"), kr_string(c->reason));
    kr_mapb_put(&m, KR_S("status"), kr_string(c->status));
    kr_mapb_put(&m, KR_S("type"), kr_string(c->type));
    return kr_mapb_done(&m);
}

static bool gave(const struct made *m, kr_str type)
{
    for (uint32_t i = 0; i < m->n; i++) {
        if (kr_str_eq(m->items[i].type, type))
            return true;
    }
    return false;
}

static kr_val list_of(struct inst_step *s, kr_val wire, const struct made *m)
{
    struct kr_listb list = KR_LISTB(s->a);

    for (uint32_t i = 0; i < m->n; i++)
        kr_listb_add(&list, value_of(s, wire, &m->items[i]));
    KR_LIST_EACH (c, wire) {
        if ((m->incomplete || m->error.n) && !gave(m, kr_text(kr_get(*c, KR_S("type")))))
            kr_listb_add(&list, *c);
    }
    return kr_listb_done(&list);
}

/* --- kro's own, as expressions see them ------------------------------------------------------- */

static kr_val plain(struct inst_step *s, const struct graph_conds *own)
{
    struct kr_listb list = KR_LISTB(s->a);

    for (uint32_t i = 0; i < own->n; i++) {
        const struct graph_cond *x = &own->items[i];
        struct kr_mapb m = KR_MAPB(s->a);

        kr_mapb_put(&m, KR_S("message"), kr_string(x->message));
        kr_mapb_put(&m, KR_S("reason"), kr_string(x->reason));
        kr_mapb_put(&m, KR_S("status"), kr_string(x->status));
        kr_mapb_put(&m, KR_S("type"), kr_string(x->type));
        kr_listb_add(&list, kr_mapb_done(&m));
    }
    return kr_listb_done(&list);
}

/* The step's slots with kro's conditions in the instance; observed: with the nodes' objects. */
static const kr_val *slots_of(struct inst_step *s, kr_val own, bool observed)
{
    uint32_t nodes_n = s->inst->nodes_n;
    kr_val *slots = kr_new_n(s->a, kr_val, s->slots_n);

    if (observed)
        memcpy(slots, s->slots, sizeof(*slots) * s->slots_n);
    slots[nodes_n] = kr_with(s->a, s->slots[nodes_n], "status.conditions", own);
    return slots;
}

static uint64_t inputs_of(struct inst_step *s, kr_val own)
{
    const kr_val part[] = {kr_int(s->inst->parent->generation),
                           s->inst->rev->impl->conditions_look_up ? own : KR_V_NULL};

    return kr_digest(kr_list(part, KR_N(part)));
}

/* --- for status.c ----------------------------------------------------------------------------- */

bool inst__author_has(const struct graph_inst *inst)
{
    kr_val wire = kr_at(kr_rec_root(inst->parent), "status.conditions");

    if (inst->rev)
        return inst->rev->author_conditions;
    /* No revision: kro's own are always there where it writes them. */
    return wire.kind == KR_LIST && wire.n && find(wire, KR_S(GRAPH_C_RESOLVED)).kind == KR_NONE;
}

kr_val inst__author_conditions(struct inst_step *s, const struct graph_conds *own, bool observed)
{
    struct graph_inst *inst = s->inst;
    struct inst_author *author = &inst->author;
    const struct graph_rev_impl *impl = inst->rev->impl;
    kr_val wire = kr_at(kr_rec_root(inst->parent), "status.conditions"), own_list = plain(s, own),
           out;
    uint64_t in = inputs_of(s, own_list);
    struct made made = {0};
    const kr_val *slots;

    if (observed && !author->dirty && author->in == in && author->out == kr_digest(wire))
        return wire;
    slots = slots_of(s, own_list, observed);
    inst->counts.authors++;
    for (uint32_t i = 0; i < impl->conditions_n; i++)
        run_one(s, slots, &impl->conditions[i], &made);
    drop_repeated(s, &made);
    out = list_of(s, wire, &made);
    inst__text(&author->error, made.error);
    author->dirty = !observed;
    author->in = in;
    author->out = kr_digest(out);
    return out;
}

kr_val inst__author_overlay(struct inst_step *s, const struct graph_cond *own)
{
    kr_val wire = kr_at(kr_rec_root(s->inst->parent), "status.conditions");
    const struct cel_condition c = {
        .type = own->type, .status = own->status, .reason = own->reason, .message = own->message};
    kr_val now = value_of(s, wire, &c);
    struct kr_listb list = KR_LISTB(s->a);
    bool there = false;

    KR_LIST_EACH (w, wire) {
        bool same = kr_is_str(kr_get(*w, KR_S("type")), own->type);

        kr_listb_add(&list, same ? now : *w);
        there |= same;
    }
    if (!there)
        kr_listb_add(&list, now);
    return kr_listb_done(&list);
}
