/* eventstream.h: application/vnd.amazon.eventstream, the frames in which AWS streams answers.
 *
 *     u32 total | u32 headers | u32 crc of these 8 bytes | headers | payload | u32 crc of all before
 *     header: u8 name length, name, u8 type, value
 *
 * big endian, CRC-32 as in IEEE 802.3. The decoder takes bytes as they come and yields whole messages; it
 * believes no length before the prelude's checksum has passed, and none beyond the bounds below. Its first
 * error is final: after a broken frame nothing can be trusted.
 *
 * Source: Smithy specification, "Amazon Event Stream"; bounds of headers and payload as botocore has them. */
#ifndef KIT_EVENTSTREAM_H
#define KIT_EVENTSTREAM_H

#include "proto/bytes.h"
#include "proto/status.h"

#define EVENTSTREAM_HEADERS_MAX 64
#define EVENTSTREAM_HEADERS_MAX_BYTES ((size_t)128 << 10)
#define EVENTSTREAM_PAYLOAD_MAX_BYTES ((size_t)24 << 20)
#define EVENTSTREAM_NAME_MAX_BYTES 255
#define EVENTSTREAM_VALUE_MAX_BYTES 32767
#define EVENTSTREAM_OVERHEAD_BYTES 16 /* of a message without headers and payload */

typedef enum {
    EVENTSTREAM_TRUE = 0,
    EVENTSTREAM_FALSE = 1,
    EVENTSTREAM_I8 = 2,
    EVENTSTREAM_I16 = 3,
    EVENTSTREAM_I32 = 4,
    EVENTSTREAM_I64 = 5,
    EVENTSTREAM_BYTES = 6,
    EVENTSTREAM_STR = 7,
    EVENTSTREAM_TIME = 8, /* i64: Unix milliseconds */
    EVENTSTREAM_UUID = 9, /* bytes: 16 */
} eventstream_type_t;

typedef struct {
    bytes_t name;
    eventstream_type_t type;
    int64_t i64;   /* I8 … I64, TIME */
    bytes_t bytes; /* BYTES, STR, UUID */
} eventstream_header_t;

#define EVENTSTREAM_TEXT(n, v)                                                                                         \
    ((eventstream_header_t){.name = bytes_cstr(n), .type = EVENTSTREAM_STR, .bytes = bytes_cstr(v)})

typedef struct {
    const eventstream_header_t *headers;
    size_t header_count;
    bytes_t payload;
} eventstream_message_t;

/* Appends one frame. False (INVALID_ARGUMENT), and nothing appended, for what is over a bound or has a header
 * twice; RESOURCE_EXHAUSTED when out of memory. */
MUST_USE bool eventstream_write(buf_t *out, const eventstream_message_t *message, error_t *err);

typedef struct {
    buf_t buf; /* what came and was not consumed */
    size_t at; /* start of the next frame in it */
    bool is_broken;
    error_t error;                                         /* why */
    eventstream_header_t headers[EVENTSTREAM_HEADERS_MAX]; /* of the message last yielded */
} eventstream_decoder_t;                                   /* zeroed: ready */

typedef enum {
    EVENTSTREAM_MORE,    /* no whole frame there: feed */
    EVENTSTREAM_MESSAGE, /* `out` holds one, valid until the next feed */
    EVENTSTREAM_BROKEN,  /* DATA_LOSS: a checksum, length or header is wrong */
} eventstream_next_t;

/* Copies a piece in. After an error, does nothing. */
void eventstream_feed(eventstream_decoder_t *decoder, bytes_t piece);
MUST_USE eventstream_next_t eventstream_next(eventstream_decoder_t *decoder, eventstream_message_t *out, error_t *err);
/* True between frames: a stream that ends elsewhere was cut. */
bool eventstream_is_between(const eventstream_decoder_t *decoder);
void eventstream_free(eventstream_decoder_t *decoder); /* leaves it empty and usable */

/* The text of a header of type STR; empty when there is none such. */
bytes_t eventstream_text(const eventstream_message_t *message, const char *name);

#endif
