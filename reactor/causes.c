/* SPDX-License-Identifier: Apache-2.0 */
/* causes.c - what the reactor writes down for `kroc why` (why.h): each change that reaches a stepped
 * instance, each request and its answer; and the page itself.
 *
 * What an instance is told before its first step is no change but the state it begins with. The
 * answer to our own write is one only where an expression reads what the server added to it.
 */
#include <strings.h>

#include "reactor/internal.h"

#include "cel/base/banned.h"

enum { VALUES_MAX = 4 }; /* changed values named of one change of an object */

void reactor__why_init(struct reactor *r)
{
    uint8_t key[REACTOR_WHY_KEY_BYTES];

    for (size_t i = 0; i < sizeof key; i += sizeof(uint64_t)) {
        uint64_t x = r->clock->ops->random(r->clock);

        memcpy(key + i, &x, sizeof x);
    }
    reactor_whys_init(&r->whys, r->opts.why_key ? r->opts.why_key : key);
    r->opts.why_key = NULL; /* was borrowed for this call */
}

/* What it is: "deployments.apps", "shop"; the namespace only where it is not the instance's. */
static void name_object(struct reactor_why_entry *e, struct kr_arena *a,
                        const struct reactor_inst *inst, kr_ref ref)
{
    kr_str own = graph_inst_ref(inst->core).namespace;
    bool elsewhere = ref.namespace.n && !kr_str_eq(ref.namespace, own);

    e->type = kr_fmt(a, KR_FMT "%s" KR_FMT, KR_ARG(ref.gvr.resource), ref.gvr.group.n ? "." : "",
                     KR_ARG(ref.gvr.group));
    e->object = kr_fmt(a, KR_FMT "%s" KR_FMT, KR_ARG(elsewhere ? ref.namespace : KR_S("")),
                       elsewhere ? "/" : "", KR_ARG(ref.name));
}

static void add(struct reactor_inst *inst, struct reactor_why_entry *e)
{
    struct reactor *r = inst->served->r;

    e->at_ms = r->clock->ops->wall_ms(r->clock);
    reactor_why_add(&r->whys, &inst->why, e);
}

/* --- changes ---------------------------------------------------------------------------------- */

static kr_str path_text(struct kr_arena *a, const struct graph_read *read)
{
    kr_str text = KR_S("");

    for (uint32_t i = 0; i < read->n; i++) {
        kr_str name = read->names[i];

        if (name.n == 0 || kr_str_chr(name, '.') >= 0)
            text = kr_fmt(a, KR_FMT "[\"" KR_FMT "\"]", KR_ARG(text), KR_ARG(name));
        else
            text = kr_fmt(a, KR_FMT "%s" KR_FMT, KR_ARG(text), i ? "." : "", KR_ARG(name));
    }
    return text;
}

static void add_value(struct reactor_inst *inst, struct kr_arena *a, struct reactor_why_entry *e,
                      const struct kube_change *c, const struct graph_read *read)
{
    struct reactor_whys *w = &inst->served->r->whys;
    const struct kr_rec *rec = c->now ? c->now : c->old;
    bool secret = reactor_why_is_secret(kr_rec_gvr(rec), read->names, read->n);
    kr_val from = c->old ? kr_at_path(kr_rec_root(c->old), read->names, read->n) : KR_V_NONE;
    kr_val to = c->now ? kr_at_path(kr_rec_root(c->now), read->names, read->n) : KR_V_NONE;

    e->what = REACTOR_WHY_VALUE;
    e->path = path_text(a, read);
    e->from = reactor_why_value(w, a, from, secret);
    e->to = reactor_why_value(w, a, to, secret);
    add(inst, e);
}

static void add_event(struct reactor_inst *inst, struct reactor_why_entry *e,
                      enum reactor_why_what what)
{
    e->what = what;
    e->path = e->from = e->to = KR_S("");
    add(inst, e);
}

