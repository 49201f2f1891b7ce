/* SPDX-License-Identifier: Apache-2.0 */
/* auth.c - tokens from files and from exec plug-ins.
 *
 * A plug-in's run has three handles: the process, the pipe of its output, a timer. Whatever ends it
 * (exit and end of output, time-out, too much output, failure to start, close), the process is
 * waited for, then all three are closed, and the outcome is told when the last one is: a new run
 * can start at once.
 */
#include "kube/auth.h"

#include <signal.h>
#include <time.h>

#include "cel/base/digest.h"
#include "cel/base/json.h"
#include "cel/base/time.h"

#include "cel/base/banned.h"

extern char **environ;

struct run {
    uv_process_t process;
    uv_pipe_t output;
    uv_timer_t timer;
    struct kr_buf text;
    uint32_t open_n; /* handles whose close callback is to come */
    bool active;     /* from start to outcome */
    bool ending;     /* the handles are being closed */
    bool exited, eof;
    int64_t exit_status;
    int term_signal;
    struct kr_err err; /* why it failed; code 0: judge by exit status and output */
};

struct kube_auth {
    uv_loop_t *loop;
    const struct kube_config *config;
    kube_auth_ready_fn *ready;
    void *arg;

    char *authorization; /* owned, wiped; NULL: none (yet) */
    char *cert, *key;    /* from the plug-in */
    uint64_t generation;
    uint64_t read_ms;   /* token file: when it was last read */
    bool stale;         /* token file: read again before the next use; plug-in: run again */
    bool have;          /* plug-in: the credential is there */
    int64_t expires_ms; /* plug-in: wall clock; 0: never */
    struct run run;
    bool closing;
    void (*closed)(void *arg);
    void *closed_arg;
};

static void wipe(char **s)
{
    if (*s != NULL)
        explicit_bzero(*s, strlen(*s));
    kr_free(*s);
    *s = NULL;
}

static void wipe_buf(struct kr_buf *b)
{
    if (b->s != NULL)
        explicit_bzero(b->s, b->n);
    kr_buf_fini(b);
}

static int64_t wall_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* A token goes into a header line: nothing in it may end that line. */
static bool token_sane(kr_str token)
{
    for (size_t i = 0; i < token.n; i++)
        if ((unsigned char)token.s[i] <= ' ' || token.s[i] == 0x7f)
            return false;
    return token.n > 0 && token.n <= KUBE_TOKEN_MAX;
}

static char *join(const char *scheme, kr_str secret)
{
    size_t n = strlen(scheme);
    char *s = kr_alloc(n + secret.n + 1);

    memcpy(s, scheme, n);
    memcpy(s + n, secret.s, secret.n);
    return s;
}

static char *basic(const struct kube_config *c)
{
    KR_AUTO(kr_arena) a = {0};
    kr_str user = kr_str_c(c->username), password = kr_str_c(c->password);
    char *pair = kr_alloc(user.n + password.n + 2);
    kr_str text;
    char *out;

    memcpy(pair, user.s ? user.s : "", user.n);
    pair[user.n] = ':';
    memcpy(pair + user.n + 1, password.s ? password.s : "", password.n);
    text = kr_base64_encode(&a, kr_str_c(pair), KR_BASE64_STD);
    out = join("Basic ", text);
    wipe(&pair);
    explicit_bzero((void *)(uintptr_t)text.s, text.n);
    return out;
}

struct kube_auth *kube_auth_new(uv_loop_t *loop, const struct kube_config *config,
                                kube_auth_ready_fn *ready, void *arg)
{
    struct kube_auth *a = KR_ALLOC(struct kube_auth);

    a->loop = loop;
    a->config = config;
    a->ready = ready;
    a->arg = arg;
    a->stale = true;
    if (config->token != NULL)
        a->authorization = join("Bearer ", kr_str_c(config->token));
    else if (config->username != NULL || config->password != NULL)
        a->authorization = basic(config);
    return a;
}

