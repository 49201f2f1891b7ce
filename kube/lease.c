/* SPDX-License-Identifier: Apache-2.0 */
/* lease.c - the machine of lease.h. One request or one timer is outstanding beside the watch; what
 * the watch and the answers bring only marks, and lease_step decides.
 */
#include "kube/lease.h"

#include "cel/base/sm.h"
#include "cel/base/time.h"
#include "kube/watch.h"

#include "cel/base/banned.h"

enum { L_FOLLOW, L_TAKE, L_LEAD, L_RENEW, L_RELEASE, L_CLOSING, L_CLOSED, L_N };

#define TO(s) (1u << L_##s)
static const struct kr_sm_state lease_states[L_N] = {
    [L_FOLLOW] = {"follow", TO(TAKE) | TO(CLOSING)},
    [L_TAKE] = {"take", TO(LEAD) | TO(FOLLOW) | TO(RELEASE) | TO(CLOSING)},
    [L_LEAD] = {"lead", TO(RENEW) | TO(FOLLOW) | TO(RELEASE)},
    [L_RENEW] = {"renew", TO(LEAD) | TO(FOLLOW) | TO(RELEASE)},
    [L_RELEASE] = {"release", TO(CLOSING)},
    [L_CLOSING] = {"closing", TO(CLOSED)},
    [L_CLOSED] = {"closed", 0},
};
#undef TO

enum { TEXT_MAX = 1024 };

struct seen { /* the Lease as last seen, by watch or answer */
    bool exists;
    struct kr_buf holder, version;
    uint64_t version_u;
    int64_t transitions;
    uint64_t lease_ms; /* how long it lasts */
    uint64_t at_ms;    /* when this version was first seen */
    uint64_t ghost_ms; /* it is gone, but so long its holder may not have noticed */
};

struct kube_lease {
    struct kube_lease_opts opts;
    struct kr_arena names; /* of the copied options */
    struct kube_clock *clock;
    struct kr_sm sm;
    struct kr_fieldset_pool *pool;
    struct kube_changes changes;
    struct kube_store *store;
    struct kube_watch *watch;
    struct kube_req req;
    struct kube_timer timer;
    struct seen seen;
    uint64_t sent_ms;       /* when the request under way was started */
    uint64_t renewed_ms;    /* when the last write that held was started */
    uint64_t not_before_ms; /* no try before */
    struct kr_buf acquired; /* acquireTime */
    struct kr_err err;      /* of the last write; code 0: none */
    bool leading;           /* as last told */
    bool answered;          /* req has ended and is not looked at yet */
    bool look;              /* a write was refused for its version: read before the next one */
    bool close;             /* wanted */
    bool watch_closed;
    void (*closed)(void *arg);
    void *closed_arg;
};

static void lease_step(struct kube_lease *l);

/* --- what is seen ----------------------------------------------------------------------------- */

uint64_t kube_lease_lasts_ms(kr_val spec, uint64_t otherwise_ms)
{
    kr_val seconds = kr_get(spec, KR_S("leaseDurationSeconds"));
    bool sensible = seconds.kind == KR_INT && seconds.i > 0 && seconds.i <= INT32_MAX;

    return sensible ? (uint64_t)seconds.i * 1000 : otherwise_ms;
}

static void set_text(struct kr_buf *b, kr_str s)
{
    kr_buf_reset(b);
    kr_buf_str(b, s);
}

static bool ours(const struct kube_lease *l)
{
    return l->seen.exists && kr_str_eq(kr_buf_view(&l->seen.holder), l->opts.identity);
}

static void see_gone(struct kube_lease *l)
{
    if (l->seen.exists)
        l->seen.ghost_ms = l->seen.holder.n && !ours(l) ? l->seen.at_ms + l->seen.lease_ms : 0;
    l->seen.exists = false;
    set_text(&l->seen.holder, KR_S(""));
    set_text(&l->seen.version, KR_S(""));
    l->seen.version_u = 0;
}

