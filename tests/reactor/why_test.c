/* SPDX-License-Identifier: Apache-2.0 */
/* The entries behind `kroc why`: the block and its limits alone, then what the whole controller
 * writes down on a cluster in memory. */
#include "reactor/why.h"

#include <stdio.h>

#include "tests/lib/world.h"

#define CORE "/api/v1/namespaces/default/"
#define KRO "/apis/kro.run/v1alpha1/namespaces/default/"

static const uint8_t key[REACTOR_WHY_KEY_BYTES] = "a key that nobody else can know";

static struct reactor_whys whys;

static uint32_t entries_n(const struct reactor_why *log)
{
    struct reactor_why_entry e;
    uint32_t at = 0, n = 0;

    while (reactor_why_next(log, &at, &e))
        n++;
    return n;
}

static struct reactor_why_entry entry(const struct reactor_why *log, uint32_t i)
{
    struct reactor_why_entry e = {0};
    uint32_t at = 0;

    for (uint32_t n = 0; n <= i; n++)
        assert_true(reactor_why_next(log, &at, &e));
    return e;
}

static struct reactor_why_entry change(const char *node, const char *path, const char *to)
{
    return (struct reactor_why_entry){.kind = REACTOR_WHY_CHANGE,
                                      .node = kr_str_c(node),
                                      .path = kr_str_c(path),
                                      .to = kr_str_c(to)};
}

static struct reactor_why_entry request(const char *node, const char *path)
{
    return (struct reactor_why_entry){.kind = REACTOR_WHY_REQUEST,
                                      .node = kr_str_c(node),
                                      .verb = KR_S("apply"),
                                      .path = kr_str_c(path)};
}

/* --- the block -------------------------------------------------------------------------------- */

TEST(why, an_answer_finds_its_request)
{
    struct reactor_why *log = NULL;
    struct reactor_why_entry e = request("a", ""), f = request("b", "");
    uint32_t first, second;

    reactor_whys_init(&whys, key);
    first = reactor_why_add(&whys, &log, &e);
    second = reactor_why_add(&whys, &log, &f);
    assert_true(first != second);
    reactor_why_answer(
        &whys, log,
        &(struct reactor_why_entry){.seq = first, .code = 200, .took_ms = 7, .version = 12});
    reactor_why_answer(&whys, log,
                       &(struct reactor_why_entry){.seq = second, .code = 409, .text = KR_S("no")});
    assert_int_equal(entries_n(log), 3);
    assert_int_equal(entry(log, 0).code, 200);
    assert_int_equal(entry(log, 0).took_ms, 7);
    assert_int_equal(entry(log, 0).version, 12);
    assert_int_equal(entry(log, 1).code, 409);
    assert_int_equal(entry(log, 2).seq, second);
    assert_true(kr_str_is(entry(log, 2).text, "no"));
    reactor_why_free(&whys, log);
    assert_int_equal(whys.bytes, 0);
}

TEST(why, a_value_that_changes_again_and_again_takes_one_entry)
{
    struct reactor_why *log = NULL;
    struct reactor_why_entry e = change("cm", "data.n", "0");

    reactor_whys_init(&whys, key);
    e.from = KR_S("first");
    for (int i = 0; i < 100; i++) {
        char to[16];

        snprintf(to, sizeof to, "%d", i);
        e.to = kr_str_c(to);
        reactor_why_add(&whys, &log, &e);
        e.from = KR_S("other");
    }
    assert_int_equal(entries_n(log), 1);
    assert_int_equal(entry(log, 0).times, 100);
    assert_true(kr_str_is(entry(log, 0).from, "first"));
    assert_true(kr_str_is(entry(log, 0).to, "99"));
    reactor_why_free(&whys, log);
}

TEST(why, an_instance_keeps_its_newest_entries_within_its_limit)
{
    struct reactor_why *log = NULL;
    char node[REACTOR_WHY_TEXT_MAX + 100];
    uint32_t n;

    reactor_whys_init(&whys, key);
    for (int i = 0; i < 1000; i++) {
        struct reactor_why_entry e;

        snprintf(node, sizeof node, "node%d-%0*d", i, i % 200, 0); /* some are too long */
        e = request(node, "");
        reactor_why_add(&whys, &log, &e);
        assert_in_range(log->n, 1, REACTOR_WHY_INST_BYTES);
        assert_in_range(whys.bytes, log->n, REACTOR_WHY_INST_BYTES);
    }
    n = entries_n(log);
    assert_true(log->cut && n > 5);
    assert_true(kr_str_starts(entry(log, n - 1).node, KR_S("node999-")));
    assert_int_equal(entry(log, n - 1).seq, 1000);
    assert_int_equal(entry(log, 0).seq, 1001 - n); /* none is missing between */
    reactor_why_free(&whys, log);
}

