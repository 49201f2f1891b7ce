/* SPDX-License-Identifier: Apache-2.0 */
/* write.c - create, update, patch, apply, delete. Every write goes the same way:
 *
 *   body -> next value (by verb) -> part that the path may change -> managed fields -> filled in
 *        -> checked -> stored (or, as a dry run, not)
 *
 * Nothing waits, so no write comes between the read of the old object and the storing of the new
 * one: a patch never has to be repeated.
 */
#include <inttypes.h>

#include "cel/base/json.h"
#include "cel/base/yaml.h"
#include "kube/sandbox/glue.h"
#include "kube/sandbox/protobuf.h"
#include "kube/sandbox/work.h"

#include "cel/base/banned.h"

enum { SUMMARY_BYTES = 30 }; /* of a body, in a refusal */

/* One write on its way. */
struct write {
    struct sandbox_call *c;
    struct sandbox_obj *old_obj; /* NULL: creation */
    kr_val old;                  /* its value in the version of the request */
    bool apply;                  /* server-side apply */
};

/* --- the body --------------------------------------------------------------------------------- */

static int bad_request(struct sandbox_call *c, const char *text)
{
    return sandbox__fail(c, 400, "BadRequest", "%s", text);
}

/* Parses the body, JSON, YAML or protobuf: 0, or the status of a refusal. */
int sandbox__body(struct sandbox_call *c, kr_val *out)
{
    struct kr_err err = KR_ERR_NONE;
    kr_str text = kr_str_trim(c->q->body);
    kr_val docs;
    int rc;

    *out = KR_V_NONE;
    if (text.n == 0)
        return 0;
    if (kr_str_find(c->q->content_type, KR_S("cbor")) >= 0)
        return sandbox__fail(c, 415, "UnsupportedMediaType",
                             "the sandbox takes JSON, YAML and protobuf, not " KR_FMT,
                             KR_ARG(c->q->content_type));
    if (kr_str_starts(c->q->content_type, KR_S("application/vnd.kubernetes.protobuf"))) {
        rc = sandbox_protobuf_read(c->a, c->q->body, out, &err);
    } else if (text.s[0] == '{' || text.s[0] == '[') {
        rc = kr_json_parse(c->a, text, out, &err);
    } else {
        rc = kr_yaml_parse(c->a, text, &docs, &err);
        *out = rc == 0 ? kr_item(docs, 0) : KR_V_NONE;
    }
    if (rc < 0)
        return sandbox__fail(c, 400, "BadRequest", "the object provided is unrecognized: %s",
                             err.text);
    return 0;
}

static bool applies(const struct sandbox_call *c)
{
    return kr_str_starts(c->q->content_type, KR_S("application/apply-patch"));
}

static int other_version(struct sandbox_call *c, kr_str has)
{
    return sandbox__fail(c, 400, "BadRequest",
                         "the API version in the data (" KR_FMT
                         ") does not match the expected API version (" KR_FMT ")",
                         KR_ARG(has),
                         KR_ARG(sandbox__api_version(c->a, c->t.type, c->t.version->name)));
}

/* A body that says another kind than a built-in type's; what it leaves out, the path says. */
static int other_builtin(struct sandbox_call *c, kr_str has_api, kr_str has_kind)
{
    kr_str rest = has_api, group = kr_str_cut(&rest, '/');
    kr_str kind = has_kind.n ? has_kind : c->t.type->kind, version = rest.n ? rest : group;

    if (has_api.n == 0) {
        group = c->t.type->group;
        version = c->t.version->name;
    } else if (rest.n == 0) {
        group = KR_S("");
    }
    if (!kr_str_eq(kind, c->t.type->kind) || !kr_str_eq(group, c->t.type->group) ||
        !kr_str_eq(version, c->t.version->name)) {
        const struct sandbox_type *other = sandbox__type_of_kind(c->s, group, kind);

        if (other && sandbox__type_version(other, version))
            return other_version(c, has_api);
        return sandbox__fail(c, 400, "BadRequest",
                             KR_FMT " in version \"" KR_FMT "\" cannot be handled as a " KR_FMT
                                    ": no kind \"" KR_FMT "\" is registered for version \"" KR_FMT
                                    "\" in scheme \"pkg/runtime/scheme.go:111\"",
                             KR_ARG(kind), KR_ARG(version), KR_ARG(c->t.type->kind), KR_ARG(kind),
                             KR_ARG(has_api.n ? has_api : version));
    }
    return 0;
}

