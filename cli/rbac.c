/* SPDX-License-Identifier: Apache-2.0 */
/* rbac.c - `kroc rbac -f FILE...`: the smallest ClusterRole with which the controller serves these
 * definitions, to be aggregated into the chart's role (rbac.mode=aggregation), or bound by hand.
 *
 *   the generated kind            get, list, watch, patch, update; its status: update
 *   each kind in a template       get, list, watch, create, patch, delete
 *   each kind in an externalRef   get, list, watch
 *
 *   a Role or ClusterRole         the rules in it: nobody hands out what he does not have
 *   a binding                     bind, of the one role that it names
 *
 * Where the name of a kind's resource is not known (its CRD is neither given nor built in), the plural
 * rule of CRDs is used and said on stderr; so is a role whose rules, or name, an expression makes.
 */
#include "cel/base/yaml.h"
#include "cel/base/yaml_write.h"
#include "cli/cli.h"
#include "cli/schemas.h"
#include "graph/graph.h"

#include "cel/base/banned.h"

#define RBAC_GROUP "rbac.authorization.k8s.io"

enum { READ = 1, WRITE = 2, PARENT = 4, STATUS = 8 };

struct rule {
    kr_str group, resource;
    unsigned rights;
};

struct rbac {
    struct kr_arena a;
    struct cli_schemas *schemas;
    struct rule *rules; /* sorted by group, resource when all are there */
    uint32_t n;
    kr_str *names; /* of definitions */
    uint32_t names_n;
    struct kr_listb
        handed; /* rules of roles in templates, and of bindings, as they go into the role */
    struct kr_listb documents;
};

static const char usage[] = "kroc rbac -f FILE...";

/* --- input ------------------------------------------------------------------------------------ */

static int add_document(struct rbac *r, const char *path, kr_val doc, struct kr_err *err)
{
    if (kr_is_str(kr_at(doc, "kind"), KR_S("List")) ||
        kr_str_ends(kr_at_str(doc, "kind"), KR_S("List"))) {
        KR_LIST_EACH (it, kr_at(doc, "items"))
            KR_TRY(add_document(r, path, *it, err));
        return 0;
    }
    KR_TRY(cli_schemas_add(r->schemas, path, doc, err));
    if (kr_is_str(kr_at(doc, "kind"), KR_S("ResourceGraphDefinition")))
        kr_listb_add(&r->documents, doc);
    return 0;
}

static int read_file(void *arg, const char *path, struct kr_err *err)
{
    struct rbac *r = arg;
    kr_str text;
    kr_val docs;

    KR_TRY(cli_read(&r->a, path, &text, err));
    if (kr_yaml_parse(&r->a, text, &docs, err) < 0)
        return kr_wrap(err, "%s", path);
    KR_LIST_EACH (doc, docs)
        KR_TRY(add_document(r, path, *doc, err));
    return 0;
}

/* --- rules ------------------------------------------------------------------------------------ */

static void add_rule(struct rbac *r, kr_str group, kr_str resource, unsigned rights)
{
    for (uint32_t i = 0; i < r->n; i++) {
        if (kr_str_eq(r->rules[i].group, group) && kr_str_eq(r->rules[i].resource, resource)) {
            r->rules[i].rights |= rights;
            return;
        }
    }
    r->rules = kr_realloc(r->rules, (r->n + 1) * sizeof *r->rules);
    r->rules[r->n++] = (struct rule){group, resource, rights};
}

static kr_str plural_of(struct rbac *r, kr_str kind)
{
    char *lower = kr_arena_bytes(&r->a, kind.n + 1);

    for (size_t i = 0; i < kind.n; i++)
        lower[i] = (char)(kind.s[i] >= 'A' && kind.s[i] <= 'Z' ? kind.s[i] + 32 : kind.s[i]);
    return graph_plural(&r->a, (kr_str){lower, kind.n});
}

static kr_str resource_of(struct rbac *r, kr_gvk gvk)
{
    const struct cel_kind *kind = cel_kinds_find(cli_schemas_kinds(r->schemas), gvk);
    kr_str plural;

    if (kind != NULL && kind->resource.n > 0)
        return kind->resource;
    plural = plural_of(r, gvk.kind);
    fprintf(stderr,
            "kroc: the resource of " KR_FMT " in " KR_FMT " is taken to be " KR_FMT "; %s\n",
            KR_ARG(gvk.kind), KR_ARG(gvk.group.n ? gvk.group : KR_S("the core group")),
            KR_ARG(plural), cli_schemas_hint(r->schemas, &r->a, gvk).s);
    return plural;
}

static int add_resource(struct rbac *r, kr_str id, kr_val object, unsigned rights,
                        struct kr_err *err)
{
    kr_gvk gvk = {.kind = kr_at_str(object, "kind")};

    if (!kr_api_version(kr_at_str(object, "apiVersion"), &gvk.group, &gvk.version) ||
        gvk.kind.n == 0)
        return kr_fail(err, KR_E_INPUT,
                       "resource \"" KR_FMT "\" has no readable apiVersion and kind", KR_ARG(id));
    add_rule(r, gvk.group, resource_of(r, gvk), rights);
    return 0;
}

