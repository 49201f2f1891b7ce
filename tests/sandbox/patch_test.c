/* SPDX-License-Identifier: Apache-2.0 */
/* patch_test.c - the three patches: what a document becomes. */
#include "kube/sandbox/patch.h"

#include "kube/builtin.h"
#include "tests/lib/test.h"

#include "cel/base/banned.h"

struct row {
    const char *doc, *patch, *want; /* want NULL: it does not fit */
};

static void expect(struct kr_arena *a, kr_val got, const char *want)
{
    EXPECT_TEXT(kr_cstr(a, kr_json_str(a, got)), kr_cstr(a, kr_json_str(a, test_json(a, want))));
}

TEST(patch, json_operations)
{
    static const struct row rows[] = {
        {"{}", "[{\"op\":\"add\",\"path\":\"/a\",\"value\":1}]", "{\"a\":1}"},
        {"{\"a\":[1,3]}", "[{\"op\":\"add\",\"path\":\"/a/1\",\"value\":2}]", "{\"a\":[1,2,3]}"},
        {"{\"a\":[1]}", "[{\"op\":\"add\",\"path\":\"/a/-\",\"value\":2}]", "{\"a\":[1,2]}"},
        {"{\"a\":[1]}", "[{\"op\":\"add\",\"path\":\"/a/9\",\"value\":2}]", NULL},
        {"{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"/b\"}]", NULL},
        {"{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"/b\",\"value\":2}]", "{\"a\":1,\"b\":2}"},
        {"{}", "[{\"op\":\"replace\",\"path\":\"/b/c\",\"value\":2}]", NULL},
        {"{\"a\":1}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/b\"}]", "{\"b\":1}"},
        {"{\"a\":1}", "[{\"op\":\"copy\",\"from\":\"/x\",\"path\":\"/b\"}]",
         "{\"a\":1,\"b\":null}"},
        {"{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":1}]", "{\"a\":1}"},
        {"{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":2}]", NULL},
        {"{\"a/b\":1,\"m~n\":2}",
         "[{\"op\":\"remove\",\"path\":\"/a~1b\"},{\"op\":\"remove\",\"path\":\"/m~0n\"}]", "{}"},
        {"{}", "[{\"op\":\"frob\",\"path\":\"/a\"}]", NULL},
        {"{\"a\":{\"b\":[{\"c\":1}]}}", "[{\"op\":\"replace\",\"path\":\"/a/b/0/c\",\"value\":2}]",
         "{\"a\":{\"b\":[{\"c\":2}]}}"},
    };

    for (size_t i = 0; i < KR_N(rows); i++) {
        KR_AUTO(kr_arena) a = {0};
        struct kr_err err = KR_ERR_NONE;
        kr_val out;
        enum sandbox_json_patch rc = sandbox_patch_json(&a, test_json(&a, rows[i].doc),
                                                        test_json(&a, rows[i].patch), &out, &err);

        assert_int_equal(rc, rows[i].want ? SANDBOX_PATCH_DONE : SANDBOX_PATCH_MISFIT);
        if (rows[i].want)
            expect(&a, out, rows[i].want);
    }
}

TEST(patch, a_json_patch_is_a_list)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_err err = KR_ERR_NONE;
    kr_val out;

    assert_int_equal(sandbox_patch_json(&a, test_json(&a, "{}"), test_json(&a, "{}"), &out, &err),
                     SANDBOX_PATCH_MALFORMED);
}

static enum sandbox_json_patch repeated(struct kr_arena *a, const char *first, const char *ops,
                                        int times)
{
    struct kr_buf b = KR_BUF_IN(a, 4 * 1024 * 1024);
    struct kr_err err = KR_ERR_NONE;
    kr_val out;

    kr_buf_fmt(&b, "[%s", first);
    for (int i = 0; i < times; i++)
        kr_buf_fmt(&b, ",%s", ops);
    kr_buf_fmt(&b, "]");
    return sandbox_patch_json(a, test_json(a, "{\"a\":{\"x\":\"0123456789\"}}"),
                              test_json(a, kr_cstr(a, kr_buf_view(&b))), &out, &err);
}

/* Each copy doubles the document: sixty of them are more than any memory, though not so shared. */
TEST(patch, copies_have_a_limit_in_sum)
{
    const char *op = "{\"op\":\"copy\",\"from\":\"\",\"path\":\"/b\"},"
                     "{\"op\":\"copy\",\"from\":\"/b\",\"path\":\"/c\"}";
    KR_AUTO(kr_arena) a = {0};

    assert_int_equal(repeated(&a, "{\"op\":\"test\",\"path\":\"/n\",\"value\":null}", op, 3),
                     SANDBOX_PATCH_DONE);
    assert_int_equal(repeated(&a, "{\"op\":\"test\",\"path\":\"/n\",\"value\":null}", op, 30),
                     SANDBOX_PATCH_MISFIT);
}

