/* teller.h: publishes what the outbox holds, in order, and forgets it when the broker has it on disk.
 *
 * One turn: a transaction takes the oldest rows (and the right to tell, over all instances), publishes each
 * with the deduplication key isbn/warehouse/version, waits for the broker, deletes, commits. A crash between
 * publishing and deleting tells again under the same key, which the bus takes once. */
#ifndef INVENTORY_EVENTS_TELLER_H
#define INVENTORY_EVENTS_TELLER_H

#include "kit/service.h"

typedef struct teller teller_t;

MUST_USE teller_t *teller_new(service_t *service, error_t *err);
void teller_free(teller_t **teller);

/* There is something to tell; cheap, may be called at any time. */
void teller_wake(teller_t *teller);

#endif
