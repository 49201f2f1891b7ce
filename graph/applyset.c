/* SPDX-License-Identifier: Apache-2.0 */
/* applyset.c - membership: what children carry, what the instance lists, and whether it is so.
 *
 * The instance is the parent of an ApplySet. Its inventory (group-kinds and namespaces of the
 * members, in annotations) must cover an object before it is created, so that a crash leaves
 * nothing that cannot be found. Two field managers write it:
 *
 *   labeller          finalizer, four labels (with --shards a fifth: the bucket), whole inventory:
 *                     before the first child it covers
 *   applyset-parent   the same inventory: after that, beside the children
 *
 * so that both own it and kro can take over without losing a field.
 *
 * The inventory is what the parent lists already, and the kinds of all nodes but those known to be
 * excluded, and the namespaces that are known. It shrinks to what is there after a completed prune.
 * A difference in the program's version (label, tooling) never causes a write.
 *
 * Source: KEP 3659 (ApplySet); kro:pkg/controller/instance/applyset; reference instance-runtime 1.
 */
#include "graph/inst.h"

#include "cel/base/digest.h"
#include "cel/base/json.h"
#include "cel/base/time.h"

#include "cel/base/banned.h"

kr_str graph_applyset_id(struct kr_arena *a, kr_str name, kr_str namespace, kr_str kind,
                         kr_str group)
{
    kr_str text = kr_fmt(a, KR_FMT "." KR_FMT "." KR_FMT "." KR_FMT, KR_ARG(name),
                         KR_ARG(namespace), KR_ARG(kind), KR_ARG(group));
    uint8_t sum[KR_DIGEST_MAX];
    size_t n = kr_digest_bytes(KR_SHA256, text, sum);
    kr_str code = kr_base64_encode(a, (kr_str){(const char *)sum, n}, KR_BASE64_URL_NOPAD);

    return kr_fmt(a, "applyset-" KR_FMT "-v1", KR_ARG(code));
}

/* --- children --------------------------------------------------------------------------------- */

static kr_val own_labels(struct inst_step *s)
{
    const struct graph_inst *inst = s->inst;
    struct kr_mapb m = KR_MAPB(s->a);

    kr_mapb_put(&m, KR_S(GRAPH_LABEL_OWNED), KR_V_STR("true"));
    kr_mapb_put(&m, KR_S(GRAPH_LABEL_VERSION),
                kr_string(graph_version_label(s->a, s->env->version)));
    kr_mapb_put(&m, KR_S(GRAPH_LABEL_INSTANCE_ID), kr_string(kr_rec_uid(inst->parent)));
    kr_mapb_put(&m, KR_S(GRAPH_LABEL_INSTANCE_NAME),
                kr_string(graph_label_value(s->a, inst->ref.name)));
    if (inst->ref.namespace.n)
        kr_mapb_put(&m, KR_S(GRAPH_LABEL_INSTANCE_NAMESPACE), kr_string(inst->ref.namespace));
    kr_mapb_put(&m, KR_S(GRAPH_LABEL_INSTANCE_GROUP),
                kr_string(graph_label_value(s->a, inst->gvk.group)));
    kr_mapb_put(&m, KR_S(GRAPH_LABEL_INSTANCE_VERSION), kr_string(inst->gvk.version));
    kr_mapb_put(&m, KR_S(GRAPH_LABEL_INSTANCE_KIND), kr_string(inst->gvk.kind));
    kr_mapb_put(&m, KR_S(GRAPH_LABEL_MANAGED_BY), KR_V_STR(GRAPH_MANAGED_BY));
    kr_mapb_put(&m, KR_S(GRAPH_LABEL_PART_OF), kr_string(inst->part_of));
    return kr_mapb_done(&m);
}

/* What tells the items of a collection apart. */
static void item_labels(struct inst_step *s, uint32_t rank, uint32_t item, struct kr_mapb *labels)
{
    if (s->inst->rev->nodes[rank].kind != GRAPH_COLLECTION)
        return;
    kr_mapb_put(labels, KR_S(GRAPH_LABEL_ITEM), kr_string(kr_fmt(s->a, "%u", item)));
    kr_mapb_put(labels, KR_S(GRAPH_LABEL_SIZE),
                kr_string(kr_fmt(s->a, "%u", s->inst->nodes[rank].items_n)));
}

