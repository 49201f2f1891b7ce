/* SPDX-License-Identifier: Apache-2.0 */
/* test_run.c - one test: its steps, one after the other, on a cluster of its own in virtual time.
 *
 *   a step:  apply, patch, status, delete, wait --> at rest --> refused, assert, error, writes
 *
 * What a step does comes before what it expects, whatever order its keys stand in. Expectations look at
 * the cluster when nothing changes any more, so there is nothing to retry and no time-out to choose. The
 * first step that fails ends the test.
 */
#include <uv.h>

#include "cel/base/json.h"
#include "cel/base/near.h"
#include "cel/base/time.h"
#include "cel/base/yaml.h"
#include "cli/feed.h"
#include "cli/local.h"
#include "cli/test.h"
#include "graph/names.h"

#include "cel/base/banned.h"

enum {
    FEED_ROUNDS_MAX = 16, /* definitions that build on each other */
    WRITES_SHOWN_MAX = 20,
    MS_NS = 1000 * 1000,
};

struct run {
    struct cli_case *c;
    struct kr_arena *a; /* of the results */
    struct kr_arena work;
    struct cli_local local;
    struct kr_buf told, log;
    struct kr_buf writes;   /* of the controller in this step, a line each */
    struct kr_buf refusals; /* of what this step did, a line each */
    bool failed;
};

/* --- telling ---------------------------------------------------------------------------------- */

static void fail(struct run *r, kr_str what)
{
    const char *indent = "      ";

    for (kr_str lines = kr_str_trim(what); lines.n; indent = "        ") {
        kr_str line = kr_str_cut(&lines, '\n');

        kr_buf_fmt(&r->told, "%s" KR_FMT "\n", indent, KR_ARG(line));
    }
    r->failed = true;
}

static uint32_t line_of(const struct run *r, const kr_str *names, uint32_t n)
{
    struct kr_yaml_place at;

    return kr_yaml_locate(r->c->text, r->c->document, names, n, &at) ? at.line : r->c->line;
}

/* Members that are not known are mistakes in writing. */
static void check_members(struct run *r, kr_val v, const char *what, const char *const *known)
{
    KR_MAP_EACH (pair, v) {
        struct kr_near near = {.word = kr_text(pair->key)};
        bool found = false;

        for (const char *const *k = known; *k; k++) {
            found = found || kr_str_eq(near.word, kr_str_c(*k));
            kr_near_try(&near, kr_str_c(*k));
        }
        if (!found)
            fail(r, kr_fmt(&r->work, "%s has no member \"" KR_FMT "\"%s" KR_FMT "%s", what,
                           KR_ARG(near.word), near.best.n ? "; did you mean \"" : "",
                           KR_ARG(near.best), near.best.n ? "\"?" : ""));
    }
}

/* --- what the controller asks for ------------------------------------------------------------- */

static void on_asked(void *arg, const struct sandbox_request *q, const struct sandbox_response *a)
{
    struct run *r = arg;
    kr_str target = cli_local_target(q->path);

    if (strcmp(q->method, "GET") == 0 || kr_str_starts(target, KR_S("events")))
        return;
    kr_buf_fmt(&r->writes, "%s " KR_FMT, q->method, KR_ARG(target));
    if (a->status >= 300)
        kr_buf_fmt(&r->writes, " %d", a->status);
    kr_buf_chr(&r->writes, '\n');
}

/* --- what a step does ------------------------------------------------------------------------- */

static void on_refused(void *arg, kr_str what, kr_str why)
{
    kr_buf_fmt(&((struct run *)arg)->refusals, KR_FMT ": " KR_FMT "\n", KR_ARG(what), KR_ARG(why));
}

