/* timefmt.h: RFC 3339 text to and from Unix microseconds; numbers in, numbers out, no clock, no time zone.
 *
 * Years 0001 to 9999. Writing is always UTC with a Z. Reading takes any offset, a fraction of any length
 * (microseconds are kept, the rest is cut), `T` or `t`, `Z` or `z`; a leap second (":60") reads as the
 * second after. Source: RFC 3339 §5.6. */
#ifndef PROTO_TIMEFMT_H
#define PROTO_TIMEFMT_H

#include "proto/bytes.h"

#define TIMEFMT_S_BYTES 21  /* "2026-01-30T20:15:12Z" and NUL */
#define TIMEFMT_MS_BYTES 25 /* "2026-01-30T20:15:12.345Z" and NUL */
#define TIMEFMT_US_BYTES 28 /* "2026-01-30T20:15:12.345678Z" and NUL */

#define TIMEFMT_MIN_US INT64_C(-62135596800000000) /* 0001-01-01T00:00:00Z */
#define TIMEFMT_MAX_US INT64_C(253402300799999999) /* 9999-12-31T23:59:59.999999Z */

/* Whole seconds, as EventBridge writes an envelope's time. A time out of range is brought to the nearer end. */
void timefmt_s(int64_t unix_us, char out[TIMEFMT_S_BYTES]);
void timefmt_ms(int64_t unix_us, char out[TIMEFMT_MS_BYTES]);
void timefmt_us(int64_t unix_us, char out[TIMEFMT_US_BYTES]);

/* False when `text` is no RFC 3339 date-time of an existing day. */
MUST_USE bool timefmt_parse(bytes_t text, int64_t *unix_us);

/* False when `text` is no existing "2026-01-30". *unix_us (may be NULL) is its midnight, UTC. */
MUST_USE bool timefmt_parse_date(bytes_t text, int64_t *unix_us);

#endif
