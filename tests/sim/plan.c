/* SPDX-License-Identifier: Apache-2.0 */
/* plan.c - definitions and steps out of a seed.
 *
 * Definitions are made so that what they should lead to can be computed easily (model.c), and so that
 * both variants of one can follow each other: a node is there only with all that it reads.
 *
 * Most plans are small, as most bugs need little: a planted bug is found with a third of the work on
 * average that it takes among wide plans. */
#include "tests/sim/sim.h"

uint64_t sim_rand(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint32_t pick(uint64_t *r, uint32_t n)
{
    return (uint32_t)(sim_rand(r) % n);
}

static bool chance(uint64_t *r, uint32_t percent)
{
    return pick(r, 100) < percent;
}

const char *sim_step_name(enum sim_step_kind kind)
{
    static const char *const names[] = {
#define S(name) [SIM_STEP_##name] = #name,
        SIM_STEPS(S)
#undef S
    };

    return names[kind];
}

/* --- definitions ------------------------------------------------------------------------------ */

bool sim_is_external(const struct sim_node *n)
{
    return n->kind == SIM_EXTERNAL || n->kind == SIM_PICKED;
}

/* An earlier node of that kind; -1: there is none, or not this time. */
static int8_t some(uint64_t *r, const struct sim_def *d, uint32_t before, enum sim_kind kind)
{
    for (uint32_t tries = 0; before && tries < 3; tries++) {
        uint32_t j = pick(r, before);

        if (d->nodes[j].kind == kind)
            return (int8_t)j;
    }
    return -1;
}

static void make_node(uint64_t *r, struct sim_def *d, uint32_t i)
{
    static const enum sim_kind kinds[] = {SIM_CONFIG, SIM_CONFIG,  SIM_CONFIG,   SIM_SECRET,
                                          SIM_MANY,   SIM_MANY,    SIM_EXTERNAL, SIM_EXTERNAL,
                                          SIM_PICKED, SIM_WORKLOAD};
    struct sim_node *n = &d->nodes[i];

    *n = (struct sim_node){.kind = kinds[pick(r, KR_N(kinds))], .over = -1, .gate = -1};
    n->variants = chance(r, 75) ? 3 : (uint8_t)(1 + pick(r, 2));
    n->source = (uint8_t)pick(r, n->kind == SIM_PICKED ? 2 : SIM_SOURCES);
    n->told = chance(r, 30);
    if (sim_is_external(n)) {
        n->variants = 3;
        return;
    }
    n->spec = (uint8_t)pick(r, 4);
    n->flag = chance(r, 15);
    n->gate = chance(r, 12) ? some(r, d, i, SIM_EXTERNAL) : -1;
    n->ready = chance(r, n->kind == SIM_WORKLOAD ? 90 : 20);
    n->elsewhere = chance(r, 12);
    if (n->kind == SIM_MANY && chance(r, 40))
        n->over = some(r, d, i, SIM_PICKED);
    for (uint32_t k = pick(r, 3); i && k > 0; k--)
        n->from |= (uint8_t)(1u << pick(r, i));
}

/* A node has no variant that one it reads lacks; what is told is there always. */
static void settle_variants(struct sim_def *d)
{
    for (uint32_t i = 0; i < d->n; i++) {
        struct sim_node *n = &d->nodes[i];

        for (uint32_t j = 0; j < i; j++)
            if (n->from >> j & 1)
                n->variants &= d->nodes[j].variants;
        if (n->variants == 0) { /* reads two that are never there together */
            n->from = 0;
            n->variants = 3;
        }
        n->told &= n->variants == 3;
    }
}

static void make_def(uint64_t *r, struct sim_def *d, bool wide)
{
    bool any = false;

    d->n = 1 + pick(r, !wide && chance(r, 70) ? 3 : SIM_NODES_MAX);
    d->conditions = chance(r, 25);
    for (uint32_t i = 0; i < d->n; i++)
        make_node(r, d, i);
    for (uint32_t i = 0; i < d->n; i++)
        any |= !sim_is_external(&d->nodes[i]);
    if (!any)
        d->nodes[0] = (struct sim_node){.kind = SIM_CONFIG, .over = -1, .gate = -1, .spec = 1};
    d->nodes[0].variants = 3; /* no variant is empty of nodes */
    settle_variants(d);
}

/* --- steps ------------------------------------------------------------------------------------ */

/* How often each kind comes. */
static const struct {
    enum sim_step_kind kind;
    uint32_t weight;
    bool trouble;
} shares[] = {
    {SIM_STEP_MAKE, 20, false},    {SIM_STEP_DELETE, 8, false},  {SIM_STEP_SOURCE, 10, false},
    {SIM_STEP_UNSOURCE, 3, false}, {SIM_STEP_DRIFT, 6, false},   {SIM_STEP_NOISE, 2, false},
    {SIM_STEP_STEAL, 2, false},    {SIM_STEP_KILL, 5, false},    {SIM_STEP_HOLD, 3, false},
    {SIM_STEP_SQUAT, 2, false},    {SIM_STEP_UNSQUAT, 1, false}, {SIM_STEP_DEFINE, 4, false},
    {SIM_STEP_SUSPEND, 2, false},  {SIM_STEP_FAULT, 16, true},   {SIM_STEP_BREAK, 4, true},
    {SIM_STEP_COMPACT, 3, true},   {SIM_STEP_DOWN, 2, true},     {SIM_STEP_CRASH, 4, true},
    {SIM_STEP_CRASH_AT, 8, true},  {SIM_STEP_STOP, 2, true},     {SIM_STEP_START, 4, true},
    {SIM_STEP_FAILOVER, 5, true},  {SIM_STEP_RECORD, 3, true},   {SIM_STEP_BACK, 2, true},
    {SIM_STEP_SLOW, 4, true},
};

static void make_step(uint64_t *r, struct sim_step *s, bool calm)
{
    static const uint32_t waits[] = {0,  0,   1,   3,    5,    10,   20,        30,
                                     50, 100, 200, 1000, 2000, 5000, 20 * 1000, 40 * 1000};
    uint32_t sum = 0, at;

    for (size_t i = 0; i < KR_N(shares); i++)
        sum += shares[i].trouble && calm ? 0 : shares[i].weight;
    at = pick(r, sum);
    for (size_t i = 0; i < KR_N(shares); i++) {
        uint32_t weight = shares[i].trouble && calm ? 0 : shares[i].weight;

        if (at < weight) {
            s->kind = shares[i].kind;
            break;
        }
        at -= weight;
    }
    s->wait_ms = waits[pick(r, KR_N(waits))];
    for (size_t i = 0; i < KR_N(s->x); i++)
        s->x[i] = (uint32_t)sim_rand(r);
}

void sim_plan_make(struct sim_plan *p, uint64_t seed, bool wide)
{
    uint64_t r = seed * 0x9e3779b97f4a7c15u + 1;

    *p = (struct sim_plan){.seed = seed};
    p->defs_n = 1 + chance(&r, wide ? 25 : 10);
    for (uint32_t d = 0; d < p->defs_n; d++)
        make_def(&r, &p->defs[d], wide);
    p->calm = chance(&r, 10);
    p->no_streaming_list = chance(&r, 50);
    p->latency_ms = pick(&r, 3) * 8;
    p->chunk_bytes = chance(&r, 20) ? 333 : 0;
    if (wide)
        p->steps_n = 4 + pick(&r, chance(&r, 50) ? 12 : SIM_STEPS_MAX - 4);
    else
        p->steps_n = 3 + pick(&r, chance(&r, 75) ? 8 : SIM_STEPS_MAX - 3);
    for (uint32_t i = 0; i < p->steps_n; i++)
        make_step(&r, &p->steps[i], p->calm);
    p->steps[0].kind = SIM_STEP_MAKE;
}
