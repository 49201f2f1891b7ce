/* SPDX-License-Identifier: Apache-2.0 */
/* incremental_test.c - at rest, the incremental result equals a computation from scratch.
 *
 * A history is a random definition (a DAG of ConfigMaps that read each other's data, with
 * readyWhen, includeWhen, collections over lists and over other collections, external references and
 * external collections, names and namespaces that move, status projections, conditions of the
 * author),
 * and random events: edits, foreign writes, drift, deletions with and without finalizers,
 * suspension, revisions, restarts, answers that fail, get lost or come late, in every order that
 * watches allow. When all is quiet a fresh instance is fed with what is there: it must plan
 * nothing. So what stands in the cluster, the status included, is what the definition says, and not
 * what happened on the way.
 *
 * KROC_SEED runs one history (and prints its trace), KROC_HISTORIES sets how many, KROC_FULL=1 runs
 * many.
 */
#include "tests/lib/scenario.h"

#include <stdio.h>
#include <string.h>

enum {
    HISTORIES = 10000, /* a short run; under sanitizers some two minutes */
    HISTORIES_FULL = 100 * 1000,
    HISTORIES_OF_ONE = 40, /* histories share a pair of definitions: compiling is the dear part */
    NODES_MAX_HERE = 6,
    ITEMS_MAX_HERE = 400, /* of all nodes: products of products */
    EVENTS_MAX = 14,
};

static const char *const values[] = {"p", "q", "r"};

static uint32_t below(uint64_t *seed, uint32_t n)
{
    return (uint32_t)(test_rand(seed) % n);
}

static bool chance(uint64_t *seed, uint32_t percent)
{
    return below(seed, 100) < percent;
}

/* --- random definitions ----------------------------------------------------------------------- */

struct shape {
    uint32_t nodes_n;
    enum graph_node_kind kind[NODES_MAX_HERE];
};

static bool is_many(const struct shape *shape, uint32_t i)
{
    return shape->kind[i] == GRAPH_COLLECTION || shape->kind[i] == GRAPH_EXTERNAL_COLLECTION;
}

/* form with every % replaced by the number of a node. */
static void print_form(struct kr_buf *b, const char *form, uint32_t j)
{
    for (; *form; form++) {
        if (*form == '%')
            kr_buf_fmt(b, "%u", j);
        else
            kr_buf_chr(b, *form);
    }
}

/* An expression of type string that reads node j. */
static void print_expression(struct kr_buf *b, uint64_t *seed, const struct shape *shape,
                             uint32_t j)
{
    static const char *const own[] = {"n%.data.k", "n%.data.?x.orValue('none')", "n%.data.x",
                                      "n%.metadata.resourceVersion", "string(size(n%.data))"};
    static const char *const of_external[] = {"n%.data.?x.orValue('none')", "n%.data.x",
                                              "n%.metadata.name", "n%.data.?x.orValue('none')",
                                              "n%.metadata.resourceVersion"};
    static const char *const of_many[] = {
        "string(size(n%))",
        "n%.map(x, x.metadata.name).join('.')",
        "n%.map(x, x.data.?x.orValue('none')).join('.')",
        "n%.filter(x, has(x.data.x)).map(x, x.metadata.name + x.data.x).join('.')",
        "n%[0].metadata.name",
    };
    const char *const *forms = own;

    if (is_many(shape, j))
        forms = of_many;
    else if (shape->kind[j] == GRAPH_EXTERNAL)
        forms = of_external;
    print_form(b, forms[below(seed, 5)], j);
}

static void print_include(struct kr_buf *b, uint64_t *seed, const struct shape *shape, uint32_t i)
{
    uint32_t j = i ? below(seed, i) : 0;

    if (i == 0 || chance(seed, 60))
        kr_buf_fmt(b, "      includeWhen: [\"${schema.spec.flag%u}\"]\n", below(seed, 2));
    else if (is_many(shape, j))
        kr_buf_fmt(b, "      includeWhen: [\"${size(n%u) > 1}\"]\n", j);
    else
        kr_buf_fmt(b, "      includeWhen: [\"${n%u.data.?x.orValue('0') == '1'}\"]\n", j);
}

