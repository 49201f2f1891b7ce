/* SPDX-License-Identifier: Apache-2.0 */
/* check.c - the gradual type checker: a type for every node, an overload set for every call.
 *
 * One walk over the tree, bottom up. `dyn` fits everywhere; type parameters are bound while
 * overloads are tried, and what is still free at the end becomes dyn. What is not well-typed is
 * reported and gets the error type, which fits everywhere, so that one mistake is told once.
 *
 * A dotted name means the longest declared variable or type it begins with; a call on a dotted name
 * may be a namespaced function, which is found before any variable of that name.
 *
 * Source: cel-go checker/{checker,env,errors}.go; reference section 6.
 */
#include "cel/internal.h"

#include "cel/base/banned.h"

enum { OVERLOADS_MAX = 64 };

/* Loop variables in sight, innermost first. */
struct scope {
    const struct scope *up;
    kr_str name;
    const struct cel_type *type;
    uint32_t local;
};

struct checker {
    struct kr_arena *a;
    const struct cel_env *env;
    struct cel__diags *diags;
    const struct scope *scope;
    struct cel__subst subst;
    uint32_t locals_n;
    bool untyped; /* every type is dyn */
    bool cross;   /* comparisons of two types of numbers are known: cel-go hides them until the
                     scope of the first comprehension makes it forget to */
};

static void check(struct checker *c, struct cel__node *e);

static const struct cel_type *substituted(struct checker *c, const struct cel_type *t)
{
    return cel__subst_apply(&c->subst, t, false);
}

static bool assignable(struct checker *c, const struct cel_type *from, const struct cel_type *to)
{
    return cel__subst_assign(&c->subst, from, to);
}

/* --- names ------------------------------------------------------------------------------------ */

static const struct scope *find_local(const struct checker *c, kr_str name)
{
    const struct scope *s = c->scope;

    while (s && !kr_str_eq(s->name, name))
        s = s->up;
    return s;
}

/* Which declarations a name may mean. */
enum meaning { ANYTHING, A_TYPE };

static bool declared(struct checker *c, struct cel__node *e, kr_str name, enum meaning meaning)
{
    const struct cel__var *v = meaning == A_TYPE ? NULL : cel__env_var(c->env, name);
    const struct cel_type *t;

    if (v) {
        e->slot = (int32_t)v->slot;
        e->type = v->type;
        return true;
    }
    t = cel__env_type(c->env, name);
    if (t) {
        e->slot = CEL__SLOT_TYPE;
        e->value = (kr_val){.kind = KR_TYPE, .n = (uint32_t)t->name.n, .s = t->name.s};
        e->type = cel__type_type(c->a, t);
        return true;
    }
    if (meaning == ANYTHING && (c->env->libs & CEL_LIB_KRO) && kr_str_is(name, "runtime")) {
        e->slot = CEL__SLOT_RUNTIME;
        e->type = &cel__t_runtime;
        return true;
    }
    return false;
}

/* Is name declared, in the container or above? Then e stands for it. */
static bool resolve_name(struct checker *c, struct cel__node *e, kr_str name, enum meaning meaning)
{
    kr_str in = c->env->container;

    if (name.n && name.s[0] == '.')
        return declared(c, e, kr_str_sub(name, 1, name.n), meaning);
    while (in.n) {
        ptrdiff_t dot = kr_str_rchr(in, '.');

        if (declared(c, e, kr_dotted(c->a, in, name), meaning))
            return true;
        in = kr_str_sub(in, 0, dot < 0 ? 0 : (size_t)dot);
    }
    return declared(c, e, name, meaning);
}

static const struct cel__fn *find_function(struct checker *c, kr_str name)
{
    kr_str in = c->env->container;

    if (name.n && name.s[0] == '.')
        return cel__env_function(c->a, c->env, kr_str_sub(name, 1, name.n));
    while (in.n) {
        ptrdiff_t dot = kr_str_rchr(in, '.');
        const struct cel__fn *fn = cel__env_function(c->a, c->env, kr_dotted(c->a, in, name));

        if (fn)
            return fn;
        in = kr_str_sub(in, 0, dot < 0 ? 0 : (size_t)dot);
    }
    return cel__env_function(c->a, c->env, name);
}

