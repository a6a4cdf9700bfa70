/* attempt.h: ReceiveRequestAttemptId: a RECEIVE from a FIFO queue that is asked again gets the same answer.
 *
 * Source: SQS ReceiveMessage. For 5 minutes the same id brings the same messages under the same receipts, and
 * their visibility begins anew; once one of them was settled, or came back, the id means nothing any more.
 * Not durable: after a restart of the broker the id is new, and the messages come when their visibility ends. */
#ifndef BROKER_CORE_ATTEMPT_H
#define BROKER_CORE_ATTEMPT_H

#include "broker/core/state.h"

#define ATTEMPT_WINDOW_US (300 * US_PER_S)
#define ATTEMPTS_MAX 100000u /* of all queues; the oldest is forgotten first */

/* The delivery that this id stands for, its visibility begun anew: items are appended to the effects from *first on.
 * Their number; 0 when the id stands for none. */
size_t attempt_repeat(core_t *core, const queue_t *queue, bytes_t id, int64_t visibility_us, size_t *first);
/* Remembers what core->record->delivered has just delivered from the queue. */
void attempt_remember(core_t *core, const queue_t *queue, bytes_t id);
void attempts_free(core_t *core);

#endif
