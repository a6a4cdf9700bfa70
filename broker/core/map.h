/* map.h: finds a number by a key that the numbered thing itself holds.
 *
 * Open addressing over 8-byte slots {hash, number}: the map stores no keys, the caller compares. Numbers
 * begin at 1. Lookups are O(1); adding to a table that is four fifths full makes it half as large again. Slots are in
 * pages of one size (the last is shorter), so that those of a table that grew serve the next that grows.
 *
 * A wide map is one for millions: parts by hash, each a map that grows on its own and at another time than the others,
 * so that no addition moves more than a small share of the entries, and 8 / 0.66 = 12 bytes are held for each. */
#ifndef BROKER_CORE_MAP_H
#define BROKER_CORE_MAP_H

#include "proto/bytes.h"

typedef struct {
    uint32_t hash;
    uint32_t value; /* 0: empty */
} map_slot_t;

typedef struct {
    map_slot_t **pages;
    uint32_t size; /* slots; 0 while there are none */
    uint32_t count;
} map_t;

#define WIDE_MAP_PARTS 1024u

typedef struct {
    map_t parts[WIDE_MAP_PARTS];
    uint32_t count;
} wide_map_t;

/* True when the thing numbered `value` has this key. */
typedef bool (*map_is_fn)(const void *ctx, uint32_t value, const void *key);

/* 0 when there is none. */
uint32_t map_find(const map_t *map, uint32_t hash, map_is_fn is, const void *ctx, const void *key);
/* The key must not be in. */
void map_add(map_t *map, uint32_t hash, uint32_t value);
/* Takes out the entry with this hash and number; nothing happens when it is not in. */
void map_drop(map_t *map, uint32_t hash, uint32_t value);
void map_free(map_t *map);

/* The same of a wide map; `hash` is one of wide_map_hash. */
uint32_t wide_map_find(const wide_map_t *map, uint32_t hash, map_is_fn is, const void *ctx, const void *key);
void wide_map_add(wide_map_t *map, uint32_t hash, uint32_t value);
void wide_map_drop(wide_map_t *map, uint32_t hash, uint32_t value);
void wide_map_free(wide_map_t *map);
/* Of the key (a, b): neighbours by `b` are in one part, spread evenly over it, so that what is added or looked for in a
 * row finds the part at hand. */
uint32_t wide_map_hash(uint64_t a, uint64_t b);
/* Tells the processor that an entry with this hash is about to be looked for or added: among millions it is far away.
 */
void wide_map_expect(const wide_map_t *map, uint32_t hash);

uint32_t map_hash_bytes(bytes_t key);
uint32_t map_hash_pair(uint64_t a, uint64_t b);
/* Full 64 bits of mixing, for digests and receipts. */
uint64_t map_mix(uint64_t a, uint64_t b);

#endif