static void print_ready(struct kr_buf *b, uint64_t *seed, const char *name)
{
    kr_buf_fmt(b,
               chance(seed, 70) ? "      readyWhen: [\"${%s.data.?ready.orValue('') == 'yes'}\"]\n"
                                : "      readyWhen: [\"${%s.data.ready == 'yes'}\"]\n",
               name);
}

static void print_data(struct kr_buf *b, uint64_t *seed, const struct shape *shape, uint32_t i)
{
    static const char *const fields[] = {"a", "b", "c"};

    kr_buf_fmt(b, "        data:\n          k: \"${schema.spec.%s}\"\n", fields[below(seed, 3)]);
    if (chance(seed, 20))
        kr_buf_fmt(b, "          norm: \"${schema.spec.%s}\"\n", fields[below(seed, 3)]);
    for (uint32_t k = 0; i && k < below(seed, 3); k++) {
        kr_buf_fmt(b, "          d%u: \"${", k);
        print_expression(b, seed, shape, below(seed, i));
        kr_buf_fmt(b, "}\"\n");
    }
}

static void print_resource(struct kr_buf *b, uint64_t *seed, const struct shape *shape, uint32_t i)
{
    char id[16];

    snprintf(id, sizeof(id), "n%u", i);
    if (chance(seed, 30))
        print_ready(b, seed, id);
    kr_buf_fmt(
        b, "      template:\n        apiVersion: v1\n        kind: ConfigMap\n        metadata:\n");
    kr_buf_fmt(b, "          name: \"${schema.metadata.name}-n%u%s\"\n", i,
               chance(seed, 20) ? "-${schema.spec.b}" : "");
    if (chance(seed, 15))
        kr_buf_fmt(b, "          namespace: \"${schema.spec.ns}\"\n");
    print_data(b, seed, shape, i);
}

/* A dimension: strings, or the objects of a collection. Returns how its iterator is named in text. */
static const char *print_dim(struct kr_buf *b, uint64_t *seed, const struct shape *shape,
                             uint32_t i, const char *name)
{
    uint32_t j = i ? below(seed, i) : 0;

    kr_buf_fmt(b, "        - %s: \"${", name);
    if (i && is_many(shape, j) && chance(seed, 70)) {
        kr_buf_fmt(b, "n%u%s}\"\n", j,
                   chance(seed, 30) ? ".filter(x, x.data.?x.orValue('0') != '1')" : "");
        return ".metadata.name";
    }
    if (i && chance(seed, 20)) {
        kr_buf_fmt(b, "['u', ");
        print_expression(b, seed, shape, j);
        kr_buf_fmt(b, ".lowerAscii()]}\"\n");
    } else {
        kr_buf_fmt(b, "schema.spec.list%u}\"\n", below(seed, 2));
    }
    return "";
}

static void print_collection(struct kr_buf *b, uint64_t *seed, const struct shape *shape,
                             uint32_t i)
{
    const char *v, *w = NULL;

    kr_buf_fmt(b, "      forEach:\n");
    v = print_dim(b, seed, shape, i, "v");
    if (chance(seed, 25))
        w = print_dim(b, seed, shape, i, "w");
    if (chance(seed, 25))
        print_ready(b, seed, "each");
    kr_buf_fmt(
        b, "      template:\n        apiVersion: v1\n        kind: ConfigMap\n        metadata:\n");
    kr_buf_fmt(b, "          name: \"${schema.metadata.name}-n%u-${v%s}", i, v);
    if (w)
        kr_buf_fmt(b, "-${w%s}", w);
    kr_buf_fmt(b, "\"\n");
    if (chance(seed, 15))
        kr_buf_fmt(b, "          namespace: \"${schema.spec.ns}\"\n");
    print_data(b, seed, shape, i);
    if (*v && chance(seed, 70))
        kr_buf_fmt(b, "          of: \"${v.data.?x.orValue('none')}\"\n");
}

static void print_external(struct kr_buf *b, uint64_t *seed, uint32_t i)
{
    char id[16];

    snprintf(id, sizeof(id), "n%u", i);
    if (chance(seed, 20))
        print_ready(b, seed, id);
    kr_buf_fmt(
        b,
        "      externalRef:\n        apiVersion: v1\n        kind: ConfigMap\n        metadata:\n");
    kr_buf_fmt(b, "          name: \"ext-%s\"\n",
               chance(seed, 50) ? values[below(seed, 2)] : "${schema.spec.c}");
}

