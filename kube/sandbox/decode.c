/* SPDX-License-Identifier: Apache-2.0 */
/* decode.c - what the server's JSON decoder refuses: a value of another type than its Go field.
 *
 * The types are those of the schema; the words name Go's structs, which only OpenAPI's component names
 * tell, so these are looked up once a value is refused. Of a custom resource only metadata is a Go struct:
 * the rest is its schema's.
 *
 * Source: encoding/json, runtime/converter.go, apiserver endpoints/handlers/{create,patch}.go.
 */
#include <stdio.h>

#include "cel/base/json.h"
#include "cel/base/time.h"
#include "cel/text.h"
#include "kube/sandbox/glue.h"

#include "cel/base/banned.h"

enum {
    NAMES_MAX = 128,
    DEPTH_MAX = 256,
    SHOWN_MAX = 8 * 1024 * 1024, /* bytes of a patched object in a message */
};

struct misfit {
    kr_str names[NAMES_MAX]; /* of the fields down to it: neither keys of maps nor indices */
    uint32_t names_n;
    kr_val value;
    bool inside;      /* an item of the list, or a value of the map, that the last field is */
    const char *text; /* what is said of it, when that names no field */
    char made[64];    /* the text where it is made up */
};

/* --- finding ---------------------------------------------------------------------------------- */

static bool is_text(const struct cel_schema *s, kr_val v, struct misfit *m)
{
    int64_t seconds;
    uint32_t nanos;
    KR_AUTO(kr_arena) a = {0};
    kr_str out;
    size_t bad;

    if (s->format == CEL_F_BYTE && !cel__base64_decode(&a, kr_text(v), false, true, &out, &bad)) {
        snprintf(m->made, sizeof m->made, "illegal base64 data at input byte %zu", bad);
        m->text = m->made;
    } else if (s->format == CEL_F_DATE_TIME && !kr_time_parse(kr_text(v), &seconds, &nanos))
        m->text = "parsing time: it is no RFC 3339 time";
    return m->text == NULL;
}

static bool is_quantity(kr_val v, struct misfit *m)
{
    KR_AUTO(kr_arena) a = {0};
    kr_str out;

    if (v.kind == KR_INT || v.kind == KR_DOUBLE ||
        (v.kind == KR_STRING && cel_quantity_normal(&a, kr_text(v), &out)))
        return true;
    m->text = "quantities must match the regular expression "
              "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
    return false;
}

static bool scalar_fits(const struct cel_schema *s, kr_val v, struct misfit *m)
{
    if (s->format == CEL_F_QUANTITY)
        return is_quantity(v, m);
    if (s->int_or_string || s->format == CEL_F_INT_OR_STRING)
        return v.kind == KR_STRING || v.kind == KR_INT;
    switch (s->type) {
    case CEL_S_STRING:
        return v.kind == KR_STRING && is_text(s, v, m);
    case CEL_S_INTEGER:
        return v.kind == KR_INT || v.kind == KR_UINT;
    case CEL_S_NUMBER:
        return v.kind == KR_INT || v.kind == KR_UINT || v.kind == KR_DOUBLE;
    case CEL_S_BOOLEAN:
        return v.kind == KR_BOOL;
    case CEL_S_ARRAY:
        return v.kind == KR_LIST;
    case CEL_S_OBJECT:
        return v.kind == KR_MAP;
    default:
        return true;
    }
}

static bool fits(const struct cel_schema *s, kr_val v, struct misfit *m, uint32_t depth)
{
    if (s == NULL || v.kind <= KR_NULL || depth == DEPTH_MAX)
        return true;
    if (!scalar_fits(s, v, m)) {
        m->value = v;
        return false;
    }
    if (v.kind == KR_LIST) {
        for (uint32_t i = 0; i < v.n; i++) {
            m->inside = true;
            if (!fits(s->items, v.list[i], m, depth + 1))
                return false;
        }
        return true;
    }
    KR_MAP_EACH (p, v) {
        const struct cel_field *field = cel_schema_field(s, kr_text(p->key));
        bool named = field && m->names_n < NAMES_MAX;

        m->inside = !named;
        if (named)
            m->names[m->names_n++] = field->name;
        if (!fits(cel_schema_member(s, kr_text(p->key)), p->val, m, depth + 1))
            return false;
        m->names_n -= named;
    }
    return true;
}

