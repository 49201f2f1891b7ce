/* SPDX-License-Identifier: Apache-2.0 */
/* def_crd.c - the generated CRD of a definition, from absent to established.
 *
 *   absent --CREATE--> there --ours? changed? breaking?--PATCH--> there --Established--> ok
 *
 * Whether a patch is needed is decided by comparing whole values, whether it is let through by the
 * list of breaking changes. Labels of kro alone never cause a patch, but the definition's id does:
 * a definition that was made anew adopts the CRD. Every wait is for an event of the CRD.
 *
 * In a sidecar nothing is written: the kind as discovery and OpenAPI tell it has to hold every
 * field that the definition needs.
 *
 * Source: kro:pkg/client/crd.go; reference rgd-graph 3.3, 3.5.
 */
#include "graph/def.h"

#include "cel/base/banned.h"

kr_str def__label(kr_val object, kr_str key)
{
    return kr_text(kr_get(kr_at(object, "metadata.labels"), key));
}

static bool kro_owned(kr_val crd)
{
    kr_val owned = kr_get(kr_at(crd, "metadata.labels"), KR_S(GRAPH_LABEL_OWNED));

    if (owned.kind == KR_STRING)
        return kr_is_str(owned, KR_S("true"));
    return kr_str_is(def__label(crd, KR_S(GRAPH_LABEL_MANAGED_BY)), GRAPH_MANAGED_BY);
}

bool def__crd_ours(const struct graph_def *def)
{
    return def->crd.v.kind == KR_MAP && kro_owned(def->crd.v) &&
           kr_str_eq(def__label(def->crd.v, KR_S(GRAPH_LABEL_RGD_NAME)), kr_str_c(def->name));
}

/* The CRD as it should be, with kro's labels. */
static kr_val desired_of(struct graph_def *def, const struct graph_env *env, struct kr_arena *a)
{
    kr_val crd = def->built->crd, labels = kr_at(crd, "metadata.labels");

    if (labels.kind != KR_MAP)
        labels = kr_map_sorted(NULL, 0);
    labels = kr_with_key(a, labels, KR_S(GRAPH_LABEL_OWNED), KR_V_STR("true"));
    labels = kr_with_key(a, labels, KR_S(GRAPH_LABEL_VERSION),
                         kr_string(graph_version_label(a, env->version)));
    labels = kr_with_key(a, labels, KR_S(GRAPH_LABEL_RGD_ID), kr_string(def->built->rgd_uid));
    labels = kr_with_key(a, labels, KR_S(GRAPH_LABEL_RGD_NAME), kr_string(kr_str_c(def->name)));
    return kr_with(a, crd, "metadata.labels", labels);
}

/* Does have hold every member of want with an equal value? The version label is passed over. */
static bool holds(kr_val have, kr_val want)
{
    KR_MAP_EACH (it, want) {
        if (!kr_is_str(it->key, KR_S(GRAPH_LABEL_VERSION)) &&
            !kr_equal(kr_get(have, kr_text(it->key)), it->val))
            return false;
    }
    return true;
}

static bool same_list(kr_val x, kr_val y)
{
    return (x.n == 0 && y.n == 0) || kr_equal(x, y);
}

static bool same_names(kr_val have, kr_val want)
{
    static const char *const texts[] = {"kind", "listKind", "plural", "singular"};

    for (size_t i = 0; i < KR_N(texts); i++) {
        if (!kr_equal(kr_get(have, kr_str_c(texts[i])), kr_get(want, kr_str_c(texts[i]))))
            return false;
    }
    return same_list(kr_get(have, KR_S("shortNames")), kr_get(want, KR_S("shortNames"))) &&
           same_list(kr_get(have, KR_S("categories")), kr_get(want, KR_S("categories")));
}

static bool needs_patch(kr_val have, kr_val want)
{
    return !same_names(kr_at(have, "spec.names"), kr_at(want, "spec.names")) ||
           !kr_equal(kr_at(have, "spec.versions"), kr_at(want, "spec.versions")) ||
           !holds(kr_at(have, "metadata.labels"), kr_at(want, "metadata.labels")) ||
           !holds(kr_at(have, "metadata.annotations"), kr_at(want, "metadata.annotations"));
}

