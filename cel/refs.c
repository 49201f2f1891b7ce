/* SPDX-License-Identifier: Apache-2.0 */
/* refs.c - what an expression depends on.
 *
 * The read-set of a typed tree: for each variable the longest chains of constant selections. A
 * chain ends at the first index that is not a constant name, at a call and at a comprehension;
 * what is left is read as a whole. A name bound by cel.bind stands for the path it is bound to.
 * Reading is conservative: a path may be named that a run does not touch, never the reverse.
 *
 * The inspection is kro's own, on the syntax alone: free identifiers and unknown functions.
 *
 * Source: reference section 18; kro:pkg/cel/ast/inspector.go.
 */
#include "cel/internal.h"

#include "cel/base/banned.h"

enum {
    CHAIN_MAX = 2 * CEL_DEPTH_MAX,
    READS_MAX = 512, /* paths of one expression; beyond it, variables are read as a whole */
};

/* --- read-set --------------------------------------------------------------------------------- */

struct alias {
    const struct alias *up;
    uint32_t local;
    const struct cel_read *path; /* NULL: stands for no path */
};

struct walker {
    struct kr_arena *a;
    struct cel_read *reads;
    uint32_t n, cap;
    const struct alias *aliases;
    struct chain *scratch; /* the one path under construction */
};

/* A path under construction, from the root. */
struct chain {
    uint32_t slot;
    uint32_t n;
    kr_str names[CHAIN_MAX];
};

/* The data key that `name` selects from a value of type t. */
static kr_str data_key(struct kr_arena *a, const struct cel_type *t, kr_str name)
{
    const struct cel_type *inner = t;
    kr_str raw;

    if (t && cel_type_is_optional(t, &inner))
        t = inner;
    if (t && t->kind == TK_OBJECT && t->schema && (t->schema->fields_n || t->schema->embedded) &&
        cel__unescape(a, name, &raw))
        return raw;
    return name;
}

static bool extend(struct chain *c, kr_str name)
{
    if (c->n == CHAIN_MAX)
        return false;
    c->names[c->n++] = name;
    return true;
}

static bool alias_chain(struct walker *w, uint32_t local, struct chain *c)
{
    const struct alias *al = w->aliases;

    while (al && al->local != local)
        al = al->up;
    if (!al || !al->path)
        return false;
    c->slot = al->path->slot;
    c->n = al->path->names_n;
    for (uint32_t i = 0; i < c->n; i++)
        c->names[i] = al->path->names[i];
    return true;
}

/* The path that e stands for; false: none. */
static bool chain_of(struct walker *w, const struct cel__node *e, struct chain *c)
{
    if ((e->kind == NK_IDENT || e->kind == NK_SELECT) && e->slot >= 0) {
        c->slot = (uint32_t)e->slot;
        c->n = 0;
        return true;
    }
    if (e->kind == NK_IDENT && e->local != CEL__NO_LOCAL)
        return alias_chain(w, e->local, c);
    if (e->kind == NK_SELECT && e->slot == CEL__SLOT_NONE)
        return chain_of(w, e->target, c) && extend(c, data_key(w->a, e->target->type, e->name));
    if (e->kind == NK_CALL && e->args_n == 2 && e->args[1]->kind == NK_CONST &&
        e->args[1]->value.kind == KR_STRING &&
        (kr_str_is(e->name, "_[_]") || kr_str_is(e->name, "_[?_]") || kr_str_is(e->name, "_?._")))
        return chain_of(w, e->args[0], c) &&
               extend(c, data_key(w->a, e->args[0]->type, kr_text(e->args[1]->value)));
    return false;
}

static bool is_prefix(const struct cel_read *p, const struct cel_read *of)
{
    if (p->slot != of->slot || p->names_n > of->names_n)
        return false;
    for (uint32_t i = 0; i < p->names_n; i++) {
        if (!kr_str_eq(p->names[i], of->names[i]))
            return false;
    }
    return true;
}

static struct cel_read read_copy(struct kr_arena *a, const struct cel_read *r)
{
    kr_str *names = r->names_n ? kr_new_n(a, kr_str, r->names_n) : NULL;

