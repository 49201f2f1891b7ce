/* SPDX-License-Identifier: Apache-2.0 */
/* discovery.c - which kinds the server has.
 *
 *   IDLE --refresh--> CORE --/api--> GROUPS --/apis--> DONE ----> IDLE
 *                       |              |                 ^
 *                       +--- failed ---+--> LEGACY ------+
 *                                          one request per group version, all at once
 *
 * Both documents are asked for in the aggregated form; a server that does not have it answers with
 * the legacy one (APIVersions, APIGroupList), which only names group versions. The next snapshot is
 * filled on the way and takes the place of the old one at the end. Its order is the server's order
 * of preference, so the first kind of a group and name is the preferred one.
 */
#include "kube/discovery.h"

#include "cel/base/map.h"
#include "cel/base/sm.h"

#include "cel/base/banned.h"

#define ACCEPT_AGGREGATED                                                                          \
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"                        \
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"

enum { D_IDLE, D_CORE, D_GROUPS, D_LEGACY, D_N };

#define TO(s) (1u << D_##s)
static const struct kr_sm_state discovery_states[D_N] = {
    [D_IDLE] = {"idle", TO(CORE)},
    [D_CORE] = {"core", TO(GROUPS) | TO(IDLE)},
    [D_GROUPS] = {"groups", TO(LEGACY) | TO(IDLE)},
    [D_LEGACY] = {"legacy", TO(IDLE)},
};
#undef TO

struct snapshot {
    struct kr_arena a; /* kinds and their strings */
    struct kube_kind **kinds;
    uint32_t kinds_n, kinds_cap;
    struct kr_map by_gvk, by_gvr; /* "group/version/name" -> struct kube_kind */
    struct kr_map by_group;       /* "group/kind" -> the first */
    struct kr_map unread;         /* "group/version" and "group/": their kinds were not told */
};

/* A group version whose kinds a request of its own must tell. */
struct legacy {
    struct kube_discovery *owner;
    struct kube_req req;
    kr_str group, version; /* live in the next snapshot */
};

struct waiter {
    kube_discovery_fn *fn;
    void *arg;
};

struct kube_discovery {
    struct kr_sm sm;
    struct kube_client *client;
    struct snapshot *now;  /* NULL before the first success */
    struct snapshot *next; /* being filled; NULL when idle */
    struct waiter *waiters;
    uint32_t waiters_n, waiters_cap;
    int rc;
    struct kr_err err;

    struct kube_req req; /* of CORE and GROUPS */
    struct legacy **legacy;
    uint32_t legacy_n, legacy_cap, legacy_busy_n;
};

/* --- snapshots -------------------------------------------------------------------------------- */

static void snapshot_free(struct snapshot *s)
{
    if (!s)
        return;
    kr_map_fini(&s->by_gvk);
    kr_map_fini(&s->by_gvr);
    kr_map_fini(&s->by_group);
    kr_map_fini(&s->unread);
    kr_free(s->kinds);
    kr_arena_fini(&s->a);
    kr_free(s);
}

enum { KEY_MAX = 1024 }; /* bytes; a longer name is no name of Kubernetes and is not found */

/* Prints "a/b/c" (or "a/b" without c); empty when it is too long. */
static kr_str key(char out[KEY_MAX], kr_str a, kr_str b, kr_str c)
{
    size_t n = 0;
    kr_str parts[] = {a, b, c};

    if (a.n + b.n + c.n + 2 > KEY_MAX)
        return (kr_str){0};
    for (size_t i = 0; i < KR_N(parts); i++) {
        if (i > 0)
            out[n++] = '/';
        if (parts[i].n > 0)
            memcpy(out + n, parts[i].s, parts[i].n);
        n += parts[i].n;
    }
    return (kr_str){out, n};
}

static void *find(const struct kr_map *m, kr_str a, kr_str b, kr_str c)
{
    char buf[KEY_MAX];
    kr_str k = key(buf, a, b, c);

    return k.n > 0 ? kr_map_get(m, k) : NULL;
}

