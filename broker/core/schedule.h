/* schedule.h: the topology's schedules: what is due is sent, once, also over a restart.
 *
 * A firing is one SCHEDULE record: it holds the message, enters it into its queue, and says up to which moment the
 * schedule is seen to. So no crash can come between these: a firing is on disk as a whole, or is made again with the
 * same due moment. When the next one is due is reckoned anew from that moment, from expression and time zone; recovery
 * needs neither (a changed time zone database changes what comes, and nothing that was).
 *
 * What was due more than SCHEDULE_LATE_US ago was missed (the broker was away, the disk full): by MissedFirings the
 * newest alone is sent for all (ONCE), none is (NONE), or each is, in order, back to SCHEDULE_CATCH_UP_US (ALL). A
 * schedule that is new, enabled again, or has another expression or time zone begins in that moment and has missed
 * nothing.
 *
 * Source: EventBridge ("Scheduled Event"), EventBridge Scheduler. */
#ifndef BROKER_CORE_SCHEDULE_H
#define BROKER_CORE_SCHEDULE_H

#include "broker/core/topology_doc.h"

#define SCHEDULE_LATE_US (60 * US_PER_S)                 /* Scheduler's precision */
#define SCHEDULE_CATCH_UP_US (INT64_C(86400) * US_PER_S) /* EventBridge's largest age of an event */
#define SCHEDULE_INPUT_MAX_BYTES ((size_t)256 << 10)     /* Scheduler: Input */
#define SCHEDULE_BURST 16u                               /* firings of one step */

void schedules_init(core_t *core, const zones_t *zones);
void schedules_free(core_t *core);
schedule_t *schedule_find(const core_t *core, bytes_t name); /* NULL for none */

/* For a document that is to be applied: expressions, time zones, groups and sizes. */
MUST_USE bool schedules_check(const core_t *core, const topology_doc_t *doc, error_t *err);
/* For topology_apply. */
void schedules_take(core_t *core, const topology_doc_t *doc, int64_t now_us);
/* Arms all, after recovery and after a change; logs those that cannot fire here. */
void schedules_start(core_t *core);

void schedules_due(core_t *core);
int64_t schedules_next_us(const core_t *core);
MUST_USE bool schedule_apply(core_t *core, const record_t *record, error_t *err);
uint64_t schedules_digest(const core_t *core);

/* When it is due next, INT64_MAX for not any more: disabled ones, and those that cannot fire. */
int64_t schedule_next_us(const schedule_t *schedule);
const char *schedule_missed_name(missed_t missed);

#endif
