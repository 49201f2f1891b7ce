/* SPDX-License-Identifier: Apache-2.0 */
/* vm.c - runs a program: registers, one loop, errors that travel by table.
 *
 * An instruction that fails sets vm->raised. The handler table says where the run continues and
 * which register gets the error as a value; without a handler the evaluation fails. So the normal
 * path tests nothing, and && || all() exists() see both values of their operands.
 *
 * Everything an evaluation makes lives in the caller's arena; small programs keep their registers
 * on the stack. Each instruction costs one step, functions more (functions.def).
 *
 * Source: cel-go interpreter; reference section 9.
 */
#include "cel/internal.h"

#include <stdarg.h>
#include <stdio.h>

#include "cel/base/banned.h"

enum { STACK_REGS = 48 };

/* --- errors ----------------------------------------------------------------------------------- */

static enum cel_fail fail_of(kr_str text)
{
    /* Same words as kro: pkg/runtime/errors.go. */
    static const char *const pending[] = {"no such key", "no such field", "no such attribute",
                                          "index out of bounds"};

    for (size_t i = 0; i < KR_N(pending); i++) {
        if (kr_str_find(text, kr_str_c(pending[i])) >= 0)
            return CEL_FAIL_PENDING;
    }
    return CEL_FAIL_ERROR;
}

static kr_val KR_PRINTF(2, 0) error_value(struct cel__vm *vm, const char *fmt, va_list ap)
{
    struct cel__error *e = kr_new(vm->a, struct cel__error);
    char text[KR_ERR_MAX];
    int n = vsnprintf(text, sizeof(text), fmt, ap);

    e->code = KR_E_EVAL;
    e->text = kr_strdup(vm->a, kr_str_sub(kr_str_c(text), 0, (size_t)n));
    e->fail = fail_of(e->text);
    return cel__val_error(e);
}

kr_val cel__error(struct cel__vm *vm, const char *fmt, ...)
{
    va_list ap;
    kr_val v;

    va_start(ap, fmt);
    v = error_value(vm, fmt, ap);
    va_end(ap);
    return v;
}

int cel__raise(struct cel__vm *vm, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vm->raised = error_value(vm, fmt, ap);
    va_end(ap);
    return KR_E_EVAL;
}

int cel__raise_val(struct cel__vm *vm, kr_val error)
{
    vm->raised = error;
    return KR_E_EVAL;
}

int cel__no_overload(struct cel__vm *vm)
{
    static const struct cel__error e = {
        .fail = CEL_FAIL_ERROR, .code = KR_E_EVAL, .text = {"no such overload", 16}};

    return cel__raise_val(vm, cel__val_error(&e));
}

int cel__over_limit(struct cel__vm *vm)
{
    static const struct cel__error e = {
        .fail = CEL_FAIL_LIMIT, .code = KR_E_LIMIT, .text = {"evaluation cost limit exceeded", 30}};

    cel__raise_val(vm, cel__val_error(&e));
    return KR_E_LIMIT;
}

/* --- calls ------------------------------------------------------------------------------------ */

static uint64_t size_cost(kr_val v)
{
    switch (v.kind) {
    case KR_STRING:
    case KR_BYTES:
        return v.n / 16;
    case KR_LIST:
    case KR_MAP:
        return v.n;
    }
    return 0;
}

static bool overload_takes(struct cel__vm *vm, const struct cel__call *call,
                           const struct cel__overload *o, const kr_val *args, uint32_t n)
{
    if (o->args_n != n || (o->row->style == MEMBER) != call->member)
        return false;
    if (!(o->row->flags & FN_GUARD))
        return true; /* the function looks itself */
    for (uint32_t i = 0; i < n; i++) {
        if (!cel__guard(vm, o->args[i], args[i]))
            return false;
    }
    return true;
}

