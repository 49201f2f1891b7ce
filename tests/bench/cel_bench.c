/* SPDX-License-Identifier: Apache-2.0 */
/* cel_bench.c - how fast expressions are compiled and evaluated, beside cel-go.
 *
 *   bench_cel                   one line per expression, then the geometric means
 *   bench_cel --ours            without cel-go
 *   bench_cel --once            runs each step once, marked for callgrind: counts.sh reads the result
 *   bench_cel --spin NAME N     evaluates one expression N times (compile: with -c), for a profiler
 *
 * The expressions are those of KROC_SHARED/conformance/bench-exprs.jsonl; cel-go is measured in the
 * same run by celgo/run.sh, where there is a Go: both take turns. Every time is the least of many
 * short batches, so that what else the machine does falls out. A batch of evaluations resets the arena after each one.
 * Allocations are those of the C library, all callers included.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cel/base/json.h"
#include "cel/cel.h"
#include "tests/lib/heap.h"

#define EXPRS KROC_SHARED "/conformance/bench-exprs.jsonl"
#define CELGO KROC_SOURCE "/tests/bench/celgo/run.sh"

enum {
    CASES_MAX = 100,
    TEXT_MAX = 16 * 1024 * 1024,
    ROUNDS = 4,   /* turns of either */
    BATCHES = 20, /* in a round; as celgo/main.go has it */
    BATCH_NS = 1000 * 1000,
    VARS_MAX = 8,
};

struct bench {
    kr_str name, expr;
    struct cel_env *env;
    kr_val slots[VARS_MAX];
    uint32_t slots_n;
    const struct cel_prog *prog;
    struct kr_arena work;       /* what is measured allocates here, and it is reset each time */
    double eval_ns, compile_ns; /* ours */
    double go_eval_ns, go_compile_ns; /* cel-go's; 0: not measured */
    double allocs;
};

struct benches {
    struct kr_arena a;
    struct bench v[CASES_MAX];
    uint32_t n;
};

static void die(const struct kr_err *err)
{
    fprintf(stderr, "%s\n", err->text);
    exit(1);
}

/* --- what is measured ------------------------------------------------------------------------- */

static void measured_eval(struct bench *b)
{
    static struct kr_err err; /* as the graph has it: one for many evaluations */
    struct cel_run run = {.slots = b->slots, .slots_n = b->slots_n, .a = &b->work};
    kr_val v;

    if (cel_eval(b->prog, &run, &v, &err) < 0)
        die(&err);
    kr_arena_reset(&b->work);
}

static void measured_compile(struct bench *b)
{
    static struct kr_err err;
    const struct cel_prog *p;

    if (cel_compile(&b->work, b->env, b->expr, &p, &err) < 0)
        die(&err);
    kr_arena_reset(&b->work);
}

static void measured_env(struct bench *b)
{
    cel_env_new(&b->work, CEL_LIB_ALL);
    kr_arena_reset(&b->work);
}

/* --- reading the expressions ------------------------------------------------------------------ */

static void add_case(struct benches *all, kr_val line)
{
    struct bench *b = &all->v[all->n++];
    struct kr_err err = KR_ERR_NONE;

    b->name = kr_at_str(line, "name");
    b->expr = kr_at_str(line, "expr");
    b->env = cel_env_new(&all->a, CEL_LIB_ALL);
    KR_MAP_EACH (var, kr_at(line, "vars")) {
        const struct cel_type *t =
            var->val.kind == KR_LIST ? cel_type_list(&all->a, CEL_T_DYN) : CEL_T_ANY;

        KR_ASSERT(b->slots_n < VARS_MAX);
        cel_env_var(b->env, kr_text(var->key), t, NULL);
        b->slots[b->slots_n++] = var->val;
    }
    if (cel_compile(&all->a, b->env, b->expr, &b->prog, &err) < 0)
        die(&err);
}

