/* SPDX-License-Identifier: Apache-2.0 */
/* collection.c - forEach: which items there are, and which of them must be evaluated again.
 *
 *   lists of the dimensions -> combinations (the last dimension varies fastest) -> wishes -> items
 *
 * What a template reads is known: paths of other nodes, shared by all items, and paths of the
 * iterators. The digest of the values there, with the item's place, is the item's key. An item whose
 * key is as it was, and whose object is in sync or on its way, is kept as it is; only the others are
 * evaluated. So a change of one element of a list of 1,000 costs 1,000 digests, one evaluation and
 * one apply, and drift of one item the same. It also costs nothing to be wrong in the other
 * direction: a key that cannot be trusted (a value without a digest) is 0, and never equal.
 *
 * The node is all or nothing, as kro has it: as long as one item cannot be evaluated, the items stay
 * as they were. Their order is that of the combinations, whatever is there already: an object that
 * another item wished for passes, with all that is known of it, to the one that wishes for it now.
 *
 * Source: kro:pkg/runtime/collection.go, node_resolve.go; reference instance-runtime 2.8.
 */
#include "graph/inst.h"

#include "cel/base/banned.h"

enum { PLAIN_DEPTH_MAX = 64 }; /* deeper values have no key */

/* What an item is to be. */
struct wish {
    uint64_t key;
    bool kept;       /* as it was, at its place */
    uint64_t digest; /* of ref */
    kr_val desired;
    kr_ref ref;
    bool given; /* the template gives the namespace */
};

struct expansion {
    struct inst_step *s;
    uint32_t rank, n;
    kr_val *lists;          /* by dimension */
    uint64_t shared;        /* digest of what all items read; 0: none */
    struct cel_read *reads; /* of iterators, no path twice */
    uint32_t reads_n;
    kr_val *values; /* by site; NULL: what is shared was not evaluated */
    struct wish *wishes;
    enum inst_hold hold; /* of the node */
};

static const struct graph_node *node_of(const struct expansion *x)
{
    return &x->s->inst->rev->nodes[x->rank];
}

static struct inst_node *state_of(const struct expansion *x)
{
    return &x->s->inst->nodes[x->rank];
}

/* --- keys ------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t a, uint64_t b)
{
    const kr_val part[] = {kr_int((int64_t)a), kr_int((int64_t)b)};

    return kr_digest(kr_list(part, 2));
}

/* Does the digest tell the value? Not that of an object of an extension library. */
static bool is_plain(kr_val v, uint32_t levels)
{
    if (v.kind == KR_OPAQUE || levels == 0)
        return false;
    if (v.kind == KR_OPTIONAL)
        return !v.ref || is_plain(*v.ref, levels - 1);
    for (uint32_t i = 0; v.kind == KR_LIST && i < v.n; i++) {
        if (!is_plain(v.list[i], levels - 1))
            return false;
    }
    KR_MAP_EACH (p, v) {
        if (!is_plain(p->val, levels - 1))
            return false;
    }
    return true;
}

/* Where the path ends counts too: has(a.b) of an object without `a` is an error, of one with an empty
 * `a` false. 0: there is none. */
static uint64_t read_digest(const struct expansion *x, const struct cel_read *read, uint64_t h)
{
    kr_val v = x->s->slots[read->slot];
    uint32_t i = 0;

    while (i < read->names_n && v.kind == KR_MAP)
        v = kr_get(v, read->names[i++]);
    if (!is_plain(v, PLAIN_DEPTH_MAX))
        return 0;
    h = mix(mix(h, i), kr_digest(v));
    return h ? h : 1;
}

static bool same_read(const struct cel_read *x, const struct cel_read *y)
{
    if (x->slot != y->slot || x->names_n != y->names_n)
        return false;
    for (uint32_t i = 0; i < x->names_n; i++) {
        if (!kr_str_eq(x->names[i], y->names[i]))
            return false;
    }
    return true;
}

static void add_read(struct expansion *x, const struct cel_read *read)
{
    for (uint32_t i = 0; i < x->reads_n; i++) {
        if (same_read(&x->reads[i], read))
            return;
    }
    x->reads[x->reads_n++] = *read;
}

/* Takes up what the template reads: of iterators as paths, of all else as one digest, with what the
 * decoration is made of. */
