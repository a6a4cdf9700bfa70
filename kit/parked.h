/* parked.h: deliveries that wait in hand for something that is away, a database or a model.
 *
 * That is no fault of theirs: given back to the queue each would count a receive, and enough of those are a dead
 * letter. Parked, they stay invisible to others (the bus extends that by itself) and take up their consumer's credit,
 * so that no more come; after a pause they are handed to the same handler again, in the order in which they were
 * parked.
 *
 * One loop's thread; nothing blocks. */
#ifndef KIT_PARKED_H
#define KIT_PARKED_H

#include "kit/bus.h"

#define PARKED_MAX 1024 /* deliveries at once */

typedef struct parked parked_t;

/* `again` gets each delivery when the pause is over, which begins with the first that is parked. */
MUST_USE parked_t *parked_new(loop_t *loop, int64_t pause_ms, bus_delivery_fn again, void *ctx, error_t *err);

/* What is still parked is the bus's, which has ended by then or takes it back. */
void parked_free(parked_t **parked);

/* False when PARKED_MAX wait, or memory is short: release it, then. */
MUST_USE bool parked_put(parked_t *parked, bus_delivery_t *delivery);

#endif
