/* SPDX-License-Identifier: Apache-2.0 */
/* replay.h - a transport that answers from a list of recorded answers.
 *
 * An exchange takes the first answer that is left for its method and path; the answer is used up,
 * unless it is sticky. Without one it gets 404 with a Status, and a line in the log says so. */
#ifndef REPLAY_H
#define REPLAY_H

#include "kube/transport.h"

struct replay;

enum replay_end {
    REPLAY_DONE,   /* the response is whole */
    REPLAY_CUT,    /* the connection breaks after the body */
    REPLAY_HANG,   /* nothing more comes: a stream stays open, a request hangs */
    REPLAY_REFUSE, /* nothing was sent: connection refused */
};

struct replay_answer {
    const char *method; /* NULL: any */
    const char *path;   /* path and query; a glob ("/api/v1/pods*") */
    int status;         /* 0: 200; negative: no head at all */
    int retry_after_s;  /* 0: no such header */
    const char *body;   /* copied; NULL: empty */
    size_t body_n;      /* 0: strlen */
    size_t chunk_bytes; /* of one on_bytes; 0: all at once */
    uint32_t delay_ms;
    enum replay_end end;
    bool sticky;
};

/* Borrows clock. */
struct replay *replay_new(struct kube_clock *clock);
void replay_free(struct replay *r); /* legal when no exchange is under way */
struct kube_transport *replay_transport(struct replay *r);
void replay_add(struct replay *r, const struct replay_answer *answer); /* strings are copied */
/* "GET /path?query agent status\n" for each exchange, with its body in a line of its own where
 * there is one ("  {...}"); "none" for status where no answer was left. */
const char *replay_log(struct replay *r);
void replay_log_reset(struct replay *r);
uint32_t replay_open_n(const struct replay *r); /* exchanges under way */
uint32_t replay_most_n(const struct replay *r); /* most of them at one time so far */

#endif
