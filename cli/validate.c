/* SPDX-License-Identifier: Apache-2.0 */
/* validate.c - `kroc validate FILE...`: all that is wrong with the definitions of some files, each
 * with its line, before a cluster sees them.
 *
 *   files --YAML--> documents: definitions, CRDs --cli/schemas.h--> kinds
 *   definition --graph_build--> findings (graph/diag.h) --kr_yaml_locate--> lines --> report
 *
 * Definitions that build on each other are looked at together: one's generated kind is a kind to the
 * others. A kind that nobody has is a warning, for its CRD may come later; all else is checked.
 */
#include "cli/validate.h"

#include <stdio.h>
#include <unistd.h>

#include "cel/base/json.h"
#include "cel/base/map.h"
#include "cel/base/near.h"
#include "cel/base/utf8.h"
#include "cel/base/yaml.h"
#include "cel/base/yaml_write.h"
#include "cli/schemas.h"
#include "graph/graph.h"

#include "cel/base/banned.h"

enum {
    SHOWN_MAX = 160,  /* bytes of a line that are shown */
    BLOCK_LINES = 64, /* how far below its beginning a block's line is looked for */
    DOCUMENTS_MAX = 10 * 1000,
};

#define VERSION "v1alpha1" /* of the kind ResourceGraphDefinition */
#define KIND "ResourceGraphDefinition"

static const char *const formats[] = {"text", "json", "yaml", "sarif", NULL};

/* A definition in a file: the document, or an item of a list in it. */
struct definition {
    const struct cli_source *source;
    uint32_t document; /* as kr_yaml_locate counts */
    int64_t item;      /* of a List; -1: the document itself */
    uint32_t line;
    kr_val v;
    struct kr_err unreadable; /* code 0: v is there */
};

struct request {
    struct cli_schemas_opts schemas;
    struct cli_list files;
    const char *format;
    bool strict;

    struct cli_schemas *kinds;
    struct definition *found;
    uint32_t found_n, found_cap;
    kr_str almost; /* a kind that is none, in words */
    bool omit;
    struct cli_report report;
};

/* --- input ------------------------------------------------------------------------------------ */

static struct definition *add(struct request *r, const struct cli_source *source)
{
    struct kr_arena *a = &r->report.a;

    if (r->found_n == r->found_cap) {
        uint32_t cap = r->found_cap ? 2 * r->found_cap : 16;
        struct definition *grown = kr_new_n(a, struct definition, cap);

        if (r->found_n)
            memcpy(grown, r->found, sizeof(*grown) * r->found_n);
        r->found = grown;
        r->found_cap = cap;
    }
    r->found[r->found_n].source = source;
    r->found[r->found_n].item = -1;
    return &r->found[r->found_n++];
}

static bool is_definition(kr_val v)
{
    return kr_is_str(kr_get(v, KR_S("kind")), KR_S(KIND)) &&
           kr_str_starts(kr_at_str(v, "apiVersion"), KR_S(GRAPH_GROUP "/"));
}

/* A kind that is written almost like a definition's is told if there is no definition. */
static void look_for_kind(struct request *r, const struct cli_source *source, kr_val v)
{
    struct kr_near near = {.word = kr_at_str(v, "kind")};

    kr_near_try(&near, KR_S(KIND));
    if (near.best.n && r->almost.n == 0)
        r->almost = kr_fmt(&r->report.a,
                           ": %s has kind \"" KR_FMT "\" of " KR_FMT "; right is " KIND
                           " of " GRAPH_GROUP "/" VERSION,
                           source->path, KR_ARG(near.word), KR_ARG(kr_at_str(v, "apiVersion")));
}

