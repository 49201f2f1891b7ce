/* SPDX-License-Identifier: Apache-2.0 */
/* def_revisions.c - the GraphRevisions of a definition: finalizer, adoption, retention, and the next one.
 *
 * Source: kro:pkg/controller/graphrevision; reference rgd-graph 7.
 */
#include "graph/def.h"

#include "cel/base/banned.h"

/* --- revisions: finalizer, adoption, retention ------------------------------------------------ */

static kr_val finalizer_body(struct kr_arena *a, kr_val object, bool on)
{
    kr_val list = kr_at(object, "metadata.finalizers");
    struct kr_listb kept = KR_LISTB(a);
    struct kr_mapb meta = KR_MAPB(a), body = KR_MAPB(a);

    KR_LIST_EACH (it, list) {
        if (!kr_is_str(*it, KR_S(GRAPH_FINALIZER)))
            kr_listb_add(&kept, *it);
    }
    if (on)
        kr_listb_add(&kept, KR_V_STR(GRAPH_FINALIZER));
    kr_mapb_put(&meta, KR_S("finalizers"), kr_listb_done(&kept));
    /* others' finalizers stand in the list too: it is replaced in the version that was read only */
    kr_mapb_put(&meta, KR_S("resourceVersion"), kr_at(object, "metadata.resourceVersion"));
    kr_mapb_put(&body, KR_S("metadata"), kr_mapb_done(&meta));
    return kr_mapb_done(&body);
}

void def__put_finalizer(struct graph_def *def, struct def_object *o, kr_ref ref, bool on,
                        const struct graph_env *env, struct graph_plan *plan)
{
    struct graph_action *action;

    if (def__has_finalizer(o->v) == on || !def__may_write(&o->write, env, plan))
        return;
    action = def__write(def, &o->write, GRAPH_A_FINALIZER, plan);
    action->ref = ref;
    action->body = finalizer_body(plan->a, o->v, on);
}

static kr_val owner_of(struct graph_def *def, struct kr_arena *a)
{
    struct kr_mapb b = KR_MAPB(a);

    kr_mapb_put(&b, KR_S("apiVersion"), KR_V_STR(GRAPH_GROUP "/" GRAPH_VERSION));
    kr_mapb_put(&b, KR_S("kind"), KR_V_STR("ResourceGraphDefinition"));
    kr_mapb_put(&b, KR_S("name"), kr_string(kr_str_c(def->name)));
    kr_mapb_put(&b, KR_S("uid"), kr_at(def->rgd.v, "metadata.uid"));
    kr_mapb_put(&b, KR_S("controller"), kr_bool(true));
    return kr_mapb_done(&b);
}

static bool is_owner(kr_val ref)
{
    return kr_is_str(kr_get(ref, KR_S("kind")), KR_S("ResourceGraphDefinition")) &&
           kr_str_starts(kr_text(kr_get(ref, KR_S("apiVersion"))), KR_S(GRAPH_GROUP "/"));
}

/* A live revision without our controller reference is ours by name: it gets the reference. */
static void adopt(struct graph_def *def, struct def_revision *r, const struct graph_env *env,
                  struct graph_plan *plan)
{
    kr_val refs = kr_at(r->object.v, "metadata.ownerReferences");
    kr_val uid = kr_at(def->rgd.v, "metadata.uid");
    struct kr_listb out = KR_LISTB(plan->a);
    struct graph_action *action;
    bool placed = false;

    KR_LIST_EACH (it, refs) {
        if (is_owner(*it) && kr_equal(kr_get(*it, KR_S("uid")), uid) &&
            kr_is_true(kr_get(*it, KR_S("controller"))))
            return;
        kr_listb_add(&out, is_owner(*it) && !placed ? owner_of(def, plan->a) : *it);
        placed = placed || is_owner(*it);
    }
    if (!placed)
        kr_listb_add(&out, owner_of(def, plan->a));
    if (!def__may_write(&r->object.write, env, plan))
        return;
    action = def__write(def, &r->object.write, GRAPH_A_UPDATE, plan);
    action->ref = def__ref(GRAPH_GROUP_INTERNAL, "graphrevisions", r->name);
    action->body = kr_with(plan->a, r->object.v, "metadata.ownerReferences", kr_listb_done(&out));
}

/* What every revision needs whatever is compiled. */
void def__tend_revisions(struct graph_def *def, const struct graph_env *env,
                         struct graph_plan *plan)
{
    for (struct def_revision *r = def->revisions; r; r = r->next) {
        def__put_finalizer(def, &r->object,
                           def__ref(GRAPH_GROUP_INTERNAL, "graphrevisions", r->name),
                           !r->terminating, env, plan);
        if (!r->terminating && def->rgd.v.kind == KR_MAP)
            adopt(def, r, env, plan);
    }
}