/* Of the instance itself only what expressions read and its deletion: the rest is the machine's. */
static uint32_t reads_of(const struct reactor_use *u, const struct graph_read **reads)
{
    uint32_t needs_n;

    if (u->node == REACTOR_PARENT) {
        (void)graph_parent_needs(&needs_n);
        *reads = u->rev->parent_reads;
        return u->rev->parent_reads_n - needs_n;
    }
    *reads = u->rev->nodes[u->node].reads;
    return u->rev->nodes[u->node].reads_n;
}

static void add_values(struct reactor_inst *inst, struct kr_arena *a, struct reactor_why_entry *e,
                       const struct reactor_use *u, const struct kube_change *c,
                       const struct kr_bits *bits)
{
    const struct graph_read *reads;
    uint32_t n = reads_of(u, &reads), told = 0;

    for (uint32_t i = 0; i < n && told < VALUES_MAX; i++) {
        if (kr_bits_has(bits, GRAPH_BITS_FIXED + i)) {
            add_value(inst, a, e, c, &reads[i]);
            told++;
        }
    }
}

/* Does the change stem from a write of ours? The watch may be faster than the answer. */
static bool is_own(const struct reactor_inst *inst, const struct kube_change *c, struct kr_arena *a)
{
    const struct kr_rec *rec = c->now ? c->now : c->old;

    return c->own || kr_map_get(&inst->served->r->flying, kr_ref_key(a, kr_rec_ref(rec))) != NULL;
}

void reactor__why_change(struct reactor_inst *inst, const struct reactor_use *u,
                         const struct kube_change *c, const struct kr_bits *bits)
{
    const struct kr_rec *rec = c->now ? c->now : c->old;
    struct reactor_why_entry e = {.kind = REACTOR_WHY_CHANGE};
    bool parent = u->node == REACTOR_PARENT, own;
    struct kr_arena a = {0};

    if (!u->rev || graph_inst_counts(inst->core)->steps == 0)
        return;
    own = is_own(inst, c, &a);
    e.node = parent ? KR_S("schema") : u->rev->nodes[u->node].id;
    if (!parent)
        name_object(&e, &a, inst, kr_rec_ref(rec));
    if (parent && c->old && c->now && !c->old->terminating && c->now->terminating) {
        e.path = KR_S("metadata.deletionTimestamp");
        e.to = KR_S("set");
        add(inst, &e);
    } else if (!own && (!c->old || !c->now)) {
        add_event(inst, &e, c->now ? REACTOR_WHY_APPEARED : REACTOR_WHY_GONE);
    } else if (!own && !parent && kr_bits_has(&c->bits, KUBE_BIT_OWNED)) {
        add_event(inst, &e, REACTOR_WHY_FIELDS);
    } else if (!own && !parent && kr_bits_has(&c->bits, KUBE_BIT_IDENTITY)) {
        add_event(inst, &e, REACTOR_WHY_LABELS);
    }
    if (bits)
        add_values(inst, &a, &e, u, c, bits);
    kr_arena_fini(&a);
}

/* --- requests --------------------------------------------------------------------------------- */

static void name_differing_conditions(struct kr_buf *b, kr_val old, kr_val now)
{
    KR_LIST_EACH (c, now) {
        bool same = false;

        KR_LIST_EACH (o, old) {
            same = same || kr_equal(*o, *c);
        }
        if (!same)
            kr_buf_fmt(b, "%s" KR_FMT, b->n ? ", " : "", KR_ARG(kr_text(kr_get(*c, KR_S("type")))));
    }
}

/* What differs in a status: conditions by their type, other members by name. *member: the first that
 * an expression makes. */
