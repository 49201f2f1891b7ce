/* SPDX-License-Identifier: Apache-2.0 */
/* inst.c - one instance: its life, its revision, and what may be asked about its nodes.
 *
 * What comes to it from outside is in inst_events.c (objects) and inst_results.c (answers to its own
 * requests); what it holds of each object in inst_items.c. What is here begins and ends those, and
 * carries what is known over to the nodes of a new revision.
 */
#include "graph/inst.h"

#include "cel/base/banned.h"

/* --- small things ----------------------------------------------------------------------------- */

kr_str inst__str(const char *text)
{
    return kr_str_c(text);
}

bool inst__text(char **text, kr_str s)
{
    if (kr_str_eq(inst__str(*text), s))
        return false;
    kr_free(*text);
    *text = s.n ? kr_cstrdup(s) : NULL;
    return true;
}

bool inst__tell(struct inst_node *node, enum inst_text which, kr_str s)
{
    bool any = false;

    if (!node->texts && s.n == 0)
        return false;
    if (!node->texts)
        node->texts = kr_alloc(sizeof(node->texts[0]) * TEXTS_N);
    if (!inst__text(&node->texts[which], s))
        return false;
    for (int i = 0; i < TEXTS_N; i++)
        any |= node->texts[i] != NULL;
    if (any)
        return true;
    kr_free(node->texts);
    node->texts = NULL;
    return true;
}

uint64_t inst__str_digest(kr_str s)
{
    return kr_digest(kr_string(s));
}

uint64_t inst__ref_digest(kr_ref ref)
{
    const kr_val part[] = {kr_string(ref.gvr.group), kr_string(ref.gvr.resource),
                           kr_string(ref.namespace), kr_string(ref.name)};

    return kr_digest(kr_list(part, KR_N(part)));
}

uint64_t inst__token(struct graph_inst *inst)
{
    return ++inst->seq;
}

void inst__retry_fail(struct inst_retry *r, bool slow, uint64_t now_ms)
{
    uint64_t delay = slow ? GRAPH_RETRY_SLOW_MS : GRAPH_RETRY_MIN_MS;

    for (uint32_t i = 0; i < r->tries && delay < GRAPH_RETRY_MAX_MS; i++)
        delay *= 2;
    if (delay > GRAPH_RETRY_MAX_MS)
        delay = GRAPH_RETRY_MAX_MS;
    if (r->tries < UINT8_MAX)
        r->tries++;
    r->at_ms = now_ms + delay;
}

void inst__dirty(struct graph_inst *inst, uint32_t task)
{
    if (task < inst->dirty.n)
        kr_bits_set(&inst->dirty, task);
}

void inst__dirty_all(struct graph_inst *inst)
{
    if (inst->dirty.n)
        kr_bits_fill(&inst->dirty);
    inst->manage_dirty = inst->status_dirty = true;
}

bool inst__is_external(const struct graph_inst *inst, uint32_t rank)
{
    enum graph_node_kind kind = inst__node(inst, rank)->kind;

    return kind == GRAPH_EXTERNAL || kind == GRAPH_EXTERNAL_COLLECTION;
}

bool inst__visible(const struct graph_inst *inst, uint32_t rank)
{
    const struct inst_node *node = &inst->nodes[rank];

    if (node->state != INST_RESOLVED)
        return false;
    switch (inst__node(inst, rank)->kind) {
    case GRAPH_COLLECTION:
        return true; /* also an empty one */
    case GRAPH_EXTERNAL_COLLECTION:
        return node->answered;
    default:
        return node->items[0].seen != NULL;
    }
}

static kr_val list_of(const struct inst_node *node, bool external, struct kr_arena *a)
{
    struct kr_listb list = KR_LISTB(a);

    for (uint32_t i = 0; external && i < node->found.n; i++)
        kr_listb_add(&list, kr_rec_root(node->found.recs[i]));
    for (uint32_t k = 0; k < node->items_n; k++) {
        if (node->items[k].seen)
            kr_listb_add(&list, kr_rec_root(node->items[k].seen));
    }
    return kr_listb_done(&list);
}

