/* SPDX-License-Identifier: Apache-2.0 */
/* macro.c - calls that are rewritten before any type is known.
 *
 * A macro is known by name, number of arguments and whether it is called on something. Its
 * expansion is the tree that cel-go makes, since the checker's messages and inferred types follow
 * from that tree; beside it the fold node keeps what the macro means (predicate, body), which is
 * what the compiler reads.
 *
 * Source: cel-go parser/macro.go, ext/{bindings,comprehensions,lists}.go, cel/macro.go (optMap);
 * kro:pkg/cel/library/runtime.go.
 */
#include "cel/internal.h"

#include "cel/base/banned.h"

#define ACCU KR_S("@result")

struct expansion {
    struct cel__parser *p;
    kr_str name; /* of the macro */
    uint32_t pos;
    struct cel__node *target;
    struct cel__node **args;
    uint32_t n;
};

/* --- node factory ----------------------------------------------------------------------------- */

static struct cel__node *make(struct expansion *x, enum cel__node_kind kind)
{
    x->p->macro_nodes++;
    return cel__node_new(x->p, kind, x->pos);
}

static struct cel__node *fail_at(struct expansion *x, uint32_t pos, kr_str text)
{
    cel__diag(x->p->diags, pos, KR_FMT, KR_ARG(text));
    return cel__node_new(x->p, NK_ERROR, pos);
}

static struct cel__node *literal(struct expansion *x, kr_val v)
{
    struct cel__node *e = make(x, NK_CONST);

    e->value = v;
    return e;
}

static struct cel__node *ident(struct expansion *x, kr_str name)
{
    struct cel__node *e = make(x, NK_IDENT);

    e->name = name;
    return e;
}

static struct cel__node *list_of(struct expansion *x, struct cel__node *item)
{
    struct cel__node *e = make(x, NK_LIST);

    if (item) {
        e->args = kr_new(x->p->a, struct cel__node *);
        e->args[0] = item;
        e->args_n = 1;
    }
    return e;
}

static struct cel__node *call(struct expansion *x, kr_str name, uint32_t n, struct cel__node *a,
                              struct cel__node *b, struct cel__node *c)
{
    struct cel__node *all[3] = {a, b, c};
    struct cel__node *e = make(x, NK_CALL);

    e->name = name;
    e->args = kr_new_n(x->p->a, struct cel__node *, n);
    memcpy(e->args, all, n * sizeof(all[0]));
    e->args_n = n;
    return e;
}

static struct cel__node *method(struct expansion *x, struct cel__node *target, kr_str name,
                                struct cel__node *arg)
{
    struct cel__node *e = call(x, name, arg ? 1 : 0, arg, NULL, NULL);

    e->target = target;
    e->member = true;
    return e;
}

static struct cel__node *fold_new(struct expansion *x, enum cel__fold_kind kind,
                                  struct cel__node *range, kr_str var1, kr_str var2, kr_str accu)
{
    struct cel__node *e = make(x, NK_FOLD);

    e->fold = kr_new(x->p->a, struct cel__fold);
    e->fold->kind = (uint8_t)kind;
    e->fold->range = range;
    e->fold->var1 = var1;
    e->fold->var2 = var2;
    e->fold->accu = accu;
    return e;
}

static struct cel__node *bind(struct expansion *x, kr_str name, struct cel__node *init,
                              struct cel__node *body)
{
    struct cel__node *e =
        fold_new(x, FOLD_BIND, list_of(x, NULL), KR_S("#unused"), (kr_str){0}, name);

    e->fold->init = init;
    e->fold->cond = literal(x, kr_bool(false));
    e->fold->step = ident(x, name);
    e->fold->result = body;
    e->fold->body = body;
    return e;
}

/* --- loop variables --------------------------------------------------------------------------- */

static bool is_accu(kr_str name)
{
    return kr_str_eq(name, ACCU) || kr_str_is(name, "__result__");
}

/* The loop variable named by args[i]; false: reported, and *bad is the error node. */
static bool loop_var(struct expansion *x, uint32_t i, kr_str what, kr_str *name,
                     struct cel__node **bad)
{
    if (x->args[i]->kind != NK_IDENT || x->args[i]->name.s[0] == '.') {
        *bad = fail_at(x, x->args[i]->pos, what);
        return false;
    }
    *name = x->args[i]->name;
    return true;
}

