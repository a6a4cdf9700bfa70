/* ip.h: IP addresses and address blocks as text.
 *
 * Four decimal numbers with dots (leading zeros are taken, as event-ruler takes them), or RFC 4291 §2.2 with `::`;
 * no zone, no port. A v4 address that is written into a v6 one is a v6 address. Blocks: RFC 4632, with host bits. */
#ifndef BROKER_RULES_IP_H
#define BROKER_RULES_IP_H

#include "proto/bytes.h"

#define IP_V4_BITS 32
#define IP_V6_BITS 128

typedef struct {
    uint8_t bytes[16]; /* the rest is zero */
    uint8_t bits;      /* IP_V4_BITS or IP_V6_BITS */
} ip_t;

MUST_USE bool ip_parse(bytes_t text, ip_t *out);

/* Sets to zero what is behind the first `prefix_bits`. */
void ip_mask(ip_t *ip, unsigned prefix_bits);

bool ip_eq(const ip_t *a, const ip_t *b);

#endif
