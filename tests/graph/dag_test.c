/* SPDX-License-Identifier: Apache-2.0 */
/* dag_test.c - order, cycles, layers. */
#include "graph/internal.h"
#include "tests/graph/schemas.h"

/* edges: "ab" says that a depends on b. */
static void make(struct graph_dag *d, struct kr_arena *a, const char *vertices,
                 const char *const *edges)
{
    size_t n = strlen(vertices);
    kr_str *ids = kr_new_n(a, kr_str, n);
    struct kr_err err = KR_ERR_NONE;

    for (size_t i = 0; i < n; i++)
        ids[i] = (kr_str){&vertices[i], 1};
    graph__dag_init(d, a, ids, (uint32_t)n);
    for (; *edges; edges++)
        EXPECT_OK(graph__dag_add(d, (uint32_t)(strchr(vertices, (*edges)[0]) - vertices),
                                 (uint32_t)(strchr(vertices, (*edges)[1]) - vertices), &err),
                  &err);
}

static const char *order(struct kr_arena *a, const struct graph_dag *d)
{
    const uint32_t *at = graph__dag_order((struct graph_dag *)d);
    kr_str out = KR_S("");

    for (uint32_t i = 0; i < d->n; i++)
        out = kr_fmt(a, KR_FMT KR_FMT, KR_ARG(out), KR_ARG(d->ids[at[i]]));
    return kr_cstr(a, out);
}

#define EDGES(...) ((const char *const[]){__VA_ARGS__, NULL})

TEST(graph_dag, of_the_ready_ones_the_first_declared_comes_first)
{
    KR_AUTO(kr_arena) a = {0};
    struct graph_dag d;

    make(&d, &a, "abc", EDGES("ac"));
    EXPECT_TEXT(order(&a, &d), "bca");
    make(&d, &a, "abcd", EDGES("ba", "bc", "dc", "dc"));
    EXPECT_TEXT(order(&a, &d), "acbd");
    make(&d, &a, "", EDGES(NULL));
    EXPECT_TEXT(order(&a, &d), "");
}

TEST(graph_dag, layers_count_from_the_sinks)
{
    KR_AUTO(kr_arena) a = {0};
    struct graph_dag d;
    uint32_t n;
    /* vpc v, subnets s and t, cluster c, role r, policy p: v <- s, t <- c -> r -> p */
    const uint32_t *at;

    make(&d, &a, "vprstc", EDGES("sv", "tv", "cs", "ct", "cr", "rp"));
    EXPECT_TEXT(order(&a, &d), "vprstc");
    at = graph__dag_layers(&d, &n);
    assert_int_equal(n, 3);
    assert_int_equal(at[0], 1);
    assert_int_equal(at[1], 1);
    assert_int_equal(at[2], 2);
    assert_int_equal(at[3], 2);
    assert_int_equal(at[5], 3);
}

TEST(graph_dag, names_cycles_and_self_references)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_err err = KR_ERR_NONE;
    struct graph_dag d;

    make(&d, &a, "abcd", EDGES("db", "bc", "cd", "ab"));
    assert_int_equal(graph__dag_cycle(&d, 0, &err), 0);
    assert_int_equal(graph__dag_cycle(&d, 3, &err), KR_E_INPUT);
    assert_string_equal(err.text, "graph contains a cycle: b -> c -> d -> b");
    assert_int_equal(graph__dag_add(&d, 1, 1, &err), KR_E_INPUT);
    assert_string_equal(err.text, "self references are not allowed");
}

TEST(graph_dag, a_chain_of_a_thousand_is_no_matter)
{
    KR_AUTO(kr_arena) a = {0};
    kr_str *ids = kr_new_n(&a, kr_str, GRAPH_NODES_MAX);
    struct graph_dag d;
    uint32_t n;

    for (uint32_t i = 0; i < GRAPH_NODES_MAX; i++)
        ids[i] = kr_fmt(&a, "n%u", i);
    graph__dag_init(&d, &a, ids, GRAPH_NODES_MAX);
    for (uint32_t i = 0; i + 1 < GRAPH_NODES_MAX; i++)
        assert_int_equal(graph__dag_add(&d, i, i + 1, NULL), 0);
    assert_int_equal(graph__dag_cycle(&d, 0, NULL), 0);
    assert_int_equal(graph__dag_order(&d)[0], GRAPH_NODES_MAX - 1);
    assert_int_equal(graph__dag_layers(&d, &n)[0], GRAPH_NODES_MAX);
}

static int64_t index_of(kr_val list, kr_val v)
{
    for (uint32_t i = 0; i < list.n; i++) {
        if (kr_equal(list.list[i], v))
            return i;
    }
    return -1;
}

static int dag_case(struct kr_arena *a, kr_val line)
{
    kr_val vertices = kr_at(line, "vertices"), want = kr_at(line, "order"),
           layers = kr_at(line, "layers");
    kr_str *ids = kr_new_n(a, kr_str, vertices.n);
    const uint32_t *at;
    struct graph_dag d;
    uint32_t n;

    for (uint32_t i = 0; i < vertices.n; i++)
        ids[i] = kr_text(vertices.list[i]);
    graph__dag_init(&d, a, ids, vertices.n);
    KR_LIST_EACH (e, kr_at(line, "edges")) /* [from, to]: to depends on from */
        assert_int_equal(graph__dag_add(&d, (uint32_t)index_of(vertices, kr_item(*e, 1)),
                                        (uint32_t)index_of(vertices, kr_item(*e, 0)), NULL),
                         0);
    if (layers.kind == KR_LIST) {
        at = graph__dag_layers(&d, &n);
        for (uint32_t i = 0; i < vertices.n; i++) {
            if (index_of(kr_item(layers, n - at[i]), vertices.list[i]) < 0)
                return 0;
        }
        return n == layers.n;
    }
    at = graph__dag_order(&d);
    for (uint32_t i = 0; i < vertices.n; i++) {
        if (!kr_is_str(kr_item(want, i), ids[at[i]]))
            return 0;
    }
    return want.n == vertices.n;
}

TEST(graph_dag, compatibility_table)
{
    uint32_t failed;

    if (!cases_present())
        skip();
    assert_int_equal(cases_each("validation/dag.jsonl", dag_case, &failed), 12);
}

int main(void)
{
    return RUN(T(graph_dag, of_the_ready_ones_the_first_declared_comes_first),
               T(graph_dag, layers_count_from_the_sinks),
               T(graph_dag, names_cycles_and_self_references),
               T(graph_dag, a_chain_of_a_thousand_is_no_matter), T(graph_dag, compatibility_table));
}