/* Same shape as kro's merge patch; absent aliases are null so that they are taken away. */
static kr_val patch_of(struct kr_arena *a, kr_val want)
{
    static const char *const aliases[] = {"shortNames", "categories"};
    kr_val names = kr_at(want, "spec.names"), spec = kr_get(want, KR_S("spec"));
    struct kr_mapb meta = KR_MAPB(a), patch = KR_MAPB(a);
    kr_val annotations = kr_at(want, "metadata.annotations");

    for (size_t i = 0; i < KR_N(aliases); i++) {
        if (kr_get(names, kr_str_c(aliases[i])).kind == KR_NONE)
            names = kr_with_key(a, names, kr_str_c(aliases[i]), KR_V_NULL);
    }
    kr_mapb_put(&meta, KR_S("labels"), kr_at(want, "metadata.labels"));
    if (annotations.kind == KR_MAP)
        kr_mapb_put(&meta, KR_S("annotations"), annotations);
    kr_mapb_put(&patch, KR_S("metadata"), kr_mapb_done(&meta));
    kr_mapb_put(&patch, KR_S("spec"), kr_with_key(a, spec, KR_S("names"), names));
    return kr_mapb_done(&patch);
}

static enum def_crd bad(struct graph_def *def, kr_str text)
{
    def__verdict(def, V_KIND, "False", "Failed", text);
    return DEF_CRD_BAD;
}

/* A wait that kro does inside its worker and never tells; here it is told when it lasts. */
static enum def_crd wait(struct graph_def *def, const char *reason, kr_str text)
{
    def__verdict(def, V_KIND, "Unknown", reason, text);
    return DEF_CRD_WAIT;
}

static enum def_crd write_crd(struct graph_def *def, const struct graph_env *env,
                              struct graph_plan *plan, enum graph_action_kind kind, kr_val body)
{
    struct def_write *w = &def->crd.write;
    struct graph_action *action;

    if (def__may_write(w, env, plan)) {
        action = def__write(def, w, kind, plan);
        action->ref = def__ref("apiextensions.k8s.io", "customresourcedefinitions", def->crd_name);
        action->ref.gvr.version = KR_S("v1");
        action->gvk =
            (kr_gvk){KR_S("apiextensions.k8s.io"), KR_S("v1"), KR_S("CustomResourceDefinition")};
        action->body = body;
    }
    if (w->error && !w->token) {
        enum def_crd outcome =
            bad(def, def__text(def, "failed to %s CRD: %s",
                               kind == GRAPH_A_CREATE ? "create" : "patch", w->error));

        return w->refused ? outcome : DEF_CRD_WAIT;
    }
    return wait(def, "WaitingForKind",
                def__text(def, "waiting for CRD " KR_FMT " to be written", KR_ARG(def->crd_name)));
}

/* Ownership; and, where it is to be patched, breaking changes. */
static enum def_crd may_patch(struct graph_def *def, kr_val want, bool patch)
{
    kr_str owner = def__label(def->crd.v, KR_S(GRAPH_LABEL_RGD_NAME));
    struct graph_changes changes;
    struct kr_err err = KR_ERR_NONE;

    if (!kro_owned(def->crd.v))
        return bad(def, def__text(def,
                                  "failed to update CRD " KR_FMT
                                  ": CRD already exists and is not owned by KRO",
                                  KR_ARG(def->crd_name)));
    if (!kr_str_eq(owner, kr_str_c(def->name)))
        return bad(def, def__text(def,
                                  "failed to update CRD " KR_FMT
                                  ": CRD is owned by another ResourceGraphDefinition " KR_FMT,
                                  KR_ARG(def->crd_name), KR_ARG(owner)));
    if (!patch)
        return DEF_CRD_OK;
    if (graph__crd_compare(&def->texts, kr_at(def->crd.v, "spec.versions"),
                           kr_at(want, "spec.versions"), &changes, &err) < 0)
        return bad(def, def__text(def, "failed to check schema compatibility: %s", err.text));
    if (changes.breaking_n &&
        !kr_is_str(kr_get(kr_at(def->rgd.v, "metadata.annotations"), KR_S(GRAPH_ANNO_BREAKING)),
                   KR_S("true")))
        return bad(
            def,
            def__text(def, "cannot update CRD " KR_FMT ": breaking changes detected: " KR_FMT,
                      KR_ARG(def->crd_name), KR_ARG(graph__changes_text(&def->texts, &changes))));
    return DEF_CRD_OK;
}

static kr_val condition_of(kr_val object, const char *type)
{
    kr_val conditions = kr_at(object, "status.conditions");

    KR_LIST_EACH (it, conditions) {
        if (kr_is_str(kr_get(*it, KR_S("type")), kr_str_c(type)))
            return *it;
    }
    return KR_V_NONE;
}

static enum def_crd established(struct graph_def *def)
{
    kr_val names = condition_of(def->crd.v, "NamesAccepted");
    kr_str kind = kr_at_str(def->crd.v, "status.acceptedNames.kind");

