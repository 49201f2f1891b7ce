/* SPDX-License-Identifier: Apache-2.0 */
/* sweep.c - takes the dirty tasks, lowest first, and stops where nothing changed.
 *
 *   template task of r   upstream skipped? includeWhen? inputs ready? -> template -> reference,
 *                        value in sync -> nothing; else an intent, which step.c sends or holds;
 *                        of a collection the same for each item (collection.c)
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
    return inst__is_external(s->inst, rank);
}

static bool is_many(const struct inst_step *s, uint32_t rank)
{
    enum graph_node_kind kind = node_of(s, rank)->kind;

    return kind == GRAPH_COLLECTION || kind == GRAPH_EXTERNAL_COLLECTION;
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

/* The nodes before this one whose object may still change, by something under way at them or
 * upstream. Returns whether this one reads such a node. */
static bool unsettled_inputs(const struct inst_step *s, uint32_t rank, struct kr_bits *unsettled)
{
    kr_bits_init(unsettled, s->a, rank + 1);
    for (uint32_t i = 0; i <= rank; i++) {
        const struct graph_node_spec *spec = node_of(s, i)->spec;
        bool inputs = false;

        for (uint32_t d = 0; d < spec->deps_n && !inputs; d++)
            inputs = kr_bits_has(unsettled, spec->deps[d]);
        if (i == rank)
            return inputs;
        if (inputs || is_under_way(s, i))
            kr_bits_set(unsettled, i);
    }
    return false;
}

static bool inputs_unsettled(const struct inst_step *s, uint32_t rank)
{
    struct kr_bits unsettled;

    return unsettled_inputs(s, rank, &unsettled);
}

/* May a node that was not evaluated yet wish for this object? The label that says so can be wrong. */
static bool may_be_claimed(const struct inst_step *s, const struct kr_rec *rec)
{
    int32_t rank = graph_rev_rank_of_label(s->inst->rev, kr_rec_node_id(rec));

    if (rank >= 0)
        return !s->inst->nodes[rank].evaluated;
    for (uint32_t i = 0; i < s->inst->nodes_n; i++) {
        if (!s->inst->nodes[i].evaluated && !is_external(s, i) &&
            kr_gvr_eq(node_of(s, i)->gvr, kr_rec_gvr(rec)))
            return true;
    }
    return false;
}

