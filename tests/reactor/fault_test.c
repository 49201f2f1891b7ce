/* SPDX-License-Identifier: Apache-2.0 */
/* The fault matrix: one life of an instance (defined, created, its input edited, its spec edited,
 * deleted), of the example or of a definition with collections, in which one exchange with the server goes wrong in one way, or after which exchange
 * the controller is dropped and started again. Whatever it is, the cluster must come to the same
 * state after each part of that life, and nothing may be written that the fault does not explain.
 *
 * With KROC_FULL=1 every point is run, else a sample that a prime stride picks. */
#include <dirent.h>
#include <malloc.h>
#include <stdio.h>

#include "tests/lib/world.h"

#define CORE "/api/v1/namespaces/default/"
#define KRO "/apis/kro.run/v1alpha1/namespaces/default/"

static const char shop[] = KRO "webapps/shop", settings[] = CORE "configmaps/settings";

/* --- one life --------------------------------------------------------------------------------- */

enum part { DEFINE, CREATE, EDIT_INPUT, EDIT_SPEC, DELETE, PARTS_N };
static const char *const part_names[PARTS_N] = {"define", "create", "edit of the input",
                                                "edit of the spec", "delete"};
enum { CHILDREN_MAX = 10 };

struct story {
    void (*inputs)(struct world *w, enum part part);
    const char *children[CHILDREN_MAX][2]; /* resource and name; looked at in all parts */
};

/* What one part left and cost. */
struct outcome {
    const char *dump, *log; /* owned */
    uint32_t writes, statuses, exchanges;
    struct world_fate fates[CHILDREN_MAX];
};
struct life {
    struct outcome parts[PARTS_N];
    struct world_exchange *exchanges; /* of all parts; owned */
    uint32_t exchanges_n;
    bool wider; /* the inventory may go on listing what was pruned: whoever dies between the two
                   leaves it so, like kro, because nothing is written at a start */
};

static bool is_of_inventory(kr_str line)
{
    return kr_str_find(line, KR_S("/contains-group-kinds: ")) >= 0 ||
           kr_str_find(line, KR_S("/applyset-inventory-hash: ")) >= 0;
}

static bool same_state(const char *got, const struct life *want, enum part p)
{
    kr_str x = kr_str_c(got), y = kr_str_c(want->parts[p].dump);

    while (x.n && y.n) {
        kr_str a = kr_str_cut(&x, '\n'), b = kr_str_cut(&y, '\n');

        if (!kr_str_eq(a, b) && !(want->wider && is_of_inventory(a) && is_of_inventory(b)))
            return false;
    }
    return x.n == y.n;
}

static void inputs(struct world *w, enum part part)
{
    switch (part) {
    case DEFINE:
        world_apply_file(w, "examples/webapp/rgd.yaml");
        world_apply_file(w, "examples/webapp/settings.yaml");
        return;
    case CREATE:
        world_apply_file(w, "examples/webapp/instance.yaml");
        return;
    case EDIT_INPUT:
        world_patch(w, settings, "{data: {COLOUR: green}}");
        return;
    case EDIT_SPEC:
        world_patch(w, shop, "{spec: {greeting: hello, replicas: 3}}");
        return;
    default:
        world_delete(w, shop);
        return;
    }
}

static const struct story webapp = {.inputs = inputs,
                                    .children = {{"configmaps", "default/shop-page"},
                                                 {"deployments", "default/shop"},
                                                 {"services", "default/shop"}}};

/* A collection of a list, one of what a selector finds, one of another collection; a node that comes
 * and goes; conditions of the author; a cap on rolls, and a roll that does not end. */
