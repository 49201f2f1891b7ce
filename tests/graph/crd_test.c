/* SPDX-License-Identifier: Apache-2.0 */
/* crd_test.c - the generated CRD, and what of a change to it breaks instances. */
#include "graph/internal.h"
#include "tests/graph/schemas.h"

#include <stdio.h>

static struct graph_rgd rgd_of(const char *kind, const char *group)
{
    return (struct graph_rgd){
        .kind = kr_str_c(kind), .version = KR_S("v1"), .group = kr_str_c(group)};
}

TEST(graph_crd, has_names_scope_and_default_columns)
{
    KR_AUTO(kr_arena) a = {0};
    struct graph_rgd rgd = rgd_of("Policy", "kro.run");
    kr_val crd = graph__crd(&a, &rgd, test_json(&a, "{\"type\":\"object\"}"), KR_V_NONE);

    EXPECT_TEXT(kr_cstr(&a, kr_at_str(crd, "metadata.name")), "policies.kro.run");
    EXPECT_TEXT(kr_cstr(&a, kr_json_str(&a, kr_at(crd, "spec.names"))),
                "{\"kind\":\"Policy\",\"listKind\":\"PolicyList\",\"plural\":\"policies\","
                "\"singular\":\"policy\"}");
    assert_int_equal(kr_at(kr_item(kr_at(crd, "spec.versions"), 0), "additionalPrinterColumns").n,
                     3);
}

TEST(graph_crd, an_author_s_state_replaces_kro_s)
{
    KR_AUTO(kr_arena) a = {0};
    struct graph_rgd rgd = rgd_of("App", "kro.run");
    kr_val status =
        test_json(&a, "{\"type\":\"object\",\"properties\":{\"state\":{\"type\":\"integer\"}}}");
    kr_val crd = graph__crd(&a, &rgd, test_json(&a, "{\"type\":\"object\"}"), status);
    kr_val props = kr_at(kr_item(kr_at(crd, "spec.versions"), 0),
                         "schema.openAPIV3Schema.properties.status.properties");

    assert_true(kr_is_str(kr_at(props, "state.type"), KR_S("integer")));
    assert_true(kr_is_str(kr_at(props, "conditions.type"), KR_S("array")));
}

static const char *report(struct kr_arena *a, const char *old, const char *new)
{
    struct graph_changes changes = {.a = a};

    graph__schema_compare(&changes, KR_S(""), test_json(a, old), test_json(a, new));
    return kr_cstr(a, graph__changes_text(a, &changes));
}

TEST(graph_crd, breaking_changes_are_told_three_at_a_time)
{
    KR_AUTO(kr_arena) a = {0};

    EXPECT_TEXT(
        report(
            &a,
            "{\"type\":\"object\",\"properties\":{\"a\":{},\"b\":{},\"c\":{},\"d\":{},\"e\":{}}}",
            "{\"type\":\"object\"}"),
        "Property a was removed; Property b was removed; Property c was removed; and 2 more "
        "changes");
    EXPECT_TEXT(report(&a, "{\"type\":\"string\",\"maxLength\":9}",
                       "{\"type\":\"string\",\"maxLength\":10}"),
                "no breaking changes");
    EXPECT_TEXT(report(&a, "{\"type\":\"string\",\"maxLength\":9}",
                       "{\"type\":\"string\",\"maxLength\":8}"),
                "MaxLength was decreased from 9 to 8");
    EXPECT_TEXT(report(&a, "{\"type\":\"string\"}", "{\"type\":\"integer\",\"minimum\":1}"),
                "Type changed from string to integer");
}

/* --- compatibility tables --------------------------------------------------------------------- */

