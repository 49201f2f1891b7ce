/* SPDX-License-Identifier: Apache-2.0 */
/* policy.c - ValidatingAdmissionPolicy: rules of the cluster, in CEL, on what is written.
 *
 * A policy is asked when a binding of it and its constraints both match the request. Expressions see
 * object, oldObject, request, namespaceObject and variables. A policy with parameters (paramKind) is
 * one that cannot be evaluated here: failurePolicy says what then.
 *
 * Source: apiserver pkg/admission/plugin/policy/validating.
 */
#include "cel/cel.h"
#include "kube/sandbox/glue.h"

#include "cel/base/banned.h"

enum { OBJECT, OLD_OBJECT, REQUEST, NAMESPACE_OBJECT, VARIABLES, SLOTS_N };

struct admission {
    struct sandbox_call *c;
    struct cel_env *env;
    kr_val slots[SLOTS_N]; /* null where there is none */
    kr_str operation;
};

/* --- matching --------------------------------------------------------------------------------- */

/* Is the name, or "*", in the list? */
static bool listed(kr_val list, kr_str name)
{
    KR_LIST_EACH (one, list) {
        if (kr_is_str(*one, KR_S("*")) || kr_is_str(*one, name))
            return true;
    }
    return false;
}

static bool expression_takes(kr_val e, kr_val labels)
{
    kr_val has = kr_get(labels, kr_at_str(e, "key"));
    kr_str op = kr_at_str(e, "operator");
    bool in = false;

    KR_LIST_EACH (v, kr_get(e, KR_S("values")))
        in |= has.kind == KR_STRING && kr_equal(*v, has);
    if (kr_str_is(op, "In"))
        return in;
    if (kr_str_is(op, "NotIn"))
        return !in;
    return (has.kind != KR_NONE) == kr_str_is(op, "Exists");
}

bool sandbox__selector_takes(kr_val selector, kr_val labels)
{
    KR_MAP_EACH (p, kr_get(selector, KR_S("matchLabels"))) {
        if (!kr_is_str(kr_get(labels, kr_text(p->key)), kr_text(p->val)))
            return false;
    }
    KR_LIST_EACH (e, kr_get(selector, KR_S("matchExpressions"))) {
        if (!expression_takes(*e, labels))
            return false;
    }
    return true;
}

/* "pods", "pods/status", "pods/" and a star, a star for each part: without a slash no subresource is meant. */
static bool resource_listed(kr_val list, kr_str resource, kr_str sub)
{
    KR_LIST_EACH (one, list) {
        kr_str of = kr_text(*one), name = kr_str_cut(&of, '/');

        if ((kr_str_is(name, "*") || kr_str_eq(name, resource)) &&
            (kr_str_is(of, "*") || kr_str_eq(of, sub)))
            return true;
    }
    return false;
}

static bool rule_takes(const struct admission *m, kr_val rule)
{
    struct sandbox_call *c = m->c;

    return listed(kr_get(rule, KR_S("operations")), m->operation) &&
           listed(kr_get(rule, KR_S("apiGroups")), c->t.type->group) &&
           listed(kr_get(rule, KR_S("apiVersions")), c->t.version->name) &&
           resource_listed(kr_get(rule, KR_S("resources")), c->t.type->resource, c->t.sub) &&
           (kr_get(rule, KR_S("resourceNames")).n == 0 ||
            listed(kr_get(rule, KR_S("resourceNames")), c->t.name));
}

static bool any_rule_takes(const struct admission *m, kr_val rules)
{
    KR_LIST_EACH (rule, rules) {
        if (rule_takes(m, *rule))
            return true;
    }
    return false;
}

/* MatchResources of a policy or (where it may name no rules) of a binding. */
static bool resources_take(const struct admission *m, kr_val match, bool binding)
{
    kr_val rules = kr_get(match, KR_S("resourceRules"));
    kr_val object = m->slots[OBJECT].kind == KR_MAP ? m->slots[OBJECT] : m->slots[OLD_OBJECT];

    if (!(binding && rules.n == 0) && !any_rule_takes(m, rules))
        return false;
    if (any_rule_takes(m, kr_get(match, KR_S("excludeResourceRules"))))
        return false;
    return (m->slots[NAMESPACE_OBJECT].kind != KR_MAP ||
            sandbox__selector_takes(kr_get(match, KR_S("namespaceSelector")),
                                    kr_at(m->slots[NAMESPACE_OBJECT], "metadata.labels"))) &&
           sandbox__selector_takes(kr_get(match, KR_S("objectSelector")),
                                   kr_at(object, "metadata.labels"));
}

