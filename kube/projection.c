/* SPDX-License-Identifier: Apache-2.0 */
/* projection.c - the trie of read paths of one type, and records built through it.
 *
 *   root --- apiVersion +        + always kept
 *        --- metadata --- name + * a leaf: kept whole, digest at its number
 *        |            --- labels --- app *2
 *        --- status *0 --- phase *1
 *
 * A record is built by one walk down the trie and the object together: what no node names is never
 * looked at. Below a leaf the walk goes on for the digests of the leaves there, but copies nothing
 * more. Nodes whose last leaf was dropped stay (their number is taken) and keep nothing.
 */
#include "kube/projection.h"

#include "cel/base/banned.h"

#define LABEL_PART_OF KR_S("applyset.kubernetes.io/part-of")
#define LABEL_INSTANCE_ID KR_S("kro.run/instance-id")
#define LABEL_NODE_ID KR_S("kro.run/node-id")
#define LABEL_ITEM KR_S("kro.run/collection-index")
#define ANNOTATION_ORDER KR_S("internal.kro.run/apply-order")

enum { NO_LEAF = UINT32_MAX, PATH_NAMES_MAX = 64 };

_Static_assert(KUBE_PROJECTION_LEAVES_MAX <= UINT16_MAX, "kr_rec.leaves_n counts them");

struct node {
    kr_str name;            /* lives in the projection's arena */
    uint32_t leaf;          /* number, or NO_LEAF */
    uint32_t refs;          /* holders of the leaf */
    bool always;            /* kept whole in every record */
    uint32_t wanted_n;      /* held leaves and always-nodes here and below: 0 keeps nothing */
    struct node **children; /* by name */
    uint32_t children_n, children_cap;
    struct node *parent;
};

struct leaf {
    struct node *node;
    kr_str *names;
    uint32_t names_n;
};

struct kube_projection {
    struct kr_arena a; /* nodes, names and leaves */
    struct node root;
    bool plain;
    struct leaf *leaves;
    uint32_t leaves_n, leaves_cap;
};

/* --- the trie --------------------------------------------------------------------------------- */

/* The place of name among the children of n: *at; true when it is there. */
static bool child_at(const struct node *n, kr_str name, uint32_t *at)
{
    uint32_t low = 0, high = n->children_n;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        int c = kr_str_cmp(n->children[mid]->name, name);

        if (c == 0) {
            *at = mid;
            return true;
        }
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *at = low;
    return false;
}

static struct node *child_make(struct kube_projection *p, struct node *n, kr_str name)
{
    uint32_t at;
    struct node *c;

    if (child_at(n, name, &at))
        return n->children[at];
    if (n->children_n == n->children_cap) {
        n->children_cap = n->children_cap ? n->children_cap * 2 : 4;
        n->children = kr_realloc(n->children, sizeof(*n->children) * n->children_cap);
    }
    c = kr_new(&p->a, struct node);
    c->name = kr_strdup(&p->a, name);
    c->leaf = NO_LEAF;
    c->parent = n;
    memmove(n->children + at + 1, n->children + at, sizeof(*n->children) * (n->children_n - at));
    n->children[at] = c;
    n->children_n++;
    return c;
}

static struct node *path_make(struct kube_projection *p, const kr_str *names, uint32_t n)
{
    struct node *node = &p->root;

    for (uint32_t i = 0; i < n; i++)
        node = child_make(p, node, names[i]);
    return node;
}

static struct node *path_find(struct kube_projection *p, const kr_str *names, uint32_t n)
{
    struct node *node = &p->root;
    uint32_t at;

    for (uint32_t i = 0; i < n; i++) {
        if (!child_at(node, names[i], &at))
            return NULL;
        node = node->children[at];
    }
    return node;
}

static void want(struct node *n, int change)
{
    for (; n; n = n->parent)
        n->wanted_n += (uint32_t)change;
}

struct kube_projection *kube_projection_new(void)
{
    static const char *const always[][2] = {{"apiVersion"}, {"kind"}};
    struct kube_projection *p = KR_ALLOC(struct kube_projection);