/* A name that means nothing: reported, or left to fail when it is evaluated. */
static void undeclared(struct checker *c, struct cel__node *e, kr_str name)
{
    if (c->untyped) {
        const char *what = e->kind == NK_CALL ? "no such overload" : "no such attribute(s)";

        e->value = kr_string(kr_fmt(c->a, "%s: " KR_FMT, what, KR_ARG(name)));
        e->kind = NK_ERROR;
        return;
    }
    cel__diag(c->diags, e->pos, "undeclared reference to '" KR_FMT "' (in container '" KR_FMT "')",
              KR_ARG(name), KR_ARG(c->env->container));
    cel__diag_about(c->diags, NULL, name);
}

static void check_ident(struct checker *c, struct cel__node *e)
{
    const struct scope *s = find_local(c, e->name);

    if (s) {
        e->local = s->local;
        e->type = s->type;
        return;
    }
    if (resolve_name(c, e, e->name, ANYTHING))
        return;
    e->type = &cel__t_error;
    undeclared(c, e, e->name);
}

/* --- select ----------------------------------------------------------------------------------- */

static kr_str printed(struct checker *c, const struct cel_type *t)
{
    return cel_type_print(c->a, t);
}

static const struct cel_type *object_field(struct checker *c, const struct cel__node *e,
                                           const struct cel_type *object, kr_str field)
{
    const struct cel_type *t;

    switch (cel__type_field(c->a, object, field, &t)) {
    case CEL__FIELD_OK:
        return t;
    case CEL__FIELD_NO_TYPE:
        cel__diag(c->diags, e->pos, "unexpected failed resolution of '" KR_FMT "'",
                  KR_ARG(object->name));
        break;
    case CEL__FIELD_UNDEFINED:
        cel__diag(c->diags, e->pos, "undefined field '" KR_FMT "'", KR_ARG(field));
        cel__diag_about(c->diags, object, field);
        break;
    }
    return &cel__t_error;
}

/* Type of operand.field; operand is checked already. */
static const struct cel_type *select_type(struct checker *c, const struct cel__node *e,
                                          const struct cel__node *operand, kr_str field,
                                          bool optional)
{
    const struct cel_type *t = substituted(c, operand->type);
    const struct cel_type *result = &cel__t_dyn;
    bool wrapped = cel_type_is_optional(t, &t);

    if (wrapped)
        t = substituted(c, t);
    switch (t->kind) {
    case TK_MAP:
        result = t->params[1];
        break;
    case TK_OBJECT:
        result = object_field(c, e, t, field);
        break;
    case TK_VAR:
        assignable(c, &cel__t_dyn, t);
        break;
    case TK_DYN:
    case TK_ANY:
    case TK_ERROR:
        break;
    default:
        cel__diag(c->diags, e->pos, "type '" KR_FMT "' does not support field selection",
                  KR_ARG(printed(c, t)));
    }
    return wrapped || optional ? cel__type_optional(c->a, result) : result;
}

static kr_str first_name(const struct cel__node *e)
{
    while (e->kind == NK_SELECT)
        e = e->target;
    return e->name;
}

static void check_select(struct checker *c, struct cel__node *e)
{
    kr_str name;

    if (!e->test_only && cel__dotted(c->a, e, &name) && !find_local(c, first_name(e)) &&
        resolve_name(c, e, name, ANYTHING))
        return;
    check(c, e->target);
    e->type = substituted(c, select_type(c, e, e->target, e->name, false));
    if (e->test_only)
        e->type = &cel__t_bool;
}

/* --- calls ------------------------------------------------------------------------------------ */

/* Argument types, the receiver first. */
static uint32_t argument_types(const struct cel__node *e, const struct cel_type **out, uint32_t max)
{
    uint32_t n = 0;

    if (e->target && e->member)
        out[n++] = e->target->type;
    for (uint32_t i = 0; i < e->args_n && n < max; i++)
        out[n++] = e->args[i]->type;
    return n;
}

static void no_matching_overload(struct checker *c, const struct cel__node *e,
                                 const struct cel_type *const *types, uint32_t n)
{
    KR_AUTO(kr_buf) b = KR_BUF_IN(c->a, KR_ERR_MAX);
    uint32_t first = e->member ? 1 : 0;

    if (e->member)
        kr_buf_fmt(&b, KR_FMT ".", KR_ARG(printed(c, cel__subst_apply(&c->subst, types[0], true))));
    kr_buf_chr(&b, '(');
    for (uint32_t i = first; i < n; i++) {
        kr_str t = printed(c, cel__subst_apply(&c->subst, types[i], true));

        kr_buf_fmt(&b, "%s" KR_FMT, i > first ? ", " : "", KR_ARG(t));
    }
    kr_buf_chr(&b, ')');
    cel__diag(c->diags, e->pos,
              "found no matching overload for '" KR_FMT "' applied to '" KR_FMT "'",
              KR_ARG(e->fn->name), KR_ARG(kr_buf_view(&b)));
}

