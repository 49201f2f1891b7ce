/* SPDX-License-Identifier: Apache-2.0 */
/* status.c - the status of an instance: conditions, state, projections; and when it is written.
 *
 * The status is a function of the node states and of what is on the wire (times of transitions). It
 * is compared with the wire as JSON; equal means nothing is sent. At most one PUT is in flight;
 * changes that come meanwhile are taken up when it is answered.
 *
 *   ACTIVE, suspended, no revision       at once
 *   refused, or something is waited for  at once, and a second after the last write
 *   errors that may pass by themselves   when they last a second
 *   answers to our own requests          only when they take GRAPH_STATUS_LONG_MS, and then once: they
 *                                        tell the rest; each ends by itself
 *
 * So an instance whose children are ready at once gets one write, one that waits gets two. An edit of
 * the spec gets one, however slow the server.
 *
 * Source: kro:pkg/controller/instance/status.go; reference instance-runtime 2.11, 3.
 */
#include "graph/inst.h"

#include "cel/base/banned.h"

static const char *const types[] = {GRAPH_C_READY, GRAPH_C_MANAGED, GRAPH_C_RESOLVED,
                                    GRAPH_C_RESOURCES, NULL};

/* When a difference from the wire is written: at once; at once but at most one a
 * GRAPH_STATUS_MIN_MS; when it has lasted that long; when it has lasted GRAPH_STATUS_LONG_MS; with the
 * next answer. */
enum urgency { AT_ONCE, RATED, AFTER_A_WHILE, AFTER_LONG, WITH_ANSWER };

/* --- texts ------------------------------------------------------------------------------------ */

struct texts {
    struct kr_arena *a;
    kr_str items[GRAPH_WAITS_MAX];
    uint32_t n; /* all, also those that did not fit */
};

static void texts_add(struct texts *t, kr_str text)
{
    if (t->n < GRAPH_WAITS_MAX)
        t->items[t->n] = text;
    t->n++;
}

static kr_str texts_join(const struct texts *t, const char *sep)
{
    kr_str out = t->n ? t->items[0] : KR_S("");

    for (uint32_t i = 1; i < t->n && i < GRAPH_WAITS_MAX; i++)
        out = kr_fmt(t->a, KR_FMT "%s" KR_FMT, KR_ARG(out), sep, KR_ARG(t->items[i]));
    if (t->n > GRAPH_WAITS_MAX)
        out = kr_fmt(t->a, KR_FMT "%sand %u more", KR_ARG(out), sep, t->n - GRAPH_WAITS_MAX);
    return out;
}

/* What keeps the nodes from being ready, in topological order. */
struct summary {
    struct texts broken;  /* expressions, types: kro stops there */
    struct texts results; /* failed applies and unmet readiness */
    struct texts pending; /* values that are not there yet */
    kr_str by_dep;        /* the first that waits for another node only */
    struct texts flight;  /* not answered, or held */
    struct texts slowed;  /* writes that are held on purpose */
    kr_str deleting;      /* a child that is being deleted */
    bool error, retrying; /* some node is in error; all such errors may pass */
};

static kr_str gvr_text(struct kr_arena *a, kr_gvr gvr)
{
    return kr_fmt(a, KR_FMT "/" KR_FMT ", Resource=" KR_FMT, KR_ARG(gvr.group), KR_ARG(gvr.version),
                  KR_ARG(gvr.resource));
}

kr_str inst__object_text(struct kr_arena *a, kr_ref ref)
{
    if (ref.namespace.n == 0)
        return ref.name;
    return kr_fmt(a, KR_FMT "/" KR_FMT, KR_ARG(ref.namespace), KR_ARG(ref.name));
}

static void sum_error(struct summary *sum, struct texts *list, kr_str text, bool retrying)
{
    sum->retrying = retrying && (!sum->error || sum->retrying);
    sum->error = true;
    texts_add(list, text);
}

