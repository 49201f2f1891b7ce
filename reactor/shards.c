/* SPDX-License-Identifier: Apache-2.0 */
/* shards.c - the machine of shards.h. One request or one timer is outstanding beside the watch; what
 * the watch and the answers bring only marks, and the step decides.
 *
 * Two views of the Leases are kept apart. `slots` is the watch's alone: a state of the cluster, and all
 * conclusions about who claims what are drawn from it. `version` is the newest version of the own
 * Lease, from answers too: what the next write carries.
 *
 *   serving  is part of  certain  is part of  sent
 *
 * sent is what the last write claims; certain is what every write claims since the last one that is
 * known to be stored, that one included: whichever of them the server has, these are in it.
 */
#include "reactor/shards.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "cel/base/sm.h"
#include "cel/base/time.h"
#include "kube/lease.h"
#include "kube/watch.h"

#include "cel/base/banned.h"

enum { S_FOLLOW, S_TAKE, S_MEMBER, S_WRITE, S_BURY, S_RELEASE, S_CLOSING, S_CLOSED, S_N };

#define TO(s) (1u << S_##s)
static const struct kr_sm_state shards_states[S_N] = {
    [S_FOLLOW] = {"follow", TO(TAKE) | TO(CLOSING)},
    [S_TAKE] = {"take", TO(MEMBER) | TO(FOLLOW)},
    [S_MEMBER] = {"member", TO(WRITE) | TO(BURY) | TO(RELEASE) | TO(FOLLOW)},
    [S_WRITE] = {"write", TO(MEMBER) | TO(FOLLOW)},
    [S_BURY] = {"bury", TO(MEMBER) | TO(FOLLOW)},
    [S_RELEASE] = {"release", TO(CLOSING) | TO(FOLLOW)},
    [S_CLOSING] = {"closing", TO(CLOSED)},
    [S_CLOSED] = {"closed", 0},
};
#undef TO

#define LEASE_PREFIX "shard-"
#define LEASE_SUFFIX ".controller.kro.run"
#define LABEL "kroc.run/shard"
#define ANNO_BUCKETS "kroc.run/buckets"
#define ANNO_LEAVING "kroc.run/leaving"

enum {
    TEXT_MAX = 1024,
    REQUEST_MIN_MS = 1000, /* a write gets so long, also close to the deadline */
    RENDEZVOUS_SEED =
        29867, /* of 65,536 the one that shares 64 buckets out most evenly among 2 to 8 slots */
};

/* --- buckets ---------------------------------------------------------------------------------- */

uint32_t reactor_bucket(kr_str uid)
{
    return (uint32_t)(XXH3_64bits(uid.n ? uid.s : "", uid.n) % REACTOR_BUCKETS);
}

static uint64_t weight(uint32_t slot, uint32_t bucket)
{
    const uint8_t key[] = {RENDEZVOUS_SEED & 255, RENDEZVOUS_SEED >> 8, (uint8_t)slot,
                           (uint8_t)bucket};

    return XXH3_64bits(key, sizeof key);
}

static uint64_t bit(uint32_t i)
{
    return (uint64_t)1 << i;
}

void reactor_shards_assign(uint64_t slots, uint8_t owner[REACTOR_BUCKETS])
{
    KR_ASSERT(slots);
    for (uint32_t b = 0; b < REACTOR_BUCKETS; b++) {
        uint64_t best = 0;

        for (uint32_t i = 0; i < REACTOR_SHARDS_MAX; i++) {
            uint64_t w = slots & bit(i) ? weight(i, b) : 0;

            if (w > best) {
                best = w;
                owner[b] = (uint8_t)i;
            }
        }
    }
}

/* --- the Leases as the watch shows them ------------------------------------------------------- */

struct slot {
    bool exists, leaving;
    struct kr_buf holder, version;
    uint64_t version_u;
    uint64_t claims;
    int64_t transitions;
    uint64_t lease_ms; /* how long it lasts */
    uint64_t at_ms;    /* when this version came here */
    uint64_t ghost;    /* claims of a Lease that was deleted while it was held */
    uint64_t ghost_until_ms;
};

