/* SPDX-License-Identifier: Apache-2.0 */
/* manage_test.c - server-side apply and the bookkeeping of other writes; what is expected is what a
 * kube-apiserver 1.36 answers (tests/sandboxdiff compares them at large). */
#include "kube/sandbox/manage.h"

#include "tests/lib/test.h"

#include "cel/base/banned.h"

static const char schema_text[] =
    "{\"type\":\"object\",\"properties\":{\"apiVersion\":{\"type\":\"string\"},\"kind\":{\"type\":"
    "\"string\"},\"metadata\":{\"type\":\"object\",\"x-kubernetes-preserve-unknown-fields\":true},"
    "\"spec\":{\"type\":\"object\",\"properties\":{\"size\":{\"type\":\"integer\"},\"color\":{"
    "\"type\":"
    "\"string\"},\"tags\":{\"type\":\"array\",\"x-kubernetes-list-type\":\"set\",\"items\":{"
    "\"type\":"
    "\"string\"}},\"ports\":{\"type\":\"array\",\"x-kubernetes-list-type\":\"map\","
    "\"x-kubernetes-list-map-keys\":[\"port\",\"protocol\"],\"items\":{\"type\":\"object\","
    "\"properties\":"
    "{\"port\":{\"type\":\"integer\"},\"protocol\":{\"type\":\"string\",\"default\":\"TCP\"},"
    "\"name\":"
    "{\"type\":\"string\"}}}},\"labels\":{\"type\":\"object\",\"additionalProperties\":{\"type\":"
    "\"string\"}}}}}}";

struct world {
    struct kr_arena a;
    struct sandbox_writer w;
    kr_val now; /* the object; KR_NONE: there is none */
    int status;
    struct kr_err err;
    uint32_t clock;
};

static void world_open(struct world *x)
{
    *x = (struct world){0};
    EXPECT_OK(cel_schema_read(&x->a, test_json(&x->a, schema_text), &x->w.schema, &x->err),
              &x->err);
    x->w.api_version = KR_S("t/v1");
}

static void as(struct world *x, const char *manager)
{
    x->w.manager = kr_str_c(manager);
    x->w.time = kr_string(kr_fmt(&x->a, "2026-01-01T00:00:%02uZ", x->clock++));
}

static kr_val object(struct world *x, const char *spec)
{
    return test_json(&x->a,
                     kr_cstr(&x->a, kr_fmt(&x->a,
                                           "{\"apiVersion\":\"t/v1\",\"kind\":\"T\",\"metadata\":"
                                           "{\"name\":\"o\"},\"spec\":%s}",
                                           spec)));
}

static int apply(struct world *x, const char *manager, const char *spec)
{
    kr_val causes, next;
    int rc;

    as(x, manager);
    x->err = (struct kr_err)KR_ERR_NONE;
    rc = sandbox_manage_apply(&x->a, &x->w, x->now, object(x, spec), &next, &x->status, &causes,
                              &x->err);
    if (rc == 0)
        x->now = next;
    return rc;
}

static void update(struct world *x, const char *manager, const char *spec)
{
    kr_val next = object(x, spec), managed = kr_at(x->now, "metadata.managedFields");

    as(x, manager);
    next = kr_with(&x->a, next, "metadata.managedFields", managed);
    x->now = sandbox_manage_update(&x->a, &x->w, x->now, next);
}

/* "spec, then a line for each manager: name operation second set" */
static void expect(struct world *x, const char *want)
{
    KR_AUTO(kr_buf) b = KR_BUF(4000);

    kr_buf_fmt(&b, KR_FMT "\n", KR_ARG(kr_json_str(&x->a, kr_at(x->now, "spec"))));
    KR_LIST_EACH (e, kr_at(x->now, "metadata.managedFields"))
        kr_buf_fmt(&b, KR_FMT " " KR_FMT " %.2s " KR_FMT "\n", KR_ARG(kr_at_str(*e, "manager")),
                   KR_ARG(kr_at_str(*e, "operation")), kr_at_str(*e, "time").s + 17,
                   KR_ARG(kr_json_str(&x->a, kr_at(*e, "fieldsV1.f:spec"))));
    EXPECT_TEXT(b.s, want);
}

static void world_close(struct world *x)
{
    kr_arena_fini(&x->a);
}

TEST(manage, a_creation_owns_all_with_the_containers_it_brings)
{
    struct world x;

    world_open(&x);
    update(&x, "u", "{\"size\":1,\"labels\":{\"a\":\"b\"},\"ports\":[{\"port\":80}]}");
    expect(&x, "{\"labels\":{\"a\":\"b\"},\"ports\":[{\"port\":80}],\"size\":1}\n"
               "u Update 00 {\".\":{},\"f:labels\":{\".\":{},\"f:a\":{}},\"f:ports\":{\".\":{},"
               "\"k:{\\\"port\\\":80,\\\"protocol\\\":\\\"TCP\\\"}\":{\".\":{},\"f:port\":{}}},\"f:"
               "size\":{}}\n");
    world_close(&x);
}

