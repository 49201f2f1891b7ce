/* SPDX-License-Identifier: Apache-2.0 */
/* vm.c - runs a program: registers, one loop, errors that travel by table.
 *
 * Each instruction jumps to the code of the next one (labels as values), and does the common case
 * itself: untyped maps, integers, strings, bools. All else is a call of ops.c, which knows the rules
 * and the errors.
 *
 * An instruction that fails sets vm->raised. The handler table says where the run continues and
 * which register gets the error as a value; without a handler the evaluation fails. So the normal
 * path tests nothing, and && || all() exists() see both values of their operands.
 *
 * Everything an evaluation makes lives in the caller's arena; small programs keep their registers
 * on the stack. The constants are copied in front of the registers, so that an operand is found
 * without asking which of both it is. Each instruction costs one step, functions more
 * (functions.def); the steps of a program and of a loop's body are counted at once, not one by one.
 *
 * A member is looked for where it stood last time (hints, cel__name). A comparison does the work of
 * the branch behind it, and a member is handed to the instruction behind it without a register; both
 * stay in their place: who comes there another way finds them.
 *
 * Values are copied as two words. A value just made by two stores and read by one wide load would
 * wait for both to reach the cache.
 *
 * Source: cel-go interpreter; reference section 9.
 */
#include "cel/internal.h"

#include <stdarg.h>
#include <stdio.h>

#include "cel/base/banned.h"

enum { STACK_REGS = 64 }; /* constants among them */

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

static kr_val cost_error(struct cel__vm *vm)
{
    kr_val v = cel__error(vm, "evaluation cost limit exceeded: more than %llu steps",
                          (unsigned long long)vm->cost_max);
    struct cel__error *e = (struct cel__error *)(uintptr_t)v.obj;

    e->code = KR_E_LIMIT;
    e->fail = CEL_FAIL_LIMIT;
    return v;
}

#define LIMIT(text_)                                                                               \
    {                                                                                              \
        .fail = CEL_FAIL_LIMIT, .code = KR_E_LIMIT, .text = { text_, sizeof(text_) - 1 }           \
    }
static const struct cel__error over_memory = LIMIT("evaluation memory limit exceeded");
static const struct cel__error over_size = LIMIT("a value exceeds the limit of size or nesting");
#undef LIMIT

int cel__over_limit(struct cel__vm *vm)
{
    if (vm->cost > vm->cost_max)
        vm->raised = cost_error(vm);
    else
        cel__raise_val(
            vm, cel__val_error(vm->a->used_bytes > vm->bytes_max ? &over_memory : &over_size));
    return KR_E_LIMIT;
}

/* --- calls ------------------------------------------------------------------------------------ */

/* Of what is no string. */
__attribute__((noinline)) static uint64_t size_cost(const kr_val *v)
{
    switch (v->kind) {
    case KR_BYTES:
        return v->n / 16;
    case KR_LIST:
    case KR_MAP:
        return v->n;
    case KR_OPAQUE:
        return v->obj->type->bytes ? v->obj->type->bytes(v->obj) / 16 : 0;
    }
    return 0;
}

static inline bool overload_takes(struct cel__vm *vm, const struct cel__overload *o,
                                  const kr_val *args, uint32_t n)
{
    if (!(o->row->flags & FN_GUARD))
        return true; /* the function looks itself */
    for (uint32_t i = 0; i < n; i++) {
        if (!cel__guard_quick(vm, o->args[i], args[i]))
            return false;
    }
    return true;
}

/* No overload takes the arguments: an error among them goes first. */
static int call_refused(struct cel__vm *vm, const struct cel__call *call, const kr_val *args,
                        uint32_t n)
{
    KR_AUTO(kr_buf) b = KR_BUF_IN(vm->a, KR_ERR_MAX);

    if (!call->refuse_by_types)
        return cel__no_overload(vm);
    for (uint32_t i = 0; i < n; i++) {
        kr_str t = cel__type_name(args[i]);

        kr_buf_fmt(&b, "%s" KR_FMT, i ? ", " : "", KR_ARG(t));
    }
    return cel__raise(vm, "no such overload: " KR_FMT "(" KR_FMT ")", KR_ARG(call->name),
                      KR_ARG(kr_buf_view(&b)));
}

/* Does a list or a library value fit, whose kind does? */
static int part_fits(const struct cel__option *o, uint32_t i, const kr_val *v)
{
    if (v->kind == KR_OPAQUE)
        return o->opaque && v->obj->type != o->opaque ? -1 : 1;
    if (o->items[i] == CEL__ANY_ITEM || !v->n)
        return 1;
    return v->aux ? -1 : (int)(o->items[i] >> v->list[0].kind & 1);
}

/* Do the arguments fit a decided option? -1: it takes a closer look to say. */
static inline int kinds_fit(const struct cel__option *o, const kr_val *args, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint8_t kind = args[i].kind;

        if (!(o->kinds[i] >> kind & 1))
            return 0;
        if (kind == KR_LIST || kind == KR_OPAQUE) {
            int fits = part_fits(o, i, &args[i]);

            if (fits <= 0)
                return fits;
        }
    }
    return 1;
}