static void see(struct kube_lease *l, kr_val object)
{
    struct seen *s = &l->seen;
    kr_str version = kr_at_str(object, "metadata.resourceVersion");
    kr_val spec = kr_at(object, "spec");
    kr_val transitions = kr_get(spec, KR_S("leaseTransitions"));
    uint64_t version_u = 0;

    (void)kr_str_u64(version, &version_u);
    if (s->exists && kr_str_eq(version, kr_buf_view(&s->version)))
        return;
    if (s->exists && version_u && version_u < s->version_u)
        return; /* the answer to a write of ours was faster */
    s->exists = true;
    l->look = false;
    set_text(&s->holder, kr_text(kr_get(spec, KR_S("holderIdentity"))));
    set_text(&s->version, version);
    s->version_u = version_u;
    s->transitions = transitions.kind == KR_INT ? transitions.i : 0;
    s->lease_ms = kube_lease_lasts_ms(spec, l->opts.lease_ms);
    s->at_ms = kube_now_ms(l->clock);
}

/* When it may be taken. */
static uint64_t free_ms(const struct kube_lease *l)
{
    if (!l->seen.exists)
        return l->seen.ghost_ms;
    return l->seen.holder.n == 0 || ours(l) ? 0 : l->seen.at_ms + l->seen.lease_ms;
}

static void take_changes(struct kube_lease *l)
{
    struct kr_link list, *link;

    kr_link_take(&list, &l->changes.head);
    while ((link = kr_link_pop(&list)) != NULL) {
        struct kube_change *c = KR_OWNER(link, struct kube_change, link);

        if (c->now)
            see(l, kr_rec_root(c->now));
        else if (c->old && c->old->version_u >= l->seen.version_u)
            see_gone(l);
        kube_change_free(c);
    }
}

/* --- requests --------------------------------------------------------------------------------- */

static kr_val time_val(struct kr_arena *a, int64_t wall_ms)
{
    char text[KR_TIME_TEXT_MAX];
    kr_str s = {text, kr_time_text(wall_ms / 1000, 0, text)};

    return kr_string(kr_fmt(a, KR_FMT ".%06dZ", KR_ARG(kr_str_sub(s, 0, s.n - 1)),
                            (int)(wall_ms % 1000) * 1000)); /* MicroTime */
}

static kr_val spec_of(struct kube_lease *l, struct kr_arena *a, bool release)
{
    struct kr_mapb b = KR_MAPB(a);
    kr_val now = time_val(a, l->clock->ops->wall_ms(l->clock));
    bool again = ours(l);

    if (!again || l->acquired.n == 0)
        set_text(&l->acquired, kr_text(now));
    kr_mapb_put(&b, KR_S("holderIdentity"), kr_string(release ? KR_S("") : l->opts.identity));
    kr_mapb_put(&b, KR_S("leaseDurationSeconds"),
                kr_int(release ? 1 : (int64_t)((l->opts.lease_ms + 999) / 1000)));
    kr_mapb_put(&b, KR_S("acquireTime"), release ? now : kr_string(kr_buf_view(&l->acquired)));
    kr_mapb_put(&b, KR_S("renewTime"), now);
    kr_mapb_put(&b, KR_S("leaseTransitions"),
                kr_int(l->seen.transitions + (again || !l->seen.exists ? 0 : 1)));
    return kr_mapb_done(&b);
}

static kr_val body_of(struct kube_lease *l, struct kr_arena *a, bool release)
{
    struct kr_mapb b = KR_MAPB(a), meta = KR_MAPB(a);

    kr_mapb_put(&meta, KR_S("name"), kr_string(l->opts.name));
    kr_mapb_put(&meta, KR_S("namespace"), kr_string(l->opts.namespace));
    if (l->seen.exists)
        kr_mapb_put(&meta, KR_S("resourceVersion"), kr_string(kr_buf_view(&l->seen.version)));
    kr_mapb_put(&b, KR_S("apiVersion"), KR_V_STR("coordination.k8s.io/v1"));
    kr_mapb_put(&b, KR_S("kind"), KR_V_STR("Lease"));
    kr_mapb_put(&b, KR_S("metadata"), kr_mapb_done(&meta));
    kr_mapb_put(&b, KR_S("spec"), spec_of(l, a, release));
    return kr_mapb_done(&b);
}