/* --- token file ------------------------------------------------------------------------------- */

/* Reads the file. A failure matters only when there is no token yet: rotation replaces the file,
 * and the old token lives on for a while. */
static int read_token_file(struct kube_auth *a, struct kr_err *err)
{
    struct kr_buf text = KR_BUF(KUBE_TOKEN_MAX);
    int rc = kr_buf_read_file(&text, a->config->token_file, err);
    kr_str token = kr_str_trim(kr_buf_view(&text));

    a->read_ms = uv_now(a->loop);
    a->stale = false;
    if (rc == 0 && !token_sane(token))
        rc = kr_fail(err, KR_E_INPUT, "%s: does not hold a token", a->config->token_file);
    if (rc == 0) {
        char *now = join("Bearer ", token);

        if (a->authorization == NULL || strcmp(a->authorization, now) != 0)
            a->generation++;
        wipe(&a->authorization);
        a->authorization = now;
    }
    wipe_buf(&text);
    return rc < 0 && a->authorization == NULL ? rc : 0;
}

/* --- the plug-in's answer --------------------------------------------------------------------- */

/* What the plug-in said, wiped after use: the arena's bytes are ours alone. */
static void wipe_strings(kr_val v)
{
    if (v.kind == KR_STRING && v.n > 0)
        explicit_bzero((void *)(uintptr_t)v.s, v.n);
    KR_MAP_EACH (pair, v)
        wipe_strings(pair->val);
}

static int take_expiry(struct kube_auth *a, kr_val status, struct kr_err *err)
{
    kr_str text = kr_at_str(status, "expirationTimestamp");
    int64_t seconds;
    uint32_t nanos;

    a->expires_ms = 0;
    if (text.n == 0)
        return 0;
    if (!kr_time_parse(text, &seconds, &nanos))
        return kr_fail(err, KR_E_IO, "status.expirationTimestamp is no RFC 3339 time");
    a->expires_ms = seconds * 1000 + nanos / 1000000;
    return 0;
}

static int take_status(struct kube_auth *a, kr_val answer, struct kr_err *err)
{
    kr_val status = kr_get(answer, KR_S("status"));
    kr_str token = kr_at_str(status, "token");
    kr_str cert = kr_at_str(status, "clientCertificateData"),
           key = kr_at_str(status, "clientKeyData");
    kr_str version = kr_at_str(answer, "apiVersion");

    if (!kr_is_str(kr_get(answer, KR_S("kind")), KR_S("ExecCredential")))
        return kr_fail(err, KR_E_IO, "its output is no ExecCredential");
    if (!kr_str_eq(version, kr_str_c(a->config->exec->api_version)))
        return kr_fail(err, KR_E_IO, "its output has apiVersion \"" KR_FMT "\", not %s",
                       KR_ARG(kr_str_sub(version, 0, 100)), a->config->exec->api_version);
    if (token.n == 0 && (cert.n == 0 || key.n == 0))
        return kr_fail(err, KR_E_IO,
                       "its output has neither a token nor a client certificate with key");
    if ((cert.n == 0) != (key.n == 0))
        return kr_fail(err, KR_E_IO,
                       "its output has only one of clientCertificateData and clientKeyData");
    if (token.n > 0 && !token_sane(token))
        return kr_fail(err, KR_E_IO, "status.token has characters that no token may have");
    KR_TRY(take_expiry(a, status, err));
    a->authorization = token.n > 0 ? join("Bearer ", token) : NULL;
    a->cert = cert.n > 0 ? kr_cstrdup(cert) : NULL;
    a->key = key.n > 0 ? kr_cstrdup(key) : NULL;
    return 0;
}

static void forget(struct kube_auth *a)
{
    wipe(&a->authorization);
    wipe(&a->cert);
    wipe(&a->key);
    a->have = false;
}