static void print_selector(struct kr_buf *b, uint64_t *seed, uint32_t i)
{
    static const char *const namespaces[] = {"", "          namespace: default\n",
                                             "          namespace: \"${schema.spec.ns}\"\n"};
    static const char *const selectors[] = {
        "matchLabels: {pick: \"${schema.spec.c}\"}",
        "matchLabels: {pick: p}",
        "matchExpressions: [{key: pick, operator: In, values: [\"${schema.spec.b}\", q]}]",
        ("matchExpressions: [{key: pick, operator: Exists}, {key: pick, operator: NotIn, values: "
         "[\"${schema.spec.a}\"]}]"),
    };

    if (chance(seed, 20))
        print_ready(b, seed, "each");
    kr_buf_fmt(
        b,
        "      externalRef:\n        apiVersion: v1\n        kind: ConfigMap\n        metadata:\n"
        "%s          selector: {%s}\n",
        namespaces[below(seed, KR_N(namespaces))], selectors[below(seed, KR_N(selectors))]);
}

static void print_node(struct kr_buf *b, uint64_t *seed, struct shape *shape, uint32_t i)
{
    static const enum graph_node_kind kinds[] = {
        GRAPH_RESOURCE,   GRAPH_RESOURCE,           GRAPH_RESOURCE,   GRAPH_RESOURCE,
        GRAPH_EXTERNAL,   GRAPH_EXTERNAL,           GRAPH_COLLECTION, GRAPH_COLLECTION,
        GRAPH_COLLECTION, GRAPH_EXTERNAL_COLLECTION};

    shape->kind[i] = kinds[below(seed, KR_N(kinds))];
    kr_buf_fmt(b, "    - id: n%u\n", i);
    if (chance(seed, 30))
        print_include(b, seed, shape, i);
    switch (shape->kind[i]) {
    case GRAPH_RESOURCE:
        print_resource(b, seed, shape, i);
        return;
    case GRAPH_COLLECTION:
        print_collection(b, seed, shape, i);
        return;
    case GRAPH_EXTERNAL:
        print_external(b, seed, i);
        return;
    case GRAPH_EXTERNAL_COLLECTION:
        print_selector(b, seed, i);
        return;
    }
}

/* The author's conditions: of the spec, of a node, of the machine's own, a list of them. */
static void print_conditions(struct kr_buf *b, uint64_t *seed, const struct shape *shape)
{
    uint32_t j = below(seed, shape->nodes_n);

    kr_buf_fmt(b,
               "      conditions:\n        - \"${runtime.newCondition({type: 'Spec', status: "
               "schema.spec.flag0 ? 'True' : 'False', reason: 'R', message: schema.spec.a})}\"\n");
    kr_buf_fmt(b, "        - \"${runtime.newCondition({type: 'Node', status: ");
    print_form(b,
               is_many(shape, j) ? "size(n%) > 1 ? 'True' : 'False', reason: 'Size', message: "
                                   "n%.map(x, x.metadata.name).join('.')"
                                 : "n%.data.x == '1' ? 'True' : 'Unknown', reason: 'X', message: "
                                   "n%.metadata.name",
               j);
    kr_buf_fmt(b, "})}\"\n");
    if (chance(seed, 50))
        kr_buf_fmt(b,
                   "        - \"${runtime.newCondition({type: 'Done', status: "
                   "runtime.condition(schema, 'Ready').status, reason: runtime.condition(schema, "
                   "'ResourcesReady').reason})}\"\n");
    if (is_many(shape, j) && chance(seed, 50)) { /* the same type twice, now and then */
        kr_buf_fmt(b, "        - \"${");
        print_form(b,
                   "n%.map(x, runtime.newCondition({type: 'Of' + x.data.?x.orValue('none'), "
                   "status: 'True'}))",
                   j);
        kr_buf_fmt(b, "}\"\n");
    }
}

