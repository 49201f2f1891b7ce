/* SPDX-License-Identifier: Apache-2.0 */
/* build_property_test.c - what must hold for every definition: equal input gives equal bytes; the
 * order of members and of resources does not change what is meant; and whatever is done to a
 * definition, compiling it ends, in a revision or in errors that say where.
 *
 * The corpus is the definitions of the compatibility cases. KROC_FULL=1 makes many more mutations;
 * KROC_SEED=n begins at another one.
 */
#include "graph/internal.h"
#include "tests/graph/schemas.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

enum { CORPUS_MAX = 400, MUTATIONS = 2000, MUTATIONS_FULL = 100 * 1000, PERMUTATIONS = 4 };

static struct {
    struct kr_arena a;
    struct cel_kinds *kinds;
    kr_val specs[CORPUS_MAX];
    uint32_t n;
} corpus;

/* --- corpus ----------------------------------------------------------------------------------- */

static void add_spec(kr_val spec)
{
    const kr_gvk *gvks;
    uint32_t n;

    if (spec.kind != KR_MAP || corpus.n == CORPUS_MAX)
        return;
    graph_kinds_of(spec, &corpus.a, &gvks, &n);
    cases_kinds(corpus.kinds, gvks, n);
    corpus.specs[corpus.n++] = spec;
}

static void load_folders(void)
{
    struct dirent **names;
    int n = scandir(KROC_SHARED "/cases/rgds", &names, NULL, alphasort);

    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        kr_str text,
            path = kr_fmt(&corpus.a, KROC_SHARED "/cases/rgds/%s/rgd.yaml", names[i]->d_name);
        kr_val crd =
            cases_json(&corpus.a, kr_fmt(&corpus.a, "vectors/crd/%s.json", names[i]->d_name).s);

        if (test_file(&corpus.a, path.s, &text))
            add_spec(kr_at(test_yaml(&corpus.a, kr_cstr(&corpus.a, text)), "spec"));
        if (crd.kind == KR_MAP)
            cases_kinds_crd(corpus.kinds, crd);
        free(names[i]);
    }
    free(names);
}

static int load_line(struct kr_arena *a, kr_val line)
{
    add_spec(kr_copy(&corpus.a, kr_at(line, "rgd.spec")));
    (void)a;
    return 1;
}

static void load(void)
{
    uint32_t failed;

    if (corpus.n)
        return;
    if (!cases_present())
        test_skip_all("no compatibility cases");
    corpus.kinds = cel_kinds_new();
    load_folders();
    cases_each("validation/rgd-from-integration.jsonl", load_line, &failed);
    cases_each("vectors/crd-synthetic.jsonl", load_line, &failed);
    assert_true(corpus.n >= 200);
}

static int build(struct kr_arena *a, kr_val spec, struct graph_diags *d, struct graph_rev **out,
                 struct kr_err *err)
{
    struct graph_source src = {
        .name = KR_S("t"), .uid = KR_S("u"), .spec = spec, .diags = d, .omit = true};
    const kr_gvk *gvks;
    uint32_t n;

    graph_kinds_of(spec, a, &gvks, &n);
    src.missing = gvks;
    src.missing_n = n; /* what is not in the corpus is nowhere */
    return graph_build(&src, corpus.kinds, a, out, &gvks, &n, err);
}

/* --- a revision as text ----------------------------------------------------------------------- */

static void dump_bits(struct kr_buf *b, const struct kr_bits *bits)
{
    kr_bits_each (i, bits)
        kr_buf_fmt(b, " %u", i);
}

static void dump_reads(struct kr_buf *b, const struct graph_read *reads, uint32_t n,
                       const struct kr_bits *tasks, uint32_t tasks_n)
{
    for (uint32_t i = 0; i < n; i++) {
        kr_buf_fmt(b, "  read");
        for (uint32_t k = 0; k < reads[i].n; k++)
            kr_buf_fmt(b, " " KR_FMT, KR_ARG(reads[i].names[k]));
        kr_buf_fmt(b, " ->");
        if (i < tasks_n)
            dump_bits(b, &tasks[i]);
        kr_buf_chr(b, '\n');
    }
}

