/* SPDX-License-Identifier: Apache-2.0 */
/* run.c - one seed: begin, steps, calm, rest; then the cluster must be what the model says, and a
 * controller that knows nothing must find nothing to do. */
#include <stdio.h>

#include "tests/sim/sim.h"

/* A controller that begins here and now changes nothing. */
static void check_fresh(struct sim *s)
{
    uint32_t writes, statuses;

    for (uint32_t i = 0; i < SIM_PROCS; i++)
        sim_crash(s, i, false);
    writes = s->writes_n;
    statuses = s->statuses_n;
    sim_start(s, 0, false);
    sim_rest(s);
    if (s->writes_n != writes || s->statuses_n != statuses)
        sim_fail(s, "end: a fresh controller writes %u times, and %u statuses",
                 s->writes_n - writes, s->statuses_n - statuses);
}

static void live(struct sim *s)
{
    sim_begin(s);
    for (uint32_t i = 0; i < s->plan->steps_n && !sim_failed(s); i++)
        if (!s->plan->steps[i].left_out)
            sim_step(s, &s->plan->steps[i]);
    if (!sim_failed(s))
        sim_calm(s);
    if (!sim_failed(s))
        sim_check_end(s->check);
    if (!sim_failed(s))
        check_fresh(s);
    if (!sim_failed(s))
        sim_check_end(s->check);
}

void sim_run(const struct sim_plan *plan, uint32_t mutant, enum sim_tell tell,
             struct sim_result *out)
{
    struct sim s;

    sim_open(&s, plan, mutant, tell);
    live(&s);
    *out = (struct sim_result){.digest = s.digest,
                               .writes_n = s.writes_n,
                               .statuses_n = s.statuses_n,
                               .faults_n = s.faults_n,
                               .crashes_n = s.crashes_n};
    memcpy(out->why, s.why, sizeof s.why);
    sim_close(&s);
}