static bool not_accu(struct expansion *x, uint32_t i, kr_str name, struct cel__node **bad)
{
    if (!is_accu(name))
        return true;
    *bad = fail_at(x, x->args[i]->pos, KR_S("iteration variable overwrites accumulator variable"));
    return false;
}

static bool one_var(struct expansion *x, kr_str what, kr_str *var, struct cel__node **bad)
{
    return loop_var(x, 0, what, var, bad) && not_accu(x, 0, *var, bad);
}

static bool two_vars(struct expansion *x, kr_str *var1, kr_str *var2, struct cel__node **bad)
{
    kr_str what = KR_S("argument must be a simple name");

    if (!loop_var(x, 0, what, var1, bad) || !loop_var(x, 1, what, var2, bad))
        return false;
    if (kr_str_eq(*var1, *var2)) {
        *bad = fail_at(x, x->args[1]->pos,
                       kr_fmt(x->p->a, "duplicate variable name: " KR_FMT, KR_ARG(*var1)));
        return false;
    }
    return not_accu(x, 0, *var1, bad) && not_accu(x, 1, *var2, bad);
}

/* Variables of a macro that takes one or two of them before its `rest` other arguments. */
static bool vars_before(struct expansion *x, uint32_t rest, kr_str what, kr_str *var1, kr_str *var2,
                        struct cel__node **bad)
{
    *var2 = (kr_str){0};
    if (x->n - rest == 2)
        return two_vars(x, var1, var2, bad);
    return one_var(x, what, var1, bad);
}

/* --- the macros ------------------------------------------------------------------------------- */

static struct cel__node *expand_has(struct expansion *x)
{
    struct cel__node *arg = x->args[0];
    struct cel__node *e;

    if (arg->kind == NK_ERROR)
        return arg;
    if (arg->kind != NK_SELECT || arg->test_only)
        return fail_at(x, arg->pos, KR_S("invalid argument to has() macro"));
    e = make(x, NK_SELECT);
    e->target = arg->target;
    e->name = arg->name;
    e->test_only = true;
    return e;
}

static struct cel__node *expand_quantifier(struct expansion *x)
{
    bool all = kr_str_is(x->name, "all");
    struct cel__node *bad;
    struct cel__node *e;
    struct cel__node *accu;
    kr_str var1;
    kr_str var2;

    if (!vars_before(x, 1, KR_S("argument must be a simple name"), &var1, &var2, &bad))
        return bad;
    e = fold_new(x, all ? FOLD_ALL : FOLD_EXISTS, x->target, var1, var2, ACCU);
    accu = ident(x, ACCU);
    e->fold->pred = x->args[x->n - 1];
    e->fold->init = literal(x, kr_bool(all));
    e->fold->cond = call(x, KR_S("@not_strictly_false"), 1,
                         all ? accu : call(x, KR_S("!_"), 1, accu, NULL, NULL), NULL, NULL);
    e->fold->step =
        call(x, all ? KR_S("_&&_") : KR_S("_||_"), 2, ident(x, ACCU), e->fold->pred, NULL);
    e->fold->result = ident(x, ACCU);
    return e;
}

static struct cel__node *expand_exists_one(struct expansion *x)
{
    struct cel__node *bad;
    struct cel__node *e;
    kr_str var1;
    kr_str var2;

    if (!vars_before(x, 1, KR_S("argument must be a simple name"), &var1, &var2, &bad))
        return bad;
    e = fold_new(x, FOLD_ONE, x->target, var1, var2, ACCU);
    e->fold->pred = x->args[x->n - 1];
    e->fold->init = literal(x, kr_int(0));
    e->fold->cond = literal(x, kr_bool(true));
    e->fold->step =
        call(x, KR_S("_?_:_"), 3, e->fold->pred,
             call(x, KR_S("_+_"), 2, ident(x, ACCU), literal(x, kr_int(1)), NULL), ident(x, ACCU));
    e->fold->result = call(x, KR_S("_==_"), 2, ident(x, ACCU), literal(x, kr_int(1)), NULL);
    return e;
}

/* accu = [], accu + [body] where pred. */
static struct cel__node *list_fold(struct expansion *x, kr_str var1, kr_str var2,
                                   struct cel__node *pred, struct cel__node *body)
{
    struct cel__node *e = fold_new(x, FOLD_LIST, x->target, var1, var2, ACCU);

