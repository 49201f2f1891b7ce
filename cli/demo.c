/* SPDX-License-Identifier: Apache-2.0 */
/* demo.c - `kroc demo` (`make run`): kroc at work, in one process and one terminal.
 *
 *   sandbox and controller start --> APPLY the example --ACTIVE, at rest--> EDIT the ConfigMap
 *     that the example reads --at rest--> JUDGE: one PATCH, at most one status write
 *     --once--> the end;  else STAY, for kubectl and kroc from another terminal
 *
 * What is shown is what happened: each line is a change as the server stored it, or a request as the
 * server answered it. The exit code says whether the edit cost what it may.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "cel/base/json.h"
#include "cel/base/log.h"
#include "cli/endpoint.h"
#include "cli/feed.h"
#include "cli/local.h"
#include "kube/curl_uv.h"

#include "cel/base/banned.h"

enum {
    TICK_MS = 10,
    REST_MS = 400, /* nothing happens for so long: over the time that workloads take */
    WHY_MAX = 1024 * 1024,
};

#define SETTINGS "/api/v1/namespaces/default/configmaps/settings"
#define EDIT "{\"data\":{\"COLOUR\":\"green\"}}"

enum phase { APPLY, EDITED, STAY };

struct demo {
    struct cli_list folders;
    bool once;
    const char *since;

    enum phase phase;
    uv_loop_t loop;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle;
    uv_timer_t tick;
    uv_signal_t on_int, on_term;
    struct kube_uv_clock *clock;
    struct cli_local local;
    struct cli_endpoint endpoint;
    struct cli_feed feed;
    uint64_t began_ns, edited_ns;
    uint64_t changed_ms; /* the last time that anything was written */
    bool active, failed, ending, closed;
    uint32_t patches_n, statuses_n, others_n; /* requests of the controller since the edit */
    struct kr_buf why;                        /* its answer before the edit */
};

/* --- what is shown ---------------------------------------------------------------------------- */

static double ms_since(uint64_t then_ns)
{
    return (double)(uv_hrtime() - then_ns) / 1e6;
}

static void heading(const char *text)
{
    printf("\n== %s\n", text);
}

static void show_state(struct demo *d, const struct sandbox_seen *seen)
{
    kr_str state = kr_at_str(seen->object, "status.state");

    if (d->active || !kr_str_is(seen->group, "kro.run") || !kr_str_is(state, "ACTIVE") ||
        kr_str_is(seen->resource, "graphrevisions"))
        return;
    d->active = true;
    printf("\n" KR_FMT " " KR_FMT " is ACTIVE, %.0f ms after the start",
           KR_ARG(kr_at_str(seen->object, "kind")), KR_ARG(seen->name), ms_since(d->began_ns));
    if (d->since)
        printf(" (%lld s after `make run`, building included)",
               (long long)time(NULL) - strtoll(d->since, NULL, 10));
    putchar('\n');
}

/* NULL: the cluster itself, which is not told. */
static const char *maker_of(kr_val object)
{
    kr_str manager = kr_at_str(kr_item(kr_at(object, "metadata.managedFields"), 0), "manager");

    if (kr_str_is(manager, "you"))
        return "you";
    return kr_str_starts(manager, KR_S("kro")) ? "kroc" : NULL;
}

static void on_change(void *arg, const struct sandbox_seen *seen)
{
    struct demo *d = arg;
    const char *maker = maker_of(seen->object);

    d->changed_ms = uv_now(&d->loop);
    if (d->phase == APPLY && seen->added && maker)
        printf("  %5.0f ms  %-24.*s %-16.*s by %s\n", ms_since(d->began_ns),
               KR_ARG(kr_at_str(seen->object, "kind")), KR_ARG(seen->name), maker);
    if (d->phase == APPLY)
        show_state(d, seen);
}

/* A request of the controller was served. */
static void on_asked(void *arg, const struct sandbox_request *q, const struct sandbox_response *r)
{
    struct demo *d = arg;
    kr_str target = cli_local_target(q->path);
    bool status = kr_str_ends(target, KR_S("/status"));

    if (strcmp(q->method, "GET") == 0)
        return;
    d->changed_ms = uv_now(&d->loop);
    if (d->phase != EDITED)
        return;
    printf("  %5.1f ms  %-6s %-24.*s %d\n", ms_since(d->edited_ns), q->method, KR_ARG(target),
           r->status);
    if (status)
        d->statuses_n++;
    else if (strcmp(q->method, "PATCH") == 0 && kr_str_starts(target, KR_S("deployments/")))
        d->patches_n++;
    else
        d->others_n++;
}