/* --- naming ----------------------------------------------------------------------------------- */

/* "io.k8s.api.core.v1.Container" -> "v1.Container", or "Container" */
static kr_str short_name(kr_str component, bool package)
{
    ptrdiff_t dot = kr_str_rchr(component, '.');
    kr_str kind = kr_str_sub(component, (size_t)(dot + 1), component.n);
    kr_str rest = dot < 0 ? KR_S("") : kr_str_sub(component, 0, (size_t)dot);

    if (!package || dot < 0)
        return kind;
    dot = kr_str_rchr(rest, '.');
    return kr_str_sub(component, (size_t)(dot + 1), component.n);
}

/* The component that a schema refers to; empty: none. */
static kr_str component_of(kr_val schema)
{
    static const char prefix[] = "#/components/schemas/";
    kr_val ref = kr_get(schema, KR_S("$ref"));

    if (ref.kind != KR_STRING)
        ref = kr_get(kr_item(kr_get(schema, KR_S("allOf")), 0), KR_S("$ref"));
    return ref.kind == KR_STRING && kr_str_starts(kr_text(ref), kr_str_c(prefix))
               ? kr_str_sub(kr_text(ref), sizeof prefix - 1, kr_text(ref).n)
               : KR_S("");
}

static kr_str go_type(struct kr_arena *a, kr_val schema)
{
    kr_str component = component_of(schema), type = kr_at_str(schema, "type"),
           format = kr_at_str(schema, "format");
    kr_val of = kr_get(schema, KR_S("additionalProperties"));

    if (kr_str_ends(component, KR_S(".IntOrString")))
        return KR_S("int32"); /* it decodes a number first */
    if (component.n)
        return short_name(component, true);
    if (kr_str_is(type, "array"))
        return kr_fmt(a, "[]" KR_FMT, KR_ARG(go_type(a, kr_get(schema, KR_S("items")))));
    if (of.kind == KR_MAP)
        return kr_fmt(a, "map[string]" KR_FMT, KR_ARG(go_type(a, of)));
    if (kr_str_is(type, "integer"))
        return format.n ? format : KR_S("int64");
    if (kr_str_is(type, "boolean"))
        return KR_S("bool");
    if (kr_str_is(type, "number"))
        return KR_S("float64");
    return type;
}

static const char *json_type(kr_val v)
{
    switch (v.kind) {
    case KR_MAP:
        return "object";
    case KR_LIST:
        return "array";
    case KR_STRING:
        return "string";
    case KR_BOOL:
        return "bool";
    default:
        return "number";
    }
}

/* The struct that has the field, and the field's schema there; then into what a list or a map holds, as long
 * as the value is of it. */
static kr_val field_schema(kr_val components, kr_str component, const struct misfit *m,
                           kr_str *owner)
{
    kr_val schema = kr_get(components, component);

    *owner = component;
    for (uint32_t i = 0; i < m->names_n; i++) {
        while (kr_get(schema, KR_S("properties")).kind == KR_NONE) {
            kr_str next = component_of(schema);
            kr_val inner = kr_get(schema, KR_S("items"));

            if (next.n) {
                *owner = next;
                schema = kr_get(components, next);
            } else if (inner.kind == KR_MAP) {
                schema = inner;
            } else {
                schema = kr_get(schema, KR_S("additionalProperties"));
            }
            if (schema.kind != KR_MAP)
                return KR_V_NONE;
        }
        schema = kr_get(kr_get(schema, KR_S("properties")), m->names[i]);
    }
    return schema;
}

/* Of what the list or the map holds, where the value stands in one. */
static kr_val held_schema(kr_val schema, const struct misfit *m)
{
    kr_val items = kr_get(schema, KR_S("items")),
           values = kr_get(schema, KR_S("additionalProperties"));

    if (!m->inside)
        return schema;
    return items.kind == KR_MAP ? items : values.kind == KR_MAP ? values : schema;
}

