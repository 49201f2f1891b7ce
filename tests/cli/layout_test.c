/* SPDX-License-Identifier: Apache-2.0 */
/* layout_test.c - `kroc fmt`: the layout, comments, and that nothing changes its meaning. */
#include "cli/layout.h"

#include <dirent.h>
#include <stdio.h>

#include "tests/lib/test.h"

static void expect_layout(const char *text, const char *want)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_err err = KR_ERR_NONE;
    kr_str out, again;

    EXPECT_OK(cli_layout(&a, kr_str_c(text), &out, &err), &err);
    EXPECT_TEXT(kr_cstr(&a, out), want);
    EXPECT_OK(cli_layout(&a, out, &again, &err), &err);
    EXPECT_TEXT(kr_cstr(&a, again), want);
}

static void expect_refused(const char *text, const char *why)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_err err = KR_ERR_NONE;
    kr_str out;

    assert_int_equal(cli_layout(&a, kr_str_c(text), &out, &err), KR_E_INPUT);
    EXPECT_TEXT(err.text, why);
}

TEST(cli_layout, keys_stand_as_in_the_crd_and_the_authors_own_as_they_were)
{
    expect_layout("kind: ResourceGraphDefinition\n"
                  "spec:\n"
                  "    resources:\n"
                  "    - template:\n"
                  "        data: {b: x, a: y}\n"
                  "        kind: ConfigMap\n"
                  "        metadata:\n"
                  "          labels: {}\n"
                  "          name: n\n"
                  "        apiVersion: v1\n"
                  "      readyWhen: [a]\n"
                  "      id: one\n"
                  "    schema:\n"
                  "       status: {z: 1, a: 2}\n"
                  "       spec:\n"
                  "          zeta: string\n"
                  "          alpha: string\n"
                  "       kind: X\n"
                  "       apiVersion: v1alpha1\n"
                  "metadata:\n"
                  "  name: x\n"
                  "apiVersion: kro.run/v1alpha1\n",
                  "apiVersion: kro.run/v1alpha1\n"
                  "kind: ResourceGraphDefinition\n"
                  "metadata:\n"
                  "  name: x\n"
                  "spec:\n"
                  "  schema:\n"
                  "    apiVersion: v1alpha1\n"
                  "    kind: X\n"
                  "    spec:\n"
                  "      zeta: string\n"
                  "      alpha: string\n"
                  "    status: {z: 1, a: 2}\n"
                  "  resources:\n"
                  "    - id: one\n"
                  "      readyWhen: [a]\n"
                  "      template:\n"
                  "        apiVersion: v1\n"
                  "        kind: ConfigMap\n"
                  "        metadata:\n"
                  "          name: n\n"
                  "          labels: {}\n"
                  "        data: {b: x, a: y}\n");
}

TEST(cli_layout, comments_move_with_what_they_are_about)
{
    expect_layout("# about the file\n"
                  "\n"
                  "kind:   ResourceGraphDefinition   # a kind\n"
                  "apiVersion: kro.run/v1alpha1\n"
                  "spec: # of it\n"
                  "      # all resources\n"
                  "      resources:\n"
                  "      # the first\n"
                  "      - template: {}\n"
                  "        # foot of the first\n"
                  "        # its id\n"
                  "        id: one # one\n"
                  "          # below one\n"
                  "      - # the second\n"
                  "        id: two\n"
                  "      # below all\n"
                  "# the end\n",
                  "# about the file\n"
                  "\n"
                  "apiVersion: kro.run/v1alpha1\n"
                  "kind: ResourceGraphDefinition # a kind\n"
                  "spec: # of it\n"
                  "  # all resources\n"
                  "  resources:\n"
                  "    # the first\n"
                  "    # foot of the first\n"
                  "    # its id\n"
                  "    - id: one # one\n"
                  "      template: {}\n"
                  "      # below one\n"
                  "    # the second\n"
                  "    - id: two\n"
                  "    # below all\n"
                  "# the end\n");
}

TEST(cli_layout, texts_of_several_lines_keep_their_value)
{
    expect_layout("a:\n"
                  "     b: |\n"
                  "         x\n"
                  "           y\n"
                  "\n"
                  "         z   \n"
                  "\n"
                  "     c: >2- # folded\n"
                  "         x\n"
                  "     d: |+\n"
                  "       keep\n"
                  "\n"
                  "     e: plain\n"
                  "       text\n"
                  "     f: \"a\n"
                  "        b\"\n"
                  "     g: {x: 1,\n"
                  "         # inside\n"
                  "         y: 2}\n"
                  "     h:\n"
                  "        # above the text\n"
                  "        text\n",
                  "a:\n"
                  "  b: |\n"
                  "    x\n"
                  "      y\n"
                  "\n"
                  "    z   \n"
                  "\n"
                  "  c: >2- # folded\n"
                  "      x\n"
                  "  d: |+\n"
                  "    keep\n"
                  "\n"
                  "  e: plain\n"
                  "    text\n"
                  "  f: \"a\n"
                  "     b\"\n"
                  "  g: {x: 1,\n"
                  "      # inside\n"
                  "      y: 2}\n"
                  "  # above the text\n"
                  "  h: text\n");
}

