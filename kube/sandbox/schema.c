/* SPDX-License-Identifier: Apache-2.0 */
/* schema.c - pruning, defaulting and validation by a definition's schema. */
#include "kube/sandbox/schema.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "cel/base/json.h"
#include "cel/base/time.h"
#include "cel/base/utf8.h"
#include "cel/cel.h"
#include "cel/regex.h"
#include "kube/sandbox/internal.h"
#include "kube/sandbox/place.h"

#include "cel/base/banned.h"

enum { DEPTH_MAX = 100 };

/* --- pruning and defaults --------------------------------------------------------------------- */

struct normal {
    struct kr_arena *a;
    sandbox_unknown_fn *fn;
    void *arg;
    bool applied; /* the result of an apply is not read from text again: its nulls stay */
};

static bool is_true(kr_val schema, kr_str key)
{
    return kr_is_true(kr_get(schema, key));
}

static kr_val normal(struct normal *n, kr_val schema, kr_val v, const struct sandbox_place *at,
                     bool top);

static kr_val member_schema(kr_val schema, kr_str name)
{
    kr_val s = kr_get(kr_get(schema, KR_S("properties")), name);

    return s.kind == KR_NONE ? kr_get(schema, KR_S("additionalProperties")) : s;
}

/* apiVersion, kind and metadata of an object, which no schema has to name. */
static bool of_every_object(kr_str name)
{
    return kr_str_is(name, "apiVersion") || kr_str_is(name, "kind") || kr_str_is(name, "metadata");
}

static kr_val normal_map(struct normal *n, kr_val schema, kr_val v, const struct sandbox_place *at,
                         bool top)
{
    struct kr_mapb b = KR_MAPB(n->a);
    bool keep = is_true(schema, KR_S("x-kubernetes-preserve-unknown-fields")),
         object = top || is_true(schema, KR_S("x-kubernetes-embedded-resource"));

    KR_MAP_EACH (p, v) {
        kr_str name = kr_text(p->key);
        kr_val s = member_schema(schema, name);
        const struct sandbox_place *below = SANDBOX_MEMBER(at, name);

        if (object && of_every_object(name)) {
            kr_mapb_put(&b, name, p->val);
        } else if (s.kind == KR_MAP) {
            if (p->val.kind != KR_NULL || is_true(s, KR_S("nullable")) ||
                (n->applied && kr_get(s, KR_S("default")).kind == KR_NONE))
                kr_mapb_put(&b, name, normal(n, s, p->val, below, false));
        } else if (keep || s.kind == KR_BOOL) {
            kr_mapb_put(&b, name, p->val);
        } else if (n->fn) {
            n->fn(n->arg, sandbox_place_text(n->a, below));
        }
    }
    v = kr_mapb_done(&b);
    KR_MAP_EACH (p, kr_get(schema, KR_S("properties"))) {
        kr_val def = kr_get(p->val, KR_S("default"));

        if (def.kind != KR_NONE && kr_get(v, kr_text(p->key)).kind == KR_NONE)
            v = kr_with_key(n->a, v, kr_text(p->key), normal(n, p->val, def, at, false));
    }
    return v;
}

static kr_val normal(struct normal *n, kr_val schema, kr_val v, const struct sandbox_place *at,
                     bool top)
{
    struct kr_listb list = KR_LISTB(n->a);
    kr_val items = kr_get(schema, KR_S("items"));
    uint32_t i = 0;

    if (v.kind == KR_MAP)
        return normal_map(n, schema, v, at, top);
    if (v.kind != KR_LIST || items.kind != KR_MAP)
        return v;
    KR_LIST_EACH (item, v)
        kr_listb_add(&list, normal(n, items, *item, SANDBOX_ITEM(at, i++), false));
    return kr_listb_done(&list);
}

kr_val sandbox__schema_normal(struct kr_arena *a, kr_val schema, kr_val v, bool applied,
                              sandbox_unknown_fn *fn, void *arg)
{
    struct normal n = {a, fn, arg, applied};

    return schema.kind == KR_MAP ? normal(&n, schema, v, SANDBOX_ROOT, true) : v;
}

/* --- validation ------------------------------------------------------------------------------- */

/* Rules are looked at in a second pass, and not where the first found what could keep them from running. */
struct check {
    struct kr_arena *a;
    struct sandbox_rules *rules;
    struct kr_listb causes;
    bool rules_pass;
    bool blocked; /* the first pass found such a thing */
};

