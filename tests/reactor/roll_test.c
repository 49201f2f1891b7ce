/* SPDX-License-Identifier: Apache-2.0 */
/* Rolls of a fleet with the whole controller: places are kept over a restart, and who asks for rolls
 * in a way that cannot be read is told so. */
#include <stdio.h>
#include <string.h>

#include "tests/lib/world.h"

#define CORE "/api/v1/namespaces/default/"
#define APPS "/apis/apps/v1/namespaces/default/"
#define KRO "/apis/kro.run/v1alpha1/namespaces/default/"
#define RGD "/apis/kro.run/v1alpha1/resourcegraphdefinitions/rollers"

enum { FLEET = 5 };

static const char definition[] =
    "apiVersion: kro.run/v1alpha1\n"
    "kind: ResourceGraphDefinition\n"
    "metadata: {name: rollers, annotations: {kroc.run/roll-max-concurrent: '1'}}\n"
    "spec:\n"
    "  schema: {apiVersion: v1alpha1, kind: Roller, spec: {a: string | default=x}}\n"
    "  resources:\n"
    "    - {id: cfg, externalRef: {apiVersion: v1, kind: ConfigMap, metadata: {name: cfg}}}\n"
    "    - id: app\n"
    "      template: {apiVersion: apps/v1, kind: Deployment, metadata: {name: "
    "'${schema.metadata.name}'}, spec: {selector: {matchLabels: {app: x}}, template: {metadata: "
    "{labels: {app: x}, annotations: {v: '${cfg.data.v}'}}, spec: {containers: [{name: c, image: "
    "i}]}}}}\n";

static const char *text(struct world *w, const char *fmt, uint32_t i) KR_PRINTF(2, 0);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static const char *text(struct world *w, const char *fmt, uint32_t i)
{
    char b[512];

    snprintf(b, sizeof b, fmt, i);
    return kr_cstr(&w->a, kr_str_c(b));
}
#pragma GCC diagnostic pop

static const char *app(struct world *w, uint32_t i)
{
    return text(w, APPS "deployments/r%u", i);
}

/* As the Deployment's controller: has done what it was given. */
static void finish(struct world *w, uint32_t i)
{
    const char *path = app(w, i);
    kr_val generation = kr_at(world_get(w, path), "metadata.generation");

    world_patch(
        w, kr_cstr(&w->a, kr_fmt(&w->a, "%s/status", path)),
        kr_cstr(&w->a, kr_fmt(&w->a,
                              "{status: {observedGeneration: %d, replicas: 1, "
                              "updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1}}",
                              (int)generation.i)));
    world_rest(w);
}

/* Bits: instances whose Deployment has v. */
static uint32_t with(struct world *w, const char *v)
{
    uint32_t set = 0;

    for (uint32_t i = 0; i < FLEET; i++)
        if (strcmp(world_text(w, app(w, i), "spec.template.metadata.annotations.v"), v) == 0)
            set |= 1u << i;
    return set;
}

static void open_fleet(struct world *w)
{
    world_open(w, NULL);
    world_apply(w, "{apiVersion: v1, kind: ConfigMap, metadata: {name: cfg}, data: {v: one}}");
    world_apply(w, definition);
    world_start(w);
    world_rest(w);
    for (uint32_t i = 0; i < FLEET; i++)
        world_apply(
            w, text(w, "{apiVersion: kro.run/v1alpha1, kind: Roller, metadata: {name: r%u}}", i));
    world_rest(w);
    for (uint32_t i = 0; i < FLEET; i++)
        finish(w, i);
}

static uint32_t only(uint32_t set)
{
    assert_int_equal(__builtin_popcount(set), 1);
    return (uint32_t)__builtin_ctz(set);
}

TEST(roll, places_are_kept_over_a_restart)
{
    struct world w;
    uint32_t before = 0, set;

    open_fleet(&w);
    world_patch(&w, CORE "configmaps/cfg", "{data: {v: two}}");
    for (uint32_t done = 0; done < FLEET; done++) {
        uint32_t rolling;

        world_rest(&w);
        set = with(&w, "two");
        rolling = only(set & ~before);
        for (int times = 0; times < 2; times++) { /* nobody else begins */
            world_crash(&w, true);
            world_mark(&w);
            world_start(&w);
            world_rest(&w);
            assert_int_equal(with(&w, "two"), set);
            assert_int_equal(world_writes_n(&w, NULL), 0);
        }
        before = set;
        finish(&w, rolling);
    }
    world_rest(&w);
    assert_int_equal(with(&w, "two"), (1u << FLEET) - 1);
    world_close(&w);
}

/* The input changes while no controller runs: who rolls already goes on, the others wait. */
TEST(roll, what_changed_meanwhile_waits_for_those_that_roll)
{
    struct world w;
    uint32_t first, next;

    open_fleet(&w);
    world_patch(&w, CORE "configmaps/cfg", "{data: {v: two}}");
    world_rest(&w);
    first = only(with(&w, "two"));
    world_stop(&w);
    world_patch(&w, CORE "configmaps/cfg", "{data: {v: three}}");
    world_start(&w);
    world_rest(&w);
    assert_int_equal(only(with(&w, "three")), first);
    finish(&w, first);
    next = only(with(&w, "three") & ~(1u << first));
    assert_int_equal(with(&w, "one"), ((1u << FLEET) - 1) & ~(1u << first | 1u << next));
    world_close(&w);
}

