/* SPDX-License-Identifier: Apache-2.0 */
/* openapi_fuzz.c - any bytes as the OpenAPI document of a group version, through the whole way of a load
 * (kube/openapi.c: reading, reducing, the table of kinds); and as a CRD.
 */
#include "kube/openapi.h"

#include "cel/base/json.h"

#include "cel/base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

enum { TURNS_MAX = 1000, WALK_MAX = 20 * 1000 };

#define KIND(kind)                                                                                 \
    "{\"resource\":\"" kind "s\",\"responseKind\":{\"kind\":\"" kind                               \
    "\"},\"scope\":\"Namespaced\",\"verbs\":[]}"

static const char core[] = "{\"kind\":\"APIGroupDiscoveryList\",\"items\":[]}";
static const char groups[] =
    "{\"kind\":\"APIGroupDiscoveryList\",\"items\":[{\"metadata\":{\"name\":\"x.io\"},"
    "\"versions\":[{\"version\":\"v1\",\"resources\":[" KIND("A") "," KIND("B") "]}]}]}";
static const char doc_index[] =
    "{\"paths\":{\"apis/x.io/v1\":{\"serverRelativeURL\":\"/openapi/v3/apis/x.io/v1?hash=1\"}}}";

struct server {
    struct kube_transport t;
    struct kube_clock c;
    struct kube_timers timers;
    struct kube_exchange *x;
    uint64_t now_ms;
    kr_str document;
};

static void t_start(struct kube_transport *t, struct kube_exchange *x)
{
    struct server *s = KR_OWNER(t, struct server, t);

    KR_ASSERT(s->x == NULL);
    s->x = x;
}

static void t_cancel(struct kube_transport *t, struct kube_exchange *x)
{
}

static kr_str t_server(struct kube_transport *t)
{
    return KR_S("https://test");
}

static uint64_t c_now(struct kube_clock *c)
{
    return KR_OWNER(c, struct server, c)->now_ms;
}

static int64_t c_wall(struct kube_clock *c)
{
    return 0;
}

static void c_start(struct kube_clock *c, struct kube_timer *timer, uint64_t delay_ms)
{
    struct server *s = KR_OWNER(c, struct server, c);

    kube_timers_start(&s->timers, timer, s->now_ms + delay_ms);
}

static void c_stop(struct kube_clock *c, struct kube_timer *timer)
{
    kube_timers_stop(&KR_OWNER(c, struct server, c)->timers, timer);
}

static uint64_t c_random(struct kube_clock *c)
{
    return 4;
}

static const struct kube_transport_ops t_ops = {t_start, t_cancel, t_server};
static const struct kube_clock_ops c_ops = {c_now, c_wall, c_start, c_stop, c_random};

static void answer(struct server *s)
{
    struct kube_exchange *x = s->x;
    struct kr_err err = KR_ERR_NONE;
    kr_str body = kr_str_is(x->path, "/api")          ? kr_str_c(core)
                  : kr_str_is(x->path, "/apis")       ? kr_str_c(groups)
                  : kr_str_is(x->path, "/openapi/v3") ? kr_str_c(doc_index)
                                                      : s->document;
    bool more = true;

    s->x = NULL;
    x->status = 200;
    x->on_head(x, 200, -1);
    if (body.n)
        more = x->on_bytes(x, body.s, body.n);
    x->on_end(x, more ? 0 : KR_E_LIMIT, &err);
}

struct loading {
    struct kube_schemas_req req;
    bool done;
};

static void on_done(struct kube_schemas_req *req)
{
    KR_OWNER(req, struct loading, req)->done = true;
}

/* Looks at everything, as far as a limit: schemas share parts, and may be large as a tree. */
static void walk(const struct cel_schema *s, uint32_t *left)
{
    if (!s || *left == 0)
        return;
    --*left;
    for (uint32_t i = 0; i < s->fields_n; i++) {
        KR_ASSERT(cel_schema_field(s, s->fields[i].name) != NULL);
        walk(s->fields[i].schema, left);
    }
    KR_ASSERT(s->ref == NULL);
    walk(s->items, left);
    walk(s->additional, left);
}

static void walk_all(const struct cel_kinds *kinds)
{
    const struct cel_kind *kind;

    for (uint32_t at = 0; (kind = cel_kinds_next(kinds, &at)) != NULL;) {
        uint32_t left = WALK_MAX;

        walk(kind->schema, &left);
    }
}

static void load(kr_str document)
{
    struct server s = {.t = {&t_ops}, .c = {&c_ops}, .now_ms = 1000, .document = document};
    struct kube_client *client =
        kube_client_new(&s.t, &s.c, &(struct kube_client_opts){.user_agent = "x"});
    struct kube_discovery *discovery = kube_discovery_new(client);
    struct kube_openapi *openapi = kube_openapi_new(client, discovery);
    kr_gvk gvks[] = {{KR_S("x.io"), KR_S("v1"), KR_S("A")}, {KR_S("x.io"), KR_S("v1"), KR_S("B")}};
    struct loading l = {.req = {.gvks = gvks, .gvks_n = KR_N(gvks), .on_done = on_done}};

    kube_schemas_start(openapi, &l.req);
    for (uint32_t i = 0; i < TURNS_MAX && !l.done; i++) {
        if (s.x)
            answer(&s);
        kube_client_turn(client);
        s.now_ms += 100;
        kube_timers_run(&s.timers, s.now_ms);
    }
    KR_ASSERT(l.done);
    KR_ASSERT(l.req.rc == 0 || l.req.err.n > 0);
    if (l.req.rc == 0)
        walk_all(l.req.kinds);
    cel_kinds_free(l.req.kinds);
    kube_schemas_fini(&l.req);
    kube_openapi_free(openapi);
    kube_discovery_free(discovery);
    kube_client_free(client);
    kube_timers_fini(&s.timers);
}

static void read_crd(kr_str text)
{
    KR_AUTO(kr_arena) a = {0};
    KR_AUTO_PTR(cel_kinds) kinds = cel_kinds_new();
    struct kr_err err = KR_ERR_NONE;
    kr_val v;

    if (kr_json_parse(&a, text, &v, NULL) < 0)
        return;
    if (cel_kinds_add_crd(kinds, v, &err) < 0)
        KR_ASSERT(err.n > 0);
    walk_all(kinds);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    kr_str text = {(const char *)bytes, n};

    if (n > 64 * 1024)
        return 0;
    load(text);
    read_crd(text);
    return 0;
}
