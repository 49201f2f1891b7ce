/* SPDX-License-Identifier: Apache-2.0 */
/* front.c - exchanges in a list, each with a timer that serves it, or gives it the news of its watch.
 *
 *   started --timer--> served --+--> answered, ended
 *      |                        `--> a watch: --news, timer--> bytes --...--> ended
 *      `--cancelled, broken: timer--> ended, never served
 */
#include "kube/sandbox/front.h"

#include "cel/base/banned.h"

enum { WATCH_READ_BYTES = 64 * 1024 };

struct sandbox_front {
    struct kube_transport transport;
    struct sandbox *s;
    struct kube_clock *clock;
    struct sandbox_front_opts opts;
    struct kr_link calls;
    uint32_t calls_n;
};

struct call {
    struct sandbox_front *f;
    struct kube_exchange *x;
    struct kube_timer timer;
    struct sandbox_watch *watch;
    struct kr_link link;
    bool served, canceled, broken;
    int broken_rc;
};

static struct sandbox_front *of(struct kube_transport *t)
{
    return KR_OWNER(t, struct sandbox_front, transport);
}

static void wake(struct call *c, uint32_t delay_ms)
{
    if (c->timer.heap_at == 0)
        c->f->clock->ops->timer_start(c->f->clock, &c->timer, delay_ms);
}

static void call_end(struct call *c, int rc, const char *why)
{
    struct kube_exchange *x = c->x;
    struct kr_err err = KR_ERR_NONE;

    c->f->clock->ops->timer_stop(c->f->clock, &c->timer);
    sandbox_watch_close(c->watch);
    kr_link_remove(&c->link);
    c->f->calls_n--;
    x->impl = NULL;
    x->unsent = rc < 0 && !c->served;
    x->refused = x->unsent && rc == KR_E_IO;
    kr_free(c);
    if (rc < 0)
        kr_fail(&err, rc, "%s", why);
    x->on_end(x, rc, &err);
}

/* Returns whether the owner takes more. It may cancel meanwhile, and break all there is. */
static bool give(struct call *c, kr_str bytes)
{
    size_t chunk = c->f->opts.chunk_bytes ? c->f->opts.chunk_bytes : bytes.n;

    for (size_t at = 0; at < bytes.n && !c->canceled; at += chunk) {
        if (!c->x->on_bytes(c->x, bytes.s + at, bytes.n - at < chunk ? bytes.n - at : chunk))
            return false;
    }
    return true;
}

static void on_more(void *arg)
{
    struct call *c = arg;

    wake(c, c->f->opts.latency_ms);
}

/* --- serving ---------------------------------------------------------------------------------- */

static void refuse_streaming(struct sandbox_response *r)
{
    kr_buf_init(&r->body, 4096);
    r->status = 422;
    kr_buf_fmt(&r->body,
               "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\","
               "\"message\":\"sendInitialEvents is forbidden for watch unless the WatchList "
               "feature gate is enabled\",\"reason\":\"Invalid\",\"code\":422}\n");
}

static void serve(struct sandbox_front *f, struct kube_exchange *x, struct sandbox_response *r)
{
    struct sandbox_request q = {.method = x->method,
                                .path = x->path,
                                .body = x->body,
                                .content_type = kr_str_c(x->content_type),
                                .accept = kr_str_c(x->accept),
                                .user_agent = kr_str_c(x->user_agent ? x->user_agent : "kro")};

    if (f->opts.no_streaming_list && kr_str_find(x->path, KR_S("sendInitialEvents=")) >= 0)
        refuse_streaming(r);
    else if (f->opts.serve)
        f->opts.serve(f->opts.arg, f->s, &q, r);
    else
        sandbox_serve(f->s, &q, r);
}

static void tell_warnings(struct kube_exchange *x, const struct sandbox_response *r)
{
    KR_AUTO(kr_arena) a = {0};

    for (uint32_t i = 0; x->on_header && i < r->warnings_n; i++)
        x->on_header(x, KR_S("Warning"),
                     kr_fmt(&a, "299 - \"" KR_FMT "\"", KR_ARG(r->warnings[i])));
}

/* 0: a watch is open; 1: answered; KR_E_LIMIT: the owner stopped. */
static int call_serve(struct call *c)
{
    struct sandbox_response r = {0};
    int rc;

    c->served = true; /* before: what the sandbox tells may reach us */
    serve(c->f, c->x, &r);
    c->watch = r.watch;
    c->x->status = r.status;
    tell_warnings(c->x, &r);
    c->x->on_head(c->x, r.status, r.retry_after_s ? (int64_t)r.retry_after_s * 1000 : -1);
    if (c->watch) {
        sandbox_watch_on_more(c->watch, on_more, c);
        rc = 0;
    } else {
        rc = give(c, kr_buf_view(&r.body)) ? 1 : KR_E_LIMIT;
    }
    sandbox_response_fini(&r);
    return rc;
}

