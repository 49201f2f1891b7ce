/* SPDX-License-Identifier: Apache-2.0 */
/* doctor_server.c - K01, K02, K05-K09, S02: the API server, and the way to it. */
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>

#include "graph/graph.h"
#include "reactor/doctor_check.h"

#include "cel/base/banned.h"

/* --- an exchange whose bytes or headers we want to see ---------------------------------------- */

/* K01 and K07: no repeats by the client, so that the first failure shows. */
struct look {
    struct kube_exchange x;
    struct doctor_check *check;
    struct kr_buf body;
    bool open;
    int rc;
    struct kr_err err;
    uint64_t start_ms, head_ms, bytes_ms, end_ms; /* 0: did not come */
};

static void on_look_head(struct kube_exchange *x, int status, int64_t retry_after_ms)
{
    struct look *l = KR_OWNER(x, struct look, x);

    x->status = status;
    l->head_ms = kube_now_ms(doctor_clock(l->check)) + 1;
}

static bool on_look_bytes(struct kube_exchange *x, const char *bytes, size_t n)
{
    struct look *l = KR_OWNER(x, struct look, x);

    if (l->bytes_ms == 0)
        l->bytes_ms = kube_now_ms(doctor_clock(l->check)) + 1;
    kr_buf_add(&l->body, bytes, n); /* what does not fit is not looked at */
    return !x->stream;              /* of a watch the first bytes are all we want */
}

static void on_look_end(struct kube_exchange *x, int rc, const struct kr_err *err)
{
    struct look *l = KR_OWNER(x, struct look, x);

    l->open = false;
    l->rc = rc;
    if (rc < 0)
        l->err = *err;
    l->end_ms = kube_now_ms(doctor_clock(l->check)) + 1;
    doctor_answered(l->check);
}

static void look_cancel(struct doctor_check *c)
{
    struct kube_transport *t = kube_client_transport(c->d->opts.client);
    struct look *l = c->state;

    if (l->open)
        t->ops->cancel(t, &l->x);
}

static void look_start(struct doctor_check *c, kr_str path, bool stream)
{
    struct kube_transport *t = kube_client_transport(c->d->opts.client);
    struct look *l = kr_new(&c->arena, struct look);

    l->check = c;
    l->body = (struct kr_buf)KR_BUF_IN(&c->arena, DOCTOR_TEXT_MAX);
    l->open = true;
    l->x = (struct kube_exchange){
        .method = "GET",
        .path = path,
        .accept = stream ? NULL : "*/*",
        .user_agent = kube_client_user_agent(c->d->opts.client),
        .stream = stream,
        .timeout_ms = c->row->limit_ms,
        .on_head = on_look_head,
        .on_bytes = on_look_bytes,
        .on_end = on_look_end,
    };
    l->start_ms = kube_now_ms(doctor_clock(c)) + 1;
    c->state = l;
    c->cancel = look_cancel;
    c->open_n++;
    t->ops->start(t, &l->x);
}

/* --- the head of an answer -------------------------------------------------------------------- */

static void keep(char *to, size_t size, kr_str value)
{
    (void)snprintf(to, size, KR_FMT, KR_ARG(kr_str_sub(value, 0, size - 1)));
}

static bool named(kr_str name, const char *want)
{
    return name.n == strlen(want) && strncasecmp(name.s, want, name.n) == 0;
}

static void on_header(struct kube_exchange *x, kr_str name, kr_str value)
{
    struct doctor_headers *h = KR_OWNER(x, struct doctor_headers, x);

    if (name.n == 0)
        keep(h->version, sizeof h->version, kr_str_cut(&value, ' '));
    else if (named(name, "content-encoding"))
        keep(h->encoding, sizeof h->encoding, value);
    else if (named(name, "via"))
        keep(h->via, sizeof h->via, value);
    else if (named(name, "x-kubernetes-pf-prioritylevel-uid"))
        keep(h->level, sizeof h->level, value);
    else if (named(name, "date"))
        keep(h->date, sizeof h->date, value);
}

static void on_headers_head(struct kube_exchange *x, int status, int64_t retry_after_ms)
{
    struct doctor_headers *h = KR_OWNER(x, struct doctor_headers, x);
    struct kube_clock *clock = kube_client_clock(h->d->opts.client);

    h->wall_ms = clock->ops->wall_ms(clock);
}