kr_val inst__decorate(struct inst_step *s, uint32_t rank, uint32_t item, kr_val desired)
{
    const struct graph_node *node = &s->inst->rev->nodes[rank];
    struct kr_mapb labels = KR_MAPB(s->a);
    kr_val notes = kr_at(desired, "metadata.annotations");

    if (s->labels.kind == KR_NONE)
        s->labels = own_labels(s);
    KR_MAP_EACH (p, kr_at(desired, "metadata.labels")) {
        kr_mapb_put(&labels, kr_text(p->key), p->val);
    }
    KR_MAP_EACH (p, s->labels) {
        kr_mapb_put(&labels, kr_text(p->key), p->val);
    }
    kr_mapb_put(&labels, KR_S(GRAPH_LABEL_NODE), kr_string(node->label));
    item_labels(s, rank, item, &labels);
    if (notes.kind != KR_MAP)
        notes = kr_map_sorted(NULL, 0);
    notes = kr_with_key(s->a, notes, KR_S(GRAPH_ANNO_ORDER),
                        kr_string(kr_fmt(s->a, "%u", node->order)));
    desired = kr_with(s->a, desired, "metadata.annotations", notes);
    return kr_with(s->a, desired, "metadata.labels", kr_mapb_done(&labels));
}

static bool path_fits(const kr_str *pattern, uint32_t pattern_n, const kr_str *path, uint32_t n)
{
    if (pattern_n != n)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (!kr_str_eq(pattern[i], path[i]) &&
            !(kr_str_is(pattern[i], "*") && !kr_str_is(path[i], "[]")))
            return false;
    }
    return true;
}

static kr_val quantity(struct kr_arena *a, kr_val v)
{
    kr_str text = v.kind == KR_STRING ? kr_text(v) : kr_json_str(a, v);

    return cel_quantity_normal(a, text, &text) ? kr_string(text) : v;
}

static kr_val normal_of(struct kr_arena *a, uint8_t format, kr_val v)
{
    char text[KR_TIME_TEXT_MAX];
    int64_t t;
    uint32_t nanos;

    switch (format) {
    case CEL_F_QUANTITY:
        return v.kind == KR_STRING || v.kind == KR_INT || v.kind == KR_DOUBLE ? quantity(a, v) : v;
    case CEL_F_DURATION:
        if (!kr_duration_parse(kr_text(v), &t))
            return v;
        return kr_string(kr_strdup(a, (kr_str){text, kr_duration_text(t, text)}));
    case CEL_F_DATE_TIME:
        if (!kr_time_parse(kr_text(v), &t, &nanos) || nanos)
            return v;
        return kr_string(kr_strdup(a, (kr_str){text, kr_time_text(t, 0, text)}));
    default:
        return v;
    }
}

static kr_val on_normal(void *arg, struct kr_arena *a, const kr_str *path, uint32_t n, kr_val v)
{
    const struct graph_node_spec *spec = arg;

    for (uint32_t i = 0; i < spec->normals_n; i++) {
        if (path_fits(spec->normals[i].path, spec->normals[i].n, path, n))
            return normal_of(a, spec->normals[i].format, v);
    }
    return v;
}

static kr_val on_key_default(void *arg, const kr_str *path, uint32_t n, kr_str key)
{
    const struct graph_node_spec *spec = arg;

    for (uint32_t i = 0; i < spec->key_defaults_n; i++) {
        const struct graph_key_default *d = &spec->key_defaults[i];

        if (kr_str_eq(d->key, key) && path_fits(d->path, d->n, path, n))
            return d->value;
    }
    return KR_V_NONE;
}

static bool on_granular(void *arg, const kr_str *path, uint32_t n)
{
    const struct graph_node_spec *spec = arg;

    for (uint32_t i = 0; i < spec->granular_n; i++) {
        if (path_fits(spec->granular[i].path, spec->granular[i].n, path, n))
            return true;
    }
    return false;
}

/* Does the live object already hold the wish, as far as our manager's ownership tells? */
bool inst__in_sync(struct inst_step *s, uint32_t rank, struct inst_item *item, kr_val desired)
{
    const struct graph_node_spec *spec = s->inst->rev->nodes[rank].spec;
    const struct kr_fieldset_rules rules = {.normal = on_normal,
                                            .key_default = on_key_default,
                                            .granular = on_granular,
                                            .builtin = spec->builtin,
                                            .status_dropped = spec->status_dropped,
                                            .arg = (void *)(uintptr_t)spec};
    const struct kr_rec *rec = item->seen;
    uint64_t digest;

    if (item->ok_desired == item->desired && item->ok_set == rec->owned &&
        item->ok_owned == rec->owned_digest)
        return true; /* also where the server told no ownership: else we would apply for ever */
    if (!rec->owned || !kr_fieldset_digest_desired(rec->owned, desired, &rules, s->a, &digest) ||
        digest != rec->owned_digest)
        return false;
    inst__item_ok(item, rec, item->desired);
    return true;
}

