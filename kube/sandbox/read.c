/* SPDX-License-Identifier: Apache-2.0 */
/* read.c - get, and lists in pages.
 *
 * A list that continues shows the state of its first page: what has changed since is undone from the
 * type's history while the tree is walked. If the history does not reach back that far, the list has
 * expired (410).
 */
#include <inttypes.h>
#include <stdio.h>

#include "cel/base/digest.h"
#include "cel/base/json.h"
#include "kube/sandbox/internal.h"

#include "cel/base/banned.h"

/* --- one object ------------------------------------------------------------------------------- */

int sandbox__not_found(struct sandbox_call *c)
{
    return sandbox__fail(c, 404, "NotFound", KR_FMT "%s" KR_FMT " \"" KR_FMT "\" not found",
                         KR_ARG(c->t.type->resource), c->t.type->group.n ? "." : "",
                         KR_ARG(c->t.type->group), KR_ARG(c->t.name));
}

int sandbox__get(struct sandbox_call *c)
{
    struct sandbox_obj *o = sandbox__find(c->t.type, c->t.ns, c->t.name);
    kr_val scale;
    int status;

    if (o == NULL)
        return sandbox__not_found(c);
    status = sandbox__form_fits(c, false);
    if (status)
        return status;
    if (!kr_str_is(c->t.sub, "scale"))
        return sandbox__answer_obj(c, 200, &c->t, o);
    scale = sandbox__scale_of(c->a, &c->t, sandbox__value(c->a, c->t.type, c->t.version, o));
    return sandbox__answer_val(c, 200, scale);
}

/* --- the state at a version ------------------------------------------------------------------- */

/* What an object was, whose key was touched since. */
struct former {
    kr_str key;
    struct sandbox_obj *obj; /* NULL: was not there */
};

/* Walks the objects of a type as they were at a version. */
struct walk {
    struct sandbox_node *node;
    struct former *formers; /* sorted by key */
    uint32_t at, n;
};

static int by_key(const void *x, const void *y)
{
    return kr_str_cmp(((const struct former *)x)->key, ((const struct former *)y)->key);
}

static void walk_init(struct walk *w, struct kr_arena *a, const struct sandbox_type *t,
                      uint64_t version, kr_str from)
{
    uint64_t first = sandbox__event_after(t, version);
    KR_AUTO(kr_map) seen = {0};

    *w = (struct walk){.node = sandbox__tree_seek(&t->objects, from)};
    if (first == t->events_to)
        return;
    w->formers = kr_new_n(a, struct former, t->events_to - first);
    for (uint64_t i = first; i < t->events_to; i++) {
        const struct sandbox_event *e = sandbox__event(t, i);
        kr_str key = sandbox__obj_key(e->now);

        if (kr_str_cmp(key, from) < 0 || kr_map_get(&seen, key))
            continue;
        kr_map_put(&seen, key, e->now);
        w->formers[w->n++] = (struct former){key, e->old};
    }
    qsort(w->formers, w->n, sizeof w->formers[0], by_key);
}

static struct sandbox_obj *walk_next(struct walk *w)
{
    for (;;) {
        struct sandbox_obj *o = w->node ? sandbox__node_obj(w->node) : NULL;
        int order;

        if (w->at == w->n) {
            w->node = w->node ? sandbox__node_next(w->node) : NULL;
            return o;
        }
        order = o ? kr_str_cmp(sandbox__obj_key(o), w->formers[w->at].key) : 1;
        if (order <= 0)
            w->node = sandbox__node_next(w->node);
        if (order < 0)
            return o;
        o = w->formers[w->at++].obj;
        if (o)
            return o;
    }
}

/* --- pages ------------------------------------------------------------------------------------ */

struct page {
    uint64_t version; /* whose state is shown */
    uint64_t limit;   /* 0: none */
    kr_str from;      /* first key */
    struct sandbox_filter filter;
    struct walk walk;
    kr_str next;   /* where the next page begins; empty: there is none */
    uint64_t rest; /* objects behind this page, of an unfiltered list */
};

int sandbox__expired(struct sandbox_call *c, uint64_t version, uint64_t oldest)
{
    return sandbox__fail(c, 410, "Expired", "too old resource version: %" PRIu64 " (%" PRIu64 ")",
                         version, oldest);
}