static void dump_exprs(struct kr_buf *b, const char *what, const struct graph_expr *e, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        kr_buf_fmt(b, "  %s " KR_FMT " = " KR_FMT " slot %u", what, KR_ARG(e[i].name),
                   KR_ARG(cel_prog_text(e[i].prog)), e[i].slot);
        if (e[i].nodes)
            dump_bits(b, e[i].nodes);
        kr_buf_chr(b, '\n');
    }
}

static void dump_sites(struct kr_buf *b, const struct graph_site *s, uint32_t n)
{
    KR_AUTO(kr_arena) a = {0};

    for (uint32_t i = 0; i < n; i++) {
        kr_buf_fmt(b, "  site " KR_FMT " = " KR_FMT " (" KR_FMT ")",
                   KR_ARG(graph__path_print(&a, s[i].path, s[i].path_n)),
                   KR_ARG(cel_prog_text(s[i].prog)), KR_ARG(s[i].text));
        dump_bits(b, s[i].nodes);
        kr_buf_chr(b, '\n');
    }
}

static void dump_node(struct kr_buf *b, struct kr_arena *a, const struct graph_node *n)
{
    const struct graph_node_spec *s = n->spec;

    kr_buf_fmt(b, "node " KR_FMT " %d " KR_FMT " " KR_FMT " %d order %u index %u\n", KR_ARG(n->id),
               n->kind, KR_ARG(kr_gvr_key(a, n->gvr)), KR_ARG(n->gvk.kind), n->namespaced, n->order,
               n->index);
    kr_buf_fmt(b, "  template " KR_FMT "\n  deps", KR_ARG(kr_json_str(a, s->template)));
    for (uint32_t i = 0; i < s->deps_n; i++)
        kr_buf_fmt(b, " %u", s->deps[i]);
    kr_buf_fmt(b, "\n  dependents");
    dump_bits(b, &s->dependents);
    kr_buf_fmt(b, "\n  exist");
    dump_bits(b, &s->readers_exist);
    kr_buf_fmt(b, "\n  rules %u %u\n", s->normals_n, s->key_defaults_n);
    dump_reads(b, n->reads, n->reads_n, s->readers, n->reads_n);
    dump_exprs(b, "dim", s->dims, s->dims_n);
    dump_exprs(b, "include", s->include, s->include_n);
    dump_exprs(b, "ready", s->ready, s->ready_n);
    dump_sites(b, s->sites, s->sites_n);
}

/* All that a revision is. */
static const char *dump(struct kr_arena *a, const struct graph_rev *rev)
{
    KR_AUTO(kr_buf) b = KR_BUF(64 << 20);

    kr_buf_fmt(&b, "hash " KR_FMT " kinds " KR_FMT "\n", KR_ARG(rev->hash),
               KR_ARG(rev->impl->kinds_all));
    kr_buf_fmt(&b, KR_FMT "\n" KR_FMT "\n" KR_FMT "\n", KR_ARG(kr_json_str(a, rev->crd)),
               KR_ARG(kr_json_str(a, rev->order_status)),
               KR_ARG(kr_json_str(a, rev->resources_status)));
    for (uint32_t r = 0; r < rev->nodes_n; r++)
        dump_node(&b, a, &rev->nodes[r]);
    dump_reads(&b, rev->parent_reads, rev->parent_reads_n, rev->impl->parent_readers,
               rev->impl->parent_schema_reads_n);
    dump_sites(&b, rev->impl->status_sites, rev->impl->status_sites_n);
    dump_exprs(&b, "condition", rev->impl->conditions, rev->impl->conditions_n);
    dump_bits(&b, &rev->impl->status_nodes);
    return kr_cstr(a, kr_buf_view(&b));
}

