/* SPDX-License-Identifier: Apache-2.0 */
/* doctor_host.c - looks at the machine that the doctor runs on: environment, limits, names, tools.
 *
 * A question that is cancelled while its name is being resolved lives until the resolver lets go of it;
 * its owner is told at once.
 */
#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <uv.h>

#include "cel/base/json.h"
#include "kube/config.h"
#include "reactor/doctor.h"

#include "cel/base/banned.h"

#define ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount/"

#define CGROUPS "/sys/fs/cgroup"
/* Version 1 tells "no limit" as the largest number of pages: about 2^63. */
#define NO_LIMIT_FROM (INT64_C(1) << 60)

enum { FACT_TEXT_MAX = 4096, CGROUP_DEPTH_MAX = 64, OUTPUT_CHUNK = 4096, PIPES = 2 };

/* What the impl of a question begins with. */
struct job {
    bool lookup; /* struct lookup, else struct tool */
};

/* --- names ------------------------------------------------------------------------------------ */

struct lookup {
    struct job job;
    uv_getaddrinfo_t req;
    struct reactor_host_ask *ask; /* NULL: given up */
};

static void lookup_over(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct lookup *l = KR_OWNER(req, struct lookup, req);
    struct reactor_host_ask *ask = l->ask;

    for (struct addrinfo *i = found; ask != NULL && i != NULL; i = i->ai_next) {
        char text[128];

        if (getnameinfo(i->ai_addr, i->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST) == 0)
            kr_buf_fmt(&ask->text, "%s\n", text);
    }
    uv_freeaddrinfo(found);
    kr_free(l);
    if (ask == NULL)
        return;
    ask->impl = NULL;
    ask->rc = status < 0 ? KR_E_IO : 0;
    if (status < 0)
        kr_buf_fmt(&ask->text, "%s", uv_strerror(status));
    ask->on_done(ask);
}

static void host_resolve(void *arg, const char *name, struct reactor_host_ask *ask)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct lookup *l = KR_ALLOC(struct lookup);

    l->job.lookup = true;
    l->ask = ask;
    ask->impl = &l->job;
    ask->exit_code = -1;
    kr_buf_init(&ask->text, REACTOR_HOST_TEXT_MAX);
    /* Refuses only what it cannot encode, and such a name has no address. */
    KR_ASSERT(uv_getaddrinfo(arg, &l->req, lookup_over, name, NULL, &hints) == 0);
}

/* --- tools ------------------------------------------------------------------------------------ */

struct tool {
    struct job job;
    uv_process_t process;
    uv_pipe_t out[PIPES];
    uv_timer_t soon; /* tells that there is no such tool, later */
    struct reactor_host_ask *ask;
    char *chunk;
    uint32_t open_n; /* handles that are not closed */
};

static void on_closed(uv_handle_t *h)
{
    struct tool *t = h->data;
    struct reactor_host_ask *ask = t->ask;

    if (--t->open_n > 0)
        return;
    kr_free(t->chunk);
    kr_free(t);
    ask->impl = NULL;
    ask->rc = ask->exit_code == 0 ? 0 : KR_E_IO;
    ask->on_done(ask);
}

static void close_one(uv_handle_t *h)
{
    if (!uv_is_closing(h))
        uv_close(h, on_closed);
}

static void on_exit_of(uv_process_t *process, int64_t status, int signal)
{
    struct tool *t = KR_OWNER(process, struct tool, process);

    t->ask->exit_code = signal != 0 ? 128 + signal : (int)status;
    close_one((uv_handle_t *)process);
}

static void on_room(uv_handle_t *h, size_t wanted, uv_buf_t *buf)
{
    struct tool *t = h->data;

    *buf = uv_buf_init(t->chunk, OUTPUT_CHUNK);
}

static void on_output(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    struct tool *t = s->data;

    if (n > 0)
        kr_buf_add(&t->ask->text, buf->base, (size_t)n); /* what does not fit is not looked at */
    else if (n < 0)
        close_one((uv_handle_t *)s);
}

static void on_soon(uv_timer_t *timer)
{
    struct tool *t = KR_OWNER(timer, struct tool, soon);

    close_one((uv_handle_t *)timer);
    for (int i = 0; i < PIPES; i++)
        close_one((uv_handle_t *)&t->out[i]);
    close_one((uv_handle_t *)&t->process);
}

static void tool_open(struct tool *t, uv_loop_t *loop)
{
    for (int i = 0; i < PIPES; i++) {
        uv_pipe_init(loop, &t->out[i], 0);
        t->out[i].data = t;
        t->open_n++;
    }
    uv_timer_init(loop, &t->soon);
    t->soon.data = t;
    t->process.data = t;
    t->open_n += 2;
}

