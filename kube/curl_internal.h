/* SPDX-License-Identifier: Apache-2.0 */
/* curl_internal.h - shared by curl_uv.c (handles, sockets, life) and curl_easy.c (the options and
 * the errors of one exchange), and by nobody else. */
#ifndef KUBE_CURL_INTERNAL_H
#define KUBE_CURL_INTERNAL_H

#include <curl/curl.h>

#include "kube/auth.h"
#include "kube/curl_uv.h"

enum {
    KUBE_CURL_IDLE_MAX = 64, /* easy handles kept for reuse */
    KUBE_CURL_SUSPECT_MS =
        5000, /* no answer for so long, and given up: its connection is suspect */
    KUBE_CURL_OPENING_MS = 1000,  /* how long one opening holds up the next: see must_wait */
    KUBE_TCP_DEAD_MS = 20 * 1000, /* unacknowledged bytes for so long: the peer is gone */
    KUBE_TCP_KEEP_IDLE_S = 15,
    KUBE_TCP_KEEP_INTERVAL_S = 5,
};

/* Where the server is, as curl wants to hear it. Made once from the config. */
struct kube_target {
    char *base;        /* "https://name:port/prefix"; name is tls-server-name when that is set */
    char *host_header; /* "Host: ..." when name is not the server's own, else NULL */
    struct curl_slist *connect_to; /* with host_header: where name really is */
    bool tls;
    bool loopback; /* no proxy of the environment stands between us and ourselves */
};
void kube__target_init(struct kube_target *t, const struct kube_config *config);
void kube__target_fini(struct kube_target *t);

struct kube_door;

/* One exchange on its way through curl. */
struct kube_xfer {
    struct kube_curl *curl;
    struct kube_exchange *x;
    struct kube_door *door; /* the multi handle it is in, or NULL */
    CURL *easy;
    struct curl_slist *headers; /* has the token: wiped */
    char *url;
    char errors[CURL_ERROR_SIZE]; /* curl's own words; only those about TLS are passed on */
    uint64_t generation;          /* of the credential it went with */
    uint64_t begun_ms, heard_ms;
    int64_t retry_after_ms;
    int rc; /* of the end, once that is due */
    struct kr_err err;
    bool head_done, swallow, retried, canceled, stopped, opening;
    struct kube_timer timer; /* time-out: whole exchange, or silence of a stream */
    struct kr_link link;
};

/* Sets everything curl must know; callbacks are curl_uv.c's. */
void kube__easy_setup(struct kube_xfer *f, const struct kube_config *config,
                      const struct kube_target *target, const struct kube_cred *cred);
void kube__easy_clear(
    struct kube_xfer *f); /* wipes and frees what setup made; keeps the easy handle */
/* Translates a curl failure into f->rc, f->err and x->unsent, x->refused. */
void kube__easy_error(struct kube_xfer *f, CURLcode code, const struct kube_config *config);

#endif
