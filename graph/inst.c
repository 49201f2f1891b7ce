/* SPDX-License-Identifier: Apache-2.0 */
/* inst.c - one instance: its life, and the events that come to it.
 *
 * An event records what it brought and marks tasks dirty; it evaluates nothing. What is marked is
 * decided by values: a leaf counts as changed when its value in the new record differs from the old
 * one, so the echo of our own apply, whose response was seen before, marks nothing.
 *
 *   child event ----> item of a node (by reference), or stray
 *   leaf changed ---> the tasks that read it            object came or went -> readers_exist
 *   owned changed --> the node's template task, unless the pair is known to be in sync
 *   parent event ---> readers of `schema`, and the machine's own needs
 *
 * Versions of the instance that stem from our own status writes mark no reader of its
 * resourceVersion. When the watch is faster than the response, the marks are put off until the
 * response says whose version it was.
 */
#include "graph/inst.h"

#include "cel/base/banned.h"

#define NEED(...)                                                                                  \
    {                                                                                              \
        .n = sizeof((const kr_str[]){__VA_ARGS__}) / sizeof(kr_str), .names = (const kr_str[])     \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define LIT(literal)                                                                               \
    {                                                                                              \
        "" literal, sizeof(literal) - 1                                                            \
    }

/* Applies answered without a record before what is seen counts as the answer. */
enum { BLIND_MAX = 2 };

enum {
    NEED_VERSION,
    NEED_GENERATION,
    NEED_DELETION,
    NEED_STATUS,
    NEED_RECONCILE,
    NEED_ROLL_DEBOUNCE,
    NEED_ROLL_MAX,
    NEED_ROLL_PAUSE,
    NEED_META, /* from here on: what the parent's applies write, and the time of creation */
};

static const struct graph_read parent_needs[] = {
    [NEED_VERSION] = NEED(LIT("metadata"), LIT("resourceVersion")),
    [NEED_GENERATION] = NEED(LIT("metadata"), LIT("generation")),
    [NEED_DELETION] = NEED(LIT("metadata"), LIT("deletionTimestamp")),
    [NEED_STATUS] = NEED(LIT("status")),
    [NEED_RECONCILE] = NEED(LIT("metadata"), LIT("annotations"), LIT(GRAPH_ANNO_RECONCILE)),
    [NEED_ROLL_DEBOUNCE] = NEED(LIT("metadata"), LIT("annotations"), LIT(GRAPH_ANNO_ROLL_DEBOUNCE)),
    [NEED_ROLL_MAX] = NEED(LIT("metadata"), LIT("annotations"), LIT(GRAPH_ANNO_ROLL_MAX)),
    [NEED_ROLL_PAUSE] = NEED(LIT("metadata"), LIT("annotations"), LIT(GRAPH_ANNO_ROLL_PAUSE)),
    [NEED_META] = NEED(LIT("metadata"), LIT("creationTimestamp")),
    NEED(LIT("metadata"), LIT("finalizers")),
    NEED(LIT("metadata"), LIT("labels"), LIT(GRAPH_LABEL_OWNED)),
    NEED(LIT("metadata"), LIT("labels"), LIT(GRAPH_LABEL_VERSION)),
    NEED(LIT("metadata"), LIT("labels"), LIT(GRAPH_LABEL_RGD_ID)),
    NEED(LIT("metadata"), LIT("labels"), LIT(GRAPH_LABEL_RGD_NAME)),
    NEED(LIT("metadata"), LIT("labels"), LIT(GRAPH_LABEL_SET_ID)),
    NEED(LIT("metadata"), LIT("labels"), LIT(GRAPH_LABEL_BUCKET)),
    NEED(LIT("metadata"), LIT("annotations"), LIT(GRAPH_ANNO_TOOLING)),
    NEED(LIT("metadata"), LIT("annotations"), LIT(GRAPH_ANNO_KINDS)),
    NEED(LIT("metadata"), LIT("annotations"), LIT(GRAPH_ANNO_NAMESPACES)),
    NEED(LIT("metadata"), LIT("annotations"), LIT(GRAPH_ANNO_HASH)),
};

const struct graph_read *graph_parent_needs(uint32_t *n)
{
    *n = KR_N(parent_needs);
    return parent_needs;
}

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

/* Marks tasks; the templates among them remember why. */
static void dirty_readers(struct graph_inst *inst, const struct kr_bits *tasks, uint32_t rank,
                          uint32_t read)
{
    kr_bits_each (task, tasks) {
        inst__dirty(inst, task);
        if (task % 2 == 0 && task / 2 < inst->nodes_n) {
            inst->nodes[task / 2].cause_rank = rank;
            inst->nodes[task / 2].cause_read = read;
        }
    }
}

static const struct graph_node *node_of(const struct graph_inst *inst, uint32_t rank)
{
    return &inst->rev->nodes[rank];
}

bool inst__is_external(const struct graph_inst *inst, uint32_t rank)
{
    enum graph_node_kind kind = node_of(inst, rank)->kind;

    return kind == GRAPH_EXTERNAL || kind == GRAPH_EXTERNAL_COLLECTION;
}

bool inst__visible(const struct graph_inst *inst, uint32_t rank)
{
    const struct inst_node *node = &inst->nodes[rank];

    if (node->state != INST_RESOLVED)
        return false;
    switch (node_of(inst, rank)->kind) {
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
        kr_listb_add(&list, node->found.recs[i]->root);
    for (uint32_t k = 0; k < node->items_n; k++) {
        if (node->items[k].seen)
            kr_listb_add(&list, node->items[k].seen->root);
    }
    return kr_listb_done(&list);
}

kr_val inst__value(const struct graph_inst *inst, uint32_t rank, struct kr_arena *a)
{
    const struct inst_node *node = &inst->nodes[rank];
    enum graph_node_kind kind = node_of(inst, rank)->kind;

    if (!inst__visible(inst, rank))
        return KR_V_NONE;
    if (kind == GRAPH_COLLECTION || kind == GRAPH_EXTERNAL_COLLECTION)
        return list_of(node, kind == GRAPH_EXTERNAL_COLLECTION, a);
    return node->items[0].seen->root;
}

void inst__appeared(struct graph_inst *inst, uint32_t rank)
{
    dirty_readers(inst, &node_of(inst, rank)->spec->readers_exist, rank, UINT32_MAX);
    kr_bits_each (reader, &node_of(inst, rank)->spec->dependents) {
        inst__dirty(inst, GRAPH_TASK(reader));
    }
    inst__dirty(inst, GRAPH_TASK_READY(rank));
    inst->status_dirty = true;
}

bool inst__unanswered(const struct graph_inst *inst, uint32_t rank)
{
    const struct inst_node *node = &inst->nodes[rank];

    return node->watched && !node->answered && !node->unknown && node->state == INST_RESOLVED;
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

/* --- items and strays ------------------------------------------------------------------------- */

/* A copy of one of our objects that another controller made has its labels, but nothing in it was
 * applied by us. */
bool inst__stray_ours(const struct kr_rec *rec)
{
    return rec->node_id.n && (rec->owned || rec->order > 0);
}

static struct inst_stray *stray_find(struct graph_inst *inst, uint64_t ref)
{
    for (uint32_t i = 0; i < inst->strays_n; i++) {
        if (inst->strays[i].ref == ref)
            return &inst->strays[i];
    }
    return NULL;
}

/* The number of strays is that of the objects in the stores. */
struct inst_stray *inst__stray_add(struct graph_inst *inst, struct kr_rec *rec)
{
    uint64_t ref = inst__ref_digest(rec->ref);
    struct inst_stray *stray = stray_find(inst, ref);

    if (!stray) {
        if (inst->strays_n == inst->strays_cap) {
            inst->strays_cap = inst->strays_cap ? 2 * inst->strays_cap : 4;
            inst->strays = kr_realloc(inst->strays, sizeof(*stray) * inst->strays_cap);
        }
        stray = &inst->strays[inst->strays_n++];
        *stray = (struct inst_stray){.ref = ref};
    } else if (!kr_str_eq(stray->rec->uid, rec->uid)) { /* made anew */
        stray->sent = false;
        stray->retry = (struct inst_retry){0};
    }
    if (rec->terminating) /* what was asked for is under way, whoever asked */
        inst__text(&stray->error, KR_S(""));
    kr_rec_hold(rec);
    kr_rec_drop(stray->rec);
    stray->rec = rec;
    return stray;
}

void inst__stray_del(struct graph_inst *inst, uint32_t at)
{
    struct inst_stray *stray = &inst->strays[at];

    kr_rec_drop(stray->rec);
    kr_free(stray->error);
    memmove(stray, stray + 1, sizeof(*stray) * (inst->strays_n - at - 1));
    inst->strays_n--;
    if (inst->strays_n > 0)
        return;
    kr_free(inst->strays); /* each child of a start is one, until its node claims it */
    inst->strays = NULL;
    inst->strays_cap = 0;
}

/* The item wishes for nothing any more; its object becomes a stray. */
void inst__item_release(struct graph_inst *inst, uint32_t rank, struct inst_item *item)
{
    struct kr_rec *rec = item->seen;

    if (item->ref) {
        for (uint32_t i = 0; i < inst->nodes_n; i++) {
            if (inst->nodes[i].duplicate)
                inst__dirty(inst, GRAPH_TASK(i));
        }
    }
    item->seen = NULL;
    item->ref = item->desired = 0;
    item->gone_u = 0;
    item->retry = (struct inst_retry){0};
    inst->status_dirty |= inst__text(&item->error, KR_S(""));
    inst->manage_dirty |= inst__text(&item->namespace, KR_S(""));
    item->retrying = item->fought = false;
    item->root = 0;
    if (rec && !(inst->rev && rank < inst->nodes_n && inst__is_external(inst, rank))) {
        struct inst_stray *stray = inst__stray_add(inst, rec);

        if (item->deleting) {
            stray->token = item->token;
            stray->sent = item->token == 0;
            item->token = 0;
        }
    }
    item->deleting = false;
    kr_rec_drop(rec);
}

void inst__item_ok(struct inst_item *item, const struct kr_rec *rec, uint64_t desired)
{
    const struct kr_fieldset *set = rec->owned ? kr_fieldset_hold(rec->owned) : NULL;

    kr_fieldset_drop(item->ok_set);
    item->ok_set = set;
    item->ok_owned = rec->owned_digest;
    item->ok_desired = desired;
}

void inst__item_fini(struct inst_item *item)
{
    kr_rec_drop(item->seen);
    kr_fieldset_drop(item->ok_set);
    kr_free(item->error);
    kr_free(item->namespace);
    *item = (struct inst_item){0};
}

/* Its answer is waited for all the same: what it made is a member. */
static void limbo_add(struct graph_inst *inst, const struct inst_item *item, uint64_t ref)
{
    inst->limbo = kr_realloc(inst->limbo, sizeof(inst->limbo[0]) * (inst->limbo_n + 1));
    inst->limbo[inst->limbo_n++] =
        (struct inst_limbo){.token = item->token, .ref = ref, .sent = item->sent};
}

void inst__item_drop(struct graph_inst *inst, uint32_t rank, struct inst_item *item)
{
    uint64_t ref = item->ref;

    inst__item_release(inst, rank, item);
    if (item->token)
        limbo_add(inst, item, ref);
    inst__item_fini(item);
}

void inst__found_clear(struct inst_found *found)
{
    for (uint32_t i = 0; i < found->n; i++)
        kr_rec_drop(found->recs[i]);
    kr_free(found->recs);
    *found = (struct inst_found){0};
}

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
    kr_free(node->text);
    kr_free(node->ready_text);
    kr_free(node->unknown);
    kr_free(node->watched);
}

static bool pair_is_ok(const struct inst_item *item, const struct kr_rec *rec)
{
    return item->ok_desired && item->ok_desired == item->desired && item->ok_set == rec->owned &&
           item->ok_owned == rec->owned_digest;
}

bool inst__item_is_ok(const struct inst_item *item)
{
    return item->seen && pair_is_ok(item, item->seen);
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

/* What is known of this incarnation of the object, but not the revision and what was observed. */
static void forget_writes(struct graph_inst *inst)
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
    inst->status_owed = false;
    inst->status_due_ms = 0;
    inst->pruned = inst->unsettled_own = inst->wave_told = inst->conflicted = false;
    inst->status_value = inst->status_wire = 0;
}

void graph_inst_free(struct graph_inst *inst)
{
    if (!inst)
        return;
    for (uint32_t i = 0; i < inst->nodes_n; i++)
        node_fini(&inst->nodes[i], node_of(inst, i)->kind);
    kr_free(inst->nodes);
    kr_free(inst->limbo);
    inst__fights_clear(inst);
    while (inst->strays_n)
        inst__stray_del(inst, inst->strays_n - 1);
    kr_free(inst->strays);
    unwatch_clear(inst);
    forget_writes(inst);
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
    return inst->parent ? inst->parent->uid : KR_S("");
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

        n += inst__str(node->text).n + inst__str(node->ready_text).n + inst__str(node->unknown).n +
             inst__str(node->watched).n;
        if (node_of(inst, i)->kind == GRAPH_COLLECTION)
            n += (sizeof(node->items[0]) + sizeof(node->keys[0])) * node->items_n;
        if (node_of(inst, i)->kind == GRAPH_EXTERNAL_COLLECTION)
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
    *u = (struct inst_unwatch){
        .rank = rank, .rev = graph_rev_hold(inst->rev), .watched = KR_MOVE(node->watched)};
    node->answered = false;
}

/* Moves what is known of a node into its place in the new revision, if it still is the same one. */
static bool node_carry(struct graph_inst *inst, uint32_t from, const struct graph_rev *rev,
                       struct inst_node *to)
{
    const struct graph_node *old = node_of(inst, from);
    int32_t rank = graph_rev_rank(rev, old->id);

    if (rank < 0 || rev->nodes[rank].kind != old->kind ||
        !kr_gvr_eq(rev->nodes[rank].gvr, old->gvr))
        return false;
    if (inst->nodes[from].watched && (uint32_t)rank != from)
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
    inst__text(&to->text, KR_S(""));
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
        if (inst->nodes[i].watched)
            unwatch_add(inst, i);
        for (uint32_t k = 0; k < inst->nodes[i].items_n; k++)
            inst__item_drop(inst, i, &inst->nodes[i].items[k]);
        node_fini(&inst->nodes[i], node_of(inst, i)->kind);
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

/* --- the instance object ---------------------------------------------------------------------- */

/* Do both end at the same depth with the same value? Where a path ends matters: has(a.b) of an
 * object without `a` is an error, of one with an empty `a` false. */
static bool same_path(const struct kr_rec *old, const struct kr_rec *now,
                      const struct graph_read *read)
{
    kr_val x = old->root, y = now->root;

    for (uint32_t i = 0; i < read->n && x.kind == KR_MAP && y.kind == KR_MAP; i++) {
        x = kr_get(x, read->names[i]);
        y = kr_get(y, read->names[i]);
    }
    return x.kind == y.kind && kr_equal(x, y);
}

/* The whole instance as expressions see it has no status. */
static bool same_schema(const struct kr_rec *old, const struct kr_rec *now)
{
    uint32_t old_n = 0, now_n = 0;

    KR_MAP_EACH (p, old->root) {
        old_n += !kr_is_str(p->key, KR_S("status"));
    }
    KR_MAP_EACH (p, now->root) {
        if (kr_is_str(p->key, KR_S("status")))
            continue;
        now_n++;
        if (!kr_equal(kr_get(old->root, kr_text(p->key)), p->val))
            return false;
    }
    return old_n == now_n;
}

static bool same_read(const struct kr_rec *old, const struct kr_rec *now,
                      const struct graph_read *read)
{
    if (read->n == 0)
        return same_schema(old, now);
    return same_path(old, now, read);
}

/* What a write of ours changes that no reader shall take for a change. */
static bool is_quiet(const struct graph_read *read, bool version_only)
{
    if (read->n == 2 && kr_str_is(read->names[0], "metadata") &&
        (kr_str_is(read->names[1], "resourceVersion") ||
         kr_str_is(read->names[1], "managedFields")))
        return true;
    return !version_only &&
           (read->n == 0 || (read->n == 1 && kr_str_is(read->names[0], "metadata")));
}

enum own { FOREIGN, OURS_STATUS, OURS_APPLY };

static void mark_schema(struct graph_inst *inst, const struct kr_rec *old, const struct kr_rec *now,
                        const struct kr_bits *changed, enum own own)
{
    const struct graph_rev *rev = inst->rev;
    bool edited = false;

    for (uint32_t i = 0; rev && i < rev->impl->parent_schema_reads_n; i++) {
        const struct graph_read *read = &rev->parent_reads[i];

        if (changed && !kr_bits_has(changed, GRAPH_BITS_FIXED + i))
            continue;
        if (own != FOREIGN && is_quiet(read, own == OURS_APPLY))
            continue;
        if (same_read(old, now, read))
            continue;
        dirty_readers(inst, &rev->impl->parent_readers[i], inst->nodes_n, i);
        edited = own == FOREIGN;
    }
    if (!edited)
        return;
    inst__root_new(inst);
    inst->edited = true;
}

static bool same_need(const struct kr_rec *old, const struct kr_rec *now, uint32_t need)
{
    return same_read(old, now, &parent_needs[need]);
}

static void mark_needs(struct graph_inst *inst, const struct kr_rec *old, const struct kr_rec *now,
                       enum own own)
{
    if (!same_need(old, now, NEED_GENERATION) || !same_need(old, now, NEED_DELETION))
        inst->status_dirty = true;
    if (!same_need(old, now, NEED_RECONCILE))
        inst->status_dirty = inst->manage_dirty = true;
    for (uint32_t i = NEED_ROLL_DEBOUNCE; i <= NEED_ROLL_PAUSE; i++)
        inst->status_dirty |= !same_need(old, now, i);
    if (own != OURS_STATUS && !same_need(old, now, NEED_STATUS))
        inst->status_dirty = true;
    if (inst->conflicted || now->terminating) { /* the version itself is waited for */
        inst->status_dirty = true;
        inst->conflicted = false;
        inst->status.retry = inst->finalizer.retry = (struct inst_retry){0};
    }
    if (old->owned != now->owned || old->owned_digest != now->owned_digest)
        inst->manage_dirty = true;
    for (uint32_t i = NEED_META; i < KR_N(parent_needs); i++) {
        if (!same_need(old, now, i))
            inst->manage_dirty = inst->status_dirty = true;
    }
}

/* The other object of this name: everything that was written before is void. */
static void reborn(struct graph_inst *inst)
{
    forget_writes(inst);
    inst__fights_clear(inst);
    for (uint32_t i = 0; i < inst->nodes_n; i++) {
        for (uint32_t k = 0; k < inst->nodes[i].items_n; k++)
            inst->nodes[i].items[k].token = 0;
    }
    inst->limbo_n = 0;
    for (uint32_t i = 0; i < inst->strays_n; i++)
        inst->strays[i].token = 0;
    inst__dirty_all(inst);
}

static void set_parent(struct graph_inst *inst, struct kr_rec *rec, const struct kr_bits *changed,
                       enum own own)
{
    struct kr_rec *old = inst->parent;

    inst->parent = kr_rec_hold(rec);
    if (rec)
        inst->existed = true;
    if (!old || !rec) {
        inst__dirty_all(inst);
    } else if (!kr_str_eq(old->uid, rec->uid)) {
        reborn(inst);
    } else {
        if (own == OURS_APPLY && !same_need(old, rec, NEED_GENERATION))
            own = FOREIGN; /* our applies leave the spec alone */
        mark_schema(inst, old, rec, changed, own);
        mark_needs(inst, old, rec, own);
    }
    if (!rec)
        forget_writes(inst);
    kr_rec_drop(old);
}

void graph_inst_parent(struct graph_inst *inst, struct kr_rec *rec, const struct kr_bits *changed)
{
    enum own own = FOREIGN;

    if (rec && inst->parent && !kr_str_eq(rec->version, inst->parent->version)) {
        if (inst->status.token) {
            own = OURS_STATUS; /* until the response says otherwise */
            inst->unsettled_own = true;
        } else if (inst->own_version && inst->own_version == inst__str_digest(rec->version)) {
            own = OURS_STATUS;
        } else if (inst->labeller.token || inst->applyset.token) {
            own = OURS_APPLY; /* a second one cannot be ours too */
            inst->unsettled_own |= inst->apply_version != 0;
            inst->apply_version = inst__str_digest(rec->version);
        }
    }
    set_parent(inst, rec, changed, own);
}

/* --- children and external objects ------------------------------------------------------------ */

/* A new record of an object that readers see: the tasks that read a leaf whose value differs.
 * *moved (may be NULL) is set if there is one. Returns whether the node's own readyWhen is among
 * them. */
static bool mark_leaves(struct graph_inst *inst, uint32_t rank, const struct kr_rec *old,
                        const struct kr_rec *now, const struct kr_bits *changed, bool *moved)
{
    const struct graph_node *node = node_of(inst, rank);
    bool ready = false;

    for (uint32_t i = 0; i < node->reads_n; i++) {
        if (changed && !kr_bits_has(changed, GRAPH_BITS_FIXED + i))
            continue;
        if (same_path(old, now, &node->reads[i]))
            continue;
        dirty_readers(inst, &node->spec->readers[i], rank, i);
        if (moved)
            *moved = true;
        ready |= kr_bits_has(&node->spec->readers[i], GRAPH_TASK_READY(rank));
    }
    return ready;
}

/* The object of an item is now `rec` (NULL: gone). Returns whether something that is read of it has
 * another value. */
static bool item_seen(struct graph_inst *inst, uint32_t rank, struct inst_item *item,
                      struct kr_rec *rec, const struct kr_bits *changed)
{
    struct kr_rec *old = item->seen;
    bool by_us = item->deleting, moved = false;

    item->seen = kr_rec_hold(rec);
    item->deleting = false;
    if (!old != !rec || (old && !kr_str_eq(old->uid, rec->uid))) {
        inst__appeared(inst, rank);
        item->fought |= old && !by_us;
        item->checked = INST_UNCHECKED;
        if (!inst__is_external(inst, rank) && !(rec && pair_is_ok(item, rec)))
            inst__dirty(inst, GRAPH_TASK(rank));
        changed = NULL;
    }
    if (old && rec) {
        if (inst->nodes[rank].state != INST_RESOLVED ||
            mark_leaves(inst, rank, old, rec, changed, &moved))
            item->checked = INST_UNCHECKED;
        inst->roll.look |= inst->nodes[rank].rolling;
        if (old->terminating != rec->terminating) {
            inst__dirty(inst, GRAPH_TASK(rank));
            inst->status_dirty = true;
        }
        if ((old->owned != rec->owned || old->owned_digest != rec->owned_digest) &&
            !pair_is_ok(item, rec) && !inst__is_external(inst, rank)) {
            inst__dirty(inst, GRAPH_TASK(rank));
            item->fought = true;
        }
    }
    kr_rec_drop(old);
    return moved;
}

static struct inst_item *item_find(struct graph_inst *inst, uint64_t ref, uint32_t *rank)
{
    for (uint32_t i = 0; i < inst->nodes_n; i++) {
        if (inst__is_external(inst, i))
            continue;
        for (uint32_t k = 0; k < inst->nodes[i].items_n; k++) {
            if (inst->nodes[i].items[k].ref == ref) {
                *rank = i;
                return &inst->nodes[i].items[k];
            }
        }
    }
    return NULL;
}

static void stray_seen(struct graph_inst *inst, uint64_t ref, struct kr_rec *rec)
{
    if (rec) {
        inst__stray_add(inst, rec);
    } else {
        for (uint32_t i = 0; i < inst->strays_n; i++) {
            if (inst->strays[i].ref == ref) {
                inst__stray_del(inst, i);
                break;
            }
        }
    }
    inst->status_dirty = true;
}

void graph_inst_child(struct graph_inst *inst, struct kr_rec *old, struct kr_rec *now,
                      const struct kr_bits *changed)
{
    const struct kr_rec *rec = now ? now : old;
    uint64_t ref;
    uint32_t rank;
    struct inst_item *item;

    if (!rec)
        return;
    ref = inst__ref_digest(rec->ref);
    item = item_find(inst, ref, &rank);
    if (!item) {
        stray_seen(inst, ref, now);
        return;
    }
    if (!now && item->seen && old && !kr_str_eq(item->seen->uid, old->uid))
        return; /* an older object of that name: the response to our apply was faster */
    if (!now && item->token && old && old->version_u > item->gone_u)
        item->gone_u = old->version_u;
    if ((now || item->seen) && item_seen(inst, rank, item, now, changed) && !item->token)
        inst->moved = true; /* the answer to a write of ours would have shown it before */
}

void graph_inst_external(struct graph_inst *inst, uint32_t rank, struct kr_rec *rec,
                         const struct kr_bits *changed)
{
    struct inst_node *node;

    if (rank >= inst->nodes_n || !inst__is_external(inst, rank))
        return;
    if (node_of(inst, rank)->kind != GRAPH_EXTERNAL)
        return;
    node = &inst->nodes[rank];
    if (!node->watched || (rec && node->one.ref != inst__ref_digest(rec->ref)))
        return; /* of a reference that is no longer wanted, or of a former revision */
    inst__root_external(inst);
    if (!node->answered) {
        node->answered = true;
        inst__dirty(inst, GRAPH_TASK_READY(rank));
        inst->status_dirty = true;
    }
    if (rec || node->one.seen)
        (void)item_seen(inst, rank, &node->one, rec, changed);
}

/* As the server's keys are ordered: a namespace that begins like another comes where '/' puts it. */
static int key_cmp(kr_ref x, kr_ref y)
{
    size_t n = x.namespace.n < y.namespace.n ? x.namespace.n : y.namespace.n;
    int rc = n ? memcmp(x.namespace.s, y.namespace.s, n) : 0;

    if (rc)
        return rc;
    if (x.namespace.n == y.namespace.n)
        return kr_str_cmp(x.name, y.name);
    return x.namespace.n < y.namespace.n ? '/' - (unsigned char)y.namespace.s[n]
                                         : (unsigned char)x.namespace.s[n] - '/';
}

/* Where ref stands or would stand. */
static uint32_t found_at(const struct inst_found *found, kr_ref ref, bool *there)
{
    uint32_t low = 0, high = found->n;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (key_cmp(found->recs[mid]->ref, ref) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *there = low < found->n && key_cmp(found->recs[low]->ref, ref) == 0;
    return low;
}

/* The number of records is that of the objects in the stores. */
static void found_put(struct inst_found *found, uint32_t at, struct kr_rec *rec)
{
    if (found->n == found->cap) {
        found->cap = found->cap ? 2 * found->cap : 4;
        found->recs = kr_realloc(found->recs, sizeof(found->recs[0]) * found->cap);
    }
    memmove(&found->recs[at + 1], &found->recs[at], sizeof(found->recs[0]) * (found->n - at));
    found->recs[at] = kr_rec_hold(rec);
    found->n++;
}

static void found_del(struct inst_found *found, uint32_t at)
{
    kr_rec_drop(found->recs[at]);
    found->n--;
    memmove(&found->recs[at], &found->recs[at + 1], sizeof(found->recs[0]) * (found->n - at));
}

/* One object is now `rec` (NULL: gone). */
static void found_seen(struct graph_inst *inst, uint32_t rank, kr_ref ref, struct kr_rec *rec,
                       const struct kr_bits *changed)
{
    struct inst_found *found = &inst->nodes[rank].found;
    struct kr_rec *old;
    bool there;
    uint32_t at = found_at(found, ref, &there);

    if (!there) {
        if (rec)
            found_put(found, at, rec);
    } else if (!rec) {
        found_del(found, at);
    } else {
        old = found->recs[at];
        found->recs[at] = kr_rec_hold(rec);
        if (!kr_str_eq(old->uid, rec->uid))
            inst__appeared(inst, rank);
        else if (inst->nodes[rank].state == INST_RESOLVED)
            mark_leaves(inst, rank, old, rec, changed, NULL);
        kr_rec_drop(old);
        return;
    }
    if (there || rec)
        inst__appeared(inst, rank);
}

static struct inst_node *found_node(struct graph_inst *inst, uint32_t rank)
{
    if (rank >= inst->nodes_n || node_of(inst, rank)->kind != GRAPH_EXTERNAL_COLLECTION ||
        !inst->nodes[rank].watched)
        return NULL; /* of a selector that is no longer wanted, or of a former revision */
    return &inst->nodes[rank];
}

/* Forgets what is not in the list any more. */
static void found_keep(struct graph_inst *inst, uint32_t rank, struct kr_rec *const *recs,
                       uint32_t n)
{
    struct inst_found *found = &inst->nodes[rank].found, listed = {0};
    bool there;

    for (uint32_t i = 0; i < n && found->n; i++)
        found_put(&listed, found_at(&listed, recs[i]->ref, &there), recs[i]);
    for (uint32_t i = found->n; i-- > 0;) {
        found_at(&listed, found->recs[i]->ref, &there);
        if (!there)
            found_seen(inst, rank, found->recs[i]->ref, NULL, NULL);
    }
    inst__found_clear(&listed);
}

void graph_inst_external_list(struct graph_inst *inst, uint32_t rank, struct kr_rec *const *recs,
                              uint32_t n)
{
    struct inst_node *node = found_node(inst, rank);

    if (!node)
        return;
    inst__root_external(inst);
    found_keep(inst, rank, recs, n);
    for (uint32_t i = 0; i < n; i++)
        found_seen(inst, rank, recs[i]->ref, recs[i], NULL);
    if (node->answered)
        return;
    node->answered = true;
    inst__appeared(inst, rank);
}

void graph_inst_external_item(struct graph_inst *inst, uint32_t rank, struct kr_rec *old,
                              struct kr_rec *now, const struct kr_bits *changed)
{
    struct inst_node *node = found_node(inst, rank);

    if (!node || !node->answered || (!old && !now))
        return;
    inst__root_external(inst);
    found_seen(inst, rank, now ? now->ref : old->ref, now, changed);
}

void graph_inst_known(struct graph_inst *inst, uint32_t rank, bool known, kr_str why)
{
    struct inst_node *node;

    if (rank >= inst->nodes_n)
        return;
    node = &inst->nodes[rank];
    if (!inst__text(&node->unknown, known ? KR_S("") : why) && node->known == known)
        return;
    node->known = known;
    inst__dirty(inst, GRAPH_TASK(rank));
    inst->status_dirty = true;
}

void graph_inst_types_known(struct graph_inst *inst, bool known, kr_str why)
{
    if (!inst__text(&inst->types_why, known ? KR_S("") : why) && inst->types_known == known)
        return;
    inst->types_known = known;
    inst->status_dirty = true;
}

/* --- results ---------------------------------------------------------------------------------- */

static bool is_newer(const struct kr_rec *rec, const struct kr_rec *than)
{
    if (!than || !rec->version_u || !than->version_u)
        return true;
    return rec->version_u > than->version_u;
}

static void result_parent_record(struct graph_inst *inst, const struct graph_result *res,
                                 enum own own)
{
    if (res->rec && inst->parent && is_newer(res->rec, inst->parent))
        set_parent(inst, res->rec, NULL, own);
}

static bool write_result(struct inst_write *w, const struct graph_result *res, uint64_t now_ms)
{
    w->token = 0;
    if (res->outcome == GRAPH_O_OK) {
        inst__text(&w->error, KR_S(""));
        w->retry = (struct inst_retry){0};
        w->fresh = true;
        w->retrying = false;
        return true;
    }
    inst__text(&w->error, res->message.n ? res->message : KR_S("no answer"));
    w->retrying = res->outcome == GRAPH_O_RETRY || res->outcome == GRAPH_O_CONFLICT;
    inst__retry_fail(&w->retry, res->outcome == GRAPH_O_INVALID || res->outcome == GRAPH_O_FOREIGN,
                     now_ms);
    return false;
}

/* Marks all that a version of unknown origin may have changed. */
static void settle_own(struct graph_inst *inst)
{
    if (!inst->unsettled_own)
        return;
    inst->unsettled_own = false;
    inst->status_dirty = true;
    for (uint32_t i = 0; inst->rev && i < inst->rev->impl->parent_schema_reads_n; i++) {
        if (is_quiet(&inst->rev->parent_reads[i], false))
            dirty_readers(inst, &inst->rev->impl->parent_readers[i], inst->nodes_n, i);
    }
}

/* 409: waits for a newer version of the object rather than for the timer; it may be here already.
 */
static void conflict(struct graph_inst *inst, struct inst_write *w, uint64_t now_ms)
{
    w->retry = (struct inst_retry){0};
    if (!inst->parent || w->sent != inst__str_digest(inst->parent->version))
        return;
    inst->conflicted = true;
    inst__retry_fail(&w->retry, true, now_ms);
}

static void status_result(struct graph_inst *inst, const struct graph_result *res, uint64_t now_ms)
{
    bool ok = write_result(&inst->status, res, now_ms);

    if (ok && res->rec) {
        inst->own_version = inst__str_digest(res->rec->version);
        inst->status_wire = kr_digest(kr_at(res->rec->root, "status"));
        if (inst->parent && kr_str_eq(inst->parent->version, res->rec->version))
            inst->unsettled_own = false; /* the watch was faster; it was ours */
    }
    settle_own(inst);
    if (ok) {
        result_parent_record(inst, res, OURS_STATUS);
        return;
    }
    inst->status_dirty = true;
    if (res->outcome == GRAPH_O_CONFLICT)
        conflict(inst, &inst->status, now_ms);
}

static void finalizer_result(struct graph_inst *inst, const struct graph_result *res,
                             uint64_t now_ms)
{
    bool ok = res->outcome == GRAPH_O_NOT_FOUND || write_result(&inst->finalizer, res, now_ms);

    inst->status_dirty = true;
    if (res->outcome == GRAPH_O_NOT_FOUND) { /* the object, or its namespace, is gone */
        inst->finalizer.token = 0;
        set_parent(inst, NULL, NULL, FOREIGN);
    } else if (ok) {
        result_parent_record(inst, res, OURS_APPLY);
    } else if (res->outcome == GRAPH_O_CONFLICT) {
        conflict(inst, &inst->finalizer, now_ms);
    }
}

static void apply_failed(struct graph_inst *inst, uint32_t rank, struct inst_item *item,
                         const struct graph_result *res, uint64_t now_ms)
{
    bool unsure = res->outcome == GRAPH_O_RETRY;

    if (item->hold == HOLD_NONE)
        item->hold = HOLD_RETRY;
    if (inst->nodes[rank].hold == HOLD_NONE)
        inst->nodes[rank].hold = HOLD_RETRY;
    inst__text(&item->error, res->message.n ? res->message : KR_S("no answer"));
    item->retrying = unsure || res->outcome == GRAPH_O_CONFLICT;
    inst__retry_fail(&item->retry,
                     res->outcome == GRAPH_O_INVALID || res->outcome == GRAPH_O_FOREIGN, now_ms);
    if (unsure && now_ms + GRAPH_UNSURE_MS > inst->unsure_until_ms)
        inst->unsure_until_ms = now_ms + GRAPH_UNSURE_MS;
    if (item->desired != item->sent) /* the wish has changed since: no reason to wait */
        item->retry.at_ms = 0;
}

static void apply_answered(struct graph_inst *inst, uint32_t rank, struct inst_item *item,
                           struct kr_rec *rec)
{
    if (item->ref != inst__ref_digest(rec->ref)) { /* the wish has moved on to another object */
        if (!item_find(inst, inst__ref_digest(rec->ref), &rank))
            inst__stray_add(inst, rec);
        return;
    }
    if (!item->seen && item->gone_u && rec->version_u && rec->version_u <= item->gone_u) {
        inst__dirty(inst, GRAPH_TASK(rank)); /* it has gone already */
        return;
    }
    inst__item_ok(item, rec, item->sent);
    item->blind = 0;
    if (!item->seen || is_newer(rec, item->seen))
        (void)item_seen(inst, rank, item, rec, NULL);
    if (!pair_is_ok(item, item->seen))
        inst__dirty(inst, GRAPH_TASK(rank));
}

/* Taken, but nobody showed what it made: what the watch shows is compared. Where that differs each
 * time, it is what the server makes of the wish. If the watch shows nothing, the object has gone or is
 * ours no more: the wish is sent again. */
static void apply_blind(struct graph_inst *inst, uint32_t rank, struct inst_item *item,
                        uint64_t now_ms)
{
    if (item->blind < UINT8_MAX)
        item->blind++;
    if (item->seen && item->blind > BLIND_MAX) {
        inst__item_ok(item, item->seen, item->sent);
    } else if (item->seen || item->gone_u) {
        inst__dirty(inst, GRAPH_TASK(rank));
    } else {
        item->retry.at_ms = now_ms + GRAPH_UNSURE_MS;
        item->hold = HOLD_RETRY;
        if (inst->nodes[rank].hold == HOLD_NONE)
            inst->nodes[rank].hold = HOLD_RETRY;
    }
}

static void apply_result(struct graph_inst *inst, uint32_t rank, struct inst_item *item,
                         const struct graph_result *res, uint64_t now_ms)
{
    item->token = 0;
    inst->status_dirty = true;
    if (res->outcome != GRAPH_O_OK) {
        apply_failed(inst, rank, item, res, now_ms);
    } else {
        inst__text(&item->error, KR_S(""));
        item->retry = (struct inst_retry){0};
        item->retrying = false;
        if (res->rec)
            apply_answered(inst, rank, item, res->rec);
        else
            apply_blind(inst, rank, item, now_ms);
    }
    item->gone_u = 0;
    if (item->desired != item->sent)
        inst__dirty(inst, GRAPH_TASK(rank));
}

/* The DELETE of a former stray that an item has claimed since. */
static void claimed_delete_result(struct graph_inst *inst, uint32_t rank, struct inst_item *item,
                                  const struct graph_result *res)
{
    item->token = 0;
    if (res->outcome == GRAPH_O_NOT_FOUND)
        item_seen(inst, rank, item, NULL, NULL);
    else if (res->outcome != GRAPH_O_OK)
        item->deleting = false;
    inst__dirty(inst, GRAPH_TASK(rank));
    inst->status_dirty = true;
}

static void delete_result(struct graph_inst *inst, uint32_t at, const struct graph_result *res,
                          uint64_t now_ms)
{
    struct inst_stray *stray = &inst->strays[at];

    stray->token = 0;
    inst->status_dirty = true;
    if (res->outcome == GRAPH_O_NOT_FOUND) {
        inst__stray_del(inst, at);
    } else if (res->outcome == GRAPH_O_OK || stray->rec->terminating) { /* taken, as is seen */
        stray->sent = true;
        inst__text(&stray->error, KR_S(""));
        stray->retry = (struct inst_retry){0};
    } else {
        inst__text(&stray->error, res->message.n ? res->message : KR_S("no answer"));
        inst__retry_fail(&stray->retry, res->outcome == GRAPH_O_INVALID, now_ms);
    }
}

/* An apply whose item is no more. */
static bool limbo_result(struct graph_inst *inst, const struct graph_result *res, uint64_t now_ms)
{
    uint32_t i = 0, rank;

    while (i < inst->limbo_n && inst->limbo[i].token != res->token)
        i++;
    if (i == inst->limbo_n)
        return false;
    inst->limbo[i] = inst->limbo[--inst->limbo_n];
    inst->status_dirty = true;
    if (res->outcome == GRAPH_O_RETRY && now_ms + GRAPH_UNSURE_MS > inst->unsure_until_ms)
        inst->unsure_until_ms = now_ms + GRAPH_UNSURE_MS;
    if (res->outcome == GRAPH_O_OK && res->rec &&
        !item_find(inst, inst__ref_digest(res->rec->ref), &rank))
        inst__stray_add(inst, res->rec);
    return true;
}

/* Children: the item or stray that waits for this token. */
static void child_result(struct graph_inst *inst, const struct graph_result *res, uint64_t now_ms)
{
    if (limbo_result(inst, res, now_ms))
        return;
    for (uint32_t i = 0; i < inst->nodes_n; i++) {
        for (uint32_t k = 0; k < inst->nodes[i].items_n; k++) {
            struct inst_item *item = &inst->nodes[i].items[k];

            if (item->token != res->token)
                continue;
            if (item->deleting)
                claimed_delete_result(inst, i, item, res);
            else
                apply_result(inst, i, item, res, now_ms);
            return;
        }
    }
    for (uint32_t i = 0; i < inst->strays_n; i++) {
        if (inst->strays[i].token == res->token) {
            delete_result(inst, i, res, now_ms);
            return;
        }
    }
}

void graph_inst_result(struct graph_inst *inst, const struct graph_result *res, uint64_t now_ms)
{
    struct inst_write *w = NULL;

    if (!res->token)
        return;
    /* A deletion waits for every answer: what is in flight keeps the finalizer. */
    inst->status_dirty |= inst->status_owed || (inst->parent && inst->parent->terminating);
    if (res->token == inst->status.token) {
        status_result(inst, res, now_ms);
        return;
    }
    if (res->token == inst->finalizer.token) {
        finalizer_result(inst, res, now_ms);
        return;
    }
    if (res->token == inst->labeller.token)
        w = &inst->labeller;
    else if (res->token == inst->applyset.token)
        w = &inst->applyset;
    if (!w) {
        child_result(inst, res, now_ms);
        return;
    }
    if (write_result(w, res, now_ms)) {
        if (w == &inst->applyset && res->rec) { /* what is seen later may be another's doing */
            w->seen = res->rec->owned_digest;
            w->fresh = false;
        }
        result_parent_record(inst, res, OURS_APPLY);
    }
    if (inst->apply_version &&
        (!res->rec || inst->apply_version != inst__str_digest(res->rec->version)))
        inst->unsettled_own = true; /* it was not ours */
    inst->apply_version = 0;
    settle_own(inst);
    inst->manage_dirty = inst->status_dirty = true;
}
