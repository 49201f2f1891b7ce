/* SPDX-License-Identifier: Apache-2.0 */
/* net.c - the connections of the controllers: each exchange (x, of the process) has a twin (inner)
 * that the sandbox's front serves. What the twin brings stands in a queue, each item with the time at
 * which the process may have it, so that answers are late and streams slow without being out of order.
 *
 *   x started --up--> inner started --served--> items --down--> x hears
 *
 * A process that is dead, or has cancelled, hears nothing more; its twin may go on without it: whether
 * a request that was under way takes effect is decided at that moment, never later. */
#include "tests/sim/sim.h"

enum { LATE_MS = 4000 };

struct sim_line {
    struct kube_transport transport;
    struct sim_proc *proc;
    bool dead;
    struct kr_link calls;
    uint32_t open_n; /* exchanges that have not had their end */
};

enum item_kind { ITEM_HEAD, ITEM_BYTES, ITEM_END };

struct item {
    struct kr_link link;
    uint64_t due_ms;
    enum item_kind kind;
    int status; /* HEAD */
    int64_t retry_after_ms;
    int rc; /* END */
    bool unsent, refused;
    uint32_t n; /* BYTES */
    char bytes[];
};

struct call {
    struct sim_line *line;
    struct kube_exchange *x; /* NULL: the process has had its last word */
    struct kube_exchange inner;
    struct kube_timer up;   /* starts inner */
    struct kube_timer down; /* gives the first item to x */
    struct kube_timer last; /* ends x: it was cancelled, or its process is dead */
    struct kr_link items;
    uint64_t due_ms; /* of the last item */
    struct kr_link link;
    struct kr_arena arena;
    struct sim_rule rule;
    bool ruled, flying, served, canceled, cut;
    bool cut_short; /* by a mutant: the body is not heard */
    size_t bytes_n;
};

static struct sim *sim_of(const struct call *c)
{
    return c->line->proc->sim;
}

static struct kube_clock *clock_of(const struct call *c)
{
    return &sim_of(c)->clock.door;
}

static bool is_ruled(const struct call *c, enum sim_fault fault)
{
    return c->ruled && c->rule.fault == fault;
}

static bool is_write(const struct kube_exchange *x)
{
    return strcmp(x->method, "GET") != 0;
}

static uint32_t delay(struct sim *s)
{
    return sim_pick(s, s->plan->latency_ms + 1) + (s->slow_ms ? sim_pick(s, s->slow_ms) : 0);
}

/* --- the end of a call ------------------------------------------------------------------------ */

static void items_free(struct call *c)
{
    struct kr_link *l;

    clock_of(c)->ops->timer_stop(clock_of(c), &c->down);
    while ((l = kr_link_pop(&c->items)) != NULL)
        kr_free(KR_OWNER(l, struct item, link));
}

static void call_tidy(struct call *c)
{
    if (c->x || c->flying || c->up.heap_at)
        return;
    clock_of(c)->ops->timer_stop(clock_of(c), &c->last);
    items_free(c);
    kr_link_remove(&c->link);
    kr_arena_fini(&c->arena);
    kr_free(c);
}

static void drop_inner(struct call *c)
{
    struct kube_transport *next = sandbox_front_transport(sim_of(c)->front);

    clock_of(c)->ops->timer_stop(clock_of(c), &c->up);
    if (c->flying && c->inner.impl)
        next->ops->cancel(next, &c->inner);
}

static void call_end(struct call *c, int rc, const char *why, bool unsent, bool refused)
{
    struct kube_exchange *x = c->x;
    struct kr_err err = KR_ERR_NONE;

    c->x = NULL;
    c->line->open_n--;
    x->impl = NULL;
    x->unsent = unsent;
    x->refused = refused;
    if (rc < 0)
        kr_fail(&err, rc, "%s", why);
    call_tidy(c);
    x->on_end(x, rc, &err);
}

static void on_last(struct kube_timer *timer)
{
    struct call *c = KR_OWNER(timer, struct call, last);

    if (c->canceled)
        call_end(c, KR_E_CANCELED, "canceled", !c->served && !c->flying, false);
    else
        call_end(c, KR_E_IO, "the process has ended", false, false);
}