/* --- evaluating ------------------------------------------------------------------------------- */

static int evaluate(struct admission *m, kr_str text, kr_val *out, struct kr_err *err)
{
    const struct cel_prog *prog;
    struct cel_run run = {.slots = m->slots, .slots_n = SLOTS_N, .a = m->c->a};

    KR_TRY(cel_compile(m->c->a, m->env, text, &prog, err));
    return cel_eval(prog, &run, out, err);
}

static int set_variables(struct admission *m, kr_val list, struct kr_err *err)
{
    m->slots[VARIABLES] = kr_map_sorted(NULL, 0);
    KR_LIST_EACH (one, list) {
        kr_val v;

        KR_TRY(evaluate(m, kr_at_str(*one, "expression"), &v, err));
        m->slots[VARIABLES] = kr_with_key(m->c->a, m->slots[VARIABLES], kr_at_str(*one, "name"), v);
    }
    return 0;
}

/* 0: it passes; 1: *message says why not; negative: it cannot be evaluated. */
static int ask(struct admission *m, kr_val policy, kr_str *message, struct kr_err *err)
{
    kr_val v;

    if (kr_at(policy, "spec.paramKind").kind == KR_MAP)
        return kr_fail(err, KR_E_INPUT, "the sandbox evaluates no parameters");
    KR_LIST_EACH (one, kr_at(policy, "spec.matchConditions")) {
        KR_TRY(evaluate(m, kr_at_str(*one, "expression"), &v, err));
        if (!kr_is_true(v))
            return 0;
    }
    KR_TRY(set_variables(m, kr_at(policy, "spec.variables"), err));
    KR_LIST_EACH (one, kr_at(policy, "spec.validations")) {
        kr_str text = kr_at_str(*one, "expression"), by = kr_at_str(*one, "messageExpression");

        if (evaluate(m, text, &v, err) < 0)
            return kr_wrap(err, "expression '" KR_FMT "' resulted in error", KR_ARG(text));
        if (kr_is_true(v))
            continue;
        *message = kr_at_str(*one, "message");
        if (by.n && evaluate(m, by, &v, err) == 0 && v.kind == KR_STRING && v.n)
            *message = kr_text(v);
        if (message->n == 0)
            *message = kr_fmt(m->c->a, "failed expression: " KR_FMT, KR_ARG(kr_str_trim(text)));
        return 1;
    }
    return 0;
}

/* What a binding makes of a policy's no: 0, or the status of the refusal. */
static int deny(struct admission *m, kr_val policy, kr_val binding, kr_str message)
{
    struct sandbox_call *c = m->c;
    kr_val actions = kr_at(binding, "spec.validationActions");
    kr_str text = kr_fmt(c->a,
                         "ValidatingAdmissionPolicy '" KR_FMT "' with binding '" KR_FMT
                         "' denied request: " KR_FMT,
                         KR_ARG(kr_at_str(policy, "metadata.name")),
                         KR_ARG(kr_at_str(binding, "metadata.name")), KR_ARG(message));

    if (listed(actions, KR_S("Warn")))
        sandbox__warn(c, kr_fmt(c->a, "Validation failed for " KR_FMT, KR_ARG(text)));
    if (!listed(actions, KR_S("Deny")))
        return 0;
    return sandbox__fail(c, 422, "Invalid", KR_FMT " \"" KR_FMT "\" is forbidden: " KR_FMT,
                         KR_ARG(sandbox__qualified(c->a, c->t.type)), KR_ARG(c->t.name),
                         KR_ARG(text));
}

static int ask_bound(struct admission *m, kr_val policy, kr_val binding)
{
    struct kr_err err = KR_ERR_NONE;
    kr_str message;
    int rc;

    if (!resources_take(m, kr_at(policy, "spec.matchConstraints"), false) ||
        !resources_take(m, kr_at(binding, "spec.matchResources"), true))
        return 0;
    rc = ask(m, policy, &message, &err);
    if (rc == 0 || (rc < 0 && kr_is_str(kr_at(policy, "spec.failurePolicy"), KR_S("Ignore"))))
        return 0;
    return deny(m, policy, binding, rc > 0 ? message : kr_err_str(&err));
}