/* The same of a definition's type, of which a body leaves nothing out. */
static int other_custom(struct sandbox_call *c, kr_val v)
{
    kr_str has_api = kr_at_str(v, "apiVersion"), has_kind = kr_at_str(v, "kind"),
           text = kr_str_trim(c->q->body);
    struct kr_listb causes = KR_LISTB(c->a);

    if (has_kind.n == 0)
        return sandbox__fail(c, 400, "BadRequest",
                             "the object provided is unrecognized (must be of type " KR_FMT
                             "): Object 'Kind' is missing in '" KR_FMT "' (" KR_FMT "%s)",
                             KR_ARG(c->t.type->kind), KR_ARG(text),
                             KR_ARG(kr_str_sub(text, 0, SUMMARY_BYTES)),
                             text.n > SUMMARY_BYTES ? " ..." : "");
    if (kr_str_eq(has_kind, c->t.type->kind))
        return other_version(c, has_api);
    if (c->t.name.n && !sandbox__find(c->t.type, c->t.ns, c->t.name))
        return sandbox__not_found(c);
    kr_listb_add(&causes,
                 sandbox__cause(c->a, "FieldValueInvalid",
                                kr_fmt(c->a, "Invalid value: \"" KR_FMT "\": must be " KR_FMT,
                                       KR_ARG(has_kind), KR_ARG(c->t.type->kind)),
                                KR_S("kind")));
    return sandbox__invalid_of(c, c->t.type->group, has_kind,
                               c->t.name.n ? c->t.name : kr_at_str(v, "metadata.name"),
                               kr_listb_done(&causes));
}

/* The kind that the target takes: its own, or that of a subresource. */
static int check_kind(struct sandbox_call *c, kr_val v)
{
    kr_str api = sandbox__api_version(c->a, c->t.type, c->t.version->name), kind = c->t.type->kind,
           has_api = kr_at_str(v, "apiVersion"), has_kind = kr_at_str(v, "kind");
    int status;

    if (v.kind != KR_MAP)
        return bad_request(c, "the body of the request was empty or is no object");
    if (kr_get(v, KR_S("metadata")).kind != KR_MAP && kr_get(v, KR_S("metadata")).kind != KR_NONE &&
        kr_get(v, KR_S("metadata")).kind != KR_NULL)
        return bad_request(c, "metadata is no object");
    if (kr_str_is(c->t.sub, "scale"))
        return 0;
    if (kr_str_eq(api, has_api) && kr_str_eq(kind, has_kind))
        return applies(c) ? 0 : sandbox__typed(c, v);
    if (applies(c))
        return sandbox__fail(
            c, 400, "BadRequest", "invalid object type: %s" KR_FMT ", Kind=" KR_FMT,
            kr_str_chr(has_api, '/') < 0 ? "/" : "", KR_ARG(has_api), KR_ARG(has_kind));
    if (!c->t.type->builtin)
        return other_custom(c, v);
    status = other_builtin(c, has_api, has_kind);
    return status ? status : sandbox__typed(c, v);
}

static kr_val with_kind(struct sandbox_call *c, kr_val v)
{
    v = kr_with_key(c->a, v, KR_S("apiVersion"),
                    kr_string(sandbox__api_version(c->a, c->t.type, c->t.version->name)));
    return kr_with_key(c->a, v, KR_S("kind"), kr_string(c->t.type->kind));
}

