/* SPDX-License-Identifier: Apache-2.0 */
/* local.c - sandbox and controller put together, and the steering of their time. */
#include "cli/local.h"

#include "cel/base/json.h"
#include "cel/base/yaml.h"
#include "reactor/crds.h"
#include "reactor/version.h"

#include "cel/base/banned.h"

enum { PATH_MAX_BYTES = 16 * 1024 };

static void serve(void *arg, struct sandbox *s, const struct sandbox_request *q,
                  struct sandbox_response *r)
{
    struct cli_local *l = arg;

    sandbox_serve(s, q, r);
    if (l->opts.asked)
        l->opts.asked(l->opts.arg, q, r);
}

/* --- life ------------------------------------------------------------------------------------- */

static void add_crd(struct sandbox *s, const char *text)
{
    KR_AUTO(kr_arena) a = {0};
    struct sandbox_response answer = {0};
    struct kr_err err = KR_ERR_NONE;
    kr_val docs;
    int rc = kr_yaml_parse(&a, kr_str_c(text), &docs, &err);

    KR_ASSERT(rc == 0); /* the text is built in */
    rc = sandbox_apply(s, kr_item(docs, 0), "kroc", &answer);
    KR_ASSERT(rc < 300);
    sandbox_response_fini(&answer);
}

void cli_local_crds(struct sandbox *s)
{
    add_crd(s, reactor_crd_definitions);
    add_crd(s, reactor_crd_revisions);
}

void cli_local_open(struct cli_local *l, const struct cli_local_opts *opts)
{
    struct sandbox_front_opts front = {.serve = serve, .arg = l};
    struct reactor_opts reactor = {.version = kr_str_c(reactor_version), .omit = opts->omit};

    *l = (struct cli_local){.opts = *opts};
    vclock_init(&l->own);
    l->clock = opts->clock ? opts->clock : &l->own.door;
    l->sandbox = sandbox_new(l->clock, &opts->sandbox);
    cli_local_crds(l->sandbox);
    l->front = sandbox_front_new(l->sandbox, l->clock, &front);
    l->client = kube_client_new(sandbox_front_transport(l->front), l->clock,
                                &(struct kube_client_opts){.user_agent = "kro/sandbox"});
    reactor.client = l->client;
    reactor.clock = l->clock;
    l->reactor = reactor_new(&reactor);
    reactor_start(l->reactor);
}

bool cli_local_turn(struct cli_local *l)
{
    return reactor_turn(l->reactor);
}

void cli_local_stop(struct cli_local *l)
{
    reactor_stop(l->reactor);
}

bool cli_local_stopped(const struct cli_local *l)
{
    return reactor_stopped(l->reactor) && sandbox_front_exchanges_n(l->front) == 0;
}

/* In virtual time nobody else turns: what is under way is not waited for. */
static void end_now(struct cli_local *l)
{
    reactor_stop(l->reactor);
    for (uint32_t i = 0; i < CLI_LOCAL_PASSES_MAX && !cli_local_stopped(l); i++) {
        kube_client_cancel_all(l->client);
        kube_timers_run(&l->own.timers, l->own.now_ms);
        reactor_turn(l->reactor);
    }
}

void cli_local_close(struct cli_local *l)
{
    if (l->reactor == NULL)
        return;
    if (!cli_local_stopped(l))
        end_now(l);
    KR_ASSERT(cli_local_stopped(l));
    reactor_free(l->reactor);
    kube_client_free(l->client);
    sandbox_front_free(l->front);
    sandbox_free(l->sandbox);
    vclock_fini(&l->own);
    *l = (struct cli_local){0};
}

/* --- requests --------------------------------------------------------------------------------- */

