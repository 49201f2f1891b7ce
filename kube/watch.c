/* SPDX-License-Identifier: Apache-2.0 */
/* watch.c - the list-and-stream machine behind kube_watch.
 *
 *       +--page--+
 *       v        |
 *   +-> LIST ----+--last page---> STREAM <---+        one request, one stream or one timer is
 *   |    ^                        ^  |  |    |        outstanding in every state
 *   |    | 400, 422: for good     |  |  +----+ end of stream
 *   |    |                        |  |
 *   +-> INITIAL --initial-events-end |  410, too large version: forget the version, list
 *   |                                v
 *   +-----timer, no version------ BACKOFF <-- any other failure; timer with version --> STREAM
 *
 *   every state --kube_watch_close--> CLOSING --what was outstanding has ended--> CLOSED
 *
 * LIST receives pages through the client; INITIAL and STREAM are one exchange with the transport
 * (a streaming list becomes the stream that follows it). The version is that of the last complete
 * event, so a cut at any byte loses nothing: the rest is sent again.
 *
 * 410 lists again at once, but the second 410 without an event in between waits like a failure.
 *
 * A server whose etcd was restored to an older state says nothing at all on a stream from a version
 * of the future. So a stream without even a bookmark, where there used to be some, lists again.
 */
#include "kube/watch.h"

#include "cel/base/sm.h"

#include "cel/base/banned.h"

enum { W_LIST, W_INITIAL, W_STREAM, W_BACKOFF, W_CLOSING, W_CLOSED, W_N };

#define TO(s) (1u << W_##s)
static const struct kr_sm_state watch_states[W_N] = {
    [W_LIST] = {"list", TO(LIST) | TO(INITIAL) | TO(STREAM) | TO(BACKOFF) | TO(CLOSING)},
    [W_INITIAL] = {"initial", TO(LIST) | TO(INITIAL) | TO(STREAM) | TO(BACKOFF) | TO(CLOSING)},
    [W_STREAM] = {"stream", TO(LIST) | TO(INITIAL) | TO(STREAM) | TO(BACKOFF) | TO(CLOSING)},
    [W_BACKOFF] = {"backoff", TO(LIST) | TO(INITIAL) | TO(STREAM) | TO(CLOSING)},
    [W_CLOSING] = {"closing", TO(CLOSED)},
    [W_CLOSED] = {"closed", 0},
};
#undef TO

enum {
    VERSION_MAX = 1024,      /* bytes of a resourceVersion */
    TOKEN_MAX = 64 * 1024,   /* bytes of a continue token */
    REFUSAL_MAX = 64 * 1024, /* bytes kept of the body of a refused stream */
    URL_REST_MAX = 4 * 1024, /* bytes of path and query but for what we are given */
};

struct kube_watch {
    struct kr_sm sm;
    struct kube_client *client;
    struct kube_store *store;
    kr_str namespace, field_selector; /* live in names */
    struct kr_buf label_selector;
    bool streaming_list;   /* the server may have it */
    bool paused;           /* in W_BACKOFF without a timer */
    bool lacking;          /* the server has no such type: W_BACKOFF waits without a timer */
    bool bookmarks;        /* the server sends them */
    bool relist;           /* what is outstanding ends for a list from scratch */
    uint64_t schema_ms;    /* when the type's schema changed; 0: it did not */
    uint32_t failures_n;   /* in a row */
    uint32_t gone_n;       /* 410 in a row, without an event in between */
    uint32_t broken_n;     /* streaming lists in a row that ended before their end mark */
    struct kr_err err;     /* code 0: none */
    struct kr_buf version; /* reached; empty: list from scratch */
    kube_watch_closed_fn *closed;
    void *closed_arg;
    void (*trouble)(struct kube_watch *w, void *arg);
    void *trouble_arg;

    struct kube_req req; /* of LIST */
    struct kr_json_opts items;
    struct kr_buf token;        /* continue; empty: first page */
    struct kr_buf list_version; /* of the first page */
    uint32_t pages_n;

