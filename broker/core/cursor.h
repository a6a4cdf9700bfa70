/* cursor.h: live subscriptions of a bus: cursors on the log.
 *
 * At the head a cursor is fed records as they are made. Without credit it falls behind and stays at the first
 * record not looked at; with credit it reads the log in slices (CORE_OUT_SCAN) until the next record to read
 * is the next to be made, and then is at the head again: nothing is lost or seen twice. One that was at the
 * head and is further behind than core_limits_t.lag_records skips to the head with a GAP, as does one that
 * asks for records that are gone. */
#ifndef BROKER_CORE_CURSOR_H
#define BROKER_CORE_CURSOR_H

#include "broker/core/state.h"

#define CURSOR_SCAN_BYTES ((size_t)1 << 20) /* one slice: other work goes on between slices */

void cursor_begin(core_t *core, sub_t *sub, uint64_t from, int64_t since_us);
/* It has got credit. */
void cursor_go_on(core_t *core, sub_t *sub);
/* The events of one PUBLISH frame and what became of them. */
void cursor_feed(core_t *core, const bus_t *bus, const wire_publish_t *msg, const wire_published_t *results);
/* The same for buses that rules passed them on to: pairs of an entry's place and a bus. */
void cursor_feed_passed(core_t *core, const wire_publish_t *msg, const wire_published_t *results, const ids_t *pairs);
/* One event of these buses that was journaled as this record; it lives until the call returns. */
void cursor_feed_event(core_t *core, const uint32_t *buses, uint32_t count, uint64_t record,
                       const record_publish_t *event);
/* CORE_IN_SCANNED. */
void cursor_scanned(core_t *core);
/* The oldest record that a cursor that fell behind still needs; UINT64_MAX for none. */
uint64_t cursor_oldest(const core_t *core);

#endif
