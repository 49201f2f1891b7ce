/* SPDX-License-Identifier: Apache-2.0 */
/* A store that keeps some of the objects, the set of names of the others, and a watch whose selector
 * changes. */
#include <inttypes.h>
#include <stdio.h>

#include "kube/keyset.h"
#include "kube/watch.h"
#include "tests/kube/virtual.h"

/* --- the set ---------------------------------------------------------------------------------- */

enum { KEYS = 300 };

TEST(keyset, holds_what_was_added_and_not_what_was_removed)
{
    struct kube_keyset s = {0};
    bool has[KEYS] = {false};
    uint64_t seed = 7;
    uint32_t n = 0;

    for (int i = 0; i < 50 * 1000; i++) {
        uint32_t k, at;

        seed = seed * 6364136223846793005u + 1442695040888963407u;
        k = (uint32_t)(seed >> 33) % KEYS;
        at = (seed >> 20) & 1;
        n += at && !has[k];
        n -= !at && has[k];
        has[k] = at;
        if (at)
            kube_keyset_add(&s, (uint64_t)k * 16); /* many share a home, 0 is among them */
        else
            kube_keyset_del(&s, (uint64_t)k * 16);
        assert_int_equal(s.n, n);
        if (i % 97)
            continue;
        for (uint32_t j = 0; j < KEYS; j++)
            assert_true(kube_keyset_has(&s, (uint64_t)j * 16) == has[j]);
    }
    assert_in_range(s.cap, KEYS / 2, 4 * KEYS);
    kube_keyset_fini(&s);
    assert_false(kube_keyset_has(&s, 16));
}

/* --- the store -------------------------------------------------------------------------------- */

struct fixture {
    struct kr_arena a;
    struct kr_fieldset_pool *pool;
    struct kube_changes changes;
    struct kube_store *s;
    struct kr_err err;
    char mine; /* instance that is kept */
    uint64_t version;
};

static bool keep(void *arg, kr_str key, kr_val object)
{
    const struct fixture *f = arg;

    return key.n == 1 && key.s[0] == f->mine;
}

static void open_fixture(struct fixture *f)
{
    *f = (struct fixture){.pool = kr_fieldset_pool_new(), .mine = 'a', .version = 10};
    kr_link_init(&f->changes.head);
    f->s =
        kube_store_new(&(struct kube_store_opts){.gvr = {KR_S(""), KR_S("v1"), KR_S("configmaps")},
                                                 .kind = KR_S("ConfigMap"),
                                                 .pool = f->pool,
                                                 .changes = &f->changes});
    kube_store_filter(f->s, KUBE_KEY_INSTANCE, keep, f);
}

static const char *changes(struct fixture *f)
{
    struct kr_buf b = KR_BUF(10000);
    const char *out;

    for (struct kr_link *l; (l = kr_link_pop(&f->changes.head)) != NULL;) {
        struct kube_change *c = KR_OWNER(l, struct kube_change, link);

        if (!c->synced)
            kr_buf_fmt(&b, "%c" KR_FMT " ", c->now ? '+' : '-',
                       KR_ARG(kr_rec_name((c->now ? c->now : c->old))));
        kube_change_free(c);
    }
    out = kr_cstr(&f->a, kr_buf_view(&b));
    kr_buf_fini(&b);
    return out;
}

static void close_fixture(struct fixture *f)
{
    changes(f);
    kube_store_free(f->s);
    kr_fieldset_pool_free(f->pool);
    kr_arena_fini(&f->a);
}

/* instance 0: no label. */
static kr_val object(struct fixture *f, const char *name, char instance)
{
    kr_str labels =
        instance ? kr_fmt(&f->a, "{\"kro.run/instance-id\":\"%c\"}", instance) : KR_S("{}");

    return test_json(&f->a,
                     kr_fmt(&f->a,
                            "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"n\",\"uid\":"
                            "\"u-%s\",\"resourceVersion\":\"%" PRIu64 "\",\"labels\":" KR_FMT "}}",
                            name, name, f->version++, KR_ARG(labels))
                         .s);
}

static void put(struct fixture *f, const char *name, char instance)
{
    EXPECT_OK(kube_store_put(f->s, object(f, name, instance), &f->err), &f->err);
}

static bool dropped(struct fixture *f, const char *name)
{
    return kube_store_dropped(f->s, KR_S("n"), kr_str_c(name));
}

TEST(filter, of_what_is_not_kept_the_name_is_remembered)
{
    struct fixture f;

    open_fixture(&f);
    kube_store_list_begin(f.s);
    EXPECT_OK(kube_store_list_item(f.s, object(&f, "ours", 'a'), &f.err), &f.err);
    EXPECT_OK(kube_store_list_item(f.s, object(&f, "theirs", 'b'), &f.err), &f.err);
    EXPECT_OK(kube_store_list_item(f.s, object(&f, "nobodys", 0), &f.err), &f.err);
    assert_int_equal(kube_store_dropped_n(f.s), 0); /* not before the list is complete */
    kube_store_list_done_at(f.s, KR_S(""));
    EXPECT_TEXT(changes(&f), "+ours +nobodys ");
    assert_true(dropped(&f, "theirs") && !dropped(&f, "ours") && !dropped(&f, "nobodys"));
    put(&f, "more", 'b');
    assert_int_equal(kube_store_dropped_n(f.s), 2);
    EXPECT_OK(kube_store_delete(f.s, object(&f, "more", 'b'), &f.err), &f.err);
    assert_int_equal(kube_store_dropped_n(f.s), 1);
    EXPECT_TEXT(changes(&f), "");
    kube_store_list_begin(f.s);
    kube_store_list_done_at(f.s, KR_S(""));
    assert_int_equal(kube_store_dropped_n(f.s), 0);
    EXPECT_TEXT(changes(&f), "-ours -nobodys ");
    close_fixture(&f);
}

