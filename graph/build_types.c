/* SPDX-License-Identifier: Apache-2.0 */
/* build_types.c - the environment in which the expressions of a definition are compiled, their
 * programs, and whether a program's type fits the field it is for.
 *
 * Source: kro:pkg/graph/builder.go, pkg/cel; reference rgd-graph 4.7, 4.8, 5.8 to 5.10.
 */
#include "graph/build.h"

#include <stdlib.h>

#include "cel/base/buf.h"

#include "cel/base/banned.h"

enum { TYPE_NAME_MAX = 64 * 1024 }; /* bytes of the name of a field's type */

/* --- pass 8: the environment ---------------------------------------------------------------- */

static int by_name(const void *x, const void *y)
{
    return kr_str_cmp(((const struct cel_field *)x)->name, ((const struct cel_field *)y)->name);
}

/* What `schema` is to expressions: the instance without status, with full metadata. */
static void instance_schema(struct build *b)
{
    struct cel_schema *root = kr_new(b->a, struct cel_schema),
                      *text = kr_new(b->a, struct cel_schema);
    struct cel_schema *meta = kr_new(b->a, struct cel_schema);
    struct cel_field *fields = kr_new_n(b->a, struct cel_field, 4), *kept;
    const struct cel_schema *spec;
    static const struct cel_schema any = {.int_or_string = true};
    struct kr_err err = KR_ERR_NONE;

    if (cel_schema_read(b->a, b->spec_schema, &spec, &err) < 0) {
        graph__diag_err(b->d, GRAPH_R_INVALID_SCHEMA, KR_S("spec.schema.spec"), &err);
        spec = &any;
    }
    *meta = *cel_schema_object_meta();
    if (b->rgd.cluster) {
        kept = kr_new_n(b->a, struct cel_field, meta->fields_n);
        root->fields_n = 0;
        for (uint32_t i = 0; i < meta->fields_n; i++) {
            if (!kr_str_is(meta->fields[i].name, "namespace"))
                kept[root->fields_n++] = meta->fields[i];
        }
        meta->fields = kept;
        meta->fields_n = root->fields_n;
    }
    text->type = CEL_S_STRING;
    fields[0] = (struct cel_field){.name = KR_S("apiVersion"), .schema = text};
    fields[1] = (struct cel_field){.name = KR_S("kind"), .schema = text};
    fields[2] = (struct cel_field){.name = KR_S("metadata"), .schema = meta};
    fields[3] = (struct cel_field){.name = KR_S("spec"), .schema = spec};
    qsort(fields, 4, sizeof(*fields), by_name);
    root->type = CEL_S_OBJECT;
    root->fields = fields;
    root->fields_n = 4;
    b->instance = root;
}

/* Words that are types to CEL and so cannot be variables. */
static bool is_type_word(kr_str id)
{
    static const char *const words[] = {"bool", "bytes",  "double", "int", "list",
                                        "map",  "string", "type",   "uint"};

    for (size_t i = 0; i < KR_N(words); i++) {
        if (kr_str_eq(id, kr_str_c(words[i])))
            return true;
    }
    return false;
}

static void declare(struct build *b, struct build_unit *u)
{
    bool many = u->r->kind == GRAPH_COLLECTION || u->r->kind == GRAPH_EXTERNAL_COLLECTION;
    const struct cel_schema *schema = u->kind ? u->kind->schema : NULL;
    struct cel_schema *list = many ? kr_new(b->a, struct cel_schema) : NULL;

    if (is_type_word(u->r->id)) {
        kr_str path = kr_fmt(b->a, "spec.resources[%u].id", u->r->index);
        struct graph_diag *x = graph__diag(b->d, GRAPH_R_INVALID_NAME, path,
                                           "failed to create typed CEL environment: overlapping "
                                           "identifier for name '" KR_FMT "'",
                                           KR_ARG(u->r->id));

        graph__diag_text(b->d, x, "id " KR_FMT " is the name of a type in CEL", KR_ARG(u->r->id));
        graph__diag_at(x, kr_strdup(b->d->a, u->r->id), 0);
    }
    u->type = cel_type_of_schema(b->a, schema, kr_fmt(b->a, "__type_" KR_FMT, KR_ARG(u->r->id)));
    u->visible = many ? cel_type_list(b->a, u->type) : u->type;
    if (many)
        *list = (struct cel_schema){.type = CEL_S_ARRAY, .items = schema};
    cel_env_var(b->env, u->r->id, u->visible, many && schema ? list : schema);
}

