/* SPDX-License-Identifier: Apache-2.0 */
/* look.c - `kroc get`, `tree`, `stuck`: definitions, instances and their children, for people.
 *
 *   kroc get                     every definition, and every instance: state, what it waits for, age
 *   kroc get KIND [NAME]         those of one kind
 *   kroc tree [KIND/]NAME        an instance and its objects, in the order of the graph
 *   kroc stuck                   what is not as it should be, and why; exit code 1 if there is any
 *
 * All is read from the cluster, with the rights of whoever asks; no controller needs to run. -w shows
 * it again every two seconds, until Ctrl-C; a look that fails is told, and the next one comes all the same.
 */
#include <inttypes.h>
#include <time.h>
#include <unistd.h>

#include "cel/base/json.h"
#include "cel/base/time.h"
#include "cli/cli.h"
#include "cli/cluster.h"
#include "cli/progress.h"
#include "graph/graph.h"

#include "cel/base/banned.h"

enum {
    PAGE = 500,             /* objects of one request */
    INSTANCES_MAX = 100000, /* of one kind: more are not shown, which is said */
    WATCH_S = 2,
    COLUMN = 40, /* widest column of a table but the last */
};

struct look {
    struct kr_arena a;
    struct cli_cluster *cluster;
    struct kr_buf out;
    const char *kubeconfig, *context, *namespace, *output;
    kr_str kind, name; /* what was asked for; empty: all. Live in argv */
    bool watch, colour, no_colour;
    kr_val rgds;
    uint32_t bad_n;
    int status; /* HTTP's, of the last answer */
};

/* --- asking ----------------------------------------------------------------------------------- */

/* The page that *next names, into out; *next then names the one behind it, empty: it was the last. *left is how
 * many objects the server says are still to come, 0 where it does not say. */
static int list_page(struct look *l, kr_str path, const char *query, struct kr_listb *out,
                     kr_str *next, uint64_t *left, struct kr_err *err)
{
    struct kr_buf url = KR_BUF_IN(&l->a, KUBE_URL_MAX);
    struct kube_req req = {.verb = KUBE_GET};
    kr_val remaining;
    int rc;

    kr_buf_fmt(&url, KR_FMT "?limit=%d%s", KR_ARG(path), PAGE, query);
    if (next->n > 0) {
        kr_buf_fmt(&url, "&continue=");
        kube_query_escape(&url, *next);
    }
    req.path = kr_buf_view(&url);
    rc = cli_cluster_ask(l->cluster, &req, err);
    l->status = req.status;
    KR_LIST_EACH (it, kr_at(req.object, "items"))
        kr_listb_add(out, kr_copy(&l->a, *it));
    *next = kr_strdup(&l->a, kr_at_str(req.object, "metadata.continue"));
    remaining = kr_at(req.object, "metadata.remainingItemCount");
    *left = remaining.kind == KR_INT && remaining.i > 0 ? (uint64_t)remaining.i : 0;
    kube_req_fini(&req);
    return rc;
}

/* The items of a list, page by page, into out. */
static int list_all(struct look *l, kr_str path, const char *query, struct kr_listb *out,
                    struct kr_err *err)
{
    kr_str next = KR_S("");
    struct cli_progress progress;
    uint64_t left;
    int rc;

    cli_progress_begin(&progress, kr_str_sub(path, (size_t)kr_str_rchr(path, '/') + 1, path.n));
    do {
        rc = list_page(l, path, query, out, &next, &left, err);
        if (rc == 0)
            cli_progress(&progress, out->n, left ? out->n + left : 0);
    } while (rc == 0 && next.n > 0 && out->n < INSTANCES_MAX);
    cli_progress_end(&progress);
    KR_TRY(rc);
    if (next.n > 0)
        fprintf(stderr, "kroc: only the first %u of " KR_FMT " are shown\n", out->n, KR_ARG(path));
    return 0;
}

static int read_definitions(struct look *l, struct kr_err *err)
{
    struct kr_listb rgds = KR_LISTB(&l->a);

    KR_TRY(list_all(l, KR_S("/apis/kro.run/v1alpha1/resourcegraphdefinitions"), "", &rgds, err));
    l->rgds = kr_listb_done(&rgds);
    return 0;
}

static kr_str lower(struct kr_arena *a, kr_str s)
{
    char *out = kr_arena_bytes(a, s.n + 1);

    for (size_t i = 0; i < s.n; i++)
        out[i] = (char)(s.s[i] >= 'A' && s.s[i] <= 'Z' ? s.s[i] + 32 : s.s[i]);
    return (kr_str){out, s.n};
}

