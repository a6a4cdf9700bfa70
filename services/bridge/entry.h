/* entry.h: one event as EventBridge's PutEvents takes it, and what PutEvents answers. Pure.
 *
 * Source: Amazon EventBridge API Reference, PutEvents and PutEventsRequestEntry. */
#ifndef BRIDGE_ENTRY_H
#define BRIDGE_ENTRY_H

#include "proto/bytes.h"
#include "proto/status.h"

#define ENTRY_BATCH_MAX 10                          /* entries of one request */
#define ENTRY_REQUEST_MAX_BYTES ((size_t)1 << 20)   /* by EventBridge's size formula, over all entries */
#define ENTRY_ORIGIN_RESOURCE "urn:mangabus:origin" /* among Resources: this event was born here */

typedef struct {
    bytes_t envelope;
    bytes_t bus;      /* EventBusName */
    bytes_t trace_id; /* W3C traceparent; becomes TraceHeader; empty for none */
} entry_t;

/* Appends the entry as one JSON object; *size is what it counts towards ENTRY_REQUEST_MAX_BYTES. False when the
 * envelope is broken, or the event is too large for EventBridge (RESOURCE_EXHAUSTED). */
MUST_USE bool entry_write(buf_t *out, const entry_t *entry, size_t *size, error_t *err);

/* True when the event came from AWS, or went there before: it is not sent (again). */
bool entry_is_foreign(bytes_t envelope, bytes_t attrs);

typedef enum {
    ENTRY_ACCEPTED,
    ENTRY_AGAIN,   /* throttled or an internal failure: later */
    ENTRY_REFUSED, /* for good */
} entry_outcome_t;

typedef struct {
    entry_outcome_t outcome;
    char code[64];
    char message[256];
} entry_answer_t;

/* Reads a PutEvents answer for `count` entries. False (UNAVAILABLE) when it is none such. */
MUST_USE bool entry_answers_read(bytes_t json, size_t count, entry_answer_t *out, error_t *err);

#endif
