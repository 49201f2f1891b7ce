/* SPDX-License-Identifier: Apache-2.0 */
/* eval_test.c - an expression that takes too much ends in an error that names the limit. */
#include "tests/lib/scenario.h"

#include <stdio.h>

static const char demo[] =
    "{\"apiVersion\":\"kro.run/v1alpha1\",\"kind\":\"Big\","
    "\"metadata\":{\"name\":\"demo\",\"namespace\":\"default\"},\"spec\":{\"count\":0}}";

/* The error of an instance whose ConfigMap has these members. */
static void expect_error(const char *data, const char *words)
{
    KR_AUTO(kr_arena) a = {0};
    struct cel_kinds *kinds = model_kinds(KROC_SOURCE "/tests/scenario/kinds.yaml");
    kr_str yaml = kr_fmt(&a,
                         "metadata: {name: big}\n"
                         "spec:\n"
                         "  schema: {apiVersion: v1alpha1, kind: Big, spec: {count: integer}}\n"
                         "  resources:\n"
                         "    - id: config\n"
                         "      template:\n"
                         "        apiVersion: v1\n"
                         "        kind: ConfigMap\n"
                         "        metadata: {name: \"${schema.metadata.name}\"}\n"
                         "        data:\n%s",
                         data);
    struct graph_rev *rev = scenario_revision(kinds, kr_cstr(&a, yaml));
    struct model *m = model_new(kinds, rev, test_json(&a, demo));
    const char *waits;

    graph_rev_drop(rev);
    model_rest(m);
    waits = kr_cstr(&a, graph_inst_waits(m->inst, &a));
    assert_string_equal(graph_inst_state(m->inst), "ERROR");
    if (!strstr(waits, words))
        EXPECT_TEXT(waits, words);
    assert_int_equal(m->writes[GRAPH_A_APPLY], 0);
    model_free(m);
    cel_kinds_free(kinds);
}

#define LOOPS(n, more)                                                                             \
    "${string(lists.range(2000).all(a, lists.range(" #n ").all(b, b >= schema.spec.count - " #more \
    ")))}"

TEST(graph_eval, the_steps_of_one_expression_are_limited)
{
    expect_error("          a: " LOOPS(2000, 0) "\n",
                 "evaluation cost limit exceeded: more than 10000000 steps");
}

/* Each of them is below its own limit. */
TEST(graph_eval, the_steps_of_all_expressions_of_one_step_are_limited)
{
    expect_error("          a: " LOOPS(600, 0) "\n          b: " LOOPS(
                     600, 1) "\n"
                             "          c: " LOOPS(600, 2) "\n          d: " LOOPS(600, 3) "\n",
                 "evaluation cost limit exceeded: the expressions of one step of the instance take "
                 "more than 20000000 steps");
}

TEST(graph_eval, the_bytes_of_one_expression_are_limited)
{
    expect_error("          a: ${cel.bind(s, lists.range(100000).map(a, 'aaaaaaaaaa').join(''), "
                 "string(lists.range(100 + schema.spec.count).map(a, s + s).size()))}\n",
                 "evaluation memory limit exceeded: more than 67108864 bytes");
}

int main(void)
{
    return RUN(T(graph_eval, the_steps_of_one_expression_are_limited),
               T(graph_eval, the_steps_of_all_expressions_of_one_step_are_limited),
               T(graph_eval, the_bytes_of_one_expression_are_limited));
}