/* --- the text of an inventory ----------------------------------------------------------------- */

kr_str inst__kind_text(struct kr_arena *a, kr_gvk gvk)
{
    if (gvk.group.n == 0)
        return gvk.kind;
    return kr_fmt(a, KR_FMT "." KR_FMT, KR_ARG(gvk.kind), KR_ARG(gvk.group));
}

/* A sorted list without duplicates. */
struct names {
    struct kr_arena *a;
    kr_str *items;
    uint32_t n, cap;
};

static bool names_has(const kr_str *items, uint32_t n, kr_str name)
{
    for (uint32_t i = 0; i < n; i++) {
        if (kr_str_eq(items[i], name))
            return true;
    }
    return false;
}

static void names_add(struct names *l, kr_str name)
{
    uint32_t at;

    if (names_has(l->items, l->n, name))
        return;
    if (l->n == l->cap) {
        kr_str *grown = kr_new_n(l->a, kr_str, l->cap ? 2 * l->cap : 8);

        if (l->n)
            memcpy(grown, l->items, sizeof(*grown) * l->n);
        l->items = grown;
        l->cap = l->cap ? 2 * l->cap : 8;
    }
    for (at = l->n++; at > 0 && kr_str_cmp(l->items[at - 1], name) > 0; at--)
        l->items[at] = l->items[at - 1];
    l->items[at] = name;
}

static kr_str names_join(struct kr_arena *a, const kr_str *items, uint32_t n)
{
    size_t bytes = n;
    char *text, *at;

    for (uint32_t i = 0; i < n; i++)
        bytes += items[i].n;
    text = at = kr_arena_bytes(a, bytes + 1);
    for (uint32_t i = 0; i < n; i++) {
        if (i)
            *at++ = ',';
        memcpy(at, items[i].s, items[i].n);
        at += items[i].n;
    }
    return (kr_str){text, (size_t)(at - text)};
}

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_dns_label(kr_str s, size_t max)
{
    if (s.n == 0 || s.n > max || !is_alnum(s.s[0]) || !is_alnum(s.s[s.n - 1]))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (!is_alnum(s.s[i]) && s.s[i] != '-')
            return false;
    }
    return true;
}

static bool is_dns_subdomain(kr_str s)
{
    if (s.n == 0 || s.n > 253)
        return false;
    for (kr_str rest = s; rest.s;) {
        if (!is_dns_label(kr_str_cut(&rest, '.'), 253))
            return false;
    }
    return true;
}

/* Same words as kro and k8s.io/apimachinery: applyset/inventory.go, util/validation. */
static int check_kind(kr_str entry, struct kr_err *err)
{
    kr_str rest = entry;
    kr_str kind = kr_str_cut(&rest, '.');

    if (entry.n == 0)
        return kr_fail(err, KR_E_INPUT, "contains an empty group-kind");
    for (size_t i = 0; i < kind.n; i++) {
        if (kind.s[i] == ' ' || (kind.s[i] >= '\t' && kind.s[i] <= '\r'))
            kind.n = 0;
    }
    if (kind.n == 0)
        return kr_fail(err, KR_E_INPUT, "invalid kind \"" KR_FMT "\"",
                       KR_ARG(kr_str_sub(entry, 0, entry.n - (rest.s ? rest.n + 1 : 0))));
    if (rest.s && !is_dns_subdomain(rest))
        return kr_fail(err, KR_E_INPUT,
                       "invalid group \"" KR_FMT
                       "\": a lowercase RFC 1123 subdomain must consist of lower "
                       "case alphanumeric characters, '-' or '.', and must start and end with an "
                       "alphanumeric character (e.g. 'example.com', regex used for validation is "
                       "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
                       KR_ARG(rest));
    return 0;
}