static bool on_headers_bytes(struct kube_exchange *x, const char *bytes, size_t n)
{
    return true;
}

static void on_headers_end(struct kube_exchange *x, int rc, const struct kr_err *err)
{
    struct doctor_headers *h = KR_OWNER(x, struct doctor_headers, x);
    struct kube_clock *clock = kube_client_clock(h->d->opts.client);

    h->open = false;
    h->rc = rc;
    clock->ops->timer_stop(clock, &h->limit);
    doctor_fact_over(h->d, DOCTOR_F_HEADERS);
}

static void on_headers_limit(struct kube_timer *timer)
{
    struct doctor_headers *h = KR_OWNER(timer, struct doctor_headers, limit);
    struct kube_transport *t = kube_client_transport(h->d->opts.client);

    if (h->open)
        t->ops->cancel(t, &h->x);
}

/* An ordinary request, as the controller's are: /readyz has a priority of its own. */
void doctor_headers_start(struct reactor_doctor *d)
{
    struct kube_transport *t = kube_client_transport(d->opts.client);
    struct kube_clock *clock = kube_client_clock(d->opts.client);
    struct doctor_headers *h = &d->headers;

    h->d = d;
    h->open = true;
    h->limit.fn = on_headers_limit;
    h->x = (struct kube_exchange){
        .method = "GET",
        .path = KR_S("/apis/kro.run/v1alpha1/resourcegraphdefinitions?limit=1"),
        .user_agent = kube_client_user_agent(d->opts.client),
        .timeout_ms = REACTOR_CHECK_MS,
        .on_header = on_header,
        .on_head = on_headers_head,
        .on_bytes = on_headers_bytes,
        .on_end = on_headers_end,
    };
    clock->ops->timer_start(clock, &h->limit, REACTOR_CHECK_MS);
    t->ops->start(t, &h->x);
}

static const struct doctor_headers *headers(struct doctor_check *c)
{
    const struct doctor_headers *h = &c->d->headers;

    if (h->version[0] != '\0')
        return h;
    c->unheard = true;
    doctor_say(c, REACTOR_WARN, "not seen: there was no answer");
    doctor_cure(c, "kubectl get --raw /readyz?verbose");
    return NULL;
}

/* --- K01 the API server is reachable and ready ------------------------------------------------ */

void doctor_reachable_start(struct doctor_check *c)
{
    look_start(c, KR_S("/readyz?verbose"), false);
}

/* Names of the parts that fail: lines "[-]etcd failed: reason withheld". */
static void say_parts(struct doctor_check *c, kr_str rest)
{
    while (rest.s) {
        kr_str line = kr_str_cut(&rest, '\n');

        if (kr_str_starts(line, KR_S("[-]")))
            doctor_say(c, REACTOR_FAIL, KR_FMT,
                       KR_ARG(kr_str_sub(line, 3, line.n < 200 ? line.n : 200)));
    }
}

/* An address that begins with http://, where TLS is spoken (Go's server answers 400 and says so, others
 * hang up), or the other way round. */
static bool other_scheme(struct doctor_check *c, const struct look *l)
{
    kr_str address = doctor_server(c);
    bool plain = kr_str_starts(address, KR_S("http://"));

    if (plain && l->rc == 0 && kr_str_find(kr_buf_view(&l->body), KR_S("HTTPS server")) < 0)
        return false;
    if (l->rc < 0 && (plain ? l->x.unsent : strstr(l->err.text, "does not speak TLS") == NULL))
        return false;
    if (!plain && l->rc == 0)
        return false;
    (void)kr_str_cut(&address, '/');
    (void)kr_str_cut(&address, '/');
    doctor_cure(c,
                "%s kubectl config set-cluster \"$(kubectl config view --minify -o "
                "jsonpath='{.contexts[0].context.cluster}')\" --server=%s://" KR_FMT,
                plain ? "if it speaks TLS:" : "if it speaks none:", plain ? "https" : "http",
                KR_ARG(doctor_plain(address)));
    return true;
}

