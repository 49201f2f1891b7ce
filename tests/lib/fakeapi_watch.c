/* SPDX-License-Identifier: Apache-2.0 */
/* fakeapi_watch.c - selectors, lists in pages, and watches over the history of events. */
#include <inttypes.h>
#include <stdlib.h>

#include "tests/lib/fakeapi_internal.h"

/* --- selectors -------------------------------------------------------------------------------- */

/* Cuts the next requirement off: commas within parentheses do not count. */
static kr_str next_requirement(kr_str *rest)
{
    size_t depth = 0, i;
    kr_str one;

    for (i = 0; i < rest->n; i++) {
        depth += rest->s[i] == '(';
        depth -= rest->s[i] == ')';
        if (rest->s[i] == ',' && depth == 0)
            break;
    }
    one = kr_str_trim(kr_str_sub(*rest, 0, i));
    *rest = i < rest->n ? kr_str_sub(*rest, i + 1, rest->n) : (kr_str){0};
    return one;
}

static bool in_list(kr_str list, kr_str value)
{
    kr_str rest =
        kr_str_sub(list, (size_t)kr_str_chr(list, '(') + 1, (size_t)kr_str_chr(list, ')'));

    while (rest.s != NULL)
        if (kr_str_eq(kr_str_trim(kr_str_cut(&rest, ',')), value))
            return true;
    return false;
}

/* key, !key, key=v, key==v, key!=v, key in (a,b), key notin (a,b) */
static bool label_matches(kr_val labels, kr_str one)
{
    ptrdiff_t eq = kr_str_chr(one, '='), set = kr_str_find(one, KR_S(" in (")),
              not = kr_str_find(one, KR_S(" notin ("));
    kr_str key, value;
    kr_val has;

    if (not >= 0 || set >= 0) {
        has = kr_get(labels, kr_str_trim(kr_str_sub(one, 0, (size_t)(not >= 0 ? not : set))));
        return not >= 0 ? has.kind == KR_NONE || !in_list(one, kr_text(has))
                        : has.kind != KR_NONE && in_list(one, kr_text(has));
    }
    if (eq < 0 && one.n > 0 && one.s[0] == '!')
        return kr_get(labels, kr_str_trim(kr_str_sub(one, 1, one.n))).kind == KR_NONE;
    if (eq < 0)
        return kr_get(labels, one).kind != KR_NONE;
    value = kr_str_sub(one, (size_t)eq + 1, one.n);
    if (kr_str_starts(value, KR_S("=")))
        value = kr_str_sub(value, 1, value.n);
    if (eq > 0 && one.s[eq - 1] == '!') {
        key = kr_str_trim(kr_str_sub(one, 0, (size_t)eq - 1));
        return !kr_is_str(kr_get(labels, key), kr_str_trim(value));
    }
    key = kr_str_trim(kr_str_sub(one, 0, (size_t)eq));
    return kr_is_str(kr_get(labels, key), kr_str_trim(value));
}

static bool field_matches(const struct fake_obj *o, kr_str one)
{
    kr_str key = kr_str_cut(&one, '=');

    if (kr_str_starts(one, KR_S("=")))
        one = kr_str_sub(one, 1, one.n);
    if (kr_str_is(key, "metadata.name"))
        return kr_str_eq(one, o->name);
    return kr_str_is(key, "metadata.namespace") && kr_str_eq(one, o->namespace);
}

bool fake_matches(const struct fake_obj *o, const struct fake_target *t, kr_str labels,
                  kr_str fields)
{
    if (o == NULL || !kr_str_eq(o->resource, t->kind->resource) ||
        !kr_str_eq(o->group, t->kind->gvk.group))
        return false;
    if (t->namespace.n > 0 && !kr_str_eq(t->namespace, o->namespace))
        return false;
    while (labels.n > 0)
        if (!label_matches(kr_at(o->v, "metadata.labels"), next_requirement(&labels)))
            return false;
    while (fields.n > 0)
        if (!field_matches(o, next_requirement(&fields)))
            return false;
    return true;
}

/* --- lists ------------------------------------------------------------------------------------ */

static int by_name(const void *x, const void *y)
{
    const struct fake_obj *a = *(struct fake_obj *const *)x, *b = *(struct fake_obj *const *)y;
    int by_namespace = kr_str_cmp(a->namespace, b->namespace);

    return by_namespace != 0 ? by_namespace : kr_str_cmp(a->name, b->name);
}

