/* SPDX-License-Identifier: Apache-2.0 */
/* collection_test.c - collections and external collections, with the whole controller: what they
 * cost in requests, which watches they need, and whose an item is. */
#include <stdio.h>

#include "graph/names.h"
#include "tests/lib/world.h"

#define CORE "/api/v1/namespaces/default/"
#define KRO "/apis/kro.run/v1alpha1/namespaces/default/"

enum { MANY = 300 };

static const char fleet_rgd[] =
    "apiVersion: kro.run/v1alpha1\n"
    "kind: ResourceGraphDefinition\n"
    "metadata: {name: fleets}\n"
    "spec:\n"
    "  schema:\n"
    "    apiVersion: v1alpha1\n"
    "    kind: Fleet\n"
    "    types: {Worker: {name: string, value: string}}\n"
    "    spec: {workers: '[]Worker', prefix: string}\n"
    "    status: {size: '${string(size(workers))}'}\n"
    "  resources:\n"
    "    - id: workers\n"
    "      forEach: [{one: '${schema.spec.workers}'}]\n"
    "      template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "
    "'${schema.spec.prefix}-${one.name}'}, data: {value: '${one.value}'}}\n"
    "    - id: logs\n"
    "      forEach: [{worker: '${workers}'}]\n"
    "      template: {apiVersion: v1, kind: Secret, metadata: {name: "
    "'${worker.metadata.name}-log'}, stringData: {value: '${worker.data.value}'}}\n";

static const char picker_rgd[] =
    "apiVersion: kro.run/v1alpha1\n"
    "kind: ResourceGraphDefinition\n"
    "metadata: {name: pickers}\n"
    "spec:\n"
    "  schema:\n"
    "    apiVersion: v1alpha1\n"
    "    kind: Picker\n"
    "    spec: {team: string}\n"
    "    status: {found: '${string(size(picked))}'}\n"
    "  resources:\n"
    "    - id: picked\n"
    "      externalRef: {apiVersion: v1, kind: ConfigMap, metadata: {selector: {matchLabels: "
    "{team: '${schema.spec.team}'}}}}\n"
    "    - id: copies\n"
    "      forEach: [{from: '${picked}'}]\n"
    "      template: {apiVersion: v1, kind: Secret, metadata: {name: "
    "'${schema.metadata.name}-${from.metadata.name}'}, stringData: {v: '${from.data.v}'}}\n";

/* The writes since the mark but those of a status. */
static void expect_cost(struct world *w, const char *writes, uint32_t statuses_max)
{
    KR_AUTO(kr_buf) b = KR_BUF(1024 * 1024);
    kr_str rest = kr_str_c(world_writes(w));

    while (rest.n > 0) {
        kr_str line = kr_str_cut(&rest, '\n');

        if (kr_str_find(line, KR_S("/status ")) < 0)
            kr_buf_fmt(&b, KR_FMT "\n", KR_ARG(line));
    }
    EXPECT_TEXT(b.n ? b.s : "", writes);
    assert_in_range(world_statuses_n(w), 0, statuses_max);
    world_mark(w);
}

static const char *condition(struct world *w, const char *path, const char *type)
{
    KR_LIST_EACH (c, kr_at(world_get(w, path), "status.conditions"))
        if (kr_is_str(kr_get(*c, KR_S("type")), kr_str_c(type)))
            return kr_cstr(&w->a, kr_at_str(*c, "message"));
    return "";
}

static uint32_t watches(const struct world *w)
{
    struct reactor_stats s;

    reactor_stats(w->reactor, &s);
    return s.watches;
}

static void serve(struct world *w, const struct world_opts *opts, const char *rgd)
{
    world_open(w, opts);
    world_start(w);
    world_apply(w, rgd);
    world_rest(w);
}

/* n workers; another value for one of them. */
static void fleet(struct world *w, const char *name, const char *prefix, int n, int other)
{
    KR_AUTO(kr_buf) b = KR_BUF(1024 * 1024);

    kr_buf_fmt(&b,
               "{apiVersion: kro.run/v1alpha1, kind: Fleet, metadata: {name: %s}, spec: {prefix: "
               "%s, workers: [",
               name, prefix);
    for (int i = 0; i < n; i++)
        kr_buf_fmt(&b, "%s{name: w%d, value: %s}", i ? ", " : "", i, i == other ? "new" : "old");
    kr_buf_fmt(&b, "]}}");
    world_apply(w, b.s);
}

