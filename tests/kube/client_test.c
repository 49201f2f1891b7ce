/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/kube/virtual.h"
#include "tests/lib/fault.h"
#include "tests/lib/replay.h"

/* --- a client on recorded answers ------------------------------------------------------------- */

struct rig {
    struct vclock clock;
    struct replay *replay;
    struct kube_client *client;
};

static int done_n, order[512];

static void rig_open(struct rig *r, double qps, uint32_t burst)
{
    done_n = 0;
    vclock_init(&r->clock);
    r->replay = replay_new(&r->clock.door);
    r->client = kube_client_new(replay_transport(r->replay), &r->clock.door,
                                &(struct kube_client_opts){"kro/1.2.3", qps, burst});
}

static void settle(struct rig *r)
{
    do {
        kube_client_turn(r->client);
    } while (vclock_run(&r->clock));
}

/* Until all is done; time moves as it has to. */
static void finish(struct rig *r)
{
    settle(r);
    while (kube_client_busy_n(r->client) > 0) {
        assert_true(vclock_step(&r->clock));
        settle(r);
    }
}

static void rig_close(struct rig *r)
{
    assert_int_equal(kube_client_busy_n(r->client), 0);
    kube_client_free(r->client);
    replay_free(r->replay);
    assert_true(kube_timers_due(&r->clock.timers) == UINT64_MAX); /* no timer is left behind */
    vclock_fini(&r->clock);
}

static uint64_t elapsed(const struct rig *r)
{
    return r->clock.now_ms - VCLOCK_START_MS;
}

static void count(struct kube_req *req)
{
    done_n++;
}

static void start(struct rig *r, struct kube_req *req)
{
    req->on_done = count;
    kube_req_start(r->client, req);
}

static void answer(struct rig *r, const char *path, int status, int retry_after_s, const char *body)
{
    replay_add(r->replay,
               &(struct replay_answer){
                   .path = path, .status = status, .retry_after_s = retry_after_s, .body = body});
}

/* --- what goes out ---------------------------------------------------------------------------- */

TEST(kube_client, each_verb_has_its_request)
{
    static const struct {
        enum kube_verb verb;
        const char *sub, *manager, *body, *want;
        bool force;
    } rows[] = {
        {KUBE_GET, NULL, NULL, NULL,
         "GET /apis/apps/v1/namespaces/default/deployments/web kro/1.2.3 200\n", false},
        {KUBE_UPDATE, "status", NULL, "{\"a\":1}",
         "PUT /apis/apps/v1/namespaces/default/deployments/web/status kro/1.2.3 200\n  {\"a\":1}\n",
         false},
        {KUBE_APPLY, NULL, "kro.run/applyset", "{}",
         "PATCH "
         "/apis/apps/v1/namespaces/default/deployments/"
         "web?fieldManager=kro.run%2Fapplyset&force=true kro/1.2.3 200\n  {}\n",
         true},
        {KUBE_MERGE_PATCH, NULL, "m", "{}",
         "PATCH /apis/apps/v1/namespaces/default/deployments/web?fieldManager=m kro/1.2.3 200\n  "
         "{}\n",
         false},
        {KUBE_DELETE, NULL, NULL, NULL,
         "DELETE /apis/apps/v1/namespaces/default/deployments/web kro/1.2.3 200\n", false},
        {KUBE_LIST, NULL, NULL, NULL,
         "GET /apis/apps/v1/namespaces/default/deployments?limit=5 kro/1.2.3 200\n", false},
        {KUBE_CREATE, NULL, NULL, "{}",
         "POST /apis/apps/v1/namespaces/default/deployments kro/1.2.3 200\n  {}\n", false},
    };
    KR_AUTO(kr_arena) a = {0};
    struct kr_err err = KR_ERR_NONE;
    struct rig r;

    rig_open(&r, 0, 0);
    replay_add(r.replay, &(struct replay_answer){.path = "*", .body = "{}", .sticky = true});
    for (size_t i = 0; i < KR_N(rows); i++) {
        struct kube_req req = {.verb = rows[i].verb,
                               .subresource = rows[i].sub,
                               .manager = rows[i].manager,
                               .force = rows[i].force};

        req.ref = DEPLOYMENT("web");
        if (req.verb == KUBE_LIST || req.verb == KUBE_CREATE)
            req.ref.name = (kr_str){0};
        if (req.verb == KUBE_LIST)
            req.query = KR_S("limit=5");
        if (rows[i].body != NULL)
            EXPECT_OK(kube_req_set_body(&req, test_json(&a, rows[i].body), &err), &err);
        start(&r, &req);
        finish(&r);
        EXPECT_OK(req.rc, &req.err);
        EXPECT_TEXT(replay_log(r.replay), rows[i].want);
        replay_log_reset(r.replay);
        kube_req_fini(&req);
    }
    rig_close(&r);
}

