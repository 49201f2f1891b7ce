/* SPDX-License-Identifier: Apache-2.0 */
/* def_test.c - the definition machine against a small cluster in memory: golden traces of what it
 * asks for, from first sight to deletion, over restarts, refusals and late answers. */
#include "graph/internal.h"
#include "tests/graph/schemas.h"

#include <stdio.h>

/* --- a cluster that does what it is told ------------------------------------------------------ */

enum { OBJECTS_MAX = 32 };

struct object {
    kr_val v; /* KR_NONE: a free place */
    bool gone_told;
};

struct world {
    struct kr_arena a;
    struct graph_def *def;
    struct graph_env env;
    struct object rgd, crd, revisions[OBJECTS_MAX];
    uint64_t rv;
    bool has_kind;  /* ConfigMap is known */
    bool establish; /* CRDs become established at once */
    bool prune;     /* the server changes the snapshots of revisions */
    bool hold;      /* answers are kept back */
    bool
        overtake; /* the watch, and the next write's answer, overtake that of a revision's creation */
    struct graph_result late;
    int refuse; /* the outcome of writes of .refuse_what, instead of doing them; 0: none */
    const char *refuse_what;
    const char *controller;        /* why the reactor cannot serve; NULL: it can */
    const struct kr_err *no_kinds; /* why schemas cannot be fetched; NULL: they can */
    struct kr_buf log;
    uint64_t wake_ms;
    uint32_t writes;
};

static const char rgd_text[] =
    "apiVersion: kro.run/v1alpha1\nkind: ResourceGraphDefinition\n"
    "metadata: {name: webapp, uid: u-1, generation: 1, creationTimestamp: '2026-01-01T00:00:00Z'}\n"
    "spec: {schema: {apiVersion: v1alpha1, kind: WebApp, spec: {name: string}},\n"
    "  resources: [{id: cm, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "
    "'${schema.spec.name}'}}}]}\n";

static kr_val bump(struct world *w, kr_val v)
{
    return kr_with(&w->a, v, "metadata.resourceVersion",
                   kr_string(kr_fmt(&w->a, "%llu", (unsigned long long)++w->rv)));
}

static struct world *world_new(void)
{
    struct world *w = KR_ALLOC(struct world);

    kr_buf_init(&w->log, 1024 * 1024);
    w->env = (struct graph_env){
        .now_ms = 1000, .wall_s = 1767225600, .version = KR_S("v0.9.3"), .revisions_max = 5};
    w->has_kind = w->establish = true;
    w->rgd.v = bump(w, test_yaml(&w->a, rgd_text));
    return w;
}

static void world_free(struct world *w)
{
    graph_def_free(w->def);
    kr_buf_fini(&w->log);
    kr_arena_fini(&w->a);
    kr_free(w);
}

/* RFC 7396. */
static kr_val merge(struct kr_arena *a, kr_val v, kr_val patch)
{
    if (patch.kind != KR_MAP)
        return patch;
    if (v.kind != KR_MAP)
        v = kr_map_sorted(NULL, 0);
    KR_MAP_EACH (it, patch) {
        kr_str key = kr_text(it->key);

        v = kr_with_key(a, v, key,
                        it->val.kind == KR_NULL ? KR_V_NONE : merge(a, kr_get(v, key), it->val));
    }
    return v;
}

static struct object *find(struct world *w, kr_ref ref)
{
    if (kr_str_is(ref.gvr.resource, "resourcegraphdefinitions"))
        return &w->rgd;
    if (kr_str_is(ref.gvr.resource, "customresourcedefinitions"))
        return &w->crd;
    for (int i = 0; i < OBJECTS_MAX; i++) {
        if (kr_str_eq(kr_at_str(w->revisions[i].v, "metadata.name"), ref.name))
            return &w->revisions[i];
    }
    for (int i = 0; i < OBJECTS_MAX; i++) {
        if (w->revisions[i].v.kind == KR_NONE)
            return &w->revisions[i];
    }
    fail();
    return NULL;
}

static bool is_free(kr_val v)
{
    return kr_at(v, "metadata.deletionTimestamp").kind == KR_STRING &&
           kr_at(v, "metadata.finalizers").n == 0;
}

static kr_val established(struct world *w, kr_val crd)
{
    kr_val kind = kr_at(crd, "spec.names.kind");

    crd = kr_with(&w->a, crd, "status.conditions",
                  test_json(&w->a, "[{\"type\":\"Established\",\"status\":\"True\"}]"));
    return kr_with(&w->a, crd, "status.acceptedNames.kind", kind);
}

/* The object after the action. */
static kr_val effect(struct world *w, const struct graph_action *action, kr_val v)
{
    switch (action->kind) {
    case GRAPH_A_CREATE:
        v = kr_copy(&w->a, action->body);
        if (w->prune && kr_is_str(kr_at(v, "kind"), KR_S("GraphRevision")))
            v = kr_with(&w->a, v, "spec.snapshot.spec.schema.spec.added", KR_V_STR("string"));
        v = kr_with(&w->a, v, "metadata.uid",
                    kr_string(kr_fmt(&w->a, "u-%llu", (unsigned long long)w->rv)));
        v = kr_with(&w->a, v, "metadata.creationTimestamp", KR_V_STR("2026-01-01T00:00:00Z"));
        if (kr_is_str(kr_at(v, "kind"), KR_S("CustomResourceDefinition")) && w->establish)
            v = established(w, v);
        return v;
    case GRAPH_A_UPDATE:
        return kr_copy(&w->a, action->body);
    case GRAPH_A_DELETE:
        return kr_with(&w->a, v, "metadata.deletionTimestamp", KR_V_STR("2026-01-02T00:00:00Z"));
    default:
        return merge(&w->a, v, kr_copy(&w->a, action->body));
    }
}