static kr_str kind_of(kr_val rgd)
{
    return kr_at_str(rgd, "spec.schema.kind");
}

static kr_str group_of(kr_val rgd)
{
    kr_str group = kr_at_str(rgd, "spec.schema.group");

    return group.n ? group : KR_S(GRAPH_GROUP);
}

/* Is this word the kind, its plural, or the definition's name? */
static bool is_named(struct look *l, kr_val rgd, kr_str word)
{
    kr_str kind = lower(&l->a, kind_of(rgd));

    word = lower(&l->a, word);
    return kr_str_eq(word, kind) || kr_str_eq(word, graph_plural(&l->a, kind)) ||
           kr_str_eq(word, lower(&l->a, kr_at_str(rgd, "metadata.name")));
}

/* The instances of a definition. A definition that is not served yet has none. */
static int read_instances(struct look *l, kr_val rgd, kr_val *items, struct kr_err *err)
{
    struct kr_listb out = KR_LISTB(&l->a);
    kr_str plural = graph_plural(&l->a, lower(&l->a, kind_of(rgd)));
    kr_str path;
    int rc;

    if (l->namespace && !kr_is_str(kr_at(rgd, "spec.schema.scope"), KR_S("Cluster")))
        path = kr_fmt(&l->a, "/apis/" KR_FMT "/" KR_FMT "/namespaces/%s/" KR_FMT,
                      KR_ARG(group_of(rgd)), KR_ARG(kr_at_str(rgd, "spec.schema.apiVersion")),
                      l->namespace, KR_ARG(plural));
    else
        path = kr_fmt(&l->a, "/apis/" KR_FMT "/" KR_FMT "/" KR_FMT, KR_ARG(group_of(rgd)),
                      KR_ARG(kr_at_str(rgd, "spec.schema.apiVersion")), KR_ARG(plural));
    rc = list_all(l, path, "", &out, err);
    *items = kr_listb_done(&out);
    if (rc == KR_E_API && l->status == 404)
        rc = 0;
    return rc;
}

/* --- saying ----------------------------------------------------------------------------------- */

enum mood { GOOD, BUSY, BAD };

static const char *const colours[] = {"\033[32m", "\033[33m", "\033[31m"};

static void add_cell(struct look *l, kr_str text, int width, int mood)
{
    bool colour = l->colour && mood >= 0;
    int pad = width - (int)text.n;

    kr_buf_fmt(&l->out, "%s", colour ? colours[mood] : "");
    for (size_t i = 0; i < text.n;
         i++) /* what comes from the cluster cannot speak to the terminal */
        kr_buf_chr(&l->out, (unsigned char)text.s[i] < ' ' || text.s[i] == 0x7f ? ' ' : text.s[i]);
    kr_buf_fmt(&l->out, "%s%*s", colour ? "\033[0m" : "", pad > 0 ? pad : 0, "");
}

static enum mood mood_of(kr_val object)
{
    kr_str state = kr_at_str(object, "status.state");

    if (kr_str_is(state, "ACTIVE") || kr_str_is(state, "Active"))
        return GOOD;
    return kr_str_is(state, "IN_PROGRESS") || kr_str_is(state, "DELETING") ? BUSY : BAD;
}

static kr_str state_of(kr_val object)
{
    kr_str state = kr_at_str(object, "status.state");

    return state.n ? state : KR_S("(none)");
}

/* The words of the first condition that is not True. */
static kr_str reason_of(kr_val object)
{
    KR_LIST_EACH (it, kr_at(object, "status.conditions")) {
        kr_str message = kr_at_str(*it, "message");

        if (!kr_is_str(kr_at(*it, "status"), KR_S("True")) && message.n > 0)
            return message;
    }
    if (kr_at(object, "status").kind == KR_NONE)
        return KR_S("no controller has looked at it");
    return KR_S("");
}

