/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.h - counters, gauges and histograms by the table metrics.def, as Prometheus text.
 *
 * A series is one metric with one set of label values; it is made when it is first asked for. A hot
 * place asks once and keeps the pointer: counting is then one addition.
 *
 *   REACTOR_METRIC(m, DYN_QUEUE)                        the series without labels
 *   REACTOR_METRIC(m, REQUESTS, verb, code)             label values (kr_str) in the table's order
 *
 *   reactor_metric_add(REACTOR_METRIC(m, REQUESTS, KR_S("apply"), KR_S("200")), 1);
 *
 * A metric of which no series was ever made is not printed, so nothing is shown as 0 that nobody
 * counts. What is cheaper to read than to count (lengths, sizes) is set by a callback when the text
 * is asked for.
 *
 * Source: Prometheus text format 0.0.4; names: kro, see metrics.def.
 */
#ifndef REACTOR_METRICS_H
#define REACTOR_METRICS_H

#include "cel/base/buf.h"

enum {
    REACTOR_SERIES_MAX = 4096,               /* of one metric; further ones are counted, not kept */
    REACTOR_SERIES_OBJECTS_MAX = 256 * 1024, /* of one that has series for each instance */
    REACTOR_METRICS_TEXT_MAX = 128 * 1024 * 1024, /* bytes of the text */
    REACTOR_BUCKETS_MAX = 20,
    REACTOR_LABELS_MAX = 6,
};

enum reactor_metric {
#define M(kind, id, name, labels, buckets, help) REACTOR_M_##id,
#include "reactor/metrics.def"
    REACTOR_M_N
};

struct reactor_metrics;

struct reactor_series {
    double value;     /* counter, gauge; histogram: the sum */
    uint64_t count;   /* histogram: observations */
    uint64_t *counts; /* histogram: by bucket, not cumulated */

    enum reactor_metric metric;
    char *labels; /* as printed: verb="get",code="200" */
    char **values;
};

struct reactor_metrics *reactor_metrics_new(void);    /* returns owned */
void reactor_metrics_free(struct reactor_metrics *m); /* accepts NULL */

/* The series with these label values; as many as the table names. Borrowed until it is removed or m
 * is freed. Over REACTOR_SERIES_MAX: a series that is not printed (and counted as refused). */
struct reactor_series *reactor_metrics_series(struct reactor_metrics *m, enum reactor_metric id,
                                              const kr_str *values, uint32_t n);
#define REACTOR_METRIC(m, id, ...)                                                                 \
    reactor_metrics_series((m), REACTOR_M_##id, (const kr_str[]){__VA_ARGS__},                     \
                           sizeof((const kr_str[]){__VA_ARGS__}) / sizeof(kr_str))
/* Forgets all series of a metric whose label number `label` has this value (a definition or type
 * that went); pointers to them end here. */
void reactor_metrics_remove(struct reactor_metrics *m, enum reactor_metric id, uint32_t label,
                            kr_str value);

/* Forgets all series of a metric; pointers to them end here. */
void reactor_metrics_clear(struct reactor_metrics *m, enum reactor_metric id);

static inline void reactor_metric_add(struct reactor_series *s, double by) /* counter, gauge */
{
    s->value += by;
}
static inline void reactor_metric_set(struct reactor_series *s, double to) /* gauge */
{
    s->value = to;
}
void reactor_metric_observe(struct reactor_series *s, double v); /* histogram */

/* fn sets what is read rather than counted, each time before the text is made. One; NULL: none. */
void reactor_metrics_on_read(struct reactor_metrics *m, void (*fn)(void *arg), void *arg);
/* Appends the text. */
void reactor_metrics_text(struct reactor_metrics *m, struct kr_buf *out);
/* Appends docs/metrics.md: the table for readers. */
void reactor_metrics_page(struct kr_buf *out);

#endif
