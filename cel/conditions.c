/* SPDX-License-Identifier: Apache-2.0 */
/* conditions.c - kro's conditions, as those who compile and write them see them.
 *
 * runtime.newCondition and runtime.condition are checked before they ever run: an author may name a
 * type once, and look up kro's own types only. What can be said of an expression without running it
 * are the literals in these calls, from the syntax alone (macros expanded, not checked).
 *
 * Source: kro:pkg/graph/conditions.go; reference rgd-graph 5.12.
 */
#include "cel/internal.h"

#include "cel/base/banned.h"

bool cel_condition_of(kr_val v, struct cel_condition *out)
{
    const struct cel__condition *c;

    if (v.kind != KR_OPAQUE || v.obj->type != &cel__condition_type)
        return false;
    c = (const struct cel__condition *)(const void *)v.obj;
    *out = (struct cel_condition){
        .type = c->type, .status = c->status, .reason = c->reason, .message = c->message};
    return true;
}

/* --- calls ------------------------------------------------------------------------------------ */

struct calls {
    struct kr_arena *a;
    struct cel_runtime_call *items;
    uint32_t n, cap;
};

static struct cel_runtime_call *call_add(struct calls *l)
{
    if (l->n == l->cap) {
        uint32_t cap = l->cap ? 2 * l->cap : 4;
        struct cel_runtime_call *grown = kr_new_n(l->a, struct cel_runtime_call, cap);

        if (l->n)
            memcpy(grown, l->items, l->n * sizeof(*grown));
        l->items = grown;
        l->cap = cap;
    }
    l->items[l->n] = (struct cel_runtime_call){0};
    return &l->items[l->n++];
}

static bool is_ident(const struct cel__node *e, kr_str name)
{
    return e->kind == NK_IDENT && kr_str_eq(e->name, name);
}

/* A literal string; .s NULL: something else. */
static kr_str literal(struct calls *l, const struct cel__node *e)
{
    if (e->kind != NK_CONST || e->value.kind != KR_STRING)
        return (kr_str){NULL, 0};
    return e->value.n ? kr_strdup(l->a, kr_text(e->value)) : KR_S("");
}

static void take_new(struct calls *l, const struct cel__node *map)
{
    struct cel_runtime_call *call = call_add(l);

    for (uint32_t i = 0; i + 1 < map->args_n; i += 2) {
        kr_str key = kr_text(map->args[i]->value);

        if (kr_str_is(key, "type"))
            call->type = literal(l, map->args[i + 1]);
        else if (kr_str_is(key, "status"))
            call->status = literal(l, map->args[i + 1]);
    }
}

static void take(struct calls *l, const struct cel__node *e)
{
    struct cel_runtime_call *call;

    if (!e->member || !is_ident(e->target, KR_S("runtime")))
        return;
    if (kr_str_is(e->name, "newCondition") && e->args_n == 1 && e->args[0]->kind == NK_MAP) {
        take_new(l, e->args[0]);
    } else if (kr_str_is(e->name, "condition") && e->args_n == 2 &&
               is_ident(e->args[0], KR_S("schema"))) {
        call = call_add(l);
        call->lookup = true;
        call->type = literal(l, e->args[1]);
    }
}

/* Depth is that of the tree, which the parser limits. */
static void walk(struct calls *l, const struct cel__node *e)
{
    if (!e)
        return;
    if (e->kind == NK_FOLD) {
        walk(l, e->fold->range);
        walk(l, e->fold->init);
        walk(l, e->fold->step);
        walk(l, e->fold->result);
        return;
    }
    if (e->kind == NK_CALL)
        take(l, e);
    walk(l, e->target);
    for (uint32_t i = 0; i < e->args_n; i++)
        walk(l, e->args[i]);
}

int cel_runtime_calls(struct kr_arena *a, const struct cel_env *env, kr_str text,
                      const struct cel_runtime_call **out, uint32_t *n, struct kr_err *err)
{
    KR_AUTO(kr_arena) tmp = {0};
    struct cel__diags diags = {.a = &tmp, .source = text};
    struct calls l = {.a = a};
    struct cel__node *root = cel__parse(&tmp, env, &diags, text);

    if (!root)
        return cel__diags_fail(&diags, err);
    walk(&l, root);
    *out = l.items;
    *n = l.n;
    return 0;
}
