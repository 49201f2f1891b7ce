/* SPDX-License-Identifier: Apache-2.0 */
/* cases.c - runs conformance cases: see cases.h.
 *
 * A case brings its variables as typed values or as JSON documents read through a schema; the
 * expression goes through every stage, and the outcome that is wanted decides how far it must get.
 * Results are compared by kind and value.
 */
#include "cel/cases.h"

#include <math.h>
#include <stdlib.h>

#include "cel/base/digest.h"
#include "cel/base/json.h"
#include "cel/base/num.h"
#include "cel/base/time.h"
#include "cel/gojson.h"
#include "cel/internal.h"

#include "cel/base/banned.h"

struct runner {
    struct kr_arena a; /* of one case */
    struct kr_arena env_arena;
    struct cel_env *root;
    struct cel_env *plain; /* for building opaque values */
    bool kro;              /* the case's `kro` outcome counts */
    bool spec;             /* the wording of errors does not count */
    kr_str why;
};

static kr_val parse_typed(struct runner *f, kr_val v);

/* --- typed values ----------------------------------------------------------------------------- */

static kr_val eval_plain(struct runner *f, const char *fn, kr_str text)
{
    struct kr_err err = KR_ERR_NONE;
    const struct cel_prog *p;
    struct cel_run run = {.a = &f->a};
    kr_val v;
    kr_str q = cel__quote_go(&f->a, text);

    if (cel_compile(&f->a, f->plain, kr_fmt(&f->a, "%s(" KR_FMT ")", fn, KR_ARG(q)), &p, &err) <
            0 ||
        cel_eval(p, &run, &v, &err) < 0)
        return KR_V_NONE;
    return v;
}

static kr_val parse_object(struct runner *f, kr_val v)
{
    static const struct {
        const char *type, *fn;
    } makers[] = {
        {"kubernetes.Quantity", "quantity"},
        {"kubernetes.URL", "url"},
        {"kubernetes.Semver", "semver"},
        {"net.IP", "ip"},
        {"net.CIDR", "cidr"},
    };
    kr_val fields = kr_get(v, KR_S("fields"));
    struct cel__condition *c;

    for (size_t i = 0; i < KR_N(makers); i++) {
        if (kr_is_str(kr_get(v, KR_S("type")), kr_str_c(makers[i].type)))
            return eval_plain(f, makers[i].fn, kr_at_str(v, "repr"));
    }
    if (kr_is_str(kr_get(v, KR_S("type")), KR_S("kro.run.Runtime")))
        return (kr_val){.kind = KR_OPAQUE, .obj = &cel__runtime};
    if (!kr_is_str(kr_get(v, KR_S("type")), KR_S("kro.run.Condition")))
        return KR_V_NONE;
    c = kr_new(&f->a, struct cel__condition);
    c->head.type = &cel__condition_type;
    c->type = kr_text(kr_get(fields, KR_S("type")));
    c->status = kr_text(kr_get(fields, KR_S("status")));
    c->reason = kr_text(kr_get(fields, KR_S("reason")));
    c->message = kr_text(kr_get(fields, KR_S("message")));
    return (kr_val){.kind = KR_OPAQUE, .obj = &c->head};
}

static kr_val parse_double(kr_str s)
{
    double d;

    if (kr_str_is(s, "NaN"))
        return kr_double(NAN);
    if (kr_str_is(s, "Infinity"))
        return kr_double(INFINITY);
    if (kr_str_is(s, "-Infinity"))
        return kr_double(-INFINITY);
    return kr_num_parse_double(s, &d) ? kr_double(d) : KR_V_NONE;
}

static kr_val parse_list(struct runner *f, kr_val v)
{
    kr_val *items = kr_new_n(&f->a, kr_val, v.n);

    for (uint32_t i = 0; i < v.n; i++)
        items[i] = parse_typed(f, v.list[i]);
    return kr_list(items, v.n);
}

static kr_val parse_map(struct runner *f, kr_val v)
{
    struct kr_pair *pairs = kr_new_n(&f->a, struct kr_pair, v.n);

    for (uint32_t i = 0; i < v.n; i++) {
        pairs[i].key = parse_typed(f, kr_item(v.list[i], 0));
        pairs[i].val = parse_typed(f, kr_item(v.list[i], 1));
    }
    return cel__map_make(&f->a, pairs, v.n);
}

