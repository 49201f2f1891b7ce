/* SPDX-License-Identifier: Apache-2.0 */
/* markers.c - what stands behind the "|" of a field: key=value pairs, and what each does to the
 * schema of the field's type.
 *
 *   default=1 minimum=0 description="a b"     --lexer--> keys and values --effects--> schema
 *
 * Same words as kro: pkg/simpleschema. Source: reference rgd-graph 2.4, 2.5.
 */
#include "graph/internal.h"

#include "cel/base/json.h"
#include "cel/base/num.h"
#include "cel/base/utf8.h"
#include "cel/cel.h"

#include "cel/base/banned.h"

/* --- text ------------------------------------------------------------------------------------- */

static bool is_space(uint32_t rune) /* unicode.IsSpace */
{
    return (rune >= 9 && rune <= 13) || rune == ' ' || rune == 0x85 || rune == 0xa0 ||
           rune == 0x1680 || (rune >= 0x2000 && rune <= 0x200a) || rune == 0x2028 ||
           rune == 0x2029 || rune == 0x202f || rune == 0x205f || rune == 0x3000;
}

kr_str graph__trim(kr_str s)
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
        return kr_strdup(a, graph__trim(v));
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
    kr_str key = graph__trim(kr_buf_view(&l->buf));

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
        kr_str one = graph__trim(kr_str_cut(&rest, ','));
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
    if (graph__trim(v).n == 0)
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
    if (v.n == 0)
        return kr_fail(err, KR_E_INPUT, "pattern marker value cannot be empty");
    KR_TRY(need_type(x, "pattern", "string", err));
    if (cel_regex_check(v, err) < 0)
        return kr_wrap(err, "invalid pattern regex");
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

const char *const *graph__marker_keys(uint32_t *n)
{
    *n = KR_N(marker_keys);
    return marker_keys;
}