/* Names in the body and in the path must agree; the body's namespace may be left out. */
static int check_names(struct sandbox_call *c, kr_val v)
{
    kr_str name = kr_at_str(v, "metadata.name"), ns = kr_at_str(v, "metadata.namespace");

    if (ns.n && !kr_str_eq(ns, c->t.ns))
        return bad_request(c, "the namespace of the provided object does not match the namespace "
                              "sent on the request");
    if (c->t.name.n && name.n && !kr_str_eq(name, c->t.name))
        return sandbox__fail(c, 400, "BadRequest",
                             "the name of the object (" KR_FMT
                             ") does not match the name on the URL (" KR_FMT ")",
                             KR_ARG(name), KR_ARG(c->t.name));
    return 0;
}

/* --- what a path may change ------------------------------------------------------------------- */

/* Of an object with a status subresource: the main path never changes the status, the status path
 * nothing else (but managed fields and, of built-in types, no labels either). */
static kr_val limited(struct write *w, kr_val v)
{
    struct sandbox_call *c = w->c;
    bool status = kr_str_is(c->t.sub, "status");
    kr_val next;

    if (!c->t.version->status)
        return v;
    if (!status) {
        return kr_with_key(c->a, v, KR_S("status"), kr_get(w->old, KR_S("status")));
    }
    next = kr_with_key(c->a, w->old, KR_S("status"), kr_get(v, KR_S("status")));
    return kr_with(c->a, next, "metadata.managedFields", kr_at(v, "metadata.managedFields"));
}

/* Of /finalize of a Namespace. */
static kr_val finalize_only(struct write *w, kr_val v)
{
    kr_val list = kr_at(v, "spec.finalizers");

    return kr_with(w->c->a, w->old, "spec.finalizers", list.n ? list : KR_V_NONE);
}

/* --- storing ---------------------------------------------------------------------------------- */

static int refuse_err(struct sandbox_call *c, const struct kr_err *err)
{
    return sandbox__fail(c, 413, "RequestEntityTooLarge", "%s", err->text);
}

static int show_value(struct sandbox_call *c, int status, kr_val v)
{
    if (kr_str_is(c->t.sub, "scale"))
        v = sandbox__scale_of(c->a, &c->t, v);
    return sandbox__answer_val(c, status, v);
}

/* Nothing but times of managed fields differs: then nothing is written. */
static bool unchanged(struct sandbox_call *c, kr_val old, kr_val next)
{
    if (!sandbox__same_managed(kr_at(old, "metadata.managedFields"),
                               kr_at(next, "metadata.managedFields")))
        return false;
    return kr_equal(kr_with(c->a, old, "metadata.managedFields", KR_V_NONE),
                    kr_with(c->a, next, "metadata.managedFields", KR_V_NONE));
}

static int store(struct write *w, kr_val next)
{
    struct sandbox_call *c = w->c;
    struct sandbox_obj *now = NULL;
    struct kr_err err = KR_ERR_NONE;
    int status = w->old_obj ? 200 : 201;

    if (w->old_obj && unchanged(c, w->old, next))
        return show_value(c, status, w->old);
    if (sandbox__dry_run(c))
        return show_value(c, status, next);
    if (sandbox__commit(c->s, c->t.type, w->old_obj, next, false, &now, &err) < 0)
        return refuse_err(c, &err);
    if (kr_str_is(c->t.sub, "scale"))
        status = show_value(c, status, sandbox__value(c->a, c->t.type, c->t.version, now));
    else
        sandbox__answer_obj(c, status, &c->t, now);
    sandbox__obj_drop(now);
    return status;
}

static int exists(struct sandbox_call *c, const struct sandbox_obj *now)
{
    return sandbox__fail(c, 409, "AlreadyExists", "%s" KR_FMT " \"" KR_FMT "\" already exists",
                         now->terminating ? "object is being deleted: " : "",
                         KR_ARG(sandbox__qualified(c->a, c->t.type)), KR_ARG(c->t.name));
}

/* Of what a write has changed: the same pods are not warned of again. */
static void warn_of_pods(struct write *w, kr_val next)
{
    const struct sandbox_type *t = w->c->t.type;

    if (!t->builtin ||
        kr_equal(kr_at(w->old, "metadata.generation"), kr_at(next, "metadata.generation")))
        return;
    if (kr_str_is(t->group, "apps") || kr_str_is(t->kind, "Job"))
        sandbox__warn_pod(w->c, kr_at(next, "spec.template.spec"), "spec.template.spec");
    else if (kr_str_is(t->kind, "Pod"))
        sandbox__warn_pod(w->c, kr_get(next, KR_S("spec")), "spec");
}