/* Same words as kro: pkg/controller/instance/resources_external.go. */
static void sum_found(struct inst_step *s, struct summary *sum, uint32_t rank)
{
    const struct inst_node *node = &s->inst->nodes[rank];
    kr_str id = s->inst->rev->nodes[rank].id;
    kr_str why = inst__why_not_ready(s->inst, s->a, rank);

    if (inst__told(node, TEXT_UNKNOWN) && !node->answered)
        sum_error(sum, &sum->broken,
                  kr_fmt(s->a, "failed to list external collection " KR_FMT ": %s", KR_ARG(id),
                         inst__told(node, TEXT_UNKNOWN)),
                  false);
    else if (!node->answered)
        texts_add(&sum->flight,
                  kr_fmt(s->a, "waiting for external collection \"" KR_FMT "\" to be listed",
                         KR_ARG(id)));
    else if (node->ready == INST_BROKEN)
        sum_error(sum, &sum->broken, why, false);
    else if (node->ready != INST_READY)
        texts_add(&sum->results,
                  kr_fmt(s->a, "waiting for external collection \"" KR_FMT "\": " KR_FMT,
                         KR_ARG(id), KR_ARG(why)));
}

/* Same words as kro: pkg/controller/instance/resources.go. */
static void sum_external(struct inst_step *s, struct summary *sum, uint32_t rank)
{
    const struct inst_node *node = &s->inst->nodes[rank];
    kr_str id = s->inst->rev->nodes[rank].id;

    if (inst__told(node, TEXT_UNKNOWN) && !node->one.seen)
        sum_error(
            sum, &sum->broken,
            kr_fmt(s->a, "node \"" KR_FMT "\": %s", KR_ARG(id), inst__told(node, TEXT_UNKNOWN)),
            false);
    else if (!node->one.seen)
        texts_add(
            &sum->results,
            kr_fmt(s->a, "waiting for external reference \"" KR_FMT "\": not found", KR_ARG(id)));
    else if (node->ready == INST_BROKEN)
        sum_error(sum, &sum->broken,
                  kr_fmt(s->a, "node \"" KR_FMT "\": %s", KR_ARG(id), inst__told(node, TEXT_READY)),
                  false);
    else if (node->ready != INST_READY)
        texts_add(&sum->results,
                  kr_fmt(s->a, "waiting for external reference \"" KR_FMT "\": " KR_FMT, KR_ARG(id),
                         KR_ARG(inst__why_not_ready(s->inst, s->a, rank))));
}

static void sum_deleting(struct inst_step *s, struct summary *sum, uint32_t rank,
                         const struct inst_item *item)
{
    if (item->seen && (item->seen->terminating || item->deleting) && sum->deleting.n == 0)
        sum->deleting =
            kr_fmt(s->a,
                   "resource \"" KR_FMT "\" for node \"" KR_FMT "\" is currently being deleted; "
                   "waiting for deletion to complete before continuing reconciliation",
                   KR_ARG(inst__object_text(s->a, kr_rec_ref(item->seen))),
                   KR_ARG(s->inst->rev->nodes[rank].id));
}

/* What the items say together: the first error in their order, as kro does. */
static void sum_items(struct inst_step *s, struct summary *sum, uint32_t rank, bool *failed,
                      bool *flying)
{
    const struct inst_node *node = &s->inst->nodes[rank];

    for (uint32_t k = 0; k < node->items_n; k++) {
        const struct inst_item *item = &node->items[k];

        sum_deleting(s, sum, rank, item);
        *flying |= item->token || inst__is_kept(item->hold) || !item->seen;
        if (!item->error || *failed)
            continue;
        *failed = true;
        sum_error(sum, &sum->results, kr_fmt(s->a, "collection item %u: %s", k, item->error),
                  item->retrying);
    }
}

static void sum_collection(struct inst_step *s, struct summary *sum, uint32_t rank)
{
    const struct inst_node *node = &s->inst->nodes[rank];
    kr_str id = s->inst->rev->nodes[rank].id;
    kr_str why = inst__why_not_ready(s->inst, s->a, rank);
    bool failed = false, flying = inst__is_kept(node->hold);

    if (node->known)
        sum_items(s, sum, rank, &failed, &flying);
    else
        sum_error(sum, &sum->broken,
                  kr_fmt(s->a, "node \"" KR_FMT "\": failed to list collection items: " KR_FMT,
                         KR_ARG(id), KR_ARG(inst__str(inst__told(node, TEXT_UNKNOWN)))),
                  false);
    if (failed || !node->known)
        return;
    if (node->ready == INST_BROKEN)
        sum_error(sum, &sum->results, why, false);
    else if (flying)
        texts_add(&sum->flight,
                  kr_fmt(s->a, "waiting for node \"" KR_FMT "\" to be applied", KR_ARG(id)));
    else if (node->ready != INST_READY)
        texts_add(&sum->results, kr_fmt(s->a, "waiting for node \"" KR_FMT "\": " KR_FMT,
                                        KR_ARG(id), KR_ARG(why)));
}

