/* SPDX-License-Identifier: Apache-2.0 */
/* build_rev.c - what was compiled becomes the revision: nodes by rank, what is read of them and by
 * which task, rules of their leaves, the CRD, the status members. What it keeps lives in its own
 * arena.
 */
#include "graph/build.h"

#include "cel/base/banned.h"

/* --- the revision --------------------------------------------------------------------------- */

static kr_str kinds_text(struct build *b)
{
    kr_str *texts = kr_new_n(b->a, kr_str, b->n);
    KR_AUTO(kr_buf) out = KR_BUF(64 * 1024 * 1024);
    uint32_t n = 0;

    for (uint32_t i = 0; i < b->n; i++) {
        const struct build_unit *u = &b->units[i];
        kr_str text = u->gvk.group.n ? kr_fmt(b->a, KR_FMT "." KR_FMT, KR_ARG(u->gvk.kind),
                                              KR_ARG(u->gvk.group))
                                     : u->gvk.kind;
        uint32_t k = 0;

        if (u->r->external.kind != KR_NONE)
            continue;
        while (k < n && kr_str_cmp(texts[k], text) < 0)
            k++;
        if (k < n && kr_str_eq(texts[k], text))
            continue;
        memmove(&texts[k + 1], &texts[k], sizeof(*texts) * (n - k));
        texts[k] = text;
        n++;
    }
    for (uint32_t k = 0; k < n; k++)
        kr_buf_fmt(&out, "%s" KR_FMT, k ? "," : "", KR_ARG(texts[k]));
    return kr_strdup(b->ra, kr_buf_view(&out));
}

/* What tells how far a workload is with what it was given, if that can change behind the back of
 * the instance's author: only then is there something to roll. */
static void keep_progress(struct build *b, const struct build_unit *u)
{
#define LIT(s)                                                                                     \
    {                                                                                              \
        "" s, sizeof(s) - 1                                                                        \
    }
    static const kr_str paths[][2] = {
        {LIT("status"), LIT("observedGeneration")},
        {LIT("status"), LIT("replicas")},
        {LIT("status"), LIT("updatedReplicas")},
        {LIT("status"), LIT("availableReplicas")},
        {LIT("status"), LIT("readyReplicas")},
        {LIT("status"), LIT("currentRevision")},
        {LIT("status"), LIT("updateRevision")},
        {LIT("status"), LIT("desiredNumberScheduled")},
        {LIT("status"), LIT("updatedNumberScheduled")},
        {LIT("status"), LIT("numberAvailable")},
        {LIT("spec"), LIT("replicas")},
        {LIT("spec"), LIT("updateStrategy")},
    };
#undef LIT

    if (!u->kind || !graph__is_workload(u->gvk) || u->r->external.kind != KR_NONE ||
        b->dag.deps_n[u->r->index] == 0)
        return;
    for (size_t i = 0; i < KR_N(paths); i++) {
        if (cel_schema_at(u->kind->schema, paths[i], 2))
            graph__reads_keep(&b->reads[u->rank], paths[i], 2);
    }
}

/* The reads of one object go into the revision: their names are in its programs already. */
static const struct graph_read *keep_reads(struct build *b, const struct graph_readset *s,
                                           const struct kr_bits **readers)
{
    struct graph_read *reads = kr_new_n(b->ra, struct graph_read, s->n);
    struct kr_bits *tasks = kr_new_n(b->ra, struct kr_bits, s->n);

    for (uint32_t i = 0; i < s->n; i++) {
        reads[i] = s->reads[i];
        tasks[i] = *build__bits(b, &s->tasks[i]);
    }
    *readers = tasks;
    return reads;
}

static void finish_spec(struct build *b, struct build_unit *u, struct graph_node_spec *spec)
{
    uint32_t *deps = kr_new_n(b->ra, uint32_t, b->dag.deps_n[u->r->index]);

    keep_progress(b, u);
    spec->template = u->object;
    spec->deps = deps;
    spec->deps_n = b->dag.deps_n[u->r->index];
    for (uint32_t i = 0; i < spec->deps_n; i++)
        deps[i] = b->units[b->dag.deps[u->r->index][i]].rank;
    kr_bits_set(&b->reads[u->rank].any, GRAPH_TASK_READY(u->rank));
    spec->readers_exist = *build__bits(b, &b->reads[u->rank].any);
    if (!u->kind)
        return; /* deferred */
    spec->status_dropped = u->kind->has_status;
    spec->builtin = u->kind->builtin;
    if (u->r->external.kind == KR_NONE)
        graph__rules_of(b->ra, u->object, u->kind->schema, spec);
}