static kr_val parse_duration(kr_str s)
{
    bool minus = s.n && s.s[0] == '-';
    char *end;
    uint64_t ns = 0;
    uint64_t unit = 100000000;
    uint64_t sec = strtoull(s.s + minus, &end, 10);

    if (*end == '.') {
        for (end++; *end >= '0' && *end <= '9'; end++, unit /= 10)
            ns += (uint64_t)(*end - '0') * unit;
    }
    ns += sec * 1000000000;
    return cel__duration((int64_t)(minus ? 0 - ns : ns));
}

static kr_val parse_typed(struct runner *f, kr_val v)
{
    kr_val k = v.kind == KR_MAP && v.n ? v.map[0].val : KR_V_NONE;
    kr_str s = kr_text(k);
    kr_str bytes;
    int64_t i = 0;
    uint64_t u = 0;
    struct cel__error *e;

#define IS(name) (k.kind != KR_NONE && kr_is_str(v.map[0].key, KR_S(name)))
    if (IS("null"))
        return KR_V_NULL;
    if (IS("bool"))
        return k;
    if (IS("int"))
        return kr_str_i64(s, &i) ? kr_int(i) : KR_V_NONE;
    if (IS("uint"))
        return kr_str_u64(s, &u) ? kr_uint(u) : KR_V_NONE;
    if (IS("double"))
        return parse_double(s);
    if (IS("string"))
        return k;
    if (IS("bytes_b64"))
        return kr_base64_decode(&f->a, s, &bytes) ? cel__bytes(bytes) : KR_V_NONE;
    if (IS("list"))
        return parse_list(f, k);
    if (IS("map"))
        return parse_map(f, k);
    if (IS("duration"))
        return parse_duration(s);
    if (IS("timestamp")) {
        int64_t sec;
        uint32_t ns;
        int16_t zone;

        return kr_time_parse_zone(s, &sec, &ns, &zone) ? cel__timestamp(sec, ns, zone) : KR_V_NONE;
    }
    if (IS("type"))
        return (kr_val){.kind = KR_TYPE, .n = k.n, .s = k.s};
    if (IS("optional"))
        return k.kind == KR_NULL ? CEL__OPT_NONE : cel__opt_of(&f->a, parse_typed(f, k));
    if (IS("omit"))
        return KR_V_OMIT;
    if (IS("object"))
        return parse_object(f, k);
    if (IS("error")) {
        e = kr_new(&f->a, struct cel__error);
        e->text = s;
        e->code = KR_E_EVAL;
        e->fail = CEL_FAIL_ERROR;
        return cel__val_error(e);
    }
#undef IS
    return KR_V_NONE;
}

/* --- comparing -------------------------------------------------------------------------------- */

/* a: for marks. */
static bool same(struct kr_arena *a, kr_val x, kr_val y, bool unordered);

static bool same_list(struct kr_arena *a, kr_val x, kr_val y, bool unordered)
{
    bool *used = kr_new_n(a, bool, y.n);

    if (x.n != y.n)
        return false;
    for (uint32_t i = 0; i < x.n; i++) {
        uint32_t k = unordered ? 0 : i;

        while (k < y.n && (used[k] || !same(a, x.list[i], y.list[k], unordered))) {
            if (!unordered)
                return false;
            k++;
        }
        if (k == y.n)
            return false;
        used[k] = true;
    }
    return true;
}

static bool same_map(struct kr_arena *a, kr_val x, kr_val y, bool unordered)
{
    if (x.n != y.n)
        return false;
    for (uint32_t i = 0; i < x.n; i++) {
        uint32_t k = 0;

        while (k < y.n && !same(a, x.map[i].key, y.map[k].key, unordered))
            k++;
        if (k == y.n || !same(a, x.map[i].val, y.map[k].val, unordered))
            return false;
    }
    return true;
}

static bool same(struct kr_arena *a, kr_val x, kr_val y, bool unordered)
{
    if (x.kind != y.kind)
        return false;
    switch (x.kind) {
    case KR_DOUBLE:
        return (isnan(x.d) && isnan(y.d)) || (x.d == y.d && signbit(x.d) == signbit(y.d));
    case KR_LIST:
        return same_list(a, x, y, unordered);
    case KR_MAP:
        return same_map(a, x, y, unordered);
    case KR_OPTIONAL:
        return (!x.ref && !y.ref) || (x.ref && y.ref && same(a, *x.ref, *y.ref, unordered));
    case KR_OPAQUE:
        return x.obj->type == y.obj->type && x.obj->type->equal(x.obj, y.obj);
    case KR_STRING:
    case KR_BYTES:
    case KR_TYPE:
        return x.n == y.n && memcmp(x.s, y.s, x.n) == 0;
    case KR_BOOL:
        return x.b == y.b;
    case KR_TIMESTAMP:
        return x.i == y.i && x.n == y.n;
    case KR_NULL:
    case KR_OMIT:
        return true;
    case KR_ERROR:
        return kr_str_eq(cel__error_of(x)->text, cel__error_of(y)->text);
    default:
        return x.i == y.i;
    }
}