/* One that is deleted before it has said anything keeps nobody waiting. */
TEST(roll, an_instance_that_goes_at_the_start_keeps_nobody_waiting)
{
    struct world w;

    open_fleet(&w);
    world_stop(&w);
    world_patch(&w, CORE "configmaps/cfg", "{data: {v: two}}");
    world_delete(&w, KRO "rollers/r3");
    world_start(&w);
    world_rest(&w);
    (void)only(with(&w, "two"));
    world_close(&w);
}

/* --- what is told ----------------------------------------------------------------------------- */

static const char *events(struct world *w)
{
    KR_AUTO(kr_buf) b = KR_BUF(1024 * 1024);
    kr_val list = fakeapi_get(w->api, &w->a, "/api/v1/namespaces/default/events");

    KR_LIST_EACH (e, kr_get(list, KR_S("items")))
        kr_buf_fmt(&b, "on " KR_FMT " " KR_FMT " " KR_FMT " " KR_FMT ": " KR_FMT "\n",
                   KR_ARG(kr_at_str(*e, "involvedObject.kind")),
                   KR_ARG(kr_at_str(*e, "involvedObject.name")), KR_ARG(kr_at_str(*e, "type")),
                   KR_ARG(kr_at_str(*e, "reason")), KR_ARG(kr_at_str(*e, "message")));
    return kr_strdup(&w->a, b.n ? kr_buf_view(&b) : KR_S("")).s;
}

static void forget_events(struct world *w)
{
    kr_val list = fakeapi_get(w->api, &w->a, "/api/v1/namespaces/default/events");

    KR_LIST_EACH (e, kr_get(list, KR_S("items")))
        fakeapi_delete(w->api, kr_cstr(&w->a, kr_fmt(&w->a, CORE "events/" KR_FMT,
                                                     KR_ARG(kr_at_str(*e, "metadata.name")))));
}

/* Without the gate: the annotations ask for it. */
TEST(roll, annotations_that_cannot_be_read_are_told_once_and_ignored)
{
    struct world w;

    open_fleet(&w);
    EXPECT_TEXT(events(&w), "");
    world_patch(&w, RGD,
                "{metadata: {annotations: {kroc.run/roll-max-concurrent: many, "
                "kroc.run/roll-pause: 'yes'}}}");
    world_rest(&w);
    EXPECT_TEXT(events(&w),
                "on ResourceGraphDefinition rollers Warning RollAnnotationIgnored: "
                "kroc.run/roll-max-concurrent is ignored: \"many\" is not a number from 0 to "
                "2147483647; "
                "kroc.run/roll-pause is ignored: \"yes\" is not true or false\n");
    forget_events(&w);
    world_patch(&w, KRO "rollers/r0", "{metadata: {annotations: {kroc.run/roll-debounce: soon}}}");
    world_rest(&w);
    EXPECT_TEXT(events(&w), "on Roller r0 Warning RollAnnotationIgnored: kroc.run/roll-debounce is "
                            "ignored: \"soon\" is not a duration such as 30s\n");
    forget_events(&w);
    world_patch(&w, KRO "rollers/r0", "{metadata: {labels: {x: y}}}");
    world_patch(&w, RGD, "{metadata: {labels: {x: y}}}");
    world_rest(&w);
    EXPECT_TEXT(events(&w), "");
    world_patch(&w, KRO "rollers/r0", "{metadata: {annotations: {kroc.run/roll-debounce: 48h}}}");
    world_rest(&w);
    EXPECT_TEXT(events(&w), "on Roller r0 Warning RollAnnotationIgnored: kroc.run/roll-debounce is "
                            "cut: \"48h\" is more than 24h, which holds\n");
    forget_events(&w);
    world_patch(&w, KRO "rollers/r0", "{metadata: {annotations: {kroc.run/roll-debounce: null}}}");
    world_rest(&w);
    EXPECT_TEXT(events(&w), "");
    world_patch(&w, CORE "configmaps/cfg", "{data: {v: two}}");
    world_rest(&w);
    assert_int_equal(with(&w, "two"), (1u << FLEET) - 1); /* no cap, no pause, no debounce */
    EXPECT_TEXT(events(&w),
                "on ConfigMap cfg Normal ChangeFollowed: rollers: 5 instances read what "
                "has changed\n");
    world_close(&w);
}

TEST(roll, without_annotations_there_are_no_events)
{
    struct world w;

    open_fleet(&w);
    world_patch(&w, RGD, "{metadata: {annotations: {kroc.run/roll-max-concurrent: null}}}");
    world_rest(&w);
    world_patch(&w, CORE "configmaps/cfg", "{data: {v: two}}");
    world_rest(&w);
    EXPECT_TEXT(events(&w), "");
    world_close(&w);
}

int main(void)
{
    return RUN(T(roll, places_are_kept_over_a_restart),
               T(roll, what_changed_meanwhile_waits_for_those_that_roll),
               T(roll, an_instance_that_goes_at_the_start_keeps_nobody_waiting),
               T(roll, annotations_that_cannot_be_read_are_told_once_and_ignored),
               T(roll, without_annotations_there_are_no_events));
}
