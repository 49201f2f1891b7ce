/* SPDX-License-Identifier: Apache-2.0 */
/* A hostile tenant takes nothing from the others: whatever its definition's instances do (flood, hang,
 * fail, be edited without end), a change of another definition's input is followed in the same moment
 * of virtual time, and after few writes of the tenant's. */
#include <stdio.h>
#include <string.h>

#include "tests/lib/world.h"

#define CORE "/api/v1/namespaces/default/configmaps/"
#define KRO "/apis/kro.run/v1alpha1/namespaces/default/"

enum {
    TENANTS = 60,   /* hostile instances, of 4 children each */
    ITEMS = 300,    /* of the hostile collection */
    EVENTS = 10000, /* of a flood */
    BURST = 100,    /* of them between two changes that somebody reads */
    AHEAD_MAX = 40, /* writes of the tenant's before that of the other: they were under way */
    ROUNDS = 12,
    COSTLY = 30,          /* instances whose expressions take long */
    CHEAP = 30,           /* of another definition */
    COSTLY_AHEAD_MAX = 4, /* steps of the former before the last of the latter */
};

static const char definitions[] =
    "apiVersion: kro.run/v1alpha1\n"
    "kind: ResourceGraphDefinition\n"
    "metadata: {name: hostiles}\n"
    "spec:\n"
    "  schema: {apiVersion: v1alpha1, kind: Hostile, spec: {x: string | default=x}}\n"
    "  resources:\n"
    "    - {id: cfg, externalRef: {apiVersion: v1, kind: ConfigMap, metadata: {name: flood}}}\n"
    "    - {id: one, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "
    "'h1-${schema.metadata.name}'}, data: {v: '${cfg.data.v}', x: '${schema.spec.x}'}}}\n"
    "    - {id: two, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "
    "'h2-${schema.metadata.name}'}, data: {v: '${cfg.data.v}', x: '${schema.spec.x}'}}}\n"
    "    - {id: three, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "
    "'h3-${schema.metadata.name}'}, data: {v: '${cfg.data.v}', x: '${schema.spec.x}'}}}\n"
    "    - {id: four, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "
    "'h4-${schema.metadata.name}'}, data: {v: '${cfg.data.v}', x: '${schema.spec.x}'}}}\n"
    "---\n"
    "apiVersion: kro.run/v1alpha1\n"
    "kind: ResourceGraphDefinition\n"
    "metadata: {name: swarms}\n"
    "spec:\n"
    "  schema: {apiVersion: v1alpha1, kind: Swarm, spec: {x: string}}\n"
    "  resources:\n"
    "    - {id: all, forEach: [{i: '${lists.range(300)}'}], template: {apiVersion: v1, kind: "
    "ConfigMap, metadata: {name: 'h5-${string(i)}'}, data: {x: '${schema.spec.x}'}}}\n"
    "---\n"
    "apiVersion: kro.run/v1alpha1\n"
    "kind: ResourceGraphDefinition\n"
    "metadata: {name: goods}\n"
    "spec:\n"
    "  schema: {apiVersion: v1alpha1, kind: Good, spec: {}}\n"
    "  resources:\n"
    "    - {id: cfg, externalRef: {apiVersion: v1, kind: ConfigMap, metadata: {name: calm}}}\n"
    "    - {id: it, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: good}, data: {v: "
    "'${cfg.data.v}'}}}\n";

static const char *text(struct world *w, const char *format, uint32_t i)
{
    KR_AUTO(kr_buf) b = KR_BUF(512);

    for (const char *c = format; *c; c++) {
        if (*c == '#')
            kr_buf_fmt(&b, "%u", i);
        else
            kr_buf_fmt(&b, "%c", *c);
    }
    return kr_cstr(&w->a, kr_buf_view(&b));
}

