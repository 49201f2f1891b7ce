/* SPDX-License-Identifier: Apache-2.0 */
/* doctor_graphs.c - G01-G03: do the definitions compile, and have they left something behind? */
#include "graph/diag.h"
#include "graph/graph.h"
#include "kube/openapi.h"
#include "reactor/doctor_check.h"

#include "cel/base/banned.h"

/* --- G01 they compile ------------------------------------------------------------------------- */

/* One definition after the other: load its kinds, compile. */
struct compile {
    struct doctor_check *check;
    struct kube_openapi *openapi;
    struct kube_schemas_req load;
    kr_val rgds;
    uint32_t at; /* the definition whose kinds are being loaded */
    uint32_t bad_n;
    bool open;
};

static void compile_next(struct compile *p);

static void compile_free(void *arg)
{
    kube_openapi_free(((struct compile *)arg)->openapi);
}

static void compile_cancel(struct doctor_check *c)
{
    struct compile *p = c->state;

    if (p != NULL && p->open)
        kube_schemas_cancel(&p->load);
}

static void say_bad(struct doctor_check *c, kr_str name, const struct graph_diags *diags,
                    const struct kr_err *err)
{
    const struct graph_diag *first = NULL;

    for (uint32_t i = 0; i < diags->n && first == NULL; i++) {
        if (!diags->items[i].warning)
            first = &diags->items[i];
    }
    if (first != NULL)
        doctor_name(c, REACTOR_FAIL, KR_FMT ": " KR_FMT ": " KR_FMT, KR_ARG(name),
                    KR_ARG(first->path), KR_ARG(kr_str_sub(first->text, 0, 300)));
    else
        doctor_name(c, REACTOR_FAIL, KR_FMT ": %.300s", KR_ARG(name), err->text);
    doctor_cure(c, "kubectl get rgd " KR_FMT " -o yaml | kroc validate --cluster -",
                KR_ARG(doctor_plain(name)));
}

static void compile_one(struct compile *p)
{
    struct doctor_check *c = p->check;
    kr_val rgd = kr_item(p->rgds, p->at);
    struct graph_diags diags = {.a = &c->arena};
    struct graph_source src = {.name = kr_at_str(rgd, "metadata.name"),
                               .spec = kr_at(rgd, "spec"),
                               .missing = p->load.missing,
                               .missing_n = p->load.missing_n,
                               .omit = true,
                               .diags = &diags};
    struct kr_err err = KR_ERR_NONE;
    struct graph_rev *rev = NULL;
    const kr_gvk *needs;
    uint32_t needs_n;
    int rc = graph_build(&src, p->load.kinds, &c->arena, &rev, &needs, &needs_n, &err);

    graph_rev_drop(rev);
    if (rc == 0)
        return;
    p->bad_n++;
    if (rc == GRAPH_NEEDS)
        kr_fail(&err, KR_E_INPUT, "the kind " KR_FMT " is not known", KR_ARG(needs[0].kind));
    say_bad(c, src.name, &diags, &err);
}

static void on_loaded(struct kube_schemas_req *load)
{
    struct compile *p = KR_OWNER(load, struct compile, load);
    int rc = load->rc;

    p->open = false;
    if (rc == 0)
        compile_one(p);
    else if (!p->check->late)
        doctor_name(p->check, REACTOR_WARN, KR_FMT " is not compiled: %.300s",
                    KR_ARG(kr_at_str(kr_item(p->rgds, p->at), "metadata.name")), load->err.text);
    cel_kinds_free(load->kinds);
    kube_schemas_fini(load);
    p->at++;
    compile_next(p);
}

static void compile_next(struct compile *p)
{
    struct doctor_check *c = p->check;
    const kr_gvk *gvks;
    uint32_t n;

    if (p->at >= p->rgds.n || c->late) {
        doctor_answered(c);
        return;
    }
    graph_kinds_of(kr_at(kr_item(p->rgds, p->at), "spec"), &c->arena, &gvks, &n);
    p->load = (struct kube_schemas_req){.gvks = gvks, .gvks_n = n, .on_done = on_loaded};
    p->open = true;
    kube_schemas_start(p->openapi, &p->load);
}