static int compat_case(struct kr_arena *a, kr_val line)
{
    struct graph_changes c = {.a = a};
    struct kr_err err = KR_ERR_NONE;
    kr_str function = kr_at_str(line, "function"), first = kr_at_str(line, "first_breaking_type");
    kr_val old = kr_at(line, "old"), new = kr_at(line, "new"),
           count = kr_at(line, "breaking_count");
    kr_val other = kr_at(line, "non_breaking_count");
    bool fails = kr_is_str(kr_at(line, "expect"), KR_S("error")), hit = first.n == 0;

    if (kr_str_is(function, "versions")) {
        if (graph__crd_compare(a, old, new, &c, &err) < 0)
            return fails;
    } else {
        graph__schema_compare(&c, KR_S(""), old, new);
    }
    if (kr_str_is(function, "required")) { /* that level alone */
        uint32_t n = c.n;

        c.n = c.breaking_n = 0;
        for (uint32_t i = 0; i < n; i++) {
            if (!kr_str_starts(c.items[i].type, KR_S("REQUIRED")))
                continue;
            c.items[c.n++] = c.items[i];
            c.breaking_n += c.items[i].breaking;
        }
    }
    for (uint32_t i = 0; i < c.n; i++)
        hit = hit || (c.items[i].breaking && kr_str_eq(c.items[i].type, first));
    return !fails && hit && kr_is_true(kr_at(line, "compatible")) == (c.breaking_n == 0) &&
           (count.kind != KR_INT || count.i == c.breaking_n) &&
           (other.kind != KR_INT || other.i == c.n - c.breaking_n);
}

static int text_case(struct kr_arena *a, kr_val line)
{
    struct graph_change c = {.path = kr_at_str(line, "change.path"),
                             .type = kr_at_str(line, "change.type"),
                             .old_value = kr_at_str(line, "change.old"),
                             .new_value = kr_at_str(line, "change.new")};
    kr_str text = graph__change_text(a, &c);

    KR_LIST_EACH (it, kr_at(line, "description_contains")) {
        if (kr_str_find(text, kr_text(*it)) < 0) {
            fprintf(stderr, "  got " KR_FMT "\n", KR_ARG(text));
            return 0;
        }
    }
    return 1;
}

static int crd_case(struct kr_arena *a, kr_val line)
{
    struct graph_rgd rgd = {.kind = kr_at_str(line, "kind"),
                            .version = kr_at_str(line, "version"),
                            .group = kr_at_str(line, "group"),
                            .cluster = kr_is_str(kr_at(line, "scope"), KR_S("Cluster")),
                            .columns = kr_at(line, "schema.additionalPrinterColumns")};
    kr_val crd, want = kr_at(line, "expect"), columns = kr_at(want, "printer_columns");

    if (columns.n != 3) /* the table leaves out what it gives */
        rgd.columns = columns;
    if (rgd.kind.n == 0)
        return -1; /* parts of kro's synthesis that have no counterpart here */
    crd = graph__crd(a, &rgd, kr_at(line, "spec"), KR_V_NONE);
    KR_MAP_EACH (it, want) {
        kr_str key = kr_text(it->key);
        kr_val got = kr_get(kr_at(crd, "spec.names"), key);

        if (it->val.kind != KR_STRING)
            continue;
        if (kr_str_is(key, "name"))
            got = kr_at(crd, "metadata.name");
        if (kr_str_is(key, "scope") || kr_str_is(key, "group"))
            got = kr_get(kr_at(crd, "spec"), key);
        if (!kr_equal(got, it->val))
            return 0;
    }
    return columns.kind != KR_LIST ||
           columns.n ==
               kr_at(kr_item(kr_at(crd, "spec.versions"), 0), "additionalPrinterColumns").n;
}

TEST(graph_crd, compatibility_tables)
{
    uint32_t failed;

    if (!cases_present())
        skip();
    assert_true(cases_each("validation/crd-compat.jsonl", compat_case, &failed) >= 56);
    assert_true(cases_each("validation/crd-compat-descriptions.jsonl", text_case, &failed) >= 26);
    cases_each("validation/crd-synthesize.jsonl", crd_case, &failed);
    assert_int_equal(failed, 0);
}

int main(void)
{
    return RUN(T(graph_crd, has_names_scope_and_default_columns),
               T(graph_crd, an_author_s_state_replaces_kro_s),
               T(graph_crd, breaking_changes_are_told_three_at_a_time),
               T(graph_crd, compatibility_tables));
}