    e->fold->pred = pred;
    e->fold->body = body;
    e->fold->init = list_of(x, NULL);
    e->fold->cond = literal(x, kr_bool(true));
    e->fold->step = call(x, KR_S("_+_"), 2, ident(x, ACCU), list_of(x, body), NULL);
    if (pred)
        e->fold->step = call(x, KR_S("_?_:_"), 3, pred, e->fold->step, ident(x, ACCU));
    e->fold->result = ident(x, ACCU);
    return e;
}

static struct cel__node *expand_map(struct expansion *x)
{
    struct cel__node *bad;
    kr_str var;

    if (!one_var(x, KR_S("argument is not an identifier"), &var, &bad))
        return bad;
    return list_fold(x, var, (kr_str){0}, x->n == 3 ? x->args[1] : NULL, x->args[x->n - 1]);
}

static struct cel__node *expand_filter(struct expansion *x)
{
    struct cel__node *bad;
    kr_str var;

    if (!one_var(x, KR_S("argument is not an identifier"), &var, &bad))
        return bad;
    return list_fold(x, var, (kr_str){0}, x->args[1], ident(x, var));
}

static struct cel__node *expand_transform_list(struct expansion *x)
{
    struct cel__node *bad;
    kr_str var1;
    kr_str var2;

    if (!two_vars(x, &var1, &var2, &bad))
        return bad;
    return list_fold(x, var1, var2, x->n == 4 ? x->args[2] : NULL, x->args[x->n - 1]);
}

static struct cel__node *expand_transform_map(struct expansion *x)
{
    bool entry = kr_str_is(x->name, "transformMapEntry");
    struct cel__node *bad;
    struct cel__node *e;
    struct cel__node *body = x->args[x->n - 1];
    kr_str var1;
    kr_str var2;

    if (!two_vars(x, &var1, &var2, &bad))
        return bad;
    e = fold_new(x, entry ? FOLD_MAP_ENTRY : FOLD_MAP, x->target, var1, var2, ACCU);
    e->fold->pred = x->n == 4 ? x->args[2] : NULL;
    e->fold->body = body;
    e->fold->init = make(x, NK_MAP);
    e->fold->cond = literal(x, kr_bool(true));
    if (entry)
        e->fold->step = call(x, KR_S("cel.@mapInsert"), 2, ident(x, ACCU), body, NULL);
    else
        e->fold->step = call(x, KR_S("cel.@mapInsert"), 3, ident(x, ACCU), ident(x, var1), body);
    if (e->fold->pred)
        e->fold->step = call(x, KR_S("_?_:_"), 3, e->fold->pred, e->fold->step, ident(x, ACCU));
    e->fold->result = ident(x, ACCU);
    return e;
}

static struct cel__node *expand_bind(struct expansion *x)
{
    if (x->target->kind != NK_IDENT || !kr_str_is(x->target->name, "cel"))
        return NULL;
    if (x->args[0]->kind != NK_IDENT)
        return fail_at(x, x->args[0]->pos,
                       KR_S("cel.bind() variable names must be simple identifiers"));
    return bind(x, x->args[0]->name, x->args[1], x->args[2]);
}

/* o.hasValue() ? optional.of(x = o.value() in t) : optional.none() */
static struct cel__node *ident_at(struct expansion *x, kr_str name, uint32_t pos)
{
    struct cel__node *e = ident(x, name);

    e->pos = pos;
    return e;
}

static struct cel__node *optional_map(struct expansion *x, kr_str target, uint32_t pos, bool flat)
{
    struct cel__node *held = method(x, ident_at(x, target, pos), KR_S("value"), NULL);
    struct cel__node *body = bind(x, x->args[0]->name, held, x->args[1]);

    if (!flat)
        body = call(x, KR_S("optional.of"), 1, body, NULL, NULL);
    return call(x, KR_S("_?_:_"), 3, method(x, ident_at(x, target, pos), KR_S("hasValue"), NULL),
                body, call(x, KR_S("optional.none"), 0, NULL, NULL, NULL));
}

static struct cel__node *expand_opt_map(struct expansion *x)
{
    bool flat = kr_str_is(x->name, "optFlatMap");
    kr_str target = KR_S("@target");

    if (x->args[0]->kind != NK_IDENT)
        return fail_at(x, x->args[0]->pos,
                       kr_fmt(x->p->a, KR_FMT "() variable name must be a simple identifier",
                              KR_ARG(x->name)));
    if (x->target->kind == NK_IDENT)
        return optional_map(x, x->target->name, x->target->pos, flat);
    return bind(x, target, x->target, optional_map(x, target, x->pos, flat));
}

