/* SPDX-License-Identifier: Apache-2.0 */
/* doctor.h - `kroc doctor`: says what is wrong with a cluster, and the command that mends it.
 *
 * Each check asks a few requests; all run at once, each ends within REACTOR_CHECK_MS whatever
 * happens. One line a check, in the order of the table:
 *
 *   PASS  K01  https://127.0.0.1:6443 is ready (12 ms)
 *   FAIL  C01  graphrevisions.internal.kro.run is not installed -> kubectl apply -k deploy/crds
 *
 *   K01  the API server is reachable and ready
 *   K02  its version is one that kroc works with
 *   C01  kro's two CRDs are there and established
 *   R01  we hold the rights that the controller needs for itself
 *   I03  no second controller works on the same definitions
 *
 * Only reads; what it asks is harmless on any cluster.
 */
#ifndef REACTOR_DOCTOR_H
#define REACTOR_DOCTOR_H

#include "kube/client.h"

enum {
    REACTOR_CHECK_MS = 2000,              /* limit of one check */
    REACTOR_CHECKS_TEXT_MAX = 256 * 1024, /* bytes of the report */
    REACTOR_SERVER_MINOR_MIN = 29,        /* Kubernetes 1.x: CRD validation rules */
    REACTOR_SERVER_MINOR_GOOD = 32,       /* selectable fields of CRDs */
    REACTOR_SERVER_MINOR_TESTED = 36,     /* the newest that the tests ran on */
};

/* Also the exit code of `kroc doctor`: the worst of all checks. */
enum reactor_verdict { REACTOR_PASS, REACTOR_WARN, REACTOR_FAIL };

struct reactor_doctor_opts {
    struct kube_client *client; /* borrowed */
    const char
        *namespace; /* borrowed: where the controller lives, or will: asked about its Lease */
    void (*done)(void *arg); /* all checks have ended; from kube_client_turn or the clock */
    void *arg;
};

struct reactor_doctor;

/* Starts all checks. Returns owned. */
struct reactor_doctor *reactor_doctor_new(const struct reactor_doctor_opts *opts);
void reactor_doctor_free(struct reactor_doctor *d); /* only when done; accepts NULL */
enum reactor_verdict reactor_doctor_verdict(const struct reactor_doctor *d);
/* Appends the report: lines, or with json one object {"verdict":...,"checks":[...]}. */
void reactor_doctor_print(const struct reactor_doctor *d, bool json, struct kr_buf *out);

/* The rights that R01 asks about, for tests: NULL at the end. */
struct reactor_right {
    const char *group, *resource,
        *verbs;          /* "kro.run", "resourcegraphdefinitions/status", "get,update" */
    const char *without; /* NULL: needed; else what does not work without it */
    bool at_home;        /* asked in opts.namespace, else in all */
};
const struct reactor_right *reactor_doctor_rights(uint32_t *n);

/* `kroc doctor ARGS`: the whole program. Returns the exit code. */
int reactor_doctor_main(int argc, char *const *argv);

#endif