/* What mends it, by the words of the failure; a proxy may be the one that fails. */
static const char *cure_of(const struct look *l, bool late, bool proxy)
{
    static const struct {
        const char *words, *cure;
    } causes[] = {
        {"certificate",
         "take this cluster's kubeconfig anew, it brings the right certificates: kind "
         "get kubeconfig, k3d kubeconfig get, or your provider's command"},
        {"connection refused",
         "start the cluster (kind, k3d: docker ps -a; docker start NAME), or name "
         "another: kubectl config get-contexts"},
        {"does not resolve", "look at K03, or name another cluster: kubectl config get-contexts"},
    };

    for (size_t i = 0; i < KR_N(causes) && !late && !proxy; i++) {
        if (strstr(l->err.text, causes[i].words) != NULL)
            return causes[i].cure;
    }
    return "check address, network and proxy: kubectl config view --minify; kubectl get --raw "
           "/readyz";
}

static void unreachable(struct doctor_check *c, const struct look *l)
{
    const struct reactor_host *host = c->d->opts.host;

    c->unheard = true;
    if (c->late)
        doctor_say(c, REACTOR_FAIL, "no answer from " KR_FMT " within %u s",
                   KR_ARG(doctor_server(c)), c->row->limit_ms / 1000);
    else
        doctor_say(c, REACTOR_FAIL, "%s", l->err.text);
    if (host != NULL && host->proxy != NULL)
        doctor_say(c, REACTOR_FAIL, "the environment names the proxy %s", host->proxy);
    if (c->late || !other_scheme(c, l))
        doctor_cure(c, "%s", cure_of(l, c->late, host != NULL && host->proxy != NULL));
}

void doctor_reachable_judge(struct doctor_check *c)
{
    const struct look *l = c->state;
    kr_str server = doctor_server(c);

    if (l->rc < 0) {
        unreachable(c, l);
    } else if (l->x.status == 200) {
        doctor_say(c, REACTOR_PASS, KR_FMT " is ready (%" PRIu64 " ms)", KR_ARG(server),
                   l->end_ms - l->start_ms);
    } else if (l->x.status == 401) {
        doctor_say(c, REACTOR_FAIL, KR_FMT " does not accept our credentials (401)",
                   KR_ARG(server));
        doctor_cure(c, "renew them: kubectl auth whoami");
    } else if (l->x.status == 403) {
        doctor_say(c, REACTOR_PASS, KR_FMT " answers; we may not ask whether it is ready (403)",
                   KR_ARG(server));
    } else if (other_scheme(c, l)) {
        doctor_say(c, REACTOR_FAIL, KR_FMT " speaks TLS, and the address says http://",
                   KR_ARG(server));
    } else {
        doctor_say(c, REACTOR_FAIL, KR_FMT " is not ready (%d)", KR_ARG(server), l->x.status);
        say_parts(c, kr_buf_view(&l->body));
        doctor_cure(c, "kubectl get --raw /readyz?verbose");
    }
}

/* --- K02 its version -------------------------------------------------------------------------- */

void doctor_version_start(struct doctor_check *c)
{
    doctor_get(c, KR_S("/version"));
}

/* The digits at the head: minor versions may come as "36+". */
static bool leading_number(kr_str s, uint64_t *out)
{
    size_t n = 0;

    while (n < s.n && s.s[n] >= '0' && s.s[n] <= '9')
        n++;
    return kr_str_u64(kr_str_sub(s, 0, n), out);
}

static void judge_numbers(struct doctor_check *c, kr_str text, uint64_t major, uint64_t minor)
{
    if (major == 1 && minor < REACTOR_SERVER_MINOR_MIN) {
        doctor_say(c, REACTOR_FAIL, KR_FMT " is older than 1.%d", KR_ARG(text),
                   REACTOR_SERVER_MINOR_MIN);
        doctor_cure(c, "upgrade the cluster to 1.%d or newer", REACTOR_SERVER_MINOR_GOOD);
    } else if (major == 1 && minor < REACTOR_SERVER_MINOR_GOOD) {
        doctor_say(c, REACTOR_WARN,
                   KR_FMT " has no selectable fields of CRDs by default (1.%d has)", KR_ARG(text),
                   REACTOR_SERVER_MINOR_GOOD);
        doctor_cure(c, "upgrade the cluster to 1.%d or newer", REACTOR_SERVER_MINOR_GOOD);
    } else if (major != 1 || minor > REACTOR_SERVER_MINOR_TESTED) {
        doctor_say(c, REACTOR_WARN,
                   KR_FMT " is newer than what this version was tested with (1.%d)", KR_ARG(text),
                   REACTOR_SERVER_MINOR_TESTED);
        doctor_cure(c, "look for a newer kroc");
    } else {
        doctor_say(c, REACTOR_PASS, KR_FMT, KR_ARG(text));
    }
}

