/* SPDX-License-Identifier: Apache-2.0 */
/* watch_test.c - the list-and-stream machine against a scripted server, in virtual time.
 *
 * The server is one slot: a watch has one exchange outstanding or none. A test looks at the request
 * that was started (the path says everything), answers it as it likes, and compares the trace.
 * data/ has streams as a real API server sent them.
 */
#include "kube/watch.h"

#include <malloc.h>

#include "tests/lib/test.h"
#include "tests/lib/vclock.h"

/* There when the address sanitizer is, whose allocator mallinfo does not know. */
__attribute__((weak)) size_t __sanitizer_get_current_allocated_bytes(void);

struct fixture {
    struct kr_arena a;
    struct vclock clock;
    struct kube_transport t;
    struct kube_exchange *x; /* outstanding, or NULL */
    bool cancelled;
    uint32_t started_n;
    struct kube_client *client;
    struct kr_fieldset_pool *pool;
    struct kube_changes changes;
    struct kube_store *store;
    struct kube_watch *w;
    struct kr_buf trouble; /* trace of the trouble callback */
    int closed_n;
    struct kr_err err;
};

static void t_start(struct kube_transport *t, struct kube_exchange *x)
{
    struct fixture *f = KR_OWNER(t, struct fixture, t);

    assert_null(f->x);
    x->status = 0;
    f->x = x;
    f->cancelled = false;
    f->started_n++;
}

static void t_cancel(struct kube_transport *t, struct kube_exchange *x)
{
    struct fixture *f = KR_OWNER(t, struct fixture, t);

    assert_ptr_equal(f->x, x);
    assert_false(f->cancelled);
    f->cancelled = true;
}

static kr_str t_server(struct kube_transport *t)
{
    return KR_S("https://test");
}

static const struct kube_transport_ops t_ops = {t_start, t_cancel, t_server};

static void fixture_init_as(struct fixture *f, kr_str manager)
{
    kr_str path = KR_S("data");
    uint32_t leaf;

    *f = (struct fixture){.t = {&t_ops}, .trouble = KR_BUF(10000), .pool = kr_fieldset_pool_new()};
    vclock_init(&f->clock);
    f->client =
        kube_client_new(&f->t, &f->clock.door, &(struct kube_client_opts){.user_agent = "test"});
    kr_link_init(&f->changes.head);
    f->store =
        kube_store_new(&(struct kube_store_opts){.gvr = {KR_S(""), KR_S("v1"), KR_S("configmaps")},
                                                 .kind = KR_S("ConfigMap"),
                                                 .manager = manager,
                                                 .pool = f->pool,
                                                 .changes = &f->changes});
    assert_int_equal(kube_projection_add(kube_store_projection(f->store), &path, 1, &leaf, &f->err),
                     1);
}

static void fixture_init(struct fixture *f)
{
    fixture_init_as(f, KR_S(""));
}

static void on_trouble(struct kube_watch *w, void *arg)
{
    struct fixture *f = arg;

    kr_buf_str(&f->trouble, kube_watch_error(w) ? KR_S("trouble ") : KR_S("well "));
}

static void open_watch(struct fixture *f, bool streaming_list)
{
    f->w = kube_watch_new(f->client, f->store,
                          &(struct kube_watch_opts){.no_streaming_list = !streaming_list});
    kube_watch_on_trouble(f->w, on_trouble, f);
}

/* --- the server's side ------------------------------------------------------------------------ */

static void head(struct fixture *f, int status, int64_t retry_after_ms)
{
    f->x->status = status;
    f->x->on_head(f->x, status, retry_after_ms);
}

/* Sends bytes; false when the watch wants no more. */
static bool send(struct fixture *f, kr_str s)
{
    return !f->x || f->cancelled || f->x->on_bytes(f->x, s.s, s.n);
}

static void end(struct fixture *f, int rc)
{
    struct kube_exchange *x = f->x;
    struct kr_err err = KR_ERR_NONE;

    if (rc < 0)
        kr_fail(&err, rc, "connection lost");
    f->x = NULL;
    x->on_end(x, rc, &err);
    kube_client_turn(f->client);
}

/* A whole answer. */
static void answer(struct fixture *f, int status, const char *body)
{
    head(f, status, -1);
    end(f, send(f, kr_str_c(body)) ? 0 : KR_E_LIMIT);
}

/* Lets cancelled exchanges end and due timers run. */
static void settle(struct fixture *f)
{
    if (f->x && f->cancelled)
        end(f, KR_E_CANCELED);
    kube_client_turn(f->client);
    vclock_run(&f->clock);
    kube_client_turn(f->client);
}

static void on_closed(struct kube_watch *w, void *arg)
{
    ((struct fixture *)arg)->closed_n++;
}

static const char *changes(struct fixture *f);

static void fixture_fini(struct fixture *f)
{
    if (f->w) {
        kube_watch_close(f->w, on_closed, f);
        assert_int_equal(f->closed_n, 0);
        settle(f);
        assert_int_equal(f->closed_n, 1);
    }
    assert_null(f->x);
    changes(f);
    kube_store_free(f->store);
    kr_fieldset_pool_free(f->pool);
    kube_client_free(f->client);
    vclock_fini(&f->clock);
    kr_buf_fini(&f->trouble);
    kr_arena_fini(&f->a);
}

/* --- looking ---------------------------------------------------------------------------------- */

static const char *changes(struct fixture *f)
{
    struct kr_buf b = KR_BUF(100000);
    const char *out;

    for (struct kr_link *l; (l = kr_link_pop(&f->changes.head)) != NULL;) {
        struct kube_change *c = KR_OWNER(l, struct kube_change, link);

        if (c->synced)
            kr_buf_str(&b, KR_S("synced "));
        else
            kr_buf_fmt(&b, "%c%.*s ",
                       !c->old   ? '+'
                       : !c->now ? '-'
                                 : '~',
                       KR_ARG(kr_rec_name((c->now ? c->now : c->old))));
        kube_change_free(c);
    }
    out = kr_cstr(&f->a, kr_buf_view(&b));
    kr_buf_fini(&b);
    return out;
}

/* The path of what is outstanding, with the jitter of the time-out taken out; "" when nothing is.
 */
static const char *asked(struct fixture *f)
{
    kr_str p = f->x ? f->x->path : KR_S("");
    ptrdiff_t at = kr_str_find(p, KR_S("timeoutSeconds="));
    kr_str rest = at < 0 ? p : kr_str_sub(p, (size_t)at, p.n);
    ptrdiff_t and = kr_str_chr(rest, '&');

    if (at < 0)
        return kr_cstr(&f->a, p);
    return kr_fmt(&f->a, KR_FMT "timeoutSeconds=N" KR_FMT, KR_ARG(kr_str_sub(p, 0, (size_t)at)),
                  KR_ARG(and < 0 ? KR_S("") : kr_str_sub(rest, (size_t) and, rest.n)))
        .s;
}

