/* SPDX-License-Identifier: Apache-2.0 */
/* watch.c - the stream of changes to the objects of one type.
 *
 * A watch is a place in the type's history and reads only when its reader asks: a slow one holds a
 * number, no bytes, and disturbs nobody. If the history moves on past it, it ends with 410.
 *
 *   opened with the objects there are:  ADDED ..., then (streaming list) a bookmark, then changes
 *   opened behind a version:            changes
 */
#include <inttypes.h>

#include "cel/base/json.h"
#include "kube/sandbox/internal.h"

#include "cel/base/banned.h"

enum {
    BOOKMARK_MS = 60 * 1000,
    TIMEOUT_S = 30 * 60, /* of a watch that asks for none */
    TIMEOUT_MAX_S = 24 * 60 * 60,
    LINE_MAX = 64 * 1024 * 1024, /* bytes of one event */
};

struct sandbox_watch {
    struct sandbox *s;
    struct sandbox_type *type;
    kr_str version; /* name */
    struct sandbox_filter filter;
    enum sandbox_form form;
    kr_str accept;
    bool bookmarks, initial_end; /* takes bookmarks; owes the one behind the first objects */
    bool no_columns_yet;         /* of tables: the first says the columns */
    bool bookmark_due, ended;

    struct sandbox_obj **first; /* objects to show before changes; held */
    uint32_t first_at, first_n;
    uint64_t at;    /* number of the next event */
    uint64_t shown; /* version up to which all is shown */
    struct kube_timer timeout, bookmark;
    void (*more)(void *arg);
    void *arg;
    struct kr_link link; /* of the type */
    struct kr_arena arena;
};

/* --- opening ---------------------------------------------------------------------------------- */

static void tell(struct sandbox_watch *w)
{
    if (w->more)
        w->more(w->arg);
}

static void on_timeout(struct kube_timer *timer)
{
    struct sandbox_watch *w = KR_OWNER(timer, struct sandbox_watch, timeout);

    w->ended = true;
    tell(w);
}

static void on_bookmark(struct kube_timer *timer)
{
    struct sandbox_watch *w = KR_OWNER(timer, struct sandbox_watch, bookmark);

    w->bookmark_due = true;
    w->s->clock->ops->timer_start(w->s->clock, timer, BOOKMARK_MS);
    tell(w);
}

static void collect_first(struct sandbox_watch *w)
{
    const struct sandbox_tree *tree = &w->type->objects;

    w->first = kr_alloc((tree->n + 1) * sizeof w->first[0]);
    for (struct sandbox_node *n = sandbox__tree_seek(tree, KR_S("")); n;
         n = sandbox__node_next(n)) {
        struct sandbox_obj *o = sandbox__node_obj(n);

        if (sandbox__filter_match(&w->filter, w->type, o))
            w->first[w->first_n++] = sandbox__obj_hold(o);
    }
}

static void start_timers(struct sandbox_watch *w, const struct sandbox_call *c)
{
    struct kube_clock *clock = w->s->clock;
    uint64_t seconds = 0;

    if (!kr_str_u64(sandbox__arg(c, "timeoutSeconds"), &seconds) || seconds == 0)
        seconds = TIMEOUT_S;
    if (seconds > TIMEOUT_MAX_S)
        seconds = TIMEOUT_MAX_S;
    w->timeout.fn = on_timeout;
    clock->ops->timer_start(clock, &w->timeout, seconds * 1000);
    w->bookmark.fn = on_bookmark;
    if (w->bookmarks)
        clock->ops->timer_start(clock, &w->bookmark, BOOKMARK_MS);
}

/* Where the watch begins. 0, or the status of a refusal. */
static int begin(struct sandbox_call *c, struct sandbox_watch *w)
{
    kr_str rv = sandbox__arg(c, "resourceVersion"), initial = sandbox__arg(c, "sendInitialEvents");
    bool streaming = sandbox__arg_true(c, "sendInitialEvents");
    uint64_t version = 0;

    if (rv.n && !kr_str_u64(rv, &version))
        return sandbox__fail(c, 400, "BadRequest", "Invalid value: \"" KR_FMT "\"", KR_ARG(rv));
    if (initial.n && !kr_str_is(sandbox__arg(c, "resourceVersionMatch"), "NotOlderThan"))
        return sandbox__fail(
            c, 422, "Invalid",
            "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: "
            "Forbidden: resourceVersionMatch is forbidden unless sendInitialEvents "
            "is provided with value NotOlderThan");
    if (version > c->s->version)
        return sandbox__too_new(c, version);
    w->at = w->type->events_to;
    w->shown = c->s->version;
    w->initial_end = streaming && w->bookmarks;
    if (streaming || (initial.n == 0 && version == 0)) {
        collect_first(w);
        return 0;
    }
    if (version == 0)
        return 0;
    if (version < w->type->compacted)
        return sandbox__expired(c, version, w->type->compacted);
    w->at = sandbox__event_after(w->type, version);
    w->shown = version;
    return 0;
}