int sandbox__too_new(struct sandbox_call *c, uint64_t version)
{
    c->r->retry_after_s = 1;
    return sandbox__fail(c, 504, "Timeout",
                         "Too large resource version: %" PRIu64 ", current: %" PRIu64, version,
                         c->s->version);
}

/* "version:key" in base64 */
static kr_str token_text(struct kr_arena *a, uint64_t version, kr_str key)
{
    return kr_base64_encode(a, kr_fmt(a, "%" PRIu64 ":" KR_FMT, version, KR_ARG(key)),
                            KR_BASE64_URL_NOPAD);
}

static bool token_read(struct kr_arena *a, kr_str text, uint64_t *version, kr_str *key)
{
    char *standard = kr_arena_bytes(a, text.n + 3);
    size_t n = text.n;

    for (size_t i = 0; i < n; i++)
        standard[i] = (char)(text.s[i] == '-' ? '+' : text.s[i] == '_' ? '/' : text.s[i]);
    while (n % 4)
        standard[n++] = '=';
    if (!kr_base64_decode(a, (kr_str){standard, n}, &text))
        return false;
    *key = text;
    return kr_str_u64(kr_str_cut(key, ':'), version) && key->s != NULL;
}

/* How the version is meant must fit the version. 0, or the status of the refusal. */
static int check_match(struct sandbox_call *c, kr_str version, kr_str match)
{
    static const char field[] = "resourceVersionMatch";
    struct kr_listb list = KR_LISTB(c->a);
    const char *reason = "FieldValueForbidden";
    kr_str message;

    if (match.n == 0)
        return 0;
    if (version.n == 0) {
        message =
            KR_S("Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided");
    } else if (!kr_str_is(match, "Exact") && !kr_str_is(match, "NotOlderThan")) {
        reason = "FieldValueNotSupported";
        message = kr_fmt(c->a,
                         "Unsupported value: " KR_FMT
                         ": supported values: \"Exact\", \"NotOlderThan\", \"\"",
                         KR_ARG(kr_json_str(c->a, kr_string(match))));
    } else if (kr_str_is(match, "Exact") && kr_str_is(version, "0")) {
        message = KR_S("Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion "
                       "\"0\"");
    } else {
        return 0;
    }
    kr_listb_add(&list, sandbox__cause(c->a, reason, message, kr_str_c(field)));
    return sandbox__invalid_of(c, KR_S("meta.k8s.io"), KR_S("ListOptions"), KR_S(""),
                               kr_listb_done(&list));
}

/* Reads what the query says of versions and pages: 0, or the status of a refusal. */
static int page_read(struct sandbox_call *c, struct page *p)
{
    kr_str token = sandbox__arg(c, "continue"), rv = sandbox__arg(c, "resourceVersion"),
           limit = sandbox__arg(c, "limit"), match = sandbox__arg(c, "resourceVersionMatch");
    uint64_t wanted = 0;
    int64_t count = 0;
    int status = check_match(c, rv, match);

    if (status)
        return status;
    p->version = c->s->version;
    if (limit.n && !kr_str_i64(limit, &count))
        return sandbox__fail(c, 400, "BadRequest",
                             "strconv.ParseInt: parsing \"" KR_FMT "\": invalid syntax",
                             KR_ARG(limit));
    p->limit = count > 0 ? (uint64_t)count : 0;
    if (rv.n && !kr_str_u64(rv, &wanted))
        return sandbox__fail(c, 400, "BadRequest",
                             "resourceVersion: Invalid value: \"" KR_FMT
                             "\": strconv.ParseUint: parsing \"" KR_FMT "\": invalid syntax",
                             KR_ARG(rv), KR_ARG(rv));
    if (token.n) {
        if (!token_read(c->a, token, &p->version, &p->from))
            return sandbox__fail(c, 400, "BadRequest", "continue key is not valid: " KR_FMT,
                                 KR_ARG(token));
        if (p->version < c->t.type->compacted || p->version > c->s->version)
            return sandbox__fail(c, 410, "Expired",
                                 "The provided continue parameter is too old to display a "
                                 "consistent list result. You can start a new list without the "
                                 "continue parameter.");
        return 0;
    }
    if (wanted > c->s->version)
        return sandbox__too_new(c, wanted);
    if (!kr_str_is(match, "Exact"))
        return 0;
    if (wanted < c->t.type->compacted)
        return sandbox__expired(c, wanted, c->t.type->compacted);
    p->version = wanted;
    return 0;
}