#define LIST_1 "/api/v1/configmaps?limit=500"
#define STREAM_AT(rv)                                                                              \
    "/api/v1/configmaps?watch=1&allowWatchBookmarks=true&timeoutSeconds=N&resourceVersion=" rv
#define INITIAL_1                                                                                  \
    "/api/v1/configmaps?watch=1&allowWatchBookmarks=true&timeoutSeconds=N&sendInitialEvents=true"  \
    "&resourceVersionMatch=NotOlderThan"

#define OBJECT(name, rv, v)                                                                        \
    "{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"n\",\"uid\":\"u" name                    \
    "\",\"resourceVersion\":\"" rv "\"},\"data\":\"" v "\"}"
#define EVENT(type, name, rv, v) "{\"type\":\"" type "\",\"object\":" OBJECT(name, rv, v) "}\n"
#define BOOKMARK(rv)                                                                               \
    "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"" rv "\"}}}\n"
#define INITIAL_END(rv)                                                                            \
    "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"" rv                   \
    "\",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n"
#define STATUS(code, reason, message)                                                              \
    "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"message\":\"" message     \
    "\",\"reason\":\"" reason "\",\"code\":" code "}"
#define ERROR_EVENT(code, reason, message)                                                         \
    "{\"type\":\"ERROR\",\"object\":" STATUS(code, reason, message) "}\n"
#define PAGE(rv, token, items)                                                                     \
    "{\"kind\":\"ConfigMapList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"" rv    \
    "\",\"continue\":\"" token "\"},\"items\":[" items "]}"

/* Opens a paged watch and brings it into the stream from version 10 with objects a and b. */
static void into_stream(struct fixture *f)
{
    open_watch(f, false);
    answer(f, 200, PAGE("10", "", OBJECT("a", "5", "1") "," OBJECT("b", "6", "1")));
    EXPECT_TEXT(changes(f), "+a +b synced ");
    EXPECT_TEXT(asked(f), STREAM_AT("10"));
    head(f, 200, -1);
}

/* --- lists ------------------------------------------------------------------------------------ */

TEST(kube_watch, lists_pages_and_streams_from_the_first_pages_version)
{
    struct fixture f;

    fixture_init(&f);
    open_watch(&f, false);
    EXPECT_TEXT(asked(&f), LIST_1);
    answer(&f, 200, PAGE("10", "to/ken=", OBJECT("a", "5", "1")));
    EXPECT_TEXT(asked(&f), LIST_1 "&continue=to%2Fken%3D");
    EXPECT_TEXT(changes(&f), "");
    answer(&f, 200, PAGE("10", "", OBJECT("b", "6", "1")));
    EXPECT_TEXT(changes(&f), "+a +b synced ");
    EXPECT_TEXT(asked(&f), STREAM_AT("10"));
    assert_true(f.x->stream && f.x->timeout_ms == KUBE_WATCH_SILENCE_MS);
    assert_string_equal(f.x->user_agent, "test");
    EXPECT_TEXT(kube_watch_state(f.w), "stream");
    fixture_fini(&f);
}

TEST(kube_watch, asks_with_namespace_and_selectors)
{
    struct fixture f;

    fixture_init(&f);
    f.w = kube_watch_new(f.client, f.store,
                         &(struct kube_watch_opts){.namespace = KR_S("n"),
                                                   .label_selector = KR_S("a=b,c in (d)"),
                                                   .field_selector = KR_S("metadata.name=x")});
    EXPECT_TEXT(asked(&f),
                "/api/v1/namespaces/n/configmaps?watch=1&allowWatchBookmarks=true&timeoutSeconds=N"
                "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
                "&labelSelector=a%3Db%2Cc%20in%20%28d%29&fieldSelector=metadata.name%3Dx");
    answer(&f, 422, STATUS("422", "Invalid", "no"));
    EXPECT_TEXT(asked(&f),
                "/api/v1/namespaces/n/configmaps?limit=500&labelSelector=a%3Db%2Cc%20in%20%28d%29"
                "&fieldSelector=metadata.name%3Dx");
    fixture_fini(&f);
}

TEST(kube_watch, a_streaming_list_becomes_the_stream)
{
    struct fixture f;

    fixture_init(&f);
    open_watch(&f, true);
    EXPECT_TEXT(asked(&f), INITIAL_1);
    head(&f, 200, -1);
    assert_true(send(&f, KR_S(EVENT("ADDED", "a", "5", "1") EVENT("ADDED", "b", "6", "1"))));
    assert_true(send(&f, KR_S(EVENT("DELETED", "b", "8", "1") BOOKMARK("9"))));
    EXPECT_TEXT(changes(&f), "");
    assert_false(kube_store_synced(f.store));
    assert_true(send(&f, KR_S(INITIAL_END("10") EVENT("MODIFIED", "a", "11", "2"))));
    EXPECT_TEXT(changes(&f), "+a synced ~a ");
    EXPECT_TEXT(kube_watch_state(f.w), "stream");
    assert_int_equal(f.started_n, 1);
    end(&f, 0);
    EXPECT_TEXT(asked(&f), STREAM_AT("11"));
    fixture_fini(&f);
}

#define MANAGED                                                                                    \
    "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"uid\":\"u\",\"resourceVersion\":\"5\","   \
    "\"managedFields\":[{\"manager\":\"kubectl\"}]},\"data\":{\"v\":\"1\"}}"

/* What nobody reads is not even parsed; what an expression names is there. */
TEST(kube_watch, managed_fields_are_kept_when_an_expression_names_them)
{
    const kr_str path[] = {KR_S("metadata"), KR_S("managedFields")};

    for (int i = 0; i < 4; i++) {
        bool named = i % 2, streaming = i / 2;
        const struct kr_rec *rec;
        struct fixture f;
        uint32_t leaf;

        fixture_init(&f);
        if (named)
            assert_int_equal(
                kube_projection_add(kube_store_projection(f.store), path, 2, &leaf, &f.err), 1);
        open_watch(&f, streaming);
        if (streaming) {
            head(&f, 200, -1);
            assert_true(
                send(&f, KR_S("{\"type\":\"ADDED\",\"object\":" MANAGED "}\n" INITIAL_END("10"))));
        } else {
            answer(&f, 200, PAGE("10", "", MANAGED));
        }
        rec = kube_store_get(f.store, KR_S("n"), KR_S("a"));
        assert_non_null(rec);
        assert_int_equal(kr_at(kr_rec_root(rec), "metadata.managedFields").kind,
                         named ? KR_LIST : KR_NONE);
        fixture_fini(&f);
    }
}