static int take_document(struct request *r, const struct cli_source *source, uint32_t document,
                         uint32_t line, kr_val v, struct kr_err *err)
{
    kr_val items =
        kr_is_str(kr_get(v, KR_S("kind")), KR_S("List")) ? kr_get(v, KR_S("items")) : KR_V_NONE;

    if (r->found_n + items.n > DOCUMENTS_MAX)
        return kr_fail(err, KR_E_LIMIT, "more than %d definitions", DOCUMENTS_MAX);
    if (cli_schemas_add(r->kinds, source->path, v, err) < 0)
        return kr_wrap(err, "%s", source->path);
    for (uint32_t i = 0; i <= items.n; i++) {
        kr_val one = i == 0 ? v : items.list[i - 1];
        struct definition *d;

        if (!is_definition(one)) {
            look_for_kind(r, source, one);
            continue;
        }
        d = add(r, source);
        d->v = one;
        d->document = document;
        d->item = (int64_t)i - 1;
        d->line = line;
    }
    return 0;
}

static int take_file(void *arg, const char *path, struct kr_err *err)
{
    struct request *r = arg;
    struct kr_arena *a = &r->report.a;
    struct cli_source *source = kr_new(a, struct cli_source);
    struct kr_err wrong = KR_ERR_NONE;
    uint32_t *lines;
    kr_val docs;

    source->path = path;
    KR_TRY(cli_read(a, path, &source->text, err));
    if (kr_yaml_parse_lines(a, source->text, &docs, &lines, &wrong) < 0) {
        struct definition *d = add(r, source);

        d->unreadable = wrong;
        d->line = 1;
        return 0;
    }
    for (uint32_t i = 0; i < docs.n; i++)
        KR_TRY(take_document(r, source, i, lines[i], docs.list[i], err));
    return 0;
}

static int read_input(struct request *r, struct kr_err *err)
{
    for (uint32_t i = 0; i < r->files.n; i++)
        KR_TRY(cli_each_file(&r->report.a, r->files.at[i], take_file, r, err));
    if (r->found_n == 0)
        return kr_fail(err, KR_E_INPUT, "no " KIND " in what was given" KR_FMT, KR_ARG(r->almost));
    return 0;
}

/* --- places ----------------------------------------------------------------------------------- */

static kr_str line_of(kr_str text, uint32_t line)
{
    kr_str rest = text, out = {0};

    for (uint32_t i = 0; i < line; i++)
        out = kr_str_cut(&rest, '\n');
    return kr_str_ends(out, KR_S("\r")) ? kr_str_sub(out, 0, out.n - 1) : out;
}

/* The part of a line around column, without the blanks in front; the caret moves with it. */
static void show(struct kr_arena *a, kr_str line, uint32_t column, struct cli_finding *f)
{
    size_t from = 0, byte = 0;
    kr_str before;
    uint32_t len;
    char *out;

    for (uint32_t i = 1; i < column && byte < line.n; i++) {
        kr_utf8_decode(line.s + byte, line.n - byte, &len);
        byte += len;
    }
    while (from < line.n && from < byte && (line.s[from] == ' ' || line.s[from] == '\t'))
        from++;
    if (byte > from + SHOWN_MAX / 2 && line.n - from > SHOWN_MAX) {
        from = byte - SHOWN_MAX / 2;
        while (from < byte && ((uint8_t)line.s[from] & 0xC0) == 0x80)
            from++;
    }
    before = kr_str_sub(line, from, byte);
    line = kr_str_sub(line, from, from + SHOWN_MAX);
    while (line.n && ((uint8_t)line.s[line.n - 1] & 0xC0) == 0x80)
        line.n--; /* nothing is cut in the middle of a character */
    out = kr_arena_bytes(a, line.n + 1);
    for (size_t i = 0; i < line.n; i++)
        out[i] = (unsigned char)line.s[i] < ' ' ? ' ' : line.s[i];
    f->shown = (kr_str){out, line.n};
    f->caret = column ? (uint32_t)kr_utf8_columns(before) + 1 : 0;
}

/* The finding's text as it stands in the file: its line is looked for from the value on. False: it is
 * written otherwise there (escaped, folded). */
