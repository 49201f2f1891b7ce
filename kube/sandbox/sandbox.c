/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox.c - the life of a sandbox, and the tasks beside its requests. */
#include "kube/client.h"
#include "kube/sandbox/work.h"

#include <stdio.h>

#include "cel/base/banned.h"
#include "cel/base/json.h"

struct task {
    struct sandbox *s;
    enum sandbox_task what;
    struct sandbox_type *type;
    char *key;
    char *name; /* in the table of tasks */
    struct kube_timer timer;
};

struct sandbox_work {
    struct kr_map tasks; /* "what type|key" -> struct task */
    uint32_t standins_n;
};

static void make_namespaces(struct sandbox *s)
{
    static const char *const names[] = {"default", "kube-node-lease", "kube-public", "kube-system"};
    struct sandbox_type *t = sandbox__type(s, KR_S(""), KR_S("namespaces"));
    KR_AUTO(kr_arena) a = {0};

    for (size_t i = 0; i < KR_N(names); i++)
        sandbox__make(
            s, t,
            kr_with(&a, kr_map_sorted(NULL, 0), "metadata.name", kr_string(kr_str_c(names[i]))));
}

/* As the API server makes it for itself. */
static void make_own_service(struct sandbox *s)
{
    static const char json[] =
        "{\"metadata\":{\"name\":\"kubernetes\",\"namespace\":\"default\",\"labels\":"
        "{\"component\":\"apiserver\",\"provider\":\"kubernetes\"}},\"spec\":{\"ports\":[{\"name\":"
        "\"https\",\"port\":443,\"targetPort\":6443}]}}";
    KR_AUTO(kr_arena) a = {0};
    struct kr_err err = KR_ERR_NONE;
    kr_val v;

    KR_ASSERT(kr_json_parse(&a, kr_str_c(json), &v, &err) == 0);
    sandbox__make(s, sandbox__type(s, KR_S(""), KR_S("services")), v);
}

struct sandbox *sandbox_new(struct kube_clock *clock, const struct sandbox_opts *opts)
{
    struct sandbox *s = KR_ALLOC(struct sandbox);

    if (opts)
        s->opts = *opts;
    if (s->opts.ready_after_ms == 0)
        s->opts.ready_after_ms = SANDBOX_READY_AFTER_MS;
    s->clock = clock;
    s->version = SANDBOX_FIRST_VERSION;
    s->kinds = s->opts.kinds ? s->opts.kinds : cel_kinds_new();
    s->work = KR_ALLOC(struct sandbox_work);
    sandbox__types_init(s);
    make_namespaces(s);
    make_own_service(s);
    return s;
}

void sandbox_free(struct sandbox *s)
{
    if (s == NULL)
        return;
    KR_ASSERT(s->watches_n == 0);
    sandbox__work_free(s);
    sandbox__owners_free(s);
    kr_map_each (e, &s->types)
        sandbox__type_free(e->val);
    kr_map_fini(&s->types);
    if (s->opts.kinds == NULL)
        cel_kinds_free(s->kinds);
    kr_free(s);
}

uint64_t sandbox_version(const struct sandbox *s)
{
    return s->version;
}

uint32_t sandbox_objects_n(const struct sandbox *s)
{
    uint32_t n = 0;

    kr_map_each (e, &s->types)
        n += ((struct sandbox_type *)e->val)->objects.n;
    return n;
}

void sandbox_compact(struct sandbox *s)
{
    kr_map_each (e, &s->types) {
        struct sandbox_type *t = e->val;

        sandbox__forget(t, 0);
        t->compacted = s->version;
    }
}

bool sandbox_idle(const struct sandbox *s)
{
    return sandbox__tasks_n(s) == 0;
}

bool sandbox_ref(const struct sandbox *s, kr_val v, kr_ref *ref)
{
    kr_str group, version, ns = kr_at_str(v, "metadata.namespace");
    struct sandbox_type *t = NULL;

    if (kr_api_version(kr_at_str(v, "apiVersion"), &group, &version))
        t = sandbox__type_of_kind(s, group, kr_at_str(v, "kind"));
    if (t == NULL)
        return false;
    *ref = (kr_ref){.gvr = {group, version, t->resource}, .name = kr_at_str(v, "metadata.name")};
    if (t->namespaced)
        ref->namespace = ns.n ? ns : KR_S("default");
    return true;
}