static kr_str go_words(struct sandbox_call *c, kr_val components, kr_str component,
                       const struct misfit *m)
{
    KR_AUTO(kr_buf) path = KR_BUF(8 * 1024);
    kr_str owner, number = KR_S("");
    kr_val schema = held_schema(field_schema(components, component, m, &owner), m);

    for (uint32_t i = 0; i < m->names_n; i++)
        kr_buf_fmt(&path, "." KR_FMT, KR_ARG(m->names[i]));
    if (m->value.kind == KR_DOUBLE)
        number = kr_fmt(c->a, " " KR_FMT, KR_ARG(kr_json_str(c->a, m->value)));
    return kr_fmt(c->a,
                  "json: cannot unmarshal %s" KR_FMT " into Go struct field " KR_FMT KR_FMT
                  " of type " KR_FMT,
                  json_type(m->value), KR_ARG(number), KR_ARG(short_name(owner, false)),
                  KR_ARG(kr_buf_view(&path)), KR_ARG(go_type(c->a, schema)));
}

static bool is_strategic(const struct sandbox_call *c)
{
    return kr_str_find(c->q->content_type, KR_S("strategic")) >= 0;
}

/* A strategic patch is no JSON any more when it becomes an object: the words are those of the conversion.
 * That of an optional number is a pointer. */
static kr_str conversion_words(struct sandbox_call *c, kr_val components, kr_str component,
                               const struct misfit *m)
{
    kr_str owner, type, name = m->names_n ? m->names[m->names_n - 1] : KR_S("");
    kr_val schema = held_schema(field_schema(components, component, m, &owner), m);
    const char *of = json_type(m->value);
    bool required = false;

    KR_LIST_EACH (r, kr_at(kr_get(components, owner), "required"))
        required |= kr_str_eq(kr_text(*r), name);
    if (m->value.kind == KR_INT)
        of = "int64";
    else if (m->value.kind == KR_DOUBLE)
        of = "float64";
    else if (m->value.kind == KR_LIST || m->value.kind == KR_MAP)
        of = m->value.kind == KR_LIST ? "slice" : "map";
    type = go_type(c->a, schema);
    if (kr_str_starts(type, KR_S("[]")))
        return kr_fmt(c->a, "cannot restore slice from %s", of);
    if (kr_str_starts(type, KR_S("map[")))
        return kr_fmt(c->a, "cannot restore map from %s", of);
    if (kr_str_chr(type, '.') >= 0)
        return kr_fmt(c->a, "cannot restore struct from: %s", of);
    if (required || m->inside || kr_str_is(type, "string"))
        return kr_fmt(c->a, "cannot convert %s to " KR_FMT, of, KR_ARG(type));
    return kr_fmt(c->a, "unrecognized type: " KR_FMT, KR_ARG(type));
}

/* --- refusing --------------------------------------------------------------------------------- */

/* As Go prints a value with %+v. */
static void go_value(struct kr_buf *b, struct kr_arena *a, kr_val v)
{
    const char *between = "";

    if (v.kind == KR_MAP) {
        kr_buf_str(b, KR_S("map["));
        KR_MAP_EACH (p, v) {
            kr_buf_fmt(b, "%s" KR_FMT ":", between, KR_ARG(kr_text(p->key)));
            go_value(b, a, p->val);
            between = " ";
        }
        kr_buf_chr(b, ']');
    } else if (v.kind == KR_LIST) {
        kr_buf_chr(b, '[');
        for (uint32_t i = 0; i < v.n; i++) {
            kr_buf_str(b, kr_str_c(i ? " " : ""));
            go_value(b, a, v.list[i]);
        }
        kr_buf_chr(b, ']');
    } else if (v.kind == KR_STRING) {
        kr_buf_str(b, kr_text(v));
    } else {
        kr_buf_str(b, v.kind == KR_NULL ? KR_S("<nil>") : kr_json_str(a, v));
    }
}

