/* SPDX-License-Identifier: Apache-2.0 */
/* mutant.c - bugs planted at the door of the controllers, to test the test: what they send and hear is
 * altered as if they had the bug. The product's code stays as it is. */
#include "cel/base/json.h"
#include "graph/names.h"
#include "tests/sim/sim.h"

enum mutant {
#define M(name, text) MUTANT_##name,
    NONE,
    SIM_MUTANTS_LIST(M)
#undef M
};

const char *sim_mutant_text(uint32_t mutant)
{
    static const char *const texts[] = {[NONE] = "none",
#define M(name, text) [MUTANT_##name] = (text),
                                        SIM_MUTANTS_LIST(M)
#undef M
    };

    return mutant < KR_N(texts) ? texts[mutant] : NULL;
}

/* --- what is asked ---------------------------------------------------------------------------- */

static bool is(const struct kube_exchange *x, const char *method, const char *part)
{
    return strcmp(x->method, method) == 0 && kr_str_find(x->path, kr_str_c(part)) >= 0;
}

static bool is_child(const struct kube_exchange *x)
{
    return kr_str_find(x->path, KR_S("/configmaps/")) >= 0 ||
           kr_str_find(x->path, KR_S("/secrets/")) >= 0 ||
           kr_str_find(x->path, KR_S("/deployments/")) >= 0;
}

static kr_val parsed(struct kr_arena *a, kr_str body)
{
    struct kr_err err = KR_ERR_NONE;
    kr_val v;

    return kr_json_parse(a, body, &v, &err) == 0 ? v : KR_V_NONE;
}

static void without(struct kr_arena *a, struct kube_exchange *x, const char *const *names,
                    uint32_t n)
{
    kr_val v = parsed(a, x->body);
    kr_str path[4];

    if (v.kind != KR_MAP)
        return;
    for (uint32_t i = 0; i < n; i++)
        path[i] = kr_str_c(names[i]);
    if (kr_at_path(v, path, n).kind != KR_NONE)
        x->body = kr_json_str(a, kr_with_path(a, v, path, n, KR_V_NONE));
}

/* The query's parameter with another value. */
static void with_value(struct kr_arena *a, struct kube_exchange *x, const char *name, kr_str value)
{
    ptrdiff_t at = kr_str_find(x->path, kr_fmt(a, "%s=", name));
    kr_str rest;

    if (at < 0)
        return;
    rest = kr_str_sub(x->path, (size_t)at, x->path.n);
    kr_str_cut(&rest, '&');
    x->path = kr_fmt(a, KR_FMT "%s=" KR_FMT "%s" KR_FMT, KR_ARG(kr_str_sub(x->path, 0, (size_t)at)),
                     name, KR_ARG(value), rest.n ? "&" : "", KR_ARG(rest));
}

static void add_query(struct kr_arena *a, struct kube_exchange *x, const char *text)
{
    x->path =
        kr_fmt(a, KR_FMT "%c%s", KR_ARG(x->path), kr_str_chr(x->path, '?') < 0 ? '?' : '&', text);
}

static void claim_active(struct kr_arena *a, struct kube_exchange *x)
{
    struct kr_listb list = KR_LISTB(a);
    kr_val v = parsed(a, x->body);

    KR_LIST_EACH (c, kr_at(v, "status.conditions")) {
        kr_val now = *c;

        if (kr_is_str(kr_get(*c, KR_S("type")), KR_S(GRAPH_C_READY)))
            now = kr_with(a, *c, "status", KR_V_STR("True"));
        kr_listb_add(&list, now);
    }
    v = kr_with(a, v, "status.state", KR_V_STR("ACTIVE"));
    x->body = kr_json_str(a, kr_with(a, v, "status.conditions", kr_listb_done(&list)));
}