/* No overload takes the arguments: an error among them goes first. */
static int call_refused(struct cel__vm *vm, const struct cel__call *call, const kr_val *args,
                        uint32_t n)
{
    KR_AUTO(kr_buf) b = KR_BUF_IN(vm->a, KR_ERR_MAX);

    if (!(call->overloads[0].row->flags & FN_GUARD))
        return cel__no_overload(vm);
    for (uint32_t i = 0; i < n; i++) {
        kr_str t = cel__type_name(args[i]);

        kr_buf_fmt(&b, "%s" KR_FMT, i ? ", " : "", KR_ARG(t));
    }
    return cel__raise(vm, "no such overload: " KR_FMT "(" KR_FMT ")", KR_ARG(call->name),
                      KR_ARG(kr_buf_view(&b)));
}

int cel__call_run(struct cel__vm *vm, const struct cel__call *call, const kr_val *args, uint32_t n,
                  kr_val *out)
{
    for (uint32_t i = 0; i < n; i++) {
        if (args[i].kind == KR_ERROR)
            return cel__raise_val(vm, args[i]);
    }
    for (uint32_t i = 0; i < call->overloads_n; i++) {
        const struct cel__row *row = call->overloads[i].row;

        if (!overload_takes(vm, call, &call->overloads[i], args, n))
            continue;
        for (uint32_t k = 0; (row->flags & FN_SIZED) && k < n; k++)
            vm->cost += size_cost(args[k]);
        KR_TRY(cel__charge(vm, 1));
        vm->call = call;
        return row->impl(vm, args, n, out);
    }
    return call_refused(vm, call, args, n);
}

/* --- parts of the loop ------------------------------------------------------------------------ */

#define VAL(o) ((o)&CEL__CONST ? vm->p->consts[(o) & ~CEL__CONST] : regs[o])

static int run_call(struct cel__vm *vm, const kr_val *regs, const struct cel__call *call,
                    kr_val *out)
{
    kr_val args[8];

    if (call->args_n > KR_N(args))
        return cel__no_overload(vm);
    for (uint32_t i = 0; i < call->args_n; i++)
        args[i] = VAL(call->args[i]);
    return cel__call_run(vm, call, args, call->args_n, out);
}

static int load_slot(struct cel__vm *vm, const struct cel__insn *in, kr_val *out)
{
    kr_val v = in->a < vm->slots_n ? vm->slots[in->a] : KR_V_NONE;

    if (v.kind == KR_NONE)
        return cel__raise(vm, "no such attribute(s): " KR_FMT, KR_ARG(vm->p->paths[in->b].var));
    if (in->handle) {
        v.aux = 0;
        v = cel__typed(vm, v, in->handle);
    }
    if (v.kind == KR_ERROR)
        return cel__raise_val(vm, v);
    *out = v;
    return 0;
}

static int load_path(struct cel__vm *vm, const struct cel__insn *in, kr_val *out)
{
    const struct cel__path *path = &vm->p->paths[in->b];
    kr_val v;

    KR_TRY(load_slot(vm, in, &v));
    for (uint32_t i = 0; i < path->keys_n; i++)
        KR_TRY(cel__select(vm, v, &vm->p->keys[path->keys[i]], &v));
    *out = v;
    return 0;
}

/* Result of && (absorbing == false) or || on two evaluated operands. */
static int logical(struct cel__vm *vm, kr_val x, kr_val y, bool absorbing, kr_val *out)
{
    if ((x.kind == KR_BOOL && x.b == absorbing) || (y.kind == KR_BOOL && y.b == absorbing)) {
        *out = kr_bool(absorbing);
        return 0;
    }
    if (x.kind == KR_ERROR)
        return cel__raise_val(vm, x);
    if (x.kind != KR_BOOL)
        return cel__no_overload(vm);
    if (y.kind == KR_ERROR)
        return cel__raise_val(vm, y);
    if (y.kind != KR_BOOL)
        return cel__no_overload(vm);
    *out = kr_bool(!absorbing);
    return 0;
}

/* Step of all() (absorbing == false) or exists(): true when the loop may stop. */
static bool quantify(struct cel__vm *vm, kr_val *acc, kr_val p, bool absorbing)
{
    if (p.kind == KR_BOOL) {
        if (p.b != absorbing)
            return false;
        *acc = p;
        return true;
    }
    if (acc->kind == KR_ERROR)
        return false;
    if (p.kind != KR_ERROR) {
        cel__no_overload(vm);
        p = vm->raised;
    }
    *acc = p;
    return false;
}

