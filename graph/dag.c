/* SPDX-License-Identifier: Apache-2.0 */
/* dag.c - the dependency graph: edges, cycles, order, layers.
 *
 * Vertices are the resources in declaration order. Everything is linear in vertices and edges (the
 * order adds a logarithm), and nothing recurses, so a graph of any shape is cheap.
 *
 *   order    Kahn; of the vertices that are ready the one declared first: `a(c) b c` -> b c a
 *   layers   from the sinks: those nobody depends on are the last layer and are deleted first
 *
 * Source: kro:pkg/graph/dag; reference rgd-graph 6.
 */
#include "graph/internal.h"

#include "cel/base/buf.h"

#include "cel/base/banned.h"

void graph__dag_init(struct graph_dag *d, struct kr_arena *a, const kr_str *ids, uint32_t n)
{
    *d = (struct graph_dag){.a = a, .n = n, .ids = ids};
    d->deps = kr_new_n(a, uint32_t *, n);
    d->deps_n = kr_new_n(a, uint32_t, n);
    d->deps_cap = kr_new_n(a, uint32_t, n);
    d->stack = kr_new_n(a, uint32_t, 2 * (n + 1));
    kr_bits_init(&d->used, a, n);
}

int graph__dag_add(struct graph_dag *d, uint32_t i, uint32_t j, struct kr_err *err)
{
    if (i == j)
        return kr_fail(err, KR_E_INPUT, "self references are not allowed");
    for (uint32_t k = 0; k < d->deps_n[i]; k++) {
        if (d->deps[i][k] == j)
            return 0;
    }
    if (d->deps_n[i] == d->deps_cap[i]) {
        uint32_t cap = d->deps_cap[i] ? 2 * d->deps_cap[i] : 4;
        uint32_t *grown = kr_new_n(d->a, uint32_t, cap);

        if (d->deps_n[i])
            memcpy(grown, d->deps[i], sizeof(*grown) * d->deps_n[i]);
        d->deps[i] = grown;
        d->deps_cap[i] = cap;
    }
    kr_bits_set(&d->used, j);
    d->deps[i][d->deps_n[i]++] = j;
    return 0;
}

/* The cycle on the stack, told from its first declared vertex on. */
static int fail_cycle(const struct graph_dag *d, const uint32_t *stack, uint32_t depth,
                      struct kr_err *err)
{
    KR_AUTO(kr_buf) path = KR_BUF(KR_ERR_MAX);
    uint32_t first = 0;

    for (uint32_t k = 1; k < depth; k++) {
        if (stack[k] < stack[first])
            first = k;
    }
    for (uint32_t k = 0; k < depth; k++)
        kr_buf_fmt(&path, KR_FMT " -> ", KR_ARG(d->ids[stack[(first + k) % depth]]));
    kr_buf_str(&path, d->ids[stack[first]]);
    return kr_fail(err, KR_E_INPUT, "graph contains a cycle: " KR_FMT, KR_ARG(kr_buf_view(&path)));
}

/* Depth-first from i along dependencies; a way back to i is the cycle. */
int graph__dag_cycle(struct graph_dag *d, uint32_t i, struct kr_err *err)
{
    struct kr_bits seen;
    uint32_t *stack = d->stack, *next = d->stack + d->n + 1;
    uint32_t depth = 1;

    if (!kr_bits_has(&d->used, i))
        return 0; /* nothing leads to i */
    kr_bits_init(&seen, d->a, d->n);
    stack[0] = i;
    next[0] = 0;
    while (depth > 0) {
        uint32_t at = stack[depth - 1];

        if (next[depth - 1] == d->deps_n[at]) {
            depth--;
            continue;
        }
        at = d->deps[at][next[depth - 1]++];
        if (at == i)
            return fail_cycle(d, stack, depth, err);
        if (kr_bits_has(&seen, at))
            continue;
        kr_bits_set(&seen, at);
        stack[depth] = at;
        next[depth++] = 0;
    }
    return 0;
}

const uint32_t *graph__dag_order(struct graph_dag *d)
{
    uint32_t *order = kr_new_n(d->a, uint32_t, d->n);
    uint32_t *missing = kr_new_n(d->a, uint32_t, d->n); /* dependencies not yet emitted */
    uint32_t *users_n = kr_new_n(d->a, uint32_t, d->n + 1), *users, edges = 0;
    struct kr_bits ready;
    uint32_t i, out = 0;

    kr_bits_init(&ready, d->a, d->n);
    for (i = 0; i < d->n; i++) {
        missing[i] = d->deps_n[i];
        edges += d->deps_n[i];
        for (uint32_t k = 0; k < d->deps_n[i]; k++)
            users_n[d->deps[i][k] + 1]++;
        if (!missing[i])
            kr_bits_set(&ready, i);
    }
    for (i = 0; i < d->n; i++)
        users_n[i + 1] += users_n[i]; /* now: where the users of i begin */
    users = kr_new_n(d->a, uint32_t, edges);
    for (i = d->n; i-- > 0;) {
        for (uint32_t k = 0; k < d->deps_n[i]; k++)
            users[--users_n[d->deps[i][k] + 1]] = i;
    }
    /* users_n[v + 1] is now the begin of v's users, users_n[v + 2] of the next */
    while (kr_bits_pop(&ready, &i)) {
        uint32_t end = i + 2 <= d->n ? users_n[i + 2] : edges;

        order[out++] = i;
        for (uint32_t k = users_n[i + 1]; k < end; k++) {
            if (--missing[users[k]] == 0)
                kr_bits_set(&ready, users[k]);
        }
    }
    KR_ASSERT(out == d->n);
    return order;
}

const uint32_t *graph__dag_layers(struct graph_dag *d, uint32_t *layers_n)
{
    const uint32_t *order = graph__dag_order(d);
    uint32_t *layer = kr_new_n(d->a, uint32_t, d->n);
    uint32_t layers = d->n ? 1 : 0;

    for (uint32_t k = d->n; k-- > 0;) { /* users come after what they use */
        uint32_t i = order[k];

        for (uint32_t m = 0; m < d->deps_n[i]; m++) {
            uint32_t *below = &layer[d->deps[i][m]];

            if (*below < layer[i] + 1)
                *below = layer[i] + 1;
            if (layers < *below + 1)
                layers = *below + 1;
        }
    }
    for (uint32_t i = 0; i < d->n; i++)
        layer[i] = layers - layer[i];
    *layers_n = layers;
    return layer;
}