/* False: the file is not there. */
static bool read_cases(struct benches *all)
{
    KR_AUTO(kr_buf) text = KR_BUF(TEXT_MAX);
    struct kr_err err = KR_ERR_NONE;
    kr_str rest;

    if (kr_buf_read_file(&text, EXPRS, &err) < 0) {
        printf("skipped: %s\n", err.text);
        return false;
    }
    rest = kr_buf_view(&text);
    while (rest.n && all->n < CASES_MAX) {
        kr_val line;

        if (kr_json_parse(&all->a, kr_str_cut(&rest, '\n'), &line, &err) < 0)
            die(&err);
        add_case(all, line);
    }
    return true;
}

static struct bench *find_case(struct benches *all, kr_str name)
{
    for (uint32_t i = 0; i < all->n; i++) {
        if (kr_str_eq(all->v[i].name, name))
            return &all->v[i];
    }
    return NULL;
}

/* --- time ------------------------------------------------------------------------------------- */

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

typedef void step_fn(struct bench *b);

static int64_t batch_ns(step_fn *step, struct bench *b, uint64_t n)
{
    int64_t start = now_ns();

    for (uint64_t i = 0; i < n; i++)
        step(b);
    return now_ns() - start;
}

static double least_ns(step_fn *step, struct bench *b)
{
    uint64_t n = 1;
    int64_t least;

    while (batch_ns(step, b, n) < BATCH_NS)
        n *= 2;
    least = batch_ns(step, b, n);
    for (int i = 1; i < BATCHES; i++) {
        int64_t took = batch_ns(step, b, n);

        least = took < least ? took : least;
    }
    return (double)least / (double)n;
}

/* 0: nothing is there yet. */
static void keep_least(double *ns, double took)
{
    if (!*ns || took < *ns)
        *ns = took;
}

/* C library allocations of one step. */
static double allocations(step_fn *step, struct bench *b)
{
    enum { N = 100 };
    uint64_t before = test_heap_n();

    for (int i = 0; i < N; i++)
        step(b);
    return (double)(test_heap_n() - before) / N;
}

/* --- cel-go ----------------------------------------------------------------------------------- */

/* Reads "name eval compile" lines. Returns how many there were. */
static uint32_t read_go(struct benches *all, FILE *f)
{
    char line[256];
    char name[128];
    double eval;
    double compile;
    uint32_t n = 0;

    while (fgets(line, sizeof(line), f)) {
        struct bench *b = NULL;

        if (sscanf(line, "%127s %lf %lf", name, &eval, &compile) == 3)
            b = find_case(all, kr_str_c(name));
        if (!b)
            continue;
        keep_least(&b->go_eval_ns, eval);
        keep_least(&b->go_compile_ns, compile);
        n++;
    }
    return n;
}

/* False, and said: not all of them. */
static bool measure_go(struct benches *all)
{
    FILE *f = popen(CELGO " " EXPRS, "r");
    uint32_t n = f ? read_go(all, f) : 0;

    if (f)
        pclose(f);
    if (n < all->n)
        printf("cel-go was not measured (%u of %u expressions): no Go, or its modules are not "
               "there\n",
               n, all->n);
    return n == all->n;
}

/* --- the table -------------------------------------------------------------------------------- */

struct mean {
    double sum, least;
    uint32_t n;
};

static void mean_add(struct mean *m, double x)
{
    if (x <= 0)
        return;
    m->least = m->n == 0 || x < m->least ? x : m->least;
    m->sum += log(x);
    m->n++;
}

static double mean_of(const struct mean *m)
{
    return m->n ? exp(m->sum / m->n) : 0;
}

static double ratio(double go, double ours)
{
    return go > 0 ? go / ours : 0;
}

