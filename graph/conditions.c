/* SPDX-License-Identifier: Apache-2.0 */
/* conditions.c - kro's condition engine: a root that follows its dependents.
 *
 * Setting a condition stamps the object's generation, keeps the time of the last transition as long
 * as the status stays, moves the condition to its place (by time, root last), and recomputes the
 * root: True when all dependents are True at this generation, else a copy of the worst one. Which
 * is the worst: the latest to change that is False, else the latest that is Unknown.
 *
 * Times have second precision, as on the wire; ties keep the order of the list.
 *
 * Source: kro:pkg/apis/condition_set.go; reference rgd-graph 1.5, instance-runtime 3.3.
 */
#include "graph/internal.h"

#include "cel/base/time.h"

static bool is_known(const struct graph_conds *c, kr_str type)
{
    for (uint32_t i = 0; c->types[i]; i++) {
        if (kr_str_eq(type, kr_str_c(c->types[i])))
            return true;
    }
    return false;
}

static bool is_root(const struct graph_conds *c, kr_str type)
{
    return kr_str_eq(type, kr_str_c(c->types[0]));
}

static int64_t time_of(kr_val v)
{
    int64_t s;
    uint32_t nanos;

    return kr_time_parse(kr_text(v), &s, &nanos) ? s : INT64_MIN;
}

static void read_one(struct graph_conds *c, kr_val v)
{
    kr_val generation = kr_get(v, KR_S("observedGeneration"));

    if (c->n == GRAPH_CONDS_MAX || v.kind != KR_MAP)
        return;
    c->items[c->n++] = (struct graph_cond){
        .type = kr_text(kr_get(v, KR_S("type"))),
        .status = kr_text(kr_get(v, KR_S("status"))),
        .reason = kr_text(kr_get(v, KR_S("reason"))),
        .message = kr_text(kr_get(v, KR_S("message"))),
        .observed_generation = generation.kind == KR_INT ? generation.i : 0,
        .transition_s = time_of(kr_get(v, KR_S("lastTransitionTime"))),
    };
}

void graph__conds_load(struct graph_conds *c, struct kr_arena *a, const char *const *types,
                       kr_val object, int64_t now_s)
{
    kr_val generation = kr_at(object, "metadata.generation");

    c->a = a;
    c->types = types;
    c->generation = generation.kind == KR_INT ? generation.i : 0;
    c->created_s = time_of(kr_at(object, "metadata.creationTimestamp"));
    c->deleting = kr_at(object, "metadata.deletionTimestamp").kind == KR_STRING;
    c->now_s = now_s;
    c->n = 0;
    KR_LIST_EACH (v, kr_at(object, "status.conditions")) {
        read_one(c, *v);
    }
    for (uint32_t i = 0; types[i]; i++) {
        if (!graph__conds_get(c, types[i]))
            graph__conds_set(c, types[i], "Unknown", GRAPH_R_AWAITING,
                             kr_fmt(a, "condition \"%s\" is awaiting reconciliation", types[i]));
    }
}

const struct graph_cond *graph__conds_get(const struct graph_conds *c, const char *type)
{
    for (uint32_t i = 0; i < c->n; i++) {
        if (kr_str_eq(c->items[i].type, kr_str_c(type)))
            return &c->items[i];
    }
    return NULL;
}

/* Does x stand behind y? Root last, then by time, none first. */
static bool is_behind(const struct graph_conds *c, const struct graph_cond *x,
                      const struct graph_cond *y)
{
    if (is_root(c, x->type) || is_root(c, y->type))
        return is_root(c, x->type);
    return x->transition_s > y->transition_s;
}

/* Puts the last item where it belongs; the others are in order. A wire that was not in order is
 * sorted too. */
static void sort(struct graph_conds *c)
{
    for (uint32_t i = 1; i < c->n; i++) {
        struct graph_cond item = c->items[i];
        uint32_t at = i;

        for (; at > 0 && is_behind(c, &c->items[at - 1], &item); at--)
            c->items[at] = c->items[at - 1];
        c->items[at] = item;
    }
}