void doctor_compile_start(struct doctor_check *c)
{
    struct compile *p;
    kr_val rgds;

    if (c->d->opts.controller) {
        doctor_say(c, REACTOR_PASS,
                   "the controller compiles them itself; see each definition's status");
        return;
    }
    if (!doctor_items(c, DOCTOR_F_RGDS, &rgds) || rgds.n == 0 || !doctor_kinds(c))
        return;
    p = kr_new(&c->arena, struct compile);
    p->check = c;
    p->rgds = rgds;
    p->openapi = kube_openapi_new(c->d->opts.client, c->d->discovery);
    kr_arena_defer(&c->arena, compile_free, p);
    c->state = p;
    c->cancel = compile_cancel;
    c->open_n++;
    compile_next(p);
}

void doctor_compile_judge(struct doctor_check *c)
{
    const struct compile *p = c->state;

    doctor_named(c);
    if (c->late && p != NULL && p->at < p->rgds.n) {
        doctor_say(c, REACTOR_WARN, "%u of %u definitions were compiled within %u s", p->at,
                   p->rgds.n, c->row->limit_ms / 1000);
        doctor_cure(c, "kubectl get rgd -o yaml | kroc validate --cluster -");
    }
    if (c->finding.n == 0)
        doctor_say(c, REACTOR_PASS, p ? "%u definitions" : "there are no definitions yet",
                   p ? p->rgds.n : 0);
}

/* --- G02 stuck instances ---------------------------------------------------------------------- */

enum { STUCK_CRD, STUCK_LIST };

static bool has_definition(struct doctor_check *c, kr_val rgds, kr_val crd)
{
    kr_str owner = kr_text(doctor_label(crd, GRAPH_LABEL_RGD_NAME));

    KR_LIST_EACH (it, rgds) {
        if (kr_str_eq(graph_label_value(&c->arena, kr_at_str(*it, "metadata.name")), owner))
            return true;
    }
    return false;
}

/* The CRDs that were made from definitions which are not there any more. */
void doctor_stuck_start(struct doctor_check *c)
{
    kr_val rgds, all;

    if (!doctor_items(c, DOCTOR_F_RGDS, &rgds) || !doctor_items(c, DOCTOR_F_CRDS, &all))
        return;
    if (doctor_is_cut(&c->d->facts[DOCTOR_F_RGDS].req)) {
        doctor_say(c, REACTOR_PASS, "not looked at: not all definitions are known");
        return;
    }
    KR_LIST_EACH (crd, all) {
        struct doctor_ask *a;

        if (!kr_is_str(doctor_label(*crd, GRAPH_LABEL_OWNED), KR_S("true")) ||
            has_definition(c, rgds, *crd))
            continue;
        a = doctor_get(c, kr_fmt(&c->arena,
                                 "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/" KR_FMT,
                                 KR_ARG(kr_at_str(*crd, "metadata.name"))));
        if (a != NULL)
            a->tag = STUCK_CRD;
    }
}

static kr_str served_version(kr_val crd)
{
    KR_LIST_EACH (it, kr_at(crd, "spec.versions")) {
        if (kr_is_true(kr_at(*it, "served")))
            return kr_at_str(*it, "name");
    }
    return KR_S("");
}

static void ask_instances(struct doctor_check *c, kr_val crd)
{
    kr_str version = served_version(crd);
    struct doctor_ask *a;

    if (version.n == 0)
        return;
    a = doctor_meta(c, kr_fmt(&c->arena, "/apis/" KR_FMT "/" KR_FMT "/" KR_FMT "?limit=500",
                              KR_ARG(kr_at_str(crd, "spec.group")), KR_ARG(version),
                              KR_ARG(kr_at_str(crd, "spec.names.plural"))));
    if (a == NULL)
        return;
    a->tag = STUCK_LIST;
    a->what = kr_at_str(crd, "metadata.name");
}