static bool unclaimed_terminating(const struct inst_step *s)
{
    const struct graph_inst *inst = s->inst;

    for (uint32_t i = 0; i < inst->strays_n; i++) {
        const struct kr_rec *rec = inst->strays[i].rec;

        if (rec->terminating && may_be_claimed(s, rec))
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
    return (item->error || !item->seen) && item->desired == item->sent &&
           item->retry.at_ms > s->env->now_ms;
}

enum inst_hold inst__hold_node(struct inst_step *s, uint32_t rank)
{
    if (inputs_unsettled(s, rank))
        return HOLD_INPUT;
    if (is_external(s, rank))
        return HOLD_NONE;
    if (!s->inst->nodes[rank].known)
        return HOLD_TYPE;
    return any_terminating(s) ? HOLD_TERMINATING : HOLD_NONE;
}

enum inst_hold inst__hold_item(struct inst_step *s, uint32_t rank, const struct inst_item *item,
                               enum inst_hold node)
{
    if (item->token)
        return HOLD_FLIGHT;
    if (node != HOLD_NONE)
        return node;
    if (!inst__covers(s, rank, item))
        return HOLD_PARENT;
    if (waits_for_retry(s, item))
        return HOLD_RETRY;
    if (inst__fight_holds(s, item))
        return HOLD_FIGHT;
    return inst__roll_holds(s, rank, item) ? HOLD_ROLL : HOLD_NONE;
}

void inst__hold_sum(struct inst_node *node)
{
    node->hold = HOLD_NONE;
    for (uint32_t k = 0; k < node->items_n; k++) {
        uint8_t hold = node->items[k].hold;

        if (hold != HOLD_NONE && (node->hold == HOLD_NONE || hold == HOLD_PARENT))
            node->hold = hold;
    }
}

/* --- state of a node -------------------------------------------------------------------------- */

void inst__set_slot(struct inst_step *s, uint32_t rank)
{
    s->slots[rank] = inst__value(s->inst, rank, s->a);
}

static void unwatch(struct inst_step *s, uint32_t rank, const char *watched,
                    const struct graph_node *node)
{
    struct graph_action *action = graph_plan_add(s->plan, GRAPH_A_UNWATCH);
    kr_str name = kr_strdup(s->a, kr_str_c(watched));

    action->node = rank;
    action->gvk = kr_gvk_copy(s->a, node->gvk); /* the revision may go before the plan */
    action->ref.gvr = kr_gvr_copy(s->a, node->gvr);
    action->ref.namespace = kr_str_cut(&name, '/');
    if (node->kind == GRAPH_EXTERNAL_COLLECTION)
        action->selector = name;
    else
        action->ref.name = name;
}

static void drop_external(struct inst_step *s, uint32_t rank)
{
    struct inst_node *node = &s->inst->nodes[rank];

    if (!inst__told(node, TEXT_WATCHED))
        return;
    unwatch(s, rank, inst__told(node, TEXT_WATCHED), node_of(s, rank));
    inst__tell(node, TEXT_WATCHED, KR_S(""));
    node->answered = false;
    if (node_of(s, rank)->kind == GRAPH_EXTERNAL_COLLECTION)
        inst__found_clear(&node->found);
    else
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
    inst->status_dirty |= inst__tell(node, TEXT_WHY, text);
    node->state = state;
    inst__set_slot(s, rank);
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
    inst__collection_clear(s->inst, rank);
    for (uint32_t k = 0; k < node->items_n; k++)
        inst__item_release(s->inst, rank, &node->items[k]);
    set_state(s, rank, INST_SKIPPED, KR_S(""), was_visible);
}

kr_str inst__why_not_ready(const struct graph_inst *inst, struct kr_arena *a, uint32_t rank)
{
    if (inst__told(&inst->nodes[rank], TEXT_READY))
        return inst__str(inst__told(&inst->nodes[rank], TEXT_READY));
    /* Same words as kro: pkg/runtime/node.go, node_readiness.go. */
    return kr_fmt(a, "node \"" KR_FMT "\": %s", KR_ARG(inst->rev->nodes[rank].id),
                  inst->rev->nodes[rank].kind == GRAPH_COLLECTION
                      ? "collection not computed (waiting for readiness)"
                      : "no observed state: waiting for readiness");
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

/* Is the node wanted and are its inputs there? */
static int admit(struct inst_step *s, uint32_t rank, struct kr_err *err)
{
    const struct graph_node *node = node_of(s, rank);
    struct inst_node *state = &s->inst->nodes[rank];
    int rc;

    if (upstream_skipped(s, rank))
        return EVAL_SKIPPED;
    rc = inst__eval_include(s, rank, NULL, err);
    if (rc == INST_EVAL_FALSE)
        return EVAL_SKIPPED;
    if (rc == INST_EVAL_PENDING || rc < 0)
        kr_wrap(err, "node \"" KR_FMT "\"", KR_ARG(node->id));
    else if (rc == 0)
        rc = inputs_ready(s, rank, err);
    state->by_dep = rc == INST_EVAL_WAITS;
    return state->by_dep ? INST_EVAL_PENDING : rc;
}

static int evaluate(struct inst_step *s, uint32_t rank, kr_val *desired, struct kr_err *err)
{
    int rc = inst__eval_template(s, rank, desired, err);

    if (rc != 0)
        kr_wrap(err, "node \"" KR_FMT "\"", KR_ARG(node_of(s, rank)->id));
    if (rc == INST_EVAL_PENDING) {
        kr_str text = kr_strdup(s->a, kr_err_str(err));

        kr_fail(err, KR_E_EVAL, KR_FMT " (data pending)", KR_ARG(text));
    }
    return rc;
}

/* --- the object wished for -------------------------------------------------------------------- */

/* The node with this reference, other than `rank`, and which of its items; or UINT32_MAX. */
static uint32_t other_claim(const struct inst_step *s, uint32_t rank, uint64_t ref, uint32_t *item)
{
    for (uint32_t i = 0; i < s->inst->nodes_n; i++) {
        const struct inst_node *node = &s->inst->nodes[i];

        if (i == rank || is_external(s, i))
            continue;
        for (uint32_t k = 0; k < node->items_n; k++) {
            *item = k;
            if (node->items[k].ref == ref)
                return i;
        }
    }
    return UINT32_MAX;
}

kr_str inst__item_id(struct inst_step *s, uint32_t rank, uint32_t item)
{
    const struct graph_node *node = node_of(s, rank);

    if (node->kind != GRAPH_COLLECTION)
        return node->id;
    return kr_fmt(s->a, KR_FMT "-%u", KR_ARG(node->id), item);
}

/* Takes the live object out of the strays, with the delete that may be under way, and the apply that
 * is still in flight for an item that is no more. */
static void adopt(struct inst_step *s, struct inst_item *item, kr_ref ref)
{
    struct graph_inst *inst = s->inst;

    for (uint32_t i = 0; i < inst->limbo_n; i++) {
        if (inst->limbo[i].ref != item->ref || item->token)
            continue;
        item->token = inst->limbo[i].token;
        item->sent = inst->limbo[i].sent;
        inst->limbo[i] = inst->limbo[--inst->limbo_n];
        break;
    }
    for (uint32_t i = 0; i < inst->strays_n; i++) {
        struct inst_stray *stray = &inst->strays[i];

        if (stray->ref != item->ref || !kr_str_eq(kr_rec_name(stray->rec), ref.name))
            continue;
        item->seen = kr_rec_hold(stray->rec);
        item->deleting = stray->token || (stray->sent && !stray->rec->terminating);
        if (stray->token)
            item->token = stray->token;
        inst__stray_del(inst, i);
        return;
    }
}

int inst__claim_check(struct inst_step *s, uint32_t rank, uint32_t item, uint64_t ref,
                      struct kr_err *err)
{
    struct graph_inst *inst = s->inst;
    uint32_t k, other = other_claim(s, rank, ref, &k);

    if (other == UINT32_MAX)
        return 0;
    if (other < rank) { /* Same words as kro: pkg/controller/instance/applyset. */
        inst->nodes[rank].duplicate = true;
        return kr_fail(err, KR_E_INPUT,
                       "found resources with conflicts: resourceID: " KR_FMT
                       " conflicts with resourceID: " KR_FMT,
                       KR_ARG(inst__item_id(s, rank, item)), KR_ARG(inst__item_id(s, other, k)));
    }
    inst__item_release(inst, other, &inst->nodes[other].items[k]);
    inst__dirty(inst, GRAPH_TASK(other));
    inst__set_slot(s, other);
    inst__appeared(inst, other);
    return 0;
}

void inst__claim(struct inst_step *s, uint32_t rank, struct inst_item *item, kr_ref ref)
{
    struct graph_inst *inst = s->inst;
    uint64_t digest = inst__ref_digest(ref);
    bool elsewhere = !kr_str_eq(ref.namespace, inst->ref.namespace) && ref.namespace.n;

    if (item->ref != digest) {
        inst__item_release(inst, rank, item);
        item->ref = digest;
        adopt(s, item, ref);
    }
    inst->manage_dirty |= inst__text(&item->namespace, elsewhere ? ref.namespace : KR_S(""));
}

static void intent_add(struct inst_step *s, uint32_t rank, uint32_t item, kr_val desired,
                       kr_ref ref)
{
    if (s->intents_n == s->intents_cap) {
        uint32_t cap = s->intents_cap ? 2 * s->intents_cap : 8;
        struct inst_intent *grown = kr_new_n(s->a, struct inst_intent, cap);

        if (s->intents_n)
            memcpy(grown, s->intents, sizeof(*grown) * s->intents_n);
        s->intents = grown;
        s->intents_cap = cap;
    }
    s->intents[s->intents_n++] =
        (struct inst_intent){.rank = rank, .item = item, .desired = desired, .ref = ref};
}

/* Compares the wish with what is there. Until step.c decides, a difference counts as under way. */
void inst__compare(struct inst_step *s, uint32_t rank, uint32_t at, kr_val desired, kr_ref ref,
                   enum inst_hold node_hold)
{
    struct inst_item *item = &s->inst->nodes[rank].items[at];
    kr_val decorated = inst__decorate(s, rank, at, desired);
    enum inst_hold reason;

    inst__fight_moved(s, item, kr_digest(decorated));
    inst__roll_moved(s, rank, item, kr_digest(decorated));
    item->hold = HOLD_NONE;
    item->desired = kr_digest(decorated);
    if (item->seen && inst__in_sync(s, rank, item, decorated)) {
        item->fought = false;
        s->inst->status_dirty |= inst__text(&item->error, KR_S(""));
        item->retry = (struct inst_retry){0};
        return;
    }
    if (item->token && !item->deleting && item->sent == item->desired)
        return; /* this very wish is on its way */
    intent_add(s, rank, at, decorated, ref);
    reason = inst__hold_item(s, rank, item, node_hold);
    item->hold = reason == HOLD_NONE || reason == HOLD_PARENT ? HOLD_FLIGHT : (uint8_t)reason;
}

static void resolve_resource(struct inst_step *s, uint32_t rank, kr_val desired)
{
    struct inst_node *node = &s->inst->nodes[rank];
    struct inst_item *item = &node->items[0];
    bool was_visible = inst__visible(s->inst, rank);
    uint64_t before = item->ref;
    struct kr_err err = KR_ERR_NONE;
    kr_ref ref;

    if (inst__place(s, rank, &desired, &ref, &err) < 0) {
        set_state(s, rank, INST_FAILED, kr_err_str(&err), was_visible);
        return;
    }
    if (inst__claim_check(s, rank, 0, inst__ref_digest(ref), &err) < 0) {
        inst__item_release(s->inst, rank, item);
        set_state(s, rank, INST_FAILED, kr_err_str(&err), was_visible);
        return;
    }
    inst__claim(s, rank, item, ref);
    set_state(s, rank, INST_RESOLVED, KR_S(""), was_visible);
    if (item->ref != before && was_visible && inst__visible(s->inst, rank))
        inst__appeared(s->inst, rank); /* another object than before */
    inst__compare(s, rank, 0, desired, ref, inst__hold_node(s, rank));
    inst__hold_sum(node);
}

static void resolve_collection(struct inst_step *s, uint32_t rank)
{
    bool was_visible = inst__visible(s->inst, rank), changed = false;
    struct kr_err err = KR_ERR_NONE;
    int rc = inst__expand(s, rank, &changed, &err);

    if (rc != 0) {
        set_state(s, rank, rc < 0 ? INST_FAILED : INST_PENDING, kr_err_str(&err), was_visible);
        return;
    }
    set_state(s, rank, INST_RESOLVED, KR_S(""), was_visible);
    if (changed && was_visible)
        inst__appeared(s->inst, rank);
    inst__hold_sum(&s->inst->nodes[rank]);
}

static void follow(struct inst_step *s, uint32_t rank, kr_ref ref)
{
    struct inst_node *node = &s->inst->nodes[rank];
    kr_str name = kr_fmt(s->a, KR_FMT "/" KR_FMT, KR_ARG(ref.namespace), KR_ARG(ref.name));
    struct graph_action *action;

    if (kr_str_eq(name, inst__str(inst__told(node, TEXT_WATCHED))))
        return;
    if (node->one.ref != inst__ref_digest(ref))
        drop_external(s, rank);
    node->one.ref = inst__ref_digest(ref);
    inst__tell(node, TEXT_WATCHED, name);
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

static void follow_selector(struct inst_step *s, uint32_t rank, kr_str namespace, kr_str selector)
{
    struct inst_node *node = &s->inst->nodes[rank];
    kr_str name = kr_fmt(s->a, KR_FMT "/" KR_FMT, KR_ARG(namespace), KR_ARG(selector));
    struct graph_action *action;

    if (kr_str_eq(name, inst__str(inst__told(node, TEXT_WATCHED))))
        return;
    drop_external(s, rank);
    inst__tell(node, TEXT_WATCHED, name);
    action = graph_plan_add(s->plan, GRAPH_A_WATCH);
    action->node = rank;
    action->gvk = node_of(s, rank)->gvk;
    action->ref.gvr = node_of(s, rank)->gvr;
    action->ref.namespace = namespace;
    action->selector = selector;
}

/* Same words as kro: pkg/controller/instance/resources_external.go. */
static void resolve_selector(struct inst_step *s, uint32_t rank, kr_val desired)
{
    const struct graph_node *node = node_of(s, rank);
    kr_str namespace = node->namespaced ? kr_at_str(desired, "metadata.namespace") : KR_S("");
    bool was_visible = inst__visible(s->inst, rank);
    struct kr_err err = KR_ERR_NONE;
    kr_str selector, only = s->env->only_namespace;
    int rc = inst__check_namespace(s, rank, namespace, &err);

    if (node->namespaced && namespace.n == 0 && only.n)
        rc = kr_fail(&err, KR_E_INPUT,
                     "node \"" KR_FMT "\" selects in all namespaces, which cannot be served with "
                     "--namespace " KR_FMT ": set metadata.namespace",
                     KR_ARG(node->id), KR_ARG(only));
    if (rc == 0)
        rc = graph__selector(s->a, node->id, kr_at(desired, "metadata.selector"), &selector, &err);
    if (rc < 0) {
        set_state(s, rank, INST_FAILED, kr_err_str(&err), was_visible);
        return;
    }
    follow_selector(s, rank, namespace, selector);
    set_state(s, rank, INST_RESOLVED, KR_S(""), was_visible);
}

/* --- tasks ------------------------------------------------------------------------------------ */

static void count_template(struct inst_step *s, uint32_t rank)
{
    const struct inst_node *node = &s->inst->nodes[rank];

    s->inst->counts.failed += node->state == INST_FAILED;
    s->inst->counts.skipped += node->state == INST_SKIPPED;
    if (node_of(s, rank)->kind == GRAPH_COLLECTION && node->state == INST_RESOLVED)
        s->inst->counts.items += node->items_n;
}

/* Is it excluded, whatever becomes of the inputs that may still change? */
static bool is_excluded(struct inst_step *s, uint32_t rank, const struct kr_bits *unsettled)
{
    struct kr_err err = KR_ERR_NONE;

    return upstream_skipped(s, rank) ||
           inst__eval_include(s, rank, unsettled, &err) == INST_EVAL_FALSE;
}

/* Its inputs may still change: it is evaluated when they have settled. */
static void hold_template(struct inst_step *s, uint32_t rank)
{
    struct inst_node *node = &s->inst->nodes[rank];

    node->hold = HOLD_INPUT;
    if (node->state == INST_SKIPPED)
        set_state(s, rank, INST_NEW, KR_S(""),
                  inst__visible(s->inst, rank)); /* the inventory has room for it now */
}

static void run_template(struct inst_step *s, uint32_t rank)
{
    struct inst_node *node = &s->inst->nodes[rank];
    bool was_visible = inst__visible(s->inst, rank);
    enum graph_node_kind kind = node_of(s, rank)->kind;
    struct kr_err err = KR_ERR_NONE;
    struct kr_bits unsettled;
    kr_val desired = KR_V_NONE;
    int rc;

    if (unsettled_inputs(s, rank, &unsettled) && !is_excluded(s, rank, &unsettled)) {
        hold_template(s, rank);
        return;
    }
    node->hold = HOLD_NONE;
    for (uint32_t k = 0; k < node->items_n; k++)
        node->items[k].hold = HOLD_NONE;
    node->duplicate = false;
    node->evaluated = true;
    rc = admit(s, rank, &err);
    if (rc == 0 && kind != GRAPH_COLLECTION)
        rc = evaluate(s, rank, &desired, &err);
    if (rc == EVAL_SKIPPED)
        set_skipped(s, rank);
    else if (rc == INST_EVAL_PENDING)
        set_state(s, rank, INST_PENDING, kr_err_str(&err), was_visible);
    else if (rc < 0)
        set_state(s, rank, INST_FAILED, kr_err_str(&err), was_visible);
    else if (kind == GRAPH_COLLECTION)
        resolve_collection(s, rank);
    else if (kind == GRAPH_EXTERNAL_COLLECTION)
        resolve_selector(s, rank, desired);
    else if (kind == GRAPH_EXTERNAL)
        resolve_external(s, rank, desired);
    else
        resolve_resource(s, rank, desired);
    count_template(s, rank);
}

static void run_ready(struct inst_step *s, uint32_t rank)
{
    struct graph_inst *inst = s->inst;
    struct inst_node *node = &inst->nodes[rank];
    struct kr_err err = KR_ERR_NONE;
    uint8_t ready = INST_WAITING;

    if (inst__visible(inst, rank) && is_many(s, rank)) {
        ready = inst__many_ready(s, rank, &err);
    } else if (inst__visible(inst, rank)) {
        int rc = inst__eval_ready(s, rank, kr_rec_root(node->items[0].seen), &err);

        ready = rc == 0 ? INST_READY : rc < 0 ? INST_BROKEN : INST_WAITING;
    }
    inst->counts.not_ready += ready != INST_READY;
    if (!inst__tell(node, TEXT_READY, ready == INST_READY ? KR_S("") : kr_err_str(&err)) &&
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
            s->inst->status_dirty = s->inst->author.dirty = true;
        else if (task % 2)
            run_ready(s, task / 2);
        else
            run_template(s, task / 2);
    }
}