static inline int call_option(struct cel__vm *vm, const struct cel__call *call,
                              const struct cel__option *o, const kr_val *args, uint32_t n,
                              kr_val *out)
{
    for (uint32_t i = 0; o->sized && i < n; i++)
        vm->cost += args[i].kind == KR_STRING ? args[i].n / 16 : size_cost(&args[i]);
    KR_TRY(cel__charge(vm, 1));
    vm->call = call;
    return o->impl(vm, args, n, out);
}

int cel__call_run(struct cel__vm *vm, const struct cel__call *call, const kr_val *args, uint32_t n,
                  kr_val *out)
{
    for (uint32_t i = 0; i < n; i++) {
        if (args[i].kind == KR_ERROR)
            return cel__raise_val(vm, args[i]);
    }
    for (uint32_t i = 0; i < call->options_n; i++) {
        if (overload_takes(vm, call->options[i].overload, args, n))
            return call_option(vm, call, &call->options[i], args, n, out);
    }
    return call_refused(vm, call, args, n);
}

/* --- parts of the loop ------------------------------------------------------------------------ */

#define REF(o) (&regs[(int32_t)(o)])
#define VAL(o) (*REF(o))
#define LIKELY(cond) __builtin_expect(!!(cond), 1)
#define UNLIKELY(cond) __builtin_expect(!!(cond), 0)
#define ALWAYS_INLINE __attribute__((always_inline)) static inline
#define NOINLINE __attribute__((noinline)) static /* keeps the loop's registers free */

static inline void copy_val(kr_val *to, const kr_val *from)
{
    uint64_t head;
    int64_t word = from->i;

    memcpy(&head, from, sizeof(head));
    memcpy(to, &head, sizeof(head));
    to->i = word;
}

static inline int run_options(struct cel__vm *vm, const struct cel__call *call, const kr_val *args,
                              kr_val *out)
{
    const struct cel__option *o = call->options;
    const struct cel__option *end = o + call->options_n;

    for (; o < end && o->decided; o++) {
        int fits = kinds_fit(o, args, call->args_n);

        if (LIKELY(fits > 0))
            return call_option(vm, call, o, args, call->args_n, out);
        if (fits < 0)
            break;
    }
    return cel__call_run(vm, call, args, call->args_n, out);
}

/* A call whose arguments lie one behind the other. */
NOINLINE int run_call(struct cel__vm *vm, const struct cel__call *call, const kr_val *args,
                      kr_val *out)
{
    return run_options(vm, call, args, out);
}

NOINLINE int run_call_copied(struct cel__vm *vm, const kr_val *regs, const struct cel__call *call,
                             kr_val *out)
{
    kr_val args[CEL__ARGS_MAX];

    if (call->args_n > CEL__ARGS_MAX)
        return cel__no_overload(vm);
    for (uint32_t i = 0; i < call->args_n; i++)
        copy_val(&args[i], REF(call->args[i]));
    return run_options(vm, call, args, out);
}

NOINLINE int load_slot(struct cel__vm *vm, const struct cel__insn *in, kr_val *out)
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

/* The raw value at the end of the path's steps, if every member stands where its hint says. */
ALWAYS_INLINE const kr_val *walk_hinted(const kr_val *v, const struct cel__path *path)
{
    const struct cel__step *step = path->steps;

    if (UNLIKELY(!step))
        return NULL;
    for (const struct cel__step *end = path->steps_end; step < end; step++) {
        if (UNLIKELY(v->kind != KR_MAP || v->aux))
            return NULL;
        v = cel__find_hinted(v, &step->name);
        if (UNLIKELY(!v || (v->kind == KR_NULL && step->null_absent)))
            return NULL;
    }
    return v;
}

/* The same wherever the members stand; NULL: not found like that. */
static const kr_val *walk_steps(const kr_val *v, const struct cel__path *path)
{
    for (uint32_t i = 0; path->steps && i < path->keys_n; i++) {
        struct cel__step *step = &path->steps[i];

        if (v->kind != KR_MAP || v->aux)
            return NULL;
        v = cel__find_anew(v->map, v->n, &step->name);
        if (!v || (v->kind == KR_NULL && step->null_absent))
            return NULL;
    }
    return path->steps ? v : NULL;
}

/* A path by its keys, one select after the other. */
NOINLINE int load_keys(struct cel__vm *vm, const struct cel__insn *in, kr_val *out)
{
    const struct cel__path *path = &vm->p->paths[in->b];
    kr_val v;

    KR_TRY(load_slot(vm, in, &v));
    for (uint32_t i = 0; i < path->keys_n; i++)
        KR_TRY(cel__select(vm, v, &vm->p->keys[path->keys[i]], &v));
    *out = v;
    return 0;
}

/* The value at the end of path, when it is easy to find and no conversion is needed; else NULL. */
ALWAYS_INLINE const kr_val *plain_path(const kr_val *slots, uint32_t slots_n,
                                       const struct cel__insn *in, const struct cel__path *path)
{
    const kr_val *v = LIKELY(in->a < slots_n) ? walk_hinted(&slots[in->a], path) : NULL;

    return LIKELY(v && (!path->to || v->kind == path->as_is)) ? v : NULL;
}

