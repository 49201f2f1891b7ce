/* SPDX-License-Identifier: Apache-2.0 */
/* inst_events.c - the objects that come to an instance.
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
 * response says whose version it was (inst__settle_own).
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

/* --- marks ------------------------------------------------------------------------------------ */

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

void inst__appeared(struct graph_inst *inst, uint32_t rank)
{
    dirty_readers(inst, &inst__node(inst, rank)->spec->readers_exist, rank, UINT32_MAX);
    kr_bits_each (reader, &inst__node(inst, rank)->spec->dependents) {
        inst__dirty(inst, GRAPH_TASK(reader));
    }
    inst__dirty(inst, GRAPH_TASK_READY(rank));
    inst->status_dirty = true;
}

/* --- the instance object ---------------------------------------------------------------------- */

/* Do both end at the same depth with the same value? Where a path ends matters: has(a.b) of an
 * object without `a` is an error, of one with an empty `a` false. */
static bool same_path(const struct kr_rec *old, const struct kr_rec *now,
                      const struct graph_read *read)
{
    kr_val x = kr_rec_root(old), y = kr_rec_root(now);

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

    KR_MAP_EACH (p, kr_rec_root(old)) {
        old_n += !kr_is_str(p->key, KR_S("status"));
    }
    KR_MAP_EACH (p, kr_rec_root(now)) {
        if (kr_is_str(p->key, KR_S("status")))
            continue;
        now_n++;
        if (!kr_equal(kr_get(kr_rec_root(old), kr_text(p->key)), p->val))
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

static void mark_schema(struct graph_inst *inst, const struct kr_rec *old, const struct kr_rec *now,
                        const struct kr_bits *changed, enum inst_own own)
{
    const struct graph_rev *rev = inst->rev;
    bool edited = false;

    for (uint32_t i = 0; rev && i < rev->impl->parent_schema_reads_n; i++) {
        const struct graph_read *read = &rev->parent_reads[i];

        if (changed && !kr_bits_has(changed, GRAPH_BITS_FIXED + i))
            continue;
        if (own != INST_FOREIGN && is_quiet(read, own == INST_OUR_APPLY))
            continue;
        if (same_read(old, now, read))
            continue;
        dirty_readers(inst, &rev->impl->parent_readers[i], inst->nodes_n, i);
        edited = own == INST_FOREIGN;
    }
    if (!edited)
        return;
    inst__root_new(inst);
    inst->edited = true;
}

void inst__settle_own(struct graph_inst *inst)
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

static bool same_need(const struct kr_rec *old, const struct kr_rec *now, uint32_t need)
{
    return same_read(old, now, &parent_needs[need]);
}

static void mark_needs(struct graph_inst *inst, const struct kr_rec *old, const struct kr_rec *now,
                       enum inst_own own)
{
    if (!same_need(old, now, NEED_GENERATION) || !same_need(old, now, NEED_DELETION))
        inst->status_dirty = true;
    if (!same_need(old, now, NEED_RECONCILE))
        inst->status_dirty = inst->manage_dirty = true;
    for (uint32_t i = NEED_ROLL_DEBOUNCE; i <= NEED_ROLL_PAUSE; i++)
        inst->status_dirty |= !same_need(old, now, i);
    if (own != INST_OUR_STATUS && !same_need(old, now, NEED_STATUS))
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
    inst__forget_writes(inst);
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

void inst__set_parent(struct graph_inst *inst, struct kr_rec *rec, const struct kr_bits *changed,
                      enum inst_own own)
{
    struct kr_rec *old = inst->parent;

    inst->parent = kr_rec_hold(rec);
    if (rec)
        inst->existed = true;
    if (!old || !rec) {
        inst__dirty_all(inst);
    } else if (!kr_str_eq(kr_rec_uid(old), kr_rec_uid(rec))) {
        reborn(inst);
    } else if (old->terminating && !rec->terminating) {
        inst__dirty_all(
            inst); /* the server has gone back: while it was deleted nothing was evaluated */
    } else {
        if (own == INST_OUR_APPLY && !same_need(old, rec, NEED_GENERATION))
            own = INST_FOREIGN; /* our applies leave the spec alone */
        mark_schema(inst, old, rec, changed, own);
        mark_needs(inst, old, rec, own);
    }
    if (!rec)
        inst__forget_writes(inst);
    kr_rec_drop(old);
}

void graph_inst_parent(struct graph_inst *inst, struct kr_rec *rec, const struct kr_bits *changed)
{
    enum inst_own own = INST_FOREIGN;

    if (rec && inst->parent && !kr_str_eq(kr_rec_version(rec), kr_rec_version(inst->parent))) {
        if (inst->status.token) {
            own = INST_OUR_STATUS; /* until the response says otherwise */
            inst->unsettled_own = true;
        } else if (inst->own_version &&
                   inst->own_version == inst__str_digest(kr_rec_version(rec))) {
            own = INST_OUR_STATUS;
        } else if (inst->labeller.token || inst->applyset.token) {
            own = INST_OUR_APPLY; /* a second one cannot be ours too */
            inst->unsettled_own |= inst->apply_version != 0;
            inst->apply_version = inst__str_digest(kr_rec_version(rec));
        }
    }
    inst__set_parent(inst, rec, changed, own);
}

/* --- children and external objects ------------------------------------------------------------ */

/* A new record of an object that readers see: the tasks that read a leaf whose value differs.
 * *moved (may be NULL) is set if there is one. Returns whether the node's own readyWhen is among
 * them. */
static bool mark_leaves(struct graph_inst *inst, uint32_t rank, const struct kr_rec *old,
                        const struct kr_rec *now, const struct kr_bits *changed, bool *moved)
{
    const struct graph_node *node = inst__node(inst, rank);
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

bool inst__item_seen(struct graph_inst *inst, uint32_t rank, struct inst_item *item,
                     struct kr_rec *rec, const struct kr_bits *changed)
{
    struct kr_rec *old = item->seen;
    bool by_us = item->deleting, moved = false;

    item->seen = kr_rec_hold(rec);
    item->deleting = false;
    if (!old != !rec || (old && !kr_str_eq(kr_rec_uid(old), kr_rec_uid(rec)))) {
        inst__appeared(inst, rank);
        item->fought |= old && !by_us;
        item->checked = INST_UNCHECKED;
        if (!inst__is_external(inst, rank) && !(rec && inst__pair_is_ok(item, rec)))
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
            !inst__pair_is_ok(item, rec) && !inst__is_external(inst, rank)) {
            inst__dirty(inst, GRAPH_TASK(rank));
            item->fought = true;
        }
    }
    kr_rec_drop(old);
    return moved;
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
    ref = inst__ref_digest(kr_rec_ref(rec));
    item = inst__item_find(inst, ref, &rank);
    if (!item) {
        stray_seen(inst, ref, now);
        return;
    }
    if (!now && item->seen && old && !kr_str_eq(kr_rec_uid(item->seen), kr_rec_uid(old)))
        return; /* an older object of that name: the response to our apply was faster */
    if (!now && item->token && old && old->version_u > item->gone_u)
        item->gone_u = old->version_u;
    if ((now || item->seen) && inst__item_seen(inst, rank, item, now, changed) && !item->token)
        inst->moved = true; /* the answer to a write of ours would have shown it before */
}

void graph_inst_external(struct graph_inst *inst, uint32_t rank, struct kr_rec *rec,
                         const struct kr_bits *changed)
{
    struct inst_node *node;

    if (rank >= inst->nodes_n || !inst__is_external(inst, rank))
        return;
    if (inst__node(inst, rank)->kind != GRAPH_EXTERNAL)
        return;
    node = &inst->nodes[rank];
    if (!inst__told(node, TEXT_WATCHED) ||
        (rec && node->one.ref != inst__ref_digest(kr_rec_ref(rec))))
        return; /* of a reference that is no longer wanted, or of a former revision */
    inst__root_external(inst);
    if (!node->answered) {
        node->answered = true;
        inst__dirty(inst, GRAPH_TASK_READY(rank));
        inst->status_dirty = true;
    }
    if (rec || node->one.seen)
        (void)inst__item_seen(inst, rank, &node->one, rec, changed);
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

        if (key_cmp(kr_rec_ref(found->recs[mid]), ref) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *there = low < found->n && key_cmp(kr_rec_ref(found->recs[low]), ref) == 0;
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
        if (!kr_str_eq(kr_rec_uid(old), kr_rec_uid(rec)))
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
    if (rank >= inst->nodes_n || inst__node(inst, rank)->kind != GRAPH_EXTERNAL_COLLECTION ||
        !inst__told(&inst->nodes[rank], TEXT_WATCHED))
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
        found_put(&listed, found_at(&listed, kr_rec_ref(recs[i]), &there), recs[i]);
    for (uint32_t i = found->n; i-- > 0;) {
        found_at(&listed, kr_rec_ref(found->recs[i]), &there);
        if (!there)
            found_seen(inst, rank, kr_rec_ref(found->recs[i]), NULL, NULL);
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
        found_seen(inst, rank, kr_rec_ref(recs[i]), recs[i], NULL);
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
    found_seen(inst, rank, now ? kr_rec_ref(now) : kr_rec_ref(old), now, changed);
}

void graph_inst_known(struct graph_inst *inst, uint32_t rank, bool known, kr_str why)
{
    struct inst_node *node;
    bool had_trouble, told;

    if (rank >= inst->nodes_n)
        return;
    node = &inst->nodes[rank];
    had_trouble = inst__told(node, TEXT_UNKNOWN) != NULL;
    told = inst__tell(node, TEXT_UNKNOWN, known ? KR_S("") : why);
    if (!told && node->known == known)
        return;
    for (uint32_t k = 0; known && had_trouble && k < node->items_n; k++)
        node->items[k].retry = (struct inst_retry){0}; /* what failed may go now */
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
