/* SPDX-License-Identifier: Apache-2.0 */
/* sm.h - state machines as tables: the table says which moves exist; kr_sm_to refuses others. */
#ifndef KR_SM_H
#define KR_SM_H

#include "cel/base/mem.h"

struct kr_sm_state {
    const char *name;
    uint32_t to; /* bit s set: a move to state s exists */
};

struct kr_sm {
    const struct kr_sm_state *states;
    uint32_t cur;
    const char *name; /* of the machine, for the trace; static */
};

/* Moves; a move that is not in the table is a bug and asserts. Calls the trace hook, if any. */
void kr_sm_to(struct kr_sm *sm, uint32_t state);
static inline const char *kr_sm_name(const struct kr_sm *sm)
{
    return sm->states[sm->cur].name;
}
/* Sees every move of every machine; NULL takes it out. One per process, for debugging. */
typedef void kr_sm_trace_fn(const struct kr_sm *sm, uint32_t from, uint32_t to);
void kr_sm_trace(kr_sm_trace_fn *fn);

#endif