/* A path in a test is below the test's folder. */
static const char *resolve(struct run *r, kr_str path)
{
    kr_str file = kr_str_c(r->c->path);
    ptrdiff_t slash = kr_str_rchr(file, '/');

    if (slash < 0 || kr_str_starts(path, KR_S("/")))
        return kr_cstr(&r->work, path);
    return kr_fmt(&r->work, KR_FMT "/" KR_FMT, KR_ARG(kr_str_sub(file, 0, (size_t)slash)),
                  KR_ARG(path))
        .s;
}

static void rest(struct run *r)
{
    struct kr_err err = KR_ERR_NONE;

    if (cli_local_rest(&r->local, &err) < 0)
        fail(r, kr_strdup(&r->work, kr_err_str(&err)));
}

/* All documents, as long as waiting brings more of them in. */
static void play(struct run *r, struct cli_feed *feed)
{
    uint32_t before = UINT32_MAX;

    for (int i = 0; i < FEED_ROUNDS_MAX && !r->failed && feed->waiting_n != before; i++) {
        before = feed->waiting_n;
        if (cli_feed_offer(feed, r->local.sandbox, "kroc-test", on_refused, r) == 0)
            break;
        rest(r);
    }
    cli_feed_give_up(feed, on_refused, r);
}

static void do_apply(struct run *r, kr_val items)
{
    struct cli_feed feed = {0};
    struct kr_err err = KR_ERR_NONE;

    KR_LIST_EACH (item, items) {
        int rc = item->kind == KR_STRING ? cli_feed_path(&feed, resolve(r, kr_text(*item)), &err)
                                         : cli_feed_doc(&feed, r->c->shown, *item, &err);

        if (rc < 0) {
            fail(r, kr_strdup(&r->work, kr_err_str(&err)));
            break;
        }
    }
    if (!r->failed)
        play(r, &feed);
    cli_feed_fini(&feed);
}

/* Why nothing can be asked of it. */
static const char *no_place(kr_val item)
{
    return kr_at_str(item, "apiVersion").n && kr_at_str(item, "kind").n
               ? "no such kind is served"
               : "it has no apiVersion or no kind";
}

/* One request about the object that item names. */
static void change(struct run *r, kr_val item, const char *method, const char *sub, kr_val body)
{
    kr_str name = cli_feed_name(&r->work, item);
    kr_str path = cli_local_path(&r->local, &r->work, item, sub);
    struct cli_answer answer;

    if (path.n == 0 || kr_at_str(item, "metadata.name").n == 0) {
        fail(r, kr_fmt(&r->work, KR_FMT ": %s", KR_ARG(name),
                       path.n ? "it has no metadata.name" : no_place(item)));
        return;
    }
    answer = cli_local_ask(&r->local, &r->work, method, path, "merge-patch+json",
                           body.kind == KR_NONE ? KR_S("") : kr_json_str(&r->work, body));
    if (answer.status >= 300)
        on_refused(r, name, answer.message);
}

static void do_patch(struct run *r, kr_val items)
{
    KR_LIST_EACH (item, items)
        change(r, *item, "PATCH", NULL, *item);
}

static void do_status(struct run *r, kr_val items)
{
    KR_LIST_EACH (item, items) {
        struct kr_mapb b = KR_MAPB(&r->work);

        kr_mapb_put(&b, KR_S("status"), kr_get(*item, KR_S("status")));
        change(r, *item, "PATCH", "status", kr_mapb_done(&b));
    }
}

static void do_delete(struct run *r, kr_val items)
{
    KR_LIST_EACH (item, items)
        change(r, *item, "DELETE", NULL, KR_V_NONE);
}

static void wait_for(struct run *r, kr_str text)
{
    struct kr_err err = KR_ERR_NONE;
    int64_t ns = 0;

    if (!kr_duration_parse(text, &ns) || ns < 0 || ns / MS_NS > CLI_TEST_WAIT_MAX_MS)
        fail(r, KR_S("wait: a duration such as 90s is wanted, of 24h at most"));
    else if (cli_local_pass(&r->local, (uint64_t)(ns / MS_NS), &err) < 0)
        fail(r, kr_strdup(&r->work, kr_err_str(&err)));
}