    struct kube_exchange x; /* of INITIAL and STREAM */
    bool open;              /* x has been started and its end is not here */
    bool stopping;          /* x was told to end */
    struct kr_json *json;
    struct kr_buf refusal; /* body of an answer other than 200 */
    struct kr_err cause;   /* why we stopped the stream; code 0: we did not */
    bool gone;             /* ... because the version is not there (any more) */
    uint64_t opened_ms;
    uint32_t events_n;
    int64_t retry_after_ms;

    struct kube_timer timer; /* of BACKOFF, and for the last word of CLOSING */
    uint64_t delay_ms;
    struct kr_buf url; /* or query, of what is outstanding */
    struct kr_arena names;
};

static void watch_step(struct kube_watch *w);

/* --- error and version ------------------------------------------------------------------------ */

/* Sets or clears (err NULL) the reason that kube_watch_error shows. */
static void set_trouble(struct kube_watch *w, const struct kr_err *err)
{
    bool was = w->err.code != 0;
    bool news = was != (err != NULL) || (err && !kr_str_eq(kr_err_str(err), kr_err_str(&w->err)));

    if (err)
        w->err = *err;
    else
        w->err.code = 0;
    if (news && w->trouble)
        w->trouble(w, w->trouble_arg);
}

static void set_version(struct kube_watch *w, kr_str version)
{
    kr_buf_reset(&w->version);
    kr_buf_str(&w->version, version);
    if (w->version.full) { /* no server has such; without it we list again, which is right */
        kr_buf_fini(&w->version);
        kr_buf_init(&w->version, VERSION_MAX);
    }
}

static bool has_version(const struct kube_watch *w)
{
    return w->version.n > 0;
}

static uint32_t list_state(const struct kube_watch *w)
{
    return w->streaming_list ? W_INITIAL : W_LIST;
}

static uint32_t resume_state(const struct kube_watch *w)
{
    return has_version(w) ? W_STREAM : list_state(w);
}

/* --- where to go next ------------------------------------------------------------------------- */

static uint64_t random_below(struct kube_watch *w, uint64_t n)
{
    struct kube_clock *c = kube_client_clock(w->client);

    return n ? c->ops->random(c) % n : 0;
}

/* Doubles with each failure in a row; half of it is jitter. */
static uint64_t backoff_ms(struct kube_watch *w)
{
    uint32_t doublings = w->failures_n > 16 ? 16 : w->failures_n - 1;
    uint64_t full_ms = (uint64_t)KUBE_BACKOFF_MIN_MS << doublings;

    if (full_ms > KUBE_BACKOFF_MAX_MS)
        full_ms = KUBE_BACKOFF_MAX_MS;
    return full_ms / 2 + random_below(w, full_ms / 2 + 1);
}

static void fail(struct kube_watch *w, const struct kr_err *err)
{
    uint64_t asked_ms = w->retry_after_ms > 0 ? (uint64_t)w->retry_after_ms : 0;

    w->failures_n++;
    w->delay_ms = backoff_ms(w);
    if (asked_ms > KUBE_RETRY_AFTER_MAX_MS)
        asked_ms = KUBE_RETRY_AFTER_MAX_MS;
    if (w->delay_ms < asked_ms)
        w->delay_ms = asked_ms;
    kr_sm_to(&w->sm, W_BACKOFF);
    watch_step(w);
    set_trouble(w, err);
}

static void go(struct kube_watch *w, uint32_t state)
{
    kr_sm_to(&w->sm, state);
    watch_step(w);
}

/* The server does not know our version (any more): what we have says nothing about now. */
static void list_anew(struct kube_watch *w, const struct kr_err *err)
{
    set_version(w, (kr_str){0});
    if (w->gone_n++ > 0)
        fail(w, err);
    else
        go(w, list_state(w));
}

/* What was outstanding has ended. Returns true when the end was wanted by close or relist. */
static bool ended_as_wanted(struct kube_watch *w)
{
    if (w->sm.cur == W_CLOSING) {
        go(w, W_CLOSED);
        return true;
    }
    if (!w->relist)
        return false;
    w->relist = false;
    set_version(w, (kr_str){0});
    go(w, list_state(w));
    return true;
}