static int check_namespace(kr_str entry, struct kr_err *err)
{
    if (is_dns_label(entry, 63))
        return 0;
    if (kr_str_chr(entry, '.') >= 0)
        return kr_fail(err, KR_E_INPUT, "invalid namespace \"" KR_FMT "\": must not contain dots",
                       KR_ARG(entry));
    return kr_fail(
        err, KR_E_INPUT,
        "invalid namespace \"" KR_FMT "\": a lowercase RFC 1123 label must consist of lower case "
        "alphanumeric characters or '-', and must start and end with an alphanumeric character "
        "(e.g. 'my-name',  or '123-abc', regex used for validation is "
        "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
        KR_ARG(entry));
}

static int read_list(struct kr_arena *a, kr_str text, const char *key,
                     int (*check)(kr_str, struct kr_err *), struct names *out, struct kr_err *err)
{
    *out = (struct names){.a = a};
    if (text.n == 0)
        return 0;
    for (kr_str rest = text; rest.s;) {
        kr_str entry = kr_str_trim(kr_str_cut(&rest, ','));

        if (check(entry, err) < 0)
            return kr_wrap(err, "invalid %s annotation", key);
        names_add(out, entry);
    }
    return 0;
}

static int read_inventory(struct kr_arena *a, kr_str kinds, kr_str namespaces,
                          struct inst_inventory *out, struct kr_err *err)
{
    struct names k, n;

    KR_TRY(read_list(a, kinds, GRAPH_ANNO_KINDS, check_kind, &k, err));
    KR_TRY(read_list(a, namespaces, GRAPH_ANNO_NAMESPACES, check_namespace, &n, err));
    *out = (struct inst_inventory){
        .kinds_n = k.n, .kinds = k.items, .namespaces_n = n.n, .namespaces = n.items};
    return 0;
}

static kr_str inventory_hash(struct kr_arena *a, kr_str id, const struct inst_inventory *inv)
{
    kr_str part[] = {id, names_join(a, inv->kinds, inv->kinds_n),
                     names_join(a, inv->namespaces, inv->namespaces_n)};
    char *text = kr_arena_bytes(a, part[0].n + part[1].n + part[2].n + 2);
    uint8_t sum[KR_DIGEST_MAX];
    size_t at = 0;

    for (uint32_t i = 0; i < KR_N(part); i++) {
        if (i)
            text[at++] = '\0';
        if (part[i].n)
            memcpy(text + at, part[i].s, part[i].n);
        at += part[i].n;
    }
    at = kr_digest_bytes(KR_SHA256, (kr_str){text, at}, sum);
    return kr_fmt(
        a, "sha256:" KR_FMT,
        KR_ARG(kr_base64_encode(a, (kr_str){(const char *)sum, at}, KR_BASE64_URL_NOPAD)));
}

int graph__inventory_hash(struct kr_arena *a, kr_str id, kr_str kinds, kr_str namespaces,
                          kr_str *out, struct kr_err *err)
{
    struct inst_inventory inv;

    KR_TRY(read_inventory(a, kinds, namespaces, &inv, err));
    *out = inventory_hash(a, id, &inv);
    return 0;
}

/* --- what the parent says --------------------------------------------------------------------- */

static kr_val note(const struct graph_inst *inst, const char *key)
{
    return kr_get(kr_at(kr_rec_root(inst->parent), "metadata.annotations"), kr_str_c(key));
}

static kr_val label(const struct graph_inst *inst, const char *key)
{
    return kr_get(kr_at(kr_rec_root(inst->parent), "metadata.labels"), kr_str_c(key));
}

static bool has_inventory(const struct graph_inst *inst)
{
    return label(inst, GRAPH_LABEL_SET_ID).kind != KR_NONE ||
           note(inst, GRAPH_ANNO_TOOLING).kind != KR_NONE ||
           note(inst, GRAPH_ANNO_KINDS).kind != KR_NONE ||
           note(inst, GRAPH_ANNO_NAMESPACES).kind != KR_NONE ||
           note(inst, GRAPH_ANNO_HASH).kind != KR_NONE;
}

bool inst__has_finalizer(const struct graph_inst *inst)
{
    KR_LIST_EACH (f, kr_at(kr_rec_root(inst->parent), "metadata.finalizers")) {
        if (kr_is_str(*f, KR_S(GRAPH_FINALIZER)))
            return true;
    }
    return false;
}

static bool is_our_tooling(kr_str tooling)
{
    return kr_str_starts(tooling, KR_S("kro/"));
}

