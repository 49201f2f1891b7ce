/* SPDX-License-Identifier: Apache-2.0 */
/* step.c - one step of an instance: from what changed to what to do.
 *
 *   no object ------------------------------------------> GONE
 *   deletionTimestamp ----------------------------------> step_delete.c
 *   no revision ----------------------------------------> status: GraphResolved False
 *   types still being listed ---------------------------> nothing yet
 *   suspended ------------------------------------------> parent's metadata, status
 *   else: SWEEP -> MANAGE -> APPLY -> (again, if that released something) -> PRUNE -> STATUS
 *
 * MANAGE comes after the first sweep, because what is excluded and where children live is known
 * only then, and before the first child: a child that the inventory does not cover is held, and
 * evaluated again when it is released. Holds are decided and released by the same rule
 * (inst__hold_reason), so a node can neither be stuck nor be sent twice.
 *
 * Prune only when every node is resolved, applied and without error; highest topological position
 * first, the next one when the DELETEs of the former were answered.
 */
#include "graph/inst.h"

#include "cel/base/banned.h"

void inst__wake(struct inst_step *s, uint64_t at_ms)
{
    if (at_ms < s->plan->wake_ms)
        s->plan->wake_ms = at_ms;
}

bool inst__due(struct inst_step *s, const struct inst_retry *r)
{
    if (r->at_ms <= s->env->now_ms)
        return true;
    inst__wake(s, r->at_ms);
    return false;
}

/* --- apply ------------------------------------------------------------------------------------ */

/* An item whose hold is over makes its node dirty again. */
static void release_items(struct inst_step *s, uint32_t rank)
{
    struct inst_node *node = &s->inst->nodes[rank];
    enum inst_hold of_node = inst__hold_node(s, rank);

    for (uint32_t k = 0; k < node->items_n; k++) {
        struct inst_item *item = &node->items[k];

        if (item->hold == HOLD_NONE)
            continue;
        item->hold = (uint8_t)inst__hold_item(s, rank, item, of_node);
        if (item->hold != HOLD_NONE)
            continue;
        inst__dirty(s->inst, GRAPH_TASK(rank));
        return;
    }
    inst__hold_sum(node);
}

static bool waits_for_answer(const struct graph_inst *inst, uint32_t rank)
{
    const struct inst_node *node = &inst->nodes[rank];

    return node->items == &node->one && node->one.token;
}

/* Nodes whose hold is over become dirty again. */
static void release(struct inst_step *s)
{
    struct graph_inst *inst = s->inst;

    for (uint32_t i = 0; i < inst->nodes_n; i++) {
        struct inst_node *node = &inst->nodes[i];

        if (node->hold == HOLD_INPUT) {
            if (!waits_for_answer(inst, i) && inst__hold_node(s, i) != HOLD_INPUT)
                inst__dirty(inst, GRAPH_TASK(i));
        } else if (node->hold != HOLD_NONE) {
            release_items(s, i);
        }
    }
}

/* What made the node dirty, for the trace: "settings.metadata.resourceVersion". */
static kr_str cause(struct inst_step *s, uint32_t rank)
{
    const struct graph_rev *rev = s->inst->rev;
    struct inst_node *node = &s->inst->nodes[rank];
    const struct graph_read *read;
    kr_str text;

    if (node->cause_rank == UINT32_MAX)
        return KR_S("");
    text = node->cause_rank == rev->nodes_n ? KR_S("schema") : rev->nodes[node->cause_rank].id;
    if (node->cause_read == UINT32_MAX)
        return text;
    read = node->cause_rank == rev->nodes_n ? &rev->parent_reads[node->cause_read]
                                            : &rev->nodes[node->cause_rank].reads[node->cause_read];
    for (uint32_t i = 0; i < read->n; i++)
        text = graph__path_join(s->a, text, read->names[i]);
    return text;
}

static void send_apply(struct inst_step *s, const struct inst_intent *intent)
{
    struct graph_inst *inst = s->inst;
    struct inst_item *item = &inst->nodes[intent->rank].items[intent->item];
    struct graph_action *action = graph_plan_add(s->plan, GRAPH_A_APPLY);

    action->why = cause(s, intent->rank);
    inst__fight_sent(s, item, action->why);
    inst__roll_sent(s, intent->rank, item);
    item->token = inst__token(inst);
    item->sent = item->desired;
    item->gone_u = 0;
    action->token = item->token;
    action->ref = intent->ref;
    action->gvk = inst->rev->nodes[intent->rank].gvk;
    action->body = intent->desired;
    action->manager = GRAPH_MANAGER_CHILD;
    action->part_of = inst->part_of;
    action->node = intent->rank;
    inst->status_dirty = true;
}

/* Sends or holds the intents of one node, which stand together. Returns where those of the next
 * begin. */