/* Whether a metav1.Status says that the version is not served: too old, or of the future. */
static bool says_gone(kr_val status, int code, enum kube_reason reason)
{
    if (code == 410 || reason == KUBE_R_GONE || reason == KUBE_R_EXPIRED)
        return true;
    KR_LIST_EACH (cause, kr_at(status, "details.causes")) {
        if (kr_is_str(kr_get(*cause, KR_S("reason")), KR_S("ResourceVersionTooLarge")))
            return true;
    }
    return kr_str_find(kr_at_str(status, "message"), KR_S("Too large resource version")) >= 0;
}

/* --- pages ------------------------------------------------------------------------------------ */

static int on_item(void *arg, struct kr_arena *a, kr_val v, struct kr_err *err)
{
    struct kube_watch *w = arg;

    if (w->sm.cur != W_LIST || w->relist)
        return kr_fail(err, KR_E_CANCELED, "canceled");
    return kube_store_list_item(w->store, v, err);
}

static int keep_text(struct kr_buf *b, kr_str s, struct kr_err *err)
{
    kr_buf_reset(b);
    kr_buf_str(b, s);
    return b->full ? kr_fail(err, KR_E_LIMIT, "the list's metadata is too large") : 0;
}

/* Reads the metadata of a page. Returns 0 when it was the last, 1 when there are more. */
static int read_page(struct kube_watch *w, struct kr_err *err)
{
    kr_val metadata = kr_get(w->req.object, KR_S("metadata"));
    kr_str version = kr_text(kr_get(metadata, KR_S("resourceVersion")));

    if (version.n == 0)
        return kr_fail(err, KR_E_INPUT, "the list has no resourceVersion");
    if (w->pages_n++ == 0)
        KR_TRY(keep_text(&w->list_version, version, err));
    if (w->pages_n > KUBE_LIST_PAGES_MAX)
        return kr_fail(err, KR_E_LIMIT, "the list has more than %d pages", KUBE_LIST_PAGES_MAX);
    KR_TRY(keep_text(&w->token, kr_text(kr_get(metadata, KR_S("continue"))), err));
    return w->token.n > 0;
}

static void list_reset(struct kube_watch *w)
{
    kr_buf_fini(&w->token);
    kr_buf_init(&w->token, TOKEN_MAX);
    kr_buf_fini(&w->list_version);
    kr_buf_init(&w->list_version, VERSION_MAX);
    w->pages_n = 0;
}

static void list_failed(struct kube_watch *w, const struct kr_err *err, bool gone)
{
    kube_store_list_abort(w->store);
    list_reset(w);
    if (gone)
        list_anew(w, err);
    else
        fail(w, err);
}

static void on_page(struct kube_req *req)
{
    struct kube_watch *w = KR_OWNER(req, struct kube_watch, req);
    struct kr_err err = req->err;
    int rc = req->rc;

    w->retry_after_ms = -1;
    if (w->sm.cur == W_CLOSING || w->relist) {
        kube_store_list_abort(w->store);
        list_reset(w);
        ended_as_wanted(w);
        return;
    }
    if (rc == 0)
        rc = read_page(w, &err);
    if (rc < 0) {
        list_failed(w, &err, says_gone(req->object, req->status, req->reason));
        return;
    }
    if (rc > 0) {
        go(w, W_LIST);
        return;
    }
    set_version(w, kr_buf_view(&w->list_version));
    kube_store_list_done_at(w->store, kr_buf_view(&w->list_version));
    list_reset(w);
    kube_req_fini(&w->req);
    go(w, resume_state(w));
}

static void add_selectors(struct kube_watch *w)
{
    if (w->label_selector.n > 0) {
        kr_buf_str(&w->url, KR_S("&labelSelector="));
        kube_query_escape(&w->url, kr_buf_view(&w->label_selector));
    }
    if (w->field_selector.n > 0) {
        kr_buf_str(&w->url, KR_S("&fieldSelector="));
        kube_query_escape(&w->url, w->field_selector);
    }
}

static kr_ref type_ref(const struct kube_watch *w)
{
    return (kr_ref){.gvr = kube_store_gvr(w->store), .namespace = w->namespace};
}

