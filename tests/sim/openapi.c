/* SPDX-License-Identifier: Apache-2.0 */
/* openapi.c - the schemas of built-in kinds, once a process: they are the same for every seed and by far
 * the largest answers. What no definition of ours uses is left out: other kinds, most of a Pod, and
 * descriptions. */
#include "cel/base/json.h"
#include "tests/sim/sim.h"

enum { KEPT_MAX = 512, BODY_MAX = 16 * 1024 * 1024 };

#define REF "#/components/schemas/"

static const struct {
    const char *path;
    const char *roots[4]; /* kinds that are used */
} documents[] = {
    {"/openapi/v3/api/v1", {".v1.ConfigMap", ".v1.Secret"}},
    {"/openapi/v3/apis/apps/v1", {".apps.v1.Deployment"}},
};

/* Of these only such fields are left, as the templates of model.c write. */
static const struct {
    const char *name; /* the end of it */
    const char *fields[4];
} slimmed[] = {
    {".meta.v1.ObjectMeta", {"name", "namespace", "labels", "annotations"}},
    {".apps.v1.DeploymentSpec", {"selector", "template"}},
    {".apps.v1.DeploymentStatus", {"availableReplicas", "readyReplicas", "replicas"}},
    {".core.v1.PodSpec", {"containers"}},
    {".core.v1.Container", {"name", "image"}},
};

struct cut {
    struct kr_arena a;
    kr_val schemas;
    kr_str kept[KEPT_MAX];
    uint32_t n;
};

static void keep(struct cut *c, kr_str name)
{
    for (uint32_t i = 0; i < c->n; i++)
        if (kr_str_eq(c->kept[i], name))
            return;
    KR_ASSERT(c->n < KEPT_MAX);
    c->kept[c->n++] = name;
}

static kr_val slim(struct cut *c, kr_str name, kr_val schema)
{
    for (size_t i = 0; i < KR_N(slimmed); i++) {
        struct kr_mapb fields = KR_MAPB(&c->a);

        if (!kr_str_ends(name, kr_str_c(slimmed[i].name)))
            continue;
        for (size_t k = 0; k < KR_N(slimmed[i].fields) && slimmed[i].fields[k]; k++) {
            kr_str field = kr_str_c(slimmed[i].fields[k]);

            kr_mapb_put(&fields, field, kr_get(kr_at(schema, "properties"), field));
        }
        return kr_with(&c->a, schema, "properties", kr_mapb_done(&fields));
    }
    return schema;
}

/* All that v refers to. */
static void follow(struct cut *c, kr_val v)
{
    KR_LIST_EACH (item, v)
        follow(c, *item);
    KR_MAP_EACH (p, v) {
        kr_str text = kr_text(p->val);

        if (kr_is_str(p->key, KR_S("$ref")) && kr_str_starts(text, KR_S(REF)))
            keep(c, kr_str_sub(text, sizeof REF - 1, text.n));
        follow(c, p->val);
    }
}

static kr_val cut(struct cut *c, kr_val doc, const char *const *roots)
{
    struct kr_mapb kept = KR_MAPB(&c->a);

    doc = sim_undescribed(&c->a, doc);
    c->schemas = kr_at(doc, "components.schemas");
    KR_MAP_EACH (p, c->schemas)
        for (uint32_t i = 0; roots[i]; i++)
            if (kr_str_ends(kr_text(p->key), kr_str_c(roots[i])))
                keep(c, kr_text(p->key));
    for (uint32_t i = 0; i < c->n; i++) {
        kr_val schema = slim(c, c->kept[i], kr_get(c->schemas, c->kept[i]));

        kr_mapb_put(&kept, c->kept[i], schema);
        follow(c, schema);
    }
    doc = kr_with(&c->a, doc, "paths", kr_map_sorted(NULL, 0));
    return kr_with(&c->a, doc, "components.schemas", kr_mapb_done(&kept));
}

static void make(struct kr_buf *out, struct sandbox *s, uint32_t i)
{
    struct cut c = {.n = 0};
    struct sandbox_request q = {.method = "GET", .path = kr_str_c(documents[i].path)};
    struct sandbox_response r = {0};
    struct kr_err err = KR_ERR_NONE;
    kr_val doc;
    int rc;

    sandbox_serve(s, &q, &r);
    kr_buf_init(out, BODY_MAX);
    rc = kr_json_parse(&c.a, kr_buf_view(&r.body), &doc, &err);
    KR_ASSERT(rc == 0 && r.status == 200);
    rc = kr_json_write(out, cut(&c, doc, documents[i].roots), 0, &err);
    KR_ASSERT(rc == 0);
    sandbox_response_fini(&r);
    kr_arena_fini(&c.a);
}

bool sim_openapi(struct sandbox *s, kr_str path, struct sandbox_response *r)
{
    static struct kr_buf made[KR_N(documents)]; /* for the life of the process */

    for (uint32_t i = 0; i < KR_N(documents); i++) {
        if (!kr_str_eq(path, kr_str_c(documents[i].path)))
            continue;
        if (made[i].n == 0)
            make(&made[i], s, i);
        kr_buf_init(&r->body, BODY_MAX);
        kr_buf_str(&r->body, kr_buf_view(&made[i]));
        r->status = 200;
        r->content_type = "application/json";
        return true;
    }
    return false;
}
