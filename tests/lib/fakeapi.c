/* SPDX-License-Identifier: Apache-2.0 */
/* fakeapi.c - the transport of fakeapi: the life of an exchange, the log, and what tests call. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/fakeapi_internal.h"

static void on_timer(struct kube_timer *timer);
static void on_silence(struct kube_timer *timer);

/* --- requests --------------------------------------------------------------------------------- */

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

static kr_str decode(struct kr_arena *a, kr_str s)
{
    char *out = kr_arena_bytes(a, s.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (s.s[i] == '%' && i + 2 < s.n && hex(s.s[i + 1]) >= 0 && hex(s.s[i + 2]) >= 0) {
            out[n++] = (char)(hex(s.s[i + 1]) * 16 + hex(s.s[i + 2]));
            i += 2;
        } else {
            out[n++] = s.s[i] == '+' ? ' ' : s.s[i];
        }
    }
    out[n] = '\0';
    return (kr_str){out, n};
}

kr_str fake_query(struct kr_arena *a, kr_str query, const char *name)
{
    while (query.s != NULL) {
        kr_str value = kr_str_cut(&query, '&'), key = kr_str_cut(&value, '=');

        if (kr_str_eq(key, kr_str_c(name)))
            return decode(a, value);
    }
    return (kr_str){0};
}

void fake_status(struct fake_response *r, int code, const char *reason, const char *fmt, ...)
{
    struct kr_mapb b = KR_MAPB(r->a);
    char text[2048];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    kr_mapb_put(&b, KR_S("kind"), KR_V_STR("Status"));
    kr_mapb_put(&b, KR_S("apiVersion"), KR_V_STR("v1"));
    kr_mapb_put(&b, KR_S("status"), KR_V_STR("Failure"));
    kr_mapb_put(&b, KR_S("message"), kr_string(kr_strdup(r->a, kr_str_c(text))));
    kr_mapb_put(&b, KR_S("reason"), kr_string(kr_str_c(reason)));
    kr_mapb_put(&b, KR_S("code"), kr_int(code));
    r->status = code;
    r->body = kr_mapb_done(&b);
}

/* /api/v1/... and /apis/GROUP/VERSION/..., [namespaces/NS/]RESOURCE[/NAME[/SUB]] */
static bool parse_target(struct fakeapi *f, struct kr_arena *a, kr_str path, struct fake_target *t)
{
    kr_str parts[10] = {{0}}, group = {0}, version;
    uint32_t n = 0, at;

    kr_str_cut(&path, '/');
    while (path.s != NULL && n < KR_N(parts))
        parts[n++] = decode(a, kr_str_cut(&path, '/'));
    *t = (struct fake_target){0};
    if (path.s != NULL || n < 3)
        return false;
    at = kr_str_is(parts[0], "api") ? 1 : 2;
    if (at == 2)
        group = parts[1];
    version = parts[at++];
    if (kr_str_is(parts[at], "namespaces") && n - at >= 3 && !kr_str_is(parts[at + 2], "status")) {
        t->namespace = parts[at + 1];
        at += 2;
    }
    t->kind = fake_kind_by_resource(f, group, version, parts[at]);
    t->name = at + 1 < n ? parts[at + 1] : (kr_str){0};
    t->sub = at + 2 < n ? parts[at + 2] : (kr_str){0};
    if (t->kind == NULL || at + 3 < n ||
        (t->sub.n > 0 && !(kr_str_is(t->sub, "status") && t->kind->has_status)))
        return false;
    return !t->kind->namespaced || t->namespace.n > 0 || t->name.n == 0;
}

/* Handles a request that is no watch. */
static void handle(struct fakeapi *f, const struct fake_request *q, struct fake_response *r)
{
    struct fake_target t;

    if (fake_meta_request(f, q, r))
        return;
    if (!parse_target(f, r->a, q->path, &t))
        fake_status(r, 404, "NotFound", "the server could not find the requested resource");
    else
        fake_object_request(f, q, &t, r);
}

static void split_query(kr_str *path, kr_str *query)
{
    kr_str rest = *path;

    *path = kr_str_cut(&rest, '?');
    *query = rest;
}

/* --- the log ---------------------------------------------------------------------------------- */