static void sum_resource(struct inst_step *s, struct summary *sum, uint32_t rank)
{
    const struct inst_node *node = &s->inst->nodes[rank];
    const struct inst_item *item = &node->items[0];
    kr_str id = s->inst->rev->nodes[rank].id;
    kr_str why = inst__why_not_ready(s->inst, s->a, rank);

    sum_deleting(s, sum, rank, item);
    if (!node->known)
        sum_error(sum, &sum->broken,
                  kr_fmt(s->a, "node \"" KR_FMT "\": " KR_FMT, KR_ARG(id),
                         KR_ARG(inst__str(inst__told(node, TEXT_UNKNOWN)))),
                  false);
    else if (item->error)
        sum_error(sum, &sum->results, inst__str(item->error), item->retrying);
    else if (node->ready == INST_BROKEN)
        sum_error(sum, &sum->results,
                  kr_fmt(s->a, "node \"" KR_FMT "\": " KR_FMT, KR_ARG(id), KR_ARG(why)), false);
    else if (item->token || inst__is_kept(node->hold) || !item->seen)
        texts_add(&sum->flight,
                  kr_fmt(s->a, "waiting for node \"" KR_FMT "\" to be applied", KR_ARG(id)));
    else if (node->ready != INST_READY)
        texts_add(&sum->results, kr_fmt(s->a, "waiting for node \"" KR_FMT "\": " KR_FMT,
                                        KR_ARG(id), KR_ARG(why)));
}

static void sum_node(struct inst_step *s, struct summary *sum, uint32_t rank)
{
    const struct graph_node *spec = &s->inst->rev->nodes[rank];
    const struct inst_node *node = &s->inst->nodes[rank];
    kr_str text;

    switch ((enum inst_state)node->state) {
    case INST_SKIPPED:
        return;
    case INST_NEW:
        texts_add(&sum->flight,
                  kr_fmt(s->a, "waiting for the inputs of node \"" KR_FMT "\"", KR_ARG(spec->id)));
        return;
    case INST_FAILED:
        sum_error(sum, &sum->broken, inst__str(inst__told(node, TEXT_WHY)), false);
        return;
    case INST_PENDING:
        text = kr_fmt(s->a, "gvr \"" KR_FMT "\": %s", KR_ARG(gvr_text(s->a, spec->gvr)),
                      inst__told(node, TEXT_WHY));
        if (!node->by_dep)
            texts_add(&sum->pending, text);
        else if (sum->by_dep.n == 0)
            sum->by_dep = text;
        return;
    case INST_RESOLVED:
        if (spec->kind == GRAPH_EXTERNAL)
            sum_external(s, sum, rank);
        else if (spec->kind == GRAPH_EXTERNAL_COLLECTION)
            sum_found(s, sum, rank);
        else if (spec->kind == GRAPH_COLLECTION)
            sum_collection(s, sum, rank);
        else
            sum_resource(s, sum, rank);
    }
}

static kr_str prune_error(struct inst_step *s)
{
    /* While prune is held back its former errors say nothing. */
    for (uint32_t i = 0; i < s->inst->strays_n && inst__all_applied(s); i++) {
        const struct inst_stray *stray = &s->inst->strays[i];

        if (stray->error)
            return kr_fmt(s->a, "delete " KR_FMT ": %s",
                          KR_ARG(inst__object_text(s->a, kr_rec_ref(stray->rec))), stray->error);
    }
    return KR_S("");
}