/* "5m", "3h", "2d": since its creation. */
static kr_str age_of(struct look *l, kr_val object)
{
    static const struct {
        int64_t s;
        char unit;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    int64_t since_s, age_s;
    uint32_t nanos;

    if (!kr_time_parse(kr_at_str(object, "metadata.creationTimestamp"), &since_s, &nanos))
        return KR_S("?");
    age_s = (int64_t)time(NULL) - since_s;
    for (size_t i = 0; i < KR_N(units); i++) {
        if (age_s >= units[i].s)
            return kr_fmt(&l->a, "%" PRId64 "%c", age_s / units[i].s, units[i].unit);
    }
    return KR_S("0s");
}

static kr_str where_of(struct look *l, kr_val object)
{
    kr_str namespace = kr_at_str(object, "metadata.namespace");

    return kr_fmt(&l->a, KR_FMT "%s" KR_FMT, KR_ARG(namespace), namespace.n ? "/" : "",
                  KR_ARG(kr_at_str(object, "metadata.name")));
}

struct row {
    kr_val object;
    kr_str kind, where;
};

struct rows {
    struct row *at;
    uint32_t n;
};

static void add_rows(struct look *l, struct rows *rows, kr_val items, kr_str kind)
{
    KR_LIST_EACH (it, items) {
        rows->at = kr_realloc(rows->at, (rows->n + 1) * sizeof *rows->at);
        rows->at[rows->n++] = (struct row){*it, kind, where_of(l, *it)};
    }
}

static int widest(const struct rows *rows, bool kind)
{
    size_t n = kind ? 4 : 4;

    for (uint32_t i = 0; i < rows->n; i++) {
        size_t m = kind ? rows->at[i].kind.n : rows->at[i].where.n;

        n = m > n ? m : n;
    }
    return n > COLUMN ? COLUMN : (int)n;
}

static void print_rows(struct look *l, const struct rows *rows)
{
    int kinds = widest(rows, true) + 2, wheres = widest(rows, false) + 2;

    if (rows->n == 0)
        return;
    kr_buf_fmt(&l->out, "%-*s%-*s%-13s%-6s%s\n", kinds, "KIND", wheres, "NAME", "STATE", "AGE",
               "WAITS FOR");
    for (uint32_t i = 0; i < rows->n; i++) {
        const struct row *r = &rows->at[i];

        add_cell(l, r->kind, kinds, -1);
        add_cell(l, r->where, wheres, -1);
        add_cell(l, state_of(r->object), 13, (int)mood_of(r->object));
        add_cell(l, age_of(l, r->object), 6, -1);
        add_cell(l, mood_of(r->object) == GOOD ? KR_S("") : reason_of(r->object), 0, -1);
        kr_buf_chr(&l->out, '\n');
    }
}

static void print_json(struct look *l, const struct rows *rows)
{
    for (uint32_t i = 0; i < rows->n; i++) {
        const struct row *r = &rows->at[i];

        kr_buf_fmt(&l->out, "%s{\"kind\":", i ? "," : "[");
        kr_json_quote(&l->out, r->kind, 0);
        kr_buf_fmt(&l->out, ",\"namespace\":");
        kr_json_quote(&l->out, kr_at_str(r->object, "metadata.namespace"), 0);
        kr_buf_fmt(&l->out, ",\"name\":");
        kr_json_quote(&l->out, kr_at_str(r->object, "metadata.name"), 0);
        kr_buf_fmt(&l->out, ",\"state\":");
        kr_json_quote(&l->out, kr_at_str(r->object, "status.state"), 0);
        kr_buf_fmt(&l->out, ",\"reason\":");
        kr_json_quote(&l->out, mood_of(r->object) == GOOD ? KR_S("") : reason_of(r->object), 0);
        kr_buf_chr(&l->out, '}');
    }
    kr_buf_fmt(&l->out, "%s]\n", rows->n ? "" : "[");
}

static void print_table(struct look *l, const struct rows *rows)
{
    if (strcmp(l->output, "json") == 0)
        print_json(l, rows);
    else
        print_rows(l, rows);
}

/* --- get and stuck ---------------------------------------------------------------------------- */

static void drop_good(struct rows *rows)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < rows->n; i++) {
        if (mood_of(rows->at[i].object) != GOOD)
            rows->at[n++] = rows->at[i];
    }
    rows->n = n;
}

static void keep_named(struct rows *rows, kr_str name)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < rows->n; i++) {
        if (kr_is_str(kr_at(rows->at[i].object, "metadata.name"), name))
            rows->at[n++] = rows->at[i];
    }
    rows->n = n;
}