/* --- the story -------------------------------------------------------------------------------- */

static void on_refused(void *arg, kr_str what, kr_str why)
{
    struct demo *d = arg;

    fprintf(stderr, "kroc: " KR_FMT ": " KR_FMT "\n", KR_ARG(what), KR_ARG(why));
    d->failed = true;
}

static void ask_why(struct demo *d, struct kr_buf *out)
{
    struct reactor_why_query q = {.kind = KR_S("webapp"), .name = KR_S("shop")};

    if (reactor_why(d->local.reactor, &q, out) != 200)
        d->failed = true;
}

static void edit(struct demo *d)
{
    struct sandbox_response answer = {0};
    struct sandbox_request q = {.method = "PATCH",
                                .path = KR_S(SETTINGS "?fieldManager=you"),
                                .body = KR_S(EDIT),
                                .content_type = KR_S("application/merge-patch+json")};

    ask_why(d, &d->why);
    heading("you edit the ConfigMap settings: " EDIT);
    printf("What kroc asks the API server for because of that:\n");
    d->phase = EDITED;
    d->edited_ns = uv_hrtime();
    sandbox_serve(d->local.sandbox, &q, &answer);
    d->failed = d->failed || answer.status != 200;
    sandbox_response_fini(&answer);
}

static void judge(struct demo *d)
{
    KR_AUTO(kr_buf) now = KR_BUF(WHY_MAX);
    kr_str before = kr_buf_view(&d->why);

    ask_why(d, &now);
    if (!kr_str_starts(kr_buf_view(&now), before))
        before.n = 0;
    printf("That was all: the Deployment rolls.\n");
    heading("kroc why webapp/shop");
    printf(KR_FMT, KR_ARG(kr_str_sub(kr_buf_view(&now), before.n, now.n)));
    if (d->patches_n == 1 && d->statuses_n <= 1 && d->others_n == 0)
        return;
    fprintf(
        stderr,
        "kroc: the edit owes one PATCH and at most one status write; it cost %u, %u, and %u more\n",
        d->patches_n, d->statuses_n, d->others_n);
    d->failed = true;
}

static void tell_how_to_try(struct demo *d)
{
    heading("still running: try it from another terminal; Ctrl-C here ends everything");
    printf("  export KUBECONFIG=%s\n", d->endpoint.kubeconfig);
    printf("  build/release/kroc tree webapp/shop -w\n"
           "  kubectl get webapps,deployments,services,configmaps\n"
           "  kubectl patch configmap settings --type merge -p '{\"data\":{\"COLOUR\":\"red\"}}'\n"
           "  kubectl delete webapp shop\n");
}

static void end(struct demo *d)
{
    if (!d->ending)
        cli_local_stop(&d->local);
    d->ending = true;
}

static void give_up(struct demo *d, const char *why)
{
    cli_fail(CLI_FAILED, why);
    cli_feed_give_up(&d->feed, on_refused, d);
    d->failed = true;
    end(d);
}

static void go_on(struct demo *d)
{
    uint64_t now = uv_now(&d->loop);
    bool rest = now - d->changed_ms >= REST_MS;

    if (d->phase == APPLY && d->active && rest && d->feed.waiting_n == 0) {
        edit(d);
    } else if (d->phase == APPLY && ms_since(d->began_ns) > CLI_FEED_WAIT_MS) {
        give_up(d, "the example is not ACTIVE in time");
    } else if (d->phase == EDITED && rest) {
        judge(d);
        d->phase = STAY;
        if (d->once)
            end(d);
        else
            tell_how_to_try(d);
    }
    fflush(stdout);
}

static void on_tick(uv_timer_t *timer)
{
    struct demo *d = KR_OWNER(timer, struct demo, tick);

    cli_feed_offer(&d->feed, d->local.sandbox, "you", on_refused, d);
    if (d->failed && d->phase == APPLY)
        end(d);
    else if (!d->ending)
        go_on(d);
}

/* --- the loop --------------------------------------------------------------------------------- */

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* its being active is what counts: the loop does not wait */
}

static void close_all(struct demo *d)
{
    d->closed = true;
    sandbox_on_change(d->local.sandbox, NULL, NULL);
    cli_endpoint_close(&d->endpoint);
    cli_local_close(&d->local);
    uv_close((uv_handle_t *)&d->prepare, NULL);
    uv_close((uv_handle_t *)&d->check, NULL);
    uv_close((uv_handle_t *)&d->idle, NULL);
    uv_close((uv_handle_t *)&d->tick, NULL);
    uv_close((uv_handle_t *)&d->on_int, NULL);
    uv_close((uv_handle_t *)&d->on_term, NULL);
    kube_uv_clock_close(d->clock);
}