static void log_request(struct fakeapi *f, const struct fake_request *q, bool watch, int status)
{
    KR_AUTO(kr_arena) a = {0};
    kr_str manager = fake_query(&a, q->query, "fieldManager");

    kr_buf_fmt(&f->log, "%s " KR_FMT "%s " KR_FMT " %d\n", q->method, KR_ARG(q->path),
               watch ? "?watch" : "", KR_ARG(manager.n > 0 ? manager : KR_S("-")), status);
    KR_ASSERT(!f->log.full);
}

const char *fakeapi_log(struct fakeapi *f)
{
    return f->log.n > 0 ? f->log.s : "";
}

void fakeapi_log_reset(struct fakeapi *f)
{
    kr_buf_reset(&f->log);
}

uint32_t fakeapi_log_n(struct fakeapi *f, const char *method, const char *part)
{
    kr_str rest = kr_buf_view(&f->log);
    uint32_t n = 0;

    while (rest.n > 0) {
        kr_str line = kr_str_cut(&rest, '\n'), tail = line, verb = kr_str_cut(&tail, ' ');
        bool right = method != NULL ? kr_str_eq(verb, kr_str_c(method)) : !kr_str_is(verb, "GET");

        n += right && (part == NULL || kr_str_find(line, kr_str_c(part)) >= 0);
    }
    return n;
}

/* --- the life of an exchange ------------------------------------------------------------------ */

void fake_wake(struct fake_call *call, uint64_t delay_ms)
{
    struct kube_clock *c = call->f->clock;

    if (call->timer.heap_at == 0)
        c->ops->timer_start(c, &call->timer, delay_ms);
}

static void call_end(struct fake_call *call, int rc, const char *why)
{
    struct kube_clock *c = call->f->clock;
    struct kube_exchange *x = call->x;
    struct kr_err err = KR_ERR_NONE;

    c->ops->timer_stop(c, &call->timer);
    c->ops->timer_stop(c, &call->silence);
    kr_link_remove(&call->link);
    kr_buf_fini(&call->out);
    kr_arena_fini(&call->arena);
    x->impl = NULL;
    x->unsent = rc < 0 && !call->handled;
    x->refused = x->unsent && rc == KR_E_IO;
    kr_free(call);
    if (rc < 0)
        kr_fail(&err, rc, "%s", why);
    x->on_end(x, rc, &err);
}

/* Handles the request: its answer, or what a watch begins with, is in call->out. */
static int call_handle(struct fake_call *call, int32_t *retry_after_s)
{
    KR_AUTO(kr_arena) a = {0};
    struct fakeapi *f = call->f;
    struct kube_exchange *x = call->x;
    struct fake_request q = {.method = x->method,
                             .path = x->path,
                             .content_type = x->content_type,
                             .accept = x->accept,
                             .agent = x->user_agent,
                             .body = x->body};
    struct fake_response r = {.a = &a};
    struct kr_err err = KR_ERR_NONE;
    kr_str watch;
    bool watches = false;

    split_query(&q.path, &q.query);
    watch = fake_query(&a, q.query, "watch");
    if (kr_str_is(watch, "true") || kr_str_is(watch, "1")) {
        if (!parse_target(f, &a, q.path, &call->target) || call->target.name.n > 0)
            fake_status(&r, 404, "NotFound", "the server could not find the requested resource");
        else
            watches = fake_watch_start(call, &q, &r);
    } else {
        handle(f, &q, &r);
    }
    call->handled = true;
    if (watches)
        r.status = 200;
    else if (kr_json_write(&call->out, r.body, 0, &err) < 0)
        KR_ASSERT(false);
    call->ending = call->ending || !watches;
    log_request(f, &q, watch.s != NULL, r.status);
    *retry_after_s = r.retry_after_s;
    return r.status;
}

/* Gives out what is there; false: the owner stopped, or cancelled, or all broke meanwhile. */
static bool call_write(struct fake_call *call)
{
    size_t chunk = call->f->opts.chunk_bytes ? call->f->opts.chunk_bytes : call->out.n;
    struct kr_buf bytes = call->out;
    bool on = true;

    call->out = (struct kr_buf)KR_BUF(call->out.max); /* callbacks may add to it */
    for (size_t at = 0; at < bytes.n && on && !call->canceled; at += chunk)
        on = call->x->on_bytes(call->x, bytes.s + at, bytes.n - at < chunk ? bytes.n - at : chunk);
    kr_buf_fini(&bytes);
    return on;
}

