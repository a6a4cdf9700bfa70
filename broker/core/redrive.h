/* redrive.h: the two sides of dead-lettering: RedrivePolicy, which names the queue, and RedriveAllowPolicy, by which
 * that queue says from whom it takes.
 *
 * Source: SQS CreateQueue. Both are maps of SQS's names, or their JSON text; a queue is named by its ARN or by its
 * bare name. The allowance is asked each time a message would be moved: who takes it away keeps messages out. */
#ifndef BROKER_CORE_REDRIVE_H
#define BROKER_CORE_REDRIVE_H

#include "broker/core/state.h"

/* Into `out`; InvalidAttributeValue says what is wrong. */
MUST_USE bool redrive_read(bytes_t value, queue_attributes_t *out, error_t *err);
MUST_USE bool redrive_allow_read(bytes_t value, queue_attributes_t *out, error_t *err);
/* Appends the pairs that are set and returns how many. */
uint32_t redrive_write(buf_t *out, const queue_attributes_t *attributes);

/* True when a dead-letter queue of these attributes takes what leaves the queue `source`. */
bool redrive_allows(const queue_attributes_t *dead, bytes_t source);
/* The queue's name at the end of an ARN, or the whole text. */
bytes_t redrive_name(bytes_t arn);

#endif