TEST(kube_client, a_name_that_would_address_something_else_is_not_sent)
{
    static const char *const names[] = {"", ".", "..", "a/b", "a%2Fb"};
    struct rig r;

    rig_open(&r, 0, 0);
    for (size_t i = 0; i < KR_N(names); i++) {
        struct kube_req req = {.verb = KUBE_DELETE, .ref = CONFIGMAP("x")};

        req.ref.name = kr_str_c(names[i]);
        start(&r, &req);
        assert_int_equal(done_n, (int)i); /* not within the call */
        finish(&r);
        assert_int_equal(req.rc, KR_E_INPUT);
        assert_true(req.unsent);
        kube_req_fini(&req);
    }
    EXPECT_TEXT(replay_log(r.replay), "");
    rig_close(&r);
}

TEST(kube_client, a_body_over_the_servers_limit_is_refused_here)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_err err = KR_ERR_NONE;
    struct kube_req req = {0};
    char *bytes = kr_arena_bytes(&a, KUBE_REQUEST_MAX);

    memset(bytes, 'x', KUBE_REQUEST_MAX);
    assert_int_equal(kube_req_set_body(&req, kr_string((kr_str){bytes, KUBE_REQUEST_MAX}), &err),
                     KR_E_LIMIT);
    kube_req_fini(&req);
}

/* --- order and bounds ------------------------------------------------------------------------- */

struct numbered {
    struct kube_req req;
    int id;
};

static void note_order(struct kube_req *req)
{
    order[done_n++] = KR_OWNER(req, struct numbered, req)->id;
}

TEST(kube_client, no_more_fly_than_allowed_and_order_is_kept)
{
    enum { N = 300 };
    static struct numbered reqs[N];
    struct rig r;

    rig_open(&r, 0, 0);
    replay_add(r.replay,
               &(struct replay_answer){.path = "*", .body = "{}", .sticky = true, .delay_ms = 10});
    for (int i = 0; i < N; i++) {
        reqs[i] = (struct numbered){
            .req = {.verb = KUBE_GET, .path = KR_S("/x"), .on_done = note_order}, .id = i};
        kube_req_start(r.client, &reqs[i].req);
    }
    assert_int_equal(replay_open_n(r.replay), KUBE_IN_FLIGHT_MAX);
    assert_int_equal(kube_client_busy_n(r.client), N);
    finish(&r);
    assert_int_equal(replay_most_n(r.replay), KUBE_IN_FLIGHT_MAX);
    assert_int_equal(done_n, N);
    for (int i = 0; i < N; i++) {
        assert_int_equal(order[i], i);
        kube_req_fini(&reqs[i].req);
    }
    rig_close(&r);
}

TEST(kube_client, a_rate_is_kept_when_one_is_given)
{
    enum { N = 25 };
    static struct kube_req reqs[N];
    struct rig r;

    rig_open(&r, 10, 5);
    replay_add(r.replay, &(struct replay_answer){.path = "*", .body = "{}", .sticky = true});
    for (int i = 0; i < N; i++) {
        reqs[i] = (struct kube_req){.verb = KUBE_GET, .path = KR_S("/x")};
        start(&r, &reqs[i]);
    }
    settle(&r);
    assert_int_equal(done_n, 5); /* the burst */
    finish(&r);
    assert_in_range(elapsed(&r), 2000, 2100); /* 20 more at 10 a second */
    for (int i = 0; i < N; i++)
        kube_req_fini(&reqs[i]);
    rig_close(&r);
}

