/* SPDX-License-Identifier: Apache-2.0 */
/* sweep.c - takes the dirty tasks, lowest first, and stops where nothing changed.
 *
 *   template task of r   upstream skipped? includeWhen? inputs ready? -> template -> reference,
 *                        value in sync -> nothing; else an intent, which step.c sends or holds
 *   ready task of r      readyWhen on the object as it is; a new result wakes the dependents
 *   status task          noted; status.c does it once, when the sweep is over
 *
 * Tasks are numbered in topological order and wake only higher ones, so each runs at most once.
 * A node whose input is being applied is not evaluated: its last input has not come yet, and what
 * would be sent now would be sent again. It stays as it is and is dirty again when that is settled.
 *
 * Source: kro:pkg/runtime/node.go (rules and texts); reference instance-runtime 2.5.
 */
#include "graph/inst.h"

#include "cel/base/banned.h"

static const struct graph_node *node_of(const struct inst_step *s, uint32_t rank)
{
    return &s->inst->rev->nodes[rank];
}

static bool is_external(const struct inst_step *s, uint32_t rank)
{
    return node_of(s, rank)->kind == GRAPH_EXTERNAL;
}

/* --- holds ------------------------------------------------------------------------------------ */

/* Is something under way that will change this node's object? */
static bool is_under_way(const struct inst_step *s, uint32_t rank)
{
    const struct graph_inst *inst = s->inst;
    const struct inst_node *node = &inst->nodes[rank];

    if (inst__unanswered(inst, rank))
        return true;
    for (uint32_t k = 0; k < node->items_n; k++) {
        if (node->items[k].token)
            return true;
    }
    return node->hold == HOLD_FLIGHT || node->hold == HOLD_INPUT ||
           (node->hold == HOLD_PARENT && inst->labeller.token);
}

/* Is something under way that may change what this node reads, however far upstream? */
static bool inputs_unsettled(const struct inst_step *s, uint32_t rank)
{
    struct kr_bits unsettled;

    kr_bits_init(&unsettled, s->a, rank + 1);
    for (uint32_t i = 0; i <= rank; i++) {
        const struct graph_node_spec *spec = node_of(s, i)->spec;
        bool inputs = false;

        for (uint32_t d = 0; d < spec->deps_n && !inputs; d++)
            inputs = kr_bits_has(&unsettled, spec->deps[d]);
        if (i == rank)
            return inputs;
        if (inputs || is_under_way(s, i))
            kr_bits_set(&unsettled, i);
    }
    return false;
}

/* A child of a node that was not evaluated yet may be what the node wishes for. */
static bool unclaimed_terminating(const struct inst_step *s)
{
    const struct graph_inst *inst = s->inst;

    for (uint32_t i = 0; i < inst->strays_n; i++) {
        const struct kr_rec *rec = inst->strays[i].rec;
        int32_t rank = rec->terminating ? graph_rev_rank(inst->rev, rec->node_id) : -1;

        if (rank >= 0 && !inst->nodes[rank].evaluated)
            return true;
    }
    return false;
}

/* A child that is wished for is being deleted: kro applies nothing until it is gone. */
static bool any_terminating(const struct inst_step *s)
{
    const struct graph_inst *inst = s->inst;

    if (unclaimed_terminating(s))
        return true;
    for (uint32_t i = 0; i < inst->nodes_n; i++) {
        const struct inst_node *node = &inst->nodes[i];

        if ((node->state != INST_RESOLVED && node->state != INST_NEW) || is_external(s, i))
            continue;
        for (uint32_t k = 0; k < node->items_n; k++) {
            if (node->items[k].deleting ||
                (node->items[k].seen && node->items[k].seen->terminating))
                return true;
        }
    }
    return false;
}

static bool waits_for_retry(const struct inst_step *s, const struct inst_item *item)
{
    return item->error && item->desired == item->sent && item->retry.at_ms > s->env->now_ms;
}

enum inst_hold inst__hold_reason(struct inst_step *s, uint32_t rank)
{
    const struct inst_node *node = &s->inst->nodes[rank];

