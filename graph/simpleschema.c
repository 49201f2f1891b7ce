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
 *
 * Same words as kro: pkg/simpleschema. Source: reference rgd-graph 2.
 */
#include "graph/internal.h"

#include "cel/base/json.h"
#include "cel/base/num.h"
#include "cel/base/utf8.h"
#include "cel/regex.h"

#include "cel/base/banned.h"

enum { TYPE_DEPTH_MAX = 16 }; /* levels of [] and map[string] in one type; kro's limit */

/* --- text ------------------------------------------------------------------------------------- */

static bool is_space(uint32_t rune) /* unicode.IsSpace */
{
    return (rune >= 9 && rune <= 13) || rune == ' ' || rune == 0x85 || rune == 0xa0 ||
           rune == 0x1680 || (rune >= 0x2000 && rune <= 0x200a) || rune == 0x2028 ||
           rune == 0x2029 || rune == 0x202f || rune == 0x205f || rune == 0x3000;
}

static kr_str trim(kr_str s) /* strings.TrimSpace */
{
    size_t from = 0, to = 0;

    for (size_t at = 0; at < s.n;) {
        uint32_t len, rune = kr_utf8_decode(s.s + at, s.n - at, &len);

        if (!is_space(rune))
            to = at + len;
        else if (to == 0)
            from = at + len;
        at += len;
    }
    return kr_str_sub(s, to ? from : 0, to);
}

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
    s = trim(s);
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
        rest = trim(kr_str_sub(s, key.n, s.n));
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

/* --- markers: the lexer ----------------------------------------------------------------------- */

/* clang-format off */
static const char *const marker_keys[] = {
    "required", "default", "description", "minimum", "maximum", "validation", "enum", "immutable",
    "pattern", "minLength", "maxLength", "uniqueItems", "minItems", "maxItems", "listType",
    "listMapKey",
};
/* clang-format on */

struct lexer {
    struct kr_arena *a;
    struct kr_buf buf; /* what was read since the last key or value */
    kr_str key;        /* of the marker being read; .s NULL: none */
    bool quoted, escaped;
    int brackets;
    struct graph_marker *items;
    uint32_t n, cap;
};

/* Takes the quotes off a quoted value; \" and \\ inside lose their backslash, others keep it. */
static kr_str value_of(struct kr_arena *a, kr_str v)
{
    char *out;
    size_t n = 0;

    if (v.n < 2 || v.s[0] != '"' || v.s[v.n - 1] != '"')
        return kr_strdup(a, trim(v));
    out = kr_arena_bytes(a, v.n);
    for (size_t i = 1; i + 1 < v.n; i++) {
        if (v.s[i] == '\\' && i + 2 < v.n && (v.s[i + 1] == '"' || v.s[i + 1] == '\\'))
            i++;
        out[n++] = v.s[i];
    }
    return (kr_str){out, n};
}

static void finish(struct lexer *l)
{
    if (l->n == l->cap) {
        struct graph_marker *grown = kr_new_n(l->a, struct graph_marker, l->cap ? 2 * l->cap : 4);

        if (l->n)
            memcpy(grown, l->items, sizeof(*grown) * l->n);
        l->items = grown;
        l->cap = l->cap ? 2 * l->cap : 4;
    }
    l->items[l->n++] = (struct graph_marker){l->key, value_of(l->a, kr_buf_view(&l->buf))};
    l->key = (kr_str){0};
    kr_buf_reset(&l->buf);
}

static int begin(struct lexer *l, struct kr_err *err)
{
    kr_str key = trim(kr_buf_view(&l->buf));

    if (key.n == 0)
        return kr_fail(err, KR_E_INPUT, "empty marker key");
    for (size_t i = 0; i < KR_N(marker_keys); i++) {
        if (kr_str_eq(key, kr_str_c(marker_keys[i]))) {
            l->key = kr_str_c(marker_keys[i]);
            kr_buf_reset(&l->buf);
            return 0;
        }
    }
    return kr_fail(err, KR_E_INPUT, "invalid marker key \"" KR_FMT "\": unknown marker: " KR_FMT,
                   KR_ARG(key), KR_ARG(key));
}

