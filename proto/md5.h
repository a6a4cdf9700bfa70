/* md5.h: MD5, for the sums that SQS puts beside messages. Source: RFC 1321.
 *
 * A check against damage and against mixed-up messages, never against an adversary. Pure, so that the broker's core may
 * use it; nothing is allocated. */
#ifndef PROTO_MD5_H
#define PROTO_MD5_H

#include "proto/bytes.h"

#define MD5_BYTES 16
#define MD5_HEX_BYTES 33 /* 32 lower-case digits and NUL */

typedef struct {
    uint32_t state[4];
    uint64_t length; /* bytes so far */
    uint8_t block[64];
} md5_t;

void md5_begin(md5_t *md5);
void md5_add(md5_t *md5, const void *data, size_t len);
void md5_end_hex(md5_t *md5, char out[MD5_HEX_BYTES]);

#endif