static kr_str text_of(struct check *c, const struct sandbox_place *at)
{
    return sandbox_place_text(c->a, at);
}

static bool blocks_rules(const char *reason)
{
    static const char *const reasons[] = {"FieldValueRequired", "FieldValueNotSupported",
                                          "FieldValueTooLong", "FieldValueTooMany",
                                          "FieldValueTypeInvalid"};

    for (size_t i = 0; i < KR_N(reasons); i++)
        if (strcmp(reason, reasons[i]) == 0)
            return true;
    return false;
}

static void refuse(struct check *c, const char *reason, const struct sandbox_place *at,
                   const char *fmt, ...) KR_PRINTF(4, 5);
static void refuse(struct check *c, const char *reason, const struct sandbox_place *at,
                   const char *fmt, ...)
{
    char text[4096];
    va_list args;

    c->blocked |= blocks_rules(reason);
    if (c->causes.n >= SANDBOX_CAUSES_MAX)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    kr_listb_add(&c->causes, sandbox__cause(c->a, reason, kr_strdup(c->a, kr_str_c(text)),
                                            at ? text_of(c, at) : KR_S("<nil>")));
}

#define INVALID(c, at, ...) refuse((c), "FieldValueInvalid", (at), "Invalid value: " __VA_ARGS__)

/* The value as messages show it. */
static kr_str shown(struct check *c, kr_val v)
{
    if (v.kind == KR_STRING || v.kind == KR_INT || v.kind == KR_BOOL || v.kind == KR_DOUBLE)
        return kr_json_str(c->a, v);
    return v.kind == KR_NULL
               ? KR_S("null")
               : kr_json_str(c->a, kr_string(kr_str_c(v.kind == KR_LIST ? "array" : "object")));
}

static const char *type_of(kr_val v)
{
    switch (v.kind) {
    case KR_MAP:
        return "object";
    case KR_LIST:
        return "array";
    case KR_STRING:
        return "string";
    case KR_BOOL:
        return "boolean";
    case KR_INT:
    case KR_UINT:
        return "integer";
    case KR_DOUBLE:
        return "number";
    default:
        return "null";
    }
}

static bool type_fits(kr_val schema, kr_str type, kr_val v)
{
    if (v.kind == KR_NULL)
        return is_true(schema, KR_S("nullable"));
    if (is_true(schema, KR_S("x-kubernetes-int-or-string")))
        return v.kind == KR_INT || v.kind == KR_STRING;
    if (type.n == 0)
        return true;
    if (kr_str_is(type, "number"))
        return v.kind == KR_INT || v.kind == KR_UINT || v.kind == KR_DOUBLE;
    if (kr_str_is(type, "integer") && v.kind == KR_DOUBLE)
        return floor(v.d) == v.d;
    return kr_str_eq(type, kr_str_c(type_of(v)));
}

static double number(kr_val v)
{
    return v.kind == KR_DOUBLE ? v.d : v.kind == KR_UINT ? (double)v.u : (double)v.i;
}

static bool is_number(kr_val v)
{
    return v.kind == KR_INT || v.kind == KR_UINT || v.kind == KR_DOUBLE;
}

static void check_number(struct check *c, kr_val schema, kr_val v, const struct sandbox_place *at)
{
    kr_val min = kr_get(schema, KR_S("minimum")), max = kr_get(schema, KR_S("maximum")),
           of = kr_get(schema, KR_S("multipleOf"));
    bool open_min = is_true(schema, KR_S("exclusiveMinimum")),
         open_max = is_true(schema, KR_S("exclusiveMaximum"));

    if (is_number(min) && (number(v) < number(min) || (open_min && number(v) == number(min))))
        INVALID(c, at, KR_FMT ": " KR_FMT " in body should be greater than %s" KR_FMT,
                KR_ARG(shown(c, v)), KR_ARG(text_of(c, at)), open_min ? "" : "or equal to ",
                KR_ARG(shown(c, min)));
    if (is_number(max) && (number(v) > number(max) || (open_max && number(v) == number(max))))
        INVALID(c, at, KR_FMT ": " KR_FMT " in body should be less than %s" KR_FMT,
                KR_ARG(shown(c, v)), KR_ARG(text_of(c, at)), open_max ? "" : "or equal to ",
                KR_ARG(shown(c, max)));
    if (is_number(of) && number(of) != 0 && fmod(number(v), number(of)) != 0)
        INVALID(c, at, KR_FMT ": " KR_FMT " in body should be a multiple of " KR_FMT,
                KR_ARG(shown(c, v)), KR_ARG(text_of(c, at)), KR_ARG(shown(c, of)));
}