/* --- from the server to the process ----------------------------------------------------------- */

static struct item *item_add(struct call *c, enum item_kind kind, kr_str bytes, uint32_t delay_ms)
{
    struct item *i = kr_alloc(sizeof *i + bytes.n);
    uint64_t due = kube_now_ms(clock_of(c)) + delay_ms;

    i->link = (struct kr_link){0};
    i->kind = kind;
    i->due_ms = c->due_ms = due > c->due_ms ? due : c->due_ms;
    i->status = 0;
    i->retry_after_ms = -1;
    i->rc = 0;
    i->unsent = i->refused = false;
    i->n = (uint32_t)bytes.n;
    if (bytes.n)
        memcpy(i->bytes, bytes.s, bytes.n);
    kr_link_push(&c->items, &i->link);
    if (!c->down.heap_at)
        clock_of(c)->ops->timer_start(clock_of(c), &c->down, i->due_ms - kube_now_ms(clock_of(c)));
    return i;
}

static bool deaf(const struct call *c)
{
    return !c->x || c->canceled || c->line->dead || c->cut;
}

static void give_bytes(struct call *c, const struct item *i)
{
    struct sim *s = sim_of(c);
    size_t n = i->n;

    if ((is_ruled(c, SIM_FAULT_CUT) || is_ruled(c, SIM_FAULT_SHORT)) &&
        c->bytes_n + n >= c->rule.size) {
        n = c->rule.size - c->bytes_n;
        c->cut = true;
    }
    c->bytes_n += n;
    for (size_t at = 0, chunk; at < n && c->x && !c->canceled; at += chunk) {
        chunk =
            s->plan->chunk_bytes && n - at > s->plan->chunk_bytes ? s->plan->chunk_bytes : n - at;
        if (!c->x->on_bytes(c->x, i->bytes + at, chunk)) {
            drop_inner(c);
            items_free(c);
            call_end(c, KR_E_LIMIT, "the response was refused", false, false);
            return;
        }
    }
    if (!c->cut || !c->x || c->canceled)
        return;
    sim_trace(s, "cut " KR_FMT, KR_ARG(c->inner.path));
    drop_inner(c);
    items_free(c);
    if (is_ruled(c, SIM_FAULT_SHORT))
        call_end(c, 0, NULL, false, false);
    else
        call_end(c, KR_E_IO, "the connection broke within the response", false, false);
}

static void give(struct call *c, const struct item *i)
{
    struct kube_exchange *x = c->x;

    if (deaf(c))
        return;
    switch (i->kind) {
    case ITEM_HEAD:
        x->status = i->status;
        x->on_head(x, i->status, i->retry_after_ms);
        return;
    case ITEM_BYTES:
        give_bytes(c, i);
        return;
    case ITEM_END:
        call_end(c, i->rc, "the connection broke", i->unsent, i->refused);
    }
}

/* Streams end and begin again, and bring bookmarks, also when nothing happens. */
static bool is_news(const struct item *i)
{
    kr_str head = {i->bytes, i->n < 30 ? i->n : 30};

    return i->kind == ITEM_BYTES && kr_str_find(head, KR_S("\"BOOKMARK\"")) < 0;
}

static void on_down(struct kube_timer *timer)
{
    struct call *c = KR_OWNER(timer, struct call, down);
    struct item *i = KR_OWNER(kr_link_pop(&c->items), struct item, link);
    struct sim *s = sim_of(c);

    if (!kr_link_empty(&c->items)) {
        const struct item *next = KR_OWNER(c->items.next, struct item, link);
        uint64_t now = kube_now_ms(clock_of(c));

        clock_of(c)->ops->timer_start(clock_of(c), &c->down,
                                      next->due_ms > now ? next->due_ms - now : 0);
    }
    if (!c->inner.stream || is_news(i))
        s->busy_at = s->clock.now_ms;
    give(c, i); /* c may be gone */
    kr_free(i);
}

