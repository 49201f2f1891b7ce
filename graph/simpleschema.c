/* SPDX-License-Identifier: Apache-2.0 */
/* simpleschema.c - the short form of a schema to OpenAPI v3.
 *
 *   replicas: integer | default=1 minimum=0      field = type, then markers behind the first "|"
 *   ingress: {host: string}                      a nested map is a struct
 *   types: {Port: integer | maximum=65535}       a custom type is inlined where it is used
 *
 *   text --type_parse--> struct type --type_schema--> schema --markers_apply--> schema
 *
 * Values are immutable, so a custom type's finished schema is shared and each use puts its own
 * markers on top. Fields are visited in key order: the result is a pure function of the document.
 * A field that is wrong is reported and then lets every value pass, so that the others are looked at
 * and nothing that reads it is wrong too.
 *
 * Same words as kro: pkg/simpleschema. Source: reference rgd-graph 2.
 */
#include "graph/internal.h"

#include "cel/base/near.h"

#include "cel/base/banned.h"

enum { TYPE_DEPTH_MAX = 16 }; /* levels of [] and map[string] in one type; kro's limit */

/* --- types ------------------------------------------------------------------------------------ */

enum type_kind { T_ATOM, T_OBJECT, T_SLICE, T_MAP, T_CUSTOM };

struct type {
    enum type_kind kind;
    kr_str name; /* atom, custom */
    const struct type *elem;
};

static const struct atom {
    const char *name, *openapi;
} atoms[] = {
    {"string", "string"}, {"integer", "integer"}, {"boolean", "boolean"}, {"float", "number"}};

static const struct atom *atom_of(kr_str name)
{
    for (size_t i = 0; i < KR_N(atoms); i++) {
        if (kr_str_eq(name, kr_str_c(atoms[i].name)))
            return &atoms[i];
    }
    return NULL;
}

static int type_parse(struct kr_arena *a, kr_str s, uint32_t depth, const struct type **out,
                      struct kr_err *err)
{
    struct type *t = kr_new(a, struct type);

    if (depth > TYPE_DEPTH_MAX)
        return kr_fail(err, KR_E_INPUT, "type nesting too deep (max %d): " KR_FMT, TYPE_DEPTH_MAX,
                       KR_ARG(graph__go_quote(a, s)));
    s = graph__trim(s);
    t->name = s;
    *out = t;
    if (s.n == 0)
        return kr_fail(err, KR_E_INPUT, "empty type");
    if (atom_of(s)) {
        t->kind = T_ATOM;
    } else if (kr_str_is(s, "object")) {
        t->kind = T_OBJECT;
    } else if (kr_str_starts(s, KR_S("[]"))) {
        t->kind = T_SLICE;
        if (s.n == 2)
            return kr_fail(err, KR_E_INPUT, "empty slice element type");
        return type_parse(a, kr_str_sub(s, 2, s.n), depth + 1, &t->elem, err);
    } else if (kr_str_starts(s, KR_S("map["))) {
        kr_str key = KR_S("map[string]"), rest;

        t->kind = T_MAP;
        if (!kr_str_starts(s, key))
            return kr_fail(err, KR_E_INPUT, "map key must be string");
        rest = graph__trim(kr_str_sub(s, key.n, s.n));
        if (rest.n == 0)
            return kr_fail(err, KR_E_INPUT, "map value type is required");
        return type_parse(a, rest, depth + 1, &t->elem, err);
    } else {
        t->kind = T_CUSTOM;
    }
    return 0;
}

/* A field's text: the type before the first "|", the markers behind it. */
struct field {
    const struct type *type;
    const struct graph_marker *markers;
    uint32_t markers_n;
};

static int field_parse(struct kr_arena *a, kr_str text, struct field *out, struct kr_err *err)
{
    ptrdiff_t pipe = kr_str_chr(text, '|');

    *out = (struct field){0};
    if (pipe < 0)
        return type_parse(a, text, 0, &out->type, err);
    KR_TRY(type_parse(a, kr_str_sub(text, 0, (size_t)pipe), 0, &out->type, err));
    return graph__markers(a, kr_str_sub(text, (size_t)pipe + 1, text.n), &out->markers,
                          &out->markers_n, err);
}

