/* SPDX-License-Identifier: Apache-2.0 */
/* Two candidates for one Lease, on an API server in memory and in virtual time. Throughout, never do
 * two believe that they lead. */
#include "kube/lease.h"

#include <stdio.h>

#include "tests/kube/virtual.h"
#include "tests/lib/fault.h"

#define PATH "/apis/coordination.k8s.io/v1/namespaces/default/leases/controller.kro.run"

enum { LEASE_MS = 15000, RENEW_MS = 10000, RETRY_MS = 2000, STEP_MS = 50, N = 2 };

struct candidate {
    struct fault *line; /* between it and the server */
    struct kube_client *client;
    struct kube_lease *lease; /* NULL: dead */
    uint32_t won_n, lost_n;
    bool closed, hung; /* hung: the process does not run, its timers do */
};

struct fixture {
    struct vclock clock;
    struct fakeapi *api;
    struct candidate c[N];
    struct kr_arena a;
    uint32_t both_n; /* moments with two leaders */
};

static void on_changed(void *arg, bool leading)
{
    struct candidate *c = arg;

    if (leading)
        c->won_n++;
    else
        c->lost_n++;
}

static void on_closed(void *arg)
{
    struct candidate *c = arg;

    c->closed = true;
    c->lease = NULL;
}

static void start(struct fixture *f, int i)
{
    struct candidate *c = &f->c[i];

    c->line = fault_new(fakeapi_transport(f->api), &f->clock.door);
    c->client = kube_client_new(fault_transport(c->line), &f->clock.door,
                                &(struct kube_client_opts){.user_agent = "kro/test"});
    c->closed = false;
    c->lease = kube_lease_new(&(struct kube_lease_opts){.client = c->client,
                                                        .namespace = KR_S("default"),
                                                        .name = KR_S("controller.kro.run"),
                                                        .identity = i ? KR_S("two") : KR_S("one"),
                                                        .lease_ms = LEASE_MS,
                                                        .renew_ms = RENEW_MS,
                                                        .retry_ms = RETRY_MS,
                                                        .changed = on_changed,
                                                        .arg = c});
}

static void open_fixture(struct fixture *f)
{
    *f = (struct fixture){0};
    vclock_init(&f->clock);
    f->api = fakeapi_new(&f->clock.door, NULL);
}

static bool leads(const struct fixture *f, int i)
{
    return f->c[i].lease && kube_lease_leading(f->c[i].lease);
}

/* Everything that can happen now happens. */
static void settle(struct fixture *f)
{
    do {
        for (int round = 0; round < 3; round++) {
            for (int i = 0; i < N; i++) {
                if (f->c[i].client && !f->c[i].hung)
                    kube_client_turn(f->c[i].client);
                if (f->c[i].lease && !f->c[i].hung)
                    kube_lease_turn(f->c[i].lease);
            }
        }
    } while (vclock_run(&f->clock));
    f->both_n += leads(f, 0) && leads(f, 1) && !f->c[0].hung && !f->c[1].hung;
}

static void advance(struct fixture *f, uint64_t ms)
{
    settle(f);
    for (uint64_t at = 0; at < ms; at += STEP_MS) {
        vclock_advance(&f->clock, STEP_MS);
        settle(f);
    }
}

/* How long it takes until candidate i leads; fails after `max` ms. */
static uint64_t until_leads(struct fixture *f, int i, uint64_t max)
{
    uint64_t ms = 0;

    for (settle(f); !leads(f, i); ms += STEP_MS) {
        if (ms > max)
            fail_msg("candidate %d does not lead within %d ms", i, (int)max);
        advance(f, STEP_MS);
    }
    return ms;
}

static void stop(struct fixture *f, int i)
{
    struct candidate *c = &f->c[i];

    if (c->lease)
        kube_lease_close(c->lease, on_closed, c);
    for (int n = 0; n < 2000 && c->lease; n++)
        advance(f, STEP_MS);
    assert_null(c->lease);
    kube_client_cancel_all(c->client);
    settle(f);
    kube_client_free(c->client);
    fault_free(c->line);
    *c = (struct candidate){.closed = true};
}

static void close_fixture(struct fixture *f)
{
    for (int i = 0; i < N; i++) {
        if (f->c[i].client) {
            f->c[i].hung = false;
            fault_clear(f->c[i].line);
            stop(f, i);
        }
    }
    assert_int_equal(f->both_n, 0);
    fakeapi_free(f->api);
    vclock_fini(&f->clock);
    kr_arena_fini(&f->a);
}

