/* SPDX-License-Identifier: Apache-2.0 */
/* endpoint.h - a sandbox on loopback, and the kubeconfig that leads there: with a token and a
 * certificate made at start, readable by nobody else. */
#ifndef CLI_ENDPOINT_H
#define CLI_ENDPOINT_H

#include "cli/cli.h"
#include "kube/sandbox/serve.h"

struct cli_endpoint_opts {
    uv_loop_t *loop;         /* borrowed */
    struct sandbox *sandbox; /* borrowed */
    uint16_t port;           /* 0: any */
    bool plain;              /* HTTP without TLS and without a token */
    struct sandbox_fault fault;
    const char *kubeconfig; /* file to write; NULL: one of its own, which goes with it */
};

struct cli_endpoint {
    const char *kubeconfig; /* the file */

    struct sandbox_server *server;
    bool made;
    struct kr_arena a;
};

KR_MUST int cli_endpoint_open(struct cli_endpoint *e, const struct cli_endpoint_opts *opts,
                              struct kr_err *err);
/* Legal twice, and when open failed. */
void cli_endpoint_close(struct cli_endpoint *e);

#endif