static struct graph_rev *random_revision(const struct cel_kinds *kinds, uint64_t *seed,
                                         kr_str *yaml, struct kr_arena *a)
{
    KR_AUTO(kr_buf) b = KR_BUF(1024 * 1024);
    KR_AUTO(kr_buf) nodes = KR_BUF(1024 * 1024);
    struct shape shape = {.nodes_n = 1 + below(seed, NODES_MAX_HERE)};

    for (uint32_t i = 0; i < shape.nodes_n; i++)
        print_node(&nodes, seed, &shape, i);
    kr_buf_fmt(
        &b,
        "metadata: {name: random}\nspec:\n  schema:\n    apiVersion: v1alpha1\n    kind: Random\n"
        "    spec:\n      a: string\n      b: string\n      c: string\n      ns: string\n"
        "      list0: '[]string'\n      list1: '[]string'\n"
        "      flag0: boolean\n      flag1: boolean\n    status:\n      echo: ${schema.spec.a}\n");
    for (uint32_t i = 0; i < shape.nodes_n; i++) {
        if (chance(seed, 60))
            continue;
        kr_buf_fmt(&b, "      s%u: \"%s${", i, chance(seed, 50) ? "x-" : "");
        print_form(&b,
                   is_many(&shape, i) ? "n%.map(x, x.data.?x.orValue('-')).join('.')"
                                      : "n%.data.?x.orValue('-')",
                   i);
        kr_buf_fmt(&b, "}\"\n");
    }
    if (chance(seed, 40))
        print_conditions(&b, seed, &shape);
    kr_buf_fmt(&b, "  resources:\n");
    kr_buf_str(&b, kr_buf_view(&nodes));
    *yaml = kr_strdup(a, kr_buf_view(&b));
    return scenario_revision(kinds, b.s);
}

/* --- random events ---------------------------------------------------------------------------- */

struct history {
    struct model *m;
    uint64_t seed;
    struct graph_rev *revs[2];
    bool quiet; /* no failures, no restarts: the budget holds */
};

/* Inputs stand in the trace too. */
static void note(struct history *h, const char *what, const char *name, const char *text)
{
    kr_buf_fmt(&h->m->trace, "# %s %s %s\n", what, name, text);
}

static kr_val patch(struct history *h, const char *text)
{
    return scenario_patch(&h->m->a, kr_str_c(text));
}

static void edit_list(struct history *h)
{
    char text[64];
    uint32_t n = below(&h->seed, 4), at;

    at = (uint32_t)snprintf(text, sizeof(text), "spec.list%u=[", below(&h->seed, 2));
    for (uint32_t i = 0; i < n; i++) /* seldom one twice */
        at += (uint32_t)snprintf(text + at, sizeof(text) - at, "%s\"%s\"", i ? "," : "",
                                 values[chance(&h->seed, 90) ? i : below(&h->seed, 3)]);
    snprintf(text + at, sizeof(text) - at, "]");
    note(h, "edit", "", text);
    model_edit(h->m, patch(h, text));
}

static void edit_spec(struct history *h)
{
    static const char *const fields[] = {"a", "b", "c"};
    char text[64];

    switch (below(&h->seed, 6)) {
    case 4:
    case 5:
        edit_list(h);
        return;
    case 0:
        snprintf(text, sizeof(text), "spec.flag%u=%s", below(&h->seed, 2),
                 chance(&h->seed, 50) ? "true" : "false");
        break;
    case 1:
        snprintf(text, sizeof(text), "spec.ns=%s", chance(&h->seed, 50) ? "default" : "other");
        break;
    default:
        snprintf(text, sizeof(text), "spec.%s=%s", fields[below(&h->seed, 3)],
                 values[below(&h->seed, 3)]);
    }
    note(h, "edit", "", text);
    model_edit(h->m, patch(h, text));
}

static void write_external(struct history *h)
{
    const char *ns = chance(&h->seed, 75) ? "default" : "other";
    char name[16], text[96];

    snprintf(name, sizeof(name), "ext-%s", values[below(&h->seed, 3)]);
    if (chance(&h->seed, 20)) {
        note(h, "delete", name, "");
        model_delete(h->m, "v1", "ConfigMap", ns, name);
        return;
    }
    snprintf(text, sizeof(text), "data.x=\"%u\" data.ready=%s metadata.labels.pick=%s",
             below(&h->seed, 3), chance(&h->seed, 70) ? "yes" : "no",
             chance(&h->seed, 80) ? values[below(&h->seed, 3)] : "null");
    note(h, "object", name, text);
    model_write(h->m, "v1", "ConfigMap", ns, name, patch(h, text));
}

