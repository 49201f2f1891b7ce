/* SPDX-License-Identifier: Apache-2.0 */
/* roll.c - when a change of what instances read reaches their existing children.
 *
 * A roll is a write of an object that exists whose wish has changed, and not by an edit of the
 * instance itself: an external object, another node or the definition is what moved. Creation,
 * repair of drift, and what an edit of the instance leads to are no rolls and never wait here.
 *
 *   wish changed --pause?--> held --debounce over?--> held --free place?--> PATCH: rolling
 *                                                                              |
 *     patched nodes ready (readyWhen; else by kstatus' rules), or ten minutes  v  the place is free
 *
 * What a former process has begun is looked for in the first step of an instance: a child that is
 * there and not done counts as rolling, ten minutes at most from then on. Until all instances of a
 * definition have looked, no place is given (GRAPH_ROLLING_UNKNOWN).
 *
 * The debounce ends when nothing more came for that long, or at ten times that since the first
 * change. Places are counted by the reactor, for all instances of a definition.
 *
 * Source: docs/roll.md; kstatus: sigs.k8s.io/cli-utils pkg/kstatus/status/core.go.
 */
#include "graph/inst.h"

#include "cel/base/time.h"

#include "cel/base/banned.h"

enum { VALUE_SHOWN_MAX = 64 }; /* bytes of a value in a message */

/* --- annotations ------------------------------------------------------------------------------ */

static bool is_word(kr_str v, const char *word)
{
    size_t i = 0;

    while (i < v.n && word[i] && (v.s[i] | 0x20) == word[i])
        i++;
    return i == v.n && !word[i];
}

/* The values; -1: not readable. */
static int64_t debounce_of(kr_str v)
{
    int64_t ns;

    if (!v.n || !kr_duration_parse(v, &ns) || ns < 0)
        return -1;
    return ns / 1000000 < GRAPH_DEBOUNCE_MAX_MS ? ns / 1000000 : GRAPH_DEBOUNCE_MAX_MS;
}

static bool is_cut(kr_str debounce)
{
    int64_t ns;

    return kr_duration_parse(debounce, &ns) && ns > INT64_C(1000000) * GRAPH_DEBOUNCE_MAX_MS;
}

static int64_t max_of(kr_str v)
{
    int64_t n;

    return kr_str_i64(v, &n) && n >= 0 && n <= INT32_MAX ? n : -1;
}

static int pause_of(kr_str v)
{
    return is_word(v, "true") ? 1 : is_word(v, "false") ? 0 : -1;
}

void graph_roll_read(kr_val annotations, struct graph_roll *roll)
{
    kr_str debounce = kr_text(kr_get(annotations, KR_S(GRAPH_ANNO_ROLL_DEBOUNCE))),
           max = kr_text(kr_get(annotations, KR_S(GRAPH_ANNO_ROLL_MAX))),
           pause = kr_text(kr_get(annotations, KR_S(GRAPH_ANNO_ROLL_PAUSE)));

    if (debounce_of(debounce) >= 0)
        roll->debounce_ms = (uint64_t)debounce_of(debounce);
    if (max_of(max) >= 0)
        roll->max_concurrent = (uint32_t)max_of(max);
    if (pause_of(pause) >= 0)
        roll->pause = pause_of(pause);
    roll->asked |= debounce.n || max.n || pause.n;
}

kr_str graph_roll_ignored(kr_val annotations, struct kr_arena *a)
{
    static const struct {
        const char *key, *wanted;
    } all[] = {{GRAPH_ANNO_ROLL_DEBOUNCE, "a duration such as 30s"},
               {GRAPH_ANNO_ROLL_MAX, "a number from 0 to 2147483647"},
               {GRAPH_ANNO_ROLL_PAUSE, "true or false"}};
    kr_str text = KR_S("");

    for (size_t i = 0; i < KR_N(all); i++) {
        kr_str v = kr_text(kr_get(annotations, kr_str_c(all[i].key)));
        bool ok[] = {debounce_of(v) >= 0, max_of(v) >= 0, pause_of(v) >= 0};
        bool cut = i == 0 && is_cut(v);

        if (v.n && (!ok[i] || cut))
            text = kr_fmt(a, KR_FMT "%s%s is %s: " KR_FMT " is %s%s", KR_ARG(text),
                          text.n ? "; " : "", all[i].key, cut ? "cut" : "ignored",
                          KR_ARG(graph__go_quote(a, kr_str_sub(v, 0, VALUE_SHOWN_MAX))),
                          cut ? "more than 24h, which holds" : "not ", cut ? "" : all[i].wanted);
    }
    return text;
}

