/* SPDX-License-Identifier: Apache-2.0 */
/* client.c - the life of a request: queue, flight, repeat, completion.
 *
 *   IDLE --start--> WAITING --slot and token--> FLYING --answer--> DONE --turn--> IDLE
 *                      ^                          |
 *                      +------- DELAYED <---------+  429, 5xx with Retry-After, refused connection
 *
 *   cancel: WAITING and DELAYED go to DONE at once, FLYING when the transport lets go.
 *
 * The number in flight follows the server: each round of 429s halves the limit once (answers to
 * requests sent before the halving do not count again), a full round of successes raises it by one.
 */
#include "kube/client.h"

#include "cel/base/banned.h"

enum { R_IDLE, R_WAITING, R_FLYING, R_DELAYED, R_DONE };

struct kube_client {
    struct kube_transport *t;
    struct kube_clock *c;
    struct kube_client_opts opts;
    void (*wake)(void *arg);
    void *wake_arg;
    kube_seen_fn *seen; /* may be NULL */
    void *seen_arg;

    struct kr_link waiting, flying, delayed, done; /* struct kube_req.link, by state */
    uint32_t busy_n, flying_n;
    uint32_t flow_waiting[KUBE_FLOWS], flow_flying[KUBE_FLOWS];
    uint32_t waiting_n;       /* sum of flow_waiting */
    uint32_t flows_n;         /* that fly, but for 0 */
    uint32_t limit;           /* of flying_n */
    uint32_t good_n;          /* successes since the limit changed */
    uint64_t round;           /* counts the halvings */
    double tokens;            /* of the bucket; only with opts.qps */
    uint64_t tokens_ms;       /* when it was last filled */
    struct kube_timer bucket; /* set while the queue waits for a token */
};

/* clang-format off */
static const struct {
    const char *name, *method, *content_type;
} verbs[] = {
    [KUBE_GET] =         {"get",    "GET",    NULL},
    [KUBE_LIST] =        {"list",   "GET",    NULL},
    [KUBE_CREATE] =      {"create", "POST",   "application/json"},
    [KUBE_UPDATE] =      {"update", "PUT",    "application/json"},
    [KUBE_APPLY] =       {"apply",  "PATCH",  "application/apply-patch+yaml"},
    [KUBE_MERGE_PATCH] = {"patch",  "PATCH",  "application/merge-patch+json"},
    [KUBE_DELETE] =      {"delete", "DELETE", "application/json"},
};
/* clang-format on */

static void pump(struct kube_client *client);

static void on_bucket(struct kube_timer *timer)
{
    pump(KR_OWNER(timer, struct kube_client, bucket));
}

struct kube_client *kube_client_new(struct kube_transport *t, struct kube_clock *c,
                                    const struct kube_client_opts *opts)
{
    struct kube_client *client = KR_ALLOC(struct kube_client);

    client->t = t;
    client->c = c;
    client->opts = *opts;
    if (client->opts.qps > 0 && client->opts.burst == 0)
        client->opts.burst = 1;
    client->limit = KUBE_IN_FLIGHT_MAX;
    client->tokens = client->opts.burst;
    client->tokens_ms = kube_now_ms(c);
    client->bucket.fn = on_bucket;
    kr_link_init(&client->waiting);
    kr_link_init(&client->flying);
    kr_link_init(&client->delayed);
    kr_link_init(&client->done);
    return client;
}

void kube_client_free(struct kube_client *client)
{
    if (client == NULL)
        return;
    KR_ASSERT(client->busy_n == 0);
    client->c->ops->timer_stop(client->c, &client->bucket);
    kr_free(client);
}

struct kube_transport *kube_client_transport(struct kube_client *client)
{
    return client->t;
}

struct kube_clock *kube_client_clock(struct kube_client *client)
{
    return client->c;
}

const char *kube_client_user_agent(const struct kube_client *client)
{
    return client->opts.user_agent;
}

void kube_client_on_answer(struct kube_client *client, kube_seen_fn *fn, void *arg)
{
    client->seen = fn;
    client->seen_arg = arg;
}

