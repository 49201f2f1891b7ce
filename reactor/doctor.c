/* SPDX-License-Identifier: Apache-2.0 */
/* doctor.c - the checks of `kroc doctor`, and the small loop it runs on.
 *
 * A check is a row of the table: what it asks (start), and what it makes of the answers (judge),
 * which runs once, when all its requests have ended: answered, failed, or cancelled by the check's
 * limit. All checks start at once. When the first finds that there is no server, the others have
 * nothing to say and point to it.
 */
#include "reactor/doctor.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <uv.h>

#include "cel/base/time.h"
#include "kube/config.h"
#include "kube/curl_uv.h"
#include "reactor/version.h"

#include "cel/base/banned.h"

#define CHECKS(C)                                                                                  \
    C(K01, start_reachable, judge_reachable)                                                       \
    C(K02, start_version, judge_version)                                                           \
    C(C01, start_crds, judge_crds)                                                                 \
    C(R01, start_rights, judge_rights)                                                             \
    C(I03, start_single, judge_single)

enum check_id {
#define C(id, start, judge) id,
    CHECKS(C)
#undef C
        CHECK_N
};

enum {
    ASKS_MAX = 40,        /* requests of one check */
    TEXT_MAX = 16 * 1024, /* bytes of a finding, of a fix, of the answer of /readyz */
    LIST_MAX = 500,       /* Deployments and Leases that are looked at */
    NAMED_MAX = 8,        /* controllers that are kept to be named */
};

struct check;

struct ask { /* one request of a check */
    struct kube_req req;
    struct check *check;
    const struct reactor_right *right; /* R01: what it asks about */
    kr_str verb;
};

struct check {
    const struct row *row;
    struct reactor_doctor *d;
    enum reactor_verdict verdict;
    struct kr_buf finding, fix;

    struct ask *asks;
    uint32_t asks_n;
    uint32_t open_n; /* requests that have not ended */
    bool late;       /* the limit came first */
    bool unheard;    /* nothing came back: connection, or late */
    struct kube_timer limit;
    struct kr_arena arena;

    struct kube_exchange x; /* K01: no repeats by the client, so that the first failure shows */
    struct kr_buf body;
    int x_rc;
    struct kr_err x_err;
    uint64_t x_start_ms, x_end_ms;
};

struct reactor_doctor {
    struct reactor_doctor_opts opts;
    struct check checks[CHECK_N];
    uint32_t open_n; /* checks that have not ended */
};

struct row {
    const char *id;
    void (*start)(struct check *c);
    void (*judge)(struct check *c);
};

/* --- what a check says ------------------------------------------------------------------------ */

/* Adds to the finding and makes the verdict at least v. */
__attribute__((format(printf, 3, 4))) static void say(struct check *c, enum reactor_verdict v,
                                                      const char *fmt, ...)
{
    char text[1024];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    kr_buf_fmt(&c->finding, "%s%s", c->finding.n ? "; " : "", text);
    if (v > c->verdict)
        c->verdict = v;
}

/* The first fix that is given stays. */
__attribute__((format(printf, 2, 3))) static void cure(struct check *c, const char *fmt, ...)
{
    char text[1024];
    va_list args;

    if (c->fix.n > 0)
        return;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    kr_buf_fmt(&c->fix, "%s", text);
}

/* A name from the cluster that goes into a command for a shell. */
static kr_str plain(kr_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char ch = s.s[i];
        bool word =
            (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9');

        if (!word && ch != '-' && ch != '.' && ch != '_')
            return KR_S("?");
    }
    return s.n ? s : KR_S("?");
}

static kr_str server_of(struct check *c)
{
    struct kube_transport *t = kube_client_transport(c->d->opts.client);

    return t->ops->server(t);
}

/* --- running ---------------------------------------------------------------------------------- */

static void check_end(struct check *c)
{
    struct reactor_doctor *d = c->d;
    struct kube_clock *clock = kube_client_clock(d->opts.client);

    clock->ops->timer_stop(clock, &c->limit);
    c->row->judge(c);
    if (--d->open_n == 0 && d->opts.done)
        d->opts.done(d->opts.arg);
}

static void on_answer(struct kube_req *req)
{
    struct check *c = KR_OWNER(req, struct ask, req)->check;

    if (--c->open_n == 0)
        check_end(c);
}

static void on_limit(struct kube_timer *timer)
{
    struct check *c = KR_OWNER(timer, struct check, limit);
    struct kube_transport *t = kube_client_transport(c->d->opts.client);

    c->late = true;
    for (uint32_t i = 0; i < c->asks_n; i++)
        kube_req_cancel(&c->asks[i].req);
    if (c->x.on_end)
        t->ops->cancel(t, &c->x);
}

