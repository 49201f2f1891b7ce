/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.c - series by metric and label values, and their text.
 *
 * A metric holds its series in a map from the label text as it will be printed; so looking one up
 * writes that text once, and printing copies it. Counting itself happens in the series, without any
 * look-up (metrics.h).
 */
#include "reactor/metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "cel/base/map.h"
#include "cel/base/num.h"

#include "cel/base/banned.h"

enum kind { COUNTER, GAUGE, HISTOGRAM };

struct buckets {
    uint32_t n;
    double upto[REACTOR_BUCKETS_MAX];
};

/* kro's: its own, Prometheus' defaults, and doubling ones. */
static const struct buckets STEPS = {
    16, {.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 15, 20, 25, 30, 45, 60, 120}};
static const struct buckets DEFAULTS = {11, {.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}};
static const struct buckets REST = {16,
                                    {.001, .002, .004, .008, .016, .032, .064, .128, .256, .512,
                                     1.024, 2.048, 4.096, 8.192, 16.384, 32.768}};
static const struct buckets SIZES = {16,
                                     {64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768,
                                      65536, 131072, 262144, 524288, 1048576, 2097152}};
static const struct buckets COUNTS = {10, {1, 2, 4, 8, 16, 32, 64, 128, 256, 512}};
static const struct buckets FETCH = {10, {.01, .02, .04, .08, .16, .32, .64, 1.28, 2.56, 5.12}};
static const struct buckets NONE = {0};

struct row {
    const char *name, *labels, *help;
    const struct buckets *buckets;
    uint8_t kind;
};

static const struct row rows[REACTOR_M_N] = {
#define M(kind, id, name, labels, buckets, help) {name, labels, help, &buckets, kind},
#include "reactor/metrics.def"
};

static const struct {
    const char *name, *why;
} absent[] = {
#define X(name, why) {name, why},
#include "reactor/metrics.def"
};

static const char *const kind_names[] = {"counter", "gauge", "histogram"};

struct reactor_metrics {
    struct kr_map series[REACTOR_M_N]; /* labels as printed -> struct reactor_series */
    struct reactor_series
        *refused[REACTOR_M_N]; /* where counts go that are not kept; may be NULL */
    struct kr_buf key;         /* scratch */
    void (*on_read)(void *arg);
    void *arg;
};

enum { KEY_MAX = 16 * 1024 }; /* bytes of the labels of one series; longer ones are refused */

/* --- series ----------------------------------------------------------------------------------- */

static uint32_t labels_n(const struct row *row)
{
    uint32_t n = *row->labels != '\0';

    for (const char *c = row->labels; *c; c++)
        n += *c == ',';
    return n;
}

static struct reactor_series *series_new(enum reactor_metric id, kr_str labels,
                                         const kr_str *values, uint32_t n)
{
    struct reactor_series *s = KR_ALLOC(struct reactor_series);

    s->metric = id;
    s->labels = kr_cstrdup(labels);
    if (n > 0)
        s->values = kr_alloc(sizeof(*s->values) * n);
    for (uint32_t i = 0; i < n; i++)
        s->values[i] = kr_cstrdup(values[i]);
    if (rows[id].kind == HISTOGRAM)
        s->counts = kr_alloc(sizeof(*s->counts) * (rows[id].buckets->n + 1));
    return s;
}

static void series_free(struct reactor_series *s)
{
    if (s == NULL)
        return;
    for (uint32_t i = 0; s->values && i < labels_n(&rows[s->metric]); i++)
        kr_free(s->values[i]);
    kr_free(s->values);
    kr_free(s->labels);
    kr_free(s->counts);
    kr_free(s);
}

static void add_escaped(struct kr_buf *b, kr_str s) /* of a label value */
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.s[i] == '\n') {
            kr_buf_add(b, "\\n", 2);
            continue;
        }
        if (s.s[i] == '"' || s.s[i] == '\\')
            kr_buf_chr(b, '\\');
        kr_buf_chr(b, s.s[i]);
    }
}

/* verb="get",code="200" */
static void labels_text(struct kr_buf *b, const struct row *row, const kr_str *values, uint32_t n)
{
    kr_str names = kr_str_c(row->labels);

    kr_buf_reset(b);
    for (uint32_t i = 0; i < n; i++) {
        kr_str name = kr_str_cut(&names, ',');

        if (i)
            kr_buf_chr(b, ',');
        kr_buf_str(b, name);
        kr_buf_add(b, "=\"", 2);
        add_escaped(b, values[i]);
        kr_buf_chr(b, '"');
    }
}