/* A path whose value must be converted or looked for. */
NOINLINE int load_path(struct cel__vm *vm, const struct cel__insn *in, kr_val *out)
{
    const struct cel__path *path = &vm->p->paths[in->b];
    const kr_val *v = in->a < vm->slots_n ? walk_steps(&vm->slots[in->a], path) : NULL;

    if (!v)
        return load_keys(vm, in, out);
    *out = cel__typed(vm, *v, path->to);
    return out->kind == KR_ERROR ? cel__raise_val(vm, *out) : 0;
}

/* x.key, where x is an untyped map and the hint is right; else NULL. */
ALWAYS_INLINE const kr_val *plain_member(const kr_val *x, const struct cel__key *key)
{
    return LIKELY(x->kind == KR_MAP && !x->aux) ? cel__find_hinted(x, &key->name) : NULL;
}

/* x.key of an untyped map; NULL: it is not there, which a small map tells by the lengths. */
ALWAYS_INLINE const kr_val *map_member(const kr_val *x, struct cel__key *key)
{
    const kr_val *v = cel__find_hinted(x, &key->name);
    uint32_t i = 0;

    if (LIKELY(v))
        return v;
    while (i < x->n && i < CEL__FIND_EACH_MAX && x->map[i].key.n != key->name.text.n)
        i++;
    return i == x->n ? NULL : cel__find_anew(x->map, x->n, &key->name);
}

NOINLINE int select_any(struct cel__vm *vm, const kr_val *x, struct cel__key *key, kr_val *out)
{
    const kr_val *v = x->kind == KR_MAP && !x->aux ? map_member(x, key) : NULL;

    if (!v)
        return cel__select(vm, *x, key, out);
    *out = *v;
    return 0;
}

/* 1: there is such a member; 0: there is none. */
NOINLINE int has_any(struct cel__vm *vm, const kr_val *x, struct cel__key *key)
{
    kr_val v;

    if (x->kind == KR_MAP && !x->aux)
        return map_member(x, key) != NULL;
    KR_TRY(cel__has(vm, *x, key, &v));
    return v.b;
}

/* x[i] of an untyped list, or NULL. */
ALWAYS_INLINE const kr_val *plain_item(const kr_val *x, const kr_val *i)
{
    if (UNLIKELY(x->kind != KR_LIST || x->aux || i->kind != KR_INT || (uint64_t)i->i >= x->n))
        return NULL;
    return &x->list[i->i];
}

/* x is no register from the first key on: what it points to stays as long as the result. */
NOINLINE int optional_path(struct cel__vm *vm, const kr_val *x, const struct cel__path *path,
                           kr_val *out)
{
    for (uint32_t i = 0; i < path->keys_n; i++) {
        struct cel__key *key = &vm->p->keys[path->keys[i]];

        if (LIKELY(x->kind == KR_MAP && !x->aux)) {
            x = map_member(x, key);
            if (x)
                continue;
            *out = CEL__OPT_NONE;
            return 0;
        }
        KR_TRY(cel__opt_select(vm, i ? (kr_val){.kind = KR_OPTIONAL, .ref = x} : *x, key, out));
        if (out->kind != KR_OPTIONAL || !out->ref)
            return 0;
        x = out->ref;
    }
    *out = (kr_val){.kind = KR_OPTIONAL, .ref = x};
    return 0;
}

/* Equality of the kinds that need nothing but their words; 1: another kind, or a text that is
 * paid for. */
static inline int quick_equal(const kr_val *x, const kr_val *y, bool *equal)
{
    if (x->kind != y->kind)
        return 1;
    if (x->kind == KR_STRING && x->n < CEL__LOOK_BYTES)
        *equal = x->n == y->n && kr_bytes_eq(x->s, y->s, x->n);
    else if (x->kind == KR_INT)
        *equal = x->i == y->i;
    else if (x->kind == KR_BOOL)
        *equal = x->b == y->b;
    else
        return 1;
    return 0;
}

static inline void copy_bytes(char *to, const char *from, size_t n)
{
    if (n > 16) {
        memcpy(to, from, n);
    } else if (n >= 8) {
        uint64_t first;
        uint64_t last;

        memcpy(&first, from, 8);
        memcpy(&last, from + n - 8, 8);
        memcpy(to, &first, 8);
        memcpy(to + n - 8, &last, 8);
    } else if (n >= 4) {
        uint32_t first;
        uint32_t last;

        memcpy(&first, from, 4);
        memcpy(&last, from + n - 4, 4);
        memcpy(to, &first, 4);
        memcpy(to + n - 4, &last, 4);
    } else if (n) {
        to[0] = from[0];
        to[n / 2] = from[n / 2];
        to[n - 1] = from[n - 1];
    }
}

/* A sum whose operands are not all strings. */
NOINLINE int sum_each(struct cel__vm *vm, const kr_val *regs, const struct cel__insn *in,
                      kr_val *out)
{
    const uint32_t *operands = vm->p->operands + in->a;
    kr_val sum = VAL(operands[0]);

    for (uint32_t i = 1; i < in->b; i++)
        KR_TRY(cel__arith(vm, OP_ADD, sum, VAL(operands[i]), &sum));
    *out = sum;
    return 0;
}