static void tell(struct world *w, const struct object *o, bool gone)
{
    if (o == &w->rgd)
        graph_def_object(w->def, gone ? KR_V_NONE : o->v);
    else if (o == &w->crd)
        graph_def_crd(w->def, gone ? KR_V_NONE : o->v, true);
    else
        graph_def_revision(w->def, o->v, gone);
}

static void answer_fetch(struct world *w, const struct graph_action *action)
{
    struct cel_kinds *kinds = cel_kinds_new();
    struct kr_err err = KR_ERR_NONE;
    static const char schema[] = "type: object\nproperties: {apiVersion: {type: string}, kind: "
                                 "{type: string}, metadata: {type: object,\n"
                                 "properties: {name: {type: string}}}, data: {type: object, "
                                 "additionalProperties: {type: string}}}\n";
    kr_gvk missing[8];
    uint32_t missing_n = 0;

    if (w->no_kinds) {
        cel_kinds_free(kinds);
        graph_def_kinds(w->def, NULL, NULL, 0, w->no_kinds);
        return;
    }
    for (uint32_t i = 0; i < action->gvks_n; i++) {
        kr_gvk k = action->gvks[i];
        kr_val crd = kr_item(kr_at(w->crd.v, "spec.versions"), 0);

        if (kr_str_is(k.kind, "ConfigMap") && w->has_kind)
            EXPECT_OK(cel_kinds_add_schema(kinds, k, KR_S("configmaps"), true,
                                           test_yaml(&w->a, schema), &err),
                      &err);
        else if (kr_str_is(k.kind, "WebApp") && crd.kind == KR_MAP)
            EXPECT_OK(cel_kinds_add_schema(kinds, k, KR_S("webapps"), true,
                                           kr_at(crd, "schema.openAPIV3Schema"), &err),
                      &err);
        else
            missing[missing_n++] = k;
    }
    graph_def_kinds(w->def, kinds, missing, missing_n, NULL);
}

/* The watch tells of a creation before its answer comes, which the next write overtakes. */
static bool is_overtaken(struct world *w, struct graph_result *res, const struct object *o)
{
    bool first = w->overtake && w->late.token == 0;

    if (first) {
        w->late = *res;
        w->late.object = o->v;
        tell(w, o, false);
    }
    return first;
}

static void perform(struct world *w, const struct graph_action *action)
{
    struct object *o = find(w, action->ref);
    struct graph_result res = {.token = action->token, .outcome = GRAPH_O_OK};
    bool revision = kr_str_is(action->ref.gvr.resource, "graphrevisions");

    w->writes++;
    if (w->refuse && strcmp(w->refuse_what, graph_action_word(action->kind)) == 0) {
        res.outcome = (enum graph_outcome)w->refuse;
        res.message = KR_S("no");
        graph_def_result(w->def, &res, w->env.now_ms);
        return;
    }
    o->v = bump(w, effect(w, action, o->v));
    if (w->hold || (revision && is_overtaken(w, &res, o)))
        return;
    res.object = o->v;
    graph_def_result(w->def, &res, w->env.now_ms);
    tell(w, o, false); /* the echo */
    if (revision && w->late.token)
        graph_def_result(w->def, &w->late, w->env.now_ms);
    if (is_free(o->v)) {
        tell(w, o, true);
        *o = (struct object){0};
    }
}

/* Steps until nothing is asked for any more. Returns the trace since the last call. */
static const char *run(struct world *w)
{
    kr_buf_reset(&w->log);
    for (int i = 0; i < 50; i++) {
        KR_AUTO(kr_arena) a = {0};
        struct graph_plan plan;

        graph_plan_init(&plan, &a);
        graph_def_step(w->def, &w->env, &plan);
        w->wake_ms = plan.wake_ms;
        if (plan.n == 0)
            break;
        assert_true(i < 49);
        graph_plan_print(&plan, &w->log);
        for (uint32_t k = 0; k < plan.n; k++) {
            const struct graph_action *action = &plan.actions[k];

            if (action->kind == GRAPH_A_FETCH)
                answer_fetch(w, action);
            else if (action->kind == GRAPH_A_SERVE)
                graph_def_controller(w->def, w->controller ? -1 : 0, kr_str_c(w->controller));
            else if (action->kind == GRAPH_A_GONE)
                return kr_cstr(&w->a, kr_buf_view(&w->log));
            else if (action->kind != GRAPH_A_UNSERVE)
                perform(w, action);
        }
    }
    return kr_cstr(&w->a, kr_buf_view(&w->log));
}