/* All that match, by namespace and name; lives in a. */
static struct fake_obj **collect(struct fakeapi *f, struct kr_arena *a, const struct fake_target *t,
                                 kr_str labels, kr_str fields, uint32_t *n)
{
    struct fake_obj **list = kr_new_n(a, struct fake_obj *, f->objects.n + 1);

    *n = 0;
    kr_map_each (e, &f->objects)
        if (fake_matches(e->val, t, labels, fields))
            list[(*n)++] = e->val;
    qsort(list, *n, sizeof list[0], by_name);
    return list;
}

/* "version/namespace/name": where the next page begins. */
static bool parse_continue(kr_str text, uint64_t *version, kr_str *ns, kr_str *name)
{
    kr_str first = kr_str_cut(&text, '/');

    *ns = kr_str_cut(&text, '/');
    *name = text;
    return kr_str_u64(first, version);
}

static void fill_list(struct fakeapi *f, const struct fake_target *t, struct fake_response *r,
                      kr_val items, uint64_t version, struct fake_obj *next, uint32_t left)
{
    struct kr_mapb b = KR_MAPB(r->a), meta = KR_MAPB(r->a);

    kr_mapb_put(&meta, KR_S("resourceVersion"), kr_string(kr_fmt(r->a, "%" PRIu64, version)));
    if (next != NULL) {
        kr_mapb_put(&meta, KR_S("continue"),
                    kr_string(kr_fmt(r->a, "%" PRIu64 "/" KR_FMT "/" KR_FMT, version,
                                     KR_ARG(next->namespace), KR_ARG(next->name))));
        kr_mapb_put(&meta, KR_S("remainingItemCount"), kr_int(left));
    }
    kr_mapb_put(&b, KR_S("apiVersion"),
                kr_string(kr_api_version_text(r->a, t->kind->gvk.group, t->kind->gvk.version)));
    kr_mapb_put(&b, KR_S("kind"),
                kr_string(kr_fmt(r->a, KR_FMT "List", KR_ARG(t->kind->gvk.kind))));
    kr_mapb_put(&b, KR_S("metadata"), kr_mapb_done(&meta));
    kr_mapb_put(&b, KR_S("items"), items);
    r->status = 200;
    r->body = kr_mapb_done(&b);
}

void fake_list(struct fakeapi *f, const struct fake_request *q, const struct fake_target *t,
               struct fake_response *r)
{
    kr_str labels = fake_query(r->a, q->query, "labelSelector"),
           fields = fake_query(r->a, q->query, "fieldSelector");
    kr_str from = fake_query(r->a, q->query, "continue"), ns = {0}, name = {0};
    struct kr_listb items = KR_LISTB(r->a);
    uint64_t limit = 0, version = f->version;
    struct fake_obj **list;
    uint32_t n, i = 0;

    if (from.n > 0 && (!parse_continue(from, &version, &ns, &name) || version < f->compacted)) {
        fake_status(r, 410, "Expired",
                    "The provided continue parameter is too old to display a consistent list "
                    "result. You can start a new list without the continue parameter.");
        return;
    }
    kr_str_u64(fake_query(r->a, q->query, "limit"), &limit);
    list = collect(f, r->a, t, labels, fields, &n);
    while (from.n > 0 && i < n) {
        int by_namespace = kr_str_cmp(list[i]->namespace, ns);

        if (by_namespace > 0 || (by_namespace == 0 && kr_str_cmp(list[i]->name, name) >= 0))
            break;
        i++;
    }
    for (; i < n && (limit == 0 || items.n < limit); i++)
        kr_listb_add(&items, fake_as_version(r->a, t->kind, list[i]->v));
    fill_list(f, t, r, kr_listb_done(&items), version, i < n ? list[i] : NULL, n - i);
}

/* --- watches ---------------------------------------------------------------------------------- */

static void line(struct fake_call *call, const char *type, kr_val object)
{
    struct kr_mapb b;
    KR_AUTO(kr_arena) a = {0};
    struct kr_err err = KR_ERR_NONE;

    b = (struct kr_mapb)KR_MAPB(&a);
    kr_mapb_put(&b, KR_S("type"), kr_string(kr_str_c(type)));
    kr_mapb_put(&b, KR_S("object"), object);
    if (kr_json_write(&call->out, kr_mapb_done(&b), 0, &err) < 0)
        KR_ASSERT(false);
    kr_buf_chr(&call->out, '\n');
}

static void object_line(struct fake_call *call, const char *type, const struct fake_obj *o)
{
    KR_AUTO(kr_arena) a = {0};

    line(call, type, fake_as_version(&a, call->target.kind, o->v));
}

