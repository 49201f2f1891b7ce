/* SPDX-License-Identifier: Apache-2.0 */
/* events.c - Kubernetes Events, for those who asked for them: by the gate InstanceConditionEvents, or,
 * for the last two, by the annotations kroc.run/roll-*.
 *
 *   a condition of an instance changed its status   -> on the instance, kro's words
 *   an external object that instances read changed  -> on that object, one for each definition, with
 *                                                      the number of instances that follow
 *   a roll annotation cannot be read                -> on the object that has it
 *
 * What comes within a second of the last Event about the same thing waits, and is one Event with the
 * last words. Events are told at the end of the turn, after what they are about, and never hold
 * anything up: what does not fit is dropped and counted, what is refused is not repeated.
 *
 * Source: kro:pkg/controller/instance (condition events); client-go tools/record (form).
 */
#include "cel/base/log.h"
#include "cel/base/time.h"
#include "reactor/internal.h"
#include "reactor/metrics.h"

#include "cel/base/banned.h"

enum {
    EVENTS_MAX = 1024,     /* things with an Event in the last second */
    EVENTS_BUSY_MAX = 8,   /* requests under way */
    EVENTS_APART_MS = 1000 /* of one thing */
};

struct event { /* about one thing: an instance's condition, or an object and a definition */
    struct kr_arena arena; /* of the first four */
    kr_str key;
    kr_ref ref;
    kr_gvk gvk;
    kr_str uid, reason, component;
    char *message; /* owned: to be told, or as last told */
    const char *type;
    uint32_t n; /* times since it was last told; 0: nothing is to be told */
    uint64_t next_ms;
    uint64_t change, inst; /* source: digest of the version, id of the instance counted last */
    uint32_t change_n;     /* instances that this change concerns */
    uint32_t followers;    /* the most of the changes since it was last told */
};

struct event_req {
    struct kube_req req;
    struct reactor *r;
    struct kr_arena arena;
};

/* --- the table -------------------------------------------------------------------------------- */

static void event_free(struct reactor *r, struct event *e)
{
    kr_map_del(&r->events, e->key);
    kr_free(e->message);
    kr_arena_fini(&e->arena);
    kr_free(e);
}

static void count_result(struct reactor *r, kr_str result)
{
    if (r->opts.metrics)
        reactor_metric_add(REACTOR_METRIC(r->opts.metrics, EVENTS, result), 1);
}

static struct event *event_of(struct reactor *r, kr_str key)
{
    struct event *e = kr_map_get(&r->events, key);

    if (e)
        return e;
    if (r->events.n == EVENTS_MAX) {
        count_result(r, KR_S("dropped"));
        return NULL;
    }
    e = KR_ALLOC(struct event);
    e->key = kr_strdup(&e->arena, key);
    kr_map_put(&r->events, e->key, e);
    return e;
}

static kr_str component_of(struct kr_arena *a, kr_gvr gvr)
{
    return kr_fmt(a, "kro/" KR_FMT "." KR_FMT "-controller", KR_ARG(gvr.resource),
                  KR_ARG(gvr.group));
}

/* The words that were told last are not told again while they are fresh: a write that is repeated. */
static void event_say(struct reactor *r, struct event *e, kr_str message)
{
    if (e->n == 0 && kr_str_eq(kr_str_c(e->message), message))
        return;
    kr_free(e->message);
    e->message = kr_cstrdup(message);
    e->n++;
    r->events_due = true;
}

/* --- what is told ----------------------------------------------------------------------------- */

static kr_val condition_of(kr_val conditions, kr_val type)
{
    KR_LIST_EACH (c, conditions) {
        if (kr_equal(kr_get(*c, KR_S("type")), type))
            return *c;
    }
    return KR_V_NONE;
}

static void tell_condition(struct reactor_inst *inst, kr_val was, kr_val now)
{
    struct reactor_served *s = inst->served;
    struct kr_arena a = {0};
    kr_ref ref = graph_inst_ref(inst->core);
    kr_str from = kr_at_str(was, "status"), to = kr_at_str(now, "status");
    kr_str key =
        kr_fmt(&a, KR_FMT "|" KR_FMT, KR_ARG(kr_ref_key(&a, ref)), KR_ARG(kr_at_str(now, "type")));
    struct event *e = event_of(s->r, key);

    if (e) {
        if (!e->uid.n) {
            e->ref = kr_ref_copy(&e->arena, ref);
            e->gvk = kr_gvk_copy(&e->arena, s->gvk);
            e->uid = kr_strdup(&e->arena, graph_inst_uid(inst->core));
            e->reason = kr_strdup(&e->arena, kr_at_str(now, "type"));
            e->component = component_of(&e->arena, s->gvr);
        }
        e->type = kr_str_is(to, "True") ? "Normal" : "Warning";
        /* Same words as kro. */
        event_say(s->r, e,
                  kr_fmt(&a, KR_FMT " -> " KR_FMT ": " KR_FMT, KR_ARG(from.n ? from : KR_S("none")),
                         KR_ARG(to), KR_ARG(kr_at_str(now, "reason"))));
    }
    kr_arena_fini(&a);
}

