/* SPDX-License-Identifier: Apache-2.0 */
/* doctor_crds.c - C01-C04: kro's own CRDs, and those made from definitions. */
#include <inttypes.h>

#include "cel/base/time.h"
#include "cel/base/yaml.h"
#include "graph/graph.h"
#include "reactor/crds.h"
#include "reactor/doctor_check.h"

#include "cel/base/banned.h"

enum { DEPTH_MAX = 64 }; /* of a schema */

/* clang-format off */
static const struct {
    const char *name, *yaml;
} crds[] = {
    {"resourcegraphdefinitions.kro.run", reactor_crd_definitions},
    {"graphrevisions.internal.kro.run", reactor_crd_revisions},
};
/* clang-format on */

static const char install[] = "kroc crds | kubectl apply --server-side --force-conflicts -f -";

void doctor_crds_start(struct doctor_check *c)
{
    for (size_t i = 0; i < KR_N(crds); i++) {
        struct doctor_ask *a = doctor_get(
            c, kr_fmt(&c->arena, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/%s",
                      crds[i].name));

        a->tag = (uint32_t)i;
    }
}

/* --- C01 there, and ours ---------------------------------------------------------------------- */

/* The condition of this type, or KR_NONE. */
static kr_val condition_of(kr_val object, const char *type)
{
    KR_LIST_EACH (it, kr_at(object, "status.conditions")) {
        if (kr_is_str(kr_at(*it, "type"), kr_str_c(type)))
            return *it;
    }
    return KR_V_NONE;
}

/* Equal but for descriptions, which are for people? */
static bool same(kr_val x, kr_val y, int depth)
{
    uint32_t n = 0, m = 0;

    if (depth > DEPTH_MAX || x.kind != y.kind)
        return false;
    if (x.kind == KR_LIST) {
        for (uint32_t i = 0; i < x.n && x.n == y.n; i++) {
            if (!same(x.list[i], y.list[i], depth + 1))
                return false;
        }
        return x.n == y.n;
    }
    if (x.kind != KR_MAP)
        return kr_equal(x, y);
    KR_MAP_EACH (p, y)
        m += !(kr_is_str(p->key, KR_S("description")) && p->val.kind == KR_STRING);
    KR_MAP_EACH (p, x) {
        if (kr_is_str(p->key, KR_S("description")) && p->val.kind == KR_STRING)
            continue;
        n++;
        if (!same(p->val, kr_get(y, kr_text(p->key)), depth + 1))
            return false;
    }
    return n == m;
}

static bool same_schema(struct doctor_check *c, kr_val crd, const char *yaml)
{
    kr_val docs = KR_V_NONE;

    if (kr_yaml_parse(&c->arena, kr_str_c(yaml), &docs, NULL) < 0)
        return false;
    return same(kr_at(kr_item(kr_at(kr_item(docs, 0), "spec.versions"), 0), "schema"),
                kr_at(kr_item(kr_at(crd, "spec.versions"), 0), "schema"), 0);
}

static void judge_crd(struct doctor_check *c, const char *name, const char *yaml, kr_val crd)
{
    static const char *const wanted[] = {"NamesAccepted", "Established"};

    if (kr_at(crd, "metadata.deletionTimestamp").kind != KR_NONE) {
        doctor_say(c, REACTOR_FAIL, "%s is being deleted", name);
        doctor_cure(c, "kubectl get crd %s -o jsonpath='{.status.conditions}'", name);
        return;
    }
    for (size_t i = 0; i < KR_N(wanted); i++) {
        kr_val condition = condition_of(crd, wanted[i]);
        kr_str message = kr_at_str(condition, "message");

        if (kr_is_str(kr_at(condition, "status"), KR_S("True")))
            continue;
        doctor_say(c, REACTOR_FAIL, "%s is not %s%s" KR_FMT, name, wanted[i], message.n ? ": " : "",
                   KR_ARG(message));
        doctor_cure(c, "kubectl describe crd %s", name);
        return;
    }
    if (same_schema(c, crd, yaml))
        return;
    doctor_say(c, REACTOR_WARN, "%s has another schema than this version's", name);
    doctor_cure(c, "%s", install);
}

