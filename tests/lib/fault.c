/* SPDX-License-Identifier: Apache-2.0 */
/* fault.c - each exchange gets a twin that goes to the inner transport; the outer one hears of it
 * what its rule lets through. */
#include "tests/lib/fault.h"

#include <stdio.h>

#include "cel/base/buf.h"

enum { FAULT_RULES_MAX = 16 };

struct fault {
    struct kube_transport transport;
    struct kube_transport *inner;
    struct kube_clock *clock;
    struct fault_rule rules[FAULT_RULES_MAX];
    uint32_t seen[FAULT_RULES_MAX];
    uint32_t rules_n, hits_n, passed_n, open_n;
};

struct twin {
    struct fault *f;
    struct kube_exchange *x;    /* the owner's */
    struct kube_exchange inner; /* ours */
    struct kube_timer timer;
    struct fault_rule rule;
    bool ruled, flying, canceled, cut, replaced;
    size_t bytes_n;
};

static struct fault *of(struct kube_transport *t)
{
    return KR_OWNER(t, struct fault, transport);
}

static void twin_end(struct twin *t, int rc, const char *why, bool unsent)
{
    struct kube_clock *c = t->f->clock;
    struct kube_exchange *x = t->x;
    struct kr_err err = KR_ERR_NONE;

    c->ops->timer_stop(c, &t->timer);
    t->f->open_n--;
    x->impl = NULL;
    x->unsent = unsent;
    x->refused = unsent && t->inner.refused;
    if (rc < 0)
        kr_fail(&err, rc, "%s", why);
    kr_free(t);
    x->on_end(x, rc, &err);
}

/* --- what comes from the inner transport ------------------------------------------------------ */

static bool is_ruled(const struct twin *t, enum fault_kind kind)
{
    return t->ruled && t->rule.kind == kind;
}

static bool deaf(const struct twin *t)
{
    return t->canceled || t->replaced || is_ruled(t, FAULT_EFFECT);
}

/* The server has handled it: what it says is not heard any more. */
static void replace_body(struct twin *t)
{
    const char *body = t->rule.message ? t->rule.message : "";

    t->replaced = true;
    t->x->status = 200;
    t->x->on_head(t->x, 200, -1);
    if (body[0] && !t->canceled && !t->x->on_bytes(t->x, body, strlen(body)))
        t->cut = true;
    if (!t->canceled)
        t->f->inner->ops->cancel(t->f->inner, &t->inner);
}

static void on_head(struct kube_exchange *x, int status, int64_t retry_after_ms)
{
    struct twin *t = KR_OWNER(x, struct twin, inner);

    if (deaf(t))
        return;
    if (is_ruled(t, FAULT_BODY)) {
        replace_body(t);
        return;
    }
    t->x->status = status;
    t->x->on_head(t->x, status, retry_after_ms);
}

static bool on_bytes(struct kube_exchange *x, const char *bytes, size_t n)
{
    struct twin *t = KR_OWNER(x, struct twin, inner);

    if (deaf(t))
        return true;
    if ((is_ruled(t, FAULT_CUT) || is_ruled(t, FAULT_SHORT)) && t->bytes_n + n >= t->rule.bytes) {
        n = t->rule.bytes - t->bytes_n;
        t->cut = true;
    }
    t->bytes_n += n;
    if (n > 0 && !t->x->on_bytes(t->x, bytes, n)) {
        t->cut = false;
        return false;
    }
    return !t->cut;
}

static void on_lost(struct kube_timer *timer)
{
    struct twin *t = KR_OWNER(timer, struct twin, timer);

    twin_end(t, t->canceled ? KR_E_CANCELED : KR_E_IO,
             t->canceled ? "canceled" : "injected: the answer was lost", false);
}

static void on_end(struct kube_exchange *x, int rc, const struct kr_err *err)
{
    struct twin *t = KR_OWNER(x, struct twin, inner);
    char why[KR_ERR_MAX];

    t->flying = false;
    snprintf(why, sizeof why, "%s", rc < 0 ? err->text : "");
    if (t->canceled)
        twin_end(t, KR_E_CANCELED, "canceled", t->inner.unsent);
    else if (is_ruled(t, FAULT_EFFECT)) {
        t->timer.fn = on_lost;
        t->f->clock->ops->timer_start(t->f->clock, &t->timer, t->rule.delay_ms);
    } else if (t->replaced && t->cut)
        twin_end(t, KR_E_LIMIT, "the response was refused", false);
    else if (t->replaced || (t->cut && is_ruled(t, FAULT_SHORT)))
        twin_end(t, 0, NULL, false);
    else if (t->cut)
        twin_end(t, KR_E_IO, "injected: the connection broke within the response", false);
    else
        twin_end(t, rc, why, t->inner.unsent);
}

static void pass(struct twin *t)
{
    t->inner = *t->x;
    t->inner.on_head = on_head;
    t->inner.on_bytes = on_bytes;
    t->inner.on_end = on_end;
    t->flying = true;
    t->f->passed_n++;
    t->f->inner->ops->start(t->f->inner, &t->inner);
}