static struct ask *ask(struct check *c) /* a further request, to be filled in */
{
    struct ask *a;

    if (c->asks == NULL)
        c->asks = kr_alloc(sizeof(*c->asks) * ASKS_MAX);
    KR_ASSERT(c->asks_n < ASKS_MAX);
    a = &c->asks[c->asks_n++];
    a->check = c;
    a->req.timeout_ms = REACTOR_CHECK_MS;
    a->req.on_done = on_answer;
    return a;
}

static struct ask *ask_path(struct check *c, kr_str path)
{
    struct ask *a = ask(c);

    a->req.verb = KUBE_GET;
    a->req.path = path;
    return a;
}

/* Did nothing come back on this request? Then says so (once for a check). */
static bool unheard(struct check *c, struct ask *a)
{
    if (a->req.rc == 0 || a->req.rc == KR_E_API)
        return false;
    if (c->unheard)
        return true;
    c->unheard = a->req.rc == KR_E_IO || a->req.rc == KR_E_CANCELED;
    if (c->late || a->req.rc == KR_E_CANCELED)
        say(c, REACTOR_FAIL, "no answer within %d s", REACTOR_CHECK_MS / 1000);
    else
        say(c, REACTOR_FAIL, "%s", a->req.err.text);
    cure(c, "kubectl get --raw /readyz?verbose");
    return true;
}

/* The server said no: what, in short. */
static void refused(struct check *c, const struct ask *a, const char *what)
{
    if (a->req.status == 403)
        say(c, REACTOR_WARN, "not allowed to %s", what);
    else
        say(c, REACTOR_WARN, "cannot %s: %s", what, a->req.err.text);
}

/* --- K01 the API server is reachable and ready ------------------------------------------------ */

static void on_ready_head(struct kube_exchange *x, int status, int64_t retry_after_ms)
{
    x->status = status;
}

static bool on_ready_bytes(struct kube_exchange *x, const char *bytes, size_t n)
{
    struct check *c = KR_OWNER(x, struct check, x);

    kr_buf_add(&c->body, bytes, n); /* what does not fit is not looked at */
    return true;
}

static void on_ready_end(struct kube_exchange *x, int rc, const struct kr_err *err)
{
    struct check *c = KR_OWNER(x, struct check, x);

    c->x_rc = rc;
    if (rc < 0)
        c->x_err = *err;
    c->x_end_ms = kube_now_ms(kube_client_clock(c->d->opts.client));
    x->on_end = NULL; /* no longer to be cancelled */
    check_end(c);
}

static void start_reachable(struct check *c)
{
    struct kube_transport *t = kube_client_transport(c->d->opts.client);

    kr_buf_init(&c->body, TEXT_MAX);
    c->x = (struct kube_exchange){
        .method = "GET",
        .path = KR_S("/readyz?verbose"),
        .accept = "*/*",
        .user_agent = kube_client_user_agent(c->d->opts.client),
        .timeout_ms = REACTOR_CHECK_MS,
        .on_head = on_ready_head,
        .on_bytes = on_ready_bytes,
        .on_end = on_ready_end,
    };
    c->x_start_ms = kube_now_ms(kube_client_clock(c->d->opts.client));
    t->ops->start(t, &c->x);
}

/* Names of the parts that fail: lines "[-]etcd failed: reason withheld". */
static void say_parts(struct check *c)
{
    kr_str rest = kr_buf_view(&c->body);

    while (rest.s) {
        kr_str line = kr_str_cut(&rest, '\n');

        if (kr_str_starts(line, KR_S("[-]")))
            say(c, REACTOR_FAIL, KR_FMT, KR_ARG(kr_str_sub(line, 3, line.n < 200 ? line.n : 200)));
    }
}

static void judge_unreachable(struct check *c)
{
    kr_str server = server_of(c);

    c->unheard = true;
    if (c->late)
        say(c, REACTOR_FAIL, "no answer from " KR_FMT " within %d s", KR_ARG(server),
            REACTOR_CHECK_MS / 1000);
    else
        say(c, REACTOR_FAIL, "%s", c->x_err.text);
    cure(c, "check address, network and proxy: kubectl config view --minify; kubectl get --raw "
            "/readyz");
}