/* Enters k under a key unless another one is there already. */
static void enter(struct kr_map *m, kr_str a, kr_str b, kr_str c, struct kube_kind *k)
{
    char buf[KEY_MAX];
    kr_str text = key(buf, a, b, c);

    if (text.n > 0 && !kr_map_get(m, text))
        kr_map_put(m, text, k);
}

static int snapshot_add(struct snapshot *s, const struct kube_kind *kind, struct kr_err *err)
{
    struct kube_kind *k;

    if (s->kinds_n == KUBE_DISCOVERY_KINDS_MAX)
        return kr_fail(err, KR_E_LIMIT, "the server has more than %d kinds",
                       KUBE_DISCOVERY_KINDS_MAX);
    if (s->kinds_n == s->kinds_cap) {
        s->kinds_cap = s->kinds_cap ? s->kinds_cap * 2 : 64;
        s->kinds = kr_realloc(s->kinds, sizeof(*s->kinds) * s->kinds_cap);
    }
    k = kr_new(&s->a, struct kube_kind);
    *k = *kind;
    k->gvk = kr_gvk_copy(&s->a, kind->gvk);
    k->resource = kr_strdup(&s->a, kind->resource);
    k->verbs = kr_strdup(&s->a, kind->verbs);
    s->kinds[s->kinds_n++] = k;
    enter(&s->by_gvk, k->gvk.group, k->gvk.version, k->gvk.kind, k);
    enter(&s->by_gvr, k->gvk.group, k->gvk.version, k->resource, k);
    enter(&s->by_group, k->gvk.group, k->gvk.kind, (kr_str){0}, k);
    return 0;
}

static kr_str version_key(struct kr_arena *a, kr_str group, kr_str version)
{
    return kr_fmt(a, KR_FMT "/" KR_FMT, KR_ARG(group), KR_ARG(version));
}

/* What was known of a group version that cannot be read now. */
static int keep_old(struct kube_discovery *d, kr_str group, kr_str version, struct kr_err *err)
{
    struct snapshot *s = d->next;

    kr_map_put(&s->unread, version_key(&s->a, group, version), s);
    kr_map_put(&s->unread, version_key(&s->a, group, KR_S("")), s);
    for (uint32_t i = 0; d->now && i < d->now->kinds_n; i++) {
        const struct kube_kind *k = d->now->kinds[i];

        if (kr_str_eq(k->gvk.group, group) && kr_str_eq(k->gvk.version, version))
            KR_TRY(snapshot_add(d->next, k, err));
    }
    return 0;
}

/* "create,get"; lives in a. */
static kr_str join_verbs(struct kr_arena *a, kr_val verbs)
{
    kr_str out = {0};

    KR_LIST_EACH (v, verbs) {
        kr_str verb = kr_text(*v);

        out = out.n ? kr_fmt(a, KR_FMT "," KR_FMT, KR_ARG(out), KR_ARG(verb)) : verb;
    }
    return out;
}

/* --- the aggregated documents ----------------------------------------------------------------- */

static bool has_subresource(kr_val resource, kr_str name)
{
    KR_LIST_EACH (sub, kr_get(resource, KR_S("subresources"))) {
        if (kr_is_str(kr_get(*sub, KR_S("subresource")), name))
            return true;
    }
    return false;
}

static int read_version(struct kube_discovery *d, struct kr_arena *a, kr_str group, kr_val version,
                        struct kr_err *err)
{
    kr_val resources = kr_get(version, KR_S("resources"));
    kr_str name = kr_text(kr_get(version, KR_S("version")));

    if (resources.n == 0 && kr_is_str(kr_get(version, KR_S("freshness")), KR_S("Stale")))
        return keep_old(d, group, name, err);
    KR_LIST_EACH (r, resources) {
        struct kube_kind k = {
            .gvk = {group, name, kr_at_str(*r, "responseKind.kind")},
            .resource = kr_text(kr_get(*r, KR_S("resource"))),
            .namespaced = kr_is_str(kr_get(*r, KR_S("scope")), KR_S("Namespaced")),
            .has_status = has_subresource(*r, KR_S("status")),
            .verbs = join_verbs(a, kr_get(*r, KR_S("verbs"))),
        };

        if (k.gvk.kind.n > 0 && k.resource.n > 0)
            KR_TRY(snapshot_add(d->next, &k, err));
    }
    return 0;
}