TEST(kube_watch, a_server_without_streaming_lists_gets_pages_for_good)
{
    static const char *const status[] = {"400", "422"};
    struct fixture f;

    for (size_t i = 0; i < KR_N(status); i++) {
        fixture_init(&f);
        open_watch(&f, true);
        answer(&f, atoi(status[i]), STATUS("422", "Invalid", "sendInitialEvents is forbidden"));
        EXPECT_TEXT(asked(&f), LIST_1);
        assert_null(kube_watch_error(f.w));
        answer(&f, 200, PAGE("10", "", OBJECT("a", "5", "1")));
        EXPECT_TEXT(changes(&f), "+a synced ");
        kube_watch_relist(f.w);
        settle(&f);
        EXPECT_TEXT(asked(&f), LIST_1);
        fixture_fini(&f);
    }
}

TEST(kube_watch, streaming_lists_that_always_break_off_give_way_to_pages)
{
    struct fixture f;

    fixture_init(&f);
    open_watch(&f, true);
    for (int i = 0; i < KUBE_INITIAL_TRIES; i++) {
        EXPECT_TEXT(asked(&f), INITIAL_1);
        answer(&f, 200, EVENT("ADDED", "a", "5", "1"));
        assert_non_null(kube_watch_error(f.w));
        vclock_step(&f.clock);
    }
    EXPECT_TEXT(asked(&f), LIST_1);
    EXPECT_TEXT(changes(&f), "");
    fixture_fini(&f);
}

TEST(kube_watch, an_expired_continue_token_starts_the_list_from_scratch)
{
    struct fixture f;

    fixture_init(&f);
    open_watch(&f, false);
    answer(&f, 200, PAGE("10", "t1", OBJECT("old", "5", "1")));
    answer(&f, 410, STATUS("410", "Expired", "The provided continue parameter is too old"));
    EXPECT_TEXT(asked(&f), LIST_1);
    answer(&f, 200, PAGE("20", "t2", OBJECT("a", "15", "1")));
    EXPECT_TEXT(asked(&f), LIST_1 "&continue=t2");
    answer(&f, 200, PAGE("20", "", OBJECT("b", "16", "1")));
    EXPECT_TEXT(changes(&f), "+a +b synced ");
    EXPECT_TEXT(asked(&f), STREAM_AT("20"));
    fixture_fini(&f);
}

TEST(kube_watch, a_list_without_version_or_with_a_bad_item_is_an_error)
{
    static const char *const bad[] = {"{\"items\":[]}",
                                      PAGE("", "", ""),
                                      "[]",
                                      "{",
                                      "nothing",
                                      PAGE("1", "", "{\"metadata\":{}}"),
                                      PAGE("1", "", "1")};
    struct fixture f;

    for (size_t i = 0; i < KR_N(bad); i++) {
        fixture_init(&f);
        open_watch(&f, false);
        answer(&f, 200, bad[i]);
        EXPECT_TEXT(kube_watch_state(f.w), "backoff");
        assert_non_null(kube_watch_error(f.w));
        assert_true(vclock_step(&f.clock));
        EXPECT_TEXT(asked(&f), LIST_1);
        EXPECT_TEXT(changes(&f), "");
        fixture_fini(&f);
    }
}

/* --- streams ---------------------------------------------------------------------------------- */

TEST(kube_watch, a_stream_that_ends_resumes_at_once_where_it_stopped)
{
    struct fixture f;

    fixture_init(&f);
    into_stream(&f);
    send(&f, KR_S(EVENT("MODIFIED", "a", "11", "2") EVENT("ADDED", "c", "12", "1")));
    end(&f, 0);
    EXPECT_TEXT(changes(&f), "~a +c ");
    EXPECT_TEXT(asked(&f), STREAM_AT("12"));
    head(&f, 200, -1);
    send(&f, KR_S(BOOKMARK("20")));
    end(&f, 0);
    EXPECT_TEXT(asked(&f), STREAM_AT("20"));
    EXPECT_TEXT(kr_cstr(&f.a, kr_buf_view(&f.trouble)), "");
    fixture_fini(&f);
}

TEST(kube_watch, streams_that_end_at_once_back_off)
{
    struct fixture f;
    uint64_t before;

    fixture_init(&f);
    into_stream(&f);
    end(&f, 0);
    EXPECT_TEXT(kube_watch_state(f.w), "backoff");
    before = f.clock.now_ms;
    assert_true(vclock_step(&f.clock));
    assert_in_range(f.clock.now_ms - before, KUBE_BACKOFF_MIN_MS / 2, KUBE_BACKOFF_MIN_MS);
    EXPECT_TEXT(asked(&f), STREAM_AT("10"));
    vclock_advance(&f.clock, KUBE_WATCH_SHORT_MS);
    head(&f, 200, -1);
    end(&f, 0);
    EXPECT_TEXT(asked(&f), STREAM_AT("10"));
    fixture_fini(&f);
}

TEST(kube_watch, back_off_doubles_with_jitter_and_is_reset_by_an_event)
{
    struct fixture f;
    uint64_t full_ms = KUBE_BACKOFF_MIN_MS, before;

    fixture_init(&f);
    into_stream(&f);
    for (uint32_t i = 1; i <= 12; i++) {
        end(&f, KR_E_IO);
        assert_int_equal(kube_watch_failures_n(f.w), i);
        before = f.clock.now_ms;
        assert_true(vclock_step(&f.clock));
        assert_in_range(f.clock.now_ms - before, full_ms / 2, full_ms);
        full_ms = full_ms * 2 > KUBE_BACKOFF_MAX_MS ? KUBE_BACKOFF_MAX_MS : full_ms * 2;
        assert_string_equal(asked(&f), STREAM_AT("10"));
    }
    EXPECT_TEXT(kr_cstr(&f.a, kr_buf_view(&f.trouble)), "trouble ");
    EXPECT_TEXT(kube_watch_error(f.w)->text, "watch configmaps.v1: connection lost");
    head(&f, 200, -1);
    assert_null(kube_watch_error(f.w));
    send(&f, KR_S(EVENT("MODIFIED", "a", "11", "2")));
    assert_int_equal(kube_watch_failures_n(f.w), 0);
    end(&f, KR_E_IO);
    before = f.clock.now_ms;
    vclock_step(&f.clock);
    assert_in_range(f.clock.now_ms - before, KUBE_BACKOFF_MIN_MS / 2, KUBE_BACKOFF_MIN_MS);
    EXPECT_TEXT(kr_cstr(&f.a, kr_buf_view(&f.trouble)), "trouble well trouble ");
    fixture_fini(&f);
}

