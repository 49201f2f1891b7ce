/* SPDX-License-Identifier: Apache-2.0 */
/* The budget: what each event in the life of a definition's instances may cost in requests, counted
 * on generated definitions (random DAGs of resources, collections, external references and external
 * collections, with includeWhen, readyWhen, author conditions and a status), in virtual time.
 *
 * Every object of a generated definition holds a digest `v` of what it reads, so that a change of an
 * input changes whatever stands behind it. That makes the cost exact, not only bounded:
 *
 *   one PATCH for each object that changes, none for another        (what kro does K times a pass)
 *   the nodes written are those reached from the source, no others
 *   no read, but the watch of a reference that is new
 *   two applies on the parent, where a set is made, grows or has shrunk
 *   status writes as BUDGET says
 *
 * KROC_FULL=1 runs many seeds, KROC_SEEDS=n so many, KROC_SEED=n that one and prints what it does.
 */
#include <stdio.h>
#include <string.h>

#include "graph/names.h"
#include "tests/lib/world.h"

#define CORE "/api/v1/namespaces/default/"
#define KRO "/apis/kro.run/v1alpha1/namespaces/default/"
#define RGD "/apis/kro.run/v1alpha1/resourcegraphdefinitions/things"

enum { NODES_MOST = 50, SEEDS = 25, SEEDS_FULL = 1000, SOURCES = 4, INSTANCES = 2, EVENTS = 14 };

enum kind { CONFIG, SECRET, DEPLOYMENT, COLLECTION, EXTERNAL, PICKED, KINDS_N };

struct node {
    enum kind kind;
    uint64_t from;   /* bits: nodes whose `v` it reads */
    uint64_t spec;   /* bits: fields f0..f2 of the spec that it reads */
    uint32_t source; /* EXTERNAL: its number; PICKED: the pick of its selector */
    int over;        /* COLLECTION: the node whose items it is made for; -1: the spec's list */
    int flag;        /* includeWhen: of the spec; -1: none */
    int gate;        /* includeWhen: the external node that must not say "off"; -1: none */
    bool ready;      /* has readyWhen */
    bool told;       /* stands in the status */
};

struct shape {
    uint32_t n;
    struct node nodes[NODES_MOST];
    bool conditions;
};

struct run {
    struct world w;
    uint64_t seed;
    struct shape shape;
    uint64_t flags;          /* bits: flags that are set, of all instances */
    bool off[SOURCES];       /* sources that say "off" */
    uint32_t picks[SOURCES]; /* 0, 1; 2: none */
    struct kr_map marks;     /* fates at the mark: key -> struct world_fate */
    const char *what;        /* the event that is counted */
    uint64_t number;
    uint32_t serial;
    bool told;
};

static uint32_t pick(struct run *r, uint32_t n)
{
    return (uint32_t)(test_rand(&r->seed) % n);
}

static bool chance(struct run *r, uint32_t percent)
{
    return pick(r, 100) < percent;
}

static bool is_external(const struct node *n)
{
    return n->kind == EXTERNAL || n->kind == PICKED;
}

static bool is_many(const struct node *n)
{
    return n->kind == COLLECTION || n->kind == PICKED;
}

/* --- random definitions ----------------------------------------------------------------------- */

static int some_of(struct run *r, uint32_t before, bool (*is)(const struct node *n))
{
    for (uint32_t tries = 0; before && tries < 4; tries++) {
        uint32_t j = pick(r, before);

        if (is(&r->shape.nodes[j]))
            return (int)j;
    }
    return -1;
}

static bool is_single_external(const struct node *n)
{
    return n->kind == EXTERNAL;
}

static void make_node(struct run *r, uint32_t i)
{
    static const enum kind kinds[] = {CONFIG,     CONFIG,     CONFIG,     CONFIG,   SECRET,
                                      DEPLOYMENT, COLLECTION, COLLECTION, EXTERNAL, PICKED};
    struct node *n = &r->shape.nodes[i];

    *n = (struct node){.kind = kinds[pick(r, KR_N(kinds))], .over = -1, .flag = -1, .gate = -1};
    n->source = pick(r, n->kind == PICKED ? 2 : SOURCES);
    n->told = chance(r, 30);
    if (chance(r, 15))
        n->flag = (int)pick(r, 2);
    if (is_external(n))
        return;
    n->ready = chance(r, 25);
    if (chance(r, 10))
        n->gate = some_of(r, i, is_single_external);
    for (uint32_t k = pick(r, 4); i && k > 0; k--)
        n->from |= 1ull << pick(r, i);
    n->spec = chance(r, 60) ? 1ull << pick(r, 3) : 0;
    if (n->kind == COLLECTION && chance(r, 60))
        n->over = some_of(r, i, is_many);
    if (n->over >= 0) /* products of products grow */
        n->over = r->shape.nodes[n->over].over < 0 ? n->over : -1;
}

