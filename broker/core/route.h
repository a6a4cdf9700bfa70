/* route.h: where an event goes: rules and their targets, or an explicit destination.
 *
 * Source: EventBridge PutEvents, rules and targets. One event is queued once in one queue, even where two
 * rules lead there (docs/aws-differences.md); topology.c sees to it that this loses no transformed body. */
#ifndef BROKER_CORE_ROUTE_H
#define BROKER_CORE_ROUTE_H

#include "broker/core/sha256.h"
#include "broker/core/state.h"
#include "proto/envelope.h"

typedef struct {
    const bus_t *bus;
    bytes_t to; /* of the PUBLISH frame */
    bytes_t replay_name;
    bytes_t envelope;                 /* its bytes */
    const envelope_t *event;          /* the same, read */
    bytes_t group;                    /* MessageGroupId among the attributes; empty for none */
    bool is_dedup_given;              /* among the attributes */
    bytes_t dedup;                    /* for FIFO queues without content-based deduplication */
    char (*hashes)[SHA256_HEX_BYTES]; /* room for RECORD_ROUTES_MAX; routes point into it */
} route_request_t;

/* Checks PUBLISH.to: empty, "queue:NAME", "subscriber:NAME", each of which must be there. */
MUST_USE bool route_check_to(const core_t *core, bytes_t to, error_t *err);

/* Fills the routes of core->record->publish. Transformed bodies live in `bodies` and are valid until it
 * changes. False when the event would reach more than RECORD_ROUTES_MAX targets. */
MUST_USE bool route_event(core_t *core, const route_request_t *request, buf_t *bodies, error_t *err);

#endif