void build__env(struct build *b)
{
    b->env = cel_env_extend(b->a, b->base);
    for (uint32_t r = 0; r < b->n; r++)
        declare(b, &b->units[b->order[r]]);
    instance_schema(b);
    cel_env_var(b->env, KR_S("schema"),
                cel_type_of_schema(b->a, b->instance, KR_S("__type_schema")), b->instance);
    b->slots_all_n = cel_env_slots_n(b->env);
    KR_ASSERT(b->slots_all_n == b->n + 1);
}

/* --- pass 9: compiling ---------------------------------------------------------------------- */

static const struct cel_schema *schema_of(const struct build_unit *u)
{
    return u->kind ? u->kind->schema : NULL;
}

/* Records what a program of the main environment reads, for one task. */
void build__record_reads(struct build *b, const struct cel_prog *p, uint32_t task)
{
    uint32_t n;
    const struct cel_read *reads = cel_prog_reads(p, &n);

    for (uint32_t i = 0; i < n; i++) {
        uint32_t slot = reads[i].slot;
        const struct cel_schema *s;

        if (slot > b->n)
            continue; /* an iterator: its list is read by the dimension's own program */
        if (slot == b->n && reads[i].names_n && kr_str_is(reads[i].names[0], "status"))
            continue; /* kro's conditions: the instance machine makes them */
        if (slot == b->n)
            s = b->instance;
        else
            s = schema_of(&b->units[b->order[slot]]);
        graph__reads_add(&b->reads[slot], s, reads[i].names, reads[i].names_n, task);
    }
}

const struct kr_bits *build__bits(struct build *b, const struct kr_bits *bits)
{
    kr_str key = {(const char *)kr_bits_cdata(bits), kr_bits_words_n(bits->n) * sizeof(uint64_t)};
    struct kr_bits *out = kr_map_get(&b->bits, key);

    if (out && out->n == bits->n)
        return out;
    out = kr_new(b->ra, struct kr_bits);
    kr_bits_init(out, b->ra, bits->n);
    if (key.n)
        memcpy(kr_bits_data(out), key.s, key.n);
    kr_map_put(&b->bits, key, out);
    return out;
}

/* Bits by index to bits by rank, in the revision. */
const struct kr_bits *build__nodes_by_rank(struct build *b, const struct kr_bits *by_index)
{
    struct kr_bits ranks;

    kr_bits_init(&ranks, b->a, b->n + 1);
    kr_bits_each (i, by_index)
        kr_bits_set(&ranks, i < b->n ? b->units[i].rank : b->n);
    return build__bits(b, &ranks);
}

static void add_part(struct kr_buf *name, const char *part, kr_str member)
{
    if (name)
        kr_buf_fmt(name, "%s" KR_FMT, part, KR_ARG(member));
}

/* The schema of a template's field; NULL: none is known. *name: what its type is called, when name is
 * not NULL. */
static const struct cel_schema *field_schema(struct build *b, const struct build_unit *u,
                                             const struct graph_found *f, struct kr_buf *name)
{
    const struct cel_schema *s = schema_of(u), *next;

    if (name)
        kr_buf_fmt(name, "__type_" KR_FMT, KR_ARG(u->r->id));
    for (uint32_t i = 0; s && i < f->path_n; i++) {
        bool item = !f->path[i].name.s;

        if (!item && f->path[i].name.n == 0)
            continue; /* kro passes over empty names */
        if (!item && !cel_schema_member(s, f->path[i].name) && s->type == CEL_S_ARRAY) {
            s = cel_schema_at(s, &KR_S("[]"), 1);
            add_part(name, ".@idx", KR_S(""));
            if (!s)
                return NULL;
        }
        next = item ? cel_schema_at(s, &KR_S("[]"), 1) : cel_schema_member(s, f->path[i].name);
        if (item)
            add_part(name, ".@idx", KR_S(""));
        else if (name && cel_schema_field(s, f->path[i].name))
            add_part(name, ".", f->path[i].name);
        else
            add_part(name, ".@elem", KR_S(""));
        s = next;
    }
    return s;
}

