/* slab.h: many things of one size, numbered from 1, in chunks that never move: a few bytes for each, no slack.
 *
 * Things lie in the order of their numbers, so that what came together is read together. One given back keeps all
 * but its first 4 bytes, and the newest given back is taken first. Memory is never returned before slab_free. */
#ifndef BROKER_CORE_SLAB_H
#define BROKER_CORE_SLAB_H

#include <stddef.h>
#include <stdint.h>

#define SLAB_CHUNK_BITS 12u

typedef struct {
    char **chunks;
    size_t item_bytes;
    uint32_t chunk_count;
    uint32_t made, used; /* numbers given out ever; in use */
    uint32_t free;       /* the first; each names the next */
} slab_t;

void slab_init(slab_t *slab, size_t item_bytes);
void slab_free(slab_t *slab);
/* The number of a thing; new ones are zeroed, others are as they were given back. */
uint32_t slab_take(slab_t *slab);
void slab_give(slab_t *slab, uint32_t id);

/* Of a number that was made. */
static inline void *slab_at(const slab_t *slab, uint32_t id)
{
    return slab->chunks[id >> SLAB_CHUNK_BITS] + (id & ((1u << SLAB_CHUNK_BITS) - 1)) * slab->item_bytes;
}

#endif
