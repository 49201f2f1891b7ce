/* SPDX-License-Identifier: Apache-2.0 */
/* diagnose.c - what is wrong with an expression, said for people: each diagnostic apart, with its
 * place and the name that was probably meant. cel_compile says the same in cel-go's words, all at
 * once; this is asked only behind a failure.
 */
#include "cel/internal.h"

#include "cel/base/near.h"

#include "cel/base/banned.h"

static void near_env(struct kr_near *near, const struct cel_env *env)
{
    for (const struct cel_env *e = env; e; e = e->parent) {
        for (uint32_t i = 0; i < e->vars_n; i++)
            kr_near_try(near, e->vars[i].name);
    }
}

/* Functions are tried in the order of functions.def, so that the answer does not follow a hash. */
static void near_functions(struct kr_near *near, const struct cel_env *env)
{
    for (uint32_t i = 0; i < cel__rows_n; i++) {
        kr_str name = kr_str_c(cel__rows[i].name);

        if (!(cel__rows[i].flags & (FN_HIDDEN | FN_OP)) && cel_env_has_function(env, name))
            kr_near_try(near, name);
    }
}

static void about_field(struct kr_arena *a, const struct cel__diag *from, struct cel_diag *out)
{
    const struct cel_schema *s = from->object->schema;
    struct kr_near near = {.word = from->name};
    kr_str *names = kr_new_n(a, kr_str, s ? s->fields_n : 0);

    for (uint32_t i = 0; s && i < s->fields_n; i++) {
        const struct cel_type *t;
        kr_str escaped;

        if (!cel__escape(a, s->fields[i].name, &escaped) ||
            cel__type_field(a, from->object, escaped, &t) != CEL__FIELD_OK)
            continue; /* not to be selected */
        if (cel__reserved_word(s->fields[i].name))
            escaped = s->fields[i].name; /* is read as it is */
        escaped = kr_strdup(a, escaped);
        kr_near_try(&near, escaped);
        names[out->fields_n++] = escaped;
    }
    out->fields = names;
    out->nearest = near.best;
}

static void about(struct kr_arena *a, const struct cel_env *env, const struct cel__diag *from,
                  struct cel_diag *out)
{
    struct kr_near near = {.word = from->name};

    if (from->object) {
        about_field(a, from, out);
        return;
    }
    near_env(&near, env);
    near_functions(&near, env);
    out->nearest = kr_strdup(a, near.best);
}

const struct cel_diag *cel_diagnose(struct kr_arena *a, const struct cel_env *env, kr_str text,
                                    uint32_t *n)
{
    struct kr_arena tmp = {0};
    struct cel__diags diags = {.a = &tmp, .source = text};
    struct cel__node *root = cel__parse(&tmp, env, &diags, text);
    struct cel_diag *out;

    if (root)
        cel__check(&tmp, env, &diags, root, false);
    cel__diags_sort(&diags);
    out = kr_new_n(a, struct cel_diag, diags.n);
    for (uint32_t i = 0; i < diags.n; i++) {
        const struct cel__diag *d = &diags.list[i];

        out[i].pos = d->pos == CEL__POS_NONE ? UINT32_MAX : d->pos;
        out[i].message = kr_strdup(a, d->text);
        if (d->name.n)
            about(a, env, d, &out[i]);
    }
    *n = diags.n;
    kr_arena_fini(&tmp);
    return out;
}

kr_str cel_env_nearest_function(const struct cel_env *env, kr_str name)
{
    struct kr_near near = {.word = name};

    near_functions(&near, env);
    return near.best;
}

int64_t cel_find_name(kr_str text, kr_str name)
{
    struct cel__lexer lx = {.text = text};
    uint8_t before = TOK_END;

    for (;;) {
        struct cel__token t = cel__lex(&lx);

        if (t.kind == TOK_END || t.kind == TOK_BAD)
            return -1;
        if (t.kind == TOK_IDENT && before != TOK_DOT && kr_str_eq(t.text, name))
            return t.pos;
        before = t.kind;
    }
}
