/* SPDX-License-Identifier: Apache-2.0 */
/* author_test.c - the conditions that a definition's author writes: what is refused, and what an
 * instance shows. */
#include "tests/lib/scenario.h"

#include "tests/lib/test.h"

#include <stdio.h>
#include <string.h>

/* --- what is refused -------------------------------------------------------------------------- */

static const char head[] =
    "metadata: {name: k}\nspec:\n  schema:\n    apiVersion: v1alpha1\n    kind: K\n"
    "    types: {Server: {name: string}}\n"
    "    spec: {name: string, a: string, num: integer, ok: boolean, someStatus: string, someType: "
    "string, servers: \"[]Server\"}\n";
static const char tail[] =
    "  resources:\n"
    "    - id: one\n      readyWhen: [\"${one.data.a != 'wait'}\"]\n"
    "      template: {apiVersion: v1, kind: ConfigMap, metadata: {name: one}, data: {a: "
    "\"${schema.spec.a}\"}}\n"
    "    - id: two\n      template: {apiVersion: v1, kind: Service, metadata: {name: two}}\n";

/* The definition with a block of conditions (JSON strings), as YAML; lives in a. */
static const char *definition(struct kr_arena *a, kr_val conditions, const char *status)
{
    struct kr_mapb m = KR_MAPB(a);
    kr_str block = KR_S("");

    if (conditions.kind != KR_NONE) {
        kr_mapb_put(&m, KR_S("conditions"), conditions);
        block = kr_json_str(a, kr_mapb_done(&m));
        block = kr_str_sub(block, 1, block.n - 1);
    }
    if (block.n == 0 && !*status)
        return kr_cstr(a, kr_fmt(a, "%s%s", head, tail));
    return kr_cstr(
        a, kr_fmt(a, "%s    status: {%s" KR_FMT "}\n%s", head, status, KR_ARG(block), tail));
}

/* A list of wrapped expressions; ends with NULL. */
static kr_val block_of(struct kr_arena *a, const char *const *texts)
{
    struct kr_listb list = KR_LISTB(a);

    for (; *texts; texts++)
        kr_listb_add(&list, kr_string(kr_fmt(a, "${%s}", *texts)));
    return kr_listb_done(&list);
}

static int build(struct kr_arena *a, kr_val conditions, struct kr_err *err)
{
    struct cel_kinds *kinds = model_kinds(KROC_SOURCE "/tests/scenario/kinds.yaml");
    kr_val rgd = test_yaml(a, definition(a, conditions, ""));
    struct graph_source src = {.name = KR_S("k"), .uid = KR_S("u"), .spec = kr_at(rgd, "spec")};
    struct graph_rev *rev = NULL;
    const kr_gvk *needs;
    uint32_t n;
    int rc = graph_build(&src, kinds, a, &rev, &needs, &n, err);

    graph_rev_drop(rev);
    cel_kinds_free(kinds);
    return rc;
}

static void expect_refused(const char *const *texts, const char *want)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_err err = KR_ERR_NONE;
    int rc = build(&a, block_of(&a, texts), &err);

    if (rc == 0)
        fprintf(stderr, "accepted: %s\n", texts[0]);
    assert_true(rc < 0);
    EXPECT_TEXT(err.text, want);
}

#define REFUSED(want, ...) expect_refused((const char *const[]){__VA_ARGS__, NULL}, want)

