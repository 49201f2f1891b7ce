/* SPDX-License-Identifier: Apache-2.0 */
/* doctor_rights.c - R01-R03: may the controller do what it has to, and not everything?
 *
 * The questions are about the service account of the controller's Deployment; where there is none,
 * about ourselves. The server answers each one as its authorizers would decide.
 */
#include "graph/graph.h"
#include "reactor/doctor_check.h"

#include "cel/base/banned.h"

/* A right: "kro.run", "resourcegraphdefinitions/status", "get,update". */
struct right {
    const char *group, *resource, *verbs;
    const char *without; /* NULL: needed; else what does not work without it */
    bool at_home;        /* asked in the controller's namespace, else in all */
};

/* clang-format off */
static const struct right rights[] = {
    {"kro.run", "resourcegraphdefinitions", "get,list,watch,patch,update", NULL, false},
    {"kro.run", "resourcegraphdefinitions/status", "patch,update", NULL, false},
    {"internal.kro.run", "graphrevisions", "get,list,watch,create,patch,update,delete", NULL, false},
    {"internal.kro.run", "graphrevisions/status", "patch,update", NULL, false},
    {"apiextensions.k8s.io", "customresourcedefinitions", "get,list,watch,create,patch,update", NULL, false},
    {"apiextensions.k8s.io", "customresourcedefinitions", "delete", "--allow-crd-deletion", false},
    {"", "events", "create,patch", "Events", false},
    {"coordination.k8s.io", "leases", "get,list,watch,create,patch", "leader election", true},
};
/* clang-format on */

/* --- a question ------------------------------------------------------------------------------- */

/* The controller's service account, "" to ask about ourselves. */
static kr_str account_of(struct doctor_check *c)
{
    kr_val deployment = doctor_controller(c);
    kr_str name = kr_at_str(deployment, "spec.template.spec.serviceAccountName");

    if (deployment.kind == KR_NONE)
        return KR_S("");
    return name.n ? name : KR_S("default");
}

static kr_val groups_of(struct doctor_check *c)
{
    struct kr_listb groups = KR_LISTB(&c->arena);

    kr_listb_add(&groups, KR_V_STR("system:authenticated"));
    kr_listb_add(&groups, KR_V_STR("system:serviceaccounts"));
    kr_listb_add(&groups,
                 kr_string(kr_fmt(&c->arena, "system:serviceaccounts:%s", c->d->opts.namespace)));
    return kr_listb_done(&groups);
}

/* Asks whether these attributes are allowed. */
static struct doctor_ask *review(struct doctor_check *c, const char *sort, kr_val attributes)
{
    kr_str account = account_of(c);
    struct kr_mapb spec = KR_MAPB(&c->arena), review = KR_MAPB(&c->arena);
    struct doctor_ask *a = doctor_ask(c);

    if (a == NULL)
        return NULL;
    kr_mapb_put(&spec, kr_str_c(sort), attributes);
    if (account.n > 0) {
        kr_mapb_put(&spec, KR_S("user"),
                    kr_string(kr_fmt(&c->arena, "system:serviceaccount:%s:" KR_FMT,
                                     c->d->opts.namespace, KR_ARG(account))));
        kr_mapb_put(&spec, KR_S("groups"), groups_of(c));
    }
    kr_mapb_put(&review, KR_S("apiVersion"), KR_V_STR("authorization.k8s.io/v1"));
    kr_mapb_put(&review, KR_S("kind"),
                account.n ? KR_V_STR("SubjectAccessReview") : KR_V_STR("SelfSubjectAccessReview"));
    kr_mapb_put(&review, KR_S("spec"), kr_mapb_done(&spec));
    a->req.verb = KUBE_CREATE;
    a->req.ref = (kr_ref){
        .gvr = {KR_S("authorization.k8s.io"), KR_S("v1"),
                account.n ? KR_S("subjectaccessreviews") : KR_S("selfsubjectaccessreviews")}};
    /* Far below the limit of a body: it cannot fail. */
    KR_ASSERT(kube_req_set_body(&a->req, kr_mapb_done(&review), NULL) == 0);
    return a;
}

static struct doctor_ask *may(struct doctor_check *c, kr_str group, kr_str what, kr_str verb,
                              bool at_home)
{
    struct kr_mapb attributes = KR_MAPB(&c->arena);
    kr_str sub = what, resource = kr_str_cut(&sub, '/');
    struct doctor_ask *a;

    kr_mapb_put(&attributes, KR_S("group"), kr_string(group));
    kr_mapb_put(&attributes, KR_S("resource"), kr_string(resource));
    kr_mapb_put(&attributes, KR_S("verb"), kr_string(verb));
    if (sub.n > 0)
        kr_mapb_put(&attributes, KR_S("subresource"), kr_string(sub));
    if (at_home)
        kr_mapb_put(&attributes, KR_S("namespace"), kr_string(kr_str_c(c->d->opts.namespace)));
    a = review(c, "resourceAttributes", kr_mapb_done(&attributes));
    if (a != NULL) {
        a->verb = verb;
        a->what = what;
    }
    return a;
}

