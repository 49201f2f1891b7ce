/* SPDX-License-Identifier: Apache-2.0 */
/* live.h - for tests over real sockets: a child process that says when it is ready, and a client on
 * libcurl and libuv that waits for its answers. */
#ifndef TESTS_KUBE_LIVE_H
#define TESTS_KUBE_LIVE_H

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kube/client.h"
#include "kube/curl_uv.h"
#include "tests/lib/test.h"

/* --- a child process -------------------------------------------------------------------------- */

struct child {
    pid_t pid;
    FILE *out; /* its standard output */
};

static inline void child_start(struct child *c, char *const argv[])
{
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    c->pid = fork();
    assert_true(c->pid >= 0);
    if (c->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        dup2(fds[1], 1);
        close(fds[0]);
        close(fds[1]);
        execvp(argv[0], argv);
        _exit(127);
    }
    close(fds[1]);
    c->out = fdopen(fds[0], "r");
}

/* The rest of the next line that begins with prefix; false: the child ended before it. */
static inline bool child_line(struct child *c, const char *prefix, char *out, size_t n)
{
    char line[4096];

    while (fgets(line, sizeof line, c->out) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, prefix, strlen(prefix)) != 0)
            continue;
        snprintf(out, n, "%s", line + strlen(prefix));
        return true;
    }
    return false;
}

static inline void child_stop(struct child *c)
{
    int status;

    if (c->pid <= 0)
        return;
    kill(c->pid, SIGTERM);
    waitpid(c->pid, &status, 0);
    fclose(c->out);
    c->pid = 0;
}

/* --- a client on real sockets ----------------------------------------------------------------- */

struct live {
    uv_loop_t loop;
    struct kube_config *config;
    struct kube_curl *curl;
    struct kube_uv_clock *clock;
    struct kube_client *client;
    int done_n;
    bool closed;
};

static struct live *live_now; /* whose requests these are; one at a time */

static inline void live_open(struct live *l, const struct kube_config_source *s)
{
    struct kube_client_opts opts = {.user_agent = "kro/test"};
    struct kr_err err = KR_ERR_NONE;

    memset(l, 0, sizeof *l);
    live_now = l;
    EXPECT_OK(kube_config_load(s, &l->config, &err), &err);
    uv_loop_init(&l->loop);
    l->clock = kube_uv_clock_new(&l->loop);
    l->curl = kube_curl_new(&l->loop, l->config);
    l->client = kube_client_new(kube_curl_transport(l->curl), kube_uv_clock_door(l->clock), &opts);
}

static inline void live_open_file(struct live *l, const char *kubeconfig, const char *context)
{
    live_open(l, &(struct kube_config_source){.kubeconfig = kubeconfig, .context = context});
}

static inline void live_on_closed(void *arg)
{
    ((struct live *)arg)->closed = true;
}

static inline void live_close(struct live *l)
{
    kube_curl_close(l->curl, live_on_closed, l);
    while (!l->closed)
        uv_run(&l->loop, UV_RUN_ONCE);
    kube_client_turn(l->client);
    kube_client_free(l->client);
    kube_uv_clock_close(l->clock);
    uv_run(&l->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&l->loop), 0); /* no handle is left */
    kube_config_free(l->config);
}

static inline void live_on_done(struct kube_req *req)
{
    live_now->done_n++;
}

/* Runs the loop until n requests have ended. */
static inline void live_wait(struct live *l, int n)
{
    while (l->done_n < n) {
        uv_run(&l->loop, UV_RUN_ONCE);
        kube_client_turn(l->client);
    }
    l->done_n -= n;
}

static inline void live_run_ms(struct live *l, uint64_t ms)
{
    uint64_t end = uv_hrtime() / 1000000 + ms;

    while (uv_hrtime() / 1000000 < end) {
        uv_run(&l->loop, UV_RUN_NOWAIT);
        kube_client_turn(l->client);
        usleep(1000);
    }
}

static inline void live_get(struct live *l, struct kube_req *req, const char *path)
{
    req->verb = KUBE_GET;
    req->path = kr_str_c(path);
    req->on_done = live_on_done;
    kube_req_start(l->client, req);
    live_wait(l, 1);
}

#endif
