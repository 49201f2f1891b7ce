/* SPDX-License-Identifier: Apache-2.0 */
/* run.c - the real loop: curl and libuv behind the doors, files and signals, health and metrics.
 *
 * The turn runs before the loop waits (prepare) and after it has polled (check); an idle handle keeps
 * the loop from waiting while work is left.
 *
 * A stop is: SIGTERM or SIGINT -> reactor_stop -> requests under way end, watches close -> the Lease is
 * let go -> doors close -> the loop runs dry. A second signal ends at once.
 *
 * With leader election the reactor begins as a standby; the Lease is looked at in each turn before
 * anything is sent, and has a client of its own. With --shards the Leases of the shards are a second such
 * matter: they say which instances are ours, and on SIGTERM these are given back at once.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "cel/base/yaml.h"
#include "kube/config.h"
#include "kube/curl_uv.h"
#include "kube/lease.h"
#include "reactor/doctor.h"
#include "reactor/flags.h"
#include "reactor/http.h"
#include "reactor/internal.h"
#include "reactor/shards.h"
#include "reactor/tidy.h"
#include "reactor/version.h"

struct run {
    uv_loop_t loop;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle;
    uv_signal_t sigterm, sigint;
    struct kube_config *config;
    struct kube_curl *curl;
    struct kube_uv_clock *clock;
    struct kube_client *client;
    struct kube_client *lease_client; /* NULL: no leader election */
    struct kube_lease *lease;         /* NULL: none, or let go */
    uint64_t lease_told;              /* hash of the trouble last logged; 0: none */
    struct reactor_shards *shards;    /* NULL: none, or let go */
    uint64_t shards_told;             /* as lease_told */
    uint32_t members_told;
    uint64_t tidied; /* work done when the memory was last tidied up */
    struct kube_client *doctor_client;
    struct reactor_doctor *doctor; /* NULL: not begun */
    struct reactor_host host;
    const char *home; /* the namespace that the controller lives in */
    uint64_t started_ms;
    bool one_namespace;           /* --namespace: nothing is asked beyond it */
    bool examined, findings_told; /* the doctor is done; its findings are in the log */
    struct reactor_metrics *metrics;
    struct reactor_http *http;
    struct reactor *reactor;
    FILE *trace;
    char user_agent[160];
    bool idling, closing, releasing;
};

#define LEASE_NAME "controller.kro.run" /* kro's: the two never lead at the same time */

/* --- the turn on the loop --------------------------------------------------------------------- */

static void run_close(struct run *run);

static void on_idle(uv_idle_t *h)
{
    (void)h; /* its being active is what counts: the loop does not wait */
}

static void on_lease_closed(void *arg)
{
    ((struct run *)arg)->lease = NULL;
}

static void on_shards_closed(void *arg)
{
    ((struct run *)arg)->shards = NULL;
}

/* Says once what is wrong with a Lease. */
static void lease_trouble(const char *name, const struct kr_err *err, uint64_t *last)
{
    uint64_t told = err ? kr_str_hash(kr_err_str(err)) | 1 : 0;

    if (told && told != *last)
        kr_log(KR_WARN, "lease", KV_C("name", name), KV("reason", kr_err_str(err)));
    *last = told;
}

static void lease_turn(struct run *run)
{
    if (!run->lease)
        return;
    kube_client_turn(run->lease_client);
    kube_lease_turn(run->lease);
    lease_trouble(LEASE_NAME, run->lease ? kube_lease_error(run->lease) : NULL, &run->lease_told);
}

static void shards_turn(struct run *run)
{
    uint32_t members;

    if (!run->shards)
        return;
    kube_client_turn(run->lease_client);
    reactor_shards_turn(run->shards);
    lease_trouble("shard", run->shards ? reactor_shards_error(run->shards) : NULL,
                  &run->shards_told);
    members = run->shards ? reactor_shards_members_n(run->shards) : 0;
    if (members == run->members_told)
        return;
    run->members_told = members;
    reactor_metric_set(REACTOR_METRIC(run->metrics, SHARD_MEMBERS), members);
    kr_log(KR_INFO, "shards", KV_INT("members", members));
}

