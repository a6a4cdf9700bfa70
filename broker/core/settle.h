/* settle.h: SETTLE: what became of deliveries; and the records of deliveries and their ends.
 *
 * Source: SQS DeleteMessage and ChangeMessageVisibility. A receipt names a delivery, not a session: it stays
 * valid across reconnects and restarts until the message is received again. An ack or reject whose delivery
 * record was lost in a crash (the receipt counts further than the queue) still holds. */
#ifndef BROKER_CORE_SETTLE_H
#define BROKER_CORE_SETTLE_H

#include "broker/core/state.h"

void settle_handle(core_t *core, session_t *session, const wire_msg_t *msg);

/* Applies one settlement at once and gathers it for one SETTLED record, which settle_flush writes. Nothing
 * else may be written in between. */
void settle_note(core_t *core, const queue_t *queue, const message_t *message, uint64_t action, int64_t visible_us);
void settle_flush(core_t *core);

/* Now plus visibility_us, or as late as a message that was received when this one was may be in flight. */
int64_t settle_latest_us(const core_t *core, const message_t *message, int64_t visibility_us);

MUST_USE bool settle_apply_delivered(core_t *core, const record_t *record, error_t *err);
MUST_USE bool settle_apply(core_t *core, const record_t *record, error_t *err);

#endif