static void judge_reachable(struct check *c)
{
    kr_str server = server_of(c);

    if (c->x_rc < 0) {
        judge_unreachable(c);
        return;
    }
    if (c->x.status == 200) {
        say(c, REACTOR_PASS, KR_FMT " is ready (%" PRIu64 " ms)", KR_ARG(server),
            c->x_end_ms - c->x_start_ms);
        return;
    }
    if (c->x.status == 401) {
        say(c, REACTOR_FAIL, KR_FMT " does not accept our credentials (401)", KR_ARG(server));
        cure(c, "renew them: kubectl auth whoami");
        return;
    }
    if (c->x.status == 403) {
        say(c, REACTOR_PASS, KR_FMT " answers; we may not ask whether it is ready (403)",
            KR_ARG(server));
        return;
    }
    say(c, REACTOR_FAIL, KR_FMT " is not ready (%d)", KR_ARG(server), c->x.status);
    say_parts(c);
    cure(c, "kubectl get --raw /readyz?verbose");
}

/* --- K02 its version -------------------------------------------------------------------------- */

static void start_version(struct check *c)
{
    ask_path(c, KR_S("/version"));
}

/* The digits at the head: minor versions may come as "36+". */
static bool leading_number(kr_str s, uint64_t *out)
{
    size_t n = 0;

    while (n < s.n && s.s[n] >= '0' && s.s[n] <= '9')
        n++;
    return kr_str_u64(kr_str_sub(s, 0, n), out);
}

static void judge_version(struct check *c)
{
    struct ask *a = &c->asks[0];
    kr_str text;
    uint64_t major, minor;

    if (unheard(c, a))
        return;
    if (a->req.rc < 0) {
        refused(c, a, "read /version");
        cure(c, "kubectl get --raw /version");
        return;
    }
    text = kr_at_str(a->req.object, "gitVersion");
    if (!leading_number(kr_at_str(a->req.object, "major"), &major) ||
        !leading_number(kr_at_str(a->req.object, "minor"), &minor)) {
        say(c, REACTOR_FAIL,
            "/version of " KR_FMT " names no version: is it a Kubernetes API server?",
            KR_ARG(server_of(c)));
        cure(c, "kubectl version");
        return;
    }
    if (major == 1 && minor < REACTOR_SERVER_MINOR_MIN) {
        say(c, REACTOR_FAIL, KR_FMT " is older than 1.%d", KR_ARG(text), REACTOR_SERVER_MINOR_MIN);
        cure(c, "upgrade the cluster to 1.%d or newer", REACTOR_SERVER_MINOR_GOOD);
    } else if (major == 1 && minor < REACTOR_SERVER_MINOR_GOOD) {
        say(c, REACTOR_WARN, KR_FMT " has no selectable fields of CRDs by default (1.%d has)",
            KR_ARG(text), REACTOR_SERVER_MINOR_GOOD);
        cure(c, "upgrade the cluster to 1.%d or newer", REACTOR_SERVER_MINOR_GOOD);
    } else if (major != 1 || minor > REACTOR_SERVER_MINOR_TESTED) {
        say(c, REACTOR_WARN, KR_FMT " is newer than what this version was tested with (1.%d)",
            KR_ARG(text), REACTOR_SERVER_MINOR_TESTED);
        cure(c, "look for a newer kroc");
    } else {
        say(c, REACTOR_PASS, KR_FMT, KR_ARG(text));
    }
}

/* --- C01 the CRDs ----------------------------------------------------------------------------- */

static const char *const crds[] = {"resourcegraphdefinitions.kro.run",
                                   "graphrevisions.internal.kro.run"};

static void start_crds(struct check *c)
{
    for (size_t i = 0; i < KR_N(crds); i++) {
        kr_str path = kr_fmt(&c->arena,
                             "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/%s", crds[i]);

        ask_path(c, path);
    }
}

/* The condition of this type, or KR_NONE. */
static kr_val condition_of(kr_val object, const char *type)
{
    kr_val list = kr_at(object, "status.conditions");

    KR_LIST_EACH (it, list) {
        if (kr_is_str(kr_at(*it, "type"), kr_str_c(type)))
            return *it;
    }
    return KR_V_NONE;
}

static void judge_crd(struct check *c, const char *name, kr_val crd)
{
    static const char *const wanted[] = {"NamesAccepted", "Established"};

    if (kr_at(crd, "metadata.deletionTimestamp").kind != KR_NONE) {
        say(c, REACTOR_FAIL, "%s is being deleted", name);
        cure(c, "kubectl get crd %s -o jsonpath='{.status.conditions}'", name);
        return;
    }
    for (size_t i = 0; i < KR_N(wanted); i++) {
        kr_val condition = condition_of(crd, wanted[i]);
        kr_str message = kr_at_str(condition, "message");

        if (kr_is_str(kr_at(condition, "status"), KR_S("True")))
            continue;
        say(c, REACTOR_FAIL, "%s is not %s%s" KR_FMT, name, wanted[i], message.n ? ": " : "",
            KR_ARG(message));
        cure(c, "kubectl describe crd %s", name);
        return;
    }
}