static int64_t limit(kr_val schema, const char *name)
{
    kr_val v = kr_get(schema, kr_str_c(name));

    return v.kind == KR_INT ? v.i : v.kind == KR_DOUBLE ? (int64_t)v.d : -1;
}

/* A pattern, compiled. */
struct pattern {
    struct cel__regex *re; /* NULL: it is none, and refuses nothing */
};

static bool matches(struct check *c, kr_str text, kr_str pattern)
{
    struct pattern *p = kr_map_get(&c->rules->patterns, pattern);
    char err[CEL__REGEX_ERR_MAX];

    if (p == NULL) {
        p = KR_ALLOC(struct pattern);
        p->re = cel__regex_new(pattern.s, pattern.n, err);
        kr_map_put(&c->rules->patterns, pattern, p);
    }
    return p->re == NULL || cel__regex_find(p->re, text.s, text.n, 0, NULL, NULL);
}

static void check_string(struct check *c, kr_val schema, kr_val v, const struct sandbox_place *at)
{
    int64_t n = (int64_t)kr_utf8_count(kr_text(v)), min = limit(schema, "minLength"),
            max = limit(schema, "maxLength");
    kr_str pattern = kr_at_str(schema, "pattern"), format = kr_at_str(schema, "format");
    int64_t seconds;
    uint32_t nanos;

    if (max >= 0 && n > max)
        refuse(c, "FieldValueTooLong", at, "Too long: may not be more than %" PRId64 " bytes", max);
    else if (min >= 0 && n < min)
        INVALID(c, at, KR_FMT ": " KR_FMT " in body should be at least %" PRId64 " chars long",
                KR_ARG(shown(c, v)), KR_ARG(text_of(c, at)), min);
    else if (pattern.n && !matches(c, kr_text(v), pattern))
        INVALID(c, at, KR_FMT ": " KR_FMT " in body should match '" KR_FMT "'", KR_ARG(shown(c, v)),
                KR_ARG(text_of(c, at)), KR_ARG(pattern));
    if (kr_str_is(format, "date-time") && !kr_time_parse(kr_text(v), &seconds, &nanos))
        refuse(c, "FieldValueTypeInvalid", at,
               "Invalid value: " KR_FMT ": " KR_FMT " in body must be of type date-time: " KR_FMT,
               KR_ARG(shown(c, v)), KR_ARG(text_of(c, at)), KR_ARG(shown(c, v)));
}

static void check_enum(struct check *c, kr_val schema, kr_val v, const struct sandbox_place *at)
{
    struct kr_buf b = KR_BUF_IN(c->a, 64 * 1024);
    kr_val list = kr_get(schema, KR_S("enum"));

    if (list.kind != KR_LIST)
        return;
    KR_LIST_EACH (one, list) {
        if (kr_equal(*one, v))
            return;
        kr_buf_fmt(&b, "%s" KR_FMT, b.n ? ", " : "", KR_ARG(shown(c, *one)));
    }
    refuse(c, "FieldValueNotSupported", at,
           "Unsupported value: " KR_FMT ": supported values: " KR_FMT, KR_ARG(shown(c, v)),
           KR_ARG(kr_buf_view(&b)));
}

static void check(struct check *c, kr_val schema, kr_val old, kr_val v,
                  const struct sandbox_place *at, uint32_t depth);

static void check_size(struct check *c, kr_val schema, uint32_t n, const struct sandbox_place *at,
                       const char *min_name, const char *max_name, const char *what)
{
    int64_t min = limit(schema, min_name), max = limit(schema, max_name);

    if (max >= 0 && n > max)
        refuse(c, "FieldValueTooMany", at, "Too many: %u: must have at most %" PRId64 " %s", n, max,
               what);
    if (min >= 0 && n < min)
        INVALID(c, at, "%u: " KR_FMT " in body should have at least %" PRId64 " %s", n,
                KR_ARG(text_of(c, at)), min, what);
}

