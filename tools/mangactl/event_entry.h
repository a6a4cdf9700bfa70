/* event_entry.h: an event from an entry of PutEvents, filled up as a publisher would.
 *
 * Source: Amazon EventBridge API Reference, PutEventsRequestEntry. */
#ifndef MANGACTL_EVENT_ENTRY_H
#define MANGACTL_EVENT_ENTRY_H

#include "proto/envelope.h"
#include "proto/uuid.h"

typedef struct {
    bytes_t bus;          /* EventBusName, or the name at the end of its ARN; empty for none. A slice of the entry */
    bytes_t trace_header; /* empty for none. A slice of the entry */
    int64_t time_us;
} event_entry_t;

/* Whether a map (msgpack) means to be an entry: it has Source, DetailType or Detail, and is no envelope. */
bool event_entry_is(bytes_t map);

/* Appends the envelope: id new, `now_us` for a Time that is missing, account and region as `mangactl publish` has them.
 * Time is RFC 3339 text or Unix seconds, Detail the text of a JSON object. False (INVALID_ARGUMENT) names the field
 * that is missing, wrong, or none of PutEvents'. */
MUST_USE bool event_entry_read(bytes_t map, int64_t now_us, event_entry_t *out, buf_t *envelope, error_t *err);

/* What a new event has before anybody says anything: id (kept in `id`), account, region. Takes randomness and time. */
envelope_t event_born(char id[UUID_TEXT_BYTES]);

#endif