/* --- repeats ---------------------------------------------------------------------------------- */

TEST(kube_client, a_429_is_repeated_after_the_time_the_server_names)
{
    struct kube_req req = {.verb = KUBE_GET, .path = KR_S("/x")};
    struct rig r;

    rig_open(&r, 0, 0);
    answer(&r, "/x", 429, 2, "{}");
    answer(&r, "/x", 503, 1, "");
    answer(&r, "/x", 200, 0, "{\"a\":1}");
    start(&r, &req);
    finish(&r);
    EXPECT_OK(req.rc, &req.err);
    assert_int_equal(kr_at(req.object, "a").i, 1);
    assert_in_range(elapsed(&r), 3000, 3600);
    assert_int_equal(req.done_ms - req.started_ms, elapsed(&r));
    kube_req_fini(&req);
    rig_close(&r);
}

TEST(kube_client, repeats_end)
{
    struct kube_req req = {.verb = KUBE_GET, .path = KR_S("/x")};
    struct rig r;

    rig_open(&r, 0, 0);
    replay_add(r.replay,
               &(struct replay_answer){.path = "*",
                                       .status = 429,
                                       .retry_after_s = 1000,
                                       .sticky = true,
                                       .body = "{\"kind\":\"Status\",\"code\":429,\"reason\":"
                                               "\"TooManyRequests\",\"message\":\"slow down\"}"});
    start(&r, &req);
    finish(&r);
    assert_int_equal(req.rc, KR_E_API);
    assert_int_equal(req.reason, KUBE_R_TOO_MANY);
    EXPECT_TEXT(req.err.text, "get /x: 429 TooManyRequests: slow down");
    assert_in_range(elapsed(&r), KUBE_RETRY_MAX * KUBE_RETRY_AFTER_MAX_MS,
                    KUBE_RETRY_MAX * KUBE_RETRY_AFTER_MAX_MS * 12 / 10);
    kube_req_fini(&req);
    rig_close(&r);
}

TEST(kube_client, what_may_have_had_an_effect_is_the_owners_matter)
{
    static const struct {
        struct replay_answer answer;
        int rc;
        const char *text;
    } rows[] = {
        {{.path = "*",
          .status = 500,
          .body = "{\"kind\":\"Status\",\"code\":500,\"reason\":\"InternalError\",\"message\":"
                  "\"etcd\"}"},
         KR_E_API,
         "apply configmaps.v1 default/a: 500 InternalError: etcd"},
        {{.path = "*", .status = -1, .end = REPLAY_CUT},
         KR_E_IO,
         "apply configmaps.v1 default/a: https://replay: the connection broke within the response"},
        {{.path = "*", .body = "{\"a\":", .end = REPLAY_CUT},
         KR_E_IO,
         "apply configmaps.v1 default/a: https://replay: the connection broke within the response"},
        {{.path = "*", .status = 504, .body = "<html>gateway</html>"},
         KR_E_API,
         "apply configmaps.v1 default/a: 504 Timeout: the server was unable to return a response "
         "in the time allotted, but may still be processing the request"},
        {{.path = "*", .status = 502, .body = "bad gateway\n"},
         KR_E_API,
         "apply configmaps.v1 default/a: 502 Unknown: bad gateway"},
    };
    struct rig r;

    rig_open(&r, 0, 0);
    for (size_t i = 0; i < KR_N(rows); i++) {
        struct kube_req req = {.verb = KUBE_APPLY, .ref = CONFIGMAP("a"), .manager = "m"};

        replay_add(r.replay, &rows[i].answer);
        start(&r, &req);
        finish(&r);
        assert_int_equal(req.rc, rows[i].rc);
        EXPECT_TEXT(req.err.text, rows[i].text);
        assert_false(req.unsent);
        kube_req_fini(&req);
    }
    assert_int_equal(elapsed(&r), 0);
    rig_close(&r);
}