static void log_condition(struct reactor_inst *inst, kr_val was, kr_val now)
{
    kr_ref ref = graph_inst_ref(inst->core);

    kr_log(KR_INFO, "condition changed", KV("resource", ref.gvr.resource),
           KV("namespace", ref.namespace), KV("name", ref.name),
           KV("condition", kr_at_str(now, "type")), KV("from", kr_at_str(was, "status")),
           KV("to", kr_at_str(now, "status")), KV("reason", kr_at_str(now, "reason")));
}

void reactor__events_status(struct reactor_inst *inst, kr_val old, kr_val now)
{
    struct reactor *r = inst->served->r;

    if (!r->opts.events && !r->opts.condition_metrics)
        return;
    KR_LIST_EACH (c, kr_get(now, KR_S("conditions"))) {
        kr_val was = condition_of(kr_get(old, KR_S("conditions")), kr_get(*c, KR_S("type")));

        if (kr_str_eq(kr_at_str(was, "status"), kr_at_str(*c, "status")))
            continue;
        if (r->opts.events)
            tell_condition(inst, was, *c);
        if (r->opts.condition_metrics)
            log_condition(inst, was, *c);
    }
}

/* Counts instances, however many changes a second brings and nodes of one read them. */
static void count_follower(struct event *e, const struct reactor_inst *inst, uint64_t change)
{
    if (e->change != change) {
        e->change = change;
        e->change_n = 0;
    } else if (e->inst == inst->id) {
        return;
    }
    e->inst = inst->id;
    if (++e->change_n > e->followers)
        e->followers = e->change_n;
}

void reactor__events_source(struct reactor_inst *inst, const struct reactor_use *u,
                            const struct kr_rec *rec)
{
    struct reactor *r = inst->served->r;
    struct kr_arena a = {0};
    struct event *e;

    if (!(r->opts.events || graph_inst_roll_asked(inst->core)) || !reactor__acts(r) || !u->rev ||
        !rec || graph_inst_counts(inst->core)->steps == 0)
        return;
    e = event_of(r, kr_fmt(&a, KR_FMT "|rgd " KR_FMT, KR_ARG(kr_ref_key(&a, kr_rec_ref(rec))),
                           KR_ARG(u->rev->rgd_name)));
    if (e) {
        if (!e->uid.n) {
            e->ref = kr_ref_copy(&e->arena, kr_rec_ref(rec));
            e->gvk = kr_gvk_copy(&e->arena, u->rev->nodes[u->node].gvk);
            e->uid = kr_strdup(&e->arena, kr_rec_uid(rec));
            e->reason = KR_S("ChangeFollowed");
            e->component = component_of(&e->arena, inst->served->gvr);
            e->type = "Normal";
        }
        count_follower(e, inst, kr_str_hash(kr_rec_version(rec)));
        kr_free(e->message);
        e->message = kr_cstrdup(kr_fmt(&a, KR_FMT ": %u instance%s read what has changed",
                                       KR_ARG(u->rev->rgd_name), e->followers,
                                       e->followers == 1 ? "" : "s"));
        e->n++;
        r->events_due = true;
    }
    kr_arena_fini(&a);
}

void reactor__events_ignored(struct reactor *r, kr_ref ref, kr_gvk gvk, kr_str uid, kr_str text)
{
    struct kr_arena a = {0};
    struct event *e;

    if (!reactor__acts(r))
        return;
    e = event_of(r, kr_fmt(&a, KR_FMT "|ignored", KR_ARG(kr_ref_key(&a, ref))));
    if (e) {
        if (!e->uid.n) {
            e->ref = kr_ref_copy(&e->arena, ref);
            e->gvk = kr_gvk_copy(&e->arena, gvk);
            e->uid = kr_strdup(&e->arena, uid);
            e->reason = KR_S("RollAnnotationIgnored");
            e->component = component_of(&e->arena, ref.gvr);
            e->type = "Warning";
        }
        event_say(r, e, text);
    }
    kr_arena_fini(&a);
}

/* --- requests --------------------------------------------------------------------------------- */

static void on_done(struct kube_req *req)
{
    struct event_req *q = KR_OWNER(req, struct event_req, req);
    struct reactor *r = q->r;

    r->events_busy_n--;
    r->events_due = true;
    count_result(r, req->rc == 0 ? KR_S("written") : KR_S("failed"));
    if (req->rc < 0 && req->rc != KR_E_CANCELED && !r->events_refused) {
        r->events_refused = true;
        kr_log(KR_WARN, "event not written; said once", KV("reason", kr_err_str(&req->err)));
    }
    kube_req_fini(&q->req);
    kr_arena_fini(&q->arena);
    kr_free(q);
}