/* The message of ResourcesReady when it is not True: every wait is named. */
static kr_str problem(struct inst_step *s, const struct summary *sum)
{
    const struct graph_inst *inst = s->inst;
    struct texts all = {.a = s->a};
    kr_str prune = prune_error(s);

    if (inst->projection_error)
        texts_add(&all, kr_fmt(s->a, "project failed: %s", inst->projection_error));
    if (inst->applyset.error)
        texts_add(&all, kr_fmt(s->a, "failed to patch instance with applyset labels: %s",
                               inst->applyset.error));
    if (sum->broken.n)
        texts_add(&all, texts_join(&sum->broken, "\n"));
    if (sum->results.n)
        texts_add(&all, kr_fmt(s->a, "apply results contain errors: " KR_FMT,
                               KR_ARG(texts_join(&sum->results, "\n"))));
    if (sum->pending.n || (sum->by_dep.n && !all.n && !sum->flight.n))
        texts_add(&all,
                  kr_fmt(s->a, "waiting for unresolved resource: " KR_FMT,
                         KR_ARG(sum->pending.n ? texts_join(&sum->pending, "\n") : sum->by_dep)));
    if (prune.n)
        texts_add(&all, kr_fmt(s->a, "prune failed: " KR_FMT, KR_ARG(prune)));
    if (all.n && sum->slowed.n)
        texts_add(&all, texts_join(&sum->slowed, "\n"));
    if (all.n)
        return kr_fmt(s->a, "resource reconciliation failed: " KR_FMT,
                      KR_ARG(texts_join(&all, "\n")));
    if (sum->slowed.n || sum->flight.n)
        return kr_fmt(s->a, "awaiting resource readiness: " KR_FMT,
                      KR_ARG(texts_join(sum->slowed.n ? &sum->slowed : &sum->flight, "\n")));
    return KR_S("");
}

/* --- conditions ------------------------------------------------------------------------------- */

static void load(struct inst_step *s, struct graph_conds *c)
{
    uint32_t kept = 0;

    kr_val object = kr_rec_root(s->inst->parent);

    if (inst__author_has(s->inst)) /* what the wire has is the author's, whatever its type */
        object = kr_with_key(s->a, object, KR_S("status"), KR_V_NONE);
    graph__conds_load(c, s->a, types, object, s->env->wall_s);
    for (uint32_t i = 0; i < c->n; i++) {
        for (uint32_t t = 0; types[t]; t++) {
            if (kr_str_eq(c->items[i].type, kr_str_c(types[t]))) {
                c->items[kept++] = c->items[i];
                break;
            }
        }
    }
    c->n = kept;
}

/* Same words as kro: pkg/controller/instance/controller.go. */
static bool set_managed(struct inst_step *s, struct graph_conds *c)
{
    const struct graph_inst *inst = s->inst;
    kr_str text;

    if (inst->managed_error)
        text =
            kr_fmt(s->a,
                   "finalizer/labeling failed: cannot install finalizer with invalid ApplySet "
                   "inventory; repair "
                   "the metadata, or remove it only after confirming no managed members remain: %s",
                   inst->managed_error);
    else if (inst->labeller.error)
        text =
            kr_fmt(s->a, "finalizer/labeling failed: failed applying managed finalizer/labels: %s",
                   inst->labeller.error);
    else {
        graph__conds_set(c, GRAPH_C_MANAGED, "True", "Managed",
                         KR_S("instance is properly managed with finalizers and labels"));
        return true;
    }
    graph__conds_set(c, GRAPH_C_MANAGED, "False", "ManagementFailed", text);
    return false;
}

static void set_resolved(struct graph_conds *c)
{
    graph__conds_set(c, GRAPH_C_RESOLVED, "True", "Resolved",
                     KR_S("runtime graph created and all resources resolved"));
}

static bool ready_now(const struct graph_conds *c)
{
    const struct graph_cond *ready = graph__conds_get(c, GRAPH_C_READY);

    return kr_str_is(ready->status, "True") && ready->observed_generation == c->generation;
}

/* --- writing ---------------------------------------------------------------------------------- */

/* status.conditions of the normal path. */
static kr_val conditions_of(struct inst_step *s, const struct graph_conds *c, bool observed)
{
    if (inst__author_has(s->inst))
        return inst__author_conditions(s, c, observed);
    inst__text(&s->inst->author.error, KR_S(""));
    return graph__conds_value(c);
}

static kr_val build(struct inst_step *s, kr_val conditions, kr_val user, const char *state)
{
    struct kr_mapb m = KR_MAPB(s->a);

    KR_MAP_EACH (p, user) {
        if (!kr_is_str(p->key, KR_S("conditions")) && !kr_is_str(p->key, KR_S("state")))
            kr_mapb_put(&m, kr_text(p->key), p->val);
    }
    if (conditions.kind != KR_NONE)
        kr_mapb_put(&m, KR_S("conditions"), conditions);
    kr_mapb_put(&m, KR_S("state"), kr_string(kr_str_c(state)));
    return kr_mapb_done(&m);
}