static uint32_t dispatch_node(struct inst_step *s, uint32_t at)
{
    uint32_t rank = s->intents[at].rank;
    struct inst_node *node = &s->inst->nodes[rank];
    enum inst_hold of_node;

    for (uint32_t i = at; i < s->intents_n && s->intents[i].rank == rank; i++)
        node->items[s->intents[i].item].hold = HOLD_NONE; /* the sweep's provisional one */
    inst__hold_sum(node);
    of_node = inst__hold_node(s, rank);
    for (; at < s->intents_n && s->intents[at].rank == rank; at++) {
        struct inst_item *item = &node->items[s->intents[at].item];

        item->hold = (uint8_t)inst__hold_item(s, rank, item, of_node);
        s->inst->status_dirty |= item->hold != HOLD_NONE && !inst__is_kept(item->hold);
        if (item->hold == HOLD_NONE)
            send_apply(s, &s->intents[at]);
    }
    inst__hold_sum(node);
    if (node->hold == HOLD_NONE)
        node->cause_rank = UINT32_MAX; /* told */
    return at;
}

static void dispatch(struct inst_step *s)
{
    for (uint32_t i = 0; i < s->intents_n;)
        i = dispatch_node(s, i);
    s->intents_n = 0;
}

static void converge(struct inst_step *s)
{
    /* Each round releases at least one held node, which is then sent or held for another reason. */
    for (uint32_t round = 0; round <= s->inst->nodes_n + 1; round++) {
        release(s);
        if (round > 0 && !kr_bits_any(&s->inst->dirty))
            break;
        inst__sweep(s);
        inst__manage(s);
        dispatch(s);
    }
}

/* --- prune ------------------------------------------------------------------------------------ */

bool inst__all_applied(struct inst_step *s)
{
    const struct graph_inst *inst = s->inst;

    if (inst->managed_error || inst->projection_error || kr_bits_any(&inst->dirty) || inst->limbo_n)
        return false;
    for (uint32_t i = 0; i < inst->nodes_n; i++) {
        const struct inst_node *node = &inst->nodes[i];

        if (node->state == INST_SKIPPED)
            continue;
        if (node->state != INST_RESOLVED || node->hold != HOLD_NONE)
            return false;
        for (uint32_t k = 0; k < node->items_n && !inst__is_external(inst, i); k++) {
            if (node->items[k].token || node->items[k].error || !node->items[k].seen)
                return false;
        }
    }
    return true;
}

static bool types_complete(const struct graph_inst *inst)
{
    return !inst->types_asked || inst->types_known;
}

bool inst__prune_done(struct inst_step *s)
{
    const struct graph_inst *inst = s->inst;

    for (uint32_t i = 0; i < inst->strays_n; i++) {
        if (inst__stray_ours(inst->strays[i].rec))
            return false;
    }
    return types_complete(inst) && inst__all_applied(s) && !inst__in_flight(inst);
}

/* Position of the node it was made by; unknown nodes go first. */
static uint32_t position(const struct graph_inst *inst, const struct inst_stray *stray)
{
    int32_t rank = graph_rev_rank_of_label(inst->rev, kr_rec_node_id(stray->rec));

    return rank < 0 ? inst->nodes_n : (uint32_t)rank;
}

static bool is_candidate(const struct inst_stray *stray)
{
    return inst__stray_ours(stray->rec) && !stray->rec->terminating && !stray->sent;
}

void inst__delete(struct inst_step *s, struct inst_stray *stray)
{
    struct graph_action *action = graph_plan_add(s->plan, GRAPH_A_DELETE);

    stray->token = inst__token(s->inst);
    action->token = stray->token;
    action->ref = kr_ref_copy(s->a, kr_rec_ref(stray->rec));
    action->uid = kr_strdup(s->a, kr_rec_uid(stray->rec));
    action->gvk.group = action->ref.gvr.group;
    action->gvk.version = action->ref.gvr.version;
    action->gvk.kind = kr_strdup(s->a, kr_at_str(kr_rec_root(stray->rec), "kind"));
}

static void prune(struct inst_step *s)
{
    struct graph_inst *inst = s->inst;
    int64_t highest = -1;

    if (!inst->strays_n || !types_complete(inst) || !inst__all_applied(s))
        return;
    if (inst__in_flight(inst))
        return; /* an apply that a DELETE overtakes would make the object again */
    for (uint32_t i = 0; i < inst->strays_n; i++) {
        if (inst->strays[i].token)
            return;
        if (is_candidate(&inst->strays[i]) && position(inst, &inst->strays[i]) > highest)
            highest = position(inst, &inst->strays[i]);
    }
    for (uint32_t i = 0; i < inst->strays_n; i++) {
        struct inst_stray *stray = &inst->strays[i];

        if (is_candidate(stray) && position(inst, stray) == highest &&
            inst__due(s, &stray->retry)) {
            inst__delete(s, stray);
            inst->pruned = true;
        }
    }
}

/* --- the step --------------------------------------------------------------------------------- */

/* Lists that are still running: what is not seen yet may exist. An error is not waited for. */
static bool waits_for_lists(const struct graph_inst *inst)
{
    for (uint32_t i = 0; i < inst->nodes_n; i++) {
        if (!inst__is_external(inst, i) && !inst->nodes[i].known &&
            !inst__told(&inst->nodes[i], TEXT_UNKNOWN))
            return true;
    }
    return false;
}

