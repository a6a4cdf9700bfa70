/* trace.c: a ring of lines. */
#include "tests/sim/trace.h"

#include <stdarg.h>

void trace_note(trace_t *trace, const char *fmt, ...)
{
    char *line = trace->lines[trace->count++ % TRACE_EVENTS];
    int at = snprintf(line, TRACE_LINE_BYTES, "%10.3f ms  ", (double)(trace->now_us - trace->begin_us) / 1000);
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(line + at, TRACE_LINE_BYTES - (size_t)at, fmt, args);
    va_end(args);
    if (trace->all)
        fprintf(trace->all, "# %s\n", line);
}

bool trace_violated(trace_t *trace, const char *fmt, ...)
{
    va_list args;
    if (trace->violation[0])
        return false;
    va_start(args, fmt);
    (void)vsnprintf(trace->violation, sizeof trace->violation, fmt, args);
    va_end(args);
    trace_note(trace, "VIOLATED: %s", trace->violation);
    return false;
}

void trace_print(const trace_t *trace, FILE *out)
{
    uint64_t from = trace->count > TRACE_EVENTS ? trace->count - TRACE_EVENTS : 0;
    fprintf(out, "# SEED=%llu violates: %s\n# the last events of %llu:\n", (unsigned long long)trace->seed,
            trace->violation, (unsigned long long)trace->count);
    for (uint64_t i = from; i < trace->count; i++)
        fprintf(out, "#   %s\n", trace->lines[i % TRACE_EVENTS]);
}