static const char fleet_rgd[] =
    "apiVersion: kro.run/v1alpha1\n"
    "kind: ResourceGraphDefinition\n"
    "metadata: {name: fleets, annotations: {kroc.run/roll-max-concurrent: '1'}}\n"
    "spec:\n"
    "  schema:\n"
    "    apiVersion: v1alpha1\n"
    "    kind: Fleet\n"
    "    spec: {names: '[]string', extra: boolean}\n"
    "    status:\n"
    "      copied: '${copies.map(x, x.data.v).join(\",\")}'\n"
    "      conditions:\n"
    "        - '${runtime.newCondition({type: \"Copied\", status: size(copies) > 1 ? \"True\" : "
    "\"False\", reason: \"Counted\", message: string(size(copies))})}'\n"
    "        - '${runtime.newCondition({type: \"Done\", status: runtime.condition(schema, "
    "\"Ready\").status, reason: \"Built\"})}'\n"
    "  resources:\n"
    "    - {id: cfg, externalRef: {apiVersion: v1, kind: ConfigMap, metadata: {name: cfg}}}\n"
    "    - {id: picked, externalRef: {apiVersion: v1, kind: ConfigMap, metadata: {selector: "
    "{matchLabels: {pick: '${cfg.data.pick}'}}}}}\n"
    "    - {id: workers, forEach: [{one: '${schema.spec.names}'}], readyWhen: ['${each.data.one != "
    "\"\"}'], template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "
    "'${schema.metadata.name}-${one}'}, data: {one: '${one}'}}}\n"
    "    - {id: logs, forEach: [{w: '${workers}'}], template: {apiVersion: v1, kind: Secret, "
    "metadata: {name: '${w.metadata.name}-log'}, stringData: {of: '${w.data.one}'}}}\n"
    "    - {id: copies, forEach: [{from: '${picked}'}], template: {apiVersion: v1, kind: "
    "ConfigMap, "
    "metadata: {name: '${schema.metadata.name}-${from.metadata.name}'}, data: {v: "
    "'${from.data.v}'}}}\n"
    "    - {id: extra, includeWhen: ['${schema.spec.extra}'], template: {apiVersion: v1, kind: "
    "Service, metadata: {name: '${schema.metadata.name}'}, spec: {selector: {n: "
    "'${string(size(copies))}'}, ports: [{port: 80}]}}}\n"
    "    - {id: app, template: {apiVersion: apps/v1, kind: Deployment, metadata: {name: "
    "'${schema.metadata.name}'}, spec: {selector: {matchLabels: {app: x}}, template: {metadata: "
    "{labels: {app: x}, annotations: {v: '${cfg.data.v}'}}, spec: {containers: [{name: c, image: "
    "i}]}}}}}\n";

static const char fleet_path[] = KRO "fleets/fleet";

static void fleet_inputs(struct world *w, enum part part)
{
    switch (part) {
    case DEFINE:
        world_apply(w,
                    "{apiVersion: v1, kind: ConfigMap, metadata: {name: cfg}, data: {pick: a, v: "
                    "one}}\n---\n"
                    "{apiVersion: v1, kind: ConfigMap, metadata: {name: s1, labels: {pick: a}}, "
                    "data: {v: one}}\n---\n"
                    "{apiVersion: v1, kind: ConfigMap, metadata: {name: s2, labels: {pick: b}}, "
                    "data: {v: two}}\n");
        world_apply(w, fleet_rgd);
        return;
    case CREATE:
        world_apply(w, "{apiVersion: kro.run/v1alpha1, kind: Fleet, metadata: {name: fleet}, spec: "
                       "{names: [a, b], extra: true}}");
        return;
    case EDIT_INPUT: /* another selection, and a roll */
        world_patch(w, CORE "configmaps/cfg", "{data: {pick: b, v: two}}");
        return;
    case EDIT_SPEC: /* one more, one less, and a node that goes */
        world_patch(w, fleet_path, "{spec: {names: [b, c], extra: false}}");
        return;
    default:
        world_delete(w, fleet_path);
        return;
    }
}

static const struct story fleet = {.inputs = fleet_inputs,
                                   .children = {{"configmaps", "default/fleet-a"},
                                                {"configmaps", "default/fleet-b"},
                                                {"configmaps", "default/fleet-c"},
                                                {"secrets", "default/fleet-a-log"},
                                                {"secrets", "default/fleet-b-log"},
                                                {"secrets", "default/fleet-c-log"},
                                                {"configmaps", "default/fleet-s1"},
                                                {"configmaps", "default/fleet-s2"},
                                                {"services", "default/fleet"},
                                                {"deployments", "default/fleet"}}};