static kr_str status_reason(struct kr_arena *a, kr_val old, kr_val now, kr_str *member)
{
    KR_AUTO(kr_buf) b = KR_BUF(REACTOR_WHY_TEXT_MAX);

    KR_MAP_EACH (it, now) {
        kr_str name = kr_text(it->key);
        kr_val was = kr_get(old, name);

        if (kr_str_is(name, "conditions")) {
            name_differing_conditions(&b, was, it->val);
        } else if (!kr_equal(was, it->val)) {
            kr_buf_fmt(&b, "%s" KR_FMT, b.n ? ", " : "", KR_ARG(name));
            if (!kr_str_is(name, "state") && !member->n)
                *member = kr_fmt(a, "status." KR_FMT, KR_ARG(name));
        }
    }
    KR_MAP_EACH (it, old) {
        if (kr_get(now, kr_text(it->key)).kind == KR_NONE)
            kr_buf_fmt(&b, "%s" KR_FMT " (goes)", b.n ? ", " : "", KR_ARG(kr_text(it->key)));
    }
    return kr_fmt(a, KR_FMT "%s", KR_ARG(kr_buf_view(&b)), b.n ? " in the status differ" : "");
}

static kr_str reason_of(struct kr_arena *a, const struct reactor_inst *inst,
                        const struct graph_action *act, const struct kr_rec *rec, kr_str *path)
{
    switch (act->kind) {
    case GRAPH_A_STATUS:
        return status_reason(a, rec ? kr_at(kr_rec_root(rec), "status") : KR_V_NONE,
                             kr_at(act->body, "status"), path);
    case GRAPH_A_APPLY_PARENT:
        return kr_fmt(a, "finalizer, labels and inventory, as %s", act->manager);
    case GRAPH_A_FINALIZER:
        return KR_S("nothing of it is left");
    case GRAPH_A_DELETE:
        if (kr_str_is(kr_str_c(graph_inst_state(inst->core)), "DELETING"))
            return KR_S("the instance is being deleted");
        return KR_S("no node wishes for it any more");
    case GRAPH_A_APPLY:
        return rec && !act->why.n ? KR_S("what should be there differs from what is") : KR_S("");
    default:
        return KR_S("");
    }
}

static kr_str node_of(const struct reactor_inst *inst, const struct graph_action *act,
                      const struct kr_rec *rec)
{
    const struct graph_rev *rev = inst->served->rev;

    if (act->kind == GRAPH_A_APPLY && rev && act->node < rev->nodes_n)
        return rev->nodes[act->node].id;
    if (act->kind == GRAPH_A_DELETE && rec)
        return kr_rec_node_id(rec);
    return KR_S("");
}

uint32_t reactor__why_request(struct reactor_inst *inst, const struct graph_action *act,
                              const struct kr_rec *rec)
{
    struct reactor *r = inst->served->r;
    struct reactor_why_entry e = {.kind = REACTOR_WHY_REQUEST};
    struct kr_arena a = {0};
    uint32_t seq;

    e.at_ms = r->clock->ops->wall_ms(r->clock);
    e.node = node_of(inst, act, rec);
    name_object(&e, &a, inst, act->ref);
    e.verb = kr_str_c(graph_action_word(act->kind));
    e.path = act->why;
    e.to = reason_of(&a, inst, act, rec, &e.path);
    e.absent = act->kind == GRAPH_A_APPLY && !rec;
    e.revision = inst->served->rev ? (int32_t)inst->served->rev->number : 0;
    seq = reactor_why_add(&r->whys, &inst->why, &e);
    kr_arena_fini(&a);
    return seq;
}

void reactor__why_answer(const struct reactor_op *op, const struct graph_result *res)
{
    struct reactor_inst *inst = op->inst;
    struct reactor_why_entry e = {.seq = op->why_seq};

    if (!inst || !inst->why || !op->why_seq)
        return;
    e.at_ms = op->r->clock->ops->wall_ms(op->r->clock);
    e.code = op->sent ? (uint16_t)op->req.status : 0;
    e.took_ms = op->sent ? (uint32_t)(op->req.done_ms - op->req.started_ms) : 0;
    e.version = res->rec ? res->rec->version_u : 0;
    if (res->outcome != GRAPH_O_OK)
        e.text = res->message;
    reactor_why_answer(&op->r->whys, inst->why, &e);
}