static int take_answer(struct kube_auth *a, struct kr_err *err)
{
    struct run *r = &a->run;
    KR_AUTO(kr_arena) arena = {0};
    kr_val answer;
    int rc;

    if (r->err.code < 0) {
        *err = r->err;
        return err->code;
    }
    if (r->term_signal != 0)
        return kr_fail(err, KR_E_IO, "was killed by signal %d", r->term_signal);
    if (r->exit_status != 0)
        return kr_fail(err, KR_E_IO, "exit code %lld", (long long)r->exit_status);
    if (kr_json_parse(&arena, kr_buf_view(&r->text), &answer, NULL) < 0)
        return kr_fail(err, KR_E_IO, "its output is not JSON");
    forget(a);
    rc = take_status(a, answer, err);
    wipe_strings(answer);
    return rc;
}

/* --- the plug-in's run ------------------------------------------------------------------------ */

static void cred_of(const struct kube_auth *a, struct kube_cred *out)
{
    *out = (struct kube_cred){a->authorization, a->cert, a->key, a->generation};
}

static void free_now(struct kube_auth *a)
{
    void (*closed)(void *arg) = a->closed;
    void *arg = a->closed_arg;

    forget(a);
    wipe_buf(&a->run.text);
    kr_free(a);
    if (closed != NULL)
        closed(arg);
}

/* All handles of the run are closed. */
static void run_done(struct kube_auth *a)
{
    const struct kube_exec *x = a->config->exec;
    struct kr_err err = KR_ERR_NONE;
    struct kube_cred cred;
    int rc;

    if (a->closing) {
        free_now(a);
        return;
    }
    rc = take_answer(a, &err);
    wipe_buf(&a->run.text);
    a->run.active = false;
    if (rc < 0) {
        err.code = KR_E_IO;
        kr_wrap(&err, "exec plug-in \"%s\"", x->command);
        a->ready(a->arg, NULL, &err);
        return;
    }
    a->have = true;
    a->generation++;
    cred_of(a, &cred);
    a->ready(a->arg, &cred, NULL);
}

static void on_closed(uv_handle_t *h)
{
    struct kube_auth *a = h->data;

    if (--a->run.open_n == 0)
        run_done(a);
}

static void run_end(struct kube_auth *a)
{
    struct run *r = &a->run;

    if (r->ending)
        return;
    r->ending = true;
    r->open_n = 3;
    uv_close((uv_handle_t *)&r->process, on_closed);
    uv_close((uv_handle_t *)&r->output, on_closed);
    uv_close((uv_handle_t *)&r->timer, on_closed);
}

/* The whole process group: a shell's children hold the pipe too. */
static void run_kill(struct kube_auth *a)
{
    if (a->run.process.pid > 0)
        kill(-a->run.process.pid, SIGKILL);
}

/* Gives up on the run; its end comes when the process has ended (else it would stay a zombie). */
static void run_abort(struct kube_auth *a)
{
    run_kill(a);
    uv_read_stop((uv_stream_t *)&a->run.output);
    uv_timer_stop(&a->run.timer);
    if (a->run.exited)
        run_end(a);
}

static void on_process_exit(uv_process_t *p, int64_t exit_status, int term_signal)
{
    struct kube_auth *a = p->data;

    a->run.exited = true;
    a->run.exit_status = exit_status;
    a->run.term_signal = term_signal;
    if (a->run.eof || a->run.err.code < 0 || a->closing)
        run_end(a);
}

static uint32_t timeout_ms(const struct kube_exec *x)
{
    return x->timeout_ms ? x->timeout_ms : KUBE_EXEC_TIMEOUT_MS;
}

static void on_time_out(uv_timer_t *t)
{
    struct kube_auth *a = t->data;

    kr_fail(&a->run.err, KR_E_IO, "gave no answer within %g s",
            timeout_ms(a->config->exec) / 1000.0);
    run_abort(a);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    struct kube_auth *a = h->data;
    size_t n = KUBE_EXEC_OUTPUT_MAX - a->run.text.n;

    if (n > 16 * 1024)
        n = 16 * 1024;
    buf->base = n > 0 ? kr_buf_room(&a->run.text, n) : NULL;
    buf->len = buf->base != NULL ? n : 0;
}