/* Same words as kro: pkg/controller/instance/applyset/inventory.go. */
int inst__inventory_validate(struct inst_step *s, struct kr_err *err)
{
    const struct graph_inst *inst = s->inst;
    kr_str id = kr_text(label(inst, GRAPH_LABEL_SET_ID)), hash, want;
    kr_str tooling = kr_text(note(inst, GRAPH_ANNO_TOOLING));
    struct inst_inventory inv;

    if (!kr_str_eq(id, inst->part_of))
        return kr_fail(err, KR_E_INPUT, "invalid %s label: got \"" KR_FMT "\", want \"" KR_FMT "\"",
                       GRAPH_LABEL_SET_ID, KR_ARG(id), KR_ARG(inst->part_of));
    if (!is_our_tooling(tooling))
        return kr_fail(err, KR_E_INPUT, "invalid %s annotation: \"" KR_FMT "\" is not owned by kro",
                       GRAPH_ANNO_TOOLING, KR_ARG(tooling));
    if (note(inst, GRAPH_ANNO_KINDS).kind == KR_NONE)
        return kr_fail(err, KR_E_INPUT, "missing required %s annotation", GRAPH_ANNO_KINDS);
    if (note(inst, GRAPH_ANNO_NAMESPACES).kind == KR_NONE)
        return kr_fail(err, KR_E_INPUT, "missing required %s annotation", GRAPH_ANNO_NAMESPACES);
    KR_TRY(read_inventory(s->a, kr_text(note(inst, GRAPH_ANNO_KINDS)),
                          kr_text(note(inst, GRAPH_ANNO_NAMESPACES)), &inv, err));
    if (note(inst, GRAPH_ANNO_HASH).kind == KR_NONE)
        return 0;
    hash = kr_text(note(inst, GRAPH_ANNO_HASH));
    want = inventory_hash(s->a, id, &inv);
    if (!kr_str_eq(hash, want))
        return kr_fail(err, KR_E_INPUT,
                       "invalid %s annotation: got \"" KR_FMT "\", want \"" KR_FMT "\"",
                       GRAPH_ANNO_HASH, KR_ARG(hash), KR_ARG(want));
    return 0;
}

/* What the annotations list; empty when they cannot be read, which is noted. */
const struct inst_inventory *inst__wire(struct inst_step *s)
{
    struct graph_inst *inst = s->inst;
    struct kr_err err = KR_ERR_NONE;

    if (s->wire_read)
        return &s->wire;
    s->wire_read = true;
    s->wire = (struct inst_inventory){0};
    if (read_inventory(s->a, kr_text(note(inst, GRAPH_ANNO_KINDS)),
                       kr_text(note(inst, GRAPH_ANNO_NAMESPACES)), &s->wire, &err) < 0)
        s->wire = (struct inst_inventory){0};
    inst->status_dirty |= inst__text(&inst->projection_error, kr_err_str(&err));
    return &s->wire;
}

bool inst__covers(struct inst_step *s, uint32_t rank, const struct inst_item *item)
{
    const struct inst_inventory *wire = inst__wire(s);
    kr_str kind = inst__kind_text(s->a, s->inst->rev->nodes[rank].gvk);

    if (s->inst->shrinking)
        return false; /* what the object shows may be taken out at this moment */
    if (s->inst->labeller.accepted)
        return true;
    if (!inst__has_finalizer(s->inst) || s->inst->projection_error)
        return false;
    if (!names_has(wire->kinds, wire->kinds_n, kind))
        return false;
    return !item->namespace ||
           names_has(wire->namespaces, wire->namespaces_n, inst__str(item->namespace));
}

/* --- what it should say ----------------------------------------------------------------------- */

static bool is_managed(const struct graph_node *node)
{
    return node->kind == GRAPH_RESOURCE || node->kind == GRAPH_COLLECTION;
}

/* A node that was not evaluated because an external object is not known yet may turn out to be
 * excluded: after a restart that must not cost a write. Before the first write all count; later
 * a collection without items has no member, whatever it waits for. */
static bool counts(struct inst_step *s, uint32_t rank, bool unanswered)
{
    const struct graph_inst *inst = s->inst;

    if (!is_managed(&inst->rev->nodes[rank]) || inst->nodes[rank].state == INST_SKIPPED)
        return false;
    if (inst->nodes[rank].items_n == 0)
        return inst->nodes[rank].state != INST_RESOLVED && !inst__has_finalizer(inst);
    return !(unanswered && inst->nodes[rank].state == INST_NEW && inst__has_finalizer(inst));
}

