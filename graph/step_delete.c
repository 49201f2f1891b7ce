/* SPDX-License-Identifier: Apache-2.0 */
/* step_delete.c - the end of an instance: its members in waves, then the finalizer.
 *
 *   inventory valid? -> its types listed? -> WAVE* -> FINALIZER -> (object goes) -> GONE
 *
 * Needs no revision and no expression: members are the objects with our ApplySet id, whoever made
 * them, and their wave stands in an annotation (highest first; without one: last). A wave must be
 * gone before the next is deleted. An apply that is in flight is waited for before the first DELETE, so
 * that none overtakes it; one whose outcome is not known before the finalizer goes: what it creates is
 * a member.
 *
 * One status write at the start, and one more for a wave that is not gone GRAPH_WAVE_STATUS_MS after
 * the server took its DELETEs, which names what it waits for. While they are not answered it waits
 * for us alone, however long the queue: that is told only after GRAPH_STATUS_LONG_MS.
 *
 * Source: kro:pkg/controller/instance/deletion.go; reference instance-runtime 4.1.
 */
#include "graph/inst.h"

#include "cel/base/banned.h"

static void blocked(struct inst_step *s, kr_str why)
{
    inst__status_deleting(s, kr_fmt(s->a, "deletion blocked: " KR_FMT, KR_ARG(why)), KR_S(""));
}

/* External references stay followed: another instance of this name may be the next that reads them. */
static void release_items(struct graph_inst *inst)
{
    for (uint32_t i = 0; i < inst->nodes_n; i++) {
        if (inst->rev && inst__is_external(inst, i))
            continue;
        for (uint32_t k = 0; k < inst->nodes[i].items_n; k++) {
            if (inst->nodes[i].items[k].ref)
                inst__item_release(inst, i, &inst->nodes[i].items[k]);
        }
    }
}

/* --- waves ------------------------------------------------------------------------------------ */

static int32_t highest_wave(const struct graph_inst *inst)
{
    int32_t wave = -1;

    for (uint32_t i = 0; i < inst->strays_n; i++) {
        const struct kr_rec *rec = inst->strays[i].rec;

        if (inst__stray_ours(rec) && rec->order > wave)
            wave = rec->order;
    }
    return wave;
}

static bool in_wave(const struct graph_inst *inst, const struct inst_stray *stray)
{
    return inst__stray_ours(stray->rec) && stray->rec->order == inst->wave;
}

/* "deleting resources", or what blocks or delays. Once told, a delay keeps its words. */
static kr_str wave_message(struct inst_step *s)
{
    struct graph_inst *inst = s->inst;
    uint64_t due =
        inst->wave_since_ms + (inst->wave_sent ? GRAPH_WAVE_STATUS_MS : GRAPH_STATUS_LONG_MS);
    kr_str text = KR_S("");
    uint32_t n = 0;

    for (uint32_t i = 0; i < inst->strays_n; i++) {
        const struct inst_stray *stray = &inst->strays[i];

        if (!in_wave(inst, stray))
            continue;
        if (stray->error)
            return kr_fmt(s->a, "deletion blocked: delete " KR_FMT ": %s",
                          KR_ARG(inst__object_text(s->a, kr_rec_ref(stray->rec))), stray->error);
        if (n++ < GRAPH_WAITS_MAX)
            text = kr_fmt(s->a, KR_FMT "%s" KR_FMT " " KR_FMT, KR_ARG(text), text.n ? ", " : "",
                          KR_ARG(kr_at_str(kr_rec_root(stray->rec), "kind")),
                          KR_ARG(inst__object_text(s->a, kr_rec_ref(stray->rec))));
    }
    if (s->env->now_ms < due) {
        inst__wake(s, due);
        return KR_S("deleting resources");
    }
    if (n > GRAPH_WAITS_MAX)
        text = kr_fmt(s->a, KR_FMT " and %u more", KR_ARG(text), n - GRAPH_WAITS_MAX);
    return kr_fmt(s->a, "deleting resources: waiting for " KR_FMT, KR_ARG(text));
}

static kr_str told(const struct graph_inst *inst)
{
    KR_LIST_EACH (c, kr_at(kr_rec_root(inst->parent), "status.conditions")) {
        if (kr_is_str(kr_get(*c, KR_S("type")), KR_S(GRAPH_C_RESOURCES)))
            return kr_text(kr_get(*c, KR_S("message")));
    }
    return KR_S("");
}

static void tell_wave(struct inst_step *s)
{
    struct graph_inst *inst = s->inst;
    kr_str message = wave_message(s), before = told(inst);
    bool late = kr_str_starts(message, KR_S("deleting resources: "));

    if (kr_str_starts(before, KR_S("deleting resources")) &&
        !kr_str_starts(message, KR_S("deletion blocked")) && (!late || inst->wave_told))
        message = before; /* the start is told once, a delay once a wave */
    inst__status_deleting(s, message, KR_S(""));
    if (late && inst->status.token)
        inst->wave_told = true;
}

