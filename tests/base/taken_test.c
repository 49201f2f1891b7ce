/* SPDX-License-Identifier: Apache-2.0 */
/* taken_test.c - which field of ours somebody took, and who. */
#include "cel/base/fieldset.h"
#include "tests/lib/test.h"

/* "manager field"; empty: nothing was taken. */
static const char *taken(struct kr_arena *a, const char *was, const char *now, const char *object)
{
    struct kr_fieldset_pool *pool = kr_fieldset_pool_new();
    const struct kr_fieldset *x = NULL, *y = NULL;
    struct kr_err err = KR_ERR_NONE;
    kr_str manager, field;
    const char *out = "";

    EXPECT_OK(kr_fieldset_intern(pool, test_json(a, was), &x, &err), &err);
    if (now)
        EXPECT_OK(kr_fieldset_intern(pool, test_json(a, now), &y, &err), &err);
    if (kr_fieldset_taken(x, y, test_json(a, object), KR_S("us"), a, &manager, &field))
        out = kr_cstr(a, kr_fmt(a, KR_FMT " " KR_FMT, KR_ARG(manager), KR_ARG(field)));
    kr_fieldset_drop(x);
    kr_fieldset_drop(y);
    kr_fieldset_pool_free(pool);
    return out;
}

static const char both[] =
    "{\"metadata\":{\"managedFields\":["
    "{\"manager\":\"us\",\"operation\":\"Apply\",\"time\":\"2026-01-03T00:00:00Z\","
    "\"fieldsV1\":{\"f:spec\":{\"f:replicas\":{}}}},"
    "{\"manager\":\"kubelet\",\"operation\":\"Update\",\"time\":\"2026-01-02T00:00:00Z\","
    "\"fieldsV1\":{\"f:status\":{\"f:phase\":{}}}},"
    "{\"manager\":\"hpa\",\"operation\":\"Update\",\"time\":\"2026-01-01T00:00:00Z\","
    "\"fieldsV1\":{\"f:spec\":{\"f:replicas\":{},\"f:list\":{\"k:{\\\"name\\\":\\\"web\\\"}\":{"
    "\"f:image\":{}}}}}}]}}";

TEST(taken, names_the_field_and_who_has_it)
{
    KR_AUTO(kr_arena) a = {0};

    EXPECT_TEXT(taken(&a, "{\"f:spec\":{\"f:paused\":{},\"f:replicas\":{}}}",
                      "{\"f:spec\":{\"f:paused\":{}}}", both),
                "hpa spec.replicas");
    EXPECT_TEXT(taken(&a, "{\"f:spec\":{\"f:replicas\":{}}}", NULL, both), "hpa spec.replicas");
}

TEST(taken, prints_items_of_lists_by_their_key)
{
    KR_AUTO(kr_arena) a = {0};

    EXPECT_TEXT(taken(&a,
                      "{\"f:spec\":{\"f:list\":{\"k:{\\\"name\\\":\\\"web\\\"}\":{\".\":{},"
                      "\"f:image\":{},\"f:name\":{}}}}}",
                      "{\"f:spec\":{\"f:list\":{\"k:{\\\"name\\\":\\\"web\\\"}\":{\".\":{},"
                      "\"f:name\":{}}}}}",
                      both),
                "hpa spec.list[name=\"web\"].image");
    EXPECT_TEXT(taken(&a, "{\"f:metadata\":{\"f:finalizers\":{\"v:\\\"a/b\\\"\":{}}}}",
                      "{\"f:metadata\":{}}", both),
                "kubelet metadata.finalizers[=\"a/b\"]");
}

TEST(taken, of_a_field_that_nobody_has_the_last_writer_is_named)
{
    KR_AUTO(kr_arena) a = {0};

    EXPECT_TEXT(
        taken(&a, "{\"f:data\":{\"f:x\":{},\"f:y\":{}}}", "{\"f:data\":{\"f:y\":{}}}", both),
        "kubelet data.x");
    EXPECT_TEXT(taken(&a, "{\"f:data\":{\"f:x\":{}}}", "{\"f:spec\":{\"f:x\":{}}}", "{}"),
                " data.x");
}

TEST(taken, nothing_where_the_set_is_the_same_or_has_grown)
{
    KR_AUTO(kr_arena) a = {0};

    EXPECT_TEXT(taken(&a, "{\"f:data\":{\"f:x\":{}}}", "{\"f:data\":{\"f:x\":{}}}", both), "");
    EXPECT_TEXT(
        taken(&a, "{\"f:data\":{\"f:x\":{}}}", "{\"f:data\":{\"f:x\":{},\"f:y\":{}}}", both), "");
}

int main(void)
{
    return RUN(T(taken, names_the_field_and_who_has_it),
               T(taken, prints_items_of_lists_by_their_key),
               T(taken, of_a_field_that_nobody_has_the_last_writer_is_named),
               T(taken, nothing_where_the_set_is_the_same_or_has_grown));
}
