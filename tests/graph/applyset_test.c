/* SPDX-License-Identifier: Apache-2.0 */
/* applyset_test.c - ids, hashes, labels and annotations, against vectors of kro's own code where
 * they are at hand and against fixed values where not. */
#include "graph/inst.h"
#include "tests/lib/scenario.h"

#include <stdio.h>
#include <string.h>

TEST(applyset, id_depends_on_name_namespace_kind_and_group)
{
    KR_AUTO(kr_arena) a = {0};

    assert_string_equal(kr_cstr(&a, graph_applyset_id(&a, KR_S("a"), KR_S("default"),
                                                      KR_S("WebApp"), KR_S("kro.run"))),
                        "applyset-8BNEBHIjIZUBmsFV2rIL2EqdGIWFIU3dl440BHIh0Ns-v1");
    assert_string_equal(
        kr_cstr(&a, graph_applyset_id(&a, KR_S("a"), KR_S(""), KR_S("WebApp"), KR_S("kro.run"))),
        "applyset-oIqElDZwME99oQVT_DLjP_I4HPBuASoWic1sqAed5H0-v1");
}

static void check_id(struct kr_arena *a, kr_val line)
{
    kr_str group, version;

    assert_true(kr_api_version(kr_at_str(line, "apiVersion"), &group, &version));
    assert_true(
        kr_str_eq(graph_applyset_id(a, kr_at_str(line, "name"), kr_at_str(line, "namespace"),
                                    kr_at_str(line, "kind"), group),
                  kr_at_str(line, "id")));
}

static void check_hash(struct kr_arena *a, kr_val line)
{
    struct kr_err err = KR_ERR_NONE;
    kr_str hash = KR_S("");
    int rc = graph__inventory_hash(a, kr_at_str(line, "id"), kr_at_str(line, "group_kinds"),
                                   kr_at_str(line, "namespaces"), &hash, &err);

    if (kr_at(line, "error").kind == KR_STRING) {
        assert_true(rc < 0);
        EXPECT_TEXT(err.text, kr_cstr(a, kr_at_str(line, "error")));
    } else {
        EXPECT_OK(rc, &err);
        EXPECT_TEXT(kr_cstr(a, hash), kr_cstr(a, kr_at_str(line, "hash")));
    }
}

/* The labels that differ from ours by nature are left out by the table. */
static void check_labels(struct kr_arena *a, kr_val line)
{
    static const struct graph_node_spec spec;
    kr_val object = kr_at(line, "object");
    struct graph_node node = {.id = kr_at_str(line, "node_id"),
                              .label = kr_at_str(line, "node_id"),
                              .order = 1,
                              .spec = &spec};
    struct graph_rev rev = {.nodes_n = 1, .nodes = &node};
    struct kr_view parent = {.uid = kr_at_str(object, "metadata.uid"), .root = object};
    struct graph_env env = {.version = KR_S("v0.9.3")};
    struct graph_inst inst = {.rev = &rev, .parent = kr_rec_freeze(&parent), .part_of = KR_S("x")};
    struct inst_step s = {.inst = &inst, .env = &env, .a = a};
    kr_val labels;

    assert_true(
        kr_api_version(kr_at_str(object, "apiVersion"), &inst.gvk.group, &inst.gvk.version));
    inst.gvk.kind = kr_at_str(object, "kind");
    inst.ref.name = kr_at_str(object, "metadata.name");
    inst.ref.namespace = kr_at_str(object, "metadata.namespace");
    labels = kr_at(inst__decorate(&s, 0, 0, kr_map_sorted(NULL, 0)), "metadata.labels");
    labels = kr_with_key(a, labels, KR_S(GRAPH_LABEL_OWNED), KR_V_NONE);
    labels = kr_with_key(a, labels, KR_S(GRAPH_LABEL_VERSION), KR_V_NONE);
    labels = kr_with_key(a, labels, KR_S(GRAPH_LABEL_PART_OF), KR_V_NONE);
    EXPECT_TEXT(kr_cstr(a, kr_json_str(a, labels)),
                kr_cstr(a, kr_json_str(a, kr_at(line, "labels"))));
    kr_rec_drop(inst.parent);
}

