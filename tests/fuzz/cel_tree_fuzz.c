/* SPDX-License-Identifier: Apache-2.0 */
/* cel_tree_fuzz.c - bytes that choose an expression: each byte picks the next part of a grammar, so
 * that every input is a text that parses, and most are well-typed.
 *
 * The expression is evaluated on a document, plain and through a schema. Two runs agree, the cost is
 * within its estimate, a failure can be located, and the reads name what is there.
 */
#include "cel/cel.h"

#include "cel/base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { TEXT_MAX = 4096, DEPTH_MAX = 9, COST_MAX = 20000, LOCATED_MAX = 300 };

/* What a part of the expression shall give. In a rule $ and a letter stand for more parts: b bool,
 * i int, d double, s string, l list of int, t list of string, m map, o optional, x any; $V for a loop
 * variable. */
struct rule {
    char gives;
    const char *text;
};

static const struct rule rules[] = {
    /* the first of each letter is what stands where nothing more fits */
    {'b', "true"},
    {'b', "a.B"},
    {'b', "($i<$i)"},
    {'b', "($i==$i)"},
    {'b', "($s==$s)"},
    {'b', "($b&&$b)"},
    {'b', "($b||$b)"},
    {'b', "!$b"},
    {'b', "($b?$b:$b)"},
    {'b', "$l.all($V,$i<$V)"},
    {'b', "$l.exists($V,$V==$i)"},
    {'b', "($i in $l)"},
    {'b', "($s in $m)"},
    {'b', "$s.contains($s)"},
    {'b', "$s.matches('[a-z]+')"},
    {'b', "has(a.O)"},
    {'b', "($x==$x)"},
    {'b', "$o.hasValue()"},
    {'b', "$l.exists_one($V,$V>$i)"},
    {'b', "($l==$l)"},
    {'b', "$m.all($V,$s!=$V)"},
    {'b', "(timestamp($i)<timestamp($i))"},
    {'b', "sets.contains($l,$l)"},
    {'i', "1"},
    {'i', "a.I"},
    {'i', "($i+$i)"},
    {'i', "($i-$i)"},
    {'i', "($i*$i)"},
    {'i', "($i/$i)"},
    {'i', "($i%$i)"},
    {'i', "size($s)"},
    {'i', "$l.size()"},
    {'i', "$l[$i]"},
    {'i', "($b?$i:$i)"},
    {'i', "int($d)"},
    {'i', "$s.indexOf($s)"},
    {'i', "$l.sum()"},
    {'i', "a.L[$i]"},
    {'i', "int($s)"},
    {'i', "-9223372036854775808"},
    {'i', "math.greatest($i,$i)"},
    {'i', "cel.bind(W,$i,W+$i)"},
    {'i', "$o.orValue($i)"},
    {'i', "timestamp($i).getHours()"},
    {'d', "1.5"},
    {'d', "a.D"},
    {'d', "($d+$d)"},
    {'d', "($d/$d)"},
    {'d', "double($i)"},
    {'d', "math.sqrt($d)"},
    {'d', "(0.0/0.0)"},
    {'s', "'a'"},
    {'s', "a.S"},
    {'s', "($s+$s)"},
    {'s', "string($i)"},
    {'s', "string($d)"},
    {'s', "$s.substring($i)"},
    {'s', "$t.join($s)"},
    {'s', "$s.replace($s,$s)"},
    {'s', "$t[$i]"},
    {'s', "$s.charAt($i)"},
    {'s', "a.M[$s]"},
    {'s', "'%s-%d'.format([$x,$i])"},
    {'s', "$s.upperAscii()"},
    {'s', "json.marshal($x)"},
    {'s', "($b?$s:$s)"},
    {'s', "strings.quote($s)"},
    {'s', "$s.reverse()"},
    {'s', "string(type($x))"},
    {'s', "$s.trim()"},
    {'s', "a.T"},
    {'l', "[1,2]"},
    {'l', "a.L"},
    {'l', "[$i,$i,$i]"},
    {'l', "($l+$l)"},
    {'l', "$l.map($V,$V+$i)"},
    {'l', "$l.filter($V,$V>$i)"},
    {'l', "lists.range($i)"},
    {'l', "$l.sort()"},
    {'l', "$l.slice($i,$i)"},
    {'l', "$l.distinct()"},
    {'l', "[$l,$l].flatten()"},
    {'l', "$l.reverse()"},
    {'l', "[?$o,$i]"},
    {'l', "$l.sortBy($V,-$V)"},
    {'l', "lists.setAtIndex($l,$i,$i)"},
    {'l', "$l.transformList(K,$V,K+$V)"},
    {'l', "($b?$l:$l)"},
    {'t', "['a']"},
    {'t', "[$s,$s]"},
    {'t', "$s.split($s)"},
    {'t', "$l.map($V,$s)"},
    {'t', "$m.map($V,$V)"},
    {'t', "$s.findAll('[ab]*')"},
    {'t', "$t.sort()"},
    {'m', "{'k':'v'}"},
    {'m', "a.M"},
    {'m', "{$s:$s,$s:$s}"},
    {'m', "$m.merge($m)"},
    {'m', "$m.transformMap(K,$V,$V+$s)"},
    {'m', "{?$s:optional.of($s)}"},
    {'m', "($b?$m:$m)"},
    {'o', "optional.none()"},
    {'o', "optional.of($i)"},
    {'o', "$l[?$i]"},
    {'o', "$o.or($o)"},
    {'o', "$o.optMap($V,$V+$i)"},
    {'o', "$l.first()"},
    {'o', "a.?I"},
    {'x', "null"},
    {'x', "$b"},
    {'x', "$i"},
    {'x', "$d"},
    {'x', "$s"},
    {'x', "$l"},
    {'x', "$m"},
    {'x', "$o"},
    {'x', "dyn($x)"},
    {'x', "[$x,$x]"},
    {'x', "{$s:$x}"},
    {'x', "a.O"},
    {'x', "a.N[$i].S"},
    {'x', "omit()"},
    {'x', "b'z'"},
    {'x', "duration('3s')"},
};

