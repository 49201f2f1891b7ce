/* SPDX-License-Identifier: Apache-2.0 */
/* client.h - requests to a Kubernetes API server.
 *
 * A request is embedded in its owner, started once, and ends with exactly one callback - later,
 * from kube_client_turn, never inside the call that started or cancelled it. The client repeats
 * what is safe to repeat by itself (429 and 503 with Retry-After, and a connection that was refused
 * before anything was sent); every other failure goes to the owner, who knows what it means.
 *
 * Concurrency is bounded (KUBE_IN_FLIGHT_MAX, halved by 429 and grown again by success); waiting
 * requests keep their order. --client-qps and --client-burst, when given, add a token bucket.
 *
 * Source: Kubernetes "API concepts"; metav1.Status; client-go rest.Request (Retry-After handling).
 */
#ifndef KUBE_CLIENT_H
#define KUBE_CLIENT_H

#include "cel/base/buf.h"
#include "cel/base/json.h"
#include "cel/base/ref.h"
#include "kube/transport.h"

enum {
    KUBE_IN_FLIGHT_MAX = 64,
    KUBE_IN_FLIGHT_MIN = 2,
    KUBE_FLOWS = 256,                   /* of requests: see kube_req.flow */
    KUBE_BODY_MAX = 64 * 1024 * 1024,   /* bytes of a response */
    KUBE_REQUEST_MAX = 3 * 1024 * 1024, /* bytes of a request body; the server's own limit */
    KUBE_REQUEST_TIMEOUT_MS = 30 * 1000,
    KUBE_RETRY_MAX = 10, /* repeats by the client itself; client-go: 10 */
    KUBE_RETRY_AFTER_MAX_MS = 30 * 1000,
    KUBE_REFUSED_RETRY_MAX = 3, /* repeats after a refused connection, 100 ms apart and doubling:
                                   bridges a restart's gap; a longer one is the owner's matter */
    KUBE_REFUSED_DELAY_MS = 100,
    KUBE_ERROR_BODY_MAX = 1024 * 1024, /* bytes of a failure's body; more is not read */
    KUBE_URL_MAX = 16 * 1024,          /* bytes of path and query */
};

/* Reasons we act on (metav1.StatusReason); others are KUBE_R_OTHER. */
enum kube_reason {
    KUBE_R_NONE,
    KUBE_R_NOT_FOUND,
    KUBE_R_ALREADY_EXISTS,
    KUBE_R_CONFLICT,
    KUBE_R_GONE,
    KUBE_R_EXPIRED,
    KUBE_R_INVALID,
    KUBE_R_BAD_REQUEST,
    KUBE_R_FORBIDDEN,
    KUBE_R_UNAUTHORIZED,
    KUBE_R_TOO_MANY,
    KUBE_R_TIMEOUT,
    KUBE_R_INTERNAL,
    KUBE_R_OTHER,
};

struct kube_client;
struct kube_req;
typedef void kube_done_fn(struct kube_req *req);

struct kube_client_opts {
    const char *user_agent; /* "kro/<version>": the server derives the manager kro from it */
    double qps;             /* 0: no limit */
    uint32_t burst;
};

/* Borrows transport, clock and opts.user_agent. Returns owned. */
struct kube_client *kube_client_new(struct kube_transport *t, struct kube_clock *c,
                                    const struct kube_client_opts *opts);
/* Legal when no request is under way. */
void kube_client_free(struct kube_client *client);
struct kube_transport *kube_client_transport(struct kube_client *client);
struct kube_clock *kube_client_clock(struct kube_client *client);
const char *kube_client_user_agent(const struct kube_client *client);
/* Sees each request that is answered (or fails, or is cancelled), and each answer after which the
 * client sends the request again by itself (code 0: nobody listened). For metrics; fn may be NULL. */
typedef void kube_seen_fn(void *arg, const struct kube_req *req, bool repeated, int code);
void kube_client_on_answer(struct kube_client *client, kube_seen_fn *fn, void *arg);
const char *kube_req_method(const struct kube_req *req); /* "PATCH" */
/* Calls `wake` (from the loop) whenever the completion list becomes non-empty. */
void kube_client_on_ready(struct kube_client *client, void (*wake)(void *arg), void *arg);
/* Delivers the completions listed so far, in the order of their arrival. Part of the turn. */
void kube_client_turn(struct kube_client *client);
/* Requests that wait or fly. */
uint32_t kube_client_busy_n(const struct kube_client *client);
/* Requests that wait for their turn; those that wait for a repeat are not among them, nor those whose
 * flow has its share in flight: these wait for their own kind. */
