/* SPDX-License-Identifier: Apache-2.0 */
/* pages.c - what the process holds, as tables: /debug/instances, /debug/queue, /debug/watches.
 *
 * A page fills a table of values; the table is then written as aligned columns for people or as JSON
 * for programs, so that both always say the same. Nothing of an object's content is shown: names,
 * counts, states, and the reasons that conditions and the log tell too.
 */
#include "cel/base/json.h"
#include "reactor/internal.h"

#include "cel/base/banned.h"

enum {
    COLUMNS_MAX = 12,
    WIDTH_MAX = 64 /* to which a column is aligned; longer cells stand out */
};

struct table {
    struct kr_arena *a;
    const char *const *columns; /* NULL ends; names of JSON, upper case for people */
    struct kr_listb rows;       /* lists, one value a column */
    uint32_t rows_n, left_n;    /* left out: over REACTOR_PAGE_ROWS_MAX */
};

static void row(struct table *t, const kr_val *cells)
{
    uint32_t n = 0;

    if (t->rows_n == REACTOR_PAGE_ROWS_MAX) {
        t->left_n++;
        return;
    }
    while (t->columns[n])
        n++;
    KR_ASSERT(n <= COLUMNS_MAX);
    t->rows_n++;
    kr_listb_add(&t->rows, kr_copy(t->a, kr_list(cells, n)));
}

/* --- a table as text and as JSON -------------------------------------------------------------- */

static kr_str cell_text(struct kr_arena *a, kr_val v)
{
    return v.kind == KR_STRING ? kr_text(v) : kr_json_str(a, v);
}

static void widths_of(const struct table *t, kr_val rows, size_t widths[COLUMNS_MAX])
{
    for (uint32_t i = 0; t->columns[i]; i++)
        widths[i] = strlen(t->columns[i]);
    KR_LIST_EACH (r, rows) {
        for (uint32_t i = 0; i < r->n; i++) {
            size_t n = cell_text(t->a, r->list[i]).n;

            if (n > widths[i])
                widths[i] = n < WIDTH_MAX ? n : WIDTH_MAX;
        }
    }
}

static void text_cell(struct kr_buf *out, kr_str text, size_t width, bool last)
{
    kr_buf_str(out, text);
    for (size_t n = text.n; !last && n < width + 2; n++)
        kr_buf_chr(out, ' ');
}

static void table_text(const struct table *t, kr_val rows, struct kr_buf *out)
{
    size_t widths[COLUMNS_MAX];

    widths_of(t, rows, widths);
    for (uint32_t i = 0; t->columns[i]; i++) {
        char name[WIDTH_MAX];
        size_t n = 0;

        for (const char *c = t->columns[i]; *c && n < sizeof name; c++)
            name[n++] = (char)(*c >= 'a' && *c <= 'z' ? *c - 32 : *c);
        text_cell(out, (kr_str){name, n}, widths[i], !t->columns[i + 1]);
    }
    kr_buf_chr(out, '\n');
    KR_LIST_EACH (r, rows) {
        for (uint32_t i = 0; i < r->n; i++)
            text_cell(out, cell_text(t->a, r->list[i]), widths[i], i + 1 == r->n);
        kr_buf_chr(out, '\n');
    }
    if (t->left_n)
        kr_buf_fmt(out, "(%u more: name a kind, a namespace or a state)\n", t->left_n);
}

static void table_json(const struct table *t, kr_val rows, struct kr_buf *out)
{
    struct kr_listb items = KR_LISTB(t->a);
    struct kr_mapb page = KR_MAPB(t->a);
    struct kr_err err = KR_ERR_NONE;

    KR_LIST_EACH (r, rows) {
        struct kr_mapb b = KR_MAPB(t->a);

        for (uint32_t i = 0; i < r->n; i++)
            kr_mapb_put(&b, kr_str_c(t->columns[i]), r->list[i]);
        kr_listb_add(&items, kr_mapb_done(&b));
    }
    kr_mapb_put(&page, KR_S("items"), kr_listb_done(&items));
    kr_mapb_put(&page, KR_S("more"), kr_int(t->left_n));
    if (kr_json_write(out, kr_mapb_done(&page), KR_JSON_INDENT, &err) < 0)
        kr_buf_fmt(out, "{}");
    kr_buf_chr(out, '\n');
}

/* --- the pages -------------------------------------------------------------------------------- */

/* A list that was never used has no links yet. */
static uint32_t link_n(const struct kr_link *list)
{
    uint32_t n = 0;

    for (const struct kr_link *l = list->next; l != NULL && l != list; l = l->next)
        n++;
    return n;
}

static bool is_wanted(const struct reactor_page_query *q, const struct reactor_inst *inst)
{
    const struct reactor_served *s = inst->served;
    kr_str state = kr_str_c(graph_inst_state(inst->core));

    if (q->kind.n && !kr_str_eq(q->kind, s->gvk.kind) && !kr_str_eq(q->kind, s->gvr.resource))
        return false;
    if (q->namespace.n && !kr_str_eq(q->namespace, graph_inst_ref(inst->core).namespace))
        return false;
    return !q->state.n || kr_str_eq(q->state, state);
}

