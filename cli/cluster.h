/* SPDX-License-Identifier: Apache-2.0 */
/* cluster.h - a cluster that a command asks and waits for: a loop of its own, the client on it, and
 * the kinds that the server has.
 *
 * For commands that end soon; the controller has its own loop.
 */
#ifndef CLI_CLUSTER_H
#define CLI_CLUSTER_H

#include "kube/openapi.h"

enum { CLI_CLUSTER_MS = 30 * 1000 }; /* for one answer, all requests behind it together */

struct cli_cluster;
struct kube_config;
struct uv_loop_s;

/* kubeconfig and context as kubectl's; NULL: by the environment. Connects with the first question.
 * Returns owned. KR_E_INPUT: the configuration cannot be read. */
KR_MUST int cli_cluster_open(const char *kubeconfig, const char *context, struct cli_cluster **out,
                             struct kr_err *err);
void cli_cluster_free(struct cli_cluster *c); /* accepts NULL */

/* For a command that asks by itself. Borrowed. */
struct uv_loop_s *cli_cluster_loop(struct cli_cluster *c);
struct kube_client *cli_cluster_client(struct cli_cluster *c);
const struct kube_config *cli_cluster_config(const struct cli_cluster *c);
void cli_cluster_turn(struct cli_cluster *c); /* waits for something to happen, once */
void cli_cluster_drain(
    struct cli_cluster *c); /* until no request is open and closed handles are gone */
/* Sends req and waits for its answer. Returns req->rc, with its words. */
KR_MUST int cli_cluster_ask(struct cli_cluster *c, struct kube_req *req, struct kr_err *err);
/* Reads what the server has, for cli_cluster_discovery. */
KR_MUST int cli_cluster_discover(struct cli_cluster *c, struct kr_err *err);

/* The kinds of gvks that the server has, with their schemas. Returns owned in *kinds. KR_E_IO and the
 * like: the server cannot be asked. */
KR_MUST int cli_cluster_kinds(struct cli_cluster *c, const kr_gvk *gvks, uint32_t n,
                              struct cel_kinds **kinds, struct kr_err *err);
/* What it was last found to have. */
const struct kube_discovery *cli_cluster_discovery(const struct cli_cluster *c);

#endif
