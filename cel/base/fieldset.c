/* SPDX-License-Identifier: Apache-2.0 */
/* fieldset.c - field sets, and the walk that digests a live or a desired object along one.
 *
 *   tree        the fields of one fieldsV1: an array of nodes, children of a node side by side
 *   kr_fieldset a tree and the bits of those members that the live object lacked
 *
 *   fieldsV1  f:metadata: {f:labels: {f:app: {}}},
 *             f:spec: {f:ports: {k:{"port":80}: {".": {}, f:port: {}}}}
 *
 *   nodes     0 root ---------> 1 metadata   2 spec
 *             1 metadata -----> 3 labels               members (what the set itself holds) are
 *             3 labels -------> 4 app *                marked *; the others only lead to them.
 *             2 spec ---------> 5 ports                A member without children is a leaf or an
 *             5 ports --------> 6 item [80] *          atomic value: it is compared as a whole.
 *             6 item ---------> 7 port *
 *
 * Both walks visit the nodes in the same order and mix one number for each member into the digest:
 * the value's own digest, or ABSENT. So equal digests mean equal values at equal places. Items are
 * visited in the order of the list they stand in, with their node's number mixed in, which makes
 * the order part of the digest.
 *
 * The desired walk has more to prove: no field outside the set, none missing. It answers false as
 * soon as it cannot.
 */
#include "cel/base/fieldset.h"

#include "cel/base/bits.h"
#include "cel/base/digest.h"
#include "cel/base/json.h"
#include "cel/base/pack.h"

#include "cel/base/banned.h"

#define VERSION_LABEL KR_S("kro.run/kro-version")

enum {
    SHAPES_MAX = 4,   /* different kinds of items below one list; a server writes one */
    BUCKETS_MIN = 64, /* of a pool; doubles with the number of trees */
    PATH_MAX_N = KR_JSON_DEPTH_MAX + 8
};

static const uint64_t ABSENT = 0x9ae16a3b2f90404full;

/* How the items of a list are told apart. */
struct shape {
    char kind; /* 'k' by key fields, 'v' by value, 'i' by index */
    uint32_t names_n;
    kr_str names[KR_FIELDSET_KEYS_MAX];
};

struct node {
    kr_str name;     /* of a field */
    kr_val key;      /* of an item: the list of its key values, its value, or its index */
    uint64_t hash;   /* of key */
    uint32_t member; /* number among the members, from 1; 0: not one */
    uint32_t shape;  /* of an item */
    uint32_t first;  /* children: fields by name, then items by hash */
    uint32_t fields_n, items_n;
    uint32_t shapes, shapes_n; /* of a list: which shapes its items have */
};

struct tree {
    struct kr_fieldset_pool *pool;
    struct tree *next;            /* in its bucket */
    struct kr_fieldset *variants; /* the sets of this tree; freed with the last of them */
    uint64_t hash;
    kr_val fields_v1;
    const struct node *nodes;
    const struct shape *shapes;
    uint32_t nodes_n, members_n;
};

struct kr_fieldset {
    uint32_t refs;
    struct tree *tree;
    struct kr_fieldset *next; /* variant of the same tree */
    uint64_t absent[];        /* bit member - 1: the live object lacked it */
};

_Static_assert(sizeof(struct tree) % 8 == 0, "what follows is aligned");

struct kr_fieldset_pool {
    uint32_t sets_n, trees_n;
    uint32_t buckets_n;
    struct tree **buckets;
};

