/* map.c: open addressing with linear probing, at most half full. */
#include "services/embed-indexer/map.h"

#include <stdlib.h>
#include <string.h>

#include "kit/hash.h"

#define FIRST_PLACES 64
#define PLACES_MAX (UINT32_C(1) << 31)

void map_free(map_t *map)
{
    free(map->keys);
    free(map->values);
    *map = (map_t){0};
}

static uint32_t place_of(const map_t *map, uint64_t key)
{
    uint32_t at = (uint32_t)hash_mix(key, 0) & map->mask;
    while (map->values[at] != MAP_NONE && map->keys[at] != key)
        at = (at + 1) & map->mask;
    return at;
}

uint32_t map_get(const map_t *map, uint64_t key)
{
    return map->count ? map->values[place_of(map, key)] : MAP_NONE;
}

static bool grow(map_t *map)
{
    uint32_t places = map->keys ? (map->mask + 1) * 2 : FIRST_PLACES;
    if (map->keys && map->mask + 1 >= PLACES_MAX)
        return false;
    map_t bigger = {.keys = calloc(places, sizeof(uint64_t)),
                    .values = malloc(places * sizeof(uint32_t)),
                    .count = map->count,
                    .mask = places - 1};
    if (!bigger.keys || !bigger.values) {
        map_free(&bigger);
        return false;
    }
    memset(bigger.values, 0xFF, places * sizeof(uint32_t));
    for (uint32_t i = 0; map->keys && i <= map->mask; i++)
        if (map->values[i] != MAP_NONE) {
            uint32_t at = place_of(&bigger, map->keys[i]);
            bigger.keys[at] = map->keys[i];
            bigger.values[at] = map->values[i];
        }
    map_free(map);
    *map = bigger;
    return true;
}

bool map_add(map_t *map, uint64_t key, uint32_t value)
{
    if ((!map->keys || map->count >= map->mask / 2) && !grow(map))
        return false;
    uint32_t at = place_of(map, key);
    map->keys[at] = key;
    map->values[at] = value;
    map->count++;
    return true;
}