static void make_shape(struct run *r)
{
    r->shape.n = 1 + pick(r, chance(r, 30) ? NODES_MOST : 12);
    r->shape.conditions = chance(r, 40);
    for (uint32_t i = 0; i < r->shape.n; i++)
        make_node(r, i);
}

static void put_read(struct kr_buf *b, const struct node *n, uint32_t j)
{
    switch (n->kind) {
    case COLLECTION:
    case PICKED:
        kr_buf_fmt(b, "n%u.map(x, x.data.v).join('.')", j);
        return;
    case SECRET:
        kr_buf_fmt(b, "n%u.metadata.resourceVersion", j);
        return;
    case DEPLOYMENT:
        kr_buf_fmt(b, "n%u.metadata.annotations.v", j);
        return;
    default:
        kr_buf_fmt(b, "n%u.data.v", j);
    }
}

/* The digest of all that node i reads. */
static void put_digest(struct kr_buf *b, const struct shape *s, uint32_t i)
{
    const struct node *n = &s->nodes[i];

    kr_buf_fmt(b, "'${base64.encode(hash.sha256(\"n%u\"", i);
    for (uint32_t f = 0; f < 3; f++)
        if (n->spec >> f & 1)
            kr_buf_fmt(b, " + schema.spec.f%u", f);
    for (uint32_t j = 0; j < i; j++) {
        KR_AUTO(kr_buf) text = KR_BUF(1024);

        if (!(n->from >> j & 1))
            continue;
        put_read(&text, &s->nodes[j], j);
        kr_buf_fmt(b, " + ");
        for (size_t k = 0; k < text.n; k++) /* within quotes of YAML */
            kr_buf_fmt(b, text.s[k] == '\'' ? "''" : "%c", text.s[k]);
    }
    if (n->over >= 0)
        kr_buf_fmt(b, " + e.data.v");
    else if (n->kind == COLLECTION)
        kr_buf_fmt(b, " + e");
    kr_buf_fmt(b, "))}'");
}

static void put_when(struct kr_buf *b, const struct shape *s, uint32_t i)
{
    const struct node *n = &s->nodes[i];

    if (n->flag >= 0 || n->gate >= 0) {
        kr_buf_fmt(b, "      includeWhen:\n");
        if (n->flag >= 0)
            kr_buf_fmt(b, "        - '${schema.spec.flag%d}'\n", n->flag);
        if (n->gate >= 0)
            kr_buf_fmt(b, "        - '${n%d.data.say != \"off\"}'\n", n->gate);
    }
    if (!n->ready)
        return;
    if (n->kind == DEPLOYMENT)
        kr_buf_fmt(b, "      readyWhen: ['${n%u.status.?availableReplicas.orValue(0) > 0}']\n", i);
    else if (n->kind == COLLECTION)
        kr_buf_fmt(b, "      readyWhen: ['${each.metadata.name != \"\"}']\n");
    else
        kr_buf_fmt(b, "      readyWhen: ['${n%u.metadata.name != \"\"}']\n", i);
}

static void put_external(struct kr_buf *b, const struct node *n)
{
    kr_buf_fmt(b, "      externalRef: {apiVersion: v1, kind: ConfigMap, metadata: {");
    if (n->kind == EXTERNAL)
        kr_buf_fmt(b, "name: source-%u}}\n", n->source);
    else
        kr_buf_fmt(b, "namespace: default, selector: {matchLabels: {pick: p%u}}}}\n", n->source);
}

static void put_template(struct kr_buf *b, const struct shape *s, uint32_t i)
{
    const struct node *n = &s->nodes[i];
    const char *item = n->kind == COLLECTION ? n->over >= 0 ? "-${e.metadata.name}" : "-${e}" : "";

    if (n->over >= 0)
        kr_buf_fmt(b, "      forEach: [{e: '${n%d}'}]\n", n->over);
    else if (n->kind == COLLECTION)
        kr_buf_fmt(b, "      forEach: [{e: '${schema.spec.list}'}]\n");
    kr_buf_fmt(b, "      template:\n        apiVersion: %s\n        kind: %s\n        metadata:\n",
               n->kind == DEPLOYMENT ? "apps/v1" : "v1",
               n->kind == DEPLOYMENT ? "Deployment"
               : n->kind == SECRET   ? "Secret"
                                     : "ConfigMap");
    kr_buf_fmt(b, "          name: '${schema.metadata.name}-n%u%s'\n", i, item);
    if (n->kind == DEPLOYMENT) {
        kr_buf_fmt(b, "          annotations: {v: ");
        put_digest(b, s, i);
        kr_buf_fmt(b, "}\n        spec: {selector: {matchLabels: {app: x}}, template: {metadata: "
                      "{labels: {app: x}}, spec: {containers: [{name: c, image: i}]}}}\n");
        return;
    }
    kr_buf_fmt(b, "        %s: {v: ", n->kind == SECRET ? "stringData" : "data");
    put_digest(b, s, i);
    kr_buf_fmt(b, "}\n");
}