static const struct cel_type *expected_type(struct build *b, const struct build_unit *u,
                                            const struct graph_found *f)
{
    const struct cel_schema *s = field_schema(b, u, f, NULL);
    KR_AUTO(kr_buf) name = KR_BUF(TYPE_NAME_MAX);

    if (!s)
        return CEL_T_DYN;
    if (s->type == CEL_S_OBJECT || s->type == CEL_S_ARRAY) /* the only ones with a name */
        field_schema(b, u, f, &name);
    return cel_type_of_schema(b->a, s, kr_strdup(b->a, kr_buf_view(&name)));
}

/* What turns a value of one type into one of the other; NULL: nothing simple. */
static const char *conversion(kr_str got, kr_str want)
{
    static const char *const scalar[] = {"int", "uint", "double", "bool", "timestamp", "duration"};

    for (size_t i = 0; kr_str_is(want, "string") && i < KR_N(scalar); i++) {
        if (kr_str_eq(got, kr_str_c(scalar[i])))
            return "string";
    }
    if (kr_str_is(want, "double") && (kr_str_is(got, "int") || kr_str_is(got, "string")))
        return "double";
    if (kr_str_is(want, "int") && (kr_str_is(got, "double") || kr_str_is(got, "string")))
        return "int";
    return NULL;
}

static void bad_field_type(struct build *b, const struct build_unit *u, const struct graph_found *f,
                           struct build_expr *e, const struct cel_type *got,
                           const struct cel_type *want)
{
    kr_str got_text = cel_type_print(b->a, got), want_text = cel_type_print(b->a, want);
    struct kr_err err = KR_ERR_NONE;
    struct graph_diag *x;
    const char *by;

    if (cel_type_compatible(got, want, &err) >= 0)
        return;
    kr_wrap(&err,
            "type mismatch in resource " KR_FMT " at path " KR_FMT ": expression " KR_FMT
            " returns type " KR_FMT " but expected " KR_FMT,
            KR_ARG(graph__go_quote(b->a, u->r->id)), KR_ARG(graph__go_quote(b->a, f->path_text)),
            KR_ARG(graph__go_quote(b->a, f->text)), KR_ARG(graph__go_quote(b->a, got_text)),
            KR_ARG(graph__go_quote(b->a, want_text)));
    x = build__bad(b, e, GRAPH_R_WRONG_TYPE, &err);
    graph__diag_text(b->d, x, "the expression has type " KR_FMT ", the field " KR_FMT,
                     KR_ARG(got_text), KR_ARG(want_text));
    graph__diag_at(x, x->source, 0);
    x->expected = kr_strdup(b->d->a, want_text);
    by = conversion(got_text, want_text);
    if (by)
        x->suggestion = kr_fmt(b->d->a, "convert it: %s(" KR_FMT ")", by, KR_ARG(f->cel));
}

static void check_type(struct build *b, const struct build_unit *u, const struct graph_found *f,
                       struct build_expr *e, const struct cel_prog *p)
{
    const struct cel_type *got = cel_prog_type(p), *want = expected_type(b, u, f);

    if (!cel_type_assignable(got, want) && cel_type_compatible(got, want, NULL) < 0)
        bad_field_type(b, u, f, e, got, want);
}

/* A find becomes a site of the revision. */
void build__site_of(struct build *b, const struct graph_found *f, const struct kr_bits *nodes,
                    const struct cel_prog *p, struct graph_site *out)
{
    *out = (struct graph_site){.prog = p,
                               .text = f->text,
                               .path_n = f->path_n,
                               .path = f->path,
                               .standalone = f->standalone,
                               .nodes = build__nodes_by_rank(b, nodes)};
}

/* Compiles e again, for the reason. */
static void bad_program(struct build *b, struct build_expr *e, const struct cel_env *env,
                        const char *words, kr_str name, kr_str other)
{
    const struct graph_words *old = graph__words(b->d, words, name, other);
    struct kr_err err = KR_ERR_NONE;
    const struct cel_prog *p;

    if (cel_compile(b->a, env, e->cel, &p, &err) < 0)
        build__bad_types(b, e, env, &err);
    b->d->words = old;
}

