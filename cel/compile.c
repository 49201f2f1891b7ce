/* SPDX-License-Identifier: Apache-2.0 */
/* compile.c - the typed tree into a flat program.
 *
 * Every subexpression gets a register or is a constant; a name is a slot, a member name an entry of
 * the key table. Chains of selects on a variable become one PATH instruction. What consists of
 * constants is computed here, within a small budget; an error is left to the evaluation.
 *
 * Errors: && || and the quantifiers go on behind an error. Their operands lie in a region of the
 * handler table: an error raised at from <= pc < to becomes the value of a register and the run
 * continues at the handler's target. Code that cannot be absorbed has no cost for it.
 *
 *        [left -> L] AND_LEFT L ---false---> end        handler: left  -> AND_LEFT, register L
 *        [right -> R] AND L, R  -> dst   end:           handler: right -> AND,      register R
 *
 * cel.bind is lazy: the code of the bound expression stands apart and is run at the first use.
 *
 * At the end instructions are joined, by a flag or an opcode for both: one whose result only the next
 * one looks at does that one's work, too. None is taken away, so that targets, regions and costs stay
 * as they are.
 */
#include "cel/internal.h"

#include "cel/regex.h"

#include "cel/base/banned.h"

enum {
    FOLD_COST_MAX = 2000, /* steps of computing one constant while compiling */
    CALL_ARGS_MAX = 8,
    KEYS_SHARED_MAX = 32, /* names that are looked for before one is added */
    SUM_TERMS_MAX = 64,   /* strings added by one instruction */
};

struct local {
    struct local *up;
    uint32_t number; /* cel__node.local */
    uint32_t reg;
    bool lazy;
    uint32_t thunk; /* lazy: where its code begins */
    uint32_t back;  /* lazy: register of the place to return to */
};

struct compiler {
    struct kr_arena *a; /* of the program */
    struct kr_arena *tmp;
    const struct cel_env *env;
    struct cel_prog *p;
    struct local *locals;
    uint32_t reg, reg_max; /* next free register; high water */
    uint32_t loops_n;      /* loops around the place */
    kr_str bad;            /* what refuses the program: a constant pattern that is none */
    uint16_t *handles;     /* per slot */
    uint32_t handles_n;

    struct cel__insn *insns;
    kr_val *consts;
    struct cel__key *keys;
    struct cel__path *paths;
    struct cel__call *calls;
    uint32_t *operands;
    bool *optionals;
    struct cel__handler *handlers;
    uint32_t insns_n, consts_n, keys_n, paths_n, calls_n, operands_n, handlers_n;
    uint32_t insns_cap, consts_cap, keys_cap, paths_cap, calls_cap, operands_cap, optionals_cap,
        handlers_cap;
};

static void *grown(struct compiler *c, void *v, uint32_t n, uint32_t *cap, size_t size)
{
    void *more;

    if (n < *cap)
        return v;
    *cap = *cap ? 2 * *cap : 16;
    more = kr_arena_alloc(c->tmp, *cap * size);
    if (n)
        memcpy(more, v, n * size);
    return more;
}

