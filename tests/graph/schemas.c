/* SPDX-License-Identifier: Apache-2.0 */
/* schemas.c - see schemas.h. OpenAPI documents are read once and kept. */
#include "tests/graph/schemas.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define CASES KROC_SHARED "/cases/"

bool cases_present(void)
{
    struct stat st;

    return stat(CASES "index.json", &st) == 0;
}

kr_val cases_json(struct kr_arena *a, const char *path)
{
    kr_str text, full = kr_fmt(a, CASES "%s", path);
    kr_val v;

    if (!test_file(a, full.s, &text) || kr_json_parse(a, text, &v, NULL) < 0)
        return KR_V_NONE;
    return v;
}

uint32_t cases_each(const char *path, cases_fn *fn, uint32_t *failed)
{
    KR_AUTO(kr_arena) file = {0};
    kr_str text, rest, full = kr_fmt(&file, CASES "%s", path);
    uint32_t passed = 0, other = 0;

    *failed = 0;
    assert_true(test_file(&file, full.s, &text));
    for (rest = text; rest.s;) {
        KR_AUTO(kr_arena) a = {0};
        kr_str line = kr_str_trim(kr_str_cut(&rest, '\n'));
        kr_val v;
        int rc;

        if (line.n == 0)
            continue;
        rc = kr_json_parse(&a, line, &v, NULL) < 0 ? -1 : fn(&a, v); /* no JSON of an API server */
        passed += rc == 1;
        other += rc < 0;
        *failed += rc == 0;
        if (rc == 0)
            fprintf(stderr, "FAILED %s: " KR_FMT "\n", path, KR_ARG(kr_at_str(v, "name")));
    }
    fprintf(stderr, "%s: %u passed, %u failed, %u not for us\n", path, passed, *failed, other);
    assert_int_equal(*failed, 0);
    return passed;
}

/* --- kinds ------------------------------------------------------------------------------------ */

/* An API server publishes a CRD's schema with the metadata of every object. */
static const char object_meta[] =
    "{\"type\":\"object\",\"properties\":{"
    "\"annotations\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}},"
    "\"labels\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}},"
    "\"creationTimestamp\":{\"type\":\"string\",\"format\":\"date-time\"},"
    "\"deletionTimestamp\":{\"type\":\"string\",\"format\":\"date-time\"},"
    "\"deletionGracePeriodSeconds\":{\"type\":\"integer\"},\"generation\":{\"type\":\"integer\"},"
    "\"finalizers\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"x-kubernetes-list-type\":"
    "\"set\"},"
    "\"name\":{\"type\":\"string\"},\"generateName\":{\"type\":\"string\"},"
    "\"namespace\":{\"type\":\"string\"},\"selfLink\":{\"type\":\"string\"},"
    "\"uid\":{\"type\":\"string\"},\"resourceVersion\":{\"type\":\"string\"},"
    "\"ownerReferences\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{"
    "\"apiVersion\":{\"type\":\"string\"},\"kind\":{\"type\":\"string\"},\"name\":{\"type\":"
    "\"string\"},"
    "\"uid\":{\"type\":\"string\"},\"controller\":{\"type\":\"boolean\"},"
    "\"blockOwnerDeletion\":{\"type\":\"boolean\"}}}}}}";

void cases_kinds_crd(struct cel_kinds *kinds, kr_val crd)
{
    kr_val versions = kr_at(crd, "spec.versions");

    KR_LIST_EACH (v, versions) {
        kr_gvk gvk = {kr_at_str(crd, "spec.group"), kr_at_str(*v, "name"),
                      kr_at_str(crd, "spec.names.kind")};
        kr_val schema = kr_at(*v, "schema.openAPIV3Schema");
        struct kr_err err = KR_ERR_NONE;
        KR_AUTO(kr_arena) a = {0};

        schema = kr_with(&a, schema, "properties.metadata", test_json(&a, object_meta));
        schema =
            kr_with(&a, schema, "properties.apiVersion", test_json(&a, "{\"type\":\"string\"}"));
        schema = kr_with(&a, schema, "properties.kind", test_json(&a, "{\"type\":\"string\"}"));
        EXPECT_OK(cel_kinds_add_schema(kinds, gvk, kr_at_str(crd, "spec.names.plural"),
                                       !kr_is_str(kr_at(crd, "spec.scope"), KR_S("Cluster")),
                                       schema, &err),
                  &err);
    }
}

