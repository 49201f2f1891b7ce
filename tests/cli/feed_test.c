/* SPDX-License-Identifier: Apache-2.0 */
/* Documents go into a sandbox in the right order, wait for their kinds, and are refused by name. */
#include "cli/feed.h"

#include "cli/local.h"
#include "tests/lib/test.h"

#define CRD(group, plural, kind)                                                                   \
    "apiVersion: apiextensions.k8s.io/v1\n"                                                        \
    "kind: CustomResourceDefinition\n"                                                             \
    "metadata: {name: " plural "." group "}\n"                                                     \
    "spec:\n"                                                                                      \
    "  group: " group "\n"                                                                         \
    "  scope: Namespaced\n"                                                                        \
    "  names: {plural: " plural ", kind: " kind "}\n"                                              \
    "  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: "       \
    "object, "                                                                                     \
    "x-kubernetes-preserve-unknown-fields: true}}}]\n"

struct fixture {
    struct vclock clock;
    struct sandbox *s;
    struct cli_feed feed;
    struct kr_buf told;
};

static void open_fixture(struct fixture *f)
{
    *f = (struct fixture){.told = KR_BUF(64 * 1024)};
    vclock_init(&f->clock);
    f->s = sandbox_new(&f->clock.door, &(struct sandbox_opts){0});
}

static void close_fixture(struct fixture *f)
{
    cli_feed_fini(&f->feed);
    sandbox_free(f->s);
    vclock_fini(&f->clock);
    kr_buf_fini(&f->told);
}

static void on_refused(void *arg, kr_str what, kr_str why)
{
    kr_buf_fmt(&((struct fixture *)arg)->told, KR_FMT ": " KR_FMT "\n", KR_ARG(what), KR_ARG(why));
}

static int add(struct fixture *f, const char *yaml, struct kr_err *err)
{
    kr_val docs;

    KR_TRY(kr_yaml_parse(&f->feed.a, kr_str_c(yaml), &docs, err));
    KR_LIST_EACH (doc, docs)
        KR_TRY(cli_feed_doc(&f->feed, "x.yaml", *doc, err));
    return 0;
}

static uint32_t offer(struct fixture *f)
{
    uint32_t n = cli_feed_offer(&f->feed, f->s, "test", on_refused, f);

    vclock_advance(&f->clock, 1000);
    return n;
}

static int status_of(struct fixture *f, const char *path)
{
    struct sandbox_request q = {.method = "GET", .path = kr_str_c(path)};
    struct sandbox_response r = {0};
    int status;

    sandbox_serve(f->s, &q, &r);
    status = r.status;
    sandbox_response_fini(&r);
    return status;
}

TEST(cli_feed, a_document_waits_for_its_kind_and_for_its_namespace)
{
    struct kr_err err = KR_ERR_NONE;
    struct fixture f;

    open_fixture(&f);
    EXPECT_OK(add(&f,
                  "{apiVersion: x.io/v1, kind: Thing, metadata: {name: t}}\n---\n"
                  "{apiVersion: v1, kind: ConfigMap, metadata: {name: m, namespace: later}}\n",
                  &err),
              &err);
    assert_int_equal(offer(&f), 2);
    assert_int_equal(offer(&f), 2);
    EXPECT_OK(add(&f, CRD("x.io", "things", "Thing"), &err), &err);
    offer(&f);
    assert_int_equal(offer(&f), 1);
    EXPECT_OK(add(&f, "{apiVersion: v1, kind: Namespace, metadata: {name: later}}", &err), &err);
    assert_int_equal(offer(&f), 0); /* a namespace goes first */
    assert_int_equal(status_of(&f, "/apis/x.io/v1/namespaces/default/things/t"), 200);
    assert_int_equal(status_of(&f, "/api/v1/namespaces/later/configmaps/m"), 200);
    EXPECT_TEXT(f.told.s ? f.told.s : "", "");
    close_fixture(&f);
}

TEST(cli_feed, what_waited_too_long_is_told_with_its_reason)
{
    struct kr_err err = KR_ERR_NONE;
    struct fixture f;

    open_fixture(&f);
    EXPECT_OK(add(&f,
                  "{apiVersion: x.io/v1, kind: Thing, metadata: {name: t, namespace: a}}\n---\n"
                  "{apiVersion: v1, kind: ConfigMap, metadata: {name: m, namespace: never}}\n",
                  &err),
              &err);
    offer(&f);
    cli_feed_give_up(&f.feed, on_refused, &f);
    assert_int_equal(f.feed.waiting_n, 0);
    EXPECT_TEXT(f.told.s, "x.yaml: Thing a/t: no such kind is served\n"
                          "x.yaml: ConfigMap never/m: namespaces \"never\" not found\n");
    close_fixture(&f);
}