TEST(cli_layout, documents_and_odd_forms)
{
    expect_layout(
        "# one\n---\na: 1\n---  # two\n# about b\nb:\n-   - x\n    -   y\n-\n- z\n...\n---\n",
        "# one\n---\na: 1\n--- # two\n# about b\nb:\n  -\n    - x\n    - y\n  -\n  - z\n---\n");
    expect_layout("", "");
    expect_layout("# nothing\n", "# nothing\n");
    expect_layout("a: 1\r\nb: 2\r\n", "a: 1\nb: 2\n");
    expect_layout("\"k\" : 1\n'\xc3\xa4' :   \xc3\xb6 # \xc3\xbc\n",
                  "\"k\": 1\n'\xc3\xa4': \xc3\xb6 # \xc3\xbc\n");
    expect_layout("a:   &x\n     b: 1\nc: *x\n", "a: &x\n  b: 1\nc: *x\n");
}

/* "metadata" would have to go up, before the anchor that it uses. */
TEST(cli_layout, keys_stay_where_an_alias_would_come_before_its_anchor)
{
    expect_layout("kind: ResourceGraphDefinition\nspec:\n   x: &n name\nmetadata:\n   name: *n\n",
                  "kind: ResourceGraphDefinition\nspec:\n  x: &n name\nmetadata:\n  name: *n\n");
}

TEST(cli_layout, what_cannot_be_laid_out_is_refused)
{
    expect_refused("? a\n: b\n", "line 1: a key of this form cannot be laid out");
    expect_refused("a: !!map\n  b: 1\n", "line 1: a tag in front of a block cannot be laid out");
    expect_refused("%YAML 1.1\n---\na: 1\n", "line 1: a %directive cannot be laid out");
    expect_refused("a: 1\rb: 2\n", "it has a line break that is neither LF nor CR LF");
    expect_refused("a: [\n", "YAML line 2, column 1: did not find expected node content");
}

/* --- all definitions at hand -------------------------------------------------------------------- */

static void check_file(const char *path, uint32_t *n)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_err err = KR_ERR_NONE;
    kr_str text, out, again;
    kr_val before, after;

    if (!test_file(&a, path, &text))
        return;
    EXPECT_OK(cli_layout(&a, text, &out, &err), &err);
    EXPECT_OK(kr_yaml_parse(&a, text, &before, &err), &err);
    EXPECT_OK(kr_yaml_parse(&a, out, &after, &err), &err);
    assert_true(kr_equal(before, after));
    EXPECT_OK(cli_layout(&a, out, &again, &err), &err);
    EXPECT_TEXT(kr_cstr(&a, again), kr_cstr(&a, out));
    ++*n;
}

TEST(cli_layout, definitions_keep_their_meaning_and_a_second_time_changes_nothing)
{
    DIR *dir = opendir(KROC_SHARED "/cases/rgds");
    struct dirent *e;
    uint32_t n = 0;

    if (!dir)
        skip(); /* the compatibility cases are not there */
    while ((e = readdir(dir)) != NULL) {
        char path[4096];

        snprintf(path, sizeof(path), KROC_SHARED "/cases/rgds/%s/rgd.yaml", e->d_name);
        check_file(path, &n);
    }
    closedir(dir);
    fprintf(stderr, "%u definitions\n", n);
    assert_true(n > 70);
}

TEST(cli_layout, the_example_is_laid_out)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_err err = KR_ERR_NONE;
    kr_str text, out;

    assert_true(test_file(&a, KROC_SOURCE "/examples/webapp/rgd.yaml", &text));
    EXPECT_OK(cli_layout(&a, text, &out, &err), &err);
    EXPECT_TEXT(kr_cstr(&a, out), kr_cstr(&a, text));
}

int main(void)
{
    return RUN(T(cli_layout, keys_stand_as_in_the_crd_and_the_authors_own_as_they_were),
               T(cli_layout, comments_move_with_what_they_are_about),
               T(cli_layout, texts_of_several_lines_keep_their_value),
               T(cli_layout, documents_and_odd_forms),
               T(cli_layout, keys_stay_where_an_alias_would_come_before_its_anchor),
               T(cli_layout, what_cannot_be_laid_out_is_refused),
               T(cli_layout, definitions_keep_their_meaning_and_a_second_time_changes_nothing),
               T(cli_layout, the_example_is_laid_out));
}