/* --- the page --------------------------------------------------------------------------------- */

static bool same_word(kr_str a, kr_str b)
{
    return a.n == b.n && strncasecmp(a.s ? a.s : "", b.s ? b.s : "", a.n) == 0;
}

static bool is_kind(const struct reactor_inst *inst, kr_str kind)
{
    const struct reactor_served *s = inst->served;

    return kind.n == 0 || same_word(kind, s->gvk.kind) || same_word(kind, s->gvr.resource) ||
           (s->rev && kr_str_eq(kind, s->rev->rgd_name));
}

static bool is_asked_for(const struct reactor_inst *inst, const struct reactor_why_query *q)
{
    kr_ref ref = graph_inst_ref(inst->core);

    return kr_str_eq(ref.name, q->name) && is_kind(inst, q->kind) &&
           (q->namespace.n == 0 || ref.namespace.n == 0 || kr_str_eq(ref.namespace, q->namespace));
}

static void name_it(const struct reactor_inst *inst, struct kr_buf *out)
{
    kr_ref ref = graph_inst_ref(inst->core);

    kr_buf_fmt(out, "  " KR_FMT "/" KR_FMT, KR_ARG(inst->served->gvk.kind), KR_ARG(ref.name));
    if (ref.namespace.n)
        kr_buf_fmt(out, " -n " KR_FMT, KR_ARG(ref.namespace));
    kr_buf_chr(out, '\n');
}

/* The instances asked for are named in out, the last of them is returned. */
static struct reactor_inst *find(const struct reactor *r, const struct reactor_why_query *q,
                                 uint32_t *n, struct kr_buf *out)
{
    struct reactor_inst *found = NULL;

    *n = 0;
    kr_map_each (e, &r->insts) {
        struct reactor_inst *inst = e->val;

        if (!is_asked_for(inst, q))
            continue;
        found = inst;
        (*n)++;
        name_it(inst, out);
    }
    return found;
}

static bool has_node(const struct graph_rev *rev, kr_str node)
{
    return node.n == 0 || !rev || kr_str_is(node, "schema") || graph_rev_rank(rev, node) >= 0;
}

static unsigned no_node(const struct graph_rev *rev, kr_str node, struct kr_buf *out)
{
    kr_buf_fmt(out, "no node \"" KR_FMT "\" in " KR_FMT "; there are: schema", KR_ARG(node),
               KR_ARG(rev->rgd_name));
    for (uint32_t i = 0; i < rev->nodes_n; i++)
        kr_buf_fmt(out, " " KR_FMT, KR_ARG(rev->nodes[i].id));
    kr_buf_chr(out, '\n');
    return 404;
}

unsigned reactor_why(const struct reactor *r, const struct reactor_why_query *q, struct kr_buf *out)
{
    KR_AUTO(kr_buf) names = KR_BUF(REACTOR_WHY_PAGE_MAX / 2);
    KR_AUTO(kr_arena) a = {0};
    struct reactor_why_page page;
    uint32_t n;
    struct reactor_inst *inst = find(r, q, &n, &names);

    if (n != 1) {
        kr_buf_fmt(out, n ? "%u instances have this name:\n" : "no such instance is known here\n",
                   n);
        kr_buf_str(out, kr_buf_view(&names));
        return n ? 409 : 404;
    }
    page = (struct reactor_why_page){.ref = graph_inst_ref(inst->core),
                                     .gvk = inst->served->gvk,
                                     .state = kr_str_c(graph_inst_state(inst->core)),
                                     .rev = inst->served->rev,
                                     .log = inst->why,
                                     .node = q->node};
    if (page.rev)
        page.waits = graph_inst_waits(inst->core, &a);
    if (!has_node(page.rev, q->node))
        return no_node(page.rev, q->node, out);
    (q->json ? reactor_why_json : reactor_why_text)(&page, out);
    return 200;
}