NOINLINE int concat(struct cel__vm *vm, const kr_val *regs, const struct cel__insn *in, kr_val *out)
{
    const uint32_t *operands = vm->p->operands + in->a;
    uint8_t flags = UINT8_MAX;
    uint64_t n = 0;
    char *s;
    char *at;

    for (uint32_t i = 0; i < in->b; i++) {
        const kr_val *v = REF(operands[i]);

        if (v->kind != KR_STRING)
            return sum_each(vm, regs, in, out);
        n += v->n;
        flags &= v->flags;
    }
    KR_TRY(cel__charge(vm, n / 16));
    if (n > CEL__TEXT_MAX)
        return cel__over_limit(vm);
    at = s = kr_arena_bytes(vm->a, n);
    for (uint32_t i = 0; i < in->b; i++) {
        const kr_val *v = REF(operands[i]);

        copy_bytes(at, v->s, v->n);
        at += v->n;
    }
    *out = (kr_val){.kind = KR_STRING, .flags = flags, .n = (uint32_t)n, .s = s};
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
static inline bool quantify(struct cel__vm *vm, kr_val *acc, const kr_val *p, bool absorbing)
{
    if (LIKELY(p->kind == KR_BOOL)) {
        if (p->b != absorbing)
            return false;
        *acc = kr_bool(absorbing);
        return true;
    }
    if (acc->kind == KR_ERROR)
        return false;
    if (p->kind != KR_ERROR)
        cel__no_overload(vm);
    *acc = p->kind == KR_ERROR ? *p : vm->raised;
    return false;
}

NOINLINE int make_list(struct cel__vm *vm, const kr_val *regs, const struct cel__insn *in,
                       kr_val *out)
{
    kr_val *items = kr_raw_n(vm->a, kr_val, in->b);
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

/* What the specification says of a literal's keys, and cel-go lets pass. */
static int check_keys(struct cel__vm *vm, const struct kr_pair *pairs, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        kr_val k = pairs[i].key;

        if (k.kind != KR_BOOL && k.kind != KR_INT && k.kind != KR_UINT && k.kind != KR_STRING)
            return cel__raise(vm, "unsupported key type");
        KR_TRY(cel__charge(vm, i));
        for (uint32_t j = 0; j < i; j++) {
            if (kr_is_true(cel__equal(vm, k, pairs[j].key)))
                return cel__raise(vm, "Failed with repeated key");
        }
    }
    return 0;
}

/* An optional entry without a value takes away the entry of that key; returns how many are left. */
static uint32_t forget_key(struct kr_pair *pairs, uint32_t n, kr_val key)
{
    uint32_t left = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (pairs[i].key.kind != key.kind || cel__key_cmp(pairs[i].key, key) != 0)
            pairs[left++] = pairs[i];
    }
    return left;
}

NOINLINE int make_map(struct cel__vm *vm, const kr_val *regs, const struct cel__insn *in,
                      kr_val *out)
{
    struct kr_pair *pairs = kr_raw_n(vm->a, struct kr_pair, in->b);
    uint32_t n = 0;

    KR_TRY(cel__charge(vm, in->b));
    for (uint32_t i = 0; i < in->b; i++) {
        kr_val k = VAL(vm->p->operands[in->a + 2 * i]);
        kr_val v = VAL(vm->p->operands[in->a + 2 * i + 1]);

        if (k.kind == KR_ERROR || v.kind == KR_ERROR)
            return cel__raise_val(vm, k.kind == KR_ERROR ? k : v);
        KR_TRY(cel__charge(vm, CEL__KEY_LOOKS * cel__look_at(k)));
        if (k.kind == KR_BYTES)
            return cel__raise(vm,
                              "internal error: runtime error: hash of unhashable type types.Bytes");
        if (in->flag && vm->p->optionals[in->a + 2 * i]) {
            if (v.kind != KR_OPTIONAL)
                return cel__raise(vm,
                                  "cannot initialize optional entry '" KR_FMT
                                  "' from non-optional value " KR_FMT,
                                  KR_ARG(cel__print(vm->a, k)), KR_ARG(cel__print(vm->a, v)));
            if (!v.ref) {
                n = forget_key(pairs, n, k);
                continue;
            }
            v = *v.ref;
        }
        pairs[n++] = (struct kr_pair){.key = k, .val = v};
    }
    if (vm->p->spec)
        KR_TRY(check_keys(vm, pairs, n));
    *out = cel__map_make(vm->a, pairs, n);
    return 0;
}

/* r: what is iterated over; r + 1: the next index, and as a flag: the elements need only be copied.
 */
NOINLINE int iter_begin(struct cel__vm *vm, kr_val range, bool two, kr_val *r)
{
    if (range.kind == KR_ERROR)
        return cel__raise_val(vm, range);
    if (range.kind != KR_LIST && range.kind != KR_MAP && two)
        return cel__raise(vm, "unsupported comprehension range type: %s", cel__go_val_type(range));
    if (range.kind != KR_LIST && range.kind != KR_MAP)
        return cel__raise(vm, "got '%s', expected iterable type", cel__go_val_type(range));
    r[0] = range;
    r[1] = kr_int(0);
    r[1].flags = range.kind == KR_LIST && !range.aux && !two;
    return 0;
}

