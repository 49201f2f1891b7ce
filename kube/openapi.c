/* SPDX-License-Identifier: Apache-2.0 */
/* openapi.c - loads of schemas: which documents, fetched, reduced, read.
 *
 *   queue of loads
 *      |
 *   IDLE --> DISCOVERY --> INDEX --> DOCS --+--> on_done, IDLE
 *      |         ^           ^        |  ^  |
 *      |    a kind is        |        |  +--+ next document that is not in the cache
 *      |    not known        +--------+ a document moved meanwhile (once)
 *      +---- all kinds are known --> INDEX
 *
 * A document of a group version has all its kinds, and "paths" several times as large. It is read
 * without the latter, reduced to what the wanted kinds reach through $ref, stripped of
 * descriptions, and only that is kept: as a value in an arena of its own, under the document's URL,
 * which has the hash of the content in it.
 */
#include "kube/openapi.h"

#include "cel/base/map.h"
#include "cel/base/sm.h"

#include "cel/base/banned.h"

enum { O_IDLE, O_DISCOVERY, O_INDEX, O_DOCS, O_N };

#define TO(s) (1u << O_##s)
static const struct kr_sm_state openapi_states[O_N] = {
    [O_IDLE] = {"idle", TO(DISCOVERY) | TO(INDEX)},
    [O_DISCOVERY] = {"discovery", TO(INDEX) | TO(IDLE)},
    [O_INDEX] = {"index", TO(DOCS) | TO(IDLE)},
    [O_DOCS] = {"docs", TO(DOCS) | TO(INDEX) | TO(IDLE)},
};
#undef TO

/* A reduced document. */
struct doc {
    struct kr_link link; /* in kube_openapi.docs, the least recently used first */
    struct kr_arena a;   /* of all that follows */
    kr_str path;         /* "apis/apps/v1", as in the index */
    kr_str url;          /* with the hash of the content */
    kr_str *kinds;       /* which it was reduced to */
    uint32_t kinds_n;
    kr_val reduced; /* {"components":{"schemas":{...}}} */
};

/* A group version of the load that runs. */
struct want {
    kr_str group, version, path;
    kr_str url;      /* empty: the server publishes no document */
    struct doc *doc; /* once it is there */
    kr_str *kinds;   /* wanted of it */
    uint32_t kinds_n;
};

struct load {
    struct kr_link link; /* in kube_openapi.queue */
    struct kube_schemas_req *req;
    bool cancelled;
    bool moved;         /* the index was read a second time */
    struct want *wants; /* live in req->arena */
    uint32_t wants_n;
};

struct kube_openapi {
    struct kr_sm sm;
    struct kube_client *client;
    struct kube_discovery *discovery;
    struct kr_link queue;   /* struct load; the first is the one that runs when not idle */
    struct kr_link docs;    /* the cache */
    size_t bytes;           /* of it */
    struct kube_req req;    /* of INDEX and DOCS */
    struct want *fetching;  /* of DOCS */
    bool joined;            /* of DISCOVERY: the refresh was under way already */
    struct kube_timer kick; /* starts the queue, never inside kube_schemas_start */
};

static void openapi_step(struct kube_openapi *o);

static struct load *running(struct kube_openapi *o)
{
    return KR_OWNER(o->queue.next, struct load, link);
}

/* --- the cache -------------------------------------------------------------------------------- */

static bool doc_has(const struct doc *d, kr_str kind)
{
    for (uint32_t i = 0; i < d->kinds_n; i++) {
        if (kr_str_eq(d->kinds[i], kind))
            return true;
    }
    return false;
}

static bool doc_serves(const struct doc *d, const struct want *w)
{
    if (!kr_str_eq(d->url, w->url))
        return false;
    for (uint32_t i = 0; i < w->kinds_n; i++) {
        if (!doc_has(d, w->kinds[i]))
            return false;
    }
    return true;
}

static struct doc *doc_find(const struct kube_openapi *o, kr_str path)
{
    for (struct kr_link *l = o->docs.next; l != &o->docs; l = l->next) {
        struct doc *d = KR_OWNER(l, struct doc, link);

        if (kr_str_eq(d->path, path))
            return d;
    }
    return NULL;
}

static void doc_free(struct kube_openapi *o, struct doc *d)
{
    o->bytes -= d->a.used_bytes;
    kr_link_remove(&d->link);
    kr_arena_fini(&d->a);
    kr_free(d);
}

