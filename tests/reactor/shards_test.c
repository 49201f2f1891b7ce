/* SPDX-License-Identifier: Apache-2.0 */
/* Several members and their Leases on an API server in memory, in virtual time: at no moment do two
 * serve one bucket. Then the controller with some of the buckets. */
#include "reactor/shards.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "graph/names.h"
#include "tests/lib/world.h"

enum { LEASE_MS = 15000, RENEW_MS = 10000, RETRY_MS = 2000, STEP_MS = 50, N = 5, HISTORIES = 10 };
#define ALL UINT64_MAX
#define LEASES "/apis/coordination.k8s.io/v1/namespaces/default/leases/"

/* --- the assignment --------------------------------------------------------------------------- */

/* The hash stands in labels: it is the same in every version and on every machine. */
TEST(buckets, a_uid_has_the_same_bucket_for_ever)
{
    assert_int_equal(reactor_bucket(KR_S("")), 2);
    assert_int_equal(reactor_bucket(KR_S("6c1d9a2e-3f0b-4a57-9d3e-0b1f5f6f7a88")), 61);
    assert_int_equal(reactor_bucket(KR_S("00000000-0000-0000-0000-000000000000")), 41);
}

static int bits_n(uint64_t set)
{
    return __builtin_popcountll(set);
}

TEST(buckets, each_belongs_to_a_member_and_only_what_must_moves)
{
    for (uint64_t slots = 1; slots < 256; slots++) {
        uint8_t now[REACTOR_BUCKETS], more[REACTOR_BUCKETS];

        reactor_shards_assign(slots, now);
        for (uint32_t b = 0; b < REACTOR_BUCKETS; b++)
            assert_true(slots & ((uint64_t)1 << now[b]));
        for (uint32_t come = 0; come < 8; come++) {
            if (slots & ((uint64_t)1 << come))
                continue;
            reactor_shards_assign(slots | ((uint64_t)1 << come), more);
            for (uint32_t b = 0; b < REACTOR_BUCKETS; b++)
                assert_true(more[b] == now[b] || more[b] == come);
        }
    }
}

TEST(buckets, they_are_shared_out_evenly)
{
    for (uint32_t n = 1; n <= 8; n++) {
        uint8_t owner[REACTOR_BUCKETS];
        uint32_t count[8] = {0};

        reactor_shards_assign(((uint64_t)1 << n) - 1, owner);
        for (uint32_t b = 0; b < REACTOR_BUCKETS; b++)
            count[owner[b]]++;
        for (uint32_t i = 0; i < n; i++)
            assert_in_range(count[i], REACTOR_BUCKETS / n - 3, REACTOR_BUCKETS / n + 3);
    }
}

/* --- members ---------------------------------------------------------------------------------- */

/* A machine's own clock: it began at another time and runs at another rate. */
struct own_clock {
    struct kube_clock door;
    struct kube_clock *base;
    uint64_t offset_ms;
    uint32_t permille; /* of the true time */
};

static uint64_t own_now(struct kube_clock *c)
{
    struct own_clock *o = KR_OWNER(c, struct own_clock, door);

    return o->offset_ms + kube_now_ms(o->base) * o->permille / 1000;
}

static int64_t own_wall(struct kube_clock *c)
{
    return (int64_t)own_now(c) * 7; /* nobody looks at it */
}

static void own_start(struct kube_clock *c, struct kube_timer *timer, uint64_t delay_ms)
{
    struct own_clock *o = KR_OWNER(c, struct own_clock, door);

    o->base->ops->timer_start(o->base, timer, delay_ms * 1000 / o->permille + 1);
}

static void own_stop(struct kube_clock *c, struct kube_timer *timer)
{
    struct own_clock *o = KR_OWNER(c, struct own_clock, door);

    o->base->ops->timer_stop(o->base, timer);
}

static uint64_t own_random(struct kube_clock *c)
{
    struct own_clock *o = KR_OWNER(c, struct own_clock, door);

    return o->base->ops->random(o->base);
}

static const struct kube_clock_ops own_ops = {own_now, own_wall, own_start, own_stop, own_random};

struct member {
    struct own_clock clock;
    struct fault *line; /* between it and the server */
    struct kube_client *client;
    struct reactor_shards *shards; /* NULL: none */
    uint64_t serving;              /* as it was told */
    uint64_t busy;                 /* writes under way for buckets that it gives back */
    uint64_t makes_busy;           /* of these there are some when they are lost in order */
    uint32_t hard_n;
    bool hung;  /* the process does not run */
    bool dazed; /* it runs again, and has not had its first turn */
};

struct fixture {
    struct vclock clock;
    struct fakeapi *api;
    struct member m[N];
    uint32_t slots_n, starts_n;
    uint32_t both_n; /* moments at which two served a bucket */
    struct kr_arena a;
};