static void judge_crds(struct check *c)
{
    for (size_t i = 0; i < KR_N(crds); i++) {
        struct ask *a = &c->asks[i];

        if (unheard(c, a))
            continue;
        if (a->req.rc == 0) {
            judge_crd(c, crds[i], a->req.object);
        } else if (a->req.reason == KUBE_R_NOT_FOUND) {
            say(c, REACTOR_FAIL, "%s is not installed", crds[i]);
            cure(c, "kubectl apply -k deploy/crds");
        } else {
            refused(c, a, kr_fmt(&c->arena, "read the CRD %s", crds[i]).s);
            cure(c,
                 "ask with the rights of the controller, or grant: get customresourcedefinitions");
        }
    }
    if (c->finding.n == 0)
        say(c, REACTOR_PASS, "%s and %s are established", crds[0], crds[1]);
}

/* --- R01 our own rights ----------------------------------------------------------------------- */

/* clang-format off */
static const struct reactor_right rights[] = {
    {"kro.run", "resourcegraphdefinitions", "get,list,watch,patch,update", NULL, false},
    {"kro.run", "resourcegraphdefinitions/status", "patch,update", NULL, false},
    {"internal.kro.run", "graphrevisions", "get,list,watch,create,patch,update,delete", NULL, false},
    {"internal.kro.run", "graphrevisions/status", "patch,update", NULL, false},
    {"apiextensions.k8s.io", "customresourcedefinitions", "get,list,watch,create,patch,update", NULL, false},
    {"apiextensions.k8s.io", "customresourcedefinitions", "delete", "--allow-crd-deletion", false},
    {"", "events", "create,patch", "Events", false},
    {"coordination.k8s.io", "leases", "get,create,update", "leader election", true},
};
/* clang-format on */

const struct reactor_right *reactor_doctor_rights(uint32_t *n)
{
    *n = KR_N(rights);
    return rights;
}

static kr_val review_of(struct check *c, const struct reactor_right *right, kr_str verb)
{
    struct kr_arena *a = &c->arena;
    struct kr_mapb attributes = {.a = a}, spec = {.a = a}, review = {.a = a};
    kr_str sub = kr_str_c(right->resource);
    kr_str resource = kr_str_cut(&sub, '/');

    kr_mapb_put(&attributes, KR_S("group"), kr_string(kr_str_c(right->group)));
    kr_mapb_put(&attributes, KR_S("resource"), kr_string(resource));
    kr_mapb_put(&attributes, KR_S("verb"), kr_string(verb));
    if (sub.n > 0)
        kr_mapb_put(&attributes, KR_S("subresource"), kr_string(sub));
    if (right->at_home)
        kr_mapb_put(&attributes, KR_S("namespace"), kr_string(kr_str_c(c->d->opts.namespace)));
    kr_mapb_put(&spec, KR_S("resourceAttributes"), kr_mapb_done(&attributes));
    kr_mapb_put(&review, KR_S("apiVersion"), KR_V_STR("authorization.k8s.io/v1"));
    kr_mapb_put(&review, KR_S("kind"), KR_V_STR("SelfSubjectAccessReview"));
    kr_mapb_put(&review, KR_S("spec"), kr_mapb_done(&spec));
    return kr_mapb_done(&review);
}

static void start_rights(struct check *c)
{
    static const kr_ref reviews = {
        .gvr = {KR_S("authorization.k8s.io"), KR_S("v1"), KR_S("selfsubjectaccessreviews")}};

    for (size_t i = 0; i < KR_N(rights); i++) {
        kr_str verbs = kr_str_c(rights[i].verbs);

        while (verbs.s) {
            struct ask *a = ask(c);

            a->right = &rights[i];
            a->verb = kr_str_cut(&verbs, ',');
            a->req.verb = KUBE_CREATE;
            a->req.ref = reviews;
            /* Far below the limit of a body: it cannot fail. */
            KR_ASSERT(kube_req_set_body(&a->req, review_of(c, a->right, a->verb), NULL) == 0);
        }
    }
}