/* Drops what was not used for longest. Between loads only: a load borrows its documents. */
static void cache_trim(struct kube_openapi *o, size_t max_bytes)
{
    while (o->bytes > max_bytes)
        doc_free(o, KR_OWNER(o->docs.next, struct doc, link));
}

/* --- reducing --------------------------------------------------------------------------------- */

struct reduce {
    kr_val schemas;      /* of the whole document */
    struct kr_arena *a;  /* scratch */
    struct kr_map taken; /* component name -> itself */
    struct kr_mapb out;
    const struct want *w;
};

static void take(struct reduce *r, kr_str name);

/* v without descriptions; takes every component that it refers to. */
static kr_val strip(struct reduce *r, kr_val v)
{
    struct kr_mapb map = KR_MAPB(r->a);
    struct kr_listb list = KR_LISTB(r->a);

    if (v.kind != KR_MAP && v.kind != KR_LIST)
        return v;
    KR_LIST_EACH (item, v)
        kr_listb_add(&list, strip(r, *item));
    KR_MAP_EACH (pair, v) {
        static const char prefix[] = "#/components/schemas/";
        kr_str key = kr_text(pair->key), text = kr_text(pair->val);

        if (kr_str_is(key, "description") && pair->val.kind == KR_STRING)
            continue;
        if (kr_str_is(key, "default") || kr_str_is(key, "enum")) { /* values, not schemas */
            kr_mapb_put(&map, key, pair->val);
            continue;
        }
        if (kr_str_is(key, "$ref") && kr_str_starts(text, kr_str_c(prefix)))
            take(r, kr_str_sub(text, sizeof(prefix) - 1, text.n));
        kr_mapb_put(&map, key, strip(r, pair->val));
    }
    return v.kind == KR_LIST ? kr_listb_done(&list) : kr_mapb_done(&map);
}

/* References form chains as long as the document has components: they are queued, not followed. */
static void take(struct reduce *r, kr_str name)
{
    if (kr_get(r->schemas, name).kind == KR_MAP && !kr_map_get(&r->taken, name))
        kr_map_put(&r->taken, name, r);
}

static bool is_wanted(const struct reduce *r, kr_val schema)
{
    KR_LIST_EACH (gvk, kr_get(schema, KR_S("x-kubernetes-group-version-kind"))) {
        if (!kr_is_str(kr_get(*gvk, KR_S("group")), r->w->group) ||
            !kr_is_str(kr_get(*gvk, KR_S("version")), r->w->version))
            continue;
        for (uint32_t i = 0; i < r->w->kinds_n; i++) {
            if (kr_is_str(kr_get(*gvk, KR_S("kind")), r->w->kinds[i]))
                return true;
        }
    }
    return false;
}

/* The wanted kinds of a document and what they reach. Lives in a, borrows from the document. */
static kr_val reduce(const struct want *w, kr_val document, struct kr_arena *a)
{
    struct reduce r = {
        .schemas = kr_at(document, "components.schemas"), .a = a, .out = KR_MAPB(a), .w = w};
    struct kr_mapb components = KR_MAPB(a), root = KR_MAPB(a);

    KR_MAP_EACH (pair, r.schemas) {
        if (is_wanted(&r, pair->val))
            take(&r, kr_text(pair->key));
    }
    kr_map_each (e, &r.taken) { /* grows while it is walked */
        kr_str name = kr_strdup(a, kr_map_key(e));

        kr_mapb_put(&r.out, name, strip(&r, kr_get(r.schemas, name)));
    }
    kr_map_fini(&r.taken);
    kr_mapb_put(&components, KR_S("schemas"), kr_mapb_done(&r.out));
    kr_mapb_put(&root, KR_S("components"), kr_mapb_done(&components));
    return kr_mapb_done(&root);
}

/* Wants what the old document of the same content had as well, so that loads in turn keep it. */
static void want_old_kinds(struct want *w, const struct doc *old, struct kr_arena *a)
{
    kr_str *kinds;

    if (!old || !kr_str_eq(old->url, w->url))
        return;
    kinds = kr_new_n(a, kr_str, w->kinds_n + old->kinds_n);
    memcpy(kinds, w->kinds, sizeof(*kinds) * w->kinds_n);
    for (uint32_t i = 0; i < old->kinds_n; i++)
        kinds[w->kinds_n + i] = kr_strdup(a, old->kinds[i]);
    w->kinds = kinds;
    w->kinds_n += old->kinds_n;
}

static void doc_store(struct kube_openapi *o, struct want *w, kr_val document,
                      struct kr_arena *scratch)
{
    struct doc *old = doc_find(o, w->path), *d = KR_ALLOC(struct doc);

