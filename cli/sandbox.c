/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox.c - kroc sandbox: a Kubernetes API server on loopback, for as long as the command runs.
 *
 *   listens --> writes the kubeconfig --> KUBECONFIG=PATH --> (--controller: a child of its own)
 *                                                        --> (--apply: documents, until all are in)
 *   SIGTERM, SIGINT --> child ended --> (--save: written) --> done
 *
 * A document whose kind is not served yet (an instance before its definition is active) waits until
 * it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "cel/base/digest.h"
#include "cel/base/json.h"
#include "cel/base/yaml.h"
#include "cli/cli.h"
#include "kube/curl_uv.h"
#include "kube/sandbox/cert.h"
#include "kube/sandbox/serve.h"

#include "cel/base/banned.h"

enum {
    APPLY_AGAIN_MS = 20, /* how often a document that waits for its kind is offered again */
    SAVE_EVERY_MS = 1000,
    KUBECONFIG_MAX = 64 * 1024,
};

static const char usage[] = "kroc sandbox";

struct run {
    struct cli_list apply, operands;
    const char *cluster, *kubeconfig, *save, *port, *ready_after;
    struct cli_list faults;
    bool controller, plain;

    struct kr_arena a;
    uv_loop_t loop;
    struct kube_uv_clock *clock;
    struct sandbox *sandbox;
    struct sandbox_server *server;
    struct sandbox_fault fault;
    uv_signal_t on_term, on_int;
    uv_timer_t again, saver;
    uint64_t saved_version;
    kr_val *waiting; /* documents of --apply */
    uint32_t waiting_n;
    pid_t child;
    char *path; /* of the kubeconfig */
    bool made;  /* the kubeconfig is ours to remove */
    int rc;
};

/* --- the kubeconfig --------------------------------------------------------------------------- */

static int write_private(const char *path, kr_str text, struct kr_err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0)
        return kr_fail(err, KR_E_IO, "cannot write %s: %s", path, strerror(errno));
    while (text.n > 0) {
        ssize_t n = write(fd, text.s, text.n);

        if (n < 0) {
            close(fd);
            return kr_fail(err, KR_E_IO, "cannot write %s: %s", path, strerror(errno));
        }
        text = kr_str_sub(text, (size_t)n, text.n);
    }
    close(fd);
    return 0;
}

static int write_kubeconfig(struct run *r, const char *token, struct kr_err *err)
{
    KR_AUTO(kr_buf) b = KR_BUF(KUBECONFIG_MAX);
    const char *cert = sandbox_server_certificate(r->server);

    kr_buf_fmt(&b,
               "apiVersion: v1\nkind: Config\nclusters:\n- name: sandbox\n  cluster:\n"
               "    server: http%s://127.0.0.1:%u\n",
               cert ? "s" : "", sandbox_server_port(r->server));
    if (cert)
        kr_buf_fmt(&b, "    certificate-authority-data: " KR_FMT "\n",
                   KR_ARG(kr_base64_encode(&r->a, kr_str_c(cert), KR_BASE64_STD)));
    kr_buf_fmt(&b,
               "users:\n- name: admin\n  user:\n    token: %s\n"
               "contexts:\n- name: sandbox\n  context:\n    cluster: sandbox\n    user: admin\n"
               "current-context: sandbox\n",
               token);
    return write_private(r->path, kr_buf_view(&b), err);
}

static void choose_path(struct run *r)
{
    const char *home = getenv("XDG_RUNTIME_DIR");

    r->made = r->kubeconfig == NULL;
    r->path = kr_cstrdup(r->kubeconfig ? kr_str_c(r->kubeconfig)
                                       : kr_fmt(&r->a, "%s/kroc-sandbox-%d.kubeconfig",
                                                home && home[0] ? home : "/tmp", (int)getpid()));
}

/* --- documents -------------------------------------------------------------------------------- */

static int add_file(void *arg, const char *path, struct kr_err *err)
{
    struct run *r = arg;
    kr_str text;
    kr_val docs;

    KR_TRY(cli_read(&r->a, path, &text, err));
    if (kr_yaml_parse(&r->a, text, &docs, err) < 0)
        return kr_wrap(err, "%s", path);
    r->waiting = kr_realloc(r->waiting, (r->waiting_n + docs.n + 1) * sizeof r->waiting[0]);
    KR_LIST_EACH (doc, docs)
        r->waiting[r->waiting_n++] = *doc;
    return 0;
}

