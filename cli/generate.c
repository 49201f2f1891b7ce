/* SPDX-License-Identifier: Apache-2.0 */
/* generate.c - `kroc generate crd|instance|diagram -f FILE`: what comes of a definition, without
 * applying it.
 *
 * Every definition of the files is compiled, with the kinds of cli/schemas.h; results are documents
 * of one YAML stream, lines of JSON, or diagrams one behind the other. Verbs, -f and -o are kro's;
 * differently from kro, what is printed can be applied, equal definitions give equal output, and no
 * cluster is needed.
 */
#include "cli/generate.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cel/base/json.h"
#include "cel/base/yaml.h"
#include "cel/base/yaml_write.h"
#include "cli/cli.h"
#include "cli/schemas.h"
#include "graph/diag.h"

#include "cel/base/banned.h"

extern char **environ;

struct request {
    struct cli_schemas_opts schemas;
    struct cli_list files;
    const char *format;
    bool all;

    const struct verb *verb;
    struct kr_arena a;
    struct kr_listb documents; /* definitions */
    struct kr_listb paths;     /* the file of each */
    struct cli_schemas *kinds;
    struct kr_buf out;
    uint32_t done_n;
};

struct verb {
    const char *name, *usage;
    const char *const *formats; /* the first is the default */
    int (*print)(struct request *r, const struct graph_rev *rev, struct kr_err *err);
};

/* --- output ----------------------------------------------------------------------------------- */

static bool wants(const struct request *r, const char *format)
{
    return strcmp(r->format, format) == 0;
}

static int print_value(struct request *r, kr_val v, struct kr_err *err)
{
    if (wants(r, "json")) {
        KR_TRY(kr_json_write(&r->out, v, KR_JSON_INDENT, err));
        kr_buf_chr(&r->out, '\n');
        return 0;
    }
    if (r->done_n > 0)
        kr_buf_str(&r->out, KR_S("---\n"));
    return kr_yaml_write(&r->out, v, err);
}

static int print_crd(struct request *r, const struct graph_rev *rev, struct kr_err *err)
{
    return print_value(r, cli_crd_of(&r->a, rev), err);
}

static int print_instance(struct request *r, const struct graph_rev *rev, struct kr_err *err)
{
    kr_str gaps;
    kr_val instance = cli_sample_of(&r->a, rev, r->all, &gaps);

    for (kr_str rest = gaps; rest.n > 0;) {
        kr_str line = kr_str_cut(&rest, '\n');

        cli_fail(CLI_FAILED, kr_fmt(&r->a, "to be written by hand: " KR_FMT, KR_ARG(line)).s);
    }
    return print_value(r, instance, err);
}

static int print_diagram(struct request *r, const struct graph_rev *rev, struct kr_err *err)
{
    if (wants(r, "mermaid"))
        cli_diagram_mermaid(rev, &r->out);
    else
        cli_diagram_dot(rev, &r->out);
    return 0;
}

/* --- SVG -------------------------------------------------------------------------------------- */

/* Starts `dot -Tsvg` reading from in; it writes to our stdout. */
static int spawn_dot(FILE *in, pid_t *pid)
{
    static char name[] = "dot", svg[] = "-Tsvg";
    char *const argv[] = {name, svg, NULL};
    posix_spawn_file_actions_t actions;
    int rc;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fileno(in), STDIN_FILENO);
    rc = posix_spawnp(pid, "dot", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    return rc;
}

/* Lets graphviz draw the text that is DOT. */
static int print_svg(const struct kr_buf *dot)
{
    FILE *in = tmpfile();
    int rc, status = 0;
    pid_t pid;

    if (!in || fwrite(dot->s, 1, dot->n, in) != dot->n || fflush(in) != 0)
        return cli_fail(CLI_FAILED, "cannot write a temporary file");
    rewind(in);
    rc = spawn_dot(in, &pid);
    fclose(in);
    if (rc != 0)
        return cli_fail(CLI_FAILED,
                        rc == ENOENT
                            ? "SVG is drawn by graphviz, whose program dot is not here: install "
                              "the package graphviz, or take -o mermaid or -o dot"
                            : "cannot start graphviz's dot");
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status == 0 ? CLI_OK : cli_fail(CLI_FAILED, "graphviz's dot failed");
}

/* --- input ------------------------------------------------------------------------------------ */

static void take(struct request *r, const char *path, kr_val v)
{
    if (!kr_is_str(kr_at(v, "kind"), KR_S("ResourceGraphDefinition")))
        return;
    kr_listb_add(&r->documents, v);
    kr_listb_add(&r->paths, kr_string(kr_str_c(path)));
}

static int read_file(void *arg, const char *path, struct kr_err *err)
{
    struct request *r = arg;
    kr_str text;
    kr_val docs;

    KR_TRY(cli_read(&r->a, path, &text, err));
    if (kr_yaml_parse(&r->a, text, &docs, err) < 0)
        return kr_wrap(err, "%s", path);
    KR_LIST_EACH (doc, docs) {
        KR_TRY(cli_schemas_add(r->kinds, path, *doc, err));
        take(r, path, *doc);
        if (!kr_is_str(kr_at(*doc, "kind"), KR_S("List")))
            continue;
        KR_LIST_EACH (item, kr_get(*doc, KR_S("items")))
            take(r, path, *item);
    }
    return 0;
}