static void rest(struct world *w)
{
    world_rest(w);
    if (w->reactor)
        return;
    world_start(w); /* it was dropped on the way */
    world_rest(w);
}

/* Lives from where w stands, as long as all comes out as wanted (NULL: to the end). The counters of
 * the log begin anew with each part, those of the exchanges do not. */
static void live(struct world *w, const struct story *story, struct life *out,
                 const struct life *want)
{
    *out = (struct life){0};
    for (enum part p = DEFINE; p < PARTS_N; p++) {
        struct outcome *o = &out->parts[p];

        fakeapi_log_reset(w->api);
        story->inputs(w, p);
        rest(w);
        o->dump = kr_cstrdup(kr_str_c(world_dump(w)));
        o->log = kr_cstrdup(kr_str_c(fakeapi_log(w->api)));
        o->writes = world_writes_n(w, NULL);
        o->statuses = world_statuses_n(w);
        o->exchanges = w->exchanges_n;
        for (size_t i = 0; i < CHILDREN_MAX && story->children[i][0]; i++) {
            o->fates[i] = world_fate(w, story->children[i][0], story->children[i][1]);
            o->fates[i].part_of = KR_S("");
        }
        if (want && !same_state(o->dump, want, p))
            break;
    }
    out->exchanges_n = w->exchanges_n;
    out->exchanges = kr_alloc((w->exchanges_n + 1) * sizeof(struct world_exchange));
    memcpy(out->exchanges, w->exchanges, w->exchanges_n * sizeof(struct world_exchange));
}

static void life_free(struct life *life)
{
    for (enum part p = DEFINE; p < PARTS_N; p++) {
        kr_free((char *)(uintptr_t)life->parts[p].dump);
        kr_free((char *)(uintptr_t)life->parts[p].log);
    }
    kr_free(life->exchanges);
}

static const struct fakeapi_opts api_opts = {.latency_ms = 10, .crd_delay_ms = 25};

static void begin(struct world *w, const struct fakeapi_opts *o)
{
    world_open(w, &(struct world_opts){.api = *o});
    world_mark(w);
}

static void undisturbed(const struct story *story, struct life *out, const struct fakeapi_opts *o)
{
    struct world w;

    begin(&w, o);
    world_start(&w);
    live(&w, story, out, NULL);
    world_close(&w);
}

/* --- what a fault may cost -------------------------------------------------------------------- */

struct tally {
    const char *name;
    uint32_t points, wrong, writes,
        statuses; /* the last two: most over the undisturbed life, in one part */
    uint32_t writes_max, statuses_max; /* what is allowed */
};

/* A definition that has waited for a second tells each of its further steps. */
enum { DEFINE_STATUSES_MAX = 6 };

static bool full(void)
{
    return getenv("KROC_FULL") != NULL;
}

static void more(uint32_t *most, uint32_t got, uint32_t wanted)
{
    if (got > wanted && got - wanted > *most)
        *most = got - wanted;
}

/* All points are run before the test fails: which ones are wrong together says why. */
static void wrong(struct tally *t, const char *where, enum part p, const char *fmt, ...)
    KR_PRINTF(4, 5);
static void wrong(struct tally *t, const char *where, enum part p, const char *fmt, ...)
{
    va_list args;

    t->wrong++;
    fprintf(stderr, "%s, in \"%s\": ", where, part_names[p]);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
}

static void compare_part(const struct story *story, const struct life *got, const struct life *want,
                         struct tally *t, const char *where, enum part p)
{
    const struct outcome *g = &got->parts[p], *w = &want->parts[p];

    if (!same_state(g->dump, want, p)) {
        wrong(t, where, p, "another state of the cluster");
        if (t->wrong == 1)
            test_diff(g->dump, w->dump);
    }
    for (size_t i = 0; i < CHILDREN_MAX && story->children[i][0]; i++)
        if (memcmp(&g->fates[i], &w->fates[i], sizeof g->fates[i]) != 0)
            wrong(
                t, where, p,
                "%s was created %u times, changed %u times, deleted %u times; without a fault %u, "
                "%u, %u",
                story->children[i][1], g->fates[i].created, g->fates[i].changed,
                g->fates[i].deleted, w->fates[i].created, w->fates[i].changed, w->fates[i].deleted);
    more(&t->writes, g->writes, w->writes);
    more(&t->statuses, g->statuses, w->statuses);
    if (g->writes > w->writes + t->writes_max ||
        g->statuses > w->statuses + (p == DEFINE ? DEFINE_STATUSES_MAX : t->statuses_max))
        wrong(t, where, p, "%u writes and %u of status; without a fault %u and %u\n%s", g->writes,
              g->statuses, w->writes, w->statuses, g->log);
}