static int make_list(struct cel__vm *vm, const kr_val *regs, const struct cel__insn *in,
                     kr_val *out)
{
    kr_val *items = kr_new_n(vm->a, kr_val, in->b);
    uint32_t n = 0;

    KR_TRY(cel__charge(vm, in->b));
    for (uint32_t i = 0; i < in->b; i++) {
        kr_val v = VAL(vm->p->operands[in->a + i]);

        if (v.kind == KR_ERROR)
            return cel__raise_val(vm, v);
        if (in->flag && vm->p->optionals[in->a + i]) {
            if (v.kind != KR_OPTIONAL)
                return cel__raise(
                    vm, "cannot initialize optional list element from non-optional value " KR_FMT,
                    KR_ARG(cel__print(vm->a, v)));
            if (!v.ref)
                continue;
            v = *v.ref;
        }
        items[n++] = v;
    }
    *out = kr_list(items, n);
    return 0;
}

static int make_map(struct cel__vm *vm, const kr_val *regs, const struct cel__insn *in, kr_val *out)
{
    struct kr_pair *pairs = kr_new_n(vm->a, struct kr_pair, in->b);
    uint32_t n = 0;

    KR_TRY(cel__charge(vm, in->b));
    for (uint32_t i = 0; i < in->b; i++) {
        kr_val k = VAL(vm->p->operands[in->a + 2 * i]);
        kr_val v = VAL(vm->p->operands[in->a + 2 * i + 1]);

        if (k.kind == KR_ERROR || v.kind == KR_ERROR)
            return cel__raise_val(vm, k.kind == KR_ERROR ? k : v);
        if (k.kind == KR_BYTES)
            return cel__raise(vm,
                              "internal error: runtime error: hash of unhashable type types.Bytes");
        if (in->flag && vm->p->optionals[in->a + 2 * i]) {
            if (v.kind != KR_OPTIONAL)
                return cel__raise(vm,
                                  "cannot initialize optional entry '" KR_FMT
                                  "' from non-optional value " KR_FMT,
                                  KR_ARG(cel__print(vm->a, k)), KR_ARG(cel__print(vm->a, v)));
            if (!v.ref)
                continue;
            v = *v.ref;
        }
        pairs[n++] = (struct kr_pair){.key = k, .val = v};
    }
    *out = cel__map_make(vm->a, pairs, n);
    return 0;
}

/* r: what is iterated over; r + 1: the next index. */
static int iter_begin(struct cel__vm *vm, kr_val range, kr_val *r)
{
    if (range.kind == KR_ERROR)
        return cel__raise_val(vm, range);
    if (range.kind != KR_LIST && range.kind != KR_MAP)
        return cel__raise(vm, "got '%s', expected iterable type", cel__go_val_type(range));
    r[0] = range;
    r[1] = kr_int(0);
    return 0;
}

/* False at the end. */
static bool iter_next(struct cel__vm *vm, kr_val *it, kr_val *var, bool two)
{
    uint32_t i = (uint32_t)it[1].i;

    if (i >= it[0].n)
        return false;
    it[1].i++;
    if (it[0].kind == KR_LIST) {
        kr_val v = cel__item(vm, it[0], i);

        var[0] = two ? kr_int(i) : v;
        var[1] = v;
    } else {
        var[0] = cel__typed_key(vm, it[0], it[0].map[i].key);
        if (two)
            var[1] = cel__typed_entry(vm, it[0], i);
    }
    return true;
}

static int list_add(struct cel__vm *vm, kr_val *list, kr_val v)
{
    if (v.kind == KR_ERROR)
        return cel__raise_val(vm, v);
    ((kr_val *)(uintptr_t)list->list)[list->n++] = v; /* room was made by LIST_BEGIN */
    return 0;
}

