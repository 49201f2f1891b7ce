/* SPDX-License-Identifier: Apache-2.0 */
/* structural_test.c - what is refused of a definition's schemas; tests/sandboxdiff/crd_diff.py compares more of it
 * with a real server. */
#include "kube/sandbox/structural.h"

#include "kube/sandbox/schema.h"
#include "tests/lib/test.h"

#include "cel/base/banned.h"

#define SPEC "spec.validation.openAPIV3Schema.properties[spec]"

/* The causes as lines, of a CRD with one version that has the field n of this schema in its spec. */
static kr_str causes_of(struct kr_arena *a, const char *field)
{
    struct kr_buf text = KR_BUF_IN(a, 64 * 1024);
    kr_val crd = test_json(
        a, kr_fmt(a,
                  "{\"spec\":{\"versions\":[{\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\","
                  "\"properties\":{\"spec\":{\"type\":\"object\",\"properties\":{\"n\":%s}}}}}}]}}",
                  field)
               .s);

    KR_LIST_EACH (cause, sandbox_structural_causes(a, crd))
        kr_buf_fmt(&text, KR_FMT ": " KR_FMT "\n", KR_ARG(kr_at_str(*cause, "field")),
                   KR_ARG(kr_at_str(*cause, "message")));
    return kr_buf_view(&text);
}

TEST(structural, what_no_server_takes_is_told_with_its_place)
{
    static const struct {
        const char *field, *want;
    } rows[] = {
        {"{\"type\":\"string\",\"pattern\":\"^a+$\",\"default\":\"aa\"}", ""},
        {"{\"type\":\"intger\"}",
         SPEC ".properties[n].type: Unsupported value: \"intger\": supported values: \"array\", "
              "\"boolean\", \"integer\", \"number\", \"object\", \"string\"\n"},
        {"{}", SPEC ".properties[n].type: Required value: must not be empty for specified object "
                    "fields\n"},
        {"{\"type\":\"array\"}", SPEC ".properties[n].items: Required value: must be specified\n"},
        {"{\"type\":\"string\",\"pattern\":\"(\"}",
         SPEC ".properties[n].pattern: Invalid value: \"(\": must be a valid regular expression, "
              "but isn't: error parsing regexp: missing closing ): `(`\n"},
        {"{\"type\":\"integer\",\"minimum\":0,\"default\":-1}",
         SPEC ".properties[n].default: Invalid value: -1:  in body should be greater than or equal "
              "to 0\n"},
        {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},\"default\":{\"b\":1}}",
         SPEC ".properties[n].default: Invalid value: {\"b\":1}: must not have unknown fields\n"},
        {"{\"type\":\"integer\",\"x-kubernetes-validations\":[{\"rule\":\"self\"}]}",
         SPEC ".properties[n].x-kubernetes-validations[0].rule: Invalid value: "
              "{\"Rule\":\"self\",\"Message\":\"\",\"MessageExpression\":\"\",\"Reason\":null,"
              "\"FieldPath\":\"\",\"OptionalOldSelf\":null}: cel expression must evaluate to a "
              "bool\n"},
    };

    for (size_t i = 0; i < KR_N(rows); i++) {
        KR_AUTO(kr_arena) a = {0};

        EXPECT_TEXT(kr_cstr(&a, causes_of(&a, rows[i].field)), rows[i].want);
    }
}

/* A default or a rule is not looked at where the form is wrong already. */
TEST(structural, the_form_comes_first)
{
    KR_AUTO(kr_arena) a = {0};

    EXPECT_TEXT(kr_cstr(&a, causes_of(&a, "{\"type\":\"array\",\"default\":7}")),
                SPEC ".properties[n].items: Required value: must be specified\n");
}

TEST(structural, a_path_to_a_field_leads_somewhere)
{
    static const struct {
        const char *path;
        bool good;
    } rows[] = {{".a", true},   {"['a']", true}, {".b.c", true},   {".b['c']", true},
                {".zz", false}, {"a", false},    {"['a", false},   {".a.b", false},
                {".b.", false}, {"[0]", false},  {".m.any", true}, {".", false}};

    for (size_t i = 0; i < KR_N(rows); i++) {
        KR_AUTO(kr_arena) a = {0};
        kr_str got = causes_of(
            &a,
            kr_fmt(&a,
                   "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"},"
                   "\"b\":{\"type\":\"object\",\"properties\":{\"c\":{\"type\":\"string\"}}},"
                   "\"m\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}},"
                   "\"x-kubernetes-validations\":[{\"rule\":\"true\",\"fieldPath\":\"%s\"}]}",
                   rows[i].path)
                .s);

        assert_int_equal(got.n == 0, rows[i].good);
    }
}

TEST(structural, a_thousand_faults_are_told_as_a_hundred)
{
    KR_AUTO(kr_arena) a = {0};
    KR_AUTO(kr_buf) b = KR_BUF(1000 * 1000);
    kr_str got;
    uint32_t lines = 0;

    kr_buf_fmt(&b, "{\"type\":\"object\",\"properties\":{");
    for (uint32_t i = 0; i < 1000; i++)
        kr_buf_fmt(&b, "%s\"f%u\":{\"type\":\"foo\"}", i ? "," : "", i);
    kr_buf_fmt(&b, "}}");
    got = causes_of(&a, kr_cstr(&a, kr_buf_view(&b)));
    while (got.n) {
        kr_str_cut(&got, '\n');
        lines++;
    }
    assert_int_equal(lines, SANDBOX_CAUSES_MAX);
}

int main(void)
{
    return RUN(T(structural, what_no_server_takes_is_told_with_its_place),
               T(structural, the_form_comes_first),
               T(structural, a_path_to_a_field_leads_somewhere),
               T(structural, a_thousand_faults_are_told_as_a_hundred));
}
