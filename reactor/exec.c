/* SPDX-License-Identifier: Apache-2.0 */
/* exec.c - plan -> requests -> results.
 *
 * Each action of a plan becomes one request; its answer goes into the store first (so that readers
 * wake in the same turn) and then back to the machine that asked. A child that belongs to another
 * ApplySet, or that another instance is creating at this moment, is not sent: the machine gets
 * GRAPH_O_FOREIGN with kro's words. With --shards the object may be one that the store has dropped, for
 * its instance is another member's: then a GET asks first whose it is. And who has just taken over may
 * not have heard yet that an instance is gone, or what its inventory says: before its first apply, a GET
 * asks for the instance (an apply makes what is not there, and takes out what it does not say).
 */
#include "cel/base/log.h"
#include "reactor/internal.h"

/* --- which store an object's answers go to -------------------------------------------------- */

static struct reactor_watch *answer_watch(struct reactor *r, struct reactor_inst *inst,
                                          const struct graph_action *act)
{
    struct kr_arena a = {0};
    struct reactor_watch *w = NULL;
    kr_str type = kr_gvr_key(&a, act->ref.gvr);

    if (inst) {
        bool parent = act->kind != GRAPH_A_APPLY && act->kind != GRAPH_A_DELETE;

        w = kr_map_get(&r->watches, kr_fmt(&a, "%s " KR_FMT " /", parent ? "parents" : "children",
                                           KR_ARG(type)));
    } else if (kr_str_is(act->ref.gvr.resource, "resourcegraphdefinitions")) {
        w = r->rgds;
    } else if (kr_str_is(act->ref.gvr.resource, "graphrevisions")) {
        w = r->revisions;
    } else if (kr_str_is(act->ref.gvr.resource, "customresourcedefinitions")) {
        w = r->own_crds;
    }
    kr_arena_fini(&a);
    return w;
}

/* --- requests --------------------------------------------------------------------------------- */

struct form {
    enum kube_verb verb;
    const char *subresource;
    bool force;
};

static bool action_form(enum graph_action_kind kind, struct form *f)
{
    static const struct {
        bool sent;
        struct form form;
    } forms[GRAPH_ACTIONS_N] = {
        [GRAPH_A_APPLY] = {true, {KUBE_APPLY, NULL, true}},
        [GRAPH_A_APPLY_PARENT] = {true, {KUBE_APPLY, NULL, true}},
        [GRAPH_A_DELETE] = {true, {KUBE_DELETE, NULL, false}},
        [GRAPH_A_FINALIZER] = {true, {KUBE_MERGE_PATCH, NULL, false}},
        [GRAPH_A_STATUS] = {true, {KUBE_UPDATE, "status", false}},
        [GRAPH_A_STATUS_PATCH] = {true, {KUBE_MERGE_PATCH, "status", false}},
        [GRAPH_A_CREATE] = {true, {KUBE_CREATE, NULL, false}},
        [GRAPH_A_UPDATE] = {true, {KUBE_UPDATE, NULL, false}},
        [GRAPH_A_PATCH] = {true, {KUBE_MERGE_PATCH, NULL, false}},
    };

    *f = forms[kind].form;
    return forms[kind].sent;
}

/* In the background: what the server would do of itself for all kinds but a Job of batch/v1, whose Pods
 * it would leave behind. */
static kr_val delete_body(struct kr_arena *a, kr_str uid)
{
    struct kr_mapb b = KR_MAPB(a), pre = KR_MAPB(a);

    kr_mapb_put(&b, KR_S("apiVersion"), KR_V_STR("v1"));
    kr_mapb_put(&b, KR_S("kind"), KR_V_STR("DeleteOptions"));
    kr_mapb_put(&b, KR_S("propagationPolicy"), KR_V_STR("Background"));
    if (uid.n) {
        kr_mapb_put(&pre, KR_S("uid"), kr_string(uid));
        kr_mapb_put(&b, KR_S("preconditions"), kr_mapb_done(&pre));
    }
    return kr_mapb_done(&b);
}

static void on_done(struct kube_req *req)
{
    struct reactor_op *op = KR_OWNER(req, struct reactor_op, req);

    kr_link_remove(&op->link);
    kr_link_push(&op->r->ops_done, &op->link);
}

static struct reactor_op *op_new(struct reactor *r, struct reactor_inst *inst,
                                 struct reactor_def *def, const struct graph_action *act)
{
    struct reactor_op *op = KR_ALLOC(struct reactor_op);