bool build__program(struct build *b, struct build_expr *e, const struct cel_env *env,
                    const struct cel_prog **out, const char *words, kr_str name, kr_str other)
{
    if (e->broken)
        return false;
    if (cel_compile(b->ra, env, e->cel, out, NULL) == 0)
        return true;
    bad_program(b, e, env, words, name, other);
    return false;
}

static void compile_sites(struct build *b, struct build_unit *u, const struct cel_env *env,
                          struct graph_node_spec *spec)
{
    struct graph_site *sites = kr_new_n(b->ra, struct graph_site, u->sites_n);

    for (uint32_t i = 0; i < u->sites_n; i++) {
        const struct graph_found *f = &u->finds.items[i];
        const struct cel_prog *p;

        if (!build__program(b, &u->sites[i], env, &p,
                            "failed to compile template expression %q at path %q", f->text,
                            f->path_text))
            continue;
        if (u->r->external.kind == KR_NONE)
            check_type(b, u, f, &u->sites[i], p);
        build__record_reads(b, p, GRAPH_TASK(u->rank));
        build__site_of(b, f, &u->sites[i].nodes, p, &sites[i]);
    }
    spec->sites = sites;
    spec->sites_n = u->sites_n;
}

static bool is_condition_type(const struct cel_type *t)
{
    const struct cel_type *inner;

    if (cel_type_is_optional(t, &inner))
        t = inner;
    return cel_type_same(t, CEL_T_BOOL);
}

/* Does what e reads come from something whose type is not known? Then nothing is said of e's. */
static bool reads_unknown(const struct build *b, const struct build_unit *u,
                          const struct build_expr *e)
{
    if (u && !u->kind)
        return true;
    kr_bits_each (i, &e->nodes) {
        if (i < b->n && !b->units[i].kind)
            return true;
    }
    return b->rgd.broken_spec && kr_bits_has(&e->nodes, b->n);
}

static void bad_condition(struct build *b, const struct build_unit *u, struct build_expr *e,
                          const char *what, const struct cel_type *t)
{
    kr_str type = graph__go_quote(b->a, cel_type_print(b->a, t));
    struct kr_err err = KR_ERR_NONE;
    struct graph_diag *x;

    kr_fail(&err, KR_E_INPUT,
            "%s expression " KR_FMT " in resource " KR_FMT
            " must return bool or optional_type(bool), but returns " KR_FMT,
            what, KR_ARG(graph__go_quote(b->a, e->cel)), KR_ARG(graph__go_quote(b->a, u->r->id)),
            KR_ARG(type));
    x = build__bad(b, e, GRAPH_R_WRONG_TYPE, &err);
    graph__diag_text(b->d, x, "the expression has type " KR_FMT, KR_ARG(type));
    graph__diag_at(x, x->source, 0);
    x->expected = KR_S("bool or optional_type(bool)");
    if (cel_type_is_dyn(t))
        x->suggestion = kr_fmt(b->d->a, "compare it: " KR_FMT " == true", KR_ARG(e->cel));
}

static bool compile_condition(struct build *b, const struct build_unit *u,
                              const struct cel_env *env, struct build_expr *e, const char *what,
                              const struct cel_prog **out)
{
    bool ready = strcmp(what, "readyWhen") == 0;

    if (!build__program(b, e, env, out,
                        ready ? "failed to type-check readyWhen expression %q in resource %q"
                              : "failed to type-check includeWhen expression %q in resource %q",
                        e->cel, u->r->id))
        return false;
    if (is_condition_type(cel_prog_type(*out)) ||
        (cel_type_is_dyn(cel_prog_type(*out)) && reads_unknown(b, ready ? u : NULL, e)))
        return true;
    bad_condition(b, u, e, what, cel_prog_type(*out));
    return false;
}

static void compile_include(struct build *b, struct build_unit *u, struct graph_node_spec *spec)
{
    struct graph_expr *exprs = kr_new_n(b->ra, struct graph_expr, u->include_n);

    for (uint32_t i = 0; i < u->include_n; i++) {
        if (!compile_condition(b, u, b->env, &u->include[i], "includeWhen", &exprs[i].prog))
            continue;
        build__record_reads(b, exprs[i].prog, GRAPH_TASK(u->rank));
        exprs[i].text = cel_prog_text(exprs[i].prog);
        exprs[i].nodes = build__nodes_by_rank(b, &u->include[i].nodes);
    }
    spec->include = exprs;
    spec->include_n = u->include_n;
}

