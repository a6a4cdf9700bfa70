/* ruleset.h: all rules of one bus, compiled into one matcher.
 *
 * Rules are numbered by the caller. Building allocates; matching does not, walks the event once, and reads only paths
 * that some rule names; it stops when nothing more can match. What it costs does not depend on how many rules there
 * are, but on how many the event meets. Pure, see pattern.h. A compiled ruleset is immutable but for what a match
 * notes down, so that it is for one thread: a changed topology builds a new one beside it. */
#ifndef BROKER_RULES_RULESET_H
#define BROKER_RULES_RULESET_H

#include "broker/rules/pattern.h"
#include "proto/envelope.h"

#define RULESET_RULES_MAX 100000

/* What may be spent on holding one event against all rules, in steps of about 4 ns: some 1 ms. Ours; bounds what an
 * event that is made to be slow can cost the others. Reading over values that no rule names is not counted. */
#define RULESET_STEPS_MAX 250000
#define RULESET_TOO_COSTLY SIZE_MAX

typedef struct ruleset ruleset_t;

MUST_USE ruleset_t *ruleset_new(void); /* NULL when out of memory */
void ruleset_free(ruleset_t **ruleset);

/* Adds a rule under `id`, which ruleset_match will report. */
MUST_USE bool ruleset_add(ruleset_t *ruleset, uint32_t id, bytes_t pattern_json, error_t *err);

MUST_USE bool ruleset_add_with(ruleset_t *ruleset, uint32_t id, bytes_t pattern_json, pattern_options_t options,
                               error_t *err);

/* Ends building; nothing can be added afterwards. */
MUST_USE bool ruleset_compile(ruleset_t *ruleset, error_t *err);

/* Writes the ids of the matching rules to `ids`, rising, at most `cap`; returns how many match in all, or
 * RULESET_TOO_COSTLY, and then which match is not known, when it would take more than RULESET_STEPS_MAX. The event must
 * be well formed (envelope_read has seen to it): what follows the last thing that could matter is not looked at. */
MUST_USE size_t ruleset_match(const ruleset_t *ruleset, bytes_t event, bytes_t replay_name, uint32_t *ids, size_t cap);

/* The same of an event that was just read: its values are at hand, and the event is walked again only where it has keys
 * of its own beside the envelope's. */
MUST_USE size_t ruleset_match_envelope(const ruleset_t *ruleset, const envelope_t *envelope, bytes_t event,
                                       bytes_t replay_name, uint32_t *ids, size_t cap);

/* What it occupies, its patterns included. */
size_t ruleset_bytes(const ruleset_t *ruleset);

#endif