/* A map under construction: r[0].map has r[1].n pairs of room, r[0].n are used, unsorted. */
static void map_room(struct cel__vm *vm, kr_val *r, uint32_t more)
{
    struct kr_pair *pairs;
    uint32_t cap = r[1].n;

    if (r[0].n + more <= cap)
        return;
    while (cap < r[0].n + more)
        cap = cap ? 2 * cap : 8;
    pairs = kr_new_n(vm->a, struct kr_pair, cap);
    if (r[0].n)
        memcpy(pairs, r[0].map, r[0].n * sizeof(*pairs));
    r[0].map = pairs;
    r[1].n = cap;
}

static int map_add(struct cel__vm *vm, kr_val *r, kr_val k, kr_val v)
{
    if (k.kind == KR_ERROR || v.kind == KR_ERROR)
        return cel__raise_val(vm, k.kind == KR_ERROR ? k : v);
    map_room(vm, r, 1);
    ((struct kr_pair *)(uintptr_t)r[0].map)[r[0].n++] = (struct kr_pair){.key = k, .val = v};
    return 0;
}

static int map_merge(struct cel__vm *vm, kr_val *r, kr_val m)
{
    if (m.kind == KR_ERROR)
        return cel__raise_val(vm, m);
    if (m.kind != KR_MAP)
        return cel__no_overload(vm);
    KR_TRY(cel__charge(vm, m.n));
    for (uint32_t i = 0; i < m.n; i++)
        KR_TRY(map_add(vm, r, cel__typed_key(vm, m, m.map[i].key), cel__typed_entry(vm, m, i)));
    return 0;
}

/* Names the first key of `built` that comes again. */
static int repeated_key(struct cel__vm *vm, kr_val built, kr_val m)
{
    bool *seen = kr_new_n(vm->a, bool, m.n);
    kr_val key = KR_V_NULL;

    for (uint32_t i = 0; i < built.n; i++) {
        int64_t at = cel__map_index(m, built.map[i].key);

        key = built.map[i].key;
        if (at < 0 || seen[at])
            break;
        seen[at] = true;
    }
    return cel__raise(vm, "insert failed: key " KR_FMT " already exists",
                      KR_ARG(cel__print(vm->a, key)));
}

/* Sorts what was built; a key that comes twice is an error. */
static int map_end(struct cel__vm *vm, kr_val built, kr_val *out)
{
    struct kr_pair *pairs = kr_new_n(vm->a, struct kr_pair, built.n);
    kr_val m;

    memcpy(pairs, built.map, built.n * sizeof(*pairs));
    m = cel__map_make(vm->a, pairs, built.n);
    if (m.n < built.n)
        return repeated_key(vm, built, m);
    for (uint32_t i = 1; i < m.n; i++) { /* 0 and 0u are one key to an insertion */
        if (cel__compare(m.map[i - 1].key, m.map[i].key) == 0)
            return cel__raise(vm, "insert failed: key " KR_FMT " already exists",
                              KR_ARG(cel__print(vm->a, m.map[i].key)));
    }
    *out = m;
    return 0;
}

/* --- the loop --------------------------------------------------------------------------------- */

/* The handler of an error raised at pc, or NULL. Inner ones stand first. */
static const struct cel__handler *handler_at(const struct cel_prog *p, uint32_t pc)
{
    for (uint32_t i = 0; i < p->handlers_n; i++) {
        if (pc >= p->handlers[i].from && pc < p->handlers[i].to)
            return &p->handlers[i];
    }
    return NULL;
}

#define BOTH(k) (x.kind == (k) && y.kind == (k))
#define ORDER(cmp)                                                                                 \
    do {                                                                                           \
        x = VAL(in->a);                                                                            \
        y = VAL(in->b);                                                                            \
        if (BOTH(KR_INT))                                                                          \
            *dst = kr_bool(x.i cmp y.i);                                                           \
        else                                                                                       \
            rc = cel__arith(vm, in->op, x, y, dst);                                                \
    } while (0)

