/* SPDX-License-Identifier: Apache-2.0 */
/* Random histories: definitions, instances, what they read and what they made are written, deleted
 * and made again by everybody, while requests fail, streams break, the server goes away and the
 * controller is stopped, dropped and started. Once the inputs rest and the trouble is over,
 *
 *   - the controller comes to rest, and no safety rule of world.h was broken on the way;
 *   - a fresh one on the same cluster writes nothing;
 *   - the children are those that a fresh cluster gets from the same inputs.
 *
 * KROC_FULL=1 runs many seeds, KROC_SEED=n that one and prints what it does. */
#include <stdio.h>
#include <string.h>

#include "tests/lib/world.h"

#define CORE "/api/v1/namespaces/default/"
#define KRO "/apis/kro.run/v1alpha1/namespaces/default/"

enum { OPERATIONS = 50, SEEDS = 12, SEEDS_FULL = 1500, INSTANCES = 3, SOURCES = 3 };

/* --- inputs ----------------------------------------------------------------------------------- */

/* %s: what a variant of the definition changes. */
static const struct {
    const char *kind, *resource, *text, *variants[2];
} definitions[] = {
    {"Chain",
     "chains",
     "apiVersion: kro.run/v1alpha1\n"
     "kind: ResourceGraphDefinition\n"
     "metadata: {name: chains}\n"
     "spec:\n"
     "  schema: {apiVersion: v1alpha1, kind: Chain, spec: {value: string | default=x}, status: "
     "{last: '${c.data.value}'}}\n"
     "  resources:\n"
     "    - {id: a, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "
     "'${schema.metadata.name}-a'}, data: {value: '${schema.spec.value}'}}}\n"
     "    - {id: b, template: {apiVersion: v1, kind: Secret, metadata: {name: "
     "'${schema.metadata.name}-b'}, stringData: {value: '${a.data.value + \"%s\"}'}}}\n"
     "    - {id: c, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "
     "'${schema.metadata.name}-c'}, data: {value: '${a.data.value + b.metadata.name}'}}}\n",
     {"one", "two"}},
    {"Toggle",
     "toggles",
     "apiVersion: kro.run/v1alpha1\n"
     "kind: ResourceGraphDefinition\n"
     "metadata: {name: toggles}\n"
     "spec:\n"
     "  schema: {apiVersion: v1alpha1, kind: Toggle, spec: {more: boolean | default=false, value: "
     "string | default=x}}\n"
     "  resources:\n"
     "    - {id: base, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "
     "'${schema.metadata.name}-base'}, data: {v: '${schema.spec.value}'}}}\n"
     "    - {id: extra, includeWhen: ['${schema.spec.more}'], template: {apiVersion: v1, kind: "
     "Secret, metadata: {name: '${schema.metadata.name}-extra'}, stringData: {v: "
     "'${schema.spec.value}'}}}\n"
     "%s",
     {"    - {id: leaf, template: {apiVersion: v1, kind: Service, metadata: {name: "
      "'${schema.metadata.name}-leaf'}, spec: {selector: {app: '${extra.metadata.name}'}, ports: "
      "[{port: 80}]}}}\n",
      ""}},
    {"Reader",
     "readers",
     "apiVersion: kro.run/v1alpha1\n"
     "kind: ResourceGraphDefinition\n"
     "metadata: {name: readers}\n"
     "spec:\n"
     "  schema: {apiVersion: v1alpha1, kind: Reader, spec: {value: string | default=source-0, "
     "more: boolean | default=false}, status: {seen: '${source.metadata.resourceVersion}'}}\n"
     "  resources:\n"
     "    - {id: source, externalRef: {apiVersion: v1, kind: ConfigMap, metadata: {name: "
     "'${schema.spec.value}'}}}\n"
     "    - id: copy\n"
     "      readyWhen: ['${copy.spec.replicas >= 0}']\n"
     "      template:\n"
     "        apiVersion: apps/v1\n"
     "        kind: Deployment\n"
     "        metadata: {name: '${schema.metadata.name}-copy'}\n"
     "        spec:\n"
     "          replicas: %s\n"
     "          selector: {matchLabels: {app: x}}\n"
     "          template: {metadata: {labels: {app: x}, annotations: {v: "
     "'${source.metadata.resourceVersion}'}}, spec: {containers: [{name: c, image: "
     "'${source.data.v}'}]}}\n",
     {"1", "2"}},
    {"Fleet",
     "fleets",
     "apiVersion: kro.run/v1alpha1\n"
     "kind: ResourceGraphDefinition\n"
     "metadata: {name: fleets}\n"
     "spec:\n"
     "  schema: {apiVersion: v1alpha1, kind: Fleet, spec: {names: '[]string', pick: string}, "
     "status: {size: '${string(size(workers) + size(picked))}'}}\n"
     "  resources:\n"
     "    - {id: workers, forEach: [{one: '${schema.spec.names}'}], template: {apiVersion: v1, "
     "kind: "
     "ConfigMap, metadata: {name: '${schema.metadata.name}-w-${one}'}, data: {one: '${one}'}}}\n"
     "    - {id: logs, forEach: [{w: '${workers}'}], template: {apiVersion: v1, kind: Secret, "
     "metadata: {name: '${w.metadata.name}-log'}, stringData: {of: '${w.data.one + \"%s\"}'}}}\n"
     "    - {id: picked, externalRef: {apiVersion: v1, kind: ConfigMap, metadata: {selector: "
     "{matchLabels: {pick: '${schema.spec.pick}'}}}}}\n"
     "    - {id: copies, forEach: [{from: '${picked}'}], template: {apiVersion: v1, kind: "
     "ConfigMap, "
     "metadata: {name: '${schema.metadata.name}-${from.metadata.name}'}, data: {v: "
     "'${from.data.v}'}}}\n",
     {"one", "two"}},
};
enum { DEFINITIONS_N = KR_N(definitions) };

