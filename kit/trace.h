/* trace.h: W3C trace context, carried in the attribute `traceparent` of every message and call.
 *
 * Source: W3C Trace Context, level 1. A context is a value; "current" is what log lines show, set around a
 * handler by the chassis. */
#ifndef KIT_TRACE_H
#define KIT_TRACE_H

#include "proto/bytes.h"

#define TRACE_PARENT_BYTES 55 /* 00-<32>-<16>-<2> */

typedef struct {
    uint8_t trace_id[16];
    uint8_t span_id[8];
    uint8_t flags;
    bool valid;
} trace_t;

trace_t trace_new(void);
/* The same trace, a new span. A new trace when `parent` is not valid. */
trace_t trace_child(const trace_t *parent);
MUST_USE bool trace_parse(bytes_t traceparent, trace_t *out);
void trace_format(const trace_t *trace, char out[TRACE_PARENT_BYTES + 1]);

/* What log lines show; an invalid one shows nothing. One per process: a process is one thread. */
void trace_set_current(const trace_t *trace);
const trace_t *trace_current(void);

#endif