    for (uint32_t i = 0; i < r->names_n; i++)
        names[i] = kr_strdup(a, r->names[i]);
    return (struct cel_read){.slot = r->slot, .names_n = r->names_n, .names = names};
}

static void add_read(struct walker *w, const struct chain *c)
{
    struct cel_read r = {
        .slot = c->slot, .names_n = w->n < READS_MAX ? c->n : 0, .names = c->names};
    uint32_t kept = 0;

    for (uint32_t i = 0; i < w->n; i++) {
        if (is_prefix(&w->reads[i], &r))
            return;
    }
    for (uint32_t i = 0; i < w->n; i++) {
        if (!is_prefix(&r, &w->reads[i]))
            w->reads[kept++] = w->reads[i];
    }
    w->n = kept;
    if (w->n == w->cap) {
        uint32_t cap = w->cap ? 2 * w->cap : 8;
        struct cel_read *grown = kr_new_n(w->a, struct cel_read, cap);

        if (w->n)
            memcpy(grown, w->reads, w->n * sizeof(*grown));
        w->reads = grown;
        w->cap = cap;
    }
    w->reads[w->n++] = read_copy(w->a, &r);
}

static void walk(struct walker *w, const struct cel__node *e);

static void walk_fold(struct walker *w, const struct cel__fold *f, uint32_t local)
{
    struct alias al = {.up = w->aliases, .local = local};
    struct chain *c = w->scratch;
    struct cel_read path;

    if (f->kind != FOLD_BIND) {
        walk(w, f->range);
        if (f->pred)
            walk(w, f->pred);
        if (f->body)
            walk(w, f->body);
        return;
    }
    if (chain_of(w, f->init, c)) {
        path = read_copy(w->a,
                         &(struct cel_read){.slot = c->slot, .names_n = c->n, .names = c->names});
        al.path = &path;
    } else {
        walk(w, f->init);
    }
    w->aliases = &al;
    walk(w, f->body);
    w->aliases = al.up;
}

/* runtime.condition(x, type) looks into x.status.conditions, and nowhere else in x. */
static bool walk_lookup(struct walker *w, const struct cel__node *e)
{
    struct chain *c = w->scratch;

    if (e->kind != NK_CALL || !e->member || e->target->slot != CEL__SLOT_RUNTIME ||
        !kr_str_is(e->name, "condition") || e->args_n != 2 || !chain_of(w, e->args[0], c) ||
        !extend(c, KR_S("status")) || !extend(c, KR_S("conditions")))
        return false;
    add_read(w, c);
    walk(w, e->args[1]);
    return true;
}

static void walk(struct walker *w, const struct cel__node *e)
{
    if (walk_lookup(w, e))
        return;
    if ((e->kind == NK_IDENT || e->kind == NK_SELECT || e->kind == NK_CALL) &&
        chain_of(w, e, w->scratch)) {
        add_read(w, w->scratch);
        return;
    }
    if (e->kind == NK_FOLD) {
        walk_fold(w, e->fold, e->local);
        return;
    }
    if (e->target && e->slot == CEL__SLOT_NONE && (e->member || e->kind == NK_SELECT))
        walk(w, e->target);
    for (uint32_t i = 0; i < e->args_n; i++)
        walk(w, e->args[i]);
}

const struct cel_read *cel__reads(struct kr_arena *a, struct kr_arena *tmp,
                                  const struct cel__node *root, uint32_t *n)
{
    struct walker w = {.a = tmp, .scratch = kr_raw_n(tmp, struct chain, 1)};
    struct cel_read *own;

    walk(&w, root);
    *n = w.n;
    own = kr_new_n(a, struct cel_read, w.n);
    for (uint32_t i = 0; i < w.n; i++)
        own[i] = read_copy(a, &w.reads[i]);
    return own;
}

/* --- inspection ------------------------------------------------------------------------------- */

struct names {
    kr_str *v;
    uint32_t n, cap;
};

struct bound {
    const struct bound *up;
    kr_str name;
};