static void check_map(struct check *c, kr_val schema, kr_val old, kr_val v,
                      const struct sandbox_place *at, uint32_t depth)
{
    bool object = at == SANDBOX_ROOT || is_true(schema, KR_S("x-kubernetes-embedded-resource"));

    KR_MAP_EACH (p, v) {
        kr_str name = kr_text(p->key);
        kr_val s = member_schema(schema, name);

        if (s.kind != KR_MAP || (object && of_every_object(name)))
            continue;
        check(c, s, kr_get(old, name), p->val, SANDBOX_MEMBER(at, name), depth);
    }
    if (c->rules_pass)
        return;
    KR_LIST_EACH (name, kr_get(schema, KR_S("required"))) {
        if (kr_get(v, kr_text(*name)).kind == KR_NONE)
            refuse(c, "FieldValueRequired", SANDBOX_MEMBER(at, kr_text(*name)), "Required value");
    }
    check_size(c, schema, v.n, at, "minProperties", "maxProperties", "items");
}

/* The keys of an item of a list map, or the item of a set, as JSON. */
static kr_str identity(struct check *c, kr_val schema, kr_val item)
{
    struct kr_mapb b = KR_MAPB(c->a);
    kr_val keys = kr_get(schema, KR_S("x-kubernetes-list-map-keys"));

    if (keys.kind != KR_LIST)
        return kr_json_str(c->a, item);
    KR_LIST_EACH (key, keys) {
        kr_val v = kr_get(item, kr_text(*key));

        if (v.kind != KR_NONE)
            kr_mapb_put(&b, kr_text(*key), v);
    }
    return kr_json_str(c->a, kr_mapb_done(&b));
}

static void check_list(struct check *c, kr_val schema, kr_val old, kr_val v,
                       const struct sandbox_place *at, uint32_t depth)
{
    kr_val items = kr_get(schema, KR_S("items"));
    kr_str kind = kr_at_str(schema, "x-kubernetes-list-type");
    bool unique = kr_str_is(kind, "map") || kr_str_is(kind, "set");
    KR_AUTO(kr_map) seen = {0};
    KR_AUTO(kr_map) before = {0};

    for (uint32_t i = 0; unique && old.kind == KR_LIST && i < old.n; i++)
        kr_map_put(&before, identity(c, schema, old.list[i]), (void *)&old.list[i]);
    for (uint32_t i = 0; i < v.n; i++) {
        const struct sandbox_place *item = SANDBOX_ITEM(at, i);
        kr_str id = unique ? identity(c, schema, v.list[i]) : KR_S("");
        const kr_val *was = unique ? kr_map_get(&before, id) : NULL;

        if (unique && !c->rules_pass && !sandbox__is_first(&seen, id))
            refuse(c, "FieldValueDuplicate", item, "Duplicate value: " KR_FMT, KR_ARG(id));
        if (items.kind == KR_MAP)
            check(c, items, was ? *was : KR_V_NONE, v.list[i], item, depth);
    }
    if (!c->rules_pass)
        check_size(c, schema, v.n, at, "minItems", "maxItems", "items");
}

/* --- rules in CEL ----------------------------------------------------------------------------- */

/* A rule, compiled. */
struct rule {
    struct kr_arena arena;
    const struct cel_prog *prog; /* NULL: it is none, and err says why */
    struct kr_err err;
};

/* `self` is of any type: names as CEL writes them are those of the value, for our CEL reads maps. */
static const struct rule *compiled(struct check *c, kr_str text)
{
    struct rule *r = kr_map_get(&c->rules->rules, text);
    struct cel_env *env;

    if (r)
        return r;
    r = KR_ALLOC(struct rule);
    kr_map_put(&c->rules->rules, text, r);
    env = cel_env_new(&r->arena, CEL_LIB_STD | CEL_LIB_EXT | CEL_LIB_EXT_MORE | CEL_LIB_K8S |
                                     CEL_LIB_K8S_MORE);
    cel_env_var(env, KR_S("self"), CEL_T_DYN, NULL);
    cel_env_var(env, KR_S("oldSelf"), CEL_T_DYN, NULL);
    if (cel_compile(&r->arena, env, text, &r->prog, &r->err) < 0)
        r->prog = NULL;
    return r;
}

void sandbox__rules_fini(struct sandbox_rules *rules)
{
    kr_map_each (e, &rules->rules) {
        struct rule *r = e->val;

        kr_arena_fini(&r->arena);
        kr_free(r);
    }
    kr_map_each (e, &rules->patterns) {
        struct pattern *p = e->val;

        cel__regex_free(p->re);
        kr_free(p);
    }
    kr_map_fini(&rules->rules);
    kr_map_fini(&rules->patterns);
}

