/* SPDX-License-Identifier: Apache-2.0 */
/* validate.h - the inside of `kroc validate`: what was read, what was found, how it is printed.
 *
 *   validate.c         input, compiling, places in the files, exit code
 *   members.c          what the kind ResourceGraphDefinition has
 *   validate_crd.c     what an API server would say of the generated CRD
 *   validate_print.c   text for people; JSON and YAML for tools; SARIF for code hosts
 */
#ifndef CLI_VALIDATE_H
#define CLI_VALIDATE_H

#include "cli/cli.h"
#include "graph/diag.h"

/* members.c: members of a definition (the whole document) that its kind does not have are errors. */
void cli_check_members(kr_val definition, struct graph_diags *d);

/* validate_crd.c: what an API server would refuse of the generated CRD are warnings. own_columns:
 * the definition has printer columns of its own. */
void cli_check_crd(kr_val crd, bool own_columns, struct graph_diags *d);

/* A file of the input. */
struct cli_source {
    const char *path; /* "-": stdin */
    kr_str text;
};

/* A finding and its place in a file. */
struct cli_finding {
    const struct cli_source *source;
    const struct graph_diag *diag;
    uint32_t line, column; /* in the file, from 1; column 0: the whole line */
    kr_str shown;          /* the line of the file, or of the expression; may be empty */
    uint32_t caret;        /* under this column of shown, from 1; 0: none */
};

/* A definition of the input. */
struct cli_verdict {
    const struct cli_source *source;
    uint32_t line;
    kr_str name; /* metadata.name */
    kr_gvk generates;
    bool valid;
    struct graph_diags diags;
    struct cli_finding *findings; /* one a diag */
};

struct cli_report {
    struct kr_arena a;
    uint32_t n, valid_n;
    struct cli_verdict *verdicts;
    uint32_t errors_n, warnings_n; /* findings left out count too */
    bool failed;                   /* what the exit code says */
};

void cli_report_text(const struct cli_report *r, bool colour, struct kr_buf *out);
kr_val cli_report_value(const struct cli_report *r, struct kr_arena *a);
kr_val cli_report_sarif(const struct cli_report *r, struct kr_arena *a);

#endif
