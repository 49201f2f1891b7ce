/* SPDX-License-Identifier: Apache-2.0 */
/* validate_crd.c - what an API server would refuse of the CRD that a definition generates.
 *
 * kro accepts such a definition, as we do; it fails later, when the CRD is written. So they are
 * warnings. The CRD is looked at as it is generated; places are those of the definition: a property
 * of the schema is the member of the same name in spec.schema.spec.
 *
 * Source: kubernetes apiextensions-apiserver pkg/apis/apiextensions/validation.
 */
#include "cli/validate.h"

#include "cel/base/json.h"
#include "cel/cel.h"
#include "kube/sandbox/schema.h"
#include "kube/sandbox/structural.h"

#include "cel/base/banned.h"

enum {
    DEPTH_MAX = 64, /* of the generated schema; the definition's own limit is lower */
    LABEL_MAX = 63,
    GROUP_MAX = 253,
};

struct inspection {
    struct graph_diags *d;
    struct kr_arena *a;         /* of the findings */
    struct sandbox_rules rules; /* compiled while defaults are looked at */
};

static struct graph_diag *warn(struct inspection *in, kr_str path, kr_str source, kr_str text)
{
    struct graph_diag *x = graph_diags_warn(in->d, GRAPH_R_REFUSED_CRD, path, text);

    if (source.n) {
        x->source = kr_strdup(in->a, source);
        x->line = x->column = 1;
    }
    return x;
}

/* --- names ------------------------------------------------------------------------------------ */

static bool dns_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Labels of a-z, 0-9 and '-', joined by dots, none beginning or ending with '-'. */
static bool is_domain(kr_str s)
{
    bool inside = false; /* a label has begun, and may end here */

    for (size_t i = 0; i < s.n; i++) {
        if (s.s[i] == '.' ? !inside : !dns_char(s.s[i]) && (s.s[i] != '-' || i == 0))
            return false;
        if (s.s[i] == '-' && (i + 1 == s.n || s.s[i - 1] == '.' || s.s[i + 1] == '.'))
            return false;
        inside = s.s[i] != '.';
    }
    return inside && s.n <= GROUP_MAX;
}

static bool is_protected(kr_str group)
{
    return kr_str_is(group, "k8s.io") || kr_str_is(group, "kubernetes.io") ||
           kr_str_ends(group, KR_S(".k8s.io")) || kr_str_ends(group, KR_S(".kubernetes.io"));
}

static void check_group(struct inspection *in, kr_val crd)
{
    kr_str group = kr_at_str(crd, "spec.group"), path = KR_S("spec.schema.group");
    kr_val approved =
        kr_get(kr_at(crd, "metadata.annotations"), KR_S("api-approved.kubernetes.io"));

    if (!is_domain(group) || kr_str_chr(group, '.') < 0)
        warn(in, path, group,
             kr_fmt(in->a, "the API server refuses the group \"" KR_FMT "\" of the CRD",
                    KR_ARG(group)))
            ->expected = KR_S("a domain with at least one dot: a-z, 0-9 and '-' in each part");
    else if (is_protected(group) && approved.kind != KR_STRING)
        warn(in, path, group,
             kr_fmt(in->a, "the API server refuses a CRD of the protected group \"" KR_FMT "\"",
                    KR_ARG(group)))
            ->suggestion =
            KR_S("spec.schema.metadata.annotations needs api-approved.kubernetes.io");
}

/* The names that are made of the kind are longer than it. */
static void check_names(struct inspection *in, kr_val crd)
{
    static const char *const names[] = {"plural", "listKind"};
    kr_str kind = kr_at_str(crd, "spec.names.kind");

    for (size_t i = 0; i < KR_N(names); i++) {
        kr_str name = kr_text(kr_get(kr_at(crd, "spec.names"), kr_str_c(names[i])));

        if (name.n <= LABEL_MAX || kind.n > LABEL_MAX) /* of the kind itself it has been said */
            continue;
        warn(in, KR_S("spec.schema.kind"), kind,
             kr_fmt(in->a,
                    "the API server refuses the CRD: its %s \"" KR_FMT "\" has more than "
                    "%d characters",
                    names[i], KR_ARG(name), LABEL_MAX));
        return;
    }
}

/* --- printer columns -------------------------------------------------------------------------- */

static bool one_of(kr_str word, const char *const *words)
{
    while (*words && !kr_str_eq(word, kr_str_c(*words)))
        words++;
    return *words != NULL;
}

static void check_column(struct inspection *in, kr_val column, uint32_t i)
{
    static const char *const types[] = {"integer", "number", "string", "boolean", "date", NULL};
    static const char *const formats[] = {"",     "int32", "int64",     "float",    "double",
                                          "byte", "date",  "date-time", "password", NULL};
    const char *base = kr_fmt(in->a, "spec.schema.additionalPrinterColumns[%u]", i).s;
    kr_str name = kr_at_str(column, "name"), type = kr_at_str(column, "type"),
           format = kr_at_str(column, "format"), path = kr_at_str(column, "jsonPath");

    if (name.n == 0)
        warn(in, kr_fmt(in->a, "%s.name", base), name,
             KR_S("the API server refuses a printer column without a name"));
    if (!one_of(type, types))
        warn(in, kr_fmt(in->a, "%s.type", base), type,
             kr_fmt(in->a, "the API server refuses the type \"" KR_FMT "\" of a printer column",
                    KR_ARG(type)))
            ->expected = KR_S("one of integer, number, string, boolean, date");
    if (!one_of(format, formats))
        warn(in, kr_fmt(in->a, "%s.format", base), format,
             kr_fmt(in->a, "the API server refuses the format \"" KR_FMT "\" of a printer column",
                    KR_ARG(format)))
            ->expected =
            KR_S("one of int32, int64, float, double, byte, date, date-time, password");
    if (path.n == 0 || path.s[0] != '.')
        warn(in, kr_fmt(in->a, "%s.jsonPath", base), path,
             kr_fmt(in->a, "the API server refuses the path \"" KR_FMT "\" of a printer column",
                    KR_ARG(path)))
            ->expected = KR_S("a path that begins with a dot, such as .spec.name");
}

