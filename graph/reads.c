/* SPDX-License-Identifier: Apache-2.0 */
/* reads.c - what a revision reads of each object, and which leaves the server rewrites.
 *
 * Both are made from the schemas while compiling and are all that is kept of them.
 *
 *   reads    paths and the tasks that read them: a projection keeps these leaves and no others, and
 *            a changed leaf makes exactly its readers dirty. Items of lists are not selected, so a
 *            path is cut where a list begins.
 *   rules    quantities, durations and times below the template (they come back in normal form),
 *            and the defaults of list-map keys (an item without `protocol` is found under TCP).
 */
#include "graph/internal.h"

#include "cel/base/banned.h"

/* --- reads ------------------------------------------------------------------------------------ */

void graph__reads_init(struct graph_readset *s, struct kr_arena *a, uint32_t tasks_n)
{
    *s = (struct graph_readset){.a = a, .tasks_n = tasks_n};
    kr_bits_init(&s->any, a, tasks_n);
}

static bool same_read(const struct graph_read *r, const kr_str *names, uint32_t n)
{
    if (r->n != n)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (!kr_str_eq(r->names[i], names[i]))
            return false;
    }
    return true;
}

static uint32_t hash_of(const kr_str *names, uint32_t n)
{
    uint64_t h = n;

    for (uint32_t i = 0; i < n; i++)
        h = h * 31 + kr_str_hash(names[i]);
    return (uint32_t)h;
}

/* The slot of that path: of its read, or free. */
static uint32_t *slot_of(const struct graph_readset *s, const kr_str *names, uint32_t n)
{
    uint32_t mask = 2 * s->cap - 1, at = hash_of(names, n) & mask;

    while (s->slots[at] && !same_read(&s->reads[s->slots[at] - 1], names, n))
        at = (at + 1) & mask;
    return &s->slots[at];
}

static void grow(struct graph_readset *s)
{
    uint32_t cap = s->cap ? 2 * s->cap : 4;
    struct graph_read *reads = kr_new_n(s->a, struct graph_read, cap);
    struct kr_bits *tasks = kr_new_n(s->a, struct kr_bits, cap);

    if (s->n) {
        memcpy(reads, s->reads, sizeof(*reads) * s->n);
        memcpy(tasks, s->tasks, sizeof(*tasks) * s->n);
    }
    s->reads = reads;
    s->tasks = tasks;
    s->cap = cap;
    s->slots = kr_new_n(s->a, uint32_t, 2 * cap);
    for (uint32_t i = 0; i < s->n; i++)
        *slot_of(s, reads[i].names, reads[i].n) = i + 1;
}

/* How many names lead to a list at most: the list is read as a whole. */
static uint32_t cut(const struct cel_schema *schema, const kr_str *names, uint32_t n)
{
    for (uint32_t i = 0; schema && i < n; i++) {
        schema = cel_schema_member(schema, names[i]);
        if (schema && schema->type == CEL_S_ARRAY)
            return i + 1;
    }
    return n;
}

static uint32_t find_or_make(struct graph_readset *s, const kr_str *names, uint32_t n)
{
    uint32_t *slot;

    if (s->n == s->cap)
        grow(s);
    slot = slot_of(s, names, n);
    if (*slot)
        return *slot - 1;
    s->reads[s->n] = (struct graph_read){.n = n, .names = names};
    kr_bits_init(&s->tasks[s->n], s->a, s->tasks_n);
    *slot = ++s->n;
    return s->n - 1;
}

void graph__reads_add(struct graph_readset *s, const struct cel_schema *schema, const kr_str *names,
                      uint32_t n, uint32_t task)
{
    uint32_t at = find_or_make(s, names, cut(schema, names, n));

    kr_bits_set(&s->tasks[at], task);
    kr_bits_set(&s->any, task);
}

void graph__reads_keep(struct graph_readset *s, const kr_str *names, uint32_t n)
{
    find_or_make(s, names, n);
}

/* --- rules ------------------------------------------------------------------------------------ */

enum {
    RULES_DEPTH_MAX = 24, /* below an expression the schema alone is walked */
    RULES_MAX = 2000, /* of one node; a leaf without rule costs one apply that changes nothing */
};

struct rules {
    struct kr_arena *a;
    kr_str path[GRAPH_DEPTH_MAX + RULES_DEPTH_MAX];
    uint32_t depth;
    struct graph_normal *normals;
    uint32_t normals_n, normals_cap;
    struct graph_key_default *keys;
    uint32_t keys_n, keys_cap;
    struct graph_path *granular;
    uint32_t granular_n, granular_cap;
};

static const kr_str *path_copy(struct rules *r)
{
    kr_str *out = kr_new_n(r->a, kr_str, r->depth);

    for (uint32_t i = 0; i < r->depth; i++)
        out[i] = kr_strdup(r->a, r->path[i]);
    return out;
}

static bool here(const struct rules *r, const kr_str *path, uint32_t n)
{
    if (n != r->depth)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (!kr_str_eq(path[i], r->path[i]))
            return false;
    }
    return true;
}

static void add_normal(struct rules *r, uint8_t format)
{
    for (uint32_t i = 0; i < r->normals_n; i++) { /* items of a list share their path */
        if (here(r, r->normals[i].path, r->normals[i].n))
            return;
    }
    if (r->normals_n == RULES_MAX)
        return;
    if (r->normals_n == r->normals_cap) {
        uint32_t cap = r->normals_cap ? 2 * r->normals_cap : 4;
        struct graph_normal *grown = kr_new_n(r->a, struct graph_normal, cap);

        if (r->normals_n)
            memcpy(grown, r->normals, sizeof(*grown) * r->normals_n);
        r->normals = grown;
        r->normals_cap = cap;
    }
    r->normals[r->normals_n++] = (struct graph_normal){r->depth, path_copy(r), format};
}