static void put_status(struct kr_buf *b, const struct shape *s)
{
    kr_buf_fmt(b, "    status:\n      first: '${schema.spec.f0}'\n");
    for (uint32_t i = 0; i < s->n; i++) {
        if (!s->nodes[i].told)
            continue;
        kr_buf_fmt(b, "      s%u: \"${", i);
        put_read(b, &s->nodes[i], i);
        kr_buf_fmt(b, "}\"\n");
    }
    if (s->conditions)
        kr_buf_fmt(b,
                   "      conditions:\n        - '${runtime.newCondition({type: \"Named\", status: "
                   "schema.spec.f0 != \"\" ? \"True\" : \"False\", reason: \"Spec\"})}'\n        - "
                   "'${runtime.newCondition({type: \"Done\", status: runtime.condition(schema, "
                   "\"Ready\").status, reason: \"Ready\"})}'\n");
}

static void define(struct run *r)
{
    KR_AUTO(kr_buf) b = KR_BUF(1024 * 1024);

    kr_buf_fmt(&b,
               "apiVersion: kro.run/v1alpha1\nkind: ResourceGraphDefinition\nmetadata: {name: "
               "things}\nspec:\n  schema:\n    apiVersion: v1alpha1\n    kind: Thing\n    spec: "
               "{f0: string, f1: string, f2: string, flag0: boolean, flag1: boolean, list: "
               "'[]string'}\n");
    put_status(&b, &r->shape);
    kr_buf_fmt(&b, "  resources:\n");
    for (uint32_t i = 0; i < r->shape.n; i++) {
        kr_buf_fmt(&b, "    - id: n%u\n", i);
        put_when(&b, &r->shape, i);
        if (is_external(&r->shape.nodes[i]))
            put_external(&b, &r->shape.nodes[i]);
        else
            put_template(&b, &r->shape, i);
    }
    if (r->told)
        fprintf(stderr, "%s", b.s);
    world_apply(&r->w, b.s);
}

/* --- what a change reaches -------------------------------------------------------------------- */

static bool is_skipped(const struct run *r, uint32_t i)
{
    const struct node *n = &r->shape.nodes[i];

    if (n->flag >= 0 && !(r->flags >> n->flag & 1))
        return true;
    if (n->gate >= 0 &&
        (is_skipped(r, (uint32_t)n->gate) || r->off[r->shape.nodes[n->gate].source]))
        return true;
    for (uint32_t j = 0; j < i; j++)
        if ((n->from >> j & 1 || n->over == (int)j) && is_skipped(r, j))
            return true;
    return false;
}

/* All that stands behind the nodes of `seeds`, those included, as far as it is there. surely: not
 * what stands behind a collection, which may be empty. */
static uint64_t behind_by(const struct run *r, uint64_t seeds, bool surely)
{
    uint64_t set = 0;

    for (uint32_t i = 0; i < r->shape.n; i++) {
        const struct node *n = &r->shape.nodes[i];

        if (is_skipped(r, i) || (surely && n->kind == COLLECTION))
            continue;
        if (seeds >> i & 1 || n->from & set || (n->over >= 0 && set >> n->over & 1))
            set |= 1ull << i;
    }
    return set;
}

static uint64_t behind(const struct run *r, uint64_t seeds)
{
    return behind_by(r, seeds, false);
}

static uint64_t readers_of_source(const struct run *r, uint32_t source)
{
    uint64_t seeds = 0;

    for (uint32_t i = 0; i < r->shape.n; i++) {
        const struct node *n = &r->shape.nodes[i];

        if ((n->kind == EXTERNAL && n->source == source) ||
            (n->kind == PICKED && n->source == r->picks[source]))
            seeds |= 1ull << i;
    }
    return seeds;
}

