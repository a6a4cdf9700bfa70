/* dedup.h: deduplication keys seen within a window of time.
 *
 * Keys are kept whole, in one ring of entries and one of bytes, oldest first; what left the window is
 * forgotten when something is added. Pure. */
#ifndef BROKER_CORE_DEDUP_H
#define BROKER_CORE_DEDUP_H

#include "broker/core/map.h"

/* In one window; more are refused by whoever asks first. With the table, a full window takes at most 330 MB. */
#define DEDUP_KEYS_MAX 1000000u
#define DEDUP_BYTES_MAX ((size_t)256 << 20) /* of keys */

typedef struct {
    uint64_t record;
    int64_t at_us;
    uint64_t key_at; /* position since the beginning of time */
    uint32_t key_len, hash;
} dedup_entry_t;

typedef struct {
    dedup_entry_t *entries; /* ring, capacity a power of two */
    uint32_t first, count, cap;
    buf_t keys; /* bytes from `keys_from` on */
    uint64_t keys_from;
    map_t map; /* numbers are 1 + position in the ring */
} dedup_t;

/* The record that this key stands for, 0 when it is not known, or only from before `since_us`. */
uint64_t dedup_find(const dedup_t *dedup, bytes_t key, int64_t since_us);
/* Remembers a key that dedup_find did not find, and forgets what is older than since_us. */
void dedup_add(dedup_t *dedup, bytes_t key, uint64_t record, int64_t at_us, int64_t since_us);
/* Forgets what is older than since_us, so that `count` is what is remembered. */
void dedup_forget(dedup_t *dedup, int64_t since_us);
/* The key that is `nth` oldest (from 0, below `count`), with what it stands for. */
bytes_t dedup_nth(const dedup_t *dedup, uint32_t nth, uint64_t *record, int64_t *at_us);
/* True when the window holds all the keys that it may. */
bool dedup_is_full(const dedup_t *dedup);
void dedup_free(dedup_t *dedup);
/* The same for the same keys, records and times within the window. */
uint64_t dedup_digest(const dedup_t *dedup, int64_t since_us);

#endif
