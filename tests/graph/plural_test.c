/* SPDX-License-Identifier: Apache-2.0 */
/* plural_test.c - plurals as kro forms them. */
#include "graph/internal.h"
#include "tests/graph/schemas.h"

TEST(graph_plural, is_that_of_flect)
{
    static const struct {
        const char *one, *many;
    } cases[] = {
        {"webapp", "webapps"},
        {"policy", "policies"},
        {"gateway", "gateways"},
        {"ingress", "ingresses"},
        {"redis", "redis"},
        {"demo", "demoes"},
        {"data", "data"},
        {"leaf", "leaves"},
        {"person", "people"},
        {"matrix", "matrices"},
        {"dns", "dnsDNSes"},
        {"https", "httpsHTTPSes"},
        {"ids", "idsIDSes"},
        {"ssh", "sshs"},
        {"equipment", "equipment"},
        {"alias", "aliases"},
        {"testwatch", "testwatches"},
        {"", "s"},
        {"s", "s"},
    };
    KR_AUTO(kr_arena) a = {0};

    for (size_t i = 0; i < KR_N(cases); i++)
        EXPECT_TEXT(kr_cstr(&a, graph_plural(&a, kr_str_c(cases[i].one))), cases[i].many);
}

static int plural_case(struct kr_arena *a, kr_val line)
{
    kr_str kind = kr_at_str(line, "kind");
    char *lower = kr_arena_bytes(a, kind.n + 1);

    for (size_t i = 0; i < kind.n; i++)
        lower[i] = kind.s[i] >= 'A' && kind.s[i] <= 'Z' ? (char)(kind.s[i] + 32) : kind.s[i];
    return kr_is_str(kr_at(line, "plural"), graph_plural(a, (kr_str){lower, kind.n}));
}

TEST(graph_plural, equals_the_vectors)
{
    uint32_t failed;

    if (!cases_present())
        skip();
    assert_true(cases_each("vectors/plural.jsonl", plural_case, &failed) >= 1398);
    assert_int_equal(failed, 0);
}

int main(void)
{
    return RUN(T(graph_plural, is_that_of_flect), T(graph_plural, equals_the_vectors));
}