TEST(author, what_literals_tell_is_refused_in_kros_words)
{
    REFUSED("failed to build instance conditions: condition type \"A\" is declared by more than "
            "one conditions entry",
            "runtime.newCondition({type: 'A', status: 'True'})",
            "runtime.newCondition({type: 'A', status: 'False'})");
    REFUSED("failed to build instance conditions: runtime.newCondition: status must be one of "
            "True, False, Unknown (got \"Maybe\") in expression \"runtime.newCondition({type: "
            "'A', status: 'Maybe'})\"",
            "runtime.newCondition({type: 'A', status: 'Maybe'})");
    REFUSED("failed to build instance conditions: runtime.newCondition: type must not be empty in "
            "expression \"runtime.newCondition({type: '', status: 'True'})\"",
            "runtime.newCondition({type: '', status: 'True'})");
    REFUSED("failed to build instance conditions: runtime.condition(schema, \"A\"): custom "
            "conditions cannot reference each other in expression \"[runtime.condition(schema, "
            "'A')]\"",
            "runtime.newCondition({type: 'A', status: 'True'})",
            "[runtime.condition(schema, 'A')]");
    REFUSED("failed to build instance conditions: runtime.condition(schema, \"Redy\"): unknown "
            "condition type; only kro's built-in types (InstanceManaged, GraphResolved, "
            "ResourcesReady, Ready) can be read from schema in expression "
            "\"runtime.condition(schema, 'Redy')\"",
            "runtime.condition(schema, 'Redy')");
}

TEST(author, an_expression_must_compile_to_conditions)
{
    REFUSED("failed to build instance conditions: condition \"nope.x\": references unknown "
            "identifiers: [nope]",
            "nope.x");
    REFUSED("failed to build instance conditions: condition \"schema.spec.name\": condition "
            "expressions must return runtime.newCondition(...) or a list of them, got \"string\"",
            "schema.spec.name");
    REFUSED("failed to build instance conditions: failed to type-check condition "
            "\"schema.spec.nope\": ERROR: <input>:1:12: undefined field 'nope'\n | "
            "schema.spec.nope\n | ...........^",
            "schema.spec.nope");
    REFUSED("failed to build instance conditions: condition \"runtime.newCondition({type: "
            "'A'})\": parse error: ERROR: <input>:1:22: runtime.newCondition: 'status' is "
            "required\n | runtime.newCondition({type: 'A'})\n | .....................^",
            "runtime.newCondition({type: 'A'})");
}

TEST(author, the_block_is_a_list_of_standalone_expressions)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_err err = KR_ERR_NONE;

    assert_true(build(&a, test_json(&a, "{\"a\":\"b\"}"), &err) < 0);
    EXPECT_TEXT(err.text, "failed to build instance status schema: failed to extract conditions "
                          "block: status.conditions must be a list");
    assert_true(build(&a, test_json(&a, "[1]"), &err) < 0);
    EXPECT_TEXT(err.text, "failed to build instance status schema: failed to extract conditions "
                          "block: status.conditions[0] must be a CEL expression string");
    assert_true(build(&a, test_json(&a, "[\"x\"]"), &err) < 0);
    EXPECT_TEXT(err.text, "failed to build instance conditions: invalid conditions block: only "
                          "standalone expressions are allowed");
}

/* One line of the table of kro's own tests. "validate" looks at literals alone: what comes after it
 * may still refuse. */
static bool line_passes(struct kr_arena *a, kr_val line)
{
    bool literals = kr_is_str(kr_at(line, "rule"), KR_S("validate-conditions"));
    struct kr_listb list = KR_LISTB(a);
    struct kr_err err = KR_ERR_NONE;
    int rc;

    KR_LIST_EACH (e, kr_at(line, "expressions")) {
        kr_listb_add(&list,
                     literals ? kr_string(kr_fmt(a, "${" KR_FMT "}", KR_ARG(kr_text(*e)))) : *e);
    }
    rc = build(a, kr_listb_done(&list), &err);
    if (!kr_is_str(kr_at(line, "expect"), KR_S("error")))
        return rc == 0 || strstr(err.text, "must return") || strstr(err.text, "parse error") ||
               strstr(err.text, "unknown identifiers: [resource]");
    KR_LIST_EACH (want, kr_at(line, "error_contains")) {
        if (rc == 0 || kr_str_find(kr_err_str(&err), kr_text(*want)) < 0)
            return false;
    }
    return true;
}