/* Definitions and instances, of one kind and name where they were asked for. */
static int collect(struct look *l, struct rows *rows, struct kr_err *err)
{
    bool rgds = kr_str_is(l->kind, "rgd");
    bool found = rgds;

    if (l->kind.n == 0 || rgds)
        add_rows(l, rows, l->rgds, KR_S("rgd"));
    KR_LIST_EACH (rgd, l->rgds) {
        kr_val items;

        if (l->kind.n > 0 && (rgds || !is_named(l, *rgd, l->kind)))
            continue;
        found = true;
        KR_TRY(read_instances(l, *rgd, &items, err));
        add_rows(l, rows, items, kind_of(*rgd));
    }
    if (!found && l->kind.n > 0)
        return kr_fail(err, KR_E_INPUT, "no definition generates \"" KR_FMT "\"; kubectl get rgd",
                       KR_ARG(l->kind));
    if (l->name.n == 0)
        return 0;
    keep_named(rows, l->name);
    if (rows->n == 0)
        return kr_fail(err, KR_E_INPUT, "there is no " KR_FMT " \"" KR_FMT "\"", KR_ARG(l->kind),
                       KR_ARG(l->name));
    return 0;
}

static int show_get(struct look *l, struct kr_err *err)
{
    struct rows rows = {0};
    int rc = collect(l, &rows, err);

    if (rc == 0)
        print_table(l, &rows);
    if (rc == 0 && rows.n == 0 && strcmp(l->output, "json") != 0)
        kr_buf_fmt(&l->out, "there are none\n");
    kr_free(rows.at);
    return rc;
}

static int show_stuck(struct look *l, struct kr_err *err)
{
    struct rows rows = {0};
    int rc = collect(l, &rows, err);
    uint32_t all_n = rows.n;

    drop_good(&rows);
    l->bad_n = rows.n;
    if (rc == 0)
        print_table(l, &rows);
    if (rc == 0 && rows.n == 0 && strcmp(l->output, "json") != 0)
        kr_buf_fmt(&l->out, "all %u definitions and instances are as they should be\n", all_n);
    kr_free(rows.at);
    return rc;
}

/* --- tree ------------------------------------------------------------------------------------- */

/* Objects of one type that belong to the ApplySet. */
static int read_children(struct look *l, kr_gvk gvk, kr_str id, struct kr_listb *out,
                         struct kr_err *err)
{
    const struct kube_kind *kind = kube_discovery_kind(cli_cluster_discovery(l->cluster), gvk);
    struct kr_buf query = KR_BUF_IN(&l->a, 1024);
    kr_str path;

    if (kind == NULL)
        return 0;
    kr_buf_fmt(&query, "&labelSelector=applyset.kubernetes.io%%2Fpart-of%%3D");
    kube_query_escape(&query, id);
    path = gvk.group.n ? kr_fmt(&l->a, "/apis/" KR_FMT "/" KR_FMT "/" KR_FMT, KR_ARG(gvk.group),
                                KR_ARG(gvk.version), KR_ARG(kind->resource))
                       : kr_fmt(&l->a, "/api/" KR_FMT "/" KR_FMT, KR_ARG(gvk.version),
                                KR_ARG(kind->resource));
    return list_all(l, path, query.s, out, err);
}

static kr_val label(kr_val object, const char *key)
{
    return kr_get(kr_at(object, "metadata.labels"), kr_str_c(key));
}

static void print_child(struct look *l, kr_str id, kr_str kind, kr_val object, bool last)
{
    kr_str ready = KR_S("");

    KR_LIST_EACH (it, kr_at(object, "status.conditions")) {
        kr_str type = kr_at_str(*it, "type");

        if (kr_str_is(type, "Ready") || kr_str_is(type, "Available"))
            ready =
                kr_fmt(&l->a, KR_FMT "=" KR_FMT, KR_ARG(type), KR_ARG(kr_at_str(*it, "status")));
    }
    kr_buf_fmt(&l->out, "%s ", last ? "`--" : "|--");
    add_cell(l, id, 16, -1);
    add_cell(l,
             kr_fmt(&l->a, " " KR_FMT " " KR_FMT "  ", KR_ARG(kind), KR_ARG(where_of(l, object))),
             0, -1);
    add_cell(l, ready, 0, kr_str_ends(ready, KR_S("=True")) ? GOOD : BUSY);
    kr_buf_chr(&l->out, '\n');
}

static void print_absent(struct look *l, kr_str id, kr_str kind, bool external, bool last)
{
    kr_buf_fmt(&l->out, "%s ", last ? "`--" : "|--");
    add_cell(l, id, 16, -1);
    kr_buf_fmt(&l->out, " " KR_FMT "  ", KR_ARG(kind));
    add_cell(l, external ? KR_S("(somebody else's)") : KR_S("(not there)"), 0,
             external ? -1 : BUSY);
    kr_buf_chr(&l->out, '\n');
}