static int read_aggregated(struct kube_discovery *d, struct kr_arena *a, kr_val doc,
                           struct kr_err *err)
{
    KR_LIST_EACH (group, kr_get(doc, KR_S("items"))) {
        kr_str name = kr_at_str(*group, "metadata.name");

        KR_LIST_EACH (version, kr_get(*group, KR_S("versions")))
            KR_TRY(read_version(d, a, name, *version, err));
    }
    return 0;
}

/* --- the legacy documents --------------------------------------------------------------------- */

static int legacy_add(struct kube_discovery *d, kr_str group, kr_str version, struct kr_err *err)
{
    struct legacy *l;

    if (version.n == 0)
        return 0;
    if (d->legacy_n == KUBE_DISCOVERY_VERSIONS_MAX)
        return kr_fail(err, KR_E_LIMIT, "the server has more than %d group versions",
                       KUBE_DISCOVERY_VERSIONS_MAX);
    if (d->legacy_n == d->legacy_cap) {
        d->legacy_cap = d->legacy_cap ? d->legacy_cap * 2 : 32;
        d->legacy = kr_realloc(d->legacy, sizeof(struct legacy *) * d->legacy_cap);
    }
    l = KR_ALLOC(struct legacy);
    l->owner = d;
    l->group = kr_strdup(&d->next->a, group);
    l->version = kr_strdup(&d->next->a, version);
    d->legacy[d->legacy_n++] = l;
    return 0;
}

static int read_api_versions(struct kube_discovery *d, kr_val doc, struct kr_err *err)
{
    KR_LIST_EACH (version, kr_get(doc, KR_S("versions")))
        KR_TRY(legacy_add(d, (kr_str){0}, kr_text(*version), err));
    return 0;
}

/* The preferred version first. */
static int read_group_list(struct kube_discovery *d, kr_val doc, struct kr_err *err)
{
    KR_LIST_EACH (group, kr_get(doc, KR_S("groups"))) {
        kr_str name = kr_text(kr_get(*group, KR_S("name")));
        kr_str preferred = kr_at_str(*group, "preferredVersion.version");

        if (name.n == 0)
            continue;
        KR_TRY(legacy_add(d, name, preferred, err));
        KR_LIST_EACH (version, kr_get(*group, KR_S("versions"))) {
            kr_str text = kr_text(kr_get(*version, KR_S("version")));

            if (!kr_str_eq(text, preferred))
                KR_TRY(legacy_add(d, name, text, err));
        }
    }
    return 0;
}

static int read_resource(struct kube_discovery *d, struct legacy *l, kr_val r, struct kr_err *err)
{
    struct kube_kind k = {
        .gvk = {l->group, l->version, kr_text(kr_get(r, KR_S("kind")))},
        .resource = kr_text(kr_get(r, KR_S("name"))),
        .namespaced = kr_is_true(kr_get(r, KR_S("namespaced"))),
        .verbs = join_verbs(&l->req.arena, kr_get(r, KR_S("verbs"))),
    };

    if (k.gvk.kind.n == 0 || k.resource.n == 0 || kr_str_chr(k.resource, '/') >= 0)
        return 0;
    return snapshot_add(d->next, &k, err);
}

static int read_resource_list(struct kube_discovery *d, struct legacy *l, struct kr_err *err)
{
    kr_val resources = kr_get(l->req.object, KR_S("resources"));

    if (l->req.rc < 0)
        return keep_old(d, l->group, l->version, err);
    if (resources.kind !=
        KR_LIST) /* read as a list, it would say that the server lacks all kinds */
        return kr_fail(err, KR_E_INPUT, KR_FMT ": no list of resources", KR_ARG(l->req.path));
    KR_LIST_EACH (r, resources)
        KR_TRY(read_resource(d, l, *r, err));
    KR_LIST_EACH (r, resources) { /* "deployments/status" */
        kr_str rest = kr_text(kr_get(*r, KR_S("name")));
        kr_str parent = kr_str_cut(&rest, '/');
        struct kube_kind *k = find(&d->next->by_gvr, l->group, l->version, parent);

        if (k && kr_str_is(rest, "status"))
            k->has_status = true;
    }
    return 0;
}