static const struct {
    const char *path, *write;
} child_kinds[DEFINITIONS_N][3] = {
    {{CORE "configmaps/%s-a", "{data: {value: hacked}}"},
     {CORE "secrets/%s-b", "{data: {value: aGFja2Vk}}"},
     {CORE "configmaps/%s-c", "{metadata: {labels: {kro.run/owned: null}}}"}},
    {{CORE "configmaps/%s-base", "{data: {v: null}}"},
     {CORE "secrets/%s-extra", "{data: {v: aGFja2Vk}}"},
     {CORE "services/%s-leaf", "{spec: {selector: {app: hacked}}}"}},
    {{"/apis/apps/v1/namespaces/default/deployments/%s-copy", "{spec: {replicas: 7}}"},
     {"/apis/apps/v1/namespaces/default/deployments/%s-copy",
      "{spec: {template: {spec: {containers: [{name: c, image: hacked}]}}}}"},
     {"/apis/apps/v1/namespaces/default/deployments/%s-copy",
      "{metadata: {annotations: {internal.kro.run/apply-order: '9'}}}"}},
    {{CORE "configmaps/%s-w-b", "{data: {one: hacked}}"},
     {CORE "secrets/%s-w-a-log", "{metadata: {labels: {kro.run/collection-index: '7'}}}"},
     {CORE "configmaps/%s-source-1", "{data: {v: hacked}}"}},
};

/* --- a history -------------------------------------------------------------------------------- */

struct history {
    struct world w;
    uint64_t seed;
    bool down;
    uint32_t variant[DEFINITIONS_N];
    bool told; /* prints */
};

static uint32_t pick(struct history *h, uint32_t n)
{
    return (uint32_t)(test_rand(&h->seed) % n);
}

static const char *say(struct history *h, const char *fmt, ...) KR_PRINTF(2, 3);
static const char *say(struct history *h, const char *fmt, ...)
{
    char text[8 * 1024];
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    assert_in_range(n, 0, sizeof text - 1);
    return kr_cstr(&h->w.a, kr_str_c(text));
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the tables above */
static const char *fill(struct history *h, const char *format, const char *with)
{
    return say(h, format, with);
}
#pragma GCC diagnostic pop

static void tell(struct history *h, const char *fmt, ...) KR_PRINTF(2, 3);
static void tell(struct history *h, const char *fmt, ...)
{
    va_list args;

    if (!h->told)
        return;
    fprintf(stderr, "%8.3f  ", (double)(h->w.clock.now_ms - VCLOCK_START_MS) / 1000);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
}

static void define(struct history *h, uint32_t d)
{
    tell(h, "definition %s, variant %u", definitions[d].resource, h->variant[d]);
    world_apply(&h->w, fill(h, definitions[d].text, definitions[d].variants[h->variant[d]]));
}

static void make_source(struct history *h, uint32_t i)
{
    tell(h, "source %u", i);
    world_apply(
        &h->w,
        say(h,
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: source-%u, labels: {pick: p%u}}, "
            "data: {v: v%u}}",
            i, pick(h, 2), pick(h, 4)));
}

