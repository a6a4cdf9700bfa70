/* retire.h: how a message leaves its queue without being acknowledged: dead-lettered, or dropped and counted.
 *
 * Source: SQS redrive policy; MaximumEventAgeInSeconds is EventBridge's, kept per queue. Unlike AWS, what is
 * too old goes to the dead-letter queue where one is named (docs/aws-differences.md). */
#ifndef BROKER_CORE_RETIRE_H
#define BROKER_CORE_RETIRE_H

#include "broker/core/state.h"

#define RETIRE_REJECTED "rejected"
#define RETIRE_MAX_RECEIVES "max-receives"
#define RETIRE_EXPIRED "expired"
#define RETIRE_MAX_AGE "max-age"
#define RETIRE_REDRIVE "redrive"
#define RETIRE_UNFIT "unfit"         /* the event has not what its target's input or group asks for */
#define RETIRE_DISCARDED "discarded" /* by an operator, from a dead-letter queue */
#define RETIRE_DETAIL_MAX_BYTES 256  /* of the consumer's words; the rest is cut */

/* True when it has been received as often as its queue's redrive policy allows: one more would be too many, and moves
 * it instead (SQS). */
bool retire_is_exhausted(const core_t *core, const queue_t *queue, const message_t *message);
/* Moves one that is; `detail`: the consumer's last words, where it gave any. */
void retire_exhausted(core_t *core, const queue_t *queue, uint32_t id, bytes_t detail);
/* Moves a message to `to`, or drops it when that is NULL. */
void retire_move(core_t *core, uint32_t id, const queue_t *to, const char *reason, bytes_t detail);

/* Moves a message that waits, as a new one, for a move task (0: for none), to be received from visible_us on (0: at
 * once). */
void retire_redrive(core_t *core, uint32_t id, const queue_t *to, uint64_t task, int64_t visible_us);

/* Deliveries that ran out and messages too old, as many as one step may turn to. */
void retire_due(core_t *core);
int64_t retire_next_us(const core_t *core);

/* EventBridge's dead-letter attributes for a reason; exhausted: NULL for none. */
const char *retire_error_code(const char *reason);
const char *retire_exhausted_by(const char *reason);

/* Keeps what a moved message needs; its number for message_t.dead. `detail` is copied. */
uint32_t retire_restore(core_t *core, const dead_t *from, bytes_t detail);
/* The same for an event that a route says did not fit its target. */
uint32_t retire_unfit(core_t *core, const record_t *record, const record_route_t *route);
bool retire_is_unfit(const core_t *core, const dead_t *dead);
MUST_USE bool retire_apply(core_t *core, const record_t *record, error_t *err);

#endif
