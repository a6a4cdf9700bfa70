/* condemned.h: messages that were purged, or whose queue was deleted: nobody's any more, and freed in slices.
 *
 * A purge and the end of a queue are one record and done at once, however many messages there are: these stay where
 * they are, under a queue that has no name, no incarnation and no consumers, and nobody finds them by any of these.
 * They are no part of the durable state: digest, snapshot and counters pass them over, and recovery, which disturbs
 * nobody, frees them in the same step. */
#ifndef BROKER_CORE_CONDEMNED_H
#define BROKER_CORE_CONDEMNED_H

#include "broker/core/state.h"

/* Takes all messages from a queue, which goes on empty and under another number. */
void condemned_take(core_t *core, queue_t *queue);
/* Takes over a queue that stands in no table any more, with all that it has. */
void condemned_add(core_t *core, queue_t *queue);
/* True for a message that is nobody's. */
bool condemned_has(const core_t *core, const message_t *message);

/* Frees as many as this step has left. */
void condemned_sweep(core_t *core);
/* Frees all of them. */
void condemned_end(core_t *core);
/* When condemned_sweep has something to do; INT64_MAX for never. */
int64_t condemned_next_us(const core_t *core);

#endif