TEST(kube_watch, gone_lists_again_at_once_and_the_second_time_after_a_wait)
{
    struct fixture f;

    fixture_init(&f);
    into_stream(&f);
    send(&f, KR_S(ERROR_EVENT("410", "Expired", "too old resource version: 10 (50)")));
    end(&f, KR_E_LIMIT);
    EXPECT_TEXT(asked(&f), LIST_1);
    assert_null(kube_watch_error(f.w));
    answer(&f, 200, PAGE("60", "", OBJECT("a", "55", "2")));
    EXPECT_TEXT(changes(&f), "~a -b synced ");
    EXPECT_TEXT(asked(&f), STREAM_AT("60"));
    answer(&f, 410, STATUS("410", "Gone", "too old"));
    EXPECT_TEXT(kube_watch_state(f.w), "backoff");
    vclock_step(&f.clock);
    EXPECT_TEXT(asked(&f), LIST_1);
    answer(&f, 200, PAGE("70", "", OBJECT("a", "55", "2")));
    head(&f, 200, -1);
    send(&f, KR_S(EVENT("MODIFIED", "a", "71", "3")));
    send(&f, KR_S(ERROR_EVENT("410", "Gone", "too old")));
    end(&f, KR_E_LIMIT);
    EXPECT_TEXT(asked(&f), LIST_1);
    fixture_fini(&f);
}

TEST(kube_watch, a_version_of_the_future_lists_from_scratch)
{
    static const char *const said[] = {
        STATUS("504", "Timeout", "Timeout: Too large resource version: 10, current: 5"),
        "{\"kind\":\"Status\",\"reason\":\"Timeout\",\"code\":504,\"details\":{\"causes\":[{"
        "\"reason\":"
        "\"ResourceVersionTooLarge\"}]}}"};
    struct fixture f;

    for (size_t i = 0; i < KR_N(said); i++) {
        fixture_init(&f);
        into_stream(&f);
        send(&f, kr_fmt(&f.a, "{\"type\":\"ERROR\",\"object\":%s}", said[i]));
        end(&f, KR_E_LIMIT);
        EXPECT_TEXT(asked(&f), LIST_1);
        fixture_fini(&f);
    }
}

TEST(kube_watch, a_stream_without_a_sign_of_life_lists_again_where_there_were_bookmarks)
{
    struct fixture f;

    fixture_init(&f);
    into_stream(&f);
    vclock_advance(&f.clock, KUBE_WATCH_MUTE_MS);
    end(&f, 0);
    EXPECT_TEXT(asked(&f), STREAM_AT("10")); /* perhaps this server has no bookmarks */
    head(&f, 200, -1);
    send(&f, KR_S(BOOKMARK("11")));
    vclock_advance(&f.clock, KUBE_WATCH_MUTE_MS);
    end(&f, 0);
    EXPECT_TEXT(asked(&f), STREAM_AT("11"));
    head(&f, 200, -1);
    vclock_advance(&f.clock, KUBE_WATCH_MUTE_MS);
    end(&f, 0);
    EXPECT_TEXT(asked(&f), LIST_1);
    fixture_fini(&f);
}

TEST(kube_watch, other_errors_keep_the_version)
{
    struct fixture f;
    uint64_t before;

    fixture_init(&f);
    into_stream(&f);
    send(&f, KR_S(EVENT("ADDED", "c", "12", "1") ERROR_EVENT("500", "InternalError", "boom")));
    end(&f, KR_E_LIMIT);
    EXPECT_TEXT(kube_watch_error(f.w)->text, "watch configmaps.v1: 500 InternalError: boom");
    vclock_step(&f.clock);
    EXPECT_TEXT(asked(&f), STREAM_AT("12"));
    head(&f, 429, 7000); /* Retry-After */
    end(&f, 0);
    before = f.clock.now_ms;
    vclock_step(&f.clock);
    assert_int_equal(f.clock.now_ms - before, 7000);
    EXPECT_TEXT(asked(&f), STREAM_AT("12"));
    answer(&f, 403, STATUS("403", "Forbidden", "not allowed"));
    EXPECT_TEXT(kube_watch_error(f.w)->text, "watch configmaps.v1: 403 Forbidden: not allowed");
    fixture_fini(&f);
}

TEST(kube_watch, what_cannot_be_read_lists_from_scratch_after_a_wait)
{
    static const char *const bad[] = {"{\"type\":\"ADDED\"]",
                                      "hello",
                                      "{\"type\":\"NEWS\",\"object\":{}}",
                                      "{\"type\":1}",
                                      "[]",
                                      "null",
                                      "{\"type\":\"ADDED\",\"object\":{\"metadata\":{}}}",
                                      "{\"type\":\"DELETED\",\"object\":null}"};
    struct fixture f;

    for (size_t i = 0; i < KR_N(bad); i++) {
        fixture_init(&f);
        into_stream(&f);
        if (send(&f, kr_str_c(bad[i])))
            fail_msg("%s", bad[i]);
        end(&f, KR_E_LIMIT);
        EXPECT_TEXT(kube_watch_state(f.w), "backoff");
        vclock_step(&f.clock);
        EXPECT_TEXT(asked(&f), LIST_1);
        EXPECT_TEXT(changes(&f), "");
        fixture_fini(&f);
    }
}

TEST(kube_watch, an_event_that_is_too_large_is_refused)
{
    struct fixture f;
    static char filler[1024 * 1024];
    bool more = true;
    int n = 0;

    memset(filler, 'x', sizeof(filler));
    filler[0] = filler[sizeof(filler) - 2] = '"';
    filler[sizeof(filler) - 1] = ',';
    fixture_init(&f);
    into_stream(&f);
    send(&f, KR_S("{\"type\":\"ADDED\",\"object\":{\"x\":["));
    while (more && n++ < 20)
        more = send(&f, (kr_str){filler, sizeof(filler)});
    assert_false(more);
    assert_in_range(n, 15, 17);
    end(&f, KR_E_LIMIT);
    assert_int_equal(kube_watch_error(f.w)->code, KR_E_LIMIT);
    fixture_fini(&f);
}

TEST(kube_watch, the_time_out_asked_for_has_jitter)
{
    struct fixture f;
    unsigned low = 1000, high = 0;

    fixture_init(&f);
    into_stream(&f);
    for (int i = 0; i < 300; i++) {
        ptrdiff_t at = kr_str_find(f.x->path, KR_S("timeoutSeconds="));
        unsigned s = (unsigned)strtoul(f.x->path.s + at + 15, NULL, 10);

        low = s < low ? s : low;
        high = s > high ? s : high;
        head(&f, 200, -1);
        send(&f, KR_S(BOOKMARK("10")));
        end(&f, 0);
    }
    assert_in_range(low, KUBE_WATCH_TIMEOUT_S - KUBE_WATCH_JITTER_S, KUBE_WATCH_TIMEOUT_S - 40);
    assert_in_range(high, KUBE_WATCH_TIMEOUT_S - 10, KUBE_WATCH_TIMEOUT_S);
    fixture_fini(&f);
}

