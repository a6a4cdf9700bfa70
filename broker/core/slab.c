/* slab.c: chunks, and a list of free things through the things themselves. */
#include "broker/core/slab.h"

#include <stdlib.h>

#include "broker/core/memory.h"

void slab_init(slab_t *slab, size_t item_bytes)
{
    *slab = (slab_t){.item_bytes = item_bytes};
}

void slab_free(slab_t *slab)
{
    for (uint32_t i = 0; i < slab->chunk_count; i++)
        free(slab->chunks[i]);
    free(slab->chunks);
    slab_init(slab, slab->item_bytes);
}

uint32_t slab_take(slab_t *slab)
{
    slab->used++;
    uint32_t id = slab->free;
    if (id) {
        memcpy(&slab->free, slab_at(slab, id), sizeof slab->free);
        return id;
    }
    id = ++slab->made;
    if (id >> SLAB_CHUNK_BITS >= slab->chunk_count) {
        slab->chunks = memory_grow(slab->chunks, slab->chunk_count + 1, sizeof *slab->chunks);
        slab->chunks[slab->chunk_count++] = memory_new(1u << SLAB_CHUNK_BITS, slab->item_bytes);
    }
    return id;
}

void slab_give(slab_t *slab, uint32_t id)
{
    memcpy(slab_at(slab, id), &slab->free, sizeof slab->free);
    slab->free = id;
    slab->used--;
}
