/* gate.h: the output rule: what must not leave before the disk has it waits here, and leaves in order.
 *
 * Everything that waits is in one line for the whole broker, because syncs come in order too. What need not wait
 * (after 0) leaves at once, but for two cases that a client could see: nothing overtakes a waiting WELCOME of the
 * same peer, and only calls, replies, their credit and cancelling, PING and PONG overtake its other frames (so an
 * UNSUBSCRIBED never comes before the last DELIVER). */
#ifndef BROKER_GATE_H
#define BROKER_GATE_H

#include "broker/deliver.h"

typedef struct gate gate_t;

typedef struct {
    void (*frame)(void *ctx, uint64_t peer, bytes_t frame);
    void (*deliver)(void *ctx, const deliver_request_t *request);
    void *ctx;
} gate_sink_t;

MUST_USE gate_t *gate_new(const gate_sink_t *sink); /* NULL when out of memory */
void gate_free(gate_t **gate);

/* Takes over what one CORE_OUT_FRAME, _DELIVER or _RESULT says; it leaves now when it may. `effects` is what `out`
 * points into; copied as far as it has to wait. */
void gate_put(gate_t *gate, const core_out_t *out, const core_effects_t *effects, uint64_t synced);

/* Lets go what no longer has to wait. */
void gate_flush(gate_t *gate, uint64_t synced);

size_t gate_count(const gate_t *gate);

#endif
