/* SPDX-License-Identifier: Apache-2.0 */
/* breaker.c - writes that come back to us: somebody fights over a field, or a chain of reads leads
 * from our write to our next one.
 *
 * A write of an object counts when its cause is
 *   a fight   somebody wrote a field of ours, or deleted the object; the wish is the same as before
 *   an echo   the wish has changed, and nothing came in from outside since the last write of it:
 *             what moved it can only be what followed from that write
 *
 * What comes in from outside (an edit of the instance, of an external object, a new revision) gives
 * the instance a new root. A write remembers the root it was made under; a wish that changes under
 * the same root is an echo, under another one it is not, however fast the roots follow each other.
 * An object that another instance of ours applies brings that instance's root along, so a loop
 * through several instances goes round under one root.
 *
 *   closed --GRAPH_FIGHTS_MAX writes that count within a minute--> open: one write a minute
 *     ^                                                              |
 *     +---- a minute after a write nothing is held ------------------+
 *
 * A child may also be moved by somebody else in a field that is not ours, its status say. That is an
 * input like any other, or it is the answer of a controller to our last write, which nobody can tell
 * from outside. So such an echo is tried: it is held for GRAPH_TRY_MS, then for twice as long, at
 * last for a minute. What moves by itself has moved GRAPH_MOVES_MAX times by then although we wrote
 * nothing: the echo is let go, and its like are not held any more. What answers us stands still, and
 * ends at one write a minute.
 *
 * Memory is taken by the object that is fought over, and given back a minute after the last write.
 */
#include "graph/inst.h"

#include "cel/base/time.h"

#include "cel/base/banned.h"

static struct inst_fight *find(const struct graph_inst *inst, uint64_t ref)
{
    for (uint32_t i = 0; i < inst->fights_n; i++) {
        if (inst->fights[i].ref == ref)
            return &inst->fights[i];
    }
    return NULL;
}

static struct inst_fight *find_or_add(struct graph_inst *inst, uint64_t ref)
{
    struct inst_fight *f = find(inst, ref);

    if (f)
        return f;
    inst->fights = kr_realloc(inst->fights, sizeof(*f) * (inst->fights_n + 1));
    f = &inst->fights[inst->fights_n++];
    *f = (struct inst_fight){.ref = ref};
    return f;
}

static void fight_del(struct graph_inst *inst, uint32_t at)
{
    kr_free(inst->fights[at].text);
    inst->fights[at] = inst->fights[--inst->fights_n];
    if (inst->fights_n)
        return;
    kr_free(inst->fights);
    inst->fights = NULL;
}

void inst__fights_clear(struct graph_inst *inst)
{
    while (inst->fights_n)
        fight_del(inst, inst->fights_n - 1);
}

/* --- roots ------------------------------------------------------------------------------------ */

/* 0 stands for no root. Roots of different instances differ, but for chance: then one write counts
 * that should not, of the ten that are needed. */
void inst__root_new(struct graph_inst *inst)
{
    uint16_t salt = (uint16_t)inst__str_digest(inst->part_of);

    inst->roots++;
    inst->moved = false;
    inst->root = (uint16_t)(salt + 40503u * inst->roots);
    if (inst->root == 0)
        inst->root = 1;
}

void graph_inst_echo(struct graph_inst *inst, const struct graph_inst *writer)
{
    inst->root_next = writer->root;
    inst->moved_next = writer->moved;
}

void inst__root_external(struct graph_inst *inst)
{
    if (inst->root_next) {
        inst->moved = inst->moved_next || (inst->moved && inst->root == inst->root_next);
        inst->root = inst->root_next;
    } else {
        inst__root_new(inst);
    }
    inst->root_next = 0;
    inst->edited = false;
}

/* --- what counts ------------------------------------------------------------------------------ */

static bool is_fight(const struct inst_item *item)
{
    return item->fought && item->sent && item->desired == item->sent;
}

static bool is_echo(const struct graph_inst *inst, const struct inst_item *item)
{
    return item->sent && item->desired != item->sent && item->root && item->root == inst->root;
}

static bool counts(const struct graph_inst *inst, const struct inst_item *item)
{
    return !item->error && (is_fight(item) || is_echo(inst, item));
}

void graph_inst_taken(struct graph_inst *inst, kr_ref ref, kr_str field, kr_str by)
{
    struct inst_fight *f = find_or_add(inst, inst__ref_digest(ref));
    KR_AUTO(kr_arena) a = {0};

    inst__text(&f->text, by.n ? kr_fmt(&a, "\"" KR_FMT "\" keeps changing " KR_FMT " of",
                                       KR_ARG(by), KR_ARG(field))
                              : kr_fmt(&a, "somebody keeps changing " KR_FMT " of", KR_ARG(field)));
}

/* --- writes ----------------------------------------------------------------------------------- */

bool inst__fight_holds(struct inst_step *s, const struct inst_item *item)
{
    const struct inst_fight *f = find(s->inst, item->ref);

    if (!f || !f->open || s->env->now_ms >= f->last_ms + f->pause_ms || !counts(s->inst, item) ||
        (f->alone && !is_fight(item)))
        return false;
    inst__wake(s, f->last_ms + f->pause_ms);
    return true;
}

