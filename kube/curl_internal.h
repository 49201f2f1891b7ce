/* SPDX-License-Identifier: Apache-2.0 */
/* curl_internal.h - shared by curl_uv.c (exchanges and their life), curl_door.c (libcurl on libuv),
 * curl_easy.c (the options and the errors of one exchange) and curl_dial.c (HTTP/2 connections), and by
 * nobody else. */
#ifndef KUBE_CURL_INTERNAL_H
#define KUBE_CURL_INTERNAL_H

#include <curl/curl.h>

#include "kube/auth.h"
#include "kube/curl_uv.h"
#include "kube/h2.h"

enum {
    KUBE_CURL_IDLE_MAX = 64, /* easy handles kept for reuse */
    KUBE_CURL_SUSPECT_MS =
        5000, /* no answer for so long, and given up: its connection is suspect */
    KUBE_CURL_OPENING_MS = 1000, /* how long one opening holds up the next: see must_wait */
    KUBE_CURL_RESENDS_MAX = 5,   /* of one exchange whose connection was dead already; as libcurl */
    KUBE_TCP_DEAD_MS = 20 * 1000, /* unacknowledged bytes for so long: the peer is gone */
    KUBE_TCP_KEEP_IDLE_S = 15,
    KUBE_TCP_KEEP_INTERVAL_S = 5,
};

/* Where the server is, as curl wants to hear it. Made once from the config. */
struct kube_target {
    char *base;        /* "https://name:port/prefix"; name is tls-server-name when that is set */
    char *authority;   /* "host:port", as the config has it */
    char *prefix;      /* of all paths, without a slash at the end; mostly "" */
    char *host_header; /* "Host: ..." when name is not the server's own, else NULL */
    struct curl_slist *connect_to; /* with host_header: where name really is */
    bool tls;
    bool loopback; /* no proxy of the environment stands between us and ourselves */
};
void kube__target_init(struct kube_target *t, const struct kube_config *config);
void kube__target_fini(struct kube_target *t);

struct kube_line;

/* Connections that share a fate: one door for streams, one for requests. */
struct kube_door {
    struct kube_curl *curl;
    CURLM *multi;
    uv_timer_t timer;
    uint32_t busy_n;     /* exchanges in it */
    uint32_t opening_n;  /* those of them that may be opening one more connection of libcurl's */
    uint64_t opening_ms; /* since when the last of these does */
    bool retired;
    struct kr_link lines;       /* HTTP/2 connections; see curl_dial.c */
    struct kube_line *dialling; /* the one of them that is not open yet, or NULL */
    struct kr_link held;        /* struct kube_xfer.link: they wait for it */
    struct kr_link link;
};

struct kube_curl {
    struct kube_transport transport;
    uv_loop_t *loop;
    const struct kube_config *config;
    struct kube_target target;
    struct kube_auth *auth;
    bool only_curl; /* no HTTP/2 with this server: libcurl has the exchanges too */

    struct kube_door *streams, *requests;
    struct kr_link doors;                         /* all, also retired ones */
    struct kr_link todo, waiting, flying, settle; /* struct kube_xfer.link */
    CURL *idle[KUBE_CURL_IDLE_MAX];
    uint32_t idle_n;
    uv_timer_t kick, alarm;    /* alarm: earliest of timers */
    struct kube_timers timers; /* time-outs of exchanges */

    uint32_t open_n; /* uv handles, HTTP/2 connections, and the auth */
    bool closing, finishing;
    void (*closed)(void *arg);
    void *closed_arg;
};

/* One exchange on its way: through a stream of its own, or through curl. */
struct kube_xfer {
    struct kube_curl *curl;
    struct kube_exchange *x;
    struct kube_door *door; /* where it flies, or NULL */
    struct kube_h2_stream stream;
    struct kube_line *line; /* not an exchange: dials this connection */
    CURL *easy;
    struct curl_slist *headers; /* has the token: wiped */
    char *url;
    char errors[CURL_ERROR_SIZE]; /* curl's own words; only those about TLS are passed on */
    uint64_t generation;          /* of the credential it went with */
    uint64_t begun_ms, heard_ms;
    int64_t retry_after_ms;
    int rc; /* of the end, once that is due */
    struct kr_err err;
    bool head_done, swallow, retried, canceled, stopped, opening, sent;
    uint8_t resends_n;
    struct kube_timer timer; /* time-out: whole exchange, or silence of a stream */
    struct kr_link link;
};

/* --- curl_uv.c --------------------------------------------------------------------------------- */

/* One of those that open_n counts has closed; the last frees c. */
void kube__curl_closed_one(struct kube_curl *c);
/* The end of f is due: the next kick tells it. */
void kube__curl_settle(struct kube_xfer *f, int rc);
void kube__curl_again(
    struct kube_xfer *f); /* f, which is in no list, is begun anew at the next kick */
void kube__curl_kick(struct kube_curl *c);
/* curl says that f is done. */
void kube__curl_done(struct kube_xfer *f, CURLcode code);
/* After callbacks have run: time-outs may have changed. */
void kube__curl_alarm(struct kube_curl *c);

/* --- curl_door.c ------------------------------------------------------------------------------- */

struct kube_door *kube__door_new(struct kube_curl *c);
void kube__door_close(struct kube_door *d); /* frees it later; nothing may fly in it */

/* --- curl_dial.c ------------------------------------------------------------------------------- */

/* A connection with room for one more stream with these credentials, or NULL. */
struct kube_h2 *kube__door_line(struct kube_door *d, const struct kube_cred *cred);
/* Opens one more, unless one is being opened; then the held go again (or fail). */
void kube__door_dial(struct kube_door *d, const struct kube_cred *cred);
/* Those who are held go again or, where a dial has failed, fail with it. */
void kube__door_release(struct kube_door *d, const struct kube_xfer *failed);
void kube__door_flush(struct kube_door *d);   /* sends what was begun and canceled */
void kube__door_hang_up(struct kube_door *d); /* closes all; their streams break */
void kube__line_dialled(struct kube_line *line, CURLcode code);
void kube__line_submit(struct kube_xfer *f, struct kube_h2 *h2,
                       const struct kube_h2_ops *stream_ops, const struct kube_cred *cred);

/* --- curl_easy.c ------------------------------------------------------------------------------- */

/* Sets everything curl must know; callbacks are curl_uv.c's. */
void kube__easy_setup(struct kube_xfer *f, const struct kube_config *config,
                      const struct kube_target *target, const struct kube_cred *cred);
void kube__easy_clear(
    struct kube_xfer *f); /* wipes and frees what setup made; keeps the easy handle */
/* Translates a curl failure into f->rc, f->err and x->unsent, x->refused. */
void kube__easy_error(struct kube_xfer *f, CURLcode code, const struct kube_config *config);
void kube__broken(struct kube_xfer *f, const struct kube_config *c); /* the words for that */

#endif