/* --- close and relist in every state ---------------------------------------------------------- */

enum { AT_LIST, AT_PAGE_2, AT_INITIAL, AT_STREAM, AT_BACKOFF, AT_BACKOFF_LIST, AT_N };

static void bring_to(struct fixture *f, int state)
{
    open_watch(f, state == AT_INITIAL);
    if (state == AT_LIST)
        return;
    if (state == AT_INITIAL) {
        head(f, 200, -1);
        send(f, KR_S(EVENT("ADDED", "a", "5", "1") "{\"type\":"));
        return;
    }
    if (state == AT_BACKOFF_LIST) {
        end(f, KR_E_IO);
        return;
    }
    answer(f, 200, PAGE("10", "t", OBJECT("a", "5", "1")));
    if (state == AT_PAGE_2) {
        head(f, 200, -1);
        send(f, KR_S("{\"kind\":"));
        return;
    }
    answer(f, 200, PAGE("10", "", OBJECT("b", "5", "1")));
    head(f, 200, -1);
    send(f, KR_S(EVENT("ADDED", "c", "11", "1") "{\"type\":"));
    if (state == AT_BACKOFF)
        end(f, KR_E_IO);
}

TEST(kube_watch, closes_in_every_state_with_one_last_word)
{
    struct fixture f;

    for (int state = 0; state < AT_N; state++) {
        for (int relist = 0; relist < 2; relist++) {
            fixture_init(&f);
            bring_to(&f, state);
            if (relist)
                kube_watch_relist(f.w);
            fixture_fini(&f); /* closes and checks */
        }
    }
}

TEST(kube_watch, a_closing_watch_ignores_what_still_arrives)
{
    struct fixture f;

    fixture_init(&f);
    into_stream(&f);
    kube_watch_close(f.w, on_closed, &f);
    EXPECT_TEXT(kube_watch_state(f.w), "closing");
    f.x->on_bytes(f.x, EVENT("ADDED", "c", "11", "1"), strlen(EVENT("ADDED", "c", "11", "1")));
    EXPECT_TEXT(changes(&f), "");
    end(&f, 0); /* the stream ended before the transport could cancel it */
    assert_int_equal(f.closed_n, 1);
    f.w = NULL;
    fixture_fini(&f);
}

TEST(kube_watch, relists_from_every_state)
{
    struct fixture f;

    for (int state = 0; state < AT_N; state++) {
        fixture_init(&f);
        bring_to(&f, state);
        changes(&f);
        kube_watch_relist(f.w);
        settle(&f);
        if (!f.x)
            vclock_step(&f.clock); /* back-off goes on */
        if (state == AT_INITIAL) {
            EXPECT_TEXT(asked(&f), INITIAL_1);
            head(&f, 200, -1);
            send(&f, KR_S(EVENT("ADDED", "z", "50", "1") INITIAL_END("60")));
        } else {
            EXPECT_TEXT(asked(&f), LIST_1);
            answer(&f, 200, PAGE("60", "", OBJECT("z", "50", "1")));
        }
        assert_int_equal(kube_store_n(f.store), 1);
        EXPECT_TEXT(kube_watch_state(f.w), "stream");
        fixture_fini(&f);
    }
}

/* Its CRD has gone: one list at most tells so, then nothing is asked until it is there again. */
TEST(kube_watch, a_type_that_is_gone_is_asked_for_when_it_returns)
{
    struct fixture f;

    for (int state = 0; state < AT_N; state++) {
        fixture_init(&f);
        bring_to(&f, state);
        kube_watch_type(f.w, false);
        settle(&f);
        if (f.x)
            answer(&f, 404, "{\"kind\":\"Status\",\"code\":404,\"message\":\"gone\"}");
        EXPECT_TEXT(kube_watch_state(f.w), "backoff");
        assert_true(kube_timers_due(&f.clock.timers) == UINT64_MAX);
        asked(&f);
        kube_watch_type(f.w, true);
        settle(&f);
        assert_non_null(f.x); /* at once */
        if (state == AT_INITIAL) {
            EXPECT_TEXT(asked(&f), INITIAL_1);
        } else {
            EXPECT_TEXT(asked(&f), LIST_1);
            answer(&f, 200, PAGE("60", "", OBJECT("z", "50", "1")));
            assert_int_equal(kube_store_n(f.store), 1);
        }
        fixture_fini(&f);
    }
}

/* What the server had stored it reads by the new schema from some moment on, and tells nobody. */
TEST(kube_watch, a_stream_of_a_former_schema_is_followed_by_a_list)
{
    struct fixture f;

    fixture_init(&f);
    into_stream(&f);
    kube_watch_schema(f.w);
    vclock_advance(&f.clock, KUBE_WATCH_SHORT_MS);
    end(&f, 0);
    EXPECT_TEXT(asked(&f), LIST_1);
    answer(&f, 200, PAGE("20", "", OBJECT("a", "5", "2") "," OBJECT("b", "6", "1")));
    EXPECT_TEXT(changes(&f), "~a synced ");
    /* The server may not have noticed by then: this stream, too, ends soon if so. */
    EXPECT_TEXT(asked(&f), STREAM_AT("20"));
    head(&f, 200, -1);
    vclock_advance(&f.clock, KUBE_SCHEMA_LAG_MS);
    end(&f, 0);
    EXPECT_TEXT(asked(&f), LIST_1);
    answer(&f, 200, PAGE("30", "", OBJECT("a", "5", "2")));
    EXPECT_TEXT(asked(&f), STREAM_AT("30"));
    head(&f, 200, -1);
    vclock_advance(&f.clock, KUBE_WATCH_SHORT_MS);
    end(&f, 0);
    EXPECT_TEXT(asked(&f), STREAM_AT("30"));
    fixture_fini(&f);
}

TEST(kube_watch, a_stream_that_lives_on_after_the_schemas_change_is_of_the_new_one)
{
    struct fixture f;

    fixture_init(&f);
    into_stream(&f);
    kube_watch_schema(f.w);
    vclock_advance(&f.clock, KUBE_SCHEMA_ENDS_MS);
    end(&f, 0);
    EXPECT_TEXT(asked(&f), STREAM_AT("10"));
    fixture_fini(&f);
}

TEST(kube_watch, a_stream_of_a_former_schema_that_ends_at_once_lists_after_the_wait)
{
    struct fixture f;

    fixture_init(&f);
    into_stream(&f);
    kube_watch_schema(f.w);
    end(&f, 0);
    EXPECT_TEXT(kube_watch_state(f.w), "backoff");
    assert_true(vclock_step(&f.clock));
    EXPECT_TEXT(asked(&f), LIST_1);
    fixture_fini(&f);
}

TEST(kube_watch, closes_while_its_type_is_gone)
{
    struct fixture f;

    fixture_init(&f);
    bring_to(&f, AT_BACKOFF);
    kube_watch_type(f.w, false);
    fixture_fini(&f);
}