/* One character, by the table of reference 2.4. */
static int lex(struct lexer *l, const char *s, uint32_t len, uint32_t rune, struct kr_err *err)
{
    if (rune == '=' && !l->key.s && !l->quoted && l->brackets == 0)
        return begin(l, err);
    if (rune == '"' && !l->escaped) {
        l->quoted = !l->quoted;
    } else if (rune == '\\' && l->quoted && !l->escaped) {
        l->escaped = true;
    } else if ((rune == '{' || rune == '[') && !l->quoted) {
        l->brackets++;
    } else if ((rune == '}' || rune == ']') && !l->quoted) {
        if (--l->brackets < 0)
            return kr_fail(err, KR_E_INPUT, "unmatched closing bracket/brace");
    } else if (is_space(rune) && !l->quoted && l->brackets == 0) {
        if (l->key.s)
            finish(l);
        return 0;
    } else if (l->escaped && l->quoted) {
        l->escaped = false;
    }
    kr_buf_add(&l->buf, s, len);
    return 0;
}

static int lex_all(struct lexer *l, kr_str text, struct kr_err *err)
{
    for (size_t at = 0; at < text.n;) {
        uint32_t len, rune = kr_utf8_decode(text.s + at, text.n - at, &len);

        KR_TRY(lex(l, text.s + at, len, rune, err));
        at += len;
    }
    if (!l->key.s)
        return kr_fail(err, KR_E_INPUT, "marker key '" KR_FMT "' without a value",
                       KR_ARG(kr_buf_view(&l->buf)));
    finish(l);
    if (l->quoted)
        return kr_fail(err, KR_E_INPUT, "unclosed quote");
    if (l->brackets > 0)
        return kr_fail(err, KR_E_INPUT, "unclosed bracket/brace");
    return 0;
}

int graph__markers(struct kr_arena *a, kr_str text, const struct graph_marker **markers,
                   uint32_t *n, struct kr_err *err)
{
    struct lexer l = {.a = a, .buf = KR_BUF(text.n + 1)};
    int rc = lex_all(&l, text, err);

    kr_buf_fini(&l.buf);
    *markers = l.items;
    *n = l.n;
    return rc;
}

/* --- markers: numbers and bools as Go reads them ---------------------------------------------- */

static int parse_bool(struct kr_arena *a, kr_str v, bool *out, struct kr_err *err)
{
    static const char *const words[] = {"1", "t", "T", "TRUE",  "true",  "True",
                                        "0", "f", "F", "FALSE", "false", "False"};

    for (size_t i = 0; i < KR_N(words); i++) {
        if (kr_str_eq(v, kr_str_c(words[i]))) {
            *out = i < KR_N(words) / 2;
            return 0;
        }
    }
    return kr_fail(err, KR_E_INPUT, "strconv.ParseBool: parsing " KR_FMT ": invalid syntax",
                   KR_ARG(graph__go_quote(a, v)));
}

static bool all_digits(kr_str v)
{
    size_t i = v.n && (v.s[0] == '-' || v.s[0] == '+') ? 1 : 0;

    if (i == v.n)
        return false;
    for (; i < v.n; i++) {
        if (v.s[i] < '0' || v.s[i] > '9')
            return false;
    }
    return true;
}

static int parse_int(struct kr_arena *a, kr_str v, int64_t *out, struct kr_err *err)
{
    if (kr_str_i64(v, out))
        return 0;
    return kr_fail(err, KR_E_INPUT, "strconv.ParseInt: parsing " KR_FMT ": %s",
                   KR_ARG(graph__go_quote(a, v)),
                   all_digits(v) ? "value out of range" : "invalid syntax");
}

static int parse_float(struct kr_arena *a, kr_str v, double *out, struct kr_err *err)
{
    if (kr_num_parse_double(v, out))
        return 0;
    return kr_fail(err, KR_E_INPUT, "strconv.ParseFloat: parsing " KR_FMT ": invalid syntax",
                   KR_ARG(graph__go_quote(a, v)));
}

