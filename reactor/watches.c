/* SPDX-License-Identifier: Apache-2.0 */
/* watches.c - which types and objects are followed for whom.
 *
 * A watch is found by role, type and, for a single external object, its name; it lives as long as it
 * has users. A use says what one node of a serving revision reads of the store: its paths become
 * leaves of the store's projection. When a use makes the projection wider, the type is listed again
 * and is not known until then: no step may see a record that lacks a path somebody reads.
 *
 * External objects of one type are followed one by one up to REACTOR_EXTERNAL_SINGLES; those wanted
 * beyond that share one watch of the type. Equal selectors in one namespace share a watch.
 */
#include "cel/base/log.h"
#include "reactor/internal.h"

static const char *const role_names[] = {
    [REACTOR_W_RGDS] = "rgds",         [REACTOR_W_REVISIONS] = "revisions",
    [REACTOR_W_CRDS] = "crds",         [REACTOR_W_OWN_CRDS] = "owncrds",
    [REACTOR_W_PARENTS] = "parents",   [REACTOR_W_CHILDREN] = "children",
    [REACTOR_W_ONE] = "one",           [REACTOR_W_SHARED] = "shared",
    [REACTOR_W_SELECTED] = "selected",
};

static bool role_is_external(enum reactor_role role)
{
    return role == REACTOR_W_ONE || role == REACTOR_W_SHARED || role == REACTOR_W_SELECTED;
}

static kr_str watch_key(struct kr_arena *a, enum reactor_role role, kr_gvr gvr, kr_str namespace,
                        kr_str name)
{
    kr_str type = kr_gvr_key(a, gvr);

    return kr_fmt(a, "%s " KR_FMT " " KR_FMT "/" KR_FMT, role_names[role], KR_ARG(type),
                  KR_ARG(namespace), KR_ARG(name));
}

/* --- what each role asks the server for ------------------------------------------------------- */

static const char *const path_metadata_generation[] = {"metadata", "generation"};
static const char *const path_metadata_labels[] = {"metadata", "labels"};
static const char *const path_spec_group[] = {"spec", "group"};
static const char *const path_spec_kind[] = {"spec", "names", "kind"};
static const char *const path_status_conditions[] = {"status", "conditions"};

#define PATH(p)                                                                                    \
    {                                                                                              \
        p, KR_N(p)                                                                                 \
    }
static const struct {
    const char *const *names;
    uint32_t n;
} crd_paths[] = {
    PATH(path_metadata_generation), PATH(path_metadata_labels),   PATH(path_spec_group),
    PATH(path_spec_kind),           PATH(path_status_conditions),
};
#undef PATH

static void keep_path(struct kube_projection *p, const char *const *names, uint32_t n)
{
    kr_str parts[8];
    uint32_t leaf;
    struct kr_err err = KR_ERR_NONE;

    KR_ASSERT(n <= KR_N(parts));
    for (uint32_t i = 0; i < n; i++)
        parts[i] = kr_str_c(names[i]);
    KR_ASSERT(kube_projection_add(p, parts, n, &leaf, &err) >= 0);
}

static void role_projection(struct reactor_watch *w)
{
    struct kube_projection *p = kube_store_projection(w->store);

    switch (w->role) {
    case REACTOR_W_RGDS:
    case REACTOR_W_REVISIONS:
    case REACTOR_W_OWN_CRDS:
        kube_projection_keep_plain(p); /* definitions look at them for as long as they hold them */
        keep_path(p, NULL, 0);         /* the whole object */
        return;
    case REACTOR_W_CRDS:
        kube_projection_keep_plain(p);
        for (size_t i = 0; i < KR_N(crd_paths); i++)
            keep_path(p, crd_paths[i].names, crd_paths[i].n);
        return;
    default:
        return; /* what its uses read */
    }
}

