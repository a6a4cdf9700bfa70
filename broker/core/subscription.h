/* subscription.h: SUBSCRIBE, CREDIT and UNSUBSCRIBE: what queue and bus subscriptions have in common.
 *
 * A subscription belongs to a session's connection and is not durable. What it does with its credit is in
 * consume.h (queues) and cursor.h (buses). */
#ifndef BROKER_CORE_SUBSCRIPTION_H
#define BROKER_CORE_SUBSCRIPTION_H

#include "broker/core/state.h"

#define DELIVER_BYTES ((uint64_t)1 << 20) /* a DELIVER frame is closed once it holds as much */

void subscription_handle(core_t *core, session_t *session, const wire_msg_t *msg);
void subscription_credit(core_t *core, session_t *session, const wire_msg_t *msg);
void subscription_unsubscribe(core_t *core, session_t *session, const wire_msg_t *msg);

sub_t *subscription_at(const core_t *core, uint32_t id);
bool subscription_has_name(const core_t *core, bytes_t name);
/* Takes one delivery of so many bytes off the credit. */
void subscription_spend(sub_t *sub, size_t bytes);
bool subscription_has_credit(const sub_t *sub);

void subscription_end_of_session(core_t *core, session_t *session);
void subscription_end_of_queue(core_t *core, queue_t *queue);
void subscriptions_free(core_t *core);

#endif
