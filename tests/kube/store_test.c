/* SPDX-License-Identifier: Apache-2.0 */
/* store_test.c - what becomes visible, what is reported, and what is dropped. */
#include "kube/store.h"

#include "tests/lib/test.h"

struct fixture {
    struct kr_arena a;
    struct kr_fieldset_pool *pool;
    struct kube_changes changes;
    struct kube_store *s;
    struct kr_err err;
    uint32_t leaf;
    int wakes;
};

static void on_wake(void *arg)
{
    ((struct fixture *)arg)->wakes++;
}

static void fixture_init(struct fixture *f)
{
    kr_str path = KR_S("v");

    *f = (struct fixture){.pool = kr_fieldset_pool_new()};
    kr_link_init(&f->changes.head);
    f->changes.wake = on_wake;
    f->changes.arg = f;
    f->s =
        kube_store_new(&(struct kube_store_opts){.gvr = {KR_S(""), KR_S("v1"), KR_S("configmaps")},
                                                 .kind = KR_S("ConfigMap"),
                                                 .pool = f->pool,
                                                 .changes = &f->changes});
    assert_int_equal(kube_projection_add(kube_store_projection(f->s), &path, 1, &f->leaf, &f->err),
                     1);
}

/* Takes the list of changes as text: "+a" came, "-a" went, "~a" changed, "synced". */
static const char *changes(struct fixture *f)
{
    struct kr_buf b = KR_BUF(10000);
    const char *out;

    for (struct kr_link *l; (l = kr_link_pop(&f->changes.head)) != NULL;) {
        struct kube_change *c = KR_OWNER(l, struct kube_change, link);

        if (c->synced)
            kr_buf_str(&b, KR_S("synced "));
        else
            kr_buf_fmt(&b, "%c%.*s ",
                       !c->old   ? '+'
                       : !c->now ? '-'
                                 : '~',
                       KR_ARG(kr_rec_name((c->now ? c->now : c->old))));
        kube_change_free(c);
    }
    out = kr_cstr(&f->a, kr_buf_view(&b));
    kr_buf_fini(&b);
    return out;
}

static void fixture_fini(struct fixture *f)
{
    changes(f);
    kube_store_free(f->s);
    assert_int_equal(kr_fieldset_pool_n(f->pool), 0);
    kr_fieldset_pool_free(f->pool);
    kr_arena_fini(&f->a);
}

static kr_val object(struct fixture *f, const char *name, const char *version, int v)
{
    return test_json(&f->a,
                     kr_fmt(&f->a,
                            "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"n\",\"uid\":\"u-%s\","
                            "\"resourceVersion\":\"%s\"},\"v\":%d}",
                            name, name, version, v)
                         .s);
}

static void item(struct fixture *f, const char *name, const char *version, int v)
{
    EXPECT_OK(kube_store_list_item(f->s, object(f, name, version, v), &f->err), &f->err);
}

static void put(struct fixture *f, const char *name, const char *version, int v)
{
    EXPECT_OK(kube_store_put(f->s, object(f, name, version, v), &f->err), &f->err);
}

static void del(struct fixture *f, const char *name, const char *version)
{
    EXPECT_OK(kube_store_delete(f->s, object(f, name, version, 0), &f->err), &f->err);
}

static void response(struct fixture *f, uint64_t run, const char *name, const char *version, int v)
{
    struct kr_rec *r = NULL;

    EXPECT_OK(kube_store_response(f->s, run, object(f, name, version, v), &r, &f->err), &f->err);
    assert_true(kr_str_eq(kr_rec_version(r), kr_str_c(version)));
    kr_rec_drop(r);
}

static void list(struct fixture *f, const char *version)
{
    kube_store_list_begin(f->s);
    item(f, "a", "5", 1);
    item(f, "b", "6", 1);
    kube_store_list_done_at(f->s, kr_str_c(version));
    changes(f);
}