static void role_options(struct reactor_watch *w, struct kube_watch_opts *o)
{
    o->namespace = w->r->opts.namespace;
    switch (w->role) {
    case REACTOR_W_RGDS:
    case REACTOR_W_REVISIONS:
    case REACTOR_W_CRDS:
        o->namespace = KR_S("");
        return;
    case REACTOR_W_OWN_CRDS:
        o->namespace = KR_S("");
        o->label_selector = KR_S(GRAPH_LABEL_OWNED "=true");
        return;
    case REACTOR_W_CHILDREN:
        o->label_selector = KR_S(GRAPH_LABEL_PART_OF);
        break;
    case REACTOR_W_ONE:
        o->namespace = w->namespace;
        o->field_selector = kr_fmt(&w->arena, "metadata.name=" KR_FMT, KR_ARG(w->name));
        return;
    case REACTOR_W_SELECTED:
        if (w->namespace.n) /* else all that this process may see */
            o->namespace = w->namespace;
        o->label_selector = w->name;
        return;
    default:
        break;
    }
}

/* Items of a list carry no kind of their own. The kinds that the program itself needs are known before
 * discovery; every other type was found through it. */
static kr_str kind_of(struct reactor *r, kr_gvr gvr)
{
    static const struct {
        const char *resource, *kind;
    } own[] = {
        {"resourcegraphdefinitions", "ResourceGraphDefinition"},
        {"graphrevisions", "GraphRevision"},
        {"customresourcedefinitions", "CustomResourceDefinition"},
    };
    const struct kube_kind *k =
        kube_discovery_ready(r->discovery) ? kube_discovery_resource(r->discovery, gvr) : NULL;

    for (size_t i = 0; !k && i < KR_N(own); i++) {
        if (kr_str_eq(gvr.resource, kr_str_c(own[i].resource)))
            return kr_str_c(own[i].kind);
    }
    return k ? k->gvk.kind : KR_S("");
}

/* Whose ownership the records keep. */
static kr_str role_manager(enum reactor_role role)
{
    if (role == REACTOR_W_CHILDREN)
        return KR_S(GRAPH_MANAGER_CHILD);
    return role == REACTOR_W_PARENTS ? KR_S(GRAPH_MANAGER_PARENT) : KR_S("");
}

static bool type_is_namespaced(struct reactor *r, kr_gvr gvr)
{
    const struct kube_kind *k =
        kube_discovery_ready(r->discovery) ? kube_discovery_resource(r->discovery, gvr) : NULL;

    return !k || k->namespaced;
}

/* --- life ------------------------------------------------------------------------------------- */

static void on_trouble(struct kube_watch *kw, void *arg)
{
    (void)kw;
    reactor__watch_touch(arg);
}

static struct reactor_watch *watch_open(struct reactor *r, enum reactor_role role, kr_str key,
                                        kr_gvr gvr, kr_str namespace, kr_str name)
{
    struct reactor_watch *w = KR_ALLOC(struct reactor_watch);
    struct kube_watch_opts opts = {0};
    struct kube_store_opts so = {0};

    w->r = r;
    w->role = role;
    w->key = kr_strdup(&w->arena, key);
    w->gvr = kr_gvr_copy(&w->arena, gvr);
    w->namespace = kr_strdup(&w->arena, namespace);
    w->name = kr_strdup(&w->arena, name);
    kr_link_init(&w->uses);
    so.gvr = w->gvr;
    w->kind = so.kind = kr_strdup(&w->arena, kind_of(r, w->gvr));
    so.manager = role_manager(role);
    so.pool = r->pool;
    so.changes = &r->changes;
    w->store = kube_store_new(&so);
    kube_store_set_owner(w->store, w);
    role_projection(w);
    role_options(w, &opts);
    if (!type_is_namespaced(r, w->gvr))
        opts.namespace = KR_S("");
    reactor__buckets_watch(w, &opts);
    kr_map_put(&r->watches, w->key, w);
    w->opened_ms = kube_now_ms(r->clock);
    w->watch = kube_watch_new(r->client, w->store, &opts);
    kube_watch_on_trouble(w->watch, on_trouble, w);
    return w;
}

