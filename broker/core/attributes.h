/* attributes.h: a queue's attributes as SQS names them, read from a msgpack map.
 *
 * Values are integers, or their decimal text as SQS has them; the redrive policies are maps, or their JSON text.
 * Source of names and bounds: SQS CreateQueue. Ours besides: MaximumEventAgeInSeconds, EventBridge's name. */
#ifndef BROKER_CORE_ATTRIBUTES_H
#define BROKER_CORE_ATTRIBUTES_H

#include "broker/core/state.h"

#define ATTRIBUTE_VISIBILITY_MAX_S 43200 /* SQS: 12 h */
#define ATTRIBUTE_DELAY_MAX_S 900        /* SQS: 15 min */
#define ATTRIBUTE_WAIT_MAX_S 20          /* SQS: WaitTimeSeconds */
#define ATTRIBUTE_BAD_VALUE "InvalidAttributeValue"

/* True for 1 to 80 of [A-Za-z0-9_-], FIFO queues ending in ".fifo". */
MUST_USE bool queue_name_check(bytes_t name, error_t *err);

/* Reads `map` (empty: all defaults) over the defaults. Refuses unknown names (InvalidAttributeName) and
 * values out of bounds (InvalidAttributeValue), the name in the message. `name` tells a FIFO queue by its
 * ending; attributes that only FIFO queues have are checked and kept for them. */
MUST_USE bool attributes_read(bytes_t name, bytes_t map, queue_attributes_t *out, error_t *err);

/* A whole number of up to 9 digits, or its text. */
MUST_USE bool attribute_number(bytes_t value, int64_t *out);

/* Appends pairs of attribute names and values in effect, and returns how many. */
uint32_t attributes_write(buf_t *out, const queue_attributes_t *attributes);

#endif
