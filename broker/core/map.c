/* map.c: open addressing with linear probing and backward shift, so that no tombstones gather. */
#include "broker/core/map.h"

#include <stdlib.h>

#include "broker/core/memory.h"

#define MAP_FIRST_SLOTS 16u

uint32_t map_find(const map_t *map, uint32_t hash, map_is_fn is, const void *ctx, const void *key)
{
    if (!map->slots)
        return 0;
    for (uint32_t i = hash & map->mask; map->slots[i].value; i = (i + 1) & map->mask)
        if (map->slots[i].hash == hash && is(ctx, map->slots[i].value, key))
            return map->slots[i].value;
    return 0;
}

static void map_place(map_t *map, map_slot_t slot)
{
    uint32_t i = slot.hash & map->mask;
    while (map->slots[i].value)
        i = (i + 1) & map->mask;
    map->slots[i] = slot;
}

static void map_grow(map_t *map)
{
    map_t old = *map;
    uint32_t slots = old.slots ? (old.mask + 1) * 2 : MAP_FIRST_SLOTS;
    map->slots = memory_new(slots, sizeof *map->slots);
    map->mask = slots - 1;
    for (uint32_t i = 0; old.slots && i <= old.mask; i++)
        if (old.slots[i].value)
            map_place(map, old.slots[i]);
    free(old.slots);
}

void map_add(map_t *map, uint32_t hash, uint32_t value)
{
    if (!map->slots || (uint64_t)(map->count + 1) * 4 > (uint64_t)(map->mask + 1) * 3)
        map_grow(map);
    map_place(map, (map_slot_t){hash, value});
    map->count++;
}

/* Moves later entries of the probe sequence back, so that lookups never meet a hole before their entry. */
static void map_close_hole(map_t *map, uint32_t hole)
{
    for (uint32_t i = (hole + 1) & map->mask; map->slots[i].value; i = (i + 1) & map->mask) {
        uint32_t home = map->slots[i].hash & map->mask;
        if (((i - home) & map->mask) < ((i - hole) & map->mask))
            continue;
        map->slots[hole] = map->slots[i];
        hole = i;
    }
    map->slots[hole] = (map_slot_t){0};
}

void map_drop(map_t *map, uint32_t hash, uint32_t value)
{
    if (!map->slots)
        return;
    for (uint32_t i = hash & map->mask; map->slots[i].value; i = (i + 1) & map->mask) {
        if (map->slots[i].value != value)
            continue;
        map_close_hole(map, i);
        map->count--;
        return;
    }
}

void map_free(map_t *map)
{
    free(map->slots);
    *map = (map_t){0};
}

/* Finaliser of SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t map_mix(uint64_t a, uint64_t b)
{
    return mix(mix(a + UINT64_C(0x9e3779b97f4a7c15)) ^ b);
}

uint32_t map_hash_pair(uint64_t a, uint64_t b)
{
    return (uint32_t)map_mix(a, b);
}

uint32_t map_hash_bytes(bytes_t key)
{
    uint64_t hash = key.len;
    size_t at = 0;
    for (; at + 8 <= key.len; at += 8) {
        uint64_t word;
        memcpy(&word, key.data + at, 8);
        hash = map_mix(hash, word);
    }
    uint64_t rest = 0;
    if (at < key.len)
        memcpy(&rest, key.data + at, key.len - at);
    return (uint32_t)map_mix(hash, rest);
}
