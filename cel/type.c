/* SPDX-License-Identifier: Apache-2.0 */
/* type.c - type terms: building, printing, fitting, substitution of type parameters.
 *
 * Types are immutable. Basic types are static; others live in an arena. An object type is known by
 * its name alone; its fields come from the OpenAPI schema it was made of, one select at a time, so
 * that a Deployment's thousand fields cost nothing until they are named.
 *
 * The checker's type variables live in a cel__subst: variable -> type. Each attempt to fit types
 * either succeeds or is rolled back by the trail. The rules and their order are cel-go's, since the
 * order shows in what is inferred.
 *
 * Source: cel-go checker/types.go; kro:pkg/cel/{schemas,compatibility}.go; reference sections
 * 6, 15.
 */
#include "cel/internal.h"

#include <stdio.h>

#include "cel/base/banned.h"

enum {
    TYPE_DEPTH_MAX = 4 * CEL_DEPTH_MAX, /* nesting of a type: of the tree, and macros add to it */
    PRINT_MAX = 64 * 1024,
};

#define BASIC(id, k, text)                                                                         \
    const struct cel_type cel__t_##id = {.kind = (k), .name = {text, sizeof(text) - 1}};
BASIC(error, TK_ERROR, "error")
BASIC(dyn, TK_DYN, "dyn")
BASIC(any, TK_ANY, "any")
BASIC(null, TK_NULL, "null_type")
BASIC(bool, TK_BOOL, "bool")
BASIC(int, TK_INT, "int")
BASIC(uint, TK_UINT, "uint")
BASIC(double, TK_DOUBLE, "double")
BASIC(string, TK_STRING, "string")
BASIC(bytes, TK_BYTES, "bytes")
BASIC(duration, TK_DURATION, "google.protobuf.Duration")
BASIC(timestamp, TK_TIMESTAMP, "google.protobuf.Timestamp")
BASIC(type, TK_TYPE, "type")
BASIC(condition, TK_OBJECT, "kro.run.Condition")
BASIC(runtime, TK_OBJECT, "kro.run.Runtime")
#undef BASIC

const struct cel_type *const CEL_T_DYN = &cel__t_dyn;
const struct cel_type *const CEL_T_ANY = &cel__t_any;
const struct cel_type *const CEL_T_BOOL = &cel__t_bool;
const struct cel_type *const CEL_T_INT = &cel__t_int;
const struct cel_type *const CEL_T_UINT = &cel__t_uint;
const struct cel_type *const CEL_T_DOUBLE = &cel__t_double;
const struct cel_type *const CEL_T_STRING = &cel__t_string;
const struct cel_type *const CEL_T_BYTES = &cel__t_bytes;
const struct cel_type *const CEL_T_NULL = &cel__t_null;
const struct cel_type *const CEL_T_DURATION = &cel__t_duration;
const struct cel_type *const CEL_T_TIMESTAMP = &cel__t_timestamp;
const struct cel_type *const CEL_T_CONDITION = &cel__t_condition;

/* --- building --------------------------------------------------------------------------------- */

const struct cel_type *cel__type_new(struct kr_arena *a, enum cel__type_kind kind, kr_str name,
                                     const struct cel_type *const *params, uint32_t n)
{
    struct cel_type *t = kr_new(a, struct cel_type);
    const struct cel_type **own = n ? kr_new_n(a, const struct cel_type *, n) : NULL;

    for (uint32_t i = 0; i < n; i++)
        own[i] = params[i];
    t->kind = (uint8_t)kind;
    t->name = name;
    t->params = own;
    t->params_n = n;
    return t;
}

const struct cel_type *cel_type_list(struct kr_arena *a, const struct cel_type *item)
{
    return cel__type_new(a, TK_LIST, KR_S("list"), &item, 1);
}

const struct cel_type *cel_type_map(struct kr_arena *a, const struct cel_type *key,
                                    const struct cel_type *value)
{
    const struct cel_type *params[2] = {key, value};

    return cel__type_new(a, TK_MAP, KR_S("map"), params, 2);
}

const struct cel_type *cel__type_optional(struct kr_arena *a, const struct cel_type *inner)
{
    return cel__type_new(a, TK_OPAQUE, KR_S("optional_type"), &inner, 1);
}

