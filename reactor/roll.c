/* SPDX-License-Identifier: Apache-2.0 */
/* roll.c - counts the instances of each definition that roll, and says whose turn is next.
 *
 * The core decides whether an instance may begin, by the number that is told with each step. Those
 * that may not stand in a line; when a roll ends, the first of them is stepped, and the next one as
 * long as each begins. One that still waits goes to the end of the line: its own annotation may ask
 * for fewer than the others'. After a start nobody begins until all have said whether they roll
 * already.
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
    const struct reactor_served *s = inst->served;
    bool others_unknown = s->unknown_n > (inst->known ? 0 : 1);

    env->roll = policy(s->r, s);
    env->rolling = others_unknown ? GRAPH_ROLLING_UNKNOWN : s->rolling_n - (inst->rolls ? 1 : 0);
}

void reactor__roll_new(struct reactor_inst *inst)
{
    inst->served->unknown_n++;
}

/* Returns whether it was the last one. */
static bool set_known(struct reactor_inst *inst)
{
    if (inst->known)
        return false;
    inst->known = true;
    return --inst->served->unknown_n == 0;
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
    bool last = graph_inst_roll_known(inst->core) && set_known(inst);

    set_rolls(inst, graph_inst_rolls(inst->core));
    kr_link_remove(&inst->roll_link);
    if (graph_inst_roll_waits(inst->core))
        kr_link_push(&s->roll_line, &inst->roll_link);
    else if (stood || (did && !inst->rolls))
        last = true;
    if (last)
        look_at_next(s);
}

void reactor__roll_forget(struct reactor_inst *inst)
{
    bool did = inst->rolls, last = set_known(inst);

    set_rolls(inst, false);
    kr_link_remove(&inst->roll_link);
    if (did || last)
        look_at_next(inst->served);
}

/* What cannot be read is told when it is another than before. */
static void tell_ignored(struct reactor *r, struct reactor_def *def, kr_val rgd)
{
    struct kr_arena a = {0};
    kr_str text = graph_roll_ignored(kr_at(rgd, "metadata.annotations"), &a);
    uint64_t digest = text.n ? kr_digest(kr_string(text)) : 0;
    kr_ref ref = {.gvr = {KR_S(GRAPH_GROUP), KR_S("v1alpha1"), KR_S("resourcegraphdefinitions")},
                  .name = graph_def_name(def->core)};
    kr_gvk gvk = {KR_S(GRAPH_GROUP), KR_S("v1alpha1"), KR_S("ResourceGraphDefinition")};

    if (digest && digest != def->roll_ignored && !r->opts.sidecar && r->leading)
        reactor__events_ignored(r, ref, gvk, kr_at_str(rgd, "metadata.uid"), text);
    def->roll_ignored = digest;
    kr_arena_fini(&a);
}

void reactor__roll_parent(struct reactor_inst *inst, const struct kr_rec *old,
                          const struct kr_rec *now)
{
    struct kr_arena a = {0};
    kr_str was, is = KR_S("");

    if (now)
        is = graph_roll_ignored(kr_at(kr_rec_root(now), "metadata.annotations"), &a);
    if (is.n) {
        was = old ? graph_roll_ignored(kr_at(kr_rec_root(old), "metadata.annotations"), &a)
                  : KR_S("");
        if (!kr_str_eq(was, is))
            reactor__events_ignored(inst->served->r, kr_rec_ref(now), inst->served->gvk,
                                    kr_rec_uid(now), is);
    }
    kr_arena_fini(&a);
}

void reactor__roll_policy(struct reactor *r, struct reactor_def *def, kr_val rgd)
{
    struct graph_roll now = {0};

    tell_ignored(r, def, rgd);
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