/* The resource of the definition in its order; the objects with its node label below. */
static int print_node(struct look *l, kr_val node, kr_str set_id, bool last, struct kr_err *err)
{
    kr_str id = kr_at_str(node, "id");
    kr_val external = kr_at(node, "externalRef"), template = kr_at(node, "template");
    kr_val of = external.kind == KR_MAP ? external : template, items;
    kr_gvk gvk = {.kind = kr_at_str(of, "kind")};
    struct kr_listb found = KR_LISTB(&l->a);
    uint32_t n = 0;

    if (external.kind == KR_MAP ||
        !kr_api_version(kr_at_str(of, "apiVersion"), &gvk.group, &gvk.version)) {
        print_absent(l, id, gvk.kind, true, last);
        return 0;
    }
    KR_TRY(read_children(l, gvk, set_id, &found, err));
    items = kr_listb_done(&found);
    KR_LIST_EACH (it, items) {
        if (!kr_is_str(label(*it, GRAPH_LABEL_NODE), graph_label_value(&l->a, id)))
            continue;
        n++;
        print_child(l, id, gvk.kind, *it, last);
    }
    if (n == 0)
        print_absent(l, id, gvk.kind, false, last);
    return 0;
}

/* By status.topologicalOrder of the definition, where it has one. */
static kr_val node_at(kr_val rgd, uint32_t i)
{
    kr_val order = kr_at(rgd, "status.topologicalOrder"), nodes = kr_at(rgd, "spec.resources");

    if (order.n != nodes.n)
        return kr_item(nodes, i);
    KR_LIST_EACH (it, nodes) {
        if (kr_is_str(kr_item(order, i), kr_at_str(*it, "id")))
            return *it;
    }
    return kr_item(nodes, i);
}

static int print_tree(struct look *l, kr_val rgd, const struct row *r, struct kr_err *err)
{
    kr_str id = kr_text(label(r->object, GRAPH_LABEL_SET_ID));
    uint32_t n = kr_at(rgd, "spec.resources").n;

    add_cell(l, kr_fmt(&l->a, KR_FMT " " KR_FMT "  ", KR_ARG(r->kind), KR_ARG(r->where)), 0, -1);
    add_cell(l, state_of(r->object), 0, (int)mood_of(r->object));
    if (mood_of(r->object) != GOOD)
        kr_buf_fmt(&l->out, "  ");
    add_cell(l, mood_of(r->object) == GOOD ? KR_S("") : reason_of(r->object), 0, -1);
    kr_buf_chr(&l->out, '\n');
    for (uint32_t i = 0; i < n; i++)
        KR_TRY(print_node(l, node_at(rgd, i), id, i + 1 == n, err));
    return 0;
}

static int show_tree(struct look *l, struct kr_err *err)
{
    uint32_t shown = 0;

    KR_TRY(cli_cluster_discover(l->cluster, err));
    KR_LIST_EACH (rgd, l->rgds) {
        struct rows rows = {0};
        kr_val items;
        int rc;

        if (l->kind.n > 0 && !is_named(l, *rgd, l->kind))
            continue;
        KR_TRY(read_instances(l, *rgd, &items, err));
        add_rows(l, &rows, items, kind_of(*rgd));
        keep_named(&rows, l->name);
        rc = 0;
        for (uint32_t i = 0; i < rows.n && rc == 0; i++, shown++)
            rc = print_tree(l, *rgd, &rows.at[i], err);
        kr_free(rows.at);
        KR_TRY(rc);
    }
    if (shown == 0)
        return kr_fail(err, KR_E_INPUT, "there is no instance \"" KR_FMT "%s" KR_FMT "\"",
                       KR_ARG(l->kind), l->kind.n ? "/" : "", KR_ARG(l->name));
    return 0;
}

/* --- the commands ----------------------------------------------------------------------------- */

struct look_command {
    const char *usage;
    int (*show)(struct look *l, struct kr_err *err);
    bool one; /* of an instance: a name is needed, a kind is not, and there is no JSON */
};

/* KIND, KIND NAME, KIND/NAME, or where one instance is meant NAME. */
static int read_words(struct look *l, const struct look_command *c, const struct cli_list *words,
                      struct kr_err *err)
{
    kr_str first = kr_str_c(words->n > 0 ? words->at[0] : NULL);
    bool slash = kr_str_chr(first, '/') >= 0;

