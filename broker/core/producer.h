/* producer.h: idempotent publishers: (producer, epoch, sequence), and the answers they were given.
 *
 * The newest answers of each producer are remembered in a window of core_limits_t.producer_window sequences.
 * A sequence in the window that was refused is not remembered and may be sent again; below the window it is
 * SEQUENCE_EXPIRED. Producers over the limit push out the one that was idle longest and that no session has. Durable.
 */
#ifndef BROKER_CORE_PRODUCER_H
#define BROKER_CORE_PRODUCER_H

#include "broker/core/state.h"

/* Opens a producer for a session: makes it, raises its epoch, or refuses a lower one (PRODUCER_FENCED).
 * NULL when refused. */
MUST_USE producer_t *producer_open(core_t *core, bytes_t name, uint64_t epoch, error_t *err);

/* A session publishes as this producer from now on, or no more (0, or one that was forgotten: nothing). One that a
 * session has is forgotten only when all are had. */
void producer_hold(core_t *core, uint64_t number);
void producer_let_go(core_t *core, uint64_t number);

producer_t *producer_find(const core_t *core, uint64_t number); /* NULL for none */

/* What to do with an entry that carries `seq` (0: nothing to check). *record is the remembered record when
 * it was accepted before, else 0. False when it must be refused. */
MUST_USE bool producer_check(const core_t *core, const session_t *session, uint64_t seq, uint64_t *record,
                             error_t *err);

/* Remembers an accepted entry. For apply functions; an unknown producer is none any more. */
void producer_remember(core_t *core, uint64_t number, uint64_t seq, uint64_t record);
MUST_USE bool producer_apply(core_t *core, const record_t *record, error_t *err);
void producers_free(core_t *core);
uint64_t producers_digest(const core_t *core);

#endif