/* "name=v" of all objects in order. */
static const char *content(struct fixture *f)
{
    struct kr_buf b = KR_BUF(10000);
    const char *out;
    uint64_t at = 0;

    for (struct kr_rec *r; (r = kube_store_next(f->s, &at)) != NULL;)
        kr_buf_fmt(&b, "%.*s=%d ", KR_ARG(kr_rec_name(r)),
                   (int)kr_get(kr_rec_root(r), KR_S("v")).i);
    out = kr_cstr(&f->a, kr_buf_view(&b));
    kr_buf_fini(&b);
    return out;
}

TEST(kube_store, a_list_is_visible_when_it_is_complete)
{
    struct fixture f;

    fixture_init(&f);
    kube_store_list_begin(f.s);
    item(&f, "a", "1", 1);
    item(&f, "b", "2", 2);
    EXPECT_TEXT(content(&f), "");
    EXPECT_TEXT(changes(&f), "");
    assert_false(kube_store_synced(f.s));
    assert_int_equal(f.wakes, 0);
    kube_store_list_done_at(f.s, KR_S("3"));
    EXPECT_TEXT(content(&f), "a=1 b=2 ");
    assert_int_equal(f.wakes, 1);
    EXPECT_TEXT(changes(&f), "+a +b synced ");
    assert_true(kube_store_synced(f.s) && kube_store_n(f.s) == 2 && kube_store_bytes(f.s) > 200);
    fixture_fini(&f);
}

TEST(kube_store, an_object_without_a_visible_difference_keeps_its_record)
{
    struct fixture f;
    struct kr_rec *held;

    fixture_init(&f);
    list(&f, "7");
    held = kr_rec_hold(kube_store_get(f.s, KR_S("n"), KR_S("a")));
    put(&f, "a", "8", 1);
    assert_ptr_equal(kube_store_get(f.s, KR_S("n"), KR_S("a")), held);
    assert_true(kr_str_is(kr_rec_version(held), "8") && held->version_u == 8);
    put(&f, "a", "8", 2); /* an echo */
    put(&f, "a", "7", 3); /* from the past */
    assert_ptr_equal(kube_store_get(f.s, KR_S("n"), KR_S("a")), held);
    kube_store_list_begin(f.s);
    item(&f, "a", "9", 1);
    item(&f, "b", "6", 2);
    kube_store_list_done_at(f.s, KR_S("9"));
    EXPECT_TEXT(changes(&f), "~b synced ");
    assert_ptr_equal(kube_store_get(f.s, KR_S("n"), KR_S("a")), held);
    assert_true(held->version_u == 9);
    put(&f, "a", "10", 1); /* a digit more */
    assert_true(held->version_u == 10);
    put(&f, "a", "1000", 1); /* does not fit */
    assert_true(kube_store_get(f.s, KR_S("n"), KR_S("a"))->version_u == 1000);
    put(&f, "a", "1001", 2);
    EXPECT_TEXT(changes(&f), "~a ");
    kr_rec_drop(held);
    fixture_fini(&f);
}

/* Whoever is faster, the watch or the answer: there is one record of what both show. */
TEST(kube_store, an_answer_that_the_watch_has_told_gets_the_record_that_is_here)
{
    struct fixture f;
    struct kr_err err = KR_ERR_NONE;
    struct kr_rec *got = NULL;
    uint64_t run;

    fixture_init(&f);
    list(&f, "7");
    run = kube_store_run(f.s);
    put(&f, "a", "8", 5);
    EXPECT_OK(kube_store_response(f.s, run, object(&f, "a", "8", 5), &got, &err), &err);
    assert_ptr_equal(got, kube_store_get(f.s, KR_S("n"), KR_S("a")));
    kr_rec_drop(got);
    EXPECT_OK(kube_store_response(f.s, run, object(&f, "a", "7", 4), &got, &err), &err);
    assert_ptr_not_equal(got, kube_store_get(f.s, KR_S("n"), KR_S("a"))); /* of the past: its own */
    assert_true(got->version_u == 7);
    kr_rec_drop(got);
    fixture_fini(&f);
}