/* --- markers: their effects ------------------------------------------------------------------- */

struct apply {
    struct kr_arena *a;
    kr_val schema;
    bool required;
};

static kr_str schema_type(const struct apply *x)
{
    return kr_text(kr_get(x->schema, KR_S("type")));
}

static void put(struct apply *x, const char *key, kr_val v)
{
    x->schema = kr_with_key(x->a, x->schema, kr_str_c(key), v);
}

static void append(struct apply *x, const char *key, kr_val item)
{
    kr_val old = kr_get(x->schema, kr_str_c(key));
    struct kr_listb b = KR_LISTB(x->a);

    KR_LIST_EACH (it, old)
        kr_listb_add(&b, *it);
    kr_listb_add(&b, item);
    put(x, key, kr_listb_done(&b));
}

static int need_type(const struct apply *x, const char *marker, const char *type,
                     struct kr_err *err)
{
    if (kr_str_eq(schema_type(x), kr_str_c(type)))
        return 0;
    return kr_fail(err, KR_E_INPUT, "%s marker is only valid for %s types, got type: " KR_FMT,
                   marker, type, KR_ARG(schema_type(x)));
}

static int m_required(struct apply *x, kr_str v, struct kr_err *err)
{
    bool on;

    if (parse_bool(x->a, v, &on, err) < 0)
        return kr_wrap(err, "failed to parse required marker value");
    x->required = x->required || on;
    return 0;
}

/* A string default is kro's raw text between quotes where that is JSON (so "\n" is a line end), and
 * the text itself where it is not. */
static kr_val string_default(struct kr_arena *a, kr_str v)
{
    kr_str raw = kr_fmt(a, "\"" KR_FMT "\"", KR_ARG(v));
    kr_val out;

    if (raw.n == v.n + 2 && kr_json_parse(a, raw, &out, NULL) == 0 && out.kind == KR_STRING)
        return out;
    return kr_string(v);
}

static int m_default(struct apply *x, kr_str v, struct kr_err *err)
{
    kr_str type = schema_type(x);
    int64_t i;
    double d;
    bool b;
    kr_val out = KR_V_NONE;

    if (kr_str_is(type, "string")) {
        out = string_default(x->a, v);
    } else if (kr_str_is(type, "integer")) {
        if (!kr_str_i64(v, &i))
            return kr_fail(err, KR_E_INPUT, "default value must be a valid integer, got: " KR_FMT,
                           KR_ARG(v));
        out = kr_int(i);
    } else if (kr_str_is(type, "number")) {
        if (!kr_num_parse_double(v, &d) || d != d || d - d != 0)
            return kr_fail(err, KR_E_INPUT, "default value must be a valid number, got: " KR_FMT,
                           KR_ARG(v));
        out = kr_str_i64(v, &i) ? kr_int(i) : kr_double(d);
    } else if (kr_str_is(type, "boolean")) {
        if (parse_bool(x->a, v, &b, NULL) < 0)
            return kr_fail(err, KR_E_INPUT, "default value must be a valid boolean, got: " KR_FMT,
                           KR_ARG(v));
        out = kr_bool(b);
    } else if (kr_json_parse(x->a, v, &out, NULL) < 0) {
        return kr_fail(err, KR_E_INPUT, "default value must be valid JSON, got: " KR_FMT,
                       KR_ARG(v));
    }
    put(x, "default", out);
    return 0;
}

static int m_description(struct apply *x, kr_str v, struct kr_err *err)
{
    put(x, "description", v.n ? kr_string(v) : KR_V_NONE);
    return 0;
}

static int number(struct apply *x, const char *key, kr_str v, struct kr_err *err)
{
    double d;

    if (parse_float(x->a, v, &d, err) < 0)
        return kr_wrap(err, "failed to parse %s enum value", key);
    if (d != d || d - d != 0)
        return kr_fail(err, KR_E_INPUT, "failed to parse %s enum value: " KR_FMT " is not finite",
                       key, KR_ARG(v));
    put(x, key, kr_double(d));
    return 0;
}