/* A controller that comes up: a new machine that is told everything. */
static void start(struct world *w)
{
    graph_def_free(w->def);
    w->def = graph_def_new(KR_S("webapp"));
    graph_def_object(w->def, w->rgd.v);
    for (int i = 0; i < OBJECTS_MAX; i++) {
        if (w->revisions[i].v.kind != KR_NONE)
            graph_def_revision(w->def, w->revisions[i].v, false);
    }
    graph_def_revisions_known(w->def, true);
    graph_def_crd(w->def, w->crd.v, true);
}

/* The user edits the definition. */
static void edit(struct world *w, const char *path, kr_val v)
{
    int64_t generation = kr_at(w->rgd.v, "metadata.generation").i;

    w->rgd.v = kr_with(&w->a, w->rgd.v, path, v);
    if (strncmp(path, "spec", 4) == 0)
        w->rgd.v = kr_with(&w->a, w->rgd.v, "metadata.generation", kr_int(generation + 1));
    w->rgd.v = bump(w, w->rgd.v);
    tell(w, &w->rgd, false);
}

static const char *conditions(struct world *w, kr_val object)
{
    kr_str out = KR_S("");

    KR_LIST_EACH (it, kr_at(object, "status.conditions"))
        out =
            kr_fmt(&w->a, KR_FMT KR_FMT "=" KR_FMT "/" KR_FMT "@%lld " KR_FMT "\n", KR_ARG(out),
                   KR_ARG(kr_at_str(*it, "type")), KR_ARG(kr_at_str(*it, "status")),
                   KR_ARG(kr_at_str(*it, "reason")), (long long)kr_at(*it, "observedGeneration").i,
                   KR_ARG(kr_at_str(*it, "message")));
    return kr_cstr(&w->a, out);
}

static const char *status(struct world *w)
{
    return kr_cstr(&w->a, kr_json_str(&w->a, kr_with(&w->a, kr_at(w->rgd.v, "status"), "conditions",
                                                     KR_V_NONE)));
}

static void serve(struct world *w)
{
    start(w);
    run(w);
    assert_string_equal(graph_def_state(w->def), "Active");
}

/* --- healthy life ----------------------------------------------------------------------------- */

TEST(graph_def, an_answer_that_the_watch_has_overtaken_costs_no_write)
{
    struct world *w = world_new();

    w->overtake = true;
    start(w);
    EXPECT_TEXT(run(w), "finalizer resourcegraphdefinitions webapp\n"
                        "fetch   v1/ConfigMap\n"
                        "create  graphrevisions webapp-r00001\n"
                        "create  apiextensions.k8s.io/v1/CustomResourceDefinition webapps.kro.run\n"
                        "statuspatch graphrevisions webapp-r00001\n"
                        "serve   webapps.kro.run\n"
                        "statuspatch resourcegraphdefinitions webapp Active\n");
    assert_int_equal(w->writes, 5);
    world_free(w);
}

TEST(graph_def, a_healthy_create_costs_five_writes)
{
    struct world *w = world_new();

    start(w);
    EXPECT_TEXT(run(w), "finalizer resourcegraphdefinitions webapp\n"
                        "fetch   v1/ConfigMap\n"
                        "create  graphrevisions webapp-r00001\n"
                        "create  apiextensions.k8s.io/v1/CustomResourceDefinition webapps.kro.run\n"
                        "statuspatch graphrevisions webapp-r00001\n"
                        "serve   webapps.kro.run\n"
                        "statuspatch resourcegraphdefinitions webapp Active\n");
    assert_int_equal(w->writes, 5);
    EXPECT_TEXT(conditions(w, w->rgd.v),
                "GraphRevisionsResolved=True/Resolved@1 revision 1 compiled and active\n"
                "GraphAccepted=True/Valid@1 resource graph and schema are valid\n"
                "KindReady=True/Ready@1 kind WebApp has been accepted and ready\n"
                "ControllerReady=True/Running@1 controller is running\n"
                "Ready=True/Ready@1 \n");
    EXPECT_TEXT(status(w),
                "{\"lastIssuedRevision\":1,\"state\":\"Active\",\"topologicalOrder\":[\"cm\"]}");
    EXPECT_TEXT(conditions(w, w->revisions[0].v), "GraphVerified=True/Verified@0 graph revision "
                                                  "compiled and verified\nReady=True/Ready@0 \n");
    assert_non_null(graph_def_serving(w->def));
    assert_int_equal(graph_def_serving(w->def)->number, 1);
    EXPECT_TEXT(
        kr_cstr(&w->a, kr_json_str(&w->a, kr_at(w->revisions[0].v, "metadata.labels"))),
        "{\"kro.run/graph-revision-hash\":\"3fa72ab0919bf3a8\",\"kro.run/kro-version\":\"v0.9.3\","
        "\"kro.run/owned\":\"true\",\"kro.run/resource-graph-definition-name\":\"webapp\"}");
    world_free(w);
}

TEST(graph_def, a_restart_with_everything_in_place_writes_nothing)
{
    struct world *w = world_new();

    serve(w);
    w->writes = 0;
    start(w);
    EXPECT_TEXT(run(w), "fetch   v1/ConfigMap\n"
                        "serve   webapps.kro.run\n");
    assert_int_equal(w->writes, 0);
    assert_string_equal(graph_def_state(w->def), "Active");
    world_free(w);
}