static void keep_alive(struct fake_call *call)
{
    struct kube_clock *c = call->f->clock;

    if (call->f->opts.silence && call->watching && call->x->timeout_ms > 0)
        c->ops->timer_start(c, &call->silence, call->x->timeout_ms);
}

static void on_timer(struct kube_timer *timer)
{
    struct fake_call *call = KR_OWNER(timer, struct fake_call, timer);
    struct kube_exchange *x = call->x;

    if (call->canceled) {
        call_end(call, KR_E_CANCELED, "canceled");
        return;
    }
    if (call->broken) {
        call_end(call, call->end_rc,
                 call->handled ? "the connection broke"
                               : "connect to https://fake: connection refused");
        return;
    }
    if (!call->handled) {
        int32_t retry_after_s;
        int status = call_handle(call, &retry_after_s);

        x->status = status;
        x->on_head(x, status, retry_after_s > 0 ? retry_after_s * 1000 : -1);
    } else if (call->watching) {
        fake_watch_fill(call);
    }
    keep_alive(call);
    if (!call_write(call))
        call_end(call, call->canceled ? KR_E_CANCELED : KR_E_LIMIT, "the response was refused");
    else if (call->canceled)
        call_end(call, KR_E_CANCELED, "canceled");
    else if (call->ending)
        call_end(call, 0, NULL);
}

static void on_silence(struct kube_timer *timer)
{
    call_end(KR_OWNER(timer, struct fake_call, silence), KR_E_IO,
             "https://fake: the stream was silent");
}

static void call_break(struct fake_call *call, int rc)
{
    struct kube_clock *c = call->f->clock;

    call->broken = true;
    call->end_rc = rc;
    c->ops->timer_start(c, &call->timer, 0);
}

static struct fakeapi *of(struct kube_transport *t)
{
    return KR_OWNER(t, struct fakeapi, transport);
}

static void transport_start(struct kube_transport *t, struct kube_exchange *x)
{
    struct fakeapi *f = of(t);
    struct fake_call *call = KR_ALLOC(struct fake_call);

    call->f = f;
    call->x = x;
    call->timer.fn = on_timer;
    call->silence.fn = on_silence;
    kr_buf_init(&call->out, 256 * 1024 * 1024);
    kr_link_init(&call->link);
    kr_link_push(&f->calls, &call->link);
    x->impl = call;
    x->status = 0;
    x->unsent = x->refused = false;
    if (f->down)
        call_break(call, KR_E_IO);
    else
        fake_wake(call, f->opts.latency_ms);
}

static void transport_cancel(struct kube_transport *t, struct kube_exchange *x)
{
    struct fake_call *call = x->impl;

    call->canceled = true;
    of(t)->clock->ops->timer_start(of(t)->clock, &call->timer, 0);
}

static kr_str transport_server(struct kube_transport *t)
{
    return KR_S("https://fake");
}

static const struct kube_transport_ops ops = {transport_start, transport_cancel, transport_server};

/* --- CRDs become established after a while ---------------------------------------------------- */

static kr_val condition(struct kr_arena *a, const char *type)
{
    struct kr_mapb b = KR_MAPB(a);

    kr_mapb_put(&b, KR_S("type"), kr_string(kr_str_c(type)));
    kr_mapb_put(&b, KR_S("status"), KR_V_STR("True"));
    kr_mapb_put(&b, KR_S("reason"), KR_V_STR("NoConflicts"));
    kr_mapb_put(&b, KR_S("message"), KR_V_STR(""));
    return kr_mapb_done(&b);
}

static void establish(struct fakeapi *f, struct fake_kind *k, struct fake_obj *o)
{
    KR_AUTO(kr_arena) a = {0};
    kr_val conditions[] = {condition(&a, "NamesAccepted"), condition(&a, "Established")};
    struct kr_listb stored = KR_LISTB(&a);
    kr_val v = o->v;

    KR_LIST_EACH (version, kr_at(v, "spec.versions"))
        if (kr_is_true(kr_at(*version, "storage")))
            kr_listb_add(&stored, kr_get(*version, KR_S("name")));
    v = kr_with(&a, v, "status.conditions", kr_list(conditions, 2));
    v = kr_with(&a, v, "status.acceptedNames", kr_at(v, "spec.names"));
    v = kr_with(&a, v, "status.storedVersions", kr_listb_done(&stored));
    fake_commit(f, &a, k, o, v);
}

