/* swr_cache.c: entries in a hash table and in the order of their use; links from each tag to its entries. */
#include "kit/swr_cache.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "kit/clock.h"
#include "kit/hash.h"

#define REFRESH_US INT64_C(5000000)
#define BUCKETS_MIN 16
#define BUCKETS_MAX ((size_t)1 << 20)

typedef struct entry entry_t;

/* "This entry has this tag": stands in the tag's bucket. */
typedef struct link {
    LIST_ENTRY(link) in_bucket;
    entry_t *entry;
    uint64_t hash;
    bytes_t tag; /* in the entry's own memory */
} link_t;
LIST_HEAD(links, link);

struct entry {
    LIST_ENTRY(entry) in_bucket;
    TAILQ_ENTRY(entry) in_use;
    uint64_t hash;
    bytes_t key, value;
    int64_t as_of_us;
    int64_t refresh_until_us; /* somebody is at it until then */
    size_t bytes;
    size_t link_count;
    link_t links[]; /* then the bytes of key, value and tags */
};
LIST_HEAD(entries, entry);
TAILQ_HEAD(uses, entry);

struct swr_cache {
    swr_options_t options;
    uint64_t seed;
    size_t bucket_count; /* power of two, for both tables */
    struct entries *entries;
    struct links *tags;
    struct uses uses; /* the least recently used first */
    swr_stats_t stats;
};

/* -- life ---------------------------------------------------------------------------------------- */
static bool is_options(const swr_options_t *o)
{
    return o->entries_max > 0 && o->bytes_max > 0 && o->fresh_us > 0 && o->stale_us >= o->fresh_us &&
           o->refresh_us >= 0;
}

static size_t buckets_for(size_t entries)
{
    size_t count = BUCKETS_MIN;
    while (count < entries && count < BUCKETS_MAX)
        count *= 2;
    return count;
}

swr_cache_t *swr_cache_new(const swr_options_t *options)
{
    swr_cache_t *self = is_options(options) ? calloc(1, sizeof *self) : NULL;
    if (!self)
        return NULL;
    self->options = *options;
    if (self->options.refresh_us == 0)
        self->options.refresh_us = REFRESH_US;
    self->bucket_count = buckets_for(options->entries_max);
    self->entries = calloc(self->bucket_count, sizeof *self->entries);
    self->tags = calloc(self->bucket_count, sizeof *self->tags);
    TAILQ_INIT(&self->uses);
    clock_random(&self->seed, sizeof self->seed);
    if (!self->entries || !self->tags)
        swr_cache_free(&self);
    return self;
}

static void entry_drop(swr_cache_t *self, entry_t *entry)
{
    for (size_t i = 0; i < entry->link_count; i++)
        LIST_REMOVE(&entry->links[i], in_bucket);
    LIST_REMOVE(entry, in_bucket);
    TAILQ_REMOVE(&self->uses, entry, in_use);
    self->stats.entries--;
    self->stats.bytes -= entry->bytes;
    free(entry);
}

void swr_cache_clear(swr_cache_t *self)
{
    for (entry_t *entry; (entry = TAILQ_FIRST(&self->uses)) != NULL;)
        entry_drop(self, entry);
}

void swr_cache_free(swr_cache_t **self)
{
    if (!*self)
        return;
    swr_cache_clear(*self);
    free((*self)->entries);
    free((*self)->tags);
    free(*self);
    *self = NULL;
}

/* -- looking up ---------------------------------------------------------------------------------- */
static size_t bucket_of(const swr_cache_t *self, uint64_t hash)
{
    return hash & (self->bucket_count - 1);
}

static entry_t *find(const swr_cache_t *self, bytes_t key, uint64_t hash)
{
    entry_t *entry = LIST_FIRST(&self->entries[bucket_of(self, hash)]);
    while (entry && (entry->hash != hash || !bytes_eq(entry->key, key)))
        entry = LIST_NEXT(entry, in_bucket);
    return entry;
}

static swr_found_t judge(swr_cache_t *self, entry_t *entry, int64_t now_us)
{
    if (now_us - entry->as_of_us < self->options.fresh_us) {
        self->stats.hits++;
        return SWR_FRESH;
    }
    self->stats.stale_hits++;
    if (now_us < entry->refresh_until_us)
        return SWR_STALE;
    entry->refresh_until_us = now_us + self->options.refresh_us;
    return SWR_STALE_REFRESH;
}

