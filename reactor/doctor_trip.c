/* SPDX-License-Identifier: Apache-2.0 */
/* doctor_trip.c - D03: a small definition and an instance of it, made, awaited, and removed again.
 *
 *   namespace -> definition -> ready? -> instance -> active? -> delete each -> gone?
 *        \            \          \          \            \              \
 *         '------------'----------'----------'------------'--> CLEAN: what is left, by force
 *
 * It has a namespace, a kind and names of its own with a random number in them, so two doctors do not
 * meet. Whatever happens, also when it is cancelled, all it made is deleted: where no controller takes
 * the finalizers off, it does.
 */
#include <inttypes.h>

#include "cel/base/json.h"
#include "reactor/doctor_check.h"

#include "cel/base/banned.h"

enum { POLL_MS = 200, SLOW_MS = 5000 };

enum stage {
    T_SPACE,
    T_RGD,
    T_RGD_READY,
    T_INST,
    T_INST_READY,
    T_INST_DELETE,
    T_INST_GONE,
    T_RGD_DELETE,
    T_RGD_GONE,
    T_CRD_DELETE, /* stays with its definition gone, unless --allow-crd-deletion */
    T_CRD_GONE,
    T_CLEAN_INST,
    T_CLEAN_RGD,
    T_CLEAN_CRD,
    T_OVER
};

/* What is wrong where a stage waits in vain. */
static const char *const waits[T_OVER] = {
    [T_RGD_READY] = "the definition does not become ready",
    [T_INST_READY] = "the instance does not become ACTIVE",
    [T_INST_GONE] = "the instance is not deleted",
    [T_RGD_GONE] = "the definition is not deleted",
    [T_CRD_GONE] = "its CRD is not deleted",
};

struct trip {
    kr_str name, kind,
        plural; /* "kroc-doctor-1a2b3c4d", "KrocDoctor1a2b3c4d", "krocdoctor1a2b3c4ds" */
    kr_str rgd_path, inst_path, crd_path, space_path;
    kr_val space, rgd, inst;
    uint64_t begun_ms, ready_ms;
    bool polling; /* the answer that is awaited is of a poll */
    bool failed;
};

/* --- what it makes ---------------------------------------------------------------------------- */

static kr_val json(struct doctor_check *c, kr_str text)
{
    kr_val v = KR_V_NONE;

    KR_ASSERT(kr_json_parse(&c->arena, text, &v, NULL) == 0); /* our own text */
    return v;
}

static struct trip *trip_new(struct doctor_check *c)
{
    struct kr_arena *a = &c->arena;
    struct kube_clock *clock = doctor_clock(c);
    struct trip *t = kr_new(a, struct trip);
    kr_str id = kr_fmt(a, "%08" PRIx64, clock->ops->random(clock) & 0xffffffff);
    kr_str crd;