static void do_wait(struct run *r, kr_val items)
{
    KR_LIST_EACH (item, items)
        wait_for(r, kr_text(*item));
}

/* --- what a step expects ---------------------------------------------------------------------- */

static void expect_refused(struct run *r, kr_val items)
{
    kr_str all = kr_buf_view(&r->refusals);

    if (items.n == 0) /* it would let all refusals pass */
        fail(r, KR_S("refused: a part of the refusal's text is wanted"));
    KR_LIST_EACH (item, items) {
        if (kr_text(*item).n == 0)
            fail(r, KR_S("refused: a part of the refusal's text is wanted, as a string"));
        else if (kr_str_find(all, kr_text(*item)) < 0)
            fail(r, kr_fmt(&r->work, "expected to be refused with \"" KR_FMT "\"; %s\n" KR_FMT,
                           KR_ARG(kr_text(*item)),
                           all.n ? "it was refused with:" : "nothing was refused", KR_ARG(all)));
    }
}

/* Those that item may mean: the one with its name, or all of its kind in its namespace. */
static kr_val candidates(struct run *r, kr_val item, kr_str *why)
{
    kr_str path = cli_local_path(&r->local, &r->work, item, NULL);
    struct kr_listb one = KR_LISTB(&r->work);
    struct cli_answer answer;

    if (path.n == 0) {
        *why = kr_str_c(no_place(item));
        return KR_V_NONE;
    }
    answer = cli_local_ask(&r->local, &r->work, "GET", path, NULL, KR_S(""));
    *why = answer.message;
    if (answer.status >= 300)
        return KR_V_NONE;
    if (kr_at_str(item, "metadata.name").n == 0)
        return kr_get(answer.body, KR_S("items"));
    kr_listb_add(&one, answer.body);
    return kr_listb_done(&one);
}

/* Items of lists lack kind and apiVersion, and a namespace that item leaves out is default: neither is
 * compared. */
static kr_val comparable(struct run *r, kr_val item)
{
    item = kr_with_key(&r->work, item, KR_S("kind"), KR_V_NONE);
    return kr_with_key(&r->work, item, KR_S("apiVersion"), KR_V_NONE);
}

static void expect_one(struct run *r, kr_val item)
{
    kr_str name = cli_feed_name(&r->work, item), why = {0};
    kr_val found = candidates(r, item, &why);
    struct kr_buf best = KR_BUF_IN(&r->work, CLI_TEST_TEXT_MAX);
    uint32_t best_n = UINT32_MAX;

    KR_LIST_EACH (object, found) {
        struct kr_buf out = KR_BUF_IN(&r->work, CLI_TEST_TEXT_MAX);
        uint32_t n = cli_test_differ(comparable(r, item), *object, &out);

        if (n == 0)
            return;
        if (n < best_n) {
            best = out;
            best_n = n;
        }
    }
    if (found.n == 0)
        why = why.n ? why : KR_S("there is none");
    else if (found.n > 1)
        why = kr_fmt(&r->work, "none of %u is as expected; the nearest:", found.n);
    fail(r, kr_fmt(&r->work, KR_FMT "%s" KR_FMT, KR_ARG(name), why.n ? ": " : "", KR_ARG(why)));
    kr_buf_str(&r->told, kr_buf_view(&best));
}

static void expect_assert(struct run *r, kr_val items)
{
    KR_LIST_EACH (item, items)
        expect_one(r, *item);
}