struct reactor_shards {
    struct reactor_shards_opts opts;
    struct kr_arena names; /* of the copied options */
    kr_str lease_names[REACTOR_SHARDS_MAX];
    struct kube_clock *clock;
    struct kr_sm sm;
    struct kr_fieldset_pool *pool;
    struct kube_changes changes;
    struct kube_store *store;
    struct kube_watch *watch;
    struct kube_req req;
    struct kube_timer timer;
    struct slot slots[REACTOR_SHARDS_MAX];
    uint64_t serving;             /* as last told */
    uint64_t sent, certain;       /* see above */
    int me;                       /* slot; -1: none */
    uint64_t shared_among, share; /* this slot's share among these: as last worked out */
    int shared_to;
    uint32_t target;       /* slot that the request under way writes to */
    struct kr_buf version; /* of the own Lease, the newest that is known */
    uint64_t version_u;
    int64_t transitions; /* of the own Lease */
    uint64_t sent_ms;    /* when the request under way was started */
    uint64_t renewed_ms; /* when the last write that succeeded was started */
    uint64_t joined_ms;
    uint64_t not_before_ms; /* no write before */
    uint64_t no_bury_ms;    /* no burial before */
    struct kr_buf acquired; /* acquireTime */
    struct kr_err err;      /* of the last write; code 0: none */
    bool unsure;            /* the last write failed, or may have */
    bool answered;          /* req has ended and is not looked at yet */
    bool seen_own;          /* the watch has shown the Lease that we took */
    bool leaving, said_leaving, close, watch_closed;
    void (*closed)(void *arg);
    void *closed_arg;
};

static void shards_step(struct reactor_shards *s);

static uint64_t now_ms(const struct reactor_shards *s)
{
    return kube_now_ms(s->clock);
}

static void set_text(struct kr_buf *b, kr_str s)
{
    kr_buf_reset(b);
    kr_buf_str(b, s);
}

/* The slot of a Lease's name; false: it is none of ours. */
static bool slot_of(kr_str name, uint32_t *slot)
{
    uint64_t n;

    if (!kr_str_starts(name, KR_S(LEASE_PREFIX)) || !kr_str_ends(name, KR_S(LEASE_SUFFIX)))
        return false;
    if (!kr_str_u64(kr_str_sub(name, sizeof LEASE_PREFIX - 1, name.n - (sizeof LEASE_SUFFIX - 1)),
                    &n) ||
        n >= REACTOR_SHARDS_MAX)
        return false;
    *slot = (uint32_t)n;
    return true;
}

static uint64_t read_claims(kr_str text)
{
    uint64_t set = 0, n;

    while (text.s != NULL) {
        if (kr_str_u64(kr_str_cut(&text, ','), &n) && n < REACTOR_BUCKETS)
            set |= bit((uint32_t)n);
    }
    return set;
}

static kr_str claims_text(struct kr_arena *a, uint64_t claims)
{
    struct kr_buf b = KR_BUF(4 * REACTOR_BUCKETS);
    kr_str text;

    for (uint32_t i = 0; i < REACTOR_BUCKETS; i++) {
        if (claims & bit(i))
            kr_buf_fmt(&b, "%s%u", b.n ? "," : "", (unsigned)i);
    }
    text = kr_strdup(a, kr_buf_view(&b));
    kr_buf_fini(&b);
    return text;
}

static void see(struct reactor_shards *s, uint32_t i, const struct kr_rec *rec)
{
    struct slot *t = &s->slots[i];
    kr_val spec = kr_get(kr_rec_root(rec), KR_S("spec")),
           meta = kr_get(kr_rec_root(rec), KR_S("metadata"));
    kr_val notes = kr_get(meta, KR_S("annotations"));
    kr_val transitions = kr_get(spec, KR_S("leaseTransitions"));

    if (t->exists && kr_str_eq(kr_rec_version(rec), kr_buf_view(&t->version)))
        return;
    t->exists = true;
    set_text(&t->holder, kr_text(kr_get(spec, KR_S("holderIdentity"))));
    set_text(&t->version, kr_rec_version(rec));
    t->version_u = rec->version_u;
    t->claims = t->holder.n ? read_claims(kr_text(kr_get(notes, KR_S(ANNO_BUCKETS)))) : 0;
    t->leaving = kr_text(kr_get(notes, KR_S(ANNO_LEAVING))).n > 0;
    t->transitions = transitions.kind == KR_INT ? transitions.i : 0;
    t->lease_ms = kube_lease_lasts_ms(spec, s->opts.lease_ms);
    t->at_ms = now_ms(s);
}

