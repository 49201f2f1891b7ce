/* SPDX-License-Identifier: Apache-2.0 */
/* pages_test.c - /debug/instances, /debug/queue, /debug/watches of a controller with one definition. */
#include "tests/lib/world.h"

#include "cel/base/json.h"
#include "tests/lib/test.h"

static kr_val page(struct world *w, enum reactor_page_kind kind, const char *state)
{
    KR_AUTO(kr_buf) out = KR_BUF(1024 * 1024);
    struct reactor_page_query q = {.page = kind, .state = kr_str_c(state), .json = true};
    struct kr_err err = KR_ERR_NONE;
    kr_val v;

    reactor_page(w->reactor, &q, &out);
    assert_int_equal(kr_json_parse(&w->a, kr_strdup(&w->a, kr_buf_view(&out)), &v, &err), 0);
    return v;
}

/* The first item whose `key` is `text`; KR_NONE: none. */
static kr_val item(kr_val table, const char *key, const char *text)
{
    KR_LIST_EACH (i, kr_at(table, "items")) {
        if (kr_is_str(kr_at(*i, key), kr_str_c(text)))
            return *i;
    }
    return KR_V_NONE;
}

static void open_shop(struct world *w)
{
    world_open(w, NULL);
    world_start(w);
    world_apply_file(w, "examples/webapp/rgd.yaml");
    world_rest(w);
    world_apply_file(w, "examples/webapp/instance.yaml");
    world_rest(w);
}

TEST(pages, an_instance_says_its_state_and_what_it_waits_for)
{
    struct world w;
    kr_val shop;

    open_shop(&w); /* the ConfigMap that it reads is not there */
    shop = item(page(&w, REACTOR_PAGE_INSTANCES, ""), "name", "shop");
    assert_true(kr_is_str(kr_at(shop, "kind"), KR_S("WebApp")));
    assert_true(kr_is_str(kr_at(shop, "state"), KR_S("IN_PROGRESS")));
    assert_true(kr_str_find(kr_text(kr_at(shop, "waits")), KR_S("settings")) >= 0);
    assert_int_equal(kr_at(shop, "revision").i, 1);
    assert_int_equal(kr_at(page(&w, REACTOR_PAGE_INSTANCES, "ACTIVE"), "items").n, 0);

    world_apply_file(&w, "examples/webapp/settings.yaml");
    world_rest(&w);
    shop = item(page(&w, REACTOR_PAGE_INSTANCES, "ACTIVE"), "name", "shop");
    assert_int_equal(shop.kind, KR_MAP);
    assert_int_equal(kr_text(kr_at(shop, "waits")).n, 0);
    world_close(&w);
}

TEST(pages, the_queue_has_a_lane_for_each_kind_and_is_empty_at_rest)
{
    struct world w;
    kr_val table, lane;

    open_shop(&w);
    table = page(&w, REACTOR_PAGE_QUEUE, "");
    assert_int_equal(kr_at(table, "items").n, 2);
    lane = item(table, "lane", "WebApp");
    assert_int_equal(kr_at(lane, "users").i + kr_at(lane, "changes").i + kr_at(lane, "backlog").i,
                     0);
    assert_int_equal(kr_at(lane, "requests").i, 0);
    world_close(&w);
}

TEST(pages, a_watch_says_what_it_follows_and_why_it_does_not_work)
{
    struct world w;
    kr_val table, parents;

    open_shop(&w);
    table = page(&w, REACTOR_PAGE_WATCHES, "");
    parents = item(table, "resource", "webapps");
    assert_true(kr_is_str(kr_at(parents, "follows"), KR_S("instances")));
    assert_true(kr_at(parents, "known").b);
    assert_int_equal(kr_at(parents, "objects").i, 1);
    assert_true(kr_at(parents, "bytes").i > 0);
    assert_int_equal(kr_text(kr_at(parents, "why")).n, 0);
    assert_int_equal(item(table, "follows", "one external").kind, KR_MAP);
    world_close(&w);
}

TEST(pages, people_get_the_same_in_columns)
{
    KR_AUTO(kr_buf) out = KR_BUF(1024 * 1024);
    struct reactor_page_query q = {.page = REACTOR_PAGE_INSTANCES, .kind = KR_S("webapps")};
    struct world w;
    kr_str text;

    open_shop(&w);
    reactor_page(w.reactor, &q, &out);
    text = kr_buf_view(&out);
    assert_true(kr_str_starts(text, KR_S("KIND    NAMESPACE  NAME  STATE")));
    assert_true(kr_str_find(text, KR_S("\nWebApp  default    shop  IN_PROGRESS")) > 0);
    q.kind = KR_S("Other");
    kr_buf_reset(&out);
    reactor_page(w.reactor, &q, &out);
    assert_true(kr_str_find(kr_buf_view(&out), KR_S("shop")) < 0);
    world_close(&w);
}

int main(void)
{
    return RUN(T(pages, an_instance_says_its_state_and_what_it_waits_for),
               T(pages, the_queue_has_a_lane_for_each_kind_and_is_empty_at_rest),
               T(pages, a_watch_says_what_it_follows_and_why_it_does_not_work),
               T(pages, people_get_the_same_in_columns));
}