static void on_changed(void *arg, uint64_t serving, bool at_once)
{
    struct member *m = arg;

    if (!at_once)
        m->busy |= m->serving & ~serving & m->makes_busy;
    else
        m->busy = 0;
    m->hard_n += at_once;
    m->serving = serving;
}

static uint64_t on_busy(void *arg)
{
    return ((struct member *)arg)->busy;
}

static void on_closed(void *arg)
{
    ((struct member *)arg)->shards = NULL;
}

static void start(struct fixture *f, int i)
{
    struct member *m = &f->m[i];
    char who[32];
    int n = snprintf(who, sizeof who, "member-%d-%u", i, f->starts_n++);

    if (!m->clock.permille)
        m->clock.permille = 1000;
    m->clock.door.ops = &own_ops;
    m->clock.base = &f->clock.door;
    m->line = fault_new(fakeapi_transport(f->api), &f->clock.door);
    m->client = kube_client_new(fault_transport(m->line), &m->clock.door,
                                &(struct kube_client_opts){.user_agent = "kro/test"});
    m->serving = m->busy = 0;
    m->hung = false;
    m->shards = reactor_shards_new(&(struct reactor_shards_opts){.client = m->client,
                                                                 .namespace = KR_S("default"),
                                                                 .identity = {who, (size_t)n},
                                                                 .slots_n = f->slots_n,
                                                                 .lease_ms = LEASE_MS,
                                                                 .renew_ms = RENEW_MS,
                                                                 .retry_ms = RETRY_MS,
                                                                 .changed = on_changed,
                                                                 .busy = on_busy,
                                                                 .arg = m});
}

static void wake(struct member *m)
{
    m->dazed = m->hung;
    m->hung = false;
}

static void open_fixture(struct fixture *f, uint32_t slots_n)
{
    *f = (struct fixture){.slots_n = slots_n};
    vclock_init(&f->clock);
    f->api = fakeapi_new(&f->clock.door, NULL);
}

/* What a process serves that runs; what it still writes counts too. */
static uint64_t serves(const struct fixture *f, int i)
{
    const struct member *m = &f->m[i];

    return m->shards && !m->hung && !m->dazed ? m->serving | m->busy : 0;
}

static void look(struct fixture *f)
{
    uint64_t seen = 0;

    for (int i = 0; i < N; i++) {
        f->both_n += (seen & serves(f, i)) != 0;
        seen |= serves(f, i);
    }
}

static void turn(struct fixture *f, int i)
{
    struct member *m = &f->m[i];

    if (!m->client || m->hung)
        return;
    kube_client_turn(m->client);
    if (m->shards)
        reactor_shards_turn(m->shards);
    m->dazed = false;
    look(f);
}

static void settle(struct fixture *f)
{
    do {
        for (int i = 0; i < N; i++)
            turn(f, i);
    } while (vclock_run(&f->clock));
    for (int i = 0; i < N; i++) /* what the last run brought */
        turn(f, i);
}

static void advance(struct fixture *f, uint64_t ms)
{
    settle(f);
    for (uint64_t at = 0; at < ms; at += STEP_MS) {
        vclock_advance(&f->clock, STEP_MS);
        settle(f);
    }
}

static uint64_t all_served(const struct fixture *f)
{
    uint64_t seen = 0;

    for (int i = 0; i < N; i++)
        seen |= f->m[i].shards && !f->m[i].hung ? f->m[i].serving : 0;
    return seen;
}

/* How long it takes until every bucket is served; fails after `max` ms. */
static uint64_t until_all(struct fixture *f, uint64_t max)
{
    uint64_t ms = 0;

    for (settle(f); all_served(f) != ALL; ms += STEP_MS) {
        if (ms > max)
            fail_msg("%d buckets are served after %d ms", bits_n(all_served(f)), (int)max);
        advance(f, STEP_MS);
    }
    return ms;
}

/* The process is gone without a word. */
static void bury_process(struct fixture *f, int i)
{
    struct member *m = &f->m[i];

    wake(m);
    fault_clear(m->line);
    for (int n = 0; n < 4000 && m->shards; n++) {
        if (n == 0)
            reactor_shards_close(m->shards, on_closed, m);
        m->busy = 0;
        advance(f, STEP_MS);
    }
    assert_null(m->shards);
    kube_client_cancel_all(m->client);
    settle(f);
    kube_client_free(m->client);
    fault_free(m->line);
    *m = (struct member){.clock = m->clock};
}

static void close_fixture(struct fixture *f)
{
    fakeapi_set_down(f->api, false);
    for (int i = 0; i < N; i++) {
        if (f->m[i].client)
            bury_process(f, i);
    }
    assert_int_equal(f->both_n, 0);
    fakeapi_free(f->api);
    vclock_fini(&f->clock);
    kr_arena_fini(&f->a);
}

static void cut_off(struct fixture *f, int i)
{
    fault_add(f->m[i].line, &(struct fault_rule){.kind = FAULT_HANG});
    fakeapi_break_watches(f->api, KR_E_IO);
}

