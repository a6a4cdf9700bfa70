/* sse.h: server-sent events, as they come piece by piece.
 *
 * Source: WHATWG HTML, "Server-sent events", of which `data` alone is kept: lines end in LF, CR LF or CR, several
 * data lines are joined by LF, an empty line ends an event, a byte order mark is skipped. */
#ifndef FM_INVOKER_SSE_H
#define FM_INVOKER_SSE_H

#include "proto/bytes.h"

#define SSE_EVENT_MAX_BYTES ((size_t)1 << 20)

typedef struct {
    buf_t line, data;
    bool has_data, after_cr, begun, too_large;
} sse_t; /* zeroed: ready */

/* Takes a piece; calls `each` for every event that is complete. False once an event is larger than
 * SSE_EVENT_MAX_BYTES, and then for good, or as soon as `each` returns false. */
MUST_USE bool sse_feed(sse_t *sse, bytes_t piece, bool (*each)(void *ctx, bytes_t data), void *ctx);
void sse_free(sse_t *sse);

#endif