/* --- the doctor, once, when the lists are there ------------------------------------------------ */

enum { DOCTOR_WAIT_MS = 5000 }; /* or when they are not there after so long */

static void on_finding(void *arg, enum reactor_verdict v, const char *id, kr_str finding,
                       kr_str fix)
{
    kr_log(v == REACTOR_FAIL ? KR_ERROR : KR_WARN, "doctor", KV_C("id", id), KV("finding", finding),
           KV("fix", fix));
}

static void on_examined(void *arg)
{
    ((struct run *)arg)->examined = true;
}

static void doctor_begin(struct run *run)
{
    struct kube_client_opts o = {.user_agent = run->user_agent};
    struct reactor_doctor_opts d = {.host = &run->host,
                                    .namespace = run->home,
                                    .version = reactor_version,
                                    .context = run->config->context,
                                    .only = run->one_namespace ? "K01,K02,K03,K04,I02,S01" : NULL,
                                    .controller = true,
                                    .done = on_examined,
                                    .arg = run};

    reactor_host_open(&run->host, &run->loop);
    run->doctor_client =
        kube_client_new(kube_curl_transport(run->curl), kube_uv_clock_door(run->clock), &o);
    d.client = run->doctor_client;
    run->doctor = reactor_doctor_new(&d);
}

static void doctor_turn(struct run *run)
{
    if (run->doctor)
        kube_client_turn(run->doctor_client);
    else if (!run->reactor->stopping && (reactor_ready(run->reactor, NULL) ||
                                         uv_now(&run->loop) - run->started_ms >= DOCTOR_WAIT_MS))
        doctor_begin(run);
    if (run->doctor && run->reactor->stopping)
        reactor_doctor_cancel(run->doctor);
    if (!run->examined || run->findings_told)
        return;
    run->findings_told = true;
    if (!run->reactor->stopping)
        reactor_doctor_findings(run->doctor, on_finding, run);
    reactor_doctor_forget(run->doctor);
}

/* Nothing of it is under way. */
static bool doctor_over(struct run *run)
{
    return !run->doctor || (run->examined && kube_client_busy_n(run->doctor_client) == 0);
}

/* The last writes are answered: whoever leads next may. Returns whether the Lease is let go. */
static bool lease_released(struct run *run)
{
    if (!run->releasing) {
        run->releasing = true;
        if (run->lease)
            kube_lease_close(run->lease, on_lease_closed, run);
        if (run->shards)
            reactor_shards_close(run->shards, on_shards_closed, run);
    }
    return run->lease == NULL && run->shards == NULL;
}

/* At rest after a burst; the start is one. */
static void tidy(struct run *run)
{
    const struct reactor_stats *st = &run->reactor->stats;
    uint64_t start = reactor_ready(run->reactor, NULL) ? REACTOR_TIDY_WORK : 0;

    start += run->examined ? REACTOR_TIDY_WORK : 0; /* the doctor's lists are gone */

    if (kube_client_busy_n(run->client) == 0)
        reactor_tidy(start + st->steps + st->changes, &run->tidied);
}

static void run_turn(struct run *run)
{
    bool more;

    if (run->closing)
        return;
    lease_turn(run);
    shards_turn(run);
    doctor_turn(run);
    more = reactor_turn(run->reactor);
    if (more != run->idling) {
        run->idling = more;
        if (more)
            uv_idle_start(&run->idle, on_idle);
        else
            uv_idle_stop(&run->idle);
    }
    if (!more)
        tidy(run);
    if (reactor_stopped(run->reactor) && lease_released(run) && doctor_over(run))
        run_close(run);
}

static void on_prepare(uv_prepare_t *h)
{
    run_turn(KR_OWNER(h, struct run, prepare));
}

static void on_check(uv_check_t *h)
{
    run_turn(KR_OWNER(h, struct run, check));
}

