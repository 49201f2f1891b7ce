/* SPDX-License-Identifier: Apache-2.0 */
/* crds.c - `kroc crds`: prints kro's two CRDs as this version knows them; --apply writes them into the
 * cluster by server-side apply, which is what the chart's hook does before an upgrade.
 */
#include "reactor/crds.h"
#include "cel/base/yaml.h"
#include "cli/cli.h"
#include "cli/cluster.h"

#include "cel/base/banned.h"

#define MANAGER "kroc-crds"

static const char usage[] = "kroc crds";

static const char *const texts[] = {reactor_crd_definitions, reactor_crd_revisions};

static int print_all(void)
{
    KR_AUTO(kr_buf) out = KR_BUF(CLI_TEXT_MAX);

    for (size_t i = 0; i < KR_N(texts); i++)
        kr_buf_fmt(&out, "---\n%s", texts[i]);
    return cli_print(&out);
}

static int apply_one(struct cli_cluster *cluster, kr_val crd, struct kr_err *err)
{
    struct kube_req req = {.verb = KUBE_APPLY,
                           .force = true,
                           .manager = MANAGER,
                           .ref = {.gvr = {KR_S("apiextensions.k8s.io"), KR_S("v1"),
                                           KR_S("customresourcedefinitions")},
                                   .name = kr_at_str(crd, "metadata.name")}};
    int rc = kube_req_set_body(&req, crd, err);

    if (rc == 0)
        rc = cli_cluster_ask(cluster, &req, err);
    if (rc == 0)
        printf(KR_FMT " is %s\n", KR_ARG(req.ref.name),
               req.status == 201 ? "created" : "up to date");
    kube_req_fini(&req);
    return rc;
}

static int apply_all(struct cli_cluster *cluster, struct kr_err *err)
{
    KR_AUTO(kr_arena) a = {0};

    for (size_t i = 0; i < KR_N(texts); i++) {
        kr_val docs;

        KR_TRY(kr_yaml_parse(&a, kr_str_c(texts[i]), &docs, err));
        KR_LIST_EACH (doc, docs)
            KR_TRY(apply_one(cluster, *doc, err));
    }
    return 0;
}

int cli_crds(int argc, char *const *argv)
{
    const char *kubeconfig = NULL, *context = NULL;
    bool apply = false;
    const struct cli_option options[] = {
        {.name = "apply",
         .flag = &apply,
         .help = "write them into the cluster (server-side apply)"},
        {.name = "kubeconfig",
         .value = &kubeconfig,
         .arg = "FILE",
         .help = "kubeconfig; else as kubectl's"},
        {.name = "context", .value = &context, .arg = "NAME", .help = "context of the kubeconfig"},
        {0}};
    struct cli_cluster *cluster = NULL;
    struct kr_err err = KR_ERR_NONE;
    int rc = cli_parse(options, argc, argv, NULL, usage, &err);

    if (rc == CLI_HELP)
        return CLI_OK;
    if (rc < 0)
        return cli_fail_err(CLI_USAGE, &err);
    if (!apply)
        return print_all();
    rc = cli_cluster_open(kubeconfig, context, &cluster, &err);
    if (rc == 0)
        rc = apply_all(cluster, &err);
    cli_cluster_free(cluster);
    return rc < 0 ? cli_fail_err(CLI_FAILED, &err) : CLI_OK;
}