/* Says which verbs of one right are missing. */
static void judge_right(struct check *c, const struct reactor_right *right)
{
    KR_AUTO(kr_buf) verbs = KR_BUF(256);

    for (uint32_t i = 0; i < c->asks_n; i++) {
        struct ask *a = &c->asks[i];

        if (a->right == right && a->req.rc == 0 &&
            !kr_is_true(kr_at(a->req.object, "status.allowed")))
            kr_buf_fmt(&verbs, "%s" KR_FMT, verbs.n ? "," : "", KR_ARG(a->verb));
    }
    if (verbs.n == 0)
        return;
    say(c, right->without ? REACTOR_WARN : REACTOR_FAIL, "missing: %s %s%s%s%s%s", verbs.s,
        right->resource, *right->group ? " of " : "", right->group,
        right->without ? ", needed for " : "", right->without ? right->without : "");
    cure(c, "kubectl apply -f deploy/kustomize/standalone/rbac.yaml");
}

static void judge_rights(struct check *c)
{
    for (uint32_t i = 0; i < c->asks_n; i++) {
        if (unheard(c, &c->asks[i]))
            return;
        if (c->asks[i].req.rc < 0) {
            refused(c, &c->asks[i], "ask which rights we have");
            cure(c, "kubectl auth can-i --list");
            return;
        }
    }
    for (size_t i = 0; i < KR_N(rights); i++)
        judge_right(c, &rights[i]);
    if (c->finding.n == 0)
        say(c, REACTOR_PASS, "all rights for definitions, revisions and CRDs");
}

/* --- I03 only one controller ------------------------------------------------------------------ */

/* What runs as a controller of definitions, as far as Deployments (labels of kro's chart and of our
 * manifests) and Leases show. One that somebody started by hand without a Lease is not seen. */
struct single {
    kr_str namespace[NAMED_MAX], name[NAMED_MAX];
    bool is_kroc[NAMED_MAX];
    uint32_t n;
};

static void start_single(struct check *c)
{
    ask_path(
        c, kr_fmt(&c->arena,
                  "/apis/apps/v1/deployments?limit=%d&labelSelector=app.kubernetes.io%%2Fcomponent"
                  "%%3Dcontroller%%2Capp.kubernetes.io%%2Fpart-of%%3Dkro",
                  LIST_MAX));
    ask_path(c, kr_fmt(&c->arena,
                       "/apis/coordination.k8s.io/v1/leases?limit=%d&fieldSelector=metadata.name"
                       "%%3Dcontroller.kro.run",
                       LIST_MAX));
}

static kr_val label_of(kr_val object, const char *key) /* a key with dots */
{
    return kr_get(kr_at(object, "metadata.labels"), kr_str_c(key));
}

static void judge_deployments(struct check *c, kr_val list, struct single *found)
{
    KR_LIST_EACH (it, kr_at(list, "items")) {
        kr_val replicas = kr_at(*it, "spec.replicas");
        kr_str namespace = kr_at_str(*it, "metadata.namespace");
        kr_str name = kr_at_str(*it, "metadata.name");
        bool is_kroc = kr_is_str(label_of(*it, "app.kubernetes.io/name"), KR_S("kroc"));

        if (replicas.kind == KR_INT && replicas.i == 0)
            continue;
        if (is_kroc && replicas.kind == KR_INT && replicas.i > 1) {
            say(c, REACTOR_FAIL, KR_FMT "/" KR_FMT " has %" PRId64 " replicas", KR_ARG(namespace),
                KR_ARG(name), replicas.i);
            cure(c, "kubectl -n " KR_FMT " scale deployment " KR_FMT " --replicas=1",
                 KR_ARG(plain(namespace)), KR_ARG(plain(name)));
        }
        if (found->n < NAMED_MAX) {
            found->namespace[found->n] = namespace;
            found->name[found->n] = name;
            found->is_kroc[found->n] = is_kroc;
            found->n++;
        }
    }
}

/* Does the holder's name ("kro-7c9f-x2x_uuid") begin with that of a Deployment we know? */
static bool holder_known(const struct single *found, kr_str namespace, kr_str holder)
{
    for (uint32_t i = 0; i < found->n; i++) {
        if (kr_str_eq(found->namespace[i], namespace) && kr_str_starts(holder, found->name[i]))
            return true;
    }
    return false;
}

static bool lease_lives(kr_val lease, int64_t now_s)
{
    kr_val duration = kr_at(lease, "spec.leaseDurationSeconds");
    int64_t renewed_s;
    uint32_t nanos;

    if (duration.kind != KR_INT ||
        !kr_time_parse(kr_at_str(lease, "spec.renewTime"), &renewed_s, &nanos))
        return false;
    return kr_at_str(lease, "spec.holderIdentity").n > 0 && now_s - renewed_s < duration.i;
}

