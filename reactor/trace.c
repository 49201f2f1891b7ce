/* SPDX-License-Identifier: Apache-2.0 */
/* trace.c - the trace: one line for each thing that a user or the API server could see, in order.
 * No times and no versions, so that equal input gives an equal trace.
 */
#include "reactor/internal.h"

#include <stdarg.h>
#include <stdio.h>

enum { TRACE_LINE_MAX = 1024 };

void reactor__trace(struct reactor *r, const char *fmt, ...)
{
    char line[TRACE_LINE_MAX];
    va_list ap;
    int n;

    if (!r->opts.trace)
        return;
    va_start(ap, fmt);
    n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    if ((size_t)n >= sizeof line)
        n = (int)sizeof line - 1;
    r->opts.trace(r->opts.trace_arg, (kr_str){line, (size_t)n});
}