static void bookmark_line(struct fake_call *call, bool initial_end)
{
    KR_AUTO(kr_arena) a = {0};
    kr_val v = fake_as_version(&a, call->target.kind, kr_map_sorted(NULL, 0));
    kr_str yes[] = {KR_S("metadata"), KR_S("annotations"), KR_S("k8s.io/initial-events-end")};

    v = kr_with(&a, v, "kind", kr_string(call->target.kind->gvk.kind));
    v = kr_with(&a, v, "metadata.resourceVersion",
                kr_string(kr_fmt(&a, "%" PRIu64, call->f->version)));
    if (initial_end)
        v = kr_with_path(&a, v, yes, 3, KR_V_STR("true"));
    line(call, "BOOKMARK", v);
}

void fake_watch_bookmark(struct fake_call *call)
{
    if (!call->bookmarks)
        return;
    fake_watch_fill(call);
    bookmark_line(call, false);
    fake_wake(call, call->f->opts.latency_ms);
}

/* 410 comes as an event of an answer that began well. */
static void too_old(struct fake_call *call, uint64_t version)
{
    KR_AUTO(kr_arena) a = {0};
    struct fake_response r = {.a = &a};

    fake_status(&r, 410, "Expired", "too old resource version: %" PRIu64 " (%" PRIu64 ")", version,
                call->f->compacted);
    line(call, "ERROR", r.body);
    call->ending = true;
}

/* The index of the first event after version: they stand in its order. */
static uint32_t first_after(const struct fakeapi *f, uint64_t version)
{
    uint32_t low = 0, high = f->events_n;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (f->events[mid].version <= version)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

void fake_watch_fill(struct fake_call *call)
{
    struct fakeapi *f = call->f;
    const struct fake_target *t = &call->target;

    if (call->ending)
        return;
    if (call->sent_version < f->compacted && call->sent_version < f->version) {
        too_old(call, call->sent_version);
        return;
    }
    for (uint32_t i = first_after(f, call->sent_version); i < f->events_n; i++) {
        const struct fake_event *e = &f->events[i];
        bool was = fake_matches(e->old, t, call->labels, call->fields),
             is = fake_matches(e->now, t, call->labels, call->fields);

        if (is)
            object_line(call, was ? "MODIFIED" : "ADDED", e->now);
        else if (was &&
                 e->now != NULL) /* left the selection: told with its last selected state's name */
            object_line(call, "DELETED", e->now);
        else if (was)
            object_line(call, "DELETED", e->last);
    }
    call->sent_version = f->version;
}

static void initial_events(struct fake_call *call, bool end_mark)
{
    KR_AUTO(kr_arena) a = {0};
    uint32_t n;
    struct fake_obj **list = collect(call->f, &a, &call->target, call->labels, call->fields, &n);

    for (uint32_t i = 0; i < n; i++)
        object_line(call, "ADDED", list[i]);
    call->sent_version = call->f->version;
    if (end_mark)
        bookmark_line(call, true);
}

bool fake_watch_start(struct fake_call *call, const struct fake_request *q, struct fake_response *r)
{
    struct fakeapi *f = call->f;
    kr_str version = fake_query(r->a, q->query, "resourceVersion");
    bool initial = kr_str_is(fake_query(r->a, q->query, "sendInitialEvents"), "true");
    uint64_t from = 0;

    call->labels = kr_strdup(&call->arena, fake_query(r->a, q->query, "labelSelector"));
    call->fields = kr_strdup(&call->arena, fake_query(r->a, q->query, "fieldSelector"));
    call->bookmarks = kr_str_is(fake_query(r->a, q->query, "allowWatchBookmarks"), "true");
    call->target.namespace = kr_strdup(&call->arena, call->target.namespace);
    if (initial && (f->opts.no_streaming_list || !call->bookmarks)) {
        fake_status(r, 422, "Invalid",
                    "ListOptions.meta.k8s.io \"\" is invalid: sendInitialEvents: Forbidden: "
                    "sendInitialEvents is forbidden for watch unless the WatchList feature gate is "
                    "enabled");
        return false;
    }
    if (version.n > 0 && !kr_str_u64(version, &from)) {
        fake_status(r, 400, "BadRequest", "Invalid value: \"" KR_FMT "\": resourceVersion",
                    KR_ARG(version));
        return false;
    }
    if (from > f->version) {
        fake_status(r, 504, "Timeout", "Too large resource version: %" PRIu64 ", current: %" PRIu64,
                    from, f->version);
        return false;
    }
    call->watching = true;
    if (from == 0 || initial)
        initial_events(call, initial);
    else if (from < f->compacted)
        too_old(call, from);
    else
        call->sent_version = from;
    fake_watch_fill(call);
    return true;
}