static void read_inputs(struct expansion *x)
{
    const struct graph_node_spec *spec = node_of(x)->spec;
    uint32_t n, all = 0;

    for (uint32_t i = 0; i < spec->sites_n; i++) {
        cel_prog_reads(spec->sites[i].prog, &n);
        all += n;
    }
    x->reads = kr_new_n(x->s->a, struct cel_read, all);
    x->shared = mix(inst__str_digest(kr_rec_uid(x->s->inst->parent)), x->n);
    for (uint32_t i = 0; i < spec->sites_n; i++) {
        const struct cel_read *reads = cel_prog_reads(spec->sites[i].prog, &n);

        for (uint32_t k = 0; k < n; k++) {
            if (reads[k].slot > x->s->inst->nodes_n)
                add_read(x, &reads[k]);
            else if (x->shared)
                x->shared = read_digest(x, &reads[k], x->shared);
        }
    }
}

/* Puts combination `at` into the slots. */
static void bind(struct expansion *x, uint32_t at)
{
    const struct graph_node_spec *spec = node_of(x)->spec;

    for (uint32_t d = spec->dims_n; d-- > 0; at /= x->lists[d].n)
        x->s->slots[spec->dims[d].slot] = x->lists[d].list[at % x->lists[d].n];
}

static uint64_t key_of(struct expansion *x, uint32_t at)
{
    uint64_t h = x->shared ? mix(x->shared, at) : 0;

    for (uint32_t i = 0; i < x->reads_n && h; i++)
        h = read_digest(x, &x->reads[i], h);
    return h;
}

/* --- wishes ----------------------------------------------------------------------------------- */

/* Same words as kro: pkg/runtime/collection.go. */
static int count(struct expansion *x, struct kr_err *err)
{
    uint32_t max = x->s->env->collection_max ? x->s->env->collection_max : GRAPH_COLLECTION_MAX;
    uint64_t n = 1;

    x->n = 0;
    for (uint32_t d = 0; d < node_of(x)->spec->dims_n; d++) {
        if (x->lists[d].n == 0)
            return 0; /* whatever the others are */
    }
    for (uint32_t d = 0; d < node_of(x)->spec->dims_n; d++) {
        n *= x->lists[d].n;
        if (n > max)
            return kr_fail(err, KR_E_LIMIT,
                           "collection size of %llu is over the maximum collection size of %u",
                           (unsigned long long)n, max);
    }
    x->n = (uint32_t)n;
    return 0;
}

/* Nothing is to be done for the item at its place, and nothing was found wrong with it. */
static bool is_kept(const struct expansion *x, uint32_t at, uint64_t key)
{
    const struct inst_node *node = state_of(x);
    const struct inst_item *item = &node->items[at];

    if (at >= node->items_n || !key || node->keys[at] != key || !item->ref)
        return false;
    if (item->token && !item->deleting && item->sent == item->desired)
        return true; /* on its way */
    return !item->error && inst__item_is_ok(item);
}

static int evaluate(struct expansion *x, struct wish *w, struct kr_err *err)
{
    int rc = 0;

    if (!x->values) {
        x->values = kr_new_n(x->s->a, kr_val, node_of(x)->spec->sites_n);
        rc = inst__eval_shared(x->s, x->rank, x->values, err);
    }
    if (rc == 0)
        rc = inst__eval_item(x->s, x->rank, x->values, &w->desired, err);
    if (rc != 0)
        return rc;
    w->given = kr_at_str(w->desired, "metadata.namespace").n > 0;
    KR_TRY(inst__place(x->s, x->rank, &w->desired, &w->ref, err));
    w->digest = inst__ref_digest(w->ref);
    return 0;
}

