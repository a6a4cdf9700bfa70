/* arena.c: blocks on a list, the newest filled from its start. */
#include "proto/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct arena_block {
    arena_block_t *next;
    size_t used;
    size_t cap;
    max_align_t data[];
};

void arena_init(arena_t *a, size_t max_bytes)
{
    *a = (arena_t){.max_bytes = max_bytes ? max_bytes : ARENA_DEFAULT_MAX_BYTES};
}

static size_t aligned(size_t size)
{
    size_t unit = _Alignof(max_align_t);
    return (size + unit - 1) / unit * unit;
}

static arena_block_t *block_add(arena_t *a, size_t room)
{
    size_t total = sizeof(arena_block_t) + room;
    if (total < ARENA_BLOCK_BYTES)
        total = ARENA_BLOCK_BYTES;
    /* Near the ceiling a block may be smaller than usual, but never smaller than asked. */
    size_t left = a->max_bytes - a->used_bytes;
    if (total > left)
        total = sizeof(arena_block_t) + room;
    if (total > left)
        return NULL;
    arena_block_t *block = malloc(total);
    if (!block)
        return NULL;
    *block = (arena_block_t){.next = a->blocks, .cap = total - sizeof(arena_block_t)};
    a->blocks = block;
    a->used_bytes += total;
    return block;
}

void *arena_alloc(arena_t *a, size_t size)
{
    if (size > a->max_bytes)
        return NULL;
    size = aligned(size ? size : 1);
    arena_block_t *block = a->blocks;
    if (!block || block->cap - block->used < size)
        block = block_add(a, size);
    if (!block)
        return NULL;
    void *p = (uint8_t *)block->data + block->used;
    block->used += size;
    return memset(p, 0, size);
}

void *arena_array(arena_t *a, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    return arena_alloc(a, total);
}

static void free_behind(arena_t *a, arena_block_t *block)
{
    while (block) {
        arena_block_t *next = block->next;
        a->used_bytes -= sizeof(arena_block_t) + block->cap;
        free(block);
        block = next;
    }
}

void arena_reset(arena_t *a)
{
    if (!a->blocks)
        return;
    free_behind(a, a->blocks->next);
    a->blocks->next = NULL;
    a->blocks->used = 0;
}

void arena_free(arena_t *a)
{
    free_behind(a, a->blocks);
    a->blocks = NULL;
}