    op->r = r;
    op->inst = inst;
    op->def = def;
    op->of_inst = inst != NULL;
    op->bucket = inst ? inst->bucket : 0;
    op->kind = act->kind;
    op->token = act->token;
    op->key = kr_ref_key(&op->arena, act->ref);
    op->part_of = kr_strdup(&op->arena, act->part_of);
    op->req.ref = kr_ref_copy(&op->arena, act->ref);
    op->req.manager = act->manager; /* a constant of names.h */
    op->req.on_done = on_done;
    op->req.flow = inst ? inst->served->lane.flow : 0;
    kr_link_push(inst ? &inst->ops : &def->ops, &op->owner_link);
    return op;
}

/* Ends op without a request. */
static void op_refuse(struct reactor_op *op, enum graph_outcome outcome, kr_str message)
{
    op->outcome = outcome;
    op->message = message;
    kr_link_push(&op->r->ops_done, &op->link);
}

/* The ApplySet that has the object or is about to; empty when it is ours or nobody's. */
static kr_str other_owner(struct reactor *r, struct reactor_watch *w,
                          const struct graph_action *act, kr_str key)
{
    struct reactor_op *flying = kr_map_get(&r->flying, key);
    struct kr_rec *rec = w ? kube_store_get(w->store, act->ref.namespace, act->ref.name) : NULL;

    if (rec && kr_rec_part_of(rec).n && !kr_str_eq(kr_rec_part_of(rec), act->part_of))
        return kr_rec_part_of(rec);
    if (flying && flying->part_of.n && !kr_str_eq(flying->part_of, act->part_of))
        return flying->part_of;
    return KR_S("");
}

/* Same words as kro: pkg/controller/instance/applyset. */
static kr_str foreign_message(struct kr_arena *a, kr_ref ref, kr_gvk gvk, kr_str owner,
                              kr_str part_of)
{
    kr_str name = ref.namespace.n
                      ? kr_fmt(a, KR_FMT "/" KR_FMT, KR_ARG(ref.namespace), KR_ARG(ref.name))
                      : ref.name;

    return kr_fmt(a,
                  "resource belongs to a different ApplySet: " KR_FMT " (" KR_FMT "/" KR_FMT
                  ", Kind=" KR_FMT ") belongs to ApplySet \"" KR_FMT
                  "\", cannot reassign to \"" KR_FMT "\"",
                  KR_ARG(name), KR_ARG(gvk.group), KR_ARG(gvk.version), KR_ARG(gvk.kind),
                  KR_ARG(owner), KR_ARG(part_of));
}

/* --- whose is an object that is not kept? ----------------------------------------------------- */

static bool needs_probe(const struct reactor_watch *w, const struct graph_action *act)
{
    return w && act->kind == GRAPH_A_APPLY && w->r->buckets.on &&
           kube_store_dropped(w->store, act->ref.namespace, act->ref.name);
}

static void probe_start(struct reactor *r, struct reactor_op *op, struct reactor_watch *w,
                        const struct graph_action *act)
{
    op->watch_key = kr_strdup(&op->arena, w->key);
    op->probe = op->sent = true;
    op->req.verb = KUBE_GET;
    op->req.manager = NULL;
    r->stats.requests[KUBE_GET]++;
    reactor__trace(r, "whose     " KR_FMT " " KR_FMT "/" KR_FMT, KR_ARG(act->gvk.kind),
                   KR_ARG(act->ref.namespace), KR_ARG(act->ref.name));
    kr_link_push(&r->ops, &op->link);
    kube_req_start(r->client, &op->req);
}

/* Another's: refused as if we had it here. Nobody's by now, or our own: it is sent with the next try. */
static enum graph_outcome probe_outcome(struct reactor_op *op, kr_str *message)
{
    kr_val labels = kr_at(op->req.object, "metadata.labels");
    kr_str owner = kr_text(kr_get(labels, KR_S(GRAPH_LABEL_PART_OF)));
    struct reactor_watch *w = kr_map_get(&op->r->watches, op->watch_key);

    if (op->req.rc == 0 && owner.n && !kr_str_eq(owner, op->part_of)) {
        *message = foreign_message(&op->arena, op->req.ref, op->gvk, owner, op->part_of);
        return GRAPH_O_FOREIGN;
    }
    if (w && (op->req.rc == 0 || op->req.reason == KUBE_R_NOT_FOUND)) {
        kube_store_undrop(w->store, op->req.ref.namespace, op->req.ref.name);
        *message = KR_S("the object was another shard's until now");
        return GRAPH_O_RETRY;
    }
    return op->req.status == 403 ? GRAPH_O_INVALID : GRAPH_O_RETRY;
}

