/* SPDX-License-Identifier: Apache-2.0 */
/* selector_test.c - label selectors as text. */
#include "graph/inst.h"
#include "tests/lib/test.h"

static void expect(const char *selector, const char *want)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_err err = KR_ERR_NONE;
    kr_str got;

    if (graph__selector(&a, KR_S("pods"), test_json(&a, selector), &got, &err) < 0)
        got = kr_fmt(&a, "error: " KR_FMT, KR_ARG(kr_err_str(&err)));
    EXPECT_TEXT(kr_cstr(&a, got), want);
}

TEST(selector, requirements_are_sorted)
{
    expect("{}", "");
    expect("{\"matchLabels\":{\"b\":\"2\",\"a.example.com/x\":\"\"}}", "a.example.com/x=,b=2");
    expect("{\"matchLabels\":{\"m\":\"1\"},\"matchExpressions\":["
           "{\"key\":\"z\",\"operator\":\"In\",\"values\":[\"b\",\"a\",\"b\"]},"
           "{\"key\":\"a\",\"operator\":\"NotIn\",\"values\":[\"x\"]},"
           "{\"key\":\"n\",\"operator\":\"Exists\"},"
           "{\"key\":\"c\",\"operator\":\"DoesNotExist\",\"values\":[]}]}",
           "a notin (x),!c,m=1,n,z in (a,b)");
}

TEST(selector, what_is_no_label_is_refused)
{
    expect("{\"matchLabels\":{\"a\":\"x,b=y\"}}",
           "error: invalid label selector for pods: values[a]: Invalid value: \"x,b=y\": not a "
           "label value");
    expect("{\"matchLabels\":{\"a,b\":\"x\"}}", "error: invalid label selector for pods: key: "
                                                "Invalid value: \"a,b\": not a label key");
    expect("{\"matchLabels\":{\"/a\":\"x\"}}", "error: invalid label selector for pods: key: "
                                               "Invalid value: \"/a\": not a label key");
    expect("{\"matchLabels\":{\"a\":1}}",
           "error: invalid label selector for pods: matchLabels[\"a\"] is not a string");
    expect("{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\",\"values\":[\"(\"]}]}",
           "error: invalid label selector for pods: values[a]: Invalid value: \"(\": not a label "
           "value");
}

TEST(selector, operators_are_checked_in_kubernetes_words)
{
    expect("{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Like\"}]}",
           "error: invalid label selector for pods: \"Like\" is not a valid label selector "
           "operator");
    expect("{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\",\"values\":[]}]}",
           "error: invalid label selector for pods: values: Invalid value: []: for 'in', 'notin' "
           "operators, values set can't be empty");
    expect("{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Exists\",\"values\":[\"x\"]}]}",
           "error: invalid label selector for pods: values: Invalid value: (x): values set must be "
           "empty for exists and does not exist");
}

int main(void)
{
    return RUN(T(selector, requirements_are_sorted), T(selector, what_is_no_label_is_refused),
               T(selector, operators_are_checked_in_kubernetes_words));
}