static uint32_t judge_leases(struct check *c, kr_val list, const struct single *found)
{
    struct kube_clock *clock = kube_client_clock(c->d->opts.client);
    int64_t now_s = clock->ops->wall_ms(clock) / 1000;
    uint32_t strangers_n = 0;

    KR_LIST_EACH (it, kr_at(list, "items")) {
        kr_str namespace = kr_at_str(*it, "metadata.namespace");
        kr_str holder = kr_at_str(*it, "spec.holderIdentity");

        if (!lease_lives(*it, now_s) || holder_known(found, namespace, holder))
            continue;
        strangers_n++;
        say(c, found->n + strangers_n > 1 ? REACTOR_FAIL : REACTOR_WARN,
            "\"" KR_FMT "\" holds the lease " KR_FMT "/controller.kro.run", KR_ARG(holder),
            KR_ARG(namespace));
        cure(c, "end that controller: kubectl -n " KR_FMT " get lease controller.kro.run -o yaml",
             KR_ARG(plain(namespace)));
    }
    return strangers_n;
}

static void judge_found(struct check *c, const struct single *found, uint32_t strangers_n)
{
    uint32_t extra = 0; /* the one to end: kro rather than kroc, else the last */

    for (uint32_t i = 0; i < found->n; i++) {
        if (!found->is_kroc[i] || found->is_kroc[extra])
            extra = i;
    }
    if (found->n + strangers_n > 1)
        say(c, REACTOR_FAIL, "%u controllers work on the same definitions", found->n + strangers_n);
    for (uint32_t i = 0; i < found->n && found->n + strangers_n > 1; i++)
        say(c, REACTOR_FAIL, KR_FMT "/" KR_FMT, KR_ARG(found->namespace[i]),
            KR_ARG(found->name[i]));
    if (found->n == 1 && strangers_n == 0 && !found->is_kroc[0])
        say(c, REACTOR_WARN, KR_FMT "/" KR_FMT " (kro) runs; kroc must not start beside it",
            KR_ARG(found->namespace[0]), KR_ARG(found->name[0]));
    if (c->verdict != REACTOR_PASS && found->n > 0)
        cure(c, "kubectl -n " KR_FMT " scale deployment " KR_FMT " --replicas=0",
             KR_ARG(plain(found->namespace[extra])), KR_ARG(plain(found->name[extra])));
}

static void judge_single(struct check *c)
{
    struct single found = {0};
    uint32_t strangers_n = 0;

    for (uint32_t i = 0; i < c->asks_n; i++) {
        if (unheard(c, &c->asks[i]))
            return;
        if (c->asks[i].req.rc < 0) {
            refused(c, &c->asks[i], i == 0 ? "list deployments" : "list leases");
            cure(c, "ask as somebody who may list deployments and leases");
        }
    }
    if (c->asks[0].req.rc == 0)
        judge_deployments(c, c->asks[0].req.object, &found);
    if (c->asks[1].req.rc == 0)
        strangers_n = judge_leases(c, c->asks[1].req.object, &found);
    judge_found(c, &found, strangers_n);
    if (c->finding.n > 0)
        return;
    if (found.n == 1)
        say(c, REACTOR_PASS, "one: " KR_FMT "/" KR_FMT, KR_ARG(found.namespace[0]),
            KR_ARG(found.name[0]));
    else
        say(c, REACTOR_PASS, "none is running");
}

/* --- the whole -------------------------------------------------------------------------------- */

static const struct row table[CHECK_N] = {
#define C(id, start, judge) {#id, start, judge},
    CHECKS(C)
#undef C
};

static void check_start(struct check *c)
{
    struct kube_client *client = c->d->opts.client;
    struct kube_clock *clock = kube_client_clock(client);

    c->row->start(c);
    c->open_n = c->asks_n;
    for (uint32_t i = 0; i < c->asks_n; i++)
        kube_req_start(client, &c->asks[i].req);
    c->limit.fn = on_limit;
    clock->ops->timer_start(clock, &c->limit, REACTOR_CHECK_MS);
}

struct reactor_doctor *reactor_doctor_new(const struct reactor_doctor_opts *opts)
{
    struct reactor_doctor *d = KR_ALLOC(struct reactor_doctor);