int sandbox_apply(struct sandbox *s, kr_val v, const char *manager, struct sandbox_response *r)
{
    KR_AUTO(kr_arena) a = {0};
    KR_AUTO(kr_buf) path = KR_BUF(16 * 1024);
    struct sandbox_request q = {.method = "PATCH",
                                .content_type = KR_S("application/apply-patch+yaml"),
                                .user_agent = kr_str_c(manager)};
    kr_ref ref;

    if (!sandbox_ref(s, v, &ref))
        return r->status = 404;
    kube_path(&path, ref, NULL);
    kr_buf_fmt(&path, "?force=true&fieldManager=%s", manager);
    q.path = kr_buf_view(&path);
    q.body = kr_json_str(&a, v);
    sandbox_serve(s, &q, r);
    return r->status;
}

/* --- tasks ------------------------------------------------------------------------------------ */

static void task_free(struct task *task)
{
    kr_free(task->key);
    kr_free(task->name);
    kr_free(task);
}

static void on_due(struct kube_timer *timer)
{
    static sandbox_task_fn *const tasks[] = {
#define T(name, fn) [SANDBOX_TASK_##name] = (fn),
        SANDBOX_TASKS(T)
#undef T
    };
    struct task *task = KR_OWNER(timer, struct task, timer);
    struct sandbox *s = task->s;
    struct sandbox_obj *o =
        sandbox__obj_hold(sandbox__tree_get(&task->type->objects, kr_str_c(task->key)));

    kr_map_del(&s->work->tasks, kr_str_c(task->name)); /* may be listed again from here on */
    s->work->standins_n -= task->what == SANDBOX_TASK_STANDIN;
    if (o)
        tasks[task->what](s, task->type, o);
    sandbox__obj_drop(o);
    task_free(task);
}

void sandbox__later(struct sandbox *s, enum sandbox_task what, struct sandbox_type *t, kr_str key,
                    uint32_t delay_ms)
{
    KR_AUTO(kr_arena) a = {0};
    kr_str name = kr_fmt(&a, "%d %s|" KR_FMT, (int)what, t->key, KR_ARG(key));
    struct task *task = kr_map_get(&s->work->tasks, name);

    if (task == NULL) {
        task = KR_ALLOC(struct task);
        task->s = s;
        task->what = what;
        task->type = t;
        task->key = kr_cstrdup(key);
        task->name = kr_cstrdup(name);
        task->timer.fn = on_due;
        kr_map_put(&s->work->tasks, name, task);
        s->work->standins_n += what == SANDBOX_TASK_STANDIN;
    } else if (task->timer.due_ms <= kube_now_ms(s->clock) + delay_ms) {
        return;
    }
    s->clock->ops->timer_start(s->clock, &task->timer, delay_ms);
}

uint32_t sandbox__tasks_n(const struct sandbox *s)
{
    return s->work->tasks.n - s->work->standins_n;
}

void sandbox__work_free(struct sandbox *s)
{
    kr_map_each (e, &s->work->tasks) {
        struct task *task = e->val;

        s->clock->ops->timer_stop(s->clock, &task->timer);
        task_free(task);
    }
    kr_map_fini(&s->work->tasks);
    kr_free(s->work);
}

void sandbox_on_change(struct sandbox *s, sandbox_seen_fn *fn, void *arg)
{
    s->seen = fn;
    s->seen_arg = arg;
}

static void show_change(struct sandbox *s, const struct sandbox_type *t, enum sandbox_change change,
                        const struct sandbox_obj *now, kr_val next)
{
    struct sandbox_seen seen = {.group = t->group,
                                .resource = t->resource,
                                .ns = sandbox__obj_namespace(now),
                                .name = sandbox__obj_name(now),
                                .added = change == SANDBOX_ADDED,
                                .deleted = change == SANDBOX_DELETED,
                                .object = next};

    s->seen(s->seen_arg, &seen);
}

void sandbox__changed(struct sandbox *s, struct sandbox_type *t, enum sandbox_change change,
                      struct sandbox_obj *old, struct sandbox_obj *now, kr_val next)
{
    if (s->seen)
        show_change(s, t, change, now, next);
    sandbox__definition_changed(s, t, change, now, next);
    if (s->opts.bare)
        return;
    sandbox__owners_changed(s, t, change, old, now, next);
    sandbox__namespaces_changed(s, t, change, now, next);
    sandbox__standins_changed(s, t, change, now, next);
}