static void start_page(struct kube_watch *w)
{
    static const char *const no_managed_fields[] = {"items.metadata.managedFields", NULL};

    if (w->pages_n == 0)
        kube_store_list_begin(w->store);
    kr_buf_reset(&w->url);
    kr_buf_fmt(&w->url, "limit=%d", KUBE_LIST_PAGE);
    add_selectors(w);
    if (w->token.n > 0) {
        kr_buf_str(&w->url, KR_S("&continue="));
        kube_query_escape(&w->url, kr_buf_view(&w->token));
    }
    w->req.verb = KUBE_LIST;
    w->req.ref = type_ref(w);
    w->req.query = kr_buf_view(&w->url);
    w->items.skip = kube_store_wants_managed_fields(w->store) ? NULL : no_managed_fields;
    w->req.items = &w->items;
    w->req.on_done = on_page;
    kube_req_start(w->client, &w->req);
}

/* --- stream ----------------------------------------------------------------------------------- */

static uint64_t age_ms(struct kube_watch *w)
{
    return kube_now_ms(kube_client_clock(w->client)) - w->opened_ms;
}

/* The stream works: what failed before is over. */
static void is_healthy(struct kube_watch *w)
{
    w->failures_n = 0;
    w->gone_n = 0;
    w->broken_n = 0;
}

static int on_bookmark(struct kube_watch *w, kr_val object)
{
    kr_val mark = kr_get(kr_at(object, "metadata.annotations"), KR_S("k8s.io/initial-events-end"));
    kr_str version = kr_at_str(object, "metadata.resourceVersion");

    w->bookmarks = true;
    if (w->sm.cur == W_STREAM) {
        set_version(w, version);
        return 0;
    }
    if (!kr_is_str(mark, KR_S("true")))
        return 0;
    set_version(w, version);
    kube_store_list_done_at(w->store, version);
    kr_sm_to(&w->sm, W_STREAM); /* of the same exchange: nothing to start */
    is_healthy(w);
    set_trouble(w, NULL);
    return 0;
}

static int on_error_event(struct kube_watch *w, kr_val status, struct kr_err *err)
{
    enum kube_reason reason;
    kr_val code = kr_get(status, KR_S("code"));
    int rc = kube_status_error(status, 500, &reason, err);

    w->gone = says_gone(status, code.kind == KR_INT ? (int)code.i : 0, reason);
    return rc;
}

static int on_event(void *arg, struct kr_arena *a, kr_val v, struct kr_err *err)
{
    struct kube_watch *w = arg;
    kr_val object = kr_get(v, KR_S("object"));
    kr_str type = kr_text(kr_get(v, KR_S("type")));

    if (w->sm.cur == W_CLOSING || w->relist)
        return kr_fail(err, KR_E_CANCELED, "canceled");
    if (kr_str_is(type, "ERROR"))
        return on_error_event(w, object, err);
    w->events_n++;
    if (kr_str_is(type, "BOOKMARK"))
        return on_bookmark(w, object);
    if (kr_str_is(type, "DELETED"))
        KR_TRY(kube_store_delete(w->store, object, err));
    else if (kr_str_is(type, "ADDED") || kr_str_is(type, "MODIFIED"))
        KR_TRY(kube_store_put(w->store, object, err));
    else
        return kr_fail(err, KR_E_INPUT, "unknown event type \"" KR_FMT "\"",
                       KR_ARG(kr_str_sub(type, 0, 64)));
    if (w->sm.cur == W_STREAM) {
        set_version(w, kr_at_str(object, "metadata.resourceVersion"));
        is_healthy(w);
    }
    return 0;
}

static void on_head(struct kube_exchange *x, int status, int64_t retry_after_ms)
{
    struct kube_watch *w = KR_OWNER(x, struct kube_watch, x);

    x->status = status;
    w->retry_after_ms = retry_after_ms;
    if (status == 200 && w->sm.cur == W_STREAM && !w->relist)
        set_trouble(w, NULL);
}

static bool on_bytes(struct kube_exchange *x, const char *bytes, size_t n)
{
    struct kube_watch *w = KR_OWNER(x, struct kube_watch, x);

    if (w->stopping)
        return true;
    if (x->status != 200) {
        kr_buf_add(&w->refusal, bytes, n); /* what does not fit would say nothing new */
        return true;
    }
    if (kr_json_feed(w->json, bytes, n, &w->cause) >= 0)
        return true;
    if (w->stopping) /* closed by a callback meanwhile: the transport knows already */
        return true;
    w->stopping = true;
    return false;
}