static struct cel__node *expand_sort_by(struct expansion *x)
{
    kr_str input = KR_S("@__sortBy_input__");
    struct expansion keys = *x;
    struct cel__node *bad;
    struct cel__node *mapped;
    kr_str var;

    if (x->target->kind != NK_LIST && x->target->kind != NK_SELECT && x->target->kind != NK_IDENT &&
        x->target->kind != NK_FOLD && x->target->kind != NK_CALL)
        return fail_at(x, x->target->pos,
                       KR_S("sortBy can only be applied to a list, identifier, comprehension, call "
                            "or select expression"));
    if (!one_var(x, KR_S("argument is not an identifier"), &var, &bad))
        return bad;
    keys.target = ident(x, input);
    mapped = list_fold(&keys, var, (kr_str){0}, NULL, x->args[1]);
    return bind(x, input, x->target,
                method(x, ident(x, input), KR_S("@sortByAssociatedKeys"), mapped));
}

/* --- math.least, math.greatest ---------------------------------------------------------------- */

/* Can the argument be a number, as far as the syntax tells? */
static bool may_be_number(const struct cel__node *e)
{
    if (e->kind == NK_CONST)
        return e->value.kind == KR_INT || e->value.kind == KR_UINT || e->value.kind == KR_DOUBLE;
    return e->kind != NK_LIST && e->kind != NK_MAP && e->kind != NK_STRUCT;
}

static bool list_of_numbers(const struct cel__node *e)
{
    for (uint32_t i = 0; i < e->args_n; i++) {
        if (!may_be_number(e->args[i]))
            return false;
    }
    return e->kind == NK_LIST && e->args_n;
}

static struct cel__node *expand_extreme(struct expansion *x)
{
    bool least = kr_str_is(x->name, "least");
    struct cel__node *e;

    if (x->target->kind != NK_IDENT || !kr_str_is(x->target->name, "math"))
        return NULL;
    if (!x->n)
        return fail_at(
            x, x->target->pos,
            kr_fmt(x->p->a, "math." KR_FMT "() requires at least one argument", KR_ARG(x->name)));
    for (uint32_t i = 0; i < x->n; i++) {
        if (!may_be_number(x->args[i]) && !(x->n == 1 && list_of_numbers(x->args[0])))
            return fail_at(x, x->args[i]->pos,
                           kr_fmt(x->p->a, "math." KR_FMT "() %s", KR_ARG(x->name),
                                  x->n == 1 ? "invalid single argument value"
                                            : "simple literal arguments must be numeric"));
    }
    e = make(x, NK_CALL);
    e->name = least ? KR_S("math.@min") : KR_S("math.@max");
    e->args = x->args;
    e->args_n = x->n;
    if (x->n > 2) {
        e->args = kr_new(x->p->a, struct cel__node *);
        e->args[0] = make(x, NK_LIST);
        e->args[0]->args = x->args;
        e->args[0]->args_n = x->n;
        e->args_n = 1;
    }
    return e;
}

/* --- cel.block, as cel-go's optimizer writes common parts; the names are those of cel-spec's tests */

static bool on_cel(const struct expansion *x)
{
    return x->target->kind == NK_IDENT && kr_str_is(x->target->name, "cel");
}

/* cel.block([e0, e1, ...], body): body, in which cel.index(i) stands for e_i, and so in later e. */
static struct cel__node *expand_block(struct expansion *x)
{
    struct cel__node *body = x->args[1];

    if (!on_cel(x))
        return NULL;
    if (x->args[0]->kind != NK_LIST || x->args[0]->optional)
        return fail_at(x, x->args[0]->pos, KR_S("cel.block() needs a list of expressions"));
    for (uint32_t i = x->args[0]->args_n; i-- > 0;)
        body = bind(x, kr_fmt(x->p->a, "@index%u", i), x->args[0]->args[i], body);
    return body;
}

/* cel.index(i), cel.iterVar(depth, i), cel.accuVar(depth, i): names that no source text has. */
static struct cel__node *expand_block_name(struct expansion *x)
{
    bool index = kr_str_is(x->name, "index");
    kr_str name = kr_fmt(x->p->a, "@%s",
                         index                           ? "index"
                         : kr_str_is(x->name, "iterVar") ? "it"
                                                         : "ac");