struct inspector {
    struct kr_arena *a;
    const struct cel_env *env;
    const struct bound *bound;
    struct names idents, functions;
    bool uses_omit;
};

static void names_add(struct kr_arena *a, struct names *l, kr_str name)
{
    for (uint32_t i = 0; i < l->n; i++) {
        if (kr_str_eq(l->v[i], name))
            return;
    }
    if (l->n == l->cap) {
        uint32_t cap = l->cap ? 2 * l->cap : 8;
        kr_str *grown = kr_new_n(a, kr_str, cap);

        if (l->n)
            memcpy(grown, l->v, l->n * sizeof(*grown));
        l->v = grown;
        l->cap = cap;
    }
    l->v[l->n++] = kr_strdup(a, name);
}

static void inspect_ident(struct inspector *in, kr_str name)
{
    if (name.n && name.s[0] == '.') {
        name = kr_str_sub(name, 1, name.n);
    } else {
        for (const struct bound *b = in->bound; b; b = b->up) {
            if (kr_str_eq(b->name, name))
                return;
        }
    }
    if (kr_str_starts(name, KR_S("@")) || kr_str_starts(name, KR_S("$$")))
        return;
    names_add(in->a, &in->idents, name);
}

static void inspect(struct inspector *in, const struct cel__node *e);

static void inspect_call(struct inspector *in, const struct cel__node *e)
{
    kr_str prefix;

    if (kr_str_is(e->name, "omit") && !e->member)
        in->uses_omit = true;
    for (uint32_t i = 0; i < e->args_n; i++)
        inspect(in, e->args[i]);
    if (!e->member) {
        kr_str name = e->name.s[0] == '.' ? kr_str_sub(e->name, 1, e->name.n) : e->name;

        if (!cel_env_has_function(in->env, name))
            names_add(in->a, &in->functions, name);
        return;
    }
    if (cel__dotted(in->a, e->target, &prefix) &&
        cel_env_has_function(in->env, kr_dotted(in->a, prefix, e->name)))
        return;
    inspect(in, e->target);
}

/* The range stands outside of the loop: a name in it that is also the loop's is the outer one. (kro
 * hides it, and so loses what `${c.data.items.map(c, ...)}` depends on.) */
static void inspect_fold(struct inspector *in, const struct cel__fold *f)
{
    struct bound var1 = {.up = in->bound, .name = f->var1};
    struct bound var2 = {.up = &var1, .name = f->var2};
    struct bound accu = {.up = &var2, .name = f->accu};
    const struct bound *outer = in->bound;

    inspect(in, f->range);
    inspect(in, f->init);
    in->bound = &accu;
    inspect(in, f->step);
    inspect(in, f->result);
    in->bound = outer;
}

static void inspect(struct inspector *in, const struct cel__node *e)
{
    switch (e->kind) {
    case NK_IDENT:
        inspect_ident(in, e->name);
        return;
    case NK_SELECT:
        inspect(in, e->target);
        return;
    case NK_CALL:
        inspect_call(in, e);
        return;
    case NK_FOLD:
        inspect_fold(in, e->fold);
        return;
    case NK_LIST:
    case NK_MAP:
    case NK_STRUCT:
        for (uint32_t i = 0; i < e->args_n; i++)
            inspect(in, e->args[i]);
        return;
    }
}

int cel_inspect(struct kr_arena *a, const struct cel_env *env, kr_str text,
                struct cel_inspection *out, struct kr_err *err)
{
    struct kr_arena tmp = {0};
    struct cel__diags diags = {.a = &tmp, .source = text};
    struct inspector in = {.a = a, .env = env};
    struct cel__node *root = cel__parse(&tmp, env, &diags, text);
    int rc = 0;

    if (root) {
        inspect(&in, root);
        *out = (struct cel_inspection){.idents_n = in.idents.n,
                                       .idents = in.idents.v,
                                       .functions_n = in.functions.n,
                                       .functions = in.functions.v,
                                       .uses_omit = in.uses_omit};
    } else {
        rc = cel__diags_fail(&diags, err);
    }
    kr_arena_fini(&tmp);
    return rc;
}