static void run_signal(struct run *run, int signum)
{
    static const char again[] = "second signal: ending at once\n";

    if (run->closing)
        return;
    if (run->reactor->stopping) {
        ssize_t rc = write(2, again, sizeof again - 1);

        (void)rc;
        _exit(128 + signum);
    }
    kr_log(KR_INFO, "stopping", KV_C("signal", signum == SIGTERM ? "SIGTERM" : "SIGINT"));
    reactor_stop(run->reactor);
    if (run->shards)
        reactor_shards_leave(run->shards);
}

static void on_sigterm(uv_signal_t *h, int signum)
{
    run_signal(KR_OWNER(h, struct run, sigterm), signum);
}

static void on_sigint(uv_signal_t *h, int signum)
{
    run_signal(KR_OWNER(h, struct run, sigint), signum);
}

static void run_handles(struct run *run)
{
    uv_prepare_init(&run->loop, &run->prepare);
    uv_check_init(&run->loop, &run->check);
    uv_idle_init(&run->loop, &run->idle);
    uv_signal_init(&run->loop, &run->sigterm);
    uv_signal_init(&run->loop, &run->sigint);
    uv_prepare_start(&run->prepare, on_prepare);
    uv_check_start(&run->check, on_check);
    uv_signal_start(&run->sigterm, on_sigterm, SIGTERM);
    uv_signal_start(&run->sigint, on_sigint, SIGINT);
}

static void run_close(struct run *run)
{
    run->closing = true;
    uv_idle_stop(&run->idle);
    uv_close((uv_handle_t *)&run->prepare, NULL);
    uv_close((uv_handle_t *)&run->check, NULL);
    uv_close((uv_handle_t *)&run->idle, NULL);
    uv_close((uv_handle_t *)&run->sigterm, NULL);
    uv_close((uv_handle_t *)&run->sigint, NULL);
    reactor_free(run->reactor);
    reactor_doctor_free(run->doctor);
    kube_client_free(run->doctor_client);
    kube_client_free(run->client);
    kube_client_free(run->lease_client);
    if (run->http)
        reactor_http_close(run->http, NULL, NULL);
    kube_curl_close(run->curl, NULL, NULL);
    kube_uv_clock_close(run->clock);
}

/* --- definitions from files ------------------------------------------------------------------- */

/* Content that is wrong is said and passed over: the other definitions are served. A path that cannot
 * be read is a mistake in the command and ends the start. */
static int add_file(struct run *run, const char *path, struct kr_err *err)
{
    KR_AUTO(kr_buf) text = KR_BUF(REACTOR_RGD_FILE_MAX);
    KR_AUTO(kr_arena) a = {0};
    struct kr_err bad = KR_ERR_NONE;
    uint32_t *lines = NULL, i = 0;
    kr_val docs = KR_V_NONE;

    KR_TRY(kr_buf_read_file(&text, path, err));
    if (kr_yaml_parse_lines(&a, kr_buf_view(&text), &docs, &lines, &bad) < 0)
        kr_log(KR_ERROR, "definition refused", KV_C("file", path), KV("reason", kr_err_str(&bad)));
    KR_LIST_EACH (doc, docs) {
        if (reactor_add_rgd(run->reactor, *doc, &bad) < 0)
            kr_log(KR_ERROR, "definition refused", KV_C("file", path), KV_INT("line", lines[i]),
                   KV("reason", kr_err_str(&bad)));
        i++;
    }
    return 0;
}

static int is_definition_file(const struct dirent *e)
{
    kr_str name = kr_str_c(e->d_name);

    return name.n && name.s[0] != '.' &&
           (kr_str_ends(name, KR_S(".yaml")) || kr_str_ends(name, KR_S(".yml")) ||
            kr_str_ends(name, KR_S(".json")));
}

