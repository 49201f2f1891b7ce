/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - the commands of kroc. No argument, or a first one that begins with "-", means
 * `controller`, so that manifests made for kro start this program unchanged.
 *
 * Exit codes: 0 done, 1 it failed while running, 2 the command line is wrong; doctor has its own.
 */
#include <signal.h>
#include <string.h>

#include "cel/base/json.h"
#include "cel/base/log.h"
#include "cel/cel.h"
#include "cli/cli.h"
#include "reactor/doctor.h"
#include "reactor/flags.h"
#include "reactor/metrics.h"
#include "reactor/reactor.h"
#include "reactor/version.h"

#include "cel/base/banned.h"

struct command {
    const char *name, *args, *help;
    cli_command_fn *run;
};

static cli_command_fn run_help;

static const struct command commands[] = {
    {"controller", "[flags]", "serve ResourceGraphDefinitions and their instances (the default)",
     cli_controller},
    {"cel", "EXPR [--vars FILE] [--env NAME] [--check|--reads|--cost], --cases FILE...",
     "evaluate an expression; run conformance cases", cli_cel},
    {"validate", "[--schemas PATH|--cluster] [-o FORMAT] [--strict] FILE...",
     "say all that is wrong with definitions", cli_validate},
    {"generate", "crd|instance|diagram -f FILE [-o FORMAT]",
     "print what comes of a definition: its CRD, a first instance, the graph", cli_generate},
    {"render", "-f RGD -f INSTANCE [--with OBJECTS] [-o yaml|json]",
     "print what would be applied for an instance, in order", cli_render},
    {"test", "[--run REGEX] [--junit FILE] [-v] FOLDER|FILE...",
     "run tests of definitions, each on a fresh sandbox in virtual time", cli_test},
    {"fmt", "[-w] [-l|--check] FILE...", "lay out definitions, comments kept", cli_fmt},
    {"doctor", "[--kubeconfig FILE] [--context NAME] [--round-trip] [--only ID,...] [-o json]",
     "say what is wrong with a cluster, and how to mend it", cli_doctor},
    {"get", "[KIND [NAME]] [-n NS] [-w] [-o json]",
     "list definitions and instances: state, what they wait for", cli_get},
    {"tree", "[KIND/]NAME [-n NS] [-w]",
     "show an instance and its objects, in the order of the graph", cli_tree},
    {"stuck", "[-n NS] [-w] [-o json]",
     "list what is not as it should be, and why; exit code 1 if there is any", cli_stuck},
    {"top", "[-w] [--address HOST:PORT]", "show what a running controller does, from its metrics",
     cli_top},
    {"rbac", "-f FILE... [--name NAME]",
     "print the smallest ClusterRole with which definitions can be served", cli_rbac},
    {"crds", "[--apply]", "print kro's CRDs, or bring those of a cluster up to date", cli_crds},
    {"sandbox", "[--controller] [--apply PATH] [--cluster KIND] [--kubeconfig FILE]",
     "a Kubernetes API server in this process, to try and to test", cli_sandbox},
    {"demo", "[--once] FOLDER", "kroc at work on the sandbox, told step by step: make run",
     cli_demo},
    {"why", "[KIND/]NAME [NODE] [-n NS] [--address HOST:PORT] [-o json]",
     "what happened to an instance, and why: asks a running controller", cli_why},
    {"version", "[-o json]", "print what was built", cli_version},
    {"docs", "flags|metrics|cel|doctor",
     "print the page docs/flags.md, docs/metrics.md, docs/cel.md; the doctor's checks", cli_docs},
    {"help", "[controller]", "print this text, or the controller's flags", run_help},
};

static void add_commands(struct kr_buf *out)
{
    kr_buf_fmt(out, "kroc rolls out resource graphs on Kubernetes, change by change.\n\n"
                    "Usage: kroc [command] [arguments]\n\n");
    for (size_t i = 0; i < KR_N(commands); i++)
        kr_buf_fmt(out, "  %-11s %s\n  %-11s %s\n", commands[i].name, commands[i].args, "",
                   commands[i].help);
}