static void expect_none(struct run *r, kr_val item)
{
    kr_str why;
    kr_val found;

    if (item.kind != KR_MAP) {
        fail(r, KR_S("error: an object is wanted, with apiVersion and kind"));
        return;
    }
    if (cli_local_path(&r->local, &r->work, item, NULL).n == 0) {
        /* nothing can be like it, which a slip of the pen would make so: it says nothing */
        fail(r, kr_fmt(&r->work, "error: " KR_FMT ": %s", KR_ARG(cli_feed_name(&r->work, item)),
                       no_place(item)));
        return;
    }
    found = candidates(r, item, &why);
    KR_LIST_EACH (object, found) {
        struct kr_buf out = KR_BUF_IN(&r->work, CLI_TEST_TEXT_MAX);
        kr_val name = kr_at(*object, "metadata.name");

        if (cli_test_differ(comparable(r, item), *object, &out) == 0)
            fail(r, kr_fmt(&r->work, KR_FMT " " KR_FMT ": it is there, but must not be",
                           KR_ARG(kr_at_str(item, "kind")), KR_ARG(kr_text(name))));
    }
}

static void expect_error(struct run *r, kr_val items)
{
    KR_LIST_EACH (item, items)
        expect_none(r, *item);
}

static void expect_writes(struct run *r, kr_val items)
{
    struct kr_buf want = KR_BUF_IN(&r->work, CLI_TEST_TEXT_MAX);

    KR_LIST_EACH (item, items)
        kr_buf_fmt(&want, KR_FMT "\n", KR_ARG(kr_text(*item)));
    if (kr_str_eq(kr_buf_view(&want), kr_buf_view(&r->writes)))
        return;
    fail(r, KR_S("writes: the controller's requests are not those expected:"));
    for (kr_str lines = kr_buf_view(&want); lines.n;)
        kr_buf_fmt(&r->told, "        expected " KR_FMT "\n", KR_ARG(kr_str_cut(&lines, '\n')));
    if (want.n == 0)
        kr_buf_fmt(&r->told, "        expected none\n");
}

/* --- steps ------------------------------------------------------------------------------------ */

/* In the order in which they take effect. */
static const struct action {
    const char *name;
    void (*fn)(struct run *r, kr_val items);
    bool expects;
} actions[] = {
    {"apply", do_apply, false},      {"patch", do_patch, false},
    {"status", do_status, false},    {"delete", do_delete, false},
    {"wait", do_wait, false},        {"refused", expect_refused, true},
    {"assert", expect_assert, true}, {"error", expect_error, true},
    {"writes", expect_writes, true},
};

static const char *const step_members[] = {"name",    "apply",  "patch", "status", "delete", "wait",
                                           "refused", "assert", "error", "writes", NULL};
static const char *const spec_members[] = {"skip", "cluster", "readyAfter", "steps", NULL};
static const char *const test_members[] = {"apiVersion", "kind", "metadata", "spec", NULL};

static kr_val as_list(struct run *r, kr_val v)
{
    struct kr_listb b = KR_LISTB(&r->work);

    if (v.kind == KR_LIST)
        return v;
    kr_listb_add(&b, v);
    return kr_listb_done(&b);
}

static void run_actions(struct run *r, kr_val step, bool expects)
{
    for (size_t i = 0; i < KR_N(actions) && !r->failed; i++) {
        kr_val v = kr_get(step, kr_str_c(actions[i].name));

        if (v.kind != KR_NONE && actions[i].expects == expects)
            actions[i].fn(r, as_list(r, v));
    }
}

/* What is not as it should be, by the objects' own words: it often says why. */
static void tell_trouble_of(struct run *r, kr_val object, const char *wanted)
{
    kr_str state = kr_at_str(object, "status.state"), why = {0};

    if (kr_str_eq(state, kr_str_c(wanted)))
        return;
    KR_LIST_EACH (c, kr_at(object, "status.conditions")) {
        if (kr_is_str(kr_get(*c, KR_S("type")), KR_S(GRAPH_C_READY)))
            why = kr_at_str(*c, "message");
    }
    kr_buf_fmt(&r->told, "      " KR_FMT " is %.*s: " KR_FMT "\n",
               KR_ARG(cli_feed_name(&r->work, object)),
               KR_ARG(state.n ? state : KR_S("without a status")), KR_ARG(why));
}

