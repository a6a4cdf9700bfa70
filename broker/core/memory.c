/* memory.c: allocation that ends the process rather than fail, and small tables on it. */
#include "broker/core/memory.h"

#include <stdlib.h>

#define TABLE_FIRST 8

void *memory_new(size_t count, size_t size)
{
    void *made = calloc(count, size);
    if (!made)
        abort();
    return made;
}

void *memory_grow(void *old, size_t count, size_t size)
{
    void *grown = reallocarray(old, count, size);
    if (!grown)
        abort();
    return grown;
}

char *memory_text(bytes_t text)
{
    char *copy = bytes_dup(text);
    if (!copy)
        abort();
    return copy;
}

void ids_add(ids_t *ids, uint32_t id)
{
    if (ids->count == ids->cap) {
        ids->cap = ids->cap ? ids->cap * 2 : TABLE_FIRST;
        ids->items = memory_grow(ids->items, ids->cap, sizeof *ids->items);
    }
    ids->items[ids->count++] = id;
}

bool ids_drop(ids_t *ids, uint32_t id)
{
    for (uint32_t i = 0; i < ids->count; i++) {
        if (ids->items[i] != id)
            continue;
        memmove(&ids->items[i], &ids->items[i + 1], (ids->count - i - 1) * sizeof *ids->items);
        ids->count--;
        return true;
    }
    return false;
}

void ids_free(ids_t *ids)
{
    free(ids->items);
    *ids = (ids_t){0};
}

uint32_t pool_add(pool_t *pool, void *item)
{
    pool->used++;
    if (pool->free.count) {
        uint32_t id = pool->free.items[--pool->free.count];
        pool->items[id] = item;
        return id;
    }
    if (pool->count + 1 >= pool->cap) {
        pool->cap = pool->cap ? pool->cap * 2 : TABLE_FIRST;
        pool->items = memory_grow(pool->items, pool->cap, sizeof *pool->items);
    }
    pool->items[++pool->count] = item;
    return pool->count;
}

void pool_drop(pool_t *pool, uint32_t id)
{
    pool->items[id] = NULL;
    pool->used--;
    ids_add(&pool->free, id);
}

void pool_put(pool_t *pool, uint32_t id, void *item)
{
    pool->items[id] = item;
}

void pool_free(pool_t *pool)
{
    free(pool->items);
    ids_free(&pool->free);
    *pool = (pool_t){0};
}

uint32_t pool_next(const pool_t *pool, uint32_t id)
{
    while (++id <= pool->count)
        if (pool->items[id])
            return id;
    return 0;
}