/* Evaluates an expression about v; KR_NONE: it failed, and err says why. */
static kr_val evaluated(struct check *c, kr_str text, kr_val old, kr_val v, struct kr_err *err)
{
    KR_AUTO(kr_arena) a = {0};
    const struct rule *r = compiled(c, text);
    kr_val slots[2] = {v, old}, out = KR_V_NONE;
    struct cel_run run = {.a = &a, .slots = slots, .slots_n = KR_N(slots)};

    if (r->prog == NULL) {
        *err = r->err;
        return KR_V_NONE;
    }
    return cel_eval(r->prog, &run, &out, err) == 0 ? kr_copy(c->a, out) : KR_V_NONE;
}

/* What the rule says of a value that breaks it. */
static kr_str rule_message(struct check *c, kr_val rule, kr_val old, kr_val v)
{
    struct kr_err err = KR_ERR_NONE;
    kr_str expression = kr_at_str(rule, "messageExpression"), message = kr_at_str(rule, "message");
    kr_val made = expression.n ? evaluated(c, expression, old, v, &err) : KR_V_NONE;

    if (made.kind == KR_STRING && kr_str_trim(kr_text(made)).n)
        return kr_str_trim(kr_text(made));
    return message.n ? message
                     : kr_fmt(c->a, "failed rule: " KR_FMT, KR_ARG(kr_at_str(rule, "rule")));
}

/* The place that a rule blames. */
static kr_str blamed(struct check *c, kr_val rule, const struct sandbox_place *at)
{
    kr_str path =
        kr_fmt(c->a, KR_FMT KR_FMT, KR_ARG(text_of(c, at)), KR_ARG(kr_at_str(rule, "fieldPath")));

    return kr_str_starts(path, KR_S(".")) ? kr_str_sub(path, 1, path.n) : path;
}

/* Source: apiextensions-apiserver pkg/apiserver/schema/cel/validation.go (fieldErrorForReason). */
static void rule_broken(struct check *c, kr_val rule, kr_val old, kr_val v,
                        const struct sandbox_place *at)
{
    kr_str reason = kr_at_str(rule, "reason"), message = rule_message(c, rule, old, v);
    bool plain = v.kind != KR_MAP && v.kind != KR_LIST;
    const struct sandbox_place named = {.name = blamed(c, rule, at)};
    const struct sandbox_place *field = named.name.n ? &named : SANDBOX_ROOT;

    if (kr_str_is(reason, "FieldValueForbidden"))
        refuse(c, "FieldValueForbidden", field, "Forbidden: " KR_FMT, KR_ARG(message));
    else if (kr_str_is(reason, "FieldValueRequired"))
        refuse(c, "FieldValueRequired", field, "Required value: " KR_FMT, KR_ARG(message));
    else if (kr_str_is(reason, "FieldValueDuplicate"))
        refuse(c, "FieldValueDuplicate", field, "Duplicate value: " KR_FMT, KR_ARG(shown(c, v)));
    else
        INVALID(c, field, KR_FMT "%s" KR_FMT, KR_ARG(plain ? shown(c, v) : KR_S("")),
                plain ? ": " : "", KR_ARG(message));
}

static bool mentions_old(kr_str rule)
{
    return kr_str_find(rule, KR_S("oldSelf")) >= 0;
}

static void check_rules(struct check *c, kr_val schema, kr_val old, kr_val v,
                        const struct sandbox_place *at)
{
    KR_LIST_EACH (rule, kr_get(schema, KR_S("x-kubernetes-validations"))) {
        struct kr_err err = KR_ERR_NONE;
        kr_str message = kr_at_str(*rule, "message"), text = kr_at_str(*rule, "rule");
        kr_val holds;

        if (mentions_old(text) && old.kind == KR_NONE)
            continue;
        holds = evaluated(c, text, old, v, &err);
        if (err.code)
            INVALID(c, at, "\"%s\": %s evaluating rule: " KR_FMT, type_of(v), err.text,
                    KR_ARG(message.n ? message : text));
        else if (!kr_is_true(holds))
            rule_broken(c, *rule, old, v, at);
    }
}

static bool is_valid(struct check *c, kr_val schema, kr_val v, uint32_t depth)
{
    struct check inner = {.a = c->a, .rules = c->rules, .causes = KR_LISTB(c->a)};

    check(&inner, schema, KR_V_NONE, v, SANDBOX_MEMBER(SANDBOX_ROOT, KR_S("x")), depth);
    return inner.causes.n == 0;
}

/* How many of the alternatives hold. */
static uint32_t valid_n(struct check *c, kr_val list, kr_val v, uint32_t depth)
{
    uint32_t n = 0;

    KR_LIST_EACH (one, list)
        n += is_valid(c, *one, v, depth);
    return n;
}

