/* SPDX-License-Identifier: Apache-2.0 */
/* validate_print.c - what `kroc validate` found, in three forms.
 *
 *   app.yaml:12: spec.resources[0].template.data.k: undefined field 'nmae'
 *         k: ${schema.spec.nmae}
 *                        ^
 *     expected: one of count, name
 *     did you mean "name"?
 *
 * Source: SARIF 2.1.0 (OASIS), the parts that code hosts read.
 */
#include "cli/validate.h"

#include "cel/base/utf8.h"
#include "reactor/version.h"

#include "cel/base/banned.h"

/* --- text ------------------------------------------------------------------------------------- */

struct printer {
    struct kr_buf *out;
    bool colour;
};

static void paint(const struct printer *p, const char *code)
{
    if (p->colour)
        kr_buf_fmt(p->out, "\033[%sm", code);
}

static const char *path_shown(const struct cli_source *s)
{
    return s->path[0] == '-' && !s->path[1] ? "stdin" : s->path;
}

static void print_snippet(const struct printer *p, const struct cli_finding *f)
{
    if (f->shown.n == 0)
        return;
    kr_buf_fmt(p->out, "    " KR_FMT "\n", KR_ARG(f->shown));
    if (f->caret == 0)
        return;
    paint(p, "32");
    kr_buf_fmt(p->out, "    %*s^\n", (int)f->caret - 1, "");
    paint(p, "0");
}

static void print_finding(const struct printer *p, const struct cli_finding *f)
{
    const struct graph_diag *x = f->diag;

    paint(p, "1");
    kr_buf_fmt(p->out, "%s:%u: ", path_shown(f->source), f->line);
    paint(p, x->warning ? "33" : "31");
    kr_buf_fmt(p->out, "%s", x->warning ? "warning: " : "");
    kr_buf_fmt(p->out, KR_FMT, KR_ARG(x->path));
    paint(p, "0");
    kr_buf_fmt(p->out, ": " KR_FMT "\n", KR_ARG(x->text));
    print_snippet(p, f);
    if (x->expected.n)
        kr_buf_fmt(p->out, "  expected: " KR_FMT "\n", KR_ARG(x->expected));
    if (x->suggestion.n)
        kr_buf_fmt(p->out, "  " KR_FMT "\n", KR_ARG(x->suggestion));
}

static const char *plural(uint32_t n)
{
    return n == 1 ? "" : "s";
}

void cli_report_text(const struct cli_report *r, bool colour, struct kr_buf *out)
{
    const struct printer p = {.out = out, .colour = colour};

    for (uint32_t i = 0; i < r->n; i++) {
        const struct cli_verdict *v = &r->verdicts[i];

        for (uint32_t k = 0; k < v->diags.n; k++)
            print_finding(&p, &v->findings[k]);
        if (v->diags.left_out)
            kr_buf_fmt(out, "%s:%u: and %u more\n", path_shown(v->source), v->line,
                       v->diags.left_out);
    }
    kr_buf_fmt(out, "%u definition%s, %u valid: %u error%s, %u warning%s\n", r->n, plural(r->n),
               r->valid_n, r->errors_n, plural(r->errors_n), r->warnings_n, plural(r->warnings_n));
}

/* --- a value ---------------------------------------------------------------------------------- */

static void put_text(struct kr_mapb *b, const char *key, kr_str s)
{
    if (s.n)
        kr_mapb_put(b, kr_str_c(key), kr_string(s));
}

static void put_int(struct kr_mapb *b, const char *key, uint32_t n)
{
    kr_mapb_put(b, kr_str_c(key), kr_int(n));
}

static kr_val finding_value(struct kr_arena *a, const struct cli_finding *f)
{
    const struct graph_diag *x = f->diag;
    struct kr_mapb b = KR_MAPB(a);

    put_text(&b, "rule", kr_str_c(graph_rule_id(x->rule)));
    put_text(&b, "severity", x->warning ? KR_S("warning") : KR_S("error"));
    put_int(&b, "line", f->line);
    if (f->column)
        put_int(&b, "column", f->column);
    put_text(&b, "path", x->path);
    put_text(&b, "text", x->text);
    put_text(&b, "message", x->message);
    put_text(&b, "source", x->source);
    if (x->line) {
        put_int(&b, "sourceLine", x->line);
        put_int(&b, "sourceColumn", x->column);
    }
    put_text(&b, "expected", x->expected);
    put_text(&b, "suggestion", x->suggestion);
    return kr_mapb_done(&b);
}

static kr_val verdict_value(struct kr_arena *a, const struct cli_verdict *v)
{
    struct kr_mapb b = KR_MAPB(a);
    struct kr_listb findings = KR_LISTB(a);

    for (uint32_t i = 0; i < v->diags.n; i++)
        kr_listb_add(&findings, finding_value(a, &v->findings[i]));
    put_text(&b, "file", kr_str_c(path_shown(v->source)));
    put_int(&b, "line", v->line);
    put_text(&b, "name", v->name);
    put_text(&b, "apiVersion",
             v->generates.kind.n ? kr_api_version_text(a, v->generates.group, v->generates.version)
                                 : KR_S(""));
    put_text(&b, "kind", v->generates.kind);
    kr_mapb_put(&b, KR_S("valid"), kr_bool(v->valid));
    kr_mapb_put(&b, KR_S("findings"), kr_listb_done(&findings));
    if (v->diags.left_out)
        put_int(&b, "leftOut", v->diags.left_out);
    return kr_mapb_done(&b);
}