/* --- what a rule does in its place ------------------------------------------------------------ */

static void answer_status(struct twin *t)
{
    KR_AUTO(kr_buf) body = KR_BUF(4096);
    const struct fault_rule *r = &t->rule;

    kr_buf_fmt(&body,
               "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"code\":%d,"
               "\"reason\":\"%s\",\"message\":\"%s\"}",
               r->status,
               r->status == 409   ? "Conflict"
               : r->status == 410 ? "Expired"
               : r->status == 429 ? "TooManyRequests"
               : r->status == 404 ? "NotFound"
               : r->status == 500 ? "InternalError"
                                  : "",
               r->message ? r->message : "injected");
    t->x->status = r->status;
    t->x->on_head(t->x, r->status, r->retry_after_s ? r->retry_after_s * 1000 : -1);
    if (!t->canceled && !t->x->on_bytes(t->x, body.s, body.n))
        twin_end(t, KR_E_LIMIT, "the response was refused", false);
    else if (t->canceled)
        twin_end(t, KR_E_CANCELED, "canceled", false);
    else
        twin_end(t, 0, NULL, false);
}

static void on_timer(struct kube_timer *timer)
{
    struct twin *t = KR_OWNER(timer, struct twin, timer);

    if (t->canceled) {
        twin_end(t, KR_E_CANCELED, "canceled",
                 t->rule.kind != FAULT_HANG); /* a hang looks as if it was sent */
        return;
    }
    switch (t->rule.kind) {
    case FAULT_REFUSE:
        t->inner.refused = true;
        twin_end(t, KR_E_IO, "injected: connection refused", true);
        return;
    case FAULT_BREAK:
        twin_end(t, KR_E_IO, "injected: the connection broke before the response", false);
        return;
    case FAULT_STATUS:
        answer_status(t);
        return;
    default:
        pass(t);
    }
}

static bool fits(const struct fault_rule *r, const struct kube_exchange *x)
{
    if (r->method != NULL && strcmp(r->method, x->method) != 0)
        return false;
    if (r->part != NULL && kr_str_find(x->path, kr_str_c(r->part)) < 0)
        return false;
    return r->streams == r->requests || (x->stream ? r->streams : r->requests);
}

/* Does a rule apply to x? */
static bool decide(struct fault *f, const struct kube_exchange *x, struct fault_rule *out)
{
    for (uint32_t i = 0; i < f->rules_n; i++) {
        const struct fault_rule *r = &f->rules[i];
        uint32_t first = r->nth ? r->nth : 1, at;

        if (!fits(r, x))
            continue;
        at = ++f->seen[i];
        if (at < first || (r->times > 0 && at >= first + r->times))
            continue;
        *out = *r;
        f->hits_n++;
        return true;
    }
    return false;
}

static void transport_start(struct kube_transport *tr, struct kube_exchange *x)
{
    struct fault *f = of(tr);
    struct twin *t = KR_ALLOC(struct twin);

    t->f = f;
    t->x = x;
    t->timer.fn = on_timer;
    f->open_n++;
    x->impl = t;
    x->status = 0;
    x->unsent = x->refused = false;
    t->ruled = decide(f, x, &t->rule);
    if (!t->ruled || is_ruled(t, FAULT_CUT) || is_ruled(t, FAULT_SHORT) ||
        is_ruled(t, FAULT_BODY) || is_ruled(t, FAULT_EFFECT))
        pass(t);
    else if (t->rule.kind != FAULT_HANG)
        f->clock->ops->timer_start(f->clock, &t->timer, t->rule.delay_ms);
}

static void transport_cancel(struct kube_transport *tr, struct kube_exchange *x)
{
    struct twin *t = x->impl;

    t->canceled = true;
    if (t->flying)
        t->f->inner->ops->cancel(t->f->inner, &t->inner);
    else
        t->f->clock->ops->timer_start(t->f->clock, &t->timer, 0);
}

static kr_str transport_server(struct kube_transport *tr)
{
    return of(tr)->inner->ops->server(of(tr)->inner);
}

static const struct kube_transport_ops ops = {transport_start, transport_cancel, transport_server};

struct fault *fault_new(struct kube_transport *inner, struct kube_clock *clock)
{
    struct fault *f = KR_ALLOC(struct fault);

    f->transport.ops = &ops;
    f->inner = inner;
    f->clock = clock;
    return f;
}

void fault_free(struct fault *f)
{
    if (f != NULL)
        KR_ASSERT(f->open_n == 0);
    kr_free(f);
}

struct kube_transport *fault_transport(struct fault *f)
{
    return &f->transport;
}

void fault_add(struct fault *f, const struct fault_rule *rule)
{
    KR_ASSERT(f->rules_n < FAULT_RULES_MAX);
    f->seen[f->rules_n] = 0;
    f->rules[f->rules_n++] = *rule;
}

void fault_clear(struct fault *f)
{
    f->rules_n = 0;
}

uint32_t fault_hits_n(const struct fault *f)
{
    return f->hits_n;
}

uint32_t fault_passed_n(const struct fault *f)
{
    return f->passed_n;
}