static int run_help(int argc, char *const *argv)
{
    KR_AUTO(kr_buf) text = KR_BUF(REACTOR_FLAGS_TEXT_MAX);

    if (argc > 1 || (argc == 1 && strcmp(argv[0], "controller") != 0))
        return cli_fail(CLI_USAGE, "usage: kroc help [controller]");
    if (argc == 1)
        reactor_flags_help(&text);
    else
        add_commands(&text);
    return cli_print(&text);
}

int cli_docs(int argc, char *const *argv)
{
    KR_AUTO(kr_buf) text = KR_BUF(REACTOR_FLAGS_TEXT_MAX);

    if (argc == 1 && strcmp(argv[0], "flags") == 0)
        reactor_flags_page(&text);
    else if (argc == 1 && strcmp(argv[0], "metrics") == 0)
        reactor_metrics_page(&text);
    else if (argc == 1 && strcmp(argv[0], "cel") == 0)
        cel_reference_page(&text);
    else if (argc == 1 && strcmp(argv[0], "doctor") == 0)
        reactor_doctor_page(&text);
    else
        return cli_fail(CLI_USAGE, "usage: kroc docs flags|metrics|cel|doctor");
    return cli_print(&text);
}

int cli_version(int argc, char *const *argv)
{
    KR_AUTO(kr_buf) text = KR_BUF(4096);
    bool json = (argc == 2 && strcmp(argv[0], "-o") == 0 && strcmp(argv[1], "json") == 0) ||
                (argc == 1 && (strcmp(argv[0], "-o=json") == 0 || strcmp(argv[0], "-ojson") == 0));

    if (argc > 0 && !json)
        return cli_fail(CLI_USAGE, "usage: kroc version [-o json]");
    if (!json) {
        kr_buf_fmt(&text, "kroc %s (commit %s, %s)\n", reactor_version, reactor_commit,
                   reactor_date);
        return cli_print(&text);
    }
    kr_buf_fmt(&text, "{\"version\":");
    kr_json_quote(&text, kr_str_c(reactor_version), 0);
    kr_buf_fmt(&text, ",\"commit\":");
    kr_json_quote(&text, kr_str_c(reactor_commit), 0);
    kr_buf_fmt(&text, ",\"date\":");
    kr_json_quote(&text, kr_str_c(reactor_date), 0);
    kr_buf_fmt(&text, "}\n");
    return cli_print(&text);
}

static int show_help(void) /* the commands and the controller's flags */
{
    KR_AUTO(kr_buf) text = KR_BUF(REACTOR_FLAGS_TEXT_MAX);

    add_commands(&text);
    kr_buf_chr(&text, '\n');
    reactor_flags_help(&text);
    return cli_print(&text);
}

int cli_controller(int argc, char *const *argv)
{
    struct kr_err err = KR_ERR_NONE;
    struct reactor_flags flags;
    int rc = reactor_flags_parse(&flags, argc, argv, &err);

    if (rc == 0) {
        kr_log_config(flags.log_level, flags.log_json, 2);
        rc = reactor_run(&flags);
    } else if (rc == REACTOR_FLAGS_HELP) {
        rc = show_help();
    } else if (rc == REACTOR_FLAGS_VERSION) {
        rc = cli_version(0, NULL);
    } else {
        rc = cli_fail(CLI_USAGE, err.text);
    }
    reactor_flags_fini(&flags);
    return rc;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); /* a closed connection is an error code, not our end */
    if (argc < 2 || argv[1][0] == '-')
        return cli_controller(argc > 1 ? argc - 1 : 0, argv + 1);
    for (size_t i = 0; i < KR_N(commands); i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 2, argv + 2);
    }
    fprintf(stderr, "kroc: unknown command \"%s\"; kroc help lists all\n", argv[1]);
    return CLI_USAGE;
}