static struct reactor_series *refuse(struct reactor_metrics *m, enum reactor_metric id)
{
    if (id != REACTOR_M_SERIES_REFUSED)
        reactor_metric_add(REACTOR_METRIC(m, SERIES_REFUSED, kr_str_c(rows[id].name)), 1);
    if (m->refused[id] == NULL)
        m->refused[id] = series_new(id, KR_S(""), NULL, 0);
    return m->refused[id];
}

/* What has a series for each condition of each instance may have more. */
static uint32_t series_max(enum reactor_metric id)
{
    return id == REACTOR_M_INST_CONDITIONS ? REACTOR_SERIES_OBJECTS_MAX : REACTOR_SERIES_MAX;
}

struct reactor_series *reactor_metrics_series(struct reactor_metrics *m, enum reactor_metric id,
                                              const kr_str *values, uint32_t n)
{
    const struct row *row = &rows[id];
    struct reactor_series *s;

    KR_ASSERT(n == labels_n(row));
    labels_text(&m->key, row, values, n);
    s = m->key.full ? NULL : kr_map_get(&m->series[id], kr_buf_view(&m->key));
    if (s)
        return s;
    if (m->key.full || m->series[id].n >= series_max(id))
        return refuse(m, id);
    s = series_new(id, kr_buf_view(&m->key), values, n);
    kr_map_put(&m->series[id], kr_str_c(s->labels), s);
    return s;
}

void reactor_metrics_remove(struct reactor_metrics *m, enum reactor_metric id, uint32_t label,
                            kr_str value)
{
    KR_ASSERT(label < labels_n(&rows[id]));
    kr_map_each (e, &m->series[id]) {
        struct reactor_series *s = e->val;

        if (kr_str_eq(kr_str_c(s->values[label]), value)) {
            kr_map_del(&m->series[id], kr_map_key(e));
            series_free(s);
        }
    }
}

void reactor_metrics_clear(struct reactor_metrics *m, enum reactor_metric id)
{
    kr_map_each (e, &m->series[id])
        series_free(e->val);
    kr_map_fini(&m->series[id]);
}

void reactor_metric_observe(struct reactor_series *s, double v)
{
    const struct buckets *b = rows[s->metric].buckets;
    uint32_t i = 0;

    while (i < b->n && v > b->upto[i])
        i++;
    s->counts[i]++;
    s->count++;
    s->value += v;
}

/* --- life ------------------------------------------------------------------------------------- */

struct reactor_metrics *reactor_metrics_new(void)
{
    struct reactor_metrics *m = KR_ALLOC(struct reactor_metrics);

    kr_buf_init(&m->key, KEY_MAX);
    return m;
}

void reactor_metrics_free(struct reactor_metrics *m)
{
    if (m == NULL)
        return;
    for (int id = 0; id < REACTOR_M_N; id++) {
        kr_map_each (e, &m->series[id])
            series_free(e->val);
        kr_map_fini(&m->series[id]);
        series_free(m->refused[id]);
    }
    kr_buf_fini(&m->key);
    kr_free(m);
}

void reactor_metrics_on_read(struct reactor_metrics *m, void (*fn)(void *arg), void *arg)
{
    m->on_read = fn;
    m->arg = arg;
}

/* --- the process ------------------------------------------------------------------------------ */

static uint32_t open_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    uint32_t n = 0;

    if (d == NULL)
        return 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n - 3; /* ".", ".." and the folder itself */
}

/* Field number `field` (from 1) of /proc/self/stat; the name of the program (2) may hold blanks, so
 * counting begins behind it. */
static uint64_t stat_field(kr_str text, int field)
{
    kr_str rest = kr_str_sub(text, (size_t)(kr_str_rchr(text, ')') + 2), text.n);
    uint64_t v = 0;

    for (int i = 3; i < field; i++)
        kr_str_cut(&rest, ' ');
    (void)kr_str_u64(kr_str_cut(&rest, ' '), &v);
    return v;
}