static void on_crds(struct kube_timer *timer)
{
    struct fakeapi *f = KR_OWNER(timer, struct fakeapi, crds);
    struct fake_kind *k = fake_kind_by_resource(f, KR_S("apiextensions.k8s.io"), KR_S("v1"),
                                                KR_S("customresourcedefinitions"));

    kr_map_each (e, &f->objects) {
        struct fake_obj *o = e->val;

        if (kr_str_eq(o->resource, k->resource) && kr_at(o->v, "status.conditions").n == 0)
            establish(f, k, o);
    }
}

/* --- life ------------------------------------------------------------------------------------- */

struct fakeapi *fakeapi_new(struct kube_clock *clock, const struct fakeapi_opts *opts)
{
    struct fakeapi *f = KR_ALLOC(struct fakeapi);

    f->transport.ops = &ops;
    f->clock = clock;
    if (opts != NULL)
        f->opts = *opts;
    f->version = f->compacted = FAKEAPI_FIRST_VERSION;
    f->crds.fn = on_crds;
    kr_buf_init(&f->log, 64 * 1024 * 1024);
    kr_link_init(&f->calls);
    fake_kinds_load(f);
    fakeapi_apply(f, "fakeapi",
                  "{apiVersion: v1, kind: Namespace, metadata: {name: default}}\n---\n"
                  "{apiVersion: v1, kind: Namespace, metadata: {name: kube-system}}\n");
    return f;
}

void fakeapi_free(struct fakeapi *f)
{
    if (f == NULL)
        return;
    KR_ASSERT(kr_link_empty(&f->calls));
    f->clock->ops->timer_stop(f->clock, &f->crds);
    fake_compact(f);
    kr_map_each (e, &f->objects)
        fake_obj_drop(e->val);
    kr_map_fini(&f->objects);
    kr_free(f->events);
    fake_kinds_free(f);
    kr_buf_fini(&f->log);
    kr_arena_fini(&f->arena);
    kr_free(f);
}

struct kube_transport *fakeapi_transport(struct fakeapi *f)
{
    return &f->transport;
}

struct fakeapi_opts *fakeapi_opts(struct fakeapi *f)
{
    return &f->opts;
}

/* The call after `call`, or the first; NULL at the end. */
static struct fake_call *next_call(const struct fakeapi *f, const struct fake_call *call)
{
    const struct kr_link *l = call != NULL ? call->link.next : f->calls.next;

    return l == &f->calls ? NULL : KR_OWNER((struct kr_link *)(uintptr_t)l, struct fake_call, link);
}

bool fakeapi_idle(const struct fakeapi *f)
{
    for (struct fake_call *call = next_call(f, NULL); call != NULL; call = next_call(f, call))
        if (call->timer.heap_at != 0)
            return false;
    return f->crds.heap_at == 0;
}

uint32_t fakeapi_watches_n(const struct fakeapi *f)
{
    uint32_t n = 0;

    for (struct fake_call *call = next_call(f, NULL); call != NULL; call = next_call(f, call))
        n += call->watching;
    return n;
}

void fakeapi_compact(struct fakeapi *f)
{
    for (struct fake_call *call = next_call(f, NULL); call != NULL; call = next_call(f, call))
        if (call->watching)
            fake_watch_fill(call); /* those who are here have seen it */
    fake_compact(f);
}

void fakeapi_bookmark(struct fakeapi *f)
{
    for (struct fake_call *call = next_call(f, NULL); call != NULL; call = next_call(f, call))
        if (call->watching)
            fake_watch_bookmark(call);
}

void fakeapi_break_watches(struct fakeapi *f, int rc)
{
    for (struct fake_call *call = next_call(f, NULL); call != NULL; call = next_call(f, call))
        if (call->watching)
            call_break(call, rc);
}

void fakeapi_set_down(struct fakeapi *f, bool down)
{
    f->down = down;
    for (struct fake_call *call = next_call(f, NULL); call != NULL; call = next_call(f, call))
        if (down)
            call_break(call, KR_E_IO);
}

