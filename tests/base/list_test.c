/* SPDX-License-Identifier: Apache-2.0 */
#include "cel/base/list.h"

#include "cel/base/mem.h"
#include "tests/lib/test.h"

struct member {
    char name;
    struct kr_link link;
};

static void expect_members(struct kr_link *head, const char *want)
{
    char got[16] = "";
    size_t n = 0;
    struct kr_link *l;

    while ((l = kr_link_pop(head)) != NULL)
        got[n++] = KR_OWNER(l, struct member, link)->name;
    EXPECT_TEXT(got, want);
    assert_true(kr_link_empty(head));
}

TEST(kr_link, is_first_in_first_out)
{
    struct kr_link head = {0};
    struct member m[] = {{'a', {0}}, {'b', {0}}, {'c', {0}}, {'d', {0}}};

    assert_true(kr_link_empty(&head));
    assert_null(kr_link_pop(&head));
    for (size_t i = 0; i < KR_N(m); i++)
        kr_link_push(&head, &m[i].link);
    kr_link_remove(&m[1].link);
    kr_link_remove(&m[1].link);
    assert_true(kr_link_empty(&m[1].link));
    expect_members(&head, "acd");
    kr_link_push(&head, &m[1].link);
    kr_link_push(&head, &m[0].link);
    expect_members(&head, "ba");
}

TEST(kr_link, a_taken_list_leaves_its_head_empty)
{
    struct kr_link head = {0}, taken;
    struct member m[] = {{'a', {0}}, {'b', {0}}, {'c', {0}}};

    kr_link_take(&taken, &head);
    assert_true(kr_link_empty(&taken));
    kr_link_push(&head, &m[0].link);
    kr_link_push(&head, &m[1].link);
    kr_link_take(&taken, &head);
    kr_link_push(&head, &m[2].link);
    expect_members(&taken, "ab");
    expect_members(&head, "c");
}

int main(void)
{
    return RUN(T(kr_link, is_first_in_first_out), T(kr_link, a_taken_list_leaves_its_head_empty));
}
