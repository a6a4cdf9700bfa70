/* receive.h: RECEIVE: asks a queue once for some messages, and may wait for them (SQS ReceiveMessage).
 *
 * A waiting RECEIVE stands in its queue's line; consume.c serves the line in turn with the subscriptions.
 * It belongs to its connection: when that is lost, so is the request, and no message is spent on it. */
#ifndef BROKER_CORE_RECEIVE_H
#define BROKER_CORE_RECEIVE_H

#include "broker/core/state.h"

#define RECEIVE_MESSAGES_MAX 10 /* SQS: MaxNumberOfMessages */

void receives_init(core_t *core);
void receives_free(core_t *core);

void receive_handle(core_t *core, session_t *session, const wire_msg_t *msg);
/* The queue's first in line; NULL for none. */
receive_t *receive_first(const core_t *core, const queue_t *queue);
/* Answers it with items [first, first + count) of the effects, and ends it. */
void receive_answer(core_t *core, receive_t *receive, size_t first, size_t count);

/* Answers those whose wait is over with nothing. */
void receives_due(core_t *core);
int64_t receives_next_us(const core_t *core);
/* Answers all with nothing: the broker is stopping. */
void receives_stop(core_t *core);

void receives_end_of_session(core_t *core, session_t *session);
void receives_end_of_queue(core_t *core, queue_t *queue);
/* For condemned.c: the queue's number changed. */
void receives_renumber(core_t *core, const queue_t *queue);

#endif
