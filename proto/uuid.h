/* uuid.h: UUIDv7 from a time and random bytes that the caller brings, and UUIDs to and from text.
 *
 * Source: RFC 9562 §5.7. No clock and no randomness here, so that the simulator owns both. */
#ifndef PROTO_UUID_H
#define PROTO_UUID_H

#include "proto/bytes.h"

#define UUID_TEXT_BYTES 37 /* 36 characters and NUL */
#define UUID_RANDOM_BYTES 10

typedef struct {
    uint8_t bytes[16];
} uuid16_t;

/* 48 bits of unix_ms (milliseconds since 1970), then 74 of the 80 random bits. UUIDs of different
 * milliseconds sort by time, as bytes and as text. */
uuid16_t uuid_v7(uint64_t unix_ms, const uint8_t random[UUID_RANDOM_BYTES]);

/* Lower case, with hyphens. */
void uuid_format(uuid16_t id, char out[UUID_TEXT_BYTES]);

/* Any version, either case, 8-4-4-4-12 with hyphens only. `out` may be NULL. */
MUST_USE bool uuid_parse(bytes_t text, uuid16_t *out);

/* The time in a version 7 UUID, milliseconds since 1970; false for any other version. */
MUST_USE bool uuid_time_ms(uuid16_t id, uint64_t *unix_ms);

#endif