static void on_inner_head(struct kube_exchange *inner, int status, int64_t retry_after_ms)
{
    struct call *c = KR_OWNER(inner, struct call, inner);
    struct item *i;

    c->served = true;
    if (deaf(c) || is_ruled(c, SIM_FAULT_EFFECT) || is_ruled(c, SIM_FAULT_MUTE))
        return;
    i = item_add(c, ITEM_HEAD, KR_S(""),
                 delay(sim_of(c)) + (is_ruled(c, SIM_FAULT_LATE) ? c->rule.size : 0));
    i->status = status;
    i->retry_after_ms = retry_after_ms;
    if (sim_mutate_status(sim_of(c), inner, status)) {
        i->status = 200;
        c->cut_short = true;
    }
}

static void add_event(struct call *c, kr_str line)
{
    uint32_t ms =
        delay(sim_of(c)) + (is_ruled(c, SIM_FAULT_CRAWL) ? sim_pick(sim_of(c), LATE_MS) : 0);

    if (!sim_mutate_event(sim_of(c), line))
        return;
    item_add(c, ITEM_BYTES, line, ms);
    if (is_ruled(c, SIM_FAULT_TWICE))
        item_add(c, ITEM_BYTES, line, ms);
}

static bool on_inner_bytes(struct kube_exchange *inner, const char *bytes, size_t n)
{
    struct call *c = KR_OWNER(inner, struct call, inner);
    kr_str rest = {bytes, n};

    if (deaf(c) || is_ruled(c, SIM_FAULT_EFFECT) || is_ruled(c, SIM_FAULT_MUTE) || c->cut_short)
        return true;
    if (!inner->stream) {
        item_add(c, ITEM_BYTES, rest, 0);
        return true;
    }
    while (rest.n > 0) {
        ptrdiff_t at = kr_str_chr(rest, '\n');
        size_t line = at < 0 ? rest.n : (size_t)at + 1;

        add_event(c, kr_str_sub(rest, 0, line));
        rest = kr_str_sub(rest, line, rest.n);
    }
    return true;
}

static void on_inner_end(struct kube_exchange *inner, int rc, const struct kr_err *err)
{
    struct call *c = KR_OWNER(inner, struct call, inner);
    struct item *i;

    c->flying = false;
    if (deaf(c) || is_ruled(c, SIM_FAULT_MUTE)) {
        call_tidy(c);
        return;
    }
    i = item_add(c, ITEM_END, KR_S(""), 0);
    i->rc = is_ruled(c, SIM_FAULT_EFFECT) ? KR_E_IO : rc;
    i->unsent = inner->unsent;
    i->refused = inner->refused;
}

/* --- from the process to the server ----------------------------------------------------------- */

static void send(struct call *c)
{
    struct kube_transport *next = sandbox_front_transport(sim_of(c)->front);

    c->inner.on_header = NULL;
    c->inner.on_head = on_inner_head;
    c->inner.on_bytes = on_inner_bytes;
    c->inner.on_end = on_inner_end;
    c->flying = true;
    next->ops->start(next, &c->inner);
}

static const char *status_text(struct call *c, int status)
{
    static const char *const reasons[] = {"Conflict", "Expired", "TooManyRequests",
                                          "InternalError"};
    const char *reason = reasons[c->rule.fault - SIM_FAULT_S409];

    return kr_fmt(&c->arena,
                  "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":"
                  "\"Failure\",\"message\":\"injected\",\"reason\":\"%s\",\"code\":%d}\n",
                  reason, status)
        .s;
}

static void answer_status(struct call *c)
{
    static const int statuses[] = {409, 410, 429, 500};
    int status = statuses[c->rule.fault - SIM_FAULT_S409];
    struct item *i = item_add(c, ITEM_HEAD, KR_S(""), 0);

    i->status = status;
    i->retry_after_ms = status == 429 ? 1000 : -1;
    item_add(c, ITEM_BYTES, kr_str_c(status_text(c, status)), 0);
    item_add(c, ITEM_END, KR_S(""), 0);
}