TEST(kube_store, items_of_a_list_get_kind_and_version_of_the_type)
{
    struct fixture f;
    struct kr_rec *r;

    fixture_init(&f);
    list(&f, "9");
    r = kube_store_get(f.s, KR_S("n"), KR_S("a"));
    assert_true(kr_is_str(kr_get(kr_rec_root(r), KR_S("kind")), KR_S("ConfigMap")));
    assert_true(kr_is_str(kr_get(kr_rec_root(r), KR_S("apiVersion")), KR_S("v1")));
    assert_null(kube_store_get(f.s, KR_S(""), KR_S("a")));
    fixture_fini(&f);
}

TEST(kube_store, a_second_list_replaces_whatever_its_versions)
{
    struct fixture f;

    fixture_init(&f);
    list(&f, "100");
    kube_store_list_begin(f.s); /* an older etcd was restored: all versions are lower */
    item(&f, "b", "2", 1);
    item(&f, "c", "3", 1);
    item(&f, "a", "1", 7);
    EXPECT_TEXT(content(&f), "a=1 b=1 ");
    kube_store_list_done_at(f.s, KR_S("4"));
    EXPECT_TEXT(changes(&f), "+c ~a synced ");
    EXPECT_TEXT(content(&f), "b=1 c=1 a=7 ");
    kube_store_list_begin(f.s);
    kube_store_list_done_at(f.s, KR_S("5"));
    EXPECT_TEXT(changes(&f), "-b -c -a synced ");
    assert_int_equal(kube_store_bytes(f.s), 0);
    fixture_fini(&f);
}

TEST(kube_store, an_aborted_list_leaves_no_trace)
{
    struct fixture f;

    fixture_init(&f);
    list(&f, "9");
    kube_store_list_begin(f.s);
    item(&f, "c", "12", 1);
    kube_store_list_abort(f.s);
    EXPECT_TEXT(changes(&f), "");
    EXPECT_TEXT(content(&f), "a=1 b=1 ");
    fixture_fini(&f);
}

TEST(kube_store, events_report_only_what_somebody_reads)
{
    struct fixture f;

    fixture_init(&f);
    list(&f, "9");
    put(&f, "a", "10", 1);
    EXPECT_TEXT(changes(&f), "");
    assert_true(kr_str_is(kr_rec_version(kube_store_get(f.s, KR_S("n"), KR_S("a"))), "10"));
    put(&f, "a", "11", 2);
    put(&f, "c", "12", 1);
    del(&f, "b", "13");
    del(&f, "nobody", "14");
    EXPECT_TEXT(changes(&f), "~a +c -b ");
    fixture_fini(&f);
}

TEST(kube_store, an_older_event_and_an_echo_are_dropped)
{
    struct fixture f;

    fixture_init(&f);
    list(&f, "9");
    response(&f, kube_store_run(f.s), "a", "20", 5);
    EXPECT_TEXT(changes(&f), "~a ");
    put(&f, "a", "15", 3);
    put(&f, "a", "20", 5);
    del(&f, "a", "19"); /* the object before the one that our apply created anew */
    EXPECT_TEXT(changes(&f), "");
    EXPECT_TEXT(content(&f), "a=5 b=1 ");
    del(&f, "a", "21");
    EXPECT_TEXT(changes(&f), "-a ");
    fixture_fini(&f);
}

TEST(kube_store, where_versions_are_no_numbers_the_later_arrival_wins)
{
    struct fixture f;

    fixture_init(&f);
    list(&f, "x9");
    put(&f, "a", "abc", 2);
    put(&f, "a", "abb", 3);
    EXPECT_TEXT(changes(&f), "~a ~a ");
    put(&f, "a", "abb", 4); /* the same version: an echo */
    EXPECT_TEXT(changes(&f), "");
    put(&f, "a", "3", 5); /* only one of them is a number */
    EXPECT_TEXT(changes(&f), "~a ");
    del(&f, "a", "zzz");
    EXPECT_TEXT(changes(&f), "-a ");
    fixture_fini(&f);
}

