/* parked.c: a list and a timer. */
#include "kit/parked.h"

#include <stdlib.h>

#include "kit/loop.h"

#define FIRST_CAPACITY 16

typedef struct {
    bus_delivery_t **items;
    size_t count, capacity;
} list_t;

struct parked {
    loop_timer_t *timer;
    int64_t pause_ms;
    bus_delivery_fn again;
    void *ctx;
    list_t list;
};

/* Those that are parked anew meanwhile wait for the next time. */
static void on_timer(void *ctx)
{
    parked_t *self = ctx;
    list_t now = self->list;
    self->list = (list_t){0};
    for (size_t i = 0; i < now.count; i++)
        self->again(self->ctx, now.items[i]);
    free(now.items);
}

parked_t *parked_new(loop_t *loop, int64_t pause_ms, bus_delivery_fn again, void *ctx, error_t *err)
{
    parked_t *self = calloc(1, sizeof *self);
    loop_timer_t *timer = self ? loop_timer_new(loop, on_timer, self) : NULL;
    if (!timer) {
        free(self);
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        return NULL;
    }
    *self = (parked_t){.timer = timer, .pause_ms = pause_ms, .again = again, .ctx = ctx};
    return self;
}

void parked_free(parked_t **parked)
{
    parked_t *self = *parked;
    if (!self)
        return;
    loop_timer_end(&self->timer);
    free(self->list.items);
    free(self);
    *parked = NULL;
}

static bool list_reach(list_t *list)
{
    if (list->count < list->capacity)
        return true;
    size_t capacity = list->capacity ? 2 * list->capacity : FIRST_CAPACITY;
    bus_delivery_t **items = realloc(list->items, capacity * sizeof(bus_delivery_t *));
    if (!items)
        return false;
    list->items = items;
    list->capacity = capacity;
    return true;
}

bool parked_put(parked_t *parked, bus_delivery_t *delivery)
{
    list_t *list = &parked->list;
    if (list->count == PARKED_MAX || !list_reach(list))
        return false;
    if (list->count == 0)
        loop_timer_in(parked->timer, parked->pause_ms);
    list->items[list->count++] = delivery;
    return true;
}