static kr_str type_text(struct kr_arena *a, const struct type *t)
{
    if (t->kind == T_SLICE)
        return kr_fmt(a, "[]" KR_FMT, KR_ARG(type_text(a, t->elem)));
    if (t->kind == T_MAP)
        return kr_fmt(a, "map[string]" KR_FMT, KR_ARG(type_text(a, t->elem)));
    return t->name;
}

int graph__type_text(struct kr_arena *a, kr_str field, kr_str *out, struct kr_err *err)
{
    struct field f;

    KR_TRY(field_parse(a, field, &f, err));
    *out = type_text(a, f.type);
    return 0;
}

/* --- schemas ---------------------------------------------------------------------------------- */

struct custom {
    kr_val schema; /* KR_NONE: not built yet */
    bool required; /* an alias with required=true */
    bool broken;   /* has been reported: whatever uses it is let pass */
};

struct builder {
    struct kr_arena *a;
    struct graph_diags *d;
    kr_val types;          /* custom types as given */
    struct custom *custom; /* one per pair of types */
};

/* Where a field is, the innermost first; the last is what a custom type is to messages. */
struct place {
    const struct place *up;
    kr_str name;
    const char *what; /* "field", "building schema for" */
};

static struct custom *custom_of(const struct builder *b, kr_str name)
{
    for (uint32_t i = 0; i < b->types.n; i++) {
        if (kr_is_str(b->types.map[i].key, name))
            return &b->custom[i];
    }
    return NULL;
}

/* --- errors ----------------------------------------------------------------------------------- */

static kr_str place_words(struct kr_arena *a, const struct place *at)
{
    kr_str up = at->up ? place_words(a, at->up) : KR_S("");

    return at->what ? kr_fmt(a, KR_FMT "%s " KR_FMT ": ", KR_ARG(up), at->what, KR_ARG(at->name))
                    : up;
}

static kr_str place_path(struct kr_arena *a, const struct place *at)
{
    kr_str up = at->up ? place_path(a, at->up) : KR_S("");

    return at->name.n || at->what ? graph__path_join(a, up, at->name) : up;
}

/* The nearest of the words that may stand there, for what failed to be read. */
static void suggest(struct builder *b, struct graph_diag *x, kr_str wrong, bool type)
{
    struct kr_near near = {.word = wrong};
    uint32_t keys_n, n = 0;
    const char *const *keys = graph__marker_keys(&keys_n);
    kr_str *names = kr_new_n(b->a, kr_str, KR_N(atoms) + b->types.n + keys_n + 1);

    for (size_t i = 0; type && i < KR_N(atoms); i++)
        names[n++] = kr_str_c(atoms[i].name);
    if (type)
        names[n++] = KR_S("object");
    for (uint32_t i = 0; type && i < b->types.n; i++)
        names[n++] = kr_text(b->types.map[i].key);
    for (uint32_t i = 0; !type && i < keys_n; i++)
        names[n++] = kr_str_c(keys[i]);
    for (uint32_t i = 0; i < n; i++)
        kr_near_try(&near, names[i]);
    graph__diag_names(b->d, x, type ? "a type:" : "a marker:", names, n);
    graph__diag_nearest(b->d, x, near.best);
}

/* text at the place is wrong. */
static struct graph_diag *fail_text(struct builder *b, const struct place *at, kr_str text,
                                    const struct kr_err *err)
{
    kr_str why = kr_err_str(err);
    struct graph_diag *x = graph__diag(
        b->d, err->code == KR_E_LIMIT ? GRAPH_R_LIMIT : GRAPH_R_INVALID_SCHEMA,
        place_path(b->a, at), KR_FMT KR_FMT, KR_ARG(place_words(b->a, at)), KR_ARG(why));
    static const kr_str unknown[] = {{"unknown type: ", 14}, {"unknown marker: ", 16}};

    graph__diag_text(b->d, x, KR_FMT, KR_ARG(why));
    graph__diag_at(x, text, 0);
    for (size_t i = 0; i < KR_N(unknown); i++) {
        ptrdiff_t from = kr_str_find(why, unknown[i]), found;
        kr_str word;

        if (from < 0)
            continue;
        word = kr_strdup(b->a, kr_str_sub(why, (size_t)from + unknown[i].n, why.n));
        found = kr_str_find(text, word);
        graph__diag_at(x, text, found > 0 ? (size_t)found : 0);
        suggest(b, x, word, i == 0);
    }
    return x;
}