    p->root.leaf = NO_LEAF;
    for (size_t i = 0; i < KR_N(always); i++) {
        kr_str names[2] = {kr_str_c(always[i][0]), kr_str_c(always[i][1])};
        struct node *n = path_make(p, names, always[i][1] ? 2 : 1);

        n->always = true;
        want(n, 1);
    }
    return p;
}

static void children_free(struct node *n)
{
    for (uint32_t i = 0; i < n->children_n; i++)
        children_free(n->children[i]);
    kr_free(n->children);
}

void kube_projection_free(struct kube_projection *p)
{
    if (!p)
        return;
    children_free(&p->root);
    kr_free(p->leaves);
    kr_arena_fini(&p->a);
    kr_free(p);
}

static void leaf_make(struct kube_projection *p, struct node *node, const kr_str *names, uint32_t n)
{
    struct leaf l = {.node = node, .names = kr_new_n(&p->a, kr_str, n), .names_n = n};

    for (uint32_t i = 0; i < n; i++)
        l.names[i] = kr_strdup(&p->a, names[i]);
    if (p->leaves_n == p->leaves_cap) {
        p->leaves_cap = p->leaves_cap ? p->leaves_cap * 2 : 8;
        p->leaves = kr_realloc(p->leaves, sizeof(*p->leaves) * p->leaves_cap);
    }
    node->leaf = p->leaves_n;
    p->leaves[p->leaves_n++] = l;
}

int kube_projection_add(struct kube_projection *p, const kr_str *names, uint32_t n, uint32_t *leaf,
                        struct kr_err *err)
{
    bool full = p->leaves_n == KUBE_PROJECTION_LEAVES_MAX;
    struct node *node;

    if (n > PATH_NAMES_MAX)
        return kr_fail(err, KR_E_LIMIT, "a path has more than %d names", PATH_NAMES_MAX);
    node = path_find(p, names, n);
    if (!node || node->leaf == NO_LEAF) {
        if (full)
            return kr_fail(err, KR_E_LIMIT, "more than %d different fields of one type are read",
                           KUBE_PROJECTION_LEAVES_MAX);
        node = path_make(p, names, n);
        leaf_make(p, node, names, n);
    }
    *leaf = node->leaf;
    if (node->refs++ > 0)
        return 0;
    want(node, 1);
    return 1;
}

void kube_projection_drop(struct kube_projection *p, uint32_t leaf)
{
    struct node *node;

    KR_ASSERT(leaf < p->leaves_n);
    node = p->leaves[leaf].node;
    KR_ASSERT(node->refs > 0);
    if (--node->refs == 0)
        want(node, -1);
}

void kube_projection_keep_plain(struct kube_projection *p)
{
    p->plain = true;
}

bool kube_projection_names_managed_fields(const struct kube_projection *p)
{
    const kr_str path[] = {KR_S("metadata"), KR_S("managedFields")};
    const struct node *node = path_find((struct kube_projection *)(uintptr_t)p, path, KR_N(path));

    return node && node->wanted_n > 0;
}

uint32_t kube_projection_leaves_n(const struct kube_projection *p)
{
    return p->leaves_n;
}

const kr_str *kube_projection_path(const struct kube_projection *p, uint32_t leaf, uint32_t *n)
{
    KR_ASSERT(leaf < p->leaves_n);
    *n = p->leaves[leaf].names_n;
    return p->leaves[leaf].names;
}

/* --- records ---------------------------------------------------------------------------------- */

struct build {
    struct kr_arena *a;
    uint64_t *leaf; /* digests */
};

/* The object as paths see it: managedFields are there only if one names them. */
static kr_val visible(const struct kube_projection *p, struct kr_arena *a, kr_val object)
{
    if (kr_at(object, "metadata.managedFields").kind == KR_NONE ||
        kube_projection_names_managed_fields(p))
        return object;
    return kr_with(a, object, "metadata.managedFields", KR_V_NONE);
}

/* A path ended before its leaf, at v: the leaf's digest follows v but is never that of a value. */
static uint64_t digest_cut(kr_val v)
{
    uint64_t h = kr_digest(v) * 0x9e3779b97f4a7c15ull + 1;

    return h ? h : 1;
}