static const char *random_spec(struct history *h, uint32_t d)
{
    static const char *const names[] = {"", "a", "a, b", "b, a", "b, c, a", "b, b"};

    if (d == 2)
        return say(h, "{value: source-%u}", pick(h, SOURCES));
    if (d == 3)
        return say(h, "{names: [%s], pick: p%u}", names[pick(h, KR_N(names))], pick(h, 2));
    if (d == 1)
        return say(h, "{value: v%u, more: %s}", pick(h, 3), pick(h, 2) ? "true" : "false");
    return say(h, "{value: v%u}", pick(h, 3));
}

/* Made anew, or its spec is written. A terminating one takes neither. */
static void make_instance(struct history *h, uint32_t d, uint32_t i)
{
    const char *spec = random_spec(h, d);

    tell(h, "instance %s/i%u %s", definitions[d].resource, i, spec);
    world_apply(
        &h->w, say(h, "{apiVersion: kro.run/v1alpha1, kind: %s, metadata: {name: %s-%u}, spec: %s}",
                   definitions[d].kind, definitions[d].resource, i, spec));
}

static void on_instance(struct history *h)
{
    uint32_t d = pick(h, DEFINITIONS_N), i = pick(h, INSTANCES);
    const char *path = say(h, KRO "%s/%s-%u", definitions[d].resource, definitions[d].resource, i);

    switch (pick(h, 6)) {
    case 0:
        tell(h, "delete %s", path);
        fakeapi_delete(h->w.api, path);
        return;
    case 1:
        tell(h, "suspend or go on %s", path);
        fakeapi_patch(h->w.api, "user", path,
                      pick(h, 2) ? "{metadata: {annotations: {kro.run/reconcile: disabled}}}"
                                 : "{metadata: {annotations: {kro.run/reconcile: null}}}");
        return;
    case 2:
        tell(h, "annotate %s", path);
        fakeapi_patch(h->w.api, "user", path, "{metadata: {annotations: {example.com/x: y}}}");
        return;
    default:
        make_instance(h, d, i);
    }
}

static void on_child(struct history *h)
{
    uint32_t d = pick(h, DEFINITIONS_N), c = pick(h, 3);
    const char *name = say(h, "%s-%u", definitions[d].resource, pick(h, INSTANCES));
    const char *path = fill(h, child_kinds[d][c].path, name);

    switch (pick(h, 4)) {
    case 0:
        tell(h, "delete %s", path);
        fakeapi_delete(h->w.api, path);
        return;
    case 1:
        tell(h, "annotate %s", path);
        fakeapi_patch(h->w.api, "rival", path, "{metadata: {annotations: {example.com/x: y}}}");
        return;
    default:
        tell(h, "write %s %s", path, child_kinds[d][c].write);
        fakeapi_patch(h->w.api, "rival", path, child_kinds[d][c].write);
    }
}

static void on_source(struct history *h)
{
    uint32_t i = pick(h, SOURCES);

    if (pick(h, 4) == 0) {
        tell(h, "delete source %u", i);
        fakeapi_delete(h->w.api, say(h, CORE "configmaps/source-%u", i));
    } else {
        make_source(h, i);
    }
}

static void on_definition(struct history *h)
{
    uint32_t d = pick(h, DEFINITIONS_N);

    h->variant[d] = pick(h, 2);
    define(h, d);
}

/* --- trouble ---------------------------------------------------------------------------------- */