static void print_table(struct benches *all)
{
    struct mean eval = {0}, compile = {0}, go_eval = {0}, go_compile = {0}, eval_ratio = {0},
                compile_ratio = {0};

    printf("%-22s %10s %10s %7s | %10s %10s %7s | %s\n", "", "eval ns", "cel-go ns", "ratio",
           "compile ns", "cel-go ns", "ratio", "allocations");
    for (uint32_t i = 0; i < all->n; i++) {
        const struct bench *b = &all->v[i];

        printf("%-22.*s %10.1f %10.1f %7.1f | %10.0f %10.0f %7.1f | %.2f\n", KR_ARG(b->name),
               b->eval_ns, b->go_eval_ns, ratio(b->go_eval_ns, b->eval_ns), b->compile_ns,
               b->go_compile_ns, ratio(b->go_compile_ns, b->compile_ns), b->allocs);
        mean_add(&eval, b->eval_ns);
        mean_add(&compile, b->compile_ns);
        mean_add(&go_eval, b->go_eval_ns);
        mean_add(&go_compile, b->go_compile_ns);
        mean_add(&eval_ratio, ratio(b->go_eval_ns, b->eval_ns));
        mean_add(&compile_ratio, ratio(b->go_compile_ns, b->compile_ns));
    }
    printf("%-22s %10.1f %10.1f %7.1f | %10.0f %10.0f %7.1f |\n", "geometric mean", mean_of(&eval),
           mean_of(&go_eval), mean_of(&eval_ratio), mean_of(&compile), mean_of(&go_compile),
           mean_of(&compile_ratio));
    printf("%-22s %10s %10s %7.1f | %10s %10s %7.1f |\n", "least ratio", "", "", eval_ratio.least,
           "", "", compile_ratio.least);
}

static void measure_ours(struct benches *all)
{
    for (uint32_t i = 0; i < all->n; i++) {
        struct bench *b = &all->v[i];

        keep_least(&b->eval_ns, least_ns(measured_eval, b));
        keep_least(&b->compile_ns, least_ns(measured_compile, b));
        b->allocs = allocations(measured_eval, b);
    }
}

/* --- the other ways to run -------------------------------------------------------------------- */

#if __has_attribute(noclone)
#define ALONE __attribute__((noinline, noclone))
#else
#define ALONE __attribute__((noinline))
#endif

/* Not inlined: callgrind counts what happens below this function. */
ALONE static void counted_step(step_fn *step, struct bench *b)
{
    step(b);
    __asm__ volatile(""); /* no tail call */
}

/* Each step once, after one that is not counted and fills what the libraries keep. */
static void count_step(const char *what, kr_str name, step_fn *step, struct bench *b)
{
    step(b);
    counted_step(step, b);
    printf("%s" KR_FMT "\n", what, KR_ARG(name));
}

static void run_once(struct benches *all)
{
    count_step("env", (kr_str){0}, measured_env, &all->v[0]);
    for (uint32_t i = 0; i < all->n; i++) {
        count_step("eval-", all->v[i].name, measured_eval, &all->v[i]);
        count_step("compile-", all->v[i].name, measured_compile, &all->v[i]);
    }
}

static int spin(struct benches *all, int argc, char **argv)
{
    struct bench *b = find_case(all, kr_str_c(argv[2]));
    long n = strtol(argv[3], NULL, 10);

    if (!b) {
        fprintf(stderr, "no expression \"%s\"\n", argv[2]);
        return 1;
    }
    for (long i = 0; i < n; i++)
        (argc > 4 ? measured_compile : measured_eval)(b);
    return 0;
}

int main(int argc, char **argv)
{
    static struct benches all;
    int rc = 0;

    if (argc > 1 && strcmp(argv[1], "--compiler") == 0) {
        printf("%s\n", __VERSION__);
        return 0;
    }
    if (!read_cases(&all))
        return 0;
    if (argc > 3 && strcmp(argv[1], "--spin") == 0) {
        rc = spin(&all, argc, argv);
    } else if (argc > 1 && strcmp(argv[1], "--once") == 0) {
        run_once(&all);
    } else {
        bool go = argc < 2 || strcmp(argv[1], "--ours") != 0;

        for (int i = 0; i < ROUNDS; i++) {
            measure_ours(&all);
            go = go && measure_go(&all);
        }
        print_table(&all);
    }
    for (uint32_t i = 0; i < all.n; i++)
        kr_arena_fini(&all.v[i].work);
    kr_arena_fini(&all.a);
    return rc;
}