static const char costly[] =
    "apiVersion: kro.run/v1alpha1\n"
    "kind: ResourceGraphDefinition\n"
    "metadata: {name: costlies}\n"
    "spec:\n"
    "  schema: {apiVersion: v1alpha1, kind: Costly, spec: {x: string | default=x}}\n"
    "  resources:\n"
    "    - {id: cfg, externalRef: {apiVersion: v1, kind: ConfigMap, metadata: {name: same}}}\n"
    "    - {id: one, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "
    "'costly-${schema.metadata.name}'}, data: {v: '${cfg.data.v + schema.spec.x}', n: "
    "'${string(lists.range(100).filter(i, lists.range(100).exists(j, j + i == "
    "size(cfg.data.v) + size(schema.spec.x))).size())}'}}}\n"
    "---\n"
    "apiVersion: kro.run/v1alpha1\n"
    "kind: ResourceGraphDefinition\n"
    "metadata: {name: cheaps}\n"
    "spec:\n"
    "  schema: {apiVersion: v1alpha1, kind: Cheap, spec: {}}\n"
    "  resources:\n"
    "    - {id: cfg, externalRef: {apiVersion: v1, kind: ConfigMap, metadata: {name: same}}}\n"
    "    - {id: one, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "
    "'cheap-${schema.metadata.name}'}, data: {v: '${cfg.data.v}'}}}\n";

static void open_tenants(struct world *w, uint32_t n)
{
    world_open(w, NULL);
    world_apply(w, "{apiVersion: v1, kind: ConfigMap, metadata: {name: flood}, data: {v: a}}\n---\n"
                   "{apiVersion: v1, kind: ConfigMap, metadata: {name: calm}, data: {v: a}}\n");
    world_apply(w, definitions);
    world_start(w);
    world_rest(w);
    world_apply(w,
                "{apiVersion: kro.run/v1alpha1, kind: Good, metadata: {name: g}, spec: {}}\n---\n"
                "{apiVersion: kro.run/v1alpha1, kind: Swarm, metadata: {name: s}, spec: {x: a}}");
    for (uint32_t i = 0; i < n; i++)
        world_apply(w, text(w,
                            "{apiVersion: kro.run/v1alpha1, kind: Hostile, metadata: {name: t#}, "
                            "spec: {}}",
                            i));
    world_rest(w);
    assert_string_equal(world_text(w, KRO "swarms/s", "status.state"), "ACTIVE");
    assert_string_equal(world_text(w, KRO "goods/g", "status.state"), "ACTIVE");
    world_mark(w);
}

/* The other's input changes now; it is followed without any time passing, after few writes of others. */
static void expect_followed(struct world *w, uint32_t i)
{
    const char *v = text(w, "v#", i);
    uint32_t ahead = 0;
    kr_str rest;

    world_mark(w);
    world_patch(w, CORE "calm", text(w, "{data: {v: v#}}", i));
    world_settle(w);
    assert_string_equal(world_text(w, CORE "good", "data.v"), v);
    rest = kr_str_c(world_writes(w));
    while (rest.n && kr_str_find(kr_str_cut(&rest, '\n'), KR_S("configmaps/good ")) < 0)
        ahead++;
    assert_in_range(ahead, 0, AHEAD_MAX);
}

TEST(isolation, a_flood_of_events_delays_nobody)
{
    struct world w;

    open_tenants(&w, 3);
    for (uint32_t i = 0; i < EVENTS / BURST; i++) {
        for (uint32_t k = 0; k < BURST; k++)
            world_patch(&w, CORE "flood", text(&w, "{data: {v: f#}}", i * BURST + k));
        expect_followed(&w, i);
    }
    world_rest(&w);
    assert_string_equal(world_text(&w, CORE "h1-t0", "data.v"), text(&w, "f#", EVENTS - 1));
    world_close(&w);
}

TEST(isolation, a_thousand_edits_of_instances_do_not_come_before_changes_of_others)
{
    struct world w;

    open_tenants(&w, TENANTS);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        for (uint32_t k = 0; k < TENANTS; k++)
            world_patch(&w, text(&w, KRO "hostiles/t#", k), text(&w, "{spec: {x: e#}}", i));
        expect_followed(&w, i);
    }
    world_rest(&w);
    world_close(&w);
}