const char *kube_req_method(const struct kube_req *req)
{
    return verbs[req->verb].method;
}

void kube_client_on_ready(struct kube_client *client, void (*wake)(void *arg), void *arg)
{
    client->wake = wake;
    client->wake_arg = arg;
}

uint32_t kube_client_busy_n(const struct kube_client *client)
{
    return client->busy_n;
}

/* May one more of the flow fly? Whoever hangs, or asks for much, leaves room for the others. */
static bool has_share(const struct kube_client *client, uint8_t flow)
{
    uint32_t others_n = client->flows_n - (client->flow_flying[flow] > 0);
    uint32_t share = client->limit / (others_n + 2);

    return flow == 0 || client->flow_flying[flow] < (share ? share : 1);
}

uint32_t kube_client_waiting_n(const struct kube_client *client)
{
    uint32_t n = 0, left_n = client->waiting_n;

    for (uint32_t f = 0; left_n > 0; f++) { /* asked before each step: no longer than it must */
        uint32_t waiting_n = client->flow_waiting[f];

        left_n -= waiting_n;
        n += waiting_n > 0 && has_share(client, (uint8_t)f) ? waiting_n : 0;
    }
    return n;
}

uint32_t kube_client_flow_waiting_n(const struct kube_client *client, uint8_t flow)
{
    return client->flow_waiting[flow];
}

static void count_waiting(struct kube_req *req, int by)
{
    req->client->flow_waiting[req->flow] += (uint32_t)by;
    req->client->waiting_n += (uint32_t)by;
}

/* --- completion ------------------------------------------------------------------------------- */

/* Puts "apply deployments.v1.apps default/web" in front of the reason. */
static void name_request(struct kube_req *req)
{
    KR_AUTO(kr_buf) what = KR_BUF(KR_ERR_MAX);
    kr_str text;

    if (req->path.n > 0)
        kr_buf_str(&what, req->path);
    else
        kr_ref_print(&what, req->ref);
    if (req->subresource != NULL)
        kr_buf_fmt(&what, " %s", req->subresource);
    text = kr_str_trim(kr_buf_view(&what)); /* a collection's has a blank for its name */
    if (kr_str_ends(text, KR_S("/")))
        text.n--;
    kr_wrap(&req->err, "%s " KR_FMT, verbs[req->verb].name, KR_ARG(text));
}

/* Lists req as completed. The reason of a failure is in req->err by now. */
static void complete(struct kube_req *req, int rc)
{
    struct kube_client *client = req->client;
    bool first = kr_link_empty(&client->done);

    req->rc = rc;
    req->err.code = rc;
    req->done_ms = kube_now_ms(client->c);
    if (client->seen)
        client->seen(client->seen_arg, req, false, req->status);
    if (rc < 0)
        name_request(req);
    kr_json_free(req->json);
    req->json = NULL;
    kr_link_remove(&req->link);
    kr_link_push(&client->done, &req->link);
    req->state = R_DONE;
    if (first && client->wake != NULL)
        client->wake(client->wake_arg);
}

static void complete_canceled(struct kube_req *req)
{
    kr_fail(&req->err, KR_E_CANCELED, "canceled");
    complete(req, KR_E_CANCELED);
}

void kube_client_turn(struct kube_client *client)
{
    struct kr_link list;
    struct kr_link *l;

    kr_link_take(&list, &client->done);
    while ((l = kr_link_pop(&list)) != NULL) {
        struct kube_req *req = KR_OWNER(l, struct kube_req, link);

        req->state = R_IDLE;
        client->busy_n--;
        req->on_done(req);
    }
}

/* --- the answer ------------------------------------------------------------------------------- */

static bool succeeded(const struct kube_req *req)
{
    return req->status >= 200 && req->status <= 299;
}

static int on_doc(void *arg, struct kr_arena *a, kr_val v, struct kr_err *err)
{
    struct kube_req *req = arg;

    req->object = v;
    return 0;
}

static int on_item(void *arg, struct kr_arena *a, kr_val v, struct kr_err *err)
{
    struct kube_req *req = arg;

    return req->items->on_item(req->items->arg, a, v, err);
}

