/* SPDX-License-Identifier: Apache-2.0 */
/* graph_bench.c - how long a definition takes to compile, and what its expressions weigh.
 *
 *   bench_graph           a definition of 2 resources, then chains of up to 400; the schemas of the
 *                         built-in types are read before the clock starts
 *   bench_graph --once N EACH    one build of a chain, for counting instructions; N is 0: the two
 *
 * Times are processor time, the least of many builds. Bytes are what the heap has given to a revision; those of an
 * expression are what a definition with more of them takes more, by expression.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cel/base/json.h"
#include "cel/base/yaml.h"
#include "graph/graph.h"
#include "kube/builtin.h"

enum { TEXT_MAX = 16 * 1024 * 1024, BUDGET_NS = 300 * 1000 * 1000, ROUNDS_MIN = 5 };

static const char two[] =
    "schema:\n"
    "  apiVersion: v1alpha1\n"
    "  kind: WebApp\n"
    "  spec: {name: string, image: 'string | default=\"nginx\"', replicas: 'integer | default=2'}\n"
    "  status: {ready: '${deployment.status.readyReplicas}'}\n"
    "resources:\n"
    "- id: settings\n"
    "  template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "
    "'${schema.spec.name}-settings'}, "
    "data: {image: '${schema.spec.image}'}}\n"
    "- id: deployment\n"
    "  readyWhen: ['${deployment.status.readyReplicas == deployment.spec.replicas}']\n"
    "  template:\n"
    "    apiVersion: apps/v1\n"
    "    kind: Deployment\n"
    "    metadata: {name: '${schema.spec.name}'}\n"
    "    spec:\n"
    "      replicas: ${schema.spec.replicas}\n"
    "      selector: {matchLabels: {app: '${schema.spec.name}'}}\n"
    "      template:\n"
    "        metadata: {labels: {app: '${schema.spec.name}'}, annotations: {v: "
    "'${settings.metadata.resourceVersion}'}}\n"
    "        spec: {containers: [{name: main, image: '${schema.spec.image}'}]}\n";

static void die(const struct kr_err *err)
{
    fprintf(stderr, "%s\n", err->text);
    exit(1);
}

/* A chain of n ConfigMaps, each with `each` expressions that read the one before. */
static void chain_text(struct kr_buf *b, int n, int each)
{
    kr_buf_fmt(b,
               "schema: {apiVersion: v1alpha1, kind: Chain, spec: {name: string}}\nresources:\n");
    for (int i = 0; i < n; i++) {
        kr_buf_fmt(b, "- id: node%d\n  template:\n    apiVersion: v1\n    kind: ConfigMap\n", i);
        kr_buf_fmt(b, "    metadata: {name: '${schema.spec.name}-%d'}\n    data:\n", i);
        for (int k = 0; k < each; k++) {
            if (i > 0)
                kr_buf_fmt(b, "      key%d: ${node%d.data.key%d + \"-%d\"}\n", k, i - 1, k, i);
            else
                kr_buf_fmt(b, "      key%d: ${schema.spec.name}\n", k);
        }
    }
}

struct definition {
    struct kr_arena a;
    kr_val spec;
    struct cel_kinds *kinds;
    size_t bytes; /* of the heap that the last revision holds */
};

static void read_definition(struct definition *d, kr_str text)
{
    struct kr_err err = KR_ERR_NONE;
    const kr_gvk *gvks;
    uint32_t n;

    if (kr_yaml_parse(&d->a, text, &d->spec, &err) < 0)
        die(&err);
    d->spec = kr_item(d->spec, 0);
    d->kinds = cel_kinds_new();
    graph_kinds_of(d->spec, &d->a, &gvks, &n);
    for (uint32_t i = 0; i < n; i++) {
        kube_builtin_add(d->kinds, gvks[i]);
        cel_kinds_find(d->kinds, gvks[i]);
    }
}

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t build_ns(struct definition *d)
{
    static struct kr_err err;
    struct graph_source src = {.name = KR_S("bench"), .uid = KR_S("u"), .spec = d->spec};
    size_t before = mallinfo2().uordblks;
    struct kr_arena a = {0};
    struct graph_rev *rev;
    const kr_gvk *needs;
    uint32_t needs_n;
    int64_t start = now_ns();
    int64_t took;

    if (graph_build(&src, d->kinds, &a, &rev, &needs, &needs_n, &err) != 0)
        die(&err);
    took = now_ns() - start;
    kr_arena_fini(&a);
    d->bytes = mallinfo2().uordblks - before;
    graph_rev_drop(rev);
    return took;
}

static double least_us(struct definition *d)
{
    int64_t end = now_ns() + BUDGET_NS;
    int64_t least = build_ns(d);

    for (int i = 0; i < ROUNDS_MIN || now_ns() < end; i++) {
        int64_t took = build_ns(d);

        least = took < least ? took : least;
    }
    return (double)least / 1000;
}

static size_t measure(const char *name, kr_str text, int nodes)
{
    struct definition d = {.bytes = 0};
    size_t bytes;
    double us;

    read_definition(&d, text);
    us = least_us(&d);
    bytes = d.bytes;
    printf("%-24s %10.1f us %8.1f us/node %10zu bytes\n", name, us, us / nodes, bytes);
    cel_kinds_free(d.kinds);
    kr_arena_fini(&d.a);
    return bytes;
}

static void once(int n, int each)
{
    KR_AUTO(kr_buf) b = KR_BUF(TEXT_MAX);
    struct definition d = {.bytes = 0};

    chain_text(&b, n, each);
    read_definition(&d, n ? kr_buf_view(&b) : kr_str_c(two));
    build_ns(&d);
    printf("%zu bytes\n", d.bytes);
    cel_kinds_free(d.kinds);
    kr_arena_fini(&d.a);
}

static size_t measure_chain(int n, int each)
{
    KR_AUTO(kr_buf) b = KR_BUF(TEXT_MAX);
    char name[64];

    snprintf(name, sizeof(name), "%d nodes, %d expressions", n, n * (each + 1));
    chain_text(&b, n, each);
    return measure(name, kr_buf_view(&b), n);
}

int main(int argc, char **argv)
{
    static const int sizes[] = {2, 20, 50, 100, 200, 400};
    size_t few;
    size_t many;

    if (argc == 4 && strcmp(argv[1], "--once") == 0) {
        once((int)strtol(argv[2], NULL, 10), (int)strtol(argv[3], NULL, 10));
        return 0;
    }
    measure("2 nodes", kr_str_c(two), 2);
    for (size_t i = 0; i < KR_N(sizes); i++)
        measure_chain(sizes[i], 2);
    few = measure_chain(200, 2);
    many = measure_chain(200, 12);
    printf("bytes of an expression, its place in the template included: %zu\n",
           (many - few) / (200 * 10));
    return 0;
}