TEST(kube_client, a_refused_connection_is_tried_a_few_times)
{
    struct kube_req req = {.verb = KUBE_APPLY, .ref = CONFIGMAP("a"), .manager = "m"};
    struct rig r;

    rig_open(&r, 0, 0);
    for (int i = 0; i < KUBE_REFUSED_RETRY_MAX; i++)
        replay_add(r.replay, &(struct replay_answer){.path = "*", .end = REPLAY_REFUSE});
    answer(&r, "*", 200, 0, "{}");
    start(&r, &req);
    finish(&r);
    EXPECT_OK(req.rc, &req.err);
    replay_add(r.replay,
               &(struct replay_answer){.path = "*", .end = REPLAY_REFUSE, .sticky = true});
    start(&r, &req);
    finish(&r);
    assert_int_equal(req.rc, KR_E_IO);
    assert_true(req.unsent);
    EXPECT_TEXT(req.err.text,
                "apply configmaps.v1 default/a: connect to https://replay: connection refused");
    assert_in_range(elapsed(&r), 1400, 1700);
    kube_req_fini(&req);
    rig_close(&r);
}

TEST(kube_client, a_round_of_429_halves_the_flight_and_success_grows_it_again)
{
    enum { N = 64, MORE = 2200 };
    struct kube_req *reqs = kr_alloc(N * sizeof *reqs);
    struct rig r;

    rig_open(&r, 0, 0);
    for (int i = 0; i < N; i++)
        replay_add(
            r.replay,
            &(struct replay_answer){
                .path = "*", .status = 429, .retry_after_s = 1, .body = "{}", .delay_ms = 5});
    replay_add(r.replay, &(struct replay_answer){
                             .path = "*", .body = "{}", .sticky = true, .delay_ms = 5000});
    for (int i = 0; i < N; i++) {
        reqs[i] = (struct kube_req){.verb = KUBE_GET, .path = KR_S("/x")};
        start(&r, &reqs[i]);
    }
    vclock_advance(&r.clock, 3000);
    assert_int_equal(replay_open_n(r.replay), 32); /* 64 answers of one round halve once */
    finish(&r);
    for (int i = 0; i < N; i++)
        kube_req_fini(&reqs[i]);
    kr_free(reqs);
    reqs = kr_alloc(MORE * sizeof *reqs);
    for (int i = 0; i < MORE; i++) {
        reqs[i] = (struct kube_req){.verb = KUBE_GET, .path = KR_S("/x")};
        start(&r, &reqs[i]);
    }
    assert_in_range(replay_open_n(r.replay), 32, 35);
    while (kube_client_busy_n(r.client) > 100) {
        vclock_step(&r.clock);
        settle(&r);
    }
    assert_int_equal(replay_open_n(r.replay), 64);
    finish(&r);
    for (int i = 0; i < MORE; i++)
        kube_req_fini(&reqs[i]);
    kr_free(reqs);
    rig_close(&r);
}

/* --- ends ------------------------------------------------------------------------------------- */

TEST(kube_client, a_request_without_an_answer_ends_in_time)
{
    struct kube_req req = {.verb = KUBE_UPDATE, .ref = CONFIGMAP("a"), .timeout_ms = 1500};
    struct rig r;

    rig_open(&r, 0, 0);
    replay_add(r.replay,
               &(struct replay_answer){.path = "*", .body = "{\"a\":", .end = REPLAY_HANG});
    start(&r, &req);
    finish(&r);
    assert_int_equal(req.rc, KR_E_IO);
    assert_false(req.unsent);
    EXPECT_TEXT(req.err.text,
                "update configmaps.v1 default/a: no answer from https://replay within 1.5 s");
    assert_int_equal(elapsed(&r), 1500);
    kube_req_fini(&req);
    rig_close(&r);
}