/* A live child, or NULL. */
static const struct model_object *some_child(struct history *h)
{
    uint32_t first = below(&h->seed, h->m->objects_n);

    for (uint32_t i = 0; i < h->m->objects_n; i++) {
        const struct model_object *o = &h->m->objects[(first + i) % h->m->objects_n];

        if (o->live.kind != KR_NONE && kr_str_is(o->gvk.kind, "ConfigMap") &&
            !kr_str_starts(o->ref.name, KR_S("ext-")))
            return o;
    }
    return NULL;
}

static void touch_child(struct history *h)
{
    static const char *const writes[] = {"data.x=\"1\"",
                                         "data.x=\"0\"",
                                         "data.x=null",
                                         "data.ready=yes",
                                         "data.ready=no",
                                         "data.k=drift",
                                         "data.k=null",
                                         "metadata.annotations.foreign=1",
                                         "metadata.labels[\"applyset.kubernetes.io/part-of\"]=null",
                                         "metadata.labels[\"kro.run/node-id\"]=other"};
    const struct model_object *o = some_child(h);
    char ns[64], name[64];

    if (!o)
        return;
    snprintf(ns, sizeof(ns), KR_FMT, KR_ARG(o->ref.namespace));
    snprintf(name, sizeof(name), KR_FMT, KR_ARG(o->ref.name));
    if (chance(&h->seed, 20)) {
        bool hold = chance(&h->seed, 50);

        if (hold)
            model_write(h->m, "v1", "ConfigMap", ns, name,
                        patch(h, "metadata.finalizers=[\"x/y\"]"));
        note(h, "delete", name, hold ? "with finalizer" : "");
        model_delete(h->m, "v1", "ConfigMap", ns, name);
    } else if (kr_at(o->live, "metadata.deletionTimestamp").kind != KR_NONE &&
               chance(&h->seed, 70)) {
        note(h, "let go of", name, "");
        model_write(h->m, "v1", "ConfigMap", ns, name, patch(h, "metadata.finalizers=null"));
    } else {
        const char *text = writes[below(&h->seed, KR_N(writes))];

        note(h, "object", name, text);
        model_write(h->m, "v1", "ConfigMap", ns, name, patch(h, text));
    }
}

static void trouble(struct history *h)
{
    static const enum graph_action_kind kinds[] = {GRAPH_A_APPLY, GRAPH_A_APPLY_PARENT,
                                                   GRAPH_A_DELETE, GRAPH_A_STATUS};
    static const enum graph_outcome outcomes[] = {GRAPH_O_RETRY, GRAPH_O_RETRY, GRAPH_O_INVALID,
                                                  GRAPH_O_CONFLICT};
    enum graph_outcome outcome = outcomes[below(&h->seed, KR_N(outcomes))];
    enum graph_action_kind kind = kinds[below(&h->seed, KR_N(kinds))];

    if (h->quiet)
        return;
    if (chance(&h->seed, 25)) {
        note(h, "restart", "", "");
        model_restart(h->m);
        return;
    }
    note(h, "trouble", graph_action_word(kind), outcome == GRAPH_O_RETRY ? "retry" : "refused");
    if (h->m->answers_n < KR_N(h->m->answers))
        model_answer(h->m, kind, outcome, "trouble",
                     outcome == GRAPH_O_RETRY && chance(&h->seed, 50), 1 + below(&h->seed, 3));
}

static void suspend(struct history *h, bool on)
{
    const char *text = on ? "metadata.annotations[\"kro.run/reconcile\"]=suspended"
                          : "metadata.annotations[\"kro.run/reconcile\"]=null";

    note(h, "edit", "", text);
    model_edit(h->m, patch(h, text));
}