const struct cel_type *cel__type_type(struct kr_arena *a, const struct cel_type *of)
{
    return cel__type_new(a, TK_TYPE, KR_S("type"), &of, 1);
}

const struct cel_type *cel__type_var(struct kr_arena *a, uint32_t var)
{
    struct cel_type *t = kr_new(a, struct cel_type);

    t->kind = TK_VAR;
    t->var = var;
    t->name = KR_S("T");
    return t;
}

const struct cel_type *cel__type_copy(struct kr_arena *a, const struct cel_type *t)
{
    struct cel_type *copy;
    const struct cel_type **params;

    if (t->kind <= TK_TIMESTAMP || t == &cel__t_type)
        return t;
    copy = kr_new(a, struct cel_type);
    *copy = *t;
    copy->name = kr_strdup(a, t->name);
    params = t->params_n ? kr_new_n(a, const struct cel_type *, t->params_n) : NULL;
    for (uint32_t i = 0; i < t->params_n; i++)
        params[i] = cel__type_copy(a, t->params[i]);
    copy->params = params;
    return copy;
}

/* --- reading signatures ----------------------------------------------------------------------- */

static const struct cel_type *const basic_types[] = {
    &cel__t_dyn,    &cel__t_any,   &cel__t_bool, &cel__t_int,       &cel__t_uint,    &cel__t_double,
    &cel__t_string, &cel__t_bytes, &cel__t_type, &cel__t_condition, &cel__t_runtime,
};

static const struct cel_type *named_type(struct kr_arena *a, kr_str name)
{
    for (size_t i = 0; i < KR_N(basic_types); i++) {
        if (kr_str_eq(basic_types[i]->name, name))
            return basic_types[i];
    }
    if (kr_str_is(name, "null") || kr_str_is(name, "null_type"))
        return &cel__t_null;
    if (kr_str_is(name, "timestamp"))
        return &cel__t_timestamp;
    if (kr_str_is(name, "duration"))
        return &cel__t_duration;
    if (name.n == 1 && name.s[0] >= 'A' && name.s[0] <= 'Z')
        return cel__type_var(a, (uint32_t)(name.s[0] - 'A'));
    if (kr_str_starts(name, KR_S("net.")))
        return cel__type_new(a, TK_OPAQUE, name, NULL, 0);
    return cel__type_new(a, TK_OBJECT, name, NULL, 0);
}

static enum cel__type_kind constructor_kind(kr_str name)
{
    if (kr_str_is(name, "list"))
        return TK_LIST;
    if (kr_str_is(name, "map"))
        return TK_MAP;
    if (kr_str_is(name, "type"))
        return TK_TYPE;
    return TK_OPAQUE;
}

const struct cel_type *cel__type_parse(struct kr_arena *a, kr_str *rest)
{
    const struct cel_type *params[4];
    uint32_t n = 0;
    size_t end = 0;
    kr_str name;

    while (rest->n && rest->s[0] == ' ')
        *rest = kr_str_sub(*rest, 1, rest->n);
    while (end < rest->n && !strchr("(), ", rest->s[end]))
        end++;
    name = kr_str_sub(*rest, 0, end);
    *rest = kr_str_sub(*rest, end, rest->n);
    KR_ASSERT(name.n > 0);
    if (!rest->n || rest->s[0] != '(')
        return named_type(a, name);
    do {
        *rest = kr_str_sub(*rest, 1, rest->n);
        KR_ASSERT(n < KR_N(params));
        params[n++] = cel__type_parse(a, rest);
    } while (rest->n && rest->s[0] == ',');
    KR_ASSERT(rest->n && rest->s[0] == ')');
    *rest = kr_str_sub(*rest, 1, rest->n);
    return cel__type_new(a, constructor_kind(name), name, params, n);
}

/* --- types of schemas ------------------------------------------------------------------------- */

static const struct cel_type *object_type(struct kr_arena *a, const struct cel_schema *s,
                                          kr_str name)
{
    struct cel_type *t = kr_new(a, struct cel_type);

    t->kind = TK_OBJECT;
    t->name = kr_strdup(a, name);
    t->schema = s;
    return t;
}

static const struct cel_type *type_of_string(const struct cel_schema *s)
{
    switch (s->format) {
    case CEL_F_BYTE:
        return &cel__t_bytes;
    case CEL_F_DURATION:
        return &cel__t_duration;
    case CEL_F_DATE:
    case CEL_F_DATE_TIME:
        return &cel__t_timestamp;
    }
    return &cel__t_string;
}

