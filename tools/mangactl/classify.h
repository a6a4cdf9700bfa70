/* classify.h: what a dead letter died of, and so what becomes of it.
 *
 * Judged by what the broker recorded (DeadLetterReason, and DeadLetterDetail, the consumer's words), never by the body:
 *
 *     the words begin with a code          RESOURCE_EXHAUSTED and AWS's throttling names    throttle
 *     (of docs/conventions.md, or AWS's    UNAVAILABLE, DEADLINE_EXCEEDED, ABORTED,         transient
 *     name), alone or before a ":"         CANCELLED and AWS's names of these
 *                                          INTERNAL, UNKNOWN                                unknown
 *                                          any other                                        permanent
 *     no code, rejected                    a consumer rejects what stays wrong              permanent
 *     no code, expired or max-age          nobody came in time; the message is good         transient
 *     no code, max-receives                it may be the message, or whoever received it    unknown
 *     anything else, or no dead letter                                                      unknown */
#ifndef MANGACTL_CLASSIFY_H
#define MANGACTL_CLASSIFY_H

#include "proto/bytes.h"
#include "proto/status.h"

typedef enum { CLASS_TRANSIENT, CLASS_THROTTLE, CLASS_PERMANENT, CLASS_UNKNOWN, CLASS_COUNT } class_t;

const char *class_name(class_t class);

/* By DeadLetterReason, for what carries no code: "max-receives=transient,expired=permanent". */
typedef struct {
    const char *text; /* NULL for none; checked by classify_read */
} classify_rules_t;

MUST_USE bool classify_read(const char *text, classify_rules_t *out, error_t *err);

/* `attrs`: the message's attributes, a msgpack map. */
class_t classify(bytes_t attrs, const classify_rules_t *rules);

#endif