void doctor_crds_judge(struct doctor_check *c)
{
    DOCTOR_EACH(a, c)
    {
        const char *name = crds[a->tag].name;

        if (doctor_unheard(c, a))
            continue;
        if (a->req.rc == 0) {
            judge_crd(c, name, crds[a->tag].yaml, a->req.object);
        } else if (a->req.reason == KUBE_R_NOT_FOUND) {
            doctor_say(c, c->d->opts.before_install ? REACTOR_PASS : REACTOR_FAIL,
                       "%s is not installed", name);
            doctor_cure(c, "%s", install);
        } else {
            doctor_refused(c, &a->req, "get customresourcedefinitions");
        }
    }
    if (c->finding.n == 0)
        doctor_say(c, REACTOR_PASS, "%s and %s are established", crds[0].name, crds[1].name);
}

/* --- C02 stored versions ---------------------------------------------------------------------- */

static bool serves_storage(kr_val crd, kr_str version)
{
    KR_LIST_EACH (it, kr_at(crd, "spec.versions")) {
        if (kr_str_eq(kr_at_str(*it, "name"), version))
            return kr_is_true(kr_at(*it, "storage"));
    }
    return false;
}

void doctor_stored_judge(struct doctor_check *c)
{
    DOCTOR_EACH(a, c)
    {
        if (!doctor_ok(c, a, "get customresourcedefinitions"))
            continue;
        KR_LIST_EACH (it, kr_at(a->req.object, "status.storedVersions")) {
            if (serves_storage(a->req.object, kr_text(*it)))
                continue;
            doctor_say(c, REACTOR_WARN, "%s may keep objects as " KR_FMT, crds[a->tag].name,
                       KR_ARG(kr_text(*it)));
            doctor_cure(c,
                        "write each object once, then take the version out: kubectl get %s -A -o "
                        "yaml | kubectl replace -f -; kubectl edit crd %s --subresource=status "
                        "(storedVersions)",
                        crds[a->tag].name, crds[a->tag].name);
        }
    }
    if (c->finding.n == 0)
        doctor_say(c, REACTOR_PASS, "no old version is left behind");
}

/* --- C03 conflicts ---------------------------------------------------------------------------- */

static kr_val named(kr_val items, kr_str name)
{
    KR_LIST_EACH (it, items) {
        if (kr_str_eq(kr_at_str(*it, "metadata.name"), name))
            return *it;
    }
    return KR_V_NONE;
}

/* A definition that comes before this one in the list and wants the same CRD. */
static kr_val earlier(struct doctor_check *c, kr_val rgds, const kr_val *rgd, kr_str crd)
{
    KR_LIST_EACH (it, rgds) {
        if (it == rgd)
            break;
        if (kr_str_eq(doctor_crd_name(&c->arena, *it), crd))
            return *it;
    }
    return KR_V_NONE;
}

/* The CRD is labelled with another definition; one that is gone never comes to take it off. */
static void judge_owner(struct doctor_check *c, kr_val rgds, kr_str rgd_name, kr_str owner,
                        kr_str crd)
{
    bool gone = c->cut.n == 0;

    KR_LIST_EACH (it, rgds)
        gone = gone &&
               !kr_str_eq(graph_label_value(&c->arena, kr_at_str(*it, "metadata.name")), owner);
    doctor_name(c, REACTOR_FAIL, KR_FMT " belongs to the definition " KR_FMT "%s, not to " KR_FMT,
                KR_ARG(crd), KR_ARG(owner), gone ? ", which is gone" : "", KR_ARG(rgd_name));
    if (gone)
        doctor_cure(c,
                    "give it to the new one: kubectl label crd " KR_FMT " --overwrite %s=" KR_FMT,
                    KR_ARG(doctor_plain(crd)), GRAPH_LABEL_RGD_NAME,
                    KR_ARG(doctor_plain(graph_label_value(&c->arena, rgd_name))));
    else
        doctor_cure(c, "kubectl get rgd; kubectl get crd " KR_FMT " --show-labels",
                    KR_ARG(doctor_plain(crd)));
}