static uint64_t readers_of_field(const struct run *r, uint32_t field)
{
    uint64_t seeds = 0;

    for (uint32_t i = 0; i < r->shape.n; i++)
        if (r->shape.nodes[i].spec >> field & 1)
            seeds |= 1ull << i;
    return seeds;
}

static uint64_t managed(const struct run *r, uint64_t set)
{
    for (uint32_t i = 0; i < r->shape.n; i++)
        if (is_external(&r->shape.nodes[i]))
            set &= ~(1ull << i);
    return set;
}

/* --- counting --------------------------------------------------------------------------------- */

struct cost {
    uint32_t applies, deletes, parents, statuses, finalizers, reads, others;
    uint64_t nodes[INSTANCES]; /* bits: nodes with an apply */
};

static const char *instance_path(struct run *r, uint32_t k)
{
    return kr_cstr(&r->w.a, kr_fmt(&r->w.a, KRO "things/things-%u", k));
}

static void forget_marks(struct run *r)
{
    kr_map_each (e, &r->marks)
        kr_free(e->val);
    kr_map_fini(&r->marks);
    r->marks = (struct kr_map){0};
}

static void mark(struct run *r, const char *what)
{
    forget_marks(r);
    kr_map_each (e, &r->w.fates) {
        struct world_fate *copy = KR_ALLOC(struct world_fate);

        *copy = *(const struct world_fate *)e->val;
        kr_map_put(&r->marks, kr_map_key(e), copy);
    }
    r->what = what;
    if (r->told)
        fprintf(stderr, "--- %s\n", what);
    for (uint32_t k = 0; r->told && k < INSTANCES; k++)
        fprintf(stderr, "things-%u: %s\n", k, world_text(&r->w, instance_path(r, k), "metadata"));
    world_mark(&r->w);
}

static void over(struct run *r, const char *fmt, ...) KR_PRINTF(2, 3);
static void over(struct run *r, const char *fmt, ...)
{
    va_list args;

    fprintf(stderr, "seed %llu, %s: ", (unsigned long long)r->number, r->what);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fprintf(stderr, "\n%s", fakeapi_log(r->w.api));
    for (uint32_t k = 0; k < INSTANCES; k++)
        fprintf(stderr, "things-%u: %s\n", k, world_text(&r->w, instance_path(r, k), "status"));
    fail();
}

/* "things-1-n12-x" -> instance 1, node 12 */
static bool name_read(kr_str name, uint32_t *instance, uint32_t *node)
{
    uint64_t x = 0;
    kr_str part;

    if (!kr_str_starts(name, KR_S("things-")))
        return false;
    name = kr_str_sub(name, 7, name.n);
    *instance = (uint32_t)(name.s[0] - '0');
    if (name.n < 3 || name.s[1] != '-' || name.s[2] != 'n')
        return false;
    name = kr_str_sub(name, 3, name.n);
    part = kr_str_cut(&name, '-');
    if (!kr_str_u64(part, &x))
        return false;
    *node = (uint32_t)x;
    return true;
}

/* One write of a child: it must have changed by it, and once. */
static void count_child(struct run *r, struct cost *c, kr_str method, kr_str path)
{
    kr_str rest = path, name = path, resource = {0};
    struct kr_arena a = {0};
    const struct world_fate *now, *was;
    struct world_fate none = {0};
    uint32_t instance, node;

    while (rest.n > 0) {
        resource = name;
        name = kr_str_cut(&rest, '/');
    }
    if (!name_read(name, &instance, &node))
        over(r, "a write of " KR_FMT, KR_ARG(path));
    now = kr_map_get(&r->w.fates,
                     kr_fmt(&a, KR_FMT " default/" KR_FMT, KR_ARG(resource), KR_ARG(name)));
    was = kr_map_get(&r->marks,
                     kr_fmt(&a, KR_FMT " default/" KR_FMT, KR_ARG(resource), KR_ARG(name)));
    was = was ? was : &none;
    now = now ? now : &none;
    if (kr_str_is(method, "DELETE")) {
        c->deletes++;
        if (now->deleted != was->deleted + 1)
            over(r, KR_FMT " was deleted %u times", KR_ARG(path), now->deleted - was->deleted);
    } else {
        c->applies++;
        c->nodes[instance] |= 1ull << node;
        if (fakeapi_log_n(r->w.api, "PATCH", kr_cstr(&a, kr_fmt(&a, KR_FMT " ", KR_ARG(path)))) !=
            1)
            over(r, KR_FMT " was applied more than once", KR_ARG(path));
        if (now->created == was->created && now->changed == was->changed)
            over(r, "the apply of " KR_FMT " changed nothing", KR_ARG(path));
    }
    kr_arena_fini(&a);
}