static void legacy_clear(struct kube_discovery *d)
{
    for (uint32_t i = 0; i < d->legacy_n; i++) {
        kube_req_fini(&d->legacy[i]->req);
        kr_free(d->legacy[i]);
    }
    d->legacy_n = 0;
}

/* --- the machine ------------------------------------------------------------------------------ */

static void discovery_step(struct kube_discovery *d);

/* The refresh has ended: swaps on success, and tells everybody who waits. */
static void finish(struct kube_discovery *d, int rc, const struct kr_err *err)
{
    struct waiter *waiters = d->waiters;
    uint32_t n = d->waiters_n;

    d->rc = rc;
    if (rc < 0) {
        d->err = *err;
        snapshot_free(d->next);
    } else {
        d->err.code = 0;
        snapshot_free(d->now);
        d->now = d->next;
    }
    d->next = NULL;
    d->waiters = NULL;
    d->waiters_n = d->waiters_cap = 0;
    legacy_clear(d);
    kr_sm_to(&d->sm, D_IDLE);
    for (uint32_t i = 0; i < n; i++)
        waiters[i].fn(d, waiters[i].arg);
    kr_free(waiters);
}

static void on_legacy(struct kube_req *req)
{
    struct kube_discovery *d = KR_OWNER(req, struct legacy, req)->owner;
    struct kr_err err = KR_ERR_NONE;
    uint32_t failed_n = 0;
    int rc = 0;

    if (--d->legacy_busy_n > 0)
        return;
    for (uint32_t i = 0; i < d->legacy_n && rc == 0; i++) {
        failed_n += d->legacy[i]->req.rc < 0;
        rc = read_resource_list(d, d->legacy[i], &err);
    }
    if (rc == 0 && failed_n == d->legacy_n) { /* not one could be read: the server is not well */
        err = d->legacy[0]->req.err;
        rc = d->legacy[0]->req.rc;
    }
    finish(d, rc, &err);
}

static int read_document(struct kube_discovery *d, kr_val doc, struct kr_err *err)
{
    kr_str kind = kr_text(kr_get(doc, KR_S("kind")));

    if (kr_str_is(kind, "APIGroupDiscoveryList"))
        return read_aggregated(d, &d->req.arena, doc, err);
    if (kr_str_is(kind, "APIVersions"))
        return read_api_versions(d, doc, err);
    if (kr_str_is(kind, "APIGroupList"))
        return read_group_list(d, doc, err);
    return kr_fail(err, KR_E_INPUT, KR_FMT ": no discovery document", KR_ARG(d->req.path));
}

static void on_document(struct kube_req *req)
{
    struct kube_discovery *d = KR_OWNER(req, struct kube_discovery, req);
    bool was_core = d->sm.cur == D_CORE;
    struct kr_err err = req->err;
    int rc = req->rc;

    if (rc == KR_E_API && req->reason == KUBE_R_NOT_FOUND && was_core)
        rc = 0; /* a server of groups only */
    else if (rc == 0)
        rc = read_document(d, req->object, &err);
    kube_req_fini(req);
    if (rc < 0 || (!was_core && d->legacy_n == 0)) {
        finish(d, rc, &err);
        return;
    }
    kr_sm_to(&d->sm, was_core ? D_GROUPS : D_LEGACY);
    discovery_step(d);
}

static void ask(struct kube_discovery *d, kr_str path)
{
    d->req.verb = KUBE_GET;
    d->req.path = path;
    d->req.accept = ACCEPT_AGGREGATED;
    d->req.on_done = on_document;
    kube_req_start(d->client, &d->req);
}