TEST(manage, what_is_applied_no_more_goes_unless_another_has_it)
{
    struct world x;

    world_open(&x);
    EXPECT_OK(apply(&x, "a", "{\"size\":1,\"color\":\"red\",\"tags\":[\"x\",\"y\"]}"), &x.err);
    EXPECT_OK(apply(&x, "b", "{\"color\":\"red\",\"tags\":[\"y\"]}"), &x.err);
    EXPECT_OK(apply(&x, "a", "{\"size\":1}"), &x.err);
    expect(&x, "{\"color\":\"red\",\"size\":1,\"tags\":[\"y\"]}\n"
               "b Apply 01 {\"f:color\":{},\"f:tags\":{\"v:\\\"y\\\"\":{}}}\n"
               "a Apply 02 {\"f:size\":{}}\n");
    world_close(&x);
}

TEST(manage, an_apply_that_changes_nothing_keeps_its_time)
{
    struct world x;
    kr_val before;

    world_open(&x);
    EXPECT_OK(apply(&x, "a", "{\"size\":1}"), &x.err);
    before = x.now;
    EXPECT_OK(apply(&x, "a", "{\"size\":1}"), &x.err);
    assert_true(kr_equal(before, x.now));
    world_close(&x);
}

TEST(manage, a_conflict_names_managers_and_fields)
{
    struct world x;

    world_open(&x);
    EXPECT_OK(apply(&x, "a", "{\"size\":1,\"color\":\"red\"}"), &x.err);
    assert_int_equal(apply(&x, "b", "{\"size\":2}"), KR_E_INPUT);
    EXPECT_TEXT(x.err.text, "Apply failed with 1 conflict: conflict with \"a\": .spec.size");
    assert_int_equal(x.status, 409);
    assert_int_equal(apply(&x, "b", "{\"size\":2,\"color\":\"blue\"}"), KR_E_INPUT);
    EXPECT_TEXT(
        x.err.text,
        "Apply failed with 2 conflicts: conflicts with \"a\":\n- .spec.color\n- .spec.size");
    x.w.force = true;
    EXPECT_OK(apply(&x, "b", "{\"size\":2}"), &x.err);
    expect(&x, "{\"color\":\"red\",\"size\":2}\n"
               "a Apply 00 {\"f:color\":{}}\n"
               "b Apply 03 {\"f:size\":{}}\n");
    world_close(&x);
}

TEST(manage, an_update_takes_what_it_changes_and_drops_who_has_nothing_left)
{
    struct world x;

    world_open(&x);
    EXPECT_OK(apply(&x, "a", "{\"size\":1}"), &x.err);
    update(&x, "u", "{\"size\":2}");
    expect(&x, "{\"size\":2}\nu Update 01 {\"f:size\":{}}\n");
    assert_int_equal(apply(&x, "a", "{\"size\":1}"), KR_E_INPUT);
    EXPECT_TEXT(x.err.text,
                "Apply failed with 1 conflict: conflict with \"u\" using t/v1: .spec.size");
    world_close(&x);
}

TEST(manage, merged_items_keep_the_order_of_both)
{
    struct world x;

    world_open(&x);
    EXPECT_OK(apply(&x, "a", "{\"tags\":[\"a\",\"b\",\"c\"]}"), &x.err);
    EXPECT_OK(apply(&x, "b", "{\"tags\":[\"c\",\"x\",\"a\"]}"), &x.err);
    EXPECT_TEXT(kr_cstr(&x.a, kr_json_str(&x.a, kr_at(x.now, "spec.tags"))),
                "[\"b\",\"c\",\"x\",\"a\"]");
    world_close(&x);
}

TEST(manage, what_the_schema_does_not_know_is_refused)
{
    struct world x;

    world_open(&x);
    assert_int_equal(apply(&x, "a", "{\"siez\":1}"), KR_E_INPUT);
    assert_int_equal(x.status, 500);
    EXPECT_TEXT(x.err.text,
                "failed to create typed patch object (/o; t/v1, Kind=T): .spec.siez: field "
                "not declared in schema");
    assert_int_equal(apply(&x, "a", "{\"tags\":[\"a\",\"a\"]}"), KR_E_INPUT);
    EXPECT_TEXT(x.err.text, "failed to create typed patch object (/o; t/v1, Kind=T): .spec.tags: "
                            "duplicate entries for key [=\"a\"]");
    world_close(&x);
}

TEST(manage, an_object_that_is_not_tracked_has_a_first_owner)
{
    struct world x;

    world_open(&x);
    x.now = object(&x, "{\"size\":1}");
    assert_int_equal(apply(&x, "a", "{\"size\":2}"), KR_E_INPUT);
    EXPECT_TEXT(x.err.text,
                "Apply failed with 1 conflict: conflict with \"before-first-apply\" using "
                "t/v1: .spec.size");
    update(&x, "u", "{\"size\":3}");
    expect(&x, "{\"size\":3}\n"); /* and no update begins to track it */
    world_close(&x);
}

int main(void)
{
    return RUN(T(manage, a_creation_owns_all_with_the_containers_it_brings),
               T(manage, what_is_applied_no_more_goes_unless_another_has_it),
               T(manage, an_apply_that_changes_nothing_keeps_its_time),
               T(manage, a_conflict_names_managers_and_fields),
               T(manage, an_update_takes_what_it_changes_and_drops_who_has_nothing_left),
               T(manage, merged_items_keep_the_order_of_both),
               T(manage, what_the_schema_does_not_know_is_refused),
               T(manage, an_object_that_is_not_tracked_has_a_first_owner));
}