static bool point_in_file(struct kr_arena *a, const struct graph_diag *x,
                          const struct kr_yaml_place *at, struct cli_finding *f)
{
    kr_str wanted = line_of(x->source, x->line);
    uint32_t first = at->line + (at->block ? 1 : 0) + x->line - 1;

    if (x->line == 0 || kr_str_trim(wanted).n == 0)
        return false;
    for (uint32_t i = 0; i < (at->block || x->line > 1 ? BLOCK_LINES : 1); i++) {
        kr_str line = line_of(f->source->text, first + i);
        size_t from = 0;
        ptrdiff_t hit;

        for (uint32_t c = 1;
             i == 0 && !at->block && x->line == 1 && c < at->column && from < line.n; c++) {
            uint32_t len;

            kr_utf8_decode(line.s + from, line.n - from, &len);
            from += len;
        }
        hit = kr_str_find(kr_str_sub(line, from, line.n), wanted);
        if (hit < 0)
            continue;
        f->line = first + i;
        f->column = (uint32_t)kr_utf8_count(kr_str_sub(line, 0, from + (size_t)hit)) + x->column;
        show(a, line, f->column, f);
        return true;
    }
    return false;
}

static void locate(struct request *r, const struct definition *d, struct cli_finding *f)
{
    struct kr_arena *a = &r->report.a;
    const struct graph_diag *x = f->diag;
    uint32_t n, head = d->item < 0 ? 0 : 2;
    const kr_str *below = graph_diag_names(a, x->path, &n);
    kr_str *names = kr_new_n(a, kr_str, n + 2);
    struct kr_yaml_place at;
    bool key;

    names[0] = KR_S("items");
    names[1] = kr_fmt(a, "%lld", (long long)d->item);
    memcpy(names + head, below, n * sizeof(*names));
    n += head;
    f->line = d->line;
    if (!kr_yaml_locate(f->source->text, d->document, names, n, &at))
        return;
    key = at.found < n || !at.scalar || (n > 0 && x->line && kr_str_eq(names[n - 1], x->source));
    if (!key && point_in_file(a, x, &at, f))
        return;
    f->line = key ? at.key_line : at.line;
    f->column = key ? at.key_column : at.column;
    if (!key && x->line) /* the text itself, for it is written otherwise in the file */
        show(a, line_of(x->source, x->line), x->column, f);
    else
        show(a, line_of(f->source->text, f->line), f->column, f);
}

/* --- one definition --------------------------------------------------------------------------- */

/* A finding of our own, about the document and not the spec. */
static void complain(struct cli_verdict *v, enum graph_rule rule, kr_str path, kr_str text)
{
    graph_diags_add(&v->diags, rule, path, text);
}

static void unreadable(struct request *r, const struct definition *d, struct cli_verdict *v)
{
    unsigned line, column;

    complain(v, GRAPH_R_UNREADABLE, KR_S("document"), kr_err_str(&d->unreadable));
    v->findings = kr_new_n(&r->report.a, struct cli_finding, 1);
    v->findings[0] = (struct cli_finding){.source = d->source, .diag = v->diags.items, .line = 1};
    if (sscanf(d->unreadable.text, "YAML line %u, column %u", &line, &column) != 2)
        return;
    v->findings[0].line = line;
    v->findings[0].column = column;
    show(&r->report.a, line_of(d->source->text, line), column, &v->findings[0]);
}

static void hint(struct request *r, struct graph_diag *x)
{
    if (x->rule == GRAPH_R_UNKNOWN_KIND)
        x->suggestion = cli_schemas_hint(r->kinds, &r->report.a, x->gvk);
}

static int compile(struct request *r, const struct definition *d, struct cli_verdict *v,
                   struct kr_err *err)
{
    struct graph_source src = {.name = v->name,
                               .spec = kr_get(d->v, KR_S("spec")),
                               .omit = r->omit,
                               .defer = true,
                               .diags = &v->diags};
    struct kr_err wrong = KR_ERR_NONE;
    struct graph_rev *rev = NULL;
    KR_AUTO(kr_arena) a = {0};
    int rc = cli_schemas_build(r->kinds, &src, &a, &rev, &wrong);