static void some_event(struct history *h)
{
    switch (below(&h->seed, 10)) {
    case 0:
    case 1:
        edit_spec(h);
        return;
    case 2:
    case 3:
        write_external(h);
        return;
    case 4:
    case 5:
    case 6:
        touch_child(h);
        return;
    case 7:
        trouble(h);
        return;
    case 8:
        suspend(h, chance(&h->seed, 50));
        return;
    default:
        note(h, "revision", "", "");
        model_set_revision(h->m, h->revs[below(&h->seed, 2)], "");
    }
}

static void some_time(struct history *h)
{
    switch (below(&h->seed, 4)) {
    case 0:
        return;
    case 1:
        for (uint32_t i = below(&h->seed, 8); i > 0; i--)
            model_turn(h->m);
        return;
    case 2:
        model_run(h->m);
        return;
    default:
        model_wait(h->m, below(&h->seed, 3000));
    }
}

/* --- the property ----------------------------------------------------------------------------- */

/* Objects that the server rewrites cost one apply that changes nothing after a restart. */
static bool only_such_applies(const struct history *h, uint32_t writes)
{
    uint32_t n = 0;

    if (!h->m->webhook)
        return writes == 0;
    for (uint32_t i = 0; i < h->m->objects_n; i++) {
        const struct model_object *o = &h->m->objects[i];

        if (o->applies > (kr_at(o->live, "data.norm").kind != KR_NONE))
            return false;
        n += o->applies;
    }
    return n == writes;
}

static void expect_fixed_point(struct history *h, uint64_t seed)
{
    KR_AUTO(kr_arena) a = {0};
    kr_str before, after;
    uint64_t version;

    for (uint32_t i = 0; i < h->m->answers_n; i++)
        h->m->answers[i].times = 0;
    model_rest(h->m);
    before = model_state(h->m, &a);
    version = h->m->version;
    model_count(h->m);
    kr_buf_fmt(&h->m->trace, "--- restart\n");
    model_restart(h->m);
    model_rest(h->m);
    after = model_state(h->m, &a);
    if (!only_such_applies(h, model_writes_n(h->m)) || h->m->version != version ||
        !kr_str_eq(before, after)) {
        fprintf(stderr, "%s\nseed %llu: a fresh instance does not agree (%u writes)\n",
                h->m->trace.s, (unsigned long long)seed, model_writes_n(h->m));
        EXPECT_TEXT(kr_cstr(&a, after), kr_cstr(&a, before));
        fail();
    }
}

static const char instance_text[] =
    "{\"apiVersion\":\"kro.run/"
    "v1alpha1\",\"kind\":\"Random\",\"metadata\":{\"name\":\"demo\",\"namespace\":\"default\"},"
    "\"spec\":{\"a\":\"p\",\"b\":\"q\",\"c\":\"q\",\"ns\":\"default\",\"flag0\":true,\"flag1\":"
    "true,\"list0\":[\"p\",\"q\"],\"list1\":[\"r\"]}}";

static struct model *new_model(const struct cel_kinds *kinds, struct graph_rev *rev)
{
    KR_AUTO(kr_arena) a = {0};

    return model_new(kinds, rev, test_json(&a, instance_text));
}

static void run_history(const struct cel_kinds *kinds, struct graph_rev *const revs[2],
                        uint64_t seed)
{
    struct history h = {.seed = seed, .revs = {revs[0], revs[1]}};
    uint32_t events = 1 + below(&h.seed, EVENTS_MAX);

    h.m = new_model(kinds, revs[0]);
    h.m->seed = &h.seed;
    h.m->why = true;
    h.m->webhook = chance(&h.seed, 30);
    for (uint32_t i = 0; i < events; i++) {
        some_time(&h);
        some_event(&h);
    }
    expect_fixed_point(&h, seed);
    model_free(h.m);
}

static uint64_t number_of(const char *variable, uint64_t otherwise)
{
    uint64_t n;

    return kr_str_u64(kr_str_c(getenv(variable)), &n) ? n : otherwise;
}

static uint64_t histories(uint64_t few, uint64_t many)
{
    return number_of("KROC_HISTORIES", getenv("KROC_FULL") ? many : few);
}