swr_found_t swr_cache_get(swr_cache_t *self, bytes_t key, int64_t now_us, bytes_t *value, int64_t *age_us)
{
    entry_t *entry = find(self, key, hash_bytes(key, self->seed));
    if (entry && now_us - entry->as_of_us >= self->options.stale_us) {
        entry_drop(self, entry);
        entry = NULL;
    }
    if (!entry) {
        self->stats.misses++;
        return SWR_MISS;
    }
    TAILQ_REMOVE(&self->uses, entry, in_use);
    TAILQ_INSERT_TAIL(&self->uses, entry, in_use);
    if (value)
        *value = entry->value;
    if (age_us)
        *age_us = now_us > entry->as_of_us ? now_us - entry->as_of_us : 0;
    return judge(self, entry, now_us);
}

/* -- keeping ------------------------------------------------------------------------------------- */
/* The size with everything in it; 0 when it does not fit the cache at all. */
static size_t size_of(const swr_cache_t *self, bytes_t key, bytes_t value, const bytes_t *tags, size_t tag_count)
{
    size_t max = self->options.bytes_max, size = sizeof(entry_t) + tag_count * sizeof(link_t);
    if (tag_count > SWR_TAGS_MAX || key.len > max || value.len > max)
        return 0;
    size += key.len + value.len;
    for (size_t i = 0; i < tag_count && size <= max; i++)
        size = tags[i].len > max ? max + 1 : size + tags[i].len;
    return size <= max ? size : 0;
}

static bytes_t copy_to(uint8_t **at, bytes_t from)
{
    bytes_t copy = bytes_from(*at, from.len);
    if (from.len)
        memcpy(*at, from.data, from.len);
    *at += from.len;
    return copy;
}

static void make_room(swr_cache_t *self, size_t size)
{
    while (self->stats.entries >= self->options.entries_max || self->stats.bytes + size > self->options.bytes_max) {
        entry_drop(self, TAILQ_FIRST(&self->uses));
        self->stats.evicted_for_room++;
    }
}

static void entry_link(swr_cache_t *self, entry_t *entry, size_t i, bytes_t tag)
{
    link_t *link = &entry->links[i];
    *link = (link_t){.entry = entry, .hash = hash_bytes(tag, self->seed), .tag = tag};
    LIST_INSERT_HEAD(&self->tags[bucket_of(self, link->hash)], link, in_bucket);
}

static void entry_insert(swr_cache_t *self, entry_t *entry)
{
    LIST_INSERT_HEAD(&self->entries[bucket_of(self, entry->hash)], entry, in_bucket);
    TAILQ_INSERT_TAIL(&self->uses, entry, in_use);
    self->stats.entries++;
    self->stats.bytes += entry->bytes;
}

bool swr_cache_put(swr_cache_t *self, bytes_t key, bytes_t value, const bytes_t *tags, size_t tag_count,
                   int64_t as_of_us)
{
    size_t size = size_of(self, key, value, tags, tag_count);
    entry_t *entry = size ? malloc(size) : NULL;
    uint64_t hash = hash_bytes(key, self->seed);
    if (entry) {
        *entry = (entry_t){.hash = hash, .as_of_us = as_of_us, .bytes = size, .link_count = tag_count};
        uint8_t *at = (uint8_t *)&entry->links[tag_count];
        entry->key = copy_to(&at, key); /* before the old entry goes: the caller may have had them from it */
        entry->value = copy_to(&at, value);
        for (size_t i = 0; i < tag_count; i++)
            entry_link(self, entry, i, copy_to(&at, tags[i]));
    }
    entry_t *old = find(self, entry ? entry->key : key, hash);
    if (old)
        entry_drop(self, old);
    if (!entry)
        return false;
    make_room(self, size);
    entry_insert(self, entry);
    return true;
}

/* -- evicting ------------------------------------------------------------------------------------ */
bool swr_cache_evict(swr_cache_t *self, bytes_t key)
{
    entry_t *entry = find(self, key, hash_bytes(key, self->seed));
    if (entry)
        entry_drop(self, entry);
    return entry != NULL;
}

static link_t *find_link(const swr_cache_t *self, bytes_t tag, uint64_t hash)
{
    link_t *link = LIST_FIRST(&self->tags[bucket_of(self, hash)]);
    while (link && (link->hash != hash || !bytes_eq(link->tag, tag)))
        link = LIST_NEXT(link, in_bucket);
    return link;
}

size_t swr_cache_evict_tag(swr_cache_t *self, bytes_t tag)
{
    uint64_t hash = hash_bytes(tag, self->seed);
    size_t count = 0;
    for (link_t *link; (link = find_link(self, tag, hash)) != NULL; count++)
        entry_drop(self, link->entry);
    self->stats.evicted_by_tag += count;
    return count;
}

const swr_stats_t *swr_cache_stats(const swr_cache_t *self)
{
    return &self->stats;
}