static double boot_time_s(void)
{
    struct timespec wall, up;

    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_BOOTTIME, &up);
    return (double)(wall.tv_sec - up.tv_sec) + (double)(wall.tv_nsec - up.tv_nsec) / 1e9;
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void read_process(struct reactor_metrics *m)
{
    KR_AUTO(kr_buf) text = KR_BUF(4096);
    struct rusage used;
    struct rlimit fds;

    if (getrusage(RUSAGE_SELF, &used) == 0)
        reactor_metric_set(REACTOR_METRIC(m, PROC_CPU_S),
                           seconds(used.ru_utime) + seconds(used.ru_stime));
    reactor_metric_set(REACTOR_METRIC(m, PROC_FDS), open_fds());
    if (getrlimit(RLIMIT_NOFILE, &fds) == 0)
        reactor_metric_set(REACTOR_METRIC(m, PROC_FDS_MAX), (double)fds.rlim_cur);
    if (kr_buf_read_file(&text, "/proc/self/stat", NULL) == 0) {
        kr_str stat = kr_buf_view(&text);

        reactor_metric_set(REACTOR_METRIC(m, PROC_START_S),
                           boot_time_s() +
                               (double)stat_field(stat, 22) / (double)sysconf(_SC_CLK_TCK));
        reactor_metric_set(REACTOR_METRIC(m, PROC_VIRTUAL), (double)stat_field(stat, 23));
        reactor_metric_set(REACTOR_METRIC(m, PROC_RESIDENT),
                           (double)stat_field(stat, 24) * (double)sysconf(_SC_PAGESIZE));
    }
}

/* --- text ------------------------------------------------------------------------------------- */

static void add_number(struct kr_buf *out, double v)
{
    char text[KR_NUM_TEXT_MAX];

    kr_buf_add(out, text, kr_num_g(v, text));
}

/* name{labels,le="0.5"} 12 */
static void add_sample(struct kr_buf *out, const char *name, const char *suffix, const char *labels,
                       const char *le, double v)
{
    kr_buf_fmt(out, "%s%s", name, suffix);
    if (*labels || le)
        kr_buf_fmt(out, "{%s%s", labels, *labels && le ? "," : "");
    if (le)
        kr_buf_fmt(out, "le=\"%s\"", le);
    kr_buf_fmt(out, "%s ", *labels || le ? "}" : "");
    add_number(out, v);
    kr_buf_chr(out, '\n');
}

static void add_histogram(struct kr_buf *out, const struct row *row, const struct reactor_series *s)
{
    uint64_t below = 0;

    for (uint32_t i = 0; i < row->buckets->n; i++) {
        char le[KR_NUM_TEXT_MAX];

        le[kr_num_g(row->buckets->upto[i], le)] = '\0';
        below += s->counts[i];
        add_sample(out, row->name, "_bucket", s->labels, le, (double)below);
    }
    add_sample(out, row->name, "_bucket", s->labels, "+Inf", (double)s->count);
    add_sample(out, row->name, "_sum", s->labels, NULL, s->value);
    add_sample(out, row->name, "_count", s->labels, NULL, (double)s->count);
}

static void add_metric(struct kr_buf *out, const struct row *row, const struct kr_map *series)
{
    if (series->n == 0)
        return;
    kr_buf_fmt(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name,
               kind_names[row->kind]);
    kr_map_each (e, series) {
        const struct reactor_series *s = e->val;

        if (row->kind == HISTOGRAM)
            add_histogram(out, row, s);
        else
            add_sample(out, row->name, "", s->labels, NULL, s->value);
    }
}

void reactor_metrics_text(struct reactor_metrics *m, struct kr_buf *out)
{
    if (m->on_read)
        m->on_read(m->arg);
    read_process(m);
    for (int id = 0; id < REACTOR_M_N; id++)
        add_metric(out, &rows[id], &m->series[id]);
}

void reactor_metrics_page(struct kr_buf *out)
{
    kr_buf_fmt(out,
               "# Metrics\n\n"
               "Made from `reactor/metrics.def` by `kroc docs metrics`; a test compares the two.\n"
               "Prometheus text at `/metrics` of `--metrics-bind-address`. A metric appears once "
               "something was counted in it.\n\n"
               "| Name | Type | Labels | |\n|---|---|---|---|\n");
    for (int id = 0; id < REACTOR_M_N; id++)
        kr_buf_fmt(out, "| `%s` | %s | %s | %s |\n", rows[id].name, kind_names[rows[id].kind],
                   rows[id].labels, rows[id].help);
    kr_buf_fmt(out, "\n## Metrics of kro that do not exist here\n\n"
                    "A panel over one of them shows no data; what is said instead is named.\n\n"
                    "| Name | Why |\n|---|---|\n");
    for (size_t i = 0; i < KR_N(absent); i++)
        kr_buf_fmt(out, "| `%s` | %s |\n", absent[i].name, absent[i].why);
}