void doctor_version_judge(struct doctor_check *c)
{
    struct doctor_ask *a = doctor_first(c);
    uint64_t major, minor;

    if (doctor_unheard(c, a))
        return;
    if (a->req.rc < 0) {
        doctor_refused(c, &a->req, "read /version");
        return;
    }
    if (!leading_number(kr_at_str(a->req.object, "major"), &major) ||
        !leading_number(kr_at_str(a->req.object, "minor"), &minor)) {
        doctor_say(c, REACTOR_FAIL,
                   "/version of " KR_FMT " names no version: is it a Kubernetes API server?",
                   KR_ARG(doctor_server(c)));
        doctor_cure(c, "kubectl version");
        return;
    }
    judge_numbers(c, kr_at_str(a->req.object, "gitVersion"), major, minor);
}

/* --- K05 aggregated API servers --------------------------------------------------------------- */

void doctor_services_start(struct doctor_check *c)
{
    doctor_get(c, KR_S("/apis/apiregistration.k8s.io/v1/apiservices?limit=500"));
}

/* Does a definition hold objects of this group version, or generate them? */
static bool used(struct doctor_check *c, kr_str group, kr_str version)
{
    KR_LIST_EACH (rgd, kr_at(c->d->facts[DOCTOR_F_RGDS].req.object, "items")) {
        const kr_gvk *gvks;
        uint32_t n;

        graph_kinds_of(kr_at(*rgd, "spec"), &c->arena, &gvks, &n);
        for (uint32_t i = 0; i < n; i++) {
            if (kr_str_eq(gvks[i].group, group) && kr_str_eq(gvks[i].version, version))
                return true;
        }
    }
    return false;
}

static bool is_available(kr_val service)
{
    KR_LIST_EACH (it, kr_at(service, "status.conditions")) {
        if (kr_is_str(kr_at(*it, "type"), KR_S("Available")))
            return kr_is_str(kr_at(*it, "status"), KR_S("True"));
    }
    return kr_at(service, "spec.service").kind != KR_MAP; /* nobody has looked yet */
}

void doctor_services_judge(struct doctor_check *c)
{
    struct doctor_ask *a = doctor_first(c);

    if (!doctor_ok(c, a, "list apiservices"))
        return;
    KR_LIST_EACH (it, kr_at(a->req.object, "items")) {
        kr_str name = kr_at_str(*it, "metadata.name");
        bool needed;

        if (is_available(*it))
            continue;
        needed = used(c, kr_at_str(*it, "spec.group"), kr_at_str(*it, "spec.version"));
        doctor_name(c, needed ? REACTOR_FAIL : REACTOR_WARN, KR_FMT " is not available%s",
                    KR_ARG(name), needed ? ", and a definition uses it" : "");
        doctor_cure(c, "kubectl describe apiservice " KR_FMT, KR_ARG(doctor_plain(name)));
    }
    doctor_named(c);
}

/* --- K06 OpenAPI v3 --------------------------------------------------------------------------- */

enum { OPENAPI_SLOW_MS = 10 * 1000, OPENAPI_DOCS_MAX = 50 };

void doctor_openapi_start(struct doctor_check *c)
{
    doctor_get(c, KR_S("/openapi/v3"));
}

static kr_str openapi_path(struct doctor_check *c, kr_str group, kr_str version)
{
    if (group.n == 0)
        return kr_fmt(&c->arena, "api/" KR_FMT, KR_ARG(version));
    return kr_fmt(&c->arena, "apis/" KR_FMT "/" KR_FMT, KR_ARG(group), KR_ARG(version));
}

