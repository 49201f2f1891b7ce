/* SPDX-License-Identifier: Apache-2.0 */
/* render.c - `kroc render -f rgd.yaml -f instance.yaml [--with objects.yaml]`: what kroc would apply, in
 * its order, without a cluster.
 *
 *   --with, then -f --> a sandbox and the controller in virtual time --at rest-->
 *     each child as it was applied last, at the place of its first apply; what waits, and for what
 *
 * It is the controller itself that answers, so labels, order and refusals are its own. Workloads become
 * ready as in the sandbox; what only a cluster can know (uids, versions, addresses) is the sandbox's,
 * equal in every run. What never becomes ready there keeps what reads it from being made: that is said
 * in comments and by the exit code; --with gives such objects, status included.
 */
#include <stdio.h>

#include "cel/base/json.h"
#include "cel/base/log.h"
#include "cel/base/map.h"
#include "cel/base/yaml.h"
#include "cel/base/yaml_write.h"
#include "cli/feed.h"
#include "cli/local.h"
#include "graph/names.h"
#include "reactor/version.h"

#include "cel/base/banned.h"

enum {
    ROUNDS_MAX = 16,           /* namespaces, definitions and instances that build on each other */
    CHILDREN_MAX = 100 * 1000, /* objects */
};

/* An object that was applied. */
struct child {
    kr_str path; /* of the request: its identity */
    kr_val v;
    kr_str refused; /* empty: it was taken */
};

struct render {
    struct cli_list files, with;
    const char *format, *cluster;

    struct kr_arena a;
    struct cli_feed feed;
    struct cli_local local;
    kr_val *docs; /* of all files */
    uint32_t docs_n, docs_cap;
    struct child *children;
    uint32_t n, cap;
    struct kr_map by_path;    /* path -> index + 1 */
    struct kr_map namespaces; /* missing ones */
    uint32_t namespaces_n;
    struct kr_buf notes; /* what is not as it should be, a line each */
    bool too_many;
};

static const char *const formats[] = {"yaml", "json", NULL};
static const char *const clusters[] = {"full", "apiserver-only", NULL};

/* --- what the controller asks for ------------------------------------------------------------- */

static struct child *child_of(struct render *r, kr_str path)
{
    const char *key = kr_cstr(&r->a, path);
    uintptr_t at = (uintptr_t)kr_map_get(&r->by_path, kr_str_c(key));

    if (at)
        return &r->children[at - 1];
    if (r->n == CHILDREN_MAX) {
        r->too_many = true;
        return NULL;
    }
    if (r->n == r->cap) {
        r->cap = r->cap ? 2 * r->cap : 16;
        r->children = kr_realloc(r->children, r->cap * sizeof r->children[0]);
    }
    r->children[r->n++] = (struct child){.path = kr_str_c(key)};
    kr_map_put(&r->by_path, kr_str_c(key), (void *)(uintptr_t)r->n);
    return &r->children[r->n - 1];
}

/* A child goes where there is no namespace: it would be there. */
static void miss_namespace(struct render *r, kr_str path)
{
    ptrdiff_t at = kr_str_find(path, KR_S("/namespaces/"));
    kr_str rest, name;

    if (at < 0)
        return;
    rest = kr_str_sub(path, (size_t)at + sizeof "/namespaces/" - 1, path.n);
    name = kr_strdup(&r->a, kr_str_cut(&rest, '/'));
    if (kr_map_get(&r->namespaces, name))
        return;
    kr_map_put(&r->namespaces, name, r);
    r->namespaces_n++;
}

static void on_asked(void *arg, const struct sandbox_request *q, const struct sandbox_response *a)
{
    struct render *r = arg;
    kr_str rest = q->path, path = kr_str_cut(&rest, '?');
    struct child *c;
    kr_val answer;

    if (strcmp(q->method, "PATCH") != 0 ||
        !kr_str_starts(q->content_type, KR_S("application/apply-patch")) ||
        kr_str_find(rest, KR_S("fieldManager=kro.run%2Fapplyset&")) < 0)
        return;
    c = child_of(r, path);
    if (!c || kr_json_parse(&r->a, q->body, &c->v, NULL) < 0)
        return;
    c->refused = (kr_str){0};
    if (a->status < 300)
        return;
    if (a->status == 404)
        miss_namespace(r, path);
    c->refused = kr_json_parse(&r->a, kr_buf_view(&a->body), &answer, NULL) == 0
                     ? kr_at_str(answer, "message")
                     : kr_fmt(&r->a, "status %d", a->status);
}