static void source(struct world *w, const char *ns, const char *name, const char *team,
                   const char *v)
{
    KR_AUTO(kr_buf) b = KR_BUF(64 * 1024);

    kr_buf_fmt(&b,
               "{apiVersion: v1, kind: ConfigMap, metadata: {name: %s, namespace: %s, labels: "
               "{team: %s}}, data: {v: %s}}",
               name, ns, team, v);
    world_apply(w, b.s);
}

static void picker(struct world *w, const char *name, const char *team)
{
    KR_AUTO(kr_buf) b = KR_BUF(64 * 1024);

    kr_buf_fmt(&b,
               "{apiVersion: kro.run/v1alpha1, kind: Picker, metadata: {name: %s}, spec: {team: "
               "%s}}",
               name, team);
    world_apply(w, b.s);
    world_rest(w);
}

/* --- collections ------------------------------------------------------------------------------ */

TEST(collection, one_changed_item_of_many_costs_one_patch)
{
    uint64_t evaluations;
    struct world w;

    serve(&w, NULL, fleet_rgd);
    world_mark(&w);
    fleet(&w, "f", "x", MANY, -1);
    world_rest(&w);
    assert_int_equal(world_writes_n(&w, "PATCH"), 2 * MANY + 2);
    EXPECT_TEXT(world_text(&w, KRO "fleets/f", "status.state"), "ACTIVE");
    world_mark(&w);
    evaluations = world_evaluations(&w);
    fleet(&w, "f", "x", MANY, 100);
    world_rest(&w);
    expect_cost(&w,
                "PATCH configmaps/x-w100 kro.run/applyset\nPATCH secrets/x-w100-log "
                "kro.run/applyset\n",
                1);
    /* the item, forEach twice each, the reader's item, and the status */
    assert_in_range(world_evaluations(&w) - evaluations, 2, 10);
    world_patch(&w, CORE "configmaps/x-w7", "{data: {value: hacked}}");
    world_rest(&w);
    expect_cost(&w, "PATCH configmaps/x-w7 kro.run/applyset\n", 0);
    world_close(&w);
}

TEST(collection, a_start_writes_nothing_and_an_end_takes_all)
{
    struct world w;

    serve(&w, NULL, fleet_rgd);
    fleet(&w, "f", "x", 4, -1);
    world_rest(&w);
    world_stop(&w);
    world_mark(&w);
    world_start(&w);
    world_rest(&w);
    EXPECT_TEXT(world_writes(&w), "");
    world_delete(&w, KRO "fleets/f");
    world_rest(&w);
    expect_cost(&w,
                "DELETE secrets/x-w0-log -\nDELETE secrets/x-w1-log -\nDELETE secrets/x-w2-log -\n"
                "DELETE secrets/x-w3-log -\nDELETE configmaps/x-w0 -\nDELETE configmaps/x-w1 -\n"
                "DELETE configmaps/x-w2 -\nDELETE configmaps/x-w3 -\nPATCH fleets/f -\n",
                1);
    world_close(&w);
}

TEST(collection, an_item_of_another_instance_is_left_alone)
{
    struct world w;

    serve(&w, NULL, fleet_rgd);
    fleet(&w, "first", "x", 1, -1);
    world_rest(&w);
    fleet(&w, "second", "x", 2, -1);
    world_advance(&w, 5000); /* it asks again, ever more seldom */
    assert_true(kr_is_str(kr_get(kr_at(world_get(&w, CORE "configmaps/x-w0"), "metadata.labels"),
                                 KR_S(GRAPH_LABEL_INSTANCE_NAME)),
                          KR_S("first")));
    EXPECT_TEXT(world_text(&w, KRO "fleets/first", "status.state"), "ACTIVE");
    EXPECT_TEXT(world_text(&w, KRO "fleets/second", "status.state"), "ERROR");
    if (kr_str_find(kr_str_c(condition(&w, KRO "fleets/second", "ResourcesReady")),
                    KR_S("collection item 0: resource belongs to a different ApplySet: "
                         "default/x-w0 (/v1, Kind=ConfigMap)")) < 0)
        fail_msg("%s", condition(&w, KRO "fleets/second", "ResourcesReady"));
    /* It may have the item once the other has let go. */
    world_delete(&w, KRO "fleets/first");
    world_rest(&w);
    EXPECT_TEXT(world_text(&w, KRO "fleets/second", "status.state"), "ACTIVE");
    world_close(&w);
}