    d->opts = *opts;
    d->open_n = CHECK_N;
    for (int i = 0; i < CHECK_N; i++) {
        struct check *c = &d->checks[i];

        c->row = &table[i];
        c->d = d;
        kr_buf_init(&c->finding, TEXT_MAX);
        kr_buf_init(&c->fix, TEXT_MAX);
        check_start(c);
    }
    return d;
}

void reactor_doctor_free(struct reactor_doctor *d)
{
    if (d == NULL)
        return;
    KR_ASSERT(d->open_n == 0);
    for (int i = 0; i < CHECK_N; i++) {
        struct check *c = &d->checks[i];

        for (uint32_t k = 0; k < c->asks_n; k++)
            kube_req_fini(&c->asks[k].req);
        kr_free(c->asks);
        kr_buf_fini(&c->finding);
        kr_buf_fini(&c->fix);
        kr_buf_fini(&c->body);
        kr_arena_fini(&c->arena);
    }
    kr_free(d);
}

/* Without a server the other checks have nothing to tell. */
static bool blind(const struct reactor_doctor *d, const struct check *c)
{
    return c != &d->checks[K01] && c->unheard && d->checks[K01].unheard;
}

static enum reactor_verdict verdict_of(const struct reactor_doctor *d, const struct check *c)
{
    return blind(d, c) ? REACTOR_WARN : c->verdict;
}

static kr_str finding_of(const struct reactor_doctor *d, const struct check *c)
{
    return blind(d, c) ? KR_S("not checked: no API server (K01)") : kr_buf_view(&c->finding);
}

static kr_str fix_of(const struct reactor_doctor *d, const struct check *c)
{
    return blind(d, c) ? KR_S("") : kr_buf_view(&c->fix);
}

enum reactor_verdict reactor_doctor_verdict(const struct reactor_doctor *d)
{
    enum reactor_verdict worst = REACTOR_PASS;

