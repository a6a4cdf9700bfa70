/* pattern.h: one event pattern of EventBridge's language, compiled from JSON.
 *
 * Source of the language: EventBridge user guide, "Event patterns" and "Comparison operators"; where the
 * guide is silent, what AWS answers (docs/patterns.md, docs/aws-differences.md). Pure: no clock, no I/O, no global
 * state. A compiled pattern is immutable and holds no pointer into its source.
 *
 * `$or` is multiplied out: a pattern is a list of branches, each a set of fields that must all be met. A field that
 * is given again on the same path, inside a `$or` or behind it, takes the place of the earlier one. */
#ifndef BROKER_RULES_PATTERN_H
#define BROKER_RULES_PATTERN_H

#include "proto/bytes.h"
#include "proto/status.h"

#define PATTERN_MAX_BYTES 4096    /* EventPattern in the service model; AWS's default quota is 2,048 */
#define PATTERN_BRANCHES_MAX 1000 /* combinations of $or; EventBridge's bound */
#define PATTERN_MEMBERS_MAX 16384 /* fields, counted over all branches; ours: bounds what a match may cost */

typedef struct pattern pattern_t;

typedef struct {
    bool all_of; /* ours: {"allOf":[…]}, all match expressions for one value. AWS refuses it. */
} pattern_options_t;

/* NULL, and a message that says what is wrong and at which path, when `json` is no pattern. */
MUST_USE pattern_t *pattern_compile(bytes_t json, error_t *err);
MUST_USE pattern_t *pattern_compile_with(bytes_t json, pattern_options_t options, error_t *err);
void pattern_free(pattern_t **pattern);

/* True when the event (an envelope in msgpack) matches. `replay_name` is what EventBridge puts at the top
 * level of a replayed event; empty when live. A malformed event matches nothing. */
MUST_USE bool pattern_match(const pattern_t *pattern, bytes_t event, bytes_t replay_name);

#endif