/* --- input ------------------------------------------------------------------------------------ */

static void keep(struct render *r, kr_val doc)
{
    if (r->docs_n == r->docs_cap) {
        r->docs_cap = r->docs_cap ? 2 * r->docs_cap : 16;
        r->docs = kr_realloc(r->docs, r->docs_cap * sizeof r->docs[0]);
    }
    r->docs[r->docs_n++] = doc;
}

static void take(struct render *r, kr_val doc)
{
    kr_val items =
        kr_str_ends(kr_at_str(doc, "kind"), KR_S("List")) ? kr_get(doc, KR_S("items")) : KR_V_NONE;

    if (items.kind != KR_LIST)
        keep(r, doc);
    KR_LIST_EACH (item, items)
        take(r, *item);
}

static int read_file(void *arg, const char *path, struct kr_err *err)
{
    struct render *r = arg;
    kr_str text;
    kr_val docs;

    KR_TRY(cli_read(&r->a, path, &text, err));
    if (kr_yaml_parse(&r->a, text, &docs, err) < 0)
        return kr_wrap(err, "%s", path);
    KR_LIST_EACH (doc, docs) {
        take(r, *doc);
        KR_TRY(cli_feed_doc(&r->feed, path, *doc, err));
    }
    return 0;
}

static bool is_definition(kr_val doc)
{
    return kr_is_str(kr_at(doc, "kind"), KR_S("ResourceGraphDefinition")) &&
           kr_str_starts(kr_at_str(doc, "apiVersion"), KR_S(GRAPH_GROUP "/"));
}

/* Is doc of the kind that definition generates? */
static bool is_instance_of(kr_val doc, kr_val definition)
{
    kr_str group = kr_at_str(definition, "spec.schema.group"), of = kr_at_str(doc, "apiVersion");

    if (group.n == 0)
        group = KR_S(GRAPH_GROUP);
    return kr_str_eq(kr_at_str(doc, "kind"), kr_at_str(definition, "spec.schema.kind")) &&
           kr_str_eq(kr_str_cut(&of, '/'), group);
}

static bool is_instance(const struct render *r, kr_val doc)
{
    for (uint32_t i = 0; i < r->docs_n; i++) {
        if (is_definition(r->docs[i]) && is_instance_of(doc, r->docs[i]))
            return true;
    }
    return false;
}

static int check_input(const struct render *r, struct kr_err *err)
{
    const kr_val *definition = NULL;

    for (uint32_t i = 0; i < r->docs_n; i++) {
        if (is_instance(r, r->docs[i]))
            return 0;
        if (is_definition(r->docs[i]) && !definition)
            definition = &r->docs[i];
    }
    if (!definition)
        return kr_fail(err, KR_E_INPUT, "no ResourceGraphDefinition in what -f gives");
    return kr_fail(err, KR_E_INPUT,
                   "no instance in what -f gives: a " KR_FMT
                   " is wanted (kroc generate instance writes one)",
                   KR_ARG(kr_at_str(*definition, "spec.schema.kind")));
}

static int read_input(struct render *r, struct kr_err *err)
{
    for (uint32_t i = 0; i < r->with.n; i++)
        KR_TRY(cli_each_file(&r->a, r->with.at[i], read_file, r, err));
    for (uint32_t i = 0; i < r->files.n; i++)
        KR_TRY(cli_each_file(&r->a, r->files.at[i], read_file, r, err));
    return check_input(r, err);
}

/* --- the run ---------------------------------------------------------------------------------- */

static void note(struct render *r, kr_str what, kr_str why)
{
    kr_buf_fmt(&r->notes, KR_FMT ": ", KR_ARG(what));
    for (kr_str rest = kr_str_trim(why); rest.n;) {
        kr_str line = kr_str_cut(&rest, '\n');

        kr_buf_fmt(&r->notes, KR_FMT "%s", KR_ARG(line), rest.n ? "; " : "");
    }
    kr_buf_chr(&r->notes, '\n');
}

static void on_refused(void *arg, kr_str what, kr_str why)
{
    note(arg, what, why);
}

static void add_namespace(struct render *r, kr_str name)
{
    kr_str body = kr_fmt(&r->a, "{\"metadata\":{\"name\":\"" KR_FMT "\"}}", KR_ARG(name));

    cli_local_ask(&r->local, &r->a, "POST", KR_S("/api/v1/namespaces"), NULL, body);
}