static int add_folder(struct run *run, const char *path, struct kr_err *err)
{
    struct dirent **names = NULL;
    int n = scandir(path, &names, is_definition_file, alphasort), rc = 0;

    if (n < 0)
        return kr_fail(err, KR_E_INPUT, "%s: %s", path, strerror(errno));
    if (n == 0)
        rc = kr_fail(err, KR_E_INPUT, "%s: has no .yaml, .yml or .json file", path);
    for (int i = 0; i < n; i++) {
        KR_AUTO(kr_buf) file = KR_BUF(4096);

        kr_buf_fmt(&file, "%s/%s", path, names[i]->d_name);
        if (rc == 0 && file.full)
            rc = kr_fail(err, KR_E_LIMIT, "%s: path is too long", path);
        else if (rc == 0)
            rc = add_file(run, file.s, err);
        free(names[i]);
    }
    free(names);
    return rc;
}

static int add_definitions(struct run *run, const struct reactor_flags *f, struct kr_err *err)
{
    for (uint32_t i = 0; i < f->rgds.n; i++) {
        const char *path = f->rgds.items[i];
        struct stat st;

        if (stat(path, &st) != 0)
            return kr_fail(err, KR_E_INPUT, "--rgd %s: %s", path, strerror(errno));
        if ((S_ISDIR(st.st_mode) ? add_folder(run, path, err) : add_file(run, path, err)) < 0)
            return kr_wrap(err, "--rgd");
    }
    return 0;
}

/* --- parts ------------------------------------------------------------------------------------ */

static void on_trace(void *arg, kr_str line)
{
    FILE *f = arg;

    fwrite(line.s, 1, line.n, f);
    fputc('\n', f);
    fflush(f);
}

static int open_trace(struct run *run, const struct reactor_flags *f, struct kr_err *err)
{
    if (!f->trace[0])
        return 0;
    run->trace = strcmp(f->trace, "-") == 0 ? stdout : fopen(f->trace, "we");
    if (!run->trace)
        return kr_fail(err, KR_E_INPUT, "--trace %s: %s", f->trace, strerror(errno));
    return 0;
}

static int load_config(struct run *run, const struct reactor_flags *f, struct kr_err *err)
{
    struct kube_config_source src = {0};

    kube_config_source_env(&src);
    if (f->kubeconfig[0])
        src.kubeconfig = f->kubeconfig;
    if (f->context[0])
        src.context = f->context;
    return kube_config_load(&src, &run->config, err);
}

static bool on_ready(void *arg, struct kr_buf *why)
{
    struct run *run = arg;

    if (run->closing)
        return true;
    if (run->lease && kube_lease_leading(run->lease))
        kr_buf_fmt(why, "[+] lease: leading\n");
    else if (run->lease)
        kr_buf_fmt(why, "[+] lease: standby, held by \"" KR_FMT "\"\n",
                   KR_ARG(kube_lease_holder(run->lease)));
    if (run->shards)
        kr_buf_fmt(why, "[+] shards: %d of %d buckets, slot %d, %u members\n",
                   __builtin_popcountll(reactor_shards_serving(run->shards)), REACTOR_BUCKETS,
                   reactor_shards_slot(run->shards), reactor_shards_members_n(run->shards));
    return reactor_ready(run->reactor, why);
}

/* What the doctor found at the start. */
static unsigned doctor_page(struct run *run, bool as_json, struct kr_buf *out, bool *json)
{
    if (!run->examined) {
        kr_buf_fmt(out, "not done yet\n");
        return 503;
    }
    reactor_doctor_print(run->doctor, as_json, out);
    *json = as_json;
    return 200;
}

static bool wants_json(const struct reactor_http_query *q)
{
    return kr_str_is(reactor_http_arg(q, "o"), "json");
}

static unsigned why_page(struct run *run, const struct reactor_http_query *q, struct kr_buf *out,
                         bool *json)
{
    struct reactor_why_query why = {.kind = reactor_http_arg(q, "kind"),
                                    .namespace = reactor_http_arg(q, "namespace"),
                                    .name = reactor_http_arg(q, "name"),
                                    .node = reactor_http_arg(q, "node"),
                                    .json = wants_json(q)};
    unsigned status = reactor_why(run->reactor, &why, out);

    *json = why.json && status == 200;
    return status;
}

