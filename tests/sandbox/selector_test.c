/* SPDX-License-Identifier: Apache-2.0 */
/* Selectors: what they take, and the words in which the server refuses the rest. */
#include "kube/sandbox/selector.h"
#include "tests/lib/test.h"

static bool meets(const char *selector, kr_val label)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_err err = KR_ERR_NONE;
    struct sandbox_selector *s = sandbox_selector_labels(&a, kr_str_c(selector), &err);
    bool met = true;

    assert_non_null(s);
    for (uint32_t i = 0; i < s->n; i++)
        met &= kr_str_is(s->list[i].key, "a") && sandbox_requirement_met(&s->list[i], label);
    return met;
}

TEST(sandbox_selector, requirements_of_each_kind_are_met_or_not)
{
    static const struct {
        const char *selector;
        bool x, seven, empty, none; /* a label of that value; none at all */
    } cases[] = {
        {"", true, true, true, true},
        {"a", true, true, true, false},
        {"!a", false, false, false, true},
        {"a=x", true, false, false, false},
        {" a == x ", true, false, false, false},
        {"a!=x", false, true, true, true},
        {"a=", false, false, true, false},
        {"a in (x, y)", true, false, false, false},
        {"a in (x,)", true, false, true, false},
        {"a notin (x)", false, true, true, true},
        {"a>6", false, true, false, false},
        {"a<7", false, false, false, false},
        {"a,a!=x", false, true, true, false},
    };

    for (size_t i = 0; i < KR_N(cases); i++) {
        assert_int_equal(meets(cases[i].selector, KR_V_STR("x")), cases[i].x);
        assert_int_equal(meets(cases[i].selector, KR_V_STR("7")), cases[i].seven);
        assert_int_equal(meets(cases[i].selector, KR_V_STR("")), cases[i].empty);
        assert_int_equal(meets(cases[i].selector, KR_V_NONE), cases[i].none);
    }
}

TEST(sandbox_selector, what_is_none_is_refused_in_the_servers_words)
{
    static const char *const cases[][2] = {
        {"a=x=y", "found '=', expected: ',' or 'end of string'"},
        {"a,,b", "found ',', expected: identifier after ','"},
        {"=x", "found '=', expected: !, identifier, or 'end of string'"},
        {"!", "unable to parse requirement: found '', expected: identifier"},
        {"in (", "unable to parse requirement: found '(', expected: in, notin, =, ==, !=, gt, lt"},
        {"a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"},
        {"a in x", "unable to parse requirement: found 'x' expected: '('"},
        {"a in (x,", "unable to parse requirement: found '', expected: ',', or identifier"},
        {"a=x y", "found 'y', expected: ',' or 'end of string'"},
    };

    for (size_t i = 0; i < KR_N(cases); i++) {
        KR_AUTO(kr_arena) a = {0};
        struct kr_err err = KR_ERR_NONE;

        assert_null(sandbox_selector_labels(&a, kr_str_c(cases[i][0]), &err));
        assert_string_equal(err.text, cases[i][1]);
    }
}

TEST(sandbox_selector, a_field_may_have_commas_behind_a_backslash)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_err err = KR_ERR_NONE;
    struct sandbox_selector *s = sandbox_selector_fields(&a, KR_S("x.y=a\\,b,z!=c"), &err);

    assert_non_null(s);
    assert_int_equal(s->n, 2);
    assert_true(sandbox_requirement_met(&s->list[0], KR_V_STR("a,b")));
    assert_false(sandbox_requirement_met(&s->list[1], KR_V_STR("c")));
    assert_null(sandbox_selector_fields(&a, KR_S("x"), &err));
    assert_string_equal(err.text, "invalid selector: 'x'; can't understand 'x'");
}

int main(void)
{
    return RUN(T(sandbox_selector, requirements_of_each_kind_are_met_or_not),
               T(sandbox_selector, what_is_none_is_refused_in_the_servers_words),
               T(sandbox_selector, a_field_may_have_commas_behind_a_backslash));
}