static void make_slots(struct inst_step *s)
{
    struct graph_inst *inst = s->inst;

    s->slots_n = inst->rev->impl->slots_all_n > inst->nodes_n ? inst->rev->impl->slots_all_n
                                                              : inst->nodes_n + 1;
    s->slots = kr_new_n(s->a, kr_val, s->slots_n);
    for (uint32_t i = 0; i < inst->nodes_n; i++)
        inst__set_slot(s, i);
    s->slots[inst->nodes_n] =
        kr_with_key(s->a, kr_rec_root(inst->parent), KR_S("status"), KR_V_NONE);
}

static void wake_retries(struct inst_step *s)
{
    const struct graph_inst *inst = s->inst;

    for (uint32_t i = 0; i < inst->nodes_n; i++) {
        const struct inst_node *node = &inst->nodes[i];

        if (node->hold == HOLD_NONE || node->hold == HOLD_INPUT)
            continue;
        for (uint32_t k = 0; k < node->items_n; k++) {
            if (node->items[k].hold == HOLD_RETRY)
                inst__wake(s, node->items[k].retry.at_ms);
        }
    }
}

static void step_gone(struct inst_step *s)
{
    struct graph_action *action;

    if (!s->inst->existed)
        return;
    s->inst->existed = false;
    action = graph_plan_add(s->plan, GRAPH_A_GONE);
    action->ref = s->inst->ref;
    action->gvk = s->inst->gvk;
}

static void step_live(struct inst_step *s)
{
    struct graph_inst *inst = s->inst;

    make_slots(s);
    if (inst__suspended(inst)) {
        inst__roll_stop(inst);
        inst__manage(s);
        inst__status_suspended(s);
        return;
    }
    inst__roll_begin(s);
    converge(s);
    inst__fights_step(s);
    inst__roll_step(s);
    prune(s);
    if (inst->pruned && !inst->manage_dirty && inst__prune_done(s)) {
        inst->manage_dirty = true;
        inst__manage(s);
    }
    wake_retries(s);
    inst__status(s);
}

void graph_inst_step(struct graph_inst *inst, const struct graph_env *env, struct graph_plan *plan)
{
    struct inst_step s = {.inst = inst, .env = env, .plan = plan, .a = plan->a};

    inst->counts.steps++;
    if (!inst->parent || inst->parent->terminating || !inst->rev)
        inst__roll_stop(inst);
    if (!inst->parent)
        step_gone(&s);
    else if (inst->parent->terminating)
        inst__step_delete(&s);
    else if (!inst->rev)
        inst__status_unresolved(&s);
    else if (!waits_for_lists(inst))
        step_live(&s);
    plan->cost = s.steps;
}

/* Writes on the parent that can be given now: not while one is in flight or waits for its timer. */
static bool manage_due(const struct graph_inst *inst)
{
    return inst->manage_dirty && !inst->labeller.token && !inst->applyset.token &&
           !inst->labeller.error && !inst->applyset.error;
}

bool graph_inst_dirty(const struct graph_inst *inst)
{
    if (!inst->parent)
        return inst->existed;
    if (inst->parent->terminating)
        return inst->status_dirty || inst->manage_dirty;
    if (!inst->rev)
        return inst->status_dirty && inst->problem;
    if (waits_for_lists(inst))
        return false;
    if (manage_due(inst) || inst->status_dirty || inst->roll.look)
        return true;
    return !inst__suspended(inst) && (inst->unwatch_n || kr_bits_any(&inst->dirty));
}

/* The first error of its items, or NULL. */
static const char *item_error(const struct inst_node *node)
{
    for (uint32_t k = 0; k < node->items_n; k++) {
        if (node->items[k].error)
            return node->items[k].error;
    }
    return NULL;
}

kr_str graph_inst_waits(const struct graph_inst *inst, struct kr_arena *a)
{
    KR_AUTO(kr_buf) b = KR_BUF(64 * 1024);

    for (uint32_t i = 0; i < inst->nodes_n; i++) {
        const struct inst_node *node = &inst->nodes[i];
        const char *error = item_error(node);
        bool waits = node->state == INST_PENDING || node->state == INST_FAILED ||
                     inst__told(node, TEXT_UNKNOWN) ||
                     (node->state == INST_RESOLVED && (node->ready != INST_READY || error));

        if (!waits)
            continue;
        if (b.n)
            kr_buf_fmt(&b, "; ");
        kr_buf_str(&b, inst->rev->nodes[i].id);
        if (inst__told(node, TEXT_WHY) || error || inst__told(node, TEXT_UNKNOWN))
            kr_buf_fmt(&b, ": %s",
                       inst__told(node, TEXT_WHY) ? inst__told(node, TEXT_WHY)
                       : error                    ? error
                                                  : inst__told(node, TEXT_UNKNOWN));
        else
            kr_buf_fmt(&b, ": " KR_FMT, KR_ARG(inst__why_not_ready(inst, a, i)));
    }
    if (inst->author.error)
        kr_buf_fmt(&b, "%sconditions: %s", b.n ? "; " : "", inst->author.error);
    return kr_strdup(a, kr_buf_view(&b));
}
