/* SPDX-License-Identifier: Apache-2.0 */
/* cel_parse_fuzz.c - any text through lexer, parser, macros, checker, compiler and inspection. */
#include "cel/cel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct kr_arena env_arena;
static struct cel_env *env; /* made once: it takes longer than an input */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct kr_arena a = {0};
    struct kr_err err = KR_ERR_NONE;
    kr_str text = {(const char *)data, n};
    struct cel_inspection in;
    const struct cel_prog *p;

    if (!env) {
        env = cel_env_new(&env_arena, CEL_LIB_ALL);
        cel_env_var(env, KR_S("a"), CEL_T_DYN, NULL);
    }
    if (cel_compile(&a, env, text, &p, &err) == 0) {
        KR_ASSERT(cel_prog_type(p) != NULL);
        KR_ASSERT(cel_inspect(&a, env, text, &in, &err) == 0);
    } else {
        KR_ASSERT(err.n > 0);
    }
    kr_arena_fini(&a);
    return 0;
}