/* --- writes of the server itself -------------------------------------------------------------- */

void sandbox__put(struct sandbox *s, struct sandbox_type *t, struct sandbox_obj *o, kr_val next)
{
    struct sandbox_obj *now = NULL;

    if (sandbox__commit(s, t, o, next, false, &now, NULL) == 0)
        sandbox__obj_drop(now);
}

void sandbox__make(struct sandbox *s, struct sandbox_type *t, kr_val v)
{
    KR_AUTO(kr_arena) a = {0};
    struct sandbox_target target = {.type = t, .version = &t->versions[t->storage]};

    target.ns = kr_at_str(v, "metadata.namespace");
    target.name = kr_at_str(v, "metadata.name");
    if (sandbox__find(t, target.ns, target.name) == NULL)
        sandbox__put(s, t, NULL,
                     sandbox__filled(s, &a, &target, KR_V_NONE, sandbox__defaulted(s, &a, t, v)));
}

/* Adds a finalizer, or takes it off. */
static kr_val with_finalizer(struct kr_arena *a, kr_val v, kr_str name, bool want)
{
    struct kr_listb list = KR_LISTB(a);

    KR_LIST_EACH (f, kr_at(v, "metadata.finalizers")) {
        if (!kr_is_str(*f, name))
            kr_listb_add(&list, *f);
    }
    if (want)
        kr_listb_add(&list, kr_string(name));
    return kr_with(a, v, "metadata.finalizers", list.n ? kr_listb_done(&list) : KR_V_NONE);
}

kr_val sandbox__without_finalizer(struct kr_arena *a, kr_val v, kr_str name)
{
    return with_finalizer(a, v, name, false);
}

static kr_val marked(struct sandbox *s, struct kr_arena *a, const struct sandbox_type *t, kr_val v)
{
    kr_val generation = kr_at(v, "metadata.generation");

    if (kr_at(v, "metadata.deletionTimestamp").kind == KR_STRING)
        return v;
    v = kr_with(a, v, "metadata.deletionTimestamp", sandbox__now(s, a));
    v = kr_with(a, v, "metadata.deletionGracePeriodSeconds", kr_int(0));
    if (generation.kind == KR_INT)
        v = kr_with(a, v, "metadata.generation", kr_int(generation.i + 1));
    if (sandbox__is(t, "", "namespaces"))
        v = kr_with(a, v, "status.phase", KR_V_STR("Terminating"));
    return v;
}

kr_val sandbox__ending(struct sandbox *s, struct kr_arena *a, const struct sandbox_type *t,
                       kr_val v, enum sandbox_propagation how, bool *kept)
{
    bool definition = sandbox__is(t, "apiextensions.k8s.io", "customresourcedefinitions");

    if (how != SANDBOX_UNSAID) {
        v = with_finalizer(a, v, KR_S("orphan"), how == SANDBOX_ORPHAN);
        v = with_finalizer(a, v, KR_S("foregroundDeletion"), how == SANDBOX_FOREGROUND);
    }
    if (definition && kr_at(v, "metadata.deletionTimestamp").kind != KR_STRING)
        v = sandbox__definition_ending(s, a, v);
    *kept = kr_at(v, "metadata.finalizers").n > 0 ||
            (sandbox__is(t, "", "namespaces") && kr_at(v, "spec.finalizers").n > 0);
    return *kept ? marked(s, a, t, v) : v;
}

struct sandbox_obj *sandbox__delete_obj(struct sandbox *s, struct sandbox_type *t,
                                        struct sandbox_obj *o, enum sandbox_propagation how,
                                        bool *removed)
{
    KR_AUTO(kr_arena) a = {0};
    struct sandbox_obj *now = NULL;
    bool kept;
    kr_val v = sandbox__ending(s, &a, t, sandbox__value(&a, t, NULL, o), how, &kept);

    *removed = !kept;
    if (kept && o->terminating && kr_equal(v, sandbox__value(&a, t, NULL, o)))
        return sandbox__obj_hold(o);
    if (sandbox__commit(s, t, o, v, !kept, &now, NULL) < 0)
        return sandbox__obj_hold(o);
    return now;
}