    for (uint32_t k = 0; k < node->items_n; k++) {
        if (node->items[k].token)
            return HOLD_FLIGHT;
    }
    if (inputs_unsettled(s, rank))
        return HOLD_INPUT;
    if (is_external(s, rank))
        return HOLD_NONE;
    if (!node->known)
        return HOLD_TYPE;
    if (any_terminating(s))
        return HOLD_TERMINATING;
    for (uint32_t k = 0; k < node->items_n; k++) {
        if (!inst__covers(s, rank, &node->items[k]))
            return HOLD_PARENT;
    }
    for (uint32_t k = 0; k < node->items_n; k++) {
        if (waits_for_retry(s, &node->items[k]))
            return HOLD_RETRY;
    }
    return HOLD_NONE;
}

/* --- state of a node -------------------------------------------------------------------------- */

static void set_slot(struct inst_step *s, uint32_t rank)
{
    if (inst__visible(s->inst, rank))
        s->slots[rank] = s->inst->nodes[rank].items[0].seen->root;
    else
        s->slots[rank] = KR_V_NONE;
}

static void unwatch(struct inst_step *s, uint32_t rank, const char *watched,
                    const struct graph_node *node)
{
    struct graph_action *action = graph_plan_add(s->plan, GRAPH_A_UNWATCH);
    kr_str name = kr_strdup(s->a, kr_str_c(watched));

    action->node = rank;
    action->gvk = node->gvk;
    action->ref.gvr = node->gvr;
    action->ref.namespace = kr_str_cut(&name, '/');
    action->ref.name = name;
}

static void drop_external(struct inst_step *s, uint32_t rank)
{
    struct inst_node *node = &s->inst->nodes[rank];

    if (!node->watched)
        return;
    unwatch(s, rank, node->watched, node_of(s, rank));
    inst__text(&node->watched, KR_S(""));
    node->answered = false;
    inst__item_release(s->inst, rank, &node->one);
}

/* what was visible before the items were touched: the caller says. */
static void set_state(struct inst_step *s, uint32_t rank, enum inst_state state, kr_str text,
                      bool was_visible)
{
    struct graph_inst *inst = s->inst;
    struct inst_node *node = &inst->nodes[rank];
    bool was_skipped = node->state == INST_SKIPPED, was_new = node->state == INST_NEW;

    if (node->state != state)
        inst->status_dirty = true;
    inst->status_dirty |= inst__text(&node->text, text);
    node->state = state;
    set_slot(s, rank);
    if (inst__visible(inst, rank) != was_visible)
        inst__appeared(inst, rank);
    if (was_skipped == (state == INST_SKIPPED) && !was_new)
        return;
    inst->manage_dirty = true;
    kr_bits_each (reader, &node_of(s, rank)->spec->dependents) {
        inst__dirty(inst, GRAPH_TASK(reader));
    }
}

static void set_skipped(struct inst_step *s, uint32_t rank)
{
    struct inst_node *node = &s->inst->nodes[rank];
    bool was_visible = inst__visible(s->inst, rank);

    if (is_external(s, rank))
        drop_external(s, rank);
    for (uint32_t k = 0; k < node->items_n; k++)
        inst__item_release(s->inst, rank, &node->items[k]);
    set_state(s, rank, INST_SKIPPED, KR_S(""), was_visible);
}

kr_str inst__why_not_ready(const struct graph_inst *inst, struct kr_arena *a, uint32_t rank)
{
    if (inst->nodes[rank].ready_text)
        return inst__str(inst->nodes[rank].ready_text);
    /* Same words as kro: pkg/runtime/node.go. */
    return kr_fmt(a, "node \"" KR_FMT "\": no observed state: waiting for readiness",
                  KR_ARG(inst->rev->nodes[rank].id));
}

/* --- evaluation ------------------------------------------------------------------------------- */

enum { EVAL_SKIPPED = 4 }; /* beside INST_EVAL_* */

