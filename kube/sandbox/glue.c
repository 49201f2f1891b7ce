/* SPDX-License-Identifier: Apache-2.0 */
/* glue.c - what glue.h promises: managed fields, patches, schemas, for one request.
 *
 * Source: apiserver pkg/endpoints/handlers/{create,update,patch}.go, fieldmanager.
 */
#include "kube/sandbox/glue.h"

#include "cel/base/json.h"
#include "kube/sandbox/gotype.h"
#include "kube/sandbox/manage.h"
#include "kube/sandbox/patch.h"
#include "kube/sandbox/schema.h"
#include "kube/sandbox/valid.h"

#include "cel/base/banned.h"

enum { MANAGER_MAX = 128 };

/* --- managed fields --------------------------------------------------------------------------- */

/* What this path of the API does not write: of an object with a status of its own the status, of
 * the status all else. */
static kr_val reset_of(struct sandbox_call *c)
{
    static const char main_text[] = "{\"f:status\":{}}",
                      status_text[] = "{\"f:spec\":{},\"f:metadata\":{}}",
                      builtin_text[] = "{\"f:spec\":{},\"f:metadata\":{\"f:labels\":{}}}";
    kr_val set = KR_V_NONE;
    const char *text = !kr_str_is(c->t.sub, "status") ? main_text
                       : c->t.type->builtin           ? builtin_text
                                                      : status_text;
    int rc;

    if (!c->t.version->status || sandbox__is(c->t.type, "", "namespaces"))
        return set;
    rc = kr_json_parse(c->a, kr_str_c(text), &set, NULL);
    KR_ASSERT(rc == 0);
    return set;
}

static struct sandbox_writer writer_of(struct sandbox_call *c)
{
    kr_str agent = c->q->user_agent, manager = sandbox__arg(c, "fieldManager");
    bool scale = kr_str_is(c->t.sub, "scale");

    if (manager.n == 0)
        manager = kr_str_cut(&agent, '/');
    return (struct sandbox_writer){
        .schema = sandbox__schema(c->s, c->t.type, c->t.version),
        .builtin = c->t.type->builtin,
        .manager = kr_str_sub(manager, 0, MANAGER_MAX),
        .api_version = sandbox__api_version(c->a, c->t.type, c->t.version->name),
        .subresource = c->t.sub,
        .time = scale ? KR_V_NONE : sandbox__now(c->s, c->a), /* a Scale has no times to keep */
        .reset = reset_of(c),
        .force = sandbox__arg_true(c, "force"),
    };
}

/* Does any manager own the replicas? ".spec.replicas" is "f:spec", "f:replicas" there. */
static bool replicas_owned(struct sandbox_call *c, kr_val old)
{
    KR_LIST_EACH (entry, kr_at(old, "metadata.managedFields")) {
        kr_val set = kr_get(*entry, KR_S("fieldsV1"));
        kr_str path = kr_str_trim(c->t.version->scale_spec);

        path = kr_str_sub(path, kr_str_starts(path, KR_S(".")), path.n);
        while (path.n > 0) {
            kr_str name = kr_str_cut(&path, '.');

            set = kr_get(set, kr_fmt(c->a, "f:" KR_FMT, KR_ARG(name)));
        }
        if (set.kind == KR_MAP)
            return true;
    }
    return false;
}

kr_val sandbox__managed(struct sandbox_call *c, kr_val old, kr_val next)
{
    struct sandbox_writer w = writer_of(c);

    /* A Scale whose replicas nobody owns has no managed fields yet, and an update begins none. */
    if (kr_str_is(c->t.sub, "scale") && !replicas_owned(c, old))
        return kr_with(c->a, next, "metadata.managedFields", kr_at(old, "metadata.managedFields"));
    return sandbox_manage_update(c->a, &w, old, next);
}

bool sandbox__same_managed(kr_val x, kr_val y)
{
    return sandbox_manage_same(x, y);
}