static struct inst_inventory wanted(struct inst_step *s, bool shrink)
{
    const struct graph_inst *inst = s->inst;
    const struct inst_inventory *wire = inst__wire(s);
    struct names kinds = {.a = s->a}, namespaces = {.a = s->a};
    /* Suspended: nothing is evaluated, so nothing is added to what is listed. */
    uint32_t nodes_n = inst__suspended(inst) && inst__has_finalizer(inst) ? 0 : inst->nodes_n;
    bool unanswered = false;

    for (uint32_t i = 0; i < inst->nodes_n; i++)
        unanswered |= inst__unanswered(inst, i);
    for (uint32_t i = 0; !shrink && i < wire->kinds_n; i++)
        names_add(&kinds, wire->kinds[i]);
    for (uint32_t i = 0; !shrink && i < wire->namespaces_n; i++)
        names_add(&namespaces, wire->namespaces[i]);
    for (uint32_t i = 0; i < nodes_n; i++) {
        const struct inst_node *node = &inst->nodes[i];

        if (!counts(s, i, unanswered))
            continue;
        names_add(&kinds, inst__kind_text(s->a, inst->rev->nodes[i].gvk));
        for (uint32_t k = 0; k < node->items_n; k++) {
            if (node->items[k].namespace)
                names_add(&namespaces, inst__str(node->items[k].namespace));
        }
    }
    return (struct inst_inventory){.kinds_n = kinds.n,
                                   .kinds = kinds.items,
                                   .namespaces_n = namespaces.n,
                                   .namespaces = namespaces.items};
}

void inst__ask_types(struct inst_step *s, const kr_str *kinds, uint32_t n)
{
    struct graph_inst *inst = s->inst;
    struct kr_listb list = KR_LISTB(s->a);
    struct graph_action *action;
    kr_val body;
    uint64_t digest;

    for (uint32_t i = 0; i < n; i++)
        kr_listb_add(&list, kr_string(kinds[i]));
    body = kr_listb_done(&list);
    digest = n ? kr_digest(body) : 0;
    if (digest == inst->types_asked)
        return;
    inst->types_asked = digest;
    inst->types_known = false;
    inst__text(&inst->types_why, KR_S(""));
    action = graph_plan_add(s->plan, GRAPH_A_TYPES);
    action->ref = inst->ref;
    action->body = body;
}

/* Kinds in the inventory that no node of the revision has: their members are to be pruned. */
static void ask_foreign_types(struct inst_step *s)
{
    const struct graph_inst *inst = s->inst;
    const struct inst_inventory *wire = inst__wire(s);
    struct names own = {.a = s->a}, extra = {.a = s->a};

    for (uint32_t i = 0; i < inst->nodes_n; i++) {
        if (is_managed(&inst->rev->nodes[i]))
            names_add(&own, inst__kind_text(s->a, inst->rev->nodes[i].gvk));
    }
    for (uint32_t i = 0; i < wire->kinds_n; i++) {
        if (!names_has(own.items, own.n, wire->kinds[i]))
            names_add(&extra, wire->kinds[i]);
    }
    inst__ask_types(s, extra.items, extra.n);
}

static kr_val parent_body(struct inst_step *s, struct kr_mapb *labels,
                          const struct inst_inventory *inv, kr_str tooling, kr_val finalizers)
{
    const struct graph_inst *inst = s->inst;
    struct kr_mapb notes = KR_MAPB(s->a), meta = KR_MAPB(s->a), body = KR_MAPB(s->a);

    kr_mapb_put(&notes, KR_S(GRAPH_ANNO_TOOLING), kr_string(tooling));
    kr_mapb_put(&notes, KR_S(GRAPH_ANNO_KINDS),
                kr_string(names_join(s->a, inv->kinds, inv->kinds_n)));
    kr_mapb_put(&notes, KR_S(GRAPH_ANNO_NAMESPACES),
                kr_string(names_join(s->a, inv->namespaces, inv->namespaces_n)));
    kr_mapb_put(&notes, KR_S(GRAPH_ANNO_HASH), kr_string(inventory_hash(s->a, inst->part_of, inv)));
    kr_mapb_put(labels, KR_S(GRAPH_LABEL_SET_ID), kr_string(inst->part_of));
    kr_mapb_put(&meta, KR_S("name"), kr_string(inst->ref.name));
    if (inst->ref.namespace.n)
        kr_mapb_put(&meta, KR_S("namespace"), kr_string(inst->ref.namespace));
    kr_mapb_put(&meta, KR_S("labels"), kr_mapb_done(labels));
    kr_mapb_put(&meta, KR_S("annotations"), kr_mapb_done(&notes));
    if (finalizers.kind == KR_LIST)
        kr_mapb_put(&meta, KR_S("finalizers"), finalizers);
    kr_mapb_put(&body, KR_S("apiVersion"),
                kr_string(kr_api_version_text(s->a, inst->gvk.group, inst->gvk.version)));
    kr_mapb_put(&body, KR_S("kind"), kr_string(inst->gvk.kind));
    kr_mapb_put(&body, KR_S("metadata"), kr_mapb_done(&meta));
    return kr_mapb_done(&body);
}

