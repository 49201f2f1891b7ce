/* SPDX-License-Identifier: Apache-2.0 */
/* members.c - members of a definition that the type ResourceGraphDefinition does not have.
 *
 * An API server refuses them in a strict apply and drops them otherwise, so a compile never sees any; a
 * file may have them: "resuorces" would be a definition without resources. The table is the type's
 * CRD (deploy/crds), without what is free there (templates, the instance's schema).
 */
#include "cli/validate.h"

#include "cel/base/near.h"

#include "cel/base/banned.h"

enum { MEMBERS_MAX = 12 };

/* The members of one kind of object; .in: what the member is itself, or the items of its list. */
struct shape {
    struct {
        const char *name;
        const struct shape *in; /* NULL: free, or no object */
    } members[MEMBERS_MAX];
};

static const struct shape requirement = {{{"key", NULL}, {"operator", NULL}, {"values", NULL}}};
static const struct shape selector = {{{"matchExpressions", &requirement}, {"matchLabels", NULL}}};
static const struct shape external_meta = {
    {{"name", NULL}, {"namespace", NULL}, {"selector", &selector}}};
static const struct shape external = {
    {{"apiVersion", NULL}, {"kind", NULL}, {"metadata", &external_meta}}};
static const struct shape resource = {{{"externalRef", &external},
                                       {"forEach", NULL},
                                       {"id", NULL},
                                       {"includeWhen", NULL},
                                       {"readyWhen", NULL},
                                       {"template", NULL}}};
static const struct shape column = {{{"description", NULL},
                                     {"format", NULL},
                                     {"jsonPath", NULL},
                                     {"name", NULL},
                                     {"priority", NULL},
                                     {"type", NULL}}};
static const struct shape crd_meta = {{{"annotations", NULL}, {"labels", NULL}}};
static const struct shape schema = {{{"additionalPrinterColumns", &column},
                                     {"apiVersion", NULL},
                                     {"categories", NULL},
                                     {"group", NULL},
                                     {"kind", NULL},
                                     {"metadata", &crd_meta},
                                     {"scope", NULL},
                                     {"shortNames", NULL},
                                     {"spec", NULL},
                                     {"status", NULL},
                                     {"types", NULL}}};
static const struct shape spec = {{{"resources", &resource}, {"schema", &schema}}};
static const struct shape definition = {
    {{"apiVersion", NULL}, {"kind", NULL}, {"metadata", NULL}, {"spec", &spec}, {"status", NULL}}};

static void complain(struct graph_diags *d, kr_str path, const struct shape *s, kr_str name)
{
    struct graph_diag *x = graph_diags_add(
        d, GRAPH_R_UNKNOWN_FIELD, path, kr_fmt(d->a, "unknown field \"" KR_FMT "\"", KR_ARG(name)));
    KR_AUTO(kr_buf) names = KR_BUF(1024);
    struct kr_near near = {.word = name};

    for (uint32_t i = 0; i < MEMBERS_MAX && s->members[i].name; i++) {
        kr_buf_fmt(&names, "%s%s", i ? ", " : "one of ", s->members[i].name);
        kr_near_try(&near, kr_str_c(s->members[i].name));
    }
    x->source = name;
    x->line = x->column = 1;
    x->expected = kr_strdup(d->a, kr_buf_view(&names));
    if (near.best.n)
        x->suggestion = kr_fmt(d->a, "did you mean \"" KR_FMT "\"?", KR_ARG(near.best));
}

static void check(struct graph_diags *d, kr_val v, const struct shape *s, kr_str path)
{
    for (uint32_t i = 0; v.kind == KR_LIST && i < v.n; i++)
        check(d, v.list[i], s, kr_fmt(d->a, KR_FMT "[%u]", KR_ARG(path), i));
    KR_MAP_EACH (it, v) {
        kr_str name = kr_text(it->key),
               below = path.n ? kr_dotted(d->a, path, name) : kr_strdup(d->a, name);
        uint32_t i = 0;

        while (i < MEMBERS_MAX && s->members[i].name &&
               !kr_str_eq(name, kr_str_c(s->members[i].name)))
            i++;
        if (i == MEMBERS_MAX || !s->members[i].name)
            complain(d, below, s, name);
        else if (s->members[i].in)
            check(d, it->val, s->members[i].in, below);
    }
}

/* A name that YAML 1.1 has made of y, no, on and the like: kro reads files so too. */
static void check_name(struct graph_diags *d, kr_str name, kr_str path)
{
    struct graph_diag *x;

    if (!kr_str_is(name, "true") && !kr_str_is(name, "false"))
        return;
    x = graph_diags_warn(d, GRAPH_R_INVALID_NAME, path,
                         kr_fmt(d->a, "the field is named \"" KR_FMT "\"", KR_ARG(name)));
    x->source = name;
    x->line = x->column = 1;
    x->suggestion =
        KR_S("YAML reads y, yes, on, n, no and off as true and false: put the name in quotes");
}

static void check_names(struct graph_diags *d, kr_val fields, kr_str path)
{
    KR_MAP_EACH (it, fields) {
        kr_str below = kr_dotted(d->a, path, kr_text(it->key));

        check_name(d, kr_text(it->key), below);
        check_names(d, it->val, below);
    }
}

void cli_check_members(kr_val v, struct graph_diags *d)
{
    check(d, v, &definition, KR_S(""));
    check_names(d, kr_at(v, "spec.schema.spec"), KR_S("spec.schema.spec"));
    check_names(d, kr_at(v, "spec.schema.types"), KR_S("spec.schema.types"));
}