TEST(patch, moves_do_not_make_a_document_deeper_than_one_can_be)
{
    const char *op = "{\"op\":\"add\",\"path\":\"/b\",\"value\":{}},"
                     "{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/b/a\"},"
                     "{\"op\":\"move\",\"from\":\"/b\",\"path\":\"/a\"}";
    const char *first = "{\"op\":\"test\",\"path\":\"/n\",\"value\":null}";
    KR_AUTO(kr_arena) a = {0};

    assert_int_equal(repeated(&a, first, op, SANDBOX_PATCH_DEPTH_MAX - 2), SANDBOX_PATCH_DONE);
    assert_int_equal(repeated(&a, first, op, SANDBOX_PATCH_DEPTH_MAX), SANDBOX_PATCH_MISFIT);
    assert_int_equal(repeated(&a, first, op, 3000), SANDBOX_PATCH_MISFIT);
}

TEST(patch, merge_patch)
{
    static const struct row rows[] = {
        {"{\"a\":1,\"b\":2}", "{\"a\":null,\"c\":3}", "{\"b\":2,\"c\":3}"},
        {"{\"a\":{\"b\":1}}", "{\"a\":{\"c\":2}}", "{\"a\":{\"b\":1,\"c\":2}}"},
        {"{\"a\":[1,2]}", "{\"a\":[3]}", "{\"a\":[3]}"},
        {"{}", "{\"a\":{\"b\":null,\"c\":1}}", "{\"a\":{\"c\":1}}"},
        {"{\"a\":1}", "{\"a\":{\"b\":2}}", "{\"a\":{\"b\":2}}"},
    };

    for (size_t i = 0; i < KR_N(rows); i++) {
        KR_AUTO(kr_arena) a = {0};
        struct kr_err err = KR_ERR_NONE;
        kr_val out = KR_V_NONE;

        EXPECT_OK(sandbox_patch_merge(&a, test_json(&a, rows[i].doc), test_json(&a, rows[i].patch),
                                      &out, &err),
                  &err);
        expect(&a, out, rows[i].want);
    }
}

/* Of a pod's spec. */
TEST(patch, strategic_merge)
{
    static const struct row rows[] = {
        {"{\"containers\":[{\"name\":\"a\",\"image\":\"1\"},{\"name\":\"b\"}]}",
         "{\"containers\":[{\"name\":\"a\",\"image\":\"2\"}]}",
         "{\"containers\":[{\"name\":\"a\",\"image\":\"2\"},{\"name\":\"b\"}]}"},
        {"{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]}",
         "{\"containers\":[{\"name\":\"a\",\"$patch\":\"delete\"}]}",
         "{\"containers\":[{\"name\":\"b\"}]}"},
        {"{\"containers\":[{\"name\":\"a\"}]}",
         "{\"containers\":[{\"$patch\":\"replace\"},{\"name\":\"z\"}]}",
         "{\"containers\":[{\"name\":\"z\"}]}"},
        {"{\"containers\":[{\"name\":\"a\",\"args\":[\"x\"]}]}",
         "{\"containers\":[{\"name\":\"a\",\"args\":[\"y\"]}]}",
         "{\"containers\":[{\"name\":\"a\",\"args\":[\"y\"]}]}"},
        {"{\"nodeSelector\":{\"a\":\"b\"}}", "{\"nodeSelector\":{\"a\":null,\"c\":\"d\"}}",
         "{\"nodeSelector\":{\"c\":\"d\"}}"},
        {"{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]}",
         "{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}],"
         "\"$setElementOrder/containers\":[{\"name\":\"b\"},{\"name\":\"a\"}]}",
         "{\"containers\":[{\"name\":\"b\"},{\"name\":\"a\"}]}"},
    };
    KR_AUTO(kr_arena) a = {0};
    kr_val schemas =
        kr_at(kube_builtin_openapi(&a, (kr_gvk){KR_S(""), KR_S("v1"), KR_S("Pod")}), "components");

    schemas = kr_get(schemas, KR_S("schemas"));
    for (size_t i = 0; i < KR_N(rows); i++) {
        struct kr_err err = KR_ERR_NONE;
        kr_val out = KR_V_NONE;

        EXPECT_OK(sandbox_patch_strategic(&a, schemas, KR_S("io.k8s.api.core.v1.PodSpec"),
                                          test_json(&a, rows[i].doc), test_json(&a, rows[i].patch),
                                          &out, &err),
                  &err);
        expect(&a, out, rows[i].want);
    }
}

int main(void)
{
    return RUN(T(patch, json_operations), T(patch, a_json_patch_is_a_list),
               T(patch, copies_have_a_limit_in_sum),
               T(patch, moves_do_not_make_a_document_deeper_than_one_can_be), T(patch, merge_patch),
               T(patch, strategic_merge));
}