    if (rc == 0) {
        v->generates = kr_gvk_copy(&r->report.a, rev->instance_gvk);
        cli_check_crd(rev->crd, kr_at(src.spec, "schema.additionalPrinterColumns").n > 0,
                      &v->diags);
    }
    graph_rev_drop(rev);
    if (rc < 0 && v->diags.errors_n == 0) { /* not the definition's fault */
        *err = wrong;
        return rc;
    }
    for (uint32_t i = 0; i < v->diags.n; i++)
        hint(r, &v->diags.items[i]);
    return 0;
}

static void bad_version(struct request *r, const struct definition *d, struct cli_verdict *v)
{
    kr_str version = kr_at_str(d->v, "apiVersion");
    struct graph_diag *x = graph_diags_add(
        &v->diags, GRAPH_R_INVALID_FIELD, KR_S("apiVersion"),
        kr_fmt(&r->report.a, "there is no version " KR_FMT " of this kind", KR_ARG(version)));

    x->source = version;
    x->line = x->column = 1;
    x->expected = KR_S(GRAPH_GROUP "/" VERSION);
}

static int judge(struct request *r, const struct definition *d, struct cli_verdict *v,
                 struct kr_err *err)
{
    kr_val name = kr_at(d->v, "metadata.name");

    *v = (struct cli_verdict){.source = d->source, .line = d->line, .diags = {.a = &r->report.a}};
    if (d->unreadable.code < 0) {
        unreadable(r, d, v);
        return 0;
    }
    v->name = kr_text(name);
    if (name.kind != KR_STRING || name.n == 0)
        complain(v, GRAPH_R_INVALID_FIELD, KR_S("metadata.name"),
                 KR_S("metadata.name: Required value"));
    if (!kr_is_str(kr_get(d->v, KR_S("apiVersion")), KR_S(GRAPH_GROUP "/" VERSION)))
        bad_version(r, d, v);
    KR_TRY(compile(r, d, v, err));
    cli_check_members(d->v, &v->diags);
    return 0;
}

/* --- all together ----------------------------------------------------------------------------- */

static struct cli_verdict *first_with(struct kr_map *seen, kr_str key, struct cli_verdict *v)
{
    struct cli_verdict *first = kr_map_get(seen, key);

    if (!first)
        kr_map_put(seen, key, v);
    return first;
}

/* Two definitions of one name, or of one kind, cannot both be served. */
static void check_conflicts(struct request *r)
{
    struct kr_map names = {0}, kinds = {0};
    struct kr_arena *a = &r->report.a;

    for (uint32_t i = 0; i < r->report.n; i++) {
        struct cli_verdict *v = &r->report.verdicts[i], *first;

        first = v->name.n ? first_with(&names, v->name, v) : NULL;
        if (first)
            complain(v, GRAPH_R_CONFLICT, KR_S("metadata.name"),
                     kr_fmt(a, "%s:%u is named \"" KR_FMT "\" too", first->source->path,
                            first->line, KR_ARG(v->name)));
        if (v->generates.kind.n == 0 || first)
            continue;
        first = first_with(
            &kinds,
            kr_fmt(a, KR_FMT "/" KR_FMT, KR_ARG(v->generates.group), KR_ARG(v->generates.kind)), v);
        if (first)
            complain(v, GRAPH_R_CONFLICT, KR_S("spec.schema.kind"),
                     kr_fmt(a, "kind " KR_FMT " is generated by \"" KR_FMT "\" (%s:%u) too",
                            KR_ARG(v->generates.kind), KR_ARG(first->name), first->source->path,
                            first->line));
    }
    kr_map_fini(&names);
    kr_map_fini(&kinds);
}