/* Cuts a candidate off: whatever it asks gets no answer. */
static void cut_off(struct fixture *f, int i)
{
    fault_add(f->c[i].line, &(struct fault_rule){.kind = FAULT_HANG});
    fakeapi_break_watches(f->api, KR_E_IO);
}

static kr_val lease(struct fixture *f)
{
    return fakeapi_get(f->api, &f->a, PATH);
}

/* --- tests ------------------------------------------------------------------------------------ */

TEST(lease, the_first_takes_it_and_renews_and_the_other_waits_without_a_request)
{
    struct fixture f;
    kr_val was, now;

    open_fixture(&f);
    start(&f, 0);
    assert_in_range(until_leads(&f, 0, 2000), 0, 2000);
    was = lease(&f);
    assert_true(kr_str_is(kr_at_str(was, "spec.holderIdentity"), "one"));
    assert_int_equal(kr_at(was, "spec.leaseDurationSeconds").i, 15);
    assert_int_equal(kr_at(was, "spec.leaseTransitions").i, 0);
    start(&f, 1);
    advance(&f, 3000);
    assert_false(leads(&f, 1));
    fakeapi_log_reset(f.api);
    advance(&f, 60 * 1000);
    assert_true(leads(&f, 0) && !leads(&f, 1));
    assert_in_range(fakeapi_log_n(f.api, NULL, "leases"), 28, 31); /* the holder's renewals */
    assert_int_equal(fakeapi_log_n(f.api, "GET", NULL), 0);
    now = lease(&f);
    assert_true(kr_str_eq(kr_at_str(was, "spec.acquireTime"), kr_at_str(now, "spec.acquireTime")));
    assert_false(kr_str_eq(kr_at_str(was, "spec.renewTime"), kr_at_str(now, "spec.renewTime")));
    assert_true(kr_str_is(kube_lease_holder(f.c[1].lease), "one"));
    close_fixture(&f);
}

TEST(lease, a_holder_that_is_killed_is_followed_when_its_lease_ends)
{
    struct fixture f;

    open_fixture(&f);
    start(&f, 0);
    until_leads(&f, 0, 2000);
    start(&f, 1);
    advance(&f, 20 * 1000);
    f.c[0].hung = true; /* killed: it does nothing any more */
    assert_in_range(until_leads(&f, 1, LEASE_MS + 1000), LEASE_MS - RETRY_MS - 500, LEASE_MS + 500);
    assert_int_equal(kr_at(lease(&f), "spec.leaseTransitions").i, 1);
    assert_int_equal(f.c[1].won_n, 1);
    /* It comes back to life and sees at once that it leads no more, before it does anything. */
    f.c[0].hung = false;
    settle(&f);
    assert_false(leads(&f, 0));
    assert_int_equal(f.c[0].lost_n, 1);
    advance(&f, 60 * 1000);
    assert_true(leads(&f, 1));
    close_fixture(&f);
}

TEST(lease, a_holder_that_lets_go_is_followed_at_once)
{
    struct fixture f;

    open_fixture(&f);
    start(&f, 0);
    until_leads(&f, 0, 2000);
    start(&f, 1);
    advance(&f, 20 * 1000);
    kube_lease_close(f.c[0].lease, on_closed, &f.c[0]);
    assert_in_range(until_leads(&f, 1, 500), 0, 100);
    assert_true(kr_str_is(kr_at_str(lease(&f), "spec.holderIdentity"), "two"));
    assert_true(f.c[0].closed);
    close_fixture(&f);
}

TEST(lease, a_holder_that_reaches_nobody_gives_up_before_another_takes_it)
{
    struct fixture f;
    uint64_t lost_ms = 0;

    open_fixture(&f);
    start(&f, 0);
    until_leads(&f, 0, 2000);
    start(&f, 1);
    advance(&f, 20 * 1000);
    cut_off(&f, 0);
    while (leads(&f, 0) && lost_ms < 60 * 1000) {
        assert_false(leads(&f, 1));
        advance(&f, STEP_MS);
        lost_ms += STEP_MS;
    }
    assert_in_range(lost_ms, RENEW_MS - RETRY_MS - 100, RENEW_MS + 100);
    assert_in_range(lost_ms + until_leads(&f, 1, LEASE_MS), LEASE_MS - RETRY_MS - 500,
                    LEASE_MS + 2000);
    close_fixture(&f);
}

TEST(lease, a_short_outage_costs_no_leadership)
{
    struct fixture f;

    open_fixture(&f);
    start(&f, 0);
    start(&f, 1);
    until_leads(&f, 0, 3000);
    for (int i = 0; i < 5; i++) {
        fakeapi_set_down(f.api, true);
        advance(&f, 6000);
        fakeapi_set_down(f.api, false);
        advance(&f, 30 * 1000);
        assert_true(leads(&f, 0) && !leads(&f, 1));
    }
    assert_int_equal(f.c[0].lost_n, 0);
    close_fixture(&f);
}