/* The first of the findings in one line, with what would be right. */
static int fail_with(struct request *r, const struct graph_diags *d, struct kr_err *err)
{
    const struct graph_diag *x = d->items;
    kr_str right;

    while (x->warning)
        x++;
    right =
        x->rule == GRAPH_R_UNKNOWN_KIND ? cli_schemas_hint(r->kinds, &r->a, x->gvk) : x->suggestion;
    kr_fail(err, KR_E_INPUT, KR_FMT ": " KR_FMT "%s" KR_FMT, KR_ARG(x->path), KR_ARG(x->text),
            right.n ? "; " : "", KR_ARG(right));
    if (d->errors_n > 1)
        kr_fail(err, KR_E_INPUT, "%s; kroc validate tells %u more",
                kr_strdup(&r->a, kr_err_str(err)).s, d->errors_n - 1);
    return KR_E_INPUT;
}

static int generate_one(struct request *r, kr_val rgd, const char *path, struct kr_err *err)
{
    struct graph_diags diags = {.a = &r->a};
    struct graph_source src = {.name = kr_at_str(rgd, "metadata.name"),
                               .spec = kr_get(rgd, KR_S("spec")),
                               .diags = &diags};
    struct graph_rev *rev = NULL;
    int rc = cli_schemas_build(r->kinds, &src, &r->a, &rev, err);

    if (rc < 0 && diags.errors_n)
        fail_with(r, &diags, err);
    if (rc < 0)
        return kr_wrap(err, "%s: " KR_FMT, path, KR_ARG(src.name));
    rc = r->verb->print(r, rev, err);
    graph_rev_drop(rev);
    r->done_n++;
    return rc;
}

static int generate(struct request *r, struct kr_err *err)
{
    kr_val documents, paths;

    KR_TRY(cli_schemas_new(&r->schemas, &r->kinds, err));
    for (uint32_t i = 0; i < r->files.n; i++)
        KR_TRY(cli_each_file(&r->a, r->files.at[i], read_file, r, err));
    documents = kr_listb_done(&r->documents);
    paths = kr_listb_done(&r->paths);
    if (documents.n == 0)
        return kr_fail(err, KR_E_INPUT, "no ResourceGraphDefinition in %s", r->files.at[0]);
    if (documents.n > 1 && r->verb->print == print_diagram && wants(r, "svg"))
        return kr_fail(err, KR_E_INPUT, "SVG holds one diagram: the files have %u definitions",
                       documents.n);
    for (uint32_t i = 0; i < documents.n; i++)
        KR_TRY(generate_one(r, documents.list[i], kr_cstr(&r->a, kr_text(paths.list[i])), err));
    return 0;
}

/* --- the command ------------------------------------------------------------------------------ */

static const char *const value_formats[] = {"yaml", "json", NULL};
static const char *const diagram_formats[] = {"mermaid", "dot", "svg", NULL};

static const struct verb verbs[] = {
    {"crd", "kroc generate crd [-o yaml|json] FILE|FOLDER|-...", value_formats, print_crd},
    {"instance", "kroc generate instance [--all] [-o yaml|json] FILE|FOLDER|-...", value_formats,
     print_instance},
    {"diagram", "kroc generate diagram [-o mermaid|dot|svg] FILE|FOLDER|-...", diagram_formats,
     print_diagram},
};

static const struct verb *verb_of(const char *name)
{
    for (size_t i = 0; i < KR_N(verbs); i++) {
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    }
    return NULL;
}

static int parse(struct request *r, int argc, char *const *argv, struct kr_err *err)
{
    const struct cli_option options[] = {
        {.name = "file",
         .letter = 'f',
         .list = &r->files,
         .arg = "FILE",
         .help = "the same as FILE: definitions, and CRDs they use; may come again"},
        {.name = "output",
         .letter = 'o',
         .value = &r->format,
         .choices = r->verb->formats,
         .arg = "FORMAT",
         .help = "form of the result"},
        {.name = "all", .flag = &r->all, .help = "instance: every field, not the needed ones only"},
        CLI_SCHEMAS_OPTIONS(r->schemas),
        {0},
    };
    int rc;

    r->format = r->verb->formats[0];
    rc = cli_parse(options, argc, argv, &r->files, r->verb->usage, err);
    if (rc == 0 && r->files.n == 0) /* same words as kro: cmd/kro */
        return kr_fail(err, KR_E_INPUT, "ResourceGraphDefinition file is required: -f FILE");
    return rc;
}

static int run(struct request *r, int argc, char *const *argv)
{
    struct kr_err err = KR_ERR_NONE;
    int rc = parse(r, argc, argv, &err);

    if (rc == CLI_HELP)
        return CLI_OK;
    if (rc < 0)
        return cli_fail_err(CLI_USAGE, &err);
    if (generate(r, &err) < 0)
        return cli_fail_err(CLI_FAILED, &err);
    return wants(r, "svg") ? print_svg(&r->out) : cli_print(&r->out);
}

static int help(void)
{
    KR_AUTO(kr_buf) text = KR_BUF(1024);

    for (size_t i = 0; i < KR_N(verbs); i++)
        kr_buf_fmt(&text, "%s%s\n", i ? "       " : "usage: ", verbs[i].usage);
    return cli_print(&text);
}

int cli_generate(int argc, char *const *argv)
{
    struct request *r;
    const struct verb *verb = argc > 0 ? verb_of(argv[0]) : NULL;
    int code;

    if (argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0))
        return help();
    if (!verb)
        return cli_fail(CLI_USAGE, "usage: kroc generate crd|instance|diagram FILE");
    r = KR_ALLOC(struct request);
    r->verb = verb;
    r->documents.a = r->paths.a = &r->a;
    kr_buf_init(&r->out, CLI_TEXT_MAX);
    code = run(r, argc - 1, argv + 1);
    cli_schemas_free(r->kinds);
    kr_buf_fini(&r->out);
    kr_arena_fini(&r->a);
    kr_free(r);
    return code;
}