static void start_three(struct fixture *f)
{
    open_fixture(f, 3);
    for (int i = 0; i < 3; i++)
        start(f, i);
    until_all(f, 5000);
    advance(f, 5000);
    assert_true(all_served(f) == ALL);
}

static const char *lease_text(struct fixture *f, uint32_t slot, const char *part)
{
    kr_str path = kr_fmt(&f->a, LEASES "shard-%u.controller.kro.run", slot);
    kr_val v = fakeapi_get(f->api, &f->a, kr_cstr(&f->a, path));

    return kr_cstr(&f->a, kr_text(kr_at(v, part)));
}

TEST(shards, three_members_share_the_buckets_and_ask_little)
{
    struct fixture f;
    uint8_t owner[REACTOR_BUCKETS];
    uint64_t sum = 0;

    start_three(&f);
    reactor_shards_assign(7, owner);
    for (int i = 0; i < 3; i++) {
        int slot = reactor_shards_slot(f.m[i].shards);

        assert_int_equal(sum & f.m[i].serving, 0);
        sum |= f.m[i].serving;
        for (uint32_t b = 0; b < REACTOR_BUCKETS; b++)
            assert_true(((f.m[i].serving >> b) & 1) == (owner[b] == slot));
        assert_int_equal(reactor_shards_members_n(f.m[i].shards), 3);
    }
    assert_true(sum == ALL);
    fakeapi_log_reset(f.api);
    advance(&f, 60 * 1000);
    assert_in_range(fakeapi_log_n(f.api, NULL, "leases"), 3 * 27, 3 * 31); /* renewals */
    assert_int_equal(fakeapi_log_n(f.api, "GET", NULL), 0);
    close_fixture(&f);
}

/* What three that start together claim at first is what they keep: nothing is given back. */
TEST(shards, a_common_start_moves_nothing)
{
    struct fixture f;
    uint64_t first[3] = {0};

    open_fixture(&f, 3);
    for (int i = 0; i < 3; i++)
        start(&f, i);
    for (int n = 0; n < 200; n++) {
        advance(&f, STEP_MS);
        for (int i = 0; i < 3; i++) {
            assert_true((first[i] & ~f.m[i].serving) == 0);
            first[i] = f.m[i].serving;
        }
    }
    assert_true(all_served(&f) == ALL);
    close_fixture(&f);
}

TEST(shards, a_killed_member_is_followed_when_its_lease_ends)
{
    struct fixture f;
    uint64_t was[3], took;

    start_three(&f);
    for (int i = 0; i < 3; i++)
        was[i] = f.m[i].serving;
    f.m[1].hung = true;
    took = until_all(&f, LEASE_MS + 2000);
    assert_in_range(took, RENEW_MS, LEASE_MS + 1000);
    assert_true((was[0] & ~f.m[0].serving) == 0 && (was[2] & ~f.m[2].serving) == 0);
    EXPECT_TEXT(lease_text(&f, (uint32_t)reactor_shards_slot(f.m[1].shards), "spec.holderIdentity"),
                "");
    wake(&f.m[1]); /* it comes back to life: it serves nothing before it has asked */
    settle(&f);
    assert_int_equal(f.m[1].hard_n, 1);
    advance(&f, 10 * 1000);
    for (int i = 0; i < 3; i++)
        assert_true(f.m[i].serving == was[i]);
    close_fixture(&f);
}

TEST(shards, a_member_that_leaves_is_followed_at_once)
{
    struct fixture f;

    start_three(&f);
    reactor_shards_close(f.m[0].shards, on_closed, &f.m[0]);
    assert_in_range(until_all(&f, 1000), 0, 200);
    advance(&f, 1000);
    assert_null(f.m[0].shards);
    assert_int_equal(reactor_shards_members_n(f.m[1].shards), 2);
    close_fixture(&f);
}

TEST(shards, a_bucket_with_writes_under_way_is_not_given_back)
{
    struct fixture f;
    uint64_t mine;

    start_three(&f);
    mine = f.m[0].serving;
    f.m[0].makes_busy = mine & (~mine + 1); /* the lowest */
    reactor_shards_leave(f.m[0].shards);
    advance(&f, 30 * 1000); /* its Lease is renewed all the while */
    assert_true(all_served(&f) == ~f.m[0].makes_busy);
    assert_int_equal(f.m[0].serving, 0);
    f.m[0].busy = 0;
    assert_in_range(until_all(&f, 1000), 0, 200);
    close_fixture(&f);
}

TEST(shards, a_member_that_reaches_nobody_stops_before_another_begins)
{
    struct fixture f;
    uint64_t ms = 0;

    start_three(&f);
    cut_off(&f, 2);
    for (; f.m[2].serving && ms < 60 * 1000; ms += STEP_MS) {
        assert_true((f.m[0].serving | f.m[1].serving | f.m[2].serving) == ALL);
        advance(&f, STEP_MS);
    }
    assert_in_range(ms, RENEW_MS - RETRY_MS - 100, RENEW_MS + 100);
    assert_int_equal(f.m[2].hard_n, 1);
    assert_in_range(ms + until_all(&f, LEASE_MS), RENEW_MS, LEASE_MS + 2000);
    close_fixture(&f);
}