/* Children of a node. */
#define EACH_FIELD(c, t, above)                                                                    \
    for (const struct node *c = (t)->nodes + (above)->first, *c##_end_ = c + (above)->fields_n;    \
         c != c##_end_; c++)
#define EACH_ITEM(c, t, above)                                                                     \
    for (const struct node *c = (t)->nodes + (above)->first + (above)->fields_n,                   \
                           *c##_end_ = c + (above)->items_n;                                       \
         c != c##_end_; c++)

static uint64_t mix(uint64_t h, uint64_t d)
{
    h ^= d + 0x9e3779b97f4a7c15ull + (h << 6) + (h >> 2);
    h *= 0xff51afd7ed558ccdull;
    return h ^ (h >> 32);
}

static size_t words_n(const struct tree *t)
{
    return kr_bits_words_n(t->members_n);
}

/* --- reading fieldsV1 ------------------------------------------------------------------------- */

struct build {
    struct kr_arena a; /* of the nodes while they grow */
    struct kr_err *err;
    struct node *nodes;
    uint32_t nodes_n, nodes_cap, members_n;
    struct shape *shapes;
    uint32_t shapes_n, shapes_cap;
};

static void build_fini(struct build *b)
{
    kr_arena_fini(&b->a);
}

static int no_field(struct build *b, kr_str key)
{
    return kr_fail(b->err, KR_E_INPUT, "fieldsV1: \"" KR_FMT "\" is not a field", KR_ARG(key));
}

/* The label whose value never matters; level counts the names above. */
static bool passed_over(kr_str key, uint32_t level, bool in_metadata, bool in_labels)
{
    return level == 2 && in_metadata && in_labels && kr_str_starts(key, KR_S("f:")) &&
           kr_str_eq(kr_str_sub(key, 2, key.n), VERSION_LABEL);
}

/* Where a walk over fieldsV1 is, as far as it matters. */
struct place {
    uint32_t level;
    bool in_metadata, in_labels;
};

static struct place below(struct place p, kr_str key)
{
    struct place c = {p.level + 1, p.in_metadata, p.in_labels};

    if (p.level == 0)
        c.in_metadata = kr_str_is(key, "f:metadata");
    if (p.level == 1)
        c.in_labels = kr_str_is(key, "f:labels");
    return c;
}

/* Whether the subtree holds a member once the version label is out: else it gets no node. */
static bool holds_member(kr_val fields, struct place p)
{
    if (fields.n == 0 || !p.in_metadata || p.level > 2)
        return true;
    KR_MAP_EACH (pair, fields) {
        kr_str key = kr_text(pair->key);

        if (!passed_over(key, p.level, p.in_metadata, p.in_labels) &&
            holds_member(pair->val, below(p, key)))
            return true;
    }
    return false;
}

static int grow_nodes(struct build *b, uint32_t n)
{
    uint32_t need = b->nodes_n + n;

    if (need > KR_FIELDSET_NODES_MAX)
        return kr_fail(b->err, KR_E_LIMIT, "fieldsV1: more than %d fields", KR_FIELDSET_NODES_MAX);
    if (need > b->nodes_cap) {
        uint32_t cap = need > b->nodes_cap * 2 ? need : b->nodes_cap * 2;
        struct node *nodes = kr_new_n(&b->a, struct node, cap);

        if (b->nodes_n > 0)
            memcpy(nodes, b->nodes, sizeof(*nodes) * b->nodes_n);
        b->nodes = nodes;
        b->nodes_cap = cap;
    }
    return 0;
}

static bool shape_eq(const struct shape *x, const struct shape *y)
{
    if (x->kind != y->kind || x->names_n != y->names_n)
        return false;
    for (uint32_t i = 0; i < x->names_n; i++) {
        if (!kr_str_eq(x->names[i], y->names[i]))
            return false;
    }
    return true;
}

/* The number of a shape among those of the list that is being read (they begin at `from`). */
static int shape_number(struct build *b, uint32_t from, const struct shape *s, uint32_t *out)
{
    for (uint32_t i = from; i < b->shapes_n; i++) {
        if (shape_eq(&b->shapes[i], s)) {
            *out = i;
            return 0;
        }
    }
    if (b->shapes_n - from == SHAPES_MAX)
        return kr_fail(b->err, KR_E_LIMIT, "fieldsV1: a list with more than %d kinds of keys",
                       SHAPES_MAX);
    if (b->shapes_n == b->shapes_cap) {
        uint32_t cap = b->shapes_cap ? b->shapes_cap * 2 : 8;
        struct shape *shapes = kr_new_n(&b->a, struct shape, cap);

        if (b->shapes_n > 0)
            memcpy(shapes, b->shapes, sizeof(*shapes) * b->shapes_n);
        b->shapes = shapes;
        b->shapes_cap = cap;
    }
    b->shapes[b->shapes_n] = *s;
    *out = b->shapes_n++;
    return 0;
}

/* k:{"port":80,"protocol":"TCP"} -> names port, protocol and the key [80, "TCP"]. */
static int read_list_key(struct build *b, kr_val fields, struct shape *s, kr_val *key)
{
    struct kr_listb values = KR_LISTB(&b->a);

    if (fields.kind != KR_MAP || fields.n == 0)
        return kr_fail(b->err, KR_E_INPUT, "fieldsV1: a list key is not an object");
    if (fields.n > KR_FIELDSET_KEYS_MAX)
        return kr_fail(b->err, KR_E_LIMIT, "fieldsV1: a list with more than %d key fields",
                       KR_FIELDSET_KEYS_MAX);
    KR_MAP_EACH (pair, fields) {
        s->names[s->names_n++] = kr_text(pair->key);
        kr_listb_add(&values, pair->val);
    }
    *key = kr_listb_done(&values);
    return 0;
}

static int read_item(struct build *b, struct node *n, kr_str key, uint32_t shapes_from)
{
    struct shape s = {.kind = key.s[0]};
    kr_val v;

    if (kr_json_parse(&b->a, kr_str_sub(key, 2, key.n), &v, NULL) < 0)
        return no_field(b, key);
    if (s.kind == 'k')
        KR_TRY(read_list_key(b, v, &s, &v));
    if (s.kind == 'i' && v.kind != KR_INT)
        return no_field(b, key);
    n->key = v;
    n->hash = kr_digest(v);
    return shape_number(b, shapes_from, &s, &n->shape);
}

/* A node that is about to get its place among its siblings. */
struct fresh {
    struct node node;
    kr_val fields; /* its fieldsV1 */
    struct place place;
    bool item;
};

static int cmp_fresh(const void *x, const void *y)
{
    const struct fresh *a = x, *b = y;

    if (a->item != b->item)
        return a->item ? 1 : -1;
    if (!a->item)
        return kr_str_cmp(a->node.name, b->node.name);
    return a->node.hash < b->node.hash ? -1 : a->node.hash > b->node.hash;
}

/* Reads one key of fieldsV1. Returns 1 when it makes no node. */
static int read_key(struct build *b, struct node *parent, const struct kr_pair *pair,
                    struct place p, uint32_t shapes_from, struct fresh *f)
{
    kr_str key = kr_text(pair->key);

    if (pair->val.kind != KR_MAP)
        return no_field(b, key);
    if (kr_str_is(key, ".")) {
        parent->member = 1; /* numbered later */
        return 1;
    }
    if (key.n < 2 || key.s[1] != ':' || !strchr("fkvi", key.s[0]))
        return no_field(b, key);
    *f = (struct fresh){.fields = pair->val, .place = below(p, key), .item = key.s[0] != 'f'};
    f->node.name = kr_str_sub(key, 2, key.n);
    f->node.member = pair->val.n == 0;
    if (passed_over(key, p.level, p.in_metadata, p.in_labels) || !holds_member(f->fields, f->place))
        return 1;
    return f->item ? read_item(b, &f->node, key, shapes_from) : 0;
}

/* Reads the children of node number `at` and all below. */
static int read_children(struct build *b, uint32_t at, kr_val fields, struct place p)
{
    struct fresh *fresh = kr_new_n(&b->a, struct fresh, fields.n);
    struct node parent = b->nodes[at];
    uint32_t n = 0, shapes_from = b->shapes_n;

    if (p.level >= KR_FIELDSET_DEPTH_MAX)
        return kr_fail(b->err, KR_E_LIMIT, "fieldsV1: deeper than %d", KR_FIELDSET_DEPTH_MAX);
    KR_MAP_EACH (pair, fields) {
        int rc = read_key(b, &parent, pair, p, shapes_from, &fresh[n]);

        KR_TRY(rc);
        if (rc == 0)
            n++;
    }
    qsort(fresh, n, sizeof(*fresh), cmp_fresh);
    KR_TRY(grow_nodes(b, n));
    parent.first = b->nodes_n;
    parent.shapes = shapes_from;
    parent.shapes_n = b->shapes_n - shapes_from;
    for (uint32_t i = 0; i < n; i++) {
        b->nodes[b->nodes_n++] = fresh[i].node;
        *(fresh[i].item ? &parent.items_n : &parent.fields_n) += 1;
    }
    b->nodes[at] = parent;
    for (uint32_t i = 0; i < n; i++)
        KR_TRY(read_children(b, parent.first + i, fresh[i].fields, fresh[i].place));
    return 0;
}

static int read_fields(struct build *b, kr_val fields_v1)
{
    if (fields_v1.kind != KR_MAP)
        return kr_fail(b->err, KR_E_INPUT, "fieldsV1 is not an object");
    KR_TRY(grow_nodes(b, 1));
    b->nodes[b->nodes_n++] = (struct node){0};
    KR_TRY(read_children(b, 0, fields_v1, (struct place){0}));
    b->nodes[0].member = 0; /* "." of the root: the object itself is nobody's */
    for (uint32_t i = 0; i < b->nodes_n; i++) {
        if (b->nodes[i].member)
            b->nodes[i].member = ++b->members_n;
    }
    return 0;
}

/* --- trees and sets --------------------------------------------------------------------------- */

static void count_tree(struct kr_pack *p, const struct build *b, kr_val fields_v1)
{
    kr_pack_count_val(p, fields_v1);
    kr_pack_count_structs(p, sizeof(struct node) * b->nodes_n);
    kr_pack_count_structs(p, sizeof(struct shape) * b->shapes_n);
    for (uint32_t i = 0; i < b->nodes_n; i++) {
        kr_pack_count_str(p, b->nodes[i].name);
        kr_pack_count_val(p, b->nodes[i].key);
    }
    for (uint32_t i = 0; i < b->shapes_n; i++) {
        for (uint32_t k = 0; k < b->shapes[i].names_n; k++)
            kr_pack_count_str(p, b->shapes[i].names[k]);
    }
}

static struct tree *freeze_tree(const struct build *b, kr_val fields_v1)
{
    struct kr_pack p = {0};
    struct tree *t;
    struct node *nodes;
    struct shape *shapes;

    count_tree(&p, b, fields_v1);
    t = kr_alloc(sizeof(*t) + kr_pack_bytes(&p));
    kr_pack_begin(&p, t + 1);
    t->nodes_n = b->nodes_n;
    t->members_n = b->members_n;
    t->nodes = nodes = kr_pack_structs(&p, sizeof(struct node) * b->nodes_n);
    t->shapes = shapes = kr_pack_structs(&p, sizeof(struct shape) * b->shapes_n);
    for (uint32_t i = 0; i < b->nodes_n; i++) {
        nodes[i] = b->nodes[i];
        nodes[i].name = kr_pack_str(&p, b->nodes[i].name);
        nodes[i].key = kr_pack_val(&p, b->nodes[i].key);
    }
    for (uint32_t i = 0; i < b->shapes_n; i++) {
        shapes[i] = b->shapes[i];
        for (uint32_t k = 0; k < b->shapes[i].names_n; k++)
            shapes[i].names[k] = kr_pack_str(&p, b->shapes[i].names[k]);
    }
    t->fields_v1 = kr_pack_val(&p, fields_v1);
    return t;
}

struct kr_fieldset_pool *kr_fieldset_pool_new(void)
{
    struct kr_fieldset_pool *pool = KR_ALLOC(struct kr_fieldset_pool);

    pool->buckets_n = BUCKETS_MIN;
    pool->buckets = kr_alloc(sizeof(struct tree *) * BUCKETS_MIN);
    return pool;
}

void kr_fieldset_pool_free(struct kr_fieldset_pool *pool)
{
    if (!pool)
        return;
    KR_ASSERT(pool->sets_n == 0);
    kr_free(pool->buckets);
    kr_free(pool);
}

uint32_t kr_fieldset_pool_n(const struct kr_fieldset_pool *pool)
{
    return pool->sets_n;
}

static struct tree **bucket(const struct kr_fieldset_pool *pool, uint64_t hash)
{
    return &pool->buckets[hash & (pool->buckets_n - 1)];
}

static void pool_grow(struct kr_fieldset_pool *pool)
{
    struct kr_fieldset_pool old = *pool;

    pool->buckets_n *= 2;
    pool->buckets = kr_alloc(sizeof(struct tree *) * pool->buckets_n);
    for (uint32_t i = 0; i < old.buckets_n; i++) {
        for (struct tree *t = old.buckets[i], *next; t; t = next) {
            struct tree **to = bucket(pool, t->hash);

            next = t->next;
            t->next = *to;
            *to = t;
        }
    }
    kr_free(old.buckets);
}

static struct tree *pool_find(const struct kr_fieldset_pool *pool, kr_val fields_v1, uint64_t hash)
{
    for (struct tree *t = *bucket(pool, hash); t; t = t->next) {
        if (t->hash == hash && kr_equal(t->fields_v1, fields_v1))
            return t;
    }
    return NULL;
}

/* The tree of fields_v1; a new one belongs to nobody until its first set is made. */
static int intern_tree(struct kr_fieldset_pool *pool, kr_val fields_v1, struct tree **out,
                       struct kr_err *err)
{
    __attribute__((cleanup(build_fini))) struct build b = {.err = err};
    uint64_t hash = kr_digest(fields_v1);
    struct tree *t = pool_find(pool, fields_v1, hash);

    if (!t) {
        KR_TRY(read_fields(&b, fields_v1));
        t = freeze_tree(&b, fields_v1);
        t->pool = pool;
        t->hash = hash;
        if (pool->trees_n++ >= pool->buckets_n)
            pool_grow(pool);
        t->next = *bucket(pool, hash);
        *bucket(pool, hash) = t;
    }
    *out = t;
    return 0;
}

/* Returns a reference to the set of t whose live object lacks these members. */
static const struct kr_fieldset *intern_set(struct tree *t, const uint64_t *absent)
{
    size_t bytes = sizeof(uint64_t) * words_n(t);
    struct kr_fieldset *set;

    for (set = t->variants; set; set = set->next) {
        if (bytes == 0 || memcmp(set->absent, absent, bytes) == 0) {
            set->refs++;
            return set;
        }
    }
    set = kr_alloc(sizeof(*set) + bytes);
    set->refs = 1;
    set->tree = t;
    if (bytes > 0)
        memcpy(set->absent, absent, bytes);
    set->next = t->variants;
    t->variants = set;
    t->pool->sets_n++;
    return set;
}

const struct kr_fieldset *kr_fieldset_hold(const struct kr_fieldset *set)
{
    if (set)
        ((struct kr_fieldset *)(uintptr_t)set)->refs++;
    return set;
}

static void tree_free(struct tree *t)
{
    struct tree **at = bucket(t->pool, t->hash);

    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    t->pool->trees_n--;
    kr_free(t);
}

void kr_fieldset_drop(const struct kr_fieldset *set)
{
    struct kr_fieldset *s = (struct kr_fieldset *)(uintptr_t)set;
    struct kr_fieldset **at;

    if (!s)
        return;
    KR_ASSERT(s->refs > 0);
    if (--s->refs > 0)
        return;
    for (at = &s->tree->variants; *at != s;)
        at = &(*at)->next;
    *at = s->next;
    s->tree->pool->sets_n--;
    if (!s->tree->variants)
        tree_free(s->tree);
    kr_free(s);
}

kr_val kr_fieldset_fields(const struct kr_fieldset *set)
{
    return set->tree->fields_v1;
}

kr_val kr_fieldset_of_manager(kr_val object, kr_str manager)
{
    KR_LIST_EACH (entry, kr_at(object, "metadata.managedFields")) {
        if (kr_is_str(kr_get(*entry, KR_S("manager")), manager) &&
            kr_is_str(kr_get(*entry, KR_S("operation")), KR_S("Apply")) &&
            kr_text(kr_get(*entry, KR_S("subresource"))).n == 0)
            return kr_get(*entry, KR_S("fieldsV1"));
    }
    return KR_V_NONE;
}

/* --- walks ------------------------------------------------------------------------------------ */

struct walk {
    const struct tree *t;
    uint64_t h;
    struct kr_arena *a;  /* scratch */
    struct kr_bits seen; /* items already met, by node */
    uint64_t *absent;    /* live: where absent members are noted; NULL: nowhere */

    const struct kr_fieldset *set; /* desired: from here on */
    const struct kr_fieldset_rules *rules;
    uint32_t depth;
    kr_str path[PATH_MAX_N];
};

static bool is_leaf(const struct node *n)
{
    return n->fields_n == 0 && n->items_n == 0;
}

static bool push(struct walk *w, kr_str name)
{
    if (w->depth == PATH_MAX_N)
        return false;
    w->path[w->depth++] = name;
    return true;
}

static void pop(struct walk *w)
{
    w->depth--;
}

/* The value that stands for a key field which an item does not have. */
static kr_val key_default(const struct walk *w, kr_str list_name, kr_str key)
{
    kr_val v = KR_V_NONE;

    if (w->rules && w->rules->key_default)
        v = w->rules->key_default(w->rules->arg, w->path, w->depth, key);
    if (v.kind == KR_NONE && kr_str_is(list_name, "ports") && kr_str_is(key, "protocol"))
        v = KR_V_STR("TCP");
    return v;
}

/* What tells item apart from its siblings, in the form of shape s. values is memory for it. */
static kr_val item_key(const struct walk *w, kr_str list_name, const struct shape *s, kr_val item,
                       uint32_t index, kr_val values[KR_FIELDSET_KEYS_MAX])
{
    if (s->kind == 'v')
        return item;
    if (s->kind == 'i')
        return kr_int(index);
    if (item.kind != KR_MAP)
        return KR_V_NONE;
    for (uint32_t i = 0; i < s->names_n; i++) {
        values[i] = kr_get(item, s->names[i]);
        if (values[i].kind == KR_NONE)
            values[i] = key_default(w, list_name, s->names[i]);
        if (values[i].kind == KR_NONE)
            return KR_V_NONE;
    }
    return kr_list(values, s->names_n);
}

static const struct node *find_by_key(const struct tree *t, const struct node *list, uint32_t shape,
                                      kr_val key)
{
    const struct node *items = t->nodes + list->first + list->fields_n;
    uint64_t hash = kr_digest(key);
    uint32_t low = 0, high = list->items_n;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (items[mid].hash < hash)
            low = mid + 1;
        else
            high = mid;
    }
    for (; low < list->items_n && items[low].hash == hash; low++) {
        if (items[low].shape == shape && kr_equal(items[low].key, key))
            return &items[low];
    }
    return NULL;
}

static const struct node *find_item(const struct walk *w, const struct node *list, kr_val item,
                                    uint32_t index)
{
    kr_val values[KR_FIELDSET_KEYS_MAX];

    for (uint32_t i = list->shapes; i < list->shapes + list->shapes_n; i++) {
        kr_val key = item_key(w, list->name, &w->t->shapes[i], item, index, values);
        const struct node *found = key.kind == KR_NONE ? NULL : find_by_key(w->t, list, i, key);

        if (found)
            return found;
    }
    return NULL;
}

/* Notes that an item's node was met; false when it was met before. */
static bool see(struct walk *w, const struct node *item)
{
    uint32_t i = (uint32_t)(item - w->t->nodes);

    if (kr_bits_has(&w->seen, i))
        return false;
    kr_bits_set(&w->seen, i);
    return true;
}

/* --- the live walk ---------------------------------------------------------------------------- */

static void live_node(struct walk *w, const struct node *n, kr_val v);

static void live_items(struct walk *w, const struct node *list, kr_val v)
{
    uint32_t index = 0;

    KR_LIST_EACH (it, v) {
        const struct node *item = find_item(w, list, *it, index++);

        if (!item)
            continue;
        see(w, item);
        w->h = mix(w->h, (uint64_t)(item - w->t->nodes));
        live_node(w, item, *it);
    }
    EACH_ITEM(item, w->t, list)
    {
        if (!kr_bits_has(&w->seen, (uint32_t)(item - w->t->nodes)))
            live_node(w, item, KR_V_NONE);
    }
}

static void live_node(struct walk *w, const struct node *n, kr_val v)
{
    if (n->member && v.kind == KR_NONE && w->absent)
        w->absent[(n->member - 1) / 64] |= 1ull << ((n->member - 1) % 64);
    if (is_leaf(n)) {
        if (n->member)
            w->h = mix(w->h, v.kind == KR_NONE ? ABSENT : kr_digest(v));
        return;
    }
    EACH_FIELD(c, w->t, n)
    live_node(w, c, kr_get(v, c->name));
    if (n->items_n > 0)
        live_items(w, n, v);
}

/* The live object never shows stringData: its values stand base64-encoded below data. */
static kr_val live_string_data(struct walk *w, const struct node *n, kr_val object)
{
    struct kr_mapb b = KR_MAPB(w->a);
    kr_val data = kr_get(object, KR_S("data"));

    EACH_FIELD(c, w->t, n)
    {
        kr_val v = kr_get(data, c->name);
        kr_str plain;

        if (v.kind == KR_STRING && kr_base64_decode(w->a, kr_text(v), &plain))
            kr_mapb_put(&b, c->name, kr_string(plain));
    }
    return kr_mapb_done(&b);
}

static void live_root(struct walk *w, kr_val object)
{
    EACH_FIELD(c, w->t, w->t->nodes)
    {
        kr_val v = kr_get(object, c->name);

        if (v.kind == KR_NONE && c->fields_n > 0 && kr_str_is(c->name, "stringData"))
            v = live_string_data(w, c, object);
        live_node(w, c, v);
    }
}

static uint64_t digest_live(const struct tree *t, kr_val object, uint64_t *absent)
{
    KR_AUTO(kr_arena) a = {0};
    struct walk w = {.t = t, .a = &a, .absent = absent};

    kr_bits_init(&w.seen, &a, t->nodes_n);
    live_root(&w, object);
    return w.h;
}

uint64_t kr_fieldset_digest_live(const struct kr_fieldset *set, kr_val object)
{
    return digest_live(set->tree, object, NULL);
}

int kr_fieldset_intern(struct kr_fieldset_pool *pool, kr_val fields_v1,
                       const struct kr_fieldset **out, struct kr_err *err)
{
    KR_AUTO(kr_arena) a = {0};
    struct tree *t;

    KR_TRY(intern_tree(pool, fields_v1, &t, err));
    *out = intern_set(t, kr_new_n(&a, uint64_t, words_n(t)));
    return 0;
}

int kr_fieldset_observe(struct kr_fieldset_pool *pool, kr_val fields_v1, kr_val live,
                        const struct kr_fieldset **out, uint64_t *digest, struct kr_err *err)
{
    KR_AUTO(kr_arena) a = {0};
    struct tree *t;
    uint64_t *absent;

    KR_TRY(intern_tree(pool, fields_v1, &t, err));
    absent = kr_new_n(&a, uint64_t, words_n(t));
    *digest = digest_live(t, live, absent);
    *out = intern_set(t, absent);
    return 0;
}

/* --- the desired walk ------------------------------------------------------------------------- */

static bool desired_node(struct walk *w, const struct node *n, kr_val v);

/* Values that a server may leave out of the object although they were applied. */
static bool is_zero(kr_val v)
{
    switch (v.kind) {
    case KR_NULL:
        return true;
    case KR_BOOL:
        return !v.b;
    case KR_INT:
    case KR_UINT:
        return v.u == 0;
    case KR_DOUBLE:
        return v.d == 0;
    case KR_STRING:
    case KR_LIST:
    case KR_MAP:
        return v.n == 0;
    default:
        return false;
    }
}

static bool is_nothing(kr_val v)
{
    return v.kind == KR_NONE || v.kind == KR_OMIT;
}

/* Members that never enter a set. Source: structured merge in apiserver, stripSet. */
static bool never_recorded(const struct walk *w, kr_str name)
{
    static const char *const root[] = {"apiVersion", "kind"};
    static const char *const metadata[] = {"name",       "namespace",     "creationTimestamp",
                                           "selfLink",   "uid",           "clusterName",
                                           "generation", "managedFields", "resourceVersion"};

    if (w->depth == 0) {
        for (size_t i = 0; i < KR_N(root); i++) {
            if (kr_str_eq(name, kr_str_c(root[i])))
                return true;
        }
        return w->rules && w->rules->status_dropped && kr_str_is(name, "status");
    }
    if (!kr_str_is(w->path[0], "metadata"))
        return false;
    for (size_t i = 0; w->depth == 1 && i < KR_N(metadata); i++) {
        if (kr_str_eq(name, kr_str_c(metadata[i])))
            return true;
    }
    return w->depth == 2 && kr_str_is(w->path[1], "labels") && kr_str_eq(name, VERSION_LABEL);
}

/* Whether v, which stands at w->path + name, leaves no field behind when it is applied. */
static bool leaves_no_field(struct walk *w, kr_str name, kr_val v)
{
    bool none;

    if (is_nothing(v) || never_recorded(w, name))
        return true;
    if (!push(w, name))
        return false;
    none = v.kind == KR_LIST && v.n == 0 && w->rules && w->rules->granular &&
           w->rules->granular(w->rules->arg, w->path, w->depth);
    if (v.kind == KR_MAP && v.n > 0) {
        none = true;
        KR_MAP_EACH (pair, v)
            none = none && leaves_no_field(w, kr_text(pair->key), pair->val);
    }
    pop(w);
    return none;
}

/* Defaults that the server's own types get inside atomic values, where they show in the value. An
 * item of a list has "[]" as its name. Source: defaults.go of the API groups in Kubernetes. */
static const struct {
    const char *above[3]; /* how the path of the map that gets it ends, last name first */
    const char *field, *json;
} atomic_defaults[] = {
    {{"fieldRef"}, "apiVersion", "\"v1\""},
    {{"resourceFieldRef"}, "divisor", "\"0\""},
    {{"serviceAccountToken", "[]", "sources"}, "expirationSeconds", "3600"},
    {{"[]", "onPodConditions"}, "status", "\"True\""},
    {{"[]", "ports", "[]"}, "protocol", "\"TCP\""}, /* of a NetworkPolicy's rule */
    {{"[]", "volumeClaimTemplates"}, "apiVersion", "\"v1\""},
    {{"[]", "volumeClaimTemplates"}, "kind", "\"PersistentVolumeClaim\""},
    {{"[]", "volumeClaimTemplates"}, "status", "{\"phase\":\"Pending\"}"},
    {{"spec", "[]", "volumeClaimTemplates"}, "volumeMode", "\"Filesystem\""},
};

static bool path_ends(const struct walk *w, const char *const names[3])
{
    for (uint32_t i = 0; i < 3 && names[i]; i++) {
        if (i >= w->depth || !kr_str_eq(w->path[w->depth - 1 - i], kr_str_c(names[i])))
            return false;
    }
    return true;
}

/* The map v, which stands at w->path, with the defaults that a built-in type has there. */
static kr_val with_atomic_defaults(struct walk *w, kr_val v)
{
    for (size_t i = 0; i < KR_N(atomic_defaults); i++) {
        kr_str field = kr_str_c(atomic_defaults[i].field);
        kr_val value;

        if (!path_ends(w, atomic_defaults[i].above) || kr_get(v, field).kind != KR_NONE)
            continue;
        if (kr_json_parse(w->a, kr_str_c(atomic_defaults[i].json), &value, NULL) == 0)
            v = kr_with_key(w->a, v, field, value);
    }
    return v;
}

/* v in the server's normal form, scalars inside atomic values too. */
static kr_val normal(struct walk *w, kr_val v)
{
    struct kr_listb list = KR_LISTB(w->a);
    struct kr_mapb map = KR_MAPB(w->a);

    KR_LIST_EACH (item, v) {
        if (!push(w, KR_S("[]")))
            return v;
        kr_listb_add(&list, normal(w, *item));
        pop(w);
    }
    KR_MAP_EACH (pair, v) {
        if (is_nothing(pair->val))
            continue;
        if (!push(w, kr_text(pair->key)))
            return v;
        kr_mapb_put(&map, kr_text(pair->key), normal(w, pair->val));
        pop(w);
    }
    if (v.kind == KR_LIST)
        v = kr_listb_done(&list);
    if (v.kind == KR_MAP)
        v = kr_mapb_done(&map);
    if (v.kind == KR_MAP && w->rules && w->rules->builtin)
        v = with_atomic_defaults(w, v);
    return w->rules && w->rules->normal
               ? w->rules->normal(w->rules->arg, w->a, w->path, w->depth, v)
               : v;
}

static bool desired_leaf(struct walk *w, const struct node *n, kr_val v)
{
    bool absent = w->set->absent[(n->member - 1) / 64] >> ((n->member - 1) % 64) & 1;

    v = normal(w, v);
    w->h = mix(w->h, absent ? ABSENT : kr_digest(v));
    return !absent || is_zero(v) || is_nothing(v);
}

/* The members of v and the field nodes of n, both by name: each node has its member, and a member
 * without node leaves no field behind. */
static bool desired_fields(struct walk *w, const struct node *n, kr_val v)
{
    const struct node *c = w->t->nodes + n->first, *end = c + n->fields_n;

    KR_MAP_EACH (pair, v) {
        kr_str name = kr_text(pair->key);

        if (c == end || !kr_str_eq(c->name, name) || is_nothing(pair->val)) {
            if (!leaves_no_field(w, name, pair->val))
                return false;
            continue;
        }
        if (!push(w, name) || !desired_node(w, c, pair->val))
            return false;
        pop(w);
        c++;
    }
    return c == end;
}

static bool desired_items(struct walk *w, const struct node *list, kr_val v)
{
    uint32_t index = 0;

    KR_LIST_EACH (it, v) {
        const struct node *item = find_item(w, list, *it, index++);

        if (!item || !item->member || !see(w, item))
            return false;
        w->h = mix(w->h, (uint64_t)(item - w->t->nodes));
        if (!push(w, KR_S("[]")) || !desired_node(w, item, *it))
            return false;
        pop(w);
    }
    return v.n == list->items_n;
}

static bool desired_node(struct walk *w, const struct node *n, kr_val v)
{
    if (is_leaf(n))
        return desired_leaf(w, n, v);
    if (v.kind == KR_MAP && n->items_n == 0)
        return desired_fields(w, n, v);
    if (v.kind == KR_LIST && n->fields_n == 0)
        return desired_items(w, n, v);
    return false;
}

bool kr_fieldset_digest_desired(const struct kr_fieldset *set, kr_val desired,
                                const struct kr_fieldset_rules *rules, struct kr_arena *a,
                                uint64_t *digest)
{
    struct walk w = {.t = set->tree, .a = a, .set = set, .rules = rules};
    bool same;

    kr_bits_init(&w.seen, a, set->tree->nodes_n);
    same = desired.kind == KR_MAP && desired_fields(&w, set->tree->nodes, desired);
    *digest = same ? w.h : 0;
    return same;
}