TEST(why, all_instances_together_stay_below_the_limit_and_the_silent_one_forgets)
{
    enum { N = 40 };
    struct reactor_why *logs[N] = {0};

    reactor_whys_init(&whys, key);
    whys.bytes_max = N * REACTOR_WHY_KEPT_BYTES * 4 / 5;
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < N; i++) {
            struct reactor_why_entry e = request("node", "some.other.path");

            reactor_why_add(&whys, &logs[i], &e);
            assert_in_range(whys.bytes, 1, whys.bytes_max);
            assert_true(entries_n(logs[i]) > 0);
        }
    }
    assert_true(whys.forgotten > 0);
    assert_true(logs[0]->cut);
    for (int i = 0; i < N; i++)
        reactor_why_free(&whys, logs[i]);
    assert_int_equal(whys.bytes, 0);
}

TEST(why, the_silent_keep_their_last_entries_while_there_is_room_for_that)
{
    enum { N = 40 };
    struct reactor_why *logs[N] = {0};

    reactor_whys_init(&whys, key);
    whys.bytes_max = N * REACTOR_WHY_KEPT_BYTES + REACTOR_WHY_INST_BYTES;
    for (int i = 0; i < N; i++) {
        for (int round = 0; round < 50; round++) {
            struct reactor_why_entry e = request("node", "some.other.path");

            reactor_why_add(&whys, &logs[i], &e);
            assert_in_range(whys.bytes, 1, whys.bytes_max);
        }
    }
    assert_int_equal(whys.forgotten, 0);
    for (int i = 0; i < N; i++) {
        uint32_t n = entries_n(logs[i]);

        assert_true(n >= 3 && logs[i]->cut);
        assert_int_equal(entry(logs[i], n - 1).seq, 50);
    }
    assert_true(entries_n(logs[N - 1]) > entries_n(logs[0])); /* the busy one has more */
    for (int i = 0; i < N; i++)
        reactor_why_free(&whys, logs[i]);
    assert_int_equal(whys.bytes, 0);
}

TEST(why, no_entry_of_a_silent_instance_costs_memory)
{
    assert_int_equal(entries_n(NULL), 0);
    reactor_why_free(&whys, NULL);
}

/* Whatever is in an entry comes back, whether its texts are words or too many for that; from then on there
 * is no room for words. */
TEST(why, an_entry_is_read_as_it_was_written)
{
    struct reactor_why *log = NULL;
    struct reactor_why_entry e = request("web", "cfg.metadata.resourceVersion"), got;
    char path[32];

    reactor_whys_init(&whys, key);
    e.at_ms = 1790000000123;
    e.type = KR_S("deployments.apps");
    e.object = KR_S("shop/web");
    e.to = KR_S("a reason");
    e.revision = 70000;
    e.absent = true;
    for (int i = 0; i < REACTOR_WHY_WORDS_MAX + 70000; i += 40) { /* seq beyond 16 bits too */
        snprintf(path, sizeof path, "schema.spec.path%d", i);
        e.path = kr_str_c(path);
        if (log)
            log->seq += 39;
        reactor_why_add(&whys, &log, &e);
        reactor_why_answer(
            &whys, log,
            &(struct reactor_why_entry){
                .seq = log->seq, .code = 201, .took_ms = 70000, .version = 5000000000});
        got = entry(log, entries_n(log) - 1);
        assert_int_equal(got.at_ms, 1790000000123);
        assert_int_equal(got.seq, log->seq);
        assert_int_equal(got.took_ms, 70000);
        assert_int_equal(got.version, 5000000000);
        assert_true(got.code == 201 && got.revision == 70000 && got.absent && got.answered);
        assert_true(kr_str_is(got.node, "web") && kr_str_is(got.type, "deployments.apps"));
        assert_true(kr_str_is(got.object, "shop/web") && kr_str_is(got.verb, "apply"));
        assert_true(kr_str_eq(got.path, e.path) && kr_str_is(got.to, "a reason"));
    }
    reactor_why_free(&whys, log);
}