struct reactor_watch *reactor__watch(struct reactor *r, enum reactor_role role, kr_gvr gvr,
                                     kr_str namespace, kr_str name)
{
    struct kr_arena a = {0};
    kr_str key = watch_key(&a, role, gvr, namespace, name);
    struct reactor_watch *w = kr_map_get(&r->watches, key);

    if (!w)
        w = watch_open(r, role, key, gvr, namespace, name);
    w->users_n++;
    kr_arena_fini(&a);
    return w;
}

void reactor__watch_release(struct reactor_watch *w)
{
    KR_ASSERT(w->users_n > 0);
    w->users_n--;
    reactor__watch_touch(w);
}

static void on_closed(struct kube_watch *kw, void *arg)
{
    struct reactor_watch *w = arg;

    (void)kw;
    w->r->closing_n--;
    kube_store_free(w->store);
    kr_map_fini(&w->exts);
    kr_arena_fini(&w->arena);
    kr_free(w);
}

static void watch_close(struct reactor_watch *w)
{
    KR_ASSERT(kr_link_empty(&w->uses));
    kr_link_remove(&w->todo);
    kr_map_del(&w->r->watches, w->key);
    if (w->role == REACTOR_W_CHILDREN)
        reactor__kin_forget(w->r, w->store);
    kube_store_set_owner(w->store, NULL);
    w->r->closing_n++;
    kube_watch_on_trouble(w->watch, NULL, NULL);
    kube_watch_close(w->watch, on_closed, w);
    reactor__buckets_look(w->r);
}

/* --- uses: read paths become leaves ----------------------------------------------------------- */

struct reactor_use *reactor__use_new(struct reactor_watch *w, struct reactor_served *served,
                                     uint32_t node, const struct graph_read *reads, uint32_t n)
{
    struct reactor_use *u = kr_alloc(sizeof *u + n * sizeof u->leaf[0]);
    bool wider = false;

    u->watch = w;
    u->served = served;
    u->rev = served->rev ? graph_rev_hold(served->rev) : NULL;
    u->node = node;
    u->reads_n = n;
    for (uint32_t i = 0; i < n; i++) {
        struct kr_err err = KR_ERR_NONE;
        int rc = kube_projection_add(kube_store_projection(w->store), reads[i].names, reads[i].n,
                                     &u->leaf[i], &err);

        if (rc < 0)
            u->leaf[i] = UINT32_MAX; /* over KUBE_PROJECTION_LEAVES_MAX: see use_bits */
        wider = wider || rc == 1;
    }
    kr_link_push(&w->uses, &u->link);
    w->users_n++;
    if (wider) {
        w->stale = true;
        kube_watch_relist(w->watch);
    }
    reactor__watch_touch(w);
    return u;
}

void reactor__use_free(struct reactor_use *u)
{
    if (!u)
        return;
    for (uint32_t i = 0; i < u->reads_n; i++) {
        if (u->leaf[i] != UINT32_MAX)
            kube_projection_drop(kube_store_projection(u->watch->store), u->leaf[i]);
    }
    kr_link_remove(&u->link);
    reactor__watch_release(u->watch);
    graph_rev_drop(u->rev);
    kr_free(u);
}

void reactor__use_bits(const struct reactor_use *u, const struct kr_bits *store_bits,
                       struct kr_arena *a, struct kr_bits *out)
{
    kr_bits_init(out, a, GRAPH_BITS_FIXED + u->reads_n);
    for (uint32_t i = 0; i < GRAPH_BITS_FIXED; i++) {
        if (kr_bits_has(store_bits, i))
            kr_bits_set(out, i);
    }
    for (uint32_t i = 0; i < u->reads_n; i++) {
        /* A path that found no leaf counts as changed by everything. */
        if (u->leaf[i] == UINT32_MAX || kr_bits_has(store_bits, KUBE_BITS_FIXED + u->leaf[i]))
            kr_bits_set(out, GRAPH_BITS_FIXED + i);
    }
}