/* An old answer in place of the present one, where the request allows that. */
static bool answer_stale(struct call *c)
{
    struct sim *s = sim_of(c);
    kr_str path = c->inner.path, base = kr_str_cut(&path, '?');
    const char *body;

    if (c->inner.stream || kr_str_find(path, KR_S("resourceVersion=0")) < 0)
        return false;
    body = kr_map_get(&s->lists, base);
    if (!body || !body[0])
        return false;
    sim_trace(s, "stale " KR_FMT, KR_ARG(base));
    item_add(c, ITEM_HEAD, KR_S(""), 0)->status = 200;
    item_add(c, ITEM_BYTES, kr_str_c(body), 0);
    item_add(c, ITEM_END, KR_S(""), 0);
    kr_free(kr_map_put(&s->lists, base, kr_cstrdup(KR_S("")))); /* a cache catches up */
    return true;
}

static void on_up(struct kube_timer *timer)
{
    struct call *c = KR_OWNER(timer, struct call, up);
    struct item *i;

    if (!c->ruled) {
        if (!answer_stale(c))
            send(c);
        return;
    }
    switch (c->rule.fault) {
    case SIM_FAULT_REFUSE:
    case SIM_FAULT_BREAK:
        i = item_add(c, ITEM_END, KR_S(""), 0);
        i->rc = KR_E_IO;
        i->unsent = i->refused = c->rule.fault == SIM_FAULT_REFUSE;
        return;
    case SIM_FAULT_HANG:
        return; /* until x gives up */
    case SIM_FAULT_S409:
    case SIM_FAULT_S410:
    case SIM_FAULT_S429:
    case SIM_FAULT_S500:
        answer_status(c);
        return;
    default:
        send(c);
    }
}

/* --- rules ------------------------------------------------------------------------------------ */

void sim_add_rule(struct sim *s, const struct sim_rule *rule)
{
    if (s->rules_n < SIM_RULES_MAX)
        s->rules[s->rules_n++] = *rule;
}

static bool fits(const struct sim_rule *r, const struct kube_exchange *x)
{
    bool streams =
        r->fault == SIM_FAULT_TWICE || r->fault == SIM_FAULT_CRAWL || r->on == SIM_ON_STREAMS;

    if (x->stream &&
        (r->fault == SIM_FAULT_HANG || r->fault == SIM_FAULT_MUTE || r->fault == SIM_FAULT_EFFECT))
        return false; /* that a stream hangs for good is a matter of the transport */
    if (streams)
        return x->stream;
    return r->on == SIM_ON_ALL || is_write(x) == (r->on == SIM_ON_WRITES);
}

static const char *fault_text(enum sim_fault fault)
{
    static const char *const texts[] = {
#define F(name, text) [SIM_FAULT_##name] = (text),
        SIM_FAULTS(F)
#undef F
    };

    return texts[fault];
}

static void decide(struct call *c)
{
    struct sim *s = sim_of(c);

    for (uint32_t i = 0; i < s->rules_n; i++) {
        struct sim_rule *r = &s->rules[i];

        if (!fits(r, c->x))
            continue;
        if (r->skip > 0) {
            r->skip--;
            continue;
        }
        c->ruled = true;
        c->rule = *r;
        s->faults_n++;
        sim_trace(s, "fault: %s, %s " KR_FMT, fault_text(r->fault), c->x->method,
                  KR_ARG(c->x->path));
        if (--r->times == 0)
            s->rules[i] = s->rules[--s->rules_n];
        return;
    }
}

/* --- lists as they were ----------------------------------------------------------------------- */

/* Lists that a process has asked for are shown as they are now to those who allow old ones. */
void sim_record(struct sim *s)
{
    kr_map_each (e, &s->lists) {
        struct sandbox_request q = {.method = "GET", .path = kr_map_key(e)};
        struct sandbox_response r = {0};

        sandbox_serve(s->sandbox, &q, &r);
        if (r.status == 200) {
            kr_free(e->val);
            e->val = kr_cstrdup(kr_buf_view(&r.body));
        }
        sandbox_response_fini(&r);
    }
}