static void compare(const struct story *story, const struct life *got, const struct life *want,
                    struct tally *t, const char *where)
{
    uint32_t before = t->wrong;

    t->points++;
    for (enum part p = DEFINE; p < PARTS_N && t->wrong == before; p++)
        compare_part(story, got, want, t, where, p);
}

static void report(const struct tally *t, size_t n)
{
    uint32_t sum = 0, wrongs = 0;

    for (size_t i = 0; i < n; i++) {
        wrongs += t[i].wrong;
        printf("%-28s %5u points, at most %u more writes, %u more of status\n", t[i].name,
               t[i].points, t[i].writes, t[i].statuses);
        sum += t[i].points;
    }
    printf("%-28s %5u points\n", "all", sum);
    assert_int_equal(wrongs, 0);
}

/* --- one request goes wrong ------------------------------------------------------------------- */

enum on { ON_ALL, ON_READS, ON_REQUESTS, ON_WRITES };

static const char html[] = "<html><body>It works!</body></html>";
enum { LONG_MS = 600 * 1000 }; /* over every time-out */

/* What the fault explains: a write whose answer was lost is sent again; a status may be written
 * once more because the trouble was told. */
static const struct {
    const char *name;
    enum on on;
    struct fault_rule rule;
    uint32_t writes_max, statuses_max;
} faults[] = {
    {"connection refused", ON_ALL, {.kind = FAULT_REFUSE}, 0, 1},
    {"reset before the effect", ON_ALL, {.kind = FAULT_BREAK}, 0, 1},
    {"reset after the effect", ON_REQUESTS, {.kind = FAULT_EFFECT}, 1, 1},
    {"no answer",
     ON_REQUESTS,
     {.kind = FAULT_HANG},
     0,
     2}, /* the delay is told, then the failure */
    {"no answer after the effect", ON_REQUESTS, {.kind = FAULT_EFFECT, .delay_ms = LONG_MS}, 1, 2},
    {"slow answer", ON_ALL, {.kind = FAULT_DELAY, .delay_ms = 5000}, 0, 1},
    {"409", ON_WRITES, {.kind = FAULT_STATUS, .status = 409}, 0, 1},
    {"410", ON_READS, {.kind = FAULT_STATUS, .status = 410}, 0, 1},
    {"429 with Retry-After",
     ON_ALL,
     {.kind = FAULT_STATUS, .status = 429, .retry_after_s = 2},
     0,
     1},
    {"500", ON_ALL, {.kind = FAULT_STATUS, .status = 500}, 0, 1},
    {"503 with Retry-After",
     ON_ALL,
     {.kind = FAULT_STATUS, .status = 503, .retry_after_s = 1},
     0,
     1},
    {"empty body", ON_ALL, {.kind = FAULT_BODY}, 1, 1},
    {"body cut off", ON_ALL, {.kind = FAULT_CUT, .bytes = 60}, 1, 1},
    {"truncated body", ON_ALL, {.kind = FAULT_SHORT, .bytes = 60}, 1, 1},
    {"a page of HTML", ON_ALL, {.kind = FAULT_BODY, .message = html}, 1, 1},
};

static bool concerns(enum on on, const struct world_exchange *x)
{
    bool write = strcmp(x->method, "GET") != 0;

    return on == ON_ALL || (on == ON_READS && !write) || (on == ON_WRITES && write) ||
           (on == ON_REQUESTS && !x->stream);
}