/* The texts that all instances have stand once. */
TEST(why, a_request_takes_a_few_bytes_more_than_its_numbers)
{
    struct reactor_why *log = NULL;
    struct reactor_why_entry e = request("web", "schema.metadata.name");

    reactor_whys_init(&whys, key);
    e.type = KR_S("deployments.apps");
    e.object = KR_S("i00001");
    for (int i = 0; i < 4; i++)
        reactor_why_add(&whys, &log, &e);
    assert_in_range(log->n, 4 * 28, 4 * 52);
    reactor_why_free(&whys, log);
}

/* --- values ----------------------------------------------------------------------------------- */

static const char *shown(kr_val v, bool secret)
{
    static char text[200];
    struct kr_arena a = {0};

    snprintf(text, sizeof text, KR_FMT, KR_ARG(reactor_why_value(&whys, &a, v, secret)));
    kr_arena_fini(&a);
    return text;
}

TEST(why, values_are_shown_only_when_small_and_no_secret)
{
    static const uint8_t other[REACTOR_WHY_KEY_BYTES] = "another process's";
    char first[200];

    reactor_whys_init(&whys, key);
    EXPECT_TEXT(shown(kr_int(3), false), "3");
    EXPECT_TEXT(shown(KR_V_STR("blue"), false), "\"blue\"");
    EXPECT_TEXT(shown(KR_V_NONE, true), "");
    assert_int_equal(strncmp(shown(KR_V_STR("hunter2"), true), "digest:", 7), 0);
    snprintf(first, sizeof first, "%s", shown(KR_V_STR("hunter2"), true));
    EXPECT_TEXT(shown(KR_V_STR("hunter2"), true), first); /* equal values, equal digests */
    assert_true(strcmp(shown(KR_V_STR("hunter3"), true), first) != 0);
    assert_int_equal(
        strncmp(shown(KR_V_STR("a text of more than forty bytes is no value to show"), false),
                "digest:", 7),
        0);
    reactor_whys_init(&whys, other);
    assert_true(strcmp(shown(KR_V_STR("hunter2"), true), first) != 0); /* of no use elsewhere */
}

TEST(why, secrets_are_known_by_their_kind_and_by_their_names)
{
    static const kr_gvr secrets = {{"", 0}, {"v1", 2}, {"secrets", 7}},
                        maps = {{"", 0}, {"v1", 2}, {"configmaps", 10}};
    const kr_str data[] = {KR_S("data"), KR_S("a")},
                 version[] = {KR_S("metadata"), KR_S("resourceVersion")},
                 applied[] = {KR_S("metadata"), KR_S("annotations"), KR_S("x")},
                 word[] = {KR_S("spec"), KR_S("dbPassword")};

    assert_true(reactor_why_is_secret(secrets, data, 2));
    assert_true(reactor_why_is_secret(secrets, NULL, 0)); /* the whole of it */
    assert_true(reactor_why_is_secret(secrets, applied, 3));
    assert_true(
        reactor_why_is_secret(secrets, version, 1)); /* metadata as a whole has annotations */
    assert_false(reactor_why_is_secret(secrets, version, 2));
    assert_false(reactor_why_is_secret(maps, data, 2));
    assert_true(reactor_why_is_secret(maps, word, 2));
}

/* --- the whole controller --------------------------------------------------------------------- */

static void open_shop(struct world *w)
{
    world_open(w, NULL);
    world_start(w);
    world_apply_file(w, "examples/webapp/rgd.yaml");
    world_apply_file(w, "examples/webapp/settings.yaml");
    world_rest(w);
    world_apply_file(w, "examples/webapp/instance.yaml");
    world_rest(w);
}

/* What `kroc why shop` answers, without times. Lives in w->a. */
static const char *ask(struct world *w, const char *kind, const char *name, const char *node,
                       unsigned status)
{
    KR_AUTO(kr_buf) page = KR_BUF(1024 * 1024);
    KR_AUTO(kr_buf) out = KR_BUF(1024 * 1024);
    struct reactor_why_query q = {
        .kind = kr_str_c(kind), .name = kr_str_c(name), .node = kr_str_c(node)};
    kr_str rest;

    assert_int_equal(reactor_why(w->reactor, &q, &page), status);
    rest = kr_buf_view(&page);
    while (rest.n > 0) {
        kr_str line = kr_str_cut(&rest, '\n');
        ptrdiff_t at = kr_str_find(line, KR_S(" after "));

        if (status == 200 && line.n > 26 && (line.s[4] == '-' || line.s[0] == ' '))
            line = kr_str_sub(line, 26, line.n);
        at = kr_str_find(line, KR_S(" after "));
        kr_buf_fmt(&out, KR_FMT "\n", KR_ARG(at < 0 ? line : kr_str_sub(line, 0, (size_t)at)));
    }
    return kr_strdup(&w->a, kr_buf_view(&out)).s;
}