/* Reads the answer of a stream that was refused. */
static void read_refusal(struct kube_watch *w)
{
    KR_AUTO(kr_arena) a = {0};
    enum kube_reason reason;
    kr_val body = KR_V_NONE;

    if (kr_json_parse(&a, kr_buf_view(&w->refusal), &body, NULL) < 0)
        body = KR_V_NONE;
    kube_status_error(body, w->x.status, &reason, &w->cause);
    w->gone = says_gone(body, w->x.status, reason);
}

/* Puts "watch deployments.v1.apps in default" in front of the reason. */
static void name_stream(struct kube_watch *w, struct kr_err *err)
{
    KR_AUTO(kr_buf) what = KR_BUF(KR_ERR_MAX);

    kr_ref_print(&what, (kr_ref){.gvr = kube_store_gvr(w->store)});
    kr_wrap(err, "watch " KR_FMT "%s" KR_FMT, KR_ARG(kr_str_trim(kr_buf_view(&what))),
            w->namespace.n ? " in " : "", KR_ARG(w->namespace));
}

/* Why the stream ended, as an error in w->cause; returns 0 when it ended as streams do. */
static int end_cause(struct kube_watch *w, int rc, const struct kr_err *err)
{
    if (w->cause.code < 0) /* we stopped it */
        return w->cause.code;
    if (rc < 0) {
        w->cause = *err;
        w->cause.code = rc;
        return rc;
    }
    if (w->x.status != 200) {
        read_refusal(w);
        return w->cause.code;
    }
    if (w->sm.cur == W_INITIAL)
        return kr_fail(&w->cause, KR_E_IO, "the stream ended before all objects were received");
    if (age_ms(w) < KUBE_WATCH_SHORT_MS && w->events_n == 0)
        return kr_fail(&w->cause, KR_E_IO, "the server ended the stream at once");
    w->gone = w->bookmarks && w->events_n == 0 && age_ms(w) >= KUBE_WATCH_MUTE_MS;
    if (w->gone)
        return kr_fail(&w->cause, KR_E_IO, "the server says nothing, not even bookmarks");
    return 0;
}

/* A streaming list did not come to its end: is it worth another try? */
static void judge_streaming_list(struct kube_watch *w)
{
    if (w->x.status == 400 || w->x.status == 422)
        w->streaming_list = false;
    if (w->x.status == 200 && ++w->broken_n >= KUBE_INITIAL_TRIES)
        w->streaming_list = false;
}

/* Did the stream go by a schema that the type had before? */
static bool of_former_schema(struct kube_watch *w)
{
    return w->schema_ms && w->opened_ms < w->schema_ms + KUBE_SCHEMA_LAG_MS &&
           kube_now_ms(kube_client_clock(w->client)) < w->schema_ms + KUBE_SCHEMA_ENDS_MS;
}

static void stream_ended(struct kube_watch *w, int rc)
{
    bool was_initial = w->sm.cur == W_INITIAL;

    if (of_former_schema(w))
        set_version(w, (kr_str){0});

    if (was_initial) {
        kube_store_list_abort(w->store);
        judge_streaming_list(w);
    }
    if (rc == 0) {
        go(w, resume_state(w));
        return;
    }
    if (was_initial && (w->x.status == 400 || w->x.status == 422)) {
        go(w, W_LIST); /* the server does not offer it */
        return;
    }
    name_stream(w, &w->cause);
    if (w->cause.code == KR_E_LIMIT || w->cause.code == KR_E_INPUT)
        set_version(
            w, (kr_str){0}); /* the same event would stop us again: a list reads item by item */
    if (w->gone)
        list_anew(w, &w->cause);
    else
        fail(w, &w->cause);
}

static void on_stream_end(struct kube_exchange *x, int rc, const struct kr_err *err)
{
    struct kube_watch *w = KR_OWNER(x, struct kube_watch, x);

    w->open = false;
    kr_json_free(w->json);
    w->json = NULL;
    if (w->sm.cur == W_CLOSING || w->relist) {
        kube_store_list_abort(w->store);
        ended_as_wanted(w);
        return;
    }
    if (w->sm.cur == W_STREAM && x->status == 200 && age_ms(w) >= KUBE_WATCH_HEALTHY_MS)
        is_healthy(w);
    stream_ended(w, end_cause(w, rc, err));
}