static int run(struct cel__vm *vm, kr_val *regs, kr_val *out)
{
    const struct cel_prog *p = vm->p;
    uint32_t pc = 0;
    kr_val x;
    kr_val y;

    for (;;) {
        const struct cel__insn *in = &p->insns[pc];
        kr_val *dst = &regs[in->dst];
        uint32_t next = pc + 1;
        int rc = 0;

        if (++vm->cost > vm->cost_max)
            return cel__over_limit(vm);
        switch ((enum cel__op)in->op) {
        case OP_RETURN:
            *out = VAL(in->a);
            if (out->kind != KR_ERROR)
                return 0;
            rc = cel__raise_val(vm, *out);
            break;
        case OP_MOVE:
            x = VAL(in->a);
            if (x.kind == KR_ERROR)
                rc = cel__raise_val(vm, x);
            else
                *dst = x;
            break;
        case OP_SLOT:
            rc = load_slot(vm, in, dst);
            break;
        case OP_PATH:
            rc = load_path(vm, in, dst);
            break;
        case OP_SELECT:
            rc = cel__select(vm, VAL(in->a), &p->keys[in->b], dst);
            break;
        case OP_HAS:
            rc = cel__has(vm, VAL(in->a), &p->keys[in->b], dst);
            break;
        case OP_OPT_SELECT:
            rc = cel__opt_select(vm, VAL(in->a), &p->keys[in->b], dst);
            break;
        case OP_INDEX:
            rc = cel__index(vm, VAL(in->a), VAL(in->b), dst);
            break;
        case OP_OPT_INDEX:
            rc = cel__opt_index(vm, VAL(in->a), VAL(in->b), dst);
            break;
        case OP_ADD:
        case OP_SUB:
        case OP_MUL:
        case OP_DIV:
        case OP_MOD:
            rc = cel__arith(vm, in->op, VAL(in->a), VAL(in->b), dst);
            break;
        case OP_EQ:
        case OP_NE:
            x = cel__equal(vm, VAL(in->a), VAL(in->b));
            if (x.kind == KR_ERROR)
                rc = cel__raise_val(vm, x);
            else
                *dst = kr_bool(x.b == (in->op == OP_EQ));
            break;
        case OP_LT:
            ORDER(<);
            break;
        case OP_LE:
            ORDER(<=);
            break;
        case OP_GT:
            ORDER(>);
            break;
        case OP_GE:
            ORDER(>=);
            break;
        case OP_IN:
            rc = cel__in(vm, VAL(in->a), VAL(in->b), dst);
            break;
        case OP_NOT:
            x = VAL(in->a);
            if (x.kind == KR_BOOL)
                *dst = kr_bool(!x.b);
            else
                rc = x.kind == KR_ERROR ? cel__raise_val(vm, x) : cel__no_overload(vm);
            break;
        case OP_NEGATE:
            rc = cel__negate(vm, VAL(in->a), dst);
            break;
        case OP_JUMP:
            next = in->b;
            break;
        case OP_BRANCH:
            x = VAL(in->a);
            if (x.kind != KR_BOOL)
                rc = x.kind == KR_ERROR ? cel__raise_val(vm, x) : cel__no_overload(vm);
            else if (!x.b)
                next = in->b;
            break;
        case OP_AND_LEFT:
        case OP_OR_LEFT:
            x = VAL(in->a);
            if (x.kind == KR_BOOL && x.b == (in->op == OP_OR_LEFT)) {
                *dst = x;
                next = in->b;
            }
            break;
        case OP_AND:
        case OP_OR:
            rc = logical(vm, VAL(in->a), VAL(in->b), in->op == OP_OR, dst);
            break;
        case OP_ALL:
        case OP_ANY:
            if (quantify(vm, dst, VAL(in->a), in->op == OP_ANY))
                next = in->b;
            break;
        case OP_HAS_VALUE:
            x = VAL(in->a);
            if (x.kind != KR_OPTIONAL) {
                rc = x.kind == KR_ERROR ? cel__raise_val(vm, x) : cel__no_overload(vm);
            } else if (x.ref) {
                *dst = in->flag ? *x.ref : x;
                next = in->b;
            }
            break;
        case OP_LIST:
            rc = make_list(vm, regs, in, dst);
            break;
        case OP_MAP:
            rc = make_map(vm, regs, in, dst);
            break;
        case OP_CALL:
            rc = run_call(vm, regs, &p->calls[in->a], dst);
            break;
        case OP_ITER:
            rc = iter_begin(vm, VAL(in->a), dst);
            break;
        case OP_NEXT:
            if (!iter_next(vm, &regs[in->a], dst, in->flag))
                next = in->b;
            break;
        case OP_LIST_BEGIN:
            rc = cel__charge(vm, regs[in->a].n / 4);
            *dst = kr_list(kr_new_n(vm->a, kr_val, regs[in->a].n), 0);
            break;
        case OP_LIST_ADD:
            rc = list_add(vm, dst, VAL(in->a));
            break;
        case OP_MAP_BEGIN:
            rc = cel__charge(vm, regs[in->a].n / 4);
            dst[0] = kr_map_sorted(kr_new_n(vm->a, struct kr_pair, regs[in->a].n), 0);
            dst[1] = (kr_val){.kind = KR_INT, .n = regs[in->a].n};
            break;
        case OP_MAP_ADD:
            rc = map_add(vm, dst, VAL(in->a), VAL(in->b));
            break;
        case OP_MAP_MERGE:
            rc = map_merge(vm, dst, VAL(in->a));
            break;
        case OP_MAP_END:
            rc = map_end(vm, regs[in->a], dst);
            break;
        case OP_COUNT:
            dst->i++;
            break;
        case OP_LAZY:
            if (regs[in->a].kind == KR_NONE) {
                *dst = kr_int(pc);
                next = in->b;
            } else if (regs[in->a].kind == KR_ERROR) {
                rc = cel__raise_val(vm, regs[in->a]);
            }
            break;
        case OP_UNBIND:
            *dst = KR_V_NONE;
            break;
        case OP_BACK:
            next = (uint32_t)regs[in->a].i;
            break;
        case OP_RAISE:
            rc = cel__raise(vm, KR_FMT, KR_ARG(kr_text(VAL(in->a))));
            break;
        case OP_N:
            break;
        }
        if (rc < 0) {
            const struct cel__handler *h = rc == KR_E_LIMIT ? NULL : handler_at(p, pc);

            if (!h)
                return rc;
            regs[h->reg] = vm->raised;
            next = h->target;
        }
        pc = next;
    }
}