bool graph_roll_eq(const struct graph_roll *x, const struct graph_roll *y)
{
    return x->debounce_ms == y->debounce_ms && x->max_concurrent == y->max_concurrent &&
           x->pause == y->pause && x->asked == y->asked;
}

void inst__roll_begin(struct inst_step *s)
{
    s->roll = s->env->roll;
    graph_roll_read(kr_at(kr_rec_root(s->inst->parent), "metadata.annotations"), &s->roll);
    s->inst->roll.waits = false;
    s->inst->roll.asked = s->roll.asked;
}

/* --- holding ---------------------------------------------------------------------------------- */

static bool is_off(const struct inst_step *s)
{
    return !s->roll.pause && !s->roll.debounce_ms && !s->roll.max_concurrent;
}

static bool is_roll(const struct inst_step *s, uint32_t rank, const struct inst_item *item,
                    uint64_t desired)
{
    uint32_t cause = s->inst->nodes[rank].cause_rank;

    if (!item->seen || item->seen->terminating || desired == item->ok_desired)
        return false;
    return cause != s->inst->nodes_n && !(s->inst->edited && cause < s->inst->nodes_n);
}

void inst__roll_moved(struct inst_step *s, uint32_t rank, const struct inst_item *item,
                      uint64_t desired)
{
    struct inst_roll *r = &s->inst->roll;

    if (!s->roll.debounce_ms || desired == item->desired || !is_roll(s, rank, item, desired))
        return;
    r->last_ms = s->env->now_ms ? s->env->now_ms : 1;
    if (!r->first_ms)
        r->first_ms = r->last_ms;
}

static uint64_t debounce_end(const struct inst_step *s)
{
    const struct inst_roll *r = &s->inst->roll;
    uint64_t quiet = r->last_ms + s->roll.debounce_ms,
             latest = r->first_ms + 10 * s->roll.debounce_ms;

    return quiet < latest ? quiet : latest;
}

bool inst__roll_holds(struct inst_step *s, uint32_t rank, const struct inst_item *item)
{
    struct inst_roll *r = &s->inst->roll;

    if (is_off(s) || !is_roll(s, rank, item, item->desired))
        return false;
    if (s->roll.pause)
        return true;
    if (s->roll.debounce_ms && r->first_ms && s->env->now_ms < debounce_end(s)) {
        inst__wake(s, debounce_end(s));
        return true;
    }
    if (!s->roll.max_concurrent || r->since_ms || s->env->rolling < s->roll.max_concurrent)
        return false;
    r->waits = true;
    return true;
}

void inst__roll_sent(struct inst_step *s, uint32_t rank, const struct inst_item *item)
{
    struct inst_roll *r = &s->inst->roll;

    if (!is_roll(s, rank, item, item->desired))
        return;
    r->first_ms = r->last_ms = 0;
    s->inst->nodes[rank].rolling = true;
    if (!r->since_ms)
        r->since_ms = s->env->now_ms ? s->env->now_ms : 1;
}

/* --- the end of a roll ------------------------------------------------------------------------ */

static int64_t number(kr_val root, const char *path, int64_t other)
{
    kr_val v = kr_at(root, path);

    return v.kind == KR_INT ? v.i : other;
}

static bool deployment_done(kr_val o)
{
    int64_t want = number(o, "spec.replicas", 1), updated = number(o, "status.updatedReplicas", 0);

    return updated >= want && number(o, "status.replicas", 0) <= updated &&
           number(o, "status.availableReplicas", 0) >= want;
}