static int m_minimum(struct apply *x, kr_str v, struct kr_err *err)
{
    return number(x, "minimum", v, err);
}
static int m_maximum(struct apply *x, kr_str v, struct kr_err *err)
{
    return number(x, "maximum", v, err);
}

static int m_enum(struct apply *x, kr_str v, struct kr_err *err)
{
    kr_str type = schema_type(x), rest = v;
    bool integers = kr_str_is(type, "integer");
    struct kr_listb b = KR_LISTB(x->a);

    do {
        kr_str one = trim(kr_str_cut(&rest, ','));
        int64_t i;

        if (one.n == 0)
            return kr_fail(err, KR_E_INPUT, "empty enum values are not allowed");
        if (!integers && !kr_str_is(type, "string"))
            return kr_fail(
                err, KR_E_INPUT,
                "enum values only supported for string and integer types, got type: " KR_FMT,
                KR_ARG(type));
        if (integers && parse_int(x->a, one, &i, err) < 0)
            return kr_wrap(err, "failed to parse integer enum value");
        kr_listb_add(&b, integers ? kr_int(i) : kr_string(one));
    } while (rest.s);
    put(x, "enum", kr_listb_done(&b));
    return 0;
}

static void add_rule(struct apply *x, kr_str rule, const char *message)
{
    struct kr_mapb b = KR_MAPB(x->a);

    kr_mapb_put(&b, KR_S("rule"), kr_string(rule));
    kr_mapb_put(&b, KR_S("message"), kr_string(kr_str_c(message)));
    append(x, "x-kubernetes-validations", kr_mapb_done(&b));
}

static int m_validation(struct apply *x, kr_str v, struct kr_err *err)
{
    if (trim(v).n == 0)
        return kr_fail(err, KR_E_INPUT, "validation failed");
    add_rule(x, v, "validation failed");
    return 0;
}

static int m_immutable(struct apply *x, kr_str v, struct kr_err *err)
{
    bool on;

    if (parse_bool(x->a, v, &on, err) < 0)
        return kr_wrap(err, "failed to parse immutable marker value");
    if (on)
        add_rule(x, KR_S("self == oldSelf"), "field is immutable");
    return 0;
}

static int m_pattern(struct apply *x, kr_str v, struct kr_err *err)
{
    char why[CEL__REGEX_ERR_MAX];
    struct cel__regex *re;

    if (v.n == 0)
        return kr_fail(err, KR_E_INPUT, "pattern marker value cannot be empty");
    KR_TRY(need_type(x, "pattern", "string", err));
    re = cel__regex_new(v.s, v.n, why);
    if (!re)
        return kr_fail(err, KR_E_INPUT, "invalid pattern regex: %s", why);
    cel__regex_free(re);
    put(x, "pattern", kr_string(v));
    return 0;
}

/* A limit that only one type has. */
static int limit(struct apply *x, const char *key, const char *type, kr_str v, struct kr_err *err)
{
    int64_t i;

    KR_TRY(need_type(x, key, type, err));
    if (parse_int(x->a, v, &i, err) < 0)
        return kr_wrap(err, "failed to parse %s value", key);
    put(x, key, kr_int(i));
    return 0;
}

static int m_min_length(struct apply *x, kr_str v, struct kr_err *err)
{
    return limit(x, "minLength", "string", v, err);
}
static int m_max_length(struct apply *x, kr_str v, struct kr_err *err)
{
    return limit(x, "maxLength", "string", v, err);
}
static int m_min_items(struct apply *x, kr_str v, struct kr_err *err)
{
    return limit(x, "minItems", "array", v, err);
}
static int m_max_items(struct apply *x, kr_str v, struct kr_err *err)
{
    return limit(x, "maxItems", "array", v, err);
}

#define LIST_TYPE "x-kubernetes-list-type"
#define LIST_KEYS "x-kubernetes-list-map-keys"

static kr_str list_type(const struct apply *x)
{
    return kr_text(kr_get(x->schema, KR_S(LIST_TYPE)));
}