    if (kr_is_str(kr_get(condition_of(def->crd.v, "Established"), KR_S("status")), KR_S("True"))) {
        def__verdict(def, V_KIND, "True", "Ready",
                     def__text(def, "kind " KR_FMT " has been accepted and ready", KR_ARG(kind)));
        return DEF_CRD_OK;
    }
    if (kr_is_str(kr_get(names, KR_S("status")), KR_S("False")))
        return bad(def, def__text(def, "CRD " KR_FMT " is not established: " KR_FMT,
                                  KR_ARG(def->crd_name),
                                  KR_ARG(kr_text(kr_get(names, KR_S("message"))))));
    return wait(
        def, "WaitingForKind",
        def__text(def, "waiting for CRD " KR_FMT " to be established", KR_ARG(def->crd_name)));
}

enum def_crd def__crd_step(struct graph_def *def, const struct graph_env *env,
                           struct graph_plan *plan)
{
    kr_val want = desired_of(def, env, plan->a), have = def->crd.v;
    enum def_crd outcome;
    bool patch;

    if (have.kind == KR_NONE)
        return write_crd(def, env, plan, GRAPH_A_CREATE, want);
    patch = needs_patch(have, want);
    outcome = may_patch(def, want, patch);
    if (outcome != DEF_CRD_OK)
        return outcome;
    if (kr_at(have, "metadata.deletionTimestamp").kind == KR_STRING)
        return bad(def, def__text(def, "CRD " KR_FMT " is being deleted", KR_ARG(def->crd_name)));
    if (patch)
        return write_crd(def, env, plan, GRAPH_A_PATCH, patch_of(plan->a, want));
    return established(def);
}

/* --- sidecar ---------------------------------------------------------------------------------- */

enum { SHAPE_DEPTH_MAX = 64 };

/* The first field of want that the served schema lacks or has with another type; empty: none. */
static kr_str lacks(struct kr_arena *a, const struct cel_schema *have,
                    const struct cel_schema *want, kr_str path, uint32_t depth)
{
    const struct cel_schema *items = cel_schema_at(want, &KR_S("[]"), 1);
    kr_str found = KR_S("");

    if (!have)
        return kr_fmt(a, "has no field " KR_FMT, KR_ARG(path));
    if (have->preserve_unknown || want->type == CEL_S_NONE || depth == SHAPE_DEPTH_MAX)
        return found;
    if (have->type != want->type)
        return kr_fmt(a, "has another type for field " KR_FMT, KR_ARG(path));
    for (uint32_t i = 0; i < want->fields_n && found.n == 0; i++) {
        kr_str name = want->fields[i].name;

        found = lacks(a, cel_schema_member(have, name), cel_schema_member(want, name),
                      graph__path_join(a, path, name), depth + 1);
    }
    if (found.n == 0 && items)
        found = lacks(a, cel_schema_at(have, &KR_S("[]"), 1), items,
                      kr_fmt(a, KR_FMT "[]", KR_ARG(path)), depth + 1);
    return found;
}

kr_str def__crd_shape(struct kr_arena *a, const struct graph_rev *rev,
                      const struct cel_kinds *kinds)
{
    static const char *const parts[] = {"spec", "status"};
    const struct cel_kind *kind = cel_kinds_find(kinds, rev->instance_gvk);
    kr_str name = kr_at_str(rev->crd, "metadata.name"), why = KR_S("is not installed");
    static const char fix[] = "put it there: kroc generate crd -f FILE | kubectl apply -f -";
    kr_val schema = kr_at(kr_item(kr_at(rev->crd, "spec.versions"), 0), "schema.openAPIV3Schema");
    const struct cel_schema *want;
    struct kr_err err = KR_ERR_NONE;

    if (!kind || !kind->schema)
        return kr_fmt(a, "CRD " KR_FMT " " KR_FMT "; %s", KR_ARG(name), KR_ARG(why), fix);
    if (cel_schema_read(a, schema, &want, &err) < 0)
        return kr_fmt(a, "CRD " KR_FMT ": %s", KR_ARG(name), err.text);
    why = KR_S("");
    if (kind->namespaced != rev->namespaced)
        why = KR_S("has another scope");
    else if (!kr_str_eq(kind->resource, rev->instance_gvr.resource))
        why = KR_S("has another plural name");
    for (size_t i = 0; i < KR_N(parts) && why.n == 0; i++)
        why = lacks(a, cel_schema_member(kind->schema, kr_str_c(parts[i])),
                    cel_schema_member(want, kr_str_c(parts[i])), kr_str_c(parts[i]), 0);
    if (why.n == 0)
        return why;
    return kr_fmt(a, "CRD " KR_FMT " " KR_FMT "; %s", KR_ARG(name), KR_ARG(why), fix);
}