static void count_line(struct run *r, struct cost *c, kr_str line)
{
    kr_str method = kr_str_cut(&line, ' '), path = kr_str_cut(&line, ' '),
           manager = kr_str_cut(&line, ' ');

    if (kr_str_is(method, "GET"))
        c->reads++;
    else if (kr_str_ends(path, KR_S("/status")))
        c->statuses++;
    else if (line.n == 0 || line.s[0] != '2')
        over(r, KR_FMT " was refused: " KR_FMT, KR_ARG(path), KR_ARG(line));
    else if (kr_str_find(path, KR_S("/things/")) < 0)
        count_child(r, c, method, path);
    else if (kr_str_is(manager, "kro.run/labeller") ||
             kr_str_is(manager, "kro.run/applyset-parent"))
        c->parents++;
    else if (kr_str_is(method, "PATCH"))
        c->finalizers++;
    else
        c->others++;
}

static struct cost count(struct run *r)
{
    struct cost c = {0};
    kr_str rest = kr_str_c(fakeapi_log(r->w.api));

    while (rest.n > 0)
        count_line(r, &c, kr_str_cut(&rest, '\n'));
    if (r->told)
        fprintf(stderr, "%s", fakeapi_log(r->w.api));
    if (c.others)
        over(r, "%u writes of another sort", c.others);
    return c;
}

/* Plays the Deployment controller. Returns how many objects it has written. */
static uint32_t make_ready(struct run *r)
{
    uint32_t n = 0;

    kr_map_each (e, &r->w.fates) {
        const struct world_fate *fate = e->val;
        kr_str key = kr_map_key(e), name = key;
        struct kr_arena a = {0};
        const char *path;

        if (!kr_str_starts(key, KR_S("deployments ")) || fate->created == fate->deleted)
            continue;
        kr_str_cut(&name, '/');
        path = kr_cstr(
            &a, kr_fmt(&a, "/apis/apps/v1/namespaces/default/deployments/" KR_FMT, KR_ARG(name)));
        if (kr_at(fakeapi_get(r->w.api, &a, path), "status.availableReplicas").kind == KR_NONE) {
            world_patch(&r->w, kr_cstr(&a, kr_fmt(&a, "%s/status", path)),
                        "{status: {availableReplicas: 1}}");
            n++;
        }
        kr_arena_fini(&a);
    }
    return n;
}

/* Rests, and returns how often something became ready on the way. */
static uint32_t rest(struct run *r)
{
    uint32_t rounds = 0;

    world_rest(&r->w);
    while (make_ready(r)) {
        world_rest(&r->w);
        rounds++;
    }
    return rounds;
}

static void at_most(struct run *r, const char *name, uint32_t got, uint32_t most)
{
    if (got > most)
        over(r, "%u %s, %u at most", got, name, most);
}

static void exactly(struct run *r, const char *name, uint64_t got, uint64_t want)
{
    if (got != want)
        over(r, "%s: %llx instead of %llx", name, (unsigned long long)got,
             (unsigned long long)want);
}

/* --- the events of a life --------------------------------------------------------------------- */

static void put_source(struct run *r, uint32_t i)
{
    char pick_text[8] = "none";

    if (r->picks[i] < 2)
        snprintf(pick_text, sizeof pick_text, "p%u", r->picks[i]);
    world_apply(&r->w,
                kr_cstr(&r->w.a, kr_fmt(&r->w.a,
                                        "{apiVersion: v1, kind: ConfigMap, metadata: {name: "
                                        "source-%u, labels: {pick: %s}}, data: {v: x%u, "
                                        "say: '%s'}}",
                                        i, pick_text, r->serial++, r->off[i] ? "off" : "on")));
}

static const char *truth(const struct run *r, uint32_t flag)
{
    return r->flags >> flag & 1 ? "true" : "false";
}

/* The kinds of the nodes that are there, and no others: what is excluded by the spec alone is never
 * listed. */