static void open_json(struct kube_req *req)
{
    struct kr_json_opts opts = {.doc_max = KUBE_BODY_MAX};

    if (req->items != NULL)
        opts = *req->items;
    opts.one = true;
    opts.into = &req->arena;
    opts.on_doc = on_doc;
    opts.on_item = opts.on_item != NULL ? on_item : NULL;
    opts.arg = req;
    req->json = kr_json_new(&opts);
}

static void on_head(struct kube_exchange *x, int status, int64_t retry_after_ms)
{
    struct kube_req *req = KR_OWNER(x, struct kube_req, x);

    req->status = status;
    req->retry_after_ms = retry_after_ms;
    kr_buf_fini(&req->response);
    kr_buf_init(&req->response, succeeded(req) ? KUBE_BODY_MAX : KUBE_ERROR_BODY_MAX);
}

static bool on_bytes(struct kube_exchange *x, const char *bytes, size_t n)
{
    struct kube_req *req = KR_OWNER(x, struct kube_req, x);

    req->got_bytes += n;
    if (!succeeded(req)) {
        kr_buf_add(&req->response, bytes, n); /* what does not fit says nothing new */
        return true;
    }
    if (req->raw) {
        kr_buf_add(&req->response, bytes, n);
        if (req->response.full)
            req->feed_rc = kr_fail(&req->err, KR_E_LIMIT, "the response is larger than %d bytes",
                                   KUBE_BODY_MAX);
        return !req->response.full;
    }
    if (req->json == NULL)
        open_json(req);
    req->feed_rc = kr_json_feed(req->json, bytes, n, &req->err);
    return req->feed_rc >= 0;
}

/* The message of an answer that is no metav1.Status: the first line of a plain text. */
static kr_str plain_message(struct kube_req *req, kr_val body)
{
    kr_str rest = kr_str_trim(kr_buf_view(&req->response));
    kr_str line = kr_str_trim(kr_str_cut(&rest, '\n'));

    if (body.kind != KR_NONE || line.n == 0 || line.n > 256 || line.s[0] == '<')
        return (kr_str){0};
    for (size_t i = 0; i < line.n; i++)
        if ((unsigned char)line.s[i] < ' ')
            return (kr_str){0};
    return kr_strdup(&req->arena, line);
}

/* The server said no: reads why. */
static int refused(struct kube_req *req)
{
    kr_val body = KR_V_NONE;
    kr_str plain;

    if (kr_json_parse(&req->arena, kr_buf_view(&req->response), &body, NULL) < 0)
        body = KR_V_NONE;
    plain = plain_message(req, body);
    if (plain.n > 0) {
        struct kr_mapb b = KR_MAPB(&req->arena);

        kr_mapb_put(&b, KR_S("kind"), KR_V_STR("Status"));
        kr_mapb_put(&b, KR_S("message"), kr_string(plain));
        body = kr_mapb_done(&b);
    }
    req->object = body;
    req->details = kr_get(body, KR_S("details"));
    kube_status_error(body, req->status, &req->reason, &req->err);
    req->message = kr_at_str(body, "message");
    if (req->message.n == 0) {
        kr_str text = kr_err_str(&req->err);

        req->message =
            kr_strdup(&req->arena, kr_str_sub(text, (size_t)kr_str_chr(text, ':') + 2, text.n));
    }
    return KR_E_API;
}

/* The whole response of a success is here: its body becomes the object. */
static int accepted(struct kube_req *req)
{
    if (req->json == NULL)
        return 0;
    if (kr_json_end(req->json, &req->err) < 0) {
        kr_wrap(&req->err, "response");
        return req->err.code;
    }
    return 0;
}

static void limit_adapt(struct kube_client *client, const struct kube_req *req)
{
    if (req->status == 429 && req->round == client->round) {
        client->limit =
            client->limit / 2 > KUBE_IN_FLIGHT_MIN ? client->limit / 2 : KUBE_IN_FLIGHT_MIN;
        client->round++;
        client->good_n = 0;
    }
    if (succeeded(req) && ++client->good_n >= client->limit) {
        client->good_n = 0;
        if (client->limit < KUBE_IN_FLIGHT_MAX)
            client->limit++;
    }
}