static const char *dump_diags(struct kr_arena *a, const struct graph_diags *d)
{
    KR_AUTO(kr_buf) b = KR_BUF(64 << 20);

    for (uint32_t i = 0; i < d->n; i++) {
        const struct graph_diag *x = &d->items[i];

        kr_buf_fmt(&b, "%s %d " KR_FMT "|" KR_FMT "|" KR_FMT "|%u:%u|" KR_FMT "|" KR_FMT "\n",
                   graph_rule_id(x->rule), x->warning, KR_ARG(x->path), KR_ARG(x->message),
                   KR_ARG(x->source), x->line, x->column, KR_ARG(x->expected),
                   KR_ARG(x->suggestion));
    }
    kr_buf_fmt(&b, "%u %u\n", d->errors_n, d->left_out);
    return kr_cstr(a, kr_buf_view(&b));
}

/* The outcome of a compile as text: the revision or the findings. */
static const char *outcome(struct kr_arena *a, kr_val spec)
{
    struct graph_diags d = {.a = a};
    struct graph_rev *rev = NULL;
    struct kr_err err = KR_ERR_NONE;
    const char *text;

    if (build(a, spec, &d, &rev, &err) < 0)
        return dump_diags(a, &d);
    text = dump(a, rev);
    graph_rev_drop(rev);
    return text;
}

TEST(graph_build_property, equal_input_gives_equal_bytes)
{
    load();
    for (uint32_t i = 0; i < corpus.n; i++) {
        KR_AUTO(kr_arena) a = {0}, b = {0};

        EXPECT_TEXT(outcome(&a, corpus.specs[i]), outcome(&b, corpus.specs[i]));
    }
}

/* --- members in another order ----------------------------------------------------------------- */

static void shuffle(uint32_t *order, uint32_t n, uint64_t *seed)
{
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    for (uint32_t i = n; i > 1; i--) {
        uint32_t k = (uint32_t)(test_rand(seed) % i), x = order[i - 1];

        order[i - 1] = order[k];
        order[k] = x;
    }
}

/* JSON with the members of each map in a random order. */
static void print_shuffled(struct kr_buf *b, struct kr_arena *a, kr_val v, uint64_t *seed)
{
    uint32_t *order = kr_new_n(a, uint32_t, v.kind == KR_MAP ? v.n : 0);

    if (v.kind == KR_LIST) {
        for (uint32_t i = 0; i < v.n; i++) {
            kr_buf_chr(b, i ? ',' : '[');
            print_shuffled(b, a, v.list[i], seed);
        }
        kr_buf_fmt(b, "%s]", v.n ? "" : "[");
    } else if (v.kind == KR_MAP) {
        shuffle(order, v.n, seed);
        for (uint32_t i = 0; i < v.n; i++) {
            kr_buf_chr(b, i ? ',' : '{');
            kr_json_quote(b, kr_text(v.map[order[i]].key), 0);
            kr_buf_chr(b, ':');
            print_shuffled(b, a, v.map[order[i]].val, seed);
        }
        kr_buf_fmt(b, "%s}", v.n ? "" : "{");
    } else {
        kr_buf_str(b, kr_json_str(a, v));
    }
}

TEST(graph_build_property, the_order_of_members_means_nothing)
{
    uint64_t seed = 7;

    load();
    for (uint32_t i = 0; i < corpus.n; i++) {
        KR_AUTO(kr_arena) a = {0};
        KR_AUTO(kr_buf) text = KR_BUF(64 << 20);
        struct kr_err err = KR_ERR_NONE;
        kr_val docs;

        print_shuffled(&text, &a, corpus.specs[i], &seed);
        EXPECT_OK(kr_yaml_parse(&a, kr_buf_view(&text), &docs, &err), &err);
        EXPECT_TEXT(outcome(&a, kr_item(docs, 0)), outcome(&a, corpus.specs[i]));
    }
}

/* --- resources in another order --------------------------------------------------------------- */