static void expect_inventory(struct run *r, uint32_t k, uint64_t all)
{
    static const char *const names[KINDS_N] = {"ConfigMap", "Secret", "Deployment.apps",
                                               "ConfigMap"};
    KR_AUTO(kr_buf) b = KR_BUF(1024);
    uint32_t kinds = 0;
    kr_str got;

    for (uint32_t i = 0; i < r->shape.n; i++) {
        if (r->shape.nodes[i].gate >= 0)
            return; /* known when the input is: the first inventory may be wider */
        if (managed(r, all) >> i & 1)
            kinds |= 1u << (r->shape.nodes[i].kind == COLLECTION ? CONFIG : r->shape.nodes[i].kind);
    }
    for (const enum kind *kind = (const enum kind[]){CONFIG, DEPLOYMENT, SECRET, KINDS_N};
         *kind != KINDS_N; kind++)
        if (kinds >> *kind & 1)
            kr_buf_fmt(&b, "%s%s", b.n ? "," : "", names[*kind]);
    got = kr_text(kr_get(kr_at(world_get(&r->w, instance_path(r, k)), "metadata.annotations"),
                         KR_S(GRAPH_ANNO_KINDS)));
    if (!kr_str_eq(got, kr_buf_view(&b)))
        over(r, "the inventory is " KR_FMT " instead of %s", KR_ARG(got), b.n ? b.s : "empty");
}

/* K objects, two applies on the parent, two statuses and one for each wait that ends. */
static void create(struct run *r, uint32_t k)
{
    uint64_t all = behind(r, ~0ull);
    struct cost c;
    uint32_t waits;

    mark(r, "creation");
    world_apply(&r->w,
                kr_cstr(&r->w.a, kr_fmt(&r->w.a,
                                        "{apiVersion: kro.run/v1alpha1, kind: Thing, metadata: "
                                        "{name: things-%u}, spec: {f0: a, f1: b, f2: c, flag0: %s, "
                                        "flag1: %s, list: [x, w]}}",
                                        k, truth(r, 0), truth(r, 1))));
    waits = rest(r);
    c = count(r);
    exactly(r, "nodes created", c.nodes[k], managed(r, all) & c.nodes[k]);
    for (uint32_t i = 0; i < r->shape.n; i++) /* a collection may be empty */
        if (!is_many(&r->shape.nodes[i]) && managed(r, all) >> i & 1 && !(c.nodes[k] >> i & 1))
            over(r, "node n%u was not created", i);
    exactly(r, "deletions", c.deletes, 0);
    at_most(r, "applies on the parent", c.parents, 2);
    at_most(r, "statuses", c.statuses, 2 + 2 * waits);
    expect_inventory(r, k, all);
    if (k)
        at_most(r, "reads", c.reads, 0); /* the first one opens the watches */
    EXPECT_TEXT(world_text(&r->w, instance_path(r, k), "status.state"), "ACTIVE");
}

/* Whoever reads the source is applied once, and so is what stands behind it. */
static void edit_source(struct run *r)
{
    uint32_t i = pick(r, SOURCES);
    uint64_t set = managed(r, behind(r, readers_of_source(r, i)));
    uint64_t must = managed(r, behind_by(r, readers_of_source(r, i), true));
    struct cost c;

    mark(r, "edit of an input");
    put_source(r, i);
    rest(r);
    c = count(r);
    for (uint32_t k = 0; k < INSTANCES; k++) {
        if (c.nodes[k] & ~set)
            over(r, "other nodes than the readers: %llx instead of %llx",
                 (unsigned long long)c.nodes[k], (unsigned long long)set);
        for (uint32_t n = 0; n < r->shape.n; n++)
            if (must >> n & 1 && !(c.nodes[k] >> n & 1))
                over(r, "node n%u of things-%u reads it and was not written", n, k);
    }
    exactly(r, "deletions", c.deletes, 0);
    exactly(r, "applies on the parents", c.parents, 0);
    exactly(r, "reads", c.reads, 0);
    at_most(r, "statuses", c.statuses, INSTANCES);
}

/* It is selected by others from now on: what was made for it goes, what is made for it comes. */
static void relabel_source(struct run *r)
{
    uint32_t i = pick(r, SOURCES);
    uint64_t set = readers_of_source(r, i);
    struct cost c;

    mark(r, "another label of an input");
    r->picks[i] = (r->picks[i] + 1 + pick(r, 2)) % 3;
    set |= readers_of_source(r, i);
    put_source(r, i);
    rest(r);
    c = count(r);
    for (uint32_t k = 0; k < INSTANCES; k++)
        if (c.nodes[k] & ~managed(r, behind(r, set)))
            over(r, "other nodes than the readers: %llx", (unsigned long long)c.nodes[k]);
    at_most(r, "applies on the parents", c.parents, 4 * INSTANCES);
    exactly(r, "reads", c.reads, 0);
    at_most(r, "statuses", c.statuses, 2 * INSTANCES);
}