static void tell_instances(struct run *r, kr_val definition)
{
    kr_str group = kr_at_str(definition, "spec.schema.group"), why;
    kr_val kind = kr_at(definition, "spec.schema.kind"), found;
    struct kr_mapb b = KR_MAPB(&r->work);

    kr_mapb_put(&b, KR_S("kind"), kind);
    kr_mapb_put(
        &b, KR_S("apiVersion"),
        kr_string(kr_fmt(&r->work, KR_FMT "/" KR_FMT, KR_ARG(group.n ? group : KR_S(GRAPH_GROUP)),
                         KR_ARG(kr_at_str(definition, "spec.schema.apiVersion")))));
    found = candidates(r, kr_mapb_done(&b), &why);
    KR_LIST_EACH (object, found)
        tell_trouble_of(r, kr_with(&r->work, *object, "kind", kind), "ACTIVE");
}

static void tell_trouble(struct run *r)
{
    kr_str path = KR_S("/apis/kro.run/v1alpha1/resourcegraphdefinitions");
    kr_val list = cli_local_ask(&r->local, &r->work, "GET", path, NULL, KR_S("")).body;
    kr_val items = kr_get(list, KR_S("items"));

    KR_LIST_EACH (definition, items) {
        tell_trouble_of(r,
                        kr_with(&r->work, *definition, "kind", KR_V_STR("ResourceGraphDefinition")),
                        "Active");
        tell_instances(r, *definition);
    }
}

static void tell_writes(struct run *r, struct kr_buf *out, const char *indent)
{
    uint32_t n = 0;

    for (kr_str lines = kr_buf_view(&r->writes); lines.n; n++) {
        kr_str one = kr_str_cut(&lines, '\n');

        if (n < WRITES_SHOWN_MAX)
            kr_buf_fmt(out, "%s" KR_FMT "\n", indent, KR_ARG(one));
    }
    if (n > WRITES_SHOWN_MAX)
        kr_buf_fmt(out, "%s... and %u more\n", indent, n - WRITES_SHOWN_MAX);
}

static kr_str title(struct run *r, uint32_t i, kr_val step)
{
    kr_str names[] = {KR_S("spec"), KR_S("steps"), kr_fmt(&r->work, "%u", i)};
    kr_str name = kr_at_str(step, "name");

    return kr_fmt(&r->work, "step %u%s" KR_FMT "%s, line %u", i + 1, name.n ? " \"" : "",
                  KR_ARG(name), name.n ? "\"" : "", line_of(r, names, 3));
}

static void run_step(struct run *r, uint32_t i, kr_val step)
{
    kr_str head = title(r, i, step);

    kr_buf_reset(&r->writes);
    kr_buf_reset(&r->refusals);
    kr_buf_fmt(&r->told, "    " KR_FMT "\n", KR_ARG(head));
    if (step.kind != KR_MAP)
        fail(r, KR_S("a step is a map of what it does and expects"));
    check_members(r, step, "a step", step_members);
    if (!r->failed)
        run_actions(r, step, false);
    if (!r->failed)
        rest(r);
    if (r->refusals.n && kr_get(step, KR_S("refused")).kind == KR_NONE)
        fail(r, kr_str_trim(kr_buf_view(&r->refusals)));
    if (r->writes.full || r->refusals.full)
        fail(r, kr_fmt(&r->work, "the requests of one step take more than %d bytes of text",
                       CLI_TEST_TEXT_MAX));
    if (!r->failed)
        run_actions(r, step, true);
    kr_buf_fmt(&r->log, "    " KR_FMT ": %.1f s\n", KR_ARG(head),
               (double)cli_local_now(&r->local) / 1000);
    tell_writes(r, &r->log, "        ");
    if (!r->failed) {
        kr_buf_reset(&r->told);
        return;
    }
    tell_trouble(r);
    if (r->writes.n)
        kr_buf_fmt(&r->told, "      the controller's writes in this step:\n");
    tell_writes(r, &r->told, "        ");
}

/* --- the test --------------------------------------------------------------------------------- */

