/* SPDX-License-Identifier: Apache-2.0 */
/* plan.c - the list of actions that a step gives, and how it is printed.
 *
 * One line an action: the word, then what a user or the API server could see of it. Golden tests
 * and the reactor's trace print the same lines.
 */
#include "graph/graph.h"

void graph_plan_init(struct graph_plan *p, struct kr_arena *a)
{
    *p = (struct graph_plan){.a = a, .wake_ms = UINT64_MAX};
}

struct graph_action *graph_plan_add(struct graph_plan *p, enum graph_action_kind kind)
{
    struct graph_action *action;

    if (p->n == p->cap) {
        uint32_t cap = p->cap ? 2 * p->cap : 8;
        struct graph_action *grown = kr_new_n(p->a, struct graph_action, cap);

        if (p->n)
            memcpy(grown, p->actions, sizeof(*grown) * p->n);
        p->actions = grown;
        p->cap = cap;
    }
    action = &p->actions[p->n++];
    *action = (struct graph_action){.kind = kind, .node = UINT32_MAX};
    return action;
}

const char *graph_action_word(enum graph_action_kind kind)
{
    static const char *const words[] = {
#define GRAPH_ACTION_WORD(name, word, comment) word,
        GRAPH_ACTIONS(GRAPH_ACTION_WORD)
#undef GRAPH_ACTION_WORD
    };

    return kind < GRAPH_ACTIONS_N ? words[kind] : "?";
}

static void print_gvk(struct kr_buf *out, kr_gvk gvk)
{
    if (gvk.group.n)
        kr_buf_fmt(out, KR_FMT "/", KR_ARG(gvk.group));
    kr_buf_fmt(out, KR_FMT "/" KR_FMT, KR_ARG(gvk.version), KR_ARG(gvk.kind));
}

static void print_object(struct kr_buf *out, const struct graph_action *action)
{
    if (action->gvk.kind.n)
        print_gvk(out, action->gvk);
    else
        kr_buf_str(out, action->ref.gvr.resource);
    if (action->ref.name.n)
        kr_buf_chr(out, ' ');
    if (action->ref.namespace.n)
        kr_buf_fmt(out, KR_FMT "/", KR_ARG(action->ref.namespace));
    kr_buf_str(out, action->ref.name);
}

/* Objects that a selector finds: "v1/ConfigMap default {app=web}"; no namespace: in all. */
static void print_selected(struct kr_buf *out, const struct graph_action *action)
{
    print_gvk(out, action->gvk);
    if (action->ref.namespace.n)
        kr_buf_fmt(out, " " KR_FMT, KR_ARG(action->ref.namespace));
    kr_buf_fmt(out, " {" KR_FMT "}", KR_ARG(action->selector));
}

static void print_list(struct kr_buf *out, kr_val list)
{
    const char *sep = "";

    KR_LIST_EACH (v, list) {
        kr_buf_fmt(out, "%s" KR_FMT, sep, KR_ARG(kr_text(*v)));
        sep = " ";
    }
}

static void print_kinds(struct kr_buf *out, const struct graph_action *action)
{
    for (uint32_t i = 0; i < action->gvks_n; i++) {
        if (i)
            kr_buf_chr(out, ' ');
        print_gvk(out, action->gvks[i]);
    }
}

static void print_action(struct kr_buf *out, const struct graph_action *action)
{
    kr_str state = kr_at_str(action->body, "status.state");

    kr_buf_fmt(out, "%-7s ", graph_action_word(action->kind));
    switch (action->kind) {
    case GRAPH_A_TYPES:
        print_list(out, action->body);
        return;
    case GRAPH_A_FETCH:
        print_kinds(out, action);
        return;
    case GRAPH_A_WATCH:
    case GRAPH_A_UNWATCH:
        if (action->ref.name.n)
            print_object(out, action);
        else
            print_selected(out, action);
        return;
    case GRAPH_A_SERVE:
    case GRAPH_A_UNSERVE:
        kr_buf_fmt(out, KR_FMT "." KR_FMT, KR_ARG(action->ref.gvr.resource),
                   KR_ARG(action->ref.gvr.group));
        return;
    case GRAPH_A_STATUS:
    case GRAPH_A_STATUS_PATCH:
        print_object(out, action);
        if (state.n)
            kr_buf_fmt(out, " " KR_FMT, KR_ARG(state));
        return;
    default:
        print_object(out, action);
        if (action->manager && action->kind == GRAPH_A_APPLY_PARENT)
            kr_buf_fmt(out, " by %s", action->manager);
    }
}

void graph_plan_print(const struct graph_plan *p, struct kr_buf *out)
{
    for (uint32_t i = 0; i < p->n; i++) {
        print_action(out, &p->actions[i]);
        kr_buf_chr(out, '\n');
    }
}