/* --- repeats ---------------------------------------------------------------------------------- */

static void on_delay_over(struct kube_timer *timer)
{
    struct kube_req *req = KR_OWNER(timer, struct kube_req, timer);
    struct kube_client *client = req->client;
    struct kr_link *first = &client->waiting;

    kr_link_remove(&req->link);
    kr_link_push(first->next, &req->link); /* in front: it has waited already */
    req->state = R_WAITING;
    count_waiting(req, 1);
    pump(client);
}

/* Jitter of up to a fifth keeps those that were refused together from coming back together. */
static void delay(struct kube_req *req, uint64_t delay_ms)
{
    struct kube_client *client = req->client;

    delay_ms += client->c->ops->random(client->c) % (delay_ms / 5 + 1);
    kr_json_free(req->json);
    req->json = NULL;
    kr_link_remove(&req->link);
    kr_link_push(&client->delayed, &req->link);
    req->state = R_DELAYED;
    req->timer.fn = on_delay_over;
    client->c->ops->timer_start(client->c, &req->timer, delay_ms);
}

static void tell_repeat(struct kube_req *req)
{
    if (req->client->seen)
        req->client->seen(req->client->seen_arg, req, true, req->status);
}

/* true: the request will be sent again by itself. */
static bool repeated(struct kube_req *req, int rc)
{
    bool busy = req->status == 429 || req->status >= 500;
    int64_t after = req->retry_after_ms;

    if (rc == 0 && busy && after >= 0 && req->tries <= KUBE_RETRY_MAX) {
        req->seen = req->seen || req->status != 429;
        tell_repeat(req);
        delay(req, after > KUBE_RETRY_AFTER_MAX_MS ? KUBE_RETRY_AFTER_MAX_MS : (uint64_t)after);
        return true;
    }
    if (rc == KR_E_IO && req->x.unsent && req->x.refused &&
        req->refused_n < KUBE_REFUSED_RETRY_MAX) {
        tell_repeat(req);
        delay(req, (uint64_t)KUBE_REFUSED_DELAY_MS << req->refused_n++);
        return true;
    }
    return false;
}

static void finish(struct kube_req *req, int rc, const struct kr_err *err)
{
    kr_str server = req->client->t->ops->server(req->client->t);

    req->unsent = rc < 0 && req->x.unsent && !req->seen;
    if (req->cancelled)
        complete_canceled(req);
    else if (req->timed_out)
        complete(req,
                 kr_fail(&req->err, KR_E_IO, "no answer from " KR_FMT " within %g s",
                         KR_ARG(server),
                         (req->timeout_ms ? req->timeout_ms : KUBE_REQUEST_TIMEOUT_MS) / 1000.0));
    else if (req->feed_rc < 0)
        complete(req, req->feed_rc);
    else if (rc < 0) {
        req->err = *err;
        complete(req, rc);
    } else
        complete(req, succeeded(req) ? accepted(req) : refused(req));
}

static void on_end(struct kube_exchange *x, int rc, const struct kr_err *err)
{
    struct kube_req *req = KR_OWNER(x, struct kube_req, x);
    struct kube_client *client = req->client;

    KR_ASSERT(req->state == R_FLYING);
    client->c->ops->timer_stop(client->c, &req->timer);
    client->flying_n--;
    if (--client->flow_flying[req->flow] == 0 && req->flow)
        client->flows_n--;
    if (rc == 0)
        limit_adapt(client, req);
    if (req->cancelled || req->timed_out || !repeated(req, rc))
        finish(req, rc, err);
    pump(client);
}

/* --- sending ---------------------------------------------------------------------------------- */

static void on_timeout(struct kube_timer *timer)
{
    struct kube_req *req = KR_OWNER(timer, struct kube_req, timer);

    req->timed_out = true;
    req->client->t->ops->cancel(req->client->t, &req->x);
}