static void ask_legacy(struct kube_discovery *d)
{
    d->legacy_busy_n = d->legacy_n;
    for (uint32_t i = 0; i < d->legacy_n; i++) {
        struct legacy *l = d->legacy[i];

        l->req.verb = KUBE_GET;
        l->req.path = l->group.n > 0 ? kr_fmt(&d->next->a, "/apis/" KR_FMT "/" KR_FMT,
                                              KR_ARG(l->group), KR_ARG(l->version))
                                     : kr_fmt(&d->next->a, "/api/" KR_FMT, KR_ARG(l->version));
        l->req.on_done = on_legacy;
        kube_req_start(d->client, &l->req);
    }
}

/* Starts what the current state waits for. */
static void discovery_step(struct kube_discovery *d)
{
    switch (d->sm.cur) {
    case D_CORE:
        ask(d, KR_S("/api"));
        return;
    case D_GROUPS:
        ask(d, KR_S("/apis"));
        return;
    case D_LEGACY:
        ask_legacy(d);
        return;
    }
}

/* --- the owner's side ------------------------------------------------------------------------- */

struct kube_discovery *kube_discovery_new(struct kube_client *client)
{
    struct kube_discovery *d = KR_ALLOC(struct kube_discovery);

    d->client = client;
    d->sm = (struct kr_sm){.states = discovery_states, .cur = D_IDLE, .name = "discovery"};
    return d;
}

void kube_discovery_free(struct kube_discovery *d)
{
    if (!d)
        return;
    KR_ASSERT(d->sm.cur == D_IDLE);
    snapshot_free(d->now);
    kr_free(d->legacy);
    kr_free(d->waiters);
    kr_free(d);
}

void kube_discovery_refresh(struct kube_discovery *d, kube_discovery_fn *done, void *arg)
{
    if (done) {
        if (d->waiters_n == d->waiters_cap) {
            d->waiters_cap = d->waiters_cap ? d->waiters_cap * 2 : 4;
            d->waiters = kr_realloc(d->waiters, sizeof(*d->waiters) * d->waiters_cap);
        }
        d->waiters[d->waiters_n++] = (struct waiter){done, arg};
    }
    if (d->sm.cur != D_IDLE)
        return;
    d->next = KR_ALLOC(struct snapshot);
    kr_sm_to(&d->sm, D_CORE);
    discovery_step(d);
}

bool kube_discovery_busy(const struct kube_discovery *d)
{
    return d->sm.cur != D_IDLE;
}

int kube_discovery_rc(const struct kube_discovery *d)
{
    return d->rc;
}

const struct kr_err *kube_discovery_error(const struct kube_discovery *d)
{
    return d->err.code != 0 ? &d->err : NULL;
}

bool kube_discovery_ready(const struct kube_discovery *d)
{
    return d->now != NULL;
}

const struct kube_kind *kube_discovery_kind(const struct kube_discovery *d, kr_gvk gvk)
{
    return d->now ? find(&d->now->by_gvk, gvk.group, gvk.version, gvk.kind) : NULL;
}

const struct kube_kind *kube_discovery_preferred(const struct kube_discovery *d, kr_str group,
                                                 kr_str kind)
{
    return d->now ? find(&d->now->by_group, group, kind, (kr_str){0}) : NULL;
}

const struct kube_kind *kube_discovery_resource(const struct kube_discovery *d, kr_gvr gvr)
{
    return d->now ? find(&d->now->by_gvr, gvr.group, gvr.version, gvr.resource) : NULL;
}

bool kube_discovery_unread(const struct kube_discovery *d, kr_str group, kr_str version)
{
    KR_AUTO(kr_arena) a = {0};

    return d->now && kr_map_get(&d->now->unread, version_key(&a, group, version)) != NULL;
}

const struct kube_kind *kube_discovery_next(const struct kube_discovery *d, uint32_t *at)
{
    return d->now && *at < d->now->kinds_n ? d->now->kinds[(*at)++] : NULL;
}
