/* random.h: a small generator for tests: one seed, always the same numbers (splitmix64, Steele et al. 2014). */
#ifndef TESTS_LIB_RANDOM_H
#define TESTS_LIB_RANDOM_H

#include <stdint.h>

typedef struct {
    uint64_t state; /* the seed */
} random_t;

static inline uint64_t random_u64(random_t *r)
{
    uint64_t z = (r->state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* 0 .. below - 1. */
static inline uint64_t random_below(random_t *r, uint64_t below)
{
    return random_u64(r) % below;
}

#endif