static int by_text(const void *x, const void *y)
{
    return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* Lines in order. */
static const char *sorted(struct kr_arena *a, const char **lines, uint32_t n)
{
    KR_AUTO(kr_buf) b = KR_BUF(64 << 20);

    qsort(lines, n, sizeof(*lines), by_text);
    for (uint32_t i = 0; i < n; i++)
        kr_buf_fmt(&b, "%s\n", lines[i]);
    return kr_cstr(a, kr_buf_view(&b));
}

static const char *read_line(struct kr_arena *a, kr_str of, const struct graph_read *r)
{
    kr_str out = of;

    for (uint32_t i = 0; i < r->n; i++)
        out = kr_fmt(a, KR_FMT "." KR_FMT, KR_ARG(out), KR_ARG(r->names[i]));
    return kr_cstr(a, out);
}

/* What does not follow the order of declaration: all but ranks, indexes and the order itself. */
static const char *essence(struct kr_arena *a, const struct graph_rev *rev)
{
    const char **lines = kr_new_n(a, const char *, 64 * 1024);
    uint32_t n = 0;

    lines[n++] = kr_json_str(a, rev->crd).s;
    lines[n++] = kr_cstr(a, rev->impl->kinds_all);
    for (uint32_t r = 0; r < rev->nodes_n; r++) {
        const struct graph_node *node = &rev->nodes[r];

        lines[n++] = kr_fmt(a, KR_FMT " %d " KR_FMT " order %u " KR_FMT, KR_ARG(node->id),
                            node->kind, KR_ARG(kr_gvr_key(a, node->gvr)), node->order,
                            KR_ARG(kr_json_str(a, node->spec->template)))
                         .s;
        for (uint32_t i = 0; i < node->spec->deps_n; i++)
            lines[n++] = kr_fmt(a, KR_FMT " needs " KR_FMT, KR_ARG(node->id),
                                KR_ARG(rev->nodes[node->spec->deps[i]].id))
                             .s;
        for (uint32_t i = 0; i < node->reads_n; i++)
            lines[n++] = read_line(a, node->id, &node->reads[i]);
        for (uint32_t i = 0; i < node->spec->sites_n; i++)
            lines[n++] = kr_fmt(a, KR_FMT " " KR_FMT " = " KR_FMT, KR_ARG(node->id),
                                KR_ARG(graph__path_print(a, node->spec->sites[i].path,
                                                         node->spec->sites[i].path_n)),
                                KR_ARG(cel_prog_text(node->spec->sites[i].prog)))
                             .s;
    }
    for (uint32_t i = 0; i < rev->parent_reads_n; i++)
        lines[n++] = read_line(a, KR_S("schema"), &rev->parent_reads[i]);
    assert_true(n < 64 * 1024);
    return sorted(a, lines, n);
}

/* Each node behind what it needs; of the ready ones the first declared: no other order is right. */
static void check_order(const struct graph_rev *rev)
{
    for (uint32_t r = 0; r < rev->nodes_n; r++) {
        const struct graph_node_spec *s = rev->nodes[r].spec;
        uint32_t last = 0; /* behind this rank the node could have come */

        for (uint32_t i = 0; i < s->deps_n; i++) {
            assert_true(s->deps[i] < r);
            last = s->deps[i] + 1 > last ? s->deps[i] + 1 : last;
        }
        for (uint32_t k = last; k < r; k++)
            assert_true(rev->nodes[k].index < rev->nodes[r].index);
    }
}

static kr_val shuffled_resources(struct kr_arena *a, kr_val spec, uint64_t *seed)
{
    kr_val list = kr_get(spec, KR_S("resources"));
    struct kr_listb b = KR_LISTB(a);
    uint32_t *order = kr_new_n(a, uint32_t, list.n);

    shuffle(order, list.n, seed);
    for (uint32_t i = 0; i < list.n; i++)
        kr_listb_add(&b, list.list[order[i]]);
    return kr_with_key(a, spec, KR_S("resources"), kr_listb_done(&b));
}

TEST(graph_build_property, the_order_of_resources_changes_ranks_only)
{
    uint64_t seed = 11;
    uint32_t seen = 0;

    load();
    for (uint32_t i = 0; i < corpus.n; i++) {
        KR_AUTO(kr_arena) a = {0};
        struct graph_diags d = {.a = &a};
        struct graph_rev *rev = NULL, *other = NULL;
        const char *want;

        if (kr_get(corpus.specs[i], KR_S("resources")).n < 2 ||
            build(&a, corpus.specs[i], &d, &rev, NULL) != 0)
            continue;
        want = essence(&a, rev);
        check_order(rev);
        graph_rev_drop(rev);
        for (int k = 0; k < PERMUTATIONS; k++) {
            struct kr_err err = KR_ERR_NONE;

            EXPECT_OK(build(&a, shuffled_resources(&a, corpus.specs[i], &seed), &d, &other, &err),
                      &err);
            EXPECT_TEXT(essence(&a, other), want);
            check_order(other);
            graph_rev_drop(other);
            seen++;
        }
    }
    assert_true(seen >= 100);
}

/* --- mutations -------------------------------------------------------------------------------- */

struct mutator {
    struct kr_arena *a;
    uint64_t *seed;
    uint32_t left; /* nodes to pass before the one that is changed */
};

static uint32_t below(const struct mutator *m, uint32_t n)
{
    return n ? (uint32_t)(test_rand(m->seed) % n) : 0;
}

/* Some text of the corpus: names, types and expressions turn up where they do not belong. */
static kr_val other_value(const struct mutator *m)
{
    kr_val v = corpus.specs[below(m, corpus.n)];

    for (;;) {
        uint32_t stop = below(m, 6);

        if ((v.kind != KR_MAP && v.kind != KR_LIST) || v.n == 0 || stop == 0)
            return v;
        v = v.kind == KR_MAP ? v.map[below(m, v.n)].val : v.list[below(m, v.n)];
    }
}

static kr_val random_value(const struct mutator *m)
{
    static const char *const texts[] = {"",        "${",          "}",       "${}",
                                        "${x}",    "a${schema}b", "\"",      "\xc3\xa9\xff",
                                        "[]x",     "map[string]", "x | y=",  "a.b/c/d",
                                        "${a ${b", "string | |",  "${each}", "${schema.spec}",
                                        "\n\t",    "kro.run/x",   "${'}'}",  "${[[[[[[1]]]]]]}"};

    switch (below(m, 10)) {
    case 0:
        return KR_V_NULL;
    case 1:
        return kr_bool(below(m, 2));
    case 2:
        return kr_int((int64_t)test_rand(m->seed));
    case 3:
        return kr_double(0.5);
    case 4:
        return kr_map_sorted(NULL, 0);
    case 5:
        return kr_list(NULL, 0);
    case 6:
    case 7:
        return kr_string(kr_str_c(texts[below(m, KR_N(texts))]));
    default:
        return other_value(m);
    }
}

/* A few bytes are taken away, put in or changed. */
static kr_val bend_text(const struct mutator *m, kr_str s)
{
    static const char bytes[] = "${}()[].\"'|=+-/ axX09_\n\\";
    char *out = kr_arena_bytes(m->a, s.n + 8);
    size_t n = 0;
    uint32_t at = below(m, (uint32_t)s.n + 1), what = below(m, 4);

    for (size_t i = 0; i <= s.n; i++) {
        if (i == at && what == 0) {
            out[n++] = bytes[below(m, sizeof(bytes) - 1)];
        } else if (i == at && what == 1) {
            continue;
        } else if (i == at && what == 2 && i < s.n) {
            out[n++] = bytes[below(m, sizeof(bytes) - 1)];
            continue;
        } else if (i == at && what == 3) {
            break;
        }
        if (i < s.n)
            out[n++] = s.s[i];
    }
    return kr_string((kr_str){out, n});
}

static kr_val change(const struct mutator *m, kr_val v)
{
    if (v.kind == KR_STRING && below(m, 3))
        return bend_text(m, kr_text(v));
    if (v.kind == KR_MAP && v.n && below(m, 2)) { /* a member renamed, or gone */
        const struct kr_pair *p = &v.map[below(m, v.n)];
        kr_val name = bend_text(m, kr_text(p->key));
        kr_val without = kr_with_key(m->a, v, kr_text(p->key), KR_V_NONE);

        return below(m, 2) ? without : kr_with_key(m->a, without, kr_text(name), p->val);
    }
    if (v.kind == KR_LIST && v.n && below(m, 2)) { /* an item twice */
        struct kr_listb b = KR_LISTB(m->a);

        KR_LIST_EACH (it, v)
            kr_listb_add(&b, *it);
        kr_listb_add(&b, v.list[below(m, v.n)]);
        return kr_listb_done(&b);
    }
    return random_value(m);
}

static uint32_t count(kr_val v)
{
    uint32_t n = 1;

    KR_LIST_EACH (it, v)
        n += count(*it);
    KR_MAP_EACH (it, v)
        n += count(it->val);
    return n;
}

/* The tree with the left-th value changed. */
static kr_val mutate(struct mutator *m, kr_val v)
{
    if (m->left-- == 0)
        return change(m, v);
    if (v.kind == KR_LIST) {
        struct kr_listb b = KR_LISTB(m->a);

        KR_LIST_EACH (it, v)
            kr_listb_add(&b, m->left < UINT32_MAX / 2 ? mutate(m, *it) : *it);
        return kr_listb_done(&b);
    }
    if (v.kind == KR_MAP) {
        struct kr_mapb b = KR_MAPB(m->a);

        KR_MAP_EACH (it, v)
            kr_mapb_put(&b, kr_text(it->key),
                        m->left < UINT32_MAX / 2 ? mutate(m, it->val) : it->val);
        return kr_mapb_done(&b);
    }
    return v;
}

/* Every finding says where and what. */
static bool is_told(const struct graph_diags *d, int rc, const struct kr_err *err)
{
    for (uint32_t i = 0; i < d->n; i++) {
        const struct graph_diag *x = &d->items[i];

        if (!kr_str_starts(x->path, KR_S("spec")) || x->message.n == 0 || x->text.n == 0 ||
            (x->line > 0 && x->column == 0))
            return false;
    }
    return (rc < 0) == (d->errors_n > 0) && (rc == 0 || (err->at[0] && err->n));
}

TEST(graph_build_property, mutations_end_in_a_revision_or_in_errors_with_a_place)
{
    const char *full = getenv("KROC_FULL"), *from = getenv("KROC_SEED");
    uint32_t n = full && *full == '1' ? MUTATIONS_FULL : MUTATIONS, valid = 0, findings = 0;
    uint32_t first = from ? (uint32_t)strtoul(from, NULL, 10) : 0;

    load();
    for (uint32_t i = first; i < first + n; i++) {
        KR_AUTO(kr_arena) a = {0};
        uint64_t seed = i * UINT64_C(0x9E3779B97F4A7C15);
        struct mutator m = {.a = &a, .seed = &seed};
        kr_val spec = corpus.specs[below(&m, corpus.n)];
        struct graph_diags d = {.a = &a};
        struct kr_err err = KR_ERR_NONE;
        struct graph_rev *rev = NULL;
        int rc;

        for (uint32_t k = below(&m, 4) + 1; k > 0; k--) {
            m.left = below(&m, count(spec));
            spec = mutate(&m, spec);
        }
        rc = build(&a, spec, &d, &rev, &err);
        graph_rev_drop(rev);
        valid += rc == 0;
        findings += d.n;
        if (!is_told(&d, rc, &err)) {
            fprintf(stderr, "KROC_SEED=%u: rc %d\n%s\n" KR_FMT "\n", i, rc, dump_diags(&a, &d),
                    KR_ARG(kr_json_str(&a, spec)));
            fail();
        }
    }
    fprintf(stderr, "%u mutations: %u valid, %u findings\n", n, valid, findings);
    assert_true(valid > n / 20 && findings > n / 2);
}

static int finish(void **state)
{
    cel_kinds_free(corpus.kinds);
    kr_arena_fini(&corpus.a);
    (void)state;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(graph_build_property, equal_input_gives_equal_bytes),
        T(graph_build_property, the_order_of_members_means_nothing),
        T(graph_build_property, the_order_of_resources_changes_ranks_only),
        T(graph_build_property, mutations_end_in_a_revision_or_in_errors_with_a_place),
    };

    return cmocka_run_group_tests(tests, NULL, finish);
}