/* Says which name a readyWhen must not use; the only one is its own variable. */
static void bad_ready_name(struct build *b, struct build_expr *e, kr_str var, kr_str wrong,
                           const struct kr_err *err)
{
    struct graph_diag *x = build__bad(b, e, GRAPH_R_UNKNOWN_NAME, err);
    int64_t at = cel_find_name(e->cel, wrong);

    graph__diag_text(b->d, x, "readyWhen cannot use \"" KR_FMT "\"", KR_ARG(wrong));
    if (at >= 0)
        build__point(b, e, x, (size_t)at);
    x->expected = kr_fmt(b->d->a, "only " KR_FMT, KR_ARG(var));
}

/* The names that a readyWhen uses beside its own variable. */
static void check_ready_refs(struct build *b, const struct build_unit *u, kr_str var, kr_str list,
                             struct build_expr *e)
{
    const struct graph_words *old = graph__words(b->d, "resource %q readyWhen", u->r->id, KR_S(""));
    KR_AUTO(kr_buf) unknown = KR_BUF(KR_ERR_MAX);
    struct kr_err err = KR_ERR_NONE;
    struct cel_inspection in = {0};
    kr_str first = {0};

    kr_bits_init(&e->nodes, b->a, b->n + 1);
    if (cel_inspect(b->a, b->base, e->cel, &in, &err) < 0) {
        kr_wrap(&err, "failed to inspect expression");
        build__bad_syntax(b, e, &err);
    }
    for (uint32_t i = 0; i < in.idents_n; i++) {
        if (kr_str_eq(in.idents[i], var) || (list.n && kr_str_eq(in.idents[i], list)))
            continue;
        kr_buf_fmt(&unknown, "%s" KR_FMT, unknown.n ? " " : "", KR_ARG(in.idents[i]));
        first = first.s ? first : in.idents[i];
    }
    if (unknown.n) {
        kr_fail(&err, KR_E_INPUT, "references unknown identifiers: [" KR_FMT "]",
                KR_ARG(kr_buf_view(&unknown)));
        bad_ready_name(b, e, var, first, &err);
    } else if (in.uses_omit) {
        kr_fail(&err, KR_E_INPUT, "omit() can only be used in resource template expressions");
        build__bad(b, e, GRAPH_R_INVALID_EXPRESSION, &err);
    }
    b->d->words = old;
}

static void compile_ready(struct build *b, struct build_unit *u, struct graph_node_spec *spec)
{
    struct graph_expr *exprs = kr_new_n(b->ra, struct graph_expr, u->ready_n);
    struct cel_env *env = cel_env_extend(b->a, b->base);
    bool found = u->r->kind == GRAPH_EXTERNAL_COLLECTION;
    bool each = found || u->r->kind == GRAPH_COLLECTION;
    kr_str var = each ? KR_S("each") : u->r->id, list = found ? u->r->id : KR_S("");
    uint32_t slot = cel_env_var(env, var, each ? u->type : u->visible, NULL);

    if (found && !kr_str_eq(list, var))
        slot += cel_env_var(env, list, u->visible, NULL) - 1;
    KR_ASSERT(slot == 0);
    for (uint32_t i = 0; i < u->ready_n; i++) {
        const struct cel_read *reads;
        uint32_t n;

        if (!u->ready[i].broken)
            check_ready_refs(b, u, var, list, &u->ready[i]);
        if (!compile_condition(b, u, env, &u->ready[i], "readyWhen", &exprs[i].prog))
            continue;
        reads = cel_prog_reads(exprs[i].prog, &n);
        for (uint32_t k = 0; k < n; k++)
            graph__reads_add(&b->reads[u->rank], schema_of(u), reads[k].names, reads[k].names_n,
                             GRAPH_TASK_READY(u->rank));
        exprs[i].text = cel_prog_text(exprs[i].prog);
    }
    spec->ready = exprs;
    spec->ready_n = u->ready_n;
}