/* What is written in the Lease about time is another machine's clock. */
TEST(lease, clocks_that_differ_neither_hasten_nor_delay_it)
{
    static const char *const times[] = {"1999-01-01T00:00:00.000000Z",
                                        "2099-01-01T00:00:00.000000Z"};

    for (size_t i = 0; i < KR_N(times); i++) {
        struct fixture f;
        char yaml[1024];

        open_fixture(&f);
        snprintf(yaml, sizeof yaml,
                 "{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: "
                 "controller.kro.run, namespace: "
                 "default}, spec: {holderIdentity: far, leaseDurationSeconds: 15, "
                 "leaseTransitions: 6, renewTime: "
                 "'%s', acquireTime: '%s'}}",
                 times[i], times[i]);
        fakeapi_apply(f.api, "far", yaml);
        start(&f, 1);
        assert_in_range(until_leads(&f, 1, LEASE_MS + 2000), LEASE_MS - 100, LEASE_MS + 1000);
        assert_int_equal(kr_at(lease(&f), "spec.leaseTransitions").i, 7);
        close_fixture(&f);
    }
}

TEST(lease, of_two_that_come_at_once_one_gets_it)
{
    struct fixture f;

    open_fixture(&f);
    start(&f, 0);
    start(&f, 1);
    advance(&f, 10 * 1000);
    assert_true(leads(&f, 0) != leads(&f, 1));
    for (int i = 0; i < 10; i++) { /* it passes to and fro */
        int holder = leads(&f, 1);

        stop(&f, holder);
        until_leads(&f, !holder, 3000);
        start(&f, holder);
        advance(&f, 5000);
        assert_true(leads(&f, !holder) && !leads(&f, holder));
    }
    close_fixture(&f);
}

TEST(lease, a_lease_that_somebody_deletes_or_steals_is_no_longer_ours)
{
    struct fixture f;

    open_fixture(&f);
    start(&f, 0);
    until_leads(&f, 0, 2000);
    assert_int_equal(fakeapi_delete(f.api, PATH), 200);
    settle(&f);
    assert_false(leads(&f, 0));
    until_leads(&f, 0, 2 * RETRY_MS + 500);
    assert_int_equal(fakeapi_patch(f.api, "rival", PATH, "{spec: {holderIdentity: rival}}"), 200);
    settle(&f);
    assert_false(leads(&f, 0));
    until_leads(&f, 0, LEASE_MS + 2000); /* which does not renew it */
    assert_int_equal(f.c[0].lost_n, 2);
    close_fixture(&f);
}

TEST(lease, a_lease_that_is_deleted_is_not_free_before_its_holder_must_know)
{
    struct fixture f;

    open_fixture(&f);
    start(&f, 0);
    until_leads(&f, 0, 2000);
    start(&f, 1);
    advance(&f, 5000);
    fault_add(f.c[0].line, &(struct fault_rule){.kind = FAULT_HANG});
    fakeapi_break_watches(f.api, KR_E_IO);
    assert_int_equal(fakeapi_delete(f.api, PATH), 200);
    assert_in_range(until_leads(&f, 1, LEASE_MS + 2000), RENEW_MS - RETRY_MS, LEASE_MS + 500);
    close_fixture(&f);
}

TEST(lease, a_foreign_edit_of_something_else_costs_nothing)
{
    struct fixture f;

    open_fixture(&f);
    start(&f, 0);
    until_leads(&f, 0, 2000);
    for (int i = 0; i < 20; i++) {
        char patch[64];

        snprintf(patch, sizeof patch, "{metadata: {labels: {app: x%d}}}", i);
        assert_int_equal(fakeapi_patch(f.api, "rival", PATH, patch), 200);
        advance(&f, 1300);
        assert_true(leads(&f, 0));
    }
    assert_true(kr_str_is(kr_at_str(lease(&f), "metadata.labels.app"), "x19"));
    assert_int_equal(f.c[0].lost_n, 0);
    close_fixture(&f);
}

/* Whoever holds it says for how long: a candidate with other flags is no reason for two leaders. */
TEST(lease, the_duration_is_the_holders)
{
    static const int durations_s[] = {60, 3600, 7200};

    for (size_t i = 0; i < KR_N(durations_s); i++) {
        struct fixture f;
        char yaml[512];

        open_fixture(&f);
        snprintf(yaml, sizeof yaml,
                 "{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: "
                 "controller.kro.run, namespace: default}, spec: {holderIdentity: far, "
                 "leaseDurationSeconds: %d}}",
                 durations_s[i]);
        fakeapi_apply(f.api, "far", yaml);
        start(&f, 1);
        settle(&f);
        vclock_advance(&f.clock, (uint64_t)durations_s[i] * 1000 - 1000);
        advance(&f, 500);
        assert_false(leads(&f, 1));
        assert_in_range(until_leads(&f, 1, 3000), 0, 3000);
        close_fixture(&f);
    }
}