static void with_fault(const struct story *story, const struct life *want, struct fault_rule rule,
                       uint32_t n, struct tally *t, const struct fakeapi_opts *o)
{
    struct world w;
    struct life got;
    char where[128];

    rule.nth = n;
    rule.times = 1;
    begin(&w, o);
    fault_add(w.fault, &rule);
    world_start(&w);
    live(&w, story, &got, want);
    snprintf(where, sizeof where, "exchange %u (%s%s): %s", n, want->exchanges[n - 1].method,
             want->exchanges[n - 1].stream ? ", stream" : "", t->name);
    assert_int_equal(fault_hits_n(w.fault), 1);
    compare(story, &got, want, t, where);
    life_free(&got);
    world_close(&w);
}

static void every_exchange(const struct story *story, const struct fakeapi_opts *o, uint32_t stride)
{
    struct tally t[KR_N(faults)] = {0};
    struct life want;
    uint32_t at = 0;

    undisturbed(story, &want, o);
    for (size_t i = 0; i < KR_N(faults); i++) {
        t[i] = (struct tally){.name = faults[i].name,
                              .writes_max = faults[i].writes_max,
                              .statuses_max = faults[i].statuses_max};
        for (uint32_t n = 1; n <= want.exchanges_n; n++)
            if (concerns(faults[i].on, &want.exchanges[n - 1]) && (full() || at++ % stride == 0))
                with_fault(story, &want, faults[i].rule, n, &t[i], o);
    }
    report(t, KR_N(t));
    life_free(&want);
}

TEST(fault, every_exchange_in_every_way)
{
    every_exchange(&webapp, &api_opts, 19);
}

TEST(fault, every_exchange_of_a_fleet_in_every_way)
{
    every_exchange(&fleet, &api_opts, 37);
}

/* Lists in pages, discovery group by group. */
TEST(fault, every_exchange_with_an_old_server)
{
    static const struct fakeapi_opts old = {
        .latency_ms = 10, .crd_delay_ms = 25, .no_streaming_list = true, .no_aggregated = true};

    every_exchange(&webapp, &old, 59);
    every_exchange(&fleet, &old, 211);
}

/* --- the controller is dropped ---------------------------------------------------------------- */

static void with_crash(const struct story *story, const struct life *want, uint32_t n,
                       enum world_end end, struct tally *t)
{
    struct world w;
    struct life got;
    char where[128];

    begin(&w, &api_opts);
    world_end_at(&w, n, end);
    world_start(&w);
    live(&w, story, &got, want);
    snprintf(where, sizeof where, "dropped at exchange %u (%s%s), %s", n,
             want->exchanges[n - 1].method, want->exchanges[n - 1].stream ? ", stream" : "",
             t->name);
    compare(story, &got, want, t, where);
    life_free(&got);
    world_close(&w);
}

static void dropped(const struct story *story)
{
    struct tally t[] = {
        [WORLD_END_UNSENT] = {.name = "dropped before it is sent",
                              .writes_max = 0,
                              .statuses_max = 1},
        [WORLD_END_SENT] = {.name = "dropped before the answer",
                            .writes_max = 0,
                            .statuses_max = 1},
    };
    struct life want;

    undisturbed(story, &want, &api_opts);
    want.wider = true;
    for (uint32_t n = 1; n <= want.exchanges_n; n++) {
        if (full() || n % 4 == 0)
            with_crash(story, &want, n, WORLD_END_UNSENT, &t[WORLD_END_UNSENT]);
        if (full() || n % 4 == 2)
            with_crash(story, &want, n, WORLD_END_SENT, &t[WORLD_END_SENT]);
    }
    report(t, KR_N(t));
    life_free(&want);
}

TEST(fault, dropped_at_every_exchange_and_started_again)
{
    dropped(&webapp);
    dropped(&fleet);
}

/* --- streams break off ------------------------------------------------------------------------ */

enum { CUT_STRIDE = 29, CUT_STRIDE_SAMPLE = 6007 }; /* bytes */