TEST(graph_def, another_version_of_the_program_writes_nothing)
{
    struct world *w = world_new();

    serve(w);
    w->env.version = KR_S("v1.0.0");
    w->writes = 0;
    start(w);
    run(w);
    assert_int_equal(w->writes, 0);
    world_free(w);
}

TEST(graph_def, a_changed_spec_issues_a_revision_and_patches_the_crd)
{
    struct world *w = world_new();

    serve(w);
    edit(w, "spec.schema.spec.size", KR_V_STR("integer"));
    EXPECT_TEXT(run(w), "fetch   v1/ConfigMap\n"
                        "create  graphrevisions webapp-r00002\n"
                        "patch   apiextensions.k8s.io/v1/CustomResourceDefinition webapps.kro.run\n"
                        "statuspatch graphrevisions webapp-r00002\n"
                        "serve   webapps.kro.run\n"
                        "statuspatch resourcegraphdefinitions webapp\n");
    EXPECT_TEXT(status(w),
                "{\"lastIssuedRevision\":2,\"state\":\"Active\",\"topologicalOrder\":[\"cm\"]}");
    assert_int_equal(graph_def_serving(w->def)->number, 2);
    assert_true(kr_at(kr_item(kr_at(w->crd.v, "spec.versions"), 0),
                      "schema.openAPIV3Schema.properties.spec.properties.size")
                    .kind == KR_MAP);
    world_free(w);
}

TEST(graph_def, only_the_newest_revisions_are_kept)
{
    struct world *w = world_new();
    uint32_t n = 0;

    w->env.revisions_max = 2;
    serve(w);
    for (int i = 0; i < 4; i++) {
        edit(w, kr_fmt(&w->a, "spec.schema.spec.f%d", i).s, KR_V_STR("string"));
        run(w);
    }
    for (int i = 0; i < OBJECTS_MAX; i++)
        n += w->revisions[i].v.kind != KR_NONE;
    assert_int_equal(n, 2);
    assert_int_equal(kr_at(w->rgd.v, "status.lastIssuedRevision").i, 5);
    world_free(w);
}

/* --- what is wrong ---------------------------------------------------------------------------- */

#define BAD                                                                                        \
    "failed to build resourcegraphdefinition \"webapp\": failed to build OpenAPI schema for "      \
    "instance: "                                                                                   \
    "field bad: unknown type: nope"

TEST(graph_def, a_spec_that_does_not_compile_leaves_the_last_good_revision_serving)
{
    struct world *w = world_new();
    struct graph_rev *good;

    serve(w);
    good = graph_def_serving(w->def);
    edit(w, "spec.schema.spec.bad", KR_V_STR("nope"));
    EXPECT_TEXT(run(w), "fetch   v1/ConfigMap\n"
                        "statuspatch resourcegraphdefinitions webapp Inactive\n");
    assert_ptr_equal(graph_def_serving(w->def), good);
    EXPECT_TEXT(conditions(w, w->rgd.v),
                "KindReady=True/Ready@1 kind WebApp has been accepted and ready\n"
                "ControllerReady=True/Running@1 controller is running\n"
                "GraphRevisionsResolved=True/Resolved@2 revision 1 compiled and active\n"
                "GraphAccepted=False/InvalidResourceGraph@2 " BAD "\n"
                "Ready=False/InvalidResourceGraph@2 " BAD "\n");
    EXPECT_TEXT(status(w), "{\"lastIssuedRevision\":1,\"state\":\"Inactive\"}");
    EXPECT_TEXT(run(w), "");
    edit(w, "spec.schema.spec.bad", KR_V_NONE);
    run(w);
    assert_string_equal(graph_def_state(w->def), "Active");
    assert_ptr_equal(graph_def_serving(w->def), good);
    world_free(w);
}

TEST(graph_def, a_breaking_change_is_blocked_until_it_is_allowed)
{
    struct world *w = world_new();
    struct graph_rev *good;

    serve(w);
    good = graph_def_serving(w->def);
    edit(w, "spec.schema.spec", test_json(&w->a, "{\"other\":\"string\"}"));
    edit(w, "spec.resources", KR_V_NONE);
    run(w);
    assert_string_equal(graph_def_state(w->def), "Inactive");
    assert_ptr_equal(graph_def_serving(w->def), good);
    EXPECT_TEXT(
        kr_cstr(&w->a, graph_def_problem(w->def)),
        "cannot update CRD webapps.kro.run: breaking changes detected: Property name was removed");
    edit(w, "metadata.annotations",
         test_json(&w->a, "{\"kro.run/allow-breaking-changes\":\"true\"}"));
    run(w);
    assert_string_equal(graph_def_state(w->def), "Active");
    assert_ptr_not_equal(graph_def_serving(w->def), good);
    world_free(w);
}

TEST(graph_def, a_crd_of_somebody_else_is_left_alone)
{
    struct world *w = world_new();

    w->crd.v = bump(
        w,
        test_yaml(&w->a,
                  "kind: CustomResourceDefinition\nmetadata: {name: webapps.kro.run, uid: x}\n"));
    start(w);
    run(w);
    EXPECT_TEXT(kr_cstr(&w->a, graph_def_problem(w->def)),
                "failed to update CRD webapps.kro.run: CRD already exists and is not owned by KRO");
    w->crd.v =
        bump(w, kr_with(&w->a, w->crd.v, "metadata.labels",
                        test_json(&w->a, "{\"kro.run/owned\":\"true\","
                                         "\"kro.run/resource-graph-definition-name\":\"first\"}")));
    tell(w, &w->crd, false);
    run(w);
    EXPECT_TEXT(kr_cstr(&w->a, graph_def_problem(w->def)),
                "failed to update CRD webapps.kro.run: CRD is owned by another "
                "ResourceGraphDefinition first");
    world_free(w);
}