/* && and ||: every operand is told of its own. */
static void check_logical(struct checker *c, struct cel__node *e)
{
    bool bad = false;

    for (uint32_t i = 0; i < e->args_n; i++) {
        const struct cel_type *t = e->args[i]->type;

        if (assignable(c, t, &cel__t_bool))
            continue;
        bad = true;
        cel__diag(c->diags, e->args[i]->pos, "expected type 'bool' but found '" KR_FMT "'",
                  KR_ARG(printed(c, substituted(c, t))));
    }
    e->type = bad ? &cel__t_error : &cel__t_bool;
}

/* An overload's types with its parameters replaced by fresh variables. */
struct instance {
    const struct cel_type *fresh['Z' - 'A' + 1];
};

static const struct cel_type *instantiate(struct checker *c, struct instance *in,
                                          const struct cel_type *t)
{
    const struct cel_type *params[4];
    bool changed = false;

    if (t->kind == TK_VAR) {
        if (!in->fresh[t->var])
            in->fresh[t->var] = cel__subst_fresh(&c->subst);
        return in->fresh[t->var];
    }
    for (uint32_t i = 0; i < t->params_n; i++) {
        params[i] = instantiate(c, in, t->params[i]);
        changed = changed || params[i] != t->params[i];
    }
    return changed ? cel__type_new(c->a, t->kind, t->name, params, t->params_n) : t;
}

/* Do the arguments fit overload o? Then *result gets its result type. */
static bool overload_fits(struct checker *c, const struct cel__overload *o, bool member,
                          const struct cel_type *const *types, uint32_t n,
                          const struct cel_type **result)
{
    struct instance in = {{NULL}};
    const struct cel_type *want[8];
    const struct cel_type *r;

    if (o->args_n != n || (o->row->style == MEMBER) != member)
        return false;
    if ((o->row->flags & FN_CROSS) && !c->cross)
        return false;
    r = instantiate(c, &in, o->result);
    for (uint32_t i = 0; i < n; i++)
        want[i] = instantiate(c, &in, o->args[i]);
    if (!cel__subst_assign_all(&c->subst, types, want, n))
        return false;
    *result = substituted(c, r);
    return true;
}

static void resolve_overload(struct checker *c, struct cel__node *e)
{
    const struct cel_type *types[OVERLOADS_MAX];
    const struct cel__overload *found[OVERLOADS_MAX];
    const struct cel__overload **own;
    const struct cel_type *result = NULL;
    uint32_t n = argument_types(e, types, OVERLOADS_MAX);

    for (uint32_t i = 0; i < e->fn->overloads_n; i++) {
        const struct cel_type *r;

        if (!overload_fits(c, &e->fn->overloads[i], e->member, types, n, &r))
            continue;
        found[e->overloads_n++] = &e->fn->overloads[i];
        if (!result)
            result = r;
        else if (result->kind != TK_DYN && !cel_type_same(result, r))
            result = &cel__t_dyn;
    }
    if (!result) {
        no_matching_overload(c, e, types, n);
        e->type = &cel__t_error;
        return;
    }
    own = kr_new_n(c->a, const struct cel__overload *, e->overloads_n);
    memcpy(own, found, e->overloads_n * sizeof(*own));
    e->overloads = own;
    e->type = result;
}

static void check_resolved(struct checker *c, struct cel__node *e, const struct cel__fn *fn)
{
    e->fn = fn;
    if (kr_str_is(fn->name, "_&&_") || kr_str_is(fn->name, "_||_"))
        check_logical(c, e);
    else
        resolve_overload(c, e);
}

static void check_opt_select(struct checker *c, struct cel__node *e)
{
    check(c, e->args[0]);
    e->args[1]->type = &cel__t_string;
    e->type = substituted(c, select_type(c, e, e->args[0], kr_text(e->args[1]->value), true));
}