static void conclude(struct request *r, const struct definition *d, struct cli_verdict *v)
{
    struct cli_report *out = &r->report;
    uint32_t warnings_n = v->diags.n + v->diags.left_out - v->diags.errors_n;

    v->valid = v->diags.errors_n == 0 && !(r->strict && warnings_n > 0);
    out->valid_n += v->valid;
    out->errors_n += v->diags.errors_n;
    out->warnings_n += warnings_n;
    out->failed = out->failed || !v->valid;
    if (v->findings)
        return;
    v->findings = kr_new_n(&out->a, struct cli_finding, v->diags.n);
    for (uint32_t i = 0; i < v->diags.n; i++) {
        v->findings[i] = (struct cli_finding){.source = d->source, .diag = &v->diags.items[i]};
        locate(r, d, &v->findings[i]);
    }
}

static int examine(struct request *r, struct kr_err *err)
{
    r->report.n = r->found_n;
    r->report.verdicts = kr_new_n(&r->report.a, struct cli_verdict, r->found_n);
    for (uint32_t i = 0; i < r->found_n; i++)
        KR_TRY(judge(r, &r->found[i], &r->report.verdicts[i], err));
    check_conflicts(r);
    for (uint32_t i = 0; i < r->found_n; i++)
        conclude(r, &r->found[i], &r->report.verdicts[i]);
    return 0;
}

/* --- the command ------------------------------------------------------------------------------ */

static int print(struct request *r, struct kr_err *err)
{
    KR_AUTO(kr_buf) out = KR_BUF(CLI_TEXT_MAX);
    struct kr_arena *a = &r->report.a;
    bool colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");

    if (strcmp(r->format, "text") == 0)
        cli_report_text(&r->report, colour, &out);
    else if (strcmp(r->format, "yaml") == 0)
        KR_TRY(kr_yaml_write(&out, cli_report_value(&r->report, a), err));
    else
        KR_TRY(kr_json_write(&out,
                             strcmp(r->format, "sarif") == 0 ? cli_report_sarif(&r->report, a)
                                                             : cli_report_value(&r->report, a),
                             KR_JSON_INDENT, err));
    if (out.n && out.s[out.n - 1] != '\n')
        kr_buf_chr(&out, '\n');
    return cli_print(&out);
}

static int run(struct request *r, int *code, struct kr_err *err)
{
    KR_TRY(cli_schemas_new(&r->schemas, &r->kinds, err));
    KR_TRY(read_input(r, err));
    *code = CLI_FAILED; /* from here on it is not the command line */
    KR_TRY(examine(r, err));
    *code = print(r, err);
    if (*code == CLI_OK && r->report.failed)
        *code = CLI_FAILED;
    return 0;
}

int cli_validate(int argc, char *const *argv)
{
    struct request r = {.format = "text"};
    const struct cli_option options[] = {
        CLI_SCHEMAS_OPTIONS(r.schemas),
        {.name = "output",
         .letter = 'o',
         .value = &r.format,
         .choices = formats,
         .arg = "FORMAT",
         .help = "text, json, yaml or sarif"},
        {.name = "strict", .flag = &r.strict, .help = "warnings make a definition invalid"},
        {.name = "omit", .flag = &r.omit, .help = "admit omit() (feature gate CELOmitFunction)"},
        {0},
    };
    struct kr_err err = KR_ERR_NONE;
    int code = CLI_USAGE, rc;

    rc = cli_parse(options, argc, argv, &r.files, "kroc validate [options] FILE|FOLDER|-...", &err);
    if (rc == 0 && r.files.n == 0)
        rc = kr_fail(&err, KR_E_INPUT, "kroc validate needs files, folders or \"-\"");
    if (rc == CLI_HELP)
        code = CLI_OK;
    else if (rc == 0 && run(&r, &code, &err) < 0)
        rc = -1;
    if (rc < 0)
        code = cli_fail_err(code, &err);
    cli_schemas_free(r.kinds);
    kr_arena_fini(&r.report.a);
    return code;
}