/* The type of s, or NULL: a property of this schema is not declared at all. */
static const struct cel_type *type_of(struct kr_arena *a, const struct cel_schema *s, kr_str name,
                                      uint32_t depth)
{
    const struct cel_type *inner;

    if (!s || depth > TYPE_DEPTH_MAX)
        return NULL;
    if (s->int_or_string || s->format == CEL_F_INT_OR_STRING)
        return &cel__t_dyn;
    switch (s->type) {
    case CEL_S_ARRAY:
        inner = type_of(a, s->items, kr_fmt(a, KR_FMT ".@idx", KR_ARG(name)), depth + 1);
        return inner ? cel_type_list(a, inner) : NULL;
    case CEL_S_OBJECT:
        if (!s->additional)
            return object_type(a, s, name);
        inner = type_of(a, s->additional, kr_fmt(a, KR_FMT ".@elem", KR_ARG(name)), depth + 1);
        return cel_type_map(a, &cel__t_string, inner ? inner : &cel__t_dyn);
    case CEL_S_STRING:
        return type_of_string(s);
    case CEL_S_INTEGER:
        return &cel__t_int;
    case CEL_S_NUMBER:
        return &cel__t_double;
    case CEL_S_BOOLEAN:
        return &cel__t_bool;
    }
    return NULL;
}

const struct cel_type *cel_type_of_schema(struct kr_arena *a, const struct cel_schema *schema,
                                          kr_str name)
{
    const struct cel_type *t = type_of(a, schema, name, 0);

    return t ? t : &cel__t_dyn;
}

/* The property that is shown as the field `name`, or NULL: as written, else a reserved word. */
static const struct cel_field *field_of(struct kr_arena *a, const struct cel_schema *s, kr_str name)
{
    kr_str raw;
    kr_str back;

    if (cel__unescape(a, name, &raw) && cel__escape(a, raw, &back) && kr_str_eq(back, name))
        return cel_schema_field(s, raw);
    return cel__reserved_word(name) ? cel_schema_field(s, name) : NULL;
}

/* What an embedded resource declares beyond its properties. */
static const struct cel_type *embedded_field(struct kr_arena *a, const struct cel_type *object,
                                             kr_str name)
{
    static const struct cel_schema text = {.type = CEL_S_STRING};
    static const struct cel_field meta_fields[] = {
        {.name = {"generateName", 12}, .schema = &text},
        {.name = {"name", 4}, .schema = &text},
    };
    static const struct cel_schema meta = {
        .type = CEL_S_OBJECT, .fields_n = KR_N(meta_fields), .fields = meta_fields};

    if (kr_str_is(name, "apiVersion") || kr_str_is(name, "kind"))
        return &cel__t_string;
    if (kr_str_is(name, "metadata"))
        return object_type(a, &meta, kr_fmt(a, KR_FMT ".metadata", KR_ARG(object->name)));
    return NULL;
}

/* Does the schema declare name and generateName of metadata itself? Then nothing is added. */
static bool embedded_complete(const struct cel_schema *s)
{
    const struct cel_field *m = cel_schema_field(s, KR_S("metadata"));

    return cel_schema_field(s, KR_S("kind")) && cel_schema_field(s, KR_S("apiVersion")) && m &&
           cel_schema_field(m->schema, KR_S("name")) &&
           cel_schema_field(m->schema, KR_S("generateName"));
}

static enum cel__field_found schema_field(struct kr_arena *a, const struct cel_type *object,
                                          kr_str name, const struct cel_type **out)
{
    const struct cel_schema *s = object->schema;
    const struct cel_field *f;
    const struct cel_type *t = NULL;
    kr_str escaped;

    if (s->embedded && !embedded_complete(s))
        t = embedded_field(a, object, name);
    f = t ? NULL : field_of(a, s, name);
    if (f && cel__escape(a, f->name, &escaped))
        t = type_of(a, f->schema, kr_dotted(a, object->name, escaped), 0);
    if (!t && s->preserve_unknown)
        t = &cel__t_dyn;
    if (!t)
        return CEL__FIELD_UNDEFINED;
    *out = t;
    return CEL__FIELD_OK;
}

