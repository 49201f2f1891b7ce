/* SPDX-License-Identifier: Apache-2.0 */
/* doctor.c - `kroc doctor`: the checks of reactor/doctor.h, from a machine with a kubeconfig. Exit code:
 * 0 all PASS, 1 WARN, 2 FAIL. Ctrl-C ends it, after D03 has removed what it made.
 */
#include <signal.h>
#include <uv.h>

#include "cli/cli.h"
#include "cli/cluster.h"
#include "cli/progress.h"
#include "kube/config.h"
#include "reactor/doctor.h"
#include "reactor/version.h"

#include "cel/base/banned.h"

struct args {
    const char *kubeconfig, *context, *namespace, *kind, *only, *output;
    bool before_install, round_trip;
};

static const char usage[] = "kroc doctor";

static void on_signal(uv_signal_t *h, int signum)
{
    reactor_doctor_cancel(h->data);
}

/* "kind-" in front of the context names a cluster of kind. */
static const char *kind_of(const struct args *args, const struct kube_config *config)
{
    if (args->kind != NULL)
        return args->kind;
    if (config->context && strncmp(config->context, "kind-", 5) == 0)
        return config->context + 5;
    return NULL;
}

/* The namespace of the controller: as told, our own in a pod, else that of the manifests. */
static const char *home_of(const struct args *args, const struct kube_config *config)
{
    bool in_pod = config->context && strcmp(config->context, "in-cluster") == 0;

    if (args->namespace != NULL)
        return args->namespace;
    return in_pod && config->namespace ? config->namespace : "kro-system";
}

static void wait_for(const struct reactor_doctor *d, struct cli_cluster *cluster)
{
    struct cli_progress progress;
    uint32_t over_n, all_n;

    cli_progress_begin(&progress, KR_S("checks"));
    while (!reactor_doctor_over(d)) {
        cli_cluster_turn(cluster);
        reactor_doctor_progress(d, &over_n, &all_n);
        cli_progress(&progress, over_n, all_n);
    }
    cli_progress_end(&progress);
}

static int examine(const struct args *args, struct cli_cluster *cluster, struct kr_buf *out)
{
    const struct kube_config *config = cli_cluster_config(cluster);
    bool json = strcmp(args->output, "json") == 0;
    struct reactor_host host;
    struct reactor_doctor_opts opts = {.client = cli_cluster_client(cluster),
                                       .host = &host,
                                       .namespace = home_of(args, config),
                                       .version = reactor_version,
                                       .context = config->context,
                                       .kind = kind_of(args, config),
                                       .only = args->only,
                                       .before_install = args->before_install,
                                       .round_trip = args->round_trip};
    struct reactor_doctor *d;
    uv_signal_t ctrl_c;
    int verdict;

    reactor_host_open(&host, cli_cluster_loop(cluster));
    d = reactor_doctor_new(&opts);
    uv_signal_init(cli_cluster_loop(cluster), &ctrl_c);
    ctrl_c.data = d;
    uv_signal_start(&ctrl_c, on_signal, SIGINT);
    wait_for(d, cluster);
    uv_close((uv_handle_t *)&ctrl_c, NULL);
    cli_cluster_drain(cluster);
    reactor_host_close(&host);
    reactor_doctor_print(d, json, out);
    verdict = (int)reactor_doctor_verdict(d);
    reactor_doctor_free(d);
    return verdict;
}

/* Ids that do not exist are a mistake of the command. */
static int check_only(const char *only, struct kr_err *err)
{
    kr_str rest = kr_str_c(only);

    while (rest.s) {
        kr_str id = kr_str_trim(kr_str_cut(&rest, ','));

        if (reactor_doctor_about(id) == NULL)
            return kr_fail(err, KR_E_INPUT, "--only: there is no check \"" KR_FMT "\"", KR_ARG(id));
    }
    return 0;
}

static int run(const struct args *args)
{
    KR_AUTO(kr_buf) out = KR_BUF(REACTOR_CHECKS_TEXT_MAX);
    struct kr_err err = KR_ERR_NONE;
    struct cli_cluster *cluster;
    int verdict;

    if (cli_cluster_open(args->kubeconfig, args->context, &cluster, &err) < 0) {
        reactor_doctor_line(
            &out, strcmp(args->output, "json") == 0, REACTOR_FAIL, "K01", kr_err_str(&err),
            KR_S("name a cluster: kroc doctor --kubeconfig FILE --context NAME (kubectl config "
                 "get-contexts lists them); make deploy-kind makes one"));
        verdict = REACTOR_FAIL;
    } else {
        verdict = examine(args, cluster, &out);
        cli_cluster_free(cluster);
    }
    if (cli_print(&out) != CLI_OK)
        return REACTOR_FAIL;
    return args->before_install && verdict == REACTOR_WARN ? CLI_OK : verdict;
}

int cli_doctor(int argc, char *const *argv)
{
    static const char *const outputs[] = {"text", "json", NULL};
    struct args args = {.output = "text"};
    const struct cli_option options[] = {
        {.name = "kubeconfig",
         .value = &args.kubeconfig,
         .arg = "FILE",
         .help = "kubeconfig; else as kubectl's"},
        {.name = "context",
         .value = &args.context,
         .arg = "NAME",
         .help = "context of the kubeconfig"},
        {.name = "namespace",
         .letter = 'n',
         .value = &args.namespace,
         .arg = "NS",
         .help = "where the controller lives, or will (default kro-system)"},
        {.name = "kind",
         .value = &args.kind,
         .arg = "NAME",
         .help = "the cluster of kind that is meant: D01, D02 (default by the context kind-NAME)"},
        {.name = "only",
         .value = &args.only,
         .arg = "ID,...",
         .help = "these checks and no others"},
        {.name = "before-install",
         .flag = &args.before_install,
         .help = "what is not installed yet is no finding; exit code 1 becomes 0"},
        {.name = "round-trip",
         .flag = &args.round_trip,
         .help = "D03 too: makes a definition and an instance, and removes them"},
        {.name = "output",
         .letter = 'o',
         .value = &args.output,
         .choices = outputs,
         .arg = "FORM",
         .help = "text or json"},
        {0}};
    struct kr_err err = KR_ERR_NONE;
    int rc = cli_parse(options, argc, argv, NULL, usage, &err);

    if (rc == CLI_HELP)
        return CLI_OK;
    if (rc < 0 || check_only(args.only, &err) < 0)
        return cli_fail_err(CLI_USAGE, &err);
    return run(&args);
}