TEST(shards, more_processes_than_slots_wait_for_one)
{
    struct fixture f;

    open_fixture(&f, 2);
    for (int i = 0; i < 3; i++)
        start(&f, i);
    advance(&f, 10 * 1000);
    assert_int_equal(bits_n(f.m[2].serving) * bits_n(f.m[1].serving) * bits_n(f.m[0].serving), 0);
    assert_true(all_served(&f) == ALL);
    for (int i = 0; i < 3; i++) {
        if (f.m[i].serving) {
            f.m[i].hung = true;
            break;
        }
    }
    until_all(&f, LEASE_MS + 2000);
    advance(&f, 5000);
    assert_true(all_served(&f) == ALL);
    close_fixture(&f);
}

TEST(shards, a_deleted_lease_stops_its_holder_and_counts_until_it_would_have_ended)
{
    struct fixture f;
    kr_str path;
    uint64_t was;

    start_three(&f);
    was = f.m[0].serving;
    path = kr_fmt(&f.a, LEASES "shard-%d.controller.kro.run", reactor_shards_slot(f.m[0].shards));
    f.m[0].hung = true; /* it does not hear of it, and goes on when it wakes up */
    assert_int_equal(fakeapi_delete(f.api, kr_cstr(&f.a, path)), 200);
    advance(&f, LEASE_MS - RETRY_MS - 500);
    assert_int_equal((f.m[1].serving | f.m[2].serving) & was, 0);
    wake(&f.m[0]);
    settle(&f);
    assert_int_equal(f.m[0].serving, 0);
    until_all(&f, 2 * LEASE_MS);
    close_fixture(&f);
}

/* Another member, by hand: slot 1, with these buckets ("0,1,2"); holder "": it is gone. */
static void other_lasts(struct fixture *f, const char *holder, const char *claims,
                        const char *leaving, int64_t seconds)
{
    char text[1024];

    snprintf(text, sizeof text,
             "{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: "
             "shard-1.controller.kro.run, namespace: default, labels: {kroc.run/shard: '1'}, "
             "annotations: {kroc.run/buckets: '%s', kroc.run/leaving: '%s'}}, spec: "
             "{holderIdentity: '%s', leaseDurationSeconds: %" PRId64 "}}",
             claims, leaving, holder, seconds);
    fakeapi_apply(f->api, "other", text);
}

static void other_is(struct fixture *f, const char *holder, const char *claims, const char *leaving)
{
    other_lasts(f, holder, claims, leaving, 3000);
}

/* As of any Lease: who holds it for a day is not buried after our 15 s. One that says nothing sensible
 * lasts as long as ours. */
TEST(shards, a_lease_lasts_as_long_as_it_says)
{
    struct fixture f;

    open_fixture(&f, 2);
    other_lasts(&f, "other", "0,1,2", "", 86400);
    start(&f, 0);
    advance(&f, 60 * 1000);
    EXPECT_TEXT(lease_text(&f, 1, "spec.holderIdentity"), "other");
    assert_int_equal(f.m[0].serving & 7, 0);
    other_is(&f, "", "0,1,2", ""); /* let go of by hand */
    until_all(&f, 5000);
    other_lasts(&f, "other", "0,1,2", "", INT64_C(1) << 40);
    advance(&f, LEASE_MS + 2000);
    EXPECT_TEXT(lease_text(&f, 1, "spec.holderIdentity"), "");
    close_fixture(&f);
}

TEST(shards, of_two_claims_that_cross_neither_is_served_before_one_is_withdrawn)
{
    struct fixture f;

    open_fixture(&f, 3);
    start(&f, 0);
    advance(&f, 1000);
    fakeapi_opts(f.api)->latency_ms = 800;
    for (int n = 0; fakeapi_idle(f.api); n++) { /* until it writes its claims */
        assert_in_range(n, 0, 100);
        advance(&f, STEP_MS);
    }
    other_is(&f, "other", "0,1,2", "true");
    advance(&f, 5000);
    assert_true(f.m[0].serving == ~(uint64_t)7);
    other_is(&f, "", "", "");
    until_all(&f, 5000);
    close_fixture(&f);
}