TEST(applyset, agrees_with_the_vectors)
{
    KR_AUTO(kr_arena) a = {0};
    uint32_t ids = 0, hashes = 0, labels = 0;
    kr_str text;

    if (!test_file(&a, KROC_SHARED "/cases/vectors/applyset.jsonl", &text)) {
        skip();
        return;
    }
    for (kr_str rest = text; rest.s;) {
        kr_str row = kr_str_cut(&rest, '\n');
        kr_val line;

        if (row.n == 0)
            continue;
        line = test_json(&a, kr_cstr(&a, row));
        if (kr_is_str(kr_at(line, "function"), KR_S("id")) && ++ids)
            check_id(&a, line);
        else if (kr_is_str(kr_at(line, "function"), KR_S("inventory_hash")) && ++hashes)
            check_hash(&a, line);
        else if (kr_is_str(kr_at(line, "function"), KR_S("child_labels")) &&
                 kr_at(line, "collection_size").kind == KR_NONE &&
                 (kr_at(line, "object.metadata.namespace").kind == KR_STRING ||
                  !kr_is_true(kr_at(line, "namespaced"))) &&
                 ++labels)
            check_labels(&a, line);
    }
    fprintf(stderr, "vectors/applyset.jsonl: %u passed, 0 failed, the rest not for us\n",
            ids + hashes + labels);
    assert_true(ids > 0 && hashes > 0 && labels > 0);
}

static const char rgd[] = "metadata: {name: labels}\n"
                          "spec:\n"
                          "  schema: {apiVersion: v1alpha1, kind: Labels, spec: {a: string}}\n"
                          "  resources:\n"
                          "    - id: cm\n"
                          "      template:\n"
                          "        apiVersion: v1\n"
                          "        kind: ConfigMap\n"
                          "        metadata:\n"
                          "          name: cm\n"
                          "          labels: {app.kubernetes.io/managed-by: me, mine: \"1\"}\n"
                          "          annotations: {note: x}\n"
                          "        data: {a: \"${schema.spec.a}\"}\n";

static const char instance[] =
    "{\"apiVersion\":\"kro.run/"
    "v1alpha1\",\"kind\":\"Labels\",\"metadata\":{\"name\":\"demo\",\"namespace\":\"default\"},"
    "\"spec\":{\"a\":\"1\"}}";

static struct model *new_model(struct cel_kinds **kinds)
{
    KR_AUTO(kr_arena) a = {0};
    struct graph_rev *rev;
    struct model *m;

    *kinds = model_kinds(KROC_SOURCE "/tests/scenario/kinds.yaml");
    rev = scenario_revision(*kinds, rgd);
    m = model_new(*kinds, rev, test_json(&a, instance));
    graph_rev_drop(rev);
    return m;
}

TEST(applyset, a_child_carries_its_own_labels_below_ours)
{
    struct cel_kinds *kinds;
    struct model *m = new_model(&kinds);
    kr_val meta;

    model_rest(m);
    meta = kr_at(model_get(m, "ConfigMap", "cm"), "metadata");
    EXPECT_TEXT(
        kr_cstr(&m->a, kr_json_str(&m->a, kr_at(meta, "labels"))),
        "{\"app.kubernetes.io/managed-by\":\"kro\","
        "\"applyset.kubernetes.io/"
        "part-of\":\"applyset-aKTIhORxbQXuKxlwIDPzcIJD2szfJ7WGw6sc_lcsTsU-v1\","
        "\"kro.run/instance-group\":\"kro.run\",\"kro.run/instance-id\":\"uid-1\","
        "\"kro.run/instance-kind\":\"Labels\",\"kro.run/instance-name\":\"demo\","
        "\"kro.run/instance-namespace\":\"default\",\"kro.run/instance-version\":\"v1alpha1\","
        "\"kro.run/kro-version\":\"v0.9.3\",\"kro.run/node-id\":\"cm\",\"kro.run/"
        "owned\":\"true\",\"mine\":\"1\"}");
    EXPECT_TEXT(kr_cstr(&m->a, kr_json_str(&m->a, kr_at(meta, "annotations"))),
                "{\"internal.kro.run/apply-order\":\"1\",\"note\":\"x\"}");
    model_free(m);
    cel_kinds_free(kinds);
}

TEST(applyset, the_parent_carries_finalizer_labels_and_inventory)
{
    struct cel_kinds *kinds;
    struct model *m = new_model(&kinds);
    kr_val meta;

    model_rest(m);
    meta = kr_at(model_instance(m), "metadata");
    EXPECT_TEXT(kr_cstr(&m->a, kr_json_str(&m->a, kr_at(meta, "labels"))),
                "{\"applyset.kubernetes.io/"
                "id\":\"applyset-aKTIhORxbQXuKxlwIDPzcIJD2szfJ7WGw6sc_lcsTsU-v1\","
                "\"kro.run/kro-version\":\"v0.9.3\",\"kro.run/owned\":\"true\","
                "\"kro.run/resource-graph-definition-id\":\"rgd-uid\","
                "\"kro.run/resource-graph-definition-name\":\"labels\"}");
    EXPECT_TEXT(
        kr_cstr(&m->a, kr_json_str(&m->a, kr_at(meta, "annotations"))),
        "{\"applyset.kubernetes.io/additional-namespaces\":\"\","
        "\"applyset.kubernetes.io/contains-group-kinds\":\"ConfigMap\","
        "\"applyset.kubernetes.io/tooling\":\"kro/v0.9.3\","
        "\"internal.kro.run/"
        "applyset-inventory-hash\":\"sha256:DYNC0P0KRNEAVhh0uUzwByP143QUBLevtUMNOr3xy7o\"}");
    EXPECT_TEXT(kr_cstr(&m->a, kr_json_str(&m->a, kr_at(meta, "finalizers"))),
                "[\"kro.run/finalizer\"]");
    model_free(m);
    cel_kinds_free(kinds);
}