static bool is_omit_json(kr_val want)
{
    return want.kind == KR_MAP && want.n == 1 && kr_is_str(want.map[0].key, KR_S("$omit"));
}

/* JSON as it goes out: 1.0 prints as 1. */
static bool same_json(struct kr_arena *a, kr_val got, kr_val want)
{
    if (got.kind == KR_OMIT)
        return is_omit_json(want);
    if (got.kind == KR_LIST && want.kind == KR_LIST && got.n == want.n) {
        for (uint32_t i = 0; i < got.n; i++) {
            if (!same_json(a, got.list[i], want.list[i]))
                return false;
        }
        return true;
    }
    if (got.kind == KR_MAP && want.kind == KR_MAP && got.n == want.n) {
        for (uint32_t i = 0; i < got.n; i++) {
            if (!same_json(a, got.map[i].val, kr_get(want, kr_text(got.map[i].key))))
                return false;
        }
        return true;
    }
    return kr_equal(got, want) || kr_str_eq(kr_json_str(a, got), kr_json_str(a, want));
}

static enum cel_case failed(struct runner *f, kr_str why)
{
    f->why = why;
    return CEL_CASE_FAILED;
}

static kr_str shown(struct runner *f, kr_val v)
{
    return kr_fmt(&f->a, KR_FMT "(" KR_FMT ")", KR_ARG(cel__type_name(v)),
                  KR_ARG(cel__print(&f->a, v)));
}

/* --- running one case ------------------------------------------------------------------------- */

static kr_val expected(struct runner *f, kr_val c)
{
    kr_val kro = kr_get(c, KR_S("kro"));

    return f->kro && kro.kind == KR_MAP ? kro : kr_get(c, KR_S("expect"));
}

/* One of the texts, or an empty one, which stands for any. */
static bool text_in(kr_val list, kr_str text)
{
    KR_LIST_EACH (it, list) {
        if (!it->n || kr_str_eq(kr_text(*it), text))
            return true;
    }
    return false;
}

/* "L:C: message" of each diagnostic in the error's text. */
static bool same_diags(struct runner *f, kr_val want, kr_str text)
{
    uint32_t i = 0;
    kr_str mark = KR_S("ERROR: <input>:");
    bool cut = kr_str_ends(text, KR_S("...")); /* at KR_ERR_MAX */

    while (text.n) {
        kr_str line = kr_str_cut(&text, '\n');

        if (!kr_str_starts(line, mark))
            continue;
        line = kr_str_sub(line, mark.n, line.n);
        if (i >= want.n)
            return false;
        if (kr_str_find(kr_text(want.list[i]), KR_S("Syntax error")) >= 0)
            return true;
        if (!kr_str_eq(line, kr_text(want.list[i])))
            return cut && kr_str_ends(line, KR_S("..."));
        i++;
    }
    return i == want.n || cut;
}

static enum cel_case judge_compile_error(struct runner *f, kr_val want, const struct kr_err *err)
{
    kr_str text = kr_err_str(err);
    kr_val check = kr_get(want, KR_S("check_error"));
    kr_val parse = kr_get(want, KR_S("parse_error"));

    if (check.kind == KR_LIST || parse.kind == KR_LIST) {
        if (same_diags(f, check.kind == KR_LIST ? check : parse, text))
            return CEL_CASE_PASSED;
        return failed(f, kr_fmt(&f->a, "other diagnostics: " KR_FMT, KR_ARG(text)));
    }
    if (kr_get(want, KR_S("program_error")).kind == KR_LIST ||
        (f->spec && kr_get(want, KR_S("error")).kind == KR_LIST))
        return CEL_CASE_PASSED;
    if (kr_str_find(text, KR_S("undeclared reference to")) >= 0)
        return CEL_CASE_SKIPPED;
    return failed(f, kr_fmt(&f->a, "does not compile: " KR_FMT, KR_ARG(text)));
}