/* Does it nest at most that deep? */
static bool is_flat(kr_val v, uint32_t levels)
{
    if (v.kind != KR_MAP && v.kind != KR_LIST)
        return true;
    if (levels == 0)
        return false;
    KR_LIST_EACH (item, v) {
        if (!is_flat(*item, levels - 1))
            return false;
    }
    KR_MAP_EACH (p, v) {
        if (!is_flat(p->val, levels - 1))
            return false;
    }
    return true;
}

static int check_depth(struct sandbox_call *c, kr_val v)
{
    if (is_flat(v, SANDBOX_OBJECT_DEPTH_MAX))
        return 0;
    return sandbox__fail(c, 400, "BadRequest",
                         "the object with its managed fields is nested over %d levels",
                         SANDBOX_OBJECT_DEPTH_MAX);
}

/* From the value a client wants to the stored one. */
static int finish(struct write *w, kr_val next)
{
    struct sandbox_call *c = w->c;
    bool parts = kr_str_is(c->t.sub, "finalize");
    const struct sandbox_obj *now;
    int status;

    if (!parts)
        next = limited(w, next);
    status = check_depth(c, next); /* before it is walked */
    if (status)
        return status;
    status = sandbox__checked(c, w->old, &next, w->apply);
    if (status)
        return status;
    if (parts)
        next = finalize_only(w, next);
    next = sandbox__defaulted(c->s, c->a, c->t.type, next);
    if (!w->apply)
        next = sandbox__managed(c, w->old, next);
    next = sandbox__filled(c->s, c->a, &c->t, w->old, next);
    status = check_depth(c, next);
    if (status == 0)
        status = sandbox__admitted(c, w->old, next);
    if (status)
        return status;
    warn_of_pods(w, next);
    now = w->old_obj ? NULL : sandbox__find(c->t.type, c->t.ns, c->t.name);
    if (now)
        return exists(c, now); /* what is wrong with the object is said before */
    return store(w, next);
}

/* --- create ----------------------------------------------------------------------------------- */

static kr_str random_name(struct sandbox_call *c, kr_str base)
{
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
    uint64_t x = c->s->clock->ops->random(c->s->clock);
    char text[5];

    for (size_t i = 0; i < sizeof text; i++, x /= sizeof letters - 1)
        text[i] = letters[x % (sizeof letters - 1)];
    return kr_fmt(c->a, KR_FMT "%.5s", KR_ARG(kr_str_sub(base, 0, 58)), text);
}

/* A namespace that is not there, or is ending, takes nothing new. */
static int check_namespace(struct sandbox_call *c, kr_str name)
{
    struct sandbox_obj *ns;

    if (!c->t.type->namespaced)
        return 0;
    ns = sandbox__find(sandbox__type(c->s, KR_S(""), KR_S("namespaces")), KR_S(""), c->t.ns);
    if (ns == NULL)
        return sandbox__fail_at(c, 404, "NotFound", "namespaces", c->t.ns,
                                "namespaces \"" KR_FMT "\" not found", KR_ARG(c->t.ns));
    if (ns->terminating)
        return sandbox__fail(c, 403, "Forbidden",
                             KR_FMT " \"" KR_FMT "\" is forbidden: unable to create new content in "
                                    "namespace " KR_FMT " because it is being terminated",
                             KR_ARG(sandbox__qualified(c->a, c->t.type)), KR_ARG(name),
                             KR_ARG(c->t.ns));
    return 0;
}