static void build_stream_url(struct kube_watch *w)
{
    kr_buf_reset(&w->url);
    kube_path(&w->url, type_ref(w), NULL);
    kr_buf_fmt(&w->url, "?watch=1&allowWatchBookmarks=true&timeoutSeconds=%u",
               (unsigned)(KUBE_WATCH_TIMEOUT_S - random_below(w, KUBE_WATCH_JITTER_S)));
    if (w->sm.cur == W_INITIAL) {
        kr_buf_str(&w->url, KR_S("&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"));
    } else {
        kr_buf_str(&w->url, KR_S("&resourceVersion="));
        kube_query_escape(&w->url, kr_buf_view(&w->version));
    }
    add_selectors(w);
}

static void start_stream(struct kube_watch *w)
{
    static const char *const no_managed_fields[] = {"object.metadata.managedFields", NULL};
    struct kube_transport *t = kube_client_transport(w->client);
    struct kr_json_opts opts = {.doc_max = KUBE_WATCH_DOC_MAX, .on_doc = on_event, .arg = w};

    if (!kube_store_wants_managed_fields(w->store))
        opts.skip = no_managed_fields;
    if (w->sm.cur == W_INITIAL)
        kube_store_list_begin(w->store);
    build_stream_url(w);
    w->json = kr_json_new(&opts);
    kr_buf_fini(&w->refusal);
    kr_buf_init(&w->refusal, REFUSAL_MAX);
    w->cause.code = 0;
    w->gone = w->stopping = false;
    w->events_n = 0;
    w->retry_after_ms = -1;
    w->opened_ms = kube_now_ms(kube_client_clock(w->client));
    w->x = (struct kube_exchange){
        .method = "GET",
        .path = kr_buf_view(&w->url),
        .user_agent = kube_client_user_agent(w->client),
        .stream = true,
        .timeout_ms = KUBE_WATCH_SILENCE_MS,
        .on_head = on_head,
        .on_bytes = on_bytes,
        .on_end = on_stream_end,
    };
    w->open = true;
    t->ops->start(t, &w->x);
}

static void stop_stream(struct kube_watch *w)
{
    struct kube_transport *t = kube_client_transport(w->client);

    if (!w->stopping) {
        w->stopping = true;
        t->ops->cancel(t, &w->x);
    }
}

/* --- the step --------------------------------------------------------------------------------- */

static void on_timer(struct kube_timer *timer)
{
    struct kube_watch *w = KR_OWNER(timer, struct kube_watch, timer);

    go(w, w->sm.cur == W_CLOSING ? W_CLOSED : resume_state(w));
}

/* Ends what is outstanding; where that is nothing but a timer, the timer brings the last word. */
static void stop_all(struct kube_watch *w)
{
    struct kube_clock *c = kube_client_clock(w->client);

    if (kube_req_busy(&w->req))
        kube_req_cancel(&w->req);
    else if (w->open)
        stop_stream(w);
    else
        c->ops->timer_start(c, &w->timer, 0);
}

static void last_word(struct kube_watch *w)
{
    struct kube_clock *c = kube_client_clock(w->client);

    c->ops->timer_stop(c, &w->timer);
    kube_req_fini(&w->req);
    kr_buf_fini(&w->version);
    kr_buf_fini(&w->token);
    kr_buf_fini(&w->list_version);
    kr_buf_fini(&w->refusal);
    kr_buf_fini(&w->url);
    kr_buf_fini(&w->label_selector);
    kr_arena_fini(&w->names);
    if (w->closed)
        w->closed(w, w->closed_arg);
    kr_free(w);
}

/* Starts what the current state waits for. Nothing else in this file starts I/O. */
static void watch_step(struct kube_watch *w)
{
    struct kube_clock *c = kube_client_clock(w->client);

    switch (w->sm.cur) {
    case W_LIST:
        start_page(w);
        return;
    case W_INITIAL:
    case W_STREAM:
        start_stream(w);
        return;
    case W_BACKOFF:
        if (!w->lacking)
            c->ops->timer_start(c, &w->timer, w->delay_ms);
        return;
    case W_CLOSING:
        stop_all(w);
        return;
    case W_CLOSED:
        last_word(w);
        return;
    }
}