void inst__fight_moved(struct inst_step *s, const struct inst_item *item, uint64_t desired)
{
    struct inst_fight *f = find(s->inst, item->ref);

    if (!f || !f->open || item->desired == desired || item->desired == item->sent ||
        ++f->moves < GRAPH_MOVES_MAX)
        return;
    f->alone = true;
    f->open = false;
    s->inst->status_dirty = true;
}

/* The text of what makes the writes of item come back. */
static void name_cause(struct inst_step *s, struct inst_fight *f, const struct inst_item *item,
                       kr_str why)
{
    if (is_fight(item)) {
        if (!f->text)
            inst__text(&f->text, KR_S("somebody keeps deleting or changing"));
    } else {
        inst__text(&f->text, kr_fmt(s->a, KR_FMT " keeps moving after each write of",
                                    KR_ARG(why.n ? why : KR_S("what it reads"))));
    }
}

/* How long the next write that counts is held. */
static uint32_t pause_after(const struct inst_fight *f, bool tried)
{
    if (!tried)
        return GRAPH_FIGHT_MS;
    if (!f->pause_ms)
        return GRAPH_TRY_MS;
    return 2 * f->pause_ms < GRAPH_FIGHT_MS ? 2 * f->pause_ms : GRAPH_FIGHT_MS;
}

static void count_write(struct inst_step *s, struct inst_fight *f, const struct inst_item *item)
{
    bool tried = s->inst->moved && !is_fight(item);

    if (!f->open && s->env->now_ms >= f->since_ms + GRAPH_FIGHT_MS) {
        f->since_ms = s->env->now_ms;
        f->n = 0;
    }
    f->last_ms = s->env->now_ms;
    f->moves = 0;
    if (++f->n < GRAPH_FIGHTS_MAX || (f->alone && !is_fight(item)))
        return;
    f->open = true;
    f->pause_ms = pause_after(f, tried);
    f->next_wall_s = s->env->wall_s + (f->pause_ms + 999) / 1000;
}

void inst__fight_sent(struct inst_step *s, struct inst_item *item, kr_str why)
{
    struct graph_inst *inst = s->inst;
    struct inst_fight *f;

    if (counts(inst, item)) {
        f = find_or_add(inst, item->ref);
        name_cause(s, f, item, why);
        count_write(s, f, item);
    }
    item->fought = false;
    item->root = inst->root;
}

/* --- once a step ------------------------------------------------------------------------------ */

static const struct inst_item *item_of(const struct graph_inst *inst, uint64_t ref, uint32_t *rank)
{
    for (*rank = 0; *rank < inst->nodes_n; ++*rank) {
        const struct inst_node *node = &inst->nodes[*rank];

        for (uint32_t k = 0; k < node->items_n && !inst__is_external(inst, *rank); k++) {
            if (node->items[k].ref == ref)
                return &node->items[k];
        }
    }
    return NULL;
}

void inst__fights_step(struct inst_step *s)
{
    struct graph_inst *inst = s->inst;
    uint32_t rank;

    for (uint32_t i = inst->fights_n; i-- > 0;) {
        struct inst_fight *f = &inst->fights[i];
        const struct inst_item *item = item_of(inst, f->ref, &rank);

        if (!f->last_ms) /* told, and no write followed yet */
            f->last_ms = s->env->now_ms ? s->env->now_ms : 1;
        if (item && s->env->now_ms < f->last_ms + GRAPH_FIGHT_MS) {
            if (f->open)
                inst__wake(s, f->last_ms + GRAPH_FIGHT_MS);
            continue;
        }
        inst->status_dirty |= f->open;
        fight_del(inst, i);
    }
}

kr_str inst__fight_text(struct inst_step *s, uint32_t at)
{
    const struct inst_fight *f = &s->inst->fights[at];
    char time[KR_TIME_TEXT_MAX];
    uint32_t rank;
    const struct inst_item *item = item_of(s->inst, f->ref, &rank);
    kr_ref ref = item && item->seen ? kr_rec_ref(item->seen) : (kr_ref){.name = KR_S("its object")};
    size_t n = kr_time_text(f->next_wall_s, 0, time);
    kr_str often = KR_S("once a minute");

    if (!f->open || !item)
        return KR_S("");
    if (f->pause_ms < GRAPH_FIGHT_MS)
        often = kr_fmt(s->a, "every %u s at most", (f->pause_ms + 999) / 1000);
    return kr_fmt(s->a,
                  "node \"" KR_FMT "\": %s " KR_FMT " " KR_FMT "%s" KR_FMT ": it is written " KR_FMT
                  ", next at " KR_FMT,
                  KR_ARG(s->inst->rev->nodes[rank].id), f->text ? f->text : "",
                  KR_ARG(s->inst->rev->nodes[rank].gvk.kind), KR_ARG(ref.namespace),
                  ref.namespace.n ? "/" : "", KR_ARG(ref.name), KR_ARG(often),
                  KR_ARG(((kr_str){time, n})));
}