    for (int i = 0; i < CHECK_N; i++) {
        enum reactor_verdict v = verdict_of(d, &d->checks[i]);

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

void reactor_doctor_print(const struct reactor_doctor *d, bool json, struct kr_buf *out)
{
    if (json)
        kr_buf_fmt(out, "{\"verdict\":\"%s\",\"checks\":[", verdicts[reactor_doctor_verdict(d)]);
    for (int i = 0; i < CHECK_N; i++) {
        const struct check *c = &d->checks[i];
        const char *verdict = verdicts[verdict_of(d, c)];

        if (json && i > 0)
            kr_buf_chr(out, ',');
        (json ? add_json : add_text)(out, verdict, c->row->id, finding_of(d, c), fix_of(d, c));
    }
    if (json)
        kr_buf_fmt(out, "]}\n");
}

/* --- the program ------------------------------------------------------------------------------ */

struct args {
    const char *kubeconfig, *context;
    bool json;
};

struct run {
    uv_loop_t loop;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle; /* runs while completions wait, so that the loop does not */
    struct kube_curl *curl;
    struct kube_uv_clock *clock;
    struct kube_client *client;
    struct reactor_doctor *doctor;
    char user_agent[160];
    bool done;
};

static const char usage[] = "usage: kroc doctor [--kubeconfig FILE] [--context NAME] [-o json]\n";

/* Is arg this flag? Then *value gets what follows "=" or the next argument. */
static bool flag(const char *name, int argc, char *const *argv, int *i, const char **value)
{
    const char *arg = argv[*i];
    size_t n = strlen(name);

    if (strncmp(arg, name, n) != 0 || (arg[n] != '\0' && arg[n] != '='))
        return false;
    if (arg[n] == '=')
        *value = arg + n + 1;
    else
        *value = *i + 1 < argc ? argv[++*i] : "";
    return true;
}

/* Returns 0, 1 when help is asked for, KR_E_INPUT. */
static int read_args(struct args *args, int argc, char *const *argv, struct kr_err *err)
{
    for (int i = 0; i < argc; i++) {
        const char *format;

        if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0)
            return 1;
        if (flag("--kubeconfig", argc, argv, &i, &args->kubeconfig) ||
            flag("--context", argc, argv, &i, &args->context))
            continue;
        if (!flag("-o", argc, argv, &i, &format))
            return kr_fail(err, KR_E_INPUT, "unknown argument \"%s\"; %s", argv[i], usage);
        if (strcmp(format, "json") != 0 && strcmp(format, "text") != 0)
            return kr_fail(err, KR_E_INPUT, "-o: \"%s\" is not json or text\n", format);
        args->json = strcmp(format, "json") == 0;
    }
    return 0;
}

static void on_done(void *arg)
{
    ((struct run *)arg)->done = true;
}

static void on_idle(uv_idle_t *handle)
{
}

static void on_wake(void *arg)
{
    uv_idle_start(&((struct run *)arg)->idle, on_idle);
}

static void end_run(struct run *run)
{
    uv_close((uv_handle_t *)&run->prepare, NULL);
    uv_close((uv_handle_t *)&run->check, NULL);
    uv_close((uv_handle_t *)&run->idle, NULL);
    kube_client_free(run->client);
    kube_curl_close(run->curl, NULL, NULL);
    kube_uv_clock_close(run->clock);
}

static void turn(struct run *run)
{
    if (uv_is_closing((uv_handle_t *)&run->idle))
        return;
    uv_idle_stop(&run->idle);
    kube_client_turn(run->client);
    if (run->done && kube_client_busy_n(run->client) == 0)
        end_run(run);
}

static void on_prepare(uv_prepare_t *handle)
{
    turn(KR_OWNER(handle, struct run, prepare));
}

static void on_check(uv_check_t *handle)
{
    turn(KR_OWNER(handle, struct run, check));
}

static void open_run(struct run *run, const struct kube_config *config)
{
    struct kube_client_opts opts = {.user_agent = run->user_agent};

    (void)snprintf(run->user_agent, sizeof(run->user_agent), "kro-doctor/%s", reactor_version);
    uv_loop_init(&run->loop);
    uv_prepare_init(&run->loop, &run->prepare);
    uv_check_init(&run->loop, &run->check);
    uv_idle_init(&run->loop, &run->idle);
    uv_prepare_start(&run->prepare, on_prepare);
    uv_check_start(&run->check, on_check);
    run->curl = kube_curl_new(&run->loop, config);
    run->clock = kube_uv_clock_new(&run->loop);
    run->client =
        kube_client_new(kube_curl_transport(run->curl), kube_uv_clock_door(run->clock), &opts);
    kube_client_on_ready(run->client, on_wake, run);
}

/* The namespace of the controller: our own in a pod, else that of the manifests. */
static const char *home_of(const struct kube_config *config)
{
    bool in_pod = config->context && strcmp(config->context, "in-cluster") == 0;

    return in_pod && config->namespace ? config->namespace : "kro-system";
}

static void load_failed(const struct kr_err *err, bool json, struct kr_buf *out)
{
    kr_str fix = KR_S("mend that file, or name another with --kubeconfig and --context");

    if (json)
        kr_buf_fmt(out, "{\"verdict\":\"FAIL\",\"checks\":[");
    (json ? add_json : add_text)(out, "FAIL", table[K01].id, kr_err_str(err), fix);
    if (json)
        kr_buf_fmt(out, "]}\n");
}

static int examine(const struct args *args, struct kr_buf *out)
{
    struct kube_config_source source = {0};
    KR_AUTO_PTR(kube_config) config = NULL;
    struct kr_err err = KR_ERR_NONE;
    struct run run = {0};
    struct reactor_doctor_opts opts = {.done = on_done, .arg = &run};
    enum reactor_verdict verdict;

    kube_config_source_env(&source);
    source.kubeconfig = args->kubeconfig;
    source.context = args->context;
    if (kube_config_load(&source, &config, &err) < 0) {
        load_failed(&err, args->json, out);
        return REACTOR_FAIL;
    }
    open_run(&run, config);
    opts.client = run.client;
    opts.namespace = home_of(config);
    run.doctor = reactor_doctor_new(&opts);
    uv_run(&run.loop, UV_RUN_DEFAULT);
    KR_ASSERT(uv_loop_close(&run.loop) == 0);
    reactor_doctor_print(run.doctor, args->json, out);
    verdict = reactor_doctor_verdict(run.doctor);
    reactor_doctor_free(run.doctor);
    return (int)verdict;
}

int reactor_doctor_main(int argc, char *const *argv)
{
    KR_AUTO(kr_buf) out = KR_BUF(REACTOR_CHECKS_TEXT_MAX);
    struct kr_err err = KR_ERR_NONE;
    struct args args = {0};
    int rc = read_args(&args, argc, argv, &err);

    if (rc < 0) {
        fprintf(stderr, "kroc doctor: %s", err.text);
        return REACTOR_FAIL;
    }
    if (rc > 0) {
        fputs(usage, stdout);
        return 0;
    }
    rc = examine(&args, &out);
    fwrite(out.s, 1, out.n, stdout);
    return fflush(stdout) == 0 ? rc : REACTOR_FAIL;
}