/* Namespaces that the input names and does not bring. */
static void add_namespaces(struct render *r)
{
    for (uint32_t i = 0; i < r->docs_n; i++) {
        kr_str ns = kr_at_str(r->docs[i], "metadata.namespace");

        if (ns.n)
            add_namespace(r, ns);
    }
    kr_map_each (e, &r->namespaces)
        add_namespace(r, kr_str_c(e->key));
}

/* The status that a document of the input has: nobody else would write it here. */
static void give_status(struct render *r, kr_val doc)
{
    kr_val status = kr_get(doc, KR_S("status"));
    struct kr_mapb b = KR_MAPB(&r->a);
    kr_str path;

    if (status.kind != KR_MAP || is_definition(doc) || is_instance(r, doc))
        return;
    path = cli_local_path(&r->local, &r->a, doc, "status");
    kr_mapb_put(&b, KR_S("status"), status);
    if (path.n)
        cli_local_ask(&r->local, &r->a, "PATCH", path, "merge-patch+json",
                      kr_json_str(&r->a, kr_mapb_done(&b)));
}

/* At rest, and nothing that was missing has been added since. */
static int play(struct render *r, struct kr_err *err)
{
    uint32_t waiting = UINT32_MAX, namespaces = UINT32_MAX;

    for (int i = 0; i < ROUNDS_MAX; i++) {
        add_namespaces(r);
        cli_feed_offer(&r->feed, r->local.sandbox, "render", on_refused, r);
        for (uint32_t d = 0; d < r->docs_n; d++)
            give_status(r, r->docs[d]);
        KR_TRY(cli_local_rest(&r->local, err));
        if (r->feed.waiting_n == waiting && r->namespaces_n == namespaces)
            break;
        waiting = r->feed.waiting_n;
        namespaces = r->namespaces_n;
    }
    if (r->too_many)
        return kr_fail(err, KR_E_LIMIT, "more than %d objects", CHILDREN_MAX);
    return 0;
}

/* What a definition or an instance says of itself, if that is not what it should. */
static void look_at(struct render *r, kr_val doc, kr_str wanted)
{
    kr_str path = cli_local_path(&r->local, &r->a, doc, NULL), why = {0};
    kr_val now =
        path.n ? cli_local_ask(&r->local, &r->a, "GET", path, NULL, KR_S("")).body : KR_V_NONE;

    if (kr_str_eq(kr_at_str(now, "status.state"), wanted))
        return;
    KR_LIST_EACH (c, kr_at(now, "status.conditions")) {
        if (kr_is_str(kr_at(*c, "type"), KR_S(GRAPH_C_READY)))
            why = kr_at_str(*c, "message");
    }
    if (path.n)
        note(r, cli_feed_name(&r->a, doc), why.n ? why : KR_S("nothing has come of it"));
}

static void examine(struct render *r)
{
    for (uint32_t i = 0; i < r->docs_n; i++) {
        if (is_definition(r->docs[i]))
            look_at(r, r->docs[i], KR_S("Active"));
        else if (is_instance(r, r->docs[i]))
            look_at(r, r->docs[i], KR_S("ACTIVE"));
    }
    for (uint32_t i = 0; i < r->n; i++) {
        if (r->children[i].refused.n)
            note(r, cli_feed_name(&r->a, r->children[i].v), r->children[i].refused);
    }
    cli_feed_give_up(&r->feed, on_refused, r);
}

/* --- output ----------------------------------------------------------------------------------- */

static int print_yaml(struct render *r, struct kr_buf *out, struct kr_err *err)
{
    kr_buf_fmt(out,
               "# rendered by kroc %s on its sandbox, which made up the uids, resource versions "
               "and addresses\n",
               reactor_version);
    for (uint32_t i = 0; i < r->n; i++) {
        const struct child *c = &r->children[i];
        kr_val labels = kr_at(c->v, "metadata.labels");

        if (c->refused.n)
            continue;
        kr_buf_fmt(out, "---\n# resource " KR_FMT " of " KR_FMT " " KR_FMT "\n",
                   KR_ARG(kr_text(kr_get(labels, KR_S(GRAPH_LABEL_NODE)))),
                   KR_ARG(kr_text(kr_get(labels, KR_S(GRAPH_LABEL_INSTANCE_KIND)))),
                   KR_ARG(kr_text(kr_get(labels, KR_S(GRAPH_LABEL_INSTANCE_NAME)))));
        KR_TRY(kr_yaml_write(out, c->v, err));
    }
    for (kr_str rest = kr_buf_view(&r->notes); rest.n;) {
        kr_str line = kr_str_cut(&rest, '\n');

        kr_buf_fmt(out, "# incomplete: " KR_FMT "\n", KR_ARG(line));
    }
    return 0;
}

