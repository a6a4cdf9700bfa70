/* map.c: open addressing with linear probing and backward shift, so that no tombstones gather. */
#include "broker/core/map.h"

#include <stdlib.h>

#include "broker/core/memory.h"

#define MAP_FIRST_SLOTS 16u
#define MAP_PAGE_BITS 8u
#define MAP_PAGE_SLOTS (1u << MAP_PAGE_BITS)
#define WIDE_MAP_NEIGHBOURS 64u

/* Slots in the order of hashes: entries move to a larger table in the order they have. The low bits are left for
 * the parts of a wide map. */
static uint32_t map_home(const map_t *map, uint32_t hash)
{
    return (uint32_t)(((uint64_t)hash * map->size) >> 32);
}

static map_slot_t *map_slot(const map_t *map, uint32_t slot)
{
    return &map->pages[slot >> MAP_PAGE_BITS][slot & (MAP_PAGE_SLOTS - 1)];
}

static uint32_t map_after(const map_t *map, uint32_t slot)
{
    return slot + 1 < map->size ? slot + 1 : 0;
}

uint32_t map_find(const map_t *map, uint32_t hash, map_is_fn is, const void *ctx, const void *key)
{
    if (!map->size)
        return 0;
    for (uint32_t i = map_home(map, hash); map_slot(map, i)->value; i = map_after(map, i))
        if (map_slot(map, i)->hash == hash && is(ctx, map_slot(map, i)->value, key))
            return map_slot(map, i)->value;
    return 0;
}

static void map_place(map_t *map, map_slot_t slot)
{
    uint32_t i = map_home(map, slot.hash);
    while (map_slot(map, i)->value)
        i = map_after(map, i);
    *map_slot(map, i) = slot;
}

static uint32_t map_page_count(const map_t *map)
{
    return (map->size + MAP_PAGE_SLOTS - 1) / MAP_PAGE_SLOTS;
}

static void map_allocate(map_t *map, uint32_t size)
{
    map->size = size;
    map->pages = memory_new(map_page_count(map), sizeof *map->pages);
    for (uint32_t i = 0; i < map_page_count(map); i++) {
        uint32_t left = size - i * MAP_PAGE_SLOTS;
        map->pages[i] = memory_new(left < MAP_PAGE_SLOTS ? left : MAP_PAGE_SLOTS, sizeof **map->pages);
    }
}

static void map_release(map_t *map)
{
    for (uint32_t i = 0; i < map_page_count(map); i++)
        free(map->pages[i]);
    free(map->pages);
}

static void map_resize(map_t *map, uint32_t size)
{
    map_t old = *map;
    map_allocate(map, size);
    for (uint32_t i = 0; i < old.size; i++)
        if (map_slot(&old, i)->value)
            map_place(map, *map_slot(&old, i));
    map_release(&old);
}

void map_add(map_t *map, uint32_t hash, uint32_t value)
{
    if ((uint64_t)(map->count + 1) * 5 > (uint64_t)map->size * 4)
        map_resize(map, map->size ? map->size + map->size / 2 : MAP_FIRST_SLOTS);
    map_place(map, (map_slot_t){hash, value});
    map->count++;
}

/* How far a slot is behind another one, around the end. */
static uint32_t map_way(const map_t *map, uint32_t from, uint32_t to)
{
    return to >= from ? to - from : to + map->size - from;
}

/* Moves later entries of the probe sequence back, so that lookups never meet a hole before their entry. */
static void map_close_hole(map_t *map, uint32_t hole)
{
    for (uint32_t i = map_after(map, hole); map_slot(map, i)->value; i = map_after(map, i)) {
        if (map_way(map, map_home(map, map_slot(map, i)->hash), i) < map_way(map, hole, i))
            continue;
        *map_slot(map, hole) = *map_slot(map, i);
        hole = i;
    }
    *map_slot(map, hole) = (map_slot_t){0};
}

void map_drop(map_t *map, uint32_t hash, uint32_t value)
{
    if (!map->size)
        return;
    for (uint32_t i = map_home(map, hash); map_slot(map, i)->value; i = map_after(map, i)) {
        if (map_slot(map, i)->value != value)
            continue;
        map_close_hole(map, i);
        map->count--;
        return;
    }
}

void map_free(map_t *map)
{
    map_release(map);
    *map = (map_t){0};
}

/* -- wide maps --------------------------------------------------------------------------------------- */
static uint32_t part_of(uint32_t hash)
{
    return hash % WIDE_MAP_PARTS;
}

/* The high bits say where in its part (map_home): multiples of the golden ratio keep their distance (Knuth, 6.4). */
uint32_t wide_map_hash(uint64_t a, uint64_t b)
{
    uint32_t first = map_hash_pair(a, b / WIDE_MAP_NEIGHBOURS);
    uint32_t own = first + (uint32_t)(b % WIDE_MAP_NEIGHBOURS) * UINT32_C(0x9e3779b1);
    return own - part_of(own) + part_of(first);
}

uint32_t wide_map_find(const wide_map_t *map, uint32_t hash, map_is_fn is, const void *ctx, const void *key)
{
    return map_find(&map->parts[part_of(hash)], hash, is, ctx, key);
}

/* First sizes from one to one and a half times the same: the parts' growths are spread evenly from then on. */
void wide_map_add(wide_map_t *map, uint32_t hash, uint32_t value)
{
    uint32_t at = part_of(hash);
    map_t *part = &map->parts[at];
    if (!part->size)
        map_resize(part, MAP_FIRST_SLOTS + MAP_FIRST_SLOTS / 2 * at / WIDE_MAP_PARTS);
    map_add(part, hash, value);
    map->count++;
}

void wide_map_drop(wide_map_t *map, uint32_t hash, uint32_t value)
{
    map_t *part = &map->parts[part_of(hash)];
    map->count -= part->count;
    map_drop(part, hash, value);
    map->count += part->count;
}

void wide_map_expect(const wide_map_t *map, uint32_t hash)
{
    const map_t *part = &map->parts[part_of(hash)];
    if (part->size)
        __builtin_prefetch(map_slot(part, map_home(part, hash)), 1);
}

void wide_map_free(wide_map_t *map)
{
    for (uint32_t i = 0; i < WIDE_MAP_PARTS; i++)
        map_free(&map->parts[i]);
    map->count = 0;
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
