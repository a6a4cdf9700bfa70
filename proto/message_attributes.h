/* message_attributes.h: SQS's rules for what a message carries: its text, its attributes, and their MD5 sums.
 *
 * An attribute map holds what the house puts beside a message (attrs.h names it: trace context, groups, dead letters,
 * replay) and the sender's own message attributes; SQS's rules and sums are about the latter alone. A text is a
 * String, an integer a Number, a binary a Binary, a boolean a "String.boolean" of the text true or false.
 * Source: SQS SendMessage; the digest's form is that of the AWS SDKs, which compare it. */
#ifndef PROTO_MESSAGE_ATTRIBUTES_H
#define PROTO_MESSAGE_ATTRIBUTES_H

#include "proto/md5.h"
#include "proto/status.h"

#define MESSAGE_ATTRIBUTES_MAX 10

/* True for a name that the house uses itself. */
bool message_attribute_is_ours(bytes_t name);

/* For a map that attrs_check passed: at most 10 of the sender's own; names of A-Z a-z 0-9 _ - and single dots
 * within, not beginning with "AWS." or "Amazon."; no empty value. InvalidParameterValue names the one. */
MUST_USE bool message_attributes_check(bytes_t attrs, error_t *err);

/* InvalidMessageContents when the body is a text with characters that SQS refuses: only #x9 #xA #xD #x20-#xD7FF
 * #xE000-#xFFFD #x10000-#x10FFFF. Any other msgpack value passes. The body is well formed. */
MUST_USE bool message_body_check(bytes_t body, error_t *err);

typedef struct {
    char body[MD5_HEX_BYTES];              /* of a text or a binary its content, else of the msgpack value */
    char attributes[MD5_HEX_BYTES];        /* "" without any */
    char system_attributes[MD5_HEX_BYTES]; /* AWSTraceHeader; "" without */
} message_digests_t;

void message_digests(bytes_t body, bytes_t attrs, message_digests_t *out);

#endif