    if (words->n > (slash || c->one ? 1 : 2) || (c->one && words->n == 0))
        return kr_fail(err, KR_E_INPUT, "usage: %s", c->usage);
    if (c->one && !slash) {
        l->name = first;
        return 0;
    }
    l->kind = kr_str_cut(&first, '/');
    l->name = words->n > 1 ? kr_str_c(words->at[1]) : first;
    if (words->n > 0 && (l->kind.n == 0 || ((slash || words->n > 1) && l->name.n == 0)))
        return kr_fail(err, KR_E_INPUT, "\"%s\" names nothing; usage: %s", words->at[0], c->usage);
    return 0;
}

static int look_once(struct look *l, const struct look_command *c, struct kr_err *err)
{
    kr_arena_reset(&l->a);
    kr_buf_reset(&l->out);
    l->bad_n = 0;
    KR_TRY(read_definitions(l, err));
    return c->show(l, err);
}

static int print_look(struct look *l, struct kr_err *err)
{
    if (l->watch && isatty(STDOUT_FILENO))
        printf("\033[H\033[2J");
    return cli_print(&l->out) == CLI_OK ? 0 : kr_fail(err, KR_E_IO, "cannot write to stdout");
}

static int look_run(struct look *l, const struct look_command *c, struct kr_err *err)
{
    KR_TRY(cli_cluster_open(l->kubeconfig, l->context, &l->cluster, err));
    KR_TRY(look_once(l, c, err));
    KR_TRY(print_look(l, err));
    while (l->watch) {
        struct kr_err trouble = KR_ERR_NONE;

        sleep(WATCH_S);
        if (look_once(l, c, &trouble) < 0)
            cli_look_failed(&trouble, WATCH_S);
        else
            KR_TRY(print_look(l, err));
    }
    return 0;
}

static int look_main(const struct look_command *c, int argc, char *const *argv)
{
    static const char *const outputs[] = {"text", "json", NULL};
    static struct cli_list words;
    struct look l = {.output = "text", .out = KR_BUF(CLI_TEXT_MAX)};
    const struct cli_option options[] = {
        {.name = "namespace",
         .letter = 'n',
         .value = &l.namespace,
         .arg = "NS",
         .help = "this namespace; all when not given"},
        {.name = "watch",
         .letter = 'w',
         .flag = &l.watch,
         .help = "show it again every two seconds"},
        {.name = "no-colour", .flag = &l.no_colour, .help = "no colour on a terminal"},
        {.name = "kubeconfig",
         .value = &l.kubeconfig,
         .arg = "FILE",
         .help = "kubeconfig; else as kubectl's"},
        {.name = "context",
         .value = &l.context,
         .arg = "NAME",
         .help = "context of the kubeconfig"},
        /* tree has no other form, and so not the option */
        {.name = c->one ? NULL : "output",
         .letter = 'o',
         .value = &l.output,
         .choices = outputs,
         .arg = "FORM",
         .help = "text or json"},
        {0}};
    struct kr_err err = KR_ERR_NONE;
    int rc;

    words.n = 0;
    rc = cli_parse(options, argc, argv, &words, c->usage, &err);
    if (rc == CLI_HELP)
        return CLI_OK;
    if (rc < 0 || read_words(&l, c, &words, &err) < 0)
        return cli_fail_err(CLI_USAGE, &err);
    l.colour = isatty(STDOUT_FILENO) && !l.no_colour && !getenv("NO_COLOR");
    rc = look_run(&l, c, &err);
    cli_cluster_free(l.cluster);
    kr_buf_fini(&l.out);
    kr_arena_fini(&l.a);
    if (rc < 0)
        return cli_fail_err(CLI_FAILED, &err);
    return l.bad_n > 0 ? CLI_FAILED : CLI_OK;
}

int cli_get(int argc, char *const *argv)
{
    static const struct look_command get = {"kroc get [KIND [NAME]]", show_get, false};

    return look_main(&get, argc, argv);
}

int cli_tree(int argc, char *const *argv)
{
    static const struct look_command tree = {"kroc tree [KIND/]NAME", show_tree, true};

    return look_main(&tree, argc, argv);
}

int cli_stuck(int argc, char *const *argv)
{
    static const struct look_command stuck = {"kroc stuck [KIND [NAME]]", show_stuck, false};

    return look_main(&stuck, argc, argv);
}