struct choice {
    const uint8_t *at, *end;
    char text[TEXT_MAX];
    size_t n;
};

static void put(struct choice *c, char ch)
{
    if (c->n < TEXT_MAX)
        c->text[c->n++] = ch;
}

/* A rule that gives what; at the end of the input, deep down and in a long text the first one. */
static const char *pick(struct choice *c, char what, int depth)
{
    uint32_t first = 0, n = 0;

    while (rules[first].gives != what)
        first++;
    while (first + n < KR_N(rules) && rules[first + n].gives == what)
        n++;
    if (c->at == c->end || depth > DEPTH_MAX || c->n > TEXT_MAX / 2)
        return rules[first].text;
    return rules[first + *c->at++ % n].text;
}

static void expand(struct choice *c, char what, int depth)
{
    for (const char *r = pick(c, what, depth); *r; r++) {
        if (*r != '$')
            put(c, *r);
        else if (*++r == 'V')
            put(c, (char)('p' + depth % 8)); /* the loop variable of this rule */
        else
            expand(c, *r, depth + 1);
    }
}

static const char schema_text[] =
    "{\"type\":\"object\",\"properties\":{\"S\":{\"type\":\"string\",\"maxLength\":20},"
    "\"I\":{\"type\":\"integer\"},\"D\":{\"type\":\"number\"},\"B\":{\"type\":\"boolean\"},"
    "\"T\":{\"type\":\"string\",\"maxLength\":40},"
    "\"L\":{\"type\":\"array\",\"maxItems\":9,\"items\":{\"type\":\"integer\"}},"
    "\"N\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"S\":{\"type\":"
    "\"string\"}}}},\"M\":{\"type\":\"object\",\"maxProperties\":5,\"additionalProperties\":{"
    "\"type\":"
    "\"string\",\"maxLength\":9}},\"O\":{\"type\":\"object\","
    "\"x-kubernetes-preserve-unknown-fields\":true}}}";
static const char doc_text[] =
    "{\"S\":\"a b\",\"I\":7,\"D\":2.5,\"B\":true,\"T\":\"2024-02-29T00:00:00Z\",\"L\":[3,1,2],"
    "\"N\":[{\"S\":\"x\"}],\"M\":{\"k\":\"v\",\"a\":\"b\"},\"O\":{\"deep\":[1,{\"er\":null}]}}";

static struct kr_arena once;
static struct cel_env *envs[2];
static kr_val doc;

static void start(void)
{
    struct kr_err err = KR_ERR_NONE;
    const struct cel_schema *s;
    kr_val schema;

    KR_ASSERT(kr_json_parse(&once, kr_str_c(schema_text), &schema, &err) == 0);
    KR_ASSERT(kr_json_parse(&once, kr_str_c(doc_text), &doc, &err) == 0);
    KR_ASSERT(cel_schema_read(&once, schema, &s, &err) == 0);
    for (int i = 0; i < 2; i++)
        envs[i] = cel_env_new(&once, CEL_LIB_FULL);
    cel_env_var(envs[0], KR_S("a"), CEL_T_DYN, NULL);
    cel_env_var(envs[1], KR_S("a"), cel_type_of_schema(&once, s, KR_S("__type_a")), s);
}

static void evaluate(struct kr_arena *a, const struct cel_env *env, kr_str text)
{
    struct kr_err err = KR_ERR_NONE;
    struct cel_run run = {.slots = &doc, .slots_n = 1, .a = a, .cost_max = COST_MAX};
    const struct cel_prog *p;
    struct cel_cost cost;
    kr_val v, again, json;

    if (cel_compile(a, env, text, &p, &err) < 0)
        return;
    KR_ASSERT(cel_cost_estimate(a, env, text, &cost, &err) == 0);
    if (cel_eval(p, &run, &v, &err) < 0) {
        KR_ASSERT(run.fail != CEL_FAIL_NONE && err.n > 0);
        if (text.n <= LOCATED_MAX) { /* it takes many evaluations */
            cel_locate(a, env, text, &run, &err);
            KR_ASSERT(kr_str_starts(kr_err_str(&err), KR_S("ERROR: <input>:")));
        }
        return;
    }
    if (run.cost < cost.min || run.cost > cost.max)
        kr_assert_failed("the cost is within its estimate", __FILE__, __LINE__);
    KR_ASSERT(cel_eval(p, &run, &again, &err) == 0 && again.kind == v.kind && again.n == v.n);
    (void)!cel_to_json(a, v, &json, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct choice *c = kr_alloc(sizeof(*c));
    struct kr_arena a = {0};
    struct cel_inspection in;
    struct kr_err err = KR_ERR_NONE;
    kr_str text;

    if (!doc.n)
        start();
    c->at = data;
    c->end = data + n;
    expand(c, 'x', 0);
    text = (kr_str){c->text, c->n};
    if (cel_inspect(&a, envs[0], text, &in, &err) == 0) {
        evaluate(&a, envs[0], text);
        evaluate(&a, envs[1], text);
    }
    kr_arena_fini(&a);
    kr_free(c);
    return 0;
}