    if (!on_cel(x) || (x->n == 1) != index)
        return NULL;
    for (uint32_t i = 0; i < x->n; i++) {
        kr_val v = x->args[i]->kind == NK_CONST ? x->args[i]->value : KR_V_NONE;

        if (v.kind != KR_INT || v.i < 0)
            return fail_at(x, x->args[i]->pos,
                           kr_fmt(x->p->a, "cel." KR_FMT "() needs a number that is no variable",
                                  KR_ARG(x->name)));
        name = kr_fmt(x->p->a, KR_FMT "%s%lld", KR_ARG(name), index ? "" : ":", (long long)v.i);
    }
    return ident(x, name);
}

/* The index of a condition's field, or -1. */
static int condition_field(kr_str name)
{
    static const char *const names[] = {"type", "status", "reason", "message"};

    for (int i = 0; i < 4; i++) {
        if (kr_str_eq(name, kr_str_c(names[i])))
            return i;
    }
    return -1;
}

static struct cel__node *expand_new_condition(struct expansion *x)
{
    struct cel__node *map = x->args[0];
    bool seen[4] = {false};

    if (x->target->kind != NK_IDENT || !kr_str_is(x->target->name, "runtime"))
        return NULL;
    if (map->kind != NK_MAP)
        return fail_at(x, map->pos, KR_S("runtime.newCondition: argument must be a map literal"));
    for (uint32_t i = 0; i < map->args_n; i += 2) {
        struct cel__node *key = map->args[i];
        int f;

        if (key->kind != NK_IDENT)
            return fail_at(
                x, key->pos,
                KR_S("runtime.newCondition: keys must be bare identifiers (type, status, "
                     "reason, message); quoted or computed keys are not allowed"));
        f = condition_field(key->name);
        if (f < 0)
            return fail_at(x, key->pos,
                           kr_fmt(x->p->a,
                                  "runtime.newCondition: unknown key \"" KR_FMT
                                  "\" (allowed: type, status, reason, message)",
                                  KR_ARG(key->name)));
        if (seen[f])
            return fail_at(x, key->pos,
                           kr_fmt(x->p->a, "runtime.newCondition: duplicate key \"" KR_FMT "\"",
                                  KR_ARG(key->name)));
        seen[f] = true;
    }
    for (int i = 0; i < 2; i++) {
        if (!seen[i])
            return fail_at(
                x, map->pos,
                kr_fmt(x->p->a, "runtime.newCondition: '%s' is required", i ? "status" : "type"));
    }
    for (uint32_t i = 0; i < map->args_n; i += 2) {
        struct cel__node *key = cel__node_new(x->p, NK_CONST, map->args[i]->pos);

        key->value = kr_string(map->args[i]->name);
        map->args[i] = key;
    }
    return method(x, x->target, KR_S("newCondition"), map);
}

/* --- the table -------------------------------------------------------------------------------- */

enum { ANY = UINT8_MAX }; /* number of arguments */