/* Digests of the leaves at n and below, whose value is v; cut: v belongs to a node above. */
static void digest_leaves(struct build *b, const struct node *n, kr_val v, bool cut)
{
    if (n->wanted_n == 0 || v.kind == KR_NONE)
        return;
    if (n->refs > 0)
        b->leaf[n->leaf] = cut ? digest_cut(v) : kr_digest(v);
    for (uint32_t i = 0; i < n->children_n; i++) {
        if (v.kind == KR_MAP && !cut)
            digest_leaves(b, n->children[i], kr_get(v, n->children[i]->name), false);
        else
            digest_leaves(b, n->children[i], v, true);
    }
}

/* What the record keeps of v, which stands at n. */
static kr_val keep(struct build *b, const struct node *n, kr_val v)
{
    struct kr_mapb map = KR_MAPB(b->a);

    if (n->refs > 0 || n->always || v.kind != KR_MAP)
        return v;
    for (uint32_t i = 0; i < n->children_n; i++) {
        kr_val child = kr_get(v, n->children[i]->name);

        if (n->children[i]->wanted_n > 0 && child.kind != KR_NONE)
            kr_mapb_put(&map, n->children[i]->name, keep(b, n->children[i], child));
    }
    return kr_mapb_done(&map);
}

/* A label or annotation that is a small number; other when it is missing or malformed. */
static int32_t number_at(kr_val map, kr_str key, int32_t other)
{
    int64_t i;

    if (!kr_str_i64(kr_text(kr_get(map, key)), &i) || i < 0 || i > INT32_MAX)
        return other;
    return (int32_t)i;
}

static void read_identity(struct kr_view *r, kr_val metadata)
{
    kr_val labels = kr_get(metadata, KR_S("labels"));

    r->part_of = kr_text(kr_get(labels, LABEL_PART_OF));
    r->instance_id = kr_text(kr_get(labels, LABEL_INSTANCE_ID));
    r->node_id = kr_text(kr_get(labels, LABEL_NODE_ID));
    r->item = number_at(labels, LABEL_ITEM, -1);
    r->order = number_at(kr_get(metadata, KR_S("annotations")), ANNOTATION_ORDER, 0);
}

static int read_metadata(struct kr_view *r, kr_gvr gvr, kr_val metadata, struct kr_err *err)
{
    kr_val generation = kr_get(metadata, KR_S("generation"));

    r->ref = (kr_ref){gvr, kr_text(kr_get(metadata, KR_S("namespace"))),
                      kr_text(kr_get(metadata, KR_S("name")))};
    r->uid = kr_text(kr_get(metadata, KR_S("uid")));
    r->version = kr_text(kr_get(metadata, KR_S("resourceVersion")));
    if (r->ref.name.n == 0)
        return kr_fail(err, KR_E_INPUT, KR_FMT ": an object without a name", KR_ARG(gvr.resource));
    if (r->version.n == 0)
        return kr_fail(err, KR_E_INPUT, KR_FMT " " KR_FMT "/" KR_FMT ": no resourceVersion",
                       KR_ARG(gvr.resource), KR_ARG(r->ref.namespace), KR_ARG(r->ref.name));
    if (r->ref.name.n > KR_REC_TEXT_MAX || r->ref.namespace.n > KR_REC_TEXT_MAX ||
        r->uid.n > KR_REC_TEXT_MAX || r->version.n > KR_REC_TEXT_MAX)
        return kr_fail(err, KR_E_LIMIT,
                       KR_FMT ": an object with a name, uid or version of more than %d bytes",
                       KR_ARG(gvr.resource), KR_REC_TEXT_MAX);
    if (!kr_str_u64(r->version, &r->version_u))
        r->version_u = 0;
    r->generation = generation.kind == KR_INT ? generation.i : 0;
    r->terminating = kr_text(kr_get(metadata, KR_S("deletionTimestamp"))).n > 0;
    return 0;
}

/* Ownership that cannot be read counts as none: such an object is never provably in sync and costs an
 * apply, but one odd object must not stop the list of its type. */