/* --- is the instance as we know it? ----------------------------------------------------------- */

static bool needs_confirm(const struct reactor_inst *inst, const struct reactor_watch *w,
                          const struct graph_action *act)
{
    const struct reactor *r = w ? w->r : NULL;
    bool apply = act->kind == GRAPH_A_APPLY || act->kind == GRAPH_A_APPLY_PARENT;

    return inst && w && apply && !r->buckets.on && inst->there_ms != r->unheard_until_ms &&
           kube_now_ms(r->clock) < r->unheard_until_ms;
}

static uint64_t known_version(const struct reactor_watch *w, kr_ref ref)
{
    const struct kr_rec *rec =
        ref.name.n ? kube_store_get(w->store, ref.namespace, ref.name) : NULL;

    return rec ? rec->version_u : 0;
}

/* Where the answer of op's request goes, and what was known when it was sent. */
static void op_aim(struct reactor_op *op, struct reactor_watch *w)
{
    op->store = w->store;
    op->run = kube_store_run(w->store);
    op->known = known_version(w, op->req.ref);
    op->heard = kube_store_version(w->store);
}

static void confirm_start(struct reactor *r, struct reactor_op *op, struct reactor_watch *w,
                          const struct graph_action *act)
{
    op->confirm = op->sent = true;
    op->watch_key = kr_strdup(&op->arena, w->key);
    op->target = op->req.ref;
    op->manager = act->manager;
    op->body = kr_copy(&op->arena, act->body);
    op->req.ref = kr_ref_copy(&op->arena, graph_inst_ref(op->inst->core));
    op->req.verb = KUBE_GET;
    op->req.manager = NULL;
    if (op->kind == GRAPH_A_APPLY)
        kr_map_put(&r->flying, op->key, op);
    else
        op_aim(op, w);
    r->stats.requests[KUBE_GET]++;
    reactor__trace(r, "there?    " KR_FMT " " KR_FMT "/" KR_FMT, KR_ARG(op->req.ref.gvr.resource),
                   KR_ARG(op->req.ref.namespace), KR_ARG(op->req.ref.name));
    kr_link_push(&r->ops, &op->link);
    kube_req_start(r->client, &op->req);
}

/* Does the inventory name the child's kind? The former leader may have taken it out. */
static bool is_listed(const struct reactor_op *op, kr_val notes)
{
    kr_str list = kr_text(kr_get(notes, KR_S(GRAPH_ANNO_KINDS))), group = op->gvk.group;

    while (list.n > 0) {
        kr_str listed = kr_str_cut(&list, ','), kind = kr_str_cut(&listed, '.');

        if (kr_str_eq(kind, op->gvk.kind) && kr_str_eq(listed, group))
            return true;
    }
    return false;
}

/* Is the object still in the version that was known when it was asked for? */
static bool is_known(const struct reactor_op *op, kr_val meta)
{
    uint64_t version;

    return kr_str_u64(kr_text(kr_get(meta, KR_S("resourceVersion"))), &version) &&
           version == op->known;
}

/* Where the question failed nobody knows, and it is asked again with the next try of the apply. Who may not ask
 * goes on as if nobody had. */
static bool is_there(const struct reactor_op *op)
{
    kr_val meta = kr_at(op->req.object, "metadata");

    if (op->req.rc != 0)
        return op->req.rc == KR_E_API && op->req.status == 403;
    return kr_get(meta, KR_S("deletionTimestamp")).kind == KR_NONE &&
           kr_str_eq(kr_text(kr_get(meta, KR_S("uid"))), graph_inst_uid(op->inst->core)) &&
           (op->kind == GRAPH_A_APPLY ? is_listed(op, kr_get(meta, KR_S("annotations")))
                                      : is_known(op, meta));
}

static void trace_action(struct reactor *r, const struct graph_action *act)
{
    struct kr_buf b = KR_BUF(1024);

    if (!r->opts.trace)
        return;
    kr_ref_print(&b, act->ref);
    reactor__trace(r, "%-9s " KR_FMT "%s" KR_FMT, graph_action_word(act->kind),
                   KR_ARG(kr_buf_view(&b)), act->why.n ? " because " : "", KR_ARG(act->why));
    kr_buf_fini(&b);
}

