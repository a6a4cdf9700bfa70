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

/* An address as two numbers: the first eight bytes, and the others. */
typedef struct {
    uint64_t high, low;
} ip_words_t;

static inline ip_words_t ip_words(const ip_t *ip)
{
    ip_words_t words = {0};
    for (unsigned i = 0; i < 8; i++) {
        words.high = words.high << 8 | ip->bytes[i];
        words.low = words.low << 8 | ip->bytes[i + 8];
    }
    return words;
}

/* With zeros behind the first `prefix_bits`. */
static inline ip_words_t ip_words_masked(ip_words_t words, unsigned prefix_bits)
{
    if (prefix_bits < 64)
        return (ip_words_t){prefix_bits ? words.high >> (64 - prefix_bits) << (64 - prefix_bits) : 0, 0};
    words.low = prefix_bits == 64 ? 0 : words.low >> (IP_V6_BITS - prefix_bits) << (IP_V6_BITS - prefix_bits);
    return words;
}

static inline void ip_set_words(ip_t *ip, ip_words_t words)
{
    for (unsigned i = 8; i-- > 0; words.high >>= 8, words.low >>= 8) {
        ip->bytes[i] = (uint8_t)words.high;
        ip->bytes[i + 8] = (uint8_t)words.low;
    }
}

/* Sets to zero what is behind the first `prefix_bits`. */
void ip_mask(ip_t *ip, unsigned prefix_bits);

bool ip_eq(const ip_t *a, const ip_t *b);

#endif