/* --- known or not ----------------------------------------------------------------------------- */

bool reactor__watch_known(const struct reactor_watch *w)
{
    return kube_store_synced(w->store) && !w->stale;
}

kr_str reactor__watch_why(const struct reactor_watch *w, struct kr_arena *a)
{
    const struct kr_err *err = kube_watch_error(w->watch);

    if (w->lacking) /* Same words as client-go, which finds out by itself. */
        return kr_fmt(a, "no matches for kind \"" KR_FMT "\" in version \"" KR_FMT "%s" KR_FMT "\"",
                      KR_ARG(w->kind), KR_ARG(w->gvr.group), w->gvr.group.n ? "/" : "",
                      KR_ARG(w->gvr.version));
    return err && !reactor__watch_known(w) ? kr_strdup(a, kr_err_str(err)) : KR_S("");
}

void reactor__watch_touch(struct reactor_watch *w)
{
    if (kr_link_empty(&w->todo))
        kr_link_push(&w->r->watch_todo, &w->todo);
}

/* Tells the nodes that read this watch whether its objects are all known. */
static void tell_uses(struct reactor_watch *w, bool known)
{
    struct kr_link *l = w->uses.next;
    struct kr_arena a = {0};
    kr_str why = reactor__watch_why(w, &a);

    for (; l != &w->uses; l = l->next) {
        struct reactor_use *u = KR_OWNER(l, struct reactor_use, link);

        if (role_is_external(w->role))
            continue;
        for (struct kr_link *i = u->served->insts.next;
             u->node != REACTOR_PARENT && i != &u->served->insts; i = i->next)
            graph_inst_known(KR_OWNER(i, struct reactor_inst, link)->core, u->node, known, why);
        reactor__served_known(u->served);
    }
    kr_arena_fini(&a);
}

/* All that the watch has: the first answer, or one that holds what a new revision reads. */
static void tell_list(struct reactor_sub *sub)
{
    struct kube_store *store = sub->ext->watch->store;
    struct kr_rec **recs = kr_alloc(((size_t)kube_store_n(store) + 1) * sizeof(struct kr_rec *));
    struct kr_rec *rec;
    uint64_t at = 0;
    uint32_t n = 0;

    while ((rec = kube_store_next(store, &at)) != NULL)
        recs[n++] = rec;
    graph_inst_external_list(sub->inst->core, sub->node, recs, n);
    kr_free(recs);
}

/* An external object is known (present or absent) once its watch has listed; until then the node
 * hears why not, if there is a reason. */
static void tell_sub(struct reactor_sub *sub)
{
    struct reactor_watch *w = sub->ext->watch;
    bool known = reactor__watch_known(w);
    kr_str name = sub->ext->key, namespace = kr_str_cut(&name, '/');
    struct kr_arena a = {0};

    if (!sub->use)
        return;
    graph_inst_known(sub->inst->core, sub->node, known, reactor__watch_why(w, &a));
    if (known && w->role == REACTOR_W_SELECTED)
        tell_list(sub);
    else if (known)
        graph_inst_external(sub->inst->core, sub->node, kube_store_get(w->store, namespace, name),
                            NULL);
    reactor__inst_queue(sub->inst, REACTOR_P_CHANGE);
    kr_arena_fini(&a);
}

static void tell_exts(struct reactor_watch *w)
{
    kr_map_each (e, &w->exts) {
        struct reactor_ext *ext = e->val;

        for (struct kr_link *l = ext->subs.next; l != &ext->subs; l = l->next)
            tell_sub(KR_OWNER(l, struct reactor_sub, link));
    }
}

/* One line when a type cannot be followed, and one when it can again. A cause that all watches share
 * (the server is away) is said once. */