static kr_val body_of(struct inst_step *s, kr_val status)
{
    const struct graph_inst *inst = s->inst;
    struct kr_mapb meta = KR_MAPB(s->a), body = KR_MAPB(s->a);

    kr_mapb_put(&meta, KR_S("name"), kr_string(inst->ref.name));
    if (inst->ref.namespace.n)
        kr_mapb_put(&meta, KR_S("namespace"), kr_string(inst->ref.namespace));
    kr_mapb_put(&meta, KR_S("uid"), kr_string(kr_strdup(s->a, kr_rec_uid(inst->parent))));
    kr_mapb_put(&meta, KR_S("resourceVersion"),
                kr_string(kr_strdup(s->a, kr_rec_version(inst->parent))));
    kr_mapb_put(&body, KR_S("apiVersion"),
                kr_string(kr_api_version_text(s->a, inst->gvk.group, inst->gvk.version)));
    kr_mapb_put(&body, KR_S("kind"), kr_string(inst->gvk.kind));
    kr_mapb_put(&body, KR_S("metadata"), kr_mapb_done(&meta));
    kr_mapb_put(&body, KR_S("status"), status);
    return kr_mapb_done(&body);
}

static void send(struct inst_step *s, kr_val status, uint64_t digest)
{
    struct graph_inst *inst = s->inst;
    struct graph_action *action = graph_plan_add(s->plan, GRAPH_A_STATUS);

    inst->status.token = inst__token(inst);
    inst->status.sent = inst__str_digest(kr_rec_version(inst->parent));
    inst->status_value = digest;
    inst->status_wire = 0;
    inst->status_last_ms = s->env->now_ms;
    inst->diff_since_ms = 0;
    inst->status_dirty = false;
    action->token = inst->status.token;
    action->ref = inst->ref;
    action->gvk = inst->gvk;
    action->body = body_of(s, status);
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Not now: again at due_ms (0: with the next answer). */
static void owe(struct inst_step *s, uint64_t due_ms)
{
    s->inst->status_dirty = false;
    s->inst->status_owed = true;
    s->inst->status_due_ms = due_ms;
    if (due_ms)
        inst__wake(s, due_ms);
}

/* Is there a status to compute? */
static bool is_wanted(struct inst_step *s)
{
    struct graph_inst *inst = s->inst;

    if (inst->status_due_ms && inst->status_due_ms <= s->env->now_ms)
        inst->status_dirty = true;
    if (inst->status_dirty) {
        inst->status_owed = false;
        inst->status_due_ms = 0;
        return true;
    }
    if (inst->status_due_ms)
        inst__wake(s, inst->status_due_ms);
    return false;
}

static uint64_t due_time(struct inst_step *s, enum urgency urgency)
{
    struct graph_inst *inst = s->inst;
    uint64_t due = inst->status.retry.at_ms;

    if (urgency != AT_ONCE && inst->status_last_ms)
        due = max_u64(due, inst->status_last_ms + GRAPH_STATUS_MIN_MS);
    if (urgency == AFTER_A_WHILE)
        due = max_u64(due, inst->diff_since_ms + GRAPH_STATUS_MIN_MS);
    if (urgency == AFTER_LONG)
        due = max_u64(due, inst->diff_since_ms + GRAPH_STATUS_LONG_MS);
    return due;
}

/* Sends status unless it is on the wire already, or it is too early. */
static void publish(struct inst_step *s, kr_val status, enum urgency urgency)
{
    struct graph_inst *inst = s->inst;
    kr_val wire = kr_at(kr_rec_root(inst->parent), "status");
    uint64_t digest = kr_digest(status), due;

    if (kr_equal(status, wire) || (inst->status_wire && inst->status_value == digest &&
                                   inst->status_wire == kr_digest(wire))) {
        inst->status_dirty = false;
        inst->diff_since_ms = 0;
        return;
    }
    if (!inst->diff_since_ms)
        inst->diff_since_ms = s->env->now_ms ? s->env->now_ms : 1;
    due = due_time(s, urgency);
    if (urgency == WITH_ANSWER)
        owe(s, 0);
    else if (due <= s->env->now_ms)
        send(s, status, digest);
    else
        owe(s, due);
}

/* --- the normal path -------------------------------------------------------------------------- */

bool inst__suspended(const struct graph_inst *inst)
{
    static const char *const words[] = {"suspended", "disabled"};
    kr_str v = kr_text(kr_get(kr_at(kr_rec_root(inst->parent), "metadata.annotations"),
                              KR_S(GRAPH_ANNO_RECONCILE)));

    for (uint32_t w = 0; w < KR_N(words); w++) {
        size_t i = 0;

        while (i < v.n && words[w][i] && (v.s[i] | 0x20) == words[w][i])
            i++;
        if (i == v.n && !words[w][i] && v.n)
            return true;
    }
    return false;
}

static bool deletes_in_flight(const struct graph_inst *inst)
{
    for (uint32_t i = 0; i < inst->strays_n; i++) {
        if (inst->strays[i].token)
            return true;
    }
    return false;
}

static bool is_busy(const struct graph_inst *inst)
{
    return inst->status.token || inst->labeller.token || inst->applyset.token ||
           inst->finalizer.token;
}

/* Is an answer on its way that will change the status? Then it is looked at again. */
static bool is_early(struct inst_step *s)
{
    struct graph_inst *inst = s->inst;
    bool unanswered = false;

    for (uint32_t i = 0; i < inst->nodes_n; i++)
        unanswered |= inst__unanswered(inst, i);
    if (is_busy(inst) || unanswered) {
        owe(s, 0);
        return true;
    }
    if (!inst__in_flight(inst) && !deletes_in_flight(inst)) {
        inst->flight_since_ms = 0;
        return false;
    }
    if (!inst->flight_since_ms)
        inst->flight_since_ms = s->env->now_ms ? s->env->now_ms : 1;
    if (s->env->now_ms >= inst->flight_since_ms + GRAPH_STATUS_MIN_MS)
        return false;
    owe(s, inst->flight_since_ms + GRAPH_STATUS_MIN_MS);
    return true;
}

static enum inst_phase set_resources(struct inst_step *s, struct graph_conds *c,
                                     const struct summary *sum, kr_str status_error)
{
    kr_str text = problem(s, sum);
    bool waits = sum->results.n || sum->pending.n || sum->by_dep.n || sum->flight.n ||
                 sum->slowed.n || sum->broken.n;

    if (sum->deleting.n)
        graph__conds_set(c, GRAPH_C_RESOURCES, "False", "ResourceDeleting", sum->deleting);
    else if (text.n)
        graph__conds_set(c, GRAPH_C_RESOURCES, "False", "NotReady", text);
    else if (status_error.n)
        graph__conds_set(c, GRAPH_C_RESOURCES, "False", "NotReady",
                         kr_fmt(s->a, "resource error: " KR_FMT, KR_ARG(status_error)));
    else
        graph__conds_set(c, GRAPH_C_RESOURCES, "True", "AllResourcesReady",
                         KR_S("all resources are created and ready"));
    if (sum->deleting.n)
        return INST_IN_PROGRESS; /* nothing is applied meanwhile: former errors say nothing now */
    if (sum->error || status_error.n)
        return INST_ERROR;
    return waits ? INST_IN_PROGRESS : INST_ACTIVE;
}

/* Is there nothing to wait for but answers to our own requests? */
static bool only_ours(const struct graph_inst *inst, const struct summary *sum)
{
    return inst__in_flight(inst) && !sum->results.n && !sum->broken.n && !sum->pending.n;
}

/* A wait on others is told at once. What only waits for answers to our own requests is told when it
 * lasts, and once: the answers tell the rest. */
static enum urgency urgency_of(struct inst_step *s, const struct summary *sum)
{
    const struct graph_inst *inst = s->inst;
    /* What is held because a child is being deleted waits for others. */
    bool flying = !sum->deleting.n && !sum->slowed.n &&
                  (sum->flight.n || inst->labeller.token || inst->applyset.token);

    if ((inst->phase == INST_ERROR && sum->retrying) || inst->labeller.retrying ||
        inst->applyset.retrying)
        return AFTER_A_WHILE;
    if (inst->phase == INST_ERROR)
        return RATED;
    if (inst->phase != INST_IN_PROGRESS)
        return AT_ONCE;
    if (!flying)
        return RATED;
    if (kr_is_str(kr_at(kr_rec_root(inst->parent), "status.state"), KR_S("IN_PROGRESS")))
        return WITH_ANSWER;
    return only_ours(inst, sum) ? AFTER_LONG : AFTER_A_WHILE;
}

void inst__status(struct inst_step *s)
{
    struct graph_inst *inst = s->inst;
    struct summary sum = {
        .broken.a = s->a, .results.a = s->a, .pending.a = s->a, .flight.a = s->a, .slowed.a = s->a};
    struct graph_conds c;
    kr_str error, held;
    kr_val user, conditions;

    if (!is_wanted(s) || is_early(s))
        return;
    for (uint32_t i = 0; i < inst->nodes_n; i++)
        sum_node(s, &sum, i);
    for (uint32_t i = 0; i < inst->fights_n; i++) {
        kr_str text = inst__fight_text(s, i);

        if (text.n)
            texts_add(&sum.slowed, text);
    }
    held = inst__roll_text(s);
    if (held.n)
        texts_add(&sum.slowed, held);
    user = inst__eval_status(s, kr_at(kr_rec_root(inst->parent), "status"),
                             sum.broken.n || sum.deleting.n, &error);
    load(s, &c);
    inst->phase = INST_ACTIVE; /* kro's state while its metadata cannot be written: reference 3.1 */
    if (set_managed(s, &c)) {
        set_resolved(&c);
        inst->phase = (uint8_t)set_resources(s, &c, &sum, error);
    }
    if (ready_now(&c))
        inst->phase = INST_ACTIVE;
    conditions = conditions_of(s, &c, true);
    if (inst->author.error)
        inst->phase = INST_ERROR;
    publish(s, build(s, conditions, user, graph_inst_state(inst)), urgency_of(s, &sum));
}

/* --- other paths ------------------------------------------------------------------------------ */

/* Waits for the answers to writes on the instance itself. */
static bool is_answered(struct inst_step *s)
{
    if (!is_busy(s->inst))
        return true;
    owe(s, 0);
    return false;
}

void inst__status_suspended(struct inst_step *s)
{
    struct graph_inst *inst = s->inst;
    struct graph_conds c;
    kr_val conditions;

    if (!is_wanted(s) || !is_answered(s))
        return;
    load(s, &c);
    if (set_managed(s, &c)) {
        set_resolved(&c);
        graph__conds_set(&c, GRAPH_C_RESOURCES, "False", "ReconciliationSuspended",
                         KR_S("reconciliation suspended via kro.run/reconcile annotation"));
    }
    conditions = conditions_of(s, &c, false);
    inst->phase = inst->author.error ? INST_ERROR : INST_ACTIVE;
    publish(
        s, build(s, conditions, kr_at(kr_rec_root(inst->parent), "status"), graph_inst_state(inst)),
        inst->labeller.retrying ? AFTER_A_WHILE : AT_ONCE);
}

void inst__status_unresolved(struct inst_step *s)
{
    struct graph_inst *inst = s->inst;
    kr_val wire = kr_at(kr_rec_root(inst->parent), "status");
    struct graph_conds c;

    if (!inst->problem || !is_wanted(s) || !is_answered(s))
        return;
    load(s, &c);
    graph__conds_set(&c, GRAPH_C_RESOLVED, "False", "ResolutionFailed", inst__str(inst->problem));
    inst->phase = INST_ERROR;
    publish(
        s,
        build(s, inst__author_has(inst) ? kr_get(wire, KR_S("conditions")) : graph__conds_value(&c),
              wire, "ERROR"),
        RATED);
}

/* With author conditions only kro's ResourcesReady shows, over them. */
static kr_val deleting_conditions(struct inst_step *s, const struct graph_conds *c)
{
    if (!inst__author_has(s->inst))
        return graph__conds_value(c);
    return inst__author_overlay(s, graph__conds_get(c, GRAPH_C_RESOURCES));
}

void inst__status_deleting(struct inst_step *s, kr_str message, kr_str unmanaged)
{
    struct graph_inst *inst = s->inst;
    bool first = !kr_is_str(kr_at(kr_rec_root(inst->parent), "status.state"), KR_S("DELETING"));
    struct graph_conds c;

    inst->phase = INST_DELETING;
    if (is_busy(inst))
        return;
    load(s, &c);
    if (unmanaged.n && inst__author_has(inst)) /* InstanceManaged does not show */
        message = kr_fmt(s->a, "deletion blocked: " KR_FMT, KR_ARG(unmanaged));
    else if (unmanaged.n)
        graph__conds_set(&c, GRAPH_C_MANAGED, "False", "ManagementFailed", unmanaged);
    graph__conds_set(&c, GRAPH_C_RESOURCES, "Unknown", "UnderDeletion", message);
    publish(s,
            build(s, deleting_conditions(s, &c), kr_at(kr_rec_root(inst->parent), "status"),
                  "DELETING"),
            first ? AT_ONCE : RATED);
}
