/* SPDX-License-Identifier: Apache-2.0 */
/* readers.c - which expression of a definition reads a path, for people who ask why something was
 * written. The machine itself works with numbered leaves and needs no names; here the path is looked
 * for in the texts of the expressions that refer to its node. Where none has it literally (it is read
 * through a variable, say), all expressions that refer to the node are meant.
 */
#include "graph/internal.h"

#include "cel/base/banned.h"

struct search {
    const struct graph_rev *rev;
    struct kr_arena *a;
    kr_str path, id; /* "settings.data.x" and "settings" */
    uint32_t rank;   /* of id; nodes_n: the instance */
    bool literal;
    struct graph_reader *out;
    uint32_t n, max;
};

static bool in_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Does text read path? "a.?b" reads "a.b"; "a.bc" does not. */
static bool has_path(kr_str text, kr_str path)
{
    for (size_t from = 0; from < text.n; from++) {
        size_t at = from, k = 0;

        if (from > 0 && (in_name(text.s[from - 1]) || text.s[from - 1] == '.'))
            continue;
        while (at < text.n && k < path.n && (text.s[at] == path.s[k] || text.s[at] == '?')) {
            k += text.s[at] != '?';
            at++;
        }
        if (k == path.n && (at == text.n || !in_name(text.s[at])))
            return true;
    }
    return false;
}

static void look(struct search *s, kr_str place, kr_str text, const struct kr_bits *nodes)
{
    if (s->n == s->max || !nodes || !kr_bits_has(nodes, s->rank))
        return;
    if (s->literal && !has_path(text, s->path))
        return;
    s->out[s->n++] = (struct graph_reader){place, text};
}

static void look_sites(struct search *s, const struct graph_site *sites, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        look(s, graph__path_print(s->a, sites[i].path, sites[i].path_n), sites[i].text,
             sites[i].nodes);
}

static void look_exprs(struct search *s, kr_str place, const struct graph_expr *exprs, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        look(s, place, exprs[i].text, exprs[i].nodes);
}

static void look_all(struct search *s, int32_t node)
{
    const struct graph_rev_impl *impl = s->rev->impl;
    const struct graph_node_spec *spec;

    if (node < 0) {
        look_sites(s, impl->status_sites, impl->status_sites_n);
        return;
    }
    spec = s->rev->nodes[node].spec;
    look_exprs(s, KR_S("includeWhen"), spec->include, spec->include_n);
    look_exprs(s, KR_S("forEach"), spec->dims, spec->dims_n);
    look_sites(s, spec->sites, spec->sites_n);
    look_exprs(s, KR_S("readyWhen"), spec->ready, spec->ready_n);
}

/* The expressions that make "status.x". */
static void look_makers(struct search *s)
{
    const struct graph_rev_impl *impl = s->rev->impl;
    kr_str member = kr_str_sub(s->path, sizeof "status." - 1, s->path.n);

    for (uint32_t i = 0; i < impl->status_sites_n && s->n < s->max; i++) {
        const struct graph_site *site = &impl->status_sites[i];
        kr_str place = graph__path_print(s->a, site->path, site->path_n);

        if (kr_str_starts(place, member) &&
            (place.n == member.n || place.s[member.n] == '.' || place.s[member.n] == '['))
            s->out[s->n++] = (struct graph_reader){place, site->text};
    }
}

uint32_t graph_rev_readers(const struct graph_rev *r, struct kr_arena *a, kr_str node, kr_str path,
                           struct graph_reader *out, uint32_t max)
{
    struct search s = {.rev = r, .a = a, .path = path, .literal = true, .out = out, .max = max};
    int32_t rank, reader = node.n ? graph_rev_rank(r, node) : -1;
    size_t n = 0;

    if (!node.n && kr_str_starts(path, KR_S("status."))) {
        look_makers(&s);
        return s.n;
    }
    while (n < path.n && in_name(path.s[n]))
        n++;
    s.id = kr_str_sub(path, 0, n);
    rank = graph_rev_rank(r, s.id);
    if ((node.n && reader < 0) || (rank < 0 && !kr_str_is(s.id, "schema")))
        return 0;
    s.rank = rank < 0 ? r->nodes_n : (uint32_t)rank;
    look_all(&s, reader);
    s.literal = false;
    if (s.n == 0)
        look_all(&s, reader);
    return s.n;
}
