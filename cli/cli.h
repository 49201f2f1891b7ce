/* SPDX-License-Identifier: Apache-2.0 */
/* cli.h - what does the user ask? The commands of kroc, one file each.
 *
 * main.c has the table of commands; a command parses its options by a table (cli_parse), works
 * with the folders below, and prints. Results go to stdout, complaints to stderr.
 *
 * Exit codes: CLI_OK done; CLI_FAILED the answer is no, or it failed while running; CLI_USAGE the
 * command line is wrong.
 */
#ifndef CLI_H
#define CLI_H

#include <stdio.h>

#include "cel/base/buf.h"
#include "cel/base/val.h"

enum { CLI_OK, CLI_FAILED, CLI_USAGE };

enum {
    CLI_FILE_MAX = 64 * 1024 * 1024, /* bytes of one input file, and of stdin */
    CLI_TEXT_MAX = 64 * 1024 * 1024, /* bytes of one output */
    CLI_LIST_MAX = 1000,             /* values of an option that may come again, and operands */
};

/* --- options ---------------------------------------------------------------------------------- */

/* An option's values, or the operands, in order. */
struct cli_list {
    uint32_t n;
    const char *at[CLI_LIST_MAX];
};

/* One option. Exactly one of flag, value, list is given: --x, --x VALUE, --x VALUE that may come
 * again. --x=VALUE and -xVALUE are read too; a flag takes =true and =false. */
struct cli_option {
    const char *name; /* without dashes */
    char letter;      /* 0: none */
    bool *flag;
    const char **value; /* borrowed from argv */
    struct cli_list *list;
    const char *const *choices; /* allowed values, NULL-terminated; NULL: any */
    const char *arg, *help;     /* for --help: "FILE", "read variables from FILE" */
};

enum { CLI_HELP = 1 }; /* cli_parse: --help was asked for and printed */

/* Parses argv by the table (ended by a NULL name); what is no option goes to operands (NULL: none
 * are allowed), and so does all behind "--". "-" alone is an operand. usage is the first line of
 * the help: "kroc cel EXPR". Returns 0 or CLI_HELP; KR_E_INPUT names the argument and, for a
 * mistyped option or choice, the nearest right one. */
KR_MUST int cli_parse(const struct cli_option *options, int argc, char *const *argv,
                      struct cli_list *operands, const char *usage, struct kr_err *err);

/* --- input and output ------------------------------------------------------------------------- */

/* A whole file, or stdin for "-". KR_E_INPUT names the path. The text lives in a. */
KR_MUST int cli_read(struct kr_arena *a, const char *path, kr_str *text, struct kr_err *err);

/* Calls fn with each file that path names: itself ("-" too), or, of a folder, all *.yaml, *.yml and
 * *.json below it, by name; hidden ones and links to folders are left out. Stops at the first failure. The path given to fn
 * lives in a. KR_E_INPUT: there is no such file or folder. */
enum { CLI_FILES_MAX = 10 * 1000, CLI_FOLDERS_MAX = 16 /* below each other */ };
typedef int cli_file_fn(void *arg, const char *path, struct kr_err *err);
KR_MUST int cli_each_file(struct kr_arena *a, const char *path, cli_file_fn *fn, void *arg,
                          struct kr_err *err);

/* Writes all to stdout; CLI_OK, or CLI_FAILED when it cannot, which is said. */
int cli_print(const struct kr_buf *text);
/* The same of what was written to stdout already. */
int cli_flush(void);
/* "kroc: TEXT" to stderr; returns code. */
int cli_fail(int code, const char *text);
/* The same behind a failed call. KR_E_INPUT of an argument is CLI_USAGE, said by the caller. */
int cli_fail_err(int code, const struct kr_err *err);

/* A look of -w failed: says so to stderr, with the time of day, and that the next one comes in again_s. */
void cli_look_failed(const struct kr_err *err, uint32_t again_s);

/* The nearest of n names (edit distance at most a third of its length), or NULL. */
const char *cli_nearest(const char *word, const char *const *names, uint32_t n);

/* --- the commands: argv is behind the command's name; the result is the exit code ---------------- */

typedef int cli_command_fn(int argc, char *const *argv);

cli_command_fn cli_cel, cli_controller, cli_version, cli_docs, cli_fmt, cli_generate, cli_validate,
    cli_why, cli_doctor, cli_crds, cli_rbac, cli_get, cli_tree, cli_stuck, cli_top, cli_sandbox,
    cli_demo, cli_render, cli_test;

#endif
