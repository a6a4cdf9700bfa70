/* heap.h: the one kind of timer: a binary heap of numbers, earliest on top.
 *
 * The numbered things hold their time and their place in the heap; the heap asks for both through its
 * functions, so a thing's timer can be moved or stopped in O(log n) without a search. */
#ifndef BROKER_CORE_HEAP_H
#define BROKER_CORE_HEAP_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    /* True when a is due before b. Must order all things, so that runs repeat exactly. */
    bool (*before)(const void *ctx, uint32_t a, uint32_t b);
    uint32_t *(*place)(void *ctx, uint32_t id); /* where the thing keeps its place; 0: not in */
} heap_kind_t;

typedef struct {
    const heap_kind_t *kind;
    void *ctx;
    uint32_t *items; /* [0] is unused */
    uint32_t count, cap;
} heap_t;

void heap_init(heap_t *heap, const heap_kind_t *kind, void *ctx);
void heap_free(heap_t *heap);
/* The earliest; 0 when empty. */
uint32_t heap_top(const heap_t *heap);
/* Puts `id` in, or to its new place when its time has changed. */
void heap_set(heap_t *heap, uint32_t id);
void heap_drop(heap_t *heap, uint32_t id); /* nothing happens when it is not in */

#endif
