/* SPDX-License-Identifier: Apache-2.0 */
/* curl_uv.h - the real doors: libcurl and nghttp2 on libuv, and libuv's clock.
 *
 * libcurl opens all connections. Streams and requests have connections of their own, so that a slow reader
 * never blocks a write; HTTP/2 multiplexing with HTTP/1.1 as fall-back. Credentials come from a kube_auth at the
 * start of each exchange, so that rotated tokens are seen; a 401 for a token that can be renewed
 * renews it and sends the exchange once more, unseen by its owner.
 */
#ifndef KUBE_CURL_UV_H
#define KUBE_CURL_UV_H

#include <uv.h>

#include "kube/config.h"
#include "kube/transport.h"

enum {
    KUBE_CONNECT_TIMEOUT_MS = 10 * 1000,
};

struct kube_curl;

/* Borrows loop and config. Cannot fail: trouble shows at the exchanges. The process ignores SIGPIPE
 * from now on. Returns owned. */
struct kube_curl *kube_curl_new(uv_loop_t *loop, const struct kube_config *config);
struct kube_transport *kube_curl_transport(struct kube_curl *c);
/* Cancels what is under way (their on_end come first), closes handles, then calls closed and frees.
 */
void kube_curl_close(struct kube_curl *c, void (*closed)(void *arg), void *arg);

struct kube_uv_clock;
struct kube_uv_clock *kube_uv_clock_new(uv_loop_t *loop);
struct kube_clock *kube_uv_clock_door(struct kube_uv_clock *c);
void kube_uv_clock_close(
    struct kube_uv_clock *c); /* frees after the loop has run its close callbacks */

#endif
