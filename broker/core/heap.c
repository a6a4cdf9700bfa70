/* heap.c: a binary heap whose items know their places. */
#include "broker/core/heap.h"

#include <stdlib.h>

#include "broker/core/memory.h"

#define HEAP_FIRST 64u

void heap_init(heap_t *heap, const heap_kind_t *kind, void *ctx)
{
    *heap = (heap_t){.kind = kind, .ctx = ctx};
}

void heap_free(heap_t *heap)
{
    free(heap->items);
    heap->items = NULL;
    heap->count = heap->cap = 0;
}

uint32_t heap_top(const heap_t *heap)
{
    return heap->count ? heap->items[1] : 0;
}

static void heap_put(heap_t *heap, uint32_t at, uint32_t id)
{
    heap->items[at] = id;
    *heap->kind->place(heap->ctx, id) = at;
}

static void heap_rise(heap_t *heap, uint32_t at)
{
    uint32_t id = heap->items[at];
    for (; at > 1 && heap->kind->before(heap->ctx, id, heap->items[at / 2]); at /= 2)
        heap_put(heap, at, heap->items[at / 2]);
    heap_put(heap, at, id);
}

static void heap_sink(heap_t *heap, uint32_t at)
{
    uint32_t id = heap->items[at];
    for (uint32_t child; (child = at * 2) <= heap->count; at = child) {
        if (child < heap->count && heap->kind->before(heap->ctx, heap->items[child + 1], heap->items[child]))
            child++;
        if (!heap->kind->before(heap->ctx, heap->items[child], id))
            break;
        heap_put(heap, at, heap->items[child]);
    }
    heap_put(heap, at, id);
}

static void heap_settle(heap_t *heap, uint32_t at)
{
    uint32_t id = heap->items[at];
    heap_rise(heap, at);
    heap_sink(heap, *heap->kind->place(heap->ctx, id));
}

void heap_set(heap_t *heap, uint32_t id)
{
    uint32_t at = *heap->kind->place(heap->ctx, id);
    if (!at) {
        if (heap->count + 1 >= heap->cap) {
            heap->cap = heap->cap ? heap->cap * 2 : HEAP_FIRST;
            heap->items = memory_grow(heap->items, heap->cap, sizeof *heap->items);
        }
        at = ++heap->count;
        heap->items[at] = id;
    }
    heap_settle(heap, at);
}

void heap_drop(heap_t *heap, uint32_t id)
{
    uint32_t at = *heap->kind->place(heap->ctx, id);
    if (!at)
        return;
    *heap->kind->place(heap->ctx, id) = 0;
    uint32_t last = heap->items[heap->count--];
    if (last == id)
        return;
    heap->items[at] = last;
    heap_settle(heap, at);
}