static void on_output(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    struct kube_auth *a = s->data;

    if (n == UV_ENOBUFS) {
        kr_fail(&a->run.err, KR_E_IO, "its output is larger than %d bytes", KUBE_EXEC_OUTPUT_MAX);
        run_abort(a);
        return;
    }
    if (n > 0)
        a->run.text.n += (size_t)n;
    if (n >= 0)
        return;
    a->run.eof = true;
    if (a->run.exited)
        run_end(a);
}

/* --- starting it ------------------------------------------------------------------------------ */

/* The cluster as the plug-in may want to know it. */
static kr_val cluster_info(struct kr_arena *a, const struct kube_config *c)
{
    struct kr_mapb b = KR_MAPB(a);
    KR_AUTO(kr_buf) pem = KR_BUF(KUBE_CONFIG_FILE_MAX);
    kr_val config;

    kr_mapb_put(&b, KR_S("server"), kr_string(kr_str_c(c->server)));
    if (c->tls_server_name != NULL)
        kr_mapb_put(&b, KR_S("tls-server-name"), kr_string(kr_str_c(c->tls_server_name)));
    if (c->insecure)
        kr_mapb_put(&b, KR_S("insecure-skip-tls-verify"), kr_bool(true));
    if (c->proxy_url != NULL)
        kr_mapb_put(&b, KR_S("proxy-url"), kr_string(kr_str_c(c->proxy_url)));
    if (c->ca_data != NULL)
        kr_buf_str(&pem, kr_str_c(c->ca_data));
    else if (c->ca_file != NULL && kr_buf_read_file(&pem, c->ca_file, NULL) < 0)
        kr_buf_reset(&pem);
    if (pem.n > 0)
        kr_mapb_put(&b, KR_S("certificate-authority-data"),
                    kr_string(kr_base64_encode(a, kr_buf_view(&pem), KR_BASE64_STD)));
    if (c->exec->cluster_config != NULL &&
        kr_json_parse(a, kr_str_c(c->exec->cluster_config), &config, NULL) == 0)
        kr_mapb_put(&b, KR_S("config"), config);
    return kr_mapb_done(&b);
}

static char *exec_info(struct kr_arena *a, const struct kube_config *c)
{
    struct kr_mapb spec = KR_MAPB(a), info = KR_MAPB(a);
    kr_str text;

    kr_mapb_put(&spec, KR_S("interactive"), kr_bool(false));
    if (c->exec->provide_cluster_info)
        kr_mapb_put(&spec, KR_S("cluster"), cluster_info(a, c));
    kr_mapb_put(&info, KR_S("apiVersion"), kr_string(kr_str_c(c->exec->api_version)));
    kr_mapb_put(&info, KR_S("kind"), KR_V_STR("ExecCredential"));
    kr_mapb_put(&info, KR_S("spec"), kr_mapb_done(&spec));
    text = kr_json_str(a, kr_mapb_done(&info));
    return (char *)(uintptr_t)kr_fmt(a, "KUBERNETES_EXEC_INFO=" KR_FMT, KR_ARG(text)).s;
}

static bool same_name(const char *a, const char *b)
{
    size_t n = strcspn(a, "=");

    return strncmp(a, b, n + 1) == 0;
}

/* Our environment, with the plug-in's own variables in place of ours of the same name. */
static char **build_env(struct kr_arena *a, const struct kube_config *c)
{
    char *none[] = {NULL};
    char **own = c->exec->env != NULL ? c->exec->env : none;
    size_t n = 0, own_n = 0;
    char *info = exec_info(a, c);
    char **env;

    while (environ[n] != NULL)
        n++;
    while (own[own_n] != NULL)
        own_n++;
    env = kr_new_n(a, char *, n + own_n + 2);
    n = 0;
    for (char **e = environ; *e != NULL; e++) {
        bool hidden = same_name(info, *e);

        for (size_t i = 0; i < own_n && !hidden; i++)
            hidden = same_name(own[i], *e);
        if (!hidden)
            env[n++] = *e;
    }
    memcpy(env + n, own, own_n * sizeof own[0]);
    env[n + own_n] = info;
    return env;
}