/* A new object of that value; its name is in the target. */
static int create_value(struct write *w, kr_val v)
{
    struct sandbox_call *c = w->c;
    int status = check_namespace(c, c->t.name);

    if (status)
        return status;
    if (c->t.type->terminating)
        return sandbox__fail(c, 403, "Forbidden",
                             KR_FMT " \"" KR_FMT "\" is forbidden: create not allowed while custom "
                                    "resource definition is terminating",
                             KR_ARG(sandbox__qualified(c->a, c->t.type)), KR_ARG(c->t.name));
    v = kr_with(c->a, v, "metadata.name", kr_string(c->t.name));
    v = kr_with(c->a, v, "metadata.namespace",
                c->t.type->namespaced ? kr_string(c->t.ns) : KR_V_NONE);
    if (!w->apply)
        v = kr_with(c->a, v, "metadata.managedFields", KR_V_NONE);
    return finish(w, with_kind(c, v));
}

int sandbox__create(struct sandbox_call *c)
{
    struct write w = {.c = c};
    kr_val v;
    kr_str generate;
    int status = sandbox__write_options(c, "CreateOptions");

    if (status == 0)
        status = sandbox__body(c, &v);
    if (status == 0)
        status = check_kind(c, v);
    if (status == 0)
        status = check_names(c, v);
    if (status)
        return status;
    generate = kr_at_str(v, "metadata.generateName");
    c->t.name = kr_at_str(v, "metadata.name");
    if (c->t.name.n == 0 && generate.n)
        c->t.name = random_name(c, generate);
    if (kr_at_str(v, "metadata.resourceVersion").n)
        return sandbox__fail(c, 500, "",
                             "resourceVersion should not be set on objects to be created");
    return create_value(&w, v);
}

/* --- update ----------------------------------------------------------------------------------- */

static int conflict(struct sandbox_call *c, const char *text)
{
    return sandbox__fail(c, 409, "Conflict",
                         "Operation cannot be fulfilled on " KR_FMT " \"" KR_FMT "\": %s",
                         KR_ARG(sandbox__qualified(c->a, c->t.type)), KR_ARG(c->t.name), text);
}

static int precondition(struct sandbox_call *c, const char *what, kr_str wanted, kr_str has)
{
    return conflict(c, kr_cstr(c->a, kr_fmt(c->a,
                                            "Precondition failed: %s in precondition: " KR_FMT
                                            ", %s in object meta: " KR_FMT,
                                            what, KR_ARG(wanted), what, KR_ARG(has))));
}

/* The version and uid that the body names must be the object's. */
static int check_version(struct write *w, kr_val v)
{
    kr_str rv = kr_at_str(v, "metadata.resourceVersion"), uid = kr_at_str(v, "metadata.uid");

    if (uid.n && !kr_str_eq(uid, kr_at_str(w->old, "metadata.uid")))
        return precondition(w->c, "UID", uid, kr_at_str(w->old, "metadata.uid"));
    if (rv.n && !kr_str_is(rv, "0") &&
        !kr_str_eq(rv, kr_at_str(w->old, "metadata.resourceVersion")))
        return conflict(w->c, "the object has been modified; please apply your changes to the "
                              "latest version and try again");
    return 0;
}

/* An apply that names a uid means an object that is there. */
static int check_absent(struct write *w, kr_val v)
{
    kr_str uid = kr_at_str(v, "metadata.uid");

    if (uid.n == 0)
        return 0;
    return conflict(
        w->c, kr_cstr(w->c->a, kr_fmt(w->c->a,
                                      "uid mismatch: the provided object specified uid " KR_FMT
                                      ", and no existing object was found",
                                      KR_ARG(uid))));
}

static int refuse_scale(struct sandbox_call *c, kr_val n)
{
    struct kr_listb causes = KR_LISTB(c->a);

    kr_listb_add(
        &causes,
        sandbox__cause(c->a, "FieldValueInvalid",
                       kr_fmt(c->a, "Invalid value: " KR_FMT ": must be greater than or equal to 0",
                              KR_ARG(kr_json_str(c->a, n))),
                       KR_S("spec.replicas")));
    return sandbox__invalid_of(c, KR_S("autoscaling"), KR_S("Scale"), c->t.name,
                               kr_listb_done(&causes));
}