/* --- the owner's side ------------------------------------------------------------------------- */

struct kube_watch *kube_watch_new(struct kube_client *client, struct kube_store *store,
                                  const struct kube_watch_opts *opts)
{
    struct kube_watch *w = KR_ALLOC(struct kube_watch);

    w->client = client;
    w->store = store;
    w->namespace = kr_strdup(&w->names, opts->namespace);
    kr_buf_init(&w->label_selector, opts->label_selector.n + KUBE_SELECTOR_MAX);
    kr_buf_str(&w->label_selector, opts->label_selector);
    w->field_selector = kr_strdup(&w->names, opts->field_selector);
    w->streaming_list = !opts->no_streaming_list;
    w->timer.fn = on_timer;
    w->retry_after_ms = -1;
    w->items = (struct kr_json_opts){.split = "items", .on_item = on_item, .arg = w};
    kr_buf_init(&w->version, VERSION_MAX);
    kr_buf_init(&w->url, URL_REST_MAX + 3 * (TOKEN_MAX + VERSION_MAX + opts->namespace.n +
                                             opts->label_selector.n + KUBE_SELECTOR_MAX +
                                             opts->field_selector.n));
    list_reset(w);
    w->paused = opts->paused;
    w->sm = (struct kr_sm){
        .states = watch_states, .cur = w->paused ? W_BACKOFF : list_state(w), .name = "watch"};
    if (!w->paused)
        watch_step(w);
    return w;
}

void kube_watch_select(struct kube_watch *w, kr_str label_selector, bool relist)
{
    KR_ASSERT(label_selector.n <= KUBE_SELECTOR_MAX);
    kr_buf_reset(&w->label_selector);
    kr_buf_str(&w->label_selector, label_selector);
    if (w->paused) {
        w->paused = false;
        go(w, list_state(w));
    } else if (relist) {
        kube_watch_relist(w);
    }
}

void kube_watch_relist(struct kube_watch *w)
{
    switch (w->sm.cur) {
    case W_LIST:
        w->relist = true;
        kube_req_cancel(&w->req);
        return;
    case W_INITIAL:
    case W_STREAM:
        w->relist = true;
        stop_stream(w);
        return;
    case W_BACKOFF:
        set_version(w, (kr_str){0});
        return;
    default:
        return;
    }
}

void kube_watch_type(struct kube_watch *w, bool there)
{
    struct kube_clock *c = kube_client_clock(w->client);

    if (w->sm.cur == W_CLOSING || w->sm.cur == W_CLOSED || w->paused)
        return;
    if (!there && !w->lacking)
        kube_watch_relist(w);
    w->lacking = !there;
    if (w->sm.cur != W_BACKOFF)
        return;
    c->ops->timer_stop(c, &w->timer);
    w->failures_n = 0;
    if (there)
        go(w, resume_state(w));
}

void kube_watch_schema(struct kube_watch *w)
{
    w->schema_ms = kube_now_ms(kube_client_clock(w->client));
}

void kube_watch_close(struct kube_watch *w, kube_watch_closed_fn *closed, void *arg)
{
    KR_ASSERT(w->sm.cur != W_CLOSING && w->sm.cur != W_CLOSED);
    w->closed = closed;
    w->closed_arg = arg;
    w->trouble = NULL;
    go(w, W_CLOSING);
}

const struct kr_err *kube_watch_error(const struct kube_watch *w)
{
    return w->err.code != 0 ? &w->err : NULL;
}

uint32_t kube_watch_failures_n(const struct kube_watch *w)
{
    return w->failures_n;
}

const char *kube_watch_state(const struct kube_watch *w)
{
    return kr_sm_name(&w->sm);
}

void kube_watch_on_trouble(struct kube_watch *w, void (*fn)(struct kube_watch *w, void *arg),
                           void *arg)
{
    w->trouble = fn;
    w->trouble_arg = arg;
}
