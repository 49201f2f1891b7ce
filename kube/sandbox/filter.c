/* SPDX-License-Identifier: Apache-2.0 */
/* filter.c - which objects a list or a watch is about: those of a namespace that meet the selectors of its
 * query. Of fields a kind allows some paths.
 *
 * metadata.name and metadata.namespace are answered by the key, labels by their copy beside the
 * object; all else reads the object.
 *
 * Source: kubernetes registry strategies (allowed fields).
 */
#include "cel/base/json.h"
#include "kube/sandbox/internal.h"
#include "kube/sandbox/selector.h"

#include "cel/base/banned.h"

/* Fields of built-in kinds beside metadata.name and metadata.namespace. */
static const char *const fields_of[][8] = {
    {"Pod", "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
     "status.phase", "status.podIP"},
    {"Event", "involvedObject.kind", "involvedObject.namespace", "involvedObject.name",
     "involvedObject.uid", "reason", "type"},
    {"Secret", "type"},
    {"Namespace", "status.phase"},
    {"Node", "spec.unschedulable"},
    {"Job", "status.successful"},
    {"ReplicaSet", "status.replicas"},
    {"Service", "spec.clusterIP", "spec.type"},
};

/* --- fields ----------------------------------------------------------------------------------- */

static bool field_allowed(const struct sandbox_call *c, kr_str field)
{
    if (kr_str_is(field, "metadata.name") || kr_str_is(field, "metadata.namespace"))
        return true;
    for (size_t i = 0; c->t.type->builtin && i < KR_N(fields_of); i++) {
        for (size_t k = 1; kr_str_eq(c->t.type->kind, kr_str_c(fields_of[i][0])) && k < 8; k++) {
            if (fields_of[i][k] && kr_str_eq(field, kr_str_c(fields_of[i][k])))
                return true;
        }
    }
    KR_LIST_EACH (f, c->t.version->selectable) {
        kr_str path = kr_at_str(*f, "jsonPath");

        if (kr_str_eq(field, kr_str_sub(path, kr_str_starts(path, KR_S(".")), path.n)))
            return true;
    }
    return false;
}

/* What the key answers goes into the filter; returns whether all that is left are other fields. */
static void lift_name(struct sandbox_filter *f, struct sandbox_selector *s)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->n; i++) {
        struct sandbox_requirement *r = &s->list[i];

        if (r->op == SANDBOX_IN && r->values_n == 1 && kr_str_is(r->key, "metadata.name") &&
            f->name.n == 0)
            f->name = r->values[0];
        else
            s->list[n++] = *r;
    }
    s->n = n;
}

static int refuse_field(struct sandbox_call *c, kr_str field)
{
    bool of_kind = !c->t.type->builtin;

    for (size_t i = 0; i < KR_N(fields_of); i++)
        of_kind |= kr_str_eq(c->t.type->kind, kr_str_c(fields_of[i][0]));
    if (of_kind) /* those have a list of their own, all others the list of all kinds */
        return sandbox__fail(c, 400, "BadRequest", "field label not supported: " KR_FMT,
                             KR_ARG(field));
    return sandbox__fail(c, 400, "BadRequest",
                         "\"" KR_FMT "\" is not a known field selector: only \"metadata.name\", "
                         "\"metadata.namespace\"",
                         KR_ARG(field));
}

int sandbox__filter_read(struct sandbox_call *c, struct kr_arena *a, struct sandbox_filter *out)
{
    kr_str labels = sandbox__arg(c, "labelSelector"), fields = sandbox__arg(c, "fieldSelector");
    struct kr_err err = KR_ERR_NONE;
    struct sandbox_selector *s;

    *out = (struct sandbox_filter){.ns = kr_strdup(a, c->t.ns)};
    if (labels.n) {
        s = sandbox_selector_labels(a, labels, &err);
        if (s == NULL)
            return sandbox__fail(c, 400, "BadRequest", "%s", err.text);
        out->labels = s->n ? s : NULL;
    }
    if (fields.n == 0)
        return 0;
    s = sandbox_selector_fields(a, fields, &err);
    if (s == NULL)
        return sandbox__fail(c, 400, "BadRequest", "%s", err.text);
    for (uint32_t i = 0; i < s->n; i++) {
        if (!field_allowed(c, s->list[i].key))
            return refuse_field(c, s->list[i].key);
    }
    lift_name(out, s);
    out->fields = s->n ? s : NULL;
    return 0;
}

/* --- matching --------------------------------------------------------------------------------- */

static bool labels_match(const struct sandbox_selector *s, const struct sandbox_obj *o,
                         struct kr_arena *a)
{
    kr_val labels = sandbox__obj_labels(a, o);

    for (uint32_t i = 0; i < s->n; i++) {
        if (!sandbox_requirement_met(&s->list[i], kr_get(labels, s->list[i].key)))
            return false;
    }
    return true;
}

/* A field that is not there is the empty text. */
static bool fields_match(struct kr_arena *a, const struct sandbox_selector *s, kr_val object)
{
    for (uint32_t i = 0; i < s->n; i++) {
        kr_str text = sandbox__text_of(a, sandbox__json_path(a, object, s->list[i].key));

        if (!sandbox_requirement_met(&s->list[i], kr_string(text)))
            return false;
    }
    return true;
}

bool sandbox__filter_takes(const struct sandbox_filter *f, const struct sandbox_type *t,
                           const struct sandbox_obj *o, kr_val *v, struct kr_arena *a)
{
    if (f->ns.n && !kr_str_eq(f->ns, sandbox__obj_namespace(o)))
        return false;
    if (f->name.n && !kr_str_eq(f->name, sandbox__obj_name(o)))
        return false;
    if (f->labels && !labels_match(f->labels, o, a))
        return false;
    if (!f->fields)
        return true;
    if (v->kind == KR_NONE)
        *v = sandbox__value(a, t, NULL, o);
    return fields_match(a, f->fields, *v);
}

bool sandbox__filter_match(const struct sandbox_filter *f, const struct sandbox_type *t,
                           const struct sandbox_obj *o)
{
    KR_AUTO(kr_arena) a = {0};
    kr_val v = KR_V_NONE;

    return sandbox__filter_takes(f, t, o, &v, &a);
}