/* What people hear of a request for an instance; rec: the object as it is known. */
static void tell_inst(struct reactor_op *op, const struct graph_action *act,
                      const struct kr_rec *rec)
{
    op->why_seq = reactor__why_request(op->inst, act, rec);
    if (act->kind == GRAPH_A_STATUS)
        reactor__events_status(op->inst, rec ? kr_at(kr_rec_root(rec), "status") : KR_V_NONE,
                               kr_at(act->body, "status"));
}

static void op_send(struct reactor *r, struct reactor_op *op, struct reactor_watch *w,
                    const struct form *form, kr_val body)
{
    struct kr_err err = KR_ERR_NONE;

    op->req.verb = form->verb;
    op->req.subresource = form->subresource;
    op->req.force = form->force;
    if (form->verb == KUBE_CREATE)
        op->req.ref.name = KR_S("");
    if (kube_req_set_body(&op->req, body, &err) < 0) {
        op_refuse(op, GRAPH_O_INVALID, kr_strdup(&op->arena, kr_err_str(&err)));
        return;
    }
    if (w) {
        op->watch_key = kr_strdup(&op->arena, w->key);
        op_aim(op, w);
    }
    if (op->kind == GRAPH_A_APPLY)
        kr_map_put(&r->flying, op->key, op);
    op->sent = true;
    r->stats.requests[form->verb]++;
    kr_link_push(&r->ops, &op->link);
    kube_req_start(r->client, &op->req);
}

static void op_start(struct reactor *r, struct reactor_inst *inst, struct reactor_def *def,
                     const struct graph_action *act, const struct form *form)
{
    struct reactor_op *op = op_new(r, inst, def, act);
    struct reactor_watch *w = answer_watch(r, inst, act);
    kr_str owner = act->kind == GRAPH_A_APPLY ? other_owner(r, w, act, op->key) : KR_S("");
    kr_val body = act->kind == GRAPH_A_DELETE ? delete_body(&op->arena, act->uid) : act->body;

    if (inst)
        tell_inst(op, act, w ? kube_store_get(w->store, act->ref.namespace, act->ref.name) : NULL);
    if (owner.n) {
        op_refuse(op, GRAPH_O_FOREIGN,
                  foreign_message(&op->arena, act->ref, act->gvk, owner, act->part_of));
        return;
    }
    if (act->kind == GRAPH_A_APPLY)
        op->gvk = kr_gvk_copy(&op->arena, act->gvk);
    if (act->kind == GRAPH_A_DELETE)
        op->uid = kr_strdup(&op->arena, act->uid);
    if (needs_probe(w, act)) {
        probe_start(r, op, w, act);
        return;
    }
    if (needs_confirm(inst, w, act)) {
        confirm_start(r, op, w, act);
        return;
    }
    trace_action(r, act);
    op_send(r, op, w, form, body);
}

void reactor__exec(struct reactor *r, struct reactor_inst *inst, struct reactor_def *def,
                   const struct graph_plan *plan)
{
    bool gone = false;

    for (uint32_t i = 0; i < plan->n; i++) {
        const struct graph_action *act = &plan->actions[i];
        struct form form;

        if (action_form(act->kind, &form) && !r->leading && !(inst && r->buckets.on)) {
            reactor__hold(r, inst, def, act->token);
            continue;
        }
        if (action_form(act->kind, &form)) {
            op_start(r, inst, def, act, &form);
            continue;
        }
        if (!inst)
            continue; /* the rest is the definition table's: defs.c */
        if (act->kind == GRAPH_A_WATCH)
            reactor__ext_subscribe(r, inst, act);
        else if (act->kind == GRAPH_A_UNWATCH)
            reactor__ext_unsubscribe(r, inst, act);
        else if (act->kind == GRAPH_A_TYPES)
            reactor__inst_types(inst, act->body);
        else if (act->kind == GRAPH_A_GONE)
            gone = true;
    }
    if (gone)
        reactor__inst_free(inst);
}

/* --- results ---------------------------------------------------------------------------------- */

static enum graph_outcome outcome_of(const struct kube_req *req)
{
    if (req->rc == 0)
        return GRAPH_O_OK;
    if (req->rc == KR_E_INPUT && req->unsent)
        return GRAPH_O_INVALID; /* refused on our side: a name that is none */
    if (req->rc != KR_E_API)
        return GRAPH_O_RETRY;
    switch (req->reason) {
    case KUBE_R_NOT_FOUND:
        return GRAPH_O_NOT_FOUND;
    case KUBE_R_ALREADY_EXISTS:
        return GRAPH_O_EXISTS;
    case KUBE_R_CONFLICT:
        return GRAPH_O_CONFLICT;
    default:
        break;
    }
    switch (req->status) {
    case 400:
    case 403:
    case 405:
    case 413:
    case 415:
    case 422:
        return GRAPH_O_INVALID;
    default:
        return GRAPH_O_RETRY;
    }
}

