/* SPDX-License-Identifier: Apache-2.0 */
/* doctor_install.c - I01-I03, W01, W02, N01: the controller's installation, and what may stop it. */
#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "cel/base/time.h"
#include "graph/graph.h"
#include "reactor/doctor_check.h"
#include "reactor/flags.h"

#include "cel/base/banned.h"

enum { CA_MAX = 256 * 1024, PENDING_S = 60 };

static const char ours[] = "labelSelector=app.kubernetes.io%2Fcomponent%3Dcontroller";

/* --- I01 the image ---------------------------------------------------------------------------- */

enum { PODS_PODS, PODS_SECRET };

void doctor_pods_start(struct doctor_check *c)
{
    kr_val deployment = doctor_controller(c);
    struct doctor_ask *a =
        doctor_get(c, kr_fmt(&c->arena, "/api/v1/namespaces/%s/pods?limit=100&%s",
                             c->d->opts.namespace, ours));

    a->tag = PODS_PODS;
    KR_LIST_EACH (it, kr_at(deployment, "spec.template.spec.imagePullSecrets")) {
        kr_str name = kr_at_str(*it, "name");

        if (kr_str_is(doctor_plain(name), "?"))
            continue;
        a = doctor_meta(c, kr_fmt(&c->arena, "/api/v1/namespaces/%s/secrets/" KR_FMT,
                                  c->d->opts.namespace, KR_ARG(name)));
        if (a == NULL)
            return;
        a->tag = PODS_SECRET;
        a->what = name;
    }
}

/* The command that brings the image onto the node. */
static void cure_image(struct doctor_check *c, kr_str reason, kr_str image)
{
    const char *kind = c->d->opts.kind;

    if (kind != NULL)
        doctor_cure(c, "make image && kind load image-archive build/kroc-image.tar --name %s",
                    kind);
    else if (kr_str_is(reason, "ErrImageNeverPull"))
        doctor_cure(c,
                    "load " KR_FMT
                    " onto the node: kind load image-archive build/kroc-image.tar --name "
                    "CLUSTER, or k3d image import, or minikube image load",
                    KR_ARG(image));
    else
        doctor_cure(c,
                    "push " KR_FMT " to a registry that the node reaches, or give the chart "
                    "image.repository, image.tag and imagePullSecrets",
                    KR_ARG(image));
}

static bool is_image_reason(kr_str reason)
{
    return kr_str_is(reason, "ErrImageNeverPull") || kr_str_is(reason, "ErrImagePull") ||
           kr_str_is(reason, "ImagePullBackOff") || kr_str_is(reason, "InvalidImageName") ||
           kr_str_is(reason, "ImageInspectError");
}

static bool wrong_machine(kr_val status)
{
    return kr_str_find(kr_at_str(status, "state.waiting.message"), KR_S("exec format error")) >=
               0 ||
           kr_str_find(kr_at_str(status, "state.terminated.message"), KR_S("exec format error")) >=
               0 ||
           kr_str_find(kr_at_str(status, "lastState.terminated.message"),
                       KR_S("exec format error")) >= 0;
}

static void judge_container(struct doctor_check *c, kr_str pod, kr_val status)
{
    kr_str reason = kr_at_str(status, "state.waiting.reason");
    kr_str image = kr_at_str(status, "image");

    if (is_image_reason(reason)) {
        doctor_name(c, REACTOR_FAIL, "pod " KR_FMT " has no image " KR_FMT ": " KR_FMT, KR_ARG(pod),
                    KR_ARG(image), KR_ARG(reason));
        cure_image(c, reason, image);
    } else if (wrong_machine(status)) {
        doctor_name(c, REACTOR_FAIL,
                    "pod " KR_FMT ": the image " KR_FMT " is for another architecture", KR_ARG(pod),
                    KR_ARG(image));
        doctor_cure(
            c, "kubectl get nodes -L kubernetes.io/arch; build the image for it: docs/deploy.md");
    } else if (kr_str_is(reason, "CrashLoopBackOff")) {
        doctor_name(c, REACTOR_FAIL, "pod " KR_FMT " starts and ends again and again", KR_ARG(pod));
        doctor_cure(c, "kubectl -n %s logs " KR_FMT " --previous", c->d->opts.namespace,
                    KR_ARG(doctor_plain(pod)));
    } else if (reason.n > 0 && !kr_str_is(reason, "ContainerCreating") &&
               !kr_str_is(reason, "PodInitializing")) {
        doctor_name(c, REACTOR_FAIL, "pod " KR_FMT " waits: " KR_FMT " " KR_FMT, KR_ARG(pod),
                    KR_ARG(reason), KR_ARG(kr_at_str(status, "state.waiting.message")));
        doctor_cure(c, "kubectl -n %s describe pod " KR_FMT, c->d->opts.namespace,
                    KR_ARG(doctor_plain(pod)));
    }
}