static void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

static void lacks(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("\"%s\" is in:\n%s", part, text);
}

static kr_str version_of(struct world *w, const char *path)
{
    return kr_str_c(world_text(w, path, "metadata.resourceVersion"));
}

TEST(why, an_edit_is_named_with_object_path_expression_request_and_answer)
{
    struct world w;
    const char *text;
    kr_str was, now;

    open_shop(&w);
    was = version_of(&w, CORE "configmaps/settings");
    world_patch(&w, CORE "configmaps/settings", "{data: {COLOUR: red}}");
    world_rest(&w);
    now = version_of(&w, CORE "configmaps/settings");
    text = ask(&w, "", "shop", "deployment", 200);
    has(text, kr_cstr(&w.a, kr_fmt(&w.a,
                                   "change    settings.metadata.resourceVersion (configmaps "
                                   "settings) changed: \"" KR_FMT "\" -> \"" KR_FMT "\"\n"
                                   "apply     deployment (deployments.apps shop)\n"
                                   "because   settings.metadata.resourceVersion (configmaps "
                                   "settings) changed: \"" KR_FMT "\" -> \"" KR_FMT "\"\n"
                                   "read by   spec.template.metadata.annotations.config-version: "
                                   "settings.metadata.resourceVersion\n"
                                   "answer    200\n",
                                   KR_ARG(was), KR_ARG(now), KR_ARG(was), KR_ARG(now))));
    lacks(text, "somebody else"); /* the echo of our own write is none */
    lacks(text, "service (");
    world_close(&w);
}

TEST(why, a_foreign_write_a_deletion_and_an_edit_of_the_spec_are_told_apart)
{
    struct world w;

    open_shop(&w);
    world_patch(&w, CORE "services/shop", "{spec: {selector: {app: other}}}");
    world_rest(&w);
    has(ask(&w, "webapp", "shop", "service", 200),
        "apply     service (services shop)\n"
        "because   service (services shop) a field of ours was written by somebody else\n"
        "answer    200\n");
    world_delete(&w, CORE "services/shop");
    world_rest(&w);
    has(ask(&w, "WebApp", "shop", "service", 200),
        "because   service (services shop) is gone\nanswer    201\n");
    world_patch(&w, KRO "webapps/shop", "{spec: {replicas: 5}}");
    world_rest(&w);
    has(ask(&w, "webapps", "shop", "", 200), "because   schema.spec.replicas changed: 2 -> 5\n"
                                             "read by   spec.replicas: schema.spec.replicas\n");
    world_close(&w);
}

TEST(why, a_status_names_what_differs_and_what_makes_it)
{
    struct world w;

    open_shop(&w);
    world_patch(&w, CORE "configmaps/settings", "{data: {COLOUR: red}}");
    world_rest(&w);
    has(ask(&w, "", "shop", "", 200),
        "status    webapps.kro.run shop\n"
        "because   status.settingsVersion changed\n"
        "read by   settingsVersion: settings.metadata.resourceVersion\n");
    world_close(&w);
}

TEST(why, a_refusal_is_told_in_the_servers_words)
{
    struct world w;
    const char *text;

    open_shop(&w);
    fault_add(w.fault, &(struct fault_rule){.kind = FAULT_STATUS,
                                            .method = "PATCH",
                                            .part = "/deployments/",
                                            .status = 403,
                                            .times = 1});
    world_patch(&w, KRO "webapps/shop", "{spec: {replicas: 5}}");
    world_rest(&w);
    text = ask(&w, "", "shop", "deployment", 200);
    has(text, "answer    403\n");
    has(text, "answer    deployment: injected\n");
    has(text, "answer    200\n"); /* and the next try */
    world_close(&w);
}

TEST(why, a_restart_writes_nothing_down_and_says_so)
{
    struct world w;

    open_shop(&w);
    world_crash(&w, false);
    world_start(&w);
    world_rest(&w);
    has(ask(&w, "", "shop", "", 200), "nothing was changed or asked for");
    world_close(&w);
}