static int inputs_ready(struct inst_step *s, uint32_t rank, struct kr_err *err)
{
    const struct graph_inst *inst = s->inst;
    const struct graph_node *node = node_of(s, rank);

    for (uint32_t i = 0; i < node->spec->deps_n; i++) {
        uint32_t d = node->spec->deps[i];
        kr_str id = node_of(s, d)->id;

        if (inst->nodes[d].ready == INST_READY)
            continue;
        if (inst->nodes[d].ready == INST_BROKEN)
            return kr_fail(
                err, KR_E_EVAL,
                "node \"" KR_FMT "\": failed to check readiness of dependent node \"" KR_FMT
                "\": " KR_FMT,
                KR_ARG(node->id), KR_ARG(id), KR_ARG(inst__why_not_ready(inst, s->a, d)));
        kr_fail(err, KR_E_EVAL,
                "node \"" KR_FMT "\": dependent node \"" KR_FMT "\" not ready: " KR_FMT
                " (data pending)",
                KR_ARG(node->id), KR_ARG(id), KR_ARG(inst__why_not_ready(inst, s->a, d)));
        return INST_EVAL_WAITS;
    }
    return 0;
}

static bool upstream_skipped(const struct inst_step *s, uint32_t rank)
{
    const struct graph_node_spec *spec = node_of(s, rank)->spec;

    for (uint32_t i = 0; i < spec->deps_n; i++) {
        if (s->inst->nodes[spec->deps[i]].state == INST_SKIPPED)
            return true;
    }
    return false;
}

static int evaluate(struct inst_step *s, uint32_t rank, kr_val *desired, struct kr_err *err)
{
    const struct graph_node *node = node_of(s, rank);
    struct inst_node *state = &s->inst->nodes[rank];
    int rc;

    if (upstream_skipped(s, rank))
        return EVAL_SKIPPED;
    rc = inst__eval_include(s, rank, err);
    if (rc == INST_EVAL_FALSE)
        return EVAL_SKIPPED;
    if (rc == INST_EVAL_PENDING || rc < 0)
        kr_wrap(err, "node \"" KR_FMT "\"", KR_ARG(node->id));
    else if (rc == 0)
        rc = inputs_ready(s, rank, err);
    state->by_dep = rc == INST_EVAL_WAITS;
    if (rc != 0)
        return state->by_dep ? INST_EVAL_PENDING : rc;
    rc = inst__eval_template(s, rank, desired, err);
    if (rc != 0)
        kr_wrap(err, "node \"" KR_FMT "\"", KR_ARG(node->id));
    if (rc == INST_EVAL_PENDING) {
        kr_str text = kr_strdup(s->a, kr_err_str(err));

        kr_fail(err, KR_E_EVAL, KR_FMT " (data pending)", KR_ARG(text));
    }
    return rc;
}

/* --- the object wished for -------------------------------------------------------------------- */

/* The node with this reference, other than `rank`; or UINT32_MAX. */
static uint32_t other_claim(const struct inst_step *s, uint32_t rank, uint64_t ref)
{
    for (uint32_t i = 0; i < s->inst->nodes_n; i++) {
        const struct inst_node *node = &s->inst->nodes[i];

        if (i == rank || is_external(s, i))
            continue;
        for (uint32_t k = 0; k < node->items_n; k++) {
            if (node->items[k].ref == ref)
                return i;
        }
    }
    return UINT32_MAX;
}

/* Takes the live object out of the strays, with the delete that may be under way. */
static void adopt_stray(struct inst_step *s, struct inst_item *item, kr_ref ref)
{
    struct graph_inst *inst = s->inst;

    for (uint32_t i = 0; i < inst->strays_n; i++) {
        struct inst_stray *stray = &inst->strays[i];

        if (stray->ref != item->ref || !kr_str_eq(stray->rec->ref.name, ref.name))
            continue;
        item->seen = kr_rec_hold(stray->rec);
        item->deleting = stray->token || (stray->sent && !stray->rec->terminating);
        if (stray->token)
            item->token = stray->token;
        inst__stray_del(inst, i);
        return;
    }
}

