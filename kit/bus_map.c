/* bus_map.c: numbers to entries, and the list of what is asked and not yet answered. */
#include <stdlib.h>

#include "kit/bus_internal.h"

#define FIRST_CAP 64
#define GOLDEN UINT64_C(0x9E3779B97F4A7C15) /* Fibonacci hashing: Knuth, TAOCP 3, §6.4 */

static size_t slot(const bus_map_t *map, uint64_t key)
{
    uint64_t mixed = key * GOLDEN;
    return (size_t)(mixed >> 32) & (map->cap - 1);
}

bool bus_map_init(bus_map_t *map)
{
    *map = (bus_map_t){.buckets = calloc(FIRST_CAP, sizeof(bus_node_t *)), .cap = FIRST_CAP};
    return map->buckets != NULL;
}

void bus_map_free(bus_map_t *map)
{
    free(map->buckets);
    *map = (bus_map_t){0};
}

/* Without memory the map stays as it is: longer chains, the same answers. */
static void grow(bus_map_t *map)
{
    bus_map_t wide = {.buckets = calloc(map->cap * 2, sizeof(bus_node_t *)), .cap = map->cap * 2};
    if (!wide.buckets)
        return;
    for (size_t i = 0; i < map->cap; i++)
        for (bus_node_t *node = map->buckets[i], *next; node; node = next) {
            next = node->next;
            bus_map_put(&wide, node, node->key);
        }
    free(map->buckets);
    *map = wide;
}

void bus_map_put(bus_map_t *map, bus_node_t *node, uint64_t key)
{
    if (map->count >= map->cap)
        grow(map);
    size_t at = slot(map, key);
    node->key = key;
    node->next = map->buckets[at];
    map->buckets[at] = node;
    map->count++;
}

static bus_node_t *same_key(bus_node_t *node, uint64_t key)
{
    while (node && node->key != key)
        node = node->next;
    return node;
}

bus_node_t *bus_map_first(const bus_map_t *map, uint64_t key)
{
    return same_key(map->buckets[slot(map, key)], key);
}

bus_node_t *bus_map_next(const bus_node_t *node)
{
    return same_key(node->next, node->key);
}

void bus_map_remove(bus_map_t *map, bus_node_t *node)
{
    bus_node_t **at = &map->buckets[slot(map, node->key)];
    while (*at && *at != node)
        at = &(*at)->next;
    if (!*at)
        return;
    *at = node->next;
    map->count--;
}

bytes_t bus_copy(uint8_t **at, bytes_t from)
{
    if (from.len == 0)
        return BYTES_NONE;
    memcpy(*at, from.data, from.len);
    bytes_t copy = bytes_from(*at, from.len);
    *at += from.len;
    return copy;
}

/* -- asks ------------------------------------------------------------------------------------------ */
bus_ask_t *bus_ask_new(bus_t *bus, wire_verb_t verb)
{
    bus_ask_t *ask = calloc(1, sizeof *ask);
    if (!ask)
        return NULL;
    ask->verb = verb;
    TAILQ_INIT(&ask->items);
    TAILQ_INIT(&ask->settles);
    bus_map_put(&bus->asks_by_seq, &ask->node, ++bus->seq);
    TAILQ_INSERT_TAIL(&bus->asks, ask, link);
    return ask;
}

bus_ask_t *bus_ask_find(bus_t *bus, uint64_t seq)
{
    return (bus_ask_t *)bus_map_first(&bus->asks_by_seq, seq);
}

void bus_ask_free(bus_t *bus, bus_ask_t *ask)
{
    bus_map_remove(&bus->asks_by_seq, &ask->node);
    TAILQ_REMOVE(&bus->asks, ask, link);
    free(ask);
}