static bool stateful_set_done(kr_val o)
{
    int64_t want = number(o, "spec.replicas", 1),
            partition = number(o, "spec.updateStrategy.rollingUpdate.partition", 0);

    if (kr_is_str(kr_at(o, "spec.updateStrategy.type"), KR_S("OnDelete")))
        return true;
    if (number(o, "status.readyReplicas", 0) < want)
        return false;
    if (partition > 0)
        return number(o, "status.updatedReplicas", 0) >= want - partition;
    return kr_equal(kr_at(o, "status.currentRevision"), kr_at(o, "status.updateRevision"));
}

static bool daemon_set_done(kr_val o)
{
    int64_t want = number(o, "status.desiredNumberScheduled", -1);

    return want >= 0 && number(o, "status.updatedNumberScheduled", 0) >= want &&
           number(o, "status.numberAvailable", 0) >= want;
}

bool graph__is_workload(kr_gvk gvk)
{
    return kr_str_is(gvk.group, "apps") &&
           (kr_str_is(gvk.kind, "Deployment") || kr_str_is(gvk.kind, "StatefulSet") ||
            kr_str_is(gvk.kind, "DaemonSet"));
}

/* Has the object's controller seen the patch, and, where nobody says what ready means, done it? */
static bool object_done(const struct graph_node *node, const struct kr_rec *rec)
{
    if (!graph__is_workload(node->gvk))
        return true;
    if (number(kr_rec_root(rec), "status.observedGeneration", 0) < rec->generation)
        return false;
    if (node->spec->ready_n)
        return true;
    if (kr_str_is(node->gvk.kind, "Deployment"))
        return deployment_done(kr_rec_root(rec));
    return kr_str_is(node->gvk.kind, "StatefulSet") ? stateful_set_done(kr_rec_root(rec))
                                                    : daemon_set_done(kr_rec_root(rec));
}

/* Of a node that waits for an input no item knows its objects yet, but their labels tell. What
 * readyWhen says of them is not known either. */
static bool is_unfinished_stray(const struct inst_step *s, uint32_t rank)
{
    const struct graph_node *node = &s->inst->rev->nodes[rank];

    for (uint32_t i = 0; i < s->inst->strays_n; i++) {
        const struct kr_rec *rec = s->inst->strays[i].rec;

        if (graph_rev_rank_of_label(s->inst->rev, kr_rec_node_id(rec)) == (int32_t)rank &&
            (node->spec->ready_n || !object_done(node, rec)))
            return true;
    }
    return false;
}

/* Is a child of the node there that is not done? */
static bool is_unfinished(const struct inst_step *s, uint32_t rank)
{
    const struct inst_node *node = &s->inst->nodes[rank];
    bool there = false;

    if (node->state == INST_NEW)
        return is_unfinished_stray(s, rank);
    if (inst__is_external(s->inst, rank) || node->state != INST_RESOLVED)
        return false;
    for (uint32_t k = 0; k < node->items_n; k++) {
        const struct kr_rec *rec = node->items[k].seen;

        if (rec && !object_done(&s->inst->rev->nodes[rank], rec))
            return true;
        there |= rec != NULL;
    }
    return there && node->ready != INST_READY;
}

static bool node_done(const struct inst_step *s, uint32_t rank)
{
    const struct inst_node *node = &s->inst->nodes[rank];

    if (node->state != INST_RESOLVED) /* it is told elsewhere what is wrong with it */
        return node->state != INST_NEW || !is_unfinished(s, rank);
    for (uint32_t k = 0; k < node->items_n; k++) {
        const struct inst_item *item = &node->items[k];

        if (item->token || !item->seen || !object_done(&s->inst->rev->nodes[rank], item->seen))
            return false;
    }
    return node->hold == HOLD_NONE && node->ready == INST_READY;
}

/* Why what is held is held, as it is told. */
enum { FOR_PAUSE = 1, FOR_PLACE, FOR_MORE };

static int reason(const struct inst_step *s)
{
    if (s->roll.pause)
        return FOR_PAUSE;
    return s->inst->roll.waits ? FOR_PLACE : FOR_MORE;
}

/* Once in a life: rolls that a former process has begun. */
static void look_back(struct inst_step *s)
{
    struct inst_roll *r = &s->inst->roll;

    r->known = true;
    for (uint32_t i = 0; i < s->inst->nodes_n; i++) {
        if (!is_unfinished(s, i))
            continue;
        s->inst->nodes[i].rolling = true;
        if (!r->since_ms)
            r->since_ms = s->env->now_ms ? s->env->now_ms : 1;
    }
    if (r->since_ms && r->waits)
        inst__wake(s, s->env->now_ms); /* it has a place */
}

