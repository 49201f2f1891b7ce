/* SPDX-License-Identifier: Apache-2.0 */
/* page.c - the reference page of the function library, docs/cel.md, made from the tables that the
 * checker, the evaluator and the cost estimate work by (functions.def, macro.c, cost.c).
 */
#include "cel/internal.h"

#include "cel/base/banned.h"

static const struct {
    uint8_t lib;
    const char *title, *text;
} libraries[] = {
    {CEL_LIB_STD, "Standard library", "The language itself. Environment `spec` has only this."},
    {CEL_LIB_EXT, "Extensions", "cel-go's extensions that kro enables."},
    {CEL_LIB_K8S, "Kubernetes", "Kubernetes' libraries that kro enables."},
    {CEL_LIB_KRO, "kro", "kro's own functions."},
    {CEL_LIB_EXT_MORE, "More extensions", "cel-go's extensions that kro leaves out: not in `kro`."},
    {CEL_LIB_K8S_MORE, "More of Kubernetes",
     "Kubernetes' functions that kro leaves out: not in `kro`."},
};

static const char head[] = "# CEL: operators, macros, functions\n\n"
                           "Printed by `kroc docs cel`. Resource graphs have the first four "
                           "libraries (`kroc cel --env kro`, "
                           "the default); `--env ext` and `--env k8s` have all of cel-go's and "
                           "Kubernetes'. A single capital "
                           "letter is any type, the same wherever it comes again.\n\n"
                           "Cost is in steps, as the limit of an evaluation counts them. `1`: the "
                           "call. `+ s`: a step per 16 "
                           "bytes of each text and one per element of each container among its "
                           "arguments. Macros cost what "
                           "their parts cost, as often as they run. Comparing texts costs a step "
                           "per 64 bytes, also with `in` and as the keys of maps.\n\n"
                           "The controller stops an expression after 10,000,000 steps "
                           "(GRAPH_EXPR_STEPS_MAX) or 64 MiB made (GRAPH_EXPR_BYTES_MAX), and one "
                           "step of an instance after 20,000,000 steps of all its expressions "
                           "(GRAPH_STEP_STEPS_MAX); the error says which.\n";

static void add_cell(struct kr_buf *out, kr_str s) /* a bar would end the cell */
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.s[i] == '|')
            kr_buf_chr(out, '\\');
        kr_buf_chr(out, s.s[i]);
    }
}

/* "_+_" as "a + b". */
static void add_operator(struct kr_buf *out, const char *name)
{
    static const struct {
        const char *name, *shown;
    } odd[] = {{"@in", "a in b"}, {"_?._", "a.?b"}, {"_[_]", "a[b]"},      {"_[?_]", "a[?b]"},
               {"!_", "!a"},      {"-_", "-a"},     {"_?_:_", "a ? b : c"}};
    kr_str op = kr_str_sub(kr_str_c(name), 1, strlen(name) - 1);

    for (size_t i = 0; i < KR_N(odd); i++) {
        if (strcmp(name, odd[i].name) == 0) {
            kr_buf_str(out, kr_str_c(odd[i].shown));
            return;
        }
    }
    kr_buf_str(out, KR_S("a "));
    add_cell(out, op);
    kr_buf_str(out, KR_S(" b"));
}

/* "string.contains(string) -> bool" */
static void add_signature(struct kr_buf *out, const struct cel__row *row)
{
    kr_str sig = kr_str_c(row->signature);
    size_t arrow = (size_t)kr_str_find(sig, KR_S(" -> "));
    kr_str params = kr_str_sub(sig, 0, arrow);
    kr_str rest = params;

    kr_buf_chr(out, '`');
    if (row->style == MEMBER) {
        uint32_t depth = 0;
        size_t end = 0;

        for (; end < params.n && (depth || params.s[end] != ','); end++)
            depth = depth + (params.s[end] == '(') - (params.s[end] == ')');
        kr_buf_fmt(out, KR_FMT ".", KR_ARG(kr_str_sub(params, 0, end)));
        rest = kr_str_sub(params, end + 2, params.n);
    }
    if (row->flags & FN_OP)
        kr_buf_fmt(out, KR_FMT, KR_ARG(sig));
    else
        kr_buf_fmt(out, "%s(" KR_FMT ")" KR_FMT, row->name, KR_ARG(rest),
                   KR_ARG(kr_str_sub(sig, arrow, sig.n)));
    kr_buf_chr(out, '`');
}

static bool hidden(const char *name)
{
    return strcmp(name, "@in") != 0 && strchr(name, '@');
}

/* The row before that has the same name in the library, or NULL. */
static const struct cel__row *earlier(const struct cel__row *row, bool same_lib)
{
    for (const struct cel__row *r = cel__rows; r < row; r++) {
        if (strcmp(r->name, row->name) == 0 && (r->lib == row->lib || !same_lib))
            return r;
    }
    return NULL;
}

static void add_row(struct kr_buf *out, const struct cel__row *row)
{
    const struct cel__row *first = earlier(row, false);
    char cost[CEL__COST_TEXT_MAX];
    bool again = false;

    kr_buf_str(out, KR_S("| `"));
    if (row->flags & FN_OP)
        add_operator(out, row->name);
    else
        kr_buf_str(out, kr_str_c(row->name));
    kr_buf_str(out, KR_S("` | "));
    for (const struct cel__row *r = row; r < cel__rows + cel__rows_n; r++) {
        if (r->lib != row->lib || strcmp(r->name, row->name) != 0)
            continue;
        if (again)
            kr_buf_str(out, KR_S("<br>"));
        again = true;
        add_signature(out, r);
    }
    cel__cost_text(row, cost);
    kr_buf_fmt(out, " | %s | ", cost);
    add_cell(out, kr_str_c((first ? first : row)->help));
    kr_buf_str(out, KR_S(" |\n"));
}

static void add_functions(struct kr_buf *out, uint8_t lib, bool operators)
{
    kr_buf_str(
        out, operators ? KR_S("\n| Operator | Operands | Cost | |\n| --- | --- | --- | --- |\n")
                       : KR_S("\n| Function | Signatures | Cost | |\n| --- | --- | --- | --- |\n"));
    for (const struct cel__row *r = cel__rows; r < cel__rows + cel__rows_n; r++) {
        if (r->lib == lib && !(r->flags & FN_OP) == !operators && !hidden(r->name) &&
            !earlier(r, true))
            add_row(out, r);
    }
}

static void add_macros(struct kr_buf *out, uint8_t lib)
{
    struct cel__macro_info m;
    bool any = false;

    for (uint32_t i = 0; cel__macro_info(i, &m); i++) {
        if (m.lib != lib || !m.help[0])
            continue;
        if (!any)
            kr_buf_str(out, KR_S("\n| Macro | |\n| --- | --- |\n"));
        any = true;
        kr_buf_fmt(out, "| `%s` | ", m.form);
        add_cell(out, kr_str_c(m.help));
        kr_buf_str(out, KR_S(" |\n"));
    }
}

void cel_reference_page(struct kr_buf *out)
{
    kr_buf_str(out, kr_str_c(head));
    kr_buf_str(out, KR_S("\n## Operators\n"));
    add_functions(out, CEL_LIB_STD, true);
    for (size_t i = 0; i < KR_N(libraries); i++) {
        kr_buf_fmt(out, "\n## %s\n\n%s\n", libraries[i].title, libraries[i].text);
        add_macros(out, libraries[i].lib);
        add_functions(out, libraries[i].lib, false);
    }
}