static void cut(const struct story *story)
{
    struct tally t = {.name = "stream cut", .writes_max = 0, .statuses_max = 1};
    struct life want;
    size_t stride = full() ? CUT_STRIDE : CUT_STRIDE_SAMPLE, at = 0;

    undisturbed(story, &want, &api_opts);
    for (uint32_t n = 1; n <= want.exchanges_n; n++) {
        size_t bytes = want.exchanges[n - 1].bytes;

        if (!want.exchanges[n - 1].stream)
            continue;
        for (; at <= bytes; at += stride)
            with_fault(story, &want, (struct fault_rule){.kind = FAULT_CUT, .bytes = at ? at : 1},
                       n, &t, &api_opts);
        at -= bytes; /* the walk goes on in the next stream */
    }
    report(&t, 1);
    life_free(&want);
}

TEST(fault, every_stream_cut_within_its_events)
{
    cut(&webapp);
    cut(&fleet);
}

/* --- a list in pages -------------------------------------------------------------------------- */

static const struct fakeapi_opts paged_opts = {
    .latency_ms = 10, .crd_delay_ms = 25, .no_streaming_list = true};

enum { FOREIGN_N = 1100 }; /* three pages of KUBE_LIST_PAGE */

/* Objects of other owners fill the pages between which it breaks; ours stands on the last one. */
static void fill_pages(struct world *w)
{
    for (int i = 0; i < FOREIGN_N; i++) {
        char path[128], body[512];

        snprintf(
            body, sizeof body,
            "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"foreign-%04d\","
            "\"labels\":{\"applyset.kubernetes.io/part-of\":\"applyset-other\"}}}",
            i);
        snprintf(path, sizeof path, CORE "configmaps");
        assert_int_equal(
            fakeapi_do(w->api, &w->a, "POST", path, "other", NULL, test_json(&w->a, body), NULL),
            201);
    }
}

TEST(fault, a_list_that_breaks_between_two_pages)
{
    static const struct fault_rule rules[] = {
        {.kind = FAULT_REFUSE},
        {.kind = FAULT_BREAK},
        {.kind = FAULT_EFFECT},
        {.kind = FAULT_HANG},
        {.kind = FAULT_CUT, .bytes = 1},
        {.kind = FAULT_CUT, .bytes = 50 * 1000},
        {.kind = FAULT_SHORT, .bytes = 50 * 1000},
        {.kind = FAULT_BODY},
        {.kind = FAULT_BODY, .message = html},
        {.kind = FAULT_BODY,
         .message = "{\"kind\":\"ConfigMapList\",\"metadata\":{},\"items\":[]}"},
        {.kind = FAULT_STATUS, .status = 410},
        {.kind = FAULT_STATUS, .status = 429, .retry_after_s = 1},
        {.kind = FAULT_STATUS, .status = 500},
    };
    struct world w;
    const char *dump;

    world_open(&w, &(struct world_opts){.api = paged_opts});
    world_start(&w);
    inputs(&w, DEFINE);
    world_rest(&w);
    inputs(&w, CREATE);
    world_rest(&w);
    world_crash(&w, false);
    fill_pages(&w);
    dump = world_dump(&w);
    for (size_t i = 0, hits = 0; i < 2 * KR_N(rules); i += full() ? 1 : 5) {
        struct fault_rule rule = rules[i / 2];

        rule.part = "continue=";
        rule.nth = (uint32_t)(i % 2) + 1; /* the second page, or the third */
        rule.times = 1;
        world_mark(&w);
        fault_add(w.fault, &rule);
        world_start(&w);
        world_rest(&w);
        assert_int_equal(world_writes_n(&w, NULL), 0);
        assert_in_range(world_statuses_n(&w), 0, 2); /* why the list is not there, and that it is */
        assert_int_equal(fault_hits_n(w.fault), ++hits);
        EXPECT_TEXT(world_dump(&w), dump);
        fault_clear(w.fault);
        world_patch(&w, CORE "configmaps/shop-page", "{data: {index.html: hacked}}");
        world_rest(&w);
        assert_int_equal(world_writes_n(&w, "PATCH"), 1);
        world_mark(&w);
        EXPECT_TEXT(world_text(&w, CORE "configmaps/shop-page", "data"),
                    "{\"index.html\":\"<h1>Welcome to the shop</h1>\"}");
        world_crash(&w, false);
        dump = world_dump(&w);
    }
    world_close(&w);
}

/* --- the server goes away --------------------------------------------------------------------- */