static void fail_kind(struct builder *b, const struct place *at, kr_val v)
{
    const char *type = "<nil>";
    struct graph_diag *x;

    if (v.kind == KR_BOOL)
        type = "bool";
    else if (v.kind == KR_INT)
        type = "int64";
    else if (v.kind == KR_UINT || v.kind == KR_DOUBLE)
        type = "float64";
    else if (v.kind == KR_LIST)
        type = "[]interface {}";
    x = graph__diag(b->d, GRAPH_R_INVALID_SCHEMA, place_path(b->a, at),
                    KR_FMT "unexpected type: %s", KR_ARG(place_words(b->a, at)), type);
    graph__diag_text(b->d, x, "unexpected type: %s", type);
    x->expected = KR_S("a type as text (\"string | default=x\"), or an object with fields");
}

static void fail_depth(struct builder *b, const struct place *at)
{
    graph__diag(b->d, GRAPH_R_LIMIT, place_path(b->a, at), "nested deeper than %d levels",
                GRAPH_DEPTH_MAX);
}

/* --- building --------------------------------------------------------------------------------- */

/* What stands for a schema that could not be built: anything fits. */
static kr_val any_schema(struct kr_arena *a)
{
    return kr_with_key(a, kr_map_sorted(NULL, 0), KR_S("x-kubernetes-int-or-string"),
                       kr_bool(true));
}

static kr_val schema_of_type(struct kr_arena *a, const char *type)
{
    return kr_with_key(a, kr_map_sorted(NULL, 0), KR_S("type"), kr_string(kr_str_c(type)));
}

static int type_schema(struct builder *b, const struct type *t, kr_val *out, bool *broken,
                       struct kr_err *err)
{
    const struct custom *custom;
    kr_val elem = KR_V_NONE;

    switch (t->kind) {
    case T_ATOM:
        *out = schema_of_type(b->a, atom_of(t->name)->openapi);
        return 0;
    case T_OBJECT:
        *out = kr_with_key(b->a, schema_of_type(b->a, "object"),
                           KR_S("x-kubernetes-preserve-unknown-fields"), kr_bool(true));
        return 0;
    case T_SLICE:
        KR_TRY(type_schema(b, t->elem, &elem, broken, err));
        *out = kr_with_key(b->a, schema_of_type(b->a, "array"), KR_S("items"), elem);
        return 0;
    case T_MAP:
        KR_TRY(type_schema(b, t->elem, &elem, broken, err));
        *out =
            kr_with_key(b->a, schema_of_type(b->a, "object"), KR_S("additionalProperties"), elem);
        return 0;
    case T_CUSTOM:
        break;
    }
    custom = custom_of(b, t->name);
    if (!custom || custom->schema.kind == KR_NONE)
        return kr_fail(err, KR_E_INPUT, "unknown type: " KR_FMT, KR_ARG(t->name));
    *broken = *broken || custom->broken;
    *out = custom->schema;
    return 0;
}

static int build_text(struct builder *b, kr_str text, kr_val *out, bool *required,
                      struct kr_err *err)
{
    struct field f;
    bool broken = false;

    KR_TRY(field_parse(b->a, text, &f, err));
    KR_TRY(type_schema(b, f.type, out, &broken, err));
    if (broken)
        return 0; /* its markers may fit the type that was meant */
    if (f.type->kind == T_CUSTOM)
        *required = custom_of(b, f.type->name)->required;
    return graph__markers_apply(b->a, f.markers, f.markers_n, out, required, err);
}

static kr_val build_struct(struct builder *b, kr_val fields, uint32_t depth,
                           const struct place *at);