static unsigned table_page(struct run *run, enum reactor_page_kind page,
                           const struct reactor_http_query *q, struct kr_buf *out, bool *json)
{
    struct reactor_page_query table = {.page = page,
                                       .kind = reactor_http_arg(q, "kind"),
                                       .namespace = reactor_http_arg(q, "namespace"),
                                       .state = reactor_http_arg(q, "state"),
                                       .json = wants_json(q)};

    reactor_page(run->reactor, &table, out);
    *json = table.json;
    return 200;
}

/* The level of the log; a PUT sets it, until the process ends. */
static unsigned log_page(const struct reactor_http_query *q, struct kr_buf *out)
{
    static const char *const names[] = {
        [KR_ERROR] = "error", [KR_WARN] = "warn", [KR_INFO] = "info", [KR_DBG] = "debug"};
    kr_str word = reactor_http_arg(q, "level");
    enum kr_level was = kr_log_level(), now = was;

    if (reactor_http_is_put(q) && !reactor_flags_level(word, &now)) {
        kr_buf_fmt(out, "level: \"" KR_FMT "\" is not debug, info, warn or error\n", KR_ARG(word));
        return 400;
    }
    if (now != was) {
        kr_log_set_level(now < was ? was : now); /* so that the change itself is seen */
        kr_log(KR_INFO, "log level changed", KV_C("from", names[was]), KV_C("to", names[now]));
        kr_log_set_level(now);
    }
    kr_buf_fmt(out, "%s\n", names[now]);
    return 200;
}

static unsigned on_debug(void *arg, const char *path, const struct reactor_http_query *q,
                         struct kr_buf *out, bool *json)
{
    struct run *run = arg;

    if (run->closing) {
        kr_buf_fmt(out, "ending\n");
        return 503;
    }
    if (strcmp(path, "/debug/log") == 0)
        return log_page(q, out);
    if (reactor_http_is_put(q)) {
        kr_buf_fmt(out, "405 method not allowed\n");
        return 405;
    }
    if (strcmp(path, "/debug/why") == 0)
        return why_page(run, q, out, json);
    if (strcmp(path, "/debug/instances") == 0)
        return table_page(run, REACTOR_PAGE_INSTANCES, q, out, json);
    if (strcmp(path, "/debug/queue") == 0)
        return table_page(run, REACTOR_PAGE_QUEUE, q, out, json);
    if (strcmp(path, "/debug/watches") == 0)
        return table_page(run, REACTOR_PAGE_WATCHES, q, out, json);
    if (strcmp(path, "/debug/doctor") == 0)
        return doctor_page(run, wants_json(q), out, json);
    kr_buf_fmt(out, "/debug/instances[?kind=KIND][&namespace=NS][&state=STATE][&o=json]\n"
                    "/debug/why?name=NAME[&kind=KIND][&namespace=NS][&node=NODE][&o=json]\n"
                    "/debug/queue[?o=json]\n"
                    "/debug/watches[?o=json]\n"
                    "/debug/doctor[?o=json]\n"
                    "/debug/log (PUT: ?level=debug, info, warn or error)\n");
    return strcmp(path, "/debug/") == 0 || strcmp(path, "/debug") == 0 ? 200 : 404;
}

static int open_http(struct run *run, const struct reactor_flags *f, struct kr_err *err)
{
    struct reactor_http_opts o = {
        .loop = &run->loop,
        .metrics_address = f->metrics_address,
        .health_address = f->health_address,
        .metrics = run->metrics,
        .ready = on_ready,
        .debug_address = f->debug_address,
        .debug_may_fail = f->debug_address && strcmp(f->debug_address, REACTOR_DEBUG_ADDRESS) == 0,
        .debug = on_debug,
        .arg = run};

    KR_TRY(reactor_http_open(&o, &run->http, err));
    if (reactor_http_debug_why(run->http).n)
        kr_log(KR_INFO, "no debug pages", KV("reason", reactor_http_debug_why(run->http)));
    return 0;
}