static void see_gone(struct reactor_shards *s, uint32_t i)
{
    struct slot *t = &s->slots[i];

    if (t->holder.n && (int)i != s->me) {
        t->ghost = t->claims | (now_ms(s) < t->ghost_until_ms ? t->ghost : 0);
        t->ghost_until_ms = now_ms(s) + t->lease_ms;
    }
    t->exists = t->leaving = false;
    set_text(&t->holder, KR_S(""));
    set_text(&t->version, KR_S(""));
    t->version_u = 0;
    t->claims = 0;
}

static void take_changes(struct reactor_shards *s)
{
    struct kr_link list, *link;

    kr_link_take(&list, &s->changes.head);
    while ((link = kr_link_pop(&list)) != NULL) {
        struct kube_change *c = KR_OWNER(link, struct kube_change, link);
        const struct kr_rec *rec = c->now ? c->now : c->old;
        uint32_t i;

        if (rec && slot_of(kr_rec_name(rec), &i)) {
            if (c->now)
                see(s, i, rec);
            else
                see_gone(s, i);
        }
        kube_change_free(c);
    }
}

static bool holds(const struct reactor_shards *s, uint32_t i)
{
    return s->slots[i].exists && kr_str_eq(kr_buf_view(&s->slots[i].holder), s->opts.identity);
}

static bool expired(const struct reactor_shards *s, uint32_t i)
{
    const struct slot *t = &s->slots[i];

    return t->exists && t->holder.n && now_ms(s) >= t->at_ms + t->lease_ms;
}

/* What others claim, or may still serve. */
static uint64_t claimed_by_others(const struct reactor_shards *s)
{
    uint64_t set = 0;

    for (uint32_t i = 0; i < REACTOR_SHARDS_MAX; i++) {
        const struct slot *t = &s->slots[i];

        if ((int)i != s->me)
            set |= t->claims;
        if (t->ghost && now_ms(s) < t->ghost_until_ms)
            set |= t->ghost;
    }
    return set;
}

static uint64_t members(const struct reactor_shards *s)
{
    uint64_t set = s->me >= 0 && !s->leaving ? bit((uint32_t)s->me) : 0;

    for (uint32_t i = 0; i < REACTOR_SHARDS_MAX; i++) {
        if ((int)i != s->me && s->slots[i].holder.n && !s->slots[i].leaving)
            set |= bit(i);
    }
    return set;
}

/* --- requests --------------------------------------------------------------------------------- */

static kr_val time_val(struct kr_arena *a, int64_t wall_ms)
{
    char text[KR_TIME_TEXT_MAX];
    kr_str s = {text, kr_time_text(wall_ms / 1000, 0, text)};

    return kr_string(kr_fmt(a, KR_FMT ".%06dZ", KR_ARG(kr_str_sub(s, 0, s.n - 1)),
                            (int)(wall_ms % 1000) * 1000)); /* MicroTime */
}

struct wish { /* what a write says */
    uint32_t slot;
    kr_str holder;
    uint64_t claims;
    bool leaving;
    kr_str version; /* empty: the Lease is not there yet */
    int64_t transitions;
};

static kr_val spec_of(struct reactor_shards *s, struct kr_arena *a, const struct wish *w)
{
    struct kr_mapb b = KR_MAPB(a);
    kr_val now = time_val(a, s->clock->ops->wall_ms(s->clock));

    kr_mapb_put(&b, KR_S("holderIdentity"), kr_string(w->holder));
    kr_mapb_put(&b, KR_S("leaseDurationSeconds"),
                kr_int(w->holder.n ? (int64_t)((s->opts.lease_ms + 999) / 1000) : 1));
    kr_mapb_put(&b, KR_S("acquireTime"),
                w->holder.n && s->acquired.n ? kr_string(kr_buf_view(&s->acquired)) : now);
    kr_mapb_put(&b, KR_S("renewTime"), now);
    kr_mapb_put(&b, KR_S("leaseTransitions"), kr_int(w->transitions));
    return kr_mapb_done(&b);
}