uint32_t kube_client_waiting_n(const struct kube_client *client);
/* All of a flow that wait for their turn. */
uint32_t kube_client_flow_waiting_n(const struct kube_client *client, uint8_t flow);
/* Cancels all requests; their callbacks come with KR_E_CANCELED. */
void kube_client_cancel_all(struct kube_client *client);

enum kube_verb {
    KUBE_GET,
    KUBE_LIST,
    KUBE_CREATE,
    KUBE_UPDATE,
    KUBE_APPLY, /* server-side apply: PATCH application/apply-patch+yaml, force */
    KUBE_MERGE_PATCH,
    KUBE_DELETE,
};

/* One request. The owner fills the first part and calls kube_req_start; the second part is valid in
 * on_done and until the owner resets or restarts it. Zero is a valid idle request. */
struct kube_req {
    enum kube_verb verb;
    kr_ref ref;              /* borrowed until on_done; ref.name empty for create and list */
    const char *subresource; /* "status" or NULL */
    const char *manager;     /* fieldManager; NULL: none (the User-Agent decides) */
    bool force;              /* of an apply */
    kr_str path;             /* not empty: this path and query instead of ref (discovery, ...) */
    const char *accept;      /* NULL: application/json */
    kr_str query;            /* further query, "limit=500&continue=..." */
    uint32_t timeout_ms;     /* 0: KUBE_REQUEST_TIMEOUT_MS */
    uint8_t
        flow; /* whose it is, 0: nobody's. What may be in flight is shared by the flows that have
                     something there, and one more that may come */
    bool raw; /* do not parse the body: read it with kube_req_body */
    const struct kr_json_opts
        *items; /* split list: on_item gets the items as they arrive (arg too) */
    kube_done_fn *on_done;

    int rc;     /* 0, KR_E_API, KR_E_IO, KR_E_LIMIT, KR_E_CANCELED, KR_E_INPUT (bad body) */
    int status; /* HTTP status, 0 without a response */
    enum kube_reason reason;      /* of a KR_E_API */
    bool unsent;                  /* KR_E_IO or cancelled, and the server cannot have seen it */
    uint64_t started_ms, done_ms; /* clock: first sent, answered */
    uint64_t got_bytes;           /* of the answer's body */
    struct kr_err err;            /* text fit for a user: verb, object, reason */
    kr_val object;                /* the parsed body; lives in arena */
    struct kr_arena arena;
    kr_val details; /* of a metav1.Status failure: its details; lives in arena */
    kr_str message; /* of a KR_E_API: the server's message alone, as kro shows it; lives in arena */

    struct kube_client *client; /* private from here */
    struct kube_exchange x;
    struct kr_json *json;
    struct kr_buf body, url, response;
    struct kube_timer timer;
    struct kr_link link;
    int feed_rc; /* why reading the body was stopped; the text is in err */
    int64_t retry_after_ms;
    uint64_t round; /* number of the in-flight limit it was sent under */
    uint8_t state, tries, refused_n;
    bool cancelled, timed_out, seen;
};

/* Writes v as the body of req (before start); KR_NONE: no body. It stays for further starts until
 * it is set again. KR_E_LIMIT over KUBE_REQUEST_MAX. */
KR_MUST int kube_req_set_body(struct kube_req *req, kr_val v, struct kr_err *err);
void kube_req_start(struct kube_client *client, struct kube_req *req);
void kube_req_cancel(struct kube_req *req); /* on_done comes later; legal in every state, also idle
                                               (then nothing comes) */
bool kube_req_busy(const struct kube_req *req);
void kube_req_fini(struct kube_req *req); /* frees what an idle request holds; zeroes results */
kr_str kube_req_body(const struct kube_req *req);

/* Path of a resource: "/apis/apps/v1/namespaces/default/deployments/web/status". Parts are
 * percent-encoded. Appends. */
void kube_path(struct kr_buf *b, kr_ref ref, const char *subresource);
/* Appends s percent-encoded as a query value. */
void kube_query_escape(struct kr_buf *b, kr_str s);

/* Reads a metav1.Status: fills reason and err. http_status as fall-back when body is none. */
int kube_status_error(kr_val body, int http_status, enum kube_reason *reason, struct kr_err *err);

#endif
