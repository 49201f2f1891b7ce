/* SPDX-License-Identifier: Apache-2.0 */
/* locate.c - where in the text an evaluation failed.
 *
 * Programs carry no positions. Instead the parts of the expression are evaluated on their own, from
 * the innermost: the first that fails with the same words is the place. Parts that need a loop
 * variable are not tried, so that a failure inside a macro is shown at the macro; of a conditional
 * only the branch that is taken is looked at. For people at a prompt: it costs as much as many
 * evaluations.
 */
#include "cel/internal.h"

#include "cel/base/banned.h"

enum { PARTS_MAX = 1000 }; /* parts tried */

struct search {
    struct kr_arena *a;
    const struct cel_env *env;
    const struct cel_run *run;
    kr_str text;  /* of the expression */
    kr_str words; /* of the failure */
    uint32_t tried;
    uint32_t pos; /* CEL__POS_NONE: not found yet */
};

/* Evaluates one part; negative with its own words in err. */
static int try_part(struct search *s, struct cel__node *e, kr_val *out, struct kr_err *err)
{
    const struct cel_prog *p;
    struct cel_run run = *s->run;

    run.a = s->a;
    KR_TRY(cel__compile(s->a, s->a, s->env, s->text, e, &p, err));
    return cel_eval(p, &run, out, err);
}

static void look(struct search *s, struct cel__node *e);

static void look_below(struct search *s, struct cel__node *e)
{
    kr_val taken;

    if (e->kind == NK_FOLD) { /* all else of it may read the loop's variables */
        look(s, e->fold->kind == FOLD_BIND ? e->fold->init : e->fold->range);
        return;
    }
    if (e->target)
        look(s, e->target);
    if (e->kind == NK_CALL && kr_str_is(e->name, "_?_:_")) {
        look(s, e->args[0]);
        if (s->pos == CEL__POS_NONE && try_part(s, e->args[0], &taken, NULL) == 0)
            look(s, e->args[kr_is_true(taken) ? 1 : 2]);
        return;
    }
    for (uint32_t i = 0; i < e->args_n && s->pos == CEL__POS_NONE; i++)
        look(s, e->args[i]);
}

/* Innermost first. */
static void look(struct search *s, struct cel__node *e)
{
    struct kr_err err = KR_ERR_NONE;
    kr_val v;

    if (!e || !e->type || s->pos != CEL__POS_NONE || e->kind == NK_CONST)
        return; /* no type: the beginning of a dotted name, no part of its own */
    look_below(s, e);
    if (s->pos != CEL__POS_NONE || s->tried++ >= PARTS_MAX)
        return;
    if (try_part(s, e, &v, &err) < 0 && kr_str_eq(kr_err_str(&err), s->words))
        s->pos = e->pos;
}

void cel_locate(struct kr_arena *a, const struct cel_env *env, kr_str text,
                const struct cel_run *run, struct kr_err *err)
{
    struct cel__diags diags = {.a = a, .source = text};
    struct cel__node *root = cel__parse(a, env, &diags, text);
    struct search s = {.a = a,
                       .env = env,
                       .run = run,
                       .text = text,
                       .words = kr_strdup(a, kr_err_str(err)),
                       .pos = CEL__POS_NONE};
    int code = err->code;

    if (!root)
        return;
    cel__check(a, env, &diags, root, false);
    if (diags.n)
        return;
    look(&s, root);
    cel__diag(&diags, s.pos, KR_FMT, KR_ARG(s.words));
    cel__diags_fail(&diags, err);
    err->code = code;
}