static void read_cluster(struct run *r, kr_val spec, struct sandbox_opts *opts)
{
    kr_val cluster = kr_get(spec, KR_S("cluster")), ready = kr_get(spec, KR_S("readyAfter"));
    int64_t ns = 0;

    opts->bare = kr_is_str(cluster, KR_S("apiserver-only"));
    if (cluster.kind != KR_NONE && !opts->bare && !kr_is_str(cluster, KR_S("full")))
        fail(r, KR_S("spec.cluster: full or apiserver-only is wanted"));
    if (ready.kind == KR_NONE)
        return;
    if (!kr_duration_parse(kr_text(ready), &ns) || ns < MS_NS || ns / MS_NS > CLI_TEST_WAIT_MAX_MS)
        fail(r, KR_S("spec.readyAfter: a duration such as 90s is wanted, from 1ms to 24h"));
    opts->ready_after_ms = (uint32_t)(ns / MS_NS);
}

static void check_test(struct run *r, kr_val steps)
{
    kr_val skip = kr_at(r->c->v, "spec.skip");

    if (skip.kind != KR_NONE && skip.kind != KR_STRING)
        fail(r, KR_S("spec.skip: a text is wanted that says why"));
    check_members(r, r->c->v, "a Test", test_members);
    check_members(r, kr_get(r->c->v, KR_S("spec")), "spec", spec_members);
    if (steps.kind != KR_LIST || steps.n == 0)
        fail(r, KR_S("spec.steps: a list of steps is wanted"));
    if (steps.n > CLI_TEST_STEPS_MAX)
        fail(r, kr_fmt(&r->work, "spec.steps: more than %d", CLI_TEST_STEPS_MAX));
}

static void run_test(struct run *r)
{
    kr_val spec = kr_get(r->c->v, KR_S("spec")), steps = kr_get(spec, KR_S("steps"));
    struct cli_local_opts opts = {.asked = on_asked, .arg = r};

    check_test(r, steps);
    read_cluster(r, spec, &opts.sandbox);
    if (r->failed)
        return;
    cli_local_open(&r->local, &opts);
    rest(r);
    for (uint32_t i = 0; i < steps.n && !r->failed; i++)
        run_step(r, i, steps.list[i]);
    kr_buf_reset(&r->writes);
    cli_local_close(&r->local);
}

/* What it says, and whether that is all. */
static kr_str whole(struct kr_arena *a, const struct kr_buf *b)
{
    return kr_fmt(a, KR_FMT "%s", KR_ARG(kr_buf_view(b)),
                  b->full ? "\n    (cut: there is more than 1 MiB of it)\n" : "");
}

_Static_assert(CLI_TEST_TEXT_MAX == 1024 * 1024, "as the text says");

void cli_case_run(struct cli_case *c, struct kr_arena *a)
{
    struct run r = {.c = c,
                    .a = a,
                    .told = KR_BUF(CLI_TEST_TEXT_MAX),
                    .log = KR_BUF(CLI_TEST_TEXT_MAX),
                    .writes = KR_BUF(CLI_TEST_TEXT_MAX),
                    .refusals = KR_BUF(CLI_TEST_TEXT_MAX)};
    kr_val skip = kr_at(c->v, "spec.skip");
    uint64_t began = uv_hrtime();

    c->outcome = CLI_SKIPPED;
    if (skip.kind == KR_STRING && skip.n) {
        c->told = kr_strdup(a, kr_text(skip));
    } else {
        run_test(&r);
        c->outcome = r.failed ? CLI_TEST_FAILED : CLI_PASSED;
        c->told = whole(a, &r.told);
        c->log = whole(a, &r.log);
    }
    c->took_ns = uv_hrtime() - began;
    kr_buf_fini(&r.told);
    kr_buf_fini(&r.log);
    kr_buf_fini(&r.writes);
    kr_buf_fini(&r.refusals);
    kr_arena_fini(&r.work);
}