/* What is given back by a write that is still on its way is not served, though the Lease names it still. */
TEST(shards, a_bucket_is_not_served_again_on_the_word_of_a_lease_that_may_be_written_over)
{
    struct fixture f;
    uint64_t theirs;

    open_fixture(&f, 3);
    start(&f, 0);
    until_all(&f, 5000);
    advance(&f, 300);
    fault_add(
        f.m[0].line,
        &(struct fault_rule){.kind = FAULT_DELAY, .requests = true, .times = 1, .delay_ms = 3000});
    other_is(&f, "other", "", "");
    advance(&f, 200);
    theirs = ~f.m[0].serving;
    assert_in_range(bits_n(theirs), 20, 44);
    other_is(&f, "", "", "");
    for (int n = 0; n < 40; n++) {
        assert_int_equal(f.m[0].serving & theirs, 0);
        advance(&f, STEP_MS);
    }
    until_all(&f, 5000);
    close_fixture(&f);
}

TEST(shards, a_deadline_counts_from_when_the_renewal_was_sent)
{
    struct fixture f;
    uint64_t ms = 0;

    start_three(&f);
    fault_add(
        f.m[2].line,
        &(struct fault_rule){.kind = FAULT_DELAY, .requests = true, .times = 1, .delay_ms = 3500});
    fault_add(f.m[2].line, &(struct fault_rule){.kind = FAULT_HANG, .requests = true});
    while (!fault_hits_n(f.m[2].line))
        advance(&f, STEP_MS);
    for (; f.m[2].serving && ms < 60 * 1000; ms += STEP_MS)
        advance(&f, STEP_MS);
    assert_in_range(ms, RENEW_MS - 200, RENEW_MS + 200); /* not 3500 ms later */
    close_fixture(&f);
}

TEST(shards, writes_that_were_awaited_end_at_the_deadline_too)
{
    struct fixture f;

    start_three(&f);
    f.m[0].makes_busy = f.m[0].serving;
    reactor_shards_leave(f.m[0].shards);
    advance(&f, 3000);
    assert_true(f.m[0].busy != 0 && f.m[0].serving == 0);
    cut_off(&f, 0);
    advance(&f, RENEW_MS + 200);
    assert_int_equal(f.m[0].busy, 0);
    assert_int_equal(f.m[0].hard_n, 1);
    f.m[0].makes_busy = 0;
    until_all(&f, 2 * LEASE_MS);
    close_fixture(&f);
}

/* --- everything at once ----------------------------------------------------------------------- */

static uint64_t dice(struct fixture *f, uint64_t n)
{
    return f->clock.door.ops->random(&f->clock.door) % n;
}

static void trouble_on_the_line(struct fixture *f, struct member *m)
{
    static const struct fault_rule rules[] = {
        {.kind = FAULT_HANG},
        {.kind = FAULT_HANG, .requests = true, .times = 3},
        {.kind = FAULT_HANG, .streams = true, .times = 2},
        {.kind = FAULT_EFFECT, .requests = true, .times = 3, .delay_ms = 4000},
        {.kind = FAULT_EFFECT, .requests = true, .times = 1, .delay_ms = 100},
        {.kind = FAULT_DELAY, .requests = true, .times = 4, .delay_ms = 6000},
        {.kind = FAULT_DELAY, .requests = true, .times = 2, .delay_ms = 12000},
        {.kind = FAULT_DELAY, .streams = true, .times = 2, .delay_ms = 20000},
        {.kind = FAULT_BREAK, .times = 5},
        {.kind = FAULT_STATUS, .status = 500, .times = 5},
        {.kind = FAULT_REFUSE, .times = 8},
    };

    fault_clear(m->line);
    if (dice(f, 3))
        fault_add(m->line, &rules[dice(f, KR_N(rules))]);
    if (!dice(f, 4))
        fakeapi_break_watches(f->api, KR_E_IO);
}

static void something_happens(struct fixture *f)
{
    struct member *m = &f->m[dice(f, N)];
    int i = (int)(m - f->m);

    if (!m->client) {
        if (!dice(f, 2))
            start(f, i);
        return;
    }
    switch (dice(f, 8)) {
    case 0:
    case 1:
        trouble_on_the_line(f, m);
        return;
    case 2:
        m->hung = true;
        return;
    case 3:
        wake(m);
        return;
    case 4:
        m->makes_busy = (uint64_t)dice(f, UINT64_MAX);
        return;
    case 5:
        m->busy = 0;
        return;
    case 6:
        if (m->shards && !dice(f, 2))
            reactor_shards_leave(m->shards);
        return;
    default:
        if (!dice(f, 3))
            fakeapi_compact(f->api);
        fakeapi_opts(f->api)->latency_ms = (uint32_t)dice(f, 300);
        return;
    }
}

