/* hash.h: a 64-bit hash of bytes for tables in memory. With a random seed nobody outside can aim at one bucket. */
#ifndef KIT_HASH_H
#define KIT_HASH_H

#include "proto/bytes.h"

/* Spreads every bit of a over all of the result: two multiplications' worth of mixing (folded 128-bit product). */
static inline uint64_t hash_mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product =
        (unsigned __int128)(a ^ UINT64_C(0x9E3779B97F4A7C15)) * (b ^ UINT64_C(0xD1B54A32D192ED03));
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t hash_bytes(bytes_t s, uint64_t seed)
{
    uint64_t hash = hash_mix(seed, s.len), word;
    size_t i = 0;
    for (; s.len - i >= sizeof word; i += sizeof word) {
        memcpy(&word, s.data + i, sizeof word);
        hash = hash_mix(hash, word);
    }
    word = 0;
    if (s.len > i)
        memcpy(&word, s.data + i, s.len - i);
    return hash_mix(hash, word ^ seed);
}

#endif
