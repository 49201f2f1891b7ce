/* SPDX-License-Identifier: Apache-2.0 */
/* env.c - what an expression may name: variables, types, functions.
 *
 * The functions are constant tables, which the build makes of functions.def (gen_functions.c); an
 * environment only says which libraries of them it has. Children add variables; names are searched
 * from the newest child to the root, so that a later one shadows.
 */
#include "cel/internal.h"

#include "cel/functions.h"
#include "cel/hash.h"

#include "cel/base/banned.h"

#define CEL_FUNCTION(lib, name, style, id, signature, impl, flags, help)                           \
    {CEL_LIB_##lib, style, flags, name, id, signature, help, impl},
const struct cel__row cel__rows[] = {
#include "cel/functions.def"
};
#undef CEL_FUNCTION
const uint32_t cel__rows_n = KR_N(cel__rows);

/* Stands in rows of operators, which have an opcode instead. */
int cel__no_impl(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return cel__no_overload(vm);
}

#include "cel/functions.inc" /* table_overloads, table_functions, table_buckets */

/* --- functions -------------------------------------------------------------------------------- */

/* Reads "T, T -> T". */
static void read_signature(struct kr_arena *a, const struct cel__row *row, struct cel__overload *o)
{
    const struct cel_type *args[8];
    const struct cel_type **own;
    kr_str sig = kr_str_c(row->signature);
    ptrdiff_t arrow = kr_str_find(sig, KR_S(" -> "));
    kr_str params = kr_str_sub(sig, 0, (size_t)arrow);
    kr_str result = kr_str_sub(sig, (size_t)arrow + 4, sig.n);
    uint32_t n = 0;

    KR_ASSERT(arrow >= 0);
    while (params.n) {
        KR_ASSERT(n < KR_N(args));
        args[n++] = cel__type_parse(a, &params);
        if (params.n)
            params = kr_str_sub(params, 1, params.n); /* the comma */
    }
    own = kr_new_n(a, const struct cel_type *, n);
    memcpy(own, args, n * sizeof(*own));
    o->row = row;
    o->args_n = n;
    o->args = own;
    o->result = cel__type_parse(a, &result);
}

void cel__env_declare(struct cel_env *env, const struct cel__row *rows, uint32_t n)
{
    struct cel__overload *overloads = kr_new_n(env->a, struct cel__overload, n);
    struct cel__fn *fns = kr_new_n(env->a, struct cel__fn, n + env->declared_n);

    for (uint32_t i = 0; i < env->declared_n; i++)
        fns[n + i] = env->declared[i];
    for (uint32_t i = 0; i < n; i++) {
        read_signature(env->a, &rows[i], &overloads[i]);
        fns[i] = (struct cel__fn){
            .name = kr_str_c(rows[i].name), .overloads_n = 1, .overloads = &overloads[i]};
    }
    env->declared = fns;
    env->declared_n += n;
}

static const struct cel__fn *table_find(kr_str name)
{
    uint32_t at = cel__name_hash(name.s, name.n) & (TABLE_BUCKETS_N - 1);

    for (; table_buckets[at]; at = (at + 1) & (TABLE_BUCKETS_N - 1)) {
        const struct cel__fn *fn = &table_functions[table_buckets[at] - 1];

        if (kr_str_eq(fn->name, name))
            return fn;
    }
    return NULL;
}

static const struct cel__fn *find(const struct cel_env *env, kr_str name)
{
    const struct cel__fn *fn;

    for (const struct cel_env *e = env; e; e = e->parent) {
        for (uint32_t i = 0; i < e->declared_n; i++) {
            if (kr_str_eq(e->declared[i].name, name))
                return &e->declared[i];
        }
    }
    fn = table_find(name);
    return fn && (fn->libs & env->libs) ? fn : NULL;
}

/* fn without the overloads of libraries that are not there. */
static const struct cel__fn *chosen(struct kr_arena *a, const struct cel__fn *fn, unsigned libs)
{
    struct cel__overload *overloads = kr_new_n(a, struct cel__overload, fn->overloads_n);
    struct cel__fn *some = kr_new(a, struct cel__fn);

    *some = *fn;
    some->overloads = overloads;
    some->overloads_n = 0;
    for (uint32_t i = 0; i < fn->overloads_n; i++) {
        if (fn->overloads[i].row->lib & libs)
            overloads[some->overloads_n++] = fn->overloads[i];
    }
    return some;
}

const struct cel__fn *cel__env_function(struct kr_arena *a, const struct cel_env *env, kr_str name)
{
    const struct cel__fn *fn = find(env, name);

    return fn && fn->mixed && (fn->libs & ~env->libs) ? chosen(a, fn, env->libs) : fn;
}

bool cel__overload_in_table(const struct cel__overload *o)
{
    return o >= table_overloads && o < table_overloads + KR_N(table_overloads);
}

bool cel_env_has_function(const struct cel_env *env, kr_str name)
{
    return find(env, name) != NULL;
}

/* --- environments ----------------------------------------------------------------------------- */

struct cel_env *cel_env_new(struct kr_arena *a, unsigned libs)
{
    struct cel_env *env = kr_new(a, struct cel_env);

    env->a = a;
    env->libs = libs;
    return env;
}

struct cel_env *cel_env_extend(struct kr_arena *a, const struct cel_env *parent)
{
    struct cel_env *env = kr_new(a, struct cel_env);

    env->a = a;
    env->parent = parent;
    env->libs = parent->libs;
    env->container = parent->container;
    env->shared = parent->shared;
    env->first_slot = cel_env_slots_n(parent);
    return env;
}

void cel_env_share(struct cel_env *env, struct kr_arena *a)
{
    env->shared = kr_new(env->a, struct cel__shared);
    env->shared->a = a;
}

uint32_t cel_env_slots_n(const struct cel_env *env)
{
    return env->first_slot + env->vars_n;
}

/* The slot of that name in the env's own table: of its variable, or free. */
static uint32_t *slot_of(const struct cel_env *env, kr_str name)
{
    uint32_t mask = 2 * env->vars_cap - 1, at = cel__name_hash(name.s, name.n) & mask;

    while (env->slots[at] && !kr_str_eq(env->vars[env->slots[at] - 1].name, name))
        at = (at + 1) & mask;
    return &env->slots[at];
}

uint32_t cel_env_var(struct cel_env *env, kr_str name, const struct cel_type *type,
                     const struct cel_schema *schema)
{
    uint32_t slot = cel_env_slots_n(env);

    if (env->vars_n == env->vars_cap) {
        uint32_t cap = env->vars_cap ? 2 * env->vars_cap : 8;
        struct cel__var *grown = kr_new_n(env->a, struct cel__var, cap);

        if (env->vars_n)
            memcpy(grown, env->vars, env->vars_n * sizeof(*grown));
        env->vars = grown;
        env->vars_cap = cap;
        env->slots = kr_new_n(env->a, uint32_t, 2 * cap);
        for (uint32_t i = 0; i < env->vars_n; i++)
            *slot_of(env, grown[i].name) = i + 1;
    }
    env->vars[env->vars_n++] = (struct cel__var){
        .name = kr_strdup(env->a, name), .type = type, .schema = schema, .slot = slot};
    *slot_of(env, name) = env->vars_n;
    return slot;
}

const struct cel__var *cel__env_var(const struct cel_env *env, kr_str name)
{
    for (; env; env = env->parent) {
        uint32_t at = env->vars_n ? *slot_of(env, name) : 0;

        if (at)
            return &env->vars[at - 1];
    }
    return NULL;
}

int32_t cel_env_find(const struct cel_env *env, kr_str name)
{
    const struct cel__var *v = cel__env_var(env, name);

    return v ? (int32_t)v->slot : -1;
}

kr_str cel_env_name(const struct cel_env *env, uint32_t slot)
{
    while (env && slot < env->first_slot)
        env = env->parent;
    return env && slot < cel_env_slots_n(env) ? env->vars[slot - env->first_slot].name
                                              : (kr_str){0};
}

/* --- types that can be named ------------------------------------------------------------------ */

static const struct cel_type *const dyn_params[] = {&cel__t_dyn, &cel__t_dyn};
static const struct cel_type list_dyn = {
    .kind = TK_LIST, .name = {"list", 4}, .params = dyn_params, .params_n = 1};
static const struct cel_type map_dyn = {
    .kind = TK_MAP, .name = {"map", 3}, .params = dyn_params, .params_n = 2};
static const struct cel_type optional_dyn = {
    .kind = TK_OPAQUE, .name = {"optional_type", 13}, .params = dyn_params, .params_n = 1};
static const struct cel_type ip_type = {.kind = TK_OPAQUE, .name = {"net.IP", 6}};
static const struct cel_type cidr_type = {.kind = TK_OPAQUE, .name = {"net.CIDR", 8}};

const struct cel_type *cel__env_type(const struct cel_env *env, kr_str name)
{
    static const struct {
        uint8_t lib;
        const struct cel_type *type;
    } types[] = {
        {CEL_LIB_STD, &cel__t_bool},      {CEL_LIB_STD, &cel__t_bytes},
        {CEL_LIB_STD, &cel__t_double},    {CEL_LIB_STD, &cel__t_int},
        {CEL_LIB_STD, &cel__t_null},      {CEL_LIB_STD, &cel__t_string},
        {CEL_LIB_STD, &cel__t_uint},      {CEL_LIB_STD, &cel__t_type},
        {CEL_LIB_STD, &cel__t_timestamp}, {CEL_LIB_STD, &cel__t_duration},
        {CEL_LIB_STD, &list_dyn},         {CEL_LIB_STD, &map_dyn},
        {CEL_LIB_EXT, &optional_dyn},     {CEL_LIB_K8S, &ip_type},
        {CEL_LIB_K8S, &cidr_type},
    };

    for (size_t i = 0; i < KR_N(types); i++) {
        if ((types[i].lib & env->libs) && kr_str_eq(types[i].type->name, name))
            return types[i].type;
    }
    return NULL;
}