/* What /scale takes becomes a change of the object. */
static int scaled(struct write *w, kr_val scale, kr_val *next)
{
    kr_val n = kr_at(scale, "spec.replicas");
    int status = check_version(w, scale);

    if (status)
        return status;
    if (n.kind != KR_INT && n.kind != KR_NONE)
        return bad_request(w->c, "spec.replicas is no integer");
    if (n.kind == KR_INT && n.i < 0)
        return refuse_scale(w->c, n);
    *next = sandbox__with_scale(w->c->a, &w->c->t, w->old, n.kind == KR_INT ? n.i : 0);
    return 0;
}

static void find_old(struct write *w)
{
    struct sandbox_call *c = w->c;

    w->old_obj = sandbox__find(c->t.type, c->t.ns, c->t.name);
    if (w->old_obj)
        w->old = sandbox__value(c->a, c->t.type, c->t.version, w->old_obj);
}

static bool may_create_by_update(const struct sandbox_type *t)
{
    return sandbox__is(t, "coordination.k8s.io", "leases") || sandbox__is(t, "", "endpoints") ||
           sandbox__is(t, "", "services") || sandbox__is(t, "", "events") ||
           sandbox__is(t, "rbac.authorization.k8s.io", "roles") ||
           sandbox__is(t, "", "limitranges");
}

int sandbox__update(struct sandbox_call *c)
{
    struct write w = {.c = c};
    kr_val v, read;
    int status = sandbox__write_options(c, "UpdateOptions");

    if (status == 0)
        status = sandbox__body(c, &v);
    if (status == 0)
        status = check_kind(c, v);
    if (status == 0)
        status = check_names(c, v);
    if (status)
        return status;
    find_old(&w);
    if (w.old_obj == NULL && c->t.sub.n == 0 && may_create_by_update(c->t.type))
        return create_value(&w, v);
    if (w.old_obj == NULL)
        return sandbox__not_found(c);
    read = v;
    if (kr_str_is(c->t.sub, "scale"))
        status = scaled(&w, v, &v);
    else
        status = sandbox__decoded(c, &read, false); /* is said even of one that is out of date */
    if (status == 0 && !kr_str_is(c->t.sub, "scale"))
        status = check_version(&w, v);
    if (status)
        return status;
    if (!c->t.type->builtin && c->t.sub.n == 0 && kr_at_str(v, "metadata.resourceVersion").n == 0)
        return sandbox__fail_field(c, "metadata.resourceVersion", "FieldValueInvalid",
                                   "Invalid value: 0: must be specified for an update");
    return finish(&w, with_kind(c, v));
}

/* --- patch ------------------------------------------------------------------------------------ */

static int patch_scale(struct write *w)
{
    kr_val old = w->old, scale, next;
    int status;

    w->old = sandbox__scale_of(w->c->a, &w->c->t, old);
    status = sandbox__patched(w->c, w->old, &scale);
    w->old = old;
    if (status == 0)
        status = scaled(w, scale, &next);
    return status ? status : finish(w, next);
}

static int apply(struct write *w)
{
    struct sandbox_call *c = w->c;
    kr_val v, next;
    int status = sandbox__body(c, &v);

    w->apply = true;
    if (status == 0)
        status = check_kind(c, v);
    if (status == 0)
        status = check_names(c, v);
    if (status)
        return status;
    if (w->old_obj == NULL && c->t.sub.n)
        return sandbox__not_found(c);
    status = w->old_obj ? check_version(w, v) : check_absent(w, v);
    if (status)
        return status;
    v = kr_with(c->a, v, "metadata.name", kr_string(c->t.name));
    status = sandbox__applied(c, w->old, with_kind(c, v), &next);
    if (status)
        return status;
    return w->old_obj ? finish(w, next) : create_value(w, next);
}

int sandbox__patch(struct sandbox_call *c)
{
    struct write w = {.c = c};
    kr_val next;
    int status;

    status = sandbox__patch_type(c);
    if (status == 0)
        status = sandbox__write_options(c, "PatchOptions");
    if (status)
        return status;
    find_old(&w);
    if (kr_str_starts(c->q->content_type, KR_S("application/apply-patch")))
        return apply(&w);
    if (w.old_obj == NULL)
        return sandbox__not_found(c);
    if (kr_str_is(c->t.sub, "scale"))
        return patch_scale(&w);
    status = sandbox__patched(c, w.old, &next);
    if (status == 0)
        status = check_depth(c, next); /* a patch puts depth below depth */
    if (status == 0)
        status = check_kind(c, next);
    if (status == 0)
        status = check_names(c, next);
    if (status == 0)
        status = check_version(&w, next);
    return status ? status : finish(&w, with_kind(c, next));
}