    want_old_kinds(w, old, scratch);
    if (old)
        doc_free(o, old);
    d->path = kr_strdup(&d->a, w->path);
    d->url = kr_strdup(&d->a, w->url);
    d->kinds = kr_new_n(&d->a, kr_str, w->kinds_n);
    d->kinds_n = w->kinds_n;
    for (uint32_t i = 0; i < w->kinds_n; i++)
        d->kinds[i] = kr_strdup(&d->a, w->kinds[i]);
    d->reduced = kr_copy(&d->a, reduce(w, document, scratch));
    o->bytes += d->a.used_bytes;
    kr_link_push(&o->docs, &d->link);
    w->doc = d;
}

/* --- what a load wants ------------------------------------------------------------------------ */

static bool all_known(const struct kube_openapi *o, const struct kube_schemas_req *req)
{
    for (uint32_t i = 0; i < req->gvks_n; i++) {
        if (!kube_discovery_kind(o->discovery, req->gvks[i]))
            return false;
    }
    return true;
}

static struct want *want_of(struct load *l, kr_gvk gvk)
{
    struct kr_arena *a = &l->req->arena;
    struct want *w;

    for (uint32_t i = 0; i < l->wants_n; i++) {
        w = &l->wants[i];
        if (kr_str_eq(w->group, gvk.group) && kr_str_eq(w->version, gvk.version))
            return w;
    }
    w = &l->wants[l->wants_n++];
    *w = (struct want){.group = gvk.group, .version = gvk.version};
    w->kinds = kr_new_n(a, kr_str, l->req->gvks_n);
    w->path = gvk.group.n > 0
                  ? kr_fmt(a, "apis/" KR_FMT "/" KR_FMT, KR_ARG(gvk.group), KR_ARG(gvk.version))
                  : kr_fmt(a, "api/" KR_FMT, KR_ARG(gvk.version));
    return w;
}

/* Parts the kinds into those the server lacks and the documents of the others. */
static void sort_out(struct kube_openapi *o, struct load *l)
{
    struct kube_schemas_req *req = l->req;

    l->wants = kr_new_n(&req->arena, struct want, req->gvks_n);
    l->wants_n = 0;
    req->missing = kr_new_n(&req->arena, kr_gvk, req->gvks_n);
    req->missing_n = 0;
    for (uint32_t i = 0; i < req->gvks_n; i++) {
        struct want *w;

        if (!kube_discovery_kind(o->discovery, req->gvks[i])) {
            req->missing[req->missing_n++] = kr_gvk_copy(&req->arena, req->gvks[i]);
            continue;
        }
        w = want_of(l, req->gvks[i]);
        w->kinds[w->kinds_n++] = req->gvks[i].kind;
    }
}

/* Finds the documents' URLs in the index, and those that are in the cache. */
static void read_index(struct kube_openapi *o, struct load *l, kr_val index)
{
    for (uint32_t i = 0; i < l->wants_n; i++) {
        struct want *w = &l->wants[i];
        kr_val entry = kr_get(kr_get(index, KR_S("paths")), w->path);
        kr_str url = kr_text(kr_get(entry, KR_S("serverRelativeURL")));
        struct doc *d;

        w->url = kr_str_starts(url, KR_S("/")) ? kr_strdup(&l->req->arena, url) : (kr_str){0};
        d = doc_find(o, w->path);
        w->doc = d && doc_serves(d, w) ? d : NULL;
        if (w->doc) { /* used just now */
            kr_link_remove(&d->link);
            kr_link_push(&o->docs, &d->link);
        }
    }
}

static struct want *next_to_fetch(struct load *l)
{
    for (uint32_t i = 0; i < l->wants_n; i++) {
        if (!l->wants[i].doc && l->wants[i].url.n > 0)
            return &l->wants[i];
    }
    return NULL;
}

/* All documents are there: the table of kinds that the load is for. */
static int make_kinds(struct kube_openapi *o, struct load *l, struct kr_err *err)
{
    KR_AUTO_PTR(cel_kinds) kinds = cel_kinds_new();

    for (uint32_t i = 0; i < l->wants_n; i++) {
        const struct want *w = &l->wants[i];

        if (w->doc && cel_kinds_read_openapi(kinds, w->doc->reduced, err) < 0)
            return kr_wrap(err, "schemas of " KR_FMT, KR_ARG(w->path));
    }
    for (uint32_t i = 0; i < l->req->gvks_n; i++) {
        const struct kube_kind *k = kube_discovery_kind(o->discovery, l->req->gvks[i]);

        if (!k)
            continue;
        cel_kinds_add(kinds, k->gvk, k->resource, k->namespaced);
        if (k->has_status)
            cel_kinds_set_status(kinds, k->gvk);
    }
    l->req->kinds = KR_MOVE(kinds);
    return 0;
}