enum cel__field_found cel__type_field(struct kr_arena *a, const struct cel_type *object,
                                      kr_str name, const struct cel_type **out)
{
    if (object->schema)
        return schema_field(a, object, name, out);
    if (!kr_str_eq(object->name, cel__t_condition.name))
        return CEL__FIELD_NO_TYPE;
    if (!kr_str_is(name, "type") && !kr_str_is(name, "status") && !kr_str_is(name, "reason") &&
        !kr_str_is(name, "message"))
        return CEL__FIELD_UNDEFINED;
    *out = &cel__t_string;
    return CEL__FIELD_OK;
}

/* --- questions -------------------------------------------------------------------------------- */

bool cel_type_same(const struct cel_type *a, const struct cel_type *b)
{
    if (a == b)
        return true;
    if (a->kind != b->kind || a->params_n != b->params_n)
        return false;
    if (a->kind == TK_VAR)
        return a->var == b->var;
    if ((a->kind == TK_OBJECT || a->kind == TK_OPAQUE) && !kr_str_eq(a->name, b->name))
        return false;
    for (uint32_t i = 0; i < a->params_n; i++) {
        if (!cel_type_same(a->params[i], b->params[i]))
            return false;
    }
    return true;
}

bool cel_type_is_list(const struct cel_type *t, const struct cel_type **item)
{
    if (t->kind != TK_LIST)
        return false;
    if (item)
        *item = t->params[0];
    return true;
}

bool cel_type_is_map(const struct cel_type *t, const struct cel_type **key,
                     const struct cel_type **value)
{
    if (t->kind != TK_MAP)
        return false;
    if (key)
        *key = t->params[0];
    if (value)
        *value = t->params[1];
    return true;
}

bool cel_type_is_optional(const struct cel_type *t, const struct cel_type **inner)
{
    if (t->kind != TK_OPAQUE || t->params_n != 1 || !kr_str_is(t->name, "optional_type"))
        return false;
    if (inner)
        *inner = t->params[0];
    return true;
}

bool cel_type_is_object(const struct cel_type *t)
{
    return t->kind == TK_OBJECT;
}

bool cel_type_is_dyn(const struct cel_type *t)
{
    return t->kind == TK_DYN || t->kind == TK_ANY;
}

static void print_type(struct kr_buf *b, const struct cel_type *t)
{
    switch (t->kind) {
    case TK_ERROR:
        kr_buf_str(b, KR_S("!error!"));
        return;
    case TK_NULL:
        kr_buf_str(b, KR_S("null"));
        return;
    case TK_TIMESTAMP:
        kr_buf_str(b, KR_S("timestamp"));
        return;
    case TK_DURATION:
        kr_buf_str(b, KR_S("duration"));
        return;
    }
    kr_buf_str(b, t->name);
    for (uint32_t i = 0; i < t->params_n; i++) {
        kr_buf_str(b, i ? KR_S(", ") : KR_S("("));
        print_type(b, t->params[i]);
    }
    if (t->params_n)
        kr_buf_chr(b, ')');
}

kr_str cel_type_print(struct kr_arena *a, const struct cel_type *t)
{
    KR_AUTO(kr_buf) b = KR_BUF_IN(a, PRINT_MAX);

    print_type(&b, t);
    return kr_buf_view(&b);
}

/* --- substitution ----------------------------------------------------------------------------- */

const struct cel_type *cel__subst_fresh(struct cel__subst *s)
{
    struct cel_type *t;

    if (s->vars_n == s->cap) {
        uint32_t cap = s->cap ? 2 * s->cap : 16;
        const struct cel_type **grown = kr_new_n(s->a, const struct cel_type *, cap);

        if (s->vars_n)
            memcpy(grown, s->bound, s->vars_n * sizeof(*grown));
        s->bound = grown;
        s->cap = cap;
    }
    t = kr_new(s->a, struct cel_type);
    t->kind = TK_VAR;
    t->name = kr_fmt(s->a, "_var%u", s->vars_n);
    t->var = s->vars_n++;
    return t;
}

