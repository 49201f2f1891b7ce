/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox.c - kroc sandbox: a Kubernetes API server on loopback, for as long as the command runs.
 *
 *   listens --> writes the kubeconfig --> KUBECONFIG=PATH --> (--controller: a child of its own)
 *                                                        --> (--apply: documents, until all are in)
 *   SIGTERM, SIGINT, SIGHUP --> child ended --> (--save: written) --> done
 *
 * The controller is a process of its own that comes over HTTP, like the one of a cluster, so that
 * --fault is in its way; it has kro's CRDs before it starts. A document whose kind is not served yet
 * (an instance before its definition is active) waits until it is (feed.h); if one is refused, the
 * exit code is 1, but the server stays up.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/endpoint.h"
#include "cli/feed.h"
#include "cli/local.h"
#include "kube/curl_uv.h"

#include "cel/base/banned.h"

enum { SAVE_EVERY_MS = 1000, READY_AFTER_MAX_MS = 24 * 3600 * 1000 };

static const char usage[] = "kroc sandbox";

struct run {
    struct cli_list apply, operands;
    const char *cluster, *kubeconfig, *save;
    struct cli_list faults;
    uint32_t port, ready_after_ms;
    bool controller, plain;

    uv_loop_t loop;
    struct kube_uv_clock *clock;
    struct sandbox *sandbox;
    struct cli_endpoint endpoint;
    struct sandbox_fault fault;
    uv_signal_t on_term, on_int, on_hup, on_child;
    uv_timer_t again, saver;
    struct kr_arena a;
    uint64_t saved_version, began_ms;
    struct cli_feed feed; /* documents of --apply */
    bool failed;          /* one of them is refused, or the controller ended */
    const char *kept;     /* --save: the file, links followed, once it is ours and was read */
    int claim;            /* of it */
    bool save_failed;     /* the last time */
    bool handles;         /* there are some to close */
    bool stopping;
    pid_t child;
};

/* --- documents -------------------------------------------------------------------------------- */

static void on_refused(void *arg, kr_str what, kr_str why)
{
    struct run *r = arg;

    fprintf(stderr, "kroc: " KR_FMT ": " KR_FMT "\n", KR_ARG(what), KR_ARG(why));
    r->failed = true;
}

static void feed(struct run *r)
{
    if (cli_feed_offer(&r->feed, r->sandbox, "kroc-sandbox", on_refused, r) &&
        uv_now(&r->loop) - r->began_ms >= CLI_FEED_WAIT_MS) {
        fprintf(stderr, "kroc: these could not be applied within %d seconds:\n",
                CLI_FEED_WAIT_MS / 1000);
        cli_feed_give_up(&r->feed, on_refused, r);
    }
    if (r->feed.waiting_n == 0)
        uv_timer_stop(&r->again);
}

static void on_again(uv_timer_t *timer)
{
    feed(KR_OWNER(timer, struct run, again));
}

/* --- end -------------------------------------------------------------------------------------- */

/* The file is ours from here on, and what it had is in; where nothing can be kept is told now, not
 * after an hour of work. A file that was not read is not written either: it is somebody's. */
static int open_save(struct run *r, struct kr_err *err)
{
    char *real = realpath(r->save, NULL);
    const char *path = kr_cstr(&r->a, kr_str_c(real ? real : r->save));
    int rc;

    free(real);
    KR_TRY(sandbox_claim(path, &r->claim, err));
    rc = sandbox_load(r->sandbox, path, err);
    rc = rc < 0 ? rc : sandbox_save(r->sandbox, path, err);
    if (rc < 0) {
        sandbox_unclaim(path, r->claim);
        return rc;
    }
    r->kept = path;
    r->saved_version = sandbox_version(r->sandbox);
    return 0;
}

/* Tries again each second until it has worked, and says once that it does not. */
static void save(struct run *r)
{
    struct kr_err err = KR_ERR_NONE;
    uint64_t version = sandbox_version(r->sandbox);

    if (r->kept == NULL || r->saved_version == version)
        return;
    if (sandbox_save(r->sandbox, r->kept, &err) == 0) {
        r->saved_version = version;
        r->save_failed = false;
    } else if (!r->save_failed) {
        cli_fail_err(CLI_FAILED, &err);
        r->save_failed = true;
    }
}