void sim_mutate_request(struct sim *s, struct kr_arena *a, struct kube_exchange *x)
{
    static const char *const kinds[] = {"metadata", "annotations", GRAPH_ANNO_KINDS};
    static const char *const finalizers[] = {"metadata", "finalizers"};
    bool instance = kr_str_find(x->path, KR_S("/thing0s/")) >= 0 ||
                    kr_str_find(x->path, KR_S("/thing1s/")) >= 0;

    switch (s->mutant) {
    case MUTANT_INVENTORY:
        if (instance && is(x, "PATCH", "fieldManager"))
            without(a, x, kinds, 3);
        return;
    case MUTANT_NO_FINALIZER:
        if (instance && is(x, "PATCH", "labeller"))
            without(a, x, finalizers, 2);
        return;
    case MUTANT_RESUME:
        if (x->stream && kr_str_find(x->path, KR_S("sendInitialEvents")) < 0)
            with_value(a, x, "resourceVersion",
                       kr_fmt(a, "%llu", (unsigned long long)sandbox_version(s->sandbox)));
        return;
    case MUTANT_LOST_APPLY:
        if (is_child(x) && is(x, "PATCH", "fieldManager") && x->body.n % 5 == 0)
            x->body = KR_S("{\"dryRun\":[\"All\"]}"); /* beside a body a query says nothing */
        return;
    case MUTANT_STALE:
        if (!x->stream && strcmp(x->method, "GET") == 0 && is(x, "GET", "limit=") &&
            kr_str_find(x->path, KR_S("continue=")) < 0)
            add_query(a, x, "resourceVersion=0");
        return;
    case MUTANT_ACTIVE:
        if (instance && is(x, "PUT", "/status"))
            claim_active(a, x);
        return;
    case MUTANT_LOST_DELETE:
        if (is_child(x) && strcmp(x->method, "DELETE") == 0)
            x->body = KR_S("{\"dryRun\":[\"All\"]}"); /* beside a body a query says nothing */
        return;
    default:;
    }
}

/* --- what is done ----------------------------------------------------------------------------- */

/* The instance of the child at that path. */
static const char *instance_path(struct kr_arena *a, kr_str child)
{
    kr_str name = kr_str_sub(child, (size_t)kr_str_rchr(child, '/') + 1, child.n);

    return kr_fmt(a, "/apis/kro.run/v1alpha1/namespaces/" SIM_NS "/thing%cs/" KR_FMT, name.s[1],
                  KR_ARG(kr_str_sub(name, 0, 4)))
        .s;
}

bool sim_mutate_again(const struct sim *s, const struct sandbox_request *q)
{
    return s->mutant == MUTANT_AGAIN && strcmp(q->method, "PATCH") == 0 &&
           kr_str_find(q->path, KR_S("fieldManager=kro.run%2Fapplyset&")) >= 0;
}

void sim_mutate_done(struct sim *s, const struct sandbox_request *q)
{
    KR_AUTO(kr_arena) a = {0};
    kr_str path = q->path, base = kr_str_cut(&path, '?');
    struct kube_exchange x = {.method = q->method, .path = base};

    if (s->mutant == MUTANT_EARLY && strcmp(q->method, "DELETE") == 0 && is_child(&x) &&
        kr_at(sim_get(s, &a, instance_path(&a, base)), "metadata.deletionTimestamp").kind ==
            KR_STRING)
        sim_do(s, "PATCH", instance_path(&a, base), "{\"metadata\":{\"finalizers\":null}}");
}

/* --- what is heard ---------------------------------------------------------------------------- */

bool sim_mutate_event(struct sim *s, kr_str line)
{
    if (s->mutant == MUTANT_FOREIGN)
        return kr_str_find(line, KR_S("applyset-foreign")) < 0;
    if (s->mutant == MUTANT_DELETED)
        return kr_str_find(kr_str_sub(line, 0, 20), KR_S("\"DELETED\"")) < 0 ||
               kr_str_find(line, KR_S(GRAPH_LABEL_NODE)) < 0;
    return true;
}

bool sim_mutate_status(const struct sim *s, const struct kube_exchange *x, int status)
{
    return s->mutant == MUTANT_GONE && x->stream && status == 410;
}
