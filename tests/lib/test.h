/* SPDX-License-Identifier: Apache-2.0 */
/* test.h - what our tests add to cmocka: TEST, RUN, text comparison with a diff, files.
 *
 *   TEST(kr_str, cut_gives_the_rest) { ... assert_true(...); EXPECT_TEXT(got, "want\n"); }
 *   int main(void) { return RUN(T(kr_str, cut_gives_the_rest), ...); }
 */
#ifndef TEST_H
#define TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h> /* needs those above */

#include "cel/base/buf.h"
#include "cel/base/json.h"
#include "cel/base/yaml.h"

#define TEST(unit, name) static void test_##unit##_##name(void **state_)
#define T(unit, name) cmocka_unit_test(test_##unit##_##name)
#define RUN(...)                                                                                   \
    __extension__({                                                                                \
        const struct CMUnitTest tests_[] = {__VA_ARGS__};                                          \
        cmocka_run_group_tests_name(__FILE__, tests_, NULL, NULL);                                 \
    })

/* Fails with a line diff when the texts differ. */
#define EXPECT_TEXT(got, want) test_text((got), (want), __FILE__, __LINE__)
void test_diff(const char *got, const char *want); /* prints it */
void test_text(const char *got, const char *want, const char *file, int line);
/* Fails and prints the error's text when rc is negative. */
#define EXPECT_OK(rc, err) test_ok((rc), (err), __FILE__, __LINE__)
void test_ok(int rc, const struct kr_err *err, const char *file, int line);

/* Values from text, which live in a; a syntax error fails the test. */
kr_val test_json(struct kr_arena *a, const char *text);
kr_val test_yaml(struct kr_arena *a, const char *text); /* the first document */
/* A whole file, which lives in a; false when it is not there. */
bool test_file(struct kr_arena *a, const char *path, kr_str *out);
/* Ends the program as skipped (exit code 77), saying why. */
_Noreturn void test_skip_all(const char *why);

/* Deterministic pseudo random numbers (splitmix64). */
uint64_t test_rand(uint64_t *seed);

#endif