/* --- as somebody else ------------------------------------------------------------------------- */

int fakeapi_do(struct fakeapi *f, struct kr_arena *a, const char *method, const char *path,
               const char *manager, const char *content_type, kr_val body, kr_val *out)
{
    struct fake_request q = {
        .method = method, .path = kr_str_c(path), .content_type = content_type, .agent = manager};
    struct fake_response r = {.a = a};

    split_query(&q.path, &q.query);
    if (content_type == NULL && strcmp(method, "PATCH") == 0)
        q.content_type = "application/merge-patch+json";
    if (body.kind != KR_NONE)
        q.body = kr_json_str(a, body);
    handle(f, &q, &r);
    if (out != NULL)
        *out = kr_copy(a, r.body);
    return r.status;
}

static void apply_one(struct fakeapi *f, struct kr_arena *a, const char *manager, kr_val v)
{
    kr_gvk gvk = {.kind = kr_at_str(v, "kind")};
    struct fake_kind *k = NULL;
    kr_str ns = kr_at_str(v, "metadata.namespace"), path, message;
    kr_val answer;

    if (kr_api_version(kr_at_str(v, "apiVersion"), &gvk.group, &gvk.version))
        k = fake_kind_by_gvk(f, gvk);
    if (k == NULL) {
        fprintf(stderr, "fakeapi_apply: no kind " KR_FMT " in " KR_FMT "\n", KR_ARG(gvk.kind),
                KR_ARG(kr_at_str(v, "apiVersion")));
        abort();
    }
    path = gvk.group.n
               ? kr_fmt(a, "/apis/" KR_FMT "/" KR_FMT, KR_ARG(gvk.group), KR_ARG(gvk.version))
               : KR_S("/api/v1");
    if (k->namespaced)
        path = kr_fmt(a, KR_FMT "/namespaces/" KR_FMT, KR_ARG(path),
                      KR_ARG(ns.n ? ns : KR_S("default")));
    path = kr_fmt(a, KR_FMT "/" KR_FMT "/" KR_FMT "?force=true", KR_ARG(path), KR_ARG(k->resource),
                  KR_ARG(kr_at_str(v, "metadata.name")));
    if (fakeapi_do(f, a, "PATCH", path.s, manager, "application/apply-patch+yaml", v, &answer) >=
        300) {
        message = kr_at_str(answer, "message");
        fprintf(stderr, "fakeapi_apply: " KR_FMT "\n", KR_ARG(message));
        abort();
    }
}

void fakeapi_apply(struct fakeapi *f, const char *manager, const char *yaml)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_err err = KR_ERR_NONE;
    kr_val docs;

    if (kr_yaml_parse(&a, kr_str_c(yaml), &docs, &err) < 0) {
        fprintf(stderr, "fakeapi_apply: %s\n", err.text);
        abort();
    }
    KR_LIST_EACH (doc, docs)
        apply_one(f, &a, manager, *doc);
}

int fakeapi_patch(struct fakeapi *f, const char *manager, const char *path, const char *patch)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_err err = KR_ERR_NONE;
    kr_val docs;

    if (kr_yaml_parse(&a, kr_str_c(patch), &docs, &err) < 0) {
        fprintf(stderr, "fakeapi_patch: %s\n", err.text);
        abort();
    }
    return fakeapi_do(f, &a, "PATCH", path, manager, NULL, kr_item(docs, 0), NULL);
}

int fakeapi_delete(struct fakeapi *f, const char *path)
{
    KR_AUTO(kr_arena) a = {0};

    return fakeapi_do(f, &a, "DELETE", path, "test", NULL, KR_V_NONE, NULL);
}

kr_val fakeapi_get(struct fakeapi *f, struct kr_arena *a, const char *path)
{
    kr_val v;

    return fakeapi_do(f, a, "GET", path, "test", NULL, KR_V_NONE, &v) == 200 ? v : KR_V_NONE;
}

uint32_t fakeapi_objects_n(const struct fakeapi *f, const char *resource, const char *group)
{
    uint32_t n = 0;

    kr_map_each (e, &f->objects) {
        const struct fake_obj *o = e->val;

        n += kr_str_eq(o->resource, kr_str_c(resource)) && kr_str_eq(o->group, kr_str_c(group));
    }
    return n;
}