TEST(filter, an_object_that_changes_hands_goes_or_comes)
{
    struct fixture f;
    kr_val old;

    open_fixture(&f);
    kube_store_list_begin(f.s);
    kube_store_list_done_at(f.s, KR_S(""));
    put(&f, "x", 'a');
    old = object(&f, "x", 'b');
    put(&f, "x", 'a');
    EXPECT_OK(kube_store_put(f.s, old, &f.err), &f.err); /* of the past */
    EXPECT_TEXT(changes(&f), "+x ");
    put(&f, "x", 'b');
    EXPECT_TEXT(changes(&f), "-x ");
    assert_true(dropped(&f, "x"));
    put(&f, "x", 'a');
    EXPECT_TEXT(changes(&f), "+x ");
    assert_false(dropped(&f, "x"));
    close_fixture(&f);
}

static void on_gone(void *arg, struct kr_rec *rec)
{
    kr_buf_fmt(arg, KR_FMT " ", KR_ARG(kr_rec_name(rec)));
}

TEST(filter, sifting_is_silent_and_an_answer_for_another_is_not_stored)
{
    struct fixture f;
    struct kr_buf gone = KR_BUF(100);
    struct kr_rec *rec = NULL;

    open_fixture(&f);
    kube_store_list_begin(f.s);
    kube_store_list_done_at(f.s, KR_S(""));
    put(&f, "x", 'a');
    put(&f, "y", 0);
    changes(&f);
    f.mine = 'b';
    kube_store_sift(f.s, on_gone, &gone);
    EXPECT_TEXT(kr_cstr(&f.a, kr_buf_view(&gone)), "x ");
    EXPECT_TEXT(changes(&f), "");
    assert_int_equal(kube_store_n(f.s), 1);
    assert_true(dropped(&f, "x"));
    EXPECT_OK(kube_store_response(f.s, kube_store_run(f.s), object(&f, "z", 'a'), &rec, &f.err),
              &f.err);
    assert_non_null(rec); /* whoever asked gets its answer */
    kr_rec_drop(rec);
    assert_int_equal(kube_store_n(f.s), 1);
    assert_true(dropped(&f, "z"));
    kube_store_undrop(f.s, KR_S("n"), KR_S("z"));
    assert_false(dropped(&f, "z"));
    EXPECT_TEXT(changes(&f), "");
    kr_buf_fini(&gone);
    close_fixture(&f);
}

/* --- the watch -------------------------------------------------------------------------------- */

TEST(select, a_paused_watch_asks_nothing_and_a_new_selector_lists_anew)
{
    struct virt v;
    struct kr_fieldset_pool *pool = kr_fieldset_pool_new();
    struct kube_changes changes_of = {0};
    struct kube_store *s;
    struct kube_watch *w;
    struct kr_link *l;

    virt_open(&v, NULL);
    kr_link_init(&changes_of.head);
    s = kube_store_new(&(struct kube_store_opts){.gvr = {KR_S(""), KR_S("v1"), KR_S("configmaps")},
                                                 .kind = KR_S("ConfigMap"),
                                                 .pool = pool,
                                                 .changes = &changes_of});
    fakeapi_apply(
        v.api, "me",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: one, labels: {b: '1'}}}\n---\n"
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: two, labels: {b: '2'}}}\n---\n"
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: none}}\n");
    fakeapi_log_reset(v.api);
    w = kube_watch_new(v.client, s, &(struct kube_watch_opts){.paused = true});
    virt_settle(&v);
    EXPECT_TEXT(fakeapi_log(v.api), "");
    kube_watch_select(w, KR_S("b notin (2)"), true); /* one, and what has no label */
    virt_settle(&v);
    assert_int_equal(kube_store_n(s), 2);
    kube_watch_select(w, KR_S("b notin (1)"), true);
    virt_settle(&v);
    assert_int_equal(kube_store_n(s), 2);
    assert_non_null(kube_store_get(s, KR_S("default"), KR_S("two")));
    fakeapi_log_reset(v.api);
    kube_watch_select(w, KR_S("b notin (1,2)"), false); /* with the next stream */
    virt_settle(&v);
    EXPECT_TEXT(fakeapi_log(v.api), "");
    kube_watch_close(w, NULL, NULL);
    virt_settle(&v);
    while ((l = kr_link_pop(&changes_of.head)) != NULL)
        kube_change_free(KR_OWNER(l, struct kube_change, link));
    kube_store_free(s);
    kr_fieldset_pool_free(pool);
    kube_client_free(v.client);
    fakeapi_free(v.api);
    vclock_fini(&v.clock);
    kr_arena_fini(&v.a);
}

int main(void)
{
    return RUN(T(keyset, holds_what_was_added_and_not_what_was_removed),
               T(filter, of_what_is_not_kept_the_name_is_remembered),
               T(filter, an_object_that_changes_hands_goes_or_comes),
               T(filter, sifting_is_silent_and_an_answer_for_another_is_not_stored),
               T(select, a_paused_watch_asks_nothing_and_a_new_selector_lists_anew));
}