static int print_json(struct render *r, struct kr_buf *out, struct kr_err *err)
{
    struct kr_listb items = KR_LISTB(&r->a);
    struct kr_mapb list = KR_MAPB(&r->a);

    for (uint32_t i = 0; i < r->n; i++) {
        if (r->children[i].refused.n == 0)
            kr_listb_add(&items, r->children[i].v);
    }
    kr_mapb_put(&list, KR_S("apiVersion"), KR_V_STR("v1"));
    kr_mapb_put(&list, KR_S("kind"), KR_V_STR("List"));
    kr_mapb_put(&list, KR_S("items"), kr_listb_done(&items));
    KR_TRY(kr_json_write(out, kr_mapb_done(&list), KR_JSON_INDENT, err));
    kr_buf_chr(out, '\n');
    return 0;
}

static int print(struct render *r, int *code, struct kr_err *err)
{
    KR_AUTO(kr_buf) out = KR_BUF(CLI_TEXT_MAX);
    bool json = strcmp(r->format, "json") == 0;

    KR_TRY(json ? print_json(r, &out, err) : print_yaml(r, &out, err));
    *code = cli_print(&out);
    for (kr_str rest = kr_buf_view(&r->notes); rest.n;) {
        kr_str line = kr_str_cut(&rest, '\n');

        *code = cli_fail(CLI_FAILED, kr_cstr(&r->a, line));
    }
    return 0;
}

/* --- the command ------------------------------------------------------------------------------ */

static int run(struct render *r, int *code, struct kr_err *err)
{
    struct cli_local_opts opts = {.asked = on_asked, .arg = r};
    int rc;

    *code = CLI_USAGE;
    KR_TRY(read_input(r, err));
    *code = CLI_FAILED;
    opts.sandbox.bare = r->cluster && strcmp(r->cluster, "apiserver-only") == 0;
    kr_log_config(KR_ERROR, false, -1); /* what it would say is in the result */
    cli_local_open(&r->local, &opts);
    rc = play(r, err);
    if (rc == 0)
        examine(r);
    cli_local_close(&r->local);
    KR_TRY(rc);
    return print(r, code, err);
}

static int parse(struct render *r, int argc, char *const *argv, struct kr_err *err)
{
    const struct cli_option options[] = {
        {.name = "file",
         .letter = 'f',
         .list = &r->files,
         .arg = "PATH",
         .help = "definitions and instances, and CRDs they need; may come again"},
        {.name = "with",
         .list = &r->with,
         .arg = "PATH",
         .help = "objects that are there already, with their status"},
        {.name = "output",
         .letter = 'o',
         .value = &r->format,
         .choices = formats,
         .arg = "FORMAT",
         .help = "yaml, or json: one List"},
        {.name = "cluster",
         .value = &r->cluster,
         .choices = clusters,
         .arg = "KIND",
         .help = "full (the default): workloads become ready; apiserver-only: nothing does"},
        {0},
    };
    int rc = cli_parse(options, argc, argv, &r->files,
                       "kroc render -f RGD -f INSTANCE [--with OBJECTS]", err);

    if (rc == 0 && r->files.n == 0)
        return kr_fail(err, KR_E_INPUT, "kroc render needs a definition and an instance: -f FILE");
    return rc;
}

int cli_render(int argc, char *const *argv)
{
    struct render *r = KR_ALLOC(struct render);
    struct kr_err err = KR_ERR_NONE;
    int rc, code = CLI_OK;

    r->format = formats[0];
    kr_buf_init(&r->notes, CLI_TEXT_MAX);
    rc = parse(r, argc, argv, &err);
    if (rc == 0 && run(r, &code, &err) < 0)
        code = cli_fail_err(code, &err);
    else if (rc < 0)
        code = cli_fail_err(CLI_USAGE, &err);
    cli_feed_fini(&r->feed);
    kr_map_fini(&r->by_path);
    kr_map_fini(&r->namespaces);
    kr_buf_fini(&r->notes);
    kr_arena_fini(&r->a);
    kr_free(r->docs);
    kr_free(r->children);
    kr_free(r);
    return code;
}
