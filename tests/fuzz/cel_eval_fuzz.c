/* SPDX-License-Identifier: Apache-2.0 */
/* cel_eval_fuzz.c - an expression, a new line, a JSON document: evaluates with the document as `a`,
 * plain and through a schema, and converts the result to JSON. Two runs must agree. */
#include "cel/cel.h"

#include "cel/base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char schema_text[] =
    "{\"type\":\"object\",\"properties\":{\"s\":{\"type\":\"string\"},\"i\":{\"type\":\"integer\"},"
    "\"t\":{\"type\":\"string\",\"format\":\"date-time\"},\"b\":{\"type\":\"string\",\"format\":"
    "\"byte\"},"
    "\"d\":{\"type\":\"string\",\"format\":\"duration\"},\"l\":{\"type\":\"array\",\"items\":{"
    "\"type\":"
    "\"number\"},\"x-kubernetes-list-type\":\"set\"},\"m\":{\"type\":\"object\","
    "\"additionalProperties\":{\"type\":\"string\",\"nullable\":true}},\"o\":{\"type\":\"object\","
    "\"x-kubernetes-preserve-unknown-fields\":true}}}";

static struct kr_arena env_arena;
static struct cel_env *envs[2]; /* `a` plain, and read through the schema; made once */

static void make_envs(void)
{
    struct kr_err err = KR_ERR_NONE;
    const struct cel_schema *s;
    kr_val schema;

    if (envs[0])
        return;
    KR_ASSERT(kr_json_parse(&env_arena, kr_str_c(schema_text), &schema, &err) == 0);
    KR_ASSERT(cel_schema_read(&env_arena, schema, &s, &err) == 0);
    envs[0] = cel_env_new(&env_arena, CEL_LIB_ALL);
    cel_env_var(envs[0], KR_S("a"), CEL_T_DYN, NULL);
    envs[1] = cel_env_new(&env_arena, CEL_LIB_ALL);
    cel_env_var(envs[1], KR_S("a"), cel_type_of_schema(&env_arena, s, KR_S("__type_a")), s);
}

static void evaluate(struct kr_arena *a, const struct cel_prog *p, kr_val doc)
{
    struct kr_err err = KR_ERR_NONE;
    struct cel_run run = {.slots = &doc, .slots_n = 1, .a = a, .cost_max = 200000};
    kr_val v;
    kr_val again;
    kr_val json;

    if (cel_eval(p, &run, &v, &err) < 0) {
        KR_ASSERT(run.fail != CEL_FAIL_NONE);
        return;
    }
    KR_ASSERT(cel_eval(p, &run, &again, &err) == 0 && again.kind == v.kind);
    (void)!cel_to_json(a, v, &json, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct kr_arena a = {0};
    struct kr_err err = KR_ERR_NONE;
    kr_str rest = {(const char *)data, n};
    kr_str expr = kr_str_cut(&rest, '\n');
    const struct cel_prog *p;
    kr_val doc;

    make_envs();
    if (kr_json_parse(&a, rest, &doc, &err) < 0)
        doc = KR_V_NONE;
    for (int typed = 0; typed < 2; typed++) {
        if (cel_compile(&a, envs[typed], expr, &p, &err) == 0)
            evaluate(&a, p, doc);
    }
    kr_arena_fini(&a);
    return 0;
}