int sandbox__watch(struct sandbox_call *c)
{
    struct sandbox_watch *w;
    int status;

    if (c->s->watches_n >= SANDBOX_WATCHES_MAX)
        return sandbox__fail(c, 429, "TooManyRequests", "more than %d watches",
                             SANDBOX_WATCHES_MAX);
    w = KR_ALLOC(struct sandbox_watch);
    w->s = c->s;
    w->type = c->t.type;
    w->version = kr_strdup(&w->arena, c->t.version->name);
    w->accept = kr_strdup(&w->arena, c->q->accept);
    w->form = sandbox__wants(c);
    w->bookmarks = sandbox__arg_true(c, "allowWatchBookmarks");
    w->no_columns_yet = true;
    kr_link_push(&w->type->watches, &w->link);
    c->s->watches_n++;
    status = sandbox__filter_read(c, &w->arena, &w->filter);
    if (status == 0)
        status = begin(c, w);
    if (status) {
        sandbox_watch_close(w);
        return status;
    }
    start_timers(w, c);
    c->r->watch = w;
    c->r->content_type = "application/json";
    return c->r->status = 200;
}

void sandbox_watch_close(struct sandbox_watch *w)
{
    if (w == NULL)
        return;
    w->s->clock->ops->timer_stop(w->s->clock, &w->timeout);
    w->s->clock->ops->timer_stop(w->s->clock, &w->bookmark);
    kr_link_remove(&w->link);
    w->s->watches_n--;
    for (uint32_t i = w->first_at; i < w->first_n; i++)
        sandbox__obj_drop(w->first[i]);
    kr_free(w->first);
    kr_arena_fini(&w->arena);
    kr_free(w);
}

void sandbox_watch_on_more(struct sandbox_watch *w, void (*fn)(void *arg), void *arg)
{
    w->more = fn;
    w->arg = arg;
}

uint32_t sandbox_watches_n(const struct sandbox *s)
{
    return s->watches_n;
}

/* Does the watch show the latest event? One that is up to date and does not steps over it, unread. */
static bool concerns(struct sandbox_watch *w, const struct sandbox_event *e, kr_val *old,
                     kr_val *now, struct kr_arena *a)
{
    bool up_to_date =
        w->at + 1 == w->type->events_to && w->first_at == w->first_n && !w->initial_end;

    if (!up_to_date || (e->old && sandbox__filter_takes(&w->filter, w->type, e->old, old, a)) ||
        (e->change != SANDBOX_DELETED &&
         sandbox__filter_takes(&w->filter, w->type, e->now, now, a)))
        return true;
    w->at++;
    w->shown = e->version;
    return false;
}

void sandbox__watches_wake(struct sandbox_type *t)
{
    KR_AUTO(kr_arena) a = {0};
    const struct sandbox_event *e = sandbox__event(t, t->events_to - 1);
    kr_val old = KR_V_NONE, now = KR_V_NONE; /* read once for all watches that select */

    for (struct kr_link *l = t->watches.next, *next; l != &t->watches; l = next) {
        struct sandbox_watch *w = KR_OWNER(l, struct sandbox_watch, link);

        next = l->next;
        if (concerns(w, e, &old, &now, &a))
            tell(w);
    }
}

void sandbox__watches_end(struct sandbox_type *t)
{
    for (struct kr_link *l = t->watches.next, *next; l != &t->watches; l = next) {
        next = l->next;
        KR_OWNER(l, struct sandbox_watch, link)->ended = true;
        tell(KR_OWNER(l, struct sandbox_watch, link));
    }
}

void sandbox_bookmark(struct sandbox *s)
{
    kr_map_each (e, &s->types) {
        struct sandbox_type *t = e->val;

        for (struct kr_link *l = t->watches.next; l != &t->watches; l = l->next)
            KR_OWNER(l, struct sandbox_watch, link)->bookmark_due = true;
        for (struct kr_link *l = t->watches.next, *next; l != &t->watches; l = next) {
            next = l->next;
            tell(KR_OWNER(l, struct sandbox_watch, link));
        }
    }
}

/* --- reading ---------------------------------------------------------------------------------- */

static void put_value(struct sandbox_watch *w, struct kr_buf *out, const char *type, kr_val v)
{
    struct kr_err err = KR_ERR_NONE;
    int rc;

    kr_buf_fmt(out, "{\"type\":\"%s\",\"object\":", type);
    rc = kr_json_write(out, v, 0, &err);
    KR_ASSERT(rc == 0);
    kr_buf_fmt(out, "}\n");
}

/* The form that the watch asked for, of a value. */
static void put_formed(struct sandbox_watch *w, struct kr_buf *out, const char *type,
                       const struct sandbox_version *v, struct kr_arena *a, kr_val value)
{
    struct sandbox_request q = {.method = "GET", .accept = w->accept};
    struct sandbox_call c = {.s = w->s, .q = &q, .a = a, .t = {.type = w->type, .version = v}};

    value = sandbox__formed(&c, value);
    if (w->form == SANDBOX_FORM_TABLE && !w->no_columns_yet)
        value = kr_with_key(a, value, KR_S("columnDefinitions"), KR_V_NULL);
    w->no_columns_yet = false;
    put_value(w, out, type, value);
}

