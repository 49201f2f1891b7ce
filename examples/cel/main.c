/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - an expression in a program of your own.
 *
 *   cc main.c -o greet $(pkg-config --cflags --libs krcel)
 *   ./greet '"Hello, " + user.name + (user.age >= 18 ? "" : " junior")' '{"name":"Ada","age":36}'
 *
 * Everything lives in two arenas: one for what is made once (environment, program), one that is
 * reset after each evaluation.
 */
#include <stdio.h>

#include "cel/base/json.h"
#include "cel/cel.h"

static int greet(struct kr_arena *once, struct kr_arena *each, const char *expr, const char *json,
                 struct kr_err *err)
{
    struct cel_env *env = cel_env_new(once, CEL_LIB_STD | CEL_LIB_EXT);
    uint32_t user = cel_env_var(env, KR_S("user"), CEL_T_DYN, NULL);
    const struct cel_prog *prog;
    kr_val slots[1];
    struct cel_run run = {.slots = slots, .slots_n = 1, .a = each};
    kr_val v;
    kr_str text;

    KR_TRY(cel_compile(once, env, kr_str_c(expr), &prog, err));
    KR_TRY(kr_json_parse(each, kr_str_c(json), &slots[user], err));
    KR_TRY(cel_eval(prog, &run, &v, err)); /* as often as you like, with other slots */
    KR_TRY(cel_to_json(each, v, &v, err));
    text = kr_json_str(each, v);
    printf(KR_FMT "\n", KR_ARG(text));
    return 0;
}

int main(int argc, char **argv)
{
    struct kr_arena once = {0}, each = {0};
    struct kr_err err = KR_ERR_NONE;
    int rc = 0;

    if (argc != 3) {
        fprintf(stderr, "usage: %s EXPR USER-AS-JSON\n", argv[0]);
        return 2;
    }
    if (greet(&once, &each, argv[1], argv[2], &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        rc = 1;
    }
    kr_arena_fini(&each);
    kr_arena_fini(&once);
    return rc;
}