/* What a patch made cannot be read: of the object itself nothing is said. */
static int refuse_patch(struct sandbox_call *c, kr_val next, kr_str why)
{
    bool strategic = is_strategic(c);
    struct kr_buf shown = KR_BUF_IN(c->a, SHOWN_MAX);
    struct kr_listb causes = KR_LISTB(c->a);
    kr_val patch;
    int status = strategic ? sandbox__body(c, &patch) : 0;

    if (status)
        return status;
    if (strategic)
        go_value(&shown, c->a, patch);
    else
        kr_buf_str(&shown, kr_json_str(c->a, next));
    kr_listb_add(&causes,
                 sandbox__cause(c->a, "FieldValueInvalid",
                                kr_fmt(c->a, "Invalid value: " KR_FMT ": " KR_FMT,
                                       KR_ARG(kr_json_str(c->a, kr_string(kr_buf_view(&shown)))),
                                       KR_ARG(why)),
                                KR_S("patch")));
    return sandbox__invalid_of(c, KR_S(""), KR_S(""), KR_S(""), kr_listb_done(&causes));
}

int sandbox__undecodable(struct sandbox_call *c, kr_val v, kr_str why)
{
    if (strcmp(c->q->method, "PATCH") == 0 &&
        !kr_str_starts(c->q->content_type, KR_S("application/apply-patch")))
        return refuse_patch(c, v, why);
    return sandbox__fail(
        c, 400, "BadRequest",
        KR_FMT " in version \"" KR_FMT "\" cannot be handled as a " KR_FMT ": " KR_FMT,
        KR_ARG(c->t.type->kind), KR_ARG(c->t.version->name), KR_ARG(c->t.type->kind), KR_ARG(why));
}

kr_str sandbox__component(kr_val components, kr_gvk gvk)
{
    KR_MAP_EACH (p, components) {
        kr_val of = kr_item(kr_get(p->val, KR_S("x-kubernetes-group-version-kind")), 0);

        if (kr_is_str(kr_get(of, KR_S("kind")), gvk.kind) &&
            kr_str_eq(kr_at_str(of, "group"), gvk.group) &&
            kr_str_eq(kr_at_str(of, "version"), gvk.version))
            return kr_text(p->key);
    }
    return KR_S("");
}

int sandbox__convertible(struct sandbox_call *c, kr_val v, struct kr_err *err)
{
    const struct sandbox_type *t = c->t.type;
    struct misfit m = {0};
    kr_str gvk;

    if (!t->builtin || fits(sandbox__schema(c->s, t, c->t.version), v, &m, 0) || m.made[0] == 0)
        return 0;
    gvk = kr_fmt(c->a, KR_FMT "/" KR_FMT ", Kind=" KR_FMT, KR_ARG(t->group),
                 KR_ARG(c->t.version->name), KR_ARG(t->kind));
    return kr_fail(err, KR_E_INPUT,
                   "failed to convert new object (" KR_FMT "/" KR_FMT "; " KR_FMT
                   ") to proper version: unable to convert unstructured object to " KR_FMT
                   ": error decoding from json: %s",
                   KR_ARG(kr_at_str(v, "metadata.namespace")),
                   KR_ARG(kr_at_str(v, "metadata.name")), KR_ARG(gvk), KR_ARG(gvk), m.made);
}

int sandbox__typed(struct sandbox_call *c, kr_val v)
{
    bool builtin = c->t.type->builtin;
    kr_gvk gvk = {c->t.type->group, c->t.version->name, c->t.type->kind},
           lease = {KR_S("coordination.k8s.io"), KR_S("v1"), KR_S("Lease")};
    struct misfit m = {0};
    kr_val components;
    kr_str component;

    if (builtin ? fits(sandbox__schema(c->s, c->t.type, c->t.version), v, &m, 0)
                : fits(cel_schema_object_meta(), kr_get(v, KR_S("metadata")), &m, 0))
        return 0;
    if (m.text)
        return sandbox__undecodable(c, v, kr_str_c(m.text));
    components = kr_at(kube_builtin_openapi(c->a, builtin ? gvk : lease), "components.schemas");
    component = builtin ? sandbox__component(components, gvk)
                        : KR_S("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    return sandbox__undecodable(c, v,
                                is_strategic(c) ? conversion_words(c, components, component, &m)
                                                : go_words(c, components, component, &m));
}