TEST(graph_def, a_missing_kind_wakes_the_definition_when_it_comes)
{
    struct world *w = world_new();

    w->has_kind = false;
    start(w);
    run(w);
    EXPECT_TEXT(kr_cstr(&w->a, graph_def_problem(w->def)),
                "failed to build resource \"cm\": failed to get schema for resource cm: cannot "
                "resolve group "
                "version kind \"v1, Kind=ConfigMap\": schema not found");
    assert_string_equal(graph_def_state(w->def), "Inactive");
    EXPECT_TEXT(run(w), "");
    assert_true(w->wake_ms == UINT64_MAX);
    w->has_kind = true;
    graph_def_kind_changed(w->def, KR_S("other"), KR_S("Kind"));
    EXPECT_TEXT(run(w), "");
    graph_def_kind_changed(w->def, KR_S(""), KR_S("ConfigMap"));
    run(w);
    assert_string_equal(graph_def_state(w->def), "Active");
    world_free(w);
}

TEST(graph_def, a_crd_that_is_not_established_is_waited_for_by_event)
{
    struct world *w = world_new();

    w->establish = false;
    start(w);
    run(w);
    assert_null(graph_def_serving(w->def));
    assert_int_equal(w->wake_ms, w->env.now_ms + GRAPH_STATUS_MIN_MS); /* to tell it, once */
    w->env.now_ms += GRAPH_STATUS_MIN_MS;
    EXPECT_TEXT(run(w), "statuspatch resourcegraphdefinitions webapp Inactive\n");
    assert_true(w->wake_ms == UINT64_MAX);
    w->crd.v = bump(w, established(w, w->crd.v));
    tell(w, &w->crd, false);
    run(w);
    assert_string_equal(graph_def_state(w->def), "Active");
    world_free(w);
}

TEST(graph_def, refused_writes_are_told_and_tried_again)
{
    static const struct {
        const char *what, *problem;
    } cases[] = {
        {"create", "creating graph revision \"webapp-r00001\": no"},
    };
    struct world *w = world_new();

    w->refuse = GRAPH_O_INVALID;
    w->refuse_what = cases[0].what;
    start(w);
    run(w);
    EXPECT_TEXT(kr_cstr(&w->a, graph_def_problem(w->def)), cases[0].problem);
    assert_int_equal(w->wake_ms, w->env.now_ms + GRAPH_RETRY_MAX_MS);
    w->refuse = 0;
    EXPECT_TEXT(run(w), "");
    w->env.now_ms = w->wake_ms;
    run(w);
    assert_string_equal(graph_def_state(w->def), "Active");
    world_free(w);
}

TEST(graph_def, every_failed_write_is_retried_until_all_is_well)
{
    static const char *const words[] = {"finalizer", "create", "statuspatch", "patch"};
    static const int outcomes[] = {GRAPH_O_RETRY, GRAPH_O_CONFLICT, GRAPH_O_INVALID,
                                   GRAPH_O_NOT_FOUND};

    for (size_t i = 0; i < KR_N(words) * KR_N(outcomes); i++) {
        struct world *w = world_new();

        w->refuse_what = words[i / KR_N(outcomes)];
        w->refuse = outcomes[i % KR_N(outcomes)];
        start(w);
        run(w);
        for (int k = 0; k < 4; k++) { /* it goes on failing for a while */
            w->env.now_ms += GRAPH_RETRY_MAX_MS;
            run(w);
        }
        w->refuse = 0;
        for (int k = 0; k < 4; k++) {
            w->env.now_ms += GRAPH_RETRY_MAX_MS;
            run(w);
        }
        assert_string_equal(graph_def_state(w->def), "Active");
        assert_true(kr_is_str(kr_at(w->rgd.v, "status.state"), KR_S("Active")));
        world_free(w);
    }
}

/* The revision before it must not be taken for the one whose creation failed. */
TEST(graph_def, an_edit_whose_revision_cannot_be_created_is_not_lost)
{
    struct world *w = world_new();

    serve(w);
    w->refuse_what = "create";
    w->refuse = GRAPH_O_RETRY;
    edit(w, "spec.schema.spec.more", KR_V_STR("string"));
    run(w);
    w->refuse = 0;
    w->env.now_ms += GRAPH_RETRY_MAX_MS;
    run(w);
    assert_string_equal(graph_def_state(w->def), "Active");
    assert_int_equal(graph_def_serving(w->def)->number, 2);
    world_free(w);
}