static void close_at_once(struct kube_watch *w, void *arg)
{
    struct fixture *f = arg;

    if (kube_watch_error(w)) {
        kube_watch_close(w, on_closed, f);
        f->w = NULL;
    }
}

TEST(kube_watch, may_be_closed_by_the_one_who_hears_of_trouble)
{
    struct fixture f;

    fixture_init(&f);
    into_stream(&f);
    kube_watch_on_trouble(f.w, close_at_once, &f);
    end(&f, KR_E_IO);
    assert_int_equal(f.closed_n, 0);
    settle(&f);
    assert_int_equal(f.closed_n, 1);
    fixture_fini(&f);
}

/* --- cuts at every byte ----------------------------------------------------------------------- */

struct recording {
    kr_str text;
    struct {
        size_t end; /* offset behind the line */
        uint64_t version;
        bool bookmark;
    } lines[64];
    uint32_t lines_n;
};

static bool read_recording(struct kr_arena *a, const char *name, struct recording *r)
{
    kr_str rest;

    if (!test_file(a, kr_fmt(a, "%s/data/%s", TEST_DATA, name).s, &r->text))
        return false;
    rest = r->text;
    while (rest.n > 0) {
        kr_str line = kr_str_cut(&rest, '\n');
        kr_val v = test_json(a, kr_cstr(a, line));

        assert_true(r->lines_n < KR_N(r->lines));
        r->lines[r->lines_n].end = (size_t)(line.s + line.n - r->text.s) + 1;
        assert_true(kr_str_u64(kr_at_str(v, "object.metadata.resourceVersion"),
                               &r->lines[r->lines_n].version));
        r->lines[r->lines_n++].bookmark = kr_is_str(kr_get(v, KR_S("type")), KR_S("BOOKMARK"));
    }
    return true;
}

/* What a server sends to a stream from `version`. */
static kr_str stream_after(const struct recording *r, uint64_t version)
{
    size_t from = 0;

    for (uint32_t i = 0; i < r->lines_n; i++) {
        if (r->lines[i].version > version)
            break;
        from = r->lines[i].end;
    }
    return kr_str_sub(r->text, from, r->text.n);
}

static uint64_t asked_version(struct fixture *f)
{
    ptrdiff_t at = kr_str_find(f->x->path, KR_S("resourceVersion="));

    return at < 0 ? 0 : strtoull(f->x->path.s + at + 16, NULL, 10);
}

/* Cuts the recorded stream at byte `cut` with rc, lets the watch resume, and returns the changes.
 */
static const char *cut_and_resume(struct fixture *f, const struct recording *r, size_t cut, int rc)
{
    open_watch(f, false);
    answer(f, 200, PAGE("1", "", ""));
    head(f, 200, -1);
    assert_true(send(f, kr_str_sub(r->text, 0, cut)));
    end(f, rc);
    if (!f->x)
        assert_true(vclock_step(&f->clock));
    assert_string_equal(kube_watch_state(f->w), "stream");
    head(f, 200, -1);
    assert_true(send(f, stream_after(r, asked_version(f))));
    return changes(f);
}

TEST(kube_watch, a_cut_at_any_byte_loses_nothing_and_repeats_nothing)
{
    struct fixture f;
    struct recording r = {0};
    struct kr_arena a = {0};
    const char *want;

    assert_true(read_recording(&a, "stream.jsonl", &r));
    fixture_init(&f);
    want = kr_cstr(&a, kr_str_c(cut_and_resume(&f, &r, r.text.n, 0)));
    EXPECT_TEXT(want, "synced +s0 +s1 +s2 ~s1 -s0 -s1 -s2 ");
    fixture_fini(&f);
    for (size_t cut = 0; cut <= r.text.n; cut++) {
        for (int rc = 0; rc >= KR_E_IO; rc += KR_E_IO) {
            fixture_init(&f);
            EXPECT_TEXT(cut_and_resume(&f, &r, cut, rc), want);
            fixture_fini(&f);
        }
    }
    kr_arena_fini(&a);
}

TEST(kube_watch, a_streaming_list_cut_at_any_byte_is_never_half_visible)
{
    struct fixture f;
    struct recording r = {0};
    struct kr_arena a = {0};

    assert_true(read_recording(&a, "initial.jsonl", &r));
    for (size_t cut = 0; cut <= r.text.n; cut++) {
        fixture_init_as(&f, KR_S("kro.run/applyset"));
        open_watch(&f, true);
        head(&f, 200, -1);
        assert_true(send(&f, kr_str_sub(r.text, 0, cut)));
        end(&f, KR_E_IO);
        assert_true(kube_store_n(f.store) == (cut + 1 < r.text.n ? 0 : 3));
        assert_true(vclock_step(&f.clock));
        head(&f, 200, -1);
        if (kr_str_find(f.x->path, KR_S("sendInitialEvents")) >= 0)
            assert_true(send(&f, r.text));
        EXPECT_TEXT(changes(&f), "+final +nodata +removal synced ");
        fixture_fini(&f);
    }
    kr_arena_fini(&a);
}

TEST(kube_watch, pages_cut_at_any_byte_are_never_half_visible)
{
    static const char page_1[] = PAGE("10", "t", OBJECT("a", "5", "1") "," OBJECT("b", "6", "1"));
    static const char page_2[] = PAGE("10", "", OBJECT("c", "7", "1"));
    size_t n_1 = strlen(page_1), n = n_1 + strlen(page_2);
    struct fixture f;

    for (size_t cut = 0; cut < n; cut++) {
        fixture_init(&f);
        open_watch(&f, false);
        if (cut >= n_1)
            answer(&f, 200, page_1);
        head(&f, 200, -1);
        send(&f, cut < n_1 ? (kr_str){page_1, cut} : (kr_str){page_2, cut - n_1});
        end(&f, KR_E_IO);
        assert_int_equal(kube_store_n(f.store), 0);
        while (!f.x)
            assert_true(vclock_step(&f.clock));
        EXPECT_TEXT(asked(&f), LIST_1);
        answer(&f, 200, page_1);
        answer(&f, 200, page_2);
        EXPECT_TEXT(changes(&f), "+a +b +c synced ");
        fixture_fini(&f);
    }
}

/* --- long runs -------------------------------------------------------------------------------- */

static size_t live_bytes(void)
{
    if (__sanitizer_get_current_allocated_bytes)
        return __sanitizer_get_current_allocated_bytes();
    return mallinfo2().uordblks;
}