static void log_trouble(struct reactor_watch *w, const struct kr_err *err)
{
    struct reactor *r = w->r;
    struct kr_arena a = {0};
    kr_str type = kr_gvr_key(&a, w->gvr);

    if (!err) {
        kr_log(KR_INFO, "watch works", KV("resource", type));
    } else {
        kr_str text = kr_err_str(err);
        /* A type whose CRD has just come answers so for a second. */
        bool young = kr_str_find(text, KR_S("storage is (re)initializing")) >= 0;
        bool said = young || kr_str_eq(text, kr_str_c(r->trouble));

        kr_log(said ? KR_DBG : KR_WARN, "cannot watch", KV("resource", type), KV("reason", text));
        kr_free(r->trouble);
        r->trouble = kr_cstrdup(text);
    }
    kr_arena_fini(&a);
}

static void watch_look(struct reactor_watch *w)
{
    bool known = reactor__watch_known(w);
    const struct kr_err *err = kube_watch_error(w->watch);
    uint64_t error = err ? kr_str_hash(kr_err_str(err)) | 1 : 0;

    if (w->users_n == 0) {
        watch_close(w);
        return;
    }
    if (error != w->told_error && !w->r->stopping)
        log_trouble(w, err);
    if (error && w->loads_run)
        reactor__buckets_look(w->r);
    if (known != w->known || error != w->told_error) {
        w->known = known;
        w->told_error = error;
        tell_uses(w, known);
        if (role_is_external(w->role))
            tell_exts(w);
        w->r->types_dirty = true;
        if (w->role <= REACTOR_W_OWN_CRDS)
            reactor__defs_known(w->r);
    }
}

/* Does the CRD of this name ("plural.group") define the type? */
static bool is_crd_of(kr_str name, kr_gvr gvr)
{
    kr_str plural = kr_str_cut(&name, '.');

    return gvr.group.n > 0 && kr_str_eq(plural, gvr.resource) && kr_str_eq(name, gvr.group);
}

void reactor__watches_type(struct reactor *r, kr_str crd, bool there)
{
    kr_map_each (e, &r->watches) {
        struct reactor_watch *w = e->val;

        if (w->role <= REACTOR_W_PARENTS || !is_crd_of(crd, w->gvr))
            continue; /* the definitions look after their own kinds */
        if (!there && !w->lacking)
            w->stale = true;
        w->lacking = !there;
        kube_watch_type(w->watch, there);
        if (w->users_n > 0)
            watch_look(w); /* at once: no step of this turn shall write objects of it */
    }
}

void reactor__watches_schema(struct reactor *r, kr_str crd)
{
    kr_map_each (e, &r->watches) {
        struct reactor_watch *w = e->val;

        if (is_crd_of(crd, w->gvr))
            kube_watch_schema(w->watch);
    }
}

/* What w has seen does not count any more. */
static void list_anew(struct reactor_watch *w)
{
    if (w->stale || !kube_store_synced(w->store))
        return; /* is being listed */
    w->stale = true;
    kube_watch_relist(w->watch);
    if (w->users_n > 0)
        watch_look(w); /* at once: no step of this turn shall take it as known */
}

void reactor__watches_back(struct reactor *r, struct reactor_watch *w)
{
    kr_log(KR_WARN, "the server went back to a former state: everything is listed again",
           KV("resource", w ? w->gvr.resource : KR_S("")));
    kr_map_each (e, &r->watches) {
        struct reactor_watch *other = e->val;

        if (other != w)
            list_anew(other);
    }
}

void reactor__watches_behind(struct reactor *r)
{
    kr_map_each (e, &r->watches) {
        struct reactor_watch *w = e->val;

        if (kr_str_is(kr_str_c(kube_watch_state(w->watch)), "backoff"))
            list_anew(w);
    }
}

void reactor__watches_turn(struct reactor *r)
{
    struct kr_link todo, *l;

    kr_link_take(&todo, &r->watch_todo);
    while ((l = kr_link_pop(&todo)) != NULL)
        watch_look(KR_OWNER(l, struct reactor_watch, todo));
    if (r->types_dirty) {
        r->types_dirty = false;
        reactor__types_check(r);
    }
}

