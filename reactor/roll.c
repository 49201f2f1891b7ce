/* SPDX-License-Identifier: Apache-2.0 */
/* roll.c - counts the instances of each definition that roll, and says whose turn is next.
 *
 * The core decides whether an instance may begin, by the number that is told with each step. Those
 * that may not stand in a line; when a roll ends, the first of them is stepped, and the next one as
 * long as each begins. One that still waits goes to the end of the line: its own annotation may ask
 * for fewer than the others'.
 */
#include "reactor/internal.h"

#include "cel/base/banned.h"

/* What the definition's annotations say; a sidecar's file is its object. */
static struct graph_roll policy(struct reactor *r, const struct reactor_served *s)
{
    const struct reactor_def *def = s->rev ? kr_map_get(&r->defs, s->rev->rgd_name) : NULL;

    return def ? def->roll : (struct graph_roll){0};
}

static void look_again(struct reactor_inst *inst)
{
    graph_inst_roll_look(inst->core);
    reactor__inst_queue(inst, REACTOR_P_CHANGE);
}

static void look_at_next(struct reactor_served *s)
{
    if (!kr_link_empty(&s->roll_line))
        look_again(KR_OWNER(s->roll_line.next, struct reactor_inst, roll_link));
}

void reactor__roll_before(struct reactor_inst *inst, struct graph_env *env)
{
    env->roll = policy(inst->served->r, inst->served);
    env->rolling = inst->served->rolling_n - (inst->rolls ? 1 : 0);
}

static void set_rolls(struct reactor_inst *inst, bool rolls)
{
    if (inst->rolls == rolls)
        return;
    inst->rolls = rolls;
    if (rolls)
        inst->served->rolling_n++;
    else
        inst->served->rolling_n--;
}

void reactor__roll_after(struct reactor_inst *inst)
{
    struct reactor_served *s = inst->served;
    bool did = inst->rolls, stood = !kr_link_empty(&inst->roll_link);

    set_rolls(inst, graph_inst_rolls(inst->core));
    kr_link_remove(&inst->roll_link);
    if (graph_inst_roll_waits(inst->core))
        kr_link_push(&s->roll_line, &inst->roll_link);
    else if (stood || (did && !inst->rolls))
        look_at_next(s);
}

void reactor__roll_forget(struct reactor_inst *inst)
{
    bool did = inst->rolls;

    set_rolls(inst, false);
    kr_link_remove(&inst->roll_link);
    if (did)
        look_at_next(inst->served);
}

void reactor__roll_policy(struct reactor *r, struct reactor_def *def, kr_val rgd)
{
    struct graph_roll now = {0};

    graph_roll_read(kr_at(rgd, "metadata.annotations"), &now);
    if (graph_roll_eq(&now, &def->roll))
        return;
    def->roll = now;
    kr_map_each (e, &r->served) {
        struct reactor_served *s = e->val;

        if (!s->rev || !kr_str_eq(s->rev->rgd_name, graph_def_name(def->core)))
            continue;
        for (struct kr_link *l = s->insts.next; l != &s->insts; l = l->next)
            look_again(KR_OWNER(l, struct reactor_inst, link));
    }
}