/* Not placed on a node: the scheduler's words. */
static void judge_place(struct doctor_check *c, kr_val pod)
{
    KR_LIST_EACH (it, kr_at(pod, "status.conditions")) {
        if (!kr_is_str(kr_at(*it, "type"), KR_S("PodScheduled")) ||
            !kr_is_str(kr_at(*it, "reason"), KR_S("Unschedulable")))
            continue;
        doctor_name(c, REACTOR_FAIL, "pod " KR_FMT " is not placed: " KR_FMT,
                    KR_ARG(kr_at_str(pod, "metadata.name")), KR_ARG(kr_at_str(*it, "message")));
        doctor_cure(c, "kubectl describe nodes");
    }
}

void doctor_pods_judge(struct doctor_check *c)
{
    uint32_t n = 0;

    DOCTOR_EACH(a, c)
    {
        if (doctor_unheard(c, a))
            return;
        if (a->tag == PODS_SECRET && a->req.status == 404) {
            doctor_name(c, REACTOR_FAIL, "the pull secret " KR_FMT " does not exist",
                        KR_ARG(a->what));
            doctor_cure(c,
                        "kubectl -n %s create secret docker-registry " KR_FMT
                        " --docker-server=... --docker-username=... --docker-password=...",
                        c->d->opts.namespace, KR_ARG(a->what));
        }
        if (a->tag == PODS_PODS && a->req.rc < 0 && a->req.status != 403)
            doctor_refused(c, &a->req, "list pods");
        KR_LIST_EACH (pod, a->tag == PODS_PODS ? kr_at(a->req.object, "items") : KR_V_NONE) {
            n++;
            judge_place(c, *pod);
            KR_LIST_EACH (it, kr_at(*pod, "status.containerStatuses"))
                judge_container(c, kr_at_str(*pod, "metadata.name"), *it);
        }
    }
    doctor_named(c);
    if (c->finding.n > 0)
        return;
    if (doctor_first(c)->req.status == 403)
        doctor_say(c, REACTOR_PASS, "not looked at: we may not list pods");
    else
        doctor_say(c, REACTOR_PASS,
                   n ? "%u pods have their image" : "no pod of a controller is there yet", n);
}

/* --- I02 the version -------------------------------------------------------------------------- */

void doctor_stamped_judge(struct doctor_check *c)
{
    kr_str version = kr_str_c(c->d->opts.version);
    bool dirty = kr_str_find(version, KR_S("dirty")) >= 0;

    if (!dirty && version.n > 0 && kr_str_find(version, KR_S("devel")) < 0) {
        doctor_say(c, REACTOR_PASS, KR_FMT, KR_ARG(version));
        return;
    }
    doctor_say(
        c, REACTOR_WARN, "this is " KR_FMT ": %s", KR_ARG(version.n ? version : KR_S("unknown")),
        dirty ? "built from sources that no commit has" : "nobody can say what it was built from");
    doctor_cure(c, "build from a commit: git status; make");
}

/* --- I03 only one controller ------------------------------------------------------------------ */

