/* SPDX-License-Identifier: Apache-2.0 */
/* serve.h - the sandbox on a loopback address, HTTP/1.1 with or without TLS.
 *
 * On libmicrohttpd's epoll descriptor, polled by the loop of the program; no thread. A watch without
 * news is suspended and costs nothing until its type changes; what a slow reader has not taken is not
 * made yet. Whoever lacks the token is refused: other users of the machine reach the port too.
 *
 * Faults on purpose (struct sandbox_fault): what a controller must survive, in front of every answer.
 */
#ifndef SANDBOX_SERVE_H
#define SANDBOX_SERVE_H

#include <uv.h>

#include "kube/sandbox/sandbox.h"

enum {
    SANDBOX_CONNECTIONS_MAX = 5000,
    SANDBOX_PATH_MAX = 16 * 1024,         /* bytes of path and query */
    SANDBOX_CHUNK_BYTES = 64 * 1024,      /* of a watch, made at a time */
    SANDBOX_DRAIN_MAX = 64 * 1024 * 1024, /* bytes read of a body that is refused */
    SANDBOX_DELAY_MAX_MS = 60 * 1000,
    SANDBOX_METHOD_MAX = 8, /* "DELETE" and its end */
    SANDBOX_TOKEN_BYTES = 32,
};

/* 'every=7,status=500': each 7th request is answered so; 'cut=120': connections break behind that
 * many bytes of an answer's body; 'delay=50ms': before each is looked at; 'of=PATCH': refusals and
 * delays are for that method alone. Zero: none. */
struct sandbox_fault {
    uint32_t every;
    int status;
    uint64_t cut_bytes;
    uint32_t delay_ms;
    char of[SANDBOX_METHOD_MAX]; /* empty: all methods */
};
/* Reads the text of --fault into *out, beside what is there. */
KR_MUST int sandbox_fault_read(const char *text, struct sandbox_fault *out, struct kr_err *err);

struct sandbox_server_opts {
    uv_loop_t *loop;         /* borrowed */
    struct sandbox *sandbox; /* borrowed */
    uint16_t port;           /* of 127.0.0.1; 0: any */
    bool plain;              /* no TLS */
    const char *token;       /* bearer token that requests must show; NULL: none */
    struct sandbox_fault fault;
};

struct sandbox_server;

/* Listens. Returns owned. KR_E_IO: the port is taken; KR_E_INPUT: no TLS in libmicrohttpd. */
KR_MUST int sandbox_server_open(const struct sandbox_server_opts *opts, struct sandbox_server **out,
                                struct kr_err *err);
uint16_t sandbox_server_port(const struct sandbox_server *server);
const char *sandbox_server_certificate(const struct sandbox_server *server); /* PEM; NULL: plain */
/* Ends all connections, frees; closed (may be NULL) comes from the loop. */
void sandbox_server_close(struct sandbox_server *server, void (*closed)(void *arg), void *arg);

#endif
