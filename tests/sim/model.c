/* SPDX-License-Identifier: Apache-2.0 */
/* model.c - a definition as text, and what its instances should lead to.
 *
 * Both are written from the same table of nodes and from nothing else: the second is the judge of what
 * the controller makes of the first.
 *
 * A node's value is its name and what it reads, joined by dots: "n3.x.n1.v2". */
#include "tests/sim/sim.h"

#define VALUE_OF_MANY "map(x, x.metadata.annotations.v).join(\",\")"
#define DATA_OF_MANY "map(x, x.data.v).join(\",\")"

/* --- the definition --------------------------------------------------------------------------- */

static void put_read(struct kr_buf *b, const struct sim_def *d, uint32_t j)
{
    switch (d->nodes[j].kind) {
    case SIM_MANY:
        kr_buf_fmt(b, "n%u." VALUE_OF_MANY, j);
        return;
    case SIM_PICKED:
        kr_buf_fmt(b, "n%u." DATA_OF_MANY, j);
        return;
    case SIM_EXTERNAL:
        kr_buf_fmt(b, "n%u.data.v", j);
        return;
    default:
        kr_buf_fmt(b, "n%u.metadata.annotations.v", j);
    }
}

static void put_value(struct kr_buf *b, const struct sim_def *d, uint32_t i)
{
    const struct sim_node *n = &d->nodes[i];

    kr_buf_fmt(b, "${\"n%u\"", i);
    if (n->spec & 1)
        kr_buf_fmt(b, " + \".\" + schema.spec.a");
    if (n->spec & 2)
        kr_buf_fmt(b, " + \".\" + schema.spec.b");
    for (uint32_t j = 0; j < i; j++) {
        if (!(n->from >> j & 1))
            continue;
        kr_buf_fmt(b, " + \".\" + ");
        put_read(b, d, j);
    }
    if (n->kind == SIM_MANY)
        kr_buf_fmt(b, n->over >= 0 ? " + \".\" + e.data.v" : " + \".\" + e");
    kr_buf_fmt(b, "}");
}

static void put_when(struct kr_buf *b, const struct sim_def *d, uint32_t i)
{
    const struct sim_node *n = &d->nodes[i];

    if (n->flag || n->gate >= 0)
        kr_buf_fmt(b, "    includeWhen:\n");
    if (n->flag)
        kr_buf_fmt(b, "    - ${schema.spec.flag}\n");
    if (n->gate >= 0)
        kr_buf_fmt(b, "    - ${n%d.data.v != \"off\"}\n", n->gate);
    if (!n->ready)
        return;
    if (n->kind == SIM_WORKLOAD)
        kr_buf_fmt(b, "    readyWhen: ['${n%u.status.?availableReplicas.orValue(0) > 0}']\n", i);
    else if (n->kind == SIM_MANY)
        kr_buf_fmt(b, "    readyWhen: ['${each.metadata.name != \"\"}']\n");
    else
        kr_buf_fmt(b, "    readyWhen: ['${n%u.metadata.name != \"\"}']\n", i);
}

static void put_external(struct kr_buf *b, const struct sim_node *n)
{
    kr_buf_fmt(b, "    externalRef: {apiVersion: v1, kind: ConfigMap, metadata: {");
    if (n->kind == SIM_EXTERNAL)
        kr_buf_fmt(b, "name: source-%u, namespace: " SIM_NS "}}\n", n->source);
    else
        kr_buf_fmt(b, "namespace: " SIM_NS ", selector: {matchLabels: {pick: p%u}}}}\n", n->source);
}

