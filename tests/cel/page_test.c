/* SPDX-License-Identifier: Apache-2.0 */
/* page_test.c - docs/cel.md is what the tables say; `kroc docs cel` prints it. */
#include "cel/internal.h"

#include "tests/lib/test.h"

TEST(page, the_page_in_docs_is_current)
{
    KR_AUTO(kr_buf) page = KR_BUF(256 * 1024);
    struct kr_arena a = {0};
    kr_str stored;

    cel_reference_page(&page);
    assert_true(test_file(&a, KROC_SOURCE "/docs/cel.md", &stored));
    EXPECT_TEXT(kr_cstr(&a, stored), page.s);
    kr_arena_fini(&a);
}

TEST(page, every_function_that_can_be_written_has_a_description)
{
    for (uint32_t i = 0; i < cel__rows_n; i++) {
        uint32_t first = 0;

        while (strcmp(cel__rows[first].name, cel__rows[i].name) != 0)
            first++;
        if (!strchr(cel__rows[i].name, '@') && !cel__rows[first].help[0])
            EXPECT_TEXT(cel__rows[i].name, "described");
    }
}

int main(void)
{
    return RUN(T(page, the_page_in_docs_is_current),
               T(page, every_function_that_can_be_written_has_a_description));
}