static kr_val body_of(struct reactor_shards *s, struct kr_arena *a, const struct wish *w)
{
    struct kr_mapb b = KR_MAPB(a), meta = KR_MAPB(a), notes = KR_MAPB(a), labels = KR_MAPB(a);

    kr_mapb_put(&labels, KR_S(LABEL), kr_string(kr_fmt(a, "%u", (unsigned)w->slot)));
    kr_mapb_put(&notes, KR_S(ANNO_BUCKETS), kr_string(claims_text(a, w->claims)));
    kr_mapb_put(&notes, KR_S(ANNO_LEAVING), kr_string(w->leaving ? KR_S("true") : KR_S("")));
    kr_mapb_put(&meta, KR_S("name"), kr_string(s->lease_names[w->slot]));
    kr_mapb_put(&meta, KR_S("namespace"), kr_string(s->opts.namespace));
    kr_mapb_put(&meta, KR_S("labels"), kr_mapb_done(&labels));
    kr_mapb_put(&meta, KR_S("annotations"), kr_mapb_done(&notes));
    if (w->version.n)
        kr_mapb_put(&meta, KR_S("resourceVersion"), kr_string(w->version));
    kr_mapb_put(&b, KR_S("apiVersion"), KR_V_STR("coordination.k8s.io/v1"));
    kr_mapb_put(&b, KR_S("kind"), KR_V_STR("Lease"));
    kr_mapb_put(&b, KR_S("metadata"), kr_mapb_done(&meta));
    kr_mapb_put(&b, KR_S("spec"), spec_of(s, a, w));
    return kr_mapb_done(&b);
}

static void on_done(struct kube_req *req)
{
    KR_OWNER(req, struct reactor_shards, req)->answered = true; /* the turn goes on */
}

static void send(struct reactor_shards *s, const struct wish *w, uint64_t timeout_ms)
{
    struct kr_arena body = {0};
    int rc;

    s->target = w->slot;
    s->req.ref = (kr_ref){
        {KR_S("coordination.k8s.io"), KR_S("v1"), KR_S("leases")}, s->opts.namespace, KR_S("")};
    if (w->version.n)
        s->req.ref.name = s->lease_names[w->slot];
    s->req.verb = w->version.n ? KUBE_MERGE_PATCH : KUBE_CREATE;
    s->req.on_done = on_done;
    s->req.timeout_ms = (uint32_t)timeout_ms;
    rc = kube_req_set_body(&s->req, body_of(s, &body, w), NULL);
    KR_ASSERT(rc == 0); /* a thousand bytes */
    s->sent_ms = now_ms(s);
    kube_req_start(s->opts.client, &s->req);
    kr_arena_fini(&body);
}

/* --- what was answered ------------------------------------------------------------------------ */

static uint64_t deadline(const struct reactor_shards *s)
{
    return s->renewed_ms + s->opts.renew_ms;
}

static void tell(struct reactor_shards *s, uint64_t serving)
{
    if (serving == s->serving)
        return;
    s->serving = serving;
    if (s->opts.changed)
        s->opts.changed(s->opts.arg, serving, false);
}

/* A fifth more at most, so that candidates do not come together for ever. */
static uint64_t jittered(struct reactor_shards *s)
{
    return s->opts.retry_ms + s->clock->ops->random(s->clock) % (s->opts.retry_ms / 5 + 1);
}

static void own_version(struct reactor_shards *s, kr_str version, uint64_t version_u)
{
    set_text(&s->version, version);
    s->version_u = version_u;
}

/* A write of ours is stored: the Lease is as we said, and no older write can follow. */
static void stored(struct reactor_shards *s)
{
    kr_str version = kr_at_str(s->req.object, "metadata.resourceVersion");
    uint64_t version_u = 0;

    (void)kr_str_u64(version, &version_u);
    own_version(s, version, version_u);
    s->err.code = 0;
    s->renewed_ms = s->sent_ms;
    s->certain = s->sent;
    s->unsure = false;
}

static void note_failure(struct reactor_shards *s)
{
    if (s->req.rc != KR_E_CANCELED && s->req.reason != KUBE_R_CONFLICT &&
        s->req.reason != KUBE_R_ALREADY_EXISTS)
        s->err = s->req.err;
}