TEST(kube_store, a_response_from_before_the_list_counts_until_that_is_complete)
{
    struct fixture f;
    uint64_t run;

    fixture_init(&f);
    list(&f, "9");
    run = kube_store_run(f.s);
    kube_store_list_begin(f.s);
    item(&f, "a", "5", 1);
    response(&f, run, "a", "50", 9);
    response(&f, run, "new", "51", 9);
    EXPECT_TEXT(changes(&f), "~a +new ");
    kube_store_list_done_at(f.s, KR_S("60"));
    response(&f, run, "a", "70", 9);
    kube_store_response_gone(f.s, run, KR_S("n"), KR_S("a"), KR_S("u-a"), 0);
    EXPECT_TEXT(changes(&f), "~a -b -new synced ");
    EXPECT_TEXT(content(&f), "a=1 ");
    fixture_fini(&f);
}

/* Somebody holds what the answer showed: he must hear of its end. */
TEST(kube_store, the_end_of_what_came_while_lists_failed_is_told)
{
    for (int before = 0; before < 2; before++) {
        struct fixture f;
        uint64_t run;

        fixture_init(&f);
        list(&f, "9");
        run = kube_store_run(f.s);
        kube_store_list_begin(f.s);
        if (before)
            response(&f, run, "new", "51", 9);
        kube_store_list_abort(f.s);
        if (!before)
            response(&f, run, "new", "51", 9);
        EXPECT_TEXT(changes(&f), "+new ");
        kube_store_list_begin(f.s);
        kube_store_list_done_at(f.s, KR_S("60"));
        EXPECT_TEXT(changes(&f), "-a -b -new synced ");
        fixture_fini(&f);
    }
}

/* The list was taken before it was made: the stream will show it. After a server has gone back it will not. */
TEST(kube_store, a_response_newer_than_the_list_stays_unless_the_server_went_back)
{
    for (int back = 0; back < 2; back++) {
        struct fixture f;
        uint64_t run;

        fixture_init(&f);
        list(&f, "9");
        run = kube_store_run(f.s);
        kube_store_list_begin(f.s);
        response(&f, run, "new", "51", 9);
        kube_store_list_done_at(f.s, back ? KR_S("8") : KR_S("50"));
        EXPECT_TEXT(content(&f), back ? "" : "new=9 ");
        fixture_fini(&f);
    }
}

/* The request was taken before the server went back, its answer came when all was listed again. */
TEST(kube_store, a_response_of_before_the_server_went_back_shows_nothing)
{
    struct fixture f;
    struct kr_rec *r = NULL;
    uint64_t run;

    fixture_init(&f);
    list(&f, "9");
    run = kube_store_run(f.s);
    list(&f, "8");
    list(&f, "10");
    EXPECT_OK(kube_store_response(f.s, run, object(&f, "a", "9", 2), &r, &f.err), &f.err);
    assert_null(r);
    EXPECT_TEXT(content(&f), "a=1 b=1 ");
    response(&f, kube_store_run(f.s), "a", "11", 3);
    EXPECT_TEXT(content(&f), "a=3 b=1 ");
    fixture_fini(&f);
}

TEST(kube_store, a_response_during_a_list_is_merged_by_version)
{
    struct fixture f;
    uint64_t run;

    fixture_init(&f);
    kube_store_list_begin(f.s);
    run = kube_store_run(f.s);
    item(&f, "a", "5", 1);
    response(&f, run, "a", "12", 9);   /* newer than the list has it */
    response(&f, run, "b", "6", 9);    /* the list has a newer one */
    response(&f, run, "old", "8", 9);  /* deleted before the list was taken */
    response(&f, run, "new", "11", 9); /* made after it was taken */
    EXPECT_TEXT(changes(&f), "+a +b +old +new ");
    item(&f, "b", "7", 2);
    kube_store_list_done_at(f.s, KR_S("10"));
    EXPECT_TEXT(changes(&f), "~b -old synced ");
    EXPECT_TEXT(content(&f), "a=9 b=2 new=9 ");
    fixture_fini(&f);
}