/* Is there no expression in it? Its depth is that of a document, which has a limit. */
static bool is_plain(kr_val v)
{
    KR_LIST_EACH (it, v) {
        if (!is_plain(*it))
            return false;
    }
    KR_MAP_EACH (it, v) {
        if (!is_plain(it->val))
            return false;
    }
    return v.kind != KR_STRING || kr_str_find(kr_text(v), KR_S("${")) < 0;
}

static kr_val one(struct kr_arena *a, kr_str word)
{
    const kr_val v = kr_string(word);

    return kr_copy(a, kr_list(&v, 1));
}

static kr_val bind_rule(struct kr_arena *a, kr_val ref)
{
    struct kr_mapb m = KR_MAPB(a);
    bool cluster = kr_is_str(kr_at(ref, "kind"), KR_S("ClusterRole"));

    kr_mapb_put(&m, KR_S("apiGroups"), one(a, KR_S(RBAC_GROUP)));
    kr_mapb_put(&m, KR_S("resources"), one(a, cluster ? KR_S("clusterroles") : KR_S("roles")));
    kr_mapb_put(&m, KR_S("resourceNames"), one(a, kr_at_str(ref, "name")));
    kr_mapb_put(&m, KR_S("verbs"), one(a, KR_S("bind")));
    return kr_mapb_done(&m);
}

/* The server lets nobody hand out rights that he does not have, unless he may bind the role that has them. */
static void add_handed(struct rbac *r, kr_str id, kr_val template)
{
    kr_str kind = kr_at_str(template, "kind");
    kr_val rules = kr_at(template, "rules"), ref = kr_at(template, "roleRef");

    if (!kr_str_starts(kr_at_str(template, "apiVersion"), KR_S(RBAC_GROUP "/")))
        return;
    if (kr_str_ends(kind, KR_S("RoleBinding"))) {
        if (is_plain(ref))
            kr_listb_add(&r->handed, bind_rule(&r->a, ref));
        else
            fprintf(stderr,
                    "kroc: resource \"" KR_FMT
                    "\" binds a role that is computed: the controller must "
                    "be allowed to; add \"bind\" for its name to what is printed\n",
                    KR_ARG(id));
        return;
    }
    if (!is_plain(rules))
        fprintf(stderr,
                "kroc: resource \"" KR_FMT
                "\" hands out rights that are computed: the controller must "
                "have them too; add them to what is printed\n",
                KR_ARG(id));
    KR_LIST_EACH (it, is_plain(rules) ? rules : KR_V_NONE)
        kr_listb_add(&r->handed, *it);
}

static int add_definition(struct rbac *r, kr_val rgd, struct kr_err *err)
{
    kr_str group = kr_at_str(rgd, "spec.schema.group");
    kr_str plural = plural_of(r, kr_at_str(rgd, "spec.schema.kind"));
    kr_str name = kr_at_str(rgd, "metadata.name");
    const kr_gvk *gvks, *missing;
    uint32_t n, missing_n;

    if (plural.n == 0)
        return kr_fail(err, KR_E_INPUT, "the definition \"" KR_FMT "\" has no spec.schema.kind",
                       KR_ARG(name));
    group = group.n ? group : KR_S(GRAPH_GROUP);
    add_rule(r, group, plural, PARENT);
    add_rule(r, group, kr_fmt(&r->a, KR_FMT "/status", KR_ARG(plural)), STATUS);
    graph_kinds_of(kr_at(rgd, "spec"), &r->a, &gvks, &n);
    KR_TRY(cli_schemas_load(r->schemas, gvks, n, &r->a, &missing, &missing_n, err));
    KR_LIST_EACH (it, kr_at(rgd, "spec.resources")) {
        kr_str id = kr_at_str(*it, "id");
        kr_val external = kr_at(*it, "externalRef");

        add_handed(r, id, kr_at(*it, "template"));
        KR_TRY(external.kind == KR_MAP
                   ? add_resource(r, id, external, READ, err)
                   : add_resource(r, id, kr_at(*it, "template"), READ | WRITE, err));
    }
    r->names = kr_realloc(r->names, (r->names_n + 1) * sizeof *r->names);
    r->names[r->names_n++] = name;
    return 0;
}

/* --- output ----------------------------------------------------------------------------------- */

static int by_name(const void *x, const void *y)
{
    const struct rule *a = x, *b = y;
    int order = kr_str_cmp(a->group, b->group);

    return order ? order : kr_str_cmp(a->resource, b->resource);
}

static kr_val words(struct kr_arena *a, const char *text)
{
    struct kr_listb list = KR_LISTB(a);
    kr_str rest = kr_str_c(text);

    while (rest.s)
        kr_listb_add(&list, kr_string(kr_str_cut(&rest, ',')));
    return kr_listb_done(&list);
}