TEST(cli_feed, what_is_refused_is_told_once_and_the_rest_goes_on)
{
    struct kr_err err = KR_ERR_NONE;
    struct fixture f;

    open_fixture(&f);
    EXPECT_OK(add(&f,
                  "{apiVersion: v1, kind: ConfigMap, metadata: {name: Big}}\n---\n"
                  "{apiVersion: v1, kind: ConfigMap, metadata: {name: m}}\n",
                  &err),
              &err);
    assert_int_equal(offer(&f), 0);
    assert_non_null(strstr(f.told.s, "x.yaml: ConfigMap Big: ConfigMap \"Big\" is invalid"));
    assert_int_equal(status_of(&f, "/api/v1/namespaces/default/configmaps/m"), 200);
    close_fixture(&f);
}

TEST(cli_feed, a_list_is_its_items_and_a_kustomization_nothing)
{
    struct kr_err err = KR_ERR_NONE;
    struct fixture f;

    open_fixture(&f);
    EXPECT_OK(add(&f,
                  "apiVersion: v1\nkind: List\nitems:\n"
                  "- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n"
                  "- {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}\n---\n"
                  "{apiVersion: kustomize.config.k8s.io/v1beta1, kind: Kustomization}\n",
                  &err),
              &err);
    assert_int_equal(f.feed.waiting_n, 2);
    assert_int_equal(offer(&f), 0);
    close_fixture(&f);
}

TEST(cli_feed, a_document_that_is_no_object_is_named)
{
    struct kr_err err = KR_ERR_NONE;
    struct fixture f;

    open_fixture(&f);
    assert_int_equal(add(&f, "{kind: ConfigMap}", &err), KR_E_INPUT);
    EXPECT_TEXT(err.text, "x.yaml: a document without apiVersion or kind");
    assert_int_equal(add(&f, "{apiVersion: v1, kind: ConfigMap}", &err), KR_E_INPUT);
    EXPECT_TEXT(err.text, "x.yaml: a ConfigMap without metadata.name");
    close_fixture(&f);
}

TEST(cli_local, time_passes_at_once_and_equal_input_gives_equal_objects)
{
    struct kr_buf texts[2] = {KR_BUF(64 << 20), KR_BUF(64 << 20)};
    struct kr_err err = KR_ERR_NONE;

    for (int i = 0; i < 2; i++) {
        struct cli_feed feed = {0};
        struct cli_local l;

        cli_local_open(&l, &(struct cli_local_opts){0});
        EXPECT_OK(cli_feed_path(&feed, KROC_SOURCE "/examples/webapp", &err), &err);
        for (int j = 0; j < 3; j++) {
            cli_feed_offer(&feed, l.sandbox, "test", NULL, NULL);
            EXPECT_OK(cli_local_rest(&l, &err), &err);
        }
        assert_int_equal(feed.waiting_n, 0);
        EXPECT_OK(cli_local_pass(&l, 3600 * 1000, &err), &err);
        sandbox_text(l.sandbox, &texts[i]);
        cli_local_close(&l);
        cli_feed_fini(&feed);
    }
    assert_true(kr_str_find(kr_buf_view(&texts[0]), KR_S("\"state\":\"ACTIVE\"")) > 0);
    assert_true(kr_str_eq(kr_buf_view(&texts[0]), kr_buf_view(&texts[1])));
    kr_buf_fini(&texts[0]);
    kr_buf_fini(&texts[1]);
}

int main(void)
{
    return RUN(T(cli_feed, a_document_waits_for_its_kind_and_for_its_namespace),
               T(cli_feed, what_waited_too_long_is_told_with_its_reason),
               T(cli_feed, what_is_refused_is_told_once_and_the_rest_goes_on),
               T(cli_feed, a_list_is_its_items_and_a_kustomization_nothing),
               T(cli_feed, a_document_that_is_no_object_is_named),
               T(cli_local, time_passes_at_once_and_equal_input_gives_equal_objects));
}
