/* SPDX-License-Identifier: Apache-2.0 */
/* structural.c - a walk over a definition's schemas, twice: first their form, then, where that is
 * right, their defaults and rules, which need it.
 *
 * Each rule about the form is a function of its own in the table `forms`.
 */
#include "kube/sandbox/structural.h"

#include "cel/base/json.h"
#include "cel/schema.h"
#include "kube/sandbox/internal.h"
#include "kube/sandbox/schema.h"

#include "cel/base/banned.h"

/* Where a schema stands, which decides what it must say. */
enum place { ROOT, FIELD, ITEM };

struct walk {
    struct kr_arena *a;
    struct kr_listb causes;
    struct sandbox_rules rules; /* compiled while defaults are looked at */
};

static kr_val get(kr_val schema, const char *name)
{
    return kr_get(schema, kr_str_c(name));
}

static kr_str text_of(kr_val schema, const char *name)
{
    return kr_text(get(schema, name));
}

static bool is_true(kr_val schema, const char *name)
{
    return kr_is_true(get(schema, name));
}

static bool has(kr_val schema, const char *name)
{
    return get(schema, name).kind != KR_NONE;
}

static void refuse(struct walk *w, const char *reason, kr_str path, const char *below,
                   kr_str message)
{
    if (w->causes.n < SANDBOX_CAUSES_MAX)
        kr_listb_add(&w->causes, sandbox__cause(w->a, reason, message,
                                                kr_fmt(w->a, KR_FMT "%s", KR_ARG(path), below)));
}

static void required(struct walk *w, kr_str path, const char *below, const char *why)
{
    refuse(w, "FieldValueRequired", path, below, kr_fmt(w->a, "Required value: %s", why));
}

static void invalid(struct walk *w, kr_str path, const char *below, kr_val value, const char *why)
{
    kr_str shown = value.kind == KR_NONE ? KR_S("null") : kr_json_str(w->a, value);

    refuse(w, "FieldValueInvalid", path, below,
           kr_fmt(w->a, "Invalid value: " KR_FMT ": %s", KR_ARG(shown), why));
}

static void forbidden(struct walk *w, kr_str path, const char *below, const char *why)
{
    refuse(w, "FieldValueForbidden", path, below, kr_fmt(w->a, "Forbidden: %s", why));
}

/* words: quoted, separated by ", ". */
static void one_of(struct walk *w, kr_str path, const char *below, kr_str value, const char *words)
{
    kr_str quoted = kr_json_str(w->a, kr_string(value));

    if (value.n && kr_str_find(kr_str_c(words), quoted) < 0)
        refuse(w, "FieldValueNotSupported", path, below,
               kr_fmt(w->a, "Unsupported value: " KR_FMT ": supported values: %s", KR_ARG(quoted),
                      words));
}

/* --- form ------------------------------------------------------------------------------------- */

static void check_type(struct walk *w, kr_val s, kr_str path, enum place place)
{
    kr_str type = text_of(s, "type");
    bool open = is_true(s, "x-kubernetes-int-or-string") ||
                is_true(s, "x-kubernetes-preserve-unknown-fields");

    if (place == ROOT && type.n == 0)
        required(w, path, ".type", "must not be empty at the root");
    else if (place == ROOT && !kr_str_is(type, "object"))
        invalid(w, path, ".type", kr_string(type), "must be object at the root");
    else if (type.n == 0 && !open)
        required(w, path, ".type",
                 place == ITEM ? "must not be empty for specified array items"
                               : "must not be empty for specified object fields");
    else
        one_of(w, path, ".type", type,
               "\"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\"");
}