/* --- the machine ------------------------------------------------------------------------------ */

/* Ends the load at the head of the queue. */
static void finish(struct kube_openapi *o, int rc, const struct kr_err *err)
{
    struct load *l = running(o);
    struct kube_schemas_req *req = l->req;
    struct kube_clock *c = kube_client_clock(o->client);

    if (o->sm.cur != O_IDLE)
        kr_sm_to(&o->sm, O_IDLE);
    kr_link_remove(&l->link);
    if (l->cancelled)
        rc = kr_fail(&req->err, KR_E_CANCELED, "canceled");
    else if (rc < 0)
        req->err = *err;
    if (rc < 0) {
        cel_kinds_free(req->kinds);
        req->kinds = NULL;
    }
    req->rc = rc;
    req->impl = NULL;
    kr_free(l);
    kube_req_fini(&o->req);
    cache_trim(o, rc < 0 ? KUBE_OPENAPI_UNFINISHED_MAX : KUBE_OPENAPI_CACHE_MAX);
    if (!kr_link_empty(&o->queue))
        c->ops->timer_start(c, &o->kick, 0);
    req->on_done(req);
}

static void go(struct kube_openapi *o, uint32_t state)
{
    kr_sm_to(&o->sm, state);
    openapi_step(o);
}

/* The next document, or the end. */
static void next_doc(struct kube_openapi *o)
{
    struct load *l = running(o);
    struct kr_err err = KR_ERR_NONE;

    o->fetching = next_to_fetch(l);
    if (o->fetching)
        go(o, O_DOCS);
    else
        finish(o, make_kinds(o, l, &err), &err);
}

/* A wanted kind that is not known, of a group version that was not told. */
static int check_read(struct kube_openapi *o, const struct kube_schemas_req *req,
                      struct kr_err *err)
{
    for (uint32_t i = 0; i < req->gvks_n; i++) {
        kr_gvk g = req->gvks[i];

        if (!kube_discovery_kind(o->discovery, g) &&
            kube_discovery_unread(o->discovery, g.group, g.version))
            return kr_fail(err, KR_E_IO,
                           "the server does not tell the kinds of " KR_FMT "%s" KR_FMT,
                           KR_ARG(g.group), g.group.n ? "/" : "", KR_ARG(g.version));
    }
    return 0;
}

static void on_discovery(struct kube_discovery *d, void *arg)
{
    struct kube_openapi *o = arg;
    const struct kr_err *err = kube_discovery_error(d);
    struct kr_err unread = KR_ERR_NONE;

    if (o->joined && !running(o)->cancelled && !all_known(o, running(o)->req)) {
        o->joined = false; /* that refresh may have begun before the kind was there */
        kube_discovery_refresh(d, on_discovery, o);
        return;
    }
    if (running(o)->cancelled || kube_discovery_rc(d) < 0)
        finish(o, kube_discovery_rc(d), err);
    else if (check_read(o, running(o)->req, &unread) < 0)
        finish(o, unread.code, &unread);
    else
        go(o, O_INDEX);
}

/* Failed, or an answer without what it is for: read as a document, it would say that the server lacks
 * every kind. */
static bool is_broken(struct kube_req *req, kr_val part)
{
    if (req->rc == 0 && part.kind != KR_MAP)
        req->rc = kr_fail(&req->err, KR_E_INPUT, "get " KR_FMT ": no OpenAPI document",
                          KR_ARG(req->path));
    return req->rc < 0;
}

static void on_index(struct kube_req *req)
{
    struct kube_openapi *o = KR_OWNER(req, struct kube_openapi, req);
    struct load *l = running(o);

    if (l->cancelled || is_broken(req, kr_get(req->object, KR_S("paths")))) {
        finish(o, req->rc, &req->err);
        return;
    }
    sort_out(o, l);
    read_index(o, l, req->object);
    next_doc(o);
}

/* The content changed after we had read the index, and its URL with it. */
static bool has_moved(const struct kube_req *req)
{
    return req->rc < 0 && ((req->status >= 300 && req->status <= 399) || req->status == 404);
}