/* What runs as a controller of definitions, as far as Deployments (labels of kro's chart and of our
 * manifests) and Leases show. One that somebody started by hand without a Lease is not seen. */
struct single {
    kr_str namespace[DOCTOR_NAMED_MAX], name[DOCTOR_NAMED_MAX];
    bool is_kroc[DOCTOR_NAMED_MAX];
    uint32_t n;
};

void doctor_leases_start(struct doctor_check *c)
{
    doctor_get(c,
               KR_S("/apis/coordination.k8s.io/v1/leases?limit=500&fieldSelector=metadata.name%3D"
                    "controller.kro.run"));
    doctor_get(c, KR_S("/apis/coordination.k8s.io/v1/leases?limit=500&labelSelector="
                       "kroc.run%2Fshard"));
}

/* --leader-elect, or --shards, which brings it. */
static bool elects(kr_val deployment)
{
    KR_LIST_EACH (container, kr_at(deployment, "spec.template.spec.containers")) {
        KR_LIST_EACH (it, kr_at(*container, "args")) {
            kr_str value = kr_text(*it), flag = kr_str_cut(&value, '=');

            if ((kr_str_ends(flag, KR_S("-leader-elect")) && !kr_str_is(value, "false")) ||
                (kr_str_ends(flag, KR_S("-shards")) && !kr_str_is(value, "0")))
                return true;
        }
    }
    return false;
}

/* By the label of our manifests; or by the container, which has the chart's name whatever nameOverride says. */
static bool is_ours(kr_val deployment)
{
    if (kr_is_str(doctor_label(deployment, "app.kubernetes.io/name"), KR_S("kroc")))
        return true;
    KR_LIST_EACH (it, kr_at(deployment, "spec.template.spec.containers")) {
        if (kr_is_str(kr_at(*it, "name"), KR_S("kroc")))
            return true;
    }
    return false;
}