/* A node goes or comes, with all that hangs on it. */
static void close_gate(struct run *r)
{
    uint32_t i = pick(r, SOURCES);
    struct cost c;

    mark(r, "an input says on or off");
    r->off[i] = !r->off[i];
    put_source(r, i);
    rest(r);
    c = count(r);
    at_most(r, "applies on the parents", c.parents, 4 * INSTANCES);
    exactly(r, "reads", c.reads, 0);
    at_most(r, "statuses", c.statuses, 3 * INSTANCES);
}

static void edit_spec(struct run *r)
{
    uint32_t field = pick(r, 3), k = pick(r, INSTANCES);
    uint64_t set = managed(r, behind(r, readers_of_field(r, field)));
    uint64_t must = managed(r, behind_by(r, readers_of_field(r, field), true));
    struct cost c;

    mark(r, "edit of the spec");
    world_patch(&r->w, instance_path(r, k),
                kr_cstr(&r->w.a, kr_fmt(&r->w.a, "{spec: {f%u: x%u}}", field, r->serial++)));
    rest(r);
    c = count(r);
    exactly(r, "nodes that must be written", c.nodes[k] & must, must);
    if (c.nodes[k] & ~set || c.nodes[1 - k])
        over(r, "other nodes than the readers: %llx", (unsigned long long)c.nodes[k]);
    exactly(r, "deletions", c.deletes, 0);
    exactly(r, "applies on the parent", c.parents, 0);
    exactly(r, "reads", c.reads, 0);
    at_most(r, "statuses", c.statuses, 2);
}

static void edit_list(struct run *r)
{
    static const char *const lists[] = {"[]", "[x]", "[x, w]", "[w, x]", "[x, w, z]"};
    uint32_t k = pick(r, INSTANCES);
    struct cost c;

    mark(r, "edit of a list");
    world_patch(
        &r->w, instance_path(r, k),
        kr_cstr(&r->w.a, kr_fmt(&r->w.a, "{spec: {list: %s}}", lists[pick(r, KR_N(lists))])));
    rest(r);
    c = count(r);
    exactly(r, "nodes of another instance", c.nodes[1 - k], 0);
    at_most(r, "applies on the parent", c.parents, 4);
    exactly(r, "reads", c.reads, 0);
    at_most(r, "statuses", c.statuses, 3);
}

/* What nobody reads. */
static void no_op(struct run *r)
{
    struct cost c;

    mark(r, "events that nobody reads");
    for (uint32_t i = 0; i < SOURCES; i++)
        world_patch(&r->w, kr_cstr(&r->w.a, kr_fmt(&r->w.a, CORE "configmaps/source-%u", i)),
                    kr_cstr(&r->w.a,
                            kr_fmt(&r->w.a, "{metadata: {annotations: {x: 'y%u'}}, data: {z: z%u}}",
                                   r->serial, r->serial)));
    kr_map_each (e, &r->w.fates) {
        const struct world_fate *fate = e->val;
        kr_str name = kr_map_key(e);
        bool read_by_version = kr_str_starts(name, KR_S("secrets "));

        if (fate->created == fate->deleted || read_by_version || !fate->part_of.n)
            continue;
        name = kr_str_sub(name, (size_t)kr_str_chr(name, '/') + 1, name.n);
        (void)fakeapi_patch(
            r->w.api, "rival",
            kr_cstr(&r->w.a, kr_fmt(&r->w.a,
                                    kr_str_starts(kr_map_key(e), KR_S("deployments "))
                                        ? "/apis/apps/v1/namespaces/default/deployments/" KR_FMT
                                        : CORE "configmaps/" KR_FMT,
                                    KR_ARG(name))),
            kr_cstr(&r->w.a, kr_fmt(&r->w.a, "{metadata: {annotations: {x: 'y%u'}}}", r->serial)));
    }
    for (uint32_t k = 0; k < INSTANCES; k++)
        world_patch(
            &r->w, instance_path(r, k),
            kr_cstr(&r->w.a, kr_fmt(&r->w.a, "{metadata: {annotations: {x: 'y%u'}}}", r->serial)));
    r->serial++;
    world_rest(&r->w);
    c = count(r);
    exactly(r, "requests", c.applies + c.deletes + c.parents + c.statuses + c.reads, 0);
}

