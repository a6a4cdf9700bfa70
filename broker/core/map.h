/* map.h: finds a number by a key that the numbered thing itself holds.
 *
 * Open addressing over 8-byte slots {hash, number}: the map stores no keys, the caller compares. Numbers
 * begin at 1. Lookups are O(1); adding doubles the table when it is three quarters full. */
#ifndef BROKER_CORE_MAP_H
#define BROKER_CORE_MAP_H

#include "proto/bytes.h"

typedef struct {
    uint32_t hash;
    uint32_t value; /* 0: empty */
} map_slot_t;

typedef struct {
    map_slot_t *slots;
    uint32_t mask; /* slots - 1; 0 while there are none */
    uint32_t count;
} map_t;

/* True when the thing numbered `value` has this key. */
typedef bool (*map_is_fn)(const void *ctx, uint32_t value, const void *key);

/* 0 when there is none. */
uint32_t map_find(const map_t *map, uint32_t hash, map_is_fn is, const void *ctx, const void *key);
/* The key must not be in. */
void map_add(map_t *map, uint32_t hash, uint32_t value);
/* Takes out the entry with this hash and number; nothing happens when it is not in. */
void map_drop(map_t *map, uint32_t hash, uint32_t value);
void map_free(map_t *map);

uint32_t map_hash_bytes(bytes_t key);
uint32_t map_hash_pair(uint64_t a, uint64_t b);
/* Full 64 bits of mixing, for digests and receipts. */
uint64_t map_mix(uint64_t a, uint64_t b);

#endif