static void know_list(struct sim *s, const struct kube_exchange *x)
{
    kr_str path = x->path, base = kr_str_cut(&path, '?');

    if (is_write(x) || x->stream || kr_str_find(path, KR_S("limit=")) < 0)
        return;
    sim_check_list(s->check, x->path);
    if (!kr_map_get(&s->lists, base))
        kr_map_put(&s->lists, base, kr_cstrdup(KR_S("")));
}

/* --- the door --------------------------------------------------------------------------------- */

static void line_start(struct kube_transport *t, struct kube_exchange *x)
{
    struct sim_line *line = KR_OWNER(t, struct sim_line, transport);
    struct sim *s = line->proc->sim;
    struct call *c = KR_ALLOC(struct call);

    c->line = line;
    c->x = x;
    c->up.fn = on_up;
    c->down.fn = on_down;
    c->last.fn = on_last;
    kr_link_init(&c->items);
    kr_link_push(&line->calls, &c->link);
    line->open_n++;
    x->impl = c;
    x->status = 0;
    x->unsent = x->refused = false;
    if (line->dead) {
        clock_of(c)->ops->timer_start(clock_of(c), &c->last, 0);
        return;
    }
    c->inner = *x;
    c->inner.impl = NULL;
    c->inner.path = kr_strdup(&c->arena, x->path);
    c->inner.body = kr_strdup(&c->arena, x->body);
    sim_mutate_request(s, &c->arena, &c->inner);
    s->busy_at = x->stream ? s->busy_at : s->clock.now_ms;
    know_list(s, x);
    decide(c);
    clock_of(c)->ops->timer_start(clock_of(c), &c->up, delay(s));
    if (line->proc->crash_in && --line->proc->crash_in == 0) {
        line->proc->crash_due = true;
        sim_line_die(line, line->proc->crash_sent);
    }
}

/* Nobody waits for the answer. Whether what is on its way arrives is decided now. */
static void let_go(struct call *c, bool sent)
{
    if (c->up.heap_at && sent && is_write(&c->inner)) {
        clock_of(c)->ops->timer_stop(clock_of(c), &c->up);
        send(c);
        return;
    }
    if (c->up.heap_at || c->inner.stream || !sent)
        drop_inner(c);
}

static void line_cancel(struct kube_transport *t, struct kube_exchange *x)
{
    struct call *c = x->impl;
    struct sim *s = sim_of(c);

    c->canceled = true;
    if (!is_write(x))
        sim_check_closed(s->check, x->path);
    if (!c->line->dead)
        let_go(c, !c->ruled && sim_pick(s, 2));
    clock_of(c)->ops->timer_start(clock_of(c), &c->last, 0);
}

static kr_str line_server(struct kube_transport *t)
{
    return KR_S("https://sandbox");
}

void sim_line_die(struct sim_line *line, bool sent)
{
    if (line->dead)
        return;
    line->dead = true;
    for (struct kr_link *l = line->calls.next, *next; l != &line->calls; l = next) {
        struct call *c = KR_OWNER(l, struct call, link);

        next = l->next;
        if (!c->canceled)
            let_go(c, sent && !c->ruled);
        if (c->x)
            clock_of(c)->ops->timer_start(clock_of(c), &c->last, 0);
        else
            call_tidy(c);
    }
}

static const struct kube_transport_ops ops = {line_start, line_cancel, line_server};

struct sim_line *sim_line_new(struct sim_proc *proc)
{
    struct sim_line *line = KR_ALLOC(struct sim_line);

    line->transport.ops = &ops;
    line->proc = proc;
    kr_link_init(&line->calls);
    return line;
}

struct kube_transport *sim_line_transport(struct sim_line *line)
{
    return &line->transport;
}

bool sim_line_idle(const struct sim_line *line)
{
    return kr_link_empty(&line->calls);
}

void sim_line_free(struct sim_line *line)
{
    KR_ASSERT(kr_link_empty(&line->calls));
    kr_free(line);
}