/* One callback in every state, later, with KR_E_CANCELED. */
TEST(kube_client, cancel_in_every_state)
{
    enum { IN_QUEUE, IN_FLIGHT, IN_DELAY, AFTER_ANSWER, N };

    for (int state = 0; state < N; state++) {
        struct kube_req first = {.verb = KUBE_GET, .path = KR_S("/first")},
                        req = {.verb = KUBE_APPLY, .ref = CONFIGMAP("a")};
        struct rig r;

        rig_open(&r, state == IN_QUEUE ? 1 : 0, 1);
        answer(&r, "/first", 200, 0, "{}");
        answer(&r, "/api*", state == IN_DELAY ? 429 : 200, state == IN_DELAY ? 5 : 0, "{}");
        kube_req_cancel(&req); /* idle: nothing */
        start(&r, &first);
        start(&r, &req);
        if (state == IN_DELAY || state == AFTER_ANSWER)
            vclock_run(&r.clock);
        kube_req_cancel(&req);
        kube_req_cancel(&req);
        assert_true(kube_req_busy(&req));
        finish(&r);
        assert_int_equal(done_n, 2);
        assert_int_equal(req.rc, KR_E_CANCELED);
        assert_int_equal(req.unsent, state == IN_QUEUE || state == IN_DELAY);
        assert_in_range(elapsed(&r), 0, 10);
        kube_req_fini(&first);
        kube_req_fini(&req);
        rig_close(&r);
    }
}

TEST(kube_client, cancel_all_ends_everything)
{
    enum { N = 100 };
    static struct kube_req reqs[N];
    struct rig r;

    rig_open(&r, 0, 0);
    replay_add(r.replay, &(struct replay_answer){
                             .path = "*", .status = -1, .end = REPLAY_HANG, .sticky = true});
    for (int i = 0; i < N; i++) {
        reqs[i] = (struct kube_req){.verb = KUBE_GET, .path = KR_S("/x")};
        start(&r, &reqs[i]);
    }
    kube_client_cancel_all(r.client);
    finish(&r);
    assert_int_equal(done_n, N);
    for (int i = 0; i < N; i++) {
        assert_int_equal(reqs[i].rc, KR_E_CANCELED);
        kube_req_fini(&reqs[i]);
    }
    rig_close(&r);
}

static struct rig *rig_now;
static struct kube_req *other;

static void start_again(struct kube_req *req)
{
    if (++done_n >= 4)
        return;
    if (other != NULL)
        kube_req_cancel(other);
    other = NULL;
    kube_req_start(rig_now->client, req);
}

TEST(kube_client, a_callback_may_start_its_request_again_and_cancel_others)
{
    struct kube_req req = {.verb = KUBE_GET, .path = KR_S("/x"), .on_done = start_again},
                    b = {.verb = KUBE_GET, .path = KR_S("/y")};
    struct rig r;

    rig_open(&r, 0, 0);
    replay_add(r.replay, &(struct replay_answer){.path = "*", .body = "{}", .sticky = true});
    rig_now = &r;
    other = &b;
    kube_req_start(r.client, &req);
    start(&r, &b);
    finish(&r); /* both answers come in one turn: the second is cancelled before it is told */
    assert_int_equal(b.rc, KR_E_CANCELED);
    assert_int_equal(req.rc, 0);
    kube_req_fini(&req);
    kube_req_fini(&b);
    rig_close(&r);
}

static int wakes_n;

static void on_wake(void *arg)
{
    wakes_n++;
}

TEST(kube_client, completions_wait_for_the_turn_and_wake_once)
{
    struct kube_req a = {.verb = KUBE_GET, .path = KR_S("/a")},
                    b = {.verb = KUBE_GET, .path = KR_S("/b")};
    struct rig r;

    wakes_n = 0;
    rig_open(&r, 0, 0);
    kube_client_on_ready(r.client, on_wake, NULL);
    replay_add(r.replay, &(struct replay_answer){.path = "*", .body = "{}", .sticky = true});
    start(&r, &a);
    start(&r, &b);
    vclock_run(&r.clock);
    assert_int_equal(done_n, 0);
    assert_int_equal(wakes_n, 1);
    kube_client_turn(r.client);
    assert_int_equal(done_n, 2);
    kube_req_fini(&a);
    kube_req_fini(&b);
    rig_close(&r);
}