static void finish_nodes(struct build *b, struct graph_node_spec *specs)
{
    struct graph_node *nodes = kr_new_n(b->ra, struct graph_node, b->n);
    uint32_t layers;
    const uint32_t *orders = graph__dag_layers(&b->dag, &layers);

    for (uint32_t r = 0; r < b->n; r++)
        kr_bits_init(&specs[r].dependents, b->ra, b->n);
    for (uint32_t r = 0; r < b->n; r++) {
        struct build_unit *u = &b->units[b->order[r]];

        finish_spec(b, u, &specs[r]);
        for (uint32_t i = 0; i < specs[r].deps_n; i++)
            kr_bits_set(&specs[specs[r].deps[i]].dependents, r);
        nodes[r] = (struct graph_node){
            .id = kr_strdup(b->ra, u->r->id),
            .label = graph_label_value(b->ra, kr_strdup(b->ra, u->r->id)),
            .kind = u->r->kind,
            .gvk = kr_gvk_copy(b->ra, u->gvk),
            .gvr = kr_gvr_copy(b->ra, (kr_gvr){u->gvk.group, u->gvk.version,
                                               u->kind ? u->kind->resource : KR_S("")}),
            .namespaced = !u->kind || u->kind->namespaced,
            .order = orders[u->r->index],
            .index = u->r->index,
            .reads_n = b->reads[r].n,
            .reads = keep_reads(b, &b->reads[r], &specs[r].readers),
            .spec = &specs[r],
        };
    }
    b->rev->nodes = nodes;
    b->rev->nodes_n = b->n;
}

/* What the instance machine reads of the instance besides expressions. */
static void finish_parent(struct build *b)
{
    struct graph_readset *s = &b->reads[b->n];
    uint32_t needs_n;
    const struct graph_read *needs = graph_parent_needs(&needs_n);

    b->impl->parent_schema_reads_n = s->n;
    for (uint32_t i = 0; i < needs_n; i++)
        graph__reads_add(s, NULL, needs[i].names, needs[i].n, GRAPH_TASK_STATUS(b->n));
    b->rev->parent_reads = keep_reads(b, s, &b->impl->parent_readers);
    b->rev->parent_reads_n = s->n;
}

static void finish_status(struct build *b)
{
    struct kr_listb order = KR_LISTB(b->ra), resources = KR_LISTB(b->ra);

    kr_bits_init(&b->impl->status_nodes, b->ra, b->n);
    for (uint32_t i = 0; i < b->status.n; i++) {
        kr_bits_each (k, &b->status_exprs[i].nodes) {
            if (k < b->n)
                kr_bits_set(&b->impl->status_nodes, b->units[k].rank);
        }
    }
    for (uint32_t r = 0; r < b->n; r++) {
        const struct graph_node *node = &b->rev->nodes[r];
        struct kr_listb deps = KR_LISTB(b->ra);
        struct kr_mapb entry = KR_MAPB(b->ra);

        kr_listb_add(&order, kr_string(node->id));
        if (node->spec->deps_n == 0)
            continue;
        for (uint32_t i = 0; i < node->spec->deps_n; i++) {
            kr_val id = kr_string(b->rev->nodes[node->spec->deps[i]].id);

            kr_listb_add(&deps, kr_with_key(b->ra, kr_map_sorted(NULL, 0), KR_S("id"), id));
        }
        kr_mapb_put(&entry, KR_S("id"), kr_string(node->id));
        kr_mapb_put(&entry, KR_S("dependencies"), kr_listb_done(&deps));
        kr_listb_add(&resources, kr_mapb_done(&entry));
    }
    b->rev->order_status = kr_listb_done(&order);
    b->rev->resources_status = kr_listb_done(&resources);
}

int build__finish(struct build *b, struct graph_node_spec *specs, struct kr_err *err)
{
    struct graph_rev *rev = b->rev;
    kr_str hash, plural;

    KR_TRY(graph_spec_hash(b->src->spec, b->a, &hash, err));
    finish_nodes(b, specs);
    finish_parent(b);
    finish_status(b);
    rev->crd = kr_copy(b->ra, graph__crd(b->a, &b->rgd, b->spec_schema, b->status_schema));
    rev->hash = kr_strdup(b->ra, hash);
    rev->rgd_name = kr_strdup(b->ra, b->src->name);
    rev->rgd_uid = kr_strdup(b->ra, b->src->uid);
    plural = kr_at_str(rev->crd, "spec.names.plural");
    rev->instance_gvk = kr_gvk_copy(b->ra, (kr_gvk){b->rgd.group, b->rgd.version, b->rgd.kind});
    rev->instance_gvr = kr_gvr_copy(b->ra, (kr_gvr){b->rgd.group, b->rgd.version, plural});
    rev->namespaced = !b->rgd.cluster;
    b->impl->slots_n = b->n + 1;
    b->impl->slots_all_n = b->slots_all_n;
    b->impl->ready_slots_n = 1;
    b->impl->kinds_all = kinds_text(b);
    return 0;
}