TEST(applyset, another_version_of_the_program_writes_nothing)
{
    struct cel_kinds *kinds;
    struct model *m = new_model(&kinds);
    uint32_t writes;

    model_rest(m);
    writes = model_writes_n(m);
    m->env.version = KR_S("v9.9.9");
    model_restart(m);
    model_rest(m);
    assert_int_equal(model_writes_n(m), writes);
    model_edit(m, scenario_patch(&m->a, KR_S("spec.a=\"2\"")));
    model_rest(m);
    assert_int_equal(m->writes[GRAPH_A_APPLY],
                     2); /* what is written for another reason gets the version */
    assert_string_equal(
        kr_cstr(&m->a, kr_text(kr_get(kr_at(model_get(m, "ConfigMap", "cm"), "metadata.labels"),
                                      KR_S(GRAPH_LABEL_VERSION)))),
        "v9.9.9");
    model_free(m);
    cel_kinds_free(kinds);
}

TEST(applyset, a_label_or_annotation_that_goes_is_written_again_once)
{
    static const char *const losses[] = {
        "metadata.labels[\"kro.run/owned\"]=null",
        "metadata.labels[\"applyset.kubernetes.io/id\"]=null",
        "metadata.annotations[\"internal.kro.run/applyset-inventory-hash\"]=null",
        "metadata.annotations[\"applyset.kubernetes.io/contains-group-kinds\"]=\"\"",
        "metadata.finalizers=null"};
    struct cel_kinds *kinds;
    struct model *m = new_model(&kinds);

    model_rest(m);
    for (size_t i = 0; i < KR_N(losses); i++) {
        model_count(m);
        model_edit(m, scenario_patch(&m->a, kr_str_c(losses[i])));
        model_rest(m);
        assert_in_range(m->writes[GRAPH_A_APPLY_PARENT], 1, 2);
        assert_int_equal(model_writes_n(m), m->writes[GRAPH_A_APPLY_PARENT]);
    }
    model_free(m);
    cel_kinds_free(kinds);
}

/* The server drops it: it is no field of ours, and no reason to apply again. */
TEST(applyset, a_status_in_a_template_costs_nothing_at_a_restart)
{
    static const char service[] =
        "metadata: {name: labels}\nspec:\n  schema: {apiVersion: v1alpha1, kind: Labels, spec: {a: "
        "string}}\n  resources:\n    - id: svc\n      template: {apiVersion: v1, kind: Service, "
        "metadata: {name: svc}, spec: {type: \"${schema.spec.a}\", ports: [{port: 80}]}, status: "
        "{loadBalancer: {}, note: \"${schema.spec.a}\"}}\n";
    struct cel_kinds *kinds = model_kinds(KROC_SOURCE "/tests/scenario/kinds.yaml");
    struct graph_rev *rev = scenario_revision(kinds, service);
    const struct graph_node_spec *spec = rev->nodes[0].spec;
    KR_AUTO(kr_arena) a = {0};
    struct model *m = model_new(kinds, rev, test_json(&a, instance));

    assert_true(spec->status_dropped);
    assert_int_equal(spec->granular_n, 1); /* ports merge by key */
    assert_true(spec->granular[0].n == 2 && kr_str_is(spec->granular[0].path[1], "ports"));
    graph_rev_drop(rev);
    model_rest(m);
    assert_true(kr_at(model_get(m, "Service", "svc"), "status").kind == KR_NONE);
    model_count(m);
    model_restart(m);
    model_rest(m);
    assert_int_equal(model_writes_n(m), 0);
    model_free(m);
    cel_kinds_free(kinds);
}

int main(void)
{
    return RUN(T(applyset, id_depends_on_name_namespace_kind_and_group),
               T(applyset, agrees_with_the_vectors),
               T(applyset, a_child_carries_its_own_labels_below_ours),
               T(applyset, the_parent_carries_finalizer_labels_and_inventory),
               T(applyset, another_version_of_the_program_writes_nothing),
               T(applyset, a_label_or_annotation_that_goes_is_written_again_once),
               T(applyset, a_status_in_a_template_costs_nothing_at_a_restart));
}