static void one_history(uint32_t seed)
{
    struct fixture f;
    uint32_t before;

    open_fixture(&f, 2 + seed % 3);
    f.clock.seed = 77 + seed;
    for (int i = 0; i < N; i++) {
        f.m[i].clock.permille = 850 + (uint32_t)dice(&f, 300); /* rates differ by a third at most */
        f.m[i].clock.offset_ms = dice(&f, 100 * 1000 * 1000);
        start(&f, i);
    }
    for (int n = 0; n < 40; n++) {
        something_happens(&f);
        advance(&f, dice(&f, 4) ? 300 : 6000);
    }
    before = f.both_n;
    if (before)
        fail_msg("history %u: two served one bucket", seed);
    fakeapi_opts(f.api)->latency_ms = 0;
    for (int i = 0; i < N; i++) { /* all is well again */
        if (!f.m[i].client)
            continue;
        wake(&f.m[i]);
        f.m[i].busy = f.m[i].makes_busy = 0;
        fault_clear(f.m[i].line);
        if (f.m[i].shards)
            bury_process(&f, i);
    }
    for (int i = 0; i < N; i++) {
        if (!f.m[i].client)
            start(&f, i);
    }
    until_all(&f, 4 * LEASE_MS);
    advance(&f, 10 * 1000);
    assert_true(all_served(&f) == ALL);
    close_fixture(&f);
}

TEST(shards, never_do_two_serve_one_bucket)
{
    const char *more = getenv("KROC_HISTORIES"); /* by hand */
    uint32_t n = more ? (uint32_t)strtoul(more, NULL, 10) : HISTORIES;

    for (uint32_t seed = 0; seed < n; seed++)
        one_history(seed);
}

/* --- the controller with some of the buckets --------------------------------------------------- */

#define CORE "/api/v1/namespaces/default/"
#define KRO "/apis/kro.run/v1alpha1/namespaces/default/"

static const char shop[] = KRO "webapps/shop", settings[] = CORE "configmaps/settings";

static kr_str label_of(struct world *w, const char *path)
{
    return kr_text(kr_get(kr_at(world_get(w, path), "metadata.labels"), KR_S(GRAPH_LABEL_BUCKET)));
}

static uint32_t bucket_of(struct world *w, const char *path)
{
    return reactor_bucket(kr_at_str(world_get(w, path), "metadata.uid"));
}

static uint64_t only(uint32_t bucket)
{
    return (uint64_t)1 << bucket;
}

/* The definition and its input are there; a controller runs that leads and has these buckets. */
static void define(struct world *w, uint64_t buckets)
{
    world_open(w, &(struct world_opts){.sharded = true});
    world_start(w);
    world_apply_file(w, "examples/webapp/rgd.yaml");
    world_apply_file(w, "examples/webapp/settings.yaml");
    world_rest(w);
    reactor_buckets(w->reactor, buckets, false);
    world_rest(w);
}

/* The same, the example at rest in it. */
static void open_shop(struct world *w)
{
    define(w, ALL);
    world_apply_file(w, "examples/webapp/instance.yaml");
    world_rest(w);
    EXPECT_TEXT(world_text(w, shop, "status.state"), "ACTIVE");
    world_mark(w);
}

static uint32_t creation_writes(bool sharded)
{
    struct world w;
    uint32_t n;

    world_open(&w, &(struct world_opts){.sharded = sharded});
    world_start(&w);
    if (sharded)
        reactor_buckets(w.reactor, ALL, false);
    world_apply_file(&w, "examples/webapp/rgd.yaml");
    world_apply_file(&w, "examples/webapp/settings.yaml");
    world_rest(&w);
    world_mark(&w);
    world_apply_file(&w, "examples/webapp/instance.yaml");
    world_rest(&w);
    n = world_writes_n(&w, NULL);
    if (sharded) {
        assert_true(kr_str_eq(label_of(&w, shop), kr_fmt(&w.a, "%u", bucket_of(&w, shop))));
        EXPECT_TEXT(kr_cstr(&w.a, label_of(&w, CORE "configmaps/shop-page")), "");
    } else {
        assert_null(strstr(world_dump(&w), GRAPH_LABEL_BUCKET));
        assert_null(strstr(world_dump(&w), "kroc.run/"));
    }
    world_close(&w);
    return n;
}

TEST(controller, the_label_is_part_of_the_first_apply_and_only_with_shards)
{
    assert_int_equal(creation_writes(true), creation_writes(false));
}

TEST(controller, nothing_is_asked_of_instances_and_children_before_there_is_a_bucket)
{
    struct world w;

    define(&w, 0);
    world_apply_file(&w, "examples/webapp/instance.yaml");
    world_rest(&w);
    assert_int_equal(fakeapi_log_n(w.api, "GET", "webapps"), 0);
    assert_int_equal(fakeapi_log_n(w.api, "GET", "deployments"), 0);
    EXPECT_TEXT(world_text(&w, shop, "status.state"), "");
    reactor_buckets(w.reactor, only(bucket_of(&w, shop)), false);
    world_rest(&w);
    EXPECT_TEXT(world_text(&w, shop, "status.state"), "ACTIVE");
    world_close(&w);
}