    t->name = kr_fmt(a, "kroc-doctor-" KR_FMT, KR_ARG(id));
    t->kind = kr_fmt(a, "KrocDoctor" KR_FMT, KR_ARG(id));
    t->space = json(
        c, kr_fmt(a,
                  "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"" KR_FMT
                  "\"}}",
                  KR_ARG(t->name)));
    t->rgd = json(
        c, kr_fmt(a,
                  "{\"apiVersion\":\"kro.run/v1alpha1\",\"kind\":\"ResourceGraphDefinition\","
                  "\"metadata\":{\"name\":\"" KR_FMT "\"},\"spec\":{\"schema\":{\"apiVersion\":"
                  "\"v1alpha1\",\"kind\":\"" KR_FMT "\",\"spec\":{\"word\":\"string\"}},"
                  "\"resources\":[{\"id\":\"echo\",\"template\":{\"apiVersion\":\"v1\",\"kind\":"
                  "\"ConfigMap\",\"metadata\":{\"name\":\"" KR_FMT
                  "\"},\"data\":{\"word\":\"${schema.spec.word}\"}}}]}}",
                  KR_ARG(t->name), KR_ARG(t->kind), KR_ARG(t->name)));
    t->inst = json(c, kr_fmt(a,
                             "{\"apiVersion\":\"kro.run/v1alpha1\",\"kind\":\"" KR_FMT
                             "\",\"metadata\":{\"name\":\"" KR_FMT "\",\"namespace\":\"" KR_FMT
                             "\"},\"spec\":{\"word\":\"hello\"}}",
                             KR_ARG(t->kind), KR_ARG(t->name), KR_ARG(t->name)));
    crd = doctor_crd_name(a, t->rgd);
    t->plural = kr_str_sub(crd, 0, crd.n - strlen(".kro.run"));
    t->space_path = kr_fmt(a, "/api/v1/namespaces/" KR_FMT, KR_ARG(t->name));
    t->rgd_path =
        kr_fmt(a, "/apis/kro.run/v1alpha1/resourcegraphdefinitions/" KR_FMT, KR_ARG(t->name));
    t->crd_path =
        kr_fmt(a, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/" KR_FMT, KR_ARG(crd));
    t->inst_path = kr_fmt(a, "/apis/kro.run/v1alpha1/namespaces/" KR_FMT "/" KR_FMT "/" KR_FMT,
                          KR_ARG(t->name), KR_ARG(t->plural), KR_ARG(t->name));
    return t;
}

/* --- questions -------------------------------------------------------------------------------- */

static void send(struct doctor_check *c, enum kube_verb verb, kr_str path, kr_val body)
{
    struct doctor_ask *a = doctor_ask(c);

    if (a == NULL)
        return;
    if (c->cleaning) /* three rounds, and some room */
        a->req.timeout_ms = REACTOR_CLEAN_MS / 4;
    a->req.verb = verb;
    a->req.path = path;
    if (body.kind != KR_NONE)
        KR_ASSERT(kube_req_set_body(&a->req, body, NULL) == 0);
}

static kr_str folder(kr_str path)
{
    return kr_str_sub(path, 0, (size_t)kr_str_rchr(path, '/'));
}

static void create(struct doctor_check *c, kr_str path, kr_val body)
{
    send(c, KUBE_CREATE, folder(path), body);
}

static void unfinalize(struct doctor_check *c, kr_str path)
{
    send(c, KUBE_MERGE_PATCH, path, json(c, KR_S("{\"metadata\":{\"finalizers\":null}}")));
}

static struct doctor_ask *last(struct doctor_check *c)
{
    return c->asks_n ? KR_OWNER(c->asks.prev, struct doctor_ask, link) : NULL;
}

/* --- moves ------------------------------------------------------------------------------------ */

static void step(struct doctor_check *c);

static void go(struct doctor_check *c, enum stage to)
{
    struct trip *t = c->state;

    c->stage = (int)to;
    c->cleaning = to >= T_CLEAN_INST;
    t->polling = false;
    step(c);
}

static void fail(struct doctor_check *c, const char *what, const char *why)
{
    struct trip *t = c->state;

    if (!t->failed)
        doctor_say(c, REACTOR_FAIL, "%s: %s", what, why);
    t->failed = true;
    doctor_cure(c, "kubectl -n %s logs deployment/kroc; kubectl -n %s get pods",
                c->d->opts.namespace, c->d->opts.namespace);
    go(c, T_CLEAN_INST);
}

/* The words of the first condition that is not True. */
static const char *complaint(struct doctor_check *c, kr_val object)
{
    KR_LIST_EACH (it, kr_at(object, "status.conditions")) {
        if (!kr_is_str(kr_at(*it, "status"), KR_S("True")))
            return kr_fmt(&c->arena, KR_FMT ": " KR_FMT, KR_ARG(kr_at_str(*it, "type")),
                          KR_ARG(kr_at_str(*it, "message")))
                .s;
    }
    return kr_at(object, "status").kind == KR_NONE ? "it has no status: no controller looks at it"
                                                   : "no reason is given";
}

/* The answer to a poll: arrived at? */
static bool arrived(struct doctor_check *c, const struct doctor_ask *a)
{
    switch ((enum stage)c->stage) {
    case T_RGD_READY:
        return kr_is_str(kr_at(a->req.object, "status.state"), KR_S("Active"));
    case T_INST_READY:
        return kr_is_str(kr_at(a->req.object, "status.state"), KR_S("ACTIVE"));
    default:
        return a->req.status == 404;
    }
}

/* Asks again and again; the limit ends it. */
static void poll(struct doctor_check *c, kr_str path, enum stage next)
{
    struct trip *t = c->state;
    struct doctor_ask *a = last(c);

    if (!t->polling) { /* after the pause, or first */
        t->polling = true;
        send(c, KUBE_GET, path, KR_V_NONE);
        return;
    }
    t->polling = false;
    if (arrived(c, a)) {
        if (c->stage == T_INST_READY)
            t->ready_ms = kube_now_ms(doctor_clock(c));
        go(c, next);
    } else {
        doctor_pause(c, POLL_MS);
    }
}

/* The answer to a write that the way depends on. */
static void after(struct doctor_check *c, const char *what, enum stage next)
{
    struct trip *t = c->state;
    struct doctor_ask *a = last(c);

    if (a->req.rc < 0 && a->req.status != 404) {
        c->unheard = a->req.rc == KR_E_IO;
        fail(c, what, a->req.err.text);
        return;
    }
    t->polling = false;
    c->stage = (int)next;
    step(c);
}

static void finish(struct doctor_check *c)
{
    const struct trip *t = c->state;
    uint64_t took_ms = t->ready_ms - t->begun_ms;

    if (t->failed)
        return;
    doctor_say(c, took_ms > SLOW_MS ? REACTOR_WARN : REACTOR_PASS,
               "definition and instance were ready after %" PRIu64 " ms, and are gone again",
               took_ms);
    doctor_cure(c, "look at the API server's latency and the controller's limits: kroc top");
}

/* What the stage asks when it is entered. */
static void step(struct doctor_check *c)
{
    struct trip *t = c->state;

    switch ((enum stage)c->stage) {
    case T_SPACE:
        create(c, t->space_path, t->space);
        return;
    case T_RGD:
        create(c, t->rgd_path, t->rgd);
        return;
    case T_RGD_READY:
        poll(c, t->rgd_path, T_INST);
        return;
    case T_INST:
        create(c, t->inst_path, t->inst);
        return;
    case T_INST_READY:
        poll(c, t->inst_path, T_INST_DELETE);
        return;
    case T_INST_DELETE:
        send(c, KUBE_DELETE, t->inst_path, KR_V_NONE);
        return;
    case T_INST_GONE:
        poll(c, t->inst_path, T_RGD_DELETE);
        return;
    case T_RGD_DELETE:
        send(c, KUBE_DELETE, t->rgd_path, KR_V_NONE);
        return;
    case T_RGD_GONE:
        poll(c, t->rgd_path, T_CRD_DELETE);
        return;
    case T_CRD_DELETE:
        send(c, KUBE_DELETE, t->crd_path, KR_V_NONE);
        return;
    case T_CRD_GONE:
        poll(c, t->crd_path, T_CLEAN_CRD);
        return;
    case T_CLEAN_INST:
        send(c, KUBE_DELETE, t->inst_path, KR_V_NONE);
        send(c, KUBE_DELETE, t->rgd_path, KR_V_NONE);
        return;
    case T_CLEAN_RGD:
        unfinalize(c, t->inst_path);
        unfinalize(c, t->rgd_path);
        return;
    case T_CLEAN_CRD:
        send(c, KUBE_DELETE, t->crd_path, KR_V_NONE);
        send(c, KUBE_DELETE, t->space_path, KR_V_NONE);
        return;
    case T_OVER:
        finish(c);
        return;
    }
}

/* What is made of the answer. */
static void answer(struct doctor_check *c)
{
    switch ((enum stage)c->stage) {
    case T_SPACE:
        after(c, "a namespace cannot be made", T_RGD);
        return;
    case T_RGD:
        if (last(c)->req.status == 404)
            fail(c, "a definition cannot be made", "kro's CRDs are not installed (C01)");
        else
            after(c, "a definition cannot be made", T_RGD_READY);
        return;
    case T_INST:
        after(c, "an instance cannot be made", T_INST_READY);
        return;
    case T_INST_DELETE:
        after(c, "the instance cannot be deleted", T_INST_GONE);
        return;
    case T_RGD_DELETE:
        after(c, "the definition cannot be deleted", T_RGD_GONE);
        return;
    case T_CRD_DELETE:
        after(c, "its CRD cannot be deleted", T_CRD_GONE);
        return;
    case T_CLEAN_INST:
        go(c, T_CLEAN_RGD);
        return;
    case T_CLEAN_RGD:
        go(c, T_CLEAN_CRD);
        return;
    case T_CLEAN_CRD:
        go(c, T_OVER);
        return;
    case T_OVER:
        return;
    default: /* a poll, or the end of its pause */
        step(c);
        return;
    }
}

void doctor_trip_start(struct doctor_check *c)
{
    struct trip *t;

    if (!c->d->opts.round_trip || c->d->opts.controller) {
        doctor_say(c, REACTOR_PASS, "not asked for: it writes (kroc doctor --round-trip)");
        return;
    }
    t = trip_new(c);
    t->begun_ms = kube_now_ms(doctor_clock(c));
    c->state = t;
    c->cleans = true;
    step(c);
}

void doctor_trip_judge(struct doctor_check *c)
{
    struct trip *t = c->state;

    if (t == NULL || c->stage == T_OVER)
        return;
    if (c->late && !t->failed && c->stage < T_CLEAN_INST) {
        const char *what = waits[c->stage];
        const struct doctor_ask *a = last(c);

        fail(c, what ? what : "there was not enough time",
             what && a->req.rc == 0 ? complaint(c, a->req.object) : "the limit came first");
        return;
    }
    answer(c);
}