static void bind_var(struct cel__subst *s, uint32_t var, const struct cel_type *t)
{
    if (s->trail_n == s->trail_cap) {
        uint32_t cap = s->trail_cap ? 2 * s->trail_cap : 32;
        uint32_t *trail = kr_new_n(s->a, uint32_t, cap);
        const struct cel_type **old = kr_new_n(s->a, const struct cel_type *, cap);

        if (s->trail_n) {
            memcpy(trail, s->trail, s->trail_n * sizeof(*trail));
            memcpy(old, s->old, s->trail_n * sizeof(*old));
        }
        s->trail = trail;
        s->old = old;
        s->trail_cap = cap;
    }
    s->trail[s->trail_n] = var;
    s->old[s->trail_n++] = s->bound[var];
    s->bound[var] = t;
}

static void undo_to(struct cel__subst *s, uint32_t mark)
{
    while (s->trail_n > mark) {
        s->trail_n--;
        s->bound[s->trail[s->trail_n]] = s->old[s->trail_n];
    }
}

/* Does var occur in t, through bindings? Then binding var to t would make an endless type. */
static bool occurs(struct cel__subst *s, uint32_t var, const struct cel_type *t, uint32_t depth)
{
    if (depth > TYPE_DEPTH_MAX)
        return true;
    if (t->kind == TK_VAR) {
        if (t->var == var)
            return true;
        return s->bound[t->var] && occurs(s, var, s->bound[t->var], depth + 1);
    }
    for (uint32_t i = 0; i < t->params_n; i++) {
        if (occurs(s, var, t->params[i], depth + 1))
            return true;
    }
    return false;
}

bool cel__type_less_specific(const struct cel_type *a, const struct cel_type *b)
{
    if (cel_type_is_dyn(a) || a->kind == TK_VAR)
        return true;
    if (cel_type_is_dyn(b) || b->kind == TK_VAR || a->kind != b->kind)
        return false;
    switch (a->kind) {
    case TK_OPAQUE:
        if (!kr_str_eq(a->name, b->name) || a->params_n != b->params_n)
            return false;
        break;
    case TK_LIST:
    case TK_MAP:
        break;
    case TK_TYPE:
        return true;
    default:
        return cel_type_same(a, b);
    }
    for (uint32_t i = 0; i < a->params_n; i++) {
        if (!cel__type_less_specific(a->params[i], b->params[i]))
            return false;
    }
    return true;
}

static bool assign(struct cel__subst *s, const struct cel_type *t1, const struct cel_type *t2,
                   uint32_t depth);

/* Can t stand for the variable p? *was_bound: p already stood for something. */
static bool stands_for(struct cel__subst *s, const struct cel_type *t, const struct cel_type *p,
                       bool *was_bound, uint32_t depth)
{
    const struct cel_type *sub;

    *was_bound = true;
    if (t->kind == TK_VAR && t->var == p->var)
        return true;
    sub = s ? s->bound[p->var] : NULL;
    if (!sub) {
        *was_bound = false;
        if (!s || occurs(s, p->var, t, 0))
            return false;
        bind_var(s, p->var, t);
        return true;
    }
    if (cel_type_same(t, sub))
        return true;
    if (!assign(s, t, sub, depth + 1))
        return false;
    if (!cel__type_less_specific(t, sub))
        return true; /* what is bound is the more general one */
    if (!occurs(s, p->var, t, 0))
        bind_var(s, p->var, t);
    return true;
}

static bool takes_null(const struct cel_type *t)
{
    return t->kind == TK_NULL || t->kind == TK_OPAQUE || t->kind == TK_OBJECT ||
           t->kind == TK_ANY || t->kind == TK_DURATION || t->kind == TK_TIMESTAMP;
}

static bool is_wild(const struct cel_type *t)
{
    return t->kind == TK_DYN || t->kind == TK_ANY || t->kind == TK_ERROR;
}

static bool assign(struct cel__subst *s, const struct cel_type *t1, const struct cel_type *t2,
                   uint32_t depth)
{
    bool was_bound;

    if (depth > TYPE_DEPTH_MAX)
        return false;
    if (t2->kind == TK_VAR) {
        if (stands_for(s, t1, t2, &was_bound, depth))
            return true;
        if (was_bound)
            return false;
    }
    if (t1->kind == TK_VAR)
        return stands_for(s, t2, t1, &was_bound, depth);
    if (is_wild(t1) || is_wild(t2))
        return true;
    if (t1->kind == TK_NULL)
        return takes_null(t2);
    if (t2->kind == TK_NULL)
        return takes_null(t1);
    if (t1->kind != t2->kind)
        return false;
    if (t1->kind == TK_TYPE)
        return true;
    if (t1->kind == TK_OBJECT || t1->kind == TK_OPAQUE) {
        if (!kr_str_eq(t1->name, t2->name) || t1->params_n != t2->params_n)
            return false;
    }
    for (uint32_t i = 0; i < t1->params_n; i++) {
        if (!assign(s, t1->params[i], t2->params[i], depth + 1))
            return false;
    }
    return true;
}