static void put_object(struct sandbox_watch *w, struct kr_buf *out, const char *type,
                       const struct sandbox_version *v, const struct sandbox_obj *o)
{
    KR_AUTO(kr_arena) a = {0};

    if (w->form != SANDBOX_FORM_FULL) {
        put_formed(w, out, type, v, &a, sandbox__value(&a, w->type, v, o));
        return;
    }
    kr_buf_fmt(out, "{\"type\":\"%s\",\"object\":", type);
    sandbox__show(out, w->type, v, o);
    kr_buf_fmt(out, "}\n");
}

/* An object that the selectors no longer take: its former state, with the version of the change. */
static void put_left(struct sandbox_watch *w, struct kr_buf *out, const struct sandbox_version *v,
                     const struct sandbox_event *e)
{
    KR_AUTO(kr_arena) a = {0};
    kr_val value = sandbox__value(&a, w->type, v, e->old);

    value = kr_with(&a, value, "metadata.resourceVersion",
                    kr_string(kr_fmt(&a, "%" PRIu64, e->version)));
    if (w->form == SANDBOX_FORM_FULL)
        put_value(w, out, "DELETED", value);
    else
        put_formed(w, out, "DELETED", v, &a, value);
}

static void put_event(struct sandbox_watch *w, struct kr_buf *out, const struct sandbox_version *v,
                      const struct sandbox_event *e)
{
    bool was = e->old && sandbox__filter_match(&w->filter, w->type, e->old);
    bool is = e->change != SANDBOX_DELETED && sandbox__filter_match(&w->filter, w->type, e->now);

    if (is)
        put_object(w, out, was ? "MODIFIED" : "ADDED", v, e->now);
    else if (was && e->change == SANDBOX_DELETED)
        put_object(w, out, "DELETED", v, e->now);
    else if (was)
        put_left(w, out, v, e);
}

static void put_bookmark(struct sandbox_watch *w, struct kr_buf *out,
                         const struct sandbox_version *v, bool initial)
{
    KR_AUTO(kr_arena) a = {0};
    kr_val b = kr_map_sorted(NULL, 0);

    b = kr_with(&a, b, "kind", kr_string(w->type->kind));
    b = kr_with(&a, b, "apiVersion", kr_string(sandbox__api_version(&a, w->type, v->name)));
    b = kr_with(&a, b, "metadata.resourceVersion", kr_string(kr_fmt(&a, "%" PRIu64, w->shown)));
    if (initial)
        b = kr_with_path(&a, b,
                         (const kr_str[]){KR_S("metadata"), KR_S("annotations"),
                                          KR_S("k8s.io/initial-events-end")},
                         3, KR_V_STR("true"));
    if (w->form == SANDBOX_FORM_FULL)
        put_value(w, out, "BOOKMARK", b);
    else
        put_formed(w, out, "BOOKMARK", v, &a, b);
}

static void put_gone(struct sandbox_watch *w, struct kr_buf *out)
{
    kr_buf_fmt(out,
               "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"apiVersion\":\"v1\","
               "\"metadata\":{},\"status\":\"Failure\",\"message\":\"too old resource version: "
               "%" PRIu64 " (%" PRIu64 ")\",\"reason\":\"Expired\",\"code\":410}}\n",
               w->shown, w->type->compacted);
    w->ended = true;
}

static bool put_first(struct sandbox_watch *w, struct kr_buf *out, const struct sandbox_version *v,
                      size_t enough)
{
    while (w->first_at < w->first_n) {
        if (out->n >= enough)
            return false;
        put_object(w, out, "ADDED", v, w->first[w->first_at]);
        sandbox__obj_drop(w->first[w->first_at++]);
    }
    if (w->initial_end)
        put_bookmark(w, out, v, true);
    w->initial_end = false;
    return true;
}

bool sandbox_watch_read(struct sandbox_watch *w, struct kr_buf *out, size_t enough)
{
    const struct sandbox_version *v = sandbox__type_version(w->type, w->version);

    if (w->ended || v == NULL || w->type->gone)
        return false;
    if (!put_first(w, out, v, enough))
        return true;
    if (w->at < w->type->events_from)
        put_gone(w, out);
    while (!w->ended && w->at < w->type->events_to && out->n < enough) {
        const struct sandbox_event *e = sandbox__event(w->type, w->at++);

        put_event(w, out, v, e);
        w->shown = e->version;
    }
    if (w->ended || w->at < w->type->events_to)
        return true;
    w->shown = w->s->version;
    if (w->bookmark_due && w->bookmarks)
        put_bookmark(w, out, v, false);
    w->bookmark_due = false;
    return true;
}