/* Constant format string and list literal: the clauses are checked against the static types. */
static void check_format(struct checker *c, struct cel__node *e)
{
    const struct cel__node *list = e->args_n == 1 ? e->args[0] : NULL;
    const struct cel__node *at = NULL;
    kr_str wrong;

    if (!list || !kr_str_is(e->name, "format") || !e->member || list->kind != NK_LIST ||
        e->target->kind != NK_CONST || e->target->value.kind != KR_STRING)
        return;
    wrong = cel__format_check(c->a, kr_text(e->target->value), list, &at);
    if (wrong.n)
        cel__diag(c->diags, at ? at->pos : e->pos, KR_FMT, KR_ARG(wrong));
}

static void check_call(struct checker *c, struct cel__node *e)
{
    const struct cel__fn *fn;
    kr_str prefix;

    if (kr_str_is(e->name, "_?._")) {
        check_opt_select(c, e);
        return;
    }
    for (uint32_t i = 0; i < e->args_n; i++)
        check(c, e->args[i]);
    if (e->member && cel__dotted(c->a, e->target, &prefix)) {
        fn = find_function(c, kr_dotted(c->a, prefix, e->name));
        if (fn) {
            e->member = false;
            check_resolved(c, e, fn);
            return;
        }
    }
    if (e->member)
        check(c, e->target);
    fn = e->member ? cel__env_function(c->a, c->env, e->name) : find_function(c, e->name);
    if (!fn) {
        e->type = &cel__t_error;
        undeclared(c, e, e->name);
        return;
    }
    check_resolved(c, e, fn);
}

/* --- literals --------------------------------------------------------------------------------- */

static const struct cel_type *const_type(kr_val v)
{
    switch (v.kind) {
    case KR_NULL:
        return &cel__t_null;
    case KR_BOOL:
        return &cel__t_bool;
    case KR_INT:
        return &cel__t_int;
    case KR_UINT:
        return &cel__t_uint;
    case KR_DOUBLE:
        return &cel__t_double;
    case KR_STRING:
        return &cel__t_string;
    case KR_BYTES:
        return &cel__t_bytes;
    }
    return &cel__t_dyn;
}

static const struct cel_type *join(struct checker *c, const struct cel_type *before,
                                   const struct cel_type *t)
{
    if (!before)
        return t;
    if (!assignable(c, before, t))
        return &cel__t_dyn;
    if ((c->env->libs & CEL_LIB_SPEC) && t->kind == TK_NULL)
        return before; /* a nullable type stays */
    return cel__type_less_specific(before, t) ? before : t;
}

/* What an element given as optional contributes. */
static const struct cel_type *optional_element(struct checker *c, const struct cel__node *e)
{
    const struct cel_type *inner = e->type;

    if (cel_type_is_optional(e->type, &inner) || cel_type_is_dyn(e->type))
        return inner;
    cel__diag(c->diags, e->pos, "expected type 'optional_type(" KR_FMT ")' but found '" KR_FMT "'",
              KR_ARG(printed(c, inner)), KR_ARG(printed(c, e->type)));
    return inner;
}

static void check_list(struct checker *c, struct cel__node *e)
{
    const struct cel_type *item = NULL;

    for (uint32_t i = 0; i < e->args_n; i++) {
        check(c, e->args[i]);
        item = join(c, item,
                    e->optional && e->optional[i] ? optional_element(c, e->args[i])
                                                  : e->args[i]->type);
    }
    if (!item)
        item = cel__subst_fresh(&c->subst);
    e->type = cel_type_list(c->a, item);
}

static void check_map(struct checker *c, struct cel__node *e)
{
    const struct cel_type *key = NULL;
    const struct cel_type *val = NULL;

    for (uint32_t i = 0; i < e->args_n; i += 2) {
        check(c, e->args[i]);
        key = join(c, key, e->args[i]->type);
        check(c, e->args[i + 1]);
        val = join(c, val,
                   e->optional && e->optional[i / 2] ? optional_element(c, e->args[i + 1])
                                                     : e->args[i + 1]->type);
    }
    if (!key) {
        key = cel__subst_fresh(&c->subst);
        val = cel__subst_fresh(&c->subst);
    }
    e->type = cel_type_map(c->a, key, val);
}

/* No message types exist here, so no name is one. cel-go looks among types only, and at the fields of
 * what is a type. */
static void check_struct(struct checker *c, struct cel__node *e)
{
    struct cel__node name = *e;

    e->type = &cel__t_error;
    if (!resolve_name(c, &name, e->name, A_TYPE)) {
        undeclared(c, e, e->name);
        return;
    }
    for (uint32_t i = 0; i < e->args_n; i++)
        check(c, e->args[i]);
    cel__diag(c->diags, e->pos, "'" KR_FMT "' is not a message type", KR_ARG(e->name));
}

