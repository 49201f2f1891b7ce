/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - the program `sim`.
 *
 *   sim --seeds A..B            all of these, each verdict in a line; exit code 1 if one fails
 *   sim --seed N [--trace]      one, with everything that happens
 *   sim --seed N --shrink       the fewest steps that still fail
 *   sim --seed N --steps 0,3,9  only these steps of it
 *   --mutant M                  with that bug planted
 *   --wide                      plans are larger
 *   --mutants N                 each planted bug must be found within the first N seeds */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/sim.h"

struct options {
    uint64_t from, to; /* both included */
    uint32_t mutant;
    uint64_t mutants; /* seeds to find each in; 0: not asked for */
    enum sim_tell tell;
    bool shrink, go_on, wide;
    const char *steps;
};

static void usage(void)
{
    fprintf(stderr, "usage: sim --seeds A..B | --seed N [--trace] [--shrink] [--steps I,J,...] "
                    "[--mutant M] [--wide] [--go-on] | --mutants N\n");
    exit(2);
}

static const char *value(int argc, char **argv, int *i)
{
    if (*i + 1 >= argc)
        usage();
    return argv[++*i];
}

static void parse(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seeds") == 0) {
            char *rest;

            o->from = strtoull(value(argc, argv, &i), &rest, 10);
            if (strncmp(rest, "..", 2) != 0)
                usage();
            o->to = strtoull(rest + 2, NULL, 10);
        } else if (strcmp(argv[i], "--seed") == 0) {
            o->from = o->to = strtoull(value(argc, argv, &i), NULL, 10);
        } else if (strcmp(argv[i], "--mutant") == 0) {
            o->mutant = (uint32_t)strtoul(value(argc, argv, &i), NULL, 10);
        } else if (strcmp(argv[i], "--mutants") == 0) {
            o->mutants = strtoull(value(argc, argv, &i), NULL, 10);
        } else if (strcmp(argv[i], "--steps") == 0) {
            o->steps = value(argc, argv, &i);
        } else if (strcmp(argv[i], "--trace") == 0) {
            o->tell = SIM_TRACE;
        } else if (strcmp(argv[i], "--shrink") == 0) {
            o->shrink = true;
        } else if (strcmp(argv[i], "--go-on") == 0) {
            o->go_on = true;
        } else if (strcmp(argv[i], "--wide") == 0) {
            o->wide = true;
        } else {
            usage();
        }
    }
    if (o->mutants == 0 && (o->from == 0 || o->to < o->from))
        usage();
}

/* Leaves out all steps but those of the list "0,3,9". */
static void only(struct sim_plan *plan, const char *list)
{
    for (uint32_t i = 0; i < plan->steps_n; i++)
        plan->steps[i].left_out = true;
    for (char *rest; *list; list = *rest ? rest + 1 : rest) {
        unsigned long i = strtoul(list, &rest, 10);

        if (i < plan->steps_n)
            plan->steps[i].left_out = false;
    }
}

static void print_steps(const struct sim_plan *plan)
{
    bool first = true;

    printf("  --steps ");
    for (uint32_t i = 0; i < plan->steps_n; i++) {
        if (plan->steps[i].left_out)
            continue;
        printf("%s%u", first ? "" : ",", i);
        first = false;
    }
    printf("\n");
    for (uint32_t i = 0; i < plan->steps_n; i++)
        if (!plan->steps[i].left_out)
            printf("  %2u %s, then %u ms\n", i, sim_step_name(plan->steps[i].kind),
                   plan->steps[i].wait_ms);
}

enum {
    TWICE_EACH = 50, /* each so-manieth seed is run twice: both runs must be the same */
    PROGRESS_EACH = 10 * 1000,
};

/* A seed replays bit for bit. */
static void run_again(const struct options *o, const struct sim_plan *plan, struct sim_result *r)
{
    struct sim_result again;

    if (r->why[0] || plan->seed % TWICE_EACH)
        return;
    sim_run(plan, o->mutant, SIM_DIGEST, r);
    sim_run(plan, o->mutant, SIM_DIGEST, &again);
    if (again.digest != r->digest)
        snprintf(r->why, sizeof r->why, "replay: the second run of the seed differs");
}

static bool run(const struct options *o, uint64_t seed, struct sim_result *r)
{
    struct sim_plan plan;

    sim_plan_make(&plan, seed, o->wide);
    if (o->steps)
        only(&plan, o->steps);
    sim_run(&plan, o->mutant, o->from == o->to && !o->tell ? SIM_DIGEST : o->tell, r);
    run_again(o, &plan, r);
    if (r->why[0]) {
        printf("seed %" PRIu64 ": %s\n", seed, r->why);
        if (o->shrink) {
            sim_shrink(&plan, o->mutant, r);
            printf("shrunk: %s\n", r->why);
            print_steps(&plan);
        }
    }
    if (o->from == o->to)
        printf("seed %" PRIu64 ": %s, digest %016" PRIx64 ", %u writes, %u statuses, %u faults, "
               "%u crashes\n",
               seed, r->why[0] ? "FAILED" : "passed", r->digest, r->writes_n, r->statuses_n,
               r->faults_n, r->crashes_n);
    fflush(stdout);
    return !r->why[0];
}

/* Every planted bug is found. Returns the number of those that were not. */
static int find_mutants(uint64_t seeds)
{
    int missed = 0;

    for (uint32_t m = 1; sim_mutant_text(m); m++) {
        struct sim_result r = {.why = ""};
        uint64_t seed = 0;

        while (seed < seeds && !r.why[0]) {
            struct sim_plan plan;

            sim_plan_make(&plan, ++seed, false);
            sim_run(&plan, m, SIM_VERDICT, &r);
        }
        missed += !r.why[0];
        printf("mutant %u, %s: ", m, sim_mutant_text(m));
        if (r.why[0])
            printf("seed %" PRIu64 ": %.120s\n", seed, r.why);
        else
            printf("NOT FOUND in %" PRIu64 " seeds\n", seed);
        fflush(stdout);
    }
    return missed;
}

int main(int argc, char **argv)
{
    struct options o = {0};
    uint64_t failed = 0, n = 0, writes = 0, faults = 0, crashes = 0;

    parse(argc, argv, &o);
    if (o.mutants)
        return find_mutants(o.mutants) > 0;
    for (uint64_t seed = o.from; seed <= o.to; seed++) {
        struct sim_result r;

        n++;
        failed += !run(&o, seed, &r);
        writes += r.writes_n;
        faults += r.faults_n;
        crashes += r.crashes_n;
        if (n % PROGRESS_EACH == 0) /* a long run tells how far it is, also when it is ended */
            fprintf(stderr, "... to seed %" PRIu64 ", %" PRIu64 " failed\n", seed, failed);
        if (failed && !o.go_on)
            break;
    }
    printf("%" PRIu64 " seeds, %" PRIu64 " failed; %" PRIu64 " writes, %" PRIu64 " faults, %" PRIu64
           " crashes\n",
           n, failed, writes, faults, crashes);
    return failed > 0;
}
