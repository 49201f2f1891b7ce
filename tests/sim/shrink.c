/* SPDX-License-Identifier: Apache-2.0 */
/* shrink.c - leaves out halves, quarters, ... single steps of a plan, as long as what is left fails by
 * the same rule (the first word of the verdict). */
#include "tests/sim/sim.h"

static bool same_rule(const char *x, const char *y)
{
    size_t n = strcspn(x, ":");

    return strncmp(x, y, n + 1) == 0;
}

/* Leaves out the steps from..to-1 if it still fails. */
static bool try_without(struct sim_plan *plan, uint32_t from, uint32_t to, uint32_t mutant,
                        struct sim_result *out)
{
    struct sim_plan next = *plan;
    struct sim_result got;
    bool any = false;

    for (uint32_t i = from; i < to && i < next.steps_n; i++) {
        any |= !next.steps[i].left_out;
        next.steps[i].left_out = true;
    }
    if (!any)
        return false;
    sim_run(&next, mutant, SIM_VERDICT, &got);
    if (!got.why[0] || !same_rule(out->why, got.why))
        return false;
    *plan = next;
    *out = got;
    return true;
}

void sim_shrink(struct sim_plan *plan, uint32_t mutant, struct sim_result *out)
{
    for (bool again = true; again;) {
        again = false;
        for (uint32_t size = (plan->steps_n + 1) / 2; size > 0; size /= 2)
            for (uint32_t at = 0; at < plan->steps_n; at += size)
                again |= try_without(plan, at, at + size, mutant, out);
    }
}