static void on_fault(struct history *h)
{
    static const struct fault_rule rules[] = {
        {.kind = FAULT_REFUSE},
        {.kind = FAULT_BREAK},
        {.kind = FAULT_EFFECT, .requests = true},
        {.kind = FAULT_EFFECT, .requests = true, .delay_ms = 600 * 1000},
        {.kind = FAULT_HANG, .requests = true},
        {.kind = FAULT_CUT, .bytes = 200},
        {.kind = FAULT_SHORT, .bytes = 100},
        {.kind = FAULT_BODY},
        {.kind = FAULT_STATUS, .status = 409, .method = "PATCH"},
        {.kind = FAULT_STATUS, .status = 409, .method = "PUT"},
        {.kind = FAULT_STATUS, .status = 410, .method = "GET"},
        {.kind = FAULT_STATUS, .status = 429, .retry_after_s = 3},
        {.kind = FAULT_STATUS, .status = 500},
        {.kind = FAULT_DELAY, .delay_ms = 700},
    };
    struct fault_rule rule = rules[pick(h, KR_N(rules))];

    rule.nth = 1 + pick(h, 8);
    rule.times = 1 + pick(h, 3);
    tell(h, "fault %d from %u on, %u times", rule.kind, rule.nth, rule.times);
    fault_clear(h->w.fault);
    fault_add(h->w.fault, &rule);
}

static void on_server(struct history *h)
{
    switch (pick(h, 5)) {
    case 0:
        h->down = !h->down;
        tell(h, "server %s", h->down ? "down" : "up");
        fakeapi_set_down(h->w.api, h->down);
        return;
    case 1:
        tell(h, "history is compacted");
        world_settle(&h->w);
        fakeapi_compact(h->w.api);
        return;
    case 2:
        tell(h, "bookmarks");
        fakeapi_bookmark(h->w.api);
        return;
    default:
        tell(h, "streams break");
        fakeapi_break_watches(h->w.api, pick(h, 2) ? KR_E_IO : 0);
    }
}

static void on_controller(struct history *h)
{
    if (!h->w.reactor) {
        tell(h, "start");
        world_start(&h->w);
        return;
    }
    switch (pick(h, 4)) {
    case 0:
        tell(h, "stop");
        world_stop(&h->w);
        return;
    case 1:
        tell(h, "drop");
        world_crash(&h->w, pick(h, 2));
        return;
    default: {
        uint32_t n = 1 + pick(h, 12);

        tell(h, "to be dropped at exchange %u", n);
        world_end_at(&h->w, n, pick(h, 2) ? WORLD_END_SENT : WORLD_END_UNSENT);
    }
    }
}

static void pass_time(struct history *h)
{
    static const uint32_t ms[] = {0, 1, 5, 15, 30, 100, 1000, 20 * 1000};
    uint32_t n = ms[pick(h, KR_N(ms))];

    world_advance(&h->w, n);
    if (h->w.ended && h->w.reactor) {
        tell(h, "dropped");
        world_crash(&h->w, h->w.end == WORLD_END_SENT);
    }
    if (!h->w.reactor && pick(h, 2)) {
        tell(h, "start");
        world_start(&h->w);
    }
}

static void operate(struct history *h)
{
    switch (pick(h, 12)) {
    case 0:
    case 1:
    case 2:
    case 3:
        on_instance(h);
        break;
    case 4:
    case 5:
        on_child(h);
        break;
    case 6:
    case 7:
        on_source(h);
        break;
    case 8:
        on_definition(h);
        break;
    case 9:
        on_fault(h);
        break;
    case 10:
        on_server(h);
        break;
    default:
        on_controller(h);
    }
    pass_time(h);
}

/* --- at rest ---------------------------------------------------------------------------------- */

static void to_rest(struct history *h)
{
    world_rest(&h->w);
    if (!h->w.reactor) {
        world_start(&h->w);
        world_rest(&h->w);
    }
}

/* All definitions are served and everything that is read is there. */
static void begin(struct history *h)
{
    for (uint32_t d = 0; d < DEFINITIONS_N; d++)
        define(h, d);
    to_rest(h);
}

/* A list that names one item twice stops its collection where it was: what is there then depends on
 * what was before. */
static void mend_fleets(struct history *h)
{
    for (uint32_t i = 0; i < INSTANCES; i++) {
        const char *path = say(h, KRO "fleets/fleets-%u", i);

        if (strcmp(world_text(&h->w, path, "spec.names"), "[\"b\",\"b\"]") == 0)
            fakeapi_patch(h->w.api, "user", path, "{spec: {names: [b, c]}}");
    }
}