TEST(graph_def, schemas_that_cannot_be_fetched_are_asked_for_again)
{
    struct world *w = world_new();
    struct kr_err err = KR_ERR_NONE;

    serve(w);
    kr_fail(&err, KR_E_IO, "connection refused");
    w->no_kinds = &err;
    graph_def_kind_changed(w->def, KR_S(""), KR_S("ConfigMap"));
    EXPECT_TEXT(run(w), "fetch   v1/ConfigMap\n"); /* what serves, serves on */
    assert_string_equal(graph_def_state(w->def), "Active");
    assert_int_equal(w->wake_ms, w->env.now_ms + GRAPH_RETRY_MIN_MS);
    w->env.now_ms = w->wake_ms;
    EXPECT_TEXT(run(w), "fetch   v1/ConfigMap\n");
    assert_int_equal(w->wake_ms, w->env.now_ms + 2 * GRAPH_RETRY_MIN_MS);
    w->env.now_ms = w->wake_ms;
    w->no_kinds = NULL;
    EXPECT_TEXT(run(w), "fetch   v1/ConfigMap\nserve   webapps.kro.run\n");
    assert_true(w->wake_ms == UINT64_MAX);
    world_free(w);
}

TEST(graph_def, a_definition_whose_first_schemas_do_not_come_says_so)
{
    struct world *w = world_new();
    struct kr_err err = KR_ERR_NONE;

    kr_fail(&err, KR_E_IO, "connection refused");
    w->no_kinds = &err;
    start(w);
    run(w);
    EXPECT_TEXT(kr_cstr(&w->a, graph_def_problem(w->def)),
                "failed to fetch schemas: connection refused");
    w->no_kinds = NULL;
    w->env.now_ms = w->wake_ms;
    run(w);
    assert_string_equal(graph_def_state(w->def), "Active");
    world_free(w);
}

TEST(graph_def, a_reactor_that_cannot_serve_is_told)
{
    struct world *w = world_new();

    w->controller = "no rights";
    start(w);
    run(w);
    assert_non_null(
        strstr(conditions(w, w->rgd.v), "ControllerReady=False/FailedToStart@1 no rights\n"));
    assert_null(graph_def_serving(w->def));
    graph_def_controller(w->def, 0, KR_S(""));
    run(w);
    assert_string_equal(graph_def_state(w->def), "Active");
    world_free(w);
}

TEST(graph_def, late_answers_of_an_earlier_spec_do_no_harm)
{
    struct world *w = world_new();

    w->hold = true;
    start(w);
    run(w); /* the finalizer's answer is kept back */
    edit(w, "spec.schema.kind", KR_V_STR("Other"));
    w->hold = false;
    {
        struct graph_result res = {.token = 1, .outcome = GRAPH_O_OK, .object = w->rgd.v};

        graph_def_result(w->def, &res, w->env.now_ms);
    }
    run(w);
    EXPECT_TEXT(kr_cstr(&w->a, graph_def_crd_name(w->def)), "others.kro.run");
    world_free(w);
}

/* --- revisions that others touched ------------------------------------------------------------ */

TEST(graph_def, a_revision_that_was_deleted_by_hand_is_issued_anew)
{
    struct world *w = world_new();

    serve(w);
    w->revisions[0].v = bump(w, kr_with(&w->a, w->revisions[0].v, "metadata.deletionTimestamp",
                                        KR_V_STR("2026-01-02T00:00:00Z")));
    tell(w, &w->revisions[0], false);
    EXPECT_TEXT(run(w), "create  graphrevisions webapp-r00002\n"
                        "finalizer graphrevisions webapp-r00001\n"
                        "statuspatch graphrevisions webapp-r00002\n"
                        "statuspatch resourcegraphdefinitions webapp\n");
    assert_int_equal(kr_at(w->rgd.v, "status.lastIssuedRevision").i, 2);
    world_free(w);
}

TEST(graph_def, a_snapshot_that_the_server_changes_is_not_issued_again_and_again)
{
    struct world *w = world_new();

    w->prune = true;
    start(w);
    run(w);
    assert_string_equal(graph_def_state(w->def), "Active");
    assert_int_equal(kr_at(w->rgd.v, "status.lastIssuedRevision").i, 1);
    world_free(w);
}

TEST(graph_def, orphaned_revisions_are_adopted)
{
    struct world *w = world_new();

    serve(w);
    w->rgd.v = kr_with(&w->a, w->rgd.v, "metadata.uid", KR_V_STR("u-2"));
    w->rgd.v = kr_with(&w->a, w->rgd.v, "status", KR_V_NONE);
    w->rgd.v = bump(w, w->rgd.v);
    start(w);
    run(w);
    assert_true(
        kr_is_str(kr_at(kr_item(kr_at(w->revisions[0].v, "metadata.ownerReferences"), 0), "uid"),
                  KR_S("u-2")));
    assert_true(kr_is_str(kr_get(kr_at(w->crd.v, "metadata.labels"), KR_S(GRAPH_LABEL_RGD_ID)),
                          KR_S("u-2")));
    assert_int_equal(kr_at(w->rgd.v, "status.lastIssuedRevision").i, 1);
    world_free(w);
}

/* --- deletion --------------------------------------------------------------------------------- */

static void delete (struct world *w)
{
    edit(w, "metadata.deletionTimestamp", KR_V_STR("2026-01-02T00:00:00Z"));
}