/* --- external objects ------------------------------------------------------------------------- */

static kr_str ext_key(struct kr_arena *a, kr_ref ref)
{
    return kr_fmt(a, KR_FMT "/" KR_FMT, KR_ARG(ref.namespace), KR_ARG(ref.name));
}

/* The watch that shall follow ref: its own, or the shared one of the type once many are wanted. */
static struct reactor_watch *ext_watch(struct reactor *r, kr_ref ref)
{
    struct kr_arena a = {0};
    kr_str type = kr_gvr_key(&a, ref.gvr);
    uintptr_t wanted = (uintptr_t)kr_map_get(&r->ext_modes, type);
    struct reactor_watch *w =
        kr_map_get(&r->watches, watch_key(&a, REACTOR_W_ONE, ref.gvr, ref.namespace, ref.name));

    if (w)
        w->users_n++;
    else if (wanted >= REACTOR_EXTERNAL_SINGLES)
        w = reactor__watch(r, REACTOR_W_SHARED, ref.gvr, KR_S(""), KR_S(""));
    else
        w = reactor__watch(r, REACTOR_W_ONE, ref.gvr, ref.namespace, ref.name);
    kr_arena_fini(&a);
    return w;
}

/* How many single objects of a type are wanted. */
static void ext_count(struct reactor_watch *w, int by)
{
    struct reactor *r = w->r;
    struct kr_arena a = {0};
    kr_str type = kr_gvr_key(&a, w->gvr);
    uintptr_t n = (uintptr_t)kr_map_get(&r->ext_modes, type) + (uintptr_t)(intptr_t)by;

    if (n)
        kr_map_put(&r->ext_modes, type, (void *)n); // NOLINT(performance-no-int-to-ptr): a counter
    else
        kr_map_del(&r->ext_modes, type);
    kr_arena_fini(&a);
}

static struct reactor_ext *ext_find(struct reactor_watch *w, kr_ref ref)
{
    struct kr_arena a = {0};
    kr_str key = ext_key(&a, ref);
    struct reactor_ext *ext = kr_map_get(&w->exts, key);

    if (!ext) {
        ext = KR_ALLOC(struct reactor_ext);
        ext->key = kr_str_c(kr_cstrdup(key));
        ext->watch = w;
        kr_link_init(&ext->subs);
        kr_map_put(&w->exts, key, ext);
        if (w->role != REACTOR_W_SELECTED)
            ext_count(w, 1);
    }
    kr_arena_fini(&a);
    return ext;
}

static struct reactor_use *ext_use(struct reactor_watch *w, struct reactor_served *served,
                                   uint32_t node)
{
    const struct graph_node *n = &served->rev->nodes[node];

    for (struct kr_link *l = w->uses.next; l != &w->uses; l = l->next) {
        struct reactor_use *u = KR_OWNER(l, struct reactor_use, link);

        if (u->served == served && u->rev == served->rev && u->node == node)
            return u;
    }
    return reactor__use_new(w, served, node, n->reads, n->reads_n);
}

/* What a WATCH or UNWATCH names: an object, or a selector in the place of its name. */
static kr_ref target_of(const struct graph_action *act)
{
    kr_ref ref = act->ref;

    if (ref.name.n == 0)
        ref.name = act->selector;
    return ref;
}

void reactor__ext_subscribe(struct reactor *r, struct reactor_inst *inst,
                            const struct graph_action *act)
{
    kr_ref ref = target_of(act);
    struct reactor_watch *w;
    struct reactor_sub *sub;

    if (!inst->served || !inst->served->rev || act->node >= inst->served->rev->nodes_n)
        return;
    w = act->ref.name.n ? ext_watch(r, ref)
                        : reactor__watch(r, REACTOR_W_SELECTED, ref.gvr, ref.namespace, ref.name);
    sub = KR_ALLOC(struct reactor_sub);
    sub->inst = inst;
    sub->node = act->node;
    sub->was = UINT32_MAX;
    sub->ext = ext_find(w, ref);
    sub->use = ext_use(w, inst->served, act->node);
    sub->use->subs_n++;
    kr_link_push(&sub->ext->subs, &sub->link);
    kr_link_push(&inst->subs, &sub->inst_link);
    if (w->known || w->told_error)
        tell_sub(sub);
}