static kr_val labeller_body(struct inst_step *s, const struct inst_inventory *inv, kr_str tooling)
{
    const struct graph_rev *rev = s->inst->rev;
    struct kr_mapb labels = KR_MAPB(s->a);
    struct kr_listb finalizers = KR_LISTB(s->a);

    kr_listb_add(&finalizers, KR_V_STR(GRAPH_FINALIZER));
    kr_mapb_put(&labels, KR_S(GRAPH_LABEL_OWNED), KR_V_STR("true"));
    kr_mapb_put(&labels, KR_S(GRAPH_LABEL_VERSION),
                kr_string(graph_version_label(s->a, s->env->version)));
    kr_mapb_put(&labels, KR_S(GRAPH_LABEL_RGD_ID), kr_string(rev->rgd_uid));
    kr_mapb_put(&labels, KR_S(GRAPH_LABEL_RGD_NAME), kr_string(rev->rgd_name));
    if (s->env->bucket.n)
        kr_mapb_put(&labels, KR_S(GRAPH_LABEL_BUCKET), kr_string(s->env->bucket));
    return parent_body(s, &labels, inv, tooling, kr_listb_done(&finalizers));
}

/* Are finalizer, labels and inventory on the object as body has them, versions apart? */
static bool is_in_place(const struct graph_inst *inst, kr_val body)
{
    if (!inst__has_finalizer(inst))
        return false;
    KR_MAP_EACH (p, kr_at(body, "metadata.labels")) {
        kr_val live = kr_get(kr_at(kr_rec_root(inst->parent), "metadata.labels"), kr_text(p->key));

        if (!kr_equal(live, p->val) &&
            !(kr_is_str(p->key, KR_S(GRAPH_LABEL_VERSION)) && live.kind == KR_STRING))
            return false;
    }
    KR_MAP_EACH (p, kr_at(body, "metadata.annotations")) {
        if (!kr_equal(
                kr_get(kr_at(kr_rec_root(inst->parent), "metadata.annotations"), kr_text(p->key)),
                p->val))
            return false;
    }
    return true;
}

/* Digest of what the labeller's apply shows on the object. */
static uint64_t meta_digest(struct inst_step *s)
{
    struct kr_listb list = KR_LISTB(s->a);
    uint32_t n;
    const struct graph_read *needs = graph_parent_needs(&n);

    for (uint32_t i = 0; i < n; i++) {
        bool meta =
            needs[i].n == 3 || (needs[i].n == 2 && kr_str_is(needs[i].names[1], "finalizers"));

        kr_listb_add(&list,
                     meta ? kr_at_path(kr_rec_root(s->inst->parent), needs[i].names, needs[i].n)
                          : KR_V_NONE);
    }
    return kr_digest(kr_listb_done(&list));
}

/* shrink: its inventory lacks what the object has. */
static void send_parent(struct inst_step *s, struct inst_write *w, const char *manager, kr_val body,
                        uint64_t digest, bool shrink)
{
    struct graph_action *action;

    if (w->token || !inst__due(s, &w->retry))
        return;
    w->token = inst__token(s->inst);
    w->sent = digest;
    w->fresh = w->accepted = false;
    s->inst->shrinking |= shrink;
    action = graph_plan_add(s->plan, GRAPH_A_APPLY_PARENT);
    action->token = w->token;
    action->ref = s->inst->ref;
    action->gvk = s->inst->gvk;
    action->manager = manager;
    /* An apply creates what is not there: with the uid it cannot bring a deleted instance back. */
    action->body = kr_with(s->a, body, "metadata.uid", kr_string(kr_rec_uid(s->inst->parent)));
}

