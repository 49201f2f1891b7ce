/* SPDX-License-Identifier: Apache-2.0 */
/* doctor.h - `kroc doctor`: says what is wrong with a cluster, and the command that mends it.
 *
 *   FAIL  C01  graphrevisions.internal.kro.run is not installed -> kubectl apply -k deploy/crds
 *
 * The checks stand in doctor.def, one row each. All run at once, each ends within its own limit
 * whatever happens; one line a check, in the order of the table. It only reads, but for D03, which has
 * to be asked for. It runs from a laptop (cli/doctor.c), before an installation, and in the controller
 * at its start, where it uses the controller's own client.
 *
 *   doctor.c          facts, checks, limits; the report
 *   doctor_server.c   K01 K02 K05-K09 S02: the API server and the way to it
 *   doctor_place.c    K03 K04 S01 D01 D02: the machine we are on; doctor_host.c looks at it
 *   doctor_crds.c     C01-C04: the CRDs
 *   doctor_install.c  I01-I03 N01 W01 W02: the installation and what may stop it
 *   doctor_rights.c   R01-R03: rights
 *   doctor_graphs.c   G01-G03: what the definitions are and have left
 *   doctor_trip.c     D03: a definition and an instance, there and back
 */
#ifndef REACTOR_DOCTOR_H
#define REACTOR_DOCTOR_H

#include "kube/client.h"

enum {
    REACTOR_CHECK_MS = 2000,               /* limit of a check, unless its row says more */
    REACTOR_CHECK_MAX_MS = 30 * 1000,      /* the longest of them: D03 */
    REACTOR_CLEAN_MS = 10 * 1000,          /* what D03 may take beyond that to clean up */
    REACTOR_CHECKS_TEXT_MAX = 1024 * 1024, /* bytes of the report */
    REACTOR_SERVER_MINOR_MIN = 29,         /* Kubernetes 1.x: CRD validation rules */
    REACTOR_SERVER_MINOR_GOOD = 32,        /* selectable fields of CRDs */
    REACTOR_SERVER_MINOR_TESTED = 36,      /* the newest that the tests ran on */
    REACTOR_HOST_TEXT_MAX = 64 * 1024,     /* bytes of what a tool says */
};

/* Also the exit code of `kroc doctor`: the worst of all checks. */
enum reactor_verdict { REACTOR_PASS, REACTOR_WARN, REACTOR_FAIL };

/* --- the machine we are on -------------------------------------------------------------------- */

/* A question to the machine that takes a while. Embedded in its owner; on_done comes once, from the
 * loop; after cancel it comes soon. */
struct reactor_host_ask {
    int rc;             /* 0; KR_E_IO: it failed, or (a tool) is not there */
    int exit_code;      /* of a tool; -1: it did not run */
    struct kr_buf text; /* addresses, one a line; what a tool said, stdout then stderr */
    void (*on_done)(struct reactor_host_ask *ask);
    void *impl; /* private */
};

struct reactor_host_ops {
    void (*resolve)(void *arg, const char *name, struct reactor_host_ask *ask);
    /* argv[0] is looked up in PATH. */
    void (*run)(void *arg, const char *const *argv, struct reactor_host_ask *ask);
    void (*cancel)(void *arg, struct reactor_host_ask *ask); /* legal when it is over */
};

/* What there is to see at once; numbers are -1 where nothing is known. */
struct reactor_host {
    const struct reactor_host_ops *ops;
    void *arg;
    const char *service_host, *service_port; /* of the environment of a pod; NULL: not in one */
    int token_rc, ca_rc;  /* the files of the service account: 0, or KR_E_INPUT: not readable */
    int64_t token_ends_s; /* when the token expires; 0: it does not say */
    const char *proxy;    /* HTTPS_PROXY and the like: "host:port"; NULL: none */
    int64_t files_max, watches_max, instances_max; /* nofile; fs.inotify.max_user_* */
    int64_t memory_max_bytes;                      /* reactor_host_memory_max */
    int64_t disk_free_bytes;                       /* where container engines keep images */
};

struct uv_loop_s;
/* The real one. Strings are borrowed from the environment. */
void reactor_host_open(struct reactor_host *host, struct uv_loop_s *loop);
void reactor_host_close(struct reactor_host *host); /* legal when no question is open */
/* The least memory limit of the cgroup that we are in and of those above it, version 2 or 1; -1: there
 * is none, or none can be read. root is what stands before /proc and /sys: "" but in tests. */
int64_t reactor_host_memory_max(const char *root);

/* --- the doctor ------------------------------------------------------------------------------- */

struct reactor_doctor_opts {
    struct kube_client *client; /* borrowed; of its own: what is open at the end is cancelled */
    const struct reactor_host *host; /* borrowed; NULL: what asks it says "not looked at" */
    const char *namespace;           /* borrowed: where the controller lives, or will */
    const char *version;             /* borrowed: reactor_version */
    const char *context;             /* borrowed: of the kubeconfig; NULL: none */
    const char *kind; /* borrowed: name of the kind cluster that is meant; NULL: by the context */
    const char *only; /* borrowed: "K01,R02": these checks; NULL: all */
    bool controller;  /* we are the controller: rights are our own; G01 is its own work; no D03 */
    bool before_install; /* what is not installed yet is no finding */
    bool round_trip;     /* D03 may write */
    void (*done)(
        void *arg); /* all checks have ended; from kube_client_turn, the clock or the loop */
    void *arg;
};

struct reactor_doctor;

/* Starts all checks. Returns owned. When nothing had to be asked, done has been called by then. */
struct reactor_doctor *reactor_doctor_new(const struct reactor_doctor_opts *opts);
/* Ends early: done comes soon. D03 cleans up before. Legal when done. */
void reactor_doctor_cancel(struct reactor_doctor *d);
bool reactor_doctor_over(const struct reactor_doctor *d);
/* Checks that are over, and all that are wanted. */
void reactor_doctor_progress(const struct reactor_doctor *d, uint32_t *over_n, uint32_t *all_n);
/* Keeps the findings and nothing else. Only when done, and not from a callback. */
void reactor_doctor_forget(struct reactor_doctor *d);
void reactor_doctor_free(struct reactor_doctor *d); /* only when done; accepts NULL */
enum reactor_verdict reactor_doctor_verdict(const struct reactor_doctor *d);
/* Appends the report: lines, or with json one object {"verdict":...,"checks":[...]}. */
void reactor_doctor_print(const struct reactor_doctor *d, bool json, struct kr_buf *out);
/* One finding: what a report of other making (a kubeconfig that cannot be read) is printed with. */
void reactor_doctor_line(struct kr_buf *out, bool json, enum reactor_verdict v, const char *id,
                         kr_str finding, kr_str fix);
/* Each check that is not PASS, for the log. */
typedef void reactor_finding_fn(void *arg, enum reactor_verdict v, const char *id, kr_str finding,
                                kr_str fix);
void reactor_doctor_findings(const struct reactor_doctor *d, reactor_finding_fn *fn, void *arg);
/* Is it the id of a check? What it looks at, in short; NULL: no such check. */
const char *reactor_doctor_about(kr_str id);
void reactor_doctor_page(struct kr_buf *out); /* docs/doctor.md's table. Appends */

#endif