TEST(controller, an_instance_of_another_is_neither_written_nor_labelled)
{
    struct world w;

    define(&w, 0);
    world_apply_file(&w, "examples/webapp/instance.yaml");
    reactor_buckets(w.reactor, ~only(bucket_of(&w, shop)), false);
    world_rest(&w);
    world_mark(&w);
    world_patch(&w, shop, "{spec: {greeting: other}}");
    world_patch(&w, settings, "{data: {COLOUR: red}}");
    world_rest(&w);
    assert_int_equal(world_writes_n(&w, NULL) + world_statuses_n(&w), 0);
    EXPECT_TEXT(kr_cstr(&w.a, label_of(&w, shop)), "");
    world_close(&w);
}

TEST(controller, a_bucket_gained_costs_lists_and_no_write)
{
    struct world w;

    open_shop(&w);
    world_crash(&w, false);
    world_start(&w);
    world_rest(&w);
    world_mark(&w);
    reactor_buckets(w.reactor, ALL, false);
    world_rest(&w);
    assert_int_equal(world_writes_n(&w, NULL) + world_statuses_n(&w), 0);
    world_patch(&w, settings, "{data: {COLOUR: red}}");
    world_rest(&w);
    assert_int_equal(world_writes_n(&w, "PATCH"), 1);
    world_close(&w);
}

TEST(controller, a_bucket_lost_is_silent_and_one_regained_does_what_was_missed)
{
    struct world w;
    struct reactor_stats st;
    uint64_t mine;

    open_shop(&w);
    mine = only(bucket_of(&w, shop));
    reactor_buckets(w.reactor, ~mine, false);
    reactor_stats(w.reactor, &st);
    assert_int_equal(st.instances, 0);
    world_rest(&w);
    world_patch(&w, settings, "{data: {COLOUR: red}}");
    world_patch(&w, CORE "services/shop", "{spec: {selector: {app: other}}}");
    world_rest(&w);
    assert_int_equal(world_writes_n(&w, NULL) + world_statuses_n(&w), 0);
    reactor_stats(w.reactor, &st);
    assert_int_equal(st.instances, 0);
    reactor_buckets(w.reactor, ALL, false);
    world_rest(&w);
    EXPECT_TEXT(world_text(&w, CORE "services/shop", "spec.selector.app"), "shop");
    assert_int_equal(world_writes_n(&w, "PATCH"), 2); /* Service and Deployment */
    world_close(&w);
}

/* In the middle of a creation: the writes under way end or are cancelled; the next holder does the rest. */
TEST(controller, a_bucket_lost_in_the_middle_of_work_is_finished_by_the_next)
{
    for (uint64_t ms = 0; ms < 6000; ms += 500) {
        for (int at_once = 0; at_once < 2; at_once++) {
            struct world w;
            uint64_t mine;

            define(&w, ALL);
            fakeapi_opts(w.api)->latency_ms = 700;
            world_apply_file(&w, "examples/webapp/instance.yaml");
            mine = only(bucket_of(&w, shop));
            world_advance(&w, ms);
            reactor_buckets(w.reactor, ~mine, at_once);
            if (at_once)
                world_settle(&w);
            for (int i = 0; reactor_buckets_busy(w.reactor) & mine; i++) {
                assert_in_range(i, 0, 100);
                world_advance(&w, 100);
            }
            world_mark(&w);
            world_rest(&w);
            assert_int_equal(world_writes_n(&w, NULL) + world_statuses_n(&w), 0);
            reactor_buckets(w.reactor, ALL, false);
            world_rest(&w);
            EXPECT_TEXT(world_text(&w, shop, "status.state"), "ACTIVE");
            assert_int_equal(world_fate(&w, "deployments", "default/shop").created, 1);
            world_close(&w);
        }
    }
}

/* The leader looks after the definitions, whoever has the instances. */
TEST(controller, definitions_are_the_leaders_and_instances_are_not)
{
    struct world w;

    open_shop(&w);
    world_crash(&w, false);
    w.opts.standby = true;
    world_start(&w);
    reactor_buckets(w.reactor, ALL, false);
    world_rest(&w);
    world_mark(&w);
    world_patch(&w, settings, "{data: {COLOUR: red}}");
    world_rest(&w);
    assert_int_equal(world_writes_n(&w, "PATCH"), 1); /* the Deployment */
    world_mark(&w);
    world_patch(&w, "/apis/kro.run/v1alpha1/resourcegraphdefinitions/webapp",
                "{spec: {schema: {spec: {colour: string}}}}");
    world_rest(&w);
    assert_int_equal(world_writes_n(&w, NULL) + world_statuses_n(&w), 0);
    reactor_lead(w.reactor, true);
    world_rest(&w);
    assert_in_range(world_writes_n(&w, NULL), 1, 10);
    world_close(&w);
}

