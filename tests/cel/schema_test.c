/* SPDX-License-Identifier: Apache-2.0 */
/* schema_test.c - OpenAPI documents, types of schemas and back, quantities. */
#include "cel/cel.h"

#include "tests/lib/test.h"

static const char *const document =
    "{\"components\":{\"schemas\":{"
    "\"v1.Pod\":{\"type\":\"object\",\"description\":\"x\",\"x-kubernetes-group-version-kind\":[{"
    "\"group\":\"\",\"version\":\"v1\",\"kind\":\"Pod\"}],\"required\":[\"spec\"],\"properties\":{"
    "\"spec\":{\"default\":{},\"allOf\":[{\"$ref\":\"#/components/schemas/v1.PodSpec\"}]},"
    "\"tree\":{\"$ref\":\"#/components/schemas/v1.Tree\"},"
    "\"mem\":{\"$ref\":\"#/components/schemas/io.k8s.apimachinery.pkg.api.resource.Quantity\"}}},"
    "\"v1.PodSpec\":{\"type\":\"object\",\"properties\":{\"names\":{\"type\":\"array\",\"items\":{"
    "\"type\":\"string\"},\"x-kubernetes-list-type\":\"set\"},\"ports\":{\"type\":\"array\","
    "\"items\":{"
    "\"type\":\"object\"},\"x-kubernetes-list-type\":\"map\",\"x-kubernetes-list-map-keys\":["
    "\"port\"]"
    "}}},"
    "\"v1.Tree\":{\"type\":\"object\",\"properties\":{\"child\":{\"$ref\":\"#/components/schemas/"
    "v1.Tree\"},\"leaf\":{\"type\":\"integer\"}}},"
    "\"io.k8s.apimachinery.pkg.api.resource.Quantity\":{\"oneOf\":[{\"type\":\"string\"},{\"type\":"
    "\"number\"}]}}}}";

static const kr_gvk pod = {{"", 0}, {"v1", 2}, {"Pod", 3}};

TEST(schema, kinds_are_read_from_documents_and_references_resolved)
{
    struct kr_arena a = {0};
    struct kr_err err = KR_ERR_NONE;
    KR_AUTO_PTR(cel_kinds) k = cel_kinds_new();
    const struct cel_kind *kind;
    const struct cel_schema *s;
    uint32_t at = 0;

    EXPECT_OK(cel_kinds_read_openapi(k, test_json(&a, document), &err), &err);
    assert_null(cel_kinds_find(k, pod));
    cel_kinds_add(k, pod, KR_S("pods"), true);
    kr_arena_fini(&a); /* nothing of the document is borrowed */
    kind = cel_kinds_find(k, pod);
    assert_true(kind && kind->namespaced && kr_str_is(kind->resource, "pods"));
    assert_true(cel_schema_field(kind->schema, KR_S("spec"))->required);
    s = cel_schema_at(kind->schema, (kr_str[]){KR_S("spec"), KR_S("names"), KR_S("[]")}, 3);
    assert_true(s && s->type == CEL_S_STRING);
    s = cel_schema_at(kind->schema, (kr_str[]){KR_S("spec"), KR_S("ports")}, 2);
    assert_true(s->list_type == CEL_L_MAP && s->map_keys_n == 1 &&
                kr_str_is(s->map_keys[0], "port"));
    s = cel_schema_at(kind->schema, (kr_str[]){KR_S("mem")}, 1);
    assert_true(s->format == CEL_F_QUANTITY && s->string_or_number);
    assert_ptr_equal(cel_kinds_next(k, &at), kind);
    assert_null(cel_kinds_next(k, &at));
}

TEST(schema, a_cycle_of_references_is_cut)
{
    struct kr_arena a = {0};
    struct kr_err err = KR_ERR_NONE;
    KR_AUTO_PTR(cel_kinds) k = cel_kinds_new();
    const struct cel_schema *s;

    EXPECT_OK(cel_kinds_read_openapi(k, test_json(&a, document), &err), &err);
    cel_kinds_add(k, pod, KR_S("pods"), true);
    s = cel_kinds_find(k, pod)->schema;
    s = cel_schema_at(s, (kr_str[]){KR_S("tree"), KR_S("child")}, 2);
    assert_true(s && s->type == CEL_S_OBJECT && s->fields_n == 0);
    kr_arena_fini(&a);
}

TEST(schema, a_bad_schema_is_refused_with_its_path)
{
    struct kr_arena a = {0};
    struct kr_err err = KR_ERR_NONE;
    const struct cel_schema *s;

    assert_int_equal(cel_schema_read(&a,
                                     test_json(&a, "{\"type\":\"object\",\"properties\":{\"a\":{"
                                                   "\"items\":{\"$ref\":\"#/x\"}}}}"),
                                     &s, &err),
                     KR_E_INPUT);
    EXPECT_TEXT(err.text, "property \"a\": items: $ref \"x\" is not allowed here");
    kr_arena_fini(&a);
}

static const struct cel_type *type_of(struct kr_arena *a, const char *json, const char *name)
{
    struct kr_err err = KR_ERR_NONE;
    const struct cel_schema *s;

    EXPECT_OK(cel_schema_read(a, test_json(a, json), &s, &err), &err);
    return cel_type_of_schema(a, s, kr_str_c(name));
}

static const char *openapi(struct kr_arena *a, const struct cel_type *t)
{
    struct kr_err err = KR_ERR_NONE;
    kr_val v = cel_type_to_openapi(a, t, &err);

    return v.kind == KR_NONE ? kr_cstr(a, kr_err_str(&err)) : kr_json_str(a, v).s;
}