/* The item wishes for ref from now on. Returns 0, or KR_E_INPUT: an earlier node has it. */
static int claim(struct inst_step *s, uint32_t rank, struct inst_item *item, kr_ref ref,
                 struct kr_err *err)
{
    struct graph_inst *inst = s->inst;
    uint64_t digest = inst__ref_digest(ref);
    uint32_t other = other_claim(s, rank, digest);
    bool elsewhere = !kr_str_eq(ref.namespace, inst->ref.namespace) && ref.namespace.n;

    if (other != UINT32_MAX &&
        other < rank) { /* Same words as kro: pkg/controller/instance/applyset. */
        inst__item_release(inst, rank, item);
        inst->nodes[rank].duplicate = true;
        return kr_fail(err, KR_E_INPUT,
                       "found resources with conflicts: resourceID: " KR_FMT
                       " conflicts with resourceID: " KR_FMT,
                       KR_ARG(node_of(s, rank)->id), KR_ARG(node_of(s, other)->id));
    }
    if (other != UINT32_MAX) {
        inst__item_release(inst, other, &inst->nodes[other].items[0]);
        inst__dirty(inst, GRAPH_TASK(other));
        set_slot(s, other);
        inst__appeared(inst, other);
    }
    if (item->ref != digest) {
        inst__item_release(inst, rank, item);
        item->ref = digest;
        adopt_stray(s, item, ref);
    }
    inst->manage_dirty |= inst__text(&item->namespace, elsewhere ? ref.namespace : KR_S(""));
    return 0;
}

static void intent_add(struct inst_step *s, uint32_t rank, kr_val desired, kr_ref ref)
{
    if (s->intents_n == s->intents_cap) {
        uint32_t cap = s->intents_cap ? 2 * s->intents_cap : 8;
        struct inst_intent *grown = kr_new_n(s->a, struct inst_intent, cap);

        if (s->intents_n)
            memcpy(grown, s->intents, sizeof(*grown) * s->intents_n);
        s->intents = grown;
        s->intents_cap = cap;
    }
    s->intents[s->intents_n++] = (struct inst_intent){.rank = rank, .desired = desired, .ref = ref};
}

/* Compares the wish with what is there. Until step.c decides, a difference counts as under way. */
static void compare(struct inst_step *s, uint32_t rank, struct inst_item *item, kr_val desired,
                    kr_ref ref)
{
    struct inst_node *node = &s->inst->nodes[rank];
    kr_val decorated = inst__decorate(s, rank, desired);
    enum inst_hold reason;

    item->desired = kr_digest(decorated);
    if (item->seen && inst__in_sync(s, rank, item, decorated)) {
        s->inst->status_dirty |= inst__text(&item->error, KR_S(""));
        item->retry = (struct inst_retry){0};
        return;
    }
    if (item->token && !item->deleting && item->sent == item->desired)
        return; /* this very wish is on its way */
    intent_add(s, rank, decorated, ref);
    reason = inst__hold_reason(s, rank);
    node->hold = reason == HOLD_NONE || reason == HOLD_PARENT ? HOLD_FLIGHT : (uint8_t)reason;
}

static void resolve_resource(struct inst_step *s, uint32_t rank, kr_val desired)
{
    struct inst_node *node = &s->inst->nodes[rank];
    struct inst_item *item = &node->items[0];
    bool was_visible = inst__visible(s->inst, rank);
    uint64_t before = item->ref;
    struct kr_err err = KR_ERR_NONE;
    kr_ref ref;

    if (inst__place(s, rank, &desired, &ref, &err) < 0 || claim(s, rank, item, ref, &err) < 0) {
        set_state(s, rank, INST_FAILED, kr_err_str(&err), was_visible);
        return;
    }
    set_state(s, rank, INST_RESOLVED, KR_S(""), was_visible);
    if (item->ref != before && was_visible && inst__visible(s->inst, rank))
        inst__appeared(s->inst, rank); /* another object than before */
    compare(s, rank, item, desired, ref);
}