static const char *const instance_columns[] = {
    "kind", "namespace", "name", "state", "revision", "requests", "queued", "waits", NULL};

static void instances(const struct reactor *r, const struct reactor_page_query *q, struct table *t)
{
    kr_map_each (entry, &r->served) {
        const struct reactor_served *s = entry->val;

        for (const struct kr_link *l = s->insts.next; l != &s->insts; l = l->next) {
            const struct reactor_inst *inst = KR_OWNER(l, const struct reactor_inst, link);
            kr_ref ref = graph_inst_ref(inst->core);

            if (!is_wanted(q, inst))
                continue;
            row(t, (kr_val[]){kr_string(s->gvk.kind), kr_string(ref.namespace), kr_string(ref.name),
                              kr_string(kr_str_c(graph_inst_state(inst->core))),
                              kr_int(s->rev ? s->rev->number : 0), kr_int(link_n(&inst->ops)),
                              kr_bool(inst->item.lane != NULL),
                              kr_string(s->rev ? graph_inst_waits(inst->core, t->a)
                                               : KR_S("no definition serves it"))});
        }
    }
}

static const char *const queue_columns[] = {"lane", "users",   "changes",  "backlog",
                                            "owed", "waiting", "requests", NULL};

static void lane(const struct reactor *r, struct table *t, kr_str name,
                 const struct reactor_lane *lane, const struct reactor_served *of)
{
    uint32_t requests = 0;

    for (const struct kr_link *l = r->ops.next; l != &r->ops; l = l->next) {
        const struct reactor_op *op = KR_OWNER(l, const struct reactor_op, link);

        requests += of ? op->inst && op->inst->served == of : op->def != NULL;
    }
    row(t, (kr_val[]){kr_string(name), kr_int(link_n(&lane->items[REACTOR_P_USER])),
                      kr_int(link_n(&lane->items[REACTOR_P_CHANGE])),
                      kr_int(link_n(&lane->items[REACTOR_P_BACKLOG])), kr_int((int64_t)lane->owed),
                      kr_int(kube_client_flow_waiting_n(r->client, lane->flow)), kr_int(requests)});
}

static void queue(const struct reactor *r, const struct reactor_page_query *q, struct table *t)
{
    lane(r, t, KR_S("(definitions)"), &r->def_lane, NULL);
    kr_map_each (entry, &r->served) {
        const struct reactor_served *s = entry->val;

        lane(r, t, s->gvk.kind, &s->lane, s);
    }
}

static const char *const watch_columns[] = {"resource", "group", "namespace", "selects", "follows",
                                            "state",    "known", "objects",   "bytes",   "users",
                                            "failures", "why",   NULL};

static const char *role_text(enum reactor_role role)
{
    static const char *const texts[] = {
        [REACTOR_W_RGDS] = "definitions",
        [REACTOR_W_REVISIONS] = "revisions",
        [REACTOR_W_CRDS] = "types",
        [REACTOR_W_OWN_CRDS] = "own types",
        [REACTOR_W_PARENTS] = "instances",
        [REACTOR_W_CHILDREN] = "children",
        [REACTOR_W_ONE] = "one external",
        [REACTOR_W_SHARED] = "externals",
        [REACTOR_W_SELECTED] = "selected externals",
    };

    return texts[role];
}

static void watches(const struct reactor *r, const struct reactor_page_query *q, struct table *t)
{
    kr_map_each (entry, &r->watches) {
        const struct reactor_watch *w = entry->val;

        row(t,
            (kr_val[]){kr_string(w->gvr.resource), kr_string(w->gvr.group), kr_string(w->namespace),
                       kr_string(w->name), kr_string(kr_str_c(role_text(w->role))),
                       kr_string(kr_str_c(kube_watch_state(w->watch))), kr_bool(w->known),
                       kr_int(kube_store_n(w->store)), kr_int((int64_t)kube_store_bytes(w->store)),
                       kr_int(w->users_n), kr_int(kube_watch_failures_n(w->watch)),
                       kr_string(reactor__watch_why(w, t->a))});
    }
}

void reactor_page(const struct reactor *r, const struct reactor_page_query *q, struct kr_buf *out)
{
    static const struct {
        void (*fill)(const struct reactor *r, const struct reactor_page_query *q, struct table *t);
        const char *const *columns;
    } pages[] = {
        [REACTOR_PAGE_INSTANCES] = {instances, instance_columns},
        [REACTOR_PAGE_QUEUE] = {queue, queue_columns},
        [REACTOR_PAGE_WATCHES] = {watches, watch_columns},
    };
    KR_AUTO(kr_arena) a = {0};
    struct table t = {.a = &a, .columns = pages[q->page].columns, .rows = KR_LISTB(&a)};
    kr_val rows;

    pages[q->page].fill(r, q, &t);
    rows = kr_listb_done(&t.rows);
    (q->json ? table_json : table_text)(&t, rows, out);
}