/* Is this answer the last that will be seen of the object? */
static bool answer_is_gone(const struct reactor_op *op)
{
    kr_val meta = kr_at(op->req.object, "metadata");

    if (op->kind == GRAPH_A_DELETE) {
        if (op->req.rc == KR_E_API)
            return op->req.reason == KUBE_R_NOT_FOUND;
        return op->req.rc == 0 && (kr_str_is(kr_at_str(op->req.object, "kind"), "Status") ||
                                   kr_get(meta, KR_S("deletionTimestamp")).kind == KR_NONE);
    }
    return op->kind == GRAPH_A_FINALIZER && op->req.rc == 0 &&
           kr_get(meta, KR_S("deletionTimestamp")).kind != KR_NONE &&
           kr_get(meta, KR_S("finalizers")).n == 0;
}

/* An answer shows a version of the object from before we asked, or what it made is older than what was heard by
 * then: the server went back to a former state. */
static bool answer_is_old(const struct reactor_op *op, const struct reactor_watch *w)
{
    uint64_t version;

    if (op->run != kube_store_run(w->store) ||
        !kr_str_u64(kr_at_str(op->req.object, "metadata.resourceVersion"), &version))
        return false;
    return op->req.status == 201 ? version <= op->heard : version < op->known;
}

/* The answer enters the store before anybody is told. Returns a reference or NULL. */
static struct kr_rec *answer_store(struct reactor_op *op)
{
    struct reactor *r = op->r;
    struct reactor_watch *w = op->store ? kr_map_get(&r->watches, op->watch_key) : NULL;
    struct kr_rec *rec = NULL;
    struct kr_err err = KR_ERR_NONE;
    kr_str uid = kr_at_str(op->req.object, "metadata.uid");
    uint64_t version;

    if (!w || w->store != op->store)
        return NULL;
    if (answer_is_gone(op)) {
        if (!kr_str_u64(kr_at_str(op->req.object, "metadata.resourceVersion"), &version))
            version = 0;
        kube_store_response_gone(w->store, op->run, op->req.ref.namespace, op->req.ref.name,
                                 uid.n ? uid : op->uid, version);
        return NULL;
    }
    if (op->req.rc != 0 || kr_at(op->req.object, "metadata.name").kind != KR_STRING)
        return NULL;
    if (answer_is_old(op, w)) {
        reactor__watches_back(r, NULL);
        return NULL;
    }
    if (kube_store_response(w->store, op->run, op->req.object, &rec, &err) < 0)
        return NULL; /* an answer without name or version: the watch will tell */
    return rec;
}

static void log_refusal(const struct reactor_op *op, const struct graph_result *res)
{
    struct kr_buf b = KR_BUF(1024);
    enum kr_level level = KR_DBG;

    if (res->outcome == GRAPH_O_INVALID || res->outcome == GRAPH_O_FOREIGN)
        level = KR_WARN;
    else if (res->outcome == GRAPH_O_RETRY)
        level = KR_INFO;
    kr_ref_print(&b, op->req.ref);
    kr_log(level, "write failed", KV_C("action", graph_action_word(op->kind)),
           KV("object", kr_buf_view(&b)), KV_INT("code", op->req.status),
           KV("reason", res->message));
    reactor__trace(op->r, "answer    %s " KR_FMT, graph_action_word(op->kind),
                   KR_ARG(res->message));
    kr_buf_fini(&b);
}

static void log_answer(const struct reactor_op *op)
{
    struct kr_buf b = KR_BUF(1024);

    kr_ref_print(&b, op->req.ref);
    kr_log(KR_DBG, "written", KV_C("action", graph_action_word(op->kind)),
           KV("object", kr_buf_view(&b)), KV_INT("code", op->req.status));
    kr_buf_fini(&b);
}

/* The version that the store has of op's object; empty when it has none. */
static kr_str version_of(const struct reactor_op *op)
{
    struct reactor_watch *w = op->store ? kr_map_get(&op->r->watches, op->watch_key) : NULL;
    struct kr_rec *rec =
        w ? kube_store_get(w->store, op->req.ref.namespace, op->req.ref.name) : NULL;

    return rec ? kr_rec_version(rec) : KR_S("");
}

