/* route.h: where an event goes: rules and their targets, or an explicit destination.
 *
 * Source: EventBridge PutEvents, rules and targets. One event is queued once in one queue, even where two
 * rules lead there (docs/aws-differences.md); topology_targets.c sees to it that this loses no transformed body.
 *
 * A rule's target may be another bus: then the event is held against that bus's rules too, as part of the same decision
 * and the same record, so that recovery need not know rules. It comes to no bus twice, and so to no more than
 * TOPOLOGY_PASSES_MAX. */
#ifndef BROKER_CORE_ROUTE_H
#define BROKER_CORE_ROUTE_H

#include "broker/core/group.h"
#include "broker/core/sha256.h"
#include "broker/core/topology_targets.h"
#include "proto/envelope.h"

#define ROUTE_ERROR_BYTES 256 /* of why an event does not fit a target; the rest is cut */

typedef struct { /* what routes point into, by their place; need not be zeroed */
    char hashes[RECORD_ROUTES_MAX][SHA256_HEX_BYTES];
    char groups[RECORD_ROUTES_MAX][GROUP_ID_MAX_BYTES + 1];
    char errors[RECORD_ROUTES_MAX][ROUTE_ERROR_BYTES];
} route_texts_t;

typedef struct {
    const bus_t *bus;
    bytes_t to;    /* of the PUBLISH frame */
    bytes_t rules; /* "NAME,…": of the rules these alone; empty: all */
    bytes_t replay_name;
    bytes_t envelope;        /* its bytes */
    const envelope_t *event; /* the same, read */
    bytes_t group;           /* MessageGroupId among the attributes; empty for none */
    bool is_dedup_given;     /* among the attributes */
    bytes_t dedup;           /* for FIFO queues without content-based deduplication */
    route_texts_t *texts;
} route_request_t;

/* Where an event went besides: the buses that rules passed it on to. */
typedef struct {
    uint32_t buses[TOPOLOGY_PASSES_MAX]; /* the first is the request's own */
    uint32_t count;
    buf_t map; /* PUBLISH record's `passed`; empty for none */
} route_passed_t;

/* Checks PUBLISH.to: empty, "queue:NAME", "subscriber:NAME", each of which must be there. */
MUST_USE bool route_check_to(const core_t *core, bytes_t to, error_t *err);

/* True when `name` stands in the list "NAME,…". */
bool route_names(bytes_t list, const char *name);

/* `passed` is made anew; its map's memory is the caller's. Fills the routes of core->record->publish. Transformed
 * bodies live in `bodies` and are valid until it changes. False when the event would reach more than RECORD_ROUTES_MAX
 * targets. */
MUST_USE bool route_event(core_t *core, const route_request_t *request, buf_t *bodies, route_passed_t *passed,
                          error_t *err);

#endif