/* Offers one document; false: its kind is not served (or its namespace is not there) yet. */
static bool offer(struct run *r, kr_val doc, struct kr_err *err)
{
    struct sandbox_response answer = {0};
    int status = sandbox_apply(r->sandbox, doc, "kroc-sandbox", &answer);

    if (status >= 300 && status != 404) {
        struct kr_arena a = {0};
        kr_val v = KR_V_NONE;

        if (kr_json_parse(&a, kr_buf_view(&answer.body), &v, NULL) == 0)
            kr_fail(err, KR_E_API, KR_FMT, KR_ARG(kr_at_str(v, "message")));
        kr_arena_fini(&a);
    }
    sandbox_response_fini(&answer);
    return status != 404;
}

static void apply_waiting(struct run *r)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < r->waiting_n; i++) {
        struct kr_err err = KR_ERR_NONE;

        if (!offer(r, r->waiting[i], &err))
            r->waiting[n++] = r->waiting[i];
        else if (err.code)
            cli_fail_err(CLI_FAILED, &err);
    }
    r->waiting_n = n;
    if (n == 0)
        uv_timer_stop(&r->again);
}

static void on_again(uv_timer_t *timer)
{
    apply_waiting(KR_OWNER(timer, struct run, again));
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
    dup2(2, 1); /* standard output is for KUBECONFIG= alone */
    setenv("KUBECONFIG", r->path, 1);
    execl("/proc/self/exe", "kroc", "controller", "--metrics-bind-address=0",
          "--health-probe-bind-address=0", (char *)NULL);
    _exit(127);
}

static void stop_controller(struct run *r)
{
    if (r->child <= 0)
        return;
    kill(r->child, SIGTERM);
    while (waitpid(r->child, NULL, 0) < 0 && errno == EINTR)
        ;
    r->child = 0;
}

/* --- life ------------------------------------------------------------------------------------- */

static void save(struct run *r)
{
    struct kr_err err = KR_ERR_NONE;

    if (r->save == NULL || r->saved_version == sandbox_version(r->sandbox))
        return;
    r->saved_version = sandbox_version(r->sandbox);
    if (sandbox_save(r->sandbox, r->save, &err) < 0)
        cli_fail_err(CLI_FAILED, &err);
}

static void on_save(uv_timer_t *timer)
{
    save(KR_OWNER(timer, struct run, saver));
}

static void finish(struct run *r)
{
    if (uv_is_closing((uv_handle_t *)&r->on_term))
        return;
    stop_controller(r);
    save(r);
    sandbox_server_close(r->server, NULL, NULL);
    r->server = NULL;
    uv_close((uv_handle_t *)&r->on_term, NULL);
    uv_close((uv_handle_t *)&r->on_int, NULL);
    uv_close((uv_handle_t *)&r->again, NULL);
    uv_close((uv_handle_t *)&r->saver, NULL);
    sandbox_free(r->sandbox);
    r->sandbox = NULL;
    kube_uv_clock_close(r->clock);
}

static void on_term(uv_signal_t *signal, int number)
{
    finish(KR_OWNER(signal, struct run, on_term));
}

static void on_int(uv_signal_t *signal, int number)
{
    finish(KR_OWNER(signal, struct run, on_int));
}

/* What a failed start left. */
static void close_half_open(struct run *r)
{
    if (r->server)
        finish(r);
    else if (r->sandbox) {
        sandbox_free(r->sandbox);
        kube_uv_clock_close(r->clock);
    }
}