/* A refusal that says nothing of the object. details: KR_NONE none. */
static int refuse(struct sandbox_call *c, int code, const char *reason, kr_val details,
                  const struct kr_err *err)
{
    struct kr_mapb b = KR_MAPB(c->a);

    kr_mapb_put(&b, KR_S("kind"), KR_V_STR("Status"));
    kr_mapb_put(&b, KR_S("apiVersion"), KR_V_STR("v1"));
    kr_mapb_put(&b, KR_S("metadata"), kr_map_sorted(NULL, 0));
    kr_mapb_put(&b, KR_S("status"), KR_V_STR("Failure"));
    kr_mapb_put(&b, KR_S("message"), kr_string(kr_strdup(c->a, kr_err_str(err))));
    if (reason[0])
        kr_mapb_put(&b, KR_S("reason"), kr_string(kr_str_c(reason)));
    if (details.kind != KR_NONE)
        kr_mapb_put(&b, KR_S("details"), details);
    kr_mapb_put(&b, KR_S("code"), kr_int(code));
    return sandbox__answer(c, code, kr_mapb_done(&b));
}

int sandbox__applied(struct sandbox_call *c, kr_val old, kr_val applied, kr_val *out)
{
    struct sandbox_writer w = writer_of(c);
    struct kr_err err = KR_ERR_NONE;
    kr_val causes;
    int status;

    if (sandbox_manage_apply(c->a, &w, old, applied, out, &status, &causes, &err) == 0)
        return sandbox__convertible(c, *out, &err) == 0 ? 0 : refuse(c, 500, "", KR_V_NONE, &err);
    if (causes.n)
        return refuse(c, 409, "Conflict", kr_with(c->a, kr_map_sorted(NULL, 0), "causes", causes),
                      &err);
    return refuse(c, status, status == 400 ? "BadRequest" : "", KR_V_NONE, &err);
}

/* --- patches ---------------------------------------------------------------------------------- */

static int patched_strategically(struct sandbox_call *c, kr_val old, kr_val patch, kr_val *out)
{
    kr_gvk gvk = {c->t.type->group, c->t.version->name, c->t.type->kind};
    kr_val schemas = kr_at(kube_builtin_openapi(c->a, gvk), "components.schemas");
    struct kr_err err = KR_ERR_NONE;
    kr_str component = sandbox__component(schemas, gvk);

    if (sandbox_patch_strategic(c->a, schemas, component, old, patch, out, &err) == 0)
        return 0;
    return sandbox__fail(c, 400, "BadRequest", "%s", err.text);
}

int sandbox__patch_type(struct sandbox_call *c)
{
    static const char *const types[] = {
        "application/json-patch+json", "application/merge-patch+json",
        "application/apply-patch+yaml", "application/strategic-merge-patch+json"};
    struct kr_err err = KR_ERR_NONE;
    kr_str type = c->q->content_type;
    bool builtin = c->t.type->builtin;

    type = kr_str_trim(kr_str_cut(&type, ';'));
    for (size_t i = 0; i < KR_N(types) - !builtin; i++) {
        if (kr_str_eq(type, kr_str_c(types[i])))
            return 0;
    }
    kr_fail(
        &err, KR_E_INPUT,
        "the body of the request was in an unknown format - accepted media types include: "
        "application/json-patch+json, application/merge-patch+json, %sapplication/apply-patch+yaml",
        builtin ? "application/strategic-merge-patch+json, " : "");
    return refuse(c, 415, "UnsupportedMediaType", KR_V_NONE, &err);
}