static int make_wishes(struct expansion *x, struct kr_err *err)
{
    x->wishes = kr_new_n(x->s->a, struct wish, x->n);
    for (uint32_t i = 0; i < x->n; i++) {
        struct wish *w = &x->wishes[i];
        int rc = 0;

        bind(x, i);
        w->key = key_of(x, i);
        w->kept = is_kept(x, i, w->key);
        if (w->kept)
            w->digest = state_of(x)->items[i].ref;
        else
            rc = evaluate(x, w, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* --- references ------------------------------------------------------------------------------- */

/* From the digest of a reference to a number below n; open addressing. */
struct index {
    uint32_t *at; /* number + 1 */
    uint32_t mask;
};

static void index_init(struct index *ix, struct kr_arena *a, uint32_t n)
{
    uint32_t size = 16;

    while (size < 2 * n)
        size *= 2;
    ix->at = kr_new_n(a, uint32_t, size);
    ix->mask = size - 1;
}

/* The place of an entry that is `same`, or of the free one where it would stand. */
static uint32_t *index_find(const struct index *ix, uint64_t digest, const void *base,
                            size_t stride)
{
    uint32_t i = (uint32_t)digest & ix->mask;

    while (ix->at[i]) {
        uint64_t there;

        memcpy(&there, (const char *)base + stride * (ix->at[i] - 1), sizeof(there));
        if (there == digest)
            break;
        i = (i + 1) & ix->mask;
    }
    return &ix->at[i];
}

/* Same words as kro: pkg/runtime/collection.go, applyset. */
static int collision(struct expansion *x, uint32_t first, uint32_t second, struct kr_err *err)
{
    const struct wish *w = x->wishes[second].kept ? &x->wishes[first] : &x->wishes[second];
    const struct graph_node *node = node_of(x);
    kr_gvk gvk = node->gvk;

    if (!x->wishes[first].kept && !x->wishes[second].kept &&
        x->wishes[first].given != x->wishes[second].given)
        return kr_fail(err, KR_E_INPUT,
                       "found resources with conflicts: resourceID: " KR_FMT
                       " conflicts with resourceID: " KR_FMT,
                       KR_ARG(inst__item_id(x->s, x->rank, second)),
                       KR_ARG(inst__item_id(x->s, x->rank, first)));
    return kr_fail(err, KR_E_INPUT,
                   "node \"" KR_FMT "\" identity collision: duplicate identity: " KR_FMT "/" KR_FMT
                   "/" KR_FMT "/" KR_FMT "/" KR_FMT,
                   KR_ARG(node->id), KR_ARG(gvk.group), KR_ARG(gvk.version), KR_ARG(gvk.kind),
                   KR_ARG(w->given ? w->ref.namespace : KR_S("")), KR_ARG(w->ref.name));
}

/* No reference twice, here or in another node. */
static int check_references(struct expansion *x, struct kr_err *err)
{
    struct index ix;

    index_init(&ix, x->s->a, x->n);
    for (uint32_t i = 0; i < x->n; i++) {
        uint32_t *at =
            index_find(&ix, x->wishes[i].digest, &x->wishes[0].digest, sizeof(x->wishes[0]));

        if (*at)
            return collision(x, *at - 1, i, err);
        *at = i + 1;
    }
    for (uint32_t i = 0; i < x->n; i++) {
        if (!x->wishes[i].kept)
            KR_TRY(inst__claim_check(x->s, x->rank, i, x->wishes[i].digest, err));
    }
    return 0;
}

/* --- items ------------------------------------------------------------------------------------ */

/* Is every item where it was, wishing for the object that it had? */
static bool in_place(const struct expansion *x)
{
    const struct inst_node *node = state_of(x);

    if (node->items_n != x->n)
        return false;
    for (uint32_t i = 0; i < x->n; i++) {
        if (node->items[i].ref != x->wishes[i].digest)
            return false;
    }
    return true;
}

static struct inst_item *items_new(struct inst_node *node, uint32_t n)
{
    node->items_n = n;
    node->items = NULL;
    node->keys = NULL;
    if (n) {
        node->items = kr_alloc((sizeof(node->items[0]) + sizeof(node->keys[0])) * n);
        node->keys = (uint64_t *)(void *)(node->items + n);
    }
    return node->items;
}

/* The items in the order of the wishes; what nobody wishes for any more goes. */
static void rearrange(struct expansion *x)
{
    struct graph_inst *inst = x->s->inst;
    struct inst_node *node = state_of(x);
    struct inst_item *old = node->items, *now;
    uint32_t old_n = node->items_n;
    bool *taken = kr_new_n(x->s->a, bool, old_n);
    struct index ix;

    index_init(&ix, x->s->a, old_n);
    for (uint32_t i = 0; i < old_n; i++) {
        if (old[i].ref)
            *index_find(&ix, old[i].ref, &old[0].ref, sizeof(old[0])) = i + 1;
    }
    now = items_new(node, x->n);
    for (uint32_t i = 0; i < x->n && old_n; i++) {
        uint32_t from = *index_find(&ix, x->wishes[i].digest, &old[0].ref, sizeof(old[0]));

        if (from == 0)
            continue;
        now[i] = old[from - 1];
        taken[from - 1] = true;
    }
    for (uint32_t i = 0; i < old_n; i++) {
        if (!taken[i])
            inst__item_drop(inst, x->rank, &old[i]);
    }
    kr_free(old);
    inst->manage_dirty = inst->status_dirty = true;
    inst__dirty(inst, GRAPH_TASK_READY(x->rank)); /* it counts them */
}

void inst__collection_clear(struct graph_inst *inst, uint32_t rank)
{
    struct inst_node *node = &inst->nodes[rank];

    if (inst->rev->nodes[rank].kind != GRAPH_COLLECTION)
        return;
    for (uint32_t i = 0; i < node->items_n; i++)
        inst__item_drop(inst, rank, &node->items[i]);
    kr_free(node->items);
    items_new(node, 0);
}

/* What readers see, as far as its order and size go. */
static uint64_t view(const struct inst_node *node)
{
    uint64_t h = 1;

    for (uint32_t i = 0; i < node->items_n; i++) {
        if (node->items[i].seen)
            h = mix(h, node->items[i].ref);
    }
    return h;
}

static void fulfil(struct expansion *x, bool *changed)
{
    struct inst_node *node = state_of(x);
    uint64_t before = view(node);

    if (!in_place(x))
        rearrange(x);
    for (uint32_t i = 0; i < x->n; i++) {
        if (!x->wishes[i].kept)
            inst__claim(x->s, x->rank, &node->items[i], x->wishes[i].ref);
        node->keys[i] = x->wishes[i].key;
    }
    *changed = view(node) != before;
    x->hold = inst__hold_node(x->s, x->rank);
    for (uint32_t i = 0; i < x->n; i++) {
        if (!x->wishes[i].kept)
            inst__compare(x->s, x->rank, i, x->wishes[i].desired, x->wishes[i].ref, x->hold);
    }
}

/* --- the node --------------------------------------------------------------------------------- */

static int expand(struct expansion *x, struct kr_err *err)
{
    int rc = inst__eval_dims(x->s, x->rank, x->lists, err);

    if (rc == 0)
        rc = count(x, err);
    if (rc != 0)
        return rc;
    read_inputs(x);
    if (x->n == 0) { /* what is shared is evaluated all the same, as kro does */
        x->values = kr_new_n(x->s->a, kr_val, node_of(x)->spec->sites_n);
        return inst__eval_shared(x->s, x->rank, x->values, err);
    }
    return make_wishes(x, err);
}

int inst__expand(struct inst_step *s, uint32_t rank, bool *changed, struct kr_err *err)
{
    struct expansion x = {.s = s, .rank = rank};
    kr_str text;
    int rc;

    x.lists = kr_new_n(s->a, kr_val, node_of(&x)->spec->dims_n);
    rc = expand(&x, err);
    if (rc != 0) {
        kr_wrap(err, "node \"" KR_FMT "\"", KR_ARG(node_of(&x)->id));
        text = kr_strdup(s->a, kr_err_str(err));
        if (rc == INST_EVAL_PENDING)
            kr_fail(err, KR_E_EVAL, KR_FMT " (data pending)", KR_ARG(text));
        return rc;
    }
    KR_TRY(check_references(&x, err));
    fulfil(&x, changed);
    return 0;
}

/* --- readiness -------------------------------------------------------------------------------- */

static enum inst_ready ready_of(int rc)
{
    if (rc == 0)
        return INST_READY;
    return rc < 0 ? INST_BROKEN : INST_WAITING;
}

/* Those that were found ready stay so until something that readyWhen reads of them changes. */
static int check_items(struct inst_step *s, uint32_t rank, struct kr_err *err)
{
    struct inst_node *node = &s->inst->nodes[rank];

    for (uint32_t i = 0; i < node->items_n; i++) {
        struct inst_item *item = &node->items[i];
        int rc = 0;

        if (item->checked == INST_CHECKED_YES)
            continue;
        rc = inst__eval_ready_each(s, rank, kr_rec_root(item->seen), i, err);
        item->checked = rc == 0 ? INST_CHECKED_YES : INST_CHECKED_NO;
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* kro cannot evaluate such a readyWhen: its compiler admits the node's id only, and its runtime binds
 * `each`. Here both mean what they say. */
static int check_found(struct inst_step *s, uint32_t rank, struct kr_err *err)
{
    const struct inst_found *found = &s->inst->nodes[rank].found;
    int rc = inst__eval_ready_list(s, rank, err);

    for (uint32_t i = 0; i < found->n && rc == 0; i++)
        rc = inst__eval_ready_each(s, rank, kr_rec_root(found->recs[i]), i, err);
    return rc;
}

/* Same words as kro: pkg/runtime/node_readiness.go. */
enum inst_ready inst__many_ready(struct inst_step *s, uint32_t rank, struct kr_err *err)
{
    const struct graph_node *node = &s->inst->rev->nodes[rank];
    const struct inst_node *state = &s->inst->nodes[rank];
    uint32_t seen = 0;

    if (node->kind == GRAPH_EXTERNAL_COLLECTION)
        return node->spec->ready_n ? ready_of(check_found(s, rank, err)) : INST_READY;
    for (uint32_t i = 0; i < state->items_n; i++)
        seen += state->items[i].seen != NULL;
    if (seen < state->items_n) {
        kr_fail(err, KR_E_EVAL,
                "node \"" KR_FMT
                "\": collection not ready: observed %u but desired %u (waiting for readiness)",
                KR_ARG(node->id), seen, state->items_n);
        return INST_WAITING;
    }
    return node->spec->ready_n ? ready_of(check_items(s, rank, err)) : INST_READY;
}
