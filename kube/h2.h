/* SPDX-License-Identifier: Apache-2.0 */
/* h2.h - one HTTP/2 connection of a client: nghttp2's frames over bytes that somebody else has opened.
 *
 * Why not libcurl's own HTTP/2: at each readable socket it runs every exchange of the connection, and
 * polls the socket anew for each of them; with many requests at a time that was more than half of what
 * a request cost. Resolving names, proxies, TLS and its errors remain libcurl's (curl_dial.c).
 *
 * Rules: callbacks run only from the loop, or inside kube_h2_flush; never inside open or cancel. Inside a
 * callback everything may be called but kube_h2_flush and kube_h2_close.
 *
 * A peer that is gone is noticed by the kernel; one behind a balancer that still acknowledges bytes is
 * not, so a silent connection is asked for a sign of life.
 *
 * Source: RFC 9113; nghttp2; client-go's HTTP2_READ_IDLE_TIMEOUT_SECONDS and HTTP2_PING_TIMEOUT_SECONDS.
 */
#ifndef KUBE_H2_H
#define KUBE_H2_H

#include <nghttp2/nghttp2.h>
#include <uv.h>

#include "cel/base/list.h"
#include "cel/base/str.h"

enum {
    KUBE_H2_STREAMS_MAX = 100,    /* of one connection at a time; kube-apiserver takes 100 or 250 */
    KUBE_H2_WINDOW = 1024 * 1024, /* bytes of one stream that may be under way */
    KUBE_H2_CONNECTION_WINDOW = 16 * 1024 * 1024,
    KUBE_H2_READS_MAX = 32, /* reads (16 KB each) before the loop gets its turn */
    /* As client-go: a connection with streams that says nothing for so long is asked with a PING, */
    KUBE_H2_SILENCE_MS = 30 * 1000,
    KUBE_H2_PING_MS = 15 * 1000, /* and is broken where no byte comes within this. */
};

/* The bytes. Neither ever blocks. Return how many; 0: not now; -1: closed or broken. A write that
 * returned 0 is repeated with the same bytes at the same address (TLS wants that). */
struct kube_h2_io {
    ssize_t (*read)(void *arg, char *bytes, size_t n);
    ssize_t (*write)(void *arg, const char *bytes, size_t n);
};

enum kube_h2_end {
    KUBE_H2_DONE,    /* the response is whole */
    KUBE_H2_REFUSED, /* the server has not looked at the request: it may go again elsewhere */
    KUBE_H2_RESET,   /* the server, or we, gave it up */
    KUBE_H2_BROKEN,  /* the connection has gone */
};

struct kube_h2;
struct kube_h2_stream;

struct kube_h2_ops {
    /* A line of the response's head. The status has the name ":status". */
    void (*header)(struct kube_h2_stream *s, kr_str name, kr_str value);
    /* The head is complete; not told of 1xx. */
    void (*head)(struct kube_h2_stream *s, int status);
    /* A part of the body. false: no more of it, the stream is reset. */
    bool (*bytes)(struct kube_h2_stream *s, const char *bytes, size_t n);
    /* The last word; s may be freed inside. */
    void (*end)(struct kube_h2_stream *s, enum kube_h2_end how);
};

/* One request and its response, embedded in its owner. All members are private to h2.c. */
struct kube_h2_stream {
    const struct kube_h2_ops *ops;
    struct kube_h2 *h2; /* NULL: not open */
    struct kr_link link;
    kr_str body; /* what is left of it */
    int32_t id;
    int status;
    bool head_done, stopped;
};

/* Speaks on fd, which is connected, through io with arg; borrows all. gone: the connection broke, or is
 * retired and has no stream left; called once, from the loop: the owner then closes it. Returns owned. */
struct kube_h2 *kube_h2_new(uv_loop_t *loop, int fd, const struct kube_h2_io *io, void *arg,
                            void (*gone)(void *arg));
/* The streams that are left end as broken before it returns. closed: the memory is free; nothing of arg
 * is used after the call but by closed. */
void kube_h2_close(struct kube_h2 *h, void (*closed)(void *arg));

/* May one more stream be opened? */
bool kube_h2_has_room(const struct kube_h2 *h);
/* Opens s: headers are copied, body is borrowed until the end. Needs room. Nothing is sent before
 * kube_h2_flush. */
void kube_h2_open(struct kube_h2 *h, struct kube_h2_stream *s, const struct kube_h2_ops *ops,
                  const nghttp2_nv *headers, size_t headers_n, kr_str body);
/* Has s had predecessors on its connection? (Then that may have been dead already.) */
bool kube_h2_is_later(const struct kube_h2_stream *s);
/* Gives s up without a word. Legal when not open. */
void kube_h2_cancel(struct kube_h2_stream *s);
/* Takes no new streams any more. */
void kube_h2_retire(struct kube_h2 *h);
/* Other times than KUBE_H2_SILENCE_MS and KUBE_H2_PING_MS. */
void kube_h2_patience(struct kube_h2 *h, uint32_t silence_ms, uint32_t ping_ms);
/* Sends what was opened and canceled. */
void kube_h2_flush(struct kube_h2 *h);

#endif