/* Runs with registers on the stack or, for large programs, in the arena. */
static int run_registers(struct cel__vm *vm, kr_val *out)
{
    kr_val stack[STACK_REGS];

    if (vm->p->regs_n > STACK_REGS)
        return run(vm, kr_new_n(vm->a, kr_val, vm->p->regs_n), out);
    return run(vm, stack, out);
}

int cel__eval_raw(const struct cel_prog *p, struct cel_run *r, struct cel__vm *vm, kr_val *out,
                  struct kr_err *err)
{
    const struct cel__error *e;
    int rc;

    *vm = (struct cel__vm){.a = r->a,
                           .p = p,
                           .slots = r->slots,
                           .slots_n = r->slots_n,
                           .bytes_max = r->a->used_bytes + CEL__RUN_BYTES_MAX,
                           .cost_max = r->cost_max ? r->cost_max : CEL_COST_MAX};
    rc = run_registers(vm, out);
    r->cost = vm->cost;
    r->fail = CEL_FAIL_NONE;
    if (rc == 0)
        return 0;
    e = cel__error_of(vm->raised);
    r->fail = e->fail;
    return kr_fail(err, e->code, KR_FMT, KR_ARG(e->text));
}

int cel_eval(const struct cel_prog *p, struct cel_run *run_, kr_val *out, struct kr_err *err)
{
    struct cel__vm vm;
    kr_val v;

    KR_TRY(cel__eval_raw(p, run_, &vm, &v, err));
    *out = p->types_n ? cel__typed_finish(&vm, v) : v;
    return 0;
}