int sandbox__patched(struct sandbox_call *c, kr_val old, kr_val *out)
{
    kr_str type = c->q->content_type;
    struct kr_err err = KR_ERR_NONE;
    kr_val patch;
    int status = sandbox__body(c, &patch);

    type = kr_str_trim(kr_str_cut(&type, ';'));
    if (status)
        return status;
    if (kr_str_is(type, "application/json-patch+json")) {
        switch (sandbox_patch_json(c->a, old, patch, out, &err)) {
        case SANDBOX_PATCH_DONE:
            return 0;
        case SANDBOX_PATCH_MALFORMED:
            return sandbox__fail(c, 400, "BadRequest", "%s", err.text);
        case SANDBOX_PATCH_MISFIT:
            kr_fail(&err, KR_E_INPUT,
                    "the server rejected our request due to an error in our request");
            return refuse(c, 422, "Invalid", kr_map_sorted(NULL, 0), &err);
        }
    }
    if (patch.kind != KR_MAP)
        return sandbox__fail(c, 400, "BadRequest", "the patch is no object");
    if (kr_str_is(type, "application/merge-patch+json")) {
        return sandbox_patch_merge(c->a, old, patch, out, &err) < 0
                   ? sandbox__fail(c, 400, "BadRequest", "%s", err.text)
                   : 0;
    }
    return patched_strategically(c, old, patch, out);
}

/* --- schemas ---------------------------------------------------------------------------------- */

struct unknown {
    struct sandbox_call *c;
    struct kr_buf list;
    uint32_t n;
    bool strict, warn;
};

static void on_unknown(void *arg, kr_str path)
{
    struct unknown *u = arg;

    u->n++;
    kr_buf_fmt(&u->list, "%sunknown field \"" KR_FMT "\"", u->list.n ? ", " : "", KR_ARG(path));
    if (u->warn)
        sandbox__warn(u->c, kr_fmt(u->c->a, "unknown field \"" KR_FMT "\"", KR_ARG(path)));
}

static int refuse_unknown(struct unknown *u, kr_val v)
{
    struct sandbox_call *c = u->c;
    kr_str why = kr_fmt(c->a, "strict decoding error: " KR_FMT, KR_ARG(kr_buf_view(&u->list)));

    if (!c->t.type->builtin && kr_str_starts(c->q->content_type, KR_S("application/apply-patch")))
        return sandbox__fail(c, 400, "BadRequest", KR_FMT, KR_ARG(why));
    return sandbox__undecodable(c, v, why);
}

int sandbox__decoded(struct sandbox_call *c, kr_val *next, bool apply)
{
    kr_str mode = sandbox__arg(c, "fieldValidation");
    struct unknown u = {.c = c, .list = KR_BUF_IN(c->a, 64 * 1024)};
    kr_val v = *next;

    u.strict = kr_str_is(mode, "Strict");
    u.warn = mode.n == 0 || kr_str_is(mode, "Warn");
    if (c->t.type->builtin)
        v = sandbox_go_value(c->a, sandbox__schema(c->s, c->t.type, c->t.version), v, on_unknown,
                             &u);
    else
        v = sandbox__schema_normal(c->a, c->t.version->openapi, v, apply, on_unknown, &u);
    if (!c->t.type->builtin) /* metadata is a Go struct everywhere */
        v = kr_with(c->a, v, "metadata",
                    sandbox_go_value(c->a, cel_schema_object_meta(), kr_get(v, KR_S("metadata")),
                                     on_unknown, &u));
    if (u.n && u.strict)
        return refuse_unknown(&u, *next);
    if (strcmp(c->q->method, "PATCH") != 0)
        v = sandbox__owners_once(c, v);
    *next = v;
    return 0;
}

int sandbox__checked(struct sandbox_call *c, kr_val old, kr_val *next, bool apply)
{
    int status = sandbox__decoded(c, next, apply);
    kr_val v = *next, causes;

    if (status)
        return status;
    v = sandbox__without_filled(c->s, c->a, c->t.type, old, v);
    *next = v;
    causes = c->t.type->builtin
                 ? sandbox_valid_causes(c->a, c->t.type->kind, old, v)
                 : sandbox__schema_causes(c->a, &c->t.type->rules, c->t.version->openapi, old, v);
    causes = sandbox__meta_causes(c, old, v, causes);
    return causes.n ? sandbox__invalid(c, causes) : 0;
}