static kr_val involved(struct kr_arena *a, const struct event *e)
{
    struct kr_mapb b = KR_MAPB(a);

    kr_mapb_put(&b, KR_S("apiVersion"),
                kr_string(kr_api_version_text(a, e->gvk.group, e->gvk.version)));
    kr_mapb_put(&b, KR_S("kind"), kr_string(e->gvk.kind));
    kr_mapb_put(&b, KR_S("name"), kr_string(e->ref.name));
    if (e->ref.namespace.n)
        kr_mapb_put(&b, KR_S("namespace"), kr_string(e->ref.namespace));
    kr_mapb_put(&b, KR_S("uid"), kr_string(e->uid));
    return kr_mapb_done(&b);
}

static kr_val body_of(struct kr_arena *a, const struct event *e, kr_ref ref, int64_t wall_ms)
{
    struct kr_mapb b = KR_MAPB(a), meta = KR_MAPB(a), source = KR_MAPB(a);
    char when[KR_TIME_TEXT_MAX];
    kr_val at = kr_string(kr_strdup(a, (kr_str){when, kr_time_text(wall_ms / 1000, 0, when)}));

    kr_mapb_put(&meta, KR_S("name"), kr_string(ref.name));
    kr_mapb_put(&meta, KR_S("namespace"), kr_string(ref.namespace));
    kr_mapb_put(&source, KR_S("component"), kr_string(e->component));
    kr_mapb_put(&b, KR_S("apiVersion"), KR_V_STR("v1"));
    kr_mapb_put(&b, KR_S("kind"), KR_V_STR("Event"));
    kr_mapb_put(&b, KR_S("metadata"), kr_mapb_done(&meta));
    kr_mapb_put(&b, KR_S("involvedObject"), involved(a, e));
    kr_mapb_put(&b, KR_S("reason"), kr_string(e->reason));
    kr_mapb_put(&b, KR_S("message"), kr_string(kr_str_c(e->message)));
    kr_mapb_put(&b, KR_S("type"), kr_string(kr_str_c(e->type)));
    kr_mapb_put(&b, KR_S("source"), kr_mapb_done(&source));
    kr_mapb_put(&b, KR_S("reportingComponent"), kr_string(e->component));
    kr_mapb_put(&b, KR_S("firstTimestamp"), at);
    kr_mapb_put(&b, KR_S("lastTimestamp"), at);
    kr_mapb_put(&b, KR_S("count"), kr_int(1));
    return kr_mapb_done(&b);
}

static void send_event(struct reactor *r, struct event *e)
{
    struct event_req *q = KR_ALLOC(struct event_req);
    int64_t wall_ms = r->clock->ops->wall_ms(r->clock);
    struct kr_err err = KR_ERR_NONE;
    kr_ref ref = {.gvr = {KR_S(""), KR_S("v1"), KR_S("events")}};

    q->r = r;
    ref.namespace = e->ref.namespace.n ? kr_strdup(&q->arena, e->ref.namespace) : KR_S("default");
    ref.name = kr_fmt(&q->arena, KR_FMT ".%llx%x", KR_ARG(kr_str_sub(e->ref.name, 0, 200)),
                      (unsigned long long)wall_ms, ++r->events_seq & 0xffff);
    q->req.verb = KUBE_CREATE;
    q->req.ref = ref;
    q->req.on_done = on_done;
    if (kube_req_set_body(&q->req, body_of(&q->arena, e, ref, wall_ms), &err) < 0) {
        kube_req_fini(&q->req);
        kr_arena_fini(&q->arena);
        kr_free(q);
        return;
    }
    q->req.ref.name = KR_S("");
    e->n = e->followers = e->change_n = 0;
    e->next_ms = kube_now_ms(r->clock) + EVENTS_APART_MS;
    r->events_busy_n++;
    kube_req_start(r->client, &q->req);
}

/* --- the turn --------------------------------------------------------------------------------- */

static void on_timer(struct kube_timer *timer)
{
    KR_OWNER(timer, struct reactor, events_timer)->events_due = true;
}

void reactor__events_turn(struct reactor *r)
{
    uint64_t now = kube_now_ms(r->clock);

    if (!r->events_due || r->stopping)
        return;
    r->events_due = false;
    kr_map_each (entry, &r->events) {
        struct event *e = entry->val;

        if (now < e->next_ms)
            continue;
        if (e->n == 0)
            event_free(r, e);
        else if (r->events_busy_n < EVENTS_BUSY_MAX)
            send_event(r, e);
    }
    r->events_timer.fn = on_timer;
    if (r->events.n)
        r->clock->ops->timer_start(r->clock, &r->events_timer, EVENTS_APART_MS);
}

void reactor__events_fini(struct reactor *r)
{
    r->clock->ops->timer_stop(r->clock, &r->events_timer);
    kr_map_each (entry, &r->events)
        event_free(r, entry->val);
    kr_map_fini(&r->events);
}