static void on_doc(struct kube_req *req)
{
    struct kube_openapi *o = KR_OWNER(req, struct kube_openapi, req);
    struct load *l = running(o);

    if (!l->cancelled && has_moved(req) && !l->moved) {
        l->moved = true;
        go(o, O_INDEX);
        return;
    }
    if (l->cancelled || is_broken(req, req->object)) {
        finish(o, req->rc, &req->err);
        return;
    }
    doc_store(o, o->fetching, req->object, &req->arena);
    next_doc(o);
}

static void ask(struct kube_openapi *o, kr_str path, kube_done_fn *done)
{
    static const char *const skip[] = {"paths", "info", NULL};
    static const struct kr_json_opts without_paths = {.skip = skip};

    o->req.verb = KUBE_GET;
    o->req.path = path;
    o->req.items = done == on_doc ? &without_paths : NULL;
    o->req.on_done = done;
    kube_req_start(o->client, &o->req);
}

/* Starts what the current state waits for. */
static void openapi_step(struct kube_openapi *o)
{
    switch (o->sm.cur) {
    case O_DISCOVERY:
        o->joined = kube_discovery_busy(o->discovery);
        kube_discovery_refresh(o->discovery, on_discovery, o);
        return;
    case O_INDEX:
        ask(o, KR_S("/openapi/v3"), on_index);
        return;
    case O_DOCS:
        ask(o, o->fetching->url, on_doc);
        return;
    }
}

static void on_kick(struct kube_timer *timer)
{
    struct kube_openapi *o = KR_OWNER(timer, struct kube_openapi, kick);
    struct kr_err err = KR_ERR_NONE;
    struct load *l;

    if (o->sm.cur != O_IDLE || kr_link_empty(&o->queue))
        return;
    l = running(o);
    if (l->cancelled)
        finish(o, 0, NULL);
    else if (l->req->gvks_n > KUBE_OPENAPI_GVKS_MAX)
        finish(o, kr_fail(&err, KR_E_LIMIT, "more than %d kinds at once", KUBE_OPENAPI_GVKS_MAX),
               &err);
    else
        go(o, all_known(o, l->req) ? O_INDEX : O_DISCOVERY);
}

/* --- the owner's side ------------------------------------------------------------------------- */

struct kube_openapi *kube_openapi_new(struct kube_client *client, struct kube_discovery *discovery)
{
    struct kube_openapi *o = KR_ALLOC(struct kube_openapi);

    o->client = client;
    o->discovery = discovery;
    o->sm = (struct kr_sm){.states = openapi_states, .cur = O_IDLE, .name = "openapi"};
    o->kick.fn = on_kick;
    kr_link_init(&o->queue);
    kr_link_init(&o->docs);
    return o;
}

void kube_openapi_free(struct kube_openapi *o)
{
    struct kube_clock *c;

    if (!o)
        return;
    KR_ASSERT(kr_link_empty(&o->queue));
    c = kube_client_clock(o->client);
    c->ops->timer_stop(c, &o->kick);
    while (!kr_link_empty(&o->docs))
        doc_free(o, KR_OWNER(o->docs.next, struct doc, link));
    kr_free(o);
}

void kube_schemas_start(struct kube_openapi *o, struct kube_schemas_req *req)
{
    struct kube_clock *c = kube_client_clock(o->client);
    struct load *l = KR_ALLOC(struct load);

    KR_ASSERT(req->impl == NULL);
    kr_arena_reset(&req->arena);
    req->rc = 0;
    req->err.code = 0;
    req->kinds = NULL;
    req->missing = NULL;
    req->missing_n = 0;
    req->openapi = o;
    req->impl = l;
    l->req = req;
    kr_link_push(&o->queue, &l->link);
    if (o->sm.cur == O_IDLE)
        c->ops->timer_start(c, &o->kick, 0);
}

void kube_schemas_cancel(struct kube_schemas_req *req)
{
    struct load *l = req->impl;
    struct kube_openapi *o = req->openapi;

    if (!l || l->cancelled)
        return;
    l->cancelled = true;
    if (o->sm.cur != O_IDLE && running(o) == l && kube_req_busy(&o->req))
        kube_req_cancel(&o->req); /* otherwise it ends when its turn comes, or with the refresh */
}

void kube_schemas_fini(struct kube_schemas_req *req)
{
    KR_ASSERT(req->impl == NULL);
    kr_arena_fini(&req->arena);
    req->arena = (struct kr_arena){0};
    req->missing = NULL;
    req->missing_n = 0;
    req->kinds = NULL;
}

size_t kube_openapi_bytes(const struct kube_openapi *o)
{
    return o->bytes;
}
