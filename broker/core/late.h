/* late.h: delayed messages of FIFO queues that were never received: their delay is their queue's, so they come due in
 * the order in which they were sent, and a queue's new delay holds for all of them at once (SQS: else later ones would
 * pass them).
 *
 * They stand in a line of their queue, and the queues in a heap by the first of each. Other delayed messages have a
 * timer of their own (messages_t.delayed). Durable state. */
#ifndef BROKER_CORE_LATE_H
#define BROKER_CORE_LATE_H

#include "broker/core/state.h"

void lates_init(core_t *core);

/* True for a message that stands, or would stand, in its queue's line. */
bool late_has(const core_t *core, const message_t *message);
/* When such a message is visible. */
int64_t late_visible_us(const core_t *core, const message_t *message);

/* A message becomes delayed, and ceases to be. */
void late_enter(core_t *core, queue_t *queue, uint32_t id);
void late_leave(core_t *core, queue_t *queue, uint32_t id);
/* After the queue's delay changed. */
void late_refresh(core_t *core, queue_t *queue);
/* The one of all queues that is due first; 0 for none. */
uint32_t late_first(const core_t *core);

#endif
