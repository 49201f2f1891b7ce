/* SPDX-License-Identifier: Apache-2.0 */
/* flags.h - the flags of `kroc controller`: all of kro's, and our own.
 *
 * The table is flags.def; a row's member is a field below. Syntax is that of Go's flag package: one
 * dash or two, --x=y or --x y, a boolean only with "=" (alone it means true), "--" ends the flags.
 * Flags of mechanisms that do not exist here are checked and then forgotten; --help says so.
 *
 * Source: kro:cmd/controller/main.go, controller-runtime pkg/log/zap, Go's flag package.
 */
#ifndef REACTOR_FLAGS_H
#define REACTOR_FLAGS_H

#include "cel/base/buf.h"
#include "cel/base/log.h"

enum {
    REACTOR_FLAG_LIST_MAX = 1024,       /* how often a repeatable flag may be given */
    REACTOR_FLAGS_TEXT_MAX = 64 * 1024, /* bytes of --help and of the page made from it */
    REACTOR_SHUTDOWN_MAX_MS =
        24 * 3600 * 1000,               /* what a negative --graceful-shutdown-timeout means */
    REACTOR_LEASE_MAX_MS = 3600 * 1000, /* longest --leader-election-lease-duration */
};

#define REACTOR_DEBUG_ADDRESS "127.0.0.1:8077"

struct reactor_gates {
    bool cel_omit_function;          /* CELOmitFunction */
    bool instance_condition_events;  /* InstanceConditionEvents */
    bool instance_condition_metrics; /* InstanceConditionMetrics */
};

struct reactor_flag_list {
    uint32_t n;
    const char **items; /* owned; the strings are borrowed */
};

/* Every value that has an effect. Strings are borrowed from argv or static, and "" when not given
 * (never NULL, but for addresses). */
struct reactor_flags {
    /* general */
    const char *metrics_address; /* "host:port", ":port"; NULL: off */
    const char *health_address;  /* the same */
    const char *debug_address;   /* the same; occupied is no error when it is the default */
    bool allow_crd_deletion;
    int64_t shutdown_timeout_ms; /* 0 to REACTOR_SHUTDOWN_MAX_MS */
    struct reactor_gates gates;
    const char *emulate_kro_version; /* "": our own version */
    const char *trace;               /* file, "-": standard output, "": none */
    /* cluster */
    const char *kubeconfig, *context;
    double client_qps;    /* finite; 0: no limit */
    int64_t client_burst; /* 0 to UINT32_MAX; above 0 whenever client_qps is */
    /* sidecar */
    const char *namespace;         /* "": all namespaces */
    struct reactor_flag_list rgds; /* files and folders; none: definitions come from the cluster */
    /* limits */
    int64_t max_collection_size; /* 1 to UINT32_MAX */
    int64_t max_dimensions;      /* 1 to UINT32_MAX */
    int64_t max_revisions;       /* 0 or less: all */
    /* logs: as given; what follows from them is below */
    const char *log_format, *zap_encoder, *zap_log_level;
    bool zap_devel;
    /* leader election */
    bool leader_elect;
    const char *leader_namespace;
    int64_t leader_lease_ms, leader_renew_ms, leader_retry_ms;
    int64_t shards; /* 0: none; REACTOR_SHARDS_MAX at most; leader_elect is true with it */

    /* what follows from the above */
    bool log_json;
    enum kr_level log_level;
};

enum { REACTOR_FLAGS_HELP = 1, REACTOR_FLAGS_VERSION = 2 };

/* "debug", "info", "warn", "error" or "panic" (which is error). false: none of these. */
bool reactor_flags_level(kr_str word, enum kr_level *out);
/* Sets defaults, then reads argv[0..argc) (without program and command name). Borrows argv. Returns
 * 0, REACTOR_FLAGS_HELP or REACTOR_FLAGS_VERSION when that was asked for; KR_E_INPUT with a text
 * that names the flag. fini is legal after each outcome. */
KR_MUST int reactor_flags_parse(struct reactor_flags *f, int argc, char *const *argv,
                                struct kr_err *err);
void reactor_flags_fini(struct reactor_flags *f);
/* What --help prints, and the page docs/flags.md. Append. */
void reactor_flags_help(struct kr_buf *out);
void reactor_flags_page(struct kr_buf *out);

#endif