static const char *version_of(const struct reactor_flags *f)
{
    return f->emulate_kro_version[0] ? f->emulate_kro_version : reactor_version;
}

static void open_client(struct run *run, const struct reactor_flags *f)
{
    struct kube_client_opts o = {.qps = f->client_qps, .burst = (uint32_t)f->client_burst};

    snprintf(run->user_agent, sizeof run->user_agent, "kro/%s", version_of(f));
    o.user_agent = run->user_agent;
    run->curl = kube_curl_new(&run->loop, run->config);
    run->clock = kube_uv_clock_new(&run->loop);
    run->client =
        kube_client_new(kube_curl_transport(run->curl), kube_uv_clock_door(run->clock), &o);
}

static void on_leading(void *arg, bool leading)
{
    struct run *run = arg;

    if (leading)
        kr_log(KR_INFO, "leading", KV_C("lease", LEASE_NAME));
    else
        kr_log(KR_WARN, "no longer leading", KV_C("lease", LEASE_NAME),
               KV("holder", kube_lease_holder(run->lease)));
    reactor_metric_set(REACTOR_METRIC(run->metrics, LEADER, KR_S(LEASE_NAME)), leading);
    reactor_lead(run->reactor, leading);
}

/* "host_<random>", as controller-runtime's: each start is somebody else. */
static kr_str identity(struct run *run, struct kr_arena *a)
{
    struct kube_clock *c = kube_uv_clock_door(run->clock);
    char host[256] = "";
    uint64_t random[2];

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        random[0] = c->ops->random(c);
        random[1] = (uint64_t)getpid();
    }
    (void)gethostname(host, sizeof host - 1);
    return kr_fmt(a, "%s_%016llx%016llx", host, (unsigned long long)random[0],
                  (unsigned long long)random[1]);
}

static void on_buckets(void *arg, uint64_t serving, bool at_once)
{
    struct run *run = arg;
    int n = __builtin_popcountll(serving);

    if (at_once)
        kr_log(KR_WARN, "buckets lost: the Lease was not renewed in time", KV_INT("buckets", n));
    else
        kr_log(KR_INFO, "buckets", KV_INT("buckets", n), KV_INT("of", REACTOR_BUCKETS));
    reactor_metric_set(REACTOR_METRIC(run->metrics, SHARD_BUCKETS), n);
    reactor_buckets(run->reactor, serving, at_once);
}

static uint64_t on_busy(void *arg)
{
    return reactor_buckets_busy(((struct run *)arg)->reactor);
}

/* The lease's client and identity serve here too. */
static void open_shards(struct run *run, const struct reactor_flags *f, kr_str namespace,
                        kr_str who)
{
    struct reactor_shards_opts o = {.client = run->lease_client,
                                    .namespace = namespace,
                                    .identity = who,
                                    .slots_n = (uint32_t)f->shards,
                                    .lease_ms = (uint64_t)f->leader_lease_ms,
                                    .renew_ms = (uint64_t)f->leader_renew_ms,
                                    .retry_ms = (uint64_t)f->leader_retry_ms,
                                    .changed = on_buckets,
                                    .busy = on_busy,
                                    .arg = run};

    run->shards = reactor_shards_new(&o);
    reactor_metric_set(REACTOR_METRIC(run->metrics, SHARD_BUCKETS), 0);
}

