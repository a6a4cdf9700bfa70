/* map.h: a table from 64-bit keys to 32-bit numbers, all in one piece of memory. Entries are never removed. */
#ifndef EMBED_INDEXER_MAP_H
#define EMBED_INDEXER_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/compiler.h"

#define MAP_NONE UINT32_MAX

typedef struct {
    uint64_t *keys;
    uint32_t *values; /* MAP_NONE: free */
    uint32_t count, mask;
} map_t;

/* A zeroed map_t is empty and usable. */
void map_free(map_t *map);
uint32_t map_get(const map_t *map, uint64_t key); /* MAP_NONE when absent */
/* `key` must be absent, `value` not MAP_NONE. False when out of memory, or full at 2^31 places. */
MUST_USE bool map_add(map_t *map, uint64_t key, uint32_t value);

#endif
