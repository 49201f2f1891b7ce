/* SPDX-License-Identifier: Apache-2.0 */
/* options.c - one parser for the options of all commands but `controller` and `doctor`, whose flags
 * are kro's. Long and short forms, values attached or behind; a mistyped name is answered with the
 * nearest right one.
 */
#include "cli/cli.h"

#include <string.h>

#include "cel/base/near.h"

#include "cel/base/banned.h"

enum { WORD_MAX = 64 }; /* longer words are not printed in full */

const char *cli_nearest(const char *word, const char *const *names, uint32_t n)
{
    struct kr_near near = {.word = kr_str_c(word)};

    for (uint32_t i = 0; i < n; i++)
        kr_near_try(&near, kr_str_c(names[i]));
    return near.best.s;
}

static void help(const struct cli_option *options, const char *usage)
{
    printf("usage: %s\n", usage);
    for (const struct cli_option *o = options; o->name; o++) {
        char left[WORD_MAX];

        snprintf(left, sizeof(left), "--%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
        printf("  %c%c%s%-28s %s\n", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
               o->letter ? ", " : "  ", left, o->help);
    }
}

static const struct cli_option *by_name(const struct cli_option *options, const char *name,
                                        size_t n)
{
    for (const struct cli_option *o = options; o->name; o++) {
        if (strlen(o->name) == n && memcmp(o->name, name, n) == 0)
            return o;
    }
    return NULL;
}

static const struct cli_option *by_letter(const struct cli_option *options, char letter)
{
    for (const struct cli_option *o = options; o->name; o++) {
        if (o->letter && o->letter == letter)
            return o;
    }
    return NULL;
}

static int unknown(const struct cli_option *options, const char *arg, struct kr_err *err)
{
    const char *names[WORD_MAX], *name;
    char word[WORD_MAX + 1];
    uint32_t n = 0;
    size_t len = strcspn(arg + 2, "=");

    for (const struct cli_option *o = options; o->name && n < WORD_MAX; o++)
        names[n++] = o->name;
    snprintf(word, sizeof(word), "%.*s", (int)(len < WORD_MAX ? len : WORD_MAX), arg + 2);
    name = arg[1] == '-' ? cli_nearest(word, names, n) : NULL;
    if (name)
        return kr_fail(err, KR_E_INPUT, "unknown option %s; did you mean --%s?", arg, name);
    return kr_fail(err, KR_E_INPUT, "unknown option %s%s", arg,
                   arg[1] == '-' ? "" : "; -- goes before an operand that begins with -");
}

static int take_flag(const struct cli_option *o, const char *value, struct kr_err *err)
{
    if (value && strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
        return kr_fail(err, KR_E_INPUT, "option --%s is true or false, not \"%s\"", o->name, value);
    *o->flag = !value || strcmp(value, "true") == 0;
    return 0;
}

static int check_choice(const struct cli_option *o, const char *value, struct kr_err *err)
{
    uint32_t n = 0;

    if (!o->choices)
        return 0;
    for (; o->choices[n]; n++) {
        if (strcmp(o->choices[n], value) == 0)
            return 0;
    }
    kr_fail(err, KR_E_INPUT, "option --%s cannot be \"%s\": one of", o->name, value);
    for (uint32_t i = 0; i < n; i++) {
        struct kr_err so_far = *err;

        kr_fail(err, KR_E_INPUT, "%s%s %s", so_far.text, i ? "," : "", o->choices[i]);
    }
    return KR_E_INPUT;
}

static int list_add(struct cli_list *list, const char *value, struct kr_err *err)
{
    if (list->n == CLI_LIST_MAX)
        return kr_fail(err, KR_E_LIMIT, "more than %d arguments of one kind", CLI_LIST_MAX);
    list->at[list->n++] = value;
    return 0;
}

static int take_value(const struct cli_option *o, const char *value, struct kr_err *err)
{
    KR_TRY(check_choice(o, value, err));
    if (o->list)
        return list_add(o->list, value, err);
    *o->value = value;
    return 0;
}

/* One option at argv[*i]; moves *i to its value if that is an argument of its own. */
static int take(const struct cli_option *options, int argc, char *const *argv, int *i,
                struct kr_err *err)
{
    const char *arg = argv[*i], *value = NULL;
    const struct cli_option *o;

    if (arg[1] == '-') {
        size_t n = strcspn(arg + 2, "=");

        o = by_name(options, arg + 2, n);
        value = arg[2 + n] ? arg + 2 + n + 1 : NULL;
    } else {
        o = by_letter(options, arg[1]);
        value = arg[2] ? arg + 2 + (arg[2] == '=') : NULL;
    }
    if (!o)
        return unknown(options, arg, err);
    if (o->flag)
        return take_flag(o, value, err);
    if (!value && *i + 1 == argc)
        return kr_fail(err, KR_E_INPUT, "option --%s needs a value: %s", o->name,
                       o->arg ? o->arg : "VALUE");
    return take_value(o, value ? value : argv[++*i], err);
}

int cli_parse(const struct cli_option *options, int argc, char *const *argv,
              struct cli_list *operands, const char *usage, struct kr_err *err)
{
    bool only_operands = false;

    for (int i = 0; i < argc; i++) {
        const char *arg = argv[i];

        if (!only_operands && strcmp(arg, "--") == 0) {
            only_operands = true;
        } else if (!only_operands && arg[0] == '-' && arg[1]) {
            if (strcmp(arg, "--help") == 0 ||
                (strcmp(arg, "-h") == 0 && !by_letter(options, 'h'))) {
                help(options, usage);
                return CLI_HELP;
            }
            KR_TRY(take(options, argc, argv, &i, err));
        } else if (operands) {
            KR_TRY(list_add(operands, arg, err));
        } else {
            return kr_fail(err, KR_E_INPUT, "unexpected argument \"%s\"; usage: %s", arg, usage);
        }
    }
    return 0;
}
