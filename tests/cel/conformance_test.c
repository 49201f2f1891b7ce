/* SPDX-License-Identifier: Apache-2.0 */
/* conformance_test.c - the conformance cases beside the project, as a full implementation and in
 * kro's mode: all pass, none is skipped. `kroc cel --cases` prints those that fail.
 */
#include "cel/cases.h"

#include <stdio.h>

#include "tests/lib/test.h"

#ifndef KROC_SHARED
#define KROC_SHARED ""
#endif

static const struct {
    const char *name;
    uint32_t cases;
} files[] = {
    {"cel-spec.jsonl", 1399},
    {"cel-ext.jsonl", 1794},
    {"cel-k8s.jsonl", 1227},
    {"cel-kro.jsonl", 1042},
};

static void run_files(struct cel_cases opts)
{
    for (size_t i = 0; i < KR_N(files); i++) {
        struct kr_arena a = {0};
        uint32_t count[CEL_CASE_N] = {0};
        kr_str text;

        if (!test_file(&a, kr_fmt(&a, "%s/conformance/%s", KROC_SHARED, files[i].name).s, &text))
            test_skip_all("no conformance cases beside the project");
        opts.any_wording = i == 0;
        opts.libs = opts.kro ? CEL_LIB_ALL : CEL_LIB_FULL | CEL_LIB_STRICT | (i ? 0 : CEL_LIB_SPEC);
        cel_cases_run(&opts, text, count);
        printf("%s: %u passed, %u failed, %u skipped\n", files[i].name, count[CEL_CASE_PASSED],
               count[CEL_CASE_FAILED], count[CEL_CASE_SKIPPED]);
        assert_int_equal(count[CEL_CASE_FAILED] + count[CEL_CASE_SKIPPED], 0);
        assert_int_equal(count[CEL_CASE_PASSED], files[i].cases);
        kr_arena_fini(&a);
    }
}

TEST(cel, conforms_as_a_full_implementation)
{
    run_files((struct cel_cases){.kro = false});
}

TEST(cel, conforms_in_kros_mode)
{
    run_files((struct cel_cases){.kro = true});
}

TEST(cel, a_function_that_the_environment_lacks_skips_the_case)
{
    uint32_t count[CEL_CASE_N] = {0};
    struct cel_cases opts = {.libs = CEL_LIB_STD};

    cel_cases_run(&opts,
                  KR_S("{\"expr\":\"'a'.trim()\",\"expect\":{\"value\":{\"string\":\"a\"}}}\n"
                       "{\"expr\":\"1 + 1\",\"expect\":{\"value\":{\"int\":\"3\"}}}\n"
                       "{\"expr\":\"1 + 1\",\"expect\":{\"value\":{\"int\":\"2\"}}}\n"
                       "no case\n"),
                  count);
    assert_int_equal(count[CEL_CASE_PASSED], 1);
    assert_int_equal(count[CEL_CASE_FAILED], 2);
    assert_int_equal(count[CEL_CASE_SKIPPED], 1);
}

int main(void)
{
    return RUN(T(cel, conforms_as_a_full_implementation), T(cel, conforms_in_kros_mode),
               T(cel, a_function_that_the_environment_lacks_skips_the_case));
}
