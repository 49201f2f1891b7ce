/* SPDX-License-Identifier: Apache-2.0 */
#include "cel/base/err.h"

#include "cel/base/utf8.h"
#include "tests/lib/test.h"

TEST(kr_err, context_goes_in_front)
{
    struct kr_err err = KR_ERR_NONE;

    assert_int_equal(kr_fail(&err, KR_E_API, "code %d", 404), KR_E_API);
    assert_int_equal(kr_wrap(&err, "node \"%s\"", "db"), KR_E_API);
    assert_int_equal(kr_wrap(&err, "graph"), KR_E_API);
    EXPECT_TEXT(err.text, "graph: node \"db\": code 404");
    assert_int_equal(err.n, strlen(err.text));
    assert_true(kr_str_is(kr_err_str(&err), "graph: node \"db\": code 404"));
}

TEST(kr_err, nobody_needs_the_text)
{
    assert_int_equal(kr_fail(NULL, KR_E_IO, "x"), KR_E_IO);
    assert_true(kr_wrap(NULL, "x") < 0);
}

TEST(kr_err, long_texts_are_cut_between_code_points)
{
    struct kr_err err = KR_ERR_NONE;
    char text[3 * KR_ERR_MAX] = "";

    for (size_t shift = 0; shift < 4; shift++) {
        for (size_t i = 0; i < sizeof(text) - 1; i++)
            text[i] = i < shift ? 'x' : "\xe2\x82\xac"[(i - shift) % 3];
        kr_fail(&err, KR_E_INPUT, "%s", text);
        assert_int_equal(err.n, strlen(err.text));
        assert_true(err.n < KR_ERR_MAX && err.n > KR_ERR_MAX - 8);
        assert_true(kr_str_ends(kr_err_str(&err), KR_S("...")));
        assert_true(kr_utf8_valid(kr_err_str(&err)));
        kr_wrap(&err, "where");
        assert_int_equal(err.n, strlen(err.text));
        assert_true(kr_str_starts(kr_err_str(&err), KR_S("where: ")));
        assert_true(kr_str_ends(kr_err_str(&err), KR_S("...")));
        kr_wrap(&err, "%s", text);
        assert_int_equal(err.n, strlen(err.text));
        assert_true(kr_str_ends(kr_err_str(&err), KR_S("...")));
    }
}

TEST(kr_err, a_text_of_exactly_the_limit_is_whole)
{
    struct kr_err err = KR_ERR_NONE;

    kr_fail(&err, KR_E_INPUT, "%*d", KR_ERR_MAX - 1, 1);
    assert_int_equal(err.n, KR_ERR_MAX - 1);
    assert_true(kr_str_ends(kr_err_str(&err), KR_S(" 1")));
    kr_fail(&err, KR_E_INPUT, "%*d", KR_ERR_MAX - 4, 1);
    kr_wrap(&err, "x");
    assert_true(kr_str_ends(kr_err_str(&err), KR_S(" 1")));
    assert_int_equal(err.n, KR_ERR_MAX - 1);
    kr_fail(&err, KR_E_INPUT, "%*d", KR_ERR_MAX, 1);
    assert_true(kr_str_ends(kr_err_str(&err), KR_S(" ...")));
}

static int middle(int rc)
{
    KR_TRY(rc);
    return 0;
}

TEST(kr_try, passes_failures_only)
{
    assert_int_equal(middle(KR_E_LIMIT), KR_E_LIMIT);
    assert_int_equal(middle(0), 0);
    assert_int_equal(middle(3), 0);
}

int main(void)
{
    return RUN(T(kr_err, context_goes_in_front), T(kr_err, nobody_needs_the_text),
               T(kr_err, long_texts_are_cut_between_code_points),
               T(kr_err, a_text_of_exactly_the_limit_is_whole), T(kr_try, passes_failures_only));
}