static bool waits_for_us(kr_val object)
{
    KR_LIST_EACH (it, kr_at(object, "metadata.finalizers")) {
        if (kr_is_str(*it, KR_S(GRAPH_FINALIZER)))
            return kr_at_str(object, "metadata.deletionTimestamp").n > 0;
    }
    return false;
}

static void judge_instances(struct doctor_check *c, const struct doctor_ask *a)
{
    KR_LIST_EACH (it, kr_at(a->req.object, "items")) {
        kr_str namespace = kr_at_str(*it, "metadata.namespace");
        kr_str name = kr_at_str(*it, "metadata.name");

        if (!waits_for_us(*it))
            continue;
        doctor_name(c, REACTOR_FAIL,
                    KR_FMT
                    " " KR_FMT "%s" KR_FMT
                    " is being deleted, and its definition is gone: nobody takes the finalizer off",
                    KR_ARG(a->what), KR_ARG(namespace), namespace.n ? "/" : "", KR_ARG(name));
        doctor_cure(
            c,
            "bring the definition back (it deletes the children), or leave them: kubectl%s" KR_FMT
            " patch " KR_FMT " " KR_FMT " --type=merge -p '{\"metadata\":{\"finalizers\":null}}'",
            namespace.n ? " -n " : "", KR_ARG(namespace.n ? doctor_plain(namespace) : KR_S("")),
            KR_ARG(doctor_plain(a->what)), KR_ARG(doctor_plain(name)));
    }
}

void doctor_stuck_judge(struct doctor_check *c)
{
    struct doctor_ask *a = doctor_first(c);

    if (c->stage++ == 0) {
        for (uint32_t n = c->asks_n; a != NULL && n > 0; n--, a = doctor_next(c, a)) {
            if (doctor_ok(c, a, "get customresourcedefinitions"))
                ask_instances(c, a->req.object);
        }
        return;
    }
    for (; a != NULL; a = doctor_next(c, a)) {
        if (a->tag == STUCK_LIST && doctor_ok(c, a, "list instances"))
            judge_instances(c, a);
    }
    doctor_named(c);
}

/* --- G03 orphans ------------------------------------------------------------------------------ */

enum { ORPHANS_PARENTS, ORPHANS_CHILDREN };

static bool asked(struct doctor_check *c, uint32_t tag, kr_str path)
{
    DOCTOR_EACH(a, c)
    {
        if (a->tag == tag && kr_str_eq(a->req.path, path))
            return true;
    }
    return false;
}

static void ask_list(struct doctor_check *c, const struct kube_kind *kind, uint32_t tag)
{
    static const char selector[] =
        "&labelSelector=applyset.kubernetes.io%2Fpart-of%2Ckro.run%2Fnode-id";
    struct doctor_ask *a;
    kr_str path;

    if (kind == NULL)
        return;
    path = kr_fmt(&c->arena, "%s" KR_FMT "/" KR_FMT "/" KR_FMT "?limit=%d%s",
                  kind->gvk.group.n ? "/apis/" : "/api", KR_ARG(kind->gvk.group),
                  KR_ARG(kind->gvk.version), KR_ARG(kind->resource), DOCTOR_LIST_MAX,
                  tag == ORPHANS_CHILDREN ? selector : "");
    if (asked(c, tag, path))
        return;
    a = doctor_meta(c, path);
    if (a == NULL)
        return;
    a->tag = tag;
    a->what = kind->resource;
}

/* The kind that a CRD, of which the metadata is known, brings; NULL: it is not served. */
static const struct kube_kind *kind_of_crd(struct doctor_check *c, kr_val crd)
{
    kr_str group = kr_at_str(crd, "metadata.name"), plural = kr_str_cut(&group, '.');
    const struct kube_kind *kind;
    uint32_t at = 0;

    while ((kind = kube_discovery_next(c->d->discovery, &at)) != NULL) {
        if (kr_str_eq(kind->resource, plural) && kr_str_eq(kind->gvk.group, group))
            return kind;
    }
    return NULL;
}

