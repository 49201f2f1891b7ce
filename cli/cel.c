/* SPDX-License-Identifier: Apache-2.0 */
/* cel.c - `kroc cel`: expressions at the prompt.
 *
 *   kroc cel 'a + 1' --vars vars.yaml    the value as JSON, or the error with its place
 *   --check --reads --cost               the type, what is read, what it costs
 *   --cases FILE...                      conformance cases (cel/cases.h)
 *
 * Variables have no type (dyn). Without --env an expression is evaluated as kro would, and cases run
 * with every library there is.
 */
#include "cli/cli.h"

#include <string.h>

#include "cel/base/json.h"
#include "cel/base/yaml.h"
#include "cel/cases.h"
#include "cel/cel.h"

#include "cel/base/banned.h"

static const char usage[] = "kroc cel EXPR [flags], or kroc cel --cases FILE... (EXPR: - reads it; "
                            "-- goes before one that begins with -)";

static const struct {
    const char *name;
    unsigned libs;
} environments[] = {
    {"spec", CEL_LIB_STD | CEL_LIB_STRICT | CEL_LIB_SPEC},
    {"ext", CEL_LIB_STD | CEL_LIB_EXT | CEL_LIB_EXT_MORE},
    {"k8s", CEL_LIB_STD | CEL_LIB_EXT | CEL_LIB_EXT_MORE | CEL_LIB_K8S | CEL_LIB_K8S_MORE},
    {"kro", CEL_LIB_ALL},
};

struct request {
    const char *vars, *env_name;
    bool check, reads, cost, cases;
    struct cli_list operands;

    unsigned libs;
    struct kr_arena a;
    struct cel_env *env;
    kr_str expr;
    kr_val values; /* the variables' map */
    kr_val *slots;
};

/* --- variables -------------------------------------------------------------------------------- */

static int read_vars(struct request *r, struct kr_err *err)
{
    kr_str text;
    kr_val docs;

    r->values = kr_map_sorted(NULL, 0);
    if (!r->vars)
        return 0;
    KR_TRY(cli_read(&r->a, r->vars, &text, err));
    if (kr_json_parse(&r->a, text, &r->values, NULL) == 0 && r->values.kind == KR_MAP)
        return 0; /* YAML has JSON in it, but other numbers */
    r->values = kr_map_sorted(NULL, 0);
    if (kr_yaml_parse(&r->a, text, &docs, err) < 0)
        return kr_wrap(err, "%s", r->vars);
    if (docs.n > 0)
        r->values = docs.list[0];
    if (r->values.kind != KR_MAP || docs.n > 1)
        return kr_fail(err, KR_E_INPUT, "%s: expected one map from variable to value", r->vars);
    return 0;
}

/* Reads alone need no values: every name that is free in the expression is a variable then. */
static int declare_free(struct request *r, struct kr_err *err)
{
    struct cel_inspection in;

    KR_TRY(cel_inspect(&r->a, r->env, r->expr, &in, err));
    for (uint32_t i = 0; i < in.idents_n; i++) {
        if (cel_env_find(r->env, in.idents[i]) < 0)
            cel_env_var(r->env, in.idents[i], CEL_T_DYN, NULL);
    }
    return 0;
}

static int make_env(struct request *r, struct kr_err *err)
{
    r->env = cel_env_new(&r->a, r->libs);
    r->slots = kr_new_n(&r->a, kr_val, r->values.n);
    KR_MAP_EACH (p, r->values)
        r->slots[cel_env_var(r->env, kr_text(p->key), CEL_T_DYN, NULL)] = p->val;
    return r->reads && !r->vars ? declare_free(r, err) : 0;
}

/* --- answers ---------------------------------------------------------------------------------- */

static void add_type(struct request *r, const struct cel_prog *p, struct kr_buf *out)
{
    kr_buf_fmt(out, KR_FMT "\n", KR_ARG(cel_type_print(&r->a, cel_prog_type(p))));
}