/* Is what is there what the server made of what we sent? */
static bool is_accepted(struct inst_write *w, uint64_t digest, uint64_t seen)
{
    if (w->fresh) {
        w->fresh = false;
        w->seen = seen;
    }
    w->accepted = w->sent == digest && w->seen == seen && !w->token && !w->error;
    return w->accepted;
}

/* Nobody has told what came of an apply of a smaller inventory: what the object shows does not hold. */
static bool is_open(const struct graph_inst *inst, const struct inst_write *w)
{
    return inst->shrinking && w->error && w->retrying;
}

static bool labeller_done(struct inst_step *s, const struct inst_inventory *inv, kr_str tooling,
                          bool shrink)
{
    struct graph_inst *inst = s->inst;
    kr_str ours = kr_fmt(s->a, "kro/" KR_FMT, KR_ARG(s->env->version));
    kr_val body = labeller_body(s, inv, ours);
    uint64_t digest = kr_digest(body);

    if (!is_open(inst, &inst->labeller) && is_in_place(inst, labeller_body(s, inv, tooling))) {
        inst->labeller.fresh = inst->labeller.accepted = false;
        inst->status_dirty |= inst__text(&inst->labeller.error, KR_S(""));
        return inst->labeller.token == 0;
    }
    if (is_accepted(&inst->labeller, digest, meta_digest(s)))
        return true;
    /* Both in flight would leave it open which of them the object shows. */
    if (!inst->applyset.token)
        send_parent(s, &inst->labeller, GRAPH_MANAGER_LABELLER, body, digest, shrink);
    return false;
}

static bool applyset_done(struct inst_step *s, const struct inst_inventory *inv, kr_str tooling,
                          bool shrink)
{
    struct graph_inst *inst = s->inst;
    const struct kr_rec *rec = inst->parent;
    struct kr_mapb none = KR_MAPB(s->a), more = KR_MAPB(s->a);
    kr_str ours = kr_fmt(s->a, "kro/" KR_FMT, KR_ARG(s->env->version));
    kr_val body = parent_body(s, &none, inv, ours, KR_V_NONE);
    kr_val there = parent_body(s, &more, inv, tooling, KR_V_NONE);
    uint64_t digest = kr_digest(body), live;

    if (!is_open(inst, &inst->applyset) && rec->owned &&
        kr_fieldset_digest_desired(rec->owned, there, NULL, s->a, &live) &&
        live == rec->owned_digest) {
        inst->applyset.fresh = false;
        inst->status_dirty |= inst__text(&inst->applyset.error, KR_S(""));
        inst->shrinking &= inst->applyset.token != 0;
        return inst->applyset.token == 0;
    }
    if (is_accepted(&inst->applyset, digest, rec->owned_digest)) {
        inst->shrinking = false;
        return true;
    }
    send_parent(s, &inst->applyset, GRAPH_MANAGER_PARENT, body, digest, shrink);
    return false;
}

/* Brings the parent's metadata to what it should be: labeller first. Sets managed_error where the
 * inventory found forbids it. */
void inst__manage(struct inst_step *s)
{
    struct graph_inst *inst = s->inst;
    bool shrink = inst->pruned && !inst__suspended(inst) && inst__prune_done(s);
    kr_str tooling = kr_text(note(inst, GRAPH_ANNO_TOOLING));
    struct kr_err err = KR_ERR_NONE;
    struct inst_inventory inv;

    if (!inst->manage_dirty)
        return;
    inst__wire(s);
    if (!inst__has_finalizer(inst) && has_inventory(inst) &&
        inst__inventory_validate(s, &err) < 0) {
        inst->status_dirty |= inst__text(&inst->managed_error, kr_err_str(&err));
        return;
    }
    inst->status_dirty |= inst__text(&inst->managed_error, KR_S(""));
    if (inst->projection_error)
        return;
    ask_foreign_types(s);
    if (!is_our_tooling(tooling))
        tooling = kr_fmt(s->a, "kro/" KR_FMT, KR_ARG(s->env->version));
    inv = wanted(s, shrink);
    if (!labeller_done(s, &inv, tooling, shrink) || !applyset_done(s, &inv, tooling, shrink))
        return;
    inst->manage_dirty = false;
    if (shrink)
        inst->pruned = false;
}