static void send_now(struct kube_req *req)
{
    struct kube_client *client = req->client;
    uint64_t now_ms = kube_now_ms(client->c);

    kr_link_remove(&req->link);
    kr_link_push(&client->flying, &req->link);
    req->state = R_FLYING;
    count_waiting(req, -1);
    if (client->flow_flying[req->flow]++ == 0 && req->flow)
        client->flows_n++;
    client->flying_n++;
    if (req->tries++ == 0)
        req->started_ms = now_ms;
    req->round = client->round;
    req->status = 0;
    req->retry_after_ms = -1;
    req->x = (struct kube_exchange){
        .method = verbs[req->verb].method,
        .path = kr_buf_view(&req->url),
        .body = kr_buf_view(&req->body),
        .content_type = req->body.n > 0 ? verbs[req->verb].content_type : NULL,
        .accept = req->accept,
        .user_agent = client->opts.user_agent,
        .on_head = on_head,
        .on_bytes = on_bytes,
        .on_end = on_end,
    };
    req->timer.fn = on_timeout;
    client->c->ops->timer_start(client->c, &req->timer,
                                req->timeout_ms ? req->timeout_ms : KUBE_REQUEST_TIMEOUT_MS);
    client->t->ops->start(client->t, &req->x);
}

/* Takes a token; without one, sets the timer for the next. */
static bool take_token(struct kube_client *client)
{
    const struct kube_client_opts *o = &client->opts;
    uint64_t now_ms = kube_now_ms(client->c);

    if (o->qps <= 0)
        return true;
    client->tokens += (double)(now_ms - client->tokens_ms) * o->qps / 1000;
    client->tokens_ms = now_ms;
    if (client->tokens > o->burst)
        client->tokens = o->burst;
    if (client->tokens >= 1) {
        client->tokens -= 1;
        return true;
    }
    client->c->ops->timer_start(client->c, &client->bucket,
                                (uint64_t)((1 - client->tokens) * 1000 / o->qps) + 1);
    return false;
}

/* The first that waits and whose flow has room; NULL: none. */
static struct kube_req *next_to_send(struct kube_client *client)
{
    for (struct kr_link *l = client->waiting.next; l != &client->waiting; l = l->next) {
        struct kube_req *req = KR_OWNER(l, struct kube_req, link);

        if (has_share(client, req->flow))
            return req;
    }
    return NULL;
}

/* Sends what may be sent, in order. */
static void pump(struct kube_client *client)
{
    while (client->flying_n < client->limit) {
        struct kube_req *req = next_to_send(client);

        if (!req || !take_token(client))
            return;
        send_now(req);
    }
}

/* --- the owner's side ------------------------------------------------------------------------- */

int kube_req_set_body(struct kube_req *req, kr_val v, struct kr_err *err)
{
    KR_ASSERT(req->state == R_IDLE);
    kr_buf_fini(&req->body);
    kr_buf_init(&req->body, KUBE_REQUEST_MAX);
    if (v.kind == KR_NONE)
        return 0;
    KR_TRY(kr_json_write(&req->body, v, 0, err));
    if (req->body.full) {
        kr_buf_fini(&req->body);
        return kr_fail(err, KR_E_LIMIT, "the object is larger than %d bytes as JSON",
                       KUBE_REQUEST_MAX);
    }
    return 0;
}

/* A dot segment or an empty name would turn a request for one object into one for the whole
 * collection. */
static int check_name(const char *what, kr_str s, bool wanted, struct kr_err *err)
{
    if (s.n == 0 && wanted)
        return kr_fail(err, KR_E_INPUT, "%s is empty", what);
    if (kr_str_is(s, ".") || kr_str_is(s, "..") || kr_str_chr(s, '/') >= 0 ||
        kr_str_chr(s, '%') >= 0)
        return kr_fail(err, KR_E_INPUT, "\"" KR_FMT "\" is no %s of an object", KR_ARG(s), what);
    return 0;
}

static void query_part(struct kr_buf *url, kr_str part, kr_str value)
{
    kr_buf_chr(url, kr_str_chr(kr_buf_view(url), '?') < 0 ? '?' : '&');
    kr_buf_str(url, part);
    kube_query_escape(url, value);
}