static void open_lease(struct run *run, const struct reactor_flags *f)
{
    struct kube_client_opts o = {.user_agent = run->user_agent};
    struct kr_arena a = {0};
    struct kube_lease_opts l = {.name = KR_S(LEASE_NAME),
                                .identity = identity(run, &a),
                                .lease_ms = (uint64_t)f->leader_lease_ms,
                                .renew_ms = (uint64_t)f->leader_renew_ms,
                                .retry_ms = (uint64_t)f->leader_retry_ms,
                                .changed = on_leading,
                                .arg = run};

    l.namespace = kr_str_c(f->leader_namespace[0] ? f->leader_namespace : run->config->namespace);
    run->lease_client =
        kube_client_new(kube_curl_transport(run->curl), kube_uv_clock_door(run->clock), &o);
    l.client = run->lease_client;
    run->lease = kube_lease_new(&l);
    reactor_metric_set(REACTOR_METRIC(run->metrics, LEADER, KR_S(LEASE_NAME)), 0);
    kr_log(KR_INFO, "leader election", KV_C("lease", LEASE_NAME), KV("namespace", l.namespace),
           KV("identity", l.identity));
    if (f->shards)
        open_shards(run, f, l.namespace, l.identity);
    kr_arena_fini(&a);
}

static void open_reactor(struct run *run, const struct reactor_flags *f)
{
    uint8_t key[REACTOR_WHY_KEY_BYTES];
    bool random = getrandom(key, sizeof key, 0) == (ssize_t)sizeof key;
    struct reactor_opts o = {.client = run->client,
                             .clock = kube_uv_clock_door(run->clock),
                             .metrics = run->metrics,
                             .version = kr_str_c(version_of(f)),
                             .namespace = kr_str_c(f->namespace),
                             .standby = f->leader_elect,
                             .sharded = f->shards > 0,
                             .sidecar = f->rgds.n > 0,
                             .crd_deletion = f->allow_crd_deletion,
                             .revisions_max = f->max_revisions > 0 ? (uint32_t)f->max_revisions : 0,
                             .dimensions_max = (uint32_t)f->max_dimensions,
                             .collection_max = (uint32_t)f->max_collection_size,
                             .omit = f->gates.cel_omit_function,
                             .events = f->gates.instance_condition_events,
                             .condition_metrics = f->gates.instance_condition_metrics,
                             .stop_ms =
                                 f->shutdown_timeout_ms > 0 ? (uint64_t)f->shutdown_timeout_ms : 1,
                             .why_key = random ? key : NULL,
                             .trace = run->trace ? on_trace : NULL,
                             .trace_arg = run->trace};

    run->reactor = reactor_new(&o);
}

static int run_open(struct run *run, const struct reactor_flags *f, struct kr_err *err)
{
    KR_TRY(open_trace(run, f, err));
    KR_TRY(load_config(run, f, err));
    run->metrics = reactor_metrics_new();
    open_client(run, f);
    open_reactor(run, f);
    KR_TRY(add_definitions(run, f, err));
    return open_http(run, f, err);
}

int reactor_run(const struct reactor_flags *flags)
{
    struct run run = {0};
    struct kr_err err = KR_ERR_NONE;
    int rc;

    kr_log_config(flags->log_level, flags->log_json, 2);
    signal(SIGPIPE, SIG_IGN);
    reactor_tidy_init();
    uv_loop_init(&run.loop);
    rc = run_open(&run, flags, &err);
    if (rc == 0) {
        kr_log(KR_INFO, "starting", KV_C("version", reactor_version),
               KV_C("server", run.config->server),
               KV_C("context", run.config->context ? run.config->context : ""),
               KV_C("namespace", flags->namespace));
        if (flags->leader_elect)
            open_lease(&run, flags);
        run_handles(&run);
        run.started_ms = uv_now(&run.loop);
        run.one_namespace = flags->namespace[0] != '\0';
        run.home = flags->leader_namespace[0] ? flags->leader_namespace : run.config->namespace;
        reactor_start(run.reactor);
    } else {
        kr_log(KR_ERROR, "cannot start", KV("reason", kr_err_str(&err)));
        if (run.reactor) {
            run_handles(&run);
            run_close(&run);
        }
    }
    uv_run(&run.loop, UV_RUN_DEFAULT);
    uv_loop_close(&run.loop);
    reactor_metrics_free(run.metrics);
    kube_config_free(run.config);
    if (run.trace && run.trace != stdout)
        fclose(run.trace);
    if (rc == 0)
        kr_log(KR_INFO, "stopped");
    return rc < 0 ? 1 : 0;
}