static void add_key(struct rules *r, kr_str key, kr_val value)
{
    for (uint32_t i = 0; i < r->keys_n; i++) {
        if (kr_str_eq(r->keys[i].key, key) && here(r, r->keys[i].path, r->keys[i].n))
            return;
    }
    if (r->keys_n == RULES_MAX)
        return;
    if (r->keys_n == r->keys_cap) {
        uint32_t cap = r->keys_cap ? 2 * r->keys_cap : 4;
        struct graph_key_default *grown = kr_new_n(r->a, struct graph_key_default, cap);

        if (r->keys_n)
            memcpy(grown, r->keys, sizeof(*grown) * r->keys_n);
        r->keys = grown;
        r->keys_cap = cap;
    }
    r->keys[r->keys_n++] = (struct graph_key_default){r->depth, path_copy(r), kr_strdup(r->a, key),
                                                      kr_copy(r->a, value)};
}

static void add_granular(struct rules *r)
{
    for (uint32_t i = 0; i < r->granular_n; i++) {
        if (here(r, r->granular[i].path, r->granular[i].n))
            return;
    }
    if (r->granular_n == RULES_MAX)
        return;
    if (r->granular_n == r->granular_cap) {
        uint32_t cap = r->granular_cap ? 2 * r->granular_cap : 4;
        struct graph_path *grown = kr_new_n(r->a, struct graph_path, cap);

        if (r->granular_n)
            memcpy(grown, r->granular, sizeof(*grown) * r->granular_n);
        r->granular = grown;
        r->granular_cap = cap;
    }
    r->granular[r->granular_n++] = (struct graph_path){r->depth, path_copy(r)};
}

static bool push(struct rules *r, kr_str name)
{
    if (r->depth == KR_N(r->path))
        return false;
    r->path[r->depth++] = name;
    return true;
}

static bool rewritten(const struct cel_schema *s)
{
    return s->format == CEL_F_QUANTITY || s->format == CEL_F_DURATION ||
           s->format == CEL_F_DATE_TIME;
}

/* What is to be known of a list: how it merges. */
static void list_rules(struct rules *r, const struct cel_schema *s, const struct cel_schema *items)
{
    if (s->list_type == CEL_L_MAP || s->list_type == CEL_L_SET)
        add_granular(r);
    for (uint32_t i = 0; s->list_type == CEL_L_MAP && i < s->map_keys_n; i++) {
        const struct cel_field *f = cel_schema_field(items, s->map_keys[i]);

        if (f && f->schema && f->schema->default_value.kind != KR_NONE)
            add_key(r, s->map_keys[i], f->schema->default_value);
    }
}

/* A subtree that an expression gives: everything its schema allows. */
static void walk_schema(struct rules *r, const struct cel_schema *s, uint32_t levels)
{
    const struct cel_schema *items;

    if (!s || levels == 0)
        return;
    if (rewritten(s))
        add_normal(r, s->format);
    items = cel_schema_at(s, &KR_S("[]"), 1);
    if (items)
        list_rules(r, s, items);
    if (items && push(r, KR_S("[]"))) {
        walk_schema(r, items, levels - 1);
        r->depth--;
    }
    for (uint32_t i = 0; i < s->fields_n; i++) {
        if (push(r, s->fields[i].name)) {
            walk_schema(r, cel_schema_member(s, s->fields[i].name), levels - 1);
            r->depth--;
        }
    }
    if (s->additional && push(r, KR_S("*"))) {
        walk_schema(r, s->additional, levels - 1);
        r->depth--;
    }
}

/* A member that is no property stands for all members: a path with "*". */
static kr_str step_of(const struct cel_schema *s, kr_str key)
{
    return cel_schema_field(s, key) ? key : KR_S("*");
}

static void walk(struct rules *r, kr_val v, const struct cel_schema *s)
{
    const struct cel_schema *items;

    if (!s)
        return;
    if (rewritten(s))
        add_normal(r, s->format);
    if (v.kind == KR_STRING) {
        if (!rewritten(s) && kr_str_find(kr_text(v), KR_S("${")) >= 0)
            walk_schema(r, s, RULES_DEPTH_MAX);
    } else if (v.kind == KR_LIST) {
        items = cel_schema_at(s, &KR_S("[]"), 1);
        if (!items)
            return;
        list_rules(r, s, items);
        for (uint32_t i = 0; i < v.n; i++) {
            if (push(r, KR_S("[]"))) {
                walk(r, v.list[i], items);
                r->depth--;
            }
        }
    } else {
        KR_MAP_EACH (it, v) {
            if (push(r, step_of(s, kr_text(it->key)))) {
                walk(r, it->val, cel_schema_member(s, kr_text(it->key)));
                r->depth--;
            }
        }
    }
}

void graph__rules_of(struct kr_arena *a, kr_val template, const struct cel_schema *schema,
                     struct graph_node_spec *out)
{
    struct rules r = {.a = a};

    walk(&r, template, schema);
    out->normals = r.normals;
    out->normals_n = r.normals_n;
    out->key_defaults = r.keys;
    out->key_defaults_n = r.keys_n;
    out->granular = r.granular;
    out->granular_n = r.granular_n;
}