/* Names of the API group version's files. */
static const char *file_of(struct kr_arena *a, kr_gvk k, const char *folder, const char *suffix)
{
    if (k.group.n == 0)
        return kr_fmt(a, "k8s-openapi/%s/api__" KR_FMT "%s.json", folder, KR_ARG(k.version), suffix)
            .s;
    return kr_fmt(a, "k8s-openapi/%s/apis__" KR_FMT "__" KR_FMT "%s.json", folder, KR_ARG(k.group),
                  KR_ARG(k.version), suffix)
        .s;
}

static bool add_builtin(struct cel_kinds *kinds, kr_gvk gvk, struct kr_arena *a)
{
    static struct kr_arena keep;
    static struct {
        const char *file;
        kr_val document;
    } read[64];
    static uint32_t read_n;
    kr_val resources = kr_at(cases_json(a, file_of(a, gvk, "discovery", "")), "resources");
    const char *file = file_of(a, gvk, "v3", "_openapi");
    struct kr_err err = KR_ERR_NONE;
    uint32_t i = 0;

    KR_LIST_EACH (it, resources) {
        if (!kr_is_str(kr_at(*it, "kind"), gvk.kind) ||
            kr_str_chr(kr_at_str(*it, "name"), '/') >= 0)
            continue;
        while (i < read_n && strcmp(read[i].file, file) != 0)
            i++;
        if (i == read_n) {
            assert_true(read_n < KR_N(read));
            read[i].file = kr_cstr(&keep, kr_str_c(file));
            read[i].document = cases_json(&keep, file);
            read_n++;
        }
        EXPECT_OK(cel_kinds_read_openapi(kinds, read[i].document, &err), &err);
        cel_kinds_add(kinds, gvk, kr_at_str(*it, "name"), kr_is_true(kr_at(*it, "namespaced")));
        return true;
    }
    return false;
}

/* A CRD file of the cases, parsed as YAML, metadata as published by an API server. */
static bool add_crd(struct cel_kinds *kinds, kr_gvk gvk, struct kr_arena *a)
{
    static struct kr_arena keep;
    static kr_val index;
    kr_str want = kr_api_version_text(a, gvk.group, gvk.version), text;

    if (index.kind == KR_NONE)
        index = kr_at(cases_json(&keep, "crds/index.json"), "crds");
    KR_LIST_EACH (crd, index) {
        KR_LIST_EACH (k, kr_at(*crd, "gvks")) {
            kr_val docs;
            struct kr_err err = KR_ERR_NONE;

            if (!kr_is_str(kr_at(*k, "apiVersion"), want) ||
                !kr_is_str(kr_at(*k, "kind"), gvk.kind))
                continue;
            assert_true(test_file(
                a, kr_fmt(a, CASES "crds/" KR_FMT, KR_ARG(kr_at_str(*crd, "file"))).s, &text));
            EXPECT_OK(kr_yaml_parse(a, text, &docs, &err), &err);
            KR_LIST_EACH (doc, docs) {
                if (kr_is_str(kr_at(*doc, "kind"), KR_S("CustomResourceDefinition")))
                    cases_kinds_crd(kinds, *doc);
            }
            return true;
        }
    }
    return false;
}

void cases_kinds(struct cel_kinds *kinds, const kr_gvk *gvks, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        KR_AUTO(kr_arena) a = {0};

        if (!cel_kinds_find(kinds, gvks[i]) && !add_builtin(kinds, gvks[i], &a))
            add_crd(kinds, gvks[i], &a);
    }
}

int cases_build(struct kr_arena *a, kr_val rgd, struct cel_kinds *kinds, bool omit,
                uint32_t dims_max, struct graph_rev **out, struct kr_err *err)
{
    struct graph_source src = {.name = kr_at_str(rgd, "metadata.name"),
                               .uid = KR_S("5a1e"),
                               .spec = kr_at(rgd, "spec"),
                               .omit = omit,
                               .dimensions_max = dims_max};
    const kr_gvk *gvks;
    uint32_t n;

    graph_kinds_of(src.spec, a, &gvks, &n);
    cases_kinds(kinds, gvks, n);
    src.missing = gvks;
    src.missing_n = n; /* what was found is not looked for here */
    return graph_build(&src, kinds, a, out, &gvks, &n, err);
}