TEST(author, kros_table_of_blocks_gets_its_verdicts)
{
    KR_AUTO(kr_arena) a = {0};
    kr_str rest;
    uint32_t seen = 0;

    if (!test_file(&a, KROC_SHARED "/cases/validation/conditions.jsonl", &rest))
        skip();
    while (rest.n) {
        kr_str text = kr_str_cut(&rest, '\n');
        kr_val line = text.n ? test_json(&a, kr_cstr(&a, text)) : KR_V_NONE;

        if (kr_at(line, "expect").kind == KR_NONE)
            continue;
        seen++;
        if (!line_passes(&a, line))
            fprintf(stderr, "failed: " KR_FMT "\n", KR_ARG(kr_at_str(line, "name")));
        assert_true(line_passes(&a, line));
    }
    fprintf(stderr, "validation/conditions.jsonl: %u passed, 0 failed, 2 not for us\n", seen);
    assert_true(seen >= 15);
}

/* --- what an instance shows ------------------------------------------------------------------- */

struct fixture {
    struct kr_arena a;
    struct cel_kinds *kinds;
    struct model *m;
};

static struct graph_rev *revision(struct fixture *f, kr_val conditions, const char *status)
{
    return scenario_revision(f->kinds, definition(&f->a, conditions, status));
}

static struct fixture setup_block(const char *const *texts, const char *status)
{
    struct fixture f = {.kinds = model_kinds(KROC_SOURCE "/tests/scenario/kinds.yaml")};
    struct graph_rev *rev = revision(&f, block_of(&f.a, texts), status);

    f.m = model_new(
        f.kinds, rev,
        test_json(&f.a,
                  "{\"apiVersion\":\"kro.run/v1alpha1\",\"kind\":\"K\",\"metadata\":{\"name\":"
                  "\"k\",\"namespace\":\"default\"},\"spec\":{\"a\":\"1\",\"num\":3,\"ok\":true,"
                  "\"name\":\"x\"}}"));
    graph_rev_drop(rev);
    return f;
}

#define SETUP(...) setup_block((const char *const[]){__VA_ARGS__, NULL}, "")

static void teardown(struct fixture *f)
{
    model_free(f->m);
    cel_kinds_free(f->kinds);
    kr_arena_fini(&f->a);
}

/* "A True Fine: message @12 gen=1\n" of each condition; @: seconds since the model's beginning. */
static const char *shown(struct fixture *f)
{
    kr_str out =
        kr_fmt(&f->a, KR_FMT "\n", KR_ARG(kr_at_str(model_instance(f->m), "status.state")));

    KR_LIST_EACH (c, kr_at(model_instance(f->m), "status.conditions")) {
        kr_val reason = kr_get(*c, KR_S("reason")), message = kr_get(*c, KR_S("message"));

        out = kr_fmt(&f->a, KR_FMT KR_FMT " " KR_FMT, KR_ARG(out), KR_ARG(kr_at_str(*c, "type")),
                     KR_ARG(kr_at_str(*c, "status")));
        if (reason.kind != KR_NONE)
            out = kr_fmt(&f->a, KR_FMT " " KR_FMT, KR_ARG(out), KR_ARG(kr_text(reason)));
        if (message.kind != KR_NONE)
            out = kr_fmt(&f->a, KR_FMT ": " KR_FMT, KR_ARG(out), KR_ARG(kr_text(message)));
        out =
            kr_fmt(&f->a, KR_FMT " gen=%d\n", KR_ARG(out), (int)kr_at(*c, "observedGeneration").i);
    }
    return kr_cstr(&f->a, out);
}

static kr_str time_of(struct fixture *f, const char *type)
{
    KR_LIST_EACH (c, kr_at(model_instance(f->m), "status.conditions")) {
        if (kr_is_str(kr_get(*c, KR_S("type")), kr_str_c(type)))
            return kr_strdup(&f->a, kr_at_str(*c, "lastTransitionTime"));
    }
    return KR_S("");
}

static void edit(struct fixture *f, const char *words)
{
    model_edit(f->m, scenario_patch(&f->m->a, kr_str_c(words)));
    model_rest(f->m);
}

static void write_one(struct fixture *f, const char *words)
{
    model_write(f->m, "v1", "ConfigMap", "default", "one",
                scenario_patch(&f->m->a, kr_str_c(words)));
    model_rest(f->m);
}