/* The same results, of news. */
static int call_read(struct call *c)
{
    KR_AUTO(kr_buf) out = KR_BUF(SANDBOX_RESPONSE_MAX);
    bool open = true;
    size_t n;

    do {
        n = out.n;
        open = sandbox_watch_read(c->watch, &out, n + WATCH_READ_BYTES);
    } while (open && out.n > n);
    if (out.n && !give(c, kr_buf_view(&out)))
        return KR_E_LIMIT;
    return open ? 0 : 1;
}

static void on_timer(struct kube_timer *timer)
{
    struct call *c = KR_OWNER(timer, struct call, timer);
    int rc = 0;

    if (!c->canceled && !c->broken && !c->served)
        rc = call_serve(c);
    if (!c->canceled && !c->broken && c->watch)
        rc = call_read(c);
    if (c->canceled)
        call_end(c, KR_E_CANCELED, "canceled");
    else if (c->broken)
        call_end(c, c->broken_rc,
                 c->served ? "the connection broke" : "connect to the sandbox: connection refused");
    else if (rc < 0)
        call_end(c, KR_E_LIMIT, "the response was refused");
    else if (rc > 0)
        call_end(c, 0, NULL);
}

/* --- the door --------------------------------------------------------------------------------- */

static void call_break(struct call *c, int rc)
{
    c->broken = true;
    c->broken_rc = rc;
    sandbox_watch_close(c->watch);
    c->watch = NULL;
    c->f->clock->ops->timer_start(c->f->clock, &c->timer, 0);
}

static void transport_start(struct kube_transport *t, struct kube_exchange *x)
{
    struct sandbox_front *f = of(t);
    struct call *c = KR_ALLOC(struct call);

    c->f = f;
    c->x = x;
    c->timer.fn = on_timer;
    kr_link_push(&f->calls, &c->link);
    f->calls_n++;
    x->impl = c;
    x->status = 0;
    x->unsent = x->refused = false;
    if (f->s == NULL)
        call_break(c, KR_E_IO);
    else
        wake(c, f->opts.latency_ms);
}

static void transport_cancel(struct kube_transport *t, struct kube_exchange *x)
{
    struct call *c = x->impl;

    c->canceled = true;
    sandbox_watch_close(c->watch);
    c->watch = NULL;
    c->f->clock->ops->timer_start(c->f->clock, &c->timer, 0);
}

static kr_str transport_server(struct kube_transport *t)
{
    return KR_S("https://sandbox");
}

static const struct kube_transport_ops ops = {transport_start, transport_cancel, transport_server};

/* --- life ------------------------------------------------------------------------------------- */

struct sandbox_front *sandbox_front_new(struct sandbox *s, struct kube_clock *clock,
                                        const struct sandbox_front_opts *opts)
{
    struct sandbox_front *f = KR_ALLOC(struct sandbox_front);

    f->transport.ops = &ops;
    f->s = s;
    f->clock = clock;
    if (opts)
        f->opts = *opts;
    kr_link_init(&f->calls);
    return f;
}

void sandbox_front_free(struct sandbox_front *f)
{
    if (f)
        KR_ASSERT(f->calls_n == 0);
    kr_free(f);
}

struct kube_transport *sandbox_front_transport(struct sandbox_front *f)
{
    return &f->transport;
}

bool sandbox_front_idle(const struct sandbox_front *f)
{
    for (const struct kr_link *l = f->calls.next; l != &f->calls; l = l->next) {
        if (KR_OWNER((struct kr_link *)(uintptr_t)l, struct call, link)->timer.heap_at)
            return false;
    }
    return true;
}

uint32_t sandbox_front_exchanges_n(const struct sandbox_front *f)
{
    return f->calls_n;
}

void sandbox_front_break(struct sandbox_front *f, int rc)
{
    for (struct kr_link *l = f->calls.next; l != &f->calls; l = l->next) {
        struct call *c = KR_OWNER(l, struct call, link);

        if (c->watch)
            call_break(c, rc);
    }
}

void sandbox_front_swap(struct sandbox_front *f, struct sandbox *s)
{
    for (struct kr_link *l = f->calls.next; l != &f->calls; l = l->next) {
        struct call *c = KR_OWNER(l, struct call, link);

        if (!c->canceled)
            call_break(c, KR_E_IO);
    }
    f->s = s;
}