static int open_server(struct run *r, struct kr_err *err)
{
    struct sandbox_server_opts opts = {
        .loop = &r->loop, .sandbox = r->sandbox, .plain = r->plain, .fault = r->fault};
    uint8_t bytes[SANDBOX_TOKEN_BYTES];
    const char *token;
    uint64_t port = 0;

    if (r->port && (!kr_str_u64(kr_str_c(r->port), &port) || port > UINT16_MAX))
        return kr_fail(err, KR_E_INPUT, "--port takes a number up to 65535");
    KR_TRY(sandbox_cert_random(bytes, sizeof bytes, err));
    token = kr_cstr(&r->a, kr_hex(&r->a, bytes, sizeof bytes));
    opts.port = (uint16_t)port;
    opts.token = r->plain ? NULL : token; /* clients send none without TLS */
    KR_TRY(sandbox_server_open(&opts, &r->server, err));
    uv_signal_init(&r->loop, &r->on_term);
    uv_signal_init(&r->loop, &r->on_int);
    uv_timer_init(&r->loop, &r->again);
    uv_timer_init(&r->loop, &r->saver);
    return write_kubeconfig(r, token, err);
}

static int open_all(struct run *r, struct kr_err *err)
{
    struct sandbox_opts opts = {.bare = r->cluster && strcmp(r->cluster, "apiserver-only") == 0};
    uint64_t ready_ms = 0;

    if (r->ready_after && !kr_str_u64(kr_str_c(r->ready_after), &ready_ms))
        return kr_fail(err, KR_E_INPUT, "--ready-after takes milliseconds");
    opts.ready_after_ms = (uint32_t)ready_ms;
    for (uint32_t i = 0; i < r->apply.n; i++)
        KR_TRY(cli_each_file(&r->a, r->apply.at[i], add_file, r, err));
    r->clock = kube_uv_clock_new(&r->loop);
    r->sandbox = sandbox_new(kube_uv_clock_door(r->clock), &opts);
    if (r->save && sandbox_load(r->sandbox, r->save, err) < 0)
        return err->code;
    return open_server(r, err);
}

static int serve(struct run *r, struct kr_err *err)
{
    KR_TRY(open_all(r, err));
    uv_signal_start(&r->on_term, on_term, SIGTERM);
    uv_signal_start(&r->on_int, on_int, SIGINT);
    if (r->save)
        uv_timer_start(&r->saver, on_save, SAVE_EVERY_MS, SAVE_EVERY_MS);
    if (r->waiting_n) {
        uv_timer_start(&r->again, on_again, APPLY_AGAIN_MS, APPLY_AGAIN_MS);
        apply_waiting(r);
    }
    printf("KUBECONFIG=%s\n", r->path);
    fflush(stdout);
    if (r->controller)
        KR_TRY(start_controller(r, err));
    uv_run(&r->loop, UV_RUN_DEFAULT);
    return 0;
}

static int parse(struct run *r, int argc, char *const *argv, struct kr_err *err)
{
    static const char *const clusters[] = {"full", "apiserver-only", NULL};
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
         .help = "every=N,status=CODE, cut=BYTES or delay=MSms, on purpose"},
        {.name = "save", .value = &r->save, .arg = "FILE", .help = "keep the objects there"},
        {.name = "port", .value = &r->port, .arg = "N", .help = "of 127.0.0.1; default: any"},
        {.name = "plain", .flag = &r->plain, .help = "HTTP without TLS and without a token"},
        {.name = "ready-after",
         .value = &r->ready_after,
         .arg = "MS",
         .help = "how long workloads take to become ready; default 300"},
        {0}};
    int rc = cli_parse(options, argc, argv, NULL, usage, err);

    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < r->faults.n; i++)
        KR_TRY(sandbox_fault_read(r->faults.at[i], &r->fault, err));
    return 0;
}

int cli_sandbox(int argc, char *const *argv)
{
    struct run *r = KR_ALLOC(struct run);
    struct kr_err err = KR_ERR_NONE;
    int rc = parse(r, argc, argv, &err), code;

    if (rc == 0) {
        uv_loop_init(&r->loop);
        choose_path(r);
        rc = serve(r, &err);
        if (rc < 0)
            close_half_open(r);
        uv_run(&r->loop, UV_RUN_DEFAULT);
        uv_loop_close(&r->loop);
        if (r->made)
            unlink(r->path);
        code = rc < 0 ? cli_fail_err(CLI_FAILED, &err) : CLI_OK;
    } else {
        code = rc == CLI_HELP ? CLI_OK : cli_fail(CLI_USAGE, err.text);
    }
    kr_free(r->waiting);
    kr_free(r->path);
    kr_arena_fini(&r->a);
    kr_free(r);
    return code;
}