kr_val inst__value(const struct graph_inst *inst, uint32_t rank, struct kr_arena *a)
{
    const struct inst_node *node = &inst->nodes[rank];
    enum graph_node_kind kind = inst__node(inst, rank)->kind;

    if (!inst__visible(inst, rank))
        return KR_V_NONE;
    if (kind == GRAPH_COLLECTION || kind == GRAPH_EXTERNAL_COLLECTION)
        return list_of(node, kind == GRAPH_EXTERNAL_COLLECTION, a);
    return kr_rec_root(node->items[0].seen);
}

bool inst__unanswered(const struct graph_inst *inst, uint32_t rank)
{
    const struct inst_node *node = &inst->nodes[rank];

    return inst__told(node, TEXT_WATCHED) && !node->answered && !inst__told(node, TEXT_UNKNOWN) &&
           node->state == INST_RESOLVED;
}

bool inst__in_flight(const struct graph_inst *inst)
{
    if (inst->limbo_n)
        return true;
    for (uint32_t i = 0; i < inst->nodes_n; i++) {
        for (uint32_t k = 0; k < inst->nodes[i].items_n; k++) {
            if (inst->nodes[i].items[k].token)
                return true;
        }
    }
    return false;
}

/* --- nodes ------------------------------------------------------------------------------------ */

static void node_init(struct inst_node *node, enum graph_node_kind kind)
{
    node->cause_rank = UINT32_MAX;
    if (kind == GRAPH_COLLECTION || kind == GRAPH_EXTERNAL_COLLECTION)
        return;
    node->items = &node->one;
    node->items_n = 1;
}

static void node_fini(struct inst_node *node, enum graph_node_kind kind)
{
    for (uint32_t i = 0; i < node->items_n; i++)
        inst__item_fini(&node->items[i]);
    if (kind == GRAPH_COLLECTION)
        kr_free(node->items);
    if (kind == GRAPH_EXTERNAL_COLLECTION)
        inst__found_clear(&node->found);
    for (int i = 0; i < TEXTS_N; i++)
        inst__tell(node, (enum inst_text)i, KR_S(""));
}

/* --- life ------------------------------------------------------------------------------------- */

static kr_str put(char **at, kr_str s)
{
    kr_str copy = {*at, s.n};

    if (s.n)
        memcpy(*at, s.s, s.n);
    *at += s.n;
    return copy;
}

struct graph_inst *graph_inst_new(kr_ref ref, kr_gvk gvk)
{
    struct graph_inst *inst = KR_ALLOC(struct graph_inst);
    KR_AUTO(kr_arena) a = {0};
    kr_str part_of = graph_applyset_id(&a, ref.name, ref.namespace, gvk.kind, gvk.group);
    char *at = kr_alloc(ref.gvr.group.n + ref.gvr.version.n + ref.gvr.resource.n + ref.namespace.n +
                        ref.name.n + gvk.kind.n + part_of.n + 1);

    inst->strings = at;
    inst->gvk.group = inst->ref.gvr.group = put(&at, ref.gvr.group);
    inst->gvk.version = inst->ref.gvr.version = put(&at, ref.gvr.version);
    inst->ref.gvr.resource = put(&at, ref.gvr.resource);
    inst->ref.namespace = put(&at, ref.namespace);
    inst->ref.name = put(&at, ref.name);
    inst->gvk.kind = put(&at, gvk.kind);
    inst->part_of = put(&at, part_of);
    inst->wave = -1;
    inst->phase = INST_IN_PROGRESS;
    return inst;
}

static void unwatch_clear(struct graph_inst *inst)
{
    for (uint32_t i = 0; i < inst->unwatch_n; i++) {
        kr_free(inst->unwatch[i].watched);
        graph_rev_drop(inst->unwatch[i].rev);
    }
    kr_free(inst->unwatch);
    inst->unwatch = NULL;
    inst->unwatch_n = 0;
}