/* The element of a map, of a list read through a schema, or with its index. */
NOINLINE void iter_other(struct cel__vm *vm, const kr_val *range, uint32_t i, kr_val *var, bool two)
{
    if (LIKELY(range->kind == KR_MAP && !range->aux)) {
        copy_val(&var[0], &range->map[i].key);
        if (two)
            copy_val(&var[1], &range->map[i].val);
    } else if (range->kind == KR_LIST) {
        kr_val v = cel__item(vm, *range, i);

        var[0] = two ? kr_int(i) : v;
        if (two)
            var[1] = v;
    } else {
        var[0] = cel__typed_key(vm, *range, range->map[i].key);
        if (two)
            var[1] = cel__typed_entry(vm, *range, i);
    }
}

/* False at the end. */
ALWAYS_INLINE bool iter_next(struct cel__vm *vm, kr_val *it, kr_val *var, bool two)
{
    uint32_t i = (uint32_t)it[1].i;

    if (i >= it[0].n)
        return false;
    it[1].i = i + 1;
    if (LIKELY(it[1].flags))
        copy_val(var, &it[0].list[i]);
    else
        iter_other(vm, it, i, var, two);
    return true;
}

ALWAYS_INLINE int list_add(struct cel__vm *vm, kr_val *list, const kr_val *v)
{
    if (UNLIKELY(v->kind == KR_ERROR))
        return cel__raise_val(vm, *v);
    copy_val((kr_val *)(uintptr_t)&list->list[list->n++], v); /* LIST_BEGIN made room */
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
    pairs = kr_raw_n(vm->a, struct kr_pair, cap);
    if (r[0].n)
        memcpy(pairs, r[0].map, r[0].n * sizeof(*pairs));
    r[0].map = pairs;
    r[1].n = cap;
}

NOINLINE int map_add(struct cel__vm *vm, kr_val *r, kr_val k, kr_val v)
{
    if (k.kind == KR_ERROR || v.kind == KR_ERROR)
        return cel__raise_val(vm, k.kind == KR_ERROR ? k : v);
    KR_TRY(cel__charge(vm, CEL__KEY_LOOKS * cel__look_at(k)));
    map_room(vm, r, 1);
    ((struct kr_pair *)(uintptr_t)r[0].map)[r[0].n++] = (struct kr_pair){.key = k, .val = v};
    return 0;
}

NOINLINE int map_merge(struct cel__vm *vm, kr_val *r, kr_val m)
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

/* Sorted, and no two keys equal: true of a map whose keys were taken over. */
static bool strictly_sorted(kr_val m)
{
    for (uint32_t i = 1; i < m.n; i++) {
        if (m.map[i].key.kind != KR_STRING || cel__key_cmp(m.map[i - 1].key, m.map[i].key) >= 0)
            return false;
    }
    return true;
}