struct cli_answer cli_local_ask(struct cli_local *l, struct kr_arena *a, const char *method,
                                kr_str path, const char *type, kr_str body)
{
    struct sandbox_request q = {
        .method = method,
        .path = path,
        .body = body,
        .content_type = kr_fmt(a, "application/%s", type ? type : "json"),
        .user_agent = KR_S("kroc"),
    };
    struct sandbox_response r = {0};
    struct cli_answer out;

    sandbox_serve(l->sandbox, &q, &r);
    out = (struct cli_answer){.status = r.status};
    if (kr_json_parse(a, kr_buf_view(&r.body), &out.body, NULL) < 0)
        out.body = KR_V_NONE;
    if (r.status >= 300) {
        out.message = kr_at_str(out.body, "message");
        if (out.message.n == 0)
            out.message = kr_fmt(a, "status %d", r.status);
    }
    sandbox_response_fini(&r);
    return out;
}

kr_str cli_local_path(const struct cli_local *l, struct kr_arena *a, kr_val doc, const char *sub)
{
    KR_AUTO(kr_buf) path = KR_BUF(PATH_MAX_BYTES);
    kr_ref ref;

    if (!sandbox_ref(l->sandbox, doc, &ref))
        return (kr_str){0};
    kube_path(&path, ref, sub);
    return kr_strdup(a, kr_buf_view(&path));
}

kr_str cli_local_target(kr_str path)
{
    kr_str rest = kr_str_cut(&path, '?'), all = rest;

    if (kr_str_starts(rest, KR_S("/apis/")))
        rest = kr_str_sub(rest, sizeof "/apis/" - 1, rest.n);
    else if (kr_str_starts(rest, KR_S("/api/")))
        rest = kr_str_sub(rest, sizeof "/" - 1, rest.n);
    kr_str_cut(&rest, '/'); /* group, or "api" */
    kr_str_cut(&rest, '/'); /* version */
    if (kr_str_starts(rest, KR_S("namespaces/"))) {
        kr_str below = kr_str_sub(rest, sizeof "namespaces/" - 1, rest.n);

        kr_str_cut(&below, '/');
        rest = below.n ? below : rest; /* not: the namespace itself */
    }
    return rest.n ? rest : all;
}

/* --- virtual time ----------------------------------------------------------------------------- */

/* Everything that can happen at this moment happens. */
static int settle(struct cli_local *l, struct kr_err *err)
{
    uint32_t passes = 0;
    bool more;

    do {
        more = reactor_turn(l->reactor);
        if (kube_timers_due(&l->own.timers) <= l->own.now_ms) {
            kube_timers_run(&l->own.timers, l->own.now_ms);
            more = true;
        }
        if (++passes > CLI_LOCAL_PASSES_MAX)
            return kr_fail(err, KR_E_LIMIT, "work without end: more than %d turns at one time",
                           CLI_LOCAL_PASSES_MAX);
    } while (more);
    return 0;
}

/* Moves to the next timer, but not over end; false: that is where it is. */
static bool step(struct cli_local *l, uint64_t end)
{
    uint64_t due = kube_timers_due(&l->own.timers);

    if (due > end) {
        l->own.now_ms = end;
        return false;
    }
    if (due > l->own.now_ms)
        l->own.now_ms = due;
    return true;
}

int cli_local_pass(struct cli_local *l, uint64_t ms, struct kr_err *err)
{
    uint64_t end = l->own.now_ms + ms;

    KR_TRY(settle(l, err));
    while (step(l, end))
        KR_TRY(settle(l, err));
    return settle(l, err);
}

int cli_local_rest(struct cli_local *l, struct kr_err *err)
{
    uint64_t limit = l->own.now_ms + CLI_LOCAL_BUSY_MAX_MS, version, end;

    KR_TRY(settle(l, err));
    version = sandbox_version(l->sandbox);
    end = l->own.now_ms + CLI_LOCAL_REST_MS;
    while (step(l, end)) {
        KR_TRY(settle(l, err));
        if (sandbox_version(l->sandbox) == version)
            continue;
        version = sandbox_version(l->sandbox);
        end = l->own.now_ms + CLI_LOCAL_REST_MS;
        if (end > limit)
            return kr_fail(err, KR_E_LIMIT,
                           "it does not come to rest: something still changes after %d minutes",
                           CLI_LOCAL_BUSY_MAX_MS / 60000);
    }
    return 0;
}

uint64_t cli_local_now(const struct cli_local *l)
{
    return l->own.now_ms - VCLOCK_START_MS;
}