static void close_save(struct run *r)
{
    if (r->kept == NULL)
        return;
    r->save_failed = false; /* the last word is said in any case */
    save(r);
    sandbox_unclaim(r->kept, r->claim);
    r->kept = NULL;
}

static void on_save(uv_timer_t *timer)
{
    save(KR_OWNER(timer, struct run, saver));
}

static void finish(struct run *r)
{
    if (!r->handles)
        return;
    r->handles = false;
    close_save(r);
    cli_endpoint_close(&r->endpoint);
    uv_close((uv_handle_t *)&r->on_term, NULL);
    uv_close((uv_handle_t *)&r->on_int, NULL);
    uv_close((uv_handle_t *)&r->on_hup, NULL);
    uv_close((uv_handle_t *)&r->on_child, NULL);
    uv_close((uv_handle_t *)&r->again, NULL);
    uv_close((uv_handle_t *)&r->saver, NULL);
    sandbox_free(r->sandbox);
    r->sandbox = NULL;
    kube_uv_clock_close(r->clock);
}

/* --- the controller --------------------------------------------------------------------------- */

/* A process of its own, so that it is the same program that runs in a cluster. */
static int start_controller(struct run *r, struct kr_err *err)
{
    r->child = fork();
    if (r->child < 0)
        return kr_fail(err, KR_E_IO, "cannot start the controller: %s", strerror(errno));
    if (r->child > 0)
        return 0;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    setpgid(0, 0); /* Ctrl-C is for us, who then tell it */
    dup2(2, 1);    /* standard output is for KUBECONFIG= alone */
    setenv("KUBECONFIG", r->endpoint.kubeconfig, 1);
    execl("/proc/self/exe", "kroc", "controller", "--metrics-bind-address=0",
          "--health-probe-bind-address=0", (char *)NULL);
    _exit(127);
}

/* The server goes on until the controller has ended, for that has requests under way. */
static void stop(struct run *r)
{
    if (r->child > 0)
        kill(r->child, r->stopping ? SIGKILL : SIGTERM);
    else
        finish(r);
    r->stopping = true;
}

static void on_child(uv_signal_t *signal, int number)
{
    struct run *r = KR_OWNER(signal, struct run, on_child);
    int status;

    if (r->child <= 0 || waitpid(r->child, &status, WNOHANG) != r->child)
        return;
    r->child = 0;
    if (!r->stopping) {
        cli_fail(CLI_FAILED, "the controller has ended by itself");
        r->failed = true;
    }
    finish(r);
}

static void on_term(uv_signal_t *signal, int number)
{
    stop(KR_OWNER(signal, struct run, on_term));
}

static void on_int(uv_signal_t *signal, int number)
{
    stop(KR_OWNER(signal, struct run, on_int));
}

static void on_hup(uv_signal_t *signal, int number)
{
    stop(KR_OWNER(signal, struct run, on_hup));
}

/* Under nohup it stays ignored. */
static bool is_ignored(int number)
{
    struct sigaction was;

    return sigaction(number, NULL, &was) == 0 && was.sa_handler == SIG_IGN;
}

/* --- start ------------------------------------------------------------------------------------ */

static void open_handles(struct run *r)
{
    uv_signal_init(&r->loop, &r->on_term);
    uv_signal_init(&r->loop, &r->on_int);
    uv_signal_init(&r->loop, &r->on_hup);
    uv_signal_init(&r->loop, &r->on_child);
    uv_timer_init(&r->loop, &r->again);
    uv_timer_init(&r->loop, &r->saver);
    r->handles = true;
}

static int open_all(struct run *r, struct kr_err *err)
{
    struct sandbox_opts opts = {.bare = r->cluster && strcmp(r->cluster, "apiserver-only") == 0,
                                .ready_after_ms = r->ready_after_ms};
    struct cli_endpoint_opts endpoint = {.loop = &r->loop,
                                         .port = (uint16_t)r->port,
                                         .plain = r->plain,
                                         .fault = r->fault,
                                         .kubeconfig = r->kubeconfig};

    for (uint32_t i = 0; i < r->apply.n; i++)
        KR_TRY(cli_feed_path(&r->feed, r->apply.at[i], err));
    r->clock = kube_uv_clock_new(&r->loop);
    r->sandbox = sandbox_new(kube_uv_clock_door(r->clock), &opts);
    open_handles(r);
    if (r->save)
        KR_TRY(open_save(r, err));
    if (r->controller)
        cli_local_crds(r->sandbox);
    endpoint.sandbox = r->sandbox;
    return cli_endpoint_open(&r->endpoint, &endpoint, err);
}