/* Instances are parents also when their definition is gone: their CRD says that it was made. */
static void ask_parents(struct doctor_check *c, kr_val rgds, kr_val crds)
{
    KR_LIST_EACH (rgd, rgds)
        ask_list(c, kube_discovery_kind(c->d->discovery, doctor_generated(*rgd)), ORPHANS_PARENTS);
    KR_LIST_EACH (crd, crds) {
        if (kr_is_str(doctor_label(*crd, GRAPH_LABEL_OWNED), KR_S("true")))
            ask_list(c, kind_of_crd(c, *crd), ORPHANS_PARENTS);
    }
}

void doctor_orphans_start(struct doctor_check *c)
{
    kr_val rgds, crds;

    if (c->d->opts.controller) {
        doctor_say(c, REACTOR_PASS, "not looked at by the controller: the lists may be long");
        return;
    }
    if (!doctor_items(c, DOCTOR_F_RGDS, &rgds) || !doctor_items(c, DOCTOR_F_CRDS, &crds) ||
        rgds.n == 0 || !doctor_kinds(c))
        return;
    ask_parents(c, rgds, crds);
    KR_LIST_EACH (rgd, rgds) {
        const kr_gvk *gvks;
        uint32_t n;

        graph_kinds_of(kr_at(*rgd, "spec"), &c->arena, &gvks, &n);
        for (uint32_t i = 0; i < n; i++)
            ask_list(c, kube_discovery_kind(c->d->discovery, gvks[i]), ORPHANS_CHILDREN);
    }
}

static bool has_parent(struct doctor_check *c, kr_str id)
{
    DOCTOR_EACH(a, c)
    {
        if (a->tag != ORPHANS_PARENTS)
            continue;
        KR_LIST_EACH (it, kr_at(a->req.object, "items")) {
            if (kr_is_str(doctor_label(*it, GRAPH_LABEL_SET_ID), id))
                return true;
        }
    }
    return false;
}

static void judge_children(struct doctor_check *c, const struct doctor_ask *a)
{
    KR_LIST_EACH (it, kr_at(a->req.object, "items")) {
        kr_str namespace = kr_at_str(*it, "metadata.namespace");
        kr_str name = kr_at_str(*it, "metadata.name");

        if (has_parent(c, kr_text(doctor_label(*it, GRAPH_LABEL_PART_OF))))
            continue;
        doctor_name(c, REACTOR_WARN,
                    KR_FMT " " KR_FMT "%s" KR_FMT " belongs to no instance that is there",
                    KR_ARG(a->what), KR_ARG(namespace), namespace.n ? "/" : "", KR_ARG(name));
        doctor_cure(c, "if nobody needs it: kubectl%s" KR_FMT " delete " KR_FMT " " KR_FMT,
                    namespace.n ? " -n " : "",
                    KR_ARG(namespace.n ? doctor_plain(namespace) : KR_S("")), KR_ARG(a->what),
                    KR_ARG(doctor_plain(name)));
    }
}

/* Parents that are not all known make no orphans. */
void doctor_orphans_judge(struct doctor_check *c)
{
    if (c->asks_n > 0 && (c->cut.n > 0 || c->dropped)) {
        doctor_say(c, REACTOR_PASS, "not looked at: not all kinds of instances are known");
        return;
    }
    DOCTOR_EACH(a, c)
    {
        bool whole = a->tag == ORPHANS_CHILDREN || !doctor_is_cut(&a->req);

        if (doctor_unheard(c, a))
            return;
        if ((a->req.rc < 0 && a->req.status != 404) || !whole) {
            doctor_say(c, REACTOR_PASS,
                       whole ? "not looked at: we may not list " KR_FMT
                             : "not looked at: there are more than 500 " KR_FMT,
                       KR_ARG(a->what));
            return;
        }
    }
    DOCTOR_EACH(a, c)
    {
        if (a->tag == ORPHANS_CHILDREN)
            judge_children(c, a);
    }
    doctor_named(c);
}