static void answer_take(struct reactor_shards *s, bool ok)
{
    if (!ok) {
        s->me = -1;
        s->not_before_ms =
            now_ms(s) + (s->req.reason == KUBE_R_CONFLICT || s->req.reason == KUBE_R_ALREADY_EXISTS
                             ? REQUEST_MIN_MS / 20
                             : jittered(s));
        kr_sm_to(&s->sm, S_FOLLOW);
        return;
    }
    stored(s);
    s->joined_ms = now_ms(s);
    kr_sm_to(&s->sm, S_MEMBER);
}

static void take_answer(struct reactor_shards *s)
{
    bool ok = s->req.rc == 0;

    s->answered = false;
    if (!ok)
        note_failure(s);
    switch (s->sm.cur) {
    case S_TAKE:
        answer_take(s, ok);
        return;
    case S_WRITE:
        if (ok)
            stored(s);
        else
            s->not_before_ms = now_ms(s) + s->opts.retry_ms / 4;
        s->unsure = !ok;
        kr_sm_to(&s->sm, S_MEMBER);
        return;
    case S_BURY:
        s->no_bury_ms = now_ms(s) + s->opts.retry_ms; /* the watch shows what came of it */
        kr_sm_to(&s->sm, S_MEMBER);
        return;
    case S_RELEASE:
        kr_sm_to(&s->sm, S_CLOSING);
        return;
    default: /* cancelled when the slot was lost */
        return;
    }
}

/* --- what follows ----------------------------------------------------------------------------- */

static bool is_member(const struct reactor_shards *s)
{
    return s->sm.cur == S_MEMBER || s->sm.cur == S_WRITE || s->sm.cur == S_BURY;
}

static void lose(struct reactor_shards *s)
{
    bool had = s->serving || s->sent; /* also what was being given back */

    kr_sm_to(&s->sm, S_FOLLOW);
    kube_req_cancel(&s->req);
    s->me = -1;
    s->sent = s->certain = s->serving = 0;
    s->unsure = false;
    s->not_before_ms = now_ms(s) + s->opts.retry_ms;
    if (had && s->opts.changed)
        s->opts.changed(s->opts.arg, 0, true);
}

/* The watch shows a state of the own Lease that is not older than the last answer. */
static bool view_is_fresh(const struct reactor_shards *s)
{
    const struct slot *t = &s->slots[s->me];

    return t->exists && t->version_u && t->version_u >= s->version_u;
}

/* Somebody else has written our Lease, or deleted it. */
static bool is_fenced(const struct reactor_shards *s)
{
    if (kr_str_eq(kr_buf_view(&s->slots[s->me].version), kr_buf_view(&s->version)))
        return false;
    if (!s->slots[s->me].exists)
        return s->seen_own;
    return view_is_fresh(s) && !holds(s, (uint32_t)s->me);
}

/* A write of ours that seemed to have failed was stored after all. */
static void follow_own(struct reactor_shards *s)
{
    const struct slot *t = &s->slots[s->me];

    if (!view_is_fresh(s) || !holds(s, (uint32_t)s->me))
        return;
    s->seen_own = true;
    if (t->version_u > s->version_u)
        own_version(s, kr_buf_view(&t->version), t->version_u);
}

/* The buckets that are this member's share. Just after the start it waits for the others a little: what
 * it claimed alone it would have to give back. */
static uint64_t share(struct reactor_shards *s)
{
    uint64_t slots = members(s);
    uint8_t owner[REACTOR_BUCKETS];

    if (s->me < 0 || s->leaving)
        return 0;
    if (s->shared_among == slots && s->shared_to == s->me)
        return s->share;
    reactor_shards_assign(slots, owner);
    s->shared_among = slots;
    s->shared_to = s->me;
    s->share = 0;
    for (uint32_t b = 0; b < REACTOR_BUCKETS; b++)
        s->share |= owner[b] == s->me ? bit(b) : 0;
    return s->share;
}

static bool may_claim(const struct reactor_shards *s)
{
    return reactor_shards_members_n(s) >= s->opts.slots_n ||
           now_ms(s) >= s->joined_ms + s->opts.retry_ms;
}

/* What is served from now on: less where the share has shrunk, more where the watch shows that a claim
 * is ours alone. */