kr_val cli_report_value(const struct cli_report *r, struct kr_arena *a)
{
    struct kr_mapb b = KR_MAPB(a);
    struct kr_listb definitions = KR_LISTB(a);

    for (uint32_t i = 0; i < r->n; i++)
        kr_listb_add(&definitions, verdict_value(a, &r->verdicts[i]));
    kr_mapb_put(&b, KR_S("definitions"), kr_listb_done(&definitions));
    put_int(&b, "errors", r->errors_n);
    put_int(&b, "warnings", r->warnings_n);
    kr_mapb_put(&b, KR_S("valid"), kr_bool(!r->failed));
    return kr_mapb_done(&b);
}

/* --- SARIF ------------------------------------------------------------------------------------ */

static kr_val member(struct kr_arena *a, const char *key, kr_val v)
{
    return kr_with_key(a, kr_map_sorted(NULL, 0), kr_str_c(key), v);
}

static kr_val message_of(struct kr_arena *a, kr_str text)
{
    return member(a, "text", kr_string(text));
}

static kr_val list_of_one(struct kr_arena *a, kr_val v)
{
    kr_val *item = kr_new(a, kr_val);

    *item = v;
    return kr_list(item, 1);
}

static kr_val sarif_rules(struct kr_arena *a)
{
    struct kr_listb rules = KR_LISTB(a);

    for (int i = 0; i < GRAPH_RULES_N; i++) {
        struct kr_mapb b = KR_MAPB(a);

        put_text(&b, "id", kr_str_c(graph_rule_id((enum graph_rule)i)));
        kr_mapb_put(&b, KR_S("shortDescription"),
                    message_of(a, kr_str_c(graph_rule_help((enum graph_rule)i))));
        kr_listb_add(&rules, kr_mapb_done(&b));
    }
    return kr_listb_done(&rules);
}

static kr_val sarif_location(struct kr_arena *a, const struct cli_finding *f)
{
    struct kr_mapb region = KR_MAPB(a), physical = KR_MAPB(a), b = KR_MAPB(a);

    put_int(&region, "startLine", f->line);
    if (f->column)
        put_int(&region, "startColumn", f->column);
    kr_mapb_put(&physical, KR_S("artifactLocation"),
                member(a, "uri", kr_string(kr_str_c(path_shown(f->source)))));
    kr_mapb_put(&physical, KR_S("region"), kr_mapb_done(&region));
    kr_mapb_put(&b, KR_S("physicalLocation"), kr_mapb_done(&physical));
    kr_mapb_put(&b, KR_S("logicalLocations"),
                list_of_one(a, member(a, "fullyQualifiedName", kr_string(f->diag->path))));
    return kr_mapb_done(&b);
}

static kr_val sarif_result(struct kr_arena *a, const struct cli_finding *f)
{
    const struct graph_diag *x = f->diag;
    struct kr_mapb b = KR_MAPB(a);
    kr_str text = kr_fmt(a, KR_FMT ": " KR_FMT, KR_ARG(x->path), KR_ARG(x->text));

    if (x->expected.n)
        text = kr_fmt(a, KR_FMT "; expected: " KR_FMT, KR_ARG(text), KR_ARG(x->expected));
    if (x->suggestion.n)
        text = kr_fmt(a, KR_FMT "; " KR_FMT, KR_ARG(text), KR_ARG(x->suggestion));
    put_text(&b, "ruleId", kr_str_c(graph_rule_id(x->rule)));
    put_int(&b, "ruleIndex", (uint32_t)x->rule);
    put_text(&b, "level", x->warning ? KR_S("warning") : KR_S("error"));
    kr_mapb_put(&b, KR_S("message"), message_of(a, text));
    kr_mapb_put(&b, KR_S("locations"), list_of_one(a, sarif_location(a, f)));
    return kr_mapb_done(&b);
}

kr_val cli_report_sarif(const struct cli_report *r, struct kr_arena *a)
{
    struct kr_mapb driver = KR_MAPB(a), run = KR_MAPB(a), root = KR_MAPB(a);
    struct kr_listb results = KR_LISTB(a);

    for (uint32_t i = 0; i < r->n; i++) {
        for (uint32_t k = 0; k < r->verdicts[i].diags.n; k++)
            kr_listb_add(&results, sarif_result(a, &r->verdicts[i].findings[k]));
    }
    put_text(&driver, "name", KR_S("kroc"));
    put_text(&driver, "version", kr_str_c(reactor_version));
    kr_mapb_put(&driver, KR_S("rules"), sarif_rules(a));
    kr_mapb_put(&run, KR_S("tool"), member(a, "driver", kr_mapb_done(&driver)));
    put_text(&run, "columnKind", KR_S("unicodeCodePoints"));
    kr_mapb_put(&run, KR_S("results"), kr_listb_done(&results));
    put_text(&root, "$schema", KR_S("https://json.schemastore.org/sarif-2.1.0.json"));
    put_text(&root, "version", KR_S("2.1.0"));
    kr_mapb_put(&root, KR_S("runs"), list_of_one(a, kr_mapb_done(&run)));
    return kr_mapb_done(&root);
}
