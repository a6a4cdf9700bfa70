/* hash.h: hashes of texts, eight bytes a step; those of all beginnings, or of all ends, of a text come from one pass.
 *
 * For hash tables whose keys come from the topology: spreads well, resists no attack. */
#ifndef BROKER_RULES_HASH_H
#define BROKER_RULES_HASH_H

#include "proto/bytes.h"

#define HASH_FACTOR UINT64_C(0x9fb21c651e98df25)

static inline uint64_t hash_mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * HASH_FACTOR;
    return hash ^ hash >> 29;
}

/* Fewer than eight bytes as one word. */
static inline uint64_t hash_part(const uint8_t *p, size_t len)
{
    if (len >= 4)
        return bytes_load32(p) | (uint64_t)bytes_load32(p + len - 4) << 8 * (len - 4);
    if (len == 0)
        return 0;
    return p[0] | (uint64_t)p[len / 2] << 8 * (len / 2) | (uint64_t)p[len - 1] << 8 * (len - 1);
}

/* The first eight bytes, or all there are. */
static inline uint64_t hash_head(bytes_t text)
{
    return text.len >= 8 ? bytes_load64(text.data) : hash_part(text.data, text.len);
}

typedef struct {
    uint64_t hash;
    size_t at; /* bytes in it */
} hash_run_t;

/* Of the first `len` bytes, no fewer than those before. */
static inline uint64_t hash_front(hash_run_t *run, bytes_t text, size_t len)
{
    if (len == 0)
        return 0;
    for (; run->at + 8 <= len; run->at += 8)
        run->hash = hash_mix(run->hash, bytes_load64(text.data + run->at));
    return hash_mix(run->hash + len, hash_part(text.data + run->at, len - run->at));
}

/* Of the last `len` bytes, no fewer than those before. */
static inline uint64_t hash_back(hash_run_t *run, bytes_t text, size_t len)
{
    if (len == 0)
        return 0;
    const uint8_t *end = text.data + text.len;
    for (; run->at + 8 <= len; run->at += 8)
        run->hash = hash_mix(run->hash, bytes_load64(end - run->at - 8));
    return hash_mix(run->hash + len, hash_part(end - len, len - run->at));
}

static inline uint64_t hash_text(bytes_t text)
{
    hash_run_t run = {0};
    return hash_front(&run, text, text.len);
}

#endif