/* One of our fields is written by somebody else, or the object is deleted. */
static void drift(struct run *r)
{
    uint32_t i = pick(r, r->shape.n), k = pick(r, INSTANCES);
    const struct node *n = &r->shape.nodes[i];
    char name[32], path[128];
    struct cost c;

    snprintf(name, sizeof name, "default/things-%u-n%u", k, i);
    if (n->kind != CONFIG || world_fate(&r->w, "configmaps", name).part_of.n == 0)
        return;
    snprintf(path, sizeof path, CORE "configmaps/things-%u-n%u", k, i);
    mark(r, "drift");
    if (chance(r, 70))
        fakeapi_patch(r->w.api, "rival", path, "{data: {v: hacked}}");
    else
        world_delete(&r->w, path);
    rest(r);
    c = count(r);
    if (!(c.nodes[k] >> i & 1))
        over(r, "the drift was not repaired");
    exactly(r, "deletions", c.deletes, 0);
    exactly(r, "applies on the parents", c.parents, 0);
    exactly(r, "reads", c.reads, 0);
    at_most(r, "statuses", c.statuses, 3);
}

/* Lists and no more: not one request names an object of ours. */
static void restart(struct run *r)
{
    struct cost c;

    mark(r, "restart");
    if (chance(r, 50))
        world_stop(&r->w);
    else
        world_crash(&r->w, true);
    world_start(&r->w);
    world_rest(&r->w);
    c = count(r);
    exactly(r, "writes", c.applies + c.deletes + c.parents + c.statuses + c.finalizers, 0);
    exactly(r, "requests for one object", fakeapi_log_n(r->w.api, NULL, "/things-"), 0);
}

/* K, the finalizer, one status. */
static void delete_instance(struct run *r, uint32_t k)
{
    uint32_t there = 0;
    struct cost c;

    kr_map_each (e, &r->w.fates) {
        const struct world_fate *fate = e->val;
        kr_str name = kr_map_key(e);
        uint32_t instance, node;

        name = kr_str_sub(name, (size_t)kr_str_chr(name, '/') + 1, name.n);
        there +=
            fate->created > fate->deleted && name_read(name, &instance, &node) && instance == k;
    }
    mark(r, "deletion");
    world_delete(&r->w, instance_path(r, k));
    world_rest(&r->w);
    c = count(r);
    exactly(r, "deletions", c.deletes, there);
    exactly(r, "applies", c.applies + c.parents, 0);
    exactly(r, "finalizers", c.finalizers, 1);
    at_most(r, "statuses", c.statuses, 1);
    exactly(r, "reads", c.reads, 0);
    assert_int_equal(world_get(&r->w, instance_path(r, k)).kind, KR_NONE);
}

/* --- a life ----------------------------------------------------------------------------------- */

static void some_event(struct run *r)
{
    static void (*const events[])(struct run * r) = {
        edit_source, edit_source, edit_source, relabel_source, close_gate, edit_spec,
        edit_spec,   edit_list,   no_op,       drift,          drift,      restart};

    events[pick(r, KR_N(events))](r);
    world_advance(&r->w, 2000);
}

static void life(uint64_t number, bool told)
{
    struct run r = {
        .number = number, .seed = number * 7919 + 17, .told = told, .what = "definition"};

    world_open(&r.w, &(struct world_opts){.api = {.latency_ms = pick(&r, 3) * 7,
                                                  .no_streaming_list = pick(&r, 4) == 0}});
    make_shape(&r);
    r.flags = pick(&r, 4);
    for (uint32_t i = 0; i < SOURCES; i++) {
        r.picks[i] = pick(&r, 3);
        r.off[i] = chance(&r, 20);
        put_source(&r, i);
    }
    world_start(&r.w);
    define(&r);
    world_rest(&r.w);
    if (strcmp(world_text(&r.w, RGD, "status.state"), "Active") != 0)
        over(&r, "the definition: %s", world_text(&r.w, RGD, "status.conditions"));
    for (uint32_t k = 0; k < INSTANCES; k++)
        create(&r, k);
    for (uint32_t i = 0; i < EVENTS; i++)
        some_event(&r);
    for (uint32_t k = 0; k < INSTANCES; k++)
        delete_instance(&r, k);
    forget_marks(&r);
    world_close(&r.w);
}

static uint64_t number_of(const char *variable, uint64_t otherwise)
{
    uint64_t n;

    return kr_str_u64(kr_str_c(getenv(variable)), &n) ? n : otherwise;
}

TEST(budget, of_generated_definitions)
{
    uint64_t only = number_of("KROC_SEED", 0),
             n = number_of("KROC_SEEDS", getenv("KROC_FULL") ? SEEDS_FULL : SEEDS);

    for (uint64_t number = only ? only : 1; number <= (only ? only : n); number++) {
        printf("seed %llu\n", (unsigned long long)number);
        fflush(stdout);
        life(number, only != 0);
    }
}

int main(void)
{
    return RUN(T(budget, of_generated_definitions));
}
