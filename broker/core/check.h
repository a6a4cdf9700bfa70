/* check.h: recounts what the core keeps by counting as it goes, and says what does not agree.
 *
 * Looks and changes nothing. check_counts is one pass over all messages in the order of memory (64 bytes each: about
 * a tenth of a second for 10 million), and over all queues, groups and sessions; check_messages looks each message up
 * in every place that should know it, a slice at a time. What they find wrong is a bug of ours or bad memory. */
#ifndef BROKER_CORE_CHECK_H
#define BROKER_CORE_CHECK_H

#include "broker/core/state.h"

#define CHECK_SLICE 100000u /* messages looked up by one request on a live broker */

/* Counters of queues, groups, sessions, maps, heaps and windows. INTERNAL names the first that does not agree. */
MUST_USE bool check_counts(const core_t *core, error_t *err);
/* Places in memory from `*at` on (begin with 0), at most `most` of them; *at is where to go on, 0 at the end. */
MUST_USE bool check_messages(const core_t *core, uint32_t *at, uint32_t most, error_t *err);

#endif