static enum cel_case judge_json(struct runner *f, kr_val want, kr_val v)
{
    struct kr_err err = KR_ERR_NONE;
    kr_val json = kr_get(want, KR_S("json"));
    kr_val json_error = kr_get(want, KR_S("json_error"));
    kr_val got;

    if (json.kind == KR_NONE && json_error.kind == KR_NONE)
        return CEL_CASE_PASSED;
    if (cel_to_json(&f->a, v, &got, &err) < 0) {
        if (kr_is_str(json_error, kr_err_str(&err)))
            return CEL_CASE_PASSED;
        return failed(f, kr_fmt(&f->a, "to JSON: %s", err.text));
    }
    if (json_error.kind == KR_STRING)
        return kr_str_starts(kr_text(json_error), KR_S("json: unsupported value"))
                   ? CEL_CASE_PASSED /* refused by the encoder, later */
                   : failed(f, KR_S("converts to JSON"));
    if (same_json(&f->a, got, json))
        return CEL_CASE_PASSED;
    return failed(f, kr_fmt(&f->a, "JSON is " KR_FMT, KR_ARG(kr_json_str(&f->a, got))));
}

static enum cel_case judge_run(struct runner *f, kr_val c, kr_val want, const struct cel_prog *p,
                               kr_val *slots, uint32_t n, struct cel_cost estimate)
{
    struct cel_run run = {.slots = slots, .slots_n = n, .a = &f->a};
    struct kr_err err = KR_ERR_NONE;
    kr_val error = kr_get(want, KR_S("error"));
    kr_val program_error = kr_get(want, KR_S("program_error"));
    struct cel__vm vm;
    kr_val v;

    if (cel__eval_raw(p, &run, &vm, &v, &err) < 0) {
        if ((error.kind == KR_LIST && (f->spec || text_in(error, kr_err_str(&err)))) ||
            program_error.kind == KR_LIST)
            return CEL_CASE_PASSED;
        return failed(f, kr_fmt(&f->a, "fails: %s", err.text));
    }
    if (program_error.kind == KR_LIST &&
        kr_str_find(kr_text(kr_item(program_error, 0)), KR_S("undefined type")) >= 0)
        return CEL_CASE_PASSED; /* a harmless superset: type names are values here */
    if (kr_get(want, KR_S("value")).kind != KR_MAP)
        return failed(f, kr_fmt(&f->a, "gives " KR_FMT, KR_ARG(shown(f, v))));
    if (!same(&f->a, cel__typed_expand(&vm, v), parse_typed(f, kr_get(want, KR_S("value"))),
              kr_is_true(kr_get(c, KR_S("unordered")))))
        return failed(f, kr_fmt(&f->a, "gives " KR_FMT, KR_ARG(shown(f, v))));
    if (cel_eval(p, &run, &v, &err) < 0)
        return failed(f, KR_S("second run fails"));
    if (run.cost < estimate.min || run.cost > estimate.max)
        return failed(f, kr_fmt(&f->a, "costs %llu, by its estimate %llu to %llu",
                                (unsigned long long)run.cost, (unsigned long long)estimate.min,
                                (unsigned long long)estimate.max));
    return judge_json(f, want, v);
}

static const struct cel_type *parse_type(struct runner *f, kr_val text)
{
    kr_str rest = kr_text(text);
    const struct cel_type *t = cel__type_parse(&f->a, &rest);

    return t->kind == TK_VAR ? &cel__t_dyn : t;
}

/* A function that is declared and has no implementation. */
static void declare_function(struct runner *f, struct cel_env *env, kr_val decl)
{
    KR_LIST_EACH (it, kr_get(decl, KR_S("overloads"))) {
        struct cel__row *row = kr_new(&f->a, struct cel__row);
        kr_str sig = {0};

        KR_LIST_EACH (p, kr_get(*it, KR_S("params")))
            sig = kr_fmt(&f->a, KR_FMT "%s" KR_FMT, KR_ARG(sig), sig.n ? ", " : "",
                         KR_ARG(kr_text(*p)));
        row->name = kr_cstr(&f->a, kr_at_str(decl, "name"));
        row->id = kr_cstr(&f->a, kr_at_str(*it, "id"));
        row->signature =
            kr_fmt(&f->a, KR_FMT " -> " KR_FMT, KR_ARG(sig), KR_ARG(kr_at_str(*it, "result"))).s;
        row->style = kr_is_true(kr_get(*it, KR_S("member"))) ? MEMBER : GLOBAL;
        row->impl = cel__no_impl;
        cel__env_declare(env, row, 1);
    }
}

