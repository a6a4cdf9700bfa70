/* attrs.h: the attribute map beside a message: what is said about it on its way, never inside it.
 *
 * One msgpack map, text to text, integer, boolean or binary; the empty slice is the empty map. It carries
 * trace context, queue attributes, the deduplication key and message attributes alike, and is the same bytes
 * in PUBLISH, SEND, DELIVER, journal, archive and capture. SQS message attributes keep their own names and
 * may not take one of the names below. A Number that int64 holds travels as integer, any other as text. */
#ifndef PROTO_ATTRS_H
#define PROTO_ATTRS_H

#include "proto/bytes.h"
#include "proto/status.h"

#define ATTRS_MAX 64
#define ATTRS_NAME_MAX_BYTES 256 /* SQS's bound for message attribute names */
#define ATTRS_VALUE_MAX_BYTES ((size_t)256 << 10)
#define ATTRS_TOTAL_MAX_BYTES ((size_t)256 << 10) /* the whole map, encoded */

/* Trace context (W3C Trace Context, W3C Baggage). */
#define ATTR_TRACEPARENT "traceparent"
#define ATTR_TRACESTATE "tracestate"
#define ATTR_BAGGAGE "baggage"
/* Queues, by SQS's names. */
#define ATTR_MESSAGE_GROUP_ID "MessageGroupId"
#define ATTR_MESSAGE_DEDUPLICATION_ID "MessageDeduplicationId"
#define ATTR_DELAY_SECONDS "DelaySeconds"
#define ATTR_APPROXIMATE_RECEIVE_COUNT "ApproximateReceiveCount"
#define ATTR_SENT_TIMESTAMP "SentTimestamp" /* Unix milliseconds, integer */
#define ATTR_APPROXIMATE_FIRST_RECEIVE_TIMESTAMP "ApproximateFirstReceiveTimestamp"
#define ATTR_SEQUENCE_NUMBER "SequenceNumber"
#define ATTR_SENDER_ID "SenderId"
#define ATTR_AWS_TRACE_HEADER "AWSTraceHeader"
#define ATTR_DEAD_LETTER_QUEUE_SOURCE_ARN "DeadLetterQueueSourceArn"
/* On a dead-lettered event, by EventBridge's names. */
#define ATTR_RULE_ARN "RULE_ARN"
#define ATTR_TARGET_ARN "TARGET_ARN"
#define ATTR_ERROR_CODE "ERROR_CODE"
#define ATTR_ERROR_MESSAGE "ERROR_MESSAGE"
#define ATTR_EXHAUSTED_RETRY_CONDITION "EXHAUSTED_RETRY_CONDITION"
#define ATTR_RETRY_ATTEMPTS "RETRY_ATTEMPTS"
/* Ours. */
#define ATTR_DEDUP_KEY "dedup-key"     /* of PUBLISH: one event per key, bus and window */
#define ATTR_ORIGIN "origin"           /* where it entered the house: an instance, or "aws:REGION:ACCOUNT" */
#define ATTR_REPLAY_NAME "replay-name" /* the replay that brought it; consumers key idempotence by it too */
#define ATTR_DEAD_LETTER_REASON "DeadLetterReason"  /* max-receives, rejected, expired, max-age, … */
#define ATTR_DEAD_LETTER_DETAIL "DeadLetterDetail"  /* the consumer's words */
#define ATTR_DEAD_LETTER_SOURCE "DeadLetterSource"  /* name of the queue it left */
#define ATTR_DEAD_LETTER_TIME_MS "DeadLetterTimeMs" /* Unix milliseconds, integer */
#define ATTR_CONTENT_TYPE                                                                                              \
    "content-type" /* of a body that is no envelope: "application/msgpack", "application/json"                         \
                    */
#define ATTR_CORRELATION_ID "correlation-id"

typedef enum { ATTR_STR, ATTR_INT, ATTR_BOOL, ATTR_BIN } attr_type_t;

typedef struct {
    attr_type_t type;
    union {
        bytes_t bytes; /* STR, BIN: a slice into the map */
        int64_t i64;
        bool boolean;
    };
} attr_value_t;

/* -- reading ------------------------------------------------------------------------------------ */
/* True for an attribute map within all bounds: distinct names of 1..256 bytes, UTF-8, the four types. */
MUST_USE bool attrs_check(bytes_t attrs, error_t *err);

/* The functions below take a map that attrs_check passed; with any other they find less, never fail worse. */
MUST_USE bool attrs_find(bytes_t attrs, const char *name, attr_value_t *out);
MUST_USE bool attrs_str(bytes_t attrs, const char *name, bytes_t *out); /* false when absent or of another type */
MUST_USE bool attrs_int(bytes_t attrs, const char *name, int64_t *out);
MUST_USE bool attrs_bool(bytes_t attrs, const char *name, bool *out);
MUST_USE bool attrs_bin(bytes_t attrs, const char *name, bytes_t *out);
uint32_t attrs_count(bytes_t attrs);
/* The next pair: *at starts at 0 and is the caller's cursor. False at the end. */
MUST_USE bool attrs_next(bytes_t attrs, size_t *at, bytes_t *name, attr_value_t *value);

/* -- writing ------------------------------------------------------------------------------------ */
/* Appends a map to a buf_t; the writer is a value on the caller's stack. A put of a name that is already in
 * (or of the wrong size) is remembered and refused by attrs_end. */
typedef struct {
    buf_t *out;
    size_t at;
    uint32_t count;
    const char *problem; /* NULL while all is well */
} attrs_writer_t;

attrs_writer_t attrs_begin(buf_t *out);
void attrs_put_str(attrs_writer_t *w, const char *name, bytes_t value);
void attrs_put_int(attrs_writer_t *w, const char *name, int64_t value);
void attrs_put_bool(attrs_writer_t *w, const char *name, bool value);
void attrs_put_bin(attrs_writer_t *w, const char *name, bytes_t value);
void attrs_put_value(attrs_writer_t *w, bytes_t name, const attr_value_t *value);
/* Ends the map. False (INVALID_ARGUMENT), and the buffer as it was before attrs_begin, when a put was
 * refused or a bound of the whole is passed. */
MUST_USE bool attrs_end(attrs_writer_t *w, error_t *err);

/* Appends `base` with the pairs of `overrides` added, which win where both have a name. */
MUST_USE bool attrs_merge(buf_t *out, bytes_t base, bytes_t overrides, error_t *err);

#endif