bool cel__subst_assign(struct cel__subst *s, const struct cel_type *from, const struct cel_type *to)
{
    return cel__subst_assign_all(s, &from, &to, 1);
}

bool cel__subst_assign_all(struct cel__subst *s, const struct cel_type *const *from,
                           const struct cel_type *const *to, uint32_t n)
{
    uint32_t mark = s->trail_n;

    for (uint32_t i = 0; i < n; i++) {
        if (!assign(s, from[i], to[i], 0)) {
            undo_to(s, mark);
            return false;
        }
    }
    return true;
}

bool cel_type_assignable(const struct cel_type *from, const struct cel_type *to)
{
    return assign(NULL, from, to, 0);
}

static const struct cel_type *apply(struct cel__subst *s, const struct cel_type *t,
                                    bool free_to_dyn, uint32_t depth)
{
    struct cel_type *copy;
    const struct cel_type **params;
    bool changed = false;

    if (depth > TYPE_DEPTH_MAX)
        return &cel__t_dyn;
    if (t->kind == TK_VAR) {
        if (s->bound[t->var])
            return apply(s, s->bound[t->var], free_to_dyn, depth + 1);
        return free_to_dyn ? &cel__t_dyn : t;
    }
    if (!t->params_n)
        return t;
    params = kr_new_n(s->a, const struct cel_type *, t->params_n);
    for (uint32_t i = 0; i < t->params_n; i++) {
        params[i] = apply(s, t->params[i], free_to_dyn, depth + 1);
        changed = changed || params[i] != t->params[i];
    }
    if (!changed)
        return t;
    copy = kr_new(s->a, struct cel_type);
    *copy = *t;
    copy->params = params;
    return copy;
}

const struct cel_type *cel__subst_apply(struct cel__subst *s, const struct cel_type *t,
                                        bool free_to_dyn)
{
    return apply(s, t, free_to_dyn, 0);
}

/* --- kro's structural compatibility ----------------------------------------------------------- */

static int kinds_differ(struct kr_err *err, const struct cel_type *o, const struct cel_type *e)
{
    struct kr_arena a = {0};
    int rc =
        kr_fail(err, KR_E_INPUT, "type kind mismatch: got \"" KR_FMT "\", expected \"" KR_FMT "\"",
                KR_ARG(cel_type_print(&a, o)), KR_ARG(cel_type_print(&a, e)));

    kr_arena_fini(&a);
    return rc;
}

static int compatible(struct kr_arena *a, const struct cel_type *o, const struct cel_type *e,
                      uint32_t depth, struct kr_err *err);

/* A map given to an object: every field must take the map's values. */
static int map_to_object(struct kr_arena *a, const struct cel_type *o, const struct cel_type *e,
                         uint32_t depth, struct kr_err *err)
{
    const struct cel_schema *s = e->schema;

    if (!s || !s->fields_n)
        return 0;
    if (o->params[0]->kind != TK_STRING && !cel_type_is_dyn(o->params[0]))
        return kr_fail(err, KR_E_INPUT, "map keys must be strings to assign to struct");
    for (uint32_t i = 0; i < s->fields_n; i++) {
        const struct cel_type *field;
        kr_str name;

        if (!cel__escape(a, s->fields[i].name, &name) ||
            schema_field(a, e, name, &field) != CEL__FIELD_OK)
            continue;
        if (compatible(a, o->params[1], field, depth + 1, err) < 0)
            return kr_wrap(err, "map value incompatible with struct field \"" KR_FMT "\"",
                           KR_ARG(name));
    }
    return 0;
}