/* Sorts what was built; a key that comes twice is an error. */
NOINLINE int map_end(struct cel__vm *vm, kr_val built, kr_val *out)
{
    struct kr_pair *pairs;
    kr_val m;

    if (strictly_sorted(built)) {
        *out = built;
        return 0;
    }
    pairs = kr_raw_n(vm->a, struct kr_pair, built.n);

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

#define GO() goto *labels[in->op]
#define STEP()                                                                                     \
    do {                                                                                           \
        in++;                                                                                      \
        GO();                                                                                      \
    } while (0)
#define JUMP(to)                                                                                   \
    do {                                                                                           \
        in = p->insns + (to);                                                                      \
        GO();                                                                                      \
    } while (0)
/* Goes on to the next instruction when call gives 0. */
#define STEP_IF(call)                                                                              \
    do {                                                                                           \
        rc = (call);                                                                               \
        if (UNLIKELY(rc < 0))                                                                      \
            goto raised;                                                                           \
        STEP();                                                                                    \
    } while (0)
/* Result of a comparison. With a flag the next instruction looks at it, and nobody else does but
 * AND and OR at their left operand; that is done at once. */
#define COMPARED(result)                                                                           \
    do {                                                                                           \
        b = (result);                                                                              \
        if (in->flag) {                                                                            \
            in++;                                                                                  \
            goto *tests[in->op];                                                                   \
        }                                                                                          \
        *DST = kr_bool(b);                                                                         \
        STEP();                                                                                    \
    } while (0)
/* b is the result of && || all() exists(), whatever comes. */
#define DECIDED()                                                                                  \
    do {                                                                                           \
        *DST = kr_bool(b);                                                                         \
        JUMP(in->b);                                                                               \
    } while (0)
#define BOTH(k) (x->kind == (k) && y->kind == (k))
/* The instruction op, whose operand a is in x where it comes from a joined one. */
#define OPERANDS(op)                                                                               \
    L_##op : x = REF(in->a);                                                                       \
    GIVEN_##op : y = REF(in->b);
#define ORDER(cmp)                                                                                 \
    do {                                                                                           \
        if (UNLIKELY(!BOTH(KR_INT)))                                                               \
            STEP_IF(cel__arith(vm, in->op, *x, *y, DST));                                          \
        COMPARED(x->i cmp y->i);                                                                   \
    } while (0)
/* same: of what differs in kind or needs a closer look; result: from b, whether they are equal. */
#define EQUALITY(same, result)                                                                     \
    do {                                                                                           \
        if (UNLIKELY(quick_equal(x, y, &b))) {                                                     \
            v = same(vm, *x, *y);                                                                  \
            if (v.kind == KR_ERROR) {                                                              \
                rc = cel__raise_val(vm, v);                                                        \
                goto raised;                                                                       \
            }                                                                                      \
            *DST = v;                                                                              \
            STEP();                                                                                \
        }                                                                                          \
        COMPARED(result);                                                                          \
    } while (0)
#define ARITH(overflows)                                                                           \
    do {                                                                                           \
        int64_t sum_;                                                                              \
        x = REF(in->a);                                                                            \
        y = REF(in->b);                                                                            \
        if (UNLIKELY(!BOTH(KR_INT) || overflows(x->i, y->i, &sum_)))                               \
            STEP_IF(cel__arith(vm, in->op, *x, *y, DST));                                          \
        *DST = kr_int(sum_);                                                                       \
        STEP();                                                                                    \
    } while (0)
#define DST (&regs[in->dst])

/* Field by field: to clear the whole first takes as long as a short program. */
ALWAYS_INLINE void vm_begin(struct cel__vm *vm, const struct cel_prog *p, const struct cel_run *r)
{
    vm->a = r->a;
    vm->p = p;
    vm->slots = r->slots;
    vm->slots_n = r->slots_n;
    vm->cost = p->insns_n;
    vm->cost_max = r->cost_max ? r->cost_max : CEL_COST_MAX;
    vm->bytes_max = r->a->used_bytes + (r->bytes_max ? r->bytes_max : CEL_BYTES_MAX);
    vm->depth = 0;
    vm->parts = 0;
}

/* The registers: on the stack or, for large programs, in the arena. */
ALWAYS_INLINE kr_val *frame(const struct cel__vm *vm, const struct cel_prog *p, kr_val *stack)
{
    const kr_val *from = p->consts;
    const kr_val *end = from + p->consts_n;
    kr_val *regs = stack;

    if (UNLIKELY(p->regs_n + p->consts_n > STACK_REGS))
        regs = kr_raw_n(vm->a, kr_val, p->regs_n + p->consts_n);
    for (; from < end; from++, regs++)
        copy_val(regs, from);
    for (uint32_t i = 0; i < p->caches_n; i++)
        regs[p->regs_n - 1 - i] = KR_V_NONE;
    return regs;
}

NOINLINE int failed(const struct cel__vm *vm, struct cel_run *r, struct kr_err *err)
{
    const struct cel__error *e = cel__error_of(vm->raised);

    r->cost = vm->cost;
    r->fail = e->fail;
    if (e == &over_memory)
        return kr_fail(err, e->code, KR_FMT ": more than %zu bytes", KR_ARG(e->text),
                       r->bytes_max ? r->bytes_max : (size_t)CEL_BYTES_MAX);
    return kr_fail(err, e->code, KR_FMT, KR_ARG(e->text));
}

/* kept: the vm that the caller goes on with; NULL: none. */
NOINLINE int run(const struct cel_prog *p, struct cel_run *r, struct cel__vm *kept, kr_val *out,
                 struct kr_err *err)
{
#define CEL_OP(name) &&L_##name,
    static const void *const labels[] = {
#include "cel/opcode.def"
    };
#undef CEL_OP
    static const void *const tests[OP_N] = {
        [OP_BRANCH] = &&TEST_BRANCH, [OP_AND_LEFT] = &&TEST_AND_LEFT, [OP_OR_LEFT] = &&TEST_OR_LEFT,
        [OP_ALL] = &&TEST_ALL,       [OP_ANY] = &&TEST_ANY,           [OP_AND] = &&TEST_BOTH,
        [OP_OR] = &&TEST_BOTH,       [OP_NOT] = &&TEST_NOT,
    };
    struct cel__vm own;
    struct cel__vm *vm = kept ? kept : &own;
    kr_val stack[STACK_REGS];
    kr_val *regs;
    const struct cel__insn *in = p->insns;
    const struct cel__handler *h;
    const kr_val *x;
    const kr_val *y;
    kr_val v;
    bool b = false;
    int rc;

    vm_begin(vm, p, r);
    regs = frame(vm, p, stack);
    if (UNLIKELY(vm->cost > vm->cost_max)) {
        cel__over_limit(vm);
        return failed(vm, r, err);
    }
    GO();

L_MOVE:
    x = REF(in->a);
    if (UNLIKELY(x->kind == KR_ERROR)) {
        rc = cel__raise_val(vm, *x);
        goto raised;
    }
    copy_val(DST, x);
    if (!in->flag)
        STEP();
    in++;
L_RETURN:
    x = REF(in->a);
    if (UNLIKELY(x->kind == KR_ERROR)) {
        rc = cel__raise_val(vm, *x);
        goto raised;
    }
    copy_val(out, x);
    r->cost = vm->cost;
    r->fail = CEL_FAIL_NONE;
    return 0;
L_SLOT:
    STEP_IF(load_slot(vm, in, DST));
L_PATH:
    if (in->flag) {
        x = &regs[p->paths[in->b].cache];
        if (x->kind != KR_NONE) {
            copy_val(DST, x);
            STEP();
        }
    }
    x = plain_path(vm->slots, vm->slots_n, in, &p->paths[in->b]);
    if (UNLIKELY(!x))
        STEP_IF(load_path(vm, in, DST));
    copy_val(DST, x);
    if (in->flag)
        copy_val(&regs[p->paths[in->b].cache], x);
    STEP();
/* Two in one: the member goes into x, and on as the next one's operand a. */
#define CEL_OP(name)
#define CEL_JOINED(first, next) JOINED_##first(next)
#define JOINED_SELECT(next)                                                                        \
    L_SELECT_##next : x = REF(in->a);                                                              \
    x = plain_member(x, &p->keys[in->b]);                                                          \
    if (UNLIKELY(!x))                                                                              \
        STEP_IF(select_any(vm, REF(in->a), &p->keys[in->b], DST));                                 \
    in++;                                                                                          \
    goto GIVEN_##next;
#define JOINED_PATH(next)                                                                          \
    L_PATH_##next : x = plain_path(vm->slots, vm->slots_n, in, &p->paths[in->b]);                  \
    if (UNLIKELY(!x))                                                                              \
        STEP_IF(load_path(vm, in, DST));                                                           \
    in++;                                                                                          \
    goto GIVEN_##next;
#include "cel/opcode.def"
#undef CEL_OP
L_SELECT:
    x = REF(in->a);
GIVEN_SELECT:
    y = plain_member(x, &p->keys[in->b]);
    if (UNLIKELY(!y))
        STEP_IF(select_any(vm, x, &p->keys[in->b], DST));
    copy_val(DST, y);
    STEP();
L_HAS:
    x = REF(in->a);
GIVEN_HAS:
    rc = 1;
    if (!plain_member(x, &p->keys[in->b])) {
        rc = has_any(vm, x, &p->keys[in->b]);
        if (UNLIKELY(rc < 0))
            goto raised;
    }
    COMPARED(rc != 0);
L_OPT_PATH:
    x = REF(in->a);
GIVEN_OPT_PATH:
    STEP_IF(optional_path(vm, x, &p->paths[in->b], DST));
L_INDEX:
    x = REF(in->a);
    y = plain_item(x, REF(in->b));
    if (UNLIKELY(!y))
        STEP_IF(cel__index(vm, *x, VAL(in->b), DST));
    copy_val(DST, y);
    STEP();
L_OPT_INDEX:
    STEP_IF(cel__opt_index(vm, VAL(in->a), VAL(in->b), DST));
L_CONCAT:
    STEP_IF(concat(vm, regs, in, DST));
L_ADD:
    ARITH(__builtin_add_overflow);
L_SUB:
    ARITH(__builtin_sub_overflow);
L_MUL:
    ARITH(__builtin_mul_overflow);
L_DIV:
L_MOD:
    STEP_IF(cel__arith(vm, in->op, VAL(in->a), VAL(in->b), DST));
    OPERANDS(EQ)
    EQUALITY(cel__equal, b);
    OPERANDS(NE)
    EQUALITY(cel__differ, !b);
    OPERANDS(LT)
    ORDER(<);
    OPERANDS(LE)
    ORDER(<=);
    OPERANDS(GT)
    ORDER(>);
    OPERANDS(GE)
    ORDER(>=);
L_IN:
    STEP_IF(cel__in(vm, VAL(in->a), VAL(in->b), DST));
L_NOT:
    x = REF(in->a);
    if (UNLIKELY(x->kind != KR_BOOL)) {
        rc = x->kind == KR_ERROR ? cel__raise_val(vm, *x) : cel__no_overload(vm);
        goto raised;
    }
    COMPARED(!x->b);
L_NEGATE:
    STEP_IF(cel__negate(vm, VAL(in->a), DST));
TEST_NOT:
    COMPARED(!b);
TEST_BRANCH:
    if (!b)
        JUMP(in->b);
    STEP();
TEST_AND_LEFT:
    if (!b)
        DECIDED();
    regs[in->a] = kr_bool(b);
    STEP();
TEST_OR_LEFT:
    if (b)
        DECIDED();
    regs[in->a] = kr_bool(b);
    STEP();
TEST_BOTH:
    x = REF(in->a);
    if (UNLIKELY(x->kind != KR_BOOL)) {
        regs[in->b] = kr_bool(b);
        GO();
    }
    *DST = kr_bool(in->op == OP_OR ? x->b || b : x->b && b);
    STEP();
TEST_ALL:
    if (!b)
        DECIDED();
    STEP();
TEST_ANY:
    if (b)
        DECIDED();
    STEP();
L_JUMP:
    JUMP(in->b);
L_BRANCH:
    x = REF(in->a);
GIVEN_BRANCH:
    if (UNLIKELY(x->kind != KR_BOOL)) {
        rc = x->kind == KR_ERROR ? cel__raise_val(vm, *x) : cel__no_overload(vm);
        goto raised;
    }
    if (!x->b)
        JUMP(in->b);
    STEP();
L_AND_LEFT:
L_OR_LEFT:
    x = REF(in->a);
    if (x->kind == KR_BOOL && x->b == (in->op == OP_OR_LEFT)) {
        *DST = kr_bool(x->b);
        JUMP(in->b);
    }
    STEP();
L_AND:
L_OR:
    x = REF(in->a);
    y = REF(in->b);
    if (UNLIKELY(!BOTH(KR_BOOL)))
        STEP_IF(logical(vm, *x, *y, in->op == OP_OR, DST));
    *DST = kr_bool(in->op == OP_OR ? x->b || y->b : x->b && y->b);
    STEP();
L_ALL:
L_ANY:
    if (quantify(vm, DST, REF(in->a), in->op == OP_ANY))
        JUMP(in->b);
    STEP();
L_HAS_VALUE:
    x = REF(in->a);
    if (UNLIKELY(x->kind != KR_OPTIONAL)) {
        rc = x->kind == KR_ERROR ? cel__raise_val(vm, *x) : cel__no_overload(vm);
        goto raised;
    }
    if (!x->ref)
        STEP();
    copy_val(DST, in->flag ? x->ref : x);
    JUMP(in->b);
L_NONE:
    x = REF(in->a);
    if (x->kind != KR_OPTIONAL || x->ref)
        STEP();
    *DST = CEL__OPT_NONE;
    JUMP(in->b);
L_PLAIN:
    x = REF(in->a);
    if (LIKELY(x->kind != KR_OPTIONAL))
        STEP();
    rc = cel__raise(vm, "no such key: " KR_FMT, KR_ARG(cel__print(vm->a, VAL(in->b))));
    goto raised;
L_LIST:
    STEP_IF(make_list(vm, regs, in, DST));
L_MAP:
    STEP_IF(make_map(vm, regs, in, DST));
L_CALL:
    if (in->flag)
        STEP_IF(run_call(vm, &p->calls[in->a], REF(in->b), DST));
    STEP_IF(run_call_copied(vm, regs, &p->calls[in->a], DST));
L_ITER:
    STEP_IF(iter_begin(vm, VAL(in->a), in->flag, DST));
L_NEXT:
    if (!iter_next(vm, &regs[in->a], DST, in->flag))
        JUMP(in->b);
    STEP();
L_AGAIN:
    if (!iter_next(vm, &regs[in->a], DST, in->flag))
        STEP();
    vm->cost += in->b + 1;
    if (UNLIKELY(vm->cost > vm->cost_max || vm->a->used_bytes > vm->bytes_max)) {
        rc = cel__over_limit(vm); /* bytes: optionals and errors made in the loop */
        goto raised;
    }
    in -= in->b;
    GO();
L_LIST_BEGIN:
    rc = cel__charge(vm, regs[in->a].n / 4);
    *DST = kr_list(kr_raw_n(vm->a, kr_val, regs[in->a].n), 0);
    STEP_IF(rc);
L_LIST_ADD:
    x = REF(in->a);
GIVEN_LIST_ADD:
    STEP_IF(list_add(vm, DST, x));
L_MAP_BEGIN:
    rc = cel__charge(vm, regs[in->a].n / 4);
    DST[0] = kr_map_sorted(kr_raw_n(vm->a, struct kr_pair, regs[in->a].n), 0);
    DST[1] = (kr_val){.kind = KR_INT, .n = regs[in->a].n};
    STEP_IF(rc);
L_MAP_ADD:
    STEP_IF(map_add(vm, DST, VAL(in->a), VAL(in->b)));
L_MAP_MERGE:
    STEP_IF(map_merge(vm, DST, VAL(in->a)));
L_MAP_END:
    STEP_IF(map_end(vm, regs[in->a], DST));
L_COUNT:
    DST->i++;
    STEP();
L_LAZY:
    x = &regs[in->a];
    if (x->kind == KR_NONE) {
        *DST = kr_int(in - p->insns);
        JUMP(in->b);
    }
    if (UNLIKELY(x->kind == KR_ERROR)) {
        rc = cel__raise_val(vm, *x);
        goto raised;
    }
    STEP();
L_UNBIND:
    *DST = KR_V_NONE;
    STEP();
L_BACK:
    JUMP((uint32_t)regs[in->a].i);
L_RAISE:
    rc = cel__raise(vm, KR_FMT, KR_ARG(kr_text(VAL(in->a))));
raised:
    h = rc == KR_E_LIMIT ? NULL : handler_at(p, (uint32_t)(in - p->insns));
    if (!h)
        return failed(vm, r, err);
    regs[h->reg] = vm->raised;
    JUMP(h->target);
}

int cel__eval_raw(const struct cel_prog *p, struct cel_run *r, struct cel__vm *vm, kr_val *out,
                  struct kr_err *err)
{
    return run(p, r, vm, out, err);
}

/* With schemas: the result may hold what is still to be converted. */
NOINLINE int eval_typed(const struct cel_prog *p, struct cel_run *r, kr_val *out,
                        struct kr_err *err)
{
    struct cel__vm vm;
    kr_val v;

    KR_TRY(cel__eval_raw(p, r, &vm, &v, err));
    v = cel__typed_finish(&vm, v);
    if (vm.parts > CEL__VALUE_PARTS_MAX) {
        r->fail = CEL_FAIL_LIMIT;
        return kr_fail(err, KR_E_LIMIT, "the result has more than %d parts", CEL__VALUE_PARTS_MAX);
    }
    *out = v;
    return 0;
}

int cel_eval(const struct cel_prog *p, struct cel_run *run_, kr_val *out, struct kr_err *err)
{
    const kr_val *v = NULL;

    if (p->only_path)
        v = plain_path(run_->slots, run_->slots_n, p->insns, &p->paths[p->insns->b]);
    if (!v)
        return p->types_n ? eval_typed(p, run_, out, err) : run(p, run_, NULL, out, err);
    copy_val(out, v);
    run_->cost = p->insns_n;
    run_->fail = CEL_FAIL_NONE;
    return 0;
}