TEST(author, conditions_stand_alone_in_their_order_and_empty_texts_are_left_out)
{
    struct fixture f = SETUP("runtime.newCondition({type: 'B', status: 'True', reason: '', "
                             "message: ''})",
                             "runtime.newCondition({type: 'A', status: 'False', reason: 'No', "
                             "message: 'one is ' + one.data.a})",
                             "['x', 'y'].map(n, runtime.newCondition({type: 'L' + n, status: "
                             "'Unknown'}))");

    model_rest(f.m);
    EXPECT_TEXT(shown(&f), "ACTIVE\nB True gen=1\nA False No: one is 1 gen=1\nLx Unknown gen=1\n"
                           "Ly Unknown gen=1\n");
    teardown(&f);
}

TEST(author, the_time_of_a_transition_stays_as_long_as_the_status)
{
    struct fixture f = SETUP("runtime.newCondition({type: 'A', status: schema.spec.ok ? 'True' : "
                             "'False', message: schema.spec.a})");
    kr_str before;

    model_rest(f.m);
    before = time_of(&f, "A");
    model_wait(f.m, 100 * 1000);
    edit(&f, "spec.a=\"2\"");
    EXPECT_TEXT(shown(&f), "ACTIVE\nA True: 2 gen=2\n");
    assert_true(before.n && kr_str_eq(time_of(&f, "A"), before));
    model_wait(f.m, 100 * 1000);
    edit(&f, "spec.ok=false");
    EXPECT_TEXT(shown(&f), "ACTIVE\nA False: 2 gen=3\n");
    assert_false(kr_str_eq(time_of(&f, "A"), before));
    teardown(&f);
}

TEST(author, kros_own_are_looked_up_and_not_the_authors)
{
    struct fixture f =
        SETUP("runtime.newCondition({type: 'ResourcesReady', status: 'True', reason: 'Author'})",
              "runtime.newCondition({type: 'Mirror', status: runtime.condition(schema, "
              "'ResourcesReady').status, reason: runtime.condition(schema, 'Ready').reason})",
              "runtime.newCondition({type: 'Empty', status: runtime.condition(schema, "
              "'Rea' + 'dx').type == '' ? 'True' : 'False'})");

    edit(&f, "spec.a=wait");
    EXPECT_TEXT(shown(&f), "IN_PROGRESS\nResourcesReady True Author gen=2\nMirror False NotReady "
                           "gen=2\nEmpty True gen=2\n");
    edit(&f, "spec.a=\"2\"");
    EXPECT_TEXT(shown(&f), "ACTIVE\nResourcesReady True Author gen=3\nMirror True Ready gen=3\n"
                           "Empty True gen=3\n");
    teardown(&f);
}

TEST(author, the_state_follows_kros_own_ready)
{
    struct fixture f =
        SETUP("runtime.newCondition({type: 'Ready', status: 'False', reason: 'AuthorSaysNo'})");

    model_rest(f.m);
    EXPECT_TEXT(shown(&f), "ACTIVE\nReady False AuthorSaysNo gen=1\n");
    teardown(&f);
}

TEST(author, a_pending_expression_keeps_what_was_written)
{
    struct fixture f = SETUP("runtime.newCondition({type: 'Late', status: one.data.late})",
                             "runtime.newCondition({type: 'Now', status: 'True'})");

    model_rest(f.m);
    EXPECT_TEXT(shown(&f), "ACTIVE\nNow True gen=1\n");
    write_one(&f, "data.late=\"False\"");
    EXPECT_TEXT(shown(&f), "ACTIVE\nLate False gen=1\nNow True gen=1\n");
    write_one(&f, "data.late=null");
    EXPECT_TEXT(shown(&f), "ACTIVE\nNow True gen=1\nLate False gen=1\n");
    teardown(&f);
}

TEST(author, a_type_no_longer_made_goes)
{
    struct fixture f =
        SETUP("runtime.newCondition({type: 'For-' + schema.spec.a, status: 'True'})");

    model_rest(f.m);
    edit(&f, "spec.a=\"2\"");
    EXPECT_TEXT(shown(&f), "ACTIVE\nFor-2 True gen=2\n");
    teardown(&f);
}