static bool same(const struct graph_cond *x, const struct graph_cond *y)
{
    return x->transition_s == y->transition_s && x->observed_generation == y->observed_generation &&
           kr_str_eq(x->status, y->status) && kr_str_eq(x->reason, y->reason) &&
           kr_str_eq(x->message, y->message);
}

/* Is x worse than the worst so far? */
static bool is_worse(const struct graph_cond *x, const struct graph_cond *worst)
{
    if (!worst)
        return true;
    if (kr_str_is(x->status, "False") != kr_str_is(worst->status, "False"))
        return kr_str_is(x->status, "False");
    return x->transition_s > worst->transition_s;
}

static void recompute_root(struct graph_conds *c)
{
    const struct graph_cond *worst = NULL;
    bool healthy = true;

    for (uint32_t i = 0; i < c->n; i++) {
        const struct graph_cond *x = &c->items[i];
        bool bad = kr_str_is(x->status, "False") || kr_str_is(x->status, "Unknown");

        if (!is_known(c, x->type) || is_root(c, x->type))
            continue;
        if (bad || x->observed_generation != c->generation)
            healthy = false;
        if (bad && is_worse(x, worst))
            worst = x;
    }
    if (healthy) {
        graph__conds_set(c, c->types[0], "True", c->types[0], KR_S(""));
    } else if (worst) {
        const struct graph_cond w = *worst;

        graph__conds_set(c, c->types[0], kr_cstr(c->a, w.status), kr_cstr(c->a, w.reason),
                         w.message);
    }
}

static void remove_at(struct graph_conds *c, uint32_t at)
{
    memmove(&c->items[at], &c->items[at + 1], sizeof(c->items[0]) * (c->n - at - 1));
    c->n--;
}

bool graph__conds_set(struct graph_conds *c, const char *type, const char *status,
                      const char *reason, kr_str message)
{
    struct graph_cond now = {.type = kr_str_c(type),
                             .status = kr_str_c(status),
                             .reason = kr_str_c(reason),
                             .message = message,
                             .observed_generation = c->generation,
                             .transition_s = c->now_s};
    struct graph_cond *old = (struct graph_cond *)(uintptr_t)graph__conds_get(c, type);

    if (old) {
        if (kr_str_eq(old->status, now.status))
            now.transition_s = old->transition_s;
        if (same(old, &now))
            return false;
        remove_at(c, (uint32_t)(old - c->items));
    } else if (is_known(c, now.type)) {
        now.transition_s = c->created_s;
    }
    for (uint32_t i = 0; c->deleting && i < c->n; i++)
        c->items[i].observed_generation = c->generation;
    if (c->n == GRAPH_CONDS_MAX) /* only foreign types can be that many: the newest gives way */
        c->n--;
    c->items[c->n++] = now;
    sort(c);
    if (!is_root(c, now.type))
        recompute_root(c);
    return true;
}

kr_val graph__conds_value(const struct graph_conds *c)
{
    struct kr_listb list = KR_LISTB(c->a);

    for (uint32_t i = 0; i < c->n; i++) {
        const struct graph_cond *x = &c->items[i];
        struct kr_mapb m = KR_MAPB(c->a);
        char time[KR_TIME_TEXT_MAX];

        if (x->transition_s != INT64_MIN) {
            size_t n = kr_time_text(x->transition_s, 0, time);

            kr_mapb_put(&m, KR_S("lastTransitionTime"),
                        kr_string(kr_strdup(c->a, (kr_str){time, n})));
        }
        kr_mapb_put(&m, KR_S("message"), kr_string(x->message));
        kr_mapb_put(&m, KR_S("observedGeneration"), kr_int(x->observed_generation));
        kr_mapb_put(&m, KR_S("reason"), kr_string(x->reason));
        kr_mapb_put(&m, KR_S("status"), kr_string(x->status));
        kr_mapb_put(&m, KR_S("type"), kr_string(x->type));
        kr_listb_add(&list, kr_mapb_done(&m));
    }
    return kr_listb_done(&list);
}