void inst__roll_step(struct inst_step *s)
{
    struct graph_inst *inst = s->inst;
    struct inst_roll *r = &inst->roll;
    bool late = r->since_ms && s->env->now_ms >= r->since_ms + GRAPH_ROLL_MAX_MS, left = false;

    if (!r->known)
        look_back(s);
    r->look = false;
    inst->status_dirty |= r->told != reason(s);
    r->told = (uint8_t)reason(s);
    if (!r->since_ms)
        return;
    for (uint32_t i = 0; i < inst->nodes_n; i++) {
        struct inst_node *node = &inst->nodes[i];

        node->rolling = node->rolling && !late && !node_done(s, i);
        left |= node->rolling;
    }
    if (left)
        inst__wake(s, r->since_ms + GRAPH_ROLL_MAX_MS);
    else
        r->since_ms = 0;
}

void inst__roll_stop(struct graph_inst *inst)
{
    for (uint32_t i = 0; i < inst->nodes_n && inst->roll.since_ms; i++)
        inst->nodes[i].rolling = false;
    inst->roll = (struct inst_roll){.known = true};
}

bool graph_inst_rolls(const struct graph_inst *inst)
{
    return inst->roll.since_ms != 0;
}

bool graph_inst_roll_known(const struct graph_inst *inst)
{
    return inst->roll.known;
}

bool graph_inst_roll_asked(const struct graph_inst *inst)
{
    return inst->roll.asked;
}

bool graph_inst_roll_waits(const struct graph_inst *inst)
{
    return inst->roll.waits;
}

void graph_inst_roll_look(struct graph_inst *inst)
{
    inst->roll.look = true;
}

/* --- what is told ----------------------------------------------------------------------------- */

kr_str inst__roll_text(struct inst_step *s)
{
    const struct graph_inst *inst = s->inst;
    kr_str nodes = KR_S("");
    uint32_t n = 0;

    for (uint32_t i = 0; i < inst->nodes_n; i++) {
        bool held = false;

        for (uint32_t k = 0; k < inst->nodes[i].items_n && !held; k++)
            held = inst->nodes[i].items[k].hold == HOLD_ROLL;
        if (held && n++ < GRAPH_WAITS_MAX)
            nodes = kr_fmt(s->a, KR_FMT "%s\"" KR_FMT "\"", KR_ARG(nodes), nodes.n ? ", " : "",
                           KR_ARG(inst->rev->nodes[i].id));
    }
    if (n == 0)
        return nodes;
    if (n > GRAPH_WAITS_MAX)
        nodes = kr_fmt(s->a, KR_FMT " and %u more", KR_ARG(nodes), n - GRAPH_WAITS_MAX);
    if (reason(s) == FOR_PAUSE)
        return kr_fmt(s->a, "changes of %s " KR_FMT " wait: %s is set", n > 1 ? "nodes" : "node",
                      KR_ARG(nodes), GRAPH_ANNO_ROLL_PAUSE);
    if (reason(s) == FOR_PLACE && s->env->rolling == GRAPH_ROLLING_UNKNOWN)
        return kr_fmt(s->a, "changes of %s " KR_FMT " wait until it is known who rolls (%s)",
                      n > 1 ? "nodes" : "node", KR_ARG(nodes), GRAPH_ANNO_ROLL_MAX);
    if (reason(s) == FOR_PLACE)
        return kr_fmt(s->a,
                      "changes of %s " KR_FMT " wait: %u instances of \"" KR_FMT
                      "\" are rolling, which is the most (%s)",
                      n > 1 ? "nodes" : "node", KR_ARG(nodes), s->env->rolling,
                      KR_ARG(inst->rev->rgd_name), GRAPH_ANNO_ROLL_MAX);
    return kr_fmt(s->a, "changes of %s " KR_FMT " wait for more to come (%s)",
                  n > 1 ? "nodes" : "node", KR_ARG(nodes), GRAPH_ANNO_ROLL_DEBOUNCE);
}
