/* SPDX-License-Identifier: Apache-2.0 */
/* fakeapi.h - a small Kubernetes API server behind the transport door: in this process, in memory,
 * on any clock (so also in virtual time).
 *
 * It has the verbs and the semantics that the controller leans on, and no more:
 *
 *   read     get, list (pages, label and metadata.name selectors), watch (bookmarks, 410, streaming
 *            list), discovery in both forms, OpenAPI v3
 *   write    create, update, merge patch, server-side apply with managedFields, /status, delete
 *            with preconditions and finalizers
 *   itself   generation, CRDs (established, then served)
 *
 * It does not validate beyond names and versions, has no access control and no
 * admission; nothing is garbage collected; a continued list shows the present and not the state of
 * its first page.
 *
 * Kinds and their schemas stand in fakeapi_kinds.yaml. How lists merge follows from the schemas, as
 * in a real server.
 *
 * A request is handled when its timer fires (latency_ms after it was started): until then a
 * cancelled one has had no effect.
 */
#ifndef FAKEAPI_H
#define FAKEAPI_H

#include "cel/base/val.h"
#include "kube/transport.h"

enum {
    FAKEAPI_HISTORY = 1000, /* events that a watch can resume over */
    FAKEAPI_FIRST_VERSION = 1000,
};

struct fakeapi;

struct fakeapi_opts {
    bool no_streaming_list; /* sendInitialEvents is refused, as by old servers */
    bool no_aggregated;     /* discovery in the legacy form only */
    bool silence;           /* a stream's timeout_ms is kept (costs a timer per watch) */
    uint32_t latency_ms;
    uint32_t crd_delay_ms; /* until a CRD is established */
    uint32_t history_n;    /* 0: FAKEAPI_HISTORY */
    size_t chunk_bytes;    /* bytes of one on_bytes; 0: a document at once */
};

/* Borrows clock. opts may be NULL. Has the namespaces default and kube-system. Returns owned. */
struct fakeapi *fakeapi_new(struct kube_clock *clock, const struct fakeapi_opts *opts);
void fakeapi_free(struct fakeapi *f); /* legal when no exchange is under way */
struct kube_transport *fakeapi_transport(struct fakeapi *f);
struct fakeapi_opts *fakeapi_opts(struct fakeapi *f); /* may be changed at any time */
/* No request waits for its answer (open watches do not count). */
bool fakeapi_idle(const struct fakeapi *f);
uint32_t fakeapi_watches_n(const struct fakeapi *f);

/* --- as somebody else: at once, and not in the log -------------------------------------------- */

/* One request. content_type NULL: by method (PATCH: merge patch). Returns the HTTP status; *out
 * (may be NULL) gets the body, which lives in a. */
int fakeapi_do(struct fakeapi *f, struct kr_arena *a, const char *method, const char *path,
               const char *manager, const char *content_type, kr_val body, kr_val *out);
/* Applies every document of a YAML text (server-side, by force); a refusal fails the program with
 * its message. Namespaced objects without a namespace go to default. */
void fakeapi_apply(struct fakeapi *f, const char *manager, const char *yaml);
/* Merge patch in JSON or YAML; path may end in /status. Returns the HTTP status. */
int fakeapi_patch(struct fakeapi *f, const char *manager, const char *path, const char *patch);
int fakeapi_delete(struct fakeapi *f, const char *path);
/* The object at path, which lives in a, or KR_NONE. */
kr_val fakeapi_get(struct fakeapi *f, struct kr_arena *a, const char *path);
uint32_t fakeapi_objects_n(const struct fakeapi *f, const char *resource, const char *group);

/* --- trouble ---------------------------------------------------------------------------------- */

void fakeapi_compact(struct fakeapi *f); /* forgets the history: resuming and continuing give 410 */
void fakeapi_bookmark(struct fakeapi *f); /* to all watches that take bookmarks */
/* The state of an earlier version (FAKEAPI_HISTORY events back at most), as from a backup: later versions
 * are given out anew. Open watches hear nothing of it. */
void fakeapi_rewind(struct fakeapi *f, uint64_t version);
uint64_t fakeapi_version(const struct fakeapi *f); /* of the last write */
/* Ends all watches: rc 0 cleanly, KR_E_IO as a broken connection. */
void fakeapi_break_watches(struct fakeapi *f, int rc);
/* Down: what is under way breaks (handled or not), what is new is refused. Objects stay. */
void fakeapi_set_down(struct fakeapi *f, bool down);

/* --- the log of requests that came through the transport -------------------------------------- */

/* Lines "PATCH /apis/apps/v1/namespaces/default/deployments/web kro.run/applyset 200\n": method,
 * path without query ("?watch" is added to watches), manager or "-", status. Borrowed until the
 * next one. */
const char *fakeapi_log(struct fakeapi *f);
void fakeapi_log_reset(struct fakeapi *f);
/* Lines of that method (NULL: POST, PUT, PATCH and DELETE) that contain part (NULL: all). */
uint32_t fakeapi_log_n(struct fakeapi *f, const char *method, const char *part);

#endif
