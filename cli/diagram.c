/* SPDX-License-Identifier: Apache-2.0 */
/* diagram.c - the graph of a definition as Mermaid and as DOT. Nodes are named by their number, so
 * that no id can mean something in either language.
 */
#include "cli/generate.h"

#include "cel/base/json.h"

#include "cel/base/banned.h"

struct look {
    const char *mermaid_open, *mermaid_close, *dot;
};

static const struct look looks[] = {
    [GRAPH_RESOURCE] = {"[", "]", ""},
    [GRAPH_COLLECTION] = {"[[", "]]", ", peripheries=2"},
    [GRAPH_EXTERNAL] = {"([", "])", ", style=\"rounded,dashed\""},
    [GRAPH_EXTERNAL_COLLECTION] = {"([", "])", ", style=\"rounded,dashed\", peripheries=2"},
};

/* Calls each with the ranks of every dependency, in the order of the dependents. */
typedef void edge_fn(struct kr_buf *out, int32_t from, int32_t to);

static void edges(const struct graph_rev *rev, edge_fn *each, struct kr_buf *out)
{
    KR_LIST_EACH (node, rev->resources_status) {
        int32_t to = graph_rev_rank(rev, kr_at_str(*node, "id"));

        KR_LIST_EACH (dependency, kr_get(*node, KR_S("dependencies"))) {
            int32_t from = graph_rev_rank(rev, kr_at_str(*dependency, "id"));

            if (from >= 0 && to >= 0)
                each(out, from, to);
        }
    }
}

static void mermaid_edge(struct kr_buf *out, int32_t from, int32_t to)
{
    kr_buf_fmt(out, "  n%d --> n%d\n", from + 1, to + 1);
}

/* Text between quotes; Mermaid knows HTML's names of characters, with "#". */
static void mermaid_text(struct kr_buf *out, kr_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.s[i] == '"')
            kr_buf_str(out, KR_S("#quot;"));
        else if (s.s[i] == '<')
            kr_buf_str(out, KR_S("#lt;"));
        else
            kr_buf_chr(out, (unsigned char)s.s[i] < ' ' ? ' ' : s.s[i]);
    }
}

void cli_diagram_mermaid(const struct graph_rev *rev, struct kr_buf *out)
{
    kr_buf_str(out, KR_S("---\ntitle: "));
    kr_json_quote(out, rev->rgd_name, 0);
    kr_buf_str(out, KR_S("\n---\nflowchart TD\n"));
    for (uint32_t i = 0; i < rev->nodes_n; i++) {
        const struct graph_node *node = &rev->nodes[i];
        const struct look *look = &looks[node->kind];

        kr_buf_fmt(out, "  n%u%s\"%u. ", i + 1, look->mermaid_open, i + 1);
        mermaid_text(out, node->id);
        kr_buf_str(out, KR_S("<br/>"));
        mermaid_text(out, node->gvk.kind);
        kr_buf_fmt(out, "\"%s\n", look->mermaid_close);
    }
    edges(rev, mermaid_edge, out);
}

static void dot_edge(struct kr_buf *out, int32_t from, int32_t to)
{
    kr_buf_fmt(out, "  n%d -> n%d;\n", from + 1, to + 1);
}

void cli_diagram_dot(const struct graph_rev *rev, struct kr_buf *out)
{
    KR_AUTO(kr_arena) a = {0};

    kr_buf_str(out, KR_S("digraph "));
    kr_json_quote(out, rev->rgd_name, 0);
    kr_buf_str(out, KR_S(" {\n  label="));
    kr_json_quote(out, rev->rgd_name, 0);
    kr_buf_str(out, KR_S(";\n  labelloc=t;\n  node [shape=box, style=rounded, "
                         "fontname=\"sans-serif\"];\n"));
    for (uint32_t i = 0; i < rev->nodes_n; i++) {
        const struct graph_node *node = &rev->nodes[i];

        kr_buf_fmt(out, "  n%u [label=", i + 1);
        kr_json_quote(
            out,
            kr_fmt(&a, "%u. " KR_FMT "\n" KR_FMT, i + 1, KR_ARG(node->id), KR_ARG(node->gvk.kind)),
            0);
        kr_buf_fmt(out, "%s];\n", looks[node->kind].dot);
    }
    edges(rev, dot_edge, out);
    kr_buf_str(out, KR_S("}\n"));
}