/* --- the schema ------------------------------------------------------------------------------- */

static void on_unknown(void *arg, kr_str path)
{
    kr_str *first = arg;

    if (first->n == 0)
        *first = path;
}

/* A default must be right by the schema that it stands in. */
static void check_default(struct inspection *in, kr_val schema, kr_val def, kr_str path)
{
    KR_AUTO(kr_arena) tmp = {0};
    kr_str unknown = {0}, shown = kr_json_str(&tmp, def);
    kr_val whole = sandbox__schema_normal(&tmp, schema, def, false, on_unknown, &unknown);
    kr_val causes = sandbox__schema_causes(&tmp, &in->rules, schema, KR_V_NONE, whole);

    if (unknown.n) {
        warn(in, path, (kr_str){0},
             kr_fmt(in->a,
                    "the API server refuses the default " KR_FMT ": the type has no field "
                    "\"" KR_FMT "\"",
                    KR_ARG(shown), KR_ARG(unknown)));
        return;
    }
    if (causes.n)
        warn(in, path, (kr_str){0},
             kr_fmt(in->a, "the API server refuses the default " KR_FMT ": " KR_FMT, KR_ARG(shown),
                    KR_ARG(kr_at_str(causes.list[0], "message"))));
}

/* `self` has the type that the schema says; a rule gives a bool. */
static void check_rule(struct inspection *in, kr_val schema, kr_str rule, kr_str path)
{
    KR_AUTO(kr_arena) tmp = {0};
    struct kr_err err = KR_ERR_NONE;
    const struct cel_diag *wrong;
    const struct cel_type *type;
    struct cel_env *env;
    uint32_t wrong_n;
    kr_str text = KR_S("cel expression must evaluate to a bool");

    if (sandbox_rule_compile(&tmp, schema, rule, &env, &type, &err) == 0) {
        if (cel_type_same(type, CEL_T_BOOL) || cel_type_is_dyn(type))
            return;
    } else {
        wrong = cel_diagnose(&tmp, env, rule, &wrong_n);
        text = wrong_n ? wrong[0].message : kr_err_str(&err);
    }
    warn(in, path, (kr_str){0},
         kr_fmt(in->a, "the API server refuses the validation rule \"" KR_FMT "\": " KR_FMT,
                KR_ARG(rule), KR_ARG(text)));
}

static kr_str below(struct inspection *in, kr_str path, kr_str name)
{
    bool plain = name.n > 0;

    for (size_t i = 0; i < name.n; i++)
        plain = plain && !strchr(".[]\"'", name.s[i]);
    return plain ? kr_dotted(in->a, path, name)
                 : kr_fmt(in->a, KR_FMT "[" KR_FMT "]", KR_ARG(path),
                          KR_ARG(kr_json_str(in->a, kr_string(name))));
}

/* path: of the field in the definition. What items and values have is said of their field. */
static void check_schema(struct inspection *in, kr_val schema, kr_str path, uint32_t depth)
{
    kr_val def = kr_get(schema, KR_S("default"));

    if (schema.kind != KR_MAP || depth > DEPTH_MAX)
        return;
    if (def.kind != KR_NONE && !(def.kind == KR_MAP && def.n == 0)) /* {}: made for its members */
        check_default(in, schema, def, path);
    KR_LIST_EACH (rule, kr_get(schema, KR_S("x-kubernetes-validations")))
        check_rule(in, schema, kr_at_str(*rule, "rule"), path);
    KR_MAP_EACH (p, kr_get(schema, KR_S("properties")))
        check_schema(in, p->val, below(in, path, kr_text(p->key)), depth + 1);
    check_schema(in, kr_get(schema, KR_S("items")), path, depth + 1);
    check_schema(in, kr_get(schema, KR_S("additionalProperties")), path, depth + 1);
}

/* --- the whole -------------------------------------------------------------------------------- */

void cli_check_crd(kr_val crd, bool own_columns, struct graph_diags *d)
{
    struct inspection in = {.d = d, .a = d->a};
    kr_val version = kr_item(kr_at(crd, "spec.versions"), 0);
    uint32_t i = 0;

    check_group(&in, crd);
    check_names(&in, crd);
    if (own_columns)
        KR_LIST_EACH (column, kr_get(version, KR_S("additionalPrinterColumns")))
            check_column(&in, *column, i++);
    check_schema(&in, kr_at(version, "schema.openAPIV3Schema.properties.spec"),
                 KR_S("spec.schema.spec"), 0);
    sandbox__rules_fini(&in.rules);
}