/* --- bodies ----------------------------------------------------------------------------------- */

TEST(kube_client, a_bad_body_is_an_error_and_no_crash)
{
    static const char *const bodies[] = {"{\"a\":1", "not json", "{}{}", "<html></html>"};
    struct rig r;

    rig_open(&r, 0, 0);
    for (size_t i = 0; i < KR_N(bodies); i++) {
        struct kube_req req = {.verb = KUBE_GET, .path = KR_S("/x")};

        replay_add(r.replay,
                   &(struct replay_answer){.path = "*", .body = bodies[i], .chunk_bytes = 1});
        start(&r, &req);
        finish(&r);
        assert_int_equal(req.rc, KR_E_INPUT);
        assert_true(kr_str_starts(kr_err_str(&req.err), KR_S("get /x: ")));
        kube_req_fini(&req);
    }
    rig_close(&r);
}

static int items_n;

static int on_item(void *arg, struct kr_arena *a, kr_val v, struct kr_err *err)
{
    items_n++;
    return kr_at(v, "bad").kind == KR_NONE ? 0
                                           : kr_fail(err, KR_E_INPUT, "item %d is bad", items_n);
}

TEST(kube_client, a_lists_items_come_one_by_one)
{
    struct kr_json_opts items = {.split = "items", .on_item = on_item};
    struct kube_req req = {
        .verb = KUBE_LIST, .ref = {{{0}, KR_S("v1"), KR_S("pods")}, {0}, {0}}, .items = &items};
    struct rig r;

    items_n = 0;
    rig_open(&r, 0, 0);
    replay_add(
        r.replay,
        &(struct replay_answer){
            .path = "*",
            .chunk_bytes = 3,
            .body = "{\"items\":[{\"a\":1},{\"a\":2}],\"metadata\":{\"resourceVersion\":\"7\"}}"});
    start(&r, &req);
    finish(&r);
    EXPECT_OK(req.rc, &req.err);
    assert_int_equal(items_n, 2);
    assert_true(kr_str_is(kr_at_str(req.object, "metadata.resourceVersion"), "7"));
    replay_add(r.replay, &(struct replay_answer){
                             .path = "*", .body = "{\"items\":[{\"a\":1},{\"bad\":2},{\"a\":3}]}"});
    start(&r, &req);
    finish(&r);
    assert_int_equal(req.rc, KR_E_INPUT);
    EXPECT_TEXT(req.err.text, "list pods.v1: item 4 is bad");
    kube_req_fini(&req);
    rig_close(&r);
}

TEST(kube_client, raw_bodies_are_left_alone)
{
    struct kube_req req = {.verb = KUBE_GET, .path = KR_S("/x"), .raw = true};
    struct rig r;

    rig_open(&r, 0, 0);
    answer(&r, "*", 200, 0, "ok, not json");
    start(&r, &req);
    finish(&r);
    EXPECT_OK(req.rc, &req.err);
    EXPECT_TEXT(kube_req_body(&req).s, "ok, not json");
    kube_req_fini(&req);
    rig_close(&r);
}

TEST(kube_client, a_refusal_gives_reason_message_and_details)
{
    struct kube_req req = {.verb = KUBE_APPLY, .ref = DEPLOYMENT("web"), .manager = "m"};
    struct rig r;

    rig_open(&r, 0, 0);
    answer(&r, "*", 403, 0,
           "{\"kind\":\"Status\",\"code\":403,\"reason\":\"Forbidden\",\"message\":\"no: you may "
           "not\",\"details\":{\"name\":\"web\"}}");
    start(&r, &req);
    finish(&r);
    assert_int_equal(req.rc, KR_E_API);
    assert_int_equal(req.reason, KUBE_R_FORBIDDEN);
    assert_int_equal(req.status, 403);
    EXPECT_TEXT(req.err.text,
                "apply deployments.v1.apps default/web: 403 Forbidden: no: you may not");
    assert_true(kr_str_is(req.message, "no: you may not"));
    assert_true(kr_str_is(kr_at_str(req.details, "name"), "web"));
    kube_req_fini(&req);
    rig_close(&r);
}