/* An etcd is restored to what it was, and the API server started anew. */
static void restore(struct fixture *f, uint64_t version)
{
    fakeapi_rewind(f->api, version);
    fakeapi_break_watches(f->api, KR_E_IO);
}

TEST(lease, a_server_that_went_back_is_led_on)
{
    struct fixture f;
    uint64_t mine;

    open_fixture(&f);
    start(&f, 0);
    until_leads(&f, 0, 2000);
    mine = fakeapi_version(f.api);
    start(&f, 1);
    advance(&f, 20 * 1000);
    restore(&f, mine);
    advance(&f, 60 * 1000);
    assert_true(leads(&f, 0) && !leads(&f, 1)); /* it was its own then too */
    assert_int_equal(f.c[0].lost_n, 0);
    fakeapi_log_reset(f.api);
    advance(&f, 20 * 1000);
    assert_int_equal(fakeapi_log_n(f.api, "GET", "leases/controller.kro.run"), 0);
    close_fixture(&f);
}

TEST(lease, a_server_that_went_back_to_before_the_lease_has_a_leader_again)
{
    struct fixture f;
    uint64_t empty;

    open_fixture(&f);
    empty = fakeapi_version(f.api);
    start(&f, 0);
    until_leads(&f, 0, 2000);
    start(&f, 1);
    advance(&f, 20 * 1000);
    restore(&f, empty);
    advance(&f, 2 * LEASE_MS);
    assert_true(leads(&f, 0) != leads(&f, 1));
    assert_true(kr_str_eq(kr_at_str(lease(&f), "spec.holderIdentity"),
                          leads(&f, 0) ? KR_S("one") : KR_S("two")));
    close_fixture(&f);
}

TEST(lease, a_server_that_went_back_to_another_holder_has_one_leader)
{
    struct fixture f;
    uint64_t others;

    open_fixture(&f);
    start(&f, 0);
    until_leads(&f, 0, 2000);
    others = fakeapi_version(f.api);
    start(&f, 1);
    advance(&f, 3000);
    stop(&f, 0);
    until_leads(&f, 1, LEASE_MS + RETRY_MS);
    start(&f, 0);
    advance(&f, 5000);
    restore(&f, others);
    advance(&f, 2 * LEASE_MS);
    assert_true(leads(&f, 0) != leads(&f, 1));
    close_fixture(&f);
}

TEST(lease, refusal_is_told_and_tried_again)
{
    struct fixture f;

    open_fixture(&f);
    start(&f, 0);
    fault_add(f.c[0].line,
              &(struct fault_rule){.kind = FAULT_STATUS, .method = "POST", .status = 403});
    advance(&f, 20 * 1000);
    assert_false(leads(&f, 0));
    assert_non_null(kube_lease_error(f.c[0].lease));
    assert_in_range(fault_hits_n(f.c[0].line), 7, 11); /* each retry period, not more */
    fault_clear(f.c[0].line);
    until_leads(&f, 0, 2 * RETRY_MS);
    assert_null(kube_lease_error(f.c[0].lease));
    close_fixture(&f);
}

int main(void)
{
    return RUN(T(lease, the_first_takes_it_and_renews_and_the_other_waits_without_a_request),
               T(lease, a_holder_that_is_killed_is_followed_when_its_lease_ends),
               T(lease, a_holder_that_lets_go_is_followed_at_once),
               T(lease, a_holder_that_reaches_nobody_gives_up_before_another_takes_it),
               T(lease, a_short_outage_costs_no_leadership),
               T(lease, clocks_that_differ_neither_hasten_nor_delay_it),
               T(lease, of_two_that_come_at_once_one_gets_it),
               T(lease, a_lease_that_somebody_deletes_or_steals_is_no_longer_ours),
               T(lease, a_lease_that_is_deleted_is_not_free_before_its_holder_must_know),
               T(lease, a_foreign_edit_of_something_else_costs_nothing),
               T(lease, the_duration_is_the_holders), T(lease, a_server_that_went_back_is_led_on),
               T(lease, a_server_that_went_back_to_before_the_lease_has_a_leader_again),
               T(lease, a_server_that_went_back_to_another_holder_has_one_leader),
               T(lease, refusal_is_told_and_tried_again));
}
