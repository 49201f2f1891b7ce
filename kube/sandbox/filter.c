/* SPDX-License-Identifier: Apache-2.0 */
/* filter.c - label and field selectors of lists and watches.
 *
 *   labels   key   !key   key=v   key==v   key!=v   key in (a,b)   key notin (a,b)
 *   fields   path=v   path==v   path!=v, of the paths that a kind allows
 *
 * metadata.name and metadata.namespace are answered by the key; all else reads the object.
 *
 * Source: apimachinery pkg/labels, pkg/fields; kubernetes registry strategies (allowed fields).
 */
#include "cel/base/json.h"
#include "kube/sandbox/internal.h"

#include "cel/base/banned.h"

enum { REQUIREMENTS_MAX = 1000 };

enum op { HAS, HAS_NOT, IN, NOT_IN };

struct requirement {
    kr_str key;
    enum op op;
    kr_str values[16];
    uint32_t values_n;
};

struct sandbox_selector {
    struct requirement *list;
    uint32_t n;
};

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

/* --- reading ---------------------------------------------------------------------------------- */

/* Cuts the next requirement off: commas within parentheses do not count. */
static kr_str next_part(kr_str *rest)
{
    size_t depth = 0, i;
    kr_str one;

    for (i = 0; i < rest->n; i++) {
        depth += rest->s[i] == '(';
        depth -= depth > 0 && rest->s[i] == ')';
        if (rest->s[i] == ',' && depth == 0)
            break;
    }
    one = kr_str_trim(kr_str_sub(*rest, 0, i));
    *rest = i < rest->n ? kr_str_sub(*rest, i + 1, rest->n) : (kr_str){0};
    return one;
}

static bool is_key(kr_str key)
{
    for (size_t i = 0; i < key.n; i++) {
        char ch = key.s[i];

        if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
              ch == '-' || ch == '_' || ch == '.' || ch == '/'))
            return false;
    }
    return key.n > 0;
}

static bool read_set(kr_str text, struct requirement *r)
{
    kr_str rest = kr_str_trim(text);

    if (!kr_str_starts(rest, KR_S("(")) || !kr_str_ends(rest, KR_S(")")))
        return false;
    rest = kr_str_sub(rest, 1, rest.n - 1);
    do {
        if (r->values_n == KR_N(r->values))
            return false;
        r->values[r->values_n++] = kr_str_trim(kr_str_cut(&rest, ','));
    } while (rest.s != NULL);
    return true;
}

static bool read_requirement(kr_str one, struct requirement *r)
{
    ptrdiff_t eq = kr_str_chr(one, '='), in = kr_str_find(one, KR_S(" in ")),
              not_in = kr_str_find(one, KR_S(" notin "));
    size_t end, from;

    if (not_in >= 0 || in >= 0) {
        r->op = not_in >= 0 ? NOT_IN : IN;
        r->key = kr_str_trim(kr_str_sub(one, 0, (size_t)(not_in >= 0 ? not_in : in)));
        return is_key(r->key) &&
               read_set(kr_str_sub(one, (size_t)(not_in >= 0 ? not_in + 7 : in + 4), one.n), r);
    }
    if (eq < 0) {
        r->op = kr_str_starts(one, KR_S("!")) ? HAS_NOT : HAS;
        r->key = kr_str_trim(kr_str_sub(one, r->op == HAS_NOT, one.n));
        return is_key(r->key);
    }
    end = (size_t)eq;
    from = end + 1;
    r->op = IN;
    if (end > 0 && one.s[end - 1] == '!') {
        r->op = NOT_IN;
        end--;
    } else if (from < one.n && one.s[from] == '=') {
        from++;
    }
    r->key = kr_str_trim(kr_str_sub(one, 0, end));
    r->values[r->values_n++] = kr_str_trim(kr_str_sub(one, from, one.n));
    return is_key(r->key);
}