static void check_members(struct walk *w, kr_val s, kr_str path, enum place place)
{
    kr_val more = get(s, "additionalProperties");

    if (kr_str_is(text_of(s, "type"), "array") && !has(s, "items"))
        required(w, path, ".items", "must be specified");
    if (get(s, "properties").n && (more.kind == KR_MAP || kr_is_true(more)))
        forbidden(w, path, ".additionalProperties",
                  "additionalProperties and properties are mutual exclusive");
    if (is_true(s, "uniqueItems"))
        forbidden(
            w, path, ".uniqueItems",
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic");
    if (is_true(s, "x-kubernetes-embedded-resource") && get(s, "properties").n == 0 &&
        !is_true(s, "x-kubernetes-preserve-unknown-fields"))
        required(w, path, ".properties",
                 "must not be empty if x-kubernetes-embedded-resource is true without "
                 "x-kubernetes-preserve-unknown-fields");
    if (place != ROOT)
        return;
    KR_MAP_EACH (p, kr_at(s, "properties.metadata.properties")) {
        if (kr_is_str(p->key, KR_S("name")) || kr_is_str(p->key, KR_S("generateName")))
            continue;
        forbidden(w, path, ".properties[metadata]",
                  "must not specify anything other than name and generateName, but metadata is "
                  "implicitly specified");
        return;
    }
}

static bool is_listed(kr_val list, kr_val v)
{
    KR_LIST_EACH (it, list)
        if (kr_equal(*it, v))
            return true;
    return false;
}

/* The keys of a list of maps identify its items: each item has them. */
static void check_keys(struct walk *w, kr_val s, kr_val keys, kr_str path)
{
    static const char below[] = ".x-kubernetes-list-map-keys";
    kr_val items = get(s, "items"), members = get(items, "properties");

    for (uint32_t i = 0; keys.kind == KR_LIST && i < keys.n; i++) {
        kr_val key = keys.list[i], member = kr_get(members, kr_text(key));

        if (is_listed(kr_list(keys.list, i), key)) {
            invalid(w, path, below, keys, "must not contain duplicate entries");
            return;
        }
        if (member.kind == KR_NONE) {
            invalid(w, path, below, keys, "entries must all be names of item properties");
            return;
        }
        if (!has(member, "default") && !is_listed(get(items, "required"), key))
            required(w, path,
                     kr_fmt(w->a, ".items.properties[" KR_FMT "].default", KR_ARG(kr_text(key))).s,
                     "this property is in x-kubernetes-list-map-keys, so it must have a default or "
                     "be a required property");
    }
}

static void check_map_list(struct walk *w, kr_val s, kr_val keys, kr_str path)
{
    kr_val type = get(get(s, "items"), "type");

    if (keys.n == 0)
        required(w, path, ".x-kubernetes-list-map-keys",
                 "must not be empty if x-kubernetes-list-type is map");
    else if (has(s, "items") && !kr_is_str(type, KR_S("object")))
        invalid(w, path, ".items.type", type,
                "must be object if parent array's x-kubernetes-list-type is map");
    else
        check_keys(w, s, keys, path);
}

static void check_list(struct walk *w, kr_val s, kr_str path, enum place place)
{
    static const char atomic[] = "must be atomic as item of a list with x-kubernetes-list-type=set";
    kr_str list = text_of(s, "x-kubernetes-list-type");
    kr_val keys = get(s, "x-kubernetes-list-map-keys"), items = get(s, "items");

    one_of(w, path, ".x-kubernetes-list-type", list, "\"atomic\", \"set\", \"map\"");
    one_of(w, path, ".x-kubernetes-map-type", text_of(s, "x-kubernetes-map-type"),
           "\"atomic\", \"granular\"");
    if (list.n && text_of(s, "type").n && !kr_str_is(text_of(s, "type"), "array"))
        invalid(w, path, ".type", get(s, "type"),
                "must be array if x-kubernetes-list-type is specified");
    else if (kr_str_is(list, "map"))
        check_map_list(w, s, keys, path);
    else if (keys.n)
        required(w, path, ".x-kubernetes-list-type",
                 "must be map if x-kubernetes-list-map-keys is non-empty");
    if (!kr_str_is(list, "set"))
        return;
    if (kr_str_is(text_of(items, "type"), "object") &&
        !kr_str_is(text_of(items, "x-kubernetes-map-type"), "atomic"))
        invalid(w, path, ".items.x-kubernetes-map-type", get(items, "x-kubernetes-map-type"),
                atomic);
    if (kr_str_is(text_of(items, "type"), "array") && has(items, "x-kubernetes-list-type") &&
        !kr_str_is(text_of(items, "x-kubernetes-list-type"), "atomic"))
        invalid(w, path, ".items.x-kubernetes-list-type", get(items, "x-kubernetes-list-type"),
                atomic);
}

static void check_pattern(struct walk *w, kr_val s, kr_str path, enum place place)
{
    struct kr_err err = KR_ERR_NONE;
    kr_val pattern = get(s, "pattern");

    if (kr_text(pattern).n && cel_regex_check(kr_text(pattern), &err) < 0)
        invalid(w, path, ".pattern", pattern,
                kr_fmt(w->a, "must be a valid regular expression, but isn't: " KR_FMT,
                       KR_ARG(kr_err_str(&err)))
                    .s);
}

/* What is said of a value in parts says nothing of its form. */
static void check_parts(struct walk *w, kr_val s, kr_str path, enum place place)
{
    static const char *const names[] = {"allOf", "anyOf", "oneOf"};

    if (is_true(s, "x-kubernetes-int-or-string"))
        return; /* its two types may stand there */
    for (size_t i = 0; i < KR_N(names); i++) {
        uint32_t k = 0;

        KR_LIST_EACH (part, get(s, names[i])) {
            if (text_of(*part, "type").n)
                forbidden(w, path, kr_fmt(w->a, ".%s[%u].type", names[i], k).s,
                          "must be empty to be structural");
            k++;
        }
    }
    if (text_of(get(s, "not"), "type").n)
        forbidden(w, path, ".not.type", "must be empty to be structural");
}

typedef void form_fn(struct walk *w, kr_val schema, kr_str path, enum place place);

static form_fn *const forms[] = {check_type, check_members, check_list, check_pattern, check_parts};

static void check_form(struct walk *w, kr_val s, kr_str path, enum place place)
{
    if (has(s, "$ref")) {
        forbidden(w, path, ".$ref", "$ref is not supported");
        return;
    }
    for (size_t i = 0; i < KR_N(forms); i++)
        forms[i](w, s, path, place);
}

/* --- what stands in the form ------------------------------------------------------------------ */

static void on_unknown(void *arg, kr_str path)
{
    *(bool *)arg = true;
}

/* Right by the schema that it stands in, as it is: no other default completes it. */
static void check_default(struct walk *w, kr_val s, kr_str path)
{
    kr_val def = get(s, "default"), causes;
    bool unknown = false;

    if (def.kind == KR_NONE || def.kind == KR_NULL)
        return;
    sandbox__schema_normal(w->a, s, def, false, on_unknown, &unknown);
    if (unknown) {
        invalid(w, path, ".default", def, "must not have unknown fields");
        return;
    }
    causes = sandbox__schema_causes(w->a, &w->rules, s, KR_V_NONE, def);
    KR_LIST_EACH (cause, causes) {
        kr_str field = kr_at_str(*cause, "field");
        const char *below =
            field.n == 0 || kr_str_is(field, "<nil>")
                ? ".default"
                : kr_fmt(w->a, ".default%s" KR_FMT, field.s[0] == '[' ? "" : ".", KR_ARG(field)).s;

        refuse(w, kr_cstr(w->a, kr_at_str(*cause, "reason")), path, below,
               kr_at_str(*cause, "message"));
    }
}

int sandbox_rule_compile(struct kr_arena *a, kr_val schema, kr_str text, struct cel_env **env,
                         const struct cel_type **type, struct kr_err *err)
{
    const struct cel_prog *prog;
    const struct cel_schema *s;
    const struct cel_type *self;

    *env = cel_env_new(a, CEL_LIB_STD | CEL_LIB_EXT | CEL_LIB_EXT_MORE | CEL_LIB_K8S |
                              CEL_LIB_K8S_MORE);
    KR_TRY(cel_schema_read(a, schema, &s, err));
    self = cel_type_of_schema(a, s, KR_S("self"));
    cel_env_var(*env, KR_S("self"), self, NULL);
    cel_env_var(*env, KR_S("oldSelf"), self, NULL);
    KR_TRY(cel_compile(a, *env, text, &prog, err));
    *type = cel_prog_type(prog);
    return 0;
}

/* A rule as Go prints its struct. */
static kr_str shown_rule(struct walk *w, kr_val rule)
{
    static const struct {
        const char *label, *name;
        bool null;
    } parts[] = {{"{\"Rule\":", "rule", false},
                 {",\"Message\":", "message", false},
                 {",\"MessageExpression\":", "messageExpression", false},
                 {",\"Reason\":", "reason", true},
                 {",\"FieldPath\":", "fieldPath", false},
                 {",\"OptionalOldSelf\":", "optionalOldSelf", true}};
    struct kr_buf b = KR_BUF_IN(w->a, KR_JSON_STRING_MAX);

    for (size_t i = 0; i < KR_N(parts); i++) {
        kr_val v = get(rule, parts[i].name);

        kr_buf_fmt(&b, "%s", parts[i].label);
        if (v.kind == KR_BOOL)
            kr_buf_fmt(&b, "%s", v.b ? "true" : "false");
        else if (v.kind != KR_STRING && parts[i].null)
            kr_buf_fmt(&b, "null");
        else
            kr_json_quote(&b, kr_text(v), KR_JSON_HTML);
    }
    kr_buf_chr(&b, '}');
    return kr_buf_view(&b);
}

static void rule_invalid(struct walk *w, kr_val rule, kr_str path, const char *below, kr_str why)
{
    refuse(w, "FieldValueInvalid", path, below,
           kr_fmt(w->a, "Invalid value: " KR_FMT ": " KR_FMT, KR_ARG(shown_rule(w, rule)),
                  KR_ARG(why)));
}

/* name: the member of the rule that has an expression; it gives a value of the type. */
static void check_expression(struct walk *w, kr_val s, kr_val rule, kr_str path, const char *name,
                             const struct cel_type *wanted, const char *otherwise)
{
    KR_AUTO(kr_arena) tmp = {0};
    struct kr_err err = KR_ERR_NONE;
    const struct cel_type *type;
    struct cel_env *env;
    const char *below = kr_fmt(w->a, ".%s", name).s;

    if (sandbox_rule_compile(&tmp, s, text_of(rule, name), &env, &type, &err) < 0)
        rule_invalid(w, rule, path, below,
                     kr_fmt(w->a, "%scompilation failed: " KR_FMT,
                            wanted == CEL_T_BOOL ? "" : "messageExpression ",
                            KR_ARG(kr_err_str(&err))));
    else if (!cel_type_same(type, wanted) && !cel_type_is_dyn(type))
        rule_invalid(w, rule, path, below, kr_str_c(otherwise));
}

/* .name.name and ['name'], each a member of what is before it. */
static bool is_path(kr_val s, kr_str path)
{
    bool any = path.n > 0;

    while (path.n > 0) {
        bool quoted = kr_str_starts(path, KR_S("['"));
        size_t n, from = quoted ? 2 : 1;
        kr_str name;

        if (!quoted && path.s[0] != '.')
            return false;
        for (n = from; n < path.n && (quoted ? path.s[n] != '\'' : !strchr(".[", path.s[n])); n++)
            ;
        name = kr_str_sub(path, from, n);
        path = kr_str_sub(path, n, path.n);
        if (quoted && !kr_str_starts(path, KR_S("']")))
            return false;
        if (quoted)
            path = kr_str_sub(path, 2, path.n);
        s = has(s, "properties") ? kr_get(get(s, "properties"), name)
                                 : get(s, "additionalProperties");
        if (s.kind != KR_MAP)
            return false;
    }
    return any;
}

static void check_rule(struct walk *w, kr_val s, kr_val rule, kr_str path)
{
    kr_val message = get(rule, "message");

    if (kr_str_trim(text_of(rule, "rule")).n == 0)
        required(w, path, ".rule", "rule is not specified");
    else
        check_expression(w, s, rule, path, "rule", CEL_T_BOOL,
                         "cel expression must evaluate to a bool");
    if (kr_str_chr(kr_text(message), '\n') >= 0)
        invalid(w, path, ".message", message, "must not contain line breaks");
    if (text_of(rule, "messageExpression").n)
        check_expression(w, s, rule, path, "messageExpression", CEL_T_STRING,
                         "messageExpression must evaluate to a string");
    if (text_of(rule, "fieldPath").n && !is_path(s, text_of(rule, "fieldPath")))
        invalid(w, path, ".fieldPath", get(rule, "fieldPath"), "must be a valid path");
    one_of(w, path, ".reason", text_of(rule, "reason"),
           "\"FieldValueDuplicate\", \"FieldValueForbidden\", \"FieldValueInvalid\", "
           "\"FieldValueRequired\"");
}

static void check_content(struct walk *w, kr_val s, kr_str path, enum place place)
{
    uint32_t i = 0;

    KR_LIST_EACH (rule, get(s, "x-kubernetes-validations"))
        check_rule(w, s, *rule,
                   kr_fmt(w->a, KR_FMT ".x-kubernetes-validations[%u]", KR_ARG(path), i++));
    check_default(w, s, path);
}

/* --- the walk --------------------------------------------------------------------------------- */

static void each(struct walk *w, kr_val s, kr_str path, enum place place, form_fn *fn)
{
    kr_val items = get(s, "items"), more = get(s, "additionalProperties");

    if (s.kind != KR_MAP || w->causes.n >= SANDBOX_CAUSES_MAX)
        return;
    fn(w, s, path, place);
    if (items.kind == KR_MAP)
        each(w, items, kr_fmt(w->a, KR_FMT ".items", KR_ARG(path)), ITEM, fn);
    if (more.kind == KR_MAP)
        each(w, more, kr_fmt(w->a, KR_FMT ".additionalProperties", KR_ARG(path)), FIELD, fn);
    KR_MAP_EACH (p, get(s, "properties")) {
        each(w, p->val,
             kr_fmt(w->a, KR_FMT ".properties[" KR_FMT "]", KR_ARG(path), KR_ARG(kr_text(p->key))),
             FIELD, fn);
    }
}

static void check_schema(struct walk *w, kr_val schema, kr_str path)
{
    uint32_t n = w->causes.n;

    each(w, schema, path, ROOT, check_form);
    if (w->causes.n == n)
        each(w, schema, path, ROOT, check_content);
}

kr_val sandbox_structural_causes(struct kr_arena *a, kr_val crd)
{
    struct walk w = {.a = a, .causes = KR_LISTB(a)};
    kr_val versions = kr_at(crd, "spec.versions"),
           first = kr_at(kr_item(versions, 0), "schema.openAPIV3Schema");
    bool one =
        first.kind == KR_MAP; /* the server keeps one that all versions share in another place */
    uint32_t i = 0;

    KR_LIST_EACH (v, versions)
        one &= kr_equal(kr_at(*v, "schema.openAPIV3Schema"), first);
    if (one)
        check_schema(&w, first, KR_S("spec.validation.openAPIV3Schema"));
    KR_LIST_EACH (v, versions) {
        kr_val schema = kr_at(*v, "schema.openAPIV3Schema");
        kr_str path = kr_fmt(a, "spec.versions[%u].schema.openAPIV3Schema", i++);

        if (schema.kind != KR_MAP)
            refuse(&w, "FieldValueRequired", path, "", KR_S("Required value"));
        else if (!one)
            check_schema(&w, schema, path);
    }
    sandbox__rules_fini(&w.rules);
    return kr_listb_done(&w.causes);
}