static int m_unique(struct apply *x, kr_str v, struct kr_err *err)
{
    kr_str old = list_type(x);
    bool on;

    if (parse_bool(x->a, v, &on, err) < 0)
        return kr_wrap(err, "failed to parse uniqueItems marker value");
    KR_TRY(need_type(x, "uniqueItems", "array", err));
    if (!on)
        return 0;
    if (old.n && !kr_str_is(old, "set"))
        return kr_fail(err, KR_E_INPUT, "cannot set unique when listType is set to " KR_FMT,
                       KR_ARG(old));
    put(x, LIST_TYPE, KR_V_STR("set"));
    return 0;
}

static int m_list_type(struct apply *x, kr_str v, struct kr_err *err)
{
    kr_str old = list_type(x);

    if (!kr_str_is(schema_type(x), "array"))
        return kr_fail(err, KR_E_INPUT, "listType marker only applies to array types");
    if (!kr_str_is(v, "atomic") && !kr_str_is(v, "set") && !kr_str_is(v, "map"))
        return kr_fail(err, KR_E_INPUT,
                       "unsupported value for listType " KR_FMT
                       ", needs to be one of atomic, set, or map",
                       KR_ARG(v));
    if (old.n && !kr_str_eq(old, v))
        return kr_fail(err, KR_E_INPUT,
                       "listType attempting to overwrite set type of " KR_FMT
                       ", this can happen if you set contradictory markers like unique=true | "
                       "listType=map",
                       KR_ARG(old));
    put(x, LIST_TYPE, kr_string(v));
    return 0;
}

static int m_list_key(struct apply *x, kr_str v, struct kr_err *err)
{
    kr_val keys = kr_get(x->schema, KR_S(LIST_KEYS));

    if (!kr_str_is(schema_type(x), "array"))
        return kr_fail(err, KR_E_INPUT, "listMapKey marker only applies to array types");
    KR_LIST_EACH (it, keys) {
        if (kr_is_str(*it, v))
            return kr_fail(err, KR_E_INPUT, "duplicate listMapKey marker, value " KR_FMT,
                           KR_ARG(v));
    }
    append(x, LIST_KEYS, kr_string(v));
    return 0;
}

static int check_list_keys(const struct apply *x, struct kr_err *err)
{
    kr_str type = list_type(x);

    if (kr_get(x->schema, KR_S(LIST_KEYS)).kind == KR_NONE || kr_str_is(type, "map"))
        return 0;
    if (type.n == 0)
        return kr_fail(err, KR_E_INPUT,
                       "listMapKey set while listType is unset, listType must be set to map");
    return kr_fail(err, KR_E_INPUT,
                   "listMapKey set while listType is set to " KR_FMT
                   ", listType must be set to map",
                   KR_ARG(type));
}

int graph__markers_apply(struct kr_arena *a, const struct graph_marker *markers, uint32_t n,
                         kr_val *schema, bool *required, struct kr_err *err)
{
    typedef int marker_fn(struct apply * x, kr_str v, struct kr_err * err);
    static marker_fn *const effects[] = {/* in the order of marker_keys */
                                         m_required,  m_default,    m_description, m_minimum,
                                         m_maximum,   m_validation, m_enum,        m_immutable,
                                         m_pattern,   m_min_length, m_max_length,  m_unique,
                                         m_min_items, m_max_items,  m_list_type,   m_list_key};
    struct apply x = {.a = a, .schema = *schema, .required = *required};

    _Static_assert(KR_N(effects) == KR_N(marker_keys), "one effect a key");
    for (uint32_t i = 0; i < n; i++) {
        for (size_t k = 0; k < KR_N(marker_keys); k++) {
            if (kr_str_eq(markers[i].key, kr_str_c(marker_keys[k])))
                KR_TRY(effects[k](&x, markers[i].value, err));
        }
    }
    KR_TRY(check_list_keys(&x, err));
    *schema = x.schema;
    *required = x.required;
    return 0;
}

/* --- schemas ---------------------------------------------------------------------------------- */

struct custom {
    kr_val schema; /* KR_NONE: not built yet */
    bool required; /* an alias with required=true */
};