TEST(kube_watch, ten_thousand_reconnects_leave_memory_flat)
{
    struct fixture f;
    size_t before = 0;

    fixture_init(&f);
    into_stream(&f);
    for (int i = 0; i < 10000; i++) {
        kr_arena_reset(&f.a);
        if (i == 100)
            before = live_bytes();
        send(&f, KR_S(EVENT("MODIFIED", "a", "11", "2") "{\"type\":\"MOD"));
        switch (i % 5) {
        case 0:
            end(&f, 0);
            break;
        case 1:
            end(&f, KR_E_IO);
            break;
        case 2:
            end(&f, 0);
            answer(&f, 503, "{\"kind\":\"Status\",\"message\":\"try later\",\"code\":503}");
            break;
        case 3:
            end(&f, 0);
            answer(&f, 200, ERROR_EVENT("410", "Expired", "too old"));
            answer(&f, 200, PAGE("10", "", OBJECT("a", "5", "1") "," OBJECT("b", "6", "1")));
            break;
        default:
            kube_watch_relist(f.w);
            settle(&f);
            answer(&f, 200, PAGE("10", "", OBJECT("a", "5", "1") "," OBJECT("b", "6", "1")));
        }
        if (!f.x)
            assert_true(vclock_step(&f.clock));
        assert_string_equal(kube_watch_state(f.w), "stream");
        head(&f, 200, -1);
        changes(&f);
    }
    kr_arena_reset(&f.a);
    assert_in_range(live_bytes(), before - before / 10, before + before / 10);
    fixture_fini(&f);
}

/* A server with its own objects, log and memory of the past, that fails at random. */
enum { NAMES_N = 12, LOG_MAX = 4000 };

struct model {
    uint64_t seed;
    uint64_t version, floor; /* newest; oldest that a stream may start from */
    struct {
        bool there;
        uint64_t version, value, uid;
    } objects[NAMES_N];
    struct {
        uint64_t version;
        uint32_t name;
        const char *type;
        uint64_t value, uid;
    } log[LOG_MAX];
    uint32_t log_n;
    uint64_t sent; /* the open stream has got everything up to here */
    uint32_t fault_percent;
};

static uint32_t chance(struct model *m, uint32_t n)
{
    return (uint32_t)(test_rand(&m->seed) % n);
}

static void model_change(struct model *m)
{
    uint32_t i = chance(m, NAMES_N);
    const char *type = !m->objects[i].there ? "ADDED" : chance(m, 4) ? "MODIFIED" : "DELETED";

    if (m->log_n == LOG_MAX)
        return;
    m->version += 1 + chance(m, 3);
    if (!m->objects[i].there)
        m->objects[i].uid = m->version;
    m->objects[i].there = strcmp(type, "DELETED") != 0;
    m->objects[i].value = chance(m, 3);
    m->objects[i].version = m->version;
    m->log[m->log_n].version = m->version;
    m->log[m->log_n].name = i;
    m->log[m->log_n].type = type;
    m->log[m->log_n].uid = m->objects[i].uid;
    m->log[m->log_n++].value = m->objects[i].value;
    if (chance(m, 10) == 0)
        m->floor = m->version - chance(m, 5);
}

static void print_object(struct kr_buf *b, uint32_t name, uint64_t version, uint64_t value,
                         uint64_t uid)
{
    kr_buf_fmt(b,
               "{\"metadata\":{\"name\":\"o%u\",\"uid\":\"%llu\",\"resourceVersion\":\"%llu\"},"
               "\"data\":%llu}",
               name, (unsigned long long)uid, (unsigned long long)version,
               (unsigned long long)value);
}

/* Delivers text in pieces, perhaps not all of it. Returns false when the exchange is over. */
static bool deliver(struct fixture *f, struct model *m, kr_str text)
{
    bool cut = chance(m, 100) < m->fault_percent;
    size_t n = cut ? chance(m, (uint32_t)text.n + 1) : text.n, at = 0;

    while (at < n && f->x && !f->cancelled) {
        size_t piece = 1 + chance(m, 200);

        piece = piece > n - at ? n - at : piece;
        if (!send(f, kr_str_sub(text, at, at + piece))) {
            end(f, KR_E_LIMIT);
            return false;
        }
        at += piece;
    }
    if (cut && f->x && !f->cancelled)
        end(f, chance(m, 2) ? KR_E_IO : 0);
    return f->x && !cut;
}

static void serve_list(struct fixture *f, struct model *m, struct kr_buf *b)
{
    ptrdiff_t at = kr_str_find(f->x->path, KR_S("continue="));
    unsigned long long snapshot = m->version, from = 0;
    uint32_t n = 0, i;

    if (at >= 0) {
        kr_str token = kr_str_sub(f->x->path, (size_t)at + 9, f->x->path.n);

        assert_int_equal(sscanf(kr_cstr(&f->a, token), "%llu.%llu", &snapshot, &from), 2);
        if (snapshot != m->version) { /* a model without old snapshots: the token has expired */
            answer(f, 410, STATUS("410", "Expired", "continue"));
            return;
        }
    }
    kr_buf_str(b, KR_S("{\"items\":["));
    for (i = (uint32_t)from; i < NAMES_N && n < 4; i++) {
        if (!m->objects[i].there)
            continue;
        if (n++)
            kr_buf_chr(b, ',');
        print_object(b, i, m->objects[i].version, m->objects[i].value, m->objects[i].uid);
    }
    kr_buf_fmt(b, "],\"metadata\":{\"resourceVersion\":\"%llu\"", snapshot);
    if (i < NAMES_N)
        kr_buf_fmt(b, ",\"continue\":\"%llu.%u\"", snapshot, i);
    kr_buf_str(b, KR_S("}}"));
    head(f, 200, -1);
    if (deliver(f, m, kr_buf_view(b)))
        end(f, 0);
}

static void serve_initial(struct fixture *f, struct model *m, struct kr_buf *b)
{
    for (uint32_t i = 0; i < NAMES_N; i++) {
        if (!m->objects[i].there)
            continue;
        kr_buf_str(b, KR_S("{\"type\":\"ADDED\",\"object\":"));
        print_object(b, i, m->objects[i].version, m->objects[i].value, m->objects[i].uid);
        kr_buf_str(b, KR_S("}\n"));
    }
    kr_buf_fmt(b, INITIAL_END("%llu"), (unsigned long long)m->version);
    m->sent = m->version;
    head(f, 200, -1);
    deliver(f, m, kr_buf_view(b));
}

static void serve_events(struct fixture *f, struct model *m, struct kr_buf *b)
{
    for (uint32_t i = 0; i < m->log_n; i++) {
        if (m->log[i].version <= m->sent)
            continue;
        kr_buf_fmt(b, "{\"type\":\"%s\",\"object\":", m->log[i].type);
        print_object(b, m->log[i].name, m->log[i].version, m->log[i].value, m->log[i].uid);
        kr_buf_str(b, KR_S("}\n"));
    }
    if (chance(m, 5) == 0)
        kr_buf_fmt(b, BOOKMARK("%llu"), (unsigned long long)m->version);
    m->sent = m->version;
    deliver(f, m, kr_buf_view(b));
}