static void check_alternatives(struct check *c, kr_val schema, kr_val v,
                               const struct sandbox_place *at, uint32_t depth)
{
    kr_val any = kr_get(schema, KR_S("anyOf")), one = kr_get(schema, KR_S("oneOf")),
           no = kr_get(schema, KR_S("not"));

    if (any.n && valid_n(c, any, v, depth) == 0)
        INVALID(c, at, KR_FMT ": " KR_FMT " in body must validate at least one schema (anyOf)",
                KR_ARG(shown(c, v)), KR_ARG(text_of(c, at)));
    if (one.n && valid_n(c, one, v, depth) != 1)
        INVALID(c, at, KR_FMT ": " KR_FMT " in body must validate one and only one schema (oneOf)",
                KR_ARG(shown(c, v)), KR_ARG(text_of(c, at)));
    if (no.kind == KR_MAP && is_valid(c, no, v, depth))
        INVALID(c, at, KR_FMT ": " KR_FMT " in body must not validate the schema (not)",
                KR_ARG(shown(c, v)), KR_ARG(text_of(c, at)));
    KR_LIST_EACH (s, kr_get(schema, KR_S("allOf")))
        check(c, *s, KR_V_NONE, v, at, depth);
}

static void check_inside(struct check *c, kr_val schema, kr_val old, kr_val v,
                         const struct sandbox_place *at, uint32_t depth)
{
    if (v.kind == KR_MAP)
        check_map(c, schema, old, v, at, depth + 1);
    else if (v.kind == KR_LIST)
        check_list(c, schema, old, v, at, depth + 1);
}

static void check(struct check *c, kr_val schema, kr_val old, kr_val v,
                  const struct sandbox_place *at, uint32_t depth)
{
    kr_str type = kr_at_str(schema, "type"), wanted = type.n ? type : KR_S("integer,string");

    if (depth >= DEPTH_MAX)
        return refuse(c, "FieldValueInvalid", at, "nested too deep");
    if (c->rules_pass) {
        if (v.kind != KR_NULL)
            check_rules(c, schema, old, v, at);
        check_inside(c, schema, old, v, at, depth);
        return;
    }
    if (!type_fits(schema, type, v)) {
        refuse(c, "FieldValueTypeInvalid", at,
               "Invalid value: \"%s\": " KR_FMT " in body must be of type " KR_FMT ": \"%s\"",
               type_of(v), KR_ARG(text_of(c, at)), KR_ARG(wanted), type_of(v));
        if (v.kind == KR_DOUBLE && kr_str_is(type, "integer")) /* the server's two validators */
            refuse(c, "FieldValueInvalid", SANDBOX_ROOT,
                   "Invalid value: \"\": Checked value must be of type integer (default format) "
                   "in " KR_FMT,
                   KR_ARG(text_of(c, at)));
        check_enum(c, schema, v, at);
        return;
    }
    if (v.kind == KR_NULL)
        return;
    check_enum(c, schema, v, at);
    check_inside(c, schema, old, v, at, depth);
    if (v.kind == KR_STRING)
        check_string(c, schema, v, at);
    else if (is_number(v))
        check_number(c, schema, v, at);
    check_alternatives(c, schema, v, at, depth + 1);
}

/* Does the schema have a rule anywhere? */
static bool has_rules(kr_val schema)
{
    if (schema.kind == KR_MAP && kr_get(schema, KR_S("x-kubernetes-validations")).n > 0)
        return true;
    KR_MAP_EACH (p, schema) {
        if (has_rules(p->val))
            return true;
    }
    return false;
}

kr_val sandbox__schema_causes(struct kr_arena *a, struct sandbox_rules *rules, kr_val schema,
                              kr_val old, kr_val v)
{
    struct check c = {.a = a, .rules = rules, .causes = KR_LISTB(a)};

    if (schema.kind != KR_MAP)
        return kr_listb_done(&c.causes);
    check(&c, schema, old, v, SANDBOX_ROOT, 0);
    if (!has_rules(schema))
        return kr_listb_done(&c.causes);
    if (c.blocked) {
        INVALID(&c, SANDBOX_ROOT,
                "null: some validation rules were not checked because the object was invalid; "
                "correct the existing errors to complete validation");
    } else {
        c.rules_pass = true;
        check(&c, schema, old, v, SANDBOX_ROOT, 0);
    }
    return kr_listb_done(&c.causes);
}