static bool allowed(const struct doctor_ask *a)
{
    return a->req.rc == 0 && kr_is_true(kr_at(a->req.object, "status.allowed"));
}

/* May we ask at all? Else that is said. */
static bool answered(struct doctor_check *c)
{
    DOCTOR_EACH(a, c)
    {
        if (doctor_unheard(c, a))
            return false;
        if (a->req.rc < 0) {
            doctor_refused(c, &a->req, "ask which rights the controller has");
            return false;
        }
    }
    return true;
}

/* Is there nobody to ask about? Before an installation so it is; the controller does not ask, because
 * a review is a POST, and at its start it only reads. */
static bool nobody(struct doctor_check *c)
{
    if (c->d->opts.controller) {
        doctor_say(c, REACTOR_PASS, "not asked by the controller: refusals are in its log");
        return true;
    }
    if (!c->d->opts.before_install || doctor_controller(c).kind != KR_NONE)
        return false;
    doctor_say(c, REACTOR_PASS, "not asked: no controller is installed yet");
    return true;
}

static kr_str who(struct doctor_check *c)
{
    kr_str account = account_of(c);

    if (account.n == 0)
        return KR_S("we");
    return kr_fmt(&c->arena, "%s/" KR_FMT, c->d->opts.namespace, KR_ARG(account));
}

/* --- R01 for itself --------------------------------------------------------------------------- */

void doctor_own_start(struct doctor_check *c)
{
    if (nobody(c))
        return;
    for (size_t i = 0; i < KR_N(rights); i++) {
        kr_str verbs = kr_str_c(rights[i].verbs);

        while (verbs.s) {
            struct doctor_ask *a = may(c, kr_str_c(rights[i].group), kr_str_c(rights[i].resource),
                                       kr_str_cut(&verbs, ','), rights[i].at_home);

            a->about = &rights[i];
        }
    }
}

/* Says which verbs of one right are missing. */
static void judge_right(struct doctor_check *c, const struct right *right)
{
    KR_AUTO(kr_buf) verbs = KR_BUF(256);

    DOCTOR_EACH(a, c)
    {
        if (a->about == right && !allowed(a))
            kr_buf_fmt(&verbs, "%s" KR_FMT, verbs.n ? "," : "", KR_ARG(a->verb));
    }
    if (verbs.n == 0)
        return;
    doctor_say(c, right->without ? REACTOR_WARN : REACTOR_FAIL, "missing: %s %s%s%s%s%s", verbs.s,
               right->resource, *right->group ? " of " : "", right->group,
               right->without ? ", needed for " : "", right->without ? right->without : "");
    doctor_cure(c, "kubectl apply -f deploy/kustomize/standalone/rbac.yaml, or helm upgrade");
}

void doctor_own_judge(struct doctor_check *c)
{
    if (c->asks_n == 0 || !answered(c))
        return;
    for (size_t i = 0; i < KR_N(rights); i++)
        judge_right(c, &rights[i]);
    if (c->finding.n == 0)
        doctor_say(c, REACTOR_PASS, KR_FMT " may do all for definitions, revisions and CRDs",
                   KR_ARG(who(c)));
}

/* --- R02 for the graphs ----------------------------------------------------------------------- */

static const char child_verbs[] = "get,list,watch,create,patch,delete";
static const char parent_verbs[] = "get,list,watch,patch,update";

void doctor_graph_rights_start(struct doctor_check *c)
{
    kr_val rgds;

    if (nobody(c) || !doctor_items(c, DOCTOR_F_RGDS, &rgds) || rgds.n == 0)
        return;
    may(c, KR_S("*"), KR_S("*"), KR_S("*"), false); /* unrestricted: one question is enough */
}

static bool asked(struct doctor_check *c, kr_str group, kr_str what, kr_str verb)
{
    DOCTOR_EACH(a, c)
    {
        if (a->about && kr_str_eq(a->what, what) && kr_str_eq(a->verb, verb) &&
            kr_str_eq(*(const kr_str *)a->about, group))
            return true;
    }
    return false;
}

static void ask_all(struct doctor_check *c, kr_str group, kr_str what, const char *verbs)
{
    kr_str rest = kr_str_c(verbs);
    kr_str *about = kr_new(&c->arena, kr_str);

    *about = group;
    while (rest.s) {
        kr_str verb = kr_str_cut(&rest, ',');
        struct doctor_ask *a =
            asked(c, group, what, verb) ? NULL : may(c, group, what, verb, false);

        if (a != NULL)
            a->about = about;
    }
}