TEST(author, repeated_types_and_broken_ones_are_an_error_and_the_rest_is_written)
{
    struct fixture f =
        SETUP("runtime.newCondition({type: 'Survivor', status: 'True'})",
              "runtime.newCondition({type: 'Same-' + schema.spec.a, status: 'True'})",
              "runtime.newCondition({type: schema.spec.ok ? 'Same-1' : 'Other', status: 'False'})",
              "runtime.newCondition({type: 'Sum', status: string(10 / schema.spec.num) == '3' ? "
              "'True' : 'False'})");

    model_rest(f.m);
    EXPECT_TEXT(shown(&f), "ERROR\nSurvivor True gen=1\nSum True gen=1\n");
    EXPECT_TEXT(kr_cstr(&f.a, graph_inst_waits(f.m->inst, &f.a)),
                "conditions: condition type \"Same-1\" is made more than once");
    edit(&f, "spec.ok=false");
    EXPECT_TEXT(shown(&f),
                "ACTIVE\nSurvivor True gen=2\nSame-1 True gen=2\nOther False gen=2\nSum True "
                "gen=2\n");
    edit(&f, "spec.num=0");
    EXPECT_TEXT(shown(&f),
                "ERROR\nSurvivor True gen=3\nSame-1 True gen=3\nOther False gen=3\nSum True "
                "gen=2\n");
    teardown(&f);
}

TEST(author, more_than_the_limit_is_an_error)
{
    struct fixture f = SETUP("lists.range(300).map(i, runtime.newCondition({type: 'T' + string(i), "
                             "status: 'True'}))");

    model_rest(f.m);
    assert_int_equal(kr_at(model_instance(f.m), "status.conditions").n, GRAPH_AUTHOR_CONDS_MAX);
    assert_true(kr_is_str(kr_at(model_instance(f.m), "status.state"), KR_S("ERROR")));
    teardown(&f);
}

TEST(author, leftovers_of_a_removed_block_go)
{
    struct fixture f = SETUP("runtime.newCondition({type: 'A', status: 'True'})",
                             "runtime.newCondition({type: 'Ready', status: 'False'})");
    struct graph_rev *plain;

    model_rest(f.m);
    plain = revision(&f, KR_V_NONE, "");
    model_set_revision(f.m, plain, "");
    graph_rev_drop(plain);
    model_rest(f.m);
    EXPECT_TEXT(shown(&f),
                "ACTIVE\nInstanceManaged True Managed: instance is properly managed with "
                "finalizers and labels gen=1\n"
                "GraphResolved True Resolved: runtime graph created and all resources resolved "
                "gen=1\n"
                "ResourcesReady True AllResourcesReady: all resources are created and ready gen=1\n"
                "Ready True Ready:  gen=1\n");
    teardown(&f);
}

TEST(author, without_a_revision_they_stay)
{
    struct fixture f = SETUP("runtime.newCondition({type: 'A', status: 'True'})");

    model_rest(f.m);
    model_set_revision(f.m, NULL, "no revision");
    model_rest(f.m);
    EXPECT_TEXT(shown(&f), "ERROR\nA True gen=1\n");
    teardown(&f);
}

TEST(author, suspended_those_of_nodes_stay_and_the_others_follow)
{
    struct fixture f = SETUP("runtime.newCondition({type: 'A', status: 'True', message: "
                             "one.data.a})",
                             "runtime.newCondition({type: 'Own', status: "
                             "runtime.condition(schema, 'ResourcesReady').status, reason: "
                             "runtime.condition(schema, 'ResourcesReady').reason})");

    model_rest(f.m);
    edit(&f, "metadata.annotations[\"kro.run/reconcile\"]=suspended");
    EXPECT_TEXT(shown(&f), "ACTIVE\nOwn False ReconciliationSuspended gen=1\nA True: 1 gen=1\n");
    model_count(f.m);
    edit(&f, "metadata.annotations[\"kro.run/reconcile\"]=null");
    EXPECT_TEXT(shown(&f), "ACTIVE\nA True: 1 gen=1\nOwn True AllResourcesReady gen=1\n");
    assert_int_equal(model_writes_n(f.m), 1);
    teardown(&f);
}

