/* dedup.c: a ring of keys with a map over it. */
#include "broker/core/dedup.h"

#include <stdlib.h>

#include "broker/core/memory.h"

#define DEDUP_FIRST 64u

static dedup_entry_t *entry_at(const dedup_t *dedup, uint32_t nth)
{
    return &dedup->entries[(dedup->first + nth) & (dedup->cap - 1)];
}

static bytes_t entry_key(const dedup_t *dedup, const dedup_entry_t *entry)
{
    return bytes_from(dedup->keys.data + (entry->key_at - dedup->keys_from), entry->key_len);
}

static bool entry_is(const void *ctx, uint32_t value, const void *key)
{
    const dedup_t *dedup = ctx;
    return bytes_eq(entry_key(dedup, &dedup->entries[value - 1]), *(const bytes_t *)key);
}

uint64_t dedup_find(const dedup_t *dedup, bytes_t key, int64_t since_us)
{
    uint32_t at = map_find(&dedup->map, map_hash_bytes(key), entry_is, dedup, &key);
    if (!at || dedup->entries[at - 1].at_us < since_us)
        return 0;
    return dedup->entries[at - 1].record;
}

static void forget_first(dedup_t *dedup)
{
    dedup_entry_t *entry = entry_at(dedup, 0);
    map_drop(&dedup->map, entry->hash, dedup->first + 1);
    dedup->first = (dedup->first + 1) & (dedup->cap - 1);
    dedup->count--;
}

/* Gives the bytes of forgotten keys back once they are more than half. */
static void keys_compact(dedup_t *dedup)
{
    uint64_t from = dedup->count ? entry_at(dedup, 0)->key_at : dedup->keys_from + dedup->keys.len;
    size_t dead = (size_t)(from - dedup->keys_from);
    if (dead == 0 || dead * 2 < dedup->keys.len)
        return;
    if (dedup->keys.len > dead)
        memmove(dedup->keys.data, dedup->keys.data + dead, dedup->keys.len - dead);
    dedup->keys.len -= dead;
    dedup->keys_from = from;
}

static void ring_grow(dedup_t *dedup)
{
    uint32_t cap = dedup->cap ? dedup->cap * 2 : DEDUP_FIRST;
    dedup_entry_t *grown = memory_new(cap, sizeof *grown);
    map_free(&dedup->map);
    for (uint32_t i = 0; i < dedup->count; i++) {
        grown[i] = *entry_at(dedup, i);
        map_add(&dedup->map, grown[i].hash, i + 1);
    }
    free(dedup->entries);
    dedup->entries = grown;
    dedup->first = 0;
    dedup->cap = cap;
}

void dedup_forget(dedup_t *dedup, int64_t since_us)
{
    while (dedup->count && entry_at(dedup, 0)->at_us < since_us)
        forget_first(dedup);
    keys_compact(dedup);
}

void dedup_add(dedup_t *dedup, bytes_t key, uint64_t record, int64_t at_us, int64_t since_us)
{
    dedup_forget(dedup, since_us);
    if (dedup->count == dedup->cap)
        ring_grow(dedup);
    uint32_t at = (dedup->first + dedup->count++) & (dedup->cap - 1);
    dedup->entries[at] = (dedup_entry_t){
        .record = record,
        .at_us = at_us,
        .key_at = dedup->keys_from + dedup->keys.len,
        .key_len = (uint32_t)key.len,
        .hash = map_hash_bytes(key),
    };
    buf_append_bytes(&dedup->keys, key);
    if (dedup->keys.failed)
        abort();
    map_add(&dedup->map, dedup->entries[at].hash, at + 1);
}

bytes_t dedup_nth(const dedup_t *dedup, uint32_t nth, uint64_t *record, int64_t *at_us)
{
    const dedup_entry_t *entry = entry_at(dedup, nth);
    *record = entry->record;
    *at_us = entry->at_us;
    return entry_key(dedup, entry);
}

bool dedup_is_full(const dedup_t *dedup)
{
    return dedup->count >= DEDUP_KEYS_MAX || dedup->keys.len >= DEDUP_BYTES_MAX;
}

void dedup_free(dedup_t *dedup)
{
    free(dedup->entries);
    buf_free(&dedup->keys);
    map_free(&dedup->map);
    *dedup = (dedup_t){0};
}

uint64_t dedup_digest(const dedup_t *dedup, int64_t since_us)
{
    uint64_t digest = 0;
    for (uint32_t i = 0; i < dedup->count; i++) {
        const dedup_entry_t *entry = entry_at(dedup, i);
        if (entry->at_us >= since_us)
            digest += map_mix(map_mix(entry->hash, entry->record), (uint64_t)entry->at_us);
    }
    return digest;
}