TEST(graph_def, deletion_lets_go_at_once_and_keeps_the_crd)
{
    struct world *w = world_new();

    serve(w);
    delete (w);
    EXPECT_TEXT(run(w), "unserve webapps.kro.run\n"
                        "finalizer resourcegraphdefinitions webapp\n");
    assert_true(w->crd.v.kind == KR_MAP &&
                kr_at(w->crd.v, "metadata.deletionTimestamp").kind == KR_NONE);
    /* the garbage collector comes for the revision */
    w->revisions[0].v = bump(w, kr_with(&w->a, w->revisions[0].v, "metadata.deletionTimestamp",
                                        KR_V_STR("2026-01-02T00:00:00Z")));
    tell(w, &w->revisions[0], false);
    EXPECT_TEXT(run(w), "finalizer graphrevisions webapp-r00001\n"
                        "gone    resourcegraphdefinitions webapp\n");
    world_free(w);
}

TEST(graph_def, with_crd_deletion_the_crd_goes_before_the_finalizer)
{
    struct world *w = world_new();

    w->env.crd_deletion = true;
    serve(w);
    w->crd.v = kr_with(&w->a, w->crd.v, "metadata.finalizers", test_json(&w->a, "[\"instances\"]"));
    delete (w);
    EXPECT_TEXT(run(w), "unserve webapps.kro.run\n"
                        "delete  customresourcedefinitions webapps.kro.run\n");
    assert_true(kr_at(w->rgd.v, "metadata.finalizers").n == 1);
    tell(w, &w->crd, true);
    w->crd = (struct object){0};
    EXPECT_TEXT(run(w), "finalizer resourcegraphdefinitions webapp\n");
    world_free(w);
}

TEST(graph_def, a_deletion_that_lasts_says_what_it_waits_for)
{
    struct world *w = world_new();

    w->env.crd_deletion = true;
    serve(w);
    w->crd.v = kr_with(&w->a, w->crd.v, "metadata.finalizers", test_json(&w->a, "[\"instances\"]"));
    delete (w);
    run(w);
    assert_int_equal(w->wake_ms, w->env.now_ms + GRAPH_STATUS_MIN_MS);
    w->env.now_ms = w->wake_ms;
    EXPECT_TEXT(run(w), "statuspatch resourcegraphdefinitions webapp Inactive\n");
    EXPECT_TEXT(conditions(w, w->rgd.v),
                "GraphRevisionsResolved=True/Resolved@1 revision 1 compiled and active\n"
                "GraphAccepted=True/Valid@1 resource graph and schema are valid\n"
                "ControllerReady=True/Running@1 controller is running\n"
                "KindReady=Unknown/WaitingForKind@1 waiting for CRD webapps.kro.run and its "
                "instances to be deleted\n"
                "Ready=Unknown/WaitingForKind@1 waiting for CRD webapps.kro.run and its instances "
                "to be deleted\n");
    tell(w, &w->crd, true);
    w->crd = (struct object){0};
    EXPECT_TEXT(run(w), "finalizer resourcegraphdefinitions webapp\n");
    world_free(w);
}

TEST(graph_def, a_crd_that_cannot_be_deleted_is_told)
{
    struct world *w = world_new();

    w->env.crd_deletion = true;
    serve(w);
    delete (w);
    w->refuse = GRAPH_O_INVALID;
    w->refuse_what = "delete";
    run(w);
    w->env.now_ms += GRAPH_STATUS_MIN_MS;
    run(w);
    assert_non_null(strstr(conditions(w, w->rgd.v),
                           "KindReady=False/Failed@1 failed to cleanup CRD webapps.kro.run: error "
                           "deleting CRD: failed to delete CRD: no\n"));
    world_free(w);
}

/* --- sidecar ---------------------------------------------------------------------------------- */

#define CRD_FIX "put it there: kroc generate crd -f FILE | kubectl apply -f -"

TEST(graph_def, a_sidecar_writes_nothing_and_judges_the_crd_by_its_kind)
{
    struct world *w = world_new();
    struct world *other = world_new();

    serve(other);
    w->env.sidecar = true;
    w->def = graph_def_new(KR_S("webapp"));
    graph_def_object(w->def, w->rgd.v);
    run(w);
    EXPECT_TEXT(kr_cstr(&w->a, graph_def_problem(w->def)),
                "CRD webapps.kro.run is not installed; " CRD_FIX);
    w->crd.v = kr_copy(&w->a, other->crd.v);
    graph_def_kind_changed(w->def, KR_S("kro.run"), KR_S("WebApp"));
    run(w);
    EXPECT_TEXT(kr_cstr(&w->a, graph_def_problem(w->def)), "");
    assert_string_equal(graph_def_state(w->def), "Active");
    edit(w, "spec.schema.spec.size", KR_V_STR("integer"));
    run(w);
    EXPECT_TEXT(kr_cstr(&w->a, graph_def_problem(w->def)),
                "CRD webapps.kro.run has no field spec.size; " CRD_FIX);
    assert_non_null(graph_def_serving(w->def));
    assert_int_equal(w->writes, 0);
    world_free(w);
    world_free(other);
}

/* Waits for the timer, which has to be set for `ms` from now, and steps. */
static const char *poll(struct world *w, uint64_t ms)
{
    assert_int_equal(w->wake_ms, w->env.now_ms + ms);
    w->env.now_ms = w->wake_ms;
    return run(w);
}

#define SIDECAR_FETCH "fetch   v1/ConfigMap kro.run/v1alpha1/WebApp\n"

