/* memory.h: allocation inside the core, where running out ends the process.
 *
 * Admission refuses long before (core_limits_t); a step that has begun cannot be undone, and the journal
 * makes a process that ended in the middle of one whole again. */
#ifndef BROKER_CORE_MEMORY_H
#define BROKER_CORE_MEMORY_H

#include <stddef.h>

#include "proto/bytes.h"

/* Zeroed memory for `count` things of `size` bytes. Never NULL. */
void *memory_new(size_t count, size_t size);
/* As realloc; what is new is not zeroed. Never NULL. */
void *memory_grow(void *old, size_t count, size_t size);
/* A NUL-terminated copy. Never NULL. */
char *memory_text(bytes_t text);

/* A growable array of numbers, for lists that are small or short-lived. */
typedef struct {
    uint32_t *items;
    uint32_t count, cap;
} ids_t;

void ids_add(ids_t *ids, uint32_t id);
/* Takes out the first `id`, keeping the order; false when it is not in. */
bool ids_drop(ids_t *ids, uint32_t id);
void ids_free(ids_t *ids);

/* Things numbered from 1, each on its own; a number is used again after pool_drop. */
typedef struct {
    void **items; /* [0] is unused */
    uint32_t count, cap, used;
    ids_t free;
} pool_t;

uint32_t pool_add(pool_t *pool, void *item);
static inline void *pool_get(const pool_t *pool, uint32_t id) /* NULL when there is none */
{
    return id > 0 && id <= pool->count ? pool->items[id] : NULL;
}

void pool_drop(pool_t *pool, uint32_t id);
void pool_put(pool_t *pool, uint32_t id, void *item); /* instead of the one that has this number */
void pool_free(pool_t *pool);                         /* the table, not the things */

/* Every item of a pool: for (uint32_t id = pool_next(p, 0); id; id = pool_next(p, id)) */
uint32_t pool_next(const pool_t *pool, uint32_t id);

#endif