/* A field, or a custom type: whatever is wrong is reported and gets a schema that lets all pass. */
static kr_val build_value(struct builder *b, kr_val v, uint32_t depth, const struct place *at,
                          bool *required)
{
    struct kr_err err = KR_ERR_NONE;
    kr_val out = KR_V_NONE;

    if (v.kind == KR_MAP)
        return build_struct(b, v, depth, at);
    if (v.kind != KR_STRING) {
        fail_kind(b, at, v);
        return any_schema(b->a);
    }
    if (build_text(b, kr_text(v), &out, required, &err) == 0)
        return out;
    fail_text(b, at, kr_text(v), &err);
    return any_schema(b->a);
}

static kr_val build_struct(struct builder *b, kr_val fields, uint32_t depth, const struct place *at)
{
    struct kr_mapb props = KR_MAPB(b->a);
    struct kr_listb needed = KR_LISTB(b->a);
    kr_val schema = schema_of_type(b->a, "object");
    bool defaulted = false;

    if (depth > GRAPH_DEPTH_MAX) {
        fail_depth(b, at);
        return any_schema(b->a);
    }
    KR_MAP_EACH (it, fields) {
        const struct place here = {at, kr_text(it->key), "field"};
        bool required = false;
        kr_val field = build_value(b, it->val, depth + 1, &here, &required);

        kr_mapb_put(&props, here.name, field);
        if (required)
            kr_listb_add(&needed, kr_string(here.name));
        defaulted = defaulted || kr_get(field, KR_S("default")).kind != KR_NONE;
    }
    if (props.n)
        schema = kr_with_key(b->a, schema, KR_S("properties"), kr_mapb_done(&props));
    if (defaulted && needed.n == 0)
        schema = kr_with_key(b->a, schema, KR_S("default"), kr_map_sorted(NULL, 0));
    if (needed.n)
        schema = kr_with_key(b->a, schema, KR_S("required"), kr_listb_done(&needed));
    return schema;
}

/* --- custom types ----------------------------------------------------------------------------- */

/* Is spec, of a custom type, readable? What is not, is reported. */
static bool readable(struct builder *b, kr_val spec, uint32_t depth, const struct place *at)
{
    struct kr_err err = KR_ERR_NONE;
    struct field f;
    bool ok = true;

    if (depth > GRAPH_DEPTH_MAX) {
        fail_depth(b, at);
        return false;
    }
    if (spec.kind == KR_MAP) {
        KR_MAP_EACH (it, spec) {
            const struct place here = {at, kr_text(it->key), "field"};

            ok = readable(b, it->val, depth + 1, &here) && ok;
        }
        return ok;
    }
    if (spec.kind != KR_STRING) {
        fail_kind(b, at, spec);
        return false;
    }
    if (field_parse(b->a, kr_text(spec), &f, &err) == 0)
        return true;
    fail_text(b, at, kr_text(spec), &err);
    return false;
}

/* Adds an edge from type `type` to the custom type that text names. */
static bool edge_of_text(struct builder *b, struct graph_dag *dag, uint32_t type, kr_str text,
                         const struct place *at)
{
    struct kr_err err = KR_ERR_NONE;
    const struct type *t;
    struct graph_diag *x;
    struct field f;

    if (field_parse(b->a, text, &f, NULL) < 0)
        return false; /* has been reported */
    for (t = f.type; t->kind == T_SLICE || t->kind == T_MAP;)
        t = t->elem;
    if (t->kind != T_CUSTOM)
        return true;
    for (uint32_t i = 0; i < b->types.n; i++) {
        if (!kr_is_str(b->types.map[i].key, t->name))
            continue;
        if (graph__dag_add(dag, type, i, &err) == 0)
            return true;
        x = graph__diag_err(b->d, GRAPH_R_CYCLE, place_path(b->a, at), &err);
        graph__diag_at(x, text, 0);
        return false;
    }
    x = graph__diag(b->d, GRAPH_R_INVALID_SCHEMA, place_path(b->a, at),
                    "node " KR_FMT " does not exist", KR_ARG(t->name));
    graph__diag_text(b->d, x, "unknown type: " KR_FMT, KR_ARG(t->name));
    graph__diag_at(x, text, 0);
    suggest(b, x, t->name, true);
    return false;
}