static bool asked(struct doctor_check *c, kr_str what)
{
    DOCTOR_EACH(a, c)
    {
        if (kr_str_eq(a->what, what))
            return true;
    }
    return false;
}

/* Asks for the documents that definitions need; names those that are not there. */
static void ask_documents(struct doctor_check *c, kr_val paths)
{
    kr_val rgds;

    if (!doctor_items(c, DOCTOR_F_RGDS, &rgds))
        return;
    KR_LIST_EACH (rgd, rgds) {
        const kr_gvk *gvks;
        uint32_t n;

        graph_kinds_of(kr_at(*rgd, "spec"), &c->arena, &gvks, &n);
        for (uint32_t i = 0; i < n; i++) {
            kr_str what = openapi_path(c, gvks[i].group, gvks[i].version);
            kr_str url = kr_at_str(kr_get(paths, what), "serverRelativeURL");
            struct doctor_ask *a;

            if (asked(c, what) || c->asks_n > OPENAPI_DOCS_MAX)
                continue;
            if (url.n == 0) {
                doctor_name(c, REACTOR_FAIL,
                            "%s has no schemas, and the definition " KR_FMT " uses it", what.s,
                            KR_ARG(kr_at_str(*rgd, "metadata.name")));
                doctor_cure(c, "install what brings it: kubectl api-resources --api-group=" KR_FMT,
                            KR_ARG(gvks[i].group));
                continue;
            }
            if (c->d->opts.controller) /* it loads them itself, one after the other */
                continue;
            a = doctor_get(c, url);
            a->what = what;
            a->req.raw = true;
        }
    }
    doctor_named(c);
}

static void judge_documents(struct doctor_check *c)
{
    uint64_t bytes = 0, slowest_ms = 0;
    uint32_t n = 0;

    DOCTOR_EACH(a, c)
    {
        uint64_t took_ms = a->req.done_ms - a->req.started_ms;

        if (a->what.n == 0)
            continue;
        if (!doctor_ok(c, a, a->what.s))
            return;
        n++;
        bytes += a->req.got_bytes;
        slowest_ms = took_ms > slowest_ms ? took_ms : slowest_ms;
    }
    if (slowest_ms > OPENAPI_SLOW_MS) {
        doctor_say(c, REACTOR_WARN, "a document took %" PRIu64 " s", slowest_ms / 1000);
        doctor_cure(c, "kubectl get --raw /openapi/v3; look at the load of the API server");
    }
    if (c->finding.n == 0)
        doctor_say(c, REACTOR_PASS,
                   "%u documents that definitions use, %" PRIu64 " KiB, the slowest in %" PRIu64
                   " ms",
                   n, bytes / 1024, slowest_ms);
}

void doctor_openapi_judge(struct doctor_check *c)
{
    struct doctor_ask *index = doctor_first(c);

    if (c->stage++ > 0) {
        judge_documents(c);
        return;
    }
    if (!doctor_ok(c, index, "read /openapi/v3"))
        return;
    ask_documents(c, kr_at(index->req.object, "paths"));
    if (c->open_n == 0 && c->finding.n == 0)
        doctor_say(c, REACTOR_PASS, "%u group versions; no definition needs one yet",
                   kr_at(index->req.object, "paths").n);
}

/* --- K07 a watch delivers --------------------------------------------------------------------- */

void doctor_watch_start(struct doctor_check *c)
{
    /* From version 0 there are events at once: one for each namespace. */
    look_start(c, KR_S("/api/v1/namespaces?watch=true&timeoutSeconds=2&resourceVersion=0"), true);
}