/* --- delete ----------------------------------------------------------------------------------- */

static int success(struct sandbox_call *c, kr_str uid)
{
    kr_val v = kr_map_sorted(NULL, 0);

    v = kr_with(c->a, v, "kind", KR_V_STR("Status"));
    v = kr_with(c->a, v, "apiVersion", KR_V_STR("v1"));
    v = kr_with(c->a, v, "metadata", kr_map_sorted(NULL, 0));
    v = kr_with(c->a, v, "status", KR_V_STR("Success"));
    v = kr_with(c->a, v, "details.name", kr_string(c->t.name));
    if (c->t.type->group.n)
        v = kr_with(c->a, v, "details.group", kr_string(c->t.type->group));
    v = kr_with(c->a, v, "details.kind", kr_string(c->t.type->resource));
    v = kr_with(c->a, v, "details.uid", kr_string(uid));
    return sandbox__answer(c, 200, v);
}

/* Types whose deletion answers what was deleted. */
static bool shows_deleted(const struct sandbox_type *t)
{
    static const char *const names[] = {
        "persistentvolumeclaims", "persistentvolumes", "podtemplates", "pods",
        "resourcequotas",         "serviceaccounts",   "services"};

    for (size_t i = 0; i < KR_N(names); i++) {
        if (sandbox__is(t, "", names[i]))
            return true;
    }
    return false;
}

static int record_differs(struct sandbox_call *c, const char *what, kr_str wanted, kr_str has,
                          const char *why)
{
    const struct sandbox_type *t = c->t.type;

    return sandbox__fail_kind(c, 409, "Conflict",
                              "Operation cannot be fulfilled on " KR_FMT "%s" KR_FMT " \"" KR_FMT
                              "\": the %s in the precondition (" KR_FMT
                              ") does not match the %s in record (" KR_FMT
                              "). The object might have been %s",
                              KR_ARG(t->kind), t->group.n ? "." : "", KR_ARG(t->group),
                              KR_ARG(c->t.name), what, KR_ARG(wanted), what, KR_ARG(has), why);
}

/* The object is still the one that the client has seen. */
static int check_preconditions(struct sandbox_call *c, kr_val v,
                               const struct sandbox_delete_options *o)
{
    kr_str uid = kr_at_str(v, "metadata.uid"), version = kr_at_str(v, "metadata.resourceVersion");

    if (o->uid.n && !kr_str_eq(o->uid, uid))
        return record_differs(c, "UID", o->uid, uid, "deleted and then recreated");
    if (o->version.n && !kr_str_eq(o->version, version))
        return record_differs(c, "ResourceVersion", o->version, version, "modified");
    return 0;
}

/* What a deletion would show: the object that its finalizers keep, marked; else as after a real one. */
static int dry_delete(struct write *w, enum sandbox_propagation how)
{
    struct sandbox_call *c = w->c;
    bool kept;
    kr_val v = sandbox__ending(c->s, c->a, c->t.type, w->old, how, &kept);

    if (kept)
        return show_value(c, 200, v);
    if (shows_deleted(c->t.type))
        return sandbox__answer_obj(c, 200, &c->t, w->old_obj);
    return success(c, kr_at_str(w->old, "metadata.uid"));
}

/* Those that a cluster cannot be without. */
static bool is_immortal(const struct sandbox_call *c)
{
    static const char *const names[] = {"default", "kube-public", "kube-system"};

    for (size_t i = 0; i < KR_N(names); i++) {
        if (sandbox__is(c->t.type, "", "namespaces") && kr_str_eq(c->t.name, kr_str_c(names[i])))
            return true;
    }
    return false;
}