static void serve_stream(struct fixture *f, struct model *m, struct kr_buf *b)
{
    if (f->x->status == 0) {
        m->sent = asked_version(f);
        if (m->sent < m->floor) {
            answer(f, 200, ERROR_EVENT("410", "Expired", "too old resource version"));
            return;
        }
        head(f, 200, -1);
    }
    if (chance(m, 100) < m->fault_percent / 2)
        end(f, chance(m, 2) ? KR_E_IO : 0);
    else
        serve_events(f, m, b);
}

static void serve(struct fixture *f, struct model *m)
{
    KR_AUTO(kr_buf) b = KR_BUF(1000 * 1000);
    bool fresh = f->x->status == 0;

    if (f->cancelled)
        end(f, KR_E_CANCELED);
    else if (fresh && chance(m, 100) < m->fault_percent)
        chance(m, 2) ? end(f, KR_E_IO) : answer(f, 500 + (int)chance(m, 5), "oops");
    else if (kr_str_find(f->x->path, KR_S("limit=")) >= 0)
        serve_list(f, m, &b);
    else if (fresh && kr_str_find(f->x->path, KR_S("sendInitialEvents")) >= 0)
        serve_initial(f, m, &b);
    else
        serve_stream(f, m, &b);
}

/* Replays the list of changes on `seen` and checks that each is a step from what was seen before.
 */
static void check_changes(struct fixture *f, uint64_t seen[NAMES_N])
{
    for (struct kr_link *l; (l = kr_link_pop(&f->changes.head)) != NULL;) {
        struct kube_change *c = KR_OWNER(l, struct kube_change, link);

        if (!c->synced) {
            const struct kr_rec *r = c->now ? c->now : c->old;
            uint64_t i;

            assert_true(kr_str_u64(kr_str_sub(kr_rec_name(r), 1, kr_rec_name(r).n), &i) &&
                        i < NAMES_N);
            assert_true(seen[i] == (c->old ? c->old->leaf[0] : 0));
            assert_false(c->old && c->now && c->old->leaf[0] == c->now->leaf[0] &&
                         kr_str_eq(kr_rec_uid(c->old), kr_rec_uid(c->now)));
            seen[i] = c->now ? c->now->leaf[0] : 0;
        }
        kube_change_free(c);
    }
}

static void check_equal(struct fixture *f, struct model *m, const uint64_t seen[NAMES_N])
{
    for (uint32_t i = 0; i < NAMES_N; i++) {
        struct kr_rec *r = kube_store_get(f->store, KR_S(""), kr_fmt(&f->a, "o%u", i));
        uint64_t want = m->objects[i].there ? kr_digest(kr_int((int64_t)m->objects[i].value)) : 0;

        assert_int_equal(!r, !m->objects[i].there);
        assert_true(!r || (r->version_u == m->objects[i].version && r->leaf[0] == want));
        assert_true(seen[i] == want);
    }
}

static void run_seed(uint64_t seed, bool streaming_list)
{
    static struct model m;
    uint64_t seen[NAMES_N] = {0};
    struct fixture f;

    m = (struct model){.seed = seed, .version = 100, .fault_percent = 20};
    fixture_init(&f);
    open_watch(&f, streaming_list);
    for (int step = 0; step < 3000; step++) {
        kr_arena_reset(&f.a);
        if (step < 2700 && chance(&m, 3) == 0)
            model_change(&m);
        if (step == 2700)
            m.fault_percent = 0;
        if (step < 2700 && chance(&m, 200) == 0)
            kube_watch_relist(f.w);
        if (f.x)
            serve(&f, &m);
        else
            vclock_step(&f.clock);
        kube_client_turn(f.client);
        check_changes(&f, seen);
    }
    assert_string_equal(kube_watch_state(f.w), "stream");
    check_equal(&f, &m, seen);
    fixture_fini(&f);
}

TEST(kube_watch, whatever_fails_the_store_ends_equal_to_the_server)
{
    for (uint64_t seed = 1; seed <= 30; seed++)
        run_seed(seed, seed % 2);
}

int main(void)
{
    return RUN(
        T(kube_watch, lists_pages_and_streams_from_the_first_pages_version),
        T(kube_watch, asks_with_namespace_and_selectors),
        T(kube_watch, managed_fields_are_kept_when_an_expression_names_them),
        T(kube_watch, a_streaming_list_becomes_the_stream),
        T(kube_watch, a_server_without_streaming_lists_gets_pages_for_good),
        T(kube_watch, streaming_lists_that_always_break_off_give_way_to_pages),
        T(kube_watch, an_expired_continue_token_starts_the_list_from_scratch),
        T(kube_watch, a_list_without_version_or_with_a_bad_item_is_an_error),
        T(kube_watch, a_stream_that_ends_resumes_at_once_where_it_stopped),
        T(kube_watch, streams_that_end_at_once_back_off),
        T(kube_watch, back_off_doubles_with_jitter_and_is_reset_by_an_event),
        T(kube_watch, gone_lists_again_at_once_and_the_second_time_after_a_wait),
        T(kube_watch, a_version_of_the_future_lists_from_scratch),
        T(kube_watch, a_stream_without_a_sign_of_life_lists_again_where_there_were_bookmarks),
        T(kube_watch, other_errors_keep_the_version),
        T(kube_watch, what_cannot_be_read_lists_from_scratch_after_a_wait),
        T(kube_watch, an_event_that_is_too_large_is_refused),
        T(kube_watch, the_time_out_asked_for_has_jitter),
        T(kube_watch, closes_in_every_state_with_one_last_word),
        T(kube_watch, a_closing_watch_ignores_what_still_arrives),
        T(kube_watch, relists_from_every_state),
        T(kube_watch, a_type_that_is_gone_is_asked_for_when_it_returns),
        T(kube_watch, a_stream_of_a_former_schema_is_followed_by_a_list),
        T(kube_watch, a_stream_that_lives_on_after_the_schemas_change_is_of_the_new_one),
        T(kube_watch, a_stream_of_a_former_schema_that_ends_at_once_lists_after_the_wait),
        T(kube_watch, closes_while_its_type_is_gone),
        T(kube_watch, may_be_closed_by_the_one_who_hears_of_trouble),
        T(kube_watch, a_cut_at_any_byte_loses_nothing_and_repeats_nothing),
        T(kube_watch, a_streaming_list_cut_at_any_byte_is_never_half_visible),
        T(kube_watch, pages_cut_at_any_byte_are_never_half_visible),
        T(kube_watch, ten_thousand_reconnects_leave_memory_flat),
        T(kube_watch, whatever_fails_the_store_ends_equal_to_the_server));
}