/* clang-format off */
static const struct {
    const char *name;
    bool member;
    uint8_t args_min, args_max;
    uint8_t lib;
    struct cel__node *(*expand)(struct expansion *x); /* NULL result: no macro after all */
    const char *form, *help; /* for docs/cel.md; empty: told elsewhere */
} macros[] = {
    {"has", false, 1, 1, CEL_LIB_STD, expand_has,
     "has(a.b)",
     "is the field there?"},
    {"all", true, 2, 2, CEL_LIB_STD, expand_quantifier,
     "list.all(x, p)",
     "does p hold for every element, or key of a map?"},
    {"exists", true, 2, 2, CEL_LIB_STD, expand_quantifier,
     "list.exists(x, p)",
     "does p hold for some element?"},
    {"exists_one", true, 2, 2, CEL_LIB_STD, expand_exists_one,
     "list.exists_one(x, p)",
     "does p hold for exactly one element?"},
    {"map", true, 2, 3, CEL_LIB_STD, expand_map,
     "list.map(x, e), list.map(x, p, e)",
     "e of each element, where p holds"},
    {"filter", true, 2, 2, CEL_LIB_STD, expand_filter,
     "list.filter(x, p)",
     "the elements for which p holds"},
    {"all", true, 3, 3, CEL_LIB_EXT, expand_quantifier,
     "list.all(i, x, p)",
     "the same with index and element, or key and value"},
    {"exists", true, 3, 3, CEL_LIB_EXT, expand_quantifier,
     "list.exists(i, x, p)",
     "the same with index and element, or key and value"},
    {"existsOne", true, 3, 3, CEL_LIB_EXT, expand_exists_one,
     "",
     ""},
    {"exists_one", true, 3, 3, CEL_LIB_EXT, expand_exists_one,
     "list.exists_one(i, x, p)",
     "the same with index and element, or key and value"},
    {"transformList", true, 3, 4, CEL_LIB_EXT, expand_transform_list,
     "list.transformList(i, x, e), list.transformList(i, x, p, e)",
     "a list of e, where p holds"},
    {"transformMap", true, 3, 4, CEL_LIB_EXT, expand_transform_map,
     "map.transformMap(k, v, e), map.transformMap(k, v, p, e)",
     "a map from each key, or index, to e, where p holds"},
    {"transformMapEntry", true, 3, 4, CEL_LIB_EXT, expand_transform_map,
     "map.transformMapEntry(k, v, m), map.transformMapEntry(k, v, p, m)",
     "the entries of all maps m, where p holds; no key may come twice"},
    {"bind", true, 3, 3, CEL_LIB_EXT, expand_bind,
     "cel.bind(x, a, e)",
     "e, in which x is the value of a, computed once when it is needed"},
    {"optMap", true, 2, 2, CEL_LIB_EXT, expand_opt_map,
     "optional.optMap(x, e)",
     "an optional of e, in which x is the value held; none stays none"},
    {"optFlatMap", true, 2, 2, CEL_LIB_EXT, expand_opt_map,
     "optional.optFlatMap(x, e)",
     "the same where e is an optional itself"},
    {"sortBy", true, 2, 2, CEL_LIB_EXT, expand_sort_by,
     "list.sortBy(x, key)",
     "the elements in the order of their keys"},
    {"newCondition", true, 1, 1, CEL_LIB_KRO, expand_new_condition,
     "runtime.newCondition({type: t, status: s})",
     "a status condition; reason and message may be added"},
    {"least", true, 0, ANY, CEL_LIB_EXT_MORE, expand_extreme,
     "math.least(a, b, ...)",
     "the least of its arguments, or of one list"},
    {"greatest", true, 0, ANY, CEL_LIB_EXT_MORE, expand_extreme,
     "math.greatest(a, b, ...)",
     "the greatest of its arguments, or of one list"},
    {"block", true, 2, 2, CEL_LIB_EXT_MORE, expand_block,
     "cel.block([a, b, ...], e)",
     "e, in which cel.index(0) is a and so on, each computed once"},
    {"index", true, 1, 1, CEL_LIB_EXT_MORE, expand_block_name,
     "",
     ""},
    {"iterVar", true, 2, 2, CEL_LIB_EXT_MORE, expand_block_name,
     "",
     ""},
    {"accuVar", true, 2, 2, CEL_LIB_EXT_MORE, expand_block_name,
     "",
     ""},
};
/* clang-format on */

struct cel__node *cel__macro(struct cel__parser *p, kr_str name, struct cel__node *target,
                             struct cel__node **args, uint32_t n, uint32_t pos)
{
    struct expansion x = {.p = p, .name = name, .pos = pos, .target = target, .args = args, .n = n};

    for (size_t i = 0; i < KR_N(macros); i++) {
        struct cel__node *e;

        if (macros[i].member != (target != NULL) || n < macros[i].args_min ||
            (n > macros[i].args_max && macros[i].args_max != ANY) ||
            !(p->env->libs & macros[i].lib) || !kr_str_eq(name, kr_str_c(macros[i].name)))
            continue;
        e = macros[i].expand(&x);
        if (e && p->macro_nodes > CEL_MACRO_NODES_MAX) {
            cel__diag(p->diags, pos,
                      "expression count exceeds limit of %d while expanding macro '" KR_FMT "'",
                      CEL_MACRO_NODES_MAX, KR_ARG(name));
            p->stopped = true;
        }
        if (e)
            return e;
    }
    return NULL;
}

bool cel__macro_info(uint32_t i, struct cel__macro_info *out)
{
    if (i >= KR_N(macros))
        return false;
    *out = (struct cel__macro_info){macros[i].lib, macros[i].form, macros[i].help};
    return true;
}