/* Does the server lack the type? It says then neither which nor for whom. */
static bool lacks_type(const struct reactor_op *op)
{
    return op->req.status == 404 && op->gvk.kind.n &&
           (kr_str_is(op->req.message, "404 page not found") ||
            kr_str_is(op->req.message, "the server could not find the requested resource"));
}

/* The server's bare words, as kro shows them; else what went wrong on the way. */
static kr_str message_of(struct reactor_op *op)
{
    if (!op->sent)
        return op->message;
    if (lacks_type(op)) /* Same words as client-go, which finds out by itself. */
        return kr_fmt(&op->arena,
                      "no matches for kind \"" KR_FMT "\" in version \"" KR_FMT "%s" KR_FMT "\"",
                      KR_ARG(op->gvk.kind), KR_ARG(op->gvk.group), op->gvk.group.n ? "/" : "",
                      KR_ARG(op->gvk.version));
    return op->req.message.n || op->req.rc == 0 ? op->req.message : kr_err_str(&op->req.err);
}

/* The instance is as we know it: now what was to be sent. Returns whether it is. */
static bool confirmed(struct reactor_op *op)
{
    struct reactor *r = op->r;
    struct form form;

    if (!op->confirm || !op->inst || r->stopping || !r->leading || !is_there(op))
        return false;
    op->confirm = op->sent = false;
    op->inst->there_ms = r->unheard_until_ms;
    action_form(op->kind, &form);
    kube_req_fini(&op->req);
    op->req.ref = op->target;
    op->req.manager = op->manager;
    op_send(r, op, kr_map_get(&r->watches, op->watch_key), &form, op->body);
    return true;
}

static void op_deliver(struct reactor_op *op)
{
    struct reactor *r = op->r;
    struct kr_arena a = {0};
    kr_str was = kr_strdup(&a, version_of(op)); /* the record may go while the answer is stored */
    struct kr_rec *rec = op->sent ? answer_store(op) : NULL;
    struct graph_result res = {.token = op->token,
                               .outcome = op->sent ? outcome_of(&op->req) : op->outcome,
                               .message = message_of(op),
                               .rec = rec,
                               .object = op->req.object};

    if (op->probe)
        res.outcome = probe_outcome(op, &res.message);
    if (op->confirm) {
        res.rec =
            NULL; /* not an answer to what was to be sent: the machine hears of it as of others' writes */
        res.outcome = GRAPH_O_RETRY;
        if (op->req.rc == 0 || op->req.reason == KUBE_R_NOT_FOUND)
            res.message = KR_S("the instance has changed, which was not heard of yet");
    }
    reactor__count_answer(op, rec && was.n && kr_str_eq(kr_rec_version(rec), was));
    kr_arena_fini(&a);
    if (op->req.rc == KR_E_CANCELED && r->stopping) {
        kr_rec_drop(rec);
        return;
    }
    reactor__why_answer(op, &res);
    if (res.outcome != GRAPH_O_OK)
        log_refusal(op, &res);
    else if (op->sent && kr_log_on(KR_DBG))
        log_answer(op);
    if (op->inst && op->token) {
        graph_inst_result(op->inst->core, &res, kube_now_ms(r->clock));
        reactor__inst_queue(op->inst, REACTOR_P_CHANGE);
    } else if (op->def && op->token) {
        graph_def_result(op->def->core, &res, kube_now_ms(r->clock));
        reactor__def_queue(op->def, REACTOR_P_CHANGE);
    }
    kr_rec_drop(rec);
}

static void op_free(struct reactor_op *op)
{
    if (kr_map_get(&op->r->flying, op->key) == op)
        kr_map_del(&op->r->flying, op->key);
    kr_link_remove(&op->owner_link);
    kube_req_fini(&op->req);
    kr_arena_fini(&op->arena);
    kr_free(op);
}

void reactor__exec_turn(struct reactor *r)
{
    struct kr_link list, *l;

    kr_link_take(&list, &r->ops_done);
    while ((l = kr_link_pop(&list)) != NULL) {
        struct reactor_op *op = KR_OWNER(l, struct reactor_op, link);

        if (!confirmed(op)) {
            op_deliver(op);
            op_free(op);
        }
        kr_rec_rest();
    }
}

void reactor__ops_orphan(struct kr_link *ops)
{
    struct kr_link *l;

    while ((l = kr_link_pop(ops)) != NULL) {
        struct reactor_op *op = KR_OWNER(l, struct reactor_op, owner_link);

        op->inst = NULL;
        op->def = NULL;
    }
}