static int serve(struct run *r, struct kr_err *err)
{
    KR_TRY(open_all(r, err));
    uv_signal_start(&r->on_term, on_term, SIGTERM);
    uv_signal_start(&r->on_int, on_int, SIGINT);
    if (!is_ignored(SIGHUP))
        uv_signal_start(&r->on_hup, on_hup, SIGHUP);
    uv_signal_start(&r->on_child, on_child, SIGCHLD);
    if (r->save)
        uv_timer_start(&r->saver, on_save, SAVE_EVERY_MS, SAVE_EVERY_MS);
    printf("KUBECONFIG=%s\n", r->endpoint.kubeconfig);
    fflush(stdout);
    if (r->controller)
        KR_TRY(start_controller(r, err));
    r->began_ms = uv_now(&r->loop);
    uv_timer_start(&r->again, on_again, CLI_FEED_AGAIN_MS, CLI_FEED_AGAIN_MS);
    feed(r);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    return 0;
}

/* An unset option leaves *out alone. */
static int read_number(const char *text, uint32_t min, uint32_t max, const char *takes,
                       uint32_t *out, struct kr_err *err)
{
    uint64_t n;

    if (text == NULL)
        return 0;
    if (!kr_str_u64(kr_str_c(text), &n) || n < min || n > max)
        return kr_fail(err, KR_E_INPUT, "%s from %u to %u, not \"%s\"", takes, min, max, text);
    *out = (uint32_t)n;
    return 0;
}

static int parse(struct run *r, int argc, char *const *argv, struct kr_err *err)
{
    static const char *const clusters[] = {"full", "apiserver-only", NULL};
    const char *port = NULL, *ready_after = NULL;
    const struct cli_option options[] = {
        {.name = "controller", .flag = &r->controller, .help = "run the controller on it"},
        {.name = "apply",
         .list = &r->apply,
         .arg = "PATH",
         .help = "apply the documents of a file or folder"},
        {.name = "cluster",
         .value = &r->cluster,
         .choices = clusters,
         .arg = "KIND",
         .help = "full (the default), or apiserver-only: nothing happens but what is asked for"},
        {.name = "kubeconfig", .value = &r->kubeconfig, .arg = "FILE", .help = "write it there"},
        {.name = "fault",
         .list = &r->faults,
         .arg = "WHAT",
         .help = "every=N,status=CODE, cut=BYTES or delay=MSms, on purpose; of=METHOD"},
        {.name = "save", .value = &r->save, .arg = "FILE", .help = "keep the objects there"},
        {.name = "port", .value = &port, .arg = "N", .help = "of 127.0.0.1; default: any"},
        {.name = "plain", .flag = &r->plain, .help = "HTTP without TLS and without a token"},
        {.name = "ready-after",
         .value = &ready_after,
         .arg = "MS",
         .help = "how long workloads take to become ready; default 300"},
        {0}};
    int rc = cli_parse(options, argc, argv, NULL, usage, err);

    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < r->faults.n; i++)
        KR_TRY(sandbox_fault_read(r->faults.at[i], &r->fault, err));
    KR_TRY(read_number(port, 0, UINT16_MAX, "--port takes a number", &r->port, err));
    return read_number(ready_after, 1, READY_AFTER_MAX_MS, "--ready-after takes milliseconds",
                       &r->ready_after_ms, err);
}

int cli_sandbox(int argc, char *const *argv)
{
    struct run *r = KR_ALLOC(struct run);
    struct kr_err err = KR_ERR_NONE;
    int rc = parse(r, argc, argv, &err), code;

    if (rc == 0) {
        uv_loop_init(&r->loop);
        rc = serve(r, &err);
        finish(r);
        uv_run(&r->loop, UV_RUN_DEFAULT);
        uv_loop_close(&r->loop);
        code = rc < 0                        ? cli_fail_err(CLI_FAILED, &err)
               : r->failed || r->save_failed ? CLI_FAILED
                                             : CLI_OK;
    } else {
        code = rc == CLI_HELP ? CLI_OK : cli_fail(CLI_USAGE, err.text);
    }
    cli_feed_fini(&r->feed);
    kr_arena_fini(&r->a);
    kr_free(r);
    return code;
}
