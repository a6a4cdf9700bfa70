/* ruleset.h: all rules of one bus, compiled into one matcher.
 *
 * Rules are numbered by the caller. Building allocates; matching does not, and walks the event once. Pure,
 * see pattern.h. A compiled ruleset is immutable: a changed topology builds a new one beside it. */
#ifndef BROKER_RULES_RULESET_H
#define BROKER_RULES_RULESET_H

#include "broker/rules/pattern.h"

#define RULESET_RULES_MAX 100000

typedef struct ruleset ruleset_t;

MUST_USE ruleset_t *ruleset_new(void); /* NULL when out of memory */
void ruleset_free(ruleset_t **ruleset);

/* Adds a rule under `id`, which ruleset_match will report. */
MUST_USE bool ruleset_add(ruleset_t *ruleset, uint32_t id, bytes_t pattern_json, error_t *err);

/* Ends building; nothing can be added afterwards. */
MUST_USE bool ruleset_compile(ruleset_t *ruleset, error_t *err);

/* Writes the ids of the matching rules to `ids`, rising, at most `cap`; returns how many match in all. */
MUST_USE size_t ruleset_match(const ruleset_t *ruleset, bytes_t event, bytes_t replay_name, uint32_t *ids, size_t cap);

#endif