TEST(incremental, equals_from_scratch)
{
    struct cel_kinds *kinds = model_kinds(KROC_SOURCE "/tests/scenario/kinds.yaml");
    uint64_t only = number_of("KROC_SEED", 0), n = histories(HISTORIES, HISTORIES_FULL);

    for (uint64_t block = 1; (block - 1) * HISTORIES_OF_ONE < n; block++) {
        KR_AUTO(kr_arena) a = {0};
        uint64_t seed = block * 1000003;
        kr_str yaml[2];
        struct graph_rev *revs[2];

        if (only && only / 1000 != block)
            continue;
        for (int i = 0; i < 2; i++)
            revs[i] = random_revision(kinds, &seed, &yaml[i], &a);
        for (uint64_t i = 0; i < HISTORIES_OF_ONE; i++) {
            uint64_t id = block * 1000 + i;

            if (only && only != id)
                continue;
            if (only)
                fprintf(stderr, KR_FMT "\n" KR_FMT "\n", KR_ARG(yaml[0]), KR_ARG(yaml[1]));
            run_history(kinds, revs, id);
        }
        graph_rev_drop(revs[0]);
        graph_rev_drop(revs[1]);
    }
    cel_kinds_free(kinds);
}

/* --- the budget ------------------------------------------------------------------------------- */

enum {
    QUIET_HISTORIES = 400,
    PARENT_MAX = 4, /* the inventory grows before the children, and shrinks after a prune: two
                       applies each */
    STATUS_MAX = 2, /* what is waited for, and the end */
};

static void expect_budget(struct history *h, uint64_t seed)
{
    const uint32_t *writes = h->m->writes;

    if (model_applies_max(h->m) <= 1 && writes[GRAPH_A_APPLY_PARENT] <= PARENT_MAX &&
        writes[GRAPH_A_STATUS] <= STATUS_MAX && writes[GRAPH_A_DELETE] <= 2 * ITEMS_MAX_HERE)
        return;
    fprintf(
        stderr,
        "%s\nseed %llu: over the budget: %u applies of one object, %u of the parent, %u statuses\n",
        h->m->trace.s, (unsigned long long)seed, model_applies_max(h->m),
        writes[GRAPH_A_APPLY_PARENT], writes[GRAPH_A_STATUS]);
    fail();
}

static void run_quiet(const struct cel_kinds *kinds, struct graph_rev *const revs[2], uint64_t seed)
{
    struct history h = {.seed = seed, .revs = {revs[0], revs[1]}, .quiet = true};
    uint32_t events = 1 + below(&h.seed, EVENTS_MAX);

    h.m = new_model(kinds, revs[0]);
    h.m->seed = &h.seed;
    h.m->why = true;
    for (uint32_t i = 0; i < events; i++) {
        model_rest(h.m);
        expect_budget(&h, seed);
        model_wait(h.m, 2000);
        kr_buf_fmt(&h.m->trace, "---\n");
        model_count(h.m);
        some_event(&h);
    }
    model_rest(h.m);
    expect_budget(&h, seed);
    model_free(h.m);
}

TEST(incremental, one_event_costs_each_object_at_most_one_apply)
{
    struct cel_kinds *kinds = model_kinds(KROC_SOURCE "/tests/scenario/kinds.yaml");
    uint64_t only = number_of("KROC_SEED", 0), n = histories(QUIET_HISTORIES, HISTORIES_FULL);

    for (uint64_t block = 1; (block - 1) * HISTORIES_OF_ONE < n; block++) {
        KR_AUTO(kr_arena) a = {0};
        uint64_t seed = block * 7000009;
        kr_str yaml[2];
        struct graph_rev *revs[2];

        if (only && only / 1000 != block)
            continue;
        for (int i = 0; i < 2; i++)
            revs[i] = random_revision(kinds, &seed, &yaml[i], &a);
        for (uint64_t i = 0; i < HISTORIES_OF_ONE; i++) {
            if (only && only != block * 1000 + i)
                continue;
            if (only)
                fprintf(stderr, KR_FMT "\n" KR_FMT "\n", KR_ARG(yaml[0]), KR_ARG(yaml[1]));
            run_quiet(kinds, revs, block * 1000 + i);
        }
        graph_rev_drop(revs[0]);
        graph_rev_drop(revs[1]);
    }
    cel_kinds_free(kinds);
}

int main(void)
{
    return RUN(T(incremental, equals_from_scratch),
               T(incremental, one_event_costs_each_object_at_most_one_apply));
}