static void put_template(struct kr_buf *b, const struct sim_def *d, uint32_t i)
{
    const struct sim_node *n = &d->nodes[i];
    KR_AUTO(kr_buf) value = KR_BUF(4096);

    put_value(&value, d, i);
    if (n->kind == SIM_MANY && n->over >= 0)
        kr_buf_fmt(b, "    forEach: [{e: '${n%d}'}]\n", n->over);
    else if (n->kind == SIM_MANY)
        kr_buf_fmt(b, "    forEach: [{e: '${schema.spec.names}'}]\n");
    kr_buf_fmt(b,
               "    template:\n      apiVersion: %s\n      kind: %s\n      metadata:\n"
               "        name: '${schema.metadata.name}-n%u%s'\n"
               "        annotations: {v: '" KR_FMT "'}\n",
               n->kind == SIM_WORKLOAD ? "apps/v1" : "v1",
               n->kind == SIM_WORKLOAD ? "Deployment"
               : n->kind == SIM_SECRET ? "Secret"
                                       : "ConfigMap",
               i,
               n->kind != SIM_MANY ? ""
               : n->over >= 0      ? "-${e.metadata.name}"
                                   : "-${e}",
               KR_ARG(kr_buf_view(&value)));
    if (n->elsewhere)
        kr_buf_fmt(b, "        namespace: " SIM_NS_OTHER "\n");
    if (n->kind == SIM_WORKLOAD)
        kr_buf_fmt(b, "      spec: {selector: {matchLabels: {app: x}}, template: {metadata: "
                      "{labels: {app: x}}, spec: {containers: [{name: c, image: i}]}}}\n");
    else
        kr_buf_fmt(b, "      %s: {v: '" KR_FMT "'}\n",
                   n->kind == SIM_SECRET ? "stringData" : "data", KR_ARG(kr_buf_view(&value)));
}

static void put_status(struct kr_buf *b, const struct sim_def *d)
{
    kr_buf_fmt(b, "    status:\n      first: ${schema.spec.a}\n");
    for (uint32_t i = 0; i < d->n; i++) {
        if (!d->nodes[i].told)
            continue;
        kr_buf_fmt(b, "      s%u: '${", i);
        put_read(b, d, i);
        kr_buf_fmt(b, "}'\n");
    }
    if (d->conditions)
        kr_buf_fmt(b, "      conditions:\n"
                      "      - '${runtime.newCondition({type: \"Named\", status: schema.spec.a != "
                      "\"p\" ? \"True\" : \"False\", reason: \"Spec\"})}'\n"
                      "      - '${runtime.newCondition({type: \"Done\", status: "
                      "runtime.condition(schema, \"Ready\").status, reason: \"Ready\"})}'\n");
}

void sim_def_yaml(struct kr_buf *b, const struct sim_plan *p, uint32_t def, uint32_t variant)
{
    const struct sim_def *d = &p->defs[def];

    kr_buf_fmt(b,
               "apiVersion: kro.run/v1alpha1\nkind: ResourceGraphDefinition\n"
               "metadata: {name: thing%us}\nspec:\n"
               "  schema:\n    apiVersion: v1alpha1\n    kind: Thing%u\n"
               "    spec: {a: string, b: 'string | default=b', flag: boolean, names: '[]string'}\n",
               def, def);
    put_status(b, d);
    kr_buf_fmt(b, "  resources:\n");
    for (uint32_t i = 0; i < d->n; i++) {
        if (!(d->nodes[i].variants >> variant & 1))
            continue;
        kr_buf_fmt(b, "  - id: n%u\n", i);
        put_when(b, d, i);
        if (d->nodes[i].kind == SIM_EXTERNAL || d->nodes[i].kind == SIM_PICKED)
            put_external(b, &d->nodes[i]);
        else
            put_template(b, d, i);
    }
}

/* --- what it leads to ------------------------------------------------------------------------- */

struct model {
    struct kr_arena *a;
    const struct sim_def *d;
    kr_str instance;
    kr_val spec;
    const kr_val *sources;
    uint32_t variant;
    struct sim_wants *out;
    bool certain[SIM_NODES_MAX];
    bool unsure[SIM_NODES_MAX];
};

static kr_str source_v(const struct model *m, uint32_t j)
{
    return kr_text(kr_at(m->sources[j], "data.v"));
}

static bool is_picked(const struct model *m, uint32_t j, uint32_t pick)
{
    kr_str label = kr_text(kr_at(m->sources[j], "metadata.labels.pick"));

    return label.n == 2 && label.s[1] == (char)('0' + pick);
}

static bool is_skipped(const struct model *m, uint32_t i)
{
    const struct sim_node *n = &m->d->nodes[i];

    if (!(n->variants >> m->variant & 1))
        return true;
    if (n->flag && !kr_is_true(kr_at(m->spec, "flag")))
        return true;
    if (n->gate >= 0 && kr_str_is(source_v(m, m->d->nodes[n->gate].source), "off"))
        return true;
    for (uint32_t j = 0; j < i; j++)
        if (n->from >> j & 1 && m->out->skipped[j])
            return true;
    return false;
}