void def__retain(struct graph_def *def, const struct graph_env *env, struct graph_plan *plan)
{
    uint32_t live = 0;

    for (struct def_revision *r = def->revisions; env->revisions_max && r; r = r->next) {
        struct graph_action *action;

        if (r->terminating || ++live <= env->revisions_max ||
            !def__may_write(&r->object.write, env, plan))
            continue;
        action = def__write(def, &r->object.write, GRAPH_A_DELETE, plan);
        action->ref = def__ref(GRAPH_GROUP_INTERNAL, "graphrevisions", r->name);
        action->uid = kr_at_str(r->object.v, "metadata.uid");
    }
}

/* --- issuing ---------------------------------------------------------------------------------- */

static int64_t next_number(const struct graph_def *def)
{
    int64_t n = def__int_at(def->rgd.v, "status.lastIssuedRevision");

    for (const struct def_revision *r = def->revisions; r; r = r->next) {
        if (r->number > n)
            n = r->number;
    }
    return n + 1;
}

static kr_val revision_body(struct graph_def *def, const struct graph_env *env, struct kr_arena *a,
                            kr_str name)
{
    struct kr_mapb labels = KR_MAPB(a), meta = KR_MAPB(a), snapshot = KR_MAPB(a), spec = KR_MAPB(a);
    struct kr_mapb body = KR_MAPB(a);
    kr_val *owner = kr_new(a, kr_val), *finalizer = kr_new(a, kr_val);

    *owner = owner_of(def, a);
    *finalizer = KR_V_STR(GRAPH_FINALIZER);
    kr_mapb_put(&labels, KR_S(GRAPH_LABEL_OWNED), KR_V_STR("true"));
    kr_mapb_put(&labels, KR_S(GRAPH_LABEL_VERSION),
                kr_string(graph_version_label(a, env->version)));
    kr_mapb_put(&labels, KR_S(GRAPH_LABEL_RGD_NAME), kr_string(kr_str_c(def->name)));
    kr_mapb_put(&labels, KR_S(GRAPH_LABEL_HASH), kr_string(kr_str_c(def->hash)));
    kr_mapb_put(&meta, KR_S("name"), kr_string(name));
    kr_mapb_put(&meta, KR_S("labels"), kr_mapb_done(&labels));
    kr_mapb_put(&meta, KR_S("ownerReferences"), kr_list(owner, 1));
    kr_mapb_put(&meta, KR_S("finalizers"), kr_list(finalizer, 1));
    kr_mapb_put(&snapshot, KR_S("name"), kr_string(kr_str_c(def->name)));
    kr_mapb_put(&snapshot, KR_S("generation"),
                kr_int(def__int_at(def->rgd.v, "metadata.generation")));
    kr_mapb_put(&snapshot, KR_S("spec"), kr_at(def->rgd.v, "spec"));
    kr_mapb_put(&spec, KR_S("revision"), kr_int(def->creating));
    kr_mapb_put(&spec, KR_S("snapshot"), kr_mapb_done(&snapshot));
    kr_mapb_put(&body, KR_S("apiVersion"), KR_V_STR(GRAPH_GROUP_INTERNAL "/" GRAPH_VERSION));
    kr_mapb_put(&body, KR_S("kind"), KR_V_STR("GraphRevision"));
    kr_mapb_put(&body, KR_S("metadata"), kr_mapb_done(&meta));
    kr_mapb_put(&body, KR_S("spec"), kr_mapb_done(&spec));
    return kr_mapb_done(&body);
}

/* Issues a new revision. The pass waits for the answer, which makes it a live one. */
bool def__issue(struct graph_def *def, const struct graph_env *env, struct graph_plan *plan)
{
    struct def_write *w = &def->create.write;
    int64_t number = def->creating ? def->creating : next_number(def);
    kr_str name = graph_revision_name(plan->a, kr_str_c(def->name), number);

    if (!def__has_finalizer(def->rgd.v))
        return false; /* being written: without it a deletion could pass unseen */
    if (def__may_write(w, env, plan)) {
        struct graph_action *action = def__write(def, w, GRAPH_A_CREATE, plan);

        def->creating = number;
        def->creating_spec = kr_digest(kr_at(def->rgd.v, "spec"));
        action->ref = def__ref(GRAPH_GROUP_INTERNAL, "graphrevisions", name);
        action->body = revision_body(def, env, plan->a, name);
    }
    def__verdict(
        def, V_REVISIONS, "Unknown", "WaitingForGraphRevisionCompilation",
        def__text(def, "graph revision %lld issued and awaiting compilation", (long long)number));
    if (w->error && !w->token) {
        kr_str text =
            def__text(def, "creating graph revision \"" KR_FMT "\": %s", KR_ARG(name), w->error);

        def->verdicts[V_REVISIONS].status = NULL;
        if (w->refused) {
            def__reject(def, text);
            return true;
        }
        def__verdict(def, V_ACCEPTED, "False", "InvalidResourceGraph", text);
    }
    return false;
}
