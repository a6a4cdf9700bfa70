/* envelope.h: the event as it travels: a msgpack map with EventBridge's own keys.
 *
 *     version id detail-type source account time region resources detail
 *
 * Nobody between publisher and consumer changes its bytes; what is said about it on the way (trace context,
 * deduplication key, replay-name) stands in the attribute map beside it (attrs.h). Unknown keys are ignored
 * here and kept by whoever forwards.
 *
 * Source: EventBridge's "Event structure" and the PutEvents reference for names, limits and the size
 * formula; 1 MiB as since January 2026. */
#ifndef PROTO_ENVELOPE_H
#define PROTO_ENVELOPE_H

#include "proto/bytes.h"
#include "proto/status.h"

#define ENVELOPE_MAX_BYTES ((size_t)1 << 20) /* by envelope_size_bytes */
/* What envelope_read looks at at all: the above, its msgpack headers, and keys that are not ours. */
#define ENVELOPE_ENCODED_MAX_BYTES (ENVELOPE_MAX_BYTES + ((size_t)64 << 10))
#define ENVELOPE_ID_MAX_BYTES 64 /* a UUID has 36; ids from elsewhere are kept as they are */
#define ENVELOPE_SOURCE_MAX_BYTES 256
#define ENVELOPE_DETAIL_TYPE_MAX_BYTES 128
#define ENVELOPE_ACCOUNT_MAX_BYTES 12
#define ENVELOPE_REGION_MAX_BYTES 64
#define ENVELOPE_TIME_MAX_BYTES 40
#define ENVELOPE_RESOURCES_MAX 100
#define ENVELOPE_RESOURCE_MAX_BYTES 2048
#define ENVELOPE_TIME_SIZE_BYTES 14 /* what a time counts in AWS's formula */

#define ENVELOPE_VERSION "0"
#define ENVELOPE_LOCAL_ACCOUNT "000000000000" /* of events born here */
#define ENVELOPE_LOCAL_REGION "local"
#define ENVELOPE_LOCAL_ARN(service) "arn:aws:" service ":" ENVELOPE_LOCAL_REGION ":" ENVELOPE_LOCAL_ACCOUNT ":"

/* The keys, in the order above. */
typedef enum {
    ENVELOPE_KEY_VERSION,
    ENVELOPE_KEY_ID,
    ENVELOPE_KEY_DETAIL_TYPE,
    ENVELOPE_KEY_SOURCE,
    ENVELOPE_KEY_ACCOUNT,
    ENVELOPE_KEY_TIME,
    ENVELOPE_KEY_REGION,
    ENVELOPE_KEY_RESOURCES, /* up to here texts, from here on whole msgpack values */
    ENVELOPE_KEY_DETAIL,
    ENVELOPE_KEYS,
} envelope_key_t;

/* Slices into whatever was read, or into what the writer brings. */
typedef struct {
    bytes_t version; /* "0" */
    bytes_t id;
    bytes_t detail_type;
    bytes_t source;
    bytes_t account;
    bytes_t time; /* RFC 3339 */
    bytes_t region;
    bytes_t resources; /* one msgpack array of strings; empty slice: none */
    bytes_t detail;    /* one msgpack map */
    int64_t time_us;   /* `time` as Unix microseconds; filled by envelope_read, ignored by envelope_write */
    /* Filled by envelope_read, ignored by envelope_write: */
    unsigned seen;      /* bit by envelope_key_t: the key is there */
    bool has_more_keys; /* others than ours */
} envelope_t;

const char *envelope_key_name(envelope_key_t key);
bytes_t envelope_member(const envelope_t *e, envelope_key_t key);

/* Reads in place, allocates nothing, believes no length. Refuses (INVALID_ARGUMENT, the key named) what is
 * no map, lacks a key (version, account, region and resources may be absent and then are "0", "", "", none),
 * has one twice or of the wrong type, is over a limit, is not UTF-8 in a text, has a detail that is no map
 * or is not well formed, or has bytes behind the map. */
MUST_USE bool envelope_read(bytes_t input, envelope_t *out, error_t *err);

/* Appends the map: all nine keys, in the order above. Empty version, account and region are written as
 * ENVELOPE_VERSION, _LOCAL_ACCOUNT and _LOCAL_REGION. False, with nothing appended, for what envelope_read
 * would refuse. */
MUST_USE bool envelope_write(buf_t *out, const envelope_t *e, error_t *err);

/* AWS's size: 14 for the time, and the UTF-8 bytes of source, detail-type, detail and each resource.
 * `detail_bytes` is the detail's length: e->detail.len inside the house, its JSON's at the bridge. */
size_t envelope_size_bytes(const envelope_t *e, size_t detail_bytes);

/* The next resource: *at starts at 0 and is the caller's cursor. False at the end. */
MUST_USE bool envelope_next_resource(const envelope_t *e, size_t *at, bytes_t *out);

#endif