/* --- faults ----------------------------------------------------------------------------------- */

TEST(kube_client, an_answer_cut_at_any_byte_is_a_broken_connection)
{
    struct virt v;
    struct fault *f;

    virt_open(&v, NULL);
    fakeapi_apply(v.api, "one",
                  "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {k: v}}");
    kube_client_free(v.client);
    f = fault_new(fakeapi_transport(v.api), &v.clock.door);
    virt_open_on(&v, fault_transport(f));
    for (size_t at = 0;; at++) {
        struct kube_req req = {.verb = KUBE_GET, .ref = CONFIGMAP("a")};

        fault_clear(f);
        fault_add(f, &(struct fault_rule){.kind = FAULT_CUT, .bytes = at});
        virt_send(&v, &req, NULL);
        if (req.rc == 0) {
            assert_true(at > 300); /* the whole object came first */
            kube_req_fini(&req);
            break;
        }
        assert_int_equal(req.rc, KR_E_IO);
        assert_false(req.unsent);
        kube_req_fini(&req);
    }
    virt_settle(&v);
    fakeapi_set_down(v.api, false);
    kube_client_free(v.client);
    fault_free(f);
    virt_open_on(&v, fakeapi_transport(v.api));
    virt_close(&v);
}

TEST(kube_client, an_effect_without_an_answer_is_told_as_unknown)
{
    struct virt v;
    struct fault *f;
    struct kube_req req = {
        .verb = KUBE_APPLY, .ref = CONFIGMAP("a"), .manager = "m", .timeout_ms = 4000};

    virt_open(&v, NULL);
    kube_client_free(v.client);
    f = fault_new(fakeapi_transport(v.api), &v.clock.door);
    virt_open_on(&v, fault_transport(f));
    fault_add(f, &(struct fault_rule){
                     .kind = FAULT_EFFECT, .method = "PATCH", .delay_ms = 60000, .times = 1});
    virt_send(&v, &req, "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"data\":{\"a\":\"b\"}}");
    assert_int_equal(req.rc, KR_E_IO);
    assert_false(req.unsent);
    EXPECT_TEXT(req.err.text,
                "apply configmaps.v1 default/a: no answer from https://fake within 4 s");
    assert_int_equal(fakeapi_get(v.api, &v.a, "/api/v1/namespaces/default/configmaps/a").kind,
                     KR_MAP);
    virt_send(&v, &req, NULL);
    EXPECT_OK(req.rc, &req.err);
    kube_req_fini(&req);
    kube_client_free(v.client);
    fault_free(f);
    virt_open_on(&v, fakeapi_transport(v.api));
    virt_close(&v);
}

TEST(fault, a_rule_counts_what_it_fits_and_hits_from_its_number_on)
{
    struct rig r;
    struct fault *f;
    static const int want[] = {0, 0, KR_E_API, KR_E_API, 0, 0};

    rig_open(&r, 0, 0);
    replay_add(r.replay, &(struct replay_answer){.path = "*", .body = "{}", .sticky = true});
    kube_client_free(r.client);
    f = fault_new(replay_transport(r.replay), &r.clock.door);
    r.client = kube_client_new(fault_transport(f), &r.clock.door,
                               &(struct kube_client_opts){.user_agent = "kro"});
    fault_add(f, &(struct fault_rule){.kind = FAULT_STATUS,
                                      .method = "GET",
                                      .part = "/x",
                                      .nth = 3,
                                      .times = 2,
                                      .status = 409});
    for (size_t i = 0; i < KR_N(want); i++) {
        struct kube_req x = {.verb = KUBE_GET, .path = KR_S("/x")},
                        y = {.verb = KUBE_GET, .path = KR_S("/y")};

        start(&r, &y);
        start(&r, &x);
        finish(&r);
        assert_int_equal(x.rc, want[i]);
        assert_int_equal(y.rc, 0);
        kube_req_fini(&x);
        kube_req_fini(&y);
    }
    assert_int_equal(fault_hits_n(f), 2);
    assert_int_equal(fault_passed_n(f), 10);
    kube_client_free(r.client);
    r.client = kube_client_new(replay_transport(r.replay), &r.clock.door,
                               &(struct kube_client_opts){.user_agent = "kro"});
    fault_free(f);
    rig_close(&r);
}

