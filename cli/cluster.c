/* SPDX-License-Identifier: Apache-2.0 */
/* cluster.c - see cluster.h. The loop runs only while an answer is waited for. */
#include "cli/cluster.h"

#include <stdio.h>
#include <uv.h>

#include "kube/config.h"
#include "kube/curl_uv.h"
#include "reactor/version.h"

#include "cel/base/banned.h"

struct cli_cluster {
    struct kube_config *config;
    uv_loop_t loop;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle; /* runs while completions wait, so that the loop does not */
    struct kube_curl *curl;
    struct kube_uv_clock *clock;
    struct kube_client *client;
    struct kube_discovery *discovery;
    struct kube_openapi *openapi;
    char user_agent[160];

    struct kube_schemas_req load;
    struct kube_timer limit;
    bool done, late;
};

static void on_idle(uv_idle_t *handle)
{
}

static void on_wake(void *arg)
{
    uv_idle_start(&((struct cli_cluster *)arg)->idle, on_idle);
}

static void turn(struct cli_cluster *c)
{
    if (uv_is_closing((uv_handle_t *)&c->idle))
        return;
    uv_idle_stop(&c->idle);
    kube_client_turn(c->client);
}

static void on_prepare(uv_prepare_t *handle)
{
    turn(KR_OWNER(handle, struct cli_cluster, prepare));
}

static void on_check(uv_check_t *handle)
{
    turn(KR_OWNER(handle, struct cli_cluster, check));
}

static void on_limit(struct kube_timer *timer)
{
    struct cli_cluster *c = KR_OWNER(timer, struct cli_cluster, limit);

    c->late = true;
    kube_schemas_cancel(&c->load);
    kube_client_cancel_all(c->client); /* a discovery that is under way too */
}

static void open_loop(struct cli_cluster *c)
{
    struct kube_client_opts opts = {.user_agent = c->user_agent};

    (void)snprintf(c->user_agent, sizeof(c->user_agent), "kroc/%s", reactor_version);
    uv_loop_init(&c->loop);
    uv_prepare_init(&c->loop, &c->prepare);
    uv_check_init(&c->loop, &c->check);
    uv_idle_init(&c->loop, &c->idle);
    uv_prepare_start(&c->prepare, on_prepare);
    uv_check_start(&c->check, on_check);
    c->curl = kube_curl_new(&c->loop, c->config);
    c->clock = kube_uv_clock_new(&c->loop);
    c->client = kube_client_new(kube_curl_transport(c->curl), kube_uv_clock_door(c->clock), &opts);
    kube_client_on_ready(c->client, on_wake, c);
    c->discovery = kube_discovery_new(c->client);
    c->openapi = kube_openapi_new(c->client, c->discovery);
    c->limit.fn = on_limit;
}

int cli_cluster_open(const char *kubeconfig, const char *context, struct cli_cluster **out,
                     struct kr_err *err)
{
    struct kube_config_source source = {0};
    struct kube_config *config;
    struct cli_cluster *c;

    kube_config_source_env(&source);
    source.kubeconfig = kubeconfig;
    source.context = context;
    KR_TRY(kube_config_load(&source, &config, err));
    c = KR_ALLOC(struct cli_cluster);
    c->config = config;
    open_loop(c);
    *out = c;
    return 0;
}

void cli_cluster_free(struct cli_cluster *c)
{
    if (!c)
        return;
    kube_openapi_free(c->openapi);
    kube_discovery_free(c->discovery);
    uv_close((uv_handle_t *)&c->prepare, NULL);
    uv_close((uv_handle_t *)&c->check, NULL);
    uv_close((uv_handle_t *)&c->idle, NULL);
    kube_client_free(c->client);
    kube_curl_close(c->curl, NULL, NULL);
    kube_uv_clock_close(c->clock);
    uv_run(&c->loop, UV_RUN_DEFAULT);
    KR_ASSERT(uv_loop_close(&c->loop) == 0);
    kube_config_free(c->config);
    kr_free(c);
}

static void on_loaded(struct kube_schemas_req *req)
{
    KR_OWNER(req, struct cli_cluster, load)->done = true;
}

int cli_cluster_kinds(struct cli_cluster *c, const kr_gvk *gvks, uint32_t n,
                      struct cel_kinds **kinds, struct kr_err *err)
{
    struct kube_clock *clock = kube_client_clock(c->client);
    int rc;

    c->load.gvks = gvks;
    c->load.gvks_n = n;
    c->load.on_done = on_loaded;
    c->done = c->late = false;
    clock->ops->timer_start(clock, &c->limit, CLI_CLUSTER_MS);
    kube_schemas_start(c->openapi, &c->load);
    while (!c->done || kube_client_busy_n(c->client) > 0 || kube_discovery_busy(c->discovery))
        uv_run(&c->loop, UV_RUN_ONCE);
    clock->ops->timer_stop(clock, &c->limit);
    rc = c->load.rc;
    if (rc == 0)
        *kinds = c->load.kinds;
    else if (c->late)
        rc = kr_fail(err, KR_E_IO, "no answer from %s within %d s", c->config->server,
                     CLI_CLUSTER_MS / 1000);
    else if (err)
        *err = c->load.err;
    kube_schemas_fini(&c->load);
    return rc;
}

const struct kube_discovery *cli_cluster_discovery(const struct cli_cluster *c)
{
    return c->discovery;
}

struct uv_loop_s *cli_cluster_loop(struct cli_cluster *c)
{
    return &c->loop;
}

struct kube_client *cli_cluster_client(struct cli_cluster *c)
{
    return c->client;
}

const struct kube_config *cli_cluster_config(const struct cli_cluster *c)
{
    return c->config;
}

void cli_cluster_turn(struct cli_cluster *c)
{
    uv_run(&c->loop, UV_RUN_ONCE);
}

void cli_cluster_drain(struct cli_cluster *c)
{
    while (kube_client_busy_n(c->client) > 0)
        uv_run(&c->loop, UV_RUN_ONCE);
    uv_run(&c->loop, UV_RUN_NOWAIT);
}

static void on_answer(struct kube_req *req)
{
    (void)req; /* that it is no longer busy is what counts */
}

int cli_cluster_ask(struct cli_cluster *c, struct kube_req *req, struct kr_err *err)
{
    req->on_done = on_answer;
    kube_req_start(c->client, req);
    while (kube_req_busy(req))
        uv_run(&c->loop, UV_RUN_ONCE);
    if (req->rc < 0 && err)
        *err = req->err;
    return req->rc;
}

static void on_discovered(struct kube_discovery *d, void *arg)
{
    ((struct cli_cluster *)arg)->done = true;
}

int cli_cluster_discover(struct cli_cluster *c, struct kr_err *err)
{
    c->done = false;
    kube_discovery_refresh(c->discovery, on_discovered, c);
    while (!c->done || kube_client_busy_n(c->client) > 0)
        uv_run(&c->loop, UV_RUN_ONCE);
    if (kube_discovery_rc(c->discovery) < 0 && err)
        *err = *kube_discovery_error(c->discovery);
    return kube_discovery_rc(c->discovery);
}