TEST(kube_store, a_response_about_a_deleted_object_does_not_bring_it_back)
{
    struct fixture f;

    fixture_init(&f);
    list(&f, "9");
    del(&f, "a", "20");
    changes(&f);
    response(&f, kube_store_run(f.s), "a", "19", 3);
    EXPECT_TEXT(changes(&f), "");
    response(&f, kube_store_run(f.s), "a", "21", 3);
    EXPECT_TEXT(changes(&f), "+a ");
    fixture_fini(&f);
}

TEST(kube_store, an_object_that_is_gone_stays_gone_until_a_new_one_comes)
{
    struct fixture f;
    kr_val again;

    fixture_init(&f);
    list(&f, "9");
    kube_store_response_gone(f.s, kube_store_run(f.s), KR_S("n"), KR_S("a"), KR_S(""), 0);
    EXPECT_TEXT(changes(&f), "-a ");
    put(&f, "a", "15", 3); /* still on its way when we deleted */
    EXPECT_TEXT(changes(&f), "");
    del(&f, "a", "16");
    EXPECT_TEXT(changes(&f), "");
    again = kr_with(&f.a, object(&f, "a", "17", 4), "metadata.uid", KR_V_STR("u-other"));
    EXPECT_OK(kube_store_put(f.s, again, &f.err), &f.err);
    EXPECT_TEXT(changes(&f), "+a ");
    kube_store_response_gone(f.s, kube_store_run(f.s), KR_S("n"), KR_S("a"), KR_S("u-a"), 0);
    EXPECT_TEXT(changes(&f), ""); /* the name has another object by now */
    fixture_fini(&f);
}

static void gone(struct fixture *f, const char *name, uint64_t version)
{
    kr_str uid = kr_fmt(&f->a, "u-%s", name);

    kube_store_response_gone(f->s, kube_store_run(f->s), KR_S("n"), kr_str_c(name), uid, version);
}

/* The events of it that are still on their way would be dropped: here there are none. */
TEST(kube_store, an_answer_slower_than_the_deletion_leaves_nothing_behind)
{
    struct fixture f;

    fixture_init(&f);
    list(&f, "9");
    del(&f, "a", "20");
    EXPECT_TEXT(changes(&f), "-a ");
    gone(&f, "a", 20);
    put(&f, "a", "21", 3);
    EXPECT_TEXT(changes(&f), "+a ");
    gone(&f, "c", 30); /* not seen yet: its events are still to come */
    put(&f, "c", "29", 1);
    EXPECT_TEXT(changes(&f), "");
    fixture_fini(&f);
}

TEST(kube_store, no_more_than_so_many_are_remembered_as_gone)
{
    struct fixture f;

    fixture_init(&f);
    list(&f, "9");
    for (int i = 0; i <= KUBE_STORE_TOMBS_MAX; i++)
        gone(&f, kr_cstr(&f.a, kr_fmt(&f.a, "t%d", i)), 0);
    gone(&f, "t1", 0); /* the same again takes no second place */
    put(&f, "t1", "10", 1);
    put(&f, "t2", "10", 1);
    EXPECT_TEXT(changes(&f), "");
    put(&f, "t0", "10", 1); /* the oldest made room */
    EXPECT_TEXT(changes(&f), "+t0 ");
    fixture_fini(&f);
}