static void host_run(void *arg, const char *const *argv, struct reactor_host_ask *ask)
{
    struct tool *t = KR_ALLOC(struct tool);
    uv_stdio_container_t io[1 + PIPES] = {{.flags = UV_IGNORE}};
    uv_process_options_t o = {.exit_cb = on_exit_of,
                              .file = argv[0],
                              .args = (char **)(uintptr_t)argv,
                              .stdio_count = 1 + PIPES,
                              .stdio = io};

    t->ask = ask;
    t->chunk = kr_alloc(OUTPUT_CHUNK);
    ask->impl = &t->job;
    ask->exit_code = -1;
    kr_buf_init(&ask->text, REACTOR_HOST_TEXT_MAX);
    tool_open(t, arg);
    for (int i = 0; i < PIPES; i++) {
        io[1 + i].flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE;
        io[1 + i].data.stream = (uv_stream_t *)&t->out[i];
    }
    if (uv_spawn(arg, &t->process, &o) < 0) { /* its handle is initialised all the same */
        uv_timer_start(&t->soon, on_soon, 0, 0);
        return;
    }
    close_one((uv_handle_t *)&t->soon);
    for (int i = 0; i < PIPES; i++)
        uv_read_start((uv_stream_t *)&t->out[i], on_room, on_output);
}

static void host_cancel(void *arg, struct reactor_host_ask *ask)
{
    struct job *job = ask->impl;
    struct tool *t;

    if (job == NULL)
        return;
    if (job->lookup) { /* the resolver's thread may take its time */
        struct lookup *l = KR_OWNER(job, struct lookup, job);

        l->ask = NULL;
        ask->impl = NULL;
        ask->rc = KR_E_CANCELED;
        uv_cancel((uv_req_t *)&l->req);
        ask->on_done(ask);
        return;
    }
    t = KR_OWNER(job, struct tool, job);
    if (uv_is_active((uv_handle_t *)&t->process))
        uv_process_kill(&t->process, SIGKILL);
    for (int i = 0; i < PIPES; i++) /* a grandchild may hold them open */
        close_one((uv_handle_t *)&t->out[i]);
}

static const struct reactor_host_ops ops = {host_resolve, host_run, host_cancel};

/* --- at once ---------------------------------------------------------------------------------- */

static int64_t number_in(const char *path)
{
    KR_AUTO(kr_buf) text = KR_BUF(FACT_TEXT_MAX);
    int64_t n;

    if (kr_buf_read_file(&text, path, NULL) < 0 ||
        !kr_str_i64(kr_str_trim(kr_buf_view(&text)), &n)) /* "max" too */
        return -1;
    return n;
}

static int readable(const char *path)
{
    KR_AUTO(kr_buf) text = KR_BUF(KUBE_CONFIG_FILE_MAX);

    return kr_buf_read_file(&text, path, NULL) == 0 && text.n > 0 ? 0 : KR_E_INPUT;
}

static int sextet(char ch)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const char *at = ch ? strchr(digits, ch) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* `exp` of the claims, the middle part of a token; 0: it has none. The token itself goes nowhere. */
static int64_t token_end(kr_str token)
{
    KR_AUTO(kr_arena) a = {0};
    KR_AUTO(kr_buf) claims = KR_BUF(KUBE_TOKEN_MAX);
    kr_val v = KR_V_NONE;
    uint32_t bits = 0, n = 0;
    kr_str part;

    (void)kr_str_cut(&token, '.');
    part = kr_str_cut(&token, '.');
    for (size_t i = 0; i < part.n && sextet(part.s[i]) >= 0; i++) {
        bits = bits << 6 | (uint32_t)sextet(part.s[i]);
        n += 6;
        if (n >= 8) {
            n -= 8;
            kr_buf_chr(&claims, (char)(bits >> n & 0xff));
        }
    }
    if (kr_json_parse(&a, kr_buf_view(&claims), &v, NULL) < 0)
        return 0;
    v = kr_at(v, "exp");
    return v.kind == KR_INT ? v.i : 0;
}

static void look_at_account(struct reactor_host *host)
{
    KR_AUTO(kr_buf) token = KR_BUF(KUBE_TOKEN_MAX);

    host->service_host = getenv("KUBERNETES_SERVICE_HOST");
    host->service_port = getenv("KUBERNETES_SERVICE_PORT");
    host->ca_rc = readable(ACCOUNT "ca.crt");
    host->token_rc =
        kr_buf_read_file(&token, ACCOUNT "token", NULL) == 0 && token.n > 0 ? 0 : KR_E_INPUT;
    host->token_ends_s = token_end(kr_buf_view(&token));
    if (token.s)
        explicit_bzero(token.s, token.n);
}