/* A broken, hanging or refused exchange of every kind ends once, and a time later all is well. */
TEST(fault, every_kind_ends_once_and_the_next_try_succeeds)
{
    for (int kind = FAULT_REFUSE; kind <= FAULT_DELAY; kind++) {
        struct rig r;
        struct fault *f;
        struct kube_req req = {.verb = KUBE_APPLY, .ref = CONFIGMAP("a"), .manager = "m"};

        rig_open(&r, 0, 0);
        replay_add(r.replay,
                   &(struct replay_answer){.path = "*", .body = "{\"a\":1}", .sticky = true});
        kube_client_free(r.client);
        f = fault_new(replay_transport(r.replay), &r.clock.door);
        r.client = kube_client_new(fault_transport(f), &r.clock.door,
                                   &(struct kube_client_opts){.user_agent = "kro"});
        fault_add(f, &(struct fault_rule){.kind = (enum fault_kind)kind,
                                          .times = 1,
                                          .bytes = 3,
                                          .status = 500,
                                          .delay_ms = 700});
        start(&r, &req);
        finish(&r);
        assert_int_equal(done_n, 1);
        assert_int_equal(req.rc, kind == FAULT_REFUSE || kind == FAULT_DELAY || kind == FAULT_BODY
                                     ? 0
                                 : kind == FAULT_STATUS ? KR_E_API
                                 : kind == FAULT_SHORT  ? KR_E_INPUT
                                                        : KR_E_IO);
        start(&r, &req);
        finish(&r);
        EXPECT_OK(req.rc, &req.err);
        kube_req_fini(&req);
        kube_client_free(r.client);
        r.client = kube_client_new(replay_transport(r.replay), &r.clock.door,
                                   &(struct kube_client_opts){.user_agent = "kro"});
        fault_free(f);
        rig_close(&r);
    }
}

int main(void)
{
    return RUN(T(kube_client, each_verb_has_its_request),
               T(kube_client, a_name_that_would_address_something_else_is_not_sent),
               T(kube_client, a_body_over_the_servers_limit_is_refused_here),
               T(kube_client, no_more_fly_than_allowed_and_order_is_kept),
               T(kube_client, a_rate_is_kept_when_one_is_given),
               T(kube_client, a_429_is_repeated_after_the_time_the_server_names),
               T(kube_client, repeats_end),
               T(kube_client, what_may_have_had_an_effect_is_the_owners_matter),
               T(kube_client, a_refused_connection_is_tried_a_few_times),
               T(kube_client, a_round_of_429_halves_the_flight_and_success_grows_it_again),
               T(kube_client, a_request_without_an_answer_ends_in_time),
               T(kube_client, cancel_in_every_state), T(kube_client, cancel_all_ends_everything),
               T(kube_client, a_callback_may_start_its_request_again_and_cancel_others),
               T(kube_client, completions_wait_for_the_turn_and_wake_once),
               T(kube_client, a_bad_body_is_an_error_and_no_crash),
               T(kube_client, a_lists_items_come_one_by_one),
               T(kube_client, raw_bodies_are_left_alone),
               T(kube_client, a_refusal_gives_reason_message_and_details),
               T(kube_client, an_answer_cut_at_any_byte_is_a_broken_connection),
               T(kube_client, an_effect_without_an_answer_is_told_as_unknown),
               T(fault, a_rule_counts_what_it_fits_and_hits_from_its_number_on),
               T(fault, every_kind_ends_once_and_the_next_try_succeeds));
}
