/* pattern.h: one event pattern of EventBridge's language, compiled from JSON.
 *
 * Source of the language: EventBridge user guide, "Event patterns" and "Comparison operators"; where the
 * guide is silent, what AWS answers (docs/aws-differences.md). Pure: no clock, no I/O, no global state. A
 * compiled pattern is immutable and holds no pointer into its source.
 *
 * An operator whose name this program knows but which it cannot evaluate yet is refused with UNIMPLEMENTED
 * and its name; an unknown one with INVALID_ARGUMENT. Never is a pattern accepted that would match something
 * else than it says. */
#ifndef BROKER_RULES_PATTERN_H
#define BROKER_RULES_PATTERN_H

#include "proto/bytes.h"
#include "proto/status.h"

#define PATTERN_MAX_BYTES 4096 /* EventPattern in the service model; AWS's default quota is 2,048 */

typedef struct pattern pattern_t;

MUST_USE pattern_t *pattern_compile(bytes_t json, error_t *err);
void pattern_free(pattern_t **pattern);

/* True when the event (an envelope in msgpack) matches. `replay_name` is what EventBridge puts at the top
 * level of a replayed event; empty when live. A malformed event matches nothing. */
MUST_USE bool pattern_match(const pattern_t *pattern, bytes_t event, bytes_t replay_name);

#endif