TEST(kube_store, what_is_gone_during_a_list_is_not_in_it)
{
    struct fixture f;

    fixture_init(&f);
    list(&f, "9");
    kube_store_list_begin(f.s);
    item(&f, "a", "5", 1);
    item(&f, "b", "6", 1);
    kube_store_response_gone(f.s, kube_store_run(f.s), KR_S("n"), KR_S("a"), KR_S("u-a"), 0);
    kube_store_list_done_at(f.s, KR_S("12"));
    EXPECT_TEXT(changes(&f), "-a synced ");
    EXPECT_TEXT(content(&f), "b=1 ");
    kube_store_list_begin(f.s); /* the next list has the last word */
    item(&f, "a", "5", 1);
    kube_store_list_done_at(f.s, KR_S("20"));
    EXPECT_TEXT(content(&f), "a=1 ");
    fixture_fini(&f);
}

TEST(kube_store, changes_among_the_items_of_a_streaming_list_count)
{
    struct fixture f;

    fixture_init(&f);
    kube_store_list_begin(f.s);
    put(&f, "a", "5", 1);
    put(&f, "b", "6", 1);
    put(&f, "a", "9", 2);
    del(&f, "b", "10");
    put(&f, "a", "7", 3);
    EXPECT_TEXT(changes(&f), "");
    kube_store_list_done_at(f.s, KR_S("10"));
    EXPECT_TEXT(content(&f), "a=2 ");
    fixture_fini(&f);
}

TEST(kube_store, changes_outlive_the_store)
{
    struct fixture f;
    struct kube_change *c;

    fixture_init(&f);
    list(&f, "9");
    put(&f, "a", "10", 2);
    kube_store_free(f.s);
    c = KR_OWNER(f.changes.head.next, struct kube_change, link);
    assert_null(c->store);
    assert_int_equal(kr_get(kr_rec_root(c->now), KR_S("v")).i, 2);
    assert_true(kr_bits_has(&c->bits, KUBE_BITS_FIXED + f.leaf));
    f.s = NULL;
    fixture_fini(&f);
}

/* ours: the fields that "us" owns; theirs: those of "rival". */
static kr_val owned(struct fixture *f, const char *version, const char *ours, const char *theirs)
{
    return test_json(&f->a,
                     kr_fmt(&f->a,
                            "{\"metadata\":{\"name\":\"a\",\"uid\":\"u\","
                            "\"resourceVersion\":\"%s\",\"managedFields\":[{\"manager\":\"us\","
                            "\"operation\":\"Apply\",\"fieldsV1\":{\"f:data\":{%s}}},"
                            "{\"manager\":\"rival\",\"operation\":\"Update\",\"fieldsV1\":{"
                            "\"f:data\":{%s}}}]},\"data\":{\"x\":\"%s\",\"y\":\"1\"}}",
                            version, ours, theirs, version)
                         .s);
}

static struct kube_change *last(struct fixture *f)
{
    return KR_OWNER(f->changes.head.prev, struct kube_change, link);
}

TEST(kube_store, who_took_a_field_of_ours_is_told)
{
    struct fixture f;

    fixture_init(&f);
    kube_store_free(f.s);
    f.s =
        kube_store_new(&(struct kube_store_opts){.gvr = {KR_S(""), KR_S("v1"), KR_S("configmaps")},
                                                 .manager = KR_S("us"),
                                                 .pool = f.pool,
                                                 .changes = &f.changes});
    list(&f, "9");
    EXPECT_OK(kube_store_put(f.s, owned(&f, "10", "\"f:x\":{},\"f:y\":{}", ""), &f.err), &f.err);
    EXPECT_OK(kube_store_put(f.s, owned(&f, "11", "\"f:y\":{}", "\"f:x\":{}"), &f.err), &f.err);
    assert_true(kr_str_is(last(&f)->taken, "data.x") && kr_str_is(last(&f)->taken_by, "rival"));
    EXPECT_OK(kube_store_response(f.s, kube_store_run(f.s),
                                  owned(&f, "12", "\"f:x\":{},\"f:y\":{}", ""), NULL, &f.err),
              &f.err);
    assert_int_equal(last(&f)->taken.n, 0); /* we took it back */
    EXPECT_OK(kube_store_response(f.s, kube_store_run(f.s), owned(&f, "13", "\"f:y\":{}", ""), NULL,
                                  &f.err),
              &f.err);
    assert_int_equal(last(&f)->taken.n, 0); /* we let go of it */
    fixture_fini(&f);
}