static int object_to_map(struct kr_arena *a, const struct cel_type *o, const struct cel_type *e,
                         uint32_t depth, struct kr_err *err)
{
    const struct cel_schema *s = o->schema;

    if (!s)
        return 0;
    if (e->params[0]->kind != TK_STRING && !cel_type_is_dyn(e->params[0]))
        return kr_fail(err, KR_E_INPUT, "map keys must be strings to assign from struct");
    for (uint32_t i = 0; i < s->fields_n; i++) {
        const struct cel_type *field;
        kr_str name;

        if (!cel__escape(a, s->fields[i].name, &name) ||
            schema_field(a, o, name, &field) != CEL__FIELD_OK)
            continue;
        if (compatible(a, field, e->params[1], depth + 1, err) < 0)
            return kr_wrap(err, "struct field \"" KR_FMT "\" incompatible with map value type",
                           KR_ARG(name));
    }
    return 0;
}

static int object_to_object(struct kr_arena *a, const struct cel_type *o, const struct cel_type *e,
                            uint32_t depth, struct kr_err *err)
{
    if (kr_str_eq(o->name, e->name) || !o->schema || !e->schema || e->schema->preserve_unknown)
        return 0;
    for (uint32_t i = 0; i < o->schema->fields_n; i++) {
        const struct cel_type *have;
        const struct cel_type *want;
        kr_str name;

        if (!cel__escape(a, o->schema->fields[i].name, &name) ||
            schema_field(a, o, name, &have) != CEL__FIELD_OK)
            continue;
        if (schema_field(a, e, name, &want) != CEL__FIELD_OK)
            return kr_fail(err, KR_E_INPUT,
                           "field \"" KR_FMT "\" exists in output but not in expected type",
                           KR_ARG(name));
        if (compatible(a, have, want, depth + 1, err) < 0)
            return kr_wrap(err, "field \"" KR_FMT "\" has incompatible type", KR_ARG(name));
    }
    return 0;
}

static int compatible(struct kr_arena *a, const struct cel_type *o, const struct cel_type *e,
                      uint32_t depth, struct kr_err *err)
{
    const struct cel_type *inner;

    if (depth > TYPE_DEPTH_MAX)
        return kr_fail(err, KR_E_LIMIT, "types nest deeper than %d", TYPE_DEPTH_MAX);
    if (cel_type_is_dyn(e) || cel_type_is_dyn(o))
        return 0;
    if (cel_type_is_optional(o, &inner))
        return compatible(a, inner, e, depth + 1, err);
    if (e->kind == TK_OBJECT && o->kind == TK_MAP)
        return map_to_object(a, o, e, depth, err);
    if (e->kind == TK_MAP && o->kind == TK_OBJECT)
        return object_to_map(a, o, e, depth, err);
    if (e->kind != o->kind)
        return kinds_differ(err, o, e);
    if (e->kind == TK_LIST) {
        if (compatible(a, o->params[0], e->params[0], depth + 1, err) < 0)
            return kr_wrap(err, "list element type incompatible");
        return 0;
    }
    if (e->kind == TK_MAP) {
        if (compatible(a, o->params[0], e->params[0], depth + 1, err) < 0)
            return kr_wrap(err, "map key type incompatible");
        if (compatible(a, o->params[1], e->params[1], depth + 1, err) < 0)
            return kr_wrap(err, "map value type incompatible");
        return 0;
    }
    if (e->kind == TK_OBJECT)
        return object_to_object(a, o, e, depth, err);
    return 0;
}

int cel_type_compatible(const struct cel_type *output, const struct cel_type *expected,
                        struct kr_err *err)
{
    struct kr_arena a = {0};
    int rc = cel_type_assignable(output, expected) ? 0 : compatible(&a, output, expected, 0, err);

    kr_arena_fini(&a);
    return rc;
}

/* --- types to OpenAPI, for inferred status schemas -------------------------------------------- */

#define PRESERVE "x-kubernetes-preserve-unknown-fields"

static kr_val one_member(struct kr_arena *a, kr_str key, kr_val v)
{
    struct kr_mapb b = KR_MAPB(a);

    kr_mapb_put(&b, key, v);
    return kr_mapb_done(&b);
}

static kr_val scalar_schema(struct kr_arena *a, kr_str type, kr_str format, kr_str description)
{
    struct kr_mapb b = KR_MAPB(a);

    if (description.n)
        kr_mapb_put(&b, KR_S("description"), kr_string(description));
    if (format.n)
        kr_mapb_put(&b, KR_S("format"), kr_string(format));
    if (type.n)
        kr_mapb_put(&b, KR_S("type"), kr_string(type));
    else
        kr_mapb_put(&b, KR_S(PRESERVE), kr_bool(true));
    return kr_mapb_done(&b);
}

