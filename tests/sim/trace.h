/* trace.h: the last events of a run and the first thing that was violated in it. */
#ifndef TESTS_SIM_TRACE_H
#define TESTS_SIM_TRACE_H

#include <stdio.h>

#include "proto/bytes.h"

#define TRACE_EVENTS 30
#define TRACE_LINE_BYTES 200

typedef struct {
    uint64_t seed;
    int64_t begin_us, now_us;
    uint64_t count; /* events so far */
    char lines[TRACE_EVENTS][TRACE_LINE_BYTES];
    char violation[400]; /* empty: none yet */
    FILE *all;           /* NULL, or where every event is told as it happens */
} trace_t;

/* One event, at trace->now_us. */
void trace_note(trace_t *trace, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Keeps the first one. Returns false, so that a check can end with it. */
bool trace_violated(trace_t *trace, const char *fmt, ...) PRINTF_LIKE(2, 3);
static inline bool trace_is_good(const trace_t *trace)
{
    return !trace->violation[0];
}
/* Seed, violation, last events. */
void trace_print(const trace_t *trace, FILE *out);

#endif