/* Has the server taken a DELETE of each object of the wave that is still there? */
static bool is_sent(const struct graph_inst *inst)
{
    for (uint32_t i = 0; i < inst->strays_n; i++) {
        const struct inst_stray *stray = &inst->strays[i];

        if (in_wave(inst, stray) && (stray->token || !(stray->sent || stray->rec->terminating)))
            return false;
    }
    return true;
}

static void time_wave(struct inst_step *s, int32_t wave)
{
    struct graph_inst *inst = s->inst;
    bool begins = inst->wave != wave || !inst->wave_since_ms, sent;

    inst->wave = wave;
    sent = is_sent(inst);
    if (begins || sent != inst->wave_sent)
        inst->wave_since_ms = s->env->now_ms ? s->env->now_ms : 1;
    inst->wave_told = inst->wave_told && !begins;
    inst->wave_sent = sent;
}

static void step_wave(struct inst_step *s, int32_t wave)
{
    struct graph_inst *inst = s->inst;

    time_wave(s, wave);
    tell_wave(s);
    if (inst->status.token)
        return; /* that it is being deleted shows before the first object goes */
    if (inst__in_flight(inst))
        return; /* an apply that a DELETE overtakes would make the object again */
    for (uint32_t i = 0; i < inst->strays_n; i++) {
        struct inst_stray *stray = &inst->strays[i];

        if (in_wave(inst, stray) && !stray->token && !stray->sent && !stray->rec->terminating &&
            inst__due(s, &stray->retry)) {
            inst__delete(s, stray);
            inst->wave_since_ms = s->env->now_ms ? s->env->now_ms : 1;
        }
    }
}

/* --- finalizer -------------------------------------------------------------------------------- */

static kr_val finalizer_body(struct inst_step *s)
{
    const struct graph_inst *inst = s->inst;
    struct kr_listb rest = KR_LISTB(s->a);
    kr_val meta = kr_map_sorted(NULL, 0);

    KR_LIST_EACH (f, kr_at(kr_rec_root(inst->parent), "metadata.finalizers")) {
        if (!kr_is_str(*f, KR_S(GRAPH_FINALIZER)))
            kr_listb_add(&rest, *f);
    }
    meta =
        kr_with_key(s->a, meta, KR_S("resourceVersion"), kr_string(kr_rec_version(inst->parent)));
    meta = kr_with_key(s->a, meta, KR_S("finalizers"), kr_listb_done(&rest));
    return kr_with_key(s->a, kr_map_sorted(NULL, 0), KR_S("metadata"), meta);
}

static void step_finalizer(struct inst_step *s)
{
    struct graph_inst *inst = s->inst;
    struct inst_write *w = &inst->finalizer;
    uint64_t version = inst__str_digest(kr_rec_version(inst->parent));
    struct graph_action *action;

    if (w->token || inst->status.token || inst->labeller.token || inst->applyset.token)
        return; /* each makes a new version of the object */
    if (w->error && !w->retrying)
        inst__status_deleting(s, KR_S("deleting resources"),
                              kr_fmt(s->a, "failed removing finalizer: %s", w->error));
    if (inst->status.token || !inst__due(s, &w->retry))
        return;
    if (w->fresh && w->sent == version)
        return; /* the end is on its way */
    w->token = inst__token(inst);
    w->sent = version;
    w->fresh = false;
    action = graph_plan_add(s->plan, GRAPH_A_FINALIZER);
    action->token = w->token;
    action->ref = inst->ref;
    action->gvk = inst->gvk;
    action->body = kr_copy(s->a, finalizer_body(s));
}

/* --- the step --------------------------------------------------------------------------------- */

/* An apply in flight, or one whose outcome nobody told, may still make a member; and so may one of the
 * process that led before. */
static bool waits_for_applies(struct inst_step *s)
{
    uint64_t until = s->inst->unsure_until_ms;

    if (inst__in_flight(s->inst))
        return true;
    if (until < s->env->unheard_until_ms)
        until = s->env->unheard_until_ms;
    if (until <= s->env->now_ms)
        return false;
    inst__wake(s, until);
    return true;
}

void inst__step_delete(struct inst_step *s)
{
    struct graph_inst *inst = s->inst;
    struct kr_err err = KR_ERR_NONE;
    const struct inst_inventory *wire;
    int32_t wave;

    inst->phase = INST_DELETING;
    inst->status_dirty = inst->manage_dirty = false;
    release_items(inst);
    inst->status_dirty = inst->manage_dirty = false;
    if (inst->dirty.n)
        kr_bits_zero(&inst->dirty);
    if (!inst__has_finalizer(inst))
        return;
    if (inst__inventory_validate(s, &err) < 0) {
        kr_wrap(&err, "validate deletion inventory");
        blocked(s, kr_err_str(&err));
        return;
    }
    wire = inst__wire(s);
    inst__ask_types(s, wire->kinds, wire->kinds_n);
    if (inst->types_asked && !inst->types_known) {
        if (inst->types_why)
            blocked(s, kr_fmt(s->a, "list deletion inventory: %s", inst->types_why));
        return;
    }
    wave = highest_wave(inst);
    if (wave >= 0)
        step_wave(s, wave);
    else if (!waits_for_applies(s))
        step_finalizer(s);
}