/* NULL: not a selector, or too long a one. */
static struct sandbox_selector *read_selector(struct kr_arena *a, kr_str text)
{
    struct sandbox_selector *s = kr_new(a, struct sandbox_selector);
    uint32_t max = 1;

    text = kr_strdup(a, text);
    for (size_t i = 0; i < text.n; i++)
        max += text.s[i] == ',';
    if (max > REQUIREMENTS_MAX)
        return NULL;
    s->list = kr_new_n(a, struct requirement, max);
    while (text.n > 0) {
        kr_str one = next_part(&text);

        if (one.n > 0 && !read_requirement(one, &s->list[s->n++]))
            return NULL;
    }
    return s;
}

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
        struct requirement *r = &s->list[i];

        if (r->op == IN && r->values_n == 1 && kr_str_is(r->key, "metadata.name") && f->name.n == 0)
            f->name = r->values[0];
        else
            s->list[n++] = *r;
    }
    s->n = n;
}

int sandbox__filter_read(struct sandbox_call *c, struct kr_arena *a, struct sandbox_filter *out)
{
    kr_str labels = sandbox__arg(c, "labelSelector"), fields = sandbox__arg(c, "fieldSelector");
    struct sandbox_selector *s;

    *out = (struct sandbox_filter){.ns = kr_strdup(a, c->t.ns)};
    if (labels.n) {
        s = read_selector(a, labels);
        if (s == NULL)
            return sandbox__fail(c, 400, "BadRequest",
                                 "unable to parse requirement: found '" KR_FMT "'", KR_ARG(labels));
        out->labels = s->n ? s : NULL;
    }
    if (fields.n == 0)
        return 0;
    s = read_selector(a, fields);
    if (s == NULL)
        return sandbox__fail(c, 400, "BadRequest", "invalid field selector: '" KR_FMT "'",
                             KR_ARG(fields));
    for (uint32_t i = 0; i < s->n; i++) {
        if (!field_allowed(c, s->list[i].key))
            return sandbox__fail(c, 400, "BadRequest", "field label not supported: " KR_FMT,
                                 KR_ARG(s->list[i].key));
    }
    lift_name(out, s);
    out->fields = s->n ? s : NULL;
    return 0;
}

/* --- matching --------------------------------------------------------------------------------- */

static bool takes(const struct requirement *r, kr_val v, kr_str text)
{
    bool found = false;

    if (r->op == HAS || r->op == HAS_NOT)
        return (v.kind != KR_NONE) == (r->op == HAS);
    for (uint32_t i = 0; i < r->values_n; i++)
        found |= kr_str_eq(r->values[i], text);
    return r->op == IN ? found && v.kind != KR_NONE : !found || v.kind == KR_NONE;
}

static bool labels_match(const struct sandbox_selector *s, kr_val labels)
{
    for (uint32_t i = 0; i < s->n; i++) {
        kr_val v = kr_get(labels, s->list[i].key);

        if (!takes(&s->list[i], v, kr_text(v)))
            return false;
    }
    return true;
}

/* A field that is not there is the empty text. */
static bool fields_match(struct kr_arena *a, const struct sandbox_selector *s, kr_val object)
{
    for (uint32_t i = 0; i < s->n; i++) {
        kr_str text = sandbox__text_of(a, sandbox__json_path(a, object, s->list[i].key));

        if (!takes(&s->list[i], KR_V_STR(""), text))
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
    if (!f->labels && !f->fields)
        return true;
    if (v->kind == KR_NONE)
        *v = sandbox__value(a, t, NULL, o);
    return (!f->labels || labels_match(f->labels, kr_at(*v, "metadata.labels"))) &&
           (!f->fields || fields_match(a, f->fields, *v));
}

bool sandbox__filter_match(const struct sandbox_filter *f, const struct sandbox_type *t,
                           const struct sandbox_obj *o)
{
    KR_AUTO(kr_arena) a = {0};
    kr_val v = KR_V_NONE;

    return sandbox__filter_takes(f, t, o, &v, &a);
}