static void read_owned(struct kr_view *r, kr_val object, kr_str manager,
                       struct kr_fieldset_pool *pool)
{
    kr_val fields = manager.n > 0 ? kr_fieldset_of_manager(object, manager) : KR_V_NONE;
    struct kr_err err = KR_ERR_NONE;

    if (fields.kind == KR_NONE)
        return;
    if (kr_fieldset_observe(pool, fields, object, &r->owned, &r->owned_digest, &err) < 0) {
        r->owned = NULL;
        r->owned_digest = 0;
    }
}

int kube_view(const struct kube_projection *p, kr_gvr gvr, kr_val object, kr_str manager,
              struct kr_fieldset_pool *pool, struct kr_arena *scratch, struct kr_view *out,
              struct kr_err *err)
{
    struct build b = {.a = scratch, .leaf = kr_new_n(scratch, uint64_t, p->leaves_n)};
    struct kr_view view = {.plain = p->plain, .leaves_n = (uint16_t)p->leaves_n, .leaf = b.leaf};

    KR_TRY(read_metadata(&view, gvr, kr_get(object, KR_S("metadata")), err));
    read_identity(&view, kr_get(object, KR_S("metadata")));
    read_owned(&view, object, manager, pool);
    view.root = visible(p, scratch, object);
    digest_leaves(&b, &p->root, view.root, false);
    *out = view;
    return 0;
}

struct kr_rec *kube_freeze(const struct kube_projection *p, const struct kr_view *view,
                           struct kr_arena *scratch)
{
    struct build b = {.a = scratch};
    struct kr_view init = *view;

    init.root = keep(&b, &p->root, view->root);
    return kr_rec_freeze(&init);
}

int kube_project(const struct kube_projection *p, kr_gvr gvr, kr_val object, kr_str manager,
                 struct kr_fieldset_pool *pool, struct kr_arena *scratch, struct kr_rec **out,
                 struct kr_err *err)
{
    struct kr_view view;

    KR_TRY(kube_view(p, gvr, object, manager, pool, scratch, &view, err));
    *out = kube_freeze(p, &view, scratch);
    return 0;
}

/* --- differences ------------------------------------------------------------------------------ */

static bool identity_differs(const struct kr_view *a, const struct kr_view *b)
{
    return !kr_str_eq(a->part_of, b->part_of) || !kr_str_eq(a->instance_id, b->instance_id) ||
           !kr_str_eq(a->node_id, b->node_id) || a->item != b->item || a->order != b->order;
}

static bool diff(const struct kr_view *x, const struct kr_view *y, bool came_or_went,
                 struct kr_arena *a, struct kr_bits *bits)
{
    uint32_t n = x->leaves_n > y->leaves_n ? x->leaves_n : y->leaves_n;

    kr_bits_init(bits, a, KUBE_BITS_FIXED + n);
    if (came_or_went || x->terminating != y->terminating || !kr_str_eq(x->uid, y->uid))
        kr_bits_set(bits, KUBE_BIT_EXISTS);
    if (identity_differs(x, y))
        kr_bits_set(bits, KUBE_BIT_IDENTITY);
    if (x->owned != y->owned || x->owned_digest != y->owned_digest)
        kr_bits_set(bits, KUBE_BIT_OWNED);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t was = i < x->leaves_n ? x->leaf[i] : 0, is = i < y->leaves_n ? y->leaf[i] : 0;

        if (was != is)
            kr_bits_set(bits, KUBE_BITS_FIXED + i);
    }
    return kr_bits_any(bits);
}

bool kube_diff(const struct kr_rec *old, const struct kr_rec *now, struct kr_arena *a,
               struct kr_bits *bits)
{
    struct kr_view x = {.item = -1}, y = {.item = -1};

    if (old)
        kr_rec_view(old, &x);
    if (now)
        kr_rec_view(now, &y);
    return diff(&x, &y, !old != !now, a, bits);
}

bool kube_diff_view(const struct kr_rec *old, const struct kr_view *now, struct kr_arena *a,
                    struct kr_bits *bits)
{
    struct kr_view x;

    kr_rec_view(old, &x);
    return diff(&x, now, false, a, bits);
}