TEST(author, deletion_puts_kros_resources_ready_over_them)
{
    struct fixture f = SETUP("runtime.newCondition({type: 'A', status: 'True'})",
                             "runtime.newCondition({type: 'ResourcesReady', status: 'True'})");

    model_rest(f.m);
    model_write(f.m, "v1", "ConfigMap", "default", "one",
                scenario_patch(&f.m->a, KR_S("metadata.finalizers=[\"tests/hold\"]")));
    model_run(f.m);
    model_delete_instance(f.m);
    model_run(f.m);
    EXPECT_TEXT(shown(&f), "DELETING\nA True gen=1\nResourcesReady Unknown UnderDeletion: deleting "
                           "resources gen=1\n");
    teardown(&f);
}

TEST(author, expressions_run_only_if_what_they_read_has_changed)
{
    struct fixture f = SETUP("runtime.newCondition({type: 'A', status: 'True', message: "
                             "one.data.a})");
    uint64_t before;

    model_rest(f.m);
    before = graph_inst_counts(f.m->inst)->authors;
    model_count(f.m);
    edit(&f, "metadata.annotations.x=y");
    write_one(&f, "data.other=x");
    assert_int_equal(graph_inst_counts(f.m->inst)->authors, before);
    assert_int_equal(model_writes_n(f.m), 0);
    /* A wait of another node changes kro's own conditions, which this one does not look up. */
    model_write(f.m, "v1", "Service", "default", "two",
                scenario_patch(&f.m->a, KR_S("metadata.finalizers=[\"tests/hold\"]")));
    model_delete(f.m, "v1", "Service", "default", "two");
    model_rest(f.m);
    assert_true(kr_is_str(kr_at(model_instance(f.m), "status.state"), KR_S("IN_PROGRESS")));
    assert_int_equal(graph_inst_counts(f.m->inst)->authors, before);
    teardown(&f);
}

TEST(author, a_foreign_write_to_them_is_undone)
{
    struct fixture f = SETUP("runtime.newCondition({type: 'A', status: 'True'})");

    model_rest(f.m);
    model_count(f.m);
    edit(&f, "status.conditions=[{\"type\":\"A\",\"status\":\"False\"},{\"type\":\"Z\"}]");
    EXPECT_TEXT(shown(&f), "ACTIVE\nA True gen=1\n");
    assert_int_equal(model_writes_n(f.m), 1);
    teardown(&f);
}

TEST(author, a_restart_writes_nothing)
{
    struct fixture f = SETUP("runtime.newCondition({type: 'A', status: 'True', message: "
                             "one.data.a})",
                             "runtime.newCondition({type: 'B', status: runtime.condition(schema, "
                             "'Ready').status})");

    model_rest(f.m);
    model_count(f.m);
    model_restart(f.m);
    model_rest(f.m);
    assert_int_equal(model_writes_n(f.m), 0);
    teardown(&f);
}

int main(void)
{
    return RUN(T(author, what_literals_tell_is_refused_in_kros_words),
               T(author, an_expression_must_compile_to_conditions),
               T(author, the_block_is_a_list_of_standalone_expressions),
               T(author, kros_table_of_blocks_gets_its_verdicts),
               T(author, conditions_stand_alone_in_their_order_and_empty_texts_are_left_out),
               T(author, the_time_of_a_transition_stays_as_long_as_the_status),
               T(author, kros_own_are_looked_up_and_not_the_authors),
               T(author, the_state_follows_kros_own_ready),
               T(author, a_pending_expression_keeps_what_was_written),
               T(author, a_type_no_longer_made_goes),
               T(author, repeated_types_and_broken_ones_are_an_error_and_the_rest_is_written),
               T(author, more_than_the_limit_is_an_error),
               T(author, leftovers_of_a_removed_block_go), T(author, without_a_revision_they_stay),
               T(author, suspended_those_of_nodes_stay_and_the_others_follow),
               T(author, deletion_puts_kros_resources_ready_over_them),
               T(author, expressions_run_only_if_what_they_read_has_changed),
               T(author, a_foreign_write_to_them_is_undone), T(author, a_restart_writes_nothing));
}
