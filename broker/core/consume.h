/* consume.h: hands a queue's messages to its subscriptions, against credit, and to waiting RECEIVEs, in turn. */
#ifndef BROKER_CORE_CONSUME_H
#define BROKER_CORE_CONSUME_H

#include "broker/core/state.h"

#define CONSUME_TURN 32 /* messages that one taker gets before the next has its turn */

/* Delivers from every queue on the touched list until messages or credit are out. */
void consume_touched(core_t *core);

/* The message that would be delivered next; 0 for none. */
uint32_t consume_first(const core_t *core, const queue_t *queue);

/* How long a delivery to this queue subscription stays invisible. */
int64_t consume_visibility_us(const core_t *core, const sub_t *sub);

/* -- receipts -------------------------------------------------------------------------------------- */
typedef struct {
    uint64_t queue; /* incarnation */
    uint64_t record;
    uint32_t receives;
} receipt_t;

/* The check in a receipt finds damage and mixed-up handles; what a client may settle is its role's matter. */
void receipt_write(uint8_t out[CORE_RECEIPT_BYTES], const receipt_t *receipt);
MUST_USE bool receipt_read(bytes_t bytes, receipt_t *out);

/* Appends the attributes that a dead letter or a message of a FIFO queue carries beside its own to out->bytes: a
 * msgpack map. Sets the item's extra_at and extra_len; nothing for other messages. */
void item_attributes(core_t *core, const message_t *message, core_item_t *item);

/* Adds an item with its receipt for a message that was just delivered. */
void item_deliver(core_t *core, const queue_t *queue, const message_t *message);
/* Fills an item from a message, without receipt. */
void item_fill(core_t *core, const message_t *message, core_item_t *item);

#endif
