/* decimal_powers.h: powers of ten in 128 bits, for exact conversion between decimal text and doubles.
 *
 * 10^k is (hi * 2^64 + lo) * 2^n for the n that puts hi's top bit in place. Rounded down for k >= 0 (exact up to
 * DECIMAL_POWER_EXACT_LAST), up for k < 0. */
#ifndef PROTO_DECIMAL_POWERS_H
#define PROTO_DECIMAL_POWERS_H

#include <stdint.h>

#define DECIMAL_POWER_FIRST (-342)
#define DECIMAL_POWER_LAST 324
#define DECIMAL_POWER_EXACT_LAST 55

typedef struct {
    uint64_t hi, lo;
} decimal_power_t;

extern const decimal_power_t decimal_powers[DECIMAL_POWER_LAST - DECIMAL_POWER_FIRST + 1];

static inline decimal_power_t decimal_power(int k)
{
    return decimal_powers[k - DECIMAL_POWER_FIRST];
}

#endif