int sandbox__delete(struct sandbox_call *c)
{
    struct write w = {.c = c};
    struct sandbox_delete_options options;
    struct sandbox_obj *now;
    bool removed;
    int status = sandbox__delete_options(c, &options);

    find_old(&w);
    if (status)
        return status;
    if (is_immortal(c))
        return sandbox__fail(c, 403, "Forbidden",
                             "namespaces \"" KR_FMT
                             "\" is forbidden: this namespace may not be deleted",
                             KR_ARG(c->t.name));
    if (w.old_obj == NULL)
        return sandbox__not_found(c);
    status = check_preconditions(c, w.old, &options);
    if (status == 0)
        status = sandbox__admitted(c, w.old, KR_V_NONE);
    if (status)
        return status;
    if (options.dry_run)
        return dry_delete(&w, options.how);
    now = sandbox__delete_obj(c->s, c->t.type, w.old_obj, options.how, &removed);
    if (removed && !shows_deleted(c->t.type))
        status = success(c, kr_at_str(w.old, "metadata.uid"));
    else if (removed && kr_at(w.old, "metadata.deletionTimestamp").kind == KR_STRING)
        status = show_value(c, 200, w.old); /* the end of what another request has begun */
    else
        status = sandbox__answer_obj(c, 200, &c->t, now);
    sandbox__obj_drop(now);
    return status;
}

/* Items of lists of built-in types say no kind, as in Go's typed lists. */
static kr_val listed(struct sandbox_call *c, struct sandbox_obj *o)
{
    kr_val v = sandbox__value(c->a, c->t.type, c->t.version, o);

    if (!c->t.type->builtin || sandbox__wants(c) != SANDBOX_FORM_FULL)
        return v;
    v = kr_with_key(c->a, v, KR_S("apiVersion"), KR_V_NONE);
    return kr_with_key(c->a, v, KR_S("kind"), KR_V_NONE);
}

/* One of a collection, unless it went with another. 0, or the status of the refusal. */
static int delete_listed(struct sandbox_call *c, const struct sandbox_obj *o,
                         const struct sandbox_delete_options *options)
{
    struct sandbox_obj *now = sandbox__tree_get(&c->t.type->objects, sandbox__obj_key(o));
    bool removed;
    kr_val v;
    int status;

    if (now == NULL)
        return 0;
    v = sandbox__value(c->a, c->t.type, c->t.version, now);
    c->t.name = sandbox__obj_name(o);
    status = check_preconditions(c, v, options);
    if (status == 0)
        status = sandbox__admitted(c, v, KR_V_NONE);
    c->t.name = KR_S("");
    if (status == 0 && !options->dry_run)
        sandbox__obj_drop(sandbox__delete_obj(c->s, c->t.type, now, options->how, &removed));
    return status;
}

int sandbox__delete_all(struct sandbox_call *c)
{
    struct sandbox_filter filter = {0};
    struct sandbox_delete_options options;
    struct kr_listb items = KR_LISTB(c->a);
    struct sandbox_obj **list = kr_new_n(c->a, struct sandbox_obj *, c->t.type->objects.n + 1);
    uint32_t n = 0;
    int status = sandbox__delete_options(c, &options);

    if (status == 0)
        status = sandbox__filter_read(c, c->a, &filter);
    if (status)
        return status;
    for (struct sandbox_node *at = sandbox__tree_seek(&c->t.type->objects, KR_S("")); at;
         at = sandbox__node_next(at)) {
        if (sandbox__filter_match(&filter, c->t.type, sandbox__node_obj(at)))
            list[n++] = sandbox__obj_hold(sandbox__node_obj(at));
    }
    for (uint32_t i = 0; i < n; i++) {
        kr_listb_add(&items, listed(c, list[i]));
        if (status == 0)
            status = delete_listed(c, list[i], &options);
        sandbox__obj_drop(list[i]);
    }
    if (status)
        return status;
    return sandbox__answer(
        c, 200,
        sandbox__formed_list(c, kr_listb_done(&items),
                             kr_with(c->a, kr_map_sorted(NULL, 0), "resourceVersion",
                                     kr_string(kr_fmt(c->a, "%" PRIu64, c->s->version)))));
}