static void expect_unharmed(const struct fault_rule *rule)
{
    struct world w;

    open_tenants(&w, TENANTS);
    fault_add(w.fault, rule);
    world_patch(&w, CORE "flood", "{data: {v: b}}");
    world_patch(&w, KRO "swarms/s", "{spec: {x: b}}");
    world_settle(&w);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        world_patch(&w, CORE "flood", text(&w, "{data: {v: f#}}", i));
        expect_followed(&w, i);
        world_advance(&w, 7 * 1000);
    }
    fault_clear(w.fault);
    world_rest(&w);
    assert_string_equal(world_text(&w, CORE "h4-t59", "data.v"), text(&w, "f#", ROUNDS - 1));
    assert_string_equal(world_text(&w, CORE "h5-299", "data.x"), "b");
    world_close(&w);
}

TEST(isolation, requests_that_hang_delay_nobody)
{
    expect_unharmed(&(struct fault_rule){
        .kind = FAULT_HANG, .method = "PATCH", .part = "/configmaps/h", .requests = true});
}

TEST(isolation, requests_that_fail_delay_nobody)
{
    expect_unharmed(&(struct fault_rule){.kind = FAULT_STATUS,
                                         .method = "PATCH",
                                         .part = "/configmaps/h",
                                         .requests = true,
                                         .status = 500});
}

static void open_costly(struct world *w)
{
    world_open(w, &(struct world_opts){.traced = true});
    world_apply(w, "{apiVersion: v1, kind: ConfigMap, metadata: {name: same}, data: {v: a}}");
    world_apply(w, costly);
    world_start(w);
    world_rest(w);
    for (uint32_t i = 0; i < COSTLY; i++)
        world_apply(
            w,
            text(w, "{apiVersion: kro.run/v1alpha1, kind: Costly, metadata: {name: c#}, spec: {}}",
                 i));
    for (uint32_t i = 0; i < CHEAP; i++)
        world_apply(
            w,
            text(w, "{apiVersion: kro.run/v1alpha1, kind: Cheap, metadata: {name: c#}, spec: {}}",
                 i));
    world_rest(w);
    assert_string_equal(world_text(w, CORE "costly-c0", "data.v"), "ax");
    assert_string_equal(world_text(w, CORE "cheap-c0", "data.v"), "a");
    world_mark(w);
}

/* All of the cheap ones are applied, and few of the costly ones before the last of them. */
static void expect_share(struct world *w)
{
    kr_str rest = kr_str_c(world_trace(w));
    uint32_t costly_n = 0, cheap_n = 0, ahead = 0;

    while (rest.n) {
        kr_str line = kr_str_cut(&rest, '\n');

        if (kr_str_find(line, KR_S("apply ")) < 0)
            continue;
        costly_n += kr_str_find(line, KR_S("/costly-")) >= 0;
        if (kr_str_find(line, KR_S("/cheap-")) < 0)
            continue;
        cheap_n++;
        ahead = costly_n;
    }
    assert_int_equal(cheap_n, CHEAP);
    assert_int_equal(costly_n, COSTLY);
    assert_in_range(ahead, 0, COSTLY_AHEAD_MAX);
}

TEST(isolation, expensive_steps_take_no_more_than_their_share)
{
    struct world w;

    open_costly(&w);
    world_patch(&w, CORE "same", "{data: {v: b}}");
    world_rest(&w);
    expect_share(&w);
    world_close(&w);
}

int main(void)
{
    return RUN(T(isolation, a_flood_of_events_delays_nobody),
               T(isolation, a_thousand_edits_of_instances_do_not_come_before_changes_of_others),
               T(isolation, requests_that_hang_delay_nobody),
               T(isolation, requests_that_fail_delay_nobody),
               T(isolation, expensive_steps_take_no_more_than_their_share));
}