/* Room for all that the case declares. */
static kr_val *new_slots(struct runner *f, kr_val c)
{
    uint64_t n = (uint64_t)kr_get(c, KR_S("type_env")).n + kr_get(c, KR_S("schemas")).n +
                 kr_get(c, KR_S("bindings")).n;

    return kr_new_n(&f->a, kr_val, n + 1);
}

/* Returns false when a schema cannot be read. */
static bool declare(struct runner *f, struct cel_env *env, kr_val c, kr_val *slots)
{
    kr_val objects = kr_get(c, KR_S("objects"));
    struct kr_err err = KR_ERR_NONE;

    KR_LIST_EACH (it, kr_get(c, KR_S("type_env"))) {
        kr_str name = kr_at_str(*it, "name");
        kr_val bound = kr_get(kr_get(c, KR_S("bindings")), name);
        uint32_t slot;

        if (kr_get(*it, KR_S("overloads")).kind == KR_LIST) {
            declare_function(f, env, *it);
            continue;
        }
        slot = cel_env_var(env, name, parse_type(f, kr_get(*it, KR_S("type"))), NULL);
        slots[slot] = bound.kind == KR_MAP ? parse_typed(f, bound) : kr_get(objects, name);
    }
    KR_MAP_EACH (p, kr_get(c, KR_S("schemas"))) {
        const struct cel_schema *s;
        kr_str name = kr_text(p->key);

        if (cel_schema_read(&f->a, p->val, &s, &err) < 0)
            return false;
        slots[cel_env_var(
            env, name, cel_type_of_schema(&f->a, s, kr_fmt(&f->a, "__type_" KR_FMT, KR_ARG(name))),
            s)] = kr_get(objects, name);
    }
    KR_MAP_EACH (p, kr_get(c, KR_S("bindings"))) {
        if (cel_env_find(env, kr_text(p->key)) < 0)
            slots[cel_env_var(env, kr_text(p->key), CEL_T_DYN, NULL)] = parse_typed(f, p->val);
    }
    return true;
}

static enum cel_case run_eval(struct runner *f, kr_val c)
{
    struct cel_env *env = cel_env_extend(&f->a, f->root);
    struct kr_err *err = kr_new(&f->a, struct kr_err);
    kr_val want = expected(f, c);
    kr_str deduced = kr_at_str(want, "deduced_type");
    kr_str expr = kr_at_str(c, "expr");
    const struct cel_prog *p;
    kr_val *slots = new_slots(f, c);
    bool unchecked = kr_is_true(kr_get(c, KR_S("disable_check")));
    struct cel_cost estimate = {0, CEL_COST_UNKNOWN};

    env->container = kr_at_str(c, "container");
    if (!declare(f, env, c, slots))
        return failed(f, KR_S("cannot read a schema"));
    if ((unchecked ? cel__compile_unchecked(&f->a, env, expr, &p, err)
                   : cel_compile(&f->a, env, expr, &p, err)) < 0)
        return judge_compile_error(f, want, err);
    if (kr_get(want, KR_S("check_error")).kind == KR_LIST ||
        kr_get(want, KR_S("parse_error")).kind == KR_LIST)
        return failed(f, KR_S("compiles"));
    if (!unchecked && deduced.n && !kr_str_eq(deduced, cel_type_print(&f->a, cel_prog_type(p))))
        return failed(
            f, kr_fmt(&f->a, "type is " KR_FMT, KR_ARG(cel_type_print(&f->a, cel_prog_type(p)))));
    if (kr_is_true(kr_get(c, KR_S("check_only"))) ||
        (kr_get(want, KR_S("value")).kind == KR_NONE &&
         kr_get(want, KR_S("error")).kind == KR_NONE &&
         kr_get(want, KR_S("program_error")).kind == KR_NONE))
        return CEL_CASE_PASSED;
    if (!unchecked && cel_cost_estimate(&f->a, env, expr, &estimate, err) < 0)
        return failed(f, KR_S("has no cost"));
    return judge_run(f, c, want, p, slots, cel_env_slots_n(env), estimate);
}

static enum cel_case run_escape(struct runner *f, kr_val c)
{
    kr_val want = kr_get(c, KR_S("expect"));
    kr_str name = kr_at_str(c, "expr");
    kr_str out = {0};
    bool ok = cel__escape(&f->a, name, &out);