static void on_done(struct kube_req *req)
{
    KR_OWNER(req, struct kube_lease, req)->answered = true; /* the turn goes on */
}

static void set_write(struct kube_lease *l, bool release)
{
    struct kr_arena a = {0};
    int rc = kube_req_set_body(&l->req, body_of(l, &a, release), NULL);

    KR_ASSERT(rc == 0); /* a few hundred bytes */
    l->req.verb = l->seen.exists ? KUBE_MERGE_PATCH : KUBE_CREATE;
    kr_arena_fini(&a);
}

static void send(struct kube_lease *l, bool release, uint64_t timeout_ms)
{
    l->req.ref = (kr_ref){{KR_S("coordination.k8s.io"), KR_S("v1"), KR_S("leases")},
                          l->opts.namespace,
                          l->look || l->seen.exists ? l->opts.name : KR_S("")};
    l->req.on_done = on_done;
    l->req.timeout_ms = (uint32_t)timeout_ms;
    if (l->look)
        l->req.verb = KUBE_GET;
    else
        set_write(l, release);
    l->sent_ms = kube_now_ms(l->clock);
    kube_req_start(l->opts.client, &l->req);
}

/* --- the machine ------------------------------------------------------------------------------ */

static void on_timer(struct kube_timer *timer)
{
    (void)timer; /* the turn that follows looks at the time */
}

static void wake_at(struct kube_lease *l, uint64_t at_ms)
{
    uint64_t now = kube_now_ms(l->clock);

    l->timer.fn = on_timer;
    l->clock->ops->timer_start(l->clock, &l->timer, at_ms > now ? at_ms - now : 0);
}

static uint64_t deadline(const struct kube_lease *l)
{
    return l->renewed_ms + l->opts.renew_ms;
}

static void lose(struct kube_lease *l)
{
    kr_sm_to(&l->sm, L_FOLLOW);
    kube_req_cancel(&l->req);
    l->not_before_ms = kube_now_ms(l->clock) + l->opts.retry_ms;
}

/* Client-go's: a fifth more at most, so that candidates do not come together for ever. */
static uint64_t jittered(struct kube_lease *l)
{
    return l->opts.retry_ms + l->clock->ops->random(l->clock) % (l->opts.retry_ms / 5 + 1);
}

/* The Lease was read: what the server says holds, also where it is older than what was seen. */
static void take_look(struct kube_lease *l)
{
    bool gone = l->req.rc == KR_E_API && l->req.reason == KUBE_R_NOT_FOUND;
    bool known = l->req.rc == 0 || gone;

    if (gone) {
        see_gone(l);
    } else if (known) {
        l->seen.version_u = 0;
        see(l, l->req.object);
    } else if (l->req.rc != KR_E_CANCELED) {
        l->err = l->req.err;
    }
    if (known)
        l->look = false;
    l->not_before_ms = kube_now_ms(l->clock) + (known ? 0 : l->opts.retry_ms / 4);
    kr_sm_to(&l->sm, l->sm.cur == L_TAKE ? L_FOLLOW : L_LEAD);
}

/* Was what was seen not what is there? */
static bool says_stale(const struct kube_req *req)
{
    return req->reason == KUBE_R_CONFLICT || req->reason == KUBE_R_NOT_FOUND;
}