TEST(kube_store, a_bad_object_is_an_error_and_changes_nothing)
{
    struct fixture f;

    fixture_init(&f);
    list(&f, "9");
    assert_int_equal(kube_store_put(f.s, test_json(&f.a, "{\"metadata\":{}}"), &f.err), KR_E_INPUT);
    assert_int_equal(kube_store_delete(f.s, KR_V_NONE, &f.err), KR_E_INPUT);
    assert_int_equal(kube_store_response(f.s, 1, kr_int(1), NULL, &f.err), KR_E_INPUT);
    EXPECT_TEXT(content(&f), "a=1 b=1 ");
    fixture_fini(&f);
}

/* Any order of responses and events ends with the newest version of each object. */
TEST(kube_store, any_order_of_echoes_ends_with_the_newest)
{
    uint64_t seed = 7;
    struct fixture f;

    for (int round = 0; round < 300; round++) {
        int event = 10, reply = 10;

        fixture_init(&f);
        list(&f, "9");
        while (event < 30 || reply < 30) { /* both tell of versions 11..30, each in order */
            bool tell_event = reply == 30 || (event < 30 && test_rand(&seed) % 2);
            int v = tell_event ? ++event : ++reply;
            const char *version = kr_fmt(&f.a, "%d", v).s;

            if (tell_event)
                put(&f, "a", version, v);
            else
                response(&f, kube_store_run(f.s), "a", version, v);
            assert_int_equal(
                kr_get(kr_rec_root(kube_store_get(f.s, KR_S("n"), KR_S("a"))), KR_S("v")).i,
                event > reply ? event : reply);
        }
        assert_int_equal((int)strlen(changes(&f)), 20 * 3); /* each version is reported once */
        fixture_fini(&f);
    }
}

int main(void)
{
    return RUN(T(kube_store, a_list_is_visible_when_it_is_complete),
               T(kube_store, an_object_without_a_visible_difference_keeps_its_record),
               T(kube_store, an_answer_that_the_watch_has_told_gets_the_record_that_is_here),
               T(kube_store, items_of_a_list_get_kind_and_version_of_the_type),
               T(kube_store, a_second_list_replaces_whatever_its_versions),
               T(kube_store, an_aborted_list_leaves_no_trace),
               T(kube_store, events_report_only_what_somebody_reads),
               T(kube_store, an_older_event_and_an_echo_are_dropped),
               T(kube_store, where_versions_are_no_numbers_the_later_arrival_wins),
               T(kube_store, a_response_from_before_the_list_counts_until_that_is_complete),
               T(kube_store, the_end_of_what_came_while_lists_failed_is_told),
               T(kube_store, a_response_newer_than_the_list_stays_unless_the_server_went_back),
               T(kube_store, a_response_of_before_the_server_went_back_shows_nothing),
               T(kube_store, a_response_during_a_list_is_merged_by_version),
               T(kube_store, a_response_about_a_deleted_object_does_not_bring_it_back),
               T(kube_store, an_object_that_is_gone_stays_gone_until_a_new_one_comes),
               T(kube_store, an_answer_slower_than_the_deletion_leaves_nothing_behind),
               T(kube_store, no_more_than_so_many_are_remembered_as_gone),
               T(kube_store, what_is_gone_during_a_list_is_not_in_it),
               T(kube_store, changes_among_the_items_of_a_streaming_list_count),
               T(kube_store, changes_outlive_the_store),
               T(kube_store, who_took_a_field_of_ours_is_told),
               T(kube_store, a_bad_object_is_an_error_and_changes_nothing),
               T(kube_store, any_order_of_echoes_ends_with_the_newest));
}