void doctor_watch_judge(struct doctor_check *c)
{
    const struct look *l = c->state;

    if (l->x.status == 403) {
        doctor_say(c, REACTOR_PASS, "not looked at: we may not watch namespaces");
    } else if (l->x.status >= 400) {
        doctor_say(c, REACTOR_FAIL, "a watch is answered with %d", l->x.status);
        doctor_cure(c, "kubectl get namespaces --watch");
    } else if (l->rc < 0 && l->head_ms == 0 && !c->late) {
        c->unheard = true;
        doctor_say(c, REACTOR_FAIL, "%s", l->err.text);
        doctor_cure(c, "kubectl get namespaces --watch");
    } else if (l->bytes_ms == 0 || l->bytes_ms - l->start_ms >= 1500) {
        c->unheard = l->head_ms == 0 && c->late;
        doctor_say(c, REACTOR_FAIL,
                   "a watch of 2 s delivered nothing before its end: something on the way holds "
                   "answers back until they are complete");
        doctor_cure(c, "turn off response buffering of the proxy or load balancer before the API "
                       "server (nginx: proxy_buffering off)");
    } else {
        doctor_say(c, REACTOR_PASS, "the first event came after %" PRIu64 " ms",
                   l->bytes_ms - l->start_ms);
    }
}

/* --- K08 the way ------------------------------------------------------------------------------ */

void doctor_way_judge(struct doctor_check *c)
{
    const struct doctor_headers *h = headers(c);
    bool two;

    if (h == NULL)
        return;
    two = strncmp(h->version, "HTTP/2", 6) == 0;
    doctor_say(c, two ? REACTOR_PASS : REACTOR_WARN, "%s%s%s%s%s", h->version,
               h->encoding[0] ? ", compressed with " : "", h->encoding,
               h->via[0] ? ", through the proxy " : "", h->via);
    if (!two) {
        doctor_say(c, REACTOR_WARN, "each watch needs a connection of its own");
        doctor_cure(c, "let the load balancer before the API server pass TCP, or speak HTTP/2");
    }
}

/* --- K09 flow control ------------------------------------------------------------------------- */

void doctor_flow_start(struct doctor_check *c)
{
    if (c->d->headers.level[0])
        doctor_meta(c, KR_S("/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations"));
}

void doctor_flow_judge(struct doctor_check *c)
{
    const struct doctor_headers *h = headers(c);
    struct doctor_ask *a = doctor_first(c);

    if (h == NULL)
        return;
    if (a == NULL) {
        doctor_say(c, REACTOR_PASS, "the server has no priorities");
        return;
    }
    if (doctor_unheard(c, a))
        return;
    if (a->req.rc < 0) {
        doctor_say(c, REACTOR_PASS, "level %s; we may not ask for its name", h->level);
        return;
    }
    KR_LIST_EACH (it, kr_at(a->req.object, "items")) {
        kr_str name = kr_at_str(*it, "metadata.name");
        bool last = kr_str_is(name, "catch-all");

        if (!kr_str_eq(kr_at_str(*it, "metadata.uid"), kr_str_c(h->level)))
            continue;
        doctor_say(c, last ? REACTOR_WARN : REACTOR_PASS,
                   "our requests have the priority level " KR_FMT, KR_ARG(name));
        doctor_cure(
            c, "kubectl get flowschemas: add one for the controller's service account, with the "
               "priority level workload-high");
    }
}

/* --- S02 clocks ------------------------------------------------------------------------------- */

/* "Sun, 06 Nov 1994 08:49:37 GMT", the one form that servers send. */
static bool http_date(const char *text, int64_t *seconds)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);

    if (end == NULL || *end != '\0')
        return false;
    *seconds = (int64_t)timegm(&tm);
    return true;
}

void doctor_clock_judge(struct doctor_check *c)
{
    const struct doctor_headers *h = headers(c);
    int64_t server_s, off_s;

    if (h == NULL)
        return;
    if (!http_date(h->date, &server_s)) {
        doctor_say(c, REACTOR_PASS, "the server does not say what time it is");
        return;
    }
    off_s = h->wall_ms / 1000 - server_s;
    if (off_s > DOCTOR_CLOCK_MAX_S || off_s < -DOCTOR_CLOCK_MAX_S) {
        doctor_say(c, REACTOR_WARN,
                   "our clock is %" PRId64 " s %s the server's: tokens and leases suffer",
                   off_s < 0 ? -off_s : off_s, off_s < 0 ? "behind" : "ahead of");
        doctor_cure(c, "sudo timedatectl set-ntp true (on both machines)");
        return;
    }
    doctor_say(c, REACTOR_PASS, "within %" PRId64 " s of the server's", off_s < 0 ? -off_s : off_s);
}