static void write_fini(struct inst_write *w)
{
    kr_free(w->error);
    *w = (struct inst_write){0};
}

void inst__forget_writes(struct graph_inst *inst)
{
    inst__text(&inst->author.error, KR_S(""));
    inst->author = (struct inst_author){.dirty = true};
    write_fini(&inst->labeller);
    write_fini(&inst->applyset);
    write_fini(&inst->status);
    write_fini(&inst->finalizer);
    inst__text(&inst->managed_error, KR_S(""));
    inst__text(&inst->projection_error, KR_S(""));
    inst->own_version = inst->apply_version = 0;
    inst->diff_since_ms = inst->flight_since_ms = inst->status_last_ms = 0;
    inst->wave_since_ms = inst->unsure_until_ms = 0;
    inst->wave = -1;
    inst->status_owed = inst->shrinking = false;
    inst->status_due_ms = 0;
    inst->pruned = inst->unsettled_own = inst->wave_told = inst->conflicted = false;
    inst->status_value = inst->status_wire = 0;
}

void graph_inst_free(struct graph_inst *inst)
{
    if (!inst)
        return;
    for (uint32_t i = 0; i < inst->nodes_n; i++)
        node_fini(&inst->nodes[i], inst__node(inst, i)->kind);
    kr_free(inst->nodes);
    kr_free(inst->limbo);
    inst__fights_clear(inst);
    while (inst->strays_n)
        inst__stray_del(inst, inst->strays_n - 1);
    kr_free(inst->strays);
    unwatch_clear(inst);
    inst__forget_writes(inst);
    kr_free(inst->types_why);
    kr_free(inst->problem);
    kr_free(inst->strings);
    kr_rec_drop(inst->parent);
    graph_rev_drop(inst->rev);
    kr_free(inst);
}

kr_str graph_inst_part_of(const struct graph_inst *inst)
{
    return inst->part_of;
}

kr_ref graph_inst_ref(const struct graph_inst *inst)
{
    return inst->ref;
}

kr_str graph_inst_uid(const struct graph_inst *inst)
{
    return inst->parent ? kr_rec_uid(inst->parent) : KR_S("");
}

const char *graph_inst_state(const struct graph_inst *inst)
{
    static const char *const names[] = {"IN_PROGRESS", "ACTIVE", "ERROR", "DELETING"};

    return names[inst->phase];
}

const struct graph_counts *graph_inst_counts(const struct graph_inst *inst)
{
    return &inst->counts;
}

size_t graph_inst_bytes(const struct graph_inst *inst)
{
    size_t n = sizeof(*inst) + inst->ref.gvr.group.n + inst->ref.gvr.version.n +
               inst->ref.gvr.resource.n + inst->ref.namespace.n + inst->ref.name.n +
               inst->gvk.kind.n + inst->part_of.n;

    n += sizeof(inst->strays[0]) * inst->strays_cap + sizeof(inst->limbo[0]) * inst->limbo_n;
    n += sizeof(inst->fights[0]) * inst->fights_n;
    n += sizeof(inst->nodes[0]) * inst->nodes_n + sizeof(uint64_t) * kr_bits_words_n(inst->dirty.n);
    for (uint32_t i = 0; i < inst->nodes_n; i++) {
        const struct inst_node *node = &inst->nodes[i];

        for (int k = 0; k < TEXTS_N; k++)
            n += inst__str(inst__told(node, (enum inst_text)k)).n;
        n += node->texts ? sizeof(node->texts[0]) * TEXTS_N : 0;
        if (inst__node(inst, i)->kind == GRAPH_COLLECTION)
            n += (sizeof(node->items[0]) + sizeof(node->keys[0])) * node->items_n;
        if (inst__node(inst, i)->kind == GRAPH_EXTERNAL_COLLECTION)
            n += sizeof(node->found.recs[0]) * node->found.cap;
        for (uint32_t k = 0; k < node->items_n; k++)
            n += inst__str(node->items[k].error).n + inst__str(node->items[k].namespace).n;
    }
    return n;
}

