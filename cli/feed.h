/* SPDX-License-Identifier: Apache-2.0 */
/* feed.h - documents on their way into a sandbox: kubectl apply with patience.
 *
 * Namespaces and CRDs go first, then definitions, then the rest, each in the order of the files. A
 * document whose kind is not served, or whose namespace is not there, waits and is offered again: an
 * instance stands in the same folder as the definition that makes its kind. Whoever feeds says how
 * long it may wait; what is refused for another reason is refused for good.
 */
#ifndef CLI_FEED_H
#define CLI_FEED_H

#include "cli/cli.h"
#include "kube/sandbox/sandbox.h"

enum {
    CLI_FEED_AGAIN_MS = 10,        /* how often to offer, by the clock */
    CLI_FEED_WAIT_MS = 30 * 1000,  /* then it has waited long enough */
    CLI_FEED_DOCS_MAX = 10 * 1000, /* documents */
};

struct cli_feed {
    uint32_t waiting_n; /* not in yet */

    struct kr_arena a;
    struct cli_feed_doc *docs; /* those that wait */
    uint32_t cap;
};

void cli_feed_fini(struct cli_feed *f);
/* A document of a file (path is borrowed, for messages); a List's items one by one. What is not for an
 * API server (kustomization.yaml, a Test of kroc test) is passed over. KR_E_INPUT: it has no kind or name. */
KR_MUST int cli_feed_doc(struct cli_feed *f, const char *path, kr_val doc, struct kr_err *err);
/* All documents of a file or folder. KR_E_INPUT: none is for an API server. */
KR_MUST int cli_feed_path(struct cli_feed *f, const char *path, struct kr_err *err);

/* "default/shop: FILE" and why it is refused, or why it waits. */
typedef void cli_feed_fn(void *arg, kr_str what, kr_str why);
/* Offers all that wait; tells fn of those that are refused. Returns how many wait now. */
uint32_t cli_feed_offer(struct cli_feed *f, struct sandbox *s, const char *manager, cli_feed_fn *fn,
                        void *arg);
/* Nothing waits any longer: fn is told of each that did. */
void cli_feed_give_up(struct cli_feed *f, cli_feed_fn *fn, void *arg);

/* "Deployment default/shop" */
kr_str cli_feed_name(struct kr_arena *a, kr_val doc);

#endif
