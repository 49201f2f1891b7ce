/* SPDX-License-Identifier: Apache-2.0 */
/* http.h - a transport door served over HTTP/1.1 on a loopback port: so that a program of its own can
 * talk with a server that lives in this process (tests/lib/fakeapi).
 *
 * One request at a time on a connection, as libcurl sends them; the answer comes in chunks, as the
 * exchange gives them. A client that goes away cancels its exchange. It serves a client that means
 * well: a request that it cannot read closes the connection.
 */
#ifndef SCALE_HTTP_H
#define SCALE_HTTP_H

#include <uv.h>

#include "kube/transport.h"

enum {
    SCALE_HTTP_REQUEST_MAX = 4 * 1024 * 1024, /* bytes of a request with its head */
    SCALE_HTTP_BACKLOG = 512,
};

struct scale_http;

/* Listens on 127.0.0.1, on a free port. Borrows both. Returns owned, or NULL: nothing is free. */
struct scale_http *scale_http_new(uv_loop_t *loop, struct kube_transport *transport);
uint16_t scale_http_port(const struct scale_http *h);
/* Bytes of answers so far, and those of them that the kernel has not taken yet. */
uint64_t scale_http_sent_bytes(const struct scale_http *h);
uint64_t scale_http_queued_bytes(const struct scale_http *h);
uint32_t scale_http_connections_n(const struct scale_http *h);
/* Closes everything; frees once the loop has run the callbacks. */
void scale_http_close(struct scale_http *h);

#endif