static void judge_conflict(struct doctor_check *c, kr_val rgds, const kr_val *rgd, kr_val crd,
                           kr_str name)
{
    kr_str rgd_name = kr_at_str(*rgd, "metadata.name");
    kr_str owner = kr_text(doctor_label(crd, GRAPH_LABEL_RGD_NAME));
    kr_val other = earlier(c, rgds, rgd, name);

    if (other.kind != KR_NONE) {
        doctor_name(c, REACTOR_FAIL, "the definitions " KR_FMT " and " KR_FMT " want " KR_FMT,
                    KR_ARG(kr_at_str(other, "metadata.name")), KR_ARG(rgd_name), KR_ARG(name));
        doctor_cure(c, "give one another kind, or delete it: kubectl delete rgd " KR_FMT,
                    KR_ARG(doctor_plain(rgd_name)));
    } else if (crd.kind != KR_NONE &&
               !kr_is_str(doctor_label(crd, GRAPH_LABEL_OWNED), KR_S("true"))) {
        doctor_name(c, REACTOR_FAIL, KR_FMT " is there and not made from the definition " KR_FMT,
                    KR_ARG(name), KR_ARG(rgd_name));
        doctor_cure(c,
                    "give the definition another kind or group, or remove the CRD (its objects go "
                    "with it): kubectl delete crd " KR_FMT,
                    KR_ARG(doctor_plain(name)));
    } else if (owner.n > 0 && !kr_str_eq(owner, graph_label_value(&c->arena, rgd_name))) {
        judge_owner(c, rgds, rgd_name, owner, name);
    }
}

void doctor_conflicts_judge(struct doctor_check *c)
{
    kr_val rgds, all;

    if (!doctor_items(c, DOCTOR_F_RGDS, &rgds) || !doctor_items(c, DOCTOR_F_CRDS, &all))
        return;
    KR_LIST_EACH (rgd, rgds) {
        kr_str name = doctor_crd_name(&c->arena, *rgd);

        judge_conflict(c, rgds, rgd, named(all, name), name);
    }
    doctor_named(c);
    if (c->finding.n == 0)
        doctor_say(c, REACTOR_PASS, "%u definitions, each with a kind of its own", rgds.n);
}

/* --- C04 hanging deletions -------------------------------------------------------------------- */

void doctor_ending_start(struct doctor_check *c)
{
    doctor_get(c, KR_S("/api/v1/namespaces?limit=5000"));
}

static bool hangs(struct doctor_check *c, kr_val object)
{
    int64_t since_s;
    uint32_t nanos;

    return kr_time_parse(kr_at_str(object, "metadata.deletionTimestamp"), &since_s, &nanos) &&
           doctor_wall_s(c) - since_s > DOCTOR_ENDING_S;
}

/* Who is waited for: the finalizers, in one string. */
static kr_str finalizers(struct doctor_check *c, kr_val object)
{
    struct kr_buf out = KR_BUF_IN(&c->arena, DOCTOR_WORDS_MAX);

    KR_LIST_EACH (it, kr_at(object, "metadata.finalizers"))
        kr_buf_fmt(&out, "%s" KR_FMT, out.n ? ", " : "", KR_ARG(kr_text(*it)));
    KR_LIST_EACH (it, kr_at(object, "spec.finalizers"))
        kr_buf_fmt(&out, "%s" KR_FMT, out.n ? ", " : "", KR_ARG(kr_text(*it)));
    return out.n ? kr_buf_view(&out) : KR_S("nobody that is named");
}

static void judge_ending(struct doctor_check *c, kr_val items, const char *kind)
{
    KR_LIST_EACH (it, items) {
        kr_str name = kr_at_str(*it, "metadata.name");

        if (!hangs(c, *it))
            continue;
        doctor_name(c, REACTOR_WARN,
                    "%s " KR_FMT " is being deleted since " KR_FMT " and waits for " KR_FMT, kind,
                    KR_ARG(name), KR_ARG(kr_at_str(*it, "metadata.deletionTimestamp")),
                    KR_ARG(finalizers(c, *it)));
        doctor_cure(c, "kubectl get %s " KR_FMT " -o jsonpath='{.status.conditions}'", kind,
                    KR_ARG(doctor_plain(name)));
    }
}

void doctor_ending_judge(struct doctor_check *c)
{
    struct doctor_ask *a = doctor_first(c);
    kr_val all;

    if (doctor_items(c, DOCTOR_F_CRDS, &all))
        judge_ending(c, all, "crd");
    if (doctor_unheard(c, a))
        return;
    if (a->req.rc == 0)
        judge_ending(c, kr_at(a->req.object, "items"), "namespace");
    doctor_named(c);
    if (c->finding.n == 0)
        doctor_say(c, REACTOR_PASS,
                   a->req.rc == 0 ? "no CRD and no namespace hangs in its deletion"
                                  : "no CRD hangs in its deletion; we may not list namespaces");
}
