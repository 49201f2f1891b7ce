/* SPDX-License-Identifier: Apache-2.0 */
/* inst_items.c - what an instance holds of each object: items, strays, limbo.
 *
 *   wished for and there     an item with a record, in sync or not
 *   there, claimed by none   a stray: pruned, or deleted with the instance
 *   applied, wished no more  limbo until the answer comes, for it may make a stray
 *
 * A record moves between these by what the wishes are; it is never in two of them.
 */
#include "graph/inst.h"

#include "cel/base/banned.h"

/* --- items and strays ------------------------------------------------------------------------- */

/* A copy of one of our objects that another controller made has its labels, but nothing in it was
 * applied by us. */
bool inst__stray_ours(const struct kr_rec *rec)
{
    return kr_rec_node_id(rec).n && (rec->owned || rec->order > 0);
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
    uint64_t ref = inst__ref_digest(kr_rec_ref(rec));
    struct inst_stray *stray = stray_find(inst, ref);

    if (!stray) {
        if (inst->strays_n == inst->strays_cap) {
            inst->strays_cap = inst->strays_cap ? 2 * inst->strays_cap : 4;
            inst->strays = kr_realloc(inst->strays, sizeof(*stray) * inst->strays_cap);
        }
        stray = &inst->strays[inst->strays_n++];
        *stray = (struct inst_stray){.ref = ref};
    } else if (!kr_str_eq(kr_rec_uid(stray->rec), kr_rec_uid(rec)) ||
               (stray->rec->terminating && !rec->terminating)) { /* made anew, or from a backup */
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

bool inst__pair_is_ok(const struct inst_item *item, const struct kr_rec *rec)
{
    return item->ok_desired && item->ok_desired == item->desired && item->ok_set == rec->owned &&
           item->ok_owned == rec->owned_digest;
}

bool inst__item_is_ok(const struct inst_item *item)
{
    return item->seen && inst__pair_is_ok(item, item->seen);
}

struct inst_item *inst__item_find(struct graph_inst *inst, uint64_t ref, uint32_t *rank)
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