/* The types whose names are on the path to the current one, innermost first. */
struct on_path {
    const struct on_path *up;
    kr_str name;
};

static int to_openapi(struct kr_arena *a, const struct cel_type *t, const struct on_path *path,
                      kr_val *out, struct kr_err *err);

static int object_to_openapi(struct kr_arena *a, const struct cel_type *t, const struct on_path *up,
                             kr_val *out, struct kr_err *err)
{
    struct on_path path = {.up = up, .name = t->name};
    struct kr_mapb props = KR_MAPB(a);
    struct kr_mapb b = KR_MAPB(a);

    kr_mapb_put(&b, KR_S("type"), KR_V_STR("object"));
    if (!t->schema) {
        kr_mapb_put(&b, KR_S("additionalProperties"), kr_bool(true));
        *out = kr_mapb_done(&b);
        return 0;
    }
    for (const struct on_path *p = up; p; p = p->up) {
        if (kr_str_eq(p->name, t->name))
            return kr_fail(err, KR_E_INPUT, "cyclic type reference detected: " KR_FMT,
                           KR_ARG(t->name));
    }
    for (uint32_t i = 0; i < t->schema->fields_n; i++) {
        const struct cel_type *field;
        kr_str name;
        kr_val v;

        if (!cel__escape(a, t->schema->fields[i].name, &name) ||
            schema_field(a, t, name, &field) != CEL__FIELD_OK)
            continue;
        KR_TRY(to_openapi(a, field, &path, &v, err));
        kr_mapb_put(&props, name, v);
    }
    if (props.n)
        kr_mapb_put(&b, KR_S("properties"), kr_mapb_done(&props));
    *out = kr_mapb_done(&b);
    return 0;
}

static int to_openapi(struct kr_arena *a, const struct cel_type *t, const struct on_path *path,
                      kr_val *out, struct kr_err *err)
{
    kr_val inner;

    switch (t->kind) {
    case TK_BOOL:
        *out = scalar_schema(a, KR_S("boolean"), KR_S(""), KR_S(""));
        return 0;
    case TK_INT:
    case TK_UINT:
        *out = scalar_schema(a, KR_S("integer"), KR_S(""), KR_S(""));
        return 0;
    case TK_DOUBLE:
        *out = scalar_schema(a, KR_S("number"), KR_S(""), KR_S(""));
        return 0;
    case TK_STRING:
        *out = scalar_schema(a, KR_S("string"), KR_S(""), KR_S(""));
        return 0;
    case TK_BYTES:
        *out = scalar_schema(a, KR_S("string"), KR_S("byte"), KR_S(""));
        return 0;
    case TK_NULL:
        *out = scalar_schema(a, KR_S(""), KR_S(""), KR_S("null type - any value allowed"));
        return 0;
    case TK_LIST:
        KR_TRY(to_openapi(a, t->params[0], path, &inner, err));
        *out = kr_with_key(a, one_member(a, KR_S("items"), inner), KR_S("type"), KR_V_STR("array"));
        return 0;
    case TK_MAP:
        KR_TRY(to_openapi(a, t->params[1], path, &inner, err));
        *out = kr_with_key(a, one_member(a, KR_S("additionalProperties"), inner), KR_S("type"),
                           KR_V_STR("object"));
        return 0;
    case TK_OBJECT:
        return object_to_openapi(a, t, path, out, err);
    }
    if (path || cel_type_is_dyn(t)) /* nested below an object: kro knows no more types there */
        *out = scalar_schema(a, KR_S(""), KR_S(""), KR_S(""));
    else if (t->kind == TK_TIMESTAMP)
        *out = scalar_schema(a, KR_S("string"), KR_S("date-time"),
                             KR_S("Timestamp representing a creation time"));
    else
        *out = scalar_schema(
            a, KR_S(""), KR_S(""),
            t->kind == TK_DURATION
                ? KR_S("unknown CEL type: google.protobuf.Duration")
                : kr_fmt(a, "unknown CEL type: " KR_FMT, KR_ARG(cel_type_print(a, t))));
    return 0;
}

kr_val cel_type_to_openapi(struct kr_arena *a, const struct cel_type *t, struct kr_err *err)
{
    kr_val v;

    return to_openapi(a, t, NULL, &v, err) < 0 ? KR_V_NONE : v;
}