void reactor__use_leave(struct reactor_use *use)
{
    if (use && --use->subs_n == 0)
        reactor__use_free(use);
}

void reactor__sub_free(struct reactor_sub *sub)
{
    struct reactor_ext *ext = sub->ext;
    struct reactor_watch *watch = ext->watch;

    kr_link_remove(&sub->link);
    kr_link_remove(&sub->inst_link);
    if (kr_link_empty(&ext->subs)) {
        if (ext->watch->role != REACTOR_W_SELECTED)
            ext_count(ext->watch, -1);
        kr_map_del(&ext->watch->exts, ext->key);
        kr_free((char *)(uintptr_t)ext->key.s);
        kr_free(ext);
    }
    reactor__use_leave(sub->use);
    reactor__watch_release(watch);
    kr_free(sub);
}

void reactor__subs_carry(struct reactor_inst *inst, const struct graph_rev *old)
{
    struct graph_rev *rev = inst->served->rev;

    for (struct kr_link *l = inst->subs.next; l != &inst->subs; l = l->next) {
        struct reactor_sub *sub = KR_OWNER(l, struct reactor_sub, inst_link);
        struct reactor_use *use = sub->use;
        int32_t rank = rev && old && use ? graph_rev_rank(rev, old->nodes[sub->node].id) : -1;

        sub->use = NULL;
        if (rank >= 0 && rev->nodes[rank].kind == old->nodes[sub->node].kind &&
            kr_gvr_eq(rev->nodes[rank].gvr, sub->ext->watch->gvr)) {
            if (sub->was == UINT32_MAX && sub->node != (uint32_t)rank)
                sub->was = sub->node;
            sub->node = (uint32_t)rank;
            sub->use = ext_use(sub->ext->watch, inst->served, sub->node);
            sub->use->subs_n++;
        }
        reactor__use_leave(
            use); /* after the new one came: the projection does not narrow in between */
        if (sub->use && (sub->ext->watch->known || sub->ext->watch->told_error))
            tell_sub(sub);
    }
}

/* How surely an UNWATCH for that rank means sub: those of a former revision go first (their ranks mean
 * nothing any more), then the one that was moved away from the rank. */
static int unwatch_fits(const struct reactor_sub *sub, uint32_t rank)
{
    if (!sub->use)
        return 3;
    if (sub->was != UINT32_MAX)
        return sub->was == rank ? 2 : 0;
    return sub->node == rank ? 1 : 0;
}

void reactor__ext_unsubscribe(struct reactor *r, struct reactor_inst *inst,
                              const struct graph_action *act)
{
    bool single = act->ref.name.n > 0;
    struct reactor_sub *found = NULL;
    kr_ref ref = target_of(act);
    struct kr_arena a = {0};
    kr_str key = ext_key(&a, ref);

    (void)r;
    for (struct kr_link *l = inst->subs.next; l != &inst->subs; l = l->next) {
        struct reactor_sub *sub = KR_OWNER(l, struct reactor_sub, inst_link);

        if (single == (sub->ext->watch->role == REACTOR_W_SELECTED) ||
            !kr_str_eq(sub->ext->key, key) || !kr_gvr_eq(sub->ext->watch->gvr, ref.gvr))
            continue;
        if (!found || unwatch_fits(sub, act->node) > unwatch_fits(found, act->node))
            found = sub;
    }
    kr_arena_fini(&a);
    if (found)
        reactor__sub_free(found);
}
