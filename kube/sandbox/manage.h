/* SPDX-License-Identifier: Apache-2.0 */
/* manage.h - who manages which fields: server-side apply and the bookkeeping of all other writes.
 *
 *   entry of metadata.managedFields = manager, operation, apiVersion, subresource -> set of fields
 *
 * A writer takes what it changes; an applier has exactly what it applied last, is refused what
 * others have (unless by force), and what it applies no more is removed if nobody else has it.
 *
 * Pure: the time is given. Results live in the arena given.
 *
 * Source: apimachinery pkg/util/managedfields, structured-merge-diff merge/update.go.
 */
#ifndef SANDBOX_MANAGE_H
#define SANDBOX_MANAGE_H

#include "kube/sandbox/typed.h"

enum {
    SANDBOX_UPDATERS_MAX = 10, /* entries of updates; older ones become "ancient-changes" */
};

/* The writer and what it writes. Borrowed for the call. */
struct sandbox_writer {
    const struct cel_schema *schema; /* of the whole object; NULL: unknown */
    bool builtin;                    /* a Go type: has members although they are empty */
    kr_str manager;                  /* empty: "unknown" */
    kr_str api_version;
    kr_str subresource; /* empty: the object itself */
    kr_val time;        /* "2006-01-02T15:04:05Z"; KR_NONE: the entry has none */
    kr_val reset;       /* set of fields that this path of the API does not write; KR_NONE: none */
    bool force;         /* of an apply */
};

/* next with the managed fields that it has after an update (or, with old KR_NONE, a creation) by the
 * writer. next's own managedFields count when they are written on purpose: one empty entry resets. */
kr_val sandbox_manage_update(struct kr_arena *a, const struct sandbox_writer *w, kr_val old,
                             kr_val next);

/* `applied` merged into old (KR_NONE: creation) into *out. Returns 0; KR_E_INPUT: *status is the
 * code of the answer (400, 409, 500), err its message and *causes, of a conflict, its causes. */
KR_MUST int sandbox_manage_apply(struct kr_arena *a, const struct sandbox_writer *w, kr_val old,
                                 kr_val applied, kr_val *out, int *status, kr_val *causes,
                                 struct kr_err *err);

/* Are two managedFields equal but for their times? */
bool sandbox_manage_same(kr_val x, kr_val y);

#endif