static void turn(struct demo *d)
{
    if (d->closed)
        return;
    if (cli_local_turn(&d->local))
        uv_idle_start(&d->idle, on_idle);
    else
        uv_idle_stop(&d->idle);
    if (d->ending && cli_local_stopped(&d->local))
        close_all(d);
}

static void on_prepare(uv_prepare_t *prepare)
{
    turn(KR_OWNER(prepare, struct demo, prepare));
}

static void on_check(uv_check_t *check)
{
    turn(KR_OWNER(check, struct demo, check));
}

static void on_sigint(uv_signal_t *signal, int number)
{
    end(KR_OWNER(signal, struct demo, on_int));
}

static void on_sigterm(uv_signal_t *signal, int number)
{
    end(KR_OWNER(signal, struct demo, on_term));
}

static void start_handles(struct demo *d)
{
    uv_prepare_init(&d->loop, &d->prepare);
    uv_check_init(&d->loop, &d->check);
    uv_idle_init(&d->loop, &d->idle);
    uv_timer_init(&d->loop, &d->tick);
    uv_signal_init(&d->loop, &d->on_int);
    uv_signal_init(&d->loop, &d->on_term);
    uv_prepare_start(&d->prepare, on_prepare);
    uv_check_start(&d->check, on_check);
    uv_timer_start(&d->tick, on_tick, 0, TICK_MS);
    uv_signal_start(&d->on_int, on_sigint, SIGINT);
    uv_signal_start(&d->on_term, on_sigterm, SIGTERM);
}

static int open_all(struct demo *d, struct kr_err *err)
{
    struct cli_local_opts local = {.asked = on_asked, .arg = d};
    struct cli_endpoint_opts endpoint = {.loop = &d->loop};

    for (uint32_t i = 0; i < d->folders.n; i++)
        KR_TRY(cli_feed_path(&d->feed, d->folders.at[i], err));
    kr_log_config(KR_ERROR, false, 2);
    d->clock = kube_uv_clock_new(&d->loop);
    start_handles(d);
    local.clock = kube_uv_clock_door(d->clock);
    cli_local_open(&d->local, &local);
    sandbox_on_change(d->local.sandbox, on_change, d);
    endpoint.sandbox = d->local.sandbox;
    if (cli_endpoint_open(&d->endpoint, &endpoint, err) < 0) {
        end(d);
        return err->code;
    }
    return 0;
}

static int run(struct demo *d, struct kr_err *err)
{
    int rc;

    heading("a Kubernetes API server and kroc, in one process");
    rc = open_all(d, err);
    if (rc == 0) {
        printf("serving after %.0f ms\n", ms_since(d->began_ns));
        heading("you apply the example: a ConfigMap that is read, a definition, an instance");
    }
    uv_run(&d->loop, UV_RUN_DEFAULT);
    return rc;
}

/* --- the command ------------------------------------------------------------------------------ */

static int parse(struct demo *d, int argc, char *const *argv, struct kr_err *err)
{
    const struct cli_option options[] = {
        {.name = "once", .flag = &d->once, .help = "end when the story is told"},
        {.name = "since",
         .value = &d->since,
         .arg = "SECONDS",
         .help = "since the epoch: when `make run` began, for the time it took"},
        {0}};
    int rc = cli_parse(options, argc, argv, &d->folders, "kroc demo FOLDER (examples/webapp)", err);

    if (rc == 0 && d->folders.n == 0)
        return kr_fail(err, KR_E_INPUT, "kroc demo needs the folder of the example webapp");
    return rc;
}

int cli_demo(int argc, char *const *argv)
{
    struct demo *d = KR_ALLOC(struct demo);
    struct kr_err err = KR_ERR_NONE;
    int rc = parse(d, argc, argv, &err), code = CLI_OK;

    d->began_ns = uv_hrtime();
    kr_buf_init(&d->why, WHY_MAX);
    if (rc == 0) {
        uv_loop_init(&d->loop);
        rc = run(d, &err);
        uv_loop_close(&d->loop);
        code = rc < 0 ? cli_fail_err(CLI_FAILED, &err) : d->failed ? CLI_FAILED : CLI_OK;
    } else if (rc < 0) {
        code = cli_fail(CLI_USAGE, err.text);
    }
    kr_buf_fini(&d->why);
    cli_feed_fini(&d->feed);
    kr_free(d);
    return code;
}