/* While it is down everything changes, and its memory of versions is lost. */
TEST(fault, the_server_goes_away_and_comes_back_changed)
{
    struct world w;

    for (int compacted = 0; compacted < 2; compacted++) {
        begin(&w, &api_opts);
        world_start(&w);
        inputs(&w, DEFINE);
        world_rest(&w);
        inputs(&w, CREATE);
        world_rest(&w);
        fakeapi_set_down(w.api, true);
        world_advance(&w, 45 * 1000);
        world_mark(&w);
        inputs(&w, EDIT_INPUT);
        world_patch(&w, CORE "configmaps/shop-page", "{data: {index.html: hacked}}");
        world_delete(&w, CORE "services/shop");
        if (compacted)
            fakeapi_compact(w.api);
        world_advance(&w, 45 * 1000);
        fakeapi_set_down(w.api, false);
        world_rest(&w);
        assert_int_equal(world_writes_n(&w, NULL), 3);
        assert_in_range(world_statuses_n(&w), 1, 2);
        EXPECT_TEXT(world_text(&w, shop, "status.state"), "ACTIVE");
        EXPECT_TEXT(world_text(&w, shop, "status.settingsVersion"),
                    world_text(&w, settings, "metadata.resourceVersion"));
        world_close(&w);
    }
}

/* The server is restored from a backup while all streams stay open: they are silent, for what happens
 * now has versions that they are past. Most resume with a version that the server still has; the first
 * list that shows an older one tells, and all types are listed. */
TEST(fault, a_server_that_goes_back_is_noticed_once_for_all)
{
    struct world w;
    static const char *const others[] = {"/resourcegraphdefinitions?watch - 200\n",
                                         "/graphrevisions?watch - 200\n",
                                         "/services?watch - 200\n"};
    const char *late;
    uint64_t backup;
    uint32_t waited_s = 0;

    begin(&w, &(struct fakeapi_opts){.latency_ms = 10, .crd_delay_ms = 25, .silence = true});
    world_start(&w);
    inputs(&w, DEFINE);
    world_rest(&w);
    inputs(&w, CREATE);
    world_rest(&w);
    backup = fakeapi_version(w.api);
    for (uint32_t i = 0; i < 10; i++) {
        inputs(&w, EDIT_INPUT);
        world_patch(&w, settings, i % 2 ? "{data: {back: a}}" : "{data: {back: b}}");
        world_rest(&w);
    }
    fakeapi_rewind(w.api, backup);
    w.seen = backup;
    world_patch(&w, CORE "configmaps/shop-page", "{data: {index.html: hacked}}");
    world_mark(&w);
    while (fakeapi_log_n(w.api, "GET", "") == 0 && waited_s++ < 600)
        world_advance(&w, 1000);
    world_advance(&w, 1000);
    late = strstr(fakeapi_log(w.api), "/webapps?watch - 504\n"); /* its version is of the future */
    assert_non_null(late);
    for (size_t i = 0; i < KR_N(others); i++) /* had gone on with versions that it still has */
        assert_non_null(strstr(late, others[i]));
    world_rest(&w);
    EXPECT_TEXT(world_text(&w, CORE "configmaps/shop-page", "data"),
                "{\"index.html\":\"<h1>Welcome to the shop</h1>\"}");
    EXPECT_TEXT(world_text(&w, shop, "status.settingsVersion"),
                world_text(&w, settings, "metadata.resourceVersion"));
    world_close(&w);
}

/* The same while a write of ours is on its way: its answer has a version from before the write, which says
 * it at once, where the silent streams would let hours pass. */