static bool edges_of(struct builder *b, struct graph_dag *dag, uint32_t type, kr_val spec,
                     uint32_t depth, const struct place *at)
{
    bool ok = true;

    if (depth > GRAPH_DEPTH_MAX)
        return false;
    if (spec.kind == KR_STRING)
        return edge_of_text(b, dag, type, kr_text(spec), at);
    KR_MAP_EACH (it, spec) {
        const struct place here = {at, kr_text(it->key), "field"};

        ok = edges_of(b, dag, type, it->val, depth + 1, &here) && ok;
    }
    return ok;
}

static void build_custom(struct builder *b, uint32_t i, const struct place *types)
{
    const struct place at = {types, kr_text(b->types.map[i].key), "building schema for"};
    uint32_t before = b->d->errors_n;
    struct custom *c = &b->custom[i];

    c->schema =
        c->broken ? any_schema(b->a) : build_value(b, b->types.map[i].val, 0, &at, &c->required);
    c->broken = c->broken || b->d->errors_n != before;
}

/* The custom types that can be built, in an order in which each comes behind what it uses. */
static void check_types(struct builder *b, struct graph_dag *dag, const struct place *types)
{
    struct kr_err err = KR_ERR_NONE;

    for (uint32_t i = 0; i < b->types.n; i++) {
        const struct place at = {types, kr_text(b->types.map[i].key), "parsing type"};

        b->custom[i].broken = !readable(b, b->types.map[i].val, 0, &at);
    }
    for (uint32_t i = 0; i < b->types.n; i++) {
        const struct place at = {types, kr_text(b->types.map[i].key), "cyclic dependency in type"};

        if (!edges_of(b, dag, i, b->types.map[i].val, 0, &at))
            b->custom[i].broken = true;
        if (graph__dag_cycle(dag, i, &err) == 0)
            continue;
        fail_text(b, &at, KR_S(""), &err)->rule = GRAPH_R_CYCLE;
        b->custom[i].broken = true;
        dag->deps_n[i] = 0;
    }
}

static void build_types(struct builder *b)
{
    static const struct place root = {NULL, {NULL, 0}, NULL};
    kr_str base = b->d->base, *names = kr_new_n(b->a, kr_str, b->types.n);
    const uint32_t *order;
    struct graph_dag dag;

    b->custom = kr_new_n(b->a, struct custom, b->types.n);
    for (uint32_t i = 0; i < b->types.n; i++)
        names[i] = kr_text(b->types.map[i].key);
    b->d->base = KR_S("spec.schema.types");
    graph__dag_init(&dag, b->a, names, b->types.n);
    check_types(b, &dag, &root);
    order = graph__dag_order(&dag);
    for (uint32_t k = 0; k < b->types.n; k++)
        build_custom(b, order[k], &root);
    b->d->base = base;
}

kr_val graph__simpleschema(kr_val spec, kr_val types, struct graph_diags *d)
{
    static const struct place root = {NULL, {NULL, 0}, NULL};
    struct builder b = {.a = d->a, .d = d, .types = types};
    kr_str base = d->base;
    kr_val out;

    if (types.kind != KR_MAP)
        b.types = kr_map_sorted(NULL, 0);
    if (b.types.n > GRAPH_NODES_MAX) {
        graph__diag(d, GRAPH_R_LIMIT, KR_S("spec.schema.types"),
                    "%u custom types are more than the limit of %d", b.types.n, GRAPH_NODES_MAX);
        return any_schema(d->a);
    }
    d->base = KR_S("spec.schema.spec");
    if (spec.kind != KR_MAP && spec.kind != KR_NONE) {
        fail_kind(&b, &root, spec);
        d->base = base;
        return any_schema(d->a);
    }
    build_types(&b);
    out = build_struct(&b, spec, 0, &root);
    d->base = base;
    return out;
}