struct builder {
    struct kr_arena *a;
    kr_val types;          /* custom types as given */
    struct custom *custom; /* one per pair of types */
};

static const struct custom *custom_of(const struct builder *b, kr_str name)
{
    for (uint32_t i = 0; i < b->types.n; i++) {
        if (kr_is_str(b->types.map[i].key, name))
            return &b->custom[i];
    }
    return NULL;
}

static kr_val schema_of_type(struct kr_arena *a, const char *type)
{
    return kr_with_key(a, kr_map_sorted(NULL, 0), KR_S("type"), kr_string(kr_str_c(type)));
}

static int type_schema(struct builder *b, const struct type *t, kr_val *out, struct kr_err *err)
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
        KR_TRY(type_schema(b, t->elem, &elem, err));
        *out = kr_with_key(b->a, schema_of_type(b->a, "array"), KR_S("items"), elem);
        return 0;
    case T_MAP:
        KR_TRY(type_schema(b, t->elem, &elem, err));
        *out =
            kr_with_key(b->a, schema_of_type(b->a, "object"), KR_S("additionalProperties"), elem);
        return 0;
    case T_CUSTOM:
        break;
    }
    custom = custom_of(b, t->name);
    if (!custom || custom->schema.kind == KR_NONE)
        return kr_fail(err, KR_E_INPUT, "unknown type: " KR_FMT, KR_ARG(t->name));
    *out = custom->schema;
    return 0;
}

static int build_text(struct builder *b, kr_str text, kr_val *out, bool *required,
                      struct kr_err *err)
{
    struct field f;

    KR_TRY(field_parse(b->a, text, &f, err));
    KR_TRY(type_schema(b, f.type, out, err));
    if (f.type->kind == T_CUSTOM)
        *required = custom_of(b, f.type->name)->required;
    return graph__markers_apply(b->a, f.markers, f.markers_n, out, required, err);
}

static int fail_kind(kr_val v, struct kr_err *err)
{
    const char *type = "<nil>";

    if (v.kind == KR_BOOL)
        type = "bool";
    else if (v.kind == KR_INT)
        type = "int64";
    else if (v.kind == KR_UINT || v.kind == KR_DOUBLE)
        type = "float64";
    else if (v.kind == KR_LIST)
        type = "[]interface {}";
    return kr_fail(err, KR_E_INPUT, "unexpected type: %s", type);
}

static int build_struct(struct builder *b, kr_val fields, uint32_t depth, kr_val *out,
                        struct kr_err *err)
{
    struct kr_mapb props = KR_MAPB(b->a);
    struct kr_listb needed = KR_LISTB(b->a);
    kr_val schema = schema_of_type(b->a, "object"), field = KR_V_NONE;
    bool defaulted = false;

    if (depth > GRAPH_DEPTH_MAX)
        return kr_fail(err, KR_E_LIMIT, "nested deeper than %d levels", GRAPH_DEPTH_MAX);
    KR_MAP_EACH (it, fields) {
        kr_str name = kr_text(it->key);
        bool required = false;
        int rc;

        if (it->val.kind == KR_STRING)
            rc = build_text(b, kr_text(it->val), &field, &required, err);
        else if (it->val.kind == KR_MAP)
            rc = build_struct(b, it->val, depth + 1, &field, err);
        else
            rc = fail_kind(it->val, err);
        if (rc < 0)
            return kr_wrap(err, "field " KR_FMT, KR_ARG(name));
        kr_mapb_put(&props, name, field);
        if (required)
            kr_listb_add(&needed, kr_string(name));
        defaulted = defaulted || kr_get(field, KR_S("default")).kind != KR_NONE;
    }
    if (props.n)
        schema = kr_with_key(b->a, schema, KR_S("properties"), kr_mapb_done(&props));
    if (defaulted && needed.n == 0)
        schema = kr_with_key(b->a, schema, KR_S("default"), kr_map_sorted(NULL, 0));
    if (needed.n)
        schema = kr_with_key(b->a, schema, KR_S("required"), kr_listb_done(&needed));
    *out = schema;
    return 0;
}