static void take_answer(struct kube_lease *l)
{
    uint64_t now = kube_now_ms(l->clock);
    bool ok = l->req.rc == 0;

    l->answered = false;
    if (l->req.verb == KUBE_GET) {
        if (l->sm.cur == L_TAKE || l->sm.cur == L_RENEW)
            take_look(l);
        return;
    }
    if (l->req.verb == KUBE_MERGE_PATCH && l->req.rc == KR_E_API && says_stale(&l->req))
        l->look = true;
    if (ok) {
        l->err.code = 0;
        see(l, l->req.object);
    } else if (l->req.rc != KR_E_CANCELED && l->req.reason != KUBE_R_CONFLICT &&
               l->req.reason != KUBE_R_ALREADY_EXISTS) {
        l->err = l->req.err;
    }
    switch (l->sm.cur) {
    case L_TAKE:
    case L_RENEW:
        if (ok && ours(l)) {
            l->renewed_ms = l->sent_ms;
            kr_sm_to(&l->sm, L_LEAD);
        } else if (l->sm.cur == L_TAKE) {
            kr_sm_to(&l->sm, L_FOLLOW);
            l->not_before_ms = now + jittered(l);
        } else {
            kr_sm_to(&l->sm, L_LEAD); /* until the deadline */
            l->not_before_ms = now + l->opts.retry_ms / 4;
        }
        return;
    case L_RELEASE:
        kr_sm_to(&l->sm, L_CLOSING);
        return;
    default: /* cancelled when leadership was lost */
        return;
    }
}

static void on_watch_closed(struct kube_watch *w, void *arg)
{
    struct kube_lease *l = arg;

    (void)w;
    l->watch_closed = true;
}

static void step_follow(struct kube_lease *l)
{
    uint64_t now = kube_now_ms(l->clock);

    if (l->close) {
        kr_sm_to(&l->sm, L_CLOSING);
        lease_step(l);
    } else if (!kube_store_synced(l->store) || kube_req_busy(&l->req)) {
        return; /* the watch tells */
    } else if (now < free_ms(l)) {
        wake_at(l, free_ms(l));
    } else if (now < l->not_before_ms) {
        wake_at(l, l->not_before_ms);
    } else {
        kr_sm_to(&l->sm, L_TAKE);
        send(l, false,
             l->opts.renew_ms < KUBE_LEASE_TAKE_MAX_MS ? l->opts.renew_ms : KUBE_LEASE_TAKE_MAX_MS);
    }
}

static void step_lead(struct kube_lease *l)
{
    uint64_t now = kube_now_ms(l->clock), due = l->renewed_ms + l->opts.retry_ms, left;

    if (due < l->not_before_ms)
        due = l->not_before_ms;
    if (l->close) {
        kr_sm_to(&l->sm, L_RELEASE);
        l->look = false;
        send(l, true, l->opts.retry_ms);
    } else if (now < due) {
        wake_at(l, due < deadline(l) ? due : deadline(l));
    } else {
        left = deadline(l) - now;
        kr_sm_to(&l->sm, L_RENEW);
        send(l, false, left > KUBE_LEASE_REQUEST_MIN_MS ? left : KUBE_LEASE_REQUEST_MIN_MS);
        wake_at(l, deadline(l));
    }
}

static void lease_free(struct kube_lease *l)
{
    struct kr_link *link;

    l->clock->ops->timer_stop(l->clock, &l->timer);
    while ((link = kr_link_pop(&l->changes.head)) != NULL)
        kube_change_free(KR_OWNER(link, struct kube_change, link));
    kube_store_free(l->store);
    kr_fieldset_pool_free(l->pool);
    kube_req_fini(&l->req);
    kr_buf_fini(&l->seen.holder);
    kr_buf_fini(&l->seen.version);
    kr_buf_fini(&l->acquired);
    kr_arena_fini(&l->names);
    kr_free(l);
}

static void step_closing(struct kube_lease *l)
{
    void (*closed)(void *arg) = l->closed;
    void *arg = l->closed_arg;

    if (l->watch) {
        kube_watch_close(l->watch, on_watch_closed, l);
        l->watch = NULL;
    }
    if (!l->watch_closed || kube_req_busy(&l->req))
        return;
    kr_sm_to(&l->sm, L_CLOSED);
    lease_free(l);
    if (closed)
        closed(arg);
}