/* No event tells a sidecar of a CRD: it asks again, at longer and longer intervals. */
TEST(graph_def, a_sidecar_that_starts_before_its_crd_asks_again_until_it_serves)
{
    static const uint64_t waits[] = {1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000, 30000};
    struct world *w = world_new();
    struct world *other = world_new();

    serve(other);
    w->env.sidecar = true;
    w->def = graph_def_new(KR_S("webapp"));
    graph_def_object(w->def, w->rgd.v);
    EXPECT_TEXT(run(w), SIDECAR_FETCH);
    for (size_t i = 0; i < KR_N(waits); i++) {
        run(w); /* a step before its time asks for nothing */
        EXPECT_TEXT(poll(w, waits[i]), SIDECAR_FETCH);
        assert_string_equal(graph_def_state(w->def), "Inactive");
    }
    w->crd.v = kr_copy(&w->a, other->crd.v);
    EXPECT_TEXT(poll(w, 30000), SIDECAR_FETCH "serve   webapps.kro.run\n");
    assert_string_equal(graph_def_state(w->def), "Active");
    EXPECT_TEXT(run(w), "");
    assert_true(w->wake_ms == UINT64_MAX); /* what is complete is not asked for again */
    /* a CRD that lacks a field is waited for too, and so is the kind of a resource */
    edit(w, "spec.schema.spec.size", KR_V_STR("integer"));
    run(w);
    edit(other, "spec.schema.spec.size", KR_V_STR("integer"));
    run(other);
    EXPECT_TEXT(poll(w, 1000), SIDECAR_FETCH);
    w->crd.v = kr_copy(&w->a, other->crd.v);
    w->has_kind = false;
    EXPECT_TEXT(poll(w, 2000), SIDECAR_FETCH);
    w->has_kind = true;
    EXPECT_TEXT(poll(w, 4000), SIDECAR_FETCH "serve   webapps.kro.run\n");
    assert_true(w->wake_ms == UINT64_MAX);
    assert_int_equal(w->writes, 0);
    world_free(w);
    world_free(other);
}

/* --- order of events -------------------------------------------------------------------------- */

/* Whatever comes first: the end is the same, and no write comes before all is known. */
TEST(graph_def, events_may_come_in_any_order)
{
    for (unsigned order = 0; order < 6; order++) {
        static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                         {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
        struct world *w = world_new();

        w->def = graph_def_new(KR_S("webapp"));
        for (int i = 0; i < 3; i++) {
            if (orders[order][i] == 0)
                graph_def_object(w->def, w->rgd.v);
            else if (orders[order][i] == 1)
                graph_def_revisions_known(w->def, true);
            else
                graph_def_crd(w->def, KR_V_NONE, true);
            if (i < 2) {
                run(w);
                assert_int_equal(w->writes, 0);
            }
        }
        run(w);
        assert_string_equal(graph_def_state(w->def), "Active");
        assert_int_equal(w->writes, 5);
        world_free(w);
    }
}

int main(void)
{
    return RUN(T(graph_def, a_healthy_create_costs_five_writes),
               T(graph_def, an_answer_that_the_watch_has_overtaken_costs_no_write),
               T(graph_def, a_restart_with_everything_in_place_writes_nothing),
               T(graph_def, another_version_of_the_program_writes_nothing),
               T(graph_def, a_changed_spec_issues_a_revision_and_patches_the_crd),
               T(graph_def, only_the_newest_revisions_are_kept),
               T(graph_def, a_spec_that_does_not_compile_leaves_the_last_good_revision_serving),
               T(graph_def, a_breaking_change_is_blocked_until_it_is_allowed),
               T(graph_def, a_crd_of_somebody_else_is_left_alone),
               T(graph_def, a_missing_kind_wakes_the_definition_when_it_comes),
               T(graph_def, a_crd_that_is_not_established_is_waited_for_by_event),
               T(graph_def, refused_writes_are_told_and_tried_again),
               T(graph_def, every_failed_write_is_retried_until_all_is_well),
               T(graph_def, an_edit_whose_revision_cannot_be_created_is_not_lost),
               T(graph_def, schemas_that_cannot_be_fetched_are_asked_for_again),
               T(graph_def, a_definition_whose_first_schemas_do_not_come_says_so),
               T(graph_def, a_reactor_that_cannot_serve_is_told),
               T(graph_def, late_answers_of_an_earlier_spec_do_no_harm),
               T(graph_def, a_revision_that_was_deleted_by_hand_is_issued_anew),
               T(graph_def, a_snapshot_that_the_server_changes_is_not_issued_again_and_again),
               T(graph_def, orphaned_revisions_are_adopted),
               T(graph_def, deletion_lets_go_at_once_and_keeps_the_crd),
               T(graph_def, with_crd_deletion_the_crd_goes_before_the_finalizer),
               T(graph_def, a_deletion_that_lasts_says_what_it_waits_for),
               T(graph_def, a_crd_that_cannot_be_deleted_is_told),
               T(graph_def, a_sidecar_writes_nothing_and_judges_the_crd_by_its_kind),
               T(graph_def, a_sidecar_that_starts_before_its_crd_asks_again_until_it_serves),
               T(graph_def, events_may_come_in_any_order));
}