TEST(schema, types_go_back_to_openapi)
{
    struct kr_arena a = {0};

    EXPECT_TEXT(openapi(&a, CEL_T_INT), "{\"type\":\"integer\"}");
    EXPECT_TEXT(openapi(&a, cel_type_list(&a, CEL_T_STRING)),
                "{\"items\":{\"type\":\"string\"},\"type\":\"array\"}");
    EXPECT_TEXT(openapi(&a, CEL_T_DYN), "{\"x-kubernetes-preserve-unknown-fields\":true}");
    EXPECT_TEXT(
        openapi(&a, type_of(&a,
                            "{\"type\":\"object\",\"properties\":{\"a-b\":{\"type\":"
                            "\"boolean\"},\"t\":{\"type\":\"string\",\"format\":\"date-time\"}}}",
                            "__type_x")),
        "{\"properties\":{\"a__dash__b\":{\"type\":\"boolean\"},\"t\":{\"x-kubernetes-preserve-"
        "unknown-fields\":true}},\"type\":\"object\"}");
    EXPECT_TEXT(openapi(&a, type_of(&a, "{\"type\":\"object\",\"properties\":{}}", "__type_x")),
                "{\"type\":\"object\"}");
    EXPECT_TEXT(openapi(&a, type_of(&a, "{\"type\":\"string\",\"format\":\"duration\"}", "x")),
                "{\"description\":\"unknown CEL type: google.protobuf.Duration\",\"x-kubernetes-"
                "preserve-unknown-fields\":true}");
    kr_arena_fini(&a);
}

static const char *compatible(struct kr_arena *a, const struct cel_type *o,
                              const struct cel_type *e)
{
    struct kr_err err = KR_ERR_NONE;

    return cel_type_compatible(o, e, &err) == 0 ? "ok" : kr_cstr(a, kr_err_str(&err));
}

TEST(schema, output_types_are_compared_by_structure)
{
    struct kr_arena a = {0};
    const struct cel_type *small = type_of(
        &a, "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}}}", "__type_s");
    const struct cel_type *large = type_of(&a,
                                           "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":"
                                           "\"string\"},\"b\":{\"type\":\"integer\"}}}",
                                           "__type_l");

    EXPECT_TEXT(compatible(&a, small, large), "ok");
    EXPECT_TEXT(compatible(&a, large, small),
                "field \"b\" exists in output but not in expected type");
    EXPECT_TEXT(compatible(&a, CEL_T_INT, CEL_T_STRING),
                "type kind mismatch: got \"int\", expected \"string\"");
    EXPECT_TEXT(
        compatible(&a, cel_type_list(&a, CEL_T_INT), cel_type_list(&a, CEL_T_STRING)),
        "list element type incompatible: type kind mismatch: got \"int\", expected \"string\"");
    EXPECT_TEXT(compatible(&a, cel_type_map(&a, CEL_T_STRING, CEL_T_STRING), small), "ok");
    EXPECT_TEXT(
        compatible(&a, cel_type_map(&a, CEL_T_STRING, CEL_T_STRING), large),
        "map value incompatible with struct field \"b\": type kind mismatch: got \"string\", "
        "expected \"int\"");
    EXPECT_TEXT(compatible(&a, CEL_T_DYN, large), "ok");
    kr_arena_fini(&a);
}

static const char *normal(struct kr_arena *a, const char *text)
{
    kr_str out;

    return cel_quantity_normal(a, kr_str_c(text), &out) ? kr_cstr(a, out) : "no quantity";
}

TEST(schema, quantities_have_the_api_servers_normal_form)
{
    struct kr_arena a = {0};

    EXPECT_TEXT(normal(&a, "1000m"), "1");
    EXPECT_TEXT(normal(&a, "2048Mi"), "2Gi");
    EXPECT_TEXT(normal(&a, "100Mi"), "100Mi");
    EXPECT_TEXT(normal(&a, "0.5"), "500m");
    EXPECT_TEXT(normal(&a, "1.5Gi"), "1536Mi");
    EXPECT_TEXT(normal(&a, "1e3"), "1e3");
    EXPECT_TEXT(normal(&a, "1000k"), "1M");
    EXPECT_TEXT(normal(&a, "-0"), "0");
    EXPECT_TEXT(normal(&a, "512"), "512");
    EXPECT_TEXT(normal(&a, "1234567890123456789012345678901234567890"),
                "1234567890123456789012345678901234567890");
    EXPECT_TEXT(normal(&a, "1K"), "no quantity");
    EXPECT_TEXT(normal(&a, ""), "no quantity");
    kr_arena_fini(&a);
}

TEST(schema, object_meta_is_known)
{
    const struct cel_schema *m = cel_schema_object_meta();

    for (uint32_t i = 1; i < m->fields_n; i++)
        assert_true(kr_str_cmp(m->fields[i - 1].name, m->fields[i].name) < 0);
    assert_int_equal(cel_schema_field(m, KR_S("creationTimestamp"))->schema->format,
                     CEL_F_DATE_TIME);
    assert_int_equal(cel_schema_field(m, KR_S("ownerReferences"))->schema->list_type, CEL_L_MAP);
    assert_null(cel_schema_field(m, KR_S("nope")));
}

int main(void)
{
    return RUN(
        T(schema, kinds_are_read_from_documents_and_references_resolved),
        T(schema, a_cycle_of_references_is_cut), T(schema, a_bad_schema_is_refused_with_its_path),
        T(schema, types_go_back_to_openapi), T(schema, output_types_are_compared_by_structure),
        T(schema, quantities_have_the_api_servers_normal_form), T(schema, object_meta_is_known));
}
