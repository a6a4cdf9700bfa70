/* swr_cache.h: answers kept for a while, fresh at first, then stale: still good to give while a new one is fetched.
 *
 * Source: RFC 5861 (stale-while-revalidate, stale-if-error). An entry is FRESH until `fresh_us` old, then STALE until
 * `stale_us` old, then gone. Of those who find it stale, one is told to refresh it, and nobody else until that
 * took too long. Entries carry tags (an ISBN): what is learned about a tag evicts all that depends on it. Bounded in
 * entries and bytes; the one that was not used for the longest time goes first. What is given lives until the next
 * call that changes the cache. Not thread-safe, never blocks, reads no clock (`now_us` monotonic). */
#ifndef KIT_SWR_CACHE_H
#define KIT_SWR_CACHE_H

#include "proto/bytes.h"

#define SWR_TAGS_MAX 64 /* of one entry */

typedef struct swr_cache swr_cache_t;

typedef struct {
    size_t entries_max; /* > 0 */
    size_t bytes_max;   /* of keys, values, tags and bookkeeping; > 0 */
    int64_t fresh_us;   /* > 0 */
    int64_t stale_us;   /* >= fresh_us; age at which an entry is gone */
    int64_t refresh_us; /* patience with the one that refreshes; 0: 5 s */
} swr_options_t;

typedef enum { SWR_MISS, SWR_FRESH, SWR_STALE, SWR_STALE_REFRESH } swr_found_t;

typedef struct {
    size_t entries, bytes;
    uint64_t hits, stale_hits, misses, evicted_for_room, evicted_by_tag;
} swr_stats_t;

/* NULL for wrong options or out of memory. */
MUST_USE swr_cache_t *swr_cache_new(const swr_options_t *options);
void swr_cache_free(swr_cache_t **self);

/* *value and *age_us (either may be NULL) are set unless it is a MISS. SWR_STALE_REFRESH: stale, and the caller is
 * the one to fetch anew (and to put). */
swr_found_t swr_cache_get(swr_cache_t *self, bytes_t key, int64_t now_us, bytes_t *value, int64_t *age_us);

/* Replaces what was there. Key, value and tags are copied. `as_of_us`: when the value was true, usually now. False
 * when it is larger than the whole cache, has more than SWR_TAGS_MAX tags, or memory is out; what was there is then
 * gone as well. */
MUST_USE bool swr_cache_put(swr_cache_t *self, bytes_t key, bytes_t value, const bytes_t *tags, size_t tag_count,
                            int64_t as_of_us);

bool swr_cache_evict(swr_cache_t *self, bytes_t key);
size_t swr_cache_evict_tag(swr_cache_t *self, bytes_t tag); /* how many went */
void swr_cache_clear(swr_cache_t *self);
const swr_stats_t *swr_cache_stats(const swr_cache_t *self);

#endif