/* Is every resource of this kind an external reference? Those are only read. */
static bool only_read(kr_val rgd, kr_gvk gvk)
{
    KR_LIST_EACH (it, kr_at(rgd, "spec.resources")) {
        kr_val template = kr_at(*it, "template");
        kr_str group, version;

        if (template.kind == KR_MAP &&
            kr_api_version(kr_at_str(template, "apiVersion"), &group, &version) &&
            kr_str_eq(group, gvk.group) && kr_is_str(kr_at(template, "kind"), gvk.kind))
            return false;
    }
    return true;
}

static void ask_graph(struct doctor_check *c, kr_val rgd)
{
    const kr_gvk *gvks;
    uint32_t n;
    kr_str crd = doctor_crd_name(&c->arena, rgd);
    kr_str plural = kr_str_cut(&crd, '.');

    ask_all(c, crd, plural, parent_verbs);
    ask_all(c, crd, kr_fmt(&c->arena, KR_FMT "/status", KR_ARG(plural)), "update");
    graph_kinds_of(kr_at(rgd, "spec"), &c->arena, &gvks, &n);
    for (uint32_t i = 0; i < n; i++) {
        const struct kube_kind *kind = kube_discovery_kind(c->d->discovery, gvks[i]);

        if (kind != NULL)
            ask_all(c, gvks[i].group, kind->resource,
                    only_read(rgd, gvks[i]) ? "get,list,watch" : child_verbs);
    }
}

static void judge_graphs(struct doctor_check *c)
{
    kr_str last = {0};

    DOCTOR_EACH(a, c)
    {
        const kr_str *group = a->about;

        if (group == NULL || allowed(a))
            continue;
        if (last.s != a->what.s) /* one remark a resource */
            doctor_name(c, REACTOR_FAIL, KR_FMT " may not " KR_FMT " " KR_FMT "%s" KR_FMT,
                        KR_ARG(who(c)), KR_ARG(a->verb), KR_ARG(a->what), group->n ? " of " : "",
                        KR_ARG(*group));
        last = a->what;
        doctor_cure(c, "kubectl get rgd -o yaml | kroc rbac -f - | kubectl apply -f -");
    }
    doctor_named(c);
    if (c->finding.n == 0)
        doctor_say(c, REACTOR_PASS, "%u rights for the kinds of the definitions", c->asks_n - 1);
}

void doctor_graph_rights_judge(struct doctor_check *c)
{
    kr_val rgds;

    if (c->asks_n == 0) {
        if (c->finding.n == 0)
            doctor_say(c, REACTOR_PASS, "there are no definitions yet");
        return;
    }
    if (!answered(c))
        return;
    if (c->stage++ > 0) {
        judge_graphs(c);
        return;
    }
    if (allowed(doctor_first(c))) {
        doctor_say(c, REACTOR_PASS, KR_FMT " may do everything", KR_ARG(who(c)));
        return;
    }
    if (!doctor_kinds(c) || !doctor_items(c, DOCTOR_F_RGDS, &rgds))
        return;
    KR_LIST_EACH (rgd, rgds)
        ask_graph(c, *rgd);
}

/* --- R03 not too much ------------------------------------------------------------------------- */

/* cluster-admin is all of the API and all other paths; the unrestricted mode has the first alone. */
void doctor_over_start(struct doctor_check *c)
{
    struct kr_mapb attributes = KR_MAPB(&c->arena);

    if (nobody(c))
        return;
    if (account_of(c).n == 0) {
        doctor_say(c, REACTOR_PASS, "not asked: no controller is installed in %s",
                   c->d->opts.namespace);
        return;
    }
    may(c, KR_S("*"), KR_S("*"), KR_S("*"), false);
    kr_mapb_put(&attributes, KR_S("path"), KR_V_STR("/kroc-doctor"));
    kr_mapb_put(&attributes, KR_S("verb"), KR_V_STR("delete"));
    review(c, "nonResourceAttributes", kr_mapb_done(&attributes));
}

void doctor_over_judge(struct doctor_check *c)
{
    bool all = true;

    if (c->asks_n == 0 || !answered(c))
        return;
    DOCTOR_EACH(a, c)
    all = all && allowed(a);
    if (!all) {
        doctor_say(c, REACTOR_PASS, "%s",
                   allowed(doctor_first(c))
                       ? "everything in the API, as rbac.mode=unrestricted says"
                       : "no more than what was granted by name");
        return;
    }
    doctor_say(c, REACTOR_WARN, KR_FMT " is cluster-admin", KR_ARG(who(c)));
    doctor_cure(c,
                "kubectl get clusterrolebindings -o wide | grep cluster-admin; use the chart with "
                "rbac.mode=aggregation and `kroc rbac`");
}