#define GROW(c, what, cap)                                                                         \
    ((c)->what = grown((c), (c)->what, (c)->what##_n, &(c)->cap, sizeof(*(c)->what)))

static uint32_t emit(struct compiler *c, enum cel__op op, uint32_t dst, uint32_t a, uint32_t b)
{
    GROW(c, insns, insns_cap);
    c->insns[c->insns_n] = (struct cel__insn){.op = (uint8_t)op, .dst = dst, .a = a, .b = b};
    return c->insns_n++;
}

static uint32_t reg_new(struct compiler *c)
{
    uint32_t r = c->reg++;

    if (c->reg > c->reg_max)
        c->reg_max = c->reg;
    return r;
}

static uint32_t const_new(struct compiler *c, kr_val v)
{
    GROW(c, consts, consts_cap);
    c->consts[c->consts_n] = v;
    return ~c->consts_n++;
}

static struct cel__name name_of(kr_str text)
{
    struct cel__name name = {.text = text};

    cel__words(text.s, text.n, &name.first, &name.last);
    return name;
}

/* The key of a name that is there already, or c->keys_n. */
static uint32_t key_find(struct compiler *c, kr_str name)
{
    for (uint32_t i = 0; i < c->keys_n && i < KEYS_SHARED_MAX; i++) {
        if (kr_str_eq(c->keys[i].name.text, name))
            return i;
    }
    return c->keys_n;
}

/* A key for one place, with a hint of its own. */
static uint32_t key_own(struct compiler *c, kr_str name)
{
    uint32_t same = key_find(c, name);
    struct cel__key *k;

    GROW(c, keys, keys_cap);
    k = &c->keys[c->keys_n];
    if (same < c->keys_n) {
        *k = c->keys[same];
        return c->keys_n++;
    }
    *k = (struct cel__key){.name = name_of(kr_strdup(c->a, name))};
    k->accessible = cel__unescape(c->a, k->name.text, &k->unescaped);
    return c->keys_n++;
}

/* A key that places may share. */
static uint32_t key_new(struct compiler *c, kr_str name)
{
    uint32_t same = key_find(c, name);

    return same < c->keys_n ? same : key_own(c, name);
}

static void handler_new(struct compiler *c, uint32_t from, uint32_t to, uint32_t target,
                        uint32_t reg)
{
    if (from == to)
        return;
    GROW(c, handlers, handlers_cap);
    c->handlers[c->handlers_n++] =
        (struct cel__handler){.from = from, .to = to, .target = target, .reg = reg};
}

/* Room for n operands in a row; returns the first. */
static uint32_t operands_new(struct compiler *c, uint32_t n)
{
    uint32_t at = c->operands_n;

    for (uint32_t i = 0; i < n; i++) {
        GROW(c, operands, operands_cap);
        c->optionals = grown(c, c->optionals, c->operands_n, &c->optionals_cap, sizeof(bool));
        c->operands[c->operands_n] = 0;
        c->optionals[c->operands_n++] = false;
    }
    return at;
}

static void compile_to(struct compiler *c, struct cel__node *e, uint32_t dst);
static uint32_t operand(struct compiler *c, struct cel__node *e);

/* --- constants -------------------------------------------------------------------------------- */

static enum cel__op binary_op(kr_str name);
static void call_fill(struct compiler *c, struct cel__call *call, struct cel__node *e);

static bool constant(struct compiler *c, struct cel__node *e, kr_val *out);

static bool constant_list(struct compiler *c, struct cel__node *e, kr_val *out)
{
    kr_val *items;

    if (e->optional)
        return false;
    items = kr_new_n(c->a, kr_val, e->args_n);
    for (uint32_t i = 0; i < e->args_n; i++) {
        if (!constant(c, e->args[i], &items[i]))
            return false;
    }
    *out = kr_list(items, e->args_n);
    return true;
}

static bool constant_map(struct compiler *c, struct cel__node *e, kr_val *out)
{
    struct kr_pair *pairs;

    if (e->optional)
        return false;
    pairs = kr_new_n(c->a, struct kr_pair, e->args_n / 2);
    for (uint32_t i = 0; i < e->args_n; i += 2) {
        if (!constant(c, e->args[i], &pairs[i / 2].key) ||
            !constant(c, e->args[i + 1], &pairs[i / 2].val) || pairs[i / 2].key.kind == KR_BYTES)
            return false;
    }
    *out = cel__map_make(c->a, pairs, e->args_n / 2);
    return true;
}

static int constant_op(struct cel__vm *vm, enum cel__op op, const kr_val *v, kr_val *out)
{
    switch (op) {
    case OP_EQ:
    case OP_NE:
        *out = op == OP_EQ ? cel__equal(vm, v[0], v[1]) : cel__differ(vm, v[0], v[1]);
        return out->kind == KR_BOOL ? 0 : KR_E_EVAL;
    case OP_IN:
        return cel__in(vm, v[0], v[1], out);
    case OP_INDEX:
        return cel__index(vm, v[0], v[1], out);
    case OP_OPT_INDEX:
        return cel__opt_index(vm, v[0], v[1], out);
    case OP_NEGATE:
        return cel__negate(vm, v[0], out);
    case OP_NOT:
        *out = kr_bool(!kr_is_true(v[0]));
        return v[0].kind == KR_BOOL ? 0 : KR_E_EVAL;
    default:
        return cel__arith(vm, op, v[0], v[1], out);
    }
}

/* --- optionals among selections --------------------------------------------------------------- */

static bool unknown_or_optional(const struct cel_type *t)
{
    return cel_type_is_dyn(t) || cel_type_is_optional(t, NULL);
}

/* What e selects or indexes, or NULL. */
static struct cel__node *selected_from(struct cel__node *e)
{
    if (e->kind == NK_SELECT && !e->test_only && e->slot == CEL__SLOT_NONE)
        return e->target;
    return e->kind == NK_CALL && kr_str_is(e->name, "_[_]") ? e->args[0] : NULL;
}

/* Is e an optional that was selected from what is none? cel-go takes a chain of selections as one
 * and looks into optionals only if the chain begins with one or has a question mark; of another
 * optional on the way it selects nothing. */
static bool shut_optional(struct cel__node *e)
{
    struct cel__node *from = selected_from(e);

    if (!from || !cel_type_is_optional(e->type, NULL))
        return false;
    while (selected_from(from))
        from = selected_from(from);
    return !unknown_or_optional(from->type) &&
           !(from->kind == NK_CALL &&
             (kr_str_is(from->name, "_?._") || kr_str_is(from->name, "_[?_]")));
}

/* A call whose arguments are all constants. */
static bool constant_call(struct compiler *c, struct cel__node *e, kr_val *out)
{
    struct cel_prog none = {.strict = c->p->strict, .spec = c->p->spec};
    struct cel__vm vm = {.a = c->a, .p = &none, .cost_max = FOLD_COST_MAX, .bytes_max = SIZE_MAX};
    kr_val args[CALL_ARGS_MAX];
    struct cel__call call = {0};
    enum cel__op op = binary_op(e->name);
    uint32_t n = 0;

    if (e->args_n + e->member > CALL_ARGS_MAX || !e->fn)
        return false;
    if (op == OP_N && (e->fn->overloads[0].row->flags & FN_OP))
        return false;
    if ((op == OP_INDEX || op == OP_OPT_INDEX) && shut_optional(e->args[0]))
        return false;
    if (e->member && !constant(c, e->target, &args[n++]))
        return false;
    for (uint32_t i = 0; i < e->args_n; i++) {
        if (!constant(c, e->args[i], &args[n++]))
            return false;
    }
    if (op != OP_N)
        return constant_op(&vm, op, args, out) == 0;
    call_fill(c, &call, e);
    return cel__call_run(&vm, &call, args, n, out) == 0 && out->kind != KR_ERROR;
}

static bool compute(struct compiler *c, struct cel__node *e, kr_val *out)
{
    switch (e->kind) {
    case NK_CONST:
        *out = kr_copy(c->a, e->value);
        return true;
    case NK_LIST:
        return constant_list(c, e, out);
    case NK_MAP:
        return !c->p->spec && constant_map(c, e, out);
    case NK_CALL:
        return constant_call(c, e, out);
    case NK_IDENT:
    case NK_SELECT:
        if (e->slot == CEL__SLOT_TYPE) {
            kr_str name = kr_strdup(c->a, kr_text(e->value));

            *out = (kr_val){.kind = KR_TYPE, .n = (uint32_t)name.n, .s = name.s};
            return true;
        }
        if (e->slot == CEL__SLOT_RUNTIME) {
            *out = (kr_val){.kind = KR_OPAQUE, .obj = &cel__runtime};
            return true;
        }
        return false;
    }
    return false;
}

/* The value of e when it is made of constants only and evaluates without an error. */
static bool constant(struct compiler *c, struct cel__node *e, kr_val *out)
{
    if (e->constness == CEL__UNKNOWN)
        e->constness = compute(c, e, &e->computed) ? CEL__CONSTANT : CEL__VARYING;
    if (e->constness == CEL__CONSTANT)
        *out = e->computed;
    return e->constness == CEL__CONSTANT;
}

/* --- names and members ------------------------------------------------------------------------ */

static struct local *find_local(struct compiler *c, uint32_t number)
{
    struct local *l = c->locals;

    while (l->number != number)
        l = l->up;
    return l;
}

/* The register of a loop or bound variable; a lazy one is evaluated at its first use. */
static uint32_t local_operand(struct compiler *c, struct cel__node *e)
{
    struct local *l = find_local(c, e->local);

    if (l->lazy)
        emit(c, OP_LAZY, l->back, l->reg, l->thunk);
    return l->reg;
}

static uint32_t path_new(struct compiler *c, kr_str var, uint32_t n, uint16_t handle)
{
    struct cel__path *p;

    GROW(c, paths, paths_cap);
    p = &c->paths[c->paths_n];
    p->var = kr_strdup(c->a, var);
    p->keys_n = n;
    p->handle = handle;
    return c->paths_n++;
}

/* The raw kind that cel__typed gives back unchanged. */
static uint8_t taken_as_is(const struct cel__rt *t)
{
    if (t->int_or_string)
        return KR_NONE;
    switch (t->type) {
    case CEL_S_STRING:
        return t->format == CEL_F_BYTE || t->format == CEL_F_DATE || t->format == CEL_F_DATE_TIME ||
                       t->format == CEL_F_DURATION
                   ? KR_NONE
                   : KR_STRING;
    case CEL_S_INTEGER:
        return KR_INT;
    case CEL_S_BOOLEAN:
        return KR_BOOL;
    }
    return KR_NONE;
}

/* What a step by key makes of a value read through handle h; false: that depends on the value, or no
 * property can have that name. */
static bool step_of(struct compiler *c, uint16_t *h, const struct cel__key *key,
                    struct cel__step *out)
{
    const struct cel__rt *t = *h ? &c->p->types[*h - 1] : NULL;
    kr_str raw = key->name.text;

    *out = (struct cel__step){0};
    if (t && (t->int_or_string || t->type != CEL_S_OBJECT))
        return false;
    if (t && t->object_like) {
        if (!key->accessible)
            return false;
        raw = key->unescaped;
        out->null_absent = true;
        out->to = cel__rt_field(t, raw);
    } else if (t && t->is_map) {
        out->to = t->additional;
    }
    out->name = name_of(raw);
    out->as_is = out->to ? taken_as_is(&c->p->types[out->to - 1]) : KR_NONE;
    *h = out->to;
    return true;
}

/* The steps of a path, or none when its keys must be used. */
static void steps_new(struct compiler *c, struct cel__path *path)
{
    struct cel__step *steps = kr_new_n(c->a, struct cel__step, path->keys_n);
    uint16_t h = path->handle;

    for (uint32_t i = 0; i < path->keys_n; i++) {
        if (!step_of(c, &h, &c->keys[path->keys[i]], &steps[i]))
            return;
    }
    if (!path->keys_n)
        return;
    path->steps = steps;
    path->steps_end = steps + path->keys_n;
    path->to = steps[path->keys_n - 1].to;
    path->as_is = steps[path->keys_n - 1].as_is;
}

/* The number of the path of e, a chain of n selects on the variable in slot; c->paths_n: new. */
static uint32_t path_find(struct compiler *c, const struct cel__node *e, uint32_t n, uint32_t slot)
{
    for (uint32_t i = 0; i < c->paths_n; i++) {
        const struct cel__node *at = e;
        uint32_t k = n;

        if (c->paths[i].keys_n != n || !n || c->paths[i].slot != slot)
            continue;
        for (; k > 0 && kr_str_eq(c->keys[c->paths[i].keys[k - 1]].name.text, at->name); k--)
            at = at->target;
        if (!k)
            return i;
    }
    return c->paths_n;
}

/* A path that is used more than once, by the text or in a loop, keeps its value. */
static void paths_cache(struct compiler *c)
{
    for (uint32_t i = 0; i < c->insns_n; i++) {
        struct cel__path *p = c->insns[i].op == OP_PATH ? &c->paths[c->insns[i].b] : NULL;

        if (!p || p->uses < 2)
            continue;
        if (!p->cache) {
            p->cache = c->reg_max++; /* 0 is the register of the result */
            c->p->caches_n++;
        }
        c->insns[i].flag = 1;
    }
}

/* Does next look at the result of a test, which is in register r? */
static bool looks_at(const struct cel__insn *next, uint32_t r)
{
    switch (next->op) {
    case OP_NOT:
    case OP_BRANCH:
    case OP_AND_LEFT:
    case OP_OR_LEFT:
    case OP_ALL:
    case OP_ANY:
        return next->a == r;
    case OP_AND:
    case OP_OR:
        return next->b == r;
    }
    return false;
}

/* The one instruction for in and the next, where that takes the value of in as its operand a, alone;
 * else in's own. */
static uint8_t joined(const struct cel__insn *in)
{
    static const struct {
        uint8_t first, next, both;
    } joins[] = {
#define CEL_OP(name)
#define CEL_JOINED(first, next) {OP_##first, OP_##next, OP_##first##_##next},
#include "cel/opcode.def"
#undef CEL_OP
    };

    if (in->flag || in[1].a != in->dst)
        return in->op;
    for (size_t i = 0; i < KR_N(joins); i++) {
        bool two = joins[i].next >= OP_EQ && joins[i].next <= OP_GE;

        if (joins[i].first == in->op && joins[i].next == in[1].op && !(two && in[1].b == in->dst))
            return joins[i].both;
    }
    return in->op;
}

/* An instruction whose result the next one looks at goes on with that one at once. The next one is
 * still as it was compiled; joined itself it is only where a run begins with it. */
static void insns_join(struct compiler *c)
{
    for (uint32_t i = 0; i + 1 < c->insns_n; i++) {
        struct cel__insn *in = &c->insns[i];

        if (in->op == OP_MOVE)
            in->flag = in[1].op == OP_RETURN;
        else if (in->op == OP_PATH || in->op == OP_SELECT)
            in->op = joined(in);
        else if (in->op == OP_HAS || in->op == OP_NOT || (in->op >= OP_EQ && in->op <= OP_GE))
            in->flag = looks_at(&in[1], in->dst);
    }
}

static uint16_t handle_of(struct compiler *c, int32_t slot)
{
    return (uint32_t)slot < c->handles_n ? c->handles[slot] : 0;
}

/* The variable at the root of a chain of selects, and how many there are. */
static struct cel__node *chain_root(struct cel__node *e, uint32_t *n)
{
    *n = 0;
    while (e->kind == NK_SELECT && !e->test_only && e->slot == CEL__SLOT_NONE) {
        ++*n;
        e = e->target;
    }
    return e;
}

static kr_str var_name(struct compiler *c, struct cel__node *e)
{
    kr_str name = e->name;

    cel__dotted(c->tmp, e, &name);
    return name.n && name.s[0] == '.' ? kr_str_sub(name, 1, name.n) : name;
}

static void compile_select(struct compiler *c, struct cel__node *e, uint32_t dst)
{
    uint32_t n;
    struct cel__node *root = chain_root(e, &n);
    uint32_t path;
    uint32_t *keys;
    uint32_t at;
    bool shut = selected_from(e) && shut_optional(e->target);

    if (e->test_only || root->slot < 0 || shut) {
        uint32_t from = operand(c, e->target);

        if (shut)
            emit(c, OP_PLAIN, 0, from, const_new(c, kr_string(kr_strdup(c->a, e->name))));
        emit(c, e->test_only ? OP_HAS : OP_SELECT, dst, from, key_own(c, e->name));
        return;
    }
    path = path_find(c, e, n, (uint32_t)root->slot);
    if (path == c->paths_n) {
        path_new(c, var_name(c, root), n, handle_of(c, root->slot));
        keys = kr_new_n(c->a, uint32_t, n);
        for (; n > 0; e = e->target)
            keys[--n] = key_new(c, e->name);
        c->paths[path].slot = (uint32_t)root->slot;
        c->paths[path].keys = keys;
        steps_new(c, &c->paths[path]);
    }
    c->paths[path].uses += c->loops_n ? 2 : 1;
    at = emit(c, c->paths[path].keys_n ? OP_PATH : OP_SLOT, dst, (uint32_t)root->slot, path);
    c->insns[at].handle = handle_of(c, root->slot);
}

static void compile_ident(struct compiler *c, struct cel__node *e, uint32_t dst)
{
    if (e->local != CEL__NO_LOCAL)
        emit(c, OP_MOVE, dst, local_operand(c, e), 0);
    else
        compile_select(c, e, dst); /* a chain of no selects */
}

/* --- calls ------------------------------------------------------------------------------------ */

static enum cel__op binary_op(kr_str name)
{
    static const struct {
        kr_str name;
        uint8_t op;
    } ops[] = {
        {{"_+_", 3}, OP_ADD},    {{"_-_", 3}, OP_SUB},         {{"_*_", 3}, OP_MUL},
        {{"_/_", 3}, OP_DIV},    {{"_%_", 3}, OP_MOD},         {{"_==_", 4}, OP_EQ},
        {{"_!=_", 4}, OP_NE},    {{"_<_", 3}, OP_LT},          {{"_<=_", 4}, OP_LE},
        {{"_>_", 3}, OP_GT},     {{"_>=_", 4}, OP_GE},         {{"@in", 3}, OP_IN},
        {{"_[_]", 4}, OP_INDEX}, {{"_[?_]", 5}, OP_OPT_INDEX}, {{"!_", 2}, OP_NOT},
        {{"-_", 2}, OP_NEGATE},
    };

    for (size_t i = 0; i < KR_N(ops); i++) {
        if (kr_str_eq(name, ops[i].name))
            return ops[i].op;
    }
    return OP_N;
}

/* An overload as long as the program: those of the table are for ever. */
static const struct cel__overload *overload_kept(struct compiler *c, const struct cel__overload *o)
{
    struct cel__overload *own;
    const struct cel_type **args;

    if (cel__overload_in_table(o))
        return o;
    own = kr_new(c->a, struct cel__overload);
    args = kr_new_n(c->a, const struct cel_type *, o->args_n);
    for (uint32_t i = 0; i < o->args_n; i++)
        args[i] = cel__type_copy(c->a, o->args[i]);
    *own = *o;
    own->args = args;
    own->result = NULL;
    return own;
}

/* What an overload of n arguments takes. */
static struct cel__option option_of(const struct cel__overload *o, uint32_t n)
{
    struct cel__option option = {
        .overload = o, .impl = o->row->impl, .sized = o->row->flags & FN_SIZED};

    option.decided = n <= CEL__DECIDED_ARGS_MAX;
    for (uint32_t i = 0; option.decided && i < n; i++) {
        option.kinds[i] = CEL__ANY_KIND;
        option.items[i] = CEL__ANY_ITEM;
        if (o->row->flags & FN_GUARD)
            option.decided = cel__guard_kinds(o->args[i], i, &option);
    }
    return option;
}

/* Name and overloads of a call: the one that was found, or all of the function. */
static void call_fill(struct compiler *c, struct cel__call *call, struct cel__node *e)
{
    uint32_t n = e->overloads_n == 1 ? 1 : e->fn->overloads_n;
    struct cel__option *options = kr_new_n(c->tmp, struct cel__option, n);
    uint32_t args_n = e->args_n + e->member;
    const struct cel__row *row = NULL;

    for (uint32_t i = 0; i < n; i++) {
        const struct cel__overload *o =
            n == 1 && e->overloads_n == 1 ? e->overloads[0] : &e->fn->overloads[i];

        row = row ? row : o->row;
        if (o->args_n == args_n && (o->row->style == MEMBER) == e->member)
            options[call->options_n++] = option_of(overload_kept(c, o), args_n);
    }
    call->name = kr_str_c(row->name);
    call->member = e->member;
    call->refuse_by_types = row->flags & FN_GUARD;
    call->options = memcpy(kr_new_n(c->a, struct cel__option, call->options_n), options,
                           call->options_n * sizeof(*options));
}

/* The compiled pattern of a regex function, if it is a constant and a good one. A bad pattern is
 * left to the evaluation; find and findAll refuse it at once, as Kubernetes' library does. */
static const struct cel__regex *constant_regex(struct compiler *c, struct cel__node *e)
{
    bool finds = kr_str_is(e->name, "find") || kr_str_is(e->name, "findAll");
    uint32_t at = e->member ? 0 : 1;
    char wrong[CEL__REGEX_ERR_MAX];
    struct cel__regex *re;
    kr_val v;

    if ((!finds && !kr_str_is(e->name, "matches")) || e->args_n <= at ||
        !constant(c, e->args[at], &v) || v.kind != KR_STRING)
        return NULL;
    re = cel__regex_new(v.s, v.n, wrong);
    if (re)
        kr_arena_defer(c->a, cel__regex_free, re);
    else if (finds && !c->bad.n && e->args[at]->kind == NK_CONST)
        c->bad = kr_strdup(c->tmp, kr_str_c(wrong));
    return re;
}

static bool in_a_row(const uint32_t *operands, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        if (operands[i] != operands[i - 1] + 1)
            return false;
    }
    return n <= CEL__ARGS_MAX;
}

static void compile_call_generic(struct compiler *c, struct cel__node *e, uint32_t dst)
{
    uint32_t n = e->args_n + e->member;
    uint32_t *args = kr_new_n(c->a, uint32_t, n);
    uint32_t at = 0;
    struct cel__call call = {0};
    uint32_t insn;

    if (e->member)
        args[at++] = operand(c, e->target);
    for (uint32_t i = 0; i < e->args_n; i++)
        args[at++] = operand(c, e->args[i]);
    call_fill(c, &call, e);
    call.args = args;
    call.args_n = n;
    call.regex = constant_regex(c, e);
    if (call.regex && e->args[e->member ? 0 : 1]->kind == NK_CONST)
        call.refuse_by_types = false; /* cel-go calls what it made of the pattern as it is */
    GROW(c, calls, calls_cap);
    c->calls[c->calls_n] = call;
    insn = emit(c, OP_CALL, dst, c->calls_n++, n ? args[0] : 0);
    c->insns[insn].flag = n > 0 && in_a_row(args, n);
}

/* An operand whose error becomes a value: evaluated into a register of its own. */
static uint32_t absorbed(struct compiler *c, struct cel__node *e)
{
    uint32_t r = reg_new(c);
    uint32_t from = c->insns_n;

    compile_to(c, e, r);
    handler_new(c, from, c->insns_n, c->insns_n, r);
    return r;
}

static void compile_logical(struct compiler *c, struct cel__node *e, uint32_t dst)
{
    bool is_and = kr_str_is(e->name, "_&&_");
    uint32_t left = absorbed(c, e->args[0]);
    uint32_t jump = emit(c, is_and ? OP_AND_LEFT : OP_OR_LEFT, dst, left, 0);
    uint32_t right = absorbed(c, e->args[1]);

    emit(c, is_and ? OP_AND : OP_OR, dst, left, right);
    c->insns[jump].b = c->insns_n;
}

static void compile_ternary(struct compiler *c, struct cel__node *e, uint32_t dst)
{
    uint32_t branch;
    uint32_t jump;
    kr_val v;

    if (constant(c, e->args[0], &v) && v.kind == KR_BOOL) {
        compile_to(c, v.b ? e->args[1] : e->args[2], dst);
        return;
    }
    branch = emit(c, OP_BRANCH, 0, operand(c, e->args[0]), 0);
    compile_to(c, e->args[1], dst);
    jump = emit(c, OP_JUMP, 0, 0, 0);
    c->insns[branch].b = c->insns_n;
    compile_to(c, e->args[2], dst);
    c->insns[jump].b = c->insns_n;
}

/* o.or(x), o.orValue(x): x only when o is none. */
static void compile_or_value(struct compiler *c, struct cel__node *e, uint32_t dst)
{
    uint32_t o = operand(c, e->target);
    uint32_t at = emit(c, OP_HAS_VALUE, dst, o, 0);

    c->insns[at].flag = kr_str_is(e->name, "orValue");
    compile_to(c, e->args[0], dst);
    c->insns[at].b = c->insns_n;
}

/* Terms of a sum that hangs to the left: a + b + c. At most max; 0: more. */
static uint32_t sum_terms(struct compiler *c, struct cel__node *e, struct cel__node **terms,
                          uint32_t max)
{
    uint32_t n = 0;
    kr_val v;

    while (e->kind == NK_CALL && kr_str_is(e->name, "_+_") && !constant(c, e, &v)) {
        if (n + 2 > max)
            return 0;
        terms[n++] = e->args[1];
        e = e->args[0];
    }
    terms[n++] = e;
    for (uint32_t i = 0; i < n / 2; i++) {
        struct cel__node *t = terms[i];

        terms[i] = terms[n - 1 - i];
        terms[n - 1 - i] = t;
    }
    return n;
}

static bool is_text(const struct cel__node *e)
{
    return e->type->kind == TK_STRING;
}

/* A sum of strings in one piece. The error of a later term must not go before that of an earlier
 * sum: from the third on, errors become values. False: not that kind of sum. */
static bool compile_sum(struct compiler *c, struct cel__node *e, uint32_t dst)
{
    struct cel__node *terms[SUM_TERMS_MAX];
    uint32_t values[SUM_TERMS_MAX];
    uint32_t n = is_text(e) ? sum_terms(c, e, terms, SUM_TERMS_MAX) : 0;
    uint32_t first;
    kr_val v;

    if (n < 2)
        return false;
    for (uint32_t i = 0; i < n; i++)
        values[i] =
            i < 2 || constant(c, terms[i], &v) ? operand(c, terms[i]) : absorbed(c, terms[i]);
    first = operands_new(c, n);
    memcpy(c->operands + first, values, n * sizeof(*values));
    emit(c, OP_CONCAT, dst, first, n);
    return true;
}

/* e.?a.?b: what is between is not made an optional of its own. */
static void compile_opt_select(struct compiler *c, struct cel__node *e, uint32_t dst)
{
    uint32_t n = 0;
    uint32_t path;
    uint32_t *keys;
    struct cel__node *root = e;

    for (; root->kind == NK_CALL && kr_str_is(root->name, "_?._") && !shut_optional(root->args[0]);
         root = root->args[0])
        n++;
    path = path_new(c, (kr_str){0}, n, 0);
    keys = kr_new_n(c->a, uint32_t, n);
    for (; n > 0; e = e->args[0])
        keys[--n] = key_own(c, kr_text(e->args[1]->value));
    c->paths[path].keys = keys;
    emit(c, OP_OPT_PATH, dst, operand(c, root), path);
}

/* A literal that cannot be an index is refused at once, as cel-go does. */
static void check_key(struct compiler *c, struct cel__node *e)
{
    kr_val v = e->value;

    if ((e->kind == NK_CONST && (v.kind == KR_NULL || v.kind == KR_BYTES)) ||
        (e->kind != NK_CONST && e->slot == CEL__SLOT_TYPE))
        c->bad = kr_fmt(c->tmp, "invalid qualifier type: %s", cel__go_val_type(v));
}

/* a[b], a[?b]: b is evaluated only if a is not none. */
static void compile_index(struct compiler *c, enum cel__op op, struct cel__node *e, uint32_t dst)
{
    uint32_t from = operand(c, e->args[0]);
    bool shut = shut_optional(e->args[0]);
    bool lazy = !shut && e->args[1]->kind != NK_CONST && unknown_or_optional(e->args[0]->type);
    uint32_t skip = lazy ? emit(c, OP_NONE, dst, from, 0) : 0;
    uint32_t key = operand(c, e->args[1]);

    check_key(c, e->args[1]);
    if (!shut) {
        emit(c, op, dst, from, key);
    } else if (op == OP_OPT_INDEX) {
        emit(c, OP_MOVE, dst, const_new(c, CEL__OPT_NONE), 0);
    } else {
        emit(c, OP_PLAIN, 0, from, key);
        emit(c, op, dst, from, key);
    }
    if (lazy)
        c->insns[skip].b = c->insns_n;
}

static void compile_call(struct compiler *c, struct cel__node *e, uint32_t dst)
{
    enum cel__op op = binary_op(e->name);

    if (kr_str_is(e->name, "_?._") && shut_optional(e->args[0])) {
        operand(c, e->args[0]);
        emit(c, OP_MOVE, dst, const_new(c, CEL__OPT_NONE), 0);
    } else if (kr_str_is(e->name, "_?._")) {
        compile_opt_select(c, e, dst);
    } else if (op == OP_ADD && compile_sum(c, e, dst)) {
        return;
    } else if (kr_str_is(e->name, "_&&_") || kr_str_is(e->name, "_||_")) {
        compile_logical(c, e, dst);
    } else if (kr_str_is(e->name, "_?_:_")) {
        compile_ternary(c, e, dst);
    } else if (e->fn->overloads[0].row->impl == cel__no_impl && e->member) {
        compile_or_value(c, e, dst);
    } else if (op == OP_INDEX || op == OP_OPT_INDEX) {
        compile_index(c, op, e, dst);
    } else if (op != OP_N) {
        uint32_t a = operand(c, e->args[0]);

        emit(c, op, dst, a, e->args_n > 1 ? operand(c, e->args[1]) : 0);
    } else if (kr_str_is(e->name, "dyn") && !e->member) {
        emit(c, OP_MOVE, dst, operand(c, e->args[0]), 0);
    } else {
        compile_call_generic(c, e, dst);
    }
}

/* --- literals --------------------------------------------------------------------------------- */

static void compile_literal(struct compiler *c, struct cel__node *e, uint32_t dst)
{
    uint32_t *values = kr_new_n(c->tmp, uint32_t, e->args_n);
    uint32_t per = e->kind == NK_MAP ? 2 : 1;
    uint32_t first;
    uint32_t at;

    for (uint32_t i = 0; i < e->args_n; i++)
        values[i] = operand(c, e->args[i]);
    first = operands_new(c, e->args_n);
    for (uint32_t i = 0; i < e->args_n; i++) {
        c->operands[first + i] = values[i];
        c->optionals[first + i] = e->optional && e->optional[i / per];
    }
    at = emit(c, e->kind == NK_MAP ? OP_MAP : OP_LIST, dst, first, e->args_n / per);
    c->insns[at].flag = e->optional != NULL;
}

/* --- comprehensions --------------------------------------------------------------------------- */

/* cel.bind: a value that cannot fail is bound at once, any other at its first use. */
static void compile_bind(struct compiler *c, struct cel__node *e, uint32_t dst)
{
    const struct cel__fold *f = e->fold;
    struct local l = {.up = c->locals, .number = e->local, .reg = reg_new(c)};
    uint32_t jump;
    kr_val v;

    if (constant(c, f->init, &v)) {
        emit(c, OP_MOVE, l.reg, const_new(c, v), 0);
    } else {
        uint32_t low = c->reg_max;

        l.lazy = true;
        l.back = reg_new(c);
        emit(c, OP_UNBIND, l.reg, 0, 0);
        jump = emit(c, OP_JUMP, 0, 0, 0);
        l.thunk = c->insns_n;
        c->reg = c->reg > low ? c->reg : low; /* its registers are nobody else's */
        compile_to(c, f->init, l.reg);
        handler_new(c, l.thunk, c->insns_n, c->insns_n, l.reg);
        emit(c, OP_BACK, 0, l.back, 0);
        c->insns[jump].b = c->insns_n;
        c->reg = c->reg_max;
    }
    c->locals = &l;
    compile_to(c, f->body, dst);
    c->locals = l.up;
}

struct loop {
    struct local var1, var2;
    uint32_t iter;
    uint32_t next;  /* the NEXT instruction */
    uint32_t again; /* the AGAIN instruction */
};

static void loop_begin(struct compiler *c, struct cel__node *e, struct loop *l)
{
    const struct cel__fold *f = e->fold;
    uint32_t range = operand(c, f->range);
    uint32_t iter;

    l->iter = reg_new(c);
    reg_new(c);
    l->var1 = (struct local){.up = c->locals, .number = e->local + 1, .reg = reg_new(c)};
    l->var2 = (struct local){.up = &l->var1, .number = e->local + 2, .reg = reg_new(c)};
    c->locals = &l->var2;
    iter = emit(c, OP_ITER, l->iter, range, 0);
    c->insns[iter].flag = f->var2.n > 0;
    c->loops_n++;
}

static void loop_next(struct compiler *c, struct cel__node *e, struct loop *l)
{
    l->next = emit(c, OP_NEXT, l->var1.reg, l->iter, 0);
    c->insns[l->next].flag = e->fold->var2.n > 0;
}

static void loop_end(struct compiler *c, struct loop *l)
{
    l->again = emit(c, OP_AGAIN, l->var1.reg, l->iter, c->insns_n - l->next - 1);
    c->insns[l->again].flag = c->insns[l->next].flag;
    c->insns[l->next].b = c->insns_n;
    c->locals = l->var1.up;
    c->loops_n--;
}

/* cel-go goes on after an error in a loop with a predicate, and which error is told follows from
 * that: the last one of the predicate, else the first one of the body. Costs nothing until there is
 * one: handlers keep the errors and let the loop go on, the end of the loop raises them. */
struct loop_errors {
    uint32_t pred, body, caught; /* registers; caught: the body's latest */
    uint32_t pred_handler, body_handler, body_from;
};

static void errors_begin(struct compiler *c, struct loop_errors *le)
{
    uint32_t none = const_new(c, KR_V_NULL);

    *le = (struct loop_errors){.pred = reg_new(c), .body = reg_new(c), .caught = reg_new(c)};
    emit(c, OP_MOVE, le->pred, none, 0);
    emit(c, OP_MOVE, le->body, none, 0);
}

/* The branch over the body; the caller sets its target. */
static uint32_t errors_pred(struct compiler *c, struct loop_errors *le, struct cel__node *pred)
{
    uint32_t from = c->insns_n;
    uint32_t branch = emit(c, OP_BRANCH, 0, operand(c, pred), 0);

    le->pred_handler = c->handlers_n;
    handler_new(c, from, c->insns_n, 0, le->pred);
    le->body_from = c->insns_n;
    return branch;
}

static void errors_body(struct compiler *c, struct loop_errors *le)
{
    le->body_handler = c->handlers_n;
    handler_new(c, le->body_from, c->insns_n, 0, le->caught);
}

/* Behind the end of the loop. */
static void errors_end(struct compiler *c, const struct loop *l, const struct loop_errors *le)
{
    uint32_t scratch = reg_new(c);
    uint32_t over;

    emit(c, OP_MOVE, scratch, le->pred, 0);
    emit(c, OP_MOVE, scratch, le->body, 0);
    over = emit(c, OP_JUMP, 0, 0, 0);
    c->handlers[le->pred_handler].target = l->again;
    c->handlers[le->body_handler].target = c->insns_n;
    emit(c, OP_MOVE, scratch, le->body, 0); /* there is one already: it stays */
    emit(c, OP_MOVE, scratch, le->caught, 0);
    handler_new(c, over + 1, c->insns_n, l->again, le->body);
    c->insns[over].b = c->insns_n;
}

static void compile_quantifier(struct compiler *c, struct cel__node *e, uint32_t dst)
{
    bool all = e->fold->kind == FOLD_ALL;
    struct loop l;
    uint32_t acc;
    uint32_t step;
    uint32_t pred;

    loop_begin(c, e, &l);
    acc = reg_new(c);
    emit(c, OP_MOVE, acc, const_new(c, kr_bool(all)), 0);
    loop_next(c, e, &l);
    pred = absorbed(c, e->fold->pred);
    step = emit(c, all ? OP_ALL : OP_ANY, acc, pred, 0);
    loop_end(c, &l);
    c->insns[step].b = c->insns_n;
    emit(c, OP_MOVE, dst, acc, 0);
}

static void compile_one(struct compiler *c, struct cel__node *e, uint32_t dst)
{
    struct loop l;
    struct loop_errors errors;
    uint32_t count;
    uint32_t branch;

    loop_begin(c, e, &l);
    count = reg_new(c);
    emit(c, OP_MOVE, count, const_new(c, kr_int(0)), 0);
    errors_begin(c, &errors);
    loop_next(c, e, &l);
    branch = errors_pred(c, &errors, e->fold->pred);
    emit(c, OP_COUNT, count, 0, 0);
    errors_body(c, &errors);
    c->insns[branch].b = c->insns_n;
    loop_end(c, &l);
    errors_end(c, &l, &errors);
    emit(c, OP_EQ, dst, count, const_new(c, kr_int(1)));
}

static void compile_builder(struct compiler *c, struct cel__node *e, uint32_t dst)
{
    const struct cel__fold *f = e->fold;
    bool list = f->kind == FOLD_LIST;
    uint32_t branch = 0;
    struct loop_errors errors;
    struct loop l;
    uint32_t acc;

    loop_begin(c, e, &l);
    acc = reg_new(c);
    reg_new(c);
    if (f->pred)
        errors_begin(c, &errors);
    emit(c, list ? OP_LIST_BEGIN : OP_MAP_BEGIN, acc, l.iter, 0);
    loop_next(c, e, &l);
    if (f->pred)
        branch = errors_pred(c, &errors, f->pred);
    if (list)
        emit(c, OP_LIST_ADD, acc, operand(c, f->body), 0);
    else if (f->kind == FOLD_MAP)
        emit(c, OP_MAP_ADD, acc, l.var1.reg, operand(c, f->body));
    else
        emit(c, OP_MAP_MERGE, acc, operand(c, f->body), 0);
    if (f->pred) {
        errors_body(c, &errors);
        c->insns[branch].b = c->insns_n;
    }
    loop_end(c, &l);
    if (f->pred)
        errors_end(c, &l, &errors);
    emit(c, list ? OP_MOVE : OP_MAP_END, dst, acc, 0);
}

static void compile_fold(struct compiler *c, struct cel__node *e, uint32_t dst)
{
    switch (e->fold->kind) {
    case FOLD_BIND:
        compile_bind(c, e, dst);
        return;
    case FOLD_ALL:
    case FOLD_EXISTS:
        compile_quantifier(c, e, dst);
        return;
    case FOLD_ONE:
        compile_one(c, e, dst);
        return;
    default:
        compile_builder(c, e, dst);
    }
}

/* --- any expression --------------------------------------------------------------------------- */

static void compile_to(struct compiler *c, struct cel__node *e, uint32_t dst)
{
    uint32_t low = c->reg;
    kr_val v;

    if (constant(c, e, &v)) {
        emit(c, OP_MOVE, dst, const_new(c, v), 0);
        return;
    }
    switch (e->kind) {
    case NK_IDENT:
        compile_ident(c, e, dst);
        break;
    case NK_SELECT:
        compile_select(c, e, dst);
        break;
    case NK_CALL:
        compile_call(c, e, dst);
        break;
    case NK_LIST:
    case NK_MAP:
        compile_literal(c, e, dst);
        break;
    case NK_FOLD:
        compile_fold(c, e, dst);
        break;
    case NK_ERROR: /* of an unchecked expression */
        emit(c, OP_RAISE, dst, const_new(c, kr_copy(c->a, e->value)), 0);
        break;
    }
    c->reg = low;
}

/* e as an operand: a constant, the register of a variable, or a new register. */
static uint32_t operand(struct compiler *c, struct cel__node *e)
{
    uint32_t r;
    kr_val v;

    if (constant(c, e, &v))
        return const_new(c, v);
    if (e->kind == NK_IDENT && e->local != CEL__NO_LOCAL)
        return local_operand(c, e);
    r = reg_new(c);
    compile_to(c, e, r);
    return r;
}

/* --- the whole -------------------------------------------------------------------------------- */

static const struct cel__var *var_of_slot(const struct cel_env *env, uint32_t slot)
{
    while (slot < env->first_slot)
        env = env->parent;
    return &env->vars[slot - env->first_slot];
}

/* What programs in a have in common; NULL: nothing. */
static struct cel__shared *shared_of(const struct cel_env *env, const struct kr_arena *a)
{
    return env->shared && env->shared->a == a ? env->shared : NULL;
}

/* Type handles of the variables that the program reads through a schema. */
static bool build_types(struct compiler *c)
{
    struct cel__rt_builder b = {.a = c->a, .tmp = c->tmp};
    struct cel_read *own = kr_new_n(c->tmp, struct cel_read, c->p->reads_n);

    c->handles_n = cel_env_slots_n(c->env);
    c->handles = kr_new_n(c->tmp, uint16_t, c->handles_n);
    for (uint32_t i = 0; i < c->p->reads_n; i++) {
        uint32_t slot = c->p->reads[i].slot;
        const struct cel__var *v = var_of_slot(c->env, slot);
        uint32_t n = 0;

        if (!v->schema || c->handles[slot])
            continue;
        for (uint32_t k = 0; k < c->p->reads_n; k++) {
            if (c->p->reads[k].slot == slot)
                own[n++] = c->p->reads[k];
        }
        c->handles[slot] = cel__rt_paths(&b, v->schema, own, n, 0);
    }
    c->p->types = cel__rt_table(&b, shared_of(c->env, c->a));
    c->p->types_n = b.n;
    return !b.full;
}

#define KEEP(c, what)                                                                              \
    ((c)->p->what = (c)->what##_n                                                                  \
                        ? memcpy(kr_arena_alloc((c)->a, (c)->what##_n * sizeof(*(c)->what)),       \
                                 (c)->what, (c)->what##_n * sizeof(*(c)->what))                    \
                        : NULL)

static void consts_keep(struct compiler *c)
{
    kr_val *consts = kr_new_n(c->a, kr_val, c->consts_n);

    for (uint32_t i = 0; i < c->consts_n; i++)
        consts[c->consts_n - 1 - i] = c->consts[i];
    c->p->consts = consts;
}

static void keep_all(struct compiler *c)
{
    struct cel_prog *p = c->p;

    p->insns_n = c->insns_n;
    p->consts_n = c->consts_n;
    p->keys_n = c->keys_n;
    p->calls_n = c->calls_n;
    p->handlers_n = c->handlers_n;
    p->regs_n = c->reg_max;
    KEEP(c, insns);
    consts_keep(c);
    KEEP(c, keys);
    KEEP(c, paths);
    KEEP(c, calls);
    KEEP(c, operands);
    KEEP(c, handlers);
    p->optionals = c->operands_n
                       ? memcpy(kr_arena_alloc(c->a, c->operands_n), c->optionals, c->operands_n)
                       : NULL;
}

int cel__compile(struct kr_arena *a, struct kr_arena *tmp, const struct cel_env *env, kr_str text,
                 struct cel__node *root, const struct cel_prog **out, struct kr_err *err)
{
    struct cel_prog *p = kr_new(a, struct cel_prog);
    struct compiler c = {.a = a, .tmp = tmp, .env = env, .p = p};

    p->text = shared_of(env, a) ? text : kr_strdup(a, text);
    p->type = cel__type_copy(a, root->type);
    p->reads = cel__reads(a, tmp, root, &p->reads_n);
    p->constant = p->reads_n == 0;
    p->strict = (env->libs & CEL_LIB_STRICT) != 0;
    p->spec = (env->libs & CEL_LIB_SPEC) != 0;
    if (!build_types(&c))
        return kr_fail(err, KR_E_LIMIT, "the expression reads more than %d schema nodes",
                       UINT16_MAX);
    emit(&c, OP_RETURN, 0, operand(&c, root), 0);
    if (c.bad.n)
        return kr_fail(err, KR_E_INPUT, KR_FMT, KR_ARG(c.bad));
    paths_cache(&c);
    insns_join(&c);
    p->only_path = c.insns_n == 2 && c.insns[0].op == OP_PATH && c.insns[1].op == OP_RETURN;
    keep_all(&c);
    *out = p;
    return 0;
}

static int compile_text(struct kr_arena *a, const struct cel_env *env, kr_str text, bool untyped,
                        const struct cel_prog **out, struct kr_err *err)
{
    struct kr_arena tmp = {0};
    struct cel__diags diags = {.a = &tmp, .source = text};
    struct cel__node *root = cel__parse(&tmp, env, &diags, text);
    int rc;

    if (root)
        cel__check(&tmp, env, &diags, root, untyped);
    rc = diags.n ? cel__diags_fail(&diags, err) : cel__compile(a, &tmp, env, text, root, out, err);
    kr_arena_fini(&tmp);
    return rc;
}

int cel_compile(struct kr_arena *a, const struct cel_env *env, kr_str text,
                const struct cel_prog **out, struct kr_err *err)
{
    return compile_text(a, env, text, false, out, err);
}

int cel__compile_unchecked(struct kr_arena *a, const struct cel_env *env, kr_str text,
                           const struct cel_prog **out, struct kr_err *err)
{
    return compile_text(a, env, text, true, out, err);
}

const struct cel_type *cel_prog_type(const struct cel_prog *p)
{
    return p->type;
}

kr_str cel_prog_text(const struct cel_prog *p)
{
    return p->text;
}

bool cel_prog_is_constant(const struct cel_prog *p)
{
    return p->constant;
}

const struct cel_read *cel_prog_reads(const struct cel_prog *p, uint32_t *n)
{
    *n = p->reads_n;
    return p->reads;
}