/* --- the request ------------------------------------------------------------------------------ */

static kr_val request_val(struct admission *m)
{
    struct sandbox_call *c = m->c;
    struct kr_arena *a = c->a;
    kr_val v = kr_map_sorted(NULL, 0);
    const char *const places[][2] = {{"kind.group", "resource.group"},
                                     {"kind.version", "resource.version"},
                                     {"kind.kind", "resource.resource"}};
    kr_str values[][2] = {{c->t.type->group, c->t.type->group},
                          {c->t.version->name, c->t.version->name},
                          {c->t.type->kind, c->t.type->resource}};

    for (size_t i = 0; i < KR_N(places) * 2; i++)
        v = kr_with(a, v, places[i / 2][i % 2], kr_string(values[i / 2][i % 2]));
    v = kr_with(a, v, "name", kr_string(c->t.name));
    v = kr_with(a, v, "namespace", kr_string(c->t.ns));
    v = kr_with(a, v, "operation", kr_string(m->operation));
    v = kr_with(a, v, "subResource", kr_string(c->t.sub));
    v = kr_with(a, v, "dryRun", kr_bool(sandbox__dry_run(c)));
    return kr_with(a, v, "userInfo.username", KR_V_STR("admin"));
}

static kr_val or_null(kr_val v)
{
    return v.kind == KR_MAP ? v : KR_V_NULL;
}

static void admission_init(struct admission *m, struct sandbox_call *c, kr_val old, kr_val next)
{
    static const char *const names[] = {[OBJECT] = "object",
                                        [OLD_OBJECT] = "oldObject",
                                        [REQUEST] = "request",
                                        [NAMESPACE_OBJECT] = "namespaceObject",
                                        [VARIABLES] = "variables"};
    struct sandbox_type *namespaces = sandbox__type(c->s, KR_S(""), KR_S("namespaces"));
    struct sandbox_obj *ns = c->t.ns.n ? sandbox__find(namespaces, KR_S(""), c->t.ns) : NULL;

    *m = (struct admission){.c = c};
    m->operation = next.kind != KR_MAP  ? KR_S("DELETE")
                   : old.kind != KR_MAP ? KR_S("CREATE")
                                        : KR_S("UPDATE");
    m->env = cel_env_new(c->a, CEL_LIB_STD | CEL_LIB_EXT | CEL_LIB_EXT_MORE | CEL_LIB_K8S |
                                   CEL_LIB_K8S_MORE);
    for (size_t i = 0; i < SLOTS_N; i++)
        cel_env_var(m->env, kr_str_c(names[i]), CEL_T_DYN, NULL);
    m->slots[OBJECT] = or_null(next);
    m->slots[OLD_OBJECT] = or_null(old);
    m->slots[REQUEST] = request_val(m);
    m->slots[NAMESPACE_OBJECT] = ns ? sandbox__value(c->a, namespaces, NULL, ns) : KR_V_NULL;
    m->slots[VARIABLES] = kr_map_sorted(NULL, 0);
}

int sandbox__admitted(struct sandbox_call *c, kr_val old, kr_val next)
{
    static const kr_str group = {"admissionregistration.k8s.io", 28};
    struct sandbox_type *policies = sandbox__type(c->s, group, KR_S("validatingadmissionpolicies")),
                        *bindings =
                            sandbox__type(c->s, group, KR_S("validatingadmissionpolicybindings"));
    struct admission m;
    int status = 0;

    if (policies->objects.n == 0 || bindings->objects.n == 0 || kr_str_eq(c->t.type->group, group))
        return 0;
    admission_init(&m, c, old, next);
    for (struct sandbox_node *n = sandbox__tree_seek(&bindings->objects, KR_S(""));
         n && status == 0; n = sandbox__node_next(n)) {
        kr_val binding = sandbox__value(c->a, bindings, NULL, sandbox__node_obj(n));
        struct sandbox_obj *policy =
            sandbox__find(policies, KR_S(""), kr_at_str(binding, "spec.policyName"));

        if (policy)
            status = ask_bound(&m, sandbox__value(c->a, policies, NULL, policy), binding);
    }
    return status;
}