/* Starts what the present state waits for. */
static void lease_step(struct kube_lease *l)
{
    switch (l->sm.cur) {
    case L_FOLLOW:
        step_follow(l);
        return;
    case L_LEAD:
        step_lead(l);
        return;
    case L_CLOSING:
        step_closing(l);
        return;
    default:
        return;
    }
}

static void tell(struct kube_lease *l)
{
    bool leading = kube_lease_leading(l);

    if (leading == l->leading)
        return;
    l->leading = leading;
    if (l->opts.changed)
        l->opts.changed(l->opts.arg, leading);
}

void kube_lease_turn(struct kube_lease *l)
{
    take_changes(l);
    if (l->answered)
        take_answer(l);
    if (kube_lease_leading(l) && (!ours(l) || kube_now_ms(l->clock) >= deadline(l)))
        lose(l);
    tell(l);
    lease_step(l); /* may free l */
}

/* --- life ------------------------------------------------------------------------------------- */

static void keep(struct kube_store *store, const char *group, const char *name)
{
    const kr_str names[] = {kr_str_c(group), kr_str_c(name)};
    uint32_t leaf;
    int rc = kube_projection_add(kube_store_projection(store), names, 2, &leaf, NULL);

    KR_ASSERT(rc >= 0);
}

struct kube_lease *kube_lease_new(const struct kube_lease_opts *opts)
{
    struct kube_lease *l = KR_ALLOC(struct kube_lease);
    struct kube_store_opts so = {.gvr = {KR_S("coordination.k8s.io"), KR_S("v1"), KR_S("leases")},
                                 .kind = KR_S("Lease")};
    struct kube_watch_opts wo = {0};

    l->opts = *opts;
    l->opts.namespace = kr_strdup(&l->names, opts->namespace);
    l->opts.name = kr_strdup(&l->names, opts->name);
    l->opts.identity = kr_strdup(&l->names, opts->identity);
    l->clock = kube_client_clock(opts->client);
    l->sm = (struct kr_sm){.states = lease_states, .cur = L_FOLLOW, .name = "lease"};
    kr_buf_init(&l->seen.holder, TEXT_MAX);
    kr_buf_init(&l->seen.version, TEXT_MAX);
    kr_buf_init(&l->acquired, TEXT_MAX);
    kr_link_init(&l->changes.head);
    l->pool = kr_fieldset_pool_new();
    so.pool = l->pool;
    so.changes = &l->changes;
    l->store = kube_store_new(&so);
    kube_projection_keep_plain(kube_store_projection(l->store));
    keep(l->store, "metadata", "resourceVersion");
    keep(l->store, "spec", "holderIdentity");
    keep(l->store, "spec", "leaseDurationSeconds");
    keep(l->store, "spec", "leaseTransitions");
    keep(l->store, "spec", "renewTime");
    wo.namespace = l->opts.namespace;
    wo.field_selector = kr_fmt(&l->names, "metadata.name=" KR_FMT, KR_ARG(opts->name));
    l->watch = kube_watch_new(opts->client, l->store, &wo);
    return l;
}

bool kube_lease_leading(const struct kube_lease *l)
{
    return l->sm.cur == L_LEAD || l->sm.cur == L_RENEW;
}

kr_str kube_lease_holder(const struct kube_lease *l)
{
    return kr_buf_view(&l->seen.holder);
}

const struct kr_err *kube_lease_error(const struct kube_lease *l)
{
    const struct kr_err *watch = l->watch ? kube_watch_error(l->watch) : NULL;

    if (watch)
        return watch;
    return l->err.code < 0 ? &l->err : NULL;
}

void kube_lease_close(struct kube_lease *l, void (*closed)(void *arg), void *arg)
{
    l->close = true;
    l->closed = closed;
    l->closed_arg = arg;
    wake_at(l, 0);
}
