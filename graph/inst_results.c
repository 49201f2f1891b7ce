/* SPDX-License-Identifier: Apache-2.0 */
/* inst_results.c - the answers to what an instance asked for.
 *
 *   status, finalizer, labeller, applyset   writes on the instance itself, one in flight of each
 *   apply, delete of an item or a stray     by token: the item, the stray, or limbo
 *
 * An answer shows the object as the write left it; it is taken for an event that came early. One
 * without an object, or none at all, leaves the question to the watch.
 */
#include "graph/inst.h"

#include "cel/base/banned.h"

/* Applies answered without a record before what is seen counts as the answer. */
enum { BLIND_MAX = 2 };

/* --- results ---------------------------------------------------------------------------------- */

static bool is_newer(const struct kr_rec *rec, const struct kr_rec *than)
{
    if (!than || !rec->version_u || !than->version_u)
        return true;
    return rec->version_u > than->version_u;
}

static void result_parent_record(struct graph_inst *inst, const struct graph_result *res,
                                 enum inst_own own)
{
    if (res->rec && inst->parent && is_newer(res->rec, inst->parent))
        inst__set_parent(inst, res->rec, NULL, own);
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

/* 409: waits for a newer version of the object rather than for the timer; it may be here already.
 */
static void conflict(struct graph_inst *inst, struct inst_write *w, uint64_t now_ms)
{
    w->retry = (struct inst_retry){0};
    if (!inst->parent || w->sent != inst__str_digest(kr_rec_version(inst->parent)))
        return;
    inst->conflicted = true;
    inst__retry_fail(&w->retry, true, now_ms);
}

static void status_result(struct graph_inst *inst, const struct graph_result *res, uint64_t now_ms)
{
    bool ok = write_result(&inst->status, res, now_ms);

    if (ok && res->rec) {
        inst->own_version = inst__str_digest(kr_rec_version(res->rec));
        inst->status_wire = kr_digest(kr_at(kr_rec_root(res->rec), "status"));
        if (inst->parent && kr_str_eq(kr_rec_version(inst->parent), kr_rec_version(res->rec)))
            inst->unsettled_own = false; /* the watch was faster; it was ours */
    }
    inst__settle_own(inst);
    if (ok) {
        result_parent_record(inst, res, INST_OUR_STATUS);
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
        inst__set_parent(inst, NULL, NULL, INST_FOREIGN);
    } else if (ok) {
        result_parent_record(inst, res, INST_OUR_APPLY);
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
    if (item->ref !=
        inst__ref_digest(kr_rec_ref(rec))) { /* the wish has moved on to another object */
        if (!inst__item_find(inst, inst__ref_digest(kr_rec_ref(rec)), &rank))
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
        (void)inst__item_seen(inst, rank, item, rec, NULL);
    if (!inst__pair_is_ok(item, item->seen))
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
        inst__item_seen(inst, rank, item, NULL, NULL);
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
        !inst__item_find(inst, inst__ref_digest(kr_rec_ref(res->rec)), &rank))
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
        result_parent_record(inst, res, INST_OUR_APPLY);
        inst->shrinking &= res->rec == NULL; /* else what the object shows holds */
    } else if (res->outcome != GRAPH_O_RETRY) {
        inst->shrinking = false; /* refused: nothing was taken out */
    }
    if (inst->apply_version &&
        (!res->rec || inst->apply_version != inst__str_digest(kr_rec_version(res->rec))))
        inst->unsettled_own = true; /* it was not ours */
    inst->apply_version = 0;
    inst__settle_own(inst);
    inst->manage_dirty = inst->status_dirty = true;
}