static void judge_deployments(struct doctor_check *c, kr_val items, struct single *found)
{
    KR_LIST_EACH (it, items) {
        kr_val replicas = kr_at(*it, "spec.replicas");
        kr_str namespace = kr_at_str(*it, "metadata.namespace");
        kr_str name = kr_at_str(*it, "metadata.name");
        bool is_kroc = is_ours(*it);

        if (replicas.kind == KR_INT && replicas.i == 0)
            continue;
        if (is_kroc && replicas.kind == KR_INT && replicas.i > 1 && !elects(*it)) {
            doctor_say(c, REACTOR_FAIL,
                       KR_FMT "/" KR_FMT " has %" PRId64 " replicas and no --leader-elect",
                       KR_ARG(namespace), KR_ARG(name), replicas.i);
            doctor_cure(c,
                        "kubectl -n " KR_FMT " scale deployment " KR_FMT
                        " --replicas=1, or use deploy/kustomize/ha",
                        KR_ARG(doctor_plain(namespace)), KR_ARG(doctor_plain(name)));
        }
        if (found->n < DOCTOR_NAMED_MAX) {
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

static uint32_t judge_leases(struct doctor_check *c, kr_val items, const struct single *found)
{
    uint32_t strangers_n = 0;

    KR_LIST_EACH (it, items) {
        kr_str namespace = kr_at_str(*it, "metadata.namespace");
        kr_str holder = kr_at_str(*it, "spec.holderIdentity");

        if (!lease_lives(*it, doctor_wall_s(c)) || holder_known(found, namespace, holder))
            continue;
        strangers_n++;
        doctor_say(c, found->n + strangers_n > 1 ? REACTOR_FAIL : REACTOR_WARN,
                   "\"" KR_FMT "\" holds the lease " KR_FMT "/controller.kro.run", KR_ARG(holder),
                   KR_ARG(namespace));
        doctor_cure(
            c, "end that controller: kubectl -n " KR_FMT " get lease controller.kro.run -o yaml",
            KR_ARG(doctor_plain(namespace)));
    }
    return strangers_n;
}

/* Longer than any of ours: whoever wants it waits so long when its holder is gone. */
static void judge_lengths(struct doctor_check *c, kr_val items)
{
    KR_LIST_EACH (it, items) {
        kr_val duration = kr_at(*it, "spec.leaseDurationSeconds");
        kr_str namespace = kr_at_str(*it, "metadata.namespace");
        kr_str name = kr_at_str(*it, "metadata.name");

        if (duration.kind != KR_INT || duration.i <= REACTOR_LEASE_MAX_MS / 1000 ||
            kr_at_str(*it, "spec.holderIdentity").n == 0)
            continue;
        doctor_name(c, REACTOR_WARN,
                    "the lease " KR_FMT "/" KR_FMT " lasts %" PRId64
                    " s: without its holder nobody works for so long",
                    KR_ARG(namespace), KR_ARG(name), duration.i);
        doctor_cure(c,
                    "once its holder is gone: kubectl -n " KR_FMT " patch lease " KR_FMT
                    " --type merge -p '{\"spec\":{\"holderIdentity\":\"\"}}'",
                    KR_ARG(doctor_plain(namespace)), KR_ARG(doctor_plain(name)));
    }
}

static void judge_found(struct doctor_check *c, const struct single *found, uint32_t strangers_n)
{
    uint32_t extra = 0; /* the one to end: kro rather than kroc, else the last */

    for (uint32_t i = 0; i < found->n; i++) {
        if (!found->is_kroc[i] || found->is_kroc[extra])
            extra = i;
    }
    if (found->n + strangers_n > 1)
        doctor_say(c, REACTOR_FAIL, "%u controllers work on the same definitions",
                   found->n + strangers_n);
    for (uint32_t i = 0; i < found->n && found->n + strangers_n > 1; i++)
        doctor_say(c, REACTOR_FAIL, KR_FMT "/" KR_FMT, KR_ARG(found->namespace[i]),
                   KR_ARG(found->name[i]));
    if (found->n == 1 && strangers_n == 0 && !found->is_kroc[0])
        doctor_say(c, REACTOR_WARN, KR_FMT "/" KR_FMT " (kro) runs; kroc must not start beside it",
                   KR_ARG(found->namespace[0]), KR_ARG(found->name[0]));
    if (c->verdict != REACTOR_PASS && found->n > 0)
        doctor_cure(c, "kubectl -n " KR_FMT " scale deployment " KR_FMT " --replicas=0",
                    KR_ARG(doctor_plain(found->namespace[extra])),
                    KR_ARG(doctor_plain(found->name[extra])));
}

void doctor_single_judge(struct doctor_check *c)
{
    struct doctor_ask *a = doctor_first(c);
    struct single found = {0};
    uint32_t strangers_n = 0;
    kr_val items;

    if (doctor_items(c, DOCTOR_F_DEPLOYMENTS, &items))
        judge_deployments(c, items, &found);
    else if (c->d->opts.controller && !c->unheard) {
        /* Its rights do not reach so far: no finding of the controller's. */
        kr_buf_reset(&c->finding);
        c->verdict = REACTOR_PASS;
    }
    if (doctor_ok(c, a, "list leases"))
        strangers_n =
            c->d->opts.controller ? 0 : judge_leases(c, kr_at(a->req.object, "items"), &found);
    if (c->unheard)
        return;
    judge_found(c, &found, strangers_n);
    DOCTOR_EACH(leases, c)
    judge_lengths(c, kr_at(leases->req.object, "items"));
    doctor_named(c);
    if (c->finding.n > 0)
        return;
    if (found.n == 1)
        doctor_say(c, REACTOR_PASS, "one: " KR_FMT "/" KR_FMT, KR_ARG(found.namespace[0]),
                   KR_ARG(found.name[0]));
    else
        doctor_say(c, REACTOR_PASS, "no other is seen");
}

/* --- W01 webhooks ----------------------------------------------------------------------------- */

static const char *const hook_types[] = {"validatingwebhookconfigurations",
                                         "mutatingwebhookconfigurations"};

struct hook { /* lives in the check's arena; about of the question for its endpoints */
    kr_str config, name, service, namespace;
    const char *type;
};

void doctor_hooks_start(struct doctor_check *c)
{
    for (size_t i = 0; i < KR_N(hook_types); i++) {
        struct doctor_ask *a =
            doctor_get(c, kr_fmt(&c->arena, "/apis/admissionregistration.k8s.io/v1/%s?limit=500",
                                 hook_types[i]));

        a->verb = kr_str_c(hook_types[i]);
    }
}

static bool has(kr_val list, kr_str word)
{
    KR_LIST_EACH (it, list) {
        if (kr_is_str(*it, word) || kr_is_str(*it, KR_S("*")))
            return true;
    }
    return false;
}

/* Would writes of ours go through it: our own kinds, CRDs, and what definitions hold? */
static bool concerns(struct doctor_check *c, kr_val hook)
{
    KR_LIST_EACH (rule, kr_at(hook, "rules")) {
        kr_val groups = kr_at(*rule, "apiGroups");

        if (has(groups, KR_S("kro.run")) || has(groups, KR_S("internal.kro.run")) ||
            has(groups, KR_S("apiextensions.k8s.io")))
            return true;
        KR_LIST_EACH (rgd, kr_at(c->d->facts[DOCTOR_F_RGDS].req.object, "items")) {
            const kr_gvk *gvks;
            uint32_t n;

            graph_kinds_of(kr_at(*rgd, "spec"), &c->arena, &gvks, &n);
            for (uint32_t i = 0; i < n; i++) {
                if (has(groups, gvks[i].group))
                    return true;
            }
        }
    }
    return false;
}

/* Has the last certificate of a caBundle (base64 of PEM) expired? */
static bool expired(struct doctor_check *c, kr_str bundle)
{
    int64_t now_s = doctor_wall_s(c);
    time_t now = (time_t)now_s;
    X509 *cert = NULL;
    bool over = false;
    unsigned char *pem;
    BIO *bio;
    int n;

    if (bundle.n == 0 || bundle.n > CA_MAX)
        return false;
    pem = kr_arena_alloc(&c->arena, bundle.n);
    n = EVP_DecodeBlock(pem, (const unsigned char *)bundle.s, (int)bundle.n);
    bio = n > 0 ? BIO_new_mem_buf(pem, n) : NULL;
    while (bio != NULL && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        over = X509_cmp_time(X509_get0_notAfter(cert), &now) < 0;
        X509_free(cert);
    }
    BIO_free(bio);
    return over;
}

static void ask_endpoints(struct doctor_check *c, const struct hook *h)
{
    struct doctor_ask *a = doctor_get(
        c,
        kr_fmt(&c->arena,
               "/apis/discovery.k8s.io/v1/namespaces/" KR_FMT
               "/endpointslices?limit=100&labelSelector=kubernetes.io%%2Fservice-name%%3D" KR_FMT,
               KR_ARG(h->namespace), KR_ARG(h->service)));

    if (a != NULL)
        a->about = h;
}

static void judge_hook(struct doctor_check *c, struct doctor_ask *a, kr_val config, kr_val hook)
{
    struct hook *h = kr_new(&c->arena, struct hook);

    h->type = kr_cstr(&c->arena, a->verb);
    h->config = kr_at_str(config, "metadata.name");
    h->name = kr_at_str(hook, "name");
    h->service = doctor_plain(kr_at_str(hook, "clientConfig.service.name"));
    h->namespace = doctor_plain(kr_at_str(hook, "clientConfig.service.namespace"));
    if (kr_is_str(kr_at(hook, "failurePolicy"), KR_S("Ignore")) || !concerns(c, hook))
        return;
    if (expired(c, kr_at_str(hook, "clientConfig.caBundle"))) {
        doctor_name(c, REACTOR_FAIL, "the webhook " KR_FMT " has a CA that has expired",
                    KR_ARG(h->name));
        doctor_cure(c, "renew its certificates, or: kubectl delete %s " KR_FMT, h->type,
                    KR_ARG(doctor_plain(h->config)));
    }
    if (!kr_str_is(h->service, "?"))
        ask_endpoints(c, h);
}

static bool has_endpoint(kr_val slices)
{
    KR_LIST_EACH (slice, kr_at(slices, "items")) {
        KR_LIST_EACH (it, kr_at(*slice, "endpoints")) {
            kr_val ready = kr_at(*it, "conditions.ready");

            if (ready.kind == KR_NONE || kr_is_true(ready))
                return true;
        }
    }
    return false;
}

static void judge_endpoints(struct doctor_check *c)
{
    DOCTOR_EACH(a, c)
    {
        const struct hook *h = a->about;

        if (h == NULL || a->req.rc != 0 || has_endpoint(a->req.object))
            continue;
        doctor_name(c, REACTOR_FAIL,
                    "the webhook " KR_FMT " must answer, and its service " KR_FMT "/" KR_FMT
                    " has no endpoint",
                    KR_ARG(h->name), KR_ARG(h->namespace), KR_ARG(h->service));
        doctor_cure(c,
                    "start what serves it (kubectl -n " KR_FMT
                    " get pods), or: kubectl delete %s " KR_FMT,
                    KR_ARG(h->namespace), h->type, KR_ARG(doctor_plain(h->config)));
    }
}

void doctor_hooks_judge(struct doctor_check *c)
{
    uint32_t n = 0;

    if (c->stage++ > 0) {
        judge_endpoints(c);
        doctor_named(c);
        return;
    }
    for (struct doctor_ask *a = doctor_first(c); a != NULL && a->about == NULL;
         a = doctor_next(c, a)) {
        if (doctor_unheard(c, a))
            return;
        if (a->req.status == 403) {
            doctor_say(c, REACTOR_PASS, "not looked at: we may not list webhooks");
            return;
        }
        KR_LIST_EACH (config, kr_at(a->req.object, "items")) {
            KR_LIST_EACH (hook, kr_at(*config, "webhooks")) {
                n++;
                judge_hook(c, a, *config, *hook);
            }
        }
    }
    if (c->open_n == 0 && c->finding.n == 0)
        doctor_say(c, REACTOR_PASS, "%u webhooks, none of them in our way", n);
}

/* --- W02 quota, limit ranges, pod security ---------------------------------------------------- */

enum { LIMITS_NAMESPACE, LIMITS_QUOTAS, LIMITS_RANGES };

void doctor_limits_start(struct doctor_check *c)
{
    static const char *const what[] = {"", "/resourcequotas?limit=100", "/limitranges?limit=100"};

    for (uint32_t i = 0; i < KR_N(what); i++) {
        struct doctor_ask *a = doctor_get(
            c, kr_fmt(&c->arena, "/api/v1/namespaces/%s%s", c->d->opts.namespace, what[i]));

        a->tag = i;
    }
}

/* "512Mi", "32", "50m": what is enough to compare memory and counts. -1: not readable. */
static double quantity(kr_str text)
{
    static const struct {
        const char *suffix;
        double factor;
    } units[] = {{"Ki", 1024.0}, {"Mi", 1048576.0}, {"Gi", 1073741824.0}, {"Ti", 1099511627776.0},
                 {"m", 0.001},   {"k", 1e3},        {"M", 1e6},           {"G", 1e9}};
    double factor = 1, value = 0, place = 0;

    for (size_t i = 0; i < KR_N(units); i++) {
        if (kr_str_ends(text, kr_str_c(units[i].suffix))) {
            factor = units[i].factor;
            text.n -= strlen(units[i].suffix);
            break;
        }
    }
    for (size_t i = 0; i < text.n; i++) {
        if (text.s[i] == '.' && place == 0) {
            place = 1;
            continue;
        }
        if (text.s[i] < '0' || text.s[i] > '9')
            return -1;
        value = value * 10 + (text.s[i] - '0');
        place *= 10;
    }
    return text.n ? value / (place > 1 ? place : 1) * factor : -1;
}

static double at_quantity(kr_val map, const char *key)
{
    kr_val v = kr_get(map, kr_str_c(key));

    return v.kind == KR_INT ? (double)v.i : quantity(kr_text(v));
}

/* What the pod of our manifests asks for; whoever gives it other resources knows his quota. */
static void judge_amounts(struct doctor_check *c, kr_val hard, kr_val used, kr_str name)
{
    static const struct {
        const char *key;
        double need, unit;
        const char *unit_name;
    } rows[] = {{"memory", 32 << 20, 1 << 20, " MiB"},
                {"requests.memory", 32 << 20, 1 << 20, " MiB"},
                {"limits.memory", 512 << 20, 1 << 20, " MiB"},
                {"cpu", 0.05, 0.001, "m"},
                {"requests.cpu", 0.05, 0.001, "m"}};

    for (size_t i = 0; i < KR_N(rows); i++) {
        double most = at_quantity(hard, rows[i].key), now = at_quantity(used, rows[i].key);
        double left = most - (now < 0 ? 0 : now);

        if (most < 0 || left >= rows[i].need)
            continue;
        doctor_say(c, REACTOR_FAIL,
                   "the quota " KR_FMT " leaves %.0f%s for %s, and the shipped pod asks for %.0f%s",
                   KR_ARG(name), left < 0 ? 0 : left / rows[i].unit, rows[i].unit_name, rows[i].key,
                   rows[i].need / rows[i].unit, rows[i].unit_name);
        doctor_cure(c,
                    "kubectl -n %s edit resourcequota " KR_FMT
                    ", or give the chart smaller deployment.resources",
                    c->d->opts.namespace, KR_ARG(doctor_plain(name)));
    }
}

static void judge_quota(struct doctor_check *c, kr_val quota)
{
    static const char *const counted[] = {"pods", "count/pods"};
    kr_val hard = kr_at(quota, "status.hard"), used = kr_at(quota, "status.used");
    kr_str name = kr_at_str(quota, "metadata.name");

    hard = hard.kind == KR_MAP ? hard : kr_at(quota, "spec.hard");
    for (size_t i = 0; i < KR_N(counted); i++) {
        double most = at_quantity(hard, counted[i]), now = at_quantity(used, counted[i]);

        if (most < 0 || (now < 0 ? 0 : now) < most)
            continue;
        doctor_say(c, REACTOR_FAIL, "the quota " KR_FMT " lets no further pod into %s",
                   KR_ARG(name), c->d->opts.namespace);
        doctor_cure(c, "kubectl -n %s edit resourcequota " KR_FMT, c->d->opts.namespace,
                    KR_ARG(doctor_plain(name)));
    }
    judge_amounts(c, hard, used, name);
    if (kr_get(hard, KR_S("limits.cpu")).kind != KR_NONE) {
        doctor_say(c, REACTOR_WARN,
                   "the quota " KR_FMT " asks for a CPU limit, and the shipped pod has none",
                   KR_ARG(name));
        doctor_cure(
            c,
            "set deployment.resources.limits.cpu of the chart, or add a LimitRange with a default");
    }
}

static void judge_range(struct doctor_check *c, kr_val range)
{
    enum { NEEDED = 64 << 20 };
    kr_str name = kr_at_str(range, "metadata.name");

    KR_LIST_EACH (it, kr_at(range, "spec.limits")) {
        double most = at_quantity(kr_at(*it, "max"), "memory");

        if (most < 0 || most >= NEEDED ||
            kr_is_str(kr_at(*it, "type"), KR_S("PersistentVolumeClaim")))
            continue;
        doctor_say(c, REACTOR_FAIL, "the limit range " KR_FMT " allows less than 64 MiB of memory",
                   KR_ARG(name));
        doctor_cure(c, "kubectl -n %s edit limitrange " KR_FMT, c->d->opts.namespace,
                    KR_ARG(doctor_plain(name)));
    }
}

void doctor_limits_judge(struct doctor_check *c)
{
    DOCTOR_EACH(a, c)
    {
        if (doctor_unheard(c, a))
            return;
        if (a->req.status == 403) {
            doctor_say(c, REACTOR_PASS, "not looked at: we may not list quotas");
            return;
        }
        if (a->tag == LIMITS_NAMESPACE && a->req.status == 404 && !c->d->opts.before_install)
            doctor_say(c, REACTOR_PASS, "there is no namespace %s yet", c->d->opts.namespace);
        if (a->tag == LIMITS_NAMESPACE &&
            kr_at_str(a->req.object, "metadata.deletionTimestamp").n > 0) {
            doctor_say(c, REACTOR_FAIL, "the namespace %s is being deleted", c->d->opts.namespace);
            doctor_cure(c, "wait, then: kubectl create namespace %s", c->d->opts.namespace);
        }
        KR_LIST_EACH (it, kr_at(a->req.object, "items"))
            (a->tag == LIMITS_QUOTAS ? judge_quota : judge_range)(c, *it);
    }
    if (c->finding.n == 0)
        doctor_say(c, REACTOR_PASS, "nothing in %s keeps the pod out", c->d->opts.namespace);
}

/* --- N01 network policies --------------------------------------------------------------------- */

void doctor_policies_start(struct doctor_check *c)
{
    doctor_get(c, kr_fmt(&c->arena,
                         "/apis/networking.k8s.io/v1/namespaces/%s/networkpolicies?limit=500",
                         c->d->opts.namespace));
}

/* Does its selector meet the labels of the controller's pods? matchExpressions are taken as met. */
static bool selects_us(kr_val policy)
{
    KR_MAP_EACH (it, kr_at(policy, "spec.podSelector.matchLabels")) {
        bool name = kr_is_str(it->key, KR_S("app.kubernetes.io/name"));
        bool component = kr_is_str(it->key, KR_S("app.kubernetes.io/component"));

        if (!(name && kr_is_str(it->val, KR_S("kroc"))) &&
            !(component && kr_is_str(it->val, KR_S("controller"))) &&
            !kr_is_str(it->key, KR_S("app.kubernetes.io/instance")))
            return false;
    }
    return true;
}

static bool directs(kr_val policy, kr_str direction)
{
    kr_val types = kr_at(policy, "spec.policyTypes");

    return has(types, direction) || (types.kind != KR_LIST && kr_str_is(direction, "Ingress"));
}

void doctor_policies_judge(struct doctor_check *c)
{
    struct doctor_ask *a = doctor_first(c);
    kr_val items = kr_at(a->req.object, "items");
    uint32_t closed_n[2] = {0}, open_n[2] = {0};
    static const char *const ways[] = {"ingress", "egress"};

    if (doctor_unheard(c, a))
        return;
    if (a->req.status == 403) {
        doctor_say(c, REACTOR_PASS, "not looked at: we may not list network policies");
        return;
    }
    KR_LIST_EACH (it, items) {
        if (!selects_us(*it))
            continue;
        for (int i = 0; i < 2; i++) {
            if (directs(*it, i ? KR_S("Egress") : KR_S("Ingress")))
                (kr_at(*it, i ? "spec.egress" : "spec.ingress").n > 0 ? open_n : closed_n)[i]++;
        }
    }
    for (int i = 0; i < 2; i++) { /* rules add up: one that opens is enough */
        if (closed_n[i] == 0 || open_n[i] > 0)
            continue;
        doctor_say(c, REACTOR_WARN, "a NetworkPolicy in %s allows the controller no %s%s",
                   c->d->opts.namespace, ways[i],
                   i ? ": it does not reach the API server"
                     : ": probes and metrics may not get through");
        doctor_cure(c,
                    "set networkPolicy.enabled=true of the chart, or allow it: kubectl -n %s get "
                    "networkpolicies",
                    c->d->opts.namespace);
    }
    if (c->finding.n == 0)
        doctor_say(c, REACTOR_PASS, "%u network policies, none shuts the controller in", items.n);
}
