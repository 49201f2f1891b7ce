/* SPDX-License-Identifier: Apache-2.0 */
/* auth.h - what goes on each exchange so that the server knows us: a bearer token, a token file
 * that is read again, basic auth, or what an exec plug-in says (token, client certificate).
 *
 * Credentials are asked for at the start of each exchange, so rotated ones are seen. Those of an
 * exec plug-in are kept until they expire or the server answers 401; one run serves all who wait.
 * Secrets appear in no error and are wiped when they are dropped.
 *
 * Source: Kubernetes "Authenticating: client-go credential plugins" (ExecCredential v1, v1beta1).
 */
#ifndef KUBE_AUTH_H
#define KUBE_AUTH_H

#include <uv.h>

#include "kube/config.h"

enum {
    KUBE_AUTH_WAIT = 1,                /* kube_auth_get: the plug-in is running */
    KUBE_AUTH_EXPIRY_MARGIN_MS = 5000, /* a credential is renewed this long before it expires */
};

struct kube_auth;

/* What goes on one exchange. Borrowed until the next call of kube_auth_get or _rejected, and until
 * the ready callback returns. */
struct kube_cred {
    const char *authorization; /* "Bearer ..." or "Basic ..."; NULL: no such header */
    const char *cert, *key;    /* PEM from the plug-in; NULL: those of the config */
    uint64_t generation;       /* which of the changing credentials this is; 0: it never changes */
};

/* The plug-in has ended: cred, or NULL and the reason. Runs from the loop. */
typedef void kube_auth_ready_fn(void *arg, const struct kube_cred *cred, const struct kr_err *err);

/* Borrows loop and config. Returns owned. */
struct kube_auth *kube_auth_new(uv_loop_t *loop, const struct kube_config *config,
                                kube_auth_ready_fn *ready, void *arg);
/* Returns 0 with *out, KUBE_AUTH_WAIT (ready comes later, once for all who wait), or negative when
 * a token file cannot be read. */
KR_MUST int kube_auth_get(struct kube_auth *a, struct kube_cred *out, struct kr_err *err);
/* The server answered 401 to the credentials of this generation: forgets them. Returns whether
 * asking again may give others. */
bool kube_auth_rejected(struct kube_auth *a, uint64_t generation);
/* Kills a running plug-in; ready is not called any more; frees, then calls closed (inside this call
 * when nothing runs). */
void kube_auth_close(struct kube_auth *a, void (*closed)(void *arg), void *arg);

#endif