/* The value but for its item. */
static kr_str value_of(struct model *m, uint32_t i)
{
    const struct sim_node *n = &m->d->nodes[i];
    kr_str v = kr_fmt(m->a, "n%u", i);

    if (n->spec & 1)
        v = kr_dotted(m->a, v, kr_at_str(m->spec, "a"));
    if (n->spec & 2)
        v = kr_dotted(m->a, v, kr_at_str(m->spec, "b"));
    for (uint32_t j = 0; j < i; j++) {
        if (!(n->from >> j & 1))
            continue;
        v = kr_dotted(m->a, v, m->out->v[j]);
        m->certain[i] &= m->certain[j];
        m->unsure[i] |= m->unsure[j];
    }
    return v;
}

static void want(struct model *m, uint32_t i, kr_str item, kr_str v)
{
    static const char *const resources[] = {[SIM_CONFIG] = "configmaps",
                                            [SIM_SECRET] = "secrets",
                                            [SIM_WORKLOAD] = "deployments",
                                            [SIM_MANY] = "configmaps"};
    const struct sim_node *n = &m->d->nodes[i];
    struct sim_want *w = &m->out->list[m->out->n++];

    KR_ASSERT(m->out->n < SIM_WANT_MAX);
    *w = (struct sim_want){
        .resource = resources[n->kind],
        .ns = n->elsewhere ? SIM_NS_OTHER : SIM_NS,
        .name = item.n ? kr_fmt(m->a, KR_FMT "-n%u-" KR_FMT, KR_ARG(m->instance), i, KR_ARG(item))
                       : kr_fmt(m->a, KR_FMT "-n%u", KR_ARG(m->instance), i),
        .v = v,
        .certain = m->certain[i],
        .unsure = m->unsure[i],
        .ready = n->ready && n->kind == SIM_WORKLOAD,
        .node = (uint8_t)i};
}

static kr_str comma(struct kr_arena *a, kr_str list, kr_str v, bool first)
{
    return first ? v : kr_fmt(a, KR_FMT "," KR_FMT, KR_ARG(list), KR_ARG(v));
}

static void many(struct model *m, uint32_t i, kr_str value)
{
    const struct sim_node *n = &m->d->nodes[i];
    kr_str all = KR_S("");
    bool first = true;

    if (n->over < 0) {
        KR_LIST_EACH (item, kr_at(m->spec, "names")) {
            kr_str v = kr_dotted(m->a, value, kr_text(*item));

            want(m, i, kr_text(*item), v);
            all = comma(m->a, all, v, first);
            first = false;
        }
    }
    for (uint32_t j = 0; n->over >= 0 && j < SIM_SOURCES; j++) {
        kr_str v;

        if (!is_picked(m, j, m->d->nodes[n->over].source))
            continue;
        v = kr_dotted(m->a, value, source_v(m, j));
        want(m, i, kr_fmt(m->a, "source-%u", j), v);
        all = comma(m->a, all, v, first);
        first = false;
    }
    m->out->v[i] = all;
}

static kr_str picked(struct model *m, uint32_t pick)
{
    kr_str all = KR_S("");
    bool first = true;

    for (uint32_t j = 0; j < SIM_SOURCES; j++) {
        if (!is_picked(m, j, pick))
            continue;
        all = comma(m->a, all, source_v(m, j), first);
        first = false;
    }
    return all;
}

static void node(struct model *m, uint32_t i)
{
    const struct sim_node *n = &m->d->nodes[i];
    kr_str value;

    m->certain[i] = n->over < 0;
    m->unsure[i] = n->gate >= 0 || n->over >= 0;
    m->out->v[i] = KR_S("");
    m->out->skipped[i] = is_skipped(m, i);
    if (m->out->skipped[i])
        return;
    if (n->kind == SIM_EXTERNAL || n->kind == SIM_PICKED) {
        m->certain[i] = false;
        m->out->v[i] = n->kind == SIM_PICKED ? picked(m, n->source) : source_v(m, n->source);
        return;
    }
    value = value_of(m, i);
    if (n->kind == SIM_MANY) {
        many(m, i, value);
        return;
    }
    want(m, i, KR_S(""), value);
    m->out->v[i] = value;
}

void sim_model(struct kr_arena *a, const struct sim_plan *p, uint32_t def, uint32_t variant,
               kr_str instance, kr_val spec, const kr_val *sources, struct sim_wants *out)
{
    struct model m = {.a = a,
                      .d = &p->defs[def],
                      .instance = instance,
                      .spec = spec,
                      .sources = sources,
                      .variant = variant,
                      .out = out};

    *out = (struct sim_wants){.n = 0};
    for (uint32_t i = 0; i < m.d->n; i++)
        node(&m, i);
}