    if (ok != kr_is_true(kr_get(want, KR_S("escape_ok"))) ||
        (ok && !kr_str_eq(out, kr_at_str(want, "escaped"))))
        return failed(f, kr_fmt(&f->a, "escapes to " KR_FMT, KR_ARG(out)));
    ok = cel__unescape(&f->a, name, &out);
    if (ok != kr_is_true(kr_get(want, KR_S("unescape_ok"))) ||
        (ok && !kr_str_eq(out, kr_at_str(want, "unescaped"))))
        return failed(f, kr_fmt(&f->a, "unescapes to " KR_FMT, KR_ARG(out)));
    return CEL_CASE_PASSED;
}

static bool has_ident(const struct cel_inspection *in, kr_str name)
{
    for (uint32_t i = 0; i < in->idents_n; i++) {
        if (kr_str_eq(in->idents[i], name))
            return true;
    }
    return false;
}

/* Is name the first item of a pair in one of the lists? */
static bool is_named(kr_val list, kr_str name)
{
    KR_LIST_EACH (it, list) {
        if (kr_is_str(kr_item(*it, 0), name))
            return true;
    }
    return false;
}

static enum cel_case run_inspect(struct runner *f, kr_val c)
{
    kr_val want = kr_get(c, KR_S("expect"));
    kr_val deps = kr_get(want, KR_S("dependencies"));
    kr_val unknown = kr_get(want, KR_S("unknown_resources"));
    kr_val functions = kr_get(want, KR_S("unknown_functions"));
    struct kr_err err = KR_ERR_NONE;
    struct cel_inspection in;

    if (cel_inspect(&f->a, f->root, kr_at_str(c, "expr"), &in, &err) < 0)
        return kr_get(want, KR_S("parse_error")).kind == KR_LIST
                   ? CEL_CASE_PASSED
                   : failed(f, kr_fmt(&f->a, "%s", err.text));
    for (uint32_t i = 0; i < in.idents_n; i++) {
        if (!is_named(deps, in.idents[i]) && !is_named(unknown, in.idents[i]))
            return failed(f, kr_fmt(&f->a, "names " KR_FMT, KR_ARG(in.idents[i])));
    }
    for (uint32_t i = 0; i < deps.n + unknown.n; i++) {
        kr_val pair = i < deps.n ? deps.list[i] : unknown.list[i - deps.n];

        if (!has_ident(&in, kr_text(kr_item(pair, 0))))
            return failed(f, kr_fmt(&f->a, "misses " KR_FMT, KR_ARG(kr_text(kr_item(pair, 0)))));
    }
    if (in.functions_n != functions.n)
        return failed(f, kr_fmt(&f->a, "%u unknown functions", in.functions_n));
    return CEL_CASE_PASSED;
}

static enum cel_case run_case(struct runner *f, kr_val c)
{
    kr_str kind = kr_at_str(c, "kind");

    if (kr_str_is(kind, "escape"))
        return run_escape(f, c);
    if (kr_str_is(kind, "inspect"))
        return run_inspect(f, c);
    return run_eval(f, c);
}

/* --- texts ------------------------------------------------------------------------------------ */

/* Cases about depth nest deeper than kr_json_parse goes. */
static int read_case(struct runner *f, kr_str line, kr_val *c)
{
    struct kr_err err = KR_ERR_NONE;

    if (kr_json_parse(&f->a, line, c, &err) == KR_E_LIMIT)
        return cel__gojson_parse(&f->a, line, c, &err);
    return err.code;
}

void cel_cases_run(const struct cel_cases *opts, kr_str text, uint32_t count[CEL_CASE_N])
{
    struct runner f = {.kro = opts->kro, .spec = opts->any_wording};

    f.root = cel_env_new(&f.env_arena, opts->libs);
    f.plain = cel_env_new(&f.env_arena, CEL_LIB_ALL);
    while (text.n) {
        kr_str line = kr_str_cut(&text, '\n');
        enum cel_case o = CEL_CASE_FAILED;
        kr_val c = KR_V_NONE;

        if (!line.n)
            continue;
        f.why = KR_S("the line is no JSON object");
        if (read_case(&f, line, &c) == 0 && c.kind == KR_MAP) {
            f.why = (kr_str){0};
            o = run_case(&f, c);
        }
        count[o]++;
        if (opts->on_case)
            opts->on_case(opts->arg, o, c, expected(&f, c), f.why);
        kr_arena_reset(&f.a);
    }
    kr_arena_fini(&f.a);
    kr_arena_fini(&f.env_arena);
}