TEST(fault, an_answer_from_the_past_tells_that_the_server_went_back)
{
    struct world w;
    uint64_t backup;

    begin(&w, &(struct fakeapi_opts){.latency_ms = 10, .crd_delay_ms = 25, .silence = true});
    world_start(&w);
    inputs(&w, DEFINE);
    world_rest(&w);
    inputs(&w, CREATE);
    world_rest(&w);
    backup = fakeapi_version(w.api);
    for (uint32_t i = 0; i < 10; i++) {
        world_patch(&w, settings, i % 2 ? "{data: {back: a}}" : "{data: {back: b}}");
        world_rest(&w);
    }
    world_patch(&w, CORE "configmaps/shop-page", "{data: {index.html: hacked}}");
    world_mark(&w);
    while (world_exchanges_n(&w) == 0)
        world_advance(&w, 1);
    fakeapi_rewind(w.api, backup); /* the PATCH that restores the page is not there yet */
    w.seen = backup;
    world_patch(&w, CORE "services/shop", "{spec: {selector: {app: hacked}}}");
    world_mark(&w);
    world_advance(&w, 1000);
    assert_int_not_equal(fakeapi_log_n(w.api, "GET", "/services"), 0);
    world_rest(&w);
    EXPECT_TEXT(world_text(&w, CORE "services/shop", "spec.selector"), "{\"app\":\"shop\"}");
    EXPECT_TEXT(world_text(&w, shop, "status.settingsVersion"),
                world_text(&w, settings, "metadata.resourceVersion"));
    world_close(&w);
}

/* --- ten thousand reconnects ------------------------------------------------------------------ */

enum { RECONNECTS = 10 * 1000, WARM_UP = 2000 };

static size_t memory_used(void)
{
#if defined(__SANITIZE_ADDRESS__)
    extern size_t __sanitizer_get_current_allocated_bytes(void);

    return __sanitizer_get_current_allocated_bytes();
#else
    return mallinfo2().uordblks;
#endif
}

static int descriptors_n(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;

    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* Breaks all streams `n` times in all, in every way that streams break. */
static void reconnect(struct world *w, uint32_t n)
{
    for (uint32_t done = 0, round = 0; done < n; round++) {
        done += fakeapi_watches_n(w->api);
        if (round % 5 == 0)
            fakeapi_compact(w->api); /* resuming gives 410 */
        if (round % 7 == 0)
            fakeapi_patch(w->api, "rival", settings,
                          round % 2 ? "{data: {C: a}}" : "{data: {C: b}}");
        fakeapi_break_watches(w->api, round % 3 ? KR_E_IO : 0);
        world_rest(w);
        world_mark(w);
    }
}

TEST(fault, ten_thousand_reconnects_cost_no_memory)
{
    struct world w;
    size_t before, after;
    int descriptors;

    world_open(&w, &(struct world_opts){.api = {.latency_ms = 1, .history_n = 64}});
    world_start(&w);
    inputs(&w, DEFINE);
    world_rest(&w);
    inputs(&w, CREATE);
    world_rest(&w);
    reconnect(&w, WARM_UP);
    before = memory_used();
    descriptors = descriptors_n();
    reconnect(&w, RECONNECTS);
    after = memory_used();
    printf("%zu bytes before, %zu after %d reconnects\n", before, after, RECONNECTS);
    assert_in_range(after, 0, before + 64 * 1024);
    assert_int_equal(descriptors_n(), descriptors);
    EXPECT_TEXT(world_text(&w, shop, "status.settingsVersion"),
                world_text(&w, settings, "metadata.resourceVersion"));
    /* Nor do they leave ghosts: the end and a new beginning cost what they should. */
    inputs(&w, DELETE);
    world_rest(&w);
    assert_int_equal(world_writes_n(&w, NULL), 3 + 1);
    assert_int_equal(world_get(&w, shop).kind, KR_NONE);
    world_mark(&w);
    inputs(&w, CREATE);
    world_rest(&w);
    assert_int_equal(world_writes_n(&w, NULL), 3 + 2);
    world_close(&w);
}

int main(int argc, char **argv)
{
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return RUN(T(fault, every_exchange_in_every_way),
               T(fault, every_exchange_of_a_fleet_in_every_way),
               T(fault, every_exchange_with_an_old_server),
               T(fault, dropped_at_every_exchange_and_started_again),
               T(fault, every_stream_cut_within_its_events),
               T(fault, a_list_that_breaks_between_two_pages),
               T(fault, the_server_goes_away_and_comes_back_changed),
               T(fault, an_answer_from_the_past_tells_that_the_server_went_back),
               T(fault, a_server_that_goes_back_is_noticed_once_for_all),
               T(fault, ten_thousand_reconnects_cost_no_memory));
}