/* --- comprehensions --------------------------------------------------------------------------- */

static void expect_type(struct checker *c, const struct cel__node *e, const struct cel_type *want)
{
    if (!assignable(c, e->type, want))
        cel__diag(c->diags, e->pos, "expected type '" KR_FMT "' but found '" KR_FMT "'",
                  KR_ARG(printed(c, substituted(c, want))),
                  KR_ARG(printed(c, substituted(c, e->type))));
}

/* Types of the loop's variables; var2 is for two-variable loops. */
static void range_types(struct checker *c, const struct cel__fold *f, const struct cel_type **var1,
                        const struct cel_type **var2)
{
    const struct cel_type *range = substituted(c, f->range->type);

    *var1 = *var2 = &cel__t_dyn;
    switch (range->kind) {
    case TK_LIST:
        *var1 = range->params[0];
        if (f->var2.n) {
            *var2 = range->params[0];
            *var1 = &cel__t_int;
        }
        return;
    case TK_MAP:
        *var1 = range->params[0];
        *var2 = range->params[1];
        return;
    case TK_DYN:
    case TK_ERROR:
    case TK_VAR:
        assignable(c, &cel__t_dyn, range);
        return;
    }
    cel__diag(c->diags, f->range->pos,
              "expression of type '" KR_FMT
              "' cannot be range of a comprehension (must be list, map, or dynamic)",
              KR_ARG(printed(c, range)));
    *var1 = *var2 = &cel__t_error;
}

/* The loop's variables are numbered: accu, var1, var2 in a row. */
static void check_fold(struct checker *c, struct cel__node *e)
{
    struct cel__fold *f = e->fold;
    const struct scope *outer = c->scope;
    struct scope accu = {.up = outer, .name = f->accu};
    struct scope var1 = {.up = &accu, .name = f->var1};
    struct scope var2 = {.up = &var1, .name = f->var2};

    check(c, f->range);
    check(c, f->init);
    range_types(c, f, &var1.type, &var2.type);
    accu.type = f->init->type;
    accu.local = c->locals_n;
    var1.local = c->locals_n + 1;
    var2.local = c->locals_n + 2;
    e->local = c->locals_n;
    c->locals_n += 3;
    c->cross = true;
    c->scope = f->var2.n ? &var2 : &var1;
    check(c, f->cond);
    expect_type(c, f->cond, &cel__t_bool);
    check(c, f->step);
    expect_type(c, f->step, accu.type);
    c->scope = &accu;
    check(c, f->result);
    c->scope = outer;
    e->type = substituted(c, f->result->type);
}

/* --- the walk --------------------------------------------------------------------------------- */

static void check_kind(struct checker *c, struct cel__node *e)
{
    switch (e->kind) {
    case NK_CONST:
        e->type = const_type(e->value);
        return;
    case NK_IDENT:
        check_ident(c, e);
        return;
    case NK_SELECT:
        check_select(c, e);
        return;
    case NK_CALL:
        e->overloads_n = 0;
        check_call(c, e);
        return;
    case NK_LIST:
        check_list(c, e);
        return;
    case NK_MAP:
        check_map(c, e);
        return;
    case NK_STRUCT:
        check_struct(c, e);
        return;
    case NK_FOLD:
        check_fold(c, e);
        return;
    }
    e->type = &cel__t_error;
}

static void check(struct checker *c, struct cel__node *e)
{
    check_kind(c, e);
    if (c->untyped)
        e->type = &cel__t_dyn;
}

/* Replaces what is still free by dyn, everywhere the compiler or a validator looks. */
static void settle(struct checker *c, struct cel__node *e)
{
    if (!e->type)
        return;
    e->type = cel__subst_apply(&c->subst, e->type, true);
    if (e->target)
        settle(c, e->target);
    for (uint32_t i = 0; i < e->args_n; i++)
        settle(c, e->args[i]);
    if (e->fold) {
        settle(c, e->fold->range);
        settle(c, e->fold->init);
        settle(c, e->fold->step);
        settle(c, e->fold->result);
    }
    if (e->kind == NK_CALL)
        check_format(c, e);
}

void cel__check(struct kr_arena *a, const struct cel_env *env, struct cel__diags *diags,
                struct cel__node *root, bool untyped)
{
    struct checker c = {.a = a, .env = env, .diags = diags, .subst = {.a = a}, .untyped = untyped};

    check(&c, root);
    if (!diags->n)
        settle(&c, root);
}