static void calm(struct history *h)
{
    tell(h, "calm");
    fault_clear(h->w.fault);
    fakeapi_set_down(h->w.api, false);
    h->w.end_at = 0;
    for (uint32_t i = 0; i < SOURCES; i++)
        make_source(h, i);
    mend_fleets(h);
    for (uint32_t d = 0; d < DEFINITIONS_N; d++)
        for (uint32_t i = 0; i < INSTANCES; i++)
            fakeapi_patch(
                h->w.api, "user",
                say(h, KRO "%s/%s-%u", definitions[d].resource, definitions[d].resource, i),
                "{metadata: {annotations: {kro.run/reconcile: null}}}");
    to_rest(h);
}

/* What a cluster that never saw the history makes of the inputs that are left. */
static const char *from_scratch(struct history *h, struct history *fresh)
{
    *fresh = (struct history){.seed = h->seed};
    world_open(&fresh->w, NULL);
    world_start(&fresh->w);
    memcpy(fresh->variant, h->variant, sizeof h->variant);
    begin(fresh);
    for (uint32_t i = 0; i < SOURCES; i++)
        world_apply(
            &fresh->w,
            say(fresh,
                "{apiVersion: v1, kind: ConfigMap, metadata: {name: source-%u, labels: {pick: "
                "%s}}, data: {v: %s}}",
                i,
                world_text(&h->w, say(h, CORE "configmaps/source-%u", i), "metadata.labels.pick"),
                world_text(&h->w, say(h, CORE "configmaps/source-%u", i), "data.v")));
    for (uint32_t d = 0; d < DEFINITIONS_N; d++)
        for (uint32_t i = 0; i < INSTANCES; i++) {
            const char *path =
                say(h, KRO "%s/%s-%u", definitions[d].resource, definitions[d].resource, i);

            if (world_get(&h->w, path).kind != KR_NONE)
                world_apply(&fresh->w, say(fresh,
                                           "{apiVersion: kro.run/v1alpha1, kind: %s, metadata: "
                                           "{name: %s-%u}, spec: %s}",
                                           definitions[d].kind, definitions[d].resource, i,
                                           world_text(&h->w, path, "spec")));
        }
    to_rest(fresh);
    return world_children(&fresh->w);
}

static void run(uint64_t seed, bool told)
{
    struct history h = {.seed = seed * 7919 + 1, .told = told}, fresh;
    const char *dump;

    world_open(&h.w, &(struct world_opts){.api = {.latency_ms = pick(&h, 3) * 7,
                                                  .crd_delay_ms = pick(&h, 2) * 100,
                                                  .no_streaming_list = pick(&h, 3) == 0,
                                                  .no_aggregated = pick(&h, 3) == 0,
                                                  .chunk_bytes = pick(&h, 2) * 333}});
    world_start(&h.w);
    begin(&h);
    for (uint32_t i = 0; i < OPERATIONS; i++)
        operate(&h);
    calm(&h);
    dump = world_dump(&h.w);
    if (told)
        fprintf(stderr, "%s", dump);
    EXPECT_TEXT(world_children(&h.w), from_scratch(&h, &fresh));
    world_close(&fresh.w);
    world_crash(&h.w, false);
    world_mark(&h.w);
    tell(&h, "a fresh one");
    world_start(&h.w);
    world_rest(&h.w);
    EXPECT_TEXT(world_writes(&h.w), "");
    EXPECT_TEXT(world_dump(&h.w), dump);
    world_close(&h.w);
}

TEST(property, at_rest_it_is_as_if_it_had_begun_there)
{
    const char *one = getenv("KROC_SEED");
    uint64_t first = one ? strtoull(one, NULL, 10) : 1;
    uint64_t n = one ? 1 : getenv("KROC_FULL") ? SEEDS_FULL : SEEDS;

    for (uint64_t seed = first; seed < first + n; seed++) {
        printf("seed %llu\n", (unsigned long long)seed);
        fflush(stdout);
        run(seed, one != NULL);
    }
}

int main(void)
{
    return RUN(T(property, at_rest_it_is_as_if_it_had_begun_there));
}