TEST(why, a_name_that_is_not_there_and_one_that_is_there_twice_are_answered_with_what_there_is)
{
    struct world w;

    open_shop(&w);
    has(ask(&w, "", "none", "", 404), "no such instance");
    has(ask(&w, "other", "shop", "", 404), "no such instance");
    has(ask(&w, "", "shop", "nonode", 404),
        "no node \"nonode\" in webapp; there are: schema settings page");
    world_apply(&w, "{apiVersion: v1, kind: Namespace, metadata: {name: other}}");
    world_apply(
        &w,
        "{apiVersion: kro.run/v1alpha1, kind: WebApp, metadata: {name: shop, namespace: other}, "
        "spec: {greeting: hi}}");
    world_rest(&w);
    has(ask(&w, "", "shop", "", 409),
        "2 instances have this name:\n  WebApp/shop -n default\n  WebApp/shop -n other\n");
    world_close(&w);
}

static const char keyed[] =
    "{apiVersion: kro.run/v1alpha1, kind: ResourceGraphDefinition, metadata: {name: keyed}, spec: {"
    "schema: {apiVersion: v1alpha1, kind: Keyed, spec: {size: 'integer | default=1'}}, resources: ["
    "{id: key, externalRef: {apiVersion: v1, kind: Secret, metadata: {name: key}}},"
    "{id: cm, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "
    "'${schema.metadata.name}'}, "
    "data: {a: '${string(key.data.a)}'}}}]}}";

TEST(why, a_secrets_value_is_never_shown)
{
    struct world w;
    const char *text;
    KR_AUTO(kr_buf) json = KR_BUF(1024 * 1024);
    struct reactor_why_query q = {.name = KR_S("k"), .json = true};

    world_open(&w, NULL);
    world_start(&w);
    world_apply(&w, keyed);
    world_rest(&w);
    world_apply(&w, "{apiVersion: v1, kind: Secret, metadata: {name: key, namespace: default}, "
                    "data: {a: c2VjcmV0}}");
    world_rest(&w);
    world_apply(&w, "{apiVersion: kro.run/v1alpha1, kind: Keyed, metadata: {name: k, namespace: "
                    "default}, spec: {}}");
    world_rest(&w);
    world_patch(&w, CORE "secrets/key", "{data: {a: aHVudGVyMg==}}");
    world_rest(&w);
    text = ask(&w, "", "k", "", 200);
    has(text, "change    key.data.a (secrets key) changed: digest:");
    has(text, "because   key.data.a (secrets key) changed: digest:");
    lacks(text, "aHVudGVyMg");
    lacks(text, "c2VjcmV0");
    assert_int_equal(reactor_why(w.reactor, &q, &json), 200);
    has(json.s, "\"from\": \"digest:");
    lacks(json.s, "aHVudGVyMg");
    lacks(json.s, "c2VjcmV0");
    world_close(&w);
}

int main(void)
{
    return RUN(
        T(why, an_answer_finds_its_request),
        T(why, a_value_that_changes_again_and_again_takes_one_entry),
        T(why, an_instance_keeps_its_newest_entries_within_its_limit),
        T(why, all_instances_together_stay_below_the_limit_and_the_silent_one_forgets),
        T(why, the_silent_keep_their_last_entries_while_there_is_room_for_that),
        T(why, the_silent_keep_their_last_entries_while_there_is_room_for_that),
        T(why, no_entry_of_a_silent_instance_costs_memory),
        T(why, a_request_takes_a_few_bytes_more_than_its_numbers),
        T(why, an_entry_is_read_as_it_was_written),
        T(why, values_are_shown_only_when_small_and_no_secret),
        T(why, secrets_are_known_by_their_kind_and_by_their_names),
        T(why, an_edit_is_named_with_object_path_expression_request_and_answer),
        T(why, a_foreign_write_a_deletion_and_an_edit_of_the_spec_are_told_apart),
        T(why, a_status_names_what_differs_and_what_makes_it),
        T(why, a_refusal_is_told_in_the_servers_words),
        T(why, a_restart_writes_nothing_down_and_says_so),
        T(why,
          a_name_that_is_not_there_and_one_that_is_there_twice_are_answered_with_what_there_is),
        T(why, a_secrets_value_is_never_shown));
}