/* The type of a dimension's items; dyn when the dimension is broken, which has been said. */
static const struct cel_type *item_type(struct build *b, struct build_unit *u, uint32_t i,
                                        const struct cel_prog **prog)
{
    kr_str id = graph__go_quote(b->a, u->r->id);
    kr_str name = graph__go_quote(b->a, u->r->dims[i].name), type;
    struct build_expr *e = &u->dims[i];
    const struct cel_type *item;
    struct kr_err err = KR_ERR_NONE;
    struct graph_diag *x;

    if (!build__program(b, e, b->env, prog, "node %q: forEach iterator %q", u->r->id,
                        u->r->dims[i].name))
        return CEL_T_DYN;
    if (cel_type_is_list(cel_prog_type(*prog), &item))
        return item;
    if (cel_type_is_dyn(cel_prog_type(*prog)) && reads_unknown(b, NULL, e))
        return CEL_T_DYN;
    type = graph__go_quote(b->a, cel_type_print(b->a, cel_prog_type(*prog)));
    kr_fail(&err, KR_E_INPUT,
            "node " KR_FMT ": forEach iterator " KR_FMT " must return a list, got " KR_FMT
            ": type " KR_FMT " is not a list type",
            KR_ARG(id), KR_ARG(name), KR_ARG(type), KR_ARG(type));
    x = build__bad(b, e, GRAPH_R_WRONG_TYPE, &err);
    graph__diag_text(b->d, x, "the expression has type " KR_FMT, KR_ARG(type));
    graph__diag_at(x, x->source, 0);
    x->expected = KR_S("a list");
    return CEL_T_DYN;
}

/* One dimension: its program, and the iterator as a variable of the node's environment. */
static void compile_dim(struct build *b, struct build_unit *u, uint32_t i, struct cel_env *env,
                        struct graph_expr *out)
{
    kr_str name = u->r->dims[i].name;
    const struct cel_type *item = item_type(b, u, i, &out->prog);

    out->slot = cel_env_var(env, name, item, NULL);
    if (u->dims[i].broken)
        return;
    build__record_reads(b, out->prog, GRAPH_TASK(u->rank));
    out->text = cel_prog_text(out->prog);
    out->name = kr_strdup(b->ra, name);
    out->nodes = build__nodes_by_rank(b, &u->dims[i].nodes);
}

static void check_dim_omit(struct build *b, struct build_unit *u, uint32_t i)
{
    struct kr_err err = KR_ERR_NONE;
    struct cel_inspection in;

    if (u->dims[i].broken || cel_inspect(b->a, b->base, u->dims[i].cel, &in, NULL) < 0 ||
        !in.uses_omit)
        return;
    kr_fail(&err, KR_E_INPUT,
            "node " KR_FMT ": forEach iterator " KR_FMT
            ": omit() can only be used in resource template expressions",
            KR_ARG(graph__go_quote(b->a, u->r->id)),
            KR_ARG(graph__go_quote(b->a, u->r->dims[i].name)));
    build__bad(b, &u->dims[i], GRAPH_R_INVALID_EXPRESSION, &err);
}

static void compile_dims(struct build *b, struct build_unit *u, struct cel_env *env,
                         struct graph_node_spec *spec)
{
    struct graph_expr *dims = kr_new_n(b->ra, struct graph_expr, u->dims_n);

    for (uint32_t i = 0; i < u->dims_n; i++) {
        check_dim_omit(b, u, i);
        compile_dim(b, u, i, env, &dims[i]);
    }
    spec->dims = dims;
    spec->dims_n = u->dims_n;
    if (cel_env_slots_n(env) > b->slots_all_n)
        b->slots_all_n = cel_env_slots_n(env);
}

static void compile_unit(struct build *b, struct build_unit *u, struct graph_node_spec *spec)
{
    struct cel_env *env = u->dims_n ? cel_env_extend(b->a, b->env) : b->env;

    build__check_omit(b, u);
    if (u->dims_n)
        compile_dims(b, u, env, spec);
    compile_sites(b, u, env, spec);
    compile_include(b, u, spec);
    compile_ready(b, u, spec);
}

void build__compile(struct build *b, struct graph_node_spec *specs)
{
    for (uint32_t i = 0; i < b->n; i++) {
        struct build_unit *u = &b->units[i];
        const struct graph_words *old =
            graph__words(b->d, "failed to validate resource %q", u->r->id, KR_S(""));

        compile_unit(b, u, &specs[u->rank]);
        b->d->words = old;
    }
}
