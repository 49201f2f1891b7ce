/* SPDX-License-Identifier: Apache-2.0 */
/* revision_test.c - hash of a spec, names, version label. */
#include "graph/internal.h"
#include "tests/graph/schemas.h"

#include <stdio.h>

static const char *hash(struct kr_arena *a, const char *json)
{
    struct kr_err err = KR_ERR_NONE;
    kr_str out;

    EXPECT_OK(graph_spec_hash(test_json(a, json), a, &out, &err), &err);
    return kr_cstr(a, out);
}

#define SCHEMA                                                                                     \
    "\"schema\":{\"kind\":\"App\",\"apiVersion\":\"v1alpha1\",\"spec\":{\"name\":\"string\"}}"
#define CM(id) "{\"id\":\"" id "\",\"template\":{\"a\":1}}"

TEST(graph_hash, of_known_specs)
{
    KR_AUTO(kr_arena) a = {0};

    EXPECT_TEXT(hash(&a, "{" SCHEMA "}"), "b6c6cf545519a302");
    EXPECT_TEXT(hash(&a, "{" SCHEMA
                         ",\"resources\":[{\"id\":\"cm\",\"template\":{\"kind\":\"ConfigMap\","
                         "\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"x\"},\"data\":{\"k\":"
                         "\"${schema.spec.name}\"}}}]}"),
                "fda176ef27bcb60f");
}

TEST(graph_hash, does_not_see_order_and_defaults)
{
    KR_AUTO(kr_arena) a = {0};

    EXPECT_TEXT(hash(&a, "{" SCHEMA ",\"resources\":[" CM("a") "," CM("b") "]}"),
                hash(&a, "{" SCHEMA ",\"resources\":[" CM("b") "," CM("a") "]}"));
    EXPECT_TEXT(
        hash(&a, "{\"schema\":{\"kind\":\"A\",\"scope\":\"Namespaced\",\"group\":\"kro.run\"}}"),
        hash(&a, "{\"schema\":{\"kind\":\"A\"},\"resources\":[]}"));
    assert_string_not_equal(hash(&a, "{\"schema\":{\"kind\":\"A\"}}"),
                            hash(&a, "{\"schema\":{\"kind\":\"B\"}}"));
}

static int hash_case(struct kr_arena *a, kr_val line)
{
    struct kr_err err = KR_ERR_NONE;
    kr_val normalized = kr_at(line, "normalized");
    kr_str out, text = graph__hash_text(kr_at(line, "spec"), a);

    if (normalized.kind == KR_STRING && !kr_is_str(normalized, text)) {
        fprintf(stderr, "  got  " KR_FMT "\n  want " KR_FMT "\n", KR_ARG(text),
                KR_ARG(kr_text(normalized)));
        return 0;
    }
    return graph_spec_hash(kr_at(line, "spec"), a, &out, &err) == 0 &&
           kr_is_str(kr_at(line, "hash"), out);
}

static int name_case(struct kr_arena *a, kr_val line)
{
    if (!kr_is_str(kr_at(line, "function"), KR_S("revision_name")))
        return -1;
    return kr_is_str(kr_at(line, "result").kind == KR_STRING ? kr_at(line, "result")
                                                             : kr_at(line, "revision_name"),
                     graph_revision_name(a, kr_at_str(line, "name"), kr_at(line, "revision").i));
}

TEST(graph_hash, equals_the_vectors)
{
    uint32_t failed;

    if (!cases_present())
        skip();
    assert_true(cases_each("vectors/spec-hash.jsonl", hash_case, &failed) >=
                60); /* one of 61 is no JSON of an API server */
    assert_int_equal(failed, 0);
    cases_each("vectors/applyset.jsonl", name_case, &failed);
    assert_int_equal(failed, 0);
}

TEST(graph_revision, has_a_name_of_at_most_253_bytes)
{
    KR_AUTO(kr_arena) a = {0};
    char *long_name = kr_arena_bytes(&a, 261);
    kr_str name;

    EXPECT_TEXT(kr_cstr(&a, graph_revision_name(&a, KR_S("demo"), 1)), "demo-r00001");
    EXPECT_TEXT(kr_cstr(&a, graph_revision_name(&a, KR_S("demo"), 100000)), "demo-r100000");
    memset(long_name, 'a', 260);
    name = graph_revision_name(&a, (kr_str){long_name, 260}, 1);
    assert_int_equal(name.n, 253);
    assert_true(kr_str_ends(name, KR_S("a-r00001-af92c2b9")));
}

TEST(graph_revision, version_is_a_label_value)
{
    KR_AUTO(kr_arena) a = {0};

    EXPECT_TEXT(kr_cstr(&a, graph_version_label(&a, KR_S("v0.9.3"))), "v0.9.3");
    EXPECT_TEXT(kr_cstr(&a, graph_version_label(&a, KR_S("v0.9.3+abc"))), "v0.9.3-abc");
}

TEST(graph_label, a_name_that_is_too_long_becomes_its_digest)
{
    KR_AUTO(kr_arena) a = {0};
    const char *longest = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    EXPECT_TEXT(kr_cstr(&a, graph_label_value(&a, kr_str_c(longest))), longest);
    EXPECT_TEXT(kr_cstr(&a, graph_label_value(&a, kr_fmt(&a, "%sa", longest))),
                "h-ffe054fe7ae0cb6dc65c3af9b61d5209f439851d");
}

int main(void)
{
    return RUN(T(graph_label, a_name_that_is_too_long_becomes_its_digest),
               T(graph_hash, of_known_specs), T(graph_hash, does_not_see_order_and_defaults),
               T(graph_hash, equals_the_vectors),
               T(graph_revision, has_a_name_of_at_most_253_bytes),
               T(graph_revision, version_is_a_label_value));
}