static void follow(struct inst_step *s, uint32_t rank, kr_ref ref)
{
    struct inst_node *node = &s->inst->nodes[rank];
    kr_str name = kr_fmt(s->a, KR_FMT "/" KR_FMT, KR_ARG(ref.namespace), KR_ARG(ref.name));
    struct graph_action *action;

    if (kr_str_eq(name, inst__str(node->watched)))
        return;
    if (node->one.ref != inst__ref_digest(ref))
        drop_external(s, rank);
    node->one.ref = inst__ref_digest(ref);
    inst__text(&node->watched, name);
    action = graph_plan_add(s->plan, GRAPH_A_WATCH);
    action->node = rank;
    action->gvk = node_of(s, rank)->gvk;
    action->ref = ref;
}

static void resolve_external(struct inst_step *s, uint32_t rank, kr_val desired)
{
    bool was_visible = inst__visible(s->inst, rank);
    struct kr_err err = KR_ERR_NONE;
    kr_ref ref;

    if (inst__place(s, rank, &desired, &ref, &err) < 0) {
        set_state(s, rank, INST_FAILED, kr_err_str(&err), was_visible);
        return;
    }
    follow(s, rank, ref);
    set_state(s, rank, INST_RESOLVED, KR_S(""), was_visible);
}

/* --- tasks ------------------------------------------------------------------------------------ */

static void run_template(struct inst_step *s, uint32_t rank)
{
    struct inst_node *node = &s->inst->nodes[rank];
    bool was_visible = inst__visible(s->inst, rank);
    struct kr_err err = KR_ERR_NONE;
    kr_val desired = KR_V_NONE;
    int rc;

    if (inputs_unsettled(s, rank)) {
        node->hold = HOLD_INPUT;
        if (node->state == INST_SKIPPED && !upstream_skipped(s, rank))
            set_state(s, rank, INST_NEW, KR_S(""),
                      was_visible); /* the inventory has room for it now */
        return;
    }
    node->hold = HOLD_NONE;
    node->duplicate = false;
    node->evaluated = true;
    rc = evaluate(s, rank, &desired, &err);
    if (rc == EVAL_SKIPPED)
        set_skipped(s, rank);
    else if (rc == INST_EVAL_PENDING)
        set_state(s, rank, INST_PENDING, kr_err_str(&err), was_visible);
    else if (rc < 0)
        set_state(s, rank, INST_FAILED, kr_err_str(&err), was_visible);
    else if (is_external(s, rank))
        resolve_external(s, rank, desired);
    else
        resolve_resource(s, rank, desired);
}

static void run_ready(struct inst_step *s, uint32_t rank)
{
    struct graph_inst *inst = s->inst;
    struct inst_node *node = &inst->nodes[rank];
    struct kr_err err = KR_ERR_NONE;
    uint8_t ready = INST_WAITING;

    if (inst__visible(inst, rank)) {
        int rc = inst__eval_ready(s, rank, node->items[0].seen->root, &err);

        ready = rc == 0 ? INST_READY : rc < 0 ? INST_BROKEN : INST_WAITING;
    }
    if (!inst__text(&node->ready_text, ready == INST_READY ? KR_S("") : kr_err_str(&err)) &&
        node->ready == ready)
        return;
    node->ready = ready;
    inst->status_dirty = true;
    kr_bits_each (reader, &node_of(s, rank)->spec->dependents) {
        inst__dirty(inst, GRAPH_TASK(reader));
    }
}

static void unwatch_former(struct inst_step *s)
{
    struct graph_inst *inst = s->inst;

    for (uint32_t i = 0; i < inst->unwatch_n; i++) {
        struct inst_unwatch *u = &inst->unwatch[i];

        unwatch(s, u->rank, u->watched, &u->rev->nodes[u->rank]);
        kr_free(u->watched);
        graph_rev_drop(u->rev);
    }
    kr_free(inst->unwatch);
    inst->unwatch = NULL;
    inst->unwatch_n = 0;
}

void inst__sweep(struct inst_step *s)
{
    uint32_t task;

    unwatch_former(s);
    while (kr_bits_pop(&s->inst->dirty, &task)) {
        if (task == GRAPH_TASK_STATUS(s->inst->nodes_n))
            s->inst->status_dirty = true;
        else if (task % 2)
            run_ready(s, task / 2);
        else
            run_template(s, task / 2);
    }
}
