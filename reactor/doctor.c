/* SPDX-License-Identifier: Apache-2.0 */
/* doctor.c - runs the checks and prints what they found.
 *
 * Everything starts at once: the facts, and the checks that need none; the others when their facts are
 * there. A check's limit counts from the beginning. When the first finds that there is no server, the
 * others have nothing to say and point to it.
 */
#include "reactor/doctor.h"

#include <stdarg.h>
#include <stdio.h>

#include "cel/base/json.h"
#include "graph/graph.h"
#include "reactor/doctor_check.h"

#include "cel/base/banned.h"

enum {
#define F(name, about) name = DOCTOR_NEED_##name,
    DOCTOR_FACTS(F)
#undef F
};

void doctor_none(struct doctor_check *c)
{
}

const struct doctor_row doctor_rows[] = {
#define C(id, limit, needs, start, judge, about)                                                   \
    {#id, limit, needs, doctor_##start, doctor_##judge, about},
#include "reactor/doctor.def"
#undef C
};
const uint32_t doctor_rows_n = KR_N(doctor_rows);

/* --- what a check says ------------------------------------------------------------------------ */

__attribute__((format(printf, 3, 0))) static void
say_args(struct doctor_check *c, enum reactor_verdict v, const char *fmt, va_list args)
{
    char text[DOCTOR_WORDS_MAX];

    (void)vsnprintf(text, sizeof text, fmt, args);
    kr_buf_fmt(&c->finding, "%s%s", c->finding.n ? "; " : "", text);
    if (v > c->verdict)
        c->verdict = v;
}

void doctor_say(struct doctor_check *c, enum reactor_verdict v, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    say_args(c, v, fmt, args);
    va_end(args);
}

void doctor_name(struct doctor_check *c, enum reactor_verdict v, const char *fmt, ...)
{
    va_list args;

    if (c->named_n++ >= DOCTOR_NAMED_MAX) {
        c->verdict = v > c->verdict ? v : c->verdict;
        return;
    }
    va_start(args, fmt);
    say_args(c, v, fmt, args);
    va_end(args);
}

void doctor_named(struct doctor_check *c)
{
    if (c->named_n > DOCTOR_NAMED_MAX)
        doctor_say(c, c->verdict, "and %u more", c->named_n - DOCTOR_NAMED_MAX);
    c->named_n = 0;
}

void doctor_cure(struct doctor_check *c, const char *fmt, ...)
{
    char text[DOCTOR_WORDS_MAX];
    va_list args;

    if (c->fix.n > 0)
        return;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    kr_buf_fmt(&c->fix, "%s", text);
}

kr_str doctor_plain(kr_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char ch = s.s[i];
        bool word =
            (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9');

        if (!word && ch != '-' && ch != '.' && ch != '_' && ch != ':')
            return KR_S("?");
    }
    return s.n ? s : KR_S("?");
}

kr_str doctor_server(struct doctor_check *c)
{
    struct kube_transport *t = kube_client_transport(c->d->opts.client);

    return t->ops->server(t);
}

struct kube_clock *doctor_clock(struct doctor_check *c)
{
    return kube_client_clock(c->d->opts.client);
}

int64_t doctor_wall_s(struct doctor_check *c)
{
    struct kube_clock *clock = doctor_clock(c);

    return clock->ops->wall_ms(clock) / 1000;
}

/* --- running ---------------------------------------------------------------------------------- */

static void one_over(struct reactor_doctor *d)
{
    KR_ASSERT(d->open_n > 0);
    if (--d->open_n > 0) {
        if (d->checks_n == 0) /* nobody waits for the facts that are still out */
            kube_client_cancel_all(d->opts.client);
        return;
    }
    if (d->told)
        return;
    d->told = true;
    if (d->opts.done)
        d->opts.done(d->opts.arg);
}

bool doctor_is_cut(const struct kube_req *req)
{
    return kr_at_str(req->object, "metadata.continue").n > 0;
}

/* What was not looked at, because there is more of it than one answer holds. */
static void say_cut(struct doctor_check *c)
{
    uint32_t n = 0;

    DOCTOR_EACH(a, c)
    n += doctor_is_cut(&a->req);
    if (c->cut.n > 0)
        doctor_say(c, REACTOR_PASS, "there are more " KR_FMT ": only the first were looked at",
                   KR_ARG(c->cut));
    if (n > 0)
        doctor_say(c, REACTOR_PASS, "%u lists are longer: only their beginning was looked at", n);
    if (c->dropped)
        doctor_say(c, REACTOR_WARN, "only the first %d questions were asked", DOCTOR_ASKS_MAX);
}

static void check_over(struct doctor_check *c)
{
    struct kube_clock *clock = doctor_clock(c);

    c->over = true;
    clock->ops->timer_stop(clock, &c->limit);
    clock->ops->timer_stop(clock, &c->pause);
    if (c->finding.n == 0)
        doctor_say(c, REACTOR_PASS, "%s", c->row->about);
    say_cut(c);
    c->d->checks_n--;
    one_over(c->d);
}

/* Sends what start or judge has asked. */
static void check_send(struct doctor_check *c)
{
    DOCTOR_EACH(a, c)
    {
        if (a->sent)
            continue;
        a->sent = true;
        kube_req_start(c->d->opts.client, &a->req);
    }
}

static void check_step(struct doctor_check *c)
{
    while (!c->over && c->open_n == 0 && c->pause.heap_at == 0) {
        uint32_t asked = c->asks_n;

        c->row->judge(c);
        check_send(c);
        if (c->open_n == 0 && c->asks_n == asked && c->pause.heap_at == 0)
            check_over(c);
    }
}

void doctor_answered(struct doctor_check *c)
{
    KR_ASSERT(c->open_n > 0);
    if (--c->open_n == 0)
        check_step(c);
}

static void on_answer(struct kube_req *req)
{
    doctor_answered(KR_OWNER(req, struct doctor_ask, req)->check);
}

static void on_pause(struct kube_timer *timer)
{
    check_step(KR_OWNER(timer, struct doctor_check, pause));
}

void doctor_pause(struct doctor_check *c, uint32_t ms)
{
    struct kube_clock *clock = doctor_clock(c);

    c->pause.fn = on_pause;
    clock->ops->timer_start(clock, &c->pause, ms);
}

static void check_start(struct doctor_check *c)
{
    if (c->started || c->over || (c->row->needs & ~c->d->known) != 0)
        return;
    c->started = true;
    c->row->start(c);
    check_send(c);
    check_step(c);
}

static void check_cancel(struct doctor_check *c)
{
    struct kube_clock *clock = doctor_clock(c);
    bool paused = c->pause.heap_at != 0;

    if (c->over)
        return;
    c->late = true;
    clock->ops->timer_stop(clock, &c->pause);
    if (!c->started) { /* its facts did not come */
        c->unheard = true;
        doctor_say(c, REACTOR_FAIL, "no answer within %u s", c->row->limit_ms / 1000);
        doctor_cure(c, "kubectl get --raw /readyz?verbose");
        check_over(c);
        return;
    }
    DOCTOR_EACH(a, c)
    kube_req_cancel(&a->req);
    if (c->cancel)
        c->cancel(c);
    if (paused)
        check_step(c);
}

static void on_limit(struct kube_timer *timer)
{
    struct doctor_check *c = KR_OWNER(timer, struct doctor_check, limit);
    struct kube_clock *clock = doctor_clock(c);
    bool again = c->cleans && !c->late;

    if (again)
        clock->ops->timer_start(clock, &c->limit, REACTOR_CLEAN_MS);
    if (again && c->cleaning)
        c->late = true;
    else
        check_cancel(c);
}

/* --- questions -------------------------------------------------------------------------------- */

struct doctor_ask *doctor_ask(struct doctor_check *c)
{
    struct doctor_ask *a;

    if (c->asks_n >= DOCTOR_ASKS_MAX) {
        c->dropped = true;
        return NULL;
    }
    a = KR_ALLOC(struct doctor_ask);
    kr_link_push(&c->asks, &a->link);
    c->asks_n++;
    c->open_n++;
    a->check = c;
    a->req.timeout_ms = c->row->limit_ms;
    a->req.on_done = on_answer;
    return a;
}

struct doctor_ask *doctor_get(struct doctor_check *c, kr_str path)
{
    struct doctor_ask *a = doctor_ask(c);

    if (a == NULL)
        return NULL;
    a->req.verb = KUBE_GET;
    a->req.path = path;
    return a;
}

static const char meta_list[] =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,"
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

struct doctor_ask *doctor_meta(struct doctor_check *c, kr_str path)
{
    struct doctor_ask *a = doctor_get(c, path);

    if (a != NULL)
        a->req.accept = meta_list;
    return a;
}

struct doctor_ask *doctor_first(struct doctor_check *c)
{
    return kr_link_empty(&c->asks) ? NULL : KR_OWNER(c->asks.next, struct doctor_ask, link);
}

struct doctor_ask *doctor_next(struct doctor_check *c, struct doctor_ask *a)
{
    return a->link.next == &c->asks ? NULL : KR_OWNER(a->link.next, struct doctor_ask, link);
}

static bool req_unheard(struct doctor_check *c, const struct kube_req *req)
{
    if (req->rc == 0 || req->rc == KR_E_API)
        return false;
    if (c->unheard)
        return true;
    c->unheard = req->rc == KR_E_IO || req->rc == KR_E_CANCELED;
    if (c->late || req->rc == KR_E_CANCELED)
        doctor_say(c, REACTOR_FAIL, "no answer within %u s", c->row->limit_ms / 1000);
    else
        doctor_say(c, REACTOR_FAIL, "%s", req->err.text);
    doctor_cure(c, "kubectl get --raw /readyz?verbose");
    return true;
}

bool doctor_unheard(struct doctor_check *c, struct doctor_ask *a)
{
    return req_unheard(c, &a->req);
}

void doctor_refused(struct doctor_check *c, const struct kube_req *req, const char *what)
{
    if (req->status == 403)
        doctor_say(c, REACTOR_WARN, "not allowed to %s", what);
    else
        doctor_say(c, REACTOR_WARN, "cannot %s: %s", what, req->err.text);
    doctor_cure(c, "ask as somebody who may %s", what);
}

bool doctor_ok(struct doctor_check *c, struct doctor_ask *a, const char *what)
{
    if (a->req.rc == 0)
        return true;
    if (!doctor_unheard(c, a) && a->req.status != 404)
        doctor_refused(c, &a->req, what);
    return false;
}

/* --- facts ------------------------------------------------------------------------------------ */

static const char *const fact_paths[DOCTOR_FACTS_N] = {
    [DOCTOR_F_DEPLOYMENTS] = "/apis/apps/v1/deployments?limit=500&labelSelector="
                             "app.kubernetes.io%2Fcomponent%3Dcontroller%2C"
                             "app.kubernetes.io%2Fpart-of%3Dkro",
    [DOCTOR_F_RGDS] = "/apis/kro.run/v1alpha1/resourcegraphdefinitions?limit=500",
    [DOCTOR_F_CRDS] = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?limit=5000",
};

static const char *const fact_verbs[DOCTOR_FACTS_N] = {
    [DOCTOR_F_DEPLOYMENTS] = "list deployments",
    [DOCTOR_F_RGDS] = "list resourcegraphdefinitions",
    [DOCTOR_F_CRDS] = "list customresourcedefinitions",
};

void doctor_fact_over(struct reactor_doctor *d, int fact)
{
    d->known |= 1u << fact;
    for (uint32_t i = 0; i < doctor_rows_n; i++)
        check_start(&d->checks[i]);
    one_over(d);
}

static void on_fact(struct kube_req *req)
{
    struct doctor_fact *f = KR_OWNER(req, struct doctor_fact, req);

    f->over = true;
    doctor_fact_over(f->d, (int)(f - f->d->facts));
}

static void on_kinds(struct kube_discovery *discovery, void *arg)
{
    doctor_fact_over(arg, DOCTOR_F_KINDS);
}

/* What some check that is wanted needs. */
static uint32_t needs_of(const struct reactor_doctor *d)
{
    uint32_t needs = 0;

    for (uint32_t i = 0; i < doctor_rows_n; i++)
        needs |= d->checks[i].off ? 0 : d->checks[i].row->needs;
    return needs;
}

static void facts_start(struct reactor_doctor *d)
{
    uint32_t needs = needs_of(d);

    for (int i = 0; i < DOCTOR_FACTS_N; i++) {
        struct doctor_fact *f = &d->facts[i];

        f->d = d;
        d->open_n += needs >> i & 1;
        if (fact_paths[i] == NULL || !(needs >> i & 1))
            continue;
        f->req.verb = KUBE_GET;
        f->req.path = kr_str_c(fact_paths[i]);
        f->req.timeout_ms = REACTOR_CHECK_MS;
        f->req.accept = i == DOCTOR_F_CRDS ? meta_list : NULL;
        f->req.on_done = on_fact;
        kube_req_start(d->opts.client, &f->req);
    }
    if (needs & KINDS)
        kube_discovery_refresh(d->discovery, on_kinds, d);
    if (needs & HEADERS)
        doctor_headers_start(d);
}

bool doctor_items(struct doctor_check *c, int fact, kr_val *items)
{
    const struct kube_req *req = &c->d->facts[fact].req;

    *items = kr_at(req->object, "items");
    if (doctor_is_cut(req)) { /* "list " in front is no part of it */
        c->cut = kr_str_c(fact_verbs[fact]);
        kr_str_cut(&c->cut, ' ');
    }
    if (req->rc == 0)
        return true;
    if (req->rc == KR_E_API && req->status == 404) {
        *items = KR_V_NONE;
        return true;
    }
    if (!req_unheard(c, req))
        doctor_refused(c, req, fact_verbs[fact]);
    return false;
}

bool doctor_kinds(struct doctor_check *c)
{
    int rc = kube_discovery_rc(c->d->discovery);

    if (rc == 0)
        return true;
    c->unheard = rc == KR_E_IO || rc == KR_E_CANCELED;
    doctor_say(c, REACTOR_FAIL, "%s", kube_discovery_error(c->d->discovery)->text);
    doctor_cure(c, "kubectl api-resources");
    return false;
}

kr_gvk doctor_generated(kr_val rgd)
{
    kr_str group = kr_at_str(rgd, "spec.schema.group");

    return (kr_gvk){group.n ? group : KR_S(GRAPH_GROUP), kr_at_str(rgd, "spec.schema.apiVersion"),
                    kr_at_str(rgd, "spec.schema.kind")};
}

kr_str doctor_crd_name(struct kr_arena *a, kr_val rgd)
{
    kr_gvk gvk = doctor_generated(rgd);
    char *lower = kr_arena_bytes(a, gvk.kind.n + 1);

    for (size_t i = 0; i < gvk.kind.n; i++) {
        char ch = gvk.kind.s[i];

        lower[i] = (char)(ch >= 'A' && ch <= 'Z' ? ch + 32 : ch);
    }
    return kr_dotted(a, graph_plural(a, (kr_str){lower, gvk.kind.n}), gvk.group);
}

kr_val doctor_label(kr_val object, const char *key)
{
    return kr_get(kr_at(object, "metadata.labels"), kr_str_c(key));
}

kr_val doctor_controller(struct doctor_check *c)
{
    kr_val items = kr_at(c->d->facts[DOCTOR_F_DEPLOYMENTS].req.object, "items");

    KR_LIST_EACH (it, items) {
        if (kr_str_eq(kr_at_str(*it, "metadata.namespace"), kr_str_c(c->d->opts.namespace)))
            return *it;
    }
    return KR_V_NONE;
}

/* --- life ------------------------------------------------------------------------------------- */

static bool wanted(const char *only, const char *id)
{
    kr_str rest = kr_str_c(only);

    while (rest.s) {
        if (kr_str_eq(kr_str_trim(kr_str_cut(&rest, ',')), kr_str_c(id)))
            return true;
    }
    return only == NULL;
}

static void check_init(struct doctor_check *c, struct reactor_doctor *d, uint32_t row)
{
    struct kube_clock *clock = kube_client_clock(d->opts.client);

    c->row = &doctor_rows[row];
    c->d = d;
    kr_link_init(&c->asks);
    kr_buf_init(&c->finding, DOCTOR_TEXT_MAX);
    kr_buf_init(&c->fix, DOCTOR_TEXT_MAX);
    c->off = c->over = !wanted(d->opts.only, c->row->id);
    if (c->off)
        return;
    d->open_n++;
    d->checks_n++;
    c->limit.fn = on_limit;
    clock->ops->timer_start(clock, &c->limit, c->row->limit_ms);
}

struct reactor_doctor *reactor_doctor_new(const struct reactor_doctor_opts *opts)
{
    struct reactor_doctor *d = KR_ALLOC(struct reactor_doctor);

    d->opts = *opts;
    d->discovery = kube_discovery_new(opts->client);
    d->checks = kr_alloc(sizeof(*d->checks) * doctor_rows_n);
    d->open_n = 1; /* until all are started */
    for (uint32_t i = 0; i < doctor_rows_n; i++)
        check_init(&d->checks[i], d, i);
    facts_start(d);
    for (uint32_t i = 0; i < doctor_rows_n; i++)
        check_start(&d->checks[i]);
    one_over(d);
    return d;
}

void reactor_doctor_cancel(struct reactor_doctor *d)
{
    struct kube_transport *t = kube_client_transport(d->opts.client);

    if (d->canceled || d->told)
        return;
    d->canceled = true;
    for (int i = 0; i < DOCTOR_FACTS_N; i++)
        kube_req_cancel(&d->facts[i].req);
    if (d->headers.open)
        t->ops->cancel(t, &d->headers.x);
    for (uint32_t i = 0; i < doctor_rows_n; i++) {
        if (!d->checks[i].over)
            on_limit(&d->checks[i].limit);
    }
}

bool reactor_doctor_over(const struct reactor_doctor *d)
{
    return d->told;
}

void reactor_doctor_progress(const struct reactor_doctor *d, uint32_t *over_n, uint32_t *all_n)
{
    *all_n = 0;
    for (uint32_t i = 0; i < doctor_rows_n; i++)
        *all_n += !d->checks[i].off;
    *over_n = *all_n - d->checks_n;
}

/* What it asked and was told; the finding stays. */
static void check_forget(struct doctor_check *c)
{
    struct kr_link *l;

    while ((l = kr_link_pop(&c->asks)) != NULL) {
        struct doctor_ask *a = KR_OWNER(l, struct doctor_ask, link);

        kube_req_fini(&a->req);
        kr_free(a);
    }
    kr_arena_fini(&c->arena);
}

static void check_fini(struct doctor_check *c)
{
    check_forget(c);
    kr_buf_fini(&c->finding);
    kr_buf_fini(&c->fix);
}

void reactor_doctor_forget(struct reactor_doctor *d)
{
    KR_ASSERT(d->open_n == 0);
    for (uint32_t i = 0; i < doctor_rows_n; i++)
        check_forget(&d->checks[i]);
    for (int i = 0; i < DOCTOR_FACTS_N; i++)
        kube_req_fini(&d->facts[i].req);
    if (d->discovery != NULL)
        kube_discovery_free(d->discovery);
    d->discovery = NULL;
}

void reactor_doctor_free(struct reactor_doctor *d)
{
    if (d == NULL)
        return;
    reactor_doctor_forget(d);
    for (uint32_t i = 0; i < doctor_rows_n; i++)
        check_fini(&d->checks[i]);
    kr_free(d->checks);
    kr_free(d);
}

/* --- the report ------------------------------------------------------------------------------- */

/* Without a server the other checks have nothing to tell. */
static bool blind(const struct reactor_doctor *d, const struct doctor_check *c)
{
    return c != &d->checks[0] && c->unheard && d->checks[0].unheard;
}

static enum reactor_verdict verdict_of(const struct reactor_doctor *d, const struct doctor_check *c)
{
    return blind(d, c) ? REACTOR_WARN : c->verdict;
}

static kr_str finding_of(const struct reactor_doctor *d, const struct doctor_check *c)
{
    return blind(d, c) ? KR_S("not checked: no API server (K01)") : kr_buf_view(&c->finding);
}

static kr_str fix_of(const struct reactor_doctor *d, const struct doctor_check *c)
{
    if (blind(d, c))
        return KR_S("mend K01 first");
    return c->verdict == REACTOR_PASS ? KR_S("") : kr_buf_view(&c->fix);
}

enum reactor_verdict reactor_doctor_verdict(const struct reactor_doctor *d)
{
    enum reactor_verdict worst = REACTOR_PASS;

    for (uint32_t i = 0; i < doctor_rows_n; i++) {
        enum reactor_verdict v = d->checks[i].off ? REACTOR_PASS : verdict_of(d, &d->checks[i]);

        worst = v > worst ? v : worst;
    }
    return worst;
}

static const char *const verdicts[] = {"PASS", "WARN", "FAIL"};

/* A line stays one line, whatever a server wrote into its message. */
static void add_line(struct kr_buf *out, kr_str text)
{
    for (size_t i = 0; i < text.n; i++)
        kr_buf_chr(out, (unsigned char)text.s[i] < ' ' || text.s[i] == 0x7f ? ' ' : text.s[i]);
}

static void add_text(struct kr_buf *out, const char *verdict, const char *id, kr_str finding,
                     kr_str fix)
{
    kr_buf_fmt(out, "%s  %s  ", verdict, id);
    add_line(out, finding);
    if (fix.n > 0) {
        kr_buf_fmt(out, " -> ");
        add_line(out, fix);
    }
    kr_buf_chr(out, '\n');
}

static void add_json(struct kr_buf *out, const char *verdict, const char *id, kr_str finding,
                     kr_str fix)
{
    kr_buf_fmt(out, "{\"id\":\"%s\",\"verdict\":\"%s\",\"finding\":", id, verdict);
    kr_json_quote(out, finding, 0);
    kr_buf_fmt(out, ",\"fix\":");
    kr_json_quote(out, fix, 0);
    kr_buf_chr(out, '}');
}

void reactor_doctor_line(struct kr_buf *out, bool json, enum reactor_verdict v, const char *id,
                         kr_str finding, kr_str fix)
{
    if (json)
        kr_buf_fmt(out, "{\"verdict\":\"%s\",\"checks\":[", verdicts[v]);
    (json ? add_json : add_text)(out, verdicts[v], id, finding, fix);
    if (json)
        kr_buf_fmt(out, "]}\n");
}

void reactor_doctor_print(const struct reactor_doctor *d, bool json, struct kr_buf *out)
{
    bool first = true;

    if (json)
        kr_buf_fmt(out, "{\"verdict\":\"%s\",\"checks\":[", verdicts[reactor_doctor_verdict(d)]);
    for (uint32_t i = 0; i < doctor_rows_n; i++) {
        const struct doctor_check *c = &d->checks[i];

        if (c->off)
            continue;
        if (json && !first)
            kr_buf_chr(out, ',');
        first = false;
        (json ? add_json : add_text)(out, verdicts[verdict_of(d, c)], c->row->id, finding_of(d, c),
                                     fix_of(d, c));
    }
    if (json)
        kr_buf_fmt(out, "]}\n");
}

void reactor_doctor_findings(const struct reactor_doctor *d, reactor_finding_fn *fn, void *arg)
{
    for (uint32_t i = 0; i < doctor_rows_n; i++) {
        const struct doctor_check *c = &d->checks[i];

        if (!c->off && verdict_of(d, c) != REACTOR_PASS)
            fn(arg, verdict_of(d, c), c->row->id, finding_of(d, c), fix_of(d, c));
    }
}

const char *reactor_doctor_about(kr_str id)
{
    for (uint32_t i = 0; i < doctor_rows_n; i++) {
        if (kr_str_eq(id, kr_str_c(doctor_rows[i].id)))
            return doctor_rows[i].about;
    }
    return NULL;
}

void reactor_doctor_page(struct kr_buf *out)
{
    kr_buf_fmt(out, "| Id | What holds when it passes | Limit |\n|---|---|---|\n");
    for (uint32_t i = 0; i < doctor_rows_n; i++)
        kr_buf_fmt(out, "| %s | %s | %u s |\n", doctor_rows[i].id, doctor_rows[i].about,
                   doctor_rows[i].limit_ms / 1000);
}