/* Without user and password, which a proxy's URL may hold. */
static const char *proxy_of(void)
{
    static char shown[256];
    static const char *const names[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};

    for (size_t i = 0; i < KR_N(names); i++) {
        kr_str url = kr_str_c(getenv(names[i]));
        ptrdiff_t at = kr_str_rchr(url, '@');
        ptrdiff_t scheme = kr_str_find(url, KR_S("://"));

        if (url.n == 0)
            continue;
        url = kr_str_sub(url, (size_t)(at >= 0 ? at + 1 : scheme >= 0 ? scheme + 3 : 0), url.n);
        (void)snprintf(shown, sizeof shown, KR_FMT, KR_ARG(kr_str_sub(url, 0, 255)));
        return shown;
    }
    return NULL;
}

static int64_t disk_free(void)
{
    static const char *const places[] = {"/var/lib/docker", "/var/lib/containers", "/var/lib", "/"};
    struct statvfs fs;

    for (size_t i = 0; i < KR_N(places); i++) {
        if (statvfs(places[i], &fs) == 0)
            return (int64_t)(fs.f_bavail * (uint64_t)fs.f_frsize);
    }
    return -1;
}

static void keep_least(int64_t *least, int64_t limit)
{
    if (limit >= 0 && limit < NO_LIMIT_FROM && (*least < 0 || limit < *least))
        *least = limit;
}

/* The limits of one cgroup and of those above it. A folder that is not there says nothing: in a container
 * without a cgroup namespace our path is the host's, and what is mounted is our own cgroup alone. */
static void limits_above(int64_t *least, const char *root, const char *mount, const char *file,
                         kr_str cgroup)
{
    for (int depth = 0; depth < CGROUP_DEPTH_MAX; depth++) {
        KR_AUTO(kr_buf) path = KR_BUF(2 * FACT_TEXT_MAX);

        kr_buf_fmt(&path, "%s" CGROUPS "%s" KR_FMT "/%s", root, mount, KR_ARG(cgroup), file);
        if (!path.full)
            keep_least(least, number_in(path.s));
        if (cgroup.n == 0)
            return;
        cgroup = kr_str_sub(cgroup, 0, (size_t)kr_str_rchr(cgroup, '/'));
    }
}

static bool has_memory(kr_str controllers)
{
    while (controllers.n > 0) {
        if (kr_str_is(kr_str_cut(&controllers, ','), "memory"))
            return true;
    }
    return false;
}

/* A row of /proc/self/cgroup: "0::/path" of version 2, "4:memory:/path" of version 1. */
static void limits_of_row(int64_t *least, const char *root, kr_str row)
{
    kr_str number = kr_str_cut(&row, ':');
    kr_str controllers = kr_str_cut(&row, ':');

    /* The root; and one that is beside the root of our namespace. */
    if (row.n < 2 || row.s[0] != '/' || kr_str_starts(row, KR_S("/..")))
        row = KR_S("");
    if (kr_str_is(number, "0") && controllers.n == 0)
        limits_above(least, root, "", "memory.max", row);
    else if (has_memory(controllers))
        limits_above(least, root, "/memory", "memory.limit_in_bytes", row);
}

int64_t reactor_host_memory_max(const char *root)
{
    KR_AUTO(kr_buf) path = KR_BUF(FACT_TEXT_MAX);
    KR_AUTO(kr_buf) text = KR_BUF(2 * FACT_TEXT_MAX);
    int64_t least = -1;
    kr_str rows;

    kr_buf_fmt(&path, "%s/proc/self/cgroup", root);
    if (kr_buf_read_file(&text, path.s, NULL) < 0)
        return -1;
    rows = kr_buf_view(&text);
    while (rows.n > 0)
        limits_of_row(&least, root, kr_str_cut(&rows, '\n'));
    return least;
}

void reactor_host_open(struct reactor_host *host, struct uv_loop_s *loop)
{
    struct rlimit files;

    *host = (struct reactor_host){.ops = &ops, .arg = loop};
    look_at_account(host);
    host->proxy = proxy_of();
    host->files_max = -1;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        host->files_max = files.rlim_cur > INT32_MAX ? INT32_MAX : (int64_t)files.rlim_cur;
    host->watches_max = number_in("/proc/sys/fs/inotify/max_user_watches");
    host->instances_max = number_in("/proc/sys/fs/inotify/max_user_instances");
    host->memory_max_bytes = reactor_host_memory_max("");
    host->disk_free_bytes = disk_free();
}

void reactor_host_close(struct reactor_host *host)
{
    host->ops = NULL;
}