static int build_url(struct kube_req *req, struct kr_err *err)
{
    struct kr_buf *url = &req->url;

    kr_buf_fini(url);
    kr_buf_init(url, KUBE_URL_MAX);
    if (req->path.n > 0) {
        kr_buf_str(url, req->path);
    } else {
        bool named = req->verb != KUBE_LIST && req->verb != KUBE_CREATE;

        KR_TRY(check_name("version", req->ref.gvr.version, true, err));
        KR_TRY(check_name("resource", req->ref.gvr.resource, true, err));
        KR_TRY(check_name("namespace", req->ref.namespace, false, err));
        KR_TRY(check_name("name", req->ref.name, named, err));
        kube_path(url, req->ref, req->subresource);
    }
    if (req->manager != NULL)
        query_part(url, KR_S("fieldManager="), kr_str_c(req->manager));
    if (req->verb == KUBE_APPLY && req->force)
        query_part(url, KR_S("force=true"), (kr_str){0});
    if (req->query.n > 0)
        query_part(url, req->query, (kr_str){0});
    if (url->full)
        return kr_fail(err, KR_E_LIMIT, "path and query are larger than %d bytes", KUBE_URL_MAX);
    return 0;
}

static void reset_results(struct kube_req *req)
{
    req->rc = req->status = 0;
    req->reason = KUBE_R_NONE;
    req->unsent = req->cancelled = req->timed_out = req->seen = false;
    req->started_ms = req->done_ms = 0;
    req->tries = req->refused_n = 0;
    req->got_bytes = 0;
    req->err.code = req->feed_rc = 0;
    req->err.n = 0;
    req->err.text[0] = '\0';
    req->object = req->details = KR_V_NONE;
    req->message = (kr_str){0};
    kr_arena_reset(&req->arena);
    kr_buf_fini(&req->response);
}

void kube_req_start(struct kube_client *client, struct kube_req *req)
{
    int rc;

    KR_ASSERT(req->state == R_IDLE);
    reset_results(req);
    req->client = client;
    client->busy_n++;
    kr_link_init(&req->link);
    rc = build_url(req, &req->err);
    if (rc < 0) {
        req->unsent = true;
        complete(req, rc);
        return;
    }
    kr_link_push(&client->waiting, &req->link);
    req->state = R_WAITING;
    count_waiting(req, 1);
    pump(client);
}

void kube_req_cancel(struct kube_req *req)
{
    if (req->state == R_IDLE || req->cancelled)
        return;
    req->cancelled = true;
    switch (req->state) {
    case R_FLYING:
        if (!req->timed_out) /* else the exchange is being cancelled already */
            req->client->t->ops->cancel(req->client->t, &req->x);
        return;
    case R_WAITING:
    case R_DELAYED:
        if (req->state == R_WAITING)
            count_waiting(req, -1);
        req->unsent = !req->seen;
        req->client->c->ops->timer_stop(req->client->c, &req->timer);
        break;
    default: /* R_DONE: the answer came first, but the owner no longer wants it */
        break;
    }
    complete_canceled(req);
}

void kube_client_cancel_all(struct kube_client *client)
{
    struct kr_link *lists[] = {&client->waiting, &client->delayed, &client->flying};

    for (size_t i = 0; i < KR_N(lists); i++)
        for (struct kr_link *l = lists[i]->next, *next; l != lists[i]; l = next) {
            next = l->next;
            kube_req_cancel(KR_OWNER(l, struct kube_req, link));
        }
}

bool kube_req_busy(const struct kube_req *req)
{
    return req->state != R_IDLE;
}

kr_str kube_req_body(const struct kube_req *req)
{
    return kr_buf_view(&req->response);
}

void kube_req_fini(struct kube_req *req)
{
    KR_ASSERT(req->state == R_IDLE);
    reset_results(req);
    kr_json_free(req->json);
    req->json = NULL;
    kr_arena_fini(&req->arena);
    kr_buf_fini(&req->body);
    kr_buf_fini(&req->url);
}