/* Each set of rights as a list of verbs; a kind may be several things at once. */
static kr_val verbs_of(struct kr_arena *a, unsigned rights)
{
    struct kr_buf text = KR_BUF_IN(a, 256);

    if (rights == STATUS)
        return words(a, "get,update");
    kr_buf_fmt(&text, "get,list,watch");
    if (rights & WRITE)
        kr_buf_fmt(&text, ",create,delete");
    if (rights & (WRITE | PARENT))
        kr_buf_fmt(&text, ",patch");
    if (rights & PARENT)
        kr_buf_fmt(&text, ",update");
    return words(a, text.s);
}

static kr_val rule_of(struct kr_arena *a, const struct rule *rule)
{
    struct kr_mapb m = KR_MAPB(a);
    struct kr_listb groups = KR_LISTB(a), resources = KR_LISTB(a);

    kr_listb_add(&groups, kr_string(rule->group));
    kr_listb_add(&resources, kr_string(rule->resource));
    kr_mapb_put(&m, KR_S("apiGroups"), kr_listb_done(&groups));
    kr_mapb_put(&m, KR_S("resources"), kr_listb_done(&resources));
    kr_mapb_put(&m, KR_S("verbs"), verbs_of(a, rule->rights));
    return kr_mapb_done(&m);
}

static kr_str role_name(struct rbac *r, const char *given)
{
    if (given != NULL)
        return kr_str_c(given);
    if (r->names_n == 1)
        return kr_fmt(&r->a, "kroc:rgd:" KR_FMT, KR_ARG(r->names[0]));
    return KR_S("kroc:rgds");
}

static kr_val role_of(struct rbac *r, const char *name)
{
    struct kr_arena *a = &r->a;
    struct kr_mapb role = KR_MAPB(a), meta = KR_MAPB(a), labels = KR_MAPB(a);
    struct kr_listb rules = KR_LISTB(a);
    kr_val handed = kr_listb_done(&r->handed);

    for (uint32_t i = 0; i < r->n; i++)
        kr_listb_add(&rules, rule_of(a, &r->rules[i]));
    KR_LIST_EACH (it, handed)
        kr_listb_add(&rules, *it);
    kr_mapb_put(&labels, KR_S("rbac.kro.run/aggregate-to-controller"), KR_V_STR("true"));
    kr_mapb_put(&meta, KR_S("name"), kr_string(role_name(r, name)));
    kr_mapb_put(&meta, KR_S("labels"), kr_mapb_done(&labels));
    kr_mapb_put(&role, KR_S("apiVersion"), KR_V_STR("rbac.authorization.k8s.io/v1"));
    kr_mapb_put(&role, KR_S("kind"), KR_V_STR("ClusterRole"));
    kr_mapb_put(&role, KR_S("metadata"), kr_mapb_done(&meta));
    kr_mapb_put(&role, KR_S("rules"), kr_listb_done(&rules));
    return kr_mapb_done(&role);
}

static int run(struct rbac *r, const struct cli_list *files, const char *name, struct kr_buf *out,
               struct kr_err *err)
{
    kr_val rgds;

    r->documents = (struct kr_listb)KR_LISTB(&r->a);
    r->handed = (struct kr_listb)KR_LISTB(&r->a);
    for (uint32_t i = 0; i < files->n; i++)
        KR_TRY(cli_each_file(&r->a, files->at[i], read_file, r, err));
    rgds = kr_listb_done(&r->documents);
    if (rgds.n == 0)
        return kr_fail(err, KR_E_INPUT, "there is no ResourceGraphDefinition in what was given");
    KR_LIST_EACH (rgd, rgds)
        KR_TRY(add_definition(r, *rgd, err));
    qsort(r->rules, r->n, sizeof *r->rules, by_name);
    return kr_yaml_write(out, role_of(r, name), err);
}

int cli_rbac(int argc, char *const *argv)
{
    KR_AUTO(kr_buf) out = KR_BUF(CLI_TEXT_MAX);
    static struct cli_schemas_opts schemas; /* large: lists of names */
    static struct cli_list files;
    const char *name = NULL;
    const struct cli_option options[] = {
        {.name = "file",
         .letter = 'f',
         .list = &files,
         .arg = "FILE",
         .help = "definitions: a file, a folder, - (may come again)"},
        {.name = "name",
         .value = &name,
         .arg = "NAME",
         .help = "of the ClusterRole (default kroc:rgd:DEFINITION)"},
        CLI_SCHEMAS_OPTIONS(schemas),
        {0}};
    struct rbac r = {0};
    struct kr_err err = KR_ERR_NONE;
    int rc = cli_parse(options, argc, argv, NULL, usage, &err);

    if (rc == CLI_HELP)
        return CLI_OK;
    if (rc == 0 && files.n == 0)
        rc = kr_fail(&err, KR_E_INPUT, "usage: %s", usage);
    if (rc < 0)
        return cli_fail_err(CLI_USAGE, &err);
    rc = cli_schemas_new(&schemas, &r.schemas, &err);
    if (rc == 0)
        rc = run(&r, &files, name, &out, &err);
    cli_schemas_free(r.schemas);
    kr_free(r.rules);
    kr_free(r.names);
    kr_arena_fini(&r.a);
    return rc < 0 ? cli_fail_err(CLI_FAILED, &err) : cli_print(&out);
}