/* Steps to the next object that the list shows; NULL at the end of the page. */
static struct sandbox_obj *page_next(struct sandbox_call *c, struct page *p, uint64_t shown)
{
    for (;;) {
        struct sandbox_obj *o = walk_next(&p->walk);

        if (o == NULL || (p->filter.ns.n && !kr_str_eq(sandbox__obj_namespace(o), p->filter.ns)))
            return NULL; /* the walk began at the namespace */
        if (!sandbox__filter_match(&p->filter, c->t.type, o))
            continue;
        if (p->limit == 0 || shown < p->limit)
            return o;
        p->next = sandbox__obj_key(o);
        for (p->rest = 1; (o = walk_next(&p->walk)) != NULL; p->rest++) {
            if (p->filter.ns.n && !kr_str_eq(sandbox__obj_namespace(o), p->filter.ns))
                break;
        }
        return NULL;
    }
}

static kr_val list_meta(struct sandbox_call *c, const struct page *p)
{
    struct kr_mapb b = KR_MAPB(c->a);

    kr_mapb_put(&b, KR_S("resourceVersion"), kr_string(kr_fmt(c->a, "%" PRIu64, p->version)));
    if (p->next.n) {
        kr_mapb_put(&b, KR_S("continue"), kr_string(token_text(c->a, p->version, p->next)));
        if (!p->filter.labels && !p->filter.fields && !p->filter.name.n)
            kr_mapb_put(&b, KR_S("remainingItemCount"), kr_int((int64_t)p->rest));
    } else if (!c->t.type->builtin) { /* lists of those are no Go struct: nothing is left out */
        kr_mapb_put(&b, KR_S("continue"), KR_V_STR(""));
    }
    return kr_mapb_done(&b);
}

/* Items as they are stored: those of built-in types say no kind, as in Go's typed lists. */
static int list_full(struct sandbox_call *c, struct page *p)
{
    struct kr_buf *out = &c->r->body;
    const struct sandbox_type *t = c->t.type;
    struct kr_err err = KR_ERR_NONE;
    struct sandbox_obj *o;
    int rc;

    kr_buf_fmt(out, "{\"kind\":\"" KR_FMT "\",\"apiVersion\":\"" KR_FMT "\",\"items\":[",
               KR_ARG(t->list_kind), KR_ARG(sandbox__api_version(c->a, t, c->t.version->name)));
    for (uint64_t n = 0; (o = page_next(c, p, n)) != NULL; n++) {
        if (n)
            kr_buf_chr(out, ',');
        if (t->builtin)
            kr_buf_str(out, sandbox__obj_json(o));
        else
            sandbox__show(out, t, c->t.version, o);
    }
    kr_buf_fmt(out, "],\"metadata\":");
    rc = kr_json_write(out, list_meta(c, p), 0, &err);
    KR_ASSERT(rc == 0);
    kr_buf_fmt(out, "}\n");
    c->r->content_type = "application/json";
    return c->r->status = 200;
}

static int list_formed(struct sandbox_call *c, struct page *p)
{
    struct kr_listb items = KR_LISTB(c->a);
    struct sandbox_obj *o;

    for (uint64_t n = 0; (o = page_next(c, p, n)) != NULL; n++)
        kr_listb_add(&items, sandbox__value(c->a, c->t.type, c->t.version, o));
    return sandbox__answer(c, 200, sandbox__formed_list(c, kr_listb_done(&items), list_meta(c, p)));
}

int sandbox__list(struct sandbox_call *c)
{
    struct page p = {0};
    int status = sandbox__filter_read(c, c->a, &p.filter);

    if (status == 0)
        status = page_read(c, &p);
    if (status == 0)
        status = sandbox__form_fits(c, true);
    if (status)
        return status;
    if (p.filter.ns.n && p.from.n == 0)
        p.from = p.filter.name.n ? sandbox__key(c->a, p.filter.ns, p.filter.name)
                                 : kr_fmt(c->a, KR_FMT "/", KR_ARG(p.filter.ns));
    walk_init(&p.walk, c->a, c->t.type, p.version, p.from);
    return sandbox__wants(c) == SANDBOX_FORM_FULL ? list_full(c, &p) : list_formed(c, &p);
}