/* --- revision --------------------------------------------------------------------------------- */

static void unwatch_add(struct graph_inst *inst, uint32_t rank)
{
    struct inst_node *node = &inst->nodes[rank];
    struct inst_unwatch *u;

    inst->unwatch = kr_realloc(inst->unwatch, sizeof(*u) * (inst->unwatch_n + 1));
    u = &inst->unwatch[inst->unwatch_n++];
    *u = (struct inst_unwatch){.rank = rank,
                               .rev = graph_rev_hold(inst->rev),
                               .watched = kr_cstrdup(inst__str(inst__told(node, TEXT_WATCHED)))};
    inst__tell(node, TEXT_WATCHED, KR_S(""));
    node->answered = false;
}

/* Moves what is known of a node into its place in the new revision, if it still is the same one. */
static bool node_carry(struct graph_inst *inst, uint32_t from, const struct graph_rev *rev,
                       struct inst_node *to)
{
    const struct graph_node *old = inst__node(inst, from);
    int32_t rank = graph_rev_rank(rev, old->id);

    if (rank < 0 || rev->nodes[rank].kind != old->kind ||
        !kr_gvr_eq(rev->nodes[rank].gvr, old->gvr))
        return false;
    if (inst__told(&inst->nodes[from], TEXT_WATCHED) && (uint32_t)rank != from)
        unwatch_add(inst, from);
    to += rank;
    *to = inst->nodes[from];
    if (inst->nodes[from].items == &inst->nodes[from].one)
        to->items = &to->one;
    if (old->kind == GRAPH_COLLECTION && to->items_n) /* the template may be another */
        memset(to->keys, 0, sizeof(to->keys[0]) * to->items_n);
    to->state = INST_NEW;
    to->hold = HOLD_NONE;
    to->known = to->answered = false; /* the records were made of what the old revision reads */
    to->duplicate = to->by_dep = to->evaluated = false;
    inst__tell(to, TEXT_WHY, KR_S(""));
    to->cause_rank = UINT32_MAX;
    return true;
}

static void set_nodes(struct graph_inst *inst, struct graph_rev *rev)
{
    uint32_t n = rev ? rev->nodes_n : 0, tasks = rev ? GRAPH_TASKS_N(n) : 0;
    size_t nodes_bytes = sizeof(struct inst_node) * n;
    struct inst_node *nodes = kr_alloc(nodes_bytes + sizeof(uint64_t) * kr_bits_words_n(tasks) + 1);

    for (uint32_t i = 0; i < n; i++)
        node_init(&nodes[i], rev->nodes[i].kind);
    for (uint32_t i = 0; i < inst->nodes_n; i++) {
        if (rev && node_carry(inst, i, rev, nodes))
            continue;
        if (inst__told(&inst->nodes[i], TEXT_WATCHED))
            unwatch_add(inst, i);
        for (uint32_t k = 0; k < inst->nodes[i].items_n; k++)
            inst__item_drop(inst, i, &inst->nodes[i].items[k]);
        node_fini(&inst->nodes[i], inst__node(inst, i)->kind);
    }
    kr_free(inst->nodes);
    inst->nodes = nodes;
    inst->nodes_n = n;
    inst->dirty = (struct kr_bits){.n = tasks};
    if (tasks > 64)
        inst->dirty.words = (uint64_t *)(void *)((char *)nodes + nodes_bytes);
}

void graph_inst_revision(struct graph_inst *inst, struct graph_rev *rev, kr_str problem)
{
    inst->status_dirty |= inst__text(&inst->problem, problem);
    if (rev == inst->rev)
        return;
    set_nodes(inst, rev);
    graph_rev_drop(inst->rev);
    inst->rev = rev ? graph_rev_hold(rev) : NULL;
    inst__fights_clear(inst);
    inst__root_new(inst);
    inst->edited = false;
    inst__dirty_all(inst);
}
