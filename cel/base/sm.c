/* SPDX-License-Identifier: Apache-2.0 */
/* sm.c - moves of state machines; see sm.h. */
#include "cel/base/sm.h"

#include <stdio.h>
#include <stdlib.h>

#include "cel/base/banned.h"

static kr_sm_trace_fn *trace;

void kr_sm_to(struct kr_sm *sm, uint32_t state)
{
    uint32_t from = sm->cur;

    if (state >= 32 || !(sm->states[from].to >> state & 1)) {
        fprintf(stderr, "state machine %s: no move from %s to state %u\n",
                sm->name ? sm->name : "(no name)", sm->states[from].name, state);
        abort();
    }
    sm->cur = state;
    if (trace)
        trace(sm, from, state);
}

void kr_sm_trace(kr_sm_trace_fn *fn)
{
    trace = fn;
}