/* --- external collections --------------------------------------------------------------------- */

TEST(collection, what_a_selector_finds_reaches_its_readers_alone)
{
    struct world w;
    uint32_t before;

    serve(&w, NULL, picker_rgd);
    source(&w, "default", "a", "red", "one");
    source(&w, "default", "b", "blue", "two");
    before = watches(&w);
    picker(&w, "p", "red");
    picker(&w, "q", "red");
    picker(&w, "r", "blue");
    assert_int_equal(watches(&w) - before, 2); /* equal selectors share a watch */
    world_mark(&w);
    source(&w, "default", "a", "red", "three");
    world_rest(&w);
    expect_cost(&w, "PATCH secrets/p-a kro.run/applyset\nPATCH secrets/q-a kro.run/applyset\n", 0);
    /* From one selector to the other. */
    source(&w, "default", "a", "blue", "three");
    world_rest(&w);
    EXPECT_TEXT(world_text(&w, KRO "pickers/p", "status.found"), "0");
    EXPECT_TEXT(world_text(&w, KRO "pickers/r", "status.found"), "2");
    assert_true(world_get(&w, CORE "secrets/p-a").kind == KR_NONE);
    assert_true(world_get(&w, CORE "secrets/r-a").kind != KR_NONE);
    world_delete(&w, CORE "configmaps/b");
    world_rest(&w);
    EXPECT_TEXT(world_text(&w, KRO "pickers/r", "status.found"), "1");
    /* Another selector is another watch; nobody wants the first then. */
    world_patch(&w, KRO "pickers/r", "{spec: {team: red}}");
    world_rest(&w);
    EXPECT_TEXT(world_text(&w, KRO "pickers/r", "status.found"), "0");
    assert_int_equal(watches(&w) - before, 1);
    world_delete(&w, KRO "pickers/p");
    world_delete(&w, KRO "pickers/q");
    world_delete(&w, KRO "pickers/r");
    world_rest(&w);
    assert_int_equal(watches(&w) - before, 0);
    world_close(&w);
}

TEST(collection, a_selector_is_carried_to_a_new_revision)
{
    struct world w;

    serve(&w, NULL, picker_rgd);
    source(&w, "default", "a", "red", "one");
    picker(&w, "p", "red");
    world_mark(&w);
    /* Another path is read now: the objects are listed again before anybody is asked. */
    world_apply(&w, "apiVersion: kro.run/v1alpha1\n"
                    "kind: ResourceGraphDefinition\n"
                    "metadata: {name: pickers}\n"
                    "spec:\n"
                    "  schema:\n"
                    "    apiVersion: v1alpha1\n"
                    "    kind: Picker\n"
                    "    spec: {team: string}\n"
                    "    status: {found: '${string(size(picked))}'}\n"
                    "  resources:\n"
                    "    - id: picked\n"
                    "      externalRef: {apiVersion: v1, kind: ConfigMap, metadata: {selector: "
                    "{matchLabels: {team: '${schema.spec.team}'}}}}\n"
                    "    - id: copies\n"
                    "      forEach: [{from: '${picked}'}]\n"
                    "      template: {apiVersion: v1, kind: Secret, metadata: {name: "
                    "'${schema.metadata.name}-${from.metadata.name}'}, stringData: {v: "
                    "'${from.data.v}', team: '${from.metadata.labels.team}'}}\n");
    world_rest(&w);
    EXPECT_TEXT(world_text(&w, CORE "secrets/p-a", "data.team"), "cmVk");
    source(&w, "default", "a", "red", "two");
    world_rest(&w);
    EXPECT_TEXT(world_text(&w, CORE "secrets/p-a", "data.v"), "dHdv");
    world_close(&w);
}

int main(void)
{
    return RUN(T(collection, one_changed_item_of_many_costs_one_patch),
               T(collection, a_start_writes_nothing_and_an_end_takes_all),
               T(collection, an_item_of_another_instance_is_left_alone),
               T(collection, what_a_selector_finds_reaches_its_readers_alone),
               T(collection, a_selector_is_carried_to_a_new_revision));
}