/* --- custom types ----------------------------------------------------------------------------- */

/* Adds an edge from type `at` to each custom type that spec names; without dag it only looks
 * whether spec is readable. */
static int collect(struct builder *b, struct graph_dag *dag, uint32_t at, kr_val spec,
                   uint32_t depth, struct kr_err *err)
{
    struct field f;
    const struct type *t;

    if (depth > GRAPH_DEPTH_MAX)
        return kr_fail(err, KR_E_LIMIT, "nested deeper than %d levels", GRAPH_DEPTH_MAX);
    if (spec.kind == KR_MAP) {
        KR_MAP_EACH (it, spec) {
            int rc = collect(b, dag, at, it->val, depth + 1, err);

            if (rc < 0)
                return dag ? rc : kr_wrap(err, "field " KR_FMT, KR_ARG(kr_text(it->key)));
        }
        return 0;
    }
    if (spec.kind != KR_STRING)
        return fail_kind(spec, err);
    KR_TRY(field_parse(b->a, kr_text(spec), &f, err));
    for (t = f.type; t->kind == T_SLICE || t->kind == T_MAP;)
        t = t->elem;
    if (!dag || t->kind != T_CUSTOM)
        return 0;
    for (uint32_t i = 0; i < b->types.n; i++) {
        if (kr_is_str(b->types.map[i].key, t->name))
            return graph__dag_add(dag, at, i, err);
    }
    return kr_fail(err, KR_E_INPUT, "node " KR_FMT " does not exist", KR_ARG(t->name));
}

static int build_custom(struct builder *b, uint32_t i, struct kr_err *err)
{
    kr_val spec = b->types.map[i].val;
    struct custom *c = &b->custom[i];
    int rc;

    if (spec.kind == KR_STRING)
        rc = build_text(b, kr_text(spec), &c->schema, &c->required, err);
    else
        rc = build_struct(b, spec, 0, &c->schema, err);
    return rc < 0
               ? kr_wrap(err, "building schema for " KR_FMT, KR_ARG(kr_text(b->types.map[i].key)))
               : 0;
}

static int build_types(struct builder *b, struct kr_err *err)
{
    kr_str *names = kr_new_n(b->a, kr_str, b->types.n);
    const uint32_t *order;
    struct graph_dag dag;

    b->custom = kr_new_n(b->a, struct custom, b->types.n);
    for (uint32_t i = 0; i < b->types.n; i++)
        names[i] = kr_text(b->types.map[i].key);
    graph__dag_init(&dag, b->a, names, b->types.n);
    for (uint32_t i = 0; i < b->types.n; i++) {
        if (collect(b, NULL, i, b->types.map[i].val, 0, err) < 0)
            return kr_wrap(err, "parsing type " KR_FMT, KR_ARG(names[i]));
    }
    for (uint32_t i = 0; i < b->types.n; i++) {
        KR_TRY(collect(b, &dag, i, b->types.map[i].val, 0, err));
        if (graph__dag_cycle(&dag, i, err) < 0)
            return kr_wrap(err, "cyclic dependency in type " KR_FMT, KR_ARG(names[i]));
    }
    order = graph__dag_order(&dag);
    for (uint32_t k = 0; k < b->types.n; k++)
        KR_TRY(build_custom(b, order[k], err));
    return 0;
}

int graph__simpleschema(struct kr_arena *a, kr_val spec, kr_val types, kr_val *schema,
                        struct kr_err *err)
{
    struct builder b = {.a = a, .types = types};

    if (spec.kind != KR_MAP && spec.kind != KR_NONE)
        return fail_kind(spec, err);
    if (types.kind != KR_MAP)
        b.types = kr_map_sorted(NULL, 0);
    if (b.types.n > GRAPH_NODES_MAX)
        return kr_fail(err, KR_E_LIMIT, "%u custom types are more than the limit of %d", b.types.n,
                       GRAPH_NODES_MAX);
    KR_TRY(build_types(&b, err));
    return build_struct(&b, spec, 0, schema, err);
}