static bool plain_name(kr_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.s[i];

        if (!((c | 32) >= 'a' && (c | 32) <= 'z') && c != '_' && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return s.n > 0;
}

/* One path a line: settings.data["a.b"]. */
static void add_reads(struct request *r, const struct cel_prog *p, struct kr_buf *out)
{
    uint32_t n;
    const struct cel_read *reads = cel_prog_reads(p, &n);

    for (uint32_t i = 0; i < n; i++) {
        kr_str var = cel_env_name(r->env, reads[i].slot);

        kr_buf_str(out, var);
        for (uint32_t k = 0; k < reads[i].names_n; k++) {
            kr_str name = reads[i].names[k];

            if (plain_name(name)) {
                kr_buf_fmt(out, "." KR_FMT, KR_ARG(name));
                continue;
            }
            kr_buf_chr(out, '[');
            kr_json_quote(out, name, 0);
            kr_buf_chr(out, ']');
        }
        kr_buf_chr(out, '\n');
    }
}

static void add_bound(struct kr_buf *out, uint64_t steps)
{
    if (steps == CEL_COST_UNKNOWN)
        kr_buf_str(out, KR_S("unlimited"));
    else
        kr_buf_fmt(out, "%llu", (unsigned long long)steps);
}

static int add_estimate(struct request *r, struct kr_buf *out, struct kr_err *err)
{
    struct cel_cost cost;

    KR_TRY(cel_cost_estimate(&r->a, r->env, r->expr, &cost, err));
    kr_buf_fmt(out, "estimate: ");
    add_bound(out, cost.min);
    kr_buf_fmt(out, "..");
    add_bound(out, cost.max);
    kr_buf_chr(out, '\n');
    return 0;
}

/* The value as one line of JSON; cost: what it took instead. */
static int add_value(struct request *r, const struct cel_prog *p, struct kr_buf *out,
                     struct kr_err *err)
{
    struct cel_run run = {.slots = r->slots, .slots_n = r->values.n, .a = &r->a};
    kr_val v;
    int rc = cel_eval(p, &run, &v, err);

    if (r->cost)
        kr_buf_fmt(out, "run: %llu\n", (unsigned long long)run.cost);
    if (rc < 0) {
        cel_locate(&r->a, r->env, r->expr, &run, err);
        return rc;
    }
    if (r->cost)
        return 0;
    KR_TRY(cel_to_json(&r->a, v, &v, err));
    if (v.kind == KR_OMIT)
        return kr_fail(err, KR_E_EVAL, "the result is omit(), which has no value");
    rc = kr_json_write(out, v, 0, err);
    if (rc < 0)
        kr_buf_reset(out); /* half a value is none */
    else
        kr_buf_chr(out, '\n');
    return rc;
}

/* The operand, or what stands on the standard input. */
static int read_expr(struct request *r, struct kr_err *err)
{
    kr_str text;

    r->expr = kr_str_c(r->operands.at[0]);
    if (!kr_str_eq(r->expr, KR_S("-")))
        return 0;
    KR_TRY(cli_read(&r->a, "-", &text, err));
    r->expr = kr_str_trim(text);
    return 0;
}

static int answer(struct request *r, struct kr_buf *out, struct kr_err *err)
{
    const struct cel_prog *p;

    KR_TRY(read_expr(r, err));
    KR_TRY(read_vars(r, err));
    KR_TRY(make_env(r, err));
    KR_TRY(cel_compile(&r->a, r->env, r->expr, &p, err));
    if (r->check)
        add_type(r, p, out);
    if (r->reads)
        add_reads(r, p, out);
    if (r->cost)
        KR_TRY(add_estimate(r, out, err));
    return r->check || r->reads ? 0 : add_value(r, p, out, err);
}

static int run_expr(struct request *r)
{
    KR_AUTO(kr_buf) out = KR_BUF(CLI_TEXT_MAX);
    struct kr_err err = KR_ERR_NONE;
    int rc;
    int printed;

    rc = answer(r, &out, &err);
    printed = out.n || rc == 0 ? cli_print(&out) : CLI_OK;
    if (rc < 0) {
        fprintf(stderr, KR_FMT "\n", KR_ARG(kr_err_str(&err)));
        return CLI_FAILED;
    }
    return printed;
}

/* --- cases ------------------------------------------------------------------------------------ */

enum { EXPR_SHOWN = 300 }; /* bytes of an expression that is printed */

static void on_case(void *arg, enum cel_case outcome, kr_val c, kr_val want, kr_str why)
{
    kr_str expr = kr_at_str(c, "expr");
    KR_AUTO(kr_buf) b = KR_BUF(CLI_TEXT_MAX);

    if (outcome != CEL_CASE_FAILED)
        return;
    if (want.kind == KR_NONE || kr_json_write(&b, want, 0, NULL) < 0)
        kr_buf_str(&b, KR_S("?"));
    printf("FAILED " KR_FMT "/" KR_FMT "/" KR_FMT "\n    " KR_FMT "\n    want " KR_FMT
           "\n    " KR_FMT "\n",
           KR_ARG(kr_at_str(c, "file")), KR_ARG(kr_at_str(c, "section")),
           KR_ARG(kr_at_str(c, "name")), KR_ARG(kr_str_sub(expr, 0, EXPR_SHOWN)),
           KR_ARG(kr_buf_view(&b)), KR_ARG(why));
}

/* Cases of cel-spec have words of their own for errors. */
static bool is_spec(const char *path)
{
    const char *slash = strrchr(path, '/');

    return strncmp(slash ? slash + 1 : path, "cel-spec", 8) == 0;
}

static int run_cases(struct request *r)
{
    unsigned full = CEL_LIB_FULL | CEL_LIB_STRICT;
    struct cel_cases opts = {
        .libs = r->libs, .kro = r->libs == CEL_LIB_ALL && r->env_name, .on_case = on_case};
    uint32_t count[CEL_CASE_N] = {0};

    for (uint32_t i = 0; i < r->operands.n; i++) {
        struct kr_err err = KR_ERR_NONE;
        struct kr_arena file = {0};
        kr_str text;
        int rc = cli_read(&file, r->operands.at[i], &text, &err);

        opts.any_wording = is_spec(r->operands.at[i]);
        if (!r->env_name)
            opts.libs = full | (opts.any_wording ? CEL_LIB_SPEC : 0);
        if (rc == 0)
            cel_cases_run(&opts, text, count);
        kr_arena_fini(&file);
        if (rc < 0)
            return cli_fail_err(CLI_FAILED, &err);
    }
    printf("%u passed, %u failed, %u skipped\n", count[CEL_CASE_PASSED], count[CEL_CASE_FAILED],
           count[CEL_CASE_SKIPPED]);
    return count[CEL_CASE_FAILED] || !count[CEL_CASE_PASSED] ? CLI_FAILED : CLI_OK;
}

/* --- the command ------------------------------------------------------------------------------ */

static int parse(struct request *r, int argc, char *const *argv, struct kr_err *err)
{
    static const char *const names[] = {"spec", "ext", "k8s", "kro", NULL};
    const struct cli_option options[] = {
        {.name = "vars", .value = &r->vars, .arg = "FILE", .help = "variables: a YAML or JSON map"},
        {.name = "env",
         .value = &r->env_name,
         .choices = names,
         .arg = "NAME",
         .help = "functions: spec, ext, k8s or kro"},
        {.name = "check", .flag = &r->check, .help = "print the type"},
        {.name = "reads", .flag = &r->reads, .help = "print what is read of the variables"},
        {.name = "cost", .flag = &r->cost, .help = "print the cost, estimated and measured"},
        {.name = "cases", .flag = &r->cases, .help = "run conformance cases from FILE..."},
        {0}};
    int rc = cli_parse(options, argc, argv, &r->operands, usage, err);

    if (rc != 0)
        return rc;
    r->libs = CEL_LIB_ALL;
    for (size_t i = 0; r->env_name && i < KR_N(environments); i++) {
        if (strcmp(r->env_name, environments[i].name) == 0)
            r->libs = environments[i].libs;
    }
    if (r->cases && (r->vars || r->check || r->reads || r->cost))
        return kr_fail(err, KR_E_INPUT, "--cases goes with --env only");
    if (r->operands.n == 0 || (r->operands.n > 1 && !r->cases))
        return kr_fail(err, KR_E_INPUT, "usage: %s", usage);
    return 0;
}

int cli_cel(int argc, char *const *argv)
{
    struct request *r = KR_ALLOC(struct request);
    struct kr_err err = KR_ERR_NONE;
    int rc = parse(r, argc, argv, &err);

    if (rc == CLI_HELP)
        rc = CLI_OK;
    else if (rc < 0)
        rc = cli_fail(CLI_USAGE, err.text);
    else
        rc = r->cases ? run_cases(r) : run_expr(r);
    kr_arena_fini(&r->a);
    kr_free(r);
    return rc;
}