static void decide(struct reactor_shards *s, uint64_t mine)
{
    uint64_t serving = s->serving & mine;

    if (view_is_fresh(s) && holds(s, (uint32_t)s->me))
        serving |= s->slots[s->me].claims & s->certain & mine & ~claimed_by_others(s);
    tell(s, serving);
}

/* --- the machine ------------------------------------------------------------------------------ */

static void on_timer(struct kube_timer *timer)
{
    (void)timer; /* the turn that follows looks at the time */
}

static void wake_at(struct reactor_shards *s, uint64_t at_ms)
{
    uint64_t now = now_ms(s);

    if (at_ms == UINT64_MAX)
        return;
    s->timer.fn = on_timer;
    s->clock->ops->timer_start(s->clock, &s->timer, at_ms > now ? at_ms - now : 0);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* When the next Lease of another among the first n slots ends, as far as is known. */
static uint64_t next_end(const struct reactor_shards *s, uint32_t n)
{
    uint64_t at = UINT64_MAX;

    for (uint32_t i = 0; i < n; i++) {
        const struct slot *t = &s->slots[i];

        if (t->exists && t->holder.n && (int)i != s->me)
            at = earlier(at, t->at_ms + t->lease_ms);
        if (t->ghost && now_ms(s) < t->ghost_until_ms)
            at = earlier(at, t->ghost_until_ms);
    }
    return at;
}

/* The lowest slot that is free, ours from before, or whose Lease has ended; -1: none. */
static int free_slot(const struct reactor_shards *s)
{
    for (uint32_t i = 0; i < s->opts.slots_n; i++) {
        if (holds(s, i))
            return (int)i;
    }
    for (uint32_t i = 0; i < s->opts.slots_n; i++) {
        if (!s->slots[i].holder.n || expired(s, i))
            return (int)i;
    }
    return -1;
}

static void take(struct reactor_shards *s, uint32_t i)
{
    const struct slot *t = &s->slots[i];
    struct wish w = {.slot = i,
                     .holder = s->opts.identity,
                     .version = t->exists ? kr_buf_view(&t->version) : KR_S(""),
                     .transitions = t->transitions + (t->exists ? 1 : 0)};
    struct kr_arena a = {0};

    set_text(&s->acquired, kr_text(time_val(&a, s->clock->ops->wall_ms(s->clock))));
    kr_arena_fini(&a);
    s->me = (int)i;
    s->transitions = w.transitions;
    s->sent = s->certain = 0;
    s->seen_own = false;
    s->version_u = 0;
    kr_sm_to(&s->sm, S_TAKE);
    send(s, &w, s->opts.renew_ms);
}

static void step_follow(struct reactor_shards *s)
{
    uint64_t now = now_ms(s);
    int i = free_slot(s);

    if (s->leaving || s->close) {
        if (s->close)
            kr_sm_to(&s->sm, S_CLOSING);
        if (s->close)
            shards_step(s);
    } else if (!kube_store_synced(s->store) || kube_req_busy(&s->req)) {
        return; /* the watch tells */
    } else if (i < 0) {
        wake_at(s, next_end(s, s->opts.slots_n));
    } else if (now < s->not_before_ms) {
        wake_at(s, s->not_before_ms);
    } else {
        take(s, (uint32_t)i);
    }
}

/* Writes the own Lease: renews it, with these claims. */
static void write_own(struct reactor_shards *s, uint64_t claims)
{
    uint64_t left = deadline(s) - now_ms(s);
    struct wish w = {.slot = (uint32_t)s->me,
                     .holder = s->opts.identity,
                     .claims = claims,
                     .leaving = s->leaving,
                     .version = kr_buf_view(&s->version),
                     .transitions = s->transitions};

    KR_ASSERT((s->serving & ~claims) == 0);
    s->sent = claims;
    s->certain &= claims;
    s->said_leaving = s->leaving;
    kr_sm_to(&s->sm, S_WRITE);
    send(s, &w, left / 2 > REQUEST_MIN_MS ? left / 2 : REQUEST_MIN_MS);
    wake_at(s, deadline(s));
}

/* Lets go of the Lease: everything has been given back. */
static void release(struct reactor_shards *s)
{
    struct wish w = {.slot = (uint32_t)s->me,
                     .version = kr_buf_view(&s->version),
                     .transitions = s->transitions};

    s->sent = s->certain = 0;
    kr_sm_to(&s->sm, S_RELEASE);
    send(s, &w, s->opts.retry_ms);
}

/* Ends a Lease that was not renewed. Returns whether there was one. */
static bool bury(struct reactor_shards *s)
{
    for (uint32_t i = 0; i < REACTOR_SHARDS_MAX && now_ms(s) >= s->no_bury_ms; i++) {
        const struct slot *t = &s->slots[i];
        struct wish w = {
            .slot = i, .version = kr_buf_view(&t->version), .transitions = t->transitions};

        if ((int)i == s->me || !expired(s, i))
            continue;
        kr_sm_to(&s->sm, S_BURY);
        send(s, &w, s->opts.retry_ms / 2 > REQUEST_MIN_MS ? s->opts.retry_ms / 2 : REQUEST_MIN_MS);
        wake_at(s, deadline(s));
        return true;
    }
    return false;
}

/* What the own Lease should claim. */
static uint64_t claims_wanted(struct reactor_shards *s, uint64_t mine)
{
    uint64_t kept = s->sent & mine, given = s->sent & ~mine;

    if (given && s->opts.busy)
        kept |= given & s->opts.busy(s->opts.arg);
    if (may_claim(s))
        kept |= mine & ~claimed_by_others(s);
    return kept;
}

static uint64_t next_look(const struct reactor_shards *s, uint64_t due)
{
    uint64_t at = earlier(earlier(due, deadline(s)), next_end(s, REACTOR_SHARDS_MAX));

    if (now_ms(s) < s->no_bury_ms)
        at = at > s->no_bury_ms ? at : earlier(due, s->no_bury_ms);
    return may_claim(s) ? at : earlier(at, s->joined_ms + s->opts.retry_ms);
}

static void step_member(struct reactor_shards *s, uint64_t mine)
{
    uint64_t now = now_ms(s), due = s->renewed_ms + s->opts.retry_ms;
    uint64_t claims = claims_wanted(s, mine);
    bool news = claims != s->sent || s->leaving != s->said_leaving;

    if (s->unsure || news)
        due = now;
    if (due < s->not_before_ms)
        due = s->not_before_ms;
    if (s->leaving && claims == 0 && s->close && now >= s->not_before_ms)
        release(s);
    else if (now >= due)
        write_own(s, claims);
    else if (!bury(s))
        wake_at(s, next_look(s, due));
}

static void shards_free(struct reactor_shards *s)
{
    struct kr_link *link;

    s->clock->ops->timer_stop(s->clock, &s->timer);
    while ((link = kr_link_pop(&s->changes.head)) != NULL)
        kube_change_free(KR_OWNER(link, struct kube_change, link));
    kube_store_free(s->store);
    kr_fieldset_pool_free(s->pool);
    kube_req_fini(&s->req);
    for (uint32_t i = 0; i < REACTOR_SHARDS_MAX; i++) {
        kr_buf_fini(&s->slots[i].holder);
        kr_buf_fini(&s->slots[i].version);
    }
    kr_buf_fini(&s->version);
    kr_buf_fini(&s->acquired);
    kr_arena_fini(&s->names);
    kr_free(s);
}

static void on_watch_closed(struct kube_watch *w, void *arg)
{
    struct reactor_shards *s = arg;

    (void)w;
    s->watch_closed = true;
}

static void step_closing(struct reactor_shards *s)
{
    void (*closed)(void *arg) = s->closed;
    void *arg = s->closed_arg;

    if (s->watch) {
        kube_watch_close(s->watch, on_watch_closed, s);
        s->watch = NULL;
    }
    if (!s->watch_closed || kube_req_busy(&s->req))
        return;
    kr_sm_to(&s->sm, S_CLOSED);
    shards_free(s);
    if (closed)
        closed(arg);
}

/* Starts what the present state waits for. */
static void shards_step(struct reactor_shards *s)
{
    uint64_t mine;

    switch (s->sm.cur) {
    case S_FOLLOW:
        step_follow(s);
        return;
    case S_MEMBER:
        mine = share(s);
        step_member(s, mine);
        return;
    case S_CLOSING:
        step_closing(s);
        return;
    default:
        return;
    }
}

void reactor_shards_turn(struct reactor_shards *s)
{
    take_changes(s);
    if (s->answered)
        take_answer(s);
    if (is_member(s))
        follow_own(s);
    if (is_member(s) && (is_fenced(s) || now_ms(s) >= deadline(s)))
        lose(s);
    if (is_member(s))
        decide(s, share(s));
    shards_step(s); /* may free s */
}

/* --- life ------------------------------------------------------------------------------------- */

static void keep(struct kube_store *store, const char *a, const char *b, const char *c)
{
    const kr_str names[] = {kr_str_c(a), kr_str_c(b), kr_str_c(c ? c : "")};
    uint32_t leaf;
    int rc = kube_projection_add(kube_store_projection(store), names, c ? 3 : 2, &leaf, NULL);

    KR_ASSERT(rc >= 0);
}

static void follow(struct reactor_shards *s)
{
    struct kube_store_opts so = {
        .gvr = {KR_S("coordination.k8s.io"), KR_S("v1"), KR_S("leases")},
        .kind = KR_S("Lease"),
        .pool = s->pool,
        .changes = &s->changes,
    };
    struct kube_watch_opts wo = {.namespace = s->opts.namespace, .label_selector = KR_S(LABEL)};

    s->store = kube_store_new(&so);
    kube_projection_keep_plain(kube_store_projection(s->store));
    keep(s->store, "spec", "holderIdentity", NULL);
    keep(s->store, "spec", "leaseDurationSeconds", NULL);
    keep(s->store, "spec", "leaseTransitions", NULL);
    keep(s->store, "metadata", "annotations", ANNO_BUCKETS);
    keep(s->store, "metadata", "annotations", ANNO_LEAVING);
    keep(s->store, "metadata", "resourceVersion", NULL); /* each renewal is a change */
    s->watch = kube_watch_new(s->opts.client, s->store, &wo);
}

struct reactor_shards *reactor_shards_new(const struct reactor_shards_opts *opts)
{
    struct reactor_shards *s = KR_ALLOC(struct reactor_shards);

    KR_ASSERT(opts->slots_n >= 1 && opts->slots_n <= REACTOR_SHARDS_MAX);
    s->opts = *opts;
    s->opts.namespace = kr_strdup(&s->names, opts->namespace);
    s->opts.identity = kr_strdup(&s->names, opts->identity);
    s->clock = kube_client_clock(opts->client);
    s->sm = (struct kr_sm){.states = shards_states, .cur = S_FOLLOW, .name = "shards"};
    s->pool = kr_fieldset_pool_new();
    s->me = -1;
    kr_link_init(&s->changes.head);
    for (uint32_t i = 0; i < REACTOR_SHARDS_MAX; i++) {
        s->lease_names[i] = kr_fmt(&s->names, LEASE_PREFIX "%u" LEASE_SUFFIX, (unsigned)i);
        kr_buf_init(&s->slots[i].holder, TEXT_MAX);
        kr_buf_init(&s->slots[i].version, TEXT_MAX);
    }
    kr_buf_init(&s->version, TEXT_MAX);
    kr_buf_init(&s->acquired, TEXT_MAX);
    follow(s);
    return s;
}

uint64_t reactor_shards_serving(const struct reactor_shards *s)
{
    return s->serving;
}

int reactor_shards_slot(const struct reactor_shards *s)
{
    return is_member(s) ? s->me : -1;
}

uint32_t reactor_shards_members_n(const struct reactor_shards *s)
{
    return (uint32_t)__builtin_popcountll(members(s));
}

const struct kr_err *reactor_shards_error(const struct reactor_shards *s)
{
    const struct kr_err *watch = s->watch ? kube_watch_error(s->watch) : NULL;

    if (watch)
        return watch;
    return s->err.code < 0 ? &s->err : NULL;
}

void reactor_shards_leave(struct reactor_shards *s)
{
    s->leaving = true;
    wake_at(s, 0);
}

void reactor_shards_close(struct reactor_shards *s, void (*closed)(void *arg), void *arg)
{
    s->leaving = s->close = true;
    s->closed = closed;
    s->closed_arg = arg;
    wake_at(s, 0);
}
