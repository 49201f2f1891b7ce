/* SPDX-License-Identifier: Apache-2.0 */
#include "cel/base/near.h"

#include "tests/lib/test.h"

static const char *nearest(const char *word, const char *const *names)
{
    struct kr_near near = {.word = kr_str_c(word)};

    for (; *names; names++)
        kr_near_try(&near, kr_str_c(*names));
    return near.best.n ? near.best.s : "";
}

TEST(kr_near, finds_the_name_that_was_meant)
{
    static const char *const names[] = {"name",   "namespace", "replicas", "labels",
                                        "Labels", "a",         NULL};

    EXPECT_TEXT(nearest("nmae", names), "name"); /* neighbours that changed places */
    EXPECT_TEXT(nearest("nam", names), "name");
    EXPECT_TEXT(nearest("Name", names), "name");
    EXPECT_TEXT(nearest("replcas", names), "replicas");
    EXPECT_TEXT(nearest("LABELS", names), "Labels"); /* fewer in the wrong case */
    EXPECT_TEXT(nearest("namespaces", names), "namespace");
}

TEST(kr_near, says_nothing_where_nothing_is_near)
{
    static const char *const names[] = {"name", "bool", "", NULL};
    char word[KR_NEAR_MAX + 2];

    memset(word, 'n', sizeof(word) - 1);
    word[sizeof(word) - 1] = 0;
    EXPECT_TEXT(nearest("foo", names), "");
    EXPECT_TEXT(nearest("", names), "");
    EXPECT_TEXT(nearest("status", names), "");
    EXPECT_TEXT(nearest(word, names), "");
}

TEST(kr_near, of_names_equally_near_the_first_wins)
{
    static const char *const names[] = {"abcx", "abcy", NULL};

    EXPECT_TEXT(nearest("abcz", names), "abcx");
}

int main(void)
{
    return RUN(T(kr_near, finds_the_name_that_was_meant),
               T(kr_near, says_nothing_where_nothing_is_near),
               T(kr_near, of_names_equally_near_the_first_wins));
}