TEST(controller, a_child_of_another_shards_instance_is_not_taken)
{
    struct world w;
    uint32_t theirs;

    open_shop(&w);
    theirs = bucket_of(&w, shop);
    reactor_buckets(w.reactor, ~only(theirs), false);
    world_rest(&w);
    /* Of the same name as the example's page, in other hands. */
    world_apply(&w,
                "{apiVersion: kro.run/v1alpha1, kind: ResourceGraphDefinition, metadata: {name: "
                "thief}, spec: {schema: {apiVersion: v1alpha1, kind: Thief}, resources: [{id: "
                "page, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "
                "shop-page}, data: {a: b}}}]}}");
    world_rest(&w);
    for (int i = 0; i < 40; i++) { /* until one of them is ours: not in the bucket that we lack */
        world_apply(&w,
                    "{apiVersion: kro.run/v1alpha1, kind: Thief, metadata: {name: t, namespace: "
                    "default}, spec: {}}");
        if (bucket_of(&w, KRO "thieves/t") != theirs)
            break;
        world_delete(&w, KRO "thieves/t");
    }
    world_mark(&w);
    world_advance(
        &w, 300 * 1000); /* it is tried again, each minute in the end, as other refusals are */
    assert_null(strstr(world_writes(&w), "configmaps/shop-page"));
    assert_in_range(fakeapi_log_n(w.api, "GET", "configmaps/shop-page"), 3, 12);
    assert_non_null(strstr(world_dump(&w), "belongs to a different ApplySet"));
    assert_int_equal(world_fate(&w, "configmaps", "default/shop-page").changed, 0);
    world_close(&w);
}

TEST(controller, a_label_that_lies_is_taken_off_and_written_anew)
{
    struct world w;
    uint32_t right, wrong;
    char patch[128];

    open_shop(&w);
    right = bucket_of(&w, shop);
    wrong = (right + 1) % REACTOR_BUCKETS;
    snprintf(patch, sizeof patch, "{metadata: {labels: {'" GRAPH_LABEL_BUCKET "': '%u'}}}", wrong);
    /* Nobody but the holder of the wrong bucket sees it. */
    reactor_buckets(w.reactor, only(wrong), false);
    world_rest(&w);
    world_mark(&w);
    world_patch(&w, shop, patch);
    world_rest(&w);
    EXPECT_TEXT(kr_cstr(&w.a, label_of(&w, shop)), "");
    assert_int_equal(world_writes_n(&w, NULL), 1);
    reactor_buckets(w.reactor, only(right), false);
    world_rest(&w);
    EXPECT_TEXT(kr_cstr(&w.a, label_of(&w, shop)), kr_cstr(&w.a, kr_fmt(&w.a, "%u", right)));
    /* Nonsense passes the selector: the holder puts it right. */
    world_patch(&w, shop, "{metadata: {labels: {'" GRAPH_LABEL_BUCKET "': nonsense}}}");
    world_rest(&w);
    EXPECT_TEXT(kr_cstr(&w.a, label_of(&w, shop)), kr_cstr(&w.a, kr_fmt(&w.a, "%u", right)));
    EXPECT_TEXT(world_text(&w, shop, "status.state"), "ACTIVE");
    world_close(&w);
}

int main(void)
{
    return RUN(
        T(buckets, a_uid_has_the_same_bucket_for_ever),
        T(buckets, each_belongs_to_a_member_and_only_what_must_moves),
        T(buckets, they_are_shared_out_evenly),
        T(shards, three_members_share_the_buckets_and_ask_little),
        T(shards, a_common_start_moves_nothing),
        T(shards, a_killed_member_is_followed_when_its_lease_ends),
        T(shards, a_member_that_leaves_is_followed_at_once),
        T(shards, a_bucket_with_writes_under_way_is_not_given_back),
        T(shards, a_member_that_reaches_nobody_stops_before_another_begins),
        T(shards, more_processes_than_slots_wait_for_one),
        T(shards, a_deleted_lease_stops_its_holder_and_counts_until_it_would_have_ended),
        T(shards, of_two_claims_that_cross_neither_is_served_before_one_is_withdrawn),
        T(shards, a_bucket_is_not_served_again_on_the_word_of_a_lease_that_may_be_written_over),
        T(shards, a_deadline_counts_from_when_the_renewal_was_sent),
        T(shards, writes_that_were_awaited_end_at_the_deadline_too),
        T(shards, a_lease_lasts_as_long_as_it_says), T(shards, never_do_two_serve_one_bucket),
        T(controller, the_label_is_part_of_the_first_apply_and_only_with_shards),
        T(controller, nothing_is_asked_of_instances_and_children_before_there_is_a_bucket),
        T(controller, an_instance_of_another_is_neither_written_nor_labelled),
        T(controller, a_bucket_gained_costs_lists_and_no_write),
        T(controller, a_bucket_lost_is_silent_and_one_regained_does_what_was_missed),
        T(controller, a_bucket_lost_in_the_middle_of_work_is_finished_by_the_next),
        T(controller, definitions_are_the_leaders_and_instances_are_not),
        T(controller, a_child_of_another_shards_instance_is_not_taken),
        T(controller, a_label_that_lies_is_taken_off_and_written_anew));
}