static char **build_args(struct kr_arena *a, const struct kube_exec *x)
{
    size_t n = 0;
    char **args;

    while (x->args != NULL && x->args[n] != NULL)
        n++;
    args = kr_new_n(a, char *, n + 2);
    args[0] = x->command;
    if (strchr(x->command, '/') != NULL && x->command[0] != '/')
        args[0] = (char *)(uintptr_t)kr_fmt(a, "%s/%s", x->base_dir, x->command).s;
    if (n > 0)
        memcpy(args + 1, x->args, n * sizeof args[0]);
    return args;
}

static int spawn(struct kube_auth *a)
{
    KR_AUTO(kr_arena) arena = {0};
    uv_stdio_container_t stdio[] = {
        {.flags = UV_IGNORE},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&a->run.output},
        {.flags = UV_INHERIT_FD, .data.fd = 2}, /* its complaints go where our log goes */
    };
    uv_process_options_t o = {
        .exit_cb = on_process_exit,
        .args = build_args(&arena, a->config->exec),
        .env = build_env(&arena, a->config),
        .flags = UV_PROCESS_DETACHED, /* a process group of its own: see run_kill */
        .stdio = stdio,
        .stdio_count = 3,
    };

    o.file = o.args[0];
    return uv_spawn(a->loop, &a->run.process, &o);
}

static void run_start(struct kube_auth *a)
{
    struct run *r = &a->run;
    const char *hint = a->config->exec->install_hint;
    int rc;

    *r = (struct run){.text = KR_BUF(KUBE_EXEC_OUTPUT_MAX), .active = true};
    uv_pipe_init(a->loop, &r->output, 0);
    uv_timer_init(a->loop, &r->timer);
    r->process.data = r->output.data = r->timer.data = a;
    rc = spawn(a);
    if (rc < 0) {
        r->process.pid = 0;
        kr_fail(&r->err, KR_E_IO, "cannot be run: %s%s%.300s", uv_strerror(rc), hint ? "; " : "",
                hint ? hint : "");
        run_end(a);
        return;
    }
    uv_timer_start(&r->timer, on_time_out, timeout_ms(a->config->exec), 0);
    uv_read_start((uv_stream_t *)&r->output, on_alloc, on_output);
}

/* --- the doors -------------------------------------------------------------------------------- */

int kube_auth_get(struct kube_auth *a, struct kube_cred *out, struct kr_err *err)
{
    if (a->config->exec != NULL) {
        bool expired =
            a->expires_ms != 0 && wall_ms() >= a->expires_ms - KUBE_AUTH_EXPIRY_MARGIN_MS;

        if (a->run.active)
            return KUBE_AUTH_WAIT;
        if (!a->have || expired) {
            run_start(a);
            return KUBE_AUTH_WAIT;
        }
    } else if (a->config->token_file != NULL &&
               (a->stale || uv_now(a->loop) - a->read_ms >= KUBE_TOKEN_REFRESH_MS)) {
        KR_TRY(read_token_file(a, err));
    }
    cred_of(a, out);
    return 0;
}

bool kube_auth_rejected(struct kube_auth *a, uint64_t generation)
{
    if (generation == 0)
        return false;
    if (generation != a->generation)
        return true;
    if (a->config->exec != NULL) {
        if (!a->run.active)
            forget(a);
        return true;
    }
    if (read_token_file(a, NULL) < 0)
        return false;
    return generation != a->generation;
}

void kube_auth_close(struct kube_auth *a, void (*closed)(void *arg), void *arg)
{
    a->closing = true;
    a->closed = closed;
    a->closed_arg = arg;
    if (!a->run.active) {
        free_now(a);
        return;
    }
    if (!a->run.ending)
        run_abort(a);
}
